//! The roster in the making: what each schedule becomes, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use host::audit::Escaped;
use host::config::{Provider as Kind, Source};
use policy::{Ages, Principal, Roster, Schedule, ScheduleRef, Shift, Span, Timestamp, Window};
use store::keys::Person;
use store::roster::{self, Mapping};

use super::ahead::{Ahead, Concern};
use super::changes::Changes;
use super::{SKEW, Summary, SyncError, Wish, guards};
use crate::identity::{Mapped, People, Unmapped};
use crate::providers::exec::Exec;
use crate::providers::file::File;
use crate::providers::pagerduty::PagerDuty;
use crate::providers::rota::Rota;
use crate::providers::{Answer, Provider, ProviderError, ProviderSchedule, User};

/// One schedule on its way into the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// What the roster says of it.
    pub schedule: Schedule,
    /// Its shifts.
    pub slots: Vec<Slot>,
}

/// A shift of a person of the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Whose it is.
    pub principal: Principal,
    /// Escalation level.
    pub level: u8,
    /// From when to when.
    pub window: Window,
}

/// Why a schedule was not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The token: `source-error`, `source-incomplete`, `source-empty`, `guard-tripped`, `clock-rollback`.
    pub reason: &'static str,
    /// What happened and what to do.
    pub text: String,
    /// Would `sync --accept` take it over?
    pub may_be_accepted: bool,
}

impl From<ProviderError> for Trouble {
    fn from(error: ProviderError) -> Self {
        let (reason, text) = match error {
            ProviderError::Source(text) => ("source-error", text),
            ProviderError::Incomplete(text) => ("source-incomplete", text),
        };
        Self { reason, text, may_be_accepted: false }
    }
}

/// What became of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was read whole and taken over.
    Read,
    /// It stands as it was read at this instant.
    Kept(Timestamp, Trouble),
    /// Nothing is known of it.
    Absent(Trouble),
}

/// A schedule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The schedule; by the configuration's text where its id is not known.
    pub schedule: ScheduleRef,
    /// Its name for people.
    pub name: String,
    /// What became of it.
    pub state: State,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schedule = &self.schedule;
        let (trouble, stands) = match &self.state {
            State::Read => return write!(f, "schedule {schedule}: read"),
            State::Kept(synced, trouble) => (trouble, format!("it stays as it was read at {synced}")),
            State::Absent(trouble) => (trouble, "nothing is known of it".to_string()),
        };
        write!(f, "schedule {schedule}: {}: {}; {stands}", trouble.reason, trouble.text)?;
        if trouble.may_be_accepted {
            write!(f, "; if it is right: oncall-cache sync --accept '{schedule}'")?;
        }
        Ok(())
    }
}

/// The roster that stands, if one does.
pub struct Previous {
    roster: Option<Roster>,
    mappings: BTreeSet<Mapping>,
}

impl Previous {
    /// Reads what was published before; a copy that is not believed tells nothing.
    pub fn read(path: &Path) -> Self {
        Self { roster: roster::read(path).ok(), mappings: roster::mappings(path).unwrap_or_default() }
    }

    /// The schedule that the configuration calls `text`.
    fn find(&self, source: &str, text: &str) -> Option<Unit> {
        let roster = self.roster.as_ref()?;
        let wanted = ScheduleRef { source: source.to_string(), id: text.to_string() };
        self.unit(roster.find(&wanted)?)
    }

    fn of_source(&self, source: &str) -> Vec<Unit> {
        let schedules = self.roster.iter().flat_map(|roster| roster.schedules.iter().enumerate());
        let ours = schedules.filter(|(_, schedule)| schedule.reference.source == source);
        ours.filter_map(|(number, _)| self.unit(number)).collect()
    }

    fn unit(&self, number: usize) -> Option<Unit> {
        let roster = self.roster.as_ref()?;
        let slot = |shift: &Shift| Slot {
            principal: shift.principal.clone(),
            level: shift.level,
            window: shift.window,
        };
        Some(Unit {
            schedule: roster.schedules.get(number)?.clone(),
            slots: roster.shifts.iter().filter(|shift| shift.schedule == number).map(slot).collect(),
        })
    }

    /// Is there news in `roster`, which has the old shifts, that counts before a schedule can be read again?
    /// Not where this host's clock is behind the roster that stands: then its age cannot be told.
    pub fn may_be_republished(&self, roster: &Roster, now: Timestamp) -> bool {
        self.roster
            .as_ref()
            .is_some_and(|old| old.published <= now.plus(SKEW) && old.eligible != roster.eligible)
    }
}

