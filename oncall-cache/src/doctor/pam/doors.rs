//! Services that nothing of ours decides for, and by which a guarded account can be entered.

use super::super::doors::{self, asks_here};
use super::super::finding::{Finding, Place, Severity};
use super::{Pam, anything, flow, listed, stack};

/// Services that our lines do not guard. Programs that open a session for whoever logs in, by their PAM services.
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
/// `remote` for whoever comes by one of these (login.c, -h), and Debian's after 13 ships its file everywhere.
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
    let others = services.iter().filter(|service| is_outside(service) && !is_idle(pam, service));
    findings.extend(others.filter_map(|service| door(pam, service)));
    findings
}

/// A service that could be decided for, asked by a program of this host.
fn left_out(pam: &Pam<'_>, service: &str) -> Finding {
    let (severity, whom) = pam.way_in(service);
    let what = format!("{service} is not in policy.services{whom}");
    let found = Finding::new(severity, "pam-service", what).at(Place::file(pam.config));
    let mut services = pam.services.to_vec();
    services.push(service.to_string());
    let why = "whoever enters by it is not asked whether they are on call, also where its stack has our line";
    found.why(why).advise(format_args!(
        "in config.toml, [policy]: services = {services:?}; then pam-oncall-enable {service}"
    ))
}

fn door(pam: &Pam<'_>, service: &str) -> Option<Finding> {
    let (file, _) = stack::find(service, pam.read)?;
    let account = stack::expand(service, "account", pam.read)?;
    if !flow::ends(&account, &|entry| anything(entry, &[])).iter().any(|end| end.passes) {
        return None;
    }
    let (severity, what) = match pam.with_password.as_slice() {
        _ if service == "other" => {
            let what = "other: every program without a stack of its own lets in whom pam_unix.so lets in";
            (Severity::Note, what.to_string())
        }
        _ if !OTHERS.contains(&service) => return None,
        [] => {
            (Severity::Warning, format!("{service}: members of guarded groups enter whether on call or not"))
        }
        names => (Severity::Open, format!("{service}: a password enters {}, on call or not", listed(names))),
    };
    let line =
        "account requisite pam_listfile.so onerr=fail item=user sense=deny file=/etc/authkeys/not-here";
    let advice = match service {
        "other" => {
            "let `other` hold pam_deny.so alone, if all your programs have stacks of their own".to_string()
        }
        _ => format!(
            "remove the program, or shut root out there: list root in /etc/authkeys/not-here and write `{line}` at the top of {file}"
        ),
    };
    let why = "this release does not decide for it";
    Some(Finding::new(severity, "pam-door", what).at(Place::file(file)).why(why).advise(advice))
}
