//! What a sync published, in words.

use std::collections::BTreeSet;

use host::output::counted;
use host::{Config, revoked};
use policy::{LeftOut, Roster, Timestamp};
use status::UpcomingRefusal;
use store::roster::Mapping;

use super::changes::Changes;
use super::outcome::{Outcome, State};
use crate::when::When;

/// What a sync published, or would have, and what somebody should look at.
#[derive(Debug)]
pub struct Summary {
    /// The new roster.
    pub roster: Roster,
    /// How its people were found.
    pub mappings: BTreeSet<Mapping>,
    /// What became of each schedule.
    pub outcomes: Vec<Outcome>,
    /// Who could become root when, before and now.
    pub changes: Changes,
    /// People on call soon who will not be admitted.
    pub ahead: Vec<UpcomingRefusal>,
    /// One line for each provider user who is nobody here, and for each address that several people have.
    pub notes: Vec<String>,
    /// How many provider users are nobody here.
    pub unmapped: usize,
    /// What of the rota files of `[[policy.rego]]` leave out.
    pub left: Vec<LeftOut>,
    /// Where such a file failed, and what became of the shift.
    pub rego_problem: Option<String>,
    /// Why the groups of `[[nss.group]]` are not what the roster says, if they could not be written.
    pub groups_problem: Option<String>,
    /// Why it is not known which incidents are open that rules wait for, if it is not; for everybody to read.
    pub incidents_problem: Option<String>,
}

impl Summary {
    /// Was every schedule read, and all of it published?
    pub fn is_whole(&self) -> bool {
        self.groups_problem.is_none()
            && self.incidents_problem.is_none()
            && self.rego_problem.is_none()
            && self.outcomes.iter().all(|outcome| outcome.state == State::Read)
    }

    /// What somebody should look at, a line each, for the log.
    pub fn notes(&self, now: Timestamp) -> Vec<String> {
        let unread = self.outcomes.iter().filter(|outcome| outcome.state != State::Read);
        (self.notes.iter().cloned())
            .chain(unread.map(ToString::to_string))
            .chain(self.ahead.iter().map(|ahead| ahead.line(now).to_string()))
            .chain(self.rego_problem.clone())
            .chain(self.groups_problem.clone())
            .collect()
    }
}

/// `2 schedules, 6 shifts, alice until 18:00 UTC, next bob`.
pub fn summarise(roster: &Roster, config: &Config, now: Timestamp) -> String {
    let mut text =
        format!("{}, {}", counted(roster.schedules.len(), "schedule"), counted(roster.shifts.len(), "shift"));
    let revoked = match revoked::all(config) {
        Ok(revoked) => revoked,
        Err(problem) => {
            let refused = "guarded logins are refused, because the list of revoked people cannot be read";
            return format!("{text}; {refused}: {problem}");
        }
    };
    let on_call = policy::on_call_now(&config.rules, roster, &revoked, now);
    if on_call.is_empty() {
        text.push_str(", nobody on call here now");
    }
    for (person, ground) in &on_call {
        text.push_str(&format!(", {person} until {}", When(ground.stretch.end(), now)));
    }
    let counted = |shift: &&policy::Shift| {
        shift.window.start() > now && !on_call.iter().any(|(person, _)| **person == shift.principal)
    };
    let next = roster.shifts.iter().filter(counted).min_by_key(|shift| (shift.level, shift.window));
    if let Some(next) = next {
        text.push_str(&format!(", next {}", next.principal));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Principal, Schedule, ScheduleRef, Shift, Span, Window};

    #[test]
    fn while_it_cannot_be_told_who_is_revoked_a_sync_names_nobody_as_admitted() {
        let now = Timestamp::from_unix(1_795_165_200);
        let host = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let text = "[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                    [[policy.rule]]\nname = 'r'\nschedules = ['rota/primary']\n";
        let config = Config::parse(&host.path().join("config.toml"), text.as_bytes()).unwrap();
        let window = Window::new(now.minus(Span::hours(1)), now.plus(Span::hours(1))).unwrap();
        let alice = Principal::new("alice").unwrap();
        let roster = Roster {
            late: Vec::new(),
            incidents: Default::default(),
            published: now,
            floor: now,
            schedules: vec![Schedule {
                reference: ScheduleRef { source: "rota".to_string(), id: "primary".to_string() },
                provider_id: "primary".to_string(),
                name: "Primary".into(),
                synced: now,
                horizon: now.plus(Span::hours(72)),
            }],
            shifts: vec![Shift { schedule: 0, principal: alice.clone(), level: 1, window }].into(),
            eligible: [(alice, true)].into(),
        };
        let said = summarise(&roster, &config, now);
        assert!(said.starts_with("1 schedule, 1 shift, alice until "), "{said}");
        std::fs::write(&config.paths.revoked, "x\n").unwrap();
        let said = summarise(&roster, &config, now);
        assert!(said.starts_with("1 schedule, 1 shift; guarded logins are refused"), "{said}");
        assert!(said.contains("revoked:1: ") && !said.contains("alice"), "{said}");
    }
}
