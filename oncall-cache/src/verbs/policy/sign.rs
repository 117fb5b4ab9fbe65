//! `policy sign`: says what would be signed, asks, and has ssh-keygen sign the text.

use std::collections::BTreeSet;
use std::path::Path;

use host::output::counted;
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
    let (hosts, bare) = (told(&approved.hosts), approved.hosts.values().filter(|own| own.is_empty()).count());
    let words = [
        row(
            "policy",
            format_args!("{}, {} lines (oncall-cache policy show)", path.display(), approved.lines.len()),
        ),
        row("number", format_args!("{}, of {}", approved.number, approved.issued)),
        row("hosts", hosts),
        row("unlabelled", counted(bare, "host")),
        row("digest", approval::digest(&approved.lines)),
    ];
    ask(&words, "oncall-cache policy show", arguments.yes, live)?;
    let text = approved.text();
    let armour = ssh_keygen(&identity, Purpose::Policy, text.as_bytes())?;
    signing_key(Purpose::Policy, text.as_bytes(), armour.as_bytes())
        .map_err(|error| Failure::Refused(format!("not signed: {error}")))?;
    Ok(printed(&format!("{text}{armour}")))
}

/// The most hosts that are named.
const MOST_HOSTS: usize = 8;

/// The first hosts, each with its labels.
fn told(hosts: &approval::Hosts) -> String {
    let of = |(name, labels): (&String, &BTreeSet<String>)| match labels.len() {
        0 => name.clone(),
        _ => format!("{name} ({})", labels.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    };
    let mut told: Vec<String> = hosts.iter().take(MOST_HOSTS).map(of).collect();
    if hosts.len() > told.len() {
        told.push(format!("and {} more", hosts.len() - told.len()));
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_with_their_labels_and_not_without_end() {
        let hosts =
            |count: u8| (0..count).map(|at| (format!("h{at}"), [format!("l{at}"), "x".into()].into()));
        assert_eq!(
            told(&hosts(2).chain([("z".to_string(), BTreeSet::new())]).collect()),
            "h0 (l0, x); h1 (l1, x); z"
        );
        assert!(told(&hosts(10).collect()).ends_with("; h7 (l7, x); and 2 more"));
    }
}
