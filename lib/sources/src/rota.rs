//! `rota.toml`: shifts and rotations in a file, for small teams, tests and the demo.

use std::collections::BTreeSet;
use std::path::Path;

use host::FileError;
use host::toml_file;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use policy::{OneLine, Span, Timestamp, Window, is_printable};
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::gather::{Bound, Description, Gather, Named, Row};
use super::pages::Whole;
use super::rotation::{Every, Hours, Rotation, without};
use super::zones::Database;
use super::{Answer, Provider, ProviderError, User, choose};

/// A rota in a file.
#[derive(Debug)]
pub struct Rota<'a> {
    path: &'a Path,
    wanted: &'a [String],
    max_escalation_level: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    schedule: Vec<Schedule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schedule {
    id: Spanned<String>,
    name: Option<String>,
    #[serde(default)]
    shift: Vec<Shift>,
    #[serde(default)]
    rotation: Vec<Turns>,
    #[serde(default, rename = "override")]
    overrides: Vec<Shift>,
}

/// `[[schedule.shift]]`, and `[[schedule.override]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shift {
    person: Spanned<String>,
    #[serde(default = "first_level")]
    level: Spanned<u8>,
    start: Spanned<Datetime>,
    end: Spanned<Datetime>,
}

/// `[[schedule.rotation]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turns {
    people: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "first_level")]
    level: Spanned<u8>,
    time_zone: Spanned<String>,
    start: Spanned<Datetime>,
    until: Option<Spanned<Datetime>>,
    every: Parsed<Every>,
    hours: Option<Parsed<Hours>>,
    days: Option<Spanned<Vec<Day>>>,
}

#[derive(Deserialize, Clone, Copy)]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A text with a form of its own.
#[derive(Deserialize)]
#[serde(try_from = "String", bound = "T: TryFrom<String, Error = String>")]
struct Parsed<T>(T);

impl<T: TryFrom<String, Error = String>> TryFrom<String> for Parsed<T> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        T::try_from(text).map(Self)
    }
}

fn first_level() -> Spanned<u8> {
    Spanned::new(0..0, 1)
}

/// What is wrong, and at which byte of the file.
struct Problem {
    at: usize,
    text: String,
}

fn problem<T>(value: &Spanned<T>, text: impl Into<String>) -> Problem {
    Problem { at: value.span().start, text: text.into() }
}

impl<'a> Rota<'a> {
    /// The rota at `path`; of it the schedules `wanted`, or all if none is named, down to `max_escalation_level`.
    pub fn new(path: &'a Path, wanted: &'a [String], max_escalation_level: u8) -> Self {
        Self { path, wanted, max_escalation_level }
    }

    /// Is `text` a rota, as the content of `path`? What a sync would leave out of it.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn check(path: &Path, text: &[u8], now: Timestamp) -> Result<Vec<OneLine>, FileError> {
        // All of it is read whatever is asked for.
        let Some(window) = Window::new(now, now.plus(Span::hours(24))) else { return Ok(Vec::new()) };
        Rota::new(path, &[], u8::MAX).parse(text, window).map(|answer| answer.notes().to_vec())
    }

    /// Everybody whom the file at `path` names, as the source calls them; whenever their turn is.
    pub fn people(path: &Path) -> Option<BTreeSet<String>> {
        let text = toml_file::read(path).ok()?;
        let file: File = toml_file::parse(path, &text).ok()?;
        let of_schedule = |schedule: Schedule| {
            let shifts = schedule.shift.into_iter().chain(schedule.overrides).map(|shift| shift.person);
            let turns = schedule.rotation.into_iter().flat_map(|turns| turns.people.into_inner());
            shifts.chain(turns).collect::<Vec<_>>()
        };
        let written = file.schedule.into_iter().flat_map(of_schedule);
        Some(written.filter_map(|person| user(&person).ok()).map(|user| user.id).collect())
    }

    /// Reads `text` as the content of the file: what of it touches `window`.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn parse(&self, text: &[u8], window: Window) -> Result<Answer, FileError> {
        let file: File = toml_file::parse(self.path, text)?;
        let read = schedules(file, window);
        let (known, rows) =
            read.map_err(|problem| FileError::at(self.path, text, problem.at, problem.text))?;
        let mut gather = Gather::new(window, self.max_escalation_level);
        for (text, place) in choose(&known, self.wanted, &self.path.display()) {
            match place.map(|place| known.get(place).zip(rows.get(place))) {
                Ok(Some((named, rows))) => {
                    gather.take(Named { wanted: text, ..named.clone() }, Whole::at_once(rows.clone()));
                }
                Ok(None) => {}
                Err(error) => gather.fail(text, error),
            }
        }
        Ok(gather.finish())
    }
}

