//! Another tool's configuration; the first byte says whose.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../oncall-cache/src"]
mod oncall_cache {
    pub mod cli;
    pub mod import;
}
use cli::Format;
use oncall_cache::{cli, import};

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else { return };
    let formats = [Format::AuthkeysJson, Format::Olak, Format::Sssd, Format::Nslcd];
    match import::translate("FILE", text, formats.get(usize::from(first % 5)).copied()) {
        Ok(imported) => assert!(!imported.text.contains(|c: char| c.is_control() && c != '\n')),
        Err(problem) => assert!(!problem.text.contains("fault of oncall-cache")),
    }
});
