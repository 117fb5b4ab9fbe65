//! Sending bytes over TCP or TLS to a server that answers nothing, as lib/tls does it.

use std::path::Path;

use super::{Failure, LIMIT};

/// Sends `bytes`, and waits until the server has seen their end. `ca_file`: who vouches for it, by TLS.
pub fn send(host: &str, port: u16, ca_file: Option<&Path>, bytes: &[u8]) -> Result<(), Failure> {
    let authorities = ca_file.map(tls::Authorities::read).transpose().map_err(Failure::later)?;
    tls::send(host, port, authorities.as_ref(), bytes, LIMIT)
        .map_err(|error| Failure::later(format_args!("{host} port {port}: {error}")))
}
