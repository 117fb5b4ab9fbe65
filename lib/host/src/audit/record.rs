//! One line of JSON for each decision of the PAM module, and for the session that follows from it.
//!
//! The lines of one login share an id: what was decided, when the session opened, when it closed. A value from
//! outside is printable ASCII when it is written, the rest of it escaped as JSON escapes, and cut.

use std::fmt::{self, Write as _};

use policy::{Decision, Effect, Ground, Guard, Mode, Timestamp};

use super::{LONGEST, Ticket};

/// At what point of a login a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Account management decided.
    Account,
    /// The same for `oncall-cache enforce`, which tries logins that nobody makes.
    Test,
    /// A session opened; for a shared account over sshd, this is where it was decided.
    Session,
    /// It closed.
    Close,
}

impl Phase {
    /// As the line has it.
    pub fn token(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Test => "test",
            Self::Session => "session",
            Self::Close => "close",
        }
    }
}

/// A decision with all that belongs to it. Empty values are left out of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the lines of one login share.
    pub id: String,
    /// The host, as rules match it.
    pub host: String,
    /// The human being, where one is known.
    pub person: String,
    /// `PAM_USER`.
    pub account: String,
    /// What `PAM_USER` was before, where another module or the program has changed it.
    pub account_before: String,
    /// PAM service.
    pub service: String,
    /// `PAM_RUSER`.
    pub asker: String,
    /// The real uid, where that is the caller's.
    pub caller: Option<u32>,
    /// `PAM_RHOST`.
    pub remote_host: String,
    /// `PAM_TTY`.
    pub tty: String,
    /// The key that opened the session.
    pub fingerprint: String,
    /// The people whose key it is, where that is not one.
    pub owners: String,
    /// What is wrong with the files that root wrote.
    pub problem: String,
    /// Is it enforced?
    pub mode: Mode,
    /// The decision.
    pub decision: Decision,
}

impl Record {
    /// What the module does about it.
    pub fn effect(&self) -> Effect {
        self.decision.effect(self.mode)
    }

    /// The line, with its end.
    pub fn line(&self, phase: Phase, at: Timestamp, ticket: &Ticket) -> String {
        let mut line = Object::new();
        line.number("version", 1);
        if let Some(number) = ticket.number {
            line.number("seq", number);
        }
        line.text("time", &at.to_string());
        line.text("host", &self.host);
        line.text("id", &self.id);
        line.text("phase", phase.token());
        line.number("pid", std::process::id());
        line.text("person", &self.person);
        line.text("account", &self.account);
        line.text("account_before", &self.account_before);
        line.text("service", &self.service);
        line.text("asker", &self.asker);
        if let Some(caller) = self.caller {
            line.number("caller", caller);
        }
        line.text("rhost", &self.remote_host);
        line.text("tty", &self.tty);
        line.text("fingerprint", &self.fingerprint);
        if phase != Phase::Close {
            self.tell_decision(&mut line);
        }
        line.text("dropped", &ticket.dropped_text());
        line.end()
    }

    fn tell_decision(&self, line: &mut Object) {
        let Decision { verdict, reason, guard, ground, until } = &self.decision;
        line.text("verdict", &verdict.to_string());
        line.text("reason", reason.token());
        line.text("effect", if self.effect().refuses() { "refuse" } else { "pass" });
        line.text("mode", if self.mode == Mode::Observe { "observe" } else { "enforce" });
        line.text("guard", &guard.as_ref().map(guard_token).unwrap_or_default());
        tell_ground(line, ground);
        line.text("until", &until.map(|until| until.to_string()).unwrap_or_default());
        line.text("owners", &self.owners);
        line.text("problem", &self.problem);
    }
}

/// Why an account is guarded, as a word.
fn guard_token(guard: &Guard) -> String {
    match guard {
        Guard::Sudo => "sudo".to_string(),
        Guard::Doas => "doas".to_string(),
        Guard::Polkit => "polkit".to_string(),
        Guard::UidZero => "uid-0".to_string(),
        Guard::Group(group) => format!("group:{group}"),
        Guard::Shared => "shared".to_string(),
        Guard::Named => "named".to_string(),
    }
}

