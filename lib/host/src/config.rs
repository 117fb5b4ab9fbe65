//! The one configuration model: `/etc/authkeys/config.toml`.
//!
//! Every program and the PAM module read this file and no other setting; environment variables
//! configure nothing. A key that this release does not know is an error with its line, because a
//! misspelt guard is a guard that is not there.

mod automation;
mod credentials;
mod key_rule;
mod ldap_url;
mod nss;
mod oncall;
pub mod references;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use policy::{
    Account, GroupRule, HostSelector, Mode, Principal, Rule, Rules, ScheduleRef, Shared, Span, Timestamp, Who,
};
use serde::Deserialize;
use toml::Spanned;

use crate::toml_file::{self, FileError};
pub use key_rule::{Allowance, KeyAccounts, KeyRule};
pub use ldap_url::{HostGlob, LdapHost, LdapServer, LdapUrl};
use oncall::OnCallSection;
pub use oncall::{Access, Exec, Guards, OAuth, OnCall, PagerDuty, Provider, Source};

/// Where every program looks unless it is told `--config FILE` (the PAM module: `config=FILE`).
pub const DEFAULT_PATH: &str = "/etc/authkeys/config.toml";

/// Where the PAM module writes what it decided, also without a readable configuration.
pub const DEFAULT_AUDIT: &str = "/var/log/authkeys/decisions.jsonl";

/// The share of people, in percent, that a sync may take away where `max_shrink` says nothing.
const MAX_SHRINK: u8 = 20;

/// What the administrator wrote, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from; relative names in it are beside it.
    pub path: PathBuf,
    /// Where people and their keys come from.
    pub directory: Option<Directory>,
    /// The share of people, in percent, that one sync may take away without being told to.
    pub max_shrink: u8,
    /// How the copy of the directory is used.
    pub keys: Keys,
    /// Who is on call, and from where that is known.
    pub oncall: OnCall,
    /// What the decision is made by.
    pub rules: Rules,
    /// Groups whose members are on call.
    pub groups: Vec<GroupRule>,
    /// Where databases are.
    pub paths: Paths,
}

/// Where people come from.
#[derive(Debug, Clone)]
pub enum Directory {
    /// An LDAP server.
    Ldap(Box<Ldap>),
    /// A `people.toml`.
    File(PathBuf),
}

impl Directory {
    /// What a copy of this directory is tied to: a copy made from another base, filter, attributes or
    /// rules must not be believed (P16). The list of servers is not part of it.
    pub fn scope(&self) -> String {
        match self {
            Self::File(path) => format!("file {}", path.display()),
            Self::Ldap(ldap) => {
                let group = ldap.eligible_group.as_deref().unwrap_or("-");
                let Ldap { base, filter, attributes, membership, disabled, lockout, .. } = ldap.as_ref();
                let Attributes { user, keys, mail } = attributes;
                let mut scope = format!("ldap base={base} filter={filter} eligible={group} by={membership}");
                scope += &format!(" user={user} keys={keys} mail={mail} lockout={lockout}");
                for Mark { attribute, values } in disabled {
                    scope += &format!(" disabled={attribute}:{values:?}");
                }
                scope
            }
        }
    }
}

/// An LDAP directory.
#[derive(Debug, Clone)]
pub struct Ldap {
    /// Its servers, in the order in which they are asked; at least one.
    pub urls: Vec<LdapUrl>,
    /// Which servers DNS may lead to.
    pub srv_hosts: Vec<HostGlob>,
    /// DN below which people are.
    pub base: String,
    /// How we say who we are.
    pub bind: Bind,
    /// DN to bind as; `None` binds nobody.
    pub bind_dn: Option<String>,
    /// File with the password of `bind_dn`.
    pub bind_password_file: Option<PathBuf>,
    /// What is shown to a server that asks for a certificate.
    pub client: Option<ClientFiles>,
    /// PEM file with the certificate authorities that may vouch for the server.
    pub ca_file: PathBuf,
    /// RFC 4515 filter that selects people.
    pub filter: String,
    /// DN of the group whose members may ever become root.
    pub eligible_group: Option<String>,
    /// How it is known who is in that group.
    pub membership: Membership,
    /// What attributes of people are called.
    pub attributes: Attributes,
    /// What marks an account as disabled, besides the marks that every directory has.
    pub disabled: Vec<Mark>,
    /// Which locks of a password policy count among the marks.
    pub lockout: Lockout,
    /// Longest time a whole sync may take.
    pub deadline: Span,
    /// Time after which everybody is fetched anew, although the server tells what changed.
    pub full_refresh: Span,
}

/// How a server is told who we are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bind {
    /// By name and password, if there is a name.
    #[default]
    Simple,
    /// By what the connection itself shows (SASL EXTERNAL): the client certificate, over a socket the user.
    External,
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simple => "simple",
            Self::External => "external",
        })
    }
}

/// A certificate for this host, and the key to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// PEM file with the certificate, and those between it and an authority that the server knows.
    pub certificate: PathBuf,
    /// PEM file with the private key; a secret.
    pub key: PathBuf,
}

/// What attributes of people are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The user name: `uid`; Active Directory's `sAMAccountName`.
    pub user: String,
    /// The SSH public keys: `sshPublicKey`; often `altSecurityIdentities` in Active Directory.
    pub keys: String,
    /// The mail address.
    pub mail: String,
}

impl Default for Attributes {
    fn default() -> Self {
        let [user, keys, mail] = ["uid", "sshPublicKey", "mail"].map(str::to_string);
        Self { user, keys, mail }
    }
}

/// An attribute and the values of it that disable an account; `*` is any value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The attribute.
    pub attribute: String,
    /// Its values, compared without regard to ASCII case.
    pub values: Vec<String>,
}

/// How it is known who is in the eligible group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Membership {
    /// The group lists its members: `member`, `uniqueMember`, `memberUid`.
    #[default]
    #[serde(rename = "member")]
    Group,
    /// People list their groups: `memberOf`.
    #[serde(rename = "memberOf")]
    Person,
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Group => "member",
            Self::Person => "memberOf",
        })
    }
}

/// Which locks that a password policy sets (`pwdAccountLockedTime`) disable an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lockout {
    /// The one without end, which an administrator sets. A lock that begins at an instant follows from wrong
    /// passwords, which anybody can send.
    #[default]
    Permanent,
    /// Any.
    Any,
}

impl fmt::Display for Lockout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permanent => "permanent",
            Self::Any => "any",
        })
    }
}

/// `[keys]`.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Who is copied, and who is asked about at a login.
    pub mode: KeysMode,
    /// Age up to which an answer needs no question to the directory.
    pub fresh_for: Span,
    /// Age after which an answer is no longer served, whatever the directory's state.
    pub stale_for: Span,
    /// Longest time that one run of `authkeys` takes, with its question to the directory.
    pub deadline: Span,
    /// What is asked of keys, and what stands before them.
    pub rules: Vec<KeyRule>,
    /// Other commands that are asked after the directory, in the file's order.
    pub chain: Vec<Chained>,
}

