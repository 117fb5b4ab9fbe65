//! `sync`: fetch every source, map its people, guard each schedule, publish a whole new roster.
//!
//! The unit of completeness is the schedule. One that could not be read, or that a guard refuses, keeps the
//! shifts it had, within their own age; the others move on. When none could be read nothing is published but
//! a change of eligibility: leaving the eligible group counts during an outage too.

mod ahead;
mod changes;
mod draft;
pub mod fetch;
mod groups;
mod guards;
mod history;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use host::{Config, accounts, clock};
use policy::{Proven, Roster, Rules, ScheduleRef, Span, Timestamp, Window};
use store::keys::{KeyCopy, Person};
use store::roster::Mapping;
use store::{StoreError, SyncLock, roster};

use crate::identity::People;
use crate::report::{self, Report};
pub use ahead::{Ahead, Reader, problem};
pub use changes::Changes;
use draft::{Draft, Previous};
pub use draft::{Outcome, State};
pub use history::path as history_path;

/// How far back shifts are asked for: a shift that just ended is still worth showing.
const LOOK_BACK: Span = Span::hours(1);

/// What a sync is asked for beyond its usual work.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Only say what would change.
    pub dry_run: bool,
    /// Schedules whose guards are set aside this once.
    pub accept: Accept,
}

/// Schedules whose guards are set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Accept {
    /// None.
    #[default]
    Nothing,
    /// All of them.
    Everything,
    /// Those named, as `source/schedule`.
    These(Vec<String>),
}

impl Accept {
    fn covers(&self, schedule: &ScheduleRef) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::These(texts) => texts.contains(&schedule.to_string()),
        }
    }

    /// The first of those named that is none of `outcomes`.
    fn unknown(&self, outcomes: &[Outcome], previous: &Previous) -> Option<String> {
        let Self::These(texts) = self else { return None };
        let stands = previous.roster().into_iter().flat_map(|roster| &roster.schedules);
        let known: BTreeSet<String> = (outcomes.iter().map(|outcome| outcome.schedule.to_string()))
            .chain(stands.map(|schedule| schedule.reference.to_string()))
            .collect();
        let unknown = texts.iter().find(|text| !known.contains(*text))?;
        let known: Vec<String> = known.into_iter().collect();
        Some(format!("there is no schedule `{unknown}` to accept; there are {}", known.join(", ")))
    }
}

