//! roster.db: who is on call, written by `oncall-cache sync`, read by everything that decides.
//!
//! Its tables are an interface: `sqlite3 roster.db 'SELECT * FROM shift'` is something people do.
//! Instants are seconds since the epoch. There are no mail addresses and no secrets in it.

mod incidents;
mod late;
mod left;
mod part;
mod reread;

use std::collections::BTreeSet;
use std::path::Path;

use policy::{
    Incidents, LeftOut, Principal, Roster, Schedule, ScheduleRef, Shift, Shifts, Timestamp, Window,
};
use publish::PublishError;
use rusqlite::params;
use trust::Directory;

use crate::StoreError;
use crate::keys::flag;
use crate::pages::{Damaged, Row, Tables};
use crate::publish::replace;
use crate::schema::{self, Form, Schema, one_more};
pub use part::{OnCall, Part, RosterFile, Who, read_part};
pub use reread::Reread;

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

/// A decision reads the rows of one person by the table's key, and those of the people on call at an instant by the
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

/// Replaces the roster at `path`, if readers will take the new one: one that they refuse would shut everybody out. What of
/// it is late is added beside it before; what is late of the old one alone goes after.
///
/// # Errors
/// The old roster stays, with all that is late of it.
pub fn publish(path: &Path, roster: &Roster, mappings: &BTreeSet<Mapping>) -> Result<(), StoreError> {
    publish_narrowed(path, roster, mappings, &[])
}

/// As [`publish`], with what of the rota does not count: beside it as well, before, and of this roster alone after.
///
/// # Errors
/// The old roster stays, with all that is said of it.
pub fn publish_narrowed(
    path: &Path,
    roster: &Roster,
    mappings: &BTreeSet<Mapping>,
    left: &[LeftOut],
) -> Result<(), StoreError> {
    late::add(path, &roster.late)?;
    let standing = || opened(path, |tables| Ok(Reader::new(tables, |_, _| false)?.roster.published)).ok();
    left::add(path, (standing, roster.published), left)?;
    publish_rows(path, roster, mappings)?;
    // Where that fails, what is said too much is of shifts that the roster has not, or of another roster.
    let _ = late::write(path, &roster.late);
    let _ = left::write(path, roster.published, left);
    Ok(())
}

/// Keeps what is known of incidents beside the roster at `path`, which need not be there.
///
/// # Errors
/// It could not be written; what was kept stays.
pub fn publish_incidents(path: &Path, known: &Incidents) -> Result<(), PublishError> {
    incidents::write(path, known)
}

/// What is kept of incidents beside the roster at `path`, whether there is one or not.
pub fn incidents(path: &Path) -> Incidents {
    judged(path).map(|directory| incidents::read(&directory, path)).unwrap_or_default()
}

/// What of the rota does not count in `roster`, which was read from `path`, because a file of the site's says so.
pub fn left_out(path: &Path, roster: &Roster) -> Vec<LeftOut> {
    judged(path).map(|directory| left::read(&directory, path, roster.published)).unwrap_or_default()
}

