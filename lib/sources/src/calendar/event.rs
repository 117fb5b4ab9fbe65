//! An event: whose shift it is, from when to when, and how it comes again.

use host::config::{CalendarPerson, SummaryPattern};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use policy::Timestamp;

use super::Fault;
use super::lines::{Component, Property};
use super::moment::{Form, Moment, instant};
use super::rule::Rule;
use super::zones::Zones;
use crate::{LONGEST_NAME, User};

/// The longest event, in days.
const LONGEST: i32 = 400;

/// An event that was read.
#[derive(Debug, Clone)]
pub struct Event {
    /// The line of its BEGIN.
    pub line: usize,
    /// Whose shift it is.
    pub user: User,
    /// When it begins.
    pub start: Moment,
    /// How long it is.
    pub length: Length,
    /// How it comes again.
    pub rule: Option<Rule>,
    /// Times at which it comes, too.
    pub more: Vec<Moment>,
    /// Times at which it does not come.
    pub except: Vec<Moment>,
    /// Which time of its series it stands for.
    pub replaces: Option<Moment>,
    /// Was it called off?
    pub cancelled: bool,
}

/// How long an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// By the wall clock, which readers of calendars agree about.
    pub wall: SignedDuration,
    /// The part of it that passes whatever the clock shows, where it was written in hours.
    pub exact: SignedDuration,
}

impl Length {
    /// When what begins at `start` by the clock of `zone` ends; none where readers do not agree.
    pub fn end(self, zone: &TimeZone, start: DateTime) -> Option<Timestamp> {
        let by_clock = instant(zone, start.checked_add(self.wall).ok()?)?;
        let days = start.checked_add(self.wall.checked_sub(self.exact)?).ok()?;
        let passed = instant(zone, days)?.unix().checked_add(self.exact.as_secs())?;
        (self.exact.is_zero() || by_clock.unix() == passed).then_some(by_clock)
    }
}

impl Event {
    /// Reads a VEVENT.
    ///
    /// # Errors
    /// What of it cannot be read, or readers of calendars do not agree about.
    pub fn read(part: &Component, zones: &mut Zones<'_>, person: &CalendarPerson) -> Result<Self, Fault> {
        part.one("UID")?;
        let start = part.one("DTSTART")?.ok_or_else(|| part.fault("an event without DTSTART"))?;
        let begins = Moment::read(start, zones, None)?;
        let zone = Some(&begins.zone);
        let (more, except) = lists(part, &begins, zones)?;
        let rule = part.one("RRULE")?.map(|rule| Rule::read(rule, &begins)).transpose()?;
        if let Some(odd) = part.all("RDATE").next().filter(|_| rule.is_none()) {
            return Err(
                odd.fault("RDATE without RRULE, and readers do not agree whether DTSTART counts, too")
            );
        }
        if let Some(odd) =
            part.all("RRULE").next().filter(|_| begins.form == Form::Utc && zones.is_shown_elsewhere())
        {
            return Err(odd.fault("a series in UTC, in a calendar that X-WR-TIMEZONE shows in another zone: readers do not agree by which clock it goes on"));
        }
        if let Some(rule) = part.all("EXRULE").next() {
            return Err(rule.fault("EXRULE is not read; RFC 5545 has it no more"));
        }
        let replaces = part.one("RECURRENCE-ID")?;
        if let Some(range) = replaces.filter(|property| property.parameter("RANGE").is_some()) {
            return Err(
                range.fault("RANGE of a RECURRENCE-ID is not read; end the series, and begin another")
            );
        }
        if let (Some(rule), Some(_)) = (part.all("RRULE").next(), replaces) {
            return Err(rule.fault("one time of a series has a RRULE of its own"));
        }
        let replaces = replaces.map(|property| Moment::read(property, zones, zone)).transpose()?;
        let status = part.one("STATUS")?;
        let cancelled = status.is_some_and(|status| status.value.trim().eq_ignore_ascii_case("CANCELLED"))
            || *person == CalendarPerson::Attendee && is_declined(part);
        Ok(Self {
            line: part.line,
            // Of what was called off, or whoever was asked has declined, nobody has to say whose it was.
            user: if cancelled { nobody() } else { whose(part, person)? },
            length: if cancelled { NOTHING } else { length(part, &begins, zones)? },
            start: begins,
            rule,
            more,
            except,
            replaces,
            cancelled,
        })
    }
}

