//! Each sentence about whose a process is, and what is in the set.

use super::*;
use policy::Timestamp;

/// alice's own uid; bob's; that of www-data.
const ALICE: u32 = 1000;
const BOB: u32 = 1001;
const WWW: u32 = 33;

/// A login as logind and the kernel's audit know it.
fn scope(uid: u32, session: u32) -> Origin {
    let cgroup = format!("/user.slice/user-{uid}.slice/session-{session}.scope");
    Origin { loginuid: Some(uid), audit_session: Some(session), cgroup }
}

/// The same login, moved to another cgroup.
fn moved(origin: &Origin, cgroup: &str) -> Origin {
    Origin { cgroup: cgroup.to_string(), ..origin.clone() }
}

/// The terminal of this number.
fn pts(number: u32) -> Option<u32> {
    Some(34_816 + number)
}

/// Processes; each began at ten times its number.
#[derive(Default, Clone)]
struct World {
    processes: BTreeMap<u32, Process>,
    records: Vec<Record>,
}

impl World {
    /// With the first process, sshd that listens, and alice's login by ssh in session 3: sshd's monitor 10 and its child 11,
    /// her shell 12 at terminal 0.
    fn new() -> Self {
        let mut world = Self::default();
        let ssh = Origin { cgroup: "/system.slice/ssh.service".to_string(), ..Origin::default() };
        world.add(1, 0, 0, "systemd", &Origin { cgroup: "/init.scope".to_string(), ..Origin::default() });
        world.add(2, 1, 0, "sshd", &ssh);
        world.add(3, 1, 0, "nginx", &moved(&ssh, "/system.slice/nginx.service"));
        let own = scope(ALICE, 3);
        world.add(10, 2, 0, "sshd-session", &own);
        world.add(11, 10, ALICE, "sshd-session", &own);
        world.add(12, 11, ALICE, "bash", &own).terminal = pts(0);
        world
    }

    fn add(&mut self, pid: u32, parent: u32, uid: u32, program: &str, origin: &Origin) -> &mut Process {
        let process = Process {
            pid,
            parent,
            uid,
            real_uid: uid,
            start: u64::from(pid) * 10,
            group: i32::try_from(pid).unwrap(),
            program: program.to_string(),
            name: program.to_string(),
            origin: origin.clone(),
            depth: 1,
            ..Process::default()
        };
        self.processes.insert(pid, process);
        self.processes.get_mut(&pid).unwrap()
    }

    /// One in alice's session 3, at her terminal.
    fn at_terminal(&mut self, pid: u32, parent: u32, uid: u32, program: &str) -> &mut Process {
        let process = self.add(pid, parent, uid, program, &scope(ALICE, 3));
        process.terminal = pts(0);
        process
    }

    /// A record of what `pid` holds, as it was written when that opened.
    fn record(&mut self, pid: u32, person: &str, account: &str, service: &str) -> Record {
        let holding = &self.processes[&pid];
        let before = Origin { cgroup: "/system.slice/ssh.service".to_string(), ..Origin::default() };
        let origin = if service == "sshd" { before } else { holding.origin.clone() };
        let Origin { loginuid, audit_session, cgroup } = origin;
        let record = Record {
            id: format!("{pid:016x}"),
            pid: Some(pid),
            pid_start: Some(holding.start),
            person: person.to_string(),
            account: account.to_string(),
            service: service.to_string(),
            loginuid,
            audit_session,
            cgroup,
            ..Record::at(Timestamp::from_unix(i64::from(pid)))
        };
        self.records.push(record.clone());
        record
    }

    /// alice's `sudo -i`: sudo 30 at her terminal, and behind its own terminal sudo 31 and the shell 32.
    fn sudo(&mut self) -> Record {
        self.at_terminal(30, 12, 0, "sudo");
        self.at_terminal(31, 30, 0, "sudo").terminal = pts(1);
        self.at_terminal(32, 31, 0, "bash").terminal = pts(1);
        self.record(30, "alice", "root", "sudo-i")
    }

