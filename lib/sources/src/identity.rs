//! Provider user to principal: by the configured table, else by mail address; never guessed.
//!
//! A mail address is compared byte for byte but for ASCII case. Ambiguity is judged among eligible
//! people only: anyone may be able to edit their own mail address, and must not be able to take an
//! on-caller's away by claiming it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use policy::Principal;
use store::keys::Contact;

use crate::User;

/// The directory's people, as provider users are looked up among them.
pub struct People<'a> {
    /// Each address of each person, in the order of addresses without regard to ASCII case. Of a large directory this is
    /// most of what a sync holds in memory, so no address is copied.
    by_mail: Vec<(&'a str, &'a Contact)>,
    /// In the order of names.
    by_name: Vec<&'a Contact>,
    keys: Keys<'a>,
}

/// How many usable keys a person has: asked of few, because to judge those of everybody takes most of a sync.
pub type Keys<'a> = &'a dyn Fn(&Principal) -> usize;

/// Who a provider user is here, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The person.
    pub principal: Principal,
    /// By what.
    pub ground: MappedBy,
}

/// By what a provider user was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappedBy {
    /// `[oncall.source.people]`.
    Table,
    /// A mail address.
    Mail,
    /// The source speaks of people by the directory's names.
    Name,
}

impl fmt::Display for MappedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Mail => "mail",
            Self::Name => "name",
        })
    }
}

/// Why a provider user is nobody here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmapped {
    /// One answer tells two mail addresses, or names, of the same user id; which of the two it is.
    Disputed(&'static str),
    /// The provider tells no address, and no table entry names the user.
    NoMail,
    /// Nobody in the directory has the address.
    NoSuchMail(String),
    /// The directory has nobody of this name.
    NoSuchPerson(String),
    /// The address was one person's and is another's now (`ambiguous-person`); who it was, who it would be.
    Moved(Principal, Principal),
    /// Several eligible people, or several provider users, have the address (`ambiguous-person`).
    Ambiguous(String),
}

impl fmt::Display for Unmapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disputed(what) => write!(
                f,
                "the source gives this user two {what} (ambiguous-person), so their shifts count for nobody; name them in [oncall.source.people], or correct it at the source"
            ),
            Self::NoMail => f.write_str("has no mail address; name them in [oncall.source.people]"),
            Self::NoSuchMail(mail) => write!(
                f,
                "no directory entry has {mail}; add it there, or name them in [oncall.source.people]"
            ),
            Self::NoSuchPerson(name) => write!(f, "the directory has no user {name}"),
            Self::Moved(was, would) => write!(
                f,
                "was {was} and would now become {would} (ambiguous-person); if that is right: oncall-cache sync --accept, or name them in [oncall.source.people]"
            ),
            Self::Ambiguous(mail) => {
                write!(f, "{mail} belongs to several people (ambiguous-person); give each their own")
            }
        }
    }
}

impl<'a> People<'a> {
    /// Indexes `people`, who have `keys`.
    pub fn new(people: &'a [Contact], keys: Keys<'a>) -> Self {
        let addresses = people.iter().flat_map(|it| it.mails.iter().map(move |mail| (mail.as_str(), it)));
        let mut by_mail: Vec<(&str, &Contact)> = addresses.collect();
        by_mail.sort_by(|left, right| folded(left.0).cmp(folded(right.0)));
        // Whoever lists an address in two spellings has it once.
        by_mail.dedup_by(|right, left| {
            left.1.principal == right.1.principal && left.0.eq_ignore_ascii_case(right.0)
        });
        let mut by_name: Vec<&Contact> = people.iter().collect();
        by_name.sort_by_key(|person| person.principal.as_str());
        Self { by_mail, by_name, keys }
    }

    /// The person of that name.
    pub fn find(&self, principal: &Principal) -> Option<&'a Contact> {
        self.named(principal.as_str())
    }

    fn named(&self, name: &str) -> Option<&'a Contact> {
        let at = self.by_name.binary_search_by_key(&name, |person| person.principal.as_str()).ok()?;
        self.by_name.get(at).copied()
    }

    /// Whoever has this address.
    fn owners(&self, mail: &str) -> &[(&'a str, &'a Contact)] {
        let start = self.by_mail.partition_point(|(other, _)| folded(other).lt(folded(mail)));
        let rest = self.by_mail.get(start..).unwrap_or_default();
        let end = rest.partition_point(|(other, _)| other.eq_ignore_ascii_case(mail));
        rest.get(..end).unwrap_or_default()
    }

    /// How many keys the person has that open something.
    pub fn usable_keys(&self, person: &Contact) -> usize {
        if person.disabled.is_some() { 0 } else { (self.keys)(&person.principal) }
    }

    /// The principals of the users of one source. Each is judged beside the others: an address that two
    /// provider users have is nobody's.
    pub fn map(
        &self,
        users: &BTreeSet<&User>,
        table: &BTreeMap<String, Principal>,
    ) -> BTreeMap<String, Result<Mapped, Unmapped>> {
        let mut claims: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for user in users {
            if let Some(mail) = &user.mail {
                claims.entry(mail.to_ascii_lowercase()).or_default().insert(&user.id);
            }
        }
        let shared: BTreeSet<&str> =
            claims.iter().filter(|(_, ids)| ids.len() > 1).map(|(mail, _)| mail.as_str()).collect();
        users.iter().map(|user| (user.id.clone(), self.one(user, table, &shared))).collect()
    }

    /// Everybody else in the directory who has the user's address; they are not asked, but worth a look.
    pub fn other_claimants(&self, user: &User, mapped: &Principal) -> Vec<&'a Principal> {
        let owners = user.mail.as_deref().map(|mail| self.owners(mail)).unwrap_or_default();
        owners.iter().map(|(_, one)| &one.principal).filter(|principal| *principal != mapped).collect()
    }

    fn one(
        &self,
        user: &User,
        table: &BTreeMap<String, Principal>,
        shared: &BTreeSet<&str>,
    ) -> Result<Mapped, Unmapped> {
        let by = |ground, principal: &Principal| Ok(Mapped { principal: principal.clone(), ground });
        // By id alone: what else is told of the user decides nothing, so two tellings of it are no doubt about who it is.
        if let Some(principal) = table.get(&user.id) {
            return by(MappedBy::Table, principal);
        }
        if let Some(what) = user.disputed {
            return Err(Unmapped::Disputed(what));
        }
        if let Some(name) = &user.principal {
            return match self.named(name) {
                Some(person) => by(MappedBy::Name, &person.principal),
                None => Err(Unmapped::NoSuchPerson(name.clone())),
            };
        }
        let mail = user.mail.as_ref().ok_or(Unmapped::NoMail)?.to_ascii_lowercase();
        if shared.contains(mail.as_str()) {
            return Err(Unmapped::Ambiguous(mail));
        }
        let owners = self.owners(&mail);
        let eligible: Vec<&Contact> =
            owners.iter().map(|(_, person)| *person).filter(|person| person.eligible).collect();
        match (eligible.as_slice(), owners) {
            ([one], _) => by(MappedBy::Mail, &one.principal),
            ([], [(_, one)]) => by(MappedBy::Mail, &one.principal),
            ([], []) => Err(Unmapped::NoSuchMail(mail)),
            _ => Err(Unmapped::Ambiguous(mail)),
        }
    }
}

