//! PagerDuty's answers as it writes them, and what they say; no network here.

use policy::OneLine;
use serde::Deserialize;

use super::source;
use crate::answer::{all, identifier, instant, present, read, same};
use crate::gather::{Bound, Description};
use crate::pages::{Page, Whole};
use crate::{ProviderError, User};

/// A schedule, an escalation policy or a team that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// PagerDuty's id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// An escalation policy and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its id and name.
    pub named: Named,
    /// Ids of the teams that own it.
    pub teams: Vec<String>,
}

/// A shift on some schedule, or on none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The schedule's id; `None` for a person named directly in an escalation policy.
    pub schedule: Option<String>,
    /// The id of the escalation policy through which the person is on call, where one was told.
    pub policy: Option<String>,
    /// Whose shift it is.
    pub person: Description,
    /// Escalation level.
    pub level: u64,
    /// From when.
    pub start: Bound,
    /// Until when.
    pub end: Bound,
}

/// Which page of which list an answer says it is: "Pagination" in the API's documentation. `total` is null where
/// nobody asked for it, and the list of shift-based schedules has none.
#[derive(Deserialize)]
pub struct Paged {
    more: bool,
    offset: Option<u64>,
    limit: Option<u64>,
    total: Option<u64>,
}

impl Paged {
    /// The page of these.
    pub fn page<T>(self, entries: Vec<T>) -> Page<T> {
        let Self { more, offset, limit, total } = self;
        Page { entries, more, offset, limit, total }
    }
}

#[derive(Deserialize)]
struct SchedulesBody {
    schedules: Vec<NamedBody>,
    #[serde(flatten)]
    paged: Paged,
}

#[derive(Deserialize)]
struct PoliciesBody {
    escalation_policies: Vec<PolicyBody>,
    #[serde(flatten)]
    paged: Paged,
}

#[derive(Deserialize)]
struct TeamsBody {
    teams: Vec<NamedBody>,
    #[serde(flatten)]
    paged: Paged,
}

#[derive(Deserialize)]
struct UsersBody {
    users: Vec<UserBody>,
    #[serde(flatten)]
    paged: Paged,
}

#[derive(Deserialize)]
struct OneUserBody {
    user: UserBody,
}

#[derive(Deserialize)]
struct OncallsBody {
    oncalls: Vec<EntryBody>,
    #[serde(flatten)]
    paged: Paged,
}

#[derive(Deserialize)]
struct NamedBody {
    id: String,
    name: Option<String>,
    summary: Option<String>,
}

#[derive(Deserialize)]
struct PolicyBody {
    #[serde(flatten)]
    named: NamedBody,
    teams: Vec<ReferenceBody>,
}

#[derive(Deserialize)]
struct EntryBody {
    user: UserBody,
    #[serde(deserialize_with = "present")]
    schedule: Option<ReferenceBody>,
    escalation_policy: Option<ReferenceBody>,
    escalation_level: u64,
    #[serde(deserialize_with = "present")]
    start: Option<String>,
    #[serde(deserialize_with = "present")]
    end: Option<String>,
}

/// A user in full, or a reference to one, which has no `email`.
#[derive(Deserialize)]
struct UserBody {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    summary: Option<String>,
    email: Option<String>,
    deleted_at: Option<String>,
}

#[derive(Deserialize)]
struct ReferenceBody {
    id: String,
}

#[derive(Deserialize)]
struct LayeredBody {
    schedule: LayeredSchedule,
}

#[derive(Deserialize)]
struct LayeredSchedule {
    id: String,
    final_schedule: RenderedBody,
}

#[derive(Deserialize)]
struct RenderedBody {
    rendered_schedule_entries: Vec<RenderedEntry>,
}

#[derive(Deserialize)]
struct RenderedEntry {
    user: UserBody,
    #[serde(deserialize_with = "present")]
    start: Option<String>,
    #[serde(deserialize_with = "present")]
    end: Option<String>,
}

#[derive(Deserialize)]
struct ShiftBasedBody {
    schedule: ShiftBasedSchedule,
}

#[derive(Deserialize)]
struct ShiftBasedSchedule {
    id: String,
    final_schedule: ComputedBody,
}

#[derive(Deserialize)]
struct ComputedBody {
    computed_shift_assignments: Vec<Assignment>,
}

