//! Shifts from rota.toml, a command and a file, through the real sync: their edges, their zones, whose they are,
//! and what is not trusted.

use std::fmt::Write as _;

use harness::suite::{self, HOUR, Suite, TEAM};
use harness::{text, wait_until};
use jiff::civil::{Date, Weekday};
use serde_json::{Value, json};

const COMMAND: &str = "/etc/authkeys/rota-command";
const FILE: &str = "/var/lib/rota/rota.json";

/// A source and how the three kinds of it are configured.
const SOURCES: [(&str, &str); 3] = [
    ("rota", "provider = 'rota'\nfile = 'rota.toml'"),
    ("exec", "provider = 'exec'\ncommand = ['/etc/authkeys/rota-command']\ntimeout = '2s'"),
    ("file", "provider = 'file'\nfile = '/var/lib/rota/rota.json'"),
];

fn start() -> Suite {
    let suite = Suite::start();
    suite.sync_keys();
    suite
}

fn configure(suite: &Suite, oncall: &str, source: &str) {
    let config = format!(
        "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[oncall]\n{oncall}\n\
         [[oncall.source]]\nname = 'it'\n{source}\n[[policy.rule]]\nname = 'primary'\nschedules = ['it/primary']\n\
         [[policy.shared_account]]\naccount = 'root'\n"
    );
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
}

/// A user of our JSON, and a shift of theirs in seconds from `now`.
type Told = (Value, i64, i64);

fn document(now: i64, shifts: &[Told]) -> String {
    let shift = |(user, start, end): &Told| json!({"user": user, "start": suite::instant(now + start), "end": suite::instant(now + end)});
    let shifts: Vec<Value> = shifts.iter().map(shift).collect();
    json!({"version": 1, "schedules": [{"id": "primary", "shifts": shifts}]}).to_string()
}

/// Writes what the source of this name tells; rota.toml names people by their addresses, or else usernames.
fn tell(suite: &Suite, name: &str, now: i64, shifts: &[Told]) {
    let document = document(now, shifts);
    match name {
        "exec" => suite.host.write(COMMAND, format!("#!/bin/sh\ncat <<'JSON'\n{document}\nJSON\n"), 0o755),
        "file" => suite.host.write(FILE, document, 0o644),
        _ => {
            let mut text = "[[schedule]]\nid = 'primary'\n".to_string();
            for (user, start, end) in shifts {
                let person = user.get("email").or(user.get("username")).unwrap_or(&user["id"]);
                let (start, end) = (suite::instant(now + start), suite::instant(now + end));
                let _ = writeln!(text, "[[schedule.shift]]\nperson = {person}\nstart = {start}\nend = {end}");
            }
            suite.host.write("/etc/authkeys/rota.toml", text, 0o644);
        }
    }
}

fn mail(id: &str, mail: &str) -> Value {
    json!({"id": id, "email": mail})
}

/// What `oncall-cache sync` said, however it ended.
fn sync(suite: &Suite) -> String {
    text(&suite.run_as("oncall-cache", "oncall-cache sync"))
}

/// The exit status of `check PERSON` so many seconds after `now`.
fn check(suite: &Suite, person: &str, now: i64, after: i64) -> Option<i32> {
    let at = suite::instant(now + after);
    suite.run_as("nobody", &format!("oncall-cache test-access {person} --at {at}")).status.code()
}

/// Who of the team is on call so many seconds after `now`.
fn on_call(suite: &Suite, now: i64, after: i64) -> Vec<&'static str> {
    TEAM.iter().map(|member| member.name).filter(|name| check(suite, name, now, after) == Some(0)).collect()
}

#[test]
fn a26_a_shift_holds_from_its_first_second_to_the_last_before_its_end() {
    let suite = start();
    for (name, source) in SOURCES {
        configure(&suite, "", source);
        let now = suite::now();
        tell(&suite, name, now, &[(mail("1", "alice@example.com"), HOUR, 2 * HOUR)]);
        suite.must_as("oncall-cache", "oncall-cache sync");
        let codes = [HOUR - 1, HOUR, 2 * HOUR - 1, 2 * HOUR].map(|after| check(&suite, "alice", now, after));
        assert_eq!(codes, [Some(1), Some(0), Some(0), Some(1)], "{name}");
    }
}

/// The Sunday of a month, counted from 1, or from the end with -1.
fn sunday(year: i16, month: i8, number: i8) -> Date {
    Date::new(year, month, 1)
        .and_then(|first| first.nth_weekday_of_month(number, Weekday::Sunday))
        .expect("a Sunday")
}

