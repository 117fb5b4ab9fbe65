//! What this program must not forget: how far it has read, what came already, and whom it has told a moment ago. One
//! file, replaced whole, after what it says is to be delivered lies in the spool.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::follow::{Line, Position};
use crate::notice::{Many, One};

/// The form of the file, and the oldest that is read: what it lacks of this one is empty.
const VERSION: u32 = 2;
const OLDEST: u32 = 1;

/// The most boots of which is known which of their records came.
const MOST_BOOTS: usize = 20_000;

/// The most ranges of numbers that are remembered of one boot: one, unless files are read out of order.
const MOST_RANGES: usize = 32;

/// The most windows of one channel; beyond it, each record is told.
const MOST_WINDOWS: usize = 2_000;

/// The most windows of one channel that what one sender sent may begin: no sender takes all of them.
const MOST_WINDOWS_OF_ONE: usize = 500;

/// The most clients of a VPN of which is known when they were told last.
const MOST_CLIENTS: usize = 10_000;

/// What each form has, and no other may mean something else by.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// The number of the next notice.
    pub next: u64,
    /// How far each file was read.
    pub positions: Vec<Position>,
    /// Which records came, by directory, sender, host and boot.
    pub seen: BTreeMap<String, Seen>,
    /// Who was told, by channel, and by person and what happened.
    pub windows: BTreeMap<String, BTreeMap<String, Window>>,
    /// Lines that were no records.
    pub unreadable: u64,
    /// Until when a client of the VPN that connects again is not told again, in Unix seconds. Since form 2.
    #[serde(default)]
    clients: BTreeMap<String, i64>,
}

/// Which numbers of a boot's records came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// First and last of each range, the lowest first.
    ranges: Vec<(u64, u64)>,
    /// When the newest of them was written, in Unix seconds.
    newest: i64,
    /// When one came last, in Unix seconds.
    at: i64,
}

/// A time in which one person is told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its end, in Unix seconds.
    pub until: i64,
    /// What is told at its end.
    pub many: Option<Many>,
    /// Whose record began it. This and what follows: since form 2.
    #[serde(default)]
    sender: String,
    /// Is it of what came late, which is told as one once all of that was read?
    #[serde(default)]
    is_late: bool,
}

/// A notice that a channel takes, and how.
pub struct Offer<'o> {
    pub channel: &'o str,
    /// The length of its windows, in seconds.
    pub length: i64,
    /// Does it tell the person, and not the same people everything?
    pub tells_people: bool,
    pub sender: &'o str,
    pub one: One,
    pub is_late: bool,
}

