//! `[keys]`: how the copy of the directory is used, and which other commands are asked.

use std::path::{Path, PathBuf};

use policy::{Account, Shared, Span};
use serde::Deserialize;
use toml::Spanned;

use super::directory::Directory;
use super::key_rule::{self, KeyRule, KeyRuleSection};
use super::values::{Duration, Problem, problem};

/// `[keys]`.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Who is copied, and who is asked about at a login.
    pub source: KeysSource,
    /// Age up to which an answer needs no question to the directory.
    pub cache_ttl: Span,
    /// Age after which an answer is no longer served, whatever the directory's state.
    pub max_age: Span,
    /// Longest time that one run of `authkeys` takes, with its question to the directory.
    pub timeout: Span,
    /// Requirements for keys, and options before them.
    pub rules: Vec<KeyRule>,
    /// Other commands that are asked after the directory, in the file's order.
    pub chain: Vec<Chained>,
}

impl Keys {
    /// The longest timeout that can be set: sshd lets nobody in while `authkeys` runs.
    pub const LONGEST_TIMEOUT: Span = Span::seconds(10);
}

/// `[keys] source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeysSource {
    /// Everybody is copied to this host.
    Copy,
    /// Everybody is asked about at their login and remembered; eligible people alone are copied.
    Live,
}

/// `[[keys.chain]]`: another AuthorizedKeysCommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chained {
    /// What logs and the comments of its keys call it.
    pub name: String,
    /// The program; an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<Vec<Piece>>,
    /// Globs; it is asked about accounts that match one of them.
    pub accounts: Vec<String>,
    /// Longest time that it may take.
    pub timeout: Span,
}

impl Chained {
    /// The longest timeout of one command.
    pub const LONGEST_TIMEOUT: Span = Span::seconds(5);

    /// Is it asked about `account`?
    pub fn covers(&self, account: &Account) -> bool {
        let name = account.as_str().as_bytes();
        self.accounts.iter().any(|glob| policy::matches_glob(glob.as_bytes(), name))
    }

    /// Is it to be told which key is offered?
    pub fn wants_key(&self) -> bool {
        let of_key = |piece: &Piece| !matches!(piece, Piece::Text(_) | Piece::Account);
        self.arguments.iter().flatten().any(of_key)
    }
}

/// A part of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// `%u`: the account.
    Account,
    /// `%t`: the type of the key that is offered.
    KeyType,
    /// `%k`: that key in base64.
    KeyBase64,
    /// `%f`: its SHA-256 fingerprint.
    Fingerprint,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeysSection {
    source: Spanned<KeysSource>,
    cache_ttl: Spanned<Duration>,
    max_age: Duration,
    timeout: Spanned<Duration>,
    rule: Vec<Spanned<KeyRuleSection>>,
    chain: Vec<ChainSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainSection {
    name: Spanned<String>,
    command: Spanned<Vec<Spanned<String>>>,
    accounts: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "two_seconds")]
    timeout: Spanned<Duration>,
}

fn two_seconds() -> Spanned<Duration> {
    Spanned::new(0..0, Duration(Span::seconds(2)))
}

impl Default for KeysSection {
    fn default() -> Self {
        Self {
            source: Spanned::new(0..0, KeysSource::Copy),
            cache_ttl: Spanned::new(0..0, Duration(Span::minutes(5))),
            max_age: Duration(Span::hours(24)),
            timeout: Spanned::new(0..0, Duration(Span::seconds(3))),
            rule: Vec::new(),
            chain: Vec::new(),
        }
    }
}

impl KeysSection {
    pub(super) fn check(self, shared: &[Shared], directory: Option<&Directory>) -> Result<Keys, Problem> {
        let of_fleet = matches!(directory, Some(Directory::Fleet(_)));
        if of_fleet {
            self.check_fleet()?;
        }
        let (cache_ttl, max_age) = (self.cache_ttl.get_ref().0, self.max_age.0);
        // Unwritten, it follows a shorter `max_age`.
        if cache_ttl > max_age && !self.cache_ttl.span().is_empty() {
            return Err(problem(
                &self.cache_ttl,
                format!("cache_ttl ({cache_ttl}) is longer than max_age ({max_age})"),
            ));
        }
        let timeout = self.timeout.get_ref().0;
        if timeout > Keys::LONGEST_TIMEOUT {
            let longest = Keys::LONGEST_TIMEOUT;
            return Err(problem(
                &self.timeout,
                format!("timeout ({timeout}) is longer than {longest}: a login waits for it"),
            ));
        }
        let chain = chain(self.chain)?;
        let rules = key_rule::check(self.rule, shared)?;
        // A fleet's copy is fresh as long as it counts: there is no directory to ask.
        let cache_ttl = if of_fleet { max_age } else { cache_ttl.min(max_age) };
        Ok(Keys { source: self.source.into_inner(), cache_ttl, max_age, timeout, rules, chain })
    }

