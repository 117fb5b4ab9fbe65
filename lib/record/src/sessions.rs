//! The sessions that are open: a file each, by the id of their records, in a directory of root's in /run.
//!
//! The record of decisions says who came in; which of them are still there is told by what is in this directory. A file
//! is the record of its session's opening. It goes when the session closes; where a process was killed before it could
//! close its session, a later one that opens removes it. So there are about as many files as processes that hold a
//! session, and they need no limit.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::PathBuf;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use policy::Timestamp;

use crate::Record;
use crate::files::{FLAGS, SizeLimit, open_directory, open_or_make};

/// How many files each opening looks at. Each leaves one file behind at most, so that in the long run those whose process
/// is gone are fewer than a third of those that are open.
const MOST_LOOKED_AT: usize = 4;

/// The most names that are read to choose them.
const MOST_NAMES: usize = 4_096;

/// A file is a line; what we write is shorter.
const LONGEST: u64 = 16 * 1024;

/// How long a file may be unfinished, in seconds: a caller of sudo can stop it, and end it, at any point.
const MOST_UNFINISHED: i64 = 60;

/// The directory of open sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    directory: PathBuf,
}

impl Sessions {
    /// Where they are on a host.
    pub const DIRECTORY: &str = "/run/authkeys/sessions";

    /// Those of this host.
    pub fn of_this_host() -> Self {
        Self { directory: Self::DIRECTORY.into() }
    }

