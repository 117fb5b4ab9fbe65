//! `authkeys` against a directory that answers, is away, or means harm; through the real programs.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::{Duration, Instant};

use harness::hostile::{Certificate, Hostile, Number, Play, ber};
use harness::slapd::Slapd;
use harness::suite::{DAY, HOUR, Suite, now};
use harness::{text, wait_until};

/// A whole configuration; `keys` goes into [keys].
fn config(urls: &[&str], keys: &str) -> String {
    let directory = Slapd::section(urls);
    format!("[host]\nname = \"testhost\"\n{directory}deadline = \"10s\"\n[keys]\n{keys}\n")
}

/// A machine whose people are in LDAP, with a hostile server beside the good one.
struct Site<'a> {
    suite: &'a Suite,
    slapd: Slapd<'a>,
    hostile: Hostile,
}

const MEMORY: &str = "/var/cache/authkeys";

impl<'a> Site<'a> {
    fn start(suite: &'a Suite) -> Self {
        let slapd = Slapd::start(&suite.host);
        slapd.furnish(suite, |name| format!("{name}@example.com"));
        let hostile = Hostile::start(&suite.host, slapd.ca_pem());
        let host = &suite.host;
        host.write("/etc/authkeys/ldap-ca.pem", format!("{}{}", slapd.ca_pem(), hostile.ca_pem()), 0o644);
        let site = Self { suite, slapd, hostile };
        site.configure(&[Slapd::LDAPS_URL], "");
        site
    }

    fn configure(&self, urls: &[&str], keys: &str) {
        self.suite.host.write("/etc/authkeys/config.toml", config(urls, keys), 0o644);
    }

    /// `authkeys ARGUMENTS` as the user that sshd runs it as.
    fn run(&self, arguments: &str) -> Output {
        self.suite.run_as("authkeys", &format!("exec authkeys {arguments}"))
    }

    /// Prints exactly alice's key; the line in the log.
    fn serves_alice(&self) -> String {
        let _ = self.suite.lines_of("authkeys");
        let output = self.run("alice");
        assert_eq!(
            stdout(&output),
            format!("{} alice\n", key_of(self.suite, "alice")),
            "{}",
            self.why(&output)
        );
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        self.one_line()
    }

    /// Prints nothing and exits 0: known to have no keys; the line in the log.
    fn knows_none_for(&self, name: &str) -> String {
        let _ = self.suite.lines_of("authkeys");
        let output = self.run(name);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""), "{}", text(&output));
        self.one_line()
    }

    /// Prints nothing and fails with `reason`; the line in the log.
    fn cannot_tell(&self, name: &str, reason: &str) -> String {
        let _ = self.suite.lines_of("authkeys");
        let output = self.run(name);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", text(&output));
        assert!(!text(&output).contains(Slapd::BIND_PASSWORD), "{}", text(&output));
        let line = self.one_line();
        assert!(line.contains(&format!("decision=unknown reason={reason} ")), "expected {reason}: {line}");
        line
    }

    fn one_line(&self) -> String {
        let lines = self.suite.lines_of("authkeys");
        assert_eq!(lines.len(), 1, "one line for one decision: {lines:#?}");
        lines.into_iter().next().unwrap_or_default()
    }

    fn why(&self, output: &Output) -> String {
        format!("{} {:#?}", text(output), self.suite.lines_of("authkeys"))
    }

    /// Makes the copy as old as if the last sync had been so many seconds ago.
    fn age_copy(&self, seconds: i64) {
        self.suite.host.must(&format!(
            "cd /var/lib/authkeys && generation=$(cut -d' ' -f1 keys.stamp) && at=$(($(date +%s) - {seconds})) &&
             sqlite3 keys.db \"UPDATE meta SET synced = $at\" && echo $generation $at >keys.stamp"
        ));
    }

    /// The same for every answer that is remembered.
    fn age_memory(&self, seconds: i64) {
        self.suite.host.must(&format!(
            "sqlite3 {MEMORY}/lookups.db \"UPDATE answer SET asked = $(date +%s) - {seconds}\""
        ));
    }

    /// Forgets that the directory was found down.
    fn forget_outages(&self) {
        self.suite.host.must(&format!("rm -f {MEMORY}/down*"));
    }

    /// Nothing is left of what the directory said before.
    fn without_copy(&self) {
        self.suite.host.must(&format!("rm -f /var/lib/authkeys/* {MEMORY}/lookups.db*"));
    }

    /// From now on only the hostile server is asked; every answer has a second.
    fn face(&self, url: &str, play: Play) {
        self.configure(&[url], "deadline = '1s'");
        self.hostile.play(play);
        self.forget_outages();
    }

    /// Records the conversation about alice, whose key slapd has.
    fn record(&self) -> usize {
        self.without_copy();
        self.configure(&[Hostile::LDAPS_URL], "deadline = '5s'");
        self.hostile.play(Play::Proxy);
        self.serves_alice();
        let recorded = self.hostile.recorded();
        self.without_copy();
        assert_eq!(recorded.len(), 2, "bind and search");
        recorded.iter().map(Vec::len).sum()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `TYPE BASE64`.
fn key_of(suite: &Suite, name: &str) -> String {
    suite.public_key(name).rsplit_once(' ').map(|(key, _)| key.to_string()).expect("a comment")
}

/// Runs `action`, which must take from `least` to `most` milliseconds.
fn timed<T>(least: u64, most: u64, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = action();
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(least)..=Duration::from_millis(most)).contains(&took),
        "took {took:?}, expected {least} to {most} ms"
    );
    result
}

#[test]
fn a_fresh_copy_needs_no_directory_and_an_older_one_asks_it() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync_keys();
    let stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnFMGpZIBdoJ51sSTzbGF+TPdJsyKHXxmErQvWJy5o";
    site.slapd.add_person("eve", "", &[stranger]);
    // Fresh: a person whom it does not know is known not to be there.
    assert!(site.knows_none_for("eve").contains("reason=no-such-user"));
    site.age_copy(301);
    let before = std::fs::read(suite.host.path("/var/lib/authkeys/keys.db")).expect("the copy");
    let line = site.serves_alice();
    assert!(line.contains("reason=keys keys=1 owners=alice source=directory"), "{line}");
    assert_eq!(stdout(&site.run("eve")), format!("{stranger} eve\n"));
    let after = std::fs::read(suite.host.path("/var/lib/authkeys/keys.db")).expect("the copy");
    assert!(before == after, "a live answer never reaches the copy");
    for url in [Slapd::LDAP_URL, Slapd::LDAPS_URL] {
        site.configure(&[url], "");
        site.serves_alice();
    }
    // Each of these is worth asking live, and says so.
    for (damage, token) in [
        ("rm keys.db", "cache-missing"),
        ("echo damaged >keys.db", "cache-corrupt"),
        ("chmod o+w keys.db", "file-untrusted"),
        ("sqlite3 keys.db 'PRAGMA user_version = 99'", "cache-version"),
        ("sqlite3 keys.db \"UPDATE meta SET scope = 'ldap base=dc=other'\"", "cache-stale"),
    ] {
        suite.host.must("rm -f /var/lib/authkeys/*");
        suite.sync_keys();
        suite.host.must(&format!("cd /var/lib/authkeys && {damage}"));
        let line = site.serves_alice();
        assert!(line.contains(&format!("source=directory copy={token}")), "{damage}: {line}");
    }
}

