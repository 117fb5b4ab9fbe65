//! Who gains and who loses what: the rights before and after, host by host, put together.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Host, HostSelector, Principal, Roster, Rules, Window, stretches};

use crate::door::{By, Door, ROOT, covering};
use crate::inventory::HostSides;
use crate::rights::{Admitted, Rights, Times, most_at_once, without};

/// People who gain or lose the same account on the same hosts by the same rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// By what they are admitted, after or before.
    pub by: By,
    /// Do they gain it, or lose it?
    pub gains: bool,
    /// The account.
    pub account: String,
    /// The services by which; none: by all that there are.
    pub services: Vec<&'static str>,
    /// The names of the hosts, in order.
    pub hosts: Vec<String>,
    /// Who, and when, in order.
    pub people: People,
}

/// People, and when.
type People = Vec<(Principal, Vec<Window>)>;

/// What those have in common who are in one sentence; hosts by their place.
type Alike = (By, bool, String, Vec<&'static str>, Vec<usize>);

/// What is counted for limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// People who gain something.
    pub gained: usize,
    /// People who lose something.
    pub lost: usize,
    /// The most who are admitted as root at once on one host, after the change.
    pub most_admitted: usize,
    /// The same before it.
    pub most_before: usize,
}

/// Both sides, to be compared.
#[derive(Debug)]
pub(crate) struct Sides<'a> {
    pub old: &'a Rules,
    pub new: &'a Rules,
    /// Each host as it is before and after.
    pub hosts: &'a [HostSides],
    /// As hosts will have it, before and after.
    pub rosters: (&'a Roster, &'a Roster),
    pub people: &'a [Principal],
    pub doors: &'a [Door],
    pub window: Window,
}

