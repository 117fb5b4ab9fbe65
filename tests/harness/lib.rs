//! What the end-to-end tests share: private machines, and the services played on them.

mod booted;
pub mod bucket;
pub mod directory;
pub mod dns;
pub mod ds389;
pub mod fleet;
mod host;
pub mod hostile;
mod kept;
mod machine;
pub mod mirror;
mod network;
pub mod nginx;
pub mod oncalls;
pub mod packages;
pub mod page;
pub mod pagerduty;
pub mod playbook;
pub mod proxy;
pub mod records;
pub mod relay;
pub mod releases;
pub mod samba;
mod site;
pub mod slapd;
pub mod store;
pub mod suite;
pub mod table;
pub mod trixie;

pub use booted::{Booted, Debian};
pub use host::Host;
pub use machine::{Machine, wait_until, wait_within};
pub use network::Network;
pub use site::Site;
pub use suite::{Suite, text};
