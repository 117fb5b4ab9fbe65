//! The lines of a file and of the files that it was before it was rotated, the oldest first.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use trust::Owner;

/// The longest line that is read, in bytes; what we write is shorter.
const LONGEST: usize = 16 * 1024;

/// The most rotated files.
const MOST_FILES: usize = 1_000;

/// Who may have written the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// Root alone, as the PAM module asks of its audit file.
    Root,
    /// The service whose directory they are in.
    Service,
}

/// The files, open.
#[derive(Debug, Default)]
pub struct Files {
    files: Vec<(PathBuf, File)>,
    is_digested: bool,
}

/// What was read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub path: PathBuf,
    /// How many bytes: what was appended later is not among them.
    pub bytes: u64,
    /// The SHA-256 of those, in hexadecimal digits.
    pub sha256: String,
}

/// A file that is read, with the digest of what was read of it so far.
struct Digesting {
    file: File,
    sha256: Option<Sha256>,
    bytes: u64,
}

impl io::Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if let (Some(sha256), Some(read)) = (&mut self.sha256, buffer.get(..count)) {
            sha256.update(read);
        }
        self.bytes += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }
}

impl Digesting {
    fn into_input(self, path: PathBuf) -> Option<Input> {
        let sha256 = self.sha256?.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Input { path, bytes: self.bytes, sha256 })
    }
}

/// How often the files are looked for, while somebody rotates them.
const ATTEMPTS: usize = 10;

impl Files {
    /// Opens `path` and whatever it was rotated to beside it: `.1`, `-20261120`. What cannot be read is a gap.
    pub fn of(path: &Path, keeper: Keeper, gaps: &mut Vec<String>) -> Self {
        // A file that is renamed meanwhile could be met twice, or by neither of its names. What is open stays so.
        for _ in 0..ATTEMPTS {
            let mut found = Found::look(path, keeper);
            if found.opened() == Found::look(path, keeper).opened() {
                gaps.append(&mut found.gaps);
                return found.in_order();
            }
        }
        gaps.push(format!("{} was rotated repeatedly while it was read: run this again", path.display()));
        Found::look(path, keeper).in_order()
    }

    /// Each of them alone, in the same order, from where so many bytes are left: at a line that may have begun before.
    pub fn ends(self, bytes: u64) -> Vec<Self> {
        let end = |(path, mut file): (PathBuf, File)| {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            // What cannot be moved to its end is read as a whole.
            let _ = file.seek(SeekFrom::Start(length.saturating_sub(bytes)));
            Self { files: vec![(path, file)], is_digested: false }
        };
        self.files.into_iter().map(end).collect()
    }

    /// The same, whose digests [`Files::each`] tells.
    #[must_use]
    pub fn digested(self, is_digested: bool) -> Self {
        Self { is_digested, ..self }
    }

    /// Calls `take` with each line; `None` for one that is too long or no text. Files that end in the
    /// middle are a gap. What was read, where that is asked for.
    pub fn each(self, gaps: &mut Vec<String>, mut take: impl FnMut(Option<&str>)) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (path, file) in self.files {
            let sha256 = self.is_digested.then(Sha256::new);
            let mut reader = BufReader::new(Digesting { file, sha256, bytes: 0 });
            let mut line = Vec::new();
            loop {
                match read_line(&mut reader, &mut line) {
                    Ok(Read::End) => break,
                    Ok(Read::Line) if line.is_empty() => {}
                    Ok(Read::Line) => take(std::str::from_utf8(&line).ok()),
                    Ok(Read::TooLong) => take(None),
                    Err(error) => {
                        gaps.push(format!("{}: {error}", path.display()));
                        break;
                    }
                }
            }
            inputs.extend(reader.into_inner().into_input(path));
        }
        inputs
    }
}

/// What one look at the directory finds.
#[derive(Default)]
struct Found {
    files: Vec<(PathBuf, Metadata, File)>,
    gaps: Vec<String>,
}

impl Found {
    fn look(path: &Path, keeper: Keeper) -> Self {
        let mut found = Self::default();
        for path in names(path, &mut found.gaps) {
            let opened = match keeper {
                Keeper::Root => record::open(&path).map_err(|error| format!("{}: {error}", path.display())),
                Keeper::Service => trust::open(&path, Owner::Service).map_err(|refusal| refusal.to_string()),
            };
            let opened = opened.and_then(|file| {
                let metadata = file.metadata().map_err(|error| format!("{}: {error}", path.display()))?;
                Ok((metadata, file))
            });
            match opened {
                Ok((metadata, file)) => found.files.push((path, metadata, file)),
                Err(problem) => found.gaps.push(problem),
            }
        }
        found
    }

    /// Which files these are, and by which names.
    fn opened(&self) -> (BTreeSet<(&Path, u64, u64)>, &[String]) {
        let files = self.files.iter().map(|(path, file, _)| (path.as_path(), file.dev(), file.ino()));
        (files.collect(), &self.gaps)
    }

    /// By when they were last written to: whatever names logrotate gives.
    fn in_order(mut self) -> Files {
        self.files.sort_by_key(|(_, metadata, _)| (metadata.mtime(), metadata.mtime_nsec()));
        let files = self.files.into_iter().map(|(path, _, file)| (path, file)).collect();
        Files { files, is_digested: false }
    }
}

