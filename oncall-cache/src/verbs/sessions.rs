//! `sessions`: which guarded sessions are open, whose right has ended meanwhile, and what runs in them; and root ends one by
//! hand.
//!
//! The session hook writes down each session and the process that holds it; what belongs to it is read from /proc.

mod by_hand;
pub mod ending;
pub mod processes;
pub mod right;
mod ties;

use std::collections::BTreeMap;
use std::path::Path;

use host::accounts;
use policy::Timestamp;
use policy::ending::{Outcome, Stay, WhyNot};
use record::{Record, Sessions};
use serde_json::{Value, json};
use state::{Asked, HostState, Which};

use super::end;
use crate::cli::sessions::SessionsArguments;
use crate::said::Said;
use crate::table::aligned;
use crate::when::When;
use processes::Process;
use right::{Court, Right};
use ties::Ties;

/// The sessions, as they are now.
pub fn run(config: &Path, arguments: &SessionsArguments, now: Timestamp) -> Said {
    if let Some(problem) = by_hand::wrong(arguments) {
        return Said::usage(problem);
    }
    if !accounts::is_root() {
        return failed(arguments, "only root may see or end what runs in sessions; use sudo");
    }
    let (records, unknown) = match Sessions::of_this_host().open_now() {
        Ok(read) => read,
        Err(error) => return failed(arguments, &format!("{}: {error}", Sessions::DIRECTORY)),
    };
    let mut state = HostState::load(config);
    if arguments.end.is_some() || arguments.person.is_some() {
        return by_hand::run(&state, &records, arguments, now);
    }
    state.read_roster(Asked::Everything, now, now);
    state.read_grants(Which::All, now);
    let processes = processes::all();
    let ties = Ties::new(&records, &processes);
    let rights: Vec<Right> = records.iter().map(|record| Right::of(record, &state, now)).collect();
    let ends = ends(&state, (&records, &processes), &rights, now);
    let is_watching = end::is_watching(&state, now);
    let shown = Shown { records, rights, ends, is_watching, processes, ties, is_full: arguments.full, now };
    let said = if arguments.json { Said::json(&shown.json()) } else { Said::text(shown.text()) };
    let note = |name: &String| format!("{}/{name}: not of this release; it is left out", Sessions::DIRECTORY);
    said.notes(unknown.iter().map(note)).exit(shown.exit_code())
}

fn failed(arguments: &SessionsArguments, problem: &str) -> Said {
    let json = || json!({ "version": 1, "error": problem });
    Said::failure_as(arguments.json.then(json), format_args!("cannot tell: {problem}"))
}

/// What the next run of `end` would find, by what the last one has left.
fn ends(
    state: &HostState,
    (records, processes): (&[Record], &BTreeMap<u32, Process>),
    rights: &[Right],
    now: Timestamp,
) -> Vec<Outcome> {
    let Ok(config) = state.config() else { return Vec::new() };
    let mut memory = end::remembered(&end::memory_file(config));
    let since = memory.since(config.end.action, end::changed(config, now));
    let court = Court::new(state, (records, processes), since, now);
    let judge = |(record, right): (&Record, &Right)| court.judge(record, right, &memory.of(&record.id)).0;
    records.iter().zip(rights).map(judge).collect()
}

/// What is done about a session, for people; of one whose right holds, nothing.
fn told(outcome: Outcome, is_watching: bool, now: Timestamp) -> String {
    match outcome {
        Outcome::Stays(Stay::NoRight | Stay::Holds(_)) | Outcome::Listed(WhyNot::CannotTell(_)) => {
            String::new()
        }
        Outcome::Warn(ends) if now < ends.right => String::new(),
        Outcome::Stays(Stay::Waits(ends)) if is_watching => {
            format!("; would be ended at {}", When(ends.due, now))
        }
        Outcome::Stays(Stay::Waits(ends)) | Outcome::Warn(ends) => {
            format!("; to be ended at {}", When(ends.due, now))
        }
        Outcome::WouldEnd(..) => "; would be ended now".to_string(),
        Outcome::Stays(Stay::Told) => "; would have been ended".to_string(),
        Outcome::Due(..) => "; to be ended now".to_string(),
        Outcome::Listed(why) => format!("; stays: {why}"),
    }
}

/// The same for programs.
fn word(outcome: Outcome) -> Value {
    let (word, why, due) = match outcome {
        Outcome::Stays(Stay::NoRight) => ("no-right", None, None),
        Outcome::Stays(Stay::Holds(_)) => ("holds", None, None),
        Outcome::Stays(Stay::Waits(ends)) => ("waits", None, Some(ends.due)),
        Outcome::Stays(Stay::Told) => ("told", None, None),
        Outcome::Listed(why) => ("listed", Some(why.word()), None),
        Outcome::Warn(ends) => ("warn", None, Some(ends.due)),
        Outcome::WouldEnd(..) => ("would-end", None, None),
        Outcome::Due(..) => ("due", None, None),
    };
    json!({ "outcome": word, "why": why, "due": due.map(|due| due.to_string()) })
}

/// All of it, to be shown.
struct Shown {
    records: Vec<Record>,
    rights: Vec<Right>,
    /// In their order; none, where the configuration cannot be read.
    ends: Vec<Outcome>,
    /// Is only recorded what would be ended?
    is_watching: bool,
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
        table.extend(self.each().enumerate().map(|(number, (record, right, own))| {
            let or_nobody = |name: &str| if name.is_empty() { "-".to_string() } else { name.to_string() };
            [
                record.id.clone(),
                or_nobody(&record.person),
                record.account.clone(),
                record.service.clone(),
                When(record.time, self.now).to_string(),
                format!("{}{}", right.told(record, self.now), self.end(number)),
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

    fn end(&self, number: usize) -> String {
        self.ends.get(number).map(|end| told(*end, self.is_watching, self.now)).unwrap_or_default()
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
        let inside = processes.filter(|process| !process.holds_logins());
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
        let sessions = self.each().enumerate().map(|(number, (record, right, own))| {
            json!({
                "id": record.id,
                "person": record.person,
                "account": record.account,
                "service": record.service,
                "since": record.time.to_string(),
                "opened_by": record.reason.as_ref().map(ToString::to_string),
                "has_ended": right.is_over(),
                "now": right.decision.as_ref().map(|decision| decision.reason.to_string()),
                "until": right.until().map(|until| until.to_string()),
                "end": self.ends.get(number).map(|end| word(*end)),
                "processes": own.iter().filter_map(|pid| self.processes.get(pid)).map(process).collect::<Vec<_>>(),
            })
        });
        let sessions: Vec<Value> = sessions.collect();
        let loose: Vec<Value> = self.loose().map(process).collect();
        json!({ "version": 1, "at": self.now.to_string(), "sessions": sessions, "not_in_a_session": loose })
    }
}
