//! Why a copy is not trusted, or could not be written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use policy::{Fault, Span};
use publish::PublishError;

/// A file that one of our programs writes, whatever the configuration calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    path: PathBuf,
    writer: &'static str,
}

impl From<&Path> for Published {
    fn from(path: &Path) -> Self {
        Self { path: path.to_path_buf(), writer: "authkeys-sync" }
    }
}

impl From<PathBuf> for Published {
    fn from(path: PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Why a copy is not trusted, or could not be written.
#[derive(Debug)]
pub enum StoreError {
    /// There is no such file.
    Missing(Published),
    /// Others could have written it, or the system does not let it be read.
    Untrusted(trust::Refusal),
    /// The system fails to read it: nothing is known of what is in it.
    Unreadable(PathBuf, String),
    /// It is not one of ours, or damaged; what was found.
    Corrupt(Published, String),
    /// A form that this release does not read; its number.
    Version(Published, i64),
    /// Older than allowed: its age and the limit.
    Stale(Published, Span, Span),
    /// This host's clock is behind what the last sync left to be seen of the time; by how much.
    ClockBehind(Published, Span),
    /// It was made from another directory than the configuration names.
    OtherDirectory(Published),
    /// It could not be written, or may not be now.
    Publish(PublishError),
}

impl From<PublishError> for StoreError {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl StoreError {
    /// The same for a decision.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Missing(_) => Fault::Missing,
            Self::Untrusted(_) => Fault::Untrusted,
            Self::Unreadable(..) => Fault::Unreadable,
            Self::Corrupt(..) | Self::Publish(_) => Fault::Corrupt,
            Self::Version(..) => Fault::Version,
            Self::Stale(..) | Self::OtherDirectory(_) => Fault::Stale,
            Self::ClockBehind(..) => Fault::ClockRollback,
        }
    }

    pub(crate) fn from_trust(refusal: trust::Refusal) -> Self {
        match &refusal.why {
            trust::Why::Missing => Self::Missing(refusal.path.into()),
            // Who may not read it is another matter: that is for the administrator to fix.
            trust::Why::Unreadable(error) if !refusal.is_denied() => {
                Self::Unreadable(refusal.path.clone(), error.to_string())
            }
            _ => Self::Untrusted(refusal),
        }
    }

    pub(crate) fn corrupt(path: &Path, what: impl fmt::Display) -> Self {
        Self::Corrupt(path.into(), what.to_string())
    }

    /// What reading a file came to: damaged, or not read at all.
    pub(crate) fn reading(path: &Path, error: Box<dyn std::error::Error>) -> Self {
        match error.downcast_ref::<io::Error>() {
            // Shorter than it says is damage.
            Some(failed) if failed.kind() != io::ErrorKind::UnexpectedEof => {
                Self::Unreadable(path.to_path_buf(), failed.to_string())
            }
            _ => Self::corrupt(path, error),
        }
    }

    /// The same where SQLite reads.
    pub(crate) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::SystemIoFailure) => {
                Self::Unreadable(path.to_path_buf(), error.to_string())
            }
            _ => Self::corrupt(path, error),
        }
    }

    /// Somebody else holds what has to be held while `path` is changed.
    pub fn busy(path: &Path) -> Self {
        Self::Publish(PublishError::Busy(path.to_path_buf()))
    }

    pub(crate) fn write(path: &Path, what: impl fmt::Display) -> Self {
        Self::Publish(PublishError::write(path, what))
    }

    /// Of a file that `program` writes; the files of authkeys-sync need not say so.
    pub fn written_by(mut self, program: &'static str) -> Self {
        match &mut self {
            Self::Missing(file)
            | Self::Corrupt(file, _)
            | Self::Version(file, _)
            | Self::Stale(file, ..)
            | Self::ClockBehind(file, _)
            | Self::OtherDirectory(file) => file.writer = program,
            Self::Untrusted(_) | Self::Unreadable(..) | Self::Publish(_) => {}
        }
        self
    }

    /// The same where a command comes `first`, before the one that writes the file.
    pub fn after(self, first: Option<&'static str>) -> Self {
        match first {
            Some(first) => self.written_by(first),
            None => self,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(file) => write!(f, "no {file}; run `{}`", file.writer),
            Self::Untrusted(refusal) => refusal.fmt(f),
            Self::Unreadable(path, what) => {
                write!(
                    f,
                    "{} cannot be read, though its contents may be intact; check the disk: {what}",
                    path.display()
                )
            }
            Self::Corrupt(file, what) => {
                write!(f, "{file} is damaged, or another program's; run `{}`: {what}", file.writer)
            }
            Self::Version(file, found) => {
                write!(f, "{file} has format {found}, which this release cannot read; run `{}`", file.writer)
            }
            Self::Stale(file, age, limit) => {
                write!(f, "{file} is {age} old, limit {limit}; run `{}`", file.writer)
            }
            Self::ClockBehind(file, behind) => write!(
                f,
                "this host's clock is {behind} behind the time that {file} proves; set the clock, or run `{}`",
                file.writer
            ),
            Self::OtherDirectory(file) => write!(
                f,
                "{file} was copied from a directory other than the one in [directory]; run `{}`",
                file.writer
            ),
            Self::Publish(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}