impl Site<'_> {
    /// Gives alice these values of the key attribute, and her own key after them.
    fn give_alice(&self, values: &[&[u8]]) {
        let mut ldif = format!("dn: uid=alice,{}\nchangetype: modify\nreplace: sshPublicKey\n", Slapd::BASE);
        let own = key_of(self.suite, "alice");
        for value in values.iter().copied().chain([own.as_bytes()]) {
            ldif += &format!("sshPublicKey:: {}\n", harness::slapd::base64(value));
        }
        self.slapd.modify(&ldif);
    }

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
        assert_eq!(text(&sync).contains("what else was dropped of this entry is not told"), more);
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
        // Whoever is off call is told so.
        let opening: Vec<&str> =
            printed.lines().filter(|line| !line.starts_with("restrict,command=")).collect();
        assert_eq!(opening, [format!("{own} alice")], "{account}");
    }
    let explained = suite.must_as("root", "authkeys --explain alice");
    assert_eq!(explained.matches("alice: key SHA256:").count(), small_order.len(), "{explained}");
    assert_eq!(explained.matches(" (small-order)\n").count(), small_order.len(), "{explained}");
    let doctor = text(&suite.host.sh("oncall-cache doctor"));
    assert!(doctor.contains("weak-key") && doctor.contains("alice key SHA256:"), "{doctor}");
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
    let start = Instant::now();
    let measured = suite.run_as("authkeys", "/usr/bin/time -f %M -o /tmp/rss authkeys many");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((measured.status.code(), stdout(&measured).as_str()), (Some(2), ""), "{}", text(&measured));
    assert!(text(&measured).contains("10000 keys, limit 64"), "{}", text(&measured));
    assert!(resident(&suite) < 64 * 1024, "{} KiB", resident(&suite));
    let output = site.run(&format!("many {}", keys[7_000]));
    assert_eq!(stdout(&output), format!("{} many\n", keys[7_000]), "{}", text(&output));
    suite.sync_keys();
    site.cannot_tell("many", "too-many-keys");
}

/// KiB that the run of /usr/bin/time took at most, its children included.
fn resident(suite: &Suite) -> u64 {
    let said = suite.host.read("/tmp/rss");
    suite.host.must("rm /tmp/rss");
    let kibibytes = said.trim().lines().last().and_then(|line| line.parse().ok()).expect("a number");
    println!("peak memory of authkeys with its child: {kibibytes} KiB");
    suite.host.write("/tmp/rss", said, 0o666);
    kibibytes
}

#[test]
fn a07_a_value_of_fifty_megabytes_ends_the_child_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let value = vec![b'x'; 50_000_000];
    let turns = vec![vec![ber::bind_success()], vec![ber::person("alice", &[&value]), ber::done(0)]];
    site.configure(&[Hostile::LDAPS_URL], "deadline = '10s'");
    site.hostile.play(Play::Answers(turns));
    let output = suite.run_as("authkeys", "/usr/bin/time -f %M -o /tmp/rss authkeys alice");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", text(&output));
    assert!(resident(&suite) < 64 * 1024, "{} KiB", resident(&suite));
    // It is alice's trouble; bob is asked about as before.
    site.configure(&[Slapd::LDAPS_URL], "");
    assert_eq!(stdout(&site.run("bob")), format!("{} bob\n", key_of(&suite, "bob")));
}

#[test]
fn a08_a09_another_spelling_and_a_second_entry_are_ambiguous() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = suite.public_key("bob");
    // slapd compares uid without case: it finds this entry for eve.
    site.slapd.add_person("Eve", "", &[&key]);
    site.cannot_tell("eve", "ldap-ambiguous");
    let twin = |name: &str| {
        format!(
            "dn: cn={name},{}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\ncn: {name}\nsn: x\nuid: alice\nsshPublicKey: {key}\n",
            Slapd::BASE
        )
    };
    suite.sync_keys();
    site.slapd.modify(&twin("twin"));
    // What the directory said before does not hide what it says now.
    site.age_copy(400);
    site.cannot_tell("alice", "ldap-ambiguous");
    site.without_copy();
    let line = site.cannot_tell("alice", "ldap-ambiguous");
    assert!(line.contains("2\\x20entries"), "{line}");
    site.slapd.delete(&format!("cn=twin,{}", Slapd::BASE));
    site.serves_alice();
    site.slapd.modify(&format!("dn: uid=alice,{}\nchangetype: modify\nadd: uid\nuid: bob\n", Slapd::BASE));
    site.cannot_tell("alice", "ldap-ambiguous");
}

#[test]
fn a10_referrals_references_and_aliases_lead_nowhere() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let elsewhere = "ldap://127.0.0.1:7636/dc=example,dc=com";
    site.slapd.modify(&format!(
        "dn: ou=elsewhere,{base}\nchangetype: add\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\nref: {elsewhere}\n
dn: uid=ghost,{base}\nchangetype: add\nobjectClass: alias\nobjectClass: extensibleObject\nuid: ghost\naliasedObjectName: uid=alice,{base}\n",
        base = Slapd::BASE
    ));
    site.hostile.play(Play::Plain(Vec::new()));
    // Somebody of that name may be there as well, and it may be there that a name is.
    for name in ["alice", "ghost"] {
        let line = site.cannot_tell(name, "ldap-partial");
        assert!(line.contains("refers\\x20to"), "{line}");
    }
    let ignoring =
        |urls: &[&str]| config(urls, "deadline = '1s'").replace("[keys]", "referrals = 'ignore'\n[keys]");
    suite.host.write("/etc/authkeys/config.toml", ignoring(&[Slapd::LDAPS_URL]), 0o644);
    site.forget_outages();
    site.serves_alice();
    assert!(site.knows_none_for("ghost").contains("reason=no-such-user"));
    assert_eq!(site.hostile.counted(), (0, 0));
    let key = key_of(&suite, "alice");
    let person = ber::person("alice", &[key.as_bytes()]);
    for end in [vec![person.clone(), ber::referral(elsewhere)], vec![ber::referral(elsewhere)]] {
        site.without_copy();
        site.face(Hostile::LDAPS_URL, Play::Answers(vec![vec![ber::bind_success()], end]));
        site.cannot_tell("alice", "ldap-partial");
        assert_eq!(site.hostile.counted(), (1, 2), "one connection, bind and search");
    }
    let turns =
        |url| vec![vec![ber::bind_success()], vec![ber::reference(url), person.clone(), ber::done(0)]];
    site.without_copy();
    site.face(Hostile::LDAPS_URL, Play::Answers(turns(elsewhere)));
    site.cannot_tell("alice", "ldap-partial");
    site.forget_outages();
    suite.host.write("/etc/authkeys/config.toml", ignoring(&[Hostile::LDAPS_URL]), 0o644);
    site.serves_alice();
    assert_eq!(site.hostile.counted().0, 2);
    // Active Directory's own, where no people are.
    site.without_copy();
    let zones = "ldap://ForestDnsZones.example.com/DC=ForestDnsZones,DC=example,DC=com";
    site.face(Hostile::LDAPS_URL, Play::Answers(turns(zones)));
    site.serves_alice();
}

