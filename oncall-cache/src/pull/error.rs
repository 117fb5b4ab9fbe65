//! Why a pull took nothing over. Whatever it was, what this host has stays byte for byte.

use std::fmt;
use std::io;
use std::path::PathBuf;

use fleet::{Digest, HeadRefusal, ObjectError, ObjectRef};
use host::config::FleetUrl;
use http::HttpError;
use mirror::{FleetError, MirrorError, ObjectProblem};
use policy::revocations::RevocationsError;
use policy::{Span, Timestamp};
use publish::PublishError;
use trust::Refusal;

use super::limits::TIME;

/// Why one url of the store gave nothing.
#[derive(Debug)]
pub enum StoreError {
    /// It has no such path.
    Missing,
    /// It answered with this status.
    Status(u16),
    /// There is no whole answer.
    Http(HttpError),
    /// The file could not be read.
    File(PathBuf, io::Error),
    /// What it wants to be shown is not to be had.
    Header(String),
    /// It failed too often in this pull.
    GivenUp,
    /// This pull has asked for as much as it may.
    TooMuch {
        /// The most requests.
        requests: u32,
        /// The most bytes.
        bytes: u64,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there (404)"),
            Self::Status(status) if http::is_redirect(*status) => {
                write!(f, "a redirect ({status}), which is not followed; check `urls` in [fleet]")
            }
            Self::Status(304) => f.write_str(
                "it answers that nothing has changed (304), which this host did not ask; check the store's web server, and \
                 caches in between",
            ),
            Self::Status(status @ (401 | 403)) => {
                write!(
                    f,
                    "status {status}; check `header_file` in [fleet], or the bucket's policy \
                     (S3 says so of what is not there, too)"
                )
            }
            Self::Status(status) => write!(f, "status {status}"),
            Self::Http(HttpError::Deadline(url)) => {
                write!(f, "{url}: no complete answer in its share of the {} seconds of a pull", TIME.as_secs())
            }
            Self::Http(HttpError::Name { host, cause }) => {
                write!(
                    f,
                    "{host}: no address found; check `urls` in [fleet] and this host's resolver: {cause}"
                )
            }
            Self::Http(HttpError::Api) => f.write_str("not a usable address; check `urls` in [fleet]"),
            Self::Http(error @ HttpError::Exchange { passing: false, .. }) => {
                write!(f, "{error}; check `ca_file` and `urls` in [fleet], and the store's certificate")
            }
            Self::Http(error) => error.fmt(f),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Header(problem) => write!(f, "header_file: {problem}"),
            Self::GivenUp => f.write_str("it failed too often in this pull"),
            Self::TooMuch { requests, bytes } => {
                write!(f, "a pull ends after {requests} requests and {bytes} bytes; the next one goes on")
            }
        }
    }
}

/// What was wrong with an object.
#[derive(Debug)]
pub enum ObjectTrouble {
    /// No url of the store gave it.
    Store(StoreError),
    /// What came is not what is named.
    Wrong(ObjectProblem),
    /// It is, and cannot be read.
    Form(ObjectError),
    /// The same of revocations.
    Revoked(RevocationsError),
    /// The same of the tree of people.
    Tree(String),
    /// This host could not keep it.
    Mirror(MirrorError),
}

impl ObjectTrouble {
    /// The word for it in status and records; none where it is this host's own trouble.
    fn word(&self) -> Option<&'static str> {
        match self {
            Self::Store(StoreError::Http(HttpError::TooLarge { .. })) => Some("object-size"),
            Self::Store(_) => Some("object-missing"),
            Self::Wrong(problem) => Some(problem.word()),
            Self::Form(_) | Self::Revoked(_) | Self::Tree(_) => Some(ObjectError::WORD),
            Self::Mirror(_) => None,
        }
    }

    /// Of what several urls did wrong the gravest is shown.
    fn rank(&self) -> u8 {
        match self {
            Self::Store(StoreError::Missing | StoreError::GivenUp) => 0,
            Self::Store(_) => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for ObjectTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Wrong(problem) => problem.fmt(f),
            Self::Form(error) => error.fmt(f),
            Self::Revoked(error) => error.fmt(f),
            Self::Tree(error) => f.write_str(error),
            Self::Mirror(error) => error.fmt(f),
        }
    }
}

/// An object that this host needs and did not get.
#[derive(Debug)]
pub struct ObjectFailure {
    digest: Digest,
    trouble: ObjectTrouble,
    url: Option<String>,
}

impl ObjectFailure {
    /// No url is to blame so far.
    pub fn new(object: &ObjectRef, trouble: ObjectTrouble) -> Self {
        Self { digest: object.digest, trouble, url: None }
    }

    /// `url` had this trouble with it.
    pub fn add(&mut self, trouble: ObjectTrouble, url: Option<&FleetUrl>) {
        if self.url.is_none() || trouble.rank() > self.trouble.rank() {
            self.url = url.map(ToString::to_string);
            self.trouble = trouble;
        }
    }

    /// May it be another head that the store has by now? Then its objects are other ones.
    pub fn may_have_moved(&self) -> bool {
        matches!(self.trouble, ObjectTrouble::Store(_) | ObjectTrouble::Wrong(_))
    }
}

impl fmt::Display for ObjectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {}: {}", self.digest, self.trouble)
    }
}

/// Why a url's head was not taken.
#[derive(Debug)]
pub enum HeadTrouble {
    /// There is none to be had.
    Store(StoreError),
    /// It does not count.
    Refused(FleetError),
}

