//! The armour round a signature, and a document that has its signatures at its end.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};

use crate::SignatureError;

/// The longest document with its signatures that is looked at, in bytes (64 KiB).
pub const LARGEST_DOCUMENT: usize = 64 * 1024;

/// The most signatures under one document.
pub const MOST_SIGNATURES: usize = 4;

/// The longest armour, in bytes: that of ECDSA on the curve P-521 has some 700.
const LONGEST_ARMOUR: usize = 2048;

const HEADER: &str = "-----BEGIN SSH SIGNATURE-----\n";
const FOOTER: &str = "-----END SSH SIGNATURE-----\n";

/// The base64 letters of a line (sshsig.c, `sshsig_armor`: sshbuf_dtob64 with line breaks).
const WIDTH: usize = 70;

/// Writes a signature as `ssh-keygen -Y sign` does.
pub(crate) fn write(blob: &[u8]) -> String {
    let letters = Base64::encode_string(blob);
    let mut armour = String::from(HEADER);
    for (at, letter) in letters.chars().enumerate() {
        if at > 0 && at % WIDTH == 0 {
            armour.push('\n');
        }
        armour.push(letter);
    }
    armour.push('\n');
    armour.push_str(FOOTER);
    armour
}

/// The signature in an armour that is byte for byte what [`write`] makes of it: there is one text for each signature, and
/// none that two readers could take differently.
pub(crate) fn read(armour: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let body = Some(armour)
        .filter(|armour| armour.len() <= LONGEST_ARMOUR)
        .and_then(|armour| armour.strip_prefix(HEADER.as_bytes())?.strip_suffix(FOOTER.as_bytes()))
        .ok_or(SignatureError::Armour)?;
    let letters: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'\n').collect();
    let blob = core::str::from_utf8(&letters)
        .ok()
        .and_then(|letters| Base64::decode_vec(letters).ok())
        .ok_or(SignatureError::Armour)?;
    if write(&blob).as_bytes() == armour { Ok(blob) } else { Err(SignatureError::Armour) }
}

/// Takes a document apart: the text that is signed, which ends with a line break right before the first header, and the
/// one to [`MOST_SIGNATURES`] armours. The document ends with the last footer.
pub fn split(document: &[u8]) -> Result<(&[u8], Vec<&[u8]>), SignatureError> {
    split_within(document, LARGEST_DOCUMENT)
}

/// The same of a document of at most `largest` bytes, for texts that are longer.
pub fn split_within(document: &[u8], largest: usize) -> Result<(&[u8], Vec<&[u8]>), SignatureError> {
    if document.len() > largest {
        return Err(SignatureError::TooLong);
    }
    let header = HEADER.as_bytes();
    let starts_a_line =
        |at: &usize| at.checked_sub(1).and_then(|before| document.get(before)) == Some(&b'\n');
    let start = (document.windows(header.len()).enumerate())
        .filter_map(|(at, bytes)| (bytes == header).then_some(at))
        .find(starts_a_line)
        .ok_or(SignatureError::NoSignature)?;
    let (text, mut rest) = document.split_at_checked(start).ok_or(SignatureError::NoSignature)?;
    let mut armours = Vec::new();
    while rest.starts_with(header) {
        let footer = FOOTER.as_bytes();
        let length = rest
            .windows(footer.len())
            .position(|bytes| bytes == footer)
            .map(|at| at + footer.len())
            .ok_or(SignatureError::Armour)?;
        let (armour, after) = rest.split_at_checked(length).ok_or(SignatureError::Armour)?;
        if armours.len() == MOST_SIGNATURES {
            return Err(SignatureError::TooMany);
        }
        armours.push(armour);
        rest = after;
    }
    if rest.is_empty() { Ok((text, armours)) } else { Err(SignatureError::AfterFooter) }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn an_armour_has_one_spelling() {
        for length in [1, 51, 52, 53, 104, 105, 106, 300] {
            let blob: Vec<u8> = (0..length).map(|at: usize| (at % 251) as u8).collect();
            let armour = write(&blob);
            assert_eq!(read(armour.as_bytes()), Ok(blob));
            for other in [
                armour.trim_end().into(),
                format!("{armour}\n"),
                format!(" {armour}"),
                armour.replace('\n', "\r\n"),
                armour.replacen("-----\n", "-----\n\n", 1),
                armour.replacen("-----\n", "----- \n", 1),
                armour.replace("SSH SIGNATURE", "PGP SIGNATURE"),
                armour.replacen('A', "\nA", 1),
            ] {
                let is_same = other == armour;
                assert_eq!(read(other.as_bytes()).is_ok(), is_same, "{other}");
            }
        }
        // Bits that no byte has, and too much.
        let odd = write(b"a").replace("YQ==", "YR==");
        assert_eq!(read(odd.as_bytes()), Err(SignatureError::Armour));
        assert_eq!(read(write(&[7; LONGEST_ARMOUR]).as_bytes()), Err(SignatureError::Armour));
    }

    #[test]
    fn a_document_ends_with_its_last_footer() {
        let (one, two) = (write(b"one"), write(b"two"));
        let document = format!("form: 1\na: b\n{one}{two}");
        let (text, armours) = split(document.as_bytes()).unwrap();
        assert_eq!(text, b"form: 1\na: b\n");
        assert_eq!(armours, [one.as_bytes(), two.as_bytes()]);

        let problem = |document: String| split(document.as_bytes()).unwrap_err();
        assert_eq!(problem(format!("{document}\n")), SignatureError::AfterFooter);
        assert_eq!(problem(format!("{document}x: y\n")), SignatureError::AfterFooter);
        assert_eq!(problem(format!("a: b\n{one}\n{two}")), SignatureError::AfterFooter);
        assert_eq!(problem(format!("a: b\n{one}{}", two.trim_end())), SignatureError::Armour);
        assert_eq!(problem("a: b\n".into()), SignatureError::NoSignature);
        assert_eq!(problem(one.clone()), SignatureError::NoSignature);
        assert_eq!(problem(format!("a: b {one}")), SignatureError::NoSignature);
        assert_eq!(problem(format!("a: b\n{}", one.repeat(MOST_SIGNATURES + 1))), SignatureError::TooMany);
        assert!(split(format!("a: b\n{}", one.repeat(MOST_SIGNATURES)).as_bytes()).is_ok());
        assert_eq!(problem("x".repeat(LARGEST_DOCUMENT + 1)), SignatureError::TooLong);
    }
}
