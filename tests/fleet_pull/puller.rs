//! A host of a fleet that only asks: the requests of `oncall-cache pull`, over a connection and a TLS handshake of its
//! own each time. It checks digests and no signatures, and writes nothing; a test holds its requests against the real
//! program's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleet::people::{Node, difference};
use fleet::{Digest, Head, LARGEST_HEAD, LARGEST_OBJECT, ObjectRef, Part, RotaIndex, unpack};
use mirror::extract;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longer than an answer takes on a loopback, however busy the store is; the real program waits longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// From which share of missing objects on, in percent, the real program fetches a pack of all.
const PACK_FROM: usize = 5;

/// The store of a fleet, on the loopback of a private machine, and what hosts want of it.
pub struct Store {
    tls: ClientConfig,
    name: &'static str,
    port: u16,
    /// Its value is what the store wants to be shown.
    access: Option<&'static str>,
    /// Which schedules a host names: source and id.
    schedules: Vec<(&'static str, &'static str)>,
    has_people: bool,
    /// What objects say, by the digest of what is stored: once for all hosts.
    decoded: Mutex<HashMap<Digest, Arc<Vec<u8>>>>,
}

impl Store {
    /// The one called `name`, for which the authority in `ca_pem` vouches. Of a rota hosts want these schedules.
    pub fn new(
        name: &'static str,
        port: u16,
        ca_pem: &str,
        schedules: &[(&'static str, &'static str)],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("a certificate");
        roots.add(authority).expect("an authority");
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let decoded = Mutex::default();
        let schedules = schedules.to_vec();
        Self { tls, name, port, access: None, schedules, has_people: false, decoded }
    }

    /// Hosts have the fleet's people too.
    pub fn with_people(self) -> Self {
        Self { has_people: true, ..self }
    }

    /// Hosts show `Fleet-Access: VALUE`.
    pub fn with_access(self, value: &'static str) -> Self {
        Self { access: Some(value), ..self }
    }

    fn decoded(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Vec<u8>>>> {
        self.decoded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is stored as `object` says, which is checked.
    fn decode(&self, object: &ObjectRef, stored: &[u8]) -> io::Result<Arc<Vec<u8>>> {
        if Digest::of(stored) != object.digest {
            return Err(io::Error::other(format!("{}: other bytes than its name says", object.digest)));
        }
        if let Some(known) = self.decoded().get(&object.digest) {
            return Ok(known.clone());
        }
        let bytes = extract(object, stored, LARGEST_OBJECT).map_err(|problem| other(&problem))?;
        Ok(self.decoded().entry(object.digest).or_insert(Arc::new(bytes)).clone())
    }

    fn connect(&self) -> io::Result<Connection<'_>> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        // The real program ends after each pull, and so does what it could resume.
        let mut tls = self.tls.clone();
        tls.resumption = Resumption::in_memory_sessions(1);
        let name = ServerName::try_from(self.name).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(tls), name).map_err(io::Error::other)?;
        let wire = Wire { stream, sent: 0, received: 0 };
        Ok(Connection { store: self, stream: StreamOwned::new(connection, wire), requests: 0 })
    }
}

fn other(problem: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(problem.to_string())
}

/// A connection whose bytes are counted, those of TLS among them.
struct Wire {
    stream: TcpStream,
    sent: u64,
    received: u64,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.received += count as u64;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.sent += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

struct Connection<'a> {
    store: &'a Store,
    stream: StreamOwned<ClientConnection, Wire>,
    requests: usize,
}

impl Connection<'_> {
    /// Asks for `path` below the store's url; body and tag, or `None` if it has still the tag `known`.
    fn get(
        &mut self,
        path: &str,
        known: Option<&str>,
        limit: usize,
    ) -> io::Result<Option<(Vec<u8>, Option<String>)>> {
        self.requests += 1;
        self.stream.write_all(self.request(path, known).as_bytes())?;
        self.stream.flush()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
            if head.len() > 16 * 1024 {
                return Err(io::Error::other("a head without end"));
            }
        }
        let head = String::from_utf8(head).map_err(io::Error::other)?;
        let field = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
            line.split_once(": ").map(|(_, value)| value.to_string())
        };
        match head.split(' ').nth(1) {
            Some("304") if known.is_some() => return Ok(None),
            Some("200") => {}
            status => return Err(io::Error::other(format!("{path}: answered {status:?}"))),
        }
        let length = field("content-length:").and_then(|length| length.parse::<usize>().ok());
        let length = length.filter(|length| *length <= limit);
        let mut body = vec![0; length.ok_or_else(|| io::Error::other(format!("{path}: {head}")))?];
        self.stream.read_exact(&mut body)?;
        Ok(Some((body, field("etag:"))))
    }

    /// What the real program sends, in its order.
    fn request(&self, path: &str, known: Option<&str>) -> String {
        let Store { name, port, access, .. } = self.store;
        let condition = known.map(|tag| format!("if-none-match: {tag}\r\n")).unwrap_or_default();
        let access = access.map(|value| format!("fleet-access: {value}\r\n")).unwrap_or_default();
        let port = if *port == 443 { String::new() } else { format!(":{port}") };
        let agent = concat!("accept: */*\r\nuser-agent: oncall-cache/", env!("CARGO_PKG_VERSION"), "\r\n");
        format!("GET /fleet{path} HTTP/1.1\r\n{condition}{agent}{access}host: {name}{port}\r\n\r\n")
    }
}