/// `[[keys.chain]]`: another AuthorizedKeysCommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chained {
    /// What logs and the comments of its keys call it.
    pub name: String,
    /// The program; an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<Vec<Piece>>,
    /// Globs; it is asked about accounts that match one of them.
    pub accounts: Vec<String>,
    /// Longest time that it may take.
    pub deadline: Span,
}

impl Chained {
    /// The longest deadline of one command.
    pub const LONGEST_DEADLINE: Span = Span::seconds(5);

    /// Is it asked about `account`?
    pub fn covers(&self, account: &Account) -> bool {
        let name = account.as_str().as_bytes();
        self.accounts.iter().any(|glob| policy::matches_glob(glob.as_bytes(), name))
    }

    /// Is it to be told which key is offered?
    pub fn wants_key(&self) -> bool {
        let of_key = |piece: &Piece| !matches!(piece, Piece::Text(_) | Piece::Account);
        self.arguments.iter().flatten().any(of_key)
    }
}

/// A part of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// `%u`: the account.
    Account,
    /// `%t`: the type of the key that is offered.
    KeyType,
    /// `%k`: that key in base64.
    KeyBase64,
    /// `%f`: its SHA-256 fingerprint.
    Fingerprint,
}

/// `[keys] mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeysMode {
    /// Everybody is copied to this host.
    Replica,
    /// Everybody is asked about at their login and remembered; eligible people alone are copied.
    Lookup,
}

impl Keys {
    /// The longest deadline that can be set: sshd lets nobody in while `authkeys` runs.
    pub const LONGEST_DEADLINE: Span = Span::seconds(10);
}

/// `[paths]`.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The key copy; its stamp is beside it.
    pub keys: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// What `authkeys` remembers of its questions; its locks and marks are beside it.
    pub lookups: PathBuf,
    /// Who is shut out on this host, whatever all else says; beside the configuration, and root's.
    pub revoked: PathBuf,
    /// What the PAM module decided, a line of JSON for each decision.
    pub audit: PathBuf,
}

impl Config {
    /// What the key copy made from `directory` is tied to. In lookup mode it holds eligible people alone, and
    /// must not be taken for everybody when the mode changes.
    pub fn copy_scope(&self, directory: &Directory) -> String {
        match self.keys.mode {
            KeysMode::Replica => directory.scope(),
            KeysMode::Lookup => format!("{} eligible-only", directory.scope()),
        }
    }

    /// Where the revocations are that belong to the configuration at `path`, readable or not.
    pub fn revoked_beside(path: &Path) -> PathBuf {
        path.parent().unwrap_or(Path::new("/")).join("revoked")
    }

    /// Reads and checks `path`, which root alone may be able to write.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::parse(path, &toml_file::read(path)?)
    }

    /// Checks `text` as the content of `path`; touches no file.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FileError> {
        let file: File = toml_file::parse(path, text)?;
        file.check(path).map_err(|Problem { at, text: problem }| FileError::at(path, text, at, problem))
    }

    /// What is no mistake and has no effect at `now`: a line each.
    pub fn remarks(&self, now: Timestamp) -> Vec<String> {
        automation::remarks(&self.rules, now)
    }
}

/// A complaint about a value: its byte offset, and the text.
struct Problem {
    at: usize,
    text: String,
}

fn problem<T>(value: &Spanned<T>, text: impl Into<String>) -> Problem {
    Problem { at: value.span().start, text: text.into() }
}

