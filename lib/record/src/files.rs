//! Directories and files that root alone can have made, as somebody else's program sees them: its group, its umask and its
//! limits are anybody's.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

/// A FIFO or a terminal in a file's place holds nobody up, and no link is followed.
pub(crate) const FLAGS: OFlag = OFlag::O_APPEND
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

/// Opens a directory of ours in /run, or makes it: root's, and nobody else sees what is in it.
pub(crate) fn open_or_make(path: &Path) -> io::Result<File> {
    match open_directory(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = path.parent().filter(|above| !above.exists());
            if let Some(above) = above {
                make_directory(above, 0o755)?;
            }
            make_directory(path, 0o700)?;
            open_directory(path)
        }
        other => other,
    }
}

/// Opens a directory of root's that nobody else can write.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let directory = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = directory.metadata()?;
    let is_roots = metadata.uid() == 0 && metadata.mode() & 0o022 == 0;
    if is_roots { Ok(directory) } else { Err(untrusted("is in a directory that others can write")) }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        // The caller's group and umask are anybody's.
        Ok(()) => {
            let made = OpenOptions::new()
                .read(true)
                .custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits())
                .open(path)?;
            fchown(&made, Some(0), Some(0))?;
            made.set_permissions(std::fs::Permissions::from_mode(mode))
        }
    }
}

pub(crate) fn untrusted(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// The caller of su can limit how long its files may be; to write more ends a process by a signal. The limit is
/// lifted while this lives, and put back; where root may not do that, it is kept to.
pub(crate) struct SizeLimit {
    /// The length that a file may have.
    longest: rlim_t,
    /// The limits to put back.
    before: Option<(rlim_t, rlim_t)>,
}

impl SizeLimit {
    /// Lifts the limit.
    pub(crate) fn lift() -> Self {
        let limits = getrlimit(Resource::RLIMIT_FSIZE).ok().filter(|(soft, _)| *soft != RLIM_INFINITY);
        let Some((soft, hard)) = limits else { return Self { longest: RLIM_INFINITY, before: None } };
        let is_lifted = setrlimit(Resource::RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY).is_ok();
        let (longest, before) = if is_lifted { (RLIM_INFINITY, Some((soft, hard))) } else { (soft, None) };
        Self { longest, before }
    }

    /// May this file become longer by `more`?
    pub(crate) fn admits(&self, file: &File, more: u64) -> io::Result<()> {
        let is_short = self.longest == RLIM_INFINITY || file.metadata()?.len() + more <= self.longest;
        if is_short { Ok(()) } else { Err(io::ErrorKind::FileTooLarge.into()) }
    }
}

impl Drop for SizeLimit {
    fn drop(&mut self) {
        if let Some((soft, hard)) = self.before {
            let _ = setrlimit(Resource::RLIMIT_FSIZE, soft, hard);
        }
    }
}
