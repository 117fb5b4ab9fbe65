//! The objects of a publication that this host needs: what is not here yet is fetched, checked and kept.
//!
//! Each is one of those that the signed head names, directly or by an object that it names, so its size and digest are
//! known before it is asked for. What was fetched stays, whatever becomes of the pull: it is right, and the next pull
//! need not fetch it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;

use fleet::people::{self, Difference, Kind, Node};
use fleet::{
    Digest, FleetIncidents, Head, LARGEST_INCIDENTS, LARGEST_INDEX, LARGEST_OBJECT, LARGEST_SHIFTS,
    ObjectError, ObjectRef, Part, RotaIndex, ScheduleShifts, unpack,
};
use host::Config;
use host::config::{Directory, Provider};
use mirror::{Mirror, extract};
use policy::revocations::{self, Revocations, RevocationsError};
use policy::{Span, Timestamp};

use super::error::{ObjectFailure, ObjectTrouble, StoreError};
use super::session::{Patience, Session};

/// From which share of missing objects on, in percent, a pack of all is fetched instead, if there is one.
const PACK_FROM: usize = 5;

/// After so long without a sync of authkeys-sync what it reads is looked at.
const PATIENCE: Span = Span::minutes(10);

/// A publication of which this host has all that it needs.
#[derive(Debug)]
pub struct Whole {
    /// The objects that belong to it; `None`: as before, since it names the same.
    pub keep: Option<BTreeSet<Digest>>,
    /// Its revocations.
    pub revoked: Revocations,
    /// How many objects came.
    pub fetched: usize,
}

/// Makes a publication whole.
pub struct Objects<'a, 'f> {
    session: &'a mut Session<'f>,
    mirror: &'a Mirror,
    /// The url that gave the head: it is asked first.
    first: usize,
    keep: BTreeSet<Digest>,
    fetched: usize,
}

impl<'a, 'f> Objects<'a, 'f> {
    /// Nothing is fetched yet.
    pub fn new(session: &'a mut Session<'f>, mirror: &'a Mirror, first: usize) -> Self {
        Self { session, mirror, first, keep: BTreeSet::new(), fetched: 0 }
    }

    /// Fetches what this host needs of `head` and does not have at `now`.
    ///
    /// # Errors
    /// An object is not to be had, or is not what the head names.
    pub fn complete(mut self, head: &Head, config: &Config, now: Timestamp) -> Result<Whole, ObjectFailure> {
        if let Some(rota) = &head.rota {
            self.rota(rota, config)?;
        }
        if let Some(part) = head.incidents.filter(|_| config.oncall.asks_fleet_for_incidents(&config.rules)) {
            let bytes = self.content(&part, LARGEST_INCIDENTS)?;
            FleetIncidents::parse(&bytes).map_err(|error| malformed(&part.object, error))?;
        }
        if let (Some(tree), Some(Directory::Fleet(_))) = (&head.people, &config.directory) {
            self.people(tree, head.pack.as_ref(), is_behind(config, now))?;
        }
        let revoked = self.revoked(&head.revoked)?;
        Ok(Whole { keep: Some(self.keep), revoked, fetched: self.fetched })
    }

    /// The same of a head all of whose objects were here when its like was taken over.
    ///
    /// # Errors
    /// One is not here any more, or cannot be read.
    pub fn known(mut self, head: &Head) -> Result<Whole, ObjectFailure> {
        let revoked = self.revoked(&head.revoked)?;
        Ok(Whole { keep: None, revoked, fetched: self.fetched })
    }

    /// The index, and the schedules that the sources of this host name. One that is not in it the sync complains of.
    fn rota(&mut self, rota: &Part, config: &Config) -> Result<(), ObjectFailure> {
        let bytes = self.content(rota, LARGEST_INDEX)?;
        let index = RotaIndex::parse(&bytes).map_err(|error| malformed(&rota.object, error))?;
        let ours =
            config.oncall.sources.iter().filter(|source| matches!(source.provider, Provider::Fleet(_)));
        for (source, id) in ours.flat_map(|source| source.schedules.iter().map(move |id| (source, id))) {
            let Some(schedule) = index.find(&source.name, id) else { continue };
            let bytes = self.content(&schedule.shifts, LARGEST_SHIFTS)?;
            ScheduleShifts::parse(&bytes).map_err(|error| malformed(&schedule.shifts.object, error))?;
        }
        Ok(())
    }

