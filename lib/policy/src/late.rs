//! Shifts of which a host learned late: less than a quarter of an hour before they begin, or after.
//!
//! Whoever may edit the rota can put themselves on call now. That is often right (somebody is ill, two people swap), and
//! it is what a rota editor who means harm would do. A sync that finds a shift which the copy before did not have says so
//! here; the record, the report and `why` show it, and `[oncall.source] late = "claim"` asks such people for a reason
//! first. It is no control against whoever edits long before, or also cuts off this host.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::{Principal, Roster, ScheduleRef, Span, Timestamp, Window, stretches};

/// How long before it begins a shift has to be known here, to be none of these.
pub const NOTICE: Span = Span::minutes(15);

/// A part of somebody's shift that was not known in time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LateShift {
    /// Of which schedule.
    pub schedule: ScheduleRef,
    /// Whose it is.
    pub principal: Principal,
    /// Escalation level.
    pub level: u8,
    /// From when to when; what was known of the same shift before is left out.
    pub window: Window,
    /// When the sync ran that found it.
    pub seen: Timestamp,
}

/// What makes two shifts one person's same duty.
type Duty<'r> = (&'r ScheduleRef, &'r Principal, u8);

/// What of `new`, found at `now`, is late: what was so in `old` and still is in the rota, and what `old` did not have
/// although it knew that time. Without `old` nothing is: a host that has just been set up knows nothing of before.
pub fn late_shifts(old: Option<&Roster>, new: &Roster, now: Timestamp) -> Vec<LateShift> {
    let Some(old) = old else { return Vec::new() };
    let known = duties(old, now);
    let mut late = Vec::new();
    for ((schedule, principal, level), windows) in duties(new, now) {
        let of_schedule = old.schedules.iter().find(|known| known.reference == *schedule);
        // Nothing was known there of what came after.
        let Some(horizon) = of_schedule.map(|known| known.horizon) else { continue };
        let marks: Vec<&LateShift> = old
            .late
            .iter()
            .filter(|part| part.schedule == *schedule && part.principal == *principal && part.level <= level)
            .collect();
        // A deeper level was less of a right than this one.
        let in_time = (1..=level).flat_map(|level| {
            let own = marks.iter().filter(|part| part.level == level).map(|part| part.window);
            let own = stretches(own);
            let windows = known.get(&(schedule, principal, level)).into_iter().flatten();
            windows.flat_map(|window| window.without(&own)).collect::<Vec<_>>()
        });
        let in_time = stretches(in_time);
        let marked = stretches(marks.iter().map(|part| part.window));
        let is_late = |window: &Window| window.start() < now.plus(NOTICE) && window.start() < horizon;
        for missing in windows.iter().flat_map(|window| window.without(&in_time)) {
            let before = marks.iter().filter_map(|part| Some((missing.intersect(part.window)?, part.seen)));
            let gained = missing.without(&marked).into_iter().filter(is_late).map(|window| (window, now));
            late.extend(before.chain(gained).map(|(window, seen)| LateShift {
                schedule: schedule.clone(),
                principal: principal.clone(),
                level,
                window,
                seen,
            }));
        }
    }
    late.sort();
    late
}

