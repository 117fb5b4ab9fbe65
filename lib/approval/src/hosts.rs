//! For which hosts a text is, and which labels they have.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Host, HostSelector};
use serde::Deserialize;
use toml::Value;

use crate::text::{TextError, table};

/// Which hosts have which labels: by a name with `*`, as rules have it.
pub type Hosts = BTreeMap<String, BTreeSet<String>>;

/// What was signed for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels<'a> {
    /// These labels.
    Signed(&'a BTreeSet<String>),
    /// It is none of the hosts.
    NoHost,
    /// Two names that are its own have other labels.
    Unclear(&'a str, &'a str),
}

/// The host that `config` is for: the name that is written there, or any, with its labels.
///
/// # Errors
/// It is no TOML.
pub fn hosts(config: &[u8]) -> Result<Hosts, TextError> {
    let name = written_name(config)?.unwrap_or_else(|| "*".to_string());
    let table = table(config)?;
    let labels = table.get("host").and_then(|host| host.get("labels")).and_then(Value::as_array);
    let labels = labels.into_iter().flatten().filter_map(Value::as_str).map(String::from);
    Ok([(name, labels.collect())].into())
}

/// The name that `config` gives its host.
///
/// # Errors
/// It is no TOML.
pub fn written_name(config: &[u8]) -> Result<Option<String>, TextError> {
    let table = table(config)?;
    let name = table.get("host").and_then(|host| host.get("name")).and_then(Value::as_str);
    Ok(name.map(String::from))
}

