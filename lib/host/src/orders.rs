//! Orders of root: text files beside the configuration, in which root says what holds on this host from now on,
//! whatever the configuration, the directory and the rota say. `revoked` and `switch` are two of them.
//!
//! All have one form: a line for each order, `#` before a comment; words with one blank between them, of which the
//! last are who said so and, as the rest of the line, why. A file that is not there orders nothing. One that others
//! could have written, or with a line that is not understood, tells nothing at all: half a list of who is shut
//! out is no list. What follows from that is each file's own matter.

use std::fmt;
use std::path::{Path, PathBuf};

use policy::Fault;
use trust::Owner;

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 200;

/// One file of orders.
#[derive(Debug)]
pub struct OrderFile {
    /// Its name, in the directory of the configuration.
    pub name: &'static str,
    /// The largest that is read, in bytes.
    pub largest: u64,
    /// What is wrong with a line that is not understood, and what to do about it.
    pub advice: &'static str,
}

/// Why a file of orders tells nothing.
#[derive(Debug)]
pub enum OrdersError {
    /// It cannot be read, or others could have written it.
    File(trust::Refusal),
    /// A line is not understood.
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it, and what to do.
        advice: &'static str,
    },
}

impl OrdersError {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(refusal) => &refusal.path,
            Self::Line { path, .. } => path,
        }
    }

    /// The same for a decision.
    pub fn fault(&self) -> Fault {
        match self {
            Self::File(_) => Fault::Untrusted,
            Self::Line { .. } => Fault::Corrupt,
        }
    }
}

impl fmt::Display for OrdersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(refusal) => refusal.fmt(f),
            Self::Line { path, line, advice } => write!(f, "{}:{line}: {advice}", path.display()),
        }
    }
}

impl std::error::Error for OrdersError {}

impl OrderFile {
    /// Where the file is that belongs to the configuration at `config`, readable or not.
    pub fn beside(&self, config: &Path) -> PathBuf {
        config.parent().unwrap_or(Path::new("/")).join(self.name)
    }

    /// What is in the file at `path`; nothing, if there is none.
    ///
    /// # Errors
    /// It cannot be read, or others could have written it.
    pub fn text(&self, path: &Path) -> Result<Vec<u8>, OrdersError> {
        match trust::read(path, Owner::Root, self.largest) {
            Err(refusal) if refusal.is_missing() => Ok(Vec::new()),
            outcome => outcome.map_err(OrdersError::File),
        }
    }

    /// Has each line of `text` that says anything understood, in order. `text` is taken for the content of `path`.
    ///
    /// # Errors
    /// The first line for which `understand` gives nothing.
    pub fn parse(
        &self,
        path: &Path,
        text: &[u8],
        mut understand: impl FnMut(&str) -> Option<()>,
    ) -> Result<(), OrdersError> {
        for (line, words) in (1..).zip(text.split(|&byte| byte == b'\n')).filter(|(_, line)| is_order(line)) {
            let words = std::str::from_utf8(words).ok().filter(|words| !words.starts_with(' '));
            words.and_then(&mut understand).ok_or_else(|| OrdersError::Line {
                path: path.to_path_buf(),
                line,
                advice: self.advice,
            })?;
        }
        Ok(())
    }
}

/// Does a line say anything?
fn is_order(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && !line.starts_with(b"#")
}

/// The end of a line: who said so, and why; of the why there may be nothing.
pub fn said(words: &str) -> Option<(String, String)> {
    let (by, reason) = words.split_once(' ').unwrap_or((words, ""));
    let fits = !by.is_empty() && by.bytes().all(|byte| byte.is_ascii_graphic()) && is_reason(reason);
    fits.then(|| (by.to_string(), reason.trim().to_string()))
}

/// Can `text` be a reason: one line, of a length that a log can hold?
pub fn is_reason(text: &str) -> bool {
    text.len() <= LONGEST_REASON && !text.chars().any(char::is_control)
}

/// `text` without the lines that begin with the word `subject`, and with `line` after the others, if there is one.
/// Everything else in it stays as it is.
pub fn with(text: &[u8], subject: &str, line: Option<&str>) -> Vec<u8> {
    let is_other = |line: &&[u8]| {
        let word = line.trim_ascii_end().split(|&byte| byte == b' ').next();
        !is_order(line) || word != Some(subject.as_bytes())
    };
    let mut changed: Vec<u8> =
        text.split_inclusive(|&byte| byte == b'\n').filter(is_other).flatten().copied().collect();
    if changed.last().is_some_and(|&byte| byte != b'\n') {
        changed.push(b'\n');
    }
    if let Some(line) = line {
        changed.extend_from_slice(line.trim_end().as_bytes());
        changed.push(b'\n');
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: OrderFile = OrderFile { name: "grants", largest: 1_000, advice: "not a grant" };

    fn subjects(text: &[u8]) -> Result<Vec<String>, String> {
        let mut subjects = Vec::new();
        let outcome = FILE.parse(Path::new("/g"), text, |line| {
            let (subject, rest) = line.split_once(' ')?;
            said(rest)?;
            subjects.push(subject.to_string());
            Some(())
        });
        outcome.map(|()| subjects).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_that_is_not_understood_spoils_the_file_and_is_named() {
        assert_eq!(subjects(b"# by hand\n \t\nalice root why\n\nbob eve").unwrap(), ["alice", "bob"]);
        for wrong in
            [&b" alice root why"[..], b"alice", b"alice  why", b"alice root why\r", b"alice root \xff"]
        {
            let text = [b"# by hand\n", wrong, b"\nbob eve"].concat();
            assert_eq!(subjects(&text).unwrap_err(), "/g:2: not a grant");
        }
    }

    #[test]
    fn what_is_said_again_takes_the_place_of_what_was_and_nothing_else_changes() {
        let text = b"# alice\n\nalice root why\nbob eve";
        assert_eq!(with(text, "alice", None), b"# alice\n\nbob eve\n");
        assert_eq!(with(text, "bob", Some("bob root ")), b"# alice\n\nalice root why\nbob root\n");
        assert_eq!(with(text, "ali", Some("ali root")), [&text[..], b"\nali root\n"].concat());
        assert_eq!(with(b"bob eve", "bob", None), b"");
    }
}