/// Why nothing was published.
#[derive(Debug)]
pub enum SyncError {
    /// The configuration names no source or no directory.
    NothingToDo(&'static str),
    /// This process cannot become the user whom the roster belongs to.
    Owner(String),
    /// The key copy, which maps people, is not to be believed.
    People(StoreError),
    /// A source's clock and this host's differ (`clock-skew`); its name, and by how much.
    Skew(String, Span),
    /// No schedule could be read; what became of each, and whether a change of eligibility was published.
    NothingRead(Vec<Outcome>, bool),
    /// `--accept` names what there is not.
    NothingToAccept(String),
    /// The roster could not be written, or another sync is at work.
    Store(StoreError),
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToDo(what) => f.write_str(what),
            Self::Owner(what) | Self::NothingToAccept(what) => f.write_str(what),
            Self::People(error) => write!(f, "no people to map to, nothing published: {error}"),
            Self::Skew(name, by) => write!(
                f,
                "source `{name}`: its clock and this host's are {by} apart (clock-skew), nothing published; set this host's clock"
            ),
            // What became of each schedule stands in lines of its own.
            Self::NothingRead(_, true) => f.write_str(
                "no schedule was read; the old shifts are published again with who may become root now",
            ),
            Self::NothingRead(_, false) => f.write_str("no schedule was read, nothing published"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SyncError {}

impl SyncError {
    /// All of it for the log, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.told(Outcome::to_string)
    }

    /// The same for files and answers that anybody reads.
    pub fn public(&self) -> String {
        match self {
            Self::NothingRead(..) => self.told(Outcome::public).join("\n"),
            other => draft::without_addresses(&other.to_string()),
        }
    }

    fn told(&self, outcome: fn(&Outcome) -> String) -> Vec<String> {
        let outcomes = if let Self::NothingRead(outcomes, _) = self { outcomes.as_slice() } else { &[] };
        outcomes.iter().map(outcome).chain([self.to_string()]).collect()
    }
}

/// What a sync published, or would have, and what somebody should look at.
#[derive(Debug)]
pub struct Summary {
    /// The new roster.
    pub roster: Roster,
    /// How its people were found.
    pub mappings: BTreeSet<Mapping>,
    /// What became of each schedule.
    pub outcomes: Vec<Outcome>,
    /// Who could become root when, before and now.
    pub changes: Changes,
    /// People on call soon who will not be admitted.
    pub ahead: Vec<Ahead>,
    /// One line for each provider user who is nobody here, and for each address that several people have.
    pub notes: Vec<String>,
    /// How many provider users are nobody here.
    pub unmapped: usize,
    /// Why the groups of `[[nss.group]]` are not what the roster says, if they could not be written.
    pub groups_problem: Option<String>,
}

impl Summary {
    /// Was every schedule read, and all of it published?
    pub fn is_whole(&self) -> bool {
        self.groups_problem.is_none() && self.outcomes.iter().all(|outcome| outcome.state == State::Read)
    }
}

/// The right to sync: this process is the owner of what is published, and no other sync is at work.
pub struct Turn {
    _lock: SyncLock,
}

impl Turn {
    /// Takes it if it is free.
    pub fn take(config: &Config) -> Result<Self, SyncError> {
        Self::by(config, SyncLock::take)
    }

    /// Waits for it, and says so; whether that took time.
    pub fn wait(config: &Config) -> Result<(Self, bool), SyncError> {
        let mut waited = false;
        let turn = Self::by(config, |path| {
            SyncLock::wait(path, || {
                waited = true;
                crate::complain("another sync is at work; waiting for its end");
            })
        });
        Ok((turn?, waited))
    }

    fn by(
        config: &Config,
        lock: impl FnOnce(&Path) -> Result<SyncLock, StoreError>,
    ) -> Result<Self, SyncError> {
        accounts::become_owner_of(config.paths.roster.parent().unwrap_or(Path::new("/")))
            .map_err(SyncError::Owner)?;
        Ok(Self { _lock: lock(&config.paths.roster).map_err(SyncError::Store)? })
    }
}

/// Fetches, maps, guards and publishes. `now` is an instant at which the turn was taken.
pub fn sync(_: &Turn, config: &Config, wish: &Wish, now: Timestamp) -> Result<Summary, SyncError> {
    let mut people_synced = None;
    let mut outcome =
        has_source(config).and_then(|()| read_people(config, now)).and_then(|(people, synced)| {
            people_synced = Some(synced);
            gather_and_publish(config, wish, &people, now)
        });
    if !wish.dry_run {
        // Whatever became of the roster: whom a revocation, or the loss of the last source, took out leaves the
        // groups now.
        let groups_problem = groups::publish(config, now).err();
        match (&mut outcome, &groups_problem) {
            (Ok(summary), problem) => summary.groups_problem.clone_from(problem),
            (Err(_), Some(problem)) => crate::complain(problem),
            (Err(_), None) => {}
        }
        let standing = Report::read(&report::path(config)).ok().map(|report| report.policy);
        let mut report = Report::new(config, now, people_synced);
        report.groups_problem = groups_problem;
        match &outcome {
            Err(SyncError::NothingToAccept(_)) => return outcome,
            Ok(summary) => report.tell(summary),
            Err(error) => report.fail(error, standing),
        }
        if let Err(error) = report.write(&report::path(config)) {
            crate::complain(format_args!("`status` will not know of this sync: {error}"));
        }
    }
    outcome
}

fn has_source(config: &Config) -> Result<(), SyncError> {
    let nothing = SyncError::NothingToDo("config.toml has no [[oncall.source]]; say where the rota is");
    if config.oncall.sources.is_empty() { Err(nothing) } else { Ok(()) }
}

/// Everybody in the copy of the directory, and when that was last known to be true.
pub fn read_people(config: &Config, now: Timestamp) -> Result<(Vec<Person>, Timestamp), SyncError> {
    let directory = config
        .directory
        .as_ref()
        .ok_or(SyncError::NothingToDo("config.toml has no [directory]; say where people are"))?;
    KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.stale_for, now)
        .and_then(|copy| Ok((copy.people()?, copy.synced())))
        .map_err(SyncError::People)
}

/// The names of everybody in the copy.
pub fn read_names(config: &Config, now: Timestamp) -> Option<BTreeSet<String>> {
    let directory = config.directory.as_ref()?;
    let copy = KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.stale_for, now);
    copy.and_then(|copy| copy.names()).ok()
}

