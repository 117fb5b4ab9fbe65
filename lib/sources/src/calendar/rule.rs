//! How an event comes again: RRULE. Every so many days or weeks is counted here; all else the crate rrule counts, but for what
//! it gets wrong (`strange`), or readers of calendars do not agree about.
//!
//! It is told of a wall clock in UTC, where no day is longer than another: it has its own zones, and of a start that clocks
//! skip, or show twice, it makes nothing. UNTIL it is not told: one in UTC it would compare with what the clock shows. It would
//! count from DTSTART on; days and weeks that are over do not count, so that it is told to begin just before what is asked for.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use rrule::RRuleSet;

use super::Fault;
use super::lines::Property;
use super::moment::{Form, Moment, day, local_time};
use super::zones::weekday_of;

/// The longest rule, in bytes.
const LONGEST: usize = 512;

/// The most times that a series may have come before what is asked for is over.
const MOST_TIMES: usize = 20_000;

/// What is said of a rule that ends in two ways.
const BOTH: &str = "both COUNT and UNTIL, which may not stand together; keep the one that is meant";

/// What is said of a rule that rrule gives up.
const NEVER: &str = "comes at no time that could be found";

/// What is said of days of a month in a year.
const WHICH_MONTH: &str = "BYMONTHDAY by year without BYMONTH is every month for some readers, and that of DTSTART for others; add BYMONTH, or write FREQ=MONTHLY";

/// A rule of a series.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its line.
    line: usize,
    /// What rrule is told: all but UNTIL.
    text: String,
    /// How often it comes, if that is said.
    count: Option<usize>,
    /// When the last time is at the latest, by the wall clock; and by another reader.
    until: Option<(DateTime, DateTime)>,
    /// Does it come on whole days?
    is_of_days: bool,
    /// How many days pass from one period to the next, at least: what it costs to follow it.
    pace: i64,
    /// Does it come once in each period, on the same day?
    is_plain: bool,
    /// Is it the same whichever of its periods it begins with?
    may_begin_later: bool,
    /// May it be long, up to decades, until it comes again?
    is_rare: bool,
}

/// After so many days every calendar is as it was: weekdays, months and leap years.
const CYCLE: i64 = 28 * 366;

impl Rule {
    /// Reads a RRULE of what begins at `start`.
    ///
    /// # Errors
    /// What of it is not followed.
    pub fn read(property: &Property, start: &Moment) -> Result<Self, Fault> {
        let fault = |text: &str| property.fault(format!("RRULE: {text}"));
        if property.value.len() > LONGEST {
            return Err(fault("too long"));
        }
        let value = property.value.trim().to_ascii_uppercase();
        let (mut told, mut count, mut until, mut pace, mut interval) = (Vec::new(), None, None, None, 1);
        for part in value.split(';').filter(|part| !part.is_empty()) {
            let (key, text) = part.split_once('=').ok_or_else(|| fault("not a rule"))?;
            match key {
                "FREQ" => {
                    pace = Some(
                        days(text).ok_or_else(|| fault("only days, weeks, months and years are followed"))?,
                    )
                }
                "INTERVAL" => {
                    interval = number(text, 1..=1_000).ok_or_else(|| fault("INTERVAL is 1 to 1000"))?
                }
                "COUNT" => {
                    count = Some(number(text, 1..=1_000_000).ok_or_else(|| fault("COUNT is at least 1"))?)
                }
                "UNTIL" if until.is_none() => {
                    until = Some(
                        ends(text, start)
                            .ok_or_else(|| fault("UNTIL is not a time, or not one that DTSTART can have"))?,
                    )
                }
                "WKST" | "BYDAY" | "BYMONTH" | "BYMONTHDAY" | "BYYEARDAY" | "BYWEEKNO" | "BYSETPOS" => {}
                _ => return Err(fault(&format!("{key} is not followed"))),
            }
            if told.iter().any(|other: &&str| other.starts_with(&format!("{key}="))) {
                return Err(fault("says one thing twice"));
            }
            if key != "UNTIL" {
                told.push(part);
            }
        }
        let pace = pace.ok_or_else(|| fault("no FREQ"))?;
        let is_both = count.is_some() && until.is_some();
        if let Some(strange) = strange(&told, pace, interval).or(is_both.then_some(BOTH)) {
            return Err(fault(strange));
        }
        let (weekdays, is_short) = (part_of(&told, "BYDAY"), pace < MONTH);
        // Many programs write the weekday of DTSTART.
        let own = |days: &str| pace == WEEK && weekday_of(days) == Some(start.local.date().weekday());
        let is_rare = told.iter().any(|part| part.starts_with("BY") && !part.starts_with("BYDAY="));
        Ok(Self {
            line: property.line,
            text: told.join(";"),
            count,
            until,
            is_of_days: start.form == Form::Day,
            pace: pace * i64::try_from(interval).unwrap_or(1),
            is_plain: is_short && !is_rare && weekdays.is_none_or(own),
            may_begin_later: is_short && count.is_none(),
            is_rare,
        })
    }

