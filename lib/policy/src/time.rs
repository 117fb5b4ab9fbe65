//! Instants, spans and windows: whole seconds, UTC, supplied by the caller.
//!
//! Nothing here knows a time zone. Windows are half-open: the second at which a shift ends
//! belongs to the next one, so at a hand-over exactly one of two people is on call.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A length of time in whole seconds; may be negative where a clock went backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

impl Timestamp {
    /// Before every shift; what a provider means by a shift without a start.
    pub const MIN: Self = Self(i64::MIN);
    /// After every shift; what a provider means by a shift without an end.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `seconds` after the epoch.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// The instant at which clocks in UTC show this year, month, day and this hour, minute, second; `None` if
    /// they never do, or at a leap second.
    pub fn from_civil(date: (i64, i64, i64), time: (i64, i64, i64)) -> Option<Self> {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        let fits = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        let days = fits.then(|| days(year, month, day)).filter(|&days| civil(days) == date)?;
        Some(Self(days * DAY + hour * 3600 + minute * 60 + second))
    }

    /// Does it lie in the years 1 to 9999, which can be written as a date?
    pub const fn has_date(self) -> bool {
        -62_135_596_800 <= self.0 && self.0 < 253_402_300_800
    }

    /// Seconds since the epoch.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Reads an instant exactly as it is printed, `2026-11-20T09:00:00Z`; no other spelling and no other zone.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok().map(i64::from);
        let date = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
        let at = Self::from_civil(date, (field(11, 13)?, field(14, 16)?, field(17, 19)?))?;
        // Printed again, a sign before a number or another separator is another text.
        (format!("{at}") == text).then_some(at)
    }

    /// Reads an instant as services write it: RFC 3339, and those spellings of ISO 8601 that are met in its place
    /// (a blank for the `T`, small letters, no seconds, `+01` and `+0100`). What is below a second is dropped, however
    /// many digits it has; a leap second is the one before it. Offsets end at 23:59 (RFC 3339, section 5.6).
    ///
    /// An instant whose year is 9999 by its own offset and not in UTC is the last one that can be printed: it is what
    /// some write for "for ever". So is the first one at the other end of time.
    pub fn read(text: &str) -> Option<Self> {
        let mut rest = Reader(text.as_bytes());
        let year = rest.number(4)?;
        rest.one_of(b"-")?;
        let month = rest.number(2)?;
        rest.one_of(b"-")?;
        let day = rest.number(2)?;
        rest.one_of(b"Tt ")?;
        let hour = rest.number(2)?;
        rest.one_of(b":")?;
        let minute = rest.number(2)?;
        let second = if rest.one_of(b":").is_some() { rest.second()? } else { 0 };
        let at = Self::from_civil((year, month, day), (hour, minute, second.min(59)))?;
        let offset = rest.offset()?;
        let fits = second <= 60 && rest.0.is_empty();
        fits.then(|| Self((at.0 - offset).clamp(FIRST, LAST)))
    }

    /// The length of time from `earlier` to `self`.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The instant `span` later; stops at the ends of time.
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier; stops at the ends of time.
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// Writes what a person next to the event needs: `18:00 UTC` on the day of `now`, `21 Nov 09:00 UTC` on
    /// another, `2 Jan 2027 09:00 UTC` in another year. Seconds appear only where they are not zero.
    pub const fn near(self, now: Self) -> Near {
        Near { at: self, now }
    }
}

/// The rest of a text that is read from its start.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Takes one byte, if it is one of these.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| bytes.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes a number of so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        (0..digits).try_fold(0, |number, _| {
            self.one_of(b"0123456789").map(|digit| number * 10 + i64::from(digit - b'0'))
        })
    }

    /// Takes seconds, and passes over what is below them.
    fn second(&mut self) -> Option<i64> {
        let second = self.number(2)?;
        if self.one_of(b".,").is_some() {
            self.number(1)?;
            while self.number(1).is_some() {}
        }
        Some(second)
    }

    /// Takes the offset from UTC, in seconds.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2)?;
        let colon = self.one_of(b":").is_some();
        let minutes = if colon || !self.0.is_empty() { self.number(2)? } else { 0 };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

