use super::*;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

fn part_of(name: &str) -> Part {
    let object = ObjectRef::new(Digest::of(name.as_bytes()), 1000, 5000).unwrap();
    Part { content: Digest::of(b"content"), object }
}

/// A head issued at 11:00, of a sequence about then.
pub(crate) fn head() -> Head {
    let at = |time: &str| Timestamp::parse(&format!("2026-11-29T{time}Z")).unwrap();
    Head {
        fleet: "example".into(),
        sequence: 1_795_950_000_123,
        issued: at("11:00:00"),
        valid: at("17:00:00"),
        scope: Digest::of(b"scope"),
        rota_read: Some(at("10:59:58")),
        people_read: Some(at("10:59:30")),
        incidents_read: Some(at("10:59:57")),
        revoked_read: at("10:59:59"),
        rota: Some(part_of("rota")),
        people: Some(part_of("people")),
        incidents: Some(part_of("incidents")),
        revoked: part_of("revoked"),
        pack: Some(part_of("pack").object),
        pad: 3,
    }
}

#[test]
fn a_head_is_read_as_it_was_written() {
    let whole = head();
    let text = whole.write();
    assert!(
        text.starts_with("form: 1\nfleet: example\nsequence: 1795950000123\nissued: 2026-11-29T11:00:00Z\n"),
        "{text}"
    );
    assert!(text.ends_with(" 1000 5000\npad: ...\n"), "{text}");
    assert_eq!(Head::parse(text.as_bytes()), Ok(whole));
    let bare = Head { rota_read: None, rota: None, people_read: None, people: None, pack: None, ..head() };
    assert_eq!(Head::parse(bare.write().as_bytes()), Ok(bare));
    // As every head was before there were incidents, and as one is whose collector is asked for none.
    let without = Head { incidents_read: None, incidents: None, ..head() };
    assert!(!without.write().contains("incidents"), "{}", without.write());
    assert_eq!(Head::parse(without.write().as_bytes()), Ok(without));
}

#[test]
fn a_head_has_one_spelling() {
    let text = head().write();
    for (from, to) in [
        ("form: 1", "form: 01"),
        ("form: 1\n", ""),
        ("sequence: 1", "sequence: +1"),
        ("sequence: 1", "sequence: 01"),
        ("sequence: 1", "sequence: 99999999999"),
        ("1000 5000", "1000 05000"),
        ("1000 5000", "1000  5000"),
        ("1000 5000", "0 5000"),
        ("1000 5000", "1000 5000 1"),
        ("11:00:00Z", "11:00:00+00:00"),
        ("17:00:00Z", "11:00:00Z"),
        ("example", "ex ample"),
        ("example", ""),
        ("example", "\u{e9}xample"),
        ("pad: ...", "pad: ..x"),
        ("pad: ...", "pad: "),
        ("pad: ...\n", "pad: ..."),
        ("pad: ...\n", "pad: ...\npad: ...\n"),
        ("pad: ...\n", "pad: ...\nmore: 1\n"),
        ("\n", "\r\n"),
        ("rota-read: 2026-11-29T10:59:58Z\n", ""),
        ("people-read: 2026-11-29T10:59:30Z\n", ""),
        ("incidents-read: 2026-11-29T10:59:57Z\n", ""),
        ("revoked-read: 2026-11-29T10:59:59Z\n", ""),
        (
            "issued: 2026-11-29T11:00:00Z\nvalid: 2026-11-29T17:00:00Z",
            "valid: 2026-11-29T17:00:00Z\nissued: 2026-11-29T11:00:00Z",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(Head::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
    }
    assert_eq!(Head::parse(b"form: 2\nnew: 1\n"), Err(HeadError::Form("2".into())));
    assert_eq!(Head::parse(&[b'a'; LARGEST_HEAD + 1]), Err(HeadError::TooLong));
}

#[test]
fn mistaken_heads_are_refused_or_written_the_same() {
    let text = head().write();
    let bare = Head { rota_read: None, rota: None, ..head() }.write();
    mutate::each(
        &[text.as_bytes(), bare.as_bytes()],
        &["form: 1\n", ": ", "0", "pad", "\n"],
        4000,
        |bytes| {
            if let Ok(head) = Head::parse(bytes) {
                assert_eq!(head.write().as_bytes(), bytes);
            }
        },
    );
}

#[test]
fn heads_within_a_second_differ_in_length() {
    let (mut next, mut lengths) = (head(), Vec::new());
    for count in 0..32 {
        // Whatever else becomes longer or shorter.
        next.pack =
            next.pack.filter(|_| count % 3 == 0).or(Some(part_of("other").object)).filter(|_| count % 2 == 0);
        next.sequence = 10_u64.pow(10 + count % 5);
        next.pad_after(lengths.last().copied().unwrap_or(0));
        assert_eq!(Head::parse(next.write().as_bytes()).as_ref(), Ok(&next));
        lengths.push(next.write().len());
    }
    let classes: BTreeSet<usize> = lengths.iter().map(|length| length % MOST_PAD).collect();
    assert_eq!(classes.len(), 32, "{lengths:?}");
}

#[test]
fn a_sequence_only_grows_and_finds_back_to_the_time() {
    assert_eq!(Head::next_sequence(None, 1000), 1000);
    assert_eq!(Head::next_sequence(Some(900), 1000), 1000);
    assert_eq!(Head::next_sequence(Some(1000), 1000), 1001);
    assert_eq!(Head::next_sequence(Some(5000), 1000), 5001, "a clock that went back");
    assert_eq!(Head::next_sequence(Some(5001), 9000), 9000);
}
