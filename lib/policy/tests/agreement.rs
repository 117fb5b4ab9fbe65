//! `decide` against a reference of ten lines, on many random worlds: rosters with overlaps, touching windows and open
//! ends, several schedules, rules, hosts and labels, ages of their own, eligibility, revocations and programs.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use policy::{
    Account, Actor, AgeLimit, Ages, Automation, Claims, Evidence, Facts, Fault, FromPattern, Gid, Granted,
    Ground, GroupName, GroupPeople, GroupRule, Groups, Host, HostSelector, Login, Mode, Principal,
    PublishedGroups, Reason, Revocation, Revoked, Roster, Rule, Rules, Schedule, ScheduleRef, Shift,
    SourceAges, Span, Timestamp, Verdict, Window, admitted, anyone, decide,
};

#[path = "agreement/claims.rs"]
mod claims;
#[path = "agreement/dice.rs"]
mod dice;
#[path = "agreement/incidents.rs"]
mod incidents;

use dice::Dice;

const WORLDS: u64 = 1_500;
const INSTANTS: usize = 4;
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];

impl Dice {
    /// An instant on a coarse grid, so that windows touch and ends meet; sometimes an end of time.
    fn instant(&mut self) -> Timestamp {
        match self.roll(24) {
            0 => Timestamp::MIN,
            1 => Timestamp::MAX,
            _ => Timestamp::from_unix(1_000 + 60 * i64::try_from(self.roll(20)).unwrap()),
        }
    }

    fn span(&mut self) -> Span {
        Span::seconds(60 * i64::try_from(4 + self.roll(30)).unwrap())
    }
}

struct World {
    roster: Roster,
    rules: Rules,
    revoked: Revoked,
}

fn reference(dice: &mut Dice) -> ScheduleRef {
    ScheduleRef {
        source: dice.pick(&["pd", "rota"]).to_string(),
        id: dice.pick(&["A", "B", "C"]).to_string(),
    }
}

fn limit(dice: &mut Dice) -> AgeLimit {
    AgeLimit { warn_age: dice.span(), max_age: dice.span() }
}

fn world(dice: &mut Dice) -> World {
    let mut schedules: Vec<Schedule> = Vec::new();
    for _ in 0..=dice.roll(3) {
        let reference = reference(dice);
        if schedules.iter().all(|known| known.reference != reference) {
            let name = dice.pick(&["A", "primary", "secondary"]).to_string();
            let (synced, horizon) =
                (Timestamp::from_unix(1_000 + 60 * dice.roll(8).cast_signed()), dice.instant());
            let provider_id = reference.id.clone();
            schedules.push(Schedule { reference, provider_id, name: name.into(), synced, horizon });
        }
    }
    let mut shifts = Vec::new();
    for _ in 0..dice.roll(20) {
        let schedule = usize::try_from(dice.roll(schedules.len() as u64)).unwrap();
        let principal = Principal::new(dice.pick(&PEOPLE)).unwrap();
        let level = dice.pick(&[1, 1, 2, 3]);
        if let Some(window) = Window::new(dice.instant(), dice.instant()) {
            shifts.push(Shift { schedule, principal, level, window });
        }
    }
    let known = PEOPLE.into_iter().filter(|_| !dice.one_in(6));
    let known: Vec<Principal> = known.map(|name| Principal::new(name).unwrap()).collect();
    let eligible: BTreeMap<_, _> = known.into_iter().map(|person| (person, !dice.one_in(4))).collect();
    let published = schedules.iter().map(|schedule| schedule.synced).max().unwrap();
    // What is proven may be less than a clock that was ahead said, and more than it says.
    let floor = if dice.one_in(3) { dice.instant() } else { published };
    let rules = (0..1 + dice.roll(3)).map(|number| rule(dice, number)).collect();
    let revocation = Revocation::by_root(published, "root".to_string(), String::new());
    let revoked = PEOPLE.into_iter().filter(|_| dice.one_in(10));
    let revoked: Vec<&str> = revoked.collect();
    World {
        roster: Roster {
            late: Vec::new(),
            incidents: Default::default(),
            published,
            floor,
            schedules,
            shifts: shifts.into(),
            eligible,
        },
        rules: Rules {
            host: Host { name: "db1".to_string(), labels: vec!["role=db".to_string()] },
            rules,
            ages: ages(dice),
            automation: (1..=usize::try_from(dice.roll(4)).unwrap()).map(|at| automation(dice, at)).collect(),
            ..Rules::compiled()
        },
        revoked: revoked.iter().map(|name| (Principal::new(name).unwrap(), revocation.clone())).collect(),
    }
}

