//! `oncall-cache test-access`, asked by nobody in particular, and PAM give the same verdict for the same reason.

use std::collections::BTreeMap;

use harness::suite::{DAY, HOUR, Suite};
use harness::text;
use serde_json::Value;

/// Who enters what: person, account, service.
const LOGINS: [(&str, &str, &str); 13] = [
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
    ("alice", "toor", "sshd"),
    ("root", "root", "sudo"),
    ("alice", "alice", "cron"),
];

/// What is done to the host, and the verdict and reason for each of the logins above.
struct Case {
    what: &'static str,
    spoil: &'static str,
    expected: [&'static str; 13],
}

const STALE: &str = "cannot-tell cache-stale";
const OURS_NOT: &str = "not-ours not-guarded";
const EXEMPT: &str = "allow exempt";
const ROOT: &str = "not-ours already-root";
const ELSEWHERE: &str = "not-ours out-of-scope";
const NO_CONFIG: &str = "cannot-tell config-invalid";

/// A fault that leaves nothing to decide with: everything guarded is refused for it, nothing else is touched.
const fn all(fault: &'static str) -> [&'static str; 13] {
    [fault, fault, fault, fault, fault, OURS_NOT, fault, fault, fault, EXEMPT, fault, ROOT, ELSEWHERE]
}

const ROSTER: &str = "/var/lib/oncall-cache/roster.db";

const CORRUPT: [&str; 13] = all("cannot-tell cache-corrupt");
const VERSION: [&str; 13] = all("cannot-tell cache-version");
const UNTRUSTED: [&str; 13] = all("cannot-tell file-untrusted");

/// alice is on call, and every copy is as it should be.
const GOOD: [&str; 13] = [
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
    "allow oncall",
    ROOT,
    ELSEWHERE,
];

/// Nobody is exempt by the compiled rules.
const COMPILED: [&str; 13] = [
    NO_CONFIG, NO_CONFIG, NO_CONFIG, NO_CONFIG, NO_CONFIG, OURS_NOT, NO_CONFIG, NO_CONFIG, NO_CONFIG,
    NO_CONFIG, NO_CONFIG, ROOT, ELSEWHERE,
];

const fn case(what: &'static str, spoil: &'static str, expected: [&'static str; 13]) -> Case {
    Case { what, spoil, expected }
}

/// What `check` says to an ordinary user.
fn by_check(suite: &Suite, (person, account, service): (&str, &str, &str)) -> String {
    let command = format!("oncall-cache test-access {person} --account {account} --service {service} --json");
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
    let key = if ["breakglass", "root"].contains(&person) { String::new() } else { suite.public_key(person) };
    let key: String = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let run = |variable: &str, phase: &str| {
        let command = format!(
            "pamtester -E 'SSH_AUTH_INFO_0={variable}' -I ruser={person} {service} {account} {phase}"
        );
        suite.host.sh(&command)
    };
    let account_phase = run("", "acct_mgmt");
    let lines = suite.decisions();
    // A key is known when the session opens, and who would be refused over sshd is refused then.
    let is_left_to_it = service == "sshd" && lines.is_empty() && account_phase.status.success();
    let (output, lines) = if is_left_to_it {
        (run(&format!("publickey {key}\n"), "open_session"), suite.decisions())
    } else {
        (account_phase, lines)
    };
    if lines.is_empty() && output.status.success() {
        return ELSEWHERE.to_string();
    }
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

/// alice is on call; breakglass and toor are accounts of this host.
fn suite() -> Suite {
    let suite = Suite::start();
    suite.host.must("useradd -m -G sudo breakglass && useradd -o -u 0 -g 0 -M -d /root toor");
    suite
        .host
        .must("printf 'account required pam_oncall.so\\naccount required pam_permit.so\\n' >/etc/pam.d/cron");
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY), ("dave", -HOUR, HOUR)]);
    suite.sync();
    suite
        .host
        .must("cp -a /var/lib/oncall-cache /root/good && cp -p /etc/authkeys/config.toml /root/good.toml");
    suite
}

/// Puts every copy back as it was.
fn restore(suite: &Suite) {
    suite.host.must(
        "rm -rf /var/lib/oncall-cache && cp -a /root/good /var/lib/oncall-cache && cp -p /root/good.toml /etc/authkeys/config.toml",
    );
}

