//! Can a change let in people whom no line of the plan names?

use policy::Principal;

use crate::changes::{Change, Effect};
use crate::door::By;
use crate::moves::Move;
use crate::question::Plan;

/// Settings by which nobody enters who did not before: they say for how long, or what is asked first.
const SAME_PEOPLE: &[(&str, &str)] = &[
    ("oncall.source", "late"),
    ("policy.end", "action"),
    ("policy.end", "grace"),
    ("policy.grant", "max"),
    ("policy.rule", "claim"),
    ("policy.rule.incident", "linger"),
    ("policy.rule.incident", "max_open"),
];

impl Plan {
    /// Is there more that may let people in than those whom the lines name?
    pub(crate) fn lets_in_others(&self) -> bool {
        let is_open = !self.opened.is_empty() || self.observes && !self.observed;
        is_open || self.changes.iter().any(|change| self.may_let_in_others(change))
    }

    fn may_let_in_others(&self, change: &Change) -> bool {
        match change.effect {
            Effect::MayLoosen => true,
            Effect::Tightens | Effect::Neutral => false,
            Effect::Loosens => change.detail.reaches_others || !self.names_all(change),
        }
    }

    /// Does the plan name everybody whom this lets in? Whoever is let in by a shift, as a program or because their account is
    /// never refused is told as a move; some lines name them themselves.
    fn names_all(&self, change: &Change) -> bool {
        let (section, key) = (change.detail.section.as_str(), change.key.as_str());
        let gains = |is_so: &dyn Fn(&Move) -> bool| self.moves.iter().any(|(it, _)| it.gains && is_so(it));
        let by_rule = |it: &Move| matches!(&it.by, By::Rule(name) if name == change.name());
        let by_program = |it: &Move| matches!(it.by, By::Program(..));
        match (section, key) {
            _ if SAME_PEOPLE.contains(&(section, key)) => true,
            ("policy.grant", "people" | "always") => true,
            ("policy.grant", "approvers") => change.detail.names_people,
            ("policy.grant" | "nss.group", _) => false,
            ("policy.rule" | "policy.rule.incident", "" | "hosts" | "schedules" | "max_escalation_level") => {
                gains(&by_rule)
            }
            ("policy.automation", "" | "services" | "until") => gains(&by_program),
            ("policy", "exempt_accounts") => {
                let is_it = |person: &Principal| change.detail.items.iter().any(|it| it == person.as_str());
                gains(&|it| it.by == By::Exempt && it.people.iter().any(|(person, _)| is_it(person)))
            }
            ("policy.shared_account", _) => gains(&|it| it.account == change.name()),
            ("host", _) => {
                let is_it = |host: &String| change.place == format!("[[host]] `{host}`");
                gains(&|it| it.hosts.iter().any(is_it))
            }
            ("policy.rego" | "oncall.source", "" | "hosts" | "schedules" | "max_escalation_level") => {
                gains(&|_| true)
            }
            _ => false,
        }
    }
}
