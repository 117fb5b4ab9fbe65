//! What a sync refuses, keeps, records and warns of; and what is left when it is killed.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use harness::suite::{CONFIG, DAY, HOUR, Suite, instant, now};
use harness::text;
use serde_json::Value;

/// A schedule's id and its shifts, as person, start, end in seconds from now.
type Rota<'a> = (&'a str, &'a [(&'a str, i64, i64)]);

/// Writes rota.toml.
fn write_rota(suite: &Suite, schedules: &[Rota<'_>]) {
    let now = now();
    let mut rota = String::new();
    for (id, shifts) in schedules {
        let _ = writeln!(rota, "[[schedule]]\nid = '{id}'");
        for (person, start, end) in *shifts {
            let (start, end) = (instant(now + start), instant(now + end));
            let _ = writeln!(rota, "[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}");
        }
    }
    suite.host.write("/etc/authkeys/rota.toml", rota, 0o644);
}

/// A configuration whose source lists three schedules, all of which admit; `more` stands in the source.
fn configure(suite: &Suite, more: &str) {
    let config = CONFIG
        .replace(
            "file = \"rota.toml\"\n",
            &format!("file = \"rota.toml\"\nschedules = ['one', 'two', 'three']\n{more}\n"),
        )
        .replace("schedules = [\"rota/primary\"]", "schedules = ['rota/one', 'rota/two', 'rota/three']");
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
}

/// Runs `oncall-cache sync` with `arguments`, which must exit with `code`; all that it said.
fn sync(suite: &Suite, arguments: &str, code: i32) -> String {
    let output = suite.run_as("oncall-cache", &format!("oncall-cache sync {arguments}"));
    assert_eq!(output.status.code(), Some(code), "sync {arguments}: {}", text(&output));
    text(&output)
}

/// Who is on call now, schedule by schedule, as `who` tells programs.
fn on_call(suite: &Suite) -> Vec<(String, Vec<String>)> {
    let said = suite.must_as("nobody", "oncall-cache who --json");
    let who: Value = serde_json::from_str(&said).expect("JSON");
    let names = |row: &Value| {
        let people = row["now"].as_array().expect("an array").iter();
        people.map(|one| one["person"].as_str().expect("a name").to_string()).collect()
    };
    let rows = who["schedules"].as_array().expect("an array").iter();
    rows.map(|row| (row["schedule"].as_str().expect("a name").to_string(), names(row))).collect()
}

fn report(suite: &Suite) -> Value {
    serde_json::from_str(&suite.host.read("/var/lib/oncall-cache/status.json")).expect("JSON")
}

/// alice, bob and carol on call for one schedule each.
const THREE: &[Rota<'_>] = &[
    ("one", &[("alice", -HOUR, HOUR)]),
    ("two", &[("bob", -HOUR, HOUR)]),
    ("three", &[("carol", -HOUR, HOUR)]),
];

fn three(suite: &Suite) {
    configure(suite, "");
    write_rota(suite, THREE);
    suite.sync();
}

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
    assert_eq!(suite.run_as("nobody", "oncall-cache check alice").status.code(), Some(1));
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
    assert_eq!(suite.run_as("nobody", "oncall-cache check bob").status.code(), Some(2));
    assert_eq!(suite.run_as("nobody", "oncall-cache check alice").status.code(), Some(0));
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
    assert!(said.contains("schedule rota/one: guard-tripped: 100% of the time known before"), "{said}");
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
        suite.run_as("nobody", &format!("oncall-cache check {person} --at {at}")).status.code()
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
fn each_change_of_who_could_become_root_is_a_line_of_history() {
    let suite = Suite::start();
    three(&suite);
    let history = || -> Vec<Value> {
        let text = suite.host.read("/var/lib/oncall-cache/history.jsonl");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let brief = |record: &Value| {
        format!("{} {} {}", record["change"], record["person"], record["eligible"]).replace('"', "")
    };
    let first: Vec<String> = history().iter().map(brief).collect();
    assert_eq!(first, ["gained alice true", "gained bob true", "gained carol true"]);
    sync(&suite, "", 0);
    assert_eq!(history().len(), 3, "the same again is no change");
    write_rota(&suite, &[THREE[0], THREE[1], ("three", &[("dave", -HOUR, HOUR)])]);
    let _ = sync(&suite, "", 0);
    let records = history();
    // Written anew at another second, every shift is another one; what counts is who comes and goes.
    let gone = records.iter().skip(3).filter(|one| one["person"] == "carol").map(brief).collect::<Vec<_>>();
    let came = records.iter().skip(3).filter(|one| one["person"] == "dave").map(brief).collect::<Vec<_>>();
    assert_eq!((gone, came), (vec!["lost carol true".to_string()], vec!["gained dave false".to_string()]));
    let last = records.last().expect("a record");
    let digest = suite.host.must("sha256sum /etc/authkeys/config.toml");
    assert_eq!(last["policy"].as_str(), digest.split(' ').next());
    assert_eq!((last["host"].as_str(), last["version"].as_u64()), (Some("testhost"), Some(1)));
    // Another policy is a change of its own.
    suite.host.must("echo '# reviewed' >>/etc/authkeys/config.toml");
    sync(&suite, "", 0);
    assert_eq!(history().last().map(|one| one["change"].clone()), Some("policy".into()), "{}", suite.host.must("cat /var/lib/oncall-cache/history.jsonl /var/lib/oncall-cache/status.json; sha256sum /etc/authkeys/config.toml"));
    let mode = suite.host.must("stat -c '%U %a' /var/lib/oncall-cache/history.jsonl");
    assert_eq!(mode, "oncall-cache 640\n");
    // A link in its place leads nobody astray, and no hand-over waits for a record.
    suite.host.must(
        "ln -sf /etc/shadow /var/lib/oncall-cache/history.jsonl; chown -h oncall-cache: /var/lib/oncall-cache/history.jsonl",
    );
    write_rota(&suite, &[THREE[0], THREE[1], ("three", &[("bob", -HOUR, HOUR)])]);
    let output = suite.host.sh("oncall-cache sync");
    assert!(text(&output).contains("the history of who could become root has a gap"), "{}", text(&output));
    assert_eq!(suite.run_as("nobody", "oncall-cache check bob").status.code(), Some(0));
}

#[test]
fn who_will_not_be_admitted_is_told_three_days_ahead() {
    let suite = Suite::start();
    configure(&suite, "");
    write_rota(
        &suite,
        &[
            ("one", &[("alice", -HOUR, HOUR), ("priya@example.com", HOUR, 2 * HOUR)]),
            ("two", &[("bob", -HOUR, HOUR), ("dave", 5 * HOUR, 6 * HOUR), ("dave", DAY, DAY + HOUR)]),
            ("three", &[("carol", 3 * DAY - 2 * HOUR, 3 * DAY - HOUR)]),
        ],
    );
    let people = suite.host.read("/etc/authkeys/people.toml");
    let carols = suite.public_key("carol");
    suite.host.write("/etc/authkeys/people.toml", people.replace(&carols, "ssh-ed25519 AAAA"), 0o644);
    suite.sync_keys();
    let said = sync(&suite, "", 0);
    for line in [
        "next on-caller cannot log in: priya, one from ",
        "no directory entry has the mail address; add it there",
        "next on-caller cannot log in: dave, two from ",
        "dave is not in the eligible group",
        "next on-caller cannot log in: carol, three from ",
        "carol has no usable key in the directory",
    ] {
        assert!(said.contains(line), "{line:?} is not in {said}");
    }
    assert_eq!(said.matches("cannot log in: dave").count(), 1, "the first of several shifts is told: {said}");
    let report = report(&suite);
    assert_eq!(report["ahead"].as_array().map(Vec::len), Some(3), "{report}");
    assert!(!report.to_string().contains('@'), "a mail address where anybody reads it: {report}");
    assert_eq!(report["unmapped"], 1, "{report}");
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
        suite.run_as("nobody", &format!("oncall-cache check {person} --at {at}")).status.code()
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
    assert_eq!(suite.run_as("nobody", "oncall-cache check alice").status.code(), Some(2));
}

/// Where `kill` struck, by what was left behind.
#[derive(Default, Debug)]
struct Struck {
    old: usize,
    new: usize,
}

#[test]
fn a35_a_sync_that_is_killed_leaves_the_old_state_or_the_new_one() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, DAY)]);
    suite.sync();
    let started = Instant::now();
    suite.must_as("oncall-cache", "oncall-cache sync");
    let whole = started.elapsed().max(Duration::from_millis(20));
    // Readers ask all the while.
    suite.host.must(
        "cat >/run/reader <<'END'
while [ ! -e /run/stop ]; do
    oncall-cache check alice >/dev/null 2>&1; a=$?
    [ $a -le 1 ] || echo \"check alice: $a\"
    oncall-cache who >/dev/null 2>&1 || echo \"who: $?\"
done
END
         (sh /run/reader >/run/readings 2>&1; touch /run/read) >/dev/null 2>&1 &",
    );
    let mut struck = Struck::default();
    let mut seed: u64 = 0x5eed;
    let mut old = "alice";
    for round in 0..200 {
        let next = if old == "alice" { "bob" } else { "alice" };
        suite.write_rota(&[(next, -HOUR, DAY)]);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = whole.as_secs_f64() * ((seed >> 33) as f64 / f64::from(1u32 << 31));
        suite.run_as(
            "oncall-cache",
            &format!("oncall-cache sync >/dev/null 2>&1 & p=$!; sleep {moment:.4}; kill -9 $p; wait $p"),
        );
        let now = on_call(&suite);
        let [(_, people)] = now.as_slice() else { panic!("round {round}: {now:?}") };
        match people.as_slice() {
            [one] if one == old => struck.old += 1,
            [one] if one == next => {
                struck.new += 1;
                old = next;
            }
            other => panic!("round {round}: neither {old} nor {next}: {other:?}"),
        }
    }
    assert!(struck.old > 10 && struck.new > 10, "the moments do not cover a sync: {struck:?}");
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
            "rm -f /run/waits; runuser -u {user} -- flock /var/lib/{lock} sh -c 'until [ -e /run/waits ]; do sleep 0.1; done' & sleep 0.3
             cd /etc/authkeys; runuser -u {user} -- {sync} 2>&1 | {{
                 read said; echo \"$said\"; cp {file}.toml {other}.toml; sed -i s/{file}.toml/{other}.toml/ config.toml; touch /run/waits; cat
             }}"
        ));
        assert!(output.contains("another sync is at work; waiting for its end\n"), "{output}");
    }
    assert_eq!(suite.run_as("nobody", "oncall-cache check bob").status.code(), Some(0));
    let printed = text(&suite.run_as("authkeys", "authkeys root"));
    assert!(printed.contains(" bob"), "a copy of the people there are now: {printed}");
    let digest = suite.host.must("sha256sum </etc/authkeys/config.toml | cut -d' ' -f1");
    let report = suite.host.read("/var/lib/oncall-cache/status.json");
    assert!(report.contains(digest.trim()), "{report}");
}

