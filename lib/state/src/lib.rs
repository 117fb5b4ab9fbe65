//! What this host knows now: its configuration, then the orders of root, then as much of the roster as is asked.
//!
//! Whatever decides here, or shows what would be decided, gathers it as a [`HostState`], so that all of them meet the
//! same faults. Each part is read when it is asked for, and once: a login that is not guarded costs no more than the
//! configuration.

#![forbid(unsafe_code)]

mod broken;
pub mod certificates;
mod claims;
mod error;
mod grants;
mod reader;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use host::{Config, revoked, switch};
use policy::{
    Actor, Claim, Claims, Decision, Digest, ENOUGH_NAMES, Evidence, Granted, Ground, Login, Mode, ModeSource,
    OnCall as OnCallGround, Principal, Reason, Revoked, Roster, Rules, Schedule, Switch, Timestamp, decide,
    mode_in_force,
};
use store::StoreError;
use store::roster::{self, OnCall, RosterFile, Who};

pub use broken::{Unreviewed, Used, unreviewed};
pub use error::StateError;
pub use grants::Which;
pub use reader::RosterReader;

/// A part of what this host knows, or why it is not known; shared, so that an answer may carry it.
pub type Known<T> = Result<T, Rc<StateError>>;

/// What of the roster is asked: less is read then, and only that can make it damaged.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// All of it.
    Everything,
    /// What it says of these people, and of others who are on call.
    About(&'a [Principal], Others<'a>),
}

/// Of whom on call it is asked, beside people who are named.
#[derive(Debug, Clone, Copy)]
pub enum Others<'a> {
    /// Of nobody.
    Nobody,
    /// Of one whom their shift admits to this account, if there is any.
    One(&'a str),
    /// Of as many as a refusal names.
    Named,
    /// Of all.
    All,
}

/// What holds where the configuration cannot be read, and why it cannot.
#[derive(Debug)]
struct Unconfigured {
    rules: Rules,
    error: Rc<StateError>,
}

/// What this host knows at the moment of one decision.
#[derive(Debug)]
pub struct HostState {
    path: PathBuf,
    config: Result<Config, Unconfigured>,
    revoked: OnceCell<Known<Revoked>>,
    switch: OnceCell<Known<Switch>>,
    roster: Known<Read>,
    grants: Vec<Granted>,
    /// Why they cannot be told, if they cannot.
    grants_problem: Option<Rc<StateError>>,
    /// Are they given, so that none are read?
    has_given_grants: bool,
}

/// What was read of the roster.
#[derive(Debug)]
enum Read {
    /// All of it, whatever is asked.
    Whole(Roster),
    /// What was asked last. The file stays open: what is asked next is of the same publication, and its schedules are
    /// not read again.
    Part(Box<RosterFile>),
}

impl Read {
    fn roster(&self) -> &Roster {
        match self {
            Self::Whole(roster) => roster,
            Self::Part(file) => file.roster(),
        }
    }
}

impl HostState {
    /// Reads the configuration at `path`, and no more.
    pub fn load(path: &Path) -> Self {
        Self::with(path, Config::load(path).map_err(StateError::Config))
    }

    /// The same where the configuration is named in words that are not understood, as `problem` says: they may have been
    /// meant to name another one than `path`. Root's orders are those beside `path`.
    pub fn misnamed(path: &Path, problem: String) -> Self {
        Self::with(path, Err(StateError::Misnamed(problem)))
    }

    fn with(path: &Path, config: Result<Config, StateError>) -> Self {
        Self {
            path: path.to_path_buf(),
            config: config.map_err(|error| Unconfigured { rules: Rules::compiled(), error: Rc::new(error) }),
            revoked: OnceCell::new(),
            switch: OnceCell::new(),
            roster: Err(Rc::new(StateError::NotAsked)),
            grants: Vec::new(),
            grants_problem: None,
            has_given_grants: false,
        }
    }

    /// One of which everything is given and nothing is read, but a roster that was not asked for: to try decisions without
    /// files.
    pub fn of(
        config: Config,
        revoked: Result<Revoked, StateError>,
        switch: Result<Switch, StateError>,
        roster: Result<Roster, StateError>,
    ) -> Self {
        Self {
            path: config.path.clone(),
            config: Ok(config),
            revoked: OnceCell::from(revoked.map_err(Rc::new)),
            switch: OnceCell::from(switch.map_err(Rc::new)),
            roster: roster.map(Read::Whole).map_err(Rc::new),
            grants: Vec::new(),
            grants_problem: None,
            has_given_grants: false,
        }
    }

