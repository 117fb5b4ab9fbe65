//! Does a signature count?

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ed25519_dalek::VerifyingKey;
use key::PublicKey;
use policy::Timestamp;
use sha2::{Digest, Sha256};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Signature, SshSig};

use crate::envelope::Envelope;
use crate::{LineProblem, MOST_SIGNATURES, Purpose, Signer, Signers, armour, shown, split};

/// Flags of a security key (PROTOCOL.u2f, after FIDO's "authenticator data"): somebody touched it; it knew who.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;

/// Why a signature does not count, or a document is not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureError {
    /// The document is longer than [`crate::LARGEST_DOCUMENT`].
    TooLong,
    /// The document has no signature after a text.
    NoSignature,
    /// More than [`MOST_SIGNATURES`].
    TooMany,
    /// Bytes after a footer.
    AfterFooter,
    /// The armour is not as ssh-keygen writes it.
    Armour,
    /// What is in the armour is no signature.
    Blob,
    /// A version of the format that does not exist.
    Version(u32),
    /// An extension, of which nothing is known.
    Reserved,
    /// Another hash than SHA-256 and SHA-512.
    Hash,
    /// Made for something else: the namespace.
    Namespace(String),
    /// By a certificate.
    Certificate,
    /// By a key that no line lists: its fingerprint.
    UnknownKey(String),
    /// By a key that signs nothing here, whoever has it: its fingerprint, and why.
    Unfit(String, LineProblem),
    /// By a key that may not sign this: its name.
    Purpose(String),
    /// By a key whose period has not begun.
    NotYet(String, Timestamp),
    /// By a key whose period has ended.
    Ended(String, Timestamp),
    /// The signature is not this key's of this text.
    Wrong(String),
    /// Nobody touched the security key.
    NotTouched(String),
    /// The security key did not verify who touched it, as the signer's line asks.
    NotVerified(String),
    /// All of them count, and come from too few signers.
    TooFew {
        /// So many there are.
        signers: usize,
        /// So many there should be.
        wanted: usize,
    },
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the document is longer than {} bytes", crate::LARGEST_DOCUMENT),
            Self::NoSignature => f.write_str("no signature after the text"),
            Self::TooMany => write!(f, "more than {MOST_SIGNATURES} signatures"),
            Self::AfterFooter => f.write_str("something follows a signature's footer"),
            Self::Armour => f.write_str("a signature that is not written as ssh-keygen writes it"),
            Self::Blob => f.write_str("a signature that cannot be read"),
            Self::Version(version) => write!(f, "a signature of version {version}, not 1"),
            Self::Reserved => f.write_str("a signature with an extension that is not known"),
            Self::Hash => f.write_str("a signature with another hash than sha256 or sha512"),
            Self::Namespace(namespace) => write!(f, "a signature for {namespace}"),
            Self::Certificate => f.write_str("signed by a certificate; only plain keys sign"),
            Self::UnknownKey(fingerprint) => {
                write!(f, "signed by {fingerprint}, which no line of the signers lists")
            }
            Self::Unfit(fingerprint, problem) => write!(f, "signed by {fingerprint}: {problem}"),
            Self::Purpose(name) => write!(f, "{name} may not sign this"),
            Self::NotYet(name, begins) => write!(f, "the key of {name} signs from {begins} on"),
            Self::Ended(name, ends) => write!(f, "the key of {name} signed until {ends}"),
            Self::Wrong(name) => write!(f, "not a signature of this text by the key of {name}"),
            Self::NotTouched(name) => write!(f, "the security key of {name} was not touched"),
            Self::NotVerified(name) => write!(f, "the security key of {name} did not verify who touched it"),
            Self::TooFew { signers, wanted } => {
                write!(f, "signed by {signers} of the {wanted} signers that it takes")
            }
        }
    }
}

impl core::error::Error for SignatureError {}

/// Who signed `text` for this purpose, if the signature in `armour` counts at the instant `at`.
pub fn verify<'s>(
    signers: &'s Signers,
    purpose: Purpose,
    text: &[u8],
    armour: &[u8],
    at: Timestamp,
) -> Result<&'s Signer, SignatureError> {
    let blob = armour::read(armour)?;
    let envelope = envelope_for(purpose, &blob)?;
    let signer = (signers.find(envelope.key, purpose, at))
        .map_err(|problem| problem.unwrap_or_else(|| unknown(&envelope, SignatureError::UnknownKey)))?;
    counts(signer, purpose, text, &envelope)?;
    Ok(signer)
}

/// The key that signed `text` for this purpose, as the signature itself names it. It says nothing about whose key that
/// is: for whoever goes by another list of keys than a signers file, and for showing what has been signed.
pub fn signing_key(purpose: Purpose, text: &[u8], armour: &[u8]) -> Result<PublicKey, SignatureError> {
    let blob = armour::read(armour)?;
    let envelope = envelope_for(purpose, &blob)?;
    let name = fingerprint(&envelope);
    let signer = Signer::unlisted(&name, purpose, envelope.key_kind(), envelope.key)
        .map_err(|problem| unknown(&envelope, |name| SignatureError::Unfit(name, problem)))?;
    counts(&signer, purpose, text, &envelope)?;
    Ok(signer.key)
}

