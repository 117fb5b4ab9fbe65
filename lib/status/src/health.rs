//! How well this host knows who is on call, and what the last sync said about it.
//!
//! Belief is judged by the roster alone, as every decision judges it. The report of the last sync says why
//! something is not newer; one that is missing, damaged or older than the roster explains nothing, and what it
//! would have explained is told from the roster instead.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use host::Config;
use host::config::Directory;
use host::proof::Proofs;
use policy::{
    AgeLimit, Automation, IncidentFeed, Incidents, Mode, ModeSource, OnUnknown, Roster, Rules, Schedule,
    ScheduleRef, Span, Timestamp,
};
use state::{HostState, StateError};

use crate::fleet::FleetStatus;
use crate::grants::{self, Standing};
use crate::mode;
use crate::sync_status::{ScheduleState, ScheduleStatus, SyncStatus, SyncStatusError};

/// How well this host knows who is on call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// All of it is known and young.
    Well,
    /// Something fails or is old, and what admits to this host is still trusted.
    Failing,
    /// Something that admits to this host is not trusted.
    NotBelieved,
}

impl Health {
    /// 0, 1 or 2: exit status and metric.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Well => "well",
            Self::Failing => "failing",
            Self::NotBelieved => "not-believed",
        })
    }
}

/// The headline where something fails; the troubles themselves say more.
pub const FAILING: &str =
    "failing: a source or a sync fails or is overdue; the schedules that decide here are still valid";
/// The headline where a schedule is not trusted; the troubles themselves say more.
pub const NOT_BELIEVED: &str = "not valid: a schedule that decides here is too old or missing";

/// One schedule.
#[derive(Debug)]
pub struct Row<'a> {
    /// Source and id; by the configuration's text where the id is not known.
    pub schedule: String,
    /// Its name for people.
    pub name: String,
    /// What the last sync left of it.
    pub state: ScheduleState,
    /// Why it was not read: a token.
    pub reason: Option<String>,
    /// Why it was not read, and what to do.
    pub problem: Option<String>,
    /// Does a rule that covers this host name it?
    pub counts: bool,
    /// What the roster says of it.
    pub known: Option<Known<'a>>,
}

/// What the roster says of a schedule.
#[derive(Debug)]
pub struct Known<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// How old it may be.
    pub limits: AgeLimit,
    /// How old it is.
    pub age: Span,
    /// May it be trusted now?
    pub believed: bool,
    /// Who is on call now.
    pub on_call: BTreeSet<OnCall<'a>>,
}

/// Somebody who is on call now, in order of level and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OnCall<'a> {
    /// The level of the escalation.
    pub level: u8,
    /// Their name.
    pub person: &'a str,
    /// Does the directory let them become root?
    pub eligible: bool,
    /// Are they revoked on this host? `None`: that cannot be told.
    pub revoked: Option<bool>,
}

impl OnCall<'_> {
    /// Does a shift admit them, if it counts here and is trusted?
    pub fn may(&self) -> bool {
        self.eligible && self.revoked != Some(true)
    }
}

impl Known<'_> {
    /// The first instant at which it is not trusted.
    pub fn believed_until(&self) -> Timestamp {
        self.schedule.believed_until(self.limits.max_age)
    }

    /// Is it older than it should be?
    pub fn is_old(&self) -> bool {
        self.age > self.limits.warn_age
    }
}

impl Row<'_> {
    /// Is it trusted?
    pub fn believed(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.believed)
    }

    /// What somebody should look at, if anything.
    pub fn trouble(&self) -> Option<String> {
        let Some(known) = &self.known else {
            let told = self.problem.clone();
            return Some(told.unwrap_or_else(|| {
                format!("schedule {}: nothing is known of it; run `oncall-cache sync`", self.schedule)
            }));
        };
        let age = known.age;
        let stands = if !known.believed {
            format!("not valid: read {age} ago, limit {}", known.limits.max_age)
        } else if known.is_old() {
            format!("read {age} ago, which is more than {}", known.limits.warn_age)
        } else if self.state == ScheduleState::Kept {
            format!("read {age} ago")
        } else {
            return None;
        };
        Some(match &self.problem {
            Some(problem) => format!("{problem} ({stands})"),
            None => format!("schedule {}: {stands}", self.schedule),
        })
    }
}

