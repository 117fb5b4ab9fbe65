//! The one HTTP client: a question over TLS, JSON, a file or the bytes of a store back, everything bounded.
//!
//! Providers and stores use it and nothing else opens a socket. What reqwest would decide by itself is decided
//! here instead: no proxy and no certificate file from the environment, no redirect (it would carry the key to another host),
//! no answer without a limit, one deadline for all requests of a sync rather than one for each, and one more attempt where
//! the service says that it is busy or failing. Headers and forms hold secrets, so no error tells them.

#![forbid(unsafe_code)]

mod bytes;
mod secret;
mod told;

use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use policy::{Span, Timestamp};
use reqwest::blocking::{RequestBuilder, Response};
pub use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use reqwest::header::{AGE, AUTHORIZATION, DATE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED, RETRY_AFTER};
use reqwest::{Proxy, Url};
use tls::{Authorities, CertificatesError, ResolveError};

pub use bytes::{Method, ObjectReply, ObjectRequest};
pub use told::{SIGNATURE, signature};

/// The longest JSON that is read.
const LARGEST: u64 = 4 * 1024 * 1024;

/// How long a service that fails is left alone before it is asked the same once more.
const PAUSE: Duration = Duration::from_secs(1);

/// Does an answer of this status lead elsewhere? Of those from 300 on some do not: 304 says that nothing has changed.
pub const fn is_redirect(status: u16) -> bool {
    matches!(status, 301..=303 | 307 | 308)
}

/// `query` as [`Client::get`] writes it into an address.
pub fn written(query: &[(&str, &str)]) -> String {
    Url::parse("https://h").map_or_else(
        |_| String::new(),
        |mut url| url.query_pairs_mut().extend_pairs(query).finish().query().unwrap_or_default().to_string(),
    )
}

/// The query of `url`, if it is an address of `path` at the API `base`: that alone may be followed with the API's key.
pub fn query_at(base: &str, path: &str, url: &str) -> Option<Vec<(String, String)>> {
    let (base, url) = (address(base).ok()?, Url::parse(url).ok()?);
    let full = format!("{}{path}", base.path().trim_end_matches('/'));
    let is_there = url.origin() == base.origin() && url.path() == full && url.username().is_empty();
    is_there.then(|| url.query_pairs().into_owned().collect())
}

/// How an API is reached.
#[derive(Clone, Copy)]
pub struct Route<'a> {
    /// What the program calls itself to the API.
    pub agent: &'a str,
    /// PEM file with the authorities that may vouch for it; no others may.
    pub ca_file: &'a Path,
    /// `http://host:port` of the proxy in between, which is asked to CONNECT and sees no more than names.
    pub proxy: Option<&'a str>,
    /// When all requests of a sync, waits and second attempts included, are over.
    pub deadline: Instant,
}

/// A client for one API or store, and one sync.
pub struct Client {
    inner: reqwest::blocking::Client,
    base: Url,
    authorization: Option<HeaderValue>,
    /// The proxy, for messages.
    proxy: Option<String>,
    deadline: Instant,
    /// Is JSON all that it answers?
    is_api: bool,
}

/// What the API answered.
#[derive(Debug, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Date`, as sent.
    pub date: Option<String>,
    /// `ratelimit-reset`, as sent.
    pub ratelimit_reset: Option<String>,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// How many requests are left, as sent: `ratelimit-remaining`, or the same with `x-` before it.
    pub remaining: Option<String>,
    /// `Age`, as sent: how long a cache on the way has had the answer, in seconds.
    pub age: Option<String>,
    /// `ETag`, as sent.
    pub etag: Option<String>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<String>,
    /// `x-next-page`, as sent: the number of the next page at GitLab, empty on the last one.
    pub next_page: Option<String>,
    /// JSON, if the status is 200; empty otherwise, since then the status says enough.
    pub body: Vec<u8>,
}

/// When a service that refused for now may be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so long.
    In(Span),
    /// Then; how long that is, cannot be told.
    At(Timestamp),
    /// It did not say.
    Unknown,
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(span) => write!(f, "in {span}"),
            Self::At(instant) => write!(f, "after {instant}"),
            Self::Unknown => f.write_str("in a minute"),
        }
    }
}

