//! `sync`: fetch every source, map its people, guard each schedule, publish a whole new roster.
//!
//! The unit of completeness is the schedule. One that could not be read, or that a guard refuses, keeps the
//! shifts it had, within their own age; the others move on. When none could be read nothing is published but
//! a change of eligibility: leaving the eligible group counts during an outage too.

mod changes;
mod error;
mod groups;
mod guards;
mod history;
mod incidents;
mod lock;
mod options;
mod outcome;
mod previous;
mod reported;
mod roster_builder;
mod shifts;
mod summary;
mod upcoming;

use std::collections::BTreeSet;

use host::{Config, clock};
use policy::{LeftOut, Principal, Proven, Roster, Span, Timestamp, Window};
use sources::fetch::{self, Told};
use sources::identity::People;
use status::SyncStatus;
use store::keys::{Contact, KeyCopy};
use store::roster::{self, Mapping};

use crate::narrow::Files;
use crate::said::Live;
use changes::Changes;
pub use error::SyncError;
pub use groups::path as groups_path;
pub use history::path as history_path;
use incidents::HeardIncidents;
pub use lock::SyncLockHeld;
pub use options::{Accept, SyncOptions};
pub use outcome::{Outcome, State};
use previous::Previous;
use roster_builder::RosterBuilder;
pub use summary::{Summary, summarise};
pub use upcoming::{Reader, problem};

/// How far back shifts are asked for: a shift that just ended is still worth showing.
const LOOK_BACK: Span = Span::hours(1);

/// Fetches, maps, guards and publishes. `now` is an instant at which the lock was held.
pub fn sync(
    _: &SyncLockHeld,
    config: &Config,
    options: &SyncOptions,
    now: Timestamp,
    live: Live<'_>,
) -> Result<Summary, SyncError> {
    let mut people_synced = None;
    let mut outcome =
        has_source(config).and_then(|()| read_people(config, now)).and_then(|(copy, people)| {
            people_synced = Some(copy.synced());
            gather_and_publish(config, options, &copy, &people, now, live)
        });
    if !options.dry_run {
        // Whatever became of the roster: whom a revocation, or the loss of the last source, took out leaves the
        // groups now.
        let groups_problem = groups::publish(config, now).err();
        match (&mut outcome, &groups_problem) {
            (Ok(summary), problem) => summary.groups_problem.clone_from(problem),
            (Err(_), Some(problem)) => (live.note)(format_args!("{problem}")),
            (Err(_), None) => {}
        }
        let standing = SyncStatus::read(&status::path(config)).ok();
        let mut report = SyncStatus::new(config, now, people_synced);
        report.groups_problem = groups_problem;
        match &outcome {
            Err(SyncError::NothingToAccept(_)) => return outcome,
            Ok(summary) => reported::published(&mut report, summary),
            Err(error) => reported::failed(&mut report, error, standing.as_ref()),
        }
        if let Err(error) = report.write(&status::path(config)) {
            (live.note)(format_args!("`status` will not show this sync: {error}"));
        }
    }
    outcome
}

fn has_source(config: &Config) -> Result<(), SyncError> {
    let nothing = SyncError::NothingToDo("config.toml has no [[oncall.source]]; set where the rota is");
    if config.oncall.sources.is_empty() { Err(nothing) } else { Ok(()) }
}

/// The copy of the directory, and everybody in it.
pub fn read_people(config: &Config, now: Timestamp) -> Result<(KeyCopy, Vec<Contact>), SyncError> {
    let directory = config
        .directory
        .as_ref()
        .ok_or(SyncError::NothingToDo("config.toml has no [directory]; set where people are"))?;
    KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.max_age, now)
        .and_then(|copy| {
            let people = copy.contacts()?;
            Ok((copy, people))
        })
        .map_err(|error| SyncError::People(error.after(config.first_step())))
}

/// How many usable keys each person has in `copy`. What cannot be read there opens nothing.
pub fn keys_in(copy: &KeyCopy) -> impl Fn(&Principal) -> usize {
    |person| copy.keys_of(person).ok().flatten().map_or(0, |keys| keys.len())
}

