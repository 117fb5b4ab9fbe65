//! `sessions`: which guarded sessions are open, whose right has ended meanwhile, and what runs in them.
//!
//! It ends nothing. The session hook writes down each session and the process that holds it; what belongs to it is read
//! from /proc.

mod processes;
mod ties;

use std::collections::BTreeMap;
use std::path::Path;

use host::accounts;
use policy::{Actor, Decision, Login, Principal, Timestamp, Verdict};
use record::{Record, Sessions};
use serde_json::{Value, json};
use state::{Asked, HostState, Which};

use crate::cli::SessionsArguments;
use crate::said::Said;
use crate::table::aligned;
use crate::when::When;
use processes::Process;
use ties::Ties;

/// The sessions, as they are now.
pub fn run(config: &Path, arguments: &SessionsArguments, now: Timestamp) -> Said {
    if !accounts::is_root() {
        return failed(arguments, "only root may read what runs in sessions; use sudo");
    }
    let (records, unknown) = match Sessions::of_this_host().open_now() {
        Ok(read) => read,
        Err(error) => return failed(arguments, &format!("{}: {error}", Sessions::DIRECTORY)),
    };
    let mut state = HostState::load(config);
    state.read_roster(Asked::Everything, now, now);
    state.read_grants(Which::All, now);
    let processes = processes::all();
    let ties = Ties::new(&records, &processes);
    let rights = records.iter().map(|record| Right::of(record, &state, now)).collect();
    let shown = Shown { records, rights, processes, ties, is_full: arguments.full, now };
    let said = if arguments.json { Said::json(&shown.json()) } else { Said::text(shown.text()) };
    let note = |name: &String| format!("{}/{name}: not of this release; it is left out", Sessions::DIRECTORY);
    said.notes(unknown.iter().map(note)).exit(shown.exit_code())
}

fn failed(arguments: &SessionsArguments, problem: &str) -> Said {
    let json = || json!({ "version": 1, "error": problem });
    Said::failure_as(arguments.json.then(json), format_args!("cannot tell: {problem}"))
}

/// What is decided now for whoever opened a session, by the same door; nothing, where it opened by no right that ends with a
/// shift or a grant.
#[derive(Debug)]
struct Right(Option<Decision>);

impl Right {
    fn of(record: &Record, state: &HostState, now: Timestamp) -> Self {
        let by_shift_or_grant = !record.schedule.is_empty() || !record.grant.is_empty();
        let Some(person) = Principal::new(&record.person).ok().filter(|_| by_shift_or_grant) else {
            return Self(None);
        };
        // sudo and its kind ask PAM about the account of whoever called them.
        let own = if record.asker.is_empty() { &record.person } else { &record.asker };
        let account = if policy::names_its_caller(&record.service) { own } else { &record.account };
        let facts = accounts::facts(account, &state.rules().privileged_groups);
        let (service, person) = (record.service.as_str(), Actor::Known(&person));
        let login = Login { service, account, facts: &facts, person, tty: &record.tty, place: &record.rhost };
        Self(Some(state.decide(&login, now, now)))
    }

    /// Has it ended?
    fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|decision| decision.verdict == Verdict::Refuse)
    }

    fn cannot_be_told(&self) -> bool {
        let unknown =
            |decision: &Decision| matches!(decision.verdict, Verdict::CannotTell | Verdict::BadName);
        self.0.as_ref().is_some_and(unknown)
    }

    fn until(&self) -> Option<Timestamp> {
        self.0.as_ref().filter(|decision| decision.allows())?.until
    }

    fn told(&self, record: &Record, now: Timestamp) -> String {
        match (&self.0, self.until()) {
            (None, _) => record.reason.as_ref().map(ToString::to_string).unwrap_or_default(),
            (Some(decision), Some(until)) => format!("{} until {}", decision.reason, When(until, now)),
            (Some(decision), None) if self.is_over() => format!("ended: {}", decision.reason),
            (Some(decision), None) if self.cannot_be_told() => format!("cannot tell: {}", decision.reason),
            (Some(decision), None) => decision.reason.to_string(),
        }
    }
}

