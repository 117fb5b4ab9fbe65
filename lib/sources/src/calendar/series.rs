//! Which shifts the events of a calendar come to: each time of each series, but those that were moved, called off or left out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use policy::{Timestamp, Window};

use super::Fault;
use super::event::Event;
use super::moment::{Form, Moment, instant};
use crate::User;

/// The most shifts that a calendar comes to, within what is asked for.
pub const MOST_SHIFTS: usize = 50_000;

/// The most periods that all rules of a calendar may have had since they began: a day of ten people for 270 years.
const MOST_PERIODS: i64 = 1_000_000;

/// A shift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// Whose it is.
    pub user: User,
    /// From when.
    pub start: Timestamp,
    /// Until when; no later than `start` if it has no length.
    pub end: Timestamp,
}

/// The shifts of `events` that touch `window`.
///
/// # Errors
/// One cannot be told, or readers of calendars do not agree about it.
pub fn shifts(events: &[Event], window: Window) -> Result<Vec<Shift>, Fault> {
    let mut series: BTreeMap<&str, Series<'_>> = BTreeMap::new();
    let mut shifts = Vec::new();
    for event in events {
        let Some(uid) = &event.uid else {
            Series { first: Some(event), replaced: Vec::new() }.shifts(window, &mut shifts, &mut 0)?;
            continue;
        };
        series.entry(uid.as_str()).or_default().add(event)?;
    }
    let mut periods = 0;
    for series in series.values() {
        series.shifts(window, &mut shifts, &mut periods)?;
        if shifts.len() > MOST_SHIFTS {
            let text = format!("more than {MOST_SHIFTS} shifts; shorten `lookahead`");
            return Err(Fault { line: 1, text });
        }
    }
    Ok(shifts)
}

/// The events of one UID.
#[derive(Default)]
struct Series<'a> {
    /// The one that comes again, or the only one.
    first: Option<&'a Event>,
    /// Those that stand for single times of it.
    replaced: Vec<&'a Event>,
}

impl<'a> Series<'a> {
    fn add(&mut self, event: &'a Event) -> Result<(), Fault> {
        let same = |other: &&&Event| other.replaces == event.replaces;
        let other = match event.replaces {
            Some(_) => self.replaced.iter().find(same),
            None => self.first.as_ref(),
        };
        if let Some(other) = other {
            let text = format!(
                "the same UID as that of line {}, and readers do not agree which one counts",
                other.line
            );
            return Err(Fault { line: event.line, text });
        }
        match event.replaces {
            Some(_) => self.replaced.push(event),
            None => self.first = Some(event),
        }
        Ok(())
    }

    fn shifts(&self, window: Window, shifts: &mut Vec<Shift>, periods: &mut i64) -> Result<(), Fault> {
        let replaced = self.replaced.iter().filter(|event| !event.cancelled);
        for event in replaced {
            shifts.extend(shift(event, event.start.local, window)?);
        }
        let Some(first) = self.first.filter(|first| !first.cancelled) else { return Ok(()) };
        let times = times(first, window, periods)?;
        let (left_out, mut moved) = (Out::of(first, first.except.iter())?, Out::default());
        for event in &self.replaced {
            let one = Out::of(first, event.replaces.iter())?;
            // Of what comes long before or after nothing is known here.
            let is_known = times.all || one.is_within(&times, &first.start.zone);
            let counts =
                |at: &DateTime| one.has(&first.start.zone, *at) && !left_out.has(&first.start.zone, *at);
            if is_known && !times.list.iter().any(counts) {
                let text =
                    "RECURRENCE-ID is no time of its series, and readers do not agree what becomes of it";
                return Err(Fault { line: event.line, text: text.to_string() });
            }
            moved.take(one);
        }
        for at in times.list {
            if !left_out.has(&first.start.zone, at) && !moved.has(&first.start.zone, at) {
                shifts.extend(shift(first, at, window)?);
            }
        }
        Ok(())
    }
}

/// When a series comes, by its own clock.
struct Times {
    list: Vec<DateTime>,
    /// From when to when all are there.
    from: DateTime,
    end: DateTime,
    /// Are these all that there are?
    all: bool,
}

