//! What is revoked at one of two collectors stays revoked, whatever the store loses or shows again.

use super::second::Second;
use super::*;

/// The store's head.
const HEAD: &str = "/srv/authkeys-fleet/head";

/// A sequence begins as the second in which it is published: where a collector does not see the last one, its own may be the
/// lower one within that second.
fn in_the_next_second() {
    let began = now();
    wait_until("the next second has come", || now() > began);
}

/// Who and what is revoked in a list, by its lines.
fn revoked(list: &str) -> BTreeSet<String> {
    let lines = list.lines().skip(1).filter(|line| line.split(' ').nth(3) == Some("revoked"));
    lines.map(|line| line.split(' ').nth(1).expect("a subject").to_string()).collect()
}

impl One<'_> {
    fn revoked(&self) -> BTreeSet<String> {
        revoked(&self.machine.host.read(&format!("/var/lib/{}-cache/revoked", self.name)))
    }
}

/// A fleet of two collectors of which the first is at work, a host that follows it, and one that will be installed later.
fn two_collectors(fleet: &Fleet) -> (Second<'_>, One<'_>, One<'_>) {
    assert_eq!(HEAD, format!("{}/head", Nginx::DIRECTORY));
    let second = Second::start(fleet, 0);
    fleet.collect();
    second.sync("alice");
    assert!(second.publish("").contains("standing by"));
    let [host, fresh] = ["h", "fresh"].map(|name| One::new(&fleet.hosts[0], name, Nginx::URL));
    host.settle();
    (second, host, fresh)
}

/// The first collector, though it would stand by, makes known what the second does not know; then also a fresh host knows.
fn first_makes_it_known(fleet: &Fleet, host: &One<'_>, fresh: &One<'_>, who: &BTreeSet<String>) {
    let said = fleet.publish();
    assert!(said.contains("published "), "{said}");
    fresh.settle();
    host.pull();
    assert_eq!([host.revoked(), fresh.revoked()], [who.clone(), who.clone()]);
}

#[test]
fn a75_a_head_that_is_lost_lifts_nothing_though_a_collector_publishes_that_never_saw_it() {
    let fleet = start();
    let (second, host, fresh) = two_collectors(&fleet);
    fleet.collector.host.must("oncall-collector revoke alice --reason 'laptop stolen'");
    host.pull();
    assert_eq!(host.revoked(), only("alice"));

    fleet.collector.host.must(&format!("rm {HEAD}"));
    in_the_next_second();
    second.publish("");
    host.pull();
    assert_eq!(host.revoked(), only("alice"));
    first_makes_it_known(&fleet, &host, &fresh, &only("alice"));
}

#[test]
fn a75_an_older_head_that_the_store_shows_to_a_collector_lifts_nothing() {
    let fleet = start();
    let (second, host, fresh) = two_collectors(&fleet);
    let collector = &fleet.collector.host;
    collector
        .must(&format!("cp {HEAD} /root/before && oncall-collector revoke alice --reason 'laptop stolen'"));
    host.pull();

    collector.must(&format!("cat /root/before >{HEAD}"));
    in_the_next_second();
    second.publish("--now");
    host.pull();
    assert_eq!(host.revoked(), only("alice"));
    first_makes_it_known(&fleet, &host, &fresh, &only("alice"));
}

#[test]
fn a75_what_is_revoked_while_the_store_is_away_is_published_whoever_publishes_by_then() {
    let fleet = start();
    let (second, host, fresh) = two_collectors(&fleet);
    let collector = &fleet.collector.host;
    collector.must(&format!("mv {0} {0}.away", Nginx::DIRECTORY));
    let said = collector.sh("oncall-collector revoke alice --reason 'laptop stolen'");
    assert!(text(&said).contains("NOT YET published"), "{}", text(&said));
    collector.must(&format!("mv {0}.away {0}", Nginx::DIRECTORY));
    second.publish("--now");
    host.pull();
    assert_eq!(host.revoked(), BTreeSet::new(), "nobody was told yet");
    first_makes_it_known(&fleet, &host, &fresh, &only("alice"));

    // What the other publishes by then, the first knows too: it is lifted there, and stays so here.
    second.must("oncall-collector", "oncall-collector", "publish");
    second.run("root", "oncall-collector", "unrevoke alice");
    assert!(fleet.publish().contains("standing by"));
    let kept = collector.read("/var/lib/oncall-collector/revocations");
    assert_eq!(revoked(&kept), BTreeSet::new(), "{kept}");
    host.pull();
    assert_eq!(host.revoked(), BTreeSet::new());
}

#[test]
fn a75_a_collector_that_is_restored_with_its_store_lifts_nothing_on_hosts() {
    let fleet = start();
    fleet.collect();
    let host = One::new(&fleet.hosts[0], "h", Nginx::URL);
    host.settle();
    let (collector, parts) = (&fleet.collector.host, ["/var/lib/oncall-collector", Nginx::DIRECTORY]);
    parts.iter().for_each(|part| drop(collector.must(&format!("cp -a {part} {part}.backup"))));
    collector.must("oncall-collector revoke alice --reason 'laptop stolen'");
    host.pull();
    parts.iter().for_each(|part| drop(collector.must(&format!("rm -r {part} && mv {part}.backup {part}"))));
    in_the_next_second();
    let said = fleet.publish();
    assert!(said.contains("0 revocations"), "{said}");
    host.pull();
    assert_eq!(host.revoked(), only("alice"));
}

#[test]
fn a75_what_is_revoked_by_a_clock_far_behind_is_not_over_once_that_is_set() {
    let fleet = start();
    fleet.collect();
    let host = One::new(&fleet.hosts[0], "h", Nginx::URL);
    host.settle();
    let said = fleet.collector.run_ahead(
        "root",
        -400 * DAY,
        "oncall-collector revoke alice --reason 'laptop stolen'",
    );
    assert!(text(&said).contains("NOT YET published: clock-skew"), "{}", text(&said));
    fleet.publish();
    host.pull();
    assert_eq!(host.revoked(), only("alice"));
}

#[test]
fn a_collector_without_a_list_replaces_no_head_that_says_nothing_to_it() {
    let fleet = start();
    fleet.collect();
    let collector = &fleet.collector.host;
    collector.must("oncall-collector revoke alice --reason 'laptop stolen'");
    // Set up anew, with the spare key's line alone.
    let spare = fleet.new_key("spare");
    collector.write("/etc/authkeys/fleet-signers", &spare, 0o644);
    fleet.sign_with(&["spare"], "fleet-signers");
    collector.must("mv /var/lib/oncall-collector/revocations /root");
    let before = collector.read(HEAD);
    let said = fleet.collector.run_as("oncall-collector", "oncall-collector publish");
    assert_eq!(said.status.code(), Some(2), "{}", text(&said));
    assert!(
        text(&said).contains("fleet-signers") && text(&said).contains("does not count here"),
        "{}",
        text(&said)
    );
    assert_eq!(collector.read(HEAD), before);
    collector.must("mv /root/revocations /var/lib/oncall-collector");
    fleet.publish();
    assert_ne!(collector.read(HEAD), before);
}
