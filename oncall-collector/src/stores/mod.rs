//! Where a fleet's publication lies: a directory, or a bucket. Names are paths below it, with `/`.
//!
//! `head` is the only name that is ever replaced by something else, and that by compare-and-swap; what is below `o/` is
//! named by the digest of its bytes, and may be written again at any time.

mod directory;
mod s3;

use std::fmt;
use std::path::Path;

use fleet::Digest;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, User, access, geteuid};
use policy::Timestamp;

use crate::config::{Config, StoreConfig};
pub use directory::Directory;
pub use s3::{S3, S3Config, S3Section};

/// The head.
pub const HEAD: &str = "head";

/// Below it, the objects.
pub const OBJECTS: &str = "o/";

/// Below it, heads that named other objects than the one before: a record of what was published when.
pub const PAST: &str = "h/";

/// The most names of one kind that a store may have.
pub const MOST_NAMES: usize = 1_000_000;

/// The name of an object.
pub fn object(digest: &Digest) -> String {
    format!("{OBJECTS}{digest}")
}

/// The name of a head in the record.
pub fn past(sequence: u64) -> String {
    format!("{PAST}{sequence}")
}

/// What a store does for a publisher.
pub trait Store {
    /// What is at `name`, if that is no more than `largest` bytes; `None`: nothing.
    ///
    /// # Errors
    /// The store does not answer, or has more than that.
    fn get(&self, name: &str, largest: u64) -> Result<Option<Found>, StoreError>;

    /// By what the store knows what is at `name`, however much that is: the same as [`Store::get`] finds; `None`: nothing.
    ///
    /// # Errors
    /// The store does not answer.
    fn version(&self, name: &str) -> Result<Option<Version>, StoreError>;

    /// Writes `bytes` to `name`, so that readers see them whole, and whoever sees what is put later sees them too.
    ///
    /// # Errors
    /// The store did not take them.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// The same if `name` still has what was found there as `expected`, or still has nothing. Was it so?
    ///
    /// # Errors
    /// The store did not take them, or it is not known whether it did.
    fn put_if(&self, name: &str, bytes: &[u8], expected: Option<&Version>) -> Result<bool, StoreError>;

    /// What is below `prefix`, in any order.
    ///
    /// # Errors
    /// The store does not answer, or has more than [`MOST_NAMES`].
    fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// Takes `name` away; nothing, if there is none.
    ///
    /// # Errors
    /// The store did not do it.
    fn delete(&self, name: &str) -> Result<(), StoreError>;
}

/// What a store had at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// By which the store knows it again.
    pub version: Version,
    /// What time it was by the store's clock, if it has one.
    pub date: Option<Timestamp>,
}

/// By which a store knows what is at a name: a bucket's ETag, or a digest of what it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// A name that a store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole name.
    pub name: String,
    /// How many bytes are there.
    pub size: u64,
    /// When they were last written, by the store's clock.
    pub modified: Timestamp,
}

/// Why a store was of no use.
#[derive(Debug)]
pub enum StoreError {
    /// Another publisher is at work in it; its lock.
    Busy(publish::PublishError),
    /// It has something that is larger than anything that belongs there; where, and the limit in bytes.
    TooLarge(String, u64),
    /// It failed; where, and what it said.
    Failed(String, String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(error) => error.fmt(f),
            Self::TooLarge(place, limit) => write!(f, "{place}: larger than {limit} bytes; not read"),
            Self::Failed(place, what) => write!(f, "{place}: {what}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// What it is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To look at it.
    Read,
    /// To publish.
    Write,
}

/// Sees that this process may write into `root`; the lock there would only say that it cannot be opened.
///
/// # Errors
/// It may not; what to do about it.
pub fn check_writable(root: &Path) -> Result<(), StoreError> {
    let advice = match access(root, AccessFlags::W_OK | AccessFlags::X_OK) {
        Err(Errno::EACCES) => {
            let user = User::from_uid(geteuid()).ok().flatten().map_or_else(|| geteuid().to_string(), |user| user.name);
            format!("{user}, as which this runs, cannot write there; chown -R {user} it")
        }
        Err(Errno::EROFS) => {
            "read-only; if that is by the unit, add ReadWritePaths= in a drop-in for oncall-collector-publish.service"
                .to_string()
        }
        // What else is wrong shows when it is opened.
        _ => return Ok(()),
    };
    Err(StoreError::Failed(root.display().to_string(), advice))
}

/// The store that the configuration names.
///
/// # Errors
/// It cannot be used.
pub fn open(config: &Config, wanted: Access) -> Result<Box<dyn Store>, StoreError> {
    match &config.store {
        StoreConfig::Directory(root) => {
            if wanted == Access::Write {
                check_writable(root)?;
            }
            Ok(Box::new(Directory::open(root, wanted)?))
        }
        StoreConfig::S3(bucket) => Ok(Box::new(S3::open(bucket, &config.state, wanted)?)),
    }
}
