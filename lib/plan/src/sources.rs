//! What a change of a source of shifts means: only what a rule counts lets anybody in.

use std::collections::BTreeSet;

use host::Config;
use policy::Rules;

use crate::changes::{Change, Effect};
use crate::context::Context;

/// What a source reads.
pub(crate) const LISTS: [&str; 3] = ["schedules", "escalation_policies", "teams"];

impl Context<'_> {
    /// A change of a source: what does it mean by what rules count?
    pub(crate) fn of_source(self, change: &mut Change) {
        let (old, new) = self.rules();
        let Some(source) = change.detail.entry.first().cloned() else { return };
        let asked: Vec<&Rules> = match (change.key.as_str(), change.detail.is_added) {
            ("", Some(true)) => vec![new],
            ("", Some(false)) => vec![old],
            _ => vec![old, new],
        };
        if !asked.iter().any(|rules| asks(rules, &source)) {
            self.counts_nowhere(change, "no rule counts a schedule of this source");
            return;
        }
        // One schedule's own limits.
        let own = change.detail.entry.get(1).cloned();
        if own.is_some_and(|own| [old, new].into_iter().all(|rules| !counted(rules, &source).contains(&own)))
        {
            self.counts_nowhere(change, "no rule counts this schedule");
            return;
        }
        match change.key.as_str() {
            "people" => self.renamed(change),
            "max_escalation_level" => self.levels_of(change, &source),
            "incident_services" if ![old, new].into_iter().any(|rules| waits(rules, &source)) => {
                self.counts_nowhere(change, "no rule waits for incidents of this source");
            }
            "schedules" if change.detail.is_added.is_none() => {
                // Every one on one side: of those that are not listed on the other, which are counted?
                let rules = if change.effect == Effect::Tightens { old } else { new };
                let listed: BTreeSet<&String> = change.detail.items.iter().collect();
                if counted(rules, &source).is_subset(&listed) {
                    self.counts_nowhere(change, "no rule counts one of the others");
                }
            }
            _ => {}
        }
    }

    /// Of what a source reads more, or no longer: the part that no rule counts, told apart from the rest, or all of it.
    pub(crate) fn uncounted(self, change: &mut Change) -> Option<Change> {
        let (old, new) = self.rules();
        let is_list = change.detail.section == "oncall.source" && LISTS.contains(&change.key.as_str());
        let is_added = change.detail.is_added.filter(|_| is_list)?;
        let counted = counted(if is_added { new } else { old }, change.name());
        let (those, rest): (Vec<String>, Vec<String>) =
            change.detail.items.iter().cloned().partition(|item| counted.contains(item));
        let verb = if is_added { "added" } else { "removed" };
        let told = |items: &[String]| {
            format!("{verb} {}", items.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "))
        };
        let mut apart = Change { what: told(&rest), ..change.clone() };
        apart.detail.items = rest;
        self.counts_nowhere(&mut apart, "no rule counts it");
        match (those.is_empty(), apart.detail.items.is_empty()) {
            (_, true) => None,
            (true, false) => {
                *change = apart;
                None
            }
            (false, false) => {
                (change.what, change.detail.items) = (told(&those), those);
                Some(apart)
            }
        }
    }

    /// Nobody is let in by it, and nobody is kept out: but by files in Rego, which are asked with everybody who is on call,
    /// and on the hosts of a fleet, which have rules of their own.
    fn counts_nowhere(self, change: &mut Change, why: &str) {
        let sides = [self.question.old, self.question.new];
        let but = match () {
            () if sides.iter().any(|side| !side.rego.is_empty()) => {
                "files of [[policy.rego]] are asked with all who are on call"
            }
            () if sides.iter().any(|side| may_be_for_others(side)) => "rules of the hosts of a fleet may",
            () => {
                (change.effect, change.means) = (Effect::Neutral, why.to_string());
                return;
            }
        };
        (change.effect, change.means) = (Effect::MayLoosen, format!("{why}; but {but}"));
    }

    /// How deep a source is read: does a rule count what is deeper?
    fn levels_of(self, change: &mut Change, source: &str) {
        let level = |config: &Config| {
            let own = config.oncall.sources.iter().find(|own| own.name == *source);
            own.map_or(0, |own| own.max_escalation_level)
        };
        let less = level(self.question.old).min(level(self.question.new));
        let (old, new) = self.rules();
        let rules = if change.effect == Effect::Tightens { old } else { new };
        let counts = |rule: &&policy::Rule| rule.schedules.iter().any(|schedule| schedule.source == source);
        if rules.rules.iter().filter(counts).all(|rule| rule.max_escalation_level <= less) {
            self.counts_nowhere(change, "no rule counts deeper levels of this source");
        }
    }

    /// Somebody of the provider who is somebody else.
    fn renamed(&self, change: &mut Change) {
        let user = change.detail.items.concat();
        let source = change.name().to_string();
        let person = |config: &Config| {
            let source = config.oncall.sources.iter().find(|known| known.name == source);
            source.and_then(|source| source.people.get(&user)).cloned()
        };
        change.means = match person(self.question.new) {
            Some(person) => format!("the rota's `{user}` is `{person}` from now on"),
            None => format!("the directory says who the rota's `{user}` is, by name or mail"),
        };
        let users = self.question.rota.and_then(|rota| rota.users.as_ref());
        if users.is_some_and(|users| !users.contains(&(source, user))) {
            change.means += "; the rota has no shift of theirs in this time";
        }
    }
}

/// Is it, or may it be, a collector's? What that reads, it publishes to hosts with rules of their own. It has none itself where
/// nobody is let in on it, and alone reads incidents for others.
fn may_be_for_others(config: &Config) -> bool {
    let reads_incidents = |source: &host::config::Source| !source.incident_services.is_empty();
    config.rules.rules.is_empty() || config.oncall.sources.iter().any(reads_incidents)
}

/// Does a rule count a schedule of `source`, or wait for its incidents?
fn asks(rules: &Rules, source: &str) -> bool {
    !counted(rules, source).is_empty() || waits(rules, source)
}

/// Does a rule wait for incidents of `source`?
fn waits(rules: &Rules, source: &str) -> bool {
    let mut incidents = rules.rules.iter().filter_map(|rule| rule.incident.as_ref());
    incidents.any(|incident| incident.source == source)
}

/// What rules count of `source`.
fn counted<'r>(rules: &'r Rules, source: &str) -> BTreeSet<&'r String> {
    let all = rules.rules.iter().flat_map(|rule| &rule.schedules);
    all.filter(|schedule| schedule.source == source).map(|schedule| &schedule.id).collect()
}
