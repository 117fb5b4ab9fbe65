//! What is signed: SSHSIG signatures in and out, who may sign what, and the text that they sign.
//!
//! The format is that of `ssh-keygen -Y sign` (PROTOCOL.sshsig of OpenSSH), so that an operator signs with the keys,
//! agents and security keys that he has. Neither ssh-keygen nor the crate ssh-key looks at all that matters here: which
//! hash was named, whether the security key was touched, what follows the footer. These checks are in [`verify`].
//!
//! A signature counts for one [`Purpose`] alone, whose namespace is in what was signed: a signed head is no grant.
//!
//! Nothing here reads a file or a clock; the caller brings the bytes and the instant.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod armour;
mod envelope;
mod signers;
mod signing;
pub mod text;
mod verify;

pub use armour::{LARGEST_DOCUMENT, MOST_SIGNATURES, split, split_within};
pub use signers::{DeadLine, LineProblem, Signer, Signers};
pub use signing::{SigningKey, SigningKeyError};
pub use verify::{SignatureError, signing_key, verify, verify_document};

/// What a signature is for. Each has a namespace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The head of a fleet's store.
    Head,
    /// A grant to one person.
    Grant,
    /// The review of a grant that was used.
    Review,
    /// A host's policy.
    Policy,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Head, Self::Grant, Self::Review, Self::Policy];

    /// The namespace: what `ssh-keygen -Y sign -n` is given.
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Head => "head@authkeys",
            Self::Grant => "grant@authkeys",
            Self::Review => "review@authkeys",
            Self::Policy => "policy@authkeys",
        }
    }
}

/// Foreign text for a message: on one line, and not long.
fn shown(text: &str) -> alloc::string::String {
    policy::OneLine::new(text).as_str().chars().take(64).collect()
}
