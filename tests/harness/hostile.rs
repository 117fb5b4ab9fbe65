//! An LDAP server that means harm: it stalls, drips, lies, floods and sends what is no LDAP.
//!
//! It listens on the loopback of one private machine. What a good server says it learns by standing between
//! a client and a real slapd once ([`Play::Proxy`]); it can then say a part of that, byte by byte.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::Host;

/// The server's name, which the machine's /etc/hosts gets.
const NAME: &str = "hostile.example.com";
const PORT: u16 = 7636;

/// Where slapd has TLS from the first byte.
const SLAPD_PORT: u16 = 6360;

/// Longer than any test waits; ends a connection whose client is gone without a word.
const PATIENCE: Duration = Duration::from_secs(300);

/// What one connection gets.
#[derive(Debug, Clone)]
pub enum Play {
    /// Everything is handed to slapd and back, and remembered for [`Hostile::recorded`].
    Proxy,
    /// What was recorded: so many bytes of it, then silence.
    Stall(usize),
    /// The same, counted on the wire: the TLS handshake before it is a part.
    StallOnWire(usize),
    /// What was recorded: so many bytes of it, then the end of the connection.
    Close(usize),
    /// What was recorded, a byte a second.
    Drip,
    /// One turn for each request: the operations of its answer, which get the request's number.
    Answers(Vec<Vec<Vec<u8>>>),
    /// The same, and each operation says whether it goes under the request's number or under another.
    Numbered(Vec<Vec<(Number, Vec<u8>)>>),
    /// These bytes in place of the answer to the first request after the bind, then silence.
    Raw(Vec<u8>),
    /// The same for ever, from the first answer on.
    Endless(Vec<u8>),
    /// Not a word, not even TLS.
    Silence,
    /// No TLS: this answer to whatever comes first; what came is in [`Hostile::plain`].
    Plain(Vec<u8>),
}

/// Under which number a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// The request's.
    Asked,
    /// One that no request has.
    Other,
}

/// What is wrong with its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing.
    Good,
    /// It was valid long ago.
    Expired,
    /// It will be valid.
    Early,
    /// It is another server's.
    OtherName,
    /// Nobody vouches for it.
    OtherAuthority,
}

/// Hostile servers on one private machine. They end when dropped.
pub struct Hostile {
    ca_pem: String,
    tls: Vec<(Certificate, Arc<ServerConfig>)>,
    state: Arc<Mutex<State>>,
    stopping: Arc<AtomicBool>,
}

struct State {
    tls: Arc<ServerConfig>,
    upstream: Arc<ClientConfig>,
    plays: VecDeque<Play>,
    usual: Play,
    recorded: Vec<Vec<u8>>,
    plain: Vec<Vec<u8>>,
    said_on_wire: usize,
    stalled_at: BTreeSet<usize>,
    connections: usize,
    requests: usize,
}

impl Hostile {
    /// What `urls` has to name.
    pub const LDAPS_URL: &'static str = "ldaps://hostile.example.com:7636";
    /// The same without TLS at first.
    pub const LDAP_URL: &'static str = "ldap://hostile.example.com:7636";

