//! One SSH public key: parsed, checked, and printed again; never copied through.
//!
//! A directory lets people edit their own keys, so a value may be anything: options, a second line,
//! a certificate, a comment with control bytes. Only `TYPE BASE64` is taken from it. The comment is
//! dropped; programs print the owner's name in its place.
//!
//! A certificate is another thing than a key, and is read apart ([`Certificate`]).
//!
//! A crate apart from `store`, because the configuration names keys too and must not link SQL.

#![forbid(unsafe_code)]

mod certificate;
mod worth;

use std::fmt;

use ssh_key::{Fingerprint, HashAlg};

pub use certificate::{Certificate, CertificateProblem, LONGEST_CERTIFICATE};

/// The longest value that is looked at, in bytes (16 KiB; an RSA key of 16384 bits has 2.8).
const LONGEST: usize = 16 * 1024;

/// A plain public key of an accepted type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// `TYPE BASE64`, encoded anew.
    line: String,
    /// Its SHA-256.
    digest: [u8; 32],
    /// How long it is, as ssh-keygen counts.
    bits: usize,
}

/// The types that are accepted, as `TYPE` is written.
pub const KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The longest token of a problem.
const LONGEST_TOKEN: usize = 32;

/// The most dropped values of one person that are reported.
pub const MOST_REJECTED: usize = 256;

/// A value of the directory that is no key for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejected {
    /// Which of the person's values, counted from 1 as the directory sends them; values that are no text come
    /// first.
    pub number: u32,
    /// Why.
    pub problem: KeyProblem,
}

/// Why a value is no key for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyProblem {
    /// More than 16 KiB.
    TooLong,
    /// A line break or a NUL inside.
    SeveralLines,
    /// It does not start with a key type: options, a comment, or nothing.
    NoKeyType,
    /// A type that is not accepted: certificates, DSA, unknown ones.
    TypeNotAccepted,
    /// The base64 part is not a key of that type.
    Malformed,
    /// RSA with a modulus too short or too long.
    WeakRsa,
    /// RSA with an exponent that is even, 1, or too large.
    RsaExponent,
    /// RSA with a modulus that is no product of two large primes.
    RsaModulus,
    /// An Ed25519 point of small order.
    SmallOrder,
    /// A point that is not written in the one way that sshd reads.
    NotCanonical,
    /// It names no point of its curve.
    NotOnCurve,
    /// What only the release knows that read the value.
    Other,
}

impl KeyProblem {
    const ALL: [Self; 12] = [
        Self::TooLong,
        Self::SeveralLines,
        Self::NoKeyType,
        Self::TypeNotAccepted,
        Self::Malformed,
        Self::WeakRsa,
        Self::RsaExponent,
        Self::RsaModulus,
        Self::SmallOrder,
        Self::NotCanonical,
        Self::NotOnCurve,
        Self::Other,
    ];

    /// The stable token.
    pub const fn token(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::SeveralLines => "several-lines",
            Self::NoKeyType => "no-key-type",
            Self::TypeNotAccepted => "type-not-accepted",
            Self::Malformed => "malformed",
            Self::WeakRsa => "weak-rsa",
            Self::RsaExponent => "rsa-exponent",
            Self::RsaModulus => "rsa-modulus",
            Self::SmallOrder => "small-order",
            Self::NotCanonical => "not-canonical",
            Self::NotOnCurve => "not-on-curve",
            Self::Other => "other",
        }
    }

    /// The problem that a token names. Another release may have more of them: whatever looks like one is
    /// [`KeyProblem::Other`], because a reason that is not known must not cost the answer beside it.
    pub fn from_token(token: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|problem| problem.token() == token);
        let is_token = |text: &str| {
            (1..=LONGEST_TOKEN).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        known.or_else(|| is_token(token).then_some(Self::Other))
    }

    /// Has the value the form of a key, which says nothing about who signs with it? Earlier releases took most of
    /// these for keys, so their copies may hold some.
    pub const fn is_weakness(self) -> bool {
        match self {
            Self::WeakRsa
            | Self::RsaExponent
            | Self::RsaModulus
            | Self::SmallOrder
            | Self::NotCanonical
            | Self::NotOnCurve => true,
            Self::TooLong
            | Self::SeveralLines
            | Self::NoKeyType
            | Self::TypeNotAccepted
            | Self::Malformed
            | Self::Other => false,
        }
    }
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than 16 KiB",
            Self::SeveralLines => "a line break or NUL inside the value",
            Self::NoKeyType => "does not start with a key type (options in a directory are not accepted)",
            Self::TypeNotAccepted => "key type not accepted",
            Self::Malformed => "not a key of the type it names",
            Self::WeakRsa => "RSA key outside 2048 to 16384 bits",
            Self::RsaExponent => "RSA exponent is even, 1, or longer than 33 bits",
            Self::RsaModulus => "RSA modulus is even or has a small factor, so anybody can sign",
            Self::SmallOrder => "Ed25519 point of small order, so anybody can sign",
            Self::NotCanonical => "point not encoded in the one form that sshd reads",
            Self::NotOnCurve => "not a point of its curve",
            Self::Other => "dropped by another release, for a reason that this one does not know",
        })
    }
}

