//! What is written down of sessions whose right has ended.

use policy::ending::{Cause, EndAction, Ends};
use policy::{Decision, Mode, Timestamp};
use record::{Line, Phase, Record, Spool, Token};
use state::HostState;

/// Does this host record what would be ended, and end nothing?
pub fn is_watching(state: &HostState, now: Timestamp) -> bool {
    let lists = state.config().is_ok_and(|config| config.end.action == EndAction::List);
    lists || state.mode(now).0 == Mode::Observe
}

/// Writes down that the session of `record` would be ended now, by this decision: in the log, and in the record of
/// decisions.
///
/// # Errors
/// Text that says what was not written, and why.
pub fn would_end(
    state: &HostState,
    record: &Record,
    decision: &Decision,
    cause: Cause,
    now: Timestamp,
) -> Result<(), String> {
    let Ok(config) = state.config() else { return Ok(()) };
    let spool = Spool::new(&config.paths.audit);
    // By whose name it is counted ends with no sign, so that logins leave room for it.
    let who = if record.person.is_empty() { "would-end" } else { &record.person };
    let Some(ticket) = spool.ticket(who, now) else {
        return Err(format!("more ends of {who} in this minute than are recorded; the next run tries again"));
    };
    let told = judged(record, decision, state.mode(now).0, now);
    let told = Record { ended: Some(Token::Known(self::cause(cause))), ..told }.numbered(ticket);
    let written =
        spool.append(&told.line()).map_err(|error| format!("{}: {error}", config.paths.audit.display()));
    Line::of(&record.person, decision)
        .field("phase", "would-end")
        .field("service", &record.service)
        .field("account", &record.account)
        .field("id", &record.id)
        .field("unwritten", written.as_ref().err().map_or("", String::as_str))
        .send("oncall-cache");
    written
}

/// The same as records name it.
pub fn cause(cause: Cause) -> record::Cause {
    match cause {
        Cause::Shift => record::Cause::Shift,
        Cause::Grant => record::Cause::Grant,
        Cause::Revoked => record::Cause::Revoked,
    }
}

/// The log's line of a warning, which was written on so many terminals, and why not on others.
pub fn warned(record: &Record, ends: &Ends, terminals: usize, untold: &str) {
    let named = if record.person.is_empty() { "-" } else { &record.person };
    Line::new(named, "warned", ends.cause.word())
        .field("service", &record.service)
        .field("account", &record.account)
        .field("id", &record.id)
        .field("end", &ends.right.to_string())
        .field("due", &ends.due.to_string())
        .field("terminals", &terminals.to_string())
        .field("untold", untold)
        .send("oncall-cache");
}

/// The record: whose session and process it is, and why it would be ended. Nothing was done about it.
fn judged(record: &Record, decision: &Decision, mode: Mode, now: Timestamp) -> Record {
    let phase = Some(Token::Known(Phase::WouldEnd));
    let whose = Record { phase, ..record.clone().closed(now).of_process(record) };
    Record { effect: None, ..whose.decided(decision, mode) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Ground, Reason, Verdict};

    #[test]
    fn what_would_be_ended_is_told_with_whose_it_is_and_why() {
        let now = Timestamp::from_unix(1_795_165_200);
        let opening = Record {
            id: "00000000000000aa".to_string(),
            person: "alice".to_string(),
            account: "root".to_string(),
            service: "sudo".to_string(),
            schedule: "rota/primary".to_string(),
            pid: Some(7),
            pid_start: Some(8),
            boot_id: "b".to_string(),
            ..Record::at(now)
        };
        let (verdict, reason) = (Verdict::Refuse, Reason::NotOnCall);
        let decision = Decision { verdict, reason, guard: None, ground: Ground::None, until: None };
        assert_eq!(
            judged(&opening, &decision, Mode::Enforce, now).line(),
            "{\"version\":1,\"time\":\"2026-11-20T09:00:00Z\",\"id\":\"00000000000000aa\",\"phase\":\"would-end\",\
             \"pid\":7,\"pid_start\":8,\"boot_id\":\"b\",\"person\":\"alice\",\"account\":\"root\",\
             \"service\":\"sudo\",\"verdict\":\"refuse\",\"reason\":\"not-oncall\",\"mode\":\"enforce\"}\n"
        );
    }
}
