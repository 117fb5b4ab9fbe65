//! Incidents in a fleet: the collector alone asks the provider, and rules of hosts wait for what it publishes.

use std::process::Output;

use harness::fleet::{Fleet, Follower};
use harness::grants::{said, sudo};
use harness::oncalls::{incident, opened_by};
use harness::pagerduty::Reply;
use harness::suite::{DAY, HOUR, now};
use harness::{text, wait_until};
use serde_json::{Value, json};

/// What a host knows of incidents.
const KEPT: &str = "/var/lib/oncall-cache/roster.incidents";

/// An outage shuts the door, so that what is seen is never want of knowledge.
const STRICT: &str = "on_unknown = 'refuse', known_for = '1h'";

fn admits(host: &Follower, person: &str, words: &str) {
    let _ = host.decisions();
    let output = sudo(host, person);
    let lines = host.decisions().concat();
    assert!(output.status.success(), "{person}: {}\n{lines}", text(&output));
    assert!(lines.contains("reason=oncall rule=everywhere ") && lines.contains(words), "{words}: {lines}");
}

fn refuses(host: &Follower, person: &str) -> String {
    let _ = host.decisions();
    let output = sudo(host, person);
    let lines = host.decisions().concat();
    assert!(!output.status.success(), "{person} was let in: {lines}");
    assert!(lines.contains("reason=no-incident rule=everywhere "), "{person}: {lines}");
    text(&output)
}

/// What `status` says of how well incidents are known here.
fn feed(host: &Follower) -> Value {
    let output = host.host.sh("oncall-cache status --json");
    serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["incidents"][0].clone()
}

/// The lines that say when services were read.
fn readings(kept: &str) -> Vec<&str> {
    kept.lines().filter(|line| line.starts_with("read ")).collect()
}

/// The collector's sync and publication, and the hosts' pulls, while incidents cannot be read.
fn collect_without(fleet: &Fleet) -> Output {
    let fails = Reply::json(500, &json!({"error": {"message": "as the test asked", "code": 2000}}));
    fleet.pagerduty.script_at("/incidents", vec![fails.clone(), fails]);
    let output = fleet.collector.run_as("oncall-cache", "oncall-cache sync");
    fleet.publish();
    output
}

#[test]
fn a107_rules_of_hosts_wait_for_incidents_that_the_collector_alone_asks_for() {
    let fleet = Fleet::start(2);
    let [waits, other] = fleet.hosts.as_slice() else { panic!("two hosts") };
    waits.wait_for_incidents(STRICT);
    let shift = |name| (name, now() - HOUR, now() + DAY);
    fleet.on_call(&[shift("alice"), shift("bob")]);

    // A collector that is not asked for incidents: its head is as heads were before there were any.
    fleet.collect();
    let head = || fleet.collector.host.read("/srv/authkeys-fleet/head");
    assert!(!head().contains("incidents"), "{}", head());
    other.pull();
    waits.try_pull();
    waits.sync_keys();
    said(&waits.run_as("oncall-cache", "oncall-cache sync"), 1, "write `incident_services` in source `pd`");
    assert!(refuses(waits, "alice").contains("which are open is not known here"));
    admits(other, "alice", "");

    // Of one of its services: of the other it is not known.
    fleet.ask_for_incidents("'PSVC1'");
    fleet.pagerduty.set_incidents(vec![opened_by("alice", incident("Q1", "PSVC1", -60))]);
    fleet.collect();
    assert!(head().contains("\nincidents-read: "), "{}", head());
    waits.try_pull();
    said(&waits.run_as("oncall-cache", "oncall-cache sync"), 1, "none of service PSVC2");
    admits(waits, "bob", " incident=Q1 ");

    // Of both: as where the host asks by itself. What alice opened does not count for her.
    fleet.ask_for_incidents("'PSVC1', 'PSVC2', 'PSVC3'");
    fleet.collect();
    fleet.pull();
    admits(waits, "bob", " incident=Q1 ");
    assert!(refuses(waits, "alice").contains("your own do not"));
    let kept = waits.host.read(KEPT);
    assert!(kept.contains(" Q1 ") && kept.ends_with(" - alice\n") && !kept.contains("PSVC3"), "{kept}");
    let read = fleet.collector.host.read(KEPT);
    assert!(readings(&kept).iter().all(|line| readings(&read).contains(line)), "{kept}\n{read}");
    // Who waits for none is told of none, and fetches nothing for it.
    assert!(!other.host.path(KEPT).exists());
    let objects = |host: &Follower| host.host.must("ls /var/lib/oncall-cache/fleet/o").lines().count();
    assert_eq!(objects(waits), objects(other) + 1);
    // A pull that finds the same read again leaves it at that for a while, and one that finds something new does not.
    fleet.collect();
    waits.try_pull();
    fleet
        .pagerduty
        .set_incidents(vec![opened_by("alice", incident("Q1", "PSVC1", -60)), incident("Q2", "PSVC2", -30)]);
    fleet.collect();
    assert!(waits.try_pull().status.success());
    admits(waits, "alice", " incident=Q2 ");

    // The provider says nothing of incidents any more: hosts know as much as the collector, and as old.
    let before = waits.host.read(KEPT);
    said(&collect_without(&fleet), 1, "incidents of source `pd`: source-error: ");
    waits.pull();
    assert_eq!(readings(&waits.host.read(KEPT)), readings(&before));
    admits(waits, "alice", " incident=Q2 ");
    assert_eq!(feed(waits)["known"], json!(true));
    waits.wait_for_incidents("on_unknown = 'refuse', known_for = '1s'");
    wait_until("it is too old", || !sudo(waits, "alice").status.success());
    assert!(refuses(waits, "alice").contains("which are open is not known here"));
    assert_eq!(feed(waits)["known"], json!(false));
    waits.wait_for_incidents("known_for = '1s'");
    admits(waits, "alice", " incident=unknown ");
    let refused = sudo(waits, "carol");
    assert!(!refused.status.success(), "to be on call is asked of everybody");

    // Resolved: half an hour more, by when the collector found it so.
    waits.wait_for_incidents(STRICT);
    fleet.pagerduty.set_incidents(vec![]);
    fleet.collect();
    waits.pull();
    admits(waits, "alice", " incident=Q2 ");
    waits.wait_for_incidents(&format!("{STRICT}, linger = '1s'"));
    wait_until("it is over", || !sudo(waits, "alice").status.success());
    refuses(waits, "alice");
}

#[test]
fn a107_a_collector_that_cannot_read_incidents_publishes_what_another_one_read() {
    let fleet = Fleet::start(1);
    let host = &fleet.hosts[0];
    host.wait_for_incidents(STRICT);
    fleet.ask_for_incidents("'PSVC1', 'PSVC2'");
    fleet.on_call(&[("alice", now() - HOUR, now() + DAY)]);
    fleet.pagerduty.set_incidents(vec![incident("Q1", "PSVC1", -60)]);
    fleet.collect();
    host.pull();
    admits(host, "alice", " incident=Q1 ");
    // The same machine as another collector that has lost all that it knew of incidents.
    let kept = host.host.read(KEPT);
    fleet.collector.host.must(&format!("rm {KEPT}"));
    said(&collect_without(&fleet), 1, "source-error");
    host.pull();
    assert_eq!(readings(&host.host.read(KEPT)), readings(&kept));
    admits(host, "alice", " incident=Q1 ");
}
