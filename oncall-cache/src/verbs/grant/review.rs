//! `grant review`: an approver says, signed, what there is to say of a break-glass.
//!
//! The host judges whose word counts; here it is asked only what can be told at a desk.

use grant::{Review, Stored};
use policy::Timestamp;
use signed::{Purpose, signing_key};

use super::identity::Identity;
use super::sign::{SHOW, ask, ssh_keygen};
use super::words::{row, words};
use super::{Failure, document, printed, read};
use crate::cli::grant::ReviewArguments;
use crate::said::{Live, Said};

/// Prints the review with its signature.
pub fn run(arguments: &ReviewArguments, live: Live<'_>, now: Timestamp) -> Result<Said, Failure> {
    let bytes = read(arguments.file.as_deref(), live)?;
    // As a host keeps it, or as it was brought.
    let used = match Stored::read(&bytes) {
        Ok(stored) => stored.document,
        Err(_) => document(&bytes)?,
    };
    let review = Review::of(&used, arguments.finding.clone(), now);
    let text = review.write().map_err(|error| Failure::Wrong(error.to_string()))?;
    let identity = Identity::of(arguments.identity.as_deref())?;
    let mut lines = words(&used.grant, used.grant.issued);
    lines.push(row("FINDING", &review.finding));
    ask(&lines, SHOW, arguments.yes, live)?;
    let armour = ssh_keygen(&identity, Purpose::Review, text.as_bytes())?;
    let refused = |why: String| Failure::Refused(format!("not signed: {why}"));
    let key = signing_key(Purpose::Review, text.as_bytes(), armour.as_bytes())
        .map_err(|error| refused(error.to_string()))?;
    let is_own = used.grant.key.as_ref() == Some(&key) || used.keys().any(|own| own.as_ref() == Ok(&key));
    if is_own {
        return Err(refused(
            "this is the key of whoever let themselves in; nobody reviews themselves".into(),
        ));
    }
    Ok(printed(&format!("{text}{armour}")))
}
