//! What is inside a signature's armour: PROTOCOL.sshsig, "Signature format", read strictly.
//!
//! Read here and not by ssh-key, which stops at what it needs: it takes bytes after a signature, and writes a security key's
//! otherwise than it read it. Here each length is looked at, and nothing is left over.

use ssh_key::HashAlg;

use crate::SignatureError;

/// What comes first in the signature, and in what is signed.
const MAGIC: &[u8] = b"SSHSIG";

/// The only version there is.
const VERSION: u32 = 1;

/// A signature, taken apart. Nothing in it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope<'b> {
    /// The public key as RFC 4253, section 6.6, writes it.
    pub key: &'b [u8],
    /// What the signature is for.
    pub namespace: &'b [u8],
    /// By which the text was hashed before it was signed.
    pub hash: HashAlg,
    /// The algorithm of the signature.
    pub algorithm: &'b [u8],
    /// The signature itself.
    pub signature: &'b [u8],
    /// What a security key adds: flags and a counter. Empty for other keys.
    pub trailer: &'b [u8],
}

impl<'b> Envelope<'b> {
    pub(crate) fn read(blob: &'b [u8]) -> Result<Self, SignatureError> {
        let mut wire = Wire(blob);
        let is_one = wire.take(MAGIC.len()) == Some(MAGIC);
        let version = wire.number().filter(|_| is_one).ok_or(SignatureError::Blob)?;
        if version != VERSION {
            return Err(SignatureError::Version(version));
        }
        let mut string = || wire.string().ok_or(SignatureError::Blob);
        let (key, namespace, reserved, hash, signed) =
            (string()?, string()?, string()?, string()?, string()?);
        wire.end().ok_or(SignatureError::Blob)?;
        // For extensions. What one would mean is unknown, and no ssh-keygen writes any.
        if !reserved.is_empty() {
            return Err(SignatureError::Reserved);
        }
        let hash = match hash {
            b"sha256" => HashAlg::Sha256,
            b"sha512" => HashAlg::Sha512,
            _ => return Err(SignatureError::Hash),
        };
        let (algorithm, signature, trailer) = signature(signed).ok_or(SignatureError::Blob)?;
        Ok(Self { key, namespace, hash, algorithm, signature, trailer })
    }

    /// What kind of key it says it is.
    pub(crate) fn key_kind(&self) -> &'b [u8] {
        Wire(self.key).string().unwrap_or_default()
    }
}

/// A signature of RFC 4253, section 6.6: its algorithm, its bytes, and what a security key writes after it
/// (PROTOCOL.u2f, "SSH U2F signatures": one byte of flags, four of a counter).
fn signature(signed: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut wire = Wire(signed);
    let (algorithm, signature) = (wire.string()?, wire.string()?);
    let trailer = if algorithm.starts_with(b"sk-") { wire.take(5)? } else { &[] };
    wire.end()?;
    Some((algorithm, signature, trailer))
}

/// The rest of a text in the encoding of RFC 4251, section 5.
struct Wire<'b>(&'b [u8]);

impl<'b> Wire<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn string(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    fn blob(version: u32, reserved: &[u8], hash: &[u8], signed: &[u8]) -> Vec<u8> {
        let strings = [&string(b"ssh-ed25519")[..], b"head@authkeys", reserved, hash, signed];
        [&MAGIC.to_vec(), &version.to_be_bytes().to_vec(), &strings.map(string).concat()]
            .map(Vec::as_slice)
            .concat()
    }

    #[test]
    fn each_part_is_read_whole_and_nothing_is_left_over() {
        let plain = [string(b"ssh-ed25519"), string(b"bytes")].concat();
        let good = blob(1, b"", b"sha512", &plain);
        let envelope = Envelope::read(&good).unwrap();
        assert_eq!((envelope.namespace, envelope.hash), (&b"head@authkeys"[..], HashAlg::Sha512));
        assert_eq!((envelope.algorithm, envelope.signature), (&b"ssh-ed25519"[..], &b"bytes"[..]));
        assert_eq!((envelope.trailer, envelope.key_kind()), (&b""[..], &b"ssh-ed25519"[..]));

        let problem = |blob: &[u8]| Envelope::read(blob).unwrap_err();
        for end in 0..good.len() {
            assert_eq!(problem(&good[..end]), SignatureError::Blob, "{end}");
        }
        assert_eq!(problem(&[&good[..], &[0]].concat()), SignatureError::Blob);
        assert_eq!(problem(&[b"SSHSIH", &good[6..]].concat()), SignatureError::Blob);
        assert_eq!(problem(&blob(2, b"", b"sha512", &plain)), SignatureError::Version(2));
        assert_eq!(problem(&blob(0, b"", b"sha512", &plain)), SignatureError::Version(0));
        assert_eq!(problem(&blob(1, b"x", b"sha512", &plain)), SignatureError::Reserved);
        for hash in [&b"sha1"[..], b"", b"SHA512", b"sha512 ", b"sha384"] {
            assert_eq!(problem(&blob(1, b"", hash, &plain)), SignatureError::Hash);
        }
        let long = [&plain[..], &[1, 0, 0, 0, 9]].concat();
        assert_eq!(problem(&blob(1, b"", b"sha512", &long)), SignatureError::Blob);
    }

    #[test]
    fn a_security_key_says_how_it_signed() {
        let flags =
            [string(b"sk-ssh-ed25519@openssh.com"), string(b"bytes"), b"\x01\0\0\0\x09".to_vec()].concat();
        let good = blob(1, b"", b"sha256", &flags);
        assert_eq!(Envelope::read(&good).unwrap().trailer, [1, 0, 0, 0, 9]);
        for other in [&flags[..flags.len() - 1], &[&flags[..], &[0]].concat()] {
            assert_eq!(Envelope::read(&blob(1, b"", b"sha256", other)), Err(SignatureError::Blob));
        }
    }
}
