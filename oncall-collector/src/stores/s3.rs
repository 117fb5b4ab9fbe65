//! A store that is a bucket: Amazon's S3, or another server with its interface and conditional writes.
//!
//! Requests are signed in their query (rusty-s3) and sent over TLS; names are path-style. The head is swapped by `If-Match`,
//! which some servers take and ignore: before anything is published that is tried on a scratch name, and again after a
//! day. What may be asked twice is asked again while the server is busy, a few times.

mod config;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use host::clock::now;
use host::secret::Secret;
use http::{
    Client, HeaderName, HttpError, IF_MATCH, IF_NONE_MATCH, Method, ObjectReply, ObjectRequest, Route,
};
use policy::{Span, Timestamp};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::actions::list_objects_v2::ListObjectsContent;
use rusty_s3::{Bucket, Credentials, UrlStyle, signing};

use super::{Access, Entry, Found, MOST_NAMES, Store, StoreError, Version};
pub use config::{S3Config, S3Section};

/// How long one opened store may be used: a first publication writes some thousand objects, one after another. What a run
/// has written by then, the next one does not write again (upload.rs).
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// For how long a signature holds, in seconds: the server's clock may differ from this one.
const SIGNED_FOR: u64 = 300;

/// The waits between the attempts of one request.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// The longest page of a list, in bytes: it has a thousand names.
const LARGEST_PAGE: u64 = 4 * 1024 * 1024;

/// The most pages of a list: four times as many as [`MOST_NAMES`] fill. A list whose pages have nothing in them ends too.
const MOST_PAGES: usize = 4 * MOST_NAMES / 1_000;

/// The longest answer to a write, in bytes.
const LARGEST_WORDS: u64 = 64 * 1024;

/// For how long it is remembered that the server keeps conditions.
const REMEMBERED: Span = Span::hours(24);

/// The file below the collector's state that remembers it.
const MEMORY: &str = "s3-conditional";

/// What this program calls itself.
const AGENT: &str = concat!("oncall-collector/", env!("CARGO_PKG_VERSION"));

/// The store in a bucket.
pub struct S3 {
    client: Client,
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    /// Where it is, for messages.
    place: String,
    /// Does the server keep conditions?
    is_conditional: bool,
}

/// Under which a name is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    /// There is nothing.
    Nothing,
    /// What has this ETag is there.
    Tag(&'a str),
}

impl<'a> Condition<'a> {
    fn header(self) -> (HeaderName, &'a str) {
        match self {
            Self::Nothing => (IF_NONE_MATCH, "*"),
            Self::Tag(tag) => (IF_MATCH, tag),
        }
    }
}

/// One request, before it is signed.
#[derive(Clone, Copy)]
struct Question<'a> {
    method: Method,
    /// The name below the prefix; empty for the bucket itself.
    name: &'a str,
    /// The query, in the order of its names.
    query: &'a [(&'a str, &'a str)],
    condition: Option<Condition<'a>>,
    body: &'a [u8],
    limit: u64,
}

impl S3 {
    /// Opens the store. To publish, the server is shown to keep conditions, unless that is remembered in `state`.
    ///
    /// # Errors
    /// The credentials are of no use, or the server does not answer.
    pub fn open(config: &S3Config, state: &Path, access: Access) -> Result<Self, StoreError> {
        let place = config.to_string();
        let failed = |what: String| StoreError::Failed(place.clone(), what);
        let credentials = credentials(config).map_err(failed)?;
        let endpoint = config.endpoint.parse().map_err(|_| failed("endpoint: not an address".into()))?;
        let bucket = Bucket::new(endpoint, UrlStyle::Path, config.bucket.clone(), config.region.clone())
            .map_err(|error| failed(error.to_string()))?;
        let deadline = Instant::now() + LONGEST;
        let route = Route { agent: AGENT, ca_file: &config.ca_file, proxy: None, deadline };
        let client = Client::new(&config.endpoint, route, &[]).map_err(|error| failed(error.to_string()))?;
        let prefix = config.prefix.clone();
        let mut store =
            Self { client, bucket, credentials, prefix, place: place.clone(), is_conditional: true };
        if access == Access::Write {
            store.is_conditional = store.remembers(&state.join(MEMORY))?;
            if !store.is_conditional {
                let warning = format_args!(
                    "{place} ignores If-Match or If-None-Match; only one collector may publish to it"
                );
                host::output::complain("oncall-collector", warning);
            }
        }
        Ok(store)
    }

