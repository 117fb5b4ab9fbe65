//! A store that is a directory: for a web server, for rsync, or for hosts that mount it.
//!
//! One publisher at a time, by a lock in it; so what is compared does not change before it is swapped. Whoever may read
//! the directory may read what is published in it.

use std::fmt::Display;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use fleet::Digest;
use policy::Timestamp;
use publish::{PublishError, SyncLock};

use super::{Access, Entry, Found, HEAD, MOST_NAMES, OBJECTS, PAST, Store, StoreError, Version};

/// The store in a directory.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    /// The mode of what is written.
    mode: u32,
    _lock: Option<SyncLock>,
}

impl Directory {
    /// Opens the store in `root`, which is there. To publish, waits for another publisher's end.
    ///
    /// # Errors
    /// It is no directory, another publisher does not come to its end, or it cannot be written.
    pub fn open(root: &Path, access: Access) -> Result<Self, StoreError> {
        let found = fs::metadata(root).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed(root, "no such directory; make it, owned by oncall-collector"),
            _ => failed(root, error),
        })?;
        if !found.is_dir() {
            return Err(failed(root, "not a directory"));
        }
        let lock = match access {
            Access::Read => None,
            Access::Write => Some(lock(root)?),
        };
        if access == Access::Write {
            make_below(root, &found, &[OBJECTS, PAST])?;
        }
        Ok(Self { root: root.to_path_buf(), mode: found.mode() & 0o644 | 0o600, _lock: lock })
    }

    /// What is at `path`, of which no more than `most` bytes are read.
    fn start(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
        // Nobody but the publisher should write here; what others put in its place must not hold it up.
        match trust::read_start(path, most) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            outcome => outcome.map(Some).map_err(|error| failed(path, error)),
        }
    }
}

fn failed(path: &Path, what: impl Display) -> StoreError {
    StoreError::Failed(path.display().to_string(), what.to_string())
}

fn lock(root: &Path) -> Result<SyncLock, StoreError> {
    let lock = SyncLock::wait(&root.join(HEAD), || {});
    lock.map_err(|error| match error {
        PublishError::Busy(_) => StoreError::Busy(error),
        PublishError::Write(path, what) => failed(&path, what),
    })
}

/// Makes the directories below `root`, for the same people as it.
fn make_below(root: &Path, found: &Metadata, names: &[&str]) -> Result<(), StoreError> {
    for path in names.iter().map(|name| root.join(name)) {
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.and_then(|()| share(&path, found)).map_err(|error| failed(&path, error))?,
        }
    }
    Ok(())
}

/// Gives a new directory the group of `found`, and lets the same people in.
fn share(path: &Path, found: &Metadata) -> io::Result<()> {
    let directory = File::open(path)?;
    // The unit's sandbox knows fchown, and no chown.
    if directory.metadata()?.gid() != found.gid() {
        fchown(&directory, None, Some(found.gid()))?;
    }
    directory.set_permissions(Permissions::from_mode(found.mode() & 0o755 | 0o700))
}

/// The version of what begins with these bytes: what lies behind [`VERSIONED`] makes no difference.
fn version(bytes: &[u8]) -> Version {
    Version(Digest::of(bytes.get(..VERSIONED).unwrap_or(bytes)).to_string())
}

impl Store for Directory {
    fn get(&self, name: &str, largest: u64) -> Result<Option<Found>, StoreError> {
        let path = self.root.join(name);
        let Some(bytes) = self.start(&path, largest.saturating_add(1))? else { return Ok(None) };
        if bytes.len() as u64 > largest {
            return Err(StoreError::TooLarge(path.display().to_string(), largest));
        }
        // One clock for the file system and for this program.
        Ok(Some(Found { version: version(&bytes), bytes, date: None }))
    }

    fn version(&self, name: &str) -> Result<Option<Version>, StoreError> {
        let start = self.start(&self.root.join(name), VERSIONED as u64)?;
        Ok(start.map(|bytes| version(&bytes)))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.root.join(name);
        let write = |temporary: &Path| fs::write(temporary, bytes).map_err(|error| error.to_string());
        publish::replace(&path, self.mode, write).map_err(|error| match error {
            PublishError::Write(path, what) => failed(&path, what),
            busy @ PublishError::Busy(_) => StoreError::Busy(busy),
        })
    }

