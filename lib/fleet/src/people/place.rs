//! Where somebody is in the tree: by the first bits of the SHA-256 of their name.

use alloc::string::String;
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

use policy::Principal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Digest;

/// How many bits deeper a page is than the one that lists it.
pub(super) const PAGE_BITS: u8 = 6;

/// The most bits that a place has: ten pages. Nobody finds a hundred names whose digests agree in so many.
const MOST_BITS: u8 = 60;

/// All digests that begin with certain bits. Prints as these: `0110`; the root, which has none, as nothing.
///
/// Places are ordered as the digests in them; of two that begin alike the shorter is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The bits, from the highest; those behind them are zero.
    bits: u64,
    /// How many there are.
    len: u8,
}

/// A text that is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceError;

impl Place {
    /// Everything.
    pub const ROOT: Self = Self { bits: 0, len: 0 };

    /// The first 64 bits of the digest of a name: by them people are ordered.
    pub fn spot(principal: &Principal) -> u64 {
        let digest = Digest::of(principal.as_str().as_bytes());
        digest.as_bytes().iter().take(8).fold(0, |spot, &byte| spot << 8 | u64::from(byte))
    }

    /// Is a person with this [`Place::spot`] here?
    pub fn holds(self, spot: u64) -> bool {
        self.spots().contains(&spot)
    }

    /// Is `other` in here, or the same?
    pub fn contains(self, other: Self) -> bool {
        self.len <= other.len && self.holds(other.bits)
    }

    /// The spots that are here.
    pub fn spots(self) -> RangeInclusive<u64> {
        let behind = u64::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
        self.bits..=self.bits | behind
    }

    /// The two halves of it; `None` if it is as deep as any.
    pub(super) fn halves(self) -> Option<[Self; 2]> {
        let len = self.len + 1;
        let high = 1_u64.checked_shl(u32::from(64 - len)).unwrap_or(0);
        (len <= MOST_BITS).then_some([Self { len, ..self }, Self { bits: self.bits | high, len }])
    }

    /// How many bits deeper `other` is.
    pub(super) fn steps_to(self, other: Self) -> Option<u8> {
        other.len.checked_sub(self.len)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = (0..self.len).map(|at| self.bits >> (63 - at) & 1);
        digits.into_iter().try_for_each(|digit| write!(f, "{digit}"))
    }
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a place is up to {MOST_BITS} binary digits")
    }
}

impl core::error::Error for PlaceError {}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        text.bytes().try_fold(Self::ROOT, |place, digit| match (place.halves(), digit) {
            (Some([low, _]), b'0') => Ok(low),
            (Some([_, high]), b'1') => Ok(high),
            _ => Err(PlaceError),
        })
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_place_prints_as_its_bits_and_has_no_other_spelling() {
        let deepest = "01".repeat(30);
        for text in ["", "0", "1", "0110", &deepest] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for wrong in ["2", "0x", " 0", "\u{661}", &"0".repeat(61)] {
            assert_eq!(wrong.parse::<Place>(), Err(PlaceError), "{wrong}");
        }
    }

    #[test]
    fn halves_share_a_place_between_them() {
        let place: Place = "01".parse().unwrap();
        let [low, high] = place.halves().unwrap();
        assert_eq!((low.to_string(), high.to_string()), ("010".to_string(), "011".to_string()));
        assert_eq!(low.spots().end() + 1, *high.spots().start());
        assert_eq!((low.spots().start(), high.spots().end()), (place.spots().start(), place.spots().end()));
        assert!(place.contains(low) && place.contains(place) && !low.contains(place) && !low.contains(high));
        assert!(place < low && low < high);
        assert_eq!(Place::ROOT.spots(), 0..=u64::MAX);
        let deepest: Place = "1".repeat(60).parse().unwrap();
        assert_eq!((deepest.halves(), deepest.spots().count()), (None, 16));
    }

    #[test]
    fn who_is_where_follows_from_the_name() {
        // printf alice | sha256sum
        let alice = Place::spot(&Principal::new("alice").unwrap());
        assert_eq!(alice, 0x2bd8_06c9_7f0e_00af);
        assert!(
            "00101".parse::<Place>().unwrap().holds(alice) && !"0011".parse::<Place>().unwrap().holds(alice)
        );
    }
}
