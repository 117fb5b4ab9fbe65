//! The same people from `people.toml`: for small teams, tests and the demo.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use host::{FileError, toml_file};
use ldap::Entry;
use serde::Deserialize;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    person: Option<Vec<Person>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    username: String,
    #[serde(default)]
    mail: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    eligible: bool,
}

/// Everyone in the file at `path`, which root alone may be able to write.
pub fn read(path: &Path) -> Result<Vec<Entry>, FileError> {
    parse(path, &toml_file::read(path)?)
}

/// Everyone in `text`, the content of `path`.
pub fn parse(path: &Path, text: &[u8]) -> Result<Vec<Entry>, FileError> {
    let mut entries = match std::str::from_utf8(text).ok().and_then(by_pieces) {
        Some(entries) => entries,
        None => entries(toml_file::parse(path, text)?),
    };
    // The name is the id; the second of one name is another entry, and neither is accepted.
    let mut seen = HashMap::new();
    for entry in &mut entries {
        let times: &mut usize = seen.entry(entry.id.clone()).or_default();
        *times += 1;
        if *times > 1 {
            entry.id = format!("{}#{times}", entry.id);
        }
    }
    Ok(entries)
}

fn entries(file: File) -> Vec<Entry> {
    file.person.into_iter().flatten().map(Person::into_entry).collect()
}

/// The least text that is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Everyone in `text`, a few at a time: what the parser makes of a file is ten times its size. None, where that is not
/// the whole truth or something is wrong: the text as a whole tells what, and where.
fn by_pieces(text: &str) -> Option<Vec<Entry>> {
    let mut people = Vec::new();
    let pieces = pieces(text);
    let is_cut = pieces.len() > 1;
    for piece in pieces {
        let has_header = piece.start > 0 || text.starts_with("[[");
        let file: File = toml::from_str(text.get(piece)?).ok()?;
        // Those whom `person = […]` lists, before any header, are all that a file may have.
        if is_cut && !has_header && file.person.is_some() {
            return None;
        }
        people.extend(entries(file));
    }
    Some(people)
}

/// Where `text` can be cut: before `[[`, where a table of an array begins; before the first of them in any case.
fn pieces(text: &str) -> Vec<Range<usize>> {
    let (mut cuts, mut depth, mut is_start, mut header) = (vec![0], 0_usize, true, None);
    for token in Source::new(text).lex() {
        let at = token.span().start();
        match token.kind() {
            TokenKind::LeftSquareBracket => {
                let is_due = |start: &usize| match cuts.as_slice() {
                    [_] => *start > 0,
                    [.., last] => start - last > PIECE,
                    [] => false,
                };
                if let Some(start) = header.take().filter(|start| start + 1 == at).filter(is_due) {
                    cuts.push(start);
                }
                header = (is_start && depth == 0).then_some(at);
                depth += 1;
            }
            TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_blank = matches!(token.kind(), TokenKind::Whitespace | TokenKind::Comment);
        is_start = (is_start && is_blank) || (token.kind() == TokenKind::Newline && depth == 0);
    }
    let ends = cuts.iter().skip(1).copied().chain([text.len()]);
    cuts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

impl Person {
    fn into_entry(self) -> Entry {
        Entry {
            id: self.username.clone(),
            names: vec![self.username],
            mails: self.mail,
            keys: self.keys.into_iter().map(String::into_bytes).collect(),
            eligible: self.eligible,
            ..Entry::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `count` people, written in several of the ways that TOML has.
    fn file(count: usize) -> String {
        let person = |number: usize| match number % 4 {
            0 => format!("[[person]]\nusername='p{number}'\nkeys=['{}']\n", "k".repeat(200)),
            1 => format!("  [[ person ]] # [[person]]\nkeys=[\n'x'\n,]\nusername='p{number}'\n"),
            2 => {
                format!("[[person]]\nusername='p{number}'\nmail=[\"\"\"\n[[person]]\nusername='x'\n\"\"\"]\n")
            }
            _ => format!(
                "[[\"person\"]]\r\nusername = 'p{number}'\r\nmail = ['''\n[[person]]''',\r\n] \r\neligible = true\r\n"
            ),
        };
        "# people\n".to_string() + &(0..count).map(person).collect::<String>()
    }

    #[test]
    fn pieces_say_what_the_whole_says() {
        for count in [0, 1, 2_000, 5_000] {
            let text = file(count);
            let whole = entries(toml::from_str(&text).unwrap());
            assert_eq!(whole.len(), count);
            assert_eq!(by_pieces(&text), Some(whole), "of {count} people");
            assert!(count < 2_000 || pieces(&text).len() > 2);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_in_the_whole() {
        let many = file(4_000);
        let lines = many.matches('\n').count();
        for (text, line) in [
            ("[[person]]\nusername='x'\nkey=[]\n", 3),
            ("[person]\nusername='x'\n", 1),
            ("[[people]]\nusername='x'\n", 1),
            ("[[person]]\nusername='x'\nkeys=[[\n", 3),
            ("[[person.mail]]\n", 1),
        ] {
            let error = parse(Path::new("/p"), (many.clone() + text).as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/p:{}: ", lines + line)), "{text} {lines} {error}");
        }
        let inline = "person = [{ username = 'x' }]\n".to_string();
        assert!(parse(Path::new("/p"), (inline.clone() + &many).as_bytes()).is_err());
        assert!(parse(Path::new("/p"), ("person = []\n".to_string() + &many).as_bytes()).is_err());
        assert_eq!(parse(Path::new("/p"), inline.as_bytes()).unwrap().len(), 1);
    }
}
