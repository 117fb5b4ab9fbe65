//! Replacing a database whole: as any other file, and without the journals that may lie beside the old one.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// As [`publish::replace`], for a database.
pub fn replace<E: fmt::Display>(
    path: &Path,
    mode: u32,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), StoreError> {
    publish::replace(path, mode, build)?;
    // Rolled back into the new file, a journal of the old one would damage it.
    let forgotten: Vec<PathBuf> = journals(path).filter(|journal| fs::remove_file(journal).is_ok()).collect();
    if forgotten.is_empty() {
        return Ok(());
    }
    publish::sync_directory(path).map_err(|error| StoreError::write(path, error))
}

/// The journals that SQLite keeps beside a database while it is changed in place; ours are never changed so.
pub fn journals(path: &Path) -> impl Iterator<Item = PathBuf> {
    ["-journal", "-wal", "-shm"].into_iter().map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
