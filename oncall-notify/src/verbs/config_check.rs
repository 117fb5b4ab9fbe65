//! `config check`: may this program run with that file, and what will it do?

use std::path::Path;

use host::said::{CANNOT_TELL, Said};
use host::secret::Secret;

use super::load;

/// Reads the configuration, its templates and its secrets; sends nothing.
pub fn run(path: &Path) -> Said {
    let config = match load(path) {
        Ok(config) => config,
        Err(said) => return said,
    };
    let mut problems = Vec::new();
    for channel in &config.channels {
        for file in channel.kind.secrets() {
            let problem = match Secret::read(file) {
                Ok(secret) => {
                    channel.kind.misfit(secret.expose()).map(|what| format!("{}: {what}", file.display()))
                }
                Err(error) => Some(error.to_string()),
            };
            problems.extend(problem.map(|problem| format!("channel {}: {problem}", channel.name)));
        }
    }
    for file in &config.files {
        let is_pattern = file.to_string_lossy().contains('*');
        if !is_pattern && let Err(error) = std::fs::metadata(file) {
            problems.push(format!("{}: {error}; it is followed once it is there", file.display()));
        }
    }
    let lines = config.channels.iter().map(|channel| format!("{:<16}  {}", channel.name, channel.filter));
    let answer = format!("channel           takes\n{}", lines.collect::<Vec<_>>().join("\n"));
    let code = if problems.is_empty() { 0 } else { CANNOT_TELL };
    Said::text(answer).notes(problems).exit(code)
}
