//! `hear`: webhooks come in, and syncs begin.

use std::path::Path;

use host::said::{CANNOT_TELL, Said};

use crate::config::Config;
use crate::hear;

/// Takes webhooks until it is ended from outside.
pub fn run(config: &Path) -> Said {
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(problem) => return Said::failure(CANNOT_TELL, problem),
    };
    hear::run(config.hear.as_ref())
        .map_or_else(|problem| Said::failure(CANNOT_TELL, problem), |()| Said::default())
}
