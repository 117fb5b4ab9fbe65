//! roster.db: who is on call, written by `oncall-cache sync`, read by everything that decides.
//!
//! Its tables are an interface: `sqlite3 roster.db 'SELECT * FROM shift'` is something people do.
//! Instants are seconds since the epoch. There are no mail addresses and no secrets in it.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;

use policy::{Principal, Roster, Schedule, ScheduleRef, Shift, Shifts, Timestamp, Window};
use rusqlite::params;

use crate::StoreError;
use crate::keys::flag;
use crate::pages::{Row, Tables};
use crate::publish::replace;
use crate::schema::{Form, Schema, one_more};

const SCHEMA: Schema = Schema {
    application: 0x414b_726f, // "AKro"
    written: Form { version: 2, statements: &TABLES },
    also: Some(Form { version: 1, statements: &FIRST_TABLES }),
}
.with_next(Form { version: 3, statements: &NEXT_TABLES });

const NEXT_TABLES: [&str; 7] = one_more(TABLES);

const META: &str = "CREATE TABLE meta (published INTEGER NOT NULL)";
const SCHEDULE: &str = "CREATE TABLE schedule (number INTEGER PRIMARY KEY NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, provider_id TEXT NOT NULL, name TEXT NOT NULL, synced INTEGER NOT NULL, horizon INTEGER NOT NULL, UNIQUE (source, id))";
const PERSON: &str =
    "CREATE TABLE person (principal TEXT PRIMARY KEY NOT NULL, eligible INTEGER NOT NULL) WITHOUT ROWID";
/// For those who ask why; no decision reads it.
const MAPPING: &str = "CREATE TABLE mapping (source TEXT NOT NULL, principal TEXT NOT NULL, user TEXT NOT NULL, ground TEXT NOT NULL, PRIMARY KEY (source, principal, user)) WITHOUT ROWID";

/// A decision reads the rows of one person by the table's key, and those of whoever is on call at an instant by the
/// index: shifts are sorted by the order of magnitude of their length, so that among those of one magnitude only the
/// ones that start less than that before the instant can hold it.
const TABLES: [&str; 6] = [
    META,
    SCHEDULE,
    "CREATE TABLE shift (schedule INTEGER NOT NULL, principal TEXT NOT NULL, level INTEGER NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL, magnitude INTEGER NOT NULL, PRIMARY KEY (principal, starts, ends, schedule, level)) WITHOUT ROWID",
    PERSON,
    MAPPING,
    "CREATE INDEX shift_time ON shift (magnitude, starts)",
];

/// As they were before: shifts in no order.
const FIRST_TABLES: [&str; 5] = [
    META,
    SCHEDULE,
    "CREATE TABLE shift (schedule INTEGER NOT NULL, principal TEXT NOT NULL, level INTEGER NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL)",
    PERSON,
    MAPPING,
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
        let read = read_rows(&written).and_then(|read| Ok((read, read_mappings(&written)?)));
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
    {
        let mut insert = transaction.prepare("INSERT INTO shift VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for shift in &roster.shifts {
            let (start, end) = (shift.window.start().unix(), shift.window.end().unix());
            insert.execute(params![
                shift.schedule as i64,
                shift.principal.as_str(),
                shift.level,
                start,
                end,
                magnitude(start, end)
            ])?;
        }
        let mut insert = transaction.prepare("INSERT INTO person VALUES (?1, ?2)")?;
        for (principal, eligible) in &roster.eligible {
            insert.execute(params![principal.as_str(), i64::from(*eligible)])?;
        }
    }
    for Mapping { source, principal, user, ground } in mappings {
        transaction.execute(
            "INSERT INTO mapping VALUES (?1, ?2, ?3, ?4)",
            params![source, principal.as_str(), user, ground],
        )?;
    }
    SCHEMA.index(&transaction)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// The binary digits of a shift's length in seconds.
fn magnitude(start: i64, end: i64) -> i64 {
    i64::from(u64::BITS - start.abs_diff(end).leading_zeros())
}

/// The earliest start of a shift of this magnitude that holds `now`; it starts at `now` at the latest.
fn earliest_start(magnitude: i64, now: i64) -> i64 {
    let longest =
        u32::try_from(magnitude).ok().and_then(|digits| 1_i64.checked_shl(digits)).filter(|&it| it > 0);
    longest.map_or(i64::MIN, |longest| now.saturating_sub(longest))
}

/// Reads the roster at `path`, believing nothing of it but what its types and names bear out. Whether a clock that
/// shows `now` is one to believe it by, it says itself.
pub fn read(path: &Path, now: Timestamp) -> Result<Roster, StoreError> {
    opened(path, read_rows).map(|roster| dated(path, roster, now))
}

/// What of a roster is wanted. Rows that are not are not looked at, and not judged.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Schedules; shifts of others are left out.
    pub schedules: &'a BTreeSet<&'a ScheduleRef>,
    /// These people: all of their shifts, and whether they are eligible.
    pub people: &'a [Principal],
    /// The same of everybody who has a shift at this instant.
    pub on_call: Option<Timestamp>,
}

