//! A host that takes grants: approvers, the acceptor behind its socket as systemd starts it, and texts signed by ssh-keygen.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::suite::{CONFIG, DAY, HOUR, Suite, instant, now};
use crate::{text, wait_until};

/// Where systemd listens.
pub const SOCKET: &str = "/run/oncall-grant/accept.sock";

/// Where accepted grants are.
pub const ACCEPTED: &str = "/run/authkeys/grants";

/// What systemd does: a program, and the next one when that has ended.
const SERVE: &str = "umask 027; exec 3<&0 </dev/null; while :; do \
    sh -c 'export LISTEN_FDS=1 LISTEN_PID=$$; [ ! -e /run/oncall-grant/environment ] || . /run/oncall-grant/environment; \
    exec /usr/libexec/authkeys/oncall-grant-accept'; sleep 0.1; done";

/// The environment of an acceptor whose clock can be set while it runs (libfaketime): its own alone, and not the one that
/// counts from the boot.
const CLOCK: &str = "export LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1) FAKETIME_NO_CACHE=1 \
    FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 FAKETIME_TIMESTAMP_FILE=/run/oncall-grant/clock\n";

/// The rule that tests use: alice, carol and bob may sign, and two of them have to.
pub const RULE: &str = "[grant]\nid = 'acme'\n[[policy.grant]]\nname = 'night'\naccounts = ['root', 'bob']\n\
    approvers = ['alice', 'bob', 'carol']\nquorum = 2\nmax = '4h'\n";

/// A rule by which bob and carol may let themselves in, for alice and carol to review.
pub const GLASS: &str = "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['alice', 'carol']\n\
    quorum = 0\npeople = ['bob', 'carol']\nmax = '1h'\n";

/// A suite that takes grants; alice is on call.
pub struct Grants {
    pub suite: Suite,
    server: Child,
}

/// What a text says; [`Text::sign`] has it signed.
#[derive(Debug, Clone)]
pub struct Text {
    pub id: String,
    pub site: &'static str,
    pub hosts: &'static str,
    pub account: &'static str,
    pub person: &'static str,
    pub key: String,
    pub begin: i64,
    pub end: i64,
    pub issued: i64,
    pub reason: &'static str,
}

impl Text {
    /// One hour of root for bob on this host, by this key or `none`, from now on.
    pub fn new(key: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // TYPE BASE64, without the comment.
        let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let now = now();
        Self {
            id: format!("{:016x}{number:016x}", std::process::id()),
            site: "acme",
            hosts: "testhost",
            account: "root",
            person: "bob",
            key,
            begin: now,
            end: now + HOUR,
            issued: now,
            reason: "INC-42 disk full",
        }
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        let Self { id, site, hosts, account, person, key, begin, end, issued, reason } = self;
        let [begin, end, issued] = [begin, end, issued].map(|at| instant(*at));
        format!(
            "form: 1\ngrant: {id}\nfleet: {site}\nhosts: {hosts}\naccount: {account}\nperson: {person}\nkey: {key}\n\
             not-before: {begin}\nnot-after: {end}\nissued: {issued}\nreason: {reason}\n"
        )
    }

    /// The text with a signature by each of these keys of /root/keys below it, made by ssh-keygen alone.
    pub fn sign(&self, suite: &Suite, keys: &[&str]) -> String {
        sign_text(suite, &self.text(), "grant@authkeys", keys)
    }
}

/// `text` with a signature by each of these keys of /root/keys below it.
pub fn sign_text(suite: &Suite, text: &str, namespace: &str, keys: &[&str]) -> String {
    let name =
        |key: &str| format!("/tmp/sign-{key}-{:?}", std::thread::current().id()).replace(['(', ')'], "");
    let armour = |key: &&str| {
        let path = name(key);
        suite.host.write(&path, text, 0o600);
        suite
            .host
            .must(&format!("ssh-keygen -qY sign -n {namespace} -f /root/keys/{key} <{path} 2>/dev/null"))
    };
    let armours: Vec<String> = keys.iter().map(armour).collect();
    format!("{text}{}", armours.concat())
}