/// A rota over the changes of clocks of one year, and rows that the roster must have, by the law of each zone.
fn rota_over_changes(year: i16) -> (String, Vec<String>) {
    let (berlin, york) =
        ([sunday(year, 3, -1), sunday(year, 10, -1)], [sunday(year, 3, 2), sunday(year, 11, 1)]);
    let mut rota = "[[schedule]]\nid = 'primary'\n".to_string();
    let mut rows = Vec::new();
    for (person, start, end, utc) in [
        // An hour each: clocks go on from 02:00 to 03:00, and back from 03:00 to 02:00.
        (
            "alice",
            format!("{}T01:30:00+01:00", berlin[0]),
            format!("{}T03:30:00+02:00", berlin[0]),
            berlin[0].to_string() + " 00:30:00|" + &berlin[0].to_string() + " 01:30:00",
        ),
        (
            "bob",
            format!("{}T02:30:00+02:00", berlin[1]),
            format!("{}T02:30:00+01:00", berlin[1]),
            berlin[1].to_string() + " 00:30:00|" + &berlin[1].to_string() + " 01:30:00",
        ),
        (
            "alice",
            format!("{}T01:30:00-05:00", york[0]),
            format!("{}T03:30:00-04:00", york[0]),
            york[0].to_string() + " 06:30:00|" + &york[0].to_string() + " 07:30:00",
        ),
        (
            "bob",
            format!("{}T01:30:00-04:00", york[1]),
            format!("{}T01:30:00-05:00", york[1]),
            york[1].to_string() + " 05:30:00|" + &york[1].to_string() + " 06:30:00",
        ),
    ] {
        let _ = writeln!(rota, "[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}");
        rows.push(format!("primary|{person}|{utc}"));
    }
    for (id, zone, changes, hours) in [
        ("berlin", "Europe/Berlin", berlin, [["08", "07"], ["07", "08"]]),
        ("york", "America/New_York", york, [["14", "13"], ["13", "14"]]),
    ] {
        let days = jiff::Span::new();
        let first = changes[0].checked_sub(days.days(20)).expect("a day");
        assert_eq!(first.weekday(), Weekday::Monday);
        let _ = writeln!(
            rota,
            "[[schedule]]\nid = '{id}'\n[[schedule.rotation]]\npeople = ['carol']\ntime_zone = '{zone}'\nstart = {first}T09:00:00\nevery = '1w'"
        );
        for (change, [before, after]) in changes.into_iter().zip(hours) {
            let monday = change.checked_sub(days.days(6)).expect("a day");
            let next = change.tomorrow().expect("a day");
            rows.push(format!("{id}|carol|{monday} {before}:00:00|{next} {after}:00:00"));
        }
    }
    (rota, rows)
}

#[test]
fn a27_shifts_over_changes_of_clocks_are_the_same_whatever_the_hosts_zone_is() {
    let suite = start();
    configure(&suite, "lookahead = '800d'", SOURCES[0].1);
    let year = jiff::Timestamp::from_second(suite::now())
        .expect("a time")
        .to_zoned_datetime(jiff::tz::TimeZone::UTC)
        .year()
        + 1;
    let (rota, rows) = rota_over_changes(year);
    suite.host.write("/etc/authkeys/rota.toml", rota, 0o644);
    let published = |environment: &str| {
        suite.must_as("oncall-cache", &format!("{environment} oncall-cache sync"));
        suite.host.must(
            "sqlite3 /var/lib/oncall-cache/roster.db \"SELECT id, principal, datetime(starts, 'unixepoch'),
             datetime(ends, 'unixepoch') FROM shift JOIN schedule ON number = schedule ORDER BY id, starts, ends\"",
        )
    };
    let first = published("TZ=UTC");
    for row in rows {
        assert!(first.lines().any(|line| line == row), "{row} is not in\n{first}");
    }
    for zone in ["America/New_York", "Australia/Lord_Howe", ":/etc/no-such-zone"] {
        assert_eq!(published(&format!("TZ={zone}")), first, "{zone}");
    }
    // Nor is it another's word what a zone is; and a host without time zones has those of the program.
    suite
        .host
        .must("mkdir -p /tmp/zones/Europe && cp /usr/share/zoneinfo/Asia/Tokyo /tmp/zones/Europe/Berlin");
    assert_eq!(published("TZDIR=/tmp/zones"), first);
    suite.host.must("mv /usr/share/zoneinfo /usr/share/zoneinfo.away");
    assert_eq!(published("TZ=Europe/Berlin"), first, "without tzdata");
}

