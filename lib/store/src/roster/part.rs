//! Reading a part of a roster: some people, and those who are on call.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use policy::{Principal, Roster, Schedule, ScheduleIndex, ScheduleRef, Timestamp};

use super::{COLUMNS, Damaged, FIRST_COLUMNS, Reader, ShiftRow, SizeLimit, damaged, date, judged, open};
use crate::StoreError;
use crate::keys::flag;
use crate::pages::{Row, Tables};

/// What of a roster is wanted. Rows that are not are not looked at, and not judged.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Schedules; shifts of others are left out.
    pub schedules: &'a [&'a ScheduleRef],
    /// These people: all of their shifts, and whether they are eligible.
    pub people: &'a [Principal],
    /// The same of those who have a shift at an instant.
    pub on_call: Option<OnCall<'a>>,
}

/// Those who have a shift at an instant.
#[derive(Clone, Copy)]
pub struct OnCall<'a> {
    /// The instant.
    pub at: Timestamp,
    /// Which of them.
    pub who: Who<'a>,
}

/// Which of those who have a shift are wanted.
#[derive(Clone, Copy)]
pub enum Who<'a> {
    /// All.
    Everybody,
    /// Up to so many who are eligible, and of whose shift (its schedule, its level) this is true.
    UpTo(usize, &'a dyn Fn((&Schedule, u8), &Principal) -> bool),
}

impl fmt::Debug for OnCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if let Who::UpTo(most, _) = self.who { Some(most) } else { None };
        f.debug_struct("OnCall").field("at", &self.at).field("most", &most).finish()
    }
}

/// Reads a part of the roster at `path`. It decides about these people as the whole does, if `schedules` are those that rules
/// here name, and with `on_call` it tells who is on call at that instant.
///
/// # Errors
/// The roster cannot be read, or is none.
pub fn read_part(path: &Path, part: Part<'_>, now: Timestamp) -> Result<Roster, StoreError> {
    let mut file = RosterFile::open(path, part.schedules, now)?;
    file.read(part.people, part.on_call)?;
    Ok(file.into_roster())
}

/// A roster that is read part by part, all of one publication; its schedules once.
#[derive(Debug)]
pub struct RosterFile {
    path: PathBuf,
    tables: Tables,
    reader: Reader,
    /// Its date by what is proven of the time, whatever was made of it for a question.
    floor: Timestamp,
    /// The room that its schedules have left.
    room: SizeLimit,
}

impl RosterFile {
    /// Opens the roster at `path`, and reads these `schedules`: shifts of others are left out.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn open(path: &Path, schedules: &[&ScheduleRef], now: Timestamp) -> Result<Self, StoreError> {
        let wanted: ScheduleIndex<'_> = schedules.iter().copied().collect();
        let directory = judged(path)?;
        let tables = open(&directory, path)?;
        let reader = Reader::new(&tables, |source, id| wanted.find(source, id).is_some());
        let mut reader = reader.map_err(|error| damaged(path, error))?;
        date(&mut reader.roster, &directory, path, now);
        let floor = reader.roster.floor;
        Ok(Self { path: path.to_path_buf(), tables, floor, room: reader.room, reader })
    }

    /// Reads all shifts of these people, and of those on call if that is asked, and whether they are eligible. They take the
    /// place of the people who were read before.
    ///
    /// # Errors
    /// What is read of it is damaged.
    pub fn read(&mut self, people: &[Principal], on_call: Option<OnCall<'_>>) -> Result<&Roster, StoreError> {
        self.reader.forget(self.room);
        self.reader.roster.floor = self.floor;
        let read = self.reader.read(&self.tables, people, on_call);
        read.map_err(|error| damaged(&self.path, error))?;
        Ok(&self.reader.roster)
    }

    /// What was read.
    pub fn roster(&self) -> &Roster {
        &self.reader.roster
    }

    /// The same, to be changed.
    pub fn roster_mut(&mut self) -> &mut Roster {
        &mut self.reader.roster
    }

    /// The same, to keep.
    pub fn into_roster(self) -> Roster {
        self.reader.roster
    }

    /// Up to `most` people who may become root, in the order of their names: the first ones, or those `after` somebody.
    ///
    /// # Errors
    /// What is read of it is damaged.
    pub fn eligible(&self, after: Option<&Principal>, most: usize) -> Result<Vec<Principal>, StoreError> {
        let (mut people, left) = (Vec::new(), Cell::new(most));
        let place = |row: &Row<'_>| {
            let name = row.text(0)?;
            Ok(match after {
                Some(after) if name <= after.as_str() => Ordering::Less,
                _ if left.get() == 0 => Ordering::Greater,
                _ => Ordering::Equal,
            })
        };
        let read = self.tables.range("person", 2, place, |row| {
            // principal, eligible
            if flag(row.integer(1)?)? {
                people.push(Principal::new(row.text(0)?)?);
                left.set(left.get() - 1);
            }
            Ok(())
        });
        read.map(|()| people).map_err(|error| damaged(&self.path, error))
    }
}

