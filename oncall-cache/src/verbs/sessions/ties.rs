//! Which session a process belongs to.
//!
//! It belongs to the innermost session that holds it, by the processes it descends from, and only where login uid, audit
//! session and cgroup agree: what was moved elsewhere (`systemd-run`, a terminal multiplexer's scope) is not taken for
//! somebody's. One that was left behind by its parents belongs to the only session with its login uid, audit session and
//! cgroup, if there is one.

use std::collections::BTreeMap;

use record::{Origin, Record};

use super::processes::Process;

/// The processes of each session, and those of root that a person began and that are no session's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// In the order of the sessions; each in the order of their numbers, the one that holds it among them.
    pub sessions: Vec<Vec<u32>>,
    /// By number.
    pub loose: Vec<u32>,
}

impl Ties {
    /// Of the sessions that `records` are the openings of.
    pub fn new(records: &[Record], processes: &BTreeMap<u32, Process>) -> Self {
        let mut ties = Self { sessions: vec![Vec::new(); records.len()], loose: Vec::new() };
        for process in processes.values() {
            match session_of(process, records, processes) {
                Some(session) => {
                    ties.sessions.get_mut(session).into_iter().for_each(|own| own.push(process.pid))
                }
                None if is_somebodys(process) => ties.loose.push(process.pid),
                None => {}
            }
        }
        ties
    }
}

fn session_of(process: &Process, records: &[Record], processes: &BTreeMap<u32, Process>) -> Option<usize> {
    let holds = |pid: u32| records.iter().rposition(|record| record.pid == Some(pid));
    let agrees = |record: &Record| origin(record, processes) == process.origin;
    if let Some(session) = lineage(process, processes).find_map(|above| holds(above.pid)) {
        return Some(session).filter(|session| records.get(*session).is_some_and(agrees));
    }
    // Without these two anybody's process would be alike.
    let is_known = process.origin.loginuid.is_some() && process.origin.audit_session.is_some();
    let mut alike = (0..records.len()).filter(|session| records.get(*session).is_some_and(agrees));
    let only = alike.next().filter(|_| alike.next().is_none());
    only.filter(|_| is_known && acts_for_another(process))
}

/// The process that holds the session of `record`, as long as it lives.
pub fn holder<'p>(record: &Record, processes: &'p BTreeMap<u32, Process>) -> Option<&'p Process> {
    let process = processes.get(&record.pid?)?;
    record.pid_start.is_none_or(|start| start == process.start).then_some(process)
}

/// Whose the processes of the session of `record` are. sshd and login ask PAM before they are where the session is, and what
/// sudo and su write down is whose they are already.
pub fn origin(record: &Record, processes: &BTreeMap<u32, Process>) -> Origin {
    let moves = !policy::asks_the_caller(&record.service);
    holder(record, processes).filter(|_| moves).map_or_else(|| record.origin(), |it| it.origin.clone())
}

/// A process and those above it. A circle, which numbers that are given again may make, ends.
pub fn lineage<'p>(
    process: &'p Process,
    processes: &'p BTreeMap<u32, Process>,
) -> impl Iterator<Item = &'p Process> {
    let above = |process: &&Process| processes.get(&process.parent);
    std::iter::successors(Some(process), above).take(processes.len())
}

/// Does it act by the rights of another account than the one that logged in?
fn acts_for_another(process: &Process) -> bool {
    process.origin.loginuid != Some(process.acts_for())
}

