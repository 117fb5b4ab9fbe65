//! The highest number that was in force on this host: an older text that comes back is no approval.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    /// The digest of the whole text that had it, so that one number with two heads is told.
    pub digest: String,
}

/// What this host keeps of what was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Nothing was ever in force here.
    Nothing,
    /// This was the highest.
    Highest(Seen),
    /// It is not for this user to know.
    Hidden,
    /// It is there and cannot be believed: what is wrong with it.
    Broken(String),
}

impl Mark {
    /// Where it is kept.
    pub fn path() -> PathBuf {
        FILE.into()
    }

    /// What was seen here.
    pub fn read(path: &Path) -> Self {
        let not_understood = || Self::Broken(format!("{}: not understood", path.display()));
        content(path)
            .map_or_else(|mark| mark, |bytes| parse(&bytes).map_or_else(not_understood, Self::Highest))
    }

    /// The highest number, as far as it is known.
    pub fn number(&self) -> Option<u64> {
        if let Self::Highest(seen) = self { Some(seen.number) } else { None }
    }

    /// Keeps what is in force now, if nothing newer was seen. What is not understood stays: it may have been a higher one.
    ///
    /// # Errors
    /// Text that says what could not be written, or read.
    pub fn keep(path: &Path, signed: &Signed) -> Result<(), String> {
        match Self::read(path) {
            Self::Highest(seen) if signed.number <= seen.number => return Ok(()),
            Self::Nothing | Self::Highest(_) => {}
            Self::Hidden => return Err(format!("{}: it cannot be read", path.display())),
            Self::Broken(problem) => return Err(problem),
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        let write = |new: &Path| {
            let mut file = fs::File::create(new)?;
            writeln!(file, "{} {}", signed.number, signed.text_digest)?;
            file.sync_all()
        };
        publish::replace(path, 0o600, write).map_err(|error| error.to_string())
    }
}

/// What is in the file; or why nothing is.
fn content(path: &Path) -> Result<Vec<u8>, Mark> {
    trust::read_kept(path, LARGEST).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Mark::Nothing,
        io::ErrorKind::PermissionDenied => Mark::Hidden,
        _ => Mark::Broken(format!("{}: {error}", path.display())),
    })
}

fn parse(bytes: &[u8]) -> Option<Seen> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (number, digest) = text.split_once(' ')?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(Seen { number: number.parse().ok()?, digest: digest.to_string() })
}
