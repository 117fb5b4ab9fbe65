//! Reading a TOML file that root wrote: config.toml, people.toml, rota.toml.
//!
//! An error names the file and the line. A key that is not known is an error, with the key that was
//! probably meant.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use trust::Owner;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Why a file tells nothing.
#[derive(Debug)]
pub enum FileError {
    /// It is absent, unreadable, or others could have written it.
    File(trust::Refusal),
    /// It says something that does not hold.
    Content {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(refusal) if refusal.is_missing() => {
                write!(f, "{refusal}; the packages have an example below /usr/share/doc")
            }
            Self::File(refusal) => refusal.fmt(f),
            Self::Content { path, line, problem } => write!(f, "{}:{line}: {problem}", path.display()),
        }
    }
}

impl std::error::Error for FileError {}

impl FileError {
    /// A complaint about the text at byte `offset` of `text`.
    pub fn at(path: &Path, text: &[u8], offset: usize, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_path_buf(), line: line_at(text, offset), problem: problem.into() }
    }
}

/// The line, from 1, in which byte `offset` of `text` is.
pub fn line_at(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|&&byte| byte == b'\n').count()
}

/// Reads `path`, which root alone may be able to write; its bytes.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    trust::read(path, Owner::Root, LARGEST).map_err(FileError::File)
}

/// Reads `text` as the content of `path`; touches no file.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, FileError> {
    let utf8 = std::str::from_utf8(text)
        .map_err(|error| FileError::at(path, text, error.valid_up_to(), "not UTF-8"))?;
    toml::from_str(utf8).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        FileError::at(path, text, offset, explain(error.message()))
    })
}

/// Reads `text` as the content of `path`, and makes of it what `check` does; a complaint of that is where, in bytes, and
/// what. Touches no file.
///
/// # Errors
/// The line that does not hold.
pub fn checked<T: DeserializeOwned, C>(
    path: &Path,
    text: &[u8],
    check: impl FnOnce(T) -> Result<C, (usize, String)>,
) -> Result<C, FileError> {
    check(parse(path, text)?).map_err(|(at, problem)| FileError::at(path, text, at, problem))
}

/// `path` from the root on, as what is trusted is named.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Turns serde's list of known keys into the one that was probably meant.
pub fn explain(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    match (message.starts_with("unknown field"), quoted.next()) {
        (true, Some(unknown)) => match nearest(unknown, quoted) {
            Some(known) => format!("unknown key `{unknown}`; did you mean `{known}`?"),
            None => format!("unknown key `{unknown}`; this release has no such setting here"),
        },
        _ => message.lines().collect::<Vec<_>>().join("; "),
    }
}

/// The candidate that at most two typing slips turn into `word`.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (slips(word, candidate), candidate))
        .filter(|(slips, _)| *slips <= 2)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in bytes.
fn slips(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        for (cell, r) in row.iter_mut().skip(1).zip(right.bytes()) {
            let replaced = diagonal + usize::from(l != r);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(previous + 1);
            previous = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (left, right, count) in
            [("shedule", "schedule", 1), ("a", "", 1), ("kitten", "sitting", 3), ("x", "x", 0)]
        {
            assert_eq!(slips(left, right), count, "{left} {right}");
        }
    }
}
