//! `config import`: another tool's configuration, as ours.

use std::path::Path;

use crate::cli::Format;
use crate::import;
use crate::said::{CANNOT_TELL, Said};

/// What `file` comes to; it is not written anywhere.
pub fn run(file: &Path, format: Option<Format>) -> Said {
    let imported = match import::import(file, format) {
        Ok(imported) => imported,
        Err(problem) => return Said::failure(CANNOT_TELL, problem),
    };
    let said = Said::text(imported.text.trim_end());
    match imported.missing {
        None => said,
        Some(missing) => {
            let file = file.display();
            let note = format!("{file}: no {missing} to be had; [directory] is commented out, complete it");
            said.note(note).exit(1)
        }
    }
}
