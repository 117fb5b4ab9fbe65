//! Shifts that do not count although the rota has them: a file of `[[policy.rego]]` left them out, or ended them earlier.
//!
//! A file can only take away: [`narrow`] makes of each shift itself, its beginning, or nothing. What it took is kept beside
//! the roster, so that `why` can name it, no session is ended for it, and the next sync has the rota whole again.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Principal, Roster, Schedule, ScheduleRef, Shift, Shifts, Span, Timestamp, Window};

/// A shift of which some does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Of which schedule.
    pub schedule: ScheduleRef,
    /// Whose it is.
    pub principal: Principal,
    /// Escalation level.
    pub level: u8,
    /// From when to when it is by the rota.
    pub shift: Window,
    /// From when on it does not count: from its start, or after that.
    pub from: Timestamp,
    /// The file that says so.
    pub by: String,
    /// Why.
    pub why: LeftBy,
}

/// Why a shift does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftBy {
    /// The file leaves it out.
    Verdict,
    /// The file ends it earlier.
    Length,
    /// The file failed, and `on_error` is "drop".
    Fault,
}

impl LeftBy {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Length => "ttl",
            Self::Fault => "error",
        }
    }

    /// The one of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Verdict, Self::Length, Self::Fault].into_iter().find(|one| one.word() == word)
    }
}

impl fmt::Display for LeftBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verdict => "left out",
            Self::Length => "ended earlier",
            Self::Fault => "left out, because the file failed and on_error is \"drop\"",
        })
    }
}

impl LeftOut {
    /// What does not count.
    pub fn part(&self) -> Option<Window> {
        Window::new(self.from, self.shift.end())
    }

    /// What counts, if anything does.
    fn kept(&self) -> Option<Window> {
        Window::new(self.shift.start(), self.from)
    }

    fn is_of(&self, schedule: &Schedule, shift: &Shift) -> bool {
        self.schedule == schedule.reference
            && self.principal == shift.principal
            && self.level == shift.level
            && (shift.window == self.shift || Some(shift.window) == self.kept())
    }
}

/// What is taken of a shift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What is left, from its start on; nothing or less: it is left out.
    pub length: Span,
    /// The file that says so.
    pub by: String,
    /// Why.
    pub why: LeftBy,
}

/// What is left of the shifts of `roster`, of each of which `judge` says what is taken, in their order; and what is not.
pub fn narrow(roster: &Roster, mut judge: impl FnMut(&Shift) -> Option<Taken>) -> (Shifts, Vec<LeftOut>) {
    let (mut kept, mut left) = (Vec::with_capacity(roster.shifts.len()), Vec::new());
    for shift in &roster.shifts {
        let (start, end) = (shift.window.start(), shift.window.end());
        let taken = judge(shift).map(|taken| (start.plus(taken.length).max(start), taken));
        let schedule = roster.schedules.get(shift.schedule);
        let (Some((from, taken)), Some(schedule)) = (taken.filter(|(from, _)| *from < end), schedule) else {
            kept.push(shift.clone());
            continue;
        };
        kept.extend(Window::new(start, from).map(|window| Shift { window, ..shift.clone() }));
        left.push(LeftOut {
            schedule: schedule.reference.clone(),
            principal: shift.principal.clone(),
            level: shift.level,
            shift: shift.window,
            from,
            by: taken.by,
            why: taken.why,
        });
    }
    left.sort();
    (kept.into(), left)
}

