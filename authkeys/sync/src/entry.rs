//! What is published of the entries of a directory, whether LDAP or `people.toml`: which of them are people.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ldap::{Entry, MOST_VALUES};
use policy::Principal;
use record::Escaped;
use store::keys::{DirectoryPerson, Record};
use store::{MOST_REJECTED, PublicKey, Rejected};

/// What became of the entries of one sync.
#[derive(Debug, Default)]
pub struct Believed {
    /// What is published of each entry: a person, or nobody.
    pub records: Vec<Record>,
    /// One line for each entry or value that is not, and why.
    pub dropped: Vec<String>,
}

/// The most lines about values of one person.
const MOST_LINES: usize = 64;

/// After so many entries the room that they took is given back.
const GIVEN_BACK: usize = 4096;

/// Turns entries into people. What is ambiguous or unusable is dropped alone: one bad value neither hides
/// nor repairs others.
pub fn believe(mut entries: Vec<Entry>) -> Believed {
    // With more than one name it is nobody; those that are looked at are claimed all the same.
    entries.iter_mut().for_each(|entry| entry.names.truncate(MOST_VALUES));
    let contested = contested(&entries);
    let records = Vec::with_capacity(entries.len());
    let mut believed = Believed { records, dropped: Vec::new() };
    // From the end, so that the room of a hundred thousand entries can be given back on the way.
    entries.reverse();
    while let Some(mut entry) = entries.pop() {
        if entries.len().is_multiple_of(GIVEN_BACK) {
            entries.shrink_to_fit();
        }
        let person = match name_of(&entry, &contested) {
            Ok(principal) => Some(person(principal, &mut entry, &mut believed.dropped)),
            Err(why) => {
                believed.dropped.push(format!("{}: {why}", called(&entry)));
                None
            }
        };
        let names = claims(&entry).map(Cow::into_owned).collect();
        believed.records.push(Record::new(entry.id, entry.dn, names, person));
    }
    believed
}

/// An entry in a line of the log: by its id, which stays, and by where it is found.
fn called(entry: &Entry) -> String {
    let Entry { id, dn, .. } = entry;
    if dn.is_empty() || dn == id {
        Escaped(id).to_string()
    } else {
        format!("{} ({})", Escaped(dn), Escaped(id))
    }
}

/// The names that an entry claims, in small letters: servers find `Alice` where they are asked for alice. What is
/// no name of a person cannot be somebody else's either.
pub fn claims(entry: &Entry) -> impl Iterator<Item = Cow<'_, str>> {
    entry.names.iter().map(|name| small(name)).filter(|name| Principal::new(name).is_ok())
}

fn small(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// The names that more than one entry claims.
fn contested(entries: &[Entry]) -> HashSet<String> {
    let mut count: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(entries.len());
    for name in entries.iter().flat_map(claims) {
        *count.entry(name).or_default() += 1;
    }
    count.into_iter().filter(|(_, claims)| *claims > 1).map(|(name, _)| name.into_owned()).collect()
}

/// The one name of an entry, if nobody else claims it.
fn name_of(entry: &Entry, contested: &HashSet<String>) -> Result<Principal, String> {
    let name = match entry.names.as_slice() {
        [] if entry.nobody.is_some() => return Err(entry.nobody.unwrap_or_default().to_string()),
        [] => return Err("no readable user name".to_string()),
        [name] => name,
        // A second name would let its owner in as somebody else.
        several => {
            return Err(format!("has {} user names, so it is ignored (ldap-ambiguous)", several.len()));
        }
    };
    if contested.contains(name) {
        return Err(format!(
            "user name {} is in several entries, so all are ignored (ldap-ambiguous)",
            Escaped(name)
        ));
    }
    if name == "root" {
        return Err("root is an account, not a person".to_string());
    }
    Principal::new(name).map_err(|error| format!("user name {}: {error}", Escaped(name)))
}

/// Could this be somebody's mail address? Letters of all languages may stand in it (RFC 6532); what cannot be seen, or
/// could be taken for something else in a line of text, may not.
fn is_mail(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_graphic() || !letter.is_ascii() && letter.is_alphanumeric();
    text.len() <= 254 && text.contains('@') && text.chars().all(fits)
}

fn person(principal: Principal, entry: &mut Entry, dropped: &mut Vec<String>) -> DirectoryPerson {
    let mut lines = Lines { dropped, left: MOST_LINES };
    let (mut keys, mut rejected) = (Vec::with_capacity(entry.keys.len()), Vec::new());
    for (number, value) in (1..).zip(std::mem::take(&mut entry.keys)) {
        match PublicKey::parse(&value) {
            Ok(key) => keys.push(key),
            Err(problem) => {
                lines.add(|| format!("{principal}: key {number}: {problem} (key-rejected)"));
                if rejected.len() < MOST_REJECTED {
                    rejected.push(Rejected { number, problem });
                }
            }
        }
    }
    let told = std::mem::take(&mut entry.mails);
    if told.len() > MOST_VALUES {
        let count = told.len();
        lines.add(|| {
            format!("{principal}: {count} mail addresses, of which {MOST_VALUES} count (mail-rejected)")
        });
    }
    let mut mails = Vec::with_capacity(told.len().min(MOST_VALUES));
    for (number, mail) in (1..=MOST_VALUES).zip(told) {
        if is_mail(&mail) {
            mails.push(mail);
        } else {
            lines.add(|| {
                format!("{principal}: mail address {number}: cannot be a mail address (mail-rejected)")
            });
        }
    }
    lines.end(&principal);
    DirectoryPerson {
        principal,
        id: entry.id.clone(),
        mails,
        keys,
        rejected,
        eligible: entry.eligible,
        disabled: entry.disabled.take(),
        begins: entry.begins,
        expires: entry.expires,
    }
}

/// Lines about one person's values: not as many as somebody may write into their entry.
struct Lines<'a> {
    dropped: &'a mut Vec<String>,
    left: usize,
}

