//! `plan` against `policy::decide`, on many random pairs of policies and rosters: whoever is admitted after a change and was
//! not before is in the plan, at each instant, on each host, by each door; and nobody else is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use host::Config;
use plan::{Inventory, Move, Question, Rota, When};
use policy::{
    Actor, Claims, Evidence, Facts, Host, Incident, Incidents, Login, OneLine, Principal, Revoked, Roster,
    Rules, Schedule, ScheduleRef, Shift, SourceIncidents, Span, Subject, Timestamp, Verdict, Window, decide,
    names_its_caller,
};

use crate::dice::Dice;
use crate::site::{config, inventory};

const WORLDS: u64 = 500;
const PEOPLE: [&str; 6] = ["anna", "bob", "carla", "dora", "agent", "breakglass"];
const SCHEDULES: [&str; 3] = ["A", "B", "C"];
pub const HOSTS: &str = "[[host]]\nname = 'db1'\nlabels = ['role=db']\n[[host]]\nname = 'db2'\nlabels = ['role=db', 'x']\n\
                     [[host]]\nname = 'web1'\n[[host]]\nname = 'web2'\nlabels = ['x']\n";
/// The same with other labels.
pub const RELABELLED: &str = "[[host]]\nname = 'db1'\n[[host]]\nname = 'db2'\nlabels = ['role=db']\n\
                     [[host]]\nname = 'web1'\nlabels = ['x']\n[[host]]\nname = 'web2'\nlabels = ['role=db', 'x']\n";
const START: i64 = 1_793_577_600;
const HOUR: i64 = 3600;
/// How many hours the plan is for.
const HOURS: i64 = 40;

impl Dice {
    /// Some of them: one at least.
    fn some<'t>(&mut self, from: &[&'t str]) -> Vec<&'t str> {
        let chosen: Vec<&str> = from.iter().copied().filter(|_| self.one_in(2)).collect();
        if chosen.is_empty() { vec![self.pick(from)] } else { chosen }
    }
}

/// A configuration with what decides, in parts, of which any may be another one's.
pub fn policy(dice: &mut Dice) -> Vec<String> {
    let list = |items: Vec<&str>| format!("{items:?}");
    let mut parts = vec![format!(
        "[oncall]\n[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\ntoken_file = 't'\nschedules = ['A', 'B', 'C']\n\
         max_escalation_level = {}\n[policy]\n",
        1 + dice.roll(3)
    )];
    let mut part = |text: Option<String>| parts.push(text.unwrap_or_default());
    let services = ["sshd", "login", "su", "sudo", "sudo-i", "doas", "polkit-1"];
    for (key, from) in [
        ("pam_services", &services[..]),
        ("guarded_accounts", &["root", "anna", "oracle"][..]),
        ("exempt_accounts", &["breakglass", "bob", "root"][..]),
    ] {
        part(dice.one_in(3).then(|| format!("{key} = {}\n", list(dice.some(from)))));
    }
    let rules = dice.roll(4);
    for number in 0..3 {
        let text = rule(dice, number);
        part((number < rules).then_some(text));
    }
    for account in ["root", "deploy"] {
        let people = match dice.one_in(2) {
            true => format!("people = {}\n", list(dice.some(&["anna", "bob", "carla", "dora"]))),
            false => String::new(),
        };
        part(dice.one_in(2).then(|| format!("[[policy.shared_account]]\naccount = '{account}'\n{people}")));
    }
    let until = Timestamp::from_unix(START + HOUR * (dice.roll(60) as i64 - 10));
    let services = list(dice.some(&["sudo", "su", "sudo-i"]));
    part(dice.one_in(3).then(|| {
        format!(
            "[[policy.automation]]\naccount = 'agent'\nowner = 'x'\nreason = 'x'\nservices = {services}\nuntil = {until}\n"
        )
    }));
    parts
}

fn rule(dice: &mut Dice, number: u64) -> String {
    let hosts = dice.some(&["*", "db*", "label:role=db", "label:x", "web1", "db2"]);
    let schedules = dice.some(&["pd/A", "pd/B", "pd/C"]);
    let mut text =
        format!("[[policy.rule]]\nname = 'r{number}'\nhosts = {hosts:?}\nschedules = {schedules:?}\n");
    writeln!(text, "max_escalation_level = {}\nclaim = {}", 1 + dice.roll(3), dice.one_in(2)).unwrap();
    if dice.one_in(3) {
        text += "incident = { source = 'pd', services = ['S'] }\n";
    }
    text
}