fn rule(dice: &mut Dice, number: u64) -> Rule {
    let hosts: Vec<HostSelector> = (0..=dice.roll(2))
        .map(|_| {
            HostSelector::parse(dice.pick(&["*", "db1", "d?1", "web*", "label:role=db", "label:role=web"]))
        })
        .collect();
    let named = |dice: &mut Dice| match reference(dice) {
        by_id if !dice.one_in(6) => by_id,
        by_name => ScheduleRef { id: dice.pick(&["primary", "secondary"]).to_string(), ..by_name },
    };
    let schedules = (0..=dice.roll(2)).map(|_| named(dice)).collect();
    let max_escalation_level = dice.pick(&[1, 1, 2, 3]);
    Rule { name: format!("r{number}"), hosts, schedules, max_escalation_level, claim: false, incident: None }
}

fn automation(dice: &mut Dice, number: usize) -> Automation {
    Automation {
        number,
        account: Account::new(dice.pick(&["alice", "bob", "root"])).unwrap(),
        digests: vec![[u8::try_from(number).unwrap(); 32]],
        keys: Vec::new(),
        from: vec![FromPattern::new(dice.pick(&["10.0.0.0/8", "192.0.2.1"])).unwrap()],
        services: dice
            .pick(&[&["sshd"][..], &["sudo"], &["sshd", "sudo"]])
            .iter()
            .map(ToString::to_string)
            .collect(),
        owner: "team".to_string(),
        reason: "backup".to_string(),
        until: dice.instant(),
    }
}

fn ages(dice: &mut Dice) -> Ages {
    let own = |dice: &mut Dice| {
        let schedules = ["A", "primary"].into_iter().filter(|_| dice.one_in(2)).collect::<Vec<_>>();
        let schedules = schedules.into_iter().map(|name| (name.to_string(), limit(dice))).collect();
        SourceAges { all: limit(dice), schedules }
    };
    let sources = if dice.one_in(2) { vec![("pd".to_string(), own(dice))] } else { Vec::new() };
    Ages { all: limit(dice), sources: sources.into_iter().collect() }
}

/// The schedules that a rule here counts, with the deepest level; `None` is one that the roster does not have.
fn counted(World { roster, rules, .. }: &World) -> Vec<Option<(usize, u8)>> {
    let here = rules.rules.iter().filter(|rule| rule.hosts.iter().any(|one| one.covers(&rules.host)));
    let known = |wanted: &ScheduleRef| roster.schedules.iter().position(|one| one.reference == *wanted);
    here.flat_map(|rule| {
        rule.schedules.iter().map(move |wanted| Some((known(wanted)?, rule.max_escalation_level)))
    })
    .collect()
}

/// The entries for a door that are not over.
fn programs<'w>(world: &'w World, service: &str, account: &str, now: Timestamp) -> Vec<&'w Automation> {
    // By a clock that is behind, what it should show at least.
    let now = now.max(world.roster.floor.minus(Rules::SKEW));
    let covers = |one: &&Automation| {
        one.account.as_str() == account && one.services.iter().any(|own| own == service) && now < one.until
    };
    world.rules.automation.iter().filter(covers).collect()
}

