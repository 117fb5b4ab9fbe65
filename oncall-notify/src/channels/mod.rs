//! Delivering notices by a channel. Each kind has a file, and knows no other.

mod gelf;
mod mail;
mod pagerduty;
mod slack;
mod smtp;
mod stream;
mod syslog;
mod webhook;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use host::secret::Secret;
use http::{Client, HttpError, Reply, RetryAfter, Route};
use serde_json::{Value, json};

use self::stream::Stream;
use crate::config::{Channel, Kind, People};
use crate::notice::{Notice, instant};
use crate::spool::Entry;

/// Within so long an attempt has an end.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Within so long it has one whatever the other side does: one that says a byte now and then outlasts every other limit.
const WHOLE: Duration = Duration::from_secs(60);

/// The most attempts of a channel that nobody waits for any more and that have no end yet.
const MOST_LEFT: usize = 4;

/// Between the addresses that did not get a notice yet, where they are its recipient: in none of them.
pub const BETWEEN: char = ',';

/// What this program calls itself.
const AGENT: &str = concat!("oncall-notify/", env!("CARGO_PKG_VERSION"));

/// Why a notice was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It may be later; after how long, where the service says so.
    Later(String, Option<Duration>),
    /// It may be later, and what is in the way is about this notice or its reader alone: others need not wait for it.
    Apart(String),
    /// It was, but not to these addresses, which may get it later.
    Rest(Vec<String>, String),
    /// It never will be: the service does not want this one.
    Never(String),
}

impl Failure {
    /// It may be delivered later, who knows when.
    pub fn later(why: impl std::fmt::Display) -> Self {
        Self::Later(why.to_string(), None)
    }

    /// What is in the way.
    pub fn why(&self) -> &str {
        match self {
            Self::Later(why, _) | Self::Apart(why) | Self::Rest(_, why) | Self::Never(why) => why,
        }
    }

    /// This notice will not be.
    pub fn never(why: impl std::fmt::Display) -> Self {
        Self::Never(why.to_string())
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::later(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::later(error)
    }
}

/// A notice in a channel's words.
pub struct Message<'n> {
    pub notice: &'n Notice,
    /// On one line.
    pub subject: String,
    pub text: String,
    /// The mail address of whoever reads it, where that is one person.
    pub reader: Option<String>,
    /// Those of a channel's addresses that did not get it yet; empty: all.
    pub rest: Vec<String>,
}

/// Who gets this notice by this channel: the person, where it tells people, or everybody (nothing).
pub fn recipient(channel: &Channel, notice: &Notice) -> String {
    if channel.kind.tells_people() { notice.person().to_string() } else { String::new() }
}

/// The attempts of a channel.
#[derive(Default)]
pub struct Attempts {
    /// Those that have no end yet.
    running: Arc<AtomicUsize>,
}

impl Attempts {
    /// Delivers these, more than one where [`carries_many`]; what became of each.
    pub fn deliver(&self, channel: &Channel, people: &People, entries: &[Entry]) -> Vec<Result<(), Failure>> {
        let (channel, people, sent) = (channel.clone(), people.clone(), entries.to_vec());
        let attempt = move || Ok(deliver(&channel, &people, &sent));
        self.within(WHOLE, attempt).unwrap_or_else(|failure| vec![Err(failure); entries.len()])
    }

    /// Does it in a thread of its own, and waits for so long.
    fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        attempt: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let running = Arc::clone(&self.running);
        if running.load(Ordering::Relaxed) >= MOST_LEFT {
            return Err(Failure::later("attempts from before have no end yet"));
        }
        running.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = mpsc::channel();
        let counted = Arc::clone(&running);
        let started = thread::Builder::new().stack_size(512 * 1024).spawn(move || {
            let outcome = attempt();
            counted.fetch_sub(1, Ordering::Relaxed);
            // Nobody waits for it any more: it is tried again.
            let _ = tell.send(outcome);
        });
        if let Err(error) = started {
            running.fetch_sub(1, Ordering::Relaxed);
            return Err(error.into());
        }
        told.recv_timeout(limit).unwrap_or_else(|_| {
            Err(Failure::later(format_args!("no end of it within {} s", limit.as_secs())))
        })
    }
}

