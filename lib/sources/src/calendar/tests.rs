use std::path::PathBuf;

use host::config::{CalendarPerson, CalendarPlace, SummaryPattern};
use serde_json::Value;

use super::*;

mod faults;
mod mutants;
mod rules;
mod series;

const HARD: &str = include_str!("../fixtures/ical/hard-cases.ics");
const ATTENDEES: &[u8] = include_bytes!("../fixtures/ical/attendee-email.ics");
const SUMMARIES: &[u8] = include_bytes!("../fixtures/ical/summary-username.ics");
const STORY: &str = include_str!("../../../../tests/fixtures/scenario.json");

/// The days of the story.
const FROM: &str = "2026-11-20T08:00:00Z";
const TO: &str = "2026-11-23T12:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::read(text).unwrap()
}

fn by_summary(pattern: &str) -> CalendarPerson {
    let (before, after) = pattern.split_once("{}").unwrap();
    CalendarPerson::Summary(SummaryPattern { before: before.to_string(), after: after.to_string() })
}

fn settings(zone: Option<&str>, person: CalendarPerson) -> config::Calendar {
    config::Calendar {
        place: CalendarPlace::File(PathBuf::from("/calendar.ics")),
        zone: zone.map(str::to_string),
        person,
        ca_file: PathBuf::new(),
        timeout: Span::seconds(60),
        proxy: None,
        kept_in: PathBuf::new(),
    }
}

/// What a calendar comes to from one instant to another, as `user start end`, and what is noted.
fn both(text: &str, zone: Option<&str>, from: &str, to: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let window = Window::new(at(from), at(to)).unwrap();
    let answer = read(text.as_bytes(), &settings(zone, by_summary("{}")), "p", window)
        .map_err(|fault| fault.to_string())?;
    if let Some((_, error)) = answer.failed().first() {
        return Err(error.to_string());
    }
    let short = |at: Timestamp| at.to_string().replace(":00Z", "");
    let shifts = answer.schedules()[0].shifts.iter();
    let shifts = shifts.map(|shift| {
        format!("{} {} {}", shift.user.id, short(shift.window.start()), short(shift.window.end()))
    });
    Ok((shifts.collect(), answer.notes().iter().map(ToString::to_string).collect()))
}

/// The same for 2026 and 2027, of an event with these lines.
fn told(lines: &str) -> Result<Vec<String>, String> {
    let text = calendar(&format!("BEGIN:VEVENT\nUID:1\nSUMMARY:a\n{lines}\nEND:VEVENT\n"));
    both(&text, Some("Europe/Berlin"), "2026-01-01T00:00:00Z", "2027-12-31T00:00:00Z")
        .map(|(shifts, _)| shifts)
}

/// Of single events in line 5 and what follows.
fn calendar(events: &str) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\n{events}END:VCALENDAR\n")
}

fn refused(lines: &str) -> String {
    told(lines).expect_err(lines)
}

#[test]
fn the_story_holds_at_every_instant() {
    let story: Value = serde_json::from_str(STORY).unwrap();
    let window = Window::new(at(FROM), at(TO)).unwrap();
    for (text, person) in [
        (ATTENDEES, CalendarPerson::Attendee),
        (SUMMARIES, by_summary("{}")),
        (ATTENDEES, by_summary("On Call - {} Example - SRE primary")),
    ] {
        let answer = read(text, &settings(None, person), "primary", window).unwrap();
        let [schedule] = answer.schedules() else { panic!("{answer:?}") };
        assert_eq!((schedule.id.as_str(), schedule.name.as_str()), ("primary", "SRE primary"));
        let instants = story["expect_primary_at"].as_array().unwrap();
        assert_eq!(instants.len(), 11);
        for instant in instants {
            let now = at(instant["at"].as_str().unwrap());
            let on_call = schedule.shifts.iter().filter(|shift| shift.window.contains(now));
            let on_call: Vec<String> = on_call.map(|shift| shift.user.shown_id().to_lowercase()).collect();
            let expected: Vec<&str> =
                instant["users"].as_array().unwrap().iter().map(|user| user.as_str().unwrap()).collect();
            assert_eq!(on_call, expected, "{now}");
        }
    }
}

