//! Who comes in by sshd, and what they may do there, beside what the command gives.

use super::known::{RELOAD, Sshd};
use super::lines::{CONFIG, Line, may_match};
use super::lists::listed_out;
use super::settings::Settings;
use crate::finding::{Finding, Place, Severity, edit};

const WHY_OTHER_SERVICE: &str = "our lines are in the stack of sshd, which is not asked: any key that sshd accepts opens its account, on call or not";

impl Sshd<'_> {
    /// Is PAM asked at all?
    pub fn pam(&self, settings: &Settings) -> Option<Finding> {
        if settings.is_yes("usepam") {
            return None;
        }
        let found = Finding::open("sshd-pam", "UsePAM is no");
        let found =
            found.why("sshd asks PAM nothing: any key that it accepts opens its account, on call or not");
        Some(self.fixed(found, "UsePAM", "no", "yes"))
    }

    /// By which service it asks PAM: sshd_config(5), PAMServiceName, since 9.8.
    pub fn service(&self, account: &str, settings: &Settings) -> Option<Finding> {
        let service = settings.get("pamservicename");
        if matches!(service, "" | "sshd") {
            return None;
        }
        let found = Finding::open("sshd-pam", format_args!("sshd asks PAM as {service} about {account}"));
        Some(self.fixed(found.why(WHY_OTHER_SERVICE), "PAMServiceName", service, "sshd"))
    }

    /// Is a guarded account kept out by sshd itself?
    pub fn shut_out(&self, account: &str, settings: &Settings) -> Option<Finding> {
        if !self.shared.contains(&account) {
            return None;
        }
        let why = "people on call may enter the account, but sshd does not let them";
        if !settings.is_yes("pubkeyauthentication") {
            let found = Finding::lock_out("sshd-root", "PubkeyAuthentication is no").why(why);
            return Some(self.fixed(found, "PubkeyAuthentication", "no", "yes"));
        }
        let obstacle = listed_out(account, &self.accounts.groups_of(account), settings, self.lines)?;
        let found = Finding::lock_out("sshd-root", format_args!("{account} {}", obstacle.what));
        Some(Finding { fix: obstacle.fix, ..found.at(obstacle.place).why(why) })
    }

    /// Files in which a shared account could have keys.
    pub fn key_files(&self, account: &str, settings: &Settings) -> Option<Finding> {
        let files = settings.get("authorizedkeysfile");
        if !self.shared.contains(&account) || !settings.has("authorizedkeysfile") {
            return None;
        }
        let what = format!("sshd reads {files} for {account}, before it asks authkeys");
        let place = self.line("authorizedkeysfile", files).map_or_else(|| Place::file(CONFIG), Line::place);
        let why =
            "anybody who is root for an hour can leave a key there; only PAM's session line then stops it";
        let advice = format!(
            "to prevent that: `Match User {account}` and `AuthorizedKeysFile none` at the end of sshd_config"
        );
        Some(Finding::note("sshd-key-files", what).at(place).why(why).advise(advice))
    }

    /// How root may come in.
    pub fn root(&self, settings: &Settings) -> Option<Finding> {
        let value = settings.get("permitrootlogin");
        let wanted = "prohibit-password";
        if !settings.lets_root_in() {
            if !self.shared.contains(&"root") {
                return None;
            }
            if let Some((line, criteria)) = self.lets_some_root_in() {
                let what =
                    format!("PermitRootLogin is {value}, but {} where `{criteria}` matches", line.value);
                let found = Finding::note("sshd-root", what).at(line.place());
                let why = "people on call enter root over these connections alone";
                return Some(
                    found.why(why).advise(format_args!("nothing, if `{criteria}` is where they come from")),
                );
            }
            let found = Finding::lock_out(
                "sshd-root",
                format_args!("PermitRootLogin is {value}, and root is in [[policy.shared_account]]"),
            );
            let found = found.why("people on call may enter root, but sshd does not let them");
            return Some(self.fixed(found, "PermitRootLogin", value, wanted));
        }
        let by_password =
            settings.is_yes("passwordauthentication") || settings.is_yes("kbdinteractiveauthentication");
        if value != "yes" || !by_password {
            return None;
        }
        let found = Finding::warning("sshd-root-password", "sshd asks for root's password");
        let found = found.why(
            "PAM refuses a password for root, because it does not show who typed it; but it can be guessed",
        );
        Some(self.fixed(found, "PermitRootLogin", value, wanted))
    }

    /// The line by which root enters over some connections, and what its Match block asks of them.
    fn lets_some_root_in(&self) -> Option<(&Line, &str)> {
        let lets = |line: &&Line| {
            line.keyword == "permitrootlogin"
                && !["no", "forced-commands-only"].contains(&line.value.to_ascii_lowercase().as_str())
        };
        let mut told =
            self.lines.iter().filter(lets).filter_map(|line| Some((line, line.criteria.as_deref()?)));
        told.find(|(_, criteria)| may_match(criteria, "root"))
    }

    /// Sessions over a connection that is open already.
    pub fn sessions(&self, settings: &Settings) -> Option<Finding> {
        let most: usize = settings.get("maxsessions").parse().ok()?;
        let found = Finding::note(
            "sshd-sessions",
            format_args!("a connection as root carries up to {most} sessions, even after the shift"),
        );
        let why =
            "sshd asks PAM once for a connection: ssh's ControlMaster starts new sessions over an old one";
        let place =
            self.line("maxsessions", &most.to_string()).map_or_else(|| Place::file(CONFIG), Line::place);
        let advice = "if that matters: `Match User root` and `MaxSessions 1` at the end of sshd_config";
        (most > 1).then(|| found.at(place).why(why).advise(advice))
    }

    /// Who fails to log in, and everybody behind the same address: sshd_config(5), since 9.8.
    pub fn penalties(&self, settings: &Settings) -> Option<Finding> {
        let told = settings.get("persourcepenalties");
        let word = told.split_whitespace().find(|word| word.starts_with("authfail:"))?;
        let counts =
            !["authfail:0", "authfail:0s"].contains(&word) && !settings.has("persourcepenaltyexemptlist");
        let what = format!("sshd blocks an address after a few failed logins (PerSourcePenalties {word})");
        let place = self.line("persourcepenalties", told).map_or_else(|| Place::file(CONFIG), Line::place);
        let why = "people on call behind the same bastion, runner or NAT are blocked too; a refusal by pam_oncall.so when a session opens does not count, a key that authkeys does not print does";
        let advice = "name those addresses in `PerSourcePenaltyExemptList`, or write `PerSourcePenalties authfail:0`; then reload sshd";
        counts.then(|| Finding::note("sshd-penalties", what).at(place).why(why).advise(advice))
    }

    /// Devices for tunnels, of an account whose sessions PAM may refuse.
    pub fn tunnels(&self, account: &str, settings: &Settings) -> Option<Finding> {
        let value = settings.get("permittunnel");
        if !self.shared.contains(&account) || matches!(value, "" | "no") {
            return None;
        }
        let found = Finding::warning("sshd-tunnel", format_args!("PermitTunnel is {value} for {account}"));
        let why = "sshd before 10.5 does not count tunnels among what is taken from whom PAM's session refuses, or whose key is for one command";
        Some(self.fixed(found.why(why), "PermitTunnel", value, "no"))
    }

    /// A command of sshd's own comes before that of a key (sshd_config(5)): people off call, whose keys lead to an
    /// explanation and no further, reach it wherever PAM refuses nobody.
    pub fn forced_command(&self, account: &str, settings: &Settings) -> Option<Finding> {
        let explains =
            |shared: &policy::Shared| shared.account.as_str() == account && shared.explain_refusals;
        if !self.rules.shared.iter().any(explains) {
            return None;
        }
        let of_some = |line: &&Line| {
            let criteria = line.criteria.as_deref();
            line.keyword == "forcecommand" && criteria.is_some_and(|criteria| may_match(criteria, account))
        };
        let command = settings.get("forcecommand");
        let line = match settings.forces_command() {
            true => self.line("forcecommand", command),
            false => Some(self.lines.iter().find(of_some)?),
        };
        let command = line.map_or(command, |line| line.value.as_str());
        let what = format!("ForceCommand {command} takes precedence over the command of a key of {account}");
        let why = "while the host observes or is paused, people off call, whose keys are printed to explain the refusal, run it";
        let advice = format!(
            "in config.toml, under [[policy.shared_account]] account = \"{account}\": explain_refusals = false"
        );
        let place = line.map_or_else(|| Place::file(CONFIG), Line::place);
        Some(Finding::warning("sshd-forcecommand", what).at(place).why(why).advise(advice))
    }

    /// Lines that hold for some connections alone, and make them what nobody asked about.
    pub fn matches(&self) -> Vec<Finding> {
        let bad = |line: &&Line| {
            let value = line.value.to_ascii_lowercase();
            match line.keyword.as_str() {
                "authorizedkeyscommand" => {
                    !value.split_whitespace().next().is_some_and(|program| program.ends_with("/authkeys"))
                }
                "authorizedkeyscommanduser" => self.accounts.user(&value).is_none_or(|user| user.uid == 0),
                "permitrootlogin" => value == "yes",
                "pubkeyauthentication" => value == "no",
                "trustedusercakeys" => value != "none",
                "pamservicename" => value != "sshd",
                _ => false,
            }
        };
        let told = |line: &Line| {
            let criteria = line.criteria.as_deref().unwrap_or_default();
            let what = format!("`{} {}` for connections that match `{criteria}`", line.keyword, line.value);
            let (severity, id, why) = match line.keyword.as_str() {
                "pamservicename" => (Severity::Open, "sshd-pam", WHY_OTHER_SERVICE),
                _ => (Severity::Warning, "sshd-match", "for these connections sshd behaves differently"),
            };
            let found = Finding::new(severity, id, what).at(line.place());
            let found = found.why(why).run(edit(&line.file, &[format!("{}d", line.number)]) + RELOAD);
            if line.keyword == "authorizedkeyscommand" { self.kept(&line.value, found) } else { found }
        };
        self.lines.iter().filter(|line| line.criteria.is_some()).filter(bad).map(told).collect()
    }
}
