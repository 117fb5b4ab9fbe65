//! What becomes of one value of somebody's key attribute: kept, or dropped and counted.

use std::collections::BTreeSet;

use harness::hostile::{Hostile, Play, ber};
use harness::slapd::Slapd;
use harness::suite::{HOUR, Suite};
use harness::text;

use super::{Site, key_of, resident, stdout};

impl Site<'_> {
    /// Live and from the copy: alice's own key and these lines are printed, and the other values are dropped for
    /// these reasons, which the sync, the log and `--explain` tell.
    fn drops(&self, values: &[(&[u8], &str)], kept: &[&str]) {
        let all: Vec<&[u8]> =
            values.iter().map(|(value, _)| *value).chain(kept.iter().map(|key| key.as_bytes())).collect();
        self.give_alice(&all);
        let own = key_of(self.suite, "alice");
        let mut expected: Vec<String> =
            kept.iter().copied().chain([own.as_str()]).map(|key| format!("{key} alice")).collect();
        expected.sort();
        self.without_copy();
        for source in ["live, from the directory", "copy, "] {
            let _ = self.suite.lines_of("authkeys");
            let output = self.run("alice");
            assert_eq!(output.status.code(), Some(0), "{}", self.why(&output));
            assert!(
                output.stdout.iter().all(|byte| *byte == b'\n' || *byte == b' ' || byte.is_ascii_graphic())
            );
            let said = stdout(&output);
            let mut lines: Vec<&str> = said.lines().collect();
            lines.sort_unstable();
            assert_eq!(lines, expected, "{source}");
            let explained = self.explained(values);
            assert!(explained.contains(&format!("\nanswer: {source}")), "{explained}");
            self.sync_tells(values.len());
        }
    }

    /// What `--explain` says of the values, in the directory's order.
    fn explained(&self, values: &[(&[u8], &str)]) -> String {
        let explained = self.suite.must_as("root", "authkeys --explain alice");
        for (number, (_, token)) in (1..).zip(values) {
            let start = format!("alice: value {number} dropped: ");
            let told = explained.lines().find(|line| line.starts_with(&start));
            assert!(
                told.is_some_and(|line| line.ends_with(&format!(" ({token})"))),
                "{number} {token}: {explained}"
            );
        }
        assert_eq!(explained.matches(" dropped: ").count(), values.len(), "{explained}");
        assert!(explained.bytes().all(|byte| byte == b'\n' || byte == b' ' || byte.is_ascii_graphic()));
        explained
    }

    fn sync_tells(&self, dropped: usize) {
        let sync = self.suite.run_as("authkeys-sync", "authkeys-sync");
        assert!(sync.status.success(), "{}", text(&sync));
        // So many lines are about one entry; then it is said that there are more.
        let (told, more) = (dropped.min(64), dropped > 64);
        assert_eq!(text(&sync).matches(" (key-rejected)").count(), told, "{}", text(&sync));
        assert_eq!(text(&sync).contains("more was dropped from this entry, which is not listed"), more);
    }
}

#[test]
fn a02_a_value_of_two_lines_is_dropped_whole() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let (first, second) = (made_keys::numbered(1), made_keys::numbered(2));
    let values: Vec<String> = ["\n", "\r\n", "\r"]
        .iter()
        .flat_map(|end| {
            [format!("{first}{end}command=\"id\" {second}"), format!("{first} x{end}{second}{end}")]
        })
        .collect();
    let values: Vec<(&[u8], &str)> = values.iter().map(|value| (value.as_bytes(), "several-lines")).collect();
    site.drops(&values, &[&made_keys::numbered(3)]);
    // A login with the hidden key fails, one with the good key does not.
    let offered = site.run(&format!("alice {second}"));
    assert_eq!((offered.status.code(), stdout(&offered).as_str()), (Some(0), ""));
    suite.host.must("gpasswd -d alice sudo");
    let login = suite.ssh("alice", "alice", "echo in");
    assert!(login.status.success() && stdout(&login) == "in\n", "alice's own key stands: {}", text(&login));
}

#[test]
fn a03_options_in_the_directory_are_never_taken_over() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = made_keys::numbered(1);
    let values: Vec<(String, &str)> = [
        ("command=\"id\"", "no-key-type"),
        ("environment=\"LD_PRELOAD=/tmp/x\"", "no-key-type"),
        ("permitopen=\"*:*\"", "no-key-type"),
        ("from=\"10.0.0.0/8\"", "no-key-type"),
        ("cert-authority", "type-not-accepted"),
        ("cert-authority,principals=\"root\"", "no-key-type"),
        ("principals=\"root\"", "no-key-type"),
        ("restrict,pty", "no-key-type"),
        ("no-touch-required", "type-not-accepted"),
        ("tunnel=\"0\"", "no-key-type"),
        ("\tcommand=\"id\"", "no-key-type"),
    ]
    .map(|(options, token)| (format!("{options} {key}"), token))
    .into();
    let values: Vec<(&[u8], &str)> = values.iter().map(|(value, token)| (value.as_bytes(), *token)).collect();
    site.drops(&values, &[&made_keys::numbered(2)]);
    assert!(!stdout(&site.run("alice")).contains('='), "no option, and these keys have no padding");
}

