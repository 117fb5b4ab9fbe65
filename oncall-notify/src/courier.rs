//! Delivering what waits for one channel, in a thread of its own: whatever happens to it happens to no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use host::clock::now;
use host::output::complain;
use policy::Timestamp;

use crate::PROGRAM;
use crate::channels::{Attempts, BETWEEN, Failure, carries_many};
use crate::config::{Channel, People};
use crate::notice::Notice;
use crate::spool::{Entry, Spool};

/// How long a channel that fails is left alone, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long a notice that fails is kept while others are delivered.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Where so many fail one after the other, each for itself, it is the channel that fails; and how long it is left alone then, at
/// most: the next one may be told.
const FEW: usize = 3;
const LONGEST_PAUSE_OF_FEW: Duration = Duration::from_secs(30);

/// The most that one attempt carries.
const MOST_AT_ONCE: usize = 64;

/// After so many that went well it is tried again whether the other side takes more at once than it showed.
const TRIED_AGAIN_AFTER: usize = 10_000;

/// The most of those that fail by themselves of which is known since when.
const MOST_APART: usize = 10_000;

/// What a thread needs.
pub struct Courier {
    pub channel: Channel,
    pub people: People,
    pub spool: Arc<Spool>,
}

/// How things stand with a channel, so that each change is told once.
struct Health {
    failures: u32,
    /// So many were delivered since it failed last, or since the beginning.
    well: usize,
    /// Those that failed by themselves since the last one that was delivered.
    row: BTreeSet<String>,
    apart: BTreeMap<String, Tries>,
    /// When one was delivered last.
    delivered: Option<Instant>,
    /// So many records were given up.
    given_up: u64,
    /// How many one attempt may carry.
    most: usize,
    /// How many failed together the last time, as long as so many were not taken since.
    suspect: Option<usize>,
}

impl Default for Health {
    fn default() -> Self {
        let (row, apart) = (BTreeSet::new(), BTreeMap::new());
        let (delivered, suspect) = (None, None);
        Self { failures: 0, well: 0, row, apart, delivered, given_up: 0, most: MOST_AT_ONCE, suspect }
    }
}