#[test]
fn a28_overlapping_and_touching_shifts_are_one_time_on_call() {
    let suite = start();
    for (name, source) in SOURCES {
        configure(&suite, "", source);
        let now = suite::now();
        let alice = || mail("1", "alice@example.com");
        let all = [(alice(), -HOUR, 2 * HOUR), (alice(), HOUR, 3 * HOUR), (alice(), 3 * HOUR, 4 * HOUR)];
        let edges = [0, HOUR, 2 * HOUR - 1, 2 * HOUR, 3 * HOUR - 1, 3 * HOUR, 4 * HOUR - 1, 4 * HOUR];
        for (without, expected) in [
            (None, [0, 0, 0, 0, 0, 0, 0, 1]),
            // The one that remains of two holds on.
            (Some(0), [1, 0, 0, 0, 0, 0, 0, 1]),
            (Some(1), [0, 0, 0, 1, 1, 0, 0, 1]),
        ] {
            let mut shifts = all.to_vec();
            if let Some(number) = without {
                shifts.remove(number);
            }
            tell(&suite, name, now, &shifts);
            suite.must_as("oncall-cache", "oncall-cache sync");
            let codes = edges.map(|after| check(&suite, "alice", now, after));
            assert_eq!(codes, expected.map(Some), "{name} without {without:?}");
        }
    }
}

#[test]
fn a29_who_is_nobody_here_is_left_out_and_said_and_the_others_are_published() {
    let suite = start();
    for (name, source) in SOURCES {
        configure(&suite, "", source);
        let now = suite::now();
        let mut shifts = vec![
            (mail("1", "alice@example.com"), -HOUR, HOUR),
            (mail("2", "ghost@example.com"), -HOUR, HOUR),
            (json!({"id": "zoe", "username": "zoe"}), -HOUR, HOUR),
        ];
        let mut expected = vec!["no directory entry has ghost@example.com", "the directory has no user zoe"];
        if name != "rota" {
            // What they are called, and even their id, is a principal's name: that says nothing.
            shifts.push((json!({"id": "bob", "name": "carol"}), -HOUR, HOUR));
            shifts.push((json!({"id": "5", "email": "", "name": "bob"}), -HOUR, HOUR));
            expected.extend(["skipped it/bob: has no mail address", "skipped it/5: has no mail address"]);
        }
        tell(&suite, name, now, &shifts);
        let said = sync(&suite);
        for words in expected {
            assert!(said.contains(words), "{name}: {words} is not in {said}");
        }
        assert_eq!(on_call(&suite, now, 60), ["alice"], "{name}: {said}");
    }
}

#[test]
fn a30_an_address_of_several_people_is_nobodys_but_an_ineligible_claimant_takes_nothing() {
    let suite = start();
    let people = suite.host.read("/etc/authkeys/people.toml");
    for (name, source) in SOURCES {
        configure(&suite, "", source);
        let now = suite::now();
        let shifts =
            [(mail("1", "alice@example.com"), -HOUR, HOUR), (mail("2", "carol@example.com"), -HOUR, HOUR)];
        tell(&suite, name, now, &shifts);
        let with = |from: &str, to: &str| {
            suite.host.write("/etc/authkeys/people.toml", people.replace(from, to), 0o644);
            suite.sync_keys();
            sync(&suite)
        };
        let said = with("bob@example.com", "ALICE@example.com");
        assert!(
            said.contains("alice@example.com belongs to several people (ambiguous-person)"),
            "{name}: {said}"
        );
        assert_eq!(on_call(&suite, now, 60), ["carol"], "{name}: {said}");
        let said = with("dave@example.com", "alice@example.com");
        assert!(said.contains("dave has the same mail address and is ignored"), "{name}: {said}");
        assert_eq!(on_call(&suite, now, 60), ["alice", "carol"], "{name}: {said}");
        // Two users with one address, which in rota.toml is one person written in two ways.
        let claim = (mail("3", "Alice@Example.com"), 0, HOUR);
        tell(&suite, name, now, &[shifts[0].clone(), shifts[1].clone(), claim]);
        let said = with("", "");
        let people = if name == "rota" { vec!["alice", "carol"] } else { vec!["carol"] };
        assert_eq!(said.contains("(ambiguous-person)"), name != "rota", "{name}: {said}");
        assert_eq!(on_call(&suite, now, 60), people, "{name}: {said}");
    }
}

