//! A file of who may sign what (`fleet-signers`).

#![no_main]

use libfuzzer_sys::fuzz_target;
use signed::{Purpose, Signers};

fuzz_target!(|file: &[u8]| {
    let (signers, dead) = Signers::parse(file);
    for signer in signers.iter() {
        assert!(Purpose::ALL.iter().any(|purpose| signer.signs(*purpose)));
        // Written again, the line means the same.
        let (again, none) = Signers::parse(signer.to_string().as_bytes());
        assert!(none.is_empty() && again.iter().eq([signer]));
    }
    assert!(dead.iter().all(|dead| dead.line >= 1 && dead.problem.to_string().len() < 300));
});