/// How it went with those that fail by themselves.
struct Tries {
    failures: u32,
    /// When it failed last.
    last: Instant,
    /// Since when it fails while others are delivered.
    alone: Option<Instant>,
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
        let (mut health, attempts) = (Health::default(), Attempts::default());
        loop {
            let taken = self.take(&health);
            let entries: Vec<Entry> = taken.iter().map(|(_, entry)| entry.clone()).collect();
            let outcomes = attempts.deliver(&self.channel, &self.people, &entries);
            let mut later = None;
            let (mut unsent, mut unkept) = (Vec::new(), Ok(()));
            for ((number, entry), outcome) in taken.into_iter().zip(outcomes) {
                if let Err(Failure::Later(why, after)) = outcome {
                    later = Some((why, after));
                    unsent.push(number);
                } else {
                    unkept = unkept.and(self.settle(number, entry, outcome, &mut health));
                }
            }
            // In their order, before all that wait.
            unsent.iter().rev().for_each(|number| self.spool.put_back(*number));
            if let Some((why, after)) = later {
                health.failed(&self.channel.name, &why, self.spool.len());
                health.failed_together(entries.len());
                host::child::pause(health.pause(after));
            }
            if let Err(error) = unkept {
                self.say(format_args!(
                    "a delivered notice cannot be removed and will be told again: {error}"
                ));
                host::child::pause(LONGEST_PAUSE);
            }
        }
    }

    /// What is told next. After a failure that is one, then twice as many each time, up to fewer than failed twice: where one is in
    /// the way, or the other side never takes so many, those before it are not sent again with it for ever.
    fn take(&self, health: &Health) -> Vec<(u64, Entry)> {
        let is_old = |notice: &Notice| is_old(&self.channel, notice, now());
        let mut taken = vec![self.spool.take(is_old)];
        if carries_many(&self.channel.kind) {
            taken.extend(self.spool.take_more(health.at_once().saturating_sub(1), is_old));
        }
        taken
    }

    /// What an attempt came to for one that is not simply tried again.
    fn settle(
        &self,
        number: u64,
        entry: Entry,
        outcome: Result<(), Failure>,
        health: &mut Health,
    ) -> std::io::Result<()> {
        match outcome {
            Ok(()) | Err(Failure::Later(..)) => {
                health.went_well(&self.channel.name, &entry.lot(number));
                self.spool.done(number)
            }
            Err(Failure::Never(why)) => {
                self.say(format_args!("notice {} is not delivered: {why}", entry.notice.id()));
                health.apart.remove(&entry.lot(number));
                self.spool.done(number)
            }
            Err(Failure::Rest(rest, why)) => {
                health.went_well(&self.channel.name, &entry.lot(number));
                let rest = Entry { recipient: rest.join(&BETWEEN.to_string()), ..entry };
                // If it cannot be written, all of them get it again.
                let written = self.spool.write(number, &rest).and_then(|()| self.spool.sync());
                self.apart(number, &rest, &why, health).and(written)
            }
            Err(Failure::Apart(why)) => self.apart(number, &entry, &why, health),
        }
    }

    /// What to do with one that fails by itself.
    fn apart(&self, number: u64, entry: &Entry, why: &str, health: &mut Health) -> std::io::Result<()> {
        let (lot, now) = (entry.lot(number), Instant::now());
        let id = entry.notice.id();
        let Some(pause) = health.failed_apart(&lot, now) else {
            health.given_up += entry.notice.count();
            let total = health.given_up;
            self.say(format_args!(
                "notice {id} is given up, while others were delivered: {why}; so far {total} records were"
            ));
            return self.spool.done(number);
        };
        if pause == FIRST_PAUSE {
            self.say(format_args!("notice {id} waits, and others do not wait for it: {why}"));
        }
        self.spool.put_apart(number, entry, now + pause);
        if health.row.len() > FEW {
            health.failed(&self.channel.name, why, self.spool.len());
            host::child::pause(health.pause(None).min(LONGEST_PAUSE_OF_FEW));
        }
        Ok(())
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
    fn went_well(&mut self, name: &str, lot: &str) {
        if self.failures > 0 {
            complain(PROGRAM, format_args!("channel {name}: delivers again"));
        }
        self.failures = 0;
        self.well = self.well.saturating_add(1);
        // One, two, four and so on: with that last one so many were taken together.
        self.suspect = self.suspect.filter(|count| self.well < count.saturating_mul(2));
        if self.well >= TRIED_AGAIN_AFTER && self.most < MOST_AT_ONCE {
            self.well = self.most;
            self.most = self.most.saturating_mul(2).min(MOST_AT_ONCE);
        }
        self.row.clear();
        self.apart.remove(lot);
        self.delivered = Some(Instant::now());
    }

    /// How long those that failed by themselves are left alone; `None`: they are given up.
    fn failed_apart(&mut self, lot: &str, now: Instant) -> Option<Duration> {
        if self.apart.len() >= MOST_APART {
            self.apart.clear();
        }
        if self.row.len() <= FEW {
            self.row.insert(lot.to_string());
        }
        let first = Tries { failures: 0, last: now, alone: None };
        let tries = self.apart.entry(lot.to_string()).or_insert(first);
        if self.delivered.is_some_and(|delivered| tries.failures > 0 && delivered > tries.last) {
            tries.alone.get_or_insert(now);
        }
        if tries.alone.is_some_and(|since| now.saturating_duration_since(since) >= GIVEN_UP_AFTER) {
            self.apart.remove(lot);
            return None;
        }
        tries.last = now;
        tries.failures = tries.failures.saturating_add(1);
        Some(grown(tries.failures))
    }

    fn failed(&mut self, name: &str, why: &str, waiting: usize) {
        if self.failures == 0 {
            let waiting = host::output::counted(waiting, "notice");
            complain(PROGRAM, format_args!("channel {name}: {why}; it is tried again, waiting: {waiting}"));
        }
        self.failures = self.failures.saturating_add(1);
        self.well = 0;
    }

    /// An attempt that carried so many failed: which of them were taken nobody knows, and all come again. Once that may be
    /// anything; where so many fail again, and fewer do not, it is the number.
    fn failed_together(&mut self, count: usize) {
        self.suspect = match self.suspect {
            // It takes none at all, which says nothing of the number.
            _ if count <= 1 => None,
            Some(before) if count <= before => {
                self.most = count / 2;
                None
            }
            _ => Some(count),
        };
    }

    /// How many are told by one attempt, where that carries many.
    fn at_once(&self) -> usize {
        self.well.saturating_add(1).min(self.most)
    }

    /// How long to wait: as the service says, or longer each time.
    fn pause(&self, after: Option<Duration>) -> Duration {
        after.unwrap_or_else(|| grown(self.failures)).clamp(FIRST_PAUSE, LONGEST_PAUSE)
    }
}

