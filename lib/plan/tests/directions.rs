//! The word before each change against `policy::decide`: in many random policies one part is changed, and whoever is let in
//! by that, or kept out, is let in by a line that says so.

use std::collections::BTreeSet;

use host::Config;
use plan::{Effect, Inventory, Question, Rota};

use crate::agreement::{HOSTS, RELABELLED, World, instants, policy, rota, window};
use crate::dice::Dice;
use crate::site::{config, inventory};

const WORLDS: u64 = 60;

/// Does anybody get in by the change, and is anybody kept out, at some instants on each host? Where nobody is refused,
/// everybody is in.
fn turned(world: &World<'_>, hosts: [&Inventory; 2], dice: &mut Dice) -> [bool; 2] {
    let [mut gains, mut loses] = [false, false];
    for now in instants(world.rota, dice).into_iter().filter(|_| dice.one_in(4)).collect::<Vec<_>>() {
        for is_open in world.states() {
            world.each((now, *is_open), hosts, |_, _, _, verdicts| {
                let [before, after] = verdicts.map(|admitted| admitted.unwrap_or(true));
                gains |= after && !before;
                loses |= before && !after;
            });
        }
    }
    [gains, loses]
}

/// Somebody who gets in by the change does so by a line that says it, and so does somebody who is kept out; is there anybody?
fn is_called_rightly(
    (old, new, rota): (&Config, &Config, &Rota),
    hosts: [&Inventory; 2],
    dice: &mut Dice,
    what: &str,
) -> [bool; 2] {
    let inventory = hosts[1].clone().since(hosts[0].clone());
    let question = Question { old, new, inventory: Some(&inventory), rota: Some(rota), window: window() };
    let plan = question.answer();
    let said: BTreeSet<Effect> = plan.changes.iter().map(|change| change.effect).collect();
    let is_said = |one| said.contains(&one) || said.contains(&Effect::MayLoosen);
    let [gains, loses] = turned(&World { old, new, rota }, hosts, dice);
    assert!(!gains || is_said(Effect::Loosens), "somebody gets in: {what}\n{plan}");
    // A door that is closed is told as that.
    let is_closed = !plan.closed.is_empty();
    assert!(!loses || is_said(Effect::Tightens) || is_closed, "somebody is out: {what}\n{plan}");
    assert!(!plan.is_unchanged() || !(gains || loses), "{what}\n{plan}");
    [gains, loses]
}

#[test]
fn a105_each_change_is_called_what_the_decision_makes_of_it() {
    let (same, relabelled) = (inventory(HOSTS), inventory(RELABELLED));
    let (mut changed, mut gained, mut lost) = (0, 0, 0);
    for seed in 1..=WORLDS {
        let dice = &mut Dice::of(1_000 + seed);
        let (old, other, rota) = (policy(dice), policy(dice), rota(dice));
        let (text, before) = (old.concat(), config(&old.concat()));
        let mut count = |[gains, loses]: [bool; 2]| {
            changed += 1;
            gained += u32::from(gains);
            lost += u32::from(loses);
        };
        for part in (0..old.len()).filter(|part| old[*part] != other[*part]) {
            let mut new = old.clone();
            new[part].clone_from(&other[part]);
            let what = format!("world {seed}\n{}\n→ {}\nin {text}", old[part], new[part]);
            let sides = (&before, &config(&new.concat()), &rota);
            count(is_called_rightly(sides, [&same, &same], dice, &what));
        }
        let what = format!("world {seed}, labels\n{text}");
        count(is_called_rightly((&before, &before, &rota), [&same, &relabelled], dice, &what));
    }
    assert!(changed > 200 && gained > 40 && lost > 40, "too alike: {changed} {gained} {lost}");
}
