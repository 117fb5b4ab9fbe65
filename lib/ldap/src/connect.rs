//! The way to a server: its address, a connection, and TLS on it; each step within one deadline.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::config::{ClientFiles, Ldap, LdapHost, LdapServer, LdapUrl};
use host::secret::{Secret, SecretError};
use ldap3::{LdapConnSettings, LdapError, StdStream};
use policy::Span;
use tls::{AsideError, Authorities, ClientConfig, Identity, IdentityError, ResolveError};

use super::fault::one_line;
use super::{DirectoryError, Fault, Reply, Step};

/// The instant at which an answer is worth nothing any more.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    pub(super) end: Instant,
    pub(super) limit: Span,
}

impl Deadline {
    /// The instant at which `limit` is over, beginning now.
    pub fn new(limit: Span) -> Self {
        Self::within(Duration::from_secs(u64::try_from(limit.as_seconds()).unwrap_or(0)))
    }

    pub(super) fn within(length: Duration) -> Self {
        let now = Instant::now();
        let seconds = length.as_millis().div_ceil(1_000);
        let limit = Span::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
        Self { end: now.checked_add(length).unwrap_or(now), limit }
    }

    /// The part of what is left that one of `untried` servers gets.
    pub(super) fn share(self, untried: usize) -> Self {
        let left = self.end.saturating_duration_since(Instant::now());
        Self::within(left / u32::try_from(untried.max(1)).unwrap_or(u32::MAX))
    }

    /// What is left of it for `step`; never zero, which the system's calls take for "for ever".
    pub(super) fn left(self, step: Step) -> Result<Duration, Fault> {
        match self.end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Fault::Late(step, self.limit)),
            left => Ok(left),
        }
    }
}

/// TLS that trusts the authorities in `ca_file` and no others.
pub(super) struct Tls {
    config: ClientConfig,
    authorities: Authorities,
}

impl Tls {
    pub(super) fn read(ldap: &Ldap) -> Result<Self, DirectoryError> {
        // Without a server that has TLS, no authority needs to be trusted.
        let local = ldap.urls.iter().all(LdapUrl::is_local);
        let authorities = if local {
            Authorities::none()
        } else {
            Authorities::read(&ldap.ca_file).map_err(DirectoryError::Authorities)?
        };
        let identity = ldap.client.as_ref().map(identity).transpose()?;
        let config = tls::client(&authorities, identity).map_err(|error| {
            let file = ldap.client.as_ref().map_or(&ldap.ca_file, |files| &files.certificate);
            let why = match error {
                tls::Error::InconsistentKeys(_) => "is not the certificate of the key in client_key_file",
                _ => "it, or the key to it, is of a kind that TLS here does not know; RSA and ECDSA it does",
            };
            DirectoryError::Client("client_cert_file", format!("{}: {why}", file.display()))
        })?;
        Ok(Self { config, authorities })
    }

    /// TLS with `server`, and the host by which ldap3 has to call it.
    fn with<'s>(&self, server: &'s LdapHost) -> Result<(Arc<ClientConfig>, &'s str), Fault> {
        let mut config = self.config.clone();
        let Ok(address) = server.host.parse::<Ipv6Addr>() else {
            return Ok((Arc::new(config), &server.host));
        };
        tls::compare_address(&mut config, &self.authorities, address).ok_or(Fault::Address)?;
        Ok((Arc::new(config), tls::CALLED))
    }
}

/// The certificate that is shown to a server that asks for one.
fn identity(files: &ClientFiles) -> Result<Identity, DirectoryError> {
    let unusable = |error: SecretError| DirectoryError::Client("client_key_file", error.to_string());
    let key = Secret::read_key(&files.key).map_err(unusable)?;
    Identity::read(&files.certificate, key.expose().as_bytes()).map_err(|error| match error {
        IdentityError::Certificate(error) => DirectoryError::Client("client_cert_file", error.to_string()),
        IdentityError::NoKey => unusable(SecretError::NoKey(files.key.clone())),
    })
}

/// A connection to a server, on which ldap3 can begin.
pub(super) enum Line {
    /// The next byte is TLS; with what it is set up, and the address that says this to ldap3.
    Tls(TcpStream, Arc<ClientConfig>, String),
    /// A socket of this host, where nobody listens in.
    Socket(UnixStream),
}

impl Line {
    pub(super) fn open(server: &LdapServer, tls: &Tls, deadline: Deadline) -> Result<Self, Fault> {
        let server = match server {
            LdapServer::Socket(path) => return connect_here(path, deadline).map(Self::Socket),
            LdapServer::Host(server) => server,
        };
        let (config, host) = tls.with(server)?;
        let mut stream = connect(server, deadline)?;
        if !server.tls_first {
            start_tls(&mut stream, deadline)?;
        }
        // ldaps in both cases: after StartTLS too, the next byte on the stream is TLS.
        Ok(Self::Tls(stream, config, format!("ldaps://{host}:{}", server.port)))
    }

