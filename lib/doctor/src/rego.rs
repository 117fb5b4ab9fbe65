//! Files of `[[policy.rego]]`: is each understood, did it answer about every shift, and what is left of the rota by them.

use std::collections::{BTreeMap, BTreeSet};

use host::Config;
use policy::{LeftOut, Roster, ScheduleRef, Shift, Timestamp};
use status::SyncStatus;
use store::roster;

use crate::finding::{Finding, Place, listed};
use crate::state::Told;

/// What is to be said of the files that this host asks; `report` is what the last sync said.
pub fn check(
    config: &Config,
    told: &Told<'_>,
    report: Option<&SyncStatus>,
    (roster, now): (Option<&Roster>, Timestamp),
) -> Vec<Finding> {
    if !config.rego.iter().any(|one| one.covers(&config.rules.host)) {
        return Vec::new();
    }
    let place = || Place::file(config.path.display());
    let is_behind = report.is_some_and(|report| report.rego_refused);
    let mut findings: Vec<Finding> = match (told.rego)(config) {
        Err(problem) => vec![refused(problem).at(place())],
        Ok(()) if is_behind => vec![behind().at(place())],
        Ok(()) => Vec::new(),
    };
    let failed = report.and_then(|report| report.rego_problem.as_deref());
    findings.extend(failed.map(|problem| failed_for_a_shift(problem).at(place())));
    let left = roster.map(|roster| roster::left_out(&config.paths.roster, roster));
    if let (Some(roster), Some(left)) = (roster, left.filter(|left| !left.is_empty())) {
        findings.extend(emptied(config, roster, &left, now).map(|found| found.at(place())));
    }
    findings
}

fn refused(problem: String) -> Finding {
    let found = Finding::warning("rego", problem);
    let why = "no sync publishes anything: what is known is valid until it is too old, then people on call are refused";
    found.why(why).advise("mend the file, or take the [[policy.rego]] out; then `oncall-cache sync`")
}

/// It was mended since.
fn behind() -> Finding {
    let what =
        "the last sync published nothing for want of a file of [[policy.rego]]; all are understood now";
    Finding::warning("rego", what).why("what is known is of before").run("oncall-cache sync")
}

fn failed_for_a_shift(problem: &str) -> Finding {
    let found = Finding::warning("rego", problem);
    let why = "by `on_error` such a shift counts although no file kept it, or its person is refused";
    found.why(why).advise("mend the file; then `oncall-cache sync`")
}

