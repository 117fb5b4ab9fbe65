//! The directory: everybody whom an LDAP server lists, and who of them may ever become root.
//!
//! The only LDAP code of the project. It is all or nothing: an answer that is refused, late or cut
//! short is an error and never a shorter list, because whoever is missing from a list loses his
//! keys. One deadline covers everything from the look-up of the server's name to the last entry.
//!
//! ldap3 parses what the server sends, and a hostile message can make it panic, eat memory or, by
//! deep nesting, overflow its stack. Therefore StartTLS is asked for here and not by ldap3: its
//! parser sees no byte before the server has shown a certificate that `ca_file` vouches for. After
//! that a panic ends as an error; an overflow ends the process, which has published nothing yet.

mod person;
mod refresh;

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use host::config::{Ldap, LdapUrl, Membership};
use host::secret::{Secret, SecretError};
use ldap3::controls::{Control, ControlType, PagedResults, RawControl};
use ldap3::{
    DerefAliases, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchEntry, SearchOptions,
    StdStream,
};
use policy::Span;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::task::JoinHandle;
use trust::{Owner, Refusal};

use crate::entry::Entry;
use crate::replica::News;
pub use person::Eligible;
use person::Reader;

/// What is asked about the eligible group: who is in a groupOfNames, groupOfUniqueNames, posixGroup.
const GROUP: [&str; 3] = ["member", "uniqueMember", "memberUid"];

/// RFC 4511's way to ask for no attribute at all.
const NOTHING: [&str; 1] = ["1.1"];

/// Entries in one page; servers commonly refuse more than 500 or 1,000.
const PAGE: i32 = 500;

/// The most entries and references that one sync takes.
const MOST_ENTRIES: usize = 200_000;

/// The most bytes of attribute values that one sync takes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The largest file of certificate authorities; Debian's is a fifth of a megabyte.
const LARGEST_CA_FILE: u64 = 4 * 1024 * 1024;

/// How long the farewell to the server may take once the answer is there.
const FAREWELL: Duration = Duration::from_millis(100);

/// Why there is no answer from the directory.
#[derive(Debug)]
pub enum DirectoryError {
    /// The file of certificate authorities is absent, or others could have written it.
    CaFile(Refusal),
    /// The file of certificate authorities is of no use; why.
    CaContent(PathBuf, String),
    /// There is no password to bind with.
    Password(SecretError),
    /// The server, or the way to it; which server, and what is wrong.
    Server(LdapUrl, Fault),
    /// None of several servers answers; one error for each.
    NoServer(Vec<DirectoryError>),
}

/// What is wrong with a server's answer.
#[derive(Debug)]
pub enum Fault {
    /// This host could not start a thread or a runtime.
    Local(io::Error),
    /// The address cannot be compared with a certificate.
    Address,
    /// The filter is not one.
    Filter,
    /// The server's name has no address.
    Resolve(io::Error),
    /// No address of the server accepts connections; the last one's error.
    Connect(io::Error),
    /// The deadline ended; at which step, and how long it was.
    Late(Step, Span),
    /// The connection ended; at which step, and why.
    Lost(Step, String),
    /// The server's answer is not LDAP.
    Malformed(Step),
    /// The server has no StartTLS.
    StartTls(Reply),
    /// No TLS, or not with the server that was meant.
    Tls(rustls::Error),
    /// The server does not accept the name and password; the name.
    Bind(String, Reply),
    /// A search ended without success.
    Partial {
        /// Below which DN.
        base: String,
        /// How many entries had come.
        entries: usize,
        /// How many references to other servers had come; none is followed.
        references: usize,
        /// How it ended.
        reply: Reply,
    },
    /// The group of eligible people cannot be told; its DN, and why.
    Group(String, GroupFault),
    /// There is more than anybody's directory holds.
    TooLarge,
}

/// Why it is not known who is in the eligible group.
#[derive(Debug)]
pub enum GroupFault {
    /// The server does not show it.
    Refused(Reply),
    /// There is none; an empty one would be an answer.
    Missing,
    /// There is more than one.
    Several,
    /// The server sent a part of the members only (Active Directory's `member;range=0-1499`).
    Range,
}

