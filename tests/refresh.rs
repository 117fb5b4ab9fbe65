//! `oncall-cache refresh`: a sync for anybody who asks, and what askers cannot do to it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Output};
use std::time::Duration;

use harness::fleet::Fleet;
use harness::suite::{DAY, HOUR, Suite, now};
use harness::{text, wait_until};
use serde_json::Value;

const SOCKET: &str = "/run/oncall-cache/refresh.sock";

/// What systemd passes to the program that it starts; and again, once that has ended because nobody asked, with a line that
/// says how.
const SERVE: &str = "exec 3<&0 </dev/null; while :; do \
    sh -c 'export LISTEN_FDS=1 LISTEN_PID=$$; exec oncall-cache refresh --serve'; echo $? >>/tmp/ended; done";

/// A listening socket, as the socket unit makes it.
struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    fn listen(suite: &Suite) -> Self {
        suite.host.must("mkdir -p /run/oncall-cache");
        let path = suite.host.path(SOCKET);
        let listener = UnixListener::bind(&path).expect("a socket can be made");
        suite.host.must(&format!("chmod 666 {SOCKET}"));
        Self { path, listener }
    }

    /// Lets somebody answer, as systemd does: a program, and the next one when that has ended.
    fn serve(&self, suite: &Suite) -> Server {
        let fd: OwnedFd = self.listener.try_clone().expect("one more descriptor").into();
        let mut command = suite.host.command("/usr/sbin/runuser");
        command.args(["-u", "oncall-cache", "--", "/bin/sh", "-c", SERVE]);
        suite.host.must("rm -f /tmp/ended");
        Server(command.stdin(fd).spawn().expect("nsenter runs"))
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).expect("somebody listens")
    }
}

fn refresh(suite: &Suite) -> Output {
    suite.run_as("nobody", "oncall-cache refresh")
}

fn said(output: &Output, code: i32, words: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    assert!(text(output).contains(words), "expected {words:?} in {}", text(output));
}

/// Lets the last sync have begun so many seconds ago, by what it reported.
fn let_last_sync_be(suite: &Suite, ago: i64) {
    let path = "/var/lib/oncall-cache/status.json";
    let mut report: Value = serde_json::from_str(&suite.host.read(path)).expect("a report");
    report["attempted"] = (now() - ago).into();
    suite.host.write(path, report.to_string(), 0o644);
}

/// Who answers, and starts those who do.
struct Server(Child);

impl Server {
    /// Waits until a program has ended because nobody asked it any more, and all who did end did so well.
    fn wait_for_end(&self, suite: &Suite) {
        let ended = || std::fs::read_to_string(suite.host.path("/tmp/ended")).unwrap_or_default();
        let before = ended().lines().count();
        wait_until("nobody is answered any more", || ended().lines().count() > before);
        assert!(ended().lines().all(|status| status == "0"), "{}", ended());
    }

    /// Ends all of them.
    fn stop(mut self, suite: &Suite) {
        suite.host.must("pkill -KILL -u oncall-cache -x sh; pkill -u oncall-cache -x oncall-cache || :");
        let _ = self.0.wait();
    }
}

#[test]
fn on_a_host_of_a_fleet_the_news_are_in_the_store() {
    let fleet = Fleet::start(1);
    let host = &fleet.hosts[0];
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    fleet.pull();
    fleet.on_call(&[("bob", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    fleet.requests();
    let socket = Socket::listen(host);
    let server = socket.serve(host);
    said(&refresh(host), 0, "bob until ");
    assert!(host.run_as("nobody", "oncall-cache test-access bob").status.success());
    let asked = fleet.requests();
    assert_eq!(asked.len(), 3, "the head, the index and the schedule: {asked:?}");
    said(&refresh(host), 1, "another may begin in ");
    assert_eq!(fleet.requests(), []);
    server.stop(host);
    // Who asks while the store is down learns that, and what is known.
    fleet.stop_store();
    let server = socket.serve(host);
    let output = refresh(host);
    said(&output, 2, "known as of ");
    said(&output, 2, "bob until ");
    said(&output, 2, "store.example.com");
    server.stop(host);
}

#[test]
fn anybody_has_the_news_now_and_again_in_half_a_minute() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let socket = Socket::listen(&suite);
    let server = socket.serve(&suite);
    suite.write_rota(&[("bob", -HOUR, HOUR), ("mallory@example.com", HOUR, DAY)]);
    let_last_sync_be(&suite, 0);
    let early = refresh(&suite);
    said(&early, 1, " ago, another may begin in ");
    said(&early, 1, "1 shift, alice until ");
    let_last_sync_be(&suite, 60);
    let done = refresh(&suite);
    said(&done, 0, "1 schedule, 1 shift, bob until ");
    said(&done, 0, "1 of the providers' users match nobody in the directory");
    assert!(!text(&done).contains('@'), "no mail address is for everybody: {}", text(&done));
    assert!(suite.run_as("nobody", "oncall-cache test-access bob").status.success());
    said(&refresh(&suite), 1, "another may begin in ");
    // What the report says can be wrong; the program remembers what it did itself.
    let_last_sync_be(&suite, 60);
    let output = suite.run_as("nobody", "oncall-cache refresh --json");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["version"], &json["exit"]), (&1.into(), &1.into()), "{json:#}");
    assert!(json["next"].is_string() && json["attempted"].is_string(), "{json:#}");
    server.wait_for_end(&suite);
    // The socket stands, and the next one who asks is answered by a new process.
    said(&refresh(&suite), 0, "bob until ");
    server.stop(&suite);
}

