//! Which names are people's.

use std::collections::BTreeSet;

use host::config::{Directory, KeysSource};
use host::{Config, accounts};
use policy::Timestamp;

use crate::sync;

/// Who is a person: everybody in the directory. Any other name is a program's account.
#[derive(Debug)]
pub struct Names {
    /// The names in the copy of the directory.
    pub known: BTreeSet<String>,
    /// Is everybody in the directory among those?
    pub is_whole: bool,
}

impl Names {
    /// Reads who is in the copy of the directory, as it is at `now`.
    pub fn read(config: &Config, now: Timestamp) -> Self {
        let known = sync::read_names(config, now);
        let copies_all = matches!(config.directory, Some(Directory::File(_)))
            || matches!(config.keys.source, KeysSource::Copy);
        Self { is_whole: known.is_some() && copies_all, known: known.unwrap_or_default() }
    }

    /// Where the copy of the directory does not tell, accounts of the system are programs'.
    pub fn is_person(&self, name: &str) -> bool {
        let is_users = || accounts::facts(name, &[]).uid.is_some_and(|uid| uid >= 1_000);
        self.known.contains(name) || (!self.is_whole && is_users())
    }
}
