//! Shifts, rotations and overrides as they are written, and the mistakes that are found in them.

use super::*;

const DAY: &str = "[[schedule]]\nid = 'primary'\n";

fn parse(text: &str, wanted: &[&str]) -> Result<Answer, String> {
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let rota = Rota::new(Path::new("/etc/authkeys/rota.toml"), &wanted, 1);
    let window = Window::new(Timestamp::from_unix(1_795_161_600), Timestamp::from_unix(1_795_420_800));
    rota.parse(text.as_bytes(), window.unwrap()).map_err(|error| error.to_string())
}

#[test]
fn shifts_keep_their_instants_whatever_zone_they_are_written_in() {
    let text = format!(
        "{DAY}[[schedule.shift]]\nperson = 'alice'\nstart = 2026-11-20T10:00:00+01:00\nend = 2026-11-20T18:00:00Z\n\
         [[schedule.shift]]\nperson = 'b@example.com'\nstart = 2026-11-20T18:00:00Z\nend = 2026-11-20T19:00:00Z\n\
         [[schedule.shift]]\nperson = 'deep'\nlevel = 2\nstart = 2026-11-20T09:00:00Z\nend = 2026-11-20T19:00:00Z\n\
         [[schedule.shift]]\nperson = 'past'\nstart = 2026-11-10T09:00:00Z\nend = 2026-11-10T19:00:00Z\n"
    );
    let answer = parse(&text, &["primary"]).unwrap();
    let shifts = &answer.schedules()[0].shifts;
    assert_eq!(shifts.len(), 2, "{shifts:?}");
    assert_eq!(shifts[0].window.start(), Timestamp::from_unix(1_795_165_200));
    assert_eq!(shifts[0].user.principal.as_deref(), Some("alice"));
    assert_eq!(shifts[1].user.mail.as_deref(), Some("b@example.com"));
}

/// The shifts of a rota as `person level start end`, in the four days from 20 November 2026, 08:00 UTC.
fn told(text: &str, max_escalation_level: u8) -> Vec<String> {
    let window = Window::new(Timestamp::from_unix(1_795_161_600), Timestamp::from_unix(1_795_507_200));
    let answer = Rota::new(Path::new("/etc/authkeys/rota.toml"), &[], max_escalation_level)
        .parse(text.as_bytes(), window.unwrap());
    let short = |at: Timestamp| at.to_string()[5..16].to_string();
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    let shifts = &answer.schedules()[0].shifts;
    shifts
        .iter()
        .map(|shift| {
            format!(
                "{} {} {} {}",
                shift.user.id,
                shift.level,
                short(shift.window.start()),
                short(shift.window.end())
            )
        })
        .collect()
}

/// alice, bob and carol, a day each, in Berlin.
const ROTATION: &str = "[[schedule.rotation]]\npeople = ['alice', 'bob', 'c@example.com']\ntime_zone = 'Europe/Berlin'\n\
                        start = 2026-11-20T09:00:00\nevery = '1d'\n";

#[test]
fn people_take_turns_and_an_override_replaces_whoever_it_is() {
    let rota = format!(
        "{DAY}{ROTATION}until = 2026-11-24T09:00:00\n\
         [[schedule.rotation]]\npeople = ['deep']\nlevel = 2\ntime_zone = 'UTC'\nstart = 2026-11-20T00:00:00\nevery = '1w'\n\
         [[schedule.shift]]\nperson = 'eve'\nstart = 2026-11-20T12:00:00Z\nend = 2026-11-20T14:00:00Z\n\
         [[schedule.override]]\nperson = 'dave'\nstart = 2026-11-20T13:00:00Z\nend = 2026-11-21T10:00:00Z\n\
         [[schedule.override]]\nperson = 'fay'\nstart = 2026-11-21T09:00:00Z\nend = 2026-11-21T09:30:00Z\n"
    );
    let first = [
        "alice 1 11-20T08:00 11-20T13:00",
        "eve 1 11-20T12:00 11-20T13:00",
        "dave 1 11-20T13:00 11-21T09:00",
        "fay 1 11-21T09:00 11-21T09:30",
        "dave 1 11-21T09:30 11-21T10:00",
        "bob 1 11-21T10:00 11-22T08:00",
        "c@example.com 1 11-22T08:00 11-23T08:00",
        "alice 1 11-23T08:00 11-24T08:00",
    ];
    assert_eq!(told(&rota, 1), first);
    let mut both = told(&rota, 2);
    both.retain(|line| !first.contains(&line.as_str()));
    assert_eq!(both, ["deep 2 11-20T00:00 11-27T00:00"], "an override is of one level");
}