/// What the documents say, as plainly as it can be written.
fn expected(world: &World, service: &str, person: &Principal, now: Timestamp) -> Verdict {
    let (roster, counted) = (&world.roster, counted(world));
    let end = |at: usize| {
        let schedule = &roster.schedules[at];
        schedule.synced.plus(world.rules.ages.of(schedule).max_age).min(schedule.horizon)
    };
    let believed = |one: &Option<(usize, u8)>| one.is_some_and(|(at, _)| now < end(at));
    let on_call = roster.shifts.iter().any(|shift| {
        let counts = |one: &&Option<(usize, u8)>| {
            believed(one) && one.is_some_and(|(at, most)| at == shift.schedule && shift.level <= most)
        };
        shift.principal == *person && shift.window.contains(now) && counted.iter().find(counts).is_some()
    });
    match () {
        () if world.revoked.names(person, now) => Verdict::Refuse,
        () if service == "sudo" && !programs(world, "sudo", person.as_str(), now).is_empty() => {
            Verdict::Allow
        }
        () if now.plus(Rules::SKEW) < roster.floor => Verdict::CannotTell,
        () if !counted.is_empty() && !counted.iter().any(believed) => Verdict::CannotTell,
        () if roster.eligible.get(person) != Some(&true) => Verdict::Refuse,
        () if on_call => Verdict::Allow,
        () if counted.iter().all(believed) => Verdict::Refuse,
        () => Verdict::CannotTell,
    }
}

#[test]
fn decide_agrees_with_a_reference_on_random_worlds() {
    let (plain, root) = (Facts::default(), Facts { uid: Some(0), root_groups: vec![] });
    let people = PEOPLE.map(|name| Principal::new(name).unwrap());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 1..=WORLDS {
        let mut dice = Dice::of(seed);
        let world = world(&mut dice);
        let evidence = Evidence {
            roster: Ok(&world.roster),
            revoked: Ok(&world.revoked),
            grants: &[],
            claims: Claims::NotAsked,
        };
        let ask = |service: &str, person: &Principal, now| {
            let (account, facts) =
                if service == "sudo" { (person.as_str(), &plain) } else { ("root", &root) };
            let person = Actor::Known(person);
            let login = Login { service, account, facts, person, tty: "", place: "" };
            decide(&login, &evidence, &world.rules, now)
        };
        for _ in 0..INSTANTS {
            let jitter = Span::seconds(i64::try_from(dice.roll(3)).unwrap() - 1);
            let now = Timestamp::from_unix(880 + 60 * dice.roll(26).cast_signed()).plus(jitter);
            let mut allowed = Vec::new();
            for (person, service) in people.iter().flat_map(|one| [(one, "sshd"), (one, "sudo")]) {
                let decision = ask(service, person, now);
                let told = format!("world {seed}, {person} by {service} at {now}: {decision:?}");
                assert_eq!(decision.verdict, expected(&world, service, person, now), "{told}");
                *seen.entry(decision.reason.to_string()).or_default() += 1;
                if decision.allows() && service == "sshd" {
                    allowed.push(person);
                }
                // When a clock is set right nobody knows.
                if decision.reason == Reason::ClockRollback {
                    assert_eq!(decision.until, None, "{told}");
                    continue;
                }
                // Constant until `until`, and not at it.
                let until = decision.until.unwrap_or(Timestamp::MAX);
                assert!(until > now, "{told}");
                if decision.until.is_some_and(|until| until < Timestamp::MAX) {
                    assert_ne!(ask(service, person, until).verdict, decision.verdict, "{told}");
                }
                // Nothing in a world happens between two points of its grid.
                let grid = (-3..60).map(|step| Timestamp::from_unix(1_000 + 60 * step));
                for later in grid.filter(|&later| now <= later && later < until) {
                    assert_eq!(ask(service, person, later).verdict, decision.verdict, "{told}, then {later}");
                }
                let last = until.minus(Span::seconds(1));
                assert_eq!(ask(service, person, last).verdict, decision.verdict, "{told}, at last {last}");
            }
            if let Ok(admitted) = admitted("sshd", "root", &root, &evidence, &world.rules, now) {
                assert_eq!(admitted, allowed, "world {seed} at {now}");
            } else {
                assert_eq!(allowed, Vec::<&Principal>::new(), "world {seed} at {now}");
            }
            agree_on_programs(&world, &evidence, &root, &allowed, now);
            if world.roster.clock_holds(now) {
                assert_eq!(chosen(&world, now), allowed, "world {seed} at {now}");
            }
        }
    }
    for reason in [
        "oncall",
        "automation",
        "not-oncall",
        "not-eligible",
        "revoked",
        "cache-stale",
        "beyond-horizon",
        "clock-rollback",
        "source-incomplete",
    ] {
        assert!(seen.get(reason).is_some_and(|&count| count > 300), "{reason} is rare: {seen:?}");
    }
    assert!(seen.values().sum::<u64>() >= 40_000);
}

