//! The plain files of this host: configuration, revocations, switch, secrets and accounts; and its clocks.
//!
//! No SQL and no network, but the socket of one service of this host. Everything is read through [`trust`], which refuses files that
//! others could have written.

#![forbid(unsafe_code)]

pub mod acceptor;
pub mod accounts;
pub mod child;
pub mod config;
pub mod orders;
pub mod output;
pub mod probe;
pub mod program;
pub mod proof;
pub mod remote;
pub mod revoked;
pub mod revoked_grants;
pub mod said;
pub mod secret;
pub mod switch;
pub mod toml_file;
pub mod unanswered;

pub use ::clock;
pub use config::Config;
pub use toml_file::FileError;