#[test]
fn an_entry_that_is_not_below_the_base_is_not_a_persons() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = key_of(&suite, "bob");
    for dn in [
        "uid=alice,ou=robots,dc=example,dc=com",
        "uid=alice,ou=otherpeople,dc=example,dc=com",
        "uid=alice\\,ou=people\\,dc=example\\,dc=com",
        "uid=alice,ou=people,dc=example,dc=com,dc=org",
        "alice",
    ] {
        let entry = ber::entry(dn, &[("uid", &[b"alice"]), ("sshPublicKey", &[key.as_bytes()])]);
        site.without_copy();
        site.face(
            Hostile::LDAPS_URL,
            Play::Answers(vec![vec![ber::bind_success()], vec![entry, ber::done(0)]]),
        );
        site.cannot_tell("alice", "ldap-ambiguous");
    }
}

#[test]
fn an_attribute_that_comes_twice_is_taken_together() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let (dn, key) = ("uid=alice,ou=people,dc=example,dc=com", key_of(&suite, "alice"));
    let keys: (&str, &[&[u8]]) = ("sshPublicKey", &[key.as_bytes()]);
    let play = |attributes: &[(&str, &[&[u8]])]| {
        let entry = ber::entry(dn, attributes);
        site.without_copy();
        site.face(
            Hostile::LDAPS_URL,
            Play::Answers(vec![vec![ber::bind_success()], vec![entry, ber::done(0)]]),
        );
    };
    for lock in ["nsAccountLock", "NSACCOUNTLOCK"] {
        play(&[("uid", &[b"alice"]), keys, ("nsAccountLock", &[b"TRUE"]), (lock, &[b"FALSE"])]);
        assert!(site.knows_none_for("alice").contains("reason=account-disabled"), "{lock}");
    }
    play(&[("uid", &[b"bob"]), keys, ("UID", &[b"alice"])]);
    site.cannot_tell("alice", "ldap-ambiguous");
    let other = key_of(&suite, "bob");
    play(&[("uid", &[b"alice"]), keys, ("sshPublicKey", &[other.as_bytes()])]);
    assert_eq!(stdout(&site.run("alice")).lines().count(), 2, "both keys");
}

#[test]
fn what_nobody_asked_for_makes_an_answer_none_and_nothing_is_remembered() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = key_of(&suite, "alice");
    let person = || (Number::Asked, ber::person("alice", &[key.as_bytes()]));
    let done = || (Number::Asked, ber::done(0));
    let strange = || ber::person("alice", &[key_of(&suite, "bob").as_bytes()]);
    for (what, answer) in [
        ("an entry after the result", vec![person(), done(), (Number::Asked, strange())]),
        ("a second result", vec![person(), done(), done()]),
        ("an entry under another number", vec![(Number::Other, strange()), person(), done()]),
        ("a result under another number", vec![(Number::Other, ber::done(0)), person(), done()]),
        ("one after the result", vec![person(), done(), (Number::Other, strange())]),
        ("somebody's absence, and then more", vec![done(), person()]),
    ] {
        site.without_copy();
        let turns = vec![vec![(Number::Asked, ber::bind_success())], answer];
        site.face(Hostile::LDAPS_URL, Play::Numbered(turns));
        site.cannot_tell("alice", "ldap-unavailable");
        let kept =
            suite.host.must(&format!("sqlite3 {MEMORY}/lookups.db 'SELECT count(*) FROM answer' || echo 0"));
        assert_eq!(kept, "0\n", "{what}");
    }
    // The same conversation without it.
    site.face(
        Hostile::LDAPS_URL,
        Play::Numbered(vec![vec![(Number::Asked, ber::bind_success())], vec![person(), done()]]),
    );
    site.serves_alice();
}

#[test]
fn a11_entries_that_end_in_an_error_are_not_believed() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let stranger = made_keys::numbered(1);
    let turns = |code| {
        let person = ber::person("alice", &[stranger.as_bytes()]);
        Play::Answers(vec![vec![ber::bind_success()], vec![person, ber::done(code)]])
    };
    for code in [4, 3, 51] {
        site.without_copy();
        site.face(Hostile::LDAPS_URL, turns(code));
        site.cannot_tell("alice", "ldap-partial");
        site.configure(&[Slapd::LDAPS_URL], "");
        suite.sync_keys();
        site.age_copy(400);
        site.face(Hostile::LDAPS_URL, turns(code));
        let line = site.serves_alice();
        assert!(line.contains("reason=keys-stale") && line.contains("directory=ldap-partial"), "{line}");
    }
}

#[test]
fn a_server_that_repeats_the_password_does_not_bring_it_into_the_log() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    // Also where it would be cut, or stands among bytes that are replaced.
    for repeated in [
        Slapd::BIND_PASSWORD.to_string(),
        format!("{}{}", "x".repeat(190), Slapd::BIND_PASSWORD),
        format!("\u{e9}\n{}\0", Slapd::BIND_PASSWORD),
    ] {
        for (turns, reason) in [
            (vec![vec![ber::refused(true, 49, &repeated)]], "ldap-unavailable"),
            (vec![vec![ber::bind_success()], vec![ber::refused(false, 51, &repeated)]], "ldap-partial"),
        ] {
            site.face(Hostile::LDAPS_URL, Play::Answers(turns.clone()));
            let start = &Slapd::BIND_PASSWORD[..6];
            let live = site.cannot_tell("alice", reason);
            let sync = suite.run_as("authkeys-sync", "authkeys-sync");
            for said in [live, text(&site.run("alice")), text(&sync)] {
                assert!(!said.contains(start), "{reason}: {said}");
            }
            let kept = suite.host.must(&format!("grep -rc '{start}' {MEMORY} | grep -v ':0$' || true"));
            assert_eq!(kept, "");
        }
    }
}

#[test]
fn a11_a_part_of_a_persons_values_is_no_answer() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = key_of(&suite, "alice");
    for name in ["sshPublicKey;range=0-1499", "uid;range=0-1", "nsAccountLock;range=0-0"] {
        let person = ber::person_with("alice", name, &[key.as_bytes()]);
        let turns = vec![vec![ber::bind_success()], vec![person, ber::done(0)]];
        site.face(Hostile::LDAPS_URL, Play::Answers(turns));
        assert!(site.cannot_tell("alice", "ldap-partial").contains("range"), "{name}");
    }
}

