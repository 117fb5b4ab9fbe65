//! PagerDuty's REST API, played as strictly as the service plays it.
//!
//! It listens on one private machine, believes no request that the documentation
//! does not allow, and pages, filters and limits by itself: a client that asks wrongly gets an
//! error as it would in production, and the test reads in [`PagerDuty::requests`] why. What the
//! real service cannot be asked to do (fail, lie, stall) is said by [`PagerDuty::script`].
//!
//! One account, in one of the two regions; the other region's host knows nobody. Apps get their tokens
//! from a third host, which must never see a key, as the others must never see a client's secret.

mod answers;
mod query;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use self::answers::judge;
use self::query::days;
use crate::Host;

/// The hosts that are played, which the machine's /etc/hosts gets: the real ones on the usual port, and some
/// that no configuration has by default on another.
pub const NAMES: [&str; 5] = [
    "api.pagerduty.example",
    "identity.pagerduty.example",
    "api.pagerduty.com",
    "api.eu.pagerduty.com",
    "identity.pagerduty.com",
];
const PORTS: [u16; 2] = [8443, 443];

/// Longer than any test waits; ends a connection whose client is gone without a word.
const PATIENCE: Duration = Duration::from_secs(300);

/// A service on one private machine. It ends when dropped.
pub struct PagerDuty {
    ca_pem: String,
    state: Arc<Mutex<State>>,
    /// Dropped, it lets the stopper stop the service.
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Where an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    Us,
    Eu,
}

impl Region {
    fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
        }
    }
}

/// An app that is registered with the account.
#[derive(Debug, Clone)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    /// The word before .pagerduty.com.
    pub subdomain: String,
    /// What it may ask for; what else it asks for is left out without a word.
    pub scopes: Vec<String>,
    /// Seconds that a token is good for.
    pub lifetime: i64,
}

/// A token that was given to the app.
struct Token {
    text: String,
    scopes: Vec<String>,
    expires: i64,
}

/// A request that came, and what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which host was meant.
    pub host: String,
    /// Path and query, as sent.
    pub target: String,
    /// Why it was refused, if it was.
    pub problem: Option<String>,
}

/// An answer instead of the one that the request would get.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole answer; `Date`, `Content-Length` and `Connection` are added.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers, `Content-Type` included.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// These bytes, whatever they are, and the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, then silence until the client goes away.
    Stall(Vec<u8>),
    /// A JSON body without a length, of this many bytes of white space.
    Flood(u64),
}

impl Reply {
    /// An answer with a JSON body, as PagerDuty writes it.
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("Content-Type".to_string(), "application/json".to_string())];
        Self::Answer { status, headers, body: body.to_string().into_bytes() }
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_string(), value.to_string()));
        }
        self
    }
}

struct State {
    key: String,
    region: Region,
    app: Option<App>,
    tokens: Vec<Token>,
    /// How many tokens were given: no two are alike.
    given: usize,
    oncalls: Vec<Value>,
    schedules: Vec<Value>,
    rendered: BTreeMap<String, Vec<Value>>,
    shift_based: Vec<Value>,
    policies: Vec<Value>,
    teams: Vec<Value>,
    users: Vec<Value>,
    incidents: Vec<Value>,
    page_cap: usize,
    endless: bool,
    clock_offset: i64,
    /// Answers, each for the path or for any.
    script: VecDeque<(Option<String>, Reply)>,
    hang: bool,
    stopping: bool,
    requests: Vec<Request>,
    /// Who connected.
    peers: BTreeSet<IpAddr>,
}

impl PagerDuty {
    /// What `api` has to be in the configuration.
    pub const API: &'static str = "https://api.pagerduty.example:8443";

    /// What `identity` has to be.
    pub const IDENTITY: &'static str = "https://identity.pagerduty.example:8443";

    /// Starts the service on `host`; `key` is the only API key that it knows.
    pub fn start(host: &Host, key: &str) -> Self {
        host.must(&format!("echo 127.0.0.1 {} >> /etc/hosts", NAMES.join(" ")));
        let (ca_pem, tls) = certificates();
        let state = Arc::new(Mutex::new(State {
            key: key.to_string(),
            region: Region::Us,
            app: None,
            tokens: Vec::new(),
            given: 0,
            oncalls: Vec::new(),
            schedules: Vec::new(),
            rendered: BTreeMap::new(),
            shift_based: Vec::new(),
            policies: Vec::new(),
            teams: Vec::new(),
            users: Vec::new(),
            incidents: Vec::new(),
            page_cap: 100,
            endless: false,
            clock_offset: 0,
            script: VecDeque::new(),
            hang: false,
            stopping: false,
            requests: Vec::new(),
            peers: BTreeSet::new(),
        }));
        let (stop, stopped) = mpsc::channel::<()>();
        let stopper = state.clone();
        // A network belongs to a thread, and to those that it starts; the test's own stays where it is.
        let in_network = || {
            host.enter_network();
            let mut threads: Vec<_> = PORTS
                .iter()
                .map(|port| {
                    let address = (Ipv4Addr::UNSPECIFIED, *port);
                    let listener = TcpListener::bind(address).expect("the port is free on a private machine");
                    let (service, tls) = (state.clone(), tls.clone());
                    thread::spawn(move || serve(&listener, &service, &tls))
                })
                .collect();
            threads.push(thread::spawn(move || {
                // Nothing is ever sent; that the sender is gone is the message.
                let _ = stopped.recv();
                lock(&stopper).stopping = true;
                for port in PORTS {
                    // Wakes `accept`.
                    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
                }
            }));
            threads
        };
        let threads = thread::scope(|scope| scope.spawn(in_network).join().expect("the service starts"));
        Self { ca_pem, state, stop: Some(stop), threads }
    }