/// How well this host knows who is on call.
#[derive(Debug)]
pub struct Status<'a> {
    state: &'a HostState,
    /// The instant for which it holds.
    pub at: Timestamp,
    /// This host's name.
    pub host: &'a str,
    /// The roster, or why it is not trusted.
    pub roster: Result<&'a Roster, &'a StateError>,
    /// What the last sync wrote down of itself, or why that is not known.
    pub report: Result<&'a SyncStatus, SyncStatusError>,
    /// Why it cannot be told who is revoked, if it cannot: then guarded logins are refused.
    pub revoked: Option<String>,
    /// Is what the fleet says of who is revoked older than root allows? Then guarded logins are refused too.
    pub revoked_is_stale: bool,
    /// What the last pull read of the fleet, or why that is not known; `None`: this host follows no fleet.
    pub fleet: Option<Result<FleetStatus, SyncStatusError>>,
    /// The mode that holds, and where it comes from.
    pub mode: (Mode, ModeSource<'a>),
    /// Who is let in by grants; `None` where no rule takes any.
    pub grants: Option<Standing<'a>>,
    /// Exceptions for programs.
    pub automation: &'a [Automation],
    /// What the configuration says and has no effect: exceptions for programs that are over.
    pub remarks: Vec<String>,
    /// How well it is known which incidents are open that rules of this host wait for, by source.
    pub incidents: Vec<IncidentFeed<'a>>,
    /// When each way in that needs no network was last proven.
    pub proofs: Proofs,
    /// How long a login waits for a directory that does not answer, if one is asked at logins.
    pub outage_wait: Option<Span>,
    /// Each schedule: those of the roster in its order, then those that are missing from it.
    pub rows: Vec<Row<'a>>,
}

impl<'a> Status<'a> {
    /// Judges what `state` knows, by this `config` of it and by the whole roster, as it is at `at`.
    pub fn new(
        state: &'a HostState,
        config: &'a Config,
        report: &'a Result<SyncStatus, SyncStatusError>,
        at: Timestamp,
    ) -> Self {
        let (rules, roster) = (&config.rules, state.roster().map_err(Rc::as_ref));
        let report =
            report.as_ref().map_err(Clone::clone).and_then(|report| current(report, roster.ok(), at));
        let told = report.as_ref().ok().copied();
        let counted: BTreeSet<&ScheduleRef> = rules.here().flat_map(|rule| &rule.schedules).collect();
        let mut rows = Vec::new();
        if let Ok(roster) = roster {
            let numbers: BTreeSet<usize> = counted.iter().filter_map(|wanted| roster.find(wanted)).collect();
            let row = |number| known_row(state, roster, number, told, at, numbers.contains(&number));
            rows.extend((0..roster.schedules.len()).filter_map(row));
        }
        rows.extend(absent_rows(config, roster.ok(), told, &counted));
        Self {
            at,
            state,
            host: &rules.host.name,
            roster,
            report,
            revoked: state.revoked().err().map(ToString::to_string),
            revoked_is_stale: state.revoked().is_ok_and(|revoked| revoked.is_stale(at)),
            fleet: (config.fleet.as_deref()).map(|fleet| FleetStatus::read(&FleetStatus::path(fleet), fleet)),
            mode: state.mode(at),
            grants: grants::standing(state, at),
            automation: &rules.automation,
            remarks: config.remarks(at),
            incidents: feeds(rules, roster.ok()),
            proofs: Proofs::read(rules),
            outage_wait: outage_wait(config),
            rows,
        }
    }

    /// Does this host's clock allow the roster to be trusted?
    pub fn clock_holds(&self) -> bool {
        self.roster.is_ok_and(|roster| roster.clock_holds(self.at))
    }

    /// When enforcing begins again, where it is paused.
    pub fn paused_until(&self) -> Option<Timestamp> {
        if let ModeSource::Paused(order) = self.mode.1 { order.until } else { None }
    }

    /// When enforcing on trial ends by itself.
    pub fn trial_until(&self) -> Option<Timestamp> {
        if let ModeSource::Trial(order) = self.mode.1 { order.until } else { None }
    }

    /// Is enforcing paused, or cannot be told whether it is?
    fn is_switched_off(&self) -> bool {
        matches!(self.mode.1, ModeSource::Paused(_) | ModeSource::Unreadable)
    }

    /// Why the groups of `[[nss.group]]` are not what the roster says.
    pub fn groups_problem(&self) -> Option<&str> {
        self.report.as_ref().ok()?.groups_problem.as_deref()
    }

    /// Why it is not known which incidents are open that rules wait for.
    pub fn incidents_problem(&self) -> Option<&str> {
        self.report.as_ref().ok()?.incidents_problem.as_deref()
    }

