//! An HTTP proxy that does CONNECT and nothing else, and keeps what it was asked.
//!
//! The names that it is told are this machine's own, whatever the machine's resolver says of them: a client that
//! resolves them by itself fails where they are unknown.

use std::io::{BufRead, BufReader, Write, copy};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Host;

const PORT: u16 = 3128;

/// Longer than any test waits.
const PATIENCE: Duration = Duration::from_secs(300);

/// A proxy on one private machine; its thread ends with the test program.
pub struct Proxy {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// What `proxy` has to be in the configuration.
    pub const URL: &'static str = "http://127.0.0.1:3128";

    /// Starts it on `host`.
    pub fn start(host: &Host) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let listen = || {
            host.enter_network();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).expect("the port is free");
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let seen = seen.clone();
                    // A client that goes away early is no fault of the proxy.
                    thread::spawn(move || drop(converse(&stream, &seen)));
                }
            });
        };
        thread::scope(|scope| scope.spawn(listen).join().expect("the proxy starts"));
        Self { asked }
    }

    /// The heads of all requests since the last call of this.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn converse(client: &TcpStream, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let Some(port) = target.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()) else {
        return (&*client).write_all(b"HTTP/1.1 405 CONNECT alone is done here\r\n\r\n");
    };
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    (&*client).write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = copy(&mut &server, &mut &*client);
            let _ = client.shutdown(Shutdown::Write);
        });
        let _ = copy(&mut reader, &mut &server);
        let _ = server.shutdown(Shutdown::Write);
    });
    Ok(())
}
