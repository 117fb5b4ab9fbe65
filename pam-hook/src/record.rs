//! What is written down of a login: its decision, when its session opens and when it closes, by one id.
//!
//! Between the calls of one login the record of its decision is kept in PAM's own data. Nothing here refuses
//! anybody: what cannot be written is lost, and the next line that can be written shows that something was.

use std::path::PathBuf;

use host::audit::{Line, Phase, Record, Spool};
use host::config::DEFAULT_AUDIT;
use nix::unistd::getuid;
use policy::{
    Decision, Effect, Login, Mode, Notice, Person, Timestamp, Verdict, asks_the_caller, names_its_caller,
};
use store::PublicKey;

use crate::account::{Answer, World};
use crate::pam::{Call, Request};

/// A decision to be written down.
#[derive(Debug, Clone)]
pub struct Entry {
    record: Record,
    /// The audit file.
    path: PathBuf,
    /// Whose record it is, for the count of their records: a name that a file can have.
    who: String,
}

/// One decision and what it is about.
pub struct Decided<'a> {
    /// The login.
    pub login: &'a Login<'a>,
    /// What was decided.
    pub decision: &'a Decision,
    /// The mode that was in force.
    pub mode: Mode,
    /// The key that opened the session.
    pub key: Option<&'a PublicKey>,
}

/// What is kept between the calls of one login.
#[derive(Debug, Clone)]
pub struct Kept {
    /// `PAM_USER` when we first saw it.
    user: String,
    /// The decision that let the login in, if it was guarded, and if it was written down.
    admitted: Option<Box<Entry>>,
    /// Has somebody been let in? What was refused, or left to the session, is decided there.
    pub was_decided: bool,
    /// Has account management left it to the session?
    pub was_left: bool,
    /// Has account management said why the session will refuse?
    pub was_told: bool,
}

impl Kept {
    /// Whom PAM was asked about, and no more.
    fn of(user: String) -> Self {
        Self { user, admitted: None, was_decided: false, was_left: false, was_told: false }
    }
}

impl Entry {
    /// Gathers what belongs to one decision.
    pub fn new(request: &Request, world: &World, decided: &Decided<'_>) -> Self {
        let Decided { login, decision, mode, key } = *decided;
        let person = match login.person {
            Person::Known(principal) => principal.to_string(),
            _ => String::new(),
        };
        let record = Record {
            id: new_id(),
            host: world.rules().host.name.clone(),
            person,
            account: request.user.clone(),
            account_before: String::new(),
            service: request.service.clone(),
            asker: request.asker.clone(),
            caller: asks_the_caller(&request.service).then(|| getuid().as_raw()),
            remote_host: request.remote_host.clone(),
            tty: request.tty.clone(),
            fingerprint: key.map(PublicKey::fingerprint).unwrap_or_default(),
            owners: String::new(),
            problem: world.problem(),
            mode,
            decision: decision.clone(),
        };
        let path = world.config.as_ref().map_or_else(|_| DEFAULT_AUDIT.into(), |it| it.paths.audit.clone());
        Self { who: who(&record, key), record, path }
    }

    /// The same with the names of the people whose key it may be.
    pub fn with_owners(mut self, owners: String) -> Self {
        self.record.owners = owners;
        self
    }

    /// Does a session follow that is worth recording?
    fn admits(&self) -> bool {
        let Decision { guard, verdict, .. } = &self.record.decision;
        guard.is_some() && *verdict != Verdict::NotOurs && !self.record.effect().refuses()
    }

    fn spool(&self) -> Spool {
        Spool::new(&self.path)
    }
}

