//! Ending what somebody left open: which processes that is, how they are ended, and what is written down of it.
//!
//! [`set`] chooses, by records and processes alone; [`signals`] does it. sudo, su and sshd close their sessions themselves
//! when they end, and write that down; who ended them, and why, is written down here.

pub mod set;
mod signals;

use std::collections::{BTreeMap, BTreeSet};

use host::accounts;
use host::config::DEFAULT_AUDIT;
use policy::{Principal, Rules, Timestamp};
use record::{Cause, Line, Origin, Record, Sessions, Spool, Token};
use state::HostState;

use super::processes::{self, Process};
use super::ties::origin;
use set::{Due, Set, choose_each};
pub use set::{How, Why, human};

/// How often it looks for processes that were begun while others ended.
const ROUNDS: usize = 3;

/// What became of the processes of a session.
#[derive(Debug, Default)]
pub struct Ended {
    /// They have ended.
    pub ended: Vec<Process>,
    /// They are left, and why.
    pub listed: Vec<(Process, Why)>,
}

impl Ended {
    /// What is at work in the session, as `dpkg`, where nothing was ended because of that.
    pub fn held(&self) -> Option<&str> {
        self.listed
            .iter()
            .find_map(|(_, why)| if let Why::Busy(what) = why { Some(what.as_str()) } else { None })
    }
}

/// Ends what may be ended of the sessions that these records are the openings of, all at once, and waits for it: a minute at
/// most. `records` are those of all that are open; `rules` say whose an account is. What may be ended for two sessions, ends
/// for the first, so one comes before that in which it was opened. What became of each.
pub fn end(due: &[(&Record, How)], records: &[Record], rules: &Rules) -> Vec<Ended> {
    let mut processes = processes::all_with_what_they_hold();
    let records = &plain(records, rules);
    let mut ends = SessionEnd::begin_each(due, records, &processes, rules);
    for round in 0..=ROUNDS {
        let targets = targets_of(&mut ends, records, &processes);
        if targets.is_empty() {
            break;
        }
        let whose: BTreeMap<u32, usize> =
            targets.iter().map(|(place, process, _)| (process.pid, *place)).collect();
        let targets = targets.into_iter().map(|(_, process, force)| (process, force)).collect();
        let outcome =
            if round < ROUNDS { signals::end(targets) } else { signals::Outcome::too_late(targets) };
        let place = |process: &Process| whose.get(&process.pid).copied().unwrap_or_default();
        for process in outcome.ended {
            if let Some(one) = ends.get_mut(place(&process)) {
                one.ended.push(process);
            }
        }
        for (process, why) in outcome.remain {
            if let Some(one) = ends.get_mut(place(&process)) {
                one.left.insert(process.pid, (process, Why::Remains(why)));
            }
        }
        processes = processes::all_with_what_they_hold();
    }
    ends.into_iter().map(|one| one.outcome(&processes)).collect()
}

/// What [`end`] would do now.
pub fn would_end(due: &[(&Record, How)], records: &[Record], rules: &Rules) -> Vec<Ended> {
    let processes = processes::all_with_what_they_hold();
    let records = &plain(records, rules);
    let mut ends = SessionEnd::begin_each(due, records, &processes, rules);
    for (place, process, _) in targets_of(&mut ends, records, &processes) {
        if let Some(one) = ends.get_mut(place) {
            one.ended.push(process);
        }
    }
    ends.into_iter().map(|one| one.outcome(&processes)).collect()
}

/// What is to be ended now, each with the place of the session that it is ended for; what is left is remembered there.
fn targets_of(
    ends: &mut [SessionEnd],
    records: &[Record],
    processes: &BTreeMap<u32, Process>,
) -> Vec<(usize, Process, set::Force)> {
    let sets = choose_each(ends.iter().map(|one| &one.due), records, processes);
    let mut met = BTreeSet::new();
    let mut targets = Vec::new();
    for (place, (one, set)) in ends.iter_mut().zip(sets).enumerate() {
        let new = one.take(set, processes).into_iter().filter(|(process, _)| met.insert(process.pid));
        targets.extend(new.map(|(process, force)| (place, process, force)));
    }
    targets
}

