use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);
const DAY: Span = Span::hours(24);

/// Asked at `at`, by the one clock or by both.
fn asked(at: Timestamp, uptime: &str) -> Asked {
    Asked { at, uptime: Uptime::parse(uptime) }
}

fn name(name: &str) -> Principal {
    Principal::new(name).unwrap()
}

fn keys() -> Heard {
    Heard::Answer(Known::Keys(vec![PublicKey::parse(KEY.as_bytes()).unwrap()]))
}

fn keys_until(instant: Timestamp) -> Heard {
    let Heard::Answer(known) = keys() else { panic!() };
    Heard::Passing(known, instant)
}

#[test]
fn a15_an_answer_holds_until_the_account_expires_or_begins() {
    let (before, later) = (NOW.minus(Span::seconds(1)), NOW.plus(Span::seconds(1)));
    assert_eq!(keys_until(NOW).at(before), Some(keys()));
    for over in [NOW, later] {
        assert_eq!(keys_until(NOW).at(over), Some(Heard::Answer(Known::Disabled)));
        assert_eq!(Heard::Passing(Known::Disabled, NOW).at(over), None);
        assert_eq!(ABSENT.at(over), Some(ABSENT));
    }
    assert_eq!(Heard::Passing(Known::Disabled, NOW).at(before), Some(Heard::Answer(Known::Disabled)));
}

const ABSENT: Heard = Heard::Answer(Known::Absent);

#[test]
fn answers_of_every_kind_are_remembered_with_their_instant() {
    let directory = crate::scratch();
    let path = directory.path().join("lookups.db");
    let mut lookups = Lookups::open_or_make(&path, "test").unwrap();
    for (person, heard) in [
        ("alice", keys()),
        ("bob", Heard::Answer(Known::Disabled)),
        ("zoe", ABSENT),
        ("eve", Heard::Unusable(Unusable::Ambiguous)),
        ("many", Heard::Unusable(Unusable::TooManyKeys)),
        ("old", keys_until(NOW)),
        ("young", Heard::Passing(Known::Disabled, NOW)),
    ] {
        for asked in [asked(NOW, ""), asked(NOW, "b0:51000.25")] {
            lookups.remember(&name(person), &heard, asked, NOW.minus(DAY), None).unwrap();
            let again = Lookups::open_or_make(&path, "test").unwrap();
            assert_eq!(again.recall(&name(person)).unwrap(), Some((heard.clone(), asked)));
        }
    }
    assert_eq!(lookups.recall(&name("dave")).unwrap(), None);
    lookups.remember(&name("alice"), &ABSENT, asked(NOW, ""), NOW.minus(DAY), None).unwrap();
    assert_eq!(lookups.recall(&name("alice")).unwrap(), Some((ABSENT, asked(NOW, ""))));
}

#[test]
fn what_was_asked_later_stays_whatever_is_answered_last() {
    let directory = crate::scratch();
    let mut lookups = Lookups::open_or_make(&directory.path().join("lookups.db"), "test").unwrap();
    let alice = name("alice");
    let mut after = |seconds: i64, heard: &Heard| {
        let asked = asked(NOW.plus(Span::seconds(seconds)), "");
        lookups.remember(&alice, heard, asked, NOW.minus(DAY), None).unwrap();
        let (heard, asked) = lookups.recall(&alice).unwrap().unwrap();
        (heard, asked.at.since(NOW).as_seconds())
    };
    assert_eq!(after(5, &ABSENT), (ABSENT, 5));
    assert_eq!(after(3, &keys()), (ABSENT, 5), "an older word");
    assert_eq!(after(5, &keys()), (keys(), 5));
    assert_eq!(after(-200, &ABSENT), (ABSENT, -200), "the clock was ahead");
}

