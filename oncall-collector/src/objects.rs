//! Objects on the way from this host to the store, with a copy of each kept here: of what is the same the next publication
//! takes over the name, whichever release compressed it, and asks the store for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use fleet::people::{BuildError, Difference, FleetPerson, MOST_KEYS, Node, WalkError, build, difference};
use fleet::{
    Digest, FleetIncidents, Head, LARGEST_INCIDENTS, LARGEST_INDEX, LARGEST_OBJECT, ObjectError, ObjectRef,
    Part, RotaIndex,
};
use mirror::ObjectProblem;
use policy::revocations::RevocationsError;

use crate::stores::{Directory, Store, StoreError, object};

/// The objects of one publication in the making.
pub struct Objects<'a> {
    local: &'a Directory,
    store: &'a dyn Store,
    /// Objects that the last head names, by what they say.
    known: BTreeMap<Digest, ObjectRef>,
    /// Objects that the store has lost, though its head names them.
    lost: &'a BTreeSet<Digest>,
    /// What the last head does not name, and this one will: it is written before the head, whether it is there or not, so
    /// that it is not swept as old.
    fresh: BTreeMap<Digest, ObjectRef>,
}

/// Why an object cannot be used.
#[derive(Debug)]
pub enum ObjectsError {
    /// A store failed.
    Store(StoreError),
    /// The store has not what a head names, or something else in its place.
    Lost(Digest),
    /// It cannot be decoded or made.
    Content(ObjectProblem),
    /// What is in it is not as a collector writes it.
    Form(ObjectError),
    /// The list of revocations in it cannot be read, or would be too long with this collector's.
    Revocations(RevocationsError),
    /// The fleet's revocations are lost, why, and this collector has no list that is sure to have them all.
    Orders(Box<ObjectsError>),
    /// The tree of people cannot be read or built.
    Tree(String),
}

impl fmt::Display for ObjectsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Lost(digest) => {
                write!(f, "the store has lost the object {digest}, which its head names; it is made again")
            }
            Self::Content(problem) => problem.fmt(f),
            Self::Form(error) => error.fmt(f),
            Self::Revocations(error) => write!(f, "the fleet's revocations: {error}"),
            Self::Orders(problem) => write!(
                f,
                "{problem}; these were the fleet's revocations, and publishing without them would lift them: bring the file \
                 `revocations` of this collector back from a backup, or revoke everybody anew and publish"
            ),
            Self::Tree(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for ObjectsError {}

impl ObjectsError {
    /// May it be over the next time?
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Store(_))
    }

    /// Which object is lost, if that is it?
    pub const fn lost(&self) -> Option<Digest> {
        if let Self::Lost(digest) = self { Some(*digest) } else { None }
    }
}

impl From<StoreError> for ObjectsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'a> Objects<'a> {
    /// None yet. What the store has `lost` is made again.
    pub fn new(local: &'a Directory, store: &'a dyn Store, lost: &'a BTreeSet<Digest>) -> Self {
        Self { local, store, lost, known: BTreeMap::new(), fresh: BTreeMap::new() }
    }

    /// The part that says `content`.
    ///
    /// # Errors
    /// It is empty or larger than any object, or no copy can be kept.
    pub fn part(&mut self, content: &[u8]) -> Result<Part, ObjectsError> {
        let digest = Digest::of(content);
        if let Some(object) = self.known.get(&digest) {
            return Ok(Part { content: digest, object: *object });
        }
        let (part, stored) = mirror::fresh(content, None).map_err(ObjectsError::Content)?;
        if let Some(stored) = stored {
            self.keep(&part.object, &stored)?;
        }
        self.fresh.insert(part.object.digest, part.object);
        self.known.insert(digest, part.object);
        Ok(part)
    }

    /// Keeps a copy here, unless a run that came to no head has left it.
    fn keep(&self, named: &ObjectRef, stored: &[u8]) -> Result<(), StoreError> {
        let name = object(&named.digest);
        match self.local.get(&name, named.size.into()) {
            Ok(Some(found)) if found.bytes == stored => Ok(()),
            _ => self.local.put(&name, stored),
        }
    }

    /// The tree of these people. Those of whom something is left out are named in `notes`.
    ///
    /// # Errors
    /// There are too many, or no copy can be kept.
    pub fn build(&mut self, people: Vec<FleetPerson>, notes: &mut Vec<String>) -> Result<Part, ObjectsError> {
        let known = self.known.clone();
        let tree = build(people, &known, |content| self.part(content).map(|part| part.object));
        let tree = tree.map_err(|error| match error {
            BuildError::Put(error) => error,
            other => ObjectsError::Tree(format!("people are not published: {other}")),
        })?;
        if let Some(first) = tree.cut.first() {
            let count = tree.cut.len();
            notes.push(format!("{count} people have keys that are not published, first {first}: more than {MOST_KEYS}, or not in the form of a key"));
        }
        Ok(tree.root)
    }

