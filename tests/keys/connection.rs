//! What may be wrong on the way to a directory: TLS, silence, bytes that are no LDAP.

use std::collections::BTreeSet;
use std::time::Instant;

use harness::hostile::{Certificate, Hostile, Play, ber};
use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::text;

use super::{MEMORY, Site, key_of, resident, stdout, timed};

#[test]
fn a12_without_tls_nothing_is_asked() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let refused = ber::start_tls_refused();
    for answer in
        [refused.clone(), refused[..9].to_vec(), Vec::new(), b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]
    {
        site.face(Hostile::LDAP_URL, Play::Plain(answer));
        site.cannot_tell("alice", "ldap-unavailable");
        let plain = site.hostile.plain();
        assert_eq!(plain.len(), 31, "StartTLS and nothing else: {plain:?}");
        // ldaps to a server without TLS.
        site.face(Hostile::LDAPS_URL, Play::Plain(b"not TLS".to_vec()));
        site.cannot_tell("alice", "ldap-unavailable");
        let plain = site.hostile.plain();
        let password = Slapd::BIND_PASSWORD.as_bytes();
        assert!(!plain.windows(password.len()).any(|bytes| bytes == password));
    }
}

#[test]
fn a13_a_certificate_that_is_not_right_ends_the_conversation() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.record();
    for kind in
        [Certificate::Expired, Certificate::Early, Certificate::OtherName, Certificate::OtherAuthority]
    {
        site.face(Hostile::LDAPS_URL, Play::Proxy);
        site.hostile.show(kind);
        let _ = site.hostile.counted();
        site.cannot_tell("alice", "ldap-unavailable");
        assert_eq!(site.hostile.counted(), (1, 0), "{kind:?}: no bind, no search");
    }
    site.face(Hostile::LDAPS_URL, Play::Proxy);
    site.hostile.show(Certificate::Good);
    site.serves_alice();
}

#[test]
fn a14_silence_and_a_byte_a_second_end_at_the_deadline() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync_keys();
    let copy =
        ["keys.db", "keys.stamp"].map(|name| suite.host.read_bytes(&format!("/var/lib/authkeys/{name}")));
    site.record();
    for play in [Play::Silence, Play::Drip, Play::Stall(0), Play::Endless(vec![0x30, 0x84])] {
        site.face(Hostile::LDAPS_URL, play.clone());
        // Nothing to fall back on.
        site.without_copy();
        site.cannot_tell("alice", "ldap-unavailable");
        // A fresh copy is not even asked for; an older one is served.
        for (name, bytes) in ["keys.db", "keys.stamp"].iter().zip(&copy) {
            suite.host.write(&format!("/var/lib/authkeys/{name}"), bytes, 0o640);
            suite.host.must(&format!("chown authkeys-sync:authkeys /var/lib/authkeys/{name}"));
        }
        let _ = site.hostile.counted();
        site.serves_alice();
        assert_eq!(site.hostile.counted().0, 0, "a fresh copy needs no question");
        site.forget_outages();
        site.age_copy(400);
        let line = timed(800, || site.serves_alice());
        assert!(line.contains("reason=keys-stale"), "{play:?}: {line}");
        let _ = site.hostile.counted();
        let line = site.serves_alice();
        assert!(line.contains("reason=keys-stale"), "{play:?}: {line}");
        assert_eq!(site.hostile.counted().0, 0, "{play:?}: no second question");
    }
}

#[test]
fn an_outage_is_everybodys_also_on_a_host_that_starts_programs_slowly() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync_keys();
    site.age_copy(400);
    // An eighth of the time is between the child's end of it and ours.
    site.configure(&[Hostile::LDAPS_URL], "timeout = '10s'");
    site.hostile.play(Play::Silence);
    suite.host.must(
        "mv /usr/bin/authkeys-sync /usr/bin/authkeys-sync.real
         printf '#!/bin/sh\nsleep 0.25\nexec /usr/bin/authkeys-sync.real \"$@\"\n' >/usr/bin/authkeys-sync
         chmod 755 /usr/bin/authkeys-sync",
    );
    let line = timed(8_500, || site.serves_alice());
    assert!(line.contains("setting\\x20up\\x20TLS"), "the child has said so itself: {line}");
    assert_eq!(suite.host.must(&format!("ls {MEMORY} | grep down")), "down\n");
    site.knows_none_for("nobody.here");
    assert_eq!(site.hostile.counted().0, 1);
}

