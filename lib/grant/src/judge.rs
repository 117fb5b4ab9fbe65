//! Is a grant accepted on this host, and whom does it admit afterwards?

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use policy::revocations::Subject;
use policy::{Account, Digest, GrantRule, Host, Principal, Quorum, Revoked, Rules, Span, Timestamp};
use signed::SignatureError;

use crate::quorum::{approvals, people};
use crate::{Approval, Grant, GrantId, Holders, Refusal};

/// How long after it was issued a grant may be brought, and may begin: nobody keeps a stock of them.
pub const OLDEST: Span = Span::hours(24);

/// What a host knows when it judges.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The name of its fleet or site.
    pub site: &'a str,
    /// The host itself.
    pub host: &'a Host,
    /// Who has which key.
    pub holders: &'a Holders,
    /// Who is revoked, which keys are, and which grants in the whole fleet.
    pub revoked: &'a Revoked,
    /// The grants that root of this host has revoked.
    pub revoked_grants: &'a BTreeSet<GrantId>,
    /// Since when this host remembers what it accepted and revoked: of what was issued before, it cannot tell.
    pub memory: Timestamp,
}

/// A grant that was accepted: in force until the end of its window, unless something in it is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The grant.
    pub grant: Grant,
    /// Who let the person in.
    pub approvals: Vec<Approval>,
    /// How many people that had to be.
    pub quorum: Quorum,
}

/// Judges a grant that is brought to this host. `signatures` has, for each one below the text, the key that it is by or why
/// it is none ([`crate::Document::signatures`]); they are looked at last, since that is what costs.
///
/// # Errors
/// The first thing that speaks against it.
pub fn judge(
    grant: &Grant,
    known: &Known<'_>,
    rule: &GrantRule,
    signatures: impl IntoIterator<Item = Result<Digest, SignatureError>>,
    now: Timestamp,
) -> Result<Accepted, Refusal> {
    known.is_meant(grant)?;
    if !rule.hosts.iter().any(|selector| selector.covers(known.host)) {
        return Err(Refusal::NoRule(known.host.name.clone()));
    }
    if !rule.accounts.contains(&grant.account) {
        return Err(Refusal::Account(grant.account.clone()));
    }
    if rule.is_break_glass() && !rule.people.contains(&grant.person) {
        return Err(Refusal::NotListed(grant.person.clone()));
    }
    own_key(grant, known, rule)?;
    known.is_revoked(grant, now)?;
    length(grant, rule.longest())?;
    age(grant, now)?;
    if grant.issued < known.memory {
        return Err(Refusal::Forgotten(known.memory));
    }
    if now < grant.window.start() {
        return Err(Refusal::Early(grant.window.start()));
    }
    let approvals = approvals(grant, known, rule, signatures.into_iter(), now)?;
    Ok(Accepted { grant: grant.clone(), approvals, quorum: rule.quorum })
}

impl Known<'_> {
    fn is_meant(&self, grant: &Grant) -> Result<(), Refusal> {
        if grant.site != self.site {
            return Err(Refusal::Site(grant.site.clone()));
        }
        if !grant.hosts.contains(&self.host.name) {
            return Err(Refusal::Host(self.host.name.clone()));
        }
        Ok(())
    }

    /// Is the grant, its person or that person's key revoked?
    fn is_revoked(&self, grant: &Grant, now: Timestamp) -> Result<(), Refusal> {
        let id = grant.id.to_string();
        if self.revoked.names_grant(&id, now) || self.revoked_grants.contains(&grant.id) {
            return Err(Refusal::Revoked(Subject::Grant(id)));
        }
        if self.revoked.names(&grant.person, now) {
            return Err(Refusal::Revoked(Subject::Person(grant.person.clone())));
        }
        match grant.key.as_ref().map(key::PublicKey::sha256) {
            Some(key) if self.revoked.key(&key, now).is_some() => Err(Refusal::Revoked(Subject::Key(key))),
            _ => Ok(()),
        }
    }
}

/// The key in the grant is the person's, as far as this host knows: not an approver's, who would let himself in under
/// another's name; and not somebody else's alone.
fn own_key(grant: &Grant, known: &Known<'_>, rule: &GrantRule) -> Result<(), Refusal> {
    let Some(key) = grant.key.as_ref().map(key::PublicKey::sha256) else { return Ok(()) };
    let others = || known.holders.of_key(&key).filter(|person| **person != grant.person);
    let approver = others().find(|person| rule.approvers.contains(person));
    let stranger = others().next().filter(|_| !known.holders.has(&grant.person, &key));
    approver.or(stranger).map_or(Ok(()), |other| Err(Refusal::KeyOf(other.clone())))
}

/// Could any host take it, by whatever rule, at `now` or once it begins? What nobody should sign any more, or yet.
///
/// # Errors
/// No host could; why.
pub fn may_be_signed(grant: &Grant, now: Timestamp) -> Result<(), Refusal> {
    length(grant, GrantRule::LONGEST)?;
    age(grant, now)
}

fn length(grant: &Grant, max: Span) -> Result<(), Refusal> {
    let length = grant.window.end().since(grant.window.start());
    if length > max {
        return Err(Refusal::TooLong { length, max });
    }
    if grant.window.start().since(grant.issued) > OLDEST {
        return Err(Refusal::Ahead(grant.window.start()));
    }
    Ok(())
}

fn age(grant: &Grant, now: Timestamp) -> Result<(), Refusal> {
    if now >= grant.window.end() {
        return Err(Refusal::Ended(grant.window.end()));
    }
    if now.since(grant.issued) > OLDEST {
        return Err(Refusal::Stale(grant.issued));
    }
    // The clock of whoever asked may be a little ahead. One that is far ahead would make a stock of what is signed now.
    if grant.issued > now.plus(Rules::SKEW) {
        return Err(Refusal::Early(grant.issued));
    }
    Ok(())
}

impl Accepted {
    /// Who let the person in, each once, in order.
    pub fn approvers(&self) -> BTreeSet<&Principal> {
        self.approvals.iter().map(|approval| &approval.person).collect()
    }

    /// The first instant at which it is over.
    pub fn until(&self) -> Timestamp {
        self.grant.window.end()
    }

    /// Does it let `person` into `account` of this host now, and until when? Who has which key, and how old a copy is, was
    /// judged when it was accepted; from then on only revocations count.
    ///
    /// # Errors
    /// It does not; why.
    pub fn admits(
        &self,
        person: &Principal,
        account: &Account,
        known: &Known<'_>,
        now: Timestamp,
    ) -> Result<Timestamp, Refusal> {
        known.is_meant(&self.grant)?;
        if *account != self.grant.account {
            return Err(Refusal::Account(account.clone()));
        }
        if *person != self.grant.person {
            return Err(Refusal::Person(person.clone()));
        }
        known.is_revoked(&self.grant, now)?;
        if now >= self.until() {
            return Err(Refusal::Ended(self.until()));
        }
        if now < self.grant.window.start() {
            return Err(Refusal::Early(self.grant.window.start()));
        }
        let standing = self.approvals.iter().filter(|approval| approval.revoked(known, now).is_none());
        let (people, wanted) = (people(standing), self.quorum.people());
        if people >= wanted {
            return Ok(self.until());
        }
        let fallen = self.approvals.iter().find_map(|approval| approval.revoked(known, now));
        Err(fallen.map_or(Refusal::Quorum { people, wanted }, Refusal::Revoked))
    }
}