/// How [`Timestamp::near`] prints.
#[derive(Debug, Clone, Copy)]
pub struct Near {
    at: Timestamp,
    now: Timestamp,
}

impl Span {
    /// `seconds` seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// `minutes` minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self(minutes.saturating_mul(60))
    }

    /// `hours` hours.
    pub const fn hours(hours: i64) -> Self {
        Self(hours.saturating_mul(3600))
    }

    /// The length in seconds.
    pub const fn as_seconds(self) -> i64 {
        self.0
    }
}

/// The instants `start <= t < end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    start: Timestamp,
    end: Timestamp,
}

impl Window {
    /// The window from `start` up to, not including, `end`; `None` if that is empty.
    pub fn new(start: Timestamp, end: Timestamp) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first instant inside.
    pub const fn start(self) -> Timestamp {
        self.start
    }

    /// The first instant after it.
    pub const fn end(self) -> Timestamp {
        self.end
    }

    /// Is `at` inside?
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Both as one, if nothing lies between them.
    pub fn join(self, other: Self) -> Option<Self> {
        let touch = self.start <= other.end && other.start <= self.end;
        touch.then(|| Self { start: self.start.min(other.start), end: self.end.max(other.end) })
    }

    /// The part that is also inside `other`, if any.
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

/// `windows` in order, those that touch or overlap as one: what people mean by "until when".
pub fn stretches(windows: impl IntoIterator<Item = Window>) -> Vec<Window> {
    let mut sorted: Vec<Window> = windows.into_iter().collect();
    sorted.sort();
    let mut stretches: Vec<Window> = Vec::with_capacity(sorted.len());
    for window in sorted {
        match stretches.last_mut().and_then(|last| Some((last.join(window)?, last))) {
            Some((whole, last)) => *last = whole,
            None => stretches.push(window),
        }
    }
    stretches
}

/// Year, month, day of a count of days since the epoch (proleptic Gregorian calendar).
fn civil(days: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day is the last day of the year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// The count of days since the epoch of a year, month and day: [`civil`] backwards.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

const DAY: i64 = 86_400;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC; `always` and `never` for the ends of time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Past the year 9999 there is no RFC 3339 text; only the open ends of a shift lie there.
        if self.0 > LAST {
            return f.write_str("never");
        }
        if self.0 < FIRST {
            return f.write_str("always");
        }
        let (year, month, day) = civil(self.0.div_euclid(DAY));
        let second = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let at = self.at.0;
        if !(FIRST..=LAST).contains(&at) {
            return fmt::Display::fmt(&self.at, f);
        }
        if at.div_euclid(DAY) != self.now.0.div_euclid(DAY) {
            let (year, month, day) = civil(at.div_euclid(DAY));
            let month = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied();
            write!(f, "{day} {} ", month.unwrap_or("?"))?;
            if year != civil(self.now.0.div_euclid(DAY)).0 {
                write!(f, "{year} ")?;
            }
        }
        let second = at.rem_euclid(DAY);
        write!(f, "{:02}:{:02}", second / 3600, second / 60 % 60)?;
        if second % 60 != 0 {
            write!(f, ":{:02}", second % 60)?;
        }
        f.write_str(" UTC")
    }
}

