//! The reason that people on call state, against a reference as well.

use policy::{Claimed, Claims, LateShift};

use super::*;

/// Is somebody who is on call in, by what is known of their reason, as plainly as it can be written? `None`: they are not
/// on call by a rule that is known to count now.
fn is_open(world: &World, person: &Principal, claims: Claims<'_>, now: Timestamp) -> Option<bool> {
    let (roster, rules) = (&world.roster, &world.rules);
    let counting = |shift: &Shift| -> Vec<&Rule> {
        let reference = &roster.schedules[shift.schedule].reference;
        let here = rules.rules.iter().filter(|rule| rule.hosts.iter().any(|one| one.covers(&rules.host)));
        here.filter(|rule| rule.schedules.contains(reference) && shift.level <= rule.max_escalation_level)
            .collect()
    };
    let own: Vec<&Shift> = roster
        .shifts
        .iter()
        .filter(|shift| shift.principal == *person && !counting(shift).is_empty())
        .collect();
    let same_shift = |shift: &Shift, at: Timestamp| {
        let whole = policy::stretches(own.iter().map(|shift| shift.window));
        whole.iter().any(|whole| whole.contains(at) && whole.join(shift.window) == Some(*whole))
    };
    let opens = |shift: &&Shift| {
        let schedule = &roster.schedules[shift.schedule];
        let is_old = now.since(schedule.synced) > rules.ages.of(schedule).warn_age;
        let reference = &schedule.reference;
        let is_late = roster.late.iter().any(|part| {
            (&part.schedule, &part.principal, part.level) == (reference, person, shift.level)
                && part.window.contains(now)
        });
        let asks_late = is_late && rules.late_claims.contains(&reference.source);
        counting(shift).iter().any(|rule| !rule.claim) && !asks_late
            || is_old
            || match claims {
                Claims::NotAsked | Claims::Closed => true,
                Claims::Stated(claimed) => claimed.is_some_and(|claimed| same_shift(shift, claimed.at)),
            }
    };
    let mut now_on_call = own.iter().copied().filter(|shift| {
        let schedule = &roster.schedules[shift.schedule];
        let end = schedule.synced.plus(rules.ages.of(schedule).max_age).min(schedule.horizon);
        shift.window.contains(now) && now < end
    });
    now_on_call.clone().next()?;
    Some(now_on_call.any(|shift| opens(&shift)))
}

/// Some parts of shifts are late, and of some sources a reason is asked for that.
fn make_late(dice: &mut Dice, world: &mut World) {
    let sources = ["pd", "rota"].into_iter().filter(|_| dice.one_in(2)).map(str::to_string);
    world.rules.late_claims = sources.collect();
    let roster = &world.roster;
    let part = |shift: &Shift, window| LateShift {
        schedule: roster.schedules[shift.schedule].reference.clone(),
        principal: shift.principal.clone(),
        level: shift.level,
        window,
        seen: Timestamp::from_unix(1_000),
    };
    let mut late = Vec::new();
    for shift in &roster.shifts {
        let window = Window::new(dice.instant(), dice.instant()).filter(|_| dice.one_in(2));
        late.extend(window.map(|window| part(shift, window)));
    }
    world.roster.late = late;
}

#[test]
fn a87_a98b_a_reason_is_asked_of_people_on_call_alone_and_the_answer_holds_until_it_says() {
    let (plain, root) = (Facts::default(), Facts { uid: Some(0), root_groups: vec![] });
    let people = PEOPLE.map(|name| Principal::new(name).unwrap());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 1..=WORLDS {
        let mut dice = Dice::of(seed);
        let mut world = world(&mut dice);
        for rule in &mut world.rules.rules {
            rule.claim = !dice.one_in(3);
        }
        make_late(&mut dice, &mut world);
        let at = Timestamp::from_unix(880 + 60 * dice.roll(26).cast_signed());
        let claimed = Claimed { at, reason: "INC-42".to_string() };
        let claims = match dice.roll(5) {
            0 => Claims::NotAsked,
            1 => Claims::Closed,
            2 => Claims::Stated(None),
            _ => Claims::Stated(Some(&claimed)),
        };
        let evidence =
            Evidence { roster: Ok(&world.roster), revoked: Ok(&world.revoked), grants: &[], claims };
        let unasked = Evidence { claims: Claims::NotAsked, ..evidence };
        let ask = |evidence: &Evidence<'_>, service: &str, person: &Principal, now| {
            let (account, facts) =
                if service == "sudo" { (person.as_str(), &plain) } else { ("root", &root) };
            let login = Login { service, account, facts, person: Actor::Known(person), tty: "", place: "" };
            decide(&login, evidence, &world.rules, now)
        };
        for _ in 0..INSTANTS {
            let now = Timestamp::from_unix(880 + 60 * dice.roll(26).cast_signed());
            for (person, service) in people.iter().flat_map(|one| [(one, "sshd"), (one, "sudo")]) {
                let (before, decision) =
                    (ask(&unasked, service, person, now), ask(&evidence, service, person, now));
                let told = format!("world {seed}, {person} by {service} at {now}, {claims:?}: {decision:?}");
                *seen.entry(decision.reason.to_string()).or_default() += 1;
                match (before.reason, is_open(&world, person, claims, now)) {
                    (Reason::OnCall, Some(false)) => {
                        assert_eq!(
                            (decision.verdict, decision.reason),
                            (Verdict::Refuse, Reason::ClaimNeeded),
                            "{told}"
                        );
                    }
                    _ => assert_eq!(
                        (decision.verdict, decision.reason),
                        (before.verdict, before.reason),
                        "{told}"
                    ),
                }
                if decision.reason == Reason::ClockRollback {
                    continue;
                }
                let until = decision.until.unwrap_or(Timestamp::MAX);
                assert!(until > now, "{told}");
                if until < Timestamp::MAX {
                    assert_ne!(ask(&evidence, service, person, until).verdict, decision.verdict, "{told}");
                }
                let grid = (-3..60).map(|step| Timestamp::from_unix(1_000 + 60 * step));
                let last = until.minus(Span::seconds(1));
                for later in grid.filter(|&later| now <= later && later < until).chain([last]) {
                    assert_eq!(
                        ask(&evidence, service, person, later).verdict,
                        decision.verdict,
                        "{told}, then {later}"
                    );
                }
            }
        }
    }
    for reason in ["oncall", "claim-needed", "not-oncall", "automation"] {
        assert!(seen.get(reason).is_some_and(|&count| count > 60), "{reason} is rare: {seen:?}");
    }
}