// The file as it is written. Each section checks itself into the model above.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    host: HostSection,
    directory: Option<Spanned<DirectorySection>>,
    #[serde(default)]
    keys: KeysSection,
    #[serde(default)]
    oncall: OnCallSection,
    #[serde(default)]
    policy: PolicySection,
    #[serde(default)]
    nss: nss::NssSection,
    #[serde(default)]
    paths: PathsSection,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct HostSection {
    name: Option<String>,
    labels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectorySection {
    file: Option<PathBuf>,
    urls: Option<Spanned<Vec<Spanned<String>>>>,
    srv_hosts: Option<Spanned<Vec<Spanned<String>>>>,
    base: Option<Spanned<String>>,
    bind: Option<Spanned<Bind>>,
    bind_dn: Option<Spanned<String>>,
    bind_password_file: Option<Spanned<PathBuf>>,
    client_cert_file: Option<Spanned<PathBuf>>,
    client_key_file: Option<Spanned<PathBuf>>,
    ca_file: Option<PathBuf>,
    filter: Option<Spanned<String>>,
    eligible_group: Option<String>,
    #[serde(default)]
    eligible_group_by: Membership,
    #[serde(default)]
    attributes: AttributesSection,
    #[serde(default)]
    disabled: BTreeMap<Spanned<String>, Vec<String>>,
    #[serde(default)]
    lockout: Lockout,
    deadline: Option<Duration>,
    full_refresh: Option<Duration>,
    max_shrink: Option<Percent>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct AttributesSection {
    user: Option<Spanned<String>>,
    keys: Option<Spanned<String>>,
    mail: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeysSection {
    mode: KeysMode,
    fresh_for: Spanned<Duration>,
    stale_for: Duration,
    deadline: Spanned<Duration>,
    rule: Vec<Spanned<key_rule::KeyRuleSection>>,
    chain: Vec<ChainSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainSection {
    name: Spanned<String>,
    command: Spanned<Vec<Spanned<String>>>,
    accounts: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "two_seconds")]
    deadline: Spanned<Duration>,
}

fn two_seconds() -> Spanned<Duration> {
    Spanned::new(0..0, Duration(Span::seconds(2)))
}

impl Default for KeysSection {
    fn default() -> Self {
        Self {
            mode: KeysMode::Replica,
            fresh_for: Spanned::new(0..0, Duration(Span::minutes(5))),
            stale_for: Duration(Span::hours(24)),
            deadline: Spanned::new(0..0, Duration(Span::seconds(3))),
            rule: Vec::new(),
            chain: Vec::new(),
        }
    }
}

impl KeysSection {
    fn check(self, shared: &[Shared]) -> Result<Keys, Problem> {
        let (fresh_for, stale_for) = (self.fresh_for.get_ref().0, self.stale_for.0);
        // Unwritten, it follows a shorter `stale_for`.
        if fresh_for > stale_for && !self.fresh_for.span().is_empty() {
            return Err(problem(
                &self.fresh_for,
                format!("fresh_for ({fresh_for}) is longer than stale_for ({stale_for})"),
            ));
        }
        let deadline = self.deadline.get_ref().0;
        if deadline > Keys::LONGEST_DEADLINE {
            let longest = Keys::LONGEST_DEADLINE;
            return Err(problem(
                &self.deadline,
                format!("deadline ({deadline}) is longer than {longest}: a login waits for it"),
            ));
        }
        let chain = chain(self.chain)?;
        let rules = key_rule::check(self.rule, shared)?;
        let fresh_for = fresh_for.min(stale_for);
        Ok(Keys { mode: self.mode, fresh_for, stale_for, deadline, rules, chain })
    }
}

fn chain(sections: Vec<ChainSection>) -> Result<Vec<Chained>, Problem> {
    let mut chain: Vec<Chained> = Vec::new();
    for section in sections {
        let name = section.name.get_ref();
        if chain.iter().any(|earlier| earlier.name == *name) {
            return Err(problem(&section.name, format!("a second [[keys.chain]] named `{name}`")));
        }
        chain.push(section.check()?);
    }
    Ok(chain)
}

impl ChainSection {
    fn check(self) -> Result<Chained, Problem> {
        // It becomes the comment of a line of authorized_keys.
        let name = self.name.get_ref();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(fits) {
            return Err(problem(&self.name, "a name is made of 1 to 32 letters, digits, - and _"));
        }
        let Some((program, arguments)) = self.command.get_ref().split_first() else {
            return Err(problem(&self.command, format!("chain `{name}` names no command")));
        };
        let path = Path::new(program.get_ref());
        if !path.is_absolute() || program.get_ref().contains('%') {
            return Err(problem(
                program,
                format!("`{}` is no absolute path of a program", program.get_ref()),
            ));
        }
        let deadline = self.deadline.get_ref().0;
        if deadline > Chained::LONGEST_DEADLINE {
            let longest = Chained::LONGEST_DEADLINE;
            let text = format!("deadline ({deadline}) is longer than {longest}: a login waits for it");
            return Err(problem(&self.deadline, text));
        }
        Ok(Chained {
            program: path.to_path_buf(),
            arguments: arguments.iter().map(pieces).collect::<Result<_, _>>()?,
            accounts: account_globs(&self.accounts)?,
            deadline,
            name: self.name.into_inner(),
        })
    }
}

/// Names of accounts in which `*` and `?` may stand; at least one.
fn account_globs(written: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Problem> {
    if written.get_ref().is_empty() {
        return Err(problem(written, "`accounts` names no account, so the command is never asked"));
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-*?".contains(&byte);
    let check = |glob: &Spanned<String>| {
        let text = glob.get_ref();
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(problem(glob, format!("`{text}` is no account; a name, with * and ? if need be")));
        }
        Ok(text.clone())
    };
    written.get_ref().iter().map(check).collect()
}

/// An argument with sshd's `%u`, `%t`, `%k`, `%f` and `%%`; the same letters as in sshd_config(5).
fn pieces(argument: &Spanned<String>) -> Result<Vec<Piece>, Problem> {
    if argument.get_ref().contains('\0') {
        return Err(problem(argument, "an argument cannot have a NUL in it"));
    }
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut letters = argument.get_ref().chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let piece = match letters.next() {
            Some('%') => {
                text.push('%');
                continue;
            }
            Some('u') => Piece::Account,
            Some('t') => Piece::KeyType,
            Some('k') => Piece::KeyBase64,
            Some('f') => Piece::Fingerprint,
            other => {
                let token: String = ['%'].into_iter().chain(other).collect();
                let text = format!("`{token}` stands for nothing here; %u, %t, %k, %f and %% do");
                return Err(problem(argument, text));
            }
        };
        pieces.push(Piece::Text(std::mem::take(&mut text)));
        pieces.push(piece);
    }
    pieces.push(Piece::Text(text));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicySection {
    mode: PolicyMode,
    accounts: Vec<Spanned<String>>,
    groups: Vec<String>,
    services: Spanned<Vec<Spanned<String>>>,
    exempt_accounts: Vec<Spanned<String>>,
    exempt_ttys: Vec<Spanned<String>>,
    help: Option<Spanned<String>>,
    rule: Vec<RuleSection>,
    shared: Vec<SharedSection>,
    automation: Vec<automation::AutomationSection>,
}

impl Default for PolicySection {
    fn default() -> Self {
        let compiled = Rules::compiled();
        let unwritten = |text: &str| Spanned::new(0..0, text.to_string());
        Self {
            mode: PolicyMode::Enforce,
            exempt_ttys: compiled.exempt_ttys.iter().map(|tty| unwritten(tty)).collect(),
            help: None,
            accounts: compiled.accounts.iter().map(|account| unwritten(account.as_str())).collect(),
            services: Spanned::new(
                0..0,
                compiled.services.iter().map(|service| unwritten(service)).collect(),
            ),
            groups: compiled.groups,
            exempt_accounts: Vec::new(),
            rule: Vec::new(),
            shared: Vec::new(),
            automation: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PolicyMode {
    Enforce,
    Observe,
}

impl From<PolicyMode> for Mode {
    fn from(written: PolicyMode) -> Self {
        match written {
            PolicyMode::Enforce => Self::Enforce,
            PolicyMode::Observe => Self::Observe,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSection {
    name: Spanned<String>,
    hosts: Option<Vec<String>>,
    schedules: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "first_level")]
    max_level: Spanned<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedSection {
    account: Spanned<String>,
    principals: Option<Spanned<Principals>>,
    #[serde(default)]
    explain: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "principals is \"on-call\" or a list of names")]
enum Principals {
    Word(String),
    List(Vec<String>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PathsSection {
    keys: Option<PathBuf>,
    roster: Option<PathBuf>,
    lookups: Option<PathBuf>,
    audit: Option<PathBuf>,
}

fn first_level() -> Spanned<u8> {
    Spanned::new(0..0, 1)
}

/// `"20%"`.
#[derive(Debug, Clone, Copy)]
struct Percent(u8);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.strip_suffix('%').filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let share = number.and_then(|number| number.parse().ok()).filter(|&share: &u8| share <= 100);
        share.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a share; write 0 to 100 and %: \"20%\""))
        })
    }
}

/// Reads a length of time as the configuration writes it, for command lines.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Span, String> {
    text.parse().map(|Duration(span)| span)
}

/// `"90s"`, `"5m"`, `"6h"`, `"3d"`.
#[derive(Debug, Clone, Copy)]
struct Duration(Span);

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("`{text}` is not a duration; write a whole number and s, m, h or d: \"90s\", \"6h\"");
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(bad()),
        };
        let plain =
            !number.is_empty() && number.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
        let count: i64 =
            plain.then(|| number.parse().ok()).flatten().filter(|&count| count > 0).ok_or_else(bad)?;
        Ok(Self(Span::seconds(count.saturating_mul(seconds))))
    }
}