/// `check`, asked by nobody in particular, and PAM say the same of every login, for each of the cases.
fn agree(suite: &Suite, cases: &[Case]) {
    for Case { what, spoil, expected } in cases {
        restore(suite);
        suite.host.must(&spoil.replace("ROSTER", ROSTER));
        let files = || suite.host.must("ls -A /var/lib/oncall-cache 2>/dev/null || true");
        let before = files();
        for (login, expected) in LOGINS.into_iter().zip(expected) {
            assert_eq!(by_check(suite, login), *expected, "check, {what}: {login:?}");
            assert_eq!(by_pam(suite, login), *expected, "PAM, {what}: {login:?}");
        }
        assert_eq!(files(), before, "{what}: a reader made or removed a file");
    }
}

#[test]
fn a32_on_the_roster_and_not_eligible_is_a_no() {
    let suite = suite();
    let check = suite.run_as("nobody", "oncall-cache test-access dave");
    assert_eq!(check.status.code(), Some(1), "{}", text(&check));
    assert_eq!(by_check(&suite, ("dave", "root", "sshd")), "refuse not-eligible");
    assert_eq!(by_pam(&suite, ("dave", "root", "sshd")), "refuse not-eligible");
    let who = text(&suite.run_as("nobody", "oncall-cache who"));
    assert!(who.contains("dave (not eligible)"), "{who}");
}

#[test]
fn a36_a_roster_that_is_none_tells_nothing_and_readers_make_none() {
    let cases = [
        case("a good roster", "true", GOOD),
        case("no roster", "rm ROSTER", all("cannot-tell cache-missing")),
        case("no directory", "rm -r /var/lib/oncall-cache", all("cannot-tell cache-missing")),
        case("an empty file", ": >ROSTER", CORRUPT),
        case("half a file", "truncate -s 5000 ROSTER", CORRUPT),
        case("noise", "head -c 20000 /dev/urandom >ROSTER", CORRUPT),
    ];
    agree(&suite(), &cases);
}

#[test]
fn a37_a_roster_of_another_form_tells_nothing() {
    let cases = [
        case("a later form", "sqlite3 ROSTER 'PRAGMA user_version = 99'", VERSION),
        case("an earlier form", "sqlite3 ROSTER 'PRAGMA user_version = 0'", VERSION),
        case("another program's", "sqlite3 ROSTER 'PRAGMA application_id = 7'", CORRUPT),
    ];
    agree(&suite(), &cases);
}

#[test]
fn a38_a_roster_that_others_could_have_written_tells_nothing() {
    let cases = [
        case("writable by all", "chmod 666 ROSTER", UNTRUSTED),
        case("writable by its group", "chmod 664 ROSTER", UNTRUSTED),
        case("in a directory for all", "chmod 777 /var/lib/oncall-cache", UNTRUSTED),
        case("somebody else's", "chown dave ROSTER", UNTRUSTED),
        case("a symbolic link", "mv ROSTER ROSTER.real && ln -s ROSTER.real ROSTER", UNTRUSTED),
        case("a second name", "ln ROSTER ROSTER.twin", UNTRUSTED),
    ];
    agree(&suite(), &cases);
}

#[test]
fn a39_a_roster_with_foreign_sql_in_it_tells_nothing() {
    let cases = [
        case(
            "a trigger",
            "sqlite3 ROSTER 'CREATE TRIGGER t AFTER INSERT ON shift BEGIN DELETE FROM shift; END'",
            CORRUPT,
        ),
        case("a view", "sqlite3 ROSTER 'CREATE VIEW v AS SELECT 1'", CORRUPT),
        case("one more table", "sqlite3 ROSTER 'CREATE TABLE x (y)'", CORRUPT),
        case("an index on an expression", "sqlite3 ROSTER 'CREATE INDEX i ON shift (abs(level))'", CORRUPT),
    ];
    agree(&suite(), &cases);
}

