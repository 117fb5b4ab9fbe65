//! Why a sync published nothing, or only who is eligible.

use std::fmt;

use host::accounts::OwnerError;
use publish::PublishError;
use store::StoreError;

use super::Again;
use super::outcome::{Outcome, without_addresses};

/// Why nothing was published.
#[derive(Debug)]
pub enum SyncError {
    /// The configuration names no source or no directory.
    NothingToDo(&'static str),
    /// This process cannot become the user whom the roster belongs to.
    Owner(OwnerError),
    /// The key copy, which maps people, is not to be trusted.
    People(StoreError),
    /// No schedule could be read; what became of each, and of what stands.
    NothingRead(Vec<Outcome>, Again),
    /// `--accept` names what there is not.
    NothingToAccept(String),
    /// Another sync is at work, or this one cannot take the lock.
    Lock(PublishError),
    /// A file of `[[policy.rego]]` is not understood, or could not be asked.
    Rego(String),
    /// The roster could not be written.
    Store(StoreError),
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToDo(what) => f.write_str(what),
            Self::Owner(error) => error.fmt(f),
            Self::NothingToAccept(what) => f.write_str(what),
            Self::People(error) => write!(f, "the copy of the directory cannot be used, nothing published: {error}"),
            // What became of each schedule stands in lines of its own.
            Self::NothingRead(_, Again { is_published: true, .. }) => f.write_str(
                "no schedule was read; the old shifts are published again, with the people who are eligible now",
            ),
            Self::NothingRead(..) => f.write_str("no schedule was read, nothing published"),
            Self::Lock(error) => error.fmt(f),
            Self::Rego(problem) => write!(
                f,
                "{problem}; nothing is published, and the roster stays as it was made by what was there before"
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SyncError {}

impl SyncError {
    /// All of it for the log, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.told(Outcome::to_string)
    }

    /// The same for files and answers that anybody reads.
    pub fn public(&self) -> String {
        match self {
            Self::NothingRead(..) => self.told(Outcome::public).join("\n"),
            other => without_addresses(&other.to_string()),
        }
    }

    fn told(&self, outcome: fn(&Outcome) -> String) -> Vec<String> {
        let outcomes = if let Self::NothingRead(outcomes, _) = self { outcomes.as_slice() } else { &[] };
        outcomes.iter().map(outcome).chain([self.to_string()]).collect()
    }
}
