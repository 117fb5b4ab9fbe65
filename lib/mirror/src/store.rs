//! The directory: `head`, `o/SHA256`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use fleet::{Digest, LARGEST_HEAD, Mark, ObjectRef};
use publish::PublishError;

use crate::object::{self, ObjectProblem, extract};

/// Who may read a mirror: its directory's group.
const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// Why a mirror did not give or take something.
#[derive(Debug)]
pub enum MirrorError {
    /// It is not there.
    Missing(PathBuf),
    /// The system did not let it be read.
    Unreadable(PathBuf, io::Error),
    /// It is another object than it is named.
    Object(PathBuf, ObjectProblem),
    /// What is there is no mark.
    Mark(PathBuf),
    /// It could not be written.
    Write(PublishError),
}

impl MirrorError {
    /// The word for it in status and records, where an object was asked for.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Object(_, problem) => problem.word(),
            Self::Missing(_) | Self::Unreadable(..) | Self::Mark(_) | Self::Write(_) => "object-missing",
        }
    }

    fn reading(path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.to_path_buf()),
            _ => Self::Unreadable(path.to_path_buf(), error),
        }
    }
}

impl fmt::Display for MirrorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "{}: no such file", path.display()),
            Self::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Object(path, problem) => write!(f, "{}: {problem}", path.display()),
            Self::Mark(path) => write!(
                f,
                "{}: not a mark; remove it, and whatever head the store has now will be the first",
                path.display()
            ),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MirrorError {}

impl From<PublishError> for MirrorError {
    fn from(error: PublishError) -> Self {
        Self::Write(error)
    }
}

/// A directory with a head and its objects.
#[derive(Debug, Clone)]
pub struct Mirror {
    directory: PathBuf,
}

impl Mirror {
    /// The one at `directory`, which need not be there.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf() }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn head_path(&self) -> PathBuf {
        self.directory.join("head")
    }

    fn objects(&self) -> PathBuf {
        self.directory.join("o")
    }

    fn object_path(&self, digest: &Digest) -> PathBuf {
        self.objects().join(digest.to_string())
    }

    /// The head as it was published, with its signatures; nothing of it is checked but its size.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn head_document(&self) -> Result<Vec<u8>, MirrorError> {
        let path = self.head_path();
        // One byte more than the limit comes if there are more, and is refused as too long by who opens it.
        trust::read_start(&path, LARGEST_HEAD as u64 + 1).map_err(|error| MirrorError::reading(&path, error))
    }

    /// What is in an object, checked and decoded; at most `limit` bytes.
    ///
    /// # Errors
    /// It is not there, or not what its name says. It is to be fetched again then.
    pub fn object(&self, object: &ObjectRef, limit: u32) -> Result<Vec<u8>, MirrorError> {
        let path = self.object_path(&object.digest);
        let stored = trust::read_start(&path, u64::from(object.size) + 1)
            .map_err(|error| MirrorError::reading(&path, error))?;
        extract(object, &stored, limit).map_err(|problem| MirrorError::Object(path, problem))
    }

    /// Is there a file of this name and size? Its digest is checked by [`Mirror::object`].
    pub fn has(&self, object: &ObjectRef) -> bool {
        let metadata = fs::symlink_metadata(self.object_path(&object.digest));
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == u64::from(object.size))
    }

    /// Makes what is missing of the directories. They get the group of the directory that they are in, whose members
    /// may read what is here.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn create(&self) -> Result<(), MirrorError> {
        for directory in [&self.directory, &self.objects()] {
            make(directory).map_err(|error| PublishError::write(directory, error))?;
        }
        Ok(())
    }

    /// Keeps an object, if `stored` is what it names. That lasts after a crash once there is a head that names it.
    ///
    /// # Errors
    /// It is not, or cannot be written.
    pub fn put_object(&self, object: &ObjectRef, stored: &[u8]) -> Result<(), MirrorError> {
        let path = self.object_path(&object.digest);
        object::check(object, stored).map_err(|problem| MirrorError::Object(path.clone(), problem))?;
        Ok(publish::place(&path, FILE_MODE, bytes(stored))?)
    }

    /// Replaces the head. Every object that it names is here by now.
    ///
    /// # Errors
    /// It cannot be written, and the old one stays.
    pub fn put_head(&self, document: &[u8]) -> Result<(), MirrorError> {
        let objects = self.objects();
        File::open(&objects)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| PublishError::write(&objects, error))?;
        Ok(publish::replace(&self.head_path(), FILE_MODE, bytes(document))?)
    }

    /// Removes all objects but these, and what writers that were killed have left; how many there were.
    ///
    /// # Errors
    /// The directory cannot be read, or a file not be removed.
    pub fn sweep(&self, keep: &BTreeSet<Digest>) -> Result<usize, MirrorError> {
        let objects = self.objects();
        let writing = |error: io::Error| MirrorError::Write(PublishError::write(&objects, error));
        let mut removed = 0;
        for entry in fs::read_dir(&objects).map_err(|error| MirrorError::reading(&objects, error))? {
            let entry = entry.map_err(writing)?;
            let digest = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
            if digest.is_some_and(|digest| keep.contains(&digest)) {
                continue;
            }
            fs::remove_file(entry.path()).map_err(writing)?;
            removed += 1;
        }
        Ok(removed)
    }
}

