//! One sync for any number of webhooks, at most every two seconds.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket};
use nix::sys::time::TimeVal;
use publish::PublishError;
use serde::Deserialize;

use super::PROGRAM;

/// Where `oncall-cache refresh --serve` is asked.
pub const SOCKET: &str = "/run/oncall-cache/refresh.sock";

/// Between the beginnings of two syncs.
const EVERY: Duration = Duration::from_secs(2);

/// How often it is asked, if no sync begins: another one may be at work, which has not seen what changed.
const TRIES: usize = 8;

/// How long an answer is waited for: a sync ends at the deadlines of its sources.
const PATIENCE: Duration = Duration::from_secs(300);

/// The longest answer, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What is needed of an answer.
#[derive(Debug, Deserialize)]
struct Answer {
    /// Did a sync begin after it was asked for?
    began: bool,
    message: String,
}

/// Syncs whenever something is received, until nobody can send any more.
pub fn sync_when_asked(asked: &Receiver<()>, socket: &Path, heard: &Path) {
    let mut last: Option<Instant> = None;
    while let Ok(()) = asked.recv() {
        let came = host::clock::now();
        let mut outcome = Err(io::Error::other("not asked"));
        for _ in 0..TRIES {
            if let Some(wait) = last.and_then(|last| EVERY.checked_sub(last.elapsed())) {
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the time between two syncs is what it waits for"
                )]
                std::thread::sleep(wait);
            }
            last = Some(Instant::now());
            outcome = ask(socket);
            if outcome.as_ref().is_ok_and(|answer| answer.began) {
                break;
            }
        }
        match outcome {
            Ok(answer) if answer.began => {
                let text = format!("{came}\n");
                let written = publish::replace(heard, 0o644, |temporary| {
                    std::fs::write(temporary, &text).map_err(|error| error.to_string())
                });
                if let Err(PublishError::Write(path, problem)) = written {
                    host::output::complain(PROGRAM, format_args!("{}: {problem}", path.display()));
                }
                host::output::complain(PROGRAM, format_args!("a webhook: {}", answer.message));
            }
            Ok(answer) => {
                host::output::complain(PROGRAM, format_args!("a webhook, and no sync: {}", answer.message));
            }
            Err(error) => {
                let text = format_args!("a webhook, and no sync: {}: {error}", socket.display());
                host::output::complain(PROGRAM, text);
            }
        }
    }
}

fn ask(path: &Path) -> io::Result<Answer> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Others may fill the queue.
    setsockopt(&fd, SendTimeout, &TimeVal::new(10, 0))?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(fd);
    // It is answered in one piece.
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = Vec::new();
    stream.take(LONGEST).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(|_| io::Error::other("an answer that this release cannot read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn one_sync_answers_all_that_came_before_it_and_one_that_did_not_begin_is_asked_for_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, heard) = (directory.path().join("socket"), directory.path().join("heard"));
        let listener = UnixListener::bind(&path).unwrap();
        let (ask, asked) = sync_channel(1);
        let file = heard.clone();
        let pacer = std::thread::spawn(move || sync_when_asked(&asked, &path, &file));
        let start = Instant::now();
        let mut times = Vec::new();
        ask.send(()).unwrap();
        for answer in [
            r#"{"version":1,"began":false,"message":"another sync is running"}"#,
            "no answer",
            r#"{"version":1,"began":true,"message":"done"}"#,
            r#"{"version":1,"began":true,"message":"done"}"#,
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            times.push(start.elapsed());
            assert!(times.len() > 3 || super::super::heard(&heard).is_none());
            // Whatever comes while it waits for the answer is one more sync.
            (0..100).for_each(|_| _ = ask.try_send(()));
            stream.write_all(answer.as_bytes()).unwrap();
            if times.len() == 4 {
                listener.set_nonblocking(true).unwrap();
            }
        }
        drop(ask);
        // Counted from the first one: where this thread is late to accept, two come to it sooner after each other.
        for (before, time) in (0..).zip(&times) {
            assert!(*time >= EVERY * before, "{times:?}");
        }
        // The place in the queue that was taken during the last answer.
        listener.set_nonblocking(false).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(br#"{"began":true,"message":""}"#).unwrap();
        drop(stream);
        pacer.join().unwrap();
        assert!(super::super::heard(&heard).is_some());
    }
}