#[test]
fn the_hard_cases_are_read_or_refused_with_their_line() {
    let (from, to) = ("2026-10-19T00:00:00Z", "2026-11-25T00:00:00Z");
    let floating = both(HARD, None, from, to).unwrap_err();
    assert_eq!(floating.split(':').next(), Some("line 45"), "{floating}");
    let (shifts, notes) = both(HARD, Some("Europe/Warsaw"), from, to).unwrap();
    let expected = [
        "alice@example.com 2026-10-19T07:00 2026-10-19T15:00",
        "alice@example.com 2026-10-20T07:00 2026-10-20T15:00",
        // The 26th is left out, the 27th is bob's, and clocks have changed.
        "bob@example.com 2026-10-27T11:00 2026-10-27T16:00",
        "alice@example.com 2026-11-02T08:00 2026-11-02T16:00",
        "alice@example.com 2026-11-03T08:00 2026-11-03T16:00",
        "alice@example.com 2026-11-09T08:00 2026-11-09T16:00",
        "alice@example.com 2026-11-10T08:00 2026-11-10T16:00",
        "alice@example.com 2026-11-16T08:00 2026-11-16T16:00",
        "alice@example.com 2026-11-17T08:00 2026-11-17T16:00",
        "carol@example.com 2026-11-20T08:00 2026-11-20T17:00",
        ", ; \u{fffd} escapes 2026-11-20T09:00 2026-11-20T18:00",
        "alice@example.com 2026-11-20T09:00 2026-11-20T18:00",
        "folded 2026-11-20T09:00 2026-11-20T18:00",
        "[L1] bob@example.com 2026-11-20T23:00 2026-11-21T23:00",
    ];
    assert_eq!(
        (&shifts[..expected.len().min(shifts.len())], notes.len()),
        (&expected.map(String::from)[..], 0)
    );
}

#[test]
fn a_series_keeps_its_local_time_and_its_exceptions() {
    let weekly = "DTSTART;TZID=Europe/Berlin:20261019T090000\nDTEND;TZID=Europe/Berlin:20261026T090000\nRRULE:FREQ=WEEKLY;COUNT=2";
    let across = ["a 2026-10-19T07:00 2026-10-26T08:00", "a 2026-10-26T08:00 2026-11-02T08:00"];
    assert_eq!(told(weekly).unwrap(), across);
    for zone in ["W. Europe Standard Time", "w. europe standard time", "europe/berlin"] {
        assert_eq!(told(&weekly.replace("Europe/Berlin", zone)).unwrap(), across, "{zone}");
    }
    let daily = |more: &str| {
        told(&format!(
            "DTSTART;TZID=Europe/Berlin:20261023T230000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=4\n{more}"
        ))
        .unwrap()
    };
    let days = |days: &[u8]| -> Vec<String> {
        let hour = |day: &u8| if *day < 25 { 21 } else { 22 };
        days.iter()
            .map(|day| format!("a 2026-10-{day}T{0}:00 2026-10-{day}T{1}:00", hour(day), hour(day) + 1))
            .collect()
    };
    for (more, left) in [
        ("", &[23, 24, 25, 26][..]),
        ("EXDATE;TZID=Europe/Berlin:20261024T230000", &[23, 25, 26]),
        ("EXDATE:20261024T210000Z,20261026T220000Z", &[23, 25]),
        ("EXDATE;TZID=America/New_York:20261024T170000", &[23, 25, 26]),
        ("EXDATE:20261025T230000", &[23, 24, 26]),
        ("EXDATE;VALUE=DATE:20261025,20261026", &[23, 24]),
        ("EXDATE:20261024T230001", &[23, 24, 25, 26]),
        ("RDATE:20261028T220000Z\nRDATE;TZID=Europe/Berlin:20261026T230000", &[23, 24, 25, 26, 28]),
    ] {
        assert_eq!(daily(more), days(left), "{more}");
    }
}

