//! `refresh`: anybody asks for a sync now. An override made on a phone at night must not wait for the timer.
//!
//! Whoever connects to a socket is answered; what they send is never read. systemd listens on it and starts
//! [`serve`] as the user whom the roster belongs to, at most one sync in half a minute, whoever asks how often. The
//! answer is for everybody, so it has nothing in it that `status` does not tell.

mod serve;

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use host::Config;
use host::config::Provider;
use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket};
use nix::sys::time::TimeVal;
use policy::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::CANNOT_TELL;
pub use serve::serve;

/// Where systemd listens.
pub const SOCKET: &str = "/run/oncall-cache/refresh.sock";

/// The time from one sync to the next that may be asked for.
pub const EVERY: Span = Span::seconds(30);

/// What a sync may take beyond the deadlines of its sources.
const MARGIN: Duration = Duration::from_secs(10);

/// The longest message of an answer, and the longest answer, in bytes.
const LONGEST_MESSAGE: usize = 4096;
const LONGEST: u64 = 64 * 1024;

/// The only form so far.
const VERSION: u32 = 1;

/// What everybody who waits is told; one JSON object, and the same for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Changes when a field changes its meaning or goes.
    pub version: u32,
    /// 0, all of it is new; 1, some of it, or it was too early; 2, nothing is new.
    pub exit: u8,
    /// What the sync said, or why there was none, and who is on call.
    pub message: String,
    /// When the last sync began, in RFC 3339; where that is known.
    pub attempted: Option<String>,
    /// From when on another may be asked for.
    pub next: Option<String>,
}

impl Answer {
    /// An answer after a sync that began at `attempted`, if one did.
    fn new(exit: u8, message: &str, attempted: Option<Timestamp>) -> Self {
        let end = (0..=LONGEST_MESSAGE).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
        let cut = if message.len() > end { "…" } else { "" };
        Self {
            version: VERSION,
            exit,
            message: format!("{}{cut}", message.get(..end).unwrap_or(message)),
            attempted: attempted.map(|at| at.to_string()),
            next: attempted.map(|at| at.plus(EVERY).to_string()),
        }
    }
}

/// Asks for a sync and waits for its answer.
///
/// # Errors
/// Text that says why there is none.
pub fn ask(config: &Config) -> Result<Answer, String> {
    let patience = patience(config);
    let end = Instant::now() + patience;
    let gone = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
    };
    let stream = dial(Path::new(SOCKET), patience).map_err(|error| match error {
        error if gone(&error) => "no refresh socket; ask root to run `oncall-cache sync`".to_string(),
        error => format!("{SOCKET}: {error}; ask root to run `oncall-cache sync`"),
    })?;
    let told = receive(&stream, end).map_err(|error| {
        format!("{SOCKET}: no answer within {}s; see `oncall-cache status`: {error}", patience.as_secs())
    })?;
    let answer: Answer = serde_json::from_slice(&told)
        .map_err(|_| format!("{SOCKET}: ended without an answer; see `oncall-cache status`"))?;
    match (answer.version, answer.exit) {
        (VERSION, 0..=CANNOT_TELL) => Ok(answer),
        _ => Err(format!("{SOCKET}: an answer that this release does not read; ask again")),
    }
}

/// The longest that an answer can take: a sync may be at work already when it is asked for, and another one
/// follows.
fn patience(config: &Config) -> Duration {
    let deadline = |provider: &Provider| match provider {
        Provider::PagerDuty(settings) => settings.deadline.as_seconds(),
        Provider::Exec(settings) => settings.deadline.as_seconds(),
        Provider::Rota(_) | Provider::File(_) => 0,
    };
    let all: i64 = config.oncall.sources.iter().map(|source| deadline(&source.provider)).sum();
    Duration::from_secs(u64::try_from(all.saturating_mul(2)).unwrap_or(0)) + MARGIN
}

/// Connects; while too many others wait it waits as well, for `patience` at most.
fn dial(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let seconds = i64::try_from(patience.as_secs()).unwrap_or(i64::MAX);
    setsockopt(&fd, SendTimeout, &TimeVal::new(seconds, 0))?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

fn receive(stream: &UnixStream, end: Instant) -> io::Result<Vec<u8>> {
    let mut told = Vec::new();
    let mut part = [0; 4096];
    loop {
        // A timeout of nothing would mean none.
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        let length = (&*stream).read(&mut part)?;
        told.extend(part.iter().take(length));
        let too_much = told.len() as u64 > LONGEST || Instant::now() >= end;
        match (length, too_much) {
            (0, _) => return Ok(told),
            (_, true) => return Err(io::Error::other("it does not end")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_message_is_cut_between_letters() {
        let answer = Answer::new(0, &"é".repeat(LONGEST_MESSAGE), None);
        assert_eq!(answer.message.len(), LONGEST_MESSAGE + "…".len());
        assert_eq!(Answer::new(0, "short", None).message, "short");
    }

    #[test]
    fn an_answer_without_end_is_refused_and_one_that_never_comes_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let stream = dial(&path, Duration::from_secs(1)).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        let endless = std::thread::spawn(move || while other.write_all(&[b' '; 4096]).is_ok() {});
        let soon = || Instant::now() + Duration::from_millis(300);
        assert!(receive(&stream, Instant::now() + Duration::from_secs(60)).is_err());
        drop(stream);
        endless.join().unwrap();
        let silent = dial(&path, Duration::from_secs(1)).unwrap();
        assert!(receive(&silent, soon()).is_err());
    }
}