#[test]
fn a40_a_roster_that_a_killed_writer_left_half_changed_tells_nothing_until_the_next_sync() {
    let suite = suite();
    let cases = [
        case(
            "a hot journal",
            "printf 'BEGIN;\\nUPDATE person SET eligible = 1;\\nUPDATE shift SET level = 1;\\n.shell kill -9 $PPID\\n' | sqlite3 ROSTER; test -s ROSTER-journal",
            CORRUPT,
        ),
        case(
            "a write-ahead log",
            "printf 'PRAGMA journal_mode = WAL;\\nUPDATE person SET eligible = 1;\\n.shell kill -9 $PPID\\n' | sqlite3 ROSTER; test -s ROSTER-wal",
            CORRUPT,
        ),
    ];
    for case in cases {
        agree(&suite, &[case]);
        suite.must_as("oncall-cache", "oncall-cache sync");
        assert_eq!(by_check(&suite, LOGINS[0]), "allow oncall");
        assert_eq!(by_check(&suite, LOGINS[2]), "refuse not-eligible", "nothing of the half change counts");
        assert!(!suite.host.must("ls /var/lib/oncall-cache").contains("roster.db-"));
    }
}

#[test]
fn a41_a_full_disk_leaves_what_was_known() {
    let suite = suite();
    suite.host.must(
        "mount -t tmpfs -o size=96k,mode=755,uid=$(id -u oncall-cache),gid=$(id -g oncall-cache) tmpfs /var/lib/oncall-cache
         cp -p /root/good/roster.db /var/lib/oncall-cache/
         dd if=/dev/zero of=/var/lib/oncall-cache/rest bs=1k 2>/dev/null || true",
    );
    let before = suite.host.read_bytes(ROSTER);
    suite.write_rota(&[("bob", -HOUR, HOUR)]);
    let sync = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(sync.status.code(), Some(2), "{}", text(&sync));
    assert_eq!(suite.host.read_bytes(ROSTER), before);
    for (login, expected) in LOGINS.into_iter().zip(GOOD) {
        assert_eq!(by_check(&suite, login), expected, "{login:?}");
        assert_eq!(by_pam(&suite, login), expected, "{login:?}");
    }
    suite.host.must("rm /var/lib/oncall-cache/rest");
    suite.must_as("oncall-cache", "oncall-cache sync");
    assert_eq!(by_check(&suite, ("bob", "root", "sshd")), "allow oncall");
}

#[test]
fn a42_news_that_are_too_old_or_from_the_future_tell_nothing() {
    let suite = suite();
    let cases = [
        case(
            "a day and a second without a sync",
            "sqlite3 ROSTER 'UPDATE schedule SET synced = synced - 86401'",
            all(STALE),
        ),
        case(
            "past the horizon",
            "sqlite3 ROSTER 'UPDATE schedule SET horizon = synced'",
            all("cannot-tell beyond-horizon"),
        ),
        case(
            "a clock that went back a day",
            "sqlite3 ROSTER 'UPDATE meta SET published = published + 86400'",
            all("cannot-tell clock-rollback"),
        ),
        case("two hours without a sync", "sqlite3 ROSTER 'UPDATE schedule SET synced = synced - 7200'", GOOD),
    ];
    agree(&suite, &cases);
    // The last of them is older than warn_age: valid, and that is said by everything that answers.
    let said = "but last synced 2h";
    for verb in ["test-access alice", "why alice", "who", "test-access alice --service sudo"] {
        let output = text(&suite.run_as("nobody", &format!("oncall-cache {verb}")));
        assert!(output.contains("valid") && output.contains(said), "{verb}: {output}");
    }
    let sudo = suite.run_as("alice", "sudo -n id -u");
    assert!(sudo.status.success() && sudo.stdout == b"0\n", "not on its output: {}", text(&sudo));
    assert!(text(&sudo).contains(said), "{}", text(&sudo));
    let ssh = suite.ssh("alice", "root", "id -u");
    assert!(ssh.status.success() && ssh.stdout == b"0\n", "not on its output: {}", text(&ssh));
    suite.must_as("oncall-cache", "oncall-cache sync");
    assert!(!text(&suite.run_as("alice", "sudo -n id -u")).contains("last sync"));
}

#[test]
fn without_a_configuration_the_compiled_rules_hold() {
    let cases = [
        case("no configuration", "rm /etc/authkeys/config.toml", COMPILED),
        case("one that others could have written", "chmod 666 /etc/authkeys/config.toml", COMPILED),
    ];
    agree(&suite(), &cases);
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
