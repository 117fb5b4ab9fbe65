//! The same people from `people.toml`: for small teams, tests and the demo.

use std::collections::HashMap;
use std::path::Path;

use host::{FileError, toml_file};
use serde::Deserialize;

use crate::entry::Entry;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    person: Vec<Person>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    principal: String,
    #[serde(default)]
    mail: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    eligible: bool,
}

/// Everyone in the file at `path`, which root alone may be able to write.
pub fn read(path: &Path) -> Result<Vec<Entry>, FileError> {
    parse(path, &toml_file::read(path)?)
}

/// Everyone in `text`, the content of `path`.
pub fn parse(path: &Path, text: &[u8]) -> Result<Vec<Entry>, FileError> {
    let file: File = toml_file::parse(path, text)?;
    let mut entries: Vec<Entry> = file.person.into_iter().map(Person::into_entry).collect();
    // The name is the id; the second of one name is another entry, and neither is believed.
    let mut seen = HashMap::new();
    for entry in &mut entries {
        let times: &mut usize = seen.entry(entry.id.clone()).or_default();
        *times += 1;
        if *times > 1 {
            entry.id = format!("{}#{times}", entry.id);
        }
    }
    Ok(entries)
}

impl Person {
    fn into_entry(self) -> Entry {
        Entry {
            id: self.principal.clone(),
            names: vec![self.principal],
            mails: self.mail,
            keys: self.keys.into_iter().map(String::into_bytes).collect(),
            eligible: self.eligible,
            ..Entry::default()
        }
    }
}
