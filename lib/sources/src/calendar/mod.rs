//! `icalendar`: a calendar that people keep, by its address or in a file (RFC 5545).
//!
//! Whoever may edit it chooses among the eligible, so what is written late is asked about (`late`). Programs that read
//! calendars do not agree about all that programs write. What this one takes, two independent readers take the same
//! way (tests/calendar.rs); where they differ, or a zone is not known, the calendar is refused with the line, and the shifts
//! of the last good reading stay. Only what was over before anybody asks is left out instead, and counted.

mod event;
mod kept;
mod lines;
mod moment;
mod past;
mod rule;
mod series;
mod windows;
mod zones;

use std::fmt;
use std::path::Path;

use host::config::{self, CalendarPlace};
use host::secret::Secret;
use http::{ACCEPT, Client, HeaderName, Reply, Route};
use policy::{Span, Timestamp, Window};
use trust::Owner;

use super::gather::{Bound, Description, Gather, Named, Row};
use super::pages::Whole;
use super::session::{Exchange, Tap, refusal, route};
use super::{Answer, Provider, ProviderError};
use event::Event;
use kept::Kept;
use lines::Component;
use past::Past;
use series::Shifts;
use zones::Zones;

/// The largest calendar, in bytes: what is read of any service.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What rules name the one schedule of a calendar by, where `schedules` says nothing else.
pub const SCHEDULE: &str = "calendar";

/// A calendar.
pub struct Calendar<'a> {
    settings: &'a config::Calendar,
    schedules: &'a [String],
    now: Timestamp,
    tap: Option<Tap<'a>>,
}

/// What is wrong with a calendar, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    line: usize,
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl<'a> Calendar<'a> {
    /// The calendar in `settings`, as the one schedule that is `wanted`.
    pub fn new(settings: &'a config::Calendar, wanted: &'a [String], now: Timestamp) -> Self {
        Self { settings, schedules: wanted, now, tap: None }
    }

    /// The same, with `tap` hearing what the server answers; of the address it hears nothing.
    #[must_use]
    pub fn heard_by(self, tap: Option<Tap<'a>>) -> Self {
        Self { tap, ..self }
    }

    /// What a file of this host has.
    fn file(&self, path: &Path) -> Result<Copy, ProviderError> {
        let refused = |refusal: trust::Refusal| ProviderError::source(&refusal.to_string());
        let text = trust::read(path, Owner::Service, LARGEST).map_err(refused)?;
        Ok(Copy { text, as_of: None, place: path.display().to_string(), keep: None, note: None })
    }

    /// What the address in `file` has, or had when it was last read: what has not changed is not sent again, and a copy that
    /// is older than that waits for a while.
    fn address(&self, file: &Path) -> Result<Copy, ProviderError> {
        let address =
            Secret::read(file).map_err(|error| ProviderError::source(&format!("url_file: {error}")))?;
        let address = address.expose();
        let route = route(&self.settings.ca_file, self.settings.proxy.as_deref(), self.settings.timeout);
        let kept = Kept::read(&self.settings.kept_in, address);
        // Whoever wants to see what comes is shown it.
        let asked = kept.as_ref().filter(|_| self.tap.is_none());
        let condition = asked.and_then(|kept| Some((kept, kept.condition(self.now)?)));
        let (mut reply, place) =
            self.ask(address, route, condition.as_ref().map(|(_, condition)| condition))?;
        let confirmed = condition.filter(|(kept, _)| reply.status == 304 && kept.is_meant_by(&reply));
        if reply.status == 304 && confirmed.is_none() {
            reply = self.ask(address, route, None)?.0;
        }
        let (now, mut note) = (self.now, None);
        let at = kept::true_at(&reply, now);
        let copy = match (reply.status, confirmed, &kept) {
            (304, Some((kept, _)), _) => kept.confirmed(at, now),
            (200, _, Some(kept)) if kept.stands_before(at, now) => {
                note = (kept.text != reply.body).then(|| {
                    format!(
                        "an older copy of the calendar came, of {at}, from a cache or a mirror on the way, or the server's clock is wrong; it stands as it was at {} for a quarter of an hour at most",
                        kept.at()
                    )
                });
                kept.clone()
            }
            (200, ..) => {
                note = (now.since(at) > kept::LAG).then(|| {
                    format!("the copy of the calendar that came is of {at}, by a cache on the way or by the server's clock: its shifts count as that old")
                });
                Kept::of(&reply, address, at, now)
            }
            _ => return Err(ProviderError::source(&self.refused(&reply, &place))),
        };
        let as_of = Some(copy.at()).filter(|at| *at < now);
        Ok(Copy { text: copy.text.clone(), as_of, place, keep: Some((copy, kept)), note })
    }

    /// What the server at `address` answers, and its name for messages.
    fn ask(
        &self,
        address: &str,
        route: Route<'_>,
        condition: Option<&(HeaderName, &str)>,
    ) -> Result<(Reply, String), ProviderError> {
        let mut headers = vec![(ACCEPT, "text/calendar, */*;q=0.1")];
        headers.extend(condition.cloned());
        let client = Client::secret(address, route, &headers)?;
        let reply = client.ask()?;
        if let Some(tap) = self.tap {
            tap(&Exchange { request: "GET what is in url_file".to_string(), reply: &reply });
        }
        Ok((reply, client.host()))
    }

    fn refused(&self, reply: &Reply, host: &str) -> String {
        let own = |status| {
            Some(match status {
                status if http::is_redirect(status) => {
                    "a redirect, which is not followed; write the address where it leads into `url_file`"
                }
                401 | 403 => {
                    "the address in `url_file` may not be read; check it, and the name and password in it"
                }
                304 => "nothing has changed, it says, and that was not asked; is a cache on the way broken?",
                404 | 410 => "there is no calendar; was its secret address made anew? check `url_file`",
                _ => return None,
            })
        };
        refusal((host, ""), reply, None, |status| own(status).map(str::to_string))
    }
}

