//! `refresh`: anybody asks for a sync now. An override made on a phone at night must not wait for the timer.
//!
//! Everybody who connects to a socket is answered; what they send is never read. systemd listens on it and starts
//! [`serve`] as the owner of the roster, at most one sync in half a minute, however often it is asked. The
//! answer is for everybody, so it has nothing in it that `status` does not tell.

mod answer;
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
use policy::Span;
use serde_json::json;

use crate::cli::RefreshArguments;
use crate::pull;
use crate::said::{CANNOT_TELL, Live, Said};
use answer::{Answer, VERSION};

/// Where systemd listens.
pub const SOCKET: &str = "/run/oncall-cache/refresh.sock";

/// What a sync may take beyond the deadlines of its sources.
const MARGIN: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Asks for a sync, or answers everybody who asks systemd's socket for one.
pub fn run(config: &Path, arguments: &RefreshArguments, live: Live<'_>) -> Said {
    if arguments.serve {
        let outcome = serve::serve(|| Config::load(config).map(Config::with_credentials), live);
        return outcome.map_or_else(|problem| Said::failure(CANNOT_TELL, problem), |()| Said::default());
    }
    match Config::load(config).map_err(|error| error.to_string()).and_then(|config| ask(&config)) {
        Ok(answer) => {
            let code = answer.exit;
            let said = if arguments.json { Said::json(&json!(answer)) } else { Said::text(answer.message) };
            said.exit(code)
        }
        Err(problem) => {
            let json = || json!({ "version": 1, "exit": CANNOT_TELL, "message": problem });
            Said::failure_as(arguments.json.then(json), &problem)
        }
    }
}

/// Asks for a sync and waits for its answer.
///
/// # Errors
/// Text that says why there is none.
fn ask(config: &Config) -> Result<Answer, String> {
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
        .map_err(|_| format!("{SOCKET}: closed without an answer; see `oncall-cache status`"))?;
    match (answer.version, answer.exit) {
        (VERSION, 0..=CANNOT_TELL) => Ok(answer),
        _ => Err(format!("{SOCKET}: an answer that this release cannot read; ask again")),
    }
}

/// The longest that an answer can take: a sync may be at work already when it is asked for, and another one
/// follows.
fn patience(config: &Config) -> Duration {
    let deadline = |provider: &Provider| provider.timeout().map_or(0, Span::as_seconds);
    let all: i64 = config.oncall.sources.iter().map(|source| deadline(&source.provider)).sum();
    let sources = Duration::from_secs(u64::try_from(all.saturating_mul(2)).unwrap_or(0));
    let pulls = if config.fleet.is_some() { pull::TIME * 2 } else { Duration::ZERO };
    sources + pulls + MARGIN
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
