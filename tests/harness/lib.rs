//! What the end-to-end tests share: private machines, and the services played on them.

mod host;
pub mod hostile;
pub mod pagerduty;
pub mod proxy;
pub mod slapd;
pub mod suite;

pub use host::{Host, wait_until};
pub use suite::{Suite, text};