impl Lines<'_> {
    fn add(&mut self, line: impl FnOnce() -> String) {
        if self.left > 0 {
            self.left -= 1;
            self.dropped.push(line());
        }
    }

    fn end(self, principal: &Principal) {
        if self.left == 0 {
            self.dropped.push(format!("{principal}: more was dropped from this entry, which is not listed"));
        }
    }
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

    fn people(entries: &[Entry]) -> Vec<DirectoryPerson> {
        believe(entries.to_vec()).records.into_iter().filter_map(|record| record.person).collect()
    }

    #[test]
    fn one_bad_value_is_dropped_alone() {
        let command = format!("command=\"id\" {KEY}");
        let believed = believe(vec![entry("1", &["alice"], &[&command, KEY, "# no key"])]);
        assert_eq!(believed.records[0].person.as_ref().unwrap().keys.len(), 1);
        assert_eq!(believed.dropped.len(), 2);
        assert!(believed.dropped[0].starts_with("alice: key 1: "), "{:?}", believed.dropped);
    }

    #[test]
    fn a09_a_name_that_two_entries_claim_is_nobodys() {
        let entries =
            [entry("1", &["alice"], &[KEY]), entry("2", &["alice"], &[]), entry("3", &["bob"], &[])];
        let names: Vec<_> = people(&entries).iter().map(|person| person.principal.to_string()).collect();
        assert_eq!(names, ["bob"]);
        // What they claim is kept, so that the name finds its owner when one of them goes away.
        let records = believe(entries.to_vec()).records;
        assert_eq!(
            records.iter().map(|record| record.names[0].as_str()).collect::<Vec<_>>(),
            ["alice", "alice", "bob"]
        );
    }

    #[test]
    fn a09_a_name_that_another_entry_spells_otherwise_is_nobodys() {
        assert_eq!(people(&[entry("1", &["alice"], &[KEY]), entry("2", &["Alice"], &[])]).len(), 0);
        assert_eq!(people(&[entry("1", &["alice"], &[KEY]), entry("2", &["bob", "ALICE"], &[])]).len(), 0);
    }

    #[test]
    fn mail_addresses_may_have_letters_of_all_languages_and_what_is_none_is_told() {
        let mut with_mails = entry("1", &["alice"], &[KEY]);
        let good = ["a@x", "jos\u{e9}@b\u{fc}cher.example", "\u{43f}@\u{440}\u{444}"];
        let bad = ["", "alice", "a b@x", "a\u{200b}@x", "a\u{202e}@x", "a\n@x"];
        with_mails.mails = good.iter().chain(&bad).map(ToString::to_string).collect();
        let believed = believe(vec![with_mails]);
        assert_eq!(believed.records[0].person.as_ref().unwrap().mails, good);
        assert_eq!(believed.dropped.len(), bad.len());
        assert!(believed.dropped[0].starts_with("alice: mail address 4: "), "{:?}", believed.dropped);
    }

    #[test]
    fn of_an_entry_with_more_values_than_people_have_some_count_and_that_is_told() {
        let mut entries = vec![entry("1", &["alice"], &[KEY]), entry("2", &["bob"], &[])];
        entries[0].mails = (0..5_000).map(|number| format!("a{number}@x")).collect();
        entries[1].mails = vec!["none".to_string(); 5_000];
        entries[1].keys = vec![b"none".to_vec(); 5_000];
        let names: Vec<String> = (0..5_000).map(|number| format!("n{number}")).collect();
        entries.push(entry("3", &names.iter().map(String::as_str).collect::<Vec<_>>(), &[KEY]));
        let believed = believe(entries);
        let people: Vec<_> = believed.records.iter().filter_map(|record| record.person.as_ref()).collect();
        assert_eq!(people[0].mails.len(), MOST_VALUES);
        assert_eq!((people.len(), people[1].mails.len(), people[1].rejected.len()), (2, 0, MOST_REJECTED));
        assert_eq!(believed.records[2].names.len(), MOST_VALUES);
        assert_eq!(believed.dropped[0], "alice: 5000 mail addresses, of which 64 count (mail-rejected)");
        assert_eq!(believed.dropped.len(), 1 + MOST_LINES + 1 + 1, "{:?}", believed.dropped);
        assert_eq!(believed.dropped[65], "bob: more was dropped from this entry, which is not listed");
        // So many of one's own, and no more, are all there.
        let mut with_mails = entry("1", &["alice"], &[KEY]);
        with_mails.mails = (0..MOST_VALUES).map(|number| format!("a{number}@x")).collect();
        assert_eq!(believe(vec![with_mails]).dropped, [""; 0]);
    }

    #[test]
    fn an_entry_that_is_dropped_is_named_by_its_place_too() {
        let somebody = Entry { dn: "cn=x,dc=y".to_string(), ..entry("1", &[], &[]) };
        assert_eq!(believe(vec![somebody]).dropped, ["cn=x,dc=y (1): no readable user name"]);
    }

    #[test]
    fn an_entry_with_a_second_name_lets_nobody_in() {
        let entries = [entry("1", &["mallory", "alice"], &[KEY]), entry("2", &["root"], &[KEY])];
        assert_eq!((people(&entries).len(), believe(entries.to_vec()).dropped.len()), (0, 2));
        let strange = believe(vec![entry("1", &["alice", "no name"], &[KEY]), entry("2", &["alice"], &[])]);
        assert_eq!((strange.dropped.len(), strange.records[0].names.len()), (2, 1));
    }
}
