//! `why`: the answer of `test-access`, and each fact that it rests on.

use std::fmt::Write as _;
use std::path::Path;

use jiff::tz::TimeZone;
use policy::{
    Claim, Ground, Incident, IncidentState, LeftBy, LeftOut, Mode, OneLine, Principal, Revocation, Timestamp,
};
use state::Others;

use super::test_access::{Answer, answer};
use crate::advice;
use crate::cli::TestAccessArguments;
use crate::said::Said;
use crate::when::When;

/// The line of `test-access`, and a line for each fact.
pub fn run(config: &Path, arguments: &TestAccessArguments, now: Timestamp) -> Said {
    answer(config, arguments, Others::All, |answer| answer.chain(&TimeZone::system()), now)
}

/// What there is to say of the reason that a rule asks for, if it does.
fn claim(claim: &Claim) -> Option<String> {
    let said = match claim {
        Claim::NotNeeded => return None,
        Claim::NotAsked => "asked for once a shift; root sees here whether it was stated",
        Claim::Needed => "not stated in this shift",
        Claim::Unclaimed => {
            "not stated, and not missing: it cannot be stated now, or the rota was read too long ago"
        }
        Claim::Stated(reason) => reason.as_str(),
    };
    Some(said.to_string())
}

/// What there is to say of the incident that a rule waits for, if it does.
fn incident(found: &IncidentState, full: &dyn Fn(Timestamp) -> String) -> Option<String> {
    Some(match found {
        IncidentState::NotNeeded => return None,
        IncidentState::Missing => {
            "none that counts is known; one that they opened themselves does not".to_string()
        }
        IncidentState::Unknown => "it is not known which are open; see on_unknown of the rule".to_string(),
        IncidentState::Open(open) => {
            let Incident { service, id, opened, closed, by: _ } = open.as_ref();
            let closed = closed.map(|closed| format!(", closed {}", full(closed))).unwrap_or_default();
            format!("{id} of service {service}, opened {}{closed}", full(*opened))
        }
    })
}

/// The most shifts that are named as left out: the next ones.
const MOST_LEFT: usize = 5;

/// What of a shift does not count, and by which file.
fn told(left: &LeftOut, full: &dyn Fn(Timestamp) -> String) -> String {
    let LeftOut { schedule, level, shift, from, by, why, .. } = left;
    let when = format!("{schedule}, level {level}, {} to {}", full(shift.start()), full(shift.end()));
    match why {
        LeftBy::Length => format!("{when}: {why}, at {}, by {by}", full(*from)),
        LeftBy::Verdict | LeftBy::Fault => format!("{when}: {why} by {by}"),
    }
}