/// A configuration with a source of its own for each of `sources`, as name and settings; all schedules count.
fn configure_sources(suite: &Suite, sources: &[(&str, &str)], rules: &str) {
    let mut config = "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n".to_string();
    for (name, settings) in sources {
        let _ = writeln!(config, "[[oncall.source]]\nname = '{name}'\n{settings}");
    }
    let _ = writeln!(
        config,
        "[[policy.rule]]\nname = 'all'\nschedules = [{rules}]\n[[policy.shared]]\naccount = 'root'"
    );
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
}

/// A document of a `file` or `exec` source: one schedule with one person's shift; `more` stands at its start.
fn document(schedule: &str, user: &str, more: &str) -> String {
    let (start, end) = (instant(now() - HOUR), instant(now() + HOUR));
    format!(
        r#"{{"version":1,{more}"schedules":[{{"id":"{schedule}","shifts":[{{"user":{user},"start":"{start}","end":"{end}"}}]}}]}}"#
    )
}

/// Exit statuses of `check`, in the order of `names`.
fn checks<const N: usize>(suite: &Suite, names: [&str; N]) -> [Option<i32>; N] {
    names.map(|name| suite.run_as("nobody", &format!("oncall-cache check {name}")).status.code())
}

#[test]
fn a_schedule_that_takes_anothers_name_or_place_is_not_taken_for_it() {
    let suite = Suite::start();
    three(&suite);
    // `two` is gone, and one that nobody asked for calls itself so.
    let rota = |suite: &Suite| {
        write_rota(
            suite,
            &[THREE[0], ("interns", &[("dave", -HOUR, HOUR), ("carol", -HOUR, HOUR)]), THREE[2]],
        );
        suite.host.must("sed -i \"s/id = 'interns'/id = 'interns'\\nname = 'two'/\" /etc/authkeys/rota.toml");
    };
    rota(&suite);
    let said = sync(&suite, "", 1);
    assert!(
        said.contains("schedule rota/two: guard-tripped: `two` was two and would be interns now"),
        "{said}"
    );
    assert_eq!(on_call(&suite)[1], ("rota/two".to_string(), vec!["bob".to_string()]));
    let said = sync(&suite, "--accept rota/nonsense", 64);
    assert!(
        said.contains(
            "there is no schedule `rota/nonsense` to accept; there are rota/one, rota/three, rota/two"
        ),
        "{said}"
    );
    sync(&suite, "--accept rota/two", 0);
    assert_eq!(on_call(&suite)[1].1, ["carol", "dave"]);
    sync(&suite, "", 0);
}

