//! Arguments and help text, nothing else.

use std::path::PathBuf;

use clap::Parser;

/// Print the SSH public keys that open an account, for sshd's AuthorizedKeysCommand.
///
/// In sshd_config: `AuthorizedKeysCommand /usr/bin/authkeys %u %t %k` and
/// `AuthorizedKeysCommandUser authkeys`.
///
/// Exit status: 0, the output is the whole answer (no output: no keys); 2, the answer is not known and
/// nothing is printed; 64, wrong usage.
#[derive(Debug, Parser)]
#[command(name = "authkeys", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// Read this configuration
    #[arg(long, value_name = "FILE", default_value = host::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// Say for people which keys are printed, which are not, and why; not for sshd
    #[arg(long, conflicts_with = "kind")]
    pub explain: bool,

    /// The account that is being entered (sshd's %u)
    #[arg(allow_hyphen_values = true)]
    pub user: String,

    /// Type of the key that is offered (sshd's %t): then only that key is printed, if it is among the answer
    #[arg(value_name = "TYPE", requires = "key")]
    pub kind: Option<String>,

    /// The key that is offered, in base64 (sshd's %k)
    pub key: Option<String>,
}
