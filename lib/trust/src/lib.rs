//! Refuses files that others could have written.
//!
//! Programs that run as root, as sshd's helper or inside other processes read files that other
//! users write. They open a file once, without following links and without waiting, and judge the
//! open descriptor: a regular file with one name, an owner who may be trusted, no write permission
//! for group or others. Every directory above it is judged too: all but the last are root's, the
//! last and the file have one owner. No user or group name is looked up, so that a module loaded
//! by every process can apply the rule.
//!
//! Between the judgement of a path and a later open by name (SQLite opens by name) only root and
//! that one owner can exchange the file, and those two are trusted anyway.

#![forbid(unsafe_code)]

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;

/// Who may own a file that is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Root alone: configuration, secrets, whatever says what is allowed.
    Root,
    /// Root, or the service that owns the directory the file is in: published copies.
    Service,
}

/// Why a file is not trusted.
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

impl Why {
    fn from_system(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Unreadable(error) }
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

/// A directory that was judged with all above it, for who reads several files in it: they are not judged again for each.
/// Root alone could have exchanged one of them since.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Who owns it.
    keeper: u32,
}

impl Directory {
    /// Judges the directory that `file` is in.
    ///
    /// # Errors
    /// It, or one above it, is not there or others could write it.
    pub fn of(file: &Path) -> Result<Self, Refusal> {
        let keeper = judge_parents(file).map_err(|why| Refusal { path: file.to_path_buf(), why })?;
        Ok(Self { path: file.parent().unwrap_or(file).to_path_buf(), keeper })
    }

    /// As [`open`], of a file that is in this directory; what is elsewhere is judged whole.
    pub fn open(&self, file: &Path, owner: Owner) -> Result<File, Refusal> {
        self.judge(file, owner).map(|(file, _)| file)
    }

    /// As [`read`], of a file that is in this directory; what is elsewhere is judged whole.
    pub fn read(&self, file: &Path, owner: Owner, largest: u64) -> Result<Vec<u8>, Refusal> {
        let (opened, metadata) = self.judge(file, owner)?;
        read_bounded(&opened, &metadata, largest).map_err(|why| Refusal { path: file.to_path_buf(), why })
    }

    fn judge(&self, file: &Path, owner: Owner) -> Result<(File, Metadata), Refusal> {
        let is_here = file.parent() == Some(&self.path) && file.file_name().is_some();
        let keeper = if is_here { Ok(self.keeper) } else { judge_parents(file) };
        let judged = keeper.and_then(|keeper| judge(keeper, file, owner));
        judged.map_err(|why| Refusal { path: file.to_path_buf(), why })
    }
}

/// Opens `path` for reading if only `owner` could have written it.
pub fn open(path: &Path, owner: Owner) -> Result<File, Refusal> {
    Directory::of(path)?.open(path, owner)
}

/// Reads the whole of `path`, at most `largest` bytes, if only `owner` could have written it.
pub fn read(path: &Path, owner: Owner, largest: u64) -> Result<Vec<u8>, Refusal> {
    Directory::of(path)?.read(path, owner, largest)
}

/// As [`read`], for a file that the world must not be able to read either.
pub fn read_secret(path: &Path, owner: Owner, largest: u64) -> Result<Vec<u8>, Refusal> {
    let refuse = |why| Refusal { path: path.to_path_buf(), why };
    let (file, metadata) = Directory::of(path)?.judge(path, owner)?;
    if metadata.mode() & 0o007 != 0 {
        return Err(refuse(Why::Untrusted(path.to_path_buf(), "everybody can read it; chmod o= it")));
    }
    read_bounded(&file, &metadata, largest).map_err(refuse)
}

