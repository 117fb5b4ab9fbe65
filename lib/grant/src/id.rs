//! What one grant is called: sixteen random bytes, so that nobody can choose another's.

use core::fmt;
use core::str::FromStr;

/// A grant's name. Prints as 32 digits `0-9a-f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; 16]);

impl GrantId {
    /// The name made of these bytes, which nobody can guess.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for GrantId {
    type Err = ();

    /// Reads what is printed, and no other spelling.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(()),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(()) };
        let mut bytes = [0; 16];
        if pairs.len() != bytes.len() {
            return Err(());
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_id_has_one_spelling() {
        let id = GrantId::new(core::array::from_fn(|at| u8::try_from(at * 17).unwrap()));
        let text = id.to_string();
        assert_eq!(text, "00112233445566778899aabbccddeeff");
        assert_eq!(text.parse(), Ok(id));
        let long = text.clone() + "00";
        for wrong in ["", &text[..31], &text[..30], &long, &text.to_uppercase(), &text.replace('0', "g")] {
            assert_eq!(wrong.parse::<GrantId>(), Err(()), "{wrong}");
        }
        assert_eq!(text.replace("00", "\u{e9}").parse::<GrantId>(), Err(()));
    }
}
