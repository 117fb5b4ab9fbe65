//! fleet.json: what the last pull did, and which head of the fleet this host holds or refused.
//!
//! `oncall-cache pull` writes it at each look at the store, good or bad. It is apart from status.json, which is a sync's:
//! most pulls find nothing new and sync nothing.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use host::config::Fleet;
use policy::{Span, Timestamp};
use publish::{PublishError, replace};
use serde::{Deserialize, Serialize};
use trust::Owner;

use crate::sync_status::{SyncStatusError, VERSION};

/// The largest report that is read, in bytes.
const LARGEST: u64 = 64 * 1024;

/// What is known of the fleet. Instants are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetStatus {
    /// Changes when a field changes its meaning or goes.
    pub version: u32,
    /// The fleet's name.
    pub id: String,
    /// The last look at the store that found a head which is trusted, new or not.
    pub checked: Option<i64>,
    /// Where that was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// The head that is taken over; `None`: none was yet.
    pub head: Option<HeadStatus>,
    /// Why the store has shown nothing newer that could be taken over, if something was wrong with what it has shown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<RefusedHead>,
}

/// A head that is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadStatus {
    /// Grows with each publication.
    pub sequence: u64,
    /// When it was published, by the collector's clock.
    pub issued: i64,
    /// The first instant at which a store may not show it any more.
    pub valid: i64,
    /// When the collector read the rota.
    pub rota_read: Option<i64>,
    /// When the collector read people.
    pub people_read: Option<i64>,
    /// When the collector read its list of revocations.
    pub revoked_read: i64,
}

/// What a store has shown and was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedHead {
    /// Which rule: `head-replay`, `object-digest`; or `store-unreachable`, where it has shown nothing.
    pub reason: String,
    /// The first look at which this rule refused, without another outcome since.
    pub since: i64,
    /// What is wrong, and what to do.
    pub text: String,
    /// Where it is.
    pub url: String,
}

impl FleetStatus {
    /// Of a fleet of which nothing was read.
    pub fn new(id: &str) -> Self {
        Self { version: VERSION, id: id.to_string(), checked: None, url: None, head: None, refused: None }
    }

    /// Where the report is: beside the mirror.
    pub fn path(fleet: &Fleet) -> PathBuf {
        fleet.mirror.with_file_name("fleet.json")
    }

    /// Replaces the report at `path`.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, path: &Path) -> Result<(), PublishError> {
        replace(path, 0o644, |temporary| fs::write(temporary, serde_json::to_vec(self)?))
    }

    /// Reads the report at `path` about `fleet`; before the first pull, and where it is another fleet's, nothing was read.
    ///
    /// # Errors
    /// It is not trusted, or is no report of this form.
    pub fn read(path: &Path, fleet: &Fleet) -> Result<Self, SyncStatusError> {
        let bytes = match trust::read(path, Owner::Service, LARGEST) {
            Err(refusal) if refusal.is_missing() => return Ok(Self::new(&fleet.id)),
            outcome => outcome.map_err(|refusal| SyncStatusError::File(refusal.to_string()))?,
        };
        let report: Self = serde_json::from_slice(&bytes)
            .map_err(|error| SyncStatusError::File(format!("{}: {error}", path.display())))?;
        match report.version {
            VERSION if report.id == fleet.id => Ok(report),
            VERSION => Ok(Self::new(&fleet.id)),
            other => Err(SyncStatusError::Version(path.to_path_buf(), other)),
        }
    }

    /// How long ago the head was published that this host holds; `None`: there is none.
    pub fn lag(&self, now: Timestamp) -> Option<Span> {
        self.head.as_ref().map(|head| now.since(Timestamp::from_unix(head.issued)))
    }

    /// How long ago the store last showed a head that is trusted, new or not; `None`: it never did.
    pub fn age(&self, now: Timestamp) -> Option<Span> {
        self.checked.map(|checked| now.since(Timestamp::from_unix(checked)))
    }

    /// What somebody should look at, if anything: a head that is refused, or one that is older than three times
    /// `freshness`. One pull that is late is no trouble.
    pub fn trouble(&self, freshness: Span, now: Timestamp) -> Option<String> {
        let id = &self.id;
        let limit = Span::seconds(freshness.as_seconds().saturating_mul(3));
        match (&self.refused, self.lag(now)) {
            (Some(refused), _) => Some(format!("fleet {id}: {refused}")),
            (None, None) => {
                Some(format!("fleet {id}: nothing was read of it yet; as root, run `oncall-cache pull`"))
            }
            (None, Some(lag)) if lag > limit => Some(format!(
                "fleet {id}: the newest head is {lag} old; look at the collector, `oncall-collector status`, and at \
                 `systemctl status oncall-cache-pull.timer` here"
            )),
            (None, Some(_)) => None,
        }
    }
}

impl fmt::Display for RefusedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, since, text, url } = self;
        write!(f, "{url}: {text} ({reason} since {})", Timestamp::from_unix(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn status(issued: i64) -> FleetStatus {
        let issued = NOW.unix() + issued;
        let head = HeadStatus {
            sequence: 7,
            issued,
            valid: issued + 21_600,
            rota_read: Some(issued),
            people_read: None,
            revoked_read: issued,
        };
        FleetStatus {
            checked: Some(NOW.unix() - 20),
            url: Some("https://store/a".to_string()),
            head: Some(head),
            ..FleetStatus::new("example")
        }
    }

    #[test]
    fn a_head_that_is_old_is_trouble_and_one_late_pull_is_none() {
        let trouble = |issued| status(issued).trouble(Span::seconds(60), NOW);
        assert_eq!([trouble(0), trouble(-180), trouble(30)], [None, None, None]);
        let old = trouble(-181).unwrap();
        assert!(old.starts_with("fleet example: the newest head is 3m 1s old; look at"), "{old}");
        assert_eq!(
            (status(-5).lag(NOW), status(-5).age(NOW)),
            (Some(Span::seconds(5)), Some(Span::seconds(20)))
        );
        let none = FleetStatus { head: None, checked: None, ..status(0) };
        assert!(none.trouble(Span::seconds(60), NOW).unwrap().ends_with("run `oncall-cache pull`"));
    }

    #[test]
    fn a_refused_head_is_named_with_its_rule_and_since_when() {
        let refused = RefusedHead {
            reason: "head-replay".to_string(),
            since: NOW.unix(),
            text: "the head was published 1h before the one that this host has".to_string(),
            url: "https://store/a".to_string(),
        };
        let status = FleetStatus { refused: Some(refused), ..status(0) };
        assert_eq!(
            status.trouble(Span::seconds(60), NOW).unwrap(),
            "fleet example: https://store/a: the head was published 1h before the one that this host has (head-replay since \
             2026-11-20T09:00:00Z)"
        );
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<FleetStatus>(&text).unwrap(), status);
    }
}
