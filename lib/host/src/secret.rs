//! Secrets are files that the configuration names; their content reaches no error and no log.

use std::fmt;
use std::path::Path;

use trust::{Owner, Refusal};

/// Where systemd puts what it passes to units, a directory for each.
pub const CREDENTIALS: &str = "/run/credentials";

/// The longest secret of one line, in bytes.
const LONGEST: u64 = 4096;

/// The longest private key in PEM; RSA of 8,192 bits has 6.5 kB.
const LONGEST_KEY: u64 = 16 * 1024;

/// One secret: a password or a token. Prints as nothing.
#[derive(Clone)]
pub struct Secret(String);

/// Why there is no secret.
#[derive(Debug)]
pub enum SecretError {
    /// The file is absent, unreadable, or others could have read or written it.
    File(Refusal),
    /// The file holds something else than one line of printable text.
    Content(std::path::PathBuf),
    /// The file should hold a private key, and does not.
    NoKey(std::path::PathBuf),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(refusal) => refusal.fmt(f),
            Self::Content(path) => write!(f, "{}: must hold one line of printable ASCII", path.display()),
            Self::NoKey(path) => {
                write!(f, "{}: holds no private key in PEM without a passphrase", path.display())
            }
        }
    }
}

impl std::error::Error for SecretError {}

impl Secret {
    /// Reads the secret in `path`: root's file, not writable by others, not readable by the world. What systemd passes
    /// may belong to the unit's user, as the directory does.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let bytes = trust::read_secret(path, owner(path), LONGEST).map_err(SecretError::File)?;
        let text = String::from_utf8(bytes).map_err(|_| SecretError::Content(path.to_path_buf()))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        if text.is_empty() || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(SecretError::Content(path.to_path_buf()));
        }
        Ok(Self(text.to_string()))
    }

    /// Reads the private key in `path`, in PEM; the file is judged as in [`Secret::read`].
    pub fn read_key(path: &Path) -> Result<Self, SecretError> {
        let bytes = trust::read_secret(path, owner(path), LONGEST_KEY).map_err(SecretError::File)?;
        String::from_utf8(bytes).map(Self).map_err(|_| SecretError::NoKey(path.to_path_buf()))
    }

    /// The secret itself, for the one request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Who may own the secret in `path`.
fn owner(path: &Path) -> Owner {
    if path.starts_with(CREDENTIALS) { Owner::Service } else { Owner::Root }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
