//! PagerDuty: who is on call, from its REST API.
//!
//! Two lists a sync, each read to its end: `/schedules`, which proves that every schedule asked for
//! exists, and `/oncalls`, which holds the shifts with overrides applied. Entries whose schedule is
//! null are people named directly in an escalation policy, on call for ever; no schedule was asked
//! for them, so they are not on this host's. One entry that cannot be understood spoils the answer:
//! half a roster would take root from somebody whom the other half gives it to.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use host::config::Access;
use host::secret::Secret;
use policy::{Timestamp, Window};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde::{Deserialize, Deserializer};

use super::{Answer, Provider, ProviderError, ProviderSchedule, ProviderShift, User};
use crate::http::{Client, HttpError, Reply};

/// Entries to a page; more is refused.
const LIMIT: usize = 100;

/// `offset` + `limit` beyond this is refused by the service.
const DEEPEST: usize = 10_000;

/// The most pages of one list that are asked for.
const PAGES: usize = 200;

/// One account at PagerDuty, and what is wanted of it.
pub struct PagerDuty<'a> {
    settings: &'a host::config::PagerDuty,
    wanted: &'a [String],
    max_level: u8,
}

/// A page of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub entries: Vec<T>,
    /// Is there a further page?
    pub more: bool,
}

/// A schedule that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// PagerDuty's id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A shift on some schedule, or on none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The schedule's id; `None` for a person named directly in an escalation policy.
    pub schedule: Option<String>,
    /// Whose shift it is.
    pub user: User,
    /// Escalation level, at least 1.
    pub level: u64,
    /// From when to when.
    pub window: Window,
}

impl<'a> PagerDuty<'a> {
    /// The shifts of `wanted`, which are ids or exact names, no deeper than `max_level`.
    pub fn new(settings: &'a host::config::PagerDuty, wanted: &'a [String], max_level: u8) -> Self {
        Self { settings, wanted, max_level }
    }

    fn token_file(&self) -> &Path {
        match &self.settings.access {
            Access::Key(file) => file,
            Access::OAuth(app) => &app.client_secret_file,
        }
    }

    fn session(&self) -> Result<Session<'a>, ProviderError> {
        let limit = u64::try_from(self.settings.deadline.as_seconds()).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(limit);
        let token =
            Secret::read(self.token_file()).map_err(|error| source(format!("token_file: {error}")))?;
        let headers = [
            (ACCEPT, "application/vnd.pagerduty+json;version=2"),
            // Required for GET as well, says the API's schema.
            (CONTENT_TYPE, "application/json"),
            (AUTHORIZATION, &format!("Token token={}", token.expose())),
        ];
        let client = Client::new(&self.settings.api, &self.settings.ca_file, &headers, deadline)?;
        Ok(Session { settings: self.settings, client, clock: None })
    }
}

impl Provider for PagerDuty<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        let mut session = self.session()?;
        let known = all_pages("schedules", |offset| session.schedules(offset))?;
        let schedules = choose(known, self.wanted)?;
        let entries = all_pages("oncalls", |offset| session.oncalls(window, &schedules, offset))?;
        let schedules = schedules
            .into_iter()
            .map(|schedule| with_shifts(schedule, &entries, self.max_level, window))
            .collect();
        Ok(Answer { schedules, failed: Vec::new(), clock: session.clock })
    }
}

/// The requests of one fetch.
struct Session<'a> {
    settings: &'a host::config::PagerDuty,
    client: Client,
    /// What the first answer's `Date` said: the one closest to the instant that the window was made from.
    clock: Option<Timestamp>,
}

