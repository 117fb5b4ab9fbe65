//! `who`: for each schedule, who is on call now and who is next.

use std::collections::BTreeMap;
use std::path::Path;

use policy::{OneLine, Principal, Roster, Schedule, Timestamp, Window, stretches};
use serde_json::{Value, json};
use state::{Asked, HostState, Which};
use status::{Status, SyncStatus, standing};

use crate::cli::AtArguments;
use crate::granted;
use crate::said::Said;
use crate::table::aligned;
use crate::when::{self, When};

/// The rota at an instant.
pub fn run(path: &Path, arguments: &AtArguments, now: Timestamp) -> Said {
    let at = match when::asked(arguments.at.as_deref(), now) {
        Ok(at) => at,
        Err(problem) => return Said::usage(problem),
    };
    let mut state = HostState::load(path);
    state.read_roster(Asked::Everything, at, now);
    state.read_grants(Which::All, now);
    match state.config().and_then(|config| Ok((config, state.roster()?))) {
        Ok((config, roster)) => {
            let report = SyncStatus::read(&status::path(config));
            let status = Status::new(&state, config, &report, at);
            let who = Who::new(&state, roster, &status, at);
            let said = if arguments.json { Said::json(&who.json()) } else { Said::text(who.table()) };
            said.exit(who.exit_code())
        }
        Err(problem) => {
            // Grants need no rota: they are what lets people in then.
            let grants = standing(&state, at);
            let json = || {
                json!({
                    "version": 1,
                    "at": at.to_string(),
                    "error": problem.to_string(),
                    "grants": granted::json(grants.as_ref()),
                    "grants_problem": granted::problem(grants.as_ref()),
                })
            };
            let said = Said::failure_as(arguments.json.then(json), format_args!("cannot tell: {problem}"));
            let table = grants.as_ref().and_then(|grants| grants.as_ref().ok());
            match table.map(|grants| granted::table(grants, at)).filter(|table| !table.is_empty()) {
                Some(table) if !arguments.json => said.then(table.trim_end()),
                _ => said,
            }
        }
    }
}

/// Somebody's shifts of one schedule and level that follow each other without a gap.
#[derive(Debug)]
struct Stretch<'a> {
    principal: &'a Principal,
    window: Window,
    /// The shifts as the source tells them.
    parts: Vec<Window>,
}

/// One row: a schedule and level, and the stretches that matter.
#[derive(Debug)]
struct Row<'a> {
    schedule: &'a Schedule,
    level: u8,
    believed: bool,
    now: Vec<Stretch<'a>>,
    next: Option<Stretch<'a>>,
}

/// Who is on call at an instant.
#[derive(Debug)]
struct Who<'a> {
    state: &'a HostState,
    roster: &'a Roster,
    at: Timestamp,
    rows: Vec<Row<'a>>,
    status: &'a Status<'a>,
}

impl<'a> Who<'a> {
    /// Reads it from `roster`, which is that of `state`, and of which `status` knows what is the matter with it.
    fn new(state: &'a HostState, roster: &'a Roster, status: &'a Status<'a>, at: Timestamp) -> Self {
        let ages = &state.rules().ages;
        let mut keys: BTreeMap<(usize, u8), BTreeMap<&Principal, Vec<Window>>> = BTreeMap::new();
        for shift in &roster.shifts {
            let people = keys.entry((shift.schedule, shift.level)).or_default();
            people.entry(&shift.principal).or_default().push(shift.window);
        }
        // A schedule without shifts is shown too: that it has none is news.
        for number in 0..roster.schedules.len() {
            if keys.keys().all(|(known, _)| *known != number) {
                keys.entry((number, 1)).or_default();
            }
        }
        let row = |((number, level), people)| {
            let schedule = roster.schedules.get(number)?;
            let mut all: Vec<Stretch<'_>> = people_stretches(people);
            all.sort_by_key(|stretch| (stretch.window, stretch.principal));
            let next =
                all.iter().position(|stretch| stretch.window.start() > at).map(|place| all.remove(place));
            Some(Row {
                schedule,
                level,
                believed: at < schedule.believed_until(ages.of(schedule).max_age),
                now: all.into_iter().filter(|stretch| stretch.window.contains(at)).collect(),
                next,
            })
        };
        Self { state, roster, at, rows: keys.into_iter().filter_map(row).collect(), status }
    }

    /// Does the clock allow the roster to be trusted at all?
    fn clock_holds(&self) -> bool {
        self.roster.clock_holds(self.at)
    }

    /// 0 somebody is on call, 1 nobody, 2 cannot tell. Revoked people do not count.
    fn exit_code(&self) -> u8 {
        if !self.clock_holds() || self.state.revoked().is_err() || self.rows.iter().all(|row| !row.believed) {
            2
        } else {
            let counts =
                |row: &Row<'_>| row.believed && !row.now.iter().all(|stretch| self.shut_out(stretch));
            u8::from(!self.rows.iter().any(counts))
        }
    }

    fn shut_out(&self, stretch: &Stretch<'_>) -> bool {
        self.state.revokes(stretch.principal, self.at)
    }

