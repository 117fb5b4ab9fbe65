//! `sessions --end ID` and `--person NAME`: root ends sessions by hand, with a reason that is written down.

use std::collections::BTreeMap;

use host::accounts;
use host::orders::{LONGEST_REASON, is_reason};
use policy::{Rules, Timestamp};
use record::{Cause, Record};
use serde_json::{Value, json};
use state::HostState;

use super::ending::{self, Ended, How, Order, Why};
use super::processes::{self, Process};
use super::ties::{holder, lineage};
use crate::cli::sessions::SessionsArguments;
use crate::said::{CANNOT_TELL, Said};
use crate::when::When;

/// What is wrong with the arguments.
pub fn wrong(arguments: &SessionsArguments) -> Option<String> {
    let ends = arguments.end.is_some() || arguments.person.is_some();
    let reason = reason(arguments);
    match () {
        () if !ends
            && (arguments.all || arguments.hangup || arguments.dry_run || arguments.reason.is_some()) =>
        {
            Some("name what is to be ended: --end ID, or --person NAME".to_string())
        }
        () if ends && !arguments.dry_run && (reason.is_empty() || !is_reason(reason)) => Some(format!(
            "nothing was ended: say why, by --reason and one line of 1 to {LONGEST_REASON} bytes"
        )),
        () => None,
    }
}

fn reason(arguments: &SessionsArguments) -> &str {
    arguments.reason.as_deref().unwrap_or_default().trim()
}

/// One session, and what became of it.
struct Outcome {
    record: Record,
    /// Who is behind it.
    person: String,
    /// `None`: this program runs in it.
    ended: Option<Ended>,
}

/// Ends what was asked for, of the sessions that are open.
pub fn run(state: &HostState, open: &[Record], arguments: &SessionsArguments, now: Timestamp) -> Said {
    let how = match () {
        () if arguments.all => How::All,
        () if arguments.hangup => How::Hangup,
        () => How::Kill,
    };
    let chosen = match chosen(open, arguments) {
        Ok(chosen) => chosen,
        Err(problem) => {
            let json = || json!({ "version": 1, "error": problem });
            return Said::failure_as(arguments.json.then(json), &problem).exit(CANNOT_TELL);
        }
    };
    let outcomes = end(&chosen, (open, state.rules()), how, arguments.dry_run);
    let mut notes = Vec::new();
    for Outcome { record, ended, .. } in outcomes.iter().filter(|_| !arguments.dry_run) {
        if let Some(ended) = ended.as_ref().filter(|ended| !ended.ended.is_empty()) {
            let by = accounts::operator();
            let order = Order { cause: Cause::Root, by: &by, why: reason(arguments) };
            notes.extend(ending::write_down(state, record, ended, order, now).err());
        }
    }
    let shown = Shown { outcomes, is_dry: arguments.dry_run, person: arguments.person.clone(), now };
    let said = if arguments.json { Said::json(&shown.json()) } else { Said::text(shown.text()) };
    let unwritten = |problem: &String| format!("this is not in the record of decisions: {problem}");
    said.notes(notes.iter().map(unwritten)).exit(shown.exit_code())
}

/// The sessions that were asked for, the last that was opened first: it may be in another one.
fn chosen<'r>(open: &'r [Record], arguments: &SessionsArguments) -> Result<Vec<&'r Record>, String> {
    if let Some(id) = &arguments.end {
        let found = open.iter().find(|record| record.id == *id);
        let none =
            || format!("no open session has the id {id}; oncall-cache sessions shows those that are open");
        return found.map(|record| vec![record]).ok_or_else(none);
    }
    let processes = processes::all();
    let person = arguments.person.as_deref().unwrap_or_default();
    let is_theirs = |record: &&Record| ending::human(record, open, &processes).person == person;
    Ok(open.iter().rev().filter(is_theirs).collect())
}

