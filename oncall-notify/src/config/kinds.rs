//! The kinds of channels, as they are written and what that means. No secret stands in them: each is a file.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use host::remote::{AUTHORITIES, address, https, split_path};
use serde::Deserialize;

use super::is_address;

/// Where a channel goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A message in Slack.
    Slack(Slack),
    /// A mail.
    Mail(Mail),
    /// JSON by POST.
    Webhook(Webhook),
    /// An alert of PagerDuty's, or of what speaks its Events API.
    PagerDuty(PagerDuty),
    /// Graylog's format.
    Gelf(Gelf),
    /// Syslog as RFC 5424 has it.
    Syslog(Syslog),
}

impl Kind {
    /// Does it tell the person whom a notice is about?
    pub fn tells_people(&self) -> bool {
        match self {
            Self::Slack(slack) => slack.to == Recipient::Person,
            Self::Mail(mail) => mail.to.is_empty(),
            _ => false,
        }
    }

    /// The files that hold secrets.
    pub fn secrets(&self) -> Vec<&Path> {
        match self {
            Self::Slack(slack) => vec![&slack.token_file],
            Self::Webhook(webhook) => vec![&webhook.secret_file],
            Self::PagerDuty(pagerduty) => vec![&pagerduty.routing_key_file],
            Self::Mail(Mail { way: MailWay::Smtp { password_file: Some(file), .. }, .. }) => vec![file],
            Self::Mail(_) | Self::Gelf(_) | Self::Syslog(_) => vec![],
        }
    }

    /// Why this secret cannot be the right one, as far as its form says.
    pub fn misfit(&self, secret: &str) -> Option<&'static str> {
        let is_routing_key = secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let fits = !matches!(self, Self::PagerDuty(_)) || is_routing_key;
        (!fits).then_some(
            "is no routing key: copy the integration key of an Events API v2 integration, 32 letters and digits",
        )
    }
}

/// Who reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// The person whom it is about.
    Person,
    /// Everybody in this channel.
    Channel(String),
}

/// A message in Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slack {
    pub token_file: PathBuf,
    pub to: Recipient,
    pub api: String,
    pub ca_file: PathBuf,
    pub proxy: Option<String>,
}

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    /// Empty: the person whom it is about.
    pub to: Vec<String>,
    pub way: MailWay,
}

/// How a mail leaves this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailWay {
    /// By this program, which takes the message on standard input.
    Sendmail(PathBuf),
    /// By a server.
    Smtp {
        host: String,
        port: u16,
        tls: SmtpTls,
        user: Option<String>,
        password_file: Option<PathBuf>,
        ca_file: PathBuf,
    },
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// It begins plain and must become secure before anything is sent (port 587).
    Starttls,
    /// It begins with TLS (port 465).
    Tls,
    /// It has none: to this host alone, and with nothing secret.
    None,
}

/// JSON by POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `https://HOST[:PORT]`.
    pub base: String,
    /// The path behind it.
    pub path: String,
    pub secret_file: PathBuf,
    pub ca_file: PathBuf,
    pub proxy: Option<String>,
}

/// An event of PagerDuty's Events API, version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagerDuty {
    pub routing_key_file: PathBuf,
    /// The id of the service whose key that is, where it is written.
    pub service: Option<String>,
    pub api: String,
    pub ca_file: PathBuf,
    pub proxy: Option<String>,
    /// critical, error, warning or info.
    pub severity: String,
    /// An expression: trigger, acknowledge, resolve, or nothing.
    pub action: String,
    /// An expression: what is one alert.
    pub dedup: String,
}

/// By which transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Tcp,
    Udp,
    Tls,
}

/// Graylog's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gelf {
    pub host: String,
    pub port: u16,
    pub transport: Transport,
}

