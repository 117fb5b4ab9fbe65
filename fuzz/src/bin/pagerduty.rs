//! PagerDuty's answers: a line for each path that is asked for, the path and after a space the JSON. Each shift that is
//! read is one row of one of them, and a user's address is one that is written beside that user's id.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use host::config::Access;
use http::{HttpError, Reply};
use libfuzzer_sys::fuzz_target;
use policy::{Span, Timestamp, Window};
use serde_json::Value;
use sources::pagerduty::{PagerDuty, Session};
use sources::session::Ask;

/// A service that always gives this answer.
struct Played<'a>(BTreeMap<&'a str, &'a str>);

impl Ask for Played<'_> {
    fn get(&self, path: &str, _query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let body = self.0.get(path).map(|body| body.as_bytes().to_vec());
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

fuzz_target!(|text: &str| {
    let Some(window) = Window::new(Timestamp::from_unix(1_795_172_400), Timestamp::from_unix(1_795_435_200))
    else {
        return;
    };
    let answers: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let settings = host::config::PagerDuty {
        api: "https://api.example.com".to_string(),
        access: Access::Key("/nonexistent".into()),
        escalation_policies: vec!["E1".to_string()],
        every: false,
        teams: vec!["T1".to_string()],
        ca_file: "/nonexistent".into(),
        incident_services: vec!["S1".to_string()],
        proxy: None,
        timeout: Span::seconds(5),
    };
    // Either by itself: the rows of /oncalls are of what was asked for, and of nothing else.
    let by_policy = settings.clone();
    let by_schedule =
        host::config::PagerDuty { escalation_policies: Vec::new(), teams: Vec::new(), ..settings };
    let schedules = ["P1", "P2", "P3"].map(String::from);
    for (settings, schedules) in [(by_schedule, schedules.as_slice()), (by_policy, <&[String]>::default())] {
        let session = Session::with(&settings, Box::new(Played(answers.clone())));
        let answer = match PagerDuty::new(&settings, schedules, 2).fetch_by(session, window) {
            Ok(answer) => answer,
            Err(error) => {
                assert!(!error.to_string().contains('\n'));
                continue;
            }
        };
        let Some(written) = written(&answers) else { continue };
        for schedule in answer.schedules() {
            for shift in &schedule.shifts {
                assert!(
                    (1..=2).contains(&shift.level) && shift.window.intersect(window).is_some(),
                    "{shift:?}"
                );
                let whose = if schedules.is_empty() { None } else { Some(schedule.id.clone()) };
                let row = (whose, shift.user.id.clone(), u64::from(shift.level), shift.window);
                assert!(written.rows.contains(&row), "no such row: {row:?}");
                if let Some(mail) = &shift.user.mail {
                    let pair = (shift.user.id.clone(), mail.clone());
                    assert!(written.addresses.contains(&pair), "nobody wrote {pair:?}");
                }
            }
        }
    }
});

/// What is written in the answers, read again by other means.
#[derive(Default)]
struct Written {
    /// Schedule, user, level and window of each row; and the same without the schedule.
    rows: BTreeSet<(Option<String>, String, u64, Window)>,
    /// Addresses beside ids.
    addresses: BTreeSet<(String, String)>,
}

/// `None` where this sees less than serde, which takes a list of values for an object.
fn written(answers: &BTreeMap<&str, &str>) -> Option<Written> {
    let mut written = Written::default();
    for (path, body) in answers {
        let body: Value = serde_json::from_str(body.strip_prefix('\u{feff}').unwrap_or(body)).ok()?;
        written.addresses(&body)?;
        if *path == "/oncalls" {
            for row in body.get("oncalls").and_then(Value::as_array).into_iter().flatten() {
                let schedule = row.get("schedule").and_then(|schedule| schedule.get("id")?.as_str());
                written.row(
                    schedule,
                    row.get("user")?.get("id")?,
                    row.get("escalation_level")?,
                    [row.get("start")?, row.get("end")?],
                )?;
            }
        }
        let schedule = path.strip_prefix("/v3/schedules/").or(path.strip_prefix("/schedules/"));
        let rendered = body.get("schedule").and_then(|schedule| schedule.get("final_schedule"));
        for row in
            rendered.and_then(|list| list.get("rendered_schedule_entries")?.as_array()).into_iter().flatten()
        {
            written.row(
                schedule,
                row.get("user")?.get("id")?,
                &Value::from(1),
                [row.get("start")?, row.get("end")?],
            )?;
        }
        for row in
            rendered.and_then(|list| list.get("computed_shift_assignments")?.as_array()).into_iter().flatten()
        {
            if let Some(user) = row.get("member")?.as_object()?.get("user_id") {
                written.row(
                    schedule,
                    user,
                    &Value::from(1),
                    [row.get("start_time")?, row.get("end_time")?],
                )?;
            }
        }
    }
    Some(written)
}

impl Written {
    fn row(&mut self, schedule: Option<&str>, user: &Value, level: &Value, ends: [&Value; 2]) -> Option<()> {
        let bound =
            |text: &Value, never| if text.is_null() { Some(never) } else { Timestamp::read(text.as_str()?) };
        let (start, end) = (bound(ends[0], Timestamp::MIN)?, bound(ends[1], Timestamp::MAX)?);
        // One without length is left out.
        if let Some(window) = Window::new(start, end) {
            let (user, level) = (user.as_str()?.to_string(), level.as_u64()?);
            self.rows.insert((schedule.map(String::from), user.clone(), level, window));
            self.rows.insert((None, user, level, window));
        }
        Some(())
    }

    fn addresses(&mut self, value: &Value) -> Option<()> {
        match value {
            Value::Object(map) => {
                let text = |name: &str| map.get(name).and_then(Value::as_str).map(String::from);
                self.addresses.extend(text("id").zip(text("email")));
                map.values().try_for_each(|value| self.addresses(value))
            }
            // A list of anything but objects is one of values in an object's place.
            Value::Array(list) => {
                list.iter().try_for_each(|value| value.as_object().and_then(|_| self.addresses(value)))
            }
            _ => Some(()),
        }
    }
}
