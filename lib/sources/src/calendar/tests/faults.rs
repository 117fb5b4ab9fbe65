//! Calendars that are a little wrong, old, or made to take long: told in one way, refused with the line, or left out and counted.

use super::*;

#[test]
fn two_that_stand_for_one_time_are_refused_in_whatever_form_they_say_so() {
    let forms = [
        "RECURRENCE-ID;TZID=Europe/Berlin:20261202T090000",
        "RECURRENCE-ID:20261202T080000Z",
        "RECURRENCE-ID;TZID=Europe/London:20261202T080000",
        "RECURRENCE-ID;VALUE=DATE:20261202",
    ];
    let times = "DTSTART:20261202T100000Z\nDTEND:20261202T120000Z";
    for (one, other) in forms.iter().flat_map(|one| forms.iter().map(move |other| (one, other))) {
        let error =
            moved(&format!("{one}\n{times}\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nSUMMARY:c\n{other}\n{times}"))
                .unwrap_err();
        assert!(error.starts_with("line 17: the same UID as that of line 10"), "{one} {other}: {error}");
    }
    let both = moved(&format!(
        "{}\n{times}\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nSUMMARY:c\nRECURRENCE-ID:20261203T080000Z\n{times}",
        forms[0]
    ));
    assert_eq!(both.unwrap().len(), 3);
    // So are two of a series that is not there.
    let event = |id: &str| format!("BEGIN:VEVENT\nUID:1\nSUMMARY:a\n{id}\n{times}\nEND:VEVENT\n");
    let alone =
        super::both(&calendar(&(event(forms[0]) + &event(forms[1]))), None, FROM, "2026-12-31T00:00:00Z");
    assert!(alone.unwrap_err().contains("the same UID as that of line 3"));
}

#[test]
fn a_time_that_stands_for_a_day_is_the_midnight_of_that_day_or_refused() {
    let text = |lines: &str| {
        calendar(&format!(
            "BEGIN:VEVENT\nUID:1\nSUMMARY:a\nDTSTART;VALUE=DATE:20261201\nRRULE:FREQ=DAILY;COUNT=3\n{lines}\nEND:VEVENT\n"
        ))
    };
    let read = |zone: &str, lines: &str| {
        both(&text(lines), Some(zone), "2026-01-01T00:00:00Z", "2027-12-31T00:00:00Z").map(|(shifts, _)| {
            shifts.iter().map(|shift| shift.split(' ').nth(1).unwrap()[8..10].to_string()).collect::<Vec<_>>()
        })
    };
    for zone in ["America/New_York", "UTC"] {
        for day in ["EXDATE:20261202T000000Z", "EXDATE:20261202T000000", "EXDATE;VALUE=DATE:20261202"] {
            assert_eq!(read(zone, day).unwrap(), ["01", "03"], "{zone} {day}");
        }
        for time in ["EXDATE:20261202T050000Z", "EXDATE:20261201T230000Z", "EXDATE:20261202T120000"] {
            let error = read(zone, time).unwrap_err();
            assert!(error.starts_with("line 8: EXDATE is a time, in a series of whole days"), "{error}");
        }
        let one = |id: &str| {
            format!(
                "END:VEVENT\nBEGIN:VEVENT\nUID:1\nSUMMARY:b\nDTSTART;VALUE=DATE:20261205\nRECURRENCE-ID{id}"
            )
        };
        assert_eq!(read(zone, &one(":20261202T000000Z")).unwrap(), ["01", "03", "05"]);
        let error = read(zone, &one(":20261202T050000Z")).unwrap_err();
        assert!(error.starts_with("line 9: RECURRENCE-ID is a time, in a series of whole days"), "{error}");
    }
}

#[test]
fn an_end_without_a_zone_beside_a_start_with_one_is_refused_unless_it_is_the_same() {
    let told = |zone, start: &str, end: &str| {
        let event = format!("BEGIN:VEVENT\nUID:1\nSUMMARY:a\nDTSTART{start}\nDTEND{end}\nEND:VEVENT\n");
        both(&calendar(&event), zone, FROM, TO).map(|(shifts, _)| shifts)
    };
    let (berlin, york) = (Some("Europe/Berlin"), ";TZID=America/New_York:20261120T090000");
    let same = told(berlin, ";TZID=Europe/Berlin:20261120T090000", ":20261120T180000");
    assert_eq!(same.unwrap(), ["a 2026-11-20T08:00 2026-11-20T17:00"]);
    assert!(told(berlin, ":20261120T090000", ":20261120T180000").is_ok());
    for (zone, start, end) in [
        (berlin, york, ":20261120T180000"),
        (None, york, ":20261120T180000"),
        (berlin, ":20261120T090000Z", ":20261120T180000"),
        (berlin, ":20261120T090000", ":20261120T180000Z"),
        (berlin, ":20261120T090000", ";TZID=America/New_York:20261120T180000"),
    ] {
        let error = told(zone, start, end).expect_err(start);
        let words = ["line 7: one of DTSTART and DTEND has a time zone", "line 7: DTEND has no time zone"];
        assert!(words.iter().any(|words| error.starts_with(words)), "{start} {end}: {error}");
    }
}

