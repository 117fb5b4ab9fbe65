//! Who could become root: the shifts that the syncs saw come and go.

use std::collections::BTreeMap;

use policy::{NOTICE, Timestamp, Window, stretches};
use serde::Deserialize;

use super::left::{Left, LeftOut};
use super::period::Period;
use crate::lines::{Files, Input};

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
    #[serde(default)]
    from: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    why: String,
}

/// One person's shift.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) person: String,
    pub(super) schedule: String,
    pub(super) level: u8,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
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

/// The most late shifts, and the most changes of the configuration, of which it is told when they were.
const MOST_TOLD: usize = 1_000;

/// A shift of which this host learned less than a quarter of an hour before it began, or after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// When.
    pub seen: Timestamp,
    /// What was new.
    pub right: Right,
}

/// Who could, in order of time.
#[derive(Debug, Default)]
pub struct Could {
    pub rights: Vec<Right>,
    /// How often the configuration changed.
    pub policies: usize,
    /// When it did, the first times.
    pub policy_changes: Vec<Timestamp>,
    /// When it last did, of all that was read.
    pub configured: Option<Timestamp>,
    /// Shifts that were late, the first ones.
    pub late: Vec<Late>,
    /// What of shifts did not count, because files of `[[policy.rego]]` said so; in order of time.
    pub left_out: Vec<Left>,
    /// What was read.
    pub inputs: Vec<Input>,
}

impl Could {
    /// Reads the history.
    pub fn read(files: Files, period: Period, gaps: &mut Vec<String>) -> Self {
        let mut replay = Replay {
            period,
            known: BTreeMap::new(),
            first: None,
            just_lost: Vec::new(),
            left_out: LeftOut::default(),
            could: Self::default(),
            bytes: 0,
            unread: 0,
            lost: 0,
            lost_late: 0,
        };
        let inputs = files.each(gaps, |line| replay.take(line));
        let Replay { known, mut could, left_out, first, unread, mut lost, lost_late, .. } = replay;
        for (claim, seen) in known {
            could.keep(period, &claim, seen, claim.end);
        }
        could.rights.sort();
        could.rights.dedup();
        (could.left_out, lost) = left_out.told(period, lost);
        could.inputs = inputs;
        if unread > 0 {
            gaps.push(format!("{unread} lines of the history could not be read"));
        }
        if lost > 0 {
            gaps.push(format!("{lost} changes of the history are too many; ask for a shorter time"));
        }
        if lost_late > 0 {
            gaps.push(format!("{lost_late} more shifts came late than are shown; ask for a shorter time"));
        }
        if let Some(first) = first.filter(|first| *first > period.since) {
            gaps.push(format!(
                "the oldest change of the rota is from {first}; who could be root before is not known"
            ));
        }
        could
    }

    /// Has the configuration changed since `at`? Then it is not known whose shifts counted then.
    pub fn is_configured_since(&self, at: Timestamp) -> bool {
        self.configured.is_some_and(|changed| changed > at)
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
    /// When the first change was seen: all of a host that has just been set up.
    first: Option<Timestamp>,
    /// What went at the instant of the last change: a shift whose end is changed goes, and comes again.
    just_lost: Vec<(Timestamp, Claim)>,
    /// What files leave out.
    left_out: LeftOut,
    could: Could,
    /// What they take in memory, with the rights that are over.
    bytes: usize,
    unread: u64,
    lost: u64,
    /// Late shifts that are not told.
    lost_late: u64,
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
        let first = *self.first.get_or_insert(seen);
        self.just_lost.retain(|(at, _)| *at == seen);
        if change.change == "policy" {
            self.could.configured = self.could.configured.max(Some(seen));
            if self.period.contains(seen) {
                self.could.policies += 1;
                self.could.policy_changes.extend((self.could.policies <= MOST_TOLD).then_some(seen));
            }
            return;
        }
        let (Some(start), Some(end)) = (instant(&change.start), instant(&change.end)) else {
            self.unread += 1;
            return;
        };
        let Change { change, person, schedule, level, eligible, from, by, why, .. } = change;
        let claim = Claim { person, schedule, level, start, end, eligible };
        match change.as_str() {
            _ if end <= self.period.since || seen >= self.period.until => {}
            "gained" if self.known.contains_key(&claim) => {}
            "gained" if self.bytes + claim.bytes() <= MOST_BYTES => {
                self.bytes += claim.bytes();
                if seen > first {
                    self.judge_late(&claim, seen);
                }
                self.known.insert(claim, seen);
            }
            "lost" => {
                if let Some(gained) = self.known.remove(&claim) {
                    self.could.keep(self.period, &claim, gained, seen);
                    self.just_lost.push((seen, claim));
                }
            }
            "gained" => self.lost += 1,
            "left-out" | "left-in" => {
                let Some(left) = Left::of(&claim, &from, by, why) else {
                    self.unread += 1;
                    return;
                };
                if change == "left-out" {
                    self.left_out.add(left, seen);
                } else {
                    self.left_out.end(left, seen);
                    // It is no news that it counts.
                    self.just_lost.push((seen, Claim { eligible: true, ..claim }));
                }
            }
            _ => self.unread += 1,
        }
    }
}

