//! What is saved of replies: their shape, and nothing that says whose they are.
//!
//! Kept are numbers, instants, and texts that a program made up: ids below keys that say so, and words that all accounts
//! share. Every other text is replaced, the same by the same wherever it stands, so that what refers to a person still does. A
//! text that is a name in one place is replaced in all others too, in ids and in what was asked for.

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
}

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
        .map(|Heard { request, status, body }| {
            let (path, query) = request.split_once('?').unwrap_or((request, ""));
            let query = query.split('&').map(|pair| names.pair(pair)).collect::<Vec<_>>().join("&");
            let path = path.split('/').map(|part| names.other(part)).collect::<Vec<_>>().join("/");
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

    fn pair(&self, pair: &str) -> String {
        let Some((name, value)) = pair.split_once('=') else { return pair.to_string() };
        let plain = value.replace('+', " ");
        match self.0.get(&plain) {
            Some(stands) => format!("{name}={stands}"),
            None if plain.contains("%40") => format!("{name}=mail"),
            None => pair.to_string(),
        }
    }
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

    #[test]
    fn what_says_whose_it_is_is_replaced_the_same_by_the_same() {
        let users =
            json!([{"name": "alice", "active": 1, "contacts": {"email": "alice@acme.com", "sms": "+49 1"}}]);
        let events = json!([{"start": 1, "end": 2, "role": "primary", "team": "sre", "user": "alice", "user_id": "alice",
            "id": "PUALICE", "note": "token geheim", "html_url": "https://acme.pagerduty.com/users/PUALICE",
            "at": "2026-11-20T09:00:00Z", "full_name": null}]);
        let request = |text: &str| text.to_string();
        let heard = [
            Heard { request: request("GET /api/v0/users"), status: 200, body: users },
            Heard {
                request: request("GET /api/v0/events?team=sre&end__gt=1&a=x%40y"),
                status: 200,
                body: events,
            },
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
