//! A certificate's bytes, as one for a key of each type.

#![no_main]

use key::{Certificate, KEY_TYPES, PublicKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let blob = mutate::base64(bytes);
    for kind in KEY_TYPES {
        let kind = format!("{}-cert-v01@openssh.com", kind.trim_end_matches("@openssh.com"));
        let Ok(certificate) = Certificate::parse_words(&kind, &blob) else { continue };
        // Both keys are such as are taken without a certificate, and no name ends in C where it goes on here.
        for key in [certificate.key(), certificate.authority()] {
            assert_eq!(PublicKey::parse(key.line().as_bytes()).as_ref(), Ok(key));
        }
        assert!(certificate.principals().iter().all(|name| !name.contains('\0')));
        assert!(kind.starts_with(certificate.key().kind().trim_end_matches("@openssh.com")));
    }
});
