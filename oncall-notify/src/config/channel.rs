//! `[[channel]]` of notify.toml: a name, what it takes, what it says, and the one kind that it is of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use policy::Span;
use serde::Deserialize;

use super::kinds::{
    GelfSection, Kind, MailSection, PagerDutySection, Recipient, SlackSection, SyslogSection, WebhookSection,
};
use crate::words::{self, Medium, Words};

/// Who people are to channels that tell them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// Whoever is not in the table has their name at this domain.
    pub mail_domain: Option<String>,
    /// Addresses by names.
    pub mail: BTreeMap<String, String>,
    /// The command that revokes, a template.
    pub revoke: String,
}

impl People {
    /// The mail address of a person, if there is one.
    pub fn address(&self, person: &str) -> Option<String> {
        if let Some(address) = self.mail.get(person) {
            return Some(address.clone());
        }
        policy::Principal::new(person).ok()?;
        self.mail_domain.as_ref().map(|domain| format!("{person}@{domain}"))
    }
}

/// Who is told, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name, for people and for the directory of what waits for it.
    pub name: String,
    /// Which notices it takes: an expression.
    pub filter: String,
    /// What it says.
    pub words: Words,
    /// For how long one person is told once; nothing: each record is told.
    pub window: Option<Span>,
    /// Notices older than this are told as one; nothing: each is told, however old.
    pub digest_after: Option<Span>,
    /// The most notices that wait; more are told as one.
    pub most: usize,
    /// Where it goes.
    pub kind: Kind,
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSection {
    name: String,
    filter: Option<String>,
    template: Option<String>,
    digest: Option<String>,
    subject: Option<String>,
    window: Option<String>,
    digest_after: Option<String>,
    most: Option<usize>,
    slack: Option<SlackSection>,
    mail: Option<MailSection>,
    webhook: Option<WebhookSection>,
    pagerduty: Option<PagerDutySection>,
    gelf: Option<GelfSection>,
    syslog: Option<SyslogSection>,
}

/// What holds for a kind unless it is written otherwise.
struct Usual {
    filter: &'static str,
    template: &'static str,
    medium: Medium,
    /// Is it read by people, who are told once of what happens often?
    is_for_people: bool,
}

impl ChannelSection {
    /// What it means; names of files are made whole by `beside`.
    ///
    /// # Errors
    /// Text that says what does not hold.
    pub fn check(self, beside: &dyn Fn(&Path) -> PathBuf, people: &People) -> Result<Channel, String> {
        let name = self.name.clone();
        let is_name = policy::is_site_name(&name) && !name.starts_with('.');
        if !is_name {
            return Err(format!(
                "`{name}` is no name of a channel; write up to 64 letters, digits, . _ and -"
            ));
        }
        self.check_named(beside, people).map_err(|problem| format!("channel {name}: {problem}"))
    }

    fn check_named(self, beside: &dyn Fn(&Path) -> PathBuf, people: &People) -> Result<Channel, String> {
        let kinds = [
            self.slack.map(|section| section.check(beside).map(Kind::Slack)),
            self.mail.map(|section| section.check(beside).map(Kind::Mail)),
            self.webhook.map(|section| section.check(beside).map(Kind::Webhook)),
            self.pagerduty.map(|section| section.check(beside).map(Kind::PagerDuty)),
            self.gelf.map(|section| section.check().map(Kind::Gelf)),
            self.syslog.map(|section| section.check(beside).map(Kind::Syslog)),
        ];
        let [kind] = &mut kinds.into_iter().flatten().collect::<Vec<_>>()[..] else {
            return Err("write one of slack, mail, webhook, pagerduty, gelf, syslog".into());
        };
        let kind = std::mem::replace(kind, Err(String::new()))?;
        let usual = usual(&kind);
        if kind.tells_people() && people.mail_domain.is_none() && people.mail.is_empty() {
            return Err("people are found by their mail: write [people] mail_domain = \"example.com\"".into());
        }
        let words = Words {
            template: self.template.unwrap_or_else(|| usual.template.to_string()),
            digest: self.digest.unwrap_or_else(|| words::DIGEST.to_string()),
            subject: self.subject.unwrap_or_else(|| words::SUBJECT.to_string()),
            medium: usual.medium,
        };
        for (key, text) in
            [("template", &words.template), ("digest", &words.digest), ("subject", &words.subject)]
        {
            words::check_template(text).map_err(|problem| format!("`{key}`: {problem}"))?;
        }
        let filter = self.filter.unwrap_or_else(|| usual.filter.to_string());
        words::check_expression(&filter).map_err(|problem| format!("`filter`: {problem}"))?;
        let for_people = |usual_length| if usual.is_for_people { usual_length } else { "none" };
        let window = length("window", self.window.as_deref(), for_people("10m"))?;
        let digest_after = length("digest_after", self.digest_after.as_deref(), for_people("1h"))?;
        let most = self.most.unwrap_or(10_000);
        if !(16..=100_000).contains(&most) {
            return Err("`most` is 16 to 100000 notices".into());
        }
        Ok(Channel { name: self.name, filter, words, window, digest_after, most, kind })
    }
}

/// What was done in somebody's name.
const OF_A_PERSON: &str = "event in ['opened', 'vpn']";

fn usual(kind: &Kind) -> Usual {
    let (filter, template, medium, is_for_people) = match kind {
        Kind::Slack(slack) if slack.to == Recipient::Person => {
            (OF_A_PERSON, words::PERSONAL, Medium::Slack, true)
        }
        Kind::Slack(_) => ("event in ['opened', 'refused']", words::TEMPLATE, Medium::Slack, true),
        Kind::Mail(mail) if mail.to.is_empty() => (OF_A_PERSON, words::PERSONAL, Medium::Plain, true),
        Kind::Mail(_) => ("event in ['opened', 'refused']", words::TEMPLATE, Medium::Plain, true),
        Kind::PagerDuty(_) => ("reason == 'break-glass'", words::TEMPLATE, Medium::Line, false),
        Kind::Webhook(_) => ("true", words::TEMPLATE, Medium::Plain, false),
        Kind::Gelf(_) | Kind::Syslog(_) => ("true", words::TEMPLATE, Medium::Line, false),
    };
    Usual { filter, template, medium, is_for_people }
}

/// A length of time between a second and a week, or `none`.
pub fn length(key: &str, written: Option<&str>, usual: &str) -> Result<Option<Span>, String> {
    match written.unwrap_or(usual) {
        "none" => Ok(None),
        text => {
            let length = host::config::duration(text).map_err(|error| format!("`{key}`: {error}"))?;
            let fits = (1..=7 * 24 * 3600).contains(&length.as_seconds());
            if fits { Ok(Some(length)) } else { Err(format!("`{key}` is 1s to 7d, or \"none\"")) }
        }
    }
}