/// Ends these, or says what that would do; but not the one that this program runs in.
fn end(chosen: &[&Record], (open, rules): (&[Record], &Rules), how: How, is_dry: bool) -> Vec<Outcome> {
    let processes = processes::all();
    let others = chosen.iter().copied().filter(|record| is_dry || !is_in(record, &processes));
    let due: Vec<(&Record, How)> = others.map(|record| (record, how)).collect();
    let end = if is_dry { ending::would_end } else { ending::end };
    let ended = end(&due, open, rules);
    let mut of: BTreeMap<&str, Ended> = due.iter().map(|(record, _)| record.id.as_str()).zip(ended).collect();
    let outcome = |record: &&Record| Outcome {
        record: (*record).clone(),
        person: ending::human(record, open, &processes).person.clone(),
        ended: of.remove(record.id.as_str()),
    };
    chosen.iter().map(outcome).collect()
}

/// Does this program run in that session?
fn is_in(record: &Record, processes: &BTreeMap<u32, Process>) -> bool {
    let own = processes.get(&std::process::id());
    let mut above = own.into_iter().flat_map(|process| lineage(process, processes));
    holder(record, processes).is_some_and(|holder| above.any(|process| process.pid == holder.pid))
}

/// All of it, to be shown.
struct Shown {
    outcomes: Vec<Outcome>,
    is_dry: bool,
    person: Option<String>,
    now: Timestamp,
}

impl Shown {
    fn exit_code(&self) -> u8 {
        let is_whole = |outcome: &Outcome| outcome.ended.as_ref().is_some_and(|it| it.listed.is_empty());
        match () {
            () if self.outcomes.iter().any(|outcome| outcome.ended.is_none()) => CANNOT_TELL,
            () if self.outcomes.iter().all(is_whole) => 0,
            () => 1,
        }
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = self.outcomes.iter().flat_map(|outcome| self.lines(outcome)).collect();
        if self.outcomes.is_empty() {
            let person = self.person.as_deref().unwrap_or_default();
            lines.push(format!("no guarded session of {person} is open"));
        }
        lines.join("\n")
    }

    fn lines(&self, Outcome { record, person, ended }: &Outcome) -> Vec<String> {
        let person = if person.is_empty() { "nobody known" } else { person };
        let Record { id, account, service, time, .. } = record;
        let mut lines =
            vec![format!("{id}  {person}, {account} by {service} since {}", When(*time, self.now))];
        let Some(Ended { ended, listed }) = ended else {
            lines.push(
                "  left   all of it: you type this in that session; type it in another one".to_string(),
            );
            return lines;
        };
        let word = if self.is_dry { "would end" } else { "ended" };
        if !ended.is_empty() {
            let names: Vec<String> =
                ended.iter().map(|process| format!("{} {}", process.pid, process.name)).collect();
            lines.push(format!("  {word}  {}", names.join(", ")));
        }
        if ended.is_empty() && listed.is_empty() {
            lines.push(format!("  {word}  nothing: nothing runs there any more"));
        }
        lines.extend(
            listed.iter().map(|(process, why)| format!("  left   {} {}: {why}", process.pid, process.name)),
        );
        lines
    }