/// The times at which what begins at `start` comes, too, and those at which it does not.
fn lists(
    part: &Component,
    start: &Moment,
    zones: &mut Zones<'_>,
) -> Result<(Vec<Moment>, Vec<Moment>), Fault> {
    let (mut more, mut except) = (Vec::new(), Vec::new());
    let are_days = start.form == Form::Day;
    for property in part.all("RDATE") {
        let listed = Moment::list(property, zones, Some(&start.zone))?;
        if listed.iter().any(|at| (at.form == Form::Day) != are_days) {
            return Err(property.fault("RDATE and DTSTART are not both days, or both times"));
        }
        more.extend(listed);
    }
    for property in part.all("EXDATE") {
        let listed = Moment::list(property, zones, Some(&start.zone))?;
        if are_days && listed.iter().any(|at| at.of_days().is_none()) {
            return Err(property.fault(
                "EXDATE is a time, in a series of whole days, and readers do not agree which day that is",
            ));
        }
        except.extend(listed);
    }
    Ok((more, except))
}

/// Of an event that was called off.
const NOTHING: Length = Length { wall: SignedDuration::ZERO, exact: SignedDuration::ZERO };

fn nobody() -> User {
    User { id: String::new(), mail: None, principal: None, label: None, disputed: None }
}

fn length(part: &Component, start: &Moment, zones: &mut Zones<'_>) -> Result<Length, Fault> {
    let fault = |property: &Property, text: &str| Err(property.fault(text));
    let length = match (part.one("DTEND")?, part.one("DURATION")?) {
        (Some(end), Some(_)) => return fault(end, "both DTEND and DURATION"),
        (None, None) if start.form == Form::Day => Length { wall: SignedDuration::from_hours(24), ..NOTHING },
        (None, None) => return Err(part.fault("an event without an end: neither DTEND nor DURATION")),
        (None, Some(property)) => match duration(&property.value) {
            Some(length) if start.form != Form::Day || length.exact.is_zero() => length,
            Some(_) => return fault(property, "DURATION of whole days is written in days"),
            None => return fault(property, "DURATION is not a length of time"),
        },
        (Some(property), None) => {
            let end = Moment::read(property, zones, Some(&start.zone))?;
            if (end.form == Form::Day) != (start.form == Form::Day) {
                return fault(property, "DTSTART and DTEND are not both days, or both times");
            }
            if !are_in_known_zones(start, &end, zones.own()) {
                return fault(
                    property,
                    "one of DTSTART and DTEND has a time zone and the other has none, and readers do not agree when that is",
                );
            }
            let Some(local) = end.seen_in(&start.zone) else {
                return fault(property, "DTEND is too far away");
            };
            if end.instant() < start.instant() {
                return fault(property, "DTEND is before DTSTART");
            }
            Length { wall: local.duration_since(start.local), ..NOTHING }
        }
    };
    if length.wall.as_hours() > i64::from(LONGEST) * 24 {
        return Err(part.fault(format!("an event of more than {LONGEST} days")));
    }
    Ok(length)
}

/// Is it clear when an event begins and ends? Of a time without a zone beside one that has a zone, some readers take that zone.
fn are_in_known_zones(start: &Moment, end: &Moment, own: Option<&TimeZone>) -> bool {
    let (floating, zoned) = match (start.form, end.form) {
        (Form::Floating, Form::Local | Form::Utc) => (start, end),
        (Form::Local | Form::Utc, Form::Floating) => (end, start),
        _ => return true,
    };
    own.is_some_and(|own| instant(own, floating.local) == instant(&zoned.zone, floating.local))
}

