//! docs/install.md, typed in.

use crate::Machine;
use crate::packages::{LOGINS, added};

/// What docs/install.md says to type, in its order: the boxes for everybody and those for `system`, each with the
/// heading that it stands under.
fn typed(system: &str) -> Vec<(String, String)> {
    let page = include_str!("../../docs/install.md");
    let (mut heading, mut boxes, mut open) = (String::new(), Vec::new(), None);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(label)) => open = Some((label.to_string(), String::new())),
            (Some((label, text)), Some(_)) => {
                if label.is_empty() || label == system {
                    boxes.push((heading.clone(), std::mem::take(text)));
                }
                open = None;
            }
            (Some((_, text)), None) => *text += &format!("{line}\n"),
            (None, None) => {
                if let Some(text) = line.strip_prefix("## ") {
                    heading = text.to_string();
                }
            }
        }
    }
    boxes
}

/// Types the page in on a machine of this `system` where alice and bob may sudo and `directory` has the packages, and
/// looks after each section whether it is so.
pub fn follow(host: &Machine, system: &str, directory: &str) {
    let logins = host.must(LOGINS);
    let boxes = typed(system);
    let sections = ["Packages", "Configure", "Observe", "Enforce", "Remove"];
    assert!(boxes.iter().all(|(heading, _)| sections.contains(&heading.as_str())), "{boxes:#?}");
    for section in sections {
        for (_, commands) in boxes.iter().filter(|(heading, _)| heading == section) {
            host.must(&format!("set -e; export HOME=/root; cd {directory}\n{commands}"));
        }
        let enforces = section == "Enforce";
        assert_eq!((may_sudo(host, "alice"), may_sudo(host, "bob")), (true, !enforces), "after {section}");
        if section == "Observe" {
            let keys = host.must("sshd -T | grep -i '^authorizedkeyscommand '");
            assert_eq!(keys, "authorizedkeyscommand /usr/bin/authkeys %u %t %k\n");
            assert!(host.must("runuser -u authkeys -- authkeys root").contains("ssh-ed25519 AAAA"));
            assert!(host.read("/etc/pam.d/sudo").contains("pam_oncall.so"));
        }
    }
    assert_eq!(added(&logins, &host.must(LOGINS)), [""; 0]);
    assert!(!host.path("/etc/authkeys").exists() && !host.path("/usr/bin/authkeys").exists());
}

/// May `name` become root, who may as far as sudoers go?
pub fn may_sudo(host: &Machine, name: &str) -> bool {
    host.sh(&format!("runuser -u {name} -- sudo -n id -u")).status.success()
}
