//! Why the directory gave no answer: what happened, with which server, and what to do about it.

use std::fmt;
use std::io;

use host::config::LdapUrl;
use host::secret::SecretError;
use host::unanswered::Unanswered;
use ldap3::LdapResult;
use policy::Span;
use tls::{AlertDescription, CertificateError, CertificatesError};
use trust::Refusal;

use super::{MOST_BYTES, MOST_ENTRIES};

/// Why there is no answer from the directory.
#[derive(Debug)]
pub enum DirectoryError {
    /// The file of certificate authorities is of no use.
    Authorities(CertificatesError),
    /// There is no password to bind with.
    Password(SecretError),
    /// The certificate of this host cannot be shown; which setting names the file, and what is wrong.
    Client(&'static str, String),
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
    /// No name server tells anything about this name; why.
    Dns(String, String),
    /// DNS knows no server of this domain.
    NoRecords,
    /// DNS leads to servers that nobody allowed; the first one.
    Stranger(String),
    /// The address cannot be compared with a certificate.
    Address,
    /// The filter is not one.
    Filter,
    /// The server's name has no address.
    Resolve(io::Error),
    /// No address of the server accepts connections; the last one's error.
    Connect(io::Error),
    /// The socket of this host is not there, or it is not known who listens at it.
    Socket(Refusal),
    /// The deadline ended; at which step, and how long it was.
    Late(Step, Span),
    /// The connection ended; at which step, and why.
    Lost(Step, String),
    /// The connection ended after TLS was set up and before any answer; why. By TLS 1.3 a server judges our
    /// certificate that late, and some, slapd with GnuTLS among them, do not say what they miss.
    Shunned(String),
    /// The server's answer is not LDAP.
    Malformed(Step),
    /// The server sent something that nobody asked for; at which step.
    Stray(Step),
    /// The server has no StartTLS.
    StartTls(Reply),
    /// No TLS, or not with the server that was meant.
    Tls(tls::Error),
    /// The server does not accept the name and password; the name.
    Bind(String, Reply),
    /// The server does not accept what the connection shows of us.
    External(Reply),
    /// What the server sent is not all there is, so none of it counts.
    Partial(Partial),
    /// A group is not written.
    Write(WriteFault),
}

/// Why a group is not written; its DN.
#[derive(Debug)]
pub enum WriteFault {
    /// It is not there, or is not shown.
    Missing(String),
    /// The server does not make the change.
    Refused(String, Reply),
    /// Others changed it each time.
    Contended(String),
}

/// Why an answer is not whole.
#[derive(Debug)]
pub enum Partial {
    /// A search ended without success.
    Search {
        /// Below which DN.
        base: String,
        /// How many entries had come.
        entries: usize,
        /// How many references to other servers had come; none is followed.
        references: usize,
        /// How it ended.
        reply: Reply,
    },
    /// It is not known who is in the group of eligible people; its DN, and why.
    Group(String, GroupFault),
    /// The server sent a part of a person's values only; whose, and of which attribute.
    Range(String, String),
    /// There is more than anybody's directory holds.
    TooLarge,
    /// The server says that another one has more people; which.
    Elsewhere(String),
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
    /// The server sent the members in slices (Active Directory's `member;range=0-1499`) that do not fit together.
    Range,
    /// Its members changed while they were read.
    Changing,
    /// Groups in it have groups in them, and so on, deeper than is followed; which one is too deep.
    TooDeep(String),
    /// It shows no member, and a group of its class has one, or its class is not shown either.
    Hidden,
    /// It lists members where people are, and none of these is shown; how many were asked for.
    Unseen(usize),
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
    /// Looking for the servers of a domain.
    Discover,
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
    /// Asking what it is and what it can do.
    Root,
    /// Reading the eligible group.
    Group,
    /// Reading everybody.
    People,
    /// Reading the group that is to be written.
    Members,
    /// Writing it.
    Change,
}

impl DirectoryError {
    /// What it is for those who asked.
    pub fn reason(&self) -> Unanswered {
        match self {
            Self::Authorities(_) | Self::Password(_) | Self::Client(..) => Unanswered::FileUntrusted,
            Self::Server(_, Fault::Partial(_)) => Unanswered::Partial,
            Self::Server(_, Fault::Socket(refusal)) if !refusal.is_missing() => Unanswered::FileUntrusted,
            Self::Server(..) => Unanswered::Unavailable,
            Self::NoServer(each) if each.iter().all(|error| error.reason() == Unanswered::Partial) => {
                Unanswered::Partial
            }
            Self::NoServer(_) => Unanswered::Unavailable,
        }
    }

