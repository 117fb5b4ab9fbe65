//! `oncall-collector hear`: a webhook of the provider's, and the rota is read, published and in force on a host.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Child;
use std::thread;
use std::time::Instant;

use harness::fleet::Fleet;
use harness::oncalls::incident;
use harness::suite::{HOUR, Suite, now};
use harness::wait_until;

/// As PagerDuty shows it once, when a subscription is made.
const SECRET: &str = "GSyNUx5s9z2b7Ml2TqQ8hVJ1rO4kWc6d";

const SOCKET: &str = "/run/oncall-cache/refresh.sock";
const HEARD: &str = "/run/oncall-hear/heard";
const LOG: &str = "/run/hear.log";

/// What systemd does with the socket unit: it starts what answers as often as somebody asks.
const ACTIVATE: &str = "exec 3<&0 </dev/null; while :; do \
    sh -c 'export LISTEN_FDS=1 LISTEN_PID=$$; exec oncall-cache refresh --serve'; done";

const PORT: u16 = 9461;

/// So many connections have a place.
const PLACES: usize = 64;

/// The collector's units for webhooks, as a test plays them.
struct Hearing<'f> {
    collector: &'f Suite,
    refresh: Child,
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.collector.host.read(LOG));
        }
        let _ = self.refresh.kill();
        let _ = self.refresh.wait();
    }
}

impl<'f> Hearing<'f> {
    fn start(collector: &'f Suite) -> Self {
        let host = &collector.host;
        host.must(
            "mkdir -p /run/oncall-cache && install -d -o oncall-hear -g oncall-hear -m 755 /run/oncall-hear && \
             cd /etc/authkeys && printf '[hear]\\nsecret_files = [\"next-secret\", \"webhook-secret\"]\\n' >>collector.toml",
        );
        for (name, secret) in [("webhook-secret", SECRET), ("next-secret", "not used yet")] {
            let file = format!("/etc/authkeys/{name}");
            host.write(&file, format!("{secret}\n"), 0o640);
            host.must(&format!("chgrp oncall-hear {file}"));
        }
        let listener = UnixListener::bind(host.path(SOCKET)).expect("a socket can be made");
        host.must(&format!("chmod 666 {SOCKET}"));
        let mut command = host.command("/usr/sbin/runuser");
        command.args(["-u", "oncall-cache", "--", "/bin/sh", "-c", ACTIVATE]);
        let refresh = command.stdin(OwnedFd::from(listener)).spawn().expect("nsenter runs");
        host.daemon(&["runuser", "-u", "oncall-hear", "--", "oncall-collector", "hear"], LOG);
        host.wait_for_port(PORT);
        Self { collector, refresh }
    }

    /// A request with this header after those that each has.
    fn request(&self, header: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST /webhook HTTP/1.1\r\nHost: collector\r\nUser-Agent: PagerDuty-Webhook/V3.0\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{header}\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// The header that PagerDuty adds, by openssl.
    fn signature(&self, secret: &str, body: &[u8]) -> String {
        self.collector.host.write("/tmp/body", body, 0o644);
        let digest = self.collector.host.must(&format!("openssl dgst -sha256 -hmac '{secret}' /tmp/body"));
        let hex = digest.trim().rsplit(' ').next().expect("a digest");
        format!("X-PagerDuty-Signature: v1={},v1={hex}\r\n", "0".repeat(64))
    }

    /// Sends it; the status of the answer.
    fn send(&self, request: &[u8]) -> String {
        self.send_many(1, request).remove(0)
    }

    /// Sends it so many times at once, and no more than are answered at once; the status of each answer.
    fn send_many(&self, count: usize, request: &[u8]) -> Vec<String> {
        let host = &self.collector.host;
        let send = || {
            host.enter_network();
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).expect("it listens");
            stream.write_all(request).expect("it is taken");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            answer.split(' ').nth(1).unwrap_or_default().to_string()
        };
        let send_some = |count| -> Vec<String> {
            thread::scope(|scope| {
                let sent: Vec<_> = (0..count).map(|_| scope.spawn(send)).collect();
                sent.into_iter().map(|one| one.join().expect("no panic")).collect()
            })
        };
        let rounds = (0..count).step_by(PLACES).map(|sent| usize::min(PLACES, count - sent));
        rounds.flat_map(send_some).collect()
    }

    /// How many syncs began because of webhooks.
    fn syncs(&self) -> usize {
        self.collector.host.read(LOG).matches("hear: a webhook: ").count()
    }
}

