//! `oncall-cache`: copies who is on call into SQLite and answers questions about it.

#![forbid(unsafe_code)]

mod advice;
mod check;
mod cli;
mod doctor;
mod explain;
#[cfg(test)]
mod golden;
mod http;
mod identity;
mod import;
mod map;
mod names;
mod providers;
mod refresh;
mod report;
mod revoke;
mod status;
mod switch;
mod sync;
mod table;
mod usage;
mod when;
mod who;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use host::clock::now;
use host::{Config, FileError, revoked};
use jiff::tz::TimeZone;
use policy::{Timestamp, plain};
use serde_json::{Value, json};

use cli::{
    Arguments, ConfigVerb, Format, Kind, MapArguments, Moment, Question, RefreshArguments, ReportArguments,
    StatusArguments, SyncArguments, Verb,
};
use map::Map;
use providers::rota::Rota;
use report::Report;
use status::Status;
use store::StoreError;
use sync::{Accept, State, Summary, SyncError, Turn, Wish};
use usage::{Form, Period, Usage};
use when::When;
use who::Who;

/// The answer is not known.
const CANNOT_TELL: u8 = 2;
/// sysexits.h's EX_USAGE; clap's own 2 would read as "cannot tell".
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { wrong_usage() } else { ExitCode::SUCCESS };
        }
    };
    // What is trusted is named from the root on.
    let absolute = std::path::absolute(&arguments.config);
    let arguments = Arguments { config: absolute.unwrap_or_else(|_| arguments.config.clone()), ..arguments };
    let config = || Config::load(&arguments.config);
    let code = match &arguments.verb {
        Verb::Sync(arguments) => sync(|| config().map(Config::with_credentials), arguments),
        Verb::Refresh(arguments) if arguments.serve => serve(|| config().map(Config::with_credentials)),
        Verb::Refresh(arguments) => refresh(config(), arguments),
        Verb::Who { moment } => {
            at(moment).map_or_else(usage, |at| show_who(&arguments.config, at, moment.json))
        }
        Verb::Status(arguments) => show_status(config(), arguments),
        Verb::Map(arguments) => show_map(config(), arguments),
        Verb::Report(arguments) => show_usage(config(), arguments),
        Verb::Doctor { json } => examine(&arguments.config, *json),
        Verb::PamLines { services } => {
            say(&doctor::pam_lines(services));
            0
        }
        Verb::PamDoors { table } => doors(&arguments.config, *table),
        Verb::Check(question) => ask(&arguments.config, question, check::Answer::line),
        Verb::Why(question) => ask(&arguments.config, question, |answer| answer.chain(&TimeZone::system())),
        Verb::Explain => explain(&check::World::load(&arguments.config, now())),
        Verb::Revoke { user, reason } => change(revoke::revoke(&arguments.config, user, reason, now())),
        Verb::Unrevoke { user } => change(revoke::unrevoke(&arguments.config, user)),
        Verb::Suspend(wish) => switched(switch::suspend(&arguments.config, wish, now())),
        Verb::Enforce(wish) => switched(switch::enforce(&arguments.config, wish, now())),
        Verb::Config { verb: ConfigVerb::Check { kind, file } } => check_file(*kind, file),
        Verb::Config { verb: ConfigVerb::Show { json } } => show_config(config(), *json),
        Verb::Config { verb: ConfigVerb::Import { file, format } } => import_config(file, *format),
    };
    ExitCode::from(code)
}

/// What a monitoring system reads and knows is not what a shell does.
fn wrong_usage() -> ExitCode {
    if std::env::args_os().any(|argument| argument == "--nagios") {
        say(&status::unknown_to_nagios("wrong usage; see oncall-cache status --help"));
        return ExitCode::from(status::UNKNOWN);
    }
    ExitCode::from(USAGE)
}

fn at(moment: &Moment) -> Result<Timestamp, String> {
    moment.at.as_deref().map_or_else(|| Ok(now()), when::parse)
}

