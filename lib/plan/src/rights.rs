//! Who is admitted where and when, by `policy`, which is asked at each instant at which its answer can change.
//!
//! It is assumed that every host goes on reading the rota in time: how old a copy may be matters in an outage, and is said
//! as a change of a setting. Nobody is revoked, there are no grants, and whoever is asked why says so. Rules that wait for
//! incidents are asked [as if they were open](during_incidents), and [as if none were](without_incidents).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use policy::{
    Claims, Evidence, Host, Judge, Principal, Revoked, Roster, Rules, Schedule, Timestamp, Window, stretches,
};

use crate::door::{By, Door, Standing};

/// A roster as hosts will have it, if they read it in time as long as `window` lasts.
pub fn read_in_time(roster: &Roster, window: Window) -> Roster {
    let schedules = roster.schedules.iter().map(|known| Schedule { synced: window.end(), ..known.clone() });
    Roster {
        published: window.start(),
        floor: window.start(),
        schedules: schedules.collect(),
        shifts: roster.shifts.clone(),
        late: roster.late.clone(),
        // Which incidents there will be nobody knows.
        incidents: Default::default(),
        eligible: roster.eligible.clone(),
    }
}

/// `rules` as they are where each incident that they wait for is open.
pub(crate) fn during_incidents(rules: &Rules) -> Rules {
    let mut rules = rules.clone();
    rules.rules.iter_mut().for_each(|rule| rule.incident = None);
    rules
}

/// `rules` as they are where none of these incidents is open.
pub(crate) fn without_incidents(rules: &Rules) -> Rules {
    let mut rules = rules.clone();
    rules.rules.retain(|rule| rule.incident.is_none());
    rules
}

/// From when to when somebody is admitted, and by what: in order, and apart.
pub type Times = Vec<(Window, By)>;

/// Who is admitted by which door: by the places of both in their lists.
pub type Admitted = BTreeMap<(usize, usize), Times>;

/// What rules say about people and doors, on one host after the other.
#[derive(Debug)]
pub struct Rights<'a> {
    rules: Rules,
    roster: &'a Roster,
    people: &'a [Principal],
    doors: &'a [Door],
    window: Window,
    nobody: Revoked,
    /// The people with a shift, by schedule.
    on_call: Vec<BTreeSet<usize>>,
    /// What holds for people without a shift that counts, where a rule covers the host and where none does.
    idle: HashMap<(usize, usize, bool), Times>,
}

impl<'a> Rights<'a> {
    /// Those of `rules`, whatever host they name. `roster` is one [that was read in time](read_in_time); `people` are in
    /// order.
    pub fn new(
        rules: &Rules,
        roster: &'a Roster,
        (people, doors): (&'a [Principal], &'a [Door]),
        window: Window,
    ) -> Self {
        let mut on_call = vec![BTreeSet::new(); roster.schedules.len()];
        for shift in &roster.shifts {
            let person = people.binary_search(&shift.principal);
            if let (Ok(person), Some(own)) = (person, on_call.get_mut(shift.schedule)) {
                own.insert(person);
            }
        }
        let (rules, nobody, idle) = (rules.clone(), Revoked::nobody(), HashMap::new());
        Self { rules, roster, people, doors, window, nobody, on_call, idle }
    }

    /// Who is admitted on `host`, and when.
    pub fn on(&mut self, host: &Host) -> Admitted {
        self.rules.host = host.clone();
        let counted: BTreeSet<usize> =
            self.rules.schedules().into_iter().filter_map(|wanted| self.roster.find(wanted)).collect();
        let with_shifts: BTreeSet<usize> =
            counted.iter().filter_map(|schedule| self.on_call.get(*schedule)).flatten().copied().collect();
        let is_covered = self.rules.uncovered().is_none();
        let evidence = Evidence {
            roster: Ok(self.roster),
            revoked: Ok(&self.nobody),
            grants: &[],
            claims: Claims::NotAsked,
        };
        let judge = Judge::new(&evidence, &self.rules);
        let mut admitted = Admitted::new();
        for (person, principal) in self.people.iter().enumerate() {
            let is_idle = !with_shifts.contains(&person);
            let edges = self.edges(principal, if is_idle { None } else { Some(&counted) });
            for (door, way) in self.doors.iter().enumerate() {
                let times = || times(way, &judge, &self.rules, principal, &edges, self.window.end());
                let times = match is_idle {
                    true => self.idle.entry((person, door, is_covered)).or_insert_with(times).clone(),
                    false => times(),
                };
                if !times.is_empty() {
                    admitted.insert((person, door), times);
                }
            }
        }
        admitted
    }

    /// The instants of the window at which something can change for a person: what they are decided by begins or ends.
    fn edges(&self, person: &Principal, counted: Option<&BTreeSet<usize>>) -> BTreeSet<Timestamp> {
        let own = self.roster.shifts.of(person).iter();
        let own = own.filter(|shift| counted.is_some_and(|counted| counted.contains(&shift.schedule)));
        let of_shifts = own.flat_map(|shift| [shift.window.start(), shift.window.end()]);
        let ends = counted.into_iter().flatten().filter_map(|number| self.roster.schedules.get(*number));
        let programs = self.rules.automation.iter().filter(|entry| entry.account.as_str() == person.as_str());
        let edges =
            of_shifts.chain(ends.map(|schedule| schedule.horizon)).chain(programs.map(|entry| entry.until));
        edges.filter(|at| self.window.contains(*at)).chain([self.window.start()]).collect()
    }
}

/// When `person` is admitted by `door`, judged at each of `edges`, between which nothing changes.
fn times(
    door: &Door,
    judge: &Judge<'_>,
    rules: &Rules,
    person: &Principal,
    edges: &BTreeSet<Timestamp>,
    end: Timestamp,
) -> Times {
    let mut found: Times = Vec::new();
    let ends = edges.iter().skip(1).copied().chain([end]);
    for (start, end) in edges.iter().copied().zip(ends) {
        let Some(Standing::In(by)) = door.standing(judge, rules, person, start) else { continue };
        match found.last_mut() {
            Some((window, last)) if window.end() == start && *last == by => {
                *window = Window::new(window.start(), end).unwrap_or(*window);
            }
            _ => found.extend(Window::new(start, end).map(|window| (window, by))),
        }
    }
    found
}

/// What of `times` is in none of `others`, whatever the grounds of these.
pub(crate) fn without(times: &Times, others: Option<&Times>) -> Times {
    let others = stretches(others.into_iter().flatten().map(|(window, _)| *window));
    let left = times
        .iter()
        .flat_map(|(window, by)| window.without(&others).into_iter().map(move |window| (window, by.clone())));
    left.collect()
}

/// The most people who are in one of `windows` at once, each with theirs, which may overlap.
pub(crate) fn most_at_once(people: impl IntoIterator<Item = Vec<Window>>) -> usize {
    let mut turns: Vec<(Timestamp, i64)> = Vec::new();
    for windows in people {
        for window in stretches(windows) {
            turns.extend([(window.start(), 1), (window.end(), -1)]);
        }
    }
    // Who leaves at an instant is gone before the next one comes.
    turns.sort();
    let counts = turns.iter().scan(0, |count, (_, step)| {
        *count += step;
        Some(*count)
    });
    usize::try_from(counts.max().unwrap_or(0)).unwrap_or(0)
}