    /// What would ask a directory at a login, where people come from a fleet.
    fn check_fleet(&self) -> Result<(), Problem> {
        if *self.source.get_ref() == KeysSource::Live {
            let text = "`source = \"live\"` asks a directory at each login, and with [directory] fleet = true this host knows none";
            return Err(problem(&self.source, text));
        }
        if !self.cache_ttl.span().is_empty() {
            let text =
                "`cache_ttl` only applies where a directory can be asked, not with [directory] fleet = true";
            return Err(problem(&self.cache_ttl, text));
        }
        Ok(())
    }
}

fn chain(sections: Vec<ChainSection>) -> Result<Vec<Chained>, Problem> {
    let mut chain: Vec<Chained> = Vec::new();
    for section in sections {
        let name = section.name.get_ref();
        if chain.iter().any(|earlier| earlier.name == *name) {
            return Err(problem(&section.name, format!("a second [[keys.chain]] named `{name}`")));
        }
        chain.push(section.check()?);
    }
    Ok(chain)
}

impl ChainSection {
    fn check(self) -> Result<Chained, Problem> {
        // It becomes the comment of a line of authorized_keys.
        let name = self.name.get_ref();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(fits) {
            return Err(problem(&self.name, "a name has 1 to 32 letters, digits, - and _"));
        }
        let Some((program, arguments)) = self.command.get_ref().split_first() else {
            return Err(problem(&self.command, format!("chain `{name}` names no command")));
        };
        let path = Path::new(program.get_ref());
        if !path.is_absolute() || program.get_ref().contains('%') {
            return Err(problem(
                program,
                format!("`{}` is not an absolute path of a program", program.get_ref()),
            ));
        }
        let timeout = self.timeout.get_ref().0;
        if timeout > Chained::LONGEST_TIMEOUT {
            let longest = Chained::LONGEST_TIMEOUT;
            let text = format!("timeout ({timeout}) is longer than {longest}: a login waits for it");
            return Err(problem(&self.timeout, text));
        }
        Ok(Chained {
            program: path.to_path_buf(),
            arguments: arguments.iter().map(pieces).collect::<Result<_, _>>()?,
            accounts: account_globs(&self.accounts)?,
            timeout,
            name: self.name.into_inner(),
        })
    }
}

/// Names of accounts, with `*` and `?`; at least one.
fn account_globs(written: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Problem> {
    if written.get_ref().is_empty() {
        return Err(problem(written, "`accounts` is empty, so the command is never run"));
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-*?".contains(&byte);
    let check = |glob: &Spanned<String>| {
        let text = glob.get_ref();
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(problem(glob, format!("`{text}` is no account; a name, with * and ? if need be")));
        }
        Ok(text.clone())
    };
    written.get_ref().iter().map(check).collect()
}

/// An argument with sshd's `%u`, `%t`, `%k`, `%f` and `%%`; the same letters as in sshd_config(5).
fn pieces(argument: &Spanned<String>) -> Result<Vec<Piece>, Problem> {
    if argument.get_ref().contains('\0') {
        return Err(problem(argument, "an argument cannot contain a NUL"));
    }
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut letters = argument.get_ref().chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let piece = match letters.next() {
            Some('%') => {
                text.push('%');
                continue;
            }
            Some('u') => Piece::Account,
            Some('t') => Piece::KeyType,
            Some('k') => Piece::KeyBase64,
            Some('f') => Piece::Fingerprint,
            other => {
                let token: String = ['%'].into_iter().chain(other).collect();
                let text = format!("`{token}` has no meaning here; %u, %t, %k, %f and %% do");
                return Err(problem(argument, text));
            }
        };
        pieces.push(Piece::Text(std::mem::take(&mut text)));
        pieces.push(piece);
    }
    pieces.push(Piece::Text(text));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}