#[test]
fn a09_the_copy_and_a_live_question_have_one_rule_for_a_second_claim() {
    for claim in ["uid: DAVE", "uid;lang-en: dave"] {
        let suite = Suite::start();
        let site = Site::start(&suite);
        let plain = if claim.starts_with("uid;") { "uid: twin\n" } else { "" };
        site.slapd.modify(&format!(
            "dn: cn=twin,{}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\ncn: twin\nsn: x\n{plain}{claim}\n",
            Slapd::BASE
        ));
        site.cannot_tell("dave", "ldap-ambiguous");
        suite.sync_keys();
        assert!(site.knows_none_for("dave").contains("reason=no-such-user"), "{claim}");
    }
}

#[test]
fn a12_without_tls_nothing_is_asked() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let refused = ber::start_tls_refused();
    for answer in
        [refused.clone(), refused[..9].to_vec(), Vec::new(), b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]
    {
        site.face(Hostile::LDAP_URL, Play::Plain(answer));
        timed(0, 2_500, || site.cannot_tell("alice", "ldap-unavailable"));
        let plain = site.hostile.plain();
        assert_eq!(plain.len(), 31, "StartTLS and nothing else: {plain:?}");
        // ldaps to a server without TLS.
        site.face(Hostile::LDAPS_URL, Play::Plain(b"not TLS".to_vec()));
        site.cannot_tell("alice", "ldap-unavailable");
        let plain = site.hostile.plain();
        let password = Slapd::BIND_PASSWORD.as_bytes();
        assert!(!plain.windows(password.len()).any(|bytes| bytes == password));
    }
}

#[test]
fn a13_a_certificate_that_is_not_right_ends_the_conversation() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.record();
    for kind in
        [Certificate::Expired, Certificate::Early, Certificate::OtherName, Certificate::OtherAuthority]
    {
        site.face(Hostile::LDAPS_URL, Play::Proxy);
        site.hostile.show(kind);
        let _ = site.hostile.counted();
        site.cannot_tell("alice", "ldap-unavailable");
        assert_eq!(site.hostile.counted(), (1, 0), "{kind:?}: no bind, no search");
    }
    site.face(Hostile::LDAPS_URL, Play::Proxy);
    site.hostile.show(Certificate::Good);
    site.serves_alice();
}

#[test]
fn a14_silence_and_a_byte_a_second_end_at_the_deadline() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync_keys();
    let copy =
        ["keys.db", "keys.stamp"].map(|name| suite.host.read_bytes(&format!("/var/lib/authkeys/{name}")));
    site.record();
    for play in [Play::Silence, Play::Drip, Play::Stall(0), Play::Endless(vec![0x30, 0x84])] {
        site.face(Hostile::LDAPS_URL, play.clone());
        // Nothing to fall back on.
        site.without_copy();
        timed(0, 2_500, || site.cannot_tell("alice", "ldap-unavailable"));
        // A fresh copy is not even asked for; an older one is served.
        for (name, bytes) in ["keys.db", "keys.stamp"].iter().zip(&copy) {
            suite.host.write(&format!("/var/lib/authkeys/{name}"), bytes, 0o640);
            suite.host.must(&format!("chown authkeys-sync:authkeys /var/lib/authkeys/{name}"));
        }
        let _ = site.hostile.counted();
        site.serves_alice();
        assert_eq!(site.hostile.counted().0, 0, "a fresh copy needs no question");
        site.forget_outages();
        site.age_copy(400);
        let line = timed(800, 2_500, || site.serves_alice());
        assert!(line.contains("reason=keys-stale"), "{play:?}: {line}");
        let _ = site.hostile.counted();
        let line = site.serves_alice();
        assert!(line.contains("reason=keys-stale"), "{play:?}: {line}");
        assert_eq!(site.hostile.counted().0, 0, "{play:?}: no second question");
    }
}

#[test]
fn an_outage_is_everybodys_also_on_a_host_that_starts_programs_slowly() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync_keys();
    site.age_copy(400);
    site.configure(&[Hostile::LDAPS_URL], "deadline = '3s'");
    site.hostile.play(Play::Silence);
    suite.host.must(
        "mv /usr/bin/authkeys-sync /usr/bin/authkeys-sync.real
         printf '#!/bin/sh\nsleep 0.25\nexec /usr/bin/authkeys-sync.real \"$@\"\n' >/usr/bin/authkeys-sync
         chmod 755 /usr/bin/authkeys-sync",
    );
    let line = timed(2_000, 4_500, || site.serves_alice());
    assert!(line.contains("setting\\x20up\\x20TLS"), "the child has said so itself: {line}");
    assert_eq!(suite.host.must(&format!("ls {MEMORY} | grep down")), "down\n");
    timed(0, 1_200, || site.knows_none_for("nobody.here"));
    assert_eq!(site.hostile.counted().0, 1);
}

/// Runs `authkeys alice` so many times, and so many at once, by somebody who leaves no marks; each line of what
/// is printed is one run's exit status, milliseconds and output.
fn storm(suite: &Suite, runs: usize, at_once: usize) -> Vec<(i32, u64, String)> {
    let script = format!(
        "seq {runs} | xargs -P {at_once} -I@ sh -c 'start=$(date +%s%N); out=$(timeout 20 authkeys alice 2>/dev/null); code=$?; \
         echo $code $((($(date +%s%N) - start) / 1000000)) $out'"
    );
    let said = suite.must_as("root", &script);
    let runs_said: Vec<_> = said
        .lines()
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let code = words.next().and_then(|word| word.parse().ok()).expect("a status");
            let took = words.next().and_then(|word| word.parse().ok()).expect("a time");
            (code, took, words.next().unwrap_or_default().to_string())
        })
        .collect();
    assert_eq!(runs_said.len(), runs, "{said}");
    runs_said
}

impl Site<'_> {
    /// A run of `authkeys alice` for each of `length` offsets, at which the server leaves it by `play`: it knows
    /// nothing, prints nothing and ends in time. At the last `slack` offsets the answer may be there already.
    fn left_at_every_offset(&self, length: usize, slack: usize, play: fn(usize) -> Play) {
        let whole = format!("{} alice", key_of(self.suite, "alice"));
        let mut left: BTreeSet<usize> = (0..length).collect();
        let _ = self.hostile.stalled_at();
        // A busy machine may end a run before it meets its offset: that one has another turn.
        for _ in 0..5 {
            let start = Instant::now();
            self.hostile.queue(left.iter().copied().map(play).collect(), Play::Silence);
            let runs = storm(self.suite, left.len(), 100);
            let slowest = runs.iter().map(|(_, took, _)| *took).max().unwrap_or_default();
            println!("{} of {length} offsets in {:?}, the slowest {slowest} ms", left.len(), start.elapsed());
            assert!(slowest < 5_000, "{slowest} ms");
            let (known, unknown): (Vec<_>, Vec<_>) = runs.into_iter().partition(|(code, _, _)| *code == 0);
            assert!(known.len() <= slack && known.iter().all(|(_, _, said)| *said == whole), "{known:?}");
            assert!(unknown.iter().all(|(code, _, said)| (*code, said.as_str()) == (2, "")), "{unknown:?}");
            let met = self.hostile.stalled_at();
            left.retain(|offset| !met.contains(offset));
            if left.iter().all(|offset| offset + slack >= length) {
                return;
            }
        }
        panic!("no run met these offsets: {left:?}");
    }
}

