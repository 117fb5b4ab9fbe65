//! Text that others typed, as it may be printed: names of schedules and people, what a service says of its troubles.
//!
//! The editor of the rota chooses those. None may move a terminal's cursor, turn the letters after it round, or begin a
//! line of its own: in a log, a line is what a program said.

use alloc::string::{String, ToString};
use core::fmt;
use core::ops::Deref;

/// Letters that are not seen and change how others are: bidirectional marks, embeddings and isolates, joiners, the
/// byte order mark, and the two separators at which a terminal or a viewer of logs may begin a new line.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// May `c` be in a line as it is? The separators are no control characters to Unicode.
pub fn is_printable(c: char) -> bool {
    !c.is_control() && !is_invisible(c)
}

/// `text` without what would move a terminal's cursor or turn its letters round. Line breaks stay: for text of ours, in
/// which whatever others typed is a [`OneLine`] already.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_printable(c) { c } else { '\u{fffd}' }).collect()
}

/// Text on one line, whatever it was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OneLine(String);

impl OneLine {
    /// `text`, each character that may not be printed replaced by U+FFFD.
    pub fn new(text: &str) -> Self {
        // What nearly all text is, at the cost of a copy.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Self(text.to_string());
        }
        Self(text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect())
    }

    /// The same, no longer than `bytes`; what is left out shows as three dots.
    pub fn cut(text: &str, bytes: usize) -> Self {
        let line = Self::new(text);
        if line.0.len() <= bytes {
            return line;
        }
        let end = (0..=bytes.saturating_sub(3)).rev().find(|&end| line.0.is_char_boundary(end)).unwrap_or(0);
        Self(line.0.get(..end).unwrap_or_default().to_string() + "...")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for OneLine {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for OneLine {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<fmt::Arguments<'_>> for OneLine {
    fn from(text: fmt::Arguments<'_>) -> Self {
        Self::new(&text.to_string())
    }
}

impl Deref for OneLine {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(plain("a\x1b[31m\u{202e}b\x07\n\u{e9}"), "a\u{fffd}[31m\u{fffd}b\u{fffd}\n\u{e9}");
    }

    #[test]
    fn a_line_is_cut_between_letters() {
        assert_eq!(OneLine::cut("abc", 3).as_str(), "abc");
        assert_eq!(OneLine::cut("abcd", 3).as_str(), "...");
        for bytes in 3..40 {
            let cut = OneLine::cut(&"\u{e9}\n".repeat(30), bytes);
            assert!(cut.len() <= bytes && cut.ends_with("..."), "{cut}");
        }
    }

    #[test]
    fn no_character_begins_a_line_or_turns_one() {
        for c in ('\0'..='\u{10ffff}').filter(|c| !is_printable(*c)) {
            let line = OneLine::new(&alloc::format!("a{c}b"));
            assert_eq!(line.as_str(), "a\u{fffd}b", "{c:?}");
        }
        let breaks = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
        let turns =
            ['\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{61c}', '\u{feff}'];
        assert!(breaks.iter().chain(&turns).all(|&c| !is_printable(c)));
        assert!(['a', ' ', '\u{e9}', '\u{4e2d}', '\u{1f600}', '\u{fffd}'].into_iter().all(is_printable));
    }
}
