//! An OpenSSH certificate, taken apart: which key it is for, who signed it, for whom and until when.
//!
//! No signature is verified here. sshd has done that before it asks who a certificate's principals are, and before
//! it tells PAM what somebody logged in with; what is read here is only ever what sshd has accepted. The form is that of
//! OpenSSH's PROTOCOL.certkeys, and whatever is not exactly in it is none. (The crate ssh-key is not used for it: 0.6.7
//! takes no certificate without an end, which is what `ssh-keygen` makes unless it is told an end.)

use base64ct::{Base64, Encoding};

use crate::{KeyProblem, PublicKey};

/// The longest certificate that is looked at, in bytes of base64: what the PAM module copies of what sshd tells it.
pub const LONGEST_CERTIFICATE: usize = 16 * 1024;

/// The most principals of one certificate (sshkey.h, `SSHKEY_CERT_MAX_PRINCIPALS`).
const MOST_PRINCIPALS: usize = 256;

/// What the type of a certificate ends with, behind that of its key.
const SUFFIX: &str = "-cert-v01@openssh.com";

/// A critical option that sshd enforces: from where the certificate may be used (sshd(8)), what it runs and no more, and
/// that a security key has verified its user.
const KNOWN_OPTIONS: [&[u8]; 3] = [b"force-command", b"source-address", b"verify-required"];

/// A certificate, of a user or of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The key that it certifies.
    key: PublicKey,
    /// The key that signed it.
    authority: PublicKey,
    /// Is it a user's, and no host's?
    is_of_user: bool,
    /// Its number, as its authority counts.
    serial: u64,
    /// What its authority calls it; bytes that are not UTF-8 are U+FFFD. Nobody may take it for anything but a text.
    id: String,
    /// Whom it is for.
    principals: Vec<String>,
    /// The first second in which it is valid, since 1970.
    start: u64,
    /// The first second in which it is not any more; `u64::MAX`: it has no end.
    end: u64,
    /// Has it a critical option that is not known here?
    has_unknown_option: bool,
}

/// Why something is no certificate for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateProblem {
    /// It says that it is no certificate, or one for a type of key that is not accepted.
    Type,
    /// More than 16 KiB.
    TooLong,
    /// It is not in the form of a certificate of the type that it names.
    Malformed,
    /// The key that it certifies is not accepted.
    Key(KeyProblem),
    /// The key that signed it is not accepted.
    Authority(KeyProblem),
}

impl std::fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Type => f.write_str("not the type of a certificate for a key that is accepted"),
            Self::TooLong => f.write_str("longer than 16 KiB"),
            Self::Malformed => f.write_str("not a certificate of the type that it names"),
            Self::Key(problem) => write!(f, "its key: {problem}"),
            Self::Authority(problem) => write!(f, "the key that signed it: {problem}"),
        }
    }
}

impl Certificate {
    /// Is this word the type of a certificate, whether it is accepted or not?
    pub fn is_type(kind: &str) -> bool {
        kind.ends_with(SUFFIX)
    }

    /// Reads a certificate from its two words, as sshd tells them: `%t` and `%k`.
    ///
    /// # Errors
    /// It is not exactly in the form of one, or one of its two keys is not accepted as a key.
    pub fn parse_words(kind: &str, blob: &str) -> Result<Self, CertificateProblem> {
        // `sk-ssh-ed25519-cert-v01@openssh.com` is of `sk-ssh-ed25519@openssh.com`, and no other name follows from a type.
        let plain = kind.strip_suffix(SUFFIX).ok_or(CertificateProblem::Type)?;
        let fields = fields_of_key(plain).ok_or(CertificateProblem::Type)?;
        if blob.len() > LONGEST_CERTIFICATE {
            return Err(CertificateProblem::TooLong);
        }
        let bytes = Base64::decode_vec(blob).map_err(|_| CertificateProblem::Malformed)?;
        let read = Read::whole(&bytes, kind, fields).ok_or(CertificateProblem::Malformed)?;
        Ok(Self {
            key: key(&with_type(read.key, fields.kind)).map_err(CertificateProblem::Key)?,
            authority: key(read.authority).map_err(CertificateProblem::Authority)?,
            is_of_user: read.is_of_user,
            serial: read.serial,
            id: String::from_utf8_lossy(read.id).into_owned(),
            principals: read.principals.into_iter().map(str::to_string).collect(),
            start: read.start,
            end: read.end,
            has_unknown_option: read.has_unknown_option,
        })
    }

    /// The key that it certifies.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key that signed it.
    pub fn authority(&self) -> &PublicKey {
        &self.authority
    }

    /// Is it a user's, and no host's?
    pub fn is_of_user(&self) -> bool {
        self.is_of_user
    }

    /// Its number, as its authority counts; 0 where that does not.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What its authority calls it: any text, of any length, to be escaped and cut where it is shown.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whom it is for. None means nobody here, although sshd takes such a certificate for everybody's where an
    /// authorized_keys file says `cert-authority` (measured: 9.2).
    pub fn principals(&self) -> &[String] {
        &self.principals
    }