/// One session while it is ended.
struct SessionEnd {
    due: Due,
    ended: Vec<Process>,
    left: BTreeMap<u32, (Process, Why)>,
}

impl SessionEnd {
    fn begin_each(
        due: &[(&Record, How)],
        records: &[Record],
        processes: &BTreeMap<u32, Process>,
        rules: &Rules,
    ) -> Vec<Self> {
        let begin = |(record, how): &(&Record, How)| {
            let record = plain_one(record, rules);
            let own = own_uids(&record, records, processes, rules);
            // Once the connection is gone, nothing else tells where it was.
            let Origin { loginuid, audit_session, cgroup } = origin(&record, processes);
            let record = Record { loginuid, audit_session, cgroup, ..record };
            Self { due: Due { record, own, how: *how }, ended: Vec::new(), left: BTreeMap::new() }
        };
        due.iter().map(begin).collect()
    }

    /// What is to be ended of it now; remembers what is left.
    fn take(&mut self, set: Set, processes: &BTreeMap<u32, Process>) -> Vec<(Process, set::Force)> {
        let known = |pid: u32| processes.get(&pid).cloned();
        // The first reason holds: without those above it, a process has neither their terminal nor their descent.
        for (process, why) in set.left.into_iter().filter_map(|(pid, why)| Some((known(pid)?, why))) {
            self.left.entry(process.pid).or_insert((process, why));
        }
        let is_new = |pid: &u32| !matches!(self.left.get(pid), Some((_, Why::Remains(_))));
        let targets = set.targets.into_iter().filter(|(pid, _)| is_new(pid));
        targets.filter_map(|(pid, force)| Some((known(pid)?, force))).collect()
    }

    /// What became of it, by the processes that there are in the end.
    fn outcome(mut self, processes: &BTreeMap<u32, Process>) -> Ended {
        let lives =
            |process: &Process| processes.get(&process.pid).is_some_and(|it| it.start == process.start);
        self.ended.sort_by_key(|process| process.pid);
        Ended {
            ended: self.ended,
            listed: self.left.into_values().filter(|(process, _)| lives(process)).collect(),
        }
    }
}

/// The records, each with its account by the person's name where it is that person's own: `[names]` spells it otherwise.
fn plain(records: &[Record], rules: &Rules) -> Vec<Record> {
    records.iter().map(|record| plain_one(record, rules)).collect()
}

fn plain_one(record: &Record, rules: &Rules) -> Record {
    let is_own = rules.person_of(&record.account).is_ok_and(|person| person.as_str() == record.person);
    let account = if is_own { &record.person } else { &record.account };
    Record { account: account.clone(), ..record.clone() }
}

/// The uids of the accounts of whoever is behind the session: by every name that these have, and as what they called sudo or
/// logged in, which is known where name services do not answer.
fn own_uids(
    record: &Record,
    records: &[Record],
    processes: &BTreeMap<u32, Process>,
    rules: &Rules,
) -> Vec<u32> {
    let human = human(record, records, processes);
    let named = Principal::new(&human.person).map(|person| rules.names.accounts(&person)).unwrap_or_default();
    let called = human.caller.filter(|_| policy::asks_the_caller(&human.service));
    let logged_in = human.loginuid.filter(|_| set::is_own_login(human));
    let known = named.iter().filter_map(|name| accounts::facts(name, &[]).uid);
    known.chain(called).chain(logged_in).filter(|uid| *uid != 0).collect()
}

/// Why a session was ended, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// What ended it.
    pub cause: Cause,
    /// Who, where somebody did it by hand.
    pub by: &'a str,
    /// The reason that they gave.
    pub why: &'a str,
}

