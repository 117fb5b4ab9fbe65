//! The signature of a webhook: PagerDuty's developer documentation, "Webhooks: Verifying Signatures".
//!
//! `X-PagerDuty-Signature: v1=HEX,v1=HEX` has an HMAC-SHA256 of the body for each secret of the subscription; one that is right
//! is enough, and other versions than v1 are passed over.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header.
pub const HEADER: &str = "x-pagerduty-signature";

/// The most signatures that are looked at; each costs a comparison with each secret.
const MOST: usize = 16;

/// The secrets, each as far as a computation with it can be prepared.
#[derive(Clone)]
pub struct Secrets(Vec<Hmac<Sha256>>);

impl Secrets {
    /// Those in these texts.
    pub fn new<'s>(texts: impl Iterator<Item = &'s str>) -> Self {
        // A key may have any length.
        Self(texts.filter_map(|text| Hmac::new_from_slice(text.as_bytes()).ok()).collect())
    }

    /// Has one of them signed this body? `headers` are the values of all headers of that name.
    pub fn signed<'h>(&self, headers: impl Iterator<Item = &'h [u8]>, body: &[u8]) -> bool {
        let signatures: Vec<[u8; 32]> = headers
            .flat_map(|value| value.split(|byte| *byte == b','))
            .filter_map(|signature| digest(signature.trim_ascii().strip_prefix(b"v1=")?))
            .take(MOST)
            .collect();
        // Without a signature there is nothing to compute.
        !signatures.is_empty()
            && self.0.iter().any(|prepared| {
                let mac = prepared.clone().chain_update(body);
                // In constant time.
                signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
            })
    }
}

fn digest(hex: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    let (pairs, rest) = hex.as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const KNOWN: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn one_right_signature_is_enough() {
        let secrets = Secrets::new(["another", "Jefe"].into_iter());
        let judge = |headers: &[&str], body: &str| {
            secrets.signed(headers.iter().map(|value| value.as_bytes()), body.as_bytes())
        };
        let text = "what do ya want for nothing?";
        let (right, wrong) = (format!("v1={KNOWN}"), format!("v1={}", KNOWN.replace('5', "6")));
        assert!(judge(&[&right], text));
        assert!(judge(&[&right.to_uppercase().replace("V1", "v1")], text));
        assert!(judge(&[&format!("{wrong}, v2=00,{right}")], text));
        assert!(judge(&[&wrong, &right], text));
        assert!(!judge(&[], text));
        assert!(!judge(&[""], text));
        assert!(!judge(&[&wrong], text));
        assert!(!judge(&[&right], "what do ya want for nothing"));
        assert!(!judge(&[&right.replace("v1=", "v0=")], text));
        assert!(!judge(&[KNOWN], text));
        assert!(!judge(&[&right[..right.len() - 2]], text));
        assert!(!judge(&[&format!("{right}00")], text));
        assert!(!judge(&[&format!("{}{right}", format!("{wrong},").repeat(MOST))], text), "not without end");
        assert!(!Secrets::new([].into_iter()).signed([right.as_bytes()].into_iter(), text.as_bytes()));
    }
}
