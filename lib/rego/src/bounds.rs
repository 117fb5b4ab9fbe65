//! How long a file may take, and how much it may say.
//!
//! Time is what the processor spends on it: by a clock on the wall a verdict would be another one on a machine that is busy,
//! or stood still for a moment.

use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, set_time_source};

use crate::{Outcome, Verdict};

/// How long one file may take for one shift; a usual one takes less than a thousandth of this.
pub const EACH: Duration = Duration::from_millis(200);

/// How long it may take for all shifts.
pub const TOTAL: Duration = Duration::from_secs(10);

/// The most of what went wrong that is told, in characters.
const LONGEST_WORDS: usize = 300;

/// How many faults are told in words; of the others only that there are some.
const MOST_WORDS: usize = 20;

/// The clock by which regorus, built without `std`, stops what takes too long: without one it stops nothing.
struct Clock;

impl TimeSource for Clock {
    fn now(&self) -> Option<Duration> {
        Some(spent())
    }
}

/// What the processor has spent on this thread, on which all is evaluated.
pub(crate) fn spent() -> Duration {
    clock::spent()
}

/// The time of one evaluation, looked at every few steps.
pub(crate) fn timer() -> ExecutionTimerConfig {
    // Set already by the file before this one.
    let _ = set_time_source(&Clock);
    ExecutionTimerConfig { limit: EACH, check_interval: NonZeroU32::MIN.saturating_add(99) }
}

/// What is left of the time for all shifts, and of words.
#[derive(Debug)]
pub(crate) struct Budget {
    began: Duration,
    told: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { began: spent(), told: 0 }
    }

    /// Asks, if there is time left.
    pub(crate) fn spend(&mut self, ask: impl FnOnce() -> Result<Verdict, String>) -> Outcome {
        let answer = if spent().saturating_sub(self.began) < TOTAL {
            ask()
        } else {
            Err(format!("not asked: the shifts before it took {} s", TOTAL.as_secs()))
        };
        match answer {
            Ok(Verdict::Keep) => Outcome::Keep,
            Ok(Verdict::For(seconds)) => Outcome::For(seconds),
            Ok(Verdict::LeaveOut) => Outcome::LeaveOut,
            Err(why) => {
                self.told += 1;
                let words = if self.told > MOST_WORDS { "as others before it" } else { why.as_str() };
                Outcome::Failed(words.chars().take(LONGEST_WORDS).collect())
            }
        }
    }
}
