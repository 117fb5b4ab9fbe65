//! From the tree of people that a fleet publishes to what is published here: which buckets changed, and whom that concerns.
//!
//! Ids are made so that a range of them is a place in the tree: who has left a bucket that changed is found in the copy
//! without reading everybody, and without the old bucket.

use std::collections::BTreeSet;
use std::error::Error;

use fleet::Part;
use fleet::people::{Difference, FleetPerson, MOST_PEOPLE, Node, Place, WalkError, difference};
use ldap::Entry;
use mirror::{Mirror, MirrorError};
use store::keys::Base;

use super::replica::{self, Keep, PendingCopy, Plan};

/// What becomes of the copy `base` that was made from the tree `known`, by the tree `root`.
pub fn pending(
    base: Option<&Base>,
    known: Option<&Part>,
    root: &Part,
    mirror: &Mirror,
) -> Result<PendingCopy, Box<dyn Error>> {
    let found = match (base, known) {
        (Some(base), Some(known)) => {
            let found = walked(root, Some(known), mirror)?;
            if is_few(&found, base)
                && let Plan::Publish(pending) = changed(base, &found, mirror)?
            {
                return Ok(pending);
            }
            walked(root, None, mirror)?
        }
        _ => walked(root, None, mirror)?,
    };
    match replica::whole(base, entries(&found, mirror)?, Keep::Everybody)? {
        Plan::Publish(pending) => Ok(pending),
        Plan::FetchEverything => Err("a tree of people is read whole or not at all".into()),
    }
}

/// Is it cheaper to look for those who changed than to compare everybody?
fn is_few(found: &Difference, base: &Base) -> bool {
    let is_known = !found.left.contains(&Place::ROOT);
    is_known && found.buckets.len().saturating_mul(256) <= base.people().max(1024)
}

pub fn walked(root: &Part, known: Option<&Part>, mirror: &Mirror) -> Result<Difference, Box<dyn Error>> {
    let read = |node: &Node| match mirror.object(&node.part.object, node.kind.largest()) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(MirrorError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    };
    let found = difference(root, known, read).map_err(|error| match error {
        WalkError::Read(error) => unread(&error),
        error => format!("{error}, nothing published").into(),
    })?;
    match found.missing.first() {
        None => Ok(found),
        // Which file that is, and why.
        Some(page) => Err(mirror
            .object(&page.part.object, page.kind.largest())
            .map_or_else(|error| unread(&error), |_| "a page came while it was missed; sync again".into())),
    }
}

fn unread(error: &MirrorError) -> Box<dyn Error> {
    format!("{error} ({}), nothing published; `oncall-cache pull` fetches what is missing", error.word())
        .into()
}

/// The people of the buckets that differ, and whoever of the copy is in their places no more.
fn changed(base: &Base, found: &Difference, mirror: &Mirror) -> Result<Plan, Box<dyn Error>> {
    let set = entries(found, mirror)?;
    let there: BTreeSet<&str> = set.iter().map(|entry| entry.id.as_str()).collect();
    let mut gone = BTreeSet::new();
    for place in found.left.iter().copied().chain(found.buckets.iter().map(|node| node.place)) {
        let spots = place.spots();
        // No letter of a name is behind this one.
        let ids = base.entries(&format!("{:016x}:", spots.start()), &format!("{:016x}:~", spots.end()))?;
        gone.extend(ids.into_keys().filter(|id| !there.contains(id.as_str())));
    }
    Ok(replica::part(base, set, gone, None)?)
}

/// Everybody in the buckets that were found.
fn entries(found: &Difference, mirror: &Mirror) -> Result<Vec<Entry>, Box<dyn Error>> {
    let mut entries = Vec::new();
    for node in &found.buckets {
        let bytes = mirror.object(&node.part.object, node.kind.largest()).map_err(|error| unread(&error))?;
        let bucket =
            node.bucket(&bytes).map_err(|error| format!("{error} (object-form), nothing published"))?;
        entries.extend(bucket.into_people().into_iter().map(entry));
        if entries.len() > MOST_PEOPLE {
            return Err(format!("more than {MOST_PEOPLE} people (object-form), nothing published").into());
        }
    }
    Ok(entries)
}

fn entry(person: FleetPerson) -> Entry {
    let FleetPerson { principal, eligible, disabled, begins, expires, keys } = person;
    Entry {
        id: format!("{:016x}:{principal}", Place::spot(&principal)),
        names: vec![principal.to_string()],
        keys: keys.into_iter().map(String::into_bytes).collect(),
        eligible,
        disabled,
        begins,
        expires,
        ..Entry::default()
    }
}