impl File {
    fn check(self, path: &Path) -> Result<Config, Problem> {
        let beside = |name: &Path| path.parent().unwrap_or(Path::new("/")).join(name);
        let roster = beside(&self.paths.roster.unwrap_or_else(|| "/var/lib/oncall-cache/roster.db".into()));
        let oncall = self.oncall.check(&beside, &roster)?;
        let mut rules = self.policy.check(&oncall.sources)?;
        rules.host =
            policy::Host { name: self.host.name.unwrap_or_else(host_name), labels: self.host.labels };
        rules.ages = oncall.ages.clone();
        let shrink = self.directory.as_ref().and_then(|section| section.get_ref().max_shrink);
        Ok(Config {
            path: path.to_path_buf(),
            directory: self.directory.map(|section| DirectorySection::check(section, &beside)).transpose()?,
            max_shrink: shrink.map_or(MAX_SHRINK, |Percent(share)| share),
            keys: self.keys.check(&rules.shared)?,
            oncall,
            groups: self.nss.check(&rules.rules)?,
            rules,
            paths: Paths {
                keys: beside(&self.paths.keys.unwrap_or_else(|| "/var/lib/authkeys/keys.db".into())),
                roster,
                lookups: beside(
                    &self.paths.lookups.unwrap_or_else(|| "/var/cache/authkeys/lookups.db".into()),
                ),
                revoked: Config::revoked_beside(path),
                audit: beside(&self.paths.audit.unwrap_or_else(|| DEFAULT_AUDIT.into())),
            },
        })
    }
}

/// The kernel's node name; DHCP may change it, so rules by host want `[host] name` said.
fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

impl DirectorySection {
    fn check(section: Spanned<Self>, beside: &impl Fn(&Path) -> PathBuf) -> Result<Directory, Problem> {
        let missing = |key: &str| {
            problem(
                &section,
                format!("[directory] needs `{key}`; or `file = \"people.toml\"` for a directory in a file"),
            )
        };
        let this = section.get_ref();
        let Some(urls) = &this.urls else {
            let file = this.file.as_ref().ok_or_else(|| missing("urls"))?;
            if this.has_server_settings() {
                let text =
                    "[directory] has `file` and settings of an LDAP server; say `urls`, or take those out";
                return Err(problem(&section, text));
            }
            return Ok(Directory::File(beside(file)));
        };
        if this.file.is_some() {
            return Err(problem(urls, "[directory] has both `urls` and `file`; keep one of them"));
        }
        if urls.get_ref().is_empty() {
            return Err(problem(urls, "`urls` names no server"));
        }
        let srv_hosts = this.check_srv_hosts(urls.get_ref())?;
        let urls = (urls.get_ref().iter())
            .map(|url| LdapUrl::parse(url.get_ref()).map_err(|text| problem(url, text)))
            .collect::<Result<Vec<_>, _>>()?;
        let bind = this.check_bind(urls.iter().all(LdapUrl::is_local))?;
        Ok(Directory::Ldap(Box::new(Ldap {
            urls,
            srv_hosts,
            base: this.people_base()?.ok_or_else(|| missing("base"))?,
            bind,
            client: this.client_files(beside)?,
            bind_dn: this.bind_dn.as_ref().map(|dn| dn.get_ref().clone()),
            bind_password_file: this.bind_password_file.as_ref().map(|file| beside(file.get_ref())),
            ca_file: beside(&this.ca_file.clone().unwrap_or_else(system_authorities)),
            filter: this.people_filter()?,
            eligible_group: this.eligible_group.clone(),
            membership: this.eligible_group_by,
            attributes: this.attributes.check()?,
            disabled: marks(&this.disabled)?,
            lockout: this.lockout,
            deadline: this.deadline.map_or(Span::seconds(60), |deadline| deadline.0),
            full_refresh: this.full_refresh.map_or(Span::hours(24), |every| every.0),
        })))
    }

    /// Which servers DNS may lead to; it has to be said where DNS is asked.
    fn check_srv_hosts(&self, urls: &[Spanned<String>]) -> Result<Vec<HostGlob>, Problem> {
        let asks_dns = urls.iter().find(|url| url.get_ref().starts_with("srv://"));
        match (&self.srv_hosts, asks_dns) {
            (Some(hosts), None) => {
                Err(problem(hosts, "`srv_hosts` is about srv://domain, which `urls` does not have"))
            }
            (hosts, Some(url)) if hosts.as_ref().is_none_or(|hosts| hosts.get_ref().is_empty()) => {
                Err(problem(
                    url,
                    format!(
                        "`{}` needs `srv_hosts`, the servers that DNS may lead to: [\"ldap*.example.com\"]",
                        url.get_ref()
                    ),
                ))
            }
            (Some(hosts), _) => (hosts.get_ref().iter())
                .map(|glob| HostGlob::parse(glob.get_ref()).map_err(|text| problem(glob, text)))
                .collect(),
            (None, _) => Ok(Vec::new()),
        }
    }

    /// Is there anything that makes no sense for a directory in a file?
    fn has_server_settings(&self) -> bool {
        let files = [&self.bind_password_file, &self.client_cert_file, &self.client_key_file];
        let login = self.bind.is_some() || self.bind_dn.is_some() || files.iter().any(|file| file.is_some());
        login || self.base.is_some()
    }

    /// A name without a password, or an empty one, is what servers take for an anonymous bind. `local`: every
    /// server sees which user asks.
    fn check_bind(&self, local: bool) -> Result<Bind, Problem> {
        let how = self.bind.as_ref().map(Spanned::get_ref).copied().unwrap_or_default();
        match (&self.bind, &self.bind_dn, &self.bind_password_file) {
            (Some(bind), Some(_), _) | (Some(bind), _, Some(_)) if how == Bind::External => {
                Err(problem(bind, "`bind = \"external\"` goes without a name and password; take those out"))
            }
            (Some(bind), None, None)
                if how == Bind::External && !local && self.client_cert_file.is_none() =>
            {
                Err(problem(
                    bind,
                    "`bind = \"external\"` needs something to show: `client_cert_file` and `client_key_file`",
                ))
            }
            (_, None, Some(password)) => {
                Err(problem(password, "`bind_password_file` without `bind_dn`: say who binds"))
            }
            (_, Some(dn), _) if dn.get_ref().trim().is_empty() => Err(problem(
                dn,
                "`bind_dn` is empty: servers take that for an anonymous bind; leave it out or name somebody",
            )),
            (_, Some(dn), None) => Err(problem(
                dn,
                "`bind_dn` without `bind_password_file`: servers take that for an anonymous bind",
            )),
            _ => Ok(how),
        }
    }

    fn client_files(&self, beside: &impl Fn(&Path) -> PathBuf) -> Result<Option<ClientFiles>, Problem> {
        match (&self.client_cert_file, &self.client_key_file) {
            (Some(certificate), Some(key)) => Ok(Some(ClientFiles {
                certificate: beside(certificate.get_ref()),
                key: beside(key.get_ref()),
            })),
            (Some(certificate), None) => {
                Err(problem(certificate, "`client_cert_file` without `client_key_file`: it proves nothing"))
            }
            (None, Some(key)) => Err(problem(
                key,
                "`client_key_file` without `client_cert_file`: nothing says whose key it is",
            )),
            (None, None) => Ok(None),
        }
    }