    /// The table.
    fn table(&self) -> String {
        let mut table = vec![["SCHEDULE", "LEVEL", "ON CALL", "UNTIL", "NEXT", "FROM"].map(String::from)];
        for row in &self.rows {
            let until = row.now.iter().map(|stretch| stretch.window.end()).min();
            let names: Vec<String> = row.now.iter().map(|stretch| self.name(stretch)).collect();
            let (dash, next) = (|| "-".to_string(), row.next.as_ref());
            table.push([
                row.schedule.name.to_string(),
                row.level.to_string(),
                match (row.believed && self.clock_holds(), names.is_empty()) {
                    (false, _) => "cannot tell".to_string(),
                    (true, true) => "nobody".to_string(),
                    (true, false) => names.join(", "),
                },
                until.map_or_else(dash, |until| When(until, self.at).to_string()),
                next.map_or_else(dash, |stretch| self.name(stretch)),
                next.map_or_else(dash, |stretch| When(stretch.window.start(), self.at).to_string()),
            ]);
        }
        format!("{}{}{}", aligned(&table), self.granted(), self.footer())
    }

    fn name(&self, stretch: &Stretch<'_>) -> String {
        let principal = stretch.principal;
        if self.shut_out(stretch) {
            format!("{principal} (revoked)")
        } else if self.roster.is_eligible(principal) {
            principal.to_string()
        } else {
            format!("{principal} (not eligible)")
        }
    }

    /// Whom grants let in, as a table of its own.
    fn granted(&self) -> String {
        match &self.status.grants {
            Some(Ok(grants)) if !grants.is_empty() => format!("\n{}\n", granted::table(grants, self.at)),
            _ => String::new(),
        }
    }

    fn footer(&self) -> String {
        let mut text = self.age();
        if let Err(problem) = self.state.revoked() {
            text.push_str(&format!("\ncannot tell who is revoked: {problem}"));
        }
        if let Some(Err(problem)) = &self.status.grants {
            text.push_str(&format!("\ngrants: {}", OneLine::new(problem)));
        }
        text
    }

    fn age(&self) -> String {
        if !self.clock_holds() {
            return format!(
                "this host's clock is behind: by its last sync, and the time since, it is {}",
                self.roster.floor
            );
        }
        let Some(oldest) = self.roster.schedules.iter().min_by_key(|schedule| schedule.synced) else {
            return "no schedules".to_string();
        };
        let age = self.at.since(oldest.synced);
        let until = When(oldest.believed_until(self.state.rules().ages.of(oldest).max_age), self.at);
        let is_old = age > self.state.rules().ages.of(oldest).warn_age;
        let mut text = if is_old {
            format!("valid until {until}, but last synced {age} ago; run `oncall-cache refresh`")
        } else {
            format!("last sync {age} ago, valid until {until}")
        };
        let troubles: Vec<String> = self.status.rows.iter().filter_map(status::Row::trouble).collect();
        if !troubles.is_empty() {
            let troubles: Vec<String> = troubles.iter().map(|one| OneLine::new(one).to_string()).collect();
            text.push_str(&format!("\n{}\nmore: oncall-cache status", troubles.join("\n")));
        }
        text
    }

    /// What the last sync left of `schedule`.
    fn state(&self, schedule: &Schedule) -> Option<&status::Row<'a>> {
        let reference = schedule.reference.to_string();
        self.status.rows.iter().find(|row| row.schedule == reference)
    }

    /// The same for programs.
    fn json(&self) -> Value {
        let span =
            |window: &Window| json!({ "start": window.start().to_string(), "end": window.end().to_string() });
        let stretch = |Stretch { principal, window, parts }: &Stretch<'_>| {
            json!({
                "person": principal.as_str(),
                "eligible": self.roster.is_eligible(principal),
                "revoked": self.state.revoked().ok().map(|revoked| revoked.names(principal, self.at)),
                "start": window.start().to_string(),
                "end": window.end().to_string(),
                "parts": parts.iter().map(span).collect::<Vec<_>>(),
            })
        };
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let state = self.state(row.schedule);
                json!({
                    "schedule": row.schedule.reference.to_string(),
                    "name": row.schedule.name.as_str(),
                    "level": row.level,
                    "believed": row.believed && self.clock_holds(),
                    "synced": row.schedule.synced.to_string(),
                    "believed_until": row.schedule.believed_until(self.state.rules().ages.of(row.schedule).max_age).to_string(),
                    "state": state.map(|state| state.state.to_string()),
                    "reason": state.and_then(|state| state.reason.clone()),
                    "old": self.at.since(row.schedule.synced) > self.state.rules().ages.of(row.schedule).warn_age,
                    "now": row.now.iter().map(stretch).collect::<Vec<_>>(),
                    "next": row.next.as_ref().map(stretch),
                })
            })
            .collect();
        let grants = self.status.grants.as_ref();
        json!({
            "version": 1,
            "at": self.at.to_string(),
            "published": self.roster.published.to_string(),
            "schedules": rows,
            "grants": granted::json(grants),
            "grants_problem": granted::problem(grants),
        })
    }
}

/// What each person's shifts come to.
fn people_stretches(people: BTreeMap<&Principal, Vec<Window>>) -> Vec<Stretch<'_>> {
    let of_one = |(principal, mut shifts): (_, Vec<Window>)| {
        shifts.sort();
        let all = stretches(shifts.iter().copied());
        all.into_iter().map(move |window| {
            let parts = shifts.iter().filter(|part| part.intersect(window).is_some()).copied().collect();
            Stretch { principal, window, parts }
        })
    };
    people.into_iter().flat_map(of_one).collect()
}
