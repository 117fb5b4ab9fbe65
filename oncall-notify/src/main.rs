//! `oncall-notify`: tells people and channels what the record of decisions says.

#![forbid(unsafe_code)]

mod channels;
mod cli;
mod config;
mod courier;
mod engine;
mod follow;
mod notice;
mod spool;
mod state;
mod verbs;
mod watch;
mod words;

use std::process::ExitCode;

use host::clock::now;
use host::said::{Said, USAGE};

use cli::{Arguments, ConfigVerb, Verb};

fn main() -> ExitCode {
    let said = match Arguments::read() {
        Ok(arguments) => answer(&arguments),
        Err(error) => {
            host::output::page(&error, error.use_stderr());
            Said::default().exit(if error.use_stderr() { USAGE } else { 0 })
        }
    };
    said.print(PROGRAM);
    ExitCode::from(said.code)
}

const PROGRAM: &str = "oncall-notify";

fn answer(arguments: &Arguments) -> Said {
    // What is trusted is named from the root on.
    let config = std::path::absolute(&arguments.config);
    let config = config.unwrap_or_else(|_| arguments.config.clone());
    match &arguments.verb {
        Verb::Run { dry_run: true } => verbs::run::dry(&config),
        Verb::Run { dry_run: false } => verbs::run::run(&config),
        Verb::Test { channel, person } => verbs::test::run(&config, channel, person.as_deref(), now()),
        Verb::Config { verb: ConfigVerb::Check } => verbs::config_check::run(&config),
    }
}
