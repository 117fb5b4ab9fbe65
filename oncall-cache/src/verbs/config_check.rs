//! `config check`: is a file accepted, and what in it is hardly meant?

use std::path::Path;

use host::config::Rego;
use host::{Config, FileError, revoked};
use policy::Timestamp;
use sources::rota::Rota;
use status::InnerGroups;

use crate::approvers;
use crate::cli::Kind;
use crate::names;
use crate::narrow::Files;
use crate::said::{CANNOT_TELL, Live, Said};

/// Reads `file` as a file of that kind, whatever its owner.
pub fn run(kind: Kind, file: &Path, live: Live<'_>, now: Timestamp) -> Said {
    let read = std::path::absolute(file).and_then(|path| Ok((std::fs::read(&path)?, path)));
    let (path, text) = match read {
        Ok((text, path)) => (path, text),
        Err(error) => return Said::failure(CANNOT_TELL, format_args!("{}: {error}", file.display())),
    };
    let checked = match kind {
        Kind::Config => config(file, &path, &text, live, now),
        Kind::Rota => rota(file, &path, &text, now).map_err(|error| error.to_string()),
        Kind::Revoked => {
            revoked::parse(&path, &text).map(|_| Said::default()).map_err(|error| error.to_string())
        }
    };
    match checked {
        Ok(said) => said.then(format!("{}: ok", file.display())),
        Err(problem) => Said::failure(CANNOT_TELL, problem),
    }
}

/// As a rota, with what a sync would leave out of it.
fn rota(file: &Path, path: &Path, text: &[u8], now: Timestamp) -> Result<Said, FileError> {
    let notes = Rota::check(path, text, now)?;
    let notes = notes.into_iter().map(|note| format!("{}: warning: {note}", file.display()));
    Ok(Said::default().notes(notes))
}

/// As a configuration, with what is no mistake and is hardly meant.
fn config(file: &Path, path: &Path, text: &[u8], live: Live<'_>, now: Timestamp) -> Result<Said, String> {
    let config = Config::parse(path, text).map_err(|error| error.to_string())?;
    // For whatever host it is. One that is not here is named below, as other files are.
    let here: Vec<Rego> = config.rego.iter().filter(|one| one.file.exists()).cloned().collect();
    Files::read_unjudged(&here)?.check(&config.rules.host)?;
    let mut remarks = names::remarks(&config, text, now, live.progress);
    remarks.extend(names::unreadable(&config, text));
    remarks.extend(approvers::remarks(&config, text, now));
    remarks.sort_by_key(|remark| remark.line);
    let warnings = remarks.into_iter().map(|remark| format!("{}:{remark}", file.display()));
    // A file for another host, or for keys alone, is no mistake.
    let uncovered = config.rules.uncovered().filter(|_| !config.rules.rules.is_empty());
    let notes = (uncovered.map(|uncovered| uncovered.to_string()).into_iter())
        .chain(config.remarks(now))
        .chain(approvers::notes(&config, now))
        .chain(InnerGroups::noted(&config).map(InnerGroups::into_text));
    let said = Said::default().notes(warnings);
    Ok(notes.fold(said, |said, note| said.then(format!("{}: note: {note}", file.display()))))
}