impl Grants {
    /// A host with [`RULE`]; bob's, alice's and carol's keys may sign, and carol has a second one.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more rules.
    pub fn start_with(rules: &str) -> Self {
        Self::on_with(Suite::start(), rules)
    }

    /// The same of a host that is there, with whoever is in its people.toml.
    pub fn on(suite: Suite) -> Self {
        Self::on_with(suite, "")
    }

    fn on_with(suite: Suite, rules: &str) -> Self {
        suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{RULE}{rules}"), 0o644);
        suite.host.must("ssh-keygen -qt ed25519 -N '' -C carol -f /root/keys/carol-2");
        let names = [("alice", "alice"), ("bob", "bob"), ("carol", "carol"), ("carol", "carol-2")];
        let line = |(person, key): (&str, &str)| {
            format!("{person} namespaces=\"grant@authkeys,review@authkeys\" {}\n", suite.public_key(key))
        };
        let signers: String = names.map(line).concat();
        suite.host.write("/etc/authkeys/grant-signers", signers, 0o644);
        suite.write_rota(&[("alice", -HOUR, DAY)]);
        suite.sync();
        let server = serve(&suite);
        // What was issued before it remembers is refused.
        wait_until("the acceptor is there", || suite.host.path(ACCEPTED).join(".memory").exists());
        Self { suite, server }
    }

    /// `oncall-cache grant use` by somebody, with this text.
    pub fn bring_as(&self, user: &str, text: &str) -> Output {
        let path = format!("/tmp/brought-{:?}", std::thread::current().id()).replace(['(', ')'], "");
        self.suite.host.write(&path, text, 0o644);
        self.suite.run_as(user, &format!("oncall-cache grant use <{path}"))
    }

    /// Gives the acceptor a clock of its own; [`Grants::set_clock`] sets it.
    pub fn give_clock(&self) {
        self.set_clock(0);
        self.suite.host.write("/run/oncall-grant/environment", CLOCK, 0o644);
        // Who connects before the next one is there waits for it.
        self.suite.host.must("pkill -KILL -x oncall-grant-ac");
    }

    /// Sets the acceptor's clock so many seconds ahead of the machine's.
    pub fn set_clock(&self, ahead: i64) {
        // Whole or not at all: it is read at any time.
        let path = "/run/oncall-grant/clock";
        self.suite.host.must(&format!("echo '{ahead:+}' >{path}.new && mv {path}.new {path}"));
    }

    /// By nobody in particular.
    pub fn bring(&self, text: &str) -> Output {
        self.bring_as("dave", text)
    }
}

/// It ended like this, and said these words.
///
/// # Panics
/// It did not.
pub fn said(output: &Output, code: i32, words: &str) {
    assert_eq!(output.status.code(), Some(code), "expected {words:?}: {}", text(output));
    assert!(text(output).contains(words), "expected {words:?} in {}", text(output));
}

/// What sudo does for them, in a session of their own: `0` if it makes them root.
pub fn sudo(suite: &Suite, person: &str) -> Output {
    suite.run_as(person, "sudo -n id -u")
}

impl Drop for Grants {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Starts the acceptor behind its socket.
fn serve(suite: &Suite) -> Child {
    suite.host.must("mkdir -p /run/oncall-grant");
    let listener = UnixListener::bind(suite.host.path(SOCKET)).expect("a socket can be made");
    suite.host.must(&format!("chmod 666 {SOCKET}"));
    let fd: OwnedFd = listener.into();
    let mut command = suite.host.command("/usr/sbin/runuser");
    command.args(["-u", "oncall-grant-accept", "--", "/bin/sh", "-c", SERVE]);
    command.stdin(Stdio::from(fd)).spawn().expect("nsenter runs")
}