/// What a fact is called, and what it is.
type Fact = (&'static str, String);

impl Answer {
    /// The line, and below it each fact; local times are those of `zone`.
    pub fn chain(&self, zone: &TimeZone) -> String {
        let mut text = self.line();
        for (name, value) in self.facts(&|at| When(at, self.at).full(zone)) {
            let _ = write!(text, "\n  {name:<12}{}", OneLine::from(value));
        }
        text
    }

    /// Every fact; `full` writes an instant.
    fn facts(&self, full: &dyn Fn(Timestamp) -> String) -> Vec<Fact> {
        // Without a configuration the host has no name.
        let host = if self.host.is_empty() { String::new() } else { format!(" on {}", self.host) };
        let login = format!("{} enters {} by {}{host}", self.person, self.account, self.service);
        let mut facts = vec![("login", login), ("at", full(self.at))];
        facts.extend(self.decision.guard.as_ref().map(|guard| ("guarded", format!("yes, {guard}"))));
        facts.extend(self.mappings.iter().map(|mapping| ("known as", mapping.clone())));
        facts.extend(self.eligible.map(|eligible| {
            let says = if eligible {
                "yes, the directory allows them to become root"
            } else {
                "no, the directory does not list them"
            };
            ("eligible", says.to_string())
        }));
        facts.extend(self.ground_facts(full));
        facts.extend(self.left_out.iter().take(MOST_LEFT).map(|left| ("left out", told(left, full))));
        facts.push(("on call now", self.others()));
        facts.push(("reason", self.decision.reason.to_string()));
        match &self.mode_by {
            Some(told) => facts.push(("mode", told.clone())),
            None if self.mode == Mode::Observe => {
                facts.push(("mode", "observe: decisions are logged, nobody is refused".to_string()));
            }
            None => {}
        }
        facts.push(("next step", advice::step(&self.decision, &self.person, &self.account, self.first_step)));
        let next = match (self.decision.until, self.then) {
            (Some(until), Some((verdict, reason))) => format!("{}, then {verdict} ({reason})", full(until)),
            _ => "none known".to_string(),
        };
        facts.push(("next change", next));
        facts
    }

    /// What the decision rests on.
    fn ground_facts(&self, full: &dyn Fn(Timestamp) -> String) -> Vec<Fact> {
        match &self.decision.ground {
            Ground::OnCall(ground) => {
                let by = format!("{} ({}), level {}", ground.schedule_name, ground.schedule, ground.level);
                let (whole, part) = (ground.stretch, ground.window);
                let mut facts = vec![
                    ("on call", by),
                    ("shift", format!("{} to {}", full(whole.start()), full(whole.end()))),
                ];
                if whole != part {
                    facts.push(("part of it", format!("{} to {}", full(part.start()), full(part.end()))));
                }
                facts.push(("rule", ground.rule.clone()));
                let old = if ground.is_old { ", longer than warn_age; still valid" } else { "" };
                facts.push(("last read", format!("{} ago{old}", ground.age)));
                facts.extend(
                    ground.late.map(|seen| ("late", format!("this host first saw the shift {}", full(seen)))),
                );
                facts.extend(incident(&ground.incident, full).map(|said| ("incident", said)));
                facts.extend(claim(&ground.claim).map(|said| ("why", said)));
                facts
            }
            Ground::Unbelieved(schedule, age, limit) => {
                vec![("last read", format!("{schedule}: {age} ago, limit {limit}"))]
            }
            Ground::Program(policy::Program { number, owner, reason, until }) => vec![
                ("program", format!("[[policy.automation]] {number}, until {}", full(*until))),
                ("for", format!("{reason}; owner: {owner}")),
            ],
            Ground::Revoked(revocation) => {
                let why = if revocation.reason.is_empty() { "no reason given" } else { &revocation.reason };
                let Revocation { authority, since, until, by, .. } = revocation;
                let until = until.map(|until| format!(" until {}", full(until))).unwrap_or_default();
                vec![(
                    "revoked",
                    format!("{} since {}{until}, by {by}: {why}", authority.place(), full(*since)),
                )]
            }
            Ground::Grant(grant) => {
                let (from, until) = (full(grant.window.start()), full(grant.window.end()));
                vec![
                    ("grant", format!("{}, from {from} until {until}", grant.id)),
                    ("signed by", Principal::list(&grant.approvers, ", ")),
                    ("rule", format!("[[policy.grant]] {}", grant.rule)),
                    ("for", grant.reason.clone()),
                ]
            }
            Ground::None => Vec::new(),
        }
    }

    /// Who is on call, until when; where that is not trusted, who was.
    fn others(&self) -> String {
        let named = |people: &[(String, Timestamp)]| {
            let told =
                |(person, until): &(String, Timestamp)| format!("{person} until {}", When(*until, self.at));
            people.iter().map(told).collect::<Vec<_>>().join(", ")
        };
        match &self.on_call {
            Some(_) if self.uncovered.is_some() => {
                format!("nobody: {}", self.uncovered.as_deref().unwrap_or_default())
            }
            Some(people) if people.is_empty() => "nobody".to_string(),
            Some(people) => named(people),
            None if self.last_known.is_empty() => "unknown".to_string(),
            None => format!("unknown; last known: {}", named(&self.last_known)),
        }
    }
}
