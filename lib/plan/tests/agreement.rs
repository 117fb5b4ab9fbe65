//! `plan` against `policy::decide`, on many random pairs of policies and rosters: whoever is admitted after a change and was
//! not before is in the plan, at each instant, on each host, by each door; and nobody else is.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

#[path = "../../policy/tests/agreement/dice.rs"]
mod dice;
#[allow(dead_code, reason = "the other tests use the rest of it")]
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use dice::Dice;
use host::Config;
use plan::{Move, Question, Rota};
use policy::{
    Actor, Claims, Evidence, Facts, Host, Login, OneLine, Principal, Revoked, Roster, Rules, Schedule,
    ScheduleRef, Shift, Subject, Timestamp, Verdict, Window, decide, names_its_caller,
};
use site::{config, inventory};

const WORLDS: u64 = 500;
const PEOPLE: [&str; 6] = ["anna", "bob", "carla", "dora", "agent", "breakglass"];
const SCHEDULES: [&str; 3] = ["A", "B", "C"];
const HOSTS: &str = "[[host]]\nname = 'db1'\nlabels = ['role=db']\n[[host]]\nname = 'db2'\nlabels = ['role=db', 'x']\n\
                     [[host]]\nname = 'web1'\n[[host]]\nname = 'web2'\nlabels = ['x']\n";
const START: i64 = 1_793_577_600;
const HOUR: i64 = 3600;
/// How many hours the plan is for.
const HOURS: i64 = 40;

/// A configuration with what decides.
fn policy(dice: &mut Dice) -> String {
    let list = |items: Vec<&str>| format!("{items:?}");
    let mut text = format!(
        "[oncall]\n[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\ntoken_file = 't'\nschedules = ['A', 'B', 'C']\n\
         max_escalation_level = {}\n[policy]\n",
        1 + dice.roll(3)
    );
    if dice.one_in(3) {
        let services = dice.some(&["sshd", "login", "su", "sudo", "sudo-i", "doas", "polkit-1"]);
        writeln!(text, "pam_services = {}", list(services)).unwrap();
    }
    if dice.one_in(3) {
        writeln!(text, "guarded_accounts = {}", list(dice.some(&["root", "anna", "oracle"]))).unwrap();
    }
    if dice.one_in(3) {
        writeln!(text, "exempt_accounts = {}", list(dice.some(&["breakglass", "bob", "root"]))).unwrap();
    }
    for number in 0..dice.roll(4) {
        let hosts = dice.some(&["*", "db*", "label:role=db", "label:x", "web1", "db2"]);
        let schedules = dice.some(&["pd/A", "pd/B", "pd/C"]);
        writeln!(
            text,
            "[[policy.rule]]\nname = 'r{number}'\nhosts = {}\nschedules = {}",
            list(hosts),
            list(schedules)
        )
        .unwrap();
        writeln!(text, "max_escalation_level = {}\nclaim = {}", 1 + dice.roll(3), dice.one_in(2)).unwrap();
    }
    for account in ["root", "deploy"].into_iter().filter(|_| dice.one_in(2)).collect::<Vec<_>>() {
        writeln!(text, "[[policy.shared_account]]\naccount = '{account}'").unwrap();
        if dice.one_in(2) {
            writeln!(text, "people = {}", list(dice.some(&["anna", "bob", "carla", "dora"]))).unwrap();
        }
    }
    if dice.one_in(3) {
        let until = Timestamp::from_unix(START + HOUR * (dice.roll(60) as i64 - 10));
        let services = dice.some(&["sudo", "su", "sudo-i"]);
        writeln!(text, "[[policy.automation]]\naccount = 'agent'\nowner = 'x'\nreason = 'x'").unwrap();
        writeln!(text, "services = {}\nuntil = {until}", list(services)).unwrap();
    }
    text
}

