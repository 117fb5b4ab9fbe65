//! Shared accounts: the keys of the people whom the policy admits now, and, unless `explain` is false, those of
//! the people who could be admitted and are not, to tell them. sshd 9.8 and later count a key that is not printed
//! against the address it came from (`PerSourcePenalties`), and one that leads to a refusal in the session against nobody.

use host::Config;
use policy::{
    Account, Decision, Digest, Evidence, Facts, Ground, Login, Person, Principal, Reason, Revoked, Roster,
    Timestamp,
};
use policy::{Verdict, admitted, decide};
use store::keys::{KeyCopy, KeyOwner};
use store::{PublicKey, roster};

use crate::lookup::Problem;
use crate::rules::{Candidate, Dropped, Owner, Standing, Why};

/// What is known of a shared account's keys.
#[derive(Debug, Default)]
pub struct Owned {
    /// The keys; of those who are admitted first.
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

/// The keys of everyone whom [`policy::decide`] admits to `account` now, and of those who are told why not. A
/// key that two people have who may become root is nobody's. `wanted` are looked for whoever has them.
pub fn keys(
    config: &Config,
    account: &Account,
    revoked: &Revoked,
    wanted: &[Digest],
    open: impl FnOnce() -> Result<KeyCopy, Problem>,
    now: Timestamp,
) -> Result<Owned, Problem> {
    let roster = roster::read(&config.paths.roster, now).map_err(Problem::Store)?;
    let (people, undecided) = people(config, account, &roster, revoked, now)
        .map_err(|decision| Problem::Undecided(decision.reason))?;
    let copy = open()?;
    let mut owned = Owned { undecided, ..Owned::default() };
    for (person, standing, decision) in people {
        // The roster knows who is eligible as of its own last sync; the copy may know better.
        if !copy.is_eligible(person).map_err(Problem::Store)? {
            let (verdict, reason) = (Verdict::Refuse, Reason::NotEligible);
            owned
                .people
                .push((person.clone(), Decision { verdict, reason, ground: Ground::None, ..decision }));
            continue;
        }
        owned.people.push((person.clone(), decision));
        for key in copy.keys_of(person).map_err(Problem::Store)?.unwrap_or_default() {
            let owners = match copy.owner_of(&key).map_err(Problem::Store)? {
                KeyOwner::One(owner) => vec![owner],
                KeyOwner::Several(owners) => owners,
                KeyOwner::Nobody => Vec::new(),
            };
            let owner = Owner::Person(person.clone());
            let candidate = Candidate { key, owner, standing: standing.clone() };
            match owners.as_slice() {
                [one] if one == person => owned.keys.push(candidate),
                _ => owned.dropped.push(Dropped { candidate, why: Why::Owners(owners) }),
            }
        }
    }
    for digest in wanted {
        owned.found.extend(copy.key(digest).map_err(Problem::Store)?);
    }
    Ok(owned)
}

type People<'r> = Vec<(&'r Principal, Standing, Decision)>;

/// The people whose keys are printed, and what for; and why it cannot be told who is admitted, if so.
fn people<'r>(
    config: &Config,
    account: &Account,
    roster: &'r Roster,
    revoked: &'r Revoked,
    now: Timestamp,
) -> Result<(People<'r>, Option<Reason>), Decision> {
    // What sshd asks about is an account in [[policy.shared]]; that alone makes it guarded, so its uid
    // and groups need not be looked up.
    let (facts, evidence) = (Facts::default(), Evidence { roster: Ok(roster), revoked: Ok(revoked) });
    let ask = |person: &Principal| {
        let login = Login {
            service: "sshd",
            account: account.as_str(),
            facts: &facts,
            person: Person::Known(person),
            tty: "",
            place: "",
        };
        decide(&login, &evidence, &config.rules, now)
    };
    let explains = config.rules.shared(account.as_str()).is_some_and(|shared| shared.explain);
    let admitted = admitted("sshd", account.as_str(), &facts, &evidence, &config.rules, now);
    let (admitted, undecided) = match admitted {
        Ok(admitted) => (admitted, None),
        Err(decision) if explains => (Vec::new(), Some(decision.reason)),
        Err(decision) => return Err(decision),
    };
    let with_ground = |person| {
        let decision = ask(person);
        (person, Standing::Admitted(decision.until), decision)
    };
    let mut people: Vec<_> = admitted.into_iter().map(with_ground).collect();
    if explains {
        let eligible = roster.eligible.keys().filter(|person| roster.is_eligible(person));
        let is_told = |decision: &Decision| {
            decision.verdict == Verdict::CannotTell
                || matches!(decision.reason, Reason::NotOnCall | Reason::NoRule)
        };
        let told = eligible.map(|person| (person, Standing::Told, ask(person)));
        people.extend(told.filter(|(_, _, decision)| is_told(decision)));
    }
    Ok((people, undecided))
}
