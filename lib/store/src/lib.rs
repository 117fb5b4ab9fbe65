//! The SQLite files of the suite: the copy of the directory (keys.db) and the roster (roster.db).
//!
//! Both are written whole and renamed into place, and never changed where readers see them. A
//! reader therefore opens them as immutable: it needs no lock, no write permission, and sees the
//! state before a sync or after it. (Readers do without SQLite: see `pages`.) A third one,
//! lookups.db, is `authkeys`'s own memory, which it reads and writes in place. Nothing else in the suite
//! speaks SQL.

#![forbid(unsafe_code)]

mod error;
pub mod keys;
pub mod lookups;
mod pages;
mod publish;
pub mod roster;
mod schema;

pub use error::StoreError;
pub use key::{
    Certificate, CertificateProblem, KeyProblem, MOST_REJECTED, PublicKey, Rejected, fingerprint,
    parse_fingerprint,
};

/// A directory that nobody else can write, for tests: those below /tmp are refused.
#[cfg(test)]
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/run").expect("these tests write to /run and need root")
}
