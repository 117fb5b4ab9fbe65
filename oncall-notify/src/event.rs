//! Somebody connected to a VPN: read from what OpenVPN tells its client-connect, sent over a socket of the running
//! program, and kept as a line of a file of its own, which is followed as the records are.
//!
//! So an event has all that a record has: a position, a spool, filters, windows. Its values come from outside as much as a
//! record's do. A record that looks like an event is none: what is followed beside that one file has records alone.

pub mod journal;
pub mod listen;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use policy::Timestamp;
use serde::{Deserialize, Serialize};

use crate::notice::{Notice, One};
use crate::words;

/// Where the running program is told; the unit's RuntimeDirectory.
pub const SOCKET: &str = "/run/oncall-notify/event.sock";

/// What such a notice has as its event.
pub const VPN: &str = "vpn";

/// The longest event, in bytes.
pub const LONGEST: usize = 8 * 1024;

/// The longest value that is sent, in bytes. What is told of it is shorter still.
const LONGEST_VALUE: usize = 1_024;

/// The form of what is sent and kept.
const VERSION: u32 = 1;

/// What is read of the environment, by OpenVPN's names (openvpn(8), "Environmental Variables"), and what it is called in a
/// notice. Where two have one name, the first that is there counts.
const VARIABLES: [(&str, &str); 7] = [
    ("common_name", "common_name"),
    ("username", "username"),
    ("trusted_ip", "rhost"),
    ("trusted_ip6", "rhost"),
    ("trusted_port", "port"),
    ("ifconfig_pool_remote_ip", "address"),
    ("ifconfig_pool_remote_ip6", "address"),
];

/// OpenVPN's name for what its script is run for, and the one thing of it that is told.
pub const SCRIPT_TYPE: &str = "script_type";
pub const CONNECTS: &str = "client-connect";

/// What OpenVPN says, by the names that a notice has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    version: u32,
    values: BTreeMap<String, String>,
}

/// The same, with what the running program knows of it: nobody is asked when it was, nor who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// In Unix seconds.
    time: i64,
    host: String,
    /// Whose process told it.
    teller: String,
    values: BTreeMap<String, String>,
}

