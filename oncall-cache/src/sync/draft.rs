//! The roster in the making: what each schedule becomes, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use host::audit::Escaped;
use host::config::Source;
use policy::{OneLine, Principal, Roster, Rules, Schedule, ScheduleRef, Shift, Shifts, Timestamp, Window};
use store::keys::Person;
use store::roster::{self, Mapping};

use super::ahead::{Ahead, Concern};
use super::changes::Changes;
use super::fetch::Fetched;
use super::{SKEW, Summary, Wish, guards};
use crate::identity::{Mapped, MappedBy, People, Unmapped};
use crate::providers::{Answer, ProviderError, ProviderSchedule, User};

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
    pub text: OneLine,
    /// What another program said of it, for the log alone.
    pub heard: Option<OneLine>,
    /// Would `sync --accept` take it over?
    pub may_be_accepted: bool,
}

impl Trouble {
    /// One that `sync --accept` sets aside.
    pub fn acceptable(reason: &'static str, text: String) -> Self {
        Self { reason, text: text.into(), heard: None, may_be_accepted: true }
    }
}

impl From<ProviderError> for Trouble {
    fn from(error: ProviderError) -> Self {
        let (reason, text, heard) = match error {
            ProviderError::Source(text) => ("source-error", text, None),
            ProviderError::Incomplete(text) => ("source-incomplete", text, None),
            ProviderError::Foreign { text, heard } => ("source-error", text, Some(heard)),
        };
        Self { reason, text, heard, may_be_accepted: false }
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
    pub name: OneLine,
    /// What became of it.
    pub state: State,
}

impl Outcome {
    /// What to say of it: to everybody, or in the log, where the words of other programs may stand as well.
    fn told(&self, to_the_log: bool) -> String {
        let schedule = &self.schedule;
        let (trouble, stands) = match &self.state {
            State::Read => return format!("schedule {schedule}: read"),
            State::Kept(synced, trouble) => (trouble, format!("it stays as it was read at {synced}")),
            State::Absent(trouble) => (trouble, "nothing is known of it".to_string()),
        };
        let text = if to_the_log { trouble.text.to_string() } else { without_addresses(&trouble.text) };
        let mut told = format!("schedule {schedule}: {}: {text}", trouble.reason);
        if let Some(heard) = trouble.heard.as_ref().filter(|_| to_the_log) {
            told.push_str(&format!("; it said {:?}", heard.as_str()));
        }
        told.push_str(&format!("; {stands}"));
        if trouble.may_be_accepted {
            let schedule = quoted(&schedule.to_string());
            told.push_str(&format!("; if it is right: sudo oncall-cache sync --accept {schedule}"));
        }
        told
    }

    /// The same for files and answers that anybody reads.
    pub fn public(&self) -> String {
        self.told(false)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(true))
    }
}

/// `text` with mail addresses left out.
pub fn without_addresses(text: &str) -> String {
    let word = |word: &str| if word.contains('@') { "(an address)".to_string() } else { word.to_string() };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// `text` as one word of a shell's: providers choose ids.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The roster that stands, if one does.
pub struct Previous {
    roster: Option<Roster>,
    mappings: BTreeSet<Mapping>,
}

impl Previous {
    /// Reads what was published before; a copy that is not believed tells nothing.
    pub fn read(path: &Path, now: Timestamp) -> Self {
        Self { roster: roster::read(path, now).ok(), mappings: roster::mappings(path).unwrap_or_default() }
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

    /// The roster that stands with who may become root by now, if that is news: it counts before a schedule can
    /// be read again. Not where this host's clock is behind the roster that stands: then its age cannot be told.
    pub fn with_eligibility(&self, people: &[Person], now: Timestamp) -> Option<Roster> {
        let old = self.roster.as_ref().filter(|old| old.clock_holds(now))?;
        let published = old.schedules.iter().map(|schedule| schedule.synced).fold(now, Timestamp::max);
        let mut new = Roster { published, floor: published, ..old.clone() };
        new.eligible = eligibility(people, new.shifts.iter().map(|shift| &shift.principal));
        (new.eligible != old.eligible).then_some(new)
    }

    /// What stands.
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    /// How its people were found.
    pub fn mappings(&self) -> &BTreeSet<Mapping> {
        &self.mappings
    }
}

/// Everyone who could ever be admitted stands in the roster, and everyone who has a shift: eligibility travels
/// with it.
fn eligibility<'p>(
    people: &[Person],
    shifts: impl Iterator<Item = &'p Principal>,
) -> BTreeMap<Principal, bool> {
    let listed = people.iter().filter(|person| person.eligible);
    let mut eligible: BTreeMap<Principal, bool> =
        listed.map(|person| (person.principal.clone(), true)).collect();
    for principal in shifts {
        eligible.entry(principal.clone()).or_insert(false);
    }
    eligible
}

/// The roster in the making.
pub struct Draft<'a> {
    previous: &'a Previous,
    people: &'a People<'a>,
    rules: &'a Rules,
    wish: &'a Wish,
    window: Window,
    now: Timestamp,
    units: Vec<Unit>,
    mappings: BTreeSet<Mapping>,
    concerns: Vec<Concern>,
    /// One line for each user who is nobody here, and for each address that several people have.
    pub notes: Vec<String>,
    unmapped: usize,
    /// What became of each schedule.
    pub outcomes: Vec<Outcome>,
}

