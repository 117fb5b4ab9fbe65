//! The record of decisions: a line of JSON for each decision of the PAM module, and for the session that follows from it.
//!
//! The lines of one login share an id: what was decided, when the session opened, when it closed. Each field is named
//! once, below: what is written is what is read. A value from outside is printable ASCII when it is written, the rest of
//! it escaped as JSON escapes, and cut.

use std::fmt;

use policy::{Decision, Ground, Guard, Mode, Principal, Reason, Timestamp, Verdict};

use crate::json::{Object, Value, each};
use crate::line::LONGEST;
use crate::process::boot_id;
use crate::spool::Ticket;
use crate::token::{Cause, Effect, Phase, Token, Word};

/// The form of the lines.
const VERSION: u32 = 1;

/// Names with a number each: whose records were dropped, and how many; `bob:9940,uid=1001:3` in a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<(String, u64)>);

/// What a line may have under a name.
trait Field: Sized {
    /// Must it be there?
    const IS_NEEDED: bool = false;

    /// The value where it is not there.
    fn empty() -> Self;
    fn read(value: Value<'_>) -> Option<Self>;
    fn write(&self, name: &str, line: &mut Object);
}

macro_rules! record {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// One line. Empty values are left out of it, and what is not there is empty: an earlier release wrote less.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Record {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Record {
            /// The line, with its end.
            pub fn line(&self) -> String {
                let mut line = Object::new();
                line.number("version", VERSION);
                $(self.$name.write(stringify!($name), &mut line);)*
                line.end()
            }

            /// Reads a line. Names that this release does not know are passed over; `None`: it is damaged, or in another
            /// form.
            pub fn read(line: &str) -> Option<Self> {
                let mut version = None;
                $(let mut $name: Option<$type> = None;)*
                each(line, |name, value| {
                    match name {
                        "version" => version = Some(value),
                        $(stringify!($name) => $name = Some(Field::read(value)?),)*
                        _ => {}
                    }
                    Some(())
                })?;
                let is_ours = <Option<u32> as Field>::read(version?)? == Some(VERSION);
                let is_whole = $(($name.is_some() || !<$type as Field>::IS_NEEDED))&&*;
                let record = Self { $($name: $name.unwrap_or_else(Field::empty),)* };
                (is_ours && is_whole).then_some(record)
            }

            fn empty() -> Self {
                Self { $($name: Field::empty(),)* }
            }
        }
    };
}