/// Did a person begin it that acts as root?
fn is_somebodys(process: &Process) -> bool {
    let Origin { loginuid, cgroup, .. } = &process.origin;
    let has_person = loginuid.is_some_and(|uid| uid != 0) || cgroup.starts_with("/user.slice/");
    process.uid == 0 && has_person && !process.holds_logins()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Timestamp;

    /// The person's own session, as logind and the kernel's audit know it.
    fn scope(session: u32) -> Origin {
        let cgroup = format!("/user.slice/user-1000.slice/session-{session}.scope");
        Origin { loginuid: Some(1000), audit_session: Some(session), cgroup }
    }

    fn record(pid: u32, origin: &Origin) -> Record {
        let Origin { loginuid, audit_session, cgroup } = origin.clone();
        Record { pid: Some(pid), loginuid, audit_session, cgroup, ..Record::at(Timestamp::from_unix(0)) }
    }

    /// Number, parent, uid and whose it is.
    fn processes(all: &[(u32, u32, u32, &Origin)]) -> BTreeMap<u32, Process> {
        let one = |&(pid, parent, uid, origin): &(u32, u32, u32, &Origin)| {
            (pid, Process { pid, parent, uid, real_uid: uid, origin: origin.clone(), ..Process::default() })
        };
        all.iter().map(one).collect()
    }

    fn ties(records: &[Record], all: &[(u32, u32, u32, &Origin)]) -> (Vec<Vec<u32>>, Vec<u32>) {
        let Ties { sessions, loose } = Ties::new(records, &processes(all));
        (sessions, loose)
    }

    #[test]
    fn a_process_is_in_the_innermost_session_that_it_descends_from() {
        let own = scope(3);
        // Her shell 20 runs sudo 30, whose shell 31 runs sudo 40.
        let records = [record(30, &own), record(40, &own)];
        let all = [(1, 0, 0, &Origin::default()), (20, 1, 1000, &own), (30, 20, 0, &own), (31, 30, 0, &own)];
        let more = [(40, 31, 0, &own), (41, 40, 33, &own), (21, 20, 1000, &own)];
        let all = [all.as_slice(), &more].concat();
        assert_eq!(ties(&records, &all), (vec![vec![30, 31], vec![40, 41]], vec![]));
    }

    #[test]
    fn what_was_moved_elsewhere_is_in_no_session() {
        let (own, moved) =
            (scope(3), Origin { cgroup: "/user.slice/user-1000.slice/tmux.scope".into(), ..scope(3) });
        let by_pid_1 = Origin { cgroup: "/system.slice/run-u7.service".into(), ..Origin::default() };
        let all = [(30, 1, 0, &own), (31, 30, 0, &moved), (32, 1, 0, &by_pid_1)];
        assert_eq!(ties(&[record(30, &own)], &all), (vec![vec![30]], vec![31]));
    }

    #[test]
    fn what_was_left_behind_is_in_the_only_session_that_is_alike() {
        let own = scope(3);
        let all = [(30, 20, 0, &own), (50, 1, 0, &own), (51, 1, 1000, &own)];
        assert_eq!(ties(&[record(30, &own)], &all), (vec![vec![30, 50]], vec![]), "not her own programs");
        let two = [record(30, &own), record(60, &own)];
        assert_eq!(ties(&two, &all), (vec![vec![30], vec![]], vec![50]), "whose is it?");
        // Where the kernel tells neither, all are alike.
        let nothing = Origin::default();
        assert_eq!(ties(&[record(30, &nothing)], &[(50, 1, 0, &nothing)]), (vec![vec![]], vec![]));
    }

    #[test]
    fn services_and_what_only_holds_logins_are_nobodys() {
        let service = Origin { cgroup: "/system.slice/nginx.service".into(), ..Origin::default() };
        let robot = Origin { loginuid: Some(0), cgroup: "/system.slice/cron.service".into(), ..scope(4) };
        let mut all = processes(&[(70, 1, 0, &service), (71, 1, 0, &robot), (72, 1, 0, &scope(5))]);
        all.get_mut(&72).unwrap().program = "sshd".to_string();
        assert_eq!(Ties::new(&[], &all), Ties::default());
    }

    #[test]
    fn a_connection_is_where_logind_has_moved_it_to() {
        let (before, own) =
            (Origin { cgroup: "/system.slice/ssh.service".into(), ..Origin::default() }, scope(3));
        let connection = Record { service: "sshd".into(), ..record(30, &before) };
        let all = [(30, 1, 0, &own), (31, 30, 0, &own)];
        assert_eq!(ties(&[connection], &all), (vec![vec![30, 31]], vec![]));
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let own = scope(3);
        assert_eq!(ties(&[record(9, &own)], &[(7, 8, 0, &own), (8, 7, 0, &own)]).1.len(), 0);
    }
}