/// A server's LDAP result.
#[derive(Debug)]
pub struct Reply {
    /// RFC 4511's result code.
    pub code: u32,
    /// The server's explanation: one line of printable ASCII.
    pub text: String,
}

/// How far the conversation with the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looking for the addresses of the server.
    Resolve,
    /// Connecting to one of them.
    Connect,
    /// Asking for TLS on a connection that began without.
    StartTls,
    /// Setting up TLS.
    Handshake,
    /// Saying who we are.
    Bind,
    /// Reading the eligible group.
    Group,
    /// Reading everybody.
    People,
}

impl DirectoryError {
    /// The stable token of the audit line and of docs/operations.md.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::CaFile(_) | Self::CaContent(..) | Self::Password(_) => "file-untrusted",
            Self::Server(_, Fault::Partial { .. } | Fault::Group(..) | Fault::TooLarge) => "ldap-partial",
            Self::Server(..) => "ldap-unavailable",
            Self::NoServer(each) if each.iter().all(|error| error.reason() == "ldap-partial") => {
                "ldap-partial"
            }
            Self::NoServer(_) => "ldap-unavailable",
        }
    }

    /// Would a question about anybody have failed like this? Otherwise it may be this person's entry alone.
    pub fn concerns_everybody(&self) -> bool {
        match self {
            Self::CaFile(_) | Self::CaContent(..) | Self::Password(_) => true,
            Self::Server(_, Fault::Late(step, _) | Fault::Lost(step, _) | Fault::Malformed(step)) => {
                *step != Step::People
            }
            Self::Server(_, Fault::Partial { .. } | Fault::TooLarge) => false,
            Self::Server(..) => true,
            Self::NoServer(each) => each.iter().all(Self::concerns_everybody),
        }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaFile(refusal) => {
                write!(f, "no certificate authorities, see [directory] ca_file: {refusal}")
            }
            Self::CaContent(path, why) => {
                write!(f, "no certificate authorities, see [directory] ca_file: {}: {why}", path.display())
            }
            Self::Password(error) => {
                write!(f, "no password to bind with, see [directory] bind_password_file: {error}")
            }
            Self::Server(url, fault) => write!(f, "{url}: {fault}"),
            Self::NoServer(each) => {
                let each: Vec<_> = each.iter().map(ToString::to_string).collect();
                f.write_str(&each.join("; "))
            }
        }
    }
}

impl std::error::Error for DirectoryError {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(error) => write!(f, "this host is short of threads or memory: {error}"),
            Self::Address => {
                f.write_str("no certificate can be for this address; name the host in [directory] urls")
            }
            Self::Filter => f.write_str("the filter is not an RFC 4515 filter, see [directory] filter"),
            Self::Resolve(error) => write!(f, "its name has no address, see [directory] urls: {error}"),
            Self::Connect(error) => {
                write!(f, "cannot connect; is it running, and is the port right? {error}")
            }
            Self::Late(step, limit) => {
                write!(
                    f,
                    "no answer within {limit}, {step}; is it busy, or a firewall in between? see [directory] deadline"
                )
            }
            Self::Lost(step, why) => write!(f, "connection lost, {step}; see the server's log: {why}"),
            Self::Malformed(step) => {
                write!(f, "its answer is not LDAP, {step}; what listens there? see [directory] urls")
            }
            Self::StartTls(reply) => {
                write!(f, "refuses StartTLS; give it a certificate, or write ldaps:// : {reply}")
            }
            Self::Tls(error) => write!(f, "{}: {}", tls_advice(error), one_line(&error.to_string())),
            Self::Bind(dn, reply) => {
                write!(f, "does not accept {dn}, see [directory] bind_dn and bind_password_file: {reply}")
            }
            Self::Partial { base, entries, references, reply } => write!(
                f,
                "incomplete below {base} and dropped after {entries} entries and {references} references; {}: {reply}",
                reply.advice()
            ),
            Self::Group(dn, fault) => write!(f, "eligible group {dn} {fault}"),
            Self::TooLarge => write!(
                f,
                "sends more than {MOST_ENTRIES} entries or {} MiB; narrow [directory] base or filter",
                MOST_BYTES / 1024 / 1024
            ),
        }
    }
}

