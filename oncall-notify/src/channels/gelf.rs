//! GELF 1.1, Graylog's format: JSON, over TCP with a zero byte behind each message, or as one datagram.

use policy::Timestamp;
use serde_json::{Map, Value, json};

use super::stream::Stream;
use super::{Failure, LIMIT, Message, facts};
use crate::config::{Gelf, Transport};
use crate::notice::Notice;
use crate::words::cut;

/// The most that one datagram carries everywhere without being told in parts: GELF's own limit for a chunk.
const LARGEST_DATAGRAM: usize = 8_192;

/// Severity notice, as syslog counts.
const LEVEL: u8 = 5;

/// Where it goes, if not by datagrams.
pub fn stream(gelf: &Gelf) -> Option<Stream<'_>> {
    (gelf.transport != Transport::Udp).then_some(Stream { host: &gelf.host, port: gelf.port, ca_file: None })
}

/// A message there, with its end.
pub fn framed(message: &Message<'_>) -> Vec<u8> {
    let mut body = body(message).to_string().into_bytes();
    body.push(0);
    body
}

fn body(message: &Message<'_>) -> Value {
    let mut body = Map::new();
    let host = match message.notice {
        Notice::One(one) if !one.get("host").is_empty() => one.get("host").to_string(),
        _ => "oncall-notify".to_string(),
    };
    body.insert("version".into(), json!("1.1"));
    body.insert("host".into(), json!(host));
    body.insert("short_message".into(), json!(cut(&message.text, 1_000)));
    body.insert("timestamp".into(), json!(message.notice.at().max(0)));
    body.insert("level".into(), json!(LEVEL));
    body.insert("_notice".into(), json!(message.notice.id()));
    match message.notice {
        // `_id` is Graylog's own name and may not be sent.
        Notice::One(one) => {
            one.fields.iter().filter(|(name, _)| *name != "host" && *name != "notice").for_each(
                |(name, value)| {
                    let name = if name == "id" { "record" } else { name.as_str() };
                    body.insert(format!("_{name}"), json!(value));
                },
            )
        }
        Notice::Many(many) => {
            body.insert("_count".into(), json!(many.count));
            body.insert("_first".into(), json!(Timestamp::from_unix(many.first).to_string()));
            body.insert("_digest".into(), json!(facts(message.notice).to_string()));
        }
    }
    Value::Object(body)
}

/// Sends it as a datagram.
pub fn datagram(gelf: &Gelf, message: &Message<'_>) -> Result<(), Failure> {
    let body = body(message).to_string().into_bytes();
    if body.len() > LARGEST_DATAGRAM {
        return Err(Failure::never("it is larger than a datagram of 8192 bytes; use tcp"));
    }
    Ok(tls::send_datagram(&gelf.host, gelf.port, &body, LIMIT)?)
}
