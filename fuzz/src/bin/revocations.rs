//! The fleet's revocations, as a host reads its copy.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::revocations::Revocations;

fuzz_target!(|text: &str| {
    let Ok(list) = Revocations::parse(text) else { return };
    // One list has one text.
    assert_eq!(list.to_string(), text);
    let mut all = Revocations::none();
    all.merge(&list).expect("what was read is not too many");
    all.merge(&list).expect("nothing is added");
    assert_eq!(all.read_at(list.read()), list);
});
