//! The word before each change against `policy::decide`: in many random policies one part is changed, and whoever is let in
//! by that, or kept out, is let in by a line that says so.

use std::collections::BTreeSet;

use plan::{Effect, Question};
use policy::Host;

use crate::agreement::{HOSTS, World, instants, policy, rota, window};
use crate::dice::Dice;
use crate::site::{config, inventory};

const WORLDS: u64 = 60;

/// Does anybody get in by the change, and is anybody kept out, at some instants on each host? Where nobody is refused,
/// everybody is in.
fn turned(world: &World<'_>, hosts: &[Host], dice: &mut Dice) -> (bool, bool) {
    let (mut gains, mut loses) = (false, false);
    for now in instants(world.rota, dice).into_iter().filter(|_| dice.one_in(4)).collect::<Vec<_>>() {
        for is_open in world.states() {
            world.each((now, *is_open), hosts, |_, _, _, verdicts| {
                let [before, after] = verdicts.map(|admitted| admitted.unwrap_or(true));
                gains |= after && !before;
                loses |= before && !after;
            });
        }
    }
    (gains, loses)
}

#[test]
fn a105_each_change_is_called_what_the_decision_makes_of_it() {
    let hosts = inventory(HOSTS);
    let (mut changed, mut gained, mut lost) = (0, 0, 0);
    for seed in 1..=WORLDS {
        let dice = &mut Dice::of(1_000 + seed);
        let (old, other, rota) = (policy(dice), policy(dice), rota(dice));
        let before = config(&old.concat());
        for part in (0..old.len()).filter(|part| old[*part] != other[*part]) {
            let mut new = old.clone();
            new[part].clone_from(&other[part]);
            let after = config(&new.concat());
            let (old_, new_) = (&before, &after);
            let world = World { old: old_, new: new_, rota: &rota };
            let question = Question {
                old: old_,
                new: new_,
                inventory: Some(&hosts),
                rota: Some(&rota),
                window: window(),
            };
            let plan = question.answer();
            let said: BTreeSet<Effect> = plan.changes.iter().map(|change| change.effect).collect();
            let (gains, loses) = turned(&world, hosts.hosts(), dice);
            let what =
                || format!("world {seed}\n{}\n→ {}\nin {}\n{plan}", old[part], new[part], old.concat());
            let is_said = |one| said.contains(&one) || said.contains(&Effect::MayLoosen);
            assert!(!gains || is_said(Effect::Loosens), "somebody gets in: {}", what());
            // A door that is closed is told as that.
            assert!(
                !loses || is_said(Effect::Tightens) || !plan.closed.is_empty(),
                "somebody is out: {}",
                what()
            );
            assert!(!plan.is_unchanged() || !(gains || loses), "{}", what());
            changed += 1;
            gained += u32::from(gains);
            lost += u32::from(loses);
        }
    }
    assert!(changed > 200 && gained > 40 && lost > 40, "too alike: {changed} {gained} {lost}");
}