impl State {
    /// As it was left; `None`: this is the first run.
    ///
    /// # Errors
    /// It cannot be read, or is of another form.
    pub fn load(directory: &Path) -> Result<Option<Self>, String> {
        let path = file(directory);
        let problem = |what: String| format!("{}: {what}", path.display());
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| problem(error.to_string()))?,
        };
        let form: Form = serde_json::from_slice(&text).map_err(|error| problem(error.to_string()))?;
        if !(OLDEST..=VERSION).contains(&form.version) {
            let told = format!("is of form {}; this release reads forms {OLDEST} to {VERSION}", form.version);
            return Err(problem(told));
        }
        serde_json::from_slice(&text).map(Some).map_err(|error| problem(error.to_string()))
    }

    /// Keeps it, so that the next run goes on from here.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&mut self, directory: &Path) -> Result<(), String> {
        self.version = VERSION;
        let text = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        publish::replace(&file(directory), 0o600, |temporary| fs::write(temporary, &text))
            .map_err(|error| error.to_string())
    }

    /// Is this record new? A log server may have one twice. Numbers count for one host within what one sender sent, so
    /// none speaks for another.
    pub fn is_new(&mut self, line: &Line, one: &One, now: i64) -> bool {
        let (Ok(number), boot) = (one.get("number").parse::<u64>(), one.get("boot")) else { return true };
        if boot.is_empty() {
            return true;
        }
        let key = format!("{} {} {} {boot}", line.directory.display(), line.sender, one.get("host"));
        if self.seen.len() >= MOST_BOOTS
            && !self.seen.contains_key(&key)
            && let Some(oldest) = self.seen.iter().min_by_key(|(_, seen)| seen.at).map(|(key, _)| key.clone())
        {
            self.seen.remove(&oldest);
        }
        let seen = self.seen.entry(key).or_default();
        seen.at = now;
        seen.take(number, one.at)
    }

    /// Is this the first that is heard of a client for so many seconds? `client`: what is one client.
    pub fn is_first(&mut self, client: String, length: i64, now: i64) -> bool {
        // A clock that was set back would make it last.
        let end = now.saturating_add(length);
        if self.clients.get(&client).is_some_and(|until| (now + 1..=end).contains(until)) {
            return false;
        }
        if self.clients.len() >= MOST_CLIENTS {
            self.clients.retain(|_, until| *until > now);
        }
        if self.clients.len() >= MOST_CLIENTS
            && let Some(oldest) =
                self.clients.iter().min_by_key(|(_, until)| **until).map(|(client, _)| client.clone())
        {
            self.clients.remove(&oldest);
        }
        self.clients.insert(client, end);
        true
    }

    /// What to do with a notice that a channel takes: `Some`: it is told at once.
    pub fn offer(&mut self, offer: Offer<'_>, now: i64) -> Option<One> {
        let Offer { channel, length, tells_people, sender, one, is_late } = offer;
        let windows = self.windows.entry(channel.to_string()).or_default();
        // Of a VPN's login from where is the news of it. No value has a break of lines: nobody is in another's window, whatever
        // a record calls them or its reason.
        let place = if one.get("event") == crate::event::VPN { one.get("rhost") } else { "" };
        let mut key = [one.get("person"), one.get("event"), one.get("reason"), place].join("\n");
        if !windows.contains_key(&key) {
            let begun = windows.values().filter(|window| window.sender == sender).count();
            if windows.len() >= MOST_WINDOWS || (begun >= MOST_WINDOWS_OF_ONE && tells_people) {
                return Some(one);
            }
            if begun >= MOST_WINDOWS_OF_ONE {
                // All that it sends beyond has one window. No person has this name.
                key = format!("\n{sender}");
            }
        }
        let until = now.saturating_add(length);
        match windows.get_mut(&key) {
            Some(window) if window.until > now || window.many.is_some() || is_late => {
                // A clock that was set back would make it last.
                window.until = window.until.min(until);
                match &mut window.many {
                    Some(many) => many.add(&one),
                    None => window.many = Some(Many::of(&one)),
                }
                None
            }
            // What comes late is told as one, as soon as all that came late was read.
            _ if is_late => {
                let many = Some(Many::of(&one));
                windows.insert(key, Window { until: now, many, sender: sender.to_string(), is_late });
                None
            }
            _ => {
                windows.insert(key, Window { until, many: None, sender: sender.to_string(), is_late });
                Some(one)
            }
        }
    }

    /// What `channel` is told now of what happened in windows that have ended. Whoever was told has a new window. `more`: there
    /// is more to read, so what came late waits for the rest of it, for the length of a window at most.
    pub fn ended(&mut self, channel: &str, length: i64, more: bool, now: i64) -> Vec<Many> {
        let Some(windows) = self.windows.get_mut(channel) else { return vec![] };
        let mut told = Vec::new();
        windows.retain(|_, window| {
            // A clock that was set back would make it last.
            window.until = window.until.min(now.saturating_add(length));
            let wait = if window.is_late && more { length } else { 0 };
            if window.until.saturating_add(wait) > now {
                return true;
            }
            let Some(many) = window.many.take() else { return false };
            told.push(many);
            (window.until, window.is_late) = (now.saturating_add(length), false);
            true
        });
        told
    }

    /// When the next window ends, in Unix seconds.
    pub fn next_end(&self) -> Option<i64> {
        self.windows.values().flat_map(BTreeMap::values).map(|window| window.until).min()
    }

    /// Drops what belongs to channels that there are no longer.
    pub fn keep_channels(&mut self, is_there: impl Fn(&str) -> bool) {
        self.windows.retain(|name, _| is_there(name));
    }
}

