//! Revocations: who is shut out on this host, whatever the rota, the directory or the rules say.
//!
//! Root writes them by hand and every decision reads them, with no network and no sync in between. They name
//! people, not accounts.

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::{Principal, Timestamp};

/// One revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Since when. Only told, never compared: a clock that is wrong must not let anybody back in.
    pub since: Timestamp,
    /// Who said so.
    pub by: String,
    /// Why, in their words; may be empty.
    pub reason: String,
}

/// Everybody who is revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked(BTreeMap<Principal, Revocation>);

impl Revoked {
    /// Nobody is.
    pub const fn nobody() -> Self {
        Self(BTreeMap::new())
    }

    /// The revocation of `person`, if they are revoked.
    pub fn get(&self, person: &Principal) -> Option<&Revocation> {
        self.0.get(person)
    }

    /// The same for whoever has this name, if it can be a person's.
    pub fn get_by_name(&self, name: &str) -> Option<&Revocation> {
        self.get(&Principal::new(name).ok()?)
    }

    /// Is `person` revoked?
    pub fn names(&self, person: &Principal) -> bool {
        self.0.contains_key(person)
    }

    /// Everybody, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&Principal, &Revocation)> {
        self.0.iter()
    }
}

impl FromIterator<(Principal, Revocation)> for Revoked {
    fn from_iter<T: IntoIterator<Item = (Principal, Revocation)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}