/// Whom a reader chooses who reads no more of the roster than those whom root admits: nobody else, and all of them.
fn chosen(World { roster, rules, revoked }: &World, now: Timestamp) -> Vec<&Principal> {
    let admits = |shift: &&Shift| {
        let of = (&roster.schedules[shift.schedule], shift.level);
        shift.window.contains(now)
            && roster.is_eligible(&shift.principal)
            && !revoked.names(&shift.principal, now)
            && rules.shift_admits(Some("root"), of, &shift.principal, now)
    };
    let mut people: Vec<&Principal> = roster.shifts.iter().filter(admits).map(|it| &it.principal).collect();
    people.dedup();
    people
}

/// A key opens root for exactly the entries of root over sshd that are not over and list the place; and account
/// management passes on exactly what somebody could be admitted to then.
fn agree_on_programs(
    world: &World,
    evidence: &Evidence<'_>,
    root: &Facts,
    people: &[&Principal],
    now: Timestamp,
) {
    let login =
        |person, place| Login { service: "sshd", account: "root", facts: root, person, tty: "", place };
    let ours = programs(world, "sshd", "root", now);
    for place in ["10.1.2.3", "192.0.2.1", "ci.example.com", ""] {
        let open = |entry: &&Automation| entry.from.iter().any(|one| one.covers(place));
        for entry in &world.rules.automation {
            let decision = decide(&login(Actor::Program(entry), place), evidence, &world.rules, now);
            let expected = ours.contains(&entry) && open(&entry);
            assert_eq!(decision.allows(), expected, "{entry:?} from {place:?} at {now}: {decision:?}");
            assert_eq!(decision.until, expected.then_some(entry.until));
        }
        let passed = anyone(&login(Actor::Unknown, place), evidence, &world.rules, now).allows();
        assert_eq!(passed, !people.is_empty() || ours.iter().any(open), "from {place:?} at {now}");
    }
}

/// A group of some of the world's rules, and the world with no others.
fn group(dice: &mut Dice, world: &World) -> (GroupRule, World) {
    let rules: Vec<Rule> = world.rules.rules.iter().filter(|_| !dice.one_in(3)).cloned().collect();
    let rules = if dice.one_in(3) { world.rules.rules.clone() } else { rules };
    let all = rules.len() == world.rules.rules.len();
    let names =
        if all { vec!["*".to_string()] } else { rules.iter().map(|rule| rule.name.clone()).collect() };
    let (name, gid) = (GroupName::new("oncall").unwrap(), Gid::new(9100).unwrap());
    let only = World {
        roster: world.roster.clone(),
        rules: Rules { rules, ..world.rules.clone() },
        revoked: world.revoked.clone(),
    };
    (GroupRule { name, gid, people: GroupPeople::OnCall(names) }, only)
}