/// The pause after so many failures.
fn grown(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1_u32 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::notice::One;

    #[test]
    fn pauses_grow_and_end() {
        let pause = |failures, after| Health { failures, ..Health::default() }.pause(after);
        assert_eq!(pause(1, None), FIRST_PAUSE);
        assert_eq!(pause(4, None), Duration::from_secs(8));
        assert_eq!(pause(4_000, None), LONGEST_PAUSE);
        assert_eq!(pause(1, Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert_eq!(pause(9, Some(Duration::from_secs(86_400))), LONGEST_PAUSE);
    }

    #[test]
    fn after_a_failure_one_is_told_and_then_more_each_time() {
        let mut health = Health::default();
        let mut told = Vec::new();
        for _ in 0..9 {
            told.push(health.at_once());
            (0..health.at_once()).for_each(|_| health.went_well("c", "#1"));
        }
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        health.failed("c", "why", 1);
        assert_eq!(health.at_once(), 1);
    }

    #[test]
    fn what_failed_together_is_told_by_fewer_unless_none_is_taken_at_all() {
        let mut health = Health::default();
        let fails = |health: &mut Health, count: usize| {
            health.failed("c", "why", 1);
            health.failed_together(count);
        };
        let most = |health: &mut Health| {
            let told = (0..7).map(|_| {
                let count = health.at_once();
                (0..count).for_each(|_| health.went_well("c", "#1"));
                count
            });
            told.max().unwrap()
        };
        fails(&mut health, 16);
        assert_eq!(most(&mut health), 64, "once may be anything");
        fails(&mut health, 16);
        (0..15).for_each(|_| health.went_well("c", "#1"));
        fails(&mut health, 16);
        assert_eq!((health.at_once(), most(&mut health)), (1, 8));
        // It is away, and takes none: how many it takes was known before.
        fails(&mut health, 8);
        fails(&mut health, 1);
        fails(&mut health, 1);
        assert_eq!(most(&mut health), 8);
        // In the end more are tried.
        (0..TRIED_AGAIN_AFTER).for_each(|_| health.went_well("c", "#1"));
        assert_eq!(health.at_once(), 16);
    }

    #[test]
    fn one_that_fails_is_given_up_only_after_a_day_in_which_others_were_delivered() {
        let begin = Instant::now();
        let day = |days: u32| begin + days * GIVEN_UP_AFTER + Duration::from_secs(1);
        let mut health = Health::default();
        assert_eq!(health.failed_apart("alice", begin), Some(FIRST_PAUSE));
        assert!(health.failed_apart("alice", day(3)).is_some(), "nobody was told meanwhile");
        health.delivered = Some(day(4));
        assert!(health.failed_apart("alice", day(5)).is_some(), "from now on she alone is not");
        assert_eq!(health.failed_apart("bob", day(6)), Some(FIRST_PAUSE));
        assert_eq!(health.failed_apart("alice", day(6)), None);
        assert_eq!(
            health.failed_apart("alice", day(6)),
            Some(FIRST_PAUSE),
            "the next one has a day of its own"
        );
        assert_eq!(health.row.len(), 2, "two fail, and the channel does not");
        health.went_well("c", "bob");
        assert!(health.row.is_empty() && !health.apart.contains_key("bob"));
    }

    /// Serves one connection, and hands over the numbers of the notices in it: of all that is sent, or of what comes before
    /// it closes in the middle.
    fn serve(server: &TcpListener, to_its_end: bool) -> Vec<u64> {
        let (mut stream, _) = server.accept().unwrap();
        let mut taken = Vec::new();
        if to_its_end {
            stream.read_to_end(&mut taken).unwrap();
        } else {
            // What is not read when it closes is known not to have come.
            let mut byte = [0];
            while stream.peek(&mut byte).unwrap() == 0 {}
        }
        let text = String::from_utf8(taken).unwrap();
        let numbers =
            text.split("number=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap());
        numbers.collect()
    }

    /// Serves one connection: takes the first `most` notices of it, one by one, and closes; their numbers, and whether there
    /// was more.
    fn serve_some(server: &TcpListener, most: usize) -> (Vec<u64>, bool) {
        let (mut stream, _) = server.accept().unwrap();
        let (mut numbers, mut frame) = (Vec::new(), Vec::new());
        while numbers.len() < most {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap() == 0 {
                return (numbers, false);
            }
            frame.push(byte[0]);
            let text = String::from_utf8_lossy(&frame);
            let Some((length, rest)) = text.split_once(' ') else { continue };
            if rest.len() == length.parse::<usize>().unwrap() {
                let number = rest.split("number=\"").nth(1).unwrap().split('"').next().unwrap();
                numbers.push(number.parse().unwrap());
                frame.clear();
            }
        }
        // Closed with something in it that was not read, it is reset.
        let more = stream.peek(&mut [0]).unwrap() > 0;
        (numbers, more)
    }

    #[test]
    fn a_server_that_never_takes_many_gets_few_of_them_twice_and_none_is_lost() {
        let (server, spool, _directory) = started(200);
        let (mut taken, mut failed) = (Vec::new(), 0);
        while taken.iter().collect::<BTreeSet<_>>().len() < 200 {
            let (numbers, more) = serve_some(&server, 10);
            taken.extend(numbers);
            failed += usize::from(more);
        }
        assert_eq!(failed, 2, "it showed that twice");
        assert_eq!(taken.len(), 220);
        let first: BTreeSet<u64> = taken.iter().copied().collect();
        assert!(first.into_iter().eq(0..200));
        while spool.len() > 0 {
            host::child::pause(Duration::from_millis(5));
        }
    }

    #[test]
    fn many_go_over_one_connection_in_their_order_and_again_where_it_broke() {
        let (server, spool, _directory) = started(200);
        let mut taken = serve(&server, true);
        assert_eq!(taken, [0]);
        assert_eq!(serve(&server, false), [0; 0]);
        let mut connections = 2;
        while taken.len() < 200 {
            taken.extend(serve(&server, true));
            connections += 1;
        }
        assert!(taken.into_iter().eq(0..200), "none is lost, and none came twice");
        assert!(connections < 15, "{connections}");
        while spool.len() > 0 {
            host::child::pause(Duration::from_millis(5));
        }
    }

    /// A server, and a channel that tells it of so many.
    fn started(count: u64) -> (TcpListener, Arc<Spool>, tempfile::TempDir) {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "files = ['/srv/records']\n[[channel]]\nname = 'siem'\nsyslog = {{ server = '127.0.0.1:{port}', transport = 'tcp' }}\n"
        );
        let config = Config::parse(Path::new("/etc/authkeys/notify.toml"), text.as_bytes()).unwrap();
        let spool = Arc::new(Spool::open(directory.path(), 1_000, 0).unwrap());
        let numbers: Vec<u64> = (0..count).collect();
        for number in &numbers {
            let fields = [("number".to_string(), number.to_string())].into();
            let notice = Notice::One(One { id: format!("{number:016x}"), at: now().unix(), fields });
            let entry = Entry { covers: vec![], recipient: String::new(), notice };
            spool.write(*number, &entry).unwrap();
        }
        spool.enqueue(&numbers);
        let (channel, people) = (config.channels[0].clone(), config.people.clone());
        Courier { channel, people, spool: Arc::clone(&spool) }.start().unwrap();
        (server, spool, directory)
    }
}