#[test]
fn what_a_source_without_a_list_tells_of_no_more_stays_until_it_is_too_old() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, DAY)]);
    suite.sync();
    suite.host.must("sed -i s/primary/primery/ /etc/authkeys/rota.toml");
    let said = sync(&suite, "", 1);
    assert!(
        said.contains("schedule rota/primary: source-incomplete: the source tells of it no more"),
        "{said}"
    );
    assert_eq!(checks(&suite, ["alice"]), [Some(0)]);
    // Emptied altogether, and somebody else leaves the eligible group meanwhile.
    suite.host.must("echo >/etc/authkeys/rota.toml");
    let people = suite.host.read("/etc/authkeys/people.toml");
    let without_bob = people.replace(
        "principal = 'bob'\nmail = ['bob@example.com']\neligible = true",
        "principal = 'bob'\nmail = ['bob@example.com']\neligible = false",
    );
    assert_ne!(people, without_bob);
    suite.host.write("/etc/authkeys/people.toml", without_bob, 0o644);
    suite.sync_keys();
    let said = sync(&suite, "", 2);
    assert!(said.contains("published again with who may become root now"), "{said}");
    assert_eq!(checks(&suite, ["alice", "bob"]), [Some(0), Some(1)]);
    // What was published again is written down: alice's shift stands, so nothing of hers is lost.
    let history = suite.host.read("/var/lib/oncall-cache/history.jsonl");
    assert!(!history.contains("lost"), "{history}");
}

