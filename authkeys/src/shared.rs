//! Shared accounts: the keys of the people whom the policy admits now.

use host::Config;
use policy::{Account, Evidence, Facts, Principal, Timestamp, admitted};
use store::keys::{KeyCopy, KeyOwner};
use store::{PublicKey, roster};

use crate::lookup::Problem;

/// The keys of everyone whom [`policy::decide`] admits to `account` now. A key that two people have is
/// nobody's and is left out.
pub fn keys(
    config: &Config,
    account: &Account,
    open: impl FnOnce() -> Result<KeyCopy, Problem>,
    now: Timestamp,
) -> Result<Vec<(PublicKey, Principal)>, Problem> {
    let roster = roster::read(&config.paths.roster).map_err(Problem::Store)?;
    // What sshd asks about is an account in [[policy.shared]]; that alone makes it guarded, so its uid
    // and groups need not be looked up.
    let people = admitted(
        "sshd",
        account.as_str(),
        &Facts::default(),
        &Evidence { roster: Ok(&roster) },
        &config.rules,
        now,
    )
    .map_err(|decision| Problem::Undecided(decision.reason))?;
    let copy = open()?;
    let mut keys = Vec::new();
    for person in people {
        for key in copy.keys_of(person).map_err(Problem::Store)?.unwrap_or_default() {
            if copy.owner_of(&key).map_err(Problem::Store)? == KeyOwner::One(person.clone()) {
                keys.push((key, person.clone()));
            }
        }
    }
    Ok(keys)
}