    /// The sources of which rules that wait for an incident do not know now which are open.
    pub fn unknown_incidents(&self) -> impl Iterator<Item = &IncidentFeed<'a>> {
        self.incidents.iter().filter(|feed| !feed.is_known(self.at))
    }

    /// Where a file of `[[policy.rego]]` failed in the last sync, and what became of the shift.
    pub fn rego_problem(&self) -> Option<&str> {
        self.report.as_ref().ok()?.rego_problem.as_deref()
    }

    /// What is the matter with what is read of the fleet, if anything is.
    pub fn fleet_trouble(&self) -> Option<String> {
        let fleet = self.state.config().ok()?.fleet.as_deref()?;
        match self.fleet.as_ref()? {
            Ok(report) => report.trouble(fleet.freshness, self.at),
            Err(error) => Some(format!("fleet {}: what was pulled is not known: {error}", fleet.id)),
        }
    }

    /// What somebody should look at, a line each.
    pub fn troubles(&self) -> impl Iterator<Item = String> {
        let of_sync =
            [self.groups_problem(), self.incidents_problem(), self.rego_problem()].into_iter().flatten();
        let of_sync = of_sync.map(str::to_string).chain(self.fleet_trouble());
        let of_sync = of_sync.chain(self.unknown_incidents().map(|feed| unknown_incidents(feed, self.at)));
        self.rows.iter().filter_map(Row::trouble).chain(of_sync)
    }

    /// The answer in one word.
    pub fn health(&self) -> Health {
        let sync_failed = self.report.as_ref().is_ok_and(|report| report.problem.is_some());
        if self.revoked.is_some()
            || self.revoked_is_stale
            || !self.clock_holds()
            || self.rows.iter().any(|row| row.counts && !row.believed())
        {
            Health::NotBelieved
        } else if self.is_switched_off()
            || sync_failed
            || self.groups_problem().is_some()
            || self.incidents_problem().is_some()
            || self.unknown_incidents().next().is_some()
            || self.rego_problem().is_some()
            || self.fleet_trouble().is_some()
            || self.rows.iter().any(|row| row.trouble().is_some())
        {
            Health::Failing
        } else {
            Health::Well
        }
    }

    /// The answer in one line.
    pub fn headline(&self) -> String {
        match (self.health(), self.roster) {
            (Health::Well, _) => "well: every schedule is known and valid".to_string(),
            (Health::Failing, _) if self.is_switched_off() => {
                format!("failing: {}", self.mode_text().unwrap_or_default())
            }
            (Health::Failing, _) => FAILING.to_string(),
            (Health::NotBelieved, Err(problem)) => format!("not valid: {problem}"),
            (Health::NotBelieved, _) if self.revoked.is_some() => format!(
                "guarded logins are refused: the list of revoked people cannot be read: {}",
                self.revoked.as_deref().unwrap_or_default()
            ),
            (Health::NotBelieved, _) if self.revoked_is_stale => {
                "guarded logins are refused: who is revoked in the fleet was last read longer ago than revoked_age (revoked-stale)".to_string()
            }
            (Health::NotBelieved, Ok(roster)) if !self.clock_holds() => format!(
                "not valid: this host's clock is behind: by its last sync, and the time since, it is {} (clock-rollback)",
                roster.floor
            ),
            (Health::NotBelieved, Ok(_)) => NOT_BELIEVED.to_string(),
        }
    }

    /// Where the mode comes from, unless it is from the configuration alone.
    pub fn mode_by(&self) -> Option<String> {
        mode::of(self.state, self.at)
    }

    /// The mode, unless it is simply to enforce.
    pub fn mode_text(&self) -> Option<String> {
        let observing = || "observe: decisions are logged, nobody is refused".to_string();
        self.mode_by().or_else(|| (self.mode.0 == Mode::Observe).then(observing))
    }
}

fn feeds<'a>(rules: &'a Rules, roster: Option<&Roster>) -> Vec<IncidentFeed<'a>> {
    roster.map_or_else(|| Incidents::default().feeds(rules), |roster| roster.incidents.feeds(rules))
}

/// What rules do that wait for an incident of `feed`, of which it is not known at `at` which are open.
pub fn unknown_incidents(feed: &IncidentFeed<'_>, at: Timestamp) -> String {
    let read = match feed.read {
        Some(read) if read > at => format!("were read at {read}, which has not come"),
        Some(read) => format!("were last read {} ago", at.since(read)),
        None => "were never read, or not of every service that a rule names".to_string(),
    };
    let outcome = match feed.on_unknown {
        OnUnknown::OnCall => "so rules that wait for one admit people on call without (on_unknown)",
        OnUnknown::Refuse => "so a rule that waits for one refuses people on call (on_unknown)",
    };
    format!("incidents of source `{}` {read}: it is not known which are open, {outcome}", feed.source)
}