fn publish_rows(path: &Path, roster: &Roster, mappings: &BTreeSet<Mapping>) -> Result<(), StoreError> {
    replace(path, 0o644, |temporary| -> Result<(), Damaged> {
        write(temporary, roster, mappings)?;
        let written = SCHEMA.open_written(temporary)?;
        let with_late =
            |read| Roster { late: roster.late.clone(), incidents: roster.incidents.clone(), ..read };
        let read = read_rows(&written).and_then(|read| Ok((with_late(read), read_mappings(&written)?)));
        match read {
            Ok((back, _)) if back == *roster => Ok(()),
            Ok(_) => Err("it does not read back as it was written; please report this".into()),
            Err(error) => Err(format!("readers would refuse it: {error}").into()),
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

/// Reads the roster at `path`, believing nothing of it but what its types and names bear out. Whether a clock that
/// shows `now` allows it to be trusted, it says itself.
pub fn read(path: &Path, now: Timestamp) -> Result<Roster, StoreError> {
    let directory = judged(path)?;
    let mut roster = read_rows(&open(&directory, path)?).map_err(|error| damaged(path, error))?;
    date(&mut roster, &directory, path, now);
    Ok(roster)
}

/// Reads a copy of a roster that somebody has at hand: whoever could have written it, since it decides nothing. Later
/// readings of the same count where they were copied with it.
pub fn snapshot(path: &Path) -> Result<Roster, StoreError> {
    let tables = SCHEMA.open_unjudged(path)?;
    let mut roster = read_rows(&tables).map_err(|error| damaged(path, error))?;
    if let Some(reread) = Reread::unjudged(path) {
        reread.apply(&mut roster);
    }
    Ok(roster)
}

/// Adds to `roster`, read from `path`, what is kept beside it: later readings of the same, what of it is late, and what its
/// last sync knew of the time. A schedule that was read while the clock was ahead was read after
/// the instant that is proven.
fn date(roster: &mut Roster, directory: &Directory, path: &Path, now: Timestamp) {
    if let Some(reread) = Reread::read(directory, path) {
        reread.apply(roster);
    }
    roster.late = late::read(directory, path);
    roster.incidents = incidents::read(directory, path);
    let proven = clock::proven_in(directory, path);
    let proven = proven.as_ref();
    roster.floor = clock::floor(roster.published, proven, now);
    if let Some(proven) = proven.filter(|proven| proven.vouches_for(roster.published)) {
        for schedule in &mut roster.schedules {
            schedule.synced = clock::read_at(proven, schedule.synced, now);
        }
    }
}

/// What `read` makes of the roster at `path`.
fn opened<T>(path: &Path, read: impl FnOnce(&Tables) -> Result<T, Damaged>) -> Result<T, StoreError> {
    read(&open(&judged(path)?, path)?).map_err(|error| damaged(path, error))
}

/// The directory of the roster at `path`: what belongs to it is beside it.
fn judged(path: &Path) -> Result<Directory, StoreError> {
    schema::judged(path).map_err(|error| error.written_by(WRITER))
}

fn open(directory: &Directory, path: &Path) -> Result<Tables, StoreError> {
    SCHEMA.open_tables(directory, path).map_err(|error| error.written_by(WRITER))
}

fn damaged(path: &Path, error: Damaged) -> StoreError {
    StoreError::reading(path, error).written_by(WRITER)
}

/// What writes a roster, for those who read that there is none.
const WRITER: &str = "oncall-cache sync";

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
        let (mut mappings, mut room) = (BTreeSet::new(), SizeLimit::new());
        for source in sources {
            let own = |row: &Row<'_>| Ok(row.text(0)?.cmp(source).then(row.text(1)?.cmp(person.as_str())));
            tables.range("mapping", 4, own, |row| add_mapping(row, &mut mappings, &mut room))?;
        }
        Ok(mappings)
    })
}

fn read_mappings(tables: &Tables) -> Result<BTreeSet<Mapping>, Damaged> {
    let (mut mappings, mut room) = (BTreeSet::new(), SizeLimit::new());
    tables.rows("mapping", 4, |row| add_mapping(row, &mut mappings, &mut room))?;
    Ok(mappings)
}

fn add_mapping(row: &Row<'_>, mappings: &mut BTreeSet<Mapping>, room: &mut SizeLimit) -> Result<(), Damaged> {
    bounded(mappings.len())?;
    // source, principal, user, ground
    let principal = Principal::new(row.text(1)?)?;
    let (source, user, ground) = (text(row, 0)?, text(row, 2)?, text(row, 3)?);
    room.take(&[principal.as_str(), source, user, ground])?;
    let [source, user, ground] = [source, user, ground].map(str::to_string);
    mappings.insert(Mapping { source, principal, user, ground });
    Ok(())
}

fn read_rows(tables: &Tables) -> Result<Roster, Damaged> {
    let mut reader = Reader::new(tables, |_, _| true)?;
    if reader.is_ordered {
        tables.rows("shift", COLUMNS, |row| reader.keep_shift(&ShiftRow::new(row)?))?;
    } else {
        tables.rows("shift", FIRST_COLUMNS, |row| reader.keep_shift(&ShiftRow::first(row)?))?;
    }
    tables.rows("person", 2, |row| reader.keep_person(row))?;
    reader.finish();
    Ok(reader.roster)
}

/// Puts rows into a roster.
#[derive(Debug)]
struct Reader {
    /// Are shifts kept in the order of their key, with an index of times?
    is_ordered: bool,
    roster: Roster,
    /// For each schedule in the file where it is in the roster, if it is wanted.
    numbers: Vec<Option<usize>>,
    room: SizeLimit,
    shifts: Vec<Shift>,
    /// Rows of each kind that were met.
    met: (usize, usize),
}

impl Reader {
    /// Reads when the roster was written, and the schedules that are `wanted`.
    fn new(tables: &Tables, wanted: impl Fn(&str, &str) -> bool) -> Result<Self, Damaged> {
        let mut published = None;
        // published
        tables.rows("meta", 1, |row| {
            let first = Timestamp::from_unix(row.integer(0)?);
            published.get_or_insert(first);
            Ok(())
        })?;
        let published = published.ok_or("it has no time of writing")?;
        let roster = Roster {
            published,
            floor: published,
            schedules: Vec::new(),
            shifts: Shifts::default(),
            late: Vec::new(),
            incidents: Default::default(),
            eligible: Default::default(),
        };
        let is_ordered = tables.has("shift_time");
        let (numbers, room) = (Vec::new(), SizeLimit::new());
        let mut reader = Self { is_ordered, roster, numbers, room, shifts: Vec::new(), met: (0, 0) };
        // number, source, id, provider_id, name, synced, horizon: the first is the row's own number.
        tables.rows("schedule", 7, |row| reader.add_schedule(row, &wanted))?;
        Ok(reader)
    }

    fn add_schedule(&mut self, row: &Row<'_>, wanted: impl Fn(&str, &str) -> bool) -> Result<(), Damaged> {
        if row.number != self.numbers.len() as i64 {
            return Err("schedules are not numbered in order".into());
        }
        bounded(self.numbers.len())?;
        let synced = Timestamp::from_unix(row.integer(5)?);
        if synced > self.roster.published {
            return Err("a schedule that was read later than the roster was written".into());
        }
        let (source, id, horizon) = (text(row, 1)?, text(row, 2)?, row.integer(6)?);
        if !wanted(source, id) {
            self.numbers.push(None);
            return Ok(());
        }
        let (provider_id, name) = (text(row, 3)?, text(row, 4)?);
        self.room.take(&[source, id, provider_id, name])?;
        self.numbers.push(Some(self.roster.schedules.len()));
        let reference = ScheduleRef { source: source.to_string(), id: id.to_string() };
        let (provider_id, name) = (provider_id.to_string(), name.into());
        let horizon = Timestamp::from_unix(horizon);
        self.roster.schedules.push(Schedule { reference, provider_id, name, synced, horizon });
        Ok(())
    }

    /// Keeps a shift, if it is of a schedule that is wanted.
    fn keep_shift(&mut self, row: &ShiftRow<'_>) -> Result<(), Damaged> {
        bounded(self.met.0)?;
        self.met.0 += 1;
        let number = usize::try_from(row.schedule)?;
        let schedule = *self.numbers.get(number).ok_or("a shift without a schedule")?;
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

    /// Puts the shifts that were kept in order.
    fn finish(&mut self) {
        self.roster.shifts = std::mem::take(&mut self.shifts).into();
    }
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
            return Err("a shift whose length does not match its times".into());
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
        // Apart from open ends, a provider gives dates.
        if !(start == Timestamp::MIN || start.has_date()) || !(end == Timestamp::MAX || end.has_date()) {
            return Err("a shift at a time outside the calendar".into());
        }
        Window::new(start, end).ok_or_else(|| "a shift that ends before it starts".into())
    }
}

/// The longest name or id that a reader takes, in bytes.
const LONGEST_TEXT: usize = 1024;

fn text<'p>(row: &Row<'p>, column: usize) -> Result<&'p str, Damaged> {
    match row.text(column)? {
        text if text.len() <= LONGEST_TEXT => Ok(text),
        _ => Err("a name longer than the limit".into()),
    }
}

/// What is left of [`MOST_BYTES`].
#[derive(Debug, Clone, Copy)]
struct SizeLimit(usize);

impl SizeLimit {
    fn new() -> Self {
        Self(MOST_BYTES)
    }

    /// Takes what a row with these texts costs.
    fn take(&mut self, texts: &[&str]) -> Result<(), &'static str> {
        let bytes = texts.iter().map(|text| text.len()).sum::<usize>() + ROW_BYTES;
        self.0 = self.0.checked_sub(bytes).ok_or("it is larger than a roster may be")?;
        Ok(())
    }
}

fn bounded(rows: usize) -> Result<(), &'static str> {
    if rows < MOST_ROWS { Ok(()) } else { Err("more rows than a roster may have") }
}

#[cfg(test)]
mod tests;
