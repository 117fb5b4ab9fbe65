//! Instants, spans and windows: whole seconds, UTC, supplied by the caller.
//!
//! Nothing here knows a time zone. Windows are half-open: the second at which a shift ends
//! belongs to the next one, so at a hand-over exactly one of two people is on call.

use alloc::format;
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
    /// another. Seconds appear only where they are not zero.
    pub const fn near(self, now: Self) -> Near {
        Near { at: self, now }
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

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC; `always` and `never` for the ends of time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Past the year 9999 there is no RFC 3339 text; only the open ends of a shift lie there.
        if self.0 >= 253_402_300_800 {
            return f.write_str("never");
        }
        if self.0 < -62_135_596_800 {
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
        if !(-62_135_596_800..253_402_300_800).contains(&at) {
            return fmt::Display::fmt(&self.at, f);
        }
        if at.div_euclid(DAY) != self.now.0.div_euclid(DAY) {
            let (_, month, day) = civil(at.div_euclid(DAY));
            let month = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied();
            write!(f, "{day} {} ", month.unwrap_or("?"))?;
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
    fn near_instants_leave_out_the_date() {
        let now = Timestamp::from_unix(1_795_168_800);
        assert_eq!(now.plus(Span::hours(8)).near(now).to_string(), "18:00 UTC");
        assert_eq!(now.plus(Span::seconds(5)).near(now).to_string(), "10:00:05 UTC");
        assert_eq!(now.plus(Span::hours(23)).near(now).to_string(), "21 Nov 09:00 UTC");
        assert_eq!(now.plus(Span::hours(25)).near(now).to_string(), "21 Nov 11:00 UTC");
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
