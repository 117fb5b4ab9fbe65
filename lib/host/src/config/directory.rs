//! `[directory]`: where people and their keys come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use policy::Span;
use serde::Deserialize;
use toml::Spanned;

use super::fleet::SharedFleet;
use super::ldap_url::{HostGlob, LdapUrl};
use super::values::{Duration, Percent, Problem, problem};

/// The share of people, in percent, that a sync may take away where `max_removed` says nothing.
pub(super) const MAX_REMOVED: u8 = 20;

/// Where people come from.
#[derive(Debug, Clone)]
pub enum Directory {
    /// An LDAP server.
    Ldap(Box<Ldap>),
    /// A `people.toml`.
    File(PathBuf),
    /// What a collector publishes of its own directory.
    Fleet(SharedFleet),
}

impl Directory {
    /// What a copy of this directory is tied to: a copy made from another base, filter, attributes or
    /// rules must not be trusted (P16). The list of servers is not part of it.
    pub fn scope(&self) -> String {
        match self {
            Self::File(path) => format!("file {}", path.display()),
            Self::Fleet(fleet) => format!("fleet {}", fleet.id),
            Self::Ldap(ldap) => {
                let group = ldap.eligible_group.as_deref().unwrap_or("-");
                let Ldap { base, filter, attributes, membership, disabled, disabling_locks, .. } =
                    ldap.as_ref();
                let Attributes { user, keys, mail } = attributes;
                let mut scope = format!("ldap base={base} filter={filter} eligible={group} by={membership}");
                scope += &format!(" user={user} keys={keys} mail={mail} disabling_locks={disabling_locks}");
                if ldap.fold_case {
                    scope += " fold_case";
                }
                if ldap.nested_groups {
                    scope += " nested";
                }
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
    /// Are members of groups in that group members of it?
    pub nested_groups: bool,
    /// What a reference to another server means.
    pub referrals: Referrals,
    /// What attributes of people are called.
    pub attributes: Attributes,
    /// Are capital ASCII letters in user names taken for small ones? (`[names]`)
    pub fold_case: bool,
    /// What marks an account as disabled, besides the marks that every directory has.
    pub disabled: Vec<Mark>,
    /// Which locks of a password policy count among the marks.
    pub disabling_locks: DisablingLocks,
    /// Longest time a whole sync may take.
    pub timeout: Span,
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

/// What it means when a search answers with references to other servers, which are never followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Referrals {
    /// There may be people of the same name elsewhere: no answer about one person is whole.
    #[default]
    Refuse,
    /// Nobody who matters is there.
    Ignore,
}

impl fmt::Display for Referrals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refuse",
            Self::Ignore => "ignore",
        })
    }
}

/// Which locks that a password policy sets (`pwdAccountLockedTime`) disable an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisablingLocks {
    /// The one without end, which an administrator sets. A lock that begins at an instant follows from wrong
    /// passwords, which anybody can send.
    #[default]
    Permanent,
    /// Any.
    Any,
}

impl fmt::Display for DisablingLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permanent => "permanent",
            Self::Any => "any",
        })
    }
}

/// What is said where `count` groups are members of the eligible group and are not followed; `first` is one of them.
pub fn unfollowed_groups(eligible_group: &str, count: usize, first: &str) -> String {
    let (groups, first) = (if count == 1 { "a group" } else { "groups" }, first.escape_debug());
    let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    format!(
        "{eligible_group} has {groups} as members ({first}{more}), and people who are only in there are not eligible; set \
         nested_groups = true in [directory], or list the people in the group itself"
    )
}