/// Judges the Unix socket at `path`: root listens there, or the service that owns the directory it is in. Who may
/// write to it does not matter, for that is how one connects.
pub fn judge_socket(path: &Path) -> Result<(), Refusal> {
    let refuse = |why| Refusal { path: path.to_path_buf(), why };
    let untrusted = |why| Err(refuse(Why::Untrusted(path.to_path_buf(), why)));
    let keeper = judge_parents(path).map_err(refuse)?;
    let metadata = std::fs::symlink_metadata(path).map_err(|error| refuse(Why::from_system(error)))?;
    if !metadata.file_type().is_socket() {
        return untrusted("it is not a socket");
    }
    if metadata.uid() != 0 && metadata.uid() != keeper {
        return untrusted("it belongs neither to root nor to the owner of its directory");
    }
    Ok(())
}

/// The most links that are followed in one path.
const MOST_LINKS: usize = 8;

/// `path` with the links among its directories followed, for programs: /bin is one on most systems. Root alone
/// can have made them: each is in a directory that is root's and that nobody else can write. Its last name
/// is left as it is. What comes out is still to be judged, by [`open`].
pub fn follow_directories(path: &Path) -> Result<PathBuf, Refusal> {
    resolve_parents(path).map_err(|why| Refusal { path: path.to_path_buf(), why })
}

fn resolve_parents(path: &Path) -> Result<PathBuf, Why> {
    let (Some(parent), Some(name)) = (path.parent().filter(|_| path.is_absolute()), path.file_name()) else {
        return Err(Why::Untrusted(path.to_path_buf(), "it is not an absolute path"));
    };
    if parent.components().any(|part| part == Component::ParentDir) {
        return Err(Why::Untrusted(path.to_path_buf(), "its path has .. in it"));
    }
    let (mut real, mut links) = (PathBuf::from("/"), 0);
    // The next one last.
    let mut ahead: Vec<PathBuf> = parts(parent);
    while let Some(part) = ahead.pop() {
        if part == Path::new("..") {
            // `real` has no link in it, so this is what the kernel would do.
            real.pop();
            continue;
        }
        let next = real.join(&part);
        let metadata = look_at(&next)?;
        if metadata.is_symlink() {
            judge_link(&real, &next, &metadata)?;
            links += 1;
            if links > MOST_LINKS {
                return Err(Why::Untrusted(next, "is one symbolic link too many"));
            }
            ahead.extend(parts(&std::fs::read_link(&next).map_err(Why::Unreadable)?));
        } else {
            real = next;
        }
    }
    Ok(real.join(name))
}

/// The parts of a path, the first one last; an absolute one begins again at the root.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.rev().map(|part| PathBuf::from(part.as_os_str())).collect()
}

/// Could anybody but root have put the link `at` into `directory`?
fn judge_link(directory: &Path, at: &Path, link: &Metadata) -> Result<(), Why> {
    for above in directory.ancestors() {
        let metadata = look_at(above)?;
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return Err(Why::Untrusted(at.to_path_buf(), "is a symbolic link that others could have made"));
        }
    }
    if link.uid() != 0 {
        return Err(Why::Untrusted(at.to_path_buf(), "is a symbolic link that is not root's"));
    }
    Ok(())
}

fn look_at(path: &Path) -> Result<Metadata, Why> {
    std::fs::symlink_metadata(path).map_err(Why::from_system)
}

/// Reads a regular file of root's, of at most `largest` bytes, in a directory of root's. What is above that directory is not
/// judged: on Ubuntu the group of rsyslog may write /var/log, and what is kept below it would never be believed.
///
/// # Errors
/// `InvalidData`: others could have written it, or it is too long. Otherwise as the system says, `PermissionDenied` to those
/// who may not look there.
pub fn read_kept(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let file = std::fs::symlink_metadata(path)?;
    let directory = std::fs::symlink_metadata(path.parent().unwrap_or(path))?;
    let is_roots = |of: &std::fs::Metadata| of.uid() == 0 && of.mode() & 0o022 == 0;
    let not_kept = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if !file.is_file() || file.nlink() > 1 || !is_roots(&file) || !is_roots(&directory) {
        return not_kept("others could have written it");
    }
    let bytes = read_start(path, largest.saturating_add(1))?;
    if bytes.len() as u64 > largest { not_kept("too long") } else { Ok(bytes) }
}

