//! Delivering what waits for one channel, in a thread of its own: whatever happens to it happens to no other.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use host::clock::now;
use host::output::complain;
use policy::Timestamp;

use crate::PROGRAM;
use crate::channels::{Failure, deliver};
use crate::config::{Channel, People};
use crate::notice::Notice;
use crate::spool::Spool;

/// How long a channel that fails is left alone, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What a thread needs.
pub struct Courier {
    pub channel: Channel,
    pub people: People,
    pub spool: Arc<Spool>,
}

/// How things stand with a channel, so that each change is told once.
#[derive(Default)]
struct Health {
    failures: u32,
}

impl Courier {
    /// Begins to deliver.
    ///
    /// # Errors
    /// This host has no thread for it.
    pub fn start(self) -> std::io::Result<()> {
        let name = self.channel.name.clone();
        thread::Builder::new().name(name).stack_size(512 * 1024).spawn(move || self.run()).map(drop)
    }

    fn run(&self) {
        let mut health = Health::default();
        loop {
            let (number, entry) = self.spool.take(|notice| is_old(&self.channel, notice, now()));
            let outcome = deliver(&self.channel, &self.people, &entry);
            let outcome = match outcome {
                Ok(()) => {
                    health.went_well(&self.channel.name);
                    self.spool.done(number)
                }
                Err(Failure::Never(why)) => {
                    self.say(format_args!("notice {} is not delivered: {why}", entry.notice.id()));
                    self.spool.done(number)
                }
                Err(Failure::Later(why, after)) => {
                    self.spool.put_back(number);
                    health.failed(&self.channel.name, &why, self.spool.len());
                    host::child::pause(health.pause(after));
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                self.say(format_args!(
                    "a delivered notice cannot be removed and will be told again: {error}"
                ));
                host::child::pause(LONGEST_PAUSE);
            }
        }
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        complain(PROGRAM, format_args!("channel {}: {what}", self.channel.name));
    }
}

/// Is a notice one of those that are told as one?
fn is_old(channel: &Channel, notice: &Notice, now: Timestamp) -> bool {
    channel.digest_after.is_some_and(|age| now.unix().saturating_sub(notice.at()) > age.as_seconds())
}

impl Health {
    fn went_well(&mut self, name: &str) {
        if self.failures > 0 {
            complain(PROGRAM, format_args!("channel {name}: delivers again"));
        }
        self.failures = 0;
    }

    fn failed(&mut self, name: &str, why: &str, waiting: usize) {
        if self.failures == 0 {
            let waiting = host::output::counted(waiting, "notice");
            complain(PROGRAM, format_args!("channel {name}: {why}; {waiting} wait, and it is tried again"));
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// How long to wait: as the service says, or longer each time.
    fn pause(&self, after: Option<Duration>) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1_u32 << self.failures.saturating_sub(1).min(16));
        after.unwrap_or(doubled).clamp(FIRST_PAUSE, LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let pause = |failures, after| Health { failures }.pause(after);
        assert_eq!(pause(1, None), FIRST_PAUSE);
        assert_eq!(pause(4, None), Duration::from_secs(8));
        assert_eq!(pause(4_000, None), LONGEST_PAUSE);
        assert_eq!(pause(1, Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert_eq!(pause(9, Some(Duration::from_secs(86_400))), LONGEST_PAUSE);
    }
}
