//! The doors: every way by which people become root on a host, what PAM is asked there, and what guards it.
//!
//! doctor, pam-oncall-enable and the table in docs/operations.md are made of this. What PAM is asked was measured on the
//! releases that a door names; the decision itself is the policy's.

use policy::Rules;

/// One way in.
#[derive(Debug)]
pub struct Door {
    /// What people type.
    pub name: &'static str,
    /// The service by which it asks PAM; empty, it does not.
    pub service: &'static str,
    /// What there has to be for it: one of these programs,
    programs: &'static [&'static str],
    /// and this file, if it is of no use without one.
    needs: Option<&'static str>,
    /// Whom PAM is asked about, and when.
    asked: &'static str,
    /// On what this was measured.
    measured: &'static str,
    pub guard: Guard,
}

/// What guards a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Our line in the stack of its service.
    Line,
    /// Our line in polkit's stack: polkit asks an administrator for a proof before this begins.
    Polkit,
    /// Nothing: doctor names it by this token, with what closes it.
    Named(&'static str),
    /// Nothing, and nothing has to: root alone comes this way.
    Root,
}

const SUDO: &[&str] = &["/usr/bin/sudo"];
/// Where Debian has them, with links in /usr/bin.
pub const SUDO_RS: &[&str] = &["/usr/lib/cargo/bin/sudo", "/usr/bin/sudo-rs"];
const SU: &[&str] = &["/usr/bin/su", "/bin/su", "/usr/lib/cargo/bin/su", "/usr/bin/su-rs"];
const LOGIN: &[&str] = &["/usr/bin/login", "/bin/login"];
const POLKIT: &[&str] = &[
    "/usr/lib/polkit-1/polkit-agent-helper-1",
    "/usr/libexec/polkit-agent-helper-1",
    "/usr/lib/policykit-1/polkit-agent-helper-1",
];

/// Every door, those that our lines guard first, in the order in which pam-oncall-enable goes through them.
pub const DOORS: [Door; 17] = [
    Door {
        name: "ssh",
        service: "sshd",
        programs: &["/usr/sbin/sshd", "/usr/bin/sshd"],
        needs: None,
        asked: "the account entered; whose key it was, when the session opens",
        measured: "OpenSSH 9.2, 10.0",
        guard: Guard::Line,
    },
    Door {
        name: "sudo",
        service: "sudo",
        programs: SUDO,
        needs: None,
        asked: "the caller, at each command, also without a password; the target, when the session opens",
        measured: "sudo 1.9.13, 1.9.16",
        guard: Guard::Line,
    },
    Door {
        name: "sudo -i",
        service: "sudo-i",
        programs: SUDO,
        needs: None,
        asked: "as sudo",
        measured: "sudo 1.9.13, 1.9.16",
        guard: Guard::Line,
    },
    Door {
        name: "sudo-rs, sudo-rs -i",
        service: "sudo",
        programs: SUDO_RS,
        needs: None,
        asked: "as sudo; not at -l and -v. It brings no stack: without the package sudo, `other` decides",
        measured: "sudo-rs 0.2.5",
        guard: Guard::Line,
    },
    Door {
        name: "sudo-rs -i",
        service: "sudo-i",
        programs: SUDO_RS,
        needs: None,
        asked: "as sudo; at -l and -v too",
        measured: "sudo-rs 0.2.15",
        guard: Guard::Line,
    },
    Door {
        name: "su, su-rs",
        service: "su",
        programs: SU,
        needs: None,
        asked: "the target; the caller is known by the real uid",
        measured: "util-linux 2.38, 2.41; su-rs 0.2.15 (0.2.5 is not setuid)",
        guard: Guard::Line,
    },
    Door {
        name: "su -",
        service: "su-l",
        programs: SU,
        needs: None,
        asked: "as su",
        measured: "util-linux 2.38, 2.41",
        guard: Guard::Line,
    },
    Door {
        name: "the console, login",
        service: "login",
        programs: LOGIN,
        needs: None,
        asked: "the account entered, and the terminal",
        measured: "shadow 4.13, util-linux 2.41",
        guard: Guard::Line,
    },
    Door {
        name: "doas",
        service: "doas",
        programs: &["/usr/bin/doas", "/usr/local/bin/doas"],
        needs: Some("/etc/doas.conf"),
        asked: "the caller, also with nopass; the target, when the session opens",
        measured: "opendoas 6.8.2",
        guard: Guard::Line,
    },
    Door {
        name: "polkit: pkexec, run0, systemctl, systemd-run",
        service: "polkit-1",
        programs: POLKIT,
        needs: None,
        asked: "the administrator who proves to be one; whom polkit's rules call so, or root",
        measured: "polkit 122, 126, 128",
        guard: Guard::Line,
    },
    Door {
        name: "run0, once polkit has asked",
        service: "systemd-run0",
        programs: &["/usr/bin/run0"],
        needs: None,
        asked: "the target, by process 1; Debian has no such stack, so `other` is asked",
        measured: "systemd 257",
        guard: Guard::Polkit,
    },
    Door {
        name: "machinectl shell, once polkit has asked",
        service: "login",
        programs: &["/usr/bin/machinectl"],
        needs: None,
        asked: "the target, by process 1, on a new terminal (/dev/pts/N)",
        measured: "systemd 252, 257",
        guard: Guard::Polkit,
    },
    Door {
        name: "systemd-run -t, once polkit has asked",
        service: "",
        programs: &["/usr/bin/systemd-run"],
        needs: None,
        asked: "nobody",
        measured: "systemd 252, 257",
        guard: Guard::Polkit,
    },
    Door {
        name: "dropbear",
        service: "",
        programs: DROPBEAR,
        needs: None,
        asked: "nobody: it reads keys and passwords itself. Built with PAM it asks as dropbear, and never by sshd's stack",
        measured: "dropbear 2022.83, 2025.89",
        guard: Guard::Named("second-sshd"),
    },
    Door {
        name: "cockpit, gdm, xrdp, ftp and their kin",
        service: "",
        programs: &[],
        needs: None,
        asked: "the account entered, by their own stacks",
        measured: "",
        guard: Guard::Named("pam-door"),
    },
    Door {
        name: "runuser",
        service: "runuser",
        programs: &["/usr/sbin/runuser", "/sbin/runuser"],
        needs: None,
        asked: "the target; root alone may call it",
        measured: "util-linux 2.38, 2.41",
        guard: Guard::Root,
    },
    Door {
        name: "cron",
        service: "cron",
        programs: &["/usr/sbin/cron", "/usr/sbin/crond"],
        needs: None,
        asked: "the owner of each job, root too; what runs as root is in files of root's",
        measured: "cron 3.0pl1",
        guard: Guard::Root,
    },
];

