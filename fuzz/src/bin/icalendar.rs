//! A calendar. Whatever it holds, its shifts are within what was asked for and are the same each time; asked about a part of
//! the time, they are those that touch it; and whoever is on call is named in it.

#![no_main]

use std::path::PathBuf;

use host::config::{Calendar, CalendarPerson, CalendarPlace, SummaryPattern};
use libfuzzer_sys::fuzz_target;
use policy::{Span, Timestamp, Window};
use sources::calendar::read;

fn asked(from: i64, to: i64) -> Option<Window> {
    Window::new(Timestamp::from_unix(from), Timestamp::from_unix(to))
}

fuzz_target!(|text: &[u8]| {
    let settings = Calendar {
        place: CalendarPlace::File(PathBuf::new()),
        zone: Some("Europe/Warsaw".to_string()),
        person: CalendarPerson::Summary(SummaryPattern { before: String::new(), after: String::new() }),
        ca_file: PathBuf::new(),
        timeout: Span::seconds(60),
        proxy: None,
        kept_in: PathBuf::new(),
    };
    let (Some(whole), Some(part)) =
        (asked(1_795_161_600, 1_795_420_800), asked(1_795_200_000, 1_795_300_000))
    else {
        return;
    };
    let answer = match read(text, &settings, "p", whole) {
        Ok(answer) => answer,
        Err(fault) => return assert!(fault.to_string().starts_with("line ")),
    };
    let Some(all) = answer.schedules().first() else { return };
    assert!(all.shifts.iter().all(|shift| shift.level == 1 && shift.window.intersect(whole).is_some()));
    assert_eq!(read(text, &settings, "p", whole).as_ref(), Ok(&answer));
    // What is asked for sees no other events, but may end where some of them are not asked about any more.
    if let Ok(other) = read(text, &settings, "p", part)
        && let Some(other) = other.schedules().first()
    {
        let touching = all.shifts.iter().filter(|shift| shift.window.intersect(part).is_some());
        assert!(touching.eq(other.shifts.iter()));
    }
});
