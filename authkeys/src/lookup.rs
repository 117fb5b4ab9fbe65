//! Which keys open an account: all of them or none, and why.

use std::fmt;

use host::audit::Line;
use host::{Config, FileError};
use policy::{Account, Principal, Reason};
use store::keys::{KeyCopy, MOST_KEYS};
use store::lookups::Known;
use store::{KeyProblem, PublicKey, StoreError};

use crate::live::LiveError;
use crate::person::{self, Clock, Found};
use crate::shared;

/// The most lines of one answer: a shared account has many owners of few keys.
const MOST_LINES: usize = 1024;

/// A known answer: each key with the person whose it is.
#[derive(Debug)]
pub struct Answer {
    keys: Vec<(PublicKey, Principal)>,
    /// Lines of other commands.
    chained: String,
    reason: &'static str,
    evidence: Vec<(&'static str, String)>,
}

/// Why the answer is not known.
#[derive(Debug)]
pub enum Problem {
    /// The account's name cannot be looked up.
    Name(policy::NameError),
    /// `TYPE KEY` is no key.
    Offer(&'static str),
    /// The configuration says nothing that can be followed.
    Config(FileError),
    /// The configuration names no directory.
    NoDirectory,
    /// A copy is missing or not believed.
    Store(StoreError),
    /// The directory does not answer, and what it said before is not believed, or there is nothing of it.
    Unknown(Option<StoreError>, LiveError),
    /// The roster does not tell who may enter a shared account.
    Undecided(Reason),
    /// More keys than are printed; the number and the limit.
    TooMany(usize, usize),
}

impl Problem {
    /// The token for the log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) | Self::Offer(_) => "bad-user",
            Self::Config(FileError::File(refusal)) if !refusal.is_missing() => "file-untrusted",
            Self::Config(_) | Self::NoDirectory => "config-invalid",
            Self::Store(error) => Reason::from(error.fault()).token(),
            // That nothing was there before is no news.
            Self::Unknown(None | Some(StoreError::Missing(_)), live) => live.reason,
            Self::Unknown(Some(copy), _) => Reason::from(copy.fault()).token(),
            Self::Undecided(reason) => reason.token(),
            Self::TooMany(..) => "too-many-keys",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "not a name that is looked up: {error}"),
            Self::Offer(what) => f.write_str(what),
            Self::Config(error) => error.fmt(f),
            Self::NoDirectory => f.write_str("config.toml has no [directory]; say where people are"),
            Self::Store(error) => error.fmt(f),
            Self::Unknown(None, live) => f.write_str(&live.text),
            Self::Unknown(Some(copy), live) => write!(f, "{}; and {copy}", live.text),
            Self::Undecided(reason) => {
                write!(f, "cannot tell who may enter this shared account ({reason}); see `oncall-cache who`")
            }
            Self::TooMany(count, limit) => {
                write!(
                    f,
                    "{count} keys, limit {limit}; let sshd pass `%t %k`, or remove keys from the directory"
                )
            }
        }
    }
}

impl Answer {
    /// The lines for sshd, each `TYPE BASE64 PERSON`, and those of other commands.
    pub fn text(&self) -> String {
        let own = self.keys.iter().map(|(key, owner)| format!("{} {owner}\n", key.line()));
        own.chain([self.chained.clone()]).collect()
    }

    /// May another command have more to say? Not about a person whom the directory has shut out, nor about a
    /// key that opens nothing, or is in the answer already.
    pub fn leaves_open(&self, offered: Option<&Offered>) -> bool {
        let answered = match offered {
            None => false,
            Some(Offered::Unacceptable) => true,
            Some(Offered::Key(_)) => !self.keys.is_empty(),
        };
        self.reason != "account-disabled" && !answered
    }

    /// Adds the lines of another command, and what it did for the log.
    pub fn add(&mut self, lines: &str, did: String) {
        self.chained.push_str(lines);
        self.evidence.push(("chain", did));
    }

    /// The audit line.
    pub fn line(&self, user: &str) -> Line {
        let owners: Vec<&str> = self.keys.iter().map(|(_, owner)| owner.as_str()).collect();
        let mut distinct = owners.clone();
        distinct.dedup();
        let line = Line::new(user, "known", self.reason)
            .field("keys", &owners.len().to_string())
            .field("owners", &distinct.join(","));
        self.evidence.iter().fold(line, |line, (name, value)| line.field(name, value))
    }
}

/// The key that sshd says is offered, from `%t %k`.
///
/// A certificate, or a type that is not accepted, is no mistake of usage: such a key opens nothing, and
/// the answer without it is the whole one.
pub fn offered(kind: Option<&str>, key: Option<&str>) -> Result<Option<Offered>, Problem> {
    let (Some(kind), Some(key)) = (kind, key) else { return Ok(None) };
    match PublicKey::parse_words(kind, key) {
        Ok(key) => Ok(Some(Offered::Key(key))),
        Err(KeyProblem::TypeNotAccepted | KeyProblem::WeakRsa) => Ok(Some(Offered::Unacceptable)),
        Err(_) => Err(Problem::Offer("TYPE KEY is not a public key; in sshd_config write `%u %t %k`")),
    }
}

/// What sshd says is offered.
#[derive(Debug)]
pub enum Offered {
    /// This key.
    Key(PublicKey),
    /// A key that opens nothing.
    Unacceptable,
}

impl Offered {
    /// The key, unless it opens nothing.
    pub fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Unacceptable => None,
        }
    }

    fn matches(&self, other: &PublicKey) -> bool {
        self.key() == Some(other)
    }
}

/// The keys that open `account` now; with `offered` only that one, if it is among them.
pub fn answer(
    config: &Config,
    account: &Account,
    offered: Option<&Offered>,
    clock: Clock,
) -> Result<Answer, Problem> {
    let directory = config.directory.as_ref().ok_or(Problem::NoDirectory)?;
    if config.rules.shared(account.as_str()).is_some() {
        let scope = config.copy_scope(directory);
        let open = || {
            KeyCopy::open(&config.paths.keys, &scope, config.keys.stale_for, clock.now)
                .map_err(Problem::Store)
        };
        let keys = shared::keys(config, account, open, clock.now)?;
        return select(keys, offered, MOST_LINES);
    }
    let owner = account.owner();
    let Found { known, stale, evidence } = person::find(config, directory, &owner, clock)?;
    let mut answer = match known {
        Known::Keys(keys) => {
            select(keys.into_iter().map(|key| (key, owner.clone())).collect(), offered, MOST_KEYS)?
        }
        Known::Disabled => Answer::none("account-disabled"),
        Known::Absent => Answer::none("no-such-user"),
    };
    if stale && answer.reason == "keys" {
        answer.reason = "keys-stale";
    }
    answer.evidence = evidence;
    Ok(answer)
}

impl Answer {
    fn none(reason: &'static str) -> Self {
        Self { keys: Vec::new(), chained: String::new(), reason, evidence: Vec::new() }
    }
}

/// Those of `keys` that are printed.
fn select(
    mut keys: Vec<(PublicKey, Principal)>,
    offered: Option<&Offered>,
    limit: usize,
) -> Result<Answer, Problem> {
    if let Some(offered) = offered {
        keys.retain(|(key, _)| offered.matches(key));
    }
    if keys.len() > limit {
        return Err(Problem::TooMany(keys.len(), limit));
    }
    let reason = if keys.is_empty() { "no-keys" } else { "keys" };
    Ok(Answer { keys, chained: String::new(), reason, evidence: Vec::new() })
}
