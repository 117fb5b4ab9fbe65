//! Arguments and help text, nothing else.

use std::fmt::Write;
use std::path::PathBuf;

use ::policy::Span;
use clap::{Arg, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, value_parser};

// By its path: packaging/man reads this file as a module of its own.
#[path = "cli/grant.rs"]
pub mod grant;
#[path = "cli/policy.rs"]
pub mod policy;
#[path = "cli/provider.rs"]
pub mod provider;
#[path = "cli/sessions.rs"]
pub mod sessions;

use grant::GrantVerb;
use policy::PolicyVerb;
use provider::ProviderVerb;
use sessions::SessionsArguments;

/// Who is on call, and what that opens, on this host; also without a network.
#[derive(Debug, Parser)]
#[command(name = "oncall-cache", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Read this configuration
    #[arg(long, global = true, value_name = "FILE", default_value = host::config::DEFAULT_PATH)]
    pub config: PathBuf,

    #[command(subcommand)]
    pub verb: Verb,
}

/// What a reader of `--help` looks for, and the verbs for it, in this order.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Ask (anybody)", &["who", "test-access", "why", "status", "refresh", "claim"]),
    (
        "Operate (root, except config and policy)",
        &["sync", "pull", "identities", "provider", "sessions", "report", "doctor", "config", "policy"],
    ),
    ("Emergency (root)", &["revoke", "unrevoke", "pause", "enforce"]),
    ("Ask colleagues (anybody, on any machine)", &["grant"]),
];

const EXAMPLES: &str = "\
Examples:
  oncall-cache why alice                        may she be root here, and why?
  oncall-cache test-access bob --service sudo   may he use sudo now?
  oncall-cache refresh                          the rota has just been changed
  sudo oncall-cache doctor                      what would lock out or let in?
  sudo oncall-cache pause --for 2h --reason \"cold start\"

Exit status: see COMMAND --help; wrong usage is 64 everywhere.
More: man oncall-cache, man authkeys-config";

impl Arguments {
    /// Reads the command line.
    pub fn read() -> Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::definition().try_get_matches()?)
    }

    /// The command as people see it: verbs in groups, and no option where it means nothing.
    pub fn definition() -> Command {
        let command = Self::command();
        let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
        for (heading, names) in GROUPS {
            let _ = write!(text, "\n{heading}:\n");
            for verb in names.iter().filter_map(|name| command.find_subcommand(name)) {
                let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
                let _ = writeln!(text, "  {:<12} {about}", verb.get_name());
            }
        }
        text += "\nOptions:\n{options}{after-help}";
        // They read the file that they are given, and what is asked for may be asked for anywhere.
        let config = Arg::new("config").long("config").value_parser(value_parser!(PathBuf)).hide(true);
        let reads_a_file = |verb: Command| verb.arg(config.clone());
        command
            .help_template(text)
            .disable_help_subcommand(true)
            .mut_subcommand("config", |config| {
                config.mut_subcommand("check", reads_a_file).mut_subcommand("import", reads_a_file)
            })
            .mut_subcommand("policy", |policy| policy.mut_subcommand("plan", reads_a_file))
            .mut_subcommand("grant", |grant| reads_a_file(grant.mut_subcommands(reads_a_file)))
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show who is on call now and next, for each schedule
    #[command(after_help = "\
This is the rota, not access to this host: for that, use test-access.

Exit status: 0, somebody is on call; 1, nobody; 2, cannot tell")]
    Who {
        #[command(flatten)]
        at: AtArguments,
    },
    /// Would PERSON be admitted, by default as root over ssh?
    #[command(
        override_usage = "oncall-cache test-access [OPTIONS] PERSON\n       \
                          oncall-cache test-access [OPTIONS] --key FINGERPRINT --from ADDRESS ACCOUNT",
        after_help = ADMITTED
    )]
    TestAccess(TestAccessArguments),
    /// As test-access, with every fact that the answer rests on
    #[command(
        override_usage = "oncall-cache why [OPTIONS] PERSON\n       \
                          oncall-cache why [OPTIONS] --key FINGERPRINT --from ADDRESS ACCOUNT",
        after_help = ADMITTED
    )]
    Why(TestAccessArguments),
    /// Show how old each copy is, until when it is valid, and what fails
    #[command(after_help = "\
