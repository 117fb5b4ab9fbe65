//! Arguments and help text, nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Copy people and their SSH keys from the directory into keys.db.
///
/// Replaces the copy whole, or leaves it as it is and says why.
///
/// With --user, prints what the directory says about one person, for authkeys, and changes nothing.
///
/// Exit status: 0, the copy is up to date, or the answer is whole, or the file is right; 2, nothing was published, or
/// there is no answer, or it is wrong; 64, wrong usage.
#[derive(Debug, Parser)]
#[command(name = "authkeys-sync", version)]
pub struct Arguments {
    /// Read this configuration
    #[arg(long, value_name = "FILE", default_value = host::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// Publish this once although it takes more people away than max_shrink allows
    #[arg(long, conflicts_with = "user")]
    pub accept: bool,

    /// Say whether FILE is a people.toml, and if not, which line is wrong; any owner and mode, nothing is changed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "accept"])]
    pub check: Option<PathBuf>,

    /// Ask about this person alone, for authkeys
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Ask this server after the others, for authkeys
    #[arg(long, value_name = "URL", requires = "user")]
    pub last: Vec<String>,

    /// Give up after this long
    #[arg(long, value_name = "SECONDS", requires = "user", default_value = "3", value_parser = seconds)]
    pub deadline: Duration,
}

/// A positive number of seconds, `2.5` for example.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_string())?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|length| !length.is_zero() && *length <= Duration::from_secs(60))
        .ok_or_else(|| "write more than 0 and at most 60 seconds".to_string())
}
