//! Jira Service Management operations: timelines of schedules.
//!
//! People are Atlassian account ids without mail addresses, so `[oncall.source.people]` says who they are. Nobody here has
//! seen the timeline's answer: its form is Opsgenie's, of which it is the successor. Whoever is on call as a team or by an
//! escalation is not taken apart: that would give root to more people than the schedule names.

use base64ct::{Base64, Encoding};
use host::config;
use policy::{Span, Timestamp, Window};
use serde::Deserialize;

use crate::answer::{all, identifier, instant, present, read};
use crate::gather::{Bound, Description, Named, Row};
use crate::pages::{Leaf, Whole};
use crate::service::{Access, Authorization, Service, Session, Trouble};
use crate::session::segment;
use crate::{ProviderError, User};

/// Jira Service Management.
pub struct Jsm;

/// The code that asks it.
pub static SERVICE: Jsm = Jsm;

const DAY: i64 = 86_400;

impl Service for Jsm {
    fn access<'a>(&self, settings: &'a config::Service, secret: &str) -> Result<Access<'a>, ProviderError> {
        let account = settings.text("account").unwrap_or_default();
        let pair = Base64::encode_string(format!("{account}:{secret}").as_bytes());
        Ok(Access { authorization: Authorization::Always(format!("Basic {pair}")), headers: Vec::new() })
    }

    fn list(&self, session: &mut Session<'_>, _wanted: &[String]) -> Result<Whole<Named>, Trouble> {
        let path = format!("{}/schedules", root(session.settings)?);
        Whole::follow("schedules", |offset| {
            let query: Vec<_> = offset.map(|offset| ("offset", offset)).into_iter().collect();
            Ok(schedules(&session.get(&path, &query)?)?)
        })
    }

    fn shifts(
        &self,
        session: &mut Session<'_>,
        schedule: &mut Named,
        window: Window,
    ) -> Result<Whole<Row>, Trouble> {
        let days = window.end().since(window.start()).as_seconds() / DAY + 1;
        let end = window.start().plus(Span::seconds(days * DAY));
        let (date, interval) = (window.start().to_string(), days.to_string());
        let path = format!("{}/schedules/{}/timeline", root(session.settings)?, segment(&schedule.id)?);
        let query = [("date", &*date), ("interval", &interval), ("intervalUnit", "days")];
        Ok(Whole::at_once(shifts(end, &session.get(&path, &query)?)?))
    }
}

fn root(settings: &config::Service) -> Result<String, ProviderError> {
    Ok(format!("/jsm/ops/api/{}/v1", segment(settings.text("cloud_id").unwrap_or_default())?))
}

#[derive(Deserialize)]
struct SchedulesBody {
    values: Vec<ScheduleBody>,
    links: Option<LinksBody>,
}

#[derive(Deserialize)]
struct ScheduleBody {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct LinksBody {
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimelineBody {
    final_timeline: FinalBody,
}

#[derive(Deserialize)]
struct FinalBody {
    rotations: Vec<RotationBody>,
}

#[derive(Deserialize)]
struct RotationBody {
    periods: Vec<PeriodBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeriodBody {
    start_date: String,
    end_date: String,
    /// Null, nobody is on call. That it must be there is more than is known of the answer: what it may be left out for is not.
    #[serde(deserialize_with = "present")]
    responder: Option<ResponderBody>,
}

#[derive(Deserialize)]
struct ResponderBody {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Where the next page is, is told as a path below another root: of it the offset counts.
fn schedules(body: &[u8]) -> Result<Leaf<Named>, ProviderError> {
    let body: SchedulesBody = read("/schedules", body)?;
    let entries = all(body.values, |ScheduleBody { id, name }| {
        let id = identifier(id, "a schedule")?;
        Ok(Named { wanted: id.clone(), id, name })
    })?;
    let offset = |next: String| {
        let query = next.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let told = query.split('&').find_map(|pair| pair.strip_prefix("offset=")).map(str::to_string);
        told.filter(|text| text.parse::<u32>().is_ok()).ok_or_else(|| {
            ProviderError::incomplete(
                "/schedules: the next page has no `offset`; this release may be too old",
            )
        })
    };
    let next = body.links.and_then(|links| links.next).map(offset).transpose()?;
    Ok(Leaf { entries, next, total: None })
}

/// Reads an answer of `GET /schedules/{id}/timeline` that was asked for until `end`.
///
/// # Errors
/// It is none, or somebody is on call of whom it does not say who.
pub fn shifts(end: Timestamp, body: &[u8]) -> Result<Vec<Row>, ProviderError> {
    let body: TimelineBody = read("/timeline", body)?;
    let mut rows = Vec::new();
    for period in body.final_timeline.rotations.into_iter().flat_map(|rotation| rotation.periods) {
        let Some(responder) = period.responder else { continue };
        if responder.kind == "none" || responder.kind == "noParticipant" {
            continue;
        }
        let id = identifier(responder.id, "a responder")?;
        if responder.kind != "user" {
            let text = format!(
                "{id}, which is on call, is no user but {:?}; put people into the rotation themselves",
                responder.kind
            );
            return Err(ProviderError::incomplete(&text));
        }
        let user = User { id, mail: None, principal: None, label: None, disputed: None };
        let (start, until) = (instant(&period.start_date)?, instant(&period.end_date)?);
        let until = Bound::cut(until, end);
        let person = Description { user, whole: true };
        rows.push(Row { person, level: 1, start: Bound::At(start), end: until });
    }
    Ok(rows)
}