impl fmt::Display for Span {
    /// The two largest units that are not zero: `3d 4h`, `90s` as `1m 30s`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut written = 0;
        for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            let count = left / length;
            left %= length;
            if count > 0 && written < 2 {
                write!(f, "{}{count}{unit}", if written > 0 { " " } else { "" })?;
            }
            if count > 0 || written > 0 {
                written += 1;
            }
        }
        if written == 0 { f.write_str("0s") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn instants_print_as_rfc_3339() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_168_799, "2026-11-20T09:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (i64::MAX, "never"),
            (i64::MIN, "always"),
        ] {
            assert_eq!(Timestamp::from_unix(unix).to_string(), text);
            let written = !matches!(unix, i64::MIN | i64::MAX);
            assert_eq!(Timestamp::parse(text), written.then_some(Timestamp::from_unix(unix)));
        }
    }

    #[test]
    fn instants_are_read_as_they_are_printed_and_not_otherwise() {
        for wrong in [
            "",
            "2026-11-20",
            "2026-11-20 09:00:00Z",
            "2026-11-20T09:00:00",
            "2026-11-20T09:00:00+00:00",
            "2026-11-20T09:00:00.5Z",
            "2026-02-29T09:00:00Z",
            "2026-13-01T09:00:00Z",
            "2026-00-01T09:00:00Z",
            "2026-11-20T24:00:00Z",
            "+026-11-20T09:00:00Z",
            "2026-11-20T09:00:0\u{e9}",
            "9999999-11-20T09:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn instants_are_read_from_the_calendar() {
        for (date, time, unix) in [
            ((1970, 1, 1), (0, 0, 0), 0),
            ((2000, 2, 29), (0, 0, 0), 951_782_400),
            ((2026, 11, 20), (9, 59, 59), 1_795_168_799),
            ((2100, 3, 1), (0, 0, 0), 4_107_542_400),
        ] {
            assert_eq!(Timestamp::from_civil(date, time), Some(Timestamp::from_unix(unix)));
        }
        for date in [(2100, 2, 29), (2026, 13, 1), (2026, 0, 1), (2026, 4, 31), (2026, 1, 0), (0, 1, 1)] {
            assert_eq!(Timestamp::from_civil(date, (0, 0, 0)), None, "{date:?}");
        }
        for time in [(24, 0, 0), (0, 60, 0), (23, 59, 60), (-1, 0, 0)] {
            assert_eq!(Timestamp::from_civil((2026, 11, 20), time), None, "{time:?}");
        }
        for day in (-700_000..700_000).step_by(97) {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
    }

    #[test]
    fn instants_are_read_as_services_write_them() {
        let nine = Timestamp::from_unix(1_795_165_200);
        for text in [
            "2026-11-20T09:00:00Z",
            "2026-11-20t09:00:00z",
            "2026-11-20 09:00:00+00:00",
            "2026-11-20T09:00:00-00:00",
            "2026-11-20T09:00Z",
            "2026-11-20T10:00:00+01",
            "2026-11-20T10:00:00+0100",
            "2026-11-20T09:00:00.9Z",
            "2026-11-20T09:00:00,999999999Z",
            "2026-11-20T09:00:00.99999999999999999999999999999999999999999999Z",
            "2026-11-21T08:59:00+23:59",
            "2026-11-19T09:01:00-23:59",
            "2026-11-20T14:45:00.000+05:45",
        ] {
            assert_eq!(Timestamp::read(text), Some(nine), "{text}");
        }
        assert_eq!(Timestamp::read("2016-12-31T23:59:60Z"), Timestamp::parse("2016-12-31T23:59:59Z"));
        for text in [
            "",
            "noon",
            "2026-11-20",
            "2026-11-20T09:00:00",
            "2026-11-20T09:00:00 Z",
            "2026-11-20T09:00:00.Z",
            "2026-11-20T09:00:00Z ",
            "2026-11-20T09:00:00ZZ",
            "2026-11-20T09:00:00+24:00",
            "2026-11-20T09:00:00-24:00",
            "2026-11-20T09:00:00+25:59",
            "2026-11-20T09:00:00+23:60",
            "2026-11-20T09:00:00+1",
            "2026-11-20T09:00:00+01:",
            "2026-11-20T09:00:00+01:00:00",
            "2026-11-20T09:00:00Z[Europe/Berlin]",
            "2026-11-20T24:00:00Z",
            "2026-11-20T09:60:00Z",
            "2026-11-20T09:00:61Z",
            "2026-02-29T09:00:00Z",
            "0000-01-01T00:00:00Z",
            "+2026-11-20T09:00:00Z",
            "10000-01-01T00:00:00Z",
            "2026-11-20T09:00:00\u{ff3a}",
            "\u{feff}2026-11-20T09:00:00Z",
        ] {
            assert_eq!(Timestamp::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_last_year_is_read_to_its_end_by_any_offset() {
        let last = Timestamp::parse("9999-12-31T23:59:59Z");
        assert!(last.is_some());
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.9999999Z",
            "9999-12-31T23:59:59-12:00",
            "9999-12-31T12:00:00-23:59",
        ] {
            assert_eq!(Timestamp::read(text), last, "{text}");
        }
        assert_eq!(Timestamp::read("9999-12-31T23:59:59+01:00"), Timestamp::parse("9999-12-31T22:59:59Z"));
        assert_eq!(Timestamp::read("0001-01-01T00:00:00+12:00"), Timestamp::parse("0001-01-01T00:00:00Z"));
        // Every day there is, and whatever is read is printed so that it is read again.
        for day in (FIRST..LAST).step_by(usize::try_from(97 * DAY + 7).unwrap()) {
            let at = Timestamp::from_unix(day);
            assert_eq!(Timestamp::read(&at.to_string()), Some(at));
        }
    }

    #[test]
    fn windows_that_touch_or_overlap_are_one_stretch() {
        let window =
            |(start, end)| Window::new(Timestamp::from_unix(start), Timestamp::from_unix(end)).unwrap();
        let joined = |windows: &[(i64, i64)]| stretches(windows.iter().copied().map(window));
        assert_eq!(joined(&[]), []);
        assert_eq!(joined(&[(5, 9), (0, 5), (7, 8), (10, 11)]), [(0, 9), (10, 11)].map(window));
        assert_eq!(joined(&[(0, 100), (1, 2), (99, 101)]), [(0, 101)].map(window));
    }

    #[test]
    fn near_instants_leave_out_the_date() {
        let now = Timestamp::from_unix(1_795_168_800);
        assert_eq!(now.plus(Span::hours(8)).near(now).to_string(), "18:00 UTC");
        assert_eq!(now.plus(Span::seconds(5)).near(now).to_string(), "10:00:05 UTC");
        assert_eq!(now.plus(Span::hours(23)).near(now).to_string(), "21 Nov 09:00 UTC");
        assert_eq!(now.plus(Span::hours(25)).near(now).to_string(), "21 Nov 11:00 UTC");
        assert_eq!(now.plus(Span::hours(24 * 60)).near(now).to_string(), "19 Jan 2027 10:00 UTC");
        let new_year = Timestamp::parse("2027-01-01T00:00:00Z").unwrap();
        assert_eq!(new_year.near(new_year.minus(Span::seconds(1))).to_string(), "1 Jan 2027 00:00 UTC");
        assert_eq!(new_year.minus(Span::seconds(1)).near(new_year).to_string(), "31 Dec 2026 23:59:59 UTC");
        assert_eq!(Timestamp::MAX.near(now).to_string(), "never");
    }

    #[test]
    fn spans_print_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (90, "1m 30s"),
            (3600, "1h"),
            (3601, "1h"),
            (90_061, "1d 1h"),
            (-5, "-5s"),
        ] {
            assert_eq!(Span::seconds(seconds).to_string(), text);
        }
    }

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        let window = Window::new(Timestamp::from_unix(10), Timestamp::from_unix(20)).unwrap();
        let inside = |at| window.contains(Timestamp::from_unix(at));
        assert_eq!([9, 10, 19, 20].map(inside), [false, true, true, false]);
        assert_eq!(Window::new(Timestamp::from_unix(5), Timestamp::from_unix(5)), None);
    }
}