    /// What ldap3 needs to know.
    pub(super) fn into_settings(self) -> (LdapConnSettings, String) {
        let settings = LdapConnSettings::new();
        match self {
            Self::Tls(stream, config, address) => {
                (settings.set_config(config).set_std_stream(StdStream::Tcp(stream)), address)
            }
            Self::Socket(stream) => {
                (settings.set_std_stream(StdStream::Unix(stream)), "ldapi:///".to_string())
            }
        }
    }
}

/// Connects to the first address that accepts; each gets its share of what is left of the deadline.
fn connect(server: &LdapHost, deadline: Deadline) -> Result<TcpStream, Fault> {
    connect_to(&resolve(server, deadline)?, deadline)
}

fn connect_to(addresses: &[SocketAddr], deadline: Deadline) -> Result<TcpStream, Fault> {
    let mut cause = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = (deadline.left(Step::Connect)? / untried).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => {
                // Without it each TLS handshake waits 40 ms for a delayed acknowledgement.
                stream.set_nodelay(true).map_err(Fault::Local)?;
                return Ok(stream);
            }
            Err(error) => cause = error,
        }
    }
    deadline.left(Step::Connect)?;
    Err(Fault::Connect(cause))
}

/// The server's addresses.
fn resolve(server: &LdapHost, deadline: Deadline) -> Result<Vec<SocketAddr>, Fault> {
    let left = deadline.left(Step::Resolve)?;
    tls::resolve(&server.host, server.port, left).map_err(|error| match error {
        ResolveError::Late => Fault::Late(Step::Resolve, deadline.limit),
        ResolveError::NoThread(error) => Fault::Local(error),
        ResolveError::Unknown(error) => Fault::Resolve(error),
    })
}

/// Connects to a socket of this host. There is no TLS that would show who listens: the file has to.
fn connect_here(path: &Path, deadline: Deadline) -> Result<UnixStream, Fault> {
    trust::judge_socket(path).map_err(Fault::Socket)?;
    let path = path.to_path_buf();
    match tls::aside(deadline.left(Step::Connect)?, move || UnixStream::connect(path)) {
        Ok(connected) => connected.map_err(Fault::Connect),
        Err(AsideError::Late) => Err(Fault::Late(Step::Connect, deadline.limit)),
        Err(AsideError::NoThread(error)) => Err(Fault::Local(error)),
    }
}

/// The extended request StartTLS (RFC 4511, section 4.14), with message number 1.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// What is said of a connection that the server ended.
pub(super) const CLOSED: &str = "closed by the server";

/// The longest answer to it that is read.
const LONGEST_REPLY: usize = 4096;

/// Asks for TLS on a plain connection. Reads its answer and not one byte more: what follows is TLS.
fn start_tls(stream: &mut TcpStream, deadline: Deadline) -> Result<(), Fault> {
    stream.set_write_timeout(Some(deadline.left(Step::StartTls)?)).map_err(Fault::Local)?;
    stream.write_all(START_TLS).map_err(|error| Fault::Lost(Step::StartTls, error.to_string()))?;
    let message = read_message(stream, deadline)?;
    match start_tls_reply(&message) {
        Some(Reply { code: 0, .. }) => Ok(()),
        Some(reply) => Err(Fault::StartTls(reply)),
        None => Err(Fault::Malformed(Step::StartTls)),
    }
}

/// The content of one LDAP message.
fn read_message(stream: &mut TcpStream, deadline: Deadline) -> Result<Vec<u8>, Fault> {
    let [tag, first] = read_array(stream, Step::StartTls, deadline)?;
    let length = match (tag, first) {
        (0x30, ..=0x7f) => usize::from(first),
        (0x30, 0x81) => usize::from(u8::from_be_bytes(read_array(stream, Step::StartTls, deadline)?)),
        (0x30, 0x82) => usize::from(u16::from_be_bytes(read_array(stream, Step::StartTls, deadline)?)),
        // Active Directory always writes four.
        (0x30, 0x84) => usize::try_from(u32::from_be_bytes(read_array(stream, Step::StartTls, deadline)?))
            .unwrap_or(usize::MAX),
        _ => return Err(Fault::Malformed(Step::StartTls)),
    };
    if length > LONGEST_REPLY {
        return Err(Fault::Malformed(Step::StartTls));
    }
    let mut message = vec![0; length];
    read_exactly(stream, &mut message, Step::StartTls, deadline)?;
    Ok(message)
}

pub(super) fn read_array<const N: usize>(
    stream: &mut TcpStream,
    step: Step,
    deadline: Deadline,
) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    read_exactly(stream, &mut bytes, step, deadline)?;
    Ok(bytes)
}

/// Fills `rest`. Looks at the deadline before each read: a server that drips must not stretch it.
pub(super) fn read_exactly(
    stream: &mut TcpStream,
    mut rest: &mut [u8],
    step: Step,
    deadline: Deadline,
) -> Result<(), Fault> {
    let lost = |why: &str| Fault::Lost(step, why.to_string());
    while !rest.is_empty() {
        stream.set_read_timeout(Some(deadline.left(step)?)).map_err(Fault::Local)?;
        match stream.read(rest) {
            Ok(0) => return Err(lost(CLOSED)),
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(lost(&error.to_string())),
        }
    }
    Ok(())
}

