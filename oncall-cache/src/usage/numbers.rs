//! Which of the records' numbers are missing: what could not be written, or was taken out.

use std::collections::BTreeSet;

/// How much later than its successors a record may be written: two logins at once.
const LATEST: u64 = 256;

/// The numbers so far.
#[derive(Debug, Default)]
pub struct Numbers {
    last: Option<u64>,
    /// Those that may still come.
    holes: BTreeSet<u64>,
    missing: u64,
}

impl Numbers {
    /// The next record has this number.
    pub fn take(&mut self, number: u64) {
        let Some(last) = self.last else {
            // What was before the oldest file is not known, and not missing.
            self.last = Some(number);
            return;
        };
        if number > last {
            self.skip(last + 1, number);
        } else if self.holes.remove(&number) {
            self.missing = self.missing.saturating_sub(1);
            return;
        } else {
            // They begin again at 1 when the host boots.
            self.holes.clear();
            self.skip(1, number);
        }
        self.last = Some(number);
        self.holes = self.holes.split_off(&number.saturating_sub(LATEST));
    }

    /// These are not there, so far.
    fn skip(&mut self, from: u64, to: u64) {
        self.missing = self.missing.saturating_add(to.saturating_sub(from));
        self.holes.extend(from.max(to.saturating_sub(LATEST))..to);
    }

    /// How many are missing.
    pub fn missing(&self) -> u64 {
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_numbers_somebody_wrote_end_nothing() {
        let mut numbers = Numbers::default();
        [u64::MAX, 9, u64::MAX, 0, u64::MAX, 3].into_iter().for_each(|number| numbers.take(number));
        assert_eq!(numbers.missing(), u64::MAX);
    }

    #[test]
    fn holes_are_missing_and_late_ones_and_restarts_are_not() {
        let told = |list: &[u64]| {
            let mut numbers = Numbers::default();
            list.iter().for_each(|&number| numbers.take(number));
            numbers.missing()
        };
        assert_eq!(told(&[7, 8, 9]), 0);
        assert_eq!(told(&[1, 3, 2, 4, 6, 7, 5]), 0, "written in another order");
        assert_eq!(told(&[1, 2, 5, 6]), 2);
        assert_eq!(told(&[8, 9, 1, 2]), 0);
        assert_eq!(told(&[8, 9, 3]), 2);
        assert_eq!(told(&[8, 9, 2, 1, 3]), 0);
        assert_eq!(told(&[1, 1_000_000, 1_000_001]), 999_998);
    }
}