#[test]
fn the_clock_that_nobody_sets_tells_the_age_where_the_other_one_was_set() {
    let at = |seconds| NOW.plus(Span::seconds(seconds));
    let proven = |seconds| Proven::seen(at(seconds), None, Uptime::parse("b0:1000").unwrap(), NOW);
    let age = |asked: Asked, now, uptime: &str, proven: Option<Proven>| {
        let age = asked.age(at(now), &Uptime::parse(uptime).unwrap(), proven.as_ref());
        age.map(Span::as_seconds)
    };
    let (kept, old) = (asked(NOW, "b0:1000"), asked(NOW, ""));
    for asked in [kept, old] {
        assert_eq!(age(asked, 50, "b0:1050", None), Some(50));
        assert_eq!(age(asked, -120, "b0:1000", None), Some(if asked == kept { 0 } else { -120 }));
        assert_eq!(age(asked, -121, "b0:1000", None), None, "one of the two, and nothing says which");
        assert_eq!(age(asked, 50, "b0:1171", Some(proven(0))), None, "set back");
        assert_eq!(age(asked, 9, "b1:9", Some(proven(130))), None, "set back before this boot");
    }
    assert_eq!(age(kept, 50, "b0:90000", None), Some(89_000), "set back, and old all the same");
    assert_eq!(age(kept, 90_000, "b0:1050", None), Some(90_000));
    assert_eq!(age(kept, -5000, "b0:1050", Some(proven(-5050))), Some(50), "it was ahead then");
    assert_eq!(age(old, -5000, "b0:1050", Some(proven(-5050))), None);
    assert_eq!(age(kept, -5000, "b1:1050", Some(proven(-5050))), None);
}

#[test]
fn another_directory_sees_nothing_and_old_answers_are_forgotten() {
    let directory = crate::scratch();
    let path = directory.path().join("lookups.db");
    let mut lookups = Lookups::open_or_make(&path, "test").unwrap();
    lookups.remember(&name("alice"), &keys(), asked(NOW, ""), NOW.minus(DAY), None).unwrap();
    let mut other = Lookups::open_or_make(&path, "another").unwrap();
    assert_eq!(other.recall(&name("alice")).unwrap(), None);
    // The file is read whole for that, so once an hour is enough.
    let mut keep_bob = |at: Timestamp| {
        let kept = Duration::from_secs(NOW.unix().unsigned_abs());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + kept).unwrap();
        other.remember(&name("bob"), &keys(), asked(at, ""), NOW.plus(Span::seconds(1)), None).unwrap();
        lookups.recall(&name("alice")).unwrap().is_some()
    };
    assert!(keep_bob(NOW.plus(Span::seconds(3_599))));
    assert!(!keep_bob(NOW.plus(Span::seconds(3_600))));
    assert!(lookups.recall(&name("bob")).unwrap().is_none(), "another directory's");
}

#[test]
fn a_damaged_memory_is_made_anew() {
    let directory = crate::scratch();
    let path = directory.path().join("lookups.db");
    for damage in [&b""[..], b"not a database, and longer than sixteen bytes", &[0; 8192]] {
        let mut lookups = Lookups::open_or_make(&path, "test").unwrap();
        lookups.remember(&name("alice"), &keys(), asked(NOW, ""), NOW.minus(DAY), None).unwrap();
        fs::write(&path, damage).unwrap();
        let lookups = Lookups::open_or_make(&path, "test").unwrap();
        assert_eq!(lookups.recall(&name("alice")).unwrap(), None);
    }
    // A table more is somebody else's doing.
    Connection::open(&path).unwrap().execute("CREATE TABLE x (y)", []).unwrap();
    let mut lookups = Lookups::open_or_make(&path, "test").unwrap();
    lookups.remember(&name("alice"), &keys(), asked(NOW, ""), NOW.minus(DAY), None).unwrap();
}

#[test]
fn a_weak_key_that_an_earlier_release_remembered_is_none() {
    let directory = crate::scratch();
    let lookups = Lookups::open_or_make(&directory.path().join("lookups.db"), "test").unwrap();
    let weak = made_keys::small_order().into_iter().map(|weak| weak.line);
    let lines: Vec<String> = weak.chain([KEY.to_string()]).collect();
    let row = params![lines.join("\n")];
    let statement = "INSERT INTO answer VALUES ('test', 'alice', 0, 'keys', ?1)";
    lookups.connection.execute(statement, row).unwrap();
    assert_eq!(lookups.recall(&name("alice")).unwrap(), Some((keys(), asked(Timestamp::from_unix(0), ""))));
}

