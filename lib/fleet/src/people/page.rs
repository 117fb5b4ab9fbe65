//! A page: the buckets and pages below one place.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::place::PAGE_BITS;
use super::{LARGEST_BUCKET, Place};
use crate::Part;
use crate::object::{self, Form, ObjectError};

/// The largest page, decoded, in bytes.
pub const LARGEST_PAGE: u32 = 64 * 1024;

/// The most entries of a page.
const MOST_ENTRIES: usize = 1 << PAGE_BITS;

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A [`Page`].
    Page,
    /// A [`Bucket`](super::Bucket).
    Bucket,
}

impl Kind {
    /// The largest object of this kind, decoded, in bytes.
    pub const fn largest(self) -> u32 {
        match self {
            Self::Page => LARGEST_PAGE,
            Self::Bucket => LARGEST_BUCKET,
        }
    }
}

/// One line of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// What it says, and which object says it.
    pub part: Part,
}

/// What is at a place and below it, in order; what is not listed has nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    form: Form,
    page: Place,
    entries: Vec<Entry>,
}

impl Page {
    pub(super) fn new(place: Place, entries: Vec<Entry>) -> Self {
        Self { form: Form, page: place, entries }
    }

    /// The same bytes for the same entries.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        object::write(self)
    }

    /// Reads the page at `place`.
    ///
    /// # Errors
    /// It has another form, more entries than a page has, an entry of another place, two of one, or one larger than any
    /// of its kind.
    pub fn parse(bytes: &[u8], place: Place) -> Result<Self, ObjectError> {
        let page: Self = object::read(bytes, LARGEST_PAGE)?;
        let problem = if page.page != place {
            "a page of another place"
        } else if page.entries.len() > MOST_ENTRIES {
            "a page of too many entries"
        } else if !page
            .entries
            .is_sorted_by(|one, next| one.place < next.place && !one.place.contains(next.place))
        {
            "entries twice or out of order"
        } else if !page.entries.iter().all(|entry| entry.is_of(place)) {
            "an entry of another place"
        } else if !page.entries.iter().all(Entry::is_bounded) {
            "an entry larger than any of its kind"
        } else {
            return Ok(page);
        };
        Err(ObjectError::Impossible(problem))
    }

    /// What it lists, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry at exactly this place.
    pub(super) fn at(&self, place: Place) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.place.cmp(&place)).ok()?;
        self.entries.get(at)
    }
}

impl Entry {
    /// May a page at `place` list it?
    fn is_of(&self, place: Place) -> bool {
        let steps = place.contains(self.place).then(|| place.steps_to(self.place)).flatten();
        steps.is_some_and(|steps| match self.kind {
            Kind::Page => steps == PAGE_BITS,
            Kind::Bucket => steps <= PAGE_BITS,
        })
    }

    fn is_bounded(&self) -> bool {
        let largest = self.kind.largest();
        self.part.object.raw <= largest && self.part.object.size <= largest
    }
}
