//! Open incidents of some services, as PagerDuty tells them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::api::Paged;
use super::session::Session;
use super::{BOUNDS, IDS, SINGLE_USERS, all_pages};
use crate::answer::{all, identifier, read};
use crate::gather::Description;
use crate::pages::{Bounds, Page, Whole};
use crate::{ProviderError, ProviderIncident, User};
use policy::Timestamp;

/// As of other lists.
const INCIDENTS: Bounds =
    Bounds { shorter: "resolve incidents that are over, or name fewer services in `incident`", ..BOUNDS };

/// What the alerts of oncall-notify say they come from.
const OURS: &str = "oncall-notify";

#[derive(Deserialize)]
struct IncidentsBody {
    incidents: Vec<IncidentBody>,
    #[serde(flatten)]
    paged: Paged,
}

#[derive(Deserialize)]
struct IncidentBody {
    id: String,
    status: String,
    created_at: String,
    service: ServiceBody,
    first_trigger_log_entry: Value,
}

#[derive(Deserialize)]
struct ServiceBody {
    id: String,
}

/// Who or what triggered an incident.
#[derive(Deserialize)]
struct AgentBody {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// An incident, and the id of the user who opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    incident: ProviderIncident,
    opener: Option<String>,
    is_ours: bool,
}

/// Reads an answer of `GET /incidents` with the log entry that opened each.
pub fn page(body: &[u8]) -> Result<Page<Row>, ProviderError> {
    let body: IncidentsBody = read("/incidents", body)?;
    Ok(body.paged.page(all(body.incidents, row)?))
}

fn row(body: IncidentBody) -> Result<Row, ProviderError> {
    let id = identifier(body.id, "an incident")?;
    let wrong = |what: &str| ProviderError::source(&format!("/incidents: incident {id} {what}"));
    if body.status != "triggered" && body.status != "acknowledged" {
        return Err(wrong(&format!("is {:?}, asked for were open ones", body.status)));
    }
    let opened = Timestamp::read(&body.created_at)
        .ok_or_else(|| wrong(&format!("was opened at {:?}, which is not a time", body.created_at)))?;
    // A reference has no agent: then it was not told who opened it.
    let agent = body.first_trigger_log_entry.get("agent").cloned().unwrap_or_default();
    let agent: AgentBody =
        serde_json::from_value(agent).map_err(|_| wrong("does not say who or what opened it"))?;
    let is_person = agent.kind == "user_reference" || agent.kind == "user";
    let opener = is_person.then(|| identifier(agent.id, "a user")).transpose()?;
    let service = identifier(body.service.id, "a service")?;
    let is_ours = names_us(&body.first_trigger_log_entry);
    Ok(Row { incident: ProviderIncident { service, id, opened, closed: None, by: None }, opener, is_ours })
}

/// Does it say somewhere that its client is this suite? Where the entry has that differs with the integration.
fn names_us(entry: &Value) -> bool {
    match entry {
        Value::Object(fields) => {
            fields.get("client").and_then(Value::as_str) == Some(OURS) || fields.values().any(names_us)
        }
        Value::Array(items) => items.iter().any(names_us),
        _ => false,
    }
}

/// The open incidents of `services`, but those that this suite has triggered itself.
///
/// # Errors
/// What was not answered, or not as it was asked.
pub fn fetch(session: &mut Session<'_>, services: &[String]) -> Result<Vec<ProviderIncident>, ProviderError> {
    let mut rows = Vec::new();
    for services in services.chunks(IDS) {
        let told = Whole::read("incidents", INCIDENTS, |asked| session.incidents(services, asked))?;
        let is_asked = |row: &Row| services.contains(&row.incident.service);
        if let Some(row) = told.entries().iter().find(|row| !is_asked(row)) {
            return Err(ProviderError::incomplete(&format!(
                "/incidents: incident {} is of service {:?}, which was not asked for; the next sync tries again",
                row.incident.id, row.incident.service
            )));
        }
        rows.extend(told.into_iter().filter(|row| !row.is_ours));
    }
    let users = openers(session, &rows)?;
    let known = |Row { incident, opener, .. }: Row| {
        let by = opener.and_then(|id| users.get(&id).cloned());
        ProviderIncident { by, ..incident }
    };
    Ok(rows.into_iter().map(known).collect())
}

