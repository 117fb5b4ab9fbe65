//! What became of a schedule in a sync, and why.

use std::fmt;

use policy::{OneLine, ScheduleRef, Timestamp};
use sources::ProviderError;

/// What kind of trouble kept a schedule from being taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The source could not be asked, or its answer not be read.
    SourceError,
    /// It tells of a part only, or of this schedule no more.
    SourceIncomplete,
    /// It shows nobody whom the directory knows.
    SourceEmpty,
    /// A limit of the configuration.
    GuardTripped,
    /// What is known was read at a time that has not come.
    ClockRollback,
}

impl TroubleKind {
    /// The word for it, which status.json, metrics and docs/operations.md have.
    pub fn token(self) -> &'static str {
        match self {
            Self::SourceError => "source-error",
            Self::SourceIncomplete => "source-incomplete",
            Self::SourceEmpty => "source-empty",
            Self::GuardTripped => "guard-tripped",
            Self::ClockRollback => "clock-rollback",
        }
    }
}

/// Why a schedule was not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of trouble.
    pub kind: TroubleKind,
    /// What happened and what to do.
    pub text: OneLine,
    /// What another program said of it, for the log alone.
    pub heard: Option<OneLine>,
    /// Would `sync --accept` take it over?
    pub may_be_accepted: bool,
}

impl Trouble {
    /// One that `sync --accept` sets aside.
    pub fn acceptable(kind: TroubleKind, text: String) -> Self {
        Self { kind, text: text.into(), heard: None, may_be_accepted: true }
    }
}

impl From<ProviderError> for Trouble {
    fn from(error: ProviderError) -> Self {
        let (kind, text, heard) = match error {
            ProviderError::Source(text) => (TroubleKind::SourceError, text, None),
            ProviderError::Incomplete(text) => (TroubleKind::SourceIncomplete, text, None),
            ProviderError::Foreign { text, heard } => (TroubleKind::SourceError, text, Some(heard)),
        };
        Self { kind, text, heard, may_be_accepted: false }
    }
}

/// What became of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was read whole and taken over.
    Read,
    /// It stands as it was read at this instant.
    Kept(Timestamp, Trouble),
    /// Nothing is known of it.
    Absent(Trouble),
}

/// A schedule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The schedule; by the configuration's text where its id is not known.
    pub schedule: ScheduleRef,
    /// Its name for people.
    pub name: OneLine,
    /// What became of it.
    pub state: State,
}

impl Outcome {
    /// What to say of it: to everybody, or in the log, where the words of other programs may stand as well.
    fn told(&self, to_the_log: bool) -> String {
        let schedule = &self.schedule;
        let (trouble, stands) = match &self.state {
            State::Read => return format!("schedule {schedule}: read"),
            State::Kept(synced, trouble) => (trouble, format!("it stays as read at {synced}")),
            State::Absent(trouble) => (trouble, "nothing is known of it".to_string()),
        };
        let text = if to_the_log { trouble.text.to_string() } else { without_addresses(&trouble.text) };
        let mut told = format!("schedule {schedule}: {}: {text}", trouble.kind.token());
        if let Some(heard) = trouble.heard.as_ref().filter(|_| to_the_log) {
            told.push_str(&format!("; its output: {:?}", heard.as_str()));
        }
        told.push_str(&format!("; {stands}"));
        if trouble.may_be_accepted {
            let schedule = quoted(&schedule.to_string());
            told.push_str(&format!("; if it is right: sudo oncall-cache sync --accept {schedule}"));
        }
        told
    }

    /// The same for files and answers that anybody reads.
    pub fn public(&self) -> String {
        self.told(false)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(true))
    }
}

/// `text` with mail addresses left out.
pub fn without_addresses(text: &str) -> String {
    let word = |word: &str| if word.contains('@') { "(an address)".to_string() } else { word.to_string() };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// `text` as one word of a shell's: providers choose ids.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
