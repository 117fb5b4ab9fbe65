//! A pack: many stored objects in one, for hosts that have none of them yet.
//!
//! Its text is a line and then, of each object, its length in four bytes (big-endian) and the stored bytes. It names
//! nothing: who unpacks it takes the objects whose digests are missing, and no others. So a pack can be older than the
//! head that names it, and lies to nobody.

use alloc::vec::Vec;

use crate::{LARGEST_OBJECT, ObjectError};

const HEADER: &[u8] = b"authkeys pack 1\n";

/// The most objects of a pack.
const MOST_PACKED: usize = 1 << 17;

/// Packs stored objects, in their order, as many as fit into one object.
pub fn pack<B: AsRef<[u8]>>(objects: impl IntoIterator<Item = B>) -> Vec<u8> {
    let mut packed = HEADER.to_vec();
    for object in objects.into_iter().take(MOST_PACKED) {
        let object = object.as_ref();
        let Ok(length) = u32::try_from(object.len()) else { break };
        // Compressed once more it grows by a few bytes in a thousand.
        if packed.len() + 4 + object.len() > LARGEST_OBJECT as usize / 64 * 63 {
            break;
        }
        packed.extend(length.to_be_bytes());
        packed.extend(object);
    }
    packed
}

/// The stored objects in a pack.
///
/// # Errors
/// It is no pack of this form, or is cut off.
pub fn unpack(packed: &[u8]) -> Result<Vec<&[u8]>, ObjectError> {
    let mut rest =
        packed.strip_prefix(HEADER).ok_or(ObjectError::Impossible("no pack that this release reads"))?;
    let mut objects = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let (object, behind) = behind.split_at_checked(length).ok_or(CUT_OFF)?;
        if objects.len() == MOST_PACKED {
            return Err(ObjectError::Impossible("more objects than any pack has"));
        }
        objects.push(object);
        rest = behind;
    }
    if rest.is_empty() { Ok(objects) } else { Err(CUT_OFF) }
}

const CUT_OFF: ObjectError = ObjectError::Impossible("a pack that is cut off");

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_is_packed_is_unpacked_in_its_order() {
        let objects: [&[u8]; 3] = [b"one", b"", &[0xff; 300]];
        let packed = pack(objects);
        assert_eq!(unpack(&packed).unwrap(), objects);
        assert_eq!(unpack(&pack::<&[u8]>([])).unwrap(), [b""; 0]);
        for length in 0..packed.len() {
            let whole = [HEADER.len(), HEADER.len() + 7, HEADER.len() + 11].contains(&length);
            assert_eq!(unpack(&packed[..length]).is_ok(), whole, "{length}");
        }
    }

    #[test]
    fn what_does_not_fit_stays_out() {
        let large = vec![0; 10 * 1024 * 1024];
        let packed = pack([&large[..]; 10]);
        assert!(packed.len() < LARGEST_OBJECT as usize);
        assert_eq!(unpack(&packed).unwrap().len(), 6);
    }

    #[test]
    fn a_length_that_is_not_there_allocates_nothing() {
        let lying = [HEADER, &[0xff; 4]].concat();
        assert_eq!(unpack(&lying), Err(CUT_OFF));
    }
}
