//! Arguments and help text, nothing else.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

/// Tell people and channels what the record of decisions says.
#[derive(Debug, Parser)]
#[command(name = "oncall-notify", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Read this instead of /etc/authkeys/notify.toml
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/authkeys/notify.toml",
        hide_default_value = true
    )]
    pub config: PathBuf,

    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  sudo oncall-notify config check
  sudo oncall-notify test ops            one message, now
  sudo oncall-notify run --dry-run       what would be told of what is there?

Exit status: see COMMAND --help; wrong usage is 64 everywhere.
More: man oncall-notify, /usr/share/doc/oncall-notify/notify.md";

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
    /// Follow the files and tell the channels
    #[command(after_help = "\
The first run begins at the end of the files that are there; later ones go on
where the last one ended, also after a crash. Of a notice that was sent just
before, the channel may get a second copy, with the same id.

Exit status: it runs until it is ended; with --dry-run 0; 2, it cannot begin: it
says why")]
    Run {
        /// Print what would be told now, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Send one message that says it is a test
    #[command(after_help = "\
Exit status: 0, the channel took it; 1, it did not: it says why; 2, the
configuration cannot be read")]
    Test {
        /// The channel
        channel: String,

        /// Whom to tell, where the channel tells people
        #[arg(long, value_name = "NAME")]
        person: Option<String>,
    },
    /// Tell of a VPN login: for OpenVPN's client-connect
    #[command(after_help = "\
It reads what OpenVPN says in the environment, tells the oncall-notify that runs
on this host, and reads no configuration. Who may do so is in [event] of
notify.toml.

Exit status: always 0 if OpenVPN runs it as client-connect, which refuses
clients otherwise; what is wrong is on standard error. Without OpenVPN: 64")]
    Event {
        /// What OpenVPN puts behind the command; not read
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Is it right, and are its secrets there?
    #[command(after_help = "\
It sends nothing. Run it as the user that runs the program: it has to be able
to read the secrets.

Exit status: 0, it is right; 2, it is not: it says where")]
    Check {
        /// Look at this text as if it were in the file's place
        text: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_help_fits_a_terminal_and_ends_with_its_exit_status() {
        for words in [vec![], vec!["run"], vec!["test"], vec!["event"], vec!["config", "check"]] {
            let asked = ["oncall-notify"].iter().chain(&words).chain(&["--help"]);
            let page = Arguments::definition().try_get_matches_from(asked).unwrap_err().to_string();
            assert!(page.contains("\nExit status: "), "{words:?}: {page}");
            for line in page.lines() {
                assert!(line.chars().count() <= 80, "{words:?}: {line}");
            }
        }
    }
}
