//! What this host remembers of its boots: this one and some before, each with the last number of its records.
//!
//! The count itself is gone with the boot. Each heartbeat keeps it in a file beside the record of decisions, and what was
//! written behind the last heartbeat of a boot is found at the end of the record: the greater number holds. Both are root's,
//! and root can write into both what it likes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use policy::Timestamp;
use record::Record;

use crate::lines::{Files, Keeper};

/// The name of the file, beside the record.
const NAME: &str = "heartbeat";

/// The most boots before this one that are remembered: their names and numbers fit into one text of a record.
const MOST: usize = 4;

/// How much of the end of a file is looked at for records of the boots before, in bytes: that of thousands.
const END: u64 = 4 * 1024 * 1024;

/// One boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// As the kernel names it.
    pub id: String,
    /// The last number that a record of it is known to have.
    pub last: u64,
    /// When it was last seen.
    pub seen: Timestamp,
}

/// This boot, and those before it that are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boots {
    this: Boot,
    /// The newest first.
    pub previous: Vec<Boot>,
}

impl Boots {
    /// What is remembered beside the record of decisions at `record`, in `this` boot.
    pub fn read(record: &Path, this: Boot) -> Self {
        let text = record::open(&beside(record)).and_then(std::io::read_to_string).unwrap_or_default();
        let known: Vec<Boot> = text.lines().filter_map(Boot::parse).collect();
        if known.first().is_some_and(|first| first.id == this.id) {
            return Self { this, previous: known.into_iter().skip(1).collect() };
        }
        let mut all = BTreeMap::new();
        known.into_iter().for_each(|boot| add(&mut all, boot));
        add_recorded(&mut all, record);
        all.remove(&this.id);
        let mut previous: Vec<Boot> = all.into_values().collect();
        previous.sort_by_key(|boot| std::cmp::Reverse(boot.seen));
        previous.truncate(MOST);
        Self { this, previous }
    }

    /// # Errors
    /// Text that says what could not be written.
    pub fn write(&self, record: &Path) -> Result<(), String> {
        let mut text = String::new();
        for Boot { id, last, seen } in std::iter::once(&self.this).chain(&self.previous) {
            let _ = writeln!(text, "{id} {last} {seen}");
        }
        publish::replace(&beside(record), 0o600, |file| std::fs::write(file, &text))
            .map_err(|error| error.to_string())
    }
}

impl Boot {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (id, last, seen) = (words.next()?, words.next()?, words.next()?);
        Some(Self { id: id.to_string(), last: last.parse().ok()?, seen: Timestamp::parse(seen)? })
    }

    fn of(record: Record) -> Option<Self> {
        let last = record.seq.filter(|_| !record.boot_id.is_empty())?;
        Some(Self { id: record.boot_id, last, seen: record.time })
    }
}

fn beside(record: &Path) -> PathBuf {
    record.with_file_name(NAME)
}

/// What is known of a boot, and what is known besides.
fn add(all: &mut BTreeMap<String, Boot>, boot: Boot) {
    match all.get_mut(&boot.id) {
        Some(known) => {
            known.last = known.last.max(boot.last);
            known.seen = known.seen.max(boot.seen);
        }
        None => _ = all.insert(boot.id.clone(), boot),
    }
}

/// The boots at the end of the record. A file that was rotated since is looked at as well, and no third one.
fn add_recorded(all: &mut BTreeMap<String, Boot>, record: &Path) {
    // What is amiss with the files is told by `report`.
    let mut gaps = Vec::new();
    let ends = Files::of(record, Keeper::Root, &mut gaps).ends(END);
    for end in ends.into_iter().rev().take(2) {
        end.each(&mut gaps, |line| {
            if let Some(boot) = line.and_then(Record::read).and_then(Boot::of) {
                add(all, boot);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn boot(id: &str, last: u64, seen: i64) -> Boot {
        Boot { id: id.to_string(), last, seen: Timestamp::from_unix(seen) }
    }

    fn line(id: &str, seq: u64, at: i64) -> String {
        let boot_id = id.to_string();
        Record { seq: Some(seq), boot_id, ..Record::at(Timestamp::from_unix(at)) }.line()
    }

    fn put(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    #[test]
    fn boots_before_and_their_last_numbers_are_remembered_and_found() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let (file, rotated) =
            (directory.path().join("decisions.jsonl"), directory.path().join("decisions.jsonl.1"));
        let previous = |this: Boot| Boots::read(&file, this).previous;
        let put_lines = |lines: &[String]| put(&file, &lines.concat());
        assert_eq!(previous(boot("a", 1, 10)), [], "the first of all");
        Boots::read(&file, boot("a", 7, 10)).write(&file).unwrap();
        assert_eq!(previous(boot("b", 1, 20)), [boot("a", 7, 10)], "nothing else is left of it");
        // What was written behind the heartbeat counts, in whatever order two wrote.
        put_lines(&[line("a", 7, 10), line("a", 9, 12), line("a", 8, 12), line("b", 1, 19)]);
        assert_eq!(previous(boot("b", 2, 20)), [boot("a", 9, 12)]);
        // A boot that ended before its first heartbeat.
        put_lines(&[line("a", 8, 12), line("x", 1, 15), line("b", 1, 19)]);
        assert_eq!(previous(boot("b", 2, 20)), [boot("x", 1, 15), boot("a", 8, 12)]);
        // Rotated meanwhile; and cut off at the end.
        fs::rename(&file, &rotated).unwrap();
        put_lines(&[line("b", 1, 19)]);
        let boots = Boots::read(&file, boot("b", 2, 20));
        assert_eq!(boots.previous, [boot("x", 1, 15), boot("a", 8, 12)]);
        boots.write(&file).unwrap();
        fs::remove_file(&rotated).unwrap();
        assert_eq!(previous(boot("b", 30, 60)), boots.previous, "as long as the boot lasts");
        Boots::read(&file, boot("b", 30, 60)).write(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let all = [boot("b", 30, 60), boot("x", 1, 15), boot("a", 8, 12)];
        assert_eq!(previous(boot("c", 1, 90)), all);
        for (id, seen) in [("c", 90), ("d", 91), ("e", 92)] {
            Boots::read(&file, boot(id, 1, seen)).write(&file).unwrap();
        }
        let names: Vec<String> = previous(boot("f", 1, 93)).into_iter().map(|boot| boot.id).collect();
        assert_eq!(names, ["e", "d", "c", "b"], "no more than fit into a record");
        // What is there and is no memory is none.
        put(&directory.path().join(NAME), "b thirty\n");
        assert_eq!(previous(boot("c", 1, 90)), []);
    }

    #[test]
    fn a_long_record_is_read_from_its_end() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let file = directory.path().join("decisions.jsonl");
        let lines: String = (1..=100_000).map(|seq| line("a", seq, 10)).collect();
        assert!(lines.len() as u64 > END);
        put(&file, &lines);
        assert_eq!(Boots::read(&file, boot("b", 1, 20)).previous, [boot("a", 100_000, 10)]);
    }
}
