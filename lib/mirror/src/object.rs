//! Objects as they are stored: compressed by zstd, named by the digest of what is stored.

use std::fmt;
use std::io;

use fleet::{Digest, LARGEST_OBJECT, ObjectRef, Part};

/// How hard objects are compressed. They are written once and fetched by every host.
const LEVEL: i32 = 12;

/// Why bytes are not the object that is named.
#[derive(Debug)]
pub enum ObjectProblem {
    /// They are another number of bytes.
    Size {
        /// So many there are.
        bytes: u64,
        /// So many are named.
        named: u64,
    },
    /// They have another digest.
    Digest(Digest),
    /// They are what is named, and are no zstd of the size that is named.
    Decode(String),
    /// More is named than anything of its kind has, in bytes.
    TooLarge {
        /// So many decoded bytes are named.
        named: u64,
        /// The most of its kind.
        limit: u64,
    },
}

impl ObjectProblem {
    /// The word for it in status and records.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Size { .. } | Self::TooLarge { .. } => "object-size",
            Self::Digest(_) => "object-digest",
            Self::Decode(_) => "object-form",
        }
    }
}

impl fmt::Display for ObjectProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { bytes, named } => write!(f, "an object of {named} bytes has {bytes}"),
            Self::Digest(digest) => write!(f, "an object has the digest {digest}, which is not its name"),
            Self::Decode(problem) => {
                write!(f, "an object is not compressed as a collector does it: {problem}")
            }
            Self::TooLarge { named, limit } => {
                write!(f, "an object of {named} bytes is named, and none of its kind has more than {limit}")
            }
        }
    }
}

impl std::error::Error for ObjectProblem {}

/// Are these bytes what `object` names? Size first: it costs nothing.
///
/// # Errors
/// They are not; which of the two differs.
pub(crate) fn check(object: &ObjectRef, stored: &[u8]) -> Result<(), ObjectProblem> {
    if stored.len() as u64 != u64::from(object.size) {
        return Err(ObjectProblem::Size { bytes: stored.len() as u64, named: object.size.into() });
    }
    let digest = Digest::of(stored);
    if digest == object.digest { Ok(()) } else { Err(ObjectProblem::Digest(digest)) }
}

/// What is in the object, of which at most `limit` decoded bytes are taken: checked first, decoded then.
///
/// # Errors
/// The bytes are not this object, or not what it is named to be.
pub fn extract(object: &ObjectRef, stored: &[u8], limit: u32) -> Result<Vec<u8>, ObjectProblem> {
    if object.raw > limit {
        return Err(ObjectProblem::TooLarge { named: object.raw.into(), limit: limit.into() });
    }
    check(object, stored)?;
    decode(stored, object.raw)
}

/// Decodes what must be exactly `raw` bytes.
///
/// It is decoded at once, so the output is the window: a frame that names a larger one costs nothing, and one that has
/// more in it fails at the first byte too many.
///
/// # Errors
/// It is not zstd, or has another number of bytes in it.
pub fn decode(stored: &[u8], raw: u32) -> Result<Vec<u8>, ObjectProblem> {
    let problem = |error: io::Error| ObjectProblem::Decode(error.to_string());
    let length = usize::try_from(raw).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    // A host that has no memory left must not be ended by what a head says.
    bytes.try_reserve_exact(length).map_err(|_| problem(io::ErrorKind::OutOfMemory.into()))?;
    let mut decoder = zstd::bulk::Decompressor::new().map_err(problem)?;
    decoder.decompress_to_buffer(stored, &mut bytes).map_err(problem)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(ObjectProblem::Decode(format!("it decodes to {} bytes, not {raw}", bytes.len())))
    }
}

/// The part that says `content`, and the object to store if that is not there yet: while the content is that of
/// `before`, its object stays, though this release might compress it otherwise.
///
/// # Errors
/// It is empty or larger than any object.
pub fn fresh(content: &[u8], before: Option<&Part>) -> Result<(Part, Option<Vec<u8>>), ObjectProblem> {
    let digest = Digest::of(content);
    if let Some(before) = before.filter(|before| before.content == digest) {
        return Ok((*before, None));
    }
    let stored =
        zstd::bulk::compress(content, LEVEL).map_err(|error| ObjectProblem::Decode(error.to_string()))?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let object = ObjectRef::new(Digest::of(&stored), length(&stored), length(content))
        .ok_or(ObjectProblem::TooLarge { named: content.len() as u64, limit: LARGEST_OBJECT.into() })?;
    Ok((Part { content: digest, object }, Some(stored)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(content: &[u8]) -> (Part, Vec<u8>) {
        let (part, stored) = fresh(content, None).unwrap();
        (part, stored.unwrap())
    }

    #[test]
    fn what_is_stored_comes_back_once_it_is_checked() {
        let content = b"shifts ".repeat(1000);
        let (part, bytes) = stored(&content);
        assert!(bytes.len() < 100 && part.content == Digest::of(&content));
        assert_eq!(extract(&part.object, &bytes, 7000).unwrap(), content);
        let word =
            |object: &ObjectRef, bytes: &[u8], limit| extract(object, bytes, limit).unwrap_err().word();
        assert_eq!(word(&part.object, &bytes, 6999), "object-size");
        assert_eq!(word(&part.object, &bytes[1..], 7000), "object-size");
        assert_eq!(word(&part.object, &[&bytes[..], b"x"].concat(), 7000), "object-size");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(word(&part.object, &changed, 7000), "object-digest");
        }
        for raw in [1, 6999, 7001, 8_000_000] {
            let object = ObjectRef { raw, ..part.object };
            assert_eq!(word(&object, &bytes, LARGEST_OBJECT), "object-form", "{raw}");
        }
    }

    #[test]
    fn what_swells_ends_at_the_size_that_is_named() {
        // 64 MiB of nothing in some kilobytes, by a frame with a window as large.
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
        assert!(bomb.len() < 16 * 1024, "{}", bomb.len());
        let object = ObjectRef::new(Digest::of(&bomb), u32::try_from(bomb.len()).unwrap(), 1000).unwrap();
        assert_eq!(extract(&object, &bomb, 1 << 20).unwrap_err().word(), "object-form");
        let many = b"x".repeat(10);
        let frames =
            [zstd::bulk::compress(&many, 1).unwrap(), zstd::bulk::compress(&many, 1).unwrap()].concat();
        assert!(decode(&frames, 10).is_err(), "two frames, of which one has the size that is named");
    }

    #[test]
    fn the_same_content_keeps_its_object() {
        let (part, _) = stored(b"content");
        let other = Part { object: ObjectRef { size: 999, ..part.object }, ..part };
        let kept = fresh(b"content", Some(&other)).unwrap();
        assert_eq!(kept, (other, None), "however it was compressed");
        let (changed, bytes) = fresh(b"changed", Some(&other)).unwrap();
        assert!(changed != other && bytes.is_some());
        assert!(fresh(b"", None).is_err());
    }

    #[test]
    fn mistaken_bytes_are_refused_or_decode_to_their_size() {
        let (_, bytes) = stored(&b"shifts ".repeat(100));
        let (_, other) = stored(b"x");
        mutate::each(&[&bytes, &other], &["\u{28}", "\u{b5}/"], 4000, |bytes| {
            for raw in [1, 700] {
                match decode(bytes, raw) {
                    Ok(content) => assert_eq!(content.len(), raw as usize),
                    Err(error) => assert_eq!(error.word(), "object-form"),
                }
            }
        });
    }
}
