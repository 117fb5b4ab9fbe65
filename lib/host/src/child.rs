//! Another program, run under a deadline, without threads: by `authkeys`, and by `oncall-cache sync`.
//!
//! It gets no input but a file that is made before, and no environment but what is said here, and may stall, flood or crash: its
//! output ends at a limit, and whatever of it still runs when the [`Child`] is dropped is killed if it can be.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// How long one that was killed may take to be gone.
const GRACE: Duration = Duration::from_millis(100);

/// Between two looks at one that is about to end: taking a process down takes some of these.
const MOMENT: Duration = Duration::from_micros(100);

/// The most that is kept of what a program says on standard error, in bytes.
const LAST_WORDS: usize = 4096;

/// A program that was started.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    /// The end of what it said on standard error, where that is heard.
    complaint: Vec<u8>,
}

/// Why a child's output is not known to its end.
#[derive(Debug)]
pub enum Trouble {
    /// It did not close its output in time.
    Late,
    /// It said more than it may.
    Endless,
    /// The pipe could not be read.
    Pipe(io::Error),
}

/// What one of its pipes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Answer,
    Complaint,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut { Self::Late } else { Self::Pipe(error) }
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

impl Child {
    /// Starts `program` in its own process group, with `environment` and nothing else in its environment.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        environment: &[(&str, &str)],
    ) -> io::Result<Self> {
        Self::spawn(program, arguments, environment, (Stdio::null(), Stdio::null()))
    }

    /// As [`Child::start`], and it reads `input` to its end on standard input; what it says on standard error is heard.
    pub fn start_given<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        environment: &[(&str, &str)],
        input: File,
    ) -> io::Result<Self> {
        Self::spawn(program, arguments, environment, (input.into(), Stdio::piped()))
    }

    /// As [`Child::start`], and what it says on standard error is heard as well.
    pub fn start_heard<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        environment: &[(&str, &str)],
    ) -> io::Result<Self> {
        Self::spawn(program, arguments, environment, (Stdio::null(), Stdio::piped()))
    }

    fn spawn<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        environment: &[(&str, &str)],
        (stdin, stderr): (Stdio, Stdio),
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment.iter().copied()).process_group(0);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(stderr);
        // In the login path this is the directory already. A static program that sets one forks: std finds no function of
        // the C library there that does it in a spawn. A fork copies the page tables, while sshd waits.
        let root = Path::new("/");
        if env::current_dir().ok().as_deref() != Some(root) {
            command.current_dir(root);
        }
        Ok(Self { process: command.spawn()?, complaint: Vec::new() })
    }

    /// Everything that it says until it closes its output, `longest` bytes and until `end` at most.
    pub fn listen(&mut self, end: Instant, longest: u64) -> Result<Vec<u8>, Trouble> {
        let Some(stdout) = self.process.stdout.take() else {
            return Err(Trouble::Pipe(io::ErrorKind::BrokenPipe.into()));
        };
        let mut pipes = vec![(Stream::Answer, File::from(OwnedFd::from(stdout)))];
        let stderr = self.process.stderr.take().map(OwnedFd::from);
        pipes.extend(stderr.map(|stderr| (Stream::Complaint, File::from(stderr))));
        let (mut said, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            let files: Vec<BorrowedFd<'_>> = pipes.iter().map(|(_, pipe)| pipe.as_fd()).collect();
            let ready = wait_for_one(&files, PollFlags::POLLIN, end)?;
            let Some((voice, pipe)) = pipes.get_mut(ready) else { return Ok(said) };
            let count = match pipe.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Trouble::Pipe(error)),
            };
            let part = buffer.get(..count).unwrap_or_default();
            match voice {
                _ if part.is_empty() => drop(pipes.swap_remove(ready)),
                Stream::Answer => said.extend_from_slice(part),
                Stream::Complaint => self.hear_complaint(part),
            }
            if said.len() as u64 > longest {
                return Err(Trouble::Endless);
            }
            if pipes.is_empty() {
                return Ok(said);
            }
        }
    }

    fn hear_complaint(&mut self, part: &[u8]) {
        self.complaint.extend_from_slice(part);
        let surplus = self.complaint.len().saturating_sub(LAST_WORDS);
        self.complaint.drain(..surplus);
    }

    /// The last line that it said on standard error, where that was heard; whatever it wrote.
    pub fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.complaint);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(String::from)
    }

    /// How it ended, if it does until `end`. It stays a zombie, so that its group's number stays its own.
    pub fn ending(&self, end: Instant) -> Option<Ending> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::Pid(self.pid()?), flags) {
                Ok(WaitStatus::Exited(_, code)) => return Some(Ending::Exit(code)),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Some(Ending::Signal(signal as i32)),
                Ok(_) | Err(Errno::EINTR) if Instant::now() < end => pause(MOMENT),
                _ => return None,
            }
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().map(Pid::from_raw)
    }
}