#[test]
fn the_shipped_example_is_a_rota() {
    let shifts = told(include_str!("../../../../packaging/examples/rota.toml"), 2);
    let expected = [
        "alice 1 11-16T08:00 11-23T08:00",
        "dave 2 11-20T08:00 11-20T16:00",
        "dave 2 11-23T08:00 11-23T16:00",
        "bob 1 11-23T08:00 11-30T08:00",
    ];
    assert_eq!(shifts, expected);
}

#[test]
fn a_schedule_is_found_by_id_or_by_its_one_name() {
    let named = |id: &str, name: &str| format!("[[schedule]]\nid = '{id}'\nname = '{name}'\n");
    let rota = named("a", "one") + &named("b", "two") + &named("c", "two") + &named("one", "a");
    let answer = parse(&rota, &["one", "a", "two", "none", "b"]).unwrap();
    let found: Vec<&str> = answer.schedules().iter().map(|schedule| schedule.id.as_str()).collect();
    assert_eq!(found, ["one", "a", "b"]);
    let failed: Vec<String> =
        answer.failed().iter().map(|(text, error)| format!("{text}: {error}")).collect();
    assert_eq!(
        failed,
        [
            "two: source-error: /etc/authkeys/rota.toml has several schedules named `two`; write the id in `schedules`",
            "none: source-incomplete: /etc/authkeys/rota.toml has no schedule `none`; check `schedules`",
        ]
    );
    assert_eq!(parse(&rota, &[]).unwrap().schedules().len(), 4);
}

