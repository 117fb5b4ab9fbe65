use super::*;
use crate::lookups::Known;
use policy::{Proven, Span};
use rusqlite::{Connection, params};
use sha2::Digest as _;
use std::os::unix::fs::MetadataExt;

const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
const BOB: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnFMGpZIBdoJ51sSTzbGF+TPdJsyKHXxmErQvWJy5o";
const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

fn person(name: &str, keys: &[&str]) -> DirectoryPerson {
    DirectoryPerson {
        principal: Principal::new(name).unwrap(),
        id: name.to_string(),
        mails: vec![format!("{name}@example.com")],
        keys: keys.iter().map(|key| PublicKey::parse(key.as_bytes()).unwrap()).collect(),
        rejected: Vec::new(),
        eligible: name == "alice",
        disabled: None,
        begins: None,
        expires: None,
    }
}

fn records(people: &[DirectoryPerson]) -> Vec<Record> {
    let record = |person: &DirectoryPerson| {
        let names = vec![person.principal.to_string()];
        Record::new(person.id.clone(), String::new(), names, Some(person.clone()))
    };
    people.iter().map(record).collect()
}

fn publish(path: &Path, people: &[DirectoryPerson], now: Timestamp) -> Result<Effect, StoreError> {
    let base = Base::open(path, "test").ok();
    let change = match &base {
        Some(base) => base.replaced_by(records(people))?,
        None => Change::everything(records(people)),
    };
    super::publish(path, "test", base.as_ref(), &change, None, now)?;
    Ok(change.effect())
}

fn open(path: &Path, now: Timestamp) -> Result<KeyCopy, StoreError> {
    KeyCopy::open(path, "test", Span::hours(24), now)
}

#[test]
fn what_was_published_is_read_back() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let people = [person("alice", &[ALICE, BOB]), person("bob", &[BOB]), person("zoe", &[])];
    let published = publish(&path, &people, NOW).unwrap();
    assert_eq!(published, Effect { changed: 3, people: 3, gained: 1, ..Effect::default() });
    let copy = open(&path, NOW).unwrap();
    assert_eq!(
        copy.contacts().unwrap().iter().map(|p| p.principal.as_str()).collect::<Vec<_>>(),
        ["alice", "bob", "zoe"]
    );
    let keys = |name| copy.keys_of(&Principal::new(name).unwrap()).unwrap().map(|keys| keys.len());
    assert_eq!([keys("alice"), keys("zoe"), keys("nobody")], [Some(2), Some(0), None]);
    let key = PublicKey::parse(ALICE.as_bytes()).unwrap();
    assert_eq!(copy.owner_of(&key).unwrap(), KeyOwner::One(Principal::new("alice").unwrap()));
    assert_eq!(copy.key(&key.sha256()).unwrap(), Some(key));
    assert_eq!(copy.key(&[0; 32]).unwrap(), None);
}

#[test]
fn of_several_owners_the_one_who_is_eligible_has_the_key() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let owner = |people: &[(&str, bool, Option<&str>)]| {
        let people: Vec<DirectoryPerson> = people
            .iter()
            .map(|&(name, eligible, disabled)| DirectoryPerson {
                eligible,
                disabled: disabled.map(str::to_string),
                ..person(name, &[ALICE])
            })
            .collect();
        publish(&path, &people, NOW).unwrap();
        open(&path, NOW).unwrap().owner_of(&PublicKey::parse(ALICE.as_bytes()).unwrap()).unwrap()
    };
    let name = |name: &str| Principal::new(name).unwrap();
    let mallory = ("mallory", false, None);
    assert_eq!(owner(&[mallory]), KeyOwner::One(name("mallory")));
    assert_eq!(owner(&[("zoe", true, None), mallory]), KeyOwner::One(name("zoe")));
    let crowd: Vec<String> = (0..50).map(|number| format!("a{number}")).collect();
    let mut many: Vec<_> = crowd.iter().map(|name| (name.as_str(), false, None)).collect();
    many.push(("zoe", true, None));
    assert_eq!(owner(&many), KeyOwner::One(name("zoe")), "whatever the number of the others");
    let both = KeyOwner::Several(vec![name("alice"), name("zoe")]);
    assert_eq!(owner(&[("alice", true, None), ("zoe", true, None)]), both);
    assert_eq!(owner(&[("alice", false, None), ("zoe", false, None)]), both);
    let all = KeyOwner::Several(vec![name("alice"), name("zoe"), name("mallory")]);
    assert_eq!(owner(&[("alice", true, None), ("zoe", true, None), mallory]), all);
    // A disabled person is nobody any more.
    assert_eq!(owner(&[("alice", true, Some("left")), ("zoe", true, None)]), KeyOwner::One(name("zoe")));
}

