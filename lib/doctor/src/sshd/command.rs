//! The command that sshd asks for keys: is it ours, is it asked as it should be, and what is not asked because of it.

use std::path::Path;

use super::known::{RELOAD, Sshd};
use super::lines::{CONFIG, Line};
use super::settings::Settings;
use crate::finding::{Finding, Fix, Place, edit};
use crate::keys_before::{Commands, Kept};

const WHY_NO_COMMAND: &str = "sshd runs only the first AuthorizedKeysCommand: no key in the directory opens anything, and nobody on call can enter root";
const WHY_COMMAND_REFUSED: &str =
    "sshd does not run a command that others could have changed: no key in the directory opens anything";
const COMMAND: &str = "/usr/bin/authkeys %u %t %k";

impl Sshd<'_> {
    /// The command: is it ours, with its arguments, and may its user read what it needs?
    pub fn command(&self, settings: &Settings) -> Option<Finding> {
        let command = settings.get("authorizedkeyscommand");
        let program = command.split_whitespace().next().unwrap_or_default();
        let fix = |found: Finding| self.fixed(found, "AuthorizedKeysCommand", command, COMMAND);
        if !settings.has("authorizedkeyscommand") {
            let found =
                Finding::lock_out("sshd-command", "sshd asks no command for keys").why(WHY_NO_COMMAND);
            return Some(if settings.has("authorizedkeyscommanduser") {
                fix(found)
            } else {
                // sshd does not start with one of the two alone.
                let lines = [("User", "authkeys"), ("", COMMAND)];
                let lines = lines.map(|(end, value)| format!("1i AuthorizedKeysCommand{end} {value}"));
                found.at(Place::file(CONFIG)).run(edit(CONFIG, &lines) + RELOAD)
            });
        }
        if program.rsplit('/').next() != Some("authkeys") {
            let found = Finding::lock_out(
                "sshd-command",
                format_args!("another command takes precedence: {command}"),
            );
            return Some(self.kept(command, fix(found.why(WHY_NO_COMMAND))));
        }
        self.arguments(command).or_else(|| self.program(program)).or_else(|| self.user(settings))
    }

    /// `found`, whose fix puts another instead of `command`: with what keeps that for the accounts whose keys it has.
    pub fn kept(&self, command: &str, found: Finding) -> Finding {
        let commands = Commands { chain: self.chain, config: self.config, stat: self.stat };
        match (commands.kept(command), &found.fix) {
            (Kept::By(lines), Fix::Command(fix)) => {
                let both = format!("{lines} && {fix}");
                found.run(both)
            }
            (Kept::ByHand(why), Fix::Command(fix)) => {
                let advice = format!(
                    "write `{command}` into config.toml as a [[keys.chain]], by hand, because {why}; then {fix}"
                );
                found.advise(advice)
            }
            _ => found,
        }
    }

    /// Commands that sshd would ask if it did not ask ours. Our own file sorts before the distribution's.
    pub fn commands_before(&self, settings: &Settings) -> Vec<Finding> {
        let is_ours = |command: &str| {
            command.split_whitespace().next().is_some_and(|program| program.ends_with("/authkeys"))
        };
        if !is_ours(settings.get("authorizedkeyscommand")) {
            return Vec::new();
        }
        let commands = Commands { chain: self.chain, config: self.config, stat: self.stat };
        let told = |line: &Line| {
            let what =
                format!("{} is no longer run: sshd runs only one command, and ours comes first", line.value);
            let found = Finding::warning("sshd-command", what).at(line.place());
            let found = found.why("accounts whose keys come from it cannot log in with them");
            match commands.kept(&line.value) {
                Kept::Already => None,
                Kept::By(lines) => Some(found.run(format!("{lines}  # or, if nobody needs it, remove the line"))),
                Kept::ByHand(why) => Some(found.advise(format_args!(
                    "write it into config.toml as a [[keys.chain]], by hand, because {why}; or remove the line"
                ))),
            }
        };
        let lines = self.lines.iter().filter(|line| line.keyword == "authorizedkeyscommand");
        lines.filter(|line| line.criteria.is_none() && !is_ours(&line.value)).filter_map(told).collect()
    }

    /// What the command is given.
    fn arguments(&self, command: &str) -> Option<Finding> {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let config = words.iter().position(|word| *word == "--config").and_then(|at| words.get(at + 1));
        let problem = if config.is_some_and(|config| *config != self.config) {
            Some((
                "it reads a different configuration from everything else",
                "doctor does not describe what it does",
            ))
        } else if !words.is_empty() && !words.contains(&"%u") {
            Some(("it is not given the account (%u)", WHY_NO_COMMAND))
        } else if !words.contains(&"%t") || !words.contains(&"%k") {
            let why = "without %t %k, keys of programs in config.toml, and accounts with very many keys, do not work during an outage";
            Some(("it is not given the offered key (%t %k)", why))
        } else {
            None
        };
        let (problem, why) = problem?;
        let found = match why {
            WHY_NO_COMMAND => Finding::lock_out("sshd-command", format_args!("{command}: {problem}")),
            _ => Finding::warning("sshd-command", format_args!("{command}: {problem}")),
        };
        Some(self.fixed(found.why(why), "AuthorizedKeysCommand", command, COMMAND))
    }

    /// sshd's own rule: the program and all directories above it are root's, and nobody else can write them. It
    /// follows links first (misc.c, safe_path); a user who can exchange one of these decides as well.
    fn program(&self, program: &str) -> Option<Finding> {
        let found = |what: String| Finding::lock_out("sshd-command-path", what).why(WHY_COMMAND_REFUSED);
        let path = Path::new(program);
        let Some(stat) = (self.stat)(path) else {
            let advice = "install the suite again (packaging/install.sh, or its package)";
            return Some(found(format!("{program} is not there")).at(Place::file(program)).advise(advice));
        };
        let real = (self.real)(path);
        for above in path.ancestors().chain(real.ancestors()) {
            let Some(stat) = (self.stat)(above) else { continue };
            if stat.uid != 0 || stat.mode & 0o022 != 0 {
                let above = above.display().to_string();
                let owner = self.accounts.user_name(stat.uid);
                let what = format!(
                    "{above} belongs to {owner}, mode {:04o}; sshd requires that only root can write it",
                    stat.mode
                );
                return Some(
                    found(what)
                        .at(Place::file(&above))
                        .run(format_args!("chown root {above} && chmod go-w {above}")),
                );
            }
        }
        let is_for_all = stat.mode & 0o005 == 0o005;
        (!is_for_all).then(|| {
            let what = format!("{program} has mode {:04o}: its user cannot run it", stat.mode);
            found(what).at(Place::file(program)).run(format_args!("chmod 755 {program}"))
        })
    }

    /// Whom sshd runs it as.
    fn user(&self, settings: &Settings) -> Option<Finding> {
        let name = settings.get("authorizedkeyscommanduser");
        let fix = |found: Finding| self.fixed(found, "AuthorizedKeysCommandUser", name, "authkeys");
        if !settings.has("authorizedkeyscommanduser") {
            let found = Finding::lock_out(
                "sshd-command-user",
                "no AuthorizedKeysCommandUser: sshd does not run the command",
            );
            return Some(fix(found.why(WHY_NO_COMMAND)));
        }
        let Some(user) = self.accounts.user(name) else {
            let found = Finding::lock_out(
                "sshd-command-user",
                format_args!("AuthorizedKeysCommandUser {name} does not exist here"),
            );
            return Some(fix(found.why(WHY_NO_COMMAND)));
        };
        if user.uid == 0 {
            let found = Finding::warning("sshd-command-user", "the command runs as root");
            let why = "a program that reads answers from the network would have full rights on this host; sshd warns of it too";
            return Some(fix(found.why(why)));
        }
        let can_read = self.keys.is_none_or(|keys| self.accounts.can_read(user, keys));
        (!can_read).then(|| {
            let found = Finding::lock_out(
                "sshd-command-user",
                format_args!("the command runs as {name}, who cannot read the copy of the directory"),
            );
            fix(found.why("authkeys prints nothing, and exits with 2, for every account"))
        })
    }
}
