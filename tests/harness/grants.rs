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

/// Nothing is believed a moment after it was synced: neither the rota nor the directory.
pub const GONE: &str =
    "[oncall]\nwarn_age = '1s'\nmax_age = '2s'\n[keys]\ncache_ttl = '1s'\nmax_age = '2s'\n";

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

    /// Provider and directory have not answered for longer than `max_age`, on a host with [`GLASS`].
    pub fn lose_everything(&self) {
        let config = format!("{CONFIG}{RULE}{GLASS}{GONE}");
        self.suite.host.write("/etc/authkeys/config.toml", config, 0o644);
        wait_until("nobody is believed to be on call", || !sudo(&self.suite, "alice").status.success());
    }

    /// They answer again.
    pub fn find_everything(&self) {
        self.suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{RULE}{GLASS}"), 0o644);
        self.suite.sync();
        let output = sudo(&self.suite, "alice");
        assert!(output.status.success(), "was refused: {}", text(&output));
    }

    /// Everybody has their key where ssh looks for it.
    pub fn give_out_keys(&self) {
        for name in ["alice", "bob", "carol"] {
            self.suite.host.must(&format!(
                "cd /home/{name} && mkdir .ssh && cp /root/keys/{name} .ssh/id_ed25519 && \
                 cp /root/keys/{name}.pub .ssh/id_ed25519.pub && chown -R {name}: .ssh"
            ));
        }
    }

    /// Types in as somebody what a page has for a host of its own, in the directory where all of them have what goes by chat.
    pub fn type_in(&self, who: &str, commands: &str) -> String {
        self.suite.host.must(&format!("mkdir -p {CHAT} && chmod 777 {CHAT}"));
        let commands = here(commands);
        self.suite.must_as(who, &format!("set -e; export HOME=/home/{who}; cd {CHAT}\n{commands}"))
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

/// Where all have what goes by chat.
pub const CHAT: &str = "/tmp/chat";

/// What a page has for db7 of the fleet `example`, for the host of these tests, and without a terminal.
fn here(commands: &str) -> String {
    let ssh = "timeout 300 ssh -F none -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
               -o LogLevel=ERROR";
    commands
        .replace("fleet: example", "fleet: acme")
        .replace("hosts: db7", "hosts: testhost")
        .replace("--host db7", "--host testhost")
        .replace("--site example", "--site acme")
        .replace("grant sign --break-glass", "grant sign --yes --break-glass")
        .replace("grant sign -i", "grant sign --yes -i")
        .replace("grant review --finding", "grant review --yes --finding")
        .replace("ssh oncall-grant@db7", &format!("{ssh} oncall-grant@127.0.0.1"))
        .replace("ssh root@db7", &format!("{ssh} root@127.0.0.1"))
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
