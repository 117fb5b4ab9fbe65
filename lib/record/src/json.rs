//! The JSON of records, written and read by hand: an object of texts and numbers on one line.
//!
//! By hand, so that what sudo and sshd load links no format. The reader takes any JSON object on one line, since other
//! programs may have written a record again; what is nested it passes over, for no field of ours is.

use std::fmt::{self, Write as _};

use crate::line::LONGEST;

/// An object that is being written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_string())
    }

    fn name(&mut self, name: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{name}\":");
    }

    /// Adds a text; an empty one is left out.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            let _ = write!(self.0, "\"{}\"", Quoted(value));
        }
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        let _ = write!(self.0, "{value}");
    }

    /// The line, with its end.
    pub(crate) fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

/// In place of the rest of a text that was cut.
const CUT: &str = "...";

/// A foreign value inside a JSON string: as [`crate::Escaped`], with JSON's escapes, so that it reads back as it was.
/// One that was cut is written again as it is.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, end) = self.0.strip_suffix(CUT).map_or((self.0, ""), |text| (text, CUT));
        let mut written = 0;
        for letter in text.chars() {
            let is_plain = letter == ' ' || letter.is_ascii_graphic();
            let is_special = matches!(letter, '"' | '\\');
            written += if is_special {
                2
            } else if is_plain {
                1
            } else {
                6 * letter.len_utf16()
            };
            if written > LONGEST {
                return f.write_str(CUT);
            }
            if is_special {
                write!(f, "\\{letter}")?;
            } else if is_plain {
                f.write_char(letter)?;
            } else {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(f, "\\u{unit:04x}")?;
                }
            }
        }
        f.write_str(end)
    }
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(String),
    /// As it is written.
    Number(&'a str),
    /// What no field of ours has.
    Other,
}

/// Calls `take` with each name and value of the object that `line` is; `None` if it is none, or once `take` says so.
pub(crate) fn each<'a>(line: &'a str, mut take: impl FnMut(&str, Value<'a>) -> Option<()>) -> Option<()> {
    let mut reader = Reader { rest: line };
    reader.token("{")?;
    if reader.token("}").is_none() {
        loop {
            reader.skip_blanks();
            let name = reader.string()?;
            reader.token(":")?;
            let value = reader.value()?;
            take(&name, value)?;
            if reader.token(",").is_none() {
                break reader.token("}")?;
            }
        }
    }
    reader.skip_blanks();
    reader.rest.is_empty().then_some(())
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// Passes over blanks and this token.
    fn token(&mut self, token: &str) -> Option<()> {
        self.skip_blanks();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn letter(&mut self) -> Option<char> {
        let mut letters = self.rest.chars();
        let letter = letters.next()?;
        self.rest = letters.as_str();
        Some(letter)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        self.skip_blanks();
        match self.rest.chars().next()? {
            '"' => self.string().map(Value::Text),
            '{' | '[' => self.nested(),
            '-' | '0'..='9' => {
                let is_over = |c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
                let end = self.rest.find(is_over).unwrap_or(self.rest.len());
                let (number, rest) = self.rest.split_at_checked(end)?;
                self.rest = rest;
                Some(Value::Number(number))
            }
            _ => {
                let word = ["true", "false", "null"].into_iter().find(|word| self.rest.starts_with(word))?;
                self.token(word).map(|()| Value::Other)
            }
        }
    }

    /// Passes over an object or a list.
    fn nested(&mut self) -> Option<Value<'a>> {
        let mut depth = 0_u32;
        loop {
            match self.rest.chars().next()? {
                '"' => drop(self.string()?),
                letter => {
                    self.letter()?;
                    match letter {
                        '{' | '[' => depth = depth.checked_add(1)?,
                        '}' | ']' => depth = depth.checked_sub(1)?,
                        _ => {}
                    }
                    if depth == 0 {
                        return Some(Value::Other);
                    }
                }
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let end = self.rest.find(|c: char| matches!(c, '"' | '\\') || c < ' ')?;
            let (plain, rest) = self.rest.split_at_checked(end)?;
            text.push_str(plain);
            self.rest = rest;
            match self.letter()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.letter()? {
            letter @ ('"' | '\\' | '/') => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.utf16(),
            _ => return None,
        })
    }

    /// The letter of one or two `\uXXXX`; behind the first `\u`.
    fn utf16(&mut self) -> Option<char> {
        let first = self.unit()?;
        if let Some(Ok(letter)) = char::decode_utf16([first]).next() {
            return Some(letter);
        }
        self.rest = self.rest.strip_prefix("\\u")?;
        let second = self.unit()?;
        char::decode_utf16([first, second]).next()?.ok()
    }

    fn unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Vec<(String, Value<'_>)>> {
        let mut all = Vec::new();
        each(line, |name, value| {
            all.push((name.to_string(), value));
            Some(())
        })?;
        Some(all)
    }

    #[test]
    fn an_object_is_read_whoever_wrote_it() {
        let text = |text: &str| Value::Text(text.to_string());
        let line = " { \"a\" : \"\\u00e9\\ud83d\\ude00\\/\\n\u{e9}\",\"b\":-7, \"c\":[1,{\"]\":\"}\\\"\"}],\"d\":null ,\"e\":1.5e3}\r";
        let all = read(line).unwrap();
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
        let values: Vec<Value<'_>> = all.into_iter().map(|(_, value)| value).collect();
        let number = Value::Number;
        assert_eq!(
            values,
            [text("\u{e9}\u{1f600}/\n\u{e9}"), number("-7"), Value::Other, Value::Other, number("1.5e3")]
        );
        assert_eq!(read("{}"), Some(vec![]));
        for bad in [
            "",
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\ud83d\"}",
            "{\"a\":\"\\ude00\\ud83d\"}",
            "{\"a\":\"\\u+123\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":tru}",
            "{\"a\":[}",
            "{a:1}",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_was_cut_is_written_again_as_it_is() {
        for long in
            ["x".repeat(300), "\u{e9}".repeat(100), format!("{}\"\\", "y".repeat(255)), "....".repeat(70)]
        {
            let once = Quoted(&long).to_string();
            assert!(once.len() <= LONGEST + CUT.len(), "{once}");
            let line = format!("{{\"a\":\"{once}\"}}");
            let [(_, Value::Text(read))] = &read(&line).unwrap()[..] else { panic!("one text") };
            assert_eq!(Quoted(read).to_string(), once);
        }
    }
}