    /// Does the server keep conditions? Tried at most once a day.
    fn remembers(&self, memory: &Path) -> Result<bool, StoreError> {
        let proven = fs::read_to_string(memory).ok().and_then(|text| {
            let (at, place) = text.trim_end().split_once(' ')?;
            (place == self.place).then(|| Timestamp::parse(at)).flatten()
        });
        let now = now();
        if proven.is_some_and(|at| at <= now && now.since(at) < REMEMBERED) {
            return Ok(true);
        }
        let is_conditional = self.prove()?;
        if is_conditional {
            let text = format!("{now} {}\n", self.place);
            // What is not remembered is proven again.
            let _ = publish::replace(memory, 0o600, |temporary| {
                fs::write(temporary, &text).map_err(|error| error.to_string())
            });
        }
        Ok(is_conditional)
    }

    /// Writes to a scratch name under conditions that do not hold.
    fn prove(&self) -> Result<bool, StoreError> {
        let mut random = [0; 8];
        getrandom::getrandom(&mut random).map_err(|error| self.failed("", error))?;
        let name = format!("probe/{:016x}", u64::from_be_bytes(random));
        let anew = Some(Condition::Nothing);
        let put = |body: &[u8], condition| self.ask(Question::put(&name, body, condition));
        let first = put(b"one", anew)?;
        if first.status != 200 {
            return Err(self.unexpected(&name, first.status));
        }
        let tag = first.etag.ok_or_else(|| self.failed(&name, "written, and answered without an ETag"))?;
        let other = format!("\"{}\"", "0".repeat(32));
        let kept = put(b"two", anew)?.status == 412
            && put(b"three", Some(Condition::Tag(&other)))?.status == 412
            && put(b"four", Some(Condition::Tag(&tag)))?.status == 200
            && put(b"five", Some(Condition::Tag(&tag)))?.status == 412;
        self.delete(&name)?;
        Ok(kept)
    }

    /// Asks once.
    fn once(&self, question: Question<'_>) -> Result<ObjectReply, HttpError> {
        let Question { method, name, query, condition, body, limit } = question;
        let url = match name {
            "" => self.bucket.base_url().clone(),
            name => self.bucket.object_url(&format!("{}{name}", self.prefix)),
        };
        let headers: Vec<(HeaderName, &str)> = condition.map(Condition::header).into_iter().collect();
        let signed_method = match method {
            Method::Get => rusty_s3::Method::Get,
            Method::Head => rusty_s3::Method::Head,
            Method::Put => rusty_s3::Method::Put,
            Method::Delete => rusty_s3::Method::Delete,
        };
        // As text: the instant is of a release of jiff that is rusty-s3's own.
        let url = signing::sign(
            &now().to_string().parse().unwrap_or_default(),
            signed_method,
            url,
            self.credentials.key(),
            self.credentials.secret(),
            None,
            self.bucket.region(),
            SIGNED_FOR,
            query.iter().copied(),
            headers.iter().map(|(name, value)| (name.as_str(), *value)),
        );
        self.client.object(ObjectRequest {
            method,
            path: url.path(),
            query: url.query(),
            headers: &headers,
            body,
            limit,
        })
    }

