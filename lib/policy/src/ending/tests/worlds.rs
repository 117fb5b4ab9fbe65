//! Many worlds in which somebody edits, sets, pauses and breaks: what has to be true in each.

use super::*;
use crate::dice::Dice;

impl Dice {
    /// Something happens to a world: somebody edits, sets, pauses, breaks.
    fn change(&mut self, world: &mut World, minute: i64) {
        let near = minute + self.roll(60) - 20;
        match self.roll(40) {
            0..4 => world.rules.mode = if self.roll(8) == 0 { Mode::Observe } else { Mode::Enforce },
            4 => {
                world.switch =
                    Some(Switch { pause: order(minute, minute + 1 + self.roll(30)), enforcement: None })
            }
            5 => {
                world.switch =
                    Some(Switch { pause: None, enforcement: order(minute, minute + 1 + self.roll(30)) })
            }
            6 => world.switch = None,
            7..10 => world.switch = Some(Switch::untouched()),
            10 => world.ahead += self.roll(400) - 200,
            11 => world.knows_grants = !world.knows_grants,
            12..=13 => world.end.action = EndAction::ALL[usize::try_from(self.roll(3)).unwrap()],
            15 => world.end.grace = Span::seconds(60 + self.roll(600)),
            16 => world.grants = vec![grant(near - 30, near + 1 + self.roll(60))],
            17 => world.grants.clear(),
            18..24 => {
                if let Ok(roster) = &mut world.roster {
                    roster.shifts = vec![shift(0, 0, near.max(1)), shift(1, near + 10, near + 40)].into();
                }
            }
            24 => {
                if let Ok(roster) = &mut world.roster {
                    let eligible = self.roll(2) == 0;
                    roster.eligible.insert(alice(), eligible);
                }
            }
            25 => world.opening.is_shared_connection = self.roll(2) == 0,
            26..30 => world.roster = World::new().roster,
            30 => world.roster = Err(Fault::Corrupt),
            _ => {}
        }
    }
}

/// What has to be true of a run, however the world came about.
fn check(seed: u64, world: &World, before: &World, second: i64, outcome: Outcome) -> bool {
    let now = Timestamp::from_unix(NINE + second + world.ahead);
    let decision = world.decided(now);
    let told = |what: &str| format!("world {seed}, second {second}: {what}: {outcome:?} {decision:?}");
    let counts = |reason: Reason| matches!(reason, Reason::NotOnCall | Reason::NotEligible);
    let is_enforced = mode_in_force(world.rules.mode, world.switch.as_ref(), now);
    match outcome {
        Outcome::Due(means, _) | Outcome::WouldEnd(means, _) => {
            assert!(decision.verdict == Verdict::Refuse && counts(decision.reason), "{}", told("admitted"));
            let seen = before.memory.refused.expect("a run before it");
            let passed = u64::try_from(second).unwrap() + 86_400 - seen.uptime.since_boot().as_secs();
            let grace = u64::try_from(world.end.grace.as_seconds()).unwrap();
            assert!(passed >= grace.max(60), "{}", told("too early"));
            assert!(is_fresh(&world.evidence(), &world.rules, now), "{}", told("old"));
            let is_watching = matches!(outcome, Outcome::WouldEnd(..));
            let watches = is_enforced.0 == Mode::Observe || world.end.action == EndAction::List;
            assert!(watches == is_watching, "{}", told("enforced"));
            assert!(is_watching || before.memory.warned.is_some(), "{}", told("unwarned"));
            assert!(means == Means::Kill || world.opening.is_shared_connection, "{}", told("hung up"));
            assert!(means == Means::HangUp || world.end.action != EndAction::HangUp, "{}", told("killed"));
            let is_early = world.opening.promised.is_some_and(|promised| now < promised);
            let is_shortened = is_early && decision.reason == Reason::NotOnCall;
            assert!(!is_shortened || (means == Means::HangUp && passed >= 900), "{}", told("shortened"));
        }
        Outcome::Warn(ends) if decision.allows() => {
            let then = world.decided(ends.right);
            assert!(then.verdict == Verdict::Refuse && counts(then.reason), "{}", told("no end"));
            assert!(world.decided(ends.right.minus(Span::seconds(1))).allows(), "{}", told("not the end"));
        }
        Outcome::Warn(_) => assert!(counts(decision.reason), "{}", told("not for that")),
        Outcome::Stays(_) | Outcome::Listed(_) => return false,
    }
    assert!(matches!(is_enforced.1, ModeSource::Config | ModeSource::Confirmed(_)), "{}", told("in between"));
    true
}

#[test]
fn nobody_is_ended_whom_the_policy_admits_or_warned_of_an_end_that_is_not() {
    let (mut due, mut warned, mut would) = (0, 0, 0);
    for seed in 1..=400 {
        let mut dice = Dice(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let (mut world, mut is_synced) = (World::new(), true);
        for minute in 480..700 {
            // Now and then nothing is synced for long.
            is_synced = if is_synced { dice.roll(100) != 0 } else { dice.roll(90) == 0 };
            if let (Ok(roster), true) = (&mut world.roster, is_synced) {
                roster.schedules.iter_mut().for_each(|schedule| schedule.synced = at(minute));
            }
            if dice.roll(8) == 0 {
                dice.change(&mut world, minute);
            }
            let before = world.clone();
            let second = minute * 60 + dice.roll(59);
            let outcome = world.run(second);
            if check(seed, &world, &before, second, outcome) {
                due += u32::from(is_due(&outcome));
                warned += u32::from(is_warning(&outcome));
                would += u32::from(matches!(outcome, Outcome::WouldEnd(..)));
            }
        }
    }
    assert!(due > 100 && warned > 100 && would > 20, "{due} {warned} {would}");
}

/// By oncall-cache-end.timer, whose runs are 81 s apart at most: the test `units` reads that in it.
#[test]
fn an_end_that_may_happen_happens_within_three_minutes_of_its_instant() {
    for (phase, grace) in (0..81).flat_map(|phase| [1, 5, 60].map(|grace| (phase, grace))) {
        let mut world = World::new();
        world.end.grace = Span::minutes(grace);
        let ended = (END * 60 - 3_600 + phase..).step_by(81).find(|second| {
            let now = Timestamp::from_unix(NINE + second);
            world.roster().schedules.iter_mut().for_each(|schedule| schedule.synced = now);
            is_due(&world.run(*second))
        });
        let late = ended.unwrap() - (END + grace) * 60;
        assert!((0..=180).contains(&late), "{phase} s after a run, grace {grace} min: {late} s");
    }
}
