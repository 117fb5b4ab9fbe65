//! Shared accounts: the keys of the people whom the policy admits now, and, unless `explain_refusals` is false, those of
//! the people who could be admitted and are not, to tell them. sshd 9.8 and later count a key that is not printed
//! against the address it came from (`PerSourcePenalties`), and one that leads to a refusal in the session against nobody.

use std::collections::BTreeSet;
use std::slice;

use policy::{
    Account, Actor, Decision, Digest, Facts, Ground, Judge, Login, Principal, Reason, Roster, Rules,
    Timestamp, Verdict,
};
use state::{HostState, Others, RosterReader};
use store::keys::{KeyCopy, KeyOwner};
use store::{PublicKey, StoreError};

use crate::offered::Offered;
use crate::problem::Problem;
use crate::rules::{Candidate, Dropped, Owner, Standing, Why};

/// The most lines of one answer: a shared account has many owners of few keys.
pub const MOST_LINES: usize = 1024;

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
    pub state: &'a HostState,
    pub account: &'a Account,
    /// The key that sshd says is offered: nothing else is looked for then.
    pub offered: Option<&'a Offered>,
    /// Keys of programs, which are looked for in the whole directory.
    pub wanted: &'a [Digest],
    pub now: Timestamp,
}

/// The keys of everyone whom [`policy::decide`] admits to the account now, and of those who are told why not. A
/// key that two people have who may become root is nobody's.
pub fn keys(
    question: &Question<'_>,
    open: impl FnOnce() -> Result<KeyCopy, Problem>,
) -> Result<Owned, Problem> {
    let Question { state, wanted, now, .. } = question;
    let copy = open()?;
    let owners = match question.offered {
        Some(offered) => Some(owners(&copy, offered).map_err(Problem::Store)?),
        None => None,
    };
    let mut reader = state.roster_reader(*now)?;
    let mut gathered = Gathering { question, copy: &copy, owned: Owned::default() };
    match &owners {
        Some(owners) => {
            reader.read(owners, Others::Nobody)?;
            gathered.add_all(owners, &reader, usize::MAX)?;
        }
        None => gathered.add_everybody(&mut reader)?,
    }
    let mut owned = gathered.owned;
    let evidence = reader.evidence();
    let judge = Judge::new(&evidence, question.rules());
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

/// What a certificate of `person` is good for at the account, if anything, by the same decision as their keys; and the
/// reason.
pub fn standing_of(
    question: &Question<'_>,
    copy: &KeyCopy,
    person: &Principal,
) -> Result<(Option<Standing>, Reason), Problem> {
    let mut reader = question.state.roster_reader(question.now)?;
    reader.read(slice::from_ref(person), Others::Nobody)?;
    let evidence = reader.evidence();
    let judge = Judge::new(&evidence, question.rules());
    let (decision, standing) = question.judged(person, reader.roster(), &judge);
    match standing {
        Some(_) if !question.is_eligible(copy, person, &decision)? => Ok((None, Reason::NotEligible)),
        None if decision.verdict == Verdict::CannotTell => Err(Problem::Undecided(decision.reason)),
        standing => Ok((standing, decision.reason)),
    }
}

/// Who has the key in the directory; with several owners it opens nothing.
fn owners(copy: &KeyCopy, offered: &Offered) -> Result<Vec<Principal>, StoreError> {
    let Some(key) = offered.key() else { return Ok(Vec::new()) };
    Ok(match copy.owner_of(key)? {
        KeyOwner::One(owner) => vec![owner],
        KeyOwner::Several(owners) => owners,
        KeyOwner::Nobody => Vec::new(),
    })
}

impl Question<'_> {
    fn rules(&self) -> &Rules {
        self.state.rules()
    }

    /// Are those who are not admitted told so?
    fn explains(&self) -> bool {
        self.rules().shared(self.account.as_str()).is_some_and(|shared| shared.explain_refusals)
    }

    /// Is this somebody who is told why they are not admitted?
    fn is_told(&self, person: &Principal, decision: &Decision, roster: &Roster) -> bool {
        let is_off_call = matches!(decision.reason, Reason::NotOnCall | Reason::NoIncident | Reason::NoRule);
        let is_either = is_off_call || decision.verdict == Verdict::CannotTell;
        is_either && self.explains() && roster.is_eligible(person)
    }

    /// The decision about a person, and what their keys are good for by it.
    fn judged(&self, person: &Principal, roster: &Roster, judge: &Judge<'_>) -> (Decision, Option<Standing>) {
        let decision = self.decide(person, judge);
        let standing = match decision.verdict {
            Verdict::Allow => Some(Standing::Admitted(decision.until)),
            _ => self.is_told(person, &decision, roster).then_some(Standing::Told),
        };
        (decision, standing)
    }

    fn decide(&self, person: &Principal, judge: &Judge<'_>) -> Decision {
        // What sshd asks about is an account in [[policy.shared_account]]; that alone makes it guarded, so its uid
        // and groups need not be looked up.
        let facts = Facts::default();
        let (account, person) = (self.account.as_str(), Actor::Known(person));
        let login = Login { service: "sshd", account, facts: &facts, person, tty: "", place: "" };
        judge.decide(&login, self.now)
    }

    /// The roster knows who is eligible as of its own last sync; the copy may know better.
    fn is_eligible(&self, copy: &KeyCopy, person: &Principal, decision: &Decision) -> Result<bool, Problem> {
        let by_grant = matches!(decision.reason, Reason::Grant | Reason::BreakGlass);
        Ok(by_grant || copy.is_eligible(person).map_err(Problem::Store)?)
    }
}