impl HeadTrouble {
    fn word(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Http(HttpError::TooLarge { .. })) => "head-form",
            Self::Store(_) => UNREACHABLE,
            Self::Refused(error) => error.word(),
        }
    }

    /// Did it only take longer than it was waited for?
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Store(StoreError::Http(HttpError::Deadline(_))))
    }

    /// Of what several urls did wrong the gravest is shown: a mirror that lags is usual.
    fn rank(&self) -> u8 {
        match self {
            Self::Store(_) => 0,
            Self::Refused(FleetError::Refused(HeadRefusal::Replay(_))) => 1,
            Self::Refused(_) => 2,
        }
    }

    /// Is that to be shown, though another url had a good one?
    pub fn is_alarming(&self) -> bool {
        self.rank() > 1
    }
}

impl fmt::Display for HeadTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(StoreError::Missing) => {
                f.write_str("no head there (404): nothing is published yet, or it is another path; check `urls` in [fleet]")
            }
            Self::Store(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

/// The word where a store showed nothing.
const UNREACHABLE: &str = "store-unreachable";

/// The word where clocks differ.
const SKEW: &str = "clock-skew";

/// Why nothing was taken over.
#[derive(Debug)]
pub enum PullError {
    /// config.toml has no [fleet].
    NoFleet,
    /// So many pulls failed, so that none asks before this instant.
    Waits(u32, Timestamp),
    /// The file of signers is of no use.
    Signers(Refusal),
    /// What was taken over before is not known, or something cannot be written.
    Mirror(MirrorError),
    /// The same of another file.
    Write(PublishError),
    /// The store cannot be asked at all.
    Store(StoreError),
    /// The first pull, and this host's clock is before the release that it runs.
    Early(Timestamp),
    /// The first pull, and this url's clock and this host's are so far apart.
    Skew(String, Span),
    /// No url has a head that counts: each with what was wrong.
    Heads(Vec<(String, HeadTrouble)>),
    /// An object is not to be had.
    Object(ObjectFailure),
}

/// What status shows of a pull that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Which rule.
    pub word: &'static str,
    /// Which url, where it was one.
    pub url: String,
}

impl PullError {
    /// What of the store was refused; `None` where the trouble is this host's own.
    pub fn refused(&self) -> Option<Shown> {
        let shown = |word, url: &str| Some(Shown { word, url: url.to_string() });
        match self {
            Self::Heads(all) => {
                let worst = worst(all)?;
                shown(worst.1.word(), &worst.0)
            }
            Self::Object(failure) => {
                shown(failure.trouble.word()?, failure.url.as_deref().unwrap_or("the store"))
            }
            Self::Skew(url, _) => shown(SKEW, url),
            Self::Early(_) => shown(SKEW, "this host"),
            Self::Store(_) => shown(UNREACHABLE, "the store"),
            Self::Signers(_) => shown("head-signature", "this host"),
            Self::NoFleet | Self::Waits(..) | Self::Mirror(_) | Self::Write(_) => None,
        }
    }

    /// What is wrong, without the url and the rule.
    pub fn text(&self) -> String {
        match self {
            Self::Heads(all) => worst(all).map_or_else(String::new, |(_, trouble)| trouble.to_string()),
            other => other.to_string(),
        }
    }
}

/// The gravest; of two that are as grave the first.
fn worst(all: &[(String, HeadTrouble)]) -> Option<&(String, HeadTrouble)> {
    all.iter().rev().max_by_key(|(_, trouble)| trouble.rank())
}

impl fmt::Display for PullError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFleet => {
                f.write_str("config.toml has no [fleet]; set `id` and `urls` of the store there")
            }
            Self::Waits(failures, until) => {
                match failures {
                    1 => f.write_str("the last pull failed")?,
                    _ => write!(f, "the last {failures} pulls failed")?,
                }
                write!(
                    f,
                    ", so the store is left alone until {until}; `oncall-cache status` says why they failed, \
                     `oncall-cache pull --now` asks at once"
                )
            }
            Self::Signers(refusal) if refusal.is_missing() => {
                write!(f, "`signers` of [fleet]: {refusal}; copy the file from the collector")
            }
            Self::Signers(refusal) => write!(f, "`signers` of [fleet]: {refusal}"),
            Self::Mirror(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Early(now) => write!(
                f,
                "this host's clock shows {now}, which is before this release was made (clock-skew); set it, and pull again"
            ),
            Self::Skew(_, by) => write!(
                f,
                "the store's clock and this host's are {by} apart (clock-skew); set this host's clock, and pull again"
            ),
            Self::Heads(all) => {
                let line =
                    |(url, trouble): &(String, HeadTrouble)| format!("{url}: {trouble} ({})", trouble.word());
                f.write_str(&all.iter().map(line).collect::<Vec<_>>().join("; "))
            }
            Self::Object(failure) => match (failure.trouble.word(), &failure.url) {
                (Some(word), Some(url)) => write!(f, "{url}: {failure} ({word})"),
                (Some(word), None) => write!(f, "{failure} ({word})"),
                (None, _) => failure.fmt(f),
            },
        }
    }
}

impl std::error::Error for PullError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_elsewhere_is_called_a_redirect() {
        let redirects =
            (300..400).filter(|status| StoreError::Status(*status).to_string().contains("redirect"));
        assert_eq!(redirects.collect::<Vec<_>>(), [301, 302, 303, 307, 308]);
        let said = StoreError::Status(304).to_string();
        assert!(said.contains("(304)") && said.contains("caches"), "{said}");
    }
}
