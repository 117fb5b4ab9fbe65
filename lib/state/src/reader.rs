//! The roster read part by part: for an answer about many people, who need not all be held in memory at once.

use std::rc::Rc;

use policy::{Evidence, Principal, Roster, Timestamp};
use store::roster::RosterFile;

use crate::{HostState, Known, Others, StateError};

/// The roster of a host, all of one publication. Each read takes the place of the one before.
#[derive(Debug)]
pub struct RosterReader<'s> {
    state: &'s HostState,
    file: Box<RosterFile>,
    now: Timestamp,
}

impl<'s> RosterReader<'s> {
    pub(crate) fn new(state: &'s HostState, file: Box<RosterFile>, now: Timestamp) -> Self {
        Self { state, file, now }
    }

    /// Reads what the roster says of these people, and of others who are on call.
    ///
    /// # Errors
    /// What is read of it is damaged.
    pub fn read(&mut self, people: &[Principal], others: Others<'_>) -> Known<()> {
        self.state.read_part(&mut self.file, people, others, self.now, self.now)
    }

    /// Up to `most` people who may become root, in the order of their names: the first ones, or those `after` somebody.
    ///
    /// # Errors
    /// What is read of it is damaged.
    pub fn eligible(&self, after: Option<&Principal>, most: usize) -> Known<Vec<Principal>> {
        self.file.eligible(after, most).map_err(|error| Rc::new(StateError::Roster(error)))
    }

    /// What was read last.
    pub fn roster(&self) -> &Roster {
        self.file.roster()
    }

    /// What a decision about the people who were read last is made from.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence { roster: Ok(self.roster()), ..self.state.evidence() }
    }
}