/// The roster in the making.
pub struct Draft<'a> {
    previous: &'a Previous,
    people: &'a People<'a>,
    ages: &'a Ages,
    wish: &'a Wish,
    window: Window,
    now: Timestamp,
    units: Vec<Unit>,
    mappings: BTreeSet<Mapping>,
    concerns: Vec<Concern>,
    notes: Vec<String>,
    unmapped: usize,
    /// What became of each schedule.
    pub outcomes: Vec<Outcome>,
}

impl<'a> Draft<'a> {
    /// An empty one.
    pub fn new(
        previous: &'a Previous,
        people: &'a People<'a>,
        ages: &'a Ages,
        wish: &'a Wish,
        window: Window,
        now: Timestamp,
    ) -> Self {
        let (units, mappings, concerns) = (Vec::new(), BTreeSet::new(), Vec::new());
        let (notes, unmapped, outcomes) = (Vec::new(), 0, Vec::new());
        Self {
            previous,
            people,
            ages,
            wish,
            window,
            now,
            units,
            mappings,
            concerns,
            notes,
            unmapped,
            outcomes,
        }
    }

    /// Reads one source. What cannot be read stays as it is; only a clock that disagrees ends the sync.
    pub fn read(&mut self, source: &Source) -> Result<(), SyncError> {
        let started = Instant::now();
        match fetch(source, self.window, self.now) {
            Ok(answer) => {
                let apart = answer.clock.map(|clock| skew(clock, self.now, started.elapsed()));
                if let Some(apart) = apart.filter(|apart| *apart > SKEW) {
                    return Err(SyncError::Skew(source.name.clone(), apart));
                }
                self.take(source, answer);
            }
            Err(error) => self.keep_all(source, &Trouble::from(error)),
        }
        Ok(())
    }

    fn take(&mut self, source: &Source, answer: Answer) {
        let users: BTreeSet<&User> =
            answer.schedules.iter().flat_map(|schedule| &schedule.shifts).map(|shift| &shift.user).collect();
        let mapped = self.people.map(&users, &source.people);
        for user in &users {
            self.note(source, user, mapped.get(&user.id));
        }
        for schedule in &answer.schedules {
            self.take_schedule(source, schedule, &mapped, answer.as_of);
        }
        for (text, error) in answer.failed {
            self.keep(&source.name, &text, Trouble::from(error));
        }
    }

    fn note(&mut self, source: &Source, user: &User, mapped: Option<&Result<Mapped, Unmapped>>) {
        let name = format!("{}/{}", source.name, Escaped(&user.id));
        match mapped {
            Some(Ok(Mapped { principal, ground })) => {
                for other in self.people.other_claimants(user, principal) {
                    self.notes.push(format!(
                        "{name} is {principal}: {other} has the same mail address and is ignored"
                    ));
                }
                // No mail address leaves the sync.
                let user = if user.id.contains('@') { String::new() } else { user.id.clone() };
                let (source, principal) = (source.name.clone(), principal.clone());
                self.mappings.insert(Mapping { source, principal, user, ground: ground.to_string() });
            }
            Some(Err(why)) => {
                self.unmapped += 1;
                self.notes.push(format!("skipped {name}: {why}"));
            }
            None => {}
        }
    }

    fn take_schedule(
        &mut self,
        source: &Source,
        schedule: &ProviderSchedule,
        mapped: &BTreeMap<String, Result<Mapped, Unmapped>>,
        as_of: Option<Timestamp>,
    ) {
        self.concerns.extend(Concern::of(schedule, mapped, self.people, self.now));
        let slots = schedule.shifts.iter().filter_map(|shift| match mapped.get(&shift.user.id) {
            Some(Ok(Mapped { principal, .. })) => {
                Some(Slot { principal: principal.clone(), level: shift.level, window: shift.window })
            }
            _ => None,
        });
        let unit = Unit {
            slots: slots.collect(),
            schedule: Schedule {
                reference: ScheduleRef { source: source.name.clone(), id: schedule.id.clone() },
                name: schedule.name.clone(),
                synced: as_of.map_or(self.now, |at| at.min(self.now)),
                horizon: self.window.end(),
            },
        };
        let reference = unit.schedule.reference.clone();
        let (age, limit) = (self.now.since(unit.schedule.synced), self.ages.of(&unit.schedule).max_age);
        if age >= limit {
            let text =
                format!("what it tells was true {age} ago, `max_age` is {limit}; is it still written?");
            return self.keep(&source.name, &schedule.id, Trouble::from(ProviderError::Source(text)));
        }
        if !self.wish.accept.covers(&reference, &schedule.name) {
            let previous = self.previous.find(&source.name, &schedule.id);
            let guards = source.guards(&schedule.id, &schedule.name);
            if let Err(trouble) = guards::check(guards, previous.as_ref(), &unit, schedule, self.now) {
                self.keep(&source.name, &schedule.id, trouble);
                return;
            }
        }
        self.outcomes.push(Outcome { schedule: reference, name: schedule.name.clone(), state: State::Read });
        self.units.push(unit);
    }

