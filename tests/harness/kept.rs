//! What takes long to make and can be used again: kept below the target directory.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::host::build_directory;

/// Where what `make` makes is kept under `name`: made once, and again when `from`, what it is made by, changed. `make` is
/// given a directory that is not there yet.
pub(crate) fn kept(name: &str, from: impl Hash, make: impl FnOnce(&Path)) -> PathBuf {
    let mut key = DefaultHasher::new();
    from.hash(&mut key);
    let place = build_directory().parent().expect("target/PROFILE").join(name);
    fs::create_dir_all(&place).expect("the target directory can be written");
    let lock = fs::File::create(place.join("lock")).expect("the target directory can be written");
    // Held until this ends: other test programs may want it too.
    let _held = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno).expect("a lock");
    let kept = place.join(format!("{:016x}", key.finish()));
    if !kept.exists() {
        for entry in fs::read_dir(&place).expect("it can be read").flatten() {
            if entry.path().is_dir() {
                fs::remove_dir_all(entry.path()).expect("what is stale can be removed");
            }
        }
        let new = place.join("new");
        make(&new);
        fs::rename(&new, &kept).expect("it can be renamed");
    }
    kept
}
