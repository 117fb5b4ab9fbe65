//! `authkeys USER [TYPE KEY]`: sshd's AuthorizedKeysCommand; with `--principals` its AuthorizedPrincipalsCommand.
//!
//! Arguments in, exit code out. sshd drops every key that was printed if the command fails, so the
//! answer is made first, written once, and a reader that went away is no failure (auth2-pubkeyfile.c).

#![forbid(unsafe_code)]

mod automation;
mod chain;
mod cli;
mod door;
mod explain;
mod foreign;
mod live;
mod lookup;
mod memory;
mod offered;
mod person;
mod principals;
mod problem;
mod reason;
mod rules;
mod shared;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use host::child::wait_for;
use host::clock::now;
use nix::poll::PollFlags;
use nix::unistd::geteuid;
use policy::Account;
use record::{Escaped, Line};
use state::{HostState, Which};
use store::{Certificate, CertificateProblem};

use lookup::Answer;
use offered::Offered;
use person::Clock;
use principals::Named;
use problem::Problem;

/// The answer is not known.
const CANNOT_TELL: u8 = 2;
/// sysexits.h's EX_USAGE; clap's own 2 would read as "cannot tell".
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let clock = Clock { now: now(), start: Instant::now() };
    let arguments = match cli::Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            host::output::page(&error, error.use_stderr());
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let (user, explain) = (arguments.user.clone(), arguments.explain);
    match run(arguments, clock) {
        Ok(Said::Keys(answer)) if explain => write_whole(&explain::report(&user, &answer, clock.now)),
        Ok(said) => {
            let (line, text) = match said {
                Said::Keys(answer) => (answer.line(&user), answer.text()),
                Said::Principal(named) => (named.line(&user), named.text()),
            };
            line.send("authkeys");
            write_whole(&text)
        }
        Err(problem) => {
            if !explain {
                Line::new(&user, "unknown", problem.reason())
                    .field("problem", &problem.to_string())
                    .send("authkeys");
            }
            host::output::complain("authkeys", format_args!("{}: {problem}", Escaped(&user)));
            ExitCode::from(if matches!(problem, Problem::Offer(_)) { USAGE } else { CANNOT_TELL })
        }
    }
}

/// What is answered.
enum Said {
    /// Keys.
    Keys(Box<Answer>),
    /// The principal of a certificate.
    Principal(Box<Named>),
}

/// What sshd says is offered.
enum Asked {
    /// This key, if it says that.
    Key(Option<Offered>),
    /// This certificate, or something that is none.
    Certificate(Box<Result<Certificate, CertificateProblem>>),
}

impl Asked {
    fn about(arguments: &cli::Arguments) -> Result<Self, Problem> {
        let (kind, key) = (arguments.kind.as_deref(), arguments.key.as_deref());
        if arguments.principals {
            let offered = principals::offered(kind.unwrap_or_default(), key.unwrap_or_default())?;
            return Ok(Self::Certificate(Box::new(offered)));
        }
        offered::offered(kind, key).map(Self::Key)
    }
}

fn run(arguments: cli::Arguments, clock: Clock) -> Result<Said, Problem> {
    // Names are judged before anything is read. A joined domain's are read by [names].
    let plain = match Account::new(&arguments.user) {
        Err(error) if !policy::is_account(&arguments.user) => return Err(Problem::Name(error)),
        account => account.ok(),
    };
    let asked = Asked::about(&arguments)?;
    let mut state = HostState::load(&arguments.config);
    let config = state.config()?;
    let by_names = plain.is_none();
    let account = match plain {
        Some(account) => account,
        None => config.rules.person_of(&arguments.user).map_err(Problem::Name)?.personal_account(),
    };
    state.read_grants(Which::Into(account.as_str()), clock.now);
    match asked {
        Asked::Certificate(certificate) => {
            let named = principals::answer(&state, &account, *certificate, clock)?;
            Ok(Said::Principal(Box::new(named)))
        }
        Asked::Key(offered) => {
            let answer = keys(&state, &account, offered.as_ref(), (arguments.explain, by_names), clock)?;
            Ok(Said::Keys(Box::new(answer)))
        }
    }
}

/// The keys that open `account`; `explain`: and why others do not; `by_names`: as [names] reads what sshd calls it.
fn keys(
    state: &HostState,
    account: &Account,
    offered: Option<&Offered>,
    (explain, by_names): (bool, bool),
    clock: Clock,
) -> Result<Answer, Problem> {
    let config = state.config()?;
    if explain {
        lookup::may_explain(config)?;
    }
    if door::is_door(account) {
        return door::answer(state, offered, clock.now);
    }
    let answer = lookup::answer(state, account, offered, clock)?;
    if explain {
        let answer = lookup::with_rejected(answer, config, account, clock.now)?;
        return Ok(if by_names { answer } else { chain::foretell(answer, config, account) });
    }
    // By [names], other commands know the account by another name than this, which may be somebody else's. Root asks by
    // hand; other commands are for sshd's user to run.
    if by_names || geteuid().is_root() {
        return Ok(answer);
    }
    Ok(chain::extend(answer, state, account, offered, clock))
}

/// How long sshd may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A pipe that can be written at all takes this much without waiting (pipe(7), PIPE_BUF).
const AT_ONCE: usize = 4096;

/// Writes to the reader, and does not wait for ever for one that does not read.
fn write_whole(text: &str) -> ExitCode {
    let Some(end) = Instant::now().checked_add(PATIENCE) else { return ExitCode::from(CANNOT_TELL) };
    let mut stdout = io::stdout().lock();
    for part in text.as_bytes().chunks(AT_ONCE) {
        let written = wait_for(stdout.as_fd(), PollFlags::POLLOUT, end)
            .and_then(|()| stdout.write_all(part))
            .and_then(|()| stdout.flush());
        match written {
            Ok(()) => {}
            // sshd before 7.5 closes the pipe at the first match.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::from(CANNOT_TELL),
        }
    }
    ExitCode::SUCCESS
}
