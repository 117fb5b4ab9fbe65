//! Which processes may be ended for a session: by the records of open sessions and the processes of the host, and nothing
//! else.
//!
//! Ending sessions is for those who forget, not for those who hide. So a process is ended only where everything agrees
//! about whose it is; else it is listed, with the reason.

use std::collections::BTreeMap;
use std::fmt;

use record::{Origin, Record};

use crate::verbs::sessions::processes::Process;
use crate::verbs::sessions::ties::{holder, lineage, origin};

/// How far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Hangs up the connection, where it leads to a shared account.
    Hangup,
    /// Ends what has a terminal of the session, or descends from what has; and hangs up such a connection.
    Kill,
    /// Ends daemons that were started in it too.
    All,
}

/// What a process is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// What a terminal sends that is hung up, and no more.
    Hangup,
    /// The same, then TERM, and KILL in the end.
    Kill,
    /// sshd's own: TERM, by which it closes what it holds open, and KILL in the end.
    Connection,
}

/// Why a process is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The person acts by their own rights there.
    Own,
    /// It holds a connection or a console in which somebody is as themselves.
    OwnLogin,
    /// It is in this cgroup, which is not the session's.
    Elsewhere(String),
    /// Its login uid or audit session is not the session's.
    OtherLogin,
    /// It is in a process namespace of its own.
    Container,
    /// Somebody else has a terminal there too.
    Shared,
    /// It may as well be another session's.
    Ambiguous,
    /// No terminal belongs to it, and none to what it descends from.
    NoTerminal,
    /// It ignores that a terminal is hung up.
    Nohup,
    /// It would take along a process that is left.
    Holds(u32),
    /// It is no connection to a shared account, and no more was to be hung up.
    NoConnection,
    /// This is at work in the session.
    Busy(String),
    /// It could not be ended.
    Remains(String),
}

impl Why {
    /// For programs.
    pub fn token(&self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::OwnLogin => "own-login",
            Self::Elsewhere(_) => "elsewhere",
            Self::OtherLogin => "other-login",
            Self::Container => "container",
            Self::Shared => "shared",
            Self::Ambiguous => "ambiguous",
            Self::NoTerminal => "no-terminal",
            Self::Nohup => "nohup",
            Self::Holds(_) => "holds",
            Self::NoConnection => "no-connection",
            Self::Busy(_) => "busy",
            Self::Remains(_) => "remains",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("runs as the person's own account"),
            Self::OwnLogin => f.write_str(
                "holds the person's own login; loginctl terminate-session ends that, with all that is in it",
            ),
            Self::Elsewhere(cgroup) if cgroup.is_empty() => f.write_str("its cgroup is not known"),
            Self::Elsewhere(cgroup) => write!(f, "is in {cgroup}, which is not the session's"),
            Self::OtherLogin => f.write_str("its login uid or audit session is not the session's"),
            Self::Container => f.write_str("runs in a container, or another process namespace"),
            Self::Shared => f.write_str("somebody else has a terminal there too"),
            Self::Ambiguous => f.write_str("may as well belong to another open session"),
            Self::NoTerminal => f.write_str("has no terminal, as daemons have none; --all ends it too"),
            Self::Nohup => f.write_str("ignores hang-ups (nohup); --all ends it too"),
            Self::Holds(pid) => write!(f, "would take {pid} along, which is left"),
            Self::NoConnection => f.write_str("only connections to shared accounts are hung up"),
            Self::Busy(what) => write!(f, "held by {what}; try again when that is done"),
            Self::Remains(why) => f.write_str(why),
        }
    }
}

/// What is ended, and what is left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// In the order of their numbers.
    pub targets: Vec<(u32, Force)>,
    /// The same.
    pub left: Vec<(u32, Why)>,
}

/// The record of whoever is behind the session of `record`: the first of those in whose sessions it was opened. Behind
/// `sudo -i; su - bob; sudo -i` is whoever typed the first.
pub fn human<'r>(
    record: &'r Record,
    records: &'r [Record],
    processes: &BTreeMap<u32, Process>,
) -> &'r Record {
    let Some(holding) = holder(record, processes) else { return record };
    let of = |process: &Process| {
        records.iter().find(|other| {
            !other.person.is_empty() && holder(other, processes).is_some_and(|it| it.pid == process.pid)
        })
    };
    lineage(holding, processes).filter_map(of).last().unwrap_or(record)
}

