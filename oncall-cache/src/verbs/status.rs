//! `status`: how well this host knows who is on call, for people, programs and monitoring.

mod json;
mod nagios;
mod prometheus;
mod table;

use std::path::Path;

use approval::Mark;
use host::FileError;
use policy::Timestamp;
use serde_json::json;
use state::{Asked, HostState, StateError, Which};
use status::{Status, SyncStatus};
use store::StoreError;

use crate::cli::StatusArguments;
use crate::said::{CANNOT_TELL, Said};

/// The status, in the form that was asked for.
pub fn run(path: &Path, arguments: &StatusArguments, at: Timestamp) -> Said {
    let mut state = HostState::load(path);
    state.read_roster(Asked::Everything, at, at);
    state.read_grants(Which::All, at);
    let config = match state.config() {
        Ok(config) => config,
        Err(problem) => return without_config(&state, problem, arguments, at),
    };
    if let (true, Err(problem)) = (arguments.nagios, state.roster())
        && is_denied(problem)
    {
        return unknown_to_nagios(&problem.to_string());
    }
    let report = SyncStatus::read(&status::path(config));
    let status = Status::new(&state, config, &report, at);
    let said = if arguments.json {
        Said::json(&json::json(&status))
    } else if arguments.prometheus {
        let standing = approval::standing(config, &Mark::path(), at);
        Said::text(prometheus::prometheus(&status, &standing))
    } else if arguments.nagios {
        Said::text(nagios::nagios(&status))
    } else {
        Said::text(table::table(&status))
    };
    said.exit(status.health().code())
}

/// What a monitoring system reads and knows is not what a shell does.
pub fn wrong_usage_under_nagios() -> Said {
    unknown_to_nagios("wrong usage; see oncall-cache status --help")
}

fn unknown_to_nagios(problem: &str) -> Said {
    Said::text(nagios::unknown(problem)).exit(nagios::UNKNOWN)
}

/// May this user alone not read it?
fn is_denied(problem: &StateError) -> bool {
    match problem {
        StateError::Config(FileError::File(refusal)) | StateError::Roster(StoreError::Untrusted(refusal)) => {
            refusal.is_denied()
        }
        _ => false,
    }
}

/// Guarded logins are refused while the configuration cannot be read; or this user alone may not read it.
fn without_config(
    state: &HostState,
    problem: &StateError,
    arguments: &StatusArguments,
    at: Timestamp,
) -> Said {
    if arguments.nagios {
        if is_denied(problem) {
            return unknown_to_nagios(&problem.to_string());
        }
        return Said::text(nagios::critical(&problem.to_string())).exit(CANNOT_TELL);
    }
    let said = if arguments.json {
        Said::json(
            &json!({ "version": 1, "at": at.to_string(), "health": "not-believed", "message": problem.to_string() }),
        )
    } else if arguments.prometheus {
        Said::text(prometheus::unknown())
    } else {
        // A pause holds without a configuration: then nobody is refused.
        status::mode::of(state, at).map_or_else(Said::default, Said::text)
    };
    said.note(format_args!("cannot tell: {problem}")).exit(CANNOT_TELL)
}

#[cfg(test)]
mod tests;
