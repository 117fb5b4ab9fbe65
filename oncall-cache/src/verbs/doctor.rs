//! `doctor`: what locks people out or lets them in on this host, with what fixes it.

use std::path::Path;

use doctor::{Findings, NotRootError, Told};
use host::Config;
use policy::Timestamp;
use serde_json::json;

use crate::names;
use crate::narrow::Files;
use crate::said::{Live, Said};

/// All findings.
pub fn run(config: &Path, as_json: bool, live: Live<'_>, at: Timestamp) -> Said {
    match examine(config, live, at) {
        Ok((host, findings)) => {
            let said =
                if as_json { Said::json(&findings.json(&host, at)) } else { Said::text(findings.text(at)) };
            said.exit(findings.exit_code())
        }
        Err(problem) => {
            let problem = problem.to_string();
            let json = || json!({ "version": 1, "at": at.to_string(), "error": problem });
            Said::failure_as(as_json.then(json), &problem)
        }
    }
}

/// The host's name, and all findings.
///
/// # Errors
/// Whoever asks is not root.
pub fn examine(config: &Path, live: Live<'_>, at: Timestamp) -> Result<(String, Findings), NotRootError> {
    let names = |config: &Config, text: &[u8]| -> Vec<(usize, String)> {
        let remarks = names::remarks(config, text, at, live.progress).into_iter();
        remarks.map(|remark| (remark.line, remark.text)).collect()
    };
    let rego = |config: &Config| {
        let host = &config.rules.host;
        Files::read(&config.rego, host)?.check(host)
    };
    doctor::examine(config, at, &Told { names: &names, rego: &rego })
}