#[test]
fn of_several_people_the_one_who_is_eligible_is_meant() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let name = |name: &str| Principal::new(name).unwrap();
    let people =
        [("alice", true, None), ("zoe", true, None), ("mallory", false, None), ("left", true, Some("left"))];
    let people = people.map(|(name, eligible, disabled)| DirectoryPerson {
        eligible,
        disabled: disabled.map(str::to_string),
        ..person(name, &[])
    });
    publish(&path, &people, NOW).unwrap();
    let copy = open(&path, NOW).unwrap();
    let one_of =
        |names: &[&str]| copy.one_of(&names.iter().map(|one| name(one)).collect::<Vec<_>>()).unwrap();
    for (names, expected) in [
        (&[][..], KeyOwner::Nobody),
        (&["nobody", "left", "root"], KeyOwner::Nobody),
        (&["nobody", "left", "alice"], KeyOwner::One(name("alice"))),
        (&["mallory", "zoe"], KeyOwner::One(name("zoe"))),
        (&["mallory"], KeyOwner::One(name("mallory"))),
        (&["zoe", "alice"], KeyOwner::Several(vec![name("zoe"), name("alice")])),
    ] {
        assert_eq!(one_of(names), expected, "{names:?}");
    }
}

#[test]
fn what_was_dropped_is_told_and_belongs_to_the_content() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let rejected = |number| {
        vec![
            Rejected { number, problem: KeyProblem::WeakRsa },
            Rejected { number: 9, problem: KeyProblem::Malformed },
        ]
    };
    let alice = |number| DirectoryPerson { rejected: rejected(number), ..person("alice", &[ALICE]) };
    let told = || open(&path, NOW).unwrap().refused_of(&Principal::new("alice").unwrap()).unwrap();
    let refused = |number| -> Vec<Refused> {
        let refused = |Rejected { number, problem }| Refused {
            principal: Principal::new("alice").unwrap(),
            which: Which::Value(number),
            problem,
        };
        rejected(number).into_iter().map(refused).collect()
    };
    publish(&path, &[alice(2)], NOW).unwrap();
    assert_eq!(told(), refused(2));
    assert_eq!(publish(&path, &[alice(2)], NOW).unwrap().changed, 0);
    assert_eq!(publish(&path, &[alice(3)], NOW).unwrap().changed, 1);
    assert_eq!(told(), refused(3));
    assert_eq!(open(&path, NOW).unwrap().refused().unwrap(), refused(3));
    publish(&path, &[DirectoryPerson { disabled: Some("locked".to_string()), ..alice(3) }], NOW).unwrap();
    assert_eq!(told(), []);
}