impl Reply {
    /// The service's clock.
    pub fn clock(&self) -> Option<Timestamp> {
        self.date.as_deref().and_then(http_date)
    }

    /// When what was asked for was changed, as far as the service tells.
    pub fn modified(&self) -> Option<Timestamp> {
        self.last_modified.as_deref().and_then(http_date)
    }

    /// When to try again. `ratelimit-reset` is seconds to wait, `Retry-After` seconds or a date; the later one
    /// holds, and either may be missing.
    pub fn retry(&self) -> RetryAfter {
        let seconds = |text: &Option<String>| text.as_ref().and_then(|text| text.trim().parse::<u32>().ok());
        let date = self.retry_after.as_deref().and_then(http_date);
        // Both dates are the service's, so that this host's clock does not matter.
        let until = date.zip(self.clock()).map(|(date, now)| date.since(now).max(Span::seconds(0)));
        let wait = seconds(&self.ratelimit_reset).max(seconds(&self.retry_after));
        match (wait.map(|wait| Span::seconds(wait.into())).max(until), date) {
            (Some(wait), _) => RetryAfter::In(wait),
            (None, Some(date)) => RetryAfter::At(date),
            (None, None) => RetryAfter::Unknown,
        }
    }

    /// How long to wait before the same is asked again, if that is any use.
    fn pause(&self) -> Option<Duration> {
        let told = match self.retry() {
            RetryAfter::In(span) => u64::try_from(span.as_seconds()).ok().map(Duration::from_secs),
            RetryAfter::At(_) | RetryAfter::Unknown => None,
        };
        match self.status {
            429 => told.map(|told| told.max(PAUSE)),
            500..=599 => Some(told.unwrap_or(PAUSE).max(PAUSE)),
            _ => None,
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum HttpError {
    /// The file of certificate authorities is of no use.
    Authorities(CertificatesError),
    /// `api` is not an address that a request can go to.
    Api,
    /// What should be the address of a file is none.
    Address,
    /// `proxy` is not an address either.
    Proxy,
    /// The client itself could not be made.
    Setup(String),
    /// The name has no address.
    Name {
        /// The name.
        host: String,
        /// The resolver's words.
        cause: String,
    },
    /// The deadline passed before the answer was complete.
    Deadline(String),
    /// Connection, TLS or HTTP went wrong.
    Exchange {
        /// What was asked, without its query.
        url: String,
        /// The innermost cause.
        cause: String,
        /// Might the same work at once? A certificate that is refused will be refused again.
        passing: bool,
    },
    /// Status 200 and something that is no JSON: a login page, a proxy's notice.
    NotJson {
        /// What was asked, without its query.
        url: String,
        /// The content type instead.
        found: String,
    },
    /// The body is longer than any answer.
    TooLarge {
        /// What was asked, without its query.
        url: String,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The body has a `Content-Encoding`, which nobody asked for.
    Encoded(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities(error) => write!(f, "ca_file: {error}"),
            Self::Api => {
                f.write_str("`api` is not a usable address; write https:// and a host, nothing else")
            }
            Self::Address => f.write_str(
                "`url_file` does not hold a usable address; write one line with https:// (which webcal:// stands for)",
            ),
            Self::Proxy => f.write_str("`proxy` is not a usable address; write http://host:port"),
            Self::Setup(cause) => write!(f, "HTTP client could not be set up: {cause}"),
            Self::Name { host, cause } => {
                write!(f, "{host}: no address found; check `api` and this host's resolver: {cause}")
            }
            Self::Deadline(url) => {
                write!(f, "{url}: no complete answer in time; see `timeout` of the source")
            }
            Self::Exchange { url, cause, .. } => write!(f, "{url}: {cause}"),
            Self::NotJson { url, found } => {
                write!(f, "{url}: answered {found} instead of JSON; check `api`, and any proxy in between")
            }
            Self::TooLarge { url, limit } => write!(f, "{url}: answer is larger than {limit} bytes; refused"),
            Self::Encoded(url) => write!(
                f,
                "{url}: answered with a Content-Encoding that was not asked for; switch compression off there"
            ),
        }
    }
}

impl Error for HttpError {}
impl HttpError {
    /// Did the service answer, and this one answer is of no use? What else it is asked may be answered well.
    pub fn is_of_one_answer(&self) -> bool {
        matches!(self, Self::NotJson { .. } | Self::TooLarge { .. } | Self::Encoded(_))
    }
}

impl Client {
    /// A client for the API at `base` that sends `headers` with each request.
    pub fn new(base: &str, route: Route<'_>, headers: &[(HeaderName, &str)]) -> Result<Self, HttpError> {
        Self::build(address(base)?, true, route, headers)
    }

    fn build(
        base: Url,
        is_api: bool,
        route: Route<'_>,
        headers: &[(HeaderName, &str)],
    ) -> Result<Self, HttpError> {
        let authorities = Authorities::read(route.ca_file).map_err(HttpError::Authorities)?;
        let tls = tls::client(&authorities, None).map_err(|error| HttpError::Setup(error.to_string()))?;
        let mut builder = reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(route.agent)
            .default_headers(header_map(headers)?);
        // Behind a proxy the API's own name may have no address here, and needs none.
        let mut next = base.clone();
        if let Some(proxy) = route.proxy {
            next = Url::parse(proxy).map_err(|_| HttpError::Proxy)?;
            builder = builder.proxy(Proxy::all(next.clone()).map_err(|_| HttpError::Proxy)?);
        }
        if let (Some(name), Some(port)) = (next.domain(), next.port_or_known_default()) {
            builder = builder.resolve_to_addrs(name, &resolve(name, port, route.deadline)?);
        }
        let inner = builder.build().map_err(|error| HttpError::Setup(innermost(&error)))?;
        let proxy = route.proxy.map(str::to_string);
        Ok(Self { inner, base, authorization: None, proxy, deadline: route.deadline, is_api })
    }

    /// From now on, answers before `deadline`.
    pub fn until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// From now on, sends `value` as `Authorization`.
    pub fn authorize(&mut self, value: &str) -> Result<(), HttpError> {
        self.authorization = Some(header_value(&AUTHORIZATION, value)?);
        Ok(())
    }

    /// Asks for `path` with `query`, whose values are escaped here.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let shown = self.address_of(path);
        let mut url = shown.clone();
        url.query_pairs_mut().extend_pairs(query);
        self.twice(&shown, || self.inner.get(url.clone()))
    }

    /// Sends `form` to `path`, which must be a question that may be asked twice.
    pub fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let shown = self.address_of(path);
        // A form is written as a query is.
        let mut form_url = shown.clone();
        let body = form_url.query_pairs_mut().extend_pairs(form).finish().query().unwrap_or_default();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.twice(&shown, || {
            self.inner.post(shown.clone()).header(CONTENT_TYPE, kind.clone()).body(body.to_string())
        })
    }

    /// Sends `json` to `path`, which must be a question that may be asked twice.
    pub fn post_json(&self, path: &str, json: &str) -> Result<Reply, HttpError> {
        let shown = self.address_of(path);
        let kind = HeaderValue::from_static("application/json");
        self.twice(&shown, || {
            self.inner.post(shown.clone()).header(CONTENT_TYPE, kind.clone()).body(json.to_string())
        })
    }

    fn address_of(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Asks, and once more if the trouble may pass before the deadline.
    #[allow(
        clippy::disallowed_methods,
        reason = "the service said how long to wait, and it is all there is to do"
    )]
    fn twice(&self, url: &Url, request: impl Fn() -> RequestBuilder) -> Result<Reply, HttpError> {
        let outcome = self.once(url, request());
        let pause = match &outcome {
            Ok(reply) => reply.pause(),
            Err(HttpError::Exchange { passing: true, .. }) => Some(PAUSE),
            Err(_) => None,
        };
        // Less than a second for the answer would only turn "busy until …" into "no answer".
        match pause.filter(|pause| left(self.deadline).is_some_and(|left| *pause + PAUSE <= left)) {
            None => outcome,
            Some(pause) => {
                thread::sleep(pause);
                self.once(url, request())
            }
        }
    }

