//! `end`, for the timer of that name: looks each minute at the sessions that are open, and does about those whose right has
//! ended what `[policy.end]` says: it records them, or warns whoever sits there and ends them.
//!
//! What follows for a session is decided in `policy::ending`. What that needs to remember is in a file of root's beside the
//! record of decisions. It is written before anything is done: where it cannot be, nothing is.

mod terminal;
mod words;
mod written;

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{Config, accounts, clock};
use policy::Timestamp;
use policy::ending::{Cause, Ends, Means, Memory, Outcome, Remembered};
use publish::{PublishError, SyncLock};
use record::{Record, Sessions};
use state::{Asked, HostState, Which};

use super::sessions::ending::{self, Ended, How, Order};
use super::sessions::processes::{self, Process};
use super::sessions::right::{Court, Right};
use crate::said::{CANNOT_TELL, Said};
pub use written::is_watching;

/// For how long what was found is acted upon: to tell many terminals takes a while.
const FRESH: Duration = Duration::from_secs(60);

/// Looks once.
pub fn run(path: &Path, now: Timestamp) -> Said {
    if !accounts::is_root() {
        return Said::failure(CANNOT_TELL, "only root may look at open sessions; use sudo");
    }
    // Most of the time on most hosts.
    let sessions = Sessions::of_this_host();
    if sessions.are_none() {
        return Said::default();
    }
    match look(path, &sessions, now) {
        Ok(problems) if problems.is_empty() => Said::default(),
        Ok(problems) => Said::default().notes(problems).exit(CANNOT_TELL),
        Err(problem) => Said::failure(CANNOT_TELL, format_args!("nothing was done: {problem}")),
    }
}

/// What could not be done.
///
/// # Errors
/// Nothing was done; why.
fn look(path: &Path, sessions: &Sessions, now: Timestamp) -> Result<Vec<String>, String> {
    let open = sessions.open_now().map_err(|error| format!("{}: {error}", Sessions::DIRECTORY))?;
    let (records, _) = open;
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut state = HostState::load(path);
    state.read_roster(Asked::Everything, now, now);
    state.read_grants(Which::All, now);
    let config = state.config().map_err(|error| error.to_string())?;
    let file = memory_file(config);
    let _lock = SyncLock::take(&file).map_err(|error| match error {
        PublishError::Busy(lock) => format!("another one is at it (it holds {})", lock.display()),
        error @ PublishError::Write(..) => error.to_string(),
    })?;
    let before = remembered(&file);
    let mut memory = Memory { sessions: [].into(), ..before.clone() };
    let since = memory.since(config.end.action, changed(config, now));
    if is_watching(&state, now) {
        memory.watching = memory.watching.or(Some(now));
    }
    let processes = processes::all();
    let court = Court::new(&state, (&records, &processes), since, now);
    let judged: Vec<Judged<'_>> = records.iter().map(|record| Judged::new(&court, record, &before)).collect();
    // As if nothing was told yet.
    judged.iter().for_each(|one| memory.keep(&one.record.id, one.untold()));
    write(&file, &memory, &before)?;
    let (undone, mut problems) = (memory.clone(), Vec::new());
    let mut take = |one: &Judged<'_>, outcome: Result<Remembered, String>| match outcome {
        Ok(after) => memory.keep(&one.record.id, after),
        Err(problem) => problems.push(problem),
    };
    let mut due = Vec::new();
    // What was opened last may be in what was opened before.
    for one in judged.iter().rev() {
        match one.outcome {
            Outcome::Due(means, cause) => due.push((one, means, cause)),
            _ => take(one, one.act(&court)),
        }
    }
    match end(due, &court) {
        Ok(outcomes) => outcomes.into_iter().for_each(|(one, outcome)| take(one, outcome)),
        Err(problem) => problems.push(problem),
    }
    problems.extend(write(&file, &memory, &undone).err());
    Ok(problems)
}

/// A session, and what follows for it.
struct Judged<'a> {
    record: &'a Record,
    right: Right,
    outcome: Outcome,
    before: Remembered,
    after: Remembered,
}

impl<'a> Judged<'a> {
    fn new(court: &Court<'_>, record: &'a Record, memory: &Memory) -> Self {
        let right = Right::of(record, court.state, court.moment.at);
        let before = memory.of(&record.id);
        let (outcome, after) = court.judge(record, &right, &before);
        Self { record, right, outcome, before, after }
    }

    /// What is to be remembered if what follows is not done.
    fn untold(&self) -> Remembered {
        let Remembered { warned, is_told, .. } = self.before;
        match self.outcome {
            Outcome::WouldEnd(..) | Outcome::Warn(_) => Remembered { warned, is_told, ..self.after },
            Outcome::Stays(_) | Outcome::Listed(_) | Outcome::Due(..) => self.after,
        }
    }

    /// Does what follows, other than to end it; what is to be remembered then.
    ///
    /// # Errors
    /// What could not be done.
    fn act(&self, court: &Court<'_>) -> Result<Remembered, String> {
        let now = court.moment.at;
        match (self.outcome, &self.right.decision) {
            (Outcome::WouldEnd(means, cause), Some(decision)) => {
                if self.would_end(court, means).ended.is_empty() {
                    return Ok(Remembered { is_told: self.before.is_told, ..self.after });
                }
                written::would_end(court.state, self.record, decision, cause, now)?;
            }
            (Outcome::Warn(ends), _) if !self.warn(court, &ends) => {
                return Ok(Remembered { warned: self.before.warned, ..self.after });
            }
            _ => {}
        }
        Ok(self.after)
    }