impl Event {
    /// What the environment says, by a function that reads one variable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut values = BTreeMap::new();
        for (theirs, ours) in VARIABLES {
            if let Some(value) = variable(theirs).filter(|value| !value.is_empty()) {
                values.entry(ours.to_string()).or_insert_with(|| words::cut(&value, LONGEST_VALUE));
            }
        }
        Self { version: VERSION, values }
    }

    /// As it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What was sent.
    ///
    /// # Errors
    /// It is no event of this form.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let event: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no event: {error}"))?;
        match event.version {
            VERSION => Ok(event),
            other => Err(format!("it is of form {other}; the program that runs reads form {VERSION}")),
        }
    }

    /// The line that is kept of it, with its end. `teller`: whose process told it, as the kernel says.
    pub fn line(self, host: &str, teller: &str, now: Timestamp) -> Vec<u8> {
        let (host, teller) = (host.to_string(), teller.to_string());
        let kept = Kept { version: VERSION, time: now.unix(), host, teller, values: self.values };
        let mut line = serde_json::to_vec(&kept).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// The file that events are kept in, below the program's own directory.
pub fn journal(state: &Path) -> PathBuf {
    state.join("events").join("events.jsonl")
}

/// What a line of that file says. `person`: the expression that says who it is. `None`: it is no event of this form.
pub fn read(line: &str, person: &str) -> Option<One> {
    let kept: Kept = serde_json::from_str(line).ok().filter(|kept: &Kept| kept.version == VERSION)?;
    let origin = format!("openvpn, run by {}", kept.teller);
    let time = Timestamp::from_unix(kept.time).to_string();
    let ours = [
        ("event", VPN),
        ("service", "openvpn"),
        ("host", kept.host.as_str()),
        ("time", time.as_str()),
        ("origin", origin.as_str()),
    ];
    let known = kept.values.iter().filter(|(name, _)| VARIABLES.iter().any(|(_, ours)| ours == *name));
    let theirs = known.map(|(name, value)| (name.as_str(), value.as_str()));
    let mut one = One::made(line, kept.time, theirs.chain(ours));
    let said = words::word(person, &Notice::One(one.clone()));
    // What the expression cannot say is said as the default would.
    let said = said.unwrap_or_else(|_| or_else(one.get("username"), one.get("common_name")));
    one.put("person", &said);
    Some(one)
}

/// What is one client of the VPN: the same names from the same place.
pub fn client(one: &One) -> String {
    format!("{}\n{}\n{}", one.get("common_name"), one.get("username"), one.get("rhost"))
}

fn or_else(first: &str, second: &str) -> String {
    if first.is_empty() { second.to_string() } else { first.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: &str = "username or common_name";

    fn event(pairs: &[(&str, &str)]) -> Event {
        Event::read(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    fn one(pairs: &[(&str, &str)], person: &str) -> One {
        let line = event(pairs).line("vpn1", "openvpn (uid 990)", Timestamp::from_unix(1_796_038_153));
        read(std::str::from_utf8(&line).unwrap().trim_end(), person).unwrap()
    }

    #[test]
    fn what_openvpn_says_is_told_by_our_names() {
        let alice = [
            ("common_name", "alice"),
            ("trusted_ip", "203.0.113.9"),
            ("trusted_port", "43919"),
            ("ifconfig_pool_remote_ip", "10.8.0.6"),
            ("IV_VER", "2.6.14"),
            ("password", "hunter2"),
        ];
        let said = one(&alice, PERSON);
        for (name, value) in [
            ("event", "vpn"),
            ("service", "openvpn"),
            ("person", "alice"),
            ("host", "vpn1"),
            ("rhost", "203.0.113.9"),
            ("port", "43919"),
            ("address", "10.8.0.6"),
            ("time", "2026-11-30T11:29:13Z"),
            ("origin", "openvpn, run by openvpn (uid 990)"),
        ] {
            assert_eq!(said.get(name), value, "{name}");
        }
        assert!(!format!("{said:?}").contains("hunter2") && said.id.len() == 16);
        assert!(said.fields.keys().all(|name| crate::notice::FIELDS.contains(&name.as_str())), "{said:?}");
        let both = [("common_name", "laptop-7"), ("username", "bob"), ("trusted_ip6", "2001:db8::9")];
        assert_eq!(
            (one(&both, PERSON).get("person"), one(&both, PERSON).get("rhost")),
            ("bob", "2001:db8::9")
        );
        assert_eq!(one(&both, "common_name").get("person"), "laptop-7");
    }

    #[test]
    fn a93_what_a_client_calls_itself_is_data_and_no_other_value() {
        let evil = "x\r\n\u{202e}<!channel> {{ secret }} \"}\n{\"version\":1}";
        let long = "\u{202e}".repeat(64 * 1024);
        let said = event(&[("common_name", evil), ("username", long.as_str())]);
        assert!(said.bytes().len() < LONGEST, "{}", said.bytes().len());
        assert_eq!(Event::parse(&said.bytes()), Ok(said.clone()));
        let line = said.line("vpn1", "root (uid 0)", Timestamp::from_unix(0));
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        let one = read(std::str::from_utf8(&line).unwrap().trim_end(), PERSON).unwrap();
        for value in one.fields.values() {
            assert!(value.len() < 300 && value.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{value}");
        }
        // A name that is ours cannot be brought along.
        let forged =
            br#"{"version":1,"values":{"common_name":"alice","origin":"root","host":"db1","id":"1"}}"#;
        let line = Event::parse(forged).unwrap().line("vpn1", "openvpn (uid 990)", Timestamp::from_unix(0));
        let one = read(std::str::from_utf8(&line).unwrap(), PERSON).unwrap();
        assert_eq!((one.get("host"), one.get("id")), ("vpn1", ""));
        assert_eq!(one.get("origin"), "openvpn, run by openvpn (uid 990)");
    }

    #[test]
    fn what_is_no_event_of_this_form_is_refused() {
        for wrong in
            [&b""[..], b"{", b"[]", b"{\"version\":1}", b"{\"version\":1,\"values\":{\"a\":7}}", b"\xff"]
        {
            assert!(Event::parse(wrong).unwrap_err().contains("no event"), "{wrong:?}");
        }
        assert!(Event::parse(b"{\"version\":2,\"values\":{}}").unwrap_err().contains("of form 2"));
        assert_eq!(read("{\"version\":2}", PERSON), None);
        assert_eq!(read("{\"version\":1,\"time\":\"2026-11-30T03:02:11Z\",\"host\":\"db1\"}", PERSON), None);
    }

    #[test]
    fn one_client_is_the_same_names_from_the_same_place() {
        let from = |name: &str, place: &str, port: &str| {
            client(&one(&[("common_name", name), ("trusted_ip", place), ("trusted_port", port)], PERSON))
        };
        assert_eq!(from("alice", "203.0.113.9", "1"), from("alice", "203.0.113.9", "2"));
        assert_ne!(from("alice", "203.0.113.9", "1"), from("alice", "198.51.100.7", "1"));
        assert_ne!(from("alice", "203.0.113.9", "1"), from("bob", "203.0.113.9", "1"));
    }
}
