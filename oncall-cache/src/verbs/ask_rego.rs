//! `ask-rego`: what `sync` starts to ask the files of `[[policy.rego]]`. It has no use for people.

use crate::narrow;
use crate::said::{CANNOT_TELL, Said};

/// Answers the job on standard input.
pub fn run() -> Said {
    match narrow::answer() {
        Ok(()) => Said::default(),
        Err(problem) => Said::failure(CANNOT_TELL, problem),
    }
}