    /// The server that gave no answer, if it is one's error.
    pub fn server(&self) -> Option<String> {
        match self {
            Self::Server(url, _) => Some(url.to_string()),
            _ => None,
        }
    }

    /// Would a question about anybody have failed like this? Otherwise it may be this person's entry alone.
    pub fn concerns_everybody(&self) -> bool {
        match self {
            Self::Authorities(_) | Self::Password(_) | Self::Client(..) => true,
            Self::Server(
                _,
                Fault::Late(step, _) | Fault::Lost(step, _) | Fault::Malformed(step) | Fault::Stray(step),
            ) => *step != Step::People,
            Self::Server(_, Fault::Partial(partial)) => match partial {
                Partial::Search { reply, .. } => reply.is_busy(),
                Partial::Group(..) => true,
                Partial::Range(..) | Partial::TooLarge | Partial::Elsewhere(_) => false,
            },
            Self::Server(..) => true,
            Self::NoServer(each) => each.iter().all(Self::concerns_everybody),
        }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities(error) => {
                write!(f, "no certificate authorities, see [directory] ca_file: {error}")
            }
            Self::Password(error) => {
                write!(f, "no password to bind with, see [directory] bind_password_file: {error}")
            }
            Self::Client(setting, why) => {
                write!(f, "no certificate of this host to show, see [directory] {setting}: {why}")
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

impl From<WriteFault> for Fault {
    fn from(fault: WriteFault) -> Self {
        Self::Write(fault)
    }
}

impl From<Partial> for Fault {
    fn from(partial: Partial) -> Self {
        Self::Partial(partial)
    }
}

impl Fault {
    /// Was a change sent whose result is not known?
    pub(super) fn may_be_done(&self) -> bool {
        matches!(
            self,
            Self::Late(Step::Change, _) | Self::Lost(Step::Change, _) | Self::Malformed(Step::Change)
        )
    }

    /// It is not known who is in the group `dn`.
    pub(super) fn group(dn: &str, why: GroupFault) -> Self {
        Partial::Group(dn.to_string(), why).into()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(error) => write!(f, "this host is out of threads or memory: {error}"),
            Self::Dns(name, why) => {
                write!(f, "no name server answers for {name}, see /etc/resolv.conf: {why}")
            }
            Self::NoRecords => f.write_str(
                "DNS lists no server for it, neither _ldaps._tcp nor _ldap._tcp; see [directory] urls",
            ),
            Self::Stranger(name) => {
                write!(f, "DNS leads to {name}, which is not among [directory] srv_hosts")
            }
            Self::Address => {
                f.write_str("no certificate can be for this address; name the host in [directory] urls")
            }
            Self::Filter => f.write_str("the filter is not an RFC 4515 filter, see [directory] filter"),
            Self::Resolve(error) => write!(f, "its name has no address, see [directory] urls: {error}"),
            Self::Connect(error) => {
                write!(f, "cannot connect; is it running, and is the address right? {error}")
            }
            Self::Socket(refusal) => {
                write!(f, "cannot connect; is it running, and is this its socket? {refusal}")
            }
            Self::Late(step, limit) => {
                write!(
                    f,
                    "no answer within {limit}, {step}; is it busy, or a firewall in between? see [directory] timeout"
                )
            }
            Self::Lost(step, why) => write!(f, "connection lost, {step}; see the server's log: {why}"),
            Self::Shunned(why) => {
                write!(
                    f,
                    "connection lost as soon as TLS was set up; does it demand a certificate that it trusts? \
                     see [directory] client_cert_file: {why}"
                )
            }
            Self::Malformed(step) => {
                write!(f, "its answer is not LDAP, {step}; what listens there? see [directory] urls")
            }
            Self::Stray(step) => {
                write!(f, "sends more than was asked for, {step}; what listens there? see [directory] urls")
            }
            Self::StartTls(reply) => {
                write!(f, "refuses StartTLS; give it a certificate, or write ldaps:// : {reply}")
            }
            Self::Tls(error) => write!(f, "{}: {}", tls_advice(error), one_line(&error.to_string())),
            Self::Bind(dn, reply) => {
                write!(f, "does not accept {dn}, see [directory] bind_dn and bind_password_file: {reply}")
            }
            Self::External(reply) => {
                write!(f, "accepts no identity by SASL EXTERNAL, see [directory] bind: {reply}")
            }
            Self::Partial(partial) => partial.fmt(f),
            Self::Write(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for WriteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(dn) => write!(f, "{dn} is not there, or the bind DN may not see it; see `group`"),
            Self::Refused(dn, reply) => {
                write!(f, "does not change {dn}; {}: {reply}", reply.advice_on_change())
            }
            Self::Contended(dn) => {
                write!(f, "{dn} was changed by others each time; the next run tries again")
            }
        }
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search { base, entries, references, reply } => write!(
                f,
                "the search below {base} ended early, after {entries} entries and {references} references; {}: {reply}",
                reply.advice()
            ),
            Self::Group(dn, fault) => write!(f, "eligible group {dn} {fault}"),
            Self::Range(dn, attribute) => write!(
                f,
                "{} comes in parts, which this release does not join: {attribute}; take values away",
                one_line(dn)
            ),
            Self::TooLarge => write!(
                f,
                "sends more than {MOST_ENTRIES} entries or {} MiB; narrow [directory] base or filter",
                MOST_BYTES / 1024 / 1024
            ),
            Self::Elsewhere(url) => write!(
                f,
                "refers to {url}, where somebody of the same name may be; references are not followed: narrow [directory] \
                 base, or write referrals = \"ignore\" if no people are there"
            ),
        }
    }
}

impl fmt::Display for GroupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reply) => write!(f, "cannot be read; {}: {reply}", reply.advice()),
            Self::Missing => f.write_str("is not there; see [directory] eligible_group"),
            Self::Several => f.write_str("is more than one entry; is this really an LDAP directory?"),
            Self::Range => f.write_str("comes in slices that do not fit together; is this really an LDAP directory?"),
            Self::Changing => f.write_str("changed while it was being read; the next sync reads it again"),
            Self::TooDeep(inner) => write!(
                f,
                "has groups in groups deeper than 8 levels, which are not followed: {}; make it flatter",
                one_line(inner)
            ),
            Self::Hidden => f.write_str(
                "shows no member, but a group of its class must have one; let the bind DN read `member` and `objectClass`",
            ),
            Self::Unseen(count) => write!(
                f,
                "lists {count} members below `base`, and not one of them is shown; let the bind DN read them, or take out those who are gone"
            ),
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
            Self::Discover => "looking for its servers",
            Self::Resolve => "looking for its address",
            Self::Connect => "connecting",
            Self::StartTls => "asking for StartTLS",
            Self::Handshake => "setting up TLS",
            Self::Bind => "binding",
            Self::Root => "asking what it can do",
            Self::Group => "reading the eligible group",
            Self::People => "reading people",
            Self::Members => "reading the group",
            Self::Change => "changing the group, which may be done or not",
        })
    }
}