Exit status: 0, all is well; 1, something fails and the copies are still valid;
2, a copy that decides here is not valid; with --nagios also 3, unknown")]
    Status(StatusArguments),
    /// Ask for a sync now, after the rota has been changed; once in 30 s
    #[command(after_help = "\
Exit status: 0, all of it is new; 1, some of it, or too early: it says when the
next sync may begin; 2, nothing is new: it says why")]
    Refresh(RefreshArguments),
    /// Say why you become root, once a shift, where a rule asks for it
    #[command(after_help = "\
Type it as yourself; it is kept until the shift ends, or the next boot. With no
shell on the host:  echo \"claim: INC-42\" | ssh oncall-grant@HOST

Exit status: 0, kept; 1, refused: it says why; 2, it cannot be kept now, and
nobody is refused for want of it as long as that is so")]
    Claim {
        /// Why: letters, digits and plain signs
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Copy the rota to this host; the timer runs it every five minutes
    #[command(after_help = "\
Look first: sudo oncall-cache sync --dry-run
One schedule: sudo oncall-cache sync --accept rota/primary
--accept without a schedule accepts EVERYTHING that a limit refuses.

Exit status: 0, all of it is new; 1, a schedule could not be read or was refused
and stays as it was; 2, nothing is new: it says why")]
    Sync(SyncArguments),
    /// Copy what the fleet's collector publishes; a timer runs it
    #[command(after_help = "\
It verifies all of it first, then syncs. After failures the store is left alone
for up to 10 minutes; --now asks it at once.

Exit status: 0, this host has what the store has; 1, a schedule of it could not
be read and stays as it was; 2, nothing is new: it says why")]
    Pull(PullArguments),
    /// Show which directory user each of the providers' users is
    #[command(after_help = "\
It asks the providers, and publishes nothing.

Exit status: 0; with --problems 0, there are none; 1, there are some. In any
case 2, not all providers could be asked")]
    Identities(IdentitiesArguments),
    /// List what shifts can come from, or ask one source now
    Provider {
        #[command(subcommand)]
        verb: ProviderVerb,
    },
    /// Who could become root, who did and why, who was refused
    #[command(after_help = "\
With --fleet anybody may type it, on any machine; without --inventory it is not
known of which hosts nothing came, and the exit status is 1.

Exit status: 0, nothing is missing; 1, something is, and it is named. With
--would-refuse: 0, nobody would be refused; 1, somebody would. In any case 2,
cannot tell")]
    Report(ReportArguments),
    /// Show open guarded sessions, and whose right has ended; end one
    #[command(override_usage = sessions::USAGE, after_help = sessions::HELP)]
    Sessions(SessionsArguments),
    /// Look for what locks people out or lets them in, with remedies
    #[command(after_help = "\
It looks at sshd, PAM, sudo, NSS, files and clocks, and changes nothing.

Exit status: 0, nothing is wrong; 1, warnings; 2, something locks people out or
lets people in, or you are not root")]
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
    /// For oncall-cache-heartbeat.timer: record that this host keeps records, and how many
    #[command(hide = true)]
    Heartbeat,
    /// For oncall-cache-end.timer: look at open sessions whose right has ended
    #[command(hide = true)]
    End,
    /// For sync: ask files of [[policy.rego]], within limits
    #[command(hide = true)]
    AskRego,
    /// For authkeys-doctor.timer: look as doctor does, and tell what two looks agree on
    #[command(hide = true)]
    Watch {
        /// How long after the first look the second one follows, in seconds
        #[arg(long, default_value_t = 60)]
        again_after: u64,
    },
    /// For sshd: tell people off call who is on call, where `explain_refusals` has their keys printed
    #[command(hide = true)]
    Explain,
    /// Check, show or import a configuration (anybody)
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// What decides who is admitted: plan, test, show, sign it (anybody)
    Policy {
        #[command(subcommand)]
        verb: PolicyVerb,
    },
    /// Block PERSON on this host now, without a network
    #[command(after_help = "\
From the next login on, PERSON cannot enter any account here, whatever the rota
says: neither their own nor an exempt one. None of their keys is printed.

What it does not do:
  Open sessions stay open, unless [policy.end] ends them: oncall-cache sessions
  --person PERSON does it now.
  While this host observes or is paused, PAM refuses nobody; only keys are withheld.
  Other hosts do not know. In a fleet, type oncall-collector revoke on the
  collector; otherwise distribute /etc/authkeys/revoked.

Exit status: 0; 2, nothing was changed: it says why")]
    Revoke {
        /// The person, by the directory's user name
        #[arg(value_name = "PERSON", allow_hyphen_values = true)]
        user: String,

        /// Why: one line, which everybody on this host can read
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Undo a revocation
    #[command(after_help = "\
Exit status: 0; 1, there is none; 2, nothing was changed: it says why")]
    Unrevoke {
        /// The person, by the directory's user name
        #[arg(value_name = "PERSON", allow_hyphen_values = true)]
        user: String,
    },
    /// Refuse nobody on this host for some hours; decisions are logged
    #[command(
        override_usage = "oncall-cache pause --for LENGTH --reason TEXT\n       oncall-cache pause --end",
        after_help = "\
It works without a network, copies or a readable configuration.

What it does not do:
  It prints no keys: people still need a key that sshd accepts.
  It blocks nobody: revoked people are let in too.
  It affects only this host, and ends by itself, after 24h at most.

Exit status: 0; with --end 1, it was not paused; 2, nothing was changed: it says
why"
    )]
    Pause(PauseArguments),
    /// Enforce where the configuration observes, after trying it
    #[command(after_help = "\