#[test]
fn a_group_as_it_is_published_has_those_whom_decide_admits_at_each_second() {
    let root = Facts { uid: Some(0), root_groups: vec![] };
    let (mut full, mut empty, mut unknown, mut early) = (0, 0, 0, 0);
    for seed in 1..=WORLDS {
        let mut dice = Dice::of(seed);
        let mut world = world(&mut dice);
        // Programs are in no group of people.
        world.rules.automation.clear();
        let (wanted, only) = group(&mut dice, &world);
        // What a login may be excused from says nothing about who is on call.
        world.rules.mode = dice.pick(&[Mode::Enforce, Mode::Observe]);
        world.rules.exempt_accounts = vec![Account::new("alice").unwrap()];
        world.rules.pam_services = vec!["login".to_string()];
        let revoked = if dice.one_in(10) { Err(Fault::Corrupt) } else { Ok(&world.revoked) };
        let evidence = Evidence { roster: Ok(&world.roster), revoked, grants: &[], claims: Claims::NotAsked };
        let text = Groups::new(&[wanted], &world.rules, &world.roster, revoked).to_string();
        let published = PublishedGroups::parse(&text).unwrap();
        let served = published.iter().next().unwrap();
        for second in 860..(1_000 + 60 * 60) {
            // All of the grid's seconds and their neighbours, and few others.
            let (now, off) = (Timestamp::from_unix(second), (second - 1_000).rem_euclid(60));
            if !matches!(off, 0 | 1 | 59 | 20) {
                continue;
            }
            let told = format!("world {seed} at {second}: {text}");
            let people = admitted("sshd", "root", &root, &evidence, &only.rules, now).ok();
            let names = |people: Vec<&Principal>| people.into_iter().map(ToString::to_string).collect();
            let known: Option<Vec<String>> = people.map(names);
            if !world.roster.clock_holds(now) {
                assert_eq!(known, None, "{told}");
                early += 1;
                continue;
            }
            let members: Option<Vec<String>> =
                served.members_at(now).map(|members| members.map(String::from).collect());
            assert_eq!(members, known, "{told}");
            for person in PEOPLE.map(|name| Principal::new(name).unwrap()) {
                let is_member = members.iter().flatten().any(|name| name == person.as_str());
                let admits = revoked.is_ok() && expected(&only, "sudo", &person, now) == Verdict::Allow;
                assert_eq!(is_member, admits, "{person}, {told}");
            }
            match members.as_deref() {
                None => unknown += 1,
                Some([]) => empty += 1,
                Some(_) => full += 1,
            }
        }
    }
    assert!(
        [full, empty, unknown, early].iter().all(|&count| count > 2_000),
        "{full} {empty} {unknown} {early}"
    );
}

/// Grants of people of the world, of root and of their own accounts.
fn grants(dice: &mut Dice) -> Vec<Granted> {
    let mut grants = Vec::new();
    for number in 0..dice.roll(5) {
        let person = dice.pick(&PEOPLE);
        let account = dice.pick(&["root", "root", person, "alice"]);
        let Some(window) = Window::new(dice.instant(), dice.instant()) else { continue };
        grants.push(Granted {
            id: format!("{number:032x}"),
            rule: "night".to_string(),
            person: Principal::new(person).unwrap(),
            account: Account::new(account).unwrap(),
            key: (!dice.one_in(3)).then(|| "ssh-ed25519 AAAA".to_string()),
            window,
            approvers: vec![Principal::new("eve").unwrap()],
            reason: "disk full".to_string(),
            is_break_glass: dice.one_in(3),
        });
    }
    grants
}

/// Does a grant speak for `person`, as plainly as it can be written?
fn is_granted(world: &World, grants: &[Granted], service: &str, person: &Principal, now: Timestamp) -> bool {
    let speaks = |grant: &Granted| {
        grant.person == *person
            && grant.account.as_str() == "root"
            && grant.window.contains(now)
            && (service == "sudo" || grant.key.is_some())
    };
    !world.revoked.names(person, now) && grants.iter().any(speaks)
}

