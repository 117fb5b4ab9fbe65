//! The hosts that stand for a fleet: their names and labels, from a file in TOML.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use host::{Config, FileError, toml_file};
use policy::{Account, GrantRule, Host, HostSelector, Rules, is_printable};
use serde::Deserialize;
use toml::Spanned;

use crate::changes::{Change, Detail, Effect};
use crate::words::one_line;

/// Hosts, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    hosts: Vec<Host>,
    before: Option<Vec<Host>>,
}

/// A host before a change and after it, which may be there on one side alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostSides {
    pub before: Option<Host>,
    pub after: Option<Host>,
}

impl HostSides {
    /// Its name, as it is written last.
    pub fn name(&self) -> &str {
        self.after.as_ref().or(self.before.as_ref()).map_or("", |host| host.name.as_str())
    }
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
                    let name = one_line(&name);
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
        Self { hosts, before: None }
    }

    /// The same as what `before` becomes: that is what hosts are before the change.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { before: Some(before.hosts), ..self }
    }

    /// Is it one list for both sides, whatever the change does to it?
    pub(crate) fn is_of_both(&self) -> bool {
        self.before.is_none()
    }

    /// Each host before and after, in the order of their names.
    pub(crate) fn sides(&self) -> Vec<HostSides> {
        let before = self.before.as_ref().unwrap_or(&self.hosts);
        let key = |host: &Host| host.name.trim_end_matches('.').to_ascii_lowercase();
        let mut sides: BTreeMap<String, HostSides> = BTreeMap::new();
        for host in before {
            sides.insert(key(host), HostSides { before: Some(host.clone()), after: None });
        }
        for host in &self.hosts {
            let side = sides.entry(key(host)).or_insert(HostSides { before: None, after: None });
            side.after = Some(host.clone());
        }
        let mut sides: Vec<HostSides> = sides.into_values().collect();
        sides.sort_by(|one, other| one.name().cmp(other.name()));
        sides
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

/// What differs of the hosts themselves, by what `config`, the new one, covers.
pub(crate) fn changes(hosts: &[HostSides], config: &Config) -> Vec<Change> {
    hosts
        .iter()
        .flat_map(|host| change(host, &config.rules).into_iter().chain(unasked(host, config)))
        .collect()
}

/// The files of `[[policy.rego]]` that a host with other labels asks no longer, or from now on.
fn unasked(host: &HostSides, config: &Config) -> Option<Change> {
    let (old, new) = (host.before.as_ref()?, host.after.as_ref()?);
    let asks = |host: &Host| -> BTreeSet<String> {
        let own = config.rego.iter().filter(|file| file.covers(host));
        own.filter_map(|file| file.file.file_name()).map(|name| name.to_string_lossy().into_owned()).collect()
    };
    let (before, after) = (asks(old), asks(new));
    let (fewer, more): (Vec<&String>, Vec<&String>) =
        (before.difference(&after).collect(), after.difference(&before).collect());
    let listed = |names: &[&String]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let (effect, means) = match (fewer.as_slice(), more.as_slice()) {
        ([], []) => return None,
        ([], more) => {
            (Effect::Tightens, format!("shifts that {} leaves out count there no more", listed(more)))
        }
        (fewer, _) => (
            Effect::Loosens,
            format!("{} is not asked there any more: shifts that it leaves out count", listed(fewer)),
        ),
    };
    let what = format!("{:?} → {:?}", old.labels, new.labels);
    let (place, key) = (format!("[[host]] `{}`", host.name()), "labels".to_string());
    let detail = Detail { section: "host".to_string(), ..Detail::default() };
    Some(Change { effect, place, key, what, means, detail })
}

/// What differs of a host: where its labels are others, what covers it from now on apart from what does no longer; and by
/// which rules people with a grant are let in there.
fn change(host: &HostSides, rules: &Rules) -> Vec<Change> {
    let [before, after] = [&host.before, &host.after].map(|side| covering(rules, side.as_ref()));
    let named = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>().join(", ");
    let (more, fewer) = (named(&after, &before), named(&before, &after));
    let place = format!("[[host]] `{}`", host.name());
    let told = |effect, key: &str, what: &str, means: String| Change {
        effect,
        place: place.clone(),
        key: key.to_string(),
        what: what.to_string(),
        means,
        detail: Detail { section: "host".to_string(), ..Detail::default() },
    };
    let granted = |key: &str, what: &str| -> Vec<Change> {
        let turns = grants_turned(host, rules).into_iter();
        turns
            .map(|(effect, means)| {
                let mut change = told(effect, key, what, means);
                change.detail.reaches_others = effect == Effect::Loosens;
                change
            })
            .collect()
    };
    match (&host.before, &host.after) {
        (None, Some(new)) => {
            let what = format!("is new (labels = {:?})", new.labels);
            let granted = granted("", &what);
            let on_call = match (more.is_empty(), granted.is_empty()) {
                (false, _) => Some((Effect::Loosens, format!("covered by {more}"))),
                (true, true) => Some((Effect::Neutral, "no rule covers it".to_string())),
                (true, false) => None,
            };
            let on_call = on_call.map(|(effect, means)| told(effect, "", &what, means));
            on_call.into_iter().chain(granted).collect()
        }
        (Some(_), None) => {
            let was_granted = !granted("", "").is_empty();
            let effect = if fewer.is_empty() && !was_granted { Effect::Neutral } else { Effect::Tightens };
            vec![told(effect, "", "is gone", "it is planned for as a host that is no more".to_string())]
        }
        (Some(old), Some(new)) if labels(old) != labels(new) => {
            let what = format!("{:?} → {:?}", old.labels, new.labels);
            let turns = [
                (Effect::Loosens, "covered from now on by", &more),
                (Effect::Tightens, "no longer by", &fewer),
            ];
            let turns = turns.into_iter().filter(|(.., rules)| !rules.is_empty());
            let mut changes: Vec<Change> = turns
                .map(|(effect, how, rules)| told(effect, "labels", &what, format!("{how} {rules}")))
                .collect();
            changes.extend(granted("labels", &what));
            if changes.is_empty() {
                changes.push(told(Effect::Neutral, "labels", &what, "the same rules cover it".to_string()));
            }
            changes
        }
        _ => Vec::new(),
    }
}

/// The rules for grants that take them on a host from now on, and those that no longer do: a sentence each.
fn grants_turned(host: &HostSides, rules: &Rules) -> Vec<(Effect, String)> {
    let covers = |rule: &GrantRule, side: &Option<Host>| side.as_ref().is_some_and(|host| rule.covers(host));
    let told = |rule: &GrantRule| {
        let who = match rule.is_break_glass() {
            true => format!("those in `people` of the rule for grants `{}`", rule.name),
            false => format!("whoever has a grant by the rule `{}`", rule.name),
        };
        let accounts: Vec<&str> = rule.accounts.iter().map(Account::as_str).collect();
        let accounts = accounts.join(", ");
        match (covers(rule, &host.before), covers(rule, &host.after)) {
            (false, true) => Some((Effect::Loosens, format!("{who} may enter {accounts} there from now on"))),
            (true, false) => {
                Some((Effect::Tightens, format!("{who} may not enter {accounts} there any more")))
            }
            _ => None,
        }
    };
    rules.grants.iter().filter_map(told).collect()
}

fn labels(host: &Host) -> BTreeSet<&String> {
    host.labels.iter().collect()
}

/// The rules by which people on call are admitted there.
fn covering(rules: &Rules, host: Option<&Host>) -> BTreeSet<String> {
    let Some(host) = host else { return BTreeSet::new() };
    rules.rules.iter().filter(|rule| rule.covers(host)).map(|rule| format!("`{}`", rule.name)).collect()
}

/// Does `outer` cover every host that `inner` covers, whatever hosts there are? If in doubt it does not.
pub(crate) fn is_within(inner: &HostSelector, outer: &HostSelector) -> bool {
    match (inner, outer) {
        (_, HostSelector::Name(all)) if all == "*" => true,
        (HostSelector::Label(inner), HostSelector::Label(outer)) => inner == outer,
        // A `*` stands for what `*` and `?` stand for too; a `?` does not.
        (HostSelector::Name(name), HostSelector::Name(glob)) => {
            (!glob.contains('?') || !name.contains(['*', '?']))
                && outer.covers(&Host { name: name.clone(), labels: Vec::new() })
        }
        _ => false,
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

    #[test]
    fn a_pattern_is_within_another_one_only_if_all_its_hosts_are() {
        for (inner, outer, within) in [
            ("web1", "web*", true),
            ("WEB1.", "web*", true),
            ("web1*", "web*", true),
            ("web*", "web1*", false),
            ("web*", "*", true),
            ("label:a", "*", true),
            ("label:a", "label:a", true),
            ("label:a", "label:ab", false),
            ("a", "label:a", false),
            ("web*", "web?", false),
            ("web?", "web?*", false),
            ("web1", "web?", true),
            ("web?", "web*", true),
        ] {
            let [one, other] = [inner, outer].map(HostSelector::parse);
            assert_eq!(is_within(&one, &other), within, "{inner} {outer}");
        }
    }
}