It runs real PAM transactions first: for the console, for somebody on call and
for somebody off call. It stops if one of them does not end as it should.

  sudo oncall-cache enforce --confirm-within 10m    # ends in 10 minutes, unless
  sudo oncall-cache enforce --confirm               # typed in a NEW login
  sudo oncall-cache enforce --end                   # as config.toml says again

Exit status: 0; 1, there is nothing to end (--end), or no trial to confirm
(--confirm); 2, it was not done: it says why")]
    Enforce(EnforceArguments),
    /// Ask for an hour as root; read what somebody asks for, and sign it
    Grant {
        #[command(subcommand)]
        verb: GrantVerb,
    },
}

/// Behind the help of the two verbs that answer for one login.
const ADMITTED: &str = "\
It takes the same decision as PAM. It does not look at keys or sudoers:
for keys see authkeys --explain ACCOUNT.

Exit status: 0, yes; 1, no; 2, cannot tell; 3, nothing is guarded there";

#[derive(Debug, Args)]
pub struct SyncArguments {
    /// Show who would gain and who would lose what, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Accept once what a limit refuses: for SCHEDULE (source/schedule) or, without one, for ALL
    #[arg(long, value_name = "SCHEDULE", num_args = 0..)]
    pub accept: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub struct PullArguments {
    /// Ask the store though the last pulls failed
    #[arg(long)]
    pub now: bool,
}

#[derive(Debug, Args)]
pub struct RefreshArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Answer connections to the socket that systemd passes
    #[arg(long, hide = true)]
    pub serve: bool,
}

#[derive(Debug, Args)]
pub struct IdentitiesArguments {
    /// Show only users who would not be admitted, and why
    #[arg(long)]
    pub problems: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Since when: 30d, 12h or 90m ago, or 2026-11-20T18:00:00Z
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub since: String,

