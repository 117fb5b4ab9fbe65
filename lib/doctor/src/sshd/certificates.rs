//! Certificates in sshd: which authorities it trusts, whom it asks about their certificates, and what it refuses every key for.

use std::path::Path;

use store::PublicKey;

use super::known::{RELOAD, Sshd};
use super::lines::{CONFIG, Line};
use super::settings::Settings;
use crate::finding::{Finding, Place, edit, quoted};

/// What sshd_config has where certificates are used.
const COMMAND: &str = "/usr/bin/authkeys --principals %u %t %k";

const WHY_NOT_ASKED: &str = "a certificate for a personal account is not a key in the directory: it still works when the entry is gone. PAM refuses it for root";

const WHY_NOBODY: &str = "sshd lets nobody in with a certificate of it";

/// A key in a file of authorities.
struct Trusted {
    place: Place,
    key: PublicKey,
}

impl Sshd<'_> {
    /// Certificates: whose sshd takes, and whether it asks `authkeys` about them.
    pub fn certificates(&self, settings: &Settings) -> Vec<Finding> {
        if !settings.has("trustedusercakeys") {
            return Vec::new();
        }
        let command = settings.get("authorizedprincipalscommand");
        if !is_ours(command) {
            return vec![self.not_asked(settings, command)];
        }
        let mut findings: Vec<Finding> = self.principals(settings, command).into_iter().collect();
        findings.extend(self.authorities(settings.get("trustedusercakeys")));
        findings
    }

    /// A file without which sshd refuses every key: sshd_config(5), RevokedKeys.
    pub fn revoked_keys(&self, settings: &Settings) -> Option<Finding> {
        let file = settings.get("revokedkeys");
        if !settings.has("revokedkeys") || (self.stat)(Path::new(file)).is_some() {
            return None;
        }
        let what = format!("RevokedKeys names {file}, which does not exist");
        let place = self.line("revokedkeys", file).map_or_else(|| Place::file(CONFIG), Line::place);
        let why = "sshd then refuses every key, also those of people on call and of accounts for emergencies";
        let fix = format!("touch {}  # an empty file revokes nothing; or put the list back", quoted(file));
        Some(Finding::lock_out("sshd-revoked-keys", what).at(place).why(why).run(fix))
    }

    /// sshd takes certificates, and asks nobody of us.
    fn not_asked(&self, settings: &Settings, command: &str) -> Finding {
        let file = settings.get("trustedusercakeys");
        let found = Finding::warning("sshd-certificates", format_args!("sshd takes certificates of {file}"));
        let line = self.line("trustedusercakeys", file);
        let found = found.at(line.map_or_else(|| Place::file(CONFIG), Line::place)).why(WHY_NOT_ASKED);
        if !self.rules.certificate_authorities.is_empty() {
            // The administrator wants them, as config.toml has it.
            let user = settings.get("authorizedprincipalscommanduser");
            return match settings.has("authorizedprincipalscommanduser") {
                true => self.fixed(found, "AuthorizedPrincipalsCommand", command, COMMAND),
                false => self.principals_for(found, command, user),
            };
        }
        match line {
            Some(line) => found.run(edit(&line.file, &[format!("{}d", line.number)]) + RELOAD),
            None => found.advise(
                "take out TrustedUserCAKeys where sshd has it from (no line that was read has it), then restart sshd",
            ),
        }
    }

    /// sshd does not start with one of the two alone.
    fn principals_for(&self, found: Finding, command: &str, user: &str) -> Finding {
        let written = [("authorizedprincipalscommand", command), ("authorizedprincipalscommanduser", user)];
        if written.iter().any(|(keyword, value)| self.line(keyword, value).is_some()) {
            return found.advise(format_args!(
                "in sshd_config: `AuthorizedPrincipalsCommand {COMMAND}` and `AuthorizedPrincipalsCommandUser authkeys`; then reload sshd"
            ));
        }
        let lines = [("User", "authkeys"), ("", COMMAND)];
        let lines = lines.map(|(end, value)| format!("1i AuthorizedPrincipalsCommand{end} {value}"));
        found.run(edit(CONFIG, &lines) + RELOAD)
    }

    /// Our command: has it all that it needs?
    fn principals(&self, settings: &Settings, command: &str) -> Option<Finding> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let lacks = ["--principals", "%u", "%t", "%k"].into_iter().find(|word| !words.contains(word));
        if let Some(word) = lacks {
            let what = format!("{command}: {word} is missing");
            let found =
                Finding::lock_out("sshd-principals", what).why("sshd lets nobody in with a certificate");
            return Some(self.fixed(found, "AuthorizedPrincipalsCommand", command, COMMAND));
        }
        let user = settings.get("authorizedprincipalscommanduser");
        let can_read = self.accounts.user(user).is_some_and(|user| {
            self.keys.is_none_or(|keys| user.uid == 0 || self.accounts.can_read(user, keys))
        });
        if can_read {
            return None;
        }
        let what = format!("AuthorizedPrincipalsCommandUser {user} cannot read the copy of the directory");
        let found = Finding::lock_out("sshd-principals", what).why("sshd lets nobody in with a certificate");
        Some(self.fixed(found, "AuthorizedPrincipalsCommandUser", user, "authkeys"))
    }

    /// Authorities that one of sshd and config.toml names, and the other does not.
    fn authorities(&self, file: &str) -> Vec<Finding> {
        let trusted = self.trusted(file);
        let is_listed =
            |key: &PublicKey| self.rules.certificate_authorities.iter().any(|one| one.digest == key.sha256());
        let unlisted = trusted.iter().filter(|one| !is_listed(&one.key)).map(|one| {
            let what = format!("config.toml does not name this authority: {}", one.key.fingerprint());
            let found = Finding::warning("sshd-authority", what).at(one.place.clone()).why(WHY_NOBODY);
            found.advise(
                "take it out; or, if it is to count, add its key to `certificate_authorities` in [policy] of config.toml",
            )
        });
        let is_trusted = |digest: &policy::Digest| trusted.iter().any(|one| one.key.sha256() == *digest);
        let untrusted =
            self.rules.certificate_authorities.iter().filter(|one| !is_trusted(&one.digest)).map(|one| {
                let what = format!(
                    "config.toml names an authority that {file} does not have: {}",
                    store::fingerprint(one.digest)
                );
                let found = Finding::warning("sshd-authority", what).at(Place::file(file)).why(WHY_NOBODY);
                found.run(format!("echo {} >>{}", quoted(&one.key), quoted(file)))
            });
        unlisted.chain(untrusted).collect()
    }

    /// The keys in a file of authorities; what is none is sshd's to complain about.
    fn trusted(&self, file: &str) -> Vec<Trusted> {
        let text = (self.text)(file).unwrap_or_default();
        let key = |(at, line): (usize, &str)| {
            let key = PublicKey::parse(line.as_bytes()).ok()?;
            Some(Trusted { place: Place::line(file, at + 1), key })
        };
        text.lines().enumerate().filter_map(key).collect()
    }
}