    fn revoked(&mut self, part: &Part) -> Result<Revocations, ObjectFailure> {
        let wrong = |error| ObjectFailure::new(&part.object, ObjectTrouble::Revoked(error));
        let largest = u32::try_from(revocations::LARGEST).unwrap_or(LARGEST_OBJECT);
        let bytes = self.content(part, largest)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong(RevocationsError::Form))?;
        Revocations::parse(text).map_err(wrong)
    }

    /// The tree of people: pages until all are here, then what is missing of the buckets. What a damaged disk has made of one
    /// shows only by its digest, so that is looked at as well where nobody took them over for a while.
    fn people(
        &mut self,
        tree: &Part,
        pack: Option<&ObjectRef>,
        is_behind: bool,
    ) -> Result<(), ObjectFailure> {
        let found = self.pages(tree)?;
        self.keep.extend(found.pages.iter().chain(&found.buckets).map(|node| node.part.object.digest));
        let mut missing = self.missing(&found, is_behind);
        let is_much = missing.len() > 1 && missing.len() * 100 > found.buckets.len() * PACK_FROM;
        if let Some(pack) = pack.filter(|_| is_much) {
            self.unpack(pack, &missing)?;
            missing = self.missing(&found, is_behind);
        }
        missing.iter().try_for_each(|bucket| self.node(bucket))
    }

    fn missing(&self, found: &Difference, is_behind: bool) -> Vec<Node> {
        let is_here = |node: &Node| {
            let object = &node.part.object;
            let is_sound = || self.mirror.object(object, node.kind.largest()).is_ok();
            self.mirror.has(object) && (!is_behind || is_sound())
        };
        found.buckets.iter().filter(|node| !is_here(node)).copied().collect()
    }

    /// The whole tree, once all its pages are here: each round is one page deeper.
    fn pages(&mut self, tree: &Part) -> Result<Difference, ObjectFailure> {
        loop {
            // A page that is not what its name says is as missing as one that is not there.
            let mirror = self.mirror;
            let read = |node: &Node| -> Result<_, std::convert::Infallible> {
                Ok(mirror.object(&node.part.object, node.kind.largest()).ok())
            };
            let found = people::difference(tree, None, read)
                .map_err(|error| ObjectFailure::new(&tree.object, ObjectTrouble::Tree(error.to_string())))?;
            if found.missing.is_empty() {
                return Ok(found);
            }
            found.missing.iter().try_for_each(|page| self.node(page))?;
        }
    }

    /// Fetches a page or a bucket, and keeps it if it can be read.
    fn node(&mut self, node: &Node) -> Result<(), ObjectFailure> {
        let object = &node.part.object;
        let (stored, bytes) = self.ask(object, node.kind.largest())?;
        readable(node, &bytes).map_err(|error| malformed(object, error))?;
        self.put(object, &stored)
    }

    /// Takes those of `wanted` that are in a pack. One that is not to be had, or is none, only costs single requests.
    fn unpack(&mut self, pack: &ObjectRef, wanted: &[Node]) -> Result<(), ObjectFailure> {
        let Ok((_, bytes)) = self.ask(pack, LARGEST_OBJECT) else { return Ok(()) };
        let wanted: BTreeMap<Digest, &Node> =
            wanted.iter().map(|node| (node.part.object.digest, node)).collect();
        for stored in unpack(&bytes).unwrap_or_default() {
            let Some(node) = wanted.get(&Digest::of(stored)) else { continue };
            let object = &node.part.object;
            let bytes = extract(object, stored, node.kind.largest())
                .map_err(|problem| ObjectFailure::new(object, ObjectTrouble::Wrong(problem)))?;
            readable(node, &bytes).map_err(|error| malformed(object, error))?;
            self.put(object, stored)?;
        }
        Ok(())
    }

    /// What a part says: from here, or fetched and kept. It belongs to the publication.
    fn content(&mut self, part: &Part, limit: u32) -> Result<Vec<u8>, ObjectFailure> {
        let object = &part.object;
        self.keep.insert(object.digest);
        let (fetched, bytes) = match self.mirror.object(object, limit) {
            Ok(bytes) => (None, bytes),
            Err(_) => self.ask(object, limit).map(|(stored, bytes)| (Some(stored), bytes))?,
        };
        part.check(&bytes).map_err(|error| malformed(object, error))?;
        if let Some(stored) = fetched {
            self.put(object, &stored)?;
        }
        Ok(bytes)
    }

    /// The object from the first url that has it as it is named: stored bytes, and decoded ones.
    fn ask(&mut self, object: &ObjectRef, limit: u32) -> Result<(Vec<u8>, Vec<u8>), ObjectFailure> {
        let path = format!("/o/{}", object.digest);
        let mut failure = ObjectFailure::new(object, ObjectTrouble::Store(StoreError::Missing));
        for place in self.session.places(self.first) {
            let answer = self.session.get(place, &path, (None, object.size.into()), Patience::Whole);
            let stored = answer.map(|answer| answer.bytes.unwrap_or_default());
            let outcome = stored.map_err(ObjectTrouble::Store).and_then(|stored| {
                let bytes = extract(object, &stored, limit).map_err(ObjectTrouble::Wrong)?;
                Ok((stored, bytes))
            });
            match outcome {
                Ok(both) => return Ok(both),
                // What was wrong says more than that another url does not have it.
                Err(trouble) => failure.add(trouble, self.session.url(place)),
            }
        }
        Err(failure)
    }

    fn put(&mut self, object: &ObjectRef, stored: &[u8]) -> Result<(), ObjectFailure> {
        self.fetched += 1;
        self.mirror
            .put_object(object, stored)
            .map_err(|error| ObjectFailure::new(object, ObjectTrouble::Mirror(error)))
    }
}

/// Pages of the tree `before` that the tree `after` has no use for. They stay until the next publication: authkeys-sync, which
/// follows a pull, finds by them what changed.
pub fn pages_before(mirror: &Mirror, before: Option<&Part>, after: Option<&Part>) -> Vec<Digest> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let read = |node: &Node| -> Result<_, std::convert::Infallible> {
        Ok(mirror.object(&node.part.object, node.kind.largest()).ok())
    };
    let pages = people::difference(before, Some(after), read).map(|found| found.pages).unwrap_or_default();
    pages.iter().map(|page| page.part.object.digest).collect()
}

/// Has authkeys-sync not come through for a while? It writes this file each time, and follows each new head.
fn is_behind(config: &Config, now: Timestamp) -> bool {
    let written = fs::metadata(config.paths.keys.with_extension("stamp")).map(|file| file.mtime());
    written.map_or(true, |at| now.since(Timestamp::from_unix(at)) > PATIENCE)
}

fn malformed(object: &ObjectRef, error: ObjectError) -> ObjectFailure {
    ObjectFailure::new(object, ObjectTrouble::Form(error))
}

/// Can what a page or bucket says be read?
fn readable(node: &Node, bytes: &[u8]) -> Result<(), ObjectError> {
    match node.kind {
        Kind::Page => node.page(bytes).map(drop),
        Kind::Bucket => node.bucket(bytes).map(drop),
    }
}
