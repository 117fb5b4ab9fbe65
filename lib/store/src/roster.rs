//! roster.db: who is on call, written by `oncall-cache sync`, read by everything that decides.
//!
//! Its tables are an interface: `sqlite3 roster.db 'SELECT * FROM shift'` is something people do.
//! Instants are seconds since the epoch. There are no mail addresses and no secrets in it.

use std::collections::BTreeSet;
use std::path::Path;

use policy::{Principal, Roster, Rules, Schedule, ScheduleRef, Shift, Timestamp, Window};
use rusqlite::params;

use crate::StoreError;
use crate::keys::flag;
use crate::pages::{Row, Tables};
use crate::publish::replace;
use crate::schema::{Form, Schema, one_more};

const SCHEMA: Schema = Schema {
    application: 0x414b_726f, // "AKro"
    written: Form { version: 1, statements: &TABLES },
    also: None,
}
.with_next(Form { version: 2, statements: &NEXT_TABLES });

const NEXT_TABLES: [&str; 6] = one_more(TABLES);

const TABLES: [&str; 5] = [
    "CREATE TABLE meta (published INTEGER NOT NULL)",
    "CREATE TABLE schedule (number INTEGER PRIMARY KEY NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, provider_id TEXT NOT NULL, name TEXT NOT NULL, synced INTEGER NOT NULL, horizon INTEGER NOT NULL, UNIQUE (source, id))",
    "CREATE TABLE shift (schedule INTEGER NOT NULL, principal TEXT NOT NULL, level INTEGER NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL)",
    "CREATE TABLE person (principal TEXT PRIMARY KEY NOT NULL, eligible INTEGER NOT NULL) WITHOUT ROWID",
    // For those who ask why; no decision reads it.
    "CREATE TABLE mapping (source TEXT NOT NULL, principal TEXT NOT NULL, user TEXT NOT NULL, ground TEXT NOT NULL, PRIMARY KEY (source, principal, user)) WITHOUT ROWID",
];

/// The most that a reader keeps of a roster, in bytes: some 200,000 shifts. Everything that decides reads it, inside sshd
/// and sudo too, whatever is in the file.
const MOST_BYTES: usize = 24 * 1024 * 1024;

/// What a row costs beside its texts: the numbers in it, and what allocators and trees add.
const ROW_BYTES: usize = 96;

/// The most rows of a kind that a reader looks at.
const MOST_ROWS: usize = 200_000;

/// How a provider's user was found to be a person of the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// Name of the source.
    pub source: String,
    /// Who they are here.
    pub principal: Principal,
    /// The provider's id of the user; empty where that is a mail address.
    pub user: String,
    /// `table`, `mail` or `name`.
    pub ground: String,
}

/// Replaces the roster at `path`, if readers will take the new one: one that they refuse would shut everybody out.
pub fn publish(path: &Path, roster: &Roster, mappings: &BTreeSet<Mapping>) -> Result<(), StoreError> {
    replace(path, 0o644, |temporary| {
        write(temporary, roster, mappings).map_err(|error| error.to_string())?;
        let written = SCHEMA.open_written(temporary)?;
        let read = read_rows(&written, |_| true).and_then(|read| Ok((read, read_mappings(&written)?)));
        match read {
            Ok((back, _)) if back == *roster => Ok(()),
            Ok(_) => {
                Err("it would be read back otherwise than it was written; please report this".to_string())
            }
            Err(error) => Err(format!("readers would refuse it: {error}")),
        }
    })
}

