//! What a schedule must not exceed to be taken over.
//!
//! A rota is edited by people, scripts and whoever holds a token of theirs. These guards do not judge who
//! is on call; they refuse what looks like an accident or a flood, keep what was known, and say how to
//! have it after all.

use std::collections::BTreeMap;

use host::config::Guards;
use policy::{Principal, Timestamp, Window};

use super::outcome::{Trouble, TroubleKind};
use super::shifts::ScheduleShifts;
use sources::ProviderSchedule;

/// May `offered`, which came as `told`, take the place of `previous`?
pub fn check(
    guards: &Guards,
    previous: Option<&ScheduleShifts>,
    offered: &ScheduleShifts,
    told: &ProviderSchedule,
    now: Timestamp,
) -> Result<(), Trouble> {
    check_identity(previous, offered)?;
    check_empty(guards, previous, offered, told, now)?;
    let most = most_at_once(told.shifts.iter().map(|shift| (shift.window, shift.user.id.as_str())));
    // What stands was accepted; the same again is no news.
    let stands = previous.map_or(0, |previous| {
        most_at_once(previous.shifts.iter().map(|shift| (shift.window, shift.principal.as_str())))
    });
    if most > guards.max_oncall.max(stands) {
        let limit = guards.max_oncall;
        let text = format!(
            "{most} people would be on call at once, `max_oncall` is {limit}; if that will stay so, raise the limit"
        );
        return Err(trouble(TroubleKind::GuardTripped, text));
    }
    let changed = previous.map_or(0, |previous| changed_share(previous, offered, now));
    if changed > u64::from(guards.max_change) {
        return Err(trouble(
            TroubleKind::GuardTripped,
            format!(
                "{changed}% of the known on-call time would change, `max_change` is {}%",
                guards.max_change
            ),
        ));
    }
    Ok(())
}

/// What holds for a schedule that a collector's guards let pass: what changed, and whether it may be empty, was judged
/// there. How many people may be root here at once is this host's own limit, whatever stands.
pub fn check_collected(guards: &Guards, told: &ProviderSchedule) -> Result<(), Trouble> {
    let most = most_at_once(told.shifts.iter().map(|shift| (shift.window, shift.user.id.as_str())));
    if most <= guards.max_oncall {
        return Ok(());
    }
    let limit = guards.max_oncall;
    let text = format!(
        "{most} people would be on call at once, `max_oncall` is {limit} on this host; if that will stay so, raise the limit"
    );
    Err(trouble(TroubleKind::GuardTripped, text))
}

fn trouble(kind: TroubleKind, text: String) -> Trouble {
    Trouble::acceptable(kind, text)
}

/// A text in the configuration goes on to mean what it meant: whoever edits the rota can give a schedule the name,
/// or even what was the id, of another one that is gone.
fn check_identity(previous: Option<&ScheduleShifts>, offered: &ScheduleShifts) -> Result<(), Trouble> {
    let (was, is) = (previous.map(|previous| &previous.schedule.provider_id), &offered.schedule.provider_id);
    match was {
        Some(was) if was != is => {
            let text = &offered.schedule.reference.id;
            Err(trouble(TroubleKind::GuardTripped, format!("`{text}` was {was} and would now be {is}")))
        }
        _ => Ok(()),
    }
}

/// Nobody at all is more often a mistake than the truth, and so is nobody whom the directory knows. One that was taken
/// over empty before, because somebody accepted it, may stay so. `allow_empty` covers both; but strangers take no shift
/// away that somebody here still has: so it looks when a directory has lost its mail addresses.
fn check_empty(
    guards: &Guards,
    previous: Option<&ScheduleShifts>,
    offered: &ScheduleShifts,
    told: &ProviderSchedule,
    now: Timestamp,
) -> Result<(), Trouble> {
    let was_empty = previous.is_some_and(|previous| previous.shifts.is_empty());
    if !offered.shifts.is_empty() || was_empty {
        return Ok(());
    }
    match told.shifts.first() {
        None if guards.allow_empty => Ok(()),
        Some(_) if guards.allow_empty && !is_on_call_after(previous, now) => Ok(()),
        None => Err(trouble(
            TroubleKind::SourceEmpty,
            "it shows nobody on call at any time; check `max_escalation_level` and the rota, or set \
             `allow_empty = true`"
                .to_string(),
        )),
        Some(shift) => Err(trouble(
            TroubleKind::SourceEmpty,
            format!(
                "none of the people on call is in the directory, {} for example; as root, see `oncall-cache identities`{}",
                shift.user.shown(),
                if guards.allow_empty { "" } else { ", or set `allow_empty = true`" }
            ),
        )),
    }
}