    /// Starts it on `host`, silent, with a good certificate; `slapd_ca` vouches for the slapd beside it.
    pub fn start(host: &Host, slapd_ca: &str) -> Self {
        host.must(&format!("echo 127.0.0.1 {NAME} >>/etc/hosts"));
        let (ca_pem, tls) = certificates();
        let state = Arc::new(Mutex::new(State {
            tls: tls[0].1.clone(),
            upstream: upstream(slapd_ca),
            plays: VecDeque::new(),
            usual: Play::Silence,
            recorded: Vec::new(),
            plain: Vec::new(),
            said_on_wire: 0,
            stalled_at: BTreeSet::new(),
            connections: 0,
            requests: 0,
        }));
        let stopping = Arc::new(AtomicBool::new(false));
        let (served, stop) = (state.clone(), stopping.clone());
        let in_network = || {
            host.enter_network();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).expect("the port is free");
            listener.set_nonblocking(true).expect("a socket");
            thread::spawn(move || serve(&listener, &served, &stop));
        };
        thread::scope(|scope| scope.spawn(in_network).join().expect("the server starts"));
        Self { ca_pem, tls, state, stopping }
    }

    /// The authority that vouches for it.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What every connection gets from now on.
    pub fn play(&self, play: Play) {
        self.queue(Vec::new(), play);
    }

    /// What the next connections get, in this order, and what all later ones get.
    pub fn queue(&self, plays: Vec<Play>, usual: Play) {
        let mut state = lock(&self.state);
        state.plays = plays.into();
        state.usual = usual;
    }

    /// Shows this certificate from now on.
    pub fn show(&self, certificate: Certificate) {
        let (_, tls) = self.tls.iter().find(|(kind, _)| *kind == certificate).expect("each has one");
        lock(&self.state).tls = tls.clone();
    }

    /// The bytes that a good server sent in the last proxied conversation, a turn for each request.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        lock(&self.state).recorded.clone()
    }

    /// Connections and, after TLS, requests since the last call of this.
    pub fn counted(&self) -> (usize, usize) {
        let mut state = lock(&self.state);
        (std::mem::take(&mut state.connections), std::mem::take(&mut state.requests))
    }

    /// The bytes of the last conversation, TLS and all, that went out.
    pub fn said_on_wire(&self) -> usize {
        lock(&self.state).said_on_wire
    }

    /// The offsets of [`Play::Stall`], [`Play::Close`] and [`Play::StallOnWire`] that a client was left at since
    /// the last call of this.
    pub fn stalled_at(&self) -> BTreeSet<usize> {
        std::mem::take(&mut lock(&self.state).stalled_at)
    }

    /// What came on the last connection without TLS.
    pub fn plain(&self) -> Vec<u8> {
        lock(&self.state).plain.last().cloned().unwrap_or_default()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::disallowed_methods, reason = "polling is what a test is allowed to do")]
fn serve(listener: &TcpListener, state: &Arc<Mutex<State>>, stopping: &AtomicBool) {
    while !stopping.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let state = state.clone();
                thread::spawn(move || {
                    // A client that goes away is what is hoped for.
                    let _ = converse(stream, &state);
                });
            }
            Err(_) => thread::sleep(Duration::from_millis(3)),
        }
    }
}

fn converse(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let (play, tls) = {
        let mut state = lock(state);
        state.connections += 1;
        (state.plays.pop_front().unwrap_or_else(|| state.usual.clone()), state.tls.clone())
    };
    match play {
        Play::Silence => return wait_for_end(stream),
        Play::Plain(answer) => return plain(stream, &answer, state),
        _ => {}
    }
    let budget = if let Play::StallOnWire(bytes) = play { bytes } else { usize::MAX };
    let mut stream = Wire { stream, said: 0, budget, state };
    let mut connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    connection.complete_io(&mut stream)?;
    let mut client = StreamOwned::new(connection, stream);
    let recorded = lock(state).recorded.clone();
    match play {
        Play::Proxy => proxy(&mut client, state),
        Play::StallOnWire(_) => {
            replay(&mut client, &recorded, usize::MAX, state)?;
            wait_for_end(client)
        }
        Play::Stall(bytes) => {
            replay(&mut client, &recorded, bytes, state)?;
            wait_for_end(client)
        }
        Play::Close(bytes) => replay(&mut client, &recorded, bytes, state),
        Play::Drip => drip(&mut client, &recorded, state),
        Play::Answers(turns) => {
            for turn in turns {
                let number = number_of(&request(&mut client, state)?);
                let messages: Vec<u8> = turn.iter().flat_map(|op| message(&number, op)).collect();
                say(&mut client, &messages)?;
            }
            wait_for_end(client)
        }
        Play::Numbered(turns) => {
            for turn in turns {
                let asked = number_of(&request(&mut client, state)?);
                let other = [2, 1, 99];
                let numbered = |(number, op): (Number, Vec<u8>)| match number {
                    Number::Asked => message(&asked, &op),
                    Number::Other => message(&other, &op),
                };
                // In one piece, so that what follows an answer is there as soon as the answer is.
                say(&mut client, &turn.into_iter().flat_map(numbered).collect::<Vec<u8>>())?;
            }
            wait_for_end(client)
        }
        Play::Raw(bytes) => {
            let number = number_of(&request(&mut client, state)?);
            say(&mut client, &message(&number, &ber::bind_success()))?;
            request(&mut client, state)?;
            say(&mut client, &bytes)?;
            wait_for_end(client)
        }
        Play::Endless(bytes) => {
            request(&mut client, state)?;
            loop {
                say(&mut client, &bytes)?;
            }
        }
        Play::Silence | Play::Plain(_) => Ok(()),
    }
}

type Tls<'a> = StreamOwned<ServerConnection, Wire<'a>>;

