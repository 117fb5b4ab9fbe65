//! The published groups, which every process reads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::{PublishedGroups, Timestamp};

fuzz_target!(|text: &str| {
    for group in PublishedGroups::parse(text).iter().flat_map(|groups| groups.iter()) {
        assert!(policy::GroupName::new(group.name).is_ok());
        let members = group.members_at(Timestamp::from_unix(1_795_165_200));
        assert!(members.into_iter().flatten().all(|member| policy::is_account(member)));
    }
});
