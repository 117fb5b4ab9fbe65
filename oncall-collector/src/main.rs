//! `oncall-collector`: publishes, signed, what the two syncs of this host know, for a fleet of hosts to read.

#![forbid(unsafe_code)]

mod cli;
mod config;
mod current;
mod draft;
mod handed;
mod hear;
mod local;
mod objects;
mod orders;
mod own;
mod pack;
mod publisher;
mod signing;
mod sinks;
mod stores;
mod sweep;
mod told;
mod turn;
mod upload;
mod verbs;

use std::fmt;
use std::process::ExitCode;

use host::clock::now;
use host::said::{self, Live, Said};
use host::toml_file;

use cli::{Arguments, ConfigVerb, KeyVerb, Verb};

fn main() -> ExitCode {
    said::program(PROGRAM, Arguments::read(), clap::Error::use_stderr, answer)
}

const PROGRAM: &str = "oncall-collector";

fn answer(arguments: &Arguments) -> Said {
    let live = Live { note: &complain, progress: &progress };
    let config = toml_file::absolute(&arguments.config);
    match &arguments.verb {
        Verb::Publish(arguments) => verbs::publish::run(&config, arguments, live),
        Verb::Status(arguments) => verbs::status::run(&config, arguments, now()),
        Verb::Revoke(arguments) => verbs::revoke::run(&config, arguments, live),
        Verb::Unrevoke { what } => verbs::revoke::take_back(&config, what, live),
        Verb::Hear => verbs::hear::run(&config),
        Verb::Config { verb: ConfigVerb::Check { sinks: None } } => verbs::config::check(&config),
        Verb::Config { verb: ConfigVerb::Check { sinks: Some(file) } } => {
            verbs::config::check_sinks(&config, file)
        }
        Verb::Config { verb: ConfigVerb::Import { file } } => verbs::config::import(file),
        Verb::Sink(arguments) => verbs::sink::run(&config, arguments, now()),
        Verb::Key { verb: KeyVerb::New { file, name, group } } => {
            verbs::key_new::run(&config, file, name.as_deref(), group)
        }
    }
}

fn complain(text: fmt::Arguments<'_>) {
    host::output::complain(PROGRAM, text);
}

fn progress(text: fmt::Arguments<'_>) {
    if host::output::is_watched() {
        complain(text);
    }
}