impl Session<'_> {
    fn schedules(&mut self, offset: usize) -> Result<Page<Named>, ProviderError> {
        let (limit, offset) = (LIMIT.to_string(), offset.to_string());
        parse_schedules(&self.ask("/schedules", &[("limit", &limit), ("offset", &offset)])?)
    }

    /// The same window on every page, or the pages would not be of one list.
    fn oncalls(&mut self, window: Window, of: &[Named], offset: usize) -> Result<Page<Entry>, ProviderError> {
        let (since, until) = (window.start().to_string(), window.end().to_string());
        let (limit, offset) = (LIMIT.to_string(), offset.to_string());
        let mut query = vec![("since", &*since), ("until", &*until), ("time_zone", "UTC")];
        query.extend([("limit", &*limit), ("offset", &*offset), ("include[]", "users")]);
        query.extend(of.iter().map(|schedule| ("schedule_ids[]", &*schedule.id)));
        parse_oncalls(&self.ask("/oncalls", &query)?)
    }

    /// The body of an answer with status 200.
    fn ask(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, ProviderError> {
        let reply = self.client.get(path, query)?;
        if reply.status != 200 {
            return Err(source(self.refusal(path, &reply)));
        }
        if let (None, Some(date)) = (self.clock, &reply.date) {
            let at =
                http_date(date).ok_or_else(|| source(format!("{path}: the answer's `Date` is no date")))?;
            self.clock = Some(at);
        }
        Ok(reply.body)
    }

    /// What a status other than 200 means, and what to check.
    fn refusal(&self, path: &str, reply: &Reply) -> String {
        let api = &self.settings.api;
        let token_file = match &self.settings.access {
            Access::Key(file) => file.display(),
            Access::OAuth(app) => app.client_secret_file.display(),
        };
        let next = match reply.status {
            300..=399 => "a redirect, which is not followed; check `api`".to_string(),
            400 => "the question was not understood; is `lookahead` longer than 90 days?".to_string(),
            401 => format!("the key is not known; check that {token_file} holds a valid API key"),
            403 => format!(
                "the key in {token_file} may not read this; it needs schedules.read, oncalls.read and users.read"
            ),
            404 => "nothing is there; check `api`, and that the key's account is in that region".to_string(),
            429 => format!("too many requests with this key; try again {}", when(reply)),
            500..=599 => "the service fails; the next sync tries again, see status.pagerduty.com".to_string(),
            _ => "the API's documentation has no such answer; check `api`".to_string(),
        };
        format!("{api}{path}: status {}: {next}", reply.status)
    }
}

/// Reads a list to its end by `page`, which is given the offset.
fn all_pages<T>(
    list: &str,
    mut page: impl FnMut(usize) -> Result<Page<T>, ProviderError>,
) -> Result<Vec<T>, ProviderError> {
    let incomplete = |why: &str| Err(ProviderError::Incomplete(format!("/{list}: {why}")));
    let mut entries = Vec::new();
    let mut offset = 0;
    for _ in 0..PAGES {
        if offset + LIMIT > DEEPEST {
            return incomplete(
                "PagerDuty shows no more than 10000 entries; list fewer `schedules`, or shorten `lookahead`",
            );
        }
        let mut next = page(offset)?;
        // By what came, not by what was asked for: a service that gives less a page skips nothing.
        offset += next.entries.len().min(LIMIT);
        let empty = next.entries.is_empty();
        entries.append(&mut next.entries);
        match (next.more, empty) {
            (false, _) => return Ok(entries),
            (true, true) => {
                return incomplete("an empty page says that there is more; the next sync tries again");
            }
            (true, false) => {}
        }
    }
    incomplete("200 pages and still more; list fewer `schedules`, or shorten `lookahead`")
}

/// Finds each of `wanted` among `known`, by id or else by its exact name, each once.
fn choose(known: Vec<Named>, wanted: &[String]) -> Result<Vec<Named>, ProviderError> {
    let mut chosen: Vec<Named> = Vec::new();
    for text in wanted {
        let schedule = find(&known, text)?;
        if !chosen.iter().any(|other| other.id == schedule.id) {
            chosen.push(schedule.clone());
        }
    }
    Ok(chosen)
}

fn find<'a>(known: &'a [Named], text: &str) -> Result<&'a Named, ProviderError> {
    if let Some(schedule) = known.iter().find(|schedule| schedule.id == text) {
        return Ok(schedule);
    }
    let mut named = known.iter().filter(|schedule| schedule.name == text);
    let Some(first) = named.next() else {
        return Err(ProviderError::Incomplete(format!(
            "PagerDuty has no schedule `{text}`; check `schedules`, and that the key may see it"
        )));
    };
    // A list that moves while it is read may show the same schedule on two pages.
    match named.find(|other| other.id != first.id) {
        None => Ok(first),
        Some(other) => Err(source(format!(
            "two schedules are named `{text}`: {} and {}; write the id in `schedules`",
            first.id, other.id
        ))),
    }
}

