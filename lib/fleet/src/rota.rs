//! The rota as a fleet has it: an index of schedules, and one object with the shifts of each.
//!
//! A host fetches the index and the schedules that its rules name. A sync at which nothing changed must leave all of
//! these byte for byte: the head says when they were read, the index only where that was at another time, and how far
//! a schedule reaches is a length from then on.

use alloc::string::String;
use alloc::vec::Vec;

use policy::{OneLine, Principal, Span, Timestamp, Window};
use serde::{Deserialize, Serialize};

use crate::object::{self, Form, ObjectError, Part};

/// The largest index, decoded, in bytes.
pub const LARGEST_INDEX: u32 = 8 * 1024 * 1024;

/// The largest object with the shifts of one schedule, decoded, in bytes.
pub const LARGEST_SHIFTS: u32 = 8 * 1024 * 1024;

/// The most schedules in an index.
const MOST_SCHEDULES: usize = 10_000;

/// The most shifts of one schedule, as of one document of a source.
const MOST_SHIFTS: usize = 50_000;

/// The longest time that a schedule reaches ahead: no source is asked for as much.
const LONGEST_LOOKAHEAD: Span = Span::hours(24 * 400);

/// A schedule as a publisher or a host knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSchedule {
    /// The collector's name of the source.
    pub source: String,
    /// The text that names it in the collector's configuration.
    pub id: String,
    /// The provider's id.
    pub provider_id: String,
    /// The provider's name for people.
    pub name: OneLine,
    /// The instant of the last sync that read it whole.
    pub read: Timestamp,
    /// The end of what that sync asked for.
    pub horizon: Timestamp,
    /// A [`ScheduleShifts`].
    pub shifts: Part,
}

/// A schedule as an index has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexedSchedule {
    /// The collector's name of the source.
    #[serde(with = "object::id")]
    pub source: String,
    /// The text that names it in the collector's configuration.
    #[serde(with = "object::id")]
    pub id: String,
    /// The provider's id.
    #[serde(with = "object::id")]
    pub provider_id: String,
    /// The provider's name for people.
    #[serde(with = "object::name")]
    pub name: OneLine,
    /// When it was read, where that is not the head's `rota-read`.
    #[serde(with = "object::instant")]
    pub read: Option<Timestamp>,
    /// How far it reaches from then on, in seconds.
    #[serde(with = "lookahead")]
    pub lookahead: Span,
    /// A [`ScheduleShifts`].
    pub shifts: Part,
}

/// Every schedule that is published, by source and id, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RotaIndex {
    schedules: Vec<IndexedSchedule>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexBody {
    form: Form,
    schedules: Vec<IndexedSchedule>,
}

/// One person, one window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "ShiftBody", into = "ShiftBody")]
pub struct FleetShift {
    /// Whose shift it is.
    pub principal: Principal,
    /// From when to when; either end may be open.
    pub window: Window,
    /// Escalation level; 1 is paged first.
    pub level: u8,
}

/// The shifts of one schedule, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleShifts {
    shifts: Vec<FleetShift>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShiftsBody {
    form: Form,
    shifts: Vec<FleetShift>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShiftBody {
    #[serde(with = "object::person")]
    principal: Principal,
    level: u8,
    /// Null: it has always been.
    #[serde(with = "object::instant")]
    start: Option<Timestamp>,
    /// Null: it never ends.
    #[serde(with = "object::instant")]
    end: Option<Timestamp>,
}

impl RotaIndex {
    /// The index of `schedules`, and the reading instant that the head is to have with it: the latest; none if there is
    /// no schedule. Where a schedule was read at another time, as after a failure or where a source says when its answer
    /// was true, the index says when: of two collectors the later reading counts, so no instant is rounded.
    ///
    /// # Errors
    /// More schedules than fit, or two of one name.
    pub fn new(mut schedules: Vec<ReadSchedule>) -> Result<(Self, Option<Timestamp>), ObjectError> {
        schedules.sort_by(|one, other| (&one.source, &one.id).cmp(&(&other.source, &other.id)));
        let latest = schedules.iter().map(|schedule| schedule.read).max();
        let indexed = schedules.into_iter().map(|schedule| IndexedSchedule {
            lookahead: rounded(schedule.horizon.since(schedule.read)),
            read: Some(schedule.read).filter(|read| Some(*read) != latest),
            source: schedule.source,
            id: schedule.id,
            provider_id: schedule.provider_id,
            name: schedule.name,
            shifts: schedule.shifts,
        });
        Ok((Self::checked(indexed.collect())?, latest))
    }

    fn checked(schedules: Vec<IndexedSchedule>) -> Result<Self, ObjectError> {
        if schedules.len() > MOST_SCHEDULES {
            return Err(ObjectError::Impossible("more schedules than an index has"));
        }
        if !schedules.is_sorted_by(|one, other| (&one.source, &one.id) < (&other.source, &other.id)) {
            return Err(ObjectError::Impossible("schedules out of order, or one of them twice"));
        }
        Ok(Self { schedules })
    }

    /// The schedules, by source and id.
    pub fn schedules(&self) -> &[IndexedSchedule] {
        &self.schedules
    }

    /// One of them.
    pub fn find(&self, source: &str, id: &str) -> Option<&IndexedSchedule> {
        let order = |schedule: &IndexedSchedule| (&*schedule.source, &*schedule.id).cmp(&(source, id));
        self.schedules.get(self.schedules.binary_search_by(order).ok()?)
    }

    /// Reads an index.
    ///
    /// # Errors
    /// It is of another form, or not as [`RotaIndex::to_bytes`] writes it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let IndexBody { form: Form, schedules } = object::read(bytes, LARGEST_INDEX)?;
        Self::checked(schedules)
    }

    /// The same bytes for the same index.
    pub fn to_bytes(&self) -> Vec<u8> {
        object::write(&IndexBody { form: Form, schedules: self.schedules.clone() })
    }
}