fn gather_and_publish(
    config: &Config,
    wish: &Wish,
    people: &[Person],
    now: Timestamp,
) -> Result<Summary, SyncError> {
    let previous = Previous::read(&config.paths.roster, now);
    let index = People::new(people);
    let mut draft = Draft::new(&previous, &index, &config.rules, wish, window(config, now)?, now);
    let fetched = fetch::all(&config.oncall.sources, window(config, now)?, now);
    let skewed = fetched.iter().find_map(|fetched| Some((fetched.source.name.clone(), fetched.skew?)));
    if let Some((source, by)) = skewed {
        republish(config, wish, &previous, people, now)?;
        return Err(SyncError::Skew(source, by));
    }
    let told = fetched.iter().filter_map(|fetched| fetched.told).max();
    fetched.into_iter().for_each(|fetched| draft.take(fetched));
    if let Some(problem) = wish.accept.unknown(&draft.outcomes, &previous) {
        return Err(SyncError::NothingToAccept(problem));
    }
    if draft.outcomes.iter().all(|outcome| outcome.state != State::Read) {
        draft.notes.iter().for_each(crate::complain);
        let republished = republish(config, wish, &previous, people, now)?;
        return Err(SyncError::NothingRead(draft.outcomes, republished));
    }
    let summary = draft.finish(people);
    if !wish.dry_run {
        let is_anew = summary.outcomes.iter().all(|outcome| outcome.state == State::Read);
        let time = if told.is_some() || is_anew { Time::Seen(told) } else { Time::AsBefore };
        publish(config, &summary.roster, &summary.mappings, &summary.changes, time, now)?;
    }
    Ok(summary)
}

/// Publishes the roster that stands again, with who may become root by now; whether there was a difference.
fn republish(
    config: &Config,
    wish: &Wish,
    previous: &Previous,
    people: &[Person],
    now: Timestamp,
) -> Result<bool, SyncError> {
    let Some(roster) = previous.with_eligibility(people, now) else { return Ok(false) };
    if !wish.dry_run {
        let changes = Changes::between(previous.roster(), &roster, now);
        publish(config, &roster, previous.mappings(), &changes, Time::AsBefore, now)?;
    }
    Ok(true)
}

/// The time that sources are asked for.
pub fn window(config: &Config, now: Timestamp) -> Result<Window, SyncError> {
    Window::new(now.minus(LOOK_BACK), now.plus(config.oncall.lookahead))
        .ok_or(SyncError::NothingToDo("`lookahead` leaves nothing to ask for"))
}

/// What a sync has seen of the time.
enum Time {
    /// Everything was read anew, or a service told this: the sync's own clock counts as far as that bears it out.
    Seen(Option<Timestamp>),
    /// Nothing: this host's clock may have been set meanwhile, and what is old stays as old as it is.
    AsBefore,
}

/// The history first: a change that is written down twice is better than one that never was.
fn publish(
    config: &Config,
    roster: &Roster,
    mappings: &BTreeSet<Mapping>,
    changes: &Changes,
    time: Time,
    now: Timestamp,
) -> Result<(), SyncError> {
    if let Err(problem) = history::append(config, changes, now) {
        crate::complain(format_args!("the history of who could become root has a gap: {problem}"));
    }
    let path = &config.paths.roster;
    roster::publish(path, roster, mappings).map_err(SyncError::Store)?;
    let proven = match time {
        Time::Seen(told) => Some(Proven::seen(now, told, clock::uptime(), roster.published)),
        Time::AsBefore => clock::proven(path).map(|before| before.of(roster.published)),
    };
    if let Some(Err(problem)) = proven.map(|proven| store::prove(path, 0o644, &proven)) {
        crate::complain(format_args!("a clock that is set back will be noticed late: {problem}"));
    }
    Ok(())
}

/// How far a provider's clock may be from this host's: readers bear as much.
const SKEW: Span = Rules::SKEW;
