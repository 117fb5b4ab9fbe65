//! The words for the log: what an answer comes to, and why a directory gives none. Programs read the words; what follows
//! is decided by the variants alone, so that a word may change and nobody's keys do.

use std::fmt;

use host::unanswered::Unanswered;
use policy::{CertificateFault, Reason};
use store::lookups::Unusable;

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Keys open the account.
    Keys,
    /// Keys open it, by an old answer: there is no new one.
    StaleKeys,
    /// No key opens it.
    NoKeys,
    /// The directory does not know the person.
    NoSuchUser,
    /// The directory has shut the person out.
    AccountDisabled,
    /// This host has shut the person out.
    Revoked,
    /// The account is always open, by the keys in its own files.
    Exempt,
    /// The roster does not tell who may enter a shared account, for this reason: the keys only say so.
    Undecided(Reason),
    /// A principal of the certificate opens the account.
    Principal,
    /// No principal of it does.
    NoPrincipal,
    /// The certificate counts for nobody.
    Certificate(CertificateFault),
    /// Whoever holds it is not admitted, for this reason.
    Refused(Reason),
}

impl Outcome {
    /// The word.
    pub fn token(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::StaleKeys => "keys-stale",
            Self::NoKeys => "no-keys",
            Self::NoSuchUser => "no-such-user",
            Self::AccountDisabled => "account-disabled",
            Self::Revoked => Reason::Revoked.token(),
            Self::Exempt => Reason::Exempt.token(),
            Self::Principal => "principal",
            Self::NoPrincipal => "no-principal",
            Self::Certificate(fault) => Reason::from(fault).token(),
            Self::Undecided(reason) | Self::Refused(reason) => reason.token(),
        }
    }

    /// Has the directory or this host shut the person out? Then nobody else is asked about them.
    pub fn is_shut_out(self) -> bool {
        matches!(self, Self::AccountDisabled | Self::Revoked)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Why the directory gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveReason {
    /// What the child says; or this program, of a child that says nothing of use.
    Said(Unanswered),
    /// A later release remembers an answer in words that this one does not know.
    OfLaterRelease,
}

impl LiveReason {
    /// The word.
    pub fn token(self) -> &'static str {
        match self {
            Self::Said(unanswered) => unanswered.token(),
            Self::OfLaterRelease => Unusable::OfLaterRelease.token(),
        }
    }

    /// The reason that a child means by this word.
    pub fn from_token(word: &str) -> Option<Self> {
        Unanswered::from_token(word).map(Self::Said)
    }

    /// Is the directory down by it, so that the next question would fail as well?
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Said(Unanswered::Unavailable | Unanswered::Partial))
    }

    /// What the directory has answered for certain, if it has: that there are no keys to be had.
    pub fn unusable(self) -> Option<Unusable> {
        match self {
            Self::Said(Unanswered::Ambiguous) => Some(Unusable::Ambiguous),
            Self::Said(Unanswered::TooManyKeys) => Some(Unusable::TooManyKeys),
            _ => None,
        }
    }
}

impl From<Unusable> for LiveReason {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Ambiguous => Self::Said(Unanswered::Ambiguous),
            Unusable::TooManyKeys => Self::Said(Unanswered::TooManyKeys),
            Unusable::OfLaterRelease => Self::OfLaterRelease,
        }
    }
}

impl fmt::Display for LiveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_called_as_scripts_know_them() {
        for (outcome, word) in [
            (Outcome::Keys, "keys"),
            (Outcome::StaleKeys, "keys-stale"),
            (Outcome::NoKeys, "no-keys"),
            (Outcome::NoSuchUser, "no-such-user"),
            (Outcome::AccountDisabled, "account-disabled"),
            (Outcome::Revoked, "revoked"),
            (Outcome::Exempt, "exempt"),
            (Outcome::Undecided(Reason::CacheStale), "cache-stale"),
            (Outcome::Principal, "principal"),
            (Outcome::NoPrincipal, "no-principal"),
            (Outcome::Certificate(CertificateFault::Period), "certificate-period"),
            (Outcome::Refused(Reason::NotOnCall), "not-oncall"),
        ] {
            assert_eq!(outcome.to_string(), word);
            assert_eq!(outcome.is_shut_out(), ["account-disabled", "revoked"].contains(&word), "{word}");
        }
    }

    #[test]
    fn a_childs_words_are_understood_and_said_again() {
        let words = [
            "ldap-unavailable",
            "ldap-ambiguous",
            "ldap-partial",
            "too-many-keys",
            "file-untrusted",
            "config-invalid",
            "bad-user",
        ];
        assert_eq!(words.len(), Unanswered::ALL.len());
        assert!(words.iter().all(|word| LiveReason::from_token(word).unwrap().to_string() == *word));
        for word in ["", "no-such-reason", "memory-of-later-release"] {
            assert_eq!(LiveReason::from_token(word), None, "{word}");
        }
        for unusable in [Unusable::Ambiguous, Unusable::TooManyKeys, Unusable::OfLaterRelease] {
            assert_eq!(LiveReason::from(unusable).token(), unusable.token());
        }
    }
}