#[test]
fn a_zone_whose_rules_change_within_what_is_asked_for_is_refused() {
    let half = |name: &str, start: &str, rule: &str, from: &str, to: &str| {
        format!(
            "BEGIN:{name}\nDTSTART:{start}\nRRULE:FREQ=YEARLY;{rule}\nTZOFFSETFROM:{from}\nTZOFFSETTO:{to}\nEND:{name}\n"
        )
    };
    let zone = |from: (&str, &str), until: &str| {
        let winter = half("STANDARD", from.0, &format!("{until}BYDAY=-1SU;BYMONTH=10"), "+0200", "+0100");
        let summer = half("DAYLIGHT", from.1, &format!("BYDAY=-1SU;BYMONTH=3{until}"), "+0100", "+0200");
        let event = "BEGIN:VEVENT\nUID:1\nSUMMARY:a\nDTSTART;TZID=Own:20261120T090000\nDTEND;TZID=Own:20261120T180000\nEND:VEVENT\n";
        let text = calendar(&format!("BEGIN:VTIMEZONE\nTZID:Own\n{winter}{summer}END:VTIMEZONE\n{event}"));
        both(&text.replace(";;", ";"), None, FROM, TO).map(|(shifts, _)| shifts)
    };
    let (old, shift) = (("19961027T030000", "19810329T020000"), ["a 2026-11-20T08:00 2026-11-20T17:00"]);
    assert_eq!(zone(old, "").unwrap(), shift);
    // Some programs know changes up to a year alone; this is long after what is asked for.
    assert_eq!(zone(old, ";UNTIL=20371025T010000Z;").unwrap(), shift);
    let ends = zone(old, ";UNTIL=20261122T010000Z;").unwrap_err();
    assert!(ends.contains("its RRULE ends on 2026-11-22"), "{ends}");
    let ended = zone(old, ";UNTIL=20201025T010000Z;").unwrap_err();
    assert!(ended.contains("its VTIMEZONE is not one that goes on"), "{ended}");
    assert!(zone(old, ";UNTIL=soon;").unwrap_err().contains("its UNTIL is no time"));
    assert_eq!(zone(("20261025T030000", "20260329T020000"), "").unwrap(), shift);
    let begins = zone(("20271031T030000", "20270328T020000"), "").unwrap_err();
    assert!(begins.contains("its VTIMEZONE begins on 2027-10-31"), "{begins}");
}

#[test]
fn what_is_wrong_with_a_series_that_was_over_is_counted_and_concerns_nobody() {
    let event = |uid: &str, lines: &str| format!("BEGIN:VEVENT\nUID:{uid}\nSUMMARY:a\n{lines}\nEND:VEVENT\n");
    let good = event("good", "DTSTART:20261120T090000Z\nDTEND:20261121T090000Z");
    let old = "DTSTART:20260105T090000Z\nDTEND:20260105T100000Z";
    let read = |bad: &str| both(&calendar(&(bad.to_string() + &good)), None, FROM, TO);
    // A second event of one UID; one that its own rule does not have, a given number of times.
    let (shifts, notes) = read(&(event("1", old) + &event("1", old))).unwrap();
    assert_eq!((shifts.len(), notes.len()), (1, 1));
    assert!(
        notes[0]
            .starts_with("1 events of p that are over cannot be read and are left out; line 9: the same UID")
    );
    for rule in
        ["FREQ=WEEKLY;BYDAY=TH;COUNT=3", "FREQ=DAILY;COUNT=5;BYDAY=SU", "FREQ=DAILY;INTERVAL=2;COUNT=20"]
    {
        let (shifts, _) = read(&event("1", &format!("{old}\nRRULE:{rule}"))).unwrap();
        assert_eq!(shifts.len(), 1, "{rule}");
    }
    let unknown = "DTSTART;TZID=Mars/Base:20260105T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=9";
    assert_eq!(read(&event("1", unknown)).unwrap().1.len(), 1);
    // What may go on is refused.
    for rule in ["FREQ=WEEKLY;BYDAY=TH;COUNT=60", "FREQ=WEEKLY;BYDAY=TH", "FREQ=MONTHLY;BYDAY=1SU;COUNT=2"] {
        assert!(read(&event("1", &format!("{old}\nRRULE:{rule}"))).is_err(), "{rule}");
    }
    let moved = format!("RECURRENCE-ID:20260105T090000Z\n{}", old.replace("2026010", "2026112"));
    assert!(read(&(event("1", old) + &event("1", old) + &event("1", &moved))).is_err());
}

