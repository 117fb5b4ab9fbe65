//! The audit file: where records go, and whatever keeps it from being flooded, forged or stalled.
//!
//! It is written by root from inside other people's programs, so nothing here waits, and nothing here is a
//! lock: a caller of sudo can stop it at any point, and a lock in its hands would stop everybody. What has to be
//! counted is counted by the length of files that are only ever appended to: the kernel appends whole, and tells
//! each writer where it stood.
//!
//! * `seq`, a byte for each record, numbers them. A number that is missing from the audit file was lost. With the boot, whose
//!   count it is, it names a record: no other of this host has both.
//! * `WHO.MINUTE`, a byte for each record that this person asked for in that minute. Beyond [`MOST`] they are
//!   dropped, and the first record after that minute says how many.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use policy::Timestamp;

use crate::files::{FLAGS, SizeLimit, open_directory, open_or_make, untrusted};
use crate::record::Counts;

/// The most records of one person and one kind in a minute.
pub const MOST: u64 = 60;

/// How much of what counts records may take memory, in bytes: after so many more, all of it is given back. The file stays
/// as long as it is.
const PIECE: u64 = 1024 * 1024;

/// The length at which numbers begin again at 1, in bytes, where no memory can be given back.
const LONGEST_SEQUENCE: u64 = 16 * PIECE;

/// The most people whose drops are told in one line; what is left over is told in the next.
const MOST_TOLD: usize = 4;

/// The most files of past minutes that one record looks at.
const MOST_LOOKED_AT: usize = 4_096;

/// Where counts are kept: gone with the next boot, as whatever they count against is.
const STATE: &str = "/run/authkeys/audit";

/// What a record may say of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticket {
    /// Its number; `None`: nothing can be counted on this host now.
    pub number: Option<u64>,
    /// Whose records were dropped in minutes that are over, and how many.
    pub dropped: Counts,
}

/// The audit file of this host.
#[derive(Debug, Clone)]
pub struct Spool {
    file: PathBuf,
    state: PathBuf,
}

impl Spool {
    /// The file at `file`, with the counts of this host.
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_path_buf(), state: STATE.into() }
    }

    /// Asks for room for one more record of `who`, a name that a file can have; `None`: they had too many.
    /// Where nothing can be counted there is always room: who cannot be counted must not go unseen.
    pub fn ticket(&self, who: &str, now: Timestamp) -> Option<Ticket> {
        let limit = SizeLimit::lift();
        let Ok(state) = open_or_make(&self.state) else { return Some(Ticket::default()) };
        let minute = now.unix().div_euclid(60);
        let position = append_byte(&state, &format!("{who}.{minute}"), &limit).map(|(_, position)| position);
        if position.as_ref().is_ok_and(|&position| position > MOST) {
            return None;
        }
        let is_first = position.is_ok_and(|position| position == 1);
        let dropped = if is_first { self.forget_before(minute, &state) } else { Vec::new() };
        Some(Ticket { number: next_number(&state, &limit), dropped: Counts(dropped) })
    }

    /// A number for one more record of somebody who has room already.
    pub fn number(&self) -> Ticket {
        let limit = SizeLimit::lift();
        let number = open_or_make(&self.state).ok().and_then(|state| next_number(&state, &limit));
        Ticket { number, dropped: Counts::default() }
    }

    /// Appends one line.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn append(&self, line: &str) -> io::Result<()> {
        let limit = SizeLimit::lift();
        let (directory, name) = open_directory_of(&self.file)?;
        let mut file = open_file(&directory, name)?;
        // Where a full disk cut the last line short, only that one is spoilt. A process that looks while another one
        // writes sees the same; that costs an empty line, which readers pass over.
        let length = file.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        let text = if last == [b'\n'] { line.to_string() } else { format!("\n{line}") };
        limit.admits(&file, text.len() as u64)?;
        // One call, so that lines are whole beside those of others.
        let written = file.write(text.as_bytes())?;
        if written == text.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// Removes the counts of minutes before `minute`; whose were beyond what is recorded, and by how many. Two
    /// who do this at once do not tell the same drops: one of them removes the file.
    fn forget_before(&self, minute: i64, state: &File) -> Vec<(String, u64)> {
        let mut dropped = Vec::new();
        let Ok(entries) = std::fs::read_dir(&self.state) else { return dropped };
        for entry in entries.flatten().take(MOST_LOOKED_AT) {
            let name = entry.file_name();
            let parts = name.to_str().and_then(|name| name.rsplit_once('.'));
            let parts = parts.and_then(|(who, then)| Some((who, then.parse::<i64>().ok()?)));
            let Some((who, then)) = parts else { continue };
            let count = entry.metadata().map_or(0, |metadata| metadata.len()).saturating_sub(MOST);
            if then == minute || (count > 0 && dropped.len() == MOST_TOLD) {
                continue;
            }
            let is_ours = unlinkat(state, name.as_os_str(), UnlinkatFlags::NoRemoveDir).is_ok();
            if is_ours && count > 0 {
                dropped.push((who.to_string(), count));
            }
        }
        dropped
    }
}

