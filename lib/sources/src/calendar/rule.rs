//! How an event comes again: RRULE. The crate rrule counts; what it gets wrong, or readers of calendars do not agree about,
//! it is not asked.
//!
//! It is told of a wall clock in UTC, where no day is longer than another: it has its own zones, and of a start that clocks
//! skip, or show twice, it makes nothing. UNTIL it is not told: one in UTC it would compare with what the clock shows.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use rrule::RRuleSet;

use super::Fault;
use super::lines::Property;
use super::moment::{Form, Moment, day, local_time};

/// The longest rule, in bytes.
const LONGEST: usize = 512;

/// The most times that a series may have come before what is asked for is over.
const MOST_TIMES: usize = 20_000;

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
    /// How many days pass from one period to the next, at least: what it costs to follow it.
    pace: i64,
}

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
        let mut has_ordinals = false;
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
                "UNTIL" => {
                    until = Some(
                        ends(text, start)
                            .ok_or_else(|| fault("UNTIL is not a time, or not one that DTSTART can have"))?,
                    )
                }
                "BYDAY" => has_ordinals = text.bytes().any(|byte| byte.is_ascii_digit()),
                "WKST" | "BYMONTH" | "BYMONTHDAY" | "BYYEARDAY" | "BYWEEKNO" | "BYSETPOS" => {}
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
        // rrule 0.14 takes every Monday's second for every day. RFC 5545 has ordinals in months and years alone.
        if has_ordinals && pace < MONTH {
            return Err(fault("BYDAY counts weekdays in months and years alone"));
        }
        let pace = pace * i64::try_from(interval).unwrap_or(1);
        Ok(Self { line: property.line, text: told.join(";"), count, until, pace })
    }

    /// How much work it is to follow it from `start` to `end`: periods.
    pub fn cost(&self, start: DateTime, end: DateTime) -> i64 {
        end.duration_since(start).as_hours().max(0) / 24 / self.pace + 1
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
        let fault = |text: &str| Fault { line: self.line, text: format!("RRULE: {text}") };
        let at = start.strftime("%Y%m%dT%H%M%SZ");
        let set: RRuleSet =
            format!("DTSTART:{at}\nRRULE:{}", self.text).parse().map_err(|_| fault("cannot be read"))?;
        let (mut times, mut seen) = (Vec::new(), 0);
        for found in &set.limit() {
            let found =
                jiff::Timestamp::from_second(found.timestamp()).map_err(|_| fault("leads out of time"))?;
            let found = TimeZone::UTC.to_datetime(found);
            if seen == 0 && found != start {
                return Err(fault("does not come at DTSTART itself, so readers do not agree when it begins"));
            }
            let (sure, late) = self.until.unwrap_or((DateTime::MAX, DateTime::MAX));
            if found > late || found > end {
                return Ok(times);
            }
            if found > sure && found >= from {
                return Err(fault(
                    "UNTIL is not in UTC, as it must be, and readers do not agree whether this is the last time",
                ));
            }
            seen += 1;
            if seen > MOST_TIMES {
                return Err(fault("has come too often; begin the series anew"));
            }
            if found >= from {
                times.push(found);
            }
        }
        // It ended by itself: that is right where it was to come so often. Otherwise rrule has given up.
        match self.count {
            Some(count) if count == seen => Ok(times),
            _ => Err(fault("comes at no time that could be found")),
        }
    }
}

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
/// What begins at a time has an UNTIL in UTC (RFC 5545, section 3.3.10). Many write a local time, or a day: some
/// readers take these for UTC, others for the zone's.
fn ends(text: &str, start: &Moment) -> Option<(DateTime, DateTime)> {
    let as_utc =
        |local: DateTime| Moment { local, zone: TimeZone::UTC, form: Form::Utc }.seen_in(&start.zone);
    if let Some(utc) = text.strip_suffix('Z') {
        // Of days, the day of that instant in UTC: programs that mean a day write its midnight.
        let utc = local_time(utc)?;
        return if start.form == Form::Day {
            Some((utc.date().to_datetime(Time::midnight()), utc))
        } else {
            as_utc(utc).map(|at| (at, at))
        };
    }
    if let Some(local) = local_time(text) {
        let other = as_utc(local)?;
        return Some((local.min(other), local.max(other)));
    }
    let midnight = day(text)?.to_datetime(Time::midnight());
    if start.form == Form::Day {
        return Some((midnight, midnight));
    }
    let last = day(text)?.to_datetime(Time::constant(23, 59, 59, 0));
    Some((midnight.min(as_utc(midnight)?), last.max(as_utc(last)?)))
}
