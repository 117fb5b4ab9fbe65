//! What is written down of a login: its decision, when its session opens and when it closes, by one id; and, as long as it
//! is open, its file among the open sessions.
//!
//! Between the calls of one login the record of its decision is kept in PAM's own data. Nothing here refuses
//! anybody: what cannot be written is lost, and the next line that can be written shows that something was.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use nix::unistd::{geteuid, getuid};
use policy::{Decision, Effect, Notice, Timestamp, Verdict, asks_the_caller, names_its_caller};
use record::{Line, Phase, Record, Sessions, Spool, Token};
use store::PublicKey;

use crate::account::{Answer, Decided, Earlier};
use crate::pam::{Call, Request};

/// A decision to be written down.
#[derive(Debug, Clone)]
struct Entry {
    /// What all lines of the login say.
    record: Record,
    decision: Decision,
    /// The audit file.
    path: PathBuf,
    /// Whose record it is, for the count of their records: a name that a file can have.
    who: String,
    /// Was there room for its decision? Then there is for its session.
    is_recorded: bool,
}

/// What is kept between the calls of one login.
#[derive(Debug, Clone)]
struct Kept {
    /// `PAM_USER` when we first saw it.
    user: String,
    /// The decision that let the login in, if it was guarded.
    admitted: Option<Box<Entry>>,
    /// What account management has done.
    earlier: Earlier,
}

impl Kept {
    /// Whom PAM was asked about, and no more.
    fn of(user: String) -> Self {
        Self { user, admitted: None, earlier: Earlier::default() }
    }
}

impl Entry {
    /// Gathers what belongs to one decision about `request`; `user` is whom PAM was asked about first.
    fn new(request: &Request, decided: &Decided, user: &str, now: Timestamp) -> Self {
        let record = Record {
            host: decided.host.clone(),
            id: new_id(),
            pid: Some(std::process::id()),
            person: decided.person.clone(),
            account: request.user.clone(),
            account_before: changed(user, request),
            service: request.service.clone(),
            asker: request.asker.clone(),
            caller: asks_the_caller(&request.service).then(|| getuid().as_raw()),
            rhost: request.remote_host.clone(),
            tty: request.tty.clone(),
            fingerprint: fingerprint(decided),
            authority: authority(decided),
            serial: decided.certificate.as_ref().map(|certificate| certificate.serial()),
            key_id: key_id(decided),
            owners: decided.owners.clone(),
            problem: decided.problem.clone(),
            ..Record::at(now)
        };
        let decision = decided.decision.clone();
        let record = record.decided(&decision, decided.mode);
        let (who, path) = (who(decided, &record), decided.audit.clone());
        Self { record, decision, path, who, is_recorded: false }
    }

    /// Does a session follow that is worth recording?
    fn admits(&self) -> bool {
        let Decision { guard, verdict, .. } = &self.decision;
        guard.is_some() && *verdict != Verdict::NotOurs && self.record.effect() == Some(record::Effect::Pass)
    }

    /// The same at another point of the login.
    fn at(&mut self, phase: Phase, account: &str, now: Timestamp) {
        let record = Record { account: account.to_string(), time: now, ..self.record.clone() };
        let record = if phase == Phase::Close { record.closed(now) } else { record };
        self.record = Record { phase: Some(Token::Known(phase)), ..record.by_this_process() };
    }

    fn spool(&self) -> Spool {
        Spool::new(&self.path)
    }

    /// Writes the line of a session whose decision was written down.
    fn write(&self) {
        if self.is_recorded {
            let spool = self.spool();
            let ticket = spool.number();
            let record = self.record.clone().numbered(ticket);
            // What is lost leaves a hole in the numbers.
            let _ = spool.append(&record.line());
        }
    }