    fn people_base(&self) -> Result<Option<String>, Problem> {
        match &self.base {
            Some(base) if base.get_ref().trim().is_empty() => {
                Err(problem(base, "`base` is empty; write the DN below which people are"))
            }
            base => Ok(base.as_ref().map(|base| base.get_ref().clone())),
        }
    }

    fn people_filter(&self) -> Result<String, Problem> {
        match &self.filter {
            Some(filter) if !(filter.get_ref().starts_with('(') && filter.get_ref().ends_with(')')) => {
                Err(problem(filter, "a filter stands in parentheses: \"(objectClass=ldapPublicKey)\""))
            }
            Some(filter) if !is_one_filter(filter.get_ref()) => Err(problem(
                filter,
                "the parentheses of this filter do not match, or it is more than one; join them: \"(&(a=b)(c=d))\"",
            )),
            Some(filter) => Ok(filter.get_ref().clone()),
            None => Ok("(objectClass=ldapPublicKey)".to_string()),
        }
    }
}

/// Does the first parenthesis of `filter` end with its last letter? In a value a parenthesis is written `\\28`.
fn is_one_filter(filter: &str) -> bool {
    let mut depth = 0_usize;
    let ends = filter.bytes().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    ends.is_some_and(|end| end + 1 == filter.len())
}

impl AttributesSection {
    fn check(&self) -> Result<Attributes, Problem> {
        let mut attributes = Attributes::default();
        let Attributes { user, keys, mail } = &mut attributes;
        for (written, name) in [(&self.user, user), (&self.keys, keys), (&self.mail, mail)] {
            if let Some(written) = written {
                *name = attribute(written)?;
            }
        }
        Ok(attributes)
    }
}

/// The name of an LDAP attribute, without options.
fn attribute(written: &Spanned<String>) -> Result<String, Problem> {
    let name = written.get_ref();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && name.bytes().all(fits) {
        return Ok(name.clone());
    }
    Err(problem(
        written,
        format!("`{name}` is no name of an attribute; letters, digits and -, a letter first"),
    ))
}

fn marks(written: &BTreeMap<Spanned<String>, Vec<String>>) -> Result<Vec<Mark>, Problem> {
    let mark = |(name, values): (&Spanned<String>, &Vec<String>)| {
        if values.is_empty() {
            return Err(problem(
                name,
                format!("`{}` lists no value, so it disables nobody; \"*\" is any", name.get_ref()),
            ));
        }
        Ok(Mark { attribute: attribute(name)?, values: values.clone() })
    };
    written.iter().map(mark).collect()
}

/// Debian's bundle of certificate authorities; other systems name theirs in `ca_file`.
fn system_authorities() -> PathBuf {
    PathBuf::from("/etc/ssl/certs/ca-certificates.crt")
}

fn level(value: &Spanned<u8>) -> Result<u8, Problem> {
    match *value.get_ref() {
        0 => Err(problem(value, "escalation levels start at 1")),
        level => Ok(level),
    }
}

fn named<T>(
    value: &Spanned<String>,
    new: impl Fn(&str) -> Result<T, policy::NameError>,
) -> Result<T, Problem> {
    new(value.get_ref()).map_err(|error| problem(value, format!("`{}`: {error}", value.get_ref())))
}

fn all_named<T>(
    values: &[Spanned<String>],
    new: impl Fn(&str) -> Result<T, policy::NameError> + Copy,
) -> Result<Vec<T>, Problem> {
    values.iter().map(|value| named(value, new)).collect()
}

impl PolicySection {
    fn check(self, sources: &[Source]) -> Result<Rules, Problem> {
        unique(self.rule.iter().map(|rule| &rule.name), "[[policy.rule]]")?;
        unique(self.shared.iter().map(|shared| &shared.account), "[[policy.shared]]")?;
        Ok(Rules {
            accounts: all_named(&self.accounts, Account::new)?,
            groups: self.groups,
            services: services(&self.services)?,
            exempt_accounts: all_named(&self.exempt_accounts, Account::new)?,
            mode: self.mode.into(),
            exempt_ttys: self.exempt_ttys.iter().map(terminal).collect::<Result<_, _>>()?,
            help: self.help.as_ref().map(help).transpose()?,
            rules: self.rule.into_iter().map(|rule| rule.check(sources)).collect::<Result<_, _>>()?,
            shared: self.shared.into_iter().map(SharedSection::check).collect::<Result<_, _>>()?,
            automation: automation::check(self.automation)?,
            ..Rules::compiled()
        })
    }
}

/// Those of the services that this release decides for; at least one.
fn services(written: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Problem> {
    if written.get_ref().is_empty() {
        let text = "`services` is empty, so it is about nothing; leave it out for the usual ones";
        return Err(problem(written, text));
    }
    let known = |service: &Spanned<String>| match Rules::SERVICES.contains(&service.get_ref().as_str()) {
        true => Ok(service.get_ref().clone()),
        false => Err(problem(
            service,
            format!(
                "this release does not decide for service `{}`; it knows {}",
                service.get_ref(),
                Rules::SERVICES.join(", ")
            ),
        )),
    };
    written.get_ref().iter().map(known).collect()
}

/// A terminal as `login` names it, without /dev/.
fn terminal(written: &Spanned<String>) -> Result<String, Problem> {
    let name = written.get_ref();
    if name.is_empty() || name.starts_with('/') || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(problem(written, format!("`{name}` is no terminal; write tty1, without /dev/")));
    }
    Ok(name.clone())
}

/// The end of each refusal: one line for any terminal.
fn help(written: &Spanned<String>) -> Result<String, Problem> {
    let text = written.get_ref();
    if text.is_empty() || text.len() > 200 || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(problem(
            written,
            "`help` is 1 to 200 bytes of printable ASCII, such as a page's address",
        ));
    }
    Ok(text.clone())
}

impl RuleSection {
    fn check(self, sources: &[Source]) -> Result<Rule, Problem> {
        if self.schedules.get_ref().is_empty() {
            return Err(problem(
                &self.schedules,
                format!("rule `{}` names no schedule, so it admits nobody", self.name.get_ref()),
            ));
        }
        let schedules =
            self.schedules.get_ref().iter().map(|text| schedule(text, sources)).collect::<Result<_, _>>()?;
        Ok(Rule {
            name: self.name.into_inner(),
            hosts: match self.hosts {
                Some(hosts) if hosts.is_empty() => {
                    return Err(problem(
                        &self.schedules,
                        "`hosts` is empty, so the rule covers no host; leave it out for all",
                    ));
                }
                Some(hosts) => hosts.iter().map(|text| HostSelector::parse(text)).collect(),
                None => vec![HostSelector::Name("*".to_string())],
            },
            schedules,
            max_level: level(&self.max_level)?,
        })
    }
}

