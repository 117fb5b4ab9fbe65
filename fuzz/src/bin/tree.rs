//! A page, a bucket or a pack of the people whom a fleet's collector publishes.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use fleet::people::{Bucket, MOST_IN_BUCKET, Page, Place, build};
use fleet::{Digest, ObjectRef, pack, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(page) = Page::parse(bytes, Place::ROOT) {
        let places: Vec<Place> = page.entries().iter().map(|entry| entry.place).collect();
        assert!(places.len() <= 64 && places.is_sorted_by(|one, next| one < next && !one.contains(*next)));
    }
    if let Ok(bucket) = Bucket::parse(bytes, Place::ROOT) {
        is_sound(bucket);
    }
    if let Ok(objects) = unpack(bytes) {
        assert_eq!(pack(objects).as_deref(), Some(bytes));
    }
});

/// Nobody twice, and published again it says the same.
fn is_sound(bucket: Bucket) {
    let names: BTreeSet<_> = bucket.people().iter().map(|person| person.principal.clone()).collect();
    assert!(names.len() == bucket.people().len() && (1..=MOST_IN_BUCKET).contains(&names.len()));
    let mut written = Vec::new();
    let put = |bytes: &[u8]| {
        written.push(bytes.to_vec());
        let length = u32::try_from(bytes.len()).map_err(drop)?;
        ObjectRef::new(Digest::of(bytes), length, length).ok_or(())
    };
    let tree = build(bucket.people().to_vec(), &BTreeMap::new(), put).expect("they were published");
    assert!(tree.cut.is_empty());
    let again = Bucket::parse(&written[0], Place::ROOT).expect("it was written just now");
    assert_eq!(again, bucket);
}