    fn put_if(&self, name: &str, bytes: &[u8], expected: Option<&Version>) -> Result<bool, StoreError> {
        // The lock is held: nothing comes in between.
        if self.version(name)?.as_ref() != expected {
            return Ok(false);
        }
        self.put(name, bytes).map(|()| true)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let directory = self.root.join(prefix);
        let mut entries = Vec::new();
        let names = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
            names => names.map_err(|error| failed(&directory, error))?,
        };
        for name in names {
            let name = name.map_err(|error| failed(&directory, error))?;
            let metadata = name.metadata().map_err(|error| failed(&name.path(), error))?;
            let Some(name) = name
                .file_name()
                .to_str()
                .filter(|_| metadata.is_file())
                .map(|name| format!("{prefix}{name}"))
            else {
                continue;
            };
            if entries.len() == MOST_NAMES {
                return Err(failed(&directory, format_args!("more than {MOST_NAMES} files")));
            }
            entries.push(Entry {
                name,
                size: metadata.len(),
                modified: Timestamp::from_unix(metadata.mtime()),
            });
        }
        Ok(entries)
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path, error)),
            _ => Ok(()),
        }
    }
}

/// By so many bytes at the start a file is known: more than any head has.
const VERSIONED: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn store(mode: u32) -> (tempfile::TempDir, Directory) {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(mode)).unwrap();
        let store = Directory::open(root.path(), Access::Write).unwrap();
        (root, store)
    }

    #[test]
    fn the_head_is_swapped_only_for_the_one_that_was_read() {
        let (_root, store) = store(0o755);
        assert_eq!(store.get(HEAD, 10).unwrap(), None);
        assert!(store.put_if(HEAD, b"one", None).unwrap());
        assert!(!store.put_if(HEAD, b"two", None).unwrap());
        let one = store.get(HEAD, 10).unwrap().unwrap();
        assert!(store.put_if(HEAD, b"two", Some(&one.version)).unwrap());
        assert!(!store.put_if(HEAD, b"three", Some(&one.version)).unwrap());
        assert_eq!(store.get(HEAD, 10).unwrap().unwrap().bytes, b"two");
        assert!(matches!(store.get(HEAD, 2), Err(StoreError::TooLarge(_, 2))));
        // Whatever is there, it can be replaced.
        let (large, larger) = (vec![b'x'; VERSIONED + 1], vec![b'y'; 3 * VERSIONED]);
        store.put(HEAD, &large).unwrap();
        let version = store.version(HEAD).unwrap();
        assert_eq!(store.get(HEAD, 1 << 20).unwrap().map(|found| found.version), version);
        store.put(HEAD, &larger).unwrap();
        assert!(!store.put_if(HEAD, b"four", version.as_ref()).unwrap());
        let version = store.version(HEAD).unwrap();
        assert!(store.put_if(HEAD, b"four", version.as_ref()).unwrap());
        assert_eq!(store.get(HEAD, 10).unwrap().unwrap().bytes, b"four");
    }

    #[test]
    fn whoever_may_read_the_directory_may_read_what_is_in_it() {
        for (of_root, of_file) in [(0o755, 0o644), (0o2750, 0o640), (0o700, 0o600)] {
            let (root, store) = store(of_root);
            store.put("o/00", b"x").unwrap();
            let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().mode();
            assert_eq!((mode("o/00") & 0o777, mode("o") & 0o777), (of_file, of_root & 0o777));
        }
    }

    #[test]
    fn one_publisher_at_a_time_and_readers_need_no_lock() {
        let (root, store) = store(0o755);
        assert!(matches!(SyncLock::take(&root.path().join(HEAD)), Err(PublishError::Busy(_))));
        assert!(Directory::open(root.path(), Access::Read).unwrap().get(HEAD, 1).unwrap().is_none());
        drop(store);
        assert!(SyncLock::take(&root.path().join(HEAD)).is_ok());
    }

    #[test]
    fn what_is_listed_can_be_taken_away() {
        let (root, store) = store(0o755);
        assert_eq!(store.list("x/").unwrap(), []);
        store.put("o/00", b"two").unwrap();
        fs::create_dir(root.path().join("o/directory")).unwrap();
        let entries = store.list(OBJECTS).unwrap();
        assert_eq!(entries.iter().map(|one| (&*one.name, one.size)).collect::<Vec<_>>(), [("o/00", 3)]);
        store.delete("o/00").unwrap();
        store.delete("o/00").unwrap();
        assert_eq!(store.list(OBJECTS).unwrap(), []);
    }

    #[test]
    fn what_others_put_there_does_not_hold_a_publisher_up() {
        let (root, store) = store(0o755);
        nix::unistd::mkfifo(&root.path().join(HEAD), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(store.get(HEAD, 10).unwrap_err().to_string().ends_with("head: not a regular file"));
        let missing = Directory::open(&root.path().join("nowhere"), Access::Read).unwrap_err();
        assert!(missing.to_string().contains("nowhere: no such directory; make it"), "{missing}");
    }
}
