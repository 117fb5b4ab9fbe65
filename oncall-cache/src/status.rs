//! `status`: how well this host knows who is on call, and what the last sync said about it.
//!
//! Belief is judged by the roster alone, as every decision judges it. The report of the last sync says why
//! something is not newer; one that is missing, damaged or older than the roster explains nothing, and what it
//! would have explained is told from the roster instead.

mod nagios;
mod prometheus;

use std::collections::BTreeSet;
use std::fmt;

use host::config::Directory;
use host::{Config, revoked};
use policy::{
    AgeLimit, Automation, Mode, ModeSource, OneLine, Roster, Rules, Schedule, ScheduleRef, Span, Switch,
    Timestamp, mode_in_force,
};
use serde_json::{Value, json};

use crate::report::{Report, ScheduleReport};
use crate::table::aligned;
use crate::when::When;
pub use nagios::{UNKNOWN, critical, unknown as unknown_to_nagios};
pub use prometheus::unknown;

/// How well this host knows who is on call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// All of it is known and young.
    Well,
    /// Something fails or is old, and what admits to this host is still believed.
    Failing,
    /// Something that admits to this host is not believed.
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

/// What is said where the troubles themselves say more.
const FAILING: &str =
    "failing: a source or a sync fails, or is old; what admits to this host is still believed";
const NOT_BELIEVED: &str = "not believed: a schedule that admits to this host is too old or missing";

/// What the last sync left of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was read.
    Read,
    /// It stands as it was read before.
    Kept,
    /// Nothing is known of it.
    Absent,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Kept => "kept",
            Self::Absent => "absent",
        })
    }
}

/// One schedule.
#[derive(Debug)]
pub struct Row<'a> {
    /// Source and id; by the configuration's text where the id is not known.
    pub schedule: String,
    /// Its name for people.
    pub name: String,
    /// What the last sync left of it.
    pub state: State,
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
    /// May it be believed now?
    pub believed: bool,
    /// Who is on call now, by level, and whether the directory lets them become root.
    pub on_call: BTreeSet<(u8, &'a str, bool)>,
}

impl Known<'_> {
    /// The first instant at which it is not believed.
    pub fn believed_until(&self) -> Timestamp {
        self.schedule.believed_until(self.limits.max_age)
    }

    /// Is it older than it should be?
    pub fn is_old(&self) -> bool {
        self.age > self.limits.warn_age
    }

    /// Who is on call now, for people.
    fn names(&self) -> String {
        if !self.believed {
            return "cannot tell".to_string();
        }
        let name = |(level, name, eligible): &(u8, &str, bool)| {
            let level = if *level > 1 { format!(" (level {level})") } else { String::new() };
            let note = if *eligible { "" } else { " (not eligible)" };
            format!("{name}{level}{note}")
        };
        let names: Vec<String> = self.on_call.iter().map(name).collect();
        if names.is_empty() { "nobody".to_string() } else { names.join(", ") }
    }
}

