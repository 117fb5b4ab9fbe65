//! What stands for times of a series, and what of a series is over.

use super::*;

/// A series of whole weeks from Monday to Monday in 2026, alice's, and another event of its UID.
fn weeks(rule: &str, lines: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let text = calendar(&format!(
        "BEGIN:VEVENT\nUID:1\nSUMMARY:alice\nDTSTART:20260105T090000Z\nDTEND:20260112T090000Z\nRRULE:{rule}\nEND:VEVENT\n\
         BEGIN:VEVENT\nUID:1\nSUMMARY:bob\n{lines}\nEND:VEVENT\n"
    ));
    both(&text, None, FROM, TO)
}

/// How many shifts and notes there are.
fn counted(told: Result<(Vec<String>, Vec<String>), String>) -> Result<(usize, usize), String> {
    told.map(|(shifts, notes)| (shifts.len(), notes.len()))
}

#[test]
fn what_stands_for_all_later_times_is_not_over_however_long_ago_its_own_time_was() {
    let times = "DTSTART:20260302T100000Z\nDTEND:20260302T110000Z";
    for id in [
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20260302T090000Z",
        "RECURRENCE-ID;VALUE=DATE-TIME;range=\"ThisAndFuture\":20260302T090000Z",
        "RECURRENCE-ID;RANGE=THISANDPRIOR:20260302T090000Z",
    ] {
        let error = weeks("FREQ=WEEKLY", &format!("{times}\n{id}")).unwrap_err();
        assert!(error.starts_with("line 15: RANGE of a RECURRENCE-ID is not read"), "{id}: {error}");
        // Nor if it is moved back before its own time, or called off.
        let back = format!("DTSTART:20250302T100000Z\nDTEND:20250302T110000Z\n{id}\nSTATUS:CANCELLED");
        assert!(weeks("FREQ=WEEKLY", &back).unwrap_err().starts_with("line 15: RANGE"), "{id}");
        // Once the series has ended, it says nothing any more.
        let ended = weeks("FREQ=WEEKLY;UNTIL=20260901T000000Z", &format!("{times}\n{id}"));
        assert_eq!(counted(ended), Ok((0, 1)), "{id}");
    }
    // But what it moves may come long after the series would have ended.
    let late = "DTSTART:20260901T100000Z\nDTEND:20260901T110000Z\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260302T090000Z";
    assert!(weeks("FREQ=WEEKLY;UNTIL=20260901T000000Z", late).unwrap_err().starts_with("line 15: RANGE"));
}

#[test]
fn what_takes_away_a_time_that_still_lasts_is_not_over_when_it_would_be_by_itself() {
    // bob had the week that began on Monday the 16th for an hour of that day; which, a zone that is not known has.
    let hour = |day: &str| {
        format!(
            "DTSTART;TZID=Mars/Base:{day}T100000\nDTEND;TZID=Mars/Base:{day}T110000\nRECURRENCE-ID:{day}T090000Z"
        )
    };
    let error = weeks("FREQ=WEEKLY", &hour("20261116")).unwrap_err();
    assert!(error.starts_with("line 13: time zone `Mars/Base`"), "{error}");
    // An hour of a month ago is over, though the series goes on.
    assert_eq!(counted(weeks("FREQ=WEEKLY", &hour("20261019"))), Ok((2, 1)));
    // Of two that stand for one time nobody knows which one counts.
    let moved = "DTSTART:20261120T100000Z\nDTEND:20261120T110000Z\nRECURRENCE-ID:20261019T090000Z";
    let two = format!("{}\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nSUMMARY:carol\n{moved}", hour("20261019"));
    assert!(weeks("FREQ=WEEKLY", &two).unwrap_err().starts_with("line 13: time zone"));
    // Nor of two that are the series.
    let other = "DTSTART;TZID=Mars/Base:20260105T090000\nDTEND;TZID=Mars/Base:20260105T100000";
    assert!(weeks("FREQ=WEEKLY", other).unwrap_err().starts_with("line 13: time zone"));
    // What says two things of its days may have either.
    for twice in [
        "DTSTART:20260105T090000Z\nDTSTART:20261120T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3",
        "DTSTART:20260105T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260109T090000Z;UNTIL=20270109T090000Z",
        "DTSTART:20260105T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20260109T090000Z;COUNT=900",
    ] {
        let text = calendar(&format!("BEGIN:VEVENT\nUID:1\nSUMMARY:a\n{twice}\nEND:VEVENT\n"));
        assert!(both(&text, None, FROM, TO).is_err(), "{twice}");
    }
}

