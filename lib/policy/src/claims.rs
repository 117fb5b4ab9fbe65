//! The reason that somebody on call states once a shift, where their rule asks for one (`claim = true`).
//!
//! It is a friction and a note in the record, and no control: where it cannot be stated, or this host knows too little of
//! who is on call, nobody is refused for want of it.

use alloc::string::String;

use crate::Timestamp;

/// A reason that somebody has stated on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// When, by this host's clock.
    pub at: Timestamp,
    /// In their words.
    pub reason: String,
}

/// What is known of the reason of one person.
#[derive(Debug, Clone, Copy)]
pub enum Claims<'a> {
    /// It was not asked for: only PAM does.
    NotAsked,
    /// The last that they have stated, if any.
    Stated(Option<&'a Claimed>),
    /// None can be stated on this host now.
    Closed,
}

/// What the ground of an admission says of the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The rule asks for none, or this login needs none.
    NotNeeded,
    /// The rule asks for one, and nobody has looked.
    NotAsked,
    /// It is missing.
    Needed,
    /// It was stated in this shift.
    Stated(String),
    /// It is missing, and could not be stated, or is not asked for because the roster is older than `warn_age`.
    Unclaimed,
}

impl Claim {
    /// The word for the record; empty where there is nothing to record.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotNeeded | Self::NotAsked | Self::Needed => "",
            Self::Stated(_) => "stated",
            Self::Unclaimed => "unclaimed",
        }
    }

    /// The reason, in their words; empty where none was stated.
    pub fn reason(&self) -> &str {
        if let Self::Stated(reason) = self { reason } else { "" }
    }
}
