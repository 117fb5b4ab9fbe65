//! At which moments a run is killed: spread over the time that it takes. A machine that is busy now and idle then takes
//! another time each run, so that time is corrected by what each kill struck.

use std::time::{Duration, Instant};

/// The moments of one test.
#[derive(Debug)]
pub struct Moments {
    /// How long a run takes, as far as is known.
    took: Duration,
    /// How many kills make one round over that time.
    round: u32,
    /// So many kills at least strike before what counts is done, and so many after it.
    least: u32,
    early: u32,
    late: u32,
}

impl Moments {
    /// So many kills, with at least `least` of them on each side; `run` is done once without one.
    pub fn of(round: u32, least: u32, run: impl FnOnce()) -> Self {
        let start = Instant::now();
        run();
        Self { took: start.elapsed(), round, least, early: 0, late: 0 }
    }

    /// After how long the next run is killed; nothing once all sides were struck.
    pub fn next_kill(&self) -> Option<Duration> {
        let struck = self.early + self.late;
        if struck >= self.round && self.early >= self.least && self.late >= self.least {
            return None;
        }
        assert!(struck < 20 * self.round, "the kills do not find both sides: {self:?}");
        // Some time after its end, too.
        Some(self.took.mul_f64(1.1) * (struck % self.round) / self.round)
    }

    /// Was what counts done when the kill came?
    pub fn struck(&mut self, done: bool) {
        let at = (self.early + self.late) % self.round;
        if done && at < self.round / 2 {
            self.took = self.took.mul_f64(0.8);
        } else if !done && at >= self.round - self.round / 10 {
            self.took = self.took.mul_f64(1.25);
        }
        *if done { &mut self.late } else { &mut self.early } += 1;
    }
}