impl Seen {
    /// Takes this number of a record written `at`; was it new? What is not known to have come is new, however far behind
    /// the others: told twice is better than lost.
    fn take(&mut self, number: u64, at: i64) -> bool {
        let is_seen = self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&number));
        // Older than none of those that came, so it is not one of them: the host began to count anew.
        let is_anew = is_seen && at > self.newest;
        self.newest = self.newest.max(at);
        if is_anew {
            self.ranges.clear();
        } else if is_seen {
            return false;
        }
        self.insert(number);
        true
    }

    /// Remembers a number that is in no range.
    fn insert(&mut self, number: u64) {
        let place = self.ranges.partition_point(|(_, last)| *last < number);
        self.ranges.insert(place, (number, number));
        self.ranges.dedup_by(|next, before| {
            let joins = before.1.checked_add(1) == Some(next.0);
            if joins {
                before.1 = next.1;
            }
            joins
        });
        if self.ranges.len() > MOST_RANGES {
            self.ranges.remove(0);
        }
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("state.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Notice;

    fn one(id: &str, person: &str, host: &str) -> One {
        let fields = [("person", person), ("host", host), ("event", "opened"), ("reason", "oncall")];
        let fields = fields.map(|(name, value)| (name.to_string(), value.to_string()));
        One { id: id.to_string(), at: 0, fields: fields.into() }
    }

    fn offer(one: One, is_late: bool) -> Offer<'static> {
        Offer { channel: "c", length: 600, tells_people: false, sender: "10.0.0.7", one, is_late }
    }

    fn line(directory: &str, sender: &str) -> Line {
        Line { text: String::new(), sender: sender.into(), directory: directory.into() }
    }

    fn numbered(number: u64, host: &str) -> One {
        let mut one = one("a", "alice", host);
        one.fields.insert("number".into(), number.to_string());
        one.fields.insert("boot".into(), "b".into());
        one
    }

    #[test]
    fn a_number_counts_once_and_none_speaks_for_another() {
        let mut state = State::default();
        let mut is_new = |directory, sender, host, number| {
            state.is_new(&line(directory, sender), &numbered(number, host), 0)
        };
        assert!(is_new("/srv/10.0.0.7", "10.0.0.7", "db1", 1));
        assert!(!is_new("/srv/10.0.0.7", "10.0.0.7", "db1", 1));
        assert!(is_new("/srv/10.0.0.8", "10.0.0.8", "db1", 1), "another directory");
        assert!(
            is_new("/srv", "10.0.0.8", "db1", 1) && is_new("/srv", "10.0.0.9", "db1", 1),
            "another sender"
        );
        assert!(is_new("/srv/10.0.0.7", "10.0.0.7", "db2", 1), "another host");
        assert!(state.is_new(&line("/srv", "x"), &one("a", "alice", "db1"), 0), "without a number");
    }

    #[test]
    fn a_number_far_behind_is_new_until_it_came_and_what_is_kept_is_bounded() {
        let mut seen = Seen::default();
        for (number, is_new) in [
            (5, true),
            (5, false),
            (4, true),
            (5_000_000, true),
            (6, true),
            (6, false),
            (7, true),
            (u64::MAX, true),
        ] {
            assert_eq!(seen.take(number, 0), is_new, "{number}");
        }
        assert_eq!(seen.ranges, [(4, 7), (5_000_000, 5_000_000), (u64::MAX, u64::MAX)]);
        assert!((8..2_000).rev().all(|number| seen.take(number, 0)), "an older file, in any order");
        assert!((4..2_000).all(|number| !seen.take(number, 0)));
        assert!((0..1_000).all(|number| seen.take(10_000_000 + 2 * number, 0)));
        assert_eq!(seen.ranges.len(), MOST_RANGES);
        assert!(seen.take(4, 0), "forgotten is new: twice is better than lost");
    }

    #[test]
    fn a_host_that_counts_anew_in_one_boot_is_heard() {
        let mut seen = Seen::default();
        assert!((1..100).all(|number| seen.take(number, 50)));
        assert!(!seen.take(1, 50) && seen.take(1, 51), "written after all that came");
        assert!(seen.take(2, 51) && !seen.take(2, 51));
    }

    #[test]
    fn a92_five_hundred_hosts_at_once_are_one_message_and_one_digest() {
        let mut state = State::default();
        let mut told = Vec::new();
        for number in 0..500 {
            told.extend(
                state.offer(offer(one(&number.to_string(), "alice", &format!("web{number}")), false), 100),
            );
        }
        assert_eq!(told.len(), 1);
        assert_eq!(
            state.offer(offer(one("x", "bob", "db1"), false), 100).map(|one| one.id),
            Some("x".into())
        );
        assert!(state.ended("c", 600, false, 699).is_empty());
        assert_eq!(state.next_end(), Some(700));
        let digests = state.ended("c", 600, false, 700);
        assert_eq!((digests.len(), digests[0].count, digests[0].hosts.count()), (1, 499, (499, false)));
        // The window goes on, and ends when nothing more came.
        assert_eq!(state.offer(offer(one("y", "alice", "db1"), false), 800), None);
        assert_eq!(state.ended("c", 600, false, 1300).len(), 1);
        assert!(state.ended("c", 600, false, 1900).is_empty() && state.next_end().is_none());
        assert!(state.offer(offer(one("z", "alice", "db1"), false), 1900).is_some());
    }

    #[test]
    fn what_comes_late_is_one_digest_and_a_clock_set_back_ends_no_news() {
        let mut state = State::default();
        for number in 0..50 {
            assert_eq!(state.offer(offer(one(&number.to_string(), "alice", "db1"), true), 5_000), None);
        }
        let digests = state.ended("c", 600, false, 5_000);
        assert_eq!(digests.iter().map(|many| many.count).collect::<Vec<_>>(), [50]);
        assert_eq!(Notice::Many(digests[0].clone().into()).person(), "alice");
        assert_eq!(state.offer(offer(one("a", "alice", "db1"), false), 100), None);
        assert_eq!(state.next_end(), Some(700));
        // Nobody else has to log in before that holds.
        let mut state = State::default();
        assert!(state.offer(offer(one("a", "alice", "db1"), false), 90_000).is_some());
        assert_eq!(state.offer(offer(one("b", "alice", "db1"), false), 90_000), None);
        assert!(state.ended("c", 600, false, 100).is_empty());
        assert_eq!((state.next_end(), state.ended("c", 600, false, 700).len()), (Some(700), 1));
    }

    #[test]
    fn what_comes_late_waits_for_the_rest_of_it_and_not_without_end() {
        let mut state = State::default();
        assert_eq!(state.offer(offer(one("a", "alice", "db1"), true), 5_000), None);
        assert!(state.ended("c", 600, true, 5_599).is_empty());
        assert_eq!(state.ended("c", 600, true, 5_600).len(), 1);
        // What came in time is told at its end, however much there is to read.
        assert!(state.offer(offer(one("b", "bob", "db1"), false), 6_000).is_some());
        assert_eq!(state.offer(offer(one("c", "bob", "db1"), false), 6_000), None);
        assert_eq!(state.ended("c", 600, true, 6_600).len(), 1);
    }

    #[test]
    fn one_sender_floods_nobody_and_takes_no_room_of_others() {
        for tells_people in [false, true] {
            let mut state = State::default();
            let mut told = 0_u64;
            for number in 0..3_000 {
                let one = one(&number.to_string(), &format!("made{number}"), "db1");
                told += u64::from(state.offer(Offer { tells_people, ..offer(one, false) }, 100).is_some());
            }
            // People are told each by themselves; a channel that reads all has the rest as one.
            assert_eq!(told, if tells_people { 3_000 } else { 501 });
            assert_eq!(state.windows["c"].len(), MOST_WINDOWS_OF_ONE + usize::from(!tells_people));
            let digests = state.ended("c", 600, false, 700);
            assert_eq!(digests.iter().map(|many| many.count).sum::<u64>(), 3_000 - told);
            let other = |id: &str| Offer { sender: "10.0.0.8", ..offer(one(id, "alice", "db2"), false) };
            assert!(state.offer(other("a"), 700).is_some());
            assert_eq!(state.offer(other("b"), 700), None, "others have windows still");
        }
    }

    #[test]
    fn nobody_is_in_the_window_of_another_whatever_a_record_calls_them() {
        let mut state = State::default();
        let named = |person: &str, reason: &str| {
            let mut one = one(person, person, "db1");
            one.fields.insert("reason".into(), reason.into());
            Offer { tells_people: true, ..offer(one, false) }
        };
        assert!(state.offer(named("alice", "x opened y"), 100).is_some());
        assert!(state.offer(named("alice opened x", "y"), 100).is_some(), "two people");
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(State::load(directory.path()), Ok(None));
        let mut state = State { next: 7, ..State::default() };
        assert!(state.offer(offer(one("a", "alice", "db1"), false), 100).is_some());
        state.offer(offer(one("b", "alice", "db2"), false), 100);
        state.save(directory.path()).unwrap();
        assert_eq!(State::load(directory.path()), Ok(Some(state)));
        fs::write(file(directory.path()), "{}").unwrap();
        assert!(State::load(directory.path()).is_err());
    }

    #[test]
    fn a_state_of_another_form_is_read_whole_or_refused_plainly() {
        let directory = tempfile::tempdir().unwrap();
        let load = |text: &str| {
            fs::write(file(directory.path()), text).unwrap();
            State::load(directory.path())
        };
        // As form 1 was written.
        let old = r#"{"version":1,"next":7,"positions":[{"path":"/r","inode":3,"offset":9,"head":9,"digest":"d"}],
            "seen":{"k":{"ranges":[[1,4]],"newest":5,"at":6}},"unreadable":2,"windows":{"c":{"alice opened oncall":{"until":700,
            "many":{"id":"a","count":2,"people":{"names":["alice"],"more":false},"accounts":{"names":[],"more":false},
            "hosts":{"names":["db1"],"more":true},"events":{"names":[],"more":false},"first":1,"last":2,"crowded":false}}}}}"#;
        let mut state = load(old).unwrap().unwrap();
        assert_eq!((state.next, state.unreadable, state.positions.len(), state.seen.len()), (7, 2, 1, 1));
        assert_eq!(state.ended("c", 600, false, 700)[0].hosts.count(), (1, true));
        let newer = old.replace("\"version\":1", "\"version\":3").replace("\"seen\"", "\"came\"");
        let refused = load(&newer).unwrap_err();
        assert!(refused.ends_with("state.json: is of form 3; this release reads forms 1 to 2"), "{refused}");
        let odd = load(&old.replace("\"unreadable\"", "\"later\":1,\"unreadable\"")).unwrap_err();
        assert!(odd.contains("unknown field `later`"), "half of it is not read: {odd}");
    }

    #[test]
    fn a94_a_client_that_comes_again_is_told_once_in_a_window() {
        let mut state = State::default();
        let client = |name: &str| name.to_string();
        assert!(state.is_first(client("alice"), 600, 1_000));
        assert!(!state.is_first(client("alice"), 600, 1_000) && !state.is_first(client("alice"), 600, 1_599));
        assert!(state.is_first(client("bob"), 600, 1_599));
        assert!(
            state.is_first(client("alice"), 600, 1_600),
            "the window has an end, however often she comes"
        );
        assert!(state.is_first(client("alice"), 600, 100), "a clock that was set back holds nothing up");
        for number in 0..2 * MOST_CLIENTS {
            state.is_first(number.to_string(), 600, 2_000);
        }
        assert_eq!(state.clients.len(), MOST_CLIENTS);
    }
}