    fn once(&self, url: &Url, request: RequestBuilder) -> Result<Reply, HttpError> {
        self.send(url, request).and_then(|response| self.read(response, url.to_string()))
    }

    /// Sends `request`, of which errors show `url`, and waits for the head of its answer.
    fn send(&self, url: &Url, mut request: RequestBuilder) -> Result<Response, HttpError> {
        let left = left(self.deadline).ok_or_else(|| HttpError::Deadline(url.to_string()))?;
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        // Without the address: it may be a secret, and where it is none it is told anyway.
        request.timeout(left).send().map_err(|error| self.failure(&error.without_url(), url.to_string()))
    }

    fn read(&self, response: Response, url: String) -> Result<Reply, HttpError> {
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let owned = |text: Option<&str>| text.map(str::to_string);
        let named = |name: &'static str| owned(header(HeaderName::from_static(name)));
        let mut reply = Reply {
            status: response.status().as_u16(),
            date: owned(header(DATE)),
            ratelimit_reset: named("ratelimit-reset"),
            retry_after: owned(header(RETRY_AFTER)),
            remaining: named("ratelimit-remaining").or_else(|| named("x-ratelimit-remaining")),
            age: owned(header(AGE)),
            etag: owned(header(ETAG)),
            last_modified: owned(header(LAST_MODIFIED)),
            next_page: named("x-next-page"),
            body: Vec::new(),
        };
        if reply.status != 200 {
            return Ok(reply);
        }
        let content_type = header(CONTENT_TYPE).unwrap_or("no content type");
        if self.is_api && !is_json(content_type) {
            return Err(HttpError::NotJson { url, found: content_type.chars().take(60).collect() });
        }
        if response.content_length().is_some_and(|length| length > LARGEST) {
            return Err(HttpError::TooLarge { url, limit: LARGEST });
        }
        // The timeout of the request also ends a body that comes drop by drop.
        match response.take(LARGEST + 1).read_to_end(&mut reply.body) {
            Ok(_) if reply.body.len() as u64 > LARGEST => Err(HttpError::TooLarge { url, limit: LARGEST }),
            Ok(_) => Ok(reply),
            Err(error) => Err(self.failure(&error, url)),
        }
    }

