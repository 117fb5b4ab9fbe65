//! What follows for an open session.

use core::fmt;

use crate::{Reason, Timestamp};

/// What follows for one session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stays.
    Stays(Stay),
    /// Its right has ended, or that cannot be told, and it is not ended by itself.
    Listed(WhyNot),
    /// Whoever sits there is to be told.
    Warn(Ends),
    /// It would be ended, where something was ended on this host; once for each session.
    WouldEnd(Means, Cause),
    /// It is to be ended.
    Due(Means, Cause),
}

/// Why a session stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// It was opened by no right that ends with a shift or a grant.
    NoRight,
    /// Its right holds, until then as far as is known.
    Holds(Option<Timestamp>),
    /// Its right has ended, and its time is not over.
    Waits(Ends),
    /// That it would be ended is recorded already.
    Told,
}

/// The end of a right, and of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// When the right ends; of one that has ended when that is said.
    pub right: Timestamp,
    /// Not before then the session is ended.
    pub due: Timestamp,
    /// How.
    pub means: Means,
    /// Why.
    pub cause: Cause,
}

/// How a session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// The connection is hung up, as a whole.
    HangUp,
    /// What runs in it is ended.
    Kill,
}

/// Why a session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The shift is over, or the person is not eligible any more.
    Shift,
    /// The grant is over, or revoked.
    Grant,
    /// The person is revoked.
    Revoked,
}

impl Cause {
    /// The word in the record of the end.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shift => "shift",
            Self::Grant => "grant",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a session is only listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// It cannot be told whether its right has ended.
    CannotTell(Reason),
    /// The same login would be refused now, for a reason that ends no session.
    Refused(Reason),
    /// It cannot be told whether a grant stands.
    GrantUnknown,
    /// It is not certain that its process is the one that opened it.
    Unsure,
    /// Enforcing is paused.
    Paused,
    /// Enforcing is on trial.
    Trial,
    /// The switch of this host cannot be read.
    SwitchUnreadable,
    /// The clocks did not advance alike.
    ClockJumped,
    /// The roster is older than `warn_age`.
    OldRoster,
    /// The host only observed when it opened.
    Observed,
    /// It opened before the action was in force.
    Before,
    /// It is the person's own login, in which only what others' rights opened is ended.
    OwnLogin,
    /// It is no connection to a shared account, and nothing else is hung up.
    NoConnection,
    /// Its shift was shortened, and it is no connection to a shared account.
    Shortened,
    /// The person is on call by the rota, and a file of the site's leaves the shift out.
    LeftOut,
    /// It was opened inside the session of somebody else.
    Another,
    /// Something is at work in it, and was for too long to be waited for.
    Busy,
}

impl WhyNot {
    /// A word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CannotTell(_) => "cannot-tell",
            Self::Refused(_) => "other-refusal",
            Self::GrantUnknown => "grant-unknown",
            Self::Unsure => "process-unsure",
            Self::Paused => "paused",
            Self::Trial => "trial",
            Self::SwitchUnreadable => "switch-unreadable",
            Self::ClockJumped => "clock-jumped",
            Self::OldRoster => "roster-old",
            Self::Observed => "opened-observing",
            Self::Before => "opened-before",
            Self::OwnLogin => "own-login",
            Self::NoConnection => "no-connection",
            Self::Shortened => "shortened",
            Self::LeftOut => "left-out",
            Self::Another => "another-person",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CannotTell(reason) => return write!(f, "cannot tell: {reason}"),
            Self::Refused(reason) => return write!(f, "{reason} ends no session"),
            Self::GrantUnknown => "cannot tell whether a grant stands",
            Self::Unsure => "not certain whose process it is",
            Self::Paused => "enforcing is paused",
            Self::Trial => "enforcing is on trial",
            Self::SwitchUnreadable => "the switch cannot be read",
            Self::ClockJumped => "the clock was set",
            Self::OldRoster => "the roster is older than warn_age",
            Self::Observed => "opened while observing",
            Self::Before => "opened before policy.end took effect",
            Self::OwnLogin => "the person's own login",
            Self::NoConnection => "no connection to a shared account",
            Self::Shortened => "the shift was shortened",
            Self::LeftOut => "on call by the rota; [[policy.rego]] leaves the shift out",
            Self::Another => "opened inside another person's session",
            Self::Busy => "something at work there was not done in 30 minutes",
        })
    }
}