#[test]
fn a04_comments_and_odd_bytes_never_reach_sshd() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let keys: Vec<String> = (1..7).map(made_keys::numbered).collect();
    // What is odd about these is the comment, which nobody takes over.
    let odd: Vec<Vec<u8>> = keys
        .iter()
        .zip([
            &b"\x1b[2J\x07"[..],
            b"\xff\xfe\xc3(",
            b"\t\t  a  \x7f",
            "\u{202e}\u{e9}".as_bytes(),
            b"# \"x\" =",
            b" ",
        ])
        .map(|(key, comment)| [key.as_bytes(), b" ", comment].concat())
        .collect();
    let nul = format!("{} a\0b", made_keys::numbered(8));
    let nul_first = format!("\0{}", made_keys::numbered(8));
    let dropped: [(&[u8], &str); 8] = [
        // What is no text is counted first: that is how the LDAP library hands it on.
        (b"\xff\xfe AAAA", "no-key-type"),
        (b"ssh-ed25519 \xff\xfe", "malformed"),
        (b"# x", "no-key-type"),
        (b" ", "no-key-type"),
        (b"\t ", "no-key-type"),
        (nul.as_bytes(), "several-lines"),
        (nul_first.as_bytes(), "several-lines"),
        (b"ssh-ed25519\xc2\xa0AAAA", "no-key-type"),
    ];
    site.drops(&dropped, &[]);
    let values: Vec<&[u8]> = odd.iter().map(Vec::as_slice).collect();
    site.give_alice(&values);
    site.without_copy();
    for _source in ["live", "copy"] {
        let said = stdout(&site.run("alice"));
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        let own = key_of(&suite, "alice");
        let mut expected: Vec<String> = keys.iter().chain([&own]).map(|key| format!("{key} alice")).collect();
        expected.sort();
        assert_eq!(lines, expected);
        suite.sync_keys();
    }
}

#[test]
fn a05_types_that_are_not_accepted_and_false_labels_are_dropped() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.host.must(
        "cd /root/keys && ssh-keygen -qt dsa -N '' -f dsa && ssh-keygen -qt rsa -b 1024 -N '' -f rsa1024 &&
         ssh-keygen -qt rsa -b 2048 -N '' -f rsa2048 && ssh-keygen -qt ecdsa -b 384 -N '' -f p384 &&
         ssh-keygen -qs dsa -I x -n root carol.pub 2>/dev/null || ssh-keygen -qs rsa2048 -I x -n root carol.pub",
    );
    let made = |name: &str| suite.host.read(&format!("/root/keys/{name}.pub")).trim().to_string();
    let without_comment = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let own = key_of(&suite, "bob");
    let blob = own.split(' ').nth(1).expect("TYPE BASE64");
    let ecdsa = made("p384").replace("ecdsa-sha2-nistp384 ", "ecdsa-sha2-nistp256 ");
    let values: Vec<(String, &str)> = vec![
        (made("dsa"), "type-not-accepted"),
        (made("carol-cert"), "type-not-accepted"),
        (made("rsa1024"), "weak-rsa"),
        (format!("ssh-xyz {blob}"), "type-not-accepted"),
        (format!("SSH-ED25519 {blob}"), "type-not-accepted"),
        (format!("ssh-rsa {blob}"), "malformed"),
        (ecdsa, "malformed"),
        (made("rsa2048").replace("ssh-rsa ", "ssh-ed25519 "), "malformed"),
        (format!("ssh-ed25519 {}", &blob[..blob.len() - 4]), "malformed"),
        (format!("ssh-ed25519 {blob}AAAA"), "malformed"),
        ("ssh-ed25519".to_string(), "malformed"),
    ];
    let values: Vec<(&[u8], &str)> = values.iter().map(|(value, token)| (value.as_bytes(), *token)).collect();
    let kept = [without_comment(made("rsa2048")), without_comment(made("p384"))];
    site.drops(&values, &[&kept[0], &kept[1]]);
    suite.host.write("/tmp/lines", stdout(&site.run("alice")), 0o644);
    assert_eq!(suite.host.must("ssh-keygen -l -f /tmp/lines").lines().count(), 3);
}

/// Weak keys that are refused for exactly one reason, with it; of RSA a few, since there are as many as small primes.
fn weak_keys() -> Vec<(String, &'static str)> {
    let mut moduli = 0;
    let mut few = |token| {
        moduli += usize::from(token == "rsa-modulus");
        token != "rsa-modulus" || moduli < 10
    };
    let weak = made_keys::weak().into_iter();
    let one = weak.filter_map(|weak| match weak.tokens[..] {
        [token] if few(token) => Some((weak.line, token)),
        _ => None,
    });
    one.collect()
}