impl PublicKey {
    /// Reads one value of a directory's key attribute.
    pub fn parse(value: &[u8]) -> Result<Self, KeyProblem> {
        if value.len() > LONGEST {
            return Err(KeyProblem::TooLong);
        }
        let value = value.trim_ascii();
        if value.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
            return Err(KeyProblem::SeveralLines);
        }
        let mut words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let kind = std::str::from_utf8(kind).map_err(|_| KeyProblem::NoKeyType)?;
        let blob = std::str::from_utf8(blob).map_err(|_| KeyProblem::Malformed)?;
        Self::parse_words(kind, blob)
    }

    /// Reads a key from its two words, as sshd tells them: `%t` and `%k`.
    pub fn parse_words(kind: &str, blob: &str) -> Result<Self, KeyProblem> {
        let looks_like_a_type = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'@');
        if kind.is_empty() || !kind.bytes().all(looks_like_a_type) {
            return Err(KeyProblem::NoKeyType);
        }
        if !KEY_TYPES.contains(&kind) {
            return Err(KeyProblem::TypeNotAccepted);
        }
        // ssh-key takes what follows a blank for a comment, keeps it, and prints it again.
        if !blob.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')) {
            return Err(KeyProblem::Malformed);
        }
        let key =
            ssh_key::PublicKey::from_openssh(&format!("{kind} {blob}")).map_err(|_| KeyProblem::Malformed)?;
        // The label must say what the blob is: a reader that goes by either must see the same key.
        if key.algorithm().as_str() != kind {
            return Err(KeyProblem::Malformed);
        }
        let Fingerprint::Sha256(digest) = key.fingerprint(HashAlg::Sha256) else {
            return Err(KeyProblem::Malformed);
        };
        let line = key.to_openssh().map_err(|_| KeyProblem::Malformed)?;
        // A key that is written otherwise than it was read is none for sshd: ssh-key does not look at every
        // length inside an sk- key. It is not for us to fix.
        if line.strip_prefix(kind).and_then(|rest| rest.strip_prefix(' ')) != Some(blob) {
            return Err(KeyProblem::Malformed);
        }
        // Last, so that whatever is weak has the form of a key.
        Ok(Self { line, digest, bits: worth::bits(key.key_data())? })
    }

    /// `TYPE BASE64`, encoded anew.
    pub fn line(&self) -> String {
        self.line.clone()
    }

    /// `TYPE`.
    pub fn kind(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// How long it is, as ssh-keygen counts: of an RSA key the modulus, of others the curve.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Is it an RSA key?
    pub fn is_rsa(&self) -> bool {
        self.kind() == "ssh-rsa"
    }

    /// Is its private half in a security key?
    pub fn is_security_key(&self) -> bool {
        self.kind().starts_with("sk-")
    }

    /// The key's SHA-256 fingerprint, 32 bytes.
    pub fn digest(&self) -> Vec<u8> {
        self.digest.to_vec()
    }

    /// The same, in its own length.
    pub fn sha256(&self) -> [u8; 32] {
        self.digest
    }

    /// `SHA256:…` as ssh-keygen prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.digest)
    }
}

