//! Syncs that are killed, and two at once.

use harness::suite::{DAY, HOUR, Suite};
use harness::{Moments, text};

use super::{on_call, sync};

#[test]
fn a35_a_sync_that_is_killed_leaves_the_old_state_or_the_new_one() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, DAY)]);
    suite.sync();
    let mut moments = Moments::of(200, 10, || drop(suite.must_as("oncall-cache", "oncall-cache sync")));
    // Readers ask all the while.
    suite.host.must(
        "cat >/run/reader <<'END'
while [ ! -e /run/stop ]; do
    oncall-cache test-access alice >/dev/null 2>&1; a=$?
    [ $a -le 1 ] || echo \"test-access alice: $a\"
    oncall-cache who >/dev/null 2>&1 || echo \"who: $?\"
done
END
         (sh /run/reader >/run/readings 2>&1; touch /run/read) >/dev/null 2>&1 &",
    );
    let mut old = "alice";
    while let Some(after) = moments.next_kill() {
        let next = if old == "alice" { "bob" } else { "alice" };
        suite.write_rota(&[(next, -HOUR, DAY)]);
        let moment = after.as_secs_f64();
        suite.run_as(
            "oncall-cache",
            &format!("oncall-cache sync >/dev/null 2>&1 & p=$!; sleep {moment:.4}; kill -9 $p; wait $p"),
        );
        let now = on_call(&suite);
        let [(_, people)] = now.as_slice() else { panic!("{now:?} {moments:?}") };
        let [one] = people.as_slice() else { panic!("neither {old} nor {next}: {people:?} {moments:?}") };
        assert!(one == old || one == next, "neither {old} nor {next}: {one} {moments:?}");
        moments.struck(one == next);
        old = if one == next { next } else { old };
    }
    suite.host.must("touch /run/stop; while [ ! -e /run/read ]; do sleep 0.05; done");
    assert_eq!(suite.host.read("/run/readings"), "", "a reader saw neither state");
    // Whatever was left behind does not keep the next one from its work.
    let said = sync(&suite, "", 0);
    assert!(said.contains("1 schedule, 1 shift"), "{said}");
    let left = suite.host.must("find /var/lib/oncall-cache -name '*.new' -o -name '*-journal'");
    assert_eq!(left, "");
}

#[test]
fn a35_of_two_syncs_at_once_one_works_and_the_other_waits_for_its_turn() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    suite.write_rota(&[("bob", -HOUR, HOUR)]);
    // What changes while it waits counts, the configuration too.
    for (user, lock, sync, file, other) in [
        ("authkeys-sync", "authkeys/keys.lock", "authkeys-sync", "people", "team"),
        ("oncall-cache", "oncall-cache/roster.lock", "oncall-cache sync", "rota", "shifts"),
    ] {
        let output = suite.host.must(&format!(
            "rm -f /run/waits /tmp/held
             runuser -u {user} -- flock /var/lib/{lock} sh -c 'touch /tmp/held; until [ -e /run/waits ]; do sleep 0.1; done' &
             until [ -e /tmp/held ]; do sleep 0.05; done
             cd /etc/authkeys; runuser -u {user} -- {sync} 2>&1 | {{
                 read said; echo \"$said\"; cp {file}.toml {other}.toml; sed -i s/{file}.toml/{other}.toml/ config.toml; touch /run/waits; cat
             }}"
        ));
        assert!(output.contains("another sync is running; waiting for it to end\n"), "{output}");
    }
    assert_eq!(suite.run_as("nobody", "oncall-cache test-access bob").status.code(), Some(0));
    let printed = text(&suite.run_as("authkeys", "authkeys root"));
    assert!(printed.contains(" bob"), "a copy of the people there are now: {printed}");
    let digest = suite.host.must("sha256sum </etc/authkeys/config.toml | cut -d' ' -f1");
    let report = suite.host.read("/var/lib/oncall-cache/status.json");
    assert!(report.contains(digest.trim()), "{report}");
}
