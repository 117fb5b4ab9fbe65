//! Services that nothing of ours decides for, and by which a guarded account can be entered.

use std::collections::BTreeSet;

use super::super::doors::{self, asks_here};
use super::super::finding::{Finding, Place, Severity, listed, quoted};
use super::super::nss;
use super::known::{Pam, anything, edit_stack};
use super::stack::Entry;
use super::{flow, stack};

/// Services that our lines do not guard. Programs that open a login session, by their PAM services.
const OTHERS: [&str; 28] = [
    "cockpit",
    "gdm-password",
    "gdm-autologin",
    "gdm-fingerprint",
    "gdm-smartcard",
    "gdm3",
    "lightdm",
    "lightdm-autologin",
    "sddm",
    "sddm-autologin",
    "lxdm",
    "xdm",
    "kde",
    "kde-np",
    "greetd",
    "ly",
    "slim",
    "xrdp-sesman",
    "tigervnc",
    "vncserver",
    "remote",
    "rlogin",
    "rsh",
    "rexec",
    "vsftpd",
    "proftpd",
    "pure-ftpd",
    "webmin",
];

/// Services whose files come with programs that do not ask by them, and the programs that do: util-linux's login is
/// `remote` for logins by one of these (login.c, -h), and Debian's after 13 ships its file everywhere.
const IDLE: [(&str, &[&str]); 1] = [(
    "remote",
    &[
        "/usr/sbin/telnetd",
        "/usr/sbin/in.telnetd",
        "/usr/sbin/in.rlogind",
        "/usr/libexec/telnetd",
        "/usr/libexec/rlogind",
        "/usr/sbin/utelnetd",
        "/usr/sbin/inetutils-telnetd",
    ],
)];

/// Does no program of this host ask by it?
fn is_idle(pam: &Pam<'_>, service: &str) -> bool {
    let programs = IDLE.iter().find(|(name, _)| *name == service);
    programs.is_some_and(|(_, programs)| !programs.iter().any(|path| (pam.has)(path)))
}

/// The stacks among `services` by which somebody enters without being asked whether they are on call.
pub fn doors(pam: &Pam<'_>, services: &[String]) -> Vec<Finding> {
    let is_outside = |service: &str| !pam.services.iter().any(|own| own == service);
    let ours =
        doors::services().into_iter().filter(|service| is_outside(service) && asks_here(service, pam.has));
    let mut findings: Vec<Finding> = ours.map(|service| left_out(pam, service)).collect();
    let is_idle = |service: &str| {
        is_idle(pam, service)
            || stack::find(service, pam.read).is_some_and(|(file, _)| (pam.is_left_over)(&file))
    };
    let others = services.iter().filter(|service| is_outside(service) && !is_idle(service));
    findings.extend(others.filter_map(|service| door(pam, service)));
    findings
}

/// A service that could be decided for, asked by a program of this host.
fn left_out(pam: &Pam<'_>, service: &str) -> Finding {
    let (severity, whom) = pam.way_in(service);
    let what = format!("{service} is not in policy.pam_services{whom}");
    let found = Finding::new(severity, "pam-service", what).at(Place::file(pam.config));
    let mut services = pam.services.to_vec();
    services.push(service.to_string());
    let why = "people who use it are not checked for being on call, even if its stack has our line";
    found.why(why).advise(format_args!(
        "in config.toml, [policy]: pam_services = {services:?}; then pam-oncall-enable {service}"
    ))
}

/// Whom pam_listfile keeps out of such a service: guarded accounts, by name. An exempt one may come in. Where SELinux
/// confines the service, it may read what is in this directory.
const NOT_HERE: &str = "/etc/security/authkeys-not-here";

/// Is it a line by which every guarded account is refused, as the fix below writes it?
fn keeps_guarded_out(pam: &Pam<'_>, entry: &Entry) -> bool {
    let has = |word: &str| entry.arguments.iter().any(|argument| argument == word);
    let file = entry.arguments.iter().find_map(|argument| argument.strip_prefix("file="));
    // With `apply=` it asks about some users alone.
    let is_partial = entry.arguments.iter().any(|argument| argument.starts_with("apply="));
    if entry.name() != "pam_listfile.so" || !has("item=user") || !has("sense=deny") || is_partial {
        return false;
    }
    let text = file.and_then(|file| (pam.read)(file)).unwrap_or_default();
    !pam.guarded.is_empty() && pam.guarded.iter().all(|name| text.lines().any(|line| line == *name))
}

