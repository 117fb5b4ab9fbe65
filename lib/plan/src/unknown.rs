//! What a plan does not know: what is missing to tell who gains and who loses, and what no plan ever knows.

use std::collections::{BTreeMap, BTreeSet};

use host::config::{Directory, Provider, Source};
use policy::{HostSelector, Roster, Rules, ScheduleRef, Timestamp};

use crate::changes::{Change, Effect};
use crate::inventory::{HostSides, Inventory};
use crate::question::{Plan, Question, Rota, nobody_eligible, written_host};
use crate::sources::LISTS;
use crate::words::instant;

impl Question<'_> {
    /// Why it cannot be told who gains and who loses, if so; and what is not known besides.
    pub(crate) fn unknown(&self, hosts: &[HostSides], plan: &Plan) -> (Vec<String>, Vec<String>) {
        let elsewhere = self.elsewhere(&plan.changes);
        // What this change turns on stands before what is so with every plan.
        let (mut cannot_tell, mut not_known) = (Vec::new(), elsewhere.not_known);
        not_known.extend(self.never_known());
        // What is missing for a plan is no matter where nothing changes, and is said all the same.
        let missing = [self.missing(hosts), self.ends_early(), elsewhere.missing].concat();
        if plan.is_unchanged() {
            not_known.extend(missing)
        } else {
            cannot_tell.extend(missing)
        }
        cannot_tell.extend(self.too_old());
        (cannot_tell, not_known)
    }

    /// What was not given, or does not fit together.
    fn missing(&self, hosts: &[HostSides]) -> Vec<String> {
        let mut missing = Vec::new();
        if hosts.is_empty() {
            missing.push(
                "which hosts there are: give an inventory, or write [host] name in both files".to_string(),
            );
        }
        if self.inventory.is_some() {
            for (rule, selector) in self.unmatched(hosts) {
                missing.push(format!(
                    "whom rule `{rule}` admits on `{selector}`: no host of the inventory is that; add it there, or take it out of the rule"
                ));
            }
        }
        let Some(rota) = self.rota else {
            missing.push("who is on call: no rota was given".to_string());
            return missing;
        };
        let mut absent = BTreeSet::new();
        for (roster, rules) in self.rosters(rota) {
            let counted = schedules(rules).into_iter();
            absent.extend(counted.filter(|(schedule, _)| roster.find(schedule).is_none()));
        }
        missing.extend(absent.into_iter().map(|(schedule, rule)| {
            format!("who is on call by {schedule}, which rule `{rule}` counts: the rota has no such schedule")
        }));
        if rota.tells_eligible {
            missing.extend(self.deeper());
        }
        if rota.users.is_none() {
            missing.extend(self.other_people());
        }
        missing
    }

    /// What rules call hosts and no host is: of each side's own.
    fn unmatched(&self, hosts: &[HostSides]) -> Vec<(String, String)> {
        let before = hosts.iter().filter_map(|host| host.before.as_ref()).collect::<Vec<_>>();
        let after = hosts.iter().filter_map(|host| host.after.as_ref()).collect::<Vec<_>>();
        let mut unmatched = BTreeSet::new();
        for (rules, hosts) in [(&self.old.rules, before), (&self.new.rules, after)] {
            let is_nowhere = |selector: &&HostSelector| !hosts.iter().any(|host| selector.covers(host));
            for rule in &rules.rules {
                let nowhere = rule.hosts.iter().filter(is_nowhere);
                unmatched.extend(nowhere.map(|selector| (rule.name.clone(), selector.to_string())));
            }
        }
        unmatched.into_iter().collect()
    }

    /// The rota of each side, with its rules.
    fn rosters<'r>(&'r self, rota: &'r Rota) -> [(&'r Roster, &'r Rules); 2] {
        let [before, after] = rota.sides();
        [(before, &self.old.rules), (after, &self.new.rules)]
    }

    /// Sources of which deeper levels are to be read than the copy has.
    fn deeper(&self) -> Vec<String> {
        let (old, new) = (&self.old.oncall.sources, &self.new.oncall.sources);
        let deepens = |source: &&Source| {
            let before = old.iter().find(|before| before.name == source.name);
            before.is_some_and(|before| before.max_escalation_level < source.max_escalation_level)
        };
        let told = |source: &Source| {
            format!(
                "who is on call by {} on level {}: this copy of the rota was read with a lower max_escalation_level",
                source.name, source.max_escalation_level
            )
        };
        new.iter().filter(deepens).map(told).collect()
    }

    /// Sources whose table of people is another one, of which a copy of the rota has only the people that were.
    fn other_people(&self) -> Vec<String> {
        let (old, new) = (&self.old.oncall.sources, &self.new.oncall.sources);
        let is_other = |source: &&Source| {
            let before = old.iter().find(|before| before.name == source.name);
            before.is_some_and(|before| before.people != source.people)
        };
        let told = |source: &Source| {
            format!(
                "whose the shifts of {} will be: this copy of the rota has people, and not the names that [oncall.source.people] is for; give the rota as a file",
                source.name
            )
        };
        new.iter().filter(is_other).map(told).collect()
    }

    /// Schedules of a rota that does not count any more when the plan begins, or not yet.
    fn too_old(&self) -> Vec<String> {
        let Some(rota) = self.rota else { return Vec::new() };
        let (from, mut old) = (self.window.start(), BTreeSet::new());
        let limit = |rules: &Rules, schedule| rules.ages.of(schedule).max_age;
        for (roster, rules) in self.rosters(rota) {
            let counted = schedules(rules);
            for schedule in roster.schedules.iter().filter(|one| counted.contains_key(&one.reference)) {
                let max_age = limit(&self.old.rules, schedule).min(limit(&self.new.rules, schedule));
                let (name, synced) = (&schedule.reference, schedule.synced);
                if from >= schedule.believed_until(max_age) {
                    old.insert(format!(
                        "who is on call by {name}: this copy of the rota is too old; it was read at {synced}, and `max_age` is {max_age}"
                    ));
                } else if from < synced.minus(Rules::SKEW) {
                    old.insert(format!(
                        "who was on call by {name} at {from}: this copy of the rota was read at {synced}, and does not tell what was before"
                    ));
                }
            }
        }
        old.into_iter().collect()
    }

    /// What no plan knows.
    fn never_known(&self) -> Vec<String> {
        let mut lines = vec!["who is revoked on these hosts, or suspended in the directory".to_string()];
        match self.rota {
            Some(rota) if !rota.tells_eligible && nobody_eligible(self.new) => lines.push(
                "who was eligible: a rota in a file does not tell, so everybody in it is taken as eligible before, if there was a group".into(),
            ),
            Some(rota) if !rota.tells_eligible => lines.push(
                "who is eligible: a rota in a file does not tell, so everybody in it is taken as eligible, and a change of group does not show above".into(),
            ),
            _ => lines.push("who joins or leaves the eligible group later".into()),
        }
        lines.push(
            "what sudoers allow, who is in privileged groups, and which other accounts have uid 0".into(),
        );
        lines.push("labels that a host gives itself, and what root orders on one host alone (oncall-cache pause, enforce)".into());
        lines.push(match (self.inventory, written_host(self.new)) {
            (Some(_), _) => "hosts that are not in the inventory".to_string(),
            (None, Some(host)) => format!("all hosts but {}: no inventory was given", host.name),
            (None, None) => "hosts: no inventory was given".to_string(),
        });
        lines.push("what is changed in the rota from now on: tomorrow's overrides".into());
        lines.extend(self.taken_for_both());
        lines.push("grants that colleagues may sign later".into());
        let waits = |config: &host::Config| config.rules.rules.iter().any(|rule| rule.incident.is_some());
        if waits(self.old) || waits(self.new) {
            lines.push(
                "which incidents will be open: who is admitted is told for two cases, that those are open which rules wait for, and that none is"
                    .into(),
            );
        }
        lines
    }

    /// Files that the change may have touched too, and that were given once, for before and after, or are not read.
    fn taken_for_both(&self) -> Vec<String> {
        let is_people = |config: &host::Config| matches!(config.directory, Some(Directory::File(_)));
        let is_inventory = self.inventory.is_some_and(Inventory::is_of_both);
        let is_rota = self.rota.is_some_and(|rota| rota.is_of_both && rota.users.is_some());
        let given = match (is_inventory, is_rota) {
            (true, true) => Some(
                "whether the inventory or the rota changes too: one of each was given, and is taken for before and after (those of before go by --old-inventory, --old-rota)",
            ),
            (true, false) => Some(
                "whether the inventory changes too: one was given, and is taken for before and after (that of before goes by --old-inventory)",
            ),
            (false, true) => Some(
                "whether the rota changes too: one was given, and is taken for before and after (that of before goes by --old-rota)",
            ),
            (false, false) => None,
        };
        let people = (is_people(self.old) || is_people(self.new))
            .then_some("whether the file of [directory] changes too: it is not read here");
        given.into_iter().chain(people).map(str::to_string).collect()
    }

    /// Schedules of which the rota tells less than what is planned for.
    fn ends_early(&self) -> Vec<String> {
        let Some(rota) = self.rota else { return Vec::new() };
        let mut ends: BTreeMap<Timestamp, BTreeSet<String>> = BTreeMap::new();
        for (roster, rules) in self.rosters(rota) {
            let counted = schedules(rules);
            let early = roster.schedules.iter().filter(|one| one.horizon < self.window.end());
            for schedule in early.filter(|one| counted.contains_key(&one.reference)) {
                ends.entry(schedule.horizon).or_default().insert(schedule.reference.to_string());
            }
        }
        let told = |(end, names): (Timestamp, BTreeSet<String>)| {
            format!(
                "who is on call by {} after {}: what was given ends there; plan for less (--for), or give the rota as a file",
                names.into_iter().collect::<Vec<_>>().join(", "),
                instant(end, self.window)
            )
        };
        ends.into_iter().map(told).collect()
    }

    /// What is asked in another place from then on, of which the rota that was given says nothing.
    fn elsewhere(&self, changes: &[Change]) -> Elsewhere {
        let mut found = Elsewhere::default();
        let may = changes.iter().filter(|change| change.effect == Effect::MayLoosen);
        let of = |section: &str, change: &Change| {
            change.detail.section == section || change.detail.section.starts_with(&format!("{section}."))
        };
        let may: Vec<&Change> = may.collect();
        let keys_of = |section: &str| {
            let own = may.iter().filter(|change| of(section, change));
            let named = own.map(|change| {
                let key = if change.key.is_empty() { &change.place } else { &change.key };
                format!("`{key}`")
            });
            named.collect::<BTreeSet<_>>()
        };
        let fleet = keys_of("fleet");
        for source in &self.new.oncall.sources {
            let own = may.iter().filter(|change| {
                of("oncall.source", change)
                    && !["", "people", "max_escalation_level"].contains(&change.key.as_str())
                    && !LISTS.contains(&change.key.as_str())
                    && change.detail.entry.first() == Some(&source.name)
            });
            let mut keys: BTreeSet<String> = own.map(|change| format!("`{}`", change.key)).collect();
            if matches!(source.provider, Provider::Fleet(_)) {
                keys.extend(fleet.iter().cloned());
            }
            if !keys.is_empty() {
                found.note(&source.name, &keys, self.rota);
            }
        }
        let is_of_fleet = matches!(self.new.directory, Some(Directory::Fleet(_)));
        let directory = keys_of("directory").into_iter().chain(fleet.into_iter().filter(|_| is_of_fleet));
        let directory: Vec<String> = directory.collect();
        if !directory.is_empty() {
            found.not_known.push(format!(
                "who is in the directory, and eligible, as it is asked from then on ({}): nothing that was given tells that",
                directory.join(", ")
            ));
        }
        found
    }
}

/// What is known of sources that are read elsewhere.
#[derive(Debug, Default)]
struct Elsewhere {
    missing: Vec<String>,
    not_known: Vec<String>,
}

impl Elsewhere {
    fn note(&mut self, source: &str, keys: &BTreeSet<String>, rota: Option<&Rota>) {
        let keys = keys.iter().cloned().collect::<Vec<_>>().join(", ");
        match rota {
            Some(rota) if rota.users.is_none() => self.missing.push(format!(
                "who is on call by {source} from then on: it is read in another way ({keys}), and this copy of the rota is of what it said before; give what it says then as a file"
            )),
            Some(rota) if rota.is_of_both => self.not_known.push(format!(
                "whether {source} says the same when it is read in another way ({keys}): the rota that was given is taken for before and after (that of before goes by --old-rota)"
            )),
            _ => {}
        }
    }
}

/// The schedules that rules count, each with one of these.
fn schedules(rules: &Rules) -> BTreeMap<&ScheduleRef, &str> {
    let each = rules.rules.iter();
    each.flat_map(|rule| rule.schedules.iter().map(|schedule| (schedule, rule.name.as_str()))).collect()
}
