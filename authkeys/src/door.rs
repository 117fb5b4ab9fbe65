//! The door for grants: an account through which anybody with a known key brings one, and does nothing else.
//!
//! What is printed for it is the offered key alone, and only behind a command of ours and `restrict`. So nobody who can
//! write an entry of that name in the directory gets a shell there, and no other command is asked.

use host::Config;
use host::config::COPY_AGE;
use policy::{Account, Principal, Timestamp};
use state::HostState;
use store::PublicKey;
use store::keys::KeyCopy;

use crate::lookup::Answer;
use crate::offered::Offered;
use crate::problem::Problem;
use crate::reason::Outcome;
use crate::rules::{Candidate, Options, Owner, Printed, Standing};

/// Is it the one that is asked about?
pub fn is_door(account: &Account) -> bool {
    account.as_str() == host::config::GRANT_DOOR
}

/// The offered key, if somebody has it by the last copy of the directory or by grant-signers. Where no rule takes grants
/// on this host, and none asks people on call for a reason, no key opens the door.
///
/// # Errors
/// It cannot be told who is revoked.
pub fn answer(state: &HostState, offered: Option<&Offered>, now: Timestamp) -> Result<Answer, Problem> {
    let (config, revoked) = (state.config()?, state.revoked().map_err(Problem::from)?);
    let none = Answer::none(Outcome::NoKeys);
    let is_used = config.rules.takes_grants() || config.rules.asks_claims();
    let (true, Some(key)) = (is_used, offered.and_then(Offered::key)) else { return Ok(none) };
    let digest = key.sha256();
    if revoked.is_stale(now)
        || revoked.key(&digest, now).is_some()
        || config.rules.automation(&digest).is_some()
    {
        return Ok(none);
    }
    let mut people = state.signers_with(&digest);
    people.extend(in_directory(config, key, now));
    people.dedup();
    // With several, it makes no difference which of them brings what.
    let Some(person) = people.into_iter().find(|person| !revoked.names(person, now)) else { return Ok(none) };
    let options = Options::of_door(&person);
    let owner = Owner::Person(person);
    let candidate = Candidate { key: key.clone(), owner, standing: Standing::Own };
    Ok(Answer { printed: vec![Printed { candidate, options }], reason: Outcome::Keys, ..none })
}

/// Whose key it is by the copy, which may be as old as for a grant itself.
fn in_directory(config: &Config, key: &PublicKey, now: Timestamp) -> Vec<Principal> {
    let Some(directory) = &config.directory else { return Vec::new() };
    let copy_age = config.grants.as_ref().map_or(COPY_AGE, |grants| grants.copy_age);
    let copy = KeyCopy::open(&config.paths.keys, &config.copy_scope(directory), copy_age, now);
    copy.and_then(|copy| copy.people_with(key)).unwrap_or_default()
}
