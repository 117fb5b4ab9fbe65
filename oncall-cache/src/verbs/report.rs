//! `report`: who could become root in a time, who did, who was refused, and what of that is not known.
//!
//! It reads what the PAM module and the syncs wrote, current and rotated files, as a stream: a line that is not
//! understood is counted and said, and ends nothing. What is kept in memory is bounded.

mod contents;
mod could;
mod fleet;
mod login;
mod logins;
mod names;
mod numbers;
mod page;
mod period;
mod show;
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

/// The report, in the form that was asked for.
pub fn run(path: &Path, arguments: &ReportArguments, now: Timestamp) -> Said {
    let period = match Period::parse(&arguments.since, arguments.until.as_deref(), now) {
        Ok(period) => period,
        Err(problem) => return Said::usage(problem),
    };
    if let Some(directory) = &arguments.fleet {
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
