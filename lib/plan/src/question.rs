//! What is asked, and all that there is to answer.

use std::collections::{BTreeMap, BTreeSet};

use host::Config;
use host::config::{Directory, Rego};
use policy::{Account, Host, HostSelector, Mode, Principal, Roster, Rule, Shift, Window, stretches};

use crate::changes::{Change, Effect, changes};
use crate::context::Context;
use crate::door::{By, Door, ROOT};
use crate::inventory::{self, HostSides, Inventory};
use crate::moves::{Counts, Move, Sides, hosts_in_words, some_of};
use crate::narrowing::Files;
use crate::rights::read_in_time;

/// Who is on call, as far as somebody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rota {
    /// It, before the change.
    pub roster: Roster,
    /// It after the change, where that is another one: the new configuration has other people for the users of its sources,
    /// or another file was given.
    pub after: Option<Roster>,
    /// The users of sources who have shifts, with their sources; none, where only people are known.
    pub users: Option<BTreeSet<(String, String)>>,
    /// Does it tell who is eligible? A rota in a file does not: everybody in it counts as eligible then.
    pub tells_eligible: bool,
    /// Is it one for both sides, whatever the change does to it?
    pub is_of_both: bool,
}

impl Rota {
    /// This one, as what `before` becomes.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let users = [before.users, self.users];
        Self {
            roster: before.roster,
            after: Some(self.after.unwrap_or(self.roster)),
            users: users
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .map(|users| users.into_iter().flatten().collect()),
            tells_eligible: before.tells_eligible && self.tells_eligible,
            is_of_both: false,
        }
    }

    /// Before and after.
    pub(crate) fn sides(&self) -> [&Roster; 2] {
        [&self.roster, self.after.as_ref().unwrap_or(&self.roster)]
    }

    /// The schedules with other shifts in `window` on one side than on the other, where two were given.
    fn differing(&self, window: Window) -> Vec<String> {
        if self.is_of_both {
            return Vec::new();
        }
        let [before, after] = self.sides().map(|roster| shifts_in(roster, window));
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        all.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
    }
}

/// When who is on call on which level, by schedule.
type Shifts = BTreeMap<String, BTreeMap<(Principal, u8), Vec<Window>>>;

fn shifts_in(roster: &Roster, window: Window) -> Shifts {
    let mut shifts = Shifts::new();
    for shift in &roster.shifts {
        let within =
            Window::new(shift.window.start().max(window.start()), shift.window.end().min(window.end()));
        let (Some(within), Some(schedule)) = (within, roster.schedules.get(shift.schedule)) else { continue };
        let own = shifts.entry(schedule.reference.to_string()).or_default();
        own.entry((shift.principal.clone(), shift.level)).or_default().push(within);
    }
    let windows = shifts.values_mut().flat_map(BTreeMap::values_mut);
    windows.for_each(|windows| *windows = stretches(std::mem::take(windows)));
    shifts
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
    /// All hosts, as a sentence calls them.
    pub(crate) everywhere: String,
    /// What is other in the configuration.
    pub changes: Vec<Change>,
    /// The doors at which somebody was refused, and nobody is any more.
    pub opened: Vec<Door>,
    /// The doors at which nobody was refused, and somebody is now.
    pub closed: Vec<Door>,
    /// Does PAM refuse nobody after the change?
    pub observes: bool,
    /// And before it?
    pub observed: bool,
    /// The schedules that the rota has with other shifts after the change.
    pub other_shifts: Vec<String>,
    /// Who gains and who loses what, with what the hosts are called in a sentence.
    pub moves: Vec<(Move, String)>,
    /// What is counted for limits.
    pub counts: Counts,
    /// By which rules people who gain something are asked why first, a sentence each.
    pub asked: Vec<String>,
    /// What files of `[[policy.rego]]` may take away of that again, a sentence each.
    pub narrowed: Vec<String>,
    /// Why it cannot be told who gains and who loses, if so.
    pub cannot_tell: Vec<String>,
    /// What a plan never knows, and what this one does not.
    pub not_known: Vec<String>,
}

impl Plan {
    /// Is the policy the same, and the rota, whatever else is other?
    pub fn is_unchanged(&self) -> bool {
        let is_neutral = |change: &Change| change.effect == Effect::Neutral;
        self.other_shifts.is_empty() && self.moves.is_empty() && self.changes.iter().all(is_neutral)
    }

    /// How many changes loosen, or may.
    pub fn loosened(&self) -> usize {
        let loosens = |change: &&Change| matches!(change.effect, Effect::Loosens | Effect::MayLoosen);
        self.changes.iter().filter(loosens).count()
    }
}

