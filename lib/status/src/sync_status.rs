//! status.json: what the last sync did, written at each one, good or bad, and read by `status` and `refresh`.
//!
//! The roster says what is known. Why it is not newer, and who will not be admitted in two days, would
//! otherwise be only in a log that root alone reads. No mail address and no secret is in it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use host::Config;
use policy::Timestamp;
use publish::{PublishError, replace};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trust::Owner;

use crate::inner_groups::InnerGroups;

/// The only form so far.
pub(crate) const VERSION: u32 = 1;

/// The largest report that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Why it is not known what the last sync, or the last pull, did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncStatusError {
    /// The file is missing, not trusted or no report; which file, and why.
    File(String),
    /// The file has another form than this release reads.
    Version(PathBuf, u32),
    /// It is from this instant, which has not come.
    InFuture(Timestamp),
    /// It is from the first instant, and the roster from the second, which is later: it is not about that roster.
    BeforeRoster(Timestamp, Timestamp),
}

impl fmt::Display for SyncStatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(text) => f.write_str(text),
            Self::Version(path, found) => {
                write!(f, "{}: version {found}, this release reads {VERSION}", path.display())
            }
            Self::InFuture(attempted) => {
                write!(f, "its report is from {attempted}, which is in the future")
            }
            Self::BeforeRoster(attempted, published) => {
                write!(f, "its report is from {attempted}, older than the roster ({published})")
            }
        }
    }
}

impl std::error::Error for SyncStatusError {}

/// What the last sync did. Instants are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// Changes when a field changes its meaning or goes.
    pub version: u32,
    /// When the sync began.
    pub attempted: i64,
    /// Did it publish anything that it read?
    pub published: bool,
    /// Why it did not, where that concerns all schedules.
    pub problem: Option<String>,
    /// When the copy of the directory was last known to be true; not known where it was not trusted.
    pub people_synced: Option<i64>,
    /// SHA-256 of the configuration that the published roster was made by.
    pub policy: String,
    /// What became of each schedule.
    pub schedules: Vec<ScheduleStatus>,
    /// People on call soon who will not be admitted.
    pub ahead: Vec<UpcomingRefusal>,
    /// Provider users who match nobody in the directory.
    pub unmapped: usize,
    /// Why the groups of `[[nss.group]]` are not what the roster says, if they could not be written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub groups_problem: Option<String>,
    /// Why it is not known which incidents are open that rules wait for, if it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incidents_problem: Option<String>,
    /// How many shifts do not count, or not to their end, because files of `[[policy.rego]]` say so.
    #[serde(default)]
    pub left_out: usize,
    /// Where such a file failed, and what became of the shift.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rego_problem: Option<String>,
    /// Was such a file not understood, or could it not be asked, so that nothing was published? `problem` says which.
    #[serde(default)]
    pub rego_refused: bool,
    /// Groups in the eligible group that the directory's sync did not follow, or that showed it no member, if there were
    /// any: a line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inner_groups: Option<String>,
}

/// What the last sync left of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleState {
    /// It was read.
    Read,
    /// Its earlier shifts are kept.
    Kept,
    /// Nothing is known of it.
    Absent,
}

impl fmt::Display for ScheduleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Kept => "kept",
            Self::Absent => "absent",
        })
    }
}

/// What became of one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleStatus {
    /// `pd/PDB0001`.
    pub schedule: String,
    /// Its name for people.
    pub name: String,
    /// What became of it.
    pub state: ScheduleState,
    /// Why it was not read: a token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Why it was not read, and what to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// A person on call soon who will not be admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpcomingRefusal {
    /// What the provider calls them.
    pub who: String,
    /// The schedule's name.
    pub schedule: String,
    /// When their first such shift starts, in seconds since the epoch.
    pub start: i64,
    /// Why they would be refused, and what to do.
    pub problem: String,
}

impl UpcomingRefusal {
    /// The same, seen from `now`.
    pub fn line(&self, now: Timestamp) -> impl fmt::Display + '_ {
        Line(self, now)
    }
}

/// How [`UpcomingRefusal::line`] prints.
#[derive(Debug)]
struct Line<'a>(&'a UpcomingRefusal, Timestamp);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(UpcomingRefusal { who, schedule, start, problem }, now) = self;
        let start = Timestamp::from_unix(*start);
        if start <= *now {
            write!(f, "{who} is on call for {schedule} and cannot log in: {problem}")
        } else {
            write!(
                f,
                "{who} will be on call for {schedule} from {} and cannot log in: {problem}",
                start.near(*now)
            )
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

impl SyncStatus {
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
            incidents_problem: None,
            left_out: 0,
            rego_problem: None,
            rego_refused: false,
            inner_groups: InnerGroups::noted(config).map(InnerGroups::into_text),
        }
    }

    /// Replaces the report at `path`.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, path: &Path) -> Result<(), PublishError> {
        replace(path, 0o644, |temporary| fs::write(temporary, serde_json::to_vec_pretty(self)?))
    }

    /// Reads the report at `path`.
    ///
    /// # Errors
    /// It is missing or not trusted, or is no report of this form.
    pub fn read(path: &Path) -> Result<Self, SyncStatusError> {
        let bytes = trust::read(path, Owner::Service, LARGEST)
            .map_err(|refusal| SyncStatusError::File(refusal.to_string()))?;
        let report: Self = serde_json::from_slice(&bytes)
            .map_err(|error| SyncStatusError::File(format!("{}: {error}", path.display())))?;
        match report.version {
            VERSION => Ok(report),
            other => Err(SyncStatusError::Version(path.to_path_buf(), other)),
        }
    }
}