#[test]
fn a_weak_key_in_the_copy_of_an_earlier_release_is_nobodys() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let alice = Principal::new("alice").unwrap();
    publish(&path, &[person("alice", &[ALICE]), person("bob", &[BOB])], NOW).unwrap();
    let add = |lines: &[String]| -> Vec<Digest> {
        let mut connection = Connection::open(&path).unwrap();
        let transaction = connection.transaction().unwrap();
        let add = |line: &String| -> Digest {
            let digest = sha2::Sha256::digest(mutate::from_base64(line.split(' ').nth(1).unwrap())).into();
            let row = params!["alice", digest, line];
            transaction.execute("INSERT INTO public_key VALUES (?1, ?2, ?3)", row).unwrap();
            digest
        };
        let digests = lines.iter().map(add).collect();
        transaction.commit().unwrap();
        digests
    };
    let problem = |line: &String| PublicKey::parse(line.as_bytes()).unwrap_err();
    let lines: Vec<String> = made_keys::weak().into_iter().map(|weak| weak.line).collect();
    let lines: Vec<String> = lines.into_iter().filter(|line| problem(line).is_weakness()).collect();
    assert!(lines.len() > 100, "{}", lines.len());
    let weak: Vec<(Digest, KeyProblem)> = add(&lines).into_iter().zip(lines.iter().map(problem)).collect();
    let copy = open(&path, NOW).unwrap();
    let good = PublicKey::parse(ALICE.as_bytes()).unwrap();
    assert_eq!(copy.known(&alice).unwrap(), Known::Keys(vec![good.clone()]));
    let people = copy.contacts().unwrap();
    let keys = |person: &Contact| copy.keys_of(&person.principal).unwrap().unwrap().len();
    assert_eq!(people.iter().map(keys).collect::<Vec<_>>(), [1, 1]);
    let refused = copy.refused_of(&alice).unwrap();
    // Whoever asks for everybody's hears what the last sync refused.
    assert_eq!(copy.refused().unwrap(), []);
    assert_eq!(refused.len(), weak.len());
    for (digest, problem) in weak {
        let (principal, which) = (alice.clone(), Which::Key(digest));
        assert!(refused.contains(&Refused { principal, which, problem }), "{which} {problem}");
        assert_eq!(copy.key(&digest).unwrap(), None, "{which}");
    }
    assert_eq!(copy.key(&good.sha256()).unwrap(), Some(good));
    // What has not the form of a key was never one.
    add(&["ssh-ed25519 AAAA".to_string()]);
    let copy = open(&path, NOW).unwrap();
    assert!(matches!(copy.known(&alice), Err(StoreError::Corrupt(..))));
    assert!(matches!(copy.refused(), Err(StoreError::Corrupt(..))));
    // A reader of no keys sees nothing of it.
    assert_eq!(copy.contacts().unwrap(), people);
}

#[test]
fn a_reason_of_a_later_release_hides_no_answer() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
    let add = |number: u32, token: &str| {
        let row = params!["alice", number, token];
        Connection::open(&path).unwrap().execute("INSERT INTO rejected VALUES (?1, ?2, ?3)", row).unwrap();
        open(&path, NOW).unwrap().refused()
    };
    assert_eq!(add(2, "blacklisted-key").unwrap().first().map(|one| one.problem), Some(KeyProblem::Other));
    assert!(matches!(add(3, "no token\n"), Err(StoreError::Corrupt(..))));
}

#[test]
fn the_same_people_again_move_the_stamp_and_not_the_file() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
    let before = std::fs::metadata(&path).unwrap().ino();
    let later = NOW.plus(Span::hours(30));
    assert!(matches!(open(&path, later), Err(StoreError::Stale(..))));
    let again = publish(&path, &[person("alice", &[ALICE])], later).unwrap();
    assert_eq!(again, Effect { before: 1, people: 1, eligible_before: 1, ..Effect::default() });
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(open(&path, later).unwrap().synced(), later);
    let removed = publish(&path, &[], later).unwrap();
    let gone = Effect { before: 1, removed: 1, lost: 1, ..Effect::default() };
    assert_eq!(removed, Effect { deprived: 1, eligible_before: 1, ..gone });
}

#[test]
fn a_copy_of_any_age_says_who_is_shut_out_and_none_of_another_directory_does() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let bob = DirectoryPerson { disabled: Some("locked".to_string()), ..person("bob", &[BOB]) };
    publish(&path, &[person("alice", &[ALICE]), bob], NOW).unwrap();
    // Years later, and by a clock that is years behind.
    for now in [NOW.plus(Span::hours(30_000)), NOW.minus(Span::hours(30_000))] {
        assert!(open(&path, now).is_err());
        let copy = KeyCopy::of_any_age(&path, "test", now).unwrap();
        let known = |name| copy.known(&Principal::new(name).unwrap()).unwrap();
        assert_eq!((known("bob"), known("zoe")), (Known::Disabled, Known::Absent));
        assert!(matches!(known("alice"), Known::Keys(_)));
    }
    let other = KeyCopy::of_any_age(&path, "other", NOW);
    assert!(matches!(other, Err(StoreError::OtherDirectory(..))));
}

