//! What waits for one channel: a file for each notice, named by its number, and the newest of them are never left out.
//!
//! A file is there whole or not at all. One that stands for many names the numbers that it stands for; where those are
//! still there, this program ended between two steps, and they are removed at its next start. Numbers that the state does
//! not know yet are of a step that was not finished, and are read from the record again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::notice::{Many, Notice};

/// The form of these files. Form 1 had no number, and in digests names alone where this one counts others; it is read.
const VERSION: u32 = 2;

/// What each form has, if it has a number.
#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    version: u32,
}

/// This form, and the one before.
#[derive(Serialize, Deserialize)]
struct Form<E> {
    #[serde(default)]
    version: u32,
    #[serde(flatten)]
    entry: E,
}

/// One notice that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The numbers that it stands for, besides its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<u64>,
    /// Do no others wait for this recipient? Empty: everybody of the channel.
    pub recipient: String,
    pub notice: Notice,
}

impl Entry {
    /// What fails together: all for its recipient, or this notice alone.
    pub fn lot(&self, number: u64) -> String {
        if self.recipient.is_empty() { format!("#{number}") } else { self.recipient.clone() }
    }
}

/// The spool of one channel.
pub struct Spool {
    directory: PathBuf,
    most: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<u64>,
    /// What waits apart, by [`Entry::lot`].
    apart: BTreeMap<String, Apart>,
    /// Was the last attempt good, or is there none yet?
    is_well: bool,
}

/// Notices that fail together, while others are delivered.
struct Apart {
    /// When they are tried again.
    until: Instant,
    numbers: Vec<u64>,
}

impl Queue {
    fn len(&self) -> usize {
        self.waiting.len() + self.apart.values().map(|apart| apart.numbers.len()).sum::<usize>()
    }

    /// Those whose pause has ended wait behind the others.
    fn rejoin(&mut self, now: Instant) {
        let ended: Vec<String> =
            self.apart.iter().filter(|(_, apart)| apart.until <= now).map(|(lot, _)| lot.clone()).collect();
        for lot in ended {
            self.waiting.extend(self.apart.remove(&lot).into_iter().flat_map(|apart| apart.numbers));
        }
    }

    /// All of them wait in the order of their numbers; who has a pause still has it.
    fn rejoin_all(&mut self) {
        let apart = self.apart.values_mut().flat_map(|apart| std::mem::take(&mut apart.numbers));
        self.waiting.extend(apart.collect::<Vec<_>>());
        self.waiting.make_contiguous().sort_unstable();
    }
}

