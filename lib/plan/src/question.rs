//! What is asked, and all that there is to answer.

use std::collections::{BTreeMap, BTreeSet};

use host::Config;
use host::config::Source;
use policy::{
    Account, Host, HostSelector, Mode, Principal, Roster, Rules, ScheduleRef, Shift, Timestamp, Window,
};

use crate::changes::{Change, Effect, changes};
use crate::context::Context;
use crate::door::Door;
use crate::inventory::Inventory;
use crate::moves::{Counts, Move, Sides, hosts_in_words};
use crate::rights::read_in_time;

/// Who is on call, as far as somebody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rota {
    /// It.
    pub roster: Roster,
    /// The same with the people whom the new configuration has for the users of its sources, where they are others.
    pub renamed: Option<Roster>,
    /// The users of sources who have shifts, with their sources; none, where only people are known.
    pub users: Option<BTreeSet<(String, String)>>,
    /// Does it tell who is eligible? A rota in a file does not: everybody in it counts as eligible then.
    pub tells_eligible: bool,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The configuration that runs.
    pub old: &'a Config,
    /// The one that is to run.
    pub new: &'a Config,
    /// The hosts; without it the one that both configurations name.
    pub inventory: Option<&'a Inventory>,
    /// Who is on call.
    pub rota: Option<&'a Rota>,
    /// The time that is planned for.
    pub window: Window,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The time that was planned for.
    pub window: Window,
    /// What is other in the configuration.
    pub changes: Vec<Change>,
    /// The doors at which something was decided and nothing is any more.
    pub opened: Vec<Door>,
    /// The doors at which nothing was decided, and something is now.
    pub closed: Vec<Door>,
    /// Does PAM refuse nobody after the change?
    pub observes: bool,
    /// Who gains and who loses what, with what the hosts are called in a sentence.
    pub moves: Vec<(Move, String)>,
    /// What is counted for limits.
    pub counts: Counts,
    /// Why it cannot be told who gains and who loses, if so.
    pub cannot_tell: Vec<String>,
    /// What a plan never knows, and what this one does not.
    pub not_known: Vec<String>,
}

impl Plan {
    /// Is the policy the same, whatever else is other?
    pub fn is_unchanged(&self) -> bool {
        self.changes.iter().all(|change| change.effect == Effect::Neutral)
    }

    /// How many changes loosen, or may.
    pub fn loosened(&self) -> usize {
        let loosens = |change: &&Change| matches!(change.effect, Effect::Loosens | Effect::MayLoosen);
        self.changes.iter().filter(loosens).count()
    }
}

