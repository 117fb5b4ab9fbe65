//! `policy sign`: says what would be signed, asks, and has ssh-keygen sign the text.

use std::path::Path;

use policy::Timestamp;
use signed::{Purpose, signing_key};

use super::super::grant::{Failure, Identity, ask, row, ssh_keygen};
use super::{approved, printed, read_config};
use crate::cli::policy::SignArguments;
use crate::said::{Live, Said};

/// Prints the text with its signature.
pub fn run(path: &Path, arguments: &SignArguments, live: Live<'_>, now: Timestamp) -> Result<Said, Failure> {
    let config = read_config(path)?;
    let approved = approved(&config, arguments.number, &arguments.of, now)?;
    let identity = Identity::of(arguments.identity.as_deref())?;
    let hosts: Vec<&str> = approved.hosts.keys().map(String::as_str).take(8).collect();
    let more = approved.hosts.len().saturating_sub(hosts.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let words = [
        row(
            "policy",
            format_args!("{}, {} lines (oncall-cache policy show)", path.display(), approved.lines.len()),
        ),
        row("number", format_args!("{}, of {}", approved.number, approved.issued)),
        row("hosts", format_args!("{}{more}", hosts.join(", "))),
        row("digest", approval::digest(&approved.lines)),
    ];
    ask(&words, arguments.yes, live)?;
    let text = approved.text();
    let armour = ssh_keygen(&identity, Purpose::Policy, text.as_bytes())?;
    signing_key(Purpose::Policy, text.as_bytes(), armour.as_bytes())
        .map_err(|error| Failure::Refused(format!("not signed: {error}")))?;
    Ok(printed(&format!("{text}{armour}")))
}