/// Reads the first `most` bytes of the regular file at `path`, by whomever they were written: what is read is checked by what it
/// says, as by a signature or a digest, or no harm comes of it. No link is followed, and no FIFO waited for. Whether a file
/// is longer than `n` bytes shows who asks for `n + 1`.
///
/// # Errors
/// There is no regular file of this name, or it cannot be read.
pub fn read_start(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_itself(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        start_of(&file, &metadata, most)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

fn start_of(file: &File, metadata: &Metadata, most: u64) -> io::Result<Vec<u8>> {
    // One byte more than the file has: the read that finds its end needs no larger buffer.
    let expected = metadata.len().saturating_add(1).min(most);
    let mut content = Vec::new();
    // A host that has no memory left must not be ended by a file's size.
    content
        .try_reserve_exact(usize::try_from(expected).unwrap_or(usize::MAX))
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    file.take(most).read_to_end(&mut content)?;
    Ok(content)
}

fn read_bounded(file: &File, metadata: &Metadata, largest: u64) -> Result<Vec<u8>, Why> {
    let content = start_of(file, metadata, largest.saturating_add(1)).map_err(Why::Unreadable)?;
    if content.len() as u64 > largest {
        return Err(Why::TooLarge(largest));
    }
    Ok(content)
}

/// Opens what has this name and not what a link there points to.
fn open_itself(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: a FIFO in the file's place must not hold up a login (Linux-PAM CVE-2024-22365).
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// Opens the file at `path`, whose directory is this `keeper`'s, and judges it.
fn judge(keeper: u32, path: &Path, owner: Owner) -> Result<(File, Metadata), Why> {
    if owner == Owner::Root && keeper != 0 {
        return Err(Why::Untrusted(path.to_path_buf(), "its directory is not root's"));
    }
    let file = open_itself(path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == nix::errno::Errno::ELOOP as i32 => {
            Why::Untrusted(path.to_path_buf(), "it is a symbolic link; name the file itself")
        }
        _ if error.kind() == io::ErrorKind::NotFound => Why::Missing,
        _ => Why::Unreadable(error),
    })?;
    let metadata = file.metadata().map_err(Why::Unreadable)?;
    let untrusted = |why| Err(Why::Untrusted(path.to_path_buf(), why));
    if !metadata.is_file() {
        return untrusted("it is not a regular file");
    }
    // No name at all: it was replaced since it was opened, and what is held is the old state, whole.
    if metadata.nlink() > 1 {
        return untrusted("it has more than one name (hard links)");
    }
    if metadata.uid() != 0 && metadata.uid() != keeper {
        return untrusted("it belongs to the wrong user; see chown(1)");
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
        return Err(Why::Untrusted(path.to_path_buf(), "it is not an absolute path"));
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
        let metadata = look_at(&directory)?;
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
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

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
        assert!(refused(&file, Owner::Service).contains("it belongs to the wrong user"));
        chown(directory.path(), Some(65_534), None).unwrap();
        assert!(read(&file, Owner::Service, 100).is_ok(), "a service's file in the service's directory");
        assert!(refused(&file, Owner::Root).contains("its directory is not root's"));
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/file"), "").unwrap();
        assert!(refused(&directory.path().join("below/file"), Owner::Service).contains("is not root's"));
    }

    #[test]
    fn a_directory_is_judged_once_for_the_files_in_it_and_for_no_other() {
        let (directory, file) = scratch();
        let judged = Directory::of(&file).unwrap();
        let refused = |path: &Path| judged.read(path, Owner::Service, 100).unwrap_err().to_string();
        let twin = directory.path().join("twin");
        fs::write(&twin, "other").unwrap();
        assert_eq!(judged.read(&twin, Owner::Root, 100).unwrap(), b"other");
        assert!(judged.read(&twin, Owner::Root, 4).is_err());
        mode(&twin, 0o666);
        assert!(refused(&twin).contains("others can write it"), "each file is judged");
        fs::create_dir(directory.path().join("below")).unwrap();
        mode(&directory.path().join("below"), 0o777);
        fs::write(directory.path().join("below/file"), "").unwrap();
        assert!(refused(&directory.path().join("below/file")).contains("can be written by others"));
        assert!(refused(&directory.path().join("below/../file")).contains(".."));
        assert!(refused(Path::new("file")).contains("not an absolute path"));
        mode(directory.path(), 0o777);
        assert!(Directory::of(&file).unwrap_err().to_string().contains("can be written by others"));
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
    fn of_a_file_that_nobody_vouches_for_the_start_is_read_and_nothing_else_is_waited_for() {
        let (directory, _) = scratch();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("anybodys"), "abc").unwrap();
        mode(&at("anybodys"), 0o666);
        for (most, start) in [(0, ""), (2, "ab"), (3, "abc"), (u64::MAX, "abc")] {
            assert_eq!(read_start(&at("anybodys"), most).unwrap(), start.as_bytes());
        }
        symlink(at("anybodys"), at("link")).unwrap();
        std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        for name in ["link", "pipe", "", "none"] {
            assert!(read_start(&at(name), 9).is_err(), "{name}");
        }
    }

    #[test]
    fn a_socket_is_roots_or_the_services_whose_directory_it_is_in() {
        let (directory, file) = scratch();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        mode(&socket, 0o777);
        assert!(judge_socket(&socket).is_ok());
        let refused = |path: &Path| judge_socket(path).unwrap_err().to_string();
        assert!(refused(&file).contains("it is not a socket"));
        symlink(&socket, directory.path().join("link")).unwrap();
        assert!(refused(&directory.path().join("link")).contains("it is not a socket"));
        assert!(judge_socket(&directory.path().join("none")).unwrap_err().is_missing());
        chown(&socket, Some(65_534), None).unwrap();
        assert!(refused(&socket).contains("it belongs neither to root nor"));
        chown(directory.path(), Some(65_534), None).unwrap();
        assert!(judge_socket(&socket).is_ok());
        mode(directory.path(), 0o777);
        assert!(refused(&socket).contains("can be written by others"));
    }

    #[test]
    fn links_that_root_alone_can_have_made_lead_to_a_program() {
        let (directory, file) = scratch();
        let at = |name: &str| directory.path().join(name);
        let followed = |name: &str| follow_directories(&at(name)).map_err(|refusal| refusal.to_string());
        fs::create_dir_all(at("usr/bin")).unwrap();
        symlink("usr/bin", at("bin")).unwrap();
        symlink(directory.path(), at("usr/bin/top")).unwrap();
        symlink("../../usr/./bin", at("usr/bin/back")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for (name, real) in [
            ("file", "file"),
            ("usr/bin/x", "usr/bin/x"),
            ("bin/x", "usr/bin/x"),
            ("bin/top/bin/x", "usr/bin/x"),
            ("bin/back/x", "usr/bin/x"),
            // The last name is left to `open`, which refuses a link.
            ("bin/top", "usr/bin/top"),
        ] {
            assert_eq!(followed(name), Ok(at(real)), "{name}");
        }
        assert!(followed("loop/x").unwrap_err().contains("one symbolic link too many"));
        assert!(followed("none/x").unwrap_err().contains("no such file"));
        assert!(open(&follow_directories(&at("bin/top/file")).unwrap(), Owner::Root).is_ok());
        assert!(open(&at("bin/top/file"), Owner::Root).is_err(), "what is not followed is not opened");
        assert_eq!(follow_directories(&file).unwrap(), file);

        lchown(at("bin"), Some(65_534), None).unwrap();
        assert!(followed("bin/x").unwrap_err().contains("is a symbolic link that is not root's"));
        lchown(at("bin"), Some(0), None).unwrap();
        for bits in [0o775, 0o1777] {
            mode(directory.path(), bits);
            assert!(followed("bin/x").unwrap_err().contains("others could have made"), "{bits:o}");
        }
        mode(directory.path(), 0o755);
        chown(directory.path(), Some(65_534), None).unwrap();
        assert!(followed("bin/x").unwrap_err().contains("others could have made"));
        for path in ["relative/x", "/", "/run/..", "/run/../bin/x"] {
            assert!(follow_directories(Path::new(path)).is_err(), "{path}");
        }
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