#[test]
fn a_source_that_stalls_or_whose_clock_is_wrong_harms_no_other() {
    let suite = Suite::start();
    let file = |name: &str| format!("provider = 'file'\nfile = '/etc/authkeys/{name}.json'");
    let slow = "provider = 'exec'\ncommand = ['/usr/bin/sleep', '60']\ndeadline = '4s'";
    configure_sources(
        &suite,
        &[("slow1", slow), ("slow2", slow), ("ahead", &file("ahead")), ("good", &file("good"))],
        "'good/p', 'ahead/p'",
    );
    let hour_ahead = format!(r#""generated_at":"{}","#, instant(now() + HOUR));
    let right = format!(r#""generated_at":"{}","#, instant(now()));
    let bob = r#"{"id":"2","principal":"bob"}"#;
    suite.host.write("/etc/authkeys/ahead.json", document("p", bob, &hour_ahead), 0o644);
    suite.host.write(
        "/etc/authkeys/good.json",
        document("p", r#"{"id":"1","principal":"alice"}"#, &right),
        0o644,
    );
    suite.sync_keys();
    let started = Instant::now();
    let said = sync(&suite, "", 1);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(7), "one after the other: {took:?}");
    assert!(
        said.contains("schedule ahead/p: source-error: its `generated_at` and this host's clock are"),
        "{said}"
    );
    assert_eq!(said.matches("not done after 4s").count(), 2, "{said}");
    assert_eq!(checks(&suite, ["alice"]), [Some(0)]);
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
            "2 people would be on call at once, `max_oncall` is 1; if it is to stay so, raise that"
        ),
        "{said}"
    );
    sync(&suite, "--accept", 0);
    sync(&suite, "", 0);
}