impl Question<'_> {
    /// The answer.
    pub fn answer(&self) -> Plan {
        let (old, new) = (&self.old.rules, &self.new.rules);
        let hosts = self.hosts();
        let rosters = self.rota.map(|rota| {
            let after = rota.renamed.as_ref().unwrap_or(&rota.roster);
            (self.stored(&rota.roster, self.old), self.stored(after, self.new))
        });
        let after = rosters.as_ref().map(|(_, after)| after);
        let mut changes = changes(self.old, self.new);
        Context { question: self, hosts: &hosts, after }.explain(&mut changes);
        let is_changed = changes.iter().any(|change| change.effect != Effect::Neutral);
        let doors = Door::all(old, new);
        let (mut cannot_tell, mut not_known) = (Vec::new(), self.never_known());
        // What is missing for a plan is no matter where nothing changes, and is said all the same.
        let missing = self.missing(&hosts);
        if is_changed {
            cannot_tell.extend(missing)
        } else {
            not_known.extend(missing)
        }
        cannot_tell.extend(self.too_old());
        let (mut moves, mut counts) = (Vec::new(), Counts::default());
        if let Some((before, after)) = &rosters {
            let (rosters, people) = ((before, after), self.people([before, after]));
            let sides = Sides {
                old,
                new,
                hosts: &hosts,
                rosters,
                people: &people,
                doors: &doors,
                window: self.window,
            };
            (moves, counts) = sides.compare();
        }
        let after: Vec<Host> = hosts.into_iter().map(|(_, host)| host).collect();
        let selectors = self.selectors();
        let named = |moved: Move| {
            let name = hosts_in_words(&moved.hosts, &after, &selectors);
            (moved, name)
        };
        let is_opened = |door: &Door| door.is_decided(old) && !door.is_decided(new);
        let is_closed = |door: &Door| !door.is_decided(old) && door.is_decided(new);
        Plan {
            window: self.window,
            changes,
            opened: doors.iter().filter(|door| is_opened(door)).cloned().collect(),
            closed: doors.into_iter().filter(is_closed).collect(),
            observes: new.mode == Mode::Observe,
            moves: moves.into_iter().map(named).collect(),
            counts,
            cannot_tell,
            not_known,
        }
    }

    /// The rota as hosts with `config` store it, if they read it in time.
    fn stored(&self, roster: &Roster, config: &Config) -> Roster {
        stored(&read_in_time(roster, self.window), config)
    }

    /// The hosts as they are before and after.
    fn hosts(&self) -> Vec<(Host, Host)> {
        match self.inventory {
            Some(inventory) => inventory.hosts().iter().map(|host| (host.clone(), host.clone())).collect(),
            None => written_host(self.old).zip(written_host(self.new)).into_iter().collect(),
        }
    }

    /// Everybody of whom anything is known, in order: those in the rota, and those whom a configuration names.
    fn people(&self, rosters: [&Roster; 2]) -> Vec<Principal> {
        let mut people = BTreeSet::new();
        for roster in rosters {
            people.extend(roster.eligible.keys().cloned());
            people.extend(roster.shifts.iter().map(|shift| shift.principal.clone()));
        }
        for rules in [&self.old.rules, &self.new.rules] {
            let programs = rules.automation.iter().map(|entry| &entry.account);
            let named = rules.exempt_accounts.iter().chain(programs).map(Account::as_str);
            people.extend(named.filter_map(|name| Principal::new(name).ok()));
        }
        people.into_iter().collect()
    }

    /// What the rules, new ones first, call hosts.
    fn selectors(&self) -> Vec<&HostSelector> {
        let rules = self.new.rules.rules.iter().chain(&self.old.rules.rules);
        rules.flat_map(|rule| &rule.hosts).collect()
    }

    /// What was not given, or does not fit together.
    fn missing(&self, hosts: &[(Host, Host)]) -> Vec<String> {
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
        for (schedule, rule) in self.schedules() {
            if rota.roster.find(schedule).is_none() {
                missing.push(format!(
                    "who is on call by {schedule}, which rule `{rule}` counts: the rota has no such schedule"
                ));
            }
        }
        if rota.tells_eligible {
            missing.extend(self.deeper());
        }
        if rota.users.is_none() {
            missing.extend(self.other_people());
        }
        missing
    }

    /// What rules call hosts and no host is.
    fn unmatched(&self, hosts: &[(Host, Host)]) -> Vec<(String, String)> {
        let mut unmatched = BTreeSet::new();
        for rule in self.old.rules.rules.iter().chain(&self.new.rules.rules) {
            let is_nowhere = |selector: &&HostSelector| !hosts.iter().any(|(_, host)| selector.covers(host));
            let nowhere = rule.hosts.iter().filter(is_nowhere);
            unmatched.extend(nowhere.map(|selector| (rule.name.clone(), selector.to_string())));
        }
        unmatched.into_iter().collect()
    }

    /// The schedules that rules count, each with one of these.
    fn schedules(&self) -> BTreeMap<&ScheduleRef, &str> {
        let rules = self.old.rules.rules.iter().chain(&self.new.rules.rules);
        rules.flat_map(|rule| rule.schedules.iter().map(|schedule| (schedule, rule.name.as_str()))).collect()
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
        let (from, mut old) = (self.window.start(), Vec::new());
        let counted = self.schedules();
        for schedule in rota.roster.schedules.iter().filter(|one| counted.contains_key(&one.reference)) {
            let limit = |rules: &Rules| rules.ages.of(schedule).max_age;
            let max_age = limit(&self.old.rules).min(limit(&self.new.rules));
            let (name, synced) = (&schedule.reference, schedule.synced);
            if from >= schedule.believed_until(max_age) {
                old.push(format!(
                    "who is on call by {name}: this copy of the rota is too old; it was read at {synced}, and `max_age` is {max_age}"
                ));
            } else if from < synced.minus(Rules::SKEW) {
                old.push(format!(
                    "who was on call by {name} at {from}: this copy of the rota was read at {synced}, and does not tell what was before"
                ));
            }
        }
        old
    }

    /// What no plan knows.
    fn never_known(&self) -> Vec<String> {
        let mut lines = vec!["who is revoked on these hosts, or suspended in the directory".to_string()];
        match self.rota {
            Some(rota) if !rota.tells_eligible => lines.push(
                "who is eligible: a rota in a file does not tell, so everybody in it is taken as eligible, and a change of group does not show above".into(),
            ),
            _ => lines.push("who joins or leaves the eligible group later".into()),
        }
        lines.push(
            "what sudoers allow, who is in privileged groups, and which other accounts have uid 0".into(),
        );
        lines.push("labels that a host gives itself, and local orders of root there (pause, enforce)".into());
        lines.push(match (self.inventory, written_host(self.new)) {
            (Some(_), _) => "hosts that are not in the inventory".to_string(),
            (None, Some(host)) => format!("all hosts but {}: no inventory was given", host.name),
            (None, None) => "hosts: no inventory was given".to_string(),
        });
        lines.push("what is changed in the rota from now on: tomorrow's overrides".into());
        lines.extend(self.known_until());
        lines.push("grants that colleagues may sign later".into());
        lines
    }

    /// Until when the rota reaches, where that is less than what is planned for.
    fn known_until(&self) -> Vec<String> {
        let Some(rota) = self.rota else { return Vec::new() };
        let counted = self.schedules();
        let mut ends: BTreeMap<Timestamp, Vec<String>> = BTreeMap::new();
        for schedule in &rota.roster.schedules {
            if schedule.horizon < self.window.end() && counted.contains_key(&schedule.reference) {
                ends.entry(schedule.horizon).or_default().push(schedule.reference.to_string());
            }
        }
        let told = |(end, names): (Timestamp, Vec<String>)| {
            format!(
                "who is on call by {} after {}",
                names.join(", "),
                crate::words::instant(end, self.window)
            )
        };
        ends.into_iter().map(told).collect()
    }
}

/// `roster` without the shifts that are too deep for the sources of `config`.
pub(crate) fn stored(roster: &Roster, config: &Config) -> Roster {
    let levels: BTreeMap<&str, u8> = config
        .oncall
        .sources
        .iter()
        .map(|source| (source.name.as_str(), source.max_escalation_level))
        .collect();
    let is_stored = |shift: &&Shift| {
        let source = roster.schedules.get(shift.schedule).map(|schedule| schedule.reference.source.as_str());
        source.and_then(|source| levels.get(source)).is_some_and(|deepest| shift.level <= *deepest)
    };
    Roster { shifts: roster.shifts.iter().filter(is_stored).cloned().collect(), ..roster.clone() }
}

/// The host that a configuration names in so many words; by default it is whichever reads it.
fn written_host(config: &Config) -> Option<Host> {
    let text = std::str::from_utf8(&config.text).ok()?;
    let table: toml::Table = text.parse().ok()?;
    table.get("host")?.get("name")?;
    Some(config.rules.host.clone())
}
