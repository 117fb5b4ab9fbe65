//! The orders of root: who is revoked, and the switch. The same text is read as each.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::{Principal, Uptime};

fuzz_target!(|text: &[u8]| {
    let path = "/etc/authkeys/orders".as_ref();
    let uptime = Uptime::new(Some(1), std::time::Duration::from_secs(86_400));
    match host::revoked::parse(path, text) {
        Ok(revoked) => {
            let Ok(alice) = Principal::new("alice") else { return };
            // Who is taken out is out, and nobody else is.
            let without = host::revoked::with(text, &alice, None);
            let left = host::revoked::parse(path, &without).expect("what is written is read");
            assert!(!left.names(&alice, policy::Timestamp::MIN));
            assert!(revoked.iter().filter(|(person, _)| **person != alice).eq(left.iter()));
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
    match host::switch::parse(path, text, &uptime) {
        Ok(switch) => {
            for verb in ["pause", "enforce"] {
                let without = host::switch::with(text, verb, None, &uptime);
                host::switch::parse(path, &without, &uptime).expect("what is written is read");
            }
            let now = policy::Timestamp::from_unix(1_795_165_200);
            let _ = policy::mode_in_force(policy::Mode::Enforce, Some(&switch), now);
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
