//! What one run of `authkeys` leaves for the next ones: answers, locks, and marks of outages and stalls.
//!
//! All of it is in the directory of lookups.db, which belongs to the uid that sshd runs us as. Whoever else
//! runs the program, root by hand for example, leaves nothing there and takes nothing from there. None of it
//! is needed: where it cannot be written, answers are slower and otherwise the same.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use policy::{Account, Principal, Span, Timestamp};
use store::StoreError;
use store::lookups::Lookups;

use crate::child::pause;
use crate::live::{Concerns, LiveError};

/// How long a directory that was found down, or a command that stalled, is not asked again.
const REST: Span = Span::seconds(30);

/// Locks and marks of persons are shared by those whose names have the same sum.
const STRIPES: u32 = 64;

/// Between two looks at a lock that somebody else holds.
const TURN: Duration = Duration::from_millis(5);

/// The directory of lookups.db, if it is ours.
pub struct Memory {
    lookups: PathBuf,
    directory: PathBuf,
}

/// The right to ask the directory about a person; ends when dropped.
pub struct Turn {
    /// Did somebody else have it first, whose answer is there now?
    pub waited: bool,
    _lock: File,
}

impl Memory {
    /// `None` if the directory is not this user's own.
    pub fn open(lookups: &Path) -> Option<Self> {
        let directory = lookups.parent()?;
        let metadata = fs::symlink_metadata(directory).ok()?;
        let own = metadata.is_dir()
            && metadata.uid() == nix::unistd::geteuid().as_raw()
            && metadata.mode() & 0o022 == 0;
        own.then(|| Self { lookups: lookups.to_path_buf(), directory: directory.to_path_buf() })
    }

    /// The answers that are remembered. One run at a time makes them, should there be none.
    pub fn lookups(&self, scope: &str, end: Instant) -> Result<Lookups, StoreError> {
        match Lookups::open(&self.lookups, scope) {
            Err(StoreError::Missing(_) | StoreError::Corrupt(..) | StoreError::Version(..)) => {}
            opened => return opened,
        }
        let _lock = self.lock("lookups.lock", end).ok_or_else(|| StoreError::Busy(self.lookups.clone()))?;
        Lookups::open_or_make(&self.lookups, scope)
    }

    /// Waits until nobody else asks about `person`, not longer than `end`.
    pub fn turn(&self, person: &Principal, end: Instant) -> Option<Turn> {
        let (lock, waited) = self.lock(&format!("turn.{}", stripe(person.as_str())), end)?;
        Some(Turn { waited, _lock: lock })
    }

    fn lock(&self, name: &str, end: Instant) -> Option<(File, bool)> {
        let file = self.file(name, OpenOptions::new().write(true).create(true)).ok()?;
        let mut waited = false;
        while let Err(error) = file.try_lock() {
            if !matches!(error, fs::TryLockError::WouldBlock) || Instant::now() >= end {
                return None;
            }
            waited = true;
            pause(TURN);
        }
        Some((file, waited))
    }

    fn file(&self, name: &str, options: &mut OpenOptions) -> std::io::Result<File> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits()).open(self.directory.join(name))
    }

    /// Was the directory, or what it has of `person`, found down a moment ago?
    pub fn rest(&self, person: &Principal, now: Timestamp) -> Option<LiveError> {
        let age = self
            .read_mark(EVERYBODY, "-", now)
            .or_else(|| self.read_mark(&mark_of(person), person.as_str(), now))?;
        let text = format!("the directory was found down {age} ago and is asked again {REST} after that");
        Some(LiveError::unavailable(Concerns::ThisHost, text))
    }

    /// Lets the next runs spare themselves the question that failed with `error`.
    pub fn mark(&self, person: &Principal, error: &LiveError, now: Timestamp) {
        let (name, whose) = match (error.reason, error.concerns) {
            ("ldap-unavailable", Concerns::Everybody) => (EVERYBODY.to_string(), "-"),
            // Not everybody's: a person's own entry may be made to choke the child.
            ("ldap-unavailable", Concerns::Person) => (mark_of(person), person.as_str()),
            _ => return,
        };
        self.write_mark(&name, whose, now);
    }

    /// Did the command `name` of `[[keys.chain]]` stall a moment ago when it was asked about `account`?
    pub fn stalled(&self, name: &str, account: &Account, now: Timestamp) -> bool {
        self.read_mark(&stall_of(name, account), account.as_str(), now).is_some()
    }

    /// Lets the next runs spare themselves that command. For this account alone: whoever can make it stall for
    /// one must not take it away from all.
    pub fn mark_stalled(&self, name: &str, account: &Account, now: Timestamp) {
        self.write_mark(&stall_of(name, account), account.as_str(), now);
    }

    /// The age of the mark in `name`, if it is there, about `whose`, and counts still.
    fn read_mark(&self, name: &str, whose: &str, now: Timestamp) -> Option<Span> {
        let mut text = String::new();
        let file = self.file(name, OpenOptions::new().read(true)).ok()?;
        file.take(256).read_to_string(&mut text).ok()?;
        let (seconds, name) = text.strip_suffix('\n')?.split_once(' ')?;
        let age = now.since(Timestamp::from_unix(seconds.parse().ok()?));
        (name == whose && age >= Span::seconds(0) && age < REST).then_some(age)
    }

    fn write_mark(&self, name: &str, whose: &str, now: Timestamp) {
        let options = &mut OpenOptions::new();
        if let Ok(mut file) = self.file(name, options.write(true).create(true).truncate(true)) {
            let _ = file.write_all(format!("{} {whose}\n", now.unix()).as_bytes());
        }
    }

    /// The directory has answered about `person`.
    pub fn unmark(&self, person: &Principal) {
        for name in [EVERYBODY.to_string(), mark_of(person)] {
            let _ = fs::remove_file(self.directory.join(name));
        }
    }
}

