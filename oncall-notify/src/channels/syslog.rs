//! Syslog as RFC 5424 has it, over TCP with octets counted (RFC 6587, 3.4.1), or over TLS (RFC 5425).

use std::collections::BTreeMap;
use std::path::Path;

use ::syslog::{Facility, Formatter5424, LogFormat, Severity};

use super::stream::Stream;
use super::{Failure, Message};
use crate::config::{Syslog, Transport};
use crate::notice::Notice;

/// The element of structured data: 32473 is the number that RFC 5612 keeps for examples, as this suite has none of its own.
const ELEMENT: &str = "authkeys@32473";

/// The message's number, which the formatter wants: of no meaning.
const MESSAGE: u32 = 1;

/// Where it goes.
pub fn stream(syslog: &Syslog) -> Stream<'_> {
    let ca_file: Option<&Path> = (syslog.transport == Transport::Tls).then_some(&syslog.ca_file);
    Stream { host: &syslog.host, port: syslog.port, ca_file }
}

/// A message there, with its length before it.
pub fn framed(message: &Message<'_>) -> Result<Vec<u8>, Failure> {
    let line = line(message).map_err(Failure::never)?;
    Ok(format!("{} {line}", line.len()).into_bytes())
}

fn line(message: &Message<'_>) -> Result<String, String> {
    let mut values = BTreeMap::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            values.insert(name.to_string(), value.to_string());
        }
    };
    put("notice", message.notice.id());
    let host = match message.notice {
        Notice::One(one) => {
            one.fields.iter().for_each(|(name, value)| put(name, value));
            one.get("host")
        }
        Notice::Many(many) => {
            put("count", &many.count.to_string());
            put("people", &many.people.shown("person"));
            put("hosts", &many.hosts.shown("host"));
            ""
        }
    };
    let formatter = Formatter5424 {
        facility: Facility::LOG_AUTHPRIV,
        // A host name in the header has no blanks, and 255 letters at most.
        hostname: Some(if is_host_name(host) { host.to_string() } else { "-".to_string() }),
        process: "oncall-notify".to_string(),
        pid: std::process::id(),
    };
    let mut line = Vec::new();
    let data = BTreeMap::from([(ELEMENT.to_string(), values)]);
    let said = (MESSAGE, data, message.text.as_str());
    formatter.format(&mut line, Severity::LOG_NOTICE, said).map_err(|error| error.to_string())?;
    String::from_utf8(line).map_err(|error| error.to_string())
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic())
}
