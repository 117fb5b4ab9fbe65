//! history.jsonl: one line for each change of who could become root. The databases are replaced whole and
//! forget; whoever audits asks who *could*, not only who did.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use host::Config;
use nix::fcntl::OFlag;
use policy::Timestamp;
use serde_json::json;
use status::SyncStatus;

use super::changes::Changes;

/// The size after which a new file is begun, in bytes: some years of an ordinary team.
const LARGEST: u64 = 8 * 1024 * 1024;

/// How many full files are kept beside the one that is written.
const KEPT: u32 = 9;

/// Where the history is: beside the roster.
pub fn path(config: &Config) -> PathBuf {
    config.paths.roster.with_file_name("history.jsonl")
}

/// Appends `changes`, seen at `now`, and has them on disk before it returns. A new policy is a change as well:
/// whose shifts admit to this host depends on it.
///
/// # Errors
/// Text that says what could not be written.
pub fn append(config: &Config, changes: &Changes, now: Timestamp) -> Result<(), String> {
    let policy = status::policy_digest(config);
    let before = SyncStatus::read(&status::path(config)).ok().map(|report| report.policy);
    let more =
        [("seen", now.to_string()), ("host", config.rules.host.name.clone()), ("policy", policy.clone())];
    let mut records = changes.records(&more);
    if before.is_some_and(|before| !before.is_empty() && before != policy) {
        let host = &config.rules.host.name;
        let seen = now.to_string();
        records.insert(
            0,
            json!({ "version": 1, "change": "policy", "seen": seen, "host": host, "policy": policy }),
        );
    }
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let path = path(config);
    write(&path, &lines).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, lines: &str) -> io::Result<()> {
    let mut file = open(path)?;
    if file.metadata()?.len() >= LARGEST {
        rotate(path)?;
        file = open(path)?;
    }
    // One call: a reader, and a crash, see whole lines or the start of the last one. What did not fit goes again.
    let before = file.metadata()?.len();
    let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
    written.inspect_err(|_| drop(file.set_len(before)))
}

/// No link is followed and nothing waits: the directory is the service's, and root may be the caller.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags.bits()).open(path)
}

fn rotate(path: &Path) -> io::Result<()> {
    let numbered = |number: u32| path.with_extension(format!("jsonl.{number}"));
    for number in (1..KEPT).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, numbered(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_full_file_makes_room_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.jsonl");
        write(&path, "first\n").unwrap();
        write(&path, "second\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsecond\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        for round in 0..=KEPT {
            File::options().write(true).open(&path).unwrap().set_len(LARGEST).unwrap();
            write(&path, &format!("round {round}\n")).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("round {KEPT}\n"));
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1 + usize::try_from(KEPT).unwrap());
    }
}