    /// How much work it is to follow what begins at `start` from `from` to `end`: periods.
    pub fn cost(&self, start: DateTime, from: DateTime, end: DateTime) -> i64 {
        let begin = if self.is_plain || self.may_begin_later { start.max(from) } else { start };
        let rest = if self.is_rare { CYCLE } else { 0 };
        (end.duration_since(begin).as_hours().max(0) / 24 + rest) / self.pace + 2
    }

    /// Is it over by then?
    pub fn is_over(&self, at: DateTime) -> bool {
        self.until.is_some_and(|(_, late)| late < at)
    }

    /// Every time that it comes up to `end`, by the wall clock; those before `from` are of no interest.
    ///
    /// # Errors
    /// It cannot be followed, or readers of calendars do not agree.
    pub fn times(&self, start: DateTime, from: DateTime, end: DateTime) -> Result<Vec<DateTime>, Fault> {
        if self.is_plain {
            return self.plain(start, from, end);
        }
        match self.found(start)?.next().transpose()? {
            Some(first) if first == start => {}
            Some(_) => {
                let text = "does not come at DTSTART itself, so readers do not agree when it begins";
                return Err(self.fault(text));
            }
            None => return Err(self.fault(NEVER)),
        }
        let later = if self.may_begin_later { self.passed(start, from) } else { 0 };
        let begin = self.after(start, later)?;
        let (mut times, mut seen) = (Vec::new(), 0);
        for found in self.found(begin)? {
            let found = found?;
            if found > self.late() || found > end {
                return Ok(times);
            }
            seen += 1;
            if seen > MOST_TIMES {
                return Err(self.fault("has come too often; begin the series anew"));
            }
            times.extend(self.counts(found, from)?.then_some(found));
        }
        // It ended by itself: that is right where it was to come so often. Otherwise rrule has given up.
        match self.count {
            Some(count) if count == seen => Ok(times),
            _ => Err(self.fault(NEVER)),
        }
    }

    fn fault(&self, text: &str) -> Fault {
        Fault { line: self.line, text: format!("RRULE: {text}") }
    }

    /// As [`Rule::times`], of what comes every so many days.
    fn plain(&self, start: DateTime, from: DateTime, end: DateTime) -> Result<Vec<DateTime>, Fault> {
        let mut times = Vec::new();
        for period in self.passed(start, from).. {
            let is_last =
                self.count.is_some_and(|count| i64::try_from(count).is_ok_and(|count| period >= count));
            let found = if is_last { break } else { self.after(start, period)? };
            if found > self.late() || found > end {
                break;
            }
            times.extend(self.counts(found, from)?.then_some(found));
        }
        Ok(times)
    }

    /// How many periods of what begins at `start` are over at `from`; one less, to be sure.
    fn passed(&self, start: DateTime, from: DateTime) -> i64 {
        (from.duration_since(start).as_hours() / 24 / self.pace - 1).max(0)
    }

    /// So many periods after `start`.
    fn after(&self, start: DateTime, periods: i64) -> Result<DateTime, Fault> {
        let days = periods.saturating_mul(self.pace);
        let hours = SignedDuration::try_from_hours(days.saturating_mul(24));
        hours.and_then(|hours| start.checked_add(hours).ok()).ok_or_else(|| self.fault("leads out of time"))
    }

