//! What of a calendar is over: told of events that cannot be read as well, by their days alone, whatever zones these are in.
//!
//! An event is a part of its series, and is never judged by itself. What stands for one time of a series takes that time
//! away, which may last longer than what stands for it; and a RECURRENCE-ID with RANGE goes on for as long as its series does
//! (RFC 5545, section 3.8.4.4), however long ago its own time was.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use policy::Window;

use super::event::duration;
use super::lines::Component;
use super::moment::day;
use super::rule;

/// What an event has once, or it cannot be told which one counts.
const ONCE: [&str; 6] = ["DTEND", "DTSTART", "DURATION", "RECURRENCE-ID", "RRULE", "UID"];

/// The events of a calendar by their UID, in the order in which each UID comes first; one that has none is by itself.
pub fn by_series(calendar: &Component) -> Vec<Vec<&Component>> {
    let mut named: BTreeMap<&str, Vec<&Component>> = BTreeMap::new();
    let mut all = Vec::new();
    for part in calendar.parts.iter().filter(|part| part.name == "VEVENT") {
        match part.all("UID").next() {
            Some(uid) => named.entry(uid.value.as_str()).or_default().push(part),
            None => all.push(vec![part]),
        }
    }
    all.extend(named.into_values());
    all.sort_by_key(|parts| parts.first().map(|part| part.line));
    all
}

/// What of one series was over before a window.
pub struct Past<'a> {
    parts: &'a [&'a Component],
    window: Window,
    /// Days for which anything of the series may last, or be moved by, whatever zone it is in; none where that cannot be told.
    slack: Option<i64>,
}

impl<'a> Past<'a> {
    /// That of the series that has these `parts`.
    pub fn of(parts: &'a [&'a Component], window: Window) -> Self {
        let most = |days: fn(&Component) -> Option<i64>| {
            parts.iter().map(|part| days(part)).try_fold(0_i64, |most, days| Some(most.max(days?)))
        };
        let slack = most(length)
            .zip(most(moved))
            .and_then(|(length, moved)| length.checked_add(moved)?.checked_add(2));
        Self { parts, window, slack }
    }

    /// Is all of the series over?
    pub fn is_whole(&self) -> bool {
        self.parts.iter().all(|part| self.is_over(part))
    }

    /// Does nothing that `part` says concern anybody any more?
    pub fn has(&self, part: &Component) -> bool {
        self.is_whole() || self.is_over(part) && !is_ranged(part) && !self.is_disputed(part)
    }

    fn is_over(&self, part: &Component) -> bool {
        let last = last(part).zip(self.slack);
        let last = last.and_then(|(last, days)| later(last, days));
        last.is_some_and(|last| is_before(last, self.window))
    }

    /// Is there another part that says something of the same time, or of all times, so that it matters which one counts?
    fn is_disputed(&self, part: &Component) -> bool {
        let what = |part: &Component| {
            part.all("RECURRENCE-ID").next().map(|id| id.value.get(..8).map(str::to_string))
        };
        self.parts.iter().filter(|other| what(other) == what(part)).count() > 1
    }
}

/// Is the day `last`, wherever it is a day, over when `window` begins?
fn is_before(last: Date, window: Window) -> bool {
    let midnight = TimeZone::UTC.to_timestamp(last.to_datetime(Time::midnight()));
    midnight.is_ok_and(|midnight| midnight.as_second() < window.start().unix())
}

fn later(date: Date, days: i64) -> Option<Date> {
    date.checked_add(SignedDuration::from_hours(days.checked_mul(24)?)).ok()
}

/// The day that the property `name` begins with.
fn day_of(part: &Component, name: &str) -> Option<Date> {
    day(part.properties.iter().find(|property| property.name == name)?.value.get(..8)?)
}

fn is_ranged(part: &Component) -> bool {
    part.all("RECURRENCE-ID").any(|id| id.parameter("RANGE").is_some())
}

/// The last day on which any time of `part` begins, or that it takes away.
fn last(part: &Component) -> Option<Date> {
    let mut last: Option<Date> = None;
    for property in &part.properties {
        if ONCE.contains(&property.name) && part.all(property.name).nth(1).is_some() {
            return None;
        }
        let date = match property.name {
            "RDATE" => return None,
            "DTSTART" | "DTEND" | "RECURRENCE-ID" => day(property.value.get(..8)?)?,
            "RRULE" => rule::last(&property.value, day_of(part, "DTSTART")?)?,
            _ => continue,
        };
        last = last.max(Some(date));
    }
    last
}

/// For how many days a time of `part` lasts, at least.
fn length(part: &Component) -> Option<i64> {
    let told = part
        .all("DURATION")
        .next()
        .map_or(Some(0), |told| Some(duration(&told.value)?.wall.as_hours() / 24))?;
    let spanned = day_of(part, "DTEND").zip(day_of(part, "DTSTART"));
    let spanned = spanned.map_or(0, |(end, start)| end.duration_since(start).as_hours() / 24);
    Some(told.max(spanned))
}

/// By how many days `part` moves times that come later than its own.
fn moved(part: &Component) -> Option<i64> {
    if !is_ranged(part) {
        return Some(0);
    }
    let (to, from) = (day_of(part, "DTSTART")?, day_of(part, "RECURRENCE-ID")?);
    Some(to.duration_since(from).as_hours() / 24)
}