#[test]
fn the_last_time_of_a_series_is_the_same_in_every_form_or_it_is_refused() {
    let weekly = |until: &str| {
        told(&format!(
            "DTSTART;TZID=Europe/Berlin:20261211T000000\nDTEND;TZID=Europe/Berlin:20261212T000000\nRRULE:FREQ=WEEKLY;UNTIL={until}"
        ))
    };
    for (until, expected) in [
        ("20261231T230000Z", Ok(4)),
        ("20261231T225959Z", Ok(3)),
        ("20261230T000000", Ok(3)),
        ("20261230", Ok(3)),
        // Midnight in Berlin is an hour earlier in UTC.
        ("20261231T233000", Err("line 8: RRULE: UNTIL is not in UTC")),
        ("20270101", Ok(4)),
    ] {
        match (weekly(until), expected) {
            (Ok(shifts), Ok(count)) => assert_eq!(shifts.len(), count, "{until}: {shifts:?}"),
            (Err(error), Err(words)) => assert!(error.starts_with(words), "{until}: {error}"),
            other => panic!("{until}: {other:?}"),
        }
    }
    // In New York it is still the day before then.
    let west = told(
        "DTSTART;TZID=America/New_York:20261211T000000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;UNTIL=20270101",
    );
    assert!(
        west.as_ref().is_err_and(|error| error.starts_with("line 8: RRULE: UNTIL is not in UTC")),
        "{west:?}"
    );
    let days = told("DTSTART;VALUE=DATE:20261211\nRRULE:FREQ=DAILY;UNTIL=20261213").unwrap();
    assert_eq!(
        days,
        [
            "a 2026-12-10T23:00 2026-12-11T23:00",
            "a 2026-12-11T23:00 2026-12-12T23:00",
            "a 2026-12-12T23:00 2026-12-13T23:00"
        ]
    );
}

#[test]
fn a_time_that_clocks_skip_is_later_and_of_two_the_first_counts() {
    // 02:30 is skipped on 29 March, and shown twice on 25 October.
    let night = |day: &str| {
        told(&format!("DTSTART;TZID=Europe/Berlin:{day}T023000\nDTEND;TZID=Europe/Berlin:{day}T060000\nRRULE:FREQ=DAILY;COUNT=2")).unwrap()
    };
    assert_eq!(
        night("20260328"),
        ["a 2026-03-28T01:30 2026-03-28T05:00", "a 2026-03-29T01:30 2026-03-29T04:00"]
    );
    assert_eq!(
        night("20260329"),
        ["a 2026-03-29T01:30 2026-03-29T04:00", "a 2026-03-30T00:30 2026-03-30T04:00"]
    );
    assert_eq!(
        night("20261024"),
        ["a 2026-10-24T00:30 2026-10-24T04:00", "a 2026-10-25T00:30 2026-10-25T05:00"]
    );
    let hours =
        |length: &str| told(&format!("DTSTART;TZID=Europe/Berlin:20261024T120000\nDURATION:{length}"));
    assert_eq!(hours("P1D").unwrap(), ["a 2026-10-24T10:00 2026-10-25T11:00"]);
    assert_eq!(hours("PT12H").unwrap(), ["a 2026-10-24T10:00 2026-10-24T22:00"]);
    assert!(hours("PT24H").unwrap_err().contains("readers do not agree when that ends"));
}

/// Two events of one UID: a series of three days in Berlin, and this.
fn moved(lines: &str) -> Result<Vec<String>, String> {
    let series = "UID:1\nSUMMARY:a\nDTSTART;TZID=Europe/Berlin:20261201T090000\nDTEND;TZID=Europe/Berlin:20261201T170000\nRRULE:FREQ=DAILY;COUNT=3";
    let text = calendar(&format!(
        "BEGIN:VEVENT\n{series}\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nSUMMARY:b\n{lines}\nEND:VEVENT\n"
    ));
    both(&text, None, "2026-01-01T00:00:00Z", "2027-12-31T00:00:00Z").map(|(shifts, _)| shifts)
}

