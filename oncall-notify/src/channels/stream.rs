//! Sending bytes over TCP or TLS to a server that answers nothing.
//!
//! Nothing confirms what was sent. What can be seen is that the server read to our end of the connection and closed its
//! own: one that dies, or that closes before it has read everything, resets the connection instead.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use super::{Failure, LIMIT};

/// The most that is read of a server that has nothing to say.
const MOST_READ: u64 = 64 * 1024;

/// Sends `bytes`, and waits until the server has seen their end. `ca_file`: who vouches for it, by TLS.
pub fn send(host: &str, port: u16, ca_file: Option<&Path>, bytes: &[u8]) -> Result<(), Failure> {
    let called = format!("{host} port {port}");
    let problem = |error: std::io::Error| Failure::later(format_args!("{called}: {error}"));
    let stream = tls::connect(host, port, LIMIT).map_err(problem)?;
    match ca_file {
        None => plain(stream, bytes).map_err(problem),
        Some(file) => {
            let authorities = tls::Authorities::read(file).map_err(Failure::later)?;
            let mut stream = tls::secure(stream, host, &authorities).map_err(problem)?;
            stream.write_all(bytes).map_err(problem)?;
            tls::finish(&mut stream).map_err(problem)?;
            // rsyslog by GnuTLS closes without TLS's own goodbye (8.2302, nsd_gtls.c: only who connected says it). The kernel
            // closes in order what was read to its end, and resets what was not, so this is as good as TCP's own end.
            match read_to_end(&mut stream) {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
                other => other.map_err(problem),
            }
        }
    }
}

fn plain(mut stream: TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    read_to_end(&mut stream)
}

fn read_to_end(stream: &mut impl Read) -> std::io::Result<()> {
    let mut nothing = Vec::new();
    stream.take(MOST_READ).read_to_end(&mut nothing).map(drop)
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
            let outcome = send("127.0.0.1", port, None, b"24 a message of some length");
            served.join().unwrap();
            assert_eq!(outcome.is_ok(), reads, "{outcome:?}");
        }
    }
}