impl Reader {
    /// Forgets who was read.
    fn forget(&mut self, room: SizeLimit) {
        self.roster.eligible.clear();
        self.shifts.clear();
        self.finish();
        (self.met, self.room) = ((0, 0), room);
    }

    fn read(
        &mut self,
        tables: &Tables,
        people: &[Principal],
        on_call: Option<OnCall<'_>>,
    ) -> Result<(), Damaged> {
        let mut people: BTreeSet<Principal> = people.iter().cloned().collect();
        if let Some(on_call) = on_call {
            self.add_on_call(tables, on_call, &mut people)?;
        }
        if !self.is_ordered {
            tables.rows("shift", FIRST_COLUMNS, |row| match ShiftRow::first(row)? {
                row if people.iter().any(|person| person.as_str() == row.principal) => self.keep_shift(&row),
                _ => Ok(()),
            })?;
        }
        for person in &people {
            let own = |row: &Row<'_>| Ok(row.text(0)?.cmp(person.as_str()));
            if self.is_ordered {
                tables.range("shift", COLUMNS, own, |row| self.keep_shift(&ShiftRow::new(row)?))?;
            }
            tables.range("person", 2, own, |row| self.keep_person(row))?;
        }
        self.finish();
        Ok(())
    }

    /// Adds to `people` those who have a shift at an instant in a schedule that is wanted.
    fn add_on_call(
        &mut self,
        tables: &Tables,
        OnCall { at, who }: OnCall<'_>,
        people: &mut BTreeSet<Principal>,
    ) -> Result<(), Damaged> {
        let Self { is_ordered, numbers, room, roster, .. } = self;
        let (now, left) =
            (at.unix(), Cell::new(if let Who::UpTo(most, _) = who { most } else { usize::MAX }));
        let mut add = |row: ShiftRow<'_>| {
            let number = usize::try_from(row.schedule)?;
            let number = *numbers.get(number).ok_or("a shift without a schedule")?;
            let schedule = number.and_then(|number| roster.schedules.get(number));
            let Some(schedule) = schedule.filter(|_| row.starts <= now && now < row.ends) else {
                return Ok(());
            };
            let person = Principal::new(row.principal)?;
            let is_new = left.get() > 0 && !people.contains(&person);
            let counts = is_new
                && match who {
                    Who::Everybody => true,
                    Who::UpTo(_, counts) => {
                        counts((schedule, row.level()?), &person) && is_eligible(tables, &person)?
                    }
                };
            if counts {
                left.set(left.get() - 1);
                room.take(&[row.principal])?;
                people.insert(person);
            }
            Ok(())
        };
        if !*is_ordered {
            return tables.rows("shift", FIRST_COLUMNS, |row| add(ShiftRow::first(row)?));
        }
        let mut above = -1;
        while let Some(magnitude) = next_magnitude(tables, above)?.filter(|_| left.get() > 0) {
            let earliest = earliest_start(magnitude, now);
            let place = |row: &Row<'_>| {
                let start = row.integer(1)?;
                let within =
                    if start < earliest { Ordering::Less } else { start.cmp(&now).max(Ordering::Equal) };
                let place = row.integer(0)?.cmp(&magnitude).then(within);
                // Once there are enough, the range is over.
                Ok(if left.get() == 0 { place.max(Ordering::Greater) } else { place })
            };
            tables.range("shift_time", COLUMNS, place, |row| add(ShiftRow::by_time(row)?))?;
            above = magnitude;
        }
        Ok(())
    }
}

/// The earliest start of a shift of this magnitude that holds `now`; it starts at `now` at the latest.
fn earliest_start(magnitude: i64, now: i64) -> i64 {
    let longest =
        u32::try_from(magnitude).ok().and_then(|digits| 1_i64.checked_shl(digits)).filter(|&it| it > 0);
    longest.map_or(i64::MIN, |longest| now.saturating_sub(longest))
}

/// Does the directory let this person become root?
fn is_eligible(tables: &Tables, person: &Principal) -> Result<bool, Damaged> {
    let mut eligible = false;
    let own = |row: &Row<'_>| Ok(row.text(0)?.cmp(person.as_str()));
    tables.range("person", 2, own, |row| {
        eligible = flag(row.integer(1)?)?;
        Ok(())
    })?;
    Ok(eligible)
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
