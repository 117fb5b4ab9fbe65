//! What a collector keeps on its own disk: the fleet's revocations, how far it has published, copies of the objects. All of
//! it but the revocations can be lost: it is in the store, or is made again.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use fleet::{Digest, Mark};
use host::accounts;
use mirror::MirrorError;
use policy::revocations::{self, Revocations, RevocationsError};
use publish::PublishError;
use serde::{Deserialize, Serialize};
use trust::{Owner, Refusal};

use crate::config::Config;
use crate::draft::BuiltPeople;
use crate::stores::{Access, Directory, StoreError};

/// The largest memory that is read, in bytes.
const LARGEST_MEMORY: u64 = 16 * 1024 * 1024;

/// The directory, held by one process at a time.
#[derive(Debug)]
pub struct Local {
    directory: PathBuf,
    /// Copies of objects.
    pub copies: Directory,
}

/// What is worth remembering from one publication to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// People that need not be built again.
    pub built: Option<BuiltPeople>,
    /// The last sweep, in seconds since the epoch.
    pub swept: Option<i64>,
    /// What is in a pack.
    pub packed: Option<Packed>,
    /// The publication with which the turn of this collector began.
    pub turn: Option<u64>,
}

/// What is in a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// The pack.
    pub pack: Digest,
    /// The objects in it.
    pub holds: BTreeSet<Digest>,
}

/// Why the directory is of no use.
#[derive(Debug)]
pub enum LocalError {
    /// It cannot be used as its owner.
    Owner(String),
    /// It cannot be held.
    Held(StoreError),
    /// The revocations cannot be read, or others could have written them.
    Revocations(Refusal),
    /// They are not understood; where, and why.
    Damaged(PathBuf, RevocationsError),
    /// The mark cannot be read or written.
    Mark(MirrorError),
    /// Something cannot be written.
    Write(PublishError),
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(problem) => f.write_str(problem),
            Self::Held(StoreError::Busy(_)) => f.write_str(
                "another oncall-collector is publishing on this host; try again when it has ended",
            ),
            Self::Held(error) => error.fmt(f),
            Self::Revocations(refusal) => refusal.fmt(f),
            Self::Damaged(path, error) => write!(
                f,
                "{}: {error}; move it away, and what the store has is taken in its place",
                path.display()
            ),
            Self::Mark(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LocalError {}

/// Has the collector whose directory this is a list of revocations, also an empty one?
pub fn has_revocations(directory: &Path) -> bool {
    directory.join("revocations").exists()
}

/// The revocations in `path`; none, if nothing was ever revoked here.
fn revocations(path: &Path) -> Result<Revocations, LocalError> {
    let text = match trust::read(path, Owner::Service, revocations::LARGEST as u64) {
        Err(refusal) if refusal.is_missing() => return Ok(Revocations::none()),
        text => text.map_err(LocalError::Revocations)?,
    };
    let damaged = |error| LocalError::Damaged(path.to_path_buf(), error);
    let text = std::str::from_utf8(&text).map_err(|_| damaged(RevocationsError::Form))?;
    Revocations::parse(text).map_err(damaged)
}

impl Local {
    /// Takes it, as its owner; waits for another process that has it.
    ///
    /// # Errors
    /// It is not there, or not free within half a minute.
    pub fn take(config: &Config) -> Result<Self, LocalError> {
        accounts::become_owner_of(&config.state).map_err(|error| LocalError::Owner(error.to_string()))?;
        let copies = Directory::open(&config.state, Access::Write).map_err(LocalError::Held)?;
        Ok(Self { directory: config.state.clone(), copies })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The fleet's revocations as this collector has them.
    ///
    /// # Errors
    /// They cannot be read, or are not understood: half a list is none.
    pub fn revocations(&self) -> Result<Revocations, LocalError> {
        revocations(&self.path("revocations"))
    }

    /// Has it a list of them, also an empty one?
    pub fn has_revocations(&self) -> bool {
        has_revocations(&self.directory)
    }

    /// Keeps them, if they are others than there were.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn keep_revocations(&self, list: &Revocations) -> Result<(), LocalError> {
        if self.has_revocations() && self.revocations().is_ok_and(|kept| kept == *list) {
            return Ok(());
        }
        self.write("revocations", list.to_string().as_bytes())
    }

    /// How far this collector has published.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn mark(&self) -> Result<Option<Mark>, LocalError> {
        mirror::read_mark(&self.path("mark")).map_err(LocalError::Mark)
    }

    /// Keeps that it has published so far.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_mark(&self, mark: &Mark) -> Result<(), LocalError> {
        mirror::write_mark(&self.path("mark"), mark).map_err(LocalError::Mark)
    }

    /// What is remembered; nothing, if that is not understood.
    pub fn memory(&self) -> Memory {
        let text = trust::read(&self.path("memory.json"), Owner::Service, LARGEST_MEMORY);
        text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Remembers it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember(&self, memory: &Memory) -> Result<(), LocalError> {
        if self.memory() == *memory {
            return Ok(());
        }
        // Neither a key that is no text nor a number that is none is in it.
        self.write("memory.json", &serde_json::to_vec(memory).unwrap_or_default())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), LocalError> {
        let fill = |temporary: &Path| fs::write(temporary, bytes).map_err(|error| error.to_string());
        publish::replace(&self.path(name), 0o640, fill).map_err(LocalError::Write)
    }
}
