//! sshd's lists of accounts and groups, and keys in files of this host.

use policy::matches_glob;

use super::certificates::is_open_authority;
use super::lines::{CONFIG, Line};
use super::settings::Settings;
use crate::accounts::Accounts;
use crate::finding::{Finding, Fix, Place, listed};
use crate::obstacle::Obstacle;

/// Which of sshd's lists of accounts and groups keeps `account`, in `groups`, out?
pub fn listed_out(account: &str, groups: &[&str], settings: &Settings, lines: &[Line]) -> Option<Obstacle> {
    let user = &[account][..];
    let named = |keyword: &str, names: &[&str]| {
        settings.all(keyword).iter().any(|pattern| names.iter().any(|name| fits(pattern, name)))
    };
    let lists = [
        ("DenyUsers", user, false),
        ("AllowUsers", user, true),
        ("DenyGroups", groups, false),
        ("AllowGroups", groups, true),
    ];
    let keeps_out = |(keyword, names, wanted): &(&str, &[&str], bool)| {
        let keyword = keyword.to_ascii_lowercase();
        !settings.all(&keyword).is_empty() && named(&keyword, names) != *wanted
    };
    let (keyword, ..) = lists.into_iter().find(keeps_out)?;
    let line = lines.iter().find(|line| line.keyword == keyword.to_ascii_lowercase());
    let advice =
        format!("add {account}, or a group of it, to that line, or remove it there; then reload sshd");
    Some(Obstacle {
        what: format!("is kept out by sshd's {keyword}"),
        place: line.map_or_else(|| Place::file(CONFIG), Line::place),
        fix: Fix::Advice(advice),
    })
}

/// Does a pattern of AllowUsers cover `name`, from some address?
pub fn fits(pattern: &str, name: &str) -> bool {
    let user = pattern.split('@').next().unwrap_or(pattern);
    matches_glob(user.as_bytes(), name.as_bytes())
}

/// The first line in a file of keys that lets in whatever an authority signs.
fn open_authority(file: &str, text: &str) -> Option<Finding> {
    let (at, _) = text.lines().enumerate().find(|(_, line)| is_open_authority(line))?;
    let found = Finding::warning("local-authority", "a cert-authority without principals")
        .at(Place::line(file, at + 1));
    let why = "sshd takes every certificate of it that names the account, and each that names nobody, without asking authkeys; only PAM's session line then stops whoever is off call";
    let advice = "remove the line, and trust the authority by TrustedUserCAKeys (docs/certificates.md); or put `principals=\"NAME\"` before its key";
    Some(found.why(why).advise(advice))
}

/// Keys in files that sshd reads for shared accounts.
pub fn local_keys(
    settings: &[(String, Settings)],
    shared: &[&str],
    accounts: &Accounts,
    read: &dyn Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (account, settings) in settings.iter().filter(|(account, _)| shared.contains(&account.as_str())) {
        let Some(user) = accounts.user(account) else { continue };
        for file in settings.key_files(account, &user.home) {
            let text = read(&file).unwrap_or_default();
            findings.extend(open_authority(&file, &text));
            let is_key = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
            let lines: Vec<usize> =
                text.lines().enumerate().filter(|(_, line)| is_key(line)).map(|(at, _)| at + 1).collect();
            let Some(first) = lines.first() else { continue };
            let what = format!(
                "{} of {account} in addition to those in the directory",
                if lines.len() == 1 { "1 key".to_string() } else { format!("{} keys", lines.len()) }
            );
            let found = Finding::warning("local-keys", what).at(Place::line(&file, *first));
            let why = "sshd accepts them before it runs authkeys; only PAM's session line stops people off call who have one";
            let advice = format!(
                "`mv {file} {file}.off`, once an exempt account has its own key; to prevent that: `AuthorizedKeysFile none` in `Match User {}`",
                listed(&[account])
            );
            findings.push(found.why(why).advise(advice));
        }
    }
    findings
}