/// Name services whose users and groups we know all of: /etc/passwd and /etc/group, and what has no members of groups of
/// the host (systemd's own users, our groups).
const LISTED: [&str; 4] = ["files", "compat", "systemd", nss::SERVICE];

/// The other name services of this host: who is a member of a guarded group there, nobody can list (sssd does not
/// enumerate).
fn unlisted(pam: &Pam<'_>) -> Vec<String> {
    let text = (pam.read)(nss::FILE).unwrap_or_default();
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let sources =
        lines.filter_map(|line| line.strip_prefix("passwd:").or_else(|| line.strip_prefix("group:")));
    // `[NOTFOUND=return]` and the like are between them.
    let words =
        sources.flat_map(|sources| sources.split(['[', ']']).step_by(2)).flat_map(str::split_whitespace);
    let others: BTreeSet<&str> = words.filter(|word| !LISTED.contains(word)).collect();
    others.into_iter().map(str::to_string).collect()
}

fn door(pam: &Pam<'_>, service: &str) -> Option<Finding> {
    let (file, _) = stack::find(service, pam.read)?;
    let account = stack::expand(service, "account", pam.read)?;
    let answers = |entry: &Entry| match keeps_guarded_out(pam, entry) {
        true => vec!["auth_err".to_string()],
        false => anything(entry, &[]),
    };
    let unlisted = unlisted(pam);
    if !flow::ends(&account, &answers).iter().any(|end| end.passes) {
        let is_open_to_others =
            flow::ends(&account, &|entry| anything(entry, &[])).iter().any(|end| end.passes);
        return (is_open_to_others && !unlisted.is_empty() && OTHERS.contains(&service)).then(|| {
            let what = format!(
                "{service}: keeps out the guarded accounts that are listed; members of guarded groups by {} in {} cannot be listed, and may get in",
                unlisted.join(", "),
                nss::FILE
            );
            let advice = format!("remove the program; until then add the others to {NOT_HERE} by hand, one on each line");
            Finding::warning("pam-door", what).at(Place::file(&file)).why(WHY).advise(advice)
        });
    }
    if service == "other" {
        let what = "other: every program without its own stack lets in everybody whom pam_unix.so accepts";
        let found = Finding::note("pam-door", what).at(Place::file(file)).why(WHY);
        return Some(
            found.advise("put only pam_deny.so into `other`, if all your programs have their own stacks"),
        );
    }
    if !OTHERS.contains(&service) {
        return None;
    }
    let (severity, what) = match pam.with_password.as_slice() {
        [] => (Severity::Warning, format!("{service}: members of guarded groups get in, on call or not")),
        names => (Severity::Open, format!("{service}: a password enters {}, on call or not", listed(names))),
    };
    let what = match unlisted.as_slice() {
        [] => what,
        others => format!("{what}; members by {} in {} cannot be listed", others.join(", "), nss::FILE),
    };
    let line = format!("account requisite pam_listfile.so onerr=fail item=user sense=deny file={NOT_HERE}");
    let names: Vec<String> = pam.guarded.iter().map(|name| quoted(name)).collect();
    // People who are on the list stay on it.
    let list = format!(
        "for name in {}; do grep -qsxF -- $name {NOT_HERE} || echo $name >>{NOT_HERE}; done",
        names.join(" ")
    );
    let named = format!("file={NOT_HERE}");
    let fix = match account.iter().any(|entry| entry.arguments.contains(&named)) {
        true => list,
        false => format!("{list} && {}", edit_stack(&file, &[format!("1i {line}")])),
    };
    Some(Finding::new(severity, "pam-door", what).at(Place::file(file)).why(WHY).run(fix))
}

const WHY: &str = "this release takes no decisions for it. Remove the program, or block every guarded account there; doctor reports when one is added";