/// The names of everybody in the copy.
pub fn read_names(config: &Config, now: Timestamp) -> Option<BTreeSet<String>> {
    let directory = config.directory.as_ref()?;
    let copy = KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.max_age, now);
    copy.and_then(|copy| copy.names()).ok()
}

/// The names in the copy of those who may ever become root, where there is one that can be read.
pub fn read_eligible(config: &Config, now: Timestamp) -> Option<BTreeSet<String>> {
    let directory = config.directory.as_ref()?;
    let scope = config.copy_scope(directory);
    let copy = KeyCopy::open(&config.paths.keys, &scope, config.keys.max_age, now).ok()?;
    let mut eligible = BTreeSet::new();
    for name in copy.names().ok()? {
        if copy.is_eligible(&Principal::new(&name).ok()?).ok()? {
            eligible.insert(name);
        }
    }
    Some(eligible)
}

fn gather_and_publish(
    config: &Config,
    options: &SyncOptions,
    copy: &KeyCopy,
    people: &[Contact],
    now: Timestamp,
    live: Live<'_>,
) -> Result<Summary, SyncError> {
    // Before a source is asked: what is not understood publishes nothing.
    let files = Files::read(&config.rego, &config.rules.host).map_err(SyncError::Rego)?;
    let previous = Previous::read(&config.paths.roster, now);
    let keys = keys_in(copy);
    let index = People::new(people, &keys);
    let mut builder =
        RosterBuilder::new(&previous, &index, &config.rules, options, window(config, now)?, now);
    let fetched = fetch::all(&config.oncall.sources, window(config, now)?, now, live.progress);
    let fetched = fetch::judged(fetched);
    let told: Vec<Told> = fetched.iter().filter_map(|fetched| fetched.told).collect();
    let heard = HeardIncidents::of(config, &fetched, &index, now);
    builder.notes.extend(heard.notes.iter().chain(&heard.problems).cloned());
    fetched.into_iter().for_each(|fetched| builder.take(fetched));
    let known = builder.outcomes.iter().map(|outcome| &outcome.schedule).chain(previous.schedules());
    if let Some(problem) = options.accept.unknown(&known.map(ToString::to_string).collect()) {
        return Err(SyncError::NothingToAccept(problem));
    }
    if !options.dry_run && heard.is_news {
        publish_incidents(config, &heard, live);
    }
    if builder.outcomes.iter().all(|outcome| outcome.state != State::Read) {
        builder.notes.iter().for_each(|note| (live.note)(format_args!("{note}")));
        let republished = republish(config, options, (&previous, &files), people, now, live)?;
        return Err(SyncError::NothingRead(builder.outcomes, republished));
    }
    let mut summary = builder.finish(people, &files).map_err(SyncError::Rego)?;
    summary.incidents_problem = heard.public_problem();
    summary.roster.incidents = heard.known;
    if !options.dry_run {
        let is_anew = summary.outcomes.iter().all(|outcome| outcome.state == State::Read);
        let time = Time::of(&told, is_anew);
        let published = Published::of(&summary);
        publish(config, published, time, now, live)?;
    }
    Ok(summary)
}

/// Whether schedules could be read or not: an incident lets in those whom an older roster shows.
fn publish_incidents(config: &Config, heard: &HeardIncidents, live: Live<'_>) {
    if let Err(error) = roster::publish_incidents(&config.paths.roster, &heard.known) {
        (live.note)(format_args!("what is known of incidents stays as it was: {error}"));
    }
}

/// What became of the roster that stands, where no schedule could be read.
#[derive(Debug, Default)]
pub struct Again {
    /// Was it published again, because it differs?
    pub is_published: bool,
    /// How many of its shifts files of `[[policy.rego]]` leave out or end earlier.
    pub left_out: usize,
    /// Where such a file failed, and what became of the shift.
    pub rego_problem: Option<String>,
}