/// The program of a second ssh server.
pub const DROPBEAR: &[&str] = &["/usr/sbin/dropbear"];

/// Files that a door would lead to: does one of them exist?
pub type Has<'a> = &'a dyn Fn(&str) -> bool;

impl Door {
    /// Can anybody come this way on a host that has these files?
    pub fn is_here(&self, has: Has<'_>) -> bool {
        self.programs.iter().any(|path| has(path)) && self.needs.is_none_or(has)
    }
}

/// The services that our lines guard, each once, in order.
pub fn services() -> Vec<&'static str> {
    let guarded = DOORS.iter().filter(|door| door.guard == Guard::Line);
    let mut services: Vec<&str> = Vec::new();
    for door in guarded {
        if !services.contains(&door.service) {
            services.push(door.service);
        }
    }
    services
}

/// Does some program ask by `service` on a host that has these files?
pub fn asks_here(service: &str, has: Has<'_>) -> bool {
    let mut doors = DOORS.iter().filter(|door| door.guard == Guard::Line && door.service == service);
    doors.any(|door| door.is_here(has))
}

/// For pam-oncall-enable: a line for each service that our lines guard, whether a program here asks by it, and whether
/// the configuration decides for it.
pub fn told(rules: &Rules, has: Has<'_>) -> String {
    let line = |service: &&str| {
        let here = if asks_here(service, has) { "here" } else { "absent" };
        let decided = if rules.covers_service(service) { "decided" } else { "undecided" };
        format!("{service} {here} {decided}")
    };
    services().iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The table for people, as docs/operations.md has it.
pub fn table() -> String {
    let row = |door: &Door| {
        let service =
            if door.service.is_empty() { "none".to_string() } else { format!("`{}`", door.service) };
        let guard = match door.guard {
            Guard::Line => "our line".to_string(),
            Guard::Polkit => "our line for `polkit-1`".to_string(),
            Guard::Named(token) => format!("nothing; doctor: `{token}`"),
            Guard::Root => "root alone".to_string(),
        };
        format!("| {} | {service} | {} | {guard} | {} |\n", door.name, door.asked, door.measured)
    };
    let head = "| door | asks PAM as | about | guarded by | measured |\n|---|---|---|---|---|\n";
    head.to_string() + DOORS.iter().map(row).collect::<String>().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_door() {
        let page = include_str!("../../../docs/operations.md");
        assert!(page.contains(&table()), "docs/operations.md, \"The doors\", should have:\n{}", table());
    }

    #[test]
    fn the_role_knows_the_same_doors() {
        let text = include_str!("../../../packaging/ansible/roles/authkeys/meta/argument_specs.yml");
        let words = format!("        choices: [all, {}]\n        default: [all]\n", services().join(", "));
        assert!(text.contains(&words), "no {words} in {text}");
    }

    #[test]
    fn what_our_lines_guard_is_what_is_decided_for() {
        let mut decided = Rules::SERVICES.to_vec();
        let mut guarded = services();
        decided.sort_unstable();
        guarded.sort_unstable();
        assert_eq!(guarded, decided);
    }

    #[test]
    fn a_door_is_here_with_its_program_and_what_that_needs() {
        let rules = Rules { pam_services: vec!["sudo".to_string()], ..Rules::compiled() };
        let told = |files: &[&str]| told(&rules, &|path| files.contains(&path));
        assert!(
            told(&["/usr/lib/cargo/bin/sudo"])
                .starts_with("sshd absent undecided\nsudo here decided\nsudo-i here undecided\n")
        );
        assert!(told(&["/usr/bin/doas"]).contains("\ndoas absent "), "without its file it does nothing");
        assert!(told(&["/usr/bin/doas", "/etc/doas.conf"]).contains("\ndoas here undecided"));
    }
}