/// Reads a part of the roster at `path`. It decides about these people as the whole does, if `schedules` are those that rules
/// here name, and with `on_call` it tells who is on call at that instant.
pub fn read_part(path: &Path, part: Part<'_>, now: Timestamp) -> Result<Roster, StoreError> {
    opened(path, |tables| read_rows_of(tables, part)).map(|roster| dated(path, roster, now))
}

/// `roster` by what its last sync knew of the time. A schedule that was read while the clock was ahead was read after the
/// instant that is proven.
fn dated(path: &Path, mut roster: Roster, now: Timestamp) -> Roster {
    let proven = clock::proven(path);
    roster.floor = clock::floor(roster.published, proven.as_ref(), now);
    if let Some(proven) = proven.filter(|proven| proven.vouches_for(roster.published)) {
        for schedule in &mut roster.schedules {
            schedule.synced = clock::read_at(&proven, schedule.synced, now);
        }
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

/// Reads how the people in the roster at `path` were found.
pub fn mappings(path: &Path) -> Result<BTreeSet<Mapping>, StoreError> {
    opened(path, read_mappings)
}

/// The same of one person, in these sources.
pub fn mappings_of<'s>(
    path: &Path,
    person: &Principal,
    sources: impl IntoIterator<Item = &'s str>,
) -> Result<BTreeSet<Mapping>, StoreError> {
    opened(path, |tables| {
        let (mut mappings, mut room) = (BTreeSet::new(), Room::new());
        for source in sources {
            let own = |row: &Row<'_>| Ok(row.text(0)?.cmp(source).then(row.text(1)?.cmp(person.as_str())));
            tables.range("mapping", 4, own, |row| add_mapping(row, &mut mappings, &mut room))?;
        }
        Ok(mappings)
    })
}

type Damaged = Box<dyn std::error::Error>;

fn read_mappings(tables: &Tables) -> Result<BTreeSet<Mapping>, Damaged> {
    let (mut mappings, mut room) = (BTreeSet::new(), Room::new());
    tables.rows("mapping", 4, |row| add_mapping(row, &mut mappings, &mut room))?;
    Ok(mappings)
}

fn add_mapping(row: &Row<'_>, mappings: &mut BTreeSet<Mapping>, room: &mut Room) -> Result<(), Damaged> {
    bounded(mappings.len())?;
    // source, principal, user, ground
    let principal = Principal::new(row.text(1)?)?;
    let (source, user, ground) = (text(row, 0)?, text(row, 2)?, text(row, 3)?);
    room.take(&[principal.as_str(), &source, &user, &ground])?;
    mappings.insert(Mapping { source, principal, user, ground });
    Ok(())
}

fn read_rows(tables: &Tables) -> Result<Roster, Damaged> {
    let mut reader = Reader::new(tables, |_| true)?;
    if reader.is_ordered {
        tables.rows("shift", COLUMNS, |row| reader.keep_shift(&ShiftRow::new(row)?))?;
    } else {
        tables.rows("shift", FIRST_COLUMNS, |row| reader.keep_shift(&ShiftRow::first(row)?))?;
    }
    tables.rows("person", 2, |row| reader.keep_person(row))?;
    Ok(reader.finish())
}

fn read_rows_of(tables: &Tables, part: Part<'_>) -> Result<Roster, Damaged> {
    let mut reader = Reader::new(tables, |schedule| part.schedules.contains(schedule))?;
    let mut people: BTreeSet<Principal> = part.people.iter().cloned().collect();
    if let Some(now) = part.on_call {
        reader.add_on_call(now.unix(), &mut people)?;
    }
    if !reader.is_ordered {
        tables.rows("shift", FIRST_COLUMNS, |row| match ShiftRow::first(row)? {
            row if people.iter().any(|person| person.as_str() == row.principal) => reader.keep_shift(&row),
            _ => Ok(()),
        })?;
    }
    for person in &people {
        let own = |row: &Row<'_>| Ok(row.text(0)?.cmp(person.as_str()));
        if reader.is_ordered {
            tables.range("shift", COLUMNS, own, |row| reader.keep_shift(&ShiftRow::new(row)?))?;
        }
        tables.range("person", 2, own, |row| reader.keep_person(row))?;
    }
    Ok(reader.finish())
}

/// Reads rows into a roster.
struct Reader<'t> {
    tables: &'t Tables,
    /// Are shifts kept in the order of their key, with an index of times?
    is_ordered: bool,
    roster: Roster,
    /// For each schedule in the file where it is in the roster, if it is wanted.
    numbers: Vec<Option<usize>>,
    room: Room,
    shifts: Vec<Shift>,
    /// Rows of each kind that were met.
    met: (usize, usize),
}

