//! Signatures made by hand, right but for one thing.

use std::format;

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::Identity;
use ed25519_dalek::{Signer as _, SigningKey as Scalar, Verifier as _};
use ssh_key::HashAlg;
use ssh_key::public::SkEd25519;

use super::*;
use crate::SigningKey;

const TEXT: &[u8] = b"form: 1\nfleet: example\n";

fn now() -> Timestamp {
    Timestamp::parse("2026-11-20T09:00:00Z").unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A signature by an Ed25519 key, in a security key if it has flags.
#[derive(Clone)]
struct Made<'a> {
    key: Scalar,
    flags: Option<u8>,
    namespace: &'a str,
    hash: HashAlg,
    text: &'a [u8],
}

impl Made<'_> {
    fn new() -> Self {
        let key = Scalar::from_bytes(&[7; 32]);
        Self { key, flags: None, namespace: "head@authkeys", hash: HashAlg::Sha512, text: TEXT }
    }

    fn public(&self) -> ssh_key::PublicKey {
        let point = Ed25519PublicKey(self.key.verifying_key().to_bytes());
        ssh_key::PublicKey::from(match self.flags {
            None => KeyData::Ed25519(point),
            Some(_) => KeyData::SkEd25519(SkEd25519::new(point, "ssh:")),
        })
    }

    /// Listed as alice's, with more options before its namespaces.
    fn listed(&self, options: &str) -> Signers {
        let key = self.public().to_openssh().unwrap();
        let (signers, dead) =
            Signers::parse(format!("alice {options}namespaces=\"head@authkeys\" {key}\n").as_bytes());
        assert_eq!(dead, []);
        signers
    }

    fn armour(&self) -> String {
        self.armour_of(|signed| self.key.sign(signed).to_bytes().to_vec())
    }

    fn armour_of(&self, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let signed = SshSig::signed_data(self.namespace, self.hash, self.text).unwrap();
        let kind = self.public().algorithm();
        let mut signature = string(kind.as_str().as_bytes());
        match self.flags {
            None => signature.extend(string(&sign(&signed))),
            Some(flags) => {
                let trailer = [flags, 0, 0, 0, 9];
                let (application, digest) = (Sha256::digest("ssh:"), Sha256::digest(signed));
                signature.extend(string(&sign(&[&application[..], &trailer, &digest].concat())));
                signature.extend(trailer);
            }
        }
        let key = self.public().to_bytes().unwrap();
        let strings = [&key, self.namespace.as_bytes(), b"", self.hash.as_str().as_bytes(), &signature];
        armour::write(&[&b"SSHSIG\0\0\0\x01"[..], &strings.map(string).concat()].concat())
    }

    fn verified_by(&self, signers: &Signers) -> Result<String, SignatureError> {
        verify(signers, Purpose::Head, TEXT, self.armour().as_bytes(), now())
            .map(|signer| signer.name.clone())
    }
}

#[test]
fn a_signature_counts_for_its_text_key_and_purpose_alone() {
    let made = Made::new();
    let alice = made.listed("");
    assert_eq!(made.verified_by(&alice), Ok("alice".into()));
    assert_eq!(Made { hash: HashAlg::Sha256, ..made.clone() }.verified_by(&alice), Ok("alice".into()));

    let wrong = Err(SignatureError::Wrong("alice".into()));
    assert_eq!(Made { text: b"form: 1\nfleet: other\n", ..made.clone() }.verified_by(&alice), wrong);
    for namespace in ["grant@authkeys", "head@authkeys ", "HEAD@authkeys", "file"] {
        let problem = SignatureError::Namespace(namespace.into());
        assert_eq!(Made { namespace, ..made.clone() }.verified_by(&alice), Err(problem));
    }
    let other = Made { key: Scalar::from_bytes(&[8; 32]), ..made.clone() };
    let fingerprint = other.public().fingerprint(HashAlg::Sha256);
    assert_eq!(other.verified_by(&alice), Err(SignatureError::UnknownKey(format!("{fingerprint}"))));

    let grant = Made { namespace: "grant@authkeys", ..made };
    let problem = verify(&alice, Purpose::Grant, TEXT, grant.armour().as_bytes(), now()).unwrap_err();
    assert_eq!(problem, SignatureError::Purpose("alice".into()));
}

