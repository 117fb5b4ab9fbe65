//! What an account at PagerDuty holds, as its API writes it: users, schedules, and who is on call.

use serde_json::{Value, json};

use crate::suite::instant;

/// PagerDuty's id of a person.
pub fn id_of(name: &str) -> String {
    format!("PU{}", name.to_uppercase())
}

/// An entry of `/users`.
pub fn user(name: &str) -> Value {
    json!({"id": id_of(name), "type": "user", "summary": name, "name": name, "email": format!("{name}@example.com")})
}

/// An entry of `/schedules`.
pub fn schedule(id: &str, name: &str) -> Value {
    json!({"id": id, "type": "schedule", "summary": name, "name": name, "time_zone": "Etc/UTC"})
}

/// An entry of `/oncalls`; start and end in seconds since the epoch.
pub fn oncall(name: &str, schedule: Option<&str>, policy: &str, level: u64, start: i64, end: i64) -> Value {
    json!({
        "user": user(name),
        "schedule": schedule.map(|id| json!({"id": id, "type": "schedule_reference", "summary": id})),
        "escalation_policy": {"id": policy, "type": "escalation_policy_reference", "summary": policy},
        "escalation_level": level,
        "start": instant(start),
        "end": instant(end),
    })
}