    /// What `error` means for the reader: too late, or wrong.
    fn failure(&self, error: &(dyn Error + 'static), url: String) -> HttpError {
        match left(self.deadline) {
            None => HttpError::Deadline(url),
            Some(_) => {
                let through = self.proxy.as_ref().map(|proxy| format!("through proxy {proxy}: "));
                let cause = through.unwrap_or_default() + &innermost(error);
                HttpError::Exchange { url, cause, passing: !is_tls(error) }
            }
        }
    }
}

/// The time until `timeout`, if any is left.
fn left(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// The last error of a chain, which is the one that the system or the TLS library raised.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Did TLS refuse what came? Errors of the system hide what they were made of from `source`.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<tls::Error>()
        || within.is_some_and(|within| is_tls(within))
        || error.source().is_some_and(is_tls)
}

/// The dates of HTTP: `Fri, 20 Nov 2026 12:00:00 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_unix(at.as_second()))
}

/// Reads `base`: HTTPS, a host, perhaps a port and a path.
fn address(base: &str) -> Result<Url, HttpError> {
    let plain = |url: &Url| {
        let user = url.username().is_empty() && url.password().is_none();
        url.scheme() == "https" && url.has_host() && user && url.query().is_none() && url.fragment().is_none()
    };
    Url::parse(base).ok().filter(plain).ok_or(HttpError::Api)
}

fn header_map(headers: &[(HeaderName, &str)]) -> Result<HeaderMap, HttpError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name.clone(), header_value(name, value)?);
    }
    Ok(map)
}

