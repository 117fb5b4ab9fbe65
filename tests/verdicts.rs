//! `oncall-cache check`, asked by nobody in particular, and PAM give the same verdict for the same reason.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;

use harness::suite::{DAY, HOUR, Suite};
use harness::text;
use serde_json::Value;

/// Who enters what: person, account, service.
const LOGINS: [(&str, &str, &str); 10] = [
    ("alice", "root", "sshd"),
    ("bob", "root", "sshd"),
    ("dave", "root", "sshd"),
    ("alice", "alice", "sshd"),
    ("bob", "bob", "sshd"),
    ("dave", "dave", "sshd"),
    ("alice", "alice", "sudo"),
    ("bob", "bob", "sudo"),
    ("dave", "dave", "sudo"),
    ("breakglass", "breakglass", "sshd"),
];

/// What is done to the host, and the verdict and reason for each of the logins above.
struct Case {
    what: &'static str,
    spoil: &'static str,
    expected: [&'static str; 10],
}

const STALE: &str = "cannot-tell cache-stale";
const OURS_NOT: &str = "not-ours not-guarded";
const EXEMPT: &str = "allow exempt";

/// A fault that leaves nothing to decide with: everything guarded is refused for it, nothing else is touched.
const fn all(fault: &'static str) -> [&'static str; 10] {
    [fault, fault, fault, fault, fault, OURS_NOT, fault, fault, fault, EXEMPT]
}

const ROSTER: &str = "/var/lib/oncall-cache/roster.db";

const CASES: [Case; 11] = [
    Case {
        what: "a good roster",
        spoil: "true",
        expected: [
            "allow oncall",
            "refuse not-oncall",
            "refuse not-eligible",
            "allow oncall",
            "refuse not-oncall",
            OURS_NOT,
            "allow oncall",
            "refuse not-oncall",
            "refuse not-eligible",
            EXEMPT,
        ],
    },
    Case { what: "no roster", spoil: "rm ROSTER", expected: all("cannot-tell cache-missing") },
    Case { what: "an empty file", spoil: ": >ROSTER", expected: all("cannot-tell cache-corrupt") },
    Case {
        what: "half a file",
        spoil: "truncate -s 5000 ROSTER",
        expected: all("cannot-tell cache-corrupt"),
    },
    Case {
        what: "noise",
        spoil: "head -c 20000 /dev/urandom >ROSTER",
        expected: all("cannot-tell cache-corrupt"),
    },
    Case {
        what: "another form",
        spoil: "sqlite3 ROSTER 'PRAGMA user_version = 99'",
        expected: all("cannot-tell cache-version"),
    },
    Case {
        what: "a trigger",
        spoil: "sqlite3 ROSTER 'CREATE TRIGGER t AFTER INSERT ON shift BEGIN DELETE FROM shift; END'",
        expected: all("cannot-tell cache-corrupt"),
    },
    Case {
        what: "writable by others",
        spoil: "chmod 666 ROSTER",
        expected: all("cannot-tell file-untrusted"),
    },
    Case {
        what: "a day and a second without a sync",
        spoil: "sqlite3 ROSTER 'UPDATE schedule SET synced = synced - 86401'",
        expected: all(STALE),
    },
    Case {
        what: "past the horizon",
        spoil: "sqlite3 ROSTER 'UPDATE schedule SET horizon = synced'",
        expected: all("cannot-tell beyond-horizon"),
    },
    Case {
        what: "a clock that went back a day",
        spoil: "sqlite3 ROSTER 'UPDATE meta SET published = published + 86400'",
        expected: all("cannot-tell clock-rollback"),
    },
];

/// What `check` says to an ordinary user.
fn by_check(suite: &Suite, (person, account, service): (&str, &str, &str)) -> String {
    let command = format!("oncall-cache check {person} --account {account} --service {service} --json");
    let output = suite.run_as("nobody", &command);
    let json: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    let (verdict, reason) = (json["verdict"].as_str().unwrap_or(""), json["reason"].as_str().unwrap_or(""));
    let code = match verdict {
        "allow" => 0,
        "refuse" => 1,
        "not-ours" => 3,
        _ => 2,
    };
    assert_eq!(output.status.code(), Some(code), "{command}: {}", text(&output));
    format!("{verdict} {reason}")
}

/// What PAM says, from its log line, and whether its return code says the same.
fn by_pam(suite: &Suite, (person, account, service): (&str, &str, &str)) -> String {
    let _ = suite.decisions();
    let key = if person == "breakglass" { String::new() } else { suite.public_key(person) };
    let key: String = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    // A key is known when the session opens; over sudo it is the caller's name that counts.
    let session = if account == "root" && service == "sshd" { "open_session" } else { "" };
    let run = |variable: &str, phase: &str| {
        let command = format!(
            "pamtester -E 'SSH_AUTH_INFO_0={variable}' -I ruser={person} {service} {account} {phase}"
        );
        suite.host.sh(&command)
    };
    let account_phase = run("", "acct_mgmt");
    let output = if account_phase.status.success() && !session.is_empty() {
        run(&format!("publickey {key}"), session)
    } else {
        account_phase
    };
    let lines = suite.decisions();
    assert_eq!(lines.len(), 1, "{person} {account} {service}: {lines:#?}");
    let fields: BTreeMap<&str, &str> =
        lines[0].split(' ').filter_map(|field| field.split_once('=')).collect();
    let said = text(&output);
    let meant = match fields["decision"] {
        "allow" | "not-ours" => output.status.success(),
        "refuse" => said.contains("Permission denied"),
        "cannot-tell" => said.contains("cannot retrieve authentication info"),
        _ => false,
    };
    assert!(meant, "{person} {account} {service}: log says {:?}, PAM says {said}", lines[0]);
    format!("{} {}", fields["decision"], fields["reason"])
}

#[test]
fn a36_to_a42_check_and_pam_agree_on_every_state_of_the_roster() {
    let suite = Suite::start();
    suite.host.must("useradd -m -G sudo breakglass");
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY), ("dave", -HOUR, HOUR)]);
    suite.sync();
    suite.host.must(&format!("cp -p {ROSTER} /root/good.db"));
    for Case { what, spoil, expected } in CASES {
        suite.host.must(&format!("cp -p /root/good.db {ROSTER}"));
        suite.host.must(&spoil.replace("ROSTER", ROSTER));
        for (login, expected) in LOGINS.into_iter().zip(expected) {
            assert_eq!(by_check(&suite, login), expected, "check, {what}: {login:?}");
            assert_eq!(by_pam(&suite, login), expected, "PAM, {what}: {login:?}");
        }
    }
}

