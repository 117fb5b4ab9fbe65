//! `config check`: may this program run with that file, and what will it do?

use std::io::Read;
use std::path::Path;

use host::said::{CANNOT_TELL, Said};
use host::secret::Secret;

use super::load;
use crate::config::{Channel, Config, Kind, PagerDuty};

/// The longest text that is looked at, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Reads the configuration, its templates and its secrets; sends nothing.
/// `text`: what may be put in its place, wherever it lies; what it names is looked for beside that place.
pub fn run(path: &Path, text: Option<&Path>) -> Said {
    let config = match text {
        None => load(path),
        Some(text) => proposed(path, text),
    };
    let config = match config {
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
    problems.extend(opens_a_rule(path, &config));
    problems.extend(config.events.iter().flat_map(|events| events.uids().1));
    let unseen =
        config.files.iter().filter(|file| !file.to_string_lossy().contains('*')).filter_map(|file| {
            let error = std::fs::metadata(file).err()?;
            Some(format!("{}: {error}; it is followed once it is there", file.display()))
        });
    let unseen: Vec<String> = unseen.collect();
    let lines = config.channels.iter().map(|channel| format!("{:<16}  {}", channel.name, channel.filter));
    let answer = format!("channel           takes\n{}", lines.collect::<Vec<_>>().join("\n"));
    // What is to be followed may come with what is to be put in its place.
    let is_right = problems.is_empty() && (unseen.is_empty() || text.is_some());
    Said::text(answer).notes(problems).notes(unseen).exit(if is_right { 0 } else { CANNOT_TELL })
}

/// The channels whose alerts would open incidents of a service that a `[[policy.rule]]` waits for: by `service` of the
/// channel, and `incident.services` of the rules in the config.toml beside this file, for whatever hosts they are. A routing
/// key does not say whose it is.
fn opens_a_rule(path: &Path, config: &Config) -> Vec<String> {
    let Ok(policy) = host::Config::load(&path.with_file_name("config.toml")) else { return Vec::new() };
    let waits =
        |service: &String| {
            policy.rules.rules.iter().find(|rule| {
                rule.incident.as_ref().is_some_and(|incident| incident.services.contains(service))
            })
        };
    let opens = |channel: &Channel| {
        let Kind::PagerDuty(PagerDuty { service: Some(service), .. }) = &channel.kind else { return None };
        let rule = waits(service)?;
        Some(format!(
            "channel {}: its alerts are of service {service}, for whose incidents [[policy.rule]] `{}` waits; send them to another service",
            channel.name, rule.name
        ))
    };
    config.channels.iter().filter_map(opens).collect()
}

fn proposed(path: &Path, text: &Path) -> Result<Config, Said> {
    let read = std::fs::File::open(text).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes =
        read.map_err(|error| Said::failure(CANNOT_TELL, format_args!("{}: {error}", text.display())))?;
    Config::parse(path, &bytes).map_err(|error| Said::failure(CANNOT_TELL, error))
}