/// The shifts of `schedule` among `entries` that touch `window`, in order, each once: PagerDuty repeats
/// a shift for every escalation policy that uses the schedule.
fn with_shifts(schedule: Named, entries: &[Entry], max_level: u8, window: Window) -> ProviderSchedule {
    let shifts: BTreeSet<(Window, u8, &User)> = entries
        .iter()
        .filter(|entry| entry.schedule.as_ref() == Some(&schedule.id))
        .filter(|entry| entry.window.intersect(window).is_some())
        .filter_map(|entry| {
            let level = u8::try_from(entry.level).ok().filter(|&level| level <= max_level)?;
            Some((entry.window, level, &entry.user))
        })
        .collect();
    ProviderSchedule {
        // The name is printed on terminals.
        name: schedule.name.replace(char::is_control, " "),
        id: schedule.id,
        shifts: shifts
            .into_iter()
            .map(|(window, level, user)| ProviderShift { user: user.clone(), level, window })
            .collect(),
    }
}

// The answers as PagerDuty writes them. Keys that are not read here may come and go; those that are
// read must be there: an end that is missing is not an end that is null.

#[derive(Deserialize)]
struct SchedulesBody {
    schedules: Vec<ScheduleBody>,
    more: bool,
}

#[derive(Deserialize)]
struct ScheduleBody {
    id: String,
    name: Option<String>,
    summary: Option<String>,
}

#[derive(Deserialize)]
struct OncallsBody {
    oncalls: Vec<EntryBody>,
    more: bool,
}

#[derive(Deserialize)]
struct EntryBody {
    user: UserBody,
    #[serde(deserialize_with = "present")]
    schedule: Option<ReferenceBody>,
    escalation_level: u64,
    #[serde(deserialize_with = "present")]
    start: Option<String>,
    #[serde(deserialize_with = "present")]
    end: Option<String>,
}

/// A user in full, or a reference to one, which has no `email`.
#[derive(Deserialize)]
struct UserBody {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    email: Option<String>,
}

#[derive(Deserialize)]
struct ReferenceBody {
    id: String,
}

/// Reads a value or null. Without this, serde takes an absent key for null.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// Reads an answer of `GET /schedules`.
pub fn parse_schedules(body: &[u8]) -> Result<Page<Named>, ProviderError> {
    let body: SchedulesBody = serde_json::from_slice(body).map_err(|error| unreadable("schedules", error))?;
    let entries = body.schedules.into_iter().map(named).collect::<Result<_, _>>()?;
    Ok(Page { entries, more: body.more })
}

/// Reads an answer of `GET /oncalls`.
pub fn parse_oncalls(body: &[u8]) -> Result<Page<Entry>, ProviderError> {
    let body: OncallsBody = serde_json::from_slice(body).map_err(|error| unreadable("oncalls", error))?;
    let entries = body.oncalls.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Page { entries, more: body.more })
}

fn named(body: ScheduleBody) -> Result<Named, ProviderError> {
    let id = identifier(body.id, "a schedule")?;
    match body.name.or(body.summary) {
        Some(name) => Ok(Named { id, name }),
        None => Err(source(format!("schedule {id} has no name"))),
    }
}

fn entry(body: EntryBody) -> Result<Entry, ProviderError> {
    let id = identifier(body.user.id, "a user")?;
    if body.user.kind != "user" && body.user.kind != "user_reference" {
        return Err(source(format!(
            "an entry of /oncalls is for {id}, which is no user but {:?}",
            body.user.kind
        )));
    }
    if body.escalation_level == 0 {
        return Err(source(format!("a shift of user {id} is on escalation level 0; the first is 1")));
    }
    let start = body.start.map_or(Ok(Timestamp::MIN), |text| instant(&text))?;
    let end = body.end.map_or(Ok(Timestamp::MAX), |text| instant(&text))?;
    let Some(window) = Window::new(start, end) else {
        return Err(source(format!("a shift of user {id} starts at {start} and ends at {end}")));
    };
    Ok(Entry {
        schedule: body.schedule.map(|schedule| identifier(schedule.id, "a schedule")).transpose()?,
        user: User {
            id,
            mail: body.user.email.filter(|mail| !mail.is_empty()),
            principal: None,
            label: None,
        },
        level: body.escalation_level,
        window,
    })
}

/// An id is letters and digits today; whatever may be printed and has no space is taken.
fn identifier(id: String, whose: &str) -> Result<String, ProviderError> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(source(format!("the id of {whose} is {id:?}, which is none")));
    }
    Ok(id)
}