/// What may be ended for the session that `record` is the opening of. `records` are those of all that are open, and `own`
/// are the uids of the person who is [behind](human) it.
fn choose(
    record: &Record,
    records: &[Record],
    processes: &BTreeMap<u32, Process>,
    own: &[u32],
    how: How,
) -> Set {
    let session = Session::new(record, records, processes, own);
    let mut set = Set::default();
    for process in processes.values() {
        match session.judge(process, how) {
            Some(Ok(force)) => set.targets.push((process.pid, force)),
            Some(Err(why)) => set.left.push((process.pid, why)),
            None => {}
        }
    }
    session.spare_callers(&mut set);
    session.hold(&mut set);
    set.left.sort_by_key(|(pid, _)| *pid);
    set
}

/// A session that is to be ended.
#[derive(Debug)]
pub struct Due {
    pub record: Record,
    /// The uids of the person who is [behind](human) it.
    pub own: Vec<u32>,
    pub how: How,
}

/// What may be ended for each of these, the last that was opened first, if all are ended now. What may be one's or a later
/// one's in `due` is ended for that later one: by then, the first is over, unless it is held by what is at work there.
pub fn choose_each<'d>(
    due: impl Iterator<Item = &'d Due>,
    records: &[Record],
    processes: &BTreeMap<u32, Process>,
) -> Vec<Set> {
    let mut open = records.to_vec();
    let one = |Due { record, own, how }: &Due| {
        let set = choose(record, &open, processes, own, *how);
        if !set.left.iter().any(|(_, why)| matches!(why, Why::Busy(_))) {
            open.retain(|other| other.id != record.id);
        }
        set
    };
    due.map(one).collect()
}

/// How a process is tied to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tie {
    /// It is what holds the session, or descends from it.
    Begotten,
    /// Whatever had begun it in the session has ended.
    LeftBehind,
    /// The same, and another open session may have.
    LeftByOneOf,
    /// By the audit session alone.
    Strayed,
}

/// One session, and all that is round it.
struct Session<'a> {
    record: &'a Record,
    records: &'a [Record],
    processes: &'a BTreeMap<u32, Process>,
    human: &'a Record,
    holder: Option<&'a Process>,
    origin: Origin,
    own: &'a [u32],
}

impl<'a> Session<'a> {
    fn new(
        record: &'a Record,
        records: &'a [Record],
        processes: &'a BTreeMap<u32, Process>,
        own: &'a [u32],
    ) -> Self {
        let human = human(record, records, processes);
        let (holder, origin) = (holder(record, processes), origin(record, processes));
        Self { record, records, processes, human, holder, origin, own }
    }

    /// Nothing, where it is no business of the session.
    fn judge(&self, process: &Process, how: How) -> Option<Result<Force, Why>> {
        let tie = self.tie(process)?;
        if is_own_login(self.record) {
            return self.is_holder(process).then_some(Err(Why::OwnLogin));
        }
        if self.is_connection(process) {
            return self.ends_connection(process).then_some(self.agreed(process).map(|()| Force::Connection));
        }
        if process.pid == 1 || process.is_login() {
            return None;
        }
        if self.own.contains(&process.uid) {
            return (tie == Tie::Begotten).then_some(Err(Why::Own));
        }
        Some(self.agreed(process).and_then(|()| self.within(process, tie, how)))
    }

    /// Does all that the kernel tells say that it is the session's?
    fn agreed(&self, process: &Process) -> Result<(), Why> {
        if process.origin.cgroup != self.origin.cgroup || !is_whole(&self.origin) {
            return Err(Why::Elsewhere(process.origin.cgroup.clone()));
        }
        if process.origin != self.origin {
            return Err(Why::OtherLogin);
        }
        Ok(())
    }

    /// What becomes of a process that is the session's.
    fn within(&self, process: &Process, tie: Tie, how: How) -> Result<Force, Why> {
        match () {
            () if process.depth > self.holder.map_or(1, |holder| holder.depth) => Err(Why::Container),
            () if self.is_shared_with_others(process) => Err(Why::Shared),
            () if tie == Tie::LeftByOneOf => Err(Why::Ambiguous),
            () if how == How::All => Ok(Force::Kill),
            () if !self.has_terminal(process) => Err(Why::NoTerminal),
            () if process.ignores_hangup => Err(Why::Nohup),
            () if how == How::Kill => Ok(Force::Kill),
            () if is_shared_connection(self.record) => Ok(Force::Hangup),
            () => Err(Why::NoConnection),
        }
    }

