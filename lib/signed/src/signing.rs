//! A key that signs: the private half, and what it writes.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use key::{KeyProblem, PublicKey};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};

use crate::{Purpose, armour};

/// The longest file of a private key, in bytes (16 KiB).
const LARGEST_FILE: usize = 16 * 1024;

/// A private key, of Ed25519.
pub struct SigningKey {
    private: PrivateKey,
    public: PublicKey,
}

/// Why a key does not sign. Nothing of the key is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningKeyError {
    /// Longer than 16 KiB.
    TooLong,
    /// Not a private key in OpenSSH's form, or its halves do not belong together.
    NotOpenSsh,
    /// It has a passphrase, for which a service cannot ask.
    Passphrase,
    /// A key of this kind does not sign here.
    Kind(String),
    /// Its public half is weak.
    Weak(KeyProblem),
    /// It could not sign.
    Failed,
}

impl fmt::Display for SigningKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {LARGEST_FILE} bytes, so no private key"),
            Self::NotOpenSsh => {
                f.write_str("not a private key in OpenSSH's form (ssh-keygen -t ed25519 makes one)")
            }
            Self::Passphrase => f.write_str("the key has a passphrase, for which nobody can be asked here"),
            Self::Kind(kind) => write!(f, "a key of the kind {kind} does not sign here; make one of ed25519"),
            Self::Weak(problem) => write!(f, "{problem}"),
            Self::Failed => f.write_str("the key could not sign"),
        }
    }
}

impl core::error::Error for SigningKeyError {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.fingerprint())
    }
}

impl SigningKey {
    /// Reads a private key as ssh-keygen writes it, without a passphrase.
    pub fn parse(pem: &[u8]) -> Result<Self, SigningKeyError> {
        if pem.len() > LARGEST_FILE {
            return Err(SigningKeyError::TooLong);
        }
        let private = PrivateKey::from_openssh(pem).map_err(|_| SigningKeyError::NotOpenSsh)?;
        if private.is_encrypted() {
            return Err(SigningKeyError::Passphrase);
        }
        // What ssh-key reads of ECDSA lacks every private number that begins with eight zero bits.
        if private.algorithm() != Algorithm::Ed25519 {
            return Err(SigningKeyError::Kind(private.algorithm().as_str().to_string()));
        }
        let mut bare = private.public_key().clone();
        bare.set_comment("");
        let line = bare.to_openssh().map_err(|_| SigningKeyError::NotOpenSsh)?;
        let public = PublicKey::parse(line.as_bytes()).map_err(SigningKeyError::Weak)?;
        Ok(Self { private, public })
    }

    /// A new Ed25519 key as ssh-keygen would write it, from 32 bytes that nobody can guess, with a comment.
    pub fn generate(seed: &[u8; 32], comment: &str) -> Result<(Self, String), SigningKeyError> {
        let pair = KeypairData::from(Ed25519Keypair::from_seed(seed));
        let pem = PrivateKey::new(pair, comment)
            .and_then(|private| private.to_openssh(LineEnding::LF))
            .map_err(|_| SigningKeyError::Failed)?;
        Ok((Self::parse(pem.as_bytes())?, pem.to_string()))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of `text` for this purpose, in its armour.
    pub fn sign(&self, purpose: Purpose, text: &[u8]) -> Result<String, SigningKeyError> {
        Ok(armour::write(&self.blob(purpose, text)?))
    }

    fn blob(&self, purpose: Purpose, text: &[u8]) -> Result<Vec<u8>, SigningKeyError> {
        // By the hash that ssh-keygen takes when none is named.
        let signature = self.private.sign(purpose.namespace(), HashAlg::Sha512, text);
        let pem = signature.and_then(|signature| signature.to_pem(LineEnding::LF));
        let pem = pem.map_err(|_| SigningKeyError::Failed)?;
        armour::read(pem.as_bytes()).map_err(|_| SigningKeyError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use ssh_key::private::Ed25519PrivateKey;

    use super::*;

    #[test]
    fn halves_of_two_keys_do_not_sign() {
        let pair = |seed| Ed25519Keypair::from_seed(&[seed; 32]);
        let mixed =
            Ed25519Keypair { public: pair(1).public, private: Ed25519PrivateKey::from_bytes(&[2; 32]) };
        let pem = PrivateKey::new(mixed.into(), "").unwrap().to_openssh(LineEnding::LF).unwrap();
        assert_eq!(SigningKey::parse(pem.as_bytes()).unwrap_err(), SigningKeyError::NotOpenSsh);
    }
}
