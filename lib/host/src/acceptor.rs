//! The socket of `oncall-grant-accept`, from the side of whoever asks: one question, one line in answer, under one deadline.
//!
//! Modules in sshd and sudo ask by it too: it neither waits for ever, nor does a peer that is gone raise SIGPIPE.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, socket};

/// Where systemd listens for it.
pub const SOCKET: &str = "/run/oncall-grant/accept.sock";

/// The question whether it can keep a reason now.
pub const MAY_CLAIM: &[u8] = b"claims 1\n";

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 4 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Nobody listens there, or nobody may connect.
    Gone(io::Error),
    /// The answer is none, or not whole, in time.
    Cut(io::Error),
}

/// The status and the words of the answer to `sent`, which is told within `limit`.
///
/// # Errors
/// There is no whole answer.
pub fn ask(path: &Path, sent: &[u8], limit: Duration) -> Result<(u8, String), Unanswered> {
    let end = Instant::now() + limit;
    let mut stream = open(path).map_err(|error| Unanswered::Gone(error.into()))?;
    stream.set_nonblocking(false).map_err(Unanswered::Cut)?;
    stream.set_write_timeout(Some(limit)).map_err(Unanswered::Cut)?;
    write(&stream, sent);
    let mut told = Vec::new();
    let mut part = [0; 1024];
    // What is answered before all was read ends in a reset; the answer is whole then.
    while !told.ends_with(b"\n") && told.len() < LONGEST_ANSWER {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Unanswered::Cut(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(Unanswered::Cut)?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => told.extend(part.iter().take(length)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Unanswered::Cut(error)),
        }
    }
    understood(&String::from_utf8_lossy(&told))
        .ok_or_else(|| Unanswered::Cut(io::Error::other("closed without an answer")))
}

/// Connects, unless that would have to wait: a queue that is full is nobody who answers.
fn open(path: &Path) -> Result<UnixStream, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket.into())
}

/// Sends all of it, and that this was all. One that takes no more has answered already.
fn write(stream: &UnixStream, sent: &[u8]) {
    let mut rest = sent;
    while !rest.is_empty() {
        match send(stream.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// `0 accepted: …`, one line: 0 yes, 1 no, 2 cannot tell.
fn understood(told: &str) -> Option<(u8, String)> {
    let (code, words) = told.strip_suffix('\n')?.split_once(' ')?;
    let code = code.parse().ok().filter(|code| (0..=2).contains(code))?;
    (!words.contains('\n')).then(|| (code, words.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, bind, listen};
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_answer_is_a_status_and_a_line() {
        assert_eq!(understood("1 refused: x\n"), Some((1, "refused: x".to_string())));
        for wrong in ["", "0", "0 accepted", "3 x\n", "x y\n", "0 a\nb\n"] {
            assert_eq!(understood(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn whoever_does_not_answer_is_waited_for_no_longer_than_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let asked = |limit| ask(&path, b"claims 1\n", limit);
        assert!(matches!(asked(Duration::from_secs(600)), Err(Unanswered::Gone(_))));
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        // It listens, and answers nothing.
        assert!(matches!(asked(Duration::from_millis(20)), Err(Unanswered::Cut(_))));
        // Nor does one whose queue is full hold anybody up.
        let waiting: Vec<UnixStream> = std::iter::from_fn(|| open(&path).ok()).take(10).collect();
        assert!(waiting.len() < 10);
        assert!(matches!(asked(Duration::from_secs(600)), Err(Unanswered::Gone(_))));
        drop((waiting, listener));
        std::fs::remove_file(&path).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = String::new();
            stream.read_to_string(&mut question).unwrap();
            stream.write_all(b"0 yes\n").unwrap();
            question
        });
        assert_eq!(asked(Duration::from_secs(600)).unwrap(), (0, "yes".to_string()));
        assert_eq!(server.join().unwrap(), "claims 1\n");
    }
}