/// Prints text; a reader that went away is no failure.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{}", plain(text));
}

/// One line on standard error, whatever stands in it.
fn complain(text: impl std::fmt::Display) {
    host::output::complain("oncall-cache", text);
}

/// Says what is being waited for, to somebody who is looking on.
fn progress(text: impl std::fmt::Display) {
    if host::output::is_watched() {
        complain(text);
    }
}

fn usage(problem: String) -> u8 {
    complain(problem);
    USAGE
}

fn print_json(value: &Value) {
    say(&format!("{value:#}"));
}

fn sync(load: impl Fn() -> Result<Config, FileError>, arguments: &SyncArguments) -> u8 {
    let accept = match &arguments.accept {
        None => Accept::Nothing,
        Some(these) if these.is_empty() => Accept::Everything,
        Some(these) => Accept::These(these.clone()),
    };
    let wish = Wish { dry_run: arguments.dry_run, accept };
    let (turn, config) = match begin(load) {
        Ok(begun) => begun,
        Err(problem) => {
            complain(problem);
            return CANNOT_TELL;
        }
    };
    let now = now();
    match sync::sync(&turn, &config, &wish, now) {
        Ok(summary) => {
            tell(&summary, now);
            if wish.dry_run {
                say(&differences(&summary, now));
            } else {
                say(&summarise(&summary.roster, &config, now));
            }
            u8::from(!summary.is_whole())
        }
        Err(problem) => {
            problem.lines().iter().for_each(complain);
            if matches!(problem, SyncError::NothingToAccept(_)) { USAGE } else { CANNOT_TELL }
        }
    }
}

/// A turn, and the configuration as it is then.
fn begin(load: impl Fn() -> Result<Config, FileError>) -> Result<(Turn, Config), String> {
    loop {
        let config = load().map_err(|error| error.to_string())?;
        let (turn, waited) = Turn::wait(&config).map_err(|error| error.to_string())?;
        // What was read before a wait is old, and may name another roster.
        if !waited {
            return Ok((turn, config));
        }
    }
}

/// What somebody should look at.
fn tell(summary: &Summary, now: Timestamp) {
    summary.notes.iter().for_each(complain);
    summary.outcomes.iter().filter(|outcome| outcome.state != State::Read).for_each(complain);
    summary.ahead.iter().for_each(|ahead| complain(ahead.line(now)));
    summary.groups_problem.iter().for_each(complain);
}

/// Who would gain and who would lose, for `sync --dry-run`.
fn differences(summary: &Summary, now: Timestamp) -> String {
    let lines = summary.changes.lines(now);
    if lines.is_empty() { "nothing would change".to_string() } else { lines.join("\n") }
}

/// `2 schedules, 6 shifts, alice until 18:00 UTC, next bob`.
fn summarise(roster: &policy::Roster, config: &Config, now: Timestamp) -> String {
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let mut text =
        format!("{}, {}", plural(roster.schedules.len(), "schedule"), plural(roster.shifts.len(), "shift"));
    // Who is revoked is the readers' business: a sync says what the rota says, less those it knows to be.
    let revoked = revoked::read(&config.paths.revoked).unwrap_or_default();
    let on_call = policy::on_call_now(&config.rules, roster, &revoked, now);
    if on_call.is_empty() {
        text.push_str(", nobody on call here now");
    }
    for (person, ground) in &on_call {
        text.push_str(&format!(", {person} until {}", When(ground.stretch.end(), now)));
    }
    let counted = |shift: &&policy::Shift| {
        shift.window.start() > now && !on_call.iter().any(|(person, _)| **person == shift.principal)
    };
    let next = roster.shifts.iter().filter(counted).min_by_key(|shift| (shift.level, shift.window));
    if let Some(next) = next {
        text.push_str(&format!(", next {}", next.principal));
    }
    text
}