#[test]
fn a45_names_that_no_account_has_are_unknown_to_pam() {
    let suite = Suite::start();
    let endless = "x".repeat(65_536);
    for name in ["a\nb", "a\u{1b}[2J", &endless] {
        let output = suite
            .host
            .command("/usr/bin/pamtester")
            .args(["sshd", name, "acct_mgmt"])
            .output()
            .expect("pamtester runs");
        assert!(
            text(&output).contains("User not known to the underlying authentication module"),
            "{}",
            text(&output)
        );
        let lines = suite.decisions();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].starts_with("person=- decision=bad-name reason=bad-user "), "{lines:#?}");
        assert!(lines[0].len() < 600, "cut: {} bytes", lines[0].len());
        assert!(lines[0].bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{lines:#?}");
    }
}

#[test]
fn a47_services_that_are_not_listed_are_not_touched() {
    let suite = Suite::start();
    suite.host.must("rm -rf /etc/authkeys /var/lib/oncall-cache");
    for service in ["cron", "atd", "systemd-user", "mystery"] {
        suite.host.must(&format!(
            "printf 'account required pam_oncall.so\\naccount required pam_permit.so\\nsession required pam_oncall.so\\n' >/etc/pam.d/{service}
             pamtester {service} root acct_mgmt open_session close_session"
        ));
        assert_eq!(suite.decisions(), [""; 0]);
    }
}

#[test]
fn a49_a_user_who_is_refused_reads_no_file_names() {
    let suite = Suite::start();
    suite.host.must(&format!("rm -f {ROSTER}"));
    let output = suite.run_as("alice", "sudo -n true");
    assert!(!output.status.success());
    let said = text(&output);
    assert!(said.contains("cannot tell who is (cache-missing)"), "{said}");
    assert!(!said.contains('/'), "{said}");
}