    /// The first second in which it is valid, and the first in which it is not any more, since 1970; `u64::MAX`: it has no end.
    pub fn period(&self) -> (u64, u64) {
        (self.start, self.end)
    }

    /// Has it a critical option other than `force-command`, `source-address` and `verify-required`? These are sshd's to
    /// enforce, and it does.
    pub fn has_unknown_option(&self) -> bool {
        self.has_unknown_option
    }
}

/// A type of key, and how many fields a key of it has.
#[derive(Clone, Copy)]
struct Fields {
    kind: &'static str,
    count: usize,
}

/// The fields of a key in a certificate whose type is `plain` and [`SUFFIX`]: PROTOCOL.certkeys, PROTOCOL.u2f.
fn fields_of_key(plain: &str) -> Option<Fields> {
    let (kind, count) = match plain {
        "ssh-ed25519" => ("ssh-ed25519", 1),
        "ecdsa-sha2-nistp256" => ("ecdsa-sha2-nistp256", 2),
        "ecdsa-sha2-nistp384" => ("ecdsa-sha2-nistp384", 2),
        "ecdsa-sha2-nistp521" => ("ecdsa-sha2-nistp521", 2),
        "ssh-rsa" => ("ssh-rsa", 2),
        "sk-ssh-ed25519" => ("sk-ssh-ed25519@openssh.com", 2),
        "sk-ecdsa-sha2-nistp256" => ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
        _ => return None,
    };
    Some(Fields { kind, count })
}

/// A plain key of this type: its fields behind the name of it.
fn with_type(fields: &[u8], kind: &str) -> Vec<u8> {
    let length = u32::try_from(kind.len()).unwrap_or_default();
    [length.to_be_bytes().as_slice(), kind.as_bytes(), fields].concat()
}

/// A plain key, judged as any other.
fn key(blob: &[u8]) -> Result<PublicKey, KeyProblem> {
    let kind = Reader(blob).string().and_then(|kind| std::str::from_utf8(kind).ok());
    PublicKey::parse_words(kind.ok_or(KeyProblem::Malformed)?, &Base64::encode_string(blob))
}

/// What a certificate says, where it lies.
struct Read<'b> {
    key: &'b [u8],
    serial: u64,
    is_of_user: bool,
    id: &'b [u8],
    principals: Vec<&'b str>,
    start: u64,
    end: u64,
    has_unknown_option: bool,
    authority: &'b [u8],
}

impl<'b> Read<'b> {
    /// Reads all of `bytes`: a certificate of the type `kind` for a key of so many fields.
    fn whole(bytes: &'b [u8], kind: &str, fields: Fields) -> Option<Self> {
        let mut rest = Reader(bytes);
        if rest.string()? != kind.as_bytes() {
            return None;
        }
        let _nonce = rest.string()?;
        let key = rest.taken(|rest| (0..fields.count).try_for_each(|_| rest.string().map(|_| ())))?;
        let serial = rest.number()?;
        let is_of_user = match rest.word()? {
            1 => true,
            2 => false,
            _ => return None,
        };
        let id = rest.string()?;
        let principals = principals(rest.string()?)?;
        let (start, end) = (rest.number()?, rest.number()?);
        let has_unknown_option = has_unknown_option(rest.string()?)?;
        // An extension that is not known is to be passed over.
        options(rest.string()?, |_| ())?;
        let _reserved = rest.string()?;
        let authority = rest.string()?;
        let _signature = rest.string()?;
        let read =
            Self { key, serial, is_of_user, id, principals, start, end, has_unknown_option, authority };
        rest.0.is_empty().then_some(read)
    }
}

/// Whom a certificate is for. A name with a NUL, which C ends there, or that is no text, is none that sshd could match.
fn principals(bytes: &[u8]) -> Option<Vec<&str>> {
    let (mut rest, mut all) = (Reader(bytes), Vec::new());
    while !rest.0.is_empty() {
        let name = std::str::from_utf8(rest.string()?).ok()?;
        if name.contains('\0') || all.len() == MOST_PRINCIPALS {
            return None;
        }
        all.push(name);
    }
    Some(all)
}

fn has_unknown_option(bytes: &[u8]) -> Option<bool> {
    let mut is_unknown = false;
    options(bytes, |name| is_unknown |= !KNOWN_OPTIONS.contains(&name))?;
    Some(is_unknown)
}

/// Reads options, of which each may be there once, in the order of their names.
fn options<'b>(bytes: &'b [u8], mut each: impl FnMut(&'b [u8])) -> Option<()> {
    let (mut rest, mut last) = (Reader(bytes), None);
    while !rest.0.is_empty() {
        let name = rest.string()?;
        let _value = rest.string()?;
        if last.is_some_and(|last| last >= name) {
            return None;
        }
        last = Some(name);
        each(name);
    }
    Some(())
}

/// The rest of what is read, in the representations of RFC 4251, section 5.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn word(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*first))
    }

    fn string(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.word()?).ok()?;
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    /// The bytes that `read` takes.
    fn taken(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'b [u8]> {
        let before = self.0;
        read(self)?;
        before.get(..before.len() - self.0.len())
    }
}

#[cfg(test)]
mod tests;
