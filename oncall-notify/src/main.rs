//! `oncall-notify`: tells people and channels what the record of decisions says.

#![forbid(unsafe_code)]

mod channels;
mod cli;
mod config;
mod courier;
mod engine;
mod event;
mod follow;
mod notice;
mod spool;
mod state;
mod verbs;
mod watch;
mod words;

use std::panic::catch_unwind;
use std::process::ExitCode;

use host::clock::now;
use host::said::{self, Said};
use host::toml_file;

use cli::{Arguments, ConfigVerb, Verb};

fn main() -> ExitCode {
    let run = || said::program(PROGRAM, Arguments::read(), clap::Error::use_stderr, answer);
    if !verbs::event::is_client_connect() {
        return run();
    }
    // Whatever becomes of it, and whatever was typed: nobody's VPN depends on notices.
    let _ = catch_unwind(run);
    ExitCode::SUCCESS
}

const PROGRAM: &str = "oncall-notify";

fn answer(arguments: &Arguments) -> Said {
    let config = toml_file::absolute(&arguments.config);
    match &arguments.verb {
        Verb::Run { dry_run: true } => verbs::run::dry(&config),
        Verb::Run { dry_run: false } => verbs::run::run(&config),
        Verb::Test { channel, person } => verbs::test::run(&config, channel, person.as_deref(), now()),
        Verb::Event { .. } => verbs::event::run(),
        Verb::Config { verb: ConfigVerb::Check { text } } => {
            verbs::config_check::run(&config, text.as_deref())
        }
    }
}
