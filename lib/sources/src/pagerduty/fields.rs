//! Every field of every kind of answer that is read, each as it should not be: left out, null, of another type, too long,
//! negative, beyond what a number holds, and written twice.
//!
//! Whatever becomes of it, nobody is on call who is not by the untouched answers, and where somebody is missing it is told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use host::config::Access;
use policy::{Principal, Span};
use serde_json::{Value, json};
use store::keys::Contact;

use super::*;
use crate::answer::instant;
use crate::identity::People;
use crate::session::Ask;
use http::{HttpError, Reply};

/// A service that answers from a list of texts, by path.
struct Played<'a> {
    answers: &'a BTreeMap<String, String>,
    asked: &'a RefCell<BTreeSet<String>>,
}

impl Ask for Played<'_> {
    fn get(&self, path: &str, _query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        self.asked.borrow_mut().insert(path.to_string());
        let body = self.answers.get(path).map(|text| text.as_bytes().to_vec());
        let status = if body.is_some() { 200 } else { 404 };
        let body = body.unwrap_or_default();
        Ok(Reply { status, body, ..Reply::default() })
    }

    fn post(&self, path: &str, _json: &str) -> Result<Reply, HttpError> {
        self.get(path, &[])
    }

    fn authorize(&mut self, _value: &str) -> Result<(), HttpError> {
        Ok(())
    }
}

/// An account with a value for everything that is read.
fn account() -> BTreeMap<String, Value> {
    let user = |name: &str, id: &str| json!({"id": id, "type": "user", "name": name, "summary": name, "email": format!("{name}@example.com"), "deleted_at": null});
    let reference = |name: &str, id: &str| json!({"id": id, "type": "user_reference", "summary": name});
    let row = |user: Value, schedule: Value, policy: &str, level: u64, times: [&str; 2]| {
        let [start, end] = times.map(|time| if time.is_empty() { Value::Null } else { json!(time) });
        json!({"user": user, "schedule": schedule, "escalation_policy": {"id": policy}, "escalation_level": level, "start": start, "end": end})
    };
    let paged = |list: &str, entries: Vec<Value>| {
        let total = entries.len();
        json!({list: entries, "more": false, "offset": 0, "limit": 100, "total": total})
    };
    let day = ["2026-11-20T09:00:00Z", "2026-11-21T09:00:00Z"];
    let night = ["2026-11-21T09:00:00+01:00", "2026-11-22T09:00:00.5Z"];
    let named = |id: &str| json!({"id": id, "name": id, "summary": id});
    let policy = |id: &str, team: &str| json!({"id": id, "name": id, "summary": id, "teams": [{"id": team}]});
    let p1 = || json!({"id": "P1"});
    BTreeMap::from([
        ("/schedules".to_string(), paged("schedules", vec![named("P1"), named("P2")])),
        ("/v3/schedules".to_string(), paged("schedules", vec![named("P3")])),
        (
            "/escalation_policies".to_string(),
            paged("escalation_policies", vec![policy("E1", "T1"), policy("E2", "T2")]),
        ),
        ("/teams".to_string(), paged("teams", vec![named("T1"), named("T2")])),
        (
            "/oncalls".to_string(),
            paged(
                "oncalls",
                vec![
                    row(user("alice", "U1"), p1(), "E1", 1, day),
                    row(user("bob", "U2"), p1(), "E1", 1, night),
                    row(reference("carol", "U3"), p1(), "E1", 2, day),
                ],
            ),
        ),
        ("/users/U3".to_string(), json!({"user": user("carol", "U3")})),
        ("/users/U4".to_string(), json!({"user": user("dave", "U4")})),
        (
            "/schedules/P2".to_string(),
            json!({"schedule": {"id": "P2", "final_schedule": {"rendered_schedule_entries": [
                {"user": reference("carol", "U3"), "start": day[0], "end": day[1]},
            ]}}}),
        ),
        (
            "/v3/schedules/P3".to_string(),
            json!({"schedule": {"id": "P3", "final_schedule": {"computed_shift_assignments": [
                {"start_time": day[0], "end_time": day[1], "member": {"type": "user_member", "user_id": "U4"}},
                {"start_time": night[0], "end_time": night[1], "member": {"type": "empty_member"}},
            ]}}}),
        ),
    ])
}

