//! A document with its signatures, under the keys of seeds/signers: it is the one that these keys signed, or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::Timestamp;
use signed::{Purpose, Signers, split, text, verify_document};

const TEXT: &[u8] = b"form: 1\nfleet: example\n";

fuzz_target!(|document: &[u8]| {
    if let Ok((text, armours)) = split(document) {
        // Each byte belongs to the text or to an armour.
        assert_eq!([text, &armours.concat()].concat(), document);
    }
    let (signers, _) = Signers::parse(include_bytes!("../../seeds/signers/all"));
    let at = Timestamp::from_unix(1_795_000_000);
    for purpose in Purpose::ALL {
        if let Ok((text, names)) = verify_document(&signers, purpose, document, at, 1) {
            assert_eq!(text, TEXT);
            assert!(!names.is_empty());
        }
    }
    if let Ok(mut reader) = text::Reader::new(document) {
        let first = reader.take_opt("form");
        assert_eq!(first.is_some(), document.starts_with(b"form: "));
    }
});