    /// Puts the session among those that are open. That this fails refuses nobody.
    fn open_session(&self) {
        // A program that asks PAM as somebody else than root cannot write there, and makes nobody root.
        if !geteuid().is_root() {
            return;
        }
        let outcome = Sessions::of_this_host().open(&self.record);
        // With the limit of the records: a person who can cause it would fill the log.
        if let (Err(error), true) = (outcome, self.is_recorded) {
            let Record { person, service, account, id, .. } = &self.record;
            let named = if person.is_empty() { "-" } else { person };
            Line::new(named, self.decision.verdict, self.decision.reason)
                .field("phase", "session")
                .field("service", service)
                .field("account", account)
                .field("id", id)
                .field("unlisted", &error.to_string())
                .send("pam_oncall");
        }
    }
}

/// The log's line of one decision about `request`.
fn line(request: &Request, decided: &Decided) -> Line {
    let named = if decided.named.is_empty() { "-" } else { &decided.named };
    Line::of(named, &decided.decision)
        .field("mode", decided.mode_word)
        .field("service", &request.service)
        .field("account", &request.user)
        .field("asker", &request.asker)
        .field("rhost", &request.remote_host)
        .field("tty", &request.tty)
        .field("fingerprint", &fingerprint(decided))
        .field("authority", &authority(decided))
        .field(
            "serial",
            &decided.certificate.as_ref().map(|one| one.serial().to_string()).unwrap_or_default(),
        )
        .field("key_id", &key_id(decided))
        .field("problem", &decided.problem)
        .field("owners", &decided.owners)
}

fn fingerprint(decided: &Decided) -> String {
    decided.key.as_ref().map(PublicKey::fingerprint).unwrap_or_default()
}

/// The key that signed the certificate.
fn authority(decided: &Decided) -> String {
    decided.certificate.as_ref().map(|certificate| certificate.authority().fingerprint()).unwrap_or_default()
}

/// What that calls the certificate.
fn key_id(decided: &Decided) -> String {
    decided.certificate.as_ref().map(|certificate| certificate.id().to_string()).unwrap_or_default()
}

/// Whose records this one is counted with. What is admitted and what is not are counted apart, so that neither can
/// hide the other. A person is known by name, a caller by uid, and a key that is nobody's by itself.
fn who(decided: &Decided, record: &Record) -> String {
    let is_name = |name: &str| policy::Principal::new(name).is_ok();
    let whose = match (&decided.key, record.caller) {
        _ if !record.person.is_empty() => record.person.clone(),
        (Some(key), _) => key.sha256().iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        (None, Some(caller)) => format!("uid={caller}"),
        (None, None) if is_name(&record.account) => format!("account={}", record.account),
        (None, None) => "nobody".to_string(),
    };
    format!("{whose}{}", if decided.decision.allows() { '+' } else { '-' })
}