/// Does one attempt carry many notices, over one connection?
pub fn carries_many(kind: &Kind) -> bool {
    stream_of(kind).is_some()
}

/// Where a stream of messages goes, which is not answered.
fn stream_of(kind: &Kind) -> Option<Stream<'_>> {
    match kind {
        Kind::Syslog(syslog) => Some(syslog::stream(syslog)),
        Kind::Gelf(gelf) => gelf::stream(gelf),
        Kind::Slack(_) | Kind::Mail(_) | Kind::Webhook(_) | Kind::PagerDuty(_) => None,
    }
}

fn deliver(channel: &Channel, people: &People, entries: &[Entry]) -> Vec<Result<(), Failure>> {
    let messages = entries.iter().map(|entry| message(channel, people, entry));
    match stream_of(&channel.kind) {
        Some(stream) => stream.send(messages.map(|message| framed(&channel.kind, &message?)).collect()),
        None => messages.map(|message| tell(&channel.kind, &message?)).collect(),
    }
}

/// A message as it is in a stream.
fn framed(kind: &Kind, message: &Message<'_>) -> Result<Vec<u8>, Failure> {
    match kind {
        Kind::Syslog(_) => syslog::framed(message),
        Kind::Gelf(_) => Ok(gelf::framed(message)),
        Kind::Slack(_) | Kind::Mail(_) | Kind::Webhook(_) | Kind::PagerDuty(_) => Ok(vec![]),
    }
}

/// Tells one message that is no part of a stream.
fn tell(kind: &Kind, message: &Message<'_>) -> Result<(), Failure> {
    match kind {
        Kind::Slack(slack) => slack::deliver(slack, message),
        Kind::Mail(mail) => mail::deliver(mail, message),
        Kind::Webhook(webhook) => webhook::deliver(webhook, message),
        Kind::PagerDuty(pagerduty) => pagerduty::deliver(pagerduty, message),
        Kind::Gelf(gelf) => gelf::datagram(gelf, message),
        Kind::Syslog(_) => Ok(()),
    }
}

/// The message that this channel would send.
///
/// # Errors
/// Nobody can be told.
pub fn message<'n>(channel: &Channel, people: &People, entry: &'n Entry) -> Result<Message<'n>, Failure> {
    let (subject, text) = channel.words.say(&entry.notice, &people.revoke);
    let (reader, rest) = if channel.kind.tells_people() {
        let person = reader(entry)?;
        let address = people.address(person);
        let address =
            address.ok_or_else(|| Failure::never(format_args!("no mail address of `{person}` is known")))?;
        (Some(address), vec![])
    } else {
        let rest = entry.recipient.split(BETWEEN).filter(|address| !address.is_empty());
        (None, rest.map(str::to_string).collect())
    };
    Ok(Message { notice: &entry.notice, subject, text, reader, rest })
}

/// The person whom it is for. What waited when the channel told everybody is for whom it is about.
fn reader(entry: &Entry) -> Result<&str, Failure> {
    if !entry.recipient.is_empty() {
        return Ok(&entry.recipient);
    }
    match &entry.notice {
        Notice::Many(many) if many.people.count() > (1, false) => {
            let people = many.people.count().0;
            Err(Failure::never(format_args!("it is about {people} people, from before it told each of them")))
        }
        notice => Ok(notice.person()),
    }
}

/// A client for one attempt.
fn client(base: &str, ca_file: &Path, proxy: Option<&String>) -> Result<Client, Failure> {
    let deadline = Instant::now() + LIMIT;
    let route = Route { agent: AGENT, ca_file, proxy: proxy.map(String::as_str), deadline };
    Ok(Client::new(base, route, &[])?)
}