#[test]
fn a_stamp_counts_only_for_the_content_it_names() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
    let later = NOW.plus(Span::hours(30));
    std::fs::write(stamp_path(&path), format!("0000 {}\n", later.unix())).unwrap();
    assert!(matches!(open(&path, later), Err(StoreError::Stale(..))));
}

#[test]
fn what_is_proven_of_the_time_is_judged_before_what_the_copy_says() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
    let at = |seconds| NOW.plus(Span::seconds(seconds));
    let prove = |instant, copy| {
        let proven = Proven::seen(at(instant), None, clock::uptime(), at(copy));
        publish::prove(&path, 0o640, &proven).unwrap();
    };
    let age = |seconds| open(&path, at(seconds)).map(|copy| at(seconds).since(copy.synced()).as_seconds());
    let is_behind = |seconds| matches!(age(seconds), Err(StoreError::ClockBehind(..)));
    // The clock was set back by two days after it, when the copy was too old already.
    prove(2 * 86_400, 0);
    assert!(is_behind(60) && matches!(age(2 * 86_400), Err(StoreError::Stale(..))));
    // It was ahead by an hour when the copy was made.
    prove(-3600, 0);
    assert_eq!(age(-3000).unwrap(), 600);
    assert!(is_behind(-3730) && matches!(age(-3600 + 86_400 + 1), Ok(82_801)));
    // The sync of an earlier release leaves what is proven as it is.
    prove(-3600, -9000);
    assert!(is_behind(-3000) && age(0).unwrap() == 0);
}

#[test]
fn age_future_and_origin_are_judged() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
    assert!(open(&path, NOW.plus(Span::hours(24))).is_ok());
    assert!(matches!(open(&path, NOW.plus(Span::seconds(86_401))), Err(StoreError::Stale(..))));
    assert!(open(&path, NOW.minus(Span::seconds(120))).is_ok());
    assert!(matches!(open(&path, NOW.minus(Span::seconds(121))), Err(StoreError::ClockBehind(..))));
    let other = KeyCopy::open(&path, "another", Span::hours(24), NOW);
    assert!(matches!(other, Err(StoreError::OtherDirectory(_))));
}

#[test]
fn a15_whoever_is_disabled_or_expired_is_known_and_has_no_keys() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let locked = DirectoryPerson { disabled: Some("nsAccountLock".to_string()), ..person("alice", &[ALICE]) };
    let ending =
        DirectoryPerson { expires: Some(NOW.plus(Span::hours(1))), eligible: true, ..person("bob", &[BOB]) };
    publish(&path, &[locked, ending], NOW).unwrap();
    let seen = |name: &str, key: &str, now: Timestamp| {
        let (copy, name) = (open(&path, now).unwrap(), Principal::new(name).unwrap());
        let owner = copy.owner_of(&PublicKey::parse(key.as_bytes()).unwrap()).unwrap();
        let eligible =
            copy.contacts().unwrap().iter().any(|person| person.principal == name && person.eligible);
        let keys = copy.keys_of(&name).unwrap().unwrap().len();
        (keys, owner != KeyOwner::Nobody, eligible, copy.known(&name).unwrap() == Known::Disabled)
    };
    assert_eq!(seen("alice", ALICE, NOW), (0, false, false, true));
    assert_eq!(seen("bob", BOB, NOW.plus(Span::seconds(3599))), (1, true, true, false));
    assert_eq!(seen("bob", BOB, NOW.plus(Span::hours(1))), (0, false, false, true));
}

