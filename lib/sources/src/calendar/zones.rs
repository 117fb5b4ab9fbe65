//! The time zones of a calendar: by the tz database's name, by Windows' name, or by the calendar's own VTIMEZONE. What
//! is none of these is refused; nothing is ever taken for UTC because its zone is not known.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use policy::{Timestamp, Window};

use super::Fault;
use super::lines::{Component, Property};
use super::moment::{day, local_time};
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
    /// The days that are asked for, and one more on either side.
    asked: (Date, Date),
    /// What was found, by TZID: most events of a calendar name the same one.
    found: BTreeMap<String, Result<TimeZone, String>>,
}

impl<'a> Zones<'a> {
    /// Those of `calendar`, for what is asked of `window`; `own` is the name of the zone in which times without one are.
    pub fn new(calendar: &'a Component, own: Option<&str>, window: Window) -> Result<Self, Fault> {
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
        let asked = (day_of(window.start(), -1), day_of(window.end(), 1));
        Ok(Self { database, own, defined, is_shown_elsewhere, asked, found: BTreeMap::new() })
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
        location.and_then(|name| self.database.find(&name.value)).map_or_else(|| defined(own, self.asked), Ok)
    }
}

/// The day of `at` in UTC, and so many days later; the first or last that there is, where that is beyond all.
fn day_of(at: Timestamp, later: i64) -> Date {
    let limit = if later < 0 { Date::MIN } else { Date::MAX };
    let seconds = at.unix().saturating_add(later * 86_400);
    jiff::Timestamp::from_second(seconds).map_or(limit, |at| TimeZone::UTC.to_datetime(at).date())
}

/// A half of the year.
struct Half {
    /// The first day on which it begins.
    first: Date,
    /// What the clock shows more than UTC, in seconds.
    offset: i64,
    /// When it begins, as POSIX writes it; none if it never does.
    begins: Option<String>,
}

/// The zone that a VTIMEZONE describes by its last two rules, or by one that has none, if these hold on all days that are
/// `asked` for.
fn defined(zone: &Component, asked: (Date, Date)) -> Result<TimeZone, String> {
    let half = |name: &str| -> Result<Option<Half>, String> {
        let parts = zone.parts.iter().filter(|part| part.name == name);
        let mut lasting = Vec::new();
        for part in parts {
            lasting.extend(
                read_half(part, asked).map_err(|why| format!("its {name} of line {}: {why}", part.line))?,
            );
        }
        if lasting.len() > 1 { Err(format!("more than one {name} that lasts")) } else { Ok(lasting.pop()) }
    };
    let (standard, daylight) = (half("STANDARD")?, half("DAYLIGHT")?);
    let begin: BTreeSet<Date> = standard.iter().chain(&daylight).map(|half| half.first).collect();
    if let (Some(first), Some(last)) = (begin.first(), begin.last())
        && (*first > asked.0 || *last > asked.0 && last.duration_since(*first).as_hours() > 366 * 24)
    {
        return Err(format!("its VTIMEZONE begins on {last}, and what was before that is asked for, too"));
    }
    let text = match (standard, daylight) {
        (Some(Half { offset, begins: None, .. }), None) => format!("<S00>{}", posix(offset)),
        (
            Some(Half { offset: winter, begins: Some(from), .. }),
            Some(Half { offset: summer, begins: Some(to), .. }),
        ) => {
            format!("<S00>{}<D00>{},{to},{from}", posix(winter), posix(summer))
        }
        _ => return Err("its VTIMEZONE is not one that goes on as it began, by two yearly rules".to_string()),
    };
    TimeZone::posix(&text).map_err(|_| "its VTIMEZONE describes no time zone".to_string())
}

/// One STANDARD or DAYLIGHT; none if it has ended before the days that are `asked` for.
fn read_half(part: &Component, asked: (Date, Date)) -> Result<Option<Half>, String> {
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
    let first = start.date();
    let Some(rule) = value("RRULE")? else { return Ok(Some(Half { first, offset, begins: None })) };
    let (rule, until) = ends(rule)?;
    match until {
        Some(until) if until < asked.0 => return Ok(None),
        Some(until) if until <= asked.1 => {
            return Err(format!(
                "its RRULE ends on {until}, and what comes before and after that is asked for"
            ));
        }
        _ => {}
    }
    let begins = yearly(&rule, start).ok_or("its RRULE is not a weekday of a month, each year")?;
    Ok(Some(Half { first, offset, begins: Some(begins) }))
}

/// `rule` without its UNTIL, and the day of that.
fn ends(rule: &str) -> Result<(String, Option<Date>), String> {
    let is_until = |part: &&str| part.get(..6).is_some_and(|key| key.eq_ignore_ascii_case("UNTIL="));
    let (until, others): (Vec<&str>, Vec<&str>) = rule.split(';').partition(is_until);
    let read =
        |part: &&str| day(part.get(6..14).unwrap_or_default()).ok_or("its UNTIL is no time".to_string());
    Ok((others.join(";"), until.last().map(read).transpose()?))
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
pub fn weekday_of(text: &str) -> Option<Weekday> {
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
