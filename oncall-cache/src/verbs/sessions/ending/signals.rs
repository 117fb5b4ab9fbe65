//! The signals by which processes are ended, each to a process that cannot be mistaken for another.
//!
//! A number alone is not enough, since the kernel gives it again. So each process is opened first, and only then is it
//! compared with the one that was chosen: from there on the descriptor means that one (pidfd_open(2), Linux 5.3).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use record::Stat;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::set::Force;
use crate::verbs::sessions::processes::Process;

/// How long a program has to save what it must, after its terminal was hung up.
const HUNG_UP: Duration = Duration::from_secs(2);

/// And after it was told to end.
const TOLD: Duration = Duration::from_secs(10);

/// How long the kernel may take to end one that is killed: one that waits for a disk goes on until that answers.
const KILLED: Duration = Duration::from_secs(5);

/// A process that is held.
struct Target {
    process: Process,
    handle: OwnedFd,
    force: Force,
}

/// What became of those that were to be ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// They have.
    pub ended: Vec<Process>,
    /// They have not, and why.
    pub remain: Vec<(Process, String)>,
}

impl Outcome {
    /// Of those that were found once there was no time left to end them.
    pub fn too_late(targets: Vec<(Process, Force)>) -> Self {
        let why = "it was begun while others ended; try again";
        let remain = targets.into_iter().map(|(process, _)| (process, why.to_string())).collect();
        Self { ended: Vec::new(), remain }
    }
}

/// Ends these, and waits until they have ended, seventeen seconds at most.
pub fn end(chosen: Vec<(Process, Force)>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut targets = Vec::new();
    for (process, force) in chosen {
        match open(&process) {
            Ok(Some(handle)) => targets.push(Target { process, handle, force }),
            // It has ended meanwhile, whoever has its number now.
            Ok(None) => {}
            Err(error) => outcome.remain.push((process, format!("it cannot be held: {error}"))),
        }
    }
    let mut unsent = Vec::new();
    for (signals, forces, patience) in [
        // A stopped one takes a signal only once it goes on.
        (&[Signal::HUP, Signal::CONT][..], &[Force::Hangup, Force::Kill][..], Duration::ZERO),
        (&[Signal::TERM, Signal::CONT], &[Force::Connection], HUNG_UP),
        (&[Signal::TERM], &[Force::Kill], TOLD),
        (&[Signal::KILL], &[Force::Kill, Force::Connection], KILLED),
    ] {
        for target in targets.iter().filter(|target| forces.contains(&target.force)) {
            unsent.extend(send(target, signals).err().map(|error| (target.process.pid, error)));
        }
        targets = wait(targets, patience, &mut outcome.ended);
    }
    for Target { process, .. } in targets {
        let error = unsent.iter().find(|(pid, _)| *pid == process.pid);
        let why = error.map_or_else(
            || "it has not ended, though it was told to".to_string(),
            |(_, error)| format!("it cannot be told to end: {error}"),
        );
        outcome.remain.push((process, why));
    }
    outcome
}

/// Nothing, where the process has ended: then the number is another's, or nobody's.
fn open(process: &Process) -> Result<Option<OwnedFd>, Errno> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(None),
        opened => opened?,
    };
    let stat = Stat::of(Path::new(&format!("/proc/{}", process.pid)));
    Ok(stat.is_some_and(|stat| stat.start == process.start).then_some(handle))
}

fn send(target: &Target, signals: &[Signal]) -> Result<(), Errno> {
    for signal in signals {
        match pidfd_send_signal(&target.handle, *signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until all have ended, so long at most; those that have not.
fn wait(targets: Vec<Target>, patience: Duration, ended: &mut Vec<Process>) -> Vec<Target> {
    let end = Instant::now() + patience;
    let mut left = targets;
    loop {
        let mut waiting = Vec::new();
        for target in left {
            if has_ended(&target.handle) { ended.push(target.process) } else { waiting.push(target) }
        }
        left = waiting;
        let time = end.saturating_duration_since(Instant::now());
        if left.is_empty() || time.is_zero() {
            return left;
        }
        let mut handles: Vec<PollFd<'_>> =
            left.iter().map(|target| PollFd::new(target.handle.as_fd(), PollFlags::POLLIN)).collect();
        // However it returns, each is asked again.
        let _ = poll(&mut handles, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
    }
}

/// A descriptor of a process can be read once that has ended.
fn has_ended(handle: &OwnedFd) -> bool {
    let mut one = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
    poll(&mut one, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    /// A shell that has said that it is ready.
    fn shell(script: &str) -> (Child, Process) {
        // It reads from this test, and ends with it.
        let script = format!("{script}\necho ready; read line");
        let mut sh = Command::new("sh");
        sh.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = sh.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let pid = child.id();
        let start = Stat::of(Path::new(&format!("/proc/{pid}"))).unwrap().start;
        (child, Process { pid, start, ..Process::default() })
    }

    fn pids(processes: &[Process]) -> Vec<u32> {
        processes.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn a_process_ends_by_what_it_cannot_withstand() {
        use std::os::unix::process::ExitStatusExt;
        for (script, force, signal) in [
            ("", Force::Kill, 1),
            ("trap '' HUP", Force::Kill, 15),
            ("trap '' HUP TERM", Force::Kill, 9),
            ("", Force::Connection, 15),
            ("", Force::Hangup, 1),
        ] {
            let (mut child, process) = shell(script);
            let outcome = end(vec![(process.clone(), force)]);
            assert_eq!(pids(&outcome.ended), [process.pid], "{script}: {outcome:?}");
            assert_eq!(child.wait().unwrap().signal(), Some(signal), "{script}");
        }
    }

    #[test]
    fn one_that_is_stopped_ends_too() {
        let (mut child, process) = shell("");
        let stopped = Command::new("kill").args(["-STOP", &child.id().to_string()]).status().unwrap();
        assert!(stopped.success());
        let outcome = end(vec![(process.clone(), Force::Hangup)]);
        assert_eq!(pids(&outcome.ended), [process.pid], "{outcome:?}");
        child.wait().unwrap();
    }

    #[test]
    fn a91_a_number_that_is_anothers_by_now_is_not_touched() {
        let (mut child, process) = shell("");
        let before = Process { start: process.start - 1, ..process.clone() };
        let outcome = end(vec![(before, Force::Kill)]);
        assert!(outcome.ended.is_empty() && outcome.remain.is_empty(), "{outcome:?}");
        assert_eq!(child.try_wait().unwrap(), None, "it lives");
        assert_eq!(pids(&end(vec![(process, Force::Kill)]).ended), [child.id()]);
        child.wait().unwrap();
        // And one that is nobody's.
        let gone = Process { pid: 0x3FFF_FFFF, ..Process::default() };
        assert!(end(vec![(gone, Force::Kill)]).remain.is_empty());
    }

    #[test]
    fn what_ignores_a_hang_up_is_told_of_where_no_more_is_sent() {
        let (mut child, process) = shell("trap '' HUP");
        let outcome = end(vec![(process.clone(), Force::Hangup)]);
        assert_eq!(outcome.remain[0].0, process, "{outcome:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