    fn keep_all(&mut self, source: &Source, trouble: &Trouble) {
        let listed: Vec<String> = source.wanted().cloned().collect();
        let old: Vec<String> = self
            .previous
            .of_source(&source.name)
            .into_iter()
            .map(|unit| unit.schedule.reference.id)
            .collect();
        let texts = if listed.is_empty() { old } else { listed };
        if texts.is_empty() {
            self.absent(&source.name, "*", trouble.clone());
        }
        for text in texts {
            self.keep(&source.name, &text, trouble.clone());
        }
    }

    /// Keeps what is known of the schedule that the configuration calls `text`.
    fn keep(&mut self, source: &str, text: &str, trouble: Trouble) {
        let Some(unit) = self.previous.find(source, text) else {
            return self.absent(source, text, trouble);
        };
        if self.units.iter().any(|other| other.schedule.reference == unit.schedule.reference) {
            return;
        }
        if unit.schedule.synced > self.now.plus(SKEW) {
            let text = format!("{}; it was last read at a time that has not come", trouble.text);
            let trouble = Trouble { reason: "clock-rollback", text, may_be_accepted: false };
            return self.absent(source, text_of(&unit), trouble);
        }
        let people: BTreeSet<&Principal> = unit.slots.iter().map(|slot| &slot.principal).collect();
        let known = self.previous.mappings.iter();
        self.mappings.extend(
            known.filter(|mapping| mapping.source == source && people.contains(&mapping.principal)).cloned(),
        );
        self.outcomes.push(Outcome {
            schedule: unit.schedule.reference.clone(),
            name: unit.schedule.name.clone(),
            state: State::Kept(unit.schedule.synced, trouble),
        });
        self.units.push(unit);
    }

    fn absent(&mut self, source: &str, text: &str, trouble: Trouble) {
        let schedule = ScheduleRef { source: source.to_string(), id: text.to_string() };
        self.outcomes.push(Outcome { schedule, name: text.to_string(), state: State::Absent(trouble) });
    }

    /// The roster, and all that is to be said about it.
    pub fn finish(self, people: &[Person]) -> Summary {
        let mut roster = Roster {
            // A clock that is a little behind must not make a schedule younger than the roster it is in.
            published: self.units.iter().map(|unit| unit.schedule.synced).fold(self.now, Timestamp::max),
            schedules: Vec::new(),
            shifts: Vec::new(),
            // Everyone who could ever be admitted stands in the roster: eligibility travels with it.
            eligible: people
                .iter()
                .filter(|person| person.eligible)
                .map(|person| (person.principal.clone(), true))
                .collect(),
        };
        for unit in self.units {
            let schedule = roster.schedules.len();
            roster.schedules.push(unit.schedule);
            for Slot { principal, level, window } in unit.slots {
                roster.eligible.entry(principal.clone()).or_insert(false);
                roster.shifts.push(Shift { schedule, principal, level, window });
            }
        }
        Summary {
            changes: Changes::between(self.previous.roster.as_ref(), &roster, self.now),
            ahead: Ahead::from(self.concerns),
            roster,
            mappings: self.mappings,
            outcomes: self.outcomes,
            notes: self.notes,
            unmapped: self.unmapped,
        }
    }
}

fn text_of(unit: &Unit) -> &str {
    &unit.schedule.reference.id
}

/// Asks one source, and says so where somebody is looking on.
pub fn fetch(source: &Source, window: Window, now: Timestamp) -> Result<Answer, ProviderError> {
    crate::progress(format_args!("asking source `{}`", source.name));
    match &source.provider {
        Kind::PagerDuty(settings) => {
            PagerDuty::new(settings, &source.schedules, source.max_level).fetch(window)
        }
        Kind::Exec(settings) => Exec::new(settings, &source.schedules, source.max_level).fetch(window),
        Kind::File(path) => File::new(path, &source.schedules, source.max_level, now).fetch(window),
        Kind::Rota(path) => Rota::new(path, &source.schedules, source.max_level).fetch(window),
    }
}

/// How far the provider's clock is outside the time in which it can have answered.
fn skew(clock: Timestamp, asked: Timestamp, took: Duration) -> Span {
    let answered = asked.plus(Span::seconds(i64::try_from(took.as_secs()).unwrap_or(i64::MAX)));
    if clock < asked {
        asked.since(clock)
    } else if clock > answered {
        clock.since(answered)
    } else {
        Span::seconds(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_agree_within_the_time_the_answer_took() {
        let at = Timestamp::from_unix;
        let skew = |clock| super::skew(at(clock), at(1000), Duration::from_secs(5)).as_seconds();
        assert_eq!([skew(1000), skew(1005), skew(990), skew(1105)], [0, 0, 10, 100]);
    }
}
