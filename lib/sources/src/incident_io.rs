//! incident.io: schedule entries, from its API, version 2.
//!
//! `final` has overrides applied. All rotations and layers of a schedule come together; `rotations` says which count, in the
//! order of levels, and a layer that it names is on its own level, whatever rotation it is a part of. Lists go on while
//! `pagination_meta` says where: by an address, which is never followed to another place, or by what comes `after`.

use std::collections::BTreeSet;

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
        let first = [("page_size", "25")];
        Whole::follow(path, |next| {
            let query = query(session.settings, path, &first, next)?;
            Ok(schedules(&session.get(path, &pairs(&query))?)?)
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
        let (settings, mut met) = (session.settings, BTreeSet::new());
        let whole = Whole::follow(path, |next| {
            let query = query(settings, path, &first, next)?;
            let body = session.get(path, &pairs(&query))?;
            Ok::<_, Trouble>(entries(settings.texts(ROTATIONS), &body, &mut met)?)
        })?;
        session.met.append(&mut met);
        Ok(whole.filter_map(|row| row))
    }

    fn remarks(&self, session: &Session<'_>) -> Vec<String> {
        let unmet = session.settings.texts(ROTATIONS).iter().filter(|id| !session.met.contains(*id));
        unmet
            .map(|id| {
                format!(
                    "`rotations` has {id}, which no schedule that was read has a shift of; check that it is the id of a rotation or a layer"
                )
            })
            .collect()
    }
}

/// Its setting: ids of rotations or layers, in the order of levels.
const ROTATIONS: &str = "rotations";

/// Before what asks for a page by what comes before it.
const AFTER: &str = "after:";

type Query = Vec<(String, String)>;

/// What asks for a page: `first`, and what it comes after; or the query of the address that the page before gave, if that is of
/// the same place. Its parameters are not those of the first page.
fn query(
    settings: &config::Service,
    path: &str,
    first: &[(&str, &str)],
    next: Option<&str>,
) -> Result<Query, ProviderError> {
    let after = next.and_then(|next| next.strip_prefix(AFTER)).map(|after| ("after", after));
    let Some(next) = next.filter(|_| after.is_none()) else {
        let pairs = first.iter().copied().chain(after);
        return Ok(pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect());
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
    /// What the next page comes after, where no address says it.
    after: Option<String>,
    total_record_count: Option<u64>,
}

impl MetaBody {
    /// What asks for the next page.
    fn next(self) -> Option<String> {
        self.after_url.or(self.after.map(|after| format!("{AFTER}{after}")))
    }
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
    let total = body.pagination_meta.as_ref().and_then(|meta| meta.total_record_count);
    Ok(Leaf { entries: named?, next: body.pagination_meta.and_then(MetaBody::next), total })
}

/// Reads a page of `GET /v2/schedule_entries`; `levels` are ids of rotations or layers, or none for all, and those that it has
/// are `met`. None stands for what counts for nobody: such a page is not an empty one.
///
/// # Errors
/// It is none.
pub fn entries(
    levels: &[String],
    body: &[u8],
    met: &mut BTreeSet<String>,
) -> Result<Leaf<Option<Row>>, ProviderError> {
    let body: EntriesBody = read("/v2/schedule_entries", body)?;
    let rows = all(body.schedule_entries.r#final, |entry| {
        let place = |id: &Option<String>| levels.iter().position(|own| Some(own) == id.as_ref());
        // A layer is a part of a rotation, and whoever names both means that it is on a level of its own.
        let (of_layer, of_rotation) = (place(&entry.layer_id), place(&entry.rotation_id));
        met.extend([of_layer, of_rotation].into_iter().flatten().filter_map(|at| levels.get(at).cloned()));
        let place = if levels.is_empty() { Some(0) } else { of_layer.or(of_rotation) };
        place.zip(entry.user.as_ref()).map(|(place, user)| row(place, user, &entry)).transpose()
    });
    Ok(Leaf { entries: rows?, next: body.pagination_meta.and_then(MetaBody::next), total: None })
}

fn row(place: usize, user: &UserBody, entry: &EntryBody) -> Result<Row, ProviderError> {
    let mail = user.email.clone().filter(|mail| !mail.is_empty());
    let (id, label) = (identifier(user.id.clone(), "a user")?, Some(OneLine::from(user.name.clone())));
    let user = User { id, mail, principal: None, label, disputed: None };
    Ok(Row {
        person: Description { user, whole: true },
        level: place as u64 + 1,
        start: Bound::At(instant(&entry.start_at)?),
        end: Bound::At(instant(&entry.end_at)?),
    })
}
