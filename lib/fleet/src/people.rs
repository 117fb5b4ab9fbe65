//! Everybody whom a fleet knows, as a tree of objects: hosts fetch what changed and nothing else.
//!
//! People are ordered by the SHA-256 of their names. A *bucket* holds all whose digests begin with the same bits; one
//! that would hold more than [`MOST_IN_BUCKET`] is split in two, and that one alone. *Pages* list buckets and further
//! pages, each six bits below the last. So the shape depends on who there is and on nothing else: two collectors that
//! know the same people publish the same tree, whatever either published before.
//!
//! There are no mail addresses and no places in the directory: users of other services are mapped at the collector.

mod bucket;
mod page;
mod place;
mod tree;
mod walk;

pub use bucket::{Bucket, FleetPerson, LARGEST_BUCKET, MOST_IN_BUCKET, MOST_KEYS};
pub use page::{Entry, Kind, LARGEST_PAGE, Page};
pub use place::Place;
pub use tree::{BuildError, MOST_PEOPLE, Tree, build};
pub use walk::{Difference, Node, WalkError, difference};

#[cfg(test)]
mod tests;
