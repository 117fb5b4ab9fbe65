//! Which keys open an account: all of them or none, and why.

use std::fmt;

use host::audit::Line;
use host::{Config, FileError};
use policy::{Account, Principal, Reason, Timestamp};
use store::keys::{KeyCopy, MOST_KEYS};
use store::{KeyProblem, PublicKey, StoreError};

use crate::shared;

/// The most lines of one answer: a shared account has many owners of few keys.
const MOST_LINES: usize = 1024;

/// A known answer: each key with the person whose it is.
#[derive(Debug)]
pub struct Answer {
    keys: Vec<(PublicKey, Principal)>,
    reason: &'static str,
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
    /// The lines for sshd, each `TYPE BASE64 PERSON`.
    pub fn text(&self) -> String {
        self.keys.iter().map(|(key, owner)| format!("{} {owner}\n", key.line())).collect()
    }

    /// The audit line.
    pub fn line(&self, user: &str) -> Line {
        let owners: Vec<&str> = self.keys.iter().map(|(_, owner)| owner.as_str()).collect();
        let mut distinct = owners.clone();
        distinct.dedup();
        Line::new(user, "known", self.reason)
            .field("keys", &owners.len().to_string())
            .field("owners", &distinct.join(","))
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
    fn matches(&self, other: &PublicKey) -> bool {
        matches!(self, Self::Key(key) if key == other)
    }
}

/// The keys that open `account` now; with `offered` only that one, if it is among them.
pub fn answer(
    config: &Config,
    account: &Account,
    offered: Option<&Offered>,
    now: Timestamp,
) -> Result<Answer, Problem> {
    let directory = config.directory.as_ref().ok_or(Problem::NoDirectory)?;
    let open = || {
        KeyCopy::open(&config.paths.keys, &directory.scope(), config.keys.stale_for, now)
            .map_err(Problem::Store)
    };
    let (found, limit) = match config.rules.shared(account.as_str()) {
        Some(_) => (shared::keys(config, account, open, now)?, MOST_LINES),
        None => {
            let copy = open()?;
            if copy.disabled(&account.owner()).map_err(Problem::Store)?.is_some() {
                return Ok(Answer { keys: Vec::new(), reason: "account-disabled" });
            }
            (personal(account, &copy)?, MOST_KEYS)
        }
    };
    let Some(mut keys) = found else { return Ok(Answer { keys: Vec::new(), reason: "no-such-user" }) };
    if let Some(offered) = offered {
        keys.retain(|(key, _)| offered.matches(key));
    }
    if keys.len() > limit {
        return Err(Problem::TooMany(keys.len(), limit));
    }
    let reason = if keys.is_empty() { "no-keys" } else { "keys" };
    Ok(Answer { keys, reason })
}

/// The keys of the person whose account this is; `None` if the directory has no such person.
fn personal(account: &Account, copy: &KeyCopy) -> Result<Option<Vec<(PublicKey, Principal)>>, Problem> {
    let owner = account.owner();
    let keys = copy.keys_of(&owner).map_err(Problem::Store)?;
    Ok(keys.map(|keys| keys.into_iter().map(|key| (key, owner.clone())).collect()))
}