/// What is asked for: schedules by themselves, and policies and teams by themselves. `/oncalls` is answered once for
/// each, with rows of both.
fn settings(policies: &[&str], teams: &[&str]) -> host::config::PagerDuty {
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    host::config::PagerDuty {
        api: "https://api.example.com".to_string(),
        access: Access::Key(PathBuf::from("/nonexistent")),
        escalation_policies: texts(policies),
        every: false,
        teams: texts(teams),
        ca_file: PathBuf::from("/nonexistent"),
        incident_services: Vec::new(),
        proxy: None,
        timeout: Span::seconds(5),
    }
}

/// Who is on call by these answers: schedule, person, level, from when to when. And is anything told to be amiss?
fn outcome(
    answers: &BTreeMap<String, String>,
    asked: &RefCell<BTreeSet<String>>,
) -> (BTreeSet<String>, bool) {
    let people: Vec<Contact> = ["alice", "bob", "carol", "dave", "mallory"].map(person).to_vec();
    let people = People::new(&people, &|_| 1);
    let (mut on_call, mut told) = (BTreeSet::new(), false);
    let wanted: [(&[&str], &[&str], &[&str]); 2] = [(&["P1", "P2", "P3"], &[], &[]), (&[], &["E1"], &["T1"])];
    for (schedules, policies, teams) in wanted {
        let settings = settings(policies, teams);
        let schedules: Vec<String> = schedules.iter().map(ToString::to_string).collect();
        let source = PagerDuty::new(&settings, &schedules, 2);
        let client = Box::new(Played { answers, asked });
        let window =
            Window::new(instant("2026-11-20T11:00:00Z").unwrap(), instant("2026-11-23T12:00:00Z").unwrap());
        let Ok(answer) = source.fetch_by(Session::with(&settings, client), window.unwrap()) else {
            told = true;
            continue;
        };
        told |= !answer.failed().is_empty() || !answer.notes().is_empty();
        // The sync refuses a schedule with nobody on it, unless it may have nobody: see sync/guards.rs.
        told |= answer.schedules().iter().any(|schedule| schedule.shifts.is_empty());
        let users: BTreeSet<_> = answer
            .schedules()
            .iter()
            .flat_map(|schedule| &schedule.shifts)
            .map(|shift| &shift.user)
            .collect();
        let mapped = people.map(&users, &BTreeMap::new());
        told |= mapped.values().any(Result::is_err);
        for schedule in answer.schedules() {
            for shift in &schedule.shifts {
                if let Some(Ok(who)) = mapped.get(&shift.user.id) {
                    let (start, end) = (shift.window.start(), shift.window.end());
                    on_call.insert(format!(
                        "{} {} {} {start} {end}",
                        schedule.wanted, who.principal, shift.level
                    ));
                }
            }
        }
    }
    (on_call, told)
}

fn person(name: &str) -> Contact {
    Contact {
        principal: Principal::new(name).unwrap(),
        mails: vec![format!("{name}@example.com")],
        eligible: true,
        disabled: None,
    }
}

/// The pointers (RFC 6901) to every value in `value`.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            found.push(format!("{at}/{key}"));
            places(value, &format!("{at}/{key}"), found);
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(place, value)| {
                found.push(format!("{at}/{place}"));
                places(value, &format!("{at}/{place}"), found);
            });
        }
        _ => {}
    }
}

/// What may stand in place of a value, as text: serde_json could not write some of it.
fn others() -> Vec<(&'static str, String)> {
    let long = format!("\"{}\"", "x".repeat(5000));
    [
        ("null", "null"),
        ("a text", "\"x\""),
        ("an empty text", "\"\""),
        ("mallory's address", "\"mallory@example.com\""),
        ("mallory's id", "\"U9\""),
        ("a text of lines", "\"U1\\nU2\""),
        ("a number", "7"),
        ("none", "0"),
        ("negative", "-1"),
        ("a fraction", "1.5"),
        ("beyond 64 bits", "18446744073709551617"),
        ("beyond floats", "1e999"),
        ("true", "true"),
        ("a list", "[]"),
        ("a list of null", "[null]"),
        ("an object", "{}"),
        ("an early instant", "\"0000-01-01T00:00:00Z\""),
        ("an instant beyond all", "\"99999-01-01T00:00:00Z\""),
    ]
    .map(|(what, text)| (what, text.to_string()))
    .into_iter()
    .chain([("too long", long)])
    .collect()
}