/// A connection on which so many bytes can be said; the next one never comes.
struct Wire<'a> {
    stream: TcpStream,
    said: usize,
    budget: usize,
    state: &'a Mutex<State>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.budget - self.said;
        if left == 0 {
            lock(self.state).stalled_at.insert(self.said);
            wait_for_end(&self.stream)?;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let bytes = &bytes[..bytes.len().min(left)];
        self.said += bytes.len();
        // Before they are there: the client may be gone, and the test ask, at once after.
        lock(self.state).said_on_wire = self.said;
        self.stream.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn say(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

fn request(client: &mut Tls<'_>, state: &Mutex<State>) -> io::Result<Vec<u8>> {
    let request = read_message(client)?;
    lock(state).requests += 1;
    Ok(request)
}

/// Each request to slapd, and everything up to the operation that ends its answer back.
fn proxy(client: &mut Tls<'_>, state: &Mutex<State>) -> io::Result<()> {
    let name = ServerName::try_from("ldap.example.com").map_err(io::Error::other)?;
    let connection = ClientConnection::new(lock(state).upstream.clone(), name).map_err(io::Error::other)?;
    let mut server = StreamOwned::new(connection, TcpStream::connect((Ipv4Addr::LOCALHOST, SLAPD_PORT))?);
    let mut turns = Vec::new();
    loop {
        let asked = request(client, state)?;
        say(&mut server, &asked)?;
        if operation_of(&asked) == 0x42 {
            return Ok(());
        }
        let mut turn = Vec::new();
        loop {
            let answer = read_message(&mut server)?;
            let last = matches!(operation_of(&answer), 0x61 | 0x65 | 0x78);
            turn.extend_from_slice(&answer);
            if last {
                // Before it is said: the client may be gone, and the test ask, at once after.
                turns.push(turn);
                lock(state).recorded = turns.clone();
                say(client, &answer)?;
                break;
            }
            say(client, &answer)?;
        }
    }
}

/// The recorded turns, `budget` bytes of them.
fn replay(
    client: &mut Tls<'_>,
    turns: &[Vec<u8>],
    mut budget: usize,
    state: &Mutex<State>,
) -> io::Result<()> {
    let allowed = budget;
    for turn in turns {
        request(client, state)?;
        let part = &turn[..turn.len().min(budget)];
        budget -= part.len();
        say(client, part)?;
        if part.len() < turn.len() {
            lock(state).stalled_at.insert(allowed);
        }
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "to be slow is the point")]
fn drip(client: &mut Tls<'_>, turns: &[Vec<u8>], state: &Mutex<State>) -> io::Result<()> {
    for turn in turns {
        request(client, state)?;
        for byte in turn {
            thread::sleep(Duration::from_secs(1));
            say(client, &[*byte])?;
        }
    }
    Ok(())
}

fn plain(mut stream: TcpStream, answer: &[u8], state: &Mutex<State>) -> io::Result<()> {
    let number = {
        let mut state = lock(state);
        state.plain.push(Vec::new());
        state.plain.len() - 1
    };
    let mut buffer = [0; 4096];
    let mut unanswered = Some(answer);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => lock(state).plain[number].extend_from_slice(&buffer[..count]),
        }
        if let Some(answer) = unanswered.take() {
            stream.write_all(answer)?;
        }
    }
}

/// Says nothing until the client has gone.
fn wait_for_end(mut stream: impl Read) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// One LDAP message, whole.
fn read_message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 2];
    stream.read_exact(&mut message)?;
    let mut length = usize::from(message[1]);
    if length > 0x80 {
        let mut digits = vec![0; length - 0x80];
        stream.read_exact(&mut digits)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        message.extend(digits);
    }
    let start = message.len();
    message.resize(start + length, 0);
    stream.read_exact(&mut message[start..])?;
    Ok(message)
}

/// A message's number, as its own element.
fn number_of(message: &[u8]) -> Vec<u8> {
    let start = if message[1] > 0x80 { 2 + usize::from(message[1] - 0x80) } else { 2 };
    message[start..start + 2 + usize::from(message[start + 1])].to_vec()
}

fn operation_of(message: &[u8]) -> u8 {
    let start = if message[1] > 0x80 { 2 + usize::from(message[1] - 0x80) } else { 2 };
    message[start + 2 + usize::from(message[start + 1])]
}

fn message(number: &[u8], operation: &[u8]) -> Vec<u8> {
    ber::element(0x30, &[number, operation].concat())
}

