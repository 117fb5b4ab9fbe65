//! The arguments of `oncall-cache provider`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum ProviderVerb {
    /// List what shifts can come from: what each needs, and what it can do
    #[command(after_help = "\
\"verified: no\": never tried on the real service; mode = \"enforce\" is refused
unless the source says unverified = true.

Exit status: 0")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask one source once, and show what was understood; publishes nothing
    #[command(after_help = "\
It shows schedules with who is on call and the next hand-over, who each user is
in the directory, the service's clock, and how many requests are left.

--record saves each reply for a bug report. Names, mail addresses, ids that are
names, addresses and secrets are replaced, the same by the same each time. Read
the files before you send them.

Exit status: 0, all is understood; 1, a schedule or a person is not; 2, nothing
is, or the source cannot be asked")]
    Test {
        /// The name of the [[oncall.source]]
        #[arg(value_name = "SOURCE")]
        name: String,

        /// Save the replies in DIR, which must not exist
        #[arg(long, value_name = "DIR")]
        record: Option<PathBuf>,
    },
}
