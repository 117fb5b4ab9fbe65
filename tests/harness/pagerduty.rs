//! PagerDuty's REST API, played as strictly as the service plays it.
//!
//! It listens on one private machine, believes no request that the documentation
//! does not allow, and pages, filters and limits by itself: a client that asks wrongly gets an
//! error as it would in production, and the test reads in [`PagerDuty::requests`] why. What the
//! real service cannot be asked to do (fail, lie, stall) is said by [`PagerDuty::script`].
//!
//! One account, in one of the two regions; the other region's host knows nobody. Apps get their tokens
//! from a third host, which must never see a key, as the others must never see a client's secret.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

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
const PATIENCE: Duration = Duration::from_secs(60);

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
    page_cap: usize,
    endless: bool,
    clock_offset: i64,
    /// Answers, each for the path or for any.
    script: VecDeque<(Option<String>, Reply)>,
    hang: bool,
    stopping: bool,
    requests: Vec<Request>,
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
            page_cap: 100,
            endless: false,
            clock_offset: 0,
            script: VecDeque::new(),
            hang: false,
            stopping: false,
            requests: Vec::new(),
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

/// Which of the hosts is asked.
enum Asked {
    Api(Region),
    Identity,
}

fn asked(host: Option<&str>) -> Result<Asked, Refusal> {
    match host {
        Some("api.pagerduty.example:8443" | "127.0.0.1:8443" | "api.pagerduty.com") => {
            Ok(Asked::Api(Region::Us))
        }
        Some("api.eu.pagerduty.com") => Ok(Asked::Api(Region::Eu)),
        Some("identity.pagerduty.example:8443" | "identity.pagerduty.com") => Ok(Asked::Identity),
        other => Err(invalid(format!("Host is {other:?}"))),
    }
}