#[test]
fn a_key_signs_within_its_period() {
    let made = Made::new();
    let late = made.listed("valid-after=\"202611200900Z\",valid-before=\"20261120090001Z\",");
    assert_eq!(made.verified_by(&late), Ok("alice".into()));
    let next = Timestamp::parse("2026-11-20T09:00:01Z").unwrap();
    assert_eq!(
        made.verified_by(&made.listed("valid-after=\"20261120090001Z\",")),
        Err(SignatureError::NotYet("alice".into(), next))
    );
    let ended = made.listed("valid-before=\"202611200900Z\",");
    assert_eq!(made.verified_by(&ended), Err(SignatureError::Ended("alice".into(), now())));
}

#[test]
fn a_security_key_was_touched_and_verified_whom_where_that_is_asked() {
    let touched = |flags| Made { flags: Some(flags), ..Made::new() };
    let (any, verified) = (touched(0).listed(""), touched(0).listed("verify-required,"));
    for (flags, by_any, by_verified) in
        [(0x00, false, false), (0x01, true, false), (0x04, false, false), (0x05, true, true)]
    {
        assert_eq!(touched(flags).verified_by(&any).is_ok(), by_any, "{flags}");
        assert_eq!(touched(flags).verified_by(&verified).is_ok(), by_verified, "{flags}");
    }
    assert_eq!(touched(0x04).verified_by(&any), Err(SignatureError::NotTouched("alice".into())));
    assert_eq!(touched(0x01).verified_by(&verified), Err(SignatureError::NotVerified("alice".into())));
    // The flags are signed.
    let armour = touched(0x00).armour();
    let mut blob = armour::read(armour.as_bytes()).unwrap();
    let flags = blob.len() - 5;
    blob[flags] = 0x05;
    let problem = verify(&any, Purpose::Head, TEXT, armour::write(&blob).as_bytes(), now()).unwrap_err();
    assert_eq!(problem, SignatureError::Wrong("alice".into()));
}

#[test]
fn the_key_in_a_signature_is_named_if_it_made_it_and_signs_here() {
    let key_of =
        |made: &Made| signing_key(Purpose::Head, TEXT, made.armour().as_bytes()).map(|key| key.line());
    for flags in [None, Some(0x01), Some(0x05)] {
        let made = Made { flags, ..Made::new() };
        assert_eq!(key_of(&made), Ok(made.public().to_openssh().unwrap()));
    }
    let (made, sk) = (Made::new(), Made { flags: Some(0x04), ..Made::new() });
    let name = |made: &Made| format!("{}", made.public().fingerprint(HashAlg::Sha256));
    assert_eq!(key_of(&sk), Err(SignatureError::NotTouched(name(&sk))));
    let other = Made { text: b"form: 1\nfleet: other\n", ..made.clone() };
    assert_eq!(key_of(&other), Err(SignatureError::Wrong(name(&other))));
    let namespace = "grant@authkeys";
    let problem = Err(SignatureError::Namespace(namespace.into()));
    assert_eq!(key_of(&Made { namespace, ..made.clone() }), problem);
    // A key that no signers file can list says why.
    for weak in made_keys::weak() {
        let key = mutate::from_base64(weak.line.split(' ').nth(1).unwrap());
        let problem = signing_key(Purpose::Head, TEXT, with_key(&made, &key).as_bytes()).unwrap_err();
        assert!(matches!(problem, SignatureError::Unfit(_, LineProblem::Key(_))), "{problem} {}", weak.line);
    }
    let rsa = mutate::keys().into_iter().find(|key| key.starts_with("ssh-rsa ")).unwrap();
    let rsa = mutate::from_base64(rsa.split(' ').nth(1).unwrap());
    let problem = signing_key(Purpose::Head, TEXT, with_key(&made, &rsa).as_bytes()).unwrap_err();
    assert!(matches!(problem, SignatureError::Unfit(_, LineProblem::Rsa)), "{problem}");
}

/// The armour of `made` with another key in it.
fn with_key(made: &Made, key: &[u8]) -> String {
    let plain = made.public().to_bytes().unwrap();
    let blob = armour::read(made.armour().as_bytes()).unwrap();
    let at = blob.windows(plain.len()).position(|bytes| bytes == plain).unwrap();
    armour::write(&[&blob[..at - 4], &string(key), &blob[at + plain.len()..]].concat())
}

