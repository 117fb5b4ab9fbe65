//! A fleet's store that means harm: what it has it serves as a good one does, and of each path it can be told to lie.
//!
//! It listens on the loopback of one private machine, with TLS. A real nginx is in `nginx.rs`; what that cannot be made
//! to say is said here.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::Host;
use crate::slapd::{authority, certificate};
use crate::suite::now;

/// Its name, which the machine's /etc/hosts gets.
pub const NAME: &str = "hostile-store.example.com";

/// Longer than any test waits; ends a connection whose client is gone without a word.
const PATIENCE: Duration = Duration::from_secs(300);

/// The most that is read of what is sent.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// What a path gets instead of what is there.
#[derive(Debug, Clone)]
pub enum Lie {
    /// A whole answer: status, headers, body. `Content-Length` is added.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes on the wire, and the end of the connection.
    Raw(Vec<u8>),
    /// These bytes on the wire, then one more every tenth of a second, without end.
    Drip(Vec<u8>),
    /// 200 without a length, and bytes without end.
    Flood,
}

impl Lie {
    /// An answer without headers of its own.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Vec::new())
    }

    /// 200 with other bytes.
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(200, Vec::new(), body.into())
    }
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRequest {
    pub method: String,
    pub path: String,
    /// Lines of the head after the first, as sent.
    pub headers: Vec<String>,
    /// What came behind it.
    pub body: Vec<u8>,
}

/// A store on one private machine. It ends when dropped.
pub struct HostileStore {
    ca_pem: String,
    port: u16,
    state: Arc<Mutex<State>>,
    stopping: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    has: BTreeMap<String, Vec<u8>>,
    lies: BTreeMap<String, Lie>,
    clock_offset: i64,
    requests: Vec<StoreRequest>,
}

impl HostileStore {
    /// Starts it on `host`, empty; several are told apart by their ports.
    pub fn start(host: &Host, port: u16) -> Self {
        host.must(&format!("echo 127.0.0.1 {NAME} >>/etc/hosts"));
        let authority = authority();
        let (certificate, key) = certificate(&authority, NAME, &[NAME, "127.0.0.1"]);
        let tls = tls(&certificate, &key);
        let (state, stopping) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let (served, stop) = (state.clone(), stopping.clone());
        let in_network = || {
            host.enter_network();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
            thread::spawn(move || serve(&listener, &served, &tls, &stop));
        };
        thread::scope(|scope| scope.spawn(in_network).join().expect("the store starts"));
        Self { ca_pem: authority.pem(), port, state, stopping }
    }

    /// What `urls` has to name.
    pub fn url(&self) -> String {
        format!("https://{NAME}:{}/fleet", self.port)
    }

    /// The authority that vouches for it.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// From now on it has these, and nothing else: path below the url, as `/head`, and bytes.
    pub fn set(&self, has: BTreeMap<String, Vec<u8>>) {
        self.state().has = has;
    }

    /// From now on this path gets `lie`, or the truth again; `POST /path` is that method alone, and `/path?query` that query.
    pub fn lie(&self, path: &str, lie: Option<Lie>) {
        let mut state = self.state();
        match lie {
            Some(lie) => _ = state.lies.insert(path.to_string(), lie),
            None => _ = state.lies.remove(path),
        }
    }

    /// Its clock is so many seconds ahead.
    pub fn set_clock(&self, offset: i64) {
        self.state().clock_offset = offset;
    }

