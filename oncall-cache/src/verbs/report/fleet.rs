//! `report --fleet`: of which hosts there are records, and what of them is missing, by what a log server collected.
//!
//! It reads no configuration and believes no host: a record counts for a host if the log server says that this host sent
//! it. What is kept in memory grows with hosts, boots and holes, and not with records.

mod collected;
mod input;
mod inventory;
mod judge;
mod runs;
mod show;
#[cfg(test)]
mod tests;

use std::path::Path;

use policy::Span;
use serde_json::json;

use super::period::Period;
use crate::cli::ReportArguments;
use crate::said::Said;
use collected::Collected;
use inventory::Inventory;
use judge::{Finding, judge};
use show::Fleet;

/// The report of what is below `directory`.
pub fn run(directory: &Path, arguments: &ReportArguments, period: Period) -> Said {
    let outcome = read_inventory(arguments.inventory.as_deref())
        .and_then(|inventory| report(directory, inventory, period, arguments.silent));
    match outcome {
        Ok(fleet) => {
            let code = u8::from(!fleet.findings.is_empty() || fleet.inventory.is_none());
            Said::text(if arguments.json { fleet.json() } else { fleet.table() }).exit(code)
        }
        Err(problem) => {
            let json = || json!({ "version": 1, "error": problem });
            Said::failure_as(arguments.json.then(json), format_args!("cannot tell: {problem}"))
        }
    }
}

fn read_inventory(path: Option<&Path>) -> Result<Option<Inventory>, String> {
    let Some(path) = path else { return Ok(None) };
    let named = |problem| format!("{}: {problem}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    Inventory::parse(&text).map(Some).map_err(named)
}

fn report(
    directory: &Path,
    inventory: Option<Inventory>,
    period: Period,
    silent: Span,
) -> Result<Fleet, String> {
    let (mut collected, mut gaps) = (Collected::new(period.since, period.until, silent), Vec::new());
    let nobody = Inventory::default();
    let known = inventory.as_ref().unwrap_or(&nobody);
    input::each(directory, &mut gaps, |line| collected.take(&line, known))?;
    let mut findings = judge(&collected, inventory.as_ref());
    findings.extend(gaps.into_iter().map(|text| Finding { host: String::new(), kind: "file", text }));
    Ok(Fleet { directory: directory.to_path_buf(), collected, inventory, findings })
}
