//! The instant that a sync has proven, beside a copy, and how long a host is up.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use policy::{Proven, Timestamp, Uptime};

fuzz_target!(|text: &str| {
    if let Some(uptime) = Uptime::parse(text) {
        assert_eq!(Uptime::parse(&uptime.to_string()), Some(uptime));
    }
    let Some(proven) = Proven::parse(text) else { return };
    assert_eq!(Proven::parse(&proven.to_string()).as_ref(), Some(&proven));
    let (now, up) = (Timestamp::from_unix(1_795_165_200), Duration::from_secs(86_400));
    // No clock takes back what is proven, whichever boot it was.
    for dated in [proven.instant(), now, Timestamp::MAX] {
        assert!(policy::floor(dated, Some(&proven), now, up, || Some(1)) >= proven.instant());
        assert!(proven.read_at(dated, now, || Uptime::new(Some(1), up)) <= dated);
    }
});
