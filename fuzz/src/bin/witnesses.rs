//! What keys.stamp keeps of a server's past, and what is asked about it.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../lib/ldap/src/witnesses.rs"]
mod witnesses;
use witnesses::Witnesses;

fuzz_target!(|text: &str| {
    let Some(witnesses) = Witnesses::read(text) else { return };
    assert_eq!(Witnesses::read(&witnesses.write()), Some(witnesses.clone()));
    let Some(filter) = witnesses.filter("(uid=*)", |_| false) else { return };
    // The question is about entries that are named, and about nothing else.
    let known = filter.strip_prefix("(&(uid=*)(|").and_then(|rest| rest.strip_suffix("))")).expect("a filter");
    for one in known.split_inclusive(')') {
        let id = one.strip_prefix("(entryUUID=").and_then(|rest| rest.strip_suffix(')')).expect("an entry");
        assert!(id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'));
    }
});
