//! A grant with the signatures below it, as it goes by chat.

use alloc::vec::Vec;

use key::PublicKey;
use policy::{Digest, Timestamp};
use signed::{Purpose, SignatureError, Signers, signing_key, split, verify};

use crate::{Grant, GrantError};

/// The longest grant with its signatures that is looked at, in bytes (8 KiB).
pub const LARGEST_DOCUMENT: usize = 8 * 1024;

/// A grant and what is below it: up to four signatures, and none as long as it is only asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'d> {
    /// What the text says.
    pub grant: Grant,
    /// The text that is signed.
    pub text: &'d [u8],
    /// The signatures in their armours. Not verified.
    pub armours: Vec<&'d [u8]>,
}

impl<'d> Document<'d> {
    /// Takes a document apart; each of its bytes belongs to the text or to an armour.
    ///
    /// # Errors
    /// It is not exactly one grant, with nothing but signatures below it.
    pub fn read(document: &'d [u8]) -> Result<Self, GrantError> {
        if document.len() > LARGEST_DOCUMENT {
            return Err(GrantError::TooLong);
        }
        let (text, armours) = match split(document) {
            Ok(parts) => parts,
            Err(SignatureError::NoSignature) => (document, Vec::new()),
            Err(error) => return Err(GrantError::Signatures(error)),
        };
        Ok(Self { grant: Grant::parse(text)?, text, armours })
    }

    /// The key behind each signature that counts at `at` by a signers file; each is verified when it is asked for.
    pub fn signatures(
        &self,
        signers: &Signers,
        at: Timestamp,
    ) -> impl Iterator<Item = Result<Digest, SignatureError>> {
        verified(&self.armours, self.text, Purpose::Grant, signers, at)
    }

    /// The key that made each signature, whoever has it; each is verified when it is asked for.
    pub fn keys(&self) -> impl Iterator<Item = Result<PublicKey, SignatureError>> {
        self.armours.iter().map(|armour| signing_key(Purpose::Grant, self.text, armour))
    }
}

/// The key behind each of these signatures of `text` that counts at `at` by a signers file; each is verified when it is asked
/// for.
pub(crate) fn verified(
    armours: &[&[u8]],
    text: &[u8],
    purpose: Purpose,
    signers: &Signers,
    at: Timestamp,
) -> impl Iterator<Item = Result<Digest, SignatureError>> {
    armours
        .iter()
        .map(move |armour| verify(signers, purpose, text, armour, at).map(|signer| signer.key.sha256()))
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;

    use signed::SigningKey;
    use signed::text::TextError;

    use super::*;

    #[test]
    fn a_document_is_a_text_and_at_most_four_signatures() {
        let text = crate::text::tests::grant().write().unwrap();
        let keys = (1..=5).map(|seed| SigningKey::generate(&[seed; 32], "").unwrap().0);
        let armours: Vec<String> =
            keys.map(|key| key.sign(Purpose::Grant, text.as_bytes()).unwrap()).collect();
        for count in 0..=4 {
            let whole = format!("{text}{}", armours[..count].concat());
            let document = Document::read(whole.as_bytes()).unwrap();
            assert_eq!((document.text, document.armours.len()), (text.as_bytes(), count));
            assert_eq!(document.keys().filter(Result::is_ok).count(), count);
        }
        let problem = |document: String| Document::read(document.as_bytes()).unwrap_err();
        let below = GrantError::Signatures;
        let [one, two] = [&armours[0], &armours[1]];
        assert_eq!(problem(format!("{text}{}", armours.concat())), below(SignatureError::TooMany));
        assert_eq!(problem(format!("{text}{one}\n")), below(SignatureError::AfterFooter));
        assert_eq!(problem(format!("{text}{one}\n{two}")), below(SignatureError::AfterFooter));
        assert_eq!(problem(format!("{text}{one}{text}")), below(SignatureError::AfterFooter));
        assert_eq!(problem(format!("{text}{}", one.trim_end())), below(SignatureError::Armour));
        // The line after the eleventh is no more of the text.
        assert_eq!(problem(format!("{text}\n{one}")), GrantError::Text(TextError::Line(12)));
        assert_eq!(problem(one.clone()), GrantError::Text(TextError::Line(1)));
        assert_eq!(problem(String::new()), GrantError::Text(TextError::Line(1)));
        assert_eq!(problem(text.clone() + &"x".repeat(LARGEST_DOCUMENT)), GrantError::TooLong);
    }
}