#[derive(Deserialize)]
struct Assignment {
    #[serde(deserialize_with = "present")]
    start_time: Option<String>,
    #[serde(deserialize_with = "present")]
    end_time: Option<String>,
    member: Member,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Member {
    /// A gap is written down as well.
    EmptyMember,
    UserMember {
        user_id: String,
    },
}

/// Reads an answer of `GET /schedules` or `GET /v3/schedules`.
pub fn schedules(body: &[u8]) -> Result<Page<Named>, ProviderError> {
    let body: SchedulesBody = read("/schedules", body)?;
    Ok(body.paged.page(all(body.schedules, |entry| named(entry, "a schedule"))?))
}

/// Reads an answer of `GET /escalation_policies`.
pub fn policies(body: &[u8]) -> Result<Page<Policy>, ProviderError> {
    let body: PoliciesBody = read("/escalation_policies", body)?;
    let policy = |entry: PolicyBody| {
        let teams = all(entry.teams, |team| identifier(team.id, "a team"))?;
        Ok(Policy { named: named(entry.named, "an escalation policy")?, teams })
    };
    Ok(body.paged.page(all(body.escalation_policies, policy)?))
}

/// Reads an answer of `GET /teams`.
pub fn teams(body: &[u8]) -> Result<Page<Named>, ProviderError> {
    let body: TeamsBody = read("/teams", body)?;
    Ok(body.paged.page(all(body.teams, |entry| named(entry, "a team"))?))
}

/// Reads an answer of `GET /users`.
pub fn users(body: &[u8]) -> Result<Page<Description>, ProviderError> {
    let body: UsersBody = read("/users", body)?;
    Ok(body.paged.page(all(body.users, person)?))
}

/// Reads an answer of `GET /users/{id}`.
pub fn user(id: &str, body: &[u8]) -> Result<Description, ProviderError> {
    let body: OneUserBody = read("/users/{id}", body)?;
    same("user", id, &body.user.id)?;
    person(body.user)
}

/// Reads an answer of `GET /oncalls`.
pub fn oncalls(body: &[u8]) -> Result<Page<Entry>, ProviderError> {
    let body: OncallsBody = read("/oncalls", body)?;
    Ok(body.paged.page(all(body.oncalls, entry)?))
}

/// Reads an answer of `GET /schedules/{id}`: who is on call once layers and overrides are put together. A
/// schedule by itself knows no levels; it is all the first.
pub fn layered(id: &str, body: &[u8]) -> Result<Whole<Entry>, ProviderError> {
    let body: LayeredBody = read("/schedules/{id}", body)?;
    same("schedule", id, &body.schedule.id)?;
    let entries = all(body.schedule.final_schedule.rendered_schedule_entries, |entry| {
        alone(id, person(entry.user)?, entry.start, entry.end)
    });
    entries.map(Whole::at_once)
}

/// Reads an answer of `GET /v3/schedules/{id}`, which is the same of a shift-based schedule.
pub fn shift_based(id: &str, body: &[u8]) -> Result<Whole<Entry>, ProviderError> {
    let body: ShiftBasedBody = read("/v3/schedules/{id}", body)?;
    same("schedule", id, &body.schedule.id)?;
    let mut entries = Vec::new();
    for Assignment { start_time, end_time, member } in body.schedule.final_schedule.computed_shift_assignments
    {
        let Member::UserMember { user_id } = member else { continue };
        let id_of_user = identifier(user_id, "a user")?;
        let user = User { id: id_of_user, mail: None, principal: None, label: None, disputed: None };
        entries.push(alone(id, Description { user, whole: false }, start_time, end_time)?);
    }
    Ok(Whole::at_once(entries))
}

/// A shift on schedule `id` that no escalation policy has a part in.
fn alone(
    id: &str,
    person: Description,
    start: Option<String>,
    end: Option<String>,
) -> Result<Entry, ProviderError> {
    let (start, end) = bounds(true, start, end)?;
    Ok(Entry { schedule: Some(id.to_string()), policy: None, person, level: 1, start, end })
}

fn named(body: NamedBody, what: &str) -> Result<Named, ProviderError> {
    let id = identifier(body.id, what)?;
    match body.name.or(body.summary) {
        Some(name) => Ok(Named { id, name }),
        None => Err(source(&format!("{what}, {id}, has no name"))),
    }
}

fn entry(body: EntryBody) -> Result<Entry, ProviderError> {
    let person = person(body.user)?;
    let reference =
        |body: Option<ReferenceBody>, what| body.map(|body| identifier(body.id, what)).transpose();
    let schedule = reference(body.schedule, "a schedule")?;
    let (start, end) = bounds(schedule.is_some(), body.start, body.end)?;
    Ok(Entry {
        schedule,
        policy: reference(body.escalation_policy, "an escalation policy")?,
        person,
        level: body.escalation_level,
        start,
        end,
    })
}

fn person(body: UserBody) -> Result<Description, ProviderError> {
    let id = identifier(body.id, "a user")?;
    if body.kind != "user" && body.kind != "user_reference" {
        return Err(source(&format!("somebody on call is {id}, which is not a user but {:?}", body.kind)));
    }
    let mail = body.email.filter(|mail| !mail.is_empty() && body.deleted_at.is_none());
    let whole = body.kind == "user" || mail.is_some() || body.deleted_at.is_some();
    let label = body.name.or(body.summary).filter(|name| !name.is_empty()).map(OneLine::from);
    Ok(Description { user: User { id, mail, principal: None, label, disputed: None }, whole })
}

/// Whoever is named in an escalation policy directly is on no schedule and has neither start nor end: on call for ever
/// (schema of `/oncalls`). A shift on a schedule has both.
fn bounds(
    on_a_schedule: bool,
    start: Option<String>,
    end: Option<String>,
) -> Result<(Bound, Bound), ProviderError> {
    let open = if on_a_schedule { Bound::Untold } else { Bound::Never };
    let bound = |text: Option<String>| text.map_or(Ok(open), |text| instant(&text).map(Bound::At));
    Ok((bound(start)?, bound(end)?))
}
