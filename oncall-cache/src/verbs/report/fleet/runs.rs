//! Which numbers of a boot are there, and when it was heard: as runs without a hole, so that five million records take the
//! room of their holes.

use policy::{Span, Timestamp};

use crate::verbs::report::numbers::Numbered;

/// The most runs of one boot: each is a hole in its record.
const MOST_RUNS: usize = 4_096;

/// Records with no number missing between the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub first: Numbered,
    pub last: Numbered,
}

/// What became of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    New,
    /// It was there.
    Twice,
    /// There are so many holes that no more are kept.
    NoRoom,
}

/// The numbers that are there, in whatever order they came.
#[derive(Debug, Default)]
pub struct Numbers {
    runs: Vec<Run>,
}

impl Numbers {
    /// One more; `room` is how many more runs may be kept in all.
    pub fn take(&mut self, one: Numbered, room: &mut usize) -> Taken {
        let next = self.runs.partition_point(|run| run.first.number <= one.number);
        let after = self.runs.get(next).copied();
        let joins_after = after.filter(|after| one.number.checked_add(1) == Some(after.first.number));
        let before = next.checked_sub(1).and_then(|index| self.runs.get_mut(index));
        match before {
            Some(before) if before.last.number >= one.number => return Taken::Twice,
            Some(before) if before.last.number.checked_add(1) == Some(one.number) => {
                before.last = joins_after.map_or(one, |after| after.last);
                if joins_after.is_some() {
                    self.runs.remove(next);
                    *room += 1;
                }
                return Taken::New;
            }
            _ => {}
        }
        let is_full = *room == 0 || self.runs.len() == MOST_RUNS;
        match self.runs.get_mut(next).filter(|_| joins_after.is_some()) {
            Some(after) => after.first = one,
            None if is_full => return Taken::NoRoom,
            None => {
                *room -= 1;
                self.runs.insert(next, Run { first: one, last: one });
            }
        }
        Taken::New
    }

    /// In order of their numbers.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }
}

/// From when to when heartbeats came, none much later than the one before it.
#[derive(Debug, Default)]
pub struct Beats {
    spells: Vec<(Timestamp, Timestamp)>,
}

impl Beats {
    /// One more, which belongs to another if there are no more than `silent` between them.
    pub fn take(&mut self, at: Timestamp, silent: Span, room: &mut usize) {
        let next = self.spells.partition_point(|(first, _)| *first <= at);
        let after = self.spells.get(next).copied().filter(|(first, _)| first.minus(silent) <= at);
        let before = next.checked_sub(1).and_then(|index| self.spells.get_mut(index));
        if let Some(before) = before.filter(|(_, last)| at <= last.plus(silent)) {
            before.1 = before.1.max(at);
            if let Some((_, last)) = after {
                before.1 = before.1.max(last);
                self.spells.remove(next);
                *room += 1;
            }
            return;
        }
        let is_full = *room == 0 || self.spells.len() == MOST_RUNS;
        match self.spells.get_mut(next).filter(|_| after.is_some()) {
            Some(after) => after.0 = at,
            None if is_full => {}
            None => {
                *room -= 1;
                self.spells.insert(next, (at, at));
            }
        }
    }

    pub fn last(&self) -> Option<Timestamp> {
        self.spells.last().map(|(_, last)| *last)
    }

    /// From when to when there was none for longer than `silent`, between `first` and `last`, at which the host was there.
    pub fn holes(&self, first: Timestamp, last: Timestamp, silent: Span) -> Vec<(Timestamp, Timestamp)> {
        let ends = std::iter::once(first).chain(self.spells.iter().map(|(_, last)| *last));
        let begins = self.spells.iter().map(|(first, _)| *first).chain([last]);
        ends.zip(begins).filter(|(end, begin)| end.plus(silent) < *begin).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutate::Dice;
    use std::collections::BTreeSet;

    fn numbered(number: u64) -> Numbered {
        Numbered { number, at: Timestamp::from_unix(i64::try_from(number).unwrap_or_default()) }
    }

    #[test]
    fn runs_are_those_of_the_numbers_that_came_in_whatever_order() {
        let mut dice = Dice(7);
        for _ in 0..300 {
            let (mut numbers, mut seen, mut room) = (Numbers::default(), BTreeSet::new(), 1_000);
            for _ in 0..dice.below(60) {
                let number = dice.below(40) as u64 + 1;
                let wanted = if seen.insert(number) { Taken::New } else { Taken::Twice };
                assert_eq!(numbers.take(numbered(number), &mut room), wanted);
            }
            let runs = numbers.runs();
            let all: Vec<u64> = runs.iter().flat_map(|run| run.first.number..=run.last.number).collect();
            assert_eq!(all, seen.into_iter().collect::<Vec<_>>());
            assert!(runs.windows(2).all(|pair| pair[0].last.number + 1 < pair[1].first.number), "{runs:?}");
            assert_eq!(room + runs.len(), 1_000);
            assert!(
                runs.iter().all(|run| [run.first, run.last].iter().all(|one| *one == numbered(one.number)))
            );
        }
    }

    #[test]
    fn whatever_numbers_somebody_wrote_take_no_more_room_than_there_is() {
        let (mut numbers, mut room) = (Numbers::default(), MOST_RUNS + 9);
        let taken: Vec<Taken> =
            (0..10_000).map(|number| numbers.take(numbered(u64::MAX - number * 2), &mut room)).collect();
        assert_eq!(taken.iter().filter(|taken| **taken == Taken::New).count(), MOST_RUNS);
        assert_eq!(numbers.take(numbered(0), &mut room), Taken::NoRoom);
        let mut none = 0;
        assert_eq!(Numbers::default().take(numbered(1), &mut none), Taken::NoRoom);
    }

    #[test]
    fn a_spell_ends_where_nothing_is_heard_for_too_long() {
        let at = Timestamp::from_unix;
        let silent = Span::seconds(10);
        let mut dice = Dice(8);
        for _ in 0..300 {
            let mut times: Vec<i64> = (0..dice.below(20) + 1).map(|_| dice.below(200) as i64).collect();
            let (mut beats, mut room) = (Beats::default(), 1_000);
            times.iter().for_each(|time| beats.take(at(*time), silent, &mut room));
            times.sort_unstable();
            times.insert(0, 0);
            times.push(200);
            let wanted = times.windows(2).filter(|pair| pair[1] - pair[0] > 10);
            let wanted: Vec<_> = wanted.map(|pair| (at(pair[0]), at(pair[1]))).collect();
            assert_eq!(beats.holes(at(0), at(200), silent), wanted, "{times:?}");
        }
    }
}
