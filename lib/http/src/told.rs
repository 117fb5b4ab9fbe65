//! Telling a service something: JSON by POST, once. Whoever tells keeps what was not taken, and decides when to try again.

use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::{Client, HeaderName, HttpError, Reply, header_value};

impl Client {
    /// Posts `body`, JSON, to `path` with these headers, whose values no error shows. The answer of any status is an
    /// answer; its body is read as that of a question, for status 200 alone and if it is JSON.
    ///
    /// # Errors
    /// There is no whole answer within the client's deadline.
    pub fn tell(
        &self,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Vec<u8>,
    ) -> Result<Reply, HttpError> {
        let url = self.address_of(path);
        let kind = HeaderValue::from_static("application/json; charset=utf-8");
        let mut request = self.inner.post(url.clone()).header(CONTENT_TYPE, kind).body(body);
        for (name, value) in headers {
            request = request.header(name, header_value(name, value)?);
        }
        let response = self.send(&url, request)?;
        match self.read(response, url.to_string()) {
            // Taken, with a page or with nothing to say.
            Err(HttpError::NotJson { .. }) => Ok(Reply { status: 200, ..Reply::default() }),
            other => other,
        }
    }
}
