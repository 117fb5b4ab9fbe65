use super::*;
use policy::Span;
use std::os::unix::fs::MetadataExt;

const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
const BOB: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnFMGpZIBdoJ51sSTzbGF+TPdJsyKHXxmErQvWJy5o";
const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

fn record(id: &str, name: &str, keys: &[&str]) -> Record {
    let person = DirectoryPerson {
        principal: Principal::new(name).unwrap(),
        id: id.to_string(),
        mails: vec![format!("{name}@example.com")],
        keys: keys.iter().map(|key| PublicKey::parse(key.as_bytes()).unwrap()).collect(),
        rejected: Vec::new(),
        eligible: name == "alice",
        disabled: None,
        begins: None,
        expires: None,
    };
    Record::new(id.to_string(), format!("uid={name},dc=x"), vec![name.to_string()], Some(person))
}

/// A copy in its own directory.
struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    fn with(records: Vec<Record>) -> Self {
        let scratch = Self { directory: crate::scratch() };
        publish(&scratch.path(), "test", None, &Change::everything(records), Some(b"first"), NOW).unwrap();
        scratch
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("keys.db")
    }

    fn base(&self) -> Base {
        Base::open(&self.path(), "test").unwrap()
    }

    fn apply(&self, change: &Change) {
        publish(&self.path(), "test", Some(&self.base()), change, Some(b"next"), NOW).unwrap();
    }

    fn people(&self) -> Vec<(String, usize, bool)> {
        let copy = KeyCopy::open(&self.path(), "test", Span::hours(24), NOW).unwrap();
        let keys = |person: &Principal| copy.keys_of(person).unwrap().unwrap().len();
        let people = copy.contacts().unwrap().into_iter();
        people.map(|p| (p.principal.to_string(), keys(&p.principal), p.eligible)).collect()
    }
}

fn effect(changed: usize, removed: usize, lost: usize, before: usize, people: usize) -> Effect {
    Effect { changed, removed, lost, before, people, ..Effect::default() }
}

#[test]
fn an_end_that_is_news_and_near_is_a_loss_and_one_that_was_known_is_none() {
    let with = |begins: Option<i64>, expires: Option<i64>| {
        let mut record = record("1", "alice", &[ALICE]);
        if let Some(person) = &mut record.person {
            person.begins = begins.map(|hours| NOW.plus(Span::hours(hours)));
            person.expires = expires.map(|hours| NOW.plus(Span::hours(hours)));
            person.mails = vec![format!("{begins:?}{expires:?}@x")];
        }
        record
    };
    let lost = |before: Record, after: Record, now: Timestamp| {
        let scratch = Scratch::with(vec![before]);
        let change = scratch.base().at(now).replaced_by(vec![after.clone()]).unwrap();
        let part = scratch.base().at(now).changed_by(vec![after], &BTreeSet::new(), vec![]).unwrap();
        assert_eq!(change.effect().lost, part.effect().lost);
        change.effect().lost
    };
    let week = 7 * 24;
    let open = || with(None, None);
    for (after, expected) in [
        (with(None, Some(-1000)), 1),
        (with(None, Some(0)), 1),
        (with(None, Some(week)), 1),
        (with(None, Some(week + 1)), 0),
        (with(Some(1), None), 1),
        (with(Some(-1), None), 0),
    ] {
        assert_eq!(lost(open(), after.clone(), NOW), expected, "{after:?}");
        // Known before: what comes to pass then is no news, whatever else changed.
        let mut other = after.clone();
        other.person.as_mut().unwrap().mails.clear();
        assert_eq!(lost(after.clone(), other, NOW), 0, "{after:?}");
    }
    // An end far off that has come near since, and one that was put off.
    let later = NOW.plus(Span::hours(1000));
    assert_eq!(lost(with(None, Some(1001)), with(Some(-1), Some(1001)), later), 0);
    assert_eq!(lost(with(None, Some(1)), with(None, Some(1001)), NOW), 0);
    assert_eq!(lost(with(None, Some(1001)), with(None, Some(1)), NOW), 1);
}

/// What a change does, but for who may become root.
fn counted(change: &Change) -> Effect {
    Effect { gained: 0, deprived: 0, eligible_before: 0, ..change.effect() }
}

#[test]
fn whoever_is_there_by_another_entry_is_not_gone() {
    let scratch = Scratch::with(vec![
        record("1", "alice", &[ALICE]),
        record("2", "bob", &[ALICE]),
        record("3", "zoe", &[]),
    ]);
    let base = scratch.base();
    let after = || vec![record("11", "alice", &[ALICE]), record("12", "bob", &[]), record("13", "zoe", &[])];
    let gone = ["1", "2", "3"].map(str::to_string).into();
    for change in [base.replaced_by(after()).unwrap(), base.changed_by(after(), &gone, vec![]).unwrap()] {
        assert_eq!(counted(&change), effect(3, 0, 1, 3, 3), "bob has no key any more");
        let Effect { gained, deprived, .. } = change.effect();
        assert_eq!((gained, deprived), (0, 0));
    }
}