impl IndexedSchedule {
    /// The same with instants, where the head says `rota_read`.
    pub fn resolve(&self, rota_read: Timestamp) -> ReadSchedule {
        let read = self.read.unwrap_or(rota_read).min(rota_read);
        ReadSchedule {
            source: self.source.clone(),
            id: self.id.clone(),
            provider_id: self.provider_id.clone(),
            name: self.name.clone(),
            read,
            horizon: read.plus(self.lookahead),
            shifts: self.shifts,
        }
    }
}

/// A lookahead that seldom changes from sync to sync, though a source's answer may have been true for a while: whole hours
/// of a long one, whole minutes of a short one. Never longer than it is.
fn rounded(lookahead: Span) -> Span {
    let unit = if lookahead >= Span::hours(12) { 3600 } else { 60 };
    let seconds = lookahead.as_seconds().clamp(0, LONGEST_LOOKAHEAD.as_seconds());
    Span::seconds(seconds - seconds % unit)
}

mod lookahead {
    use super::{LONGEST_LOOKAHEAD, Span};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(span.as_seconds())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        let fits = (0..=LONGEST_LOOKAHEAD.as_seconds()).contains(&seconds);
        if fits { Ok(Span::seconds(seconds)) } else { Err(D::Error::custom("an impossible lookahead")) }
    }
}

impl ScheduleShifts {
    /// These shifts, in whatever order.
    ///
    /// # Errors
    /// More than fit.
    pub fn new(mut shifts: Vec<FleetShift>) -> Result<Self, ObjectError> {
        shifts.sort();
        shifts.dedup();
        Self::checked(shifts)
    }

    fn checked(shifts: Vec<FleetShift>) -> Result<Self, ObjectError> {
        if shifts.len() > MOST_SHIFTS {
            return Err(ObjectError::Impossible("more shifts than a schedule has"));
        }
        if !shifts.is_sorted_by(|one, other| one < other) {
            return Err(ObjectError::Impossible("shifts out of order, or one of them twice"));
        }
        Ok(Self { shifts })
    }

    /// The shifts, by person, then by time.
    pub fn shifts(&self) -> &[FleetShift] {
        &self.shifts
    }

    /// Reads the shifts of a schedule.
    ///
    /// # Errors
    /// They are of another form, or not as [`ScheduleShifts::to_bytes`] writes them.
    pub fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let ShiftsBody { form: Form, shifts } = object::read(bytes, LARGEST_SHIFTS)?;
        Self::checked(shifts)
    }

    /// The same bytes for the same shifts.
    pub fn to_bytes(&self) -> Vec<u8> {
        object::write(&ShiftsBody { form: Form, shifts: self.shifts.clone() })
    }
}

impl TryFrom<ShiftBody> for FleetShift {
    type Error = &'static str;

    fn try_from(ShiftBody { principal, level, start, end }: ShiftBody) -> Result<Self, &'static str> {
        if level == 0 {
            return Err("escalation levels begin with 1");
        }
        let window = Window::new(start.unwrap_or(Timestamp::MIN), end.unwrap_or(Timestamp::MAX));
        let window = window.ok_or("a shift that ends before it starts")?;
        Ok(Self { principal, window, level })
    }
}

impl From<FleetShift> for ShiftBody {
    fn from(FleetShift { principal, window, level }: FleetShift) -> Self {
        let dated = |at: Timestamp| Some(at).filter(|at| at.has_date());
        Self { principal, level, start: dated(window.start()), end: dated(window.end()) }
    }
}

#[cfg(test)]
mod tests;
