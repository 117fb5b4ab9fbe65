//! `status`: what hosts get, how old it is, who published it; and whether this collector does.

mod json;
mod prometheus;
mod table;

use std::path::Path;

use approval::{Mark, Standing, standing};
use fleet::{LARGEST_INDEX, ReadSchedule, RotaIndex};
use host::accounts;
use host::clock::uptime;
use host::said::{CANNOT_TELL, Said};
use policy::{Span, Timestamp};
use signed::DeadLine;

use crate::cli::StatusArguments;
use crate::config::{Config, StoreConfig};
use crate::current::{Current, Signed};
use crate::local;
use crate::own::Own;
use crate::publisher::CollectorError;
use crate::signing::Signing;
use crate::stores::{self, Access, OBJECTS, Store, object};
use crate::turn::{Last, Turn, judge_clock, turn};

/// What is read by the syncs is new every five minutes; later than this something fails.
const LATE: Span = Span::minutes(15);

/// A signing key that ends earlier than this is to be rolled over.
const ROLL_OVER: Span = Span::hours(30 * 24);

/// What is known of a publication and of this collector.
#[derive(Debug)]
pub struct Status {
    at: Timestamp,
    fleet: String,
    place: String,
    /// After how long without a publication it is late.
    patience: Span,
    /// The publication; else why there is none that a host takes over.
    head: Result<Signed, String>,
    /// Its schedules, if they can be read.
    schedules: Vec<ReadSchedule>,
    /// How many objects the store has, and how many bytes they are.
    objects: Option<(usize, u64)>,
    /// Does this collector publish? Else why not.
    publishes: Result<(), String>,
    /// Could it, if it were its turn?
    is_fit: bool,
    /// When its last signing key ends.
    key_ends: Option<Timestamp>,
    dead: Vec<DeadLine>,
    /// The policy of this machine, which is another one than that of hosts: `None` where it cannot be read.
    policy: Option<Standing>,
    /// What fails, a line each.
    problems: Vec<String>,
}

/// The status, in the form that was asked for.
pub fn run(path: &Path, arguments: &StatusArguments, at: Timestamp) -> Said {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(problem) if arguments.json => {
            let json = serde_json::json!({ "version": 1, "at": at.to_string(), "health": "unknown", "message": problem.to_string() });
            return Said::json(&json).note(format_args!("cannot tell: {problem}")).exit(CANNOT_TELL);
        }
        Err(problem) => return Said::failure(CANNOT_TELL, format_args!("cannot tell: {problem}")),
    };
    // As the unit's user: root reads a key that publishing cannot.
    let owner = accounts::become_owner_of(&config.state);
    let mut status = Status::new(&config, at);
    if let Err(problem) = owner {
        status.problems.push(problem.to_string());
    }
    let said = if arguments.json {
        Said::json(&json::json(&status))
    } else if arguments.prometheus {
        Said::text(prometheus::prometheus(&status))
    } else {
        Said::text(table::table(&status))
    };
    said.exit(status.health())
}

impl Status {
    fn new(config: &Config, at: Timestamp) -> Self {
        let (signers, dead) = mirror::read_signers(&config.signers).unwrap_or_default();
        let mut status = Self {
            at,
            fleet: config.fleet.clone(),
            place: config.store.to_string(),
            patience: config.patience(),
            head: Err("nothing is published yet".to_string()),
            schedules: Vec::new(),
            objects: None,
            publishes: Ok(()),
            is_fit: true,
            key_ends: None,
            dead,
            policy: host::Config::load(&config.syncs()).ok().map(|syncs| standing(&syncs, &Mark::path(), at)),
            problems: Vec::new(),
        };
        let found = stores::open(config, Access::Read).map_err(|problem| problem.to_string());
        let found = found.and_then(|store| {
            let current = Current::read(&*store, &config.fleet, &signers, at);
            current.map(|current| (store, current)).map_err(|problem| problem.to_string())
        });
        let (date, built_upon) = match found {
            Ok((store, current)) => {
                let (date, built_upon) = (current.date, built_upon(config, &current));
                status.take(&*store, current);
                (date, built_upon)
            }
            Err(problem) => {
                status.head = Err(problem.clone());
                (None, Err(problem))
            }
        };
        let fit = status.fit(config, date);
        status.publishes = match fit.and_then(|signing| built_upon.map(|()| signing)) {
            Ok(signing) => status.turn(&signing),
            Err(problem) => {
                status.is_fit = false;
                Err(problem)
            }
        };
        status.note_problems();
        status
    }

    /// Takes what the store has.
    fn take(&mut self, store: &dyn Store, current: Current) {
        if let Some(problem) = current.problem {
            self.head = Err(format!("no host takes over what is published: {problem}"));
        }
        if let Some(head) = current.head {
            match schedules(store, &head) {
                Ok(schedules) => self.schedules = schedules,
                Err(problem) => self.problems.push(problem),
            }
            self.head = Ok(head);
        }
        match store.list(OBJECTS) {
            Ok(found) => self.objects = Some((found.len(), found.iter().map(|entry| entry.size).sum())),
            Err(problem) => self.problems.push(problem.to_string()),
        }
    }

