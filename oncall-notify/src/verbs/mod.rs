//! The commands: each says what it has to say, and main.rs prints it.

pub mod config_check;
pub mod event;
pub mod run;
pub mod test;

use std::path::Path;

use host::said::{CANNOT_TELL, Said};

use crate::config::Config;

/// The configuration, or what is said instead.
fn load(path: &Path) -> Result<Config, Said> {
    Config::load(path).map_err(|error| Said::failure(CANNOT_TELL, error))
}
