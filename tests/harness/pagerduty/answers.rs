//! What the service answers: who may ask, which host and path is meant, and the page that comes.

use serde_json::{Value, json};

use super::query::{Query, instant, read_instant};
use super::{Refusal, Region, State, Token, header, invalid, now};

/// Which of the hosts is asked.
enum Asked {
    Api(Region),
    Identity,
}

fn asked(host: Option<&str>) -> Result<Asked, Refusal> {
    match host {
        Some("api.pagerduty.example:8443" | "127.0.0.1:8443" | "api.pagerduty.com") => {
            Ok(Asked::Api(Region::Us))
        }
        Some("api.eu.pagerduty.com") => Ok(Asked::Api(Region::Eu)),
        Some("identity.pagerduty.example:8443" | "identity.pagerduty.com") => Ok(Asked::Identity),
        other => Err(invalid(format!("Host is {other:?}"))),
    }
}

/// What the service answers to `head` and `body`.
pub(super) fn judge(head: &str, body: &str, state: &mut State) -> Result<Value, Refusal> {
    let refuse = |status, code, message, problem: String| Err(Refusal { status, code, message, problem });
    let line = head.lines().next().unwrap_or_default();
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(invalid(format!("no request line: {line}")));
    };
    let region = match asked(header(head, "Host"))? {
        Asked::Identity => return give_token(method, target, head, body, state),
        Asked::Api(region) => region,
    };
    if method != "GET" {
        return refuse(405, 2000, "Method Not Allowed", format!("method {method}"));
    }
    let scopes = who_asks(head, region, state)?;
    if header(head, "Accept") != Some("application/vnd.pagerduty+json;version=2") {
        return refuse(406, 2000, "Not Acceptable", format!("Accept is {:?}", header(head, "Accept")));
    }
    if header(head, "Content-Type") != Some("application/json") {
        return Err(invalid(format!("Content-Type is {:?}", header(head, "Content-Type"))));
    }
    if header(head, "Transfer-Encoding").is_some()
        || header(head, "Content-Length").is_some_and(|length| length != "0")
    {
        return Err(invalid("a GET with a body"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = Query::parse(query)?;
    let allowed = |scope: &str| match &scopes {
        Some(scopes) if !scopes.iter().any(|had| had == scope) => Err(Refusal {
            status: 403,
            code: 2010,
            message: "Forbidden",
            problem: format!("{path} needs {scope}, the token has {scopes:?}"),
        }),
        _ => Ok(()),
    };
    match path.split('/').skip(1).collect::<Vec<_>>()[..] {
        ["oncalls"] => allowed("oncalls.read").and_then(|()| oncalls(&query, state)),
        ["schedules"] => allowed("schedules.read").and_then(|()| schedules(&query, state)),
        ["schedules", id] => allowed("schedules.read").and_then(|()| layered(id, &query, state)),
        ["v3", "schedules"] => allowed("schedules.read").and_then(|()| shift_based_list(&query, state)),
        ["v3", "schedules", id] => allowed("schedules.read").and_then(|()| shift_based(id, &query, state)),
        ["escalation_policies"] => allowed("escalation_policies.read").and_then(|()| policies(&query, state)),
        ["teams"] => allowed("teams.read").and_then(|()| teams(&query, state)),
        ["incidents"] => allowed("incidents.read").and_then(|()| incidents(&query, state)),
        ["users"] => allowed("users.read").and_then(|()| users(&query, state)),
        ["users", id] => allowed("users.read").and_then(|()| user(id, &query, state)),
        _ => refuse(404, 2100, "Not Found", format!("no path {path}")),
    }
}

/// What the token may; `None` for the account's key, which may read everything.
fn who_asks(head: &str, region: Region, state: &State) -> Result<Option<Vec<String>>, Refusal> {
    let authorization = header(head, "Authorization").unwrap_or_default();
    let now = now() + state.clock_offset;
    let token = authorization
        .strip_prefix("Bearer ")
        .and_then(|text| state.tokens.iter().find(|token| token.text == text && token.expires > now));
    let key = authorization.strip_prefix("Token token=").filter(|key| *key == state.key);
    match (token, key) {
        _ if region != state.region => {}
        (Some(token), None) => return Ok(Some(token.scopes.clone())),
        (None, Some(_)) => return Ok(None),
        _ => {}
    }
    Err(Refusal {
        status: 401,
        code: 2006,
        message: "Unauthorized",
        problem: format!(
            "Authorization is neither `Token token=` and the key nor `Bearer` and a good token, or this is not {region:?}"
        ),
    })
}

/// The client credentials grant, on the identity host.
fn give_token(
    method: &str,
    target: &str,
    head: &str,
    body: &str,
    state: &mut State,
) -> Result<Value, Refusal> {
    let refuse = |status, message, problem: String| Err(Refusal { status, code: 0, message, problem });
    if (method, target) != ("POST", "/oauth/token") {
        return refuse(404, "not_found", format!("{method} {target}"));
    }
    if let Some(key) = header(head, "Authorization") {
        return refuse(400, "invalid_request", format!("the identity host was told {key}"));
    }
    if header(head, "Content-Type") != Some("application/x-www-form-urlencoded") {
        return refuse(400, "invalid_request", format!("Content-Type is {:?}", header(head, "Content-Type")));
    }
    let form = Query::parse(body)?;
    form.knows(&["grant_type", "client_id", "client_secret", "scope"], &[])?;
    let Some(app) = state.app.clone() else {
        return refuse(401, "invalid_client", "no app is registered".to_string());
    };
    if form.one("grant_type")? != Some("client_credentials") {
        return refuse(400, "unsupported_grant_type", format!("{:?}", form.one("grant_type")?));
    }
    if form.one("client_id")? != Some(&app.client_id)
        || form.one("client_secret")? != Some(&app.client_secret)
    {
        return refuse(401, "invalid_client", "client_id or client_secret is wrong".to_string());
    }
    let account = format!("as_account-{}.{}", state.region.name(), app.subdomain);
    let asked: Vec<&str> = form.one("scope")?.unwrap_or_default().split(' ').collect();
    if !asked.contains(&&*account) {
        return refuse(400, "invalid_scope", format!("{account} is not in {asked:?}"));
    }
    let may = |scope: &&&str| **scope == account || app.scopes.iter().any(|had| had == **scope);
    let scopes: Vec<String> = asked.iter().filter(may).map(ToString::to_string).collect();
    state.given += 1;
    let text = format!("pdus+_token-of-the-app-{}", state.given);
    let expires = now() + state.clock_offset + app.lifetime;
    let scope = scopes.join(" ");
    state.tokens.push(Token { text: text.clone(), scopes, expires });
    Ok(json!({"access_token": text, "scope": scope, "token_type": "bearer", "expires_in": app.lifetime}))
}

fn schedules(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(
        &["limit", "offset", "total", "query", "since", "until"],
        &[("include[]", &["schedule_layers", "overrides_subschedule", "final_schedule"])],
    )?;
    for name in ["since", "until"] {
        query.one(name)?.map(|text| instant(name, text)).transpose()?;
    }
    let part = query.one("query")?.unwrap_or_default().to_lowercase();
    let fits =
        |schedule: &&Value| schedule["name"].as_str().unwrap_or_default().to_lowercase().contains(&part);
    page("schedules", state.schedules.iter().filter(fits).cloned().collect(), query, state)
}

fn oncalls(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(
        &["limit", "offset", "total", "since", "until", "time_zone", "earliest"],
        &[
            ("include[]", &["escalation_policies", "users", "schedules"]),
            ("user_ids[]", &[]),
            ("escalation_policy_ids[]", &[]),
            ("schedule_ids[]", &[]),
        ],
    )?;
    for name in ["user_ids[]", "earliest"] {
        if !query.all(name).is_empty() {
            return Err(invalid(format!("{name} is allowed, and not played here")));
        }
    }
    // The service has defaults for these; who relies on them gets times in an offset of the account's
    // choice, or the people of one instant for the people of three days.
    let required = |name: &str| query.one(name)?.ok_or_else(|| invalid(format!("{name} is missing")));
    let (since, until) = (instant("since", required("since")?)?, instant("until", required("until")?)?);
    if until <= since {
        return Err(invalid("until is not after since"));
    }
    if until - (now() + state.clock_offset) > 90 * 86_400 {
        return Err(invalid("until is more than 90 days ahead"));
    }
    if required("time_zone")? != "UTC" {
        return Err(invalid("time_zone is not UTC"));
    }
    required("limit")?;
    required("offset")?;
    let (schedules, policies) = (query.all("schedule_ids[]"), query.all("escalation_policy_ids[]"));
    if schedules.is_empty() && policies.is_empty() {
        return Err(invalid("no filter: everybody of the account would be on call here"));
    }
    let mut found = Vec::new();
    for entry in &state.oncalls {
        let schedule = entry["schedule"]["id"].as_str().unwrap_or("null");
        let policy = entry["escalation_policy"]["id"].as_str().unwrap_or_default();
        let meant = (schedules.is_empty() || schedules.contains(&schedule))
            && (policies.is_empty() || policies.contains(&policy));
        if meant && overlaps(entry, since, until)? {
            found.push(if query.all("include[]").contains(&"users") {
                entry.clone()
            } else {
                by_reference(entry)
            });
        }
    }
    page("oncalls", found, query, state)
}

/// `GET /incidents`: the service's own default is those of the last month, of every service and in every state.
fn incidents(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(
        &["limit", "offset", "total", "since", "until", "date_range", "time_zone", "incident_key", "sort_by"],
        &[
            (
                "include[]",
                &["acknowledgers", "agents", "assignees", "first_trigger_log_entries", "services", "users"],
            ),
            ("statuses[]", &["triggered", "acknowledged", "resolved"]),
            ("service_ids[]", &[]),
            ("team_ids[]", &[]),
            ("user_ids[]", &[]),
            ("urgencies[]", &["high", "low"]),
        ],
    )?;
    for name in
        ["since", "until", "time_zone", "incident_key", "sort_by", "team_ids[]", "user_ids[]", "urgencies[]"]
    {
        if !query.all(name).is_empty() {
            return Err(invalid(format!("{name} is allowed, and not played here")));
        }
    }
    let required = |name: &str| query.one(name)?.ok_or_else(|| invalid(format!("{name} is missing")));
    if required("date_range")? != "all" {
        return Err(invalid("date_range is not all, so incidents of more than a month ago would be hidden"));
    }
    required("limit")?;
    required("offset")?;
    let (statuses, services) = (query.all("statuses[]"), query.all("service_ids[]"));
    if statuses != ["triggered", "acknowledged"] {
        return Err(invalid(format!("statuses[] are {statuses:?}, not those of open incidents")));
    }
    if services.is_empty() || services.iter().any(|id| id.is_empty()) {
        return Err(invalid("service_ids[] name no service: incidents of the whole account would count"));
    }
    let is_meant = |incident: &&Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        statuses.contains(&&*text(&incident["status"]))
            && services.contains(&&*text(&incident["service"]["id"]))
    };
    let with_entries = query.all("include[]").contains(&"first_trigger_log_entries");
    let shown = |incident: &Value| {
        let mut incident = incident.clone();
        if !with_entries {
            let id = incident["first_trigger_log_entry"]["id"].clone();
            incident["first_trigger_log_entry"] = json!({"id": id, "type": "trigger_log_entry_reference"});
        }
        incident
    };
    page("incidents", state.incidents.iter().filter(is_meant).map(shown).collect(), query, state)
}

/// The window of a question about one schedule, without which it would be about another one.
fn window(query: &Query) -> Result<(i64, i64), Refusal> {
    let required = |name: &str| query.one(name)?.ok_or_else(|| invalid(format!("{name} is missing")));
    let (since, until) = (instant("since", required("since")?)?, instant("until", required("until")?)?);
    if until <= since || required("time_zone")? != "UTC" {
        return Err(invalid("until is not after since, or time_zone is not UTC"));
    }
    if required("overflow")? != "true" {
        return Err(invalid("without overflow shifts are cut at the window"));
    }
    Ok((since, until))
}

fn by_id<'a>(list: &'a [Value], id: &str) -> Option<&'a Value> {
    list.iter().find(|entry| entry["id"] == id)
}

