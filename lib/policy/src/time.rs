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

    /// Reads a whole number of at most `digits` digits and a unit: `90s`, `6h`. Of `s`, `m`, `h`, `d` and `w` those are
    /// units that are in `units`.
    pub fn parse(text: &str, units: &str, digits: usize) -> Option<Self> {
        let unit = text.chars().next_back().filter(|unit| units.contains(*unit))?;
        let length = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        let number = text.strip_suffix(unit)?;
        let is_plain = number.len() <= digits && number.bytes().all(|byte| byte.is_ascii_digit());
        let count: i64 = number.parse().ok().filter(|_| is_plain)?;
        Some(Self(count.checked_mul(length)?))
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

    /// The window as a clock shows it that is `span` behind.
    pub fn minus(self, span: Span) -> Self {
        Self::new(self.start.minus(span), self.end.minus(span)).unwrap_or(self)
    }

    /// The part that is also inside `other`, if any.
    pub fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// The parts that are in none of `others`, which are in order and apart, as [`stretches`] makes them.
    pub fn without(self, others: &[Self]) -> Vec<Self> {
        let (mut parts, mut start) = (Vec::new(), self.start);
        for other in others {
            parts.extend(Self::new(start, other.start.min(self.end)));
            start = start.max(other.end);
        }
        parts.extend(Self::new(start, self.end));
        parts
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
        // By hand: each decision writes several of these into its record, and six fields by `write!` took a twentieth of it.
        let mut text = *b"0000-00-00T00:00:00Z";
        let fields =
            [(0, 4, year), (5, 2, month), (8, 2, day), (11, 2, hour), (14, 2, minute), (17, 2, second)];
        for (place, width, mut value) in fields {
            for digit in text.iter_mut().skip(place).take(width).rev() {
                *digit += u8::try_from(value % 10).map_err(|_| fmt::Error)?;
                value /= 10;
            }
        }
        f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
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
mod tests;
