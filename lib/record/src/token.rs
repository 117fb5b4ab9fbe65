//! Words that programs read: verdicts, reasons and the like, as values, and as they are written.

use std::fmt;

use policy::{Guard, Mode, Reason, Verdict};

/// A word of a record. One that this release does not know is a newer release's, and is kept as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<T> {
    /// One of ours.
    Known(T),
    /// As it is written.
    Other(String),
}

/// What has words: each value has one, and each word means one value.
pub trait Word: Sized {
    /// The word of this value.
    fn word(&self) -> String;

    /// The value of a word; `None` if this release knows no such word.
    fn of_word(word: &str) -> Option<Self>;
}

impl<T: Word> Token<T> {
    /// Reads a word.
    pub fn read(word: &str) -> Self {
        T::of_word(word).map_or_else(|| Self::Other(word.to_string()), Self::Known)
    }

    /// The value, if this release knows it.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

impl<T: Word> fmt::Display for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => f.write_str(&value.word()),
            Self::Other(word) => f.write_str(word),
        }
    }
}

/// At what point of a login a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Account management decided.
    Account,
    /// The same for `oncall-cache enforce`, which tries logins that nobody makes.
    Test,
    /// A session opened; for a shared account over sshd, this is where it was decided.
    Session,
    /// It closed.
    Close,
    /// Nobody logged in: the host says, each hour, that it keeps records, and how many.
    Heartbeat,
    /// A session is open whose right has ended: it would be ended, where sessions are ended.
    WouldEnd,
}

/// What the module did about a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Had no objection.
    Pass,
    /// Refused.
    Refuse,
}

/// Why a session was ended for whoever was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The shift is over.
    Shift,
    /// The person is revoked.
    Revoked,
    /// The grant is over, or revoked.
    Grant,
    /// root did, by hand.
    Root,
}

macro_rules! words {
    ($($type:ident { $($name:ident => $word:literal,)* })*) => {$(
        impl Word for $type {
            fn word(&self) -> String {
                match self {
                    $(Self::$name => $word,)*
                }
                .to_string()
            }

            fn of_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    )*};
}

words! {
    Phase { Account => "account", Test => "test", Session => "session", Close => "close", Heartbeat => "heartbeat", WouldEnd => "would-end", }
    Effect { Pass => "pass", Refuse => "refuse", }
    Cause { Shift => "shift", Revoked => "revoked", Grant => "grant", Root => "root", }
    Mode { Enforce => "enforce", Observe => "observe", }
}

impl Word for Verdict {
    fn word(&self) -> String {
        self.token().to_string()
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verdict| verdict.token() == word)
    }
}

impl Word for Reason {
    fn word(&self) -> String {
        self.token().to_string()
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.token() == word)
    }
}

impl Word for Guard {
    fn word(&self) -> String {
        match self {
            Self::Sudo => "sudo".to_string(),
            Self::Doas => "doas".to_string(),
            Self::Polkit => "polkit".to_string(),
            Self::UidZero => "uid-0".to_string(),
            Self::Group(group) => format!("group:{group}"),
            Self::Shared => "shared".to_string(),
            Self::Named => "named".to_string(),
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "sudo" => Self::Sudo,
            "doas" => Self::Doas,
            "polkit" => Self::Polkit,
            "uid-0" => Self::UidZero,
            "shared" => Self::Shared,
            "named" => Self::Named,
            word => Self::Group(word.strip_prefix("group:")?.to_string()),
        })
    }
}