fn absent(what: &str) -> Refusal {
    Refusal { status: 404, code: 2100, message: "Not Found", problem: format!("no {what}") }
}

/// `GET /schedules/{id}`.
fn layered(id: &str, query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["since", "until", "time_zone", "overflow"], &[])?;
    if by_id(&state.shift_based, id).is_some() {
        return Err(invalid(format!("{id} is a shift-based schedule, see /v3/schedules")));
    }
    let mut schedule = by_id(&state.schedules, id).ok_or_else(|| absent(id))?.clone();
    let (since, until) = window(query)?;
    let mut entries = Vec::new();
    for entry in state.rendered.get(id).into_iter().flatten() {
        if overlaps(entry, since, until)? {
            entries.push(by_reference(entry));
        }
    }
    schedule["final_schedule"] = json!({"name": "Final Schedule", "rendered_schedule_entries": entries});
    Ok(json!({ "schedule": schedule }))
}

/// `GET /v3/schedules`: references, up to 1000 a page, no total.
fn shift_based_list(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["limit", "offset", "query"], &[])?;
    let reference = |schedule: &Value| json!({"id": schedule["id"], "type": "schedule_v3_reference", "summary": schedule["name"]});
    let list = state.shift_based.iter().map(reference).collect();
    let mut page = page("schedules", list, query, state)?;
    if let Some(page) = page.as_object_mut() {
        page.remove("total");
    }
    Ok(page)
}