    /// Can this collector publish, by all but whose turn it is?
    fn fit(&mut self, config: &Config, date: Option<Timestamp>) -> Result<Signing, String> {
        let signing = Signing::load(config, self.at).map_err(|problem| problem.to_string())?;
        self.key_ends = signing.ends();
        if let StoreConfig::Directory(root) = &config.store {
            stores::check_writable(root).map_err(|problem| problem.to_string())?;
        }
        let syncs = host::Config::load(&config.syncs()).map_err(|problem| problem.to_string())?;
        let own = Own::read(&syncs, self.at);
        judge_clock(self.at, &uptime(), &own.proven, date).map_err(|problem| problem.to_string())?;
        self.problems.extend(own.problems);
        Ok(signing)
    }

    /// Would it publish now?
    fn turn(&self, signing: &Signing) -> Result<(), String> {
        let last = self.head.as_ref().ok().map(|head| Last {
            names: &head.names,
            is_own: signing.is_own(&head.names),
            issued: head.head.issued,
        });
        match turn(last.as_ref(), self.patience, false, self.at) {
            Turn::Publish(_) => Ok(()),
            Turn::StandBy(who, age) => Err(super::publish::standby(&who, age)),
        }
    }

    fn note_problems(&mut self) {
        for dead in &self.dead {
            self.problems
                .push(format!("line {} of fleet-signers lets nobody sign: {}", dead.line, dead.problem));
        }
        if let Some(ends) = self.key_ends.filter(|ends| ends.since(self.at) < ROLL_OVER) {
            self.problems
                .push(format!("the signing key of this collector ends {ends}; replace it: fleet.md, \"Change the signing key\""));
        }
        if let Some(policy) = self.policy.as_ref().filter(|policy| policy.is_as_signed() == Some(false)) {
            self.problems.extend(policy.told());
        }
        let Ok(Signed { head, .. }) = &self.head else { return };
        let late = [
            ("publication", Some(head.issued), self.patience),
            ("rota", head.rota_read, LATE),
            ("people", head.people_read, LATE),
            ("reading of incidents", head.incidents_read, LATE),
        ];
        for (what, at, limit) in late {
            if let Some(age) = at.map(|at| self.at.since(at)).filter(|age| *age > limit) {
                self.problems.push(format!("the {what} is {age} old"));
            }
        }
        for schedule in self.late_schedules() {
            let age = self.at.since(schedule.read);
            self.problems.push(format!("{}/{} was read {age} ago", schedule.source, schedule.id));
        }
    }

    /// Schedules that are late while others are not.
    fn late_schedules(&self) -> Vec<ReadSchedule> {
        let rota_read = self.head.as_ref().ok().and_then(|head| head.head.rota_read);
        let is_late = |one: &&ReadSchedule| Some(one.read) < rota_read && self.at.since(one.read) > LATE;
        self.schedules.iter().filter(is_late).cloned().collect()
    }

    /// The head, if a host takes it over now.
    fn valid(&self) -> Result<&Signed, String> {
        match &self.head {
            Ok(head) if head.head.valid <= self.at => {
                Err(format!("what is published was valid until {}", head.head.valid))
            }
            Ok(head) => Ok(head),
            Err(problem) => Err(problem.clone()),
        }
    }

    /// 0 well, 1 something fails, 2 hosts take over nothing new.
    fn health(&self) -> u8 {
        if self.valid().is_err() { CANNOT_TELL } else { u8::from(!self.is_fit || !self.problems.is_empty()) }
    }

    /// Until when hosts take over what is published, if nobody publishes again.
    fn last_moment(&self) -> Option<Timestamp> {
        self.valid().ok().map(|head| head.head.valid)
    }
}

/// Can what the store has be built upon, or be replaced?
fn built_upon(config: &Config, current: &Current) -> Result<(), String> {
    match &current.problem {
        Some(problem) if !local::has_revocations(&config.state) => {
            Err(CollectorError::Unknown(problem.clone()).to_string())
        }
        _ => Ok(()),
    }
}

/// The schedules of a head.
fn schedules(store: &dyn Store, signed: &Signed) -> Result<Vec<ReadSchedule>, String> {
    let Some((rota, read)) = signed.head.rota.zip(signed.head.rota_read) else { return Ok(Vec::new()) };
    let name = object(&rota.object.digest);
    let found = store.get(&name, rota.object.size.into()).map_err(|problem| problem.to_string())?;
    let found = found.ok_or_else(|| format!("the store has no {name}, which its head names"))?;
    let index =
        mirror::extract(&rota.object, &found.bytes, LARGEST_INDEX).map_err(|problem| problem.to_string())?;
    let index = RotaIndex::parse(&index).map_err(|problem| problem.to_string())?;
    Ok(index.schedules().iter().map(|schedule| schedule.resolve(read)).collect())
}

#[cfg(test)]
mod tests;
