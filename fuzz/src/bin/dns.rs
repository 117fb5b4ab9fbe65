//! What a name server answers.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../lib/ldap/src/dns/message.rs"]
mod message;
use message::{Answer, query, read};

fuzz_target!(|message: &[u8]| {
    // The number and the name that the seeds answer to.
    let query = query([0x12, 0x34], "_ldaps._tcp.example.com").expect("a name");
    let Some(Answer::Records(records)) = read(message, &query) else { return };
    // Each record takes eleven bytes at least.
    assert!(records.len() <= message.len() / 11);
    for record in records {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        assert!(record.target.len() <= 255 && record.target.bytes().all(fits));
    }
});
