//! `/etc/authkeys/notify.toml`: which records are followed, and who is told what. Read by this program alone.
//!
//! As config.toml: root's file, a key that is not known is an error with its line. Secrets are files that it names.

mod channel;
mod events;
mod kinds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::{FileError, toml_file};
use serde::Deserialize;
use toml::Spanned;

pub use channel::{Channel, People};
pub use events::{Events, PERSON};
pub use kinds::{
    Gelf, Kind, Mail, MailWay, PagerDuty, Recipient, Slack, SmtpTls, Syslog, Transport, Webhook,
};

use channel::ChannelSection;
use events::EventSection;

/// The most channels; each has a thread of its own.
const MOST_CHANNELS: usize = 16;

/// What the administrator wrote, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Files, directories, and names with `*` in them.
    pub files: Vec<PathBuf>,
    /// Where positions and what is not delivered yet are kept.
    pub state: PathBuf,
    /// Who people are to channels that tell them.
    pub people: People,
    /// Who may tell of VPN logins, if somebody may.
    pub events: Option<Events>,
    /// Who is told.
    pub channels: Vec<Channel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    files: Option<Spanned<Vec<PathBuf>>>,
    state: Option<PathBuf>,
    #[serde(default)]
    people: PeopleSection,
    event: Option<Spanned<EventSection>>,
    #[serde(default)]
    channel: Vec<Spanned<ChannelSection>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeopleSection {
    mail_domain: Option<Spanned<String>>,
    #[serde(default)]
    mail: BTreeMap<String, Spanned<String>>,
    revoke: Option<Spanned<String>>,
}

/// A complaint: where, in bytes, and what.
type Problem = (usize, String);

impl Config {
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
        toml_file::checked(path, text, |file: File| file.check(path))
    }

    /// The channel of this name.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }
}

impl File {
    fn check(self, path: &Path) -> Result<Config, Problem> {
        let beside = |name: &Path| path.parent().unwrap_or(Path::new("/")).join(name);
        let at = self.files.as_ref().map_or(0, |files| files.span().start);
        let files = self.files.map(Spanned::into_inner).unwrap_or_default();
        if files.is_empty() && self.event.is_none() {
            return Err((
                at,
                "`files` names none; the record of this host is /var/log/authkeys/decisions.jsonl".into(),
            ));
        }
        let events = self.event.map(|event| event.into_inner().check()).transpose()?;
        if let Some(relative) = files.iter().find(|file| !file.is_absolute()) {
            return Err((at, format!("`files` has {}, which does not begin with /", relative.display())));
        }
        let people = self.people.check()?;
        let mut channels: Vec<Channel> = Vec::new();
        for section in self.channel {
            let at = section.span().start;
            let channel = section.into_inner().check(&beside, &people).map_err(|text| (at, text))?;
            if channels.iter().any(|other| other.name == channel.name) {
                return Err((at, format!("two channels are called `{}`", channel.name)));
            }
            channels.push(channel);
        }
        if channels.is_empty() || channels.len() > MOST_CHANNELS {
            let text = format!("write 1 to {MOST_CHANNELS} [[channel]] sections, with whom to tell");
            return Err((at, text));
        }
        let state = self.state.unwrap_or_else(|| "/var/lib/oncall-notify".into());
        Ok(Config { files, state: beside(&state), people, events, channels })
    }
}

impl PeopleSection {
    fn check(self) -> Result<People, Problem> {
        if let Some(domain) = &self.mail_domain
            && !is_domain(domain.get_ref())
        {
            let text = format!("`{}` is no domain; write example.com", domain.get_ref());
            return Err((domain.span().start, text));
        }
        for (person, address) in &self.mail {
            if !is_address(address.get_ref()) {
                let text = format!("`{}` of {person} is no mail address", address.get_ref());
                return Err((address.span().start, text));
            }
        }
        if let Some(revoke) = &self.revoke {
            crate::words::check_template(revoke.get_ref()).map_err(|text| (revoke.span().start, text))?;
        }
        Ok(People {
            mail_domain: self.mail_domain.map(Spanned::into_inner),
            mail: self.mail.into_iter().map(|(person, address)| (person, address.into_inner())).collect(),
            revoke: self.revoke.map_or_else(|| crate::words::REVOKE.to_string(), Spanned::into_inner),
        })
    }
}

/// Letters, digits, points and dashes.
fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

/// As mail programs write one without a name: no blanks, no brackets, one @.
pub fn is_address(text: &str) -> bool {
    let is_local = |local: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
        !local.is_empty() && local.len() <= 64 && local.bytes().all(plain)
    };
    text.split_once('@').is_some_and(|(local, domain)| is_local(local) && is_domain(domain))
}

#[cfg(test)]
mod tests;
