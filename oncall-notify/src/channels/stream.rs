//! Sending messages over TCP or TLS to a server that answers nothing, as lib/tls does it: many over one connection, since a
//! connection for each costs more than all else.

use std::path::Path;

use super::{Failure, LIMIT};

/// Where messages go one behind the other.
pub struct Stream<'a> {
    pub host: &'a str,
    pub port: u16,
    /// Who vouches for the server, by TLS.
    pub ca_file: Option<&'a Path>,
}

impl Stream<'_> {
    /// Sends these, in their order, and waits until the server has seen their end; what became of each. If that is not
    /// known, nothing is known of any of them.
    pub fn send(&self, messages: Vec<Result<Vec<u8>, Failure>>) -> Vec<Result<(), Failure>> {
        let bytes = messages.iter().flatten().flatten().copied().collect::<Vec<u8>>();
        let sent = if bytes.is_empty() { Ok(()) } else { self.send_bytes(&bytes) };
        messages.into_iter().map(|message| message.and_then(|_| sent.clone())).collect()
    }

    fn send_bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let Self { host, port, ca_file } = self;
        let authorities = ca_file.map(tls::Authorities::read).transpose().map_err(Failure::later)?;
        tls::send(host, *port, authorities.as_ref(), bytes, LIMIT)
            .map_err(|error| Failure::later(format_args!("{host} port {port}: {error}")))
    }
}