/// People, one after the other, with their keys.
struct Gathering<'a> {
    question: &'a Question<'a>,
    copy: &'a KeyCopy,
    owned: Owned,
}

impl Gathering<'_> {
    /// Those who are on call, then those who are shown that they are not, as many as there are lines to print. Of a
    /// large roster no more is held at once than what it says of so many people.
    fn add_everybody(&mut self, reader: &mut RosterReader<'_>) -> Result<(), Problem> {
        let now = self.question.now;
        reader.read(&[], Others::All)?;
        let current = reader.roster().shifts.iter().filter(|shift| shift.window.contains(now));
        let on_call: BTreeSet<Principal> = current.map(|shift| shift.principal.clone()).collect();
        self.add_all(&on_call, reader, usize::MAX)?;
        let enough = self.owned.keys.len() + MOST_LINES;
        let mut last = None;
        while self.question.explains() && self.owned.keys.len() < enough {
            let mut people = reader.eligible(last.as_ref(), MOST_LINES)?;
            let Some(end) = people.last() else { break };
            last = Some(end.clone());
            people.retain(|person| !on_call.contains(person));
            reader.read(&people, Others::Nobody)?;
            self.add_all(&people, reader, enough)?;
        }
        Ok(())
    }

    /// Adds the keys of those of `people` who are admitted, or shown a refusal, by what was read of the roster; until
    /// there are `enough` keys.
    fn add_all<'p>(
        &mut self,
        people: impl IntoIterator<Item = &'p Principal>,
        reader: &RosterReader<'_>,
        enough: usize,
    ) -> Result<(), Problem> {
        let evidence = reader.evidence();
        let judge = Judge::new(&evidence, self.question.rules());
        let mut people = people.into_iter();
        while self.owned.keys.len() < enough {
            let Some(person) = people.next() else { break };
            self.add(person, reader.roster(), &judge)?;
        }
        Ok(())
    }

    fn add(&mut self, person: &Principal, roster: &Roster, judge: &Judge<'_>) -> Result<(), Problem> {
        let (decision, standing) = self.question.judged(person, roster, judge);
        if decision.verdict == Verdict::CannotTell {
            self.owned.undecided.get_or_insert(decision.reason);
        }
        let Some(standing) = standing else { return Ok(()) };
        if !self.question.is_eligible(self.copy, person, &decision)? {
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
}