/// `GET /v3/schedules/{id}`.
fn shift_based(id: &str, query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["since", "until", "time_zone", "overflow"], &[("include[]", &["final_schedule"])])?;
    if by_id(&state.schedules, id).is_some() {
        return Err(invalid(format!("{id} is not a shift-based schedule, see /schedules")));
    }
    let schedule = by_id(&state.shift_based, id).ok_or_else(|| absent(id))?;
    let (since, until) = window(query)?;
    let within = |assignment: &&Value| {
        let end_of = |name: &str| assignment[name].as_str().and_then(read_instant);
        end_of("start_time").is_none_or(|start| start < until)
            && end_of("end_time").is_none_or(|end| end > since)
    };
    let all = schedule["computed_shift_assignments"].as_array().cloned().unwrap_or_default();
    let assignments: Vec<&Value> = all.iter().filter(within).collect();
    let mut answer =
        json!({"id": id, "type": "schedule_v3", "name": schedule["name"], "time_zone": "Etc/UTC"});
    if query.all("include[]") == ["final_schedule"] {
        answer["final_schedule"] =
            json!({"type": "final_schedule", "computed_shift_assignments": assignments});
    }
    Ok(json!({ "schedule": answer }))
}

fn policies(query: &Query, state: &State) -> Result<Value, Refusal> {
    query
        .knows(&["limit", "offset", "total", "query"], &[("include[]", &["services", "teams", "targets"])])?;
    page("escalation_policies", state.policies.clone(), query, state)
}

