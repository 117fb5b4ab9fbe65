//! Following files from a kept position: what was read is not read again, whatever was renamed, cut or begun anew meanwhile.
//!
//! A position belongs to a file's beginning, not to its name: rotation renames the file, and what it still held is read
//! under the new name; a restart of the host may change inode numbers; a file that was cut, or another one of the same
//! inode, begins differently and is read from its start. A line that is no record is counted, told once for its file, and
//! passed over.

pub mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use places::Found;

/// So many bytes of a file are read at once.
const CHUNK: usize = 512 * 1024;

/// The longest line. What a module writes is shorter than 16 KiB; another program may write a record again, and cut nothing.
const LONGEST_LINE: usize = 384 * 1024;

/// By so many bytes of its beginning a file is known.
const HEAD: u64 = 512;

/// The most files.
pub const MOST_FILES: usize = 20_000;

/// How long a file that was renamed is looked at after its last line, in seconds: its writer may have it open still.
const AFTER_ROTATION: i64 = 3_600;

/// How long a file that is out of sight keeps its position, in seconds: its disk may be mounted late, its directory closed for
/// a while.
const OUT_OF_SIGHT: i64 = 7 * 24 * 3_600;

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Its name when it was read last.
    pub path: PathBuf,
    /// Its inode, then.
    pub inode: u64,
    /// So many bytes were read, up to the end of a line.
    pub offset: u64,
    /// So many bytes of its beginning are known, by this digest.
    head: u64,
    digest: String,
    /// Who sent what is in it, if its directory says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    /// Since when it has another name than those that are followed, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left: Option<i64>,
    /// Since when it is not there, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unseen: Option<i64>,
}

/// A line, and who sent it as far as the log server says; empty where it does not.
pub struct Line {
    pub text: String,
    pub sender: String,
    /// The directory that the file is in: numbers of records count within it.
    pub directory: PathBuf,
}

/// What was read of a file.
#[derive(Default)]
pub struct Chunk {
    pub lines: Vec<Line>,
    /// Lines too long, or not text.
    pub unreadable: u64,
    /// So many bytes were read.
    pub bytes: usize,
    /// Is there more?
    pub more: bool,
}

/// All positions, and what of it was told already.
#[derive(Debug, Default)]
pub struct Follower {
    pub positions: Vec<Position>,
    /// Problems that were told, so that each is told once.
    told: BTreeSet<String>,
}

impl Follower {
    /// From these positions on.
    pub fn new(positions: Vec<Position>) -> Self {
        Self { positions, told: BTreeSet::new() }
    }

    /// Tells `problem` unless it was told before.
    pub fn tell_once(&mut self, problem: &str) {
        if self.told.len() < 1_000 && self.told.insert(problem.to_string()) {
            host::output::complain(crate::PROGRAM, problem);
        }
    }

    /// Which files there are now, each with the number of its position. `begin`: a file that was not known is read from
    /// its end, as when the program runs for the first time.
    pub fn look(&mut self, sources: &[PathBuf], begin: bool, now: i64) -> Vec<(usize, Found)> {
        let mut problems = Vec::new();
        let mut found = places::find(sources, &mut problems);
        problems.iter().for_each(|problem| self.tell_once(problem));
        found.extend(self.renamed(&found));
        let mut by_inode: BTreeMap<u64, usize> = BTreeMap::new();
        for (number, position) in self.positions.iter().enumerate() {
            // Those that were there a moment ago come first.
            by_inode.entry(position.inode).or_insert(number);
        }
        let mut pairs = Vec::new();
        for file in found {
            let known = by_inode.get(&file.inode).copied().filter(|number| self.is_same(*number, &file));
            // Copied, or on another disk since: the same name and the same beginning.
            let known = known.or_else(|| self.of_this_name(&file));
            // What has the inode of a file that is gone is not that file.
            if known.is_none() && file.is_renamed {
                continue;
            }
            let number = known.unwrap_or_else(|| {
                self.positions.push(Position::begin(&file, begin));
                self.positions.len() - 1
            });
            if let Some(position) = self.positions.get_mut(number) {
                position.path.clone_from(&file.path);
                position.inode = file.inode;
                position.unseen = None;
                position.left = if file.is_renamed { position.left.or(Some(now)) } else { None };
            }
            pairs.push((number, file));
        }
        self.forget(&mut pairs, now);
        pairs
    }

    /// The position of a file that had this name and begins as this one.
    fn of_this_name(&self, file: &Found) -> Option<usize> {
        let named = self.positions.iter().enumerate().filter(|(_, position)| position.path == file.path);
        named.map(|(number, _)| number).find(|number| self.is_same(*number, file))
    }

    /// Files that were followed under another name and lie beside it now.
    fn renamed(&self, found: &[Found]) -> Vec<Found> {
        let here: BTreeSet<u64> = found.iter().map(|file| file.inode).collect();
        let gone: Vec<&Position> =
            self.positions.iter().filter(|position| !here.contains(&position.inode)).collect();
        let directories: BTreeSet<&Path> =
            gone.iter().filter_map(|position| position.path.parent()).collect();
        let wanted: BTreeMap<u64, &Position> =
            gone.iter().map(|position| (position.inode, *position)).collect();
        let beside = directories.into_iter().flat_map(places::files_of);
        beside
            .filter_map(|file| {
                let sender = wanted.get(&file.inode)?.sender.clone();
                Some(Found { is_renamed: true, sender, ..file })
            })
            .collect()
    }

