//! `sink`: others are told who is on call.

use std::path::Path;

use host::accounts;
use host::said::{CANNOT_TELL, Said};
use host::toml_file;
use policy::Timestamp;
use publish::SyncLock;

use crate::cli::SinkArguments;
use crate::sinks::{self, Apply, Outcome, Rota, RotaError, Sink, SinksConfig};

/// Brings every sink up to date, or says what that would change.
pub fn run(collector: &Path, arguments: &SinkArguments, at: Timestamp) -> Said {
    match tell(collector, arguments, at) {
        Ok(said) => said,
        Err(RotaError::StandsBy(_)) if arguments.quiet => Said::default(),
        Err(RotaError::StandsBy(text)) => Said::text(text),
        Err(RotaError::Problem(problem)) => {
            Said::failure(CANNOT_TELL, format_args!("nobody is told: {problem}"))
        }
    }
}

fn tell(collector: &Path, arguments: &SinkArguments, at: Timestamp) -> Result<Said, RotaError> {
    let problem = |error: &dyn std::fmt::Display| RotaError::Problem(error.to_string());
    let beside = |name: &str| collector.parent().unwrap_or(Path::new("/")).join(name);
    let path = arguments.sinks.as_deref().map_or_else(|| beside("sinks.toml"), toml_file::absolute);
    let config = SinksConfig::load(&path).map_err(|error| problem(&error))?;
    let syncs = host::Config::load(&beside("config.toml")).map_err(|error| problem(&error))?;
    // As the unit's user: root would leave files that it cannot replace.
    accounts::become_owner_of(&config.state).map_err(|error| problem(&error))?;
    let apply = if arguments.dry_run { Apply::Look } else { Apply::Write };
    let lock =
        (apply == Apply::Write).then(|| SyncLock::wait(&config.state.join("sinks"), || ())).transpose();
    let _lock = lock.map_err(|error| problem(&error))?;
    let rota = Rota::read(collector, &syncs, at)?;
    let mut said = Said::default();
    let mut code = 0;
    let outcomes = sinks::run(&config.sinks, (&rota, &syncs), &config.state, at, apply);
    for (Sink { name, .. }, Outcome { changes, notes, alerts }) in config.sinks.iter().zip(outcomes) {
        code = code.max(u8::from(!alerts.is_empty()));
        if changes.is_empty() && alerts.is_empty() && !arguments.quiet {
            said = said.then(format!("{name}: nothing to do"));
        }
        said = changes.iter().fold(said, |said, line| said.then(format!("{name}: {line}")));
        // Every minute anew, they would be all that is in the log.
        if !arguments.quiet || !changes.is_empty() {
            said = said.notes(notes.iter().map(|line| format!("{name}: {line}")));
        }
        said = said.notes(alerts.iter().map(|line| format!("{name}: {line}")));
    }
    Ok(said.exit(code))
}