    /// Asks for what may be asked twice, again while the server is busy or the network fails.
    fn ask(&self, question: Question<'_>) -> Result<ObjectReply, StoreError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let outcome = self.once(question);
            match pauses.next().filter(|_| is_passing(&outcome)) {
                Some(pause) => wait(pause),
                None => return outcome.map_err(|error| self.error(question.name, error)),
            }
        }
    }

    fn failed(&self, name: &str, what: impl ToString) -> StoreError {
        StoreError::Failed(format!("{}{name}", self.place), what.to_string())
    }

    fn error(&self, name: &str, error: HttpError) -> StoreError {
        match error {
            HttpError::TooLarge { limit, .. } => StoreError::TooLarge(format!("{}{name}", self.place), limit),
            HttpError::Exchange { cause, .. } => self.failed(name, cause),
            HttpError::Deadline(_) => self.failed(name, "no complete answer in time"),
            error => self.failed(name, error),
        }
    }

    fn unexpected(&self, name: &str, status: u16) -> StoreError {
        let hint = match status {
            301 | 307 | 400 => "; check endpoint and region",
            401 | 403 => "; check credentials_file, what its key may do, and this host's clock",
            404 => "; check bucket",
            _ => "",
        };
        self.failed(name, format_args!("answered {status}{hint}"))
    }

    /// Swaps under a condition that the server keeps. If it is not known whether an attempt was taken, what is there says it.
    fn swap(&self, name: &str, bytes: &[u8], condition: Condition<'_>) -> Result<bool, StoreError> {
        let mut pauses = PAUSES.into_iter();
        let mut is_open = false;
        loop {
            let outcome = self.once(Question::put(name, bytes, Some(condition)));
            match &outcome {
                Ok(reply) if reply.status == 200 => return Ok(true),
                // Gone, or another one, perhaps by an attempt of ours whose answer was lost.
                Ok(ObjectReply { status: 404 | 412, .. }) if is_open => {
                    let found = self.get(name, bytes.len() as u64);
                    return Ok(found.is_ok_and(|found| found.is_some_and(|found| found.bytes == bytes)));
                }
                Ok(ObjectReply { status: 412, .. }) => return Ok(false),
                Ok(ObjectReply { status: 404, .. }) if condition != Condition::Nothing => return Ok(false),
                // Another write at the same time: nothing was written (S3's ConditionalRequestConflict).
                Ok(ObjectReply { status: 409, .. }) => {}
                outcome if is_passing(outcome) => is_open = true,
                Ok(reply) => return Err(self.unexpected(name, reply.status)),
                Err(_) => {}
            }
            match pauses.next() {
                Some(pause) => wait(pause),
                None => {
                    let reply = outcome.map_err(|error| self.error(name, error))?;
                    return Err(self.unexpected(name, reply.status));
                }
            }
        }
    }

    /// One page of what is below `prefix`, and by what the next one is asked for.
    fn page(
        &self,
        prefix: &str,
        token: Option<&str>,
    ) -> Result<(Vec<ListObjectsContent>, Option<String>), StoreError> {
        let prefix = format!("{}{prefix}", self.prefix);
        let mut query: Vec<(&str, &str)> =
            token.map(|token| ("continuation-token", token)).into_iter().collect();
        query.extend([("encoding-type", "url"), ("list-type", "2"), ("prefix", &prefix)]);
        let question = Question { query: &query, limit: LARGEST_PAGE, ..Question::of(Method::Get, "") };
        let reply = self.ask(question)?;
        if reply.status != 200 {
            return Err(self.unexpected("", reply.status));
        }
        let page =
            String::from_utf8(reply.body).ok().and_then(|text| ListObjectsV2::parse_response(&text).ok());
        let page = page.ok_or_else(|| self.failed("", "answered a list that cannot be read"))?;
        Ok((page.contents, page.next_continuation_token))
    }

    /// A name of the list of `prefix`.
    fn entry(&self, prefix: &str, content: &ListObjectsContent) -> Result<Entry, StoreError> {
        let name = content.key.strip_prefix(&self.prefix).filter(|name| name.starts_with(prefix));
        let modified = content.last_modified.as_deref().and_then(Timestamp::read);
        match (name, content.size, modified) {
            (Some(name), Some(size), Some(modified)) => Ok(Entry { name: name.to_string(), size, modified }),
            _ => Err(self.failed("", "answered a list of something else")),
        }
    }
}