fn tell_ground(line: &mut Object, ground: &Ground) {
    match ground {
        Ground::OnCall(ground) => {
            line.text("rule", &ground.rule);
            line.text("schedule", &ground.schedule.to_string());
            line.text("schedule_name", &ground.schedule_name);
            line.number("level", ground.level);
            line.text("start", &ground.window.start().to_string());
            line.text("end", &ground.window.end().to_string());
            line.number("age_seconds", ground.age.as_seconds());
        }
        Ground::Unbelieved(schedule, age, limit) => {
            line.text("schedule", &schedule.to_string());
            line.number("age_seconds", age.as_seconds());
            line.number("limit_seconds", limit.as_seconds());
        }
        Ground::Revoked(revocation) => {
            line.text("since", &revocation.since.to_string());
            line.text("by", &revocation.by);
            line.text("why", &revocation.reason);
        }
        Ground::Program(program) => {
            line.number("automation", program.number);
            line.text("owner", &program.owner);
            line.text("why", &program.reason);
            line.text("ends", &program.until.to_string());
        }
        Ground::None => {}
    }
}

/// A JSON object of texts and numbers, on one line.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_string())
    }

    fn name(&mut self, name: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{name}\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            let _ = write!(self.0, "\"{}\"", Quoted(value));
        }
    }

    fn number(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        let _ = write!(self.0, "{value}");
    }

    fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

/// A foreign value inside a JSON string: as [`super::Escaped`], with JSON's escapes, so that it reads back as it
/// was.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for letter in self.0.chars() {
            let is_plain = letter == ' ' || letter.is_ascii_graphic();
            let is_special = matches!(letter, '"' | '\\');
            written += if is_special {
                2
            } else if is_plain {
                1
            } else {
                6 * letter.len_utf16()
            };
            if written > LONGEST {
                return f.write_str("...");
            }
            if is_special {
                write!(f, "\\{letter}")?;
            } else if is_plain {
                f.write_char(letter)?;
            } else {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(f, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Reason, Revocation, Verdict};

    fn record() -> Record {
        let [account_before, asker, fingerprint, owners, problem] = Default::default();
        Record {
            id: "0123456789abcdef".to_string(),
            host: "db1".to_string(),
            person: "alice".to_string(),
            account: "root".to_string(),
            account_before,
            service: "su".to_string(),
            asker,
            caller: Some(1000),
            remote_host: "\u{1f600}\"\\\n".to_string(),
            tty: "x".repeat(70_000),
            fingerprint,
            owners,
            problem,
            mode: Mode::Observe,
            decision: Decision {
                verdict: Verdict::Refuse,
                reason: Reason::Revoked,
                guard: Some(Guard::Group("sudo".to_string())),
                ground: Ground::Revoked(Revocation {
                    since: Timestamp::from_unix(0),
                    by: "root".to_string(),
                    reason: String::new(),
                }),
                until: None,
            },
        }
    }

    #[test]
    fn a65_a_record_is_one_line_of_json_whatever_it_is_told() {
        let ticket = Ticket { number: Some(7), dropped: vec![("bob".to_string(), 3)] };
        let line = record().line(Phase::Account, Timestamp::from_unix(1_795_165_200), &ticket);
        let pid = std::process::id();
        let tty = "x".repeat(LONGEST);
        assert_eq!(
            line,
            format!(
                "{{\"version\":1,\"seq\":7,\"time\":\"2026-11-20T09:00:00Z\",\"host\":\"db1\",\"id\":\"0123456789abcdef\",\
                 \"phase\":\"account\",\"pid\":{pid},\"person\":\"alice\",\"account\":\"root\",\"service\":\"su\",\"caller\":1000,\
                 \"rhost\":\"\\ud83d\\ude00\\\"\\\\\\u000a\",\"tty\":\"{tty}...\",\"verdict\":\"refuse\",\"reason\":\"revoked\",\
                 \"effect\":\"pass\",\"mode\":\"observe\",\"guard\":\"group:sudo\",\"since\":\"1970-01-01T00:00:00Z\",\"by\":\"root\",\
                 \"dropped\":\"bob:3\"}}\n"
            )
        );
        let close = record().line(Phase::Close, Timestamp::from_unix(0), &Ticket::default());
        assert!(!close.contains("verdict") && !close.contains("seq"), "{close}");
    }
}
