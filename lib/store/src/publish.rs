//! Replacing a file whole: readers see the old one or the new one, also after a crash.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Held by one sync at a time, from before it fetches until it has published: what was fetched earlier
/// must not replace what was fetched later.
#[derive(Debug)]
pub struct SyncLock {
    _file: File,
}

impl SyncLock {
    /// Takes the lock that belongs to the published file `path`; does not wait.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let name = path.with_extension("lock");
        let attempt = || -> io::Result<File> {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name)?;
            // A sync by hand, as root, must not keep the service out afterwards.
            give_to_keeper(&name)?;
            Ok(file)
        };
        let file = attempt().map_err(|error| StoreError::write(&name, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy(name)),
            Err(TryLockError::Error(error)) => Err(StoreError::write(&name, error)),
        }
    }
}

/// Replaces `path` by what `build` writes into the empty file it is given. The new file gets `mode`, and
/// the owner and group of its directory. On any error the old file stays as it is.
pub fn replace(
    path: &Path,
    mode: u32,
    build: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), StoreError> {
    let temporary = temporary_name(path);
    let outcome = fill(&temporary, mode, build)
        .and_then(|()| fs::rename(&temporary, path).map_err(|error| error.to_string()))
        .and_then(|()| sync_directory(path).map_err(|error| error.to_string()));
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome.map_err(|what| StoreError::write(path, what))
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
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary).map_err(text)?;
    build(temporary)?;
    give_to_keeper(temporary).map_err(text)?;
    let file = File::open(temporary).map_err(text)?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(text)?;
    file.sync_all().map_err(text)
}

/// The owner and group of its directory are those a published file should have.
fn give_to_keeper(path: &Path) -> io::Result<()> {
    let keeper = fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
    let own = fs::symlink_metadata(path)?;
    if (own.uid(), own.gid()) == (keeper.uid(), keeper.gid()) {
        return Ok(());
    }
    chown(path, Some(keeper.uid()), Some(keeper.gid()))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