#[test]
fn who_may_become_root_is_counted_whole_and_in_parts() {
    let eligible = |id: &str, name: &str, eligible: bool| {
        let mut record = record(id, name, &[]);
        record.person.as_mut().unwrap().eligible = eligible;
        record
    };
    let everybody = [("1", "alice", true), ("2", "bob", true), ("3", "zoe", false)];
    let made = |team: &[(&str, &str, bool)]| -> Vec<Record> {
        team.iter().map(|(id, name, flag)| eligible(id, name, *flag)).collect()
    };
    let counts = |change: &Change| {
        let Effect { gained, deprived, eligible_before, .. } = change.effect();
        (gained, deprived, eligible_before)
    };
    let first = Change::everything(made(&everybody));
    assert_eq!(counts(&first), (2, 0, 0));
    let scratch = Scratch::with(made(&everybody));
    let base = scratch.base();
    let whole = base.replaced_by(made(&[("1", "alice", false), ("3", "zoe", true)])).unwrap();
    assert_eq!(counts(&whole), (1, 2, 2));
    let gone = ["2".to_string()].into();
    let part = base.changed_by(made(&[("1", "alice", false), ("4", "eve", true)]), &gone, vec![]).unwrap();
    assert_eq!(counts(&part), (1, 2, 2));
    let flags = base.flags().unwrap().into_iter();
    let turned = flags.map(|flag| Flag { eligible: !flag.eligible, ..flag }).collect();
    let flagged = base.changed_by(vec![], &[].into(), turned).unwrap();
    assert_eq!(counts(&flagged), (1, 2, 2));
}

fn team() -> Vec<Record> {
    vec![record("1", "alice", &[ALICE]), record("2", "bob", &[BOB]), record("3", "zoe", &[])]
}

#[test]
fn a_part_and_the_whole_come_to_the_same() {
    let after = || vec![record("1", "alice", &[ALICE, BOB]), record("3", "zoe", &[])];
    let part = Scratch::with(team());
    let removed = BTreeSet::from(["2".to_string(), "unknown".to_string()]);
    let change = part.base().changed_by(after(), &removed, vec![]).unwrap();
    assert_eq!(counted(&change), effect(1, 1, 1, 3, 2));
    part.apply(&change);
    let whole = Scratch::with(team());
    let change = whole.base().replaced_by(after()).unwrap();
    assert_eq!(counted(&change), effect(1, 1, 1, 3, 2));
    whole.apply(&change);
    let anew = Scratch::with(after());
    assert_eq!(part.people(), [("alice".to_string(), 2, true), ("zoe".to_string(), 0, false)]);
    assert_eq!(part.people(), whole.people());
    assert_eq!(part.people(), anew.people());
    for scratch in [&part, &whole, &anew] {
        let base = scratch.base();
        let dns = |flags: Vec<Flag>| flags.into_iter().map(|flag| flag.id).collect::<Vec<_>>();
        assert_eq!((base.people(), dns(base.flags().unwrap())), (2, vec!["1".to_string(), "3".to_string()]));
        assert!(base.lookup().unwrap().claimants("bob").unwrap().is_empty());
        let again = base.replaced_by(after()).unwrap();
        assert_eq!((again.size(), counted(&again)), (0, effect(0, 0, 0, 2, 2)));
    }
}

#[test]
fn a_row_that_its_readers_could_not_read_is_found() {
    for (change, is_whole) in [
        ("SELECT 1".to_string(), true),
        ("UPDATE public_key SET line = 'ssh-ed25519 AAAA' WHERE principal = 'bob'".to_string(), false),
        (format!("UPDATE public_key SET line = '{ALICE}' WHERE principal = 'bob'"), false),
        ("UPDATE public_key SET fingerprint = x'00' WHERE principal = 'bob'".to_string(), false),
        ("UPDATE person SET eligible = 2 WHERE principal = 'bob'".to_string(), false),
        ("DELETE FROM person WHERE principal = 'bob'".to_string(), false),
    ] {
        let scratch = Scratch::with(vec![record("1", "alice", &[ALICE]), record("2", "bob", &[BOB])]);
        Connection::open(scratch.path()).unwrap().execute_batch(&change).unwrap();
        assert_eq!(scratch.base().check().is_ok(), is_whole, "{change}");
    }
    // What an earlier release took for a key has the form of one: its readers know what it is worth.
    let scratch = Scratch::with(vec![record("1", "alice", &[ALICE])]);
    let connection = Connection::open(scratch.path()).unwrap();
    for weak in made_keys::weak() {
        if !PublicKey::parse(weak.line.as_bytes()).is_err_and(|problem| problem.is_weakness()) {
            continue;
        }
        let digest = key::digest_of(&weak.line).unwrap();
        connection
            .execute("UPDATE public_key SET line = ?1, fingerprint = ?2", params![weak.line, digest])
            .unwrap();
        assert!(scratch.base().check().is_ok(), "{}", weak.line);
    }
}

