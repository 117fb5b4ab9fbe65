//! The groups of `[[nss.group]]` with `grants = true`, published for libnss_oncall.so.2.
//!
//! They decide nothing: whoever is in one may try sudo, and PAM asks for the grant each time. So what cannot be written
//! is told, and holds nothing up.

use std::fs;
use std::io;
use std::path::Path;

use host::Config;
use host::config::GRANTED_GROUPS;
use policy::{Fault, Groups};

use crate::accept::{Moment, standing};
use crate::hold::Hold;

/// Publishes them as they follow from what `hold` has, the configuration at `config` and what is revoked now; where none is
/// configured, there is no file. Each member has the end of their grant, so nobody has to write then.
pub fn publish(config: &Path, hold: &Hold, moment: &Moment) {
    let written = Config::load(config).map_err(|error| error.to_string());
    if let Err(problem) = written.and_then(|config| write(Path::new(GRANTED_GROUPS), config, hold, moment)) {
        let what = format_args!("the groups of those with a grant stay as they were: {problem}");
        host::output::complain("oncall-grant-accept", what);
    }
}

fn write(path: &Path, config: Config, hold: &Hold, moment: &Moment) -> Result<(), String> {
    if config.groups.iter().all(|group| group.rules().is_some()) {
        return remove(path);
    }
    let (wanted, names) = (config.groups.clone(), config.rules.names.clone());
    let granted = standing(config, hold, moment);
    let granted = granted.as_deref().map_err(|_| Fault::Unreadable);
    let text = Groups::of_grants(&wanted, &names, granted, moment.now).to_string();
    if text.len() > Groups::LARGEST {
        return Err(format!("they take {} bytes, and readers take {}", text.len(), Groups::LARGEST));
    }
    publish::replace(path, 0o644, |temporary| fs::write(temporary, text)).map_err(|error| error.to_string())
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", path.display())),
        _ => Ok(()),
    }
}
