//! GoAlert: shifts of schedules, by its GraphQL API.
//!
//! An API key there is made for one query, whose exact text it is bound to, a role and an end. So the query is a file of
//! its own, which docs/providers.md has administrators paste, and there is no other to list schedules by: `schedules` are
//! ids. Errors come with status 200. A shift that the server cut at the end of the window says so.

use host::config;
use policy::{OneLine, Window};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{identifier, instant, read, same};
use crate::gather::{Bound, Description, Named, Row};
use crate::pages::Whole;
use crate::service::{Access, Authorization, Service, Session, Trouble};
use crate::session::bearer;
use crate::{ProviderError, User};

/// GoAlert.
pub struct GoAlert;

/// The code that asks it.
pub static SERVICE: GoAlert = GoAlert;

/// What the key is bound to, byte for byte.
pub const QUERY: &str = include_str!("goalert.graphql");

impl Service for GoAlert {
    fn access<'a>(&self, _settings: &'a config::Service, secret: &str) -> Result<Access<'a>, ProviderError> {
        Ok(Access { authorization: Authorization::Always(bearer(secret)), headers: Vec::new() })
    }

    fn list(&self, _session: &mut Session<'_>, wanted: &[String]) -> Result<Whole<Named>, Trouble> {
        let named = |id: &String| Named { wanted: id.clone(), id: id.clone(), name: id.clone() };
        Ok(Whole::at_once(wanted.iter().map(named).collect()))
    }

    fn shifts(
        &self,
        session: &mut Session<'_>,
        schedule: &mut Named,
        window: Window,
    ) -> Result<Whole<Row>, Trouble> {
        let variables = json!({
            "id": schedule.id, "start": window.start().to_string(), "end": window.end().to_string(),
        });
        let question = json!({"query": QUERY, "operationName": "OnCall", "variables": variables});
        let body = session.post("/api/graphql", &question.to_string())?;
        let (name, rows) = shifts(&schedule.id, window, &body)?;
        schedule.name = name;
        Ok(rows)
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<ErrorBody>,
    data: Option<DataBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

#[derive(Deserialize)]
struct DataBody {
    schedule: Option<ScheduleBody>,
}

#[derive(Deserialize)]
struct ScheduleBody {
    id: String,
    name: String,
    shifts: Vec<ShiftBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShiftBody {
    #[serde(rename = "userID")]
    user_id: String,
    user: Option<UserBody>,
    start: String,
    end: String,
    truncated: bool,
}

#[derive(Deserialize)]
struct UserBody {
    id: String,
    name: String,
    email: String,
}

/// Reads the answer about the schedule `id`, asked for `window`: its name, and its shifts.
///
/// # Errors
/// It is an error, or of another schedule.
pub fn shifts(id: &str, window: Window, body: &[u8]) -> Result<(String, Whole<Row>), ProviderError> {
    let body: Body = read("OnCall", body)?;
    if let Some(ErrorBody { message }) = body.errors.first() {
        let text = format!(
            "GoAlert answers {message:?}; check the key, its end, and that it was made for the query of this release"
        );
        return Err(ProviderError::source(&text));
    }
    let Some(schedule) = body.data.and_then(|data| data.schedule) else {
        let text = format!("GoAlert has no schedule `{id}`; check `schedules`, which are ids");
        return Err(ProviderError::incomplete(&text));
    };
    same("schedule", id, &schedule.id)?;
    let rows = schedule.shifts.into_iter().map(|shift| row(shift, window)).collect::<Result<_, _>>()?;
    Ok((schedule.name, Whole::at_once(rows)))
}

fn row(shift: ShiftBody, window: Window) -> Result<Row, ProviderError> {
    let id = identifier(shift.user_id, "a user")?;
    let (mail, label) = match shift.user {
        Some(user) => {
            same("user", &id, &user.id)?;
            (Some(user.email).filter(|mail| !mail.is_empty()), Some(OneLine::from(user.name)))
        }
        None => (None, None),
    };
    let user = User { id, mail, principal: None, label, disputed: None };
    let (start, end) = (instant(&shift.start)?, instant(&shift.end)?);
    let end = if shift.truncated { Bound::cut(end, window.end()) } else { Bound::At(end) };
    Ok(Row { person: Description { user, whole: true }, level: 1, start: Bound::At(start), end })
}