/// Whose records this one is counted with. What is admitted and what is not are counted apart, so that neither can
/// hide the other. A person is known by name, a caller by uid, and a key that is nobody's by itself.
fn who(record: &Record, key: Option<&PublicKey>) -> String {
    let is_name = |name: &str| policy::Principal::new(name).is_ok();
    let whose = match (key, record.caller) {
        _ if !record.person.is_empty() => record.person.clone(),
        (Some(key), _) => key.sha256().iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        (None, Some(caller)) => format!("uid={caller}"),
        (None, None) if is_name(&record.account) => format!("account={}", record.account),
        (None, None) => "nobody".to_string(),
    };
    format!("{whose}{}", if record.decision.allows() { '+' } else { '-' })
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

/// Writes a decision down, in the log and in the audit file, and keeps it for the session. What is not a decision
/// passes through.
pub fn decided(call: &Call, request: &Request, mut answer: Answer, phase: Phase, now: Timestamp) -> Answer {
    let kept = call.kept();
    let user = kept.map_or_else(|| request.user.clone(), |kept| kept.user);
    let (Some(mut entry), Some(line)) = (answer.record.take(), answer.log.take()) else {
        if answer.effect == Effect::Allow {
            // The decision awaits the key, or the session.
            call.keep(Kept { was_left: true, was_told: answer.tell.is_some(), ..Kept::of(user) });
        }
        return answer;
    };
    entry.record.account_before = changed(&user, request);
    let was_written = publish(&entry, line, phase, now);
    let admitted = (was_written && entry.admits()).then_some(entry);
    call.keep(Kept { admitted, was_decided: !answer.effect.refuses(), ..Kept::of(user) });
    answer
}

/// `user`, if PAM is asked about another one now. sudo and doas always change it, from its caller to its target.
fn changed(user: &str, request: &Request) -> String {
    let is_same = user == request.user || names_its_caller(&request.service);
    if is_same { String::new() } else { user.to_string() }
}

/// Both lines of one decision; whether there was room for them.
fn publish(entry: &Entry, line: Line, phase: Phase, now: Timestamp) -> bool {
    let spool = entry.spool();
    let Some(ticket) = spool.ticket(&entry.who, now) else { return false };
    let written = spool.append(&entry.record.line(phase, now, &ticket));
    let unwritten = written.err().map(|error| error.to_string()).unwrap_or_default();
    let test = if phase == Phase::Test { phase.token() } else { "" };
    line.field("phase", test)
        .field("id", &entry.record.id)
        .field("was", &entry.record.account_before)
        .field("dropped", &ticket.dropped_text())
        .field("unwritten", &unwritten)
        .send("pam_oncall");
    true
}

/// A session opens: the decision was taken just now, or by account management.
pub fn opened(call: &Call, request: &Request, answer: Answer, now: Timestamp) -> Answer {
    let answer = if answer.record.is_some() {
        decided(call, request, answer, Phase::Session, now)
    } else if let Some(kept @ Kept { admitted: Some(_), .. }) = call.kept() {
        let admitted = kept.admitted.map(|mut entry| {
            entry.record.account = request.user.clone();
            entry.record.account_before = changed(&kept.user, request);
            write(&entry, Phase::Session, now);
            entry
        });
        call.keep(Kept { admitted, ..kept });
        answer
    } else {
        return answer;
    };
    let admitted = call.kept().and_then(|kept| kept.admitted);
    let notice = admitted.and_then(|entry| notice(&entry.record.decision, request, now));
    // Old news are the more urgent ones.
    Answer { tell: answer.tell.or(notice), ..answer }
}

/// A session closes.
pub fn closed(call: &Call, request: &Request, now: Timestamp) -> Answer {
    if let Some(Kept { user, admitted: Some(mut entry), .. }) = call.kept() {
        entry.record.account = request.user.clone();
        write(&entry, Phase::Close, now);
        call.keep(Kept::of(user));
    }
    Answer::NONE
}

/// Remembers whom PAM was asked about first.
pub fn asked(call: &Call, request: &Request) -> Answer {
    if call.kept().is_none() {
        call.keep(Kept::of(request.user.clone()));
    }
    Answer::NONE
}

/// The line of a session whose decision was written down. There was room for that, so there is for this.
fn write(entry: &Entry, phase: Phase, now: Timestamp) {
    let spool = entry.spool();
    // What is lost leaves a hole in the numbers.
    let _ = spool.append(&entry.record.line(phase, now, &spool.number()));
}

/// Does `PAM_SILENT` say here what the caller wants? login sets it for those who have a .hushlogin, and sshd hands on
/// nothing else; sudo always sets it.
pub fn asks_for_silence(service: &str) -> bool {
    matches!(service, "sshd" | "login")
}

/// Until when the right lasts, for somebody who sits at a terminal. sshd shows it to interactive logins alone
/// (measured: nothing of it reaches a command, sftp or scp), the others on standard error. Whoever calls sudo
/// reads it only when the end is near: they do so all day.
fn notice(decision: &Decision, request: &Request, now: Timestamp) -> Option<String> {
    let has_terminal = request.service == "sshd" || !request.tty.is_empty();
    let notice = Notice::new(decision, now).filter(|_| has_terminal)?;
    (!names_its_caller(&request.service) || notice.is_soon()).then(|| notice.to_string())
}
