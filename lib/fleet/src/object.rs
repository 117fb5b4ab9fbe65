//! How the head and objects name other objects, and what all objects have in common: JSON that begins with the
//! number of its form, the same bytes for the same content.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use policy::{OneLine, Timestamp, is_printable};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Digest;

/// The largest that any object may be, stored and decoded, in bytes. What reads one kind has its own, smaller limit.
pub const LARGEST_OBJECT: u32 = 64 * 1024 * 1024;

/// The form that is written and read.
const FORM: u64 = 1;

/// The longest id or name, in bytes: readers of roster.db refuse much longer ones.
pub(crate) const LONGEST_TEXT: usize = 320;

/// The longest complaint about an object, in bytes: parts of it may be in it.
const LONGEST_ERROR: usize = 300;

/// An object as a store has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Of the stored bytes, which are compressed; the object's name.
    pub digest: Digest,
    /// How many bytes are stored.
    pub size: u32,
    /// How many they are when decoded.
    pub raw: u32,
}

/// A part of a publication: what it says, and the object that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Names", into = "Names")]
pub struct Part {
    /// The digest of the decoded bytes. While it stays the same, so does `object`.
    pub content: Digest,
    /// Where they are.
    pub object: ObjectRef,
}

/// [`Part`] as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    content: Digest,
    object: Digest,
    size: u32,
    raw: u32,
}

/// Why an object was not taken (`object-form`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectError {
    /// It has a form that this release does not read; which.
    Form(u64),
    /// It is not JSON as it is written; what is wrong.
    Malformed(OneLine),
    /// It is read, and cannot be true; what is wrong.
    Impossible(&'static str),
}

impl ObjectError {
    /// The word for it in status and records.
    pub const WORD: &'static str = "object-form";
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(form) => {
                write!(f, "it has form {form}, and this release reads form {FORM}; update this host")
            }
            Self::Malformed(problem) => write!(f, "it is not as a collector writes it: {problem}"),
            Self::Impossible(problem) => write!(f, "it is not as a collector writes it: {problem}"),
        }
    }
}

impl core::error::Error for ObjectError {}

impl ObjectRef {
    /// `None` if no object is of that size: empty, or larger than [`LARGEST_OBJECT`].
    pub fn new(digest: Digest, size: u32, raw: u32) -> Option<Self> {
        let fits = |bytes| (1..=LARGEST_OBJECT).contains(&bytes);
        (fits(size) && fits(raw)).then_some(Self { digest, size, raw })
    }
}

impl Part {
    /// Is this what the part says? `bytes` are decoded.
    ///
    /// # Errors
    /// They have another digest.
    pub fn check(&self, bytes: &[u8]) -> Result<(), ObjectError> {
        let is_it = Digest::of(bytes) == self.content;
        if is_it {
            Ok(())
        } else {
            Err(ObjectError::Impossible("it has other content than what names it says"))
        }
    }
}

impl TryFrom<Names> for Part {
    type Error = &'static str;

    fn try_from(Names { content, object, size, raw }: Names) -> Result<Self, &'static str> {
        let object = ObjectRef::new(object, size, raw).ok_or("an object of an impossible size")?;
        Ok(Self { content, object })
    }
}

impl From<Part> for Names {
    fn from(Part { content, object: ObjectRef { digest, size, raw } }: Part) -> Self {
        Self { content, object: digest, size, raw }
    }
}

/// The number with which every object begins, as its first field `form`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Form;

impl Serialize for Form {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(FORM)
    }
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            FORM => Ok(Self),
            _ => Err(D::Error::custom("another form")),
        }
    }
}

/// Any object, whatever else is in it.
#[derive(Deserialize)]
struct Formed {
    form: u64,
}

/// Reads an object of at most `largest` bytes.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], largest: u32) -> Result<T, ObjectError> {
    if bytes.len() > largest as usize {
        return Err(ObjectError::Impossible("it is larger than any of its kind"));
    }
    serde_json::from_slice(bytes).map_err(|error| match serde_json::from_slice(bytes) {
        // Another form may have other fields; that explains it better than the first of those.
        Ok(Formed { form }) if form != FORM => ObjectError::Form(form),
        _ => ObjectError::Malformed(OneLine::cut(&error.to_string(), LONGEST_ERROR)),
    })
}

/// Writes an object: the same bytes for the same content.
pub(crate) fn write<T: Serialize>(body: &T) -> Vec<u8> {
    // Neither a map with keys that are no text nor a serializer that fails is in what is written here.
    serde_json::to_vec(body).unwrap_or_default()
}

/// A person, by their name in the directory.
pub(crate) mod person {
    use super::*;
    use policy::Principal;

    pub(crate) fn serialize<S: Serializer>(person: &Principal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(person.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Principal, D::Error> {
        Principal::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// An id: text on one line, not empty, at most [`LONGEST_TEXT`] bytes.
pub(crate) mod id {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(id: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = (1..=LONGEST_TEXT).contains(&text.len()) && text.chars().all(is_printable);
        if fits { Ok(text) } else { Err(D::Error::custom("an id that is empty, too long or not printable")) }
    }
}

/// A name for people, which somebody typed: at most [`LONGEST_TEXT`] bytes.
pub(crate) mod name {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(name: &OneLine, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OneLine, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = text.len() <= LONGEST_TEXT && text.chars().all(is_printable);
        if fits { Ok(OneLine::new(&text)) } else { Err(D::Error::custom("a name too long or not printable")) }
    }
}

/// An instant, or null where there is none.
pub(crate) mod instant {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.collect_str(at),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<Timestamp>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        let read = |text: String| Timestamp::parse(&text).ok_or_else(|| D::Error::custom("not an instant"));
        text.map(read).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn an_object_of_no_size_or_any_size_is_none() {
        let digest = Digest::of(b"");
        for (size, raw) in [(0, 1), (1, 0), (LARGEST_OBJECT + 1, 1), (1, LARGEST_OBJECT + 1), (u32::MAX, 1)] {
            assert_eq!(ObjectRef::new(digest, size, raw), None, "{size} {raw}");
            let json = format!(r#"{{"content":"{digest}","object":"{digest}","size":{size},"raw":{raw}}}"#);
            assert!(serde_json::from_str::<Part>(&json).is_err(), "{json}");
        }
        let part = Part { content: digest, object: ObjectRef::new(digest, 1, LARGEST_OBJECT).unwrap() };
        assert_eq!(serde_json::from_slice::<Part>(&write(&part)).unwrap(), part);
    }

    #[test]
    fn a_part_is_what_it_says_and_nothing_else() {
        let part =
            Part { content: Digest::of(b"text"), object: ObjectRef::new(Digest::of(b"zstd"), 4, 4).unwrap() };
        assert_eq!(part.check(b"text"), Ok(()));
        for other in [&b"texT"[..], b"zstd", b"", b"text "] {
            let problem = part.check(other).unwrap_err().to_string();
            assert!(problem.ends_with("it has other content than what names it says"), "{problem}");
        }
    }
}
