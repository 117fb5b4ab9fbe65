//! people.toml, and what is accepted of it.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../authkeys/sync/src"]
mod authkeys_sync {
    pub mod entry;
    pub mod people;
}
use authkeys_sync::{entry, people};

fuzz_target!(|text: &[u8]| {
    match people::parse("/etc/authkeys/people.toml".as_ref(), text) {
        Ok(entries) => {
            let count = entries.len();
            let believed = entry::believe(entries);
            assert_eq!(believed.records.len(), count);
            assert!(believed.dropped.iter().all(|line| !line.contains('\n')));
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
