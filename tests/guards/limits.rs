//! What a sync refuses or keeps, and how that is accepted.

use harness::suite::{DAY, HOUR, Suite, instant, now};
use harness::text;

use super::{Rota, THREE, checks, configure, on_call, report, sync, three, write_rota};

#[test]
fn a22_nobody_at_all_is_refused_unless_it_is_allowed() {
    let suite = Suite::start();
    three(&suite);
    let before = suite.host.read_bytes("/var/lib/oncall-cache/roster.db");
    let empty: &[Rota<'_>] = &[("one", &[]), ("two", &[]), ("three", &[])];
    write_rota(&suite, empty);
    let said = sync(&suite, "", 2);
    assert_eq!(said.matches("source-empty").count(), 3, "{said}");
    assert!(said.contains("oncall-cache sync --accept 'rota/one'"), "{said}");
    assert!(suite.host.read_bytes("/var/lib/oncall-cache/roster.db") == before, "the roster changed");
    configure(&suite, "allow_empty = true");
    let said = sync(&suite, "", 0);
    assert!(said.contains("nobody on call here now"), "{said}");
    assert_eq!(suite.run_as("nobody", "oncall-cache test-access alice").status.code(), Some(1));
    assert!(!suite.ssh("alice", "root", "true").status.success());
}

#[test]
fn a33_a_schedule_that_swells_or_goes_keeps_its_shifts_and_the_others_move_on() {
    let suite = Suite::start();
    three(&suite);
    // 500 people at once on the first, the second is gone, the third moves on to alice.
    let names: Vec<String> = (0..500).map(|number| format!("p{number}")).collect();
    let many: Vec<(&str, i64, i64)> =
        names.iter().map(|name| (name.as_str(), -HOUR, HOUR)).chain([("alice", -HOUR, HOUR)]).collect();
    write_rota(&suite, &[("one", &many), ("three", &[("alice", -HOUR, HOUR)])]);
    let said = sync(&suite, "", 1);
    assert!(said.contains("schedule rota/one: guard-tripped: 501 people would be on call at once"), "{said}");
    assert!(said.contains("schedule rota/two: source-incomplete"), "{said}");
    let stands = [("rota/one", "alice"), ("rota/two", "bob"), ("rota/three", "alice")];
    let mut found = on_call(&suite);
    found.sort();
    let mut expected: Vec<(String, Vec<String>)> =
        stands.iter().map(|(schedule, person)| (schedule.to_string(), vec![person.to_string()])).collect();
    expected.sort();
    assert_eq!(found, expected);
    let states: Vec<String> = report(&suite)["schedules"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|one| format!("{} {} {}", one["schedule"], one["state"], one["reason"]))
        .collect();
    assert!(states.contains(&r#""rota/one" "kept" "guard-tripped""#.to_string()), "{states:?}");
    assert!(states.contains(&r#""rota/two" "kept" "source-incomplete""#.to_string()), "{states:?}");
    assert!(states.contains(&r#""rota/three" "read" null"#.to_string()), "{states:?}");
    // Kept, but not for ever: each schedule has its own age.
    suite.host.must(&format!(
        "sqlite3 /var/lib/oncall-cache/roster.db \"UPDATE schedule SET synced = synced - {DAY}, horizon = horizon - {DAY} WHERE id = 'two'\""
    ));
    sync(&suite, "", 1);
    assert_eq!(suite.run_as("nobody", "oncall-cache test-access bob").status.code(), Some(2));
    assert_eq!(suite.run_as("nobody", "oncall-cache test-access alice").status.code(), Some(0));
}

#[test]
fn what_a_guard_refuses_is_accepted_by_name_and_once() {
    let suite = Suite::start();
    configure(&suite, "max_change = '50%'\n[oncall.source.schedule.two]\nmax_change = '0%'");
    let shifts: &[(&str, i64, i64)] = &[("alice", -HOUR, 2 * DAY)];
    write_rota(&suite, &[("one", shifts), ("two", shifts), ("three", shifts)]);
    suite.sync();
    let moved: &[(&str, i64, i64)] = &[("alice", -HOUR, DAY), ("bob", DAY, 2 * DAY)];
    let swapped: &[(&str, i64, i64)] = &[("bob", -HOUR, 2 * DAY)];
    write_rota(&suite, &[("one", swapped), ("two", moved), ("three", shifts)]);
    let said = sync(&suite, "", 1);
    assert!(said.contains("schedule rota/one: guard-tripped: 100% of the known on-call time"), "{said}");
    assert!(said.contains("schedule rota/two: guard-tripped: "), "{said}");
    assert!(said.contains("`max_change` is 0%"), "{said}");
    // What would change is told without being done.
    let before = suite.host.read_bytes("/var/lib/oncall-cache/roster.db");
    let status = suite.host.read("/var/lib/oncall-cache/status.json");
    let said = sync(&suite, "--dry-run --accept", 0);
    assert!(said.contains("- alice, ") && said.contains("+ bob, "), "{said}");
    assert!(suite.host.read_bytes("/var/lib/oncall-cache/roster.db") == before, "--dry-run published");
    assert_eq!(suite.host.read("/var/lib/oncall-cache/status.json"), status, "--dry-run reported");
    let said = sync(&suite, "--accept rota/one", 1);
    assert!(!said.contains("rota/one: guard"), "{said}");
    assert!(said.contains("schedule rota/two: guard-tripped"), "{said}");
    let said = sync(&suite, "--accept", 0);
    assert!(!said.contains("guard-tripped"), "{said}");
    assert_eq!(sync(&suite, "--dry-run", 0), "exit status: 0\nnothing would change\n");
}

#[test]
fn a_schedule_has_ages_of_its_own() {
    let suite = Suite::start();
    configure(&suite, "max_age = '6h'\n[oncall.source.schedule.two]\nwarn_age = '10m'\nmax_age = '1h'");
    let long: &[(&str, i64, i64)] = &[("alice", -HOUR, DAY)];
    let bobs: &[(&str, i64, i64)] = &[("bob", -HOUR, DAY)];
    write_rota(&suite, &[("one", long), ("two", bobs), ("three", long)]);
    suite.sync();
    let code = |person: &str, seconds: i64| {
        let at = instant(now() + seconds);
        suite.run_as("nobody", &format!("oncall-cache test-access {person} --at {at}")).status.code()
    };
    assert_eq!((code("bob", HOUR - 60), code("bob", HOUR + 60)), (Some(0), Some(2)));
    assert_eq!((code("alice", HOUR + 60), code("alice", 6 * HOUR - 60)), (Some(0), Some(0)));
    assert_eq!(code("alice", 6 * HOUR + 60), Some(2));
    for (more, complaint) in [
        ("max_age = '4d'", "max_age (4d) is longer than lookahead (3d)"),
        ("[oncall.source.schedule.four]\nmax_oncall = 3", "`schedules` of source `rota` has no `four`"),
        ("max_oncall = 0", "`max_oncall` is 0, so nobody could ever be on call"),
    ] {
        configure(&suite, more);
        let said = suite.run_as("nobody", "oncall-cache config check /etc/authkeys/config.toml");
        assert!(text(&said).contains(complaint), "{more}: {}", text(&said));
    }
}

#[test]
fn a_host_cut_off_hands_over_three_times_and_then_cannot_tell() {
    let suite = Suite::start();
    let start = suite.write_rota(&[
        ("alice", -HOUR, HOUR),
        ("bob", HOUR, 2 * HOUR),
        ("carol", 2 * HOUR, 3 * HOUR),
        ("alice", 3 * HOUR, 3 * DAY),
    ]);
    suite.sync();
    suite.host.must("rm /etc/authkeys/rota.toml");
    let code = |person: &str, at: i64| {
        let at = instant(start + at);
        suite.run_as("nobody", &format!("oncall-cache test-access {person} --at {at}")).status.code()
    };
    for (hours, before, after) in [(1, "alice", "bob"), (2, "bob", "carol"), (3, "carol", "alice")] {
        let second = hours * HOUR;
        assert_eq!(
            (code(before, second - 1), code(after, second - 1)),
            (Some(0), Some(1)),
            "before {hours}h"
        );
        assert_eq!((code(before, second), code(after, second)), (Some(1), Some(0)), "at {hours}h");
    }
    let synced: i64 = suite
        .host
        .must("sqlite3 /var/lib/oncall-cache/roster.db 'SELECT synced FROM schedule'")
        .trim()
        .parse()
        .expect("an instant");
    let (last, first) = (synced + DAY - 1 - start, synced + DAY - start);
    assert_eq!((code("alice", last), code("alice", first)), (Some(0), Some(2)));
    // The same at a real sshd and sudo, with the roster moved into the past under the host's clock.
    for (hours, admitted, refused) in [(1, "bob", "alice"), (1, "carol", "bob"), (1, "alice", "carol")] {
        let back = hours * HOUR;
        suite.host.must(&format!(
            "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE shift SET starts = starts - {back}, ends = ends - {back};
             UPDATE schedule SET synced = synced - {back}, horizon = horizon - {back}; UPDATE meta SET published = published - {back}'"
        ));
        assert!(suite.ssh(admitted, "root", "true").status.success(), "{admitted} is on call");
        assert!(!suite.ssh(refused, "root", "true").status.success(), "{refused} is not");
        assert!(suite.run_as(admitted, "sudo -n true").status.success(), "{admitted} is on call");
        assert!(!suite.run_as(refused, "sudo -n true").status.success(), "{refused} is not");
    }
    suite.host.must(&format!(
        "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE schedule SET synced = synced - {DAY}; UPDATE meta SET published = published - {DAY}'"
    ));
    let output = suite.run_as("alice", "sudo -n true");
    assert!(text(&output).contains("was last known"), "{}", text(&output));
    assert_eq!(suite.run_as("nobody", "oncall-cache test-access alice").status.code(), Some(2));
}

#[test]
fn what_was_accepted_stays_accepted() {
    let suite = Suite::start();
    configure(&suite, "max_oncall = 1");
    write_rota(&suite, THREE);
    suite.sync();
    write_rota(&suite, &[("one", &[("alice", -HOUR, HOUR), ("bob", -HOUR, HOUR)]), THREE[1], THREE[2]]);
    let said = sync(&suite, "", 1);
    assert!(
        said.contains(
            "2 people would be on call at once, `max_oncall` is 1; if that will stay so, raise the limit"
        ),
        "{said}"
    );
    sync(&suite, "--accept", 0);
    sync(&suite, "", 0);
}

#[test]
fn what_was_read_at_a_time_that_has_not_come_is_not_kept_nor_published_again() {
    let suite = Suite::start();
    three(&suite);
    suite.host.must(&format!(
        "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE schedule SET synced = synced + {DAY}, horizon = horizon + {DAY}; UPDATE meta SET published = published + {DAY}'"
    ));
    let before = suite.host.read_bytes("/var/lib/oncall-cache/roster.db");
    let people =
        suite.host.read("/etc/authkeys/people.toml").replacen("eligible = true", "eligible = false", 1);
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    suite.sync_keys();
    suite.host.must("mv /etc/authkeys/rota.toml /run/");
    sync(&suite, "", 2);
    assert!(
        suite.host.read_bytes("/var/lib/oncall-cache/roster.db") == before,
        "published by a clock that is behind"
    );
    suite.host.must("mv /run/rota.toml /etc/authkeys/");
    write_rota(&suite, &[THREE[1], THREE[2]]);
    let said = sync(&suite, "", 1);
    assert!(said.contains("schedule rota/one: clock-rollback: "), "{said}");
    assert_eq!(checks(&suite, ["bob", "carol"]), [Some(0), Some(0)]);
}
