//! A host that is cut off from its store.

use super::*;

#[test]
fn a67_cut_off_a_host_hands_over_in_time_and_ends_at_the_age_of_the_collectors_reading() {
    let site = Site::start();
    // Read by the collector an hour before it was published and pulled.
    const HOUR: i64 = 3600;
    let shifts = [("alice", -HOUR, 5 * HOUR), ("bob", 5 * HOUR, 22 * HOUR), ("carol", 22 * HOUR, 60 * HOUR)];
    let read = harness::suite::now() - HOUR;
    let publication = Publication { read, base: read, ..Publication::new() }.on_call(&shifts);
    site.publish(&publication);
    site.pull();
    let from_reading = |hours: i64, seconds: i64| read + hours * HOUR + seconds;
    // Nothing answers from here on.
    site.configure(&["https://127.0.0.1:1/fleet"], "");
    for (who, hours, seconds, expected) in [
        ("alice", 5, -1, Some(true)),
        ("bob", 5, -1, Some(false)),
        ("alice", 5, 0, Some(false)),
        ("bob", 5, 0, Some(true)),
        ("bob", 22, -1, Some(true)),
        ("carol", 22, 0, Some(true)),
        ("carol", 24, -1, Some(true)),
        ("carol", 24, 0, None),
        ("alice", 24, 0, None),
    ] {
        assert_eq!(
            site.may_at(who, from_reading(hours, seconds)),
            expected,
            "{who} after {hours} h {seconds} s"
        );
    }
    // What fails meanwhile makes nothing younger, nor does a sync from the mirror.
    let later = from_reading(23, 0) - harness::suite::now();
    for command in ["oncall-cache pull --now", "oncall-cache sync"] {
        let output = site.suite.run_ahead("oncall-cache", later, command);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", text(&output));
    }
    assert_eq!(site.may_at("carol", from_reading(24, -1)), Some(true));
    assert_eq!(site.may_at("carol", from_reading(24, 0)), None);
    let status = site.fleet_status();
    assert_eq!(status["refused"]["reason"], "store-unreachable", "{status}");
}

#[test]
fn what_was_only_read_again_is_younger_and_nothing_is_rewritten() {
    const HOUR: i64 = 3600;
    let site = Site::start();
    let now = harness::suite::now();
    let first = Publication { read: now - HOUR, base: now, ..Publication::new() }.on_call(&[(
        "alice",
        -2 * HOUR,
        40 * HOUR,
    )]);
    site.publish(&first);
    site.pull();
    let stat = || {
        site.suite
            .host
            .must("stat -c '%i %y' /var/lib/oncall-cache/roster.db /var/lib/oncall-cache/status.json")
    };
    let (before, soon) = (stat(), 23 * HOUR + HOUR / 2);
    assert_eq!(site.may("alice", soon), None, "more than a day after that reading");
    let _ = site.store.requests();
    site.publish(&Publication { read: now, ..first.heartbeat(1) });
    let said = site.pull();
    assert!(said.contains("taken over; 0 objects") && said.lines().count() == 1, "{said}");
    assert_eq!((stat(), site.store.requests().len()), (before.clone(), 1));
    assert_eq!(site.may("alice", soon), Some(true));
    assert_eq!(site.may("alice", 24 * HOUR + 5), None);
    // A host that is cut off does not take what it has for younger than that.
    site.store.set(BTreeMap::new());
    assert_eq!(site.try_pull().status.code(), Some(2));
    assert_eq!(site.may("alice", 24 * HOUR + 5), None);
    // Other keys, another configuration, other revocations of root: everything is looked at again.
    site.publish(&Publication { read: now, ..first.heartbeat(2) });
    for change in [
        "touch /var/lib/authkeys/keys.db",
        "echo '# x' >>/etc/authkeys/config.toml",
        "echo carol >/etc/authkeys/revoked",
    ] {
        let before = stat();
        site.suite.host.must(change);
        site.pull();
        assert_ne!(stat(), before, "{change}");
    }
    let before = stat();
    assert!(site.pull().contains("nothing new; 0 objects, 0 bytes in 1 request"));
    assert_eq!(stat(), before);
    // After five minutes a pull syncs whatever is new: where pulls run, `last_sync` grows no older than that.
    let output = site.suite.run_ahead("oncall-cache", 400, "oncall-cache pull --now");
    assert!(output.status.success() && text(&output).contains("nothing new"), "{}", text(&output));
    assert_ne!(stat(), before);
}