impl<'a> Draft<'a> {
    /// An empty one.
    pub fn new(
        previous: &'a Previous,
        people: &'a People<'a>,
        rules: &'a Rules,
        wish: &'a Wish,
        window: Window,
        now: Timestamp,
    ) -> Self {
        let (units, mappings, concerns) = (Vec::new(), BTreeSet::new(), Vec::new());
        let (notes, unmapped, outcomes) = (Vec::new(), 0, Vec::new());
        Self {
            previous,
            people,
            rules,
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

    /// Takes what one source came to. What could not be read stays as it is.
    pub fn take(&mut self, fetched: Fetched<'_>) {
        match fetched.answer {
            Ok(answer) => self.take_answer(fetched.source, &answer),
            Err(error) => self.keep_all(fetched.source, &Trouble::from(error)),
        }
    }

    fn take_answer(&mut self, source: &Source, answer: &Answer) {
        self.notes.extend(answer.notes().iter().map(|note| format!("source `{}`: {note}", source.name)));
        let users: BTreeSet<&User> = answer
            .schedules()
            .iter()
            .flat_map(|schedule| &schedule.shifts)
            .map(|shift| &shift.user)
            .collect();
        let mut mapped = self.people.map(&users, &source.people);
        self.hold_on_to_people(source, answer, &mut mapped);
        for user in &users {
            self.note(source, user, mapped.get(&user.id));
        }
        for schedule in answer.schedules() {
            self.take_schedule(source, schedule, &mapped, answer.as_of);
        }
        let told: BTreeSet<&String> = answer.schedules().iter().map(|schedule| &schedule.wanted).collect();
        let gone = self.gone(source, |text| {
            told.contains(text) || answer.failed().iter().any(|(failed, _)| failed == text)
        });
        for (text, error) in answer.failed() {
            self.keep(&source.name, text, Trouble::from(error.clone()));
        }
        for text in gone {
            let trouble = "the source tells of it no more; if that is meant, name it in no rule".to_string();
            self.keep(&source.name, &text, Trouble::acceptable("source-incomplete", trouble));
        }
    }

    /// A mail address is what its owner says it is. A user who was somebody here yesterday by theirs does not
    /// become somebody else by it unless that is accepted.
    fn hold_on_to_people(
        &mut self,
        source: &Source,
        answer: &Answer,
        mapped: &mut BTreeMap<String, Result<Mapped, Unmapped>>,
    ) {
        let accepted: BTreeSet<&String> = answer
            .schedules()
            .iter()
            .filter(|schedule| self.is_accepted(source, schedule))
            .flat_map(|schedule| schedule.shifts.iter().map(|shift| &shift.user.id))
            .collect();
        let before = self
            .previous
            .mappings
            .iter()
            .filter(|known| known.source == source.name && !known.user.is_empty());
        for known in before {
            let now = mapped.get_mut(&known.user);
            if let Some(Ok(Mapped { principal, ground: MappedBy::Mail })) = &now
                && *principal != known.principal
                && !accepted.contains(&known.user)
            {
                let moved = Unmapped::Moved(known.principal.clone(), principal.clone());
                mapped.insert(known.user.clone(), Err(moved));
            }
            if !matches!(mapped.get(&known.user), Some(Ok(_))) {
                self.mappings.insert(known.clone());
            }
        }
    }

    fn is_accepted(&self, source: &Source, schedule: &ProviderSchedule) -> bool {
        let reference = ScheduleRef { source: source.name.clone(), id: schedule.wanted.clone() };
        self.wish.accept.covers(&reference)
    }

    fn named_by_rules(&self, source: &Source) -> BTreeSet<&'a ScheduleRef> {
        let rules = self.rules.rules.iter().flat_map(|rule| &rule.schedules);
        rules.filter(|wanted| wanted.source == source.name).collect()
    }

    /// Schedules of a source that lists none, of which it told before or which a rule names, and of which it tells
    /// no more. What is not believed any more, and in no rule, is forgotten.
    fn gone(&self, source: &Source, is_told: impl Fn(&String) -> bool) -> Vec<String> {
        if source.wanted().next().is_some() {
            return Vec::new();
        }
        let named = self.named_by_rules(source);
        let known = self.previous.of_source(&source.name).into_iter().map(|unit| unit.schedule);
        let lasting = known.filter(|schedule| {
            let limit = self.rules.ages.of(schedule).max_age;
            named.contains(&schedule.reference) || self.now < schedule.believed_until(limit)
        });
        let known: BTreeSet<String> = lasting.map(|schedule| schedule.reference.id).collect();
        let all: BTreeSet<String> =
            known.into_iter().chain(named.iter().map(|wanted| wanted.id.clone())).collect();
        let accepted = |text: &String| {
            let reference = ScheduleRef { source: source.name.clone(), id: text.clone() };
            self.wish.accept.covers(&reference) && !named.contains(&reference)
        };
        all.into_iter().filter(|text| !is_told(text) && !accepted(text)).collect()
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
                reference: ScheduleRef { source: source.name.clone(), id: schedule.wanted.clone() },
                provider_id: schedule.id.clone(),
                name: schedule.name.clone(),
                synced: as_of.map_or(self.now, |at| at.min(self.now)),
                horizon: self.window.end(),
            },
        };
        let reference = unit.schedule.reference.clone();
        let (age, limit) = (self.now.since(unit.schedule.synced), self.rules.ages.of(&unit.schedule).max_age);
        if age >= limit {
            let text =
                format!("what it tells was true {age} ago, `max_age` is {limit}; is it still written?");
            return self.keep(&source.name, &schedule.wanted, Trouble::from(ProviderError::source(&text)));
        }
        if !self.wish.accept.covers(&reference) {
            let previous = self.previous.find(&source.name, &schedule.wanted);
            let guards = source.guards(&schedule.wanted);
            if let Err(trouble) = guards::check(guards, previous.as_ref(), &unit, schedule, self.now) {
                self.keep(&source.name, &schedule.wanted, trouble);
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
        let texts: BTreeSet<String> = if listed.is_empty() {
            let named = self.named_by_rules(source).into_iter().map(|wanted| wanted.id.clone());
            old.into_iter().chain(named).collect()
        } else {
            listed.into_iter().collect()
        };
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
        if unit.schedule.synced > self.now.plus(SKEW) {
            let why = format!("{}; it was last read at a time that has not come", trouble.text);
            return self.absent(
                source,
                text,
                Trouble { reason: "clock-rollback", text: why.into(), ..trouble },
            );
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
        self.outcomes.push(Outcome { schedule, name: text.into(), state: State::Absent(trouble) });
    }

    /// The roster, and all that is to be said about it.
    pub fn finish(self, people: &[Person]) -> Summary {
        // A clock that is a little behind must not make a schedule younger than the roster it is in.
        let published = self.units.iter().map(|unit| unit.schedule.synced).fold(self.now, Timestamp::max);
        let mut roster = Roster {
            published,
            floor: published,
            schedules: Vec::new(),
            shifts: Shifts::default(),
            eligible: BTreeMap::new(),
        };
        let mut shifts = Vec::new();
        for unit in self.units {
            let schedule = roster.schedules.len();
            roster.schedules.push(unit.schedule);
            let shift = |Slot { principal, level, window }| Shift { schedule, principal, level, window };
            shifts.extend(unit.slots.into_iter().map(shift));
        }
        roster.shifts = shifts.into();
        roster.eligible = eligibility(people, roster.shifts.iter().map(|shift| &shift.principal));
        Summary {
            changes: Changes::between(self.previous.roster.as_ref(), &roster, self.now),
            ahead: Ahead::from(self.concerns),
            roster,
            mappings: self.mappings,
            outcomes: self.outcomes,
            notes: self.notes,
            unmapped: self.unmapped,
            groups_problem: None,
        }
    }
}
