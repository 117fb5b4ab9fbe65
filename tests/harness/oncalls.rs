//! What an account at PagerDuty holds, as its API writes it: users, schedules, and who is on call.

use serde_json::{Value, json};

use crate::suite::{instant, now};

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

/// An incident of `service`, opened some seconds from now by an alert.
pub fn incident(id: &str, service: &str, opened: i64) -> Value {
    json!({
        "id": id, "type": "incident", "summary": "[#42] disk full", "title": "disk full", "incident_number": 42,
        "status": "triggered", "urgency": "high", "incident_key": null, "created_at": instant(now() + opened),
        "service": {"id": service, "type": "service_reference", "summary": service},
        "assignments": [], "acknowledgements": [], "teams": [],
        "first_trigger_log_entry": {
            "id": format!("R{id}"), "type": "trigger_log_entry",
            "agent": {"id": "PINT001", "type": "events_api_v2_inbound_integration_reference", "summary": "Prometheus"},
            "channel": {"type": "api", "client": "Prometheus", "summary": "disk full"},
        },
    })
}

/// The same, opened in PagerDuty's pages by this person.
pub fn opened_by(name: &str, mut incident: Value) -> Value {
    incident["first_trigger_log_entry"]["agent"] =
        json!({"id": id_of(name), "type": "user_reference", "summary": name});
    incident["first_trigger_log_entry"]["channel"] = json!({"type": "web_trigger", "summary": "disk full"});
    incident
}