/// The bytes of an address, its ASCII letters small: as it is compared.
fn folded(mail: &str) -> impl Iterator<Item = u8> {
    mail.bytes().map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, mail: &str, eligible: bool) -> Contact {
        Contact {
            principal: Principal::new(name).unwrap(),
            mails: vec![mail.to_string()],
            eligible,
            disabled: None,
        }
    }

    fn user(id: &str, mail: Option<&str>) -> User {
        let mail = mail.map(ToString::to_string);
        User { id: id.to_string(), mail, principal: None, label: None, disputed: None }
    }

    fn mapped(people: &[Contact], users: &[User]) -> Vec<String> {
        let table = BTreeMap::from([("PTABLE".to_string(), Principal::new("tabled").unwrap())]);
        let index = People::new(people, &|_| 1);
        index
            .map(&users.iter().collect(), &table)
            .into_values()
            .map(|result| result.map_or_else(|why| why.to_string(), |mapped| mapped.principal.to_string()))
            .collect()
    }

    #[test]
    fn a31_addresses_are_equal_but_for_ascii_case() {
        let people = [person("alice", "Alice@Example.COM", true)];
        assert_eq!(mapped(&people, &[user("1", Some("aLICE@example.com"))]), ["alice"]);
        assert!(
            mapped(&people, &[user("1", Some("alice@examp\u{142}e.com"))])[0]
                .contains("no directory entry has")
        );
        assert!(
            mapped(&people, &[user("1", Some("alice+x@example.com"))])[0].contains("no directory entry has")
        );
    }

    #[test]
    fn a30_an_address_of_two_eligible_people_or_two_users_is_nobodys() {
        let two = [person("alice", "a@x.y", true), person("bob", "A@x.y", true)];
        assert!(mapped(&two, &[user("1", Some("a@x.y"))])[0].contains("ambiguous-person"));
        let one = [person("alice", "a@x.y", true)];
        for answer in mapped(&one, &[user("1", Some("a@x.y")), user("2", Some("A@X.y"))]) {
            assert!(answer.contains("ambiguous-person"));
        }
    }

    #[test]
    fn an_address_is_found_among_many_and_once_of_each_person() {
        let mut people: Vec<Contact> =
            (0..500).map(|n| person(&format!("p{n}"), &format!("P{:03}@x.y", n * 7 % 500), true)).collect();
        people[3].mails.push("p021@X.Y".to_string());
        people[9].mails.push("p063".to_string());
        for n in 0..500 {
            let mail = format!("p{:03}@X.y", n * 7 % 500);
            assert_eq!(mapped(&people, &[user("1", Some(&mail))]), [format!("p{n}")], "{mail}");
        }
        let index = People::new(&people, &|_| 1);
        let (found, own) = (index.owners("p021@x.y"), Principal::new("p3").unwrap());
        assert_eq!(found.len(), 1, "two spellings of one address");
        assert!(index.other_claimants(&user("1", Some("P021@X.Y")), &own).is_empty());
        assert_eq!(index.find(&own).map(|it| &it.principal), Some(&own));
        assert!(index.owners("").is_empty() && index.owners("q").is_empty());
    }

    #[test]
    fn a30_an_ineligible_claimant_cannot_knock_the_on_caller_out() {
        let people = [person("alice", "a@x.y", true), person("mallory", "a@x.y", false)];
        assert_eq!(mapped(&people, &[user("1", Some("a@x.y"))]), ["alice"]);
    }

    #[test]
    fn a_user_described_in_two_ways_is_nobody_but_by_the_table() {
        let disputed = |id: &str| User { disputed: Some("names"), ..user(id, Some("a@x.y")) };
        let people = [person("alice", "a@x.y", true)];
        assert!(mapped(&people, &[disputed("P1")])[0].contains("gives this user two names"));
        assert_eq!(mapped(&people, &[disputed("PTABLE")]), ["tabled"]);
    }

    #[test]
    fn a29_without_an_address_only_the_table_helps() {
        assert_eq!(mapped(&[], &[user("PTABLE", None)]), ["tabled"]);
        assert!(mapped(&[], &[user("P1", None)])[0].contains("no mail address"));
    }
}