/// The SHA-256 fingerprint of a key on a line, without a judgement of what it is worth, which takes longer; `None` if the
/// line has not the form of a key.
pub fn digest_of(line: &str) -> Option<[u8; 32]> {
    match ssh_key::PublicKey::from_openssh(line).ok()?.fingerprint(HashAlg::Sha256) {
        Fingerprint::Sha256(digest) => Some(digest),
        _ => None,
    }
}

/// The digest in `SHA256:…` as ssh-keygen prints it; `None` if it is anything else.
pub fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    match text.parse() {
        // One digest has one text: what does not print the same again is a slip of the pen.
        Ok(fingerprint @ Fingerprint::Sha256(digest)) if fingerprint.to_string() == text => Some(digest),
        _ => None,
    }
}

/// `SHA256:…` of a digest, as ssh-keygen prints it.
pub fn fingerprint(digest: [u8; 32]) -> String {
    Fingerprint::Sha256(digest).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";

    #[test]
    fn a_key_is_printed_again_without_its_comment() {
        let key = PublicKey::parse(format!("  {ED25519}\tme@\x1bhome \r\n").as_bytes()).unwrap();
        assert_eq!(key.line(), ED25519);
        assert_eq!(key.fingerprint(), "SHA256:qAKMBbrLVYSl931fLeiW+AWbMr1KAIV/YMJoTmeD174");
    }

    #[test]
    fn a_fingerprint_is_read_whole_or_not_at_all() {
        let text = "SHA256:qAKMBbrLVYSl931fLeiW+AWbMr1KAIV/YMJoTmeD174";
        let key = PublicKey::parse(ED25519.as_bytes()).unwrap();
        assert_eq!(parse_fingerprint(text), Some(key.sha256()));
        assert_eq!(fingerprint(key.sha256()), text);
        let long = format!("{text}A");
        for bad in ["", "SHA256:", text.trim_end_matches('4'), &long, &text[7..], &text.to_lowercase()] {
            assert_eq!(parse_fingerprint(bad), None, "{bad}");
        }
        assert_eq!(parse_fingerprint(&format!("{text}=")), None);
        assert_eq!(parse_fingerprint(&text.replace("D174", "D175")), None, "bits that no digest has");
        assert_eq!(parse_fingerprint("MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"), None);
    }

    #[test]
    fn every_problem_is_found_again_by_its_token() {
        for problem in KeyProblem::ALL {
            assert_eq!(KeyProblem::from_token(problem.token()), Some(problem));
        }
        // What looks like a token is another release's; everything else is none.
        assert_eq!(KeyProblem::from_token("blacklisted-key"), Some(KeyProblem::Other));
        for text in ["", "Malformed", "two words", "a\n", "\u{e9}", &"x".repeat(LONGEST_TOKEN + 1)] {
            assert_eq!(KeyProblem::from_token(text), None, "{text}");
        }
    }

    #[test]
    fn whoever_needs_no_private_key_has_none() {
        for made_keys::Weak { line, tokens } in made_keys::weak() {
            let problem = PublicKey::parse(line.as_bytes()).map(|key| key.line()).expect_err(&line);
            assert!(tokens.contains(&problem.token()), "{problem:?} for {line}, not {tokens:?}");
            assert!(problem.is_weakness() || problem == KeyProblem::Malformed, "{problem:?}");
        }
        for line in made_keys::good() {
            assert_eq!(PublicKey::parse(line.as_bytes()).map(|key| key.line()), Ok(line));
        }
    }

    /// What is let through is one line of an accepted type, the same when it is read again.
    fn is_sound(value: &[u8]) {
        let Ok(key) = PublicKey::parse(value) else { return };
        let line = key.line();
        assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{line}");
        assert_eq!(line.matches(' ').count(), 1, "{line}");
        for word in line.split(' ') {
            assert!(value.windows(word.len()).any(|part| part == word.as_bytes()), "{line}");
        }
        assert!(KEY_TYPES.contains(&key.kind()), "{line}");
        assert_eq!(PublicKey::parse(line.as_bytes()), Ok(key.clone()));
        assert_eq!(parse_fingerprint(&key.fingerprint()), Some(key.sha256()));
    }

    #[test]
    fn whatever_comes_is_a_key_or_is_refused() {
        let keys = mutate::keys();
        let samples: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        let mut words = KEY_TYPES.to_vec();
        words.extend([" ", "\t", "\r\n", "command=\"id\" ", "AAAA", "=", "ssh-dss"]);
        mutate::each(&samples, &words, 10_000, is_sound);
        // Mistakes inside the base64 part.
        let blobs: Vec<Vec<u8>> =
            keys.iter().filter_map(|key| key.split(' ').nth(1)).map(mutate::from_base64).collect();
        let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        mutate::each(
            &blobs,
            &["ssh-rsa", "\0\0\0\u{b}ssh-ed25519", "nistp256", "\0\0\0\0", "\0"],
            20_000,
            |blob| {
                for kind in KEY_TYPES {
                    is_sound(format!("{kind} {}", mutate::base64(blob)).as_bytes());
                }
            },
        );
    }

    #[test]
    fn a_key_is_not_mended() {
        let key = mutate::keys().into_iter().find(|key| key.starts_with("sk-ssh-ed25519")).unwrap();
        assert!(PublicKey::parse(key.as_bytes()).is_ok());
        // In this one the length of the curve's 32 bytes is said to be 33.
        let (kind, blob) = key.split_once(' ').unwrap();
        let mut blob = mutate::from_base64(blob);
        let length = blob.windows(4).position(|four| four == [0, 0, 0, 32]).unwrap() + 3;
        blob[length] += 1;
        let other = format!("{kind} {}", mutate::base64(&blob));
        assert_eq!(PublicKey::parse(other.as_bytes()), Err(KeyProblem::Malformed));
        let ends = key.trim_end_matches('=');
        assert_eq!(PublicKey::parse(ends.as_bytes()), Err(KeyProblem::Malformed));
    }

    #[test]
    fn every_accepted_type_has_a_sample() {
        let kinds: std::collections::BTreeSet<String> = (mutate::keys().iter())
            .filter_map(|key| PublicKey::parse(key.as_bytes()).ok())
            .map(|key| key.kind().to_string())
            .collect();
        assert_eq!(kinds, KEY_TYPES.iter().map(ToString::to_string).collect());
    }

    #[test]
    fn two_words_are_two_words() {
        let (kind, blob) = ED25519.split_once(' ').unwrap();
        assert_eq!(PublicKey::parse_words(kind, blob).map(|key| key.line()), Ok(ED25519.to_string()));
        for more in [" ", " me", "\tme", "\n", "\nssh-rsa", "\r", "\0", "\u{a0}", ",", "-"] {
            for blob in [format!("{blob}{more}x"), format!("{blob}{more}"), format!("{more}{blob}")] {
                assert_eq!(PublicKey::parse_words(kind, &blob), Err(KeyProblem::Malformed), "{blob:?}");
            }
        }
    }

    #[test]
    fn whatever_is_more_than_a_plain_key_is_refused() {
        let problem = |value: &str| PublicKey::parse(value.as_bytes()).unwrap_err();
        assert_eq!(problem(&format!("{ED25519}\n{ED25519}")), KeyProblem::SeveralLines);
        assert_eq!(problem(&format!("{ED25519} a\0b")), KeyProblem::SeveralLines);
        assert_eq!(problem(&format!("command=\"id\" {ED25519}")), KeyProblem::NoKeyType);
        assert_eq!(problem(&format!("restrict {ED25519}")), KeyProblem::TypeNotAccepted);
        assert_eq!(problem(&format!("cert-authority {ED25519}")), KeyProblem::TypeNotAccepted);
        assert_eq!(problem("# comment"), KeyProblem::NoKeyType);
        assert_eq!(problem(""), KeyProblem::NoKeyType);
        assert_eq!(problem(&"x".repeat(LONGEST + 1)), KeyProblem::TooLong);
        assert_eq!(problem("ssh-ed25519 AAAA"), KeyProblem::Malformed);
        assert_eq!(problem("ssh-ed25519"), KeyProblem::Malformed);
        assert_eq!(problem(&ED25519.replace("ssh-ed25519 ", "ssh-rsa ")), KeyProblem::Malformed);
        assert_eq!(problem(&ED25519.replace("ssh-ed25519 ", "ssh-dss ")), KeyProblem::TypeNotAccepted);
        assert_eq!(
            problem(&ED25519.replace("ssh-ed25519 ", "ssh-ed25519-cert-v01@openssh.com ")),
            KeyProblem::TypeNotAccepted
        );
    }
}
