//! Who has let themselves in on this host, and has not been reviewed.

use std::fs;
use std::path::PathBuf;

use grant::{LARGEST_STORED, Stored, review_name, used_id};
use host::Config;
use policy::{Principal, Timestamp};
use trust::Owner;

/// A use of break-glass that no approver has reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreviewed {
    /// What is kept of it.
    pub path: PathBuf,
    /// When it was accepted; where that cannot be read, the instant at which it was asked.
    pub at: Timestamp,
    /// Whose it is, or why that cannot be told.
    pub used: Result<Used, String>,
}

/// What somebody let themselves in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Who.
    pub person: Principal,
    /// Into which account.
    pub account: String,
    /// Why, in their own words.
    pub reason: String,
    /// The grant's name.
    pub id: String,
}

/// Those of the host with this configuration, the earliest first. Nothing, to somebody who may not look.
pub fn unreviewed(config: &Config, now: Timestamp) -> Vec<Unreviewed> {
    let directories = [&config.paths.broken, &config.paths.grants];
    let entries = directories.into_iter().filter_map(|one| fs::read_dir(one).ok()).flatten();
    let mut open: Vec<Unreviewed> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let id = used_id(path.file_name()?.to_str()?)?;
            let is_reviewed = directories.iter().any(|one| one.join(review_name(id)).exists());
            (!is_reviewed).then(|| read(path, now))
        })
        .collect();
    open.sort_by(|one, other| (one.at, &one.path).cmp(&(other.at, &other.path)));
    open
}

fn read(path: PathBuf, now: Timestamp) -> Unreviewed {
    let text = match trust::read(&path, Owner::Service, LARGEST_STORED as u64) {
        Ok(text) => text,
        Err(refusal) => return Unreviewed { used: Err(refusal.to_string()), at: now, path },
    };
    let Ok(stored) = Stored::read(&text) else {
        let why = format!("{}: it is not understood", path.display());
        return Unreviewed { used: Err(why), at: now, path };
    };
    let grant = stored.document.grant;
    let (person, account, reason, id) =
        (grant.person, grant.account.to_string(), grant.reason, grant.id.to_string());
    Unreviewed { used: Ok(Used { person, account, reason, id }), at: stored.at, path }
}
