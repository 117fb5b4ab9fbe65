//! Shared accounts: the keys of the people whom the policy admits now, and, unless `explain` is false, those of
//! the people who could be admitted and are not, to tell them. sshd 9.8 and later count a key that is not printed
//! against the address it came from (`PerSourcePenalties`), and one that leads to a refusal in the session against nobody.

use std::collections::BTreeSet;

use host::Config;
use policy::{
    Account, Decision, Digest, Evidence, Facts, Ground, Judge, Login, Person, Principal, Reason, Revoked,
    Roster, Timestamp, Verdict,
};
use store::keys::{KeyCopy, KeyOwner};
use store::roster::{self, Part};
use store::{PublicKey, StoreError};

use crate::lookup::{MOST_LINES, Offered, Problem};
use crate::rules::{Candidate, Dropped, Owner, Standing, Why};

/// What is known of a shared account's keys.
#[derive(Debug, Default)]
pub struct Owned {
    /// The keys of those who are admitted, and of those who are told why not.
    pub keys: Vec<Candidate>,
    /// Keys of theirs that are nobody's.
    pub dropped: Vec<Dropped>,
    /// Those of the wanted keys that anybody in the directory has.
    pub found: Vec<PublicKey>,
    /// Those people, admitted or not, and what that rests on.
    pub people: Vec<(Principal, Decision)>,
    /// Why it cannot be told who is admitted, if so: then keys are there to tell that, and no others.
    pub undecided: Option<Reason>,
}

/// What is asked.
pub struct Question<'a> {
    pub config: &'a Config,
    pub account: &'a Account,
    pub revoked: &'a Revoked,
    /// The key that sshd says is offered: nothing else is looked for then.
    pub offered: Option<&'a Offered>,
    /// Keys of programs, which are looked for whoever has them.
    pub wanted: &'a [Digest],
    pub now: Timestamp,
}

/// The keys of everyone whom [`policy::decide`] admits to the account now, and of those who are told why not. A
/// key that two people have who may become root is nobody's.
pub fn keys(
    question: &Question<'_>,
    open: impl FnOnce() -> Result<KeyCopy, Problem>,
) -> Result<Owned, Problem> {
    let Question { config, revoked, wanted, now, .. } = question;
    let copy = open()?;
    let owners = match question.offered {
        Some(offered) => Some(owners(&copy, offered).map_err(Problem::Store)?),
        None => None,
    };
    let roster = match &owners {
        Some(owners) => roster_of(config, owners, *now),
        None => roster::read(&config.paths.roster, *now),
    };
    let roster = roster.map_err(Problem::Store)?;
    let evidence = Evidence { roster: Ok(&roster), revoked: Ok(revoked) };
    let judge = Judge::new(&evidence, &config.rules);
    let mut gathered =
        Gathering { question, copy: &copy, roster: &roster, judge: &judge, owned: Owned::default() };
    match &owners {
        Some(owners) => owners.iter().try_for_each(|owner| gathered.add(owner))?,
        None => gathered.add_everybody()?,
    }
    let mut owned = gathered.owned;
    owned.undecided = judge.cannot_tell(*now).map(|decision| decision.reason).or(owned.undecided);
    let explains = question.explains();
    if let Some(reason) = owned.undecided.filter(|_| !explains && owned.keys.is_empty()) {
        return Err(Problem::Undecided(reason));
    }
    for digest in *wanted {
        owned.found.extend(copy.key(digest).map_err(Problem::Store)?);
    }
    Ok(owned)
}

/// Whoever has the key in the directory: several, if it is nobody's.
fn owners(copy: &KeyCopy, offered: &Offered) -> Result<Vec<Principal>, StoreError> {
    let Some(key) = offered.key() else { return Ok(Vec::new()) };
    Ok(match copy.owner_of(key)? {
        KeyOwner::One(owner) => vec![owner],
        KeyOwner::Several(owners) => owners,
        KeyOwner::Nobody => Vec::new(),
    })
}

