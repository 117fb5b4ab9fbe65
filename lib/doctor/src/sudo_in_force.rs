//! What sudo itself says that it does, wherever it read that: rules and settings may come from a directory, too.

use super::finding::{Finding, Place};
use super::nss;
use super::sudo::FILE;

/// sudo's own words for settings (def_data.in; measured: 1.9.13), as `sudo -V` prints them to root of those that are on.
const AUTHENTICATION: &str = "Authentication methods:";
const ACCOUNT: &str = "Perform PAM account validation management";
const SERVICE: &str = "PAM service name to use";

/// Does sudo ask PAM as it should, by what it `said`? One that says less to root, as sudo-rs does, is another.
pub fn check(said: &str, services: &[String]) -> Option<Finding> {
    let has = |words: &str| said.lines().any(|line| line.starts_with(words));
    let asked = said.lines().filter(|line| line.starts_with(SERVICE));
    let mut asked = asked.filter_map(|line| line.split_once(": ")).map(|(_, service)| service.trim());
    let other = asked.find(|service| *service != "sudo" && !services.iter().any(|known| known == service));
    let what = match other {
        _ if !has(AUTHENTICATION) => return None,
        _ if !has(ACCOUNT) => "sudo -V: sudo does not ask PAM whether somebody may".to_string(),
        Some(other) => format!("sudo -V: sudo asks PAM as {other}, which is not decided for"),
        None => return None,
    };
    let found = Finding::open("sudo-pam", what).at(Place::file(FILE));
    let advice = format!(
        "the setting is in no file that was read: look at what they include, and at the sources of `sudoers:` in {}; take it out there",
        nss::FILE
    );
    Some(found.why("sudo gives root to people off call").advise(advice))
}

/// The sources of rules that nothing here reads, by nsswitch.conf(5).
pub fn elsewhere(nsswitch: &str) -> Option<Finding> {
    let line = nsswitch.lines().find_map(|line| line.trim().strip_prefix("sudoers:"))?;
    let line = line.split('#').next().unwrap_or_default();
    // `[SUCCESS=return]` and the like are between them.
    let words = line.split(['[', ']']).step_by(2).flat_map(str::split_whitespace);
    let others: Vec<&str> = words.filter(|word| *word != "files").collect();
    let what = format!("sudo reads rules from {} too, which are not looked at here", others.join(", "));
    let found = Finding::note("sudoers", what).at(Place::file(nss::FILE));
    let found = found.why("whom they name is asked as others are; a setting there that is for some people alone may switch that off");
    let advice = "nothing, if no `sudoOption` there says pam_acct_mgmt, pam_ruser or pam_service";
    (!others.is_empty()).then(|| found.advise(advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sudo_that_says_that_it_asks_nobody_is_open() {
        const GOOD: &str = "Sudo version 1.9.13p3\nAuthentication methods: 'pam'\nPAM service name to use: sudo\nPAM service name to use for login shells: sudo-i\nPerform PAM account validation management\n";
        let services = ["sudo", "sudo-i"].map(String::from);
        let told = |said: &str| check(said, &services).map(|found| found.what);
        assert_eq!(told(GOOD), None);
        assert_eq!(told("sudo-rs 0.2.5\n"), None);
        assert!(told(&GOOD.replace("Perform PAM account", "x")).unwrap().contains("does not ask PAM"));
        assert!(told(&GOOD.replace(": sudo-i", ": other")).unwrap().contains("as other,"));
    }

    #[test]
    fn rules_that_come_from_elsewhere_are_told() {
        let told = |text: &str| elsewhere(text).map(|found| found.what);
        assert_eq!(told("passwd: files sss\nsudoers: files # sss\n"), None);
        assert!(told("sudoers: files [SUCCESS=return] sss ldap\n").unwrap().contains("from sss, ldap too"));
    }
}
