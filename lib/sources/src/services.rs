//! Every service that is asked over HTTPS, by one table: the story at every instant, each way to fail, and each field of
//! each answer as it should not be.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use host::config::{Config, Provider, Service as Settings};
use http::{HttpError, Reply};
use policy::{Principal, Timestamp, Window};
use serde_json::{Value, json};
use store::keys::Contact;

use crate::identity::People;
use crate::service::{Asked, Authorization, Session};
use crate::session::Ask;
use crate::{Answer, ProviderShift, registered};

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

macro_rules! fixture {
    ($name:literal) => {
        fixture(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/fixtures/", $name)))
    };
}

mod case;
mod odd;
mod pieces;

use case::{CASES, Case};

fn story() -> Value {
    fixture(include_str!("../../../tests/fixtures/scenario.json"))
}

fn at(text: &str) -> Timestamp {
    Timestamp::read(text).unwrap()
}

/// The 72 hours that are asked for in the story.
fn window() -> Window {
    Window::new(at("2026-11-20T08:00:00Z"), at("2026-11-23T12:00:00Z")).unwrap()
}

/// A service that answers as its case says, unless `spoil` has another answer to a path.
struct Double<'a> {
    case: &'a Case,
    spoil: &'a dyn Fn(&str, usize) -> Option<Reply>,
    asked: &'a RefCell<Vec<String>>,
    said: &'a RefCell<Vec<(String, Value)>>,
}

/// A reply of that status; 0 is a page of HTML with status 200.
fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        body: if status == 200 { body.as_bytes().to_vec() } else { Vec::new() },
        ..Reply::default()
    }
}

impl Double<'_> {
    fn answer(&self, path: &str, query: &BTreeMap<String, String>, body: &str) -> Reply {
        let before = self.asked.borrow().iter().filter(|other| *other == path).count();
        self.asked.borrow_mut().push(path.to_string());
        if let Some(reply) = (self.spoil)(path, before) {
            return reply;
        }
        let answer = self.case.answer(path, query, body);
        self.said.borrow_mut().extend(answer.clone().map(|answer| (path.to_string(), answer)));
        answer.map_or_else(|| reply(400, ""), |body| reply(200, &body.to_string()))
    }
}

impl Ask for Double<'_> {
    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let query = query.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
        match self.answer(path, &query, "") {
            Reply { status: 0, .. } => {
                Err(HttpError::NotJson { url: path.to_string(), found: "text/html".to_string() })
            }
            reply => Ok(reply),
        }
    }

    fn post(&self, path: &str, json: &str) -> Result<Reply, HttpError> {
        Ok(self.answer(path, &BTreeMap::new(), json))
    }

    fn authorize(&mut self, value: &str) -> Result<(), HttpError> {
        let (scheme, rest) = value.split_once(' ').unwrap();
        assert!(["hmac", "Bearer", "Basic"].contains(&scheme) && !rest.is_empty(), "{value}");
        Ok(())
    }
}