fn secret(file: &Path) -> Result<Secret, Failure> {
    Secret::read(file).map_err(Failure::later)
}

/// What the status of an answer means for a notice. What is wrong with this one alone will be wrong with it for ever;
/// all else somebody mends.
fn judge(reply: &Reply) -> Result<(), Failure> {
    match reply.status {
        200..=299 => Ok(()),
        400 | 413 | 414 | 422 => {
            Err(Failure::never(format_args!("the service refuses it: status {}", reply.status)))
        }
        status => {
            let after = match reply.retry() {
                RetryAfter::In(span) => u64::try_from(span.as_seconds()).ok().map(Duration::from_secs),
                RetryAfter::At(_) | RetryAfter::Unknown => None,
            };
            Err(Failure::Later(format!("the service answers status {status}"), after))
        }
    }
}

/// What a notice says, for programs.
fn facts(notice: &Notice) -> Value {
    match notice {
        Notice::One(one) => json!({ "kind": "record", "record": one.fields }),
        Notice::Many(many) => {
            let names = |names: &crate::notice::Names| {
                let (count, more) = names.count();
                json!({ "count": count, "more": more, "names": names.iter().collect::<Vec<_>>() })
            };
            let digest = json!({
                "count": many.count, "crowded": many.crowded,
                "first": instant(many.first), "last": instant(many.last),
                "people": names(&many.people), "accounts": names(&many.accounts),
                "hosts": names(&many.hosts), "events": names(&many.events),
            });
            json!({ "kind": "digest", "digest": digest })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_one_notice_holds_up_no_other() {
        let judged = |status: u16, after: Option<&str>| {
            judge(&Reply { status, retry_after: after.map(str::to_string), ..Reply::default() })
        };
        assert_eq!(judged(202, None), Ok(()));
        assert!(matches!(judged(400, None), Err(Failure::Never(_))));
        let after = Some(Duration::from_secs(7));
        assert!(matches!(judged(429, Some("7")), Err(Failure::Later(_, told)) if told == after));
        for status in [301, 401, 403, 404, 500, 503] {
            assert!(matches!(judged(status, None), Err(Failure::Later(_, None))), "{status}");
        }
    }

    #[test]
    fn what_waited_when_a_channel_told_everybody_is_for_whom_it_is_about() {
        let one = |person: &str| crate::notice::One {
            id: "a".into(),
            at: 0,
            fields: [("person".to_string(), person.to_string())].into(),
        };
        let entry = |notice| Entry { covers: vec![], recipient: String::new(), notice };
        assert_eq!(reader(&entry(Notice::One(one("alice")))), Ok("alice"));
        let mut many = crate::notice::Many::of(&one("alice"));
        assert_eq!(reader(&entry(Notice::Many(many.clone().into()))), Ok("alice"));
        many.add(&one("bob"));
        let told = reader(&entry(Notice::Many(many.into()))).unwrap_err();
        assert!(matches!(told, Failure::Never(why) if why.starts_with("it is about 2 people")));
    }

    #[test]
    fn an_attempt_without_an_end_is_left_and_few_of_them_are_made() {
        let attempts = Attempts::default();
        assert_eq!(attempts.within(Duration::from_secs(600), || Ok(())), Ok(()));
        let (end, ends) = mpsc::channel::<()>();
        let ends = Arc::new(std::sync::Mutex::new(ends));
        for number in 0..2 * MOST_LEFT {
            let ends = Arc::clone(&ends);
            let endless = move || {
                let _ = ends.lock().map(|ends| ends.recv());
                Ok(())
            };
            let outcome = attempts.within(Duration::from_millis(1), endless);
            let Err(Failure::Later(why, None)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(why.contains("from before"), number >= MOST_LEFT, "{why}");
        }
        drop(end);
    }
}