    /// Tells whoever sits in it, on each terminal of what would be ended; where there is none, the log alone. That a
    /// terminal takes nothing keeps no session: it may be stopped for days. `false`: nothing would be ended as it is now,
    /// so nobody was told, and is to be when that changes.
    fn warn(&self, court: &Court<'_>, ends: &Ends) -> bool {
        let ended = self.would_end(court, ends.means).ended;
        if ended.is_empty() {
            return false;
        }
        let line = words::warning(self.record, self.right.decision.as_ref(), ends, court.moment.at);
        let owners = self.owners(court);
        let told = self.seats(court, &ended).into_iter().map(|seat| terminal::tell(seat, &owners, &line));
        let told: Vec<Result<(), String>> = told.collect();
        let untold: Vec<String> = told.iter().filter_map(|one| one.clone().err()).collect();
        let terminals = told.iter().filter(|one| one.is_ok()).count();
        written::warned(self.record, ends, terminals, &untold.join("; "));
        true
    }

    fn would_end(&self, court: &Court<'_>, means: Means) -> Ended {
        let due = [(self.record, how(means))];
        ending::would_end(&due, court.records, court.state.rules()).pop().unwrap_or_default()
    }

    /// The process at each terminal of it: the one that holds the session, where that has a terminal, or what would be
    /// `ended`.
    fn seats<'c>(&self, court: &Court<'c>, ended: &[Process]) -> Vec<&'c Process> {
        let with_terminal = |pid: u32| court.processes.get(&pid).filter(|process| process.terminal.is_some());
        if let Some(holder) = self.record.pid.and_then(with_terminal) {
            return vec![holder];
        }
        let mut met = BTreeSet::new();
        let seats = ended.iter().filter_map(|process| with_terminal(process.pid));
        seats.filter(|process| met.insert(process.terminal)).collect()
    }

    /// Who may be the owner of a terminal of it.
    fn owners(&self, court: &Court<'_>) -> Vec<u32> {
        let entered = accounts::facts(&self.record.account, &[]).uid;
        let holder = self.record.pid.and_then(|pid| court.processes.get(&pid));
        let acts = holder.map(|process| process.uid);
        [self.record.caller, self.record.loginuid, entered, acts].into_iter().flatten().collect()
    }

    /// Writes down that it was ended; what is to be remembered then. What is at work there is waited for, at the next runs.
    ///
    /// # Errors
    /// What could not be written.
    fn write_down(&self, court: &Court<'_>, ended: &Ended, cause: Cause) -> Result<Remembered, String> {
        if ended.held().is_some() {
            return Ok(Remembered { held: self.after.held.or(Some(court.moment)), ..self.after });
        }
        if !ended.ended.is_empty() {
            let order = Order { cause: written::cause(cause), by: "", why: "" };
            ending::write_down(court.state, self.record, ended, order, court.moment.at)?;
        }
        Ok(self.after)
    }
}

/// A session that is to be ended, how, and why.
type Due<'j> = (&'j Judged<'j>, Means, Cause);

/// What is to be remembered of one then, or what could not be done.
type After<'j> = (&'j Judged<'j>, Result<Remembered, String>);

/// Ends these, all at once: to end one that withstands takes many seconds, and each is to end within three minutes of its
/// instant.
///
/// # Errors
/// Which sessions are open cannot be told: none was ended.
fn end<'j>(due: Vec<Due<'j>>, court: &Court<'_>) -> Result<Vec<After<'j>>, String> {
    // Who is on call may have changed while others were told: then the next run looks again.
    let is_fresh = clock::uptime().after(&court.moment.uptime).is_some_and(|passed| passed <= FRESH);
    let (open, _) = Sessions::of_this_host().open_now().map_err(|error| error.to_string())?;
    let is_open = |one: &Judged<'_>| is_fresh && open.iter().any(|record| record.id == one.record.id);
    let (due, others): (Vec<Due<'_>>, Vec<Due<'_>>) = due.into_iter().partition(|(one, ..)| is_open(one));
    let orders: Vec<(&Record, How)> = due.iter().map(|(one, means, _)| (one.record, how(*means))).collect();
    let ended = ending::end(&orders, &open, court.state.rules());
    let written = due.into_iter().zip(&ended);
    let written = written.map(|((one, _, cause), ended)| (one, one.write_down(court, ended, cause)));
    Ok(written.chain(others.into_iter().map(|(one, ..)| (one, Ok(one.after)))).collect())
}

fn how(means: Means) -> How {
    match means {
        Means::HangUp => How::Hangup,
        Means::Kill => How::Kill,
    }
}

/// Where it is remembered what was seen.
pub fn memory_file(config: &Config) -> PathBuf {
    config.ending()
}

/// What is remembered; what others could have written, or is not understood, is nothing.
pub fn remembered(file: &Path) -> Memory {
    let text = record::open(file).and_then(|file| {
        let mut text = String::new();
        file.take(Memory::LONGEST).read_to_string(&mut text).map(|_| text)
    });
    text.ok().and_then(|text| Memory::parse(&text)).unwrap_or_default()
}

/// When the configuration was written last: each of its settings is in force since then at least. By the time of change,
/// which nobody can choose.
pub fn changed(config: &Config, now: Timestamp) -> Timestamp {
    let changed = std::fs::metadata(&config.path).map(|metadata| Timestamp::from_unix(metadata.ctime()));
    changed.map_or(now, |changed| changed.min(now))
}

fn write(file: &Path, memory: &Memory, before: &Memory) -> Result<(), String> {
    if memory == before {
        return Ok(());
    }
    let text = memory.to_string();
    publish::replace(file, 0o600, |file| std::fs::write(file, &text)).map_err(|error| error.to_string())
}
