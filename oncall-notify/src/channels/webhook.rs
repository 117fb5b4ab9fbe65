//! JSON by POST to a program of the site's, with a signature by which it knows that this host sent it.

use http::HeaderName;
use serde_json::json;

use super::{Failure, Message, client, facts, judge, secret};
use crate::config::Webhook;

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
    let signature = http::signature(secret(&webhook.secret_file)?.expose(), &body);
    let headers = [(http::SIGNATURE, signature.as_str()), (ID, message.notice.id())];
    let client = client(&webhook.base, &webhook.ca_file, webhook.proxy.as_ref())?;
    judge(&client.tell(&webhook.path, &headers, body)?)
}
