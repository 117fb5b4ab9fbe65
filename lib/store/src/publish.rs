//! Replacing a file whole: readers see the old one or the new one, also after a crash.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollTimeout, poll};
use nix::unistd::geteuid;
use policy::Proven;

use crate::StoreError;

/// Held by one sync at a time, from before it fetches until it has published: what was fetched earlier
/// must not replace what was fetched later.
#[derive(Debug)]
pub struct SyncLock {
    _file: File,
}

impl SyncLock {
    /// The longest that [`SyncLock::wait`] waits.
    pub const PATIENCE: Duration = Duration::from_secs(30);

    /// Takes the lock that belongs to the published file `path`, when whoever has it has done; `tell` is called if that
    /// is not at once. Whatever was read before may be old then.
    pub fn wait(path: &Path, tell: impl FnOnce()) -> Result<Self, StoreError> {
        let mut outcome = Self::take(path);
        if matches!(outcome, Err(StoreError::Busy(_))) {
            tell();
        }
        let start = Instant::now();
        while matches!(outcome, Err(StoreError::Busy(_))) && start.elapsed() < Self::PATIENCE {
            // A lock can be waited for without end, or asked for now and then.
            let _ = poll(&mut [], PollTimeout::from(100_u8));
            outcome = Self::take(path);
        }
        outcome
    }

    /// Takes the lock that belongs to the published file `path`; does not wait.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let name = path.with_extension("lock");
        // No link is followed: a sync that somebody runs as root must not touch what one points to.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&name)
            .map_err(|error| StoreError::write(&name, closed(&name, &error)))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy(name)),
            Err(TryLockError::Error(error)) => Err(StoreError::write(&name, error)),
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
    format!("{error}; it is not its directory's owner's: sudo chown --reference={directory} {lock}")
}

/// Replaces `path` by what `build` writes into the empty file it is given. The new file gets `mode` and the
/// group of its directory; its owner is the caller, who must be the directory's. On any error the old file
/// stays as it is.
pub fn replace(
    path: &Path,
    mode: u32,
    build: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), StoreError> {
    let temporary = temporary_name(path);
    let outcome = fill(&temporary, mode, build)
        .and_then(|()| fs::rename(&temporary, path).map_err(|error| error.to_string()))
        .and_then(|()| {
            forget_journals(path);
            sync_directory(path).map_err(|error| error.to_string())
        });
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome.map_err(|what| StoreError::write(path, what))
}

/// Writes beside the copy at `path` what its sync knows of the time; whoever may read the copy may read that.
pub fn prove(path: &Path, mode: u32, proven: &Proven) -> Result<(), StoreError> {
    let write =
        |temporary: &Path| fs::write(temporary, proven.to_string()).map_err(|error| error.to_string());
    replace(&clock::beside(path), mode, write)
}

/// The journals that stand beside a database while somebody changes it in place; none of ours does.
pub fn journals(path: &Path) -> impl Iterator<Item = PathBuf> {
    ["-journal", "-wal", "-shm"].into_iter().map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Takes away the journals of the file that was replaced: rolled back into the new one, they would damage it.
fn forget_journals(path: &Path) {
    for journal in journals(path) {
        let _ = fs::remove_file(journal);
    }
}

/// One name is enough: the lock keeps other syncs away, and what a killed sync left is removed.
fn temporary_name(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn fill(temporary: &Path, mode: u32, build: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary).map_err(text)?;
    build(temporary)?;
    // The directory's group is the one whose members may read what is published in it.
    let group = fs::metadata(temporary.parent().unwrap_or(Path::new("/"))).map_err(text)?.gid();
    if file.metadata().map_err(text)?.gid() != group {
        fchown(&file, None, Some(group)).map_err(text)?;
    }
    file.set_permissions(Permissions::from_mode(mode)).map_err(text)?;
    file.sync_all().map_err(text)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
