//! Arguments and help text of `sessions`, nothing else.

use clap::Args;

/// How it is typed.
pub const USAGE: &str = "\
oncall-cache sessions [--full] [--json]
       oncall-cache sessions --end ID [--all | --hangup] --reason TEXT
       oncall-cache sessions --person NAME [--all | --hangup] --reason TEXT";

/// Behind the help.
pub const HELP: &str = "\
A session that is open stays open when the shift ends, unless [policy.end] ends
it. This shows it; with --end or --person it ends what runs there by other
rights than the person's own, and connections to shared accounts. What a session
holds is told by what its processes descend from, and by login uid, audit
session and cgroup; what these do not agree on is listed, and never ended.

Exit status: 0, everybody in a session may still be there; 1, somebody's right
has ended; 2, cannot tell. With --end or --person: 0, all of it has ended; 1,
something is left: it says what, and why; 2, nothing was done: it says why";

/// What `sessions` is asked for.
#[derive(Debug, Args)]
pub struct SessionsArguments {
    /// Show the arguments of programs too; they may hold secrets
    #[arg(long, conflicts_with_all = ["end", "person"])]
    pub full: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// End the session with this id, as the list shows it
    #[arg(long, value_name = "ID", conflicts_with = "person")]
    pub end: Option<String>,

    /// End every session that this person has opened
    #[arg(long, value_name = "NAME")]
    pub person: Option<String>,

    /// Also end daemons that were started there, and what ignores hang-ups
    #[arg(long)]
    pub all: bool,

    /// Only hang up connections to shared accounts
    #[arg(long, conflicts_with = "all")]
    pub hangup: bool,

    /// Why: one line, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Show what would end and what would be left, and end nothing
    #[arg(long)]
    pub dry_run: bool,
}