    /// When it is over, for whoever reads UNTIL most widely.
    fn late(&self) -> DateTime {
        self.until.map_or(DateTime::MAX, |(_, late)| late)
    }

    /// Is `found`, at which it comes at the latest, of interest from `from` on?
    fn counts(&self, found: DateTime, from: DateTime) -> Result<bool, Fault> {
        let is_sure = self.until.is_none_or(|(sure, _)| found <= sure);
        if found >= from && !is_sure {
            return Err(self.fault(if self.is_of_days {
                "UNTIL is a time, in a series of whole days, and readers do not agree which day is the last; write the day"
            } else {
                "UNTIL is not in UTC, as it must be, and readers do not agree whether this is the last time"
            }));
        }
        Ok(found >= from)
    }

    /// What rrule makes of it, begun at `start`.
    fn found(&self, start: DateTime) -> Result<impl Iterator<Item = Result<DateTime, Fault>>, Fault> {
        let at = start.strftime("%Y%m%dT%H%M%SZ");
        let set: RRuleSet =
            format!("DTSTART:{at}\nRRULE:{}", self.text).parse().map_err(|_| self.fault("cannot be read"))?;
        let dates = set.limit().into_iter().map(|found| {
            let found = jiff::Timestamp::from_second(found.timestamp());
            found.map(|found| TimeZone::UTC.to_datetime(found)).map_err(|_| self.fault("leads out of time"))
        });
        Ok(dates)
    }
}

/// The value of the part `name` among `parts`, if it is there.
fn part_of<'a>(parts: &[&'a str], name: &str) -> Option<&'a str> {
    parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// What of a rule rrule 0.14 counts as python-dateutil does, and not as RFC 5545, section 3.3.10, or other readers have it:
///
/// * it takes every Monday's second, by week or by day, for every day;
/// * a weekday with a number beside one without must be both (`MO,1TU`: the first Tuesday that is a Monday);
/// * BYSETPOS by week counts from DTSTART in the first week, and not from that week's own start; by day it says nothing;
/// * BYMONTHDAY by year, without BYMONTH, it counts in every month, as the standard has it; others that are much used, in that
///   of DTSTART alone (libical 3.0.16, src/libical/icalrecur.c), and who writes it means either;
/// * BYWEEKNO without BYDAY is all of the week, and not the weekday of DTSTART; days of a week that lie in the year before or
///   after are theirs, which matters where not every year counts; and whether a year had 53 weeks it does not always know.
fn strange(told: &[&str], pace: i64, interval: usize) -> Option<&'static str> {
    let weekdays = part_of(told, "BYDAY").unwrap_or_default();
    let is_numbered = |day: &&str| day.bytes().any(|byte| byte.is_ascii_digit());
    let (numbered, plain): (Vec<&str>, Vec<&str>) =
        weekdays.split(',').filter(|day| !day.is_empty()).partition(is_numbered);
    if !numbered.is_empty() && pace < MONTH {
        return Some("BYDAY counts weekdays in months and years alone");
    }
    if !numbered.is_empty() && !plain.is_empty() {
        return Some("BYDAY has weekdays with and without a number; write a series for each");
    }
    if pace < MONTH && part_of(told, "BYSETPOS").is_some() {
        return Some("BYSETPOS counts in months and years alone; write the day itself");
    }
    if pace > MONTH && part_of(told, "BYMONTHDAY").is_some() && part_of(told, "BYMONTH").is_none() {
        return Some(WHICH_MONTH);
    }
    let weeks = part_of(told, "BYWEEKNO")?;
    let is_followed = |week: &str| number(week, 1..=51).is_some();
    let is_alone =
        ["BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYSETPOS"].iter().all(|name| part_of(told, name).is_none());
    let is_iso = part_of(told, "WKST").is_none_or(|day| day == "MO");
    let fits = weeks.split(',').all(is_followed) && !plain.is_empty() && numbered.is_empty() && interval == 1;
    (!fits || !is_alone || !is_iso)
        .then_some("BYWEEKNO is followed for weeks 1 to 51 of each year that begin on a Monday, with weekdays by BYDAY and nothing else")
}

