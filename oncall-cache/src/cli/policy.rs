//! The arguments of `policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[path = "policy_plan.rs"]
pub mod plan;

use plan::{PlanArguments, TestArguments};

#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// What does a change loosen, and who gains or loses root by it?
    #[command(after_help = plan::PLAN)]
    Plan(PlanArguments),
    /// Does the policy decide as a table of expectations says?
    #[command(after_help = plan::TEST)]
    Test(TestArguments),
    /// Print what is signed of a configuration, and whether that runs here
    #[command(after_help = "\
With --number it prints the text to sign, and nothing else:

  oncall-cache policy show --config config.toml --number 7 > policy
  ssh-keygen -Y sign -n policy@authkeys -f KEY < policy > armour
  cat policy armour > signed    # /etc/authkeys/policy.sig of each host

Exit status: 0; 1, policy-signers is there, and what runs is not as signed; 2,
the configuration cannot be read")]
    Show(ShowArguments),
    /// Say what would be signed, ask, and sign it with ssh-keygen
    #[command(after_help = "\
It prints the text with the signature: /etc/authkeys/policy.sig of each host.

Exit status: 0, signed; 1, you said no, or the signature would not count; 2, it
is not signed, and it says why")]
    Sign(SignArguments),
}

#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The number of a text to sign: higher than those before
    #[arg(long, value_name = "N", conflicts_with = "json")]
    pub number: Option<u64>,

    #[command(flatten)]
    pub of: OfArguments,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SignArguments {
    /// The number of the text: higher than those before
    #[arg(long, value_name = "N")]
    pub number: u64,

    #[command(flatten)]
    pub of: OfArguments,

    /// A key file, or SHA256:… [default: the agent's only key]
    #[arg(short = 'i', value_name = "KEY")]
    pub identity: Option<PathBuf>,

    /// Sign without asking
    #[arg(long)]
    pub yes: bool,
}

/// What else is in the head of a text.
#[derive(Debug, Args)]
pub struct OfArguments {
    /// When it was made: 2026-11-20T18:00:00Z [default: now]
    #[arg(long, value_name = "TIME", requires = "number")]
    pub issued: Option<String>,

    /// Its hosts and their labels [default: as [host] says]
    #[arg(long, value_name = "FILE", requires = "number")]
    pub inventory: Option<PathBuf>,
}
