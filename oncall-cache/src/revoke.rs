//! `revoke` and `unrevoke`: who is shut out on this host, now, with no network and no sync.
//!
//! The file is root's and every decision reads it. It is replaced whole, so that a login meets the old list or the
//! new one; and read again as a login would, so that a revocation that does not count is never called one.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use host::audit::{Escaped, Line};
use host::revoked::{LONGEST_REASON, Unreadable, is_reason};
use host::{Config, accounts, revoked};
use policy::{Mode, NameError, Principal, Revocation, Revoked, Rules, Timestamp, told_on_call};
use store::{StoreError, SyncLock};

use crate::check::World;
use crate::when::When;

/// What was done, and what somebody should look at.
#[derive(Debug)]
pub struct Changed {
    /// One line.
    pub text: String,
    /// Warnings.
    pub notes: Vec<String>,
}

/// Why nothing was done.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for is no person's name.
    Name(String, NameError),
    /// root is an account: shutting it out would close the console and shut out nobody.
    NoPerson,
    /// The reason does not fit on a line.
    Reason,
    /// Only root may.
    NotRoot,
    /// The list as it stands is not understood, or is not root's alone.
    Unreadable(Unreadable),
    /// It could not be written.
    Write(StoreError),
    /// There is no such revocation.
    NotRevoked(Principal),
}

impl Failure {
    /// 1 there is nothing to take back, 2 it could not be done, 64 wrong usage.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotRevoked(_) => 1,
            Self::NotRoot | Self::Unreadable(_) | Self::Write(_) => crate::CANNOT_TELL,
            Self::Name(..) | Self::NoPerson | Self::Reason => crate::USAGE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, error) => write!(f, "{}: not a person's name: {error}", Escaped(name)),
            Self::NoPerson => f.write_str("root is an account and no person; name the person"),
            Self::Reason => write!(f, "a reason is one line of at most {LONGEST_REASON} bytes"),
            Self::NotRoot => f.write_str("only root may change who is revoked; run it with sudo"),
            Self::Unreadable(unreadable) => write!(f, "nothing changed: {unreadable}"),
            Self::Write(StoreError::Busy(lock)) => {
                write!(
                    f,
                    "nothing changed: another revoke or unrevoke holds {}; run it again",
                    lock.display()
                )
            }
            Self::Write(error) => error.fmt(f),
            Self::NotRevoked(person) => write!(f, "{person} is not revoked on this host"),
        }
    }
}

/// Shuts `user` out, or says anew why they are.
pub fn revoke(config: &Path, user: &str, reason: &str, now: Timestamp) -> Result<Changed, Failure> {
    let person = person(config, user)?;
    let reason = reason.trim();
    if !is_reason(reason) {
        return Err(Failure::Reason);
    }
    let list = List::open(config)?;
    let revocation = Revocation { since: now, by: accounts::operator(), reason: reason.to_string() };
    let after = list.replace(&person, Some(&revocation))?;
    record(&person, "revoke", &revocation);
    let again = if list.revoked.names(&person) { "still " } else { "" };
    let by = &revocation.by;
    let text = format!("{person} is {again}revoked on this host (by {by}); sessions that are open stay open");
    Ok(Changed { text, notes: consequences(config, &person, &list.revoked, &after, now) })
}

/// Takes a revocation back.
pub fn unrevoke(config: &Path, user: &str) -> Result<Changed, Failure> {
    let person = person(config, user)?;
    let list = List::open(config)?;
    let Some(revocation) = list.revoked.get(&person) else { return Err(Failure::NotRevoked(person)) };
    list.replace(&person, None)?;
    record(&person, "unrevoke", revocation);
    let Revocation { since, by, .. } = revocation;
    let text = format!("{person} is no longer revoked on this host (was, since {since}, by {by})");
    Ok(Changed { text, notes: Vec::new() })
}

/// A person is revoked also where the configuration cannot be read, and says nothing of names.
fn person(config: &Path, user: &str) -> Result<Principal, Failure> {
    let rules = Config::load(config).map_or_else(|_| Rules::compiled(), |config| config.rules);
    let person = rules.person_of(user).map_err(|error| Failure::Name(user.to_string(), error))?;
    if person.as_str() == "root" { Err(Failure::NoPerson) } else { Ok(person) }
}

/// One line in the log: who was shut out, and by whom.
fn record(person: &Principal, verb: &str, revocation: &Revocation) {
    let Revocation { since, reason, .. } = revocation;
    Line::new(person.as_str(), verb, "revoked")
        .field("by", &accounts::operator())
        .field("since", &since.to_string())
        .field("why", reason)
        .send("oncall-cache");
}

/// The list as it stands, held so that nobody else changes it.
struct List {
    path: PathBuf,
    text: Vec<u8>,
    revoked: Revoked,
    _lock: SyncLock,
}

impl List {
    fn open(config: &Path) -> Result<Self, Failure> {
        if !accounts::is_root() {
            return Err(Failure::NotRoot);
        }
        let path = Config::revoked_beside(config);
        let lock = SyncLock::take(&path).map_err(Failure::Write)?;
        let text = revoked::text(&path).map_err(Failure::Unreadable)?;
        let revoked = revoked::parse(&path, &text).map_err(Failure::Unreadable)?;
        Ok(Self { path, text, revoked, _lock: lock })
    }

    /// Puts `revocation` in the place of whatever stands about `person`; the list as a login reads it then.
    fn replace(&self, person: &Principal, revocation: Option<&Revocation>) -> Result<Revoked, Failure> {
        let text = revoked::with(&self.text, person, revocation);
        let mode = fs::metadata(&self.path).map_or(0o644, |metadata| metadata.mode() & 0o777);
        let write = |temporary: &Path| fs::write(temporary, &text).map_err(|error| error.to_string());
        store::replace(&self.path, mode, write).map_err(Failure::Write)?;
        revoked::read(&self.path).map_err(Failure::Unreadable)
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
    let world = World::load(config, now);
    let mut notes = Vec::new();
    if world.mode(now).0 == Mode::Observe {
        notes.push(
            "nothing is enforced now: PAM refuses nobody; authkeys prints none of their keys".to_string(),
        );
    }
    let roster = match &world.roster {
        Ok(roster) => roster,
        Err((_, problem)) => {
            notes.push(format!("cannot tell who remains on call: {problem}"));
            return notes;
        }
    };
    let is_known =
        roster.eligible.contains_key(person) || roster.shifts.iter().any(|shift| shift.principal == *person);
    if !is_known {
        notes.push(format!("the roster does not know {person}; is the name right?"));
    }
    let on_call = |revoked, at| {
        told_on_call(&policy::Evidence { revoked: Ok(revoked), ..world.evidence() }, &world.rules, at)
            .unwrap_or_default()
    };
    if !on_call(before, now).iter().any(|(name, _)| *name == person) {
        return notes;
    }
    let told = |(name, until): &(&Principal, Timestamp)| format!("{name} until {}", When(*until, now));
    let remaining = on_call(after, now);
    if !remaining.is_empty() {
        let names: Vec<String> = remaining.iter().map(told).collect();
        notes.push(format!("{person} was on call here; who remains: {}", names.join(", ")));
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
        "warning: {person} was the last on call here; nobody remains; next: {}",
        next.as_deref().unwrap_or("nobody that is known")
    ));
    notes
}

/// How many hand-overs are looked at for the next person.
const MOST_STARTS: usize = 200;
