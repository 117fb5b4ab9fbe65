//! config.toml.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    match host::Config::parse("/etc/authkeys/config.toml".as_ref(), text) {
        Ok(config) => drop(config.remarks(policy::Timestamp::MAX)),
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