#[test]
fn a14_a_server_that_stalls_or_leaves_at_any_byte_of_its_answer_is_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let length = site.record();
    site.configure(&[Hostile::LDAPS_URL], "deadline = '1s'");
    site.left_at_every_offset(length, 0, Play::Stall);
    site.left_at_every_offset(length, 0, Play::Close);
    // And the whole answer is one.
    site.hostile.queue(vec![Play::Stall(length)], Play::Silence);
    assert_eq!(storm(&suite, 1, 1)[0].0, 0);
}

#[test]
fn a14_a_server_that_stalls_at_any_byte_on_the_wire_is_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.record();
    site.configure(&[Hostile::LDAPS_URL], "deadline = '1s'");
    site.hostile.queue(vec![Play::StallOnWire(usize::MAX)], Play::Silence);
    assert_eq!(storm(&suite, 1, 1)[0].0, 0);
    // From the first byte of the handshake, in which signatures differ in length by a few bytes.
    site.left_at_every_offset(site.hostile.said_on_wire(), 8, Play::StallOnWire);
}

#[test]
fn a14_what_is_no_ldap_is_a_directory_that_is_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for (bytes, what) in [
        (b"\x30\x00".to_vec(), "an empty message"),
        (b"\x30\x03\x02\x01\x02".to_vec(), "one element alone"),
        (
            b"\x30\x10\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00\xa0\x02\x30\x00".to_vec(),
            "a bad control",
        ),
        (b"\x30\x05\x02\x01\x02\x7f\x00".to_vec(), "an unknown operation"),
        (b"\x30\x06\x02\x01\x02\x64\x7f\x00".to_vec(), "an inner length beyond the outer"),
        (b"\x30\x88\x00\x00\x00\x80\x00\x00\x00\x00".to_vec(), "a length of 2^39"),
        (b"\x30\x80".to_vec(), "an indefinite length"),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), "another protocol"),
        (vec![0xff; 4096], "noise"),
        (ber::nested(20_000), "nesting"),
        (ber::nested(60_000), "nesting that no stack holds"),
    ] {
        site.face(Hostile::LDAPS_URL, Play::Raw(bytes));
        let line = timed(0, 3_000, || site.cannot_tell("alice", "ldap-unavailable"));
        println!("{what}: {line}");
    }
    // Endless: memory stays bounded.
    site.face(Hostile::LDAPS_URL, Play::Endless([&b"\x30\x85\x80\0\0\0\0"[..], &[0x04; 65_536]].concat()));
    let output = suite.run_as("authkeys", "/usr/bin/time -f %M -o /tmp/rss authkeys alice");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", text(&output));
    assert!(resident(&suite) < 64 * 1024, "{} KiB", resident(&suite));
}

#[test]
fn a16_who_is_gone_stays_gone_when_the_directory_goes_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for mode in ["replica", "lookup"] {
        site.configure(&[Slapd::LDAPS_URL], &format!("mode = '{mode}'\nfresh_for = '1s'"));
        suite.sync_keys();
        assert!(site.serves_alice().contains("reason=keys "));
        site.slapd.delete(&format!("uid=alice,{}", Slapd::BASE));
        suite.sync_keys();
        site.age_copy(10);
        if mode == "lookup" {
            site.age_memory(10);
        }
        assert!(site.knows_none_for("alice").contains("reason=no-such-user"), "{mode}");
        site.slapd.stop();
        site.age_copy(10);
        if mode == "lookup" {
            site.age_memory(10);
        }
        let line = site.knows_none_for("alice");
        assert!(
            line.contains("reason=no-such-user") && line.contains("directory=ldap-unavailable"),
            "{line}"
        );
        let login = suite.ssh("alice", "alice", "true");
        assert!(!login.status.success(), "{}", text(&login));
        site.slapd.resume();
        site.forget_outages();
        site.without_copy();
        site.slapd.add_person("alice", "alice@example.com", &[&suite.public_key("alice")]);
    }
}

/// How a key of dave's stops being one, as LDIF, and the reason in the log.
fn ends() -> [(&'static str, String, &'static str); 4] {
    let modify =
        |name: &str, what: &str| format!("dn: uid={name},{}\nchangetype: modify\n{what}\n", Slapd::BASE);
    let shadow = "add: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: 1";
    [
        ("disabled", modify("dave", shadow), "decision=known reason=account-disabled "),
        ("without keys", modify("dave", "delete: sshPublicKey"), "decision=known reason=no-keys "),
        ("ambiguous", modify("bob", "add: uid\nuid: dave"), "decision=unknown reason=ldap-ambiguous "),
        (
            "gone",
            format!("dn: uid=dave,{}\nchangetype: delete\n", Slapd::BASE),
            "decision=known reason=no-such-user ",
        ),
    ]
}

#[test]
fn a16_the_last_word_of_the_directory_outlives_it_whatever_an_older_copy_says() {
    for mode in ["replica", "lookup"] {
        for (what, ldif, reason) in ends() {
            let suite = Suite::start();
            let site = Site::start(&suite);
            site.configure(&[Slapd::LDAPS_URL], &format!("mode = '{mode}'\nfresh_for = '2s'"));
            suite.sync_keys();
            let login = || suite.ssh("dave", "dave", "echo in").status.success();
            assert!(mode == "replica" || login(), "{mode}, {what}: before");
            site.slapd.modify(&ldif);
            if mode == "lookup" {
                site.age_memory(HOUR)
            } else {
                site.age_copy(HOUR)
            }
            let said = |when: &str| {
                let _ = suite.lines_of("authkeys");
                let output = site.run("dave");
                let line = site.one_line();
                assert!(
                    stdout(&output).is_empty() && line.contains(reason),
                    "{mode}, {what}, {when}: {line}"
                );
                line
            };
            said("live");
            site.slapd.stop();
            if mode == "lookup" {
                site.age_memory(10);
            }
            for when in ["down", "found down a moment ago"] {
                let line = said(when);
                assert!(!line.contains("source=directory"), "{mode}, {what}, {when}: {line}");
                assert!(!login(), "{mode}, {what}, {when}");
            }
            // A sync that is later than the answer is the last word again.
            site.slapd.resume();
            if mode == "replica" && what == "without keys" {
                site.slapd.modify(&format!(
                    "dn: uid=dave,{}\nchangetype: modify\nadd: sshPublicKey\nsshPublicKey: {}\n",
                    Slapd::BASE,
                    suite.public_key("dave")
                ));
                site.age_memory(60);
                suite.sync_keys();
                site.slapd.stop();
                site.age_copy(30);
                assert!(login(), "the copy is the newer word");
            }
        }
    }
}

