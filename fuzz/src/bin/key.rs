//! One value of a directory's key attribute; the same bytes also as the base64 part of a key of each type.

#![no_main]

use key::{KEY_TYPES, PublicKey, parse_fingerprint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    is_sound(value);
    for kind in KEY_TYPES {
        is_sound(format!("{kind} {}", mutate::base64(value)).as_bytes());
    }
});

fn is_sound(value: &[u8]) {
    let Ok(key) = PublicKey::parse(value) else { return };
    let line = key.line();
    assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
    assert!(KEY_TYPES.contains(&key.kind()) && line.matches(' ').count() == 1);
    assert_eq!(PublicKey::parse(line.as_bytes()).as_ref(), Ok(&key));
    assert_eq!(parse_fingerprint(&key.fingerprint()), Some(key.sha256()));
}
