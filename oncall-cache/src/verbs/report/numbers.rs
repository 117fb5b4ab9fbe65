//! Which of the records' numbers are missing: what could not be written, or was taken out.

use std::collections::BTreeSet;

use host::output::agreed;
use policy::Timestamp;

/// How much later than its successors a record may be written: two logins at once.
const LATEST: u64 = 256;

/// The most places that are told at which some are missing.
const MOST_PLACES: usize = 5;

/// A record by its number, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    pub number: u64,
    pub at: Timestamp,
}

/// Records that are missing between two that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    after: Numbered,
    before: Numbered,
    /// The numbers that are not there: from the first up to, not including, the second.
    from: u64,
    to: u64,
    missing: u64,
}

/// The numbers so far.
#[derive(Debug, Default)]
pub struct Numbers {
    last: Option<Numbered>,
    /// Those that may still come.
    holes: BTreeSet<u64>,
    places: Vec<Place>,
    /// What is missing elsewhere.
    others: u64,
}

impl Numbers {
    /// The next record.
    pub fn take(&mut self, record: Numbered) {
        let number = record.number;
        let Some(last) = self.last else {
            // What was before the oldest file is not known, and not missing.
            self.last = Some(record);
            return;
        };
        if number > last.number {
            self.skip(last.number + 1, last, record);
        } else if self.holes.remove(&number) {
            self.fill(number);
            return;
        } else {
            // They begin again at 1 when the host boots.
            self.holes.clear();
            self.skip(1, last, record);
        }
        self.last = Some(record);
        self.holes = self.holes.split_off(&number.saturating_sub(LATEST));
    }

    /// From this number on they are not there, so far.
    fn skip(&mut self, from: u64, after: Numbered, before: Numbered) {
        let (to, missing) = (before.number, before.number.saturating_sub(from));
        self.holes.extend(from.max(to.saturating_sub(LATEST))..to);
        if missing > 0 {
            self.places.retain(|place| place.missing > 0);
            match self.places.len() < MOST_PLACES {
                true => self.places.push(Place { after, before, from, to, missing }),
                false => self.others = self.others.saturating_add(missing),
            }
        }
    }

    /// One that came late.
    fn fill(&mut self, number: u64) {
        // The last: an earlier one may be of the same numbers, before a boot.
        let place = self.places.iter_mut().rev().find(|place| (place.from..place.to).contains(&number));
        let missing = place.map_or(&mut self.others, |place| &mut place.missing);
        *missing = missing.saturating_sub(1);
    }

    /// Between which instants some are missing, as far as the places are told.
    pub fn between(&self) -> Vec<(Timestamp, Timestamp)> {
        let places = self.places.iter().filter(|place| place.missing > 0);
        // A clock may have been set back in between.
        places.map(|it| (it.after.at.min(it.before.at), it.after.at.max(it.before.at))).collect()
    }

    /// The missing ones, a line for each place.
    pub fn told(&self) -> Vec<String> {
        let places = self.places.iter().filter(|place| place.missing > 0);
        let mut told: Vec<String> = places
            .map(|Place { after, before, missing, .. }| {
                let boot = if before.number <= after.number { ", after a boot" } else { "" };
                format!(
                    "{} missing between number {} ({}) and number {} ({}{boot}): {}",
                    agreed(*missing, "record is", "records are"),
                    after.number,
                    after.at,
                    before.number,
                    before.at,
                    why(*missing)
                )
            })
            .collect();
        if self.others > 0 {
            let missing = agreed(self.others, "more record is", "more records are");
            told.push(format!("{missing} missing in between: {}", why(self.others)));
        }
        told
    }
}

/// What may have become of so many.
fn why(missing: u64) -> &'static str {
    match missing {
        1 => "it could not be written, or was removed",
        _ => "they could not be written, or were removed",
    }
}

/// How many records were numbered since the boot: before the file was read, and afterwards.
#[derive(Debug, Clone, Copy)]
pub struct RecordCount {
    pub before: u64,
    pub after: u64,
}

/// Records that are missing behind the last one that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    pub missing: u64,
    pub text: String,
}

