//! Why a grant lets nobody in.

use alloc::string::String;
use core::fmt;

use policy::revocations::Subject;
use policy::{Account, Principal, Span, Timestamp};
use signed::SignatureError;

use crate::{GrantId, OLDEST};

/// Why, as a word that logs, reports and documents share. Tokens never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its time is over, or it was brought too late.
    GrantExpired,
    /// Its time has not come.
    Early,
    /// It is for other hosts.
    Host,
    /// It is for another account, or for one that the rule does not name.
    Account,
    /// It is for another person, or the key in it is.
    Person,
    /// It is for too long, or for too late.
    Lifetime,
    /// A signature is none that counts here.
    Signature,
    /// Too few approvers have signed.
    Quorum,
    /// The person has signed for themselves.
    Own,
    /// The grant is revoked, or somebody or a key in it.
    Revoked,
    /// An earlier use of break-glass has not been reviewed. Of grants by a quorum it is never said.
    ReviewOpen,
    /// The host can tell who is on call, so that nobody lets themselves in. Of grants by a quorum it is never said.
    OnCallKnown,
    /// It is a review of nothing that this host knows.
    Unknown,
}

impl Reason {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::GrantExpired,
        Self::Early,
        Self::Host,
        Self::Account,
        Self::Person,
        Self::Lifetime,
        Self::Signature,
        Self::Quorum,
        Self::Own,
        Self::Revoked,
        Self::ReviewOpen,
        Self::OnCallKnown,
        Self::Unknown,
    ];

    /// The stable token.
    pub const fn token(self) -> &'static str {
        match self {
            Self::GrantExpired => "grant-expired",
            Self::Early => "early",
            Self::Host => "host",
            Self::Account => "account",
            Self::Person => "person",
            Self::Lifetime => "lifetime",
            Self::Signature => "signature",
            Self::Quorum => "quorum",
            Self::Own => "self",
            Self::Revoked => "revoked",
            Self::ReviewOpen => "review-open",
            Self::OnCallKnown => "on-call-known",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Why a grant lets nobody in, with what a message needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It ended at this instant.
    Ended(Timestamp),
    /// It was issued at this instant, more than [`OLDEST`] ago.
    Stale(Timestamp),
    /// It was issued before this instant, from which on this host remembers.
    Forgotten(Timestamp),
    /// It begins, or was issued, at this instant, which has not come.
    Early(Timestamp),
    /// It is for the hosts of this site.
    Site(String),
    /// It does not name this host, which is called so.
    Host(String),
    /// The rule does not cover this host, which is called so.
    NoRule(String),
    /// Not into this account.
    Account(Account),
    /// It is not for this person.
    Person(Principal),
    /// The key in it is this other person's.
    KeyOf(Principal),
    /// It is for so long, and the rule allows so much.
    TooLong {
        /// From its begin to its end.
        length: Span,
        /// The longest.
        max: Span,
    },
    /// It begins at this instant, more than [`OLDEST`] after it was issued.
    Ahead(Timestamp),
    /// Too few approvers have signed, and this is wrong with a signature.
    Signature(SignatureError),
    /// Too few approvers have signed.
    Quorum {
        /// So many have.
        people: usize,
        /// So many should have.
        wanted: usize,
    },
    /// Too few approvers have signed, and this person for themselves.
    Own(Principal),
    /// This is revoked.
    Revoked(Subject),
    /// This person is none of those who may let themselves in.
    NotListed(Principal),
    /// Nobody has signed, or others than this person, who is to let themselves in.
    NotOwn(Principal),
    /// This host can tell who is on call.
    OnCallKnown,
    /// This grant, by which somebody has let themselves in, has not been reviewed; it stands in the way for so long.
    ReviewOpen(GrantId, Span),
    /// Nobody has let themselves in here by exactly the text of this grant.
    NotUsed(GrantId),
}

impl Refusal {
    /// The word for it.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Ended(_) | Self::Stale(_) | Self::Forgotten(_) => Reason::GrantExpired,
            Self::Early(_) => Reason::Early,
            Self::Site(_) | Self::Host(_) | Self::NoRule(_) => Reason::Host,
            Self::Account(_) => Reason::Account,
            Self::Person(_) | Self::KeyOf(_) => Reason::Person,
            Self::TooLong { .. } | Self::Ahead(_) => Reason::Lifetime,
            Self::Signature(_) => Reason::Signature,
            Self::Quorum { .. } => Reason::Quorum,
            Self::Own(_) => Reason::Own,
            Self::Revoked(_) => Reason::Revoked,
            Self::NotListed(_) => Reason::Person,
            Self::NotOwn(_) => Reason::Signature,
            Self::OnCallKnown => Reason::OnCallKnown,
            Self::ReviewOpen(..) => Reason::ReviewOpen,
            Self::NotUsed(_) => Reason::Unknown,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(at) => write!(f, "the grant ended at {at}; ask for a new one"),
            Self::Stale(at) => {
                write!(f, "the grant was issued at {at}, more than {OLDEST} ago; ask for a new one")
            }
            Self::Forgotten(since) => {
                write!(
                    f,
                    "this host remembers grants since {since}, and this one is older; ask for a new one"
                )
            }
            Self::Early(at) => write!(f, "the grant is from {at}, which has not come; compare the clocks"),
            Self::Site(site) => write!(f, "the grant is for hosts of {site}, and this is none"),
            Self::Host(name) => write!(f, "the grant does not name this host, which is called {name}"),
            Self::NoRule(name) => write!(f, "no rule takes grants for {name}"),
            Self::Account(account) => write!(f, "not for the account {account}"),
            Self::Person(person) => write!(f, "the grant is not for {person}"),
            Self::KeyOf(person) => write!(f, "the key in the grant is {person}'s"),
            Self::TooLong { length, max } => {
                write!(f, "the grant is for {length}, and the longest is {max}; ask for less")
            }
            Self::Ahead(at) => {
                write!(
                    f,
                    "the grant begins at {at}, more than {OLDEST} after it was issued; ask for it later"
                )
            }
            Self::Signature(error) => write!(f, "the signatures are not enough: {error}"),
            Self::Quorum { people, wanted } => {
                write!(f, "signed by {people} of the {wanted} approvers that it takes")
            }
            Self::Own(person) => write!(f, "{person} cannot sign for themselves; ask an approver"),
            Self::Revoked(subject) => write!(f, "revoked: {subject}"),
            Self::NotListed(person) => write!(f, "no rule says that {person} may let themselves in"),
            Self::NotOwn(person) => {
                write!(f, "break-glass takes the signature of {person}, by a key that grant-signers has for them")
            }
            Self::OnCallKnown => {
                f.write_str("this host can tell who is on call, so nobody lets themselves in; ask them (oncall-cache who), or colleagues to sign")
            }
            Self::ReviewOpen(id, left) => write!(
                f,
                "the last break-glass of this host, {id}, is not reviewed; an approver reviews it by oncall-cache grant review, or wait {left}"
            ),
            Self::NotUsed(id) => write!(
                f,
                "nobody has let themselves in on this host by this text of the grant {id}; review what `oncall-cache grant list` shows there"
            ),
        }
    }
}

impl core::error::Error for Refusal {}