pub fn rota(dice: &mut Dice) -> Rota {
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

/// The roster as a host has it at `now` that has just read it, while an incident is open, or none.
fn just_read(rota: &Rota, config: &Config, now: Timestamp, is_open: bool) -> Roster {
    let deepest = config.oncall.sources[0].max_escalation_level;
    let mut roster = rota.roster.clone();
    roster.schedules.iter_mut().for_each(|schedule| schedule.synced = now);
    let open = Incident {
        service: "S".to_string(),
        id: "Q1".to_string(),
        opened: now.minus(Span::seconds(60)),
        closed: None,
        by: None,
    };
    let told = SourceIncidents {
        read: [("S".to_string(), now)].into(),
        incidents: if is_open { vec![open] } else { Vec::new() },
    };
    roster.incidents = Incidents([("pd".to_string(), told)].into());
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

/// Is somebody said to gain, or lose, this, while an incident is open, or none?
fn is_told(
    moves: &[Move],
    (gains, is_open): (bool, bool),
    (service, account): (&str, &str),
    (person, host, now): (&Principal, &str, Timestamp),
) -> bool {
    moves.iter().any(|moved| {
        moved.gains == gains
            && moved.when != if is_open { When::Without } else { When::During }
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
pub fn instants(rota: &Rota, dice: &mut Dice) -> BTreeSet<Timestamp> {
    let window = window();
    let of_shifts = rota.roster.shifts.iter().flat_map(|shift| [shift.window.start(), shift.window.end()]);
    let ends = rota.roster.schedules.iter().map(|schedule| schedule.horizon);
    let edges: Vec<i64> = of_shifts.chain(ends).map(Timestamp::unix).collect();
    let around = edges.iter().flat_map(|at| [at.saturating_sub(1), *at]);
    let random = (0..6).map(|_| START + dice.roll((HOURS * HOUR) as u64) as i64);
    let all = around.chain(random).chain([START, window.end().unix() - 1]);
    all.map(Timestamp::from_unix).filter(|at| window.contains(*at)).collect()
}

pub fn window() -> Window {
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

/// Both configurations, and the rota that they are judged with.
pub struct World<'a> {
    pub old: &'a Config,
    pub new: &'a Config,
    pub rota: &'a Rota,
}

impl World<'_> {
    /// What is decided at `now` on each of the hosts, before and after, while an incident is open, or none: `told` is called
    /// with each host, way and person; nothing where nobody is refused.
    pub fn each(
        &self,
        (now, is_open): (Timestamp, bool),
        hosts: [&Inventory; 2],
        mut told: impl FnMut(&Host, (&'static str, &'static str), &Principal, [Option<bool>; 2]),
    ) {
        let people = PEOPLE.map(|name| Principal::new(name).unwrap());
        let mut sides = [self.old, self.new]
            .map(|config| (config.rules.clone(), just_read(self.rota, config, now, is_open)));
        let [before, after] = hosts.map(Inventory::hosts);
        for (before, host) in before.iter().zip(after) {
            for ((rules, _), host) in sides.iter_mut().zip([before, host]) {
                rules.host = Host::clone(host);
            }
            for way in doors() {
                let is_guarded = sides.each_ref().map(|(rules, _)| guards(rules, way));
                for person in &people {
                    let verdict = |side: usize| {
                        let (rules, roster) = &sides[side];
                        is_guarded[side]
                            .then(|| decided(rules, roster, way, person, now) == Some(Verdict::Allow))
                    };
                    told(host, way, person, [verdict(0), verdict(1)]);
                }
            }
        }
    }

    /// While an incident is open; and while none is, where a rule waits for one.
    pub fn states(&self) -> &'static [bool] {
        let waits = |config: &Config| config.rules.rules.iter().any(|rule| rule.incident.is_some());
        if waits(self.old) || waits(self.new) { &[true, false] } else { &[true] }
    }
}

#[test]
fn a105_a_plan_agrees_with_the_decision_at_each_instant() {
    let (same, relabelled) = (inventory(HOSTS), inventory(RELABELLED));
    let changed = relabelled.clone().since(same.clone());
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 1..=WORLDS {
        let dice = &mut Dice::of(seed);
        let (old, new) = (policy(dice).concat(), policy(dice).concat());
        let (before, after, rota) = (config(&old), config(&new), rota(dice));
        let world = World { old: &before, new: &after, rota: &rota };
        // In each third world hosts have other labels as well.
        let (hosts, sides) = match seed % 3 {
            0 => (&changed, [&same, &relabelled]),
            _ => (&same, [&same, &same]),
        };
        let question = Question {
            old: &before,
            new: &after,
            inventory: Some(hosts),
            rota: Some(&rota),
            window: window(),
        };
        let plan = question.answer();
        let moves: Vec<Move> = plan.moves.iter().map(|(moved, _)| moved.clone()).collect();
        for now in instants(&rota, dice) {
            for is_open in world.states() {
                world.each((now, *is_open), sides, |host, way, person, verdicts| {
                    let [Some(before), Some(after)] = verdicts else { return };
                    let expected = [after && !before, before && !after];
                    let told = [true, false]
                        .map(|gains| is_told(&moves, (gains, *is_open), way, (person, &host.name, now)));
                    assert_eq!(
                        told, expected,
                        "world {seed}: {person} by {way:?} on {} at {now}, incident {is_open}\n{old}\n{new}\n{plan}",
                        host.name
                    );
                    *met.entry(match (expected, *is_open) {
                        ([true, _], true) => "gained",
                        ([_, true], true) => "lost",
                        ([true, _] | [_, true], false) => "without an incident",
                        _ => "same",
                    })
                    .or_default() += 1;
                });
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
    let is_met = |what| met[what] > 5_000;
    assert!(
        is_met("gained") && is_met("lost") && is_met("without an incident"),
        "the worlds are too alike: {met:?}"
    );
}
