//! `report`: who could become root in a time, who did, who was refused, and what of that is not known.
//!
//! It reads what the PAM module and the syncs wrote, current and rotated files, as a stream: a line that is not
//! understood is counted and said, and ends nothing. What is kept in memory is bounded.

mod boots;
mod contents;
mod could;
mod fleet;
mod left;
mod login;
mod logins;
mod names;
mod numbers;
mod page;
mod period;
mod show;
mod until;
mod unwritten;

use std::path::Path;

use host::Config;
use policy::Timestamp;
use serde_json::json;

use crate::cli::ReportArguments;
use crate::said::Said;
use contents::{Digests, Report};
use period::Period;
use show::Form;

/// What is said to whoever asks for a page of many hosts. What a log server has is records alone: who could be root is in
/// the rota that each host saw, and the report of many hosts keeps none of the logins that it counts.
const FLEET_HAS_NO_PAGE: &str = "--html makes the page of one host, from the record and the rota that this host has kept, and \
    a log server has no rota: on each host that you want a page of, type `sudo oncall-cache report --html FILE`. What is \
    missing of all hosts' records: --fleet without --html";

/// The report, in the form that was asked for.
pub fn run(path: &Path, arguments: &ReportArguments, now: Timestamp) -> Said {
    let period = match Period::parse(&arguments.since, arguments.until.as_deref(), now) {
        Ok(period) => period,
        Err(problem) => return Said::usage(problem),
    };
    if let Some(directory) = &arguments.fleet {
        if arguments.html.is_some() {
            return Said::usage(FLEET_HAS_NO_PAGE);
        }
        return fleet::run(directory, arguments, period);
    }
    let config = Config::load(path).map_err(|error| error.to_string());
    if let Some(file) = &arguments.html {
        let read = |config: Config| Report::read(&config, period, now, Digests::Told);
        return page::run(config.and_then(read), file, arguments.pseudonyms, now);
    }
    let form = match (arguments.json, arguments.csv) {
        (true, _) => Form::Json,
        (_, true) => Form::Csv,
        _ => Form::Table,
    };
    match config.and_then(|config| Report::read(&config, period, now, Digests::Untold)) {
        Ok(known) if arguments.would_refuse => {
            Said::text(known.show_would_refuse(form)).exit(known.exit_code_of_refusals())
        }
        Ok(known) => Said::text(known.show(form)).exit(known.exit_code()),
        Err(problem) => {
            let json = || json!({ "version": 1, "error": problem });
            Said::failure_as(arguments.json.then(json), format_args!("cannot tell: {problem}"))
        }
    }
}
