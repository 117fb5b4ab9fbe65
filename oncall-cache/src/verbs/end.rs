//! `end`, for the timer of that name: looks each minute at the sessions that are open, and does about those whose right has
//! ended what `[policy.end]` says. This release records them; it ends nothing.
//!
//! What follows for a session is decided in `policy::ending`. What that needs to remember is in a file of root's beside the
//! record of decisions. It is written before anything is done: where it cannot be, nothing is.

mod written;

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use host::{Config, accounts};
use policy::Timestamp;
use policy::ending::{Memory, Outcome, Remembered};
use publish::{PublishError, SyncLock};
use record::{Record, Sessions};
use state::{Asked, HostState, Which};

use super::sessions::right::{Court, Right};
use crate::said::{CANNOT_TELL, Said};
pub use written::is_watching;

/// The name of the file, beside the record of decisions.
const NAME: &str = "ending";

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
    let court = Court::new(&state, since, now);
    let judged: Vec<Judged<'_>> = records.iter().map(|record| Judged::new(&court, record, &before)).collect();
    // As if nothing was told yet.
    judged.iter().for_each(|one| memory.keep(&one.record.id, one.untold()));
    write(&file, &memory, &before)?;
    let (undone, mut problems) = (memory.clone(), Vec::new());
    for one in &judged {
        match one.act(&state, now) {
            Ok(()) => memory.keep(&one.record.id, one.after),
            Err(problem) => problems.push(problem),
        }
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

    /// # Errors
    /// What could not be done.
    fn act(&self, state: &HostState, now: Timestamp) -> Result<(), String> {
        match (self.outcome, &self.right.decision) {
            (Outcome::WouldEnd(..), Some(decision)) => written::would_end(state, self.record, decision, now),
            // Nobody is warned of an end that does not come: in this release nothing is ended.
            _ => Ok(()),
        }
    }
}

/// Where it is remembered what was seen.
pub fn memory_file(config: &Config) -> PathBuf {
    config.paths.audit.with_file_name(NAME)
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
