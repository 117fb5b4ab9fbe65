use super::*;
use fleet::{Digest, ObjectRef, Part};
use policy::Span;
use signed::SigningKey;

fn key(seed: u8) -> SigningKey {
    SigningKey::generate(&[seed; 32], "").unwrap().0
}

fn at(time: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-11-29T{time}Z")).unwrap()
}

fn head() -> Head {
    let object = ObjectRef::new(Digest::of(b"revoked"), 10, 10).unwrap();
    Head {
        fleet: "example".into(),
        sequence: u64::try_from(at("11:00:00").unix()).unwrap() * 1000 + 7,
        issued: at("11:00:00"),
        valid: at("17:00:00"),
        scope: Digest::of(b"scope"),
        rota_read: None,
        people_read: None,
        incidents_read: None,
        revoked_read: at("11:00:00"),
        rota: None,
        people: None,
        incidents: None,
        revoked: Part { content: Digest::of(b"content"), object },
        pack: None,
        pad: 1,
    }
}

fn document(head: &Head, keys: &[&SigningKey]) -> Vec<u8> {
    let text = head.write();
    let armours = keys.iter().map(|key| key.sign(Purpose::Head, text.as_bytes()).unwrap());
    [text.clone(), armours.collect()].concat().into_bytes()
}

fn line(name: &str, options: &str, key: &SigningKey) -> String {
    format!("{name} namespaces=\"head@authkeys\"{options} {}\n", key.public().line())
}

fn signers(lines: &str) -> Signers {
    let (signers, dead) = Signers::parse(lines.as_bytes());
    assert_eq!(dead, []);
    signers
}

fn opened(
    signers: &Signers,
    signatures: usize,
    document: &[u8],
    origin: Origin,
    now: Timestamp,
) -> Result<Opened, FleetError> {
    let trusted = Trusted { fleet: "example", epoch: 0, signers, signatures };
    open(&trusted, document, None, origin, now)
}

#[test]
fn a_head_counts_if_enough_of_the_listed_signed_it() {
    let (one, other) = (key(1), key(2));
    let listed = signers(&[line("alice", "", &one), line("bob", "", &other)].concat());
    let judged = |keys: &[&SigningKey], signatures| {
        let document = document(&head(), keys);
        opened(&listed, signatures, &document, Origin::Store, at("11:00:10"))
    };
    let good = judged(&[&other, &one], 2).unwrap();
    assert_eq!((good.head, good.standing), (head(), Standing::Newer));
    assert_eq!(good.signers, ["alice", "bob"]);
    assert_eq!(good.mark, Mark::of(0, &head(), head().write().as_bytes()));
    assert_eq!(judged(&[&one], 1).unwrap().signers, ["alice"]);
    for (keys, signatures) in [(&[&key(3)][..], 1), (&[&one], 2), (&[&one, &one], 2), (&[&one, &key(3)], 2)] {
        assert_eq!(judged(keys, signatures).unwrap_err().word(), "head-signature");
    }
    let both = signers(&[line("alice", "", &one), line("alice", "", &other)].concat());
    let twice = opened(&both, 2, &document(&head(), &[&one, &other]), Origin::Store, at("11:00:10"));
    assert_eq!(twice.unwrap_err().word(), "head-signature", "one person's two keys");
}

#[test]
fn what_is_no_signed_head_is_refused_by_its_form() {
    let one = key(1);
    let listed = signers(&line("alice", "", &one));
    let word =
        |document: &[u8]| opened(&listed, 1, document, Origin::Store, at("11:00:10")).unwrap_err().word();
    let good = document(&head(), &[&one]);
    for wrong in
        [&b""[..], b"<html>\n", head().write().as_bytes(), &[&good[..], b"\n"].concat(), &[b'x'; 5000]]
    {
        assert_eq!(word(wrong), "head-form");
    }
    let text = "form: 2\n";
    let next = [text.to_string(), one.sign(Purpose::Head, text.as_bytes()).unwrap()].concat();
    assert_eq!(word(next.as_bytes()), "head-form");
    let grant = [head().write(), one.sign(Purpose::Grant, head().write().as_bytes()).unwrap()].concat();
    assert_eq!(word(grant.as_bytes()), "head-signature");
    let other = Head { fleet: "other".into(), ..head() };
    assert_eq!(word(&document(&other, &[&one])), "head-fleet");
}

#[test]
fn copies_outlive_the_key_that_signed_them_and_their_validity() {
    let one = key(1);
    let document = document(&head(), &[&one]);
    let ended = signers(&line("alice", ",valid-before=\"20261129120000Z\"", &one));
    let later = at("11:00:00").plus(Span::hours(48));
    let word = |origin, now| opened(&ended, 1, &document, origin, now).map_err(|error| error.word());
    assert!(word(Origin::Store, at("11:59:59")).is_ok());
    assert_eq!(word(Origin::Store, at("12:00:00")).unwrap_err(), "head-signature");
    assert!(word(Origin::Copy, later).is_ok());
    let begins = signers(&line("alice", ",valid-after=\"20261129113000Z\"", &one));
    let early = opened(&begins, 1, &document, Origin::Copy, later);
    assert_eq!(early.unwrap_err().word(), "head-signature", "it could not sign yet when this was issued");
    let lasting = signers(&line("alice", "", &one));
    assert_eq!(opened(&lasting, 1, &document, Origin::Store, later).unwrap_err().word(), "head-expired");
}

#[test]
fn every_changed_byte_is_refused() {
    let one = key(1);
    let listed = signers(&line("alice", "", &one));
    let document = document(&head(), &[&one]);
    for at_byte in 0..document.len() {
        let mut changed = document.clone();
        changed[at_byte] ^= 1;
        let outcome = opened(&listed, 1, &changed, Origin::Store, at("11:00:10"));
        assert!(outcome.is_err(), "byte {at_byte}");
    }
}