#[test]
fn a_time_that_is_left_out_and_called_off_is_off() {
    let series = |except: &str, others: &[&str]| {
        let master = format!(
            "BEGIN:VEVENT\nUID:1\nSUMMARY:a\nDTSTART;TZID=Europe/Berlin:20261120T100000\nDTEND;TZID=Europe/Berlin:20261120T110000\n\
             RRULE:FREQ=DAILY;COUNT=3\n{except}END:VEVENT\n"
        );
        let other = |lines: &&str| {
            format!(
                "BEGIN:VEVENT\nUID:1\nSUMMARY:b\nDTSTART:20261122T150000Z\nDTEND:20261122T160000Z\n{lines}\nEND:VEVENT\n"
            )
        };
        let text = calendar(&(master + &others.iter().map(other).collect::<String>()));
        both(&text, None, FROM, TO).map(|(shifts, _)| shifts.len())
    };
    let ids = [
        "RECURRENCE-ID;TZID=Europe/Berlin:20261121T100000\nSTATUS:CANCELLED",
        "RECURRENCE-ID:20261121T090000Z\nSTATUS:CANCELLED",
        "RECURRENCE-ID;VALUE=DATE:20261121\nSTATUS:CANCELLED",
    ];
    for except in ["EXDATE;TZID=Europe/Berlin:20261121T100000\n", "EXDATE;VALUE=DATE:20261121\n", ""] {
        for id in ids {
            assert_eq!(series(except, &[id]), Ok(2), "{except}{id}");
            // That two call it off is one thing said twice.
            assert_eq!(series(except, &[id, ids[0]]), Ok(2), "{except}{id}");
        }
    }
    // What is left out and moved is one thing to some readers and another to others; and so is what was never there.
    let moved = ids[1].replace("\nSTATUS:CANCELLED", "");
    let error = series("EXDATE:20261121T090000Z\n", &[&moved]).unwrap_err();
    assert!(error.contains("RECURRENCE-ID is no time of its series"), "{error}");
    let never = ids[1].replace("T09", "T08");
    assert!(series("EXDATE:20261121T090000Z\n", &[&never]).unwrap_err().contains("is no time of its series"));
    // One that is moved and called off, in whichever order, by whichever form.
    for (one, other) in [(ids[1], moved.as_str()), (&moved, ids[1]), (ids[2], &moved), (&moved, ids[2])] {
        assert!(
            series("", &[one, other]).unwrap_err().contains("the same UID as that of line"),
            "{one} {other}"
        );
    }
}

#[test]
fn the_last_of_whole_days_is_the_same_for_every_reader_or_it_is_refused() {
    let days = |zone: &str, rule: &str| {
        let text = calendar(&format!(
            "BEGIN:VEVENT\nUID:1\nSUMMARY:a\nDTSTART;VALUE=DATE:20261118\nRRULE:{rule}\nEND:VEVENT\n"
        ));
        both(&text, Some(zone), "2026-11-18T12:00:00Z", "2026-12-20T00:00:00Z")
            .map(|(shifts, _)| shifts.len())
    };
    let daily = |zone: &str, until: &str| days(zone, &format!("FREQ=DAILY;UNTIL={until}"));
    for zone in ["Europe/Berlin", "America/New_York", "UTC"] {
        // The day itself, and its midnight as some programs write it.
        for until in ["20261121", "20261121T000000Z", "20261121T000000"] {
            assert_eq!(daily(zone, until), Ok(4), "{zone} {until}");
        }
    }
    // Its midnight in the zone, as others write it.
    assert_eq!(daily("America/New_York", "20261121T050000Z"), Ok(4));
    for (zone, until) in [
        ("Europe/Berlin", "20261120T230000Z"),
        ("Europe/Berlin", "20261121T235959Z"),
        ("Asia/Tokyo", "20261120T150000Z"),
        ("Europe/Berlin", "20261121T235959"),
        ("America/New_York", "20261121T020000Z"),
    ] {
        let error = daily(zone, until).unwrap_err();
        assert!(
            error.starts_with("line 7: RRULE: UNTIL is a time, in a series of whole days"),
            "{zone} {until}: {error}"
        );
        // Where nothing begins on either day it makes no difference.
        assert_eq!(days(zone, &format!("FREQ=WEEKLY;UNTIL={until}")), Ok(1), "{zone} {until}");
    }
}
