//! Arguments and help text, nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use policy::Span;

/// Who is on call, on this host, also when the network is gone.
///
/// Exit status: 0, yes; 1, no; 2, cannot tell; 3, nothing is guarded there, so there is nothing to
/// decide; 64, wrong usage.
#[derive(Debug, Parser)]
#[command(name = "oncall-cache", version)]
pub struct Arguments {
    /// Read this configuration
    #[arg(long, global = true, value_name = "FILE", default_value = host::config::DEFAULT_PATH)]
    pub config: PathBuf,

    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Copy who is on call into the roster: exit status 0, all of it is new; 1, a schedule could not be read or
    /// was refused and stays as it was; 2, nothing is new, and why
    Sync(SyncArguments),
    /// Ask for a sync now; anybody may, and twice a minute one is done: exit status 0, all of it is new; 1, some of
    /// it, or it is too early, and when the next may be; 2, nothing is new, and why
    Refresh(RefreshArguments),
    /// Show who is on call now and next, for each schedule
    Who {
        #[command(flatten)]
        moment: Moment,
    },
    /// Say how well this host knows who is on call: exit status 0, well; 1, something fails and is still believed;
    /// 2, something that admits to this host is not believed; with --nagios 3, that cannot be told
    Status(StatusArguments),
    /// For root: ask the sources who their users are and show who each is here; nothing is published. Exit status 2
    /// if not all could be asked
    Map(MapArguments),
    /// For root: say who could become root in a time, who did and on what ground, who was refused, and what of that
    /// is not known. Exit status 0, nothing is missing; 1, something is; with --would-refuse: 0, nobody would be
    /// refused; 1, somebody would; always 2 where that cannot be told
    Report(ReportArguments),
    /// For root: look at sshd, PAM, sudo, files and ages, and say what would lock out or let through, and what mends
    /// it; nothing is changed. Exit status 0, nothing is wrong; 1, warnings; 2, something locks out or lets through
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// For pam-oncall-enable: at which line pam_oncall.so counts in the stack of each service
    #[command(hide = true)]
    PamLines {
        /// Names in /etc/pam.d
        #[arg(required = true)]
        services: Vec<String>,
    },
    /// For pam-oncall-enable: which services are asked on this host, and decided for
    #[command(hide = true)]
    PamDoors {
        /// The table of all doors, as docs/operations.md has it
        #[arg(long)]
        table: bool,
    },
    /// Answer whether PERSON would be admitted: exit status 0 yes, 1 no, 2 cannot tell, 3 nothing is guarded there
    Check(Question),
    /// As check, with every fact that the answer rests on
    Why(Question),
    /// Tell somebody who is not on call who is; sshd runs it for those whom `explain = true` lets as far as that
    Explain,
    /// Shut USER out of this host, now and without a network, whatever the rota says; for root
    Revoke {
        /// The person, by the directory's user name
        #[arg(allow_hyphen_values = true)]
        user: String,

        /// Why: one line, which everybody on this host can read
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Take a revocation back; exit status 1 if there is none; for root
    Unrevoke {
        /// The person, by the directory's user name
        #[arg(allow_hyphen_values = true)]
        user: String,
    },
    /// Refuse nobody on this host for some hours: decisions are taken and logged, loudly; for root. Exit status 1 if
    /// there is nothing to end
    Suspend(SuspendArguments),
    /// Enforce where the configuration observes, after real PAM transactions for the console, for somebody on call
    /// and for somebody off call have shown that it can be done; for root. Exit status 2: it was not done, and why
    Enforce(EnforceArguments),
    /// Look at a configuration
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
}

#[derive(Debug, Args)]
pub struct SyncArguments {
    /// Say who would gain and who would lose what, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Take over what a guard refuses, this once: of the schedules named (source/schedule), or of all
    #[arg(long, value_name = "SCHEDULE", num_args = 0..)]
    pub accept: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub struct RefreshArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Answer whoever connects to the socket that systemd passes
    #[arg(long, hide = true)]
    pub serve: bool,
}

#[derive(Debug, Args)]
pub struct MapArguments {
    /// Show only those who would not be admitted: exit status 0, there is none; 1, there is somebody
    #[arg(long)]
    pub check: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ReportArguments {
    /// From when on: 30d, 12h or 90m ago, or an instant (2026-11-20T18:00:00Z)
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub since: String,

    /// Until when [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,

    /// Show only whom `mode = "enforce"` would have refused, people and programs apart
    #[arg(long)]
    pub would_refuse: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

#[derive(Debug, Args)]
pub struct SuspendArguments {
    /// How long: 90s, 30m, 4h; at most 24h
    #[arg(long = "for", value_name = "LENGTH", value_parser = host::config::duration, required_unless_present = "end")]
    pub length: Option<Span>,

    /// Why: one line, which everybody on this host can read
    #[arg(long, value_name = "TEXT", required_unless_present = "end")]
    pub reason: Option<String>,

    /// End it now
    #[arg(long, conflicts_with_all = ["length", "reason"])]
    pub end: bool,
}

#[derive(Debug, Args)]
pub struct EnforceArguments {
    /// Go back by itself after this time (1m to 24h), unless it is confirmed from a new login
    #[arg(long, value_name = "LENGTH", value_parser = host::config::duration)]
    pub confirm_within: Option<Span>,

    /// Make a trial last; from a login that began after the trial did
    #[arg(long, conflicts_with = "confirm_within")]
    pub confirm: bool,

    /// Go back to what the configuration says
    #[arg(long, conflicts_with_all = ["confirm_within", "confirm"])]
    pub end: bool,
}

#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print metrics for node_exporter's textfile collector
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,

    /// Print one line for Nagios, Icinga and their kin: state, text and performance data
    #[arg(long, conflicts_with_all = ["json", "prometheus"])]
    pub nagios: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Say whether FILE is a configuration that the programs accept, and if not, which line is wrong
    Check {
        /// What it is; a people.toml is checked by `authkeys-sync --check`
        #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = Kind::Config)]
        kind: Kind,

        /// The file; any owner and mode, so that one can be checked before it is installed
        file: PathBuf,
    },
    /// Print the configuration as it holds, every default filled in; it is a configuration again, and the same
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write another tool's configuration down as ours, on standard output, with a comment for
    /// whatever has no counterpart; exit status 1 if [directory] is not complete
    Import {
        /// authkeys.json, olak.yml, sssd.conf or nslcd.conf
        file: PathBuf,

        /// Whose configuration it is [default: told by its content]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
}

/// The tools that people move in from.
/// A file that somebody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// config.toml
    Config,
    /// A rota.toml
    Rota,
    /// The list of those who are shut out
    Revoked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Threat Stack's authkeys: authkeys.json
    AuthkeysJson,
    /// openssh-ldap-authkeys: olak.yml
    Olak,
    /// sssd: a domain of sssd.conf
    Sssd,
    /// nss-pam-ldapd: nslcd.conf
    Nslcd,
}

#[derive(Debug, Args)]
pub struct Question {
    /// The person, by the directory's user name
    #[arg(allow_hyphen_values = true)]
    pub person: String,

    /// The account entered [default: root; with sudo the person's own]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,

    /// The PAM service it is entered by
    #[arg(long, value_name = "NAME", default_value = "sshd")]
    pub service: String,

    /// The terminal, for --service login
    #[arg(long, value_name = "NAME")]
    pub tty: Option<String>,

    /// The key of a program (SHA256:…, as ssh-keygen -l prints it) that enters in PERSON's place; PERSON is
    /// then the account
    #[arg(long, value_name = "FINGERPRINT", conflicts_with_all = ["account", "tty"])]
    pub key: Option<String>,

    /// From where, with --key: an address, or a name where sshd has UseDNS
    #[arg(long, value_name = "ADDRESS", requires = "key")]
    pub from: Option<String>,

    #[command(flatten)]
    pub moment: Moment,
}

#[derive(Debug, Args)]
pub struct Moment {
    /// Answer for this instant, in RFC 3339 (2026-11-20T18:00:00Z), from what is known now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
