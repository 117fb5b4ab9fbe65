//! Reading the tree: what of it is another than in a tree that is known, and so has to be fetched or applied.

use alloc::vec::Vec;
use core::fmt;

use super::{Bucket, Entry, Kind, Page, Place};
use crate::{ObjectError, Part};

/// The most pages and buckets that are looked at: of [`MOST_PEOPLE`](super::MOST_PEOPLE) there are a fifth of it.
const MOST_NODES: usize = 1 << 17;

/// A page or a bucket, and where it is.
pub type Node = Entry;

/// How a tree differs from one that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Pages that are not in the known tree, the root first, each before those below it.
    pub pages: Vec<Node>,
    /// Those of them that are not here: what is below these shows once they are.
    pub missing: Vec<Node>,
    /// Buckets that are not in the known tree, by place.
    pub buckets: Vec<Node>,
    /// Places where the known tree has people and this one may have none.
    pub left: Vec<Place>,
}

/// Why a tree cannot be read. `E`: why an object cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalkError<E> {
    /// An object cannot be read.
    Read(E),
    /// What is at a place is not as a collector writes it.
    Object(Place, ObjectError),
    /// It has more pages and buckets than any.
    TooMany,
}

impl<E: fmt::Display> fmt::Display for WalkError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Object(place, error) => {
                write!(f, "people at \"{place}\" of the tree: {error} ({})", ObjectError::WORD)
            }
            Self::TooMany => write!(f, "the tree of people has more than {MOST_NODES} objects"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for WalkError<E> {}

impl Entry {
    /// The root of the tree that a head names.
    pub const fn root(part: Part) -> Self {
        Self { place: Place::ROOT, kind: Kind::Page, part }
    }

    /// Reads the page that this names.
    ///
    /// # Errors
    /// The bytes are not those whose digest it has, or no such page.
    pub fn page(&self, bytes: &[u8]) -> Result<Page, ObjectError> {
        self.part.check(bytes)?;
        Page::parse(bytes, self.place)
    }

    /// Reads the bucket that this names.
    ///
    /// # Errors
    /// The bytes are not those whose digest it has, or no such bucket.
    pub fn bucket(&self, bytes: &[u8]) -> Result<Bucket, ObjectError> {
        self.part.check(bytes)?;
        Bucket::parse(bytes, self.place)
    }
}

/// How the tree `root` differs from the tree `known`; all of it, where none is known.
///
/// `read` gives the decoded bytes of a page; `None` where it is not here. Pages of the known tree that it does not give,
/// or that cannot be read, are as if they were not known.
///
/// The other way round it says which objects of an old tree a new one has no use for.
///
/// # Errors
/// A page of this tree cannot be read, is not as a collector writes it, or there are too many.
pub fn difference<E>(
    root: &Part,
    known: Option<&Part>,
    read: impl FnMut(&Node) -> Result<Option<Vec<u8>>, E>,
) -> Result<Difference, WalkError<E>> {
    let mut walk = Walk { read, has_known: known.is_some(), found: Difference::default() };
    let known = known.map(|part| Node::root(*part));
    walk.entry(&Node::root(*root), known.as_ref())?;
    Ok(walk.found)
}

struct Walk<R> {
    read: R,
    has_known: bool,
    found: Difference,
}

impl<E, R: FnMut(&Node) -> Result<Option<Vec<u8>>, E>> Walk<R> {
    fn entry(&mut self, node: &Node, known: Option<&Node>) -> Result<(), WalkError<E>> {
        if known == Some(node) {
            return Ok(());
        }
        if self.found.pages.len() + self.found.buckets.len() >= MOST_NODES {
            return Err(WalkError::TooMany);
        }
        match node.kind {
            Kind::Bucket => self.found.buckets.push(*node),
            Kind::Page => self.page(node, known)?,
        }
        Ok(())
    }

    fn page(&mut self, node: &Node, known: Option<&Node>) -> Result<(), WalkError<E>> {
        self.found.pages.push(*node);
        let Some(bytes) = (self.read)(node).map_err(WalkError::Read)? else {
            self.found.missing.push(*node);
            return Ok(());
        };
        let page = node.page(&bytes).map_err(|error| WalkError::Object(node.place, error))?;
        let known = known.and_then(|known| self.known_page(known));
        match &known {
            Some(known) => {
                let left = known.entries().iter().filter(|entry| page.at(entry.place).is_none());
                self.found.left.extend(left.map(|entry| entry.place));
            }
            None if self.has_known => self.found.left.push(node.place),
            None => {}
        }
        for entry in page.entries() {
            self.entry(entry, known.as_ref().and_then(|known| known.at(entry.place)))?;
        }
        Ok(())
    }

    fn known_page(&mut self, known: &Node) -> Option<Page> {
        if known.kind != Kind::Page {
            return None;
        }
        let bytes = (self.read)(known).ok().flatten()?;
        known.page(&bytes).ok()
    }
}