/// Writes down that the session of `record` was ended: in the log, and as a `close` in the record of decisions, beside the
/// one that sudo, su or sshd wrote when it closed. Removes its file from the open sessions if its process is gone.
///
/// # Errors
/// Text that says what was not written, and why.
pub fn write_down(
    state: &HostState,
    record: &Record,
    ended: &Ended,
    order: Order<'_>,
    now: Timestamp,
) -> Result<(), String> {
    if !record.process_lives() {
        Sessions::of_this_host().close(&record.id);
    }
    let file = state.config().map_or_else(|_| DEFAULT_AUDIT.into(), |config| config.paths.audit.clone());
    let spool = Spool::new(&file);
    // Whose name it is counted by ends with no sign, so that logins leave room for it.
    let is_name = Principal::new(&record.person).is_ok();
    let who = if is_name { record.person.as_str() } else { "ended" };
    let written = match spool.ticket(who, now) {
        None => Err("there were as many ends in this minute as are recorded".to_string()),
        Some(ticket) => {
            let line = close(record, order, now).numbered(ticket).line();
            spool.append(&line).map_err(|error| format!("{}: {error}", file.display()))
        }
    };
    line(record, ended, order)
        .field("unwritten", written.as_ref().err().map_or("", String::as_str))
        .send("oncall-cache");
    written
}

/// Its record: of the process that held the session.
fn close(record: &Record, Order { cause, by, why }: Order<'_>, now: Timestamp) -> Record {
    Record {
        ended: Some(Token::Known(cause)),
        by: by.to_string(),
        why: why.to_string(),
        ..record.clone().closed(now).of_process(record)
    }
}

fn line(record: &Record, ended: &Ended, Order { cause, by, why }: Order<'_>) -> Line {
    let named = if record.person.is_empty() { "-" } else { &record.person };
    Line::new(named, "ended", Token::Known(cause))
        .field("service", &record.service)
        .field("account", &record.account)
        .field("id", &record.id)
        .field("by", by)
        .field("why", why)
        .field("ended", &ended.ended.len().to_string())
        .field("left", &ended.listed.len().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_persons_own_in_each_spelling() {
        let mut rules = Rules::compiled();
        rules.names.strip = policy::Affix::parse("@example.com").into_iter().collect();
        let record = |account: &str, service: &str| Record {
            person: "alice".to_string(),
            account: account.to_string(),
            service: service.to_string(),
            caller: Some(1234),
            loginuid: Some(1235),
            pid: Some(u32::MAX),
            ..Record::at(Timestamp::from_unix(0))
        };
        for (account, is_own) in [("alice", true), ("alice@example.com", true), ("root", false)] {
            assert_eq!(set::is_own_login(&plain_one(&record(account, "sshd"), &rules)), is_own, "{account}");
        }
        // Where name services say nothing, what called sudo or logged in says whose processes are theirs.
        let own = |account: &str, service: &str| {
            let record = plain_one(&record(account, service), &rules);
            own_uids(&record, std::slice::from_ref(&record), &BTreeMap::new(), &rules)
        };
        assert_eq!(own("root", "sudo"), [1234]);
        assert_eq!(own("alice@example.com", "sshd"), [1235]);
        assert_eq!(own("root", "sshd"), [0; 0], "that is root's login uid");
    }

    #[test]
    fn what_is_written_down_says_who_ended_whose_session_and_why() {
        let now = Timestamp::from_unix(1_795_165_200);
        let opening = Record {
            id: "00000000000000aa".to_string(),
            person: "alice".to_string(),
            account: "root".to_string(),
            service: "sudo".to_string(),
            schedule: "rota/primary".to_string(),
            pid: Some(7),
            pid_start: Some(8),
            loginuid: Some(1000),
            ..Record::at(now)
        };
        let order = Order { cause: Cause::Root, by: "bob", why: "left open" };
        let line = close(&opening, order, now).line();
        assert_eq!(
            line,
            "{\"version\":1,\"time\":\"2026-11-20T09:00:00Z\",\"id\":\"00000000000000aa\",\"phase\":\"close\",\
             \"pid\":7,\"pid_start\":8,\"loginuid\":1000,\"person\":\"alice\",\"account\":\"root\",\
             \"service\":\"sudo\",\"by\":\"bob\",\"why\":\"left open\",\"ended\":\"root\"}\n"
        );
        let told = super::line(&opening, &Ended::default(), order);
        assert_eq!(
            told.as_str(),
            "person=alice decision=ended reason=root service=sudo account=root id=00000000000000aa by=bob \
             why=left\\x20open ended=0 left=0"
        );
    }
}
