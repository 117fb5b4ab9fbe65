//! The arguments of `grant`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use policy::Span;

#[derive(Debug, Subcommand)]
pub enum GrantVerb {
    /// Print the text of a grant, for colleagues to sign
    #[command(
        override_usage = "oncall-cache grant request --host NAME --key FILE --for LENGTH\n       \
                          --reason TEXT [OPTIONS]",
        after_help = "\
Post the text as it is, in a code block; nothing in it is secret.

  oncall-cache grant request --host db7 --key ~/.ssh/id_ed25519.pub \\
      --for 1h --reason \"INC-42 disk full\" --site example

Exit status: 0; 2, there is no text: it says why; 64, it cannot be asked for"
    )]
    Request(RequestArguments),
    /// Say in words what a grant would open, and who has signed it
    #[command(after_help = "\
Exit status: 0, a grant that is not over, and each signature below it could
count; 1, it is over, or one could not; 2, not a grant, or it cannot be read")]
    Show(ShowArguments),
    /// Say it in words, ask, and sign it with ssh-keygen
    #[command(after_help = "\
It prints the whole text with the new signature. The same without it:
  ssh-keygen -Y sign -n grant@authkeys -f KEY < text

Exit status: 0, signed; 1, it is over, you said no, or the signature would not
count; 2, it is not signed, and it says why")]
    Sign(SignArguments),
    /// Review what somebody did who had let themselves in, and sign that
    #[command(
        override_usage = "oncall-cache grant review --finding TEXT [OPTIONS] [FILE]",
        after_help = "\
It reads the text that was used, as it was brought or as the host keeps it, and
prints a review of it, which closes the break-glass where it is brought:

  ssh root@db7 cat /var/lib/oncall-grant-accept/ID.used |
      oncall-cache grant review --finding \"as it should be\" |
      ssh oncall-grant@db7

Exit status: 0, signed; 1, you said no, or it is your own; 2, it is not signed,
and it says why"
    )]
    Review(ReviewArguments),
    /// Bring a signed grant to this host, as standard input
    #[command(after_help = "\
Anybody may bring it; it lets in the person whom it names. No network is needed.

Exit status: 0, it counts; 1, it does not: it says why; 2, that cannot be told")]
    Use(UseArguments),
    /// List the grants that count on this host; root
    #[command(after_help = "\
Exit status: 0; 1, no [[policy.grant]] covers this host; 2, cannot tell")]
    List,
    /// End a grant on this host, also before it is brought; root
    #[command(after_help = "\
It counts from the next login and the next sudo on, and cannot be taken back.

Exit status: 0; 2, it was not done: it says why")]
    Revoke(RevokeArguments),
}

#[derive(Debug, Args)]
pub struct UseArguments {
    /// Who brings it: believed of the account oncall-grant alone
    #[arg(long, value_name = "PERSON")]
    pub by: Option<String>,
}

#[derive(Debug, Args)]
pub struct RevokeArguments {
    /// Its name: what its line `grant` has
    #[arg(value_name = "ID")]
    pub id: String,

    /// Why: one line, which everybody on this host can read
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct RequestArguments {
    /// A host, as it calls itself; up to 16 times
    #[arg(long = "host", value_name = "NAME", required = true)]
    pub hosts: Vec<String>,

    /// The account to enter; root under sudo
    #[arg(long, value_name = "NAME", default_value = "root")]
    pub account: String,

    /// Who is to enter it [default: you]
    #[arg(long, value_name = "NAME")]
    pub person: Option<String>,

    /// Their public key, for ssh; none: sudo alone
    #[arg(long, value_name = "FILE|none")]
    pub key: PathBuf,

    /// How long: 30m, 1h; at most 12h
    #[arg(long = "for", value_name = "LENGTH", value_parser = host::config::duration)]
    pub length: Span,

    /// From when: 2026-11-20T18:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,

    /// Why: letters, digits and plain signs
    #[arg(long, value_name = "TEXT")]
    pub reason: String,

    /// Whose hosts they are [default: as this host's]
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
}

#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Say whose signatures these are, by allowed_signers(5)
    #[arg(long, value_name = "FILE")]
    pub signers: Option<PathBuf>,

    /// The text [default: standard input]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SignArguments {
    /// A key file, or SHA256:… [default: the agent's only key]
    #[arg(short = 'i', value_name = "KEY")]
    pub identity: Option<PathBuf>,

    /// Sign without asking
    #[arg(long)]
    pub yes: bool,

    /// Sign for yourself, where nobody else can; at most 1h
    #[arg(long)]
    pub break_glass: bool,

    /// The text [default: standard input]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ReviewArguments {
    /// What to say of it: letters, digits and plain signs
    #[arg(long, value_name = "TEXT")]
    pub finding: String,

    /// A key file, or SHA256:… [default: the agent's only key]
    #[arg(short = 'i', value_name = "KEY")]
    pub identity: Option<PathBuf>,

    /// Sign without asking
    #[arg(long)]
    pub yes: bool,

    /// The text that was used [default: standard input]
    pub file: Option<PathBuf>,
}
