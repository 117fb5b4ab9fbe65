//! How long a host leaves a store alone after failures: a store that is down, or has nothing good, is not asked by a
//! whole fleet every half minute.

use std::fmt;
use std::fs;
use std::path::Path;

use policy::{Span, Timestamp};
use publish::PublishError;

use super::read_own;

/// How the line begins that is written.
const FORM: &str = "backoff 1";

/// The longest line that is read, in bytes.
const LONGEST: u64 = 100;

/// The wait after one failure; it doubles with each.
const FIRST: i64 = 30;

/// The longest wait.
const LONGEST_WAIT: Span = Span::seconds(600);

/// Failed pulls without a good one since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// How many.
    pub failures: u32,
    /// When the first one was.
    pub since: Timestamp,
    /// When the last one was.
    pub last: Timestamp,
}

impl Backoff {
    /// What is written at `path`; nothing where that is not understood.
    pub fn read(path: &Path) -> Option<Self> {
        Self::parse(&read_own(path, LONGEST)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.strip_prefix(FORM)?.strip_prefix(' ')?.split(' ');
        let failures = words.next()?.parse().ok()?;
        let (since, last) = (Timestamp::parse(words.next()?)?, Timestamp::parse(words.next()?)?);
        words.next().is_none().then_some(Self { failures, since, last })
    }

    /// One more failure, at `now`.
    pub fn after(before: Option<Self>, now: Timestamp) -> Self {
        let failures = before.map_or(1, |before| before.failures.saturating_add(1));
        // A clock that was set back makes no failure older than it is.
        let since = before.map_or(now, |before| before.since.min(now));
        Self { failures, since, last: now }
    }

    /// When the store is to be asked again, if that is not yet. A failure that has not come is no reason to wait. Where
    /// guarded logins are refused once revocations are as old as `revoked_age`, half of that is the longest wait: a host
    /// must not be closed long after the store is back.
    pub fn until(&self, now: Timestamp, revoked_age: Option<Span>) -> Option<Timestamp> {
        let half = |age: Span| Span::seconds(age.as_seconds() / 2);
        let longest = revoked_age.map_or(LONGEST_WAIT, |age| half(age).min(LONGEST_WAIT));
        let doubled = FIRST.checked_shl(self.failures.saturating_sub(1)).filter(|_| self.failures < 10);
        let wait = doubled.map_or(longest, |seconds| Span::seconds(seconds).min(longest));
        let until = self.last.plus(wait);
        (self.last <= now && now < until).then_some(until)
    }

    /// Writes it at `path`.
    ///
    /// # Errors
    /// It could not be written.
    pub fn write(&self, path: &Path) -> Result<(), PublishError> {
        publish::replace(path, 0o640, |temporary| fs::write(temporary, self.to_string()))
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORM} {} {} {}", self.failures, self.since, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_minutes_and_end_with_a_clock_set_back() {
        let at = Timestamp::from_unix;
        let mut backoff = None;
        let mut waits = Vec::new();
        for _ in 0..40 {
            let one = Backoff::after(backoff, at(1000));
            waits.push(one.until(at(1000), None).map(|until| until.since(at(1000)).as_seconds()));
            backoff = Some(one);
        }
        let known: Vec<i64> = waits.iter().map(|wait| wait.unwrap()).collect();
        assert_eq!(known[..6], [30, 60, 120, 240, 480, 600]);
        assert!(known[6..].iter().all(|wait| *wait == 600));
        let one = Backoff::after(None, at(1000));
        let until = |now: i64| one.until(at(now), None);
        assert_eq!((until(1029), until(1030), until(999)), (Some(at(1030)), None, None));
        assert_eq!(Backoff::after(Some(one), at(500)).since, at(500));
    }

    #[test]
    fn a_host_that_is_closed_by_old_revocations_asks_twice_as_often_as_they_may_be_old() {
        let many = Backoff { failures: 20, since: Timestamp::from_unix(0), last: Timestamp::from_unix(1000) };
        let wait = |age| {
            let until = many.until(Timestamp::from_unix(1000), age).unwrap();
            until.since(many.last).as_seconds()
        };
        let ages = [Some(Span::minutes(2)), Some(Span::minutes(20)), Some(Span::hours(4)), None];
        assert_eq!(ages.map(wait), [60, 600, 600, 600]);
    }

    #[test]
    fn what_is_not_as_it_is_written_is_no_failure() {
        let one =
            Backoff { failures: 3, since: Timestamp::from_unix(1000), last: Timestamp::from_unix(2000) };
        assert_eq!(Backoff::parse(&one.to_string()), Some(one));
        let text = one.to_string();
        for wrong in [
            "",
            "\n",
            text.trim_end(),
            &text.replace("f 1 ", "f 2 "),
            &format!("{text}{text}"),
            &text.replace(" 3 ", " x "),
        ] {
            assert_eq!(Backoff::parse(wrong), None, "{wrong:?}");
        }
    }
}