/// RFC 3339 with any offset; what is below a second is dropped.
fn instant(text: &str) -> Result<Timestamp, ProviderError> {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => Ok(Timestamp::from_unix(at.as_second())),
        Err(_) => Err(source(format!("an entry of /oncalls has the time {text:?}, which is none"))),
    }
}

/// The `Date` of HTTP: `Fri, 20 Nov 2026 12:00:00 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_unix(at.as_second()))
}

/// When a limited request may be tried again. `ratelimit-reset` is what PagerDuty documents, in seconds to
/// wait; `Retry-After` is what HTTP documents. The later one holds; either may be missing.
fn when(reply: &Reply) -> String {
    let seconds = |header: &Option<String>| header.as_ref().and_then(|text| text.trim().parse::<u32>().ok());
    let date = reply.retry_after.as_deref().and_then(http_date);
    match (seconds(&reply.ratelimit_reset).max(seconds(&reply.retry_after)), date) {
        (Some(wait), _) => format!("in {wait}s"),
        (None, Some(date)) => format!("after {date}"),
        (None, None) => "in a minute".to_string(),
    }
}

fn unreadable(list: &str, error: serde_json::Error) -> ProviderError {
    source(format!("the answer of /{list} cannot be read; this release may be too old for it: {error}"))
}

fn source(text: String) -> ProviderError {
    ProviderError::Source(text)
}

