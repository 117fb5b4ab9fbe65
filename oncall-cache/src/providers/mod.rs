//! Where shifts come from: one file per service, all ending in the same [`Answer`].

use std::fmt;

use policy::{Timestamp, Window};

pub mod document;
pub mod exec;
pub mod file;
pub mod pagerduty;
pub mod rota;
pub mod rotation;

/// A service that knows who is on call.
pub trait Provider {
    /// Each configured schedule with its shifts in `window`, complete, or the reason why not. A shift that
    /// reaches beyond the window keeps its own start and end.
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError>;
}

/// What one source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Each configured schedule that was read whole, once.
    pub schedules: Vec<ProviderSchedule>,
    /// The others: the text that names one in the configuration, and why it was not.
    pub failed: Vec<(String, ProviderError)>,
    /// The provider's clock when it answered, where it told.
    pub clock: Option<Timestamp>,
    /// When it was true, where that is not now: a file is read some time after it was written.
    pub as_of: Option<Timestamp>,
}

/// One schedule as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSchedule {
    /// The text that names it in the configuration; its id, where none does.
    pub wanted: String,
    /// The provider's id.
    pub id: String,
    /// The provider's name for people.
    pub name: String,
    /// Its shifts that touch the window asked for.
    pub shifts: Vec<ProviderShift>,
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
    pub label: Option<String>,
}

impl User {
    /// What to call them in a message: no mail address, since messages are kept where anybody reads them.
    pub fn shown(&self) -> String {
        match &self.label {
            Some(label) if !label.contains('@') => label.clone(),
            _ => self.shown_id(),
        }
    }

    /// Their id, or what stands before the @ where it is a mail address.
    pub fn shown_id(&self) -> String {
        self.id.split('@').next().unwrap_or_default().to_string()
    }
}

/// Why a source told nothing that may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderError {
    /// It did not answer, refused, or answered nonsense (`source-error`).
    Source(String),
    /// It answered, but not everything that was asked (`source-incomplete`).
    Incomplete(String),
    /// It failed in words of its own (`source-error`). These are for the log: somebody else's program may write
    /// whatever it knows into them.
    Foreign {
        /// What happened.
        text: String,
        /// What it said.
        heard: String,
    },
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(text) => write!(f, "source-error: {text}"),
            Self::Incomplete(text) => write!(f, "source-incomplete: {text}"),
            Self::Foreign { text, heard } => write!(f, "source-error: {text}; it said {heard:?}"),
        }
    }
}

impl std::error::Error for ProviderError {}

/// Finds each of `wanted` among all `schedules` of a source, by id or else by its exact name; all, if none is
/// named. Those that are not there are told beside the others.
fn choose(schedules: Vec<ProviderSchedule>, wanted: &[String], whose: &dyn fmt::Display) -> Answer {
    if wanted.is_empty() {
        return Answer { schedules, failed: Vec::new(), clock: None, as_of: None };
    }
    let mut answer = Answer { schedules: Vec::new(), failed: Vec::new(), clock: None, as_of: None };
    for text in wanted {
        let by_id = schedules.iter().find(|schedule| schedule.id == *text);
        let mut named = schedules.iter().filter(|schedule| schedule.name == *text);
        match (by_id.or_else(|| named.next()), by_id.is_none() && named.next().is_some()) {
            (Some(schedule), false) => {
                answer.schedules.push(ProviderSchedule { wanted: text.clone(), ..schedule.clone() });
            }
            (Some(_), true) => {
                let why =
                    format!("{whose} has several schedules named `{text}`; write the id in `schedules`");
                answer.failed.push((text.clone(), ProviderError::Source(why)));
            }
            (None, _) => {
                let why = format!("{whose} has no schedule `{text}`; check `schedules`");
                answer.failed.push((text.clone(), ProviderError::Incomplete(why)));
            }
        }
    }
    answer
}