fn refresh(config: Result<Config, FileError>, arguments: &RefreshArguments) -> u8 {
    match config.map_err(|error| error.to_string()).and_then(|config| refresh::ask(&config)) {
        Ok(answer) => {
            if arguments.json {
                print_json(&json!(answer));
            } else {
                say(&answer.message);
            }
            answer.exit
        }
        Err(problem) => {
            if arguments.json {
                print_json(&json!({ "version": 1, "exit": CANNOT_TELL, "message": problem }));
            }
            complain(problem);
            CANNOT_TELL
        }
    }
}

/// What a verb that changes a file has done, or why not.
fn change(outcome: Result<revoke::Changed, revoke::Failure>) -> u8 {
    match outcome {
        Ok(changed) => {
            for line in &changed.notes {
                complain(line);
            }
            say(&changed.text);
            0
        }
        Err(failure) => {
            complain(&failure);
            failure.exit_code()
        }
    }
}

/// The same for a verb that switches the mode.
fn switched(outcome: Result<Vec<String>, switch::Failure>) -> u8 {
    match outcome {
        Ok(lines) => {
            lines.iter().for_each(|line| say(line));
            0
        }
        Err(failure) => {
            complain(&failure);
            failure.exit_code()
        }
    }
}

fn serve(load: impl Fn() -> Result<Config, FileError>) -> u8 {
    match refresh::serve(load) {
        Ok(()) => 0,
        Err(problem) => {
            complain(problem);
            CANNOT_TELL
        }
    }
}

fn show_who(path: &Path, at: Timestamp, as_json: bool) -> u8 {
    let world = check::World::load(path, at);
    let known = match (&world.roster, Config::load(path)) {
        (Ok(roster), Ok(config)) => Ok((roster, config)),
        (Err((_, problem)), _) => Err(problem.clone()),
        (_, Err(error)) => Err(error.to_string()),
    };
    match known {
        Ok((roster, config)) => {
            let report = Report::read(&report::path(&config));
            let status = Status::new(&config, Ok(roster), &report, &world.switch, at);
            let who = Who::new(roster, &world.rules, &status, &world.revoked, at);
            if as_json {
                print_json(&who.json())
            } else {
                say(&who.table())
            }
            who.exit_code()
        }
        Err(problem) => {
            if as_json {
                print_json(&json!({ "version": 1, "at": at.to_string(), "error": problem }));
            }
            complain(format_args!("cannot tell: {problem}"));
            CANNOT_TELL
        }
    }
}

fn show_status(config: Result<Config, FileError>, arguments: &StatusArguments) -> u8 {
    let at = now();
    let config = match config {
        Ok(config) => config,
        Err(problem) => return without_config(&problem, arguments, at),
    };
    let roster = store::roster::read(&config.paths.roster, at);
    if let (true, Err(StoreError::Untrusted(refusal))) = (arguments.nagios, &roster)
        && refusal.is_denied()
    {
        say(&status::unknown_to_nagios(&refusal.to_string()));
        return status::UNKNOWN;
    }
    let roster = roster.map_err(|error| error.to_string());
    let report = Report::read(&report::path(&config));
    let switch = switch::read(&config.path);
    let status = Status::new(&config, roster.as_ref().map_err(String::as_str), &report, &switch, at);
    if arguments.json {
        print_json(&status.json());
    } else if arguments.prometheus {
        say(&status.prometheus());
    } else if arguments.nagios {
        say(&status.nagios());
    } else {
        say(&status.table());
    }
    status.health().code()
}

/// Guarded logins are refused while the configuration cannot be read; or this user alone may not read it.
fn without_config(problem: &FileError, arguments: &StatusArguments, at: Timestamp) -> u8 {
    if arguments.nagios {
        let is_denied = matches!(problem, FileError::File(refusal) if refusal.is_denied());
        if is_denied {
            say(&status::unknown_to_nagios(&problem.to_string()));
            return status::UNKNOWN;
        }
        say(&status::critical(&problem.to_string()));
        return CANNOT_TELL;
    }
    if arguments.json {
        print_json(
            &json!({ "version": 1, "at": at.to_string(), "health": "not-believed", "message": problem.to_string() }),
        );
    } else if arguments.prometheus {
        say(&status::unknown());
    }
    complain(format_args!("cannot tell: {problem}"));
    CANNOT_TELL
}

