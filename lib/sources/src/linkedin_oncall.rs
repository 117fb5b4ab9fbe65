//! LinkedIn Oncall: events of teams, from its API, version 0 (oncall 2.1.7).
//!
//! A team is a schedule; its roles are levels, in the order of `roles`, and others (vacation, unavailable, shadow) count
//! for nobody. Overrides split and replace events, so `/events` is the final rota, with real ends and without pages.
//! The server answers a team that it does not know with an empty list, so that teams and roles are looked up first; and it
//! keeps people on its rotas who are not active any more, who are left out here.

use std::collections::BTreeSet;

use base64ct::{Base64Url, Encoding};
use hmac::{Hmac, Mac};
use host::clock::now;
use host::config;
use policy::{OneLine, Timestamp, Window};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha512;

use crate::answer::{identifier, read, same};
use crate::gather::{Bound, Description, Gather, Named, Row};
use crate::pages::Whole;
use crate::service::{Access, Authorization, Service, Session, Trouble};
use crate::{ProviderError, User};

/// LinkedIn Oncall.
pub struct LinkedIn;

/// The code that asks it.
pub static SERVICE: LinkedIn = LinkedIn;

/// The roles that count where none are configured.
const ROLES: [&str; 2] = ["primary", "secondary"];

/// A signature counts in the half minute in which it was made and in the next.
const HALF_MINUTE: i64 = 30;

impl Service for LinkedIn {
    fn access<'a>(&self, settings: &'a config::Service, secret: &str) -> Result<Access<'a>, ProviderError> {
        let (app, key) = (settings.text("app").unwrap_or_default(), secret.to_string());
        let sign = move |method: &str, path: &str, query: &str, body: &str| {
            authorization(app, &key, now(), (method, path, query, body))
        };
        Ok(Access { authorization: Authorization::Signed(Box::new(sign)), headers: Vec::new() })
    }

    fn list(&self, session: &mut Session<'_>, _wanted: &[String]) -> Result<Whole<Named>, Trouble> {
        let known: Vec<RoleBody> = read("/roles", &session.get("/api/v0/roles", &[])?)?;
        let missing =
            roles(session.settings).into_iter().find(|role| !known.iter().any(|one| one.name == *role));
        if let Some(role) = missing {
            let text = format!("LinkedIn Oncall has no role `{role}`; check `roles`");
            return Err(Trouble::Source(ProviderError::incomplete(&text)));
        }
        Ok(teams(&session.get("/api/v0/teams", &[])?)?)
    }

    fn shifts(
        &self,
        session: &mut Session<'_>,
        schedule: &mut Named,
        window: Window,
    ) -> Result<Whole<Row>, Trouble> {
        let (start, end) = (window.start().unix().to_string(), window.end().unix().to_string());
        let query = [
            ("team", &*schedule.id),
            ("end__gt", &start),
            ("start__lt", &end),
            ("include_subscribed", "false"),
        ];
        let body = session.get("/api/v0/events", &query)?;
        Ok(events(&schedule.id, &roles(session.settings), &body)?)
    }

    fn people(
        &self,
        session: &mut Session<'_>,
        users: &BTreeSet<String>,
        gather: &mut Gather,
    ) -> Result<(), Trouble> {
        let query = [("fields", "name"), ("fields", "contacts"), ("fields", "active")];
        let accounts: Vec<Value> = read("/users", &session.get("/api/v0/users", &query)?)?;
        // Anybody may have an account, and an odd one is of no interest unless it is on a rota.
        let (mut missing, mut is_whole) = (users.clone(), true);
        for account in accounts {
            let name = account.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
            is_whole &= !name.is_empty();
            if !missing.remove(&name) && !users.contains(&name) {
                continue;
            }
            match person(account) {
                Ok(Person { description, is_active }) => {
                    gather.describe(description);
                    if !is_active {
                        gather.leave_out(&name, "is not active there any more");
                    }
                }
                Err(error) => gather.fail_those_with(&name, &error),
            }
        }
        // An account without a name may be theirs.
        for name in missing.iter().filter(|_| !is_whole) {
            let text = format!("/users has accounts without a name, and none of {name}, who is on call");
            gather.fail_those_with(name, &ProviderError::source(&text));
        }
        Ok(())
    }
}

/// The roles that count, in the order of levels.
fn roles(settings: &config::Service) -> Vec<&str> {
    match settings.texts("roles") {
        [] => ROLES.to_vec(),
        roles => roles.iter().map(String::as_str).collect(),
    }
}