    /// The certificate authority that vouches for the service.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Writes what a host needs to ask it: its authority, and the token, readable by the sync alone.
    pub fn install(&self, host: &Host, token: &str) {
        host.write("/etc/authkeys/pagerduty-ca.pem", self.ca_pem(), 0o644);
        host.write("/etc/authkeys/pagerduty-token", format!("{token}\n"), 0o640);
        host.must("chgrp oncall-cache /etc/authkeys/pagerduty-token");
    }

    /// The entries of `/oncalls`, users in full. Who does not include users gets references.
    pub fn set_oncalls(&self, oncalls: Vec<Value>) {
        self.state().oncalls = oncalls;
    }

    /// The entries of `/schedules`, which are made of layers.
    pub fn set_schedules(&self, schedules: Vec<Value>) {
        self.state().schedules = schedules;
    }

    /// What the layers and overrides of the schedule `id` come to: the entries of its `final_schedule`.
    pub fn set_rendered(&self, id: &str, entries: Vec<Value>) {
        self.state().rendered.insert(id.to_string(), entries);
    }

    /// The shift-based schedules: `id`, `name` and `computed_shift_assignments`.
    pub fn set_shift_based(&self, schedules: Vec<Value>) {
        self.state().shift_based = schedules;
    }

    /// The entries of `/escalation_policies`.
    pub fn set_policies(&self, policies: Vec<Value>) {
        self.state().policies = policies;
    }

    /// The entries of `/teams`.
    pub fn set_teams(&self, teams: Vec<Value>) {
        self.state().teams = teams;
    }

    /// The account's users, in full.
    pub fn set_users(&self, users: Vec<Value>) {
        self.state().users = users;
    }

    /// Every incident, open or not, with the log entry that opened it in full. Who does not include these gets references.
    pub fn set_incidents(&self, incidents: Vec<Value>) {
        self.state().incidents = incidents;
    }

    /// Where the account is; to begin with, in the US.
    pub fn set_region(&self, region: Region) {
        self.state().region = region;
    }

    /// Registers the only app. Its tokens stay good until they end or are revoked.
    pub fn set_app(&self, app: App) {
        self.state().app = Some(app);
    }

    /// No token that was given is good any more.
    pub fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    /// Every token that is still good, to be looked for where none may be.
    pub fn tokens(&self) -> Vec<String> {
        self.state().tokens.iter().map(|token| token.text.clone()).collect()
    }

    /// From now on, is there more behind every page?
    pub fn set_endless(&self, endless: bool) {
        self.state().endless = endless;
    }

    /// The most entries that a page holds, whatever is asked for: the limit that it tells is the one asked for.
    pub fn set_page_cap(&self, entries: usize) {
        self.state().page_cap = entries;
    }

    /// How many seconds the service's clock is ahead.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.state().clock_offset = seconds;
    }

    /// The answers to the next requests, in this order; afterwards it answers by itself again.
    pub fn script(&self, replies: Vec<Reply>) {
        self.state().script = replies.into_iter().map(|reply| (None, reply)).collect();
    }

    /// The answers to the next requests for `path`; requests for others pass them by.
    pub fn script_at(&self, path: &str, replies: Vec<Reply>) {
        self.state().script = replies.into_iter().map(|reply| (Some(path.to_string()), reply)).collect();
    }

    /// From now on, are connections accepted and nothing said, not even TLS?
    pub fn hang(&self, hang: bool) {
        self.state().hang = hang;
    }

    /// Every request since the last call of this.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }

    /// From which addresses anybody connected.
    pub fn peers(&self) -> BTreeSet<IpAddr> {
        self.state().peers.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for PagerDuty {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            // A panic in it has been printed, and a second one here would hide the test's own.
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A connection that panicked has printed why; the others, and the end, go on.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fresh authority, and TLS with a certificate of it.
fn certificates() -> (String, Arc<ServerConfig>) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "authority of one test");
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let names = NAMES.iter().copied().chain(["127.0.0.1"]).map(str::to_string).collect::<Vec<_>>();
    let certificate =
        CertificateParams::new(names).expect("good names").signed_by(&key, &authority).expect("signed");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key that rustls reads");
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key is the certificate's");
    (authority.pem(), Arc::new(tls))
}