impl fmt::Display for GroupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reply) => write!(f, "cannot be read; {}: {reply}", reply.advice()),
            Self::Missing => f.write_str("is not there; see [directory] eligible_group"),
            Self::Several => f.write_str("is more than one entry; what is this server?"),
            Self::Range => {
                f.write_str("comes in parts, which this release does not join; make the group smaller")
            }
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking for its address",
            Self::Connect => "connecting",
            Self::StartTls => "asking for StartTLS",
            Self::Handshake => "setting up TLS",
            Self::Bind => "binding",
            Self::Group => "reading the eligible group",
            Self::People => "reading people",
        })
    }
}

/// What happened and what to do, for a connection without TLS.
fn tls_advice(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name, see [directory] urls",
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "nobody in ca_file vouches for its certificate, see [directory] ca_file"
        }
        rustls::Error::InvalidCertificate(_) => {
            "its certificate is not valid; renew it, or set this host's clock"
        }
        _ => "no TLS with it; does this port speak TLS 1.2 or 1.3?",
    }
}

impl Reply {
    fn new(code: u32, text: &str) -> Self {
        Self { code, text: one_line(text) }
    }

    fn name(&self) -> &'static str {
        match self.code {
            1 => "operationsError",
            2 => "protocolError",
            3 => "timeLimitExceeded",
            4 => "sizeLimitExceeded",
            8 => "strongerAuthRequired",
            10 => "referral",
            11 => "adminLimitExceeded",
            12 => "unavailableCriticalExtension",
            13 => "confidentialityRequired",
            32 => "noSuchObject",
            34 => "invalidDNSyntax",
            48 => "inappropriateAuthentication",
            49 => "invalidCredentials",
            50 => "insufficientAccessRights",
            51 => "busy",
            52 => "unavailable",
            53 => "unwillingToPerform",
            _ => "LDAP result",
        }
    }

    fn advice(&self) -> &'static str {
        match self.code {
            3 | 4 | 11 => "raise the server's limits for bind_dn",
            8 | 13 | 48 | 50 => "let bind_dn read it in the server's access rules",
            10 => "references are not followed: name the server that has it in [directory] urls",
            32 | 34 => "it is not there, or bind_dn may not see it",
            51 | 52 => "try again later",
            _ => "see the server's log",
        }
    }
}

impl From<LdapResult> for Reply {
    fn from(result: LdapResult) -> Self {
        Self::new(result.rc, &result.text)
    }
}

