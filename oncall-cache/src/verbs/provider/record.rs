//! What is saved of replies: their shape, and nothing that says whose they are.
//!
//! Kept are numbers, instants, and texts that a program made up: ids below keys that say so, and words that all accounts
//! share. Every other text is replaced, the same by the same wherever it stands, so that what refers to a person still does. A
//! text that is a name in one place is replaced in all others too, in ids and in what was asked for, however it is written
//! there.

use std::collections::{BTreeMap, BTreeSet};

use policy::Timestamp;
use serde_json::{Value, json};

/// One reply, with what it was asked by.
#[derive(Debug, Clone)]
pub struct Heard {
    /// `GET /path?query`, or `POST /path`.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub body: Value,
    /// The body, where it is a calendar.
    pub calendar: Option<String>,
}

/// What a request asks for by these words is the same in every account.
const ASKED: [&str; 8] = ["true", "false", "days", "name", "contacts", "active", "users", "final_schedule"];

/// Words that mean the same in every account.
const WORDS: [&str; 14] = [
    "primary",
    "secondary",
    "shadow",
    "manager",
    "vacation",
    "unavailable",
    "user",
    "user_reference",
    "UTC",
    "Etc/UTC",
    "default",
    "override",
    "historical",
    "forwarding",
];

/// The replies as they may be shown; `secrets` were sent.
pub fn redacted(heard: &[Heard], secrets: &[String]) -> Vec<Value> {
    let mut names = Names::default();
    for one in heard {
        names.find("", &one.body);
    }
    heard
        .iter()
        .map(|Heard { request, status, body, calendar: _ }| {
            let (path, query) = request.split_once('?').unwrap_or((request, ""));
            let query = query.split('&').map(|pair| names.pair(pair)).collect::<Vec<_>>().join("&");
            let path = path.split('/').map(|part| names.part(part)).collect::<Vec<_>>().join("/");
            let request = if query.is_empty() { path } else { format!("{path}?{query}") };
            let shown =
                json!({"request": request, "status": status, "body": names.replace(body)}).to_string();
            // Whatever else: what was sent to prove who asks is not there.
            let without = secrets
                .iter()
                .filter(|secret| !secret.is_empty())
                .fold(shown, |text, secret| text.replace(secret.as_str(), "SECRET"));
            serde_json::from_str(&without).unwrap_or(Value::Null)
        })
        .collect()
}

/// What stands for each text.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    /// Finds what must be replaced below `key`.
    fn find(&mut self, key: &str, value: &Value) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                // LinkedIn's users are keys of some objects.
                self.find(key, value);
            }),
            Value::Array(list) => list.iter().for_each(|value| self.find(key, value)),
            Value::String(text) if !is_plain(key, text) => {
                let number = self.0.len() + 1;
                let stands = if text.contains("://") {
                    format!("https://example.com/{number}")
                } else if text.contains('@') {
                    format!("mail-{number}@example.com")
                } else {
                    format!("text-{number}")
                };
                self.0.entry(text.clone()).or_insert(stands);
            }
            _ => {}
        }
    }

    fn replace(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let entry = |(key, value): (&String, &Value)| (self.other(key), self.replace(value));
                Value::Object(map.iter().map(entry).collect())
            }
            Value::Array(list) => Value::Array(list.iter().map(|value| self.replace(value)).collect()),
            Value::String(text) => Value::String(self.other(text)),
            other => other.clone(),
        }
    }

    fn other(&self, text: &str) -> String {
        self.0.get(text).cloned().unwrap_or_else(|| text.to_string())
    }

    /// One parameter of what was asked. A name that no reply has is one, too.
    fn pair(&self, pair: &str) -> String {
        let Some((name, value)) = pair.split_once('=') else { return self.part(pair) };
        let plain = decoded(&value.replace('+', " "));
        let is_number = plain.bytes().all(|byte| byte.is_ascii_digit());
        match self.0.get(&plain) {
            Some(stands) => format!("{name}={stands}"),
            None if is_number || is_plain(name, &plain) || ASKED.contains(&&*plain) => pair.to_string(),
            None if plain.contains('@') => format!("{name}=mail"),
            None => format!("{name}=text"),
        }
    }

    /// One part of a path.
    fn part(&self, part: &str) -> String {
        let plain = decoded(part);
        match self.0.get(&plain) {
            Some(stands) => stands.clone(),
            None if plain == part => part.to_string(),
            None => "text".to_string(),
        }
    }
}

