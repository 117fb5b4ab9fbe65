//! Telling a service something: JSON by POST, once. Whoever tells keeps what was not taken, and decides when to try again.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use sha2::Sha256;

use super::{Client, HeaderName, HttpError, Reply, header_value};

/// The header by which a receiver knows who sent a body: [`signature`].
pub const SIGNATURE: HeaderName = HeaderName::from_static("x-authkeys-signature");

/// `v1=` and the HMAC-SHA256 of `body` by `secret`, in hexadecimal.
pub fn signature(secret: &str, body: &[u8]) -> String {
    // A key may have any length.
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(body));
    let digest = mac.map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    digest.iter().fold("v1=".to_string(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

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

    /// Asks the service to delete what is at `path`, as `query` says.
    ///
    /// # Errors
    /// There is no answer within the client's deadline.
    pub fn delete(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, HttpError> {
        let mut url = self.address_of(path);
        url.query_pairs_mut().extend_pairs(query);
        let response = self.send(&url, self.inner.delete(url.clone()))?;
        match self.read(response, url.to_string()) {
            Err(HttpError::NotJson { .. }) => Ok(Reply { status: 200, ..Reply::default() }),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        let known = "v1=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), known);
    }
}