/// What the service answers to `head` and `body`.
fn judge(head: &str, body: &str, state: &mut State) -> Result<Value, Refusal> {
    let refuse = |status, code, message, problem: String| Err(Refusal { status, code, message, problem });
    let line = head.lines().next().unwrap_or_default();
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(invalid(format!("no request line: {line}")));
    };
    let region = match asked(header(head, "Host"))? {
        Asked::Identity => return give_token(method, target, head, body, state),
        Asked::Api(region) => region,
    };
    if method != "GET" {
        return refuse(405, 2000, "Method Not Allowed", format!("method {method}"));
    }
    let scopes = who_asks(head, region, state)?;
    if header(head, "Accept") != Some("application/vnd.pagerduty+json;version=2") {
        return refuse(406, 2000, "Not Acceptable", format!("Accept is {:?}", header(head, "Accept")));
    }
    if header(head, "Content-Type") != Some("application/json") {
        return Err(invalid(format!("Content-Type is {:?}", header(head, "Content-Type"))));
    }
    if header(head, "Transfer-Encoding").is_some()
        || header(head, "Content-Length").is_some_and(|length| length != "0")
    {
        return Err(invalid("a GET with a body"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = Query::parse(query)?;
    let allowed = |scope: &str| match &scopes {
        Some(scopes) if !scopes.iter().any(|had| had == scope) => Err(Refusal {
            status: 403,
            code: 2010,
            message: "Forbidden",
            problem: format!("{path} needs {scope}, the token has {scopes:?}"),
        }),
        _ => Ok(()),
    };
    match path.split('/').skip(1).collect::<Vec<_>>()[..] {
        ["oncalls"] => allowed("oncalls.read").and_then(|()| oncalls(&query, state)),
        ["schedules"] => allowed("schedules.read").and_then(|()| schedules(&query, state)),
        ["schedules", id] => allowed("schedules.read").and_then(|()| layered(id, &query, state)),
        ["v3", "schedules"] => allowed("schedules.read").and_then(|()| shift_based_list(&query, state)),
        ["v3", "schedules", id] => allowed("schedules.read").and_then(|()| shift_based(id, &query, state)),
        ["escalation_policies"] => allowed("escalation_policies.read").and_then(|()| policies(&query, state)),
        ["teams"] => allowed("teams.read").and_then(|()| teams(&query, state)),
        ["users"] => allowed("users.read").and_then(|()| users(&query, state)),
        ["users", id] => allowed("users.read").and_then(|()| user(id, &query, state)),
        _ => refuse(404, 2100, "Not Found", format!("no path {path}")),
    }
}

/// What the token may; `None` for the account's key, which may read everything.
fn who_asks(head: &str, region: Region, state: &State) -> Result<Option<Vec<String>>, Refusal> {
    let authorization = header(head, "Authorization").unwrap_or_default();
    let now = now() + state.clock_offset;
    let token = authorization
        .strip_prefix("Bearer ")
        .and_then(|text| state.tokens.iter().find(|token| token.text == text && token.expires > now));
    let key = authorization.strip_prefix("Token token=").filter(|key| *key == state.key);
    match (token, key) {
        _ if region != state.region => {}
        (Some(token), None) => return Ok(Some(token.scopes.clone())),
        (None, Some(_)) => return Ok(None),
        _ => {}
    }
    Err(Refusal {
        status: 401,
        code: 2006,
        message: "Unauthorized",
        problem: format!(
            "Authorization is neither `Token token=` and the key nor `Bearer` and a good token, or this is not {region:?}"
        ),
    })
}

/// The client credentials grant, on the identity host.
fn give_token(
    method: &str,
    target: &str,
    head: &str,
    body: &str,
    state: &mut State,
) -> Result<Value, Refusal> {
    let refuse = |status, message, problem: String| Err(Refusal { status, code: 0, message, problem });
    if (method, target) != ("POST", "/oauth/token") {
        return refuse(404, "not_found", format!("{method} {target}"));
    }
    if let Some(key) = header(head, "Authorization") {
        return refuse(400, "invalid_request", format!("the identity host was told {key}"));
    }
    if header(head, "Content-Type") != Some("application/x-www-form-urlencoded") {
        return refuse(400, "invalid_request", format!("Content-Type is {:?}", header(head, "Content-Type")));
    }
    let form = Query::parse(body)?;
    form.knows(&["grant_type", "client_id", "client_secret", "scope"], &[])?;
    let Some(app) = state.app.clone() else {
        return refuse(401, "invalid_client", "no app is registered".to_string());
    };
    if form.one("grant_type")? != Some("client_credentials") {
        return refuse(400, "unsupported_grant_type", format!("{:?}", form.one("grant_type")?));
    }
    if form.one("client_id")? != Some(&app.client_id)
        || form.one("client_secret")? != Some(&app.client_secret)
    {
        return refuse(401, "invalid_client", "client_id or client_secret is wrong".to_string());
    }
    let account = format!("as_account-{}.{}", state.region.name(), app.subdomain);
    let asked: Vec<&str> = form.one("scope")?.unwrap_or_default().split(' ').collect();
    if !asked.contains(&&*account) {
        return refuse(400, "invalid_scope", format!("{account} is not in {asked:?}"));
    }
    let may = |scope: &&&str| **scope == account || app.scopes.iter().any(|had| had == **scope);
    let scopes: Vec<String> = asked.iter().filter(may).map(ToString::to_string).collect();
    state.given += 1;
    let text = format!("pdus+_token-of-the-app-{}", state.given);
    let expires = now() + state.clock_offset + app.lifetime;
    let scope = scopes.join(" ");
    state.tokens.push(Token { text: text.clone(), scopes, expires });
    Ok(json!({"access_token": text, "scope": scope, "token_type": "bearer", "expires_in": app.lifetime}))
}

fn schedules(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(
        &["limit", "offset", "total", "query", "since", "until"],
        &[("include[]", &["schedule_layers", "overrides_subschedule", "final_schedule"])],
    )?;
    for name in ["since", "until"] {
        query.one(name)?.map(|text| instant(name, text)).transpose()?;
    }
    let part = query.one("query")?.unwrap_or_default().to_lowercase();
    let fits =
        |schedule: &&Value| schedule["name"].as_str().unwrap_or_default().to_lowercase().contains(&part);
    page("schedules", state.schedules.iter().filter(fits).cloned().collect(), query, state)
}

fn oncalls(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(
        &["limit", "offset", "total", "since", "until", "time_zone", "earliest"],
        &[
            ("include[]", &["escalation_policies", "users", "schedules"]),
            ("user_ids[]", &[]),
            ("escalation_policy_ids[]", &[]),
            ("schedule_ids[]", &[]),
        ],
    )?;
    for name in ["user_ids[]", "earliest"] {
        if !query.all(name).is_empty() {
            return Err(invalid(format!("{name} is allowed, and not played here")));
        }
    }
    // The service has defaults for these; who relies on them gets times in an offset of the account's
    // choice, or the people of one instant for the people of three days.
    let required = |name: &str| query.one(name)?.ok_or_else(|| invalid(format!("{name} is missing")));
    let (since, until) = (instant("since", required("since")?)?, instant("until", required("until")?)?);
    if until <= since {
        return Err(invalid("until is not after since"));
    }
    if until - (now() + state.clock_offset) > 90 * 86_400 {
        return Err(invalid("until is more than 90 days ahead"));
    }
    if required("time_zone")? != "UTC" {
        return Err(invalid("time_zone is not UTC"));
    }
    required("limit")?;
    required("offset")?;
    let (schedules, policies) = (query.all("schedule_ids[]"), query.all("escalation_policy_ids[]"));
    if schedules.is_empty() && policies.is_empty() {
        return Err(invalid("no filter: everybody of the account would be on call here"));
    }
    let mut found = Vec::new();
    for entry in &state.oncalls {
        let schedule = entry["schedule"]["id"].as_str().unwrap_or("null");
        let policy = entry["escalation_policy"]["id"].as_str().unwrap_or_default();
        let meant = (schedules.is_empty() || schedules.contains(&schedule))
            && (policies.is_empty() || policies.contains(&policy));
        if meant && overlaps(entry, since, until)? {
            found.push(if query.all("include[]").contains(&"users") {
                entry.clone()
            } else {
                by_reference(entry)
            });
        }
    }
    page("oncalls", found, query, state)
}

/// The window of a question about one schedule, without which it would be about another one.
fn window(query: &Query) -> Result<(i64, i64), Refusal> {
    let required = |name: &str| query.one(name)?.ok_or_else(|| invalid(format!("{name} is missing")));
    let (since, until) = (instant("since", required("since")?)?, instant("until", required("until")?)?);
    if until <= since || required("time_zone")? != "UTC" {
        return Err(invalid("until is not after since, or time_zone is not UTC"));
    }
    if required("overflow")? != "true" {
        return Err(invalid("without overflow shifts are cut at the window"));
    }
    Ok((since, until))
}

fn by_id<'a>(list: &'a [Value], id: &str) -> Option<&'a Value> {
    list.iter().find(|entry| entry["id"] == id)
}