/// Three people of whom two are eligible, and their copy damaged by `sql`.
fn damaged(sql: &str) -> (Scratch, Base) {
    let mut everybody = team();
    everybody[1].person.as_mut().unwrap().eligible = true;
    let scratch = Scratch::with(everybody);
    Connection::open(scratch.path()).unwrap().execute_batch(sql).unwrap();
    let base = scratch.base().damaged().at(NOW);
    (scratch, base)
}

#[test]
fn a_damaged_copy_is_written_anew_and_what_is_known_of_it_counts_still() {
    for (sql, rows) in [
        ("UPDATE public_key SET line = 'ssh-ed25519 AAAA' WHERE principal = 'bob'", true),
        // Rows that are missing, and rows that nobody can read.
        ("DELETE FROM entry WHERE principal = 'bob'", true),
        ("UPDATE entry SET digest = x'00'", false),
    ] {
        let (scratch, base) = damaged(sql);
        assert_eq!((base.resume(), base.eligible_dns().unwrap().len()), (None, 0), "{sql}");
        let effect = |records: Vec<Record>| base.replaced_by(records).unwrap().effect();
        let all = Effect { people: 3, before: 3, changed: 3, eligible_before: 2, ..Effect::default() };
        let gone = Effect { people: 1, changed: 1, removed: 2, lost: 2, deprived: 1, ..all };
        assert_eq!(effect(vec![record("1", "alice", &[ALICE])]), gone, "{sql}");
        assert_eq!(effect(vec![]), Effect { people: 0, changed: 0, removed: 3, lost: 3, deprived: 2, ..all });
        // That everybody is left without a key, or others are eligible, only the rows show.
        let other = vec![record("1", "alice", &[]), record("2", "bob", &[]), record("3", "zoe", &[])];
        assert_eq!(effect(other.clone()).lost > 0, rows, "{sql}");
        let change = base.replaced_by(other).unwrap();
        publish(&scratch.path(), "test", Some(&base), &change, None, NOW).unwrap();
        assert!(scratch.base().check().is_ok(), "{sql}");
        let people = ["alice", "bob", "zoe"].map(|name| (name.to_string(), 0, name == "alice"));
        assert_eq!(scratch.people(), people, "{sql}");
    }
}

#[test]
fn a_copy_that_does_not_show_who_is_eligible_still_says_how_many_people_it_has() {
    let many: Vec<Record> = (0..400).map(|n| record(&n.to_string(), &format!("p{n}"), &[ALICE])).collect();
    let scratch = Scratch::with(many);
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'person'";
    let root: u32 = Connection::open(scratch.path()).unwrap().query_row(root, [], |row| row.get(0)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(scratch.path()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 512], u64::from(root - 1) * 4096).unwrap();
    let base = scratch.base();
    assert!(base.is_damaged() && base.check().is_err());
    let Effect { lost, before, .. } = base.replaced_by(vec![record("1", "p1", &[ALICE])]).unwrap().effect();
    assert_eq!((lost, before), (399, 400));
}

#[test]
fn the_same_content_leaves_the_file_alone() {
    let scratch = Scratch::with(team());
    let inode = || std::fs::metadata(scratch.path()).unwrap().ino();
    let (before, generation) = (inode(), scratch.base().generation);
    let mut turned = team();
    turned.reverse();
    scratch.apply(&scratch.base().replaced_by(turned).unwrap());
    scratch.apply(&scratch.base().changed_by(team(), &BTreeSet::new(), vec![]).unwrap());
    assert_eq!((inode(), scratch.base().generation), (before, generation));
    assert_eq!(scratch.base().resume(), Some(&b"next"[..]));
}

#[test]
fn two_people_may_exchange_their_names() {
    let scratch = Scratch::with(team());
    let turned = vec![record("1", "bob", &[ALICE]), record("2", "alice", &[BOB])];
    let change = scratch.base().changed_by(turned, &BTreeSet::new(), vec![]).unwrap();
    assert_eq!(counted(&change), effect(2, 0, 0, 3, 3));
    scratch.apply(&change);
    let copy = KeyCopy::open(&scratch.path(), "test", Span::hours(24), NOW).unwrap();
    let keys = copy.keys_of(&Principal::new("alice").unwrap()).unwrap().unwrap();
    assert_eq!(keys.iter().map(PublicKey::line).collect::<Vec<_>>(), [BOB]);
}