impl Question<'_> {
    /// The answer, as before files of `[[policy.rego]]` are asked.
    pub fn answer(&self) -> Plan {
        self.answer_by(&Files::default())
    }

    /// The answer, with what `files` leave of the rota.
    pub fn answer_by(&self, files: &Files<'_>) -> Plan {
        let (old, new) = (&self.old.rules, &self.new.rules);
        let hosts = self.hosts();
        let rosters = self.rota.map(|rota| {
            let [before, after] = rota.sides();
            (self.stored(before, self.old), self.stored(after, self.new))
        });
        let after = rosters.as_ref().map(|(_, after)| after);
        let mut changes = changes(self.old, self.new);
        changes.extend(inventory::changes(&hosts, self.new));
        let context = Context { question: self, hosts: &hosts, after };
        context.explain(&mut changes);
        let everywhere = context.all_hosts();
        let doors = Door::all(old, new);
        let (mut moves, mut counts, mut troubles) = (Vec::new(), Counts::default(), BTreeSet::new());
        if let Some((before, after)) = &rosters {
            let (rosters, people) = ((before, after), self.people([before, after]));
            let (hosts, people, doors, window) = (&hosts, &people, &doors, self.window);
            let sides = Sides { old, new, hosts, rosters, files, people, doors, window };
            (moves, counts, troubles) = sides.compare();
        }
        let selectors = self.selectors();
        let (asked, narrowed) = (self.asked(&moves), self.narrowed(files, &moves, &hosts));
        let named = |moved: Move| {
            let name = hosts_in_words(&moved.hosts, &hosts, &selectors);
            (moved, name)
        };
        let is_opened = |door: &Door| door.refuses(old) && !door.refuses(new);
        let is_closed = |door: &Door| !door.refuses(old) && door.refuses(new);
        let mut plan = Plan {
            window: self.window,
            everywhere,
            changes,
            opened: doors.iter().filter(|door| is_opened(door)).cloned().collect(),
            closed: doors.iter().filter(|door| is_closed(door)).cloned().collect(),
            observes: new.mode == Mode::Observe,
            observed: old.mode == Mode::Observe,
            other_shifts: self.rota.map(|rota| rota.differing(self.window)).unwrap_or_default(),
            moves: moves.into_iter().map(named).collect(),
            counts,
            asked,
            narrowed,
            cannot_tell: Vec::new(),
            not_known: Vec::new(),
        };
        (plan.cannot_tell, plan.not_known) = self.unknown(&hosts, &plan);
        plan.cannot_tell.extend(troubles);
        plan
    }

    /// The rota as hosts with `config` store it, if they read it in time.
    fn stored(&self, roster: &Roster, config: &Config) -> Roster {
        stored(&read_in_time(roster, self.window), config)
    }

    /// The hosts as they are before and after.
    fn hosts(&self) -> Vec<HostSides> {
        let written = || Some((written_host(self.old)?, written_host(self.new)?));
        match self.inventory {
            Some(inventory) => inventory.sides(),
            None => written()
                .map(|(before, after)| HostSides { before: Some(before), after: Some(after) })
                .into_iter()
                .collect(),
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
        // Whoever is root has nothing to gain.
        people.into_iter().filter(|person| person.as_str() != ROOT).collect()
    }

    /// Of what is gained by rules: which of them ask why.
    fn asked(&self, moves: &[Move]) -> Vec<String> {
        let asks = |rule: &&Rule| {
            let gives =
                |moved: &Move| moved.gains && matches!(&moved.by, By::Rule(name) if *name == rule.name);
            rule.claim && moves.iter().any(gives)
        };
        let told = |rule: &Rule| {
            format!("whoever gains by the rule `{}` says why first, once a shift (claim)", rule.name)
        };
        self.new.rules.rules.iter().filter(asks).map(told).collect()
    }

    /// Where a file is asked before a shift counts: on hosts of moves, if what it leaves is told; else of what is gained.
    fn narrowed(&self, files: &Files<'_>, moves: &[Move], hosts: &[HostSides]) -> Vec<String> {
        let are_asked = files.are_asked();
        let moved =
            moves.iter().filter(|moved| matches!(moved.by, By::Rule(_)) && (are_asked || moved.gains));
        let moved: BTreeSet<&str> = moved.flat_map(|moved| &moved.hosts).map(String::as_str).collect();
        let after = hosts.iter().filter_map(|host| host.after.as_ref());
        let after: Vec<&Host> = after.filter(|host| moved.contains(host.name.as_str())).collect();
        let told = |rego: &Rego| {
            let asks = after.iter().filter(|host| rego.hosts.iter().any(|selector| selector.covers(host)));
            let names: Vec<&str> = asks.map(|host| host.name.as_str()).collect();
            let file = rego.file.file_name().unwrap_or_default().to_string_lossy();
            let hosts = some_of(&names);
            (!names.is_empty()).then(|| match are_asked {
                true => format!("on {hosts} shifts count as {file} leaves them"),
                false => {
                    format!("what is gained on {hosts} is told as before {file} is asked, which may leave shifts out")
                }
            })
        };
        self.new.rego.iter().filter_map(told).collect()
    }

    /// What the rules, new ones first, call hosts.
    fn selectors(&self) -> Vec<&HostSelector> {
        let rules = self.new.rules.rules.iter().chain(&self.old.rules.rules);
        rules.flat_map(|rule| &rule.hosts).collect()
    }
}

/// Is nobody eligible, whatever the rota says? So it is where the directory is asked for no group.
pub(crate) fn nobody_eligible(config: &Config) -> bool {
    matches!(&config.directory, Some(Directory::Ldap(ldap)) if ldap.eligible_group.is_none())
}

/// `roster` without the shifts that are too deep for the sources of `config`, and without whom it takes for eligible where
/// nobody is.
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
    let mut stored =
        Roster { shifts: roster.shifts.iter().filter(is_stored).cloned().collect(), ..roster.clone() };
    if nobody_eligible(config) {
        stored.eligible.values_mut().for_each(|is_eligible| *is_eligible = false);
    }
    stored
}

/// Is nothing written in this configuration, but for comments?
pub fn is_empty(config: &Config) -> bool {
    let table = std::str::from_utf8(&config.text).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| table.is_empty())
}

/// The host that a configuration names in so many words; by default it is whichever reads it.
pub(crate) fn written_host(config: &Config) -> Option<Host> {
    let text = std::str::from_utf8(&config.text).ok()?;
    let table: toml::Table = text.parse().ok()?;
    table.get("host")?.get("name")?;
    Some(config.rules.host.clone())
}