#[test]
fn a_live_answer_counts_from_when_it_was_asked_and_never_covers_a_later_sync() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let (own, other) = (key_of(&suite, "alice"), made_keys::numbered(1));
    for mode in ["lookup", "replica"] {
        site.configure(&[Slapd::LDAPS_URL], &format!("mode = '{mode}'\ndeadline = '10s'"));
        site.without_copy();
        // It takes connections, and does not answer.
        suite.host.must("pkill -STOP -x slapd");
        let before = now();
        suite.host.must(
            "rm -f /tmp/answer /tmp/answered
             (runuser -u authkeys -- authkeys alice; touch /tmp/answered) </dev/null >/tmp/answer 2>&1 &",
        );
        wait_until("the directory is asked", || suite.host.sh("pgrep -x authkeys-sync").status.success());
        let begun = now();
        wait_until("two seconds", || now() > begun + 2);
        suite.host.must("pkill -CONT -x slapd");
        wait_until("an answer", || suite.host.path("/tmp/answered").exists());
        assert_eq!(suite.host.read("/tmp/answer"), format!("{own} alice\n"), "{mode}");
        let asked = suite.host.must(&format!("sqlite3 {MEMORY}/lookups.db 'SELECT asked FROM answer'"));
        let asked: i64 = asked.trim().parse().expect("a number");
        assert!((before..=begun).contains(&asked), "{mode}: {before}, {begun}, {asked}");
        if mode == "lookup" {
            continue;
        }
        // A sync that was asked for in the meantime, whatever it says, is later; one of the same second as well.
        site.give_alice(&[other.as_bytes()]);
        suite.sync_keys();
        site.slapd.stop();
        for (after, keys) in [(1, 2), (0, 2), (-1, 1)] {
            // By then the copy is no fresh one.
            site.age_memory(600);
            site.age_copy(600 - after);
            let output = site.run("alice");
            assert_eq!(stdout(&output).lines().count(), keys, "{after}: {}", site.why(&output));
        }
    }
}

#[test]
fn a17_an_old_copy_is_served_a_day_and_one_from_the_future_never() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for mode in ["replica", "lookup"] {
        site.configure(&[Slapd::LDAPS_URL], &format!("mode = '{mode}'"));
        suite.sync_keys();
        site.serves_alice();
        let age = |seconds| if mode == "replica" { site.age_copy(seconds) } else { site.age_memory(seconds) };
        site.slapd.stop();
        age(23 * HOUR);
        let line = site.serves_alice();
        assert!(line.contains("reason=keys-stale keys=1 owners=alice age=828"), "{mode}: {line}");
        age(25 * HOUR);
        site.cannot_tell("alice", "cache-stale");
        age(-HOUR);
        if mode == "replica" {
            site.cannot_tell("alice", "clock-rollback");
        } else {
            // The clock was ahead when it was asked: by what is proven it is right now, and how long ago that was is told
            // by the one that nobody sets.
            assert!(site.serves_alice().contains("reason=keys "));
            let proven = suite.host.read("/var/lib/authkeys/keys.clock");
            suite.host.must("rm /var/lib/authkeys/keys.clock");
            site.cannot_tell("alice", "clock-rollback");
            suite.host.write("/var/lib/authkeys/keys.clock", proven, 0o640);
            suite.host.must("chown authkeys-sync:authkeys /var/lib/authkeys/keys.clock");
        }
        age(-100);
        assert!(site.serves_alice().contains("reason=keys "), "within the skew");
        age(25 * HOUR);
        site.slapd.resume();
        site.forget_outages();
        assert!(site.serves_alice().contains("source=directory"), "{mode}");
        age(-HOUR);
        // What was asked for by a clock that was ahead is as young as it is.
        assert_eq!(site.serves_alice().contains("source=directory"), mode == "replica", "{mode}");
    }
}

#[test]
fn a18_a_reader_that_leaves_or_never_reads_holds_nobody_up() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let keys: Vec<String> = (0..64).map(made_keys::numbered).collect();
    site.slapd.add_person("many", "", &keys.iter().map(String::as_str).collect::<Vec<_>>());
    suite.sync_keys();
    let gone = suite.run_as(
        "root",
        "(runuser -u authkeys -- authkeys many; echo $? >/tmp/status) | head -1 >/dev/null; cat /tmp/status",
    );
    assert_eq!(stdout(&gone), "0\n", "{}", text(&gone));
    // A pipe that is full already and that nobody reads.
    let script = "mkfifo -m 666 /tmp/pipe; exec 3<>/tmp/pipe; (timeout 1 cat /dev/zero >&3); \
                  runuser -u authkeys -- authkeys many >&3; echo $?";
    let stuck = timed(900, 5_000, || suite.run_as("root", script));
    assert_eq!(stdout(&stuck), "2\n", "{}", text(&stuck));
}

#[test]
fn a19_the_environment_changes_nothing() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let forged = "AUTHKEYS_CONFIG=/tmp/x LDAPCONF=/tmp/x LDAPTLS_REQCERT=never LDAPTLS_CACERT=/tmp/x \
                  SSL_CERT_FILE=/tmp/x SSL_CERT_DIR=/tmp HTTPS_PROXY=http://127.0.0.1:1 ALL_PROXY=socks5://127.0.0.1:1 \
                  RUST_LOG=trace RUST_BACKTRACE=full TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 PATH=/tmp LD_LIBRARY_PATH=/tmp HOME=/tmp";
    let both = || {
        let plain = suite.run_as("authkeys", "/usr/bin/authkeys alice");
        site.forget_outages();
        let forged = suite.run_as("authkeys", &format!("env {forged} /usr/bin/authkeys alice"));
        assert_eq!(
            (plain.status, &plain.stdout, &plain.stderr),
            (forged.status, &forged.stdout, &forged.stderr)
        );
        plain
    };
    assert_eq!(stdout(&both()), format!("{} alice\n", key_of(&suite, "alice")), "live");
    suite.sync_keys();
    assert_eq!(both().status.code(), Some(0), "from the copy");
    site.slapd.stop();
    site.without_copy();
    assert_eq!(both().status.code(), Some(2), "unknown");
}

