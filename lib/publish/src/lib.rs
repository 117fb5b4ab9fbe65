//! Replacing a file whole, by one publisher at a time: readers see the old file or the new one, also after a crash.
//!
//! The writing half of what `trust` reads. It knows no format: a text file is replaced as a database is.

#![forbid(unsafe_code)]

mod private;

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollTimeout, poll};
use nix::unistd::geteuid;
use policy::Proven;

pub use private::write_private;

/// Why a file was not replaced, or may not be now.
#[derive(Debug)]
pub enum PublishError {
    /// Another publisher holds this lock.
    Busy(PathBuf),
    /// The file could not be written; what failed.
    Write(PathBuf, String),
}

impl PublishError {
    /// `path` could not be written.
    pub fn write(path: &Path, what: impl fmt::Display) -> Self {
        Self::Write(path.to_path_buf(), what.to_string())
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(lock) => write!(
                f,
                "another sync is running (it holds {}), nothing was done; run this again when it has ended",
                lock.display()
            ),
            Self::Write(path, what) => {
                write!(f, "cannot write {}, nothing published: {what}", path.display())
            }
        }
    }
}

impl std::error::Error for PublishError {}

/// Held by one sync at a time, from before it fetches until it has published: what was fetched earlier
/// must not replace what was fetched later.
#[derive(Debug)]
pub struct SyncLock {
    _file: File,
}

impl SyncLock {
    /// The longest that [`SyncLock::wait`] waits.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// Takes the lock that belongs to the published file `path`, when its holder has ended; `tell` is called if that
    /// is not at once. Whatever was read before may be old then.
    pub fn wait(path: &Path, tell: impl FnOnce()) -> Result<Self, PublishError> {
        let mut outcome = Self::take(path);
        if matches!(outcome, Err(PublishError::Busy(_))) {
            tell();
        }
        let start = Instant::now();
        while matches!(outcome, Err(PublishError::Busy(_))) && start.elapsed() < Self::PATIENCE {
            // A lock can be waited for without end, or asked for now and then.
            let _ = poll(&mut [], PollTimeout::from(100_u8));
            outcome = Self::take(path);
        }
        outcome
    }

    /// Takes the lock that belongs to the published file `path`; does not wait.
    pub fn take(path: &Path) -> Result<Self, PublishError> {
        let name = path.with_extension("lock");
        // No link is followed: a sync that somebody runs as root must not touch what one points to.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&name)
            .map_err(|error| PublishError::write(&name, closed(&name, &error)))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(PublishError::Busy(name)),
            Err(TryLockError::Error(error)) => Err(PublishError::write(&name, error)),
        }
    }
}

/// Why a lock could not be opened, and what to do about it.
fn closed(lock: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    let directory = lock.parent().unwrap_or(Path::new("/"));
    let is_ours = fs::metadata(directory).is_ok_and(|metadata| metadata.uid() == geteuid().as_raw());
    if !is_ours || !lock.exists() {
        return format!("{error}; run it with sudo");
    }
    // As a backup leaves it that root brings back.
    let (directory, lock) = (directory.display(), lock.display());
    format!("{error}; it should belong to its directory's owner: sudo chown --reference={directory} {lock}")
}

/// Replaces `path` by what `build` writes into the empty file it is given. The new file gets `mode` and the
/// group of its directory; its owner is the caller, who must be the directory's. On any error the old file
/// stays as it is.
pub fn replace<E: fmt::Display>(
    path: &Path,
    mode: u32,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), PublishError> {
    place(path, mode, build)?;
    sync_directory(path).map_err(|error| PublishError::write(path, error))
}

/// The same, for one of many files of a directory: their names last after a crash once [`sync_directory`] has returned,
/// which is half of what each file costs.
pub fn place<E: fmt::Display>(
    path: &Path,
    mode: u32,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), PublishError> {
    let temporary = temporary_name(path);
    let outcome = fill(&temporary, mode, build)
        .and_then(|()| fs::rename(&temporary, path).map_err(|error| error.to_string()));
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome.map_err(|what| PublishError::write(path, what))
}

/// Writes beside the copy at `path` what its sync knows of the time; with the permissions of the copy.
pub fn prove(path: &Path, mode: u32, proven: &Proven) -> Result<(), PublishError> {
    replace(&clock::beside(path), mode, |temporary| fs::write(temporary, proven.to_string()))
}

/// One name is enough: the lock keeps other syncs away, and what a killed sync left is removed.
fn temporary_name(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn fill<E: fmt::Display>(
    temporary: &Path,
    mode: u32,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary).map_err(text)?;
    build(temporary).map_err(|error| error.to_string())?;
    // The directory's group is the one whose members may read what is published in it.
    let group = fs::metadata(temporary.parent().unwrap_or(Path::new("/"))).map_err(text)?.gid();
    if file.metadata().map_err(text)?.gid() != group {
        fchown(&file, None, Some(group)).map_err(text)?;
    }
    file.set_permissions(Permissions::from_mode(mode)).map_err(text)?;
    file.sync_all().map_err(text)
}

/// Makes what changed in the directory of `path` last.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sync_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("roster.db");
        let first = SyncLock::take(&path).unwrap();
        assert!(matches!(SyncLock::take(&path), Err(PublishError::Busy(_))));
        drop(first);
        assert!(SyncLock::take(&path).is_ok());
    }

    #[test]
    fn on_an_error_the_old_file_stays_and_nothing_lies_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revoked");
        let text =
            |text: &'static str| move |file: &Path| fs::write(file, text).map_err(|error| error.to_string());
        replace(&path, 0o644, text("old")).unwrap();
        let failed = replace(&path, 0o600, |file| text("half")(file).and(Err("disk full".into())));
        assert!(failed.unwrap_err().to_string().ends_with("revoked, nothing published: disk full"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        replace(&path, 0o640, text("new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
