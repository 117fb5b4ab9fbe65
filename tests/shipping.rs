//! Records on their way to a log server, as docs/audit.md sets it up: rsyslog with RELP over TLS, and the journal over HTTPS.
//! The server is killed and comes back: nothing is lost, and what rsyslog brings is in order.

use std::collections::BTreeSet;

use harness::records::{AUDIT, alone, numbers, open_session, suite};
use harness::suite::Suite;
use harness::{text, wait_until};
use serde_json::Value;

const PAGE: &str = include_str!("../docs/audit.md");

/// The block of the page that begins with these words, without its indent.
fn block(begin: &str) -> String {
    let lines: Vec<&str> = PAGE.lines().collect();
    let start =
        lines.iter().position(|line| line.trim_start().starts_with(begin) && line.starts_with("    "));
    let start = start.unwrap_or_else(|| panic!("the page has no block with {begin}"));
    let block = lines[start..].iter().take_while(|line| line.starts_with("    "));
    block.map(|line| format!("{}\n", &line[4..])).collect()
}

/// A machine that is host and log server at once, with the certificates of both.
fn site() -> Suite {
    let suite = suite();
    alone(&suite, "sshd");
    suite.host.must("echo '127.0.0.1 logs.example.com' >>/etc/hosts");
    suite.host.must(
        "mkdir -p /etc/ssl/authkeys && cd /etc/ssl/authkeys && export HOME=/root
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca -days 3 -keyout ca.key -out ca.pem
         sign() {
             openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$2 -keyout $1.key -out $1.csr
             printf 'subjectAltName=DNS:%s\n' $2 >$1.ext
             openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3 -extfile $1.ext -out $1.pem
         }
         sign server logs.example.com && sign host testhost.hosts.example.com && chmod 644 *.key",
    );
    suite
}

/// What has arrived, by its numbers, each as it came first.
fn arrived(suite: &Suite, directory: &str) -> Vec<i64> {
    let collected = suite.host.sh(&format!("cat {directory}/*/*")).stdout;
    let mut seen = BTreeSet::new();
    let lines = String::from_utf8_lossy(&collected).into_owned();
    let numbers = lines.lines().filter_map(|line| {
        let record: Value = serde_json::from_str(&line[line.find('{')?..]).ok()?;
        record["seq"].as_i64()
    });
    numbers.filter(|number| seen.insert(*number)).collect()
}

/// What `oncall-cache report --fleet` says, and its exit status.
fn report(suite: &Suite, inventory: &str) -> (Option<i32>, String) {
    suite.host.write("/root/inventory", inventory, 0o644);
    let output = suite.host.sh("oncall-cache report --fleet /srv/records --inventory /root/inventory");
    (output.status.code(), text(&output))
}

/// Some records.
fn write(suite: &Suite, logins: usize) {
    for _ in 0..logins {
        open_session(suite);
    }
    suite.host.must("oncall-cache heartbeat");
}

/// Ends what a file names.
fn kill(suite: &Suite, signal: &str, pid_file: &str) {
    suite.host.must(&format!("kill -{signal} $(cat {pid_file})"));
    wait_until("it is gone", || !suite.host.sh(&format!("kill -0 $(cat {pid_file})")).status.success());
    suite.host.must(&format!("rm -f {pid_file}"));
}

fn rsyslog(suite: &Suite, name: &str) {
    let pid = format!("/run/{name}.pid");
    let conf = format!("/etc/{name}.conf");
    suite.host.daemon(&["rsyslogd", "-n", "-f", &conf, "-i", &pid], &format!("/var/log/{name}.log"));
    wait_until("it runs", || suite.host.path(&pid).exists());
}

