//! What a login costs the server: processor time of sshd with all that it started.

use crate::machine::Machine;
use crate::table::{Table, at_most, figure};
use crate::tools::INSIDE;

/// What `authkeys` adds to a login with a plain authorized_keys file, in milliseconds.
const MOST_GAIN: f64 = 6.0;

/// Logins on one server before it is the next one's turn. The kernel counts in hundredths of a second, so
/// only the mean of many says something.
const BATCH: usize = 5;

struct Server {
    what: &'static str,
    port: u16,
    /// The row that this one is compared with.
    over: usize,
    target: Option<f64>,
    ms: Vec<f64>,
}

pub fn measure(machine: &Machine, logins: usize) {
    let host = &machine.suite.host;
    let key = machine.suite.public_key("alice");
    host.must("mkdir /run/bench-keys && cp /root/keys/alice.pub /run/bench-keys/alice");
    // Without PAM, sshd takes the `!` of an account that has no password for a lock.
    host.must("usermod -p '*' alice");
    // Its own name is the PAM service that sshd asks for; the suite has changed the one of `sshd`.
    host.must("cp /usr/sbin/sshd /usr/sbin/sshdplain && cp /run/suite/original/sshd /etc/pam.d/sshdplain");
    let file = "AuthorizedKeysFile /run/bench-keys/%u\n".to_string();
    let command = |line: &str| {
        format!("AuthorizedKeysFile none\nAuthorizedKeysCommandUser authkeys\nAuthorizedKeysCommand {line}\n")
    };
    let print = command(&format!("{INSIDE}/print {key}"));
    let authkeys = command("/usr/bin/authkeys %u %t %k");
    let mut servers: Vec<Server> = [
        ("floor: authorized_keys file", "sshdplain", "no", &file, 0, None),
        ("floor: static C prints a line", "sshdplain", "no", &print, 0, None),
        ("authkeys", "sshdplain", "no", &authkeys, 0, Some(MOST_GAIN)),
        ("floor: file, UsePAM", "sshdplain", "yes", &file, 0, None),
        ("file, UsePAM, pam_oncall", "sshd", "yes", &file, 3, None),
        ("authkeys, UsePAM, pam_oncall", "sshd", "yes", &authkeys, 3, None),
    ]
    .into_iter()
    .zip(2300..)
    .map(|((what, program, pam, keys, over, target), port)| {
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile /run/bench-sshd.{port}\nUsePAM {pam}\n{keys}HostKey /etc/ssh/ssh_host_ed25519_key\n"
        );
        host.write(&format!("/etc/ssh/bench.{port}"), config, 0o600);
        host.daemon(
            &[&format!("/usr/sbin/{program}"), "-D", "-f", &format!("/etc/ssh/bench.{port}")],
            &format!("/var/log/bench-sshd.{port}"),
        );
        host.wait_for_port(port);
        Server { what, port, over, target, ms: Vec::new() }
    })
    .collect();

    for server in &servers {
        log_in(machine, server, 1);
    }
    for _ in 0..logins.div_ceil(BATCH) {
        for server in &mut servers {
            let before = spent(machine, server.port);
            log_in(machine, server, BATCH);
            server.ms.push((spent(machine, server.port) - before) / BATCH as f64);
        }
    }
    let mut table = Table::new(
        &format!("Server processor time of one ssh login, {logins} logins each in batches of {BATCH}"),
        &["", "mean cpu ms", "least batch", "gained ms", "over", "to reach"],
    );
    for server in &servers {
        let base = &servers[server.over];
        let gained = mean(&server.ms) - mean(&base.ms);
        table.row(vec![
            server.what.to_string(),
            figure(mean(&server.ms)),
            figure(server.ms.iter().copied().fold(f64::INFINITY, f64::min)),
            if server.port == base.port { "-".to_string() } else { figure(gained) },
            base.what.trim_start_matches("floor: ").to_string(),
            server.target.map(|limit| at_most(gained, limit, "ms")).unwrap_or_default(),
        ]);
    }
    table.print();
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn log_in(machine: &Machine, server: &Server, times: usize) {
    let Server { what, port, .. } = server;
    let ssh = "ssh -F none -i /root/keys/alice -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR \
               -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
    let output = machine
        .suite
        .host
        .sh(&format!("for i in $(seq {times}); do {ssh} -p {port} alice@127.0.0.1 true || exit; done"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what}: {complaint}{}",
        machine.suite.host.read(&format!("/var/log/bench-sshd.{port}"))
    );
}

/// Processor time of a server and of all its children that have ended, in milliseconds; proc(5).
fn spent(machine: &Machine, port: u16) -> f64 {
    // The session that the last login left behind may still be ending.
    let stat = machine.suite.host.must(&format!(
        "pid=$(cat /run/bench-sshd.{port}); for i in $(seq 500); do [ -z \"$(cat /proc/$pid/task/$pid/children)\" ] && break; sleep 0.01; done; cat /proc/$pid/stat"
    ));
    let (_, fields) = stat.rsplit_once(") ").expect("a process's stat");
    let ticks: f64 =
        fields.split(' ').skip(11).take(4).map(|field| field.parse::<f64>().expect("ticks")).sum();
    ticks * 10.0
}
