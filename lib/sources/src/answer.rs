//! How the answers of services are read, whichever it is.
//!
//! Keys that are not read may come and go; those that are read must be there: an end that is missing is
//! not an end that is null. One entry that cannot be understood spoils its answer: half a roster would
//! take root from somebody whom the other half gives it to.

use policy::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::{ProviderError, without_mark};

/// Reads a value or null. Without this, serde takes an absent key for null.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// Reads the JSON that a service answered when it was asked for `what`.
pub fn read<'de, T: Deserialize<'de>>(what: &str, body: &'de [u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(without_mark(body)).map_err(|error| {
        ProviderError::source(&format!(
            "the answer of {what} cannot be read; this release may be too old for it: {error}"
        ))
    })
}

/// Each of `bodies` as something else, or why one cannot be.
pub fn all<B, T>(
    bodies: Vec<B>,
    one: impl FnMut(B) -> Result<T, ProviderError>,
) -> Result<Vec<T>, ProviderError> {
    bodies.into_iter().map(one).collect()
}

/// Is the answer about what was asked for?
pub fn same(what: &str, asked: &str, answered: &str) -> Result<(), ProviderError> {
    if asked == answered {
        return Ok(());
    }
    let text =
        format!("asked for {what} {asked}, the answer is about {answered:?}; the next sync tries again");
    Err(ProviderError::incomplete(&text))
}

/// An id is letters and digits today; whatever may be printed and has no space is taken.
pub fn identifier(id: String, whose: &str) -> Result<String, ProviderError> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = format!("the id of {whose} is {id:?}, which is not an id");
        return Err(ProviderError::source(&text));
    }
    Ok(id)
}

/// RFC 3339 with any offset.
pub fn instant(text: &str) -> Result<Timestamp, ProviderError> {
    Timestamp::read(text)
        .ok_or_else(|| ProviderError::source(&format!("a shift has the time {text:?}, which is not a time")))
}