fn schedules(file: File, window: Window) -> Result<(Vec<Named>, Vec<Vec<Row>>), Problem> {
    let (mut known, mut told): (Vec<Named>, Vec<Vec<Row>>) = (Vec::new(), Vec::new());
    for schedule in file.schedule {
        let id = schedule.id.get_ref();
        if known.iter().any(|other| other.id == *id) {
            return Err(problem(&schedule.id, format!("two schedules have the id `{id}`")));
        }
        if id.is_empty() || !id.chars().all(is_printable) {
            return Err(problem(&schedule.id, "an id is not empty, and can be printed"));
        }
        let name = schedule.name.clone().unwrap_or_else(|| id.clone());
        known.push(Named { wanted: id.clone(), id: id.clone(), name });
        told.push(schedule.read(window)?);
    }
    Ok((known, told))
}

/// One shift, before and after overrides.
#[derive(Clone)]
struct Turn {
    user: User,
    level: u8,
    window: Window,
}

impl Provider for Rota<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        let read = toml_file::read(self.path).and_then(|text| self.parse(&text, window));
        read.map_err(|error| ProviderError::source(&error.to_string()))
    }
}

impl Schedule {
    /// All of it is read, also what is outside `window` or too deep: a mistake is one today already.
    fn read(self, window: Window) -> Result<Vec<Row>, Problem> {
        let (mut shifts, mut rows) = (Vec::new(), Vec::new());
        for shift in &self.shift {
            match shift.read()? {
                Written::Turn(turn) => shifts.push(turn),
                Written::Nothing(row) => rows.push(row),
            }
        }
        for rotation in &self.rotation {
            rotation.read(window, &mut shifts)?;
        }
        for shift in &self.overrides {
            match shift.read()? {
                Written::Turn(turn) => replace(&mut shifts, turn),
                Written::Nothing(row) => rows.push(row),
            }
        }
        rows.extend(shifts.into_iter().map(Row::from));
        Ok(rows)
    }
}

impl From<Turn> for Row {
    fn from(Turn { user, level, window }: Turn) -> Self {
        let (start, end) = (Bound::At(window.start()), Bound::At(window.end()));
        Self { person: Description { user, whole: true }, level: level.into(), start, end }
    }
}

/// What somebody wrote as a shift.
enum Written {
    /// A shift.
    Turn(Turn),
    /// One of no length, which every source may have.
    Nothing(Row),
}

/// Replaces whatever its level has in its window by `shift`. A later override takes from an earlier one.
fn replace(shifts: &mut Vec<Turn>, shift: Turn) {
    let kept = shifts.drain(..).flat_map(|other| {
        let left: Vec<Window> = match other.level == shift.level {
            true => without(other.window, shift.window).collect(),
            false => vec![other.window],
        };
        left.into_iter().map(move |window| Turn { window, ..other.clone() })
    });
    *shifts = kept.collect();
    shifts.push(shift);
}

impl Shift {
    fn read(&self) -> Result<Written, Problem> {
        let (start, end) = (instant(&self.start)?, instant(&self.end)?);
        let (user, level) = (user(&self.person)?, level(&self.level)?);
        if start == end {
            let (start, person) = (Bound::At(start), Description { user, whole: true });
            return Ok(Written::Nothing(Row { person, level: level.into(), start, end: start }));
        }
        let window = Window::new(start, end).ok_or_else(|| {
            let (person, start) = (self.person.get_ref(), self.start.get_ref());
            problem(&self.end, format!("{person}'s shift of {start} ends before it starts"))
        })?;
        Ok(Written::Turn(Turn { user, level, window }))
    }
}