#[test]
fn a_nonce_of_small_order_signs_nothing() {
    // R is the neutral element and s = k * a: the rule of RFC 8032 takes it, the strict one does not.
    let made = Made::new();
    let public = made.key.verifying_key();
    let sign = |signed: &[u8]| {
        let nonce = CompressedEdwardsY::identity();
        let hash = sha2::Sha512::new().chain_update(nonce.as_bytes()).chain_update(public.as_bytes());
        let challenge =
            curve25519_dalek::Scalar::from_bytes_mod_order_wide(&hash.chain_update(signed).finalize().into());
        let signature = [nonce.to_bytes(), (challenge * made.key.to_scalar()).to_bytes()].concat();
        assert!(public.verify(signed, &ed25519_dalek::Signature::from_slice(&signature).unwrap()).is_ok());
        signature
    };
    let problem =
        verify(&made.listed(""), Purpose::Head, TEXT, made.armour_of(sign).as_bytes(), now()).unwrap_err();
    assert_eq!(problem, SignatureError::Wrong("alice".into()));
}

#[test]
fn a_certificate_signs_nothing() {
    let line = mutate::keys().into_iter().find(|key| key.contains("-cert-v01@")).unwrap();
    let certificate = mutate::from_base64(line.split(' ').nth(1).unwrap());
    let made = Made::new();
    let armour = with_key(&made, &certificate);
    let problem = verify(&made.listed(""), Purpose::Head, TEXT, armour.as_bytes(), now()).unwrap_err();
    assert_eq!(problem, SignatureError::Certificate);
    let problem = signing_key(Purpose::Head, TEXT, armour.as_bytes()).unwrap_err();
    assert_eq!(problem, SignatureError::Certificate);
}

#[test]
fn a_quorum_counts_people_and_passes_over_keys_that_do_not_count() {
    let keys: Vec<SigningKey> =
        (1..=4).map(|seed| SigningKey::generate(&[seed; 32], "").unwrap().0).collect();
    let names = ["alice", "alice", "bob"];
    let lines: String = (names.iter().zip(&keys))
        .map(|(name, key)| {
            format!("{}\n", Signer::new(name, &[Purpose::Head], key.public().clone()).unwrap())
        })
        .collect();
    let (signers, dead) = Signers::parse(lines.as_bytes());
    assert_eq!(dead, []);
    let judge = |who: &[usize], wanted: usize| {
        let armours: String = who.iter().map(|at| keys[*at].sign(Purpose::Head, TEXT).unwrap()).collect();
        let document = [TEXT, armours.as_bytes()].concat();
        verify_document(&signers, Purpose::Head, &document, now(), wanted).map(|(text, names)| {
            assert_eq!(text, TEXT);
            names
        })
    };
    assert_eq!(judge(&[0], 1), Ok(Vec::from(["alice".into()])));
    assert_eq!(judge(&[0], 0), judge(&[0], 1));
    let too_few = |signers| Err(SignatureError::TooFew { signers, wanted: 2 });
    assert_eq!(judge(&[0], 2), too_few(1));
    assert_eq!(judge(&[0, 1], 2), too_few(1));
    assert_eq!(judge(&[0, 0], 2), too_few(1));
    assert_eq!(judge(&[2, 0], 2), Ok(Vec::from(["alice".into(), "bob".into()])));
    let unknown = SignatureError::UnknownKey(keys[3].public().fingerprint());
    assert_eq!(judge(&[3, 0], 1), Ok(Vec::from(["alice".into()])));
    assert_eq!(judge(&[3, 0], 2), Err(unknown.clone()));
    assert_eq!(judge(&[3], 1), Err(unknown));
}

#[test]
fn a_signature_is_right_or_refused_whatever_is_changed() {
    let made = Made { flags: Some(1), ..Made::new() };
    let signers = made.listed("");
    let armour = made.armour();
    let document = [TEXT, armour.as_bytes()].concat();
    for at in 0..document.len() {
        for change in [0x01, 0x20, 0x80] {
            let mut other = document.clone();
            other[at] ^= change;
            assert!(verify_document(&signers, Purpose::Head, &other, now(), 1).is_err(), "{at}");
        }
    }
    let words = ["-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n", "\n", "form: 1\n", "="];
    mutate::each(&[&document], &words, 3_000, |other| {
        if let Ok((text, _)) = verify_document(&signers, Purpose::Head, other, now(), 1) {
            assert_eq!(text, TEXT);
        }
    });
}