fn rota(dice: &mut Dice) -> Rota {
    let start = Timestamp::from_unix(START);
    let hour = |hour: i64| Timestamp::from_unix(START + HOUR * hour);
    let schedules = SCHEDULES.iter().map(|id| Schedule {
        reference: ScheduleRef { source: "pd".to_string(), id: id.to_string() },
        provider_id: id.to_string(),
        name: OneLine::new(id),
        synced: start,
        // Sometimes it reaches less far than the plan.
        horizon: hour(if dice.one_in(3) { 10 + dice.roll(20) as i64 } else { HOURS + 10 }),
    });
    let schedules = schedules.collect();
    let mut shifts = Vec::new();
    for _ in 0..dice.roll(20) {
        // On a coarse grid, so that windows touch, overlap and lie beyond both ends.
        let (from, length) = (dice.roll(50) as i64 - 6, 1 + dice.roll(12) as i64);
        let to = if dice.one_in(12) { Timestamp::MAX } else { hour(from + length) };
        shifts.push(Shift {
            schedule: dice.roll(3) as usize,
            principal: Principal::new(PEOPLE[dice.roll(6) as usize]).unwrap(),
            level: 1 + dice.roll(3) as u8,
            window: Window::new(hour(from), to).unwrap(),
        });
    }
    let eligible = PEOPLE.map(|name| (Principal::new(name).unwrap(), !dice.one_in(5)));
    let roster = Roster {
        published: start,
        floor: start,
        schedules,
        shifts: shifts.into_iter().collect(),
        late: Vec::new(),
        incidents: Default::default(),
        eligible: eligible.into(),
    };
    Rota { roster, after: None, users: None, tells_eligible: false, is_of_both: true }
}

/// The roster as a host has it at `now` that has just read it.
fn just_read(rota: &Rota, config: &Config, now: Timestamp) -> Roster {
    let deepest = config.oncall.sources[0].max_escalation_level;
    let mut roster = rota.roster.clone();
    roster.schedules.iter_mut().for_each(|schedule| schedule.synced = now);
    (roster.published, roster.floor) = (now, now);
    roster.shifts = rota.roster.shifts.iter().filter(|shift| shift.level <= deepest).cloned().collect();
    roster
}

/// What PAM decides about a person who takes a way, as `test-access` asks it; nothing where it is none for them.
fn decided(
    rules: &Rules,
    roster: &Roster,
    (service, account): (&str, &str),
    person: &Principal,
    now: Timestamp,
) -> Option<Verdict> {
    let own = names_its_caller(service) || service == "polkit-1";
    let account = if own { person.as_str() } else { account };
    let facts = Facts { uid: (account == "root").then_some(0), root_groups: Vec::new() };
    let actor = match rules.subject(service, account, &facts) {
        Subject::Caller | Subject::KeyOwner => Actor::Known(person),
        Subject::Owner | Subject::OwnerOrProgram if account == person.as_str() => Actor::Known(person),
        _ => return None,
    };
    let login = Login { service, account, facts: &facts, person: actor, tty: "", place: "" };
    let nobody = Revoked::nobody();
    let evidence =
        Evidence { roster: Ok(roster), revoked: Ok(&nobody), grants: &[], claims: Claims::NotAsked };
    Some(decide(&login, &evidence, rules, now).verdict)
}

/// Is somebody said to gain, or lose, this?
fn is_told(
    moves: &[Move],
    gains: bool,
    (service, account): (&str, &str),
    (person, host, now): (&Principal, &str, Timestamp),
) -> bool {
    moves.iter().any(|moved| {
        moved.gains == gains
            && moved.account == account
            && (moved.services.contains(&service) || (moved.services.is_empty() && service != "login"))
            && moved.hosts.iter().any(|own| own == host)
            && moved
                .people
                .iter()
                .any(|(own, windows)| own == person && windows.iter().any(|one| one.contains(now)))
    })
}