    /// Writes the file of the session that `record` is the opening of, whole or not at all. Looks at a few others.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn open(&self, record: &Record) -> io::Result<()> {
        let no_id = || io::Error::new(io::ErrorKind::InvalidInput, "there is no id to name it by");
        let id = Some(record.id.as_str()).filter(|id| is_id(id)).ok_or_else(no_id)?;
        let limit = SizeLimit::lift();
        let directory = open_or_make(&self.directory)?;
        self.sweep(&directory, id, record.time);
        let unfinished = format!(".{id}");
        let written = write(&directory, &unfinished, &record.line(), &limit)
            .and_then(|()| Ok(renameat(&directory, unfinished.as_str(), &directory, id)?));
        if written.is_err() {
            let _ = unlinkat(&directory, unfinished.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        written
    }

    /// Removes the file of the session with this id, if there is one.
    pub fn close(&self, id: &str) {
        if let (true, Ok(directory)) = (is_id(id), open_directory(&self.directory)) {
            let _ = unlinkat(&directory, id, UnlinkatFlags::NoRemoveDir);
        }
    }

    /// Is there no file of a session? Then none is open, and nothing was read to tell that.
    pub fn are_none(&self) -> bool {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        !entries.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_id))
    }

    /// The records of those that are open, in the order in which they were, and the names of files that this release does
    /// not understand. Those whose process is gone are not open.
    ///
    /// # Errors
    /// They cannot be told.
    pub fn open_now(&self) -> io::Result<(Vec<Record>, Vec<String>)> {
        let directory = match open_directory(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            opened => opened?,
        };
        let (mut records, mut unknown) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // One that is not finished, or closes while it is read, is not open.
            let Some(text) = (!name.starts_with('.')).then(|| read(&directory, &name)).flatten() else {
                continue;
            };
            match Record::read(&text) {
                Some(record) if is_id(&name) => records.push(record),
                _ => unknown.push(name),
            }
        }
        records.retain(Record::process_lives);
        records.sort_by(|one, other| (one.time, &one.id).cmp(&(other.time, &other.id)));
        unknown.sort();
        Ok((records, unknown))
    }

    /// Removes those of a few whose process is gone: the next ones behind `id` on a ring. Ids are random, and so all are
    /// looked at in time.
    fn sweep(&self, directory: &File, id: &str, now: Timestamp) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        let names =
            entries.flatten().take(MOST_NAMES).filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        let place = |name: &String| {
            let place = name.trim_start_matches('.');
            (place < id, place.to_string())
        };
        names.sort_by_cached_key(place);
        for name in names.iter().take(MOST_LOOKED_AT).filter(|name| is_over(directory, name, now)) {
            let _ = unlinkat(directory, name.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// Can this be the name of a session's file?
fn is_id(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Is the session of this file over, or will the file never be finished? What is not understood may be a newer release's.
fn is_over(directory: &File, name: &str, now: Timestamp) -> bool {
    let is_unfinished = name.strip_prefix('.').is_some_and(is_id);
    if !is_unfinished && !is_id(name) {
        return false;
    }
    if is_unfinished {
        let file = open(directory, name.as_ref(), OFlag::O_RDONLY, Mode::empty()).ok();
        let about = file.and_then(|file| file.metadata().ok());
        return about.is_some_and(|about| about.mtime() + MOST_UNFINISHED < now.unix());
    }
    let record = read(directory, name).and_then(|line| Record::read(&line));
    record.is_some_and(|record| !record.process_lives())
}

/// The text of a file; `None`: it is gone, or no text.
fn read(directory: &File, name: &str) -> Option<String> {
    let mut line = String::new();
    let file = open(directory, name.as_ref(), OFlag::O_RDONLY, Mode::empty()).ok()?;
    file.take(LONGEST).read_to_string(&mut line).ok()?;
    Some(line)
}

fn write(directory: &File, name: &str, line: &str, limit: &SizeLimit) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mut file = open(directory, name.as_ref(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // The caller's group and umask are anybody's.
    fchown(&file, Some(0), Some(0))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    limit.admits(&file, line.len() as u64)?;
    file.write_all(line.as_bytes())
}

fn open(directory: &File, name: &OsStr, flags: OFlag, mode: Mode) -> io::Result<File> {
    Ok(File::from(openat(directory, name, FLAGS | flags, mode)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn scratch() -> (tempfile::TempDir, Sessions) {
        let above = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let directory = above.path().join("a/sessions");
        (above, Sessions { directory })
    }

    fn record(id: u64) -> Record {
        Record { id: format!("{id:016x}"), person: "alice".to_string(), ..Record::at(NOW) }.by_this_process()
    }

    /// The record of a process that is gone.
    fn gone(id: u64) -> Record {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Some(child.id());
        child.wait().unwrap();
        Record { pid, ..record(id) }
    }

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_session_has_a_file_of_roots_alone_until_it_closes() {
        let (_above, sessions) = scratch();
        sessions.open(&record(1)).unwrap();
        let file = sessions.directory.join("0000000000000001");
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o600, 0, 0));
        assert_eq!(fs::metadata(&sessions.directory).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(Record::read(&fs::read_to_string(&file).unwrap()), Some(record(1)));
        sessions.open(&record(2)).unwrap();
        sessions.close("0000000000000001");
        sessions.close("0000000000000001");
        sessions.close("../sessions/0000000000000002");
        assert_eq!(names(&sessions.directory), ["0000000000000002"]);
        assert!(sessions.open(&Record::at(NOW)).is_err(), "without an id");
        fs::set_permissions(&sessions.directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(sessions.open(&record(3)).is_err(), "others can write there");
    }

    #[test]
    fn files_of_processes_that_are_gone_are_removed_a_few_at_a_time() {
        let (_above, sessions) = scratch();
        sessions.open(&record(0x10)).unwrap();
        for id in 0x20..0x26 {
            let line = gone(id).line();
            fs::write(sessions.directory.join(format!("{id:016x}")), line).unwrap();
        }
        let left = |sessions: &Sessions| names(&sessions.directory).len();
        sessions.open(&record(0x1f)).unwrap();
        assert_eq!(left(&sessions), 2 + 6 - MOST_LOOKED_AT);
        // The ring ends behind the last and goes on at the first.
        sessions.open(&record(0x25_0000)).unwrap();
        assert_eq!(left(&sessions), 3 + 6 - MOST_LOOKED_AT - 2, "the first two are of one that lives");
        sessions.open(&record(0x1e)).unwrap();
        assert_eq!(left(&sessions), 4);
    }

    #[test]
    fn those_that_are_open_are_listed_in_their_order() {
        let (_above, sessions) = scratch();
        assert!(sessions.are_none());
        assert_eq!(sessions.open_now().unwrap(), (vec![], vec![]), "before the first");
        let later = Record { time: Timestamp::from_unix(NOW.unix() + 1), ..record(1) };
        sessions.open(&later).unwrap();
        sessions.open(&record(2)).unwrap();
        let put = |name: &str, text: &str| fs::write(sessions.directory.join(name), text).unwrap();
        put("0000000000000003", &gone(3).line());
        put(".0000000000000004", &record(4).line());
        assert!(!sessions.are_none());
        put("notes", "");
        put("0000000000000005", "garbled");
        let unknown = ["0000000000000005", "notes"].map(String::from).to_vec();
        assert_eq!(sessions.open_now().unwrap(), (vec![record(2), later], unknown));
        fs::set_permissions(&sessions.directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(sessions.open_now().is_err(), "others can write there");
    }

    #[test]
    fn what_others_write_there_stays_and_what_is_unfinished_only_for_a_minute() {
        let (_above, sessions) = scratch();
        sessions.open(&record(1)).unwrap();
        let put = |name: &str, text: &str| fs::write(sessions.directory.join(name), text).unwrap();
        let next_form = gone(2).line().replace("\"version\":1", "\"version\":2");
        put("0000000000000002", &next_form);
        put("0000000000000003", "garbled");
        put("notes", "");
        let clock = fs::metadata(sessions.directory.join("notes")).unwrap().mtime();
        let open = |after: i64| {
            put(".00000000000000ff", "");
            let time = Timestamp::from_unix(clock + after);
            sessions.open(&Record { time, ..record(0xf) }).unwrap();
            names(&sessions.directory)
        };
        assert_eq!(open(30).len(), 6);
        fs::remove_file(sessions.directory.join("notes")).unwrap();
        let others = ["0000000000000001", "0000000000000002", "0000000000000003", "000000000000000f"];
        assert_eq!(open(90), others);
        // Looks at all of them.
        sessions.open(&record(1)).unwrap();
        assert_eq!(names(&sessions.directory), others);
    }
}
