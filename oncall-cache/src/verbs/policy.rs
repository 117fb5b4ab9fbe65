//! `policy`: what decides who is admitted, as a text that people read, sign and compare.
//!
//! It needs no root, and no host of ours: whoever approves a policy sits at a desk, and so does CI.

mod show;
mod sign;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use approval::Approved;
use host::Config;
use policy::Timestamp;

use super::grant::Failure;
use super::policy_plan;
use crate::cli::policy::{OfArguments, PolicyVerb};
use crate::said::{Live, Said};

/// The largest configuration or inventory that is read, in bytes: 16 MiB.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Room for as many signatures as there may be under a text, in bytes.
const SIGNATURES: usize = 8 * 1024;

/// Answers one of the verbs below `policy`.
pub fn run(config: &Path, verb: &PolicyVerb, live: Live<'_>, now: Timestamp) -> Said {
    let said = match verb {
        PolicyVerb::Plan(arguments) => Ok(policy_plan::plan(arguments, now)),
        PolicyVerb::Test(arguments) => Ok(policy_plan::test(config, arguments, now)),
        PolicyVerb::Show(arguments) => show::run(config, arguments, now),
        PolicyVerb::Sign(arguments) => sign::run(config, arguments, live, now),
    };
    said.unwrap_or_else(|failure| Said::failure(failure.exit_code(), &failure))
}

/// The configuration at `path`, whatever its owner: at a desk it is in somebody's checkout.
fn read_config(path: &Path) -> Result<Config, Failure> {
    let text = read(path)?;
    let config = Config::parse(path, &text).map_err(|error| Failure::Failed(error.to_string()))?;
    // What a command that failed was to write is never taken for a policy.
    if plan::is_empty(&config) {
        return Err(Failure::Failed(nothing_written(path)));
    }
    Ok(config)
}

/// That the file has no policy, and what to do.
pub(super) fn nothing_written(path: &Path) -> String {
    format!(
        "{}: nothing is written there, and that is no policy; one with every default is `[policy]`",
        path.display()
    )
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    let failed = |error: io::Error| Failure::Unreadable(path.to_path_buf(), error);
    read.map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::Failed(format!("{}: longer than {LARGEST} bytes", path.display())));
    }
    Ok(bytes)
}

/// The text to sign of `config`.
fn approved(config: &Config, number: u64, of: &OfArguments, now: Timestamp) -> Result<Approved, Failure> {
    let failed = |error: approval::TextError| Failure::Failed(error.to_string());
    if !(1..=Approved::LAST).contains(&number) {
        return Err(Failure::Wrong(format!("--number is from 1 to {}", Approved::LAST)));
    }
    let issued = of.issued.as_deref().map_or(Ok(now), |text| {
        let wrong = || Failure::Wrong(format!("`{text}` is not a time; write 2026-11-20T18:00:00Z"));
        Timestamp::parse(text).ok_or_else(wrong)
    })?;
    let hosts = match &of.inventory {
        None => approval::hosts(&config.text).map_err(failed)?,
        Some(path) => {
            let wrong = |problem: String| Failure::Failed(format!("{}: {problem}", path.display()));
            let text = String::from_utf8(read(path)?).map_err(|_| wrong("not UTF-8".into()))?;
            approval::inventory(&text).map_err(wrong)?
        }
    };
    if let Some(open) = config.rego.iter().find(|one| one.sha256.is_none()) {
        let name = open.file.display();
        let text = format!(
            "[[policy.rego]] {name} has no `sha256`: what the file says would not be signed; write what sha256sum prints of it"
        );
        return Err(Failure::Failed(text));
    }
    let lines = approval::lines(&config.text).map_err(failed)?;
    // An emptied file would be as signed.
    if lines.is_empty() {
        return Err(Failure::Failed(
            "nothing is written that is signed: [host] is not, nor is a section without settings; write what is to hold, such as `mode` in [policy]"
                .to_string(),
        ));
    }
    let approved = Approved { number, issued, hosts, lines };
    if approved.text().len() + SIGNATURES > approval::LARGEST {
        return Err(failed(approval::TextError::TooLong));
    }
    Ok(approved)
}

/// A text as `Said` prints it, which ends the last line itself.
fn printed(text: &str) -> Said {
    Said::text(text.strip_suffix('\n').unwrap_or(text))
}