/// A foreign text as something that can stand in a line of a log.
fn one_line(text: &str) -> String {
    text.chars().take(200).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// What a directory answered.
#[derive(Debug)]
pub struct Answer {
    /// Everybody whom it lists, or what changed.
    pub news: News,
    /// With which cookie to ask the next time.
    pub cookie: Option<Vec<u8>>,
    /// Who may ever become root.
    pub eligible: Eligible,
}

/// Everybody whom the directory lists, or what changed since `cookie` was told; or the reason why that is not
/// known, before `deadline`.
///
/// # Errors
/// Whatever keeps the answer from being whole; nothing of it is returned then.
pub fn fetch(ldap: &Ldap, cookie: Option<&[u8]>, deadline: Deadline) -> Result<Answer, DirectoryError> {
    ask_servers(ldap, deadline, Question::Everybody(cookie))
}

/// Every entry that the directory shows for `name`, within `limit`; one is an answer, more are none.
///
/// # Errors
/// As [`fetch`].
pub fn find(ldap: &Ldap, name: &str, limit: Duration) -> Result<Vec<Entry>, DirectoryError> {
    let user = &ldap.attributes.user;
    let filter = format!("(&{}({user}={}))", ldap.filter, ldap3::ldap_escape(name));
    let answer = ask_servers(ldap, Deadline::within(limit), Question::Person(&filter))?;
    Ok(answer.news.into_entries())
}

/// What is asked of a server.
#[derive(Clone, Copy)]
enum Question<'a> {
    /// Who is there, or what changed since this cookie was told; and who of them is eligible.
    Everybody(Option<&'a [u8]>),
    /// Whom this filter finds.
    Person(&'a str),
}

/// Asks one server after the other until one answers; each gets its share of what is left.
fn ask_servers(ldap: &Ldap, deadline: Deadline, question: Question<'_>) -> Result<Answer, DirectoryError> {
    // Files first: with one that is not trusted, no packet leaves the host.
    let tls = tls_config(&ldap.ca_file)?;
    let login = Login::read(ldap)?;
    let mut errors = Vec::new();
    for (asked, url) in ldap.urls.iter().enumerate() {
        let share = deadline.share(ldap.urls.len() - asked);
        match converse(ldap, url, tls.clone(), login.as_ref(), share, question) {
            Ok(answer) => return Ok(answer),
            Err(fault) => errors.push(DirectoryError::Server(url.clone(), fault)),
        }
    }
    Err(if errors.len() == 1 { errors.remove(0) } else { DirectoryError::NoServer(errors) })
}

/// TLS that believes the authorities in `ca_file` and no others.
fn tls_config(ca_file: &Path) -> Result<Arc<ClientConfig>, DirectoryError> {
    let pem = trust::read(ca_file, Owner::Root, LARGEST_CA_FILE).map_err(DirectoryError::CaFile)?;
    let useless = |why: String| DirectoryError::CaContent(ca_file.to_path_buf(), why);
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| useless(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        return Err(useless("holds no certificate in PEM".to_string()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| useless(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Who we are to the server.
struct Login<'a> {
    dn: &'a str,
    password: Secret,
}

impl<'a> Login<'a> {
    /// `None` binds nobody. The configuration has made sure that name and password come together.
    fn read(ldap: &'a Ldap) -> Result<Option<Self>, DirectoryError> {
        let (Some(dn), Some(file)) = (&ldap.bind_dn, &ldap.bind_password_file) else { return Ok(None) };
        Ok(Some(Self { dn, password: Secret::read(file).map_err(DirectoryError::Password)? }))
    }
}

/// The instant at which an answer is worth nothing any more.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
    limit: Span,
}

impl Deadline {
    /// The instant at which `limit` is over, beginning now.
    pub fn new(limit: Span) -> Self {
        Self::within(Duration::from_secs(u64::try_from(limit.as_seconds()).unwrap_or(0)))
    }

    fn within(length: Duration) -> Self {
        let now = Instant::now();
        let seconds = length.as_millis().div_ceil(1_000);
        let limit = Span::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
        Self { end: now.checked_add(length).unwrap_or(now), limit }
    }

    /// The part of what is left that one of `untried` servers gets.
    fn share(self, untried: usize) -> Self {
        let left = self.end.saturating_duration_since(Instant::now());
        Self::within(left / u32::try_from(untried.max(1)).unwrap_or(u32::MAX))
    }

    /// What is left of it for `step`; never zero, which the system's calls take for "for ever".
    fn left(self, step: Step) -> Result<Duration, Fault> {
        match self.end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Fault::Late(step, self.limit)),
            left => Ok(left),
        }
    }
}

/// The whole conversation with one server.
fn converse(
    ldap: &Ldap,
    url: &LdapUrl,
    tls: Arc<ClientConfig>,
    login: Option<&Login<'_>>,
    deadline: Deadline,
    question: Question<'_>,
) -> Result<Answer, Fault> {
    if url.host.contains(':') {
        // ldap3 hands the bracketed literal to rustls, which takes it for no name at all.
        return Err(Fault::Address);
    }
    let mut stream = connect(url, deadline)?;
    if !url.tls_first {
        start_tls(&mut stream, deadline)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Fault::Local)?;
    let step = Cell::new(Step::Handshake);
    let conversation = async {
        let asked = async {
            let mut session = Session::open(url, tls, stream, &step).await?;
            let answer = ask(&mut session, ldap, login, question).await?;
            session.close().await;
            Ok(answer)
        };
        tokio::time::timeout_at(deadline.end.into(), asked).await
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(conversation)));
    // Dropping it would wait for whatever is still running.
    runtime.shutdown_background();
    match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(_elapsed)) => Err(Fault::Late(step.get(), deadline.limit)),
        // What the panic says may be whatever the server sent, so it is not shown.
        Err(_panic) => Err(Fault::Malformed(step.get())),
    }
}

