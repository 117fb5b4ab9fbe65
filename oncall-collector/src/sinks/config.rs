//! `/etc/authkeys/sinks.toml`: who is told who is on call. Root's file; a key that is not known is an error with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use host::config::LdapUrl;
use host::remote::{AUTHORITIES, address, https, split_path};
use host::{FileError, toml_file};
use ldap::MemberAttribute;
use policy::{Principal, ScheduleRef, Span};
use serde::Deserialize;
use toml::Spanned;

/// The most sinks.
const MOST_SINKS: usize = 32;

/// The most characters in a topic at Slack: docs.slack.dev, conversations.setTopic.
pub const LONGEST_TOPIC: usize = 250;

/// What the administrator wrote, checked.
#[derive(Debug, Clone)]
pub struct SinksConfig {
    /// Where is kept who was shown.
    pub state: PathBuf,
    /// The sinks, in the order in which they are written.
    pub sinks: Vec<Sink>,
}

/// One sink.
#[derive(Debug, Clone)]
pub struct Sink {
    /// By which messages call it.
    pub name: String,
    /// Whose shifts it shows.
    pub schedules: Vec<Wanted>,
    /// The deepest level that it shows.
    pub max_escalation_level: u8,
    /// For how long the last people stay where nobody is on call.
    pub hold_max: Span,
    /// What it is.
    pub kind: Kind,
}

/// A schedule, or all of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    source: String,
    /// None: every one.
    id: Option<String>,
}

impl Wanted {
    /// Is this schedule meant?
    pub fn names(&self, schedule: &ScheduleRef) -> bool {
        self.source == schedule.source && self.id.as_ref().is_none_or(|id| *id == schedule.id)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.id.as_deref().unwrap_or("*"))
    }
}

/// What a sink is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A group in a directory.
    Group(Group),
    /// A channel's topic at Slack.
    Topic(Topic),
    /// A message to a channel at Slack when somebody comes or goes.
    Message(Message),
    /// Members of a group at GitLab.
    Gitlab(Gitlab),
    /// A record in Graylog when somebody comes or goes.
    Gelf(Gelf),
    /// JSON by POST when somebody comes or goes.
    Webhook(Webhook),
}

impl Kind {
    /// Does it let people do something elsewhere? Then they have to be eligible.
    pub fn gives_rights(&self) -> bool {
        matches!(self, Self::Group(_) | Self::Gitlab(_))
    }

    /// What it writes, where what is there is replaced.
    fn place(&self) -> Option<String> {
        match self {
            // As what they mean: other case or blanks are no other group.
            Self::Group(group) => MemberAttribute::Member.key(&group.dn).map(|dn| format!("the group {dn}")),
            Self::Topic(topic) => Some(format!("the topic of {} at {}", topic.channel, topic.service.base)),
            Self::Gitlab(gitlab) => {
                let group = gitlab.group.to_ascii_lowercase();
                Some(format!("the group {group} at {}", gitlab.service.base))
            }
            Self::Message(_) | Self::Gelf(_) | Self::Webhook(_) => None,
        }
    }
}

/// A group in a directory. What is none is as in [directory] of config.toml.
#[derive(Debug, Clone)]
pub struct Group {
    pub dn: String,
    pub attribute: MemberAttribute,
    pub placeholder: Option<String>,
    pub bind_dn: String,
    pub bind_password_file: PathBuf,
    pub urls: Option<Vec<LdapUrl>>,
    pub ca_file: Option<PathBuf>,
}

/// A service that is reached by HTTPS.
#[derive(Debug, Clone)]
pub struct Service {
    pub base: String,
    pub ca_file: PathBuf,
    pub proxy: Option<String>,
}

/// A topic.
#[derive(Debug, Clone)]
pub struct Topic {
    pub service: Service,
    pub token_file: PathBuf,
    /// The channel's id.
    pub channel: String,
    /// What is right of it stays.
    pub mark: String,
    /// Before the names.
    pub prefix: String,
    /// Slack's ids of people, who are mentioned then.
    pub ids: BTreeMap<Principal, String>,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    pub service: Service,
    pub token_file: PathBuf,
    pub channel: String,
    pub prefix: String,
    pub ids: BTreeMap<Principal, String>,
}

/// A group at GitLab.
#[derive(Debug, Clone)]
pub struct Gitlab {
    pub service: Service,
    pub token_file: PathBuf,
    /// Its path or number.
    pub group: String,
    /// GitLab's number of what members may do.
    pub access_level: u32,
    /// User names there of those who add people for a rota alone: their members are a sink's, whoever ran it.
    pub added_by: Vec<String>,
    /// User names there, of people who have another one than here.
    pub users: BTreeMap<Principal, String>,
}

