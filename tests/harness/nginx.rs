//! nginx as a fleet's store: the packaged example in front of a directory, with TLS, and what it was asked.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use crate::slapd::{authority, certificate};
use crate::{Host, Machine, wait_until};

/// The whole server round the packaged example. Lines of its log are fields of [`Request`].
const CONFIG: &str = "\
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {}
http {
    log_format fleet '$remote_addr $request_method $uri $status $body_bytes_sent $bytes_sent';
    access_log /var/log/nginx/fleet.log fleet;
    include /etc/nginx/conf.d/*.conf;
    server {
        listen 127.0.0.1:8081;
        location / {
            return 204;
        }
    }
}
";

/// Where it answers without TLS, and serves nothing.
const LOOK_PORT: u16 = 8081;

const EXAMPLE: &str = include_str!("../../packaging/examples/nginx-fleet.conf");

const LOG: &str = "/var/log/nginx/fleet.log";

/// nginx on a machine. It ends with its machine.
pub struct Nginx {
    ca_pem: String,
    /// How much of its log was looked at, in bytes.
    seen: Cell<usize>,
}

/// One line of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub from: Ipv4Addr,
    pub method: String,
    pub path: String,
    pub status: u16,
    /// Bytes of the body.
    pub body: u64,
    /// Bytes of the whole answer, without TLS.
    pub bytes: u64,
}

impl Nginx {
    /// Where hosts find the store: this name is to be the machine's.
    pub const URL: &'static str = "https://store.example.com/fleet";
    pub const NAME: &'static str = "store.example.com";
    /// Where PagerDuty finds it, if it passes webhooks on: nginx-webhooks.conf of the examples.
    pub const HOOKS_URL: &'static str = "https://hooks.example.com/pagerduty";
    pub const HOOKS_NAME: &'static str = "hooks.example.com";
    /// The directory that it serves.
    pub const DIRECTORY: &'static str = "/srv/authkeys-fleet";
    /// What hosts send to be served.
    pub const HEADER: &'static str = "Fleet-Access: 6bYbZr8iUw";

    /// Starts it on `host`, where the directory may be made later.
    pub fn start(host: &Host) -> Self {
        let nginx = Self { ca_pem: Self::configure(host), seen: Cell::new(0) };
        nginx.resume(host);
        nginx
    }

    /// Writes all that it reads on a machine where it is installed; the authority that vouches for it.
    pub fn configure(host: &Machine) -> String {
        let authority = authority();
        host.must("rm -rf /etc/nginx/conf.d /etc/nginx/sites-enabled && mkdir -p /var/log/nginx");
        host.write("/etc/nginx/nginx.conf", CONFIG, 0o644);
        host.write("/etc/nginx/conf.d/fleet.conf", EXAMPLE, 0o644);
        for (file, name) in [("fleet", Self::NAME), ("hooks", Self::HOOKS_NAME)] {
            let (certificate, key) = certificate(&authority, name, &[name]);
            host.write(&format!("/etc/nginx/{file}.pem"), certificate, 0o644);
            host.write(&format!("/etc/nginx/{file}.key"), key, 0o600);
        }
        let secret = Self::HEADER.split(' ').nth(1).expect("a value");
        host.write("/etc/nginx/fleet-access", format!("\"{secret}\" 1;\n"), 0o600);
        authority.pem()
    }

    /// Ends it, as an outage does: connections are refused when this returns.
    pub fn stop(&self, host: &Host) {
        host.must("pid=$(cat /run/nginx.pid) && nginx -s stop && while kill -0 $pid 2>/dev/null; do sleep 0.01; done");
    }

    /// Starts it again.
    pub fn resume(&self, host: &Host) {
        // It goes into the background before it says which process it is.
        host.must("nginx; until [ -s /run/nginx.pid ]; do sleep 0.01; done");
        host.wait_for_port(443);
    }

    /// The authority that vouches for it.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What it was asked since the last look. A request is logged after its answer, so this waits for the one that it
    /// sends itself.
    pub fn requests(&self, host: &Host) -> Vec<Request> {
        let look = || {
            host.enter_network();
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, LOOK_PORT)).expect("nginx runs");
            stream.write_all(b"GET /look HTTP/1.0\r\n\r\n").expect("a socket");
            stream.read_to_end(&mut Vec::new()).expect("an answer");
        };
        thread::scope(|scope| scope.spawn(look).join().expect("it is asked"));
        let mut lines = String::new();
        wait_until("nginx has logged", || {
            lines = host.read(LOG)[self.seen.get()..].to_string();
            lines.contains(" /look ")
        });
        self.seen.set(self.seen.get() + lines.len());
        lines.lines().map(Request::parse).filter(|request| request.path != "/look").collect()
    }
}

impl Request {
    fn parse(line: &str) -> Self {
        let fields: Vec<&str> = line.split(' ').collect();
        let [from, method, path, status, body, bytes] = fields[..] else { panic!("{line}") };
        Self {
            from: from.parse().expect("an address"),
            method: method.to_string(),
            path: path.to_string(),
            status: status.parse().expect("a number"),
            body: body.parse().expect("a number"),
            bytes: bytes.parse().expect("a number"),
        }
    }
}
