//! The key that sshd says is offered.

use store::{KeyProblem, PublicKey};

use crate::problem::Problem;

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

    /// Is it this one?
    pub fn matches(&self, other: &PublicKey) -> bool {
        self.key() == Some(other)
    }
}

/// The key that sshd says is offered, from `%t %k`.
///
/// A certificate, a weak key, or a type that is not accepted, is no mistake of usage: such a key opens nothing, and
/// the answer without it is the whole one.
pub fn offered(kind: Option<&str>, key: Option<&str>) -> Result<Option<Offered>, Problem> {
    let (Some(kind), Some(key)) = (kind, key) else { return Ok(None) };
    match PublicKey::parse_words(kind, key) {
        Ok(key) => Ok(Some(Offered::Key(key))),
        Err(problem) if problem == KeyProblem::TypeNotAccepted || problem.is_weakness() => {
            Ok(Some(Offered::Unacceptable))
        }
        Err(_) => Err(Problem::Offer("TYPE KEY is not a public key; in sshd_config write `%u %t %k`")),
    }
}
