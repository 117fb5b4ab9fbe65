//! What is remembered of one sink from one run to the next: a file for each, small, replaced whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use policy::Principal;
use serde::{Deserialize, Serialize};
use trust::Owner;

use super::Failure;

/// The most that is read of a memory, in bytes; and the most people in one.
const LARGEST: u64 = 1024 * 1024;
const MOST: usize = 1_000;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Who was shown by the last run that succeeded.
    pub last: Option<Vec<String>>,
    /// Since when nobody is on call, in seconds since the epoch.
    pub empty_since: Option<i64>,
    /// Until when the service wants to be left alone.
    pub not_before: Option<i64>,
    /// What was put where it is by us and by nobody else: members of a group, by how it names them.
    pub placed: Vec<String>,
    /// What was written last, and how the service shows it.
    pub written: Option<String>,
    /// See `written`.
    pub shown: Option<String>,
    /// How often others were on call than before.
    pub changes: u64,
}

fn path(state: &Path, name: &str) -> PathBuf {
    state.join(format!("{name}.json"))
}

impl Memory {
    /// What is remembered of the sink `name`; nothing, before its first run.
    ///
    /// # Errors
    /// It cannot be read or understood: what we placed is not known then, and nothing is changed.
    pub fn read(state: &Path, name: &str) -> Result<Self, Failure> {
        let path = path(state, name);
        let text = match trust::read(&path, Owner::Service, LARGEST) {
            Err(refusal) if refusal.is_missing() => return Ok(Self::default()),
            text => text.map_err(Failure::new)?,
        };
        serde_json::from_slice(&text).map_err(|error| {
            Failure::new(format_args!(
                "{}: not understood: {error}; move it away, and the sink begins anew",
                path.display()
            ))
        })
    }

    /// Keeps it, if it is another than it was.
    ///
    /// # Errors
    /// It is too large, or cannot be written.
    pub fn keep(&self, state: &Path, name: &str) -> Result<(), Failure> {
        if Self::read(state, name).is_ok_and(|kept| kept == *self) {
            return Ok(());
        }
        if self.placed.len().max(self.last.as_ref().map_or(0, Vec::len)) > MOST {
            return Err(Failure::new(format_args!(
                "more than {MOST} people are on call; name fewer `schedules`"
            )));
        }
        let text = serde_json::to_vec(self).unwrap_or_default();
        let fill = |temporary: &Path| fs::write(temporary, &text).map_err(|error| error.to_string());
        publish::replace(&path(state, name), 0o640, fill).map_err(Failure::new)
    }

    /// Who was shown last, if that is known.
    pub fn people(&self) -> Option<BTreeSet<Principal>> {
        let last = self.last.as_ref()?;
        Some(last.iter().filter_map(|name| Principal::new(name).ok()).collect())
    }
}
