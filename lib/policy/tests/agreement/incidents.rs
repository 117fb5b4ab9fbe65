//! Rules that wait for an incident, against a reference as well.

use policy::{Incident, IncidentRule, Incidents, OnUnknown, SourceIncidents};

use super::*;

const SERVICES: [&str; 2] = ["PSVC1", "PSVC2"];

fn service(dice: &mut Dice) -> String {
    dice.pick(&SERVICES).to_string()
}

fn waits(dice: &mut Dice) -> IncidentRule {
    let services = (0..=dice.roll(2)).map(|_| service(dice)).collect();
    let minutes = |dice: &mut Dice, most: u64| Span::minutes(1 + dice.roll(most).cast_signed());
    IncidentRule {
        source: dice.pick(&["pd", "other"]).to_string(),
        services,
        linger: minutes(dice, 5),
        max_open: minutes(dice, 15),
        known_for: minutes(dice, 15),
        on_unknown: dice.pick(&OnUnknown::ALL),
    }
}

fn incidents(dice: &mut Dice) -> Incidents {
    let grid = |dice: &mut Dice| Timestamp::from_unix(1_000 + 60 * dice.roll(20).cast_signed());
    let told = |dice: &mut Dice| {
        let read = SERVICES.iter().filter(|_| !dice.one_in(4)).collect::<Vec<_>>();
        let read = read.into_iter().map(|one| (one.to_string(), grid(dice))).collect();
        let one = |dice: &mut Dice, number: u64| Incident {
            service: service(dice),
            id: format!("Q{number}"),
            opened: grid(dice),
            closed: dice.one_in(2).then(|| grid(dice)),
            by: dice.one_in(2).then(|| Principal::new(dice.pick(&PEOPLE)).unwrap()),
        };
        SourceIncidents { read, incidents: (0..dice.roll(5)).map(|number| one(dice, number)).collect() }
    };
    let sources = ["pd", "other"].into_iter().filter(|_| !dice.one_in(5)).collect::<Vec<_>>();
    Incidents(sources.into_iter().map(|source| (source.to_string(), told(dice))).collect())
}

/// Does a rule that waits for this let `person` in, as plainly as it can be written?
fn lets_in(waits: &IncidentRule, known: &Incidents, person: &Principal, now: Timestamp) -> bool {
    let told = known.0.get(&waits.source);
    waits.services.iter().any(|service| {
        let read = told.and_then(|told| told.read.get(service)).copied();
        let is_known = read.is_some_and(|read| {
            read.minus(Rules::SKEW) <= now && now.since(read).as_seconds() < waits.known_for.as_seconds()
        });
        if !is_known {
            return waits.on_unknown == OnUnknown::OnCall;
        }
        told.unwrap().incidents.iter().any(|one| {
            let was_open_for = one.closed.map(|closed| closed.since(one.opened));
            let counts = match (one.closed, was_open_for) {
                (Some(closed), Some(length)) if length <= waits.max_open => now < closed.plus(waits.linger),
                _ => now.since(one.opened) < waits.max_open,
            };
            one.service == *service && one.by.as_ref() != Some(person) && one.opened <= now && counts
        })
    })
}

/// Is somebody on call in, by some rule that is known to count now?
fn is_open(world: &World, person: &Principal, now: Timestamp) -> bool {
    let World { roster, rules, .. } = world;
    let here = || rules.rules.iter().filter(|rule| rule.hosts.iter().any(|one| one.covers(&rules.host)));
    roster.shifts.iter().any(|shift| {
        let schedule = &roster.schedules[shift.schedule];
        let end = schedule.synced.plus(rules.ages.of(schedule).max_age).min(schedule.horizon);
        shift.principal == *person
            && shift.window.contains(now)
            && now < end
            && here().any(|rule| {
                rule.schedules.contains(&schedule.reference)
                    && shift.level <= rule.max_escalation_level
                    && rule
                        .incident
                        .as_ref()
                        .is_none_or(|waits| lets_in(waits, &roster.incidents, person, now))
            })
    })
}

/// A world whose rules mostly wait for incidents, and the same where they do not.
fn worlds(dice: &mut Dice) -> (World, World) {
    let mut waiting = world(dice);
    waiting.roster.incidents = incidents(dice);
    // Mostly it is known who is on call, or incidents would seldom have a say.
    if !dice.one_in(4) {
        let roster = &mut waiting.roster;
        roster.floor = Timestamp::from_unix(1_000);
        for schedule in &mut roster.schedules {
            schedule.horizon = Timestamp::MAX;
        }
        let known: Vec<ScheduleRef> = roster.schedules.iter().map(|known| known.reference.clone()).collect();
        for rule in &mut waiting.rules.rules {
            (rule.hosts, rule.schedules) = (vec![HostSelector::parse("*")], known.clone());
        }
    }
    for rule in &mut waiting.rules.rules {
        rule.incident = (!dice.one_in(4)).then(|| waits(dice));
    }
    let mut plain = World {
        roster: waiting.roster.clone(),
        rules: waiting.rules.clone(),
        revoked: waiting.revoked.clone(),
    };
    for rule in &mut plain.rules.rules {
        rule.incident = None;
    }
    (waiting, plain)
}

