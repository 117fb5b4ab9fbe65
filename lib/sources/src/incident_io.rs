//! incident.io: schedule entries, from its API, version 2.
//!
//! `final` has overrides applied. All rotations and layers of a schedule come together; `rotations` says which count, in the
//! order of levels. Lists go on while `pagination_meta` says where, which is never followed to another place.

use host::config;
use policy::{OneLine, Window};
use serde::Deserialize;

use crate::answer::{all, identifier, instant, read};
use crate::gather::{Bound, Description, Named, Row};
use crate::pages::{Leaf, Whole};
use crate::service::{Access, Authorization, Service, Session, Trouble};
use crate::session::bearer;
use crate::{ProviderError, User};

/// incident.io.
pub struct IncidentIo;

/// The code that asks it.
pub static SERVICE: IncidentIo = IncidentIo;

impl Service for IncidentIo {
    fn access<'a>(&self, _settings: &'a config::Service, secret: &str) -> Result<Access<'a>, ProviderError> {
        Ok(Access { authorization: Authorization::Always(bearer(secret)), headers: Vec::new() })
    }

    fn list(&self, session: &mut Session<'_>, _wanted: &[String]) -> Result<Whole<Named>, Trouble> {
        let path = "/v2/schedules";
        Whole::follow(path, |next| {
            let first = [("page_size", "25")];
            Ok(schedules(&session.get(path, &pairs(&query(session.settings, path, &first, next)?))?)?)
        })
    }

    fn shifts(
        &self,
        session: &mut Session<'_>,
        schedule: &mut Named,
        window: Window,
    ) -> Result<Whole<Row>, Trouble> {
        let (start, end) = (window.start().to_string(), window.end().to_string());
        let first =
            [("schedule_id", &*schedule.id), ("entry_window_start", &start), ("entry_window_end", &end)];
        let path = "/v2/schedule_entries";
        Whole::follow(path, |next| {
            let query = query(session.settings, path, &first, next)?;
            let body = session.get(path, &pairs(&query))?;
            Ok(entries(session.settings.texts("rotations"), &body)?)
        })
    }
}

type Query = Vec<(String, String)>;

/// What asks for a page: `first`, or the query of the address that the page before gave, if that is of the same place. Its
/// parameters are not those of the first page.
fn query(
    settings: &config::Service,
    path: &str,
    first: &[(&str, &str)],
    next: Option<&str>,
) -> Result<Query, ProviderError> {
    let Some(next) = next else {
        return Ok(first.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect());
    };
    http::query_at(&settings.api, path, next).ok_or_else(|| {
        let text =
            format!("{path}: the next page is said to be at {next:?}, which is another place; check `api`");
        ProviderError::incomplete(&text)
    })
}

fn pairs(query: &Query) -> Vec<(&str, &str)> {
    query.iter().map(|(name, value)| (&**name, &**value)).collect()
}

#[derive(Deserialize)]
struct MetaBody {
    after_url: Option<String>,
    /// Where the list of schedules goes on; it has no address.
    after: Option<String>,
    total_record_count: Option<u64>,
}

#[derive(Deserialize)]
struct SchedulesBody {
    schedules: Vec<ScheduleBody>,
    pagination_meta: Option<MetaBody>,
}

#[derive(Deserialize)]
struct ScheduleBody {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct EntriesBody {
    schedule_entries: KindsBody,
    pagination_meta: Option<MetaBody>,
}

#[derive(Deserialize)]
struct KindsBody {
    r#final: Vec<EntryBody>,
}

#[derive(Deserialize)]
struct EntryBody {
    start_at: String,
    end_at: String,
    rotation_id: Option<String>,
    layer_id: Option<String>,
    /// Absent, nobody is assigned.
    user: Option<UserBody>,
}

#[derive(Deserialize)]
struct UserBody {
    id: String,
    name: String,
    email: Option<String>,
}

fn schedules(body: &[u8]) -> Result<Leaf<Named>, ProviderError> {
    let body: SchedulesBody = read("/v2/schedules", body)?;
    let named = all(body.schedules, |ScheduleBody { id, name }| {
        let id = identifier(id, "a schedule")?;
        Ok(Named { wanted: id.clone(), id, name })
    });
    let meta = body.pagination_meta;
    let (next, after) =
        meta.as_ref().map(|meta| (meta.after_url.clone(), &meta.after)).unwrap_or((None, &None));
    if let (None, Some(after)) = (&next, after) {
        let text = format!("/v2/schedules: more follow after {after}, and the answer does not say where");
        return Err(ProviderError::incomplete(&text));
    }
    Ok(Leaf { entries: named?, next, total: meta.and_then(|meta| meta.total_record_count) })
}

/// Reads a page of `GET /v2/schedule_entries`; `levels` are ids of rotations or layers, or none for all.
///
/// # Errors
/// It is none.
pub fn entries(levels: &[String], body: &[u8]) -> Result<Leaf<Row>, ProviderError> {
    let body: EntriesBody = read("/v2/schedule_entries", body)?;
    let mut rows = Vec::new();
    for entry in body.schedule_entries.r#final {
        let is_of =
            |id: &String| [&entry.layer_id, &entry.rotation_id].into_iter().flatten().any(|own| own == id);
        let place = if levels.is_empty() { Some(0) } else { levels.iter().position(is_of) };
        let (Some(place), Some(user)) = (place, entry.user) else { continue };
        let mail = user.email.filter(|mail| !mail.is_empty());
        let (id, label) = (identifier(user.id, "a user")?, Some(OneLine::from(user.name)));
        let user = User { id, mail, principal: None, label, disputed: None };
        rows.push(Row {
            person: Description { user, whole: true },
            level: place as u64 + 1,
            start: Bound::At(instant(&entry.start_at)?),
            end: Bound::At(instant(&entry.end_at)?),
        });
    }
    Ok(Leaf { entries: rows, next: body.pagination_meta.and_then(|meta| meta.after_url), total: None })
}