/// Has somebody here a shift that is not over?
fn is_on_call_after(previous: Option<&ScheduleShifts>, now: Timestamp) -> bool {
    previous.is_some_and(|previous| previous.shifts.iter().any(|shift| shift.window.end() > now))
}

/// The most different people on call at one instant.
fn most_at_once<'a>(shifts: impl Iterator<Item = (Window, &'a str)>) -> usize {
    let mut edges: Vec<(Timestamp, bool, &str)> = Vec::new();
    for (window, who) in shifts {
        edges.push((window.end(), false, who));
        edges.push((window.start(), true, who));
    }
    // At the second of a hand-over the one who leaves is gone before the other comes.
    edges.sort();
    let mut on: BTreeMap<&str, usize> = BTreeMap::new();
    let mut most = 0;
    for (_, comes, user) in edges {
        let shifts = on.entry(user).or_default();
        if comes {
            *shifts += 1;
            most = most.max(on.len());
        } else if *shifts > 1 {
            *shifts -= 1;
        } else {
            on.remove(user);
        }
    }
    most
}

/// How much of the time that both know about belongs to others than before, in percent of the person-seconds
/// that either knows. Nothing where there was nobody before.
fn changed_share(previous: &ScheduleShifts, offered: &ScheduleShifts, now: Timestamp) -> u64 {
    let end = previous.schedule.horizon.min(offered.schedule.horizon);
    let Some(both) = Window::new(now, end) else { return 0 };
    let (old, new) = (cover(previous, both), cover(offered, both));
    let seconds = |cover: &Cover<'_>| cover.values().flatten().map(|window| length(*window)).sum::<u64>();
    let (before, after) = (seconds(&old), seconds(&new));
    if before == 0 {
        return 0;
    }
    let common: u64 = old
        .iter()
        .filter_map(|(who, windows)| Some((windows, new.get(who)?)))
        .flat_map(|(left, right)| left.iter().flat_map(|one| right.iter().map(|other| (*one, *other))))
        .filter_map(|(one, other)| one.intersect(other))
        .map(length)
        .sum();
    let either = before + after - common;
    // Rounded up: 0% is nothing at all.
    ((either - common) * 100).div_ceil(either.max(1))
}

type Cover<'a> = BTreeMap<(&'a Principal, u8), Vec<Window>>;

/// Who is on call when inside `both`; a person's shifts that overlap or touch are one.
fn cover(one: &ScheduleShifts, both: Window) -> Cover<'_> {
    let mut cover = Cover::new();
    let mut shifts: Vec<_> = one.shifts.iter().collect();
    shifts.sort_by_key(|shift| shift.window);
    for shift in shifts {
        let Some(window) = shift.window.intersect(both) else { continue };
        let windows = cover.entry((&shift.principal, shift.level)).or_default();
        match windows.last_mut() {
            Some(last) if window.start() <= last.end() => {
                *last = Window::new(last.start(), last.end().max(window.end())).unwrap_or(window);
            }
            _ => windows.push(window),
        }
    }
    cover
}