/// Schedules that count here and have shifts, of which none is left. With one schedule that may be what the file is for.
/// With all of them nobody on call is admitted, which hardly is.
fn emptied(config: &Config, roster: &Roster, left: &[LeftOut], now: Timestamp) -> Option<Finding> {
    let counts = |schedule: &ScheduleRef, level: u8| {
        config.rules.here().any(|rule| {
            level <= rule.max_escalation_level && rule.schedules.iter().any(|one| one == schedule)
        })
    };
    let is_left = |shift: &&Shift| {
        let schedule = roster.schedules.get(shift.schedule);
        shift.window.end() > now && schedule.is_some_and(|one| counts(&one.reference, shift.level))
    };
    let kept: BTreeSet<&ScheduleRef> = (roster.shifts.iter().filter(is_left))
        .filter_map(|shift| roster.schedules.get(shift.schedule).map(|schedule| &schedule.reference))
        .collect();
    let mut emptied: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let current = left.iter().filter(|one| one.shift.end() > now && counts(&one.schedule, one.level));
    for one in current.filter(|one| !kept.contains(&one.schedule)) {
        emptied.entry(one.schedule.to_string()).or_default().insert(&one.by);
    }
    if emptied.is_empty() {
        return None;
    }
    let names: Vec<&String> = emptied.keys().collect();
    let files: BTreeSet<&str> = emptied.values().flatten().copied().collect();
    let files = listed(&files.into_iter().collect::<Vec<_>>());
    let what = format!("{files} leaves nothing of what {} has from now on", listed(&names));
    let (found, why) = if kept.is_empty() {
        (Finding::warning("rego", what), "nobody on call is admitted here")
    } else {
        (Finding::note("rego", what), "nobody is admitted here by that schedule")
    };
    Some(
        found
            .why(why)
            .advise("if that is not meant: `oncall-cache why PERSON` names each shift and its file"),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::finding::Severity;
    use policy::{LeftBy, Principal, Schedule, Shift, Window};

    const CONFIG: &str = "[host]\nname = 'db1'\n[[oncall.source]]\nname = 'pd'\nprovider = 'rota'\nfile = 'rota.toml'\n\
        [[policy.rule]]\nname = 'a'\nschedules = ['pd/A', 'pd/B']\n\
        [[policy.rego]]\nfile = 'db.rego'\nquery = 'data.authkeys.keep'\n";

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_unix(1_793_610_000 + hour * 3_600)
    }

    fn config() -> Config {
        Config::parse(Path::new("/etc/authkeys/config.toml"), CONFIG.as_bytes()).unwrap()
    }

    fn reference(id: &str) -> ScheduleRef {
        ScheduleRef { source: "pd".into(), id: id.into() }
    }

    /// A, B and one that no rule here counts; a shift: of which, its level, and its end.
    fn roster(shifts: &[(usize, u8, i64)]) -> Roster {
        let schedule = |id: &str| Schedule {
            reference: reference(id),
            provider_id: id.into(),
            name: id.into(),
            synced: at(0),
            horizon: at(72),
        };
        let shift = |(schedule, level, end): &(usize, u8, i64)| Shift {
            schedule: *schedule,
            principal: Principal::new("alice").unwrap(),
            level: *level,
            window: Window::new(at(-9), at(*end)).unwrap(),
        };
        Roster {
            published: at(0),
            floor: at(0),
            schedules: ["A", "B", "C"].map(schedule).to_vec(),
            shifts: shifts.iter().map(shift).collect::<Vec<_>>().into(),
            late: Vec::new(),
            incidents: Default::default(),
            eligible: BTreeMap::new(),
        }
    }

    fn left(id: &str, level: u8, end: i64) -> LeftOut {
        LeftOut {
            schedule: reference(id),
            principal: Principal::new("bob").unwrap(),
            level,
            shift: Window::new(at(-9), at(end)).unwrap(),
            from: at(-9),
            by: "/etc/authkeys/db.rego".into(),
            why: LeftBy::Verdict,
        }
    }

    #[test]
    fn a_file_that_leaves_nothing_is_told_and_how_much_that_matters() {
        use Severity::{Note, Warning};
        for (kept, left, expected) in [
            (&[(0, 1, 5), (1, 1, 5)][..], vec![left("A", 1, 5)], None),
            (&[(1, 1, 5)], vec![left("A", 1, 5)], Some(Note)),
            (&[], vec![left("A", 1, 5)], Some(Warning)),
            (&[(2, 1, 5)], vec![left("A", 1, 5), left("B", 1, 5)], Some(Warning)),
            // What is over, too deep for a rule, or of a schedule that no rule here counts.
            (&[], vec![left("A", 1, 0)], None),
            (&[], vec![left("A", 2, 5)], None),
            (&[], vec![left("C", 1, 5)], None),
            (&[(0, 1, 0)], vec![left("A", 1, 5)], Some(Warning)),
            (&[(0, 2, 5)], vec![left("A", 1, 5)], Some(Warning)),
        ] {
            let found = emptied(&config(), &roster(kept), &left, at(0));
            assert_eq!(found.map(|found| found.severity), expected, "{kept:?} {left:?}");
        }
        let found = emptied(&config(), &roster(&[(1, 1, 5)]), &[left("A", 1, 5)], at(0)).unwrap();
        assert_eq!(found.what, "/etc/authkeys/db.rego leaves nothing of what pd/A has from now on");
    }
}
