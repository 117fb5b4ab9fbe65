//! The roster in the making: what each schedule becomes, and why.

use std::collections::{BTreeMap, BTreeSet};

use host::config::Source;
use policy::{
    Principal, Roster, Rules, Schedule, ScheduleRef, Shift, Shifts, Timestamp, Window, late_shifts,
};
use record::Escaped;
use sources::fetch::{Fetched, SKEW};
use sources::identity::{Mapped, MappedBy, People, Unmapped};
use sources::{Answer, ProviderError, ProviderSchedule, User};
use store::keys::Contact;
use store::roster::Mapping;

use super::changes::Changes;
use super::guards;
use super::options::SyncOptions;
use super::outcome::{Outcome, State, Trouble, TroubleKind};
use super::previous::{Previous, eligibility};
use super::shifts::{MappedShift, ScheduleShifts};
use super::summary::Summary;
use super::upcoming::{DatedRefusal, merged};
use crate::narrow::{Files, Narrowed};

/// The roster in the making.
pub struct RosterBuilder<'a> {
    previous: &'a Previous,
    people: &'a People<'a>,
    rules: &'a Rules,
    options: &'a SyncOptions,
    window: Window,
    now: Timestamp,
    schedules: Vec<ScheduleShifts>,
    mappings: BTreeSet<Mapping>,
    concerns: Vec<DatedRefusal>,
    /// One line for each user who is nobody here, and for each address that several people have.
    pub notes: Vec<String>,
    unmapped: usize,
    /// What became of each schedule.
    pub outcomes: Vec<Outcome>,
}

impl<'a> RosterBuilder<'a> {
    /// An empty one.
    pub fn new(
        previous: &'a Previous,
        people: &'a People<'a>,
        rules: &'a Rules,
        options: &'a SyncOptions,
        window: Window,
        now: Timestamp,
    ) -> Self {
        let (schedules, mappings, concerns) = (Vec::new(), BTreeSet::new(), Vec::new());
        let (notes, unmapped, outcomes) = (Vec::new(), 0, Vec::new());
        Self {
            previous,
            people,
            rules,
            options,
            window,
            now,
            schedules,
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
            let trouble =
                "the source no longer has it; if that is right, remove it from the rules".to_string();
            self.keep(&source.name, &text, Trouble::acceptable(TroubleKind::SourceIncomplete, trouble));
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
            .mappings()
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
        self.options.accept.covers(&reference)
    }

    fn named_by_rules(&self, source: &Source) -> BTreeSet<&'a ScheduleRef> {
        let rules = self.rules.rules.iter().flat_map(|rule| &rule.schedules);
        rules.filter(|wanted| wanted.source == source.name).collect()
    }

