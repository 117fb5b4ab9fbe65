//! Who is on call now, as sinks take it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use ::store::roster;
use host::config::OnCall as Sources;
use policy::{NOTICE, Principal, Roster, Timestamp};

use super::Sink;
use crate::config::Config;
use crate::handed::{self, Handed, NotHanded};

/// The rota that sinks are told from.
#[derive(Debug)]
pub struct Rota {
    /// Who is on call, and who may ever become root.
    pub roster: Roster,
    /// Who is revoked.
    pub revoked: BTreeSet<Principal>,
    /// The publication since which this collector has the turn; nothing, without a fleet.
    pub turn: Option<u64>,
    /// Why nothing of this but `revoked` is known, if so.
    pub unread: Option<String>,
}

/// Why there is no rota to tell of.
#[derive(Debug)]
pub enum RotaError {
    /// Another collector tells.
    StandsBy(String),
    /// It cannot be read, or is for others to tell of.
    Problem(String),
}

/// Who is on call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OnCall {
    /// Who.
    pub people: BTreeSet<Principal>,
    /// Who is left out and why, a line each.
    pub left_out: Vec<String>,
}

/// Why it cannot be told who is on call.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot tell who is on call, so nothing else is changed: {}", self.0)
    }
}

impl Rota {
    /// The rota at `at`: of the fleet whose collector has its configuration at `collector`; if there is no such file, of
    /// this host. Who is revoked is told also where the rota cannot be read.
    ///
    /// # Errors
    /// Others tell the sinks.
    pub fn read(collector: &Path, syncs: &host::Config, at: Timestamp) -> Result<Self, RotaError> {
        let problem = |error: &dyn fmt::Display| RotaError::Problem(error.to_string());
        if !collector.exists() {
            if syncs.fleet.is_some() {
                let text =
                    "this host follows a fleet, whose collectors tell the sinks; see [fleet] of config.toml";
                return Err(RotaError::Problem(text.into()));
            }
            let roster = roster::read(&syncs.paths.roster, at).map_err(|error| error.to_string());
            return Ok(Self::of(Handed { roster, revoked: Vec::new(), turn: None }, syncs, at));
        }
        let config = Config::load(collector).map_err(|error| problem(&error))?;
        match handed::take(&config.turn, config.patience(), at) {
            Ok(handed) => Ok(Self::of(handed, syncs, at)),
            Err(NotHanded::NoTurn) => {
                Err(RotaError::StandsBy("standing by: this collector does not publish now".into()))
            }
            Err(NotHanded::Old(age)) => Err(RotaError::StandsBy(format!(
                "standing by: this collector last published {age} ago, so another one may be at work"
            ))),
            Err(NotHanded::Unread(error)) => Err(problem(&error)),
        }
    }

    /// What was handed over, and who is revoked on this host besides.
    fn of(handed: Handed, syncs: &host::Config, at: Timestamp) -> Self {
        let Handed { roster, revoked, turn } = handed;
        let (roster, mut unread) = match roster {
            Ok(roster) => (roster, None),
            Err(problem) => (unknown(at), Some(problem)),
        };
        let mut revoked: BTreeSet<Principal> = revoked.into_iter().collect();
        match host::revoked::all(syncs) {
            Ok(here) => {
                revoked.extend(here.iter().map(|(person, _)| person.clone()));
                revoked.extend(people(&roster).filter(|person| here.names(person, at)).cloned());
            }
            // Nobody else is given anything then.
            Err(problem) => unread = Some(problem.to_string()),
        }
        Self { roster, revoked, turn, unread }
    }

    /// Has this person lost the right itself, whoever is on call? Where that is not known they have it.
    pub fn bars(&self, person: &Principal) -> bool {
        self.revoked.contains(person) || (self.unread.is_none() && !self.roster.is_eligible(person))
    }

    /// May `sink` show this person, or leave them a right, at all?
    pub fn allows(&self, sink: &Sink, person: &Principal) -> bool {
        !self.revoked.contains(person) && (!sink.kind.gives_rights() || self.roster.is_eligible(person))
    }

    /// Who is on call for `sink` at `at`, by shifts that are believed for as long as `sources` says. Who gets a right by
    /// it and would say why on a host, because the shift is late, waits until it is known for as long as one in time is.
    ///
    /// # Errors
    /// A schedule of the sink is not known now.
    pub fn on_call(&self, sink: &Sink, sources: &Sources, at: Timestamp) -> Result<OnCall, Unknown> {
        if let Some(problem) = &self.unread {
            return Err(Unknown(problem.clone()));
        }
        if !self.roster.clock_holds(at) {
            return Err(Unknown("this host's clock is behind; see `timedatectl`".into()));
        }
        let (mut found, mut waiting) = (OnCall::default(), BTreeMap::new());
        for wanted in &sink.schedules {
            let known = self.roster.schedules.iter().enumerate();
            let of_sink: Vec<_> = known.filter(|(_, one)| wanted.names(&one.reference)).collect();
            if of_sink.is_empty() {
                return Err(Unknown(format!(
                    "no schedule {wanted} is known; see `schedules`, and `oncall-cache status`"
                )));
            }
            for (number, schedule) in of_sink {
                if at >= schedule.believed_until(sources.ages.of(schedule).max_age) {
                    let age = at.since(schedule.synced);
                    return Err(Unknown(format!("{} was read {age} ago", schedule.reference)));
                }
                let now = self.roster.shifts.iter().filter(|shift| {
                    shift.schedule == number
                        && shift.level <= sink.max_escalation_level
                        && shift.window.contains(at)
                });
                let asks =
                    sink.kind.gives_rights() && sources.late_claims.contains(&schedule.reference.source);
                for shift in now {
                    let counts = self.roster.late_at(shift, at).map(|seen| seen.plus(NOTICE));
                    match counts.filter(|counts| asks && at < *counts) {
                        None => _ = found.people.insert(shift.principal.clone()),
                        Some(counts) => _ = waiting.insert(shift.principal.clone(), counts),
                    }
                }
            }
        }
        // Another shift of theirs may be known for longer.
        waiting.retain(|person, _| !found.people.contains(person));
        let mut leave_out = |why: &str, is_out: &dyn Fn(&Principal) -> bool| {
            let out: Vec<Principal> = found.people.iter().filter(|person| is_out(person)).cloned().collect();
            for person in out {
                found.people.remove(&person);
                found.left_out.push(format!("{person} is on call and {why}: left out"));
            }
        };
        leave_out("revoked", &|person| self.revoked.contains(person));
        if sink.kind.gives_rights() {
            leave_out("not eligible by the directory", &|person| !self.roster.is_eligible(person));
        }
        found.left_out.extend(waiting.into_iter().map(|(person, counts)| {
            format!("{person} is on call by a late shift, which counts here from {counts}: left out")
        }));
        Ok(found)
    }
}

/// Everybody who has a shift, or may have one.
fn people(roster: &Roster) -> impl Iterator<Item = &Principal> {
    roster.shifts.iter().map(|shift| &shift.principal).chain(roster.eligible.keys())
}

/// A rota of which nothing is known.
fn unknown(at: Timestamp) -> Roster {
    Roster {
        published: at,
        floor: at,
        schedules: Vec::new(),
        shifts: Vec::new().into(),
        late: Vec::new(),
        incidents: Default::default(),
        eligible: BTreeMap::new(),
    }
}
