//! The text that is signed: a head, an empty line, and the policy, a line for each setting.
//!
//! ```text
//! form = 1
//! number = 7
//! issued = "2026-11-30T12:00:00Z"
//! host."db*" = ["role=db"]
//!
//! policy.mode = "enforce"
//! policy.rule.1.hosts = ["label:role=db"]
//! ```
//!
//! The policy is what is written in config.toml, and not what follows from it: a new release, with settings of its own,
//! makes the same text, and two releases in one fleet have one digest. It is compared as text and never read again. All of
//! it is printable ASCII, so that whoever signs sees all that is there.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use policy::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::Hosts;

/// The largest text with its signatures that is looked at, in bytes: 1 MiB.
pub const LARGEST: usize = 1024 * 1024;

/// The form of the text.
const FORM: u64 = 1;

/// What is not signed: it may differ from host to host, and decides of nobody whether they are admitted. `host` is in the
/// head instead, since it has to be another one on each host.
const LEFT_OUT: [&str; 12] = [
    "host",
    "policy.help",
    "oncall.proxy",
    "oncall.source.timeout",
    "keys.timeout",
    "directory.bind",
    "directory.bind_dn",
    "directory.bind_password_file",
    "directory.client_cert_file",
    "directory.client_key_file",
    "directory.timeout",
    "fleet.freshness",
];

/// Why a text is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextError {
    /// It is longer than [`LARGEST`].
    TooLong,
    /// This is no configuration: what is wrong.
    Config(String),
    /// The head is not written as it should be: what is wrong.
    Head(String),
    /// A form that this release does not know.
    Form(u64),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {LARGEST} bytes"),
            Self::Config(problem) => f.write_str(problem),
            Self::Head(problem) => write!(f, "not a text of `oncall-cache policy show`: {problem}"),
            Self::Form(form) => {
                write!(f, "a text of form {form}; this release knows form {FORM}: install the newer one")
            }
        }
    }
}

impl std::error::Error for TextError {}

/// The policy in `config`, the text of a config.toml: a line for each setting, in the order of their names.
///
/// # Errors
/// It is no TOML.
pub fn lines(config: &[u8]) -> Result<Vec<String>, TextError> {
    let mut lines = Vec::new();
    write_table(&table(config)?, &Place::default(), &mut lines);
    Ok(lines)
}

pub(crate) fn table(config: &[u8]) -> Result<Table, TextError> {
    let text = std::str::from_utf8(config).map_err(|_| TextError::Config("not UTF-8".into()))?;
    toml::from_str(text).map_err(|error| TextError::Config(error.message().to_string()))
}

/// SHA-256 of these lines, in hexadecimal digits.
pub fn digest(lines: &[String]) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
        hash.update("\n");
    }
    hexadecimal(hash)
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where in the configuration: as it is written, and without the numbers of a list's tables, as [`LEFT_OUT`] has it.
#[derive(Debug, Clone, Default)]
struct Place {
    written: String,
    bare: String,
}

impl Place {
    fn below(&self, name: &str) -> Self {
        Self { written: joined(&self.written, &key(name)), bare: joined(&self.bare, name) }
    }

    fn numbered(&self, number: usize) -> Self {
        Self { written: joined(&self.written, &number.to_string()), bare: self.bare.clone() }
    }
}

fn joined(before: &str, name: &str) -> String {
    if before.is_empty() { name.to_string() } else { format!("{before}.{name}") }
}

fn write_table(table: &Table, at: &Place, lines: &mut Vec<String>) {
    // A section whose settings may be left out is the same as none when nothing else is in it.
    let is_section = |path: &&str| path.strip_prefix(&*at.bare).is_some_and(|rest| rest.starts_with('.'));
    if table.is_empty() && !at.written.is_empty() && !LEFT_OUT.iter().any(is_section) {
        lines.push(format!("{} = {{}}", at.written));
    }
    // By name, in whatever order they were written.
    let sorted: BTreeMap<&String, &Value> = table.iter().collect();
    for (name, value) in sorted {
        let at = at.below(name);
        if !LEFT_OUT.contains(&at.bare.as_str()) {
            write_value(value, &at, lines);
        }
    }
}