#[test]
fn a20_files_that_others_could_have_written_or_read_are_refused_before_any_packet() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.record();
    let good = suite.host.read("/etc/authkeys/config.toml");
    for damage in [
        "chmod g+w config.toml",
        "chown authkeys config.toml",
        "mv config.toml real.toml && ln -s real.toml config.toml",
        "chmod o+r bind-password",
        "chown authkeys bind-password",
        "chmod o+w ldap-ca.pem",
    ] {
        site.hostile.play(Play::Proxy);
        let _ = site.hostile.counted();
        suite.host.must(&format!("cd /etc/authkeys && {damage}"));
        site.without_copy();
        site.cannot_tell("alice", "file-untrusted");
        // Requests are not counted: the farewell of the conversation before may come late.
        assert_eq!(site.hostile.counted().0, 0, "{damage}: no packet");
        suite.host.must("cd /etc/authkeys && rm -f config.toml && chown root bind-password && chmod 640 bind-password && chmod 644 ldap-ca.pem");
        suite.host.write("/etc/authkeys/config.toml", &good, 0o644);
        site.serves_alice();
    }
}

#[test]
fn a21_wrong_usage_is_said_on_stderr_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = key_of(&suite, "alice");
    for usage in ["", "alice ssh-ed25519", "alice ssh-ed25519 '!!'", &format!("alice {key} more")] {
        let output = site.run(usage);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(64), ""), "{usage}");
        assert!(!output.stderr.is_empty(), "{usage}");
    }
}

#[test]
fn lookup_mode_asks_once_remembers_and_copies_eligible_people_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.configure(&[Hostile::LDAPS_URL], "mode = 'lookup'\ndeadline = '5s'");
    site.hostile.play(Play::Proxy);
    // Twenty logins at once are one question.
    let script = "i=0; while [ $i -lt 20 ]; do authkeys alice & i=$((i+1)); done; wait";
    let said = suite.must_as("authkeys", script);
    assert_eq!(said, format!("{} alice\n", key_of(&suite, "alice")).repeat(20));
    assert_eq!(site.hostile.counted(), (1, 3), "one connection: bind, search, unbind");
    // So is a login of somebody whom nobody knows.
    for _ in 0..3 {
        assert!(site.knows_none_for("nobody").contains("reason=no-such-user"));
    }
    assert_eq!(site.hostile.counted().0, 1);
    let explained = stdout(&site.run("--explain alice"));
    assert!(explained.contains("\nanswer: memory of an earlier question, "), "{explained}");
    assert!(explained.contains("values is not remembered\n"), "{explained}");
    assert_eq!(site.hostile.counted().0, 0);
    // Old enough, it is asked again.
    site.age_memory(301);
    site.serves_alice();
    assert_eq!(site.hostile.counted().0, 1);
    // A memory that is damaged, or cannot be written, is no obstacle.
    suite.host.must(&format!("echo damaged >{MEMORY}/lookups.db"));
    site.serves_alice();
    assert!(site.serves_alice().ends_with("owners=alice"), "it was made anew");
    suite.host.must(&format!("mount -t tmpfs -o size=4k,mode=700,uid=$(id -u authkeys) tmpfs {MEMORY}"));
    site.serves_alice();
    suite.host.must(&format!(
        "dd if=/dev/zero of={MEMORY}/full bs=4k count=1 2>/dev/null; chown authkeys {MEMORY}"
    ));
    assert!(site.serves_alice().contains("source=directory memory="), "a full disk is said");
    suite.host.must(&format!("mount -o remount,ro {MEMORY}"));
    site.serves_alice();
    suite.host.must(&format!("umount {MEMORY} && chmod 770 {MEMORY}"));
    site.serves_alice();
    suite.host.must(&format!("chmod 700 {MEMORY}"));
    // Another filter is another directory: nothing that was remembered counts.
    site.configure(&[Slapd::LDAPS_URL], "mode = 'lookup'");
    suite.sync_keys();
    let copied = suite.host.must("sqlite3 /var/lib/authkeys/keys.db 'SELECT principal FROM person'");
    assert_eq!(copied, "alice\nbob\ncarol\n", "dave is not eligible");
    // That copy is no copy of everybody.
    site.configure(&[Slapd::LDAPS_URL], "");
    let dave = site.run("dave");
    assert_eq!(stdout(&dave), format!("{} dave\n", key_of(&suite, "dave")), "{}", text(&dave));
}

#[test]
fn a_large_people_file_is_asked_live_too() {
    use std::fmt::Write as _;
    let suite = Suite::start();
    let mut people = String::new();
    for number in 0..20_000 {
        let key = made_keys::numbered(number);
        let _ = writeln!(
            people,
            "[[person]]\nprincipal = 'u{number}'\nmail = ['u{number}@example.com']\nkeys = ['{key}']"
        );
    }
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    let config = "[directory]\nfile = 'people.toml'\n[keys]\nmode = 'lookup'\ndeadline = '10s'\n";
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    let output = suite.run_as("authkeys", "authkeys u19999");
    assert_eq!(stdout(&output), format!("{} u19999\n", made_keys::numbered(19_999)), "{}", text(&output));
}

#[test]
fn the_child_of_root_gives_up_root_before_it_asks() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let secret = "/etc/authkeys/bind-password";
    let ours = suite.must_as("root", "authkeys dave");
    assert_eq!(ours, format!("{} dave\n", key_of(&suite, "dave")));
    // A file that root alone can read is not for it.
    suite
        .host
        .must(&format!("stat -c %G {secret} >/tmp/group && chown root:root {secret} && chmod 600 {secret}"));
    let output = suite.run_as("root", "authkeys dave");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("bind-password"), "{}", text(&output));
    suite.host.must(&format!("chown root:$(cat /tmp/group) {secret} && chmod 640 {secret}"));
    assert_eq!(suite.must_as("root", "authkeys dave"), ours);
    drop(site);
}

#[test]
fn root_explains_what_sshd_gets_also_in_an_outage_and_leaves_nothing() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let answer = format!("{} dave\n", key_of(&suite, "dave"));
    let files = || suite.host.must(&format!("cd {MEMORY} && ls -l --time-style=full-iso && sha256sum *"));
    for mode in ["lookup", "replica"] {
        site.without_copy();
        site.configure(&[Slapd::LDAPS_URL], &format!("mode = '{mode}'"));
        assert_eq!(stdout(&site.run("dave")), answer);
        site.slapd.stop();
        site.age_memory(400);
        let before = files();
        let explained = suite.must_as("root", "authkeys --explain dave");
        assert!(explained.starts_with("dave: 1 key (keys-stale)\nanswer: memory"), "{explained}");
        assert_eq!(suite.must_as("root", "authkeys dave"), answer, "{mode}");
        assert_eq!(files(), before, "{mode}");
        // What root cannot use is no obstacle, and stays for its owner to mend.
        suite.host.must(&format!("echo damaged >{MEMORY}/lookups.db"));
        assert_eq!(suite.run_as("root", "authkeys dave").status.code(), Some(2));
        assert_eq!(suite.host.read(&format!("{MEMORY}/lookups.db")), "damaged\n");
        site.slapd.resume();
        site.forget_outages();
    }
}

