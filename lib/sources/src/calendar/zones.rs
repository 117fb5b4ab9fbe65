//! The time zones of a calendar: by the tz database's name, by Windows' name, or by the calendar's own VTIMEZONE. What
//! is none of these is refused; nothing is ever taken for UTC because its zone is not known.

use std::collections::BTreeMap;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

use super::Fault;
use super::lines::{Component, Property};
use super::moment::local_time;
use super::windows::WINDOWS;
use crate::zones::Database;

/// The zones of one calendar.
pub struct Zones<'a> {
    database: Database,
    /// Where times without a zone are, and days begin.
    own: Option<TimeZone>,
    /// VTIMEZONE by TZID.
    defined: BTreeMap<&'a str, &'a Component>,
    /// Does X-WR-TIMEZONE say that the calendar is shown in a zone that is not UTC?
    is_shown_elsewhere: bool,
    /// What was found, by TZID: most events of a calendar name the same one.
    found: BTreeMap<String, Result<TimeZone, String>>,
}

impl<'a> Zones<'a> {
    /// Those of `calendar`; `own` is the name of the zone in which times without one are.
    pub fn new(calendar: &'a Component, own: Option<&str>) -> Result<Self, Fault> {
        let database = Database::open();
        let named = |name: &str| {
            let text = || format!("`time_zone` of the source: {}", database.missing(name));
            database.find(name).ok_or_else(|| Fault { line: 1, text: text() })
        };
        let own = own.map(named).transpose()?;
        let zones = calendar.parts.iter().filter(|part| part.name == "VTIMEZONE");
        let by_name = |zone: &'a Component| Some((zone.one("TZID").ok()??.value.as_str(), zone));
        let is_utc = |name: &str| ["UTC", "Etc/UTC", "GMT", "Z"].contains(&name.trim());
        let is_shown_elsewhere = calendar.all("X-WR-TIMEZONE").any(|zone| !is_utc(&zone.value));
        let defined = zones.filter_map(by_name).collect();
        Ok(Self { database, own, defined, is_shown_elsewhere, found: BTreeMap::new() })
    }

    /// Is the calendar shown in a zone that is not UTC?
    pub fn is_shown_elsewhere(&self) -> bool {
        self.is_shown_elsewhere
    }

    /// The zone of times that have none.
    pub fn own(&self) -> Option<&TimeZone> {
        self.own.as_ref()
    }

    /// The zone that `property` has as its TZID, if it has one.
    pub fn of(&mut self, property: &Property) -> Result<Option<TimeZone>, Fault> {
        let Some(name) = property.parameter("TZID") else { return Ok(None) };
        if !self.found.contains_key(name) {
            let found = self.find(name);
            self.found.insert(name.to_string(), found);
        }
        match self.found.get(name) {
            Some(Ok(zone)) => Ok(Some(zone.clone())),
            Some(Err(why)) => Err(property.fault(format!("time zone `{name}`: {why}"))),
            None => Ok(None),
        }
    }

    fn find(&self, name: &str) -> Result<TimeZone, String> {
        let windows = || WINDOWS.iter().find(|(windows, _)| windows.eq_ignore_ascii_case(name));
        if let Some(zone) = self.database.find(name) {
            return Ok(zone);
        }
        if let Some(zone) = windows().and_then(|(_, known)| self.database.find(known)) {
            return Ok(zone);
        }
        let Some(own) = self.defined.get(name) else {
            return Err(
                "neither the tz database nor Windows has it, and the calendar does not define it".to_string()
            );
        };
        // What libical and those who use it write beside a name of their own.
        let location = own.properties.iter().find(|property| property.name == "X-LIC-LOCATION");
        location.and_then(|name| self.database.find(&name.value)).map_or_else(|| defined(own), Ok)
    }
}

/// A half of the year.
struct Half {
    /// What the clock shows more than UTC, in seconds.
    offset: i64,
    /// When it begins, as POSIX writes it; none if it never does.
    begins: Option<String>,
}