fn write_value(value: &Value, at: &Place, lines: &mut Vec<String>) {
    let is_plain = |value: &Value| !matches!(value, Value::Table(_) | Value::Array(_));
    match value {
        Value::Table(table) => write_table(table, at, lines),
        Value::Array(items) if !items.iter().all(is_plain) => {
            for (number, item) in (1..).zip(items) {
                write_value(item, &at.numbered(number), lines);
            }
        }
        plain => lines.push(format!("{} = {}", at.written, shown(plain))),
    }
}

/// A value without tables in it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(instant) => instant.to_string(),
        Value::Array(items) => list(items.iter().map(shown)),
        // Has lines of its own.
        Value::Table(_) => String::new(),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A name as it is, where it has plain letters alone.
fn key(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(is_plain) { name.to_string() } else { quoted(name) }
}

/// A basic string of TOML. What is not printable ASCII is escaped: no letter that looks like another one, or turns the
/// line round, is signed unseen.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            ' '..='~' => quoted.push(letter),
            other if u32::from(other) <= 0xffff => _ = write!(quoted, "\\u{:04X}", u32::from(other)),
            other => _ = write!(quoted, "\\U{:08X}", u32::from(other)),
        }
    }
    quoted.push('"');
    quoted
}

/// A text that may be signed, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// Each has a higher one than those before.
    pub number: u64,
    /// When it was made.
    pub issued: Timestamp,
    /// For which hosts, and which labels they have.
    pub hosts: Hosts,
    /// The policy, as [`lines`] writes it.
    pub lines: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "form")]
    _form: u64,
    number: u64,
    issued: String,
    host: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Form {
    form: u64,
}

impl Approved {
    /// The most that is counted to: what every program that reads JSON has exactly.
    pub const LAST: u64 = (1 << 53) - 1;

    /// The text.
    pub fn text(&self) -> String {
        let Self { number, issued, hosts, lines } = self;
        let mut text = format!("form = {FORM}\nnumber = {number}\nissued = \"{issued}\"\n");
        for (name, labels) in hosts {
            let labels = list(labels.iter().map(|label| quoted(label)));
            let _ = writeln!(text, "host.{} = {labels}", key(name));
        }
        text.push('\n');
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Reads a text. Only its head is read: the policy is compared.
    ///
    /// # Errors
    /// It is not, byte for byte, what [`Approved::text`] writes.
    pub fn parse(text: &[u8]) -> Result<Self, TextError> {
        if text.len() > LARGEST {
            return Err(TextError::TooLong);
        }
        let wrong = |problem: &str| TextError::Head(problem.to_string());
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii());
        let text = text.ok_or_else(|| wrong("not ASCII"))?;
        let (head, policy) = text.split_once("\n\n").ok_or_else(|| wrong("no empty line after its head"))?;
        let problem = |error: toml::de::Error| wrong(error.message());
        let Form { form } = toml::from_str(head).map_err(problem)?;
        if form != FORM {
            return Err(TextError::Form(form));
        }
        let head: Head = toml::from_str(head).map_err(problem)?;
        let approved = Self {
            number: head.number,
            issued: Timestamp::parse(&head.issued).ok_or_else(|| wrong("`issued` is no instant"))?,
            hosts: head.host.into_iter().map(|(name, labels)| (name, labels.into_iter().collect())).collect(),
            lines: policy.lines().map(String::from).collect(),
        };
        if !(1..=Self::LAST).contains(&approved.number) {
            return Err(wrong("`number` is not from 1 to 9007199254740991"));
        }
        if approved.text() != text {
            return Err(wrong("it was changed by hand, or on its way"));
        }
        Ok(approved)
    }

    /// SHA-256 of the whole text, its head with it, in hexadecimal digits.
    pub fn text_digest(&self) -> String {
        hexadecimal(Sha256::new_with_prefix(self.text()))
    }
}

#[cfg(test)]
mod tests;
