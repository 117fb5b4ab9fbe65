//! Accounts and the people whose they are: who of the privileged is nobody, and whether two accounts are one person's.

use std::collections::{BTreeMap, BTreeSet};

use policy::Rules;

use super::accounts::Accounts;
use super::finding::{Finding, Place, Severity};

/// Judges the names of this host's accounts by `[names]`. `uid_of` asks the host's name services, too.
pub fn check(
    rules: &Rules,
    accounts: &Accounts,
    config: &str,
    uid_of: &dyn Fn(&str) -> Option<u32>,
) -> Vec<Finding> {
    let members: BTreeMap<&str, &str> = rules
        .privileged_groups
        .iter()
        .flat_map(|group| accounts.members(group).into_iter().map(move |name| (name, group.as_str())))
        .collect();
    let mut findings: Vec<Finding> =
        members.iter().filter_map(|(name, group)| nobody(rules, name, group, config)).collect();
    let local = accounts.users.iter().map(|user| user.name.as_str());
    findings.extend(shared_by(rules, members.into_keys().chain(local), config, uid_of));
    findings
}

/// A member of a privileged group who is no person.
fn nobody(rules: &Rules, name: &str, group: &str, config: &str) -> Option<Finding> {
    let error = rules.person_of(name).err()?;
    let what = format!("{name}, a member of {group}, cannot be a person's name: {error}");
    let found = Finding::new(Severity::Warning, "account-nobodys", what);
    let why =
        "this account is always refused, on call or not: people are known by their names in the directory";
    let advice = "set in [names] what a domain's account names have before or after a person's name, or \
                  `fold_case = true`; or remove it from the group";
    Some(found.at(Place::file(config)).why(why).advise(advice))
}

/// People with more than one account by `[names]`.
fn shared_by<'a>(
    rules: &Rules,
    names: impl Iterator<Item = &'a str>,
    config: &str,
    uid_of: &dyn Fn(&str) -> Option<u32>,
) -> Vec<Finding> {
    if rules.names.strip.is_empty() && !rules.names.fold_case {
        return Vec::new();
    }
    let mut people: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in names {
        if let Ok(person) = rules.person_of(name) {
            let own = people.entry(person.to_string()).or_default();
            let spellings = rules.names.accounts(&person).into_iter().chain([name.to_string()]);
            own.extend(spellings.filter(|account| rules.person_of(account).as_ref() == Ok(&person)));
        }
    }
    people.into_iter().filter_map(|(person, own)| several(&person, &own, config, uid_of)).collect()
}

fn several(
    person: &str,
    own: &BTreeSet<String>,
    config: &str,
    uid_of: &dyn Fn(&str) -> Option<u32>,
) -> Option<Finding> {
    let mut by_uid: BTreeMap<u32, &str> = BTreeMap::new();
    for name in own {
        if let Some(uid) = uid_of(name) {
            by_uid.entry(uid).or_insert(name);
        }
    }
    if by_uid.len() < 2 {
        return None;
    }
    let list: Vec<String> = by_uid.iter().map(|(uid, name)| format!("{name} (uid {uid})")).collect();
    let what = format!("by [names] these accounts all belong to {person}: {}", list.join(", "));
    let found = Finding::new(Severity::Open, "accounts-of-one", what);
    let why = "while that person is on call, anybody with one of them can become root, and the person's keys open each of them";
    let advice = "rename or remove those that do not belong to that person, or change [names] so that they are separate";
    Some(found.at(Place::file(config)).why(why).advise(advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Affix, Names};

    #[test]
    fn privileged_members_who_are_nobody_and_accounts_of_one_person_are_told() {
        let mut rules = Rules::compiled();
        let passwd = "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nBob:x:1001:1001::/:/bin/sh\n";
        let group = "sudo:x:27:alice@example.com,Bob,EXAMPLE\\carol\n";
        let accounts = Accounts::parse(passwd.to_string(), group.to_string(), "");
        let uid_of = |name: &str| match name {
            "alice" => Some(1000),
            "alice@example.com" => Some(70_001),
            "Bob" | "bob" => Some(1001),
            _ => None,
        };
        let told = |rules: &Rules| -> Vec<String> {
            let findings = check(rules, &accounts, "/c", &uid_of);
            let word = |what: &str| what.split([' ', ',']).next().unwrap_or_default().to_string();
            findings.iter().map(|found| format!("{} {}", found.id, word(&found.what))).collect()
        };
        let nobody = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("account-nobodys {name}")).collect()
        };
        assert_eq!(told(&rules), nobody(&["Bob", "EXAMPLE\\carol", "alice@example.com"]));
        let strip = ["@example.com", "EXAMPLE\\"].map(|text| Affix::parse(text).unwrap()).to_vec();
        rules.names = Names { strip, fold_case: true };
        assert_eq!(told(&rules), ["accounts-of-one by"]);
        let findings = check(&rules, &accounts, "/c", &uid_of);
        assert!(
            findings[0].what.ends_with("belong to alice: alice (uid 1000), alice@example.com (uid 70001)")
        );
    }
}