#[test]
fn what_rsyslog_ships_arrives_whole_and_in_order_whatever_becomes_of_the_server() {
    let suite = site();
    for (name, begin) in [("host", "module(load=\"imfile\")"), ("server", "module(load=\"imrelp\"")] {
        let work = format!("/var/spool/rsyslog-{name}");
        suite.host.must(&format!("mkdir -p {work}"));
        let conf = format!("global(workDirectory=\"{work}\")\n{}", block(begin));
        suite.host.write(&format!("/etc/{name}.conf"), conf, 0o644);
        suite.host.must(&format!("rsyslogd -N1 -f /etc/{name}.conf"));
    }
    write(&suite, 3);
    rsyslog(&suite, "server");
    suite.host.wait_for_port(6514);
    rsyslog(&suite, "host");
    let all_there = |suite: &Suite| arrived(suite, "/srv/records") == numbers(suite);
    wait_until("the first records are there", || all_there(&suite));

    // The server is gone for a while, without a word.
    kill(&suite, "KILL", "/run/server.pid");
    write(&suite, 20);
    rsyslog(&suite, "server");
    wait_until("all that was written meanwhile is there", || all_there(&suite));
    // So is the host's own rsyslog, and then both.
    kill(&suite, "TERM", "/run/host.pid");
    write(&suite, 5);
    kill(&suite, "KILL", "/run/server.pid");
    rsyslog(&suite, "host");
    write(&suite, 5);
    rsyslog(&suite, "server");
    wait_until("nothing is lost", || all_there(&suite));
    // Rotated while it runs.
    suite.host.must(&format!("mv {AUDIT} {AUDIT}.1"));
    write(&suite, 2);
    let all = |suite: &Suite| {
        let last = numbers(suite).last().copied().unwrap_or_default();
        arrived(suite, "/srv/records") == (1..=last).collect::<Vec<_>>()
    };
    wait_until("what is in the next file is there", || all(&suite));

    let (code, said) = report(&suite, "testhost sender=127.0.0.1\n");
    assert!(code == Some(0) && said.contains("records of 1 of them are here"), "{said}");
    suite.host.must("sed -i /.seq.:7,/d /srv/records/127.0.0.1/decisions.jsonl");
    let (code, said) = report(&suite, "testhost sender=127.0.0.1\n");
    assert!(code == Some(1) && said.contains("testhost: 1 record is missing between number 6 ("), "{said}");
    let (code, said) = report(&suite, "testhost\nother sender=127.0.0.1\n");
    assert!(code == Some(1) && said.contains(" records of testhost came from 127.0.0.1, "), "{said}");
}

/// journald's part: what the unit of the page copies into the journal stands in one, in the form in which journald has it.
const JOURNALD: &str = r#"
mkdir -p /var/log/journal/own && tail -n +1 -F /var/log/authkeys/decisions.jsonl | while IFS= read -r line; do
    printf '__REALTIME_TIMESTAMP=%s000\n__MONOTONIC_TIMESTAMP=%s0000\n_BOOT_ID=%s\nSYSLOG_IDENTIFIER=authkeys-record\nMESSAGE=%s\n\n' \
        "$(date +%s%3N)" "$(cut -d ' ' -f 1 /proc/uptime | tr -d .)" "$(tr -d - </proc/sys/kernel/random/boot_id)" "$line"
done | /usr/lib/systemd/systemd-journal-remote --split-mode=none --output=/var/log/journal/own/system.journal -
"#;

/// As its unit starts it, and again after a failure.
const UPLOAD: &str = "while :; do /usr/lib/systemd/systemd-journal-upload --save-state --directory=/var/log/journal/own; sleep 1; done";

fn journal_remote(suite: &Suite) {
    let start = "echo $$ >/run/remote.pid; exec /usr/lib/systemd/systemd-journal-remote --listen-https=127.0.0.1:19532 --output=/var/log/journal/remote/";
    suite.host.daemon(&["sh", "-c", start], "/var/log/remote.log");
    suite.host.wait_for_port(19532);
}

#[test]
fn what_the_journal_ships_arrives_whole_whatever_becomes_of_the_server() {
    let suite = site();
    suite.host.write("/etc/systemd/journal-upload.conf", block("[Upload]"), 0o644);
    suite.host.write("/etc/systemd/journal-remote.conf", block("[Remote]"), 0o644);
    suite.host.must("mkdir -p /var/log/journal/remote /var/lib/systemd/journal-upload /srv/records");
    write(&suite, 3);
    journal_remote(&suite);
    suite.host.daemon(&["sh", "-c", JOURNALD], "/var/log/journald.log");
    wait_until("there is a journal", || suite.host.path("/var/log/journal/own/system.journal").exists());
    suite.host.daemon(&["sh", "-c", UPLOAD], "/var/log/upload.log");
    // As the page takes the records out of the journal.
    let take_out = block("cd /var/log/journal/remote");
    let all_there = |suite: &Suite| {
        suite.host.must(&format!("if ls /var/log/journal/remote/*.journal 2>/dev/null; then {take_out} fi"));
        arrived(suite, "/srv/records") == numbers(suite)
    };
    wait_until("the first records are there", || all_there(&suite));
    kill(&suite, "KILL", "/run/remote.pid");
    write(&suite, 5);
    journal_remote(&suite);
    wait_until("all that was written meanwhile is there", || all_there(&suite));

    let (code, said) = report(&suite, "testhost sender=127.0.0.1\n");
    assert!(code == Some(0) && said.contains("records of 1 of them are here"), "{said}");
}