    fn tie(&self, process: &Process) -> Option<Tie> {
        let above = || lineage(process, self.processes);
        if self.holder.is_some_and(|holder| above().any(|it| it.pid == holder.pid)) {
            return Some(Tie::Begotten);
        }
        if self.records.iter().any(|record| {
            holder(record, self.processes).is_some_and(|holder| above().any(|it| it.pid == holder.pid))
        }) {
            return None;
        }
        let is_known = self.origin.loginuid.is_some() && self.origin.audit_session.is_some();
        let top = self.top_of_those_left(process).filter(|_| is_known)?;
        let was_there = |record: &Record| record.pid_start.is_none_or(|start| start <= top.start);
        // What is older than the session was begun in a former one.
        if !was_there(self.record) {
            return None;
        }
        if process.origin.cgroup != self.origin.cgroup {
            return Some(Tie::Strayed);
        }
        if process.origin != self.origin {
            return None;
        }
        let may_be_of = |other: &Record| {
            let is_alike = origin(other, self.processes) == self.origin && was_there(other);
            is_alike && !self.is_below(other) && !is_own_login(other)
        };
        let is_ambiguous = self.records.iter().any(may_be_of);
        Some(if is_ambiguous { Tie::LeftByOneOf } else { Tie::LeftBehind })
    }

