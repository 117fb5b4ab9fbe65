//! The directory: everybody whom an LDAP server lists, and who of them may ever become root.
//!
//! The only LDAP code of the project. It is all or nothing: an answer that is refused, late or cut
//! short is an error and never a shorter list, because a person who is missing from a list loses their
//! keys. One deadline covers everything from the look-up of the server's name to the last entry.
//!
//! ldap3 parses what the server sends, and a hostile message can make it panic, eat memory or, by
//! deep nesting, overflow its stack. Therefore StartTLS is asked for here and not by ldap3: its
//! parser sees no byte before the server has shown a certificate that `ca_file` vouches for. After
//! that a panic ends as an error; an overflow ends the process, which has published nothing yet.

#![forbid(unsafe_code)]

mod connect;
mod discover;
mod dn;
mod dns;
mod domain;
mod entry;
mod fault;
mod groups;
mod marks;
mod membership;
mod news;
mod person;
mod received;
mod refresh;
mod search;
mod server;
mod slices;
mod usn;
mod watch;
mod witnesses;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use host::config::{Bind, Ldap, LdapServer, LdapUrl, Referrals};
use host::secret::Secret;
use ldap3::{LdapConnAsync, LdapError, LdapResult, Scope};
use policy::{Principal, Timestamp};
use tokio::task::JoinHandle;

pub use connect::Deadline;
use connect::{CLOSED, Line, Tls, handshake_fault, stream_fault};
use dn::Dn;
pub use entry::{Entry, MOST_VALUES};
use fault::one_line;
pub use fault::{DirectoryError, Fault, GroupFault, Partial, Reply, Step, WriteFault};
use groups::Members;
pub use membership::{Apply, Change, Group, MemberAttribute, Membership, set_members};
pub use news::News;
pub use person::Eligible;
use person::{Reader, readable};
use received::Received;
use search::{Search, Tally};
use server::Server;
use usn::Mark;
pub use witnesses::Witnesses;

/// RFC 4511's way to ask for no attribute at all.
const NOTHING: [&str; 1] = ["1.1"];

/// The most entries and references that one sync takes.
const MOST_ENTRIES: usize = 200_000;

/// The most bytes of attribute values that one sync takes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// How long the farewell to the server may take once the answer is there.
const FAREWELL: Duration = Duration::from_millis(100);

/// Is `text` a distinguished name (RFC 4514)?
pub fn is_dn(text: &str) -> bool {
    Dn::read(text).is_some()
}

/// What a directory answered.
#[derive(Debug)]
pub struct Answer {
    /// Everybody whom it lists, or what changed.
    pub news: News,
    /// From where to go on the next time; `None`: from the beginning.
    pub next: Option<Since>,
    /// Who may ever become root.
    pub eligible: Eligible,
    /// Groups in the eligible group that are not followed: their members are not eligible by them. By DN.
    pub unfollowed: Vec<String>,
    /// Groups in it that are followed and show no member: they have none, or we may not see them. By DN.
    pub empty: Vec<String>,
    /// How many members were not looked at for being groups, after many in a row that are not shown.
    pub unasked: usize,
    /// Members below `base`, each asked for by name, that are not shown, or not as people. By DN.
    pub unseen: Vec<String>,
    /// The server's clock, if it shows it: Active Directory and Samba do.
    pub time: Option<Timestamp>,
    /// Another server, of which this one says that it has more people.
    pub elsewhere: Option<String>,
    /// The servers that were asked before and gave no answer.
    pub silent: Vec<String>,
}

/// From where a refresh goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since {
    /// The server's cookie; `None` asks for everybody.
    pub cookie: Option<Vec<u8>>,
    /// What shows that the server's past is the one in which it gave the cookie.
    pub witnesses: Witnesses,
}

impl Since {
    /// The same, for a server that tells changes by RFC 4533: it cannot go on from another kind's cookie.
    fn of_refresh(&self) -> Self {
        if self.cookie.as_deref().is_some_and(Mark::is_mark) { self.of_everybody() } else { self.clone() }
    }

    /// The same for everybody.
    pub fn of_everybody(&self) -> Self {
        Self { cookie: None, witnesses: self.witnesses.clone().without_entries() }
    }
}