#[test]
fn grants_add_what_they_say_and_take_nothing_away() {
    let (plain, root) = (Facts::default(), Facts { uid: Some(0), root_groups: vec![] });
    let people = PEOPLE.map(|name| Principal::new(name).unwrap());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 1..=WORLDS {
        let mut dice = Dice::of(seed);
        let world = world(&mut dice);
        let grants = grants(&mut dice);
        let roster = if dice.one_in(8) { Err(Fault::Missing) } else { Ok(&world.roster) };
        let revoked = if dice.one_in(10) { Err(Fault::Corrupt) } else { Ok(&world.revoked) };
        let without = Evidence { roster, revoked, grants: &[], claims: Claims::NotAsked };
        let with = Evidence { grants: &grants, ..without };
        let ask = |evidence: &Evidence<'_>, service: &str, actor: Actor<'_>, now| {
            let own = if let Actor::Known(person) = actor { person.as_str() } else { "root" };
            let (account, facts) = if service == "sudo" { (own, &plain) } else { ("root", &root) };
            let login = Login { service, account, facts, person: actor, tty: "", place: "" };
            decide(&login, evidence, &world.rules, now)
        };
        for _ in 0..INSTANTS {
            let now = Timestamp::from_unix(880 + 60 * dice.roll(26).cast_signed());
            let mut allowed = Vec::new();
            for (person, service) in people.iter().flat_map(|one| [(one, "sshd"), (one, "sudo")]) {
                let asked = |evidence, at| ask(evidence, service, Actor::Known(person), at);
                let (before, decision) = (asked(&without, now), asked(&with, now));
                let told = format!("world {seed}, {person} by {service} at {now}: {decision:?}");
                let granted = revoked.is_ok() && is_granted(&world, &grants, service, person, now);
                assert_eq!(decision.allows(), before.allows() || granted, "{told}");
                // What was allowed is so by the same, and lasts as long at least; what is refused is so for the same reason.
                if before.allows() || !granted {
                    assert_eq!(
                        (decision.reason, &decision.ground),
                        (before.reason, &before.ground),
                        "{told}"
                    );
                } else {
                    let Ground::Grant(grant) = &decision.ground else { panic!("{told}") };
                    let expected = if grant.is_break_glass { Reason::BreakGlass } else { Reason::Grant };
                    assert_eq!(decision.reason, expected, "{told}");
                }
                *seen.entry(decision.reason.to_string()).or_default() += 1;
                if decision.allows() {
                    let until = decision.until.unwrap_or(Timestamp::MAX);
                    assert!(until > now, "{told}");
                    if before.allows() {
                        assert!(until >= before.until.unwrap_or(Timestamp::MAX), "{told}");
                    }
                    let grid = (-3..60).map(|step| Timestamp::from_unix(1_000 + 60 * step));
                    for later in grid.filter(|&later| now <= later && later < until) {
                        assert!(asked(&with, later).allows(), "{told}, then {later}");
                    }
                    if until < Timestamp::MAX {
                        assert!(!asked(&with, until).allows(), "{told}");
                    }
                }
                if decision.allows() && service == "sshd" {
                    allowed.push(person);
                }
            }
            let told = format!("world {seed} at {now}");
            match admitted("sshd", "root", &root, &with, &world.rules, now) {
                Ok(people) => assert_eq!(people, allowed, "{told}"),
                Err(_) => assert!(allowed.is_empty(), "{told}"),
            }
            let login = Login {
                service: "sshd",
                account: "root",
                facts: &root,
                person: Actor::Unknown,
                tty: "",
                place: "10.1.2.3",
            };
            let (before, passed) =
                (anyone(&login, &without, &world.rules, now), anyone(&login, &with, &world.rules, now));
            assert_eq!(passed.allows(), before.allows() || !allowed.is_empty(), "{told}");
            // Nobody who is not known, or not one person, gets anything by a grant.
            for actor in
                [Actor::Unknown, Actor::Ambiguous, Actor::CannotTell(Fault::Missing), Actor::Unusable]
            {
                assert_eq!(ask(&with, "sshd", actor, now), ask(&without, "sshd", actor, now), "{told}");
            }
        }
    }
    for reason in ["grant", "oncall", "automation", "not-oncall", "cache-missing", "revoked-unreadable"] {
        assert!(seen.get(reason).is_some_and(|&count| count > 200), "{reason} is rare: {seen:?}");
    }
}