/// Every instant at which something could change, the one before it, and one after the other between.
fn instants(rota: &Rota, dice: &mut Dice) -> BTreeSet<Timestamp> {
    let window = window();
    let of_shifts = rota.roster.shifts.iter().flat_map(|shift| [shift.window.start(), shift.window.end()]);
    let ends = rota.roster.schedules.iter().map(|schedule| schedule.horizon);
    let edges: Vec<i64> = of_shifts.chain(ends).map(Timestamp::unix).collect();
    let around = edges.iter().flat_map(|at| [at.saturating_sub(1), *at]);
    let random = (0..6).map(|_| START + dice.roll((HOURS * HOUR) as u64) as i64);
    let all = around.chain(random).chain([START, window.end().unix() - 1]);
    all.map(Timestamp::from_unix).filter(|at| window.contains(*at)).collect()
}

fn window() -> Window {
    Window::new(Timestamp::from_unix(START), Timestamp::from_unix(START + HOURS * HOUR)).unwrap()
}

const ACCOUNTS: [&str; 4] = ["root", "deploy", "oracle", "anna"];

/// Is anybody refused there? Where nobody is, nobody gains or loses it: the door is open.
fn guards(rules: &Rules, (service, account): (&str, &str)) -> bool {
    let facts = Facts { uid: (account == "root").then_some(0), root_groups: Vec::new() };
    // An account that is entered by its name, and never refused, is open to whoever has its key or password.
    let is_exempt = matches!(service, "sshd" | "login") && rules.exempts(account);
    rules.covers_service(service) && rules.guard(service, account, &facts).is_some() && !is_exempt
}

fn doors() -> Vec<(&'static str, &'static str)> {
    let leads_to_root = |service: &str| names_its_caller(service) || service == "polkit-1";
    let all = ACCOUNTS.iter().flat_map(|account| Rules::SERVICES.map(|service| (service, *account)));
    all.filter(|(service, account)| *account == "root" || !leads_to_root(service)).collect()
}

#[test]
fn a105_a_plan_agrees_with_the_decision_at_each_instant() {
    let hosts = inventory(HOSTS);
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 1..=WORLDS {
        let dice = &mut Dice::of(seed);
        let (old, new) = (policy(dice), policy(dice));
        let (before, after, rota) = (config(&old), config(&new), rota(dice));
        let question = Question {
            old: &before,
            new: &after,
            inventory: Some(&hosts),
            rota: Some(&rota),
            window: window(),
        };
        let plan = question.answer();
        let moves: Vec<Move> = plan.moves.iter().map(|(moved, _)| moved.clone()).collect();
        for now in instants(&rota, dice) {
            let rosters = [&before, &after].map(|config| just_read(&rota, config, now));
            for host in hosts.hosts() {
                let on = |config: &Config| Rules { host: Host::clone(host), ..config.rules.clone() };
                let rules = [&before, &after].map(on);
                for way in doors() {
                    if !rules.iter().all(|rules| guards(rules, way)) {
                        continue;
                    }
                    for person in PEOPLE.map(|name| Principal::new(name).unwrap()) {
                        let [old_verdict, new_verdict] = [0, 1].map(|side: usize| {
                            decided(&rules[side], &rosters[side], way, &person, now) == Some(Verdict::Allow)
                        });
                        let expected = [new_verdict && !old_verdict, old_verdict && !new_verdict];
                        let told = [true, false]
                            .map(|gains| is_told(&moves, gains, way, (&person, &host.name, now)));
                        let what = || {
                            format!(
                                "world {seed}: {person} by {way:?} on {} at {now}\n{old}\n{new}\n{plan}",
                                host.name
                            )
                        };
                        assert_eq!(told, expected, "{}", what());
                        *met.entry(match expected {
                            [true, _] => "gained",
                            [_, true] => "lost",
                            _ => "same",
                        })
                        .or_default() += 1;
                    }
                }
            }
        }
        // Where nothing is decided any more, the plan says so.
        let opened: BTreeSet<(&str, &str)> =
            plan.opened.iter().map(|door| (door.service, door.account.as_str())).collect();
        for way in doors() {
            let is_opened = guards(&before.rules, way) && !guards(&after.rules, way);
            assert_eq!(opened.contains(&way), is_opened, "world {seed}: {way:?}\n{plan}");
        }
    }
    assert!(met["gained"] > 5_000 && met["lost"] > 5_000, "the worlds are too alike: {met:?}");
}