record! {
    /// Its number since the boot; `None`: nothing could be counted on the host then. Host, boot and number name a record.
    seq: Option<u64>,
    /// When.
    time: Timestamp,
    /// The host, as rules match it.
    host: String,
    /// What the lines of one login share: 16 hexadecimal digits.
    id: String,
    /// At what point of the login.
    phase: Option<Token<Phase>>,
    /// The process that wrote it, inside which PAM was asked: it holds the session.
    pid: Option<u32>,
    /// When that process began, in clock ticks since the boot: field 22 of /proc/PID/stat.
    pid_start: Option<u64>,
    /// The boot, as the kernel names it.
    boot_id: String,
    /// The login uid of that process, if it has one.
    loginuid: Option<u32>,
    /// Its session in the kernel's audit, if it has one.
    audit_session: Option<u32>,
    /// Its cgroup: the path of version 2, or of systemd's own hierarchy.
    cgroup: String,
    /// The human being, where one is known.
    person: String,
    /// `PAM_USER`.
    account: String,
    /// What `PAM_USER` was before, where another module or the program has changed it.
    account_before: String,
    /// PAM service.
    service: String,
    /// `PAM_RUSER`.
    asker: String,
    /// The real uid, where that is the caller's.
    caller: Option<u32>,
    /// `PAM_RHOST`.
    rhost: String,
    /// `PAM_TTY`.
    tty: String,
    /// The key that opened the session.
    fingerprint: String,
    /// The key that signed the certificate of it, where it came with one.
    authority: String,
    /// That certificate's number, as its authority counts.
    serial: Option<u64>,
    /// What its authority calls it.
    key_id: String,
    /// What was decided.
    verdict: Option<Token<Verdict>>,
    /// Why.
    reason: Option<Token<Reason>>,
    /// What the module did about it.
    effect: Option<Token<Effect>>,
    /// Was it enforced?
    mode: Option<Token<Mode>>,
    /// Why the account is guarded, where it is.
    guard: Option<Token<Guard>>,
    /// The rule that counts the shift, or takes the grant.
    rule: String,
    /// The shift's schedule.
    schedule: String,
    /// Its name for people.
    schedule_name: String,
    /// The shift's escalation level.
    level: Option<u8>,
    /// When the shift or the grant starts.
    start: Option<Timestamp>,
    /// And when it ends.
    end: Option<Timestamp>,
    /// When this host first saw the shift, if that was less than 15 minutes before it began.
    late: Option<Timestamp>,
    /// Seconds since the sync that told.
    age_seconds: Option<i64>,
    /// The most that these may be, where they are more.
    limit_seconds: Option<i64>,
    /// Since when the person is revoked.
    since: Option<Timestamp>,
    /// Who revoked them, or ended the session.
    by: String,
    /// The `[[policy.automation]]` of a program, from 1.
    automation: Option<u64>,
    /// The name of the grant.
    grant: String,
    /// Who signed it.
    approvers: String,
    /// Who answers for the program.
    owner: String,
    /// Of somebody on call whose rule waits for an incident: the id of the one that counts, or `unknown` where it is not
    /// known which are open.
    incident: String,
    /// Of somebody on call whose rule asks why: `stated`, or `unclaimed` where nobody could state it.
    claim: String,
    /// Why the person is revoked, what the program is for, why somebody asked for a grant, what somebody on call has
    /// stated, or why root ended the session.
    why: String,
    /// Of a session that was ended: why.
    ended: Option<Token<Cause>>,
    /// When the program's entry ends.
    ends: Option<Timestamp>,
    /// When the decision changes by the passing of time alone.
    until: Option<Timestamp>,
    /// The people whose key it is, where that is not one.
    owners: String,
    /// What was wrong with the files that root wrote.
    problem: String,
    /// Whose records were dropped in minutes that are over.
    dropped: Counts,
    /// Of a heartbeat: the boots before this one that the host remembers, the newest first, each with the last number of a
    /// record that is known of it.
    previous: Counts,
    /// Of a heartbeat: the digest of the configuration, as history.jsonl has it.
    policy: String,
    /// Of a heartbeat: `signed`, or `unsigned` where policies are signed and what runs is not as signed.
    approval: String,
    /// Of a heartbeat: the number of the signed policy that runs.
    policy_number: Option<u64>,
    /// Of a heartbeat: the digest of the policy that runs, as it is signed.
    policy_digest: String,
}

impl Record {
    /// A record that says nothing but when.
    pub fn at(time: Timestamp) -> Self {
        Self { time, ..Self::empty() }
    }

    /// The same with what `decision` says, taken in `mode`.
    #[must_use]
    pub fn decided(self, decision: &Decision, mode: Mode) -> Self {
        let Decision { verdict, reason, guard, ground, until } = decision;
        let effect = if decision.effect(mode).refuses() { Effect::Refuse } else { Effect::Pass };
        let record = Self {
            verdict: Some(Token::Known(*verdict)),
            reason: Some(Token::Known(*reason)),
            effect: Some(Token::Known(effect)),
            mode: Some(Token::Known(mode)),
            guard: guard.clone().map(Token::Known),
            until: *until,
            ..self
        };
        record.on_ground(ground)
    }

    fn on_ground(self, ground: &Ground) -> Self {
        match ground {
            Ground::OnCall(ground) => Self {
                rule: ground.rule.clone(),
                schedule: ground.schedule.to_string(),
                schedule_name: ground.schedule_name.to_string(),
                level: Some(ground.level),
                start: Some(ground.window.start()),
                end: Some(ground.window.end()),
                late: ground.late,
                age_seconds: Some(ground.age.as_seconds()),
                incident: ground.incident.word().to_string(),
                claim: ground.claim.word().to_string(),
                why: ground.claim.reason().to_string(),
                ..self
            },
            Ground::Unbelieved(schedule, age, limit) => Self {
                schedule: schedule.to_string(),
                age_seconds: Some(age.as_seconds()),
                limit_seconds: Some(limit.as_seconds()),
                ..self
            },
            Ground::Revoked(revocation) => Self {
                since: Some(revocation.since),
                by: revocation.speaker(),
                why: revocation.reason.clone(),
                ..self
            },
            Ground::Program(program) => Self {
                automation: u64::try_from(program.number).ok(),
                owner: program.owner.clone(),
                why: program.reason.clone(),
                ends: Some(program.until),
                ..self
            },
            Ground::Grant(grant) => Self {
                rule: grant.rule.clone(),
                grant: grant.id.clone(),
                approvers: Principal::list(&grant.approvers, ","),
                start: Some(grant.window.start()),
                end: Some(grant.window.end()),
                why: grant.reason.clone(),
                ..self
            },
            Ground::None => self,
        }
    }

