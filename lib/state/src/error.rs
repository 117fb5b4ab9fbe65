//! The one set of faults: why a part of what a host knows is not known.

use std::fmt;
use std::io;
use std::path::PathBuf;

use host::FileError;
use host::orders::OrdersError;
use policy::Fault;
use store::StoreError;
use trust::Refusal;

/// Why a part of what this host knows is not known. Prints as what is wrong and what to do, with the file's name.
#[derive(Debug)]
pub enum StateError {
    /// The configuration cannot be read: nothing that it names is known either.
    Config(FileError),
    /// The configuration is named in words that are not understood; what is wrong with them.
    Misnamed(String),
    /// A file of root's orders tells nothing.
    Orders(OrdersError),
    /// The roster is missing or not trusted.
    Roster(StoreError),
    /// The grants of this host cannot be looked at: the directory, and why.
    Grants(PathBuf, io::Error),
    /// The list of those whose signatures count cannot be read.
    Signers(Refusal),
    /// The roster was not read, because nothing was asked of it.
    NotAsked,
}

impl StateError {
    /// The same for a decision.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Config(_) | Self::Misnamed(_) => Fault::Config,
            Self::Orders(error) => error.fault(),
            Self::Roster(error) => error.fault(),
            // Nothing is decided by it: there are no grants then.
            Self::Grants(..) | Self::Signers(_) | Self::NotAsked => Fault::Missing,
        }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Misnamed(problem) => f.write_str(problem),
            Self::Orders(error) => error.fmt(f),
            Self::Roster(error) => error.fmt(f),
            Self::Grants(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Signers(refusal) => refusal.fmt(f),
            Self::NotAsked => f.write_str("the roster was not read"),
        }
    }
}

impl std::error::Error for StateError {}
