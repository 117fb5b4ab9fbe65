use super::*;
use policy::{Fault, LateShift, Proven, Span};
use rusqlite::Connection;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::slice;

fn first_shift() -> Shift {
    let window = Window::new(Timestamp::MIN, Timestamp::from_unix(2000)).unwrap();
    Shift { schedule: 0, principal: Principal::new("alice").unwrap(), level: 1, window }
}

fn example() -> Roster {
    let alice = Principal::new("alice").unwrap();
    let at = Timestamp::from_unix;
    Roster {
        late: Vec::new(),
        incidents: Default::default(),
        published: at(1000),
        floor: at(1000),
        schedules: vec![Schedule {
            reference: ScheduleRef { source: "pd".into(), id: "P1".into() },
            provider_id: "P1".into(),
            name: "primary".into(),
            synced: at(1000),
            horizon: at(9000),
        }],
        shifts: vec![first_shift()].into(),
        eligible: [(alice, true)].into(),
    }
}

/// Reads an example roster after `spoil` did something to its file.
fn fault_after(spoil: impl FnOnce(&Path)) -> Fault {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    publish(&path, &example(), &BTreeSet::new()).unwrap();
    spoil(&path);
    let fault = read(&path, Timestamp::MAX).unwrap_err().fault();
    let (alice, primary) = (&Principal::new("alice").unwrap(), &example().schedules[0].reference);
    let schedules = &[primary];
    let on_call = OnCall { at: Timestamp::from_unix(1500), who: Who::Everybody };
    for (people, on_call) in [(vec![alice.clone()], None), (vec![], Some(on_call))] {
        // A part may not meet what is damaged; then it has nothing that was not there before.
        match read_part(&path, Part { schedules, people: &people, on_call }, Timestamp::MAX) {
            Err(error) => assert_eq!(error.fault(), fault, "{people:?}"),
            Ok(part) => {
                assert!(part.shifts.iter().all(|shift| example().shifts.contains(shift)), "{part:?}");
                assert!(
                    part.eligible.iter().all(|person| example().eligible.iter().any(|one| one == person))
                );
            }
        }
    }
    fault
}

fn sql(statement: &'static str) -> impl FnOnce(&Path) {
    move |path| Connection::open(path).unwrap().execute_batch(statement).unwrap()
}