impl Spool {
    /// The spool in `directory`, without what the state does not know: numbers from `next` on.
    ///
    /// # Errors
    /// It cannot be made, read or cleaned.
    pub fn open(directory: &Path, most: usize, next: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut numbers = BTreeSet::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // No notice, and not this program's to remove: an administrator's directory.
            if entry.file_type()?.is_dir() {
                continue;
            }
            let name = entry.file_name();
            match name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok()) {
                Some(number) if number < next => _ = numbers.insert(number),
                // Half written, or of a step that was not finished.
                _ => fs::remove_file(directory.join(name))?,
            }
        }
        let spool = Self {
            directory: directory.to_path_buf(),
            most,
            queue: Mutex::default(),
            changed: Condvar::new(),
        };
        for number in numbers.clone() {
            spool.must_be_known(number)?;
            let covers = spool.read(number).map(|entry| entry.covers).unwrap_or_default();
            for covered in covers.iter().filter(|covered| **covered != number && numbers.remove(covered)) {
                spool.remove_file(*covered)?;
            }
        }
        let waiting = numbers.into_iter().collect();
        *spool.lock() = Queue { waiting, apart: BTreeMap::new(), is_well: true };
        Ok(spool)
    }

    /// How many notices wait.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Writes a notice; it waits once [`Spool::enqueue`] has been told.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, number: u64, entry: &Entry) -> io::Result<()> {
        let text = serde_json::to_vec(&Form { version: VERSION, entry })?;
        publish::place(&self.path(number), 0o600, |temporary| fs::write(temporary, &text))
            .map_err(io::Error::other)
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// It may not last.
    pub fn sync(&self) -> io::Result<()> {
        publish::sync_directory(&self.path(0))
    }

    /// These wait now. Where there are too many, all but the newest are told as one for each recipient; the oldest of
    /// those are dropped where there still are too many. How many records that were.
    pub fn enqueue(&self, numbers: &[u64]) -> u64 {
        let mut queue = self.lock();
        queue.waiting.extend(numbers);
        let mut dropped = 0;
        if queue.len() > self.most {
            queue.rejoin_all();
            let older = queue.waiting.len() - self.most / 2;
            let older: Vec<u64> = queue.waiting.iter().copied().take(older).collect();
            self.merge(&mut queue, &older, true);
            while queue.waiting.len() > self.most {
                let Some(number) = queue.waiting.pop_front() else { break };
                dropped += self.read(number).map_or(1, |entry| entry.notice.count());
                let _ = self.remove_file(number);
            }
        }
        drop(queue);
        self.changed.notify_all();
        dropped
    }

    /// Makes one of those of `numbers` that are for one recipient, for each; the last of them has its place.
    fn merge(&self, queue: &mut Queue, numbers: &[u64], crowded: bool) {
        let mut recipients: Vec<(String, Vec<u64>, Many)> = Vec::new();
        for number in numbers {
            let Ok(entry) = self.read(*number) else { continue };
            match recipients.iter_mut().find(|(recipient, ..)| *recipient == entry.recipient) {
                Some((_, covers, many)) => {
                    covers.extend(entry.covers.iter().chain([number]));
                    many.add_notice(&entry.notice);
                }
                None => {
                    let covers = entry.covers.iter().chain([number]).copied().collect();
                    recipients.push((entry.recipient, covers, entry.notice.into_many()));
                }
            }
        }
        for (recipient, covers, many) in recipients {
            let Some(last) = covers.iter().copied().max().filter(|_| covers.len() > 1) else { continue };
            let notice = Notice::Many(Many { crowded: crowded || many.crowded, ..many }.into());
            let gone: BTreeSet<u64> = covers.iter().copied().filter(|number| *number != last).collect();
            let here = gone.iter().copied().filter(|number| self.path(*number).exists()).collect();
            if self
                .write(last, &Entry { covers: here, recipient, notice })
                .and_then(|()| self.sync())
                .is_err()
            {
                continue;
            }
            gone.iter().for_each(|number| _ = self.remove_file(*number));
            queue.waiting.retain(|number| !gone.contains(number));
        }
    }

    /// Waits until there is a notice, and takes it; it stays until [`Spool::done`]. Those for the same recipient that are
    /// as old, says `is_old`, are told with it as one.
    pub fn take(&self, is_old: impl Fn(&Notice) -> bool) -> (u64, Entry) {
        let mut queue = self.lock();
        loop {
            queue = self.some(queue);
            let Some(first) = queue.waiting.front().copied() else { continue };
            let Ok(entry) = self.read(first) else {
                queue.waiting.pop_front();
                continue;
            };
            if let Some(apart) = queue.apart.get_mut(&entry.lot(first)) {
                apart.numbers.push(first);
                queue.waiting.pop_front();
                continue;
            }
            if !is_old(&entry.notice) {
                return self.taken(queue, first, entry);
            }
            let is_same = |number: &u64| {
                let other = self.read(*number).ok();
                other.is_some_and(|other| other.recipient == entry.recipient && is_old(&other.notice))
            };
            let same: Vec<u64> = queue.waiting.iter().copied().filter(is_same).collect();
            if same.len() < 2 {
                return self.taken(queue, first, entry);
            }
            let before = queue.waiting.len();
            self.merge(&mut queue, &same, false);
            if queue.waiting.len() == before {
                return self.taken(queue, first, entry);
            }
            // The digest has the place of the last of them; it is told first.
            if let Some(last) = same.last().copied() {
                queue.waiting.retain(|number| *number != last);
                queue.waiting.push_front(last);
            }
        }
    }

    /// Takes those that wait behind what was taken, in their order and `most` of them, up to one that is told with others or
    /// apart. None is waited for.
    pub fn take_more(&self, most: usize, is_old: impl Fn(&Notice) -> bool) -> Vec<(u64, Entry)> {
        let mut queue = self.lock();
        let mut more = Vec::new();
        while more.len() < most
            && let Some(number) = queue.waiting.front().copied()
            && let Ok(entry) = self.read(number)
            && !is_old(&entry.notice)
            && !queue.apart.contains_key(&entry.lot(number))
        {
            queue.waiting.pop_front();
            more.push((number, entry));
        }
        more
    }

    /// Waits until one may be tried.
    fn some<'q>(&self, mut queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        loop {
            let now = Instant::now();
            queue.rejoin(now);
            if !queue.waiting.is_empty() {
                return queue;
            }
            let next = queue.apart.values().map(|apart| apart.until.saturating_duration_since(now)).min();
            queue = match next {
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn taken(&self, mut queue: MutexGuard<'_, Queue>, number: u64, entry: Entry) -> (u64, Entry) {
        queue.waiting.retain(|other| *other != number);
        (number, entry)
    }

    /// It was delivered, or never will be.
    ///
    /// # Errors
    /// Its file stays, and it will be told again.
    pub fn done(&self, number: u64) -> io::Result<()> {
        let mut queue = self.lock();
        queue.is_well = true;
        drop(queue);
        self.changed.notify_all();
        self.remove_file(number)
    }

    /// It was not delivered: it is the first that waits again, and nothing is delivered for a while. Reading goes on
    /// without regard to this channel.
    pub fn put_back(&self, number: u64) {
        let mut queue = self.lock();
        queue.waiting.push_front(number);
        queue.is_well = false;
        drop(queue);
        self.changed.notify_all();
    }

    /// It was not delivered, and what is in the way is its own: it and all of its lot wait until then, and others do not
    /// wait for them.
    pub fn put_apart(&self, number: u64, entry: &Entry, until: Instant) {
        let mut queue = self.lock();
        let apart = queue.apart.entry(entry.lot(number)).or_insert_with(|| Apart { until, numbers: vec![] });
        apart.until = until;
        apart.numbers.insert(0, number);
        queue.is_well = false;
        drop(queue);
        self.changed.notify_all();
    }

    /// Waits until half of the room is free again, if this channel is well; so long at most.
    pub fn wait_for_room(&self, longest: Duration) {
        let is_crowded = |queue: &mut Queue| queue.is_well && queue.waiting.len() > self.most / 2;
        let waited = self.changed.wait_timeout_while(self.lock(), longest, is_crowded);
        drop(waited);
    }

    fn read(&self, number: u64) -> io::Result<Entry> {
        let form: Form<Entry> = serde_json::from_slice(&fs::read(self.path(number))?)?;
        Ok(form.entry)
    }

    /// Refuses what a later release has written: it means what that one says.
    fn must_be_known(&self, number: u64) -> io::Result<()> {
        let form = serde_json::from_slice::<Numbered>(&fs::read(self.path(number))?);
        match form {
            Ok(Numbered { version }) if version > VERSION => {
                let path = self.path(number);
                let told = format!(
                    "{} is of form {version}; this release reads forms 1 to {VERSION}",
                    path.display()
                );
                Err(io::Error::other(told))
            }
            _ => Ok(()),
        }
    }

    /// Removes what was written and does not wait.
    ///
    /// # Errors
    /// It is still there.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        self.remove_file(number)
    }

    fn remove_file(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.path(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::One;

    fn entry(recipient: &str, at: i64) -> Entry {
        let fields = [("host".to_string(), format!("db{at}"))].into();
        let notice = Notice::One(One { id: format!("{at:016}"), at, fields });
        Entry { covers: vec![], recipient: recipient.to_string(), notice }
    }

    fn fill(spool: &Spool, numbers: std::ops::Range<u64>) -> u64 {
        let numbers: Vec<u64> = numbers.collect();
        for number in &numbers {
            spool.write(*number, &entry("", i64::try_from(*number).unwrap())).unwrap();
        }
        spool.enqueue(&numbers)
    }

    #[test]
    fn what_was_not_finished_is_read_again_and_what_was_delivered_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 100, 0).unwrap();
        fill(&spool, 0..4);
        let (number, taken) = spool.take(|_| false);
        assert_eq!((number, taken), (0, entry("", 0)));
        spool.done(number).unwrap();
        let (number, _) = spool.take(|_| false);
        spool.put_back(number);
        fs::create_dir(directory.path().join("lost+found")).unwrap();
        // The state knows three; the fourth is of a step that was not finished.
        let again = Spool::open(directory.path(), 100, 3).unwrap();
        assert_eq!(again.len(), 2);
        assert_eq!(again.take(|_| false).0, 1);
        assert!(!again.path(3).exists());
    }

    #[test]
    fn what_another_release_left_is_read_or_refused_plainly() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 100, 0).unwrap();
        fill(&spool, 0..1);
        let file = spool.path(0);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("{\"version\":2,\"recipient\""), "{text}");
        fs::write(&file, text.replace("\"version\":2,", "")).unwrap();
        let again = Spool::open(directory.path(), 100, 1).unwrap();
        assert_eq!(again.take(|_| false), (0, entry("", 0)), "form 1 had no number");
        fs::write(&file, "{\"version\":3,\"what\":\"else\"}").unwrap();
        let refused = Spool::open(directory.path(), 100, 1).map(drop).unwrap_err().to_string();
        assert!(refused.ends_with("is of form 3; this release reads forms 1 to 2"), "{refused}");
        assert!(file.exists(), "nothing is lost of it");
    }

    #[test]
    fn more_than_there_is_room_for_is_told_as_one_and_the_newest_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 16, 0).unwrap();
        assert_eq!(fill(&spool, 0..200), 0);
        let mut told = Vec::new();
        while spool.len() > 0 {
            let (number, entry) = spool.take(|_| false);
            told.push(entry.notice);
            spool.done(number).unwrap();
        }
        assert_eq!(told.iter().map(Notice::count).sum::<u64>(), 200);
        assert!(matches!(&told[0], Notice::Many(many) if many.crowded && many.hosts.count().0 > 90));
        assert_eq!(told.last().unwrap().id(), format!("{:016}", 199));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_old_is_told_as_one_for_each_recipient() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 100, 0).unwrap();
        for (number, who, at) in [(0, "alice", 1), (1, "bob", 2), (2, "alice", 3), (3, "alice", 999)] {
            spool.write(number, &entry(who, at)).unwrap();
        }
        spool.enqueue(&[0, 1, 2, 3]);
        let mut told = Vec::new();
        while spool.len() > 0 {
            let (number, entry) = spool.take(|notice| notice.at() < 500);
            told.push((entry.recipient, entry.notice.count()));
            spool.done(number).unwrap();
        }
        let expected = [("alice", 2), ("bob", 1), ("alice", 1)];
        assert_eq!(told, expected.map(|(who, count)| (who.to_string(), count)));
    }

    #[test]
    fn others_do_not_wait_for_one_who_cannot_be_told_now() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 100, 0).unwrap();
        for (number, who) in [(0, "alice"), (1, "alice"), (2, "bob"), (3, "alice")] {
            spool.write(number, &entry(who, i64::try_from(number).unwrap())).unwrap();
        }
        spool.enqueue(&[0, 1, 2, 3]);
        let long = Duration::from_secs(3_600);
        let (number, alice) = spool.take(|_| false);
        spool.put_apart(number, &alice, Instant::now() + long);
        let (number, bob) = spool.take(|_| false);
        assert_eq!((number, bob.recipient.as_str(), spool.len()), (2, "bob", 3));
        // Alone, bob's is tried again at once; alice has her pause, and her order.
        spool.put_apart(number, &bob, Instant::now());
        assert_eq!(spool.take(|_| false).0, 2);
        spool.done(2).unwrap();
        spool.lock().apart.get_mut("alice").unwrap().until = Instant::now();
        for expected in [0, 1, 3] {
            assert_eq!(spool.take(|_| false).0, expected);
            spool.done(expected).unwrap();
        }
        assert_eq!(spool.len(), 0);
    }

    #[test]
    fn what_waits_apart_is_told_as_one_where_there_is_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 16, 0).unwrap();
        let until = Instant::now() + Duration::from_secs(3_600);
        for number in 0..40 {
            spool.write(number, &entry("alice", i64::try_from(number).unwrap())).unwrap();
            assert_eq!(spool.enqueue(&[number]), 0);
            if number == 0 {
                let (number, alice) = spool.take(|_| false);
                spool.put_apart(number, &alice, until);
            }
        }
        assert!(spool.len() <= 16, "{}", spool.len());
        spool.lock().apart.clear();
        spool.lock().waiting.extend(fs::read_dir(directory.path()).unwrap().map(|entry| {
            let name = entry.unwrap().file_name();
            name.to_str().unwrap().trim_end_matches(".json").parse::<u64>().unwrap()
        }));
        let waiting: BTreeSet<u64> = spool.lock().waiting.drain(..).collect();
        spool.lock().waiting.extend(waiting);
        let mut told = 0;
        while spool.len() > 0 {
            let (number, entry) = spool.take(|_| false);
            told += entry.notice.count();
            spool.done(number).unwrap();
        }
        assert_eq!(told, 40);
    }

    #[test]
    fn those_behind_one_are_taken_with_it_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 100, 0).unwrap();
        fill(&spool, 0..9);
        let is_old = |notice: &Notice| notice.at() == 5;
        let numbers = |taken: Vec<(u64, Entry)>| taken.iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!(spool.take(is_old).0, 0);
        assert_eq!(numbers(spool.take_more(2, is_old)), [1, 2]);
        // What failed is first again, before those behind it.
        for number in [2, 1, 0] {
            spool.put_back(number);
        }
        assert_eq!(spool.take(is_old).0, 0);
        assert_eq!(numbers(spool.take_more(99, is_old)), [1, 2, 3, 4], "the next one is told with others");
        assert_eq!(spool.len(), 4);
        let (number, entry) = spool.take(is_old);
        assert_eq!(number, 5);
        spool.put_apart(number, &entry, Instant::now() + Duration::from_secs(3_600));
        assert_eq!(numbers(spool.take_more(99, |_| false)), [6, 7, 8]);
        assert!(spool.take_more(99, |_| false).is_empty());
    }

    #[test]
    fn a_digest_whose_parts_are_still_there_stands_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path(), 100, 0).unwrap();
        fill(&spool, 0..3);
        let many = Many::of(&One { id: "x".into(), at: 0, fields: [].into() });
        let digest =
            Entry { covers: vec![0, 1], recipient: String::new(), notice: Notice::Many(many.into()) };
        spool.write(2, &digest).unwrap();
        let again = Spool::open(directory.path(), 100, 3).unwrap();
        assert_eq!((again.len(), again.take(|_| false).1), (1, digest));
    }
}
