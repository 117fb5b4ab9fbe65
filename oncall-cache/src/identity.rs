//! Provider user to principal: by the configured table, else by mail address; never guessed.
//!
//! A mail address is compared byte for byte but for ASCII case. Ambiguity is judged among eligible
//! people only: anyone may be able to edit their own mail address, and must not be able to take an
//! on-caller's away by claiming it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use host::Config;
use host::config::Source;
use policy::Principal;
use store::keys::Person;
use store::roster::{self, Mapping};

use crate::providers::User;

/// The directory's people, as provider users are looked up among them.
pub struct People<'a> {
    by_mail: BTreeMap<String, Vec<&'a Person>>,
    by_name: BTreeMap<&'a str, &'a Person>,
}

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
                "the source tells two {what} of this one user (ambiguous-person), so whose the shifts are cannot be told; name them in [oncall.source.people], or correct it there"
            ),
            Self::NoMail => f.write_str("has no mail address; name them in [oncall.source.people]"),
            Self::NoSuchMail(mail) => write!(
                f,
                "nobody in the directory has {mail}; add it there, or name them in [oncall.source.people]"
            ),
            Self::NoSuchPerson(name) => write!(f, "nobody in the directory is called {name}"),
            Self::Moved(was, would) => write!(
                f,
                "was {was} and would be {would} now (ambiguous-person); if that is right: oncall-cache sync --accept, or name them in [oncall.source.people]"
            ),
            Self::Ambiguous(mail) => {
                write!(f, "{mail} belongs to several people (ambiguous-person); give each their own")
            }
        }
    }
}

/// How the people of the roster were found, for those who ask why.
#[derive(Debug, Clone, Default)]
pub struct Mappings {
    /// What the roster says.
    pub found: BTreeSet<Mapping>,
    /// What people call the provider of each source.
    pub providers: BTreeMap<String, &'static str>,
}

impl Mappings {
    /// Reads what the last sync found out about a person. A roster that cannot be read tells nothing.
    pub fn read(config: &Config, person: &Principal) -> Self {
        let sources = &config.oncall.sources;
        let names = sources.iter().map(|source| source.name.as_str());
        let named = |source: &Source| (source.name.clone(), source.provider.label());
        Self {
            found: roster::mappings_of(&config.paths.roster, person, names).unwrap_or_default(),
            providers: sources.iter().map(named).collect(),
        }
    }

    /// `PagerDuty user PUALICE of source pd, by mail address`, for each source that knows `principal`.
    pub fn of(&self, principal: &Principal) -> Vec<String> {
        let ours = self.found.iter().filter(|mapping| mapping.principal == *principal);
        ours.map(|mapping| self.line(mapping)).collect()
    }

    fn line(&self, Mapping { source, user, ground, .. }: &Mapping) -> String {
        let provider = self.providers.get(source).copied().unwrap_or("a provider's");
        let user = if user.is_empty() { "user".to_string() } else { format!("user {user}") };
        let by = match ground.as_str() {
            "table" => "by [oncall.source.people]",
            "mail" => "by mail address",
            _ => "by the directory's name",
        };
        format!("{provider} {user} of source {source}, {by}")
    }
}

impl<'a> People<'a> {
    /// Indexes `people`.
    pub fn new(people: &'a [Person]) -> Self {
        let mut by_mail: BTreeMap<String, Vec<&Person>> = BTreeMap::new();
        for person in people {
            let folded: BTreeSet<String> =
                person.mails.iter().map(|mail| mail.to_ascii_lowercase()).collect();
            for mail in folded {
                by_mail.entry(mail).or_default().push(person);
            }
        }
        Self { by_mail, by_name: people.iter().map(|person| (person.principal.as_str(), person)).collect() }
    }

    /// The person of that name.
    pub fn find(&self, principal: &Principal) -> Option<&'a Person> {
        self.by_name.get(principal.as_str()).copied()
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
        let mail = user.mail.as_ref().map(|mail| mail.to_ascii_lowercase()).unwrap_or_default();
        let owners = self.by_mail.get(&mail).map(Vec::as_slice).unwrap_or_default();
        owners.iter().map(|person| &person.principal).filter(|principal| *principal != mapped).collect()
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
            return match self.by_name.get(name.as_str()) {
                Some(person) => by(MappedBy::Name, &person.principal),
                None => Err(Unmapped::NoSuchPerson(name.clone())),
            };
        }
        let mail = user.mail.as_ref().ok_or(Unmapped::NoMail)?.to_ascii_lowercase();
        if shared.contains(mail.as_str()) {
            return Err(Unmapped::Ambiguous(mail));
        }
        let owners = self.by_mail.get(&mail).map(Vec::as_slice).unwrap_or_default();
        let eligible: Vec<&&Person> = owners.iter().filter(|person| person.eligible).collect();
        match (eligible.as_slice(), owners) {
            ([one], _) => by(MappedBy::Mail, &one.principal),
            ([], [one]) => by(MappedBy::Mail, &one.principal),
            ([], []) => Err(Unmapped::NoSuchMail(mail)),
            _ => Err(Unmapped::Ambiguous(mail)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, mail: &str, eligible: bool) -> Person {
        Person {
            principal: Principal::new(name).unwrap(),
            id: name.to_string(),
            mails: vec![mail.to_string()],
            keys: vec![],
            rejected: vec![],
            eligible,
            disabled: None,
            begins: None,
            expires: None,
        }
    }

    fn user(id: &str, mail: Option<&str>) -> User {
        let mail = mail.map(ToString::to_string);
        User { id: id.to_string(), mail, principal: None, label: None, disputed: None }
    }

    fn mapped(people: &[Person], users: &[User]) -> Vec<String> {
        let table = BTreeMap::from([("PTABLE".to_string(), Principal::new("tabled").unwrap())]);
        let index = People::new(people);
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
                .contains("nobody in the directory has")
        );
        assert!(
            mapped(&people, &[user("1", Some("alice+x@example.com"))])[0]
                .contains("nobody in the directory has")
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
    fn a30_an_ineligible_claimant_cannot_knock_the_on_caller_out() {
        let people = [person("alice", "a@x.y", true), person("mallory", "a@x.y", false)];
        assert_eq!(mapped(&people, &[user("1", Some("a@x.y"))]), ["alice"]);
    }

    #[test]
    fn a_user_described_in_two_ways_is_nobody_but_by_the_table() {
        let disputed = |id: &str| User { disputed: Some("names"), ..user(id, Some("a@x.y")) };
        let people = [person("alice", "a@x.y", true)];
        assert!(mapped(&people, &[disputed("P1")])[0].contains("two names of this one user"));
        assert_eq!(mapped(&people, &[disputed("PTABLE")]), ["tabled"]);
    }

    #[test]
    fn a29_without_an_address_only_the_table_helps() {
        assert_eq!(mapped(&[], &[user("PTABLE", None)]), ["tabled"]);
        assert!(mapped(&[], &[user("P1", None)])[0].contains("no mail address"));
    }
}