/// 64 random bits; nothing rests on them but that no two logins have the same.
fn new_id() -> String {
    let mut bytes = [0; 8];
    // Without random bits the lines of a login cannot be told from others', and say so by an empty id.
    if getrandom::getrandom(&mut bytes).is_err() {
        return String::new();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What account management has done about the login of this call.
pub fn earlier(call: &Call) -> Earlier {
    call.kept::<Kept>().map(|kept| kept.earlier).unwrap_or_default()
}

/// Writes a decision down, in the log and in the audit file, and keeps it for the session. What is not a decision
/// passes through.
pub fn decided(call: &Call, request: &Request, answer: Answer, phase: Phase, now: Timestamp) -> Answer {
    let user = call.kept::<Kept>().map_or_else(|| request.user.clone(), |kept| kept.user);
    let Some(decided) = &answer.decided else {
        if answer.effect == Effect::Allow {
            // The decision awaits the key, or the session.
            let earlier = Earlier { was_left: true, was_told: answer.tell.is_some(), ..Earlier::default() };
            call.keep(Kept { earlier, ..Kept::of(user) });
        }
        return answer;
    };
    let mut entry = Box::new(Entry::new(request, decided, &user, now));
    entry.record.phase = Some(Token::Known(phase));
    if phase == Phase::Session && entry.admits() {
        entry.record = entry.record.by_this_process();
    }
    entry.is_recorded = at_most_lost(|| publish(&entry, line(request, decided), now));
    let admitted = entry.admits().then_some(entry);
    let earlier = Earlier { was_decided: !answer.effect.refuses(), ..Earlier::default() };
    call.keep(Kept { admitted, earlier, ..Kept::of(user) });
    answer
}

/// `user`, if PAM is asked about another one now. sudo and doas always change it, from its caller to its target.
fn changed(user: &str, request: &Request) -> String {
    let is_same = user == request.user || names_its_caller(&request.service);
    if is_same { String::new() } else { user.to_string() }
}

/// What `write` returns. Where it panics, something was not written down, and the decision holds all the same.
fn at_most_lost<T: Default>(write: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(write)).unwrap_or_default()
}

/// Both lines of one decision; whether there was room for them.
fn publish(entry: &Entry, line: Line, now: Timestamp) -> bool {
    let spool = entry.spool();
    let Some(ticket) = spool.ticket(&entry.who, now) else { return false };
    let dropped = ticket.dropped.to_string();
    let record = entry.record.clone().numbered(ticket);
    let unwritten = spool.append(&record.line()).err().map(|error| error.to_string()).unwrap_or_default();
    let test = record.phase.filter(|phase| phase.known() == Some(&Phase::Test));
    line.field("phase", &test.map(|test| test.to_string()).unwrap_or_default())
        .field("id", &entry.record.id)
        .field("was", &entry.record.account_before)
        .field("dropped", &dropped)
        .field("unwritten", &unwritten)
        .send("pam_oncall");
    true
}

/// A session opens: the decision was taken just now, or by account management.
///
/// A later module may still refuse it. libpam tells nobody then: a caller whose session was refused does not close it, and
/// the status that pam_end(3) hands to a module's data is the caller's, which sshd and sudo set from other calls as well. So
/// the file of the session stays until its process has ended.
pub fn opened(call: &Call, request: &Request, answer: Answer, now: Timestamp) -> Answer {
    let is_decided_now = answer.decided.is_some();
    let answer = if is_decided_now { decided(call, request, answer, Phase::Session, now) } else { answer };
    let Some(Kept { user, admitted: Some(mut entry), earlier }) = call.kept() else { return answer };
    if !is_decided_now {
        entry.at(Phase::Session, &request.user, now);
        entry.record.account_before = changed(&user, request);
        at_most_lost(|| entry.write());
    }
    at_most_lost(|| entry.open_session());
    let notice = notice(&entry.decision, request, now);
    call.keep(Kept { user, admitted: Some(entry), earlier });
    // A warning about an old roster is more urgent.
    Answer { tell: answer.tell.or(notice), ..answer }
}

/// A session closes.
pub fn closed(call: &Call, request: &Request, now: Timestamp) -> Answer {
    if let Some(Kept { user, admitted: Some(mut entry), .. }) = call.kept() {
        entry.at(Phase::Close, &request.user, now);
        at_most_lost(|| entry.write());
        Sessions::of_this_host().close(&entry.record.id);
        call.keep(Kept::of(user));
    }
    Answer::NONE
}

/// Remembers whom PAM was asked about first.
pub fn asked(call: &Call, request: &Request) -> Answer {
    if call.kept::<Kept>().is_none() {
        call.keep(Kept::of(request.user.clone()));
    }
    Answer::NONE
}

/// Does `PAM_SILENT` say here what the caller wants? login sets it for those who have a .hushlogin, and sshd hands on
/// nothing else; sudo always sets it.
pub fn asks_for_silence(service: &str) -> bool {
    matches!(service, "sshd" | "login")
}

/// Until when the right lasts, for somebody who sits at a terminal. sshd shows it to interactive logins alone
/// (measured: nothing of it reaches a command, sftp or scp), the others on standard error. A caller of sudo
/// reads it only when the end is near: they do so all day.
fn notice(decision: &Decision, request: &Request, now: Timestamp) -> Option<String> {
    let has_terminal = request.service == "sshd" || !request.tty.is_empty();
    let notice = Notice::new(decision, now).filter(|_| has_terminal)?;
    (!names_its_caller(&request.service) || notice.is_soon()).then(|| notice.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_while_something_is_written_down_is_a_line_less() {
        assert!(at_most_lost(|| true));
        assert!(!at_most_lost(|| -> bool { panic!("ours") }));
    }
}
