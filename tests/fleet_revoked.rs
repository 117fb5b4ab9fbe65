//! What a collector revokes, on hosts that pull it: people, keys and grants, also after a partition, and with an older
//! publication in front.

use harness::fleet::{Fleet, Follower};
use harness::nginx::Nginx;
use harness::suite::{HOUR, now};
use harness::text;

/// Does the key of `name` open root?
fn enters(host: &Follower, name: &str) -> bool {
    host.ssh(name, "root", "true").status.success()
}

/// Does `authkeys` print a key of `name` for root?
fn has_key(host: &Follower, name: &str) -> bool {
    text(&host.run_as("authkeys", "authkeys root")).contains(&format!(" {name}\n"))
}

/// What the store shows as its newest, to be shown again.
fn keep_head(fleet: &Fleet, name: &str) {
    fleet.collector.host.must(&format!("cp {}/head /root/{name}", Nginx::DIRECTORY));
}

/// Puts an earlier head in front, as a mirror of the store that lags or lies; a host that knows better takes nothing of it.
fn shows_again(fleet: &Fleet, name: &str, host: &Follower) {
    fleet.collector.host.must(&format!("cp /root/{name} {}/head", Nginx::DIRECTORY));
    let said = host.try_pull();
    assert!(!said.status.success(), "{}", text(&said));
}

#[test]
fn a75_what_a_collector_revokes_applies_at_the_first_pull_and_an_older_copy_neither_lifts_nor_restores() {
    let fleet = Fleet::start(2);
    let (begin, collector) = (now(), &fleet.collector.host);
    let until = begin + HOUR;
    fleet.on_call(&[
        ("alice", begin - HOUR, until),
        ("carol", begin - HOUR, until),
        ("bob", begin - HOUR, until),
    ]);
    fleet.collect();
    fleet.pull();
    let [near, far] = fleet.hosts.as_slice() else { panic!("two hosts") };
    assert!(enters(near, "alice") && enters(far, "alice") && has_key(near, "carol"));
    keep_head(&fleet, "before");

    // A partition keeps it away from one of them, for no longer than that.
    fleet.cut(far);
    let print = near.host.must("ssh-keygen -lf /root/keys/carol.pub");
    let print = print.split(' ').nth(1).expect("a fingerprint");
    collector.must("oncall-collector revoke alice --reason 'laptop stolen'");
    let grant = "f9a30c5f7e5b4b1e9d1f4c2a7d3e8b10";
    collector.must(&format!("oncall-collector revoke {print} && oncall-collector revoke grant:{grant}"));
    near.pull();
    assert!(!enters(near, "alice") && !has_key(near, "alice") && !has_key(near, "carol"));
    assert!(enters(near, "bob") && enters(far, "alice"));
    let list = near.host.read("/var/lib/oncall-cache/revoked");
    for subject in ["\nperson alice ", &format!("\nkey {print} "), &format!("\ngrant {grant} ")] {
        assert!(list.contains(subject), "{subject}: {list}");
    }
    let why = text(&near.run_as("nobody", "oncall-cache why alice"));
    assert!(why.contains("in the whole fleet since ") && why.contains("laptop stolen"), "{why}");
    let said = near.host.sh("oncall-cache unrevoke alice");
    assert_eq!(said.status.code(), Some(1), "{}", text(&said));
    assert!(!enters(near, "alice"), "root of one host has no say in it");

    keep_head(&fleet, "revoked");
    shows_again(&fleet, "before", near);
    assert!(!enters(near, "alice") && !has_key(near, "carol"), "an older copy does not lift it");
    collector.must(&format!("cp /root/revoked {}/head", Nginx::DIRECTORY));
    fleet.network.heal();
    far.pull();
    assert!(!enters(far, "alice") && !has_key(far, "carol") && enters(far, "bob"), "at the first pull");

    // Lifted, they are back on each host, and an older copy does not restore it.
    collector.must(&format!("oncall-collector unrevoke alice && oncall-collector unrevoke {print}"));
    fleet.pull();
    for host in &fleet.hosts {
        assert!(enters(host, "alice") && has_key(host, "carol"));
    }
    shows_again(&fleet, "revoked", near);
    assert!(enters(near, "alice") && has_key(near, "carol"), "an older copy does not restore it");
}