/// Publishes the roster that stands again, with who may become root by now and what files leave of it, if that differs.
fn republish(
    config: &Config,
    options: &SyncOptions,
    (previous, files): (&Previous, &Files),
    people: &[Contact],
    now: Timestamp,
    live: Live<'_>,
) -> Result<Again, SyncError> {
    let Some(mut roster) = previous.again(people, now) else {
        return Ok(Again { left_out: previous.left().len(), ..Again::default() });
    };
    let narrowed = files.narrow(&roster, &config.rules.host).map_err(SyncError::Rego)?;
    roster.shifts = narrowed.shifts;
    narrowed.problem.iter().for_each(|problem| (live.note)(format_args!("{problem}")));
    let is_published = previous.differs(&roster, &narrowed.left);
    if is_published && !options.dry_run {
        let changes = Changes::between(previous.roster(), &roster, now);
        let changes = changes.narrowed(previous.left(), &narrowed.left, now);
        let mappings = previous.mappings();
        let published = Published { roster: &roster, mappings, left: &narrowed.left, changes: &changes };
        publish(config, published, Time::AsBefore, now, live)?;
    }
    Ok(Again { is_published, left_out: narrowed.left.len(), rego_problem: narrowed.problem })
}

/// The time that sources are asked for.
pub fn window(config: &Config, now: Timestamp) -> Result<Window, SyncError> {
    Window::new(now.minus(LOOK_BACK), now.plus(config.oncall.lookahead))
        .ok_or(SyncError::NothingToDo("`lookahead` leaves no time to ask for"))
}

/// What a sync has seen of the time.
enum Time {
    /// Everything was read anew, or a service told this: the sync's own clock counts as far as that bears it out, and
    /// where nobody tells, as far as the sync before does.
    Seen(Option<Timestamp>),
    /// It is not before this, by what a collector signed.
    AtLeast(Timestamp),
    /// Nothing: this host's clock may have been set meanwhile, and what is old stays as old as it is.
    AsBefore,
}

impl Time {
    /// By what sources `told`; did everything come anew?
    fn of(told: &[Told], is_anew: bool) -> Self {
        let clocks = told.iter().filter_map(|told| if let Told::Clock(at) = told { Some(*at) } else { None });
        let least =
            told.iter().filter_map(|told| if let Told::AtLeast(at) = told { Some(*at) } else { None });
        match (clocks.max(), least.max(), is_anew) {
            (Some(clock), _, _) => Self::Seen(Some(clock)),
            (None, Some(least), _) => Self::AtLeast(least),
            (None, None, true) => Self::Seen(None),
            (None, None, false) => Self::AsBefore,
        }
    }
}

/// What is published.
struct Published<'a> {
    roster: &'a Roster,
    mappings: &'a BTreeSet<Mapping>,
    left: &'a [LeftOut],
    changes: &'a Changes,
}

impl<'a> Published<'a> {
    fn of(summary: &'a Summary) -> Self {
        let Summary { roster, mappings, left, changes, .. } = summary;
        Self { roster, mappings, left, changes }
    }
}

/// The history first: a change that is written down twice is better than one that never was.
fn publish(
    config: &Config,
    Published { roster, mappings, left, changes }: Published<'_>,
    time: Time,
    now: Timestamp,
    live: Live<'_>,
) -> Result<(), SyncError> {
    if let Err(problem) = history::append(config, changes, now) {
        (live.note)(format_args!("the history of who could become root has a gap: {problem}"));
    }
    let path = &config.paths.roster;
    roster::publish_narrowed(path, roster, mappings, left).map_err(SyncError::Store)?;
    let proven = match time {
        Time::Seen(told) => {
            let before = clock::proven(path).filter(|_| told.is_none());
            Some(Proven::seen(now, told, clock::uptime(), roster.published).borne_out(before.as_ref()))
        }
        Time::AtLeast(least) => {
            let seen = Proven::seen(now, Some(least), clock::uptime(), roster.published);
            Some(seen.or_later(clock::proven(path)))
        }
        Time::AsBefore => clock::proven(path).map(|before| before.of(roster.published)),
    };
    if let Some(Err(problem)) = proven.map(|proven| publish::prove(path, 0o644, &proven)) {
        (live.note)(format_args!("a clock that is set back will be noticed only later: {problem}"));
    }
    Ok(())
}