fn write(path: &Path, roster: &Roster, mappings: &BTreeSet<Mapping>) -> rusqlite::Result<()> {
    let mut connection = SCHEMA.create(path)?;
    let transaction = connection.transaction()?;
    transaction.execute("INSERT INTO meta (published) VALUES (?1)", params![roster.published.unix()])?;
    for (number, schedule) in roster.schedules.iter().enumerate() {
        transaction.execute(
            "INSERT INTO schedule VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                number as i64,
                schedule.reference.source,
                schedule.reference.id,
                schedule.provider_id,
                schedule.name.as_str(),
                schedule.synced.unix(),
                schedule.horizon.unix()
            ],
        )?;
    }
    for shift in &roster.shifts {
        transaction.execute(
            "INSERT INTO shift VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                shift.schedule as i64,
                shift.principal.as_str(),
                shift.level,
                shift.window.start().unix(),
                shift.window.end().unix()
            ],
        )?;
    }
    for (principal, eligible) in &roster.eligible {
        transaction.execute(
            "INSERT INTO person VALUES (?1, ?2)",
            params![principal.as_str(), i64::from(*eligible)],
        )?;
    }
    for Mapping { source, principal, user, ground } in mappings {
        transaction.execute(
            "INSERT INTO mapping VALUES (?1, ?2, ?3, ?4)",
            params![source, principal.as_str(), user, ground],
        )?;
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// Reads the roster at `path`, believing nothing of it but what its types and names bear out. Whether a clock that
/// shows `now` is one to believe it by, it says itself.
pub fn read(path: &Path, now: Timestamp) -> Result<Roster, StoreError> {
    opened(path, |tables| read_rows(tables, |_| true)).map(|roster| dated(path, roster, now))
}

/// The same for a decision at `now` about `person`. Every row is judged as [`read`] judges it; kept are the shifts and people
/// that the decision, and what is said about it, look at: theirs, and those of whoever has a shift now, which may go on
/// in another one.
pub fn read_for(path: &Path, person: Option<&Principal>, now: Timestamp) -> Result<Roster, StoreError> {
    opened(path, |tables| {
        let mut kept = on_call(tables, now)?;
        kept.extend(person.map(ToString::to_string));
        read_rows(tables, |name| kept.contains(name))
    })
    .map(|roster| dated(path, roster, now))
}

/// `roster` by what its last sync knew of the time. A schedule that was read while the clock was ahead was read after the
/// instant that is proven, so no age is told too short by that one.
fn dated(path: &Path, mut roster: Roster, now: Timestamp) -> Roster {
    let proven = clock::proven(path);
    roster.floor = clock::floor(roster.published, proven.as_ref(), now);
    if let Some(proven) = proven.filter(|proven| proven.vouches_for(roster.published)) {
        let ahead = roster.schedules.iter_mut().filter(|schedule| schedule.synced > now.plus(Rules::SKEW));
        ahead.for_each(|schedule| schedule.synced = schedule.synced.min(proven.instant()));
    }
    roster
}

/// What `read` makes of the roster at `path`.
fn opened<T>(path: &Path, read: impl FnOnce(&Tables) -> Result<T, Damaged>) -> Result<T, StoreError> {
    let tables = SCHEMA.open_tables(path);
    tables
        .and_then(|tables| read(&tables).map_err(|error| StoreError::reading(path, error)))
        .map_err(|error| error.written_by("oncall-cache sync"))
}

/// Whoever has a shift at `now`. Nothing else is judged here: [`read_rows`] does that.
fn on_call(tables: &Tables, now: Timestamp) -> Result<BTreeSet<String>, Damaged> {
    let (mut people, mut room) = (BTreeSet::new(), Room::new());
    // schedule, principal, level, starts, ends
    tables.rows("shift", 5, |row| {
        if row.integer(3)? <= now.unix() && now.unix() < row.integer(4)? {
            let name = row.text(1)?;
            if !people.contains(name) {
                room.take(&[name])?;
                people.insert(name.to_string());
            }
        }
        Ok(())
    })?;
    Ok(people)
}

/// Reads how the people in the roster at `path` were found.
pub fn mappings(path: &Path) -> Result<BTreeSet<Mapping>, StoreError> {
    opened(path, read_mappings)
}

type Damaged = Box<dyn std::error::Error>;

fn read_mappings(tables: &Tables) -> Result<BTreeSet<Mapping>, Damaged> {
    let (mut mappings, mut room) = (BTreeSet::new(), Room::new());
    // source, principal, user, ground
    tables.rows("mapping", 4, |row| {
        bounded(mappings.len())?;
        let principal = Principal::new(row.text(1)?)?;
        let (source, user, ground) = (text(row, 0)?, text(row, 2)?, text(row, 3)?);
        room.take(&[principal.as_str(), &source, &user, &ground])?;
        mappings.insert(Mapping { source, principal, user, ground });
        Ok(())
    })?;
    Ok(mappings)
}

/// `keeps` is asked about each person.
fn read_rows(tables: &Tables, keeps: impl Fn(&str) -> bool) -> Result<Roster, Damaged> {
    let mut room = Room::new();
    let (published, schedules) = read_schedules(tables, &mut room)?;
    let mut roster =
        Roster { published, floor: published, schedules, shifts: Vec::new(), eligible: Default::default() };
    let mut count = 0;
    // schedule, principal, level, starts, ends
    tables.rows("shift", 5, |row| {
        bounded(count)?;
        count += 1;
        let (name, schedule, level, window) = shift(row, roster.schedules.len())?;
        if keeps(name) {
            room.take(&[name])?;
            roster.shifts.push(Shift { schedule, principal: Principal::new(name)?, level, window });
        }
        Ok(())
    })?;
    let mut count = 0;
    // principal, eligible
    tables.rows("person", 2, |row| {
        bounded(count)?;
        count += 1;
        let (name, eligible) = (name(row, 0)?, flag(row.integer(1)?)?);
        if keeps(name) {
            room.take(&[name])?;
            roster.eligible.insert(Principal::new(name)?, eligible);
        }
        Ok(())
    })?;
    Ok(roster)
}

/// When the roster was written, and its schedules.
fn read_schedules(tables: &Tables, room: &mut Room) -> Result<(Timestamp, Vec<Schedule>), Damaged> {
    let mut published = None;
    // published
    tables.rows("meta", 1, |row| {
        let first = Timestamp::from_unix(row.integer(0)?);
        published.get_or_insert(first);
        Ok(())
    })?;
    let published = published.ok_or("it does not say when it was written")?;
    let mut schedules = Vec::new();
    // number, source, id, provider_id, name, synced, horizon: the first is the row's own number.
    tables.rows("schedule", 7, |row| {
        if row.number != schedules.len() as i64 {
            return Err("schedules are not numbered in order".into());
        }
        bounded(schedules.len())?;
        let synced = Timestamp::from_unix(row.integer(5)?);
        if synced > published {
            return Err("a schedule that was read after the roster was written".into());
        }
        let (source, id, provider_id, name) = (text(row, 1)?, text(row, 2)?, text(row, 3)?, text(row, 4)?);
        room.take(&[&source, &id, &provider_id, &name])?;
        schedules.push(Schedule {
            reference: ScheduleRef { source, id },
            provider_id,
            name: name.into(),
            synced,
            horizon: Timestamp::from_unix(row.integer(6)?),
        });
        Ok(())
    })?;
    Ok((published, schedules))
}

/// Whose shift it is, of which schedule and level, and when.
fn shift<'p>(row: &Row<'p>, schedules: usize) -> Result<(&'p str, usize, u8, Window), Damaged> {
    let schedule = usize::try_from(row.integer(0)?)?;
    if schedule >= schedules {
        return Err("a shift of no schedule".into());
    }
    let (start, end) = (Timestamp::from_unix(row.integer(3)?), Timestamp::from_unix(row.integer(4)?));
    // Beside the open ends, which stand for themselves, a provider tells dates.
    if !(start == Timestamp::MIN || start.has_date()) || !(end == Timestamp::MAX || end.has_date()) {
        return Err("a shift at a time that no calendar has".into());
    }
    let level = match u8::try_from(row.integer(2)?)? {
        0 => return Err("a shift of level 0".into()),
        level => level,
    };
    let window = Window::new(start, end).ok_or("a shift that ends before it starts")?;
    Ok((name(row, 1)?, schedule, level, window))
}

