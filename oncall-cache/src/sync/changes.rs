//! Who could become root before, and who can now.

use std::collections::{BTreeMap, BTreeSet};

use policy::{LeftOut, Principal, Roster, ScheduleRef, Timestamp, Window, stretches};
use serde_json::{Value, json};

use crate::narrow::left_json;
use crate::when::When;

/// One person's shift, as far as it matters to who could become root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// From when to when.
    pub window: Window,
    /// Whose it is.
    pub principal: Principal,
    /// Of which schedule.
    pub schedule: ScheduleRef,
    /// Escalation level.
    pub level: u8,
    /// Does the directory let them become root?
    pub eligible: bool,
}

/// What a roster says that the one before it did not, and the other way round. Shifts that are over are left
/// out: nobody gains or loses by them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// New, in order of their start.
    pub gained: Vec<Claim>,
    /// Gone, in order of their start.
    pub lost: Vec<Claim>,
    /// What files of `[[policy.rego]]` leave out of the rota from now on.
    pub left_out: Vec<LeftOut>,
    /// What they left out, and do no more.
    pub left_in: Vec<LeftOut>,
}

impl Changes {
    /// From `old` to `new`, as seen at `now`.
    pub fn between(old: Option<&Roster>, new: &Roster, now: Timestamp) -> Self {
        let (before, after) = (old.map(|old| claims(old, now)).unwrap_or_default(), claims(new, now));
        Self {
            gained: after.difference(&before).cloned().collect(),
            lost: before.difference(&after).cloned().collect(),
            ..Self::default()
        }
    }

    /// With what files of `[[policy.rego]]` left of the rota before, and leave now.
    pub fn narrowed(self, old: &[LeftOut], new: &[LeftOut], now: Timestamp) -> Self {
        let current = |all: &[LeftOut]| -> BTreeSet<LeftOut> {
            all.iter().filter(|one| one.shift.end() > now).cloned().collect()
        };
        let (before, after) = (current(old), current(new));
        Self {
            left_out: after.difference(&before).cloned().collect(),
            left_in: before.difference(&after).cloned().collect(),
            ..self
        }
    }

    /// `+ alice, 18:00 UTC to 21 Nov 09:00 UTC, pd/P1 level 1`, a line for each stretch; who loses comes first. That a
    /// shift is cut into parts otherwise than before is no change to anybody.
    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let line = |sign: char, claim: &Claim| {
            let Claim { window, principal, schedule, level, eligible } = claim;
            let note = if *eligible { "" } else { " (not eligible)" };
            let (start, end) = (When(window.start(), now), When(window.end(), now));
            format!("{sign} {principal}{note}, {start} to {end}, {schedule} level {level}")
        };
        let (lost, gained) = (joined(&self.lost), joined(&self.gained));
        let lost_lines = lost.difference(&gained).map(|claim| line('-', claim));
        lost_lines.chain(gained.difference(&lost).map(|claim| line('+', claim))).collect()
    }

    /// Each change for programs, with what `more` adds. What comes back to count does so before it is gained.
    pub fn records(&self, more: &[(&str, String)]) -> Vec<Value> {
        let record = |change: &str, claim: &Claim| {
            json!({
                "version": 1,
                "change": change,
                "schedule": claim.schedule.to_string(),
                "person": claim.principal.as_str(),
                "level": claim.level,
                "start": claim.window.start().to_string(),
                "end": claim.window.end().to_string(),
                "eligible": claim.eligible,
            })
        };
        let left_in = self.left_in.iter().map(|left| left_record("left-in", left));
        let lost = self.lost.iter().map(|claim| record("lost", claim));
        let gained = self.gained.iter().map(|claim| record("gained", claim));
        let left_out = self.left_out.iter().map(|left| left_record("left-out", left));
        let mut records: Vec<Value> = left_in.chain(lost).chain(gained).chain(left_out).collect();
        for fields in records.iter_mut().filter_map(Value::as_object_mut) {
            fields.extend(more.iter().map(|(key, value)| (key.to_string(), json!(value))));
        }
        records
    }
}

fn left_record(change: &str, left: &LeftOut) -> Value {
    let mut record = left_json(left);
    if let Some(fields) = record.as_object_mut() {
        let more =
            [("version", json!(1)), ("change", json!(change)), ("person", json!(left.principal.as_str()))];
        fields.extend(more.map(|(key, value)| (key.to_string(), value)));
    }
    record
}

/// Claims of one person that differ in nothing but time, and touch or overlap, as one.
fn joined(claims: &[Claim]) -> BTreeSet<Claim> {
    let mut alike: BTreeMap<(&Principal, &ScheduleRef, u8, bool), Vec<Window>> = BTreeMap::new();
    for Claim { window, principal, schedule, level, eligible } in claims {
        alike.entry((principal, schedule, *level, *eligible)).or_default().push(*window);
    }
    let of_one = |((principal, schedule, level, eligible), windows): (_, Vec<Window>)| {
        let (principal, schedule): (&Principal, &ScheduleRef) = (principal, schedule);
        let claim = move |window| {
            let (principal, schedule) = (principal.clone(), schedule.clone());
            Claim { window, principal, schedule, level, eligible }
        };
        stretches(windows).into_iter().map(claim)
    };
    alike.into_iter().flat_map(of_one).collect()
}

fn claims(roster: &Roster, now: Timestamp) -> BTreeSet<Claim> {
    let current = roster.shifts.iter().filter(|shift| shift.window.end() > now);
    let claim = |shift: &policy::Shift| {
        Some(Claim {
            window: shift.window,
            principal: shift.principal.clone(),
            schedule: roster.schedules.get(shift.schedule)?.reference.clone(),
            level: shift.level,
            eligible: roster.is_eligible(&shift.principal),
        })
    };
    current.filter_map(claim).collect()
}