/// Operations of an LDAP server, without the message round them.
pub mod ber {
    /// Tag, length in the shortest form, content.
    pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut element = vec![tag];
        match content.len() {
            short @ ..0x80 => element.push(short as u8),
            long => {
                element.push(0x84);
                element.extend((long as u32).to_be_bytes());
            }
        }
        element.extend_from_slice(content);
        element
    }

    fn result(tag: u8, code: u8, more: &[u8]) -> Vec<u8> {
        let code = element(0x0a, &[code]);
        element(tag, &[&code, &element(4, b"")[..], &element(4, b""), more].concat())
    }

    /// The bind is accepted.
    pub fn bind_success() -> Vec<u8> {
        result(0x61, 0, &[])
    }

    /// The search ends with this result.
    pub fn done(code: u8) -> Vec<u8> {
        result(0x65, code, &[])
    }

    /// The bind or the search is refused, with a text.
    pub fn refused(bind: bool, code: u8, text: &str) -> Vec<u8> {
        let tag = if bind { 0x61 } else { 0x65 };
        element(tag, &[&element(0x0a, &[code])[..], &element(4, b""), &element(4, text.as_bytes())].concat())
    }

    /// The search ends by pointing at another server.
    pub fn referral(url: &str) -> Vec<u8> {
        result(0x65, 10, &element(0xa3, &element(4, url.as_bytes())))
    }

    /// The refusal of StartTLS, as a whole message.
    pub fn start_tls_refused() -> Vec<u8> {
        element(0x30, &[element(2, &[1]), result(0x78, 52, &[])].concat())
    }

    /// A reference to another server among entries.
    pub fn reference(url: &str) -> Vec<u8> {
        element(0x73, &element(4, url.as_bytes()))
    }

    /// A person's entry.
    pub fn person(uid: &str, keys: &[&[u8]]) -> Vec<u8> {
        person_with(uid, "sshPublicKey", keys)
    }

    /// A person's entry with one attribute besides `uid`.
    pub fn person_with(uid: &str, name: &str, values: &[&[u8]]) -> Vec<u8> {
        let dn = format!("uid={uid},ou=people,dc=example,dc=com");
        entry(&dn, &[("uid", &[uid.as_bytes()]), (name, values)])
    }

    /// An entry, with its attributes as they are given, also twice.
    pub fn entry(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Vec<u8> {
        let attribute = |(name, values): &(&str, &[&[u8]])| {
            let values: Vec<u8> = values.iter().flat_map(|value| element(4, value)).collect();
            element(0x30, &[element(4, name.as_bytes()), element(0x31, &values)].concat())
        };
        let attributes: Vec<u8> = attributes.iter().flat_map(attribute).collect();
        element(0x64, &[element(4, dn.as_bytes()), element(0x30, &attributes)].concat())
    }

    /// Sequences in sequences.
    pub fn nested(depth: usize) -> Vec<u8> {
        // From the inside out, kept backwards: each level is its content, then its length and tag.
        let mut backwards: Vec<u8> = Vec::new();
        for _ in 0..depth {
            let length = backwards.len() as u32;
            backwards.extend(length.to_be_bytes().iter().rev());
            backwards.extend([0x84, 0x30]);
        }
        backwards.reverse();
        backwards
    }
}

/// Trusts slapd's authority.
fn upstream(ca_pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("PEM")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A fresh authority, and TLS with a certificate of every kind.
fn certificates() -> (String, Vec<(Certificate, Arc<ServerConfig>)>) {
    let (authority, stranger) = (authority("authority of one test"), authority("stranger"));
    use Certificate::{Early, Expired, Good, OtherAuthority, OtherName};
    let kinds = [Good, Expired, Early, OtherName, OtherAuthority].map(|kind| {
        let name = if kind == OtherName { "other.example.com" } else { NAME };
        let mut certificate = CertificateParams::new(vec![name.to_string()]).expect("a name");
        match kind {
            Expired => certificate.not_after = rcgen::date_time_ymd(2020, 1, 1),
            Early => certificate.not_before = rcgen::date_time_ymd(2090, 1, 1),
            _ => {}
        }
        let issuer = if kind == OtherAuthority { &stranger } else { &authority };
        let key = KeyPair::generate().expect("a key");
        let certificate = certificate.signed_by(&key, issuer).expect("signed");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key that rustls reads");
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is the certificate's");
        (kind, Arc::new(tls))
    });
    (authority.pem(), kinds.into())
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority")
}