#[test]
fn a31_addresses_are_equal_but_for_ascii_case() {
    let suite = start();
    let people =
        suite.host.read("/etc/authkeys/people.toml").replace("alice@example.com", "aLiCe@Example.com");
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    suite.sync_keys();
    for (name, source) in SOURCES {
        configure(&suite, "", source);
        let now = suite::now();
        for (written, expected) in [
            ("ALICE@EXAMPLE.COM", true),
            ("alice@example.com", true),
            ("al\u{131}ce@example.com", false),
            ("\u{ff41}lice@example.com", false),
            ("alice@example.com.", false),
            ("alice+x@example.com", false),
            (" alice@example.com", false),
        ] {
            let others = (mail("2", "carol@example.com"), -HOUR, HOUR);
            tell(&suite, name, now, &[(mail("1", written), -HOUR, HOUR), others]);
            let said = sync(&suite);
            let people = if expected { vec!["alice", "carol"] } else { vec!["carol"] };
            assert_eq!(on_call(&suite, now, 60), people, "{name}, {written:?}: {said}");
        }
    }
}

/// A sync that must fail, say `words` and leave the roster as it is.
fn fails(suite: &Suite, words: &str) {
    let roster = || suite.host.read_bytes("/var/lib/oncall-cache/roster.db");
    let before = roster();
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(!output.status.success() && text(&output).contains(words), "{words} is not in {}", text(&output));
    assert!(roster() == before, "the roster has changed: {}", text(&output));
}