/// Those who opened incidents by hand, by id. One who is no user any more has no mail address.
fn openers(session: &mut Session<'_>, rows: &[Row]) -> Result<BTreeMap<String, User>, ProviderError> {
    let reference = |id: &String| {
        let user = User { id: id.clone(), mail: None, principal: None, label: None, disputed: None };
        (id.clone(), user)
    };
    let mut users: BTreeMap<String, User> =
        rows.iter().filter_map(|row| row.opener.as_ref()).map(reference).collect();
    let whole = |person: Description| person.user;
    if users.len() > SINGLE_USERS {
        for user in all_pages("users", |asked| session.users(asked))?.map(whole) {
            if let Some(known) = users.get_mut(&user.id) {
                *known = user;
            }
        }
        return Ok(users);
    }
    for (id, known) in &mut users {
        if let Some(person) = session.user(id)? {
            *known = whole(person);
        }
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// One page with this incident.
    fn read_one(change: impl FnOnce(&mut Value)) -> Result<Row, String> {
        let mut incident = json!({
            "id": "Q1", "type": "incident", "status": "triggered", "created_at": "2026-11-20T12:30:00+01:00",
            "resolved_at": null, "incident_key": null, "service": {"id": "PSVC1", "type": "service_reference"},
            "first_trigger_log_entry": {
                "id": "R1", "type": "trigger_log_entry",
                "agent": {"id": "PUALICE", "type": "user_reference", "summary": "Alice"},
                "channel": {"type": "web_trigger", "summary": "disk full"}
            }
        });
        change(&mut incident);
        let body = json!({"incidents": [incident], "limit": 100, "offset": 0, "more": false, "total": null});
        let page = page(body.to_string().as_bytes()).map_err(|error| error.to_string())?;
        Ok(page.entries.into_iter().next().unwrap())
    }

    #[test]
    fn a107_an_incident_tells_of_which_service_it_is_and_who_opened_it() {
        let row = read_one(|_| {}).unwrap();
        let expected = ProviderIncident {
            service: "PSVC1".to_string(),
            id: "Q1".to_string(),
            opened: Timestamp::parse("2026-11-20T11:30:00Z").unwrap(),
            closed: None,
            by: None,
        };
        assert_eq!(row, Row { incident: expected, opener: Some("PUALICE".to_string()), is_ours: false });
        let alert = read_one(|one| {
            one["first_trigger_log_entry"]["agent"] =
                json!({"id": "PINT1", "type": "events_api_v2_inbound_integration_reference"});
        });
        assert_eq!(alert.unwrap().opener, None);
    }

    #[test]
    fn a107_what_this_suite_has_triggered_is_known_by_its_client_wherever_that_is_said() {
        for channel in [
            json!({"type": "api", "client": "oncall-notify"}),
            json!({"type": "api", "cef_details": {"client": "oncall-notify", "details": {}}}),
            json!({"type": "api", "details": [{"client": "oncall-notify"}]}),
        ] {
            assert!(read_one(|one| one["first_trigger_log_entry"]["channel"] = channel).unwrap().is_ours);
        }
        for channel in [json!({"client": "Prometheus"}), json!({"client": ["oncall-notify"]}), json!(null)] {
            assert!(!read_one(|one| one["first_trigger_log_entry"]["channel"] = channel).unwrap().is_ours);
        }
    }

    #[test]
    fn a107_an_incident_that_does_not_say_what_is_asked_spoils_the_list() {
        for (key, value, words) in [
            ("status", json!("resolved"), "asked for were open ones"),
            ("created_at", json!("yesterday"), "is not a time"),
            ("created_at", json!(null), "cannot be read"),
            ("service", json!(null), "cannot be read"),
            ("id", json!("Q 1"), "is not an id"),
            ("first_trigger_log_entry", json!(null), "does not say who or what opened it"),
            (
                "first_trigger_log_entry",
                json!({"id": "R1", "type": "trigger_log_entry_reference"}),
                "does not say who",
            ),
        ] {
            let told = read_one(|one| one[key] = value).unwrap_err();
            assert!(told.contains(words), "{key}: {told}");
        }
        let told = read_one(|one| _ = one.as_object_mut().unwrap().remove("first_trigger_log_entry"));
        assert!(told.unwrap_err().contains("cannot be read"));
    }
}
