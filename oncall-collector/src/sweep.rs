//! What is old is taken out of the store, and what is named stays there.
//!
//! A publisher writes what its head names and the last one did not, also where it is there already. So an object that was
//! last written longer ago than [`REFRESH`] and is named was named all the time; it is written again, and its age says how
//! long ago it was last named, within that span. Nothing that another publisher is about to name is old: it has just been
//! written, and a publisher that takes longer than half of [`SAFETY`] starts again.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{Digest, Head, ObjectRef};
use policy::{Span, Timestamp};

use crate::objects::{Objects, ObjectsError};
use crate::stores::{Entry, OBJECTS, PAST, Store, StoreError, object};

/// How often it is done.
const EVERY: Span = Span::hours(1);

/// After so long an object that is still named is written again, and one that is to be named is not taken for written.
pub const REFRESH: Span = Span::hours(24);

/// No object is taken away within this time after it was written.
const SAFETY: Span = Span::hours(1);

/// Is it time, if the last sweep was at `last`? Also if that was in what is now the future.
pub fn is_due(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|last| now.since(last) >= EVERY || last > now)
}

/// What is to be done with the objects of a store.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Written again.
    refreshed: Vec<Digest>,
    /// Named, and not there as they are named.
    missing: Vec<Digest>,
    /// Taken away.
    removed: Vec<String>,
}

/// What is to be done, where `named` are the objects that the head names, and `keep` is how long others stay.
fn plan(named: &BTreeMap<Digest, ObjectRef>, found: &[Entry], keep: Span, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let mut there = BTreeSet::new();
    let longest = Span::seconds(keep.as_seconds() + REFRESH.as_seconds() + SAFETY.as_seconds());
    for entry in found {
        let age = now.since(entry.modified);
        let digest = entry.name.strip_prefix(OBJECTS).and_then(|name| name.parse::<Digest>().ok());
        match digest.and_then(|digest| named.get(&digest)) {
            Some(object) if entry.size == u64::from(object.size) => {
                there.insert(object.digest);
                if age > REFRESH {
                    plan.refreshed.push(object.digest);
                }
            }
            Some(_) => {}
            None if age > longest => plan.removed.push(entry.name.clone()),
            None => {}
        }
    }
    plan.missing.extend(named.keys().filter(|digest| !there.contains(digest)));
    plan
}

/// Sweeps the store, in which `head` was just published, and the copies of this host. Returns what the head names and is neither
/// there nor here.
///
/// # Errors
/// The store does not answer, or it is not known what the head names.
pub fn sweep(
    store: &dyn Store,
    copies: &dyn Store,
    objects: &Objects<'_>,
    head: &Head,
    keep: Span,
    now: Timestamp,
) -> Result<BTreeSet<Digest>, ObjectsError> {
    let parts = objects.named_by(head)?.into_iter().map(|part| part.object).chain(head.pack);
    let named: BTreeMap<Digest, ObjectRef> = parts.map(|object| (object.digest, object)).collect();
    let Plan { refreshed, missing, removed } = plan(&named, &store.list(OBJECTS)?, keep, now);
    let mut lost = BTreeSet::new();
    for digest in refreshed.iter().chain(&missing) {
        let Some(named) = named.get(digest) else { continue };
        match objects.stored(named) {
            Ok(stored) => store.put(&object(digest), &stored)?,
            Err(ObjectsError::Store(error)) => return Err(error.into()),
            Err(_) => _ = lost.insert(*digest),
        }
    }
    for name in removed.iter().chain(&old_heads(&store.list(PAST)?, keep, now)) {
        store.delete(name)?;
    }
    remove_copies(copies, &named)?;
    Ok(lost)
}

fn old_heads(found: &[Entry], keep: Span, now: Timestamp) -> Vec<String> {
    let is_old =
        |entry: &&Entry| now.since(entry.modified) > Span::seconds(keep.as_seconds() + SAFETY.as_seconds());
    found.iter().filter(is_old).map(|entry| entry.name.clone()).collect()
}

/// Of what the head does not name no copy is needed.
fn remove_copies(copies: &dyn Store, named: &BTreeMap<Digest, ObjectRef>) -> Result<(), StoreError> {
    for entry in copies.list(OBJECTS)? {
        let digest = entry.name.strip_prefix(OBJECTS).and_then(|name| name.parse::<Digest>().ok());
        if digest.is_none_or(|digest| !named.contains_key(&digest)) {
            copies.delete(&entry.name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_stays_and_what_was_named_goes_after_a_while() {
        let now = Timestamp::from_unix(10_000_000);
        let digest = |name: &str| Digest::of(name.as_bytes());
        let named = ["new", "aged", "short", "missing"]
            .map(|name| (digest(name), ObjectRef::new(digest(name), 7, 9).unwrap()));
        let named = BTreeMap::from(named);
        let keep = Span::hours(48);
        let entry = |name: String, size, hours: i64, more: i64| Entry {
            name,
            size,
            modified: now.minus(Span::hours(hours)).minus(Span::seconds(more)),
        };
        let found = [
            entry(object(&digest("new")), 7, 24, 0),
            entry(object(&digest("aged")), 7, 900, 0),
            entry(object(&digest("short")), 6, 0, 0),
            entry(object(&digest("past")), 5, 73, 0),
            entry(object(&digest("long past")), 5, 73, 1),
            entry("o/left.new".into(), 5, 80, 0),
        ];
        let plan = plan(&named, &found, keep, now);
        assert_eq!(plan.refreshed, [digest("aged")]);
        let mut missing = vec![digest("short"), digest("missing")];
        missing.sort();
        assert_eq!(plan.missing, missing);
        assert_eq!(plan.removed, [object(&digest("long past")), "o/left.new".to_string()]);
        let heads = [entry("h/1".into(), 9, 49, 0), entry("h/2".into(), 9, 49, 1)];
        assert_eq!(old_heads(&heads, keep, now), ["h/2"]);
    }

    #[test]
    fn it_is_done_once_an_hour() {
        let at = Timestamp::from_unix;
        for (last, is_time) in
            [(None, true), (Some(at(6_401)), false), (Some(at(6_400)), true), (Some(at(10_001)), true)]
        {
            assert_eq!(is_due(last, at(10_000)), is_time, "{last:?}");
        }
    }
}
