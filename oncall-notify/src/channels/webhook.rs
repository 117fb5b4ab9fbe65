//! JSON by POST to a program of the site's, with a signature by which it knows that this host sent it.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use http::HeaderName;
use serde_json::json;
use sha2::Sha256;

use super::{Failure, Message, client, facts, judge, secret};
use crate::config::Webhook;

/// The header: `v1=` and the HMAC-SHA256 of the body, in hexadecimal.
const HEADER: HeaderName = HeaderName::from_static("x-authkeys-signature");

/// The header with the notice's id, by which a second delivery shows.
const ID: HeaderName = HeaderName::from_static("x-authkeys-notice");

/// Posts it; every status from 200 to 299 means that it was taken.
pub fn deliver(webhook: &Webhook, message: &Message<'_>) -> Result<(), Failure> {
    let mut body = facts(message.notice);
    if let Some(body) = body.as_object_mut() {
        body.insert("version".into(), json!(1));
        body.insert("notice".into(), json!(message.notice.id()));
        body.insert("text".into(), json!(message.text));
    }
    let body = body.to_string().into_bytes();
    let signature = signature(secret(&webhook.secret_file)?.expose(), &body);
    let headers = [(HEADER, signature.as_str()), (ID, message.notice.id())];
    let client = client(&webhook.base, &webhook.ca_file, webhook.proxy.as_ref())?;
    judge(&client.tell(&webhook.path, &headers, body)?)
}

fn signature(secret: &str, body: &[u8]) -> String {
    // A key may have any length.
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(body));
    let digest = mac.map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    digest.iter().fold("v1=".to_string(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
