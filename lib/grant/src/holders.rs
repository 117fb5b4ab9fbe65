//! Who is known to have which key.

use alloc::collections::{BTreeMap, BTreeSet};

use policy::{Digest, Principal};
use signed::Signers;

/// Who has which key, of those who may sign and of everybody in this host's copy of the directory. A key may have several
/// people: whoever edits his own entry can write another's public key into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders(BTreeMap<Digest, BTreeSet<Principal>>);

impl Holders {
    /// Everybody whom a signers file names, for whatever and whenever their keys sign. A name that no person can have is
    /// nobody's.
    pub fn of(signers: &Signers) -> Self {
        let named = signers.iter().filter_map(|signer| Some((Principal::new(&signer.name).ok()?, signer)));
        named.map(|(person, signer)| (person, signer.key.sha256())).collect()
    }

    /// Everybody who has this key.
    pub fn of_key(&self, key: &Digest) -> impl Iterator<Item = &Principal> + Clone {
        self.0.get(key).into_iter().flatten()
    }

    /// Has `person` this key?
    pub fn has(&self, person: &Principal, key: &Digest) -> bool {
        self.0.get(key).is_some_and(|people| people.contains(person))
    }
}

impl Extend<(Principal, Digest)> for Holders {
    fn extend<T: IntoIterator<Item = (Principal, Digest)>>(&mut self, keys: T) {
        for (person, key) in keys {
            self.0.entry(key).or_default().insert(person);
        }
    }
}

impl FromIterator<(Principal, Digest)> for Holders {
    fn from_iter<T: IntoIterator<Item = (Principal, Digest)>>(keys: T) -> Self {
        let mut holders = Self::default();
        holders.extend(keys);
        holders
    }
}