fn show_map(config: Result<Config, FileError>, arguments: &MapArguments) -> u8 {
    let read = |config: Config| Map::read(&config, now()).map_err(|error| error.to_string());
    let map = match config.map_err(|error| error.to_string()).and_then(read) {
        Ok(map) if arguments.check => map.only_problems(),
        Ok(map) => map,
        Err(problem) => {
            if arguments.json {
                print_json(&json!({ "version": 1, "error": problem }));
            }
            complain(format_args!("cannot tell: {problem}"));
            return CANNOT_TELL;
        }
    };
    map.unread().iter().for_each(complain);
    if arguments.json {
        print_json(&map.json());
    } else {
        say(&map.table());
    }
    match map.unread() {
        [] => u8::from(arguments.check && map.has_problems()),
        _ => CANNOT_TELL,
    }
}

fn show_usage(config: Result<Config, FileError>, arguments: &ReportArguments) -> u8 {
    let now = now();
    let period = match Period::parse(&arguments.since, arguments.until.as_deref(), now) {
        Ok(period) => period,
        Err(problem) => return usage(problem),
    };
    let form = match (arguments.json, arguments.csv) {
        (true, _) => Form::Json,
        (_, true) => Form::Csv,
        _ => Form::Table,
    };
    let known = config.map_err(|error| error.to_string());
    match known.and_then(|config| Usage::read(&config, period, now)) {
        Ok(known) if arguments.would_refuse => {
            say(&known.show_would_refuse(form));
            known.exit_code_of_refusals()
        }
        Ok(known) => {
            say(&known.show(form));
            known.exit_code()
        }
        Err(problem) => {
            if arguments.json {
                print_json(&json!({ "version": 1, "error": problem }));
            }
            complain(format_args!("cannot tell: {problem}"));
            CANNOT_TELL
        }
    }
}

fn examine(config: &Path, as_json: bool) -> u8 {
    let at = now();
    match doctor::examine(config, at) {
        Ok((host, findings)) => {
            if as_json {
                print_json(&findings.json(&host, at));
            } else {
                say(&findings.text());
            }
            findings.exit_code()
        }
        Err(problem) => {
            if as_json {
                print_json(&json!({ "version": 1, "at": at.to_string(), "error": problem }));
            }
            complain(problem);
            CANNOT_TELL
        }
    }
}

fn doors(config: &Path, as_table: bool) -> u8 {
    match if as_table { Ok(doctor::doors_table()) } else { doctor::pam_doors(config) } {
        Ok(text) => {
            say(&text);
            0
        }
        Err(problem) => {
            complain(problem);
            2
        }
    }
}

fn ask(config: &Path, question: &Question, print: fn(&check::Answer) -> String) -> u8 {
    let at = match at(&question.moment) {
        Ok(at) => at,
        Err(problem) => return usage(problem),
    };
    let world = check::World::load_about(config, &question.person, at);
    let principal = match world.person(&question.person) {
        Ok(principal) => principal,
        Err(error) => {
            let name = host::audit::Escaped(&question.person);
            complain(format_args!("cannot tell: {name}: not a person's name: {error} (bad-user)"));
            return CANNOT_TELL;
        }
    };
    let answer = match check::ask(&world, question, &principal, at) {
        Ok(answer) => answer,
        Err(problem) => return usage(problem),
    };
    if question.moment.json {
        print_json(&answer.json())
    } else {
        say(&print(&answer))
    }
    answer.exit_code()
}

