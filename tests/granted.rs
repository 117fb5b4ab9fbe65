//! The night on which nothing answers, on a host that systemd has booted from packages: provider, directory and their
//! copies are beyond their age, and two colleagues let somebody in, for as long as they have signed and no longer.

use harness::grants::{ACCEPTED, Text};
use harness::session::{SUDO, Session};
use harness::suite::{CONFIG, HOUR, instant, now, soon};
use harness::{Booted, text, wait_within};
use serde_json::Value;

use crate::penalties::ssh;

/// As [`CONFIG`], where a copy is too old as soon as it is older than a second.
const AGES: &str = "[oncall]\nmax_age = '1s'\n[keys]\nmax_age = '1s'\n[grant]\nid = 'acme'\n\
    [[policy.grant]]\nname = 'night'\naccounts = ['root']\napprovers = ['alice', 'carol']\nquorum = 2\nmax = '4h'\n";

/// Refusals are from addresses of their own: sshd counts them.
const HERE: &str = "127.0.0.1";
const ELSEWHERE: [&str; 3] = ["127.0.0.3", "127.0.0.4", "127.0.0.5"];

/// dave, who may log in under his own name at any time, and may sudo once somebody lets him; over ssh since before.
fn session(host: &Booted) -> Session {
    let mut ssh = host.command("/usr/bin/ssh");
    ssh.args(["-F", "none", "-i", "/root/keys/dave", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"])
        .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "LogLevel=ERROR", "dave@127.0.0.1", SUDO]);
    Session::open(&mut ssh)
}

/// Root for dave until `end`, signed by both with ssh-keygen; where it is.
fn signed(host: &Booted, end: i64) -> (Text, &'static str) {
    let grant = Text { person: "dave", end, ..Text::new(&host.read("/root/keys/dave.pub")) };
    host.write("/root/text", grant.text(), 0o644);
    host.must(
        "for name in alice carol; do ssh-keygen -qY sign -n grant@authkeys -f /root/keys/$name </root/text >/root/$name.sig; done; \
         cat /root/text /root/alice.sig /root/carol.sig >/root/grant",
    );
    (grant, "/root/grant")
}

fn is_root_by_ssh(host: &Booted, address: &str) -> bool {
    ssh(host, address, "dave", "root", "id -u").stdout == b"0\n"
}

/// The host takes grants from now on, and everything that it asks is gone, for longer than its copies count.
fn all_else_is_gone(host: &Booted) {
    host.must(
        "for name in alice carol; do echo \"$name namespaces=\\\"grant@authkeys\\\" $(cat /root/keys/$name.pub)\"; done >/etc/authkeys/grant-signers; \
         echo 'dave ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/dave; chmod 440 /etc/sudoers.d/dave; rm /etc/authkeys/people.toml /etc/authkeys/rota.toml",
    );
    host.write("/etc/authkeys/config.toml", format!("{CONFIG}{AGES}"), 0o644);
    host.must("systemctl enable --now oncall-grant-accept.socket oncall-grant-accept.service");
    // What was issued before it remembers is refused.
    wait_within(300, "the acceptor is there", || host.path(ACCEPTED).join(".memory").exists());
    wait_within(300, "the copies are too old", || host.sh("oncall-cache status").status.code() == Some(2));
    let findings = text(&host.sh("oncall-cache doctor --json"));
    assert!(!findings.contains("\"grant-"), "{findings}");
}

/// dave gets in by ssh and by sudo, until the instant that is signed; it is said, logged and recorded.
pub fn colleagues_let_somebody_in_when_nothing_answers(host: &Booted) {
    let mut session = session(host);
    assert_eq!(session.sudo(), "refused", "while the host knows who is on call");
    all_else_is_gone(host);
    assert!(ssh(host, ELSEWHERE[0], "alice", "root", "id -u").stdout.is_empty(), "not even who is on call");
    assert_eq!(session.sudo(), "refused");
    assert!(!is_root_by_ssh(host, ELSEWHERE[1]));
    let mut grant = None;
    soon(20, |seconds| {
        let end = now() + seconds;
        let (text_of, path) = signed(host, end);
        let brought = text(&ssh(host, HERE, "dave", "oncall-grant", &format!("<{path}")));
        let words = format!("accepted: dave may enter root on this host until {}", instant(end));
        assert!(brought.contains(&words), "{brought}");
        assert_eq!(session.sudo(), "0", "in the session of before");
        assert!(is_root_by_ssh(host, HERE));
        let shown = host.must("oncall-cache grant list");
        assert!(shown.starts_with("dave enters root until ") && shown.contains(&text_of.id), "{shown}");
        grant = Some(text_of);
        end
    });
    assert_eq!(session.sudo(), "refused", "it is over");
    assert!(!is_root_by_ssh(host, ELSEWHERE[2]));
    assert!(text(&host.sh("oncall-cache grant list")).contains("no grant counts on this host now"));
    it_is_told_afterwards(host, &grant.expect("it was brought"));
    the_acceptor_comes_back_as_often_as_it_is_killed(host, &mut session);
}

/// In the log, the record and the report: who came in, by whose signatures, and why.
fn it_is_told_afterwards(host: &Booted, grant: &Text) {
    let logged = |identifier: &str, words: &str, least: usize| {
        wait_within(300, words, || {
            let log = host.must(&format!("journalctl --boot --quiet --output=cat --identifier={identifier}"));
            log.lines().filter(|line| line.contains(words) && line.contains(&grant.id)).count() >= least
        });
    };
    logged("oncall-grant-accept", "decision=accepted reason=grant rule=night approvers=alice,carol", 1);
    logged("pam_oncall", "person=dave decision=allow reason=grant rule=night", 2);
    let records = host.read("/var/log/authkeys/decisions.jsonl");
    let records = records.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let services: Vec<String> = records
        .filter(|record| record["grant"] == grant.id.as_str() && record["why"] == "INC-42 disk full")
        .filter_map(|record| Some(record["service"].as_str()?.to_string()))
        .collect();
    assert!(["sshd", "sudo"].iter().all(|door| services.iter().any(|one| one == door)), "{services:?}");
    let report = text(&host.sh("oncall-cache report --since 1h"));
    let (_, by_grant) = report.split_once("let in by colleagues, with a grant").expect("a part of its own");
    assert!(by_grant.contains("alice and carol: INC-42 disk full"), "{report}");
}

/// More often than systemd starts a service that nobody has said otherwise of.
fn the_acceptor_comes_back_as_often_as_it_is_killed(host: &Booted, session: &mut Session) {
    let (_, path) = signed(host, now() + HOUR);
    let bring = || text(&host.sh(&format!("oncall-cache grant use <{path}")));
    assert!(bring().contains("accepted: dave may enter root"));
    for _ in 0..6 {
        host.must("systemctl kill --signal=KILL oncall-grant-accept.service");
        wait_within(300, "it is there again", || bring().contains("in force until"));
    }
    assert_eq!(host.must("systemctl is-active oncall-grant-accept.service"), "active\n");
    // Monitoring knows, by the unit as it is confined.
    host.must("mkdir -p /var/lib/prometheus/node-exporter && systemctl start authkeys-metrics.service");
    let metrics = host.read("/var/lib/prometheus/node-exporter/oncall-cache.prom");
    assert!(metrics.contains("\noncall_cache_grants_in_force 1\n"), "{metrics}");
    assert_eq!(session.sudo(), "0");
}