impl Drop for Child {
    /// Whatever it is still doing, it has said all that counts; and a zombie is nobody's to reap but ours. One
    /// that has become another user cannot be killed (kill(2), EPERM), and is left to process 1.
    fn drop(&mut self) {
        if let Some(group) = self.pid() {
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = self.process.kill();
        let now = Instant::now();
        if self.ending(now.checked_add(GRACE).unwrap_or(now)).is_some() {
            let _ = self.process.wait();
        }
    }
}

/// Waits until `file` can be read or written, or has lost its other end; not longer than `end`.
pub fn wait_for(file: BorrowedFd<'_>, what: PollFlags, end: Instant) -> io::Result<()> {
    wait_for_one(&[file], what, end).map(drop)
}

/// The same for several: which of them it is.
fn wait_for_one(files: &[BorrowedFd<'_>], what: PollFlags, end: Instant) -> io::Result<usize> {
    let mut polled: Vec<PollFd<'_>> = files.iter().map(|&file| PollFd::new(file, what)).collect();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match poll(&mut polled, timeout(left)) {
            Ok(0) | Err(Errno::EINTR) => {}
            // Flags that nix does not know are news as well.
            Ok(_) => return Ok(polled.iter().position(|file| file.any() != Some(false)).unwrap_or(0)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits; for what cannot be polled.
pub fn pause(length: Duration) {
    let _ = ppoll(&mut [], Some(length.into()), None);
}

/// Whole milliseconds, rounded up: zero would not wait.
fn timeout(left: Duration) -> PollTimeout {
    PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        Child::start(Path::new("/bin/sh"), &["-c", script], &[("LANG", "C")]).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(300)
    }

    #[test]
    fn what_it_says_and_how_it_ends_are_told() {
        let mut child = shell("echo $LANG $HOME; exit 7");
        assert_eq!(child.listen(soon(), 100).unwrap(), b"C\n");
        assert_eq!(child.ending(soon()), Some(Ending::Exit(7)));
        let mut child = shell("kill -9 $$");
        assert_eq!(child.listen(soon(), 100).unwrap(), b"");
        assert_eq!(child.ending(soon()), Some(Ending::Signal(9)));
    }

    #[test]
    fn the_last_line_of_a_complaint_is_heard_if_it_is_asked_for() {
        let heard = |script: &str| {
            let mut child = Child::start_heard(Path::new("/bin/sh"), &["-c", script], &[]).unwrap();
            let said = child.listen(soon(), 100).unwrap();
            assert!(child.complaint.len() <= LAST_WORDS);
            (String::from_utf8(said).unwrap(), child.last_line())
        };
        assert_eq!(
            heard("echo a; echo b >&2; echo c; printf 'd\\n\\n ' >&2"),
            ("a\nc\n".into(), Some("d".into()))
        );
        assert_eq!(heard("exec 2>&-; echo a"), ("a\n".into(), None));
        assert_eq!(heard("exec >&-; echo a >&2"), (String::new(), Some("a".into())));
        let flood = "i=0; while [ $i -lt 3000 ]; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; i=$((i+1)); done >&2";
        assert_eq!(heard(&format!("{flood}; echo end >&2")).1.as_deref(), Some("end"));
        let mut child = shell("echo b >&2");
        assert_eq!((child.listen(soon(), 100).unwrap(), child.last_line()), (vec![], None));
    }

    #[test]
    fn floods_and_silence_end() {
        assert!(matches!(shell("yes").listen(soon(), 1000), Err(Trouble::Endless)));
        let start = Instant::now();
        let mut child = shell("sleep 1000 & sleep 1000");
        assert!(matches!(child.listen(start + Duration::from_millis(50), 1000), Err(Trouble::Late)));
        let group = child.pid().unwrap();
        drop(child);
        assert!(start.elapsed() < Duration::from_secs(600), "the drop waited for them");
        // Its children go with it, as soon as their new parent has looked after them.
        let gone = || killpg(group, None).is_err() || !lives(group);
        while !gone() && Instant::now() < start + Duration::from_secs(600) {
            pause(Duration::from_millis(5));
        }
        assert!(gone());
    }

    /// Is there a process of `group` that is no zombie?
    fn lives(group: Pid) -> bool {
        let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let text = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            let fields: Vec<String> = text.rsplit_once(") ")?.1.split(' ').map(String::from).collect();
            Some((fields.first()?.clone(), fields.get(2)?.clone()))
        });
        stats.into_iter().any(|(state, its)| its == group.to_string() && state != "Z")
    }
}
