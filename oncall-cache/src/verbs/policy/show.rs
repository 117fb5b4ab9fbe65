//! `policy show`: the lines that are signed, their digest, and whether they are what was signed.

use std::path::Path;

use approval::{Mark, SIGNERS, Standing, standing};
use policy::Timestamp;
use serde_json::{Value, json};

use super::super::grant::Failure;
use super::{approved, printed, read_config};
use crate::cli::policy::ShowArguments;
use crate::said::Said;

/// Prints it.
pub fn run(path: &Path, arguments: &ShowArguments, now: Timestamp) -> Result<Said, Failure> {
    let config = read_config(path)?;
    if let Some(number) = arguments.number {
        return Ok(printed(&approved(&config, number, &arguments.of, now)?.text()));
    }
    let lines = approval::lines(&config.text).map_err(|error| Failure::Failed(error.to_string()))?;
    let standing = standing(&config, &Mark::path(), now);
    let code = u8::from(standing.is_as_signed() == Some(false));
    let said = if arguments.json {
        Said::json(&json(path, &standing, &lines))
    } else {
        let told = standing.told().unwrap_or_default();
        let signed = match standing.is_as_signed() {
            Some(true) => format!("signed: {told}"),
            Some(false) => format!("NOT as signed: {told}"),
            None => format!("nobody asks for a signature: there is no {SIGNERS} beside it"),
        };
        let head = format!("# {}\n# digest {}\n# {signed}", path.display(), standing.digest);
        Said::text(format!("{head}\n{}", lines.join("\n")))
    };
    Ok(said.exit(code))
}

/// `version` changes when a field changes its meaning or goes.
fn json(path: &Path, standing: &Standing, lines: &[String]) -> Value {
    let signed = standing.signed.as_ref();
    json!({
        "version": 1,
        "path": path.display().to_string(),
        "digest": standing.digest,
        "as_signed": standing.is_as_signed(),
        "number": signed.map(|signed| signed.number),
        "issued": signed.map(|signed| signed.issued.to_string()),
        "signed_by": signed.map(|signed| &signed.by),
        "signed_digest": signed.map(|signed| &signed.digest),
        "ends": signed.and_then(|signed| signed.ends).map(|ends| ends.to_string()),
        "highest_seen": standing.seen.number(),
        "doubt": standing.doubt(),
        "problems": standing.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "dead_signer_lines": standing.dead.iter().map(|dead| dead.line).collect::<Vec<_>>(),
        "lines": lines,
    })
}
