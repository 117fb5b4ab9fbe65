//! `event`: tells the running program that somebody connected to a VPN, as OpenVPN's client-connect. OpenVPN waits for it,
//! and all its clients with it, so it has an end; and whatever becomes of it, nobody is refused for it (main.rs).

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use host::said::{CANNOT_TELL, Said};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::event::{CONNECTS, Event, SCRIPT_TYPE, SOCKET};

/// How long the running program may take for its answer. What it has not read by then it reads later.
const LIMIT: Duration = Duration::from_millis(250);

/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 512;

/// Is this OpenVPN's client-connect? It refuses a client whose script ends with anything but 0 (openvpn(8)).
pub fn is_client_connect() -> bool {
    variable(SCRIPT_TYPE).is_some_and(|kind| kind == CONNECTS)
}

/// A variable of the environment; what is no text in it is shown as such.
fn variable(name: &str) -> Option<String> {
    #[allow(clippy::disallowed_methods, reason = "OpenVPN tells its scripts so; it configures nothing")]
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Tells it.
pub fn run() -> Said {
    match variable(SCRIPT_TYPE).as_deref() {
        Some(CONNECTS) => {}
        Some(other) => {
            return Said::failure(
                CANNOT_TELL,
                format_args!("nothing is told of {other}, only of {CONNECTS}"),
            );
        }
        None => {
            return Said::usage(
                "the environment says nothing of a VPN: this is for OpenVPN's client-connect",
            );
        }
    }
    match tell(Path::new(SOCKET), &Event::read(variable)) {
        Ok(()) => Said::default(),
        Err(problem) => Said::failure(CANNOT_TELL, format_args!("{SOCKET}: {problem}")),
    }
}

fn tell(path: &Path, event: &Event) -> Result<(), String> {
    let mut stream = connected(path).map_err(|error| match error {
        Errno::ENOENT | Errno::ECONNREFUSED => {
            "nobody is told: oncall-notify does not run, or its notify.toml has no [event]".to_string()
        }
        Errno::EAGAIN => "nobody is told: too many events wait for oncall-notify".to_string(),
        other => format!("nobody is told: {other}"),
    })?;
    exchange(&mut stream, event)
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("no answer within {} ms; it may be told later", LIMIT.as_millis())
            }
            _ => format!("nobody may be told: {error}"),
        })
        .and_then(
            |answer| if answer.trim_end() == "taken" { Ok(()) } else { Err(answer.trim_end().to_string()) },
        )
}

/// Connects without waiting: where too many wait already, connect(2) would.
fn connected(path: &Path) -> Result<UnixStream, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let made = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(made.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(made))
}

fn exchange(stream: &mut UnixStream, event: &Event) -> io::Result<String> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_read_timeout(Some(LIMIT))?;
    // Who is refused is answered before anything is read of them.
    let sent = stream.write_all(&event.bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut line = [0; LONGEST_ANSWER];
    let length = match stream.read(&mut line) {
        Ok(0) | Err(_) if sent.is_err() => return sent.map(|()| String::new()),
        length => length?,
    };
    let answer = String::from_utf8_lossy(line.get(..length).unwrap_or_default()).into_owned();
    Ok(answer)
}