/// The shifts of `roster` as the rota had them before `left` was taken.
pub fn restore(roster: &Roster, left: &[LeftOut]) -> Shifts {
    if left.is_empty() {
        return roster.shifts.clone();
    }
    let mut taken: BTreeMap<&Principal, Vec<&LeftOut>> = BTreeMap::new();
    for one in left {
        taken.entry(&one.principal).or_default().push(one);
    }
    let is_part = |shift: &Shift| {
        let own = taken.get(&shift.principal).into_iter().flatten();
        let schedule = roster.schedules.get(shift.schedule);
        schedule.is_some_and(|schedule| own.copied().any(|one| one.is_of(schedule, shift)))
    };
    let mut shifts: Vec<Shift> = roster.shifts.iter().filter(|shift| !is_part(shift)).cloned().collect();
    for LeftOut { schedule, principal, level, shift, .. } in left {
        let Some(schedule) = roster.find(schedule) else { continue };
        shifts.push(Shift { schedule, principal: principal.clone(), level: *level, window: *shift });
    }
    shifts.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;
    use alloc::vec;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + second)
    }

    fn roster(shifts: Vec<Shift>) -> Roster {
        let schedule = |id: &str| Schedule {
            reference: ScheduleRef { source: "pd".into(), id: id.into() },
            provider_id: id.into(),
            name: id.into(),
            synced: at(0),
            horizon: at(1_000),
        };
        Roster {
            published: at(0),
            floor: at(0),
            schedules: vec![schedule("A"), schedule("B")],
            shifts: shifts.into(),
            late: Vec::new(),
            incidents: Default::default(),
            eligible: BTreeMap::new(),
        }
    }

    fn shift(person: &str, schedule: usize, level: u8, start: i64, end: i64) -> Shift {
        let window = Window::new(at(start), at(end)).unwrap();
        Shift { schedule, principal: Principal::new(person).unwrap(), level, window }
    }

    fn taken(seconds: i64, why: LeftBy) -> Option<Taken> {
        Some(Taken { length: Span::seconds(seconds), by: "x.rego".into(), why })
    }

    #[test]
    fn a_shift_becomes_itself_its_beginning_or_nothing() {
        let whole = roster(vec![shift("alice", 0, 1, 0, 10)]);
        for (verdict, kept, from) in [
            (None, Some((0, 10)), None),
            (taken(0, LeftBy::Verdict), None, Some(0)),
            (taken(-5, LeftBy::Length), None, Some(0)),
            (taken(4, LeftBy::Length), Some((0, 4)), Some(4)),
            (taken(10, LeftBy::Length), Some((0, 10)), None),
            (taken(i64::MAX, LeftBy::Length), Some((0, 10)), None),
        ] {
            let (shifts, left) = narrow(&whole, |_| verdict.clone());
            let windows: Vec<Window> = shifts.iter().map(|shift| shift.window).collect();
            let expected = kept.and_then(|(start, end)| Window::new(at(start), at(end)));
            assert_eq!(windows, expected.into_iter().collect::<Vec<_>>(), "{verdict:?}");
            assert_eq!(left.first().map(|one| one.from), from.map(at), "{verdict:?}");
        }
    }

    #[test]
    fn a_shift_without_a_start_has_no_beginning_that_is_left() {
        let mut whole = roster(vec![shift("alice", 0, 1, 0, 10)]);
        let window = Window::new(Timestamp::MIN, at(10)).unwrap();
        whole.shifts = vec![Shift { window, ..shift("alice", 0, 1, 0, 10) }].into();
        let (shifts, left) = narrow(&whole, |_| taken(86_400, LeftBy::Length));
        assert!(!shifts.iter().any(|shift| shift.window.contains(at(0))));
        assert!(left.iter().any(|one| one.part().is_some_and(|part| part.contains(at(0)))));
    }

    /// Whatever is said of shifts, nobody is on call a second longer; and what was taken is there again.
    #[test]
    fn a106_nobody_gains_a_second_and_nothing_is_lost() {
        let mut dice = Dice(106);
        for world in 0..2_000 {
            let people = ["alice", "bob", "carla"];
            let count = dice.roll(12);
            let shifts: Vec<Shift> = (0..count)
                .map(|_| {
                    let start = dice.roll(40);
                    let end = start + 1 + dice.roll(20);
                    let person = people[usize::try_from(dice.roll(3)).unwrap()];
                    shift(
                        person,
                        usize::try_from(dice.roll(2)).unwrap(),
                        1 + u8::try_from(dice.roll(2)).unwrap(),
                        start,
                        end,
                    )
                })
                .collect();
            let whole = roster(shifts);
            let (kept, left) = narrow(&whole, |_| match dice.roll(5) {
                0 => taken(0, LeftBy::Verdict),
                1 => taken(0, LeftBy::Fault),
                2 => taken(dice.roll(30) - 5, LeftBy::Length),
                _ => None,
            });
            let narrowed = Roster { shifts: kept, ..whole.clone() };
            for second in -1..70 {
                let on = |roster: &Roster| -> BTreeSet<(usize, String, u8)> {
                    let now = roster.shifts.iter().filter(|shift| shift.window.contains(at(second)));
                    now.map(|shift| (shift.schedule, shift.principal.to_string(), shift.level)).collect()
                };
                assert!(on(&narrowed).is_subset(&on(&whole)), "world {world}, second {second}");
                let of_left =
                    left.iter().filter(|one| one.part().is_some_and(|part| part.contains(at(second))));
                let of_left = of_left
                    .map(|one| (whole.find(&one.schedule).unwrap(), one.principal.to_string(), one.level));
                let both: BTreeSet<_> = on(&narrowed).into_iter().chain(of_left).collect();
                assert_eq!(both, on(&whole), "world {world}, second {second}");
            }
            // Two shifts of one duty, one of which is the beginning of the other, may become one: it is as long.
            let again = Roster { shifts: restore(&narrowed, &left), ..whole.clone() };
            for second in -1..70 {
                let on = |roster: &Roster, person: &str| {
                    let own = Principal::new(person).unwrap();
                    roster.shifts.of(&own).iter().filter(|shift| shift.window.contains(at(second))).count()
                        > 0
                };
                for person in people {
                    assert_eq!(on(&again, person), on(&whole, person), "world {world}, second {second}");
                }
            }
        }
    }
}