impl Row<'_> {
    /// Is it believed?
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
            format!("not believed: read {age} ago, limit {}", known.limits.max_age)
        } else if known.is_old() {
            format!("read {age} ago, which is more than {}", known.limits.warn_age)
        } else if self.state == State::Kept {
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
    at: Timestamp,
    host: &'a str,
    roster: Result<&'a Roster, &'a str>,
    report: Result<&'a Report, String>,
    /// Why it cannot be told who is revoked, if it cannot: then guarded logins are refused.
    revoked: Option<String>,
    /// The mode that holds, and where it comes from; the switch's trouble, if it cannot be read.
    mode: (Mode, ModeSource<'a>),
    switch_problem: Option<&'a String>,
    automation: &'a [Automation],
    /// What the configuration says and has no effect: exceptions for programs that are over.
    remarks: Vec<String>,
    /// How long a login waits for a directory that does not answer, if one is asked at logins.
    outage_wait: Option<Span>,
    /// Each schedule: those of the roster in its order, then those that are missing from it.
    pub rows: Vec<Row<'a>>,
}

impl<'a> Status<'a> {
    /// Judges what is there, as it is at `at`.
    pub fn new(
        config: &'a Config,
        roster: Result<&'a Roster, &'a str>,
        report: &'a Result<Report, String>,
        switch: &'a Result<Switch, String>,
        at: Timestamp,
    ) -> Self {
        let rules = &config.rules;
        let (mode, switch_problem) =
            (mode_in_force(rules.mode, switch.as_ref().ok(), at), switch.as_ref().err());
        let report = report.as_ref().map_err(Clone::clone).and_then(|report| current(report, roster, at));
        let told = report.as_ref().ok().copied();
        let counted: BTreeSet<&ScheduleRef> = rules.here().flat_map(|rule| &rule.schedules).collect();
        let mut rows = Vec::new();
        if let Ok(roster) = roster {
            let numbers: BTreeSet<usize> = counted.iter().filter_map(|wanted| roster.find(wanted)).collect();
            let row = |number| known_row(roster, number, rules, told, at, numbers.contains(&number));
            rows.extend((0..roster.schedules.len()).filter_map(row));
        }
        rows.extend(absent_rows(config, roster.ok(), told, &counted));
        let revoked = revoked::read(&config.paths.revoked).err().map(|problem| problem.to_string());
        Self {
            at,
            host: &rules.host.name,
            roster,
            report,
            revoked,
            mode,
            switch_problem,
            automation: &rules.automation,
            remarks: config.remarks(at),
            outage_wait: outage_wait(config),
            rows,
        }
    }

    /// Does this host's clock allow the roster to be believed?
    fn clock_holds(&self) -> bool {
        self.roster.is_ok_and(|roster| roster.clock_holds(self.at))
    }

    /// When enforcing begins again, where it is suspended.
    fn suspended_until(&self) -> Option<Timestamp> {
        if let ModeSource::Suspended(order) = self.mode.1 { order.until } else { None }
    }

    /// When enforcing on trial ends by itself.
    fn trial_until(&self) -> Option<Timestamp> {
        if let ModeSource::Trial(order) = self.mode.1 { order.until } else { None }
    }

    /// Is enforcing suspended, or cannot be told whether it is?
    fn is_switched_off(&self) -> bool {
        matches!(self.mode.1, ModeSource::Suspended(_) | ModeSource::Unreadable)
    }

    /// Why the groups of `[[nss.group]]` are not what the roster says.
    fn groups_problem(&self) -> Option<&str> {
        self.report.as_ref().ok()?.groups_problem.as_deref()
    }

    /// What somebody should look at, a line each.
    fn troubles(&self) -> impl Iterator<Item = String> {
        let groups = self.groups_problem().map(str::to_string);
        self.rows.iter().filter_map(Row::trouble).chain(groups)
    }

    /// The answer in one word.
    pub fn health(&self) -> Health {
        let sync_failed = self.report.as_ref().is_ok_and(|report| report.problem.is_some());
        if self.revoked.is_some()
            || !self.clock_holds()
            || self.rows.iter().any(|row| row.counts && !row.believed())
        {
            Health::NotBelieved
        } else if self.is_switched_off()
            || sync_failed
            || self.groups_problem().is_some()
            || self.rows.iter().any(|row| row.trouble().is_some())
        {
            Health::Failing
        } else {
            Health::Well
        }
    }

    /// Everything for people.
    pub fn table(&self) -> String {
        let mut table = vec![
            ["SCHEDULE", "STATE", "LAST READ", "BELIEVED UNTIL", "KNOWN UNTIL", "ON CALL NOW"]
                .map(String::from),
        ];
        for row in &self.rows {
            let show = |cell: &dyn Fn(&Known<'_>) -> String| {
                row.known.as_ref().map_or_else(|| "-".to_string(), cell)
            };
            table.push([
                row.name.clone(),
                row.state.to_string(),
                show(&|known| format!("{} ago", known.age)),
                show(&|known| When(known.believed_until(), self.at).to_string()),
                show(&|known| When(known.schedule.horizon, self.at).to_string()),
                show(&|known| known.names()),
            ]);
        }
        let facts: String = self
            .facts()
            .into_iter()
            .map(|(name, value)| format!("\n  {name:<12}{}", OneLine::new(&value)))
            .collect();
        format!("{}\n\n{}{facts}", OneLine::from(self.headline()), aligned(&table))
    }

    fn headline(&self) -> String {
        match (self.health(), self.roster) {
            (Health::Well, _) => "well: every schedule is known and believed".to_string(),
            (Health::Failing, _) if self.is_switched_off() => {
                format!("failing: {}", self.mode_told().unwrap_or_default())
            }
            (Health::Failing, _) => FAILING.to_string(),
            (Health::NotBelieved, Err(problem)) => format!("not believed: {problem}"),
            (Health::NotBelieved, _) if self.revoked.is_some() => format!(
                "guarded logins are refused: who is revoked cannot be told: {}",
                self.revoked.as_deref().unwrap_or_default()
            ),
            (Health::NotBelieved, Ok(roster)) if !self.clock_holds() => format!(
                "not believed: this host's clock is behind: its last sync, and the time since, say {} (clock-rollback)",
                roster.floor
            ),
            (Health::NotBelieved, Ok(_)) => NOT_BELIEVED.to_string(),
        }
    }

    /// The mode, unless it is simply to enforce.
    fn mode_told(&self) -> Option<String> {
        let observing = || "observe: decided and logged, nobody is refused".to_string();
        let told = crate::switch::told(self.mode.1, self.switch_problem, self.at);
        told.or_else(|| (self.mode.0 == Mode::Observe).then(observing))
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts: Vec<_> = self.mode_told().map(|told| ("mode", told)).into_iter().collect();
        match &self.report {
            Ok(report) => {
                let ago = self.ago(Timestamp::from_unix(report.attempted));
                let outcome = match &report.problem {
                    None => "published",
                    Some(problem) => problem,
                };
                facts.push(("last sync", format!("{ago}: {outcome}")));
                if let Some(synced) = report.people_synced.map(Timestamp::from_unix) {
                    facts.push(("people", format!("as the directory had them {}", self.ago(synced))));
                }
            }
            Err(problem) => facts.push(("last sync", format!("what it did is not known: {problem}"))),
        }
        facts.extend(self.outage_wait.map(|wait| {
            let text = format!(
                "while the directory does not answer, a login waits up to {} seconds: twice `deadline` in [keys]",
                wait.as_seconds()
            );
            ("outage", text)
        }));
        facts.extend(self.troubles().map(|trouble| ("trouble", trouble)));
        if let Ok(report) = &self.report {
            facts.extend(report.ahead.iter().map(|ahead| ("ahead", ahead.line(self.at).to_string())));
            facts.extend(report.unfollowed.iter().map(|told| ("eligible", told.clone())));
            if report.unmapped > 0 {
                let text = format!(
                    "{} of the sources' users are nobody here; who: oncall-cache map --check, as root",
                    report.unmapped
                );
                facts.push(("unmapped", text));
            }
        }
        facts.extend(self.remarks.iter().map(|remark| ("note", remark.clone())));
        facts
    }

    fn ago(&self, instant: Timestamp) -> String {
        format!("{} ago ({})", self.at.since(instant), When(instant, self.at))
    }

    /// The same for programs. `version` changes when a field changes its meaning or goes.
    pub fn json(&self) -> Value {
        let report = self.report.as_ref().ok();
        let instant = |unix: i64| Timestamp::from_unix(unix).to_string();
        json!({
            "version": 1,
            "at": self.at.to_string(),
            "host": self.host,
            "health": self.health().to_string(),
            "message": self.headline(),
            "revoked_problem": self.revoked,
            "roster_problem": self.roster.err(),
            "published": self.roster.ok().map(|roster| roster.published.to_string()),
            "clock_holds": self.clock_holds(),
            "last_sync": report.map(|report| json!({
                "attempted": instant(report.attempted),
                "published": report.published,
                "problem": report.problem,
                "people_synced": report.people_synced.map(instant),
                "unfollowed_groups": report.unfollowed,
                "unmapped": report.unmapped,
                "groups_problem": report.groups_problem,
                "ahead": report.ahead.iter().map(|ahead| json!({
                    "who": ahead.who,
                    "schedule": ahead.schedule,
                    "start": instant(ahead.start),
                    "problem": ahead.problem,
                })).collect::<Vec<_>>(),
            })),
            "last_sync_problem": self.report.as_ref().err(),
            "mode": if self.mode.0 == Mode::Observe { "observe" } else { "enforce" },
            "mode_by": crate::switch::told(self.mode.1, self.switch_problem, self.at),
            "mode_source": crate::switch::source(self.mode.1),
            "suspended_until": self.suspended_until().map(|until| until.to_string()),
            "outage_wait_seconds": self.outage_wait.map(Span::as_seconds),
            "remarks": self.remarks,
            "schedules": self.rows.iter().map(row_json).collect::<Vec<_>>(),
        })
    }
}

/// Where a key took longer to judge than sshd's least delay, it answers at the next doubling of that (auth2.c,
/// ensure_minimum_time_since): measured 5.7 s at a deadline of 3 s.
fn outage_wait(config: &Config) -> Option<Span> {
    let Some(Directory::Ldap(_)) = config.directory else { return None };
    Some(Span::seconds(config.keys.deadline.as_seconds().saturating_mul(2)))
}

fn row_json(row: &Row<'_>) -> Value {
    let mut value = json!({
        "schedule": row.schedule,
        "name": row.name,
        "state": row.state.to_string(),
        "reason": row.reason,
        "problem": row.problem,
        "counts_here": row.counts,
        "believed": row.believed(),
    });
    if let (Some(known), Some(fields)) = (&row.known, value.as_object_mut()) {
        let on_call = |(level, person, eligible): &(u8, &str, bool)| json!({ "person": person, "level": level, "eligible": eligible });
        fields.extend([
            ("synced".to_string(), json!(known.schedule.synced.to_string())),
            ("age_seconds".to_string(), json!(known.age.as_seconds())),
            ("warn_age_seconds".to_string(), json!(known.limits.warn_age.as_seconds())),
            ("max_age_seconds".to_string(), json!(known.limits.max_age.as_seconds())),
            ("old".to_string(), json!(known.is_old())),
            ("believed_until".to_string(), json!(known.believed_until().to_string())),
            ("horizon".to_string(), json!(known.schedule.horizon.to_string())),
            ("on_call".to_string(), known.on_call.iter().map(on_call).collect()),
        ]);
    }
    value
}

/// The report, if it is the one of the last sync.
fn current<'a>(
    report: &'a Report,
    roster: Result<&Roster, &str>,
    at: Timestamp,
) -> Result<&'a Report, String> {
    let attempted = Timestamp::from_unix(report.attempted);
    if attempted > at.plus(Rules::SKEW) {
        return Err(format!("its report is from {attempted}, which has not come"));
    }
    match roster {
        Ok(roster) if attempted < roster.published => {
            Err(format!("its report is from {attempted}, before the roster ({})", roster.published))
        }
        _ => Ok(report),
    }
}

