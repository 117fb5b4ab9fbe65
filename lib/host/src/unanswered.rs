//! Why a question about a person has no answer from the directory: the words that `authkeys-sync --user` says and
//! `authkeys` reads, one line through a pipe; the first of them is the token of the log as well.

use std::fmt;

/// What became of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// No server answered.
    Unavailable,
    /// A server's answer is not the whole.
    Partial,
    /// The directory shows several entries of that name, or another name.
    Ambiguous,
    /// There are more keys than an answer holds.
    TooManyKeys,
    /// A file that is needed for it could have been written by others.
    FileUntrusted,
    /// The configuration cannot be followed.
    ConfigInvalid,
    /// No person can have that name.
    BadUser,
}

impl Unanswered {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Unavailable,
        Self::Partial,
        Self::Ambiguous,
        Self::TooManyKeys,
        Self::FileUntrusted,
        Self::ConfigInvalid,
        Self::BadUser,
    ];

    /// The stable token; docs/operations.md has a heading for each.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Unavailable => "ldap-unavailable",
            Self::Partial => "ldap-partial",
            Self::Ambiguous => "ldap-ambiguous",
            Self::TooManyKeys => "too-many-keys",
            Self::FileUntrusted => "file-untrusted",
            Self::ConfigInvalid => "config-invalid",
            Self::BadUser => "bad-user",
        }
    }

    /// The reverse of [`Unanswered::token`].
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.token() == token)
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Whose questions fail like this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// Everybody's: the directory is down.
    Everybody,
    /// Perhaps this person's alone.
    Person,
    /// It is not the directory's fault, or not certain that it was asked.
    ThisHost,
}

impl Concerns {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Everybody, Self::Person, Self::ThisHost];

    /// The word in the line.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Everybody => "directory",
            Self::Person => "person",
            Self::ThisHost => "this-host",
        }
    }

    /// The reverse of [`Concerns::token`].
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.token() == token)
    }
}

impl fmt::Display for Concerns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back() {
        for one in Unanswered::ALL {
            assert_eq!(Unanswered::from_token(one.token()), Some(one));
        }
        for one in Concerns::ALL {
            assert_eq!(Concerns::from_token(one.token()), Some(one));
        }
        assert_eq!((Unanswered::from_token("ldap"), Concerns::from_token("")), (None, None));
    }
}