    /// What was asked since the last look.
    pub fn requests(&self) -> Vec<StoreRequest> {
        std::mem::take(&mut self.state().requests)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for HostileStore {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A connection that panicked has printed why; the others, and the end, go on.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tls(certificate: &str, key: &str) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key is the certificate's");
    Arc::new(config)
}

/// A connection has a thread: one that drips must not hold up others.
fn serve(listener: &TcpListener, state: &Arc<Mutex<State>>, tls: &Arc<ServerConfig>, stop: &Arc<AtomicBool>) {
    for stream in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (Ok(stream), state, tls, stop) = (stream, state.clone(), tls.clone(), stop.clone()) else {
            continue;
        };
        thread::spawn(move || {
            // A client that goes away early, as one with a limit does, is no fault of the store.
            let _ = converse(stream, &state, tls, &stop);
        });
    }
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// Requests of one connection, until the client goes or a lie ends it.
fn converse(
    stream: TcpStream,
    state: &Mutex<State>,
    tls: Arc<ServerConfig>,
    stop: &AtomicBool,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    while let Some(request) = read_request(&mut stream)? {
        let (answer, at) = {
            let mut state = lock(state);
            state.requests.push(request.clone());
            let path = request.path.split('?').next().and_then(|path| path.strip_prefix("/fleet"));
            let path = path.unwrap_or_default();
            let of_method = state.lies.get(&format!("{} {path}", request.method));
            let asked = request.path.strip_prefix("/fleet").unwrap_or_default();
            let lie = of_method.or_else(|| state.lies.get(asked)).or_else(|| state.lies.get(path)).cloned();
            (lie.unwrap_or_else(|| truth(state.has.get(path), &request)), now() + state.clock_offset)
        };
        match answer {
            Lie::Answer(status, headers, body) => {
                stream.write_all(&head_of(status, &headers, Some(body.len()), at))?;
                stream.write_all(&body)?;
                stream.flush()?;
                continue;
            }
            Lie::Raw(bytes) => stream.write_all(&bytes)?,
            Lie::Drip(bytes) => {
                stream.write_all(&bytes)?;
                drip(&mut stream, stop)?;
            }
            Lie::Flood => {
                stream.write_all(&head_of(200, &[], None, at))?;
                io::copy(&mut io::repeat(b'x'), &mut stream)?;
            }
        }
        stream.conn.send_close_notify();
        return stream.flush();
    }
    Ok(())
}

/// What a good store answers.
fn truth(has: Option<&Vec<u8>>, request: &StoreRequest) -> Lie {
    let Some(body) = has else { return Lie::status(404) };
    let tag = format!(
        "\"{:x}-{:x}\"",
        body.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte)),
        body.len()
    );
    let headers = vec![("ETag", tag.clone())];
    if request.headers.iter().any(|line| line.to_ascii_lowercase() == format!("if-none-match: {tag}")) {
        return Lie::Answer(304, headers, Vec::new());
    }
    Lie::Answer(200, headers, body.clone())
}

#[allow(clippy::disallowed_methods, reason = "a store that drips does nothing else")]
fn drip(stream: &mut Tls, stop: &AtomicBool) -> io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        stream.flush()?;
        thread::sleep(Duration::from_millis(100));
        stream.write_all(b"x")?;
    }
    Ok(())
}

/// Reads up to the empty line; `None` if the client went away before it asked anything.
fn read_request(stream: &mut Tls) -> io::Result<Option<StoreRequest>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if head.len() > 64 * 1024 {
            return Err(ErrorKind::InvalidData.into());
        }
        match stream.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default().to_string();
    let (method, path) = (word(), word());
    let headers: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_string).collect();
    let length = |line: &String| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
    let length = headers.iter().find_map(length);
    let mut body = vec![0; usize::min(length.unwrap_or(0), LARGEST_BODY)];
    stream.read_exact(&mut body)?;
    Ok(Some(StoreRequest { method, path, headers, body }))
}

fn head_of(status: u16, headers: &[(&str, String)], length: Option<usize>, at: i64) -> Vec<u8> {
    let date = jiff::Timestamp::from_second(at)
        .expect("an instant")
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let mut head = format!("HTTP/1.1 {status} As Told\r\nDate: {date}\r\n");
    if let Some(length) = length.filter(|_| status != 304) {
        head += &format!("Content-Length: {length}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}
