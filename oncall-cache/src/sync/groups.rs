//! The groups of `[[nss.group]]`, published for libnss_oncall.so.2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use host::{Config, clock, revoked};
use policy::{Groups, Roster, Timestamp};
use store::roster;

/// Where they are: beside the roster.
pub fn path(config: &Config) -> PathBuf {
    config.paths.roster.with_file_name("group")
}

/// Publishes the groups as they follow from the roster that stands, who is revoked now and the configuration;
/// none, if none is configured. Where no roster is trusted, no group is; but that there are groups of those with a grant is
/// still said, for who is in them is not a sync's to say.
///
/// # Errors
/// Text that says what could not be written; the groups stay as they were.
pub fn publish(config: &Config, now: Timestamp) -> Result<(), String> {
    let path = path(config);
    let written = match roster::read(&config.paths.roster, now) {
        Ok(roster) => {
            let revoked = revoked::all(config);
            let revoked = revoked.as_ref().map_err(host::orders::OrdersError::fault);
            put(&path, &Groups::new(&config.groups, &config.rules, &roster, revoked).to_string())
                .and_then(|()| prove(config, &path, &roster))
        }
        Err(_) => {
            let left = match config.groups.iter().all(|group| group.rules().is_some()) {
                true => remove(&path),
                false => put(&path, &Groups::unknown(&config.groups, now).to_string()),
            };
            left.and_then(|()| remove(&clock::beside(&path)))
        }
    };
    written.map_err(|problem| format!("the groups of [[nss.group]] stay as they were: {problem}"))
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    if text.len() > Groups::LARGEST {
        let (size, limit) = (text.len(), Groups::LARGEST);
        return Err(format!(
            "they take {size} bytes, and readers take {limit}; ask for fewer, or a shorter `lookahead`"
        ));
    }
    publish::replace(path, 0o644, |temporary| fs::write(temporary, text)).map_err(|error| error.to_string())
}

/// What is proven of the time to readers of the roster is so to readers of the groups.
fn prove(config: &Config, path: &Path, roster: &Roster) -> Result<(), String> {
    let proven = clock::proven(&config.paths.roster).filter(|proven| proven.vouches_for(roster.published));
    let written = proven.map(|proven| publish::prove(path, 0o644, &proven));
    written.unwrap_or(Ok(())).map_err(|error| error.to_string())
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", path.display())),
        _ => Ok(()),
    }
}