#[test]
fn a15_an_account_has_keys_from_its_beginning_to_its_end_and_an_older_reader_sees_it_closed() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let alice = DirectoryPerson {
        begins: Some(NOW.plus(Span::hours(1))),
        expires: Some(NOW.plus(Span::hours(2))),
        rejected: vec![Rejected { number: 2, problem: KeyProblem::Malformed }],
        ..person("alice", &[ALICE])
    };
    publish(&path, std::slice::from_ref(&alice), NOW).unwrap();
    let key = PublicKey::parse(ALICE.as_bytes()).unwrap();
    for (seconds, open) in [(0, false), (3599, false), (3600, true), (7199, true), (7200, false)] {
        let now = NOW.plus(Span::seconds(seconds));
        let copy = open_at(&path, now);
        let name = Principal::new("alice").unwrap();
        assert_eq!(copy.known(&name).unwrap() == Known::Keys(vec![key.clone()]), open, "{seconds}");
        assert_eq!(copy.is_eligible(&name).unwrap(), open, "{seconds}");
        assert_eq!(copy.owner_of(&key).unwrap() != KeyOwner::Nobody, open, "{seconds}");
        assert_eq!(copy.key(&key.sha256()).unwrap().is_some(), open, "{seconds}");
        assert_eq!(copy.refused_of(&name).unwrap().len(), usize::from(open), "{seconds}");
        let people = copy.contacts().unwrap();
        assert_eq!((people[0].disabled.is_none(), people[0].eligible), (open, open), "{seconds}");
        assert_eq!(
            alice.clone().at(now).changes(now).is_some(),
            seconds < 7200 && people[0].disabled.is_none()
        );
    }
    assert_eq!(alice.changes(NOW), alice.begins);
    let stored: String = Connection::open(&path)
        .unwrap()
        .query_row("SELECT disabled FROM person", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, "not before 1795168800", "to a reader before this one, a reason");
    assert_eq!(publish(&path, &[alice], NOW).unwrap().changed, 0);
}

fn open_at(path: &Path, now: Timestamp) -> KeyCopy {
    open(path, now).unwrap()
}

#[test]
fn a_failed_publication_leaves_the_old_copy() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
    let before = std::fs::read(&path).unwrap();
    // The same name twice breaks the primary key half-way through the new file.
    let other = DirectoryPerson { id: "other".to_string(), ..person("alice", &[BOB]) };
    for twice in [person("alice", &[BOB]), other] {
        let people = [person("alice", &[ALICE]), twice];
        assert!(matches!(publish(&path, &people, NOW), Err(StoreError::Publish(_))));
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "keys.db and keys.stamp");
}