fn settings(case: &Case) -> Settings {
    let text = format!(
        "[policy]\nmode = 'observe'\n[[oncall.source]]\nname = 's'\nprovider = '{}'\ntoken_file = 't'\n{}\n",
        case.word, case.settings
    );
    let config = Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes()).unwrap();
    match config.oncall.sources.into_iter().next().unwrap().provider {
        Provider::Service(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

type Spoil<'a> = &'a dyn Fn(&str, usize) -> Option<Reply>;

fn ask(case: &Case, wanted: &[&str], spoil: Spoil<'_>) -> (Result<Answer, String>, Vec<String>) {
    ask_hearing(case, wanted, spoil, &RefCell::default())
}

/// The same; `said` gets what it answers by itself.
fn ask_hearing(
    case: &Case,
    wanted: &[&str],
    spoil: Spoil<'_>,
    said: &RefCell<Vec<(String, Value)>>,
) -> (Result<Answer, String>, Vec<String>) {
    ask_deep(case, wanted, spoil, said, 1)
}

/// The same, down to a level.
fn ask_deep(
    case: &Case,
    wanted: &[&str],
    spoil: Spoil<'_>,
    said: &RefCell<Vec<(String, Value)>>,
    max_escalation_level: u8,
) -> (Result<Answer, String>, Vec<String>) {
    let settings = settings(case);
    let service = registered(settings.kind).unwrap();
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let asked = RefCell::default();
    let access = service.access(&settings, "geheim").unwrap();
    let client = Box::new(Double { case, spoil, asked: &asked, said });
    let session = Session::with(&settings, client, access.authorization, None).unwrap();
    let question = Asked { service, settings: &settings, wanted: &wanted, max_escalation_level, tap: None };
    let answer = question.fetch_by(session, window()).map_err(|error| error.to_string());
    (answer, asked.into_inner())
}

/// Who is on call at `instant` by the story's schedule.
fn on_call(case: &Case, answer: &Answer, instant: Timestamp) -> BTreeSet<String> {
    let schedule = answer.schedules().iter().find(|schedule| schedule.id == case.schedule).unwrap();
    let name = |user: &crate::User| match &user.mail {
        Some(mail) => mail.split('@').next().unwrap().to_string(),
        None => case.people.get(&user.id).unwrap_or(&user.id).clone(),
    };
    let now = schedule.shifts.iter().filter(|shift| shift.window.contains(instant));
    now.map(|shift| name(&shift.user)).collect()
}

#[test]
fn a102_the_story_at_every_instant_through_every_service() {
    let story = story();
    for case in CASES.iter() {
        // By id, and by saying nothing where the service has a list.
        let named = [&*case.schedule];
        for wanted in [&named[..], &[]] {
            if wanted.is_empty() && !settings(case).kind.lists {
                continue;
            }
            let (answer, _) = ask(case, wanted, &|_, _| None);
            let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", case.word));
            for (text, error) in answer.failed() {
                assert!(wanted.is_empty(), "{}: {text}: {error}", case.word);
            }
            for expected in story["expect_primary_at"].as_array().unwrap() {
                let instant = at(expected["at"].as_str().unwrap());
                let users = expected["users"].as_array().unwrap();
                let users: BTreeSet<String> =
                    users.iter().map(|user| user.as_str().unwrap().to_string()).collect();
                assert_eq!(on_call(case, &answer, instant), users, "{} at {instant}", case.word);
            }
        }
    }
}

#[test]
fn a102_a_schedule_that_the_service_does_not_have_is_not_an_empty_one() {
    for case in CASES.iter().filter(|case| settings(case).kind.lists) {
        let (answer, asked) = ask(case, &["sree"], &|_, _| None);
        let failed = answer.unwrap().failed()[0].clone();
        assert!(failed.1.to_string().starts_with("source-incomplete"), "{}: {failed:?}", case.word);
        assert!(!asked.iter().any(|path| path.contains("sree")), "{asked:?}");
    }
    let (answer, _) = ask(&CASES[1], &["x"], &|_, _| None);
    assert!(answer.unwrap().failed()[0].1.to_string().contains("asked for schedule x"));
}

#[test]
fn a102_no_refusal_is_an_answer() {
    for case in CASES.iter() {
        let (_, paths) = ask(case, &[&*case.schedule], &|_, _| None);
        let paths: BTreeSet<String> = paths.into_iter().collect();
        for spoilt in &paths {
            for (status, words) in [
                (301, "a redirect"),
                (400, "did not understand"),
                (401, "does not know who asks"),
                (403, "may not read this"),
                (404, "not found"),
                (429, "too many requests"),
                (500, "the service fails"),
                (503, "the service fails"),
                (204, "not documented"),
            ] {
                let (answer, _) =
                    ask(case, &[&*case.schedule], &|path, _| (path == spoilt).then(|| reply(status, "")));
                let told = match &answer {
                    Err(error) => error.clone(),
                    Ok(answer) => {
                        assert!(answer.schedules().is_empty(), "{} {spoilt} {status}", case.word);
                        answer.failed()[0].1.to_string()
                    }
                };
                assert!(
                    told.contains(words) && told.contains(&format!("status {status}")),
                    "{}: {told}",
                    case.word
                );
                assert_eq!(
                    matches!(status, 401 | 429),
                    answer.is_err() && matches!(status, 401 | 429),
                    "{told}"
                );
            }
        }
    }
}

#[test]
fn a102_half_an_answer_and_none_are_no_answers() {
    for case in CASES.iter() {
        let (_, paths) = ask(case, &[&*case.schedule], &|_, _| None);
        for spoilt in paths.into_iter().collect::<BTreeSet<_>>() {
            for body in ["", "{", "[", "null", "[[", "{\"schedules\": [", "<html></html>", "[1, 2]", "\"x\""]
            {
                let (answer, _) =
                    ask(case, &[&*case.schedule], &|path, _| (path == spoilt).then(|| reply(200, body)));
                let is_told = answer
                    .as_ref()
                    .map_or(true, |answer| answer.schedules().is_empty() && !answer.failed().is_empty());
                assert!(is_told, "{} {spoilt} {body}: {answer:?}", case.word);
            }
        }
    }
}

#[test]
fn a102_a_list_that_never_ends_is_given_up() {
    for (case, endless) in CASES.iter().filter_map(|case| Some((case, case.endless.as_ref()?))) {
        let page = |path: &str, number| {
            (path == endless.path).then(|| reply(200, &endless.page(number).to_string()))
        };
        let spoil = |path: &str, before: usize| page(path, before);
        let (answer, asked) = ask(case, &[&*case.schedule], &spoil);
        let error = answer.unwrap_err();
        assert!(error.starts_with("source-incomplete") && error.contains("more than 200 pages"), "{error}");
        assert_eq!(asked.len(), 200, "{}", case.word);
        // A cursor that leads back is found at once, but where pages are counted and asked for by number.
        let back = |path: &str, _| page(path, 0);
        if case.word != "grafana" {
            let (answer, asked) = ask(case, &[&*case.schedule], &back);
            assert!(answer.unwrap_err().contains("leads back"), "{}", case.word);
            assert_eq!(asked.len(), 2);
        }
    }
}

#[test]
fn a102_whoever_is_not_active_any_more_is_left_out_and_told() {
    let mut users = fixture!("linkedin_oncall/users.json");
    users[0]["active"] = json!(0);
    let spoil = |path: &str, _: usize| (path == "/api/v0/users").then(|| reply(200, &users.to_string()));
    let (answer, _) = ask(&CASES[0], &["sre"], &spoil);
    let answer = answer.unwrap();
    let whom: BTreeSet<&str> = answer.schedules()[0].shifts.iter().map(|shift| &*shift.user.id).collect();
    assert_eq!(whom, BTreeSet::from(["bob", "carol"]));
    assert_eq!(
        answer.notes()[0].as_str(),
        "user alice on sre is not active there any more; their shifts count for nobody"
    );
}

#[test]
fn a102_a_role_that_linkedin_does_not_have_is_told() {
    let roles =
        |path: &str, _: usize| (path == "/api/v0/roles").then(|| reply(200, "[{\"name\": \"primary\"}]"));
    let error = ask(&CASES[0], &["sre"], &roles).0.unwrap_err();
    assert_eq!(error, "source-incomplete: LinkedIn Oncall has no role `secondary`; check `roles`");
}

#[test]
fn what_is_cut_at_the_edge_of_what_was_asked_for_is_known_until_there() {
    let edge = window().end();
    let jsm_end = at("2026-11-24T08:00:00Z").to_string();
    for (place, path, end) in [
        (1, "/data/schedule/shifts/4/end", edge.to_string()),
        (3, "/results/4/shift_end", "2026-11-25T00:00:00Z".to_string()),
        (4, "/finalTimeline/rotations/0/periods/4/endDate", jsm_end),
    ] {
        let case = &CASES[place];
        let spoil = |asked: &str, _: usize| {
            let mut answers = case.answers.iter().filter(|says| says.path() == asked);
            let mut answer = answers.find(|says| says.body.pointer(path).is_some())?.body.clone();
            *answer.pointer_mut(path)? = json!(end);
            Some(reply(200, &answer.to_string()))
        };
        let answer = ask(case, &[&*case.schedule], &spoil).0.unwrap();
        let last = answer.schedules()[0].shifts.last().unwrap().window;
        assert_eq!((last.start(), last.end()), (at("2026-11-22T09:00:00Z"), edge), "{}", case.word);
    }
}

#[test]
fn each_request_is_signed_as_the_server_reads_it() {
    let settings = settings(&CASES[0]);
    let access = registered(settings.kind).unwrap().access(&settings, "geheim").unwrap();
    let Authorization::Signed(sign) = access.authorization else { panic!("LinkedIn Oncall signs") };
    // The instant is the host's, so that only the form is fixed here; the digest is checked in linkedin_oncall.rs.
    let value = sign("GET", "/api/v0/roles", "", "");
    let digest = value.strip_prefix("hmac cache:").unwrap();
    assert!(digest.len() == 88 && digest.ends_with("=="), "{value}");
}

/// Who is on call by `answer`, as the directory knows them; and is anything told to be amiss?
fn outcome(case: &Case, answer: Result<Answer, String>) -> (BTreeSet<String>, bool) {
    let Ok(answer) = answer else { return (BTreeSet::new(), true) };
    let person = |name: &str| Contact {
        principal: Principal::new(name).unwrap(),
        mails: vec![format!("{name}@example.com")],
        eligible: true,
        disabled: None,
    };
    let people = ["alice", "bob", "carol", "mallory"].map(person);
    let table = case.people.iter().map(|(id, name)| (id.clone(), Principal::new(name).unwrap())).collect();
    let shifts = || answer.schedules().iter().flat_map(|schedule| &schedule.shifts);
    let mapped = People::new(&people, &|_| 1).map(&shifts().map(|shift| &shift.user).collect(), &table);
    let told = !answer.failed().is_empty()
        || !answer.notes().is_empty()
        || mapped.values().any(Result::is_err)
        // The sync refuses a schedule with nobody on it, unless it may have nobody.
        || answer.schedules().iter().any(|schedule| schedule.shifts.is_empty());
    let row = |shift: &ProviderShift| {
        let who = mapped.get(&shift.user.id)?.as_ref().ok()?;
        Some(format!("{} {} {} {}", who.principal, shift.level, shift.window.start(), shift.window.end()))
    };
    (shifts().filter_map(row).collect(), told)
}

/// The pointers (RFC 6901) to every value in `value`.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (key, value) in inner {
        let place = format!("{at}/{key}");
        places(value, &place, found);
        found.push(place);
    }
}

