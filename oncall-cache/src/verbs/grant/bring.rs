//! `grant use`: hands a grant to this host's acceptor, and says what that answers.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use grant::LARGEST_DOCUMENT;
use policy::Principal;

use crate::said::{CANNOT_TELL, Live, Said};

/// Where systemd listens for the acceptor.
pub const SOCKET: &str = "/run/oncall-grant/accept.sock";

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 4 * 1024;

/// One question has its answer in this time: the acceptor waits two seconds for what is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// As long as others, or the same person, ask too often, it is asked again.
const PERSISTENCE: Duration = Duration::from_secs(8);

/// What comes through the door has come whole in this time: anybody with a key can hold a connection there.
const DOOR_PATIENCE: Duration = Duration::from_secs(60);

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(400);

/// Reads standard input to its end, and brings it; `by` is who does, where the door knows.
pub fn run(by: Option<&str>, live: Live<'_>) -> Said {
    let by = match by.map(Principal::new).transpose() {
        Ok(by) => by,
        Err(error) => return Said::usage(format_args!("--by: not a person's name: {error}")),
    };
    super::tell_how_to_paste(live);
    let text = match read_within(io::stdin(), by.as_ref().map(|_| DOOR_PATIENCE)) {
        Ok(text) => text,
        Err(error) => return Said::failure(CANNOT_TELL, format_args!("standard input: {error}")),
    };
    let line = by.map_or_else(|| "use 1\n".to_string(), |by| format!("use 1 by {by}\n"));
    let sent = [line.as_bytes(), &text].concat();
    let end = Instant::now() + PERSISTENCE;
    loop {
        match ask(Path::new(SOCKET), &sent) {
            Ok((_, told)) if told.starts_with("busy") && Instant::now() < end => pause(),
            Ok((0, told)) => return Said::text(told),
            Ok((code, told)) => return Said::failure(code, told),
            Err(problem) => return Said::failure(CANNOT_TELL, problem),
        }
    }
}

/// All of `input`; where there is a `limit`, if it ends within that.
fn read_within(input: impl Read + Send + 'static, limit: Option<Duration>) -> Result<Vec<u8>, String> {
    // What is longer is refused there.
    let read = move || super::take(input, LARGEST_DOCUMENT as u64).map_err(|error| error.to_string());
    let Some(limit) = limit else { return read() };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(read()));
    let late = |_| format!("no end of it within {} seconds; send the grant at once", limit.as_secs());
    receiver.recv_timeout(limit).map_err(late)?
}

/// Lets some of the second go by in which nothing more is judged.
fn pause() {
    #[allow(clippy::disallowed_methods, reason = "nothing tells when the acceptor judges again")]
    std::thread::sleep(PAUSE);
}

/// The status and the words of the answer to `sent`.
fn ask(path: &Path, sent: &[u8]) -> Result<(u8, String), String> {
    let gone = |error: io::Error| {
        format!(
            "{SOCKET}: {error}; is oncall-grant-accept.socket enabled, and does config.toml have a [[policy.grant]]?"
        )
    };
    let mut stream = UnixStream::connect(path).map_err(gone)?;
    let cut = |error: io::Error| format!("{SOCKET}: no whole answer: {error}; try again");
    stream.set_read_timeout(Some(PATIENCE)).map_err(cut)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(cut)?;
    // One that takes no more has answered already.
    let _ = stream.write_all(sent).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut told = Vec::new();
    // What is answered before all was read ends in a reset; the answer is whole then.
    let read = (&stream).take(LONGEST_ANSWER).read_to_end(&mut told);
    read.map(drop).or_else(|error| if told.ends_with(b"\n") { Ok(()) } else { Err(cut(error)) })?;
    understood(&String::from_utf8_lossy(&told))
        .ok_or_else(|| format!("{SOCKET}: closed without an answer; try again"))
}

/// `0 accepted: …`, one line.
fn understood(told: &str) -> Option<(u8, String)> {
    let (code, words) = told.strip_suffix('\n')?.split_once(' ')?;
    let code = code.parse().ok().filter(|code| (0..=CANNOT_TELL).contains(code))?;
    (!words.contains('\n')).then(|| (code, words.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_no_end_is_waited_for_as_long_as_is_said() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"form: 1\n").unwrap();
        let late = read_within(there.try_clone().unwrap(), Some(Duration::from_millis(10))).unwrap_err();
        assert!(late.starts_with("no end of it within 0 seconds"), "{late}");
        let whole = |limit| read_within(&b"form: 1\n"[..], limit);
        assert_eq!(whole(None), whole(Some(Duration::from_secs(600))));
        assert_eq!(whole(None).unwrap(), b"form: 1\n");
    }

    #[test]
    fn an_answer_is_a_status_and_a_line() {
        assert_eq!(understood("1 refused: x\n"), Some((1, "refused: x".to_string())));
        for wrong in ["", "0", "0 accepted", "3 x\n", "x y\n", "0 a\nb\n"] {
            assert_eq!(understood(wrong), None, "{wrong:?}");
        }
    }
}
