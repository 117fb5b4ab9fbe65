//! The arguments of `policy plan` and `policy test`.

use std::path::PathBuf;

use ::policy::Span;
use clap::Args;

/// Behind the help of `policy plan`.
pub const PLAN: &str = "\
It reads the files it is given, needs no root and no network, and always says
what it does not know. NEW is not installed. --inventory and --rota count for both
sides, unless --old-inventory and --old-rota say what was before the change.

  oncall-cache policy plan old.toml new.toml --inventory hosts.toml --rota rota.toml

Exit status: 0; 1, a limit (--max-…) is exceeded; 2, it cannot be told who gains
and who loses: it says why";

/// Behind the help of `policy test`.
pub const TEST: &str = "\
FILE has an [[expect]] for each case: person, host, at (with a zone), expect =
\"admitted\", \"refused\" or \"not-guarded\"; and, if you like, account, service and
reason. It tests the configuration that --config names.

Exit status: 0, all hold; 1, one does not; 2, one cannot be judged";

#[derive(Debug, Args)]
pub struct PlanArguments {
    /// The configuration that runs
    #[arg(value_name = "OLD")]
    pub old: PathBuf,

    /// The one that is to run
    #[arg(value_name = "NEW")]
    pub new: PathBuf,

    #[command(flatten)]
    pub known: KnownArguments,

    /// The hosts as they were before the change, with OLD [default: as --inventory]
    #[arg(long, value_name = "FILE", requires = "inventory")]
    pub old_inventory: Option<PathBuf>,

    /// Who was to be on call before the change, with OLD [default: as --rota]
    #[arg(long, value_name = "[SOURCE=]FILE", requires = "rota")]
    pub old_rota: Vec<PathBuf>,

    /// Plan from this time on (2026-11-20T18:00:00Z) [default: now]
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,

    /// For how long, at most 366d
    #[arg(long = "for", value_name = "LENGTH", value_parser = length, default_value = "14d")]
    pub length: Span,

    /// The most people who may be root on one host at once
    #[arg(long, value_name = "N")]
    pub max_admitted: Option<usize>,

    /// The most people who may gain something
    #[arg(long, value_name = "N")]
    pub max_gained: Option<usize>,

    /// The most people who may lose something
    #[arg(long, value_name = "N")]
    pub max_lost: Option<usize>,

    /// The most settings that may be loosened
    #[arg(long, value_name = "N")]
    pub max_loosened: Option<usize>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The longest time that is planned for: a rota has a shift for each of its days.
const LONGEST: Span = Span::hours(366 * 24);

fn length(text: &str) -> Result<Span, String> {
    let length = host::config::duration(text).map_err(|error| error.to_string())?;
    if length > LONGEST { Err("a plan is for 366d at most".to_string()) } else { Ok(length) }
}

#[derive(Debug, Args)]
pub struct TestArguments {
    /// What is expected
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub known: KnownArguments,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct KnownArguments {
    /// The hosts, a [[host]] with name and labels for each [default: the one of [host]]
    #[arg(long, value_name = "FILE")]
    pub inventory: Option<PathBuf>,

    /// Who is on call: a rota.toml or JSON, a copy of roster.db, or `fleet`
    #[arg(long, value_name = "[SOURCE=]FILE")]
    pub rota: Vec<PathBuf>,
}
