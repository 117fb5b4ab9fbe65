//! Who is let in by grants, for those who may know.

use policy::{Granted, Timestamp};
use state::{HostState, StateError};

/// The grants that stand at an instant; or why they are not shown, in words.
pub type Standing<'a> = Result<Vec<&'a Granted>, String>;

/// Those of the grants that `state` was asked for which stand at `at`; `None` on a host that takes none.
pub fn standing(state: &HostState, at: Timestamp) -> Option<Standing<'_>> {
    state.config().ok().filter(|config| config.rules.takes_grants())?;
    Some(match unshown(state) {
        None => Ok(state.grants().iter().filter(|grant| grant.window.contains(at)).collect()),
        Some(problem) => Err(problem),
    })
}

/// Why it cannot be said which grants stand, where that was asked.
pub fn unshown(state: &HostState) -> Option<String> {
    state.grants_problem().map(|problem| match problem {
        StateError::Grants(..) => format!("not shown: {problem}; root may read them"),
        problem => format!("none counts: {problem}"),
    })
}