/// Is it `authkeys`, with whatever arguments?
fn is_ours(command: &str) -> bool {
    command.split_whitespace().next().is_some_and(|program| program.rsplit('/').next() == Some("authkeys"))
}

/// Does a line of an authorized_keys file let in whatever an authority signs for anybody, or for nobody? With `principals`
/// the certificate has to name one of these.
pub fn is_open_authority(line: &str) -> bool {
    let Some(options) = options(line) else { return false };
    options.contains(&"cert-authority".to_string())
        && !options.iter().any(|option| option.starts_with("principals="))
}

/// The options before a key, in small letters, without what they are set to in quotes; sshd(8), AUTHORIZED_KEYS FILE FORMAT.
fn options(line: &str) -> Option<Vec<String>> {
    let (mut options, mut option, mut is_quoted, mut last) = (Vec::new(), String::new(), false, ' ');
    for letter in line.trim_start().chars() {
        match letter {
            '"' if last != '\\' => is_quoted = !is_quoted,
            ' ' | '\t' if !is_quoted => {
                options.push(option);
                return Some(options);
            }
            ',' if !is_quoted => options.push(std::mem::take(&mut option)),
            _ if is_quoted => {}
            letter => option.push(letter.to_ascii_lowercase()),
        }
        last = letter;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_without_principals_is_told_from_others() {
        for line in [
            "cert-authority ssh-ed25519 AAAA",
            "  no-pty,CERT-AUTHORITY\tssh-rsa AAAA x",
            "command=\"echo principals=\\\", x\",cert-authority ssh-rsa AAAA",
        ] {
            assert!(is_open_authority(line), "{line}");
        }
        for line in [
            "ssh-ed25519 AAAA cert-authority",
            "cert-authority,principals=\"alice\" ssh-ed25519 AAAA",
            "principals=\"a b,c\",cert-authority ssh-ed25519 AAAA",
            "command=\"x,cert-authority y\" ssh-ed25519 AAAA",
            "cert-authority",
            "",
        ] {
            assert!(!is_open_authority(line), "{line}");
        }
    }
}
