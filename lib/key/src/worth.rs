//! Is a signature under a key worth anything? Under some values that have a key's form anybody can sign.
//!
//! Points are judged by their curve's own library. Of RSA what can be seen in passing is checked, after NIST SP
//! 800-89, section 5.3.3; whether the modulus has two large primes takes longer than a login has.

use ed25519_dalek::VerifyingKey;
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};

use crate::KeyProblem;

/// RSA moduli below this are refused, as by sshd's default since 9.1 is 1024; NIST SP 800-131A wants 2048.
const FEWEST_RSA_BITS: usize = 2048;

/// What OpenSSL, and with it sshd, computes with at most.
const MOST_RSA_BITS: usize = 16_384;

/// The most bits of an exponent. Key makers take 17 bits; verifiers agree up to 33 (Go, ring, the crate `rsa`), and
/// OpenSSL up to 64 where the modulus is long.
const MOST_EXPONENT_BITS: usize = 33;

/// The odd primes up to 751: no modulus of two large primes has one of them in it (SP 800-89).
const SMALL_PRIMES: [u32; 132] = small_primes();

/// The length of `key` as ssh-keygen counts, if only its owner can sign with it.
pub fn bits(key: &KeyData) -> Result<usize, KeyProblem> {
    match key {
        KeyData::Ed25519(point) => ed25519(point),
        KeyData::SkEd25519(key) => ed25519(key.public_key()),
        KeyData::Ecdsa(key) => ecdsa(key),
        KeyData::SkEcdsaSha2NistP256(key) => ecdsa(&EcdsaPublicKey::NistP256(*key.ec_point())),
        KeyData::Rsa(key) => rsa(key),
        _ => Err(KeyProblem::TypeNotAccepted),
    }
}

fn ed25519(Ed25519PublicKey(bytes): &Ed25519PublicKey) -> Result<usize, KeyProblem> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyProblem::NotOnCurve)?;
    if key.is_weak() {
        return Err(KeyProblem::SmallOrder);
    }
    // The library takes a y that was not reduced, and a sign of zero (ZIP 215); RFC 8032, section 5.1.3, does not.
    if key.to_edwards().compress().as_bytes() != bytes {
        return Err(KeyProblem::NotCanonical);
    }
    Ok(256)
}

fn ecdsa(key: &EcdsaPublicKey) -> Result<usize, KeyProblem> {
    let bytes = key.as_sec1_bytes();
    // SEC 1, section 2.3.3. sshd takes no compressed point (sshbuf-getput-crypto.c, get_ec).
    if matches!(bytes.first(), Some(2 | 3)) {
        return Err(KeyProblem::NotCanonical);
    }
    // The point at infinity is refused as well.
    let (is_point, bits) = match key {
        EcdsaPublicKey::NistP256(_) => (p256::PublicKey::from_sec1_bytes(bytes).is_ok(), 256),
        EcdsaPublicKey::NistP384(_) => (p384::PublicKey::from_sec1_bytes(bytes).is_ok(), 384),
        EcdsaPublicKey::NistP521(_) => (p521::PublicKey::from_sec1_bytes(bytes).is_ok(), 521),
    };
    if is_point { Ok(bits) } else { Err(KeyProblem::NotOnCurve) }
}

fn rsa(key: &RsaPublicKey) -> Result<usize, KeyProblem> {
    let modulus = key.n.as_positive_bytes().ok_or(KeyProblem::RsaModulus)?;
    let exponent = key.e.as_positive_bytes().ok_or(KeyProblem::RsaExponent)?;
    let bits = length(modulus);
    if !(FEWEST_RSA_BITS..=MOST_RSA_BITS).contains(&bits) {
        return Err(KeyProblem::WeakRsa);
    }
    // An exponent of 1 makes every message its own signature.
    if is_even(exponent) || exponent == [1] || length(exponent) > MOST_EXPONENT_BITS {
        return Err(KeyProblem::RsaExponent);
    }
    if is_even(modulus) || has_small_factor(modulus) {
        return Err(KeyProblem::RsaModulus);
    }
    Ok(bits)
}

/// How many bits a number has that begins with its highest byte.
fn length(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() * 8).saturating_sub(leading)
}

fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|byte| byte % 2 == 0)
}

fn has_small_factor(number: &[u8]) -> bool {
    // Three at a time: their product fits into 32 bits.
    SMALL_PRIMES.chunks(3).any(|primes| {
        let product: u32 = primes.iter().product();
        let rest = remainder(number, product);
        primes.iter().any(|prime| rest.is_multiple_of(*prime))
    })
}

/// `number`, which begins with its highest byte, modulo `divisor`.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    let (head, words) = number.as_rchunks::<4>();
    let head = head.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let words = words.iter().map(|word| u64::from(u32::from_be_bytes(*word)));
    let divisor = u64::from(divisor);
    let rest = words.fold(head % divisor, |rest, word| (rest << 32 | word) % divisor);
    u32::try_from(rest).unwrap_or_default()
}

#[allow(clippy::indexing_slicing, reason = "done by the compiler")]
const fn small_primes<const COUNT: usize>() -> [u32; COUNT] {
    let mut primes = [0; COUNT];
    let (mut found, mut candidate) = (0, 3);
    while found < COUNT {
        let mut at = 0;
        while at < found && candidate % primes[at] != 0 {
            at += 1;
        }
        if at == found {
            primes[found] = candidate;
            found += 1;
        }
        candidate += 2;
    }
    primes
}
