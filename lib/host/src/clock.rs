//! The one place that reads the clock, for the shells of programs and hooks: everything else takes time as
//! an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use policy::Timestamp;

/// The instant it is. A clock before 1970 reads as 1970, which is before every publication: nothing is
/// believed then.
#[allow(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_unix(i64::try_from(seconds).unwrap_or(0))
}
