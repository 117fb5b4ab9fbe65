//! Arguments and help text, nothing else.

use std::path::PathBuf;

use clap::Parser;

/// Copy people and their SSH keys from the directory into keys.db.
///
/// Replaces the copy whole, or leaves it as it is and says why.
///
/// Exit status: 0, the copy is up to date; 2, nothing was published; 64, wrong usage.
#[derive(Debug, Parser)]
#[command(name = "authkeys-sync", version)]
pub struct Arguments {
    /// Read this configuration
    #[arg(long, value_name = "FILE", default_value = host::config::DEFAULT_PATH)]
    pub config: PathBuf,
    /// Publish this once although it takes more people away than max_shrink allows
    #[arg(long)]
    pub accept: bool,
}