/// What is on all pages of a list. `page` gives one by the token of the page before it, and the next one's; what is wrong
/// with the list becomes an error by `failed`.
fn all_pages<T>(
    failed: impl Fn(String) -> StoreError,
    mut page: impl FnMut(Option<&str>) -> Result<(Vec<T>, Option<String>), StoreError>,
) -> Result<Vec<T>, StoreError> {
    let (mut all, mut token) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let (found, next) = page(token.as_deref())?;
        all.extend(found);
        if all.len() > MOST_NAMES {
            return Err(failed(format!("more than {MOST_NAMES} names")));
        }
        match next {
            None => return Ok(all),
            // The same again would never end.
            Some(next) if token.as_ref() == Some(&next) => {
                return Err(failed("answered a list that does not go on".to_string()));
            }
            next => token = next,
        }
    }
    Err(failed(format!("answered a list of more than {MOST_PAGES} pages")))
}

impl<'a> Question<'a> {
    fn of(method: Method, name: &'a str) -> Self {
        Self { method, name, query: &[], condition: None, body: &[], limit: LARGEST_WORDS }
    }

    fn put(name: &'a str, body: &'a [u8], condition: Option<Condition<'a>>) -> Self {
        Self { condition, body, ..Self::of(Method::Put, name) }
    }
}

/// What signs, from a file with one line.
fn credentials(config: &S3Config) -> Result<Credentials, String> {
    let secret =
        Secret::read(&config.credentials_file).map_err(|error| format!("credentials_file: {error}"))?;
    let (id, key) = (secret.expose().split_once(':'))
        .filter(|(id, key)| !id.is_empty() && !key.is_empty())
        .ok_or("credentials_file: must hold ACCESS_KEY_ID:SECRET_ACCESS_KEY")?;
    Ok(Credentials::new(id, key))
}

/// Might the same work in a moment?
fn is_passing(outcome: &Result<ObjectReply, HttpError>) -> bool {
    match outcome {
        Ok(reply) => matches!(reply.status, 429 | 500..=599),
        Err(HttpError::Exchange { passing, .. }) => *passing,
        Err(_) => false,
    }
}

fn wait(pause: Duration) {
    #[allow(clippy::disallowed_methods, reason = "a server that is busy says nothing to wait for")]
    std::thread::sleep(pause);
}

impl Store for S3 {
    fn get(&self, name: &str, largest: u64) -> Result<Option<Found>, StoreError> {
        let reply = self.ask(Question { limit: largest, ..Question::of(Method::Get, name) })?;
        match (reply.status, reply.etag) {
            (200, Some(tag)) => {
                Ok(Some(Found { bytes: reply.body, version: Version(tag), date: reply.date }))
            }
            (200, None) => Err(self.failed(name, "answered without an ETag")),
            (404, _) => Ok(None),
            (status, _) => Err(self.unexpected(name, status)),
        }
    }

    fn version(&self, name: &str) -> Result<Option<Version>, StoreError> {
        let reply = self.ask(Question::of(Method::Head, name))?;
        match (reply.status, reply.etag) {
            (200, Some(tag)) => Ok(Some(Version(tag))),
            (200, None) => Err(self.failed(name, "answered without an ETag")),
            (404, _) => Ok(None),
            (status, _) => Err(self.unexpected(name, status)),
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        match self.ask(Question::put(name, bytes, None))?.status {
            200 => Ok(()),
            status => Err(self.unexpected(name, status)),
        }
    }

    fn put_if(&self, name: &str, bytes: &[u8], expected: Option<&Version>) -> Result<bool, StoreError> {
        if !self.is_conditional {
            if self.version(name)?.as_ref() != expected {
                return Ok(false);
            }
            return self.put(name, bytes).map(|()| true);
        }
        let condition = expected.map_or(Condition::Nothing, |version| Condition::Tag(&version.0));
        self.swap(name, bytes, condition)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let failed = |what| self.failed(prefix, what);
        all_pages(failed, |token| {
            let (contents, next) = self.page(prefix, token)?;
            let entries = contents.iter().map(|content| self.entry(prefix, content));
            Ok((entries.collect::<Result<_, _>>()?, next))
        })
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.ask(Question::of(Method::Delete, name))?.status {
            200 | 204 | 404 => Ok(()),
            status => Err(self.unexpected(name, status)),
        }
    }
}

#[cfg(test)]
mod tests;