fn known_row<'a>(
    roster: &'a Roster,
    number: usize,
    rules: &Rules,
    report: Option<&Report>,
    at: Timestamp,
    counts: bool,
) -> Option<Row<'a>> {
    let schedule = roster.schedules.get(number)?;
    let limits = rules.ages.of(schedule);
    let reference = schedule.reference.to_string();
    // What a later sync read is not kept, whatever an earlier report says.
    let later = report.map_or(roster.published, |report| Timestamp::from_unix(report.attempted));
    let told = report.and_then(|report| report.schedules.iter().find(|one| one.schedule == reference));
    let told = told.filter(|one| one.state != "read" && schedule.synced < later);
    let on_call = roster.shifts.iter().filter(|shift| shift.schedule == number && shift.window.contains(at));
    let person = |shift: &'a policy::Shift| {
        (shift.level, shift.principal.as_str(), roster.is_eligible(&shift.principal))
    };
    Some(Row {
        name: schedule.name.to_string(),
        state: if schedule.synced < later { State::Kept } else { State::Read },
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
    report: Option<&Report>,
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
    let of_report: Vec<&ScheduleReport> = report
        .into_iter()
        .flat_map(|report| &report.schedules)
        .filter(|one| !known.contains(&one.schedule))
        .collect();
    let told = of_report.iter().filter(|one| one.state == "absent").map(|one| one.schedule.clone());
    let texts: BTreeSet<String> = missing.map(ToString::to_string).chain(told).collect();
    let row = |text: String| {
        let told = of_report.iter().find(|one| one.schedule == text);
        Row {
            name: told.map_or_else(|| text.clone(), |one| one.name.clone()),
            state: State::Absent,
            reason: told.and_then(|one| one.reason.clone()).or(Some("source-incomplete".to_string())),
            problem: told.and_then(|one| one.problem.clone()),
            counts: counted.iter().any(|wanted| wanted.to_string() == text),
            known: None,
            schedule: text,
        }
    };
    texts.into_iter().map(row).collect()
}
