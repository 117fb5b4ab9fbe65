//! What a collector publishes, as it is kept in files: `head`, and immutable objects `o/SHA256` beside it.
//!
//! `oncall-cache pull` writes a host's mirror, its own sync and `authkeys-sync` read it, and `oncall-collector` keeps its
//! stores by the same objects. Nobody trusts who wrote a file here: the head is believed by its signatures, an object by
//! its digest, each time that it is read. So these are read without `trust`, which says who could have written a file;
//! but nothing is waited for, and nothing is larger than the head says.
//!
//! Objects are there before the head that names them, and a head is replaced by a rename: a reader has one publication
//! or the other. No network and no SQL.

#![forbid(unsafe_code)]

mod head;
mod object;
mod store;

pub use head::{FleetError, Opened, Trusted, open, read_signers};
pub use object::{ObjectProblem, decode, extract, fresh};
pub use store::{Mirror, MirrorError, read_mark, write_mark};
