//! Who is blocked on this host, whatever the rota, the directory or the rules say: by root of this host, and by the fleet
//! that it belongs to.
//!
//! Root writes one list by hand, and the last pull left the other; every decision reads both, with no network and no sync
//! in between. Neither takes back what the other says. Root's names people, not accounts; the fleet's names keys as well.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::revocations::{Order, Revocations, Subject};
use crate::{Digest, Principal, Span, Timestamp};

/// Who has the say of a revocation, and alone can take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Root of this host.
    Host,
    /// A collector, for all hosts of its fleet.
    Fleet,
}

impl Authority {
    /// Where it holds, behind "is revoked".
    pub const fn place(self) -> &'static str {
        match self {
            Self::Host => "on this host",
            Self::Fleet => "in the whole fleet",
        }
    }
}

/// One revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Who has the say of it.
    pub authority: Authority,
    /// Since when. Only shown, never compared: a clock that is wrong must not let anybody back in.
    pub since: Timestamp,
    /// The first instant at which it holds no more; `None`: until it is taken back.
    pub until: Option<Timestamp>,
    /// Who said so.
    pub by: String,
    /// Why, in their words; may be empty.
    pub reason: String,
}

impl Revocation {
    /// One that root of this host writes: it has no end.
    pub const fn by_root(since: Timestamp, by: String, reason: String) -> Self {
        Self { authority: Authority::Host, since, until: None, by, reason }
    }

    /// Who said so, in one word that also says with what authority: `root`, `fleet:eve`.
    pub fn speaker(&self) -> String {
        match self.authority {
            Authority::Host => self.by.clone(),
            Authority::Fleet => format!("fleet:{}", self.by),
        }
    }
}

impl From<&Order> for Revocation {
    fn from(Order { since, until, by, reason, .. }: &Order) -> Self {
        let (by, reason) = (by.clone(), reason.clone());
        Self { authority: Authority::Fleet, since: *since, until: *until, by, reason }
    }
}

/// Everybody who is revoked, and every key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked {
    here: BTreeMap<Principal, Revocation>,
    fleet: Option<FleetList>,
}

/// What the fleet says, and how old that may be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FleetList {
    list: Revocations,
    limit: Option<Span>,
}

impl Revoked {
    /// Nobody is.
    pub const fn nobody() -> Self {
        Self { here: BTreeMap::new(), fleet: None }
    }

    /// The same, on a host of a fleet that says this; `limit` is the age from which on the list counts as unknown.
    #[must_use]
    pub fn with_fleet(self, list: Revocations, limit: Option<Span>) -> Self {
        Self { fleet: Some(FleetList { list, limit }), ..self }
    }

    /// The same, however old the fleet's list may be.
    #[must_use]
    pub fn of_any_age(mut self) -> Self {
        if let Some(fleet) = &mut self.fleet {
            fleet.limit = None;
        }
        self
    }

    /// The revocation of `person` that holds at `now`, if one does; root's first.
    pub fn get(&self, person: &Principal, now: Timestamp) -> Option<Revocation> {
        self.here.get(person).cloned().or_else(|| self.get_in_fleet(person, now))
    }

    /// The same for the person with this name, if it can be a person's.
    pub fn get_by_name(&self, name: &str, now: Timestamp) -> Option<Revocation> {
        self.get(&Principal::new(name).ok()?, now)
    }

    /// Is `person` revoked at `now`?
    pub fn names(&self, person: &Principal, now: Timestamp) -> bool {
        self.here.contains_key(person) || self.get_in_fleet(person, now).is_some()
    }

    /// The revocation of a key that holds at `now`, if one does: it opens nothing, for nobody.
    pub fn key(&self, key: &Digest, now: Timestamp) -> Option<Revocation> {
        self.by_fleet(&Subject::Key(*key), now)
    }

    /// The same of the first of several keys.
    pub fn any_key(&self, keys: impl IntoIterator<Item = Digest>, now: Timestamp) -> Option<Revocation> {
        self.fleet.as_ref()?;
        keys.into_iter().find_map(|key| self.key(&key, now))
    }

