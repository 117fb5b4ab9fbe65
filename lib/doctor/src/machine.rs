//! What is read of this machine: files, their owners, processes. Nothing is written.
//!
//! Some of it belongs to users (authorized_keys), so nothing is waited for and nothing is read without end.

use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::AccessFlags;

/// The most of a file that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Owner and mode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub uid: u32,
    pub gid: u32,
    /// The last twelve bits.
    pub mode: u32,
    pub is_directory: bool,
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        let mode = metadata.mode() & 0o7777;
        Self { uid: metadata.uid(), gid: metadata.gid(), mode, is_directory: metadata.is_dir() }
    }
}

/// The bytes of a regular file, up to a limit; `None` where there is none that can be read.
pub fn bytes(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content).ok()?;
    Some(content)
}

/// The whole of a large file, such as a library.
pub fn whole(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

/// The first bytes of a file.
pub fn head(path: &Path, length: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path).ok()?.take(length).read_to_end(&mut content).ok()?;
    Some(content)
}

/// A regular file as text; what is no UTF-8 in it is replaced.
pub fn text(path: &str) -> Option<String> {
    bytes(Path::new(path)).map(|content| String::from_utf8_lossy(&content).into_owned())
}

/// The names in a directory, sorted as sudo, sshd and PAM sort them; none if there is no such directory.
pub fn names(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Does something have this name?
pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

/// The processes that run `program` with the files of this host: not those of containers on it.
pub fn processes(program: &str) -> Vec<u32> {
    let root =
        |pid: &str| std::fs::metadata(format!("/proc/{pid}/root/")).ok().map(|root| (root.dev(), root.ino()));
    let here = root("self");
    let runs = |pid: &String| {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(program))
            && root(pid) == here
    };
    names("/proc").into_iter().filter(runs).filter_map(|pid| pid.parse().ok()).collect()
}

/// Owner and mode of what `path` leads to.
pub fn stat(path: &Path) -> Option<Stat> {
    std::fs::metadata(path).ok().map(|metadata| Stat::of(&metadata))
}

/// `path` without links; as it is, where it leads nowhere.
pub fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Why nothing could be added at the end of a file, if it could not: nothing is.
pub fn append_fails(path: &Path) -> Option<std::io::Error> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW;
    OpenOptions::new().append(true).custom_flags(flags.bits()).open(path).err()
}

/// Why nothing could be made in a directory, if it could not.
pub fn make_fails(directory: &Path) -> Option<nix::errno::Errno> {
    nix::unistd::access(directory, AccessFlags::W_OK | AccessFlags::X_OK).err()
}
