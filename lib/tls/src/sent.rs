//! Bytes to a server that answers nothing: over TCP, over TLS, or as one datagram.
//!
//! Nothing confirms what was sent. What can be seen over a connection is that the server read to our end of it and closed
//! its own: one that dies, or that closes before it has read everything, resets the connection instead.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

use crate::{Authorities, connect, finish, secure};

/// The most that is read of a server that has nothing to say.
const MOST_READ: u64 = 64 * 1024;

/// Sends `bytes`, and waits until the server has seen their end; within `limit` for each step. By TLS, where `authorities`
/// are to vouch for it.
///
/// # Errors
/// It is not known that the server read all of it.
pub fn send(
    host: &str,
    port: u16,
    authorities: Option<&Authorities>,
    bytes: &[u8],
    limit: Duration,
) -> io::Result<()> {
    let stream = connect(host, port, limit)?;
    let Some(authorities) = authorities else { return plain(stream, bytes) };
    let mut stream = secure(stream, host, authorities)?;
    stream.write_all(bytes)?;
    finish(&mut stream)?;
    // rsyslog by GnuTLS closes without TLS's own goodbye (8.2302, nsd_gtls.c: only who connected says it). The kernel
    // closes in order what was read to its end, and resets what was not, so this is as good as TCP's own end.
    match read_to_end(&mut stream) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => other,
    }
}

fn plain(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    read_to_end(&mut stream)
}

fn read_to_end(stream: &mut impl Read) -> io::Result<()> {
    let mut nothing = Vec::new();
    stream.take(MOST_READ).read_to_end(&mut nothing).map(drop)
}

/// Sends `bytes` as one datagram, of which nobody knows whether it came.
///
/// # Errors
/// The name has no address, or the system does not send it.
pub fn send_datagram(host: &str, port: u16, bytes: &[u8], limit: Duration) -> io::Result<()> {
    let addresses = crate::resolve(host, port, limit).map_err(io::Error::other)?;
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let address = addresses.first().ok_or_else(unknown)?;
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(address)?;
    socket.send(bytes).map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn what_a_server_did_not_read_to_the_end_is_not_delivered() {
        for reads in [true, false] {
            let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = server.local_addr().unwrap().port();
            let served = thread::spawn(move || {
                let (mut stream, _) = server.accept().unwrap();
                let mut byte = [0];
                while stream.peek(&mut byte).unwrap() == 0 {}
                if reads {
                    read_to_end(&mut stream).unwrap();
                }
            });
            let limit = Duration::from_secs(60);
            let outcome = send("127.0.0.1", port, None, b"24 a message of some length", limit);
            served.join().unwrap();
            assert_eq!(outcome.is_ok(), reads, "{outcome:?}");
        }
    }
}
