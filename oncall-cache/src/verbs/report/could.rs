//! Who could become root: the shifts that the syncs saw come and go.

use std::collections::BTreeMap;

use policy::{Timestamp, Window, stretches};
use serde::Deserialize;

use super::period::Period;
use crate::lines::Files;

/// The most bytes of shifts that are kept: some 15,000 of them.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A line of history.jsonl.
#[derive(Debug, Deserialize)]
struct Change {
    version: u32,
    change: String,
    seen: String,
    #[serde(default)]
    schedule: String,
    #[serde(default)]
    person: String,
    #[serde(default)]
    level: u8,
    #[serde(default)]
    start: String,
    #[serde(default)]
    end: String,
    #[serde(default)]
    eligible: bool,
}

/// One person's shift.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    person: String,
    schedule: String,
    level: u8,
    start: Timestamp,
    end: Timestamp,
    eligible: bool,
}

/// From when to when somebody could become root, as this host knew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Who.
    pub person: String,
    /// By which schedule.
    pub schedule: String,
    /// Escalation level.
    pub level: u8,
}

/// Who could, in order of time.
#[derive(Debug, Default)]
pub struct Could {
    pub rights: Vec<Right>,
    /// How often the configuration changed.
    pub policies: usize,
}

impl Could {
    /// Reads the history.
    pub fn read(files: Files, period: Period, gaps: &mut Vec<String>) -> Self {
        let mut replay =
            Replay { period, known: BTreeMap::new(), could: Self::default(), bytes: 0, unread: 0, lost: 0 };
        files.each(gaps, |line| replay.take(line));
        let Replay { known, mut could, unread, lost, .. } = replay;
        for (claim, seen) in known {
            could.keep(period, &claim, seen, claim.end);
        }
        could.rights.sort();
        could.rights.dedup();
        if unread > 0 {
            gaps.push(format!("{unread} lines of the history could not be read"));
        }
        if lost > 0 {
            gaps.push(format!("{lost} changes of the history are too many; ask for a shorter time"));
        }
        could
    }

    /// The same for people: what one person has of one schedule and level without a gap, as one.
    pub fn stretches(&self) -> Vec<Right> {
        let mut alike: BTreeMap<(&str, &str, u8), Vec<Window>> = BTreeMap::new();
        for right in &self.rights {
            let windows = alike.entry((&right.person, &right.schedule, right.level)).or_default();
            windows.extend(Window::new(right.from, right.to));
        }
        let of_one = |((person, schedule, level), windows): ((&str, &str, u8), Vec<Window>)| {
            let (person, schedule) = (person.to_string(), schedule.to_string());
            stretches(windows).into_iter().map(move |window| {
                let (person, schedule) = (person.clone(), schedule.clone());
                Right { from: window.start(), to: window.end(), person, schedule, level }
            })
        };
        let mut all: Vec<Right> = alike.into_iter().flat_map(of_one).collect();
        all.sort();
        all
    }

    /// A right counts from when this host knew of it.
    fn keep(&mut self, period: Period, claim: &Claim, seen: Timestamp, to: Timestamp) {
        let Claim { person, schedule, level, start, end, eligible } = claim.clone();
        let (from, to) = (start.max(seen).max(period.since), end.min(to).min(period.until));
        if eligible && from < to {
            self.rights.push(Right { from, to, person, schedule, level });
        }
    }
}

/// What has been read so far.
struct Replay {
    period: Period,
    /// Shifts that are in force, with the instant at which they were first seen.
    known: BTreeMap<Claim, Timestamp>,
    could: Could,
    /// What they take in memory, with the rights that are over.
    bytes: usize,
    unread: u64,
    lost: u64,
}

impl Claim {
    /// What it takes, in force or as a right afterwards.
    fn bytes(&self) -> usize {
        2 * size_of::<Self>() + self.person.len() + self.schedule.len()
    }
}

impl Replay {
    fn take(&mut self, line: Option<&str>) {
        let change: Option<Change> = line.and_then(|line| serde_json::from_str(line).ok());
        let seen = change.as_ref().and_then(|change| instant(&change.seen));
        let (Some(change), Some(seen)) = (change.filter(|change| change.version == 1), seen) else {
            self.unread += 1;
            return;
        };
        if change.change == "policy" {
            self.could.policies += usize::from(self.period.contains(seen));
            return;
        }
        let (Some(start), Some(end)) = (instant(&change.start), instant(&change.end)) else {
            self.unread += 1;
            return;
        };
        let Change { person, schedule, level, eligible, .. } = change;
        let claim = Claim { person, schedule, level, start, end, eligible };
        match change.change.as_str() {
            _ if end <= self.period.since || seen >= self.period.until => {}
            "gained" if self.known.contains_key(&claim) => {}
            "gained" if self.bytes + claim.bytes() <= MOST_BYTES => {
                self.bytes += claim.bytes();
                self.known.insert(claim, seen);
            }
            "lost" => {
                if let Some(gained) = self.known.remove(&claim) {
                    self.could.keep(self.period, &claim, gained, seen);
                }
            }
            "gained" => self.lost += 1,
            _ => self.unread += 1,
        }
    }
}

/// An instant as history.jsonl writes it; shifts without an end have `never`.
fn instant(text: &str) -> Option<Timestamp> {
    match text {
        "always" => Some(Timestamp::MIN),
        "never" => Some(Timestamp::MAX),
        text => Timestamp::parse(text),
    }
}
