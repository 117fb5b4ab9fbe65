//! What targets have in common.

use signed::{Purpose, Signer, Signers, SigningKey};

/// A list of people with a key each, made from the byte beside their name, which signs for `purpose`: as the seeds are
/// signed.
pub fn signers(people: &[(&str, u8)], purpose: Purpose) -> Signers {
    let line = |&(name, seed): &(&str, u8)| {
        let (key, _) = SigningKey::generate(&[seed; 32], "").expect("a key");
        let signer = Signer::new(name, &[purpose], key.public().clone()).expect("a signer");
        format!("{signer}\n")
    };
    Signers::parse(people.iter().map(line).collect::<String>().as_bytes()).0
}
