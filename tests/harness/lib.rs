//! What the end-to-end tests share: private machines, and the services played on them.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

mod host;
pub mod hostile;
pub mod pagerduty;
pub mod slapd;
pub mod suite;

pub use host::{Host, wait_until};
pub use suite::{Suite, text};