/// Is that an answer like any other: somebody else's address, and a level that is too deep to count?
fn is_honest(place: &str, what: &str) -> bool {
    place.ends_with("/email") && what == "mallory's address"
        || place.ends_with("/escalation_level") && what == "a number"
}

/// Stands where something else is written, which serde_json cannot hold.
const HERE: &str = "\u{1}here\u{1}";

/// The texts of `body` in which the value at `place` is another one, is missing, and is there twice.
fn spoilt(body: &Value, place: &str) -> Vec<(String, String)> {
    let mut spoilt = Vec::new();
    let mut marked = body.clone();
    let Some(target) = marked.pointer_mut(place) else { return spoilt };
    let (old, mark) = (target.take(), json!(HERE));
    *target = mark.clone();
    let (text, mark, old) = (marked.to_string(), mark.to_string(), old.to_string());
    for (what, other) in others() {
        spoilt.push((what.to_string(), text.replace(&mark, &other)));
        let (_, key) = place.rsplit_once('/').unwrap_or_default();
        let (whole, twice) =
            (format!("\"{key}\":{mark}"), |one: &str, two: &str| format!("\"{key}\":{one},\"{key}\":{two}"));
        if text.contains(&whole) {
            spoilt.push((format!("twice, then {what}"), text.replace(&whole, &twice(&old, &other))));
            spoilt.push((format!("twice, first {what}"), text.replace(&whole, &twice(&other, &old))));
        }
    }
    let mut without = body.clone();
    let (parent, key) = place.rsplit_once('/').unwrap_or_default();
    match without.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.remove(key)),
        Some(Value::Array(list)) => drop(key.parse().map(|at: usize| list.remove(at))),
        _ => {}
    }
    spoilt.push(("missing".to_string(), without.to_string()));
    spoilt
}

#[test]
fn whatever_stands_in_a_field_nobody_else_is_on_call_and_whoever_is_missing_is_told() {
    let account = account();
    let answers: BTreeMap<String, String> =
        account.iter().map(|(path, body)| (path.clone(), body.to_string())).collect();
    let asked = RefCell::default();
    let (untouched, told) = outcome(&answers, &asked);
    assert_eq!((untouched.len(), told), (11, false), "{untouched:#?}");
    assert_eq!(
        asked.borrow().iter().collect::<Vec<_>>(),
        answers.keys().collect::<Vec<_>>(),
        "every kind is asked for"
    );
    let (mut count, mut wrong) = (0, Vec::new());
    for (path, body) in &account {
        let mut found = Vec::new();
        places(body, "", &mut found);
        for place in found {
            for (what, text) in spoilt(body, &place) {
                count += 1;
                let mut answers = answers.clone();
                answers.insert(path.clone(), text);
                let (on_call, told) = outcome(&answers, &asked);
                let more: Vec<_> = on_call.difference(&untouched).collect();
                let fewer: Vec<_> = untouched.difference(&on_call).collect();
                if !is_honest(&place, &what) && (!more.is_empty() || !fewer.is_empty() && !told) {
                    wrong.push(format!(
                        "{path} {place}: {what}: more {more:?}, and in silence fewer {fewer:?}"
                    ));
                }
            }
        }
    }
    assert!(count > 4000, "{count} answers");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// A list whose first page says that more follow, and whose others are refused.
struct Begun(u16);

impl Ask for Begun {
    fn get(&self, _path: &str, query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let body =
            json!({"schedules": [{"id": "P3", "name": "P3"}], "more": true, "offset": 0, "limit": 100});
        let status = if query.contains(&("offset", "0")) { 200 } else { self.0 };
        Ok(Reply { status, body: body.to_string().into_bytes(), ..Reply::default() })
    }

    fn post(&self, path: &str, _json: &str) -> Result<Reply, HttpError> {
        self.get(path, &[])
    }

    fn authorize(&mut self, _value: &str) -> Result<(), HttpError> {
        Ok(())
    }
}

#[test]
fn a_list_that_is_refused_once_it_has_begun_is_not_at_its_end() {
    let settings = settings(&[], &[]);
    for status in [400, 402, 403, 404, 500] {
        let mut session = Session::with(&settings, Box::new(Begun(status)));
        let read = all_pages("v3/schedules", |asked| session.shift_based_schedules(asked));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(&format!("/v3/schedules: status {status}")), "{error}");
    }
}