fn teams(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["limit", "offset", "total", "query"], &[])?;
    page("teams", state.teams.clone(), query, state)
}

fn users(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["limit", "offset", "total", "query"], &[("team_ids[]", &[])])?;
    page("users", state.users.clone(), query, state)
}

fn user(id: &str, query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&[], &[("include[]", &["contact_methods", "notification_rules", "teams"])])?;
    by_id(&state.users, id).map(|user| json!({ "user": user })).ok_or_else(|| absent(id))
}

/// Null at either end has none. The service may show a shift that a test wrote badly; that is then shown too.
fn overlaps(entry: &Value, since: i64, until: i64) -> Result<bool, Refusal> {
    let end_of = |name: &str| entry[name].as_str().and_then(|text| instant(name, text).ok());
    Ok(end_of("start").is_none_or(|start| start < until) && end_of("end").is_none_or(|end| end > since))
}

/// The entry with its user as a reference, which is what comes without `include[]=users`.
fn by_reference(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(user) = entry["user"].as_object_mut() {
        user.retain(|key, _| ["id", "summary", "self", "html_url"].contains(&key.as_str()));
        user.insert("type".to_string(), json!("user_reference"));
    }
    entry
}

/// The page of `list` that `query` asks for.
fn page(name: &str, list: Vec<Value>, query: &Query, state: &State) -> Result<Value, Refusal> {
    let number = |name: &str, default: usize| match query.one(name)? {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| invalid(format!("{name} is {text}"))),
    };
    let (limit, offset) = (number("limit", 25)?, number("offset", 0)?);
    if !(1..=100).contains(&limit) {
        return Err(invalid(format!("limit {limit} is not in 1..=100")));
    }
    if offset + limit > 10_000 {
        return Err(invalid("offset and limit are beyond 10000"));
    }
    let total = match query.one("total")? {
        None | Some("false") => Value::Null,
        Some("true") => json!(list.len()),
        Some(other) => return Err(invalid(format!("total is {other}"))),
    };
    let shown = limit.min(state.page_cap);
    let more = state.endless || list.len() > offset + shown;
    let list: Box<dyn Iterator<Item = Value>> =
        if state.endless { Box::new(list.into_iter().cycle()) } else { Box::new(list.into_iter()) };
    let entries: Vec<Value> = list.skip(offset).take(shown).collect();
    Ok(json!({ name: entries, "limit": limit, "offset": offset, "more": more, "total": total }))
}