#[test]
fn a_command_that_others_could_have_written_or_that_fails_gives_nothing() {
    let suite = start();
    configure(&suite, "", SOURCES[1].1);
    let now = suite::now();
    let good = [(mail("1", "alice@example.com"), -HOUR, HOUR)];
    tell(&suite, "exec", now, &good);
    // It runs as the user that syncs, also when root calls.
    suite.host.must(&format!("sed -i '2i [ \"$(id -un)\" = oncall-cache ] || exit 3' {COMMAND}"));
    suite.host.must("oncall-cache sync");
    for (spoil, words) in [
        ("chmod 775 COMMAND", "rota-command: refused, others can write it; chmod go-w it"),
        (
            "chmod 755 COMMAND; chown oncall-cache COMMAND",
            "rota-command: refused, it belongs to the wrong user",
        ),
        (
            "chown root COMMAND; mv COMMAND COMMAND.real; ln -s COMMAND.real COMMAND",
            "it is a symbolic link; name the file itself",
        ),
        ("mv COMMAND.real COMMAND; chmod 644 COMMAND", "rota-command: cannot be started: Permission denied"),
        (
            "chmod 755 COMMAND; echo 'echo no luck >&2; exit 4' >COMMAND",
            "rota-command: cannot be started: Exec format error",
        ),
        ("sed -i '1i #!/bin/sh' COMMAND", "rota-command: ended with exit status 4; its output: \"no luck\""),
        (
            "printf '#!/bin/sh\\nsleep 1061.5 & sleep 1061.5\\n' >COMMAND",
            "rota-command: not done after 2s and killed; see `timeout`",
        ),
        ("printf '#!/bin/sh\\nyes\\n' >COMMAND", "printed more than 4194304 bytes"),
        (
            "printf '#!/bin/sh\\necho {}\\n' >COMMAND",
            "the output of /etc/authkeys/rota-command: line 1, column 2: missing field `version`",
        ),
        ("rm COMMAND", "rota-command: no such file"),
        (
            "mkdir -m 1777 /etc/way; ln -s /etc/authkeys /etc/way/there; sed -i s:/etc/authkeys/rota-command:/etc/way/there/rota-command: /etc/authkeys/config.toml",
            "/etc/way/there is a symbolic link that others could have made",
        ),
    ] {
        suite.host.must(&spoil.replace("COMMAND", COMMAND));
        fails(&suite, words);
    }
    let left = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 1061[.]5' || true";
    wait_until("what the command started is gone", || suite.host.must(left) == "0\n");
    let ahead = document(now, &good).replacen(
        '{',
        &format!(r#"{{"generated_at":"{}","#, suite::instant(now + HOUR)),
        1,
    );
    configure(&suite, "", SOURCES[1].1);
    suite.host.write(COMMAND, format!("#!/bin/sh\necho '{ahead}'\n"), 0o755);
    fails(&suite, "clock-skew");
}

#[test]
fn a_file_is_believed_if_root_or_the_owner_of_its_directory_wrote_it() {
    let suite = start();
    configure(&suite, "", SOURCES[2].1);
    let now = suite::now();
    let good = [(mail("1", "alice@example.com"), -HOUR, HOUR)];
    tell(&suite, "file", now, &good);
    for owner in ["root", "oncall-cache", "daemon"] {
        suite.host.must(&format!("chown -R {owner} /var/lib/rota"));
        suite.must_as("oncall-cache", "oncall-cache sync");
    }
    for (spoil, words) in [
        ("chown nobody FILE", "it belongs to the wrong user"),
        ("chown daemon FILE; chmod 666 FILE", "others can write it"),
        ("chmod 644 FILE; chmod 777 /var/lib/rota", "can be written by others"),
        (
            "chmod 755 /var/lib/rota; echo '{\"version\":7}' >FILE",
            "/var/lib/rota/rota.json: `version` is 7; this release reads 1",
        ),
        ("rm FILE", "/var/lib/rota/rota.json: no such file"),
    ] {
        suite.host.must(&spoil.replace("FILE", FILE));
        fails(&suite, words);
    }
    for (written, words) in
        [(now - 90_000, "it was last written 1d 1h ago, `max_age` is 1d"), (now + HOUR, "clock-skew")]
    {
        let text = document(now, &good).replacen(
            '{',
            &format!(r#"{{"generated_at":"{}","#, suite::instant(written)),
            1,
        );
        suite.host.write(FILE, text, 0o644);
        fails(&suite, words);
    }
}

#[test]
fn the_documented_script_prints_a_rota() {
    let suite = start();
    configure(&suite, "", SOURCES[1].1);
    let page = suite.host.read("/run/suite/source/docs/providers.md");
    let script: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "    #!/bin/sh")
        .map_while(|line| line.strip_prefix("    "))
        .collect();
    suite.host.write(COMMAND, script.join("\n") + "\n", 0o755);
    let now = suite::now();
    let line = |person: &str, start: i64, end: i64| {
        format!("{} {} {person}@example.com\n", suite::instant(now + start), suite::instant(now + end))
    };
    let lines = [line("alice", -HOUR, HOUR), line("bob", HOUR, 2 * HOUR), line("alice", 2 * HOUR, 3 * HOUR)];
    suite.host.write("/etc/site/oncall", lines.concat(), 0o644);
    suite.must_as("oncall-cache", "oncall-cache sync");
    let people = [60, HOUR, 2 * HOUR].map(|after| on_call(&suite, now, after));
    assert_eq!(people, [["alice"], ["bob"], ["alice"]]);
}

/// How a rota cuts a shift into parts is nobody's business but the rota's.
#[test]
fn shifts_of_one_person_that_touch_or_overlap_are_one_stretch_wherever_people_read() {
    let suite = start();
    configure(&suite, "", SOURCES[2].1);
    suite.host.must("mkdir -p /var/lib/rota");
    let now = suite::now();
    let alice = || json!({"id": "1", "email": "alice@example.com"});
    let bob = json!({"id": "2", "email": "bob@example.com"});
    let end = 3 * HOUR;
    let parts = [(-2 * HOUR, -1800), (-1800, 600), (600, HOUR), (HOUR - 60, end)];
    let mut shifts: Vec<Told> = parts.iter().map(|&(start, end)| (alice(), start, end)).collect();
    shifts.push((bob, end, end + HOUR));
    shifts.push((alice(), end + HOUR, end + 2 * HOUR));
    tell(&suite, "file", now, &shifts);
    let said = suite.must_as("oncall-cache", "oncall-cache sync");
    // As `near` prints it, whatever day that is.
    let until = |at: i64| suite::instant(now + at)[11..16].to_string();
    assert!(said.contains("alice until ") && said.contains(&until(end)), "{said}");
    let table = suite.must_as("nobody", "oncall-cache who");
    let row = table.lines().nth(1).expect("a row").to_string();
    assert!(row.contains(&until(end)) && row.contains("  bob  ") && !row.contains(&until(600)), "{table}");
    let who: Value = serde_json::from_str(&suite.must_as("nobody", "oncall-cache who --json")).expect("JSON");
    let told = &who["schedules"][0]["now"];
    let bounds = |value: &Value| {
        [&value["start"], &value["end"]].map(|at| suite::seconds(at.as_str().expect("text")) - now)
    };
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{who:#}");
    assert_eq!(bounds(&told[0]), [-2 * HOUR, end]);
    let told_parts: Vec<[i64; 2]> = told[0]["parts"].as_array().expect("a list").iter().map(bounds).collect();
    assert_eq!(told_parts, parts.map(|(start, end)| [start, end]));
    assert_eq!(who["schedules"][0]["next"]["person"], "bob");
    // Who is refused reads the same, from PAM too, which reads no more of the roster than it needs.
    for refused in [
        text(&suite.run_as("nobody", "oncall-cache test-access carol")),
        text(&suite.run_as("carol", "sudo -n true")),
    ] {
        assert!(refused.contains("alice is, until ") && refused.contains(&until(end)), "{refused}");
    }
    let why: Value =
        serde_json::from_str(&suite.must_as("nobody", "oncall-cache why alice --json")).expect("JSON");
    assert_eq!(bounds(&why["ground"]), [-1800, 600], "the part that holds now");
    assert_eq!(suite::seconds(why["ground"]["stretch_end"].as_str().expect("text")) - now, end);
    // Cut otherwise, it is no change; what is new is told as one.
    tell(&suite, "file", now, &[(alice(), -2 * HOUR, 60), (alice(), 60, end), (alice(), end, end + HOUR)]);
    let dry = suite.must_as("oncall-cache", "oncall-cache sync --dry-run");
    let lines: Vec<&str> = dry.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("+ alice")).count(), 1, "{dry}");
}