#[test]
fn everybody_is_read_in_order_of_name_as_they_are_stored() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let mut people =
        [person("zoe", &[]), person("alice", &[ALICE, BOB]), person("bob", &[BOB]), person("yan", &[BOB])];
    (people[2].begins, people[2].expires) = (Some(NOW.plus(Span::hours(1))), Some(NOW));
    people[3].disabled = Some("nsAccountLock".to_string());
    publish(&path, &people, NOW).unwrap();
    let read = || {
        let (mut all, copy) = (Vec::new(), open(&path, NOW).unwrap());
        copy.everybody(|person| all.push(person)).map(|()| all)
    };
    let all = read().unwrap();
    let names: Vec<(&str, usize)> = all.iter().map(|one| (one.principal.as_str(), one.keys.len())).collect();
    assert_eq!(names, [("alice", 2), ("bob", 1), ("yan", 0), ("zoe", 0)]);
    assert_eq!((all[1].begins, all[1].expires, &all[1].disabled), (people[2].begins, Some(NOW), &None));
    assert_eq!((all[2].disabled.as_deref(), all[0].eligible), (Some("nsAccountLock"), true));
    for sql in [
        "UPDATE public_key SET principal = 'zzz' WHERE principal = 'bob'",
        "UPDATE public_key SET fingerprint = x'00' WHERE principal = 'bob'",
        "UPDATE person SET eligible = 3",
    ] {
        publish(&path, &people, NOW).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        assert!(matches!(read(), Err(StoreError::Corrupt(..))), "{sql}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn each_answer_is_the_one_that_sqlite_gives() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    let keys: Vec<String> = (0..40).map(made_keys::numbered).collect();
    let after = |hours: i64| NOW.plus(Span::hours(hours));
    let people: Vec<DirectoryPerson> = (0..3_000)
        .map(|number: usize| {
            // Some keys belong to hundreds, others to one; and so with what closes an account.
            let shared = keys.iter().skip(number % 41).take(number % 3).map(String::as_str);
            let own = made_keys::numbered(1_000 + number as u32);
            let mut person = person(&format!("p{number}"), &shared.chain([own.as_str()]).collect::<Vec<_>>());
            person.eligible = number.is_multiple_of(7);
            person.disabled = number.is_multiple_of(11).then(|| "locked".to_string());
            person.begins = number.is_multiple_of(13).then(|| after(number as i64 % 5 - 2));
            person.expires = number.is_multiple_of(17).then(|| after(number as i64 % 5 - 2));
            person
        })
        .collect();
    publish(&path, &people, NOW).unwrap();
    let (copy, connection) = (open(&path, NOW).unwrap(), Connection::open(&path).unwrap());
    let mut known = connection
        .prepare(&format!(
            "SELECT {OPEN}, eligible, (SELECT count(*) FROM public_key WHERE principal = ?1) FROM person WHERE principal = ?1"
        ))
        .unwrap();
    for number in 0..people.len() + 10 {
        let name = Principal::new(&format!("p{number}")).unwrap();
        let row = known.query_row(params![name.as_str(), NOW.unix()], |row| {
            Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?, row.get::<_, i64>(2)?))
        });
        let expected = match row {
            Ok((true, eligible, keys)) => (usize::try_from(keys).ok(), eligible),
            Ok((false, ..)) => (Some(0), false),
            Err(_) => (None, false),
        };
        let keys = copy.keys_of(&name).unwrap().map(|keys| keys.len());
        assert_eq!((keys, copy.is_eligible(&name).unwrap()), expected, "{name}");
    }
    let mut owners = connection
        .prepare(&format!(
            "SELECT principal, eligible FROM public_key JOIN person USING (principal)
             WHERE fingerprint = ?1 AND {OPEN} ORDER BY eligible DESC, principal LIMIT 8"
        ))
        .unwrap();
    for line in keys.iter().chain(&[made_keys::numbered(1_001), made_keys::numbered(1_011), BOB.to_string()])
    {
        let key = PublicKey::parse(line.as_bytes()).unwrap();
        let rows = owners.query_map(params![key.digest(), NOW.unix()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
        });
        let expected: Vec<(String, bool)> = rows.unwrap().map(Result::unwrap).collect();
        let found = copy.owners(&key).unwrap();
        let found: Vec<_> = found.iter().map(|(name, eligible)| (name.to_string(), *eligible)).collect();
        assert_eq!(found, expected, "{line}");
        assert_eq!(copy.key(&key.sha256()).unwrap(), (!expected.is_empty()).then_some(key));
    }
    assert_eq!(copy.names().unwrap().len(), people.len());
}

#[test]
fn a_file_with_other_tables_is_no_copy_whatever_its_header_says() {
    let directory = crate::scratch();
    let path = directory.path().join("keys.db");
    publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
    let good = std::fs::read(&path).unwrap();
    for sql in [
        "CREATE TABLE more (remark TEXT)",
        "CREATE VIEW more AS SELECT * FROM person",
        "CREATE TRIGGER more AFTER INSERT ON person BEGIN DELETE FROM mail; END",
        "CREATE INDEX more ON mail (address)",
        "DROP INDEX public_key_owner",
        "DROP TABLE claim",
        "ALTER TABLE person ADD COLUMN more TEXT",
        "PRAGMA application_id = 1",
    ] {
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        assert!(matches!(open(&path, NOW), Err(StoreError::Corrupt(..))), "{sql}");
        std::fs::write(&path, &good).unwrap();
        open(&path, NOW).unwrap();
    }
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    assert!(matches!(open(&path, NOW), Err(StoreError::Version(_, 9))));
}