/// What is in the armour, if it is for this purpose.
fn envelope_for(purpose: Purpose, blob: &[u8]) -> Result<Envelope<'_>, SignatureError> {
    let envelope = Envelope::read(blob)?;
    if envelope.namespace == purpose.namespace().as_bytes() {
        return Ok(envelope);
    }
    Err(SignatureError::Namespace(shown(&String::from_utf8_lossy(envelope.namespace))))
}

fn fingerprint(envelope: &Envelope<'_>) -> String {
    key::fingerprint(Sha256::digest(envelope.key).into())
}

/// That the key is none of ours: a certificate, or else as `other` says of its fingerprint.
fn unknown(envelope: &Envelope<'_>, other: impl FnOnce(String) -> SignatureError) -> SignatureError {
    let is_certificate = envelope.key_kind().ends_with(b"-cert-v01@openssh.com");
    if is_certificate { SignatureError::Certificate } else { other(fingerprint(envelope)) }
}

/// Is it this signer's signature, as his line asks for it?
fn counts(
    signer: &Signer,
    purpose: Purpose,
    text: &[u8],
    envelope: &Envelope<'_>,
) -> Result<(), SignatureError> {
    if !is_signed(&signer.public, purpose, text, envelope) {
        return Err(SignatureError::Wrong(signer.name.clone()));
    }
    if signer.key.is_security_key() {
        let flags = envelope.trailer.first().copied().unwrap_or_default();
        if flags & USER_PRESENT == 0 {
            return Err(SignatureError::NotTouched(signer.name.clone()));
        }
        if signer.verify_required() && flags & USER_VERIFIED == 0 {
            return Err(SignatureError::NotVerified(signer.name.clone()));
        }
    }
    Ok(())
}

/// The text of a document that at least `wanted` different signers signed, and their names in order. One person's two keys
/// are one signer. A signature that does not count is passed over as long as there are enough others: while a key is
/// rolled over, a host may know one of two.
pub fn verify_document<'d>(
    signers: &Signers,
    purpose: Purpose,
    document: &'d [u8],
    at: Timestamp,
    wanted: usize,
) -> Result<(&'d [u8], Vec<String>), SignatureError> {
    let wanted = wanted.max(1);
    let (text, armours) = split(document)?;
    let mut names = BTreeSet::new();
    let mut problem = None;
    for armour in armours {
        match verify(signers, purpose, text, armour, at) {
            Ok(signer) => _ = names.insert(signer.name.clone()),
            Err(error) => _ = problem.get_or_insert(error),
        }
    }
    if names.len() >= wanted {
        return Ok((text, names.into_iter().collect()));
    }
    Err(problem.unwrap_or(SignatureError::TooFew { signers: names.len(), wanted }))
}

/// Is what is in the envelope this key's signature of the text for this purpose? Says nothing about flags.
pub(crate) fn is_signed(
    key: &ssh_key::PublicKey,
    purpose: Purpose,
    text: &[u8],
    envelope: &Envelope<'_>,
) -> bool {
    if envelope.algorithm != key.algorithm().as_str().as_bytes() {
        return false;
    }
    let Ok(signed) = SshSig::signed_data(purpose.namespace(), envelope.hash, text) else { return false };
    match key.key_data() {
        KeyData::Ed25519(point) => ed25519(point, &signed, envelope.signature),
        KeyData::SkEd25519(key) => {
            let application = Sha256::digest(key.application());
            let signed = [&application[..], envelope.trailer, &Sha256::digest(&signed)[..]].concat();
            ed25519(key.public_key(), &signed, envelope.signature)
        }
        KeyData::Ecdsa(_) | KeyData::SkEcdsaSha2NistP256(_) => ecdsa(key, purpose, text, envelope).is_ok(),
        _ => false,
    }
}

/// Strictly: ssh-key goes by the rule that takes a signature whose nonce has small order.
fn ed25519(Ed25519PublicKey(point): &Ed25519PublicKey, signed: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_bytes(point);
    let signature = ed25519_dalek::Signature::from_slice(signature);
    key.and_then(|key| key.verify_strict(signed, &signature?)).is_ok()
}

fn ecdsa(
    key: &ssh_key::PublicKey,
    purpose: Purpose,
    text: &[u8],
    envelope: &Envelope<'_>,
) -> ssh_key::Result<()> {
    let bytes = [envelope.signature, envelope.trailer].concat();
    let signature = Signature::new(key.algorithm(), bytes)?;
    let signature = SshSig::new(key.key_data().clone(), purpose.namespace(), envelope.hash, signature)?;
    key.verify(purpose.namespace(), text, &signature)
}

#[cfg(test)]
mod tests;