/// The result in the content of an extended response to message 1; `None` if it is something else.
fn start_tls_reply(message: &[u8]) -> Option<Reply> {
    let (number, rest) = element(message, 0x02)?;
    let (response, _) = element(rest, 0x78)?;
    let (code, rest) = element(response, 0x0a)?;
    let (_matched, rest) = element(rest, 0x04)?;
    let (text, _) = element(rest, 0x04)?;
    let ([1], [code]) = (number, code) else { return None };
    Some(Reply::new(u32::from(*code), &String::from_utf8_lossy(text)))
}

/// The content of the BER element with `tag` that `bytes` begin with, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first_chunk().map(|(l, rest)| (usize::from(u8::from_be_bytes(*l)), rest))?,
        0x82 => rest.split_first_chunk().map(|(l, rest)| (usize::from(u16::from_be_bytes(*l)), rest))?,
        0x84 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_be_bytes(*length)).ok()?, rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

/// Why there is no TLS.
pub(super) fn handshake_fault(error: LdapError) -> Fault {
    match error {
        LdapError::Io { source } => stream_fault(&source, Step::Handshake),
        LdapError::Rustls { source } => Fault::Tls(source),
        LdapError::DNSName { .. } | LdapError::UrlParsing { .. } => Fault::Address,
        other => Fault::Lost(Step::Handshake, one_line(&other.to_string())),
    }
}

/// Why a stream with TLS on it is of no use any more. By TLS 1.3 a server judges our certificate only after
/// the handshake has ended for us.
pub(super) fn stream_fault(error: &io::Error, step: Step) -> Fault {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(refused) => Fault::Tls(tls::Error::clone(refused)),
        // rustls has a lecture to give about this one.
        None if error.kind() == io::ErrorKind::UnexpectedEof => Fault::Lost(step, CLOSED.to_string()),
        None => Fault::Lost(step, one_line(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_address_where_nobody_answers_costs_its_share_and_small_messages_do_not_wait() {
        let listener = |address: &str| TcpListener::bind(address).unwrap();
        let (silent, good) = (listener("127.0.0.2:0"), listener("127.0.0.1:0"));
        let [black_hole, good_address] = [&silent, &good].map(|listener| listener.local_addr().unwrap());
        // Once its queue is full, it answers nobody; one alone may have been late.
        let short = Duration::from_millis(200);
        let (mut queue, mut refused) = (Vec::new(), 0);
        while refused < 5 {
            match TcpStream::connect_timeout(&black_hole, short) {
                Ok(client) => queue.push(client),
                Err(_) => refused += 1,
            }
            assert!(queue.len() < 900, "the queue of a listener is not endless");
        }
        let begun = Instant::now();
        let deadline = Deadline::within(Duration::from_secs(4));
        let stream = connect_to(&[black_hole, good_address], deadline).expect("the second answers");
        assert_eq!(stream.peer_addr().unwrap(), good_address);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(1_500), "half of the time for each: {took:?}");
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn start_tls_replies_are_read_in_short_and_long_form() {
        let short = b"\x02\x01\x01\x78\x0a\x0a\x01\x34\x04\x00\x04\x03a\nb";
        let reply = start_tls_reply(short).unwrap();
        assert_eq!((reply.code, reply.text.as_str()), (52, "a?b"));
        let long = b"\x02\x01\x01\x78\x84\0\0\0\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(start_tls_reply(long).unwrap().code, 0);
        for end in 0..long.len() {
            assert!(start_tls_reply(&long[..end]).is_none());
        }
        assert!(start_tls_reply(b"\x02\x01\x00\x78\x07\x0a\x01\x00\x04\x00\x04\x00").is_none());
    }

    /// A server that says `answer` to each client that connects and then waits for the end of the connection.
    fn server(answer: &'static [u8]) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(answer).unwrap();
            let _ = peer.read_to_end(&mut Vec::new());
        });
        client
    }

    #[test]
    fn start_tls_believes_success_alone() {
        let deadline = Deadline::new(Span::seconds(300));
        let asked = |answer| start_tls(&mut server(answer), deadline);
        assert!(asked(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00").is_ok());
        assert!(asked(b"\x30\x84\0\0\0\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00").is_ok());
        let refused = asked(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00");
        assert!(matches!(refused, Err(Fault::StartTls(Reply { code: 2, .. }))));
        for nonsense in
            [&b"HTTP/1.1 400"[..], b"\x30\x80", b"\x30\x00", b"\x30\x84\xff\xff\xff\xff", b"\x30\x82\x10\x01"]
        {
            assert!(matches!(asked(nonsense), Err(Fault::Malformed(Step::StartTls))));
        }
    }

    #[test]
    fn a_silent_server_holds_nobody_longer_than_the_deadline() {
        let silent = start_tls(&mut server(b"\x30\x0c\x02"), Deadline::new(Span::seconds(1)));
        assert!(matches!(silent, Err(Fault::Late(Step::StartTls, _))));
    }
}