/// `P1W`, `P1D`, `P1DT12H`, `PT30M`: RFC 5545, section 3.3.6. Days are those of the wall clock, hours pass.
pub fn duration(text: &str) -> Option<Length> {
    let text = text.trim();
    let rest = text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?;
    let (days, times) = rest.split_once('T').map_or((rest, None), |(days, times)| (days, Some(times)));
    let (mut wall, mut exact) = (0_i64, 0_i64);
    let parts = |text: &str, units: &[(char, i64)]| -> Option<i64> {
        let (mut total, mut number, mut next) = (0_i64, String::new(), 0);
        for character in text.chars() {
            if character.is_ascii_digit() {
                number.push(character);
                continue;
            }
            let place =
                units.iter().position(|(unit, _)| *unit == character).filter(|place| *place >= next)?;
            let amount: u32 = number.parse().ok()?;
            total = total.checked_add(i64::from(amount).checked_mul(units.get(place)?.1)?)?;
            (number, next) = (String::new(), place + 1);
        }
        number.is_empty().then_some(total)
    };
    wall += parts(days, &[('W', 604_800), ('D', 86_400)])?;
    if let Some(times) = times.filter(|times| !times.is_empty()) {
        exact = parts(times, &[('H', 3_600), ('M', 60), ('S', 1)])?;
    } else if days.is_empty() || times.is_some() {
        return None;
    }
    wall = wall.checked_add(exact)?;
    Some(Length { wall: SignedDuration::from_secs(wall), exact: SignedDuration::from_secs(exact) })
}

/// Whose shift an event is. Never by a name that is shown to people, and never one of several.
fn whose(part: &Component, person: &CalendarPerson) -> Result<User, Fault> {
    let (property, id) = match person {
        CalendarPerson::Attendee => attendee(part)?,
        CalendarPerson::Summary(pattern) => summary(part, pattern)?,
    };
    if id.is_empty() || id.len() > LONGEST_NAME {
        return Err(property.fault(format!("{} names nobody: it is empty or too long", property.name)));
    }
    // What cannot be printed is in nobody's name: they are told as somebody who is not known.
    let id: String = id.chars().map(|one| if policy::is_printable(one) { one } else { '\u{fffd}' }).collect();
    let address = id.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty()
            && !host.is_empty()
            && !host.contains('@')
            && !id.contains([' ', '<', '>', ',', ';', '"'])
    });
    if !address {
        return Ok(User { id, mail: None, principal: None, label: None, disputed: None });
    }
    // However it is written, it is one person.
    let id = id.to_ascii_lowercase();
    Ok(User { mail: Some(id.clone()), id, principal: None, label: None, disputed: None })
}

fn has(property: &Property, name: &str, words: &[&str]) -> bool {
    let value = property.parameter(name);
    value.is_some_and(|value| words.iter().any(|word| value.eq_ignore_ascii_case(word)))
}

/// Is it a person who is asked to come?
fn is_invited(property: &&Property) -> bool {
    !has(property, "CUTYPE", &["ROOM", "RESOURCE"]) && !has(property, "ROLE", &["NON-PARTICIPANT"])
}

fn declines(property: &&Property) -> bool {
    has(property, "PARTSTAT", &["DECLINED"])
}

/// Has everybody declined who was invited? Then nobody is on call by it.
fn is_declined(part: &Component) -> bool {
    let mut invited = part.all("ATTENDEE").filter(is_invited).peekable();
    invited.peek().is_some() && invited.all(|property| declines(&property))
}

/// The one who is invited, and has not declined. Rooms are not people, and who is told of it for information does not take part.
fn attendee(part: &Component) -> Result<(&Property, String), Fault> {
    let mut invited = part.all("ATTENDEE").filter(is_invited).filter(|property| !declines(property));
    match (invited.next(), invited.next()) {
        (Some(one), None) => {
            let scheme = one.value.get(.."mailto:".len()).filter(|text| text.eq_ignore_ascii_case("mailto:"));
            let address = scheme.and_then(|scheme| one.value.get(scheme.len()..)).unwrap_or_default().trim();
            if address.is_empty() || !address.contains('@') {
                return Err(one.fault("ATTENDEE has no mail address"));
            }
            Ok((one, address.to_string()))
        }
        (_, Some(second)) => Err(second.fault("a second ATTENDEE: write an event for each person on call")),
        (None, None) => Err(part
            .fault("an event without ATTENDEE: whose shift it is, is not known; see `person` of the source")),
    }
}

/// Whoever SUMMARY names where the pattern has {}.
fn summary<'a>(part: &'a Component, pattern: &SummaryPattern) -> Result<(&'a Property, String), Fault> {
    let property = part
        .one("SUMMARY")?
        .ok_or_else(|| part.fault("an event without SUMMARY: whose shift it is, is not known"))?;
    let named = property.value.strip_prefix(pattern.before.as_str());
    let named = named.and_then(|rest| rest.strip_suffix(pattern.after.as_str()));
    let named =
        named.ok_or_else(|| property.fault("SUMMARY is not what `person` of the source describes"))?;
    Ok((property, named.to_string()))
}
