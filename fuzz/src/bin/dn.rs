//! Distinguished names, as servers write them.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../lib/ldap/src/dn.rs"]
mod dn;
use dn::Dn;

fuzz_target!(|text: &str| {
    let Some(dn) = Dn::read(text) else { return };
    // The one spelling is read as itself, and is plain text.
    assert_eq!(Dn::read(dn.as_str()).as_ref(), Some(&dn));
    assert!(dn.as_str().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let above = Dn::read(dn.above()).expect("the end of a DN is one");
    assert!(dn.is_within(&above) && dn.is_within(&dn));
    // Whatever is in it, the filter is one condition.
    let filter = dn.first_as_filter();
    let inside = filter.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).expect("brackets round it");
    assert!(!inside.contains(['(', ')', '*']));
});