impl From<HttpError> for ProviderError {
    fn from(error: HttpError) -> Self {
        Self::Source(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PAGE_1: &[u8] = include_bytes!("fixtures/pagerduty/oncalls-72h-page-1.json");
    const PAGE_2: &[u8] = include_bytes!("fixtures/pagerduty/oncalls-72h-page-2.json");
    const PAGE_3: &[u8] = include_bytes!("fixtures/pagerduty/oncalls-72h-page-3.json");
    const REFERENCES: &[u8] = include_bytes!("fixtures/pagerduty/oncalls-72h-references.json");
    const TWICE: &[u8] = include_bytes!("fixtures/pagerduty/oncalls-same-user-twice.json");
    const OFFSET: &[u8] = include_bytes!("fixtures/pagerduty/oncalls-local-offset.json");
    const V3: &[u8] = include_bytes!("fixtures/pagerduty/oncalls-v3-schedule.json");
    const EMPTY: &[u8] = include_bytes!("fixtures/pagerduty/oncalls-empty.json");
    const SCHEDULES: &[u8] = include_bytes!("fixtures/pagerduty/schedules.json");

    fn at(text: &str) -> Timestamp {
        instant(text).unwrap()
    }

    fn window(start: &str, end: &str) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    /// The 72 hours of the fixtures.
    fn asked() -> Window {
        window("2026-11-20T11:00:00Z", "2026-11-23T12:00:00Z")
    }

    fn schedule(id: &str, name: &str) -> Named {
        Named { id: id.to_string(), name: name.to_string() }
    }

    fn primary(entries: &[Entry], max_level: u8) -> Vec<(String, u8, Window)> {
        with_shifts(schedule("PSPRIM1", "SRE primary"), entries, max_level, asked())
            .shifts
            .into_iter()
            .map(|shift| (shift.user.id, shift.level, shift.window))
            .collect()
    }

    /// The first page with one key of its first entry changed by `change`.
    fn spoilt(change: impl FnOnce(&mut Value)) -> Result<Page<Entry>, ProviderError> {
        let mut page: Value = serde_json::from_slice(PAGE_1).unwrap();
        change(&mut page["oncalls"][0]);
        parse_oncalls(page.to_string().as_bytes())
    }

    fn numbered(page: &[u32], more: bool) -> Result<Page<u32>, ProviderError> {
        Ok(Page { entries: page.to_vec(), more })
    }

    #[test]
    fn three_pages_make_one_list() {
        let mut pages = [(0, PAGE_1), (3, PAGE_2), (6, PAGE_3)].into_iter();
        let entries = all_pages("oncalls", |offset| {
            let (expected, body) = pages.next().unwrap();
            assert_eq!(offset, expected);
            parse_oncalls(body)
        });
        let shifts = primary(&entries.unwrap(), 1);
        let expected = [
            ("PUALICE", "2026-11-20T09:00:00Z", "2026-11-20T18:00:00Z"),
            ("PUCAROL", "2026-11-20T18:00:00Z", "2026-11-20T20:00:00Z"),
            ("PUALICE", "2026-11-20T20:00:00Z", "2026-11-21T09:00:00Z"),
            ("PUBOB01", "2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z"),
            ("PUALICE", "2026-11-22T09:00:00Z", "2026-11-23T09:00:00Z"),
        ]
        .map(|(user, start, end)| (user.to_string(), 1, window(start, end)));
        assert_eq!(shifts, expected);
    }

    #[test]
    fn a_list_that_never_ends_is_incomplete() {
        for step in [1, 3, 100] {
            let mut asked = 0;
            let result = all_pages("oncalls", |offset| {
                asked += 1;
                assert!(offset + LIMIT <= DEEPEST);
                numbered(&vec![7; step], true)
            });
            assert!(matches!(result, Err(ProviderError::Incomplete(_))), "{result:?}");
            assert!(asked <= PAGES);
        }
    }

    #[test]
    fn an_empty_page_that_says_more_is_incomplete() {
        assert!(matches!(all_pages("oncalls", |_| numbered(&[], true)), Err(ProviderError::Incomplete(_))));
        assert_eq!(all_pages("oncalls", |_| numbered(&[], false)), Ok(vec![]));
    }

    #[test]
    fn a_page_that_fails_fails_the_list() {
        let result = all_pages("oncalls", |offset| match offset {
            0 => numbered(&[1], true),
            _ => Err(source("broken".to_string())),
        });
        assert_eq!(result, Err(source("broken".to_string())));
    }

    #[test]
    fn an_empty_list_is_an_answer() {
        assert_eq!(parse_oncalls(EMPTY), Ok(Page { entries: vec![], more: false }));
    }

    #[test]
    fn a_person_in_no_schedule_is_read_and_on_nobodys_shifts() {
        let page = parse_oncalls(PAGE_3).unwrap();
        let [dave] = &page.entries[..] else { panic!("{page:?}") };
        assert_eq!(dave.schedule, None);
        assert_eq!((dave.window.start(), dave.window.end()), (Timestamp::MIN, Timestamp::MAX));
        assert_eq!(primary(&page.entries, 9), []);
    }

    #[test]
    fn the_mail_address_is_there_or_not() {
        let mails = |body| -> Vec<_> {
            parse_oncalls(body).unwrap().entries.into_iter().map(|entry| entry.user.mail).collect()
        };
        assert_eq!(mails(PAGE_3), [Some("dave@example.com".to_string())]);
        assert!(mails(REFERENCES).iter().all(Option::is_none));
        assert_eq!(spoilt(|entry| entry["user"]["email"] = json!("")).unwrap().entries[0].user.mail, None);
    }

    #[test]
    fn a_shift_that_two_policies_repeat_counts_once_per_level() {
        let mut entries = parse_oncalls(TWICE).unwrap().entries;
        entries.extend(entries.clone());
        let day = window("2026-11-20T09:00:00Z", "2026-11-20T18:00:00Z");
        assert_eq!(primary(&entries, 1), [("PUALICE".to_string(), 1, day)]);
        assert_eq!(primary(&entries, 2), [("PUALICE".to_string(), 1, day), ("PUALICE".to_string(), 2, day)]);
    }

    #[test]
    fn a_local_offset_is_the_same_instant() {
        let local = parse_oncalls(OFFSET).unwrap().entries;
        assert_eq!(local[0].window, window("2026-11-20T09:00:00Z", "2026-11-20T18:00:00Z"));
        assert_eq!(local[0].window, parse_oncalls(V3).unwrap().entries[0].window);
        assert_eq!(at("2026-11-20T09:00:00.999Z"), at("2026-11-20T09:00:00Z"));
    }

    #[test]
    fn shifts_outside_the_window_and_deep_levels_are_left_out() {
        let long_ago = spoilt(|entry| {
            entry["start"] = json!("2026-01-01T00:00:00Z");
            entry["end"] = json!("2026-11-20T11:00:00Z");
        });
        assert_eq!(primary(&long_ago.unwrap().entries, 1).len(), 2);
        let deep = spoilt(|entry| entry["escalation_level"] = json!(257)).unwrap();
        assert_eq!(primary(&deep.entries, u8::MAX).len(), 2);
    }

    #[test]
    fn one_bad_entry_spoils_the_answer() {
        type Change = fn(&mut Value);
        let bad: [(&str, Change); 14] = [
            ("ends at", |entry| entry["end"] = entry["start"].clone()),
            ("level 0", |entry| entry["escalation_level"] = json!(0)),
            ("expected u64", |entry| entry["escalation_level"] = json!(-1)),
            ("expected u64", |entry| entry["escalation_level"] = json!("1")),
            ("missing field `id`", |entry| entry["user"] = json!({"type": "user"})),
            ("id of a user", |entry| entry["user"]["id"] = json!("")),
            ("id of a user", |entry| entry["user"]["id"] = json!("A\nB")),
            ("expected a string", |entry| entry["user"]["id"] = json!(7)),
            ("no user but \"team_reference\"", |entry| entry["user"]["type"] = json!("team_reference")),
            ("invalid type: null", |entry| entry["user"] = Value::Null),
            ("has the time", |entry| entry["start"] = json!("2026-11-20T09:00:00")),
            ("missing field `end`", |entry| drop(entry.as_object_mut().unwrap().remove("end"))),
            ("missing field `schedule`", |entry| drop(entry.as_object_mut().unwrap().remove("schedule"))),
            ("expected a string", |entry| entry["user"]["email"] = json!(["a@example.com"])),
        ];
        for (words, change) in bad {
            let error = spoilt(change).unwrap_err().to_string();
            assert!(error.starts_with("source-error: ") && error.contains(words), "{words}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(spoilt(|entry| entry["a key of next year"] = json!({})).is_ok());
    }

    #[test]
    fn the_list_and_its_end_must_be_there() {
        for body in [r#"{"oncalls":[]}"#, r#"{"more":false}"#, "[]", "", r#"{"oncalls":null,"more":false}"#] {
            assert!(matches!(parse_oncalls(body.as_bytes()), Err(ProviderError::Source(_))), "{body}");
        }
        assert!(parse_schedules(br#"{"schedules":[]}"#).is_err());
        let cut = PAGE_1.len() - 100;
        assert!(parse_oncalls(&PAGE_1[..cut]).is_err());
    }

    #[test]
    fn schedules_are_found_by_id_and_else_by_name() {
        assert_eq!(parse_schedules(SCHEDULES).unwrap().entries, [schedule("PSPRIM1", "SRE primary")]);
        let known =
            vec![schedule("P1", "db"), schedule("P2", "P1"), schedule("P1", "db"), schedule("P3", "web")];
        let found = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|text| (*text).to_string()).collect();
            choose(known.clone(), &wanted)
                .map(|found| found.into_iter().map(|named| named.id).collect::<Vec<_>>())
        };
        assert_eq!(found(&["P1", "web"]), Ok(vec!["P1".to_string(), "P3".to_string()]));
        assert_eq!(found(&["db", "P1"]), Ok(vec!["P1".to_string()]));
        assert!(
            matches!(found(&["P3", "Web"]), Err(ProviderError::Incomplete(text)) if text.contains("`Web`"))
        );
    }

    #[test]
    fn a_name_that_two_schedules_have_names_neither() {
        let known = [schedule("P1", "db"), schedule("P2", "db")];
        let error = find(&known, "db").unwrap_err().to_string();
        assert!(error.contains("P1 and P2"), "{error}");
        assert!(find(&known, "P2").is_ok());
    }

    #[test]
    fn a_name_reaches_no_terminal_with_control_characters() {
        let shown = with_shifts(schedule("P1", "db\u{1b}[2J\n"), &[], 1, asked());
        assert_eq!(shown.name, "db [2J ");
    }

    #[test]
    fn the_clock_is_read_from_the_date_of_http() {
        assert_eq!(http_date("Fri, 20 Nov 2026 12:00:00 GMT"), Some(at("2026-11-20T12:00:00Z")));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn a_limited_request_says_when_to_try_again() {
        let reply = |reset: Option<&str>, after: Option<&str>| Reply {
            status: 429,
            date: None,
            ratelimit_reset: reset.map(str::to_string),
            retry_after: after.map(str::to_string),
            body: vec![],
        };
        for (reset, after, words) in [
            (Some("20"), None, "in 20s"),
            (Some("20"), Some("30"), "in 30s"),
            (None, Some("Fri, 20 Nov 2026 12:00:00 GMT"), "after 2026-11-20T12:00:00Z"),
            (Some("soon"), None, "in a minute"),
            (None, None, "in a minute"),
        ] {
            assert_eq!(when(&reply(reset, after)), words);
        }
    }
}
