//! The one HTTP client: GET over TLS, JSON back, everything bounded.
//!
//! Providers use it and nothing else opens a socket. What reqwest would decide by itself is decided
//! here instead: no proxy and no certificate file from the environment, no redirect (it would carry
//! the key to another host), no answer without a limit, and one deadline for all requests of a sync
//! rather than one for each. Headers hold keys, so no error tells them.

use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use trust::Owner;

/// The longest body that is read, and the largest file of certificate authorities.
const LARGEST: u64 = 4 * 1024 * 1024;

/// A client for one API and one sync.
pub struct Client {
    inner: reqwest::blocking::Client,
    base: Url,
    deadline: Instant,
}

/// What the API answered.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Date`, as sent.
    pub date: Option<String>,
    /// `ratelimit-reset`, as sent.
    pub ratelimit_reset: Option<String>,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// JSON, if the status is 200; empty otherwise, since then the status says enough.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum HttpError {
    /// The file of certificate authorities is absent, unreadable, or others could have written it.
    Authorities(trust::Refusal),
    /// The file of certificate authorities holds none.
    NoAuthority(PathBuf),
    /// `api` is not an address that a request can go to.
    Api,
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
    },
    /// Status 200 and something that is no JSON: a login page, a proxy's notice.
    NotJson {
        /// What was asked, without its query.
        url: String,
        /// The content type instead.
        found: String,
    },
    /// The body is longer than any answer.
    TooLarge(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities(refusal) => write!(f, "ca_file: {refusal}"),
            Self::NoAuthority(path) => {
                write!(f, "ca_file: {}: no usable certificate in it; it must be a PEM file", path.display())
            }
            Self::Api => f.write_str("`api` is no usable address; write https:// and a host, nothing else"),
            Self::Setup(cause) => write!(f, "HTTP client could not be set up: {cause}"),
            Self::Name { host, cause } => {
                write!(f, "{host}: no address found; check `api` and this host's resolver: {cause}")
            }
            Self::Deadline(url) => {
                write!(f, "{url}: no complete answer in time; see `deadline` of the source")
            }
            Self::Exchange { url, cause } => write!(f, "{url}: {cause}"),
            Self::NotJson { url, found } => {
                write!(f, "{url}: answered {found} instead of JSON; check `api`, and what stands between")
            }
            Self::TooLarge(url) => write!(f, "{url}: answer is larger than {LARGEST} bytes; refused"),
        }
    }
}

impl Error for HttpError {}

impl Client {
    /// A client for the API at `base` that believes the authorities in `ca_file` and no others, sends
    /// `headers` with each request, and has until `deadline` for all of them together.
    pub fn new(
        base: &str,
        ca_file: &Path,
        headers: &[(HeaderName, &str)],
        deadline: Instant,
    ) -> Result<Self, HttpError> {
        let base = address(base)?;
        let mut builder = reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(tls(ca_file)?)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("oncall-cache/", env!("CARGO_PKG_VERSION")))
            .default_headers(header_map(headers)?);
        if let (Some(name), Some(port)) = (base.domain(), base.port_or_known_default()) {
            builder = builder.resolve_to_addrs(name, &resolve(name, port, deadline)?);
        }
        let inner = builder.build().map_err(|error| HttpError::Setup(innermost(&error)))?;
        Ok(Self { inner, base, deadline })
    }

    /// Asks for `path` with `query`, whose values are escaped here.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let shown = url.to_string();
        url.query_pairs_mut().extend_pairs(query);
        let left = left(self.deadline).ok_or_else(|| HttpError::Deadline(shown.clone()))?;
        match self.inner.get(url).timeout(left).send() {
            Ok(response) => self.read(response, shown),
            Err(error) => Err(self.failure(&error, shown)),
        }
    }

    fn read(&self, response: Response, url: String) -> Result<Reply, HttpError> {
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let owned = |text: Option<&str>| text.map(str::to_string);
        let mut reply = Reply {
            status: response.status().as_u16(),
            date: owned(header(DATE)),
            ratelimit_reset: owned(header(HeaderName::from_static("ratelimit-reset"))),
            retry_after: owned(header(RETRY_AFTER)),
            body: Vec::new(),
        };
        if reply.status != 200 {
            return Ok(reply);
        }
        let content_type = header(CONTENT_TYPE).unwrap_or("no content type");
        if !is_json(content_type) {
            return Err(HttpError::NotJson { url, found: content_type.chars().take(60).collect() });
        }
        if response.content_length().is_some_and(|length| length > LARGEST) {
            return Err(HttpError::TooLarge(url));
        }
        // The timeout of the request also ends a body that comes drop by drop.
        match response.take(LARGEST + 1).read_to_end(&mut reply.body) {
            Ok(_) if reply.body.len() as u64 > LARGEST => Err(HttpError::TooLarge(url)),
            Ok(_) => Ok(reply),
            Err(error) => Err(self.failure(&error, url)),
        }
    }

    /// What `error` means for the reader: too late, or wrong.
    fn failure(&self, error: &(dyn Error + 'static), url: String) -> HttpError {
        match left(self.deadline) {
            None => HttpError::Deadline(url),
            Some(_) => HttpError::Exchange { url, cause: innermost(error) },
        }
    }
}

/// The time until `deadline`, if any is left.
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
        let bad =
            || HttpError::Setup(format!("the value for header `{name}` has characters that none may have"));
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        map.insert(name.clone(), value);
    }
    Ok(map)
}

/// TLS by ring, which believes the authorities in `ca_file` alone.
fn tls(ca_file: &Path) -> Result<ClientConfig, HttpError> {
    let pem = trust::read(ca_file, Owner::Root, LARGEST).map_err(HttpError::Authorities)?;
    let no_authority = || HttpError::NoAuthority(ca_file.to_path_buf());
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| no_authority())?;
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold a root too odd for webpki; the others still count.
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(no_authority());
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Setup(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The addresses of `host`. reqwest would ask in a thread that it waits for when it ends, past every
/// deadline; this thread is left behind if the resolver does not answer.
fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, HttpError> {
    let failed = |error: io::Error| HttpError::Name { host: host.to_string(), cause: error.to_string() };
    let (sender, receiver) = mpsc::channel();
    let name = host.to_string();
    thread::Builder::new()
        .name("resolver".to_string())
        .spawn(move || {
            let found = (name.as_str(), port).to_socket_addrs();
            // Nobody listens any more if the deadline has passed.
            let _ = sender.send(found.map(Iterator::collect));
        })
        .map_err(failed)?;
    match receiver.recv_timeout(left(deadline).unwrap_or_default()) {
        Ok(found) => found.map_err(failed),
        Err(_) => Err(HttpError::Deadline(host.to_string())),
    }
}

/// `application/json` and the vendors' `application/x+json`, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::AUTHORIZATION;

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
}