/// What happened and what to do, for a connection without TLS.
fn tls_advice(error: &tls::Error) -> &'static str {
    match error {
        tls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name, see [directory] urls",
        tls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no authority in ca_file signed its certificate, see [directory] ca_file"
        }
        tls::Error::InvalidCertificate(_) => {
            "its certificate is not valid; renew it, or set this host's clock"
        }
        tls::Error::AlertReceived(alert) if is_about_us(*alert) => {
            "it does not accept this host's certificate, or wants one; see [directory] client_cert_file"
        }
        _ => "TLS failed; does this port speak TLS 1.2 or 1.3?",
    }
}

/// Does the server complain about the client's certificate?
fn is_about_us(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateRequired
    )
}

impl Reply {
    pub(super) fn new(code: u32, text: &str) -> Self {
        Self { code, text: one_line(text) }
    }

    /// Is the entry not there, or not for us (referral, noSuchObject, invalidDNSyntax, insufficientAccessRights)?
    pub(super) fn is_about_the_entry(&self) -> bool {
        matches!(self.code, 10 | 32 | 34 | 50)
    }

    /// Does it send us to another server?
    pub(super) fn is_referral(&self) -> bool {
        self.code == 10
    }

    /// Is the entry there and not for us, or on another server (referral, insufficientAccessRights)?
    pub(super) fn withholds(&self) -> bool {
        matches!(self.code, 10 | 50)
    }

