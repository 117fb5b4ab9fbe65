//! All that is known of a period, and what is not.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use host::output::agreed;
use host::{Config, accounts, child};
use policy::{ScheduleRef, Timestamp};

use super::could::{Could, Right};
use super::logins::Logins;
use super::names::Names;
use super::numbers::RecordCount;
use super::period::Period;
use super::unwritten;
use crate::lines::{Files, Input, Keeper};
use crate::said::CANNOT_TELL;
use crate::sync;

/// All that is known of a period.
#[derive(Debug)]
pub struct Report {
    /// This host's name.
    pub host: String,
    /// The time that is asked about.
    pub period: Period,
    /// Who could become root.
    pub could: Could,
    /// Shifts that no rule of this host takes, by schedule and level.
    pub untaken: BTreeSet<(String, u8)>,
    /// Rules of this host that wait for an incident, as config.toml is now.
    pub waiting: Vec<String>,
    /// Who did, and who was refused.
    pub logins: Logins,
    /// Which names are people's.
    pub names: Names,
    /// What is not known, a line each.
    pub gaps: Vec<Gap>,
}

/// Something that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What is said before the name.
    pub before: String,
    /// Of whom it is, where it is of somebody.
    pub who: String,
    /// What is said behind it.
    pub after: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.before, self.who, self.after)
    }
}

impl From<String> for Gap {
    fn from(before: String) -> Self {
        Self { before, who: String::new(), after: String::new() }
    }
}

impl Gap {
    fn dropped(who: &str, count: u64) -> Self {
        let was = if count == 1 { " was" } else { " were" };
        let (before, after) =
            (agreed(count, "record of ", "records of "), format!("{was} dropped: too many in a minute"));
        Self { before, who: who.to_string(), after }
    }
}

/// Should it be told of each file that was read what it was?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    Told,
    Untold,
}

impl Report {
    /// Reads every file.
    ///
    /// # Errors
    /// Text that says why nothing can be read.
    pub fn read(config: &Config, period: Period, now: Timestamp, digests: Digests) -> Result<Self, String> {
        if !accounts::is_root() {
            return Err("only root may read who was root; use sudo".to_string());
        }
        let names = Names::read(config, now);
        let reading = Reading { config, period, names: &names, digests };
        let (logins, told) = reading.logins(period.contains(now));
        let mut gaps: Vec<Gap> = told.into_iter().map(Gap::from).collect();
        gaps.extend(logins.dropped.iter().map(|(who, count)| Gap::dropped(who, *count)));
        gaps.extend(unwritten::read(period));
        let (history, mut untold) = (sync::history_path(config), Vec::new());
        let files = Files::of(&history, Keeper::Service, &mut untold).digested(digests == Digests::Told);
        let could = Could::read(files, period, &mut untold);
        gaps.extend(untold.into_iter().map(Gap::from));
        let (host, untaken) = (config.rules.host.name.clone(), untaken(config, &could, period));
        let waiting = config.rules.here().filter(|rule| rule.incident.is_some());
        let waiting = waiting.map(|rule| rule.name.clone()).collect();
        Ok(Self { host, period, could, untaken, waiting, logins, names, gaps })
    }

    /// Does a rule of this host take such a shift, as far as is known?
    pub fn takes(&self, right: &Right) -> bool {
        !self.untaken.contains(&(right.schedule.clone(), right.level))
    }

    /// Is it known which shifts the rules took? config.toml is known as it is now.
    pub fn are_rules_known(&self) -> bool {
        !self.could.is_configured_since(self.period.since)
    }

    /// What was read, where that was asked for.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.could.inputs.iter().chain(&self.logins.inputs)
    }

    /// 0: nothing is missing; 1: something is, and what.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.gaps.is_empty())
    }

    /// For `--would-refuse`. 0: nobody would be refused; 1: somebody would; 2: that cannot be told.
    pub fn exit_code_of_refusals(&self) -> u8 {
        match (self.logins.would_refuse.is_empty(), self.gaps.is_empty()) {
            (false, _) => 1,
            (true, true) => 0,
            (true, false) => CANNOT_TELL,
        }
    }
}

/// Shifts that no rule of this host takes. The history has every shift of a source, and only config.toml says whose count
/// here: where that has changed since the period began, any of them may have.
fn untaken(config: &Config, could: &Could, period: Period) -> BTreeSet<(String, u8)> {
    if could.is_configured_since(period.since) {
        return BTreeSet::new();
    }
    let is_taken = |right: &Right| {
        config.rules.here().any(|rule| {
            let names = |wanted: &ScheduleRef| wanted.to_string() == right.schedule;
            right.level <= rule.max_escalation_level && rule.schedules.iter().any(names)
        })
    };
    let untaken = could.rights.iter().filter(|right| !is_taken(right));
    untaken.map(|right| (right.schedule.clone(), right.level)).collect()
}

/// How often the records are read while some that were numbered are not there yet, and the time in between.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// The most records that may be on their way into the file.
const ON_THEIR_WAY: u64 = 16;

/// How records are read.
struct Reading<'a> {
    config: &'a Config,
    period: Period,
    names: &'a Names,
    digests: Digests,
}

impl Reading<'_> {
    /// All records, and what is not known of them; of the last ones too if the period reaches until now.
    fn logins(&self, until_now: bool) -> (Logins, Vec<String>) {
        let mut attempt = 1;
        loop {
            let before = record::counted();
            let mut gaps = Vec::new();
            let decisions = Files::of(&self.config.paths.audit, Keeper::Root, &mut gaps);
            let decisions = decisions.digested(self.digests == Digests::Told);
            let mut logins = Logins::read(decisions, self.period, self.names, &mut gaps);
            let counted = before.zip(record::counted()).filter(|_| until_now);
            let behind =
                counted.and_then(|(before, after)| logins.missing_behind(&RecordCount { before, after }));
            match behind {
                // A record is numbered just before it is written, and its writer may be stopped in between.
                Some(behind) if attempt < ATTEMPTS && behind.missing <= ON_THEIR_WAY => child::pause(PAUSE),
                behind => {
                    if behind.is_some() {
                        let from = logins.last.map_or(self.period.since, |last| last.at);
                        logins.missing.push((from, self.period.until));
                    }
                    gaps.extend(behind.map(|behind| behind.text));
                    return (logins, gaps);
                }
            }
            attempt += 1;
        }
    }
}
