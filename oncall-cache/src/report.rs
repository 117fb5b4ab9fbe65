//! status.json: what the last sync did, written at each one, good or bad, and read by `status` and `refresh`.
//!
//! The roster says what is known. Why it is not newer, and who will not be admitted in two days, would
//! otherwise stand in a log that only root reads. No mail address and no secret is in it.

use std::fs;
use std::path::{Path, PathBuf};

use host::Config;
use policy::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{StoreError, replace};
use trust::Owner;

use crate::names;
use crate::sync::{Ahead, Outcome, State, Summary, SyncError};

/// The only form so far.
const VERSION: u32 = 1;

/// The largest report that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What the last sync did. Instants are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Changes when a field changes its meaning or goes.
    pub version: u32,
    /// When the sync began.
    pub attempted: i64,
    /// Did it publish anything that it read?
    pub published: bool,
    /// Why it did not, where that concerns all schedules.
    pub problem: Option<String>,
    /// When the copy of the directory was last known to be true; not known where it was not believed.
    pub people_synced: Option<i64>,
    /// SHA-256 of the configuration by which was published what stands.
    pub policy: String,
    /// What became of each schedule.
    pub schedules: Vec<ScheduleReport>,
    /// People on call soon who will not be admitted.
    pub ahead: Vec<Ahead>,
    /// Provider users who are nobody here.
    pub unmapped: usize,
    /// Why the groups of `[[nss.group]]` are not what the roster says, if they could not be written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub groups_problem: Option<String>,
    /// Groups in the eligible group that the directory's sync did not follow, if there were any: a line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unfollowed: Option<String>,
}

/// What became of one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleReport {
    /// `pd/PDB0001`.
    pub schedule: String,
    /// Its name for people.
    pub name: String,
    /// `read`, `kept` or `absent`.
    pub state: String,
    /// Why it was not read: a token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Why it was not read, and what to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

impl From<&Outcome> for ScheduleReport {
    fn from(outcome: &Outcome) -> Self {
        let (state, trouble) = match &outcome.state {
            State::Read => ("read", None),
            State::Kept(_, trouble) => ("kept", Some(trouble)),
            State::Absent(trouble) => ("absent", Some(trouble)),
        };
        Self {
            schedule: outcome.schedule.to_string(),
            name: outcome.name.to_string(),
            state: state.to_string(),
            reason: trouble.map(|trouble| trouble.reason.to_string()),
            problem: trouble.map(|_| outcome.public()),
        }
    }
}

/// Where the report is: beside the roster.
pub fn path(config: &Config) -> PathBuf {
    config.paths.roster.with_file_name("status.json")
}

/// SHA-256 of the configuration as it was read, as `sha256sum` prints it.
pub fn policy_digest(config: &Config) -> String {
    Sha256::digest(&config.text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Report {
    /// The report of a sync that began at `now`.
    pub fn new(config: &Config, now: Timestamp, people_synced: Option<Timestamp>) -> Self {
        Self {
            version: VERSION,
            attempted: now.unix(),
            published: false,
            problem: None,
            people_synced: people_synced.map(Timestamp::unix),
            policy: policy_digest(config),
            schedules: Vec::new(),
            ahead: Vec::new(),
            unmapped: 0,
            groups_problem: None,
            unfollowed: names::unfollowed(config),
        }
    }

    /// It went like this.
    pub fn tell(&mut self, summary: &Summary) {
        self.published = true;
        self.schedules = summary.outcomes.iter().map(ScheduleReport::from).collect();
        self.ahead.clone_from(&summary.ahead);
        self.unmapped = summary.unmapped;
    }

    /// It failed; `policy` is that of what stands, so that the next one that publishes sees the change.
    pub fn fail(&mut self, error: &SyncError, policy: Option<String>) {
        self.policy = policy.unwrap_or_default();
        match error {
            SyncError::NothingRead(outcomes, _) => {
                self.schedules = outcomes.iter().map(ScheduleReport::from).collect();
                self.problem = Some("no schedule was read".to_string());
            }
            other => self.problem = Some(other.public()),
        }
    }

    /// Replaces the report at `path`.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        replace(path, 0o644, |temporary| {
            let text = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
            fs::write(temporary, text).map_err(|error| error.to_string())
        })
    }

    /// Reads the report at `path`.
    ///
    /// # Errors
    /// Text that says why there is none.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = trust::read(path, Owner::Service, LARGEST).map_err(|refusal| refusal.to_string())?;
        let report: Self =
            serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        match report.version {
            VERSION => Ok(report),
            other => Err(format!("{}: version {other}, this release reads {VERSION}", path.display())),
        }
    }
}
