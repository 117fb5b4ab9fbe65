//! What one run of `authkeys` leaves for the next ones: answers, locks, and marks of outages and stalls.
//!
//! All of it is in the directory of lookups.db, which belongs to the uid that sshd runs us as. Root, who runs the
//! program by hand, reads the answers there and nothing else; another user who runs it takes nothing from there, and
//! neither leaves anything. Where it cannot be written, each question is asked anew, and nothing outlives its answer.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host::child::pause;
use host::unanswered::Concerns;
use nix::fcntl::OFlag;
use policy::{Account, Principal, Span, Timestamp};
use store::StoreError;
use store::lookups::Lookups;

use crate::live::LiveError;

/// How long a directory or server that was found down, or a command that stalled, is not asked again.
const REST: Span = Span::seconds(30);

/// Between two looks at a lock that somebody else holds.
const TURN: Duration = Duration::from_millis(5);

/// After this long nobody needs a lock or a mark, in seconds.
const FORGOTTEN: i64 = 60;

/// The most locks and marks; with more of them no mark is made.
const MOST_FILES: usize = 4096;

/// The most servers whose rest is remembered, and the longest of their addresses.
const MOST_SERVERS: usize = 16;
const LONGEST_ADDRESS: usize = 300;

/// The longest mark that is read, in bytes.
const LONGEST_MARK: u64 = 8 * 1024;

/// The directory of lookups.db, if it is ours.
pub struct Memory {
    lookups: PathBuf,
    directory: PathBuf,
}

/// Where answers are remembered: who may do what with them.
pub enum Answers {
    /// This user's own.
    Own(Memory),
    /// Another user's, which root may read.
    Read(PathBuf),
    /// There is nothing to be had.
    None,
}

impl Answers {
    /// The answers at `lookups`.
    pub fn at(lookups: &Path) -> Self {
        match Memory::open(lookups) {
            Some(memory) => Self::Own(memory),
            None if nix::unistd::geteuid().is_root() => Self::Read(lookups.to_path_buf()),
            None => Self::None,
        }
    }

    /// The memory, if it is this user's own.
    pub fn own(&self) -> Option<&Memory> {
        match self {
            Self::Own(memory) => Some(memory),
            Self::Read(_) | Self::None => None,
        }
    }

    /// Opens them, to read at least; why there are none is worth a word in the log and no more.
    pub fn open(&self, scope: &str, end: Instant) -> Result<Lookups, Option<StoreError>> {
        match self {
            Self::Own(memory) => memory.lookups(scope, end).map_err(Some),
            Self::Read(path) => Lookups::look(path, scope).map_err(|_| None),
            Self::None => Err(None),
        }
    }
}

/// The right to ask the directory about a person; ends when dropped.
pub struct AskLock {
    /// Did somebody else have it first, whose answer is there now?
    pub waited: bool,
    path: PathBuf,
    _lock: File,
}