impl Turns {
    /// Adds the shifts that touch `window`.
    fn read(&self, window: Window, shifts: &mut Vec<Turn>) -> Result<(), Problem> {
        let level = level(&self.level)?;
        let people = self.people.get_ref().iter().map(user).collect::<Result<Vec<_>, _>>()?;
        if people.is_empty() {
            return Err(problem(&self.people, "`people` is empty, so nobody has a turn"));
        }
        let turns =
            self.rotation()?.shifts(window).map_err(|fault| problem(&self.start, fault.to_string()))?;
        for (turn, user) in
            turns.iter().filter_map(|turn| Some((turn, people.get(index(turn.number, people.len()))?)))
        {
            shifts.push(Turn { user: user.clone(), level, window: turn.window });
        }
        Ok(())
    }

    fn rotation(&self) -> Result<Rotation, Problem> {
        let start = local(&self.start)?;
        let until = self.until.as_ref().map(local).transpose()?;
        if let (Some(written), Some(until)) = (&self.until, until)
            && until <= start
        {
            return Err(problem(written, "the rotation ends before it starts"));
        }
        let days = self.days.as_ref().map(Spanned::get_ref);
        if let (Some(written), Some([])) = (&self.days, days.map(Vec::as_slice)) {
            return Err(problem(
                written,
                "`days` is empty, so nobody is ever on call; leave it out for all days",
            ));
        }
        Ok(Rotation {
            zone: zone(&self.time_zone)?,
            start,
            until,
            every: self.every.0,
            hours: self.hours.as_ref().map(|hours| hours.0),
            days: days.into_iter().flatten().map(|&day| day.into()).collect(),
        })
    }
}

/// Whose turn of `number` it is, among so many people.
fn index(number: u64, people: usize) -> usize {
    usize::try_from(number).map_or(0, |number| number.checked_rem(people).unwrap_or(0))
}

impl From<Day> for Weekday {
    fn from(day: Day) -> Self {
        match day {
            Day::Mon => Self::Monday,
            Day::Tue => Self::Tuesday,
            Day::Wed => Self::Wednesday,
            Day::Thu => Self::Thursday,
            Day::Fri => Self::Friday,
            Day::Sat => Self::Saturday,
            Day::Sun => Self::Sunday,
        }
    }
}

fn level(written: &Spanned<u8>) -> Result<u8, Problem> {
    match *written.get_ref() {
        0 => Err(problem(written, "levels start at 1")),
        level => Ok(level),
    }
}

/// A principal, or a mail address.
fn user(written: &Spanned<String>) -> Result<User, Problem> {
    let person = written.get_ref();
    if person.is_empty() || !person.chars().all(is_printable) {
        return Err(problem(written, "a person is a user name in the directory, or a mail address"));
    }
    if person.contains('@') {
        // However it is written, it is one person.
        let id = person.to_ascii_lowercase();
        return Ok(User { mail: Some(id.clone()), id, principal: None, label: None, disputed: None });
    }
    let principal = Some(person.clone());
    Ok(User { id: person.clone(), mail: None, principal, label: None, disputed: None })
}

fn instant(written: &Spanned<Datetime>) -> Result<Timestamp, Problem> {
    let text = written.get_ref().to_string();
    Timestamp::read(&text).ok_or_else(|| {
        problem(
            written,
            format!("`{text}` is not a valid time; write date, time and zone: 2026-11-20T09:00:00Z"),
        )
    })
}

/// A time by the clock of a rotation's zone.
fn local(written: &Spanned<Datetime>) -> Result<DateTime, Problem> {
    let at = written.get_ref();
    let text = at.to_string();
    let whole = at.date.is_some() && at.time.is_some() && at.offset.is_none();
    whole.then(|| text.parse().ok()).flatten().ok_or_else(|| {
        let text =
            format!("`{text}` is not a local time; write date and time, without a zone: 2026-11-20T09:00:00");
        problem(written, text)
    })
}

/// The zone of a name.
fn zone(written: &Spanned<String>) -> Result<TimeZone, Problem> {
    let zones = Database::open();
    zones.find(written.get_ref()).ok_or_else(|| problem(written, zones.missing(written.get_ref())))
}

#[cfg(test)]
mod tests;