/// Connects to the first address that accepts; each gets its share of what is left of the deadline.
fn connect(url: &LdapUrl, deadline: Deadline) -> Result<TcpStream, Fault> {
    let addresses = resolve(url, deadline)?;
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

/// The server's addresses. libc's resolver knows no deadline, so it gets a thread that may be left behind.
fn resolve(url: &LdapUrl, deadline: Deadline) -> Result<Vec<SocketAddr>, Fault> {
    let (tell, told) = mpsc::sync_channel(1);
    let (host, port) = (url.host.clone(), url.port);
    std::thread::Builder::new()
        .spawn(move || {
            let _ = tell.send((host.as_str(), port).to_socket_addrs().map(Vec::from_iter));
        })
        .map_err(Fault::Local)?;
    match told.recv_timeout(deadline.left(Step::Resolve)?) {
        Ok(addresses) => addresses.map_err(Fault::Resolve),
        Err(_) => Err(Fault::Late(Step::Resolve, deadline.limit)),
    }
}

/// The extended request StartTLS (RFC 4511, section 4.14), with message number 1.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

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
    let [tag, first] = read_array(stream, deadline)?;
    let length = match (tag, first) {
        (0x30, ..=0x7f) => usize::from(first),
        (0x30, 0x81) => usize::from(u8::from_be_bytes(read_array(stream, deadline)?)),
        (0x30, 0x82) => usize::from(u16::from_be_bytes(read_array(stream, deadline)?)),
        // Active Directory always writes four.
        (0x30, 0x84) => {
            usize::try_from(u32::from_be_bytes(read_array(stream, deadline)?)).unwrap_or(usize::MAX)
        }
        _ => return Err(Fault::Malformed(Step::StartTls)),
    };
    if length > LONGEST_REPLY {
        return Err(Fault::Malformed(Step::StartTls));
    }
    let mut message = vec![0; length];
    read_exactly(stream, &mut message, deadline)?;
    Ok(message)
}

fn read_array<const N: usize>(stream: &mut TcpStream, deadline: Deadline) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    read_exactly(stream, &mut bytes, deadline)?;
    Ok(bytes)
}

/// Fills `rest`. Looks at the deadline before each read: a server that drips must not stretch it.
fn read_exactly(stream: &mut TcpStream, mut rest: &mut [u8], deadline: Deadline) -> Result<(), Fault> {
    let lost = |why: &str| Fault::Lost(Step::StartTls, why.to_string());
    while !rest.is_empty() {
        stream.set_read_timeout(Some(deadline.left(Step::StartTls)?)).map_err(Fault::Local)?;
        match stream.read(rest) {
            Ok(0) => return Err(lost("closed by the server")),
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

/// Everything that is asked over TLS; `step` tells the caller how far it came.
async fn ask(
    session: &mut Session<'_>,
    ldap: &Ldap,
    login: Option<&Login<'_>>,
    question: Question<'_>,
) -> Result<Answer, Fault> {
    if let Some(login) = login {
        session.enter(Step::Bind);
        session.bind(login).await?;
    }
    let mut eligible = Eligible::default();
    if let (Question::Everybody(_), Some(dn)) = (question, &ldap.eligible_group) {
        session.enter(Step::Group);
        eligible = session.eligible(ldap, dn).await?;
    }
    session.enter(Step::People);
    let reader = Reader::new(ldap, &eligible);
    let attributes = reader.attributes();
    let (filter, cookie) = match question {
        Question::Everybody(cookie) => (ldap.filter.as_str(), Some(cookie)),
        Question::Person(filter) => (filter, None),
    };
    let wanted = Search { base: &ldap.base, scope: Scope::Subtree, filter, attributes: &attributes };
    let (news, cookie) = match cookie {
        Some(cookie) => session.people(&wanted, cookie, &reader).await?,
        None => (session.everybody(&wanted, &reader).await?, None),
    };
    Ok(Answer { news, cookie, eligible })
}

/// One search.
struct Search<'a> {
    base: &'a str,
    scope: Scope,
    filter: &'a str,
    attributes: &'a [&'a str],
}

/// What has come from the server so far.
#[derive(Default)]
struct Tally {
    entries: usize,
    references: usize,
    bytes: usize,
}

impl Tally {
    /// Counts one entry, or says that there are too many.
    fn add(&mut self, found: &SearchEntry) -> Result<(), Fault> {
        let texts = found.attrs.values().flatten().map(String::len);
        let values = texts.chain(found.bin_attrs.values().flatten().map(Vec::len));
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(found.dn.len()).saturating_add(values.sum());
        self.check()
    }

    /// Counts one message that is no entry.
    fn add_reference(&mut self) -> Result<(), Fault> {
        self.references += 1;
        self.check()
    }

    /// Counts what a message that is no entry carries.
    fn add_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.check()
    }

    fn check(&self) -> Result<(), Fault> {
        let few = self.entries.saturating_add(self.references) <= MOST_ENTRIES;
        if few && self.bytes <= MOST_BYTES { Ok(()) } else { Err(Fault::TooLarge) }
    }
}