    /// Schedules of a source that lists none, of which it told before or which a rule names, and of which it tells
    /// no more. What is not trusted any more, and in no rule, is forgotten.
    fn gone(&self, source: &Source, is_told: impl Fn(&String) -> bool) -> Vec<String> {
        if source.wanted().next().is_some() {
            return Vec::new();
        }
        let named = self.named_by_rules(source);
        let known = self.previous.of_source(&source.name).into_iter().map(|taken| taken.schedule);
        let lasting = known.filter(|schedule| {
            let limit = self.rules.ages.of(schedule).max_age;
            named.contains(&schedule.reference) || self.now < schedule.believed_until(limit)
        });
        let known: BTreeSet<String> = lasting.map(|schedule| schedule.reference.id).collect();
        let all: BTreeSet<String> =
            known.into_iter().chain(named.iter().map(|wanted| wanted.id.clone())).collect();
        let accepted = |text: &String| {
            let reference = ScheduleRef { source: source.name.clone(), id: text.clone() };
            self.options.accept.covers(&reference) && !named.contains(&reference)
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
        self.concerns.extend(DatedRefusal::of(schedule, mapped, self.people, self.now));
        let shifts = schedule.shifts.iter().filter_map(|shift| match mapped.get(&shift.user.id) {
            Some(Ok(Mapped { principal, .. })) => {
                Some(MappedShift { principal: principal.clone(), level: shift.level, window: shift.window })
            }
            _ => None,
        });
        let synced = schedule.reading.map(|reading| reading.at).or(as_of);
        let mut taken = ScheduleShifts {
            shifts: shifts.collect(),
            schedule: Schedule {
                reference: ScheduleRef { source: source.name.clone(), id: schedule.wanted.clone() },
                provider_id: schedule.id.clone(),
                name: schedule.name.clone(),
                synced: synced.map_or(self.now, |at| at.min(self.now)),
                horizon: schedule.reading.map_or(self.window.end(), |reading| reading.horizon),
            },
        };
        if let Err(trouble) = self.judge(source, schedule, &mut taken) {
            return self.keep(&source.name, &schedule.wanted, trouble);
        }
        let reference = taken.schedule.reference.clone();
        self.outcomes.push(Outcome { schedule: reference, name: schedule.name.clone(), state: State::Read });
        self.schedules.push(taken);
    }

    /// May `taken`, which came as `told`, be published?
    fn judge(
        &self,
        source: &Source,
        told: &ProviderSchedule,
        taken: &mut ScheduleShifts,
    ) -> Result<(), Trouble> {
        let limit = self.rules.ages.of(&taken.schedule).max_age;
        let age = self.now.since(taken.schedule.synced);
        let guards = source.guards(&told.wanted);
        let previous = self.previous.find(&source.name, &told.wanted);
        let is_collected = told.reading.is_some();
        if age >= limit {
            let text = if is_collected {
                format!(
                    "the collector last read it {age} ago, `max_age` is {limit}; see `oncall-collector status` there"
                )
            } else {
                format!("it was last written {age} ago, `max_age` is {limit}; is its writer still running?")
            };
            return Err(Trouble::from(ProviderError::source(&text)));
        }
        if self.options.accept.covers(&taken.schedule.reference) {
            return Ok(());
        }
        if !is_collected {
            return guards::check(guards, previous.as_ref(), taken, told, self.now);
        }
        if let Some(previous) = &previous {
            not_before(previous, taken, self.now)?;
        }
        guards::check_collected(guards, told)
    }

    fn keep_all(&mut self, source: &Source, trouble: &Trouble) {
        let listed: Vec<String> = source.wanted().cloned().collect();
        let old: Vec<String> = self
            .previous
            .of_source(&source.name)
            .into_iter()
            .map(|taken| taken.schedule.reference.id)
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
        let Some(taken) = self.previous.find(source, text) else {
            return self.absent(source, text, trouble);
        };
        // By a clock that is behind it stays for when that is right again.
        if taken.schedule.synced > self.now.plus(SKEW) && !self.previous.is_clock_behind() {
            let why = format!("{}; it was last read at a time in the future", trouble.text);
            return self.absent(
                source,
                text,
                Trouble { kind: TroubleKind::ClockRollback, text: why.into(), ..trouble },
            );
        }
        let people: BTreeSet<&Principal> = taken.shifts.iter().map(|shift| &shift.principal).collect();
        let known = self.previous.mappings().iter();
        self.mappings.extend(
            known.filter(|mapping| mapping.source == source && people.contains(&mapping.principal)).cloned(),
        );
        self.outcomes.push(Outcome {
            schedule: taken.schedule.reference.clone(),
            name: taken.schedule.name.clone(),
            state: State::Kept(taken.schedule.synced, trouble),
        });
        self.schedules.push(taken);
    }

    fn absent(&mut self, source: &str, text: &str, trouble: Trouble) {
        let schedule = ScheduleRef { source: source.to_string(), id: text.to_string() };
        self.outcomes.push(Outcome { schedule, name: text.into(), state: State::Absent(trouble) });
    }

    /// The roster, of which `files` leave what they leave, and all that is to be said about it.
    ///
    /// # Errors
    /// A file is not understood.
    pub fn finish(self, people: &[Contact], files: &Files) -> Result<Summary, String> {
        // A clock that is a little behind must not make a schedule younger than the roster it is in.
        let published =
            self.schedules.iter().map(|taken| taken.schedule.synced).fold(self.now, Timestamp::max);
        let mut roster = Roster {
            late: Vec::new(),
            incidents: Default::default(),
            published,
            floor: published,
            schedules: Vec::new(),
            shifts: Shifts::default(),
            eligible: BTreeMap::new(),
        };
        let mut shifts = Vec::new();
        for taken in self.schedules {
            let schedule = roster.schedules.len();
            roster.schedules.push(taken.schedule);
            let shift =
                |MappedShift { principal, level, window }| Shift { schedule, principal, level, window };
            shifts.extend(taken.shifts.into_iter().map(shift));
        }
        roster.shifts = shifts.into();
        roster.eligible = eligibility(people, roster.shifts.iter().map(|shift| &shift.principal));
        roster.late = late_shifts(self.previous.whole(), &roster, self.now);
        let Narrowed { shifts, left, problem } = files.narrow(&roster, &self.rules.host)?;
        roster.shifts = shifts;
        Ok(Summary {
            changes: Changes::between(self.previous.roster(), &roster, self.now).narrowed(
                self.previous.left(),
                &left,
                self.now,
            ),
            ahead: merged(self.concerns),
            roster,
            mappings: self.mappings,
            outcomes: self.outcomes,
            notes: self.notes,
            unmapped: self.unmapped,
            left,
            rego_problem: problem,
            groups_problem: None,
            incidents_problem: None,
        })
    }
}

/// Of two readings the later one stands, whichever came later: collectors differ. Where both say the same, what is known
/// is as young as the younger one. One from what has not come was read by a clock that was wrong, and says nothing about
/// which is later.
fn not_before(previous: &ScheduleShifts, taken: &mut ScheduleShifts, now: Timestamp) -> Result<(), Trouble> {
    let (was, is) = (previous.schedule.synced, taken.schedule.synced);
    if is >= was || was > now.plus(SKEW) {
        return Ok(());
    }
    let set = |one: &ScheduleShifts| one.shifts.iter().cloned().collect::<BTreeSet<_>>();
    if set(previous) == set(taken) {
        taken.schedule.synced = was;
        taken.schedule.horizon = previous.schedule.horizon.max(taken.schedule.horizon);
        return Ok(());
    }
    let text = format!("the fleet has it as read at {is}, which is before what this host has");
    Err(Trouble::acceptable(TroubleKind::SourceIncomplete, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_at(at: i64, person: &str) -> ScheduleShifts {
        let instant = Timestamp::from_unix;
        let window = Window::new(instant(0), instant(1000)).unwrap();
        ScheduleShifts {
            schedule: Schedule {
                reference: ScheduleRef { source: "pd".into(), id: "P1".into() },
                provider_id: "P1".into(),
                name: "P1".into(),
                synced: instant(at),
                horizon: instant(at + 100),
            },
            shifts: vec![MappedShift { principal: Principal::new(person).unwrap(), level: 1, window }],
        }
    }

    #[test]
    fn an_older_reading_replaces_nothing_and_makes_nothing_older() {
        let stands = read_at(500, "alice");
        for (at, person, expected) in
            [(500, "bob", Some(500)), (501, "bob", Some(501)), (499, "alice", Some(500)), (499, "bob", None)]
        {
            let mut taken = read_at(at, person);
            let outcome = not_before(&stands, &mut taken, Timestamp::from_unix(600)).ok();
            let known = outcome.map(|()| taken.schedule.synced.unix());
            assert_eq!(known, expected, "{at} {person}");
            assert!(known.is_none() || taken.schedule.horizon.unix() == known.unwrap() + 100);
        }
        // Two minutes are borne; what is further ahead was read by a wrong clock.
        for (now, expected) in [(380, None), (379, Some(370))] {
            let mut taken = read_at(370, "bob");
            let outcome = not_before(&stands, &mut taken, Timestamp::from_unix(now)).ok();
            assert_eq!(outcome.map(|()| taken.schedule.synced.unix()), expected, "{now}");
        }
    }
}
