//! What a sync is asked for beyond its usual work.

use std::collections::BTreeSet;

use policy::ScheduleRef;

/// What a sync is asked for beyond its usual work.
#[derive(Debug, Clone, Default)]
pub struct SyncOptions {
    /// Only say what would change.
    pub dry_run: bool,
    /// Schedules whose guards are set aside this once.
    pub accept: Accept,
}

/// Schedules whose guards are set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Accept {
    /// None.
    #[default]
    Nothing,
    /// All of them.
    Everything,
    /// Those named, as `source/schedule`.
    These(Vec<String>),
}

impl Accept {
    /// Are the guards of `schedule` set aside?
    pub fn covers(&self, schedule: &ScheduleRef) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::These(texts) => texts.contains(&schedule.to_string()),
        }
    }

    /// That one of those named is none of `known`, if so, and which there are.
    pub fn unknown(&self, known: &BTreeSet<String>) -> Option<String> {
        let Self::These(texts) = self else { return None };
        let unknown = texts.iter().find(|text| !known.contains(*text))?;
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Some(format!("there is no schedule `{unknown}` to accept; there are {}", known.join(", ")))
    }
}