/// What is said where `count` groups below the eligible group show no member; `first` is one of them.
pub fn empty_groups(eligible_group: &str, count: usize, first: &str) -> String {
    let (groups, show) = if count == 1 { ("a group", "shows") } else { ("groups", "show") };
    let (first, more) =
        (first.escape_debug(), if count > 1 { format!(" and {} more", count - 1) } else { String::new() });
    format!(
        "{groups} in {eligible_group} {show} no member ({first}{more}) and counts as empty; if people are in there, let \
         who binds read `member` and `objectClass`"
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectorySection {
    fleet: Option<Spanned<bool>>,
    file: Option<Spanned<PathBuf>>,
    urls: Option<Spanned<Vec<Spanned<String>>>>,
    srv_hosts: Option<Spanned<Vec<Spanned<String>>>>,
    base: Option<Spanned<String>>,
    bind: Option<Spanned<Bind>>,
    bind_dn: Option<Spanned<String>>,
    bind_password_file: Option<Spanned<PathBuf>>,
    client_cert_file: Option<Spanned<PathBuf>>,
    client_key_file: Option<Spanned<PathBuf>>,
    ca_file: Option<Spanned<PathBuf>>,
    filter: Option<Spanned<String>>,
    eligible_group: Option<Spanned<String>>,
    eligible_group_by: Option<Spanned<Membership>>,
    nested_groups: Option<Spanned<bool>>,
    referrals: Option<Spanned<Referrals>>,
    attributes: Option<Spanned<AttributesSection>>,
    #[serde(default)]
    disabled: BTreeMap<Spanned<String>, Vec<String>>,
    disabling_locks: Option<Spanned<DisablingLocks>>,
    timeout: Option<Spanned<Duration>>,
    full_refresh: Option<Spanned<Duration>>,
    pub(super) max_removed: Option<Spanned<Percent>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct AttributesSection {
    user: Option<Spanned<String>>,
    keys: Option<Spanned<String>>,
    mail: Option<Spanned<String>>,
}

impl DirectorySection {
    pub(super) fn check(
        section: Spanned<Self>,
        beside: &impl Fn(&Path) -> PathBuf,
        fold_case: bool,
        fleet: Option<&SharedFleet>,
    ) -> Result<Directory, Problem> {
        let missing = |key: &str| {
            problem(
                &section,
                format!("[directory] needs `{key}`, or `file = \"people.toml\"` for a directory in a file"),
            )
        };
        let this = section.get_ref();
        if let Some(written) = this.fleet.as_ref().filter(|fleet| *fleet.get_ref()) {
            return this.check_fleet(written, fleet);
        }
        let Some(urls) = &this.urls else {
            let file = this.file.as_ref().ok_or_else(|| missing("urls"))?;
            if this.has_server_settings() {
                let text =
                    "[directory] has `file` and settings of an LDAP server; set `urls`, or remove those";
                return Err(problem(&section, text));
            }
            return Ok(Directory::File(beside(file.get_ref())));
        };
        if this.file.is_some() {
            return Err(problem(urls, "[directory] has both `urls` and `file`; keep one of them"));
        }
        if urls.get_ref().is_empty() {
            return Err(problem(urls, "`urls` names no server"));
        }
        let srv_hosts = this.check_srv_hosts(urls.get_ref())?;
        let urls = (urls.get_ref().iter())
            .map(|url| LdapUrl::parse(url.get_ref()).map_err(|error| problem(url, error.to_string())))
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
            ca_file: beside(&written(&this.ca_file).unwrap_or_else(system_authorities)),
            filter: this.people_filter()?,
            eligible_group: this.eligible_group()?,
            membership: written(&this.eligible_group_by).unwrap_or_default(),
            nested_groups: written(&this.nested_groups).unwrap_or_default(),
            referrals: written(&this.referrals).unwrap_or_default(),
            attributes: this.attributes()?,
            fold_case,
            disabled: marks(&this.disabled)?,
            disabling_locks: written(&this.disabling_locks).unwrap_or_default(),
            timeout: written(&this.timeout).map_or(Span::seconds(60), |Duration(timeout)| timeout),
            full_refresh: written(&this.full_refresh).map_or(Span::hours(24), |Duration(every)| every),
        })))
    }

    /// A fleet's directory has no setting of its own: by whose words people are chosen is in what the collector signs.
    fn check_fleet(&self, flag: &Spanned<bool>, fleet: Option<&SharedFleet>) -> Result<Directory, Problem> {
        let Some(fleet) = fleet else {
            return Err(problem(flag, "`fleet = true` needs [fleet], with the store's `id` and `urls`"));
        };
        if let Some((setting, at)) = self.own_setting() {
            let text = format!(
                "`{setting}` beside `fleet = true`: it is set at the collector; take one of them out"
            );
            return Err(Problem { at, text });
        }
        Ok(Directory::Fleet(fleet.clone()))
    }

    /// The first setting of a directory that is this host's own, and where it is.
    fn own_setting(&self) -> Option<(&'static str, usize)> {
        fn at<T>(written: &Option<Spanned<T>>) -> Option<usize> {
            written.as_ref().map(|written| written.span().start)
        }
        let settings = [
            ("file", at(&self.file)),
            ("urls", at(&self.urls)),
            ("srv_hosts", at(&self.srv_hosts)),
            ("base", at(&self.base)),
            ("bind", at(&self.bind)),
            ("bind_dn", at(&self.bind_dn)),
            ("bind_password_file", at(&self.bind_password_file)),
            ("client_cert_file", at(&self.client_cert_file)),
            ("client_key_file", at(&self.client_key_file)),
            ("ca_file", at(&self.ca_file)),
            ("filter", at(&self.filter)),
            ("eligible_group", at(&self.eligible_group)),
            ("eligible_group_by", at(&self.eligible_group_by)),
            ("nested_groups", at(&self.nested_groups)),
            ("referrals", at(&self.referrals)),
            ("attributes", at(&self.attributes)),
            ("disabled", self.disabled.keys().next().map(|name| name.span().start)),
            ("disabling_locks", at(&self.disabling_locks)),
            ("timeout", at(&self.timeout)),
            ("full_refresh", at(&self.full_refresh)),
            ("max_removed", at(&self.max_removed)),
        ];
        let set = settings.into_iter().filter_map(|(setting, at)| Some((setting, at?)));
        set.min_by_key(|(_, at)| *at)
    }

    /// Which servers DNS may lead to; it has to be said where DNS is asked.
    fn check_srv_hosts(&self, urls: &[Spanned<String>]) -> Result<Vec<HostGlob>, Problem> {
        let asks_dns = urls.iter().find(|url| url.get_ref().starts_with("srv://"));
        match (&self.srv_hosts, asks_dns) {
            (Some(hosts), None) => {
                Err(problem(hosts, "`srv_hosts` only applies to srv://domain, which is not in `urls`"))
            }
            (hosts, Some(url)) if hosts.as_ref().is_none_or(|hosts| hosts.get_ref().is_empty()) => {
                Err(problem(
                    url,
                    format!(
                        "`{}` needs `srv_hosts`, the servers that DNS may name: [\"ldap*.example.com\"]",
                        url.get_ref()
                    ),
                ))
            }
            (Some(hosts), _) => (hosts.get_ref().iter())
                .map(|glob| HostGlob::parse(glob.get_ref()).map_err(|error| problem(glob, error.to_string())))
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
                Err(problem(bind, "`bind = \"external\"` takes no name and password; remove those"))
            }
            (Some(bind), None, None)
                if how == Bind::External && !local && self.client_cert_file.is_none() =>
            {
                Err(problem(bind, "`bind = \"external\"` needs `client_cert_file` and `client_key_file`"))
            }
            (_, None, Some(password)) => {
                Err(problem(password, "`bind_password_file` without `bind_dn`: set who binds"))
            }
            (_, Some(dn), _) if dn.get_ref().trim().is_empty() => Err(problem(
                dn,
                "`bind_dn` is empty: servers treat that as an anonymous bind; remove it or set a DN",
            )),
            (_, Some(dn), None) => Err(problem(
                dn,
                "`bind_dn` without `bind_password_file`: servers treat that as an anonymous bind",
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
                Err(problem(certificate, "`client_cert_file` without `client_key_file` proves nothing"))
            }
            (None, Some(key)) => Err(problem(
                key,
                "`client_key_file` without `client_cert_file`: the server cannot know whose key it is",
            )),
            (None, None) => Ok(None),
        }
    }

    fn attributes(&self) -> Result<Attributes, Problem> {
        self.attributes
            .as_ref()
            .map_or_else(|| Ok(Attributes::default()), |section| section.get_ref().check())
    }

    fn people_base(&self) -> Result<Option<String>, Problem> {
        match &self.base {
            Some(base) if base.get_ref().trim().is_empty() => {
                Err(problem(base, "`base` is empty; write the DN below which people are"))
            }
            base => Ok(base.as_ref().map(|base| base.get_ref().clone())),
        }
    }

    /// Nothing written: nobody is eligible. An empty DN is no group, and would be asked for at each sync.
    fn eligible_group(&self) -> Result<Option<String>, Problem> {
        match &self.eligible_group {
            Some(group) if group.get_ref().trim().is_empty() => Err(problem(
                group,
                "`eligible_group` is empty; write the group's DN, or leave it out: then nobody is eligible",
            )),
            group => Ok(written(group)),
        }
    }

    fn people_filter(&self) -> Result<String, Problem> {
        match &self.filter {
            Some(filter) if !(filter.get_ref().starts_with('(') && filter.get_ref().ends_with(')')) => {
                Err(problem(filter, "a filter is in parentheses: \"(objectClass=ldapPublicKey)\""))
            }
            Some(filter) if !is_one_filter(filter.get_ref()) => Err(problem(
                filter,
                "the parentheses of this filter do not match, or these are several filters; join them: \"(&(a=b)(c=d))\"",
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

fn written<T: Clone>(setting: &Option<Spanned<T>>) -> Option<T> {
    setting.as_ref().map(|written| written.get_ref().clone())
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
    Err(problem(written, format!("`{name}` is not an attribute name: letters, digits and -, a letter first")))
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
pub(super) fn system_authorities() -> PathBuf {
    PathBuf::from("/etc/ssl/certs/ca-certificates.crt")
}
