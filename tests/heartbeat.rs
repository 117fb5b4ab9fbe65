//! What a host says of its own records: how many there are, by which boot, and how many the boot before had.

use harness::records::{AUDIT, alone, numbers, open_session, records, suite, word};
use harness::suite::Suite;
use harness::text;
use serde_json::Value;

/// Where the host remembers its boots.
const MEMORY: &str = "/var/log/authkeys/heartbeat";

/// One heartbeat, as the timer has it, and its record.
fn beat(suite: &Suite) -> Value {
    suite.host.must("oncall-cache heartbeat");
    let last = records(suite).pop().expect("a record");
    assert_eq!(word(&last, "phase"), "heartbeat", "{last}");
    last
}

#[test]
fn a_heartbeat_says_how_many_records_there_are_and_how_many_the_boot_before_had() {
    let suite = suite();
    alone(&suite, "sshd");
    open_session(&suite);
    let boot = suite.host.must("cat /proc/sys/kernel/random/boot_id");
    let boot = boot.trim();
    let first = beat(&suite);
    assert_eq!(numbers(&suite), [1, 2], "the session and the heartbeat");
    assert_eq!((word(&first, "boot_id"), word(&first, "host")), (boot, "testhost"));
    assert!(first.get("previous").is_none(), "{first}");
    let digest = suite.host.must("sha256sum /etc/authkeys/config.toml");
    assert_eq!(word(&first, "policy"), digest.split(' ').next().expect("a digest"));
    let line = suite.lines_of("oncall-cache").pop().expect("a line in the log");
    assert!(line.contains(&format!("heartbeat host=testhost boot={boot} last=2 policy=")), "{line}");
    assert_eq!(suite.host.must(&format!("stat -c %U:%G:%a {MEMORY}")), "root:root:600\n");

    // As if the machine had been started anew: another boot is what is remembered, and its last records are in the file.
    let before = "00000000-0000-4000-8000-000000000001";
    suite.host.must(&format!("sed -i 's/{boot}/{before}/' {MEMORY} {AUDIT} && sed -i 's/ 2 / 1 /' {MEMORY}"));
    for _ in 0..2 {
        let next = beat(&suite);
        assert_eq!(word(&next, "previous"), format!("{before}:2"));
    }
    // Who has read it in nobody's favour: a report shows no login of it, and nothing missing.
    let report = suite.host.sh("oncall-cache report --json");
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!(report["logins"].as_array().map(Vec::len), Some(1), "{report}");
    assert!(!report["gaps"].to_string().contains("missing"), "{report}");
}

#[test]
fn a_heartbeat_is_recorded_whatever_is_wrong_and_says_what_is() {
    let suite = suite();
    let user = suite.run_as("alice", "oncall-cache heartbeat");
    assert_eq!(user.status.code(), Some(2), "{}", text(&user));
    assert!(!suite.host.path(AUDIT).exists());
    // Nothing can be counted: it has no number.
    suite.host.must("chmod 777 /run/authkeys/audit 2>/dev/null || install -d -m 777 /run/authkeys/audit");
    assert!(beat(&suite).get("seq").is_none());
    suite.host.must("chmod 700 /run/authkeys/audit");
    assert_eq!(beat(&suite)["seq"], 1);
    // A configuration that nobody can read.
    suite.host.must("echo '[' >>/etc/authkeys/config.toml");
    let broken = beat(&suite);
    assert!(word(&broken, "problem").contains("config.toml") && broken.get("policy").is_none(), "{broken}");
    // What cannot be written is told, in the log too.
    suite.host.must(&format!("chmod 666 {AUDIT}"));
    let refused = suite.host.sh("oncall-cache heartbeat");
    assert!(
        refused.status.code() == Some(2) && text(&refused).contains("is not root's alone"),
        "{}",
        text(&refused)
    );
    let line = suite.lines_of("oncall-cache").pop().expect("a line in the log");
    assert!(line.contains(" unwritten="), "{line}");
    // A minute has room for so many, and those of people are counted by themselves.
    let minute = harness::suite::now() / 60;
    let counts: Vec<String> = (minute..minute + 30).map(|minute| format!("heartbeat.{minute}")).collect();
    let fill = format!("for file in {}; do head -c 60 /dev/zero >$file; done", counts.join(" "));
    suite.host.must(&format!("chmod 640 {AUDIT}; cd /run/authkeys/audit && {fill}"));
    assert_eq!(suite.host.sh("oncall-cache heartbeat").status.code(), Some(2));
    suite.host.must("sed -i '$d' /etc/authkeys/config.toml");
    alone(&suite, "sshd");
    open_session(&suite);
    assert_eq!(word(&records(&suite).pop().expect("a record"), "phase"), "session");
}