/// How many records were numbered on this host since its boot; `None` if that cannot be told.
pub fn counted() -> Option<u64> {
    let state = open_directory(Path::new(STATE)).ok()?;
    let flags = FLAGS.difference(OFlag::O_APPEND) | OFlag::O_RDONLY;
    let file = File::from(openat(&state, "seq", flags, Mode::empty()).ok()?);
    file.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
}

fn next_number(state: &File, limit: &SizeLimit) -> Option<u64> {
    let (file, number) = append_byte(state, "seq", limit).ok()?;
    if number.is_multiple_of(PIECE) && give_back(&file, number).is_err() && number >= LONGEST_SEQUENCE {
        let _ = unlinkat(state, "seq", UnlinkatFlags::NoRemoveDir);
    }
    Some(number)
}

/// Gives back the memory of the first `bytes` of a file, which keeps its length: what is in it, nobody reads.
fn give_back(file: &File, bytes: u64) -> io::Result<()> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let bytes = bytes.try_into().map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok(fallocate(file, flags, 0, bytes)?)
}

/// Appends a byte; the file, and how long it was after it, by the writer's own position: no two are told the same.
fn append_byte(state: &File, name: &str, limit: &SizeLimit) -> io::Result<(File, u64)> {
    let flags = FLAGS | OFlag::O_WRONLY | OFlag::O_CREAT;
    let mut file = File::from(openat(state, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    limit.admits(&file, 1)?;
    if file.write(b".")? != 1 {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let position = file.stream_position()?;
    Ok((file, position))
}

/// Opens an audit file for reading, if root alone could have written it.
///
/// # Errors
/// Why it cannot be read, or is not trusted.
pub fn open(path: &Path) -> io::Result<File> {
    let (directory, name) = open_directory_of(path)?;
    let flags = FLAGS.difference(OFlag::O_APPEND) | OFlag::O_RDONLY;
    let file = File::from(openat(&directory, name, flags, Mode::empty())?);
    judge(&file)?;
    Ok(file)
}

/// Opens the audit file, or makes it: root's, and readable by its directory's group.
fn open_file(directory: &File, name: &Path) -> io::Result<File> {
    let open = |more, mode| openat(directory, name, FLAGS | OFlag::O_RDWR | more, mode).map(File::from);
    let file = match open(OFlag::empty(), Mode::empty()) {
        Err(Errno::ENOENT) => match open(OFlag::O_CREAT | OFlag::O_EXCL, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(file) => {
                // The caller's group and umask are anybody's.
                fchown(&file, Some(0), Some(directory.metadata()?.gid()))?;
                file.set_permissions(std::fs::Permissions::from_mode(0o640))?;
                file
            }
            // Another login was first.
            Err(_) => open(OFlag::empty(), Mode::empty())?,
        },
        other => other?,
    };
    judge(&file)?;
    Ok(file)
}

/// Is it a regular file of root's, which nobody else can write?
fn judge(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let is_ours =
        metadata.is_file() && metadata.nlink() == 1 && metadata.uid() == 0 && metadata.mode() & 0o022 == 0;
    if is_ours { Ok(()) } else { Err(untrusted("is not root's alone")) }
}

/// The directory in which `path` is, and its name there. Every directory above is root's, and none is for
/// everybody to write. (Ubuntu's /var/log is its group's to write: its members can remove what is there,
/// and make nothing that would be trusted.)
fn open_directory_of(path: &Path) -> io::Result<(File, &Path)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(untrusted("is no path of a file"));
    };
    for above in parent.ancestors().skip(1) {
        let metadata = std::fs::symlink_metadata(above)?;
        if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o002 != 0 {
            return Err(untrusted("is in a directory that is not root's"));
        }
    }
    Ok((open_directory(parent)?, Path::new(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    /// A spool in a directory that root alone can write.
    fn scratch() -> (tempfile::TempDir, Spool) {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let (file, state) = (directory.path().join("log"), directory.path().join("a/state"));
        (directory, Spool { file, state })
    }

    #[test]
    fn a65_beyond_a_minutes_worth_records_are_dropped_and_counted_and_others_are_not() {
        let (_directory, spool) = scratch();
        let passed = (0..10_000).filter(|_| spool.ticket("bob-", NOW).is_some()).count();
        assert_eq!(passed as u64, MOST);
        let alice = spool.ticket("alice+", NOW).unwrap();
        assert_eq!(
            alice,
            Ticket { number: Some(MOST + 1), dropped: Counts::default() },
            "bob's minute is not over"
        );
        let later = spool.ticket("alice+", NOW.plus(policy::Span::minutes(1))).unwrap();
        assert_eq!(later.dropped.to_string(), format!("bob-:{}", 10_000 - MOST));
        assert_eq!(later.number, Some(MOST + 2), "numbers are for what is written");
        let files = fs::read_dir(&spool.state).unwrap().count();
        assert_eq!(files, 2, "what is over is forgotten");
        assert_eq!(fs::metadata(&spool.state).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn numbers_go_on_for_as_long_as_the_boot_and_take_no_memory() {
        let (_directory, spool) = scratch();
        assert_eq!(spool.number().number, Some(1));
        let seq = spool.state.join("seq");
        fs::write(&seq, vec![b'.'; usize::try_from(LONGEST_SEQUENCE).unwrap() - 1]).unwrap();
        assert!(fs::metadata(&seq).unwrap().blocks() > 0);
        assert_eq!(spool.number().number, Some(LONGEST_SEQUENCE));
        assert_eq!(fs::metadata(&seq).unwrap().blocks(), 0, "no memory");
        assert_eq!(spool.number().number, Some(LONGEST_SEQUENCE + 1));
    }

    #[test]
    fn concurrent_writers_get_numbers_of_their_own_and_whole_lines() {
        let (_directory, spool) = scratch();
        let write = |who: usize| {
            for _ in 0..50 {
                let ticket = spool.ticket(&format!("uid={who}"), NOW).unwrap();
                spool.append(&format!("{} {}\n", ticket.number.unwrap(), "x".repeat(700))).unwrap();
            }
        };
        std::thread::scope(|scope| {
            for who in 0..4 {
                scope.spawn(move || write(who));
            }
        });
        let text = fs::read_to_string(&spool.file).unwrap();
        let lines = || text.lines().filter(|line| !line.is_empty());
        let mut numbers: Vec<u64> =
            lines().map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).collect();
        assert!(lines().all(|line| line.ends_with(&"x".repeat(700))));
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let (_directory, spool) = scratch();
        spool.append("one\n").unwrap();
        fs::OpenOptions::new().append(true).open(&spool.file).unwrap().write_all(b"tw").unwrap();
        spool.append("three\n").unwrap();
        assert_eq!(fs::read_to_string(&spool.file).unwrap(), "one\ntw\nthree\n");
        assert_eq!(fs::metadata(&spool.file).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn what_is_not_roots_alone_is_not_written() {
        let (directory, spool) = scratch();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        spool.append("one\n").unwrap();
        mode(&spool.file, 0o660);
        assert!(spool.append("two\n").is_err(), "others can write it");
        mode(&spool.file, 0o640);
        mode(directory.path(), 0o777);
        assert!(spool.append("two\n").is_err(), "others can replace it");
        fs::create_dir(directory.path().join("below")).unwrap();
        let below = Spool { file: directory.path().join("below/log"), ..spool.clone() };
        assert!(below.append("two\n").is_err(), "others can replace its directory");
        assert_eq!(spool.ticket("bob", NOW), Some(Ticket { number: Some(1), dropped: Counts::default() }));
        mode(directory.path(), 0o755);
        fs::rename(&spool.file, directory.path().join("other")).unwrap();
        std::os::unix::fs::symlink("other", &spool.file).unwrap();
        assert!(spool.append("two\n").is_err(), "a link");
        fs::remove_file(&spool.file).unwrap();
        fs::hard_link(directory.path().join("other"), &spool.file).unwrap();
        assert!(spool.append("two\n").is_err(), "a second name");
        fs::remove_file(&spool.file).unwrap();
        std::process::Command::new("mkfifo").arg(&spool.file).status().unwrap();
        assert!(spool.append("two\n").is_err(), "a pipe that nobody reads");
        mode(&spool.state, 0o777);
        assert_eq!(spool.ticket("bob", NOW), Some(Ticket::default()), "counts that others could have made");
        assert_eq!(fs::read_to_string(directory.path().join("other")).unwrap(), "one\n");
    }
}