/// A name that can be a person's.
fn name<'p>(row: &Row<'p>, column: usize) -> Result<&'p str, Damaged> {
    let name = row.text(column)?;
    Principal::check(name)?;
    Ok(name)
}

/// The longest name or id that a reader takes, in bytes.
const LONGEST_TEXT: usize = 1024;

fn text(row: &Row<'_>, column: usize) -> Result<String, Damaged> {
    match row.text(column)? {
        text if text.len() <= LONGEST_TEXT => Ok(text.to_string()),
        _ => Err("a name longer than any is".into()),
    }
}

/// What is left of [`MOST_BYTES`].
struct Room(usize);

impl Room {
    fn new() -> Self {
        Self(MOST_BYTES)
    }

    /// Takes what a row with these texts costs.
    fn take(&mut self, texts: &[&str]) -> Result<(), &'static str> {
        let bytes = texts.iter().map(|text| text.len()).sum::<usize>() + ROW_BYTES;
        self.0 = self.0.checked_sub(bytes).ok_or("it is larger than any roster is")?;
        Ok(())
    }
}

fn bounded(rows: usize) -> Result<(), &'static str> {
    if rows < MOST_ROWS { Ok(()) } else { Err("more rows than any roster has") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Fault, Proven, Span};
    use rusqlite::Connection;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn example() -> Roster {
        let alice = Principal::new("alice").unwrap();
        let at = Timestamp::from_unix;
        Roster {
            published: at(1000),
            floor: at(1000),
            schedules: vec![Schedule {
                reference: ScheduleRef { source: "pd".into(), id: "P1".into() },
                provider_id: "P1".into(),
                name: "primary".into(),
                synced: at(1000),
                horizon: at(9000),
            }],
            shifts: vec![Shift {
                schedule: 0,
                principal: alice.clone(),
                level: 1,
                window: Window::new(Timestamp::MIN, at(2000)).unwrap(),
            }],
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
        let dave = Principal::new("dave").unwrap();
        assert_eq!(read_for(&path, Some(&dave), Timestamp::MAX).unwrap_err().fault(), fault);
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
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn what_readers_would_refuse_is_not_published() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        publish(&path, &example(), &BTreeSet::new()).unwrap();
        type Change = fn(&mut Roster);
        let changes: [(&str, Change); 3] = [
            ("a name longer than any is", |roster| roster.schedules[0].name = "x".repeat(2000).into()),
            ("a shift of no schedule", |roster| roster.shifts[0].schedule = 7),
            ("a shift of level 0", |roster| roster.shifts[0].level = 0),
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

    #[test]
    fn what_one_decision_needs_is_theirs_and_whoevers_shift_it_is_now() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        let mut roster = example();
        let at = Timestamp::from_unix;
        let names = ["alice", "bob", "carol", "dave"].map(|name| Principal::new(name).unwrap());
        for (person, from, to) in [(1, 1500, 2500), (2, 2500, 3500), (1, 3500, 4500)] {
            let (principal, window) = (names[person].clone(), Window::new(at(from), at(to)).unwrap());
            roster.shifts.push(Shift { schedule: 0, principal, level: 1, window });
        }
        roster.eligible = names.iter().map(|name| (name.clone(), *name != names[1])).collect();
        publish(&path, &roster, &BTreeSet::new()).unwrap();
        let read = |person: Option<&Principal>, now| {
            let part = read_for(&path, person, at(now)).unwrap();
            assert_eq!((part.published, &part.schedules), (roster.published, &roster.schedules));
            let shifts = part.shifts.iter().map(|shift| shift.window.end().unix()).collect::<Vec<_>>();
            let people = part.eligible.iter().map(|(name, may)| format!("{name} {may}")).collect::<Vec<_>>();
            (shifts, people.join(","))
        };
        assert_eq!(read(Some(&names[1]), 1700), (vec![2000, 2500, 4500], "alice true,bob false".to_string()));
        let both = (vec![2000, 2500, 4500], "alice true,bob false,dave true".to_string());
        assert_eq!(read(Some(&names[3]), 1700), both);
        assert_eq!(read(None, 2500), (vec![3500], "carol true".to_string()));
        assert_eq!(read(None, 9000), (vec![], String::new()));
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
        let set =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
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
    fn one_sync_at_a_time() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        let first = crate::SyncLock::take(&path).unwrap();
        assert!(matches!(crate::SyncLock::take(&path), Err(StoreError::Busy(_))));
        drop(first);
        assert!(crate::SyncLock::take(&path).is_ok());
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
        let synced = |now| {
            read(&path, at(now)).unwrap().schedules.iter().map(|one| one.synced.unix()).collect::<Vec<_>>()
        };
        let holds = |now| read(&path, at(now)).unwrap().clock_holds(at(now));
        assert!(!holds(1100) && holds(90_000), "nothing vouches for it");
        let uptime = clock::uptime();
        crate::prove(&path, 0o644, &Proven::seen(at(900), None, uptime, at(90_000))).unwrap();
        assert_eq!((synced(1100), holds(1100)), (vec![900, 1000], true));
        assert_eq!(synced(90_000), [90_000, 1000]);
        crate::prove(&path, 0o644, &Proven::seen(at(900), None, uptime, at(1)).of(at(89_999))).unwrap();
        assert_eq!((synced(1100), holds(1100)), (vec![90_000, 1000], false), "of another copy");
        crate::prove(&path, 0o644, &Proven::seen(at(99_000), None, uptime, at(90_000))).unwrap();
        assert!(!holds(98_000) && holds(98_999) && read(&path, at(98_999).minus(Span::hours(9))).is_ok());
    }
}