    fn json(&self) -> Value {
        let one = |process: &Process| json!({ "pid": process.pid, "name": process.name, "uid": process.uid });
        let left = |(process, why): &(Process, Why)| {
            let mut value = one(process);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("why".to_string(), why.token().into());
                fields.insert("told".to_string(), why.to_string().into());
            }
            value
        };
        let session = |Outcome { record, person, ended }: &Outcome| {
            let listed = ended.iter().flat_map(|it| it.listed.iter());
            json!({
                "id": record.id,
                "person": person,
                "account": record.account,
                "service": record.service,
                "since": record.time.to_string(),
                "is_own": ended.is_none(),
                "ended": ended.iter().flat_map(|it| it.ended.iter()).map(one).collect::<Vec<_>>(),
                "left": listed.map(left).collect::<Vec<_>>(),
                "held_by": ended.as_ref().and_then(Ended::held),
            })
        };
        let sessions: Vec<Value> = self.outcomes.iter().map(session).collect();
        json!({ "version": 1, "at": self.now.to_string(), "dry_run": self.is_dry, "sessions": sessions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, name: &str) -> Process {
        Process { pid, name: name.to_string(), ..Process::default() }
    }

    fn outcome(ended: Option<Ended>) -> Outcome {
        let record = Record {
            id: "c0ffee0000000001".to_string(),
            account: "root".to_string(),
            service: "sudo-i".to_string(),
            ..Record::at(Timestamp::parse("2026-11-20T09:00:00Z").unwrap())
        };
        Outcome { record, person: "alice".to_string(), ended }
    }

    fn shown(outcomes: Vec<Outcome>, is_dry: bool) -> Shown {
        let now = Timestamp::parse("2026-11-20T10:00:00Z").unwrap();
        Shown { outcomes, is_dry, person: Some("alice".to_string()), now }
    }

    fn some() -> Ended {
        let listed = vec![
            (process(14, "sleep"), Why::NoTerminal),
            (process(15, "job"), Why::Elsewhere("/system.slice/run-u7.scope".to_string())),
        ];
        Ended { ended: vec![process(12, "sudo"), process(13, "bash")], listed }
    }

    #[test]
    fn what_ended_and_what_is_left_is_told_with_why() {
        let told = shown(vec![outcome(Some(some()))], false);
        assert_eq!(
            told.text(),
            "c0ffee0000000001  alice, root by sudo-i since 09:00 UTC\n  \
             ended  12 sudo, 13 bash\n  \
             left   14 sleep: has no terminal, as daemons have none; --all ends it too\n  \
             left   15 job: is in /system.slice/run-u7.scope, which is not the session's"
        );
        assert_eq!(told.exit_code(), 1);
        let json = told.json();
        assert_eq!(json["sessions"][0]["left"][1]["why"], "elsewhere", "{json:#}");
        assert_eq!(json["sessions"][0]["ended"][0]["pid"], 12, "{json:#}");
        assert_eq!((&json["dry_run"], &json["sessions"][0]["held_by"]), (&false.into(), &Value::Null));
    }

    #[test]
    fn nothing_is_left_or_nothing_was_ended() {
        let whole = shown(vec![outcome(Some(Ended { listed: vec![], ..some() }))], true);
        assert!(whole.text().ends_with("\n  would end  12 sudo, 13 bash"), "{}", whole.text());
        assert_eq!(whole.exit_code(), 0);
        let busy =
            Ended { ended: vec![], listed: vec![(process(12, "sudo"), Why::Busy("dpkg".to_string()))] };
        let held = shown(vec![outcome(Some(busy))], false);
        assert!(
            held.text().ends_with("\n  left   12 sudo: held by dpkg; try again when that is done"),
            "{}",
            held.text()
        );
        assert_eq!((held.exit_code(), &held.json()["sessions"][0]["held_by"]), (1, &"dpkg".into()));
        let own = shown(vec![outcome(None)], false);
        assert!(own.text().contains("you type this in that session") && own.exit_code() == 2);
        let none = shown(vec![], false);
        assert_eq!((none.text().as_str(), none.exit_code()), ("no guarded session of alice is open", 0));
    }

    #[test]
    fn without_a_reason_nothing_is_ended() {
        let arguments = |end: Option<&str>, reason: Option<&str>, dry_run: bool| SessionsArguments {
            full: false,
            json: false,
            end: end.map(String::from),
            person: None,
            all: false,
            hangup: false,
            reason: reason.map(String::from),
            dry_run,
        };
        for (arguments, is_wrong) in [
            (arguments(Some("x"), None, false), true),
            (arguments(Some("x"), Some("  "), false), true),
            (arguments(Some("x"), Some("two\nlines"), false), true),
            (arguments(None, Some("why"), false), true),
            (arguments(None, None, true), true),
            (arguments(Some("x"), Some("left open"), false), false),
            (arguments(Some("x"), None, true), false),
            (arguments(None, None, false), false),
        ] {
            assert_eq!(wrong(&arguments).is_some(), is_wrong, "{arguments:?}");
        }
    }
}