#[test]
fn what_stands_for_one_time_of_a_series_takes_its_place() {
    let (one, three) = ("a 2026-12-01T08:00 2026-12-01T16:00", "a 2026-12-03T08:00 2026-12-03T16:00");
    let later = "DTSTART:20261202T100000Z\nDTEND:20261202T120000Z";
    for id in [
        "RECURRENCE-ID;TZID=Europe/Berlin:20261202T090000",
        "RECURRENCE-ID:20261202T080000Z",
        "RECURRENCE-ID;VALUE=DATE:20261202",
        "RECURRENCE-ID;TZID=Europe/London:20261202T080000",
    ] {
        assert_eq!(
            moved(&format!("{id}\n{later}")).unwrap(),
            [one, "b 2026-12-02T10:00 2026-12-02T12:00", three],
            "{id}"
        );
        assert_eq!(moved(&format!("{id}\n{later}\nSTATUS:CANCELLED")).unwrap(), [one, three], "{id}");
    }
    let far =
        moved("RECURRENCE-ID:20261202T080000Z\nDTSTART:20270102T100000Z\nDTEND:20270102T120000Z").unwrap();
    assert_eq!(far, [one, three, "b 2027-01-02T10:00 2027-01-02T12:00"]);
    for (id, words) in [
        ("RECURRENCE-ID:20261202T080001Z", "line 10: RECURRENCE-ID is no time of its series"),
        ("RECURRENCE-ID;VALUE=DATE:20261204", "line 10: RECURRENCE-ID is no time of its series"),
        (
            "RECURRENCE-ID:20261202T080000Z\nDTSTART:20261202T100000Z\nDTEND:20261202T120000Z\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nSUMMARY:c\nRECURRENCE-ID:20261202T080000Z",
            "line 17: the same UID as that of line 10",
        ),
    ] {
        let error = moved(&format!("{id}\n{later}")).unwrap_err();
        assert!(error.starts_with(words), "{id}: {error}");
    }
    assert!(moved(later).unwrap_err().contains("the same UID as that of line 3"));
    assert!(
        moved(&format!("RECURRENCE-ID;RANGE=THISANDFUTURE:20261202T080000Z\n{later}"))
            .unwrap_err()
            .starts_with("line 13: RANGE")
    );
    assert!(
        moved(&format!("RECURRENCE-ID:20261202T080000Z\n{later}\nRRULE:FREQ=DAILY"))
            .unwrap_err()
            .starts_with("line 16: one time")
    );
}