impl Replay {
    /// Keeps what of a shift that is new at `seen` is late: what the same person had of the same schedule is not new.
    fn judge_late(&mut self, claim: &Claim, seen: Timestamp) {
        let is_same = |other: &&Claim| {
            other.eligible
                && (&other.person, &other.schedule) == (&claim.person, &claim.schedule)
                && other.level <= claim.level
        };
        let earlier = self.known.iter().filter(|(_, since)| **since < seen).map(|(other, _)| other);
        let before = earlier.chain(self.just_lost.iter().map(|(_, other)| other)).filter(is_same);
        let had = stretches(before.filter_map(|other| Window::new(other.start, other.end)));
        let new = Window::new(claim.start.max(seen), claim.end).map(|window| window.without(&had));
        let is_late = |window: &Window| window.start() < seen.plus(NOTICE);
        for window in new.into_iter().flatten().filter(is_late) {
            if !claim.eligible || !self.period.contains(seen) {
                continue;
            }
            if self.could.late.len() == MOST_TOLD {
                self.lost_late += 1;
                continue;
            }
            self.could.late.push(Late {
                seen,
                right: Right {
                    from: window.start(),
                    to: window.end(),
                    person: claim.person.clone(),
                    schedule: claim.schedule.clone(),
                    level: claim.level,
                },
            });
        }
    }
}

/// An instant as history.jsonl writes it; shifts without an end have `never`.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    match text {
        "always" => Some(Timestamp::MIN),
        "never" => Some(Timestamp::MAX),
        text => Timestamp::parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of the history: a change at 10:MINUTE of bob's shift from FROM to TO.
    fn line(change: &str, minute: u32, from: &str, to: &str) -> String {
        format!(
            "{{\"version\":1,\"change\":\"{change}\",\"seen\":\"2026-11-20T10:{minute:02}:00Z\",\"schedule\":\"rota/a\",\
             \"person\":\"bob\",\"level\":1,\"start\":\"2026-11-20T{from}:00Z\",\"end\":\"2026-11-20T{to}:00Z\",\"eligible\":true}}"
        )
    }

    /// From when to when bob's late shifts are.
    fn late(lines: &[String]) -> Vec<String> {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let period = Period { since: at("2026-11-20T00:00:00Z"), until: at("2026-11-21T00:00:00Z") };
        let mut replay = Replay {
            period,
            known: BTreeMap::new(),
            first: None,
            just_lost: Vec::new(),
            left_out: LeftOut::default(),
            could: Could::default(),
            bytes: 0,
            unread: 0,
            lost: 0,
            lost_late: 0,
        };
        lines.iter().for_each(|line| replay.take(Some(line)));
        replay.could.late.iter().map(|late| format!("{} to {}", late.right.from, late.right.to)).collect()
    }

    #[test]
    fn a_shift_is_late_that_a_host_learned_of_less_than_a_quarter_of_an_hour_before() {
        // A host that has just been set up knows nothing of before.
        let first = line("gained", 0, "09:00", "12:00");
        assert_eq!(late(std::slice::from_ref(&first)), [""; 0]);
        assert_eq!(late(&[first.clone(), line("gained", 40, "13:00", "14:00")]), [""; 0], "in time");
        assert_eq!(
            late(&[first.clone(), line("gained", 50, "11:04", "12:30")]),
            ["2026-11-20T12:00:00Z to 2026-11-20T12:30:00Z"; 0],
            "what is new begins later"
        );
        let longer =
            [first.clone(), line("lost", 30, "09:00", "12:00"), line("gained", 30, "09:00", "12:00")];
        assert_eq!(late(&longer), [""; 0], "came again");
        let back = [
            first.clone(),
            line("left-in", 50, "10:30", "11:30").replace(
                "\"eligible\"",
                "\"from\":\"2026-11-20T10:30:00Z\",\"by\":\"/f\",\"why\":\"verdict\",\"eligible\"",
            ),
            line("gained", 50, "10:30", "11:30"),
        ];
        assert_eq!(late(&back), [""; 0], "a file left it out before");
        assert_eq!(
            late(&[line("gained", 0, "20:00", "21:00"), line("gained", 50, "10:30", "11:30")]),
            ["2026-11-20T10:50:00Z to 2026-11-20T11:30:00Z"]
        );
    }
}