/// What the roster says of these people.
fn roster_of(config: &Config, people: &[Principal], now: Timestamp) -> Result<Roster, StoreError> {
    let schedules: BTreeSet<_> = config.rules.schedules();
    roster::read_part(&config.paths.roster, Part { schedules: &schedules, people, on_call: None }, now)
}

impl Question<'_> {
    /// Are those who are not admitted told so?
    fn explains(&self) -> bool {
        self.config.rules.shared(self.account.as_str()).is_some_and(|shared| shared.explain)
    }
}

/// People, one after the other, with their keys.
struct Gathering<'a> {
    question: &'a Question<'a>,
    copy: &'a KeyCopy,
    roster: &'a Roster,
    judge: &'a Judge<'a>,
    owned: Owned,
}

impl Gathering<'_> {
    /// Whoever is on call, then those who are told that they are not, as many as there are lines to print.
    fn add_everybody(&mut self) -> Result<(), Problem> {
        let (now, roster) = (self.question.now, self.roster);
        let current = roster.shifts.iter().filter(|shift| shift.window.contains(now));
        let on_call: BTreeSet<&Principal> = current.map(|shift| &shift.principal).collect();
        on_call.iter().try_for_each(|person| self.add(person))?;
        let mut others = roster.eligible.keys().filter(|person| !on_call.contains(person));
        let enough = self.owned.keys.len() + MOST_LINES;
        while self.question.explains() && self.owned.keys.len() < enough {
            let Some(person) = others.next() else { break };
            self.add(person)?;
        }
        Ok(())
    }

    /// Adds the keys of a person who is admitted, or told.
    fn add(&mut self, person: &Principal) -> Result<(), Problem> {
        let decision = self.decide(person);
        if decision.verdict == Verdict::CannotTell {
            self.owned.undecided.get_or_insert(decision.reason);
        }
        let standing = match decision.verdict {
            Verdict::Allow => Standing::Admitted(decision.until),
            _ if self.is_told(person, &decision) => Standing::Told,
            _ => return Ok(()),
        };
        // The roster knows who is eligible as of its own last sync; the copy may know better.
        if !self.copy.is_eligible(person).map_err(Problem::Store)? {
            let (verdict, reason) = (Verdict::Refuse, Reason::NotEligible);
            let decision = Decision { verdict, reason, ground: Ground::None, ..decision };
            self.owned.people.push((person.clone(), decision));
            return Ok(());
        }
        self.owned.people.push((person.clone(), decision));
        self.add_keys(person, &standing).map_err(Problem::Store)
    }

    fn add_keys(&mut self, person: &Principal, standing: &Standing) -> Result<(), StoreError> {
        let keys = self.copy.keys_of(person)?.unwrap_or_default();
        let offered = self.question.offered;
        for key in keys.into_iter().filter(|key| offered.is_none_or(|offered| offered.matches(key))) {
            let owners = match self.copy.owner_of(&key)? {
                KeyOwner::One(owner) => vec![owner],
                KeyOwner::Several(owners) => owners,
                KeyOwner::Nobody => Vec::new(),
            };
            let candidate =
                Candidate { key, owner: Owner::Person(person.clone()), standing: standing.clone() };
            match owners.as_slice() {
                [one] if one == person => self.owned.keys.push(candidate),
                _ => self.owned.dropped.push(Dropped { candidate, why: Why::Owners(owners) }),
            }
        }
        Ok(())
    }

    fn decide(&self, person: &Principal) -> Decision {
        let Question { account, now, .. } = self.question;
        // What sshd asks about is an account in [[policy.shared]]; that alone makes it guarded, so its uid
        // and groups need not be looked up.
        let facts = Facts::default();
        let (account, person) = (account.as_str(), Person::Known(person));
        let login = Login { service: "sshd", account, facts: &facts, person, tty: "", place: "" };
        self.judge.decide(&login, *now)
    }

    /// Is this somebody who is told why they are not admitted?
    fn is_told(&self, person: &Principal, decision: &Decision) -> bool {
        let is_off_call = matches!(decision.reason, Reason::NotOnCall | Reason::NoRule);
        let is_either = is_off_call || decision.verdict == Verdict::CannotTell;
        is_either && self.question.explains() && self.roster.is_eligible(person)
    }
}