    /// What has to be written before the head.
    pub fn fresh(&self) -> impl Iterator<Item = &ObjectRef> {
        self.fresh.values()
    }

    /// An object as it is stored, from the copy here or from the store; from there it is kept.
    ///
    /// # Errors
    /// It is nowhere, or is not what its name says.
    pub fn stored(&self, named: &ObjectRef) -> Result<Vec<u8>, ObjectsError> {
        let name = object(&named.digest);
        let is_it = |bytes: &[u8]| Digest::of(bytes) == named.digest;
        if let Ok(Some(found)) = self.local.get(&name, named.size.into())
            && is_it(&found.bytes)
        {
            return Ok(found.bytes);
        }
        let found = match self.store.get(&name, named.size.into()) {
            Ok(found) => found.filter(|found| is_it(&found.bytes)),
            // Larger than it is named.
            Err(StoreError::TooLarge(..)) => None,
            Err(error) => return Err(error.into()),
        };
        let found = found.ok_or(ObjectsError::Lost(named.digest))?;
        self.local.put(&name, &found.bytes)?;
        Ok(found.bytes)
    }

    /// What is in an object, of which at most `limit` decoded bytes are taken.
    ///
    /// # Errors
    /// As [`Objects::stored`]; or it has more.
    pub fn read(&self, named: &ObjectRef, limit: u32) -> Result<Vec<u8>, ObjectsError> {
        mirror::extract(named, &self.stored(named)?, limit).map_err(ObjectsError::Content)
    }

    /// The index of a head's rota.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn index(&self, rota: &Part) -> Result<RotaIndex, ObjectsError> {
        RotaIndex::parse(&self.read(&rota.object, LARGEST_INDEX)?).map_err(ObjectsError::Form)
    }

    /// The incidents that a head names.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn incidents(&self, part: &Part) -> Result<FleetIncidents, ObjectsError> {
        FleetIncidents::parse(&self.read(&part.object, LARGEST_INCIDENTS)?).map_err(ObjectsError::Form)
    }

    /// Everything that the tree of people at `root` consists of.
    ///
    /// # Errors
    /// A page of it cannot be read.
    pub fn tree(&self, root: &Part) -> Result<Vec<Part>, ObjectsError> {
        let found = self.nodes(root)?;
        Ok(found.pages.iter().chain(&found.buckets).map(|node| node.part).collect())
    }

    fn nodes(&self, root: &Part) -> Result<Difference, ObjectsError> {
        let read = |node: &Node| self.read(&node.part.object, LARGEST_OBJECT).map(Some);
        difference(root, None, read).map_err(|error| match error {
            WalkError::Read(error) => error,
            other => ObjectsError::Tree(other.to_string()),
        })
    }

    /// Everybody in the tree of people at `root`.
    ///
    /// # Errors
    /// Some of it cannot be read.
    pub fn people(&self, root: &Part) -> Result<Vec<FleetPerson>, ObjectsError> {
        let mut people = Vec::new();
        for node in &self.nodes(root)?.buckets {
            let bytes = self.read(&node.part.object, LARGEST_OBJECT)?;
            people.extend(node.bucket(&bytes).map_err(ObjectsError::Form)?.into_people());
        }
        Ok(people)
    }

    /// Everything that a head names, itself or by what it names.
    ///
    /// # Errors
    /// Some of it cannot be read: then there may be more.
    pub fn named_by(&self, head: &Head) -> Result<Vec<Part>, ObjectsError> {
        let mut parts = vec![head.revoked];
        parts.extend(head.incidents);
        if let Some(rota) = &head.rota {
            parts.push(*rota);
            parts.extend(self.index(rota)?.schedules().iter().map(|schedule| schedule.shifts));
        }
        if let Some(root) = &head.people {
            parts.extend(self.tree(root)?);
        }
        Ok(parts)
    }

    /// Has the store lost it, though its head names it?
    pub fn is_lost(&self, named: &ObjectRef) -> bool {
        self.lost.contains(&named.digest)
    }

    /// From now on what one of these parts says is published as that object.
    pub fn reuse(&mut self, parts: impl IntoIterator<Item = Part>) {
        let there = parts.into_iter().filter(|part| !self.lost.contains(&part.object.digest));
        self.known.extend(there.map(|part| (part.content, part.object)));
    }
}
