//! The calendar of `Timestamp` against jiff's: every month of every year that can be written, and instants all over them.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use jiff::civil::{Date, date};
use policy::Timestamp;

const DAY: i64 = 86_400;

/// 0001-01-01T00:00:00Z, and the last instant that jiff has: its own, less the widest offset from UTC.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_207_200;

fn seconds(day: Date) -> i64 {
    i64::from(day.since(date(1970, 1, 1)).unwrap().get_days()) * DAY
}

#[test]
fn each_month_begins_and_ends_as_in_another_calendar() {
    for year in 1..=9999_i16 {
        for month in 1..=12_i8 {
            let first = date(year, month, 1);
            let (y, m, last) = (i64::from(year), i64::from(month), i64::from(first.days_in_month()));
            let midnight = |day: i64| Timestamp::from_civil((y, m, day), (0, 0, 0));
            assert_eq!(midnight(1), Some(Timestamp::from_unix(seconds(first))), "{first}");
            let end = first.last_of_month();
            assert_eq!(midnight(last), Some(Timestamp::from_unix(seconds(end))), "{end}");
            assert_eq!(midnight(last + 1), None, "a day after {end}");
            let printed = Timestamp::from_unix(seconds(end) + DAY - 1).to_string();
            assert_eq!(printed, format!("{end}T23:59:59Z"));
        }
    }
}

#[test]
fn instants_are_printed_and_read_as_by_another_library() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |sides: i64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        i64::try_from(state >> 2).unwrap() % sides
    };
    for round in 0..60_000 {
        // Far from both ends, so that an offset leads past neither.
        let unix = FIRST + 2 * DAY + roll(LAST - FIRST - 4 * DAY);
        let (ours, theirs) = (Timestamp::from_unix(unix), jiff::Timestamp::from_second(unix).unwrap());
        assert_eq!(ours.to_string(), theirs.to_string(), "round {round}");
        assert_eq!(Timestamp::parse(&theirs.to_string()), Some(ours), "round {round}");
        let (sign, hours, minutes) = (["+", "-"][usize::try_from(roll(2)).unwrap()], roll(24), roll(60));
        let text = format!("{}{sign}{hours:02}:{minutes:02}", theirs.to_string().trim_end_matches('Z'));
        let read: jiff::Timestamp = text.parse().unwrap();
        assert_eq!(Timestamp::read(&text).map(Timestamp::unix), Some(read.as_second()), "{text}");
    }
}
