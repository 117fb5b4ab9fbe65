//! What the next head names and the last did not is written to the store, before the head.
//!
//! It is written also where it is there already, for what was not named for long is about to be swept. But a first
//! publication of many people may take longer than its run: then the next run goes on where that one stopped.

use std::collections::BTreeMap;

use policy::Timestamp;

use crate::objects::{Objects, ObjectsError};
use crate::stores::{Entry, OBJECTS, Store, object};
use crate::sweep::REFRESH;

/// With more objects than this it is looked up first which are there: a request for the list of a bucket names a thousand.
pub const MANY: usize = 1_000;

/// Writes them, and returns how many it wrote. With more than `many` those are left out that were written lately.
///
/// # Errors
/// The store did not take one, or it is not here any more.
pub fn upload(
    many: usize,
    objects: &Objects<'_>,
    store: &dyn Store,
    now: Timestamp,
) -> Result<usize, ObjectsError> {
    let is_many = objects.fresh().count() > many;
    // What cannot be listed is written.
    let found = if is_many { store.list(OBJECTS).unwrap_or_default() } else { Vec::new() };
    let there = written_lately(&found, now);
    let mut count = 0;
    for fresh in objects.fresh() {
        let name = object(&fresh.digest);
        // One that is lost may be there, as something else of the same size.
        if there.get(name.as_str()) == Some(&u64::from(fresh.size)) && !objects.is_lost(fresh) {
            continue;
        }
        store.put(&name, &objects.stored(fresh)?)?;
        count += 1;
    }
    Ok(count)
}

/// The sizes of those that count as just written. A sweep counts as if an object had been named until it was last written;
/// that is wrong by no more than `REFRESH`, which it allows for, whether the object is named still or is so from now on.
fn written_lately(found: &[Entry], now: Timestamp) -> BTreeMap<&str, u64> {
    let lately = found.iter().filter(|entry| now.since(entry.modified) <= REFRESH);
    lately.map(|entry| (entry.name.as_str(), entry.size)).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use super::*;
    use crate::stores::{Access, Directory, Found, StoreError, Version};
    use host::clock::now;

    /// A store that takes so many objects and then no more.
    struct Ending(Directory, Cell<usize>);

    impl Store for Ending {
        fn get(&self, name: &str, largest: u64) -> Result<Option<Found>, StoreError> {
            self.0.get(name, largest)
        }

        fn version(&self, name: &str) -> Result<Option<Version>, StoreError> {
            self.0.version(name)
        }

        fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
            let left = self.1.get().checked_sub(1);
            self.1.set(left.ok_or_else(|| StoreError::Failed(name.to_string(), "no time".to_string()))?);
            self.0.put(name, bytes)
        }

        fn put_if(&self, name: &str, bytes: &[u8], expected: Option<&Version>) -> Result<bool, StoreError> {
            self.0.put_if(name, bytes, expected)
        }

        fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
            self.0.list(prefix)
        }

        fn delete(&self, name: &str) -> Result<(), StoreError> {
            self.0.delete(name)
        }
    }

    #[test]
    fn a_publication_that_takes_longer_than_a_run_is_gone_on_with() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [here, there] = [&here, &there].map(|at| Directory::open(at.path(), Access::Write).unwrap());
        let store = Ending(there, Cell::new(0));
        let contents: Vec<String> = (0..50).map(|number| format!("object {number}")).collect();
        let run = |many, lost: &BTreeSet<_>, room| {
            let mut objects = Objects::new(&here, &store, lost);
            let parts =
                contents.iter().map(|content| objects.part(content.as_bytes()).unwrap().object.digest);
            let digests: Vec<_> = parts.collect();
            store.1.set(room);
            (upload(many, &objects, &store, now()).ok(), digests)
        };
        let none = BTreeSet::new();
        // Runs that end after twenty objects each.
        let (outcomes, digests): (Vec<_>, Vec<_>) = (0..4).map(|_| run(10, &none, 20)).unzip();
        assert_eq!(outcomes, [None, None, Some(10), Some(0)]);
        // What the store has in their place is not taken for them, and a few are written in any case.
        let first = object(&digests[0][0]);
        let bytes = store.get(&first, 100).unwrap().unwrap().bytes;
        store.0.put(&first, b"x").unwrap();
        assert_eq!(run(10, &none, 50).0, Some(1));
        store.0.put(&first, &vec![b'x'; bytes.len()]).unwrap();
        assert_eq!(run(10, &BTreeSet::from([digests[0][0]]), 50).0, Some(1));
        assert_eq!(store.get(&first, 100).unwrap().unwrap().bytes, bytes);
        assert_eq!(run(50, &none, 50).0, Some(50));
    }

    #[test]
    fn what_was_written_long_ago_is_about_to_be_swept_and_is_written_again() {
        let now = Timestamp::from_unix(10_000_000);
        let entry = |name: &str, age: i64| Entry {
            name: name.to_string(),
            size: 5,
            modified: Timestamp::from_unix(10_000_000 - age),
        };
        let found = [entry("o/new", 0), entry("o/day", 86_400), entry("o/old", 86_401)];
        let lately: Vec<&str> = written_lately(&found, now).into_keys().collect();
        assert_eq!(lately, ["o/day", "o/new"]);
    }
}