/// Who is on call when, without what is over: each duty's shifts, joined.
fn duties(roster: &Roster, now: Timestamp) -> BTreeMap<Duty<'_>, Vec<Window>> {
    let mut duties: BTreeMap<Duty<'_>, Vec<Window>> = BTreeMap::new();
    for shift in roster.shifts.iter().filter(|shift| shift.window.end() > now) {
        if let Some(schedule) = roster.schedules.get(shift.schedule) {
            let duty = (&schedule.reference, &shift.principal, shift.level);
            duties.entry(duty).or_default().push(shift.window);
        }
    }
    duties.into_iter().map(|(duty, windows)| (duty, stretches(windows))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Schedule, Shift};
    use alloc::{string::ToString, vec};

    const NOW: i64 = 100_000;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_unix(NOW + 60 * minutes)
    }

    /// Shifts of this person: level, first and last minute from now.
    fn roster(shifts: &[(&str, u8, i64, i64)]) -> Roster {
        let schedule = Schedule {
            reference: ScheduleRef { source: "pd".into(), id: "P1".into() },
            provider_id: "P1".into(),
            name: "db".into(),
            synced: at(-1),
            horizon: at(1_000),
        };
        let shift = |&(person, level, start, end): &(&str, u8, i64, i64)| Shift {
            schedule: 0,
            principal: Principal::new(person).unwrap(),
            level,
            window: Window::new(at(start), at(end)).unwrap(),
        };
        let shifts: Vec<Shift> = shifts.iter().map(shift).collect();
        Roster {
            published: at(-1),
            floor: at(-1),
            schedules: vec![schedule],
            shifts: shifts.into(),
            late: Vec::new(),
            incidents: Default::default(),
            eligible: BTreeMap::new(),
        }
    }

    /// The late parts: whose, and from which minute to which.
    fn late(old: &Roster, new: &Roster) -> Vec<(alloc::string::String, i64, i64)> {
        let minute = |instant: Timestamp| instant.since(at(0)).as_seconds() / 60;
        let part = |part: &LateShift| {
            (part.principal.to_string(), minute(part.window.start()), minute(part.window.end()))
        };
        late_shifts(Some(old), new, at(0)).iter().map(part).collect()
    }

    #[test]
    fn a_shift_is_late_that_was_not_known_a_quarter_of_an_hour_before_it_begins() {
        let alice = ("alice", 1, -60, 60);
        for (what, old, new, expected) in [
            ("as it was", vec![alice], vec![alice], vec![]),
            ("cut otherwise", vec![alice], vec![("alice", 1, -30, 20), ("alice", 1, 20, 60)], vec![]),
            ("shorter", vec![alice], vec![("alice", 1, -60, 5)], vec![]),
            ("now", vec![alice], vec![("bob", 1, -2, 60)], vec![("bob", -2, 60)]),
            ("in 14 minutes", vec![alice], vec![alice, ("bob", 1, 14, 60)], vec![("bob", 14, 60)]),
            ("in time", vec![alice], vec![alice, ("bob", 1, 15, 60)], vec![]),
            ("over", vec![alice], vec![alice, ("bob", 1, -30, 0)], vec![]),
            ("longer, in time", vec![alice], vec![("alice", 1, -60, 90)], vec![]),
            (
                "longer at the last moment",
                vec![("alice", 1, -60, 10)],
                vec![("alice", 1, -60, 90)],
                vec![("alice", 10, 90)],
            ),
            ("nearer", vec![("alice", 2, -60, 60)], vec![alice], vec![("alice", -60, 60)]),
            ("deeper", vec![alice], vec![("alice", 2, -60, 60)], vec![]),
            ("beyond what was known", vec![], vec![("bob", 1, 1_001, 1_060)], vec![]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(who, start, end)| (who.to_string(), start, end)).collect();
            assert_eq!(late(&roster(&old), &roster(&new)), expected, "{what}");
        }
    }

    #[test]
    fn nothing_is_late_where_nothing_was_known() {
        let new = roster(&[("bob", 1, -2, 60)]);
        assert_eq!(late_shifts(None, &new, at(0)), []);
        let mut ended = roster(&[]);
        ended.schedules[0].horizon = at(-3);
        assert_eq!(late(&ended, &new), [], "the copy had ended before the shift began");
        let none = Roster { schedules: Vec::new(), ..roster(&[]) };
        assert_eq!(late(&none, &new), [], "the schedule is new");
    }

    #[test]
    fn what_is_late_stays_so_as_long_as_it_is_in_the_rota() {
        let mut first = roster(&[("bob", 1, -2, 60)]);
        first.late = late_shifts(Some(&roster(&[])), &first, at(0));
        let seen = first.late.clone();
        assert_eq!(seen.iter().map(|part| part.seen).collect::<Vec<_>>(), [at(0)]);
        assert_eq!(late_shifts(Some(&first), &first, at(30)), seen);
        let longer = roster(&[("bob", 1, -2, 600)]);
        assert_eq!(late_shifts(Some(&first), &longer, at(30)), seen, "what came in time is not late");
        assert_eq!(late_shifts(Some(&first), &roster(&[]), at(30)), []);
        // Nor does it come in time by moving to a deeper level; what was there in time before is.
        let deeper = roster(&[("bob", 2, -2, 60)]);
        let moved = late_shifts(Some(&first), &deeper, at(30));
        assert_eq!(moved.iter().map(|part| (part.level, part.seen)).collect::<Vec<_>>(), [(2, at(0))]);
        let mut both = roster(&[("bob", 1, -2, 60), ("bob", 2, -2, 60)]);
        both.late = late_shifts(Some(&roster(&[("bob", 2, -2, 60)])), &both, at(0));
        assert_eq!(both.late.iter().map(|part| part.level).collect::<Vec<_>>(), [1]);
        assert_eq!(late_shifts(Some(&both), &deeper, at(30)), []);
        assert_eq!(late_shifts(Some(&first), &first, at(60)), [], "it is over");
    }
}