/// Where a key took longer to judge than sshd's least delay, it answers at the next doubling of that (auth2.c,
/// ensure_minimum_time_since): measured 5.7 s at a deadline of 3 s.
fn outage_wait(config: &Config) -> Option<Span> {
    let Some(Directory::Ldap(_)) = config.directory else { return None };
    Some(Span::seconds(config.keys.timeout.as_seconds().saturating_mul(2)))
}

/// The report, if it is the one of the last sync.
fn current<'a>(
    report: &'a SyncStatus,
    roster: Option<&Roster>,
    at: Timestamp,
) -> Result<&'a SyncStatus, SyncStatusError> {
    let attempted = Timestamp::from_unix(report.attempted);
    if attempted > at.plus(Rules::SKEW) {
        return Err(SyncStatusError::InFuture(attempted));
    }
    match roster {
        Some(roster) if attempted < roster.published => {
            Err(SyncStatusError::BeforeRoster(attempted, roster.published))
        }
        _ => Ok(report),
    }
}

fn known_row<'a>(
    state: &HostState,
    roster: &'a Roster,
    number: usize,
    report: Option<&SyncStatus>,
    at: Timestamp,
    counts: bool,
) -> Option<Row<'a>> {
    let schedule = roster.schedules.get(number)?;
    let limits = state.rules().ages.of(schedule);
    let reference = schedule.reference.to_string();
    let told = report.and_then(|report| report.schedules.iter().find(|one| one.schedule == reference));
    // What a later sync read is not kept, whatever an earlier report says; nor is what the report says was read: of a
    // fleet it has the age of the collector's reading, which is before this host's sync.
    let later = report.map_or(roster.published, |report| Timestamp::from_unix(report.attempted));
    let is_read = schedule.synced >= later || told.is_some_and(|one| one.state == ScheduleState::Read);
    let told = told.filter(|_| !is_read);
    let on_call = roster.shifts.iter().filter(|shift| shift.schedule == number && shift.window.contains(at));
    let person = |shift: &'a policy::Shift| OnCall {
        level: shift.level,
        person: shift.principal.as_str(),
        eligible: roster.is_eligible(&shift.principal),
        revoked: state.revoked().ok().map(|revoked| revoked.names(&shift.principal, at)),
    };
    Some(Row {
        name: schedule.name.to_string(),
        state: if is_read { ScheduleState::Read } else { ScheduleState::Kept },
        reason: told.and_then(|one| one.reason.clone()),
        problem: told.and_then(|one| one.problem.clone()),
        counts,
        known: Some(Known {
            schedule,
            limits,
            age: at.since(schedule.synced),
            believed: roster.clock_holds(at) && at < schedule.believed_until(limits.max_age),
            on_call: on_call.map(person).collect(),
        }),
        schedule: reference,
    })
}

/// Schedules that the configuration or the last sync names, and the roster does not have.
fn absent_rows<'a>(
    config: &Config,
    roster: Option<&Roster>,
    report: Option<&SyncStatus>,
    counted: &BTreeSet<&ScheduleRef>,
) -> Vec<Row<'a>> {
    let configured = config.oncall.sources.iter().flat_map(|source| {
        source.wanted().map(|id| ScheduleRef { source: source.name.clone(), id: id.clone() })
    });
    let wanted: BTreeSet<ScheduleRef> =
        configured.chain(counted.iter().map(|wanted| (*wanted).clone())).collect();
    let missing = wanted.iter().filter(|wanted| roster.is_none_or(|roster| roster.find(wanted).is_none()));
    let known: BTreeSet<String> = roster
        .into_iter()
        .flat_map(|roster| roster.schedules.iter().map(|schedule| schedule.reference.to_string()))
        .collect();
    let of_report: Vec<&ScheduleStatus> = report
        .into_iter()
        .flat_map(|report| &report.schedules)
        .filter(|one| !known.contains(&one.schedule))
        .collect();
    let told =
        of_report.iter().filter(|one| one.state == ScheduleState::Absent).map(|one| one.schedule.clone());
    let texts: BTreeSet<String> = missing.map(ToString::to_string).chain(told).collect();
    let first_step = config.first_step();
    let row = |text: String| {
        let told = of_report.iter().find(|one| one.schedule == text);
        let comes_first = |step| format!("schedule {text}: nothing is known of it; as root, run `{step}`");
        Row {
            name: told.map_or_else(|| text.clone(), |one| one.name.clone()),
            state: ScheduleState::Absent,
            reason: told.and_then(|one| one.reason.clone()).or(Some("source-incomplete".to_string())),
            problem: told.and_then(|one| one.problem.clone()).or_else(|| first_step.map(comes_first)),
            counts: counted.iter().any(|wanted| wanted.to_string() == text),
            known: None,
            schedule: text,
        }
    };
    texts.into_iter().map(row).collect()
}