/// What the name of a file says of it, behind the name that it had when it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Compressed,
    Strange,
}

impl Kind {
    fn of(rest: &str) -> Self {
        // logrotate's own, where it was about to make a file that somebody else had made by then.
        let plain = rest.strip_suffix(".backup").unwrap_or(rest);
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if rest.is_empty() || plain.strip_prefix(['.', '-']).is_some_and(is_number) {
            Self::Ours
        } else if [".gz", ".xz", ".zst", ".bz2"].iter().any(|end| rest.ends_with(end)) {
            Self::Compressed
        } else {
            Self::Strange
        }
    }
}

/// `path` itself, if it is there, and its rotated files. Whatever else begins with its name is a gap.
fn names(path: &Path, gaps: &mut Vec<String>) -> Vec<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) => {
            gaps.push(format!("{}: {error}", parent.display()));
            return Vec::new();
        }
    };
    let mut found: Vec<(Kind, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let entry = entry.file_name();
        let Some(rest) = entry.to_str().and_then(|entry| entry.strip_prefix(name)) else { continue };
        if found.len() == MOST_FILES {
            gaps.push(format!("{} is more than {MOST_FILES} files: not all were read", path.display()));
            break;
        }
        found.push((Kind::of(rest), parent.join(&entry)));
    }
    let all = |wanted| found.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, path)| path);
    let (path, compressed) = (path.display(), all(Kind::Compressed).count());
    if compressed > 0 {
        gaps.push(format!(
            "{} of {path}, compressed and not read; decompress, and let logrotate say `nocompress`",
            host::output::counted(compressed, "rotated file")
        ));
    }
    gaps.extend(
        all(Kind::Strange)
            .map(|path| format!("{}: not read: not a name that logrotate gives", path.display())),
    );
    let ours: Vec<PathBuf> = all(Kind::Ours).cloned().collect();
    if ours.is_empty() {
        gaps.push(format!("{path}: no such file: nothing has been recorded yet"));
    }
    ours
}

/// What [`read_line`] has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    Line,
    TooLong,
    End,
}

/// Reads one line without its end; of one that is too long, nothing is kept.
pub fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Read> {
    line.clear();
    let (mut read_any, mut is_long) = (false, false);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        read_any = true;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        is_long |= line.len() + part.len() > LONGEST;
        if !is_long {
            line.extend_from_slice(part);
        }
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(match (read_any, is_long) {
        (false, _) => Read::End,
        (true, false) => Read::Line,
        (true, true) => Read::TooLong,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_that_are_renamed_while_they_are_looked_for_are_read_once_each() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = directory.path().join("log.jsonl");
        let name = |number: usize| directory.path().join(format!("log.jsonl.{number}"));
        for number in 1..20 {
            fs::write(name(number), format!("{number}\n")).unwrap();
        }
        let (names, end) = ((1..20).map(name).collect::<Vec<_>>(), path.clone());
        // The gap between two numbers wanders from one end to the other.
        let rotating = std::thread::spawn(move || {
            for round in 0..200 {
                fs::write(&end, format!("{}\n", 20 + round)).unwrap();
                for (from, to) in names.iter().zip(names.iter().skip(1)).rev() {
                    fs::rename(from, to).unwrap();
                }
                fs::rename(&end, &names[0]).unwrap();
            }
        });
        while !rotating.is_finished() {
            let mut gaps = Vec::new();
            let files = Files::of(&path, Keeper::Root, &mut gaps);
            if gaps.is_empty() {
                let mut read = Vec::new();
                files.each(&mut gaps, |line| read.push(line.unwrap_or_default().to_string()));
                let all = read.iter().collect::<BTreeSet<_>>().len();
                assert!(all == read.len() && all >= 18, "{read:?}");
            }
        }
        rotating.join().unwrap();
    }

    #[test]
    fn rotated_files_come_first_and_nothing_ends_the_reading() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = directory.path().join("log.jsonl");
        let write = |name: &str, text: &[u8], seconds: u64| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        };
        write("log.jsonl", b"five\n\nsix", 30);
        write("log.jsonl.1", &[b"three\n".as_slice(), &[b'x'; 100_000], b"\nfour\n"].concat(), 20);
        write("log.jsonl-20261120", b"one\n\xff\ntwo\n", 10);
        write("log.jsonl.2.gz", b"", 5);
        write("log.jsonl.swp", b"no\n", 5);
        let (mut gaps, mut read) = (Vec::new(), Vec::new());
        Files::of(&path, Keeper::Root, &mut gaps).each(&mut Vec::new(), |line| {
            read.push(line.unwrap_or("-").to_string());
        });
        assert_eq!(read.join(" "), "one - two three - four five six");
        assert!(gaps.len() == 2 && gaps[0].starts_with("1 rotated file of "), "{gaps:?}");
        assert!(gaps[1].ends_with("log.jsonl.swp: not read: not a name that logrotate gives"), "{gaps:?}");
        let mut gaps = Vec::new();
        assert!(Files::of(&directory.path().join("none"), Keeper::Root, &mut gaps).files.is_empty());
        assert!(gaps[0].ends_with("none: no such file: nothing has been recorded yet"), "{gaps:?}");
    }
}