    /// The topmost of the processes above one that its parents have left to the first process, or to a manager of systemd's:
    /// all of the session's audit session, and none of them the person's own.
    fn top_of_those_left(&self, process: &'a Process) -> Option<&'a Process> {
        let is_left = |it: &Process| {
            self.processes.get(&it.parent).is_none_or(|parent| parent.pid == 1 || parent.program == "systemd")
        };
        for it in lineage(process, self.processes) {
            let acts_for = it.acts_for();
            let is_others = is_shared_connection(self.record) || Some(acts_for) != it.origin.loginuid;
            let is_ours = it.origin.audit_session == self.origin.audit_session;
            let is_own = self.own.contains(&acts_for) || self.own.contains(&it.uid);
            if !is_ours || !is_others || is_own || it.is_login() {
                return None;
            }
            if is_left(it) {
                return Some(it);
            }
        }
        None
    }

    fn is_holder(&self, process: &Process) -> bool {
        self.holder.is_some_and(|holder| holder.pid == process.pid)
    }

    /// Is that session this one, or one that was opened in it?
    fn is_below(&self, other: &Record) -> bool {
        other.id == self.record.id
            || holder(other, self.processes).is_some_and(|holding| {
                lineage(holding, self.processes).any(|process| self.is_holder(process))
            })
    }

    /// Is it one of those by which sshd serves this connection, if that is what the session is?
    fn is_connection(&self, process: &Process) -> bool {
        let is_sshd = |it: &Process| it.program == "sshd" || it.program == "sshd-session";
        is_shared_connection(self.record)
            && lineage(process, self.processes).take_while(|it| is_sshd(it)).any(|it| self.is_holder(it))
    }

    /// Is it the one whose end is the connection's? Where sshd watches it from another process, that one ends by itself, and
    /// closes PAM's session before.
    fn ends_connection(&self, process: &Process) -> bool {
        let has_child = self
            .processes
            .values()
            .any(|child| self.holder.is_some_and(|it| child.parent == it.pid) && self.is_connection(child));
        !(self.is_holder(process) && has_child)
    }

    /// Does a terminal belong to it, or to what it descends from in the session?
    fn has_terminal(&self, process: &Process) -> bool {
        lineage(process, self.processes)
            .take_while(|it| it.origin == self.origin)
            .any(|it| it.terminal.is_some())
    }

    /// Does it descend from a program that serves a terminal on which somebody else is? A terminal multiplexer holds the
    /// terminals of its clients open.
    fn is_shared_with_others(&self, process: &Process) -> bool {
        let own = |it: &&Process| it.origin.loginuid == self.origin.loginuid;
        lineage(process, self.processes)
            .take_while(own)
            .flat_map(|it| it.open_terminals.iter())
            .any(|terminal| self.is_on_anothers(*terminal))
    }

    fn is_on_anothers(&self, terminal: u32) -> bool {
        self.processes.values().any(|it| {
            let is_somebodys = it.origin.loginuid.is_some() || it.origin.audit_session.is_some();
            // In a container terminals have numbers of their own.
            let is_here = it.depth <= self.holder.map_or(1, |holder| holder.depth);
            it.terminal == Some(terminal) && is_here && is_somebodys && !self.is_same_human(it)
        })
    }

    /// Was it begun by the person who is behind this session? A login uid says so only where it is not that of an account
    /// which others enter too.
    fn is_same_human(&self, process: &Process) -> bool {
        let Origin { loginuid, audit_session, .. } = &process.origin;
        let is_login = |record: &Record| {
            let origin = origin(record, self.processes);
            origin.audit_session.is_some() && origin.audit_session == *audit_session
        };
        let is_theirs = |record: &Record| is_login(record) && record.person == self.human.person;
        (*loginuid == self.origin.loginuid && *audit_session == self.origin.audit_session)
            || self.records.iter().any(is_theirs)
            || (*loginuid == self.origin.loginuid && !is_shared_connection(self.human))
    }

    /// sudo ends its command when it is ended, and with it all that is in the command's process group: it sends TERM on to
    /// that (sudo 1.9, exec_monitor.c). Where something of that is left, so is sudo.
    fn spare_callers(&self, set: &mut Set) {
        let left: Vec<u32> = set.left.iter().map(|(pid, _)| *pid).collect();
        for pid in left {
            let Some(process) = self.processes.get(&pid) else { continue };
            let mut is_taken_along = true;
            let mut below = process;
            for above in lineage(process, self.processes).skip(1) {
                is_taken_along = above.is_caller() && (is_taken_along || below.group == process.group);
                let place = set.targets.iter().position(|(target, _)| *target == above.pid);
                if let (true, Some(place)) = (is_taken_along, place) {
                    set.targets.remove(place);
                    set.left.push((above.pid, Why::Holds(pid)));
                }
                below = above;
            }
        }
    }

    /// What is at work in it must not be broken off: all of it waits.
    fn hold(&self, set: &mut Set) {
        let all = set.targets.iter().map(|(pid, _)| pid).chain(set.left.iter().map(|(pid, _)| pid));
        let busy = |pid: &u32| self.processes.get(pid)?.busy_with.clone();
        let Some(what) = all.filter_map(busy).next() else { return };
        set.left.extend(set.targets.drain(..).map(|(pid, _)| (pid, Why::Busy(what.clone()))));
    }
}

/// Is it a connection by which somebody entered an account that is not theirs?
fn is_shared_connection(record: &Record) -> bool {
    record.service == "sshd" && record.account != record.person
}

/// Is it a connection or a console in which somebody is as themselves? Nothing that acts for others was begun by it alone.
pub fn is_own_login(record: &Record) -> bool {
    matches!(record.service.as_str(), "sshd" | "login") && !is_shared_connection(record)
}

/// Is the cgroup the one that logind makes for this login? Where systemd keeps no cgroups it says nothing. logind names a
/// session by its number in the kernel's audit, and in containers, which have none, by `c` and a number.
fn is_whole(origin: &Origin) -> bool {
    let parts: Vec<&str> = origin.cgroup.split('/').filter(|part| !part.is_empty()).collect();
    let is_unit = |part: &&str| [".slice", ".scope", ".service"].iter().any(|kind| part.ends_with(kind));
    if !parts.iter().any(is_unit) {
        return true;
    }
    let [.., "user.slice", user, scope] = parts.as_slice() else { return false };
    let between = |text: &str, before: &str, after: &str| -> Option<String> {
        Some(text.strip_prefix(before)?.strip_suffix(after)?.to_string())
    };
    let is_users = between(user, "user-", ".slice") == origin.loginuid.map(|uid| uid.to_string());
    let is_sessions = between(scope, "session-", ".scope").is_some_and(|session| {
        let is_number = !session.is_empty() && session.bytes().all(|byte| byte.is_ascii_digit());
        !is_number || Some(session) == origin.audit_session.map(|number| number.to_string())
    });
    is_users && is_sessions
}

#[cfg(test)]
mod tests;
