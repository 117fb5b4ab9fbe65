//! The hosts that stand for a fleet: their names and labels, from a file in TOML.

use std::collections::BTreeSet;
use std::path::Path;

use host::{FileError, toml_file};
use policy::{Host, HostSelector, is_printable};
use serde::Deserialize;
use toml::Spanned;

/// Hosts, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    hosts: Vec<Host>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    host: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    #[serde(default)]
    labels: Vec<String>,
}

impl Inventory {
    /// Reads `text` as the content of `path`; touches no file.
    ///
    /// # Errors
    /// What is wrong with it, with its line. An inventory of no host is wrong: nothing could be said by it.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FileError> {
        toml_file::checked(path, text, |file: File| {
            if file.host.is_empty() {
                return Err((
                    0,
                    "no host is listed; write a [[host]] with `name` and `labels` for each".into(),
                ));
            }
            let mut met = BTreeSet::new();
            let mut hosts = Vec::with_capacity(file.host.len());
            for Entry { name, labels } in file.host.into_iter().map(Spanned::into_inner) {
                let (at, name) = (name.span().start, name.into_inner());
                if name.is_empty() || !name.chars().all(is_printable) || name.contains(['*', '?']) {
                    return Err((
                        at,
                        format!("`{name}` is no host's name; list each host by its whole name"),
                    ));
                }
                if !met.insert(name.trim_end_matches('.').to_ascii_lowercase()) {
                    return Err((at, format!("the host `{name}` is listed twice")));
                }
                hosts.push(Host { name, labels });
            }
            Ok(Self::of(hosts))
        })
    }

    /// One of these hosts.
    pub fn of(mut hosts: Vec<Host>) -> Self {
        hosts.sort_by(|one, other| one.name.cmp(&other.name));
        Self { hosts }
    }

    /// In the order of their names.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of that name, by any spelling of it.
    pub fn find(&self, name: &str) -> Option<&Host> {
        let named = HostSelector::Name(name.to_string());
        self.hosts.iter().find(|host| !name.contains(['*', '?']) && named.covers(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Inventory, String> {
        Inventory::parse(Path::new("hosts.toml"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn hosts_have_names_and_labels() {
        let read = parse("[[host]]\nname = 'web1'\n[[host]]\nname = 'DB1'\nlabels = ['role=db']\n").unwrap();
        assert_eq!(read.hosts().iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["DB1", "web1"]);
        assert_eq!(read.find("db1.").map(|host| host.labels.clone()), Some(vec!["role=db".to_string()]));
        assert_eq!(read.find("db*"), None);
    }

    #[test]
    fn what_is_no_inventory_names_its_line() {
        for (text, says) in [
            ("", "hosts.toml:1: no host is listed"),
            ("[[host]]\nname = 'a'\n[[host]]\nname = 'A.'\n", "hosts.toml:4: the host `A.` is listed twice"),
            ("[[host]]\nname = ''\n", "hosts.toml:2: `` is no host's name"),
            ("[[host]]\nname = 'db*'\n", "hosts.toml:2: `db*` is no host's name; list each host"),
            (
                "[[host]]\nname = 'a'\nlabel = []\n",
                "hosts.toml:3: unknown key `label`; did you mean `labels`?",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
