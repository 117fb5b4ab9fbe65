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

/// The most periods of rules that are followed for one calendar: a month for each of 1,000 series since 1995. Days and weeks
/// are followed from just before what is asked for.
const MOST_PERIODS: i64 = 400_000;

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

/// What the events of a calendar come to.
#[derive(Debug, Default)]
pub struct Shifts {
    /// Those that touch what was asked for.
    pub all: Vec<Shift>,
    /// What is wrong with series that were over before.
    pub over: Vec<Fault>,
    /// How many periods of rules were followed.
    periods: i64,
}

impl Shifts {
    /// Takes those of `events`, which are one series, that touch `window`; of one that `is_over`, what is wrong with it.
    ///
    /// # Errors
    /// One cannot be told, or readers of calendars do not agree about it.
    pub fn take(&mut self, events: &[Event], is_over: bool, window: Window) -> Result<(), Fault> {
        match Series::of(events) {
            // Nothing of it is left to tell, and nothing that is wrong with it concerns anybody now.
            Ok(_) if is_over => {}
            Err(fault) if is_over => self.over.push(fault),
            Ok(series) => series.shifts(window, self)?,
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    fn add(&mut self, shift: Option<Shift>) -> Result<(), Fault> {
        self.all.extend(shift);
        if self.all.len() > MOST_SHIFTS {
            let text = format!("more than {MOST_SHIFTS} shifts; shorten `lookahead`");
            return Err(Fault { line: 1, text });
        }
        Ok(())
    }

    /// Follows a rule of `event` for so many periods, if there is so much time.
    fn follow(&mut self, event: &Event, periods: i64) -> Result<(), Fault> {
        if self.periods + periods > MOST_PERIODS {
            let text = "this and the rules before it began too long ago; begin the series anew".to_string();
            return Err(Fault { line: event.line, text });
        }
        self.periods += periods;
        Ok(())
    }
}

/// The events of one UID.
struct Series<'a> {
    /// The one that comes again, or the only one.
    first: Option<&'a Event>,
    /// Those that stand for single times of it.
    replaced: Vec<&'a Event>,
}

impl<'a> Series<'a> {
    fn of(events: &'a [Event]) -> Result<Self, Fault> {
        let (replaced, firsts): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.replaces.is_some());
        if let [first, second, ..] = firsts.as_slice() {
            return Err(second_one(second, first.line));
        }
        let series = Self { first: firsts.first().copied(), replaced };
        series.check_replaced()?;
        Ok(series)
    }

    /// Do two stand for one time, in whatever form they say so? That both call it off is one thing said twice.
    fn check_replaced(&self) -> Result<(), Fault> {
        let (mut instants, mut whole) = (BTreeMap::new(), BTreeMap::new());
        let mut dates: BTreeMap<Date, &Event> = BTreeMap::new();
        for event in self.replaced.iter().copied() {
            let Some(at) = &event.replaces else { continue };
            let clock = self.first.map_or(&at.zone, |first| &first.start.zone);
            let is_of_days = self.first.is_some_and(|first| first.start.form == Form::Day);
            let other = if is_of_days || at.form == Form::Day {
                let day = if is_of_days { day_of(at, event)? } else { at.local.date() };
                whole.insert(day, event).or(dates.get(&day).copied())
            } else {
                let day = at.seen_in(clock).ok_or_else(|| far(event))?.date();
                let of_day = dates.entry(day).or_insert(event);
                if of_day.cancelled {
                    *of_day = event;
                }
                instants.insert(at.instant(), event).or(whole.get(&day).copied())
            };
            if let Some(other) = other.filter(|other| !(event.cancelled && other.cancelled)) {
                return Err(second_one(event, other.line));
            }
        }
        Ok(())
    }

    fn shifts(&self, window: Window, shifts: &mut Shifts) -> Result<(), Fault> {
        for event in self.replaced.iter().filter(|event| !event.cancelled) {
            shifts.add(shift(event, event.start.local, window)?)?;
        }
        let Some(first) = self.first.filter(|first| !first.cancelled) else { return Ok(()) };
        let times = times(first, window, shifts)?;
        let except = Out::of(first, first.except.iter())?;
        let at = |local: &DateTime| (*local, instant(&first.start.zone, *local));
        let (gone, left): (Vec<_>, Vec<_>) = times.list.iter().map(at).partition(|at| except.has(*at));
        let moved = self.moved(first, &times, (&left, &gone), except)?;
        for (local, _) in left.into_iter().filter(|at| !moved.has(*at)) {
            shifts.add(shift(first, local, window)?)?;
        }
        Ok(())
    }

    /// The times of the series that others stand for. Each must be one that is `left`, where that can be known; what calls
    /// one off may as well stand beside an EXDATE of it, by which the time is `gone`: nothing is then, whoever reads it.
    fn moved(
        &self,
        first: &Event,
        times: &Times,
        (left, gone): (&[At], &[At]),
        except: Out,
    ) -> Result<Out, Fault> {
        let mut moved = Out::default();
        if self.replaced.is_empty() {
            return Ok(moved);
        }
        let known = Out::at(left);
        let mut off = Out::at(gone);
        off.take(except);
        for event in &self.replaced {
            let one = Out::of(first, event.replaces.iter())?;
            // Of what comes long before or after nothing is known here.
            let is_known = times.all || one.is_within(times, &first.start.zone);
            let fits = one.is_among(&known) || event.cancelled && one.is_among(&off);
            if is_known && !fits {
                let text =
                    "RECURRENCE-ID is no time of its series, and readers do not agree what becomes of it";
                return Err(Fault { line: event.line, text: text.to_string() });
            }
            moved.take(one);
        }
        Ok(moved)
    }
}

/// What the clock of a series shows at one of its times, and when that is.
type At = (DateTime, Option<Timestamp>);

fn second_one(event: &Event, line: usize) -> Fault {
    let text = format!("the same UID as that of line {line}, and readers do not agree which one counts");
    Fault { line: event.line, text }
}

/// The day of a series of whole days that `at` is.
fn day_of(at: &Moment, event: &Event) -> Result<Date, Fault> {
    at.of_days().ok_or_else(|| {
        let text =
            "RECURRENCE-ID is a time, in a series of whole days, and readers do not agree which day that is";
        Fault { line: event.line, text: text.to_string() }
    })
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
            (_, Form::Day) => _ = self.days.insert(at.of_days()?),
            _ => _ = self.instants.insert(at.instant()?),
        }
        Some(())
    }

    /// All that begins at these times, by instant and by day.
    fn at(times: &[At]) -> Self {
        let days = times.iter().map(|(local, _)| local.date()).collect();
        Self { instants: times.iter().filter_map(|(_, at)| *at).collect(), days }
    }

    fn is_among(&self, others: &Self) -> bool {
        self.days.is_subset(&others.days) && self.instants.is_subset(&others.instants)
    }

    fn take(&mut self, other: Self) {
        self.instants.extend(other.instants);
        self.days.extend(other.days);
    }

    fn has(&self, (local, at): At) -> bool {
        self.days.contains(&local.date()) || at.is_some_and(|at| self.instants.contains(&at))
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
fn times(event: &Event, window: Window, shifts: &mut Shifts) -> Result<Times, Fault> {
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
            shifts.follow(event, rule.cost(start, from, end))?;
            list = rule.times(start, from, end)?;
        }
    }
    for more in &event.more {
        let more = more.seen_in(zone).ok_or_else(|| far(event))?;
        list.extend((from <= more && more <= end).then_some(more));
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
