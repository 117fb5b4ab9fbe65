//! Refuses files that others could have written.
//!
//! Programs that run as root, as sshd's helper or inside other processes read files that other
//! users write. They open a file once, without following links and without waiting, and judge the
//! open descriptor: a regular file with one name, an owner who may be believed, no write permission
//! for group or others. Every directory above it is judged too: all but the last are root's, the
//! last and the file have one owner. No user or group name is looked up, so that a module loaded
//! by every process can apply the rule.
//!
//! Between the judgement of a path and a later open by name (SQLite opens by name) only root and
//! that one owner can exchange the file, and those two are believed anyway.

#![forbid(unsafe_code)]

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;

/// Who may own a file that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Root alone: configuration, secrets, whatever says what is allowed.
    Root,
    /// Root, or the service that owns the directory the file is in: published copies.
    Service,
}

/// Why a file is not believed.
#[derive(Debug)]
pub struct Refusal {
    /// The file that was asked for.
    pub path: PathBuf,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Why {
    /// It is not there.
    Missing,
    /// The system did not let it be read.
    Unreadable(io::Error),
    /// Others could have written it, or can read a secret; at which path, and why that follows.
    Untrusted(PathBuf, &'static str),
    /// It is larger than anything that belongs there; the limit in bytes.
    TooLarge(u64),
}

impl Refusal {
    /// Is the file simply not there?
    pub fn is_missing(&self) -> bool {
        matches!(self.why, Why::Missing)
    }

    /// May the caller not read it, whatever it is?
    pub fn is_denied(&self) -> bool {
        matches!(&self.why, Why::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Missing => write!(f, "{path}: no such file"),
            Why::Unreadable(error) => write!(f, "{path}: {error}"),
            Why::Untrusted(at, why) if *at == self.path => write!(f, "{path}: refused, {why}"),
            Why::Untrusted(at, why) => write!(f, "{path}: refused, {} {why}", at.display()),
            Why::TooLarge(limit) => write!(f, "{path}: refused, larger than {limit} bytes"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Opens `path` for reading if only `owner` could have written it.
pub fn open(path: &Path, owner: Owner) -> Result<File, Refusal> {
    judge(path, owner).map_err(|why| Refusal { path: path.to_path_buf(), why }).map(|(file, _)| file)
}

/// Reads the whole of `path`, at most `largest` bytes, if only `owner` could have written it.
pub fn read(path: &Path, owner: Owner, largest: u64) -> Result<Vec<u8>, Refusal> {
    let refuse = |why| Refusal { path: path.to_path_buf(), why };
    let (file, metadata) = judge(path, owner).map_err(refuse)?;
    read_bounded(&file, &metadata, largest).map_err(refuse)
}

/// As [`read`], for a file that the world must not be able to read either.
pub fn read_secret(path: &Path, owner: Owner, largest: u64) -> Result<Vec<u8>, Refusal> {
    let refuse = |why| Refusal { path: path.to_path_buf(), why };
    let (file, metadata) = judge(path, owner).map_err(refuse)?;
    if metadata.mode() & 0o007 != 0 {
        return Err(refuse(Why::Untrusted(path.to_path_buf(), "everybody can read it; chmod o= it")));
    }
    read_bounded(&file, &metadata, largest).map_err(refuse)
}

fn read_bounded(file: &File, metadata: &Metadata, largest: u64) -> Result<Vec<u8>, Why> {
    // One byte more than the file has: the read that finds its end needs no larger buffer.
    let expected = metadata.len().min(largest).saturating_add(1);
    let mut content = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    file.take(largest.saturating_add(1)).read_to_end(&mut content).map_err(Why::Unreadable)?;
    if content.len() as u64 > largest {
        return Err(Why::TooLarge(largest));
    }
    Ok(content)
}

fn judge(path: &Path, owner: Owner) -> Result<(File, Metadata), Why> {
    let keeper = judge_parents(path)?;
    if owner == Owner::Root && keeper != 0 {
        return Err(Why::Untrusted(path.to_path_buf(), "its directory is not root's"));
    }
    // O_NONBLOCK: a FIFO in the file's place must not hold up a login (Linux-PAM CVE-2024-22365).
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|error| {
        match error.raw_os_error() {
            Some(code) if code == nix::errno::Errno::ELOOP as i32 => {
                Why::Untrusted(path.to_path_buf(), "it is a symbolic link; name the file itself")
            }
            _ if error.kind() == io::ErrorKind::NotFound => Why::Missing,
            _ => Why::Unreadable(error),
        }
    })?;
    let metadata = file.metadata().map_err(Why::Unreadable)?;
    let untrusted = |why| Err(Why::Untrusted(path.to_path_buf(), why));
    if !metadata.is_file() {
        return untrusted("it is not a regular file");
    }
    if metadata.nlink() != 1 {
        return untrusted("it has more than one name (hard links)");
    }
    if metadata.uid() != 0 && metadata.uid() != keeper {
        return untrusted("its owner is not the one who may write it; see chown(1)");
    }
    if metadata.mode() & 0o022 != 0 {
        return untrusted("others can write it; chmod go-w it");
    }
    Ok((file, metadata))
}

/// Judges every directory above `path`; the owner of the last one.
fn judge_parents(path: &Path) -> Result<u32, Why> {
    let parent = path.parent().filter(|_| path.is_absolute());
    let Some(parent) = parent else {
        return Err(Why::Untrusted(path.to_path_buf(), "it is not an absolute path of a file"));
    };
    let mut directory = PathBuf::new();
    let mut keeper = 0;
    for component in parent.components() {
        if !matches!(component, Component::RootDir | Component::Normal(_)) {
            return Err(Why::Untrusted(path.to_path_buf(), "its path has . or .. in it"));
        }
        if keeper != 0 {
            return Err(Why::Untrusted(directory, "is not root's, and more directories are below it"));
        }
        directory.push(component);
        let metadata = std::fs::symlink_metadata(&directory).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound { Why::Missing } else { Why::Unreadable(error) }
        })?;
        if metadata.is_symlink() {
            return Err(Why::Untrusted(directory, "is a symbolic link; name the directory itself"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(Why::Untrusted(directory, "can be written by others; chmod go-w it"));
        }
        keeper = metadata.uid();
    }
    Ok(keeper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    /// A directory that root alone can write, and a good file in it.
    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let file = directory.path().join("file");
        fs::write(&file, "content").unwrap();
        (directory, file)
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(path: &Path, owner: Owner) -> String {
        read(path, owner, 100).unwrap_err().to_string()
    }

    #[test]
    fn a_file_of_roots_is_read_up_to_its_limit() {
        let (_directory, file) = scratch();
        assert_eq!(read(&file, Owner::Root, 7).unwrap(), b"content");
        assert!(matches!(read(&file, Owner::Root, 6).unwrap_err().why, Why::TooLarge(6)));
        assert!(read(&file.with_extension("none"), Owner::Root, 7).unwrap_err().is_missing());
    }

    #[test]
    fn what_others_could_have_written_is_refused() {
        let (directory, file) = scratch();
        for bits in [0o664, 0o646] {
            mode(&file, bits);
            assert!(refused(&file, Owner::Service).contains("others can write it"));
        }
        mode(&file, 0o644);
        mode(directory.path(), 0o777);
        assert!(refused(&file, Owner::Service).contains("can be written by others"));
        mode(directory.path(), 0o755);
        chown(&file, Some(65_534), None).unwrap();
        assert!(refused(&file, Owner::Service).contains("its owner is not the one"));
        chown(directory.path(), Some(65_534), None).unwrap();
        assert!(read(&file, Owner::Service, 100).is_ok(), "a service's file in the service's directory");
        assert!(refused(&file, Owner::Root).contains("its directory is not root's"));
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/file"), "").unwrap();
        assert!(refused(&directory.path().join("below/file"), Owner::Service).contains("is not root's"));
    }

    #[test]
    fn what_is_no_plain_file_is_refused_without_waiting() {
        let (directory, file) = scratch();
        let at = |name: &str| directory.path().join(name);
        symlink(&file, at("link")).unwrap();
        assert!(refused(&at("link"), Owner::Root).contains("symbolic link"));
        symlink(directory.path(), at("way")).unwrap();
        assert!(refused(&at("way/file"), Owner::Root).contains("symbolic link"));
        fs::hard_link(&file, at("twin")).unwrap();
        assert!(refused(&file, Owner::Root).contains("more than one name"));
        std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        mode(&at("pipe"), 0o644);
        assert!(refused(&at("pipe"), Owner::Root).contains("not a regular file"));
        assert!(refused(Path::new("/dev/zero"), Owner::Root).contains("refused"));
        assert!(refused(Path::new("relative"), Owner::Root).contains("not an absolute path"));
    }

    #[test]
    fn a_secret_is_not_for_the_world_to_read() {
        let (_directory, file) = scratch();
        mode(&file, 0o644);
        assert!(
            read_secret(&file, Owner::Root, 100).unwrap_err().to_string().contains("everybody can read it")
        );
        mode(&file, 0o640);
        assert!(read_secret(&file, Owner::Root, 100).is_ok());
    }
}
