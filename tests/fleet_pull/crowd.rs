//! Many hosts that pull, each as its timer says, from threads of this process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use harness::Host;

use super::puller::{Pulled, Puller, Store};

/// How many hosts pull at the same moment, at most: the store is soon busier than this.
const THREADS: usize = 48;

/// When a host pulls again: as oncall-cache-pull.timer says, or faster.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// `OnUnitActiveSec`.
    pub every: Duration,
    /// `RandomizedDelaySec`.
    pub spread: Duration,
}

impl Pace {
    /// The timer's.
    pub const TIMER: Self = Self { every: Duration::from_secs(25), spread: Duration::from_secs(10) };
}

/// One pull of one host.
#[derive(Debug)]
pub struct Pull {
    pub host: usize,
    pub due: Instant,
    pub began: Instant,
    pub ended: Instant,
    pub outcome: io::Result<Pulled>,
}

/// The hosts, and their store.
pub struct Crowd {
    store: Store,
    pullers: Vec<Mutex<Puller>>,
}

impl Crowd {
    /// So many hosts that have nothing yet.
    pub fn new(store: Store, count: usize) -> Self {
        Self { store, pullers: (0..count).map(|_| Mutex::default()).collect() }
    }

    /// Each of `hosts` pulls once, as soon as it can.
    pub fn at_once(&self, machine: &Host, hosts: Range<usize>) -> Vec<Pull> {
        let now = Instant::now();
        self.work(machine, hosts.map(|host| Reverse((now, host))).collect(), |_| None)
    }

    /// Each of `hosts` has what the first of all has, as if it had pulled when that did.
    pub fn follow_the_first(&self, hosts: Range<usize>) {
        let first = self.puller(0).clone();
        hosts.for_each(|host| *self.puller(host) = first.clone());
    }

    /// Each pulls at its pace, from anywhere between two pulls on, until none is due before `until`. Each pulls at least once.
    pub fn run(&self, machine: &Host, pace: Pace, until: Instant) -> Vec<Pull> {
        let now = Instant::now();
        let mut chance = Chance(0x2026_1120);
        // As if their timers had run for long.
        let mut first = |host| {
            let whole = pace.every + chance.below(pace.spread);
            Reverse((now + chance.below(whole), host))
        };
        let due: BinaryHeap<_> = (0..self.pullers.len()).map(&mut first).collect();
        let chance = Mutex::new(chance);
        self.work(machine, due, |pull| {
            let delay = chance.lock().unwrap_or_else(PoisonError::into_inner).below(pace.spread);
            Some(pull.began + pace.every + delay).filter(|next| *next < until)
        })
    }

    /// Pulls when that is due; `next` says when the same host's next one is.
    fn work(
        &self,
        machine: &Host,
        due: BinaryHeap<Reverse<(Instant, usize)>>,
        next: impl Fn(&Pull) -> Option<Instant> + Sync,
    ) -> Vec<Pull> {
        let due = Mutex::new(due);
        let queue = || -> MutexGuard<'_, _> { due.lock().unwrap_or_else(PoisonError::into_inner) };
        let one_thread = || {
            machine.enter_network();
            let mut pulls = Vec::new();
            loop {
                let Some(Reverse((at, host))) = queue().pop() else { return pulls };
                wait_for(at);
                let pull = self.pull(host, at);
                if let Some(next) = next(&pull) {
                    queue().push(Reverse((next, host)));
                }
                pulls.push(pull);
            }
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one_thread)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a thread of the load")).collect()
        })
    }

    fn pull(&self, host: usize, due: Instant) -> Pull {
        let began = Instant::now();
        let outcome = self.puller(host).pull(&self.store);
        Pull { host, due, began, ended: Instant::now(), outcome }
    }

    fn puller(&self, host: usize) -> MutexGuard<'_, Puller> {
        self.pullers[host].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[allow(clippy::disallowed_methods, reason = "a timer does nothing else")]
fn wait_for(at: Instant) {
    thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// Numbers without a pattern that matters, the same in each run (xorshift64).
struct Chance(u64);

impl Chance {
    /// A time below `limit`.
    fn below(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        limit.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
