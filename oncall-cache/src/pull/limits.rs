//! What one pull may cost at most, whatever a store says.

use std::time::Duration;

use super::error::StoreError;

/// The longest that a pull asks, all urls together. What it has fetched by then stays, and the next one goes on.
pub const TIME: Duration = Duration::from_secs(120);

/// The most requests of one pull: a fresh copy of a million people, without a pack.
const MOST_REQUESTS: u32 = 20_000;

/// The most bytes that one pull fetches: twice the objects of a million people.
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// What one pull has asked for.
#[derive(Debug)]
pub struct Limits {
    requests: u32,
    bytes: u64,
}

impl Limits {
    /// Nothing so far.
    pub fn new() -> Self {
        Self { requests: 0, bytes: 0 }
    }

    /// One more request, whose answer has `limit` bytes at most.
    ///
    /// # Errors
    /// It would be one too many.
    pub fn take_request(&mut self, limit: u64) -> Result<(), StoreError> {
        if self.requests >= MOST_REQUESTS || self.bytes.saturating_add(limit) > MOST_BYTES {
            return Err(StoreError::TooMuch { requests: MOST_REQUESTS, bytes: MOST_BYTES });
        }
        self.requests += 1;
        Ok(())
    }

    /// So many bytes came.
    pub fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Requests so far.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Bytes of all answers so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_asks_for_no_more_than_it_may_need() {
        let mut limits = Limits::new();
        assert!(limits.take_request(MOST_BYTES).is_ok());
        limits.count(10);
        assert!(limits.take_request(MOST_BYTES - 10).is_ok() && limits.take_request(MOST_BYTES - 9).is_err());
        while limits.requests() < MOST_REQUESTS {
            limits.take_request(0).unwrap();
        }
        assert!(matches!(limits.take_request(0), Err(StoreError::TooMuch { .. })));
    }
}