/// Syslog as RFC 5424 has it, framed as RFC 6587 counts octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    pub host: String,
    pub port: u16,
    pub transport: Transport,
    pub ca_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackSection {
    token_file: PathBuf,
    to: String,
    api: Option<String>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSection {
    from: String,
    to: To,
    sendmail: Option<PathBuf>,
    server: Option<String>,
    tls: Option<SmtpTls>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

/// `"person"`, or addresses.
#[derive(Deserialize)]
#[serde(untagged)]
enum To {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSection {
    url: String,
    secret_file: PathBuf,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDutySection {
    routing_key_file: PathBuf,
    service: Option<String>,
    api: Option<String>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
    severity: Option<String>,
    action: Option<String>,
    dedup: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GelfSection {
    server: String,
    transport: Transport,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogSection {
    server: String,
    transport: Transport,
    ca_file: Option<PathBuf>,
}

type Beside<'b> = &'b dyn Fn(&Path) -> PathBuf;

impl SlackSection {
    pub fn check(self, beside: Beside<'_>) -> Result<Slack, String> {
        let to = match self.to.as_str() {
            "person" => Recipient::Person,
            channel if is_slack_channel(channel) => Recipient::Channel(channel.to_string()),
            other => return Err(format!("`to` is \"person\" or a channel's id, as C0123456789: `{other}`")),
        };
        let api = https("api", self.api.as_deref().unwrap_or("https://slack.com/api"))?;
        let ca_file = authorities(self.ca_file, beside);
        Ok(Slack { token_file: beside(&self.token_file), to, api, ca_file, proxy: self.proxy })
    }
}

fn is_slack_channel(text: &str) -> bool {
    let rest = text.strip_prefix('#').unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !rest.is_empty() && rest.len() <= 80 && rest.bytes().all(is_plain)
}

impl MailSection {
    pub fn check(self, beside: Beside<'_>) -> Result<Mail, String> {
        let to = match self.to {
            To::One(one) if one == "person" => vec![],
            To::One(one) => vec![one],
            To::Many(many) if many.is_empty() => return Err("`to` has nobody in it".into()),
            To::Many(many) => many,
        };
        if let Some(bad) = to.iter().chain([&self.from]).find(|address| !is_address(address)) {
            return Err(format!("`{bad}` is no mail address; write oncall@example.com, or to = \"person\""));
        }
        let way = match (self.sendmail, self.server) {
            (Some(program), None) if program.is_absolute() => MailWay::Sendmail(program),
            (None, Some(server)) => {
                let tls = self.tls.unwrap_or(SmtpTls::Starttls);
                let (host, port) = address(&server, if tls == SmtpTls::Tls { 465 } else { 587 })?;
                if self.user.is_some() != self.password_file.is_some() {
                    return Err("`user` and `password_file` go together".into());
                }
                if tls == SmtpTls::None && (self.user.is_some() || !is_this_host(&host)) {
                    let text = "`tls = \"none\"` is for a server on this host (127.0.0.1, ::1), without a password; \
                                write tls = \"starttls\" or \"tls\"";
                    return Err(text.into());
                }
                let password_file = self.password_file.map(|file| beside(&file));
                let ca_file = authorities(self.ca_file, beside);
                MailWay::Smtp { host, port, tls, user: self.user, password_file, ca_file }
            }
            _ => {
                return Err("write `server = \"HOST[:PORT]\"`, or `sendmail = \"/usr/sbin/sendmail\"`".into());
            }
        };
        Ok(Mail { from: self.from, to, way })
    }
}

impl WebhookSection {
    pub fn check(self, beside: Beside<'_>) -> Result<Webhook, String> {
        let url = https("url", &self.url)?;
        let (base, path) = split_path(&url);
        let ca_file = authorities(self.ca_file, beside);
        let (base, path) = (base.to_string(), path.to_string());
        Ok(Webhook { base, path, secret_file: beside(&self.secret_file), ca_file, proxy: self.proxy })
    }
}

impl PagerDutySection {
    pub fn check(self, beside: Beside<'_>) -> Result<PagerDuty, String> {
        let severity = self.severity.unwrap_or_else(|| "critical".into());
        if !["critical", "error", "warning", "info"].contains(&severity.as_str()) {
            return Err(format!("`severity` is critical, error, warning or info: `{severity}`"));
        }
        let action = self.action.unwrap_or_else(|| "'trigger'".into());
        let dedup = self.dedup.unwrap_or_else(|| "host ~ ' ' ~ id".into());
        for (key, expression) in [("action", &action), ("dedup", &dedup)] {
            crate::words::check_expression(expression).map_err(|problem| format!("`{key}`: {problem}"))?;
        }
        Ok(PagerDuty {
            routing_key_file: beside(&self.routing_key_file),
            service: self.service,
            api: https("api", self.api.as_deref().unwrap_or("https://events.pagerduty.com"))?,
            ca_file: authorities(self.ca_file, beside),
            proxy: self.proxy,
            severity,
            action,
            dedup,
        })
    }
}

impl GelfSection {
    pub fn check(self) -> Result<Gelf, String> {
        let (host, port) = address(&self.server, 12201)?;
        match self.transport {
            Transport::Tls => Err("`transport` is \"tcp\" or \"udp\"; TLS is not built for GELF".into()),
            transport => Ok(Gelf { host, port, transport }),
        }
    }
}

impl SyslogSection {
    pub fn check(self, beside: Beside<'_>) -> Result<Syslog, String> {
        let (host, port) = address(&self.server, if self.transport == Transport::Tls { 6514 } else { 601 })?;
        match self.transport {
            Transport::Udp => Err("`transport` is \"tcp\" or \"tls\"; what UDP loses nobody knows".into()),
            transport => Ok(Syslog { host, port, transport, ca_file: authorities(self.ca_file, beside) }),
        }
    }
}

fn authorities(file: Option<PathBuf>, beside: Beside<'_>) -> PathBuf {
    beside(file.as_deref().unwrap_or(Path::new(AUTHORITIES)))
}

fn is_this_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