#[test]
fn keys_that_need_no_private_key_are_dropped_whoever_writes_them() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let weak = weak_keys();
    let tokens: BTreeSet<&str> = weak.iter().map(|(_, token)| *token).collect();
    for token in ["small-order", "not-canonical", "not-on-curve", "rsa-modulus", "rsa-exponent", "malformed"]
    {
        assert!(tokens.contains(token), "{tokens:?}");
    }
    let values: Vec<(&[u8], &str)> = weak.iter().map(|(line, token)| (line.as_bytes(), *token)).collect();
    site.drops(&values, &[&made_keys::numbered(1)]);
    // One that is offered opens nothing; it is no mistake of sshd's.
    for (line, token) in weak.iter().filter(|(_, token)| *token != "malformed").step_by(7) {
        let output = site.run(&format!("alice {line}"));
        assert_eq!(
            (output.status.code(), stdout(&output).as_str()),
            (Some(0), ""),
            "{token} {}",
            text(&output)
        );
    }
    let doctor = suite.host.sh("oncall-cache doctor");
    for said in
        ["warning   weak-key", "alice value ", " so anybody can sign (small-order)", "note      refused-key"]
    {
        assert!(text(&doctor).contains(said), "{said}: {}", text(&doctor));
    }
}

#[test]
fn a_weak_key_in_the_copy_of_an_earlier_release_is_nobodys() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let small_order: Vec<String> = made_keys::small_order().into_iter().map(|weak| weak.line).collect();
    let own = key_of(&suite, "alice");
    let fingerprint = |line: &str| {
        let blob = line.split(' ').nth(1).expect("TYPE BASE64");
        suite.host.must(&format!("printf %s {blob} | base64 -d | sha256sum | cut -c1-64")).trim().to_string()
    };
    let rows: Vec<String> = (small_order.iter())
        .map(|line| format!("INSERT INTO public_key VALUES ('alice', X'{}', '{line}');", fingerprint(line)))
        .collect();
    suite.host.must(&format!("sqlite3 /var/lib/authkeys/keys.db \"{}\"", rows.concat()));
    for account in ["alice", "root"] {
        let printed = suite.must_as("authkeys", &format!("authkeys {account}"));
        // People off call are told so.
        let opening: Vec<&str> =
            printed.lines().filter(|line| !line.starts_with("restrict,command=")).collect();
        assert_eq!(opening, [format!("{own} alice")], "{account}");
    }
    let explained = suite.must_as("root", "authkeys --explain alice");
    assert_eq!(explained.matches("alice: key SHA256:").count(), small_order.len(), "{explained}");
    assert_eq!(explained.matches(" (small-order)\n").count(), small_order.len(), "{explained}");
    // The people are still read, and PAM asks whose key it was.
    assert!(suite.run_as("oncall-cache", "oncall-cache sync").status.success());
    let opens = |line: &str| {
        let variable = format!("SSH_AUTH_INFO_0=publickey {line}\n");
        suite.host.sh(&format!("pamtester -E '{variable}' sshd root open_session")).status.success()
    };
    assert!(opens(&own));
    for line in &small_order {
        assert!(!opens(line), "{line}");
    }
}

#[test]
fn a06_ten_thousand_keys_are_too_many_and_the_offered_one_is_found() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let keys: Vec<String> = (0..10_000u32).map(made_keys::numbered).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    site.slapd.add_person("many", "", &keys);
    let measured = suite.run_as("authkeys", "/usr/bin/time -f %M -o /tmp/rss authkeys many");
    assert_eq!((measured.status.code(), stdout(&measured).as_str()), (Some(2), ""), "{}", text(&measured));
    assert!(text(&measured).contains("10000 keys, limit 64"), "{}", text(&measured));
    assert!(resident(&suite) < 64 * 1024, "{} KiB", resident(&suite));
    let output = site.run(&format!("many {}", keys[7_000]));
    assert_eq!(stdout(&output), format!("{} many\n", keys[7_000]), "{}", text(&output));
    suite.sync_keys();
    site.cannot_tell("many", "too-many-keys");
}

#[test]
fn a07_a_value_of_fifty_megabytes_ends_the_child_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let value = vec![b'x'; 50_000_000];
    let turns = vec![vec![ber::bind_success()], vec![ber::person("alice", &[&value]), ber::done(0)]];
    site.configure(&[Hostile::LDAPS_URL], "timeout = '10s'");
    site.hostile.play(Play::Answers(turns));
    let output = suite.run_as("authkeys", "/usr/bin/time -f %M -o /tmp/rss authkeys alice");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", text(&output));
    assert!(resident(&suite) < 64 * 1024, "{} KiB", resident(&suite));
    // It is alice's trouble; bob is asked about as before.
    site.configure(&[Slapd::LDAPS_URL], "");
    assert_eq!(stdout(&site.run("bob")), format!("{} bob\n", key_of(&suite, "bob")));
}