/// The times of a series that are somebody else's, or nobody's.
#[derive(Default)]
struct Out {
    instants: BTreeSet<Timestamp>,
    days: BTreeSet<Date>,
}

impl Out {
    fn of<'a>(first: &Event, times: impl Iterator<Item = &'a Moment>) -> Result<Self, Fault> {
        let mut out = Self::default();
        for at in times {
            out.put(at, first).ok_or_else(|| far(first))?;
        }
        Ok(out)
    }

    /// A day leaves out whatever begins on it; a time without a zone is by the clock of the series.
    fn put(&mut self, at: &Moment, first: &Event) -> Option<()> {
        match (at.form, first.start.form) {
            (Form::Day, _) => _ = self.days.insert(at.local.date()),
            (_, Form::Day) => _ = self.days.insert(at.seen_in(&first.start.zone)?.date()),
            _ => _ = self.instants.insert(at.instant()?),
        }
        Some(())
    }

    fn take(&mut self, other: Self) {
        self.instants.extend(other.instants);
        self.days.extend(other.days);
    }

    fn has(&self, zone: &TimeZone, at: DateTime) -> bool {
        self.days.contains(&at.date()) || instant(zone, at).is_some_and(|at| self.instants.contains(&at))
    }

    fn is_within(&self, times: &Times, zone: &TimeZone) -> bool {
        let (from, end) = (instant(zone, times.from), instant(zone, times.end));
        let (first, last) = (times.from.date(), times.end.date());
        self.instants.iter().all(|at| Some(*at) > from && Some(*at) < end)
            && self.days.iter().all(|day| *day > first && *day < last)
    }
}

fn far(event: &Event) -> Fault {
    Fault { line: event.line, text: "a time that is too far away".to_string() }
}

/// When `event` begins each time, by its own clock: all that may touch `window`.
fn times(event: &Event, window: Window, periods: &mut i64) -> Result<Times, Fault> {
    let zone = &event.start.zone;
    let clock = |at: Timestamp| {
        jiff::Timestamp::from_second(at.unix()).map(|at| zone.to_datetime(at)).map_err(|_| far(event))
    };
    // A day more than any change of clocks.
    let day = SignedDuration::from_hours(48);
    let length = event.length.wall.checked_add(day).ok_or_else(|| far(event))?;
    let from = clock(window.start())?.checked_sub(length).map_err(|_| far(event))?;
    let end = clock(window.end())?.checked_add(day).map_err(|_| far(event))?;
    let start = event.start.local;
    let mut list = Vec::new();
    match &event.rule {
        None => list.push(start),
        Some(rule) if start > end || rule.is_over(from) => {}
        Some(rule) => {
            *periods += rule.cost(start, end);
            if *periods > MOST_PERIODS {
                let text =
                    "this and the rules before it began too long ago; begin the series anew".to_string();
                return Err(Fault { line: event.line, text });
            }
            list = rule.times(start, from, end)?;
        }
    }
    for more in &event.more {
        list.push(more.seen_in(zone).ok_or_else(|| far(event))?);
    }
    list.sort_unstable();
    list.dedup();
    Ok(Times { list, from, end, all: event.rule.is_none() })
}

/// The shift that begins at `start` by the event's clock, if it touches `window`.
fn shift(event: &Event, start: DateTime, window: Window) -> Result<Option<Shift>, Fault> {
    let fault = |text: &str| Fault { line: event.line, text: text.to_string() };
    let zone = &event.start.zone;
    let begins = instant(zone, start).ok_or_else(|| far(event))?;
    let wall = event.length.wall;
    // Long over, or far ahead: whether readers agree about its end does not matter.
    let slack = policy::Span::hours(48);
    let about = begins.plus(policy::Span::seconds(wall.as_secs()));
    if about.plus(slack) < window.start() || begins > window.end() {
        return Ok(None);
    }
    let end = event.length.end(zone, start).ok_or_else(|| {
        fault("DURATION in hours passes a change of clocks, and readers do not agree when that ends; write DTEND")
    })?;
    let is_asked = end > window.start() && begins < window.end();
    Ok(is_asked.then(|| Shift { user: event.user.clone(), start: begins, end }))
}