/// A connection with TLS on it.
struct Session<'a> {
    ldap: ldap3::Ldap,
    /// The task that reads and writes; how it ended tells why an answer is missing.
    driver: JoinHandle<Result<(), LdapError>>,
    tally: Tally,
    step: &'a Cell<Step>,
}

impl<'a> Session<'a> {
    async fn open(
        url: &LdapUrl,
        tls: Arc<ClientConfig>,
        stream: TcpStream,
        step: &'a Cell<Step>,
    ) -> Result<Self, Fault> {
        let settings = LdapConnSettings::new().set_config(tls).set_std_stream(StdStream::Tcp(stream));
        // ldaps in both cases: after StartTLS too, the next byte on the stream is TLS.
        let address = format!("ldaps://{}:{}", url.host, url.port);
        let (connection, ldap) =
            LdapConnAsync::with_settings(settings, &address).await.map_err(handshake_fault)?;
        let driver = tokio::spawn(connection.drive());
        Ok(Self { ldap, driver, tally: Tally::default(), step })
    }

    fn enter(&self, step: Step) {
        self.step.set(step);
    }

    async fn bind(&mut self, login: &Login<'_>) -> Result<(), Fault> {
        let secret = login.password.expose();
        let bound = self.ldap.simple_bind(login.dn, secret).await;
        let result = match bound {
            Ok(result) => result,
            Err(error) => return Err(self.fault(error).await),
        };
        match result.rc {
            0 => Ok(()),
            // A server that repeats what it was told must not bring the password into our log.
            code if result.text.contains(secret) => {
                Err(Fault::Bind(login.dn.to_string(), Reply::new(code, "")))
            }
            _ => Err(Fault::Bind(login.dn.to_string(), result.into())),
        }
    }

    /// Who is in the eligible group `dn`. A missing group is a fault; an empty one is an answer.
    async fn eligible(&mut self, ldap: &Ldap, dn: &str) -> Result<Eligible, Fault> {
        let wanted = match ldap.membership {
            Membership::Group => &GROUP[..],
            Membership::Person => &NOTHING[..],
        };
        let group = self.group(dn, wanted).await?;
        if ldap.membership == Membership::Group {
            let range = || Fault::Group(dn.to_string(), GroupFault::Range);
            return Eligible::from_group(group).ok_or_else(range);
        }
        // Asked for as a search, and not read from each person: servers that compute memberOf do not tell
        // by RFC 4533 that it changed.
        let filter = format!("(&{}(memberOf={}))", ldap.filter, ldap3::ldap_escape(dn));
        let members =
            Search { base: &ldap.base, scope: Scope::Subtree, filter: &filter, attributes: &NOTHING };
        let mut eligible = Eligible::default();
        self.search(&members, |found| eligible.add(&found.dn)).await?;
        Ok(eligible)
    }

