//! Arguments and help text, nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Copy people and their SSH keys from the directory into keys.db.
///
/// It replaces the copy as a whole, or leaves it as it is and says why.
#[derive(Debug, Parser)]
#[command(
    name = "authkeys-sync",
    version,
    after_help = "\
Examples:
  systemctl start authkeys-sync                 now, as its timer does
  sudo authkeys-sync --accept                   yes, that many people have left
  authkeys-sync --check-people people.toml      before you install it

Exit status: 0, the copy is up to date, or FILE is accepted; 2, nothing was
published, or FILE is not accepted: it says why; 64, wrong usage"
)]
pub struct Arguments {
    /// Read this configuration
    #[arg(long, value_name = "FILE", default_value = host::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// Publish once although more people are removed than max_removed allows
    #[arg(long, conflicts_with = "user")]
    pub accept: bool,

    /// Check FILE as a people.toml: is it accepted, and if not, which line is wrong? Changes nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "accept"])]
    pub check_people: Option<PathBuf>,

    /// Ask about this person alone, for authkeys
    #[arg(long, value_name = "NAME", hide = true)]
    pub user: Option<String>,

    /// Ask this server after the others, for authkeys
    #[arg(long, value_name = "URL", requires = "user", hide = true)]
    pub last: Vec<String>,

    /// Give up after this long
    #[arg(long, value_name = "SECONDS", requires = "user", hide = true, default_value = "3", value_parser = seconds)]
    pub timeout: Duration,
}

/// A positive number of seconds, `2.5` for example.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_string())?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|length| !length.is_zero() && *length <= Duration::from_secs(60))
        .ok_or_else(|| "write more than 0 and at most 60 seconds".to_string())
}