/// Reads the mark in `path`; none if nothing was taken over yet.
///
/// # Errors
/// It cannot be read, or is none: what was taken over is not known then.
pub fn read_mark(path: &Path) -> Result<Option<Mark>, MirrorError> {
    let line = match trust::read_start(path, Mark::LONGEST as u64 + 1) {
        Ok(line) => line,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(MirrorError::reading(path, error)),
    };
    let mark = std::str::from_utf8(&line).ok().and_then(Mark::parse);
    mark.map(Some).ok_or_else(|| MirrorError::Mark(path.to_path_buf()))
}

/// Replaces the mark in `path`, once all that it stands for is on disk.
///
/// # Errors
/// It cannot be written, and the old one stays.
pub fn write_mark(path: &Path, mark: &Mark) -> Result<(), MirrorError> {
    Ok(publish::replace(path, FILE_MODE, bytes(mark.to_string().as_bytes()))?)
}

fn bytes(content: &[u8]) -> impl FnOnce(&Path) -> io::Result<()> {
    move |temporary: &Path| fs::write(temporary, content)
}

fn make(directory: &Path) -> io::Result<()> {
    let is_new = match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        made => made.map(|()| true)?,
    };
    let opened = File::open(directory)?;
    // By its descriptor: the sandbox of the units has no chown(2).
    let parent = directory.parent().unwrap_or(Path::new("/"));
    if is_new {
        fchown(&opened, None, Some(fs::metadata(parent)?.gid()))?;
    }
    // The units' umask is stricter, and somebody else reads here: authkeys-sync.
    if opened.metadata()?.mode() & 0o777 != DIRECTORY_MODE {
        opened.set_permissions(fs::Permissions::from_mode(DIRECTORY_MODE))?;
    }
    if is_new { File::open(parent)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh;
    use std::os::unix::fs::symlink;

    #[test]
    fn directories_are_open_to_their_group_whatever_the_umask_made_of_them() {
        let (directory, mirror) = mirror();
        let objects = directory.path().join("fleet/o");
        fs::set_permissions(&objects, fs::Permissions::from_mode(0o700)).unwrap();
        mirror.create().unwrap();
        for path in [objects, directory.path().join("fleet")] {
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o750, "{}", path.display());
        }
    }

    fn mirror() -> (tempfile::TempDir, Mirror) {
        let directory = tempfile::tempdir().unwrap();
        let mirror = Mirror::at(&directory.path().join("fleet"));
        mirror.create().unwrap();
        mirror.create().unwrap();
        (directory, mirror)
    }

    fn object(content: &[u8]) -> (ObjectRef, Vec<u8>) {
        let (part, stored) = fresh(content, None).unwrap();
        (part.object, stored.unwrap())
    }

    #[test]
    fn objects_are_checked_when_they_come_and_when_they_are_read() {
        let (_directory, mirror) = mirror();
        let (object, stored) = object(b"content");
        assert!(!mirror.has(&object));
        assert_eq!(mirror.object(&object, 100).unwrap_err().word(), "object-missing");
        assert_eq!(mirror.put_object(&object, b"other").unwrap_err().word(), "object-size");
        assert!(!mirror.has(&object));
        mirror.put_object(&object, &stored).unwrap();
        assert!(mirror.has(&object));
        assert_eq!(mirror.object(&object, 100).unwrap(), b"content");
        assert_eq!(mirror.object(&object, 6).unwrap_err().word(), "object-size");
        let path = mirror.object_path(&object.digest);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);

        // As a disk leaves it that lost power.
        fs::write(&path, vec![0; stored.len()]).unwrap();
        assert!(mirror.has(&object));
        assert_eq!(mirror.object(&object, 100).unwrap_err().word(), "object-digest");
        mirror.put_object(&object, &stored).unwrap();
        assert_eq!(mirror.object(&object, 100).unwrap(), b"content");
    }

    #[test]
    fn what_is_no_plain_file_is_neither_followed_nor_waited_for() {
        let (directory, mirror) = mirror();
        let (object, stored) = object(b"content");
        let elsewhere = directory.path().join("elsewhere");
        fs::write(&elsewhere, &stored).unwrap();
        symlink(&elsewhere, mirror.object_path(&object.digest)).unwrap();
        assert!(!mirror.has(&object));
        assert!(matches!(mirror.object(&object, 100), Err(MirrorError::Unreadable(..))));
        mirror.put_object(&object, &stored).unwrap();
        assert!(mirror.object(&object, 100).is_ok());
        assert!(fs::symlink_metadata(mirror.object_path(&object.digest)).unwrap().is_file());
        nix::unistd::mkfifo(&mirror.head_path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(mirror.head_document(), Err(MirrorError::Unreadable(..))));
    }

    #[test]
    fn a_head_is_replaced_and_objects_that_nothing_names_go() {
        let (_directory, mirror) = mirror();
        assert!(matches!(mirror.head_document(), Err(MirrorError::Missing(_))));
        mirror.put_head(b"first").unwrap();
        mirror.put_head(b"second").unwrap();
        assert_eq!(mirror.head_document().unwrap(), b"second");
        fs::write(mirror.head_path(), vec![b'x'; 10_000]).unwrap();
        assert_eq!(mirror.head_document().unwrap().len(), LARGEST_HEAD + 1);

        let objects = [object(b"one"), object(b"two")];
        for (object, stored) in &objects {
            mirror.put_object(object, stored).unwrap();
        }
        fs::write(mirror.objects().join("left.new"), b"half").unwrap();
        let keep = BTreeSet::from([objects[0].0.digest]);
        assert_eq!(mirror.sweep(&keep).unwrap(), 2);
        assert!(mirror.has(&objects[0].0) && !mirror.has(&objects[1].0));
        assert_eq!(mirror.sweep(&keep).unwrap(), 0);
    }

    #[test]
    fn a_mark_that_cannot_be_read_is_not_taken_for_none() {
        let (directory, _) = mirror();
        let path = directory.path().join("mark");
        assert_eq!(read_mark(&path).unwrap(), None);
        let mark = Mark { epoch: 0, sequence: 7, digest: Digest::of(b"text") };
        write_mark(&path, &mark).unwrap();
        assert_eq!(read_mark(&path).unwrap(), Some(mark));
        for wrong in ["", "mark 1 0 7\n", &mark.to_string().repeat(2), &"x".repeat(1000)] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(read_mark(&path), Err(MirrorError::Mark(_))), "{wrong}");
        }
    }
}
