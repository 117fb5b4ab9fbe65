//! Where shifts come from: one file per service, all ending in the same [`Answer`], which only a
//! [`Gather`](gather::Gather) makes.

#![forbid(unsafe_code)]

use std::fmt;

use host::config::kinds::Kind;
use http::HttpError;
use policy::{OneLine, Timestamp, Window};

mod answer;
pub mod calendar;
pub mod document;
mod exec;
pub mod fetch;
mod file;
mod fleet;
mod gather;
pub mod group;
pub mod identity;
mod incident;
pub mod pagerduty;
mod pages;
pub mod rota;
mod rotation;
pub mod service;
#[cfg(test)]
mod services;
pub mod session;
pub mod zones;

pub use gather::Answer;
use gather::Named;
pub use incident::{ProviderIncident, believable};

macro_rules! modules {
    ($($module:ident: $kind:expr;)*) => {
        $(pub mod $module;)*

        /// The code that asks each service, by the name of its module.
        static REGISTERED: &[(&str, &dyn service::Service)] = &[$((stringify!($module), &$module::SERVICE)),*];
    };
}
host::services!(modules);

/// What asks a service of this kind.
pub fn registered(kind: &Kind) -> Option<&'static dyn service::Service> {
    REGISTERED.iter().find(|(module, _)| *module == kind.module).map(|(_, service)| *service)
}

/// The longest name and id that are taken over, in bytes: readers refuse a roster with much longer ones.
const LONGEST_NAME: usize = 320;

/// The longest error, in bytes: parts of an answer may stand in it.
const LONGEST_ERROR: usize = 1000;

/// A service that knows who is on call.
pub trait Provider {
    /// Each configured schedule with its shifts in `window`, complete, or the reason why not. A shift that
    /// reaches beyond the window keeps its own start and end.
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError>;
}

/// One schedule as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSchedule {
    /// The text that names it in the configuration; its id, where none does.
    pub wanted: String,
    /// The provider's id.
    pub id: String,
    /// The provider's name for people.
    pub name: OneLine,
    /// Its shifts that touch the window asked for.
    pub shifts: Vec<ProviderShift>,
    /// By which reading this is known, where that is not the one that is made now.
    pub reading: Option<Reading>,
}

/// When somebody else read a schedule whole, and how far ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The instant: what is known is as old as that.
    pub at: Timestamp,
    /// The end of what was asked for then.
    pub horizon: Timestamp,
}

/// One shift as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderShift {
    /// Whose it is.
    pub user: User,
    /// Escalation level; 1 is paged first.
    pub level: u8,
    /// From when to when.
    pub window: Window,
}

/// A person as the provider knows them. A display name is no identity: it is for messages alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// The provider's id.
    pub id: String,
    /// The mail address, where the provider tells it.
    pub mail: Option<String>,
    /// The name the directory uses, where the provider speaks of people by it: `rota.toml` does.
    pub principal: Option<String>,
    /// What the provider calls them, where it tells; whatever somebody typed.
    pub label: Option<OneLine>,
    /// Of what one answer told two: then nobody can say who this is.
    pub disputed: Option<&'static str>,
}

impl User {
    /// What to call them in a message: no mail address, since messages are kept where anybody reads them.
    pub fn shown(&self) -> String {
        match &self.label {
            Some(label) if !label.contains('@') => label.to_string(),
            _ => self.shown_id(),
        }
    }

    /// Their id, or what stands before the @ where it is a mail address.
    pub fn shown_id(&self) -> String {
        self.id.split('@').next().unwrap_or_default().to_string()
    }
}

/// Why a source told nothing that may be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderError {
    /// It did not answer, refused, or answered nonsense (`source-error`).
    Source(OneLine),
    /// It answered, but not everything that was asked (`source-incomplete`).
    Incomplete(OneLine),
    /// It failed in words of its own (`source-error`). These are for the log: somebody else's program may write
    /// whatever it knows into them.
    Foreign {
        /// What happened.
        text: OneLine,
        /// What it said.
        heard: OneLine,
    },
}

impl ProviderError {
    /// A `source-error`.
    pub fn source(text: &str) -> Self {
        Self::Source(OneLine::cut(text, LONGEST_ERROR))
    }

    /// A `source-incomplete`.
    pub fn incomplete(text: &str) -> Self {
        Self::Incomplete(OneLine::cut(text, LONGEST_ERROR))
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(text) => write!(f, "source-error: {text}"),
            Self::Incomplete(text) => write!(f, "source-incomplete: {text}"),
            Self::Foreign { text, heard } => {
                write!(f, "source-error: {text}; its output: {:?}", heard.as_str())
            }
        }
    }
}

impl std::error::Error for ProviderError {}

impl From<HttpError> for ProviderError {
    fn from(error: HttpError) -> Self {
        Self::source(&error.to_string())
    }
}

/// JSON without the byte order mark that some programs write before it: RFC 8259, section 8.1, lets a reader pass
/// over it, and serde_json does not.
fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json)
}

/// Finds each of `wanted` among all schedules of a source, by id or else by its exact name: its place there, or why it
/// is not to be had. All, if none is named.
fn choose(
    known: &[Named],
    wanted: &[String],
    whose: &dyn fmt::Display,
) -> Vec<(String, Result<usize, ProviderError>)> {
    if wanted.is_empty() {
        return known.iter().enumerate().map(|(place, one)| (one.id.clone(), Ok(place))).collect();
    }
    let find = |text: &String| {
        let mut by_id = known.iter().enumerate().filter(|(_, one)| one.id == *text);
        let mut named = known.iter().enumerate().filter(|(_, one)| one.name == *text);
        match (by_id.next(), named.next(), named.next()) {
            (Some((place, _)), _, _) | (None, Some((place, _)), None) => Ok(place),
            (None, Some(_), Some(_)) => Err(ProviderError::source(&format!(
                "{whose} has several schedules named `{text}`; write the id in `schedules`"
            ))),
            (None, None, _) => Err(ProviderError::incomplete(&format!(
                "{whose} has no schedule `{text}`; check `schedules`"
            ))),
        }
    };
    wanted.iter().map(|text| (text.clone(), find(text))).collect()
}