/// `Authorization` of one request at `at`. The path is signed as the server sees it, decoded, and the query as it is sent.
fn authorization(app: &str, key: &str, at: Timestamp, request: (&str, &str, &str, &str)) -> String {
    let (method, path, query, body) = request;
    let window = at.unix().div_euclid(HALF_MINUTE);
    let mark = if query.is_empty() { "" } else { "?" };
    let text = format!("{window} {method} {path}{mark}{query} {body}");
    // A key of any length is a key.
    let digest = Hmac::<Sha512>::new_from_slice(key.as_bytes()).map(|mac| mac.chain_update(text).finalize());
    let digest = digest.map(|digest| Base64Url::encode_string(&digest.into_bytes())).unwrap_or_default();
    format!("hmac {app}:{digest}")
}

#[derive(Deserialize)]
struct RoleBody {
    name: String,
}

#[derive(Deserialize)]
struct EventBody {
    start: i64,
    end: i64,
    role: String,
    team: String,
    user: String,
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct UserBody {
    name: String,
    active: Active,
    contacts: Contacts,
}

/// By its database's driver.
#[derive(Deserialize)]
#[serde(untagged)]
enum Active {
    Flag(bool),
    Number(u8),
}

#[derive(Deserialize)]
struct Contacts {
    email: Option<String>,
}

/// A user of `/users`.
struct Person {
    description: Description,
    is_active: bool,
}

fn teams(body: &[u8]) -> Result<Whole<Named>, ProviderError> {
    let names: Vec<String> = read("/teams", body)?;
    let named = |name: String| Named { wanted: name.clone(), id: name.clone(), name };
    Ok(Whole::at_once(names.into_iter().map(named).collect()))
}

/// Reads an answer of `GET /events`, asked for `team`.
///
/// # Errors
/// It is none, or of another team.
pub fn events(team: &str, roles: &[&str], body: &[u8]) -> Result<Whole<Row>, ProviderError> {
    let mut rows = Vec::new();
    for event in read::<Vec<EventBody>>("/events", body)? {
        same("team", team, &event.team)?;
        let Some(place) = roles.iter().position(|role| *role == event.role) else { continue };
        let label = event.full_name.filter(|name| !name.is_empty()).map(OneLine::from);
        let id = identifier(event.user, "a user")?;
        let user = User { id, mail: None, principal: None, label, disputed: None };
        rows.push(Row {
            person: Description { user, whole: false },
            level: place as u64 + 1,
            start: instant(event.start)?,
            end: instant(event.end)?,
        });
    }
    Ok(Whole::at_once(rows))
}

fn person(account: Value) -> Result<Person, ProviderError> {
    let name = account.get("name").map(Value::to_string).unwrap_or_default();
    let body: UserBody = serde_json::from_value(account).map_err(|error| {
        ProviderError::source(&format!("the account {name} of /users cannot be read: {error}"))
    })?;
    let mail = body.contacts.email.filter(|mail| !mail.is_empty());
    let id = identifier(body.name, "a user")?;
    let user = User { id, mail, principal: None, label: None, disputed: None };
    let is_active = !matches!(body.active, Active::Flag(false) | Active::Number(0));
    Ok(Person { description: Description { user, whole: true }, is_active })
}

/// Seconds since the epoch, of a year that has four digits.
fn instant(unix: i64) -> Result<Bound, ProviderError> {
    let at = Timestamp::from_unix(unix);
    let is_readable = unix >= 0 && Timestamp::read(&at.to_string()) == Some(at);
    let wrong = || ProviderError::source(&format!("an event has the time {unix}, which is not a time"));
    is_readable.then_some(Bound::At(at)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a program of another kind signs the same.
    #[test]
    fn a_request_is_signed_with_its_decoded_path_and_its_query_as_it_is_sent() {
        let at = Timestamp::from_unix(1_795_176_000);
        let sign = |path, query| authorization("cache", "geheim", at, ("GET", path, query, ""));
        let alone =
            "J6J6ewWmKZyZ15YQG_w3T1zQlMq6vImCeoXpwSSbUOyWGeZaztT_i25-rggurZp5vixW618Lgt_HDLybnw6_8A==";
        assert_eq!(sign("/api/v0/roles", ""), format!("hmac cache:{alone}"));
        let asked =
            "DOcx56kbZRvPrrMeeXTz-avJInviw3WBz9FkENenKPojUX5WnMeIUAnwTo-zY8icAJ7PFr3xuyhcR5g3v7kudg==";
        let query = http::written(&[("team", "my team"), ("end__gt", "1")]);
        assert_eq!(sign("/api/v0/events", &query), format!("hmac cache:{asked}"));
    }
}