    /// Where the configuration is, readable or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration, or why it cannot be read.
    pub fn config(&self) -> Result<&Config, &Rc<StateError>> {
        self.config.as_ref().map_err(|unconfigured| &unconfigured.error)
    }

    /// What is decided by: the rules of the configuration, or the compiled ones if it cannot be read.
    pub fn rules(&self) -> &Rules {
        match &self.config {
            Ok(config) => &config.rules,
            Err(unconfigured) => &unconfigured.rules,
        }
    }

    /// Who is revoked, or why that cannot be told. Root's list is beside the configuration, and counts without it too; that
    /// of a fleet only where the configuration names one.
    pub fn revoked(&self) -> Result<&Revoked, &Rc<StateError>> {
        let read = || match &self.config {
            Ok(config) => revoked::all(config),
            Err(_) => revoked::read(&revoked::FILE.beside(&self.path)),
        };
        self.revoked.get_or_init(|| read().map_err(|error| Rc::new(StateError::Orders(error)))).as_ref()
    }

    /// What root has said about enforcing, or why that cannot be told.
    pub fn switch(&self) -> Result<&Switch, &Rc<StateError>> {
        let read = || switch::read(&switch::FILE.beside(&self.path));
        self.switch.get_or_init(|| read().map_err(|error| Rc::new(StateError::Orders(error)))).as_ref()
    }

    /// Is it known that this person is revoked at `now`? Where it is not known who is, nobody who is guarded is admitted.
    pub fn revokes(&self, person: &Principal, now: Timestamp) -> bool {
        self.revoked().is_ok_and(|revoked| revoked.names(person, now))
    }

    /// What follows from decisions at `now`, and where that comes from.
    pub fn mode(&self, now: Timestamp) -> (Mode, ModeSource<'_>) {
        mode_in_force(self.rules().mode, self.switch().ok(), now)
    }

    /// Reads what is asked of the roster. What could not be read once is not read again. Shifts are those at `at`; the
    /// clock that shows `now` judges whether the roster is trusted.
    pub fn read_roster(&mut self, asked: Asked<'_>, at: Timestamp, now: Timestamp) {
        let earlier = std::mem::replace(&mut self.roster, Err(Rc::new(StateError::NotAsked)));
        self.roster = match earlier {
            Ok(Read::Whole(roster)) => Ok(Read::Whole(roster)),
            Ok(Read::Part(file)) => self.read(asked, Some(file), at, now),
            Err(error) if !matches!(*error, StateError::NotAsked) => Err(error),
            Err(_) => self.read(asked, None, at, now),
        };
    }

    /// Reads what is asked; from `file`, if it is open already.
    fn read(
        &self,
        asked: Asked<'_>,
        file: Option<Box<RosterFile>>,
        at: Timestamp,
        now: Timestamp,
    ) -> Known<Read> {
        let config = self.config().map_err(Rc::clone)?;
        match asked {
            Asked::Everything => {
                let read = roster::read(&config.paths.roster, now);
                let mut roster = read.map_err(|error| of_roster(config, error))?;
                as_of(&mut roster, at, now);
                Ok(Read::Whole(roster))
            }
            Asked::About(people, others) => {
                let mut file = file.map_or_else(|| self.open(now), Ok)?;
                self.read_part(&mut file, people, others, at, now)?;
                Ok(Read::Part(file))
            }
        }
    }

    /// Opens the roster that the configuration names, and reads the schedules that its rules name.
    fn open(&self, now: Timestamp) -> Known<Box<RosterFile>> {
        let config = self.config().map_err(Rc::clone)?;
        let file = RosterFile::open(&config.paths.roster, &config.rules.schedules(), now);
        file.map(Box::new).map_err(|error| of_roster(config, error))
    }

    fn read_part(
        &self,
        file: &mut RosterFile,
        people: &[Principal],
        others: Others<'_>,
        at: Timestamp,
        now: Timestamp,
    ) -> Known<()> {
        let account = if let Others::One(account) = others { Some(account) } else { None };
        let admits = |shift: (&Schedule, u8), person: &Principal| {
            !self.revokes(person, at) && self.rules().shift_admits(account, shift, person, at)
        };
        let who = match others {
            Others::Nobody => None,
            // An incident may let in one of them and not another.
            Others::One(_) if self.rules().asks_incidents() => Some(Who::Everybody),
            Others::One(_) => Some(Who::UpTo(1, &admits)),
            Others::Named => Some(Who::UpTo(ENOUGH_NAMES, &admits)),
            Others::All => Some(Who::Everybody),
        };
        let read = file.read(people, who.map(|who| OnCall { at, who }));
        read.map_err(|error| Rc::new(StateError::Roster(error)))?;
        as_of(file.roster_mut(), at, now);
        Ok(())
    }