    /// Exactly the group `dn`.
    async fn group(&mut self, dn: &str, attributes: &[&str]) -> Result<SearchEntry, Fault> {
        let itself = Search { base: dn, scope: Scope::Base, filter: "(objectClass=*)", attributes };
        let fault = |fault| Err(Fault::Group(dn.to_string(), fault));
        let mut groups = Vec::new();
        match self.search(&itself, |found| groups.push(found)).await {
            Err(Fault::Partial { reply, .. }) => return fault(GroupFault::Refused(reply)),
            searched => searched?,
        }
        match (groups.pop(), groups.is_empty()) {
            (None, _) => fault(GroupFault::Missing),
            (Some(_), false) => fault(GroupFault::Several),
            (Some(group), true) => Ok(group),
        }
    }

    /// Gives every entry that `search` finds to `take`, page after page (RFC 2696).
    ///
    /// ldap3's own paging looks at the result of the last page alone, so the pages are asked for here.
    async fn search(&mut self, search: &Search<'_>, mut take: impl FnMut(SearchEntry)) -> Result<(), Fault> {
        // Bytes go on counting: they are limited over all searches together.
        self.tally = Tally { bytes: self.tally.bytes, ..Tally::default() };
        let mut cookie = Vec::new();
        loop {
            cookie = self.page(search, cookie, &mut take).await?;
            if cookie.is_empty() {
                return Ok(());
            }
        }
    }

    /// One page; the cookie for the next one, empty if there is none.
    async fn page(
        &mut self,
        search: &Search<'_>,
        cookie: Vec<u8>,
        take: &mut impl FnMut(SearchEntry),
    ) -> Result<Vec<u8>, Fault> {
        let Search { base, scope, filter, attributes } = *search;
        let begun = self
            .ldap
            .with_search_options(SearchOptions::new().deref(DerefAliases::Never))
            .with_controls(RawControl::from(PagedResults { size: PAGE, cookie }))
            .streaming_search(base, scope, filter, attributes)
            .await;
        let mut stream = match begun {
            Ok(stream) => stream,
            Err(error) => return Err(self.fault(error).await),
        };
        loop {
            match stream.next().await {
                Ok(Some(item)) if item.is_ref() || item.is_intermediate() => self.tally.add_reference()?,
                Ok(Some(item)) => {
                    let found = SearchEntry::construct(item);
                    self.tally.add(&found)?;
                    take(found);
                }
                Ok(None) => break,
                Err(error) => return Err(self.fault(error).await),
            }
        }
        let result = stream.finish().await;
        if result.rc == 0 {
            return Ok(next_page(&result.ctrls));
        }
        let Tally { entries, references, .. } = self.tally;
        Err(Fault::Partial { base: base.to_string(), entries, references, reply: result.into() })
    }

    /// Why ldap3 has no answer.
    async fn fault(&mut self, error: LdapError) -> Fault {
        let step = self.step.get();
        match error {
            LdapError::FilterParsing => Fault::Filter,
            LdapError::EndOfStream | LdapError::ResultRecv { .. } | LdapError::OpSend { .. } => {
                match (&mut self.driver).await {
                    Ok(Ok(())) => Fault::Lost(step, "closed by the server".to_string()),
                    Ok(Err(error)) => Fault::Lost(step, one_line(&error.to_string())),
                    Err(ended) if ended.is_panic() => Fault::Malformed(step),
                    Err(ended) => Fault::Lost(step, ended.to_string()),
                }
            }
            other => Fault::Lost(step, one_line(&other.to_string())),
        }
    }

    /// Takes leave, so that the server's log shows no broken connection.
    async fn close(mut self) {
        let _ = tokio::time::timeout(FAREWELL, self.ldap.unbind()).await;
    }
}

/// Why there is no TLS.
fn handshake_fault(error: LdapError) -> Fault {
    match error {
        LdapError::Io { source } => match source.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => Fault::Tls(rustls::Error::clone(tls)),
            None => Fault::Lost(Step::Handshake, one_line(&source.to_string())),
        },
        LdapError::Rustls { source } => Fault::Tls(source),
        LdapError::DNSName { .. } | LdapError::UrlParsing { .. } => Fault::Address,
        other => Fault::Lost(Step::Handshake, one_line(&other.to_string())),
    }
}

