//! The keys of one person: from the copy, from the directory, or from what it said before, and why.
//!
//! A fresh answer needs no question, "no such person" included. An older one is what an outage leaves, as
//! long as it is not too old. Whatever else is wrong with the copy or the memory, the directory is asked.

use std::time::{Duration, Instant};

use host::child::Child;
use host::config::{Directory, KeysSource};
use host::unanswered::Concerns;
use host::{Config, clock};
use policy::{Principal, Proven, Reason, Span, Timestamp};
use store::keys::KeyCopy;
use store::lookups::{Asked, Heard, Known, Lookups, Unusable};
use store::{Rejected, StoreError};

use crate::live::{self, Answer, LiveError};
use crate::memory::Answers;
use crate::problem::Problem;

/// The time, as the program's shell read it when it started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The instant that answers are judged by.
    pub now: Timestamp,
    /// The same instant on the clock that deadlines are kept by.
    pub start: Instant,
}

impl Clock {
    /// When this run has to be over.
    fn end(self, limit: Span) -> Instant {
        let length = Duration::from_secs(u64::try_from(limit.as_seconds()).unwrap_or(0));
        self.start.checked_add(length).unwrap_or(self.start)
    }

    /// The time now, after a question that may have taken a while.
    pub fn later(self) -> Timestamp {
        self.now.plus(Span::seconds(i64::try_from(self.start.elapsed().as_secs()).unwrap_or(0)))
    }
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nobody was asked: root is no person.
    Compiled,
    /// Nobody was asked: config.toml says it all.
    Configuration,
    /// The copy, of this age.
    Copy(Span),
    /// The directory, asked just now.
    Directory,
    /// An earlier question, of this age.
    Memory(Span),
}

/// What is known of a person, and on what ground.
#[derive(Debug)]
pub struct Found {
    /// The answer.
    pub known: Known,
    /// Is it an old answer, served because there is no new one?
    pub stale: bool,
    /// Where it came from.
    pub origin: Origin,
    /// Their values that are no keys, if that was told at once.
    pub rejected: Option<Vec<Rejected>>,
    /// Fields for the log.
    pub evidence: Vec<(&'static str, String)>,
}

impl Found {
    fn new(known: Known, origin: Origin, rejected: Option<Vec<Rejected>>) -> Self {
        Self { known, stale: false, origin, rejected, evidence: Vec::new() }
    }

    fn remembered(known: Known, age: Span) -> Self {
        Self::new(known, Origin::Memory(age), None)
    }

    fn age(&self) -> Span {
        match self.origin {
            Origin::Copy(age) | Origin::Memory(age) => age,
            Origin::Compiled | Origin::Configuration | Origin::Directory => Span::seconds(0),
        }
    }

    fn live(answer: Answer) -> Self {
        let count = answer.rejected.len();
        let found = Self::new(answer.known, Origin::Directory, Some(answer.rejected));
        let found = found.and("source", "directory");
        if count > 0 { found.and("rejected", count.to_string()) } else { found }
    }

    /// The same, served because there is no new answer.
    fn stale(self, error: &LiveError) -> Self {
        let age = self.age();
        Self { stale: true, ..self }
            .and("age", format!("{}s", age.as_seconds()))
            .and("directory", error.reason.token())
            .and("problem", error.text.as_str())
    }

    fn and(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.evidence.push((name, value.into()));
        self
    }

    fn and_fault(self, name: &'static str, fault: Option<&StoreError>) -> Self {
        match fault {
            Some(error) => self.and(name, Reason::from(error.fault()).token()),
            None => self,
        }
    }
}

/// What is known of `person` now.
pub fn find(
    config: &Config,
    directory: &Directory,
    person: &Principal,
    clock: Clock,
) -> Result<Found, Problem> {
    if person.as_str() == "root" {
        // An account and no person; whatever the directory calls root is dropped at each sync too.
        return Ok(Found::new(Known::Absent, Origin::Compiled, Some(Vec::new())));
    }
    let question = Question {
        config,
        directory,
        person,
        clock,
        end: clock.end(config.keys.timeout),
        memory: Answers::at(&config.paths.lookups),
    };
    match config.keys.source {
        KeysSource::Copy => question.by_copy(),
        KeysSource::Live => question.by_memory(),
    }
}

/// The copy of `directory`, if it may be trusted at `now`.
pub fn open_copy(config: &Config, directory: &Directory, now: Timestamp) -> Result<KeyCopy, StoreError> {
    KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), config.keys.max_age, now)
}

/// What is left when the directory gives no answer: what it said earlier, with its age.
fn without_answer(error: LiveError, earlier: Result<Option<Earlier>, StoreError>) -> Result<Found, Problem> {
    match earlier {
        _ if error.unusable().is_some() => Err(Problem::Unknown(None, error)),
        Ok(Some(Earlier::Found(found))) => Ok(found.stale(&error)),
        Ok(Some(Earlier::Unusable(unusable, age))) => Err(Problem::Unknown(None, error.after(unusable, age))),
        Ok(None) => Err(Problem::Unknown(None, error)),
        Err(fault) => Err(Problem::Unknown(Some(fault), error)),
    }
}

