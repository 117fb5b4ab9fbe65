//! What the end-to-end tests share: private machines, and the services played on them.

pub mod dns;
mod host;
pub mod hostile;
pub mod pagerduty;
pub mod proxy;
pub mod relay;
pub mod slapd;
pub mod suite;

pub use host::{Host, wait_until};
pub use suite::{Suite, text};
