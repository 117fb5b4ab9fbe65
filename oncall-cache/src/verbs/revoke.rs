//! `revoke` and `unrevoke`: who is blocked on this host, now, with no network and no sync.
//!
//! The file is root's and every decision reads it. It is replaced whole, so that a login meets the old list or the
//! new one; and read again as a login would, so that a revocation that does not count is never called one.

use std::fmt;
use std::path::Path;

use host::orders::{LONGEST_REASON, is_reason};
use host::{Config, accounts, revoked};
use policy::{Mode, NameError, Principal, Revocation, Revoked, Rules, Timestamp, told_on_call};
use record::{Escaped, Line};
use state::{Asked, HostState};

use crate::held::{HeldError, HeldOrders, Matter, open_sessions};
use crate::said::{CANNOT_TELL, Live, Said, USAGE};
use crate::when::When;

/// Why nothing was done.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for is no person's name.
    Name(String, NameError),
    /// root is an account: shutting it out would close the console and block nobody.
    NoPerson,
    /// The reason does not fit on a line.
    Reason,
    /// The list cannot be changed.
    Held(HeldError),
    /// There is no such revocation.
    NotRevoked(Principal),
    /// Only the fleet revokes them.
    InFleet(Principal, Box<Revocation>),
}

impl Failure {
    /// 1 there is nothing to take back, 2 it could not be done, 64 wrong usage.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotRevoked(_) | Self::InFleet(..) => 1,
            Self::Held(_) => CANNOT_TELL,
            Self::Name(..) | Self::NoPerson | Self::Reason => USAGE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, error) => write!(f, "{}: not a person's name: {error}", Escaped(name)),
            Self::NoPerson => f.write_str("root is an account, not a person; name the person"),
            Self::Reason => write!(f, "a reason is one line of at most {LONGEST_REASON} bytes"),
            Self::Held(error) => error.fmt(f),
            Self::NotRevoked(person) => write!(f, "{person} is not revoked on this host"),
            Self::InFleet(person, revocation) => {
                write!(f, "{person} is not revoked by this host's root, but {}", by_fleet(person, revocation))
            }
        }
    }
}

/// Shuts `user` out, or says anew why they are.
pub fn run(config: &Path, user: &str, reason: &str, live: Live<'_>, now: Timestamp) -> Said {
    said(revoke(config, user, reason, live, now))
}

/// Takes a revocation back.
pub fn take_back(config: &Path, user: &str, live: Live<'_>, now: Timestamp) -> Said {
    said(unrevoke(config, user, live, now))
}

fn said(outcome: Result<Said, Failure>) -> Said {
    outcome.unwrap_or_else(|failure| Said::failure(failure.exit_code(), &failure))
}

fn revoke(config: &Path, user: &str, reason: &str, live: Live<'_>, now: Timestamp) -> Result<Said, Failure> {
    let person = person(config, user)?;
    let reason = reason.trim();
    if !is_reason(reason) {
        return Err(Failure::Reason);
    }
    let list = List::open(config, live)?;
    let revocation = Revocation::by_root(now, accounts::operator(), reason.to_string());
    let after = list.replace(&person, Some(&revocation))?;
    record(&person, "revoke", &revocation);
    let again = if list.revoked.names(&person, now) { "still " } else { "" };
    let by = &revocation.by;
    let open = open_sessions(config);
    let text = format!("{person} is {again}revoked on this host (by {by}); {open}");
    Ok(Said::default().notes(consequences(config, &person, &list.revoked, &after, now)).then(text))
}

fn unrevoke(config: &Path, user: &str, live: Live<'_>, now: Timestamp) -> Result<Said, Failure> {
    let person = person(config, user)?;
    let list = List::open(config, live)?;
    let state = HostState::load(config);
    let in_fleet = || state.revoked().ok()?.get_in_fleet(&person, now);
    let Some(revocation) = list.revoked.get(&person, now) else {
        return Err(match in_fleet() {
            Some(revocation) => Failure::InFleet(person, Box::new(revocation)),
            None => Failure::NotRevoked(person),
        });
    };
    list.replace(&person, None)?;
    record(&person, "unrevoke", &revocation);
    let Revocation { since, by, .. } = revocation;
    let told = format!("{person} is no longer revoked on this host (was, since {since}, by {by})");
    let note =
        in_fleet().map(|revocation| format!("{person} stays shut out: {}", by_fleet(&person, &revocation)));
    Ok(Said::default().then(told).notes(note))
}