#[test]
fn servers_are_asked_in_their_order_and_one_that_is_down_costs_its_share() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.hostile.play(Play::Silence);
    let refused = "ldaps://127.0.0.1:1";
    site.configure(&[refused, Slapd::LDAPS_URL], "");
    timed(0, 1_500, || site.serves_alice());
    site.configure(&[Hostile::LDAPS_URL, refused, Slapd::LDAP_URL], "deadline = '3s'");
    timed(800, 2_500, || site.serves_alice());
    site.configure(&["ldaps://no-such-name.invalid", Slapd::LDAPS_URL], "");
    site.serves_alice();
    assert_eq!(site.hostile.counted().0, 1);
    site.configure(&[Hostile::LDAPS_URL, refused], "deadline = '1s'");
    site.without_copy();
    let output = site.run("alice");
    let said = text(&output);
    assert!(said.contains("hostile.example.com") && said.contains("127.0.0.1"), "both are named: {said}");
    site.forget_outages();
    site.configure(&[refused, Slapd::LDAPS_URL], "");
    assert!(suite.sync_keys().contains("4 people"));
}

#[test]
fn with_the_directory_down_logins_go_by_the_fault_table() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    // No roster: an account that nothing guards.
    let login = || suite.ssh("dave", "dave", "echo in");
    let admitted = |output: &Output| output.status.success() && stdout(output) == "in\n";
    suite.sync_keys();
    site.slapd.stop();
    for (age, lets_in, what) in
        [(0, true, "fresh"), (HOUR, true, "stale"), (DAY + HOUR, false, "too old"), (-HOUR, false, "future")]
    {
        site.age_copy(age);
        let output = login();
        assert_eq!(admitted(&output), lets_in, "{what}: {}", text(&output));
    }
    site.without_copy();
    let output = login();
    assert!(!admitted(&output), "absent: {}", text(&output));
    site.slapd.resume();
    site.forget_outages();
    let output = login();
    assert!(admitted(&output), "absent, and the directory is back: {}", text(&output));
    // A key removed in the directory is refused after the next sync, also when the directory then goes down.
    suite.sync_keys();
    site.slapd.modify(&format!(
        "dn: uid=dave,{}\nchangetype: modify\nreplace: sshPublicKey\nsshPublicKey: {}\n",
        Slapd::BASE,
        suite.public_key("bob")
    ));
    suite.sync_keys();
    assert!(!admitted(&login()), "the old key");
    assert!(admitted(&suite.ssh("bob", "dave", "echo in")), "the new key");
    site.slapd.stop();
    site.age_memory(2 * HOUR);
    site.age_copy(HOUR);
    assert!(!admitted(&login()), "the old key, in an outage");
    assert!(admitted(&suite.ssh("bob", "dave", "echo in")), "the new key, in an outage");
}

#[test]
fn who_had_little_time_does_not_say_that_the_directory_is_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.configure(&[Hostile::LDAPS_URL], "mode = 'lookup'\ndeadline = '4s'");
    site.hostile.play(Play::Silence);
    // Somebody else asks about alice, and takes long.
    let script = format!(
        "flock {MEMORY}/turn.alice sleep 2.5 & sleep 0.2; authkeys alice; echo $?; ls {MEMORY} | grep -c '^down'"
    );
    let output = timed(3_000, 7_000, || suite.run_as("authkeys", &script));
    assert_eq!(stdout(&output), "2\n0\n", "{}", text(&output));
    assert_eq!(site.hostile.counted().0, 1, "it did ask");
    // With all of its time it may say so.
    let output = suite.run_as("authkeys", &format!("authkeys bob; ls {MEMORY} | grep '^down'"));
    assert_eq!(stdout(&output), "down\n", "{}", text(&output));
}

#[test]
fn a_server_without_time_is_asked_once_in_30_seconds() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for (code, everybodys) in [(3, false), (11, false), (51, true), (52, true)] {
        let play = Play::Answers(vec![vec![ber::bind_success()], vec![ber::done(code)]]);
        site.face(Hostile::LDAPS_URL, play);
        let _ = site.hostile.counted();
        for turn in 0..6 {
            let line = site.cannot_tell("alice", "ldap-partial");
            assert!(line.contains("dropped\\x20after"), "{turn}: the mark says what was wrong: {line}");
        }
        assert_eq!(site.hostile.counted().0, 1, "{code}");
        site.cannot_tell("bob", "ldap-partial");
        assert_eq!(site.hostile.counted().0, usize::from(!everybodys), "{code}");
    }
}

#[test]
fn a_server_that_is_down_costs_its_share_once_and_is_asked_last() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.configure(&[Hostile::LDAPS_URL, Slapd::LDAPS_URL], "deadline = '6s'");
    site.hostile.play(Play::Silence);
    timed(2_000, 6_000, || site.serves_alice());
    for _ in 0..5 {
        timed(0, 2_000, || site.serves_alice());
    }
    let dave = stdout(&site.run("dave"));
    assert_eq!(dave, format!("{} dave\n", key_of(&suite, "dave")));
    assert_eq!(site.hostile.counted().0, 1);
    // It is asked still if the others are down.
    site.slapd.stop();
    site.hostile.play(Play::Answers(vec![vec![ber::bind_success()], vec![ber::done(0)]]));
    assert!(site.knows_none_for("eve").contains("source=directory"));
}

#[test]
fn six_keys_at_a_black_hole_wait_one_deadline_in_all() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync_keys();
    site.age_copy(HOUR);
    site.configure(&[Hostile::LDAPS_URL], "deadline = '3s'");
    site.hostile.play(Play::Silence);
    let login = || {
        let others: String = (1..6).map(|n| format!("-i /tmp/wrong{n} ")).collect();
        suite.host.sh(&format!(
            "for n in 1 2 3 4 5; do [ -e /tmp/wrong$n ] || ssh-keygen -qt ed25519 -N '' -f /tmp/wrong$n; done; date +%s%N
             timeout 30 ssh -F none {others} -i /root/keys/dave -o IdentitiesOnly=yes -o BatchMode=yes \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p 2222 dave@127.0.0.1 'echo in'; date +%s%N"
        ))
    };
    let took = |output: &Output| {
        let said = stdout(output);
        let numbers: Vec<u128> = said.lines().filter_map(|line| line.parse().ok()).collect();
        assert!(said.contains("\nin\n"), "{}", text(output));
        (numbers[1] - numbers[0]) / 1_000_000
    };
    let _ = suite.lines_of("authkeys");
    let first = took(&login());
    let runs = suite.lines_of("authkeys");
    println!("six keys at a black hole: {first} ms, {} runs of authkeys, deadline 3000 ms", runs.len());
    assert!(runs.len() >= 6, "{runs:#?}");
    assert!((2_500..4_800).contains(&first), "{first} ms");
    let second = took(&login());
    println!("the next login: {second} ms");
    assert!(second < 1_800, "{second} ms");
    assert_eq!(site.hostile.counted().0, 1);
}
