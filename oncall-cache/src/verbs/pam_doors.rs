//! `pam-doors`: which services are asked on this host, and decided for, for pam-oncall-enable.

use std::path::Path;

use crate::said::{CANNOT_TELL, Said};

/// A line for each service; or the table of all doors, as docs/operations.md has it.
pub fn run(config: &Path, as_table: bool) -> Said {
    if as_table {
        return Said::text(doctor::doors_table());
    }
    match doctor::pam_doors(config) {
        Ok(text) => Said::text(text),
        Err(problem) => Said::failure(CANNOT_TELL, problem),
    }
}