/// A name as [`HostSelector`] compares it: without the dot that ends a whole one, in one case.
pub fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// The labels that `hosts` have for `host`: an exact name is asked before patterns, and `is_exact`, alone.
pub fn labels_for<'a>(hosts: &'a Hosts, host: &Host, is_exact: bool) -> Labels<'a> {
    let covers = |name: &str| HostSelector::Name(name.to_string()).covers(host);
    let own = |pattern: bool| {
        hosts.iter().filter(move |(name, _)| is_pattern(name) == pattern && covers(name)).collect::<Vec<_>>()
    };
    let mut found = own(false);
    if found.is_empty() && !is_exact {
        found = own(true);
    }
    let Some(((first, labels), others)) = found.split_first() else { return Labels::NoHost };
    match others.iter().find(|(_, other)| other != labels) {
        Some((other, _)) => Labels::Unclear(first, other),
        None => Labels::Signed(labels),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inventory {
    host: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    name: String,
    #[serde(default)]
    labels: BTreeSet<String>,
}

/// Reads an inventory: `[[host]]` with `name`, in which `*` stands for any letters, and `labels`.
///
/// # Errors
/// Text that says what is wrong: also a host that is listed twice, and patterns by which one host had two sets of labels.
pub fn inventory(text: &str) -> Result<Hosts, String> {
    let inventory: Inventory = toml::from_str(text).map_err(|error| error.to_string())?;
    let (mut hosts, mut names) = (Hosts::new(), BTreeSet::new());
    for Listed { name, labels } in inventory.host {
        if !names.insert(normal(&name)) {
            return Err(format!("{name} is listed twice"));
        }
        hosts.insert(name, labels);
    }
    if let Some((one, other)) = overlap(&hosts) {
        return Err(format!(
            "a host can be both {one} and {other}, which have other labels: write patterns of which one alone matches, or \
             the host's whole name, which is asked first"
        ));
    }
    if hosts.is_empty() { Err("no [[host]] in it".to_string()) } else { Ok(hosts) }
}

/// Two patterns with other labels that one name can match.
fn overlap(hosts: &Hosts) -> Option<(&str, &str)> {
    let patterns: Vec<(&String, String, &BTreeSet<String>)> = (hosts.iter())
        .filter(|(name, _)| is_pattern(name))
        .map(|(name, labels)| (name, normal(name), labels))
        .collect();
    patterns.iter().enumerate().find_map(|(at, (one, glob, labels))| {
        let mut others = patterns.iter().skip(at + 1).filter(|(_, _, other)| other != labels);
        let (other, ..) = others.find(|(_, other, _)| have_a_name_in_common(glob, other))?;
        Some((one.as_str(), other.as_str()))
    })
}

/// Is there a name that both globs match?
fn have_a_name_in_common(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // How far both have come; none is looked at twice.
    let (mut seen, mut ahead) = (BTreeSet::new(), vec![(0, 0)]);
    while let Some((i, j)) = ahead.pop() {
        if !seen.insert((i, j)) {
            continue;
        }
        let (a, b) = (one.get(i), other.get(j));
        match (a, b) {
            (None, None) => return true,
            (Some(b'*'), _) | (_, Some(b'*')) => {
                // A star stands for nothing, or for one more of what the other one has.
                let (is_a, is_b) = (a == Some(&b'*'), b == Some(&b'*'));
                ahead.extend(is_a.then_some((i + 1, j)));
                ahead.extend(is_b.then_some((i, j + 1)));
                ahead.extend((is_a && b.is_some()).then_some((i, j + 1)));
                ahead.extend((is_b && a.is_some()).then_some((i + 1, j)));
            }
            (Some(a), Some(b)) if a == b || *a == b'?' || *b == b'?' => ahead.push((i + 1, j + 1)),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(hosts: &[(&str, &[&str])]) -> String {
        let lines =
            hosts.iter().map(|(name, labels)| format!("[[host]]\nname = '{name}'\nlabels = {labels:?}\n"));
        lines.collect()
    }

    fn host(name: &str) -> Host {
        Host { name: name.to_string(), labels: Vec::new() }
    }

    #[test]
    fn a109_one_host_has_one_set_of_labels() {
        let hosts = inventory(&listed(&[("db*", &["a"]), ("DB1.", &["b"]), ("web?", &[])])).unwrap();
        let of = |name: &str, exact: bool| labels_for(&hosts, &host(name), exact);
        assert_eq!(
            of("db1", false),
            Labels::Signed(&["b".to_string()].into()),
            "the whole name is asked first"
        );
        assert_eq!(of("db2", false), Labels::Signed(&["a".to_string()].into()));
        assert_eq!(of("mail", false), Labels::NoHost);
        assert_eq!((of("db2", true), of("Db1", true)), (Labels::NoHost, of("db1", false)));
        // One name in two spellings is one host.
        for twice in [["db1", "DB1"], ["db1", "db1."], ["db*", "DB*."]] {
            let text = listed(&twice.map(|name| (name, &["a"] as &[&str])));
            assert_eq!(inventory(&text), Err(format!("{} is listed twice", twice[1])));
        }
        // Signed all the same, by whatever made the text.
        let hosts: Hosts = [("db*".into(), ["a".to_string()].into()), ("*1".into(), BTreeSet::new())].into();
        assert_eq!(labels_for(&hosts, &host("db1"), false), Labels::Unclear("*1", "db*"));
        assert_eq!(labels_for(&hosts, &host("db2"), false), Labels::Signed(&["a".to_string()].into()));
    }

    #[test]
    fn a109_patterns_that_one_name_matches_have_the_same_labels() {
        for (one, other, is_refused) in [
            ("db*", "*1", true),
            ("db*", "DB?", true),
            ("*", "web*", true),
            ("a*c", "ab*", true),
            ("db*", "web*", false),
            ("db?", "db??", false),
            ("*-db", "*-web", false),
        ] {
            let found = inventory(&listed(&[(one, &["x"]), (other, &["y"])]));
            assert_eq!(found.is_err(), is_refused, "{one} {other}: {found:?}");
            assert!(inventory(&listed(&[(one, &["x"]), (other, &["x"])])).is_ok(), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_inventory_is_refused() {
        for wrong in [
            "",
            "[[host]]\n",
            "host = []\n",
            "[[host]]\nname = 'a'\nlabel = ['x']\n",
            "[[host]]\nname = 'a'\n[[hosts]]\n",
        ] {
            assert!(inventory(wrong).is_err(), "{wrong}");
        }
    }
}