/// Runs `authkeys alice` so many times, and so many at once, by somebody who leaves no marks; each line of what
/// is printed is one run's exit status, milliseconds and output.
fn storm(suite: &Suite, runs: usize, at_once: usize) -> Vec<(i32, u64, String)> {
    let script = format!(
        "seq {runs} | xargs -P {at_once} -I@ sh -c 'start=$(date +%s%N); out=$(timeout 300 authkeys alice 2>/dev/null); code=$?; \
         echo $code $((($(date +%s%N) - start) / 1000000)) $out'"
    );
    let said = suite.must_as("root", &script);
    let runs_said: Vec<_> = said
        .lines()
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let code = words.next().and_then(|word| word.parse().ok()).expect("a status");
            let took = words.next().and_then(|word| word.parse().ok()).expect("a time");
            (code, took, words.next().unwrap_or_default().to_string())
        })
        .collect();
    assert_eq!(runs_said.len(), runs, "{said}");
    runs_said
}

impl Site<'_> {
    /// A run of `authkeys alice` for each of `length` offsets, at which the server leaves it by `play`: it knows
    /// nothing, prints nothing and ends in time. At the last `slack` offsets the answer may be there already.
    fn left_at_every_offset(&self, length: usize, slack: usize, play: fn(usize) -> Play) {
        let whole = format!("{} alice", key_of(self.suite, "alice"));
        let mut left: BTreeSet<usize> = (0..length).collect();
        let _ = self.hostile.stalled_at();
        // A busy machine may end a run before it meets its offset: that one has another turn, with fewer others and more time.
        for (at_once, seconds) in [(100, 1), (50, 1), (20, 2), (10, 3), (5, 6), (2, 10), (1, 10)] {
            self.configure(&[Hostile::LDAPS_URL], &format!("timeout = '{seconds}s'"));
            let start = Instant::now();
            self.hostile.queue(left.iter().copied().map(play).collect(), Play::Silence);
            let runs = storm(self.suite, left.len(), at_once);
            let slowest = runs.iter().map(|(_, took, _)| *took).max().unwrap_or_default();
            println!("{} of {length} offsets in {:?}, the slowest {slowest} ms", left.len(), start.elapsed());
            let (known, unknown): (Vec<_>, Vec<_>) = runs.into_iter().partition(|(code, _, _)| *code == 0);
            assert!(known.len() <= slack && known.iter().all(|(_, _, said)| *said == whole), "{known:?}");
            assert!(unknown.iter().all(|(code, _, said)| (*code, said.as_str()) == (2, "")), "{unknown:?}");
            let met = self.hostile.stalled_at();
            left.retain(|offset| !met.contains(offset));
            if left.iter().all(|offset| offset + slack >= length) {
                return;
            }
        }
        panic!("no run met these offsets: {left:?}");
    }
}

#[test]
fn a14_a_server_that_stalls_or_leaves_at_any_byte_of_its_answer_is_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let length = site.record();
    site.left_at_every_offset(length, 0, Play::Stall);
    site.left_at_every_offset(length, 0, Play::Close);
    // And the whole answer is one.
    site.configure(&[Hostile::LDAPS_URL], "");
    site.hostile.queue(vec![Play::Stall(length)], Play::Silence);
    assert_eq!(storm(&suite, 1, 1)[0].0, 0);
}

#[test]
fn a14_a_server_that_stalls_at_any_byte_on_the_wire_is_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.record();
    site.hostile.queue(vec![Play::StallOnWire(usize::MAX)], Play::Silence);
    assert_eq!(storm(&suite, 1, 1)[0].0, 0);
    // From the first byte of the handshake, in which signatures differ in length by a few bytes.
    site.left_at_every_offset(site.hostile.said_on_wire(), 8, Play::StallOnWire);
}

#[test]
fn a14_what_is_no_ldap_is_a_directory_that_is_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for (bytes, what) in [
        (b"\x30\x00".to_vec(), "an empty message"),
        (b"\x30\x03\x02\x01\x02".to_vec(), "one element alone"),
        (
            b"\x30\x10\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00\xa0\x02\x30\x00".to_vec(),
            "a bad control",
        ),
        (b"\x30\x05\x02\x01\x02\x7f\x00".to_vec(), "an unknown operation"),
        (b"\x30\x06\x02\x01\x02\x64\x7f\x00".to_vec(), "an inner length beyond the outer"),
        (b"\x30\x88\x00\x00\x00\x80\x00\x00\x00\x00".to_vec(), "a length of 2^39"),
        (b"\x30\x80".to_vec(), "an indefinite length"),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), "another protocol"),
        (vec![0xff; 4096], "noise"),
        (ber::nested(20_000), "nesting"),
        (ber::nested(60_000), "nesting that no stack holds"),
    ] {
        site.face(Hostile::LDAPS_URL, Play::Raw(bytes));
        let line = site.cannot_tell("alice", "ldap-unavailable");
        println!("{what}: {line}");
    }
    // Endless: memory stays bounded.
    site.face(Hostile::LDAPS_URL, Play::Endless([&b"\x30\x85\x80\0\0\0\0"[..], &[0x04; 65_536]].concat()));
    let output = suite.run_as("authkeys", "/usr/bin/time -f %M -o /tmp/rss authkeys alice");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", text(&output));
    assert!(resident(&suite) < 64 * 1024, "{} KiB", resident(&suite));
}
