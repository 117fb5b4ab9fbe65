//! What a conversation with any service has in common: by what requests are sent, what the service's clock shows, and
//! what a refusal means.

use std::path::Path;
use std::time::{Duration, Instant};

use http::{Client, HttpError, Reply, Route};
use policy::{Span, Timestamp};

use crate::ProviderError;

/// The way to a service, on which everything together takes no longer than `timeout` from now.
pub fn route<'a>(ca_file: &'a Path, proxy: Option<&'a str>, timeout: Span) -> Route<'a> {
    let limit = Duration::from_secs(u64::try_from(timeout.as_seconds()).unwrap_or_default());
    let agent = concat!("oncall-cache/", env!("CARGO_PKG_VERSION"));
    Route { agent, ca_file, proxy, deadline: Instant::now() + limit }
}

/// Why shifts are not known.
#[derive(Debug)]
pub enum Trouble {
    /// These cannot be had; others may.
    Schedule(ProviderError),
    /// Nothing can be had.
    Source(ProviderError),
}

/// What cannot be understood of one answer says nothing about others.
impl From<ProviderError> for Trouble {
    fn from(error: ProviderError) -> Self {
        Self::Schedule(error)
    }
}

/// A login page in place of one answer says nothing about the next one either; a service that is not reached does.
impl From<HttpError> for Trouble {
    fn from(error: HttpError) -> Self {
        let of_one = error.is_of_one_answer();
        if of_one { Self::Schedule(error.into()) } else { Self::Source(error.into()) }
    }
}

impl From<Trouble> for ProviderError {
    fn from(trouble: Trouble) -> Self {
        let (Trouble::Schedule(error) | Trouble::Source(error)) = trouble;
        error
    }
}

/// What requests are sent by.
pub trait Ask {
    /// Asks for `path` with `query`.
    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, HttpError>;

    /// Sends `json` to `path`: a question as well.
    fn post(&self, path: &str, json: &str) -> Result<Reply, HttpError>;

    /// Says who asks from now on.
    fn authorize(&mut self, value: &str) -> Result<(), HttpError>;
}

impl Ask for Client {
    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        Self::get(self, path, query)
    }

    fn post(&self, path: &str, json: &str) -> Result<Reply, HttpError> {
        self.post_json(path, json)
    }

    fn authorize(&mut self, value: &str) -> Result<(), HttpError> {
        Self::authorize(self, value)
    }
}

/// A request, and what came of it.
pub struct Exchange<'a> {
    /// `GET /path?query`, or `POST /path`.
    pub request: String,
    /// The reply.
    pub reply: &'a Reply,
}

/// What hears every exchange.
pub type Tap<'a> = &'a dyn Fn(&Exchange<'_>);

/// The requests of one fetch.
pub struct Conversation<'a> {
    client: Box<dyn Ask + 'a>,
    tap: Option<Tap<'a>>,
    /// What the first answer's `Date` said: the one closest to the instant that the window was made from.
    clock: Option<Timestamp>,
}

impl<'a> Conversation<'a> {
    /// By `client`; `tap` hears all of it.
    pub fn new(client: Box<dyn Ask + 'a>, tap: Option<Tap<'a>>) -> Self {
        Self { client, tap, clock: None }
    }

    /// The service's clock, once it has answered.
    pub fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    /// Says who asks from now on.
    pub fn authorize(&mut self, value: &str) -> Result<(), ProviderError> {
        Ok(self.client.authorize(value)?)
    }

    /// The answer, whatever its status.
    ///
    /// # Errors
    /// There is none, or none of use: a part of what is asked for may still be had.
    pub fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Reply, Trouble> {
        let reply = self.client.get(path, query)?;
        let question = http::written(query);
        let mark = if question.is_empty() { "" } else { "?" };
        self.see("GET", (path, &format!("{mark}{question}")), reply)
    }

    /// The same for a question that is sent as JSON.
    ///
    /// # Errors
    /// As of [`Conversation::get`].
    pub fn post(&mut self, path: &str, json: &str) -> Result<Reply, Trouble> {
        let reply = self.client.post(path, json)?;
        self.see("POST", (path, ""), reply)
    }

    fn see(&mut self, method: &str, (path, query): (&str, &str), reply: Reply) -> Result<Reply, Trouble> {
        if let Some(tap) = self.tap {
            tap(&Exchange { request: format!("{method} {path}{query}"), reply: &reply });
        }
        if let (200, None, Some(_)) = (reply.status, self.clock, &reply.date) {
            let unread = || ProviderError::source(&format!("{path}: the answer's `Date` is not a date"));
            self.clock = Some(reply.clock().ok_or_else(|| Trouble::Source(unread()))?);
        }
        Ok(reply)
    }
}

/// What a status other than 200 means, and what to check; `own` has the service's words, where it has any.
pub fn refusal(
    (api, path): (&str, &str),
    reply: &Reply,
    status_page: Option<&str>,
    own: impl FnOnce(u16) -> Option<String>,
) -> String {
    let next = own(reply.status).unwrap_or_else(|| match reply.status {
        status if http::is_redirect(status) => "a redirect, which is not followed; check `api`".to_string(),
        429 => format!("too many requests with this key; try again {}", reply.retry()),
        500..=599 => {
            let see = status_page.map(|page| format!(", see {page}")).unwrap_or_default();
            format!("the service fails; the next sync tries again{see}")
        }
        _ => "this answer is not documented; check `api`".to_string(),
    });
    format!("{api}{path}: status {}: {next}", reply.status)
}

/// An id as a part of a path, where a dot or a slash would lead elsewhere.
pub fn segment(id: &str) -> Result<&str, ProviderError> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let refused = || ProviderError::source(&format!("{id:?} is an id that cannot be asked for"));
    plain.then_some(id).ok_or_else(refused)
}

/// `Authorization` by a token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