    /// Reads the grants that it is asked of; where it is not known who is revoked, none counts.
    pub fn read_grants(&mut self, which: Which<'_>, now: Timestamp) {
        if self.has_given_grants {
            return;
        }
        let read = |config: &Config| {
            let revoked = self.revoked().map_err(Rc::clone)?;
            grants::standing(config, revoked, which, now).map_err(Rc::new)
        };
        let is_asked = self.config().ok().filter(|config| config.rules.takes_grants());
        let read = is_asked.map_or(Ok(Vec::new()), read);
        self.grants_problem = read.as_ref().err().map(Rc::clone);
        self.grants = read.unwrap_or_default();
    }

    /// Who has this key by root's list of those who may sign grants.
    pub fn signers_with(&self, key: &Digest) -> Vec<Principal> {
        self.config().map(|config| grants::signers_with(config, key)).unwrap_or_default()
    }

    /// The grants that were read.
    pub fn grants(&self) -> &[Granted] {
        &self.grants
    }

    /// Why it cannot be told which grants stand, where that was asked and cannot be: who may not look at them is not
    /// told, and where a list cannot be read none counts.
    pub fn grants_problem(&self) -> Option<&StateError> {
        self.grants_problem.as_deref()
    }

    /// The same host, where these grants stand: to try decisions without files.
    #[must_use]
    pub fn with_grants(self, grants: Vec<Granted>) -> Self {
        Self { grants, grants_problem: None, has_given_grants: true, ..self }
    }

    /// The roster, to be read for many people one after the other; opened once, and held no longer than the reader.
    ///
    /// # Errors
    /// The configuration cannot be read, or the roster is missing or not trusted.
    pub fn roster_reader(&self, now: Timestamp) -> Known<RosterReader<'_>> {
        Ok(RosterReader::new(self, self.open(now)?, now))
    }

    /// What was asked of the roster, or why it is not known.
    pub fn roster(&self) -> Result<&Roster, &Rc<StateError>> {
        self.config()?;
        self.roster.as_ref().map(Read::roster)
    }

    /// What a decision is made from.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            roster: self.roster().map_err(|error| error.fault()),
            revoked: self.revoked().map_err(|error| error.fault()),
            grants: &self.grants,
            claims: Claims::NotAsked,
        }
    }

    /// The decision about `login` at `at`, as PAM takes it: where a rule asks people on call for a reason, it is looked for,
    /// at the clock that shows `now`. Where none can be stated, or who asks may not read it, none is missing.
    pub fn decide(&self, login: &Login<'_>, at: Timestamp, now: Timestamp) -> Decision {
        let with = |claims| decide(login, &Evidence { claims, ..self.evidence() }, self.rules(), at);
        let unasked = with(Claims::NotAsked);
        let (Ground::OnCall(OnCallGround { claim: Claim::NotAsked, .. }), Actor::Known(person), Ok(config)) =
            (&unasked.ground, login.person, self.config())
        else {
            return unasked;
        };
        let Some(claimed) = claims::stated(config, person, now) else { return unasked };
        let asked = with(Claims::Stated(claimed.as_ref()));
        let is_missing = asked.reason == Reason::ClaimNeeded;
        if is_missing && !claims::are_taken() { with(Claims::Closed) } else { asked }
    }

    /// What is wrong with the files that root wrote: with the first of them that is.
    pub fn problem(&self) -> Option<&StateError> {
        let orders = || self.revoked().err().or_else(|| self.switch().err());
        self.config().err().or_else(orders).map(Rc::as_ref)
    }

    /// Why a decision for this reason cannot tell.
    pub fn cause(&self, reason: Reason) -> Option<&StateError> {
        let error = match reason {
            Reason::RevokedUnreadable => self.revoked().err(),
            _ => self.roster().err(),
        };
        error.map(Rc::as_ref)
    }
}

/// Why the roster is not known, with the command that comes first.
fn of_roster(config: &Config, error: StoreError) -> Rc<StateError> {
    Rc::new(StateError::Roster(error.after(config.first_step())))
}

/// `roster`, asked about `at`. What is asked about the past is not this host's clock's to judge: of that the roster knows
/// nothing before its own date, and no more.
fn as_of(roster: &mut Roster, at: Timestamp, now: Timestamp) {
    if at < now.minus(Rules::SKEW) {
        roster.floor = roster.floor.min(roster.published);
    }
}

#[cfg(test)]
mod tests;
