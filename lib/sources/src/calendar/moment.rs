//! Times as a calendar writes them: an instant, or what a wall clock shows.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use policy::Timestamp;

use super::Fault;
use super::lines::Property;
use super::zones::Zones;

/// A time of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// What the clock shows; midnight of a day.
    pub local: DateTime,
    /// Where that clock hangs.
    pub zone: TimeZone,
    /// In which of its forms it was written.
    pub form: Form,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A day: 20261120.
    Day,
    /// With a zone: TZID=Europe/Berlin:20261120T090000.
    Local,
    /// Without one: 20261120T090000.
    Floating,
    /// In UTC: 20261120T090000Z.
    Utc,
}

impl Moment {
    /// The only time that `property` has. One without a zone is by `otherwise`.
    ///
    /// # Errors
    /// It is none, or in no zone that is known.
    pub fn read(
        property: &Property,
        zones: &mut Zones<'_>,
        otherwise: Option<&TimeZone>,
    ) -> Result<Self, Fault> {
        Self::of(property, &property.value, zones, otherwise)
    }

    /// All times that `property` lists.
    ///
    /// # Errors
    /// As of [`Moment::read`].
    pub fn list(
        property: &Property,
        zones: &mut Zones<'_>,
        otherwise: Option<&TimeZone>,
    ) -> Result<Vec<Self>, Fault> {
        property.value.split(',').map(|text| Self::of(property, text, zones, otherwise)).collect()
    }

    fn of(
        property: &Property,
        text: &str,
        zones: &mut Zones<'_>,
        otherwise: Option<&TimeZone>,
    ) -> Result<Self, Fault> {
        let name = property.name;
        let no_time = || property.fault(format!("{name} is `{text}`, which is not a date or a time"));
        let form = match (property.parameter("VALUE").map(str::to_ascii_uppercase).as_deref(), text) {
            (Some("DATE"), _) => Form::Day,
            (None | Some("DATE-TIME"), text) if text.ends_with('Z') => Form::Utc,
            (None | Some("DATE-TIME"), text) if text.contains('T') => Form::Local,
            // Some programs leave VALUE=DATE out. RFC 5545 does not allow that, and readers differ.
            (None | Some("DATE-TIME"), _) => return Err(no_time()),
            (Some(kind), _) => return Err(property.fault(format!("{name} of the kind {kind} is not read"))),
        };
        let local = match form {
            Form::Day => day(text).map(|day| day.to_datetime(Time::midnight())),
            Form::Local | Form::Floating => local_time(text),
            Form::Utc => text.strip_suffix('Z').and_then(local_time),
        };
        let local = local.ok_or_else(no_time)?;
        let (form, zone) = match (form, zones.of(property)?) {
            (Form::Utc, _) => (form, TimeZone::UTC),
            (_, Some(zone)) => (form, zone),
            (_, None) => {
                let form = if form == Form::Local { Form::Floating } else { form };
                let zone = otherwise.or(zones.own()).cloned().ok_or_else(|| {
                    property.fault(format!(
                        "{name} has no time zone; write `time_zone` in the source, in which such times are"
                    ))
                })?;
                (form, zone)
            }
        };
        Ok(Self { local, zone, form })
    }

    /// When that is.
    pub fn instant(&self) -> Option<Timestamp> {
        instant(&self.zone, self.local)
    }

    /// Which day of a series of whole days that is; none where readers do not agree. Programs that write a time mean its
    /// midnight, wherever that is.
    pub fn of_days(&self) -> Option<Date> {
        let is_day = self.form == Form::Day || self.local.time() == Time::midnight();
        is_day.then(|| self.local.date())
    }

    /// What the clock of `zone` shows then.
    pub fn seen_in(&self, zone: &TimeZone) -> Option<DateTime> {
        if self.zone == *zone || self.form == Form::Day {
            return Some(self.local);
        }
        Some(zone.to_datetime(jiff::Timestamp::from_second(self.instant()?.unix()).ok()?))
    }
}

/// When a clock in `zone` shows `local`: where it never does, as much later as clocks go forward; where it does twice, the
/// first time (RFC 5545, section 3.3.5, and jiff's own way).
pub fn instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    zone.to_timestamp(local).ok().map(|at| Timestamp::from_unix(at.as_second()))
}

/// `20261120`.
pub fn day(text: &str) -> Option<Date> {
    let fits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = |from: usize, to: usize| text.get(from..to).filter(|_| fits);
    let (year, month, day) =
        (part(0, 4)?.parse().ok()?, part(4, 6)?.parse().ok()?, part(6, 8)?.parse().ok()?);
    Date::new(year, month, day).ok()
}

/// `20261120T090000`. Readers know no leap second.
pub fn local_time(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once('T')?;
    let fits = time.len() == 6 && time.bytes().all(|byte| byte.is_ascii_digit());
    let part = |from: usize, to: usize| time.get(from..to).filter(|_| fits)?.parse::<i8>().ok();
    let time = Time::new(part(0, 2)?, part(2, 4)?, part(4, 6)?, 0).ok()?;
    Some(day(date)?.to_datetime(time))
}