fn absent(what: &str) -> Refusal {
    Refusal { status: 404, code: 2100, message: "Not Found", problem: format!("no {what}") }
}

/// `GET /schedules/{id}`.
fn layered(id: &str, query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["since", "until", "time_zone", "overflow"], &[])?;
    if by_id(&state.shift_based, id).is_some() {
        return Err(invalid(format!("{id} is a shift-based schedule, see /v3/schedules")));
    }
    let mut schedule = by_id(&state.schedules, id).ok_or_else(|| absent(id))?.clone();
    let (since, until) = window(query)?;
    let mut entries = Vec::new();
    for entry in state.rendered.get(id).into_iter().flatten() {
        if overlaps(entry, since, until)? {
            entries.push(by_reference(entry));
        }
    }
    schedule["final_schedule"] = json!({"name": "Final Schedule", "rendered_schedule_entries": entries});
    Ok(json!({ "schedule": schedule }))
}

/// `GET /v3/schedules`: references, up to 1000 a page, no total.
fn shift_based_list(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["limit", "offset", "query"], &[])?;
    let reference = |schedule: &Value| json!({"id": schedule["id"], "type": "schedule_v3_reference", "summary": schedule["name"]});
    let list = state.shift_based.iter().map(reference).collect();
    let mut page = page("schedules", list, query, state)?;
    if let Some(page) = page.as_object_mut() {
        page.remove("total");
    }
    Ok(page)
}

/// `GET /v3/schedules/{id}`.
fn shift_based(id: &str, query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["since", "until", "time_zone", "overflow"], &[("include[]", &["final_schedule"])])?;
    if by_id(&state.schedules, id).is_some() {
        return Err(invalid(format!("{id} is not a shift-based schedule, see /schedules")));
    }
    let schedule = by_id(&state.shift_based, id).ok_or_else(|| absent(id))?;
    let (since, until) = window(query)?;
    let within = |assignment: &&Value| {
        let end_of = |name: &str| assignment[name].as_str().and_then(read_instant);
        end_of("start_time").is_none_or(|start| start < until)
            && end_of("end_time").is_none_or(|end| end > since)
    };
    let all = schedule["computed_shift_assignments"].as_array().cloned().unwrap_or_default();
    let assignments: Vec<&Value> = all.iter().filter(within).collect();
    let mut answer =
        json!({"id": id, "type": "schedule_v3", "name": schedule["name"], "time_zone": "Etc/UTC"});
    if query.all("include[]") == ["final_schedule"] {
        answer["final_schedule"] =
            json!({"type": "final_schedule", "computed_shift_assignments": assignments});
    }
    Ok(json!({ "schedule": answer }))
}

fn policies(query: &Query, state: &State) -> Result<Value, Refusal> {
    query
        .knows(&["limit", "offset", "total", "query"], &[("include[]", &["services", "teams", "targets"])])?;
    page("escalation_policies", state.policies.clone(), query, state)
}

fn teams(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["limit", "offset", "total", "query"], &[])?;
    page("teams", state.teams.clone(), query, state)
}

fn users(query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&["limit", "offset", "total", "query"], &[("team_ids[]", &[])])?;
    page("users", state.users.clone(), query, state)
}