fn header_value(name: &HeaderName, value: &str) -> Result<HeaderValue, HttpError> {
    let bad =
        || HttpError::Setup(format!("the value for header `{name}` has characters that are not allowed"));
    let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The addresses of `host`. reqwest would ask in a thread that it waits for when it ends, past every
/// deadline; this one is left behind if the resolver does not answer.
fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, HttpError> {
    tls::resolve(host, port, left(deadline).unwrap_or_default()).map_err(|error| match error {
        ResolveError::Late => HttpError::Deadline(host.to_string()),
        ResolveError::NoThread(cause) | ResolveError::Unknown(cause) => {
            HttpError::Name { host: host.to_string(), cause: cause.to_string() }
        }
    })
}

/// `application/json` and the vendors' `application/x+json`, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_https_address_is_an_api() {
        for good in ["https://api.pagerduty.com", "https://127.0.0.1:8443", "https://[::1]:1/below"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.example",
            "https://",
            "https://me:secret@api.example",
            "https://api.example?a",
            "api.example",
        ] {
            let error = address(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_next_page_is_followed_to_the_same_place_alone() {
        let at = |url| query_at("https://h/below", "/v2/x", url);
        assert_eq!(
            at("https://h/below/v2/x?a=b%3Ac&d=e+f"),
            Some(vec![("a".to_string(), "b:c".to_string()), ("d".to_string(), "e f".to_string()),])
        );
        for elsewhere in [
            "http://h/below/v2/x?a=b",
            "https://h.evil/below/v2/x?a=b",
            "https://h:8443/below/v2/x?a=b",
            "https://me@h/below/v2/x?a=b",
            "https://h/v2/x?a=b",
            "https://h/below/v2/y?a=b",
            "/below/v2/x?a=b",
            "",
        ] {
            assert_eq!(at(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn json_is_told_by_its_content_type() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.pagerduty+json;version=2",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["text/html", "text/json", "application/jsonp", "application/x-json", ""] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn a_refused_header_value_is_not_told() {
        let error = header_map(&[(AUTHORIZATION, "Token token=geheim\r\n")]).unwrap_err().to_string();
        assert!(error.contains("authorization") && !error.contains("geheim"), "{error}");
    }

    #[test]
    fn a_deadline_that_has_passed_leaves_nothing() {
        assert_eq!(left(Instant::now()), None);
    }

    #[test]
    fn the_clock_is_read_from_the_date_of_http() {
        let noon = Timestamp::from_unix(1_795_176_000);
        assert_eq!(http_date("Fri, 20 Nov 2026 12:00:00 GMT"), Some(noon));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn a_limited_request_says_when_to_try_again() {
        let noon = "Fri, 20 Nov 2026 12:00:00 GMT";
        let (now, past) = (Some("Fri, 20 Nov 2026 11:58:00 GMT"), Some("Fri, 20 Nov 2026 12:01:00 GMT"));
        for (date, reset, after, words, pause) in [
            (None, Some("20"), None, "in 20s", Some(20)),
            (None, Some("20"), Some("30"), "in 30s", Some(30)),
            (None, Some("0"), None, "in 0s", Some(1)),
            (None, None, Some("3600"), "in 1h", Some(3600)),
            (now, None, Some(noon), "in 2m", Some(120)),
            (past, None, Some(noon), "in 0s", Some(1)),
            (None, None, Some(noon), "after 2026-11-20T12:00:00Z", None),
            (None, Some("soon"), None, "in a minute", None),
            (None, None, None, "in a minute", None),
        ] {
            let owned = |text: Option<&str>| text.map(str::to_string);
            let (date, ratelimit_reset, retry_after) = (owned(date), owned(reset), owned(after));
            let reply = Reply { status: 429, date, ratelimit_reset, retry_after, ..Reply::default() };
            assert_eq!(reply.retry().to_string(), words);
            assert_eq!(reply.pause(), pause.map(Duration::from_secs), "{words}");
        }
    }

    #[test]
    fn what_will_not_pass_is_not_asked_again() {
        for (status, again) in
            [(200, false), (302, false), (401, false), (404, false), (500, true), (503, true)]
        {
            let reply = Reply { status, ..Reply::default() };
            assert_eq!(reply.pause().is_some(), again, "{status}");
        }
    }
}