fn explain(world: &check::World) -> u8 {
    let (text, told) = explain::explain(world, now());
    say(&text);
    if told { 1 } else { CANNOT_TELL }
}

fn check_file(kind: Kind, file: &Path) -> u8 {
    let read = std::path::absolute(file).and_then(|path| Ok((std::fs::read(&path)?, path)));
    let outcome = match read {
        Err(error) => Err(format!("{}: {error}", file.display())),
        Ok((text, path)) => match kind {
            Kind::Config => check_config(file, &path, &text).map_err(|error| error.to_string()),
            Kind::Rota => check_rota(file, &path, &text).map_err(|error| error.to_string()),
            Kind::Revoked => revoked::parse(&path, &text).map(drop).map_err(|error| error.to_string()),
        },
    };
    match outcome {
        Ok(()) => {
            say(&format!("{}: ok", file.display()));
            0
        }
        Err(problem) => {
            complain(problem);
            CANNOT_TELL
        }
    }
}

/// As a rota, with what a sync would leave out of it.
fn check_rota(file: &Path, path: &Path, text: &[u8]) -> Result<(), FileError> {
    for note in Rota::check(path, text, now())? {
        complain(format_args!("{}: warning: {note}", file.display()));
    }
    Ok(())
}

/// As a configuration, with what is no mistake and is hardly meant.
fn check_config(file: &Path, path: &Path, text: &[u8]) -> Result<(), FileError> {
    let config = Config::parse(path, text)?;
    for remark in names::remarks(&config, text, now()) {
        complain(format_args!("{}:{remark}", file.display()));
    }
    // A file for another host, or for keys alone, is no mistake.
    if let Some(uncovered) = config.rules.uncovered().filter(|_| !config.rules.rules.is_empty()) {
        say(&format!("{}: note: {uncovered}", file.display()));
    }
    for remark in config.remarks(now()).into_iter().chain(names::unfollowed(&config)) {
        say(&format!("{}: note: {remark}", file.display()));
    }
    Ok(())
}

fn show_config(config: Result<Config, FileError>, as_json: bool) -> u8 {
    let shown = config.map_err(|error| error.to_string()).and_then(|config| {
        let text = toml::to_string(&config.effective()).map_err(|error| error.to_string())?;
        Ok((config, text))
    });
    match shown {
        Ok((config, _)) if as_json => {
            let path = config.path.display().to_string();
            let switch = switch::read(&config.path);
            let (mode, source) = policy::mode_in_force(config.rules.mode, switch.as_ref().ok(), now());
            let mode = if mode == policy::Mode::Observe { "observe" } else { "enforce" };
            let mode_by = switch::told(source, switch.as_ref().err(), now());
            print_json(
                &json!({ "version": 1, "path": path, "mode": mode, "mode_by": mode_by, "config": config.effective() }),
            );
            0
        }
        Ok((config, text)) => {
            let switch = switch::read(&config.path);
            let (_, source) = policy::mode_in_force(config.rules.mode, switch.as_ref().ok(), now());
            let told = switch::told(source, switch.as_ref().err(), now());
            let told = told.map(|told| format!("# not by this file: {told}\n")).unwrap_or_default();
            say(&format!("# {} as it holds\n{told}{}", config.path.display(), text.trim_end()));
            0
        }
        Err(problem) => {
            if as_json {
                print_json(&json!({ "version": 1, "error": problem }));
            }
            complain(problem);
            CANNOT_TELL
        }
    }
}

fn import_config(file: &Path, format: Option<Format>) -> u8 {
    let imported = match import::import(file, format) {
        Ok(imported) => imported,
        Err(problem) => {
            complain(problem);
            return CANNOT_TELL;
        }
    };
    say(imported.text.trim_end());
    match imported.missing {
        None => 0,
        Some(missing) => {
            complain(format_args!(
                "{}: no {missing} to be had; [directory] is commented out, complete it",
                file.display()
            ));
            1
        }
    }
}