fn user(id: &str, query: &Query, state: &State) -> Result<Value, Refusal> {
    query.knows(&[], &[("include[]", &["contact_methods", "notification_rules", "teams"])])?;
    by_id(&state.users, id).map(|user| json!({ "user": user })).ok_or_else(|| absent(id))
}

/// Null at either end has none. The service may show a shift that a test wrote badly; that is then shown too.
fn overlaps(entry: &Value, since: i64, until: i64) -> Result<bool, Refusal> {
    let end_of = |name: &str| entry[name].as_str().and_then(|text| instant(name, text).ok());
    Ok(end_of("start").is_none_or(|start| start < until) && end_of("end").is_none_or(|end| end > since))
}

/// The entry with its user as a reference, which is what comes without `include[]=users`.
fn by_reference(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(user) = entry["user"].as_object_mut() {
        user.retain(|key, _| ["id", "summary", "self", "html_url"].contains(&key.as_str()));
        user.insert("type".to_string(), json!("user_reference"));
    }
    entry
}

/// The page of `list` that `query` asks for.
fn page(name: &str, list: Vec<Value>, query: &Query, state: &State) -> Result<Value, Refusal> {
    let number = |name: &str, default: usize| match query.one(name)? {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| invalid(format!("{name} is {text}"))),
    };
    let (limit, offset) = (number("limit", 25)?, number("offset", 0)?);
    if !(1..=100).contains(&limit) {
        return Err(invalid(format!("limit {limit} is not in 1..=100")));
    }
    if offset + limit > 10_000 {
        return Err(invalid("offset and limit are beyond 10000"));
    }
    let total = match query.one("total")? {
        None | Some("false") => Value::Null,
        Some("true") => json!(list.len()),
        Some(other) => return Err(invalid(format!("total is {other}"))),
    };
    let shown = limit.min(state.page_cap);
    let more = state.endless || list.len() > offset + shown;
    let list: Box<dyn Iterator<Item = Value>> =
        if state.endless { Box::new(list.into_iter().cycle()) } else { Box::new(list.into_iter()) };
    let entries: Vec<Value> = list.skip(offset).take(shown).collect();
    Ok(json!({ name: entries, "limit": limit, "offset": offset, "more": more, "total": total }))
}

/// A query, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').ok_or_else(|| invalid(format!("{pair} has no =")))?;
            Ok((decode(name)?, decode(value)?))
        };
        text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Refuses parameters that are neither `single` nor `lists` (name, allowed values; none: any but the empty one).
    fn knows(&self, single: &[&str], lists: &[(&str, &[&str])]) -> Result<(), Refusal> {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let list = lists.iter().find(|(list, _)| list == name);
            let allowed = match list {
                Some((_, [])) => !value.is_empty(),
                Some((_, values)) => values.contains(&value.as_str()),
                None => single.contains(&name.as_str()),
            };
            if !allowed {
                return Err(invalid(format!("{name}={value} is not known here")));
            }
            if self.0[..index]
                .iter()
                .any(|earlier| earlier.0 == *name && (list.is_none() || earlier.1 == *value))
            {
                return Err(invalid(format!("{name}={value} comes twice")));
            }
        }
        Ok(())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(invalid(format!("{name} comes twice"))),
        }
    }
}

/// `application/x-www-form-urlencoded`: a plus that is not escaped is a space.
fn decode(text: &str) -> Result<String, Refusal> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
                let digits = std::str::from_utf8(&digits).ok().filter(|text| !text.starts_with('+'));
                digits
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| invalid(format!("{text} has a bad escape")))?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| invalid(format!("{text} is not UTF-8")))
}

/// RFC 3339 and nothing looser: `2026-11-20T09:00:00Z`, `…09:00:00.5+01:00`; in seconds since the epoch.
fn instant(name: &str, text: &str) -> Result<i64, Refusal> {
    read_instant(text).ok_or_else(|| invalid(format!("{name} is {text}, which is not RFC 3339")))
}

fn read_instant(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(rest.get(..8)?, ':', [2, 2, 2])?;
    let mut zone = rest.get(8..)?;
    if let Some(fraction) = zone.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        zone = fraction.get(digits..).filter(|_| digits > 0)?;
    }
    let offset = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign @ ("+" | "-"), rest) => {
            let [hours, minutes] = numbers(rest, ':', [2, 2])?;
            (hours * 60 + minutes) * if sign == "-" { -60 } else { 60 }
        }
        _ => return None,
    };
    let fits =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    fits.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// `N` numbers of exactly so many digits each, between `separator`s.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let plain =
        |(part, &length): (&&str, &usize)| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    (parts.len() == N && parts.iter().zip(&digits).all(plain)).then_some(())?;
    parts.iter().map(|part| part.parse().ok()).collect::<Option<Vec<i64>>>()?.try_into().ok()
}

/// Days since the epoch, counted over years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 719_469
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