impl Provider for Calendar<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        let copy = match &self.settings.place {
            CalendarPlace::File(path) => self.file(path)?,
            CalendarPlace::Address(file) => self.address(file)?,
        };
        let id = self.schedules.first().map_or(SCHEDULE, String::as_str);
        let mut answer = read_with(&copy.text, self.settings, id, window, copy.note)
            .map_err(|fault| ProviderError::source(&format!("{}: {fault}", copy.place)))?;
        if let Some((kept, before)) = copy.keep {
            kept.keep(&self.settings.kept_in, before.as_ref());
        }
        answer.as_of = copy.as_of;
        Ok(answer)
    }
}

/// A calendar as it came.
struct Copy {
    text: Vec<u8>,
    /// When it was true, where that is not now.
    as_of: Option<Timestamp>,
    /// Where it came from, for messages.
    place: String,
    /// What to keep of it once it was read, and what is kept so far.
    keep: Option<(Kept, Option<Kept>)>,
    note: Option<String>,
}

/// Reads the calendar `text` as the schedule `id`.
///
/// # Errors
/// It is no calendar, or one of its events that is not over cannot be told.
pub fn read(text: &[u8], settings: &config::Calendar, id: &str, window: Window) -> Result<Answer, Fault> {
    read_with(text, settings, id, window, None)
}

/// The same, with what is to be told of how it came.
fn read_with(
    text: &[u8],
    settings: &config::Calendar,
    id: &str,
    window: Window,
    note: Option<String>,
) -> Result<Answer, Fault> {
    let text = str::from_utf8(super::without_mark(text)).map_err(|error| {
        let line =
            text.get(..error.valid_up_to()).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
        Fault { line: line + 1, text: "not an iCalendar: not UTF-8".to_string() }
    })?;
    let calendar = lines::calendar(text)?;
    check_head(&calendar)?;
    let mut zones = Zones::new(&calendar, settings.zone.as_deref(), window)?;
    let mut shifts = Shifts::default();
    for parts in past::by_series(&calendar) {
        let past = Past::of(&parts, window);
        let mut events = Vec::new();
        for part in &parts {
            match Event::read(part, &mut zones, &settings.person) {
                Ok(event) => events.push(event),
                // What nobody understands of the past says nothing about now.
                Err(fault) if past.has(part) => shifts.over.push(fault),
                Err(fault) => return Err(fault),
            }
        }
        shifts.take(&events, past.is_whole(), window)?;
    }
    let Shifts { all, over, .. } = shifts;
    let mut gather = Gather::new(window, 1);
    note.into_iter().for_each(|note| gather.note(note));
    if let Some(first) = over.first() {
        let count = over.len();
        gather.note(format!("{count} events of {id} that are over cannot be read and are left out; {first}"));
    }
    if let Some(lag) = published(&calendar) {
        gather.note(format!(
            "{id} says that it is published anew every {lag}: an edit may take that long to be seen"
        ));
    }
    let name = calendar.all("X-WR-CALNAME").next().map_or(id, |name| name.value.as_str()).to_string();
    let named = Named { wanted: id.to_string(), id: id.to_string(), name };
    let row = |shift: series::Shift| Row {
        person: Description { user: shift.user, whole: true },
        level: 1,
        start: Bound::At(shift.start),
        end: Bound::At(shift.end),
    };
    gather.take(named, Whole::at_once(all.into_iter().map(row).collect()));
    Ok(gather.finish())
}

/// Is it a calendar of the form that is read, and one that is published?
fn check_head(calendar: &Component) -> Result<(), Fault> {
    if let Some(version) = calendar.one("VERSION")?.filter(|version| version.value.trim() != "2.0") {
        return Err(version.fault(format!("VERSION is {}; this release reads 2.0", version.value)));
    }
    let is_published =
        |method: &str| ["PUBLISH", "REQUEST"].iter().any(|one| method.trim().eq_ignore_ascii_case(one));
    match calendar.one("METHOD")?.filter(|method| !is_published(&method.value)) {
        Some(method) => {
            Err(method.fault(format!("METHOD is {}: a message, and not a calendar", method.value)))
        }
        None => Ok(()),
    }
}

/// How often the calendar says that it is published anew, where that is longer than an edit should take.
fn published(calendar: &Component) -> Option<Span> {
    let mut told = calendar.all("REFRESH-INTERVAL").chain(calendar.all("X-PUBLISHED-TTL"));
    let length = told.find_map(|property| event::duration(&property.value))?.wall.as_secs();
    (length > 15 * 60).then(|| Span::seconds(length))
}

#[cfg(test)]
mod tests;
