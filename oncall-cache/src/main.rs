//! `oncall-cache`: copies who is on call into SQLite and answers questions about it.

#![forbid(unsafe_code)]

mod advice;
mod approvers;
mod cli;
#[cfg(test)]
mod golden;
mod granted;
mod held;
mod import;
mod lines;
mod mappings;
mod names;
mod narrow;
mod pull;
mod switching;
mod sync;
mod table;
mod verbs;
mod when;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use host::clock::now;
use host::said;

use cli::provider::ProviderVerb;
use cli::{Arguments, ConfigVerb, Verb};
use said::{Live, Said};

fn main() -> ExitCode {
    let said = match Arguments::read() {
        Ok(arguments) => {
            let config = host::toml_file::absolute(&arguments.config);
            answer(&Arguments { config, ..arguments })
        }
        Err(error) => {
            host::output::page(&error, error.use_stderr());
            if error.use_stderr() { wrong_usage() } else { Said::default() }
        }
    };
    said.print("oncall-cache");
    ExitCode::from(said.code)
}

fn answer(arguments: &Arguments) -> Said {
    let live = Live { note: &complain, progress: &progress };
    let config = arguments.config.as_path();
    match &arguments.verb {
        Verb::Sync(arguments) => verbs::sync::run(config, arguments, live),
        Verb::Pull(arguments) => verbs::pull::run(config, arguments, live),
        Verb::Refresh(arguments) => verbs::refresh::run(config, arguments, live),
        Verb::Who { at } => verbs::who::run(config, at, now()),
        Verb::Status(arguments) => verbs::status::run(config, arguments, now()),
        Verb::Identities(arguments) => verbs::identities::run(config, arguments, live, now()),
        Verb::Provider { verb: ProviderVerb::List { json } } => verbs::provider::list(*json),
        Verb::Provider { verb: ProviderVerb::Test { name, record } } => {
            verbs::provider::test(config, name, record.as_deref(), now())
        }
        Verb::Report(arguments) => verbs::report::run(config, arguments, now()),
        Verb::Sessions(arguments) => verbs::sessions::run(config, arguments, now()),
        Verb::Doctor { json } => verbs::doctor::run(config, *json, live, now()),
        Verb::PamLines { services } => verbs::pam_lines::run(services),
        Verb::PamDoors { table } => verbs::pam_doors::run(config, *table),
        Verb::TestAccess(arguments) => verbs::test_access::run(config, arguments, now()),
        Verb::Why(arguments) => verbs::why::run(config, arguments, now()),
        Verb::Grant { verb } => verbs::grant::run(config, verb, live, now()),
        Verb::Claim { reason } => verbs::claim::run(reason),
        Verb::Watch { again_after } => {
            verbs::watch::run(config, Duration::from_secs(*again_after), live, now)
        }
        Verb::Heartbeat => verbs::heartbeat::run(config, now()),
        Verb::End => verbs::end::run(config, now()),
        Verb::AskRego => verbs::ask_rego::run(),
        Verb::Explain => verbs::explain::run(config, now()),
        Verb::Policy { verb } => verbs::policy::run(config, verb, live, now()),
        Verb::Revoke { user, reason } => verbs::revoke::run(config, user, reason, live, now()),
        Verb::Unrevoke { user } => verbs::revoke::take_back(config, user, live, now()),
        Verb::Pause(arguments) => verbs::pause::run(config, arguments, live, now()),
        Verb::Enforce(arguments) => verbs::enforce::run(config, arguments, live, now()),
        Verb::Config { verb: ConfigVerb::Check { kind, file } } => {
            verbs::config_check::run(*kind, file, live, now())
        }
        Verb::Config { verb: ConfigVerb::Show { json } } => verbs::config_show::run(config, *json, now()),
        Verb::Config { verb: ConfigVerb::Import { file, format } } => {
            verbs::config_import::run(file, *format)
        }
    }
}

/// clap has said what is wrong.
fn wrong_usage() -> Said {
    if std::env::args_os().any(|argument| argument == "--nagios") {
        return verbs::status::wrong_usage_under_nagios();
    }
    Said::default().exit(said::USAGE)
}

fn complain(text: fmt::Arguments<'_>) {
    host::output::complain("oncall-cache", text);
}

fn progress(text: fmt::Arguments<'_>) {
    if host::output::is_watched() {
        complain(text);
    }
}