/// The mark of an outage of the whole directory.
const EVERYBODY: &str = "down";

fn mark_of(person: &Principal) -> String {
    format!("down.{}", stripe(person.as_str()))
}

/// The mark of a command, whose name is letters, digits, `-` and `_`, that stalled.
fn stall_of(name: &str, account: &Account) -> String {
    format!("stalled.{name}.{}", stripe(account.as_str()))
}

/// Which of the shared locks and marks is a person's: no foreign name becomes a file's name.
fn stripe(name: &str) -> u32 {
    name.bytes().fold(0, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % STRIPES
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn memory() -> (tempfile::TempDir, Memory) {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let memory = Memory::open(&directory.path().join("lookups.db")).unwrap();
        (directory, memory)
    }

    fn person(name: &str) -> Principal {
        Principal::new(name).unwrap()
    }

    #[test]
    fn an_outage_is_everybodys_for_30_seconds_and_ends_with_an_answer() {
        let (_directory, memory) = memory();
        let (alice, bob) = (person("alice"), person("bob"));
        assert_eq!(memory.rest(&alice, NOW), None);
        memory.mark(&alice, &LiveError::unavailable(Concerns::Everybody, "down"), NOW);
        for (after, resting) in [(-1, false), (0, true), (29, true), (30, false)] {
            let at = NOW.plus(Span::seconds(after));
            assert_eq!(memory.rest(&bob, at).is_some(), resting, "{after}");
        }
        memory.unmark(&bob);
        assert_eq!(memory.rest(&alice, NOW), None);
    }

    #[test]
    fn one_persons_trouble_is_nobody_elses() {
        let (_directory, memory) = memory();
        let alice = person("alice");
        memory.mark(&alice, &LiveError::unavailable(Concerns::Person, "crashed"), NOW);
        assert!(memory.rest(&alice, NOW).is_some());
        // A name with the same sum shares the file and not what it says.
        let twin =
            (0..).map(|n| person(&format!("u{n}"))).find(|p| stripe(p.as_str()) == stripe("alice")).unwrap();
        assert_eq!(memory.rest(&twin, NOW), None);
        for (reason, concerns) in
            [("ldap-ambiguous", Concerns::Person), ("ldap-unavailable", Concerns::ThisHost)]
        {
            memory.unmark(&alice);
            memory.mark(&alice, &LiveError { reason, concerns, text: String::new() }, NOW);
            assert_eq!(memory.rest(&alice, NOW), None, "{reason}");
        }
    }

    #[test]
    fn a_command_that_stalled_rests_for_the_account_it_stalled_for() {
        let (_directory, memory) = memory();
        let [dave, erin] = ["dave", "erin"].map(|name| Account::new(name).unwrap());
        memory.mark_stalled("eic", &dave, NOW);
        for (after, rests) in [(-1, false), (0, true), (29, true), (30, false)] {
            assert_eq!(memory.stalled("eic", &dave, NOW.plus(Span::seconds(after))), rests, "{after}");
        }
        assert!(!memory.stalled("eic", &erin, NOW) && !memory.stalled("other", &dave, NOW));
        assert_eq!(memory.rest(&person("dave"), NOW), None);
    }

    #[test]
    fn one_asks_and_the_others_wait_for_a_bounded_time() {
        let (_directory, memory) = memory();
        let alice = person("alice");
        let soon = || Instant::now() + Duration::from_millis(30);
        let first = memory.turn(&alice, soon()).unwrap();
        assert!(!first.waited);
        assert!(memory.turn(&alice, soon()).is_none());
        drop(first);
        assert!(memory.turn(&alice, soon()).is_some_and(|turn| !turn.waited));
    }

    #[test]
    fn a_directory_that_others_can_write_is_not_ours() {
        use std::os::unix::fs::PermissionsExt;
        let (directory, _memory) = memory();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(Memory::open(&directory.path().join("lookups.db")).is_none());
        assert!(Memory::open(Path::new("/nonexistent/lookups.db")).is_none());
    }
}
