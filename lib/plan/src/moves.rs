//! Who gains and who loses what: the rights before and after, host by host, put together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use policy::{Host, HostSelector, Principal, Roster, Rules, Window, stretches};

use crate::door::{By, Door, ROOT, covering};
use crate::inventory::HostSides;
use crate::narrowing::Files;
use crate::rights::{Admitted, Rights, Times, during_incidents, most_at_once, without, without_incidents};

/// Whether incidents have a say in a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// They have none.
    Always,
    /// It is so while the incidents that rules wait for are open.
    During,
    /// It is so while none of them is.
    Without,
}

impl When {
    /// How it is told: nothing where there is nothing to say.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Always => "",
            Self::During => ", only during an incident",
            Self::Without => ", while no incident is open",
        }
    }

    /// The same for programs.
    pub(crate) const fn token(self) -> Option<&'static str> {
        match self {
            Self::Always => None,
            Self::During => Some("open"),
            Self::Without => Some("none"),
        }
    }
}

/// People who gain or lose the same account on the same hosts by the same rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// By what they are admitted, after or before.
    pub by: By,
    /// Do they gain it, or lose it?
    pub gains: bool,
    /// Whatever incidents there are, or only with some, or without?
    pub when: When,
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

/// One person's way into one account, and by what.
type Way = (By, When, String, Vec<&'static str>, usize);

/// What those have in common who are in one sentence; hosts by their place.
type Alike = (By, bool, When, String, Vec<&'static str>, Vec<usize>);

/// What decides on a host, on each side: the rules that cover it, and what its files hang on.
type HostKind = [(Option<Vec<usize>>, Vec<String>); 2];

/// What is counted for limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// People who gain something.
    pub gained: usize,
    /// People who lose something.
    pub lost: usize,
    /// The most who are admitted as root at once on one host, after the change.
    pub most_admitted: usize,
    /// The same before it.
    pub most_before: usize,
    /// The first host on which it is so, after the change and before it; nothing where nobody is root.
    pub most_on: [Option<String>; 2],
}

/// Both sides, to be compared.
pub(crate) struct Sides<'a> {
    pub old: &'a Rules,
    pub new: &'a Rules,
    /// Each host as it is before and after.
    pub hosts: &'a [HostSides],
    /// As hosts will have it, before and after.
    pub rosters: (&'a Roster, &'a Roster),
    /// What files leave of them.
    pub files: &'a Files<'a>,
    pub people: &'a [Principal],
    pub doors: &'a [Door],
    pub window: Window,
}

/// One person's gain or loss, before hosts are put together.
type Found = BTreeMap<(By, bool, When, String, Vec<&'static str>, usize, Vec<Window>), Vec<usize>>;

/// The most people who are root at once on one host, and the place of the first such host.
type Most = (usize, Reverse<usize>);

/// What people have on a host: while incidents are open, and while none is, where a rule waits for one.
struct Had {
    open: Admitted,
    calm: Option<Admitted>,
}

impl Had {
    /// The times of `key` while incidents are open, and while none is.
    fn times(&self, key: &(usize, usize)) -> [Option<&Times>; 2] {
        [self.open.get(key), self.calm.as_ref().unwrap_or(&self.open).get(key)]
    }
}

/// The rights of one side.
struct Side<'a> {
    open: Rights<'a>,
    calm: Option<Rights<'a>>,
}

impl Side<'_> {
    /// On a host that is not there nobody has anything.
    fn on(&mut self, host: &Option<Host>) -> Had {
        let on = |rights: &mut Rights<'_>| host.as_ref().map_or_else(Admitted::new, |host| rights.on(host));
        Had { open: on(&mut self.open), calm: self.calm.as_mut().map(on) }
    }
}