/// Refuses a second section of one name: it would say something that the first one hides.
fn unique<'a>(names: impl Iterator<Item = &'a Spanned<String>>, section: &str) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.get_ref()) {
            return Err(problem(
                name,
                format!("a second {section} for `{}`; make one of them", name.get_ref()),
            ));
        }
    }
    Ok(())
}

/// What was probably meant by a name that nothing has, as the end of a complaint.
fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    toml_file::nearest(name, known).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

/// `source/schedule`, both known: a rule that names nothing would lock its people out.
fn schedule(text: &Spanned<String>, sources: &[Source]) -> Result<ScheduleRef, Problem> {
    let Some((source, id)) = text.get_ref().split_once('/') else {
        return Err(problem(text, format!("`{}` is no schedule; write source/schedule", text.get_ref())));
    };
    let Some(known) = sources.iter().find(|known| known.name == source) else {
        let meant = meant(source, sources.iter().map(|known| known.name.as_str()));
        return Err(problem(text, format!("no [[oncall.source]] is named `{source}`{meant}")));
    };
    if !known.names(id) {
        let meant = meant(id, known.wanted().map(String::as_str));
        let text_of = format!("source `{source}` does not list `{id}` in its `schedules`{meant}");
        return Err(problem(text, text_of));
    }
    Ok(ScheduleRef { source: source.to_string(), id: id.to_string() })
}

impl SharedSection {
    fn check(self) -> Result<Shared, Problem> {
        let principals = match &self.principals {
            None => Who::Everyone,
            Some(written) => match written.get_ref() {
                Principals::Word(word) if word == "on-call" => Who::Everyone,
                Principals::Word(_) => {
                    return Err(problem(written, "principals is \"on-call\" or a list of names"));
                }
                Principals::List(names) => Who::Only(
                    names
                        .iter()
                        .map(|name| {
                            Principal::new(name)
                                .map_err(|error| problem(written, format!("`{name}`: {error}")))
                        })
                        .collect::<Result<_, _>>()?,
                ),
            },
        };
        Ok(Shared { account: named(&self.account, Account::new)?, principals, explain: self.explain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes())
            .map_err(|error| error.to_string())
    }

    fn complaint(text: &str) -> String {
        let error = parse(text).expect_err(text);
        error.strip_prefix("/etc/authkeys/config.toml:").unwrap_or(&error).to_string()
    }

    const SOURCE: &str =
        "[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\ntoken_file = 't'\nschedules = ['P1']\n";

    #[test]
    fn whatever_stands_in_the_file_is_a_configuration_or_a_line_that_is_wrong() {
        let example = include_str!("../../../packaging/examples/config.toml");
        let uncommented = uncommented(example);
        let samples: [&[u8]; 4] =
            [example.as_bytes(), uncommented.as_bytes(), CHAIN.as_bytes(), SOURCE.as_bytes()];
        let mut words = vec![
            "[[policy.automation]]\n",
            "until = 2027-06-30\n",
            "[",
            "]]",
            "'''",
            "\"\"\"",
            "=",
            "\\u0000",
        ];
        words.extend(["from = ['10.0.0.0/8']\n", "\\\"", "9223372036854775808", "'-1s'", "true", "0x", "\n"]);
        mutate::each(&samples, &words, 1_500, |text| match Config::parse(Path::new("/c"), text) {
            Ok(config) => {
                let automation = config.rules.automation.iter().flat_map(|one| &one.from);
                let rules = config.keys.rules.iter().flat_map(|rule| &rule.from);
                for pattern in automation.chain(rules) {
                    assert!(
                        pattern
                            .as_str()
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b".:-_*?/".contains(&b))
                    );
                }
                let remarks = config.remarks(Timestamp::MAX);
                assert!(remarks.iter().all(|remark| !remark.contains(char::is_control)), "{remarks:?}");
            }
            Err(error) => {
                let error = error.to_string();
                let line = error.strip_prefix("/c:").and_then(|rest| rest.split(':').next()?.parse().ok());
                let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
                assert!(line.is_some_and(|line: usize| (1..=lines).contains(&line)), "{error}");
                assert!(!error.contains('\n'), "{error}");
            }
        });
    }

    #[test]
    fn an_empty_file_guards_and_admits_nobody() {
        let config = parse("").unwrap();
        let compiled = Rules::compiled();
        assert_eq!(Rules { host: compiled.host.clone(), ..config.rules }, compiled);
        assert_eq!(config.paths.roster, Path::new("/var/lib/oncall-cache/roster.db"));
    }

    #[test]
    fn names_are_beside_the_file_and_defaults_are_filled_in() {
        let text = format!(
            "[directory]\nfile = 'people.toml'\n{SOURCE}[[policy.rule]]\nname = 'db'\nschedules = ['pd/P1']\n"
        );
        let config = parse(&text).unwrap();
        assert!(
            matches!(&config.directory, Some(Directory::File(path)) if path == Path::new("/etc/authkeys/people.toml"))
        );
        let source = &config.oncall.sources[0];
        assert!(
            matches!(&source.provider, Provider::PagerDuty(PagerDuty { access: Access::Key(file), .. }) if file == Path::new("/etc/authkeys/t"))
        );
        let rule = &config.rules.rules[0];
        assert_eq!((rule.max_level, rule.hosts.len(), source.max_level), (1, 1, 1));
    }

