//! The token of an app: asked for with the app's client credentials, kept while it is valid.
//!
//! A token is good for a day and a sync runs every few minutes, so it is kept in a file beside the
//! roster that the sync alone can read. The file counts only for the app, account, scopes and hosts that
//! it was asked for. It can be lost at any time: then another token is asked for.

use std::fs;

use host::config::{OAuth, PagerDuty};
use host::secret::Secret;
use http::ACCEPT;
use policy::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use trust::Owner;

use super::source;
use crate::{ProviderError, without_mark};
use http::{Client, Route};

/// A token that ends sooner is not used again: a sync must not lose it half-way.
const MARGIN: Span = Span::minutes(5);

/// The longest file with a token.
const LONGEST: u64 = 16 * 1024;

/// An app, and what it asks to be allowed.
pub struct App<'a> {
    app: &'a OAuth,
    tie: Tie,
}

/// What a kept token was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tie {
    identity: String,
    api: String,
    client_id: String,
    account: String,
    scope: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    tie: Tie,
    access_token: String,
    /// Seconds since the epoch.
    expires: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: u32,
    /// Absent, it is what was asked for (RFC 6749, section 5.1).
    scope: Option<String>,
}

impl<'a> App<'a> {
    /// The app that asks as `settings` say.
    pub fn new(settings: &'a PagerDuty, app: &'a OAuth) -> Self {
        let scope = format!("{} {}", app.account, permissions(settings).join(" "));
        let tie = Tie {
            identity: app.identity.clone(),
            api: settings.api.clone(),
            client_id: app.client_id.clone(),
            account: app.account.clone(),
            scope,
        };
        Self { app, tie }
    }

    /// The token that an earlier sync kept, if it is still good and nobody else could have read or written it.
    pub fn kept(&self, now: Timestamp) -> Option<String> {
        let text = trust::read_secret(&self.app.kept_in, Owner::Service, LONGEST).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        let good = kept.tie == self.tie && Timestamp::from_unix(kept.expires).since(now) > MARGIN;
        (good && is_token(&kept.access_token)).then_some(kept.access_token)
    }

    /// Asks for a token, and keeps it.
    pub fn ask(&self, route: Route<'_>, now: Timestamp) -> Result<String, ProviderError> {
        let secret = Secret::read(&self.app.client_secret_file)
            .map_err(|error| source(&format!("client_secret_file: {error}")))?;
        let client = Client::new(&self.app.identity, route, &[(ACCEPT, "application/json")])?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &*self.app.client_id),
            ("client_secret", secret.expose()),
            ("scope", &*self.tie.scope),
        ];
        let reply = client.post("/oauth/token", &form)?;
        let url = format!("{}/oauth/token", self.app.identity);
        let (secret_file, account) = (self.app.client_secret_file.display(), &self.app.account);
        let next = match reply.status {
            200 => return self.granted(&url, &reply.body, now),
            status if http::is_redirect(status) => {
                "a redirect, which is not followed; check `identity`".to_string()
            }
            400 | 401 | 403 => format!(
                "the app was refused; check `client_id`, what {secret_file} holds, `subdomain` and `region`: it asked for {account}"
            ),
            429 => format!("too many requests; try again {}", reply.retry()),
            500..=599 => "the service fails; the next sync tries again, see status.pagerduty.com".to_string(),
            _ => "this answer is not documented; check `identity`".to_string(),
        };
        Err(source(&format!("{url}: status {}: {next}", reply.status)))
    }

    /// The token in an answer, once it is seen to allow what is needed. What cannot be read is not quoted: it may
    /// hold the token.
    fn granted(&self, url: &str, body: &[u8], now: Timestamp) -> Result<String, ProviderError> {
        let granted: Granted = serde_json::from_slice(without_mark(body)).map_err(|_| {
            source(&format!("{url}: the answer is not a token; this release may be too old for it"))
        })?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") || !is_token(&granted.access_token) {
            return Err(source(&format!("{url}: the answer holds no bearer token")));
        }
        let scope = granted.scope.as_ref().unwrap_or(&self.tie.scope);
        let missing: Vec<&str> = self
            .tie
            .scope
            .split(' ')
            .filter(|asked| !scope.split_whitespace().any(|had| had == *asked))
            .collect();
        if !missing.is_empty() {
            return Err(source(&format!(
                "{url}: PagerDuty did not grant {}; give the app what is missing, under Integrations, App Registration",
                missing.join(", ")
            )));
        }
        self.keep(&granted, now);
        Ok(granted.access_token)
    }

    /// That this fails is no reason to stop: the next sync asks again.
    fn keep(&self, granted: &Granted, now: Timestamp) {
        let expires = now.plus(Span::seconds(granted.expires_in.into())).unix();
        let kept = Kept { tie: self.tie.clone(), access_token: granted.access_token.clone(), expires };
        let Ok(text) = serde_json::to_vec(&kept) else { return };
        let _ = publish::replace(&self.app.kept_in, 0o600, |file| fs::write(file, &text));
    }
}

/// What reading takes, by the names of an app's scopes.
pub fn permissions(settings: &PagerDuty) -> Vec<&'static str> {
    let mut scopes = vec!["oncalls.read", "users.read", "schedules.read"];
    if !settings.escalation_policies.is_empty() || !settings.teams.is_empty() {
        scopes.push("escalation_policies.read");
    }
    if !settings.teams.is_empty() {
        scopes.push("teams.read");
    }
    if !settings.incident_services.is_empty() {
        scopes.push("incidents.read");
    }
    scopes
}

/// It stands in a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