#[test]
fn eligibility_changes_alone() {
    let scratch = Scratch::with(team());
    let mut flags = scratch.base().flags().unwrap();
    assert_eq!(flags[0].dn, "uid=alice,dc=x");
    flags.retain(|flag| flag.principal.as_str() == "bob");
    flags[0].eligible = true;
    let change = scratch.base().changed_by(vec![], &BTreeSet::new(), flags).unwrap();
    assert_eq!(counted(&change), effect(1, 0, 0, 3, 3));
    scratch.apply(&change);
    assert_eq!(scratch.people()[1], ("bob".to_string(), 1, true));
    // A full refresh that says the same finds nothing to do.
    let mut same = team();
    same[1].person.as_mut().unwrap().eligible = true;
    assert_eq!(scratch.base().replaced_by(same).unwrap().size(), 0);
}

#[test]
fn who_loses_every_key_is_lost_and_who_never_had_one_is_not() {
    let scratch = Scratch::with(team());
    let without = vec![record("1", "alice", &[]), record("3", "zoe2", &[])];
    let change = scratch.base().changed_by(without, &BTreeSet::new(), vec![]).unwrap();
    assert_eq!(counted(&change), effect(2, 0, 1, 3, 3));
    let mut disabled = record("2", "bob", &[BOB]);
    disabled.person.as_mut().unwrap().disabled = Some("nsAccountLock".to_string());
    let change = scratch.base().changed_by(vec![disabled], &BTreeSet::new(), vec![]).unwrap();
    assert_eq!(counted(&change), effect(1, 0, 1, 3, 3));
}

#[test]
fn nobody_stands_in_the_copy_with_what_they_claim() {
    let mut twice = [record("1", "alice", &[ALICE]), record("2", "alice", &[BOB])];
    twice.iter_mut().for_each(|record| record.person = None);
    let scratch = Scratch::with([twice.to_vec(), vec![record("3", "zoe", &[])]].concat());
    assert_eq!(scratch.people().len(), 1);
    let base = scratch.base();
    assert_eq!(base.lookup().unwrap().claimants("alice").unwrap(), ["1", "2"]);
    assert_eq!(base.lookup().unwrap().names_of("2").unwrap(), ["alice"]);
    let change = base.replaced_by(vec![record("2", "alice", &[BOB]), record("3", "zoe", &[])]).unwrap();
    assert_eq!(counted(&change), effect(1, 0, 0, 1, 2));
    scratch.apply(&change);
    assert_eq!(scratch.people()[0], ("alice".to_string(), 1, true));
}

#[test]
fn a_note_counts_only_for_the_content_it_was_left_for() {
    let scratch = Scratch::with(team());
    assert_eq!(scratch.base().resume(), Some(&b"first"[..]));
    let stamp = stamp_path(&scratch.path());
    let old = std::fs::read(&stamp).unwrap();
    scratch.apply(&scratch.base().changed_by(vec![], &BTreeSet::from(["1".to_string()]), vec![]).unwrap());
    assert_eq!(scratch.base().resume(), Some(&b"next"[..]));
    std::fs::write(&stamp, old).unwrap();
    assert_eq!(scratch.base().resume(), None);
    std::fs::write(&stamp, "nonsense").unwrap();
    assert_eq!(scratch.base().resume(), None);
    assert!(scratch.base().check().is_ok(), "a stamp that is lost costs a full refresh and nothing else");
    assert!(matches!(Base::open(&scratch.path(), "other"), Err(StoreError::OtherDirectory(_))));
}

#[test]
fn a_copy_that_is_not_the_one_compared_with_is_not_changed() {
    let scratch = Scratch::with(team());
    let (base, before) = (scratch.base(), scratch.people());
    scratch.apply(&base.changed_by(vec![record("2", "bob", &[])], &BTreeSet::new(), vec![]).unwrap());
    let late = base.changed_by(vec![record("1", "alice", &[])], &BTreeSet::new(), vec![]).unwrap();
    let refused = publish(&scratch.path(), "test", Some(&base), &late, None, NOW);
    assert!(matches!(refused, Err(StoreError::Publish(_))));
    assert_ne!(scratch.people(), before);
    assert_eq!(scratch.people()[0], ("alice".to_string(), 1, true));
}

#[test]
fn many_changes_write_the_file_anew() {
    let many = |key: &str| (0..200).map(|n| record(&n.to_string(), &format!("p{n}"), &[key])).collect();
    let scratch = Scratch::with(many(ALICE));
    scratch.apply(&scratch.base().replaced_by(many(BOB)).unwrap());
    assert_eq!(scratch.people().len(), 200);
    assert_eq!(scratch.base().replaced_by(many(BOB)).unwrap().size(), 0);
}
