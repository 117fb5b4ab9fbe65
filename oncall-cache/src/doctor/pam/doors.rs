//! Services that nothing of ours decides for, and by which a guarded account can be entered.

use super::super::finding::{Finding, Place, Severity};
use super::{Pam, anything, flow, listed, stack};

/// Programs that open a session for whoever logs in, by their PAM services.
const DOORS: [&str; 29] = [
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
    "doas",
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
    let is_outside = |service: &&String| !pam.services.contains(*service) && !is_idle(pam, service);
    let outside = services.iter().filter(is_outside);
    outside.filter_map(|service| door(pam, service)).collect()
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
        _ if !DOORS.contains(&service) => return None,
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
    let why = "this release decides for sshd, login, su, sudo and polkit-1 alone";
    Some(Finding::new(severity, "pam-door", what).at(Place::file(file)).why(why).advise(advice))
}
