//! What is remembered of one sink from one run to the next: a file for each, small, replaced whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use policy::{Principal, Span, Timestamp};
use serde::{Deserialize, Serialize};
use trust::Owner;

use super::Failure;

/// The most that is read of a memory, in bytes; and the most people in one.
const LARGEST: u64 = 1024 * 1024;
const MOST: usize = 1_000;

/// For so long what a run saw is what was just before.
const JUST_BEFORE: Span = Span::hours(24);

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// When it was last known who is on call, in seconds since the epoch.
    pub looked: Option<i64>,
    /// In which turn of this collector that was: the publication with which it began; nothing, without a fleet.
    pub turn: Option<u64>,
    /// Who was shown by the last run that succeeded.
    pub last: Option<Vec<String>>,
    /// Since when nobody is on call, in seconds since the epoch.
    pub empty_since: Option<i64>,
    /// Until when the service wants to be left alone.
    pub not_before: Option<i64>,
    /// What was put where it is by us and by nobody else: members of a group, by how it names them.
    pub placed: Vec<String>,
    /// Which of these are known to have stood there at the end of a run.
    pub stood: Vec<String>,
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

    /// Forgets what is not of just before `at`: somebody else may have told the others meanwhile, as another collector does
    /// between two turns of this one. Whom we put there, we did put there.
    pub fn forget_old(&mut self, turn: Option<u64>, at: Timestamp) {
        let is_recent = |looked: Timestamp| at.since(looked) <= JUST_BEFORE && self.turn == turn;
        if !self.looked.map(Timestamp::from_unix).is_some_and(is_recent) {
            let Self { not_before, placed, changes, .. } = std::mem::take(self);
            *self = Self { not_before, placed, changes, ..Self::default() };
        }
        (self.looked, self.turn) = (Some(at.unix()), turn);
    }

    /// Who was shown last, if that is known.
    pub fn people(&self) -> Option<BTreeSet<Principal>> {
        let last = self.last.as_ref()?;
        Some(last.iter().filter_map(|name| Principal::new(name).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_long_ago_or_before_the_turn_is_not_what_was_just_before() {
        let at = |hours: i64| Timestamp::from_unix(1_795_000_000 + hours * 3600);
        let known = Memory {
            looked: Some(at(0).unix()),
            turn: Some(7),
            last: Some(vec!["alice".into()]),
            empty_since: Some(at(-1).unix()),
            placed: vec!["7".into()],
            stood: vec!["7".into()],
            written: Some("On call: alice".into()),
            changes: 3,
            ..Memory::default()
        };
        for (turn, now, is_known) in [
            (Some(7), at(24), true),
            (Some(7), at(25), false),
            // However soon after: another collector had its turn in between.
            (Some(9), at(0), false),
            (None, at(0), false),
            // A clock that was set back.
            (Some(7), at(-3), true),
        ] {
            let mut memory = known.clone();
            memory.forget_old(turn, now);
            assert_eq!((memory.looked, memory.turn), (Some(now.unix()), turn));
            assert_eq!(memory.last.is_some(), is_known, "{turn:?} {now:?}");
            assert_eq!(memory.empty_since.is_some(), is_known);
            assert_eq!(memory.written.is_some(), is_known);
            assert_eq!((memory.placed.len(), memory.changes), (1, 3), "these are of us, whenever that was");
        }
        let mut first = Memory { last: known.last, ..Memory::default() };
        first.forget_old(None, at(0));
        assert_eq!(first.last, None, "nobody knows when that was");
    }
}