/// The last day on which what begins on `first` by the rule `text` comes; none where that cannot be told.
pub fn last(text: &str, first: Date) -> Option<Date> {
    let text = text.trim().to_ascii_uppercase();
    let parts: Vec<&str> = text.split(';').filter(|part| !part.is_empty()).collect();
    let key = |part: &&str| part.split('=').next().map(str::to_string);
    // Of two that say when it ends, either may count.
    if parts.iter().enumerate().any(|(at, part)| parts.iter().take(at).any(|other| key(other) == key(part))) {
        return None;
    }
    let until = part_of(&parts, "UNTIL").map(|until| day(until.get(..8)?));
    if part_of(&parts, "COUNT").is_none() {
        return until?;
    }
    // Of days and weeks that it comes in, each has one, or none is left out for more than six.
    let (pace, count) = (days(part_of(&parts, "FREQ")?)?, number(part_of(&parts, "COUNT")?, 1..=1_000_000)?);
    let is_told = |part: &&str| {
        ["FREQ=", "COUNT=", "INTERVAL=", "UNTIL=", "WKST=", "BYDAY="].iter().any(|key| part.starts_with(key))
    };
    let interval = part_of(&parts, "INTERVAL").map_or(Some(1), |text| number(text, 1..=1_000))?;
    let periods = i64::try_from(count.checked_mul(interval)?).ok()?;
    let length = periods.checked_mul(WEEK)?.checked_mul(24)?;
    let counted = first.checked_add(SignedDuration::from_hours(length)).ok()?;
    let is_followed = parts.iter().all(is_told) && pace <= WEEK;
    is_followed.then(|| until.map_or(Some(counted), |until| Some(until?.max(counted)))).flatten()
}

/// Days in a week.
const WEEK: i64 = 7;

/// Days in the shortest month.
const MONTH: i64 = 28;

fn days(frequency: &str) -> Option<i64> {
    match frequency {
        "DAILY" => Some(1),
        "WEEKLY" => Some(7),
        "MONTHLY" => Some(MONTH),
        "YEARLY" => Some(365),
        _ => None,
    }
}

fn number(text: &str, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && range.contains(number))
}

/// The last time by the clock of `start`, as the one who reads it most narrowly and the one who reads it most widely has it.
/// What begins at a time has an UNTIL in UTC, and what begins on a day has a day (RFC 5545, section 3.3.10). Many write a local
/// time, or a day, where it should be UTC: some readers take these for UTC, others for the zone's.
fn ends(text: &str, start: &Moment) -> Option<(DateTime, DateTime)> {
    let as_utc =
        |local: DateTime| Moment { local, zone: TimeZone::UTC, form: Form::Utc }.seen_in(&start.zone);
    let in_order = |one: DateTime, other: DateTime| (one.min(other), one.max(other));
    if let Some(local) = local_time(text.strip_suffix('Z').unwrap_or(text)) {
        return Some(if start.form == Form::Day {
            last_day(local, as_utc(local)?)
        } else if text.ends_with('Z') {
            (as_utc(local)?, as_utc(local)?)
        } else {
            in_order(local, as_utc(local)?)
        });
    }
    let midnight = day(text)?.to_datetime(Time::midnight());
    if start.form == Form::Day {
        return Some((midnight, midnight));
    }
    let last = day(text)?.to_datetime(Time::constant(23, 59, 59, 0));
    Some((midnight.min(as_utc(midnight)?), last.max(as_utc(last)?)))
}

/// The last of whole days where a time is `written` for it, which in the zone of the series is `seen` later or earlier. Some
/// programs write the midnight with which the last day begins as a time in UTC, and some that same midnight converted
/// to UTC, which west of Greenwich is on that day and east of it on the day before; some readers take the day as it is written, and
/// some convert it. All mean the day of a midnight that is written.
fn last_day(written: DateTime, seen: DateTime) -> (DateTime, DateTime) {
    let day = |time: DateTime| time.date().to_datetime(Time::midnight());
    let (written_on, seen_on) = (day(written), day(seen));
    if written == written_on {
        (written_on, written_on)
    } else {
        (written_on.min(seen_on), written_on.max(seen_on))
    }
}
