//! Told when somebody comes or goes, and nothing else: a record in Graylog, JSON for a program of the site's.

use http::{HeaderName, SIGNATURE};
use policy::Principal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::config::{Gelf, Webhook};
use super::{Apply, Failure, LIMIT, Outcome, Work, client, judge, named, secret};

/// By which a second delivery shows.
const ID: HeaderName = HeaderName::from_static("x-authkeys-notice");

/// Severity notice, as syslog counts.
const LEVEL: u8 = 5;

/// Tells Graylog.
pub fn gelf(gelf: &Gelf, work: &Work<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    tell(work, outcome, |told| {
        let mut body = json!({
            "version": "1.1",
            "host": "oncall-collector",
            "short_message": told.text,
            "timestamp": work.at.unix().max(0),
            "level": LEVEL,
            "_notice": told.id,
            "_sink": work.sink.name,
            "_on_call": told.on_call.join(","),
            "_before": told.before.join(","),
        })
        .to_string()
        .into_bytes();
        let to = (gelf.host.as_str(), gelf.port);
        let sent = if gelf.is_datagram {
            tls::send_datagram(to.0, to.1, &body, LIMIT)
        } else {
            body.push(0);
            tls::send(to.0, to.1, None, &body, LIMIT)
        };
        sent.map_err(|error| Failure::new(format_args!("{} port {}: {error}; see `server`", to.0, to.1)))
    })
}

/// Tells a program of the site's.
pub fn webhook(webhook: &Webhook, work: &Work<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    tell(work, outcome, |told| {
        let body: Value = json!({
            "version": 1,
            "kind": "on-call",
            "notice": told.id,
            "sink": work.sink.name,
            "at": work.at.to_string(),
            "on_call": told.on_call,
            "before": told.before,
            "text": told.text,
        });
        let body = body.to_string().into_bytes();
        let signature = http::signature(secret(&webhook.secret_file, "secret_file")?.expose(), &body);
        let headers = [(SIGNATURE, signature.as_str()), (ID, told.id.as_str())];
        let client = client(&webhook.service, &[])?;
        judge(&client.tell(&webhook.path, &headers, body)?, "the receiver", "`url` and `secret_file`")
    })
}

/// What is told.
struct Told<'w> {
    id: String,
    text: String,
    on_call: Vec<&'w str>,
    before: Vec<&'w str>,
}

fn tell(
    work: &Work<'_>,
    outcome: &mut Outcome,
    send: impl FnOnce(&Told<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if !work.is_change() {
        return Ok(());
    }
    let on_call: Vec<&str> = work.wanted.iter().map(Principal::as_str).collect();
    let before: Vec<&str> = work.before.iter().flatten().map(Principal::as_str).collect();
    let text = format!("on call: {} (before: {})", named(work.wanted), named(work.before.iter().flatten()));
    if work.apply == Apply::Look {
        outcome.changes.push(format!("would tell: {text}"));
        return Ok(());
    }
    // The same in every attempt at one change, and another when the same people are on call again.
    let of = format!("{}\n{}\n{text}", work.sink.name, work.changes);
    let digest: [u8; 32] = Sha256::digest(of.as_bytes()).into();
    let id = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    send(&Told { id, text: text.clone(), on_call, before })?;
    outcome.changes.push(format!("told: {text}"));
    Ok(())
}