    /// The same by its name: this boot, and the number of `ticket`.
    #[must_use]
    pub fn numbered(self, ticket: Ticket) -> Self {
        let boot_id = if self.boot_id.is_empty() { boot_id() } else { self.boot_id };
        Self { seq: ticket.number, dropped: ticket.dropped, boot_id, ..self }
    }

    /// The record of the same session's end: whose it was, and nothing of the decision.
    #[must_use]
    pub fn closed(self, at: Timestamp) -> Self {
        let Self { host, id, person, account, account_before, service, asker, caller, .. } = self;
        let Self { rhost, tty, fingerprint, authority, serial, key_id, .. } = self;
        let phase = Some(Token::Known(Phase::Close));
        let whose = Self { host, id, phase, person, account, account_before, service, ..Self::at(at) };
        Self { asker, caller, rhost, tty, fingerprint, authority, serial, key_id, ..whose }
    }

    /// The same as of the process that wrote `opening`, and of nobody else's.
    #[must_use]
    pub fn of_process(self, opening: &Self) -> Self {
        let Self { pid, pid_start, boot_id, loginuid, audit_session, cgroup, .. } = opening.clone();
        Self { pid, pid_start, boot_id, loginuid, audit_session, cgroup, ..self }
    }

    /// At what point of the login it was written, if this release knows that point.
    pub fn phase(&self) -> Option<Phase> {
        self.phase.as_ref()?.known().copied()
    }

    /// What was decided, if this release knows such a verdict.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict.as_ref()?.known().copied()
    }

    /// Why, if this release knows such a reason.
    pub fn reason(&self) -> Option<Reason> {
        self.reason.as_ref()?.known().copied()
    }

    /// What the module did about it, if this release knows such an effect.
    pub fn effect(&self) -> Option<Effect> {
        self.effect.as_ref()?.known().copied()
    }
}

impl Field for String {
    fn empty() -> Self {
        Self::new()
    }

    fn read(value: Value<'_>) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }

    fn write(&self, name: &str, line: &mut Object) {
        line.text(name, self);
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Field for Option<$type> {
            fn empty() -> Self {
                None
            }

            fn read(value: Value<'_>) -> Option<Self> {
                if let Value::Number(number) = value { number.parse().ok().map(Some) } else { None }
            }

            fn write(&self, name: &str, line: &mut Object) {
                if let Some(number) = self {
                    line.number(name, number);
                }
            }
        }
    )*};
}

numbers! { u8 u32 u64 i64 }

impl Field for Timestamp {
    const IS_NEEDED: bool = true;

    fn empty() -> Self {
        Self::from_unix(0)
    }

    fn read(value: Value<'_>) -> Option<Self> {
        match String::read(value)?.as_str() {
            "always" => Some(Self::MIN),
            "never" => Some(Self::MAX),
            text => Self::parse(text),
        }
    }

    fn write(&self, name: &str, line: &mut Object) {
        line.text(name, &self.to_string());
    }
}

impl Field for Option<Timestamp> {
    fn empty() -> Self {
        None
    }

    fn read(value: Value<'_>) -> Option<Self> {
        <Timestamp as Field>::read(value).map(Some)
    }

    fn write(&self, name: &str, line: &mut Object) {
        if let Some(at) = self {
            at.write(name, line);
        }
    }
}

impl<T: Word> Field for Option<Token<T>> {
    fn empty() -> Self {
        None
    }

    fn read(value: Value<'_>) -> Option<Self> {
        let word = String::read(value)?;
        Some((!word.is_empty()).then(|| Token::read(&word)))
    }

    fn write(&self, name: &str, line: &mut Object) {
        if let Some(word) = self {
            line.text(name, &word.to_string());
        }
    }
}

impl Field for Counts {
    fn empty() -> Self {
        Self::default()
    }

    /// A part that is none was cut.
    fn read(value: Value<'_>) -> Option<Self> {
        let text = String::read(value)?;
        let is_name =
            |who: &str| who.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        let part = |part: &str| {
            let (who, count) = part.rsplit_once(':').filter(|(who, _)| is_name(who))?;
            Some((who.to_string(), count.parse().ok()?))
        };
        Some(Self(text.split(',').filter_map(part).collect()))
    }

    fn write(&self, name: &str, line: &mut Object) {
        line.text(name, &self.to_string());
    }
}

impl fmt::Display for Counts {
    /// As many as a text may have letters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for (who, count) in &self.0 {
            let comma = if written > 0 { "," } else { "" };
            let part = format!("{comma}{who}:{count}");
            written += part.len();
            if written > LONGEST {
                break;
            }
            f.write_str(&part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