#[test]
fn what_a_later_release_kept_closes_one_person_and_leaves_the_others() {
    let directory = crate::scratch();
    let mut lookups = Lookups::open_or_make(&directory.path().join("lookups.db"), "test").unwrap();
    lookups
        .remember(&name("bob"), &Heard::Answer(Known::Disabled), asked(NOW, ""), NOW.minus(DAY), None)
        .unwrap();
    for kind in ["of-next-year", "of-next-year until 1795165200"] {
        let statement = "INSERT OR REPLACE INTO answer VALUES ('test', 'alice', ?1, ?2, 'x')";
        lookups.connection.execute(statement, params![NOW.unix(), kind]).unwrap();
        let unusable = Heard::Unusable(Unusable::OfLaterRelease);
        assert_eq!(lookups.recall(&name("alice")).unwrap(), Some((unusable, asked(NOW, ""))), "{kind}");
    }
    assert_eq!(lookups.recall(&name("bob")).unwrap(), Some((Heard::Answer(Known::Disabled), asked(NOW, ""))));
    lookups.remember(&name("alice"), &keys(), asked(NOW, ""), NOW.minus(DAY), None).unwrap();
    assert_eq!(lookups.recall(&name("alice")).unwrap(), Some((keys(), asked(NOW, ""))));
}

#[test]
fn a_row_that_makes_no_sense_is_no_answer() {
    let directory = crate::scratch();
    let path = directory.path().join("lookups.db");
    let lookups = Lookups::open_or_make(&path, "test").unwrap();
    for (kind, keys) in [
        ("keys", "command=\"id\" x"),
        ("absent", KEY),
        ("ldap-ambiguous", KEY),
        ("", ""),
        ("keys until x", KEY),
    ] {
        lookups
            .connection
            .execute("INSERT OR REPLACE INTO answer VALUES ('test', 'alice', 0, ?1, ?2)", params![kind, keys])
            .unwrap();
        assert!(matches!(lookups.recall(&name("alice")), Err(StoreError::Corrupt(..))), "{kind}");
    }
}

#[test]
fn what_takes_something_back_waits_for_the_disk_and_nothing_else_does() {
    let [one, two] = [1, 2].map(|number| PublicKey::parse(made_keys::numbered(number).as_bytes()).unwrap());
    let known = |keys: &[&PublicKey]| Known::Keys(keys.iter().map(|key| (*key).clone()).collect());
    let both = [known(&[&one, &two]), known(&[&two, &one])];
    let mut all = vec![Known::Disabled, Known::Absent, known(&[]), known(&[&one])];
    all.extend(both.clone());
    let mut heard: Vec<Heard> = all.iter().cloned().map(Heard::Answer).collect();
    heard.extend(
        [NOW, NOW.plus(DAY)]
            .iter()
            .flat_map(|end| all.iter().map(|known| Heard::new(known.clone(), Some(*end)))),
    );
    heard.extend(Unusable::ALL.map(Heard::Unusable));
    let is_both = |heard: &Heard| heard.known().is_some_and(|known| both.contains(known));
    let same = |a: &Heard, b: &Heard| match (a, b) {
        (Heard::Passing(_, a), Heard::Passing(_, b)) if a != b => false,
        (Heard::Answer(_), Heard::Passing(..)) | (Heard::Passing(..), Heard::Answer(_)) => false,
        _ => a == b || is_both(a) && is_both(b),
    };
    for new in &heard {
        assert_eq!(Keeping::of(new, None, None), Keeping::Passing, "{new:?}");
        for old in &heard {
            let wanted = if same(old, new) { Keeping::Passing } else { Keeping::Lasting };
            assert_eq!(Keeping::of(new, Some(old), None), wanted, "{old:?} {new:?}");
        }
        for copied in &all {
            let says = new
                .known()
                .is_some_and(|known| known == copied || both.contains(known) && both.contains(copied));
            let wanted = if says { Keeping::Passing } else { Keeping::Lasting };
            assert_eq!(Keeping::of(new, None, Some(copied)), wanted, "{copied:?} {new:?}");
            assert_eq!(Keeping::of(new, Some(new), Some(copied)), wanted, "{copied:?} {new:?}");
        }
    }
    assert_eq!([Keeping::Passing, Keeping::Lasting].map(Keeping::synchronous), ["OFF", "EXTRA"]);
}
