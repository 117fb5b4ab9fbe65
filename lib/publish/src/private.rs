//! A file that somebody asks for by name, for themselves alone: a report. It may be anywhere, also where others can write.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::PublishError;

/// The most names of a killed writer's that are passed over.
const MOST_LEFT: u32 = 16;

/// Writes `bytes` to `path`, mode 0600, whole: on any error the old file stays as it is, byte for byte. No link is written
/// through, and none on the way that others than root could have made; what is there is replaced if it is a file.
///
/// # Errors
/// What could not be done, with `path`.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    write(path, bytes).map_err(|what| PublishError::write(path, what))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    let real = trust::follow_directories(&path).map_err(|refusal| refusal.to_string())?;
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
        return Err("it is not the name of a file".to_string());
    };
    if fs::symlink_metadata(&real).is_ok_and(|metadata| !metadata.is_file()) {
        return Err("it is there, and no file; name another one".to_string());
    }
    let directory = open_directory(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    let (temporary, mut file) = create(&directory, Path::new(name)).map_err(|error| error.to_string())?;
    let written = fill(&mut file, bytes)
        .and_then(|()| Ok(renameat(&directory, &temporary, &directory, name)?))
        .and_then(|()| File::from(directory.try_clone()?).sync_all());
    if written.is_err() {
        let _ = unlinkat(&directory, &temporary, UnlinkatFlags::NoRemoveDir);
    }
    written.map_err(|error| error.to_string())
}

/// The directory itself, by names that are no links any more: whoever exchanges one for a link meanwhile gets nothing.
fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut directory = nix::fcntl::open("/", flags, Mode::empty())?;
    for part in path.components().filter(|part| matches!(part, Component::Normal(_))) {
        directory = openat(directory.as_fd(), part.as_os_str(), flags, Mode::empty())?;
    }
    Ok(directory)
}

/// A new file beside `name`, which nobody else has open.
fn create(directory: &OwnedFd, name: &Path) -> Result<(PathBuf, File), Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut number = 0;
    loop {
        let temporary = PathBuf::from(format!(".{}.{}.{number}", name.display(), std::process::id()));
        match openat(directory, &temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Err(Errno::EEXIST) if number < MOST_LEFT => number += 1,
            outcome => return outcome.map(|file| (temporary, File::from(file))),
        }
    }
}

fn fill(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_file_is_written_whole_for_its_owner_alone_and_nothing_lies_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("night.html");
        for text in ["first", "second"] {
            write_private(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"third").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_through_a_link_nor_over_what_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let here = |name: &str| directory.path().join(name);
        fs::write(here("other"), "old").unwrap();
        fs::create_dir(here("there")).unwrap();
        symlink(here("other"), here("link")).unwrap();
        symlink(here("there"), here("linked")).unwrap();
        symlink(here("nowhere"), here("dangling")).unwrap();
        // The last one: /tmp is where others can make links.
        for name in ["link", "dangling", "there", "linked/new"] {
            let failed = write_private(&here(name), b"new").unwrap_err().to_string();
            assert!(failed.contains("nothing published: "), "{name}: {failed}");
        }
        assert_eq!(fs::read_to_string(here("other")).unwrap(), "old");
        assert!(!here("nowhere").exists() && fs::read_dir(here("there")).unwrap().count() == 0);
        assert!(write_private(&here("missing/new"), b"new").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5);
    }

    #[test]
    fn where_there_is_no_room_the_old_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("night.html");
        write_private(&path, b"old").unwrap();
        // The name of the new file is too long to be one, though the name that was asked for is not.
        let long = directory.path().join("n".repeat(250));
        fs::write(&long, "old").unwrap();
        assert!(write_private(&long, b"new").is_err());
        assert_eq!(fs::read_to_string(&long).unwrap(), "old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