    /// Is `file` the one that this position belongs to? Looks into it only if something about it is new. One that cannot be
    /// read now is: reading it will say what the matter is.
    fn is_same(&self, number: usize, file: &Found) -> bool {
        let Some(position) = self.positions.get(number) else { return false };
        if file.length < position.offset || file.length < position.head {
            return false;
        }
        // What takes the place of one that is gone may have its inode and its length.
        let was_there = position.inode == file.inode && position.unseen.is_none();
        let is_unchanged = was_there && file.length == position.offset;
        is_unchanged || digest_of(&file.path, position.head).map_or(true, |digest| digest == position.digest)
    }

    /// Drops positions of files that are gone for long, or were renamed long ago; keeps the numbers of `pairs` right.
    fn forget(&mut self, pairs: &mut Vec<(usize, Found)>, now: i64) {
        let old = |position: &Position| position.left.is_some_and(|left| now - left > AFTER_ROTATION);
        let pairs_before: BTreeSet<usize> = pairs.iter().map(|(number, _)| *number).collect();
        let mut kept: Vec<Option<usize>> = vec![None; self.positions.len()];
        let mut positions = Vec::new();
        for (number, file) in pairs.iter() {
            let Some(position) = self.positions.get(*number) else { continue };
            let is_done = old(position) && file.length <= position.offset;
            if let (false, Some(place @ None)) = (is_done, kept.get_mut(*number)) {
                *place = Some(positions.len());
                positions.push(position.clone());
            }
        }
        pairs.retain_mut(|(number, _)| match kept.get(*number).copied().flatten() {
            Some(new) => {
                *number = new;
                true
            }
            None => false,
        });
        let is_kept = |number: usize| pairs_before.contains(&number);
        let unseen = self.positions.iter().enumerate().filter(|(number, _)| !is_kept(*number));
        let mut unseen: Vec<Position> = unseen.map(|(_, position)| position.clone()).collect();
        unseen.iter_mut().for_each(|position| _ = position.unseen.get_or_insert(now));
        unseen.retain(|position| position.unseen.is_some_and(|since| now - since <= OUT_OF_SIGHT));
        unseen.sort_by_key(|position| position.unseen.map(std::cmp::Reverse));
        unseen.truncate(MOST_FILES);
        positions.extend(unseen);
        self.positions = positions;
    }

    /// Reads on in a file, and moves its position behind what was read.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self, number: usize, found: &Found) -> io::Result<Chunk> {
        let Some(position) = self.positions.get_mut(number) else { return Ok(Chunk::default()) };
        if found.length <= position.offset {
            return Ok(Chunk::default());
        }
        let mut file = open(&found.path)?;
        file.seek(SeekFrom::Start(position.offset))?;
        let mut bytes = Vec::new();
        (&mut file).take(CHUNK as u64).read_to_end(&mut bytes)?;
        let (chunk, used) = split(&bytes, found);
        position.offset += used;
        if position.head < HEAD.min(position.offset) {
            position.head = HEAD.min(position.offset);
            position.digest = digest_of(&found.path, position.head)?;
        }
        Ok(chunk)
    }
}

impl Position {
    fn begin(file: &Found, at_end: bool) -> Self {
        let offset = if at_end { last_line_end(&file.path) } else { Ok(0) };
        let known = offset.and_then(|offset| {
            let head = HEAD.min(offset);
            Ok((offset, head, digest_of(&file.path, head)?))
        });
        // One that cannot be read yet has what it has now from before the first run.
        let (offset, head, digest) = known.unwrap_or((file.length, 0, String::new()));
        let (path, sender) = (file.path.clone(), file.sender.clone());
        Self { path, inode: file.inode, offset, head, digest, sender, left: None, unseen: None }
    }
}

/// The whole lines of `bytes`, and how many bytes they are. A line that is too long ends where it is cut: its rest is
/// another line that is no record.
fn split(bytes: &[u8], found: &Found) -> (Chunk, u64) {
    let mut chunk = Chunk { more: bytes.len() == CHUNK, bytes: bytes.len(), ..Chunk::default() };
    let mut used = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let is_whole = line.ends_with(b"\n");
        if !is_whole && line.len() < LONGEST_LINE {
            break;
        }
        used += line.len() as u64;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let text = std::str::from_utf8(line).ok().filter(|_| is_whole && line.len() <= LONGEST_LINE);
        let Some((named, text)) = text.and_then(record::collected) else {
            chunk.unreadable += 1;
            continue;
        };
        let sender = found.sender.as_deref().or(named).unwrap_or_default().to_string();
        let directory = found.path.parent().unwrap_or(Path::new("/")).to_path_buf();
        chunk.lines.push(Line { text: text.trim_end().to_string(), sender, directory });
    }
    (chunk, used)
}

/// Opens a file without following a link or waiting for anybody.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("is no regular file")) }
}

fn digest_of(path: &Path, length: u64) -> io::Result<String> {
    if length == 0 {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    open(path)?.take(length).read_to_end(&mut bytes)?;
    let digest = Sha256::digest(&bytes);
    Ok(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Where the last whole line of a file ends.
fn last_line_end(path: &Path) -> io::Result<u64> {
    let mut file = open(path)?;
    let length = file.metadata()?.size();
    let from = length.saturating_sub(LONGEST_LINE as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LONGEST_LINE as u64).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    Ok(from + end)
}

#[cfg(test)]
mod tests;