#[test]
fn a_zone_is_known_or_the_calendar_is_refused() {
    let own = |name: &str, body: &str| {
        let zone = format!("BEGIN:VTIMEZONE\nTZID:{name}\n{body}END:VTIMEZONE\n");
        let event = format!(
            "BEGIN:VEVENT\nUID:1\nSUMMARY:a\nDTSTART;TZID=\"{name}\":20260701T090000\nDTEND;TZID=\"{name}\":20260702T090000\nRRULE:FREQ=MONTHLY;COUNT=6\nEND:VEVENT\n"
        );
        both(&calendar(&(zone + &event)), None, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
            .map(|(shifts, _)| shifts)
    };
    let half = |name: &str, start: &str, rule: &str, from: &str, to: &str| {
        format!("BEGIN:{name}\nDTSTART:{start}\n{rule}TZOFFSETFROM:{from}\nTZOFFSETTO:{to}\nEND:{name}\n")
    };
    let winter =
        half("STANDARD", "16010101T030000", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\n", "+0200", "+0100");
    let summer =
        half("DAYLIGHT", "16010101T020000", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\n", "+0100", "+0200");
    let berlin = own("Europe/Berlin", "").unwrap();
    assert_eq!(
        (berlin.len(), berlin[0].as_str(), berlin[5].as_str()),
        (6, "a 2026-07-01T07:00 2026-07-02T07:00", "a 2026-12-01T08:00 2026-12-02T08:00")
    );
    for (name, body) in [
        ("Customized Time Zone", winter.clone() + &summer),
        ("/site.example/20260101_1/Europe/Berlin", "X-LIC-LOCATION:Europe/Berlin\n".to_string()),
        ("Europe/Berlin", half("STANDARD", "19700101T000000", "", "+0000", "+0000")),
        (
            "Old",
            half(
                "DAYLIGHT",
                "19700101T020000",
                "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=4;UNTIL=19800101T000000Z\n",
                "+0100",
                "+0200",
            ) + &winter
                + &summer,
        ),
    ] {
        assert_eq!(own(name, &body).unwrap(), berlin, "{name}");
    }
    let fixed = own("Fixed", &half("STANDARD", "19700101T000000", "", "+0530", "+0530")).unwrap();
    assert_eq!(fixed[0], "a 2026-07-01T03:30 2026-07-02T03:30");
    let south =
        half("STANDARD", "19700405T030000", "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=4\n", "-0300", "-0400")
            + &half(
                "DAYLIGHT",
                "19700906T000000",
                "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=9\n",
                "-0400",
                "-0300",
            );
    let south = own("South", &south).unwrap();
    assert_eq!(
        (south[0].as_str(), south[5].as_str()),
        ("a 2026-07-01T13:00 2026-07-02T13:00", "a 2026-12-01T12:00 2026-12-02T12:00")
    );
    for (name, body, words) in [
        ("Nowhere/Town", "BEGIN:X\nEND:X\n".to_string(), "its VTIMEZONE is not one that goes on"),
        ("localtime", summer.clone(), "its VTIMEZONE is not one that goes on"),
        ("Two", winter.clone() + &winter, "more than one STANDARD that lasts"),
        (
            "Odd",
            winter.clone()
                + &half("DAYLIGHT", "19700101T000000", "RRULE:FREQ=YEARLY;BYMONTHDAY=3\n", "+0100", "+0200"),
            "not a weekday of a month",
        ),
        (
            "Dates",
            winter.clone()
                + &half("DAYLIGHT", "19700101T000000", "RDATE:20260101T000000\n", "+0100", "+0200"),
            "changes by RDATE",
        ),
        ("Far", half("STANDARD", "19700101T000000", "", "+0000", "+9900"), "its TZOFFSETTO is no offset"),
    ] {
        let error = own(name, &body).unwrap_err();
        assert!(error.contains(&format!("time zone `{name}`: ")) && error.contains(words), "{name}: {error}");
    }
    let unknown = refused("DTSTART;TZID=Mars/Base:20260701T090000\nDTEND;TZID=Mars/Base:20260702T090000");
    assert_eq!(
        unknown,
        "line 6: time zone `Mars/Base`: neither the tz database nor Windows has it, and the calendar does not define it"
    );
    for lines in ["DTSTART:20260701T090000\nDTEND:20260701T100000", "DTSTART;VALUE=DATE:20260701"] {
        let text = calendar(&format!("BEGIN:VEVENT\nUID:1\nSUMMARY:a\n{lines}\nEND:VEVENT\n"));
        let error = both(&text, None, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z").unwrap_err();
        assert!(error.starts_with("line 6: DTSTART has no time zone"), "{error}");
    }
    let error =
        both(&calendar(""), Some("Mars/Base"), "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z").unwrap_err();
    assert!(error.contains("`time_zone` of the source: no time zone `Mars/Base`"), "{error}");
}

#[test]
fn who_has_declined_is_not_on_call() {
    let text = calendar(
        "BEGIN:VEVENT\nUID:1\nDTSTART:20260701T090000Z\nDTEND:20260702T090000Z\n\
         ATTENDEE;PARTSTAT=DECLINED:mailto:carol@x.y\nEND:VEVENT\n",
    );
    let window = Window::new(at("2026-06-01T00:00:00Z"), at("2026-08-01T00:00:00Z")).unwrap();
    let answer = read(text.as_bytes(), &settings(None, CalendarPerson::Attendee), "p", window).unwrap();
    assert_eq!(answer.schedules()[0].shifts, []);
}

#[test]
fn the_person_is_never_guessed() {
    let whose = |lines: &str, person: CalendarPerson| {
        let text = calendar(&format!(
            "BEGIN:VEVENT\nUID:1\nDTSTART:20260701T090000Z\nDTEND:20260702T090000Z\n{lines}END:VEVENT\n"
        ));
        let window = Window::new(at("2026-06-01T00:00:00Z"), at("2026-08-01T00:00:00Z")).unwrap();
        let answer =
            read(text.as_bytes(), &settings(None, person), "p", window).map_err(|fault| fault.to_string())?;
        let user = answer.schedules()[0].shifts[0].user.clone();
        Ok::<_, String>((user.id, user.mail.is_some()))
    };
    let (room, copied) =
        ("ATTENDEE;CUTYPE=ROOM:mailto:room@x.y\n", "ATTENDEE;ROLE=NON-PARTICIPANT:mailto:boss@x.y\n");
    let alice = "ATTENDEE;CN=\"Bob: b@x.y\";PARTSTAT=ACCEPTED:MAILTO:Alice@X.y\n";
    let declined = "ATTENDEE;PARTSTAT=DECLINED:mailto:carol@x.y\n";
    for lines in [
        alice.to_string(),
        format!("{declined}{alice}"),
        format!("{room}{alice}{copied}"),
        format!("SUMMARY:bob@x.y\n{alice}"),
    ] {
        assert_eq!(whose(&lines, CalendarPerson::Attendee), Ok(("alice@x.y".to_string(), true)), "{lines}");
    }
    for (lines, words) in [
        ("SUMMARY:alice@x.y\n".to_string(), "line 3: an event without ATTENDEE"),
        (format!("{alice}ATTENDEE:mailto:bob@x.y\n"), "line 8: a second ATTENDEE"),
        ("ATTENDEE;CN=alice:MAILTO:\n".to_string(), "line 7: ATTENDEE has no mail address"),
        ("ATTENDEE:alice@x.y\n".to_string(), "line 7: ATTENDEE has no mail address"),
        ("ATTENDEE:tel:+1@x\n".to_string(), "line 7: ATTENDEE has no mail address"),
        (format!("{room}{copied}"), "line 3: an event without ATTENDEE"),
    ] {
        let error = whose(&lines, CalendarPerson::Attendee).unwrap_err();
        assert!(error.starts_with(words), "{lines}: {error}");
    }
    for (summary, pattern, expected) in [
        ("alice", "{}", Ok(("alice", false))),
        ("Alice@X.y", "{}", Ok(("alice@x.y", true))),
        ("Alice Example", "{}", Ok(("Alice Example", false))),
        ("alice@x.y\\, bob@x.y", "{}", Ok(("alice@x.y, bob@x.y", false))),
        ("<alice@x.y>", "{}", Ok(("<alice@x.y>", false))),
        ("On call: alice (db)", "On call: {} (db)", Ok(("alice", false))),
        ("on call: alice (db)", "On call: {} (db)", Err("line 7: SUMMARY is not what `person`")),
        ("On call:  (db)", "On call: {}  (db)", Err("line 7: SUMMARY is not what `person`")),
        ("On call: ", "On call: {}", Err("line 7: SUMMARY names nobody")),
        ("", "{}", Err("line 7: SUMMARY names nobody")),
        ("a\\nb", "{}", Ok(("a\u{fffd}b", false))),
    ] {
        match (whose(&format!("SUMMARY:{summary}\n"), by_summary(pattern)), expected) {
            (Ok((id, mail)), Ok(expected)) => assert_eq!((id.as_str(), mail), expected, "{summary}"),
            (Err(error), Err(words)) => assert!(error.starts_with(words), "{summary}: {error}"),
            other => panic!("{summary}: {other:?}"),
        }
    }
}

#[test]
fn what_readers_do_not_agree_about_is_refused_with_its_line() {
    let timed = "DTSTART:20260701T090000Z\nDTEND:20260701T100000Z";
    for (lines, words) in [
        ("DTEND:20260701T090000Z".to_string(), "line 3: an event without DTSTART"),
        ("DTSTART:20260701T090000Z".to_string(), "line 3: an event without an end"),
        (format!("{timed}\nDURATION:PT1H"), "line 7: both DTEND and DURATION"),
        ("DTSTART:20260701T090000Z\nDTEND:20260701T085959Z".to_string(), "line 7: DTEND is before DTSTART"),
        (
            "DTSTART:20260701T090000Z\nDTEND;VALUE=DATE:20260702".to_string(),
            "line 7: DTSTART and DTEND are not both",
        ),
        ("DTSTART;VALUE=DATE:20260701\nDURATION:PT1H".to_string(), "line 7: DURATION of whole days"),
        ("DTSTART:20260701T090000Z\nDURATION:1H".to_string(), "line 7: DURATION is not a length"),
        ("DTSTART:20260701".to_string(), "line 6: DTSTART is `20260701`"),
        (
            "DTSTART:20260732T090000Z\nDTEND:20260801T090000Z".to_string(),
            "line 6: DTSTART is `20260732T090000Z`",
        ),
        ("DTSTART;VALUE=PERIOD:20260701T090000Z/PT1H".to_string(), "line 6: DTSTART of the kind PERIOD"),
        (format!("{timed}\nDTSTART:20260701T090000Z"), "line 8: a second DTSTART"),
        (format!("{timed}\nRRULE:FREQ=HOURLY"), "line 8: RRULE: only days"),
        (format!("{timed}\nRRULE:FREQ=DAILY;BYHOUR=9,10"), "line 8: RRULE: BYHOUR is not followed"),
        (format!("{timed}\nRRULE:FREQ=WEEKLY;INTERVAL=0"), "line 8: RRULE: INTERVAL is 1"),
        (format!("{timed}\nRRULE:FREQ=WEEKLY;COUNT=0"), "line 8: RRULE: COUNT is at least 1"),
        (format!("{timed}\nRRULE:FREQ=WEEKLY;BYDAY=2WE"), "line 8: RRULE: BYDAY counts weekdays"),
        (format!("{timed}\nRRULE:FREQ=WEEKLY;BYDAY=TH"), "line 8: RRULE: does not come at DTSTART itself"),
        (format!("{timed}\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "line 8: RRULE: comes at no time"),
        (format!("{timed}\nRRULE:FREQ=DAILY;FREQ=WEEKLY"), "line 8: RRULE: says one thing twice"),
        (format!("{timed}\nRRULE:INTERVAL=2"), "line 8: RRULE: no FREQ"),
        (format!("{timed}\nRRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY"), "line 9: a second RRULE"),
        (format!("{timed}\nEXRULE:FREQ=WEEKLY"), "line 8: EXRULE is not read"),
        (format!("{timed}\nRDATE:20260702T090000Z"), "line 8: RDATE without RRULE"),
        (format!("{timed}\nRRULE:FREQ=DAILY\nRDATE;VALUE=DATE:20260702"), "line 9: RDATE and DTSTART"),
        (format!("{timed}\nRDATE;VALUE=PERIOD:20260702T090000Z/PT1H"), "line 8: RDATE of the kind PERIOD"),
        (
            "DTSTART:19010101T090000Z\nDTEND:19010101T100000Z\nRRULE:FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=50000".to_string(),
            "line 8: RRULE: has come too often",
        ),
    ] {
        let error = refused(&lines);
        assert!(error.starts_with(words), "{lines}: {error}");
    }
    assert_eq!(told(&format!("{timed}\nSTATUS:CANCELLED")).unwrap(), [""; 0]);
    assert_eq!(
        told(&format!("{timed}\nSTATUS:TENTATIVE\nBEGIN:VALARM\nTRIGGER:-PT1H\nDURATION:P1D\nEND:VALARM"))
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn what_is_no_calendar_is_refused_with_its_line() {
    let whole = calendar(
        "BEGIN:VEVENT\nUID:1\nDTSTART:20260701T090000Z\nDTEND:20260701T100000Z\nSUMMARY:a\nEND:VEVENT\n",
    );
    let read = |text: &str| {
        both(text, None, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z").map(|(shifts, _)| shifts.len())
    };
    assert_eq!(read(&whole), Ok(1));
    assert_eq!(read(&format!("\u{feff}{}", whole.replace('\n', "\r\n"))), Ok(1));
    assert_eq!(read(&whole.replace("SUMMARY", "SUM\n MARY").replace("VEVENT\nUID", "vevent\nUID")), Ok(1));
    for (text, words) in [
        (String::new(), "line 1: not an iCalendar: it is empty"),
        ("<html><body>Log in</body></html>".to_string(), "line 1: not an iCalendar"),
        ("<!DOCTYPE html>\n<html lang=en>".to_string(), "line 1: not an iCalendar"),
        ("{\"error\": \"x\"}".to_string(), "line 1: not an iCalendar"),
        (
            whole.replace("END:VCALENDAR\n", ""),
            "line 9: the calendar ends within VCALENDAR of line 1: it is cut short",
        ),
        (
            whole.replace("END:VEVENT\nEND:VCALENDAR\n", ""),
            "line 8: the calendar ends within VEVENT of line 3",
        ),
        (whole.replace("END:VEVENT\n", ""), "line 8: END:VCALENDAR ends VEVENT of line 3"),
        (format!("{whole}{whole}"), "line 10: there is more behind"),
        (whole.replace("VERSION:2.0", "VERSION:1.0"), "line 2: VERSION is 1.0"),
        (whole.replace("VERSION:2.0", "METHOD:CANCEL"), "line 2: METHOD is CANCEL"),
        (whole.replace("UID:1", "UID 1"), "line 4: not a property"),
        (
            whole.replace("UID:1", &format!("DESCRIPTION:{}", "x".repeat(70_000))),
            "line 4: a property longer than",
        ),
        (whole.replace("UID:1", &"BEGIN:X\n".repeat(20)), "line 10: more than"),
        (
            "BEGIN:VCALENDAR\n".to_string()
                + &"BEGIN:X\nEND:X\n".repeat(lines::MOST_COMPONENTS)
                + "END:VCALENDAR",
            "line 40000: more than",
        ),
    ] {
        let error = read(&text).expect_err(words);
        assert!(error.starts_with(words), "{words}: {error}");
    }
    let error = super::read(
        b"BEGIN:VCALENDAR\nX-WR-CALNAME:\xff\nEND:VCALENDAR",
        &settings(None, by_summary("{}")),
        "p",
        Window::new(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z")).unwrap(),
    );
    assert_eq!(error.unwrap_err().to_string(), "line 2: not an iCalendar: not UTF-8");
}

#[test]
fn what_was_over_and_cannot_be_read_is_counted_and_told() {
    let event = |uid: &str, lines: &str| format!("BEGIN:VEVENT\nUID:{uid}\nSUMMARY:a\n{lines}\nEND:VEVENT\n");
    let good = event("good", "DTSTART:20261120T090000Z\nDTEND:20261121T090000Z");
    let read = |bad: &str| both(&calendar(&(event("bad", bad) + &good)), None, FROM, TO);
    for over in [
        "DTSTART:20261001T090000",
        "DTSTART;TZID=Mars/Base:20261110T090000\nDTEND;TZID=Mars/Base:20261111T090000",
        "DTSTART;TZID=Mars/Base:20261101T090000\nDURATION:P7D",
        "DTSTART;TZID=Mars/Base:20251101T090000\nDTEND;TZID=Mars/Base:20251102T090000\nRRULE:FREQ=DAILY;UNTIL=20261101T000000Z",
    ] {
        let (shifts, notes) = read(over).unwrap();
        assert_eq!((shifts.len(), notes.len()), (1, 1), "{over}");
        assert!(
            notes[0].starts_with("1 events of p that are over cannot be read and are left out; line 6: "),
            "{notes:?}"
        );
    }
    for not_over in [
        "DTSTART:20261119T090000",
        "DTSTART;TZID=Mars/Base:20261101T090000\nDTEND;TZID=Mars/Base:20261123T090000",
        "DTSTART;TZID=Mars/Base:20261101T090000\nDURATION:P30D",
        "DTSTART;TZID=Mars/Base:20251101T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY",
        "DTSTART;TZID=Mars/Base:20251101T090000\nDURATION:PT1H\nRDATE:20251102T090000",
        // It takes the place of something that is not over.
        "DTSTART;TZID=Mars/Base:20251101T090000\nDURATION:PT1H\nRECURRENCE-ID:20261121T090000Z",
        "DTSTART;TZID=Mars/Base:30001101T090000\nDURATION:PT1H",
        "DTSTART:soon",
    ] {
        assert!(read(not_over).is_err(), "{not_over}");
    }
}

#[test]
fn a_series_in_utc_that_is_shown_elsewhere_is_refused() {
    let read = |zone: &str, rule: &str| {
        let event = format!(
            "X-WR-TIMEZONE:{zone}\nBEGIN:VEVENT\nUID:1\nSUMMARY:a\nDTSTART:20261120T090000Z\nDTEND:20261120T100000Z\n{rule}END:VEVENT\n"
        );
        both(&calendar(&event), None, "2026-11-20T08:00:00Z", "2026-11-23T12:00:00Z")
            .map(|(shifts, _)| shifts.len())
    };
    assert_eq!((read("Europe/Berlin", ""), read("UTC", "RRULE:FREQ=DAILY\n")), (Ok(1), Ok(4)));
    let error = read("Europe/Berlin", "RRULE:FREQ=DAILY\n").unwrap_err();
    assert!(error.starts_with("line 9: a series in UTC"), "{error}");
}
