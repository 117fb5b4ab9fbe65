//! How much one user may ask: so many connections at once, one judgement a second; and what root always has left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The most connections at once.
const MOST: usize = 64;

/// So many of them are root's alone.
const ROOTS: usize = 8;

/// The most connections of one user at once, who is not root.
const MOST_OF_ONE: usize = 4;

/// Between two judgements for the same one.
pub const EVERY: Duration = Duration::from_secs(1);

/// Who asks: a user, and below the door's a person.
pub type Asker = (u32, Option<String>);

/// What is asked at the moment.
#[derive(Debug, Default)]
pub struct Limits {
    open: BTreeMap<u32, usize>,
    judged: BTreeMap<Asker, Instant>,
    dropped: BTreeMap<u32, u64>,
}

impl Limits {
    /// May `uid` have one more connection? Then it has.
    pub fn open(&mut self, uid: u32) -> bool {
        let all: usize = self.open.values().sum();
        let own = self.open.entry(uid).or_default();
        let room = if uid == 0 { all < MOST } else { all < MOST - ROOTS && *own < MOST_OF_ONE };
        if room {
            *own += 1;
        } else {
            self.drop_one(uid);
        }
        self.open.retain(|_, count| *count > 0);
        room
    }

    /// It has one less.
    pub fn close(&mut self, uid: u32) {
        if let Some(own) = self.open.get_mut(&uid) {
            *own = own.saturating_sub(1);
        }
        self.open.retain(|_, count| *count > 0);
    }

    /// May there be a judgement for `asker` at `now`? Then there is.
    pub fn judge(&mut self, asker: &Asker, now: Instant) -> bool {
        self.judged.retain(|_, at| now.saturating_duration_since(*at) < EVERY);
        if self.judged.contains_key(asker) {
            self.drop_one(asker.0);
            return false;
        }
        self.judged.insert(asker.clone(), now);
        true
    }

    fn drop_one(&mut self, uid: u32) {
        *self.dropped.entry(uid).or_default() += 1;
    }

    /// How many of `uid`'s were turned away since this was asked last: for the log, which has no line for each.
    pub fn dropped(&mut self, uid: u32) -> u64 {
        self.dropped.remove(&uid).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_takes_nothing_from_others_and_all_of_them_nothing_from_root() {
        let mut limits = Limits::default();
        let taken = (0..10).filter(|_| limits.open(1000)).count();
        assert_eq!(taken, MOST_OF_ONE);
        assert!(limits.open(1001));
        let others = (2000..2100).filter(|uid| limits.open(*uid)).count();
        assert_eq!(others, MOST - ROOTS - MOST_OF_ONE - 1);
        assert_eq!((0..20).filter(|_| limits.open(0)).count(), ROOTS);
        limits.close(1000);
        limits.close(0);
        assert_eq!((0..20).filter(|_| limits.open(0)).count(), 2);
        assert_eq!((limits.dropped(1000), limits.dropped(1000)), (6, 0));
        limits.close(7);
    }

    #[test]
    fn one_judgement_a_second_for_each_user_and_each_person_at_the_door() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let by = |name: &str| (5, Some(name.to_string()));
        assert!(limits.judge(&(1000, None), now) && !limits.judge(&(1000, None), now));
        assert!(limits.judge(&(1001, None), now));
        assert!(limits.judge(&by("alice"), now) && limits.judge(&by("bob"), now));
        assert!(!limits.judge(&by("bob"), now + EVERY / 2));
        assert!(limits.judge(&by("bob"), now + EVERY));
        assert_eq!((limits.dropped(5), limits.dropped(1000)), (1, 1));
    }
}