/// Graylog.
#[derive(Debug, Clone)]
pub struct Gelf {
    pub host: String,
    pub port: u16,
    pub is_datagram: bool,
}

/// A program of the site's.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub service: Service,
    pub path: String,
    pub secret_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    state: Option<PathBuf>,
    #[serde(default)]
    sink: Vec<Spanned<SinkSection>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SinkSection {
    name: String,
    schedules: Vec<String>,
    max_escalation_level: Option<u8>,
    hold_max: Option<String>,
    ldap_group: Option<GroupSection>,
    slack_topic: Option<TopicSection>,
    slack_message: Option<MessageSection>,
    gitlab_group: Option<GitlabSection>,
    gelf: Option<GelfSection>,
    webhook: Option<WebhookSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupSection {
    group: String,
    attribute: Option<String>,
    placeholder: Option<String>,
    bind_dn: String,
    bind_password_file: PathBuf,
    urls: Option<Vec<String>>,
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicSection {
    channel: String,
    token_file: PathBuf,
    mark: Option<String>,
    prefix: Option<String>,
    #[serde(default)]
    ids: BTreeMap<String, String>,
    api: Option<String>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageSection {
    channel: String,
    token_file: PathBuf,
    prefix: Option<String>,
    #[serde(default)]
    ids: BTreeMap<String, String>,
    api: Option<String>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GitlabSection {
    url: String,
    group: String,
    token_file: PathBuf,
    access_level: Option<String>,
    #[serde(default)]
    added_by: Vec<String>,
    #[serde(default)]
    users: BTreeMap<String, String>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GelfSection {
    server: String,
    transport: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookSection {
    url: String,
    secret_file: PathBuf,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

type Beside<'b> = &'b dyn Fn(&Path) -> PathBuf;

impl SinksConfig {
    /// Reads and checks `path`, which root alone may be able to write.
    ///
    /// # Errors
    /// It cannot be read, or a line of it does not hold.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::parse(path, &toml_file::read(path)?)
    }

    /// Checks `text` as the content of `path`; touches no file.
    ///
    /// # Errors
    /// The line that does not hold.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FileError> {
        let beside = |name: &Path| path.parent().unwrap_or(Path::new("/")).join(name);
        toml_file::checked(path, text, |file: File| {
            let state = beside(&file.state.unwrap_or_else(|| "/var/lib/oncall-sink".into()));
            if file.sink.is_empty() || file.sink.len() > MOST_SINKS {
                return Err((0, format!("write 1 to {MOST_SINKS} [[sink]]")));
            }
            let (mut names, mut places, mut sinks) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
            for section in file.sink {
                let at = section.span().start;
                let sink = section.into_inner().check(&beside).map_err(|problem| (at, problem))?;
                if !names.insert(sink.name.clone()) {
                    return Err((at, format!("two sinks are named `{}`", sink.name)));
                }
                if let Some(place) = sink.kind.place().filter(|place| !places.insert(place.clone())) {
                    return Err((
                        at,
                        format!("two sinks write {place}: each would undo what the other wrote"),
                    ));
                }
                sinks.push(sink);
            }
            Ok(Self { state, sinks })
        })
    }
}

impl SinkSection {
    fn check(self, beside: Beside<'_>) -> Result<Sink, String> {
        let name = self.name;
        if !policy::is_site_name(&name) {
            return Err(format!("`name` is up to 64 letters, digits, . _ and -: `{name}`"));
        }
        let of_sink = |problem: String| format!("sink `{name}`: {problem}");
        let mut kinds = Vec::new();
        kinds.extend(self.ldap_group.map(|section| section.check(beside).map(Kind::Group)));
        kinds.extend(self.slack_topic.map(|section| section.check(beside).map(Kind::Topic)));
        kinds.extend(self.slack_message.map(|section| section.check(beside).map(Kind::Message)));
        kinds.extend(self.gitlab_group.map(|section| section.check(beside).map(Kind::Gitlab)));
        kinds.extend(self.gelf.map(|section| section.check().map(Kind::Gelf)));
        kinds.extend(self.webhook.map(|section| section.check(beside).map(Kind::Webhook)));
        let (Some(kind), true) = (kinds.pop(), kinds.is_empty()) else {
            let text = "write one of ldap_group, slack_topic, slack_message, gitlab_group, gelf and webhook";
            return Err(of_sink(text.into()));
        };
        let kind = kind.map_err(of_sink)?;
        let schedules: Result<Vec<Wanted>, String> = self.schedules.iter().map(|text| wanted(text)).collect();
        let schedules = schedules.map_err(of_sink)?;
        if schedules.is_empty() {
            return Err(of_sink(
                "`schedules` is empty; write [\"source/schedule\"], or [\"source/*\"]".into(),
            ));
        }
        let max_escalation_level = self.max_escalation_level.unwrap_or(1);
        if max_escalation_level == 0 {
            return Err(of_sink("`max_escalation_level` begins at 1, who is paged first".into()));
        }
        let hold_max = host::config::duration(self.hold_max.as_deref().unwrap_or("24h"));
        let hold_max = hold_max.map_err(|error| of_sink(error.to_string()))?;
        Ok(Sink { name, schedules, max_escalation_level, hold_max, kind })
    }
}

fn wanted(text: &str) -> Result<Wanted, String> {
    match text.split_once('/') {
        Some((source, id)) if !source.is_empty() && !id.is_empty() => {
            Ok(Wanted { source: source.into(), id: (id != "*").then(|| id.into()) })
        }
        _ => Err(format!("`{text}` is not a schedule; write source/schedule, or source/*")),
    }
}

/// The file that a secret is in. Where the secret itself was written in its place, no message repeats it.
fn secret_file(key: &str, file: &Path, beside: Beside<'_>) -> Result<PathBuf, String> {
    let text = file.to_string_lossy();
    let is_secret = ["xox", "xapp-", "glpat-", "gldt-"].iter().any(|start| text.starts_with(start));
    if is_secret || text.len() > 200 || text.contains(char::is_whitespace) {
        return Err(format!(
            "`{key}` names a file; write the secret into one (root:oncall-sink, mode 0640) and its name here"
        ));
    }
    Ok(beside(file))
}

fn service(
    (key, url): (&str, &str),
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
    beside: Beside<'_>,
) -> Result<Service, String> {
    let base = https(key, url)?;
    let ca_file = beside(ca_file.as_deref().unwrap_or(Path::new(AUTHORITIES)));
    if proxy.as_ref().is_some_and(|proxy| !proxy.starts_with("http://") || proxy.contains('@')) {
        return Err("`proxy` is http://HOST:PORT".into());
    }
    Ok(Service { base, ca_file, proxy })
}

/// A user's name or id at a service.
fn is_user(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !id.is_empty() && id.len() <= 255 && id.bytes().all(is_plain)
}

fn people(table: BTreeMap<String, String>, key: &str) -> Result<BTreeMap<Principal, String>, String> {
    let one = |(name, id): (String, String)| {
        let person = Principal::new(&name).map_err(|_| format!("`{key}`: `{name}` is nobody's name"))?;
        if !is_user(&id) {
            return Err(format!("`{key}`: `{name}` has letters, digits, . _ and -"));
        }
        Ok((person, id))
    };
    table.into_iter().map(one).collect()
}

impl GroupSection {
    fn check(self, beside: Beside<'_>) -> Result<Group, String> {
        let attribute = match self.attribute.as_deref().unwrap_or("member") {
            "member" => MemberAttribute::Member,
            "uniqueMember" => MemberAttribute::UniqueMember,
            "memberUid" => MemberAttribute::MemberUid,
            other => return Err(format!("`attribute` is member, uniqueMember or memberUid: `{other}`")),
        };
        for (key, dn) in [("group", &self.group), ("bind_dn", &self.bind_dn)] {
            if dn.is_empty() || !ldap::is_dn(dn) {
                return Err(format!("`{key}` is no DN (RFC 4514): `{dn}`"));
            }
        }
        if let Some(placeholder) = &self.placeholder
            && attribute != MemberAttribute::MemberUid
            && !ldap::is_dn(placeholder)
        {
            return Err(format!("`placeholder` is no DN (RFC 4514): `{placeholder}`"));
        }
        let urls = |urls: Vec<String>| {
            if urls.is_empty() {
                return Err("`urls` is empty".to_string());
            }
            let one = |url: &String| LdapUrl::parse(url).map_err(|error| format!("`urls`: {error}"));
            urls.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        Ok(Group {
            dn: self.group,
            attribute,
            placeholder: self.placeholder,
            bind_dn: self.bind_dn,
            bind_password_file: secret_file("bind_password_file", &self.bind_password_file, beside)?,
            urls: self.urls.map(urls).transpose()?,
            ca_file: self.ca_file.as_deref().map(beside),
        })
    }
}

const SLACK: &str = "https://slack.com/api";

fn channel(text: &str) -> Result<(), String> {
    let is_id = text.starts_with(['C', 'G']) && text.len() >= 2 && text.len() <= 32;
    if is_id && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!("`channel` is a channel's id, as C0123456789, and not its name: `{text}`"))
}

/// Text of ours in what others read: one line, and nothing that is markup there.
fn plain(key: &str, text: &str, most: usize) -> Result<(), String> {
    let is_plain = |letter: char| !letter.is_control() && !"<>&".contains(letter);
    if text.chars().count() <= most && text.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!("`{key}` is one line of up to {most} characters without < > and &"))
}

impl TopicSection {
    fn check(self, beside: Beside<'_>) -> Result<Topic, String> {
        channel(&self.channel)?;
        let mark = self.mark.unwrap_or_else(|| "|".into());
        let prefix = self.prefix.unwrap_or_else(|| "On call: ".into());
        plain("mark", &mark, 10)?;
        plain("prefix", &prefix, 100)?;
        if mark.trim().is_empty() || prefix.contains(mark.trim()) {
            return Err("`mark` is what the topic is cut at: not blank, and not in `prefix`".into());
        }
        let api = self.api.as_deref().unwrap_or(SLACK);
        Ok(Topic {
            service: service(("api", api), self.ca_file, self.proxy, beside)?,
            token_file: secret_file("token_file", &self.token_file, beside)?,
            channel: self.channel,
            mark: mark.trim().to_string(),
            prefix,
            ids: people(self.ids, "ids")?,
        })
    }
}

impl MessageSection {
    fn check(self, beside: Beside<'_>) -> Result<Message, String> {
        channel(&self.channel)?;
        let prefix = self.prefix.unwrap_or_else(|| "On call: ".into());
        plain("prefix", &prefix, 1_000)?;
        let api = self.api.as_deref().unwrap_or(SLACK);
        Ok(Message {
            service: service(("api", api), self.ca_file, self.proxy, beside)?,
            token_file: secret_file("token_file", &self.token_file, beside)?,
            channel: self.channel,
            prefix,
            ids: people(self.ids, "ids")?,
        })
    }
}

impl GitlabSection {
    fn check(self, beside: Beside<'_>) -> Result<Gitlab, String> {
        // docs.gitlab.com/api/access_requests, valid access levels. Those who could give rights to others are not for a rota.
        let access_level = match self.access_level.as_deref().unwrap_or("developer") {
            "guest" => 10,
            "reporter" => 20,
            "developer" => 30,
            other => return Err(format!("`access_level` is guest, reporter or developer: `{other}`")),
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let group = self.group.trim_matches('/').to_string();
        if group.is_empty() || group.len() > 255 || !group.bytes().all(is_plain) {
            return Err(format!("`group` is a group's path, as team/approvers, or its number: `{group}`"));
        }
        if let Some(name) = self.added_by.iter().find(|name| !is_user(name)) {
            return Err(format!(
                "`added_by` has user names at GitLab, of letters, digits, . _ and -: `{name}`"
            ));
        }
        Ok(Gitlab {
            service: service(("url", &self.url), self.ca_file, self.proxy, beside)?,
            token_file: secret_file("token_file", &self.token_file, beside)?,
            group,
            access_level,
            added_by: self.added_by,
            users: people(self.users, "users")?,
        })
    }
}

impl GelfSection {
    fn check(self) -> Result<Gelf, String> {
        let (host, port) = address(&self.server, 12201)?;
        let is_datagram = match self.transport.as_str() {
            "tcp" => false,
            "udp" => true,
            _ => return Err("`transport` is \"tcp\" or \"udp\"; TLS is not built for GELF".into()),
        };
        Ok(Gelf { host, port, is_datagram })
    }
}

impl WebhookSection {
    fn check(self, beside: Beside<'_>) -> Result<Webhook, String> {
        let url = https("url", &self.url)?;
        let (base, path) = split_path(&url);
        Ok(Webhook {
            service: service(("url", base), self.ca_file, self.proxy, beside)?,
            path: path.to_string(),
            secret_file: secret_file("secret_file", &self.secret_file, beside)?,
        })
    }
}

#[cfg(test)]
mod tests;
