//! One line of authorized_keys that another command printed.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../authkeys/src"]
mod authkeys {
    pub mod foreign;
}
use authkeys::foreign::Line;

fuzz_target!(|line: &[u8]| {
    let Line::Key(key) = Line::read(line) else { return };
    let written = key.to_string();
    assert!(written.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
    assert!(!written.contains("command=") && !written.contains("environment="));
    assert_eq!(Line::read(written.as_bytes()), Line::Key(key));
});
