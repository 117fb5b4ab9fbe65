//! The hosts that there are, as somebody else than they says: what reports is compared with it.
//!
//! A line for each, with what is to be known of it besides, or the same as TOML:
//!
//!     db1  sender=10.0.0.7  since=2026-11-01T00:00:00Z
//!
//!     [[host]]
//!     name = "db1"
//!     sender = "10.0.0.7"

use std::collections::BTreeMap;

use policy::Timestamp;
use serde::Deserialize;

/// One host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// As whom the log server knows it, beside its own name.
    pub senders: Vec<String>,
    /// Since when it is expected to report.
    pub since: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// All of them, by the name that records have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    pub hosts: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    host: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sender: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

impl Inventory {
    /// Reads an inventory in either form.
    ///
    /// # Errors
    /// Text that names the line that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_toml = text.lines().any(|line| line.trim() == "[[host]]");
        let mut inventory = Self::default();
        if is_toml {
            let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
            for Entry { name, sender, since, until } in document.host {
                let fields = [("sender", sender), ("since", since), ("until", until)];
                let given = fields.iter().filter_map(|(field, value)| Some((*field, value.as_deref()?)));
                inventory.add(&name, given).map_err(|problem| format!("host {name}: {problem}"))?;
            }
        } else {
            for (number, line) in (1..).zip(text.lines()) {
                let line = line.split('#').next().unwrap_or_default();
                let mut words = line.split_whitespace();
                let Some(name) = words.next() else { continue };
                let fields: Option<Vec<_>> = words.map(|word| word.split_once('=')).collect();
                let outcome = fields
                    .ok_or_else(|| "what stands behind the name is FIELD=VALUE".to_string())
                    .and_then(|fields| inventory.add(name, fields.into_iter()));
                outcome.map_err(|problem| format!("line {number}: {problem}"))?;
            }
        }
        Ok(inventory)
    }

    fn add<'a>(
        &mut self,
        name: &str,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), String> {
        let instant = |text: &str| {
            Timestamp::parse(text)
                .ok_or(format!("`{text}` is not a time; write 2026-11-20T18:00:00Z"))
                .map(Some)
        };
        let mut listed = Listed::default();
        for (field, value) in fields {
            match field {
                "sender" => listed.senders.extend(value.split(',').map(str::to_string)),
                "since" => listed.since = instant(value)?,
                "until" => listed.until = instant(value)?,
                _ => return Err(format!("unknown field `{field}`; there are sender, since and until")),
            }
        }
        match self.hosts.insert(name.to_string(), listed) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is listed twice")),
        }
    }

    /// May records of `host` come from `sender`?
    pub fn sends(&self, sender: &str, host: &str) -> bool {
        let is_same = |name: &str| name.eq_ignore_ascii_case(sender);
        is_same(host)
            || self.hosts.get(host).is_some_and(|listed| listed.senders.iter().any(|name| is_same(name)))
    }

    /// Whose records come from `sender`, where they do not say: the one host that is listed with it, or that of its name.
    pub fn host_of<'a>(&'a self, sender: &'a str) -> &'a str {
        let is_its = |listed: &Listed| listed.senders.iter().any(|name| name.eq_ignore_ascii_case(sender));
        let mut listed = self.hosts.iter().filter(|(_, listed)| is_its(listed));
        match (listed.next(), listed.next()) {
            (Some((name, _)), None) => name,
            _ => sender,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let lines = "# hosts\ndb1 sender=10.0.0.7,relay since=2026-11-01T00:00:00Z\n\nweb1 # new\n";
        let toml = "[[host]]\nname = 'db1'\nsender = '10.0.0.7,relay'\nsince = '2026-11-01T00:00:00Z'\n[[host]]\nname = 'web1'\n";
        let inventory = Inventory::parse(lines).unwrap();
        assert_eq!(inventory, Inventory::parse(toml).unwrap());
        assert!(
            inventory.sends("DB1", "db1") && inventory.sends("relay", "db1") && inventory.sends("x", "x")
        );
        assert!(!inventory.sends("relay", "web1") && !inventory.sends("web1", "db1"));
        assert_eq!((inventory.host_of("10.0.0.7"), inventory.host_of("web1")), ("db1", "web1"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, problem) in [
            ("db1 10.0.0.7\n", "line 1: what stands behind the name is FIELD=VALUE"),
            ("a\ndb1 owner=me\n", "line 2: unknown field `owner`; there are sender, since and until"),
            ("db1 since=monday\n", "line 1: `monday` is not a time; write 2026-11-20T18:00:00Z"),
            ("db1\ndb1\n", "line 2: db1 is listed twice"),
            ("[[host]]\nname = 'a'\n[[host]]\nname = 'a'\n", "host a: a is listed twice"),
        ] {
            assert_eq!(Inventory::parse(text).unwrap_err(), problem);
        }
        assert!(Inventory::parse("[[host]]\nname = 'a'\nowner = 'me'\n").unwrap_err().contains("owner"));
    }
}