    fn by_fleet(&self, subject: &Subject, now: Timestamp) -> Option<Revocation> {
        let order = self.fleet.as_ref()?.list.get(subject)?;
        order.holds(now).then(|| order.into())
    }

    /// What the fleet says of `person` at `now`, whatever root says.
    pub fn get_in_fleet(&self, person: &Principal, now: Timestamp) -> Option<Revocation> {
        self.fleet.as_ref()?;
        self.by_fleet(&Subject::Person(person.clone()), now)
    }

    /// Is what the fleet says older at `now` than it may be, or was it never read although it has to be young?
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let Some(FleetList { list, limit: Some(limit) }) = &self.fleet else { return false };
        list.read().is_none_or(|read| now.since(read) > *limit)
    }

    /// Everybody whom root of this host has revoked, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&Principal, &Revocation)> {
        self.here.iter()
    }

    /// Does the fleet say that this grant counts no more?
    pub fn names_grant(&self, id: &str, now: Timestamp) -> bool {
        let order = self.fleet().and_then(|list| list.get(&Subject::Grant(id.into())));
        order.is_some_and(|order| order.holds(now))
    }

    /// What the fleet says; `None` on a host of no fleet.
    pub fn fleet(&self) -> Option<&Revocations> {
        self.fleet.as_ref().map(|fleet| &fleet.list)
    }
}

impl FromIterator<(Principal, Revocation)> for Revoked {
    fn from_iter<T: IntoIterator<Item = (Principal, Revocation)>>(entries: T) -> Self {
        Self { here: entries.into_iter().collect(), fleet: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn list() -> Revocations {
        Revocations::parse(
            "revocations 1 2026-11-20T08:50:00Z\n\
             person alice 2 revoked 2026-11-20T08:00:00Z 2026-11-20T10:00:00Z eve left\n\
             person bob 2 lifted 2026-11-20T08:00:00Z - eve\n\
             key SHA256:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc 1 revoked 2026-11-20T08:00:00Z - eve\n",
        )
        .unwrap()
    }

    #[test]
    fn both_lists_count_and_neither_takes_back_what_the_other_says() {
        let name = |text: &str| Principal::new(text).unwrap();
        let by_root = Revocation::by_root(NOW, "root".to_string(), String::new());
        let root: Revoked = [("bob", by_root.clone()), ("carol", by_root.clone())]
            .map(|(person, revocation)| (name(person), revocation))
            .into_iter()
            .collect();
        let both = root.clone().with_fleet(list(), None);
        let speaker =
            |revoked: &Revoked, person: &str, now| revoked.get(&name(person), now).map(|one| one.speaker());
        assert_eq!(speaker(&both, "alice", NOW).as_deref(), Some("fleet:eve"));
        assert_eq!(speaker(&both, "bob", NOW).as_deref(), Some("root"), "lifted in the fleet alone");
        assert_eq!((speaker(&both, "dave", NOW), speaker(&root, "alice", NOW)), (None, None));
        let later = NOW.plus(Span::hours(1));
        assert!(both.names(&name("carol"), later) && !both.names(&name("alice"), later), "its end has come");
        assert!(both.key(&[7; 32], NOW).is_some() && both.key(&[8; 32], NOW).is_none());
        assert!(both.any_key([[8; 32], [7; 32]], NOW).is_some() && root.key(&[7; 32], NOW).is_none());
        assert_eq!(both.iter().count(), 2);
    }

    #[test]
    fn a_list_is_stale_where_its_age_is_limited_and_it_is_older_or_was_never_read() {
        let limit = Some(Span::minutes(10));
        let stale = |list, limit, now| Revoked::nobody().with_fleet(list, limit).is_stale(now);
        assert!(!stale(list(), limit, NOW) && stale(list(), limit, NOW.plus(Span::seconds(1))));
        assert!(!stale(list(), None, NOW.plus(Span::hours(99))) && !stale(Revocations::none(), None, NOW));
        assert!(stale(Revocations::none(), limit, NOW) && !Revoked::nobody().is_stale(NOW));
        assert!(!Revoked::nobody().with_fleet(Revocations::none(), limit).of_any_age().is_stale(NOW));
    }
}
