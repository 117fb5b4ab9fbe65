//! Calls that know no deadline, each in a thread that may be left behind.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Why such a call has no outcome.
#[derive(Debug)]
pub enum AsideError {
    /// It was not over in time.
    Late,
    /// This host has no thread for it.
    NoThread(io::Error),
}

/// What `call` answers, if it does within `limit`. libc's resolver knows no deadline, nor does a socket whose queue is
/// full.
///
/// # Errors
/// Why there is none; the call may still be at work then.
pub fn aside<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AsideError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let work = move || {
        // Nobody listens any more if the limit has passed.
        let _ = sender.send(call());
    };
    thread::Builder::new().spawn(work).map_err(AsideError::NoThread)?;
    receiver.recv_timeout(limit).map_err(|_| AsideError::Late)
}

/// Why a name has no address.
#[derive(Debug)]
pub enum ResolveError {
    /// The resolver did not answer in time.
    Late,
    /// This host has no thread to ask it by.
    NoThread(io::Error),
    /// The resolver says so.
    Unknown(io::Error),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("the resolver did not answer in time"),
            Self::NoThread(error) | Self::Unknown(error) => error.fmt(f),
        }
    }
}

impl Error for ResolveError {}

/// The addresses of `host`, by libc.
///
/// # Errors
/// Why there are none, within `limit`.
pub fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, ResolveError> {
    let host = host.to_string();
    let addresses = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
    match aside(limit, addresses) {
        Ok(found) => found.map_err(ResolveError::Unknown),
        Err(AsideError::Late) => Err(ResolveError::Late),
        Err(AsideError::NoThread(error)) => Err(ResolveError::NoThread(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_end_is_left_behind() {
        let (sender, receiver) = mpsc::channel::<()>();
        let stuck = aside(Duration::from_millis(10), move || receiver.recv());
        assert!(matches!(stuck, Err(AsideError::Late)));
        drop(sender);
        assert_eq!(aside(Duration::from_secs(60), || 7).ok(), Some(7));
    }

    #[test]
    fn addresses_need_no_resolver() {
        let found = resolve("127.0.0.1", 389, Duration::from_secs(60)).unwrap();
        assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 389))]);
    }
}