    fn chosen(&self, record: &Record, how: How) -> (Vec<u32>, Vec<(u32, &'static str)>) {
        let set = choose(record, &self.records, &self.processes, &[ALICE], how);
        let targets = set.targets.iter().map(|(pid, _)| *pid).collect();
        (targets, set.left.iter().map(|(pid, why)| (*pid, why.token())).collect())
    }

    fn killed(&self, record: &Record) -> (Vec<u32>, Vec<(u32, &'static str)>) {
        self.chosen(record, How::Kill)
    }
}

const NOTHING: (Vec<u32>, Vec<(u32, &str)>) = (Vec::new(), Vec::new());

#[test]
fn a89_sudo_and_all_that_it_begot_end_and_the_persons_own_does_not() {
    let mut world = World::new();
    let record = world.sudo();
    world.at_terminal(20, 12, ALICE, "vim");
    assert_eq!(world.killed(&record), (vec![30, 31, 32], vec![]));
    // Under another uid than root's too; under the person's own it is theirs, and so is the su that holds it.
    world.at_terminal(33, 32, WWW, "php");
    world.at_terminal(34, 32, 0, "su");
    world.at_terminal(35, 34, ALICE, "bash");
    assert_eq!(world.killed(&record), (vec![30, 31, 32, 33], vec![(34, "holds"), (35, "own")]));
}

#[test]
fn a89_sudo_is_left_where_its_end_would_take_along_what_is_left() {
    let mut world = World::new();
    let record = world.sudo();
    // A script without a terminal's job control: all that it begins is in its process group.
    world.at_terminal(33, 32, 0, "java").ignores_hangup = true;
    assert_eq!(world.killed(&record), (vec![30, 31, 32], vec![(33, "nohup")]));
    world.processes.get_mut(&33).unwrap().group = 32;
    let left = vec![(30, "holds"), (31, "holds"), (33, "nohup")];
    assert_eq!(world.killed(&record), (vec![32], left));
    // Whatever program gives root is known by its file.
    for program in ["sudo-rs", "su-rs", "runuser"] {
        let mut world = World::new();
        world.at_terminal(30, 12, 0, program);
        world.at_terminal(31, 30, 0, "pg_dump").ignores_hangup = true;
        let record = world.record(30, "alice", "root", "sudo");
        assert_eq!(world.killed(&record), (vec![], vec![(30, "holds"), (31, "nohup")]), "{program}");
    }
}

#[test]
fn a89_a_terminal_of_a_container_is_another_one() {
    let mut world = World::new();
    let record = world.sudo();
    world.processes.get_mut(&30).unwrap().open_terminals = vec![pts(0).unwrap()];
    let inside = world.add(70, 1, 0, "sh", &scope(BOB, 4));
    (inside.terminal, inside.depth) = (pts(0), 2);
    assert_eq!(world.killed(&record), (vec![30, 31, 32], vec![]));
    world.processes.get_mut(&70).unwrap().depth = 1;
    assert!(world.killed(&record).0.is_empty());
}

#[test]
fn a89_whoever_acts_for_another_without_sudo_is_in_no_set() {
    let mut world = World::new();
    // A second sudo asks for a password: nobody's session yet.
    world.at_terminal(25, 12, 0, "sudo");
    let record = world.sudo();
    assert_eq!(world.killed(&record), (vec![30, 31, 32], vec![]));
    // Nor is one that its own tmux, which was left to the first process, holds.
    let own = scope(ALICE, 3);
    world.add(40, 1, ALICE, "tmux", &own);
    world.add(41, 40, ALICE, "bash", &own).terminal = pts(5);
    world.add(42, 41, 0, "sudo", &own).terminal = pts(5);
    assert_eq!(world.killed(&record), (vec![30, 31, 32], vec![]));
}

#[test]
fn a89_what_does_not_agree_is_listed_only() {
    let own = scope(ALICE, 3);
    for (origin, why) in [
        (moved(&own, "/system.slice/run-r7.scope"), "elsewhere"),
        (moved(&own, "/user.slice/user-1000.slice/user@1000.service/tmux-spawn-1.scope"), "elsewhere"),
        (moved(&own, "/user.slice/user-0.slice/user@0.service/app.slice/x.service"), "elsewhere"),
        (moved(&own, "/machine.slice/machine-a.scope"), "elsewhere"),
        (moved(&own, ""), "elsewhere"),
        (Origin { audit_session: Some(4), ..own.clone() }, "other-login"),
        (Origin { loginuid: Some(BOB), ..own.clone() }, "other-login"),
        (Origin { loginuid: None, ..own.clone() }, "other-login"),
    ] {
        for how in [How::Kill, How::All] {
            let mut world = World::new();
            let record = world.sudo();
            world.add(40, 32, 0, "job", &origin).terminal = pts(1);
            assert_eq!(world.chosen(&record, how), (vec![30, 31, 32], vec![(40, why)]), "{origin:?}");
        }
    }
    // The first process of a container has the same cgroup, where nobody gave it another.
    let mut world = World::new();
    let record = world.sudo();
    world.at_terminal(40, 32, 0, "bash").depth = 2;
    assert_eq!(world.chosen(&record, How::All), (vec![30, 31, 32], vec![(40, "container")]));
}

#[test]
fn a89_a_session_that_is_in_no_scope_of_a_login_is_listed_only() {
    for cgroup in [
        "/system.slice/ssh.service",
        "/system.slice/cron.service",
        "/user.slice/user-1000.slice/user@1000.service/tmux-spawn-1.scope",
        "/user.slice/user-1000.slice/session-4.scope",
        "/user.slice/user-1001.slice/session-3.scope",
        "/user.slice/user-1000.slice/session-3.scope/x.scope",
    ] {
        let mut world = World::new();
        world.sudo();
        for pid in [30, 31, 32] {
            let process = world.processes.get_mut(&pid).unwrap();
            process.origin = moved(&process.origin, cgroup);
        }
        let record = Record { cgroup: cgroup.to_string(), ..world.records[0].clone() };
        world.records = vec![record.clone()];
        let all = vec![(30, "elsewhere"), (31, "elsewhere"), (32, "elsewhere")];
        assert_eq!(world.chosen(&record, How::All), (vec![], all), "{cgroup}");
    }
    // In containers logind counts for itself, and without systemd there are no scopes.
    for cgroup in [
        "/user.slice/user-1000.slice/session-c7.scope",
        "/lxc/db/user.slice/user-1000.slice/session-c7.scope",
        "/",
        "/lxc/db",
        "",
    ] {
        assert!(is_whole(&moved(&scope(ALICE, 3), cgroup)), "{cgroup}");
    }
}

#[test]
fn a89_a_daemon_is_ended_by_all_alone() {
    let mut world = World::new();
    let record = world.sudo();
    // What its parents have left, without a terminal; and what ignores hang-ups.
    world.add(50, 1, 0, "daemon", &scope(ALICE, 3));
    world.at_terminal(51, 32, 0, "pg_dump").ignores_hangup = true;
    let left = vec![(50, "no-terminal"), (51, "nohup")];
    assert_eq!(world.killed(&record), (vec![30, 31, 32], left));
    assert_eq!(world.chosen(&record, How::All), (vec![30, 31, 32, 50, 51], vec![]));
    // What has none itself, and descends from what has, is no daemon.
    world.add(52, 32, 0, "tail", &scope(ALICE, 3));
    assert_eq!(world.killed(&record).0, [30, 31, 32, 52]);
}

#[test]
fn a89_a_sudo_whose_command_is_left_is_left() {
    let mut world = World::new();
    world.at_terminal(30, 12, 0, "sudo");
    world.at_terminal(31, 30, 0, "sudo");
    let record = world.record(30, "alice", "root", "sudo");
    world.at_terminal(32, 31, 0, "pg_dump").ignores_hangup = true;
    let left = vec![(30, "holds"), (31, "holds"), (32, "nohup")];
    assert_eq!(world.killed(&record), (vec![], left));
    let run = moved(&scope(ALICE, 3), "/system.slice/run-r7.scope");
    world.add(32, 31, 0, "job", &run);
    assert_eq!(world.killed(&record).0, [0; 0]);
}

#[test]
fn a89_sudo_that_has_no_terminal_is_no_business_of_kill() {
    let mut world = World::new();
    world.processes.get_mut(&12).unwrap().terminal = None;
    world.add(30, 12, 0, "sudo", &scope(ALICE, 3));
    world.add(31, 30, 0, "backup", &scope(ALICE, 3));
    let record = world.record(30, "alice", "root", "sudo");
    assert_eq!(world.killed(&record), (vec![], vec![(30, "no-terminal"), (31, "no-terminal")]));
    assert_eq!(world.chosen(&record, How::All), (vec![30, 31], vec![]));
}

/// A tmux 60 that was begun by alice's sudo and that holds terminal 0 open, with the shell 61 on terminal 7.
fn with_tmux(world: &mut World) -> Record {
    let record = world.sudo();
    let own = scope(ALICE, 3);
    world.at_terminal(59, 32, 0, "tmux").terminal = pts(1);
    world.add(60, 1, 0, "tmux", &own).open_terminals = vec![pts(1).unwrap()];
    world.add(61, 60, 0, "bash", &own).terminal = pts(7);
    record
}

#[test]
fn a89_what_tmux_holds_alone_ends() {
    let mut world = World::new();
    let record = with_tmux(&mut world);
    assert_eq!(world.killed(&record), (vec![30, 31, 32, 59, 61], vec![(60, "no-terminal")]));
    // Her own second terminal is hers.
    world.add(70, 2, ALICE, "bash", &scope(ALICE, 8)).terminal = pts(3);
    world.processes.get_mut(&60).unwrap().open_terminals.push(pts(3).unwrap());
    assert_eq!(world.killed(&record).0, [30, 31, 32, 59, 61]);
}

#[test]
fn a89_what_tmux_holds_for_two_people_is_listed_only() {
    let mut world = World::new();
    let record = with_tmux(&mut world);
    world.add(70, 2, 0, "bash", &scope(BOB, 9)).terminal = pts(3);
    world.processes.get_mut(&60).unwrap().open_terminals.push(pts(3).unwrap());
    for how in [How::Kill, How::All] {
        let left = vec![(60, "shared"), (61, "shared")];
        assert_eq!(world.chosen(&record, how), (vec![30, 31, 32, 59], left));
    }
    // Also where it is alice's own, and her sudo runs in it.
    let mut world = World::new();
    let own = scope(ALICE, 3);
    world.add(20, 1, ALICE, "tmux", &own).open_terminals = vec![pts(0).unwrap(), pts(3).unwrap()];
    world.add(21, 20, ALICE, "bash", &own).terminal = pts(7);
    world.add(30, 21, 0, "sudo", &own).terminal = pts(7);
    let record = world.record(30, "alice", "root", "sudo");
    assert_eq!(world.killed(&record).0, [30]);
    world.add(70, 2, BOB, "bash", &scope(BOB, 9)).terminal = pts(3);
    assert_eq!(world.killed(&record), (vec![], vec![(30, "shared")]));
}

#[test]
fn a89_who_has_the_same_login_uid_is_another_where_the_account_is_shared() {
    let mut world = World::new();
    let record = connection(&mut world, 80, 0, 5);
    let own = scope(0, 5);
    world.add(90, 1, 0, "tmux", &own).open_terminals = vec![pts(4).unwrap()];
    world.add(91, 90, 0, "bash", &own).terminal = pts(6);
    // Another connection to root, of hers as its record says.
    let other = connection(&mut world, 180, 0, 6);
    world.processes.get_mut(&182).unwrap().terminal = pts(4);
    assert_eq!(world.killed(&record).0, [81, 82, 91]);
    world.records.retain(|one| one.id != other.id);
    world.records.push(Record { person: "bob".to_string(), ..other });
    assert_eq!(world.killed(&record).1, [(90, "shared"), (91, "shared")]);
    world.records.pop();
    assert_eq!(world.killed(&record).1, [(90, "shared"), (91, "shared")], "of nobody known");
}

/// alice's connection to a shared account: sshd's monitor, its child, and a shell on a terminal of that number.
fn connection(world: &mut World, monitor: u32, uid: u32, session: u32) -> Record {
    let own = scope(uid, session);
    world.add(monitor, 2, 0, "sshd-session", &own);
    world.add(monitor + 1, monitor, uid, "sshd-session", &own);
    world.add(monitor + 2, monitor + 1, uid, "bash", &own).terminal = pts(monitor);
    world.record(monitor, "alice", if uid == 0 { "root" } else { "deploy" }, "sshd")
}

#[test]
fn a89_a_connection_to_a_shared_account_is_hung_up_as_a_whole() {
    for uid in [0, 1005] {
        let mut world = World::new();
        let record = connection(&mut world, 80, uid, 5);
        // Another one, a robot's, and what it runs.
        let robot = connection(&mut world, 180, uid, 6);
        world.records.iter_mut().filter(|one| one.id == robot.id).for_each(|one| one.person.clear());
        // A command that has no terminal, as sftp has none.
        world.add(85, 81, uid, "sftp-server", &scope(uid, 5));
        let set = choose(&record, &world.records, &world.processes, &[ALICE], How::Hangup);
        assert_eq!(
            set.targets,
            [(81, Force::Connection), (82, Force::Hangup)],
            "not its monitor, not the listener"
        );
        assert_eq!(set.left, [(85, Why::NoTerminal)]);
        let set = choose(&record, &world.records, &world.processes, &[ALICE], How::Kill);
        assert_eq!(set.targets, [(81, Force::Connection), (82, Force::Kill)]);
        assert_eq!(world.chosen(&record, How::All), (vec![81, 82, 85], vec![]));
    }
}

#[test]
fn a89_where_sshd_serves_root_without_a_monitor_that_one_process_is_the_connection() {
    let mut world = World::new();
    let own = scope(0, 5);
    world.add(80, 2, 0, "sshd", &own);
    let record = world.record(80, "alice", "root", "sshd");
    // Idle: a mux without a session, with a forwarding.
    assert_eq!(world.chosen(&record, How::Hangup), (vec![80], vec![]));
    world.add(81, 80, 0, "bash", &own).terminal = pts(1);
    assert_eq!(world.chosen(&record, How::Hangup), (vec![80, 81], vec![]));
    // Before logind has moved it, or where nothing does.
    for pid in [80, 81] {
        let process = world.processes.get_mut(&pid).unwrap();
        process.origin = moved(&process.origin, "/system.slice/ssh.service");
    }
    assert_eq!(world.chosen(&record, How::All).0, [0; 0]);
}

#[test]
fn a89_a_hang_up_ends_nothing_but_connections() {
    let mut world = World::new();
    let record = world.sudo();
    let left = [30, 31, 32].map(|pid| (pid, "no-connection")).to_vec();
    assert_eq!(world.chosen(&record, How::Hangup), (vec![], left));
}

#[test]
fn a89_the_persons_own_login_is_never_ended() {
    let mut world = World::new();
    let record = world.record(10, "alice", "alice", "sshd");
    world.sudo();
    for how in [How::Hangup, How::Kill, How::All] {
        assert_eq!(world.chosen(&record, how), (vec![], vec![(10, "own-login")]));
    }
    // Nor a console.
    let console = Record { service: "login".to_string(), account: "root".to_string(), ..record };
    assert_eq!(world.chosen(&console, How::All), (vec![], vec![(10, "own-login")]));
}

#[test]
fn a89_sshd_login_and_systemd_are_never_in_it() {
    for program in ["sshd", "sshd-session", "sshd-auth", "login", "systemd", "systemd-executor"] {
        let mut world = World::new();
        let record = world.sudo();
        world.at_terminal(40, 32, 0, program).terminal = pts(1);
        assert_eq!(world.chosen(&record, How::All), (vec![30, 31, 32], vec![]), "{program}");
    }
}

#[test]
fn a89_a_chain_belongs_to_its_first_human() {
    let mut world = World::new();
    let first = world.sudo();
    world.at_terminal(33, 32, 0, "su").terminal = pts(1);
    let second = world.record(33, "", "bob", "su-l");
    world.at_terminal(34, 33, BOB, "bash").terminal = pts(1);
    world.at_terminal(35, 34, 0, "sudo").terminal = pts(1);
    let third = world.record(35, "bob", "root", "sudo-i");
    world.at_terminal(36, 35, 0, "bash").terminal = pts(1);
    for record in [&first, &second, &third] {
        assert_eq!(human(record, &world.records, &world.processes).person, "alice");
    }
    assert_eq!(world.killed(&first), (vec![30, 31, 32, 33, 34, 35, 36], vec![]));
    assert_eq!(world.killed(&third), (vec![35, 36], vec![]));
    // In a robot's connection whoever the robot became is the first human.
    let robot = connection(&mut world, 80, 1005, 5);
    world.records.iter_mut().filter(|one| one.id == robot.id).for_each(|one| one.person.clear());
    world.add(90, 82, 0, "sudo", &scope(1005, 5));
    let inner = world.record(90, "alice", "root", "sudo");
    assert_eq!(human(&inner, &world.records, &world.processes).id, inner.id);
}

#[test]
fn a89_what_was_left_behind_is_the_sessions_where_it_can_be_no_others() {
    let own = scope(ALICE, 3);
    let mut world = World::new();
    let record = world.sudo();
    world.add(50, 1, 0, "bash", &own).terminal = pts(7);
    world.add(51, 50, WWW, "php", &own).terminal = pts(7);
    assert_eq!(world.killed(&record).0, [30, 31, 32, 50, 51]);
    // Her own login, which is guarded too, is no other one.
    world.record(10, "alice", "alice", "sshd");
    assert_eq!(world.killed(&record).0, [30, 31, 32, 50, 51]);
    // Nor is a program of hers that is root by its file, and that her shell has left.
    let mount = world.at_terminal(52, 1, 0, "fusermount3");
    mount.real_uid = ALICE;
    assert_eq!(world.killed(&record).0, [30, 31, 32, 50, 51]);
    // What is older than the session is a former one's.
    world.add(20, 1, 0, "bash", &own).terminal = pts(7);
    assert_eq!(world.killed(&record).0, [30, 31, 32, 50, 51]);
    // A session that was opened within it makes no difference; another one does.
    world.at_terminal(33, 32, WWW, "sudo").terminal = pts(1);
    world.record(33, "alice", "www-data", "sudo");
    assert_eq!(world.killed(&record).0, [30, 31, 32, 33, 50, 51]);
    world.at_terminal(40, 12, 0, "sudo");
    let other = world.record(40, "alice", "root", "sudo");
    assert_eq!(world.killed(&record), (vec![30, 31, 32, 33], vec![(50, "ambiguous"), (51, "ambiguous")]));
    assert_eq!(world.killed(&other), (vec![40], vec![(50, "ambiguous"), (51, "ambiguous")]));
    // Where neither login uid nor audit session is known, all are alike.
    let mut world = World::new();
    world.at_terminal(30, 12, 0, "sudo").origin = Origin::default();
    let record = world.record(30, "alice", "root", "sudo");
    world.add(50, 1, 0, "bash", &Origin::default()).terminal = pts(7);
    assert_eq!(world.killed(&record), (vec![30], vec![]));
}

/// Both are over, and so is whatever either has left.
#[test]
fn a89_what_may_be_of_either_of_two_that_end_is_ended_with_them() {
    let mut world = World::new();
    let first = world.sudo();
    world.at_terminal(40, 12, 0, "sudo");
    let second = world.record(40, "alice", "root", "sudo");
    world.add(50, 1, 0, "bash", &scope(ALICE, 3)).terminal = pts(7);
    let due = [second, first].map(|record| Due { record, own: vec![ALICE], how: How::Kill });
    let chosen = |world: &World| -> Vec<Vec<u32>> {
        let sets = choose_each(due.iter(), &world.records, &world.processes);
        sets.iter().map(|set| set.targets.iter().map(|(pid, _)| *pid).collect()).collect()
    };
    assert_eq!(chosen(&world), [vec![40], vec![30, 31, 32, 50]]);
    // The one that is held goes on, and it may be that one's.
    world.processes.get_mut(&40).unwrap().busy_with = Some("dpkg".to_string());
    assert_eq!(chosen(&world), [vec![], vec![30, 31, 32]]);
}

#[test]
fn a89_what_systemd_has_moved_out_of_the_session_is_listed() {
    let mut world = World::new();
    let record = connection(&mut world, 80, 0, 5);
    let spawned = moved(&scope(0, 5), "/user.slice/user-0.slice/user@0.service/tmux-spawn-1.scope");
    world.add(90, 1, 0, "bash", &spawned).terminal = pts(6);
    assert_eq!(world.chosen(&record, How::All), (vec![81, 82], vec![(90, "elsewhere")]));
    // So was one of a former session, before this one began.
    world.add(79, 1, 0, "bash", &spawned).terminal = pts(6);
    // The manager of root's own services, and what it runs, is nobody's.
    let manager = Origin {
        loginuid: Some(0),
        audit_session: Some(7),
        cgroup: "/user.slice/user-0.slice/user@0.service/init.scope".to_string(),
    };
    world.add(91, 1, 0, "systemd", &manager);
    world.add(92, 91, 0, "gpg-agent", &manager);
    assert_eq!(world.chosen(&record, How::All), (vec![81, 82], vec![(90, "elsewhere")]));
}

#[test]
fn a89_what_must_not_be_broken_off_holds_all_of_it() {
    for busy in [31, 32, 50] {
        let mut world = World::new();
        let record = world.sudo();
        world.add(50, 1, 0, "dpkg", &scope(ALICE, 3));
        world.processes.get_mut(&busy).unwrap().busy_with = Some("dpkg".to_string());
        for how in [How::Kill, How::All] {
            let (targets, left) = world.chosen(&record, how);
            assert_eq!(targets, [0; 0], "{busy}");
            let busy: Vec<u32> = left.iter().filter(|(_, why)| *why == "busy").map(|(pid, _)| *pid).collect();
            assert!(busy.starts_with(&[30, 31, 32]), "{left:?}");
        }
        // What is at work elsewhere holds nobody.
        world.processes.get_mut(&busy).unwrap().busy_with = None;
        world.processes.get_mut(&3).unwrap().busy_with = Some("dpkg".to_string());
        assert_eq!(world.killed(&record).0, [30, 31, 32]);
    }
}

#[test]
fn a91_a_number_that_was_given_again_holds_no_session() {
    let mut world = World::new();
    let record = world.sudo();
    world.processes.get_mut(&30).unwrap().start += 1;
    // What was there is left behind by whatever held it.
    world.processes.get_mut(&31).unwrap().parent = 1;
    assert_eq!(world.killed(&record), (vec![31, 32], vec![]));
    let mut world = World::new();
    let record = connection(&mut world, 80, 0, 5);
    world.processes.get_mut(&80).unwrap().start += 1;
    assert_eq!(world.chosen(&record, How::All), NOTHING);
}