#[test]
fn what_was_published_is_read_back() {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    let mapping = Mapping {
        source: "pd".into(),
        principal: Principal::new("alice").unwrap(),
        user: "PUALICE".into(),
        ground: "mail".into(),
    };
    let found = BTreeSet::from([mapping]);
    publish(&path, &example(), &found).unwrap();
    assert_eq!(read(&path, Timestamp::MAX).unwrap(), example());
    assert_eq!(mappings(&path).unwrap(), found);
    let of = |name, source| mappings_of(&path, &Principal::new(name).unwrap(), [source]).unwrap();
    assert_eq!(of("alice", "pd"), found);
    assert!(of("alice", "rota").is_empty() && of("bob", "pd").is_empty());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn what_readers_would_refuse_is_not_published() {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    publish(&path, &example(), &BTreeSet::new()).unwrap();
    type Change = fn(&mut Roster);
    let changes: [(&str, Change); 3] = [
        ("a name longer than the limit", |roster| roster.schedules[0].name = "x".repeat(2000).into()),
        ("a shift without a schedule", |roster| {
            roster.shifts = vec![Shift { schedule: 7, ..first_shift() }].into()
        }),
        ("a shift of level 0", |roster| roster.shifts = vec![Shift { level: 0, ..first_shift() }].into()),
    ];
    for (words, change) in changes {
        let mut roster = example();
        change(&mut roster);
        let error = publish(&path, &roster, &BTreeSet::new()).unwrap_err().to_string();
        assert!(error.contains("readers would refuse it") && error.contains(words), "{error}");
        assert_eq!(read(&path, Timestamp::MAX).unwrap(), example(), "the old one stays");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

/// A part of bob's shift that was found late, in the first schedule of the example.
fn late_part(seen: i64) -> LateShift {
    let Shift { principal, level, window, .. } = first_shift();
    LateShift {
        schedule: example().schedules[0].reference.clone(),
        principal,
        level,
        window,
        seen: Timestamp::from_unix(seen),
    }
}

#[test]
fn what_is_late_goes_with_the_roster_that_it_is_of() {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    let late_of = |parts: &[LateShift]| Roster { late: parts.to_vec(), ..example() };
    let [first, second] = [late_part(1_000), late_part(2_000)];
    publish(&path, &late_of(slice::from_ref(&first)), &BTreeSet::new()).unwrap();

    let mut refused = late_of(slice::from_ref(&second));
    refused.schedules[0].name = "x".repeat(2000).into();
    publish(&path, &refused, &BTreeSet::new()).unwrap_err();
    assert!(
        read(&path, Timestamp::MAX).unwrap().late.contains(&first),
        "the old roster keeps what is late of it"
    );

    publish(&path, &late_of(slice::from_ref(&second)), &BTreeSet::new()).unwrap();
    assert_eq!(read(&path, Timestamp::MAX).unwrap().late, [second]);
    publish(&path, &example(), &BTreeSet::new()).unwrap();
    assert_eq!(read(&path, Timestamp::MAX).unwrap(), example());
}

/// Writes `roster` in the form that came before.
fn publish_first(path: &Path, roster: &Roster) {
    std::fs::write(path, "").unwrap();
    let first = Schema {
        application: SCHEMA.application,
        written: Form { version: 1, statements: &FIRST_TABLES },
        also: None,
    };
    let connection = first.create(path).unwrap();
    let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| connection.execute(sql, values).unwrap();
    insert("INSERT INTO meta VALUES (?1)", &[&roster.published.unix()]);
    for (number, schedule) in roster.schedules.iter().enumerate() {
        let ScheduleRef { source, id } = &schedule.reference;
        let (name, synced, horizon) =
            (schedule.name.as_str(), schedule.synced.unix(), schedule.horizon.unix());
        let values: [&dyn rusqlite::ToSql; 7] =
            [&(number as i64), source, id, &schedule.provider_id, &name, &synced, &horizon];
        insert("INSERT INTO schedule VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", &values);
    }
    for shift in &roster.shifts {
        let (start, end) = (shift.window.start().unix(), shift.window.end().unix());
        let values: [&dyn rusqlite::ToSql; 5] =
            [&(shift.schedule as i64), &shift.principal.as_str(), &shift.level, &start, &end];
        insert("INSERT INTO shift VALUES (?1, ?2, ?3, ?4, ?5)", &values);
    }
    for (person, eligible) in &roster.eligible {
        insert("INSERT INTO person VALUES (?1, ?2)", &[&person.as_str(), &i64::from(*eligible)]);
    }
}

/// 40 people in five schedules, with shifts of every length from a second to for ever.
fn many() -> Roster {
    let mut roster = example();
    let at = Timestamp::from_unix;
    let first = roster.schedules[0].clone();
    roster.schedules = (0..5)
        .map(|number| {
            let reference = ScheduleRef { source: "pd".into(), id: format!("P{number}") };
            Schedule { reference, ..first.clone() }
        })
        .collect();
    let names: Vec<Principal> =
        (0..40).map(|number| Principal::new(&format!("p{number}")).unwrap()).collect();
    let shift = |number: i64| {
        let start = if number % 97 == 0 { Timestamp::MIN } else { at(number * 7919 % 100_000) };
        let end = match number {
            _ if number % 89 == 0 => Timestamp::MAX,
            _ => at((number * 7919 % 100_000) + (1 << (number % 18)) + number % 3),
        };
        let principal = names[(number * 31 % 40) as usize].clone();
        let (schedule, level) = ((number % 5) as usize, (1 + number % 2) as u8);
        Shift { schedule, principal, level, window: Window::new(start, end).unwrap() }
    };
    roster.shifts = (1..2_000).map(shift).collect();
    roster.eligible = names.iter().map(|name| (name.clone(), name.as_str() != "p7")).collect();
    roster
}

#[test]
fn a_part_is_what_the_whole_has_of_it_in_both_forms() {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    let whole = many();
    let forms: [fn(&Path, &Roster); 2] =
        [|path, roster| publish(path, roster, &BTreeSet::new()).unwrap(), publish_first];
    for write in forms {
        write(&path, &whole);
        assert_eq!(read(&path, Timestamp::MAX).unwrap(), whole);
        for round in 0..120_i64 {
            let counted = |number: &usize| round % 7 == 0 || (*number as i64 + round) % 3 != 0;
            let wanted: Vec<usize> = (0..5).filter(counted).collect();
            let mut schedules: Vec<&ScheduleRef> =
                wanted.iter().map(|number| &whole.schedules[*number].reference).collect();
            // In whatever order rules name them.
            schedules.rotate_left(round as usize % 2);
            let name = |number: i64| Principal::new(&format!("p{}", number % 43)).unwrap();
            let people: Vec<Principal> = (0..round % 4).map(|other| name(round + 5 * other)).collect();
            let instants = [whole.shifts[round as usize].window.end(), Timestamp::from_unix(round * 977)];
            let on_call =
                (round % 3 > 0).then_some(OnCall { at: instants[round as usize % 2], who: Who::Everybody });
            let part = Part { schedules: &schedules, people: &people, on_call };
            assert_eq!(
                read_part(&path, part, Timestamp::MAX).unwrap(),
                expected(&whole, &wanted, part),
                "{part:?}"
            );
        }
    }
}

/// What a part must have, from the whole.
fn expected(whole: &Roster, wanted: &[usize], part: Part<'_>) -> Roster {
    let counts = |shift: &&Shift| wanted.contains(&shift.schedule);
    let is_on_call = |shift: &&Shift| part.on_call.is_some_and(|it| shift.window.contains(it.at));
    let mut people: BTreeSet<&Principal> =
        whole.shifts.iter().filter(counts).filter(is_on_call).map(|shift| &shift.principal).collect();
    people.extend(part.people);
    let number = |shift: &Shift| wanted.iter().position(|number| *number == shift.schedule).unwrap();
    let own = whole.shifts.iter().filter(counts).filter(|shift| people.contains(&shift.principal));
    Roster {
        late: Vec::new(),
        incidents: Default::default(),
        published: whole.published,
        floor: whole.floor,
        schedules: wanted.iter().map(|number| whole.schedules[*number].clone()).collect(),
        shifts: own.map(|shift| Shift { schedule: number(shift), ..shift.clone() }).collect(),
        eligible: whole
            .eligible
            .iter()
            .filter(|(person, _)| people.contains(person))
            .map(|(person, may)| (person.clone(), *may))
            .collect(),
    }
}

#[test]
fn those_who_may_become_root_are_read_a_few_at_a_time_in_the_order_of_their_names() {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    let mut whole = many();
    let others = (0..3_000).map(|number| (Principal::new(&format!("q{number}")).unwrap(), number % 3 > 0));
    whole.eligible.extend(others);
    let all: Vec<&Principal> = whole.eligible.iter().filter(|(_, may)| **may).map(|(who, _)| who).collect();
    let forms: [fn(&Path, &Roster); 2] =
        [|path, roster| publish(path, roster, &BTreeSet::new()).unwrap(), publish_first];
    for write in forms {
        write(&path, &whole);
        let file = RosterFile::open(&path, &[], Timestamp::MAX).unwrap();
        for most in [1, 7, 1_000, 5_000] {
            let mut read: Vec<Principal> = Vec::new();
            loop {
                let some = file.eligible(read.last(), most).unwrap();
                assert!(some.len() <= most);
                if some.is_empty() {
                    break;
                }
                read.extend(some);
            }
            assert_eq!(read.iter().collect::<Vec<_>>(), all, "{most} at a time");
        }
        assert!(file.eligible(None, 0).unwrap().is_empty());
    }
}

#[test]
fn of_those_on_call_no_more_are_read_than_are_wanted() {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    let whole = many();
    let schedules: Vec<&ScheduleRef> = whole.schedules.iter().map(|it| &it.reference).collect();
    let forms: [fn(&Path, &Roster); 2] =
        [|path, roster| publish(path, roster, &BTreeSet::new()).unwrap(), publish_first];
    for write in forms {
        write(&path, &whole);
        for (at, most) in (0..100_000).step_by(1_999).zip([0, 1, 2, 6, 1_000].into_iter().cycle()) {
            let now = Timestamp::from_unix(at);
            let counts = |(schedule, level): (&Schedule, u8), person: &Principal| {
                level == 1 && schedule.reference.id != "P3" && person.as_str() != "p5"
            };
            let on_call = Some(OnCall { at: now, who: Who::UpTo(most, &counts) });
            let asker = [Principal::new("p5").unwrap()];
            let part =
                read_part(&path, Part { schedules: &schedules, people: &asker, on_call }, Timestamp::MAX);
            let part = part.unwrap();
            let all: BTreeSet<&Principal> = (whole.shifts.iter())
                .filter(|shift| shift.window.contains(now) && whole.is_eligible(&shift.principal))
                .filter(|it| counts((&whole.schedules[it.schedule], it.level), &it.principal))
                .map(|shift| &shift.principal)
                .collect();
            let others: BTreeSet<&Principal> =
                part.eligible.keys().filter(|person| **person != asker[0]).collect();
            assert_eq!(others.len(), all.len().min(most), "{most} at {at}");
            assert!(others.is_subset(&all), "{others:?} of {all:?}");
            for person in others.into_iter().chain(&asker) {
                assert_eq!(part.shifts.of(person), whole.shifts.of(person), "of {person} all");
            }
        }
    }
}

#[test]
fn what_is_no_roster_is_refused_and_nothing_is_made() {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    assert_eq!(read(&path, Timestamp::MAX).unwrap_err().fault(), Fault::Missing);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(fault_after(|path| std::fs::write(path, "").unwrap()), Fault::Corrupt);
    assert_eq!(fault_after(|path| std::fs::write(path, [0x5a; 9000]).unwrap()), Fault::Corrupt);
    assert_eq!(
        fault_after(|path| {
            let whole = std::fs::read(path).unwrap();
            std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
        }),
        Fault::Corrupt
    );
    assert_eq!(fault_after(sql("PRAGMA user_version = 9")), Fault::Version);
    assert_eq!(fault_after(sql("PRAGMA application_id = 7")), Fault::Corrupt);
}

#[test]
fn foreign_sql_and_wrong_types_are_refused() {
    for spoil in [
            "CREATE TRIGGER t AFTER INSERT ON shift BEGIN DELETE FROM shift; END",
            "CREATE VIEW v AS SELECT 1",
            "CREATE TABLE extra (x)",
            "CREATE INDEX i ON shift (abs(level))",
            "UPDATE shift SET level = 'x'",
            "UPDATE shift SET level = 900",
            "UPDATE shift SET level = 0",
            "UPDATE schedule SET synced = 2000",
            "UPDATE schedule SET name = hex(zeroblob(600))",
            "UPDATE shift SET principal = 'A*'",
            "UPDATE shift SET schedule = 7",
            "UPDATE shift SET ends = starts",
            "UPDATE shift SET ends = 253402300800",
            "UPDATE shift SET ends = 9223372036854775806",
            "UPDATE shift SET starts = -62135596801",
            // More bytes than a reader keeps, in rows that each are as they should be.
            "DELETE FROM schedule; WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
             INSERT INTO schedule SELECT i, 's', i, 'p', hex(zeroblob(500)), 0, 0 FROM n",
            "UPDATE person SET eligible = 2",
            "DELETE FROM meta",
            "UPDATE meta SET published = 'x'",
        ] {
            assert_eq!(fault_after(sql(spoil)), Fault::Corrupt, "{spoil}");
        }
}

#[test]
fn a_roster_that_others_could_have_written_is_refused() {
    let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    assert_eq!(fault_after(|path| set(path, 0o664)), Fault::Untrusted);
    assert_eq!(fault_after(|path| set(path, 0o646)), Fault::Untrusted);
    assert_eq!(fault_after(|path| set(path.parent().unwrap(), 0o777)), Fault::Untrusted);
    assert_eq!(
        fault_after(|path| {
            let moved = path.with_extension("moved");
            std::fs::rename(path, &moved).unwrap();
            symlink(&moved, path).unwrap();
        }),
        Fault::Untrusted
    );
}

#[test]
fn a_copy_at_hand_is_read_whoever_could_have_written_it() {
    let directory = crate::scratch();
    let path = directory.path().join("roster.db");
    publish(&path, &example(), &BTreeSet::new()).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(read(&path, Timestamp::MAX).unwrap_err().fault(), Fault::Untrusted);
    assert_eq!(snapshot(&path).unwrap(), example());
    let again = Timestamp::from_unix(1600);
    let published = example().published;
    let reread = Reread { roster: published, read: published, again, sources: ["pd".to_string()].into() };
    reread.write(&path).unwrap();
    assert_eq!(snapshot(&path).unwrap().schedules[0].synced, again);
    std::fs::write(&path, "SQLite format 3\0 and no more").unwrap();
    assert_eq!(snapshot(&path).unwrap_err().fault(), Fault::Corrupt);
    assert_eq!(snapshot(&directory.path().join("none")).unwrap_err().fault(), Fault::Missing);
}

#[test]
fn what_was_read_by_a_clock_that_was_ahead_is_as_old_as_what_is_proven() {
    let (directory, at) = (crate::scratch(), Timestamp::from_unix);
    let path = directory.path().join("roster.db");
    let mut roster = example();
    (roster.published, roster.floor) = (at(90_000), at(90_000));
    let kept = Schedule {
        reference: ScheduleRef { source: "pd".into(), id: "P2".into() },
        ..roster.schedules[0].clone()
    };
    roster.schedules[0].synced = at(90_000);
    roster.schedules.push(kept);
    publish(&path, &roster, &BTreeSet::new()).unwrap();
    let synced =
        |now| read(&path, at(now)).unwrap().schedules.iter().map(|one| one.synced.unix()).collect::<Vec<_>>();
    let holds = |now| read(&path, at(now)).unwrap().clock_holds(at(now));
    assert!(!holds(1100) && holds(90_000), "nothing vouches for it");
    let uptime = clock::uptime();
    publish::prove(&path, 0o644, &Proven::seen(at(900), None, uptime, at(90_000))).unwrap();
    assert_eq!((synced(1100), holds(1100)), (vec![900, 1000], true));
    assert_eq!(synced(90_000), [90_000, 1000]);
    publish::prove(&path, 0o644, &Proven::seen(at(900), None, uptime, at(1)).of(at(89_999))).unwrap();
    assert_eq!((synced(1100), holds(1100)), (vec![90_000, 1000], false), "of another copy");
    publish::prove(&path, 0o644, &Proven::seen(at(99_000), None, uptime, at(90_000))).unwrap();
    assert!(!holds(98_000) && holds(98_999) && read(&path, at(98_999).minus(Span::hours(9))).is_ok());
}