/// The zone that a VTIMEZONE describes by its last two rules, or by one that has none.
fn defined(zone: &Component) -> Result<TimeZone, String> {
    let half = |name: &str| -> Result<Option<Half>, String> {
        let parts = zone.parts.iter().filter(|part| part.name == name);
        let mut lasting = Vec::new();
        for part in parts {
            lasting
                .extend(read_half(part).map_err(|why| format!("its {name} of line {}: {why}", part.line))?);
        }
        if lasting.len() > 1 { Err(format!("more than one {name} that lasts")) } else { Ok(lasting.pop()) }
    };
    let text = match (half("STANDARD")?, half("DAYLIGHT")?) {
        (Some(Half { offset, begins: None }), None) => format!("<S00>{}", posix(offset)),
        (
            Some(Half { offset: winter, begins: Some(from) }),
            Some(Half { offset: summer, begins: Some(to) }),
        ) => {
            format!("<S00>{}<D00>{},{to},{from}", posix(winter), posix(summer))
        }
        _ => return Err("its VTIMEZONE is not one that goes on as it began, by two yearly rules".to_string()),
    };
    TimeZone::posix(&text).map_err(|_| "its VTIMEZONE describes no time zone".to_string())
}

/// One STANDARD or DAYLIGHT; none if it has ended.
fn read_half(part: &Component) -> Result<Option<Half>, String> {
    let value = |name: &str| {
        let one = part.one(name).map_err(|fault| fault.text)?;
        Ok::<_, String>(one.map(|property| property.value.as_str()))
    };
    let needed = |name: &str| value(name)?.ok_or_else(|| format!("no {name}"));
    let offset = offset(needed("TZOFFSETTO")?).ok_or("its TZOFFSETTO is no offset")?;
    let start = local_time(needed("DTSTART")?).ok_or("its DTSTART is no local time")?;
    if value("RDATE")?.is_some() {
        return Err("changes by RDATE are not followed".to_string());
    }
    match value("RRULE")? {
        None => Ok(Some(Half { offset, begins: None })),
        Some(rule) if rule.to_ascii_uppercase().contains("UNTIL=") => Ok(None),
        Some(rule) => {
            let begins = yearly(rule, start).ok_or("its RRULE is not a weekday of a month, each year")?;
            Ok(Some(Half { offset, begins: Some(begins) }))
        }
    }
}

/// `FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU` at 03:00 as POSIX writes it: `M10.5.0/3:00:00`.
fn yearly(rule: &str, start: DateTime) -> Option<String> {
    let (mut month, mut day, mut is_yearly) = (None, None, false);
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=')?;
        match key.to_ascii_uppercase().as_str() {
            "FREQ" => is_yearly = value.eq_ignore_ascii_case("YEARLY"),
            "BYMONTH" => month = Some(value.parse::<u8>().ok().filter(|month| (1..=12).contains(month))?),
            "BYDAY" => day = Some(value.to_ascii_uppercase()),
            "INTERVAL" if value == "1" => {}
            "WKST" => {}
            _ => return None,
        }
    }
    let day = day.filter(|_| is_yearly)?;
    let (week, weekday) = day.split_at_checked(day.len().checked_sub(2)?)?;
    let week = match week.trim_start_matches('+') {
        "-1" => 5,
        week => week.parse::<u8>().ok().filter(|week| (1..=4).contains(week))?,
    };
    let weekday = weekday_of(weekday)?.to_sunday_zero_offset();
    let time = start.time();
    Some(format!("M{}.{week}.{weekday}/{}:{:02}:{:02}", month?, time.hour(), time.minute(), time.second()))
}

/// `MO`.
fn weekday_of(text: &str) -> Option<Weekday> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"].into_iter();
    let mut named = days.zip([Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]);
    named.find(|(name, _)| *name == text).map(|(_, day)| day)
}

/// `+0100` or `-033000`, in seconds.
fn offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let fits = [4, 6].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), |part| part.parse::<i64>().ok());
    let seconds = part(0)? * 3_600 + part(2)? * 60 + part(4)?;
    (fits && seconds < 86_400).then_some(sign * seconds)
}

/// An offset as POSIX counts it, which is west of Greenwich.
fn posix(offset: i64) -> String {
    let (sign, seconds) = (if offset > 0 { "-" } else { "" }, offset.abs());
    format!("{sign}{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