/// What the fleet says, which nobody can lift here.
fn by_fleet(person: &Principal, revocation: &Revocation) -> String {
    let Revocation { authority, since, by, .. } = revocation;
    let place = authority.place();
    format!(
        "revoked {place} since {since} by {by}; only a collector can lift that: oncall-collector unrevoke {person}"
    )
}

/// A person is revoked also where the configuration cannot be read, and says nothing of names.
fn person(config: &Path, user: &str) -> Result<Principal, Failure> {
    let rules = Config::load(config).map_or_else(|_| Rules::compiled(), |config| config.rules);
    let person = rules.person_of(user).map_err(|error| Failure::Name(user.to_string(), error))?;
    if person.as_str() == "root" { Err(Failure::NoPerson) } else { Ok(person) }
}

/// One line in the log: who was blocked, and by whom.
fn record(person: &Principal, verb: &str, revocation: &Revocation) {
    let Revocation { since, reason, .. } = revocation;
    Line::new(person.as_str(), verb, "revoked")
        .field("by", &accounts::operator())
        .field("since", &since.to_string())
        .field("why", reason)
        .send("oncall-cache");
}

const MATTER: Matter = Matter { what: "change who is revoked", verbs: "revoke or unrevoke" };

/// The list, held so that nobody else changes it.
struct List {
    held: HeldOrders,
    revoked: Revoked,
}

impl List {
    fn open(config: &Path, live: Live<'_>) -> Result<Self, Failure> {
        let held = HeldOrders::take(&revoked::FILE, config, MATTER, live).map_err(Failure::Held)?;
        let revoked = revoked::parse(&held.path, &held.text);
        let revoked = revoked.map_err(|error| Failure::Held(HeldError::Unreadable(error)))?;
        Ok(Self { held, revoked })
    }

    /// Replaces what the list has about `person` by `revocation`; returns the list as a login then reads it.
    fn replace(&self, person: &Principal, revocation: Option<&Revocation>) -> Result<Revoked, Failure> {
        let text = revoked::with(&self.held.text, person, revocation);
        self.held.put(&text, revoked::read).map_err(Failure::Held)
    }
}

/// What follows for this host: who remains on call, and what a revocation does not reach.
fn consequences(
    config: &Path,
    person: &Principal,
    before: &Revoked,
    after: &Revoked,
    now: Timestamp,
) -> Vec<String> {
    let mut state = HostState::load(config);
    state.read_roster(Asked::Everything, now, now);
    let mut notes = Vec::new();
    if state.mode(now).0 == Mode::Observe {
        notes.push("nothing is enforced now: PAM refuses nobody; only their keys are withheld".to_string());
    }
    let roster = match state.roster() {
        Ok(roster) => roster,
        Err(problem) => {
            notes.push(format!("cannot tell who is still on call: {problem}"));
            return notes;
        }
    };
    let is_known =
        roster.eligible.contains_key(person) || roster.shifts.iter().any(|shift| shift.principal == *person);
    if !is_known {
        notes.push(format!("the roster does not know {person}; is the name right?"));
    }
    let on_call = |revoked, at| {
        told_on_call(&policy::Evidence { revoked: Ok(revoked), ..state.evidence() }, state.rules(), at)
            .unwrap_or_default()
    };
    let fleet = state.revoked().ok().and_then(|revoked| revoked.fleet());
    let with_fleet = |revoked: &Revoked| match fleet {
        Some(list) => revoked.clone().with_fleet(list.clone(), None),
        None => revoked.clone(),
    };
    let (before, after) = (&with_fleet(before), &with_fleet(after));
    if !on_call(before, now).iter().any(|(name, _)| *name == person) {
        return notes;
    }
    let told = |(name, until): &(&Principal, Timestamp)| format!("{name} until {}", When(*until, now));
    let remaining = on_call(after, now);
    if !remaining.is_empty() {
        let names: Vec<String> = remaining.iter().map(told).collect();
        notes.push(format!("{person} was on call here; still on call: {}", names.join(", ")));
        return notes;
    }
    let mut starts: Vec<Timestamp> =
        roster.shifts.iter().map(|shift| shift.window.start()).filter(|&start| start > now).collect();
    starts.sort_unstable();
    starts.dedup();
    let next = starts.iter().take(MOST_STARTS).find_map(|&start| {
        on_call(after, start).first().map(|(name, _)| format!("{name}, from {}", When(start, now)))
    });
    notes.push(format!(
        "warning: {person} was the only one on call here; nobody is left; next: {}",
        next.as_deref().unwrap_or("nobody known")
    ));
    notes
}

/// How many hand-overs are looked at for the next person.
const MOST_STARTS: usize = 200;