fn evidence(world: &World) -> Evidence<'_> {
    Evidence { roster: Ok(&world.roster), revoked: Ok(&world.revoked), grants: &[], claims: Claims::NotAsked }
}

#[test]
fn a107_an_incident_admits_nobody_whom_the_rule_without_it_would_not() {
    let (plain, root) = (Facts::default(), Facts { uid: Some(0), root_groups: vec![] });
    let people = PEOPLE.map(|name| Principal::new(name).unwrap());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 1..=WORLDS {
        let mut dice = Dice::of(seed);
        let (waiting, without) = worlds(&mut dice);
        let ask = |world: &World, service: &str, person: &Principal, now| {
            let (account, facts) =
                if service == "sudo" { (person.as_str(), &plain) } else { ("root", &root) };
            let login = Login { service, account, facts, person: Actor::Known(person), tty: "", place: "" };
            decide(&login, &evidence(world), &world.rules, now)
        };
        for _ in 0..INSTANTS {
            let now = Timestamp::from_unix(880 + 60 * dice.roll(26).cast_signed());
            let mut allowed = Vec::new();
            for (person, service) in people.iter().flat_map(|one| [(one, "sshd"), (one, "sudo")]) {
                let (before, decision) =
                    (ask(&without, service, person, now), ask(&waiting, service, person, now));
                let told = format!("world {seed}, {person} by {service} at {now}: {decision:?}");
                *seen.entry(decision.reason.to_string()).or_default() += 1;
                if decision.allows() && service == "sshd" {
                    allowed.push(person);
                }
                let expected = match before.reason {
                    Reason::OnCall if !is_open(&waiting, person, now) => {
                        (Verdict::Refuse, Reason::NoIncident)
                    }
                    reason => (before.verdict, reason),
                };
                assert_eq!((decision.verdict, decision.reason), expected, "{told}");
                if decision.reason == Reason::ClockRollback {
                    continue;
                }
                let until = decision.until.unwrap_or(Timestamp::MAX);
                assert!(until > now, "{told}");
                if until < Timestamp::MAX {
                    assert_ne!(ask(&waiting, service, person, until).verdict, decision.verdict, "{told}");
                }
                let grid = (-3..60).map(|step| Timestamp::from_unix(1_000 + 60 * step));
                let last = until.minus(Span::seconds(1));
                for later in grid.filter(|&later| now <= later && later < until).chain([last]) {
                    assert_eq!(
                        ask(&waiting, service, person, later).verdict,
                        decision.verdict,
                        "{told}, then {later}"
                    );
                }
            }
            let told = format!("world {seed} at {now}");
            match admitted("sshd", "root", &root, &evidence(&waiting), &waiting.rules, now) {
                Ok(people) => assert_eq!(people, allowed, "{told}"),
                Err(_) => assert!(allowed.is_empty(), "{told}"),
            }
        }
    }
    for reason in ["oncall", "no-incident", "not-oncall", "automation"] {
        assert!(seen.get(reason).is_some_and(|&count| count > 300), "{reason} is rare: {seen:?}");
    }
}

#[test]
fn a107_a_group_has_those_whom_a_rule_admits_by_an_incident() {
    let facts = Facts::default();
    let mut members_seen = 0;
    for seed in 1..=WORLDS / 3 {
        let mut dice = Dice::of(seed);
        let (waiting, _) = worlds(&mut dice);
        let (name, gid) = (GroupName::new("oncall").unwrap(), Gid::new(9100).unwrap());
        let wanted = [GroupRule { name, gid, people: GroupPeople::OnCall(vec!["*".to_string()]) }];
        let rules = Rules { automation: Vec::new(), ..waiting.rules.clone() };
        let text = Groups::new(&wanted, &rules, &waiting.roster, Ok(&waiting.revoked)).to_string();
        let groups = PublishedGroups::parse(&text).unwrap();
        for step in -2..30 {
            let now = Timestamp::from_unix(1_000 + 60 * step);
            if !waiting.roster.clock_holds(now) {
                continue;
            }
            let Some(members) = groups.iter().next().unwrap().members_at(now) else { continue };
            let members: Vec<&str> = members.collect();
            for name in PEOPLE {
                let person = Principal::new(name).unwrap();
                let login = Login {
                    service: "sudo",
                    account: name,
                    facts: &facts,
                    person: Actor::Known(&person),
                    tty: "",
                    place: "",
                };
                let decision = decide(&login, &evidence(&waiting), &rules, now);
                let told = format!("world {seed}, {name} at {now}: {decision:?}");
                assert_eq!(members.contains(&name), decision.allows(), "{told}\n{text}");
                members_seen += usize::from(decision.allows());
            }
        }
    }
    assert!(members_seen > 1_000, "{members_seen}");
}
