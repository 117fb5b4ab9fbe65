//! A connection with TLS on it, for whoever speaks a protocol of lines or frames by hand.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::{Authorities, client};

/// A stream with TLS.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects to `host`, the first of whose addresses that answers is taken, within `limit` for each step; each read and
/// write after it is as bounded.
///
/// # Errors
/// There is no address, nobody answers at any, or not in time.
pub fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in crate::resolve(host, port, limit).map_err(io::Error::other)? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Puts TLS on a connection to `host`, for whom `authorities` have to vouch.
///
/// # Errors
/// `host` is no name or address that a certificate could have.
pub fn secure(stream: TcpStream, host: &str, authorities: &Authorities) -> io::Result<Stream> {
    let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
    let config = client(authorities, None).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Says that nothing more comes, by TLS and below it.
///
/// # Errors
/// The connection is gone.
pub fn finish(stream: &mut Stream) -> io::Result<()> {
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.sock.shutdown(Shutdown::Write)
}
