//! `authkeys` against a directory that answers, is away, or means harm; through the real programs.

mod answers;
mod connection;
mod outage;
mod program;
mod servers;
mod values;

use std::process::Output;
use std::time::{Duration, Instant};

use harness::hostile::{Hostile, Play};
use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::text;

/// A whole configuration; `keys` goes into [keys]. Who is answered has the longest time there is, for a busy machine.
fn config(urls: &[&str], keys: &str) -> String {
    let directory = Slapd::section(urls);
    let timeout = if keys.contains("timeout") { "" } else { "timeout = '10s'\n" };
    let keys = format!("{timeout}{keys}");
    format!("[host]\nname = \"testhost\"\n{directory}timeout = \"10s\"\n[keys]\n{keys}\n")
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
        self.age(&[&copy_aged(seconds)]);
    }

    /// The same for every answer that is remembered.
    fn age_memory(&self, seconds: i64) {
        self.age(&[&memory_aged(seconds)]);
    }

    /// The same for both, as of one second.
    fn age_both(&self, memory: i64, copy: i64) {
        self.age(&[&memory_aged(memory), &copy_aged(copy)]);
    }

    fn age(&self, scripts: &[&str]) {
        self.suite.host.must(&format!("now=$(date +%s); {}", scripts.join(" && ")));
    }

    /// Forgets that the directory was found down.
    fn forget_outages(&self) {
        self.suite.host.must(&format!("rm -f {MEMORY}/down*"));
    }

    /// Nothing is left of what the directory said before.
    fn without_copy(&self) {
        self.suite.host.must(&format!("rm -f /var/lib/authkeys/* {MEMORY}/lookups.db*"));
    }

    /// From now on only the hostile server is asked. What never comes is waited for a second or so; what is answered has the
    /// time that a busy machine takes.
    fn face(&self, url: &str, play: Play) {
        let timeout = match play {
            Play::Answers(_) | Play::Numbered(_) | Play::Proxy => "",
            Play::Plain(_) => "timeout = '3s'",
            _ => "timeout = '1s'",
        };
        self.configure(&[url], timeout);
        self.hostile.play(play);
        self.forget_outages();
    }

    /// Gives alice these values of the key attribute, and her own key after them.
    fn give_alice(&self, values: &[&[u8]]) {
        let mut ldif = format!("dn: uid=alice,{}\nchangetype: modify\nreplace: sshPublicKey\n", Slapd::BASE);
        let own = key_of(self.suite, "alice");
        for value in values.iter().copied().chain([own.as_bytes()]) {
            ldif += &format!("sshPublicKey:: {}\n", harness::slapd::base64(value));
        }
        self.slapd.modify(&ldif);
    }

    /// Records the conversation about alice, whose key slapd has.
    fn record(&self) -> usize {
        self.without_copy();
        self.configure(&[Hostile::LDAPS_URL], "");
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

/// Runs `action`, which must take `least` milliseconds or longer. How quick it is beyond that is the machine's: who was
/// asked is counted, not timed.
fn timed<T>(least: u64, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = action();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(least), "took {took:?}, expected {least} ms");
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

/// KiB that the run of /usr/bin/time took at most, its children included.
fn resident(suite: &Suite) -> u64 {
    let said = suite.host.read("/tmp/rss");
    suite.host.must("rm /tmp/rss");
    let kibibytes = said.trim().lines().last().and_then(|line| line.parse().ok()).expect("a number");
    println!("peak memory of authkeys with its child: {kibibytes} KiB");
    suite.host.write("/tmp/rss", said, 0o666);
    kibibytes
}

/// Ages the copy in keys.db by the shell's `now`.
fn copy_aged(seconds: i64) -> String {
    format!(
        "cd /var/lib/authkeys && generation=$(cut -d' ' -f1 keys.stamp) && at=$((now - {seconds})) &&
         sqlite3 keys.db \"UPDATE meta SET synced = $at\" && echo $generation $at >keys.stamp"
    )
}

/// Ages the answers in lookups.db by the shell's `now`.
fn memory_aged(seconds: i64) -> String {
    format!("sqlite3 {MEMORY}/lookups.db \"UPDATE answer SET asked = $((now - {seconds}))\"")
}
