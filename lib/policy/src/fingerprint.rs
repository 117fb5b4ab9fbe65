//! The text of a public key's SHA-256, `SHA256:…` as ssh-keygen prints it: base64 of 43 letters without padding. Here,
//! because [`crate::revocations`] names keys by it and this crate has no dependency.

use alloc::string::String;
use core::fmt;

use crate::Digest;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Six bits a letter; the last one has four bits of the digest and two that are zero.
const LENGTH: usize = 43;

/// Prints a digest as ssh-keygen does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint<'d>(pub &'d Digest);

impl fmt::Display for Fingerprint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(LENGTH);
        for group in self.0.chunks(3) {
            let bits =
                [16, 8, 0].iter().zip(group).fold(0, |bits, (by, byte)| bits | usize::from(*byte) << by);
            let letters = [18, 12, 6, 0].into_iter().filter_map(|by| LETTERS.get(bits >> by & 63));
            text.extend(letters.take(group.len() + 1).map(|letter| char::from(*letter)));
        }
        write!(f, "SHA256:{text}")
    }
}

/// Reads what [`Fingerprint`] prints, and nothing else: one digest has one text.
pub(crate) fn parse(text: &str) -> Option<Digest> {
    let letters = text.strip_prefix("SHA256:")?;
    if letters.len() != LENGTH {
        return None;
    }
    let (mut digest, mut bits, mut held, mut at) = ([0; 32], 0_u32, 0_u32, 0);
    for letter in letters.bytes() {
        let value = LETTERS.iter().position(|one| *one == letter)?;
        (bits, held) = (bits << 6 | u32::try_from(value).ok()?, held + 6);
        if held >= 8 {
            held -= 8;
            *digest.get_mut(at)? = u8::try_from(bits >> held & 0xff).ok()?;
            (bits, at) = (bits & ((1 << held) - 1), at + 1);
        }
    }
    (bits == 0).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn a_digest_has_one_text_and_it_is_ssh_keygens() {
        // Measured: `printf ... | openssl dgst -sha256 -binary | base64` of "abc".
        let text = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
        let digest = parse(text).unwrap();
        assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(Fingerprint(&digest).to_string(), text);
        let odd = text.replace("Fa0", "Fa1");
        for wrong in ["", "SHA256:", &text[..49], &format!("{text}="), &odd, &text.replace("un", "u ")] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        for byte in [0, 1, 127, 255] {
            let digest = [byte; 32];
            assert_eq!(parse(&Fingerprint(&digest).to_string()), Some(digest));
        }
    }
}
