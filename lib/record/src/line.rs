//! One `authpriv` line per decision, which no user can forge, split or hold up.
//!
//! Every value that came from outside is escaped and cut. The line is sent as one datagram to
//! /dev/log, which may keep it waiting for a fifth of a second: long enough for a log that is busy,
//! since anybody can keep it busy. After that a full queue, a stopped reader or a missing socket
//! cost a line, never a login. (The syslog crate's own socket blocks for ever on a full queue and
//! passes newlines through: measured.)

use std::fmt::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use policy::{Decision, Ground};

/// Facility authpriv (10): RFC 5424 section 6.2.1.
const FACILITY: u8 = 10 * 8;

/// How a line is marked for whoever reads many: its severity in RFC 5424, section 6.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// Somebody has to act: a break-glass is to be reviewed.
    Alert = 1,
    /// Any other.
    Info = 6,
}

/// How long a line may wait for room in the log's queue.
const PATIENCE: Duration = Duration::from_millis(200);

/// The longest foreign value, in bytes as written.
pub(crate) const LONGEST: usize = 256;

/// One line, built field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(String, Severity);

impl Line {
    /// Starts the line of one decision: who asked, what was decided, why.
    pub fn new(person: &str, decision: impl fmt::Display, reason: impl fmt::Display) -> Self {
        let mut line = Self(String::new(), Severity::Info);
        let _ = write!(line.0, "person={} decision={decision} reason={reason}", Escaped(person));
        line
    }

    /// Starts the line of a heartbeat of `host`.
    pub fn heartbeat(host: &str) -> Self {
        Self("heartbeat".to_string(), Severity::Info).field("host", host)
    }

    /// Starts the line of something that the doctor has `found` by the timer, or that is `mended`.
    pub fn finding(what: &str) -> Self {
        Self(format!("doctor {what}"), Severity::Info)
    }

    /// The line of a [`Decision`], with all that it rests on.
    pub fn of(person: &str, decision: &Decision) -> Self {
        let mut line = Self::new(person, decision.verdict, decision.reason);
        match &decision.ground {
            Ground::OnCall(ground) => {
                let shift = format_args!("{}/{}", ground.window.start(), ground.window.end()).to_string();
                line = line
                    .field("rule", &ground.rule)
                    .field("schedule", &ground.schedule.to_string())
                    .field("level", &ground.level.to_string())
                    .field("shift", &shift)
                    .field("age", &format!("{}s", ground.age.as_seconds()))
                    .field("late", &ground.late.map(|seen| seen.to_string()).unwrap_or_default())
                    .field("incident", ground.incident.word())
                    .field("claim", ground.claim.word())
                    .field("why", ground.claim.reason());
            }
            Ground::Unbelieved(schedule, age, _) => {
                line = line
                    .field("schedule", &schedule.to_string())
                    .field("age", &format!("{}s", age.as_seconds()));
            }
            Ground::Program(program) => {
                line = line
                    .field("automation", &program.number.to_string())
                    .field("owner", &program.owner)
                    .field("why", &program.reason)
                    .field("until", &program.until.to_string());
            }
            Ground::Revoked(revocation) => {
                line = line
                    .field("since", &revocation.since.to_string())
                    .field("by", &revocation.speaker())
                    .field("why", &revocation.reason);
            }
            Ground::Grant(grant) => {
                line = line
                    .alert(grant.is_break_glass)
                    .field("rule", &grant.rule)
                    .field("grant", &grant.id)
                    .field("approvers", &policy::Principal::list(&grant.approvers, ","))
                    .field("why", &grant.reason)
                    .field("until", &grant.window.end().to_string());
            }
            Ground::None => {}
        }
        line
    }

    /// The same, as one for which somebody has to be called, if `is_alert`.
    #[must_use]
    pub fn alert(mut self, is_alert: bool) -> Self {
        if is_alert {
            self.1 = Severity::Alert;
        }
        self
    }

    /// Adds one field; an empty value is left out.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            let _ = write!(self.0, " {name}={}", Escaped(value));
        }
        self
    }

    /// The text of the line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Sends the line to the system's log as `ident`; whether it went out.
    pub fn send(&self, ident: &str) -> bool {
        let Ok(socket) = UnixDatagram::unbound() else { return false };
        let priority = FACILITY + self.1 as u8;
        let message = format!("<{priority}>{ident}[{}]: {}", std::process::id(), self.0);
        socket.set_write_timeout(Some(PATIENCE)).is_ok()
            && socket.send_to(message.as_bytes(), "/dev/log").is_ok()
    }
}

/// A foreign value as a log may hold it: printable ASCII but blanks, quotes and backslashes; everything
/// else as `\xNN`; at most 256 bytes, with `...` where something was cut.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for byte in self.0.bytes() {
            let plain = byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'\'');
            written += if plain { 1 } else { 4 };
            if written > LONGEST {
                return f.write_str("...");
            }
            if plain { f.write_char(char::from(byte))? } else { write!(f, "\\x{byte:02x}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a65_foreign_values_are_escaped_and_cut() {
        let line = Line::new("a\nb", "refuse", "bad-user").field("tty", "\x1b[2J").field("rhost", "");
        assert_eq!(line.as_str(), "person=a\\x0ab decision=refuse reason=bad-user tty=\\x1b[2J");
        let long = "x".repeat(70_000);
        assert_eq!(Escaped(&long).to_string().len(), LONGEST + 3);
        assert_eq!(Escaped("\u{e9}").to_string(), "\\xc3\\xa9");
    }
}
