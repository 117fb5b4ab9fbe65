//! `who`: for each schedule, who is on call now and who is next.

use policy::{Fault, Revoked, Roster, Rules, Schedule, Shift, Timestamp};
use serde_json::{Value, json};

use crate::status::{self, Status};
use crate::table::aligned;
use crate::when::When;

/// One row: a schedule and level, and the shifts that matter.
#[derive(Debug)]
struct Row<'a> {
    schedule: &'a Schedule,
    level: u8,
    believed: bool,
    now: Vec<&'a Shift>,
    next: Option<&'a Shift>,
}

/// Who is on call at an instant.
#[derive(Debug)]
pub struct Who<'a> {
    roster: &'a Roster,
    rules: &'a Rules,
    revoked: &'a Result<Revoked, (Fault, String)>,
    at: Timestamp,
    rows: Vec<Row<'a>>,
    status: &'a Status<'a>,
}

impl<'a> Who<'a> {
    /// Reads it from `roster`, of which `status` knows what is the matter with it.
    pub fn new(
        roster: &'a Roster,
        rules: &'a Rules,
        status: &'a Status<'a>,
        revoked: &'a Result<Revoked, (Fault, String)>,
        at: Timestamp,
    ) -> Self {
        let mut keys: Vec<(usize, u8)> =
            roster.shifts.iter().map(|shift| (shift.schedule, shift.level)).collect();
        // A schedule without shifts is shown too: that it has none is news.
        keys.extend(
            (0..roster.schedules.len())
                .filter(|n| roster.shifts.iter().all(|s| s.schedule != *n))
                .map(|n| (n, 1)),
        );
        keys.sort_unstable();
        keys.dedup();
        let rows = keys.into_iter().filter_map(|(number, level)| {
            let schedule = roster.schedules.get(number)?;
            let mut shifts: Vec<&Shift> = roster
                .shifts
                .iter()
                .filter(|shift| shift.schedule == number && shift.level == level)
                .collect();
            shifts.sort_by_key(|shift| shift.window);
            Some(Row {
                schedule,
                level,
                believed: at < schedule.believed_until(rules.ages.of(schedule).max_age),
                now: shifts.iter().copied().filter(|shift| shift.window.contains(at)).collect(),
                next: shifts.into_iter().find(|shift| shift.window.start() > at),
            })
        });
        Self { roster, rules, revoked, at, rows: rows.collect(), status }
    }

    /// Does the clock allow the roster to be believed at all?
    fn clock_holds(&self) -> bool {
        self.at.plus(Rules::SKEW) >= self.roster.published
    }

    /// 0 somebody is on call, 1 nobody, 2 cannot tell. Whoever is revoked is nobody here.
    pub fn exit_code(&self) -> u8 {
        if !self.clock_holds() || self.revoked.is_err() || self.rows.iter().all(|row| !row.believed) {
            2
        } else {
            let counts = |row: &Row<'_>| row.believed && !row.now.iter().all(|shift| self.shut_out(shift));
            u8::from(!self.rows.iter().any(counts))
        }
    }

    fn shut_out(&self, shift: &Shift) -> bool {
        self.revoked.as_ref().is_ok_and(|revoked| revoked.names(&shift.principal))
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut table = vec![["SCHEDULE", "LEVEL", "ON CALL", "UNTIL", "NEXT", "FROM"].map(String::from)];
        for row in &self.rows {
            let until = row.now.iter().map(|shift| shift.window.end()).min();
            let names: Vec<String> = row.now.iter().map(|shift| self.name(shift)).collect();
            let dash = || "-".to_string();
            table.push([
                row.schedule.name.clone(),
                row.level.to_string(),
                match (row.believed && self.clock_holds(), names.is_empty()) {
                    (false, _) => "cannot tell".to_string(),
                    (true, true) => "nobody".to_string(),
                    (true, false) => names.join(", "),
                },
                until.map_or_else(dash, |until| When(until, self.at).to_string()),
                row.next.map_or_else(dash, |shift| self.name(shift)),
                row.next.map_or_else(dash, |shift| When(shift.window.start(), self.at).to_string()),
            ]);
        }
        format!("{}{}", aligned(&table), self.footer())
    }

    fn name(&self, shift: &Shift) -> String {
        let principal = &shift.principal;
        if self.shut_out(shift) {
            format!("{principal} (revoked)")
        } else if self.roster.is_eligible(principal) {
            principal.to_string()
        } else {
            format!("{principal} (not eligible)")
        }
    }

    fn footer(&self) -> String {
        match self.revoked {
            Err((_, problem)) => format!("{}\ncannot tell who is revoked: {problem}", self.age()),
            Ok(_) => self.age(),
        }
    }

    fn age(&self) -> String {
        if !self.clock_holds() {
            return format!("this host's clock is before the last sync ({})", self.roster.published);
        }
        let Some(oldest) = self.roster.schedules.iter().min_by_key(|schedule| schedule.synced) else {
            return "no schedules".to_string();
        };
        let age = self.at.since(oldest.synced);
        let until = When(oldest.believed_until(self.rules.ages.of(oldest).max_age), self.at);
        let is_old = age > self.rules.ages.of(oldest).warn_age;
        let mut text = if is_old {
            format!("believed until {until}, but last sync {age} ago; run `oncall-cache refresh`")
        } else {
            format!("last sync {age} ago, believed until {until}")
        };
        let troubles: Vec<String> = self.status.rows.iter().filter_map(status::Row::trouble).collect();
        if !troubles.is_empty() {
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
    pub fn json(&self) -> Value {
        let shift = |shift: &Shift| {
            json!({
                "person": shift.principal.as_str(),
                "eligible": self.roster.is_eligible(&shift.principal),
                "revoked": self.revoked.as_ref().ok().map(|revoked| revoked.names(&shift.principal)),
                "start": shift.window.start().to_string(),
                "end": shift.window.end().to_string(),
            })
        };
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let state = self.state(row.schedule);
                json!({
                    "schedule": row.schedule.reference.to_string(),
                    "name": row.schedule.name,
                    "level": row.level,
                    "believed": row.believed && self.clock_holds(),
                    "synced": row.schedule.synced.to_string(),
                    "believed_until": row.schedule.believed_until(self.rules.ages.of(row.schedule).max_age).to_string(),
                    "state": state.map(|state| state.state.to_string()),
                    "reason": state.and_then(|state| state.reason.clone()),
                    "old": self.at.since(row.schedule.synced) > self.rules.ages.of(row.schedule).warn_age,
                    "now": row.now.iter().map(|one| shift(one)).collect::<Vec<_>>(),
                    "next": row.next.map(shift),
                })
            })
            .collect();
        json!({ "version": 1, "at": self.at.to_string(), "published": self.roster.published.to_string(), "schedules": rows })
    }
}