impl Drop for AskLock {
    /// A name that nobody asks about has no file. A process that waits for this lock looks for the file again.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
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
        let _lock = self.lock("lookups.lock", end).ok_or_else(|| StoreError::busy(&self.lookups))?;
        Lookups::open_or_make(&self.lookups, scope)
    }

    /// Waits until nobody else asks about `person`, not longer than `end`.
    pub fn turn(&self, person: &Principal, end: Instant) -> Option<AskLock> {
        let name = of_name("turn", person.as_str());
        let (lock, waited) = self.lock(&name, end)?;
        Some(AskLock { waited, path: self.directory.join(name), _lock: lock })
    }

    fn lock(&self, name: &str, end: Instant) -> Option<(File, bool)> {
        let mut waited = false;
        loop {
            let file = self.file(name, OpenOptions::new().write(true).create(true)).ok()?;
            match file.try_lock() {
                Ok(()) if self.is_at(&file, name) => return Some((file, waited)),
                // Its last holder removed the file.
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => pause(TURN),
                Err(fs::TryLockError::Error(_)) => return None,
            }
            if Instant::now() >= end {
                return None;
            }
            waited = true;
        }
    }

    fn is_at(&self, file: &File, name: &str) -> bool {
        let found = fs::symlink_metadata(self.directory.join(name));
        matches!((file.metadata(), found), (Ok(ours), Ok(there)) if ours.ino() == there.ino())
    }

    fn file(&self, name: &str, options: &mut OpenOptions) -> std::io::Result<File> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits()).open(self.directory.join(name))
    }

    /// Was the directory, or what it has of `person`, found down a moment ago?
    pub fn rest(&self, person: &Principal, now: Timestamp) -> Option<LiveError> {
        let mark = self
            .read_mark(EVERYBODY, "-", now)
            .or_else(|| self.read_mark(&of_name("down", person.as_str()), person.as_str(), now))?;
        Some(LiveError::resting(&mark.reason, &mark.text, mark.age, REST))
    }

    /// Lets the next runs spare themselves the question that failed with `error`.
    pub fn mark(&self, person: &Principal, error: &LiveError, now: Timestamp) {
        let (name, whose) = match error.concerns {
            _ if !error.reason.is_outage() => return,
            Concerns::Everybody => (EVERYBODY.to_string(), "-"),
            // Not everybody's: a person's own entry may be made to choke the child.
            Concerns::Person => (of_name("down", person.as_str()), person.as_str()),
            Concerns::ThisHost => return,
        };
        self.write_mark(&name, whose, &format!("{} {}", error.reason, error.text), now);
    }

    /// Did the command `name` of `[[keys.chain]]` stall a moment ago when it was asked about `account`?
    pub fn stalled(&self, name: &str, account: &Account, now: Timestamp) -> bool {
        self.read_mark(&stall_of(name, account), account.as_str(), now).is_some()
    }

    /// Lets the next runs spare themselves that command. For this account alone: a person who can make it stall for
    /// one must not take it away from all.
    pub fn mark_stalled(&self, name: &str, account: &Account, now: Timestamp) {
        self.write_mark(&stall_of(name, account), account.as_str(), "- -", now);
    }

    /// The mark in `name`, if it is there, about `whose`, and counts still.
    fn read_mark(&self, name: &str, whose: &str, now: Timestamp) -> Option<Mark> {
        let text = self.read(name)?;
        let mut words = text.strip_suffix('\n')?.splitn(4, ' ');
        let age = age(words.next()?, now)?;
        let about = words.next()? == whose;
        let mark = Mark { age, reason: words.next()?.to_string(), text: words.next()?.to_string() };
        about.then_some(mark)
    }

    /// `what` is a reason and a text.
    fn write_mark(&self, name: &str, whose: &str, what: &str, now: Timestamp) {
        if self.sweep(now) < MOST_FILES {
            self.write(name, &format!("{} {whose} {what}\n", now.unix()));
        }
    }

    fn read(&self, name: &str) -> Option<String> {
        let mut text = String::new();
        let file = self.file(name, OpenOptions::new().read(true)).ok()?;
        file.take(LONGEST_MARK).read_to_string(&mut text).ok()?;
        Some(text)
    }

    fn write(&self, name: &str, text: &str) {
        let options = &mut OpenOptions::new();
        if let Ok(mut file) = self.file(name, options.write(true).create(true).truncate(true)) {
            let _ = file.write_all(text.as_bytes());
        }
    }

    /// Removes locks and marks that nobody needs any more; how many there are besides. Anybody can make sshd ask
    /// about as many names as they like.
    fn sweep(&self, now: Timestamp) -> usize {
        let Ok(entries) = fs::read_dir(&self.directory) else { return 0 };
        let ours = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            KINDS.iter().any(|kind| name.as_encoded_bytes().starts_with(kind.as_bytes()))
        });
        let is_old = |entry: &fs::DirEntry| {
            entry.metadata().is_ok_and(|found| now.unix().abs_diff(found.mtime()) > FORGOTTEN.unsigned_abs())
        };
        ours.filter(|entry| !(is_old(entry) && fs::remove_file(entry.path()).is_ok())).count()
    }

    /// The directory has answered about `person`.
    pub fn unmark(&self, person: &Principal) {
        for name in [EVERYBODY.to_string(), of_name("down", person.as_str())] {
            let _ = fs::remove_file(self.directory.join(name));
        }
    }

    /// The servers that gave no answer a moment ago while another one did.
    pub fn resting_servers(&self, now: Timestamp) -> Vec<String> {
        let text = self.read(SERVERS).unwrap_or_default();
        let resting = |line: &str| {
            let (seconds, address) = line.split_once(' ')?;
            age(seconds, now).map(|_| address.to_string())
        };
        text.lines().filter_map(resting).take(MOST_SERVERS).collect()
    }

    /// Lets the next runs ask `servers` last. No more than that: what is said of them wrongly costs nothing.
    pub fn mark_servers(&self, servers: &[String], now: Timestamp) {
        let text = self.read(SERVERS).unwrap_or_default();
        let counts = |line: &&str| {
            let (seconds, address) = line.split_once(' ').unwrap_or_default();
            age(seconds, now).is_some() && !servers.iter().any(|server| server == address)
        };
        let new = servers.iter().filter(|server| is_address(server));
        let new = new.map(|server| format!("{} {server}\n", now.unix()));
        let old = text.lines().filter(counts).map(|line| format!("{line}\n"));
        self.write(SERVERS, &new.chain(old).take(MOST_SERVERS).collect::<String>());
    }
}

