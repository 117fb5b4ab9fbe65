//! One person as a directory describes them, before anything is believed of it.
//!
//! LDAP and `people.toml` both end here; what follows is the same for both.

use std::collections::BTreeMap;

use host::audit::Escaped;
use policy::Principal;
use store::PublicKey;
use store::keys::Person;

/// One entry, unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What stays the same when the person is renamed: LDAP's entryUUID, or the name in a file.
    pub id: String,
    /// Every value of the user name attribute.
    pub names: Vec<String>,
    /// Every mail address.
    pub mails: Vec<String>,
    /// Every value of the key attribute, as bytes: a value may be anything.
    pub keys: Vec<Vec<u8>>,
    /// Does the directory let this person ever become root?
    pub eligible: bool,
}

/// What became of the entries of one sync.
#[derive(Debug, Default)]
pub struct Believed {
    /// People who are published.
    pub people: Vec<Person>,
    /// One line for each entry or value that is not, and why.
    pub dropped: Vec<String>,
}

/// Turns entries into people. What is ambiguous or unusable is dropped alone: one bad value neither hides
/// nor repairs others.
pub fn believe(entries: &[Entry]) -> Believed {
    let mut believed = Believed::default();
    let mut claims: BTreeMap<&str, usize> = BTreeMap::new();
    for name in entries.iter().flat_map(|entry| &entry.names) {
        *claims.entry(name).or_default() += 1;
    }
    for entry in entries {
        match name_of(entry, &claims) {
            Ok(principal) => {
                let person = person(principal, entry, &mut believed.dropped);
                believed.people.push(person);
            }
            Err(why) => believed.dropped.push(format!("{}: {why}", Escaped(&entry.id))),
        }
    }
    believed
}

/// The one name of an entry, if nobody else claims it.
fn name_of(entry: &Entry, claims: &BTreeMap<&str, usize>) -> Result<Principal, String> {
    let name = match entry.names.as_slice() {
        [] => return Err("no readable user name".to_string()),
        [name] => name,
        // A second name would let its owner in as somebody else.
        several => return Err(format!("{} user names, so none of them (ldap-ambiguous)", several.len())),
    };
    if claims.get(name.as_str()).copied() != Some(1) {
        return Err(format!(
            "user name {} stands in several entries, so in none (ldap-ambiguous)",
            Escaped(name)
        ));
    }
    if name == "root" {
        return Err("root is an account and no person".to_string());
    }
    Principal::new(name).map_err(|error| format!("user name {}: {error}", Escaped(name)))
}

fn person(principal: Principal, entry: &Entry, dropped: &mut Vec<String>) -> Person {
    let mut keys = Vec::new();
    for (number, value) in entry.keys.iter().enumerate() {
        match PublicKey::parse(value) {
            Ok(key) => keys.push(key),
            Err(problem) => {
                dropped.push(format!("{principal}: key {}: {problem} (key-rejected)", number + 1))
            }
        }
    }
    let usable = |mail: &&String| {
        mail.len() <= 254 && mail.contains('@') && mail.bytes().all(|b| b.is_ascii_graphic())
    };
    let mails = entry.mails.iter().filter(usable).cloned().collect();
    Person { principal, id: entry.id.clone(), mails, keys, eligible: entry.eligible }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";

    fn entry(id: &str, names: &[&str], keys: &[&str]) -> Entry {
        Entry {
            id: id.to_string(),
            names: names.iter().map(ToString::to_string).collect(),
            keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
            ..Entry::default()
        }
    }

    #[test]
    fn one_bad_value_is_dropped_alone() {
        let command = format!("command=\"id\" {KEY}");
        let believed = believe(&[entry("1", &["alice"], &[&command, KEY, "# no key"])]);
        assert_eq!(believed.people[0].keys.len(), 1);
        assert_eq!(believed.dropped.len(), 2);
        assert!(believed.dropped[0].starts_with("alice: key 1: "), "{:?}", believed.dropped);
    }

    #[test]
    fn a09_a_name_that_two_entries_claim_is_nobodys() {
        let entries =
            [entry("1", &["alice"], &[KEY]), entry("2", &["alice"], &[]), entry("3", &["bob"], &[])];
        let names: Vec<_> =
            believe(&entries).people.iter().map(|person| person.principal.to_string()).collect();
        assert_eq!(names, ["bob"]);
    }

    #[test]
    fn an_entry_with_a_second_name_lets_nobody_in() {
        let entries = [entry("1", &["mallory", "alice"], &[KEY]), entry("2", &["root"], &[KEY])];
        let believed = believe(&entries);
        assert_eq!((believed.people.len(), believed.dropped.len()), (0, 2));
    }
}
