//! `sync`: copies the rota to this host; by timer, or as root asks.

use std::path::Path;

use host::Config;
use host::clock::now;
use policy::Timestamp;

use crate::cli::SyncArguments;
use crate::said::{CANNOT_TELL, Live, Said, USAGE};
use crate::sync::{self, Accept, Summary, SyncError, SyncLockHeld, SyncOptions};

/// Syncs once, or says what a sync would change.
pub fn run(config: &Path, arguments: &SyncArguments, live: Live<'_>) -> Said {
    let accept = match &arguments.accept {
        None => Accept::Nothing,
        Some(these) if these.is_empty() => Accept::Everything,
        Some(these) => Accept::These(these.clone()),
    };
    let options = SyncOptions { dry_run: arguments.dry_run, accept };
    let (lock, config) = match begin(config, live) {
        Ok(begun) => begun,
        Err(problem) => return Said::failure(CANNOT_TELL, problem),
    };
    let now = now();
    match sync::sync(&lock, &config, &options, now, live) {
        Ok(summary) => {
            let text = if options.dry_run {
                differences(&summary, now)
            } else {
                sync::summarise(&summary.roster, &config, now)
            };
            Said::default().notes(summary.notes(now)).then(text).exit(u8::from(!summary.is_whole()))
        }
        Err(problem) => {
            let is_usage = matches!(problem, SyncError::NothingToAccept(_));
            Said::default().notes(problem.lines()).exit(if is_usage { USAGE } else { CANNOT_TELL })
        }
    }
}

/// A lock, and the configuration as it is then.
pub(super) fn begin(path: &Path, live: Live<'_>) -> Result<(SyncLockHeld, Config), String> {
    loop {
        let config = Config::load(path).map_err(|error| error.to_string())?.with_credentials();
        let (lock, waited) = SyncLockHeld::wait(&config, live).map_err(|error| error.to_string())?;
        // What was read before a wait is old, and may name another roster.
        if !waited {
            return Ok((lock, config));
        }
    }
}

/// Who would gain and who would lose.
fn differences(summary: &Summary, now: Timestamp) -> String {
    let lines = summary.changes.lines(now);
    if lines.is_empty() { "nothing would change".to_string() } else { lines.join("\n") }
}
