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

/// The most bytes of a pack: compressed once more it grows by a few in a thousand, and has to be an object then.
pub const LARGEST_PACK: usize = LARGEST_OBJECT as usize / 64 * 63;

/// How many bytes the pack of objects of these sizes has, whether it may be as large or not.
pub fn packed_size(sizes: impl IntoIterator<Item = u32>) -> u64 {
    sizes.into_iter().fold(HEADER.len() as u64, |sum, size| sum + 4 + u64::from(size))
}

/// Packs stored objects, in their order; nothing, if they are more than a pack may have. Who has a part of them still has to ask for
/// each of the others.
pub fn pack<B: AsRef<[u8]>>(objects: impl IntoIterator<Item = B>) -> Option<Vec<u8>> {
    let mut packed = HEADER.to_vec();
    for (count, object) in objects.into_iter().enumerate() {
        let object = object.as_ref();
        if count == MOST_PACKED || packed.len() + 4 + object.len() > LARGEST_PACK {
            return None;
        }
        packed.extend(u32::try_from(object.len()).ok()?.to_be_bytes());
        packed.extend(object);
    }
    Some(packed)
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
        let packed = pack(objects).unwrap();
        assert_eq!(packed.len() as u64, packed_size([3, 0, 300]));
        assert_eq!(unpack(&packed).unwrap(), objects);
        assert_eq!(unpack(&pack::<&[u8]>([]).unwrap()).unwrap(), [b""; 0]);
        for length in 0..packed.len() {
            let whole = [HEADER.len(), HEADER.len() + 7, HEADER.len() + 11].contains(&length);
            assert_eq!(unpack(&packed[..length]).is_ok(), whole, "{length}");
        }
    }

    #[test]
    fn a_pack_has_all_that_it_is_asked_for_or_is_none() {
        let large = vec![0; 10 * 1024 * 1024];
        let packed = pack([&large[..]; 6]).unwrap();
        assert!(packed.len() <= LARGEST_PACK && unpack(&packed).unwrap().len() == 6);
        assert_eq!(pack([&large[..]; 7]), None);
        let exact = vec![0; LARGEST_PACK - HEADER.len() - 4];
        assert_eq!(pack([&exact]).unwrap().len(), LARGEST_PACK);
        assert_eq!(pack([&exact[..], &[]]), None);
        assert!(
            pack((0..MOST_PACKED).map(|_| [])).is_some() && pack((0..=MOST_PACKED).map(|_| [])).is_none()
        );
    }

    #[test]
    fn a_length_that_is_not_there_allocates_nothing() {
        let lying = [HEADER, &[0xff; 4]].concat();
        assert_eq!(unpack(&lying), Err(CUT_OFF));
    }
}