/// The cookie with which the next page is asked for; empty after the last one.
fn next_page(controls: &[Control]) -> Vec<u8> {
    let paged = controls.iter().find(|control| matches!(control.0, Some(ControlType::PagedResults)));
    paged.map(|control| control.1.parse::<PagedResults>().cookie).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::net::TcpListener;

    pub(crate) fn found(dn: &str, texts: &[(&str, &[&str])], bytes: &[(&str, &[&[u8]])]) -> SearchEntry {
        let text = |value: &&str| (*value).to_string();
        let byte = |value: &&[u8]| value.to_vec();
        SearchEntry {
            dn: dn.to_string(),
            attrs: texts
                .iter()
                .map(|(name, v)| ((*name).to_string(), v.iter().map(text).collect()))
                .collect(),
            bin_attrs: bytes
                .iter()
                .map(|(name, v)| ((*name).to_string(), v.iter().map(byte).collect()))
                .collect(),
        }
    }

    fn url() -> LdapUrl {
        LdapUrl::parse("ldaps://ldap1.example.com").unwrap()
    }

    #[test]
    fn a_tally_ends_at_its_limits() {
        let mut tally = Tally { entries: MOST_ENTRIES - 1, ..Tally::default() };
        assert!(tally.add_reference().is_ok());
        assert!(matches!(tally.add(&found("", &[], &[])), Err(Fault::TooLarge)));
        let mut tally = Tally { bytes: MOST_BYTES - 3, ..Tally::default() };
        assert!(tally.add(&found("d", &[("a", &["b"])], &[("c", &[b"d"])])).is_ok());
        assert!(matches!(tally.add(&found("d", &[], &[])), Err(Fault::TooLarge)));
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

    /// A server that says `answer` to whoever connects and then waits for the end of the connection.
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
        let deadline = Deadline::new(Span::seconds(10));
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
        let start = Instant::now();
        let silent = start_tls(&mut server(b"\x30\x0c\x02"), Deadline::new(Span::seconds(1)));
        assert!(matches!(silent, Err(Fault::Late(Step::StartTls, _))));
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn errors_are_one_line_and_carry_a_reason() {
        let reply = || Reply::new(4, "too\nmany");
        for (fault, reason, text) in [
            (
                Fault::Partial { base: "dc=x".to_string(), entries: 500, references: 1, reply: reply() },
                "ldap-partial",
                "ldaps://ldap1.example.com:636: incomplete below dc=x and dropped after 500 entries and 1 references; \
                 raise the server's limits for bind_dn: sizeLimitExceeded (4): too?many",
            ),
            (
                Fault::Group("cn=g".to_string(), GroupFault::Missing),
                "ldap-partial",
                "ldaps://ldap1.example.com:636: eligible group cn=g is not there; see [directory] eligible_group",
            ),
            (
                Fault::Late(Step::Bind, Span::seconds(3)),
                "ldap-unavailable",
                "ldaps://ldap1.example.com:636: no answer within 3s, binding; \
                 is it busy, or a firewall in between? see [directory] deadline",
            ),
            (
                Fault::Tls(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)),
                "ldap-unavailable",
                "ldaps://ldap1.example.com:636: its certificate is for another name, see [directory] urls: \
                 invalid peer certificate: NotValidForName",
            ),
        ] {
            let error = DirectoryError::Server(url(), fault);
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, text));
        }
    }

    #[test]
    fn a_file_that_is_missing_keeps_every_packet_at_home() {
        let ldap = Ldap {
            urls: vec![url()],
            base: "dc=x".to_string(),
            bind_dn: None,
            bind_password_file: None,
            ca_file: PathBuf::from("/nonexistent/ca.pem"),
            filter: "(objectClass=*)".to_string(),
            eligible_group: None,
            membership: Membership::Group,
            attributes: host::config::Attributes::default(),
            disabled: Vec::new(),
            deadline: Span::seconds(3),
            full_refresh: Span::hours(24),
        };
        let error = fetch(&ldap, None, Deadline::new(ldap.deadline)).unwrap_err();
        assert!(matches!(error, DirectoryError::CaFile(_)));
        assert_eq!(error.reason(), "file-untrusted");
    }
}
