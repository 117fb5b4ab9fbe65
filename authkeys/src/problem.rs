//! Why it is not known which keys open an account.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

use host::FileError;
use policy::Reason;
use state::StateError;
use store::StoreError;

use crate::live::LiveError;

/// Why the answer is not known.
#[derive(Debug)]
pub enum Problem {
    /// The account's name cannot be looked up.
    Name(policy::NameError),
    /// `TYPE KEY` is no key.
    Offer(&'static str),
    /// What this host knows says nothing that can be followed: its configuration, or who is revoked on it.
    State(Rc<StateError>),
    /// The configuration names no directory.
    NoDirectory,
    /// A copy is missing or not trusted.
    Store(StoreError),
    /// The directory does not answer, and what it said before is not trusted, or there is nothing of it.
    Unknown(Option<StoreError>, LiveError),
    /// The roster does not tell who may enter a shared account.
    Undecided(Reason),
    /// More keys than are printed; the number and the limit.
    TooMany(usize, usize),
    /// The caller may not read what sshd's answer is made from.
    Denied(PathBuf),
}

impl Problem {
    /// The token for the log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) | Self::Offer(_) => "bad-user",
            Self::State(error) => of_state(error),
            Self::NoDirectory => Reason::ConfigInvalid.token(),
            Self::Store(error) => Reason::from(error.fault()).token(),
            // That nothing was there before is no news.
            Self::Unknown(None | Some(StoreError::Missing(_)), live) => live.reason.token(),
            Self::Unknown(Some(copy), _) => Reason::from(copy.fault()).token(),
            Self::Undecided(reason) => reason.token(),
            Self::TooMany(..) => "too-many-keys",
            Self::Denied(_) => "file-untrusted",
        }
    }
}

/// The token for what this host does not know.
fn of_state(error: &StateError) -> &'static str {
    let reason = match error {
        StateError::Config(FileError::File(refusal)) if !refusal.is_missing() => Reason::FileUntrusted,
        // The person who is asked about may be revoked.
        StateError::Orders(_) => Reason::RevokedUnreadable,
        other => Reason::from(other.fault()),
    };
    reason.token()
}

impl From<Rc<StateError>> for Problem {
    fn from(error: Rc<StateError>) -> Self {
        Self::State(error)
    }
}

impl From<&Rc<StateError>> for Problem {
    fn from(error: &Rc<StateError>) -> Self {
        Self::State(Rc::clone(error))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "not a name that can be looked up: {error}"),
            Self::Offer(what) => f.write_str(what),
            Self::State(error) => error.fmt(f),
            Self::NoDirectory => f.write_str("config.toml has no [directory]; set where people are"),
            Self::Store(error) => error.fmt(f),
            Self::Unknown(None, live) => f.write_str(&live.text),
            Self::Unknown(Some(copy), live) => write!(f, "{}; and {copy}", live.text),
            Self::Undecided(reason) => {
                write!(f, "cannot tell who may enter this shared account ({reason}); see `oncall-cache who`")
            }
            Self::Denied(path) => write!(
                f,
                "you may not read {}, so this cannot be explained; run it as root or as the \
                 AuthorizedKeysCommandUser of sshd_config",
                path.display()
            ),
            Self::TooMany(count, limit) => {
                write!(
                    f,
                    "{count} keys, limit {limit}; let sshd pass `%t %k`, or remove keys from the directory"
                )
            }
        }
    }
}