/// What a directory shows for a name.
#[derive(Debug)]
pub struct Found {
    /// Every entry; one is an answer, more are none.
    pub entries: Vec<Entry>,
    /// The servers that were asked before and gave no answer.
    pub silent: Vec<String>,
}

/// Everybody whom the directory lists, or what changed `since`; or the reason why that is not
/// known, before `timeout`. At the DNs `copied` are people by the copy, if there is one, and no groups.
///
/// # Errors
/// Whatever keeps the answer from being whole; nothing of it is returned then.
pub fn fetch(
    ldap: &Ldap,
    since: &Since,
    copied: &[String],
    deadline: Deadline,
) -> Result<Answer, DirectoryError> {
    question(ldap, &[], deadline, Question::Everybody(since, &read_all(copied)))
}

/// As [`fetch`], but eligible people alone, and others who claim their names: asked for one by one, so that it takes no
/// right to list everybody.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_eligible(ldap: &Ldap, copied: &[String], deadline: Deadline) -> Result<Answer, DirectoryError> {
    question(ldap, &[], deadline, Question::Eligible(&read_all(copied)))
}

/// The members of the eligible group, by the names that people have here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupMembers {
    /// Each with their DN.
    pub people: BTreeMap<Principal, String>,
    /// Names that several entries claim, members or not: nobody's.
    pub twice: Vec<Principal>,
    /// Groups in the group that are not followed. By DN.
    pub unfollowed: Vec<String>,
    /// Groups in it that are followed and show no member: they have none, or we may not see them. By DN.
    pub empty: Vec<String>,
    /// How many members were not looked at for being groups, after many in a row that are not shown.
    pub unasked: usize,
    /// Members below `base` that are not shown, or not as people. By DN.
    pub unseen: Vec<String>,
}

/// Who is in the eligible group of `ldap`.
///
/// # Errors
/// As [`fetch`]; and whatever the server says that it holds back, or another server has: a member who is missing would
/// be taken for somebody who was taken out.
pub fn group_members(ldap: &Ldap, deadline: Deadline) -> Result<GroupMembers, DirectoryError> {
    let answer = question(ldap, &[], deadline, Question::Members(&BTreeSet::new()))?;
    let (mut people, mut twice) = (BTreeMap::new(), BTreeSet::new());
    for entry in answer.news.into_entries() {
        for name in entry.names.iter().filter_map(|name| Principal::new(name).ok()) {
            if people.insert(name.clone(), (entry.dn.clone(), entry.eligible)).is_some() {
                twice.insert(name);
            }
        }
    }
    let is_member = |(name, (dn, is_eligible)): (Principal, (String, bool))| {
        (is_eligible && !twice.contains(&name)).then_some((name, dn))
    };
    let people = people.into_iter().filter_map(is_member).collect();
    let Answer { unfollowed, empty, unasked, unseen, .. } = answer;
    Ok(GroupMembers { people, twice: twice.into_iter().collect(), unfollowed, empty, unasked, unseen })
}

fn read_all(dns: &[String]) -> BTreeSet<Dn> {
    dns.iter().filter_map(|dn| Dn::read(dn)).collect()
}

/// What the directory shows for `name`, within `limit`. The servers `resting` are asked last.
///
/// # Errors
/// As [`fetch`].
pub fn find(ldap: &Ldap, name: &str, resting: &[String], limit: Duration) -> Result<Found, DirectoryError> {
    let user = &ldap.attributes.user;
    let filter = format!("(&{}({user}={}))", ldap.filter, ldap3::ldap_escape(name));
    let answer = question(ldap, resting, Deadline::within(limit), Question::Person(&filter))?;
    Ok(Found { entries: answer.news.into_entries(), silent: answer.silent })
}

/// Where the people of these names are, eligible or not, by DN.
///
/// # Errors
/// As [`fetch`].
pub fn dns_of(ldap: &Ldap, names: &[&str], deadline: Deadline) -> Result<Vec<String>, DirectoryError> {
    let user = &ldap.attributes.user;
    let one = |name: &&str| format!("({user}={})", ldap3::ldap_escape(*name));
    let filter = format!("(&{}(|{}))", ldap.filter, names.iter().map(one).collect::<String>());
    let answer = question(ldap, &[], deadline, Question::Person(&filter))?;
    Ok(answer.news.into_entries().into_iter().map(|entry| entry.dn).collect())
}

