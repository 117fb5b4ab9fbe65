//! Objects of a store: bytes by GET, PUT, HEAD and DELETE, with the conditions of RFC 9110 section 13.
//!
//! A store is asked for bytes whose digest or signature is checked afterwards, so nothing here looks at the content
//! type. What it does look at: no redirect is followed, no `Accept-Encoding` is sent (Apache with deflate never answers
//! 304 to a client that sends it) and an answer with a `Content-Encoding` is refused, the body ends at the limit of its
//! request whatever length was announced, and a body that comes drop by drop ends at the client's deadline.
//! Nothing is asked twice: whoever reads a store knows another url, or comes again.

use std::io::Read;

use policy::Timestamp;
use reqwest::Method as HttpMethod;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE, ETAG, HeaderValue};

use super::{Client, HeaderName, HttpError, header_value, http_date};

/// The longest entity tag that is kept, in bytes: nginx, Apache and S3 write less than 70.
const LONGEST_TAG: usize = 256;

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Its bytes are asked for.
    Get,
    /// The same without the bytes.
    Head,
    /// It is written.
    Put,
    /// It is removed.
    Delete,
}

/// A request to a store.
#[derive(Debug, Clone, Copy)]
pub struct ObjectRequest<'a> {
    /// What is done.
    pub method: Method,
    /// Where, below the client's base: `/o/…`.
    pub path: &'a str,
    /// The query as it is sent, already escaped: a signature may stand in it.
    pub query: Option<&'a str>,
    /// More headers, as they are sent: conditions, signatures. None of their values is shown by an error.
    pub headers: &'a [(HeaderName, &'a str)],
    /// What is written; empty for all but PUT.
    pub body: &'a [u8],
    /// The longest body that is read, in bytes.
    pub limit: u64,
}

impl<'a> ObjectRequest<'a> {
    /// Asks for the object at `path`, of `limit` bytes at most.
    pub fn get(path: &'a str, limit: u64) -> Self {
        Self { method: Method::Get, path, query: None, headers: &[], body: &[], limit }
    }
}

/// What a store answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectReply {
    /// HTTP status.
    pub status: u16,
    /// `ETag` byte for byte, `W/` and quotes included; none where it is longer than any that is known.
    pub etag: Option<String>,
    /// The store's clock, by `Date`.
    pub date: Option<Timestamp>,
    /// `Content-Length`, in bytes: after HEAD the object's size.
    pub length: Option<u64>,
    /// The whole body if the status is 200, which a part (206) is not; empty otherwise.
    pub body: Vec<u8>,
}

impl Client {
    /// Asks a store, once. Connections are kept for the next request of this client.
    ///
    /// # Errors
    /// There is no whole answer within the client's deadline and the request's limit, or it is encoded. An answer of
    /// any status is none: what 304, 404 or 412 means, the caller knows.
    pub fn object(&self, request: ObjectRequest<'_>) -> Result<ObjectReply, HttpError> {
        let ObjectRequest { method, path, query, headers, body, limit } = request;
        let shown = self.address_of(path);
        let mut url = shown.clone();
        url.set_query(query);
        let method = match method {
            Method::Get => HttpMethod::GET,
            Method::Head => HttpMethod::HEAD,
            Method::Put => HttpMethod::PUT,
            Method::Delete => HttpMethod::DELETE,
        };
        let mut builder = self.inner.request(method, url);
        for (name, value) in headers {
            builder = builder.header(name, header_value(name, value)?);
        }
        if !body.is_empty() {
            builder = builder.body(body.to_vec());
        }
        let response = self.send(&shown, builder)?;
        self.read_object(response, shown.to_string(), limit)
    }

    fn read_object(&self, response: Response, url: String, limit: u64) -> Result<ObjectReply, HttpError> {
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let mut reply = ObjectReply {
            status: response.status().as_u16(),
            etag: header(ETAG).filter(|tag| tag.len() <= LONGEST_TAG).map(str::to_string),
            date: header(DATE).and_then(http_date),
            length: header(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            body: Vec::new(),
        };
        if reply.status != 200 {
            return Ok(reply);
        }
        if response.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(HttpError::Encoded(url));
        }
        // Of the body that comes: none after HEAD, whatever its header says.
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(HttpError::TooLarge { url, limit });
        }
        match response.take(limit.saturating_add(1)).read_to_end(&mut reply.body) {
            Ok(_) if reply.body.len() as u64 > limit => Err(HttpError::TooLarge { url, limit }),
            Ok(_) => Ok(reply),
            Err(error) => Err(self.failure(&error, url)),
        }
    }
}