/// What a pull came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulled {
    pub requests: usize,
    /// Bytes on the wire, those of TLS among them and those of TCP not.
    pub sent: u64,
    pub received: u64,
    /// The publication that the host has now.
    pub sequence: u64,
    pub is_new: bool,
}

/// What one host has.
#[derive(Debug, Clone, Default)]
pub struct Puller {
    /// The tag of the head, and its sequence.
    tag: Option<String>,
    sequence: u64,
    /// What the objects say that it has, by the digests of what is stored.
    has: BTreeMap<Digest, Arc<Vec<u8>>>,
}

impl Puller {
    /// Asks the store as a pull does.
    ///
    /// # Errors
    /// It did not answer, or is not whole: the host has what it had.
    pub fn pull(&mut self, store: &Store) -> io::Result<Pulled> {
        let mut connection = store.connect()?;
        let answer = connection.get("/head", self.tag.as_deref(), LARGEST_HEAD)?;
        let is_new = answer.is_some();
        if let Some((document, tag)) = answer {
            let end = document.windows(5).position(|bytes| bytes == b"-----").unwrap_or(document.len());
            let head = Head::parse(&document[..end]).map_err(|error| other(&error))?;
            let mut reading =
                Reading { connection: &mut connection, has: &mut self.has, keep: BTreeSet::new() };
            reading.complete(&head)?;
            let keep = reading.keep;
            self.has.retain(|digest, _| keep.contains(digest));
            (self.tag, self.sequence) = (tag, head.sequence);
        }
        connection.stream.conn.send_close_notify();
        connection.stream.flush()?;
        let Wire { sent, received, .. } = connection.stream.sock;
        Ok(Pulled { requests: connection.requests, sent, received, sequence: self.sequence, is_new })
    }
}

/// A publication on its way to a host, in the order of oncall-cache/src/pull/objects.rs.
struct Reading<'a, 'c> {
    connection: &'a mut Connection<'c>,
    has: &'a mut BTreeMap<Digest, Arc<Vec<u8>>>,
    keep: BTreeSet<Digest>,
}

impl Reading<'_, '_> {
    fn complete(&mut self, head: &Head) -> io::Result<()> {
        let store = self.connection.store;
        if let Some(rota) = &head.rota {
            let index = RotaIndex::parse(&self.content(rota)?).map_err(|error| other(&error))?;
            for (source, id) in &store.schedules {
                if let Some(schedule) = index.find(source, id) {
                    self.content(&schedule.shifts)?;
                }
            }
        }
        if let Some(tree) = head.people.as_ref().filter(|_| store.has_people) {
            self.people(tree, head.pack.as_ref())?;
        }
        self.content(&head.revoked).map(drop)
    }

    fn people(&mut self, tree: &Part, pack: Option<&ObjectRef>) -> io::Result<()> {
        let found = loop {
            let read = |node: &Node| {
                let known = self.has.get(&node.part.object.digest);
                Ok::<_, std::convert::Infallible>(known.map(|bytes| bytes.to_vec()))
            };
            let found = difference(tree, None, read).map_err(|error| other(&error))?;
            if found.missing.is_empty() {
                break found;
            }
            found.missing.iter().try_for_each(|page| self.content(&page.part).map(drop))?;
        };
        self.keep.extend(found.pages.iter().chain(&found.buckets).map(|node| node.part.object.digest));
        let missing: Vec<Node> = found
            .buckets
            .iter()
            .filter(|node| !self.has.contains_key(&node.part.object.digest))
            .copied()
            .collect();
        let is_much = missing.len() > 1 && missing.len() * 100 > found.buckets.len() * PACK_FROM;
        if let Some(pack) = pack.filter(|_| is_much) {
            self.unpack(pack, &missing)?;
        }
        missing.iter().try_for_each(|bucket| self.content(&bucket.part).map(drop))
    }

    fn unpack(&mut self, pack: &ObjectRef, wanted: &[Node]) -> io::Result<()> {
        let store = self.connection.store;
        let bytes = self.ask(pack)?;
        let wanted: BTreeMap<Digest, ObjectRef> =
            wanted.iter().map(|node| (node.part.object.digest, node.part.object)).collect();
        for stored in unpack(&bytes).map_err(|error| other(&error))? {
            if let Some(object) = wanted.get(&Digest::of(stored)) {
                self.has.insert(object.digest, store.decode(object, stored)?);
            }
        }
        Ok(())
    }

    /// What a part says: from here, or fetched and kept.
    fn content(&mut self, part: &Part) -> io::Result<Arc<Vec<u8>>> {
        self.keep.insert(part.object.digest);
        if let Some(known) = self.has.get(&part.object.digest) {
            return Ok(known.clone());
        }
        let bytes = self.ask(&part.object)?;
        self.has.insert(part.object.digest, bytes.clone());
        Ok(bytes)
    }

    fn ask(&mut self, object: &ObjectRef) -> io::Result<Arc<Vec<u8>>> {
        let size = usize::try_from(object.size).map_err(io::Error::other)?;
        let answer = self.connection.get(&format!("/o/{}", object.digest), None, size)?;
        let (stored, _) = answer.ok_or_else(|| io::Error::other("304 to no condition"))?;
        self.connection.store.decode(object, &stored)
    }
}