/// What is asked of a server.
#[derive(Clone, Copy)]
enum Question<'a> {
    /// Who is there, or what changed since; and who of them is eligible. These are people.
    Everybody(&'a Since, &'a BTreeSet<Dn>),
    /// Who is eligible. These are people.
    Eligible(&'a BTreeSet<Dn>),
    /// The same, and that nobody is missing, as far as can be told.
    Members(&'a BTreeSet<Dn>),
    /// Whom this filter finds.
    Person(&'a str),
}

fn question(
    ldap: &Ldap,
    resting: &[String],
    deadline: Deadline,
    question: Question<'_>,
) -> Result<Answer, DirectoryError> {
    let asked = async |session: &mut Session<'_>| ask(session, ldap, question).await;
    ask_servers(ldap, resting, deadline, asked).map(|(answer, silent)| Answer { silent, ..answer })
}

/// Asks one server after the other until one answers, those `resting` after the others; each gets its share of
/// what is left. The answer, and the servers that gave none.
fn ask_servers<T>(
    ldap: &Ldap,
    resting: &[String],
    deadline: Deadline,
    ask: impl AsyncFn(&mut Session<'_>) -> Result<T, Fault>,
) -> Result<(T, Vec<String>), DirectoryError> {
    // Files first: with one that is not trusted, no packet leaves the host.
    let tls = Tls::read(ldap)?;
    let login = Login::read(ldap)?;
    let mut errors = Vec::new();
    let rests = |url: &LdapUrl| resting.contains(&url.to_string());
    let mut urls: Vec<&LdapUrl> = ldap.urls.iter().collect();
    urls.sort_by_key(|url| rests(url));
    for (asked, url) in urls.into_iter().enumerate() {
        let share = deadline.share(ldap.urls.len() - asked);
        let mut servers = match discover::servers(ldap, url, share) {
            Ok(servers) => servers,
            Err(fault) => {
                errors.push(DirectoryError::Server(url.clone(), fault));
                continue;
            }
        };
        servers.sort_by_key(|server| rests(&LdapUrl::Server(server.clone())));
        for (asked, server) in servers.iter().enumerate() {
            match converse(server, &tls, login.as_ref(), share.share(servers.len() - asked), &ask) {
                Ok(answer) => {
                    return Ok((answer, errors.iter().filter_map(DirectoryError::server).collect()));
                }
                Err(fault) => {
                    let may_be_done = fault.may_be_done();
                    let error = DirectoryError::Server(LdapUrl::Server(server.clone()), fault);
                    if may_be_done {
                        // What another server has may be older.
                        return Err(error);
                    }
                    errors.push(error);
                }
            }
        }
    }
    Err(if errors.len() == 1 { errors.remove(0) } else { DirectoryError::NoServer(errors) })
}

/// Who we are to the server.
enum Login<'a> {
    /// By this name and password.
    Simple(&'a str, Secret),
    /// By what the connection shows of us (SASL EXTERNAL).
    External,
}

impl<'a> Login<'a> {
    /// `None` binds nobody. The configuration has made sure that name and password come together.
    fn read(ldap: &'a Ldap) -> Result<Option<Self>, DirectoryError> {
        match (ldap.bind, &ldap.bind_dn, &ldap.bind_password_file) {
            (Bind::External, _, _) => Ok(Some(Self::External)),
            (Bind::Simple, Some(dn), Some(file)) => {
                Ok(Some(Self::Simple(dn, Secret::read(file).map_err(DirectoryError::Password)?)))
            }
            (Bind::Simple, _, _) => Ok(None),
        }
    }

    /// What is wrong, if this login was refused with `reply`.
    fn refused(&self, reply: Reply) -> Fault {
        match self {
            Self::Simple(dn, _) => Fault::Bind((*dn).to_string(), reply),
            Self::External => Fault::External(reply),
        }
    }

    /// Does `text` hold the password?
    fn is_shown_by(&self, text: &str) -> bool {
        matches!(self, Self::Simple(_, password) if text.contains(password.expose()))
    }
}

/// The whole conversation with one server.
fn converse<T>(
    server: &LdapServer,
    tls: &Tls,
    login: Option<&Login<'_>>,
    deadline: Deadline,
    ask: impl AsyncFn(&mut Session<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let line = Line::open(server, tls, deadline)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Fault::Local)?;
    let step = Cell::new(Step::Handshake);
    watch::begin();
    let conversation = async {
        let asked = async {
            let mut session = Session::begin(line, login, &step).await?;
            if let Some(login) = session.login {
                session.enter(Step::Bind);
                session.bind(login).await?;
            }
            let answer = ask(&mut session).await?;
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

/// Everything that is asked; `step` tells the caller how far it came.
async fn ask(session: &mut Session<'_>, ldap: &Ldap, question: Question<'_>) -> Result<Answer, Fault> {
    if !matches!(question, Question::Person(_)) {
        session.identify().await?;
    }
    let counted = session.counted(ldap, question).await?;
    let mut members = Members::default();
    if let (
        Question::Everybody(_, copied) | Question::Eligible(copied) | Question::Members(copied),
        Some(dn),
    ) = (question, &ldap.eligible_group)
    {
        session.enter(Step::Group);
        members = session.members(ldap, dn, copied).await?;
    }
    let Members { mut eligible, unsure, empty } = members;
    if ldap.fold_case {
        eligible.fold_case();
    }
    session.enter(Step::People);
    let reader = Reader::new(ldap, &eligible);
    let attributes = reader.attributes();
    let filter = if let Question::Person(filter) = question { filter } else { &ldap.filter };
    let wanted = Search { base: &ldap.base, scope: Scope::Subtree, filter, attributes: &attributes };
    let (news, next) = match (question, counted) {
        (_, Some((standing, next))) => {
            let (news, goes_on) = session.news(&wanted, &standing, &reader).await?;
            (news, goes_on.then_some(next))
        }
        (Question::Everybody(since, _), None) if session.server.tells_changes() => {
            session.people(&wanted, &since.of_refresh(), &reader).await?
        }
        (Question::Everybody(..) | Question::Person(_), None) => {
            (session.everybody(&wanted, &reader).await?, None)
        }
        (Question::Eligible(_) | Question::Members(_), None) => {
            (session.eligible_people(ldap, &eligible, &reader).await?, None)
        }
    };
    if let (Question::Members(_), Some(dn)) = (question, &ldap.eligible_group) {
        session.check_withheld(ldap)?;
        if !news.entries().iter().any(|entry| entry.eligible) {
            session.check_nobody(ldap, dn).await?;
        }
    }
    let elsewhere = session.tally.elsewhere.take().filter(|_| ldap.referrals == Referrals::Refuse);
    session.has_no_stray().await?;
    let unfollowed = session.unfollowed(unsure, &news).await?;
    session.has_no_stray().await?;
    match (question, elsewhere) {
        // Somebody of that name may be there too.
        (Question::Person(_), Some(url)) => Err(Partial::Elsewhere(url).into()),
        (_, elsewhere) => {
            let (unasked, time, silent) = (session.unasked, session.server.time(), Vec::new());
            let unseen = std::mem::take(&mut session.unseen);
            Ok(Answer { news, next, eligible, unfollowed, empty, unasked, unseen, time, elsewhere, silent })
        }
    }
}

/// A connection with TLS on it, or on a socket of this host.
struct Session<'a> {
    ldap: ldap3::Ldap,
    /// Who we are; `None`: nobody.
    login: Option<&'a Login<'a>>,
    /// The task that reads and writes; how it ended tells why an answer is missing.
    driver: JoinHandle<Result<(), LdapError>>,
    tally: Tally,
    /// Members that were not looked at for being groups.
    unasked: usize,
    /// Members that were asked for by name and not shown as people.
    unseen: Vec<String>,
    /// The first entry that the server has and does not show us, or another server has; and what it said.
    withheld: Option<(String, Reply)>,
    /// What it said of itself.
    server: Server,
    /// Has the server ever answered?
    answered: bool,
    step: &'a Cell<Step>,
}

impl<'a> Session<'a> {
    async fn begin(line: Line, login: Option<&'a Login<'a>>, step: &'a Cell<Step>) -> Result<Self, Fault> {
        let (settings, address) = line.into_settings();
        let (connection, ldap) =
            LdapConnAsync::with_settings(settings, &address).await.map_err(handshake_fault)?;
        let driver = tokio::spawn(connection.drive());
        Ok(Self {
            ldap,
            login,
            driver,
            tally: Tally::default(),
            unasked: 0,
            unseen: Vec::new(),
            withheld: None,
            server: Server::default(),
            answered: false,
            step,
        })
    }

    fn enter(&self, step: Step) {
        self.step.set(step);
    }

    /// Finds out what the server is.
    async fn identify(&mut self) -> Result<(), Fault> {
        self.enter(Step::Root);
        self.server = self.ask_server().await?;
        Ok(())
    }

    async fn bind(&mut self, login: &Login<'_>) -> Result<(), Fault> {
        let bound = match login {
            Login::Simple(dn, password) => self.ldap.simple_bind(dn, password.expose()).await,
            Login::External => self.ldap.sasl_external_bind().await,
        };
        self.answered = bound.is_ok();
        match bound {
            Ok(result) if result.rc == 0 => Ok(()),
            Ok(result) => Err(login.refused(self.reply(result))),
            Err(error) => Err(self.fault(error).await),
        }
    }

    /// A server that has sent what nobody asked for has given no answer.
    async fn has_no_stray(&self) -> Result<(), Fault> {
        if watch::has_strayed().await { Err(Fault::Stray(self.step.get())) } else { Ok(()) }
    }

    /// What the server said. One that repeats what it was sent must not bring the password into our log.
    fn reply(&self, mut result: LdapResult) -> Reply {
        if self.login.is_some_and(|login| login.is_shown_by(&result.text)) {
            result.text.clear();
        }
        result.into()
    }

    /// Why ldap3 has no answer.
    async fn fault(&mut self, error: LdapError) -> Fault {
        match self.end(error).await {
            Fault::Lost(_, why) if !self.answered && self.tally.entries == 0 => Fault::Shunned(why),
            fault => fault,
        }
    }

    async fn end(&mut self, error: LdapError) -> Fault {
        let step = self.step.get();
        match error {
            LdapError::FilterParsing => Fault::Filter,
            LdapError::EndOfStream | LdapError::ResultRecv { .. } | LdapError::OpSend { .. } => {
                match (&mut self.driver).await {
                    Ok(Ok(())) => Fault::Lost(step, CLOSED.to_string()),
                    Ok(Err(LdapError::Io { source })) => stream_fault(&source, step),
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use policy::Span;
    use std::path::PathBuf;

    pub(crate) fn found(dn: &str, texts: &[(&str, &[&str])], bytes: &[(&str, &[&[u8]])]) -> Received {
        let mut received = Received::at(dn);
        for (name, values) in texts {
            received.add(name, values.iter().map(|value| value.as_bytes().to_vec()).collect());
        }
        for (name, values) in bytes {
            received.add(name, values.iter().map(|value| value.to_vec()).collect());
        }
        received
    }

    pub(crate) fn url() -> LdapUrl {
        LdapUrl::parse("ldaps://ldap1.example.com").unwrap()
    }

    /// A directory that is not there.
    pub(crate) fn example() -> Ldap {
        Ldap {
            urls: vec![url()],
            base: "dc=x".to_string(),
            srv_hosts: Vec::new(),
            bind: Bind::Simple,
            client: None,
            bind_dn: None,
            bind_password_file: None,
            ca_file: PathBuf::from("/nonexistent"),
            filter: "(objectClass=*)".to_string(),
            eligible_group: None,
            membership: host::config::Membership::Group,
            nested_groups: false,
            referrals: Referrals::Refuse,
            attributes: host::config::Attributes::default(),
            fold_case: false,
            disabled: Vec::new(),
            disabling_locks: host::config::DisablingLocks::default(),
            timeout: Span::seconds(3),
            full_refresh: Span::hours(24),
        }
    }

    #[test]
    fn a_file_that_is_missing_keeps_every_packet_at_home() {
        let ldap = Ldap { ca_file: PathBuf::from("/nonexistent/ca.pem"), ..example() };
        let error = fetch(&ldap, &Since::default(), &[], Deadline::new(ldap.timeout)).unwrap_err();
        assert!(matches!(error, DirectoryError::Authorities(_)));
        assert_eq!(error.reason(), host::unanswered::Unanswered::FileUntrusted);
    }
}
