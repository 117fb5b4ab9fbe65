//! Building the tree: which objects say who there is.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use policy::Principal;

use super::bucket;
use super::place::PAGE_BITS;
use super::{Entry, FleetPerson, Kind, MOST_IN_BUCKET, Page, Place};
use crate::{Digest, ObjectRef, Part};

/// The most people of a fleet.
pub const MOST_PEOPLE: usize = 1 << 20;

/// A tree that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The page that everything else is below.
    pub root: Part,
    /// All of it: each page, each bucket and the root.
    pub parts: Vec<Part>,
    /// Those of whom not all keys are in it, because nobody has as many.
    pub cut: Vec<Principal>,
}

/// Why there is no tree. `E`: why an object could not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildError<E> {
    /// Somebody is there twice.
    Twice(Principal),
    /// More than [`MOST_PEOPLE`]; how many.
    TooMany(usize),
    /// More people whose digests begin alike than can come about by chance.
    Crowded,
    /// An object could not be kept.
    Put(E),
}

impl<E: fmt::Display> fmt::Display for BuildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(principal) => write!(f, "{principal} is there twice"),
            Self::TooMany(count) => write!(f, "{count} people, and a fleet has at most {MOST_PEOPLE}"),
            Self::Crowded => {
                f.write_str("too many names whose SHA-256 begins alike; they were made for that")
            }
            Self::Put(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for BuildError<E> {}

/// Builds the tree of `people`, in whatever order they come.
///
/// `known` has the objects of earlier trees by content: what is the same keeps its object, whichever release compressed
/// it. Everything else is given to `put` as decoded bytes, each before the page that names it, to be compressed and kept.
///
/// # Errors
/// Somebody is there twice, there are too many, or `put` fails.
pub fn build<E>(
    people: Vec<FleetPerson>,
    known: &BTreeMap<Digest, ObjectRef>,
    put: impl FnMut(&[u8]) -> Result<ObjectRef, E>,
) -> Result<Tree, BuildError<E>> {
    let count = people.len();
    if count > MOST_PEOPLE {
        return Err(BuildError::TooMany(count));
    }
    let mut placed: Vec<Placed> = people.into_iter().map(Placed::from).collect();
    placed.sort_unstable_by(|one, other| one.order().cmp(&other.order()));
    let twice = placed.windows(2).find_map(|pair| match pair {
        [one, next] if one.order() == next.order() => Some(one.person.principal.clone()),
        _ => None,
    });
    if let Some(principal) = twice {
        return Err(BuildError::Twice(principal));
    }
    let cut = placed.iter().filter(|placed| placed.is_cut).map(|cut| cut.person.principal.clone()).collect();
    let mut builder = Builder { known, put, parts: Vec::new() };
    let root = builder.page(&placed, Place::ROOT)?;
    Ok(Tree { root, parts: builder.parts, cut })
}

/// A person, and where they are.
struct Placed {
    spot: u64,
    person: FleetPerson,
    is_cut: bool,
}

impl From<FleetPerson> for Placed {
    fn from(person: FleetPerson) -> Self {
        let (person, is_cut) = person.fitted();
        Self { spot: Place::spot(&person.principal), person, is_cut }
    }
}

impl Placed {
    fn order(&self) -> (u64, &Principal) {
        (self.spot, &self.person.principal)
    }
}

struct Builder<'a, P> {
    known: &'a BTreeMap<Digest, ObjectRef>,
    put: P,
    parts: Vec<Part>,
}

impl<E, P: FnMut(&[u8]) -> Result<ObjectRef, E>> Builder<'_, P> {
    fn page(&mut self, people: &[Placed], place: Place) -> Result<Part, BuildError<E>> {
        let mut entries = Vec::new();
        self.fill(people, place, PAGE_BITS, &mut entries)?;
        self.keep(&Page::new(place, entries).to_bytes())
    }

    /// Lists what is at `place`, at most `steps` bits deeper. `people` are those who are there, in order of their spots.
    fn fill(
        &mut self,
        people: &[Placed],
        place: Place,
        steps: u8,
        entries: &mut Vec<Entry>,
    ) -> Result<(), BuildError<E>> {
        if people.is_empty() {
            return Ok(());
        }
        if people.len() <= MOST_IN_BUCKET {
            let part = self.keep(&bucket::to_bytes(place, people.iter().map(|placed| &placed.person)))?;
            entries.push(Entry { place, kind: Kind::Bucket, part });
            return Ok(());
        }
        let Some([low, high]) = place.halves() else { return Err(BuildError::Crowded) };
        let Some(steps) = steps.checked_sub(1) else {
            let part = self.page(people, place)?;
            entries.push(Entry { place, kind: Kind::Page, part });
            return Ok(());
        };
        let middle = people.partition_point(|placed| low.holds(placed.spot));
        let (left, right) = people.split_at(middle);
        self.fill(left, low, steps, entries)?;
        self.fill(right, high, steps, entries)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Part, BuildError<E>> {
        let content = Digest::of(bytes);
        let object = match self.known.get(&content) {
            Some(object) => *object,
            None => (self.put)(bytes).map_err(BuildError::Put)?,
        };
        let part = Part { content, object };
        self.parts.push(part);
        Ok(part)
    }
}