impl<'t> Reader<'t> {
    /// Reads when the roster was written, and the schedules that are `wanted`.
    fn new(tables: &'t Tables, wanted: impl Fn(&ScheduleRef) -> bool) -> Result<Self, Damaged> {
        let mut published = None;
        // published
        tables.rows("meta", 1, |row| {
            let first = Timestamp::from_unix(row.integer(0)?);
            published.get_or_insert(first);
            Ok(())
        })?;
        let published = published.ok_or("it does not say when it was written")?;
        let roster = Roster {
            published,
            floor: published,
            schedules: Vec::new(),
            shifts: Shifts::default(),
            eligible: Default::default(),
        };
        let is_ordered = tables.has("shift_time");
        let (numbers, room) = (Vec::new(), Room::new());
        let mut reader = Self { tables, is_ordered, roster, numbers, room, shifts: Vec::new(), met: (0, 0) };
        // number, source, id, provider_id, name, synced, horizon: the first is the row's own number.
        tables.rows("schedule", 7, |row| reader.add_schedule(row, &wanted))?;
        Ok(reader)
    }

    fn add_schedule(&mut self, row: &Row<'_>, wanted: impl Fn(&ScheduleRef) -> bool) -> Result<(), Damaged> {
        if row.number != self.numbers.len() as i64 {
            return Err("schedules are not numbered in order".into());
        }
        bounded(self.numbers.len())?;
        let synced = Timestamp::from_unix(row.integer(5)?);
        if synced > self.roster.published {
            return Err("a schedule that was read after the roster was written".into());
        }
        let (reference, horizon) =
            (ScheduleRef { source: text(row, 1)?, id: text(row, 2)? }, row.integer(6)?);
        if !wanted(&reference) {
            self.numbers.push(None);
            return Ok(());
        }
        let (provider_id, name) = (text(row, 3)?, text(row, 4)?);
        self.room.take(&[&reference.source, &reference.id, &provider_id, &name])?;
        self.numbers.push(Some(self.roster.schedules.len()));
        let (name, horizon) = (name.into(), Timestamp::from_unix(horizon));
        self.roster.schedules.push(Schedule { reference, provider_id, name, synced, horizon });
        Ok(())
    }

    /// Keeps a shift, if it is of a schedule that is wanted.
    fn keep_shift(&mut self, row: &ShiftRow<'_>) -> Result<(), Damaged> {
        bounded(self.met.0)?;
        self.met.0 += 1;
        let number = usize::try_from(row.schedule)?;
        let schedule = *self.numbers.get(number).ok_or("a shift of no schedule")?;
        let (level, window) = (row.level()?, row.window()?);
        Principal::check(row.principal)?;
        if let Some(schedule) = schedule {
            self.room.take(&[row.principal])?;
            let principal = Principal::new(row.principal)?;
            self.shifts.push(Shift { schedule, principal, level, window });
        }
        Ok(())
    }

    /// Keeps a person, and whether they are eligible.
    fn keep_person(&mut self, row: &Row<'_>) -> Result<(), Damaged> {
        bounded(self.met.1)?;
        self.met.1 += 1;
        // principal, eligible
        let (name, eligible) = (row.text(0)?, flag(row.integer(1)?)?);
        self.room.take(&[name])?;
        self.roster.eligible.insert(Principal::new(name)?, eligible);
        Ok(())
    }

    fn finish(self) -> Roster {
        Roster { shifts: self.shifts.into(), ..self.roster }
    }

    /// Adds to `people` whoever has a shift at `now` in a schedule that is wanted.
    fn add_on_call(&mut self, now: i64, people: &mut BTreeSet<Principal>) -> Result<(), Damaged> {
        let Self { tables, is_ordered, numbers, room, .. } = self;
        let mut add = |row: ShiftRow<'_>| {
            let number = usize::try_from(row.schedule)?;
            let is_wanted = numbers.get(number).ok_or("a shift of no schedule")?.is_some();
            if is_wanted && row.starts <= now && now < row.ends {
                let person = Principal::new(row.principal)?;
                if !people.contains(&person) {
                    room.take(&[row.principal])?;
                    people.insert(person);
                }
            }
            Ok(())
        };
        if !*is_ordered {
            return tables.rows("shift", FIRST_COLUMNS, |row| add(ShiftRow::first(row)?));
        }
        let mut above = -1;
        while let Some(magnitude) = next_magnitude(tables, above)? {
            let earliest = earliest_start(magnitude, now);
            let place = |row: &Row<'_>| {
                let start = row.integer(1)?;
                let within =
                    if start < earliest { Ordering::Less } else { start.cmp(&now).max(Ordering::Equal) };
                Ok(row.integer(0)?.cmp(&magnitude).then(within))
            };
            tables.range("shift_time", COLUMNS, place, |row| add(ShiftRow::by_time(row)?))?;
            above = magnitude;
        }
        Ok(())
    }
}