/// What `text` is, which was written for an address: `%40` is `@`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let digits = others.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { others.get(2..).unwrap_or_default() } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// May the text below `key` be shown?
fn is_plain(key: &str, text: &str) -> bool {
    let is_id = ["id", "type", "pk", "role"].iter().any(|end| {
        let key = key.to_ascii_lowercase();
        key == *end || key.ends_with(&format!("_{end}"))
    }) || key.ends_with("Id")
        || key.ends_with("ID");
    let fits =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    text.is_empty() || Timestamp::read(text).is_some() || WORDS.contains(&text) || is_id && fits
}

/// The secrets that could stand in a reply: the lines of these files.
pub fn secrets(files: &[&std::path::PathBuf]) -> Vec<String> {
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let lines: BTreeSet<String> =
        texts.flat_map(|text| text.lines().map(|line| line.trim().to_string()).collect::<Vec<_>>()).collect();
    lines.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(request: &str, body: Value) -> Heard {
        Heard { request: request.to_string(), status: 200, body, calendar: None }
    }

    #[test]
    fn a_name_is_replaced_however_it_is_written_in_what_was_asked() {
        let teams = json!(["Süd & Nord", "a/b"]);
        let shown = |request: &str| {
            let shown = redacted(&[heard("GET /teams", teams.clone()), heard(request, Value::Null)], &[]);
            shown[1]["request"].as_str().unwrap().to_string()
        };
        assert_eq!(
            shown("GET /events?team=S%C3%BCd+%26+Nord&end__gt=17"),
            "GET /events?team=text-1&end__gt=17"
        );
        assert_eq!(shown("GET /teams/S%c3%bcd%20%26%20Nord/x"), "GET /teams/text-1/x");
        assert_eq!(shown("GET /teams/a%2Fb"), "GET /teams/text-2");
        // No reply has these.
        assert_eq!(shown("GET /events?team=Geheim&a=x%40y&z=%ff%"), "GET /events?team=text&a=mail&z=text");
        assert_eq!(shown("GET /teams/Gehei%6d"), "GET /teams/text");
        for kept in [
            "GET /e?fields=name&fields=contacts&fields=active",
            "GET /e?schedule_id=P1-x&page_size=25&include_subscribed=false",
            "GET /e?since=2026-11-20T09:00:00Z&time_zone=UTC",
        ] {
            assert_eq!(shown(kept), kept);
        }
    }

    #[test]
    fn what_says_whose_it_is_is_replaced_the_same_by_the_same() {
        let users =
            json!([{"name": "alice", "active": 1, "contacts": {"email": "alice@acme.com", "sms": "+49 1"}}]);
        let events = json!([{"start": 1, "end": 2, "role": "primary", "team": "sre", "user": "alice", "user_id": "alice",
            "id": "PUALICE", "note": "token geheim", "html_url": "https://acme.pagerduty.com/users/PUALICE",
            "at": "2026-11-20T09:00:00Z", "full_name": null}]);
        let heard = [
            heard("GET /api/v0/users", users),
            heard("GET /api/v0/events?team=sre&end__gt=1&a=x%40y", events),
        ];
        let shown = redacted(&heard, &["geheim".to_string()]);
        let text = json!(shown).to_string();
        for hidden in ["alice", "acme", "geheim", "sre", "+49", "%40"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
        let (name, event) = (&shown[0]["body"][0]["name"], &shown[1]["body"][0]);
        assert_eq!((name, name), (&event["user"], &event["user_id"]), "she is herself everywhere");
        assert_eq!(event["id"], "PUALICE");
        assert_eq!((&event["role"], &event["at"]), (&json!("primary"), &json!("2026-11-20T09:00:00Z")));
        assert!(shown[1]["request"].as_str().unwrap().contains(event["team"].as_str().unwrap()));
        assert_eq!((&event["start"], &event["full_name"]), (&json!(1), &Value::Null));
    }
}