/// What a mark says.
struct Mark {
    age: Span,
    reason: String,
    text: String,
}

/// The age of a mark made at `seconds`, if it counts still.
fn age(seconds: &str, now: Timestamp) -> Option<Span> {
    let age = now.since(Timestamp::from_unix(seconds.parse().ok()?));
    (age >= Span::seconds(0) && age < REST).then_some(age)
}

fn is_address(text: &str) -> bool {
    text.len() <= LONGEST_ADDRESS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The mark of an outage of the whole directory.
const EVERYBODY: &str = "down";

/// Which servers are asked last.
const SERVERS: &str = "servers";

/// How the names of locks and marks begin of which there is one for each name that is asked about.
const KINDS: [&str; 3] = ["turn.", "down.", "stalled."];

/// The lock or mark of a person or account. Their names begin with a letter or `_`, are made of letters, digits,
/// `_`, `.` and `-`, and are short: whatever is asked about is a file's name.
fn of_name(kind: &str, name: &str) -> String {
    format!("{kind}.{name}")
}

/// The mark of a command, whose name is letters, digits, `-` and `_`, that stalled.
fn stall_of(name: &str, account: &Account) -> String {
    of_name(&format!("stalled.{name}"), account.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::LiveReason;
    use host::unanswered::Unanswered;

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
        assert_eq!(memory.rest(&person("bob"), NOW), None);
        for (reason, concerns) in [
            (LiveReason::Said(Unanswered::Ambiguous), Concerns::Person),
            (LiveReason::Said(Unanswered::Unavailable), Concerns::ThisHost),
        ] {
            memory.unmark(&alice);
            memory.mark(&alice, &LiveError { reason, concerns, text: String::new() }, NOW);
            assert_eq!(memory.rest(&alice, NOW), None, "{reason}");
        }
    }

    #[test]
    fn a_mark_says_what_was_wrong() {
        let (_directory, memory) = memory();
        let alice = person("alice");
        let busy = LiveError {
            reason: LiveReason::Said(Unanswered::Partial),
            concerns: Concerns::Person,
            text: "busy (51)".into(),
        };
        memory.mark(&alice, &busy, NOW);
        let resting = memory.rest(&alice, NOW.plus(Span::seconds(7))).unwrap();
        assert_eq!(
            (resting.reason, resting.concerns),
            (LiveReason::Said(Unanswered::Partial), Concerns::ThisHost)
        );
        assert_eq!(resting.text, "found down 7s ago, not asked again for 30s: busy (51)");
    }

    #[test]
    fn locks_and_marks_of_names_are_swept_and_limited() {
        let (directory, memory) = memory();
        let now = Timestamp::from_unix(fs::metadata(directory.path()).unwrap().mtime());
        let files = || fs::read_dir(directory.path()).unwrap().count();
        let down = LiveError::unavailable(Concerns::Person, "x");
        let nobody = |number: usize| person(&format!("n{number}"));
        for number in 0..MOST_FILES + 5 {
            fs::write(directory.path().join(format!("down.n{number}")), "").unwrap();
        }
        memory.mark(&person("alice"), &down, now);
        assert_eq!((files(), memory.rest(&person("alice"), now)), (MOST_FILES + 5, None));
        memory.mark(&nobody(0), &down, now.plus(Span::seconds(FORGOTTEN + 30)));
        assert_eq!(files(), 1);
        drop(memory.turn(&nobody(1), Instant::now()));
        assert_eq!(files(), 1, "a lock leaves nothing");
    }

    #[test]
    fn servers_rest_for_30_seconds_and_there_are_never_many() {
        let (_directory, memory) = memory();
        let servers = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        memory.mark_servers(&servers(&["ldaps://a:636", "two words", "x\ny"]), NOW);
        memory.mark_servers(&servers(&["ldaps://b:636"]), NOW.plus(Span::seconds(20)));
        let resting = |after| memory.resting_servers(NOW.plus(Span::seconds(after)));
        assert_eq!(resting(20), ["ldaps://b:636", "ldaps://a:636"]);
        assert_eq!(resting(30), ["ldaps://b:636"]);
        assert_eq!(resting(50).len(), 0);
        let many: Vec<String> = (0..100).map(|n| format!("ldaps://s{n}:636")).collect();
        memory.mark_servers(&many, NOW);
        assert_eq!(memory.resting_servers(NOW).len(), MOST_SERVERS);
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
        // Other names wait for nobody.
        let others: Vec<_> =
            (0..200).map(|n| memory.turn(&person(&format!("u{n}")), Instant::now())).collect();
        assert!(others.iter().all(|turn| turn.as_ref().is_some_and(|turn| !turn.waited)));
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
