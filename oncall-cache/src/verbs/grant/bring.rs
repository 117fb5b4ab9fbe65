//! `grant use`: hands a grant to this host's acceptor, and says what that answers; and `claim`: the reason of somebody on
//! call.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use grant::LARGEST_DOCUMENT;
use host::acceptor::{self, SOCKET, Unanswered};
use policy::Principal;

use crate::said::{CANNOT_TELL, Live, Said};

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
    // Who has no shell on this host states a reason through the door as well.
    let (verb, text) = match text.strip_prefix(CLAIM) {
        Some(reason) => ("claim", reason),
        None => ("use", text.as_slice()),
    };
    let line = by.map_or_else(|| format!("{verb} 1\n"), |by| format!("{verb} 1 by {by}\n"));
    hand(&[line.as_bytes(), text].concat())
}

/// How a text begins that is a reason and no grant.
const CLAIM: &[u8] = b"claim: ";

/// States a reason for this shift.
pub fn claim(reason: &str) -> Said {
    hand(format!("claim 1\n{}\n", reason.trim()).as_bytes())
}

/// Hands it to the acceptor, again for as long as others ask too often.
fn hand(sent: &[u8]) -> Said {
    let end = Instant::now() + PERSISTENCE;
    loop {
        match ask(sent) {
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
fn ask(sent: &[u8]) -> Result<(u8, String), String> {
    acceptor::ask(Path::new(SOCKET), sent, PATIENCE).map_err(|error| match error {
        Unanswered::Gone(error) => format!(
            "{SOCKET}: {error}; is oncall-grant-accept.socket enabled, and does config.toml have a [[policy.grant]], or a rule with `claim`?"
        ),
        Unanswered::Cut(error) => format!("{SOCKET}: no whole answer: {error}; try again"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

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
}