/// Accepts until told to stop; each connection has a thread, since one that hangs must not hold up others.
fn serve(listener: &TcpListener, state: &Arc<Mutex<State>>, tls: &Arc<ServerConfig>) {
    for stream in listener.incoming() {
        if lock(state).stopping {
            return;
        }
        let (Ok(stream), state, tls) = (stream, state.clone(), tls.clone()) else { continue };
        thread::spawn(move || {
            // A client that goes away early, as one with a deadline does, is no fault of the service.
            let _ = converse(stream, &state, tls);
        });
    }
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// One request, one answer.
fn converse(stream: TcpStream, state: &Mutex<State>, tls: Arc<ServerConfig>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    lock(state).peers.insert(stream.peer_addr()?.ip());
    if lock(state).hang {
        return wait_for_end(stream);
    }
    let connection = ServerConnection::new(tls).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let Some(head) = read_head(&mut stream)? else { return Ok(()) };
    let body = read_body(&head, &mut stream)?;
    let (reply, now) = {
        let mut state = lock(state);
        let answer = judge(&head, &body, &mut state);
        let problem = answer.as_ref().err().map(|refusal| refusal.problem.clone());
        let host = header(&head, "Host").unwrap_or_default().to_string();
        state.requests.push(Request { host, target: target(&head).to_string(), problem });
        let path = target(&head).split('?').next();
        let next = state.script.iter().position(|(only, _)| only.is_none() || only.as_deref() == path);
        let scripted = next.and_then(|next| state.script.remove(next)).map(|(_, reply)| reply);
        let own = || answer.map_or_else(|refusal| refusal.reply(), |body| Reply::json(200, &body));
        (scripted.unwrap_or_else(own), now() + state.clock_offset)
    };
    match reply {
        Reply::Answer { status, headers, body } => {
            stream.write_all(&head_of(status, &headers, Some(body.len()), now))?;
            stream.write_all(&body)?;
        }
        Reply::Raw(bytes) => stream.write_all(&bytes)?,
        Reply::Stall(bytes) => {
            stream.write_all(&bytes)?;
            stream.flush()?;
            return wait_for_end(stream);
        }
        Reply::Flood(length) => {
            let headers = [("Content-Type".to_string(), "application/json".to_string())];
            stream.write_all(&head_of(200, &headers, None, now))?;
            std::io::copy(&mut std::io::repeat(b' ').take(length), &mut stream)?;
        }
    }
    stream.conn.send_close_notify();
    stream.flush()
}

/// Says nothing until the client has gone.
fn wait_for_end(mut stream: impl Read) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

/// Reads up to the empty line; `None` if the client went away before it asked anything.
fn read_head(stream: &mut Tls) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if head.len() > 64 * 1024 {
            return Err(ErrorKind::InvalidData.into());
        }
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).map(Some).map_err(std::io::Error::other)
}

/// As much as is announced; a form is short.
fn read_body(head: &str, stream: &mut Tls) -> std::io::Result<String> {
    let length = header(head, "Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; usize::min(length, 64 * 1024)];
    stream.read_exact(&mut body)?;
    String::from_utf8(body).map_err(std::io::Error::other)
}

fn head_of(status: u16, headers: &[(String, String)], length: Option<usize>, now: i64) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} As Scripted\r\nConnection: close\r\n");
    let mut header = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
        header("Date", &imf_fixdate(now));
    }
    if let Some(length) = length {
        header("Content-Length", &length.to_string());
    }
    for (name, value) in headers {
        header(name, value);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A request that the service does not take.
struct Refusal {
    status: u16,
    code: u16,
    message: &'static str,
    problem: String,
}

impl Refusal {
    fn reply(self) -> Reply {
        let error = json!({"error": {"message": self.message, "code": self.code, "errors": [self.problem]}});
        Reply::json(self.status, &error)
    }
}

/// 400.
fn invalid(problem: impl Into<String>) -> Refusal {
    Refusal { status: 400, code: 2001, message: "Invalid Input Provided", problem: problem.into() }
}

fn target(head: &str) -> &str {
    head.split_whitespace().nth(1).unwrap_or_default()
}

/// The one value of a header; more than one is as bad as none.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut values = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim());
    values.next().filter(|_| values.next().is_none())
}

#[allow(clippy::disallowed_methods, reason = "the service has a clock of its own")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_secs()).expect("the clock is before the end of time")
}

/// `Fri, 20 Nov 2026 12:00:00 GMT`.
fn imf_fixdate(at: i64) -> String {
    let (day, second) = (at.div_euclid(86_400), at.rem_euclid(86_400));
    let weekday =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(day.rem_euclid(7)).expect("0..7")];
    let year = (1970..).find(|year| days(year + 1, 1, 1) > day).expect("years go on");
    let month = (1..12).find(|month| days(year, month + 1, 1) > day).unwrap_or(12);
    let names = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let start = usize::try_from(month - 1).expect("0..12") * 3;
    format!(
        "{weekday}, {:02} {} {year} {:02}:{:02}:{:02} GMT",
        day - days(year, month, 1) + 1,
        &names[start..start + 3],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}
