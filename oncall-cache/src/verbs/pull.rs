//! `pull`: brings what the fleet's collector published to this host, and syncs from it; by timer, or as root asks.

use std::path::Path;

use host::Config;
use host::clock::now;
use host::config::Directory;
use host::output::counted;
use mirror::Mirror;
use policy::{Span, Timestamp};

use super::sync::begin;
use crate::cli::PullArguments;
use crate::pull::{self, PullError, Pulled, Stamp};
use crate::said::{CANNOT_TELL, Live, Said};
use crate::sync::{self, Summary, SyncError, SyncLockHeld, SyncOptions};

/// Pulls once, and syncs.
pub fn run(config: &Path, arguments: &PullArguments, live: Live<'_>) -> Said {
    let (lock, config) = match begin(config, live) {
        Ok(begun) => begun,
        Err(problem) => return Said::failure(CANNOT_TELL, problem),
    };
    let now = now();
    match pull_and_sync(&lock, &config, arguments.now, now, live) {
        Err(error) => Said::failure(CANNOT_TELL, error),
        Ok((pulled, outcome)) => {
            let said = Said::default().notes(&pulled.notes).then(told(&pulled, now));
            match outcome {
                None => said,
                Some(Ok(summary)) => said
                    .notes(summary.notes(now))
                    .then(sync::summarise(&summary.roster, &config, now))
                    .exit(u8::from(!summary.is_whole())),
                Some(Err(SyncError::People(_))) if is_fresh(&config) => said.note(
                    "nobody is known here yet; authkeys-sync takes people over next, and the next pull the rota",
                ),
                Some(Err(problem)) => said.notes(problem.lines()).exit(CANNOT_TELL),
            }
        }
    }
}

/// Has authkeys-sync not seen yet what a first pull brought?
fn is_fresh(config: &Config) -> bool {
    matches!(config.directory, Some(Directory::Fleet(_))) && !config.paths.keys.exists()
}

/// Pulls, and syncs what came of it. Where a source of this host is asked over a network besides, that is left to the
/// timer of `sync` unless there is something new: pulls are ten times as frequent.
///
/// # Errors
/// The pull took nothing over, and nothing was synced.
pub fn pull_and_sync(
    lock: &SyncLockHeld,
    config: &Config,
    at_once: bool,
    now: Timestamp,
    live: Live<'_>,
) -> Result<(Pulled, Option<Result<Summary, SyncError>>), PullError> {
    let mut pulled = pull::pull(lock, config, at_once, now, live)?;
    if let Some(stands) = &pulled.stands {
        match stands.read_again(config, &pulled.head, now) {
            Ok(()) => return Ok((pulled, None)),
            Err(problem) => pulled.notes.push(problem.to_string()),
        }
    }
    let asks_others = config.oncall.sources.iter().any(|source| source.provider.kind().asked);
    let has_sources = !config.oncall.sources.is_empty();
    let outcome = (has_sources && (pulled.is_new || !asks_others))
        .then(|| sync::sync(lock, config, &SyncOptions::default(), now, live));
    let stamp = match &outcome {
        Some(Ok(summary)) => Some(Stamp::of(config, &pulled.head, summary, now)),
        Some(Err(_)) => Some(None),
        None if !has_sources => Some(Stamp::without_rota(config, &pulled.head, now)),
        None => None,
    };
    if let (Some(stamp), Some(fleet)) = (stamp, config.fleet.as_deref())
        && let Err(problem) = Stamp::keep(stamp.as_ref(), &Mirror::at(&fleet.mirror))
    {
        pulled.notes.push(problem.to_string());
    }
    Ok((pulled, outcome))
}

/// `sequence 1795165200000, published 12s ago: 3 objects, 4183 bytes in 4 requests`.
fn told(pulled: &Pulled, now: Timestamp) -> String {
    let Pulled { head, is_new, objects, requests, bytes, .. } = pulled;
    let age = now.since(head.issued).max(Span::seconds(0));
    let what = if *is_new { "taken over" } else { "nothing new" };
    let (objects, requests) = (counted(*objects, "object"), counted(*requests as usize, "request"));
    format!("sequence {}, published {age} ago: {what}; {objects}, {bytes} bytes in {requests}", head.sequence)
}
