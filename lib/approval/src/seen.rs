//! The highest number that was in force on this host: an older text that comes back is no approval.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use trust::Owner;

use crate::Signed;

/// Where it is: root's, and no setting. Whoever changes the configuration does not change what has been seen.
const FILE: &str = "/var/log/authkeys/policy-seen";

/// The largest that is read, in bytes.
const LARGEST: u64 = 256;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The highest number.
    pub number: u64,
    /// The digest of the policy that had it.
    pub digest: String,
}

impl Seen {
    /// Where it is kept.
    pub fn path() -> PathBuf {
        FILE.into()
    }

    /// What was seen here; `None`: nothing, or it is not for this user to know, or not root's.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = trust::read(path, Owner::Root, LARGEST).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (number, digest) = text.trim_end().split_once(' ')?;
        Some(Self { number: number.parse().ok()?, digest: digest.to_string() })
    }

    /// Keeps what is in force now, if nothing newer was seen.
    ///
    /// # Errors
    /// Text that says what could not be written.
    pub fn keep(path: &Path, signed: &Signed) -> Result<(), String> {
        if Self::read(path).is_some_and(|seen| signed.number <= seen.number) {
            return Ok(());
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        let write = |new: &Path| {
            let mut file = fs::File::create(new)?;
            writeln!(file, "{} {}", signed.number, signed.digest)?;
            file.sync_all()
        };
        publish::replace(path, 0o600, write).map_err(|error| error.to_string())
    }
}