#[test]
fn a_rule_that_is_counted_here_is_what_rrule_makes_of_it() {
    // A month of all months, or a day of all days, is for rrule; so is a number of times.
    let months = "BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12";
    for start in ["20250106T090000", "20260706T233000", "19700105T023000"] {
        for (plain, others) in [
            (
                "FREQ=DAILY",
                vec![format!("FREQ=DAILY;{months}"), "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR,SA,SU".to_string()],
            ),
            ("FREQ=DAILY;INTERVAL=11", vec![format!("FREQ=DAILY;INTERVAL=11;{months}")]),
            (
                "FREQ=WEEKLY",
                vec![
                    format!("FREQ=WEEKLY;{months}"),
                    "FREQ=WEEKLY;BYDAY=MO".to_string(),
                    "FREQ=DAILY;BYDAY=MO".to_string(),
                ],
            ),
            ("FREQ=WEEKLY;INTERVAL=3;WKST=SU", vec![format!("FREQ=WEEKLY;INTERVAL=3;WKST=SU;{months}")]),
            ("FREQ=WEEKLY;COUNT=90", vec![format!("FREQ=WEEKLY;COUNT=90;{months}")]),
            (
                "FREQ=DAILY;UNTIL=20260901T000000Z",
                vec![format!("FREQ=DAILY;UNTIL=20260901T000000Z;{months}")],
            ),
            (
                "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;WKST=SU",
                vec!["FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;WKST=SU;COUNT=19000".to_string()],
            ),
            (
                "FREQ=DAILY;INTERVAL=3;BYDAY=MO,TH",
                vec!["FREQ=DAILY;INTERVAL=3;BYDAY=MO,TH;COUNT=19000".to_string()],
            ),
        ] {
            let told =
                |rule: &str| told(&format!("DTSTART;TZID=Europe/Berlin:{start}\nDURATION:P1D\nRRULE:{rule}"));
            let ours = told(plain);
            for other in others {
                assert_eq!(ours, told(&other), "{start} {plain} {other}");
            }
        }
    }
}

#[test]
fn how_much_work_and_memory_a_calendar_takes_has_a_limit() {
    let seasonal = |number: usize, uid: &dyn Fn(usize) -> String| -> String {
        let event = |at| {
            format!(
                "BEGIN:VEVENT\n{}SUMMARY:a\nDTSTART:20261101T090000Z\nDTEND:20261101T100000Z\nRRULE:FREQ=DAILY;BYMONTH=11\nEND:VEVENT\n",
                uid(at)
            )
        };
        calendar(&(0..number).map(event).collect::<String>())
    };
    for uid in [&(|_| String::new()) as &dyn Fn(usize) -> String, &|at| format!("UID:{at}\n")] {
        assert!(both(&seasonal(9, uid), None, FROM, TO).is_ok());
        let error = both(&seasonal(60, uid), None, FROM, TO).unwrap_err();
        assert!(error.contains("began too long ago"), "{error}");
    }
    let many = "RDATE:20261120T120000Z\n".repeat(50_000);
    let one = "DTSTART:20261120T090000Z\nDTEND:20261120T100000Z\nRRULE:FREQ=DAILY;COUNT=1\n";
    assert_eq!(told(&format!("{one}{}", many.trim_end())).unwrap().len(), 2);
    let error = told(&format!("{one}{}", many.repeat(4).trim_end())).unwrap_err();
    assert!(error.contains("more than 200000 properties"), "{error}");
    // Line breaks alone take no memory.
    assert!(both(&(calendar("") + &"\n".repeat(1_000_000)), None, FROM, TO).is_ok());
}

#[test]
fn how_long_an_edit_takes_is_told_where_the_calendar_says_it() {
    let note = |line: &str| both(&calendar(line), None, FROM, TO).unwrap().1;
    let lag = "p says that it is published anew every 12h: an edit may take that long to be seen";
    assert_eq!(note("X-PUBLISHED-TTL:PT12H\n"), [lag]);
    assert_eq!(note("REFRESH-INTERVAL;VALUE=DURATION:PT12H\n"), [lag]);
    for quick in ["", "X-PUBLISHED-TTL:PT15M\n", "X-PUBLISHED-TTL:often\n"] {
        assert_eq!(note(quick), [""; 0], "{quick}");
    }
}