impl RecordCount {
    /// What is missing behind `last`. Whatever was numbered before the file was read was to be in it.
    pub fn behind(&self, last: Option<Numbered>) -> Option<Behind> {
        let Self { before, after } = *self;
        let (missing, end) = match last {
            None => (before, "and none is there".to_string()),
            Some(Numbered { number, at }) if number <= after => {
                let end = format!("and the last one that is there is number {number} ({at})");
                (before.saturating_sub(number), end)
            }
            // The count began anew with the boot.
            Some(Numbered { number, at }) => {
                (before, format!("and the last one that is there, number {number} ({at}), is from before it"))
            }
        };
        let missed = match missing {
            1 => "the last record is missing".to_string(),
            _ => format!("the last {missing} records are missing"),
        };
        let counted = agreed(before, "was", "were");
        let text = format!("{missed}: {counted} counted since the boot, {end}");
        (missing > 0).then_some(Behind { missing, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(list: &[u64]) -> Numbers {
        let mut numbers = Numbers::default();
        for (at, number) in (0..).zip(list) {
            numbers.take(Numbered { number: *number, at: Timestamp::from_unix(at) });
        }
        numbers
    }

    fn missing(list: &[u64]) -> u64 {
        let numbers = numbers(list);
        numbers.places.iter().fold(numbers.others, |sum, place| sum.saturating_add(place.missing))
    }

    #[test]
    fn whatever_numbers_somebody_wrote_end_nothing() {
        assert_eq!(missing(&[u64::MAX, 9, u64::MAX, 0, u64::MAX, 3]), u64::MAX);
        let many: Vec<u64> = (0..1_000).map(|number| number * 2).collect();
        assert_eq!((missing(&many), numbers(&many).told().len()), (999, MOST_PLACES + 1));
    }

    #[test]
    fn holes_are_missing_and_late_ones_and_restarts_are_not() {
        assert_eq!(missing(&[7, 8, 9]), 0);
        assert_eq!(missing(&[1, 3, 2, 4, 6, 7, 5]), 0, "written in another order");
        assert_eq!(missing(&[1, 2, 5, 6]), 2);
        assert_eq!(missing(&[8, 9, 1, 2]), 0);
        assert_eq!(missing(&[8, 9, 3]), 2);
        assert_eq!(missing(&[8, 9, 2, 1, 3]), 0);
        assert_eq!(missing(&[1, 1_000_000, 1_000_001]), 999_998);
    }

    #[test]
    fn where_some_are_missing_is_told() {
        const WHY: &str = "it could not be written, or was removed";
        let at = |seconds: u32| format!("1970-01-01T00:00:0{seconds}Z");
        assert_eq!(
            numbers(&[4, 7, 6, 1, 3]).told(),
            [
                format!("1 record is missing between number 4 ({}) and number 7 ({}): {WHY}", at(0), at(1)),
                format!("1 record is missing between number 1 ({}) and number 3 ({}): {WHY}", at(3), at(4)),
            ]
        );
        let instants = |from, to| (Timestamp::from_unix(from), Timestamp::from_unix(to));
        assert_eq!(numbers(&[4, 7, 6, 1, 3]).between(), [instants(0, 1), instants(3, 4)]);
        assert_eq!(
            numbers(&[9, 2]).told(),
            [format!(
                "1 record is missing between number 9 ({}) and number 2 ({}, after a boot): {WHY}",
                at(0),
                at(1)
            )]
        );
    }

    #[test]
    fn the_last_ones_are_missing_if_more_were_counted() {
        let last = |number| Some(Numbered { number, at: Timestamp::from_unix(0) });
        let missing = |before, after, last| {
            let behind = RecordCount { before, after }.behind(last);
            behind.map_or(0, |behind| {
                let begin = match (behind.missing, before) {
                    (1, 1) => "the last record is missing: 1 was counted".to_string(),
                    (1, _) => format!("the last record is missing: {before} were counted"),
                    (more, _) => format!("the last {more} records are missing: {before} were counted"),
                };
                assert!(behind.text.starts_with(&begin), "{}", behind.text);
                behind.missing
            })
        };
        assert_eq!(missing(7, 7, last(7)), 0);
        assert_eq!(missing(7, 9, last(9)), 0, "written meanwhile");
        assert_eq!(missing(0, 0, None), 0);
        assert_eq!(missing(7, 7, last(5)), 2);
        assert_eq!(missing(7, 7, last(6)), 1);
        assert_eq!((missing(7, 7, None), missing(1, 1, None)), (7, 1));
        assert_eq!(missing(3, 3, last(812)), 3, "all since the boot");
    }
}
