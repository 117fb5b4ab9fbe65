//! What authkeys-sync, run as a child, says of alice.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::Principal;

#[path = "../../../authkeys/src"]
mod authkeys {
    pub mod live;
    pub mod reason;
}
use authkeys::{live, reason};

fuzz_target!(|said: &[u8]| {
    let Ok(alice) = Principal::new("alice") else { return };
    match live::understand(said, &alice, String::new) {
        Ok(answer) => assert!(answer.rejected.len() <= store::MOST_REJECTED),
        Err(error) => assert!(error.text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())),
    }
});