fn length(window: Window) -> u64 {
    u64::try_from(window.end().since(window.start()).as_seconds()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::shifts::MappedShift;
    use policy::{Schedule, ScheduleRef};
    use sources::{ProviderShift, User};

    fn window(start: i64, end: i64) -> Window {
        Window::new(Timestamp::from_unix(start), Timestamp::from_unix(end)).unwrap()
    }

    fn told(shifts: &[(&str, i64, i64)]) -> ProviderSchedule {
        let shift = |(person, start, end): &(&str, i64, i64)| ProviderShift {
            user: User { id: person.to_string(), mail: None, principal: None, label: None, disputed: None },
            level: 1,
            window: window(*start, *end),
        };
        ProviderSchedule {
            wanted: "P1".into(),
            id: "P1".into(),
            name: "P1".into(),
            shifts: shifts.iter().map(shift).collect(),
            reading: None,
        }
    }

    fn unit(shifts: &[(&str, i64, i64)]) -> ScheduleShifts {
        let shift = |(person, start, end): &(&str, i64, i64)| MappedShift {
            principal: Principal::new(person).unwrap(),
            level: 1,
            window: window(*start, *end),
        };
        let schedule = Schedule {
            reference: ScheduleRef { source: "pd".into(), id: "P1".into() },
            provider_id: "P1".into(),
            name: "P1".into(),
            synced: Timestamp::from_unix(0),
            horizon: Timestamp::from_unix(1000),
        };
        ScheduleShifts { schedule, shifts: shifts.iter().map(shift).collect() }
    }

    fn verdict(guards: &Guards, old: Option<&[(&str, i64, i64)]>, new: &[(&str, i64, i64)]) -> &'static str {
        let previous = old.map(unit);
        let outcome = check(guards, previous.as_ref(), &unit(new), &told(new), Timestamp::from_unix(0));
        outcome.err().map_or("ok", |trouble| trouble.kind.token())
    }

    #[test]
    fn nobody_is_refused_until_it_is_allowed_or_was_accepted() {
        let usual = Guards::default();
        let relaxed = Guards { allow_empty: true, ..Guards::default() };
        assert_eq!(verdict(&usual, None, &[]), "source-empty");
        assert_eq!(verdict(&usual, Some(&[("alice", 0, 10)]), &[]), "source-empty");
        assert_eq!(verdict(&usual, Some(&[]), &[]), "ok");
        assert_eq!(verdict(&relaxed, Some(&[("alice", 0, 10)]), &[]), "ok");
    }

    #[test]
    fn a_schedule_of_strangers_does_not_replace_one_of_people() {
        let relaxed = Guards { allow_empty: true, ..Guards::default() };
        let (old, strangers) = (unit(&[("alice", 0, 10)]), told(&[("mallory", 0, 10)]));
        let outcome = check(&relaxed, Some(&old), &unit(&[]), &strangers, Timestamp::from_unix(0));
        assert_eq!(outcome.unwrap_err().kind, TroubleKind::SourceEmpty);
        let later = check(&relaxed, Some(&old), &unit(&[]), &strangers, Timestamp::from_unix(10));
        assert_eq!(later, Ok(()), "her shift is over");
        for previous in [None, Some(unit(&[]))] {
            let outcome = check(&relaxed, previous.as_ref(), &unit(&[]), &strangers, Timestamp::from_unix(0));
            assert_eq!(outcome, Ok(()));
        }
        let usual = check(&Guards::default(), None, &unit(&[]), &strangers, Timestamp::from_unix(0));
        let trouble = usual.unwrap_err();
        assert!(
            trouble.kind == TroubleKind::SourceEmpty && trouble.text.contains("`allow_empty = true`"),
            "{trouble:?}"
        );
    }

    #[test]
    fn people_are_counted_at_one_instant() {
        let two = Guards { max_oncall: 2, ..Guards::default() };
        assert_eq!(verdict(&two, None, &[("alice", 0, 10), ("bob", 5, 15), ("carol", 10, 20)]), "ok");
        assert_eq!(
            verdict(&two, None, &[("alice", 0, 11), ("bob", 5, 15), ("carol", 10, 20)]),
            "guard-tripped"
        );
        assert_eq!(verdict(&two, None, &[("alice", 0, 9), ("alice", 2, 5), ("alice", 3, 7)]), "ok");
    }

    #[test]
    fn change_is_judged_where_both_know() {
        let half = Guards { max_change: 50, ..Guards::default() };
        let old: &[_] = &[("alice", 0, 1000)];
        // A swap of 20%: 200 of alice's seconds go, 200 of bob's come, of 1200 in all.
        assert_eq!(verdict(&half, Some(old), &[("alice", 0, 800), ("bob", 800, 1000)]), "ok");
        assert_eq!(verdict(&half, Some(old), &[("alice", 0, 500), ("bob", 500, 1000)]), "guard-tripped");
        assert_eq!(verdict(&half, Some(&[]), &[("bob", 0, 1000)]), "ok");
        assert_eq!(verdict(&half, None, &[("bob", 0, 1000)]), "ok");
        // Beyond the old horizon nothing was known, so nothing changes there.
        assert_eq!(verdict(&half, Some(old), &[("alice", 0, 1000), ("bob", 1000, 9000)]), "ok");
        // How a shift is cut does not matter.
        assert_eq!(
            verdict(&Guards { max_change: 0, ..half }, Some(old), &[("alice", 0, 400), ("alice", 400, 1000)]),
            "ok"
        );
    }
}
