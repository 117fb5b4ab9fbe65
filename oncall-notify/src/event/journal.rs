//! The file that events are kept in until they are told: a line each, whole or not at all, and begun anew when it is long.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file of this length is put beside, where the rest of it is read, and another begun.
const LONG: u64 = 4 * 1024 * 1024;

/// The file.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// The file at `path`, in a directory of its own.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut journal = Self { path: path.to_path_buf(), file: begin(path)? };
        journal.end_line()?;
        Ok(journal)
    }

    /// A program that was killed, or a full disk, may have left half a line: what follows is none of it.
    fn end_line(&mut self) -> io::Result<()> {
        let text = fs::read(&self.path)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() { self.file.set_len(whole as u64) } else { Ok(()) }
    }

    /// Keeps `line`, with its end. It outlives this process; a power cut may take it.
    ///
    /// # Errors
    /// Nothing of it is kept.
    pub fn add(&mut self, line: &[u8]) -> io::Result<()> {
        let mut length = self.file.metadata()?.len();
        if length >= LONG {
            // Who follows the file knows it by its beginning, whatever its name. It has the new one already, where another
            // could not be begun then.
            match fs::rename(&self.path, self.path.with_extension("jsonl.1")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.file = begin(&self.path)?;
            length = 0;
        }
        let written = self.file.write_all(line);
        if written.is_err() {
            self.file.set_len(length)?;
        }
        written
    }
}

fn begin(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_taken_back_and_a_long_file_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events/events.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.add(b"{1}\n").unwrap();
        fs::write(&path, "{1}\n{2").unwrap();
        let mut journal = Journal::open(&path).unwrap();
        journal.add(b"{3}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{1}\n{3}\n");
        journal.file.set_len(LONG).unwrap();
        journal.add(b"{4}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{4}\n");
        assert_eq!(fs::metadata(path.with_extension("jsonl.1")).unwrap().len(), LONG);
        // It was renamed, and another could not be begun: the next one is kept all the same.
        journal.file.set_len(LONG).unwrap();
        fs::rename(&path, path.with_extension("jsonl.1")).unwrap();
        journal.add(b"{5}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{5}\n");
    }
}