/// Is that an answer like any other? Another role or rotation, nobody assigned, and a time that is one.
fn is_honest(place: &str, text: &str) -> bool {
    let is_number = text.parse::<i64>().is_ok();
    [ "/role", "/rotation_id", "/layer_id", "/truncated"].iter().any(|end| place.ends_with(end))
        || (place.ends_with("/user") || place.ends_with("/responder")) && text == "null"
        || place.ends_with("email") && text == "\"mallory@example.com\""
        || is_number && (place.ends_with("/start") || place.ends_with("/end"))
        // That nothing says where the next page is, is how incident.io says that there is none.
        || place.contains("/pagination_meta") && ["null", "[null]", "{}"].contains(&text)
        // A list with less in it, where nothing says how long it is.
        || text == "[]"
}

/// Each value of each answer as it should not be: nobody is on call who was not, and whoever is missing is told.
#[test]
fn whatever_stands_in_a_field_nobody_else_is_on_call_and_whoever_is_missing_is_told() {
    let texts = "null|\"x\"|\"\"|7|0|-1|1.5|true|[]|[null]|{}|\"0000-01-01T00:00:00Z\"|18446744073709551617|\"a\\nb\"|\"mallory@example.com\"";
    let (mut count, mut wrong) = (0, Vec::new());
    for case in CASES.iter() {
        let said: RefCell<Vec<(String, Value)>> = RefCell::default();
        let (whole, _) = ask_hearing(case, &[&*case.schedule], &|_, _| None, &said);
        let (whole, told) = outcome(case, whole);
        assert!(!told && whole.len() == 5, "{}: {whole:?}", case.word);
        for (number, (path, body)) in said.into_inner().into_iter().enumerate() {
            let mut found = Vec::new();
            places(&body, "", &mut found);
            for (place, text) in
                found.iter().flat_map(|place| texts.split('|').map(move |text| (place, text)))
            {
                let mut other = body.clone();
                *other.pointer_mut(place).unwrap() = serde_json::from_str(text).unwrap();
                count += 1;
                let asked = Cell::new(0);
                let spoil = |_: &str, _: usize| {
                    asked.set(asked.get() + 1);
                    (asked.get() == number + 1).then(|| reply(200, &other.to_string()))
                };
                let (now, told) = outcome(case, ask(case, &[&*case.schedule], &spoil).0);
                let (more, fewer) = (now.difference(&whole).count(), whole.difference(&now).count());
                if !is_honest(place, text) && (more > 0 || fewer > 0 && !told) {
                    wrong.push(format!("{} {path} {place}: {text}: more {more}, fewer {fewer}", case.word));
                }
            }
        }
    }
    assert!(count > 2000, "{count} answers");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
