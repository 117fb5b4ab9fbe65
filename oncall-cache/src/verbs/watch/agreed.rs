//! What two runs agree on.

use policy::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// How long what is new waits for dpkg or rpm to end.
const LONGEST_UPGRADE: Span = Span::minutes(30);

/// What one run found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its token.
    pub id: String,
    /// As doctor prints it.
    pub severity: String,
    /// The file; empty, where there is none.
    pub place: String,
    /// In words; with ages in it, so that it differs from run to run.
    pub what: String,
}

impl Seen {
    /// The same thing: of the words all count but those that begin with a digit, which are ages and times.
    fn is(&self, other: &Self) -> bool {
        let words = |seen: &'_ Self| -> Vec<String> {
            let lasting = |word: &&str| !word.starts_with(|letter: char| letter.is_ascii_digit());
            seen.what.split_whitespace().filter(lasting).map(str::to_string).collect()
        };
        (&self.id, &self.severity, &self.place) == (&other.id, &other.severity, &other.place)
            && words(self) == words(other)
    }
}

/// What was found, by this run or those before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    #[serde(flatten)]
    seen: Seen,
    /// Since when it is as it is, there or gone: seconds since the epoch.
    since: i64,
    /// Have two runs found it?
    counts: bool,
    /// Did the last run find it?
    is_there: bool,
}

/// What counts now, and what does not yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    known: Vec<Known>,
}

/// What two runs agree on, and did not before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is there.
    Found(Seen),
    /// It is gone.
    Mended(Seen),
}

impl Watched {
    /// Takes in what the run at `now` found. While programs `are_packages_at_work` on the host, what is new does not count
    /// yet, and what is gone still does.
    pub fn see(&mut self, seen: &[Seen], now: Timestamp, are_packages_at_work: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        let waits = |since: i64| {
            let since = Timestamp::from_unix(since);
            // By a clock that was set back it does not wait longer.
            are_packages_at_work && since <= now && now.since(since) < LONGEST_UPGRADE
        };
        let before = std::mem::take(&mut self.known);
        for seen in seen {
            if self.known.iter().any(|known| known.seen.is(seen)) {
                continue;
            }
            let known = before.iter().find(|known| known.seen.is(seen));
            let since = known.filter(|known| known.is_there).map_or(now.unix(), |known| known.since);
            let did_count = known.is_some_and(|known| known.counts);
            let is_again = known.is_some_and(|known| known.is_there);
            let counts = did_count || is_again && !waits(since);
            if counts && !did_count {
                changes.push(Change::Found(seen.clone()));
            }
            self.known.push(Known { seen: seen.clone(), since, counts, is_there: true });
        }
        for known in before.into_iter().filter(|known| known.counts) {
            if self.known.iter().any(|there| there.seen.is(&known.seen)) {
                continue;
            }
            let since = if known.is_there { now.unix() } else { known.since };
            if known.is_there || waits(since) {
                self.known.push(Known { since, is_there: false, ..known });
            } else {
                changes.push(Change::Mended(known.seen));
            }
        }
        changes
    }

    /// Do the last two runs agree?
    pub fn is_decided(&self) -> bool {
        self.known.iter().all(|known| known.counts == known.is_there)
    }

    /// What counts: token, severity, and how often.
    pub fn counting(&self) -> Vec<(&str, &str, usize)> {
        let mut counts: Vec<(&str, &str, usize)> = Vec::new();
        for Known { seen, .. } in self.known.iter().filter(|known| known.counts) {
            match counts.iter_mut().find(|(id, severity, _)| (*id, *severity) == (&seen.id, &seen.severity)) {
                Some((_, _, count)) => *count += 1,
                None => counts.push((&seen.id, &seen.severity, 1)),
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: &str, what: &str) -> Seen {
        let [id, severity, what] = [id, "open", what].map(String::from);
        Seen { id, severity, place: String::new(), what }
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_unix(1_795_165_200 + 60 * minutes)
    }

    /// What is told: `+` found, `-` mended.
    fn told(changes: &[Change]) -> Vec<String> {
        let one = |change: &Change| match change {
            Change::Found(seen) => format!("+{}", seen.id),
            Change::Mended(seen) => format!("-{}", seen.id),
        };
        changes.iter().map(one).collect()
    }

    #[test]
    fn a97_two_runs_have_to_agree_that_something_is_there_or_gone() {
        let mut watched = Watched::default();
        let mut run = |minute, seen: &[Seen]| {
            let changes = watched.see(seen, at(minute), false);
            (told(&changes), watched.is_decided(), watched.counting().len())
        };
        let none = Vec::<String>::new;
        assert_eq!(run(0, &[]), (none(), true, 0));
        assert_eq!(run(1, &[seen("key", "1m ago")]), (none(), false, 0), "once");
        assert_eq!(run(2, &[]), (none(), true, 0), "somebody was at it");
        assert_eq!(run(3, &[seen("key", "1m ago")]), (none(), false, 0));
        assert_eq!(run(4, &[seen("key", "2m ago")]), (vec!["+key".to_string()], true, 1));
        assert_eq!(run(5, &[seen("key", "3m ago"), seen("key", "4m ago")]), (none(), true, 1));
        let more = [seen("key", "3m ago"), seen("key", "mallory in group docker")];
        assert!(!run(5, &more).1, "one more of its kind");
        assert_eq!(run(5, &more), (vec!["+key".to_string()], true, 1));
        assert!(!run(5, &more[..1]).1);
        assert_eq!(run(5, &more[..1]).0, ["-key"]);
        assert_eq!(run(6, &[]), (none(), false, 1), "perhaps gone");
        assert_eq!(run(7, &[seen("key", "5m ago")]), (none(), true, 1), "it was not");
        assert_eq!(run(8, &[]), (none(), false, 1));
        assert_eq!(run(9, &[]), (vec!["-key".to_string()], true, 0));
    }

    #[test]
    fn a97_an_upgrade_is_waited_for_half_an_hour() {
        let mut watched = Watched::default();
        assert_eq!(told(&watched.see(&[seen("old", "")], at(-2), false)), [""; 0]);
        assert_eq!(told(&watched.see(&[seen("old", "")], at(-1), false)), ["+old"]);
        for minute in 0..30 {
            assert_eq!(told(&watched.see(&[seen("new", "")], at(minute), true)), [""; 0], "{minute}");
            assert_eq!(watched.counting(), [("old", "open", 1)]);
        }
        let mut ended = watched.clone();
        assert_eq!(told(&ended.see(&[seen("new", "")], at(10), false)), ["+new", "-old"], "the upgrade ends");
        assert_eq!(told(&watched.see(&[seen("new", "")], at(30), true)), ["+new", "-old"]);
        assert!(watched.is_decided());
        // A clock that was set back by a day makes nobody wait for a day.
        let mut set_back = Watched::default();
        let _ = set_back.see(&[seen("new", "")], at(2_000), true);
        assert_eq!(told(&set_back.see(&[seen("new", "")], at(0), true)), ["+new"]);
    }
}
