//! The text that is signed: ASCII lines `name: value` in one fixed order, so that a person can read what they sign, and
//! there is one text for one meaning.
//!
//! Each name comes once. What a reader does not ask for, or not in this order, is refused: a line that one release
//! passes over could be what another goes by.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display};

/// The longest text, in bytes (32 KiB).
pub const LARGEST_TEXT: usize = 32 * 1024;

/// Why a text is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextError {
    /// More than [`LARGEST_TEXT`] bytes.
    TooLong,
    /// This line, counted from 1, is not `name: value` in ASCII, or the last one does not end.
    Line(usize),
    /// This name comes twice.
    Repeated(String),
    /// This name is wanted here and does not come.
    Missing(&'static str),
    /// This name is not known here.
    Unexpected(String),
}

impl Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the text is longer than {LARGEST_TEXT} bytes"),
            Self::Line(line) => write!(f, "line {line} of the text is not `name: value` in ASCII"),
            Self::Repeated(name) => write!(f, "`{name}` comes twice in the text"),
            Self::Missing(name) => write!(f, "`{name}` is missing in the text, or not in its place"),
            Self::Unexpected(name) => write!(f, "`{name}` is unknown in the text, or not in its place"),
        }
    }
}

impl core::error::Error for TextError {}

/// A text that is read from its start.
#[derive(Debug, Clone)]
pub struct Reader<'t> {
    /// Name and value of each line that has not been taken, the next one last.
    rest: Vec<(&'t str, &'t str)>,
}

impl<'t> Reader<'t> {
    /// Reads the lines. The first one is usually taken as `form`.
    pub fn new(text: &'t [u8]) -> Result<Self, TextError> {
        if text.len() > LARGEST_TEXT {
            return Err(TextError::TooLong);
        }
        let mut rest = Vec::new();
        for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            rest.push(line.strip_suffix(b"\n").and_then(pair).ok_or(TextError::Line(at + 1))?);
        }
        if rest.is_empty() {
            return Err(TextError::Line(1));
        }
        let mut names = BTreeSet::new();
        if let Some((name, _)) = rest.iter().find(|(name, _)| !names.insert(*name)) {
            return Err(TextError::Repeated(name.to_string()));
        }
        rest.reverse();
        Ok(Self { rest })
    }

    /// The value of the next line, which has this name.
    pub fn take(&mut self, name: &'static str) -> Result<&'t str, TextError> {
        self.take_opt(name).ok_or(TextError::Missing(name))
    }

    /// The value of the next line, if it has this name.
    pub fn take_opt(&mut self, name: &'static str) -> Option<&'t str> {
        self.rest.pop_if(|(next, _)| *next == name).map(|(_, value)| value)
    }

    /// Says that all has been taken.
    pub fn finish(self) -> Result<(), TextError> {
        match self.rest.last() {
            None => Ok(()),
            Some((name, _)) => Err(TextError::Unexpected(name.to_string())),
        }
    }
}

/// Name and value of one line.
fn pair(line: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = core::str::from_utf8(line).ok()?.split_once(": ")?;
    (is_name(name) && is_value(value)).then_some((name, value))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Blanks at an end cannot be seen, and are lost on the way.
fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.trim_matches(' ') == value
        && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// A text that is written line by line.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    text: String,
    names: BTreeSet<&'static str>,
    problem: Option<TextError>,
}

impl Writer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line. What could not be read again is reported by [`Writer::finish`].
    #[must_use]
    pub fn line(mut self, name: &'static str, value: impl Display) -> Self {
        let value = value.to_string();
        if !is_name(name) || !is_value(&value) {
            let line = self.names.len() + 1;
            self.problem.get_or_insert(TextError::Line(line));
        }
        if !self.names.insert(name) {
            self.problem.get_or_insert(TextError::Repeated(name.to_string()));
        }
        for part in [name, ": ", &value, "\n"] {
            self.text.push_str(part);
        }
        self
    }

    /// Adds a line if there is a value.
    #[must_use]
    pub fn line_opt(self, name: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.line(name, value),
            None => self,
        }
    }

    /// The text, if [`Reader`] reads it.
    pub fn finish(self) -> Result<String, TextError> {
        match self.problem {
            Some(problem) => Err(problem),
            None if self.text.len() > LARGEST_TEXT => Err(TextError::TooLong),
            None if self.text.is_empty() => Err(TextError::Line(1)),
            None => Ok(self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_in_its_order() {
        let text = Writer::new()
            .line("form", 1)
            .line("fleet", "example")
            .line_opt("rota", None::<&str>)
            .line_opt("people-read", Some("2026-11-20T09:00:00Z"))
            .line("reason", "disk: full  (INC-42)")
            .finish()
            .unwrap();
        assert_eq!(
            text,
            "form: 1\nfleet: example\npeople-read: 2026-11-20T09:00:00Z\nreason: disk: full  (INC-42)\n"
        );
        let mut reader = Reader::new(text.as_bytes()).unwrap();
        assert_eq!(reader.take("form"), Ok("1"));
        assert_eq!(reader.clone().take("rota"), Err(TextError::Missing("rota")));
        assert_eq!(reader.take_opt("rota"), None);
        assert_eq!(reader.take("fleet"), Ok("example"));
        assert_eq!(reader.take_opt("people-read"), Some("2026-11-20T09:00:00Z"));
        assert_eq!(reader.clone().finish(), Err(TextError::Unexpected("reason".into())));
        assert_eq!(reader.take("reason"), Ok("disk: full  (INC-42)"));
        assert_eq!(reader.take("more"), Err(TextError::Missing("more")));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn there_is_one_spelling() {
        for (text, line) in [
            ("", 1),
            ("form: 1", 1),
            ("form: 1\r\n", 1),
            ("form: 1 \n", 1),
            ("form:  1\n", 1),
            ("form:1\n", 1),
            ("form: \n", 1),
            ("Form: 1\n", 1),
            (" form: 1\n", 1),
            ("form : 1\n", 1),
            ("1form: 1\n", 1),
            (": 1\n", 1),
            ("\u{feff}form: 1\n", 1),
            ("form: 1\n\n", 2),
            ("form: 1\nname: r\u{f6}ot\n", 2),
            ("form: 1\nname: a\tb\n", 2),
            ("form: 1\nname: a\0b\n", 2),
            ("form: 1\nname: a\n folded\n", 3),
            ("form: 1\nname: a", 2),
        ] {
            assert_eq!(Reader::new(text.as_bytes()).unwrap_err(), TextError::Line(line), "{text:?}");
        }
        assert_eq!(Reader::new(b"a: 1\nb: 2\na: 1\n").unwrap_err(), TextError::Repeated("a".into()));
        assert_eq!(Reader::new(&[b'a'; LARGEST_TEXT + 1]).unwrap_err(), TextError::TooLong);
    }

    #[test]
    fn what_could_not_be_read_is_not_written() {
        let problem = |writer: Writer| writer.finish().unwrap_err();
        assert_eq!(problem(Writer::new()), TextError::Line(1));
        assert_eq!(problem(Writer::new().line("a", "b").line("c", "")), TextError::Line(2));
        assert_eq!(problem(Writer::new().line("a", "b\nc: d")), TextError::Line(1));
        assert_eq!(problem(Writer::new().line("a", "b").line("a", "b")), TextError::Repeated("a".into()));
        assert_eq!(problem(Writer::new().line("a", "x".repeat(LARGEST_TEXT))), TextError::TooLong);
    }
}