    #[test]
    fn an_app_keeps_its_token_beside_the_roster() {
        let text = "[oncall]\nproxy = 'http://proxy:3128'\n[[oncall.source]]\nname = 'eu'\nprovider = 'pagerduty'\n\
                    region = 'eu'\nteams = ['x']\n[oncall.source.oauth]\nclient_id = 'c'\nclient_secret_file = 's'\n\
                    subdomain = 'acme'\n[paths]\nroster = '/srv/roster.db'\n";
        let config = parse(text).unwrap();
        let Provider::PagerDuty(settings) = &config.oncall.sources[0].provider else { panic!("{config:?}") };
        let Access::OAuth(app) = &settings.access else { panic!("{settings:?}") };
        assert_eq!((&*settings.api, &*app.account), ("https://api.eu.pagerduty.com", "as_account-eu.acme"));
        assert_eq!(app.kept_in, Path::new("/srv/oauth-eu.json"));
        assert_eq!(settings.proxy.as_deref(), Some("http://proxy:3128"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, expected) in [
            ("[policy]\n\nacounts = []", "3: unknown key `acounts`; did you mean `accounts`?"),
            ("[polcy]", "1: unknown key `polcy`; did you mean `policy`?"),
            (
                "[policy]\nexempt_ttys = ['/dev/tty1']",
                "2: `/dev/tty1` is no terminal; write tty1, without /dev/",
            ),
            (
                "[policy]\nhelp = \"call\\nus\"",
                "2: `help` is 1 to 200 bytes of printable ASCII, such as a page's address",
            ),
            ("[policy]\nmode = 'off'", "2: unknown variant `off`, expected `enforce` or `observe`"),
            (
                "[policy]\nservices = ['sshd', 'cron']",
                "2: this release does not decide for service `cron`; it knows sshd, login, su, su-l, sudo, sudo-i, polkit-1",
            ),
            (
                "[keys]\nstale_for = '1 day'",
                "2: `1 day` is not a duration; write a whole number and s, m, h or d: \"90s\", \"6h\"",
            ),
            ("[keys]\nfresh_for = '2h'\nstale_for = '1h'", "2: fresh_for (2h) is longer than stale_for (1h)"),
            ("[keys]\ndeadline = '11s'", "2: deadline (11s) is longer than 10s: a login waits for it"),
            ("[directory]\nurls = []\nbase = 'dc=x'", "2: `urls` names no server"),
            ("[keys]\nstale_for = 5", "2: invalid type: integer `5`, expected a string"),
            (
                "[oncall]\nmax_age = '4d'",
                "2: max_age (4d) is longer than lookahead (3d): past it nothing is known",
            ),
            (
                "[policy]\naccounts = ['Root']",
                "2: `Root`: byte 1 (0x52) does not fit [a-z_][a-z0-9_.-]{0,31}",
            ),
            ("[[policy.rule]]\nname = 'x'\nschedules = ['pd/P1']", "3: no [[oncall.source]] is named `pd`"),
            (
                "[directory]\nurls = ['http://x']\nbase = 'dc=x'",
                "2: `http://x` is no LDAP address; write ldaps://host or ldap://host, with :port if need be, ldapi://%2Fpath%2Fof%2Fsocket or srv://domain",
            ),
            (
                "[directory]\nbase = 'dc=x'",
                "1: [directory] needs `urls`; or `file = \"people.toml\"` for a directory in a file",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind_dn = 'cn=x'",
                "4: `bind_dn` without `bind_password_file`: servers take that for an anonymous bind",
            ),
            (
                "[directory]\nurls = ['ldaps://a', 'srv://b.c']\nbase = 'dc=x'",
                "2: `srv://b.c` needs `srv_hosts`, the servers that DNS may lead to: [\"ldap*.example.com\"]",
            ),
            (
                "[directory]\nurls = ['srv://b.c']\nbase = 'dc=x'\nsrv_hosts = ['a.b.c', '*']",
                "4: `*` is no name of hosts; a domain, and * or ? at most before its first dot",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nsrv_hosts = ['a.b.c']",
                "4: `srv_hosts` is about srv://domain, which `urls` does not have",
            ),
            (
                "[directory]\nurls = ['ldapi://%2Fa', 'ldaps://a']\nbase = 'dc=x'\nbind = 'external'",
                "4: `bind = \"external\"` needs something to show: `client_cert_file` and `client_key_file`",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind = 'gssapi'",
                "4: unknown variant `gssapi`, expected `simple` or `external`",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind = 'external'",
                "4: `bind = \"external\"` needs something to show: `client_cert_file` and `client_key_file`",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind_dn = 'cn=x'\nbind = 'external'",
                "5: `bind = \"external\"` goes without a name and password; take those out",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nclient_cert_file = 'c'",
                "4: `client_cert_file` without `client_key_file`: it proves nothing",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nclient_key_file = 'k'",
                "4: `client_key_file` without `client_cert_file`: nothing says whose key it is",
            ),
            (
                "[directory]\nfile = 'p'\nmax_shrink = '20'",
                "3: `20` is not a share; write 0 to 100 and %: \"20%\"",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n[directory.attributes]\nuser = 'u)('",
                "5: `u)(` is no name of an attribute; letters, digits and -, a letter first",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n[directory.disabled]\ntitle = []",
                "5: `title` lists no value, so it disables nobody; \"*\" is any",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\neligible_group_by = 'uid'",
                "4: unknown variant `uid`, expected `member` or `memberOf`",
            ),
            ("a = ", "1: string values must be quoted, expected literal string"),
        ] {
            assert_eq!(complaint(text), expected, "{text}");
        }
        let rule =
            |schedule: &str| format!("{SOURCE}[[policy.rule]]\nname = 'x'\nschedules = ['{schedule}']");
        assert_eq!(
            complaint(&rule("pd/P2")),
            "8: source `pd` does not list `P2` in its `schedules`; did you mean `P1`?"
        );
        assert_eq!(complaint(&rule("P1")), "8: `P1` is no schedule; write source/schedule");
    }

    #[test]
    fn sections_that_hide_or_contradict_each_other_are_refused() {
        for (text, expected) in [
            (format!("{SOURCE}{SOURCE}"), "7: a second [[oncall.source]] for `pd`; make one of them"),
            (
                "[[policy.shared]]\naccount = 'root'\n[[policy.shared]]\naccount = 'root'".to_string(),
                "4: a second [[policy.shared]] for `root`; make one of them",
            ),
            (
                "[policy]\nservices = []".to_string(),
                "2: `services` is empty, so it is about nothing; leave it out for the usual ones",
            ),
            (
                "[directory]\nfile = 'people.toml'\nbind_dn = 'cn=x'".to_string(),
                "1: [directory] has `file` and settings of an LDAP server; say `urls`, or take those out",
            ),
            (format!("{SOURCE}file = 'x'"), "3: provider `pagerduty` has no setting `file`"),
            (format!("{SOURCE}deadline = '61s'"), "6: `deadline` of a source is at most 1m"),
            (
                format!(
                    "{SOURCE}[oncall.source.oauth]\nclient_id = 'x'\nclient_secret_file = 's'\nsubdomain = 'acme'"
                ),
                "3: both `token_file` and [oncall.source.oauth]; keep one of them",
            ),
            (
                format!("{SOURCE}[[policy.rule]]\nname = 'x'\nhosts = []\nschedules = ['pd/P1']"),
                "9: `hosts` is empty, so the rule covers no host; leave it out for all",
            ),
        ] {
            assert_eq!(complaint(&text), expected, "{text}");
        }
    }

    /// With what it shows as comments.
    fn uncommented(example: &str) -> String {
        let setting = |line: &&str| line.contains('=') || line.starts_with('[');
        let line = |line| str::strip_prefix(line, "# ").filter(setting).unwrap_or(line);
        example.replace("file = \"people.toml\"", "").lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_shipped_example_is_a_configuration() {
        let example = include_str!("../../../packaging/examples/config.toml");
        let config = parse(example).unwrap();
        assert_eq!(config.rules.shared[0].principals, Who::Everyone);
        // What it shows as comments holds as well.
        let other = uncommented(example);
        let config = parse(&other).unwrap();
        assert!(matches!(config.directory, Some(Directory::Ldap(_))));
        assert_eq!(config.oncall.sources.len(), 3);
        assert_eq!(config.keys.chain.len(), 1);
        assert_eq!(config.rules.automation[0].digests.len(), 2);
    }

    const CHAIN: &str =
        "[[keys.chain]]\nname = 'eic'\ncommand = ['/opt/eic', '%u', 'a%%b:%t %k/%f']\naccounts = ['ec2-*']\n";

    #[test]
    fn a_chained_command_is_read_into_pieces() {
        let chain = parse(CHAIN).unwrap().keys.chain;
        let text = |text: &str| Piece::Text(text.to_string());
        assert_eq!(
            chain[0].arguments,
            [
                vec![Piece::Account],
                vec![
                    text("a%b:"),
                    Piece::KeyType,
                    text(" "),
                    Piece::KeyBase64,
                    text("/"),
                    Piece::Fingerprint
                ],
            ]
        );
        assert_eq!(
            (chain[0].program.as_path(), chain[0].deadline),
            (Path::new("/opt/eic"), Span::seconds(2))
        );
        let covers = |name: &str| chain[0].covers(&Account::new(name).unwrap());
        assert!(covers("ec2-user") && !covers("ec2") && !covers("root") && !covers("xec2-user"));
        let empty = CHAIN.replace("'%u'", "''");
        assert_eq!(parse(&empty).unwrap().keys.chain[0].arguments[0], []);
    }

    #[test]
    fn mistakes_in_a_chain_are_named_with_their_line() {
        let with = |old: &str, new: &str| complaint(&CHAIN.replace(old, new));
        assert_eq!(with("/opt/eic", "eic"), "3: `eic` is no absolute path of a program");
        assert_eq!(with("/opt/eic", "/opt/%u"), "3: `/opt/%u` is no absolute path of a program");
        for (token, said) in [("%h", "%h"), ("x%", "%"), ("%%%U", "%U")] {
            let expected = format!("3: `{said}` stands for nothing here; %u, %t, %k, %f and %% do");
            assert_eq!(with("%u", token), expected);
        }
        assert_eq!(with("['ec2-*']", "[]"), "4: `accounts` names no account, so the command is never asked");
        assert_eq!(with("ec2-*", "EC2"), "4: `EC2` is no account; a name, with * and ? if need be");
        assert_eq!(with("'eic'", "'e c'"), "2: a name is made of 1 to 32 letters, digits, - and _");
        assert_eq!(complaint(&CHAIN.repeat(2)), "6: a second [[keys.chain]] named `eic`");
        assert_eq!(
            complaint(&format!("{CHAIN}deadline = '6s'")),
            "5: deadline (6s) is longer than 5s: a login waits for it"
        );
        assert_eq!(with("['/opt/eic', '%u', 'a%%b:%t %k/%f']", "[]"), "3: chain `eic` names no command");
        assert_eq!(complaint(&CHAIN.replace("accounts = ['ec2-*']\n", "")), "1: missing field `accounts`");
        assert_eq!(
            complaint(&format!("{CHAIN}account = 'x'")),
            "5: unknown key `account`; did you mean `accounts`?"
        );
        assert_eq!(with("'%u'", "\"\\u0000\""), "3: an argument cannot have a NUL in it");
    }

    #[test]
    fn a_shared_account_names_everyone_on_call_or_a_list() {
        let shared = |principals: &str| {
            let text = format!("[[policy.shared]]\naccount = 'root'\nprincipals = {principals}");
            parse(&text).map(|config| config.rules.shared[0].principals.clone())
        };
        assert_eq!(shared("'on-call'"), Ok(Who::Everyone));
        assert_eq!(shared("['alice']"), Ok(Who::Only(vec![Principal::new("alice").unwrap()])));
        for bad in ["'oncall'", "['Alice']", "7"] {
            assert!(shared(bad).is_err_and(|error| error.contains(":3: ")), "{bad}");
        }
    }

    #[test]
    fn several_servers_keep_their_order_and_an_unwritten_fresh_for_follows_stale_for() {
        let config =
            parse("[directory]\nurls = ['ldaps://b', 'ldap://a']\nbase = 'dc=x'\n[keys]\nstale_for = '1m'")
                .unwrap();
        let Some(Directory::Ldap(ldap)) = &config.directory else { panic!("LDAP it is") };
        let urls: Vec<_> = ldap.urls.iter().map(ToString::to_string).collect();
        assert_eq!(urls, ["ldaps://b:636", "ldap://a:389"]);
        assert_eq!(config.keys.fresh_for, Span::minutes(1));
    }

    #[test]
    fn a_copy_of_eligible_people_is_not_one_of_everybody() {
        let scope = |mode: &str| {
            let config =
                parse(&format!("[directory]\nfile = 'people.toml'\n[keys]\nmode = '{mode}'")).unwrap();
            config.copy_scope(config.directory.as_ref().unwrap())
        };
        assert_ne!(scope("replica"), scope("lookup"));
    }

    #[test]
    fn a_filter_is_one_and_a_base_is_somewhere() {
        let problem = |base: &str, filter: &str| {
            let text = format!("[directory]\nurls = ['ldaps://a']\nbase = '{base}'\nfilter = '{filter}'\n");
            parse(&text).err().map(|error| error.to_string()).unwrap_or_default()
        };
        for good in ["(a=b)", "(&(a=b)(|(c=d)(!(e=f))))", "(cn=a\\28b)"] {
            assert_eq!(problem("dc=x", good), "", "{good}");
        }
        for bad in ["(a=b)(c=d)", "(a=b", "((a=b)", "(a=b))", "()(", "(a=b))(c=d)"] {
            assert!(problem("dc=x", bad).contains(":4:"), "{bad}: {}", problem("dc=x", bad));
        }
        for bad in ["", " "] {
            assert!(problem(bad, "(a=b)").contains("`base` is empty"), "{bad:?}");
        }
    }

    #[test]
    fn what_a_copy_is_tied_to_names_everything_that_is_asked() {
        let ldap = "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n";
        let scope = |more: &str| {
            parse(&format!("{ldap}{more}")).unwrap().directory.map(|directory| directory.scope()).unwrap()
        };
        let plain = scope("");
        assert!(
            plain.ends_with("by=member user=uid keys=sshPublicKey mail=mail lockout=permanent"),
            "{plain}"
        );
        for more in [
            "filter = '(a=b)'",
            "eligible_group = 'cn=x'",
            "eligible_group_by = 'memberOf'",
            "[directory.attributes]\nuser = 'sAMAccountName'",
            "[directory.attributes]\nkeys = 'altSecurityIdentities'",
            "[directory.disabled]\nemployeeType = ['former']",
            "lockout = 'any'",
        ] {
            assert_ne!(scope(more), plain, "{more}");
        }
        assert_eq!(scope("max_shrink = '5%'\ndeadline = '9s'\nfull_refresh = '1h'"), plain);
        assert_eq!(parse("").unwrap().max_shrink, 20);
        assert_eq!(parse(&format!("{ldap}max_shrink = '5%'")).unwrap().max_shrink, 5);
    }
}