#[test]
fn mistakes_are_named_with_their_line() {
    let shift = |start: &str, end: &str| {
        format!("{DAY}[[schedule.shift]]\nperson = 'a'\nstart = {start}\nend = {end}")
    };
    let changed = |from: &str, to: &str| format!("{DAY}{}", ROTATION.replace(from, to));
    for (text, expected) in [
        ("[[schedule]]\nid = 'a'\nshft = 1".to_string(), "3: unknown key `shft`; did you mean `shift`?"),
        (format!("{DAY}{DAY}"), "4: two schedules have the id `primary`"),
        (
            shift("2026-11-20T10:00:00", "2026-11-20T11:00:00Z"),
            "5: `2026-11-20T10:00:00` is not a valid time",
        ),
        (
            shift("2026-11-20T10:00:00Z", "2026-11-20T09:59:59Z"),
            "6: a's shift of 2026-11-20T10:00:00Z ends before it starts",
        ),
        (
            shift("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z").replace("start", "level = 0\nstart"),
            "5: levels start at 1",
        ),
        (
            shift("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z").replace("'a'", "''"),
            "4: a person is a user name in the directory",
        ),
        (
            format!("{DAY}[[schedule.override]]\nperson = 'a'\nstart = 2026-11-20T10:00:00Z"),
            "missing field `end`",
        ),
        (changed("every", "evry"), "7: unknown key `evry`; did you mean `every`?"),
        (changed("'1d'", "'1m'"), "7: `1m` is not the length of a turn"),
        (
            changed("Europe/Berlin", "Europe/Berln"),
            "5: no time zone `Europe/Berln`; did you mean `Europe/Berlin`?",
        ),
        (changed("Europe/Berlin", "Atlantis"), "5: no time zone `Atlantis`; write its tz database name"),
        (changed("Europe/Berlin", "Etc/Unknown"), "5: no time zone `Etc/Unknown`"),
        (changed("Europe/Berlin", "localtime"), "5: `localtime` may be a different time zone on each host"),
        (changed("Europe/Berlin", "LocalTime"), "5: `LocalTime` may be a different time zone on each host"),
        (changed("Europe/Berlin", "posixrules"), "5: `posixrules` may be a different time zone on each host"),
        (changed("Europe/Berlin", "Factory"), "5: `Factory` may be a different time zone on each host"),
        (changed("Europe/Berlin", "right/Europe/Berlin"), "may be a different time zone on each host"),
        (changed("Europe/Berlin", "Posix/Europe/Berlin"), "may be a different time zone on each host"),
        (changed("Europe/Berlin", "CET-1CEST"), "5: no time zone `CET-1CEST`"),
        (changed("Europe/Berlin", ""), "5: no time zone ``"),
        (changed("Europe/Berlin", "../../../etc/localtime"), "5: no time zone `../../../etc/localtime`"),
        (changed("T09:00:00", "T09:00:00Z"), "6: `2026-11-20T09:00:00Z` is not a local time"),
        (changed("T09:00:00", ""), "6: `2026-11-20` is not a local time"),
        (changed("'alice', 'bob', 'c@example.com'", ""), "4: `people` is empty"),
        (changed("'bob'", "'bo\u{7f}b'"), "4: "),
        (changed("every", "until = 2026-11-20T09:00:00\nevery"), "7: the rotation ends before it starts"),
        (changed("every", "days = []\nevery"), "7: `days` is empty"),
        (changed("every", "days = ['Mo']\nevery"), "7: unknown variant `Mo`"),
        (changed("every", "hours = '9-17'\nevery"), "7: `9-17` is not a range of hours"),
        (changed("every", "level = 0\nevery"), "7: levels start at 1"),
    ] {
        let error = parse(&text, &["primary"]).unwrap_err();
        assert!(
            error.starts_with("/etc/authkeys/rota.toml:") && error.contains(expected),
            "{expected}: {error}"
        );
    }
    assert!(parse(&changed("2026", "1900"), &[]).is_ok(), "a rotation may be older than the epoch");
    assert!(parse(&changed("Europe/Berlin", "UTC"), &[]).is_ok());
}

#[test]
fn a_shift_of_no_length_is_left_out_and_told() {
    let at = |table: &str| {
        format!(
            "[[schedule.{table}]]\nperson = 'eve'\nstart = 2026-11-20T12:00:00Z\nend = 2026-11-20T12:00:00Z\n"
        )
    };
    let window = Window::new(Timestamp::from_unix(1_795_161_600), Timestamp::from_unix(1_795_507_200));
    for table in ["shift", "override"] {
        let rota = format!("{DAY}{ROTATION}{}", at(table));
        let path = Path::new("/etc/authkeys/rota.toml");
        let answer = Rota::new(path, &[], 1).parse(rota.as_bytes(), window.unwrap());
        let notes = answer.unwrap_or_else(|error| panic!("{error}")).notes().to_vec();
        assert_eq!(
            notes.iter().map(|note| note.as_str()).collect::<Vec<_>>(),
            ["a shift of user eve on primary starts and ends at 2026-11-20T12:00:00Z; it is ignored"]
        );
        assert_eq!(told(&rota, 1), told(&format!("{DAY}{ROTATION}"), 1), "the rest is as without it");
        assert_eq!(
            Rota::check(path, rota.as_bytes(), Timestamp::from_unix(0)).map(|notes| notes.len()).ok(),
            Some(1)
        );
    }
}

#[test]
fn instants_are_read_to_the_end_of_time() {
    for end in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-12:00"] {
        let rota =
            format!("{DAY}[[schedule.shift]]\nperson = 'a'\nstart = 2026-11-20T09:00:00Z\nend = {end}\n");
        assert_eq!(told(&rota, 1), ["a 1 11-20T09:00 12-31T23:59"], "{end}");
    }
    let beyond = format!(
        "{DAY}[[schedule.shift]]\nperson = 'a'\nstart = 2026-11-20T09:00:00+24:00\nend = 2027-11-20T09:00:00Z\n"
    );
    assert!(parse(&beyond, &[]).is_err());
}
