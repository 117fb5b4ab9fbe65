//! `sync`: fetch every source, map its people, publish a whole new roster; or leave the old one.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use host::audit::Escaped;
use host::config::{Provider as Kind, Source};
use host::{Config, accounts};
use policy::{Roster, Rules, Schedule, ScheduleRef, Shift, Span, Timestamp, Window};
use store::keys::KeyCopy;
use store::{StoreError, SyncLock, roster};

use crate::identity::People;
use crate::providers::exec::Exec;
use crate::providers::file::File;
use crate::providers::pagerduty::PagerDuty;
use crate::providers::rota::Rota;
use crate::providers::{Answer, Provider, ProviderError, User};

/// How far back shifts are asked for: a shift that just ended is still worth showing.
const LOOK_BACK: Span = Span::hours(1);

/// Why nothing was published.
#[derive(Debug)]
pub enum SyncError {
    /// The configuration names no source or no directory.
    NothingToDo(&'static str),
    /// This process cannot become the user whom the roster belongs to.
    Owner(String),
    /// The key copy, which maps people, is not to be believed.
    People(StoreError),
    /// A source told nothing that may be believed; its name.
    Source(String, ProviderError),
    /// A source shows nobody at all (`source-empty`); its name.
    Empty(String),
    /// Shifts there are, and nobody in the directory whose they are (`source-empty`); the first reason.
    Nobody(String),
    /// A source's clock and this host's differ (`clock-skew`); its name, and by how much.
    Skew(String, Span),
    /// The roster could not be written, or another sync is at work.
    Store(StoreError),
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToDo(what) => f.write_str(what),
            Self::Owner(what) => f.write_str(what),
            Self::People(error) => write!(f, "no people to map to, nothing published: {error}"),
            Self::Source(name, error) => write!(f, "source `{name}`: {error}; nothing published"),
            Self::Empty(name) => write!(
                f,
                "source `{name}` shows nobody on call in the whole window (source-empty), nothing published; check `schedules` and `max_level`"
            ),
            Self::Nobody(first) => write!(
                f,
                "nobody on call is anybody in the directory (source-empty), nothing published; {first}"
            ),
            Self::Skew(name, by) => write!(
                f,
                "source `{name}`: its clock and this host's are {by} apart (clock-skew), nothing published; set this host's clock"
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SyncError {}

/// What a sync published, and what somebody should look at.
#[derive(Debug)]
pub struct Summary {
    /// The new roster.
    pub roster: Roster,
    /// One line for each provider user who is nobody here, and for each address that several people have.
    pub notes: Vec<String>,
}

/// Fetches, maps and publishes.
pub fn sync(config: &Config, now: Timestamp) -> Result<Summary, SyncError> {
    if config.oncall.sources.is_empty() {
        return Err(SyncError::NothingToDo("config.toml has no [[oncall.source]]; say where the rota is"));
    }
    let directory = config
        .directory
        .as_ref()
        .ok_or(SyncError::NothingToDo("config.toml has no [directory]; say where people are"))?;
    accounts::become_owner_of(config.paths.roster.parent().unwrap_or(Path::new("/")))
        .map_err(SyncError::Owner)?;
    let _lock = SyncLock::take(&config.paths.roster).map_err(SyncError::Store)?;
    let people = KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.stale_for, now)
        .and_then(|copy| copy.people())
        .map_err(SyncError::People)?;
    let horizon = now.plus(config.oncall.lookahead);
    let window = Window::new(now.minus(LOOK_BACK), horizon)
        .ok_or(SyncError::NothingToDo("`lookahead` leaves nothing to ask for"))?;
    let index = People::new(&people);
    let mut roster =
        Roster { published: now, schedules: Vec::new(), shifts: Vec::new(), eligible: Default::default() };
    let mut notes = Vec::new();
    for source in &config.oncall.sources {
        let answer = match fetch(source, window, now) {
            Ok(answer) => answer,
            Err(error) => {
                withdraw(&config.paths.roster, &index, now).map_err(SyncError::Store)?;
                return Err(error);
            }
        };
        add(&mut roster, source, answer, &index, horizon, &mut notes);
    }
    if roster.shifts.is_empty() {
        return Err(SyncError::Nobody(notes.into_iter().next().unwrap_or_default()));
    }
    // Everyone who could ever be admitted stands in the roster: eligibility travels with it.
    for person in people.iter().filter(|person| person.eligible) {
        roster.eligible.insert(person.principal.clone(), true);
    }
    roster::publish(&config.paths.roster, &roster).map_err(SyncError::Store)?;
    Ok(Summary { roster, notes })
}

/// Takes eligibility from those who lost it in the directory while a source is down: the roster that stands is
/// published again without them, its shifts and their ages as they are. Nobody gains anything by it.
fn withdraw(path: &Path, people: &People<'_>, now: Timestamp) -> Result<(), StoreError> {
    let Ok(mut roster) = roster::read(path) else { return Ok(()) };
    let mut changed = false;
    for (principal, eligible) in &mut roster.eligible {
        let lost = *eligible && !people.is_eligible(principal);
        changed |= lost;
        *eligible &= !lost;
    }
    if !changed {
        return Ok(());
    }
    roster.published = roster.published.max(now);
    roster::publish(path, &roster)
}

fn fetch(source: &Source, window: Window, now: Timestamp) -> Result<Answer, SyncError> {
    let started = Instant::now();
    let answer = match &source.provider {
        Kind::PagerDuty(settings) => {
            PagerDuty::new(settings, &source.schedules, source.max_level).fetch(window)
        }
        Kind::Exec(settings) => Exec::new(settings, &source.schedules, source.max_level).fetch(window),
        Kind::File(path) => File::new(path, &source.schedules, source.max_level, now).fetch(window),
        Kind::Rota(path) => Rota::new(path, &source.schedules, source.max_level).fetch(window),
    };
    let mut answer = answer.map_err(|error| SyncError::Source(source.name.clone(), error))?;
    if let Some((_, error)) = answer.failed.pop() {
        return Err(SyncError::Source(source.name.clone(), error));
    }
    if let Some(clock) = answer.clock {
        let apart = skew(clock, now, started.elapsed());
        if apart > Rules::SKEW {
            return Err(SyncError::Skew(source.name.clone(), apart));
        }
    }
    if answer.schedules.iter().all(|schedule| schedule.shifts.is_empty()) {
        return Err(SyncError::Empty(source.name.clone()));
    }
    Ok(answer)
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

fn add(
    roster: &mut Roster,
    source: &Source,
    answer: Answer,
    people: &People<'_>,
    horizon: Timestamp,
    notes: &mut Vec<String>,
) {
    let users: BTreeSet<&User> =
        answer.schedules.iter().flat_map(|schedule| &schedule.shifts).map(|shift| &shift.user).collect();
    let principals = people.map(&users, &source.people);
    for user in &users {
        let name = format!("{}/{}", source.name, Escaped(&user.id));
        match principals.get(&user.id) {
            Some(Ok(principal)) => {
                for other in people.other_claimants(user, principal) {
                    notes.push(format!(
                        "{name} is {principal}: {other} has the same mail address and is ignored"
                    ));
                }
            }
            Some(Err(why)) => notes.push(format!("skipped {name}: {why}")),
            None => {}
        }
    }
    for schedule in &answer.schedules {
        let number = roster.schedules.len();
        roster.schedules.push(Schedule {
            reference: ScheduleRef { source: source.name.clone(), id: schedule.id.clone() },
            name: schedule.name.clone(),
            synced: roster.published,
            horizon,
        });
        for shift in &schedule.shifts {
            let Some(Ok(principal)) = principals.get(&shift.user.id) else { continue };
            roster.eligible.insert(principal.clone(), people.is_eligible(principal));
            roster.shifts.push(Shift {
                schedule: number,
                principal: principal.clone(),
                level: shift.level,
                window: shift.window,
            });
        }
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