/// What the directory said before.
enum Earlier {
    /// This, by the copy or by the memory.
    Found(Found),
    /// For certain nothing that can be used, so long ago.
    Unusable(Unusable, Span),
}

impl Earlier {
    fn remembered(heard: Heard, age: Span) -> Self {
        match heard {
            Heard::Answer(known) | Heard::Passing(known, _) => Self::Found(Found::remembered(known, age)),
            Heard::Unusable(unusable) => Self::Unusable(unusable, age),
        }
    }

    fn age(&self) -> Span {
        match self {
            Self::Found(found) => found.age(),
            Self::Unusable(_, age) => *age,
        }
    }

    /// Is this a later word than `copied`?
    fn is_after(&self, copied: &Found) -> bool {
        let has_keys =
            matches!(self, Self::Found(Found { known: Known::Keys(keys), .. }) if !keys.is_empty());
        self.age() < copied.age() || (self.age() == copied.age() && !has_keys)
    }
}

/// The memory; why there is none is worth a word in the log and no more.
type Opened = Result<Lookups, Option<StoreError>>;

struct Question<'a> {
    config: &'a Config,
    directory: &'a Directory,
    person: &'a Principal,
    clock: Clock,
    end: Instant,
    memory: Answers,
}

impl Question<'_> {
    /// `source = "copy"`: the copy of everybody, which the login path cannot write. What is answered live meanwhile
    /// is remembered: an outage must not bring back what an older copy says.
    fn by_copy(&self) -> Result<Found, Problem> {
        let now = self.clock.now;
        let copied = open_copy(self.config, self.directory, now).and_then(|copy| {
            let known = copy.known(self.person)?;
            Ok(Found::new(known, Origin::Copy(now.since(copy.synced())), None))
        });
        if matches!(self.directory, Directory::Fleet(_)) {
            // The fleet's copy is all there is: nobody can be asked, and nothing was ever remembered.
            return copied.map_err(Problem::Store);
        }
        let fault = match copied {
            Ok(found) if found.age() <= self.config.keys.cache_ttl => return Ok(found),
            Ok(_) => None,
            Err(ref fault) => Some(fault),
        };
        let mut lookups = self.open();
        let asked = self.moment();
        let standing = copied.as_ref().ok().map(|found| &found.known);
        match self.ask() {
            Ok((answer, _child)) => Ok(self.keep(answer, asked, lookups, standing).and_fault("copy", fault)),
            Err(error) => {
                let remembered = self.recall(&mut lookups);
                self.keep_unusable(&error, asked, lookups, standing);
                without_answer(error, newer(copied, remembered))
            }
        }
    }

    /// `source = "live"`: each person is asked for, and the answer remembered.
    fn by_memory(&self) -> Result<Found, Problem> {
        let mut lookups = self.open();
        let mut remembered = self.recall(&mut lookups);
        if let Some(found) = self.fresh(&mut remembered) {
            return Ok(found);
        }
        let turn = self.memory.own().and_then(|memory| memory.turn(self.person, self.end));
        if turn.as_ref().is_some_and(|turn| turn.waited) {
            remembered = self.recall(&mut lookups);
            if let Some(found) = self.fresh(&mut remembered) {
                return Ok(found);
            }
        }
        let asked = self.moment();
        match self.ask() {
            Ok((answer, _child)) => Ok(self.keep(answer, asked, lookups, None)),
            Err(error) => {
                self.keep_unusable(&error, asked, lookups, None);
                without_answer(error, remembered)
            }
        }
    }

    /// Takes out what is remembered if it needs no question.
    fn fresh(&self, remembered: &mut Result<Option<Earlier>, StoreError>) -> Option<Found> {
        let fresh = |earlier: &mut Earlier| {
            matches!(earlier, Earlier::Found(_)) && earlier.age() <= self.config.keys.cache_ttl
        };
        match remembered.as_mut().ok()?.take_if(fresh)? {
            Earlier::Found(found) => Some(found),
            Earlier::Unusable(..) => None,
        }
    }

    fn open(&self) -> Opened {
        self.memory.open(&self.directory.scope(), self.end)
    }

    /// What is remembered and may still be served, with its age.
    fn recall(&self, lookups: &mut Opened) -> Result<Option<Earlier>, StoreError> {
        let Ok(open) = &lookups else { return Ok(None) };
        let (heard, asked) = match open.recall(self.person) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(None),
            Err(fault) => {
                // One that is damaged is made anew by the next run.
                let broken = std::mem::replace(lookups, Err(Some(fault)));
                if let (Ok(broken), Err(Some(StoreError::Corrupt(..))), Some(_)) =
                    (broken, &lookups, self.memory.own())
                {
                    broken.discard();
                }
                return Ok(None);
            }
        };
        let (path, now, max_age) = (&self.config.paths.lookups, self.clock.now, self.config.keys.max_age);
        let (uptime, proven) = (clock::uptime(), self.proven());
        match asked.age(now, &uptime, proven.as_ref()) {
            None => {
                let floor = proven.map_or(asked.at, |proven| proven.floor(&uptime).max(asked.at));
                Err(StoreError::ClockBehind(path.clone().into(), floor.since(now)))
            }
            Some(age) if age > max_age => Err(StoreError::Stale(path.clone().into(), age, max_age)),
            Some(age) => Ok(heard.at(now).map(|heard| Earlier::remembered(heard, age))),
        }
    }

    fn keep(&self, answer: Answer, asked: Asked, lookups: Opened, copied: Option<&Known>) -> Found {
        let kept = self.remember(&Heard::new(answer.known.clone(), answer.changes), asked, lookups, copied);
        Found::live(answer).and_fault("memory", kept.err().flatten().as_ref())
    }

    /// Keeps that the directory has answered for certain what is of no use. Should that not be possible, the
    /// next question is asked as if nothing had been said.
    fn keep_unusable(&self, error: &LiveError, asked: Asked, lookups: Opened, copied: Option<&Known>) {
        if let Some(unusable) = error.unusable() {
            let _ = self.remember(&Heard::Unusable(unusable), asked, lookups, copied);
        }
    }

    /// An answer counts from when it was asked for: a slow one may be older than a sync that ended meanwhile. `copied` is
    /// what the copy says, where that is served when nothing later is known.
    fn remember(
        &self,
        heard: &Heard,
        asked: Asked,
        lookups: Opened,
        copied: Option<&Known>,
    ) -> Result<(), Option<StoreError>> {
        if self.memory.own().is_none() {
            return Ok(());
        }
        // A clock that is ahead takes nobody's answer away.
        let reached = self.proven().zip(asked.uptime).map(|(proven, uptime)| proven.floor(&uptime));
        let forget =
            reached.map_or(asked.at, |reached| reached.min(asked.at)).minus(self.config.keys.max_age);
        lookups
            .and_then(|mut lookups| lookups.remember(self.person, heard, asked, forget, copied).map_err(Some))
    }

    /// Now, by both clocks.
    fn moment(&self) -> Asked {
        Asked { at: self.clock.later(), uptime: Some(clock::uptime()) }
    }

    /// What the last sync of the copy knew of the time.
    fn proven(&self) -> Option<Proven> {
        clock::proven(&self.config.paths.keys)
    }

    /// Asks the directory, unless it was found down a moment ago; who said the answer ends while it is kept.
    fn ask(&self) -> Result<(Answer, Child), LiveError> {
        let (path, person) = (&self.config.path, self.person);
        let Some(memory) = self.memory.own() else { return live::ask(path, person, &[], self.end) };
        if let Some(resting) = memory.rest(person, self.clock.later()) {
            return Err(resting);
        }
        let hurried = self.is_hurried();
        let answer = live::ask(path, person, &memory.resting_servers(self.clock.later()), self.end);
        match &answer {
            Ok((Answer { silent, .. }, _)) => {
                memory.unmark(person);
                if !silent.is_empty() {
                    memory.mark_servers(silent, self.clock.later());
                }
            }
            // A lookup that had little time has not shown that the directory is down.
            Err(error) if hurried && error.concerns == Concerns::Everybody => {}
            Err(error) => memory.mark(person, error, self.clock.later()),
        }
        answer
    }

    /// Has less than half of the deadline been left, by waiting for others or on a busy host?
    fn is_hurried(&self) -> bool {
        let whole = u64::try_from(self.config.keys.timeout.as_seconds()).unwrap_or(0);
        self.end.saturating_duration_since(Instant::now()) < Duration::from_secs(whole) / 2
    }
}

/// Which of what the copy and the memory say is the later word; of two that were asked for in
/// the same second the one without keys, else the copy. A clock that is behind either of them tells no
/// age, so neither is trusted then.
fn newer(
    copied: Result<Found, StoreError>,
    remembered: Result<Option<Earlier>, StoreError>,
) -> Result<Option<Earlier>, StoreError> {
    match (copied, remembered) {
        (Err(fault @ StoreError::ClockBehind(..)), _) | (Ok(_), Err(fault @ StoreError::ClockBehind(..))) => {
            Err(fault)
        }
        (Ok(found), Ok(Some(earlier))) if earlier.is_after(&found) => Ok(Some(earlier)),
        (Ok(found), _) => Ok(Some(Earlier::Found(found))),
        (Err(_), Ok(Some(earlier))) => Ok(Some(earlier)),
        (Err(fault), _) => Err(fault),
    }
}