#[test]
fn the_advice_of_map_works_when_it_is_typed() {
    let suite = start();
    suite.host.must("mkdir -p /var/lib/rota");
    let now = suite::now();
    for id in ["alice+pd@example.net", "u 1", "quo\"te", "back\\slash", "PU1"] {
        configure(&suite, "", &format!("{}\nallow_empty = true", SOURCES[2].1));
        tell(&suite, "file", now, &[(json!({"id": id}), -HOUR, HOUR)]);
        let map: Value =
            serde_json::from_slice(&suite.host.sh("oncall-cache identities --json").stdout).expect("JSON");
        let problem = map["users"][0]["problem"].as_str().expect("a problem");
        let line =
            problem.split("write ").nth(1).and_then(|rest| rest.split(" below").next()).expect(problem);
        let table = format!("[oncall.source.people]\n{}", line.replace("NAME", "alice"));
        configure(&suite, "", &format!("{}\n{table}", SOURCES[2].1));
        suite.must_as("oncall-cache", "oncall-cache sync");
        assert!(suite.run_as("nobody", "oncall-cache test-access alice").status.success(), "{id}: {problem}");
        let checked = text(&suite.host.sh("oncall-cache config check /etc/authkeys/config.toml"));
        assert!(!checked.contains("warning"), "{checked}");
    }
}

#[test]
fn ids_that_match_nobody_are_told_by_config_check() {
    let suite = start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("b@example.com", HOUR, 2 * HOUR)]);
    let pagerduty = "provider = 'pagerduty'\ntoken_file = 't'\nschedules = ['primary']";
    for (source, key, words) in [
        (SOURCES[0].1, "b@example.com", ""),
        (SOURCES[0].1, "alice", ""),
        (SOURCES[0].1, "B@example.com", "compared exactly; did you mean `b@example.com`?"),
        (SOURCES[0].1, "alcie", "`alcie` is not a user of source `it`; did you mean `alice`?"),
        (SOURCES[0].1, "somebody", "`somebody` is not a user of source `it`"),
        (pagerduty, "PUALICE", ""),
        (pagerduty, "alice@example.com", "is a mail address, not an id of PagerDuty, so it never matches"),
        (pagerduty, "pualice", "is not an id of PagerDuty, which has capitals and digits"),
        (pagerduty, "", "it is empty or cannot be printed"),
    ] {
        configure(&suite, "", &format!("{source}\n[oncall.source.people]\n\"{key}\" = 'alice'"));
        let said = text(&suite.host.sh("oncall-cache config check /etc/authkeys/config.toml"));
        let told = said.lines().find(|line| line.contains("[oncall.source.people]")).unwrap_or_default();
        assert!(told.contains(words) && told.is_empty() == words.is_empty(), "{key:?}: {said}");
    }
}
