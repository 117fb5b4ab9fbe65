//! The record of decisions, as tests read it.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::wait_until;
use crate::suite::{DAY, HOUR, Suite, text};

/// The file.
pub const AUDIT: &str = "/var/log/authkeys/decisions.jsonl";

/// alice is on call for `left` seconds, bob after her.
pub fn suite_with(left: i64) -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, left), ("bob", left, DAY)]);
    suite.sync();
    suite
}

/// alice is on call for an hour.
pub fn suite() -> Suite {
    suite_with(HOUR)
}

/// Every record so far.
pub fn records(suite: &Suite) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let bytes = suite.host.sh(&format!("cat {AUDIT} 2>/dev/null")).stdout;
    // Two who write at once may leave an empty line between them.
    String::from_utf8_lossy(&bytes).lines().filter(|line| !line.is_empty()).map(parse).collect()
}

/// A text of a record; empty where there is none.
pub fn word<'v>(record: &'v Value, name: &str) -> &'v str {
    record[name].as_str().unwrap_or_default()
}

/// The records since the file was last emptied, once the last of them is a `close`.
pub fn one_login(suite: &Suite) -> Vec<Value> {
    wait_until("the session is closed", || {
        records(suite).last().is_some_and(|last| word(last, "phase") == "close")
    });
    let all = records(suite);
    suite.host.must(&format!("rm {AUDIT}"));
    all
}

/// The phase and the account of each.
pub fn phases(records: &[Value]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (word(record, "phase"), word(record, "account"))).collect()
}

/// It ran as root.
pub fn admitted(output: &Output) {
    assert!(output.status.success(), "was refused: {}", text(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{}", text(output));
}

/// A stack in which our module is alone: what other modules do with a log that nobody reads is theirs.
pub fn alone(suite: &Suite, service: &str) {
    let lines =
        "account required pam_oncall.so\naccount required pam_permit.so\nsession requisite pam_oncall.so\n";
    suite.host.write(&format!("/etc/pam.d/{service}"), lines, 0o644);
}

/// Opens and closes a session as sshd does for root, with alice's key; how long that took.
pub fn open_session(suite: &Suite) -> Duration {
    let key = suite.public_key("alice");
    let key: Vec<&str> = key.split(' ').take(2).collect();
    let start = Instant::now();
    let output = suite
        .host
        .sh(&format!("pamtester -E 'SSH_AUTH_INFO_0=publickey {}\n' sshd root open_session", key.join(" ")));
    assert!(output.status.success(), "{}", text(&output));
    start.elapsed()
}

/// The numbers of all records.
pub fn numbers(suite: &Suite) -> Vec<i64> {
    records(suite).iter().map(|record| record["seq"].as_i64().expect("a number")).collect()
}