impl Sides<'_> {
    /// Every move, and what is counted; and why it cannot be told what files leave of the rota, where it cannot.
    pub fn compare(&self) -> (Vec<Move>, Counts, BTreeSet<String>) {
        let mut found = Found::new();
        let (mut most, mut most_before) = (Most::default(), Most::default());
        let mut troubles = BTreeSet::new();
        let (mut before, mut after) =
            (self.side(self.old, self.rosters.0), self.side(self.new, self.rosters.1));
        for hosts in self.alike().values() {
            let Some(place) = hosts.first().copied() else { continue };
            let Some(host) = self.hosts.get(place) else { continue };
            let [old, new] = [
                (&self.files.old, &host.before, self.rosters.0),
                (&self.files.new, &host.after, self.rosters.1),
            ]
            .map(|(files, host, roster)| files.left_of(roster, host.as_ref(), &mut troubles));
            // By files of its own a host has a rota of its own.
            let on = |shared: &mut Side<'_>, rules, roster: &Option<Roster>, host| match roster {
                Some(roster) => self.side(rules, roster).on(host),
                None => shared.on(host),
            };
            let (before, after) =
                (on(&mut before, self.old, &old, &host.before), on(&mut after, self.new, &new, &host.after));
            most = most.max((self.most_admitted(&after.open), Reverse(place)));
            most_before = most_before.max((self.most_admitted(&before.open), Reverse(place)));
            self.differ(&after, &before, true, hosts, &mut found);
            self.differ(&before, &after, false, hosts, &mut found);
        }
        let people = |gains| {
            let moved = found.keys().filter(|(_, is_gain, ..)| *is_gain == gains);
            moved.map(|(.., person, _)| *person).collect::<BTreeSet<_>>().len()
        };
        let most_on = [most, most_before].map(|(count, Reverse(place))| {
            let host = self.hosts.get(place).filter(|_| count > 0);
            host.map(|host| host.name().to_string())
        });
        let (most_admitted, most_before) = (most.0, most_before.0);
        let counts =
            Counts { gained: people(true), lost: people(false), most_admitted, most_before, most_on };
        (self.put_together(found), counts, troubles)
    }

    /// The rights by `rules`; apart from those while incidents are open, those while none is, if a rule of either side waits
    /// for one.
    fn side<'s>(&'s self, rules: &Rules, roster: &'s Roster) -> Side<'s> {
        let waits = |rules: &Rules| rules.rules.iter().any(|rule| rule.incident.is_some());
        let of = |rules: &Rules| Rights::new(rules, roster, (self.people, self.doors), self.window);
        let has_calm = waits(self.old) || waits(self.new);
        Side { open: of(&during_incidents(rules)), calm: has_calm.then(|| of(&without_incidents(rules))) }
    }

    /// Hosts of which all rules and all files say the same, by their place.
    fn alike(&self) -> BTreeMap<HostKind, Vec<usize>> {
        let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, HostSides { before, after }) in self.hosts.iter().enumerate() {
            let sides = [(self.old, &self.files.old, before), (self.new, &self.files.new, after)];
            let same = sides
                .map(|(rules, files, host)| (covering(rules, host.as_ref()), files.kind_of(host.as_ref())));
            alike.entry(same).or_default().push(place);
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
    fn differ(&self, these: &Had, those: &Had, gains: bool, hosts: &[usize], found: &mut Found) {
        // By the person, the account and the time; then the services.
        let mut ways: BTreeMap<(usize, &str, Window, When, By), Vec<&'static str>> = BTreeMap::new();
        // Nobody has more while no incident is open.
        for key in these.open.keys() {
            let (person, place) = *key;
            let door = self.doors.get(place).filter(|door| self.both_refuse(door));
            let Some(door) = door else { continue };
            for (window, when, by) in left(these.times(key), those.times(key)) {
                ways.entry((person, &door.account, window, when, by)).or_default().push(door.service);
            }
        }
        let mut whole: BTreeMap<Way, Vec<Window>> = BTreeMap::new();
        for ((person, account, window, when, by), services) in ways {
            whole.entry((by, when, account.to_string(), services, person)).or_default().push(window);
        }
        for ((by, when, account, services, person), windows) in whole {
            let services = if services == self.every_way(&account) { Vec::new() } else { services };
            let key = (by, gains, when, account, services, person, stretches(windows));
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
        for ((by, gains, when, account, services, person, windows), mut hosts) in found {
            hosts.sort_unstable();
            let Some(person) = self.people.get(person) else { continue };
            together
                .entry((by, gains, when, account, services, hosts))
                .or_default()
                .push((person.clone(), windows));
        }
        let name = |place: usize| self.hosts.get(place).map(|host| host.name().to_string());
        let of = |((by, gains, when, account, services, hosts), mut people): (Alike, People)| {
            people.sort();
            let hosts = hosts.into_iter().filter_map(name).collect();
            Move { by, gains, when, account, services, hosts, people }
        };
        let mut moves: Vec<Move> = together.into_iter().map(of).collect();
        // root first: it is what everybody looks for.
        moves.sort_by_cached_key(|moved| (moved.account != ROOT, moved.clone()));
        moves
    }
}

/// What of some times is in none of others, both while incidents are open and while none is: whenever that is so.
fn left(these: [Option<&Times>; 2], those: [Option<&Times>; 2]) -> Vec<(Window, When, By)> {
    let ([open, calm], [other_open, other_calm]) = (these, those);
    let of = |times: Option<&Times>, others| times.map(|times| without(times, others)).unwrap_or_default();
    let (open, calm) = (of(open, other_open), of(calm, other_calm));
    let windows = |times: &Times| stretches(times.iter().map(|(window, _)| *window));
    let (in_open, in_calm) = (windows(&open), windows(&calm));
    let mut found = Vec::new();
    for (window, by) in &open {
        let both = in_calm.iter().filter_map(|calm| window.intersect(*calm));
        found.extend(both.map(|both| (both, When::Always, by.clone())));
        found.extend(window.without(&in_calm).into_iter().map(|rest| (rest, When::During, by.clone())));
    }
    for (window, by) in &calm {
        found.extend(window.without(&in_open).into_iter().map(|rest| (rest, When::Without, by.clone())));
    }
    found
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