/// The least magnitude `above` this one that any shift has.
fn next_magnitude(tables: &Tables, above: i64) -> Result<Option<i64>, Damaged> {
    let found = Cell::new(None);
    let place = |row: &Row<'_>| match found.get() {
        _ if row.integer(0)? <= above => Ok(Ordering::Less),
        None => Ok(Ordering::Equal),
        Some(_) => Ok(Ordering::Greater),
    };
    tables.range("shift_time", COLUMNS, place, |row| {
        found.set(Some(row.integer(0)?));
        Ok(())
    })?;
    Ok(found.get())
}

/// Columns of the table of shifts, and of its index.
const COLUMNS: usize = 6;

/// The same in the first form, which has no index.
const FIRST_COLUMNS: usize = 5;

/// A row of the table of shifts, or of its index.
struct ShiftRow<'p> {
    schedule: i64,
    principal: &'p str,
    level: i64,
    starts: i64,
    ends: i64,
}

impl<'p> ShiftRow<'p> {
    /// Of the table: its key comes first.
    fn new(row: &Row<'p>) -> Result<Self, Damaged> {
        // principal, starts, ends, schedule, level, magnitude
        let (principal, starts, ends) = (row.text(0)?, row.integer(1)?, row.integer(2)?);
        if row.integer(5)? != magnitude(starts, ends) {
            return Err("a shift that is not as long as it says".into());
        }
        Ok(Self { schedule: row.integer(3)?, principal, level: row.integer(4)?, starts, ends })
    }

    /// Of the index: its columns, then what else is in the key.
    fn by_time(row: &Row<'p>) -> Result<Self, Damaged> {
        // magnitude, starts, principal, ends, schedule, level
        let (starts, principal, ends) = (row.integer(1)?, row.text(2)?, row.integer(3)?);
        Ok(Self { schedule: row.integer(4)?, principal, level: row.integer(5)?, starts, ends })
    }

    /// Of the table in the first form.
    fn first(row: &Row<'p>) -> Result<Self, Damaged> {
        // schedule, principal, level, starts, ends
        let (schedule, principal, level) = (row.integer(0)?, row.text(1)?, row.integer(2)?);
        Ok(Self { schedule, principal, level, starts: row.integer(3)?, ends: row.integer(4)? })
    }

    fn level(&self) -> Result<u8, Damaged> {
        match u8::try_from(self.level)? {
            0 => Err("a shift of level 0".into()),
            level => Ok(level),
        }
    }

    fn window(&self) -> Result<Window, Damaged> {
        let (start, end) = (Timestamp::from_unix(self.starts), Timestamp::from_unix(self.ends));
        // Beside the open ends, which stand for themselves, a provider tells dates.
        if !(start == Timestamp::MIN || start.has_date()) || !(end == Timestamp::MAX || end.has_date()) {
            return Err("a shift at a time that no calendar has".into());
        }
        Window::new(start, end).ok_or_else(|| "a shift that ends before it starts".into())
    }
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

    fn first_shift() -> Shift {
        let window = Window::new(Timestamp::MIN, Timestamp::from_unix(2000)).unwrap();
        Shift { schedule: 0, principal: Principal::new("alice").unwrap(), level: 1, window }
    }

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
        let schedules = &BTreeSet::from([primary]);
        for (people, on_call) in [(vec![alice.clone()], None), (vec![], Some(Timestamp::from_unix(1500)))] {
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
            ("a name longer than any is", |roster| roster.schedules[0].name = "x".repeat(2000).into()),
            ("a shift of no schedule", |roster| {
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
                let schedules: BTreeSet<&ScheduleRef> =
                    wanted.iter().map(|number| &whole.schedules[*number].reference).collect();
                let name = |number: i64| Principal::new(&format!("p{}", number % 43)).unwrap();
                let people: Vec<Principal> = (0..round % 4).map(|other| name(round + 5 * other)).collect();
                let instants = [whole.shifts[round as usize].window.end(), Timestamp::from_unix(round * 977)];
                let on_call = (round % 3 > 0).then_some(instants[round as usize % 2]);
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
        let is_on_call = |shift: &&Shift| part.on_call.is_some_and(|now| shift.window.contains(now));
        let mut people: BTreeSet<&Principal> =
            whole.shifts.iter().filter(counts).filter(is_on_call).map(|shift| &shift.principal).collect();
        people.extend(part.people);
        let number = |shift: &Shift| wanted.iter().position(|number| *number == shift.schedule).unwrap();
        let own = whole.shifts.iter().filter(counts).filter(|shift| people.contains(&shift.principal));
        Roster {
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