/// One person's gain or loss, before hosts are put together.
type Found = BTreeMap<(By, bool, String, Vec<&'static str>, usize, Vec<Window>), Vec<usize>>;

impl Sides<'_> {
    /// Every move, and what is counted.
    pub fn compare(&self) -> (Vec<Move>, Counts) {
        let (mut found, mut most, mut most_before) = (Found::new(), 0, 0);
        let mut before = Rights::new(self.old, self.rosters.0, (self.people, self.doors), self.window);
        let mut after = Rights::new(self.new, self.rosters.1, (self.people, self.doors), self.window);
        for hosts in self.alike().values() {
            let Some(host) = hosts.first().and_then(|first| self.hosts.get(*first)) else { continue };
            // On a host that is not there nobody has anything.
            let on = |rights: &mut Rights<'_>, host: &Option<Host>| {
                host.as_ref().map_or_else(Admitted::new, |host| rights.on(host))
            };
            let (before, after) = (on(&mut before, &host.before), on(&mut after, &host.after));
            most = most.max(self.most_admitted(&after));
            most_before = most_before.max(self.most_admitted(&before));
            self.differ(&after, &before, true, hosts, &mut found);
            self.differ(&before, &after, false, hosts, &mut found);
        }
        let people = |gains| {
            let moved = found.keys().filter(|(_, is_gain, ..)| *is_gain == gains);
            moved.map(|(.., person, _)| *person).collect::<BTreeSet<_>>().len()
        };
        let counts = Counts { gained: people(true), lost: people(false), most_admitted: most, most_before };
        (self.put_together(found), counts)
    }

    /// Hosts of which all rules say the same, by their place.
    fn alike(&self) -> BTreeMap<[Option<Vec<usize>>; 2], Vec<usize>> {
        let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, HostSides { before, after }) in self.hosts.iter().enumerate() {
            let covering = [covering(self.old, before.as_ref()), covering(self.new, after.as_ref())];
            alike.entry(covering).or_default().push(place);
        }
        alike
    }

    fn most_admitted(&self, after: &Admitted) -> usize {
        let mut people: BTreeMap<usize, Vec<Window>> = BTreeMap::new();
        for ((person, door), times) in after {
            if self.doors.get(*door).is_some_and(|door| door.account == ROOT) {
                people.entry(*person).or_default().extend(times.iter().map(|(window, _)| *window));
            }
        }
        most_at_once(people.into_values())
    }

    /// What `these` have and `those` have not, of doors at which both refuse somebody.
    fn differ(&self, these: &Admitted, those: &Admitted, gains: bool, hosts: &[usize], found: &mut Found) {
        // By the person, the account and the time; then the services.
        let mut ways: BTreeMap<(usize, &str, Window, By), Vec<&'static str>> = BTreeMap::new();
        for ((person, place), times) in these {
            let door = self.doors.get(*place).filter(|door| self.both_refuse(door));
            let Some(door) = door else { continue };
            let left: Times = without(times, those.get(&(*person, *place)));
            for (window, by) in left {
                ways.entry((*person, &door.account, window, by)).or_default().push(door.service);
            }
        }
        let mut whole: BTreeMap<(By, String, Vec<&'static str>, usize), Vec<Window>> = BTreeMap::new();
        for ((person, account, window, by), services) in ways {
            whole.entry((by, account.to_string(), services, person)).or_default().push(window);
        }
        for ((by, account, services, person), windows) in whole {
            let services = if services == self.every_way(&account) { Vec::new() } else { services };
            let key = (by, gains, account, services, person, stretches(windows));
            found.entry(key).or_default().extend(hosts);
        }
    }

    fn both_refuse(&self, door: &Door) -> bool {
        door.refuses(self.old) && door.refuses(self.new)
    }

    /// The services by which `account` is entered by people whom the host can tell apart.
    fn every_way(&self, account: &str) -> Vec<&'static str> {
        let own = self.doors.iter().filter(|door| door.account == account && door.service != "login");
        own.filter(|door| self.both_refuse(door)).map(|door| door.service).collect()
    }

    /// People who move alike in one sentence.
    fn put_together(&self, found: Found) -> Vec<Move> {
        let mut together: BTreeMap<Alike, People> = BTreeMap::new();
        for ((by, gains, account, services, person, windows), mut hosts) in found {
            hosts.sort_unstable();
            let Some(person) = self.people.get(person) else { continue };
            together
                .entry((by, gains, account, services, hosts))
                .or_default()
                .push((person.clone(), windows));
        }
        let name = |place: usize| self.hosts.get(place).map(|host| host.name().to_string());
        let of = |((by, gains, account, services, hosts), mut people): (Alike, People)| {
            people.sort();
            Move { by, gains, account, services, hosts: hosts.into_iter().filter_map(name).collect(), people }
        };
        let mut moves: Vec<Move> = together.into_iter().map(of).collect();
        // root first: it is what everybody looks for.
        moves.sort_by_cached_key(|moved| (moved.account != ROOT, moved.clone()));
        moves
    }
}

/// How hosts are called in a sentence: all, by what a rule calls them, or by name.
pub(crate) fn hosts_in_words(names: &[String], hosts: &[HostSides], selectors: &[&HostSelector]) -> String {
    let count = match names {
        [one] => return one.clone(),
        _ => format!("{} hosts", names.len()),
    };
    let is_these = |selector: &&&HostSelector| {
        let is_it = |host: &&HostSides| {
            host.after.as_ref().or(host.before.as_ref()).is_some_and(|host| selector.covers(host))
        };
        hosts.iter().filter(is_it).map(HostSides::name).eq(names.iter().map(String::as_str))
    };
    if names.len() == hosts.len() {
        return format!("all {count}");
    }
    match selectors.iter().find(is_these) {
        Some(HostSelector::Label(label)) => format!("{count} (label {label})"),
        Some(HostSelector::Name(glob)) => format!("{count} ({glob})"),
        None => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{count} ({})", some_of(&names))
        }
    }
}

/// The first of `names`, and how many more there are.
pub(crate) fn some_of(names: &[&str]) -> String {
    /// The most that are named.
    const MOST: usize = 4;
    let shown = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
