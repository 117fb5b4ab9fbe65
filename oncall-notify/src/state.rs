//! What this program must not forget: how far it has read, what came already, and whom it has told a moment ago. One
//! file, replaced whole, after what it says is to be delivered lies in the spool.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::follow::Position;
use crate::notice::{Many, One};

/// The form of the file.
const VERSION: u32 = 1;

/// The most boots of which is known which of their records came.
const MOST_BOOTS: usize = 20_000;

/// The most windows of one channel; beyond it, each record is told.
const MOST_WINDOWS: usize = 2_000;

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The number of the next notice.
    pub next: u64,
    /// How far each file was read.
    pub positions: Vec<Position>,
    /// Which records came, by directory and boot.
    pub seen: BTreeMap<String, Seen>,
    /// Who was told, by channel, and by person and what happened.
    pub windows: BTreeMap<String, BTreeMap<String, Window>>,
    /// Lines that were no records.
    pub unreadable: u64,
}

/// Which numbers of a boot's records came: the highest, and which of the 64 up to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    last: u64,
    bits: u64,
    /// When one came last, in Unix seconds.
    at: i64,
}

/// A time in which one person is told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its end, in Unix seconds.
    pub until: i64,
    /// What is told at its end.
    pub many: Option<Many>,
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
        let state: Self = serde_json::from_slice(&text).map_err(|error| problem(error.to_string()))?;
        match state.version {
            VERSION => Ok(Some(state)),
            other => Err(problem(format!("is of form {other}; this release reads form {VERSION}"))),
        }
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

    /// Is this record new? A log server may have one twice. Numbers count within the directory that a log server has for
    /// a sender, so no host speaks for another.
    pub fn is_new(&mut self, directory: &Path, one: &One, now: i64) -> bool {
        let (Ok(number), boot) = (one.get("number").parse::<u64>(), one.get("boot")) else { return true };
        if boot.is_empty() {
            return true;
        }
        let key = format!("{} {boot}", directory.display());
        if self.seen.len() >= MOST_BOOTS
            && !self.seen.contains_key(&key)
            && let Some(oldest) = self.seen.iter().min_by_key(|(_, seen)| seen.at).map(|(key, _)| key.clone())
        {
            self.seen.remove(&oldest);
        }
        self.seen.entry(key).or_default().take(number, now)
    }

    /// What to do with a notice that `channel` takes: `Some`: it is told at once. `length`: of the window, in seconds.
    pub fn offer(&mut self, channel: &str, length: i64, one: One, is_old: bool, now: i64) -> Option<One> {
        let windows = self.windows.entry(channel.to_string()).or_default();
        let key = format!("{} {} {}", one.get("person"), one.get("event"), one.get("reason"));
        let is_full = windows.len() >= MOST_WINDOWS;
        match windows.get_mut(&key) {
            Some(window) if window.until > now || window.many.is_some() || is_old => {
                // A clock that was set back would make it last.
                window.until = window.until.min(now.saturating_add(length));
                match &mut window.many {
                    Some(many) => many.add(&one),
                    None => window.many = Some(Many::of(&one)),
                }
                None
            }
            _ if is_full => Some(one),
            // What comes late is told as one, as soon as all that came late was read.
            _ if is_old => {
                windows.insert(key, Window { until: now, many: Some(Many::of(&one)) });
                None
            }
            _ => {
                windows.insert(key, Window { until: now.saturating_add(length), many: None });
                Some(one)
            }
        }
    }

    /// What `channel` is told now of what happened in windows that have ended. Whoever was told has a new window.
    pub fn ended(&mut self, channel: &str, length: i64, now: i64) -> Vec<Many> {
        let Some(windows) = self.windows.get_mut(channel) else { return vec![] };
        let mut told = Vec::new();
        windows.retain(|_, window| {
            if window.until > now {
                return true;
            }
            let Some(many) = window.many.take() else { return false };
            told.push(many);
            window.until = now.saturating_add(length);
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
    /// Takes this number; was it new? What is 64 behind the highest came long ago.
    fn take(&mut self, number: u64, now: i64) -> bool {
        self.at = now;
        if number > self.last {
            let by = number - self.last;
            self.bits = if by < 64 { self.bits << by } else { 0 } | 1;
            self.last = number;
            return true;
        }
        let behind = self.last - number;
        let bit = if behind < 64 { 1_u64 << behind } else { return false };
        let is_new = self.bits & bit == 0;
        self.bits |= bit;
        is_new
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

    #[test]
    fn a_number_counts_once() {
        let mut seen = Seen::default();
        for (number, is_new) in [
            (5, true),
            (5, false),
            (4, true),
            (70, true),
            (7, true),
            (7, false),
            (6, false),
            (70, false),
            (71, true),
        ] {
            assert_eq!(seen.take(number, 0), is_new, "{number}");
        }
        let mut state = State::default();
        let numbered = |number: &str| {
            let mut one = one("a", "alice", "db1");
            one.fields.insert("number".into(), number.into());
            one.fields.insert("boot".into(), "b".into());
            one
        };
        assert!(state.is_new(Path::new("/srv/10.0.0.7"), &numbered("1"), 0));
        assert!(!state.is_new(Path::new("/srv/10.0.0.7"), &numbered("1"), 0));
        assert!(state.is_new(Path::new("/srv/10.0.0.8"), &numbered("1"), 0), "no host speaks for another");
        assert!(state.is_new(Path::new("/srv/10.0.0.7"), &one("a", "alice", "db1"), 0), "without a number");
    }

    #[test]
    fn a92_five_hundred_hosts_at_once_are_one_message_and_one_digest() {
        let mut state = State::default();
        let mut told = Vec::new();
        for number in 0..500 {
            told.extend(state.offer(
                "c",
                600,
                one(&number.to_string(), "alice", &format!("web{number}")),
                false,
                100,
            ));
        }
        assert_eq!(told.len(), 1);
        assert_eq!(
            state.offer("c", 600, one("x", "bob", "db1"), false, 100).map(|one| one.id),
            Some("x".into())
        );
        assert!(state.ended("c", 600, 699).is_empty());
        assert_eq!(state.next_end(), Some(700));
        let digests = state.ended("c", 600, 700);
        assert_eq!((digests.len(), digests[0].count, digests[0].hosts.count()), (1, 499, (499, false)));
        // The window goes on, and ends when nothing more came.
        assert_eq!(state.offer("c", 600, one("y", "alice", "db1"), false, 800), None);
        assert_eq!(state.ended("c", 600, 1300).len(), 1);
        assert!(state.ended("c", 600, 1900).is_empty() && state.next_end().is_none());
        assert!(state.offer("c", 600, one("z", "alice", "db1"), false, 1900).is_some());
    }

    #[test]
    fn what_comes_late_is_one_digest_and_a_clock_set_back_ends_no_news() {
        let mut state = State::default();
        for number in 0..50 {
            assert_eq!(state.offer("c", 600, one(&number.to_string(), "alice", "db1"), true, 5_000), None);
        }
        let digests = state.ended("c", 600, 5_000);
        assert_eq!(digests.iter().map(|many| many.count).collect::<Vec<_>>(), [50]);
        assert_eq!(Notice::Many(digests[0].clone()).person(), "alice");
        assert_eq!(state.offer("c", 600, one("a", "alice", "db1"), false, 100), None);
        assert_eq!(state.next_end(), Some(700));
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(State::load(directory.path()), Ok(None));
        let mut state = State { next: 7, ..State::default() };
        assert!(state.offer("c", 600, one("a", "alice", "db1"), false, 100).is_some());
        state.offer("c", 600, one("b", "alice", "db2"), false, 100);
        state.save(directory.path()).unwrap();
        assert_eq!(State::load(directory.path()), Ok(Some(state)));
        fs::write(file(directory.path()), "{}").unwrap();
        assert!(State::load(directory.path()).is_err());
    }
}
