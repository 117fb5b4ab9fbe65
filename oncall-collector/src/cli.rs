//! Arguments and help text, nothing else.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use policy::Span;

/// Publish what this host knows, signed, for a fleet of hosts to read.
#[derive(Debug, Parser)]
#[command(name = "oncall-collector", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Read this configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/authkeys/collector.toml")]
    pub config: PathBuf,

    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  sudo oncall-collector key new /etc/authkeys/fleet-key     make a signing key
  sudo oncall-collector publish                             publish now
  sudo oncall-collector revoke alice --reason \"laptop lost\"
  sudo oncall-collector status                              what do hosts get?

Exit status: see COMMAND --help; wrong usage is 64 everywhere.
More: man oncall-collector, /usr/share/doc/authkeys/fleet.md";

impl Arguments {
    /// Reads the command line.
    pub fn read() -> Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::definition().try_get_matches()?)
    }

    /// The command as people see it.
    pub fn definition() -> Command {
        Self::command().disable_help_subcommand(true)
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Publish what this host knows, unless another collector is at work
    #[command(after_help = "\
The units run it whenever a copy has changed, and every 30 s. A collector
publishes if the last publication is its own, or is older than three of these
intervals; otherwise another collector is at work, and this one stands by.

Exit status: 0, published, or nothing to do here; 1, published without a part
that cannot be read; 2, not published: it says why")]
    Publish(PublishArguments),
    /// Show what hosts get, how old it is, and who published it
    #[command(after_help = "\
Exit status: 0, all is well; 1, something fails and what is published is still
valid; 2, hosts take over nothing new, or cannot tell")]
    Status(StatusArguments),
    /// Block a person, a key or a grant on every host of the fleet
    #[command(after_help = "\
It is published at once. Each host applies it at its next pull, within
`freshness` of its [fleet] section (60 s); one that is cut off, when it is back.
On one host now, without a network: oncall-cache revoke.

Exit status: 0, published; 1, written down here and not yet published: it says
why, and the next publication has it; 2, nothing was changed: it says why")]
    Revoke(RevokeArguments),
    /// Undo a revocation of the fleet; what root revoked on one host stays
    #[command(after_help = "\
Exit status: 0, published; 1, there is none, or it is not yet published: it says
which; 2, nothing was changed: it says why")]
    Unrevoke {
        /// A person, a key's fingerprint (SHA256:…) or grant:ID
        #[arg(value_name = "WHAT", allow_hyphen_values = true)]
        what: String,
    },
    /// Take PagerDuty's webhooks, and read the rota again at once
    #[command(after_help = "\
A unit runs it. It listens on the loopback (listen of [hear], 127.0.0.1:9461)
behind the site's proxy, and takes what a secret of `secret_files` has signed:
POST, at most 1 MiB. A sync begins at most every 2 s, however many come.

Exit status: it runs until it is ended; 2, it cannot begin: it says why")]
    Hear,
    /// Tell directory groups, Slack, GitLab and logs who is on call
    #[command(after_help = "\
A unit runs it every minute. It acts on what this collector has published, while
it is the one who publishes; on a host without /etc/authkeys/collector.toml, on
that host's own roster. What cannot be told changes nothing. See sinks.md.

Exit status: 0, all that is in sinks.toml is up to date, or another collector
sees to it; 1, a sink failed, or nobody is on call for too long: it says which;
2, nothing was done: it says why")]
    Sink(SinkArguments),
    /// Check what this program reads, or import another's
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Make a signing key
    Key {
        #[command(subcommand)]
        verb: KeyVerb,
    },
}

#[derive(Debug, Args)]
pub struct PublishArguments {
    /// Publish even if another collector is at work
    #[arg(long)]
    pub now: bool,

    /// Print nothing if nothing is new
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct SinkArguments {
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Print nothing if nothing is new
    #[arg(long)]
    pub quiet: bool,

    /// Read these sinks [default: sinks.toml beside the configuration]
    #[arg(long, value_name = "FILE")]
    pub sinks: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print metrics for node_exporter's textfile collector
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,
}

#[derive(Debug, Args)]
pub struct RevokeArguments {
    /// A person, a key's fingerprint (SHA256:…) or grant:ID
    #[arg(value_name = "WHAT", allow_hyphen_values = true)]
    pub what: String,

    /// Why: one line, which everybody on every host can read
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,

    /// For how long: 12h, 90d
    #[arg(long = "for", value_name = "LENGTH", value_parser = host::config::duration, default_value = "90d")]
    pub length: Span,
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Check collector.toml and sinks.toml, whichever there are, or one file
    #[command(after_help = "\
Secrets are not read: oncall-collector sink --dry-run does that.

Exit status: 0, accepted; 2, not")]
    Check {
        /// Check these sinks alone, as if they were /etc/authkeys/sinks.toml
        #[arg(long, value_name = "FILE")]
        sinks: Option<PathBuf>,
    },
    /// Print sinks.toml made from what Deputize is invoked with
    #[command(after_help = "\
It goes to standard output, with a comment for what has no counterpart. No secret
is in it.

Exit status: 0; 1, something has to be completed: it says what; 2, FILE is not
understood")]
    Import {
        /// Deputize's JSON
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Write a new Ed25519 key to FILE and print its line for fleet-signers
    #[command(after_help = "\
Append the line to fleet-signers on every host before this key signs alone; see
docs/fleet.md, Change the signing key. The key has no passphrase: FILE is all that is
needed to speak for the fleet.

Exit status: 0; 2, nothing was written: it says why")]
    New {
        /// Where to write it; a file that exists is not replaced
        #[arg(default_value = "/etc/authkeys/fleet-key")]
        file: PathBuf,

        /// Who signs with it, as fleet-signers calls them, which lists nobody else of this name
        /// [default: the name of this host, with -2 or the next number where that is listed]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,

        /// The group that may read it; the owner is whoever runs this
        #[arg(long, value_name = "GROUP", default_value = "oncall-collector")]
        group: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(words: &[&str]) -> String {
        let asked = ["oncall-collector"].iter().chain(words).chain(&["--help"]);
        Arguments::definition().try_get_matches_from(asked).unwrap_err().to_string()
    }

    #[test]
    fn a_page_of_help_fits_a_terminal_and_ends_with_its_exit_status() {
        let command = Arguments::definition();
        let verbs = command.get_subcommands().map(|verb| vec![verb.get_name()]);
        for words in
            verbs.chain([vec![], vec!["key", "new"], vec!["config", "check"], vec!["config", "import"]])
        {
            let page = help(&words);
            assert!(
                words == ["key"] || words == ["config"] || page.contains("\nExit status: "),
                "{words:?}: {page}"
            );
            for line in page.lines().filter(|line| !line.starts_with("      --")) {
                assert!(line.chars().count() <= 100, "{words:?}: {line}");
            }
        }
    }
}