    /// Until when [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,

    /// Show only those whom mode = "enforce" would have refused
    #[arg(long)]
    pub would_refuse: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// Write a page of this host, for people and auditors, to FILE, which only you can read; any browser shows it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["would_refuse", "json", "csv"])]
    pub html: Option<PathBuf>,

    /// With --html: people by numbers; without reasons, addresses, keys and certificates
    #[arg(long, requires = "html")]
    pub pseudonyms: bool,

    /// Of which hosts there are records in DIR, where a log server keeps them, and what is missing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["would_refuse", "csv"])]
    pub fleet: Option<PathBuf>,

    /// With --fleet: the hosts that there are, a line each
    #[arg(long, value_name = "FILE", requires = "fleet")]
    pub inventory: Option<PathBuf>,

    /// With --fleet: how long a host may be without a heartbeat
    #[arg(long, value_name = "LENGTH", value_parser = host::config::duration, default_value = "3h", requires = "fleet")]
    pub silent: Span,
}

#[derive(Debug, Args)]
pub struct PauseArguments {
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
    /// End by itself after 1m to 24h, unless it is confirmed from a new login
    #[arg(long, value_name = "LENGTH", value_parser = host::config::duration)]
    pub confirm_within: Option<Span>,

    /// Keep a trial; typed in a login that began after the trial did
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

    /// Print one line for Nagios or Icinga
    #[arg(long, conflicts_with_all = ["json", "prometheus"])]
    pub nagios: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Is FILE accepted, and if not, which line is wrong?
    #[command(after_help = "\
It also names people, accounts, groups and schedules that do not exist.

Exit status: 0, accepted; 2, not")]
    Check {
        /// What the file is; to check a people.toml, use `authkeys-sync --check-people`
        #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = Kind::Config)]
        kind: Kind,

        /// The file, before you install it; any owner and mode
        file: PathBuf,
    },
    /// Print the configuration with every default filled in
    #[command(after_help = "\
The output is a valid configuration with the same meaning.

Exit status: 0; 2, it cannot be read")]
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Translate the configuration of another tool
    #[command(after_help = "\
It goes to standard output, with a comment for each setting that has no
counterpart.

Exit status: 0; 1, servers or base are missing; 2, FILE is not understood")]
    Import {
        /// authkeys.json, olak.yml, sssd.conf or nslcd.conf
        file: PathBuf,

        /// Its format [default: recognised by the content]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
}

/// A file that somebody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// config.toml
    Config,
    /// A rota.toml
    Rota,
    /// The list of revoked people
    Revoked,
}

/// The tools that people move in from.
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
pub struct TestAccessArguments {
    /// The person, by the directory's user name; with --key the account
    #[arg(allow_hyphen_values = true)]
    pub person: String,

    /// The account to enter [default: root; with --service sudo PERSON's own]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,

    /// The PAM service: sshd, login, su, su-l, sudo, sudo-i, doas, polkit-1
    #[arg(long, value_name = "NAME", default_value = "sshd")]
    pub service: String,

    /// The terminal, for --service login
    #[arg(long, value_name = "NAME")]
    pub tty: Option<String>,

    /// A program's key (SHA256:…, as ssh-keygen -l prints it) that enters ACCOUNT
    #[arg(long, value_name = "FINGERPRINT", conflicts_with_all = ["account", "tty"])]
    pub key: Option<String>,

    /// Where the program connects from: an address, or a name if sshd has UseDNS
    #[arg(long, value_name = "ADDRESS", requires = "key")]
    pub from: Option<String>,

    #[command(flatten)]
    pub at: AtArguments,
}

#[derive(Debug, Args)]
pub struct AtArguments {
    /// Answer for this time (2026-11-20T18:00:00Z), from what is known now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests;