#[test]
fn a_sync_that_fails_says_why_and_who_is_on_call() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let_last_sync_be(&suite, 60);
    suite.host.must("rm /etc/authkeys/rota.toml");
    let socket = Socket::listen(&suite);
    let server = socket.serve(&suite);
    let failed = refresh(&suite);
    said(&failed, 2, "source-error: /etc/authkeys/rota.toml: no such file");
    said(&failed, 2, "alice until ");
    server.stop(&suite);
    // Where nothing can be written down, half a minute is half a minute still.
    suite.write_rota(&[("bob", -HOUR, HOUR)]);
    suite.host.must("cd /var/lib/oncall-cache && rm status.json && mkdir -p status.json/full");
    let server = socket.serve(&suite);
    said(&refresh(&suite), 0, "bob until ");
    said(&refresh(&suite), 1, "another may begin in ");
    server.stop(&suite);
}

#[test]
fn a_sync_at_work_is_not_disturbed() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let_last_sync_be(&suite, 60);
    let socket = Socket::listen(&suite);
    let server = socket.serve(&suite);
    suite
        .host
        .daemon(&["flock", "/var/lib/oncall-cache/roster.lock", "-c", "echo held; sleep 1000"], "/run/held");
    wait_until("the lock is held", || suite.host.read("/run/held").contains("held"));
    said(&refresh(&suite), 1, "another sync is running, ask again when it is done; ");
    server.stop(&suite);
}

#[test]
fn who_never_reads_or_never_stops_writing_holds_up_nobody() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let socket = Socket::listen(&suite);
    let never_read: Vec<UnixStream> = (0..100).map(|_| socket.connect()).collect();
    let mut writer = socket.connect();
    let writing = std::thread::spawn(move || {
        let all = writer.write_all(&vec![b'x'; 1024 * 1024]);
        (all, writer)
    });
    let_last_sync_be(&suite, 0);
    let server = socket.serve(&suite);
    let more: Vec<UnixStream> = (0..100).map(|_| socket.connect()).collect();
    let gone = socket.connect();
    gone.shutdown(Shutdown::Both).expect("it is open");
    drop(gone);
    said(&refresh(&suite), 1, "another may begin in ");
    let (written, _writer) = writing.join().expect("no panic");
    assert!(written.is_err(), "a mebibyte was read");
    // Everybody had the same answer, and it was there without being waited for.
    let mut answers: Vec<String> = Vec::new();
    for mut stream in never_read.into_iter().chain(more) {
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(300))).expect("a timeout");
        stream.read_to_string(&mut answer).expect("an answer");
        answers.push(answer);
    }
    assert!(
        answers.iter().all(|answer| answer.contains("\"exit\":1") && answer.len() < 8192),
        "{answers:#?}"
    );
    server.wait_for_end(&suite);
}

#[test]
fn without_a_socket_it_says_what_to_do_and_an_answer_steers_no_terminal() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    let nobody = "no refresh socket; ask root to run `oncall-cache sync`";
    said(&refresh(&suite), 2, nobody);
    said(&suite.run_as("oncall-cache", "oncall-cache refresh --serve"), 2, "no socket was passed");
    let socket = Socket::listen(&suite);
    let answers = |answer: &'static str| {
        let listener = socket.listener.try_clone().expect("one more descriptor");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let _ = stream.write_all(answer.as_bytes());
        });
        let output = refresh(&suite);
        server.join().expect("no panic");
        output
    };
    let steering =
        answers(r#"{"version":1,"exit":0,"message":"\u001b[31mred\u202e","attempted":null,"next":null}"#);
    said(&steering, 0, "\u{fffd}[31mred\u{fffd}");
    said(&answers(r#"{"version":1,"exit":7,"message":"","attempted":null,"next":null}"#), 2, "cannot read");
    said(&answers(r#"{"version":2,"exit":0,"message":"","attempted":null,"next":null}"#), 2, "cannot read");
    said(&answers(""), 2, "closed without an answer");
    said(&answers("[[["), 2, "closed without an answer");
    drop(socket);
    said(&refresh(&suite), 2, nobody);
}

#[test]
fn systemd_can_start_it() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync_keys();
    suite.host.must("mkdir -p /run/oncall-cache && chown oncall-cache /run/oncall-cache");
    let activate = ["systemd-socket-activate", "-l", SOCKET, "oncall-cache", "refresh", "--serve"];
    suite
        .host
        .daemon(&[&["runuser", "-u", "oncall-cache", "--"], &activate[..]].concat(), "/run/activate.log");
    wait_until("systemd listens", || suite.host.sh("grep 'Listening on' /run/activate.log").status.success());
    suite.host.must(&format!("chmod 666 {SOCKET}"));
    said(&refresh(&suite), 0, "alice until ");
}