/// All of it, to be shown.
struct Shown {
    records: Vec<Record>,
    rights: Vec<Right>,
    processes: BTreeMap<u32, Process>,
    ties: Ties,
    is_full: bool,
    now: Timestamp,
}

impl Shown {
    fn exit_code(&self) -> u8 {
        match () {
            () if self.rights.iter().any(Right::is_over) => 1,
            () if self.rights.iter().any(Right::cannot_be_told) => 2,
            () => 0,
        }
    }

    fn each(&self) -> impl Iterator<Item = (&Record, &Right, &[u32])> {
        let ties = self.ties.sessions.iter().map(Vec::as_slice);
        self.records.iter().zip(&self.rights).zip(ties).map(|((record, right), own)| (record, right, own))
    }

    fn text(&self) -> String {
        let mut table =
            vec![["SESSION", "PERSON", "ACCOUNT", "BY", "SINCE", "RIGHT NOW", "RUNS"].map(String::from)];
        table.extend(self.each().map(|(record, right, own)| {
            let or_nobody = |name: &str| if name.is_empty() { "-".to_string() } else { name.to_string() };
            [
                record.id.clone(),
                or_nobody(&record.person),
                record.account.clone(),
                record.service.clone(),
                When(record.time, self.now).to_string(),
                right.told(record, self.now),
                self.runs(own),
            ]
        }));
        let mut text = if self.records.is_empty() {
            "no guarded session is open\n".to_string()
        } else {
            aligned(&table)
        };
        if !self.ties.loose.is_empty() {
            let mut loose = vec![["NOT IN A SESSION", "PROGRAM", "LOGIN UID", "CGROUP"].map(String::from)];
            loose.extend(self.loose().map(|process| {
                let uid = process.origin.loginuid.map_or_else(|| "-".to_string(), |uid| uid.to_string());
                [process.pid.to_string(), self.named(process), uid, process.origin.cgroup.clone()]
            }));
            text = format!("{text}\n{}", aligned(&loose));
        }
        text.trim_end().to_string()
    }

    fn loose(&self) -> impl Iterator<Item = &Process> {
        self.ties.loose.iter().filter_map(|pid| self.processes.get(pid))
    }

    fn named(&self, process: &Process) -> String {
        let arguments = if self.is_full { processes::arguments(process.pid) } else { String::new() };
        if arguments.is_empty() { process.name.clone() } else { arguments }
    }

    /// What runs in a session beside what holds it.
    fn runs(&self, own: &[u32]) -> String {
        let processes = own.iter().filter_map(|pid| self.processes.get(pid));
        let inside = processes.filter(|process| !process.holds_logins);
        let named: Vec<String> =
            inside.map(|process| format!("{} {}", process.pid, self.named(process))).collect();
        named.join(", ")
    }

    fn json(&self) -> Value {
        let process = |process: &Process| {
            let mut value = json!({ "pid": process.pid, "name": process.name, "uid": process.uid });
            if let (true, Some(fields)) = (self.is_full, value.as_object_mut()) {
                fields.insert("arguments".to_string(), processes::arguments(process.pid).into());
            }
            value
        };
        let sessions = self.each().map(|(record, right, own)| {
            json!({
                "id": record.id,
                "person": record.person,
                "account": record.account,
                "service": record.service,
                "since": record.time.to_string(),
                "opened_by": record.reason.as_ref().map(ToString::to_string),
                "has_ended": right.is_over(),
                "now": right.0.as_ref().map(|decision| decision.reason.to_string()),
                "until": right.until().map(|until| until.to_string()),
                "processes": own.iter().filter_map(|pid| self.processes.get(pid)).map(process).collect::<Vec<_>>(),
            })
        });
        let sessions: Vec<Value> = sessions.collect();
        let loose: Vec<Value> = self.loose().map(process).collect();
        json!({ "version": 1, "at": self.now.to_string(), "sessions": sessions, "not_in_a_session": loose })
    }
}