#[test]
fn a_mail_address_that_changes_hands_takes_no_shift_along() {
    let suite = Suite::start();
    configure_sources(&suite, &[("it", "provider = 'file'\nfile = '/etc/authkeys/it.json'")], "'it/p'");
    let user = r#"{"id":"17","email":"alice@example.com"}"#;
    suite.host.write("/etc/authkeys/it.json", document("p", user, ""), 0o644);
    suite.sync();
    assert_eq!(checks(&suite, ["alice", "bob"]), [Some(0), Some(1)]);
    // alice is not eligible any more, and bob says that the address is his.
    let people = suite.host.read("/etc/authkeys/people.toml");
    let moved = people
        .replacen("eligible = true", "eligible = false", 1)
        .replace("['bob@example.com']", "['bob@example.com', 'Alice@Example.com']");
    suite.host.write("/etc/authkeys/people.toml", moved, 0o644);
    suite.sync_keys();
    for _ in 0..2 {
        let output = suite.run_as("oncall-cache", "oncall-cache sync");
        assert!(
            text(&output).contains("was alice and would be bob now (ambiguous-person)"),
            "{}",
            text(&output)
        );
        assert_eq!(checks(&suite, ["alice", "bob"]), [Some(1), Some(1)]);
    }
    sync(&suite, "--accept it/p", 0);
    assert_eq!(checks(&suite, ["bob"]), [Some(0)]);
}

#[test]
fn what_anybody_may_read_has_no_address_and_no_words_of_other_programs() {
    let suite = Suite::start();
    let command = "/etc/authkeys/rota-command";
    let id = "x'; touch /run/pwned; echo '";
    configure_sources(
        &suite,
        &[
            ("exec", &format!("provider = 'exec'\ncommand = ['{command}']")),
            ("file", "provider = 'file'\nfile = '/etc/authkeys/file.json'"),
        ],
        "'exec/p'",
    );
    suite.host.write(
        command,
        "#!/bin/sh\necho 'https://x:hunter2@rota/ for bob@example.com' >&2\nexit 22\n",
        0o755,
    );
    suite.host.write(
        "/etc/authkeys/file.json",
        document(id, r#"{"id":"carol@example.com","email":"nobody@example.com"}"#, ""),
        0o644,
    );
    suite.sync_keys();
    let said = sync(&suite, "", 2);
    assert!(said.contains("hunter2"), "the log has it: {said}");
    let status = report(&suite).to_string()
        + &suite.run_as("nobody", "oncall-cache status").stdout.escape_ascii().to_string();
    for word in ["hunter2", "@example.com", "bob"] {
        assert!(!status.contains(word), "{word} is in {status}");
    }
    // What is to be pasted into a root shell is one word of it.
    let advice = said.lines().find(|line| line.contains("--accept")).expect("advice");
    let command = advice.split("sudo ").nth(1).expect("a command");
    suite.host.sh(command);
    assert!(!suite.host.path("/run/pwned").exists(), "{command}");
}

#[test]
fn status_knows_of_a_list_of_the_revoked_that_shuts_everybody_out() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    suite.host.write("/etc/authkeys/revoked", "junk\n", 0o644);
    let output = suite.run_as("nobody", "oncall-cache status");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("who is revoked cannot be told"), "{}", text(&output));
    let metrics = suite.run_as("nobody", "oncall-cache status --prometheus");
    assert!(text(&metrics).contains("oncall_cache_revocations_readable 0"), "{}", text(&metrics));
}

#[test]
fn the_history_comes_before_the_roster_and_a_policy_is_missed_by_no_failure() {
    let suite = Suite::start();
    three(&suite);
    let lines = || suite.host.read("/var/lib/oncall-cache/history.jsonl").lines().count();
    let before = (lines(), suite.host.read_bytes("/var/lib/oncall-cache/roster.db"));
    write_rota(&suite, &[THREE[0], THREE[1], ("three", &[("alice", -HOUR, HOUR)])]);
    suite.host.must("mkdir /var/lib/oncall-cache/roster.new");
    sync(&suite, "", 2);
    assert!(lines() > before.0, "the roster would have been published without a record");
    assert!(suite.host.read_bytes("/var/lib/oncall-cache/roster.db") == before.1);
    suite.host.must("rmdir /var/lib/oncall-cache/roster.new; echo '# reviewed' >>/etc/authkeys/config.toml; mv /etc/authkeys/rota.toml /run/");
    sync(&suite, "", 2);
    suite.host.must("mv /run/rota.toml /etc/authkeys/");
    sync(&suite, "", 0);
    assert!(suite.host.read("/var/lib/oncall-cache/history.jsonl").contains(r#""change":"policy""#));
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
