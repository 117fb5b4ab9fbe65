//! Why a copy is not believed, or could not be written.

use std::fmt;
use std::path::PathBuf;

use policy::{Fault, Span};

/// Why a copy is not believed, or could not be written.
#[derive(Debug)]
pub enum StoreError {
    /// There is no such file.
    Missing(PathBuf),
    /// Others could have written it, or the system does not let it be read.
    Untrusted(trust::Refusal),
    /// It is not one of ours, or damaged; what was found.
    Corrupt(PathBuf, String),
    /// A form that this release does not read; its number.
    Version(PathBuf, i64),
    /// Older than allowed: its age and the limit.
    Stale(PathBuf, Span, Span),
    /// Its stamp lies in the future; by how much.
    Future(PathBuf, Span),
    /// It was made from another directory than the configuration names.
    OtherDirectory(PathBuf),
    /// Another sync holds the lock.
    Busy(PathBuf),
    /// It could not be written; what failed.
    Write(PathBuf, String),
}

impl StoreError {
    /// The same for a decision.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Missing(_) => Fault::Missing,
            Self::Untrusted(_) => Fault::Untrusted,
            Self::Corrupt(..) | Self::Busy(_) | Self::Write(..) => Fault::Corrupt,
            Self::Version(..) => Fault::Version,
            Self::Stale(..) | Self::OtherDirectory(_) => Fault::Stale,
            Self::Future(..) => Fault::ClockRollback,
        }
    }

    pub(crate) fn from_trust(refusal: trust::Refusal) -> Self {
        if refusal.is_missing() { Self::Missing(refusal.path) } else { Self::Untrusted(refusal) }
    }

    pub(crate) fn corrupt(path: &std::path::Path, what: impl fmt::Display) -> Self {
        Self::Corrupt(path.to_path_buf(), what.to_string())
    }

    pub(crate) fn write(path: &std::path::Path, what: impl fmt::Display) -> Self {
        Self::Write(path.to_path_buf(), what.to_string())
    }
}

/// The program that writes a file, by the file's name.
fn writer(path: &std::path::Path) -> &'static str {
    match path.file_name().and_then(|name| name.to_str()) {
        Some("roster.db") => "oncall-cache sync",
        Some("lookups.db") => "authkeys",
        _ => "authkeys-sync",
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "no {}; run `{}`", path.display(), writer(path)),
            Self::Untrusted(refusal) => refusal.fmt(f),
            Self::Corrupt(path, what) => {
                write!(f, "{} is damaged or not ours; run `{}`: {what}", path.display(), writer(path))
            }
            Self::Version(path, found) => write!(
                f,
                "{} has form {found}, which this release does not read; run `{}`",
                path.display(),
                writer(path)
            ),
            Self::Stale(path, age, limit) => {
                write!(f, "{} is {age} old, limit {limit}; run `{}`", path.display(), writer(path))
            }
            Self::Future(path, ahead) => write!(
                f,
                "{} was written {ahead} in the future; set this host's clock, or run `{}`",
                path.display(),
                writer(path)
            ),
            Self::OtherDirectory(path) => write!(
                f,
                "{} was made from another directory than [directory] names; run `{}`",
                path.display(),
                writer(path)
            ),
            Self::Busy(path) => write!(
                f,
                "another sync is at work (it holds {}), nothing was done; wait for its end, or run this again then",
                path.display()
            ),
            Self::Write(path, what) => {
                write!(f, "cannot write {}, nothing published: {what}", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {}
