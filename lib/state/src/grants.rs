//! The grants that stand on this host. Whatever is wrong with them, they are none then: nobody is refused for that who is
//! on call. What is wrong is told to those who look.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use grant::{GrantId, Holders, Known, LARGEST_STORED, Stored};
use host::config::Grants;
use host::{Config, clock, revoked_grants};
use policy::{Digest, Granted, Principal, Revoked, Timestamp};
use signed::Signers;
use trust::{Owner, Refusal};

use crate::StateError;

/// The most files that are looked at: whoever accepts grants keeps fewer.
const MOST: usize = 4096;

/// Of which grants it is asked.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Of all.
    All,
    /// Of those for this account.
    Into(&'a str),
    /// Of those for this account and person.
    Of(&'a str, &'a Principal),
}

impl Which<'_> {
    /// Is it asked of the one whose file has this name?
    fn has(self, name: &str) -> bool {
        let Some((account, rest)) = name.split_once('@') else { return false };
        let Some((person, id)) = rest.rsplit_once('.') else { return false };
        id.parse::<GrantId>().is_ok()
            && match self {
                Self::All => true,
                Self::Into(into) => account == into,
                Self::Of(into, of) => account == into && person == of.as_str(),
            }
    }
}

/// Those that stand at `now`, by the files of the configuration's directory. Nothing is read where no rule takes grants
/// on this host.
///
/// # Errors
/// It cannot be told: none counts then.
pub(crate) fn standing(
    config: &Config,
    revoked: &Revoked,
    which: Which<'_>,
    now: Timestamp,
) -> Result<Vec<Granted>, StateError> {
    let (Some(grants), true) = (&config.grants, config.rules.takes_grants()) else { return Ok(Vec::new()) };
    let files = names(&config.paths.grants, which)?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let signers = signers(grants).map_err(StateError::Signers)?;
    let ids = revoked_grants::read(&grants.revoked).map_err(StateError::Orders)?;
    let revoked_grants: BTreeSet<GrantId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let holders = Holders::of(&signers);
    let known = Known {
        site: &grants.site,
        host: &config.rules.host,
        holders: &holders,
        revoked,
        revoked_grants: &revoked_grants,
        // Whoever accepted it has looked at that.
        memory: Timestamp::MIN,
    };
    let uptime = clock::uptime();
    let reached = clock::known([&config.paths.roster, &config.paths.keys], now);
    let read = |name: &String| {
        let text =
            trust::read(&config.paths.grants.join(name), Owner::Service, LARGEST_STORED as u64).ok()?;
        let stored = Stored::read(&text).ok()?;
        stored.as_shown(&config.rules.grants, &known, &signers, (reached, &uptime), now).ok()
    };
    Ok(files.iter().filter_map(read).collect())
}

/// Whose signatures count, by root's list.
fn signers(grants: &Grants) -> Result<Signers, Refusal> {
    let text = trust::read(&grants.signers, Owner::Root, Signers::LARGEST as u64)?;
    Ok(Signers::parse(&text).0)
}

/// Who has this key by root's list of signers.
pub(crate) fn signers_with(config: &Config, key: &Digest) -> Vec<Principal> {
    let signers = config.grants.as_ref().and_then(|grants| signers(grants).ok()).unwrap_or_default();
    Holders::of(&signers).of_key(key).cloned().collect()
}

/// The names of the files that it is asked of, in order. Before the first acceptor of a boot there is no directory.
fn names(directory: &Path, which: Which<'_>) -> Result<Vec<String>, StateError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StateError::Grants(directory.to_path_buf(), error)),
    };
    let names = entries.take(MOST).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| which.has(name)).collect();
    names.sort();
    Ok(names)
}
