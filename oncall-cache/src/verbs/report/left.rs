//! Shifts that did not count, because files of `[[policy.rego]]` left them out: as the syncs have written it down.

use std::collections::BTreeMap;

use policy::{LeftBy, Timestamp};

use super::could::{Claim, instant};
use super::period::Period;

/// The most that are kept.
const MOST: usize = 10_000;

/// From when to when a shift did not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// From when on, as far as this host knew.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Whose it was.
    pub person: String,
    /// Of which schedule.
    pub schedule: String,
    /// Escalation level.
    pub level: u8,
    /// The file.
    pub by: String,
    /// Why: a [word](LeftBy::word).
    pub why: String,
}

impl Left {
    /// What the history says of a shift.
    pub(super) fn of(claim: &Claim, from: &str, by: String, why: String) -> Option<Self> {
        let Claim { person, schedule, level, end, .. } = claim;
        let from = instant(from).filter(|from| from < end)?;
        let (person, schedule) = (person.clone(), schedule.clone());
        Some(Self { from, to: *end, person, schedule, level: *level, by, why })
    }

    /// Why, for people.
    pub fn why_in_words(&self) -> String {
        LeftBy::of_word(&self.why).map_or_else(|| self.why.clone(), |why| why.to_string())
    }

    /// What of it is in `period`, where it was so from `since` to `until`.
    fn within(self, period: Period, since: Timestamp, until: Timestamp) -> Option<Self> {
        let from = self.from.max(since).max(period.since);
        let to = self.to.min(until).min(period.until);
        (from < to).then_some(Self { from, to, ..self })
    }
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// What is left out, with the instant at which it was first seen.
    known: BTreeMap<Left, Timestamp>,
    /// What was, from when to when.
    over: Vec<(Left, Timestamp, Timestamp)>,
    surplus: u64,
}

impl LeftOut {
    /// It is left out from `seen` on.
    pub(super) fn add(&mut self, left: Left, seen: Timestamp) {
        if self.known.len() + self.over.len() < MOST {
            self.known.entry(left).or_insert(seen);
        } else {
            self.surplus += 1;
        }
    }

    /// It is no more.
    pub(super) fn end(&mut self, left: Left, seen: Timestamp) {
        let since = self.known.remove(&left);
        self.over.extend(since.map(|since| (left, since, seen)));
    }

    /// All that was in `period`, in order of time; and how many changes were too many, with those that were before.
    pub(super) fn told(self, period: Period, surplus: u64) -> (Vec<Left>, u64) {
        let known = self.known.into_iter().map(|(left, since)| (left, since, Timestamp::MAX));
        let all = self.over.into_iter().chain(known);
        let mut told: Vec<Left> =
            all.filter_map(|(left, since, until)| left.within(period, since, until)).collect();
        told.sort();
        told.dedup();
        (told, surplus + self.surplus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_unix(1_793_610_000 + minute * 60)
    }

    fn left(from: i64, to: i64) -> Left {
        Left {
            from: at(from),
            to: at(to),
            person: "bob".into(),
            schedule: "rota/a".into(),
            level: 1,
            by: "/etc/authkeys/a.rego".into(),
            why: "ttl".into(),
        }
    }

    #[test]
    fn a_shift_did_not_count_as_long_as_this_host_left_it_out() {
        let period = Period { since: at(0), until: at(100) };
        let mut left_out = LeftOut::default();
        // Seen before it begins, and until its end; seen later than that, and taken back; before the period; after it.
        left_out.add(left(10, 20), at(5));
        left_out.add(left(30, 60), at(40));
        left_out.end(left(30, 60), at(50));
        left_out.add(left(-20, 0), at(-30));
        left_out.add(left(90, 120), at(5));
        left_out.add(left(100, 120), at(5));
        // What was never said is not taken back.
        left_out.end(left(70, 80), at(75));
        let (told, surplus) = left_out.told(period, 2);
        let expected = [(10, 20), (40, 50), (90, 100)].map(|(from, to)| left(from, to));
        assert_eq!((told, surplus), (expected.to_vec(), 2));
        assert_eq!(left(0, 1).why_in_words(), "ended earlier");
    }

    #[test]
    fn too_many_are_counted() {
        let mut left_out = LeftOut::default();
        (0..MOST as i64 + 3).for_each(|minute| left_out.add(left(minute, minute + 1), at(0)));
        let (told, surplus) = left_out.told(Period { since: at(0), until: at(100) }, 0);
        assert_eq!((told.len(), surplus), (100, 3));
    }
}