#[test]
fn a76_only_a_signed_webhook_starts_a_sync_and_not_more_than_one_in_two_seconds() {
    let fleet = Fleet::start(1);
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    fleet.pull();
    let host = &fleet.hosts[0];
    assert!(host.ssh("alice", "root", "true").status.success());
    assert!(!host.ssh("bob", "root", "true").status.success());
    let hearing = Hearing::start(&fleet.collector);
    let _ = fleet.pagerduty.requests();

    let body = br#"{"event":{"id":"01EXAMPLE","event_type":"pagey.ping","resource_type":"pagey"}}"#;
    assert_eq!(hearing.send_many(100, &hearing.request("", body)), ["401"; 100]);
    for (secret, signed) in [("another secret", &body[..]), (SECRET, &b"{}"[..])] {
        assert_eq!(hearing.send(&hearing.request(&hearing.signature(secret, signed), body)), "401");
    }
    let large = vec![b'x'; 10 * 1024 * 1024];
    assert_eq!(hearing.send(&hearing.request(&hearing.signature(SECRET, &large), &large)), "413");
    assert_eq!(fleet.pagerduty.requests().len(), 0, "no sync for any of these");
    assert!(!fleet.collector.host.path(HEARD).exists());

    // An override, and its webhook: the last sync began a moment ago, and nobody else would have another one yet.
    fleet.on_call(&[("bob", now() - HOUR, now() + HOUR)]);
    let signed = hearing.request(&hearing.signature(SECRET, body), body);
    assert_eq!(hearing.send(&signed), "202");
    wait_until("the sync is done", || hearing.syncs() == 1);
    assert!(fleet.collector.host.path(HEARD).exists());
    // What the path unit and the host's timer do.
    fleet.publish();
    host.pull();
    assert!(host.ssh("bob", "root", "true").status.success());
    assert!(!host.ssh("alice", "root", "true").status.success());

    // Again and again: none is lost, and the provider is asked no more often for it.
    let (before, start) = (hearing.syncs(), Instant::now());
    for _ in 0..3 {
        assert_eq!(hearing.send_many(100, &signed), ["202"; 100]);
    }
    wait_until("a sync for them", || hearing.syncs() > before);
    let between = hearing.syncs();
    assert_eq!(hearing.send(&signed), "202");
    wait_until("a sync after the last one", || hearing.syncs() > between);
    let syncs = hearing.syncs() - before;
    let most = usize::try_from(start.elapsed().as_secs()).expect("seconds") / 2 + 2;
    assert!(syncs <= most, "{syncs} syncs in {:?}", start.elapsed());
}

#[test]
fn a_collector_that_stands_by_publishes_after_a_webhook() {
    let fleet = Fleet::start(1);
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    // The same host as another collector: by another key.
    let other = fleet.new_key("other-key");
    let signers = fleet.collector.host.read("/etc/authkeys/fleet-signers");
    fleet.trust(&format!("{signers}{other}"));
    fleet.sign_with(&["other-key"], "fleet-signers");
    assert!(fleet.publish().contains("standing by: fleet-key"), "another one is at work");

    let hearing = Hearing::start(&fleet.collector);
    fleet.on_call(&[("bob", now() - HOUR, now() + HOUR)]);
    let signed = hearing.request(&hearing.signature(SECRET, b"{}"), b"{}");
    assert_eq!(hearing.send(&signed), "202");
    wait_until("the sync is done", || fleet.collector.host.path(HEARD).exists());
    let said = fleet.publish();
    assert!(!said.contains("standing by"), "{said}");
    fleet.pull();
    assert!(fleet.hosts[0].ssh("bob", "root", "true").status.success());
}

#[test]
fn a107_a_webhook_of_an_incident_has_incidents_asked_for_and_is_itself_believed_in_nothing() {
    let fleet = Fleet::start(1);
    let host = &fleet.hosts[0];
    host.wait_for_incidents("on_unknown = 'refuse', known_for = '1h', linger = '1s'");
    fleet.ask_for_incidents("'PSVC1', 'PSVC2'");
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    host.pull();
    let is_in = || host.ssh("alice", "root", "true").status.success();
    assert!(!is_in(), "no incident is open");
    let hearing = Hearing::start(&fleet.collector);
    let _ = fleet.pagerduty.requests();
    // As PagerDuty sends it, shortened.
    let body = |kind: &str, id: &str| {
        format!(
            r#"{{"event":{{"id":"01EXAMPLE","event_type":"incident.{kind}","resource_type":"incident","occurred_at":"2026-11-30T22:00:00Z",
            "agent":{{"id":"PUBOB","type":"user_reference"}},"data":{{"id":"{id}","type":"incident","status":"{kind}",
            "service":{{"id":"PSVC1","type":"service_reference"}}}}}}}}"#
        )
        .into_bytes()
    };
    // What is asked of the provider for it, and what a host knows then.
    let hear = |request: &[u8]| {
        let before = hearing.syncs();
        assert_eq!(hearing.send(request), "202");
        wait_until("the sync is done", || hearing.syncs() > before);
        let asked = fleet.pagerduty.requests();
        assert!(asked.iter().any(|one| one.target.starts_with("/incidents?")), "{asked:#?}");
        assert!(asked.iter().all(|one| one.problem.is_none()), "{asked:#?}");
        fleet.publish();
        host.pull();
    };

    // A webhook of an incident that the provider does not know: it is asked, and says so.
    let triggered = body("triggered", "Q1");
    let signed = hearing.request(&hearing.signature(SECRET, &triggered), &triggered);
    hear(&signed);
    assert!(!is_in(), "a webhook alone opens no door");
    assert!(!fleet.collector.host.read("/var/lib/oncall-cache/roster.incidents").contains("Q1"));

    // It is there, and whoever cannot sign has nobody asked.
    fleet.pagerduty.set_incidents(vec![incident("Q1", "PSVC1", -5)]);
    let large = [&triggered[..], &vec![b' '; 2 * 1024 * 1024]].concat();
    for (request, status) in [
        (hearing.request("", &triggered), "401"),
        (hearing.request(&hearing.signature("another secret", &triggered), &triggered), "401"),
        (hearing.request(&hearing.signature(SECRET, &body("triggered", "Q2")), &triggered), "401"),
        (hearing.request(&hearing.signature(SECRET, &large), &large), "413"),
    ] {
        assert_eq!(hearing.send(&request), status);
    }
    assert_eq!(fleet.pagerduty.requests().len(), 0, "nobody was asked");
    hear(&signed);
    assert!(is_in());

    // Resolved; and the first webhook once more, which opens nothing.
    fleet.pagerduty.set_incidents(vec![]);
    let resolved = body("resolved", "Q1");
    hear(&hearing.request(&hearing.signature(SECRET, &resolved), &resolved));
    wait_until("it is over", || !is_in());
    hear(&signed);
    assert!(!is_in(), "a replay opens no door");
}
