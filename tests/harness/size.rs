//! How large tests are whose size is a part of what they show: so many hosts, so many moments, so long. `make test` runs them
//! small, beside all others; `make test-long` runs them whole.

/// `full` for [`sized`] to choose the whole size.
const VARIABLE: &str = "AUTHKEYS_TEST_SIZE";

/// The size that is asked for.
#[allow(clippy::disallowed_methods, reason = "of the tests, and of nothing that they try")]
pub fn sized<T>(small: T, whole: T) -> T {
    match std::env::var(VARIABLE).as_deref() {
        Err(_) | Ok("") => small,
        Ok("full") => whole,
        Ok(other) => panic!("{VARIABLE} is {other}; it is full, or not set"),
    }
}
