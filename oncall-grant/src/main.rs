//! `oncall-grant-accept`: takes grants that people bring to this host, judges them, and keeps those that count; and the
//! reasons that people on call state.
//!
//! It listens on a socket that everybody may connect to, runs as a user of its own, and has no network. What it keeps
//! is judged again by whoever decides about a login, with the signatures: so a fault in here, or somebody who becomes
//! its user, lets nobody in whom no approver has signed for.

#![forbid(unsafe_code)]

mod accept;
mod broken;
mod claim;
mod groups;
mod hold;
mod limits;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

/// sysexits.h's EX_USAGE.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let config = match (arguments.next(), arguments.next(), arguments.next()) {
        (None, ..) => PathBuf::from(host::config::DEFAULT_PATH),
        (Some(word), Some(path), None) if word == "--config" => PathBuf::from(path),
        _ => {
            host::output::complain("oncall-grant-accept", format_args!("usage: [--config FILE]"));
            return ExitCode::from(USAGE);
        }
    };
    match serve::serve(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            host::output::complain("oncall-grant-accept", format_args!("{problem}"));
            ExitCode::FAILURE
        }
    }
}