    /// Has the server no time for anybody (busy, unavailable)?
    fn is_busy(&self) -> bool {
        matches!(self.code, 51 | 52)
    }

    /// Did the search end at a limit that smaller pages may stay below (sizeLimitExceeded, adminLimitExceeded)?
    pub(super) fn is_limit(&self) -> bool {
        matches!(self.code, 4 | 11)
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

    /// What to do about a change that was refused.
    fn advice_on_change(&self) -> &'static str {
        match self.code {
            // objectClassViolation
            65 => "a group of its class is never empty: set `placeholder`",
            // undefinedAttributeType
            17 => "the server has no such attribute: see `attribute`",
            // insufficientAccessRights
            50 => "let the bind DN write the attribute of this group, in the server's access rules",
            // referral, unwillingToPerform
            10 | 53 => "name a server in `urls` that takes changes",
            51 | 52 => "try again later",
            _ => "see the server's log",
        }
    }

    fn advice(&self) -> &'static str {
        match self.code {
            3 | 4 | 11 => "raise the server's limits for the bind DN",
            8 | 13 | 48 | 50 => "let the bind DN read it, in the server's access rules",
            10 => "references are not followed: name the server that has it in [directory] urls",
            32 | 34 => "it does not exist, or the bind DN may not see it",
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

/// A foreign text as something that can be in a line of a log.
pub(super) fn one_line(text: &str) -> String {
    text.chars().take(200).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::url;

    #[test]
    fn errors_are_one_line_and_carry_a_reason() {
        let reply = || Reply::new(4, "too\nmany");
        for (fault, reason, text) in [
            (
                Partial::Search { base: "dc=x".to_string(), entries: 500, references: 1, reply: reply() }
                    .into(),
                Unanswered::Partial,
                "ldaps://ldap1.example.com:636: the search below dc=x ended early, after 500 entries and 1 references; \
                 raise the server's limits for the bind DN: sizeLimitExceeded (4): too?many",
            ),
            (
                Fault::group("cn=g", GroupFault::Missing),
                Unanswered::Partial,
                "ldaps://ldap1.example.com:636: eligible group cn=g is not there; see [directory] eligible_group",
            ),
            (
                Fault::Late(Step::Bind, Span::seconds(3)),
                Unanswered::Unavailable,
                "ldaps://ldap1.example.com:636: no answer within 3s, binding; \
                 is it busy, or a firewall in between? see [directory] timeout",
            ),
            (
                Fault::Tls(tls::Error::InvalidCertificate(CertificateError::NotValidForName)),
                Unanswered::Unavailable,
                "ldaps://ldap1.example.com:636: its certificate is for another name, see [directory] urls: \
                 invalid peer certificate: NotValidForName",
            ),
            (
                Fault::Tls(tls::Error::AlertReceived(AlertDescription::CertificateRequired)),
                Unanswered::Unavailable,
                "ldaps://ldap1.example.com:636: it does not accept this host's certificate, or wants one; \
                 see [directory] client_cert_file: received fatal alert: CertificateRequired",
            ),
        ] {
            let error = DirectoryError::Server(url(), fault);
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, text));
        }
    }
}
