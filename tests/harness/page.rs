//! docs/install.md and README.md, typed in on machines with the sudoers of their distribution; and the boxes of
//! docs/fleet.md.

use crate::machine::RELOAD_SSHD;
use crate::packages::{LOGINS, added};
use crate::{Machine, text, wait_until};

/// What replaces systemctl on a machine that systemd did not boot, and where there is nobody to ask.
pub fn systemctl() -> String {
    format!(
        "#!/bin/sh
case \"$*\" in
'start oncall-cache-sync') runuser -u authkeys-sync -- authkeys-sync && runuser -u oncall-cache -- oncall-cache sync ;;
'reload ssh' | 'reload sshd')
{RELOAD_SSHD}
;;
'stop user-'*.slice) ;;
*) exec /usr/bin/systemctl \"$@\" ;;
esac
"
    )
}

/// Replaces systemctl on a machine that systemd did not boot: what a timer or a path starts runs at once, as its user, and
/// must succeed.
pub const UNITS: &str = r#"#!/bin/sh
set -eu
case "$1 $2" in
'enable --now') shift 2 ;;
start\ *) shift ;;
*) exec /usr/bin/systemctl "$@" ;;
esac
for unit; do
    case $unit in *.*) ;; *) unit=$unit.service ;; esac
    cd /usr/lib/systemd/system
    service=$(sed -n 's/^Unit=//p' "$unit")
    service=${service:-${unit%.*}.service}
    runuser -u "$(sed -n 's/^User=//p' "$service")" -- $(sed -n 's/^ExecStart=//p' "$service")
done
"#;

/// Adds alice and bob, who are administrators by `group`, as the distribution's sudoers have it: with their password.
pub fn add_administrators(host: &Machine, group: &str) {
    host.must(&format!(
        "for name in alice bob; do useradd -m -s /bin/sh -G {group} $name && echo $name:secret | chpasswd; done"
    ));
}

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

/// Types the page in on a machine of this `system` with [`add_administrators`] where `directory` has the packages, and
/// looks after each section whether it is so. sshd listens on port 22.
pub fn follow(host: &Machine, system: &str, directory: &str) {
    host.must("ssh-keygen -qt ed25519 -N '' -C alice -f /root/alice && rm -f /root/.ssh/known_hosts");
    let logins = host.must(LOGINS);
    let boxes = typed(system);
    let sections = ["Packages", "Configure", "Observe", "Enforce", "Remove"];
    assert!(boxes.iter().all(|(heading, _)| sections.contains(&heading.as_str())), "{boxes:#?}");
    for section in sections {
        for (_, commands) in boxes.iter().filter(|(heading, _)| heading == section) {
            host.must(&format!("set -e; export HOME=/root; cd {directory}\n{commands}"));
        }
        let (observes, enforces) = (section == "Observe", section == "Enforce");
        assert_eq!((may_sudo(host, "alice"), may_sudo(host, "bob")), (true, !enforces), "after {section}");
        if enforces {
            let said = host.sh("oncall-cache doctor");
            assert_eq!(said.status.code(), Some(0), "{}", text(&said));
        }
        if observes {
            let keys = host.must("sshd -T | grep -i '^authorizedkeyscommand '");
            assert_eq!(keys, "authorizedkeyscommand /usr/bin/authkeys %u %t %k\n");
            assert!(host.must("runuser -u authkeys -- authkeys root").contains("ssh-ed25519 AAAA"));
            assert!(host.read("/etc/pam.d/sudo").contains("pam_oncall.so"));
        }
        if observes || enforces {
            wait_until("sshd lets the account for emergencies in, and sudo makes it root", || {
                ssh(host, "breakglass-key", "breakglass", "sudo -n id -u") == "0\n"
            });
            assert_eq!(ssh(host, "alice", "root", "id -u"), "0\n", "after {section}");
        }
    }
    assert_eq!(added(&logins, &host.must(LOGINS)), [""; 0]);
    for left in ["/etc/authkeys", "/usr/bin/authkeys", "/etc/sudoers.d/breakglass", "/root/breakglass-key"] {
        assert!(!host.path(left).exists(), "{left}");
    }
}

/// What a command says that is run over ssh with this key of root's.
fn ssh(host: &Machine, key: &str, account: &str, command: &str) -> String {
    let options = "-F none -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no";
    let output = host.sh(&format!("HOME=/root ssh {options} -i /root/{key} {account}@localhost {command}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Types in what README.md says to type in short, line by line, where `directory` has the packages; the files are as the
/// examples are. It leads to a host that observes, and on which everybody gets in as before.
pub fn quick_start(host: &Machine, directory: &str) {
    let page = include_str!("../../README.md");
    let section = page.split_once("\n## Install it\n").expect("the section").1;
    let section = section.split_once("\n### ").expect("another section").0;
    let lines: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let (last, lines) = lines.split_last().expect("lines to type");
    assert!(last.starts_with("oncall-cache doctor"), "{last}");
    for line in lines {
        let output = host.sh(&format!("export HOME=/root EDITOR=true; cd {directory}; {line}"));
        assert!(output.status.success(), "{line}\n{}", text(&output));
        assert!(may_sudo(host, "alice") && may_sudo(host, "bob"), "after {line}");
    }
    let told = text(&host.sh(last));
    assert!(told.contains("  observe  ") && !told.contains("  config"), "{told}");
    assert!(host.must("oncall-cache who").contains("Primary"), "the rota is read");
}

/// May `name`, whose password is as [`add_administrators`] sets it, become root, who may as far as sudoers go?
pub fn may_sudo(host: &Machine, name: &str) -> bool {
    host.sh(&format!("echo secret | runuser -u {name} -- sudo -S -k -p '' id -u")).status.success()
}

/// The boxes of docs/fleet.md below a heading of either size, up to the next heading.
pub fn boxes(heading: &str) -> Vec<String> {
    boxes_of(include_str!("../../docs/fleet.md"), heading)
}

/// The boxes of another page, as [`boxes`].
pub fn boxes_of(page: &str, heading: &str) -> Vec<String> {
    let is_heading = |line: &str| line.starts_with("## ") || line.starts_with("### ");
    let is_this = |line: &&str| is_heading(line) && line.trim_start_matches('#').trim() == heading;
    assert_eq!(page.lines().filter(is_this).count(), 1, "one heading {heading}");
    let section = page.lines().skip_while(|line| !is_this(line)).skip(1).take_while(|line| !is_heading(line));
    let mut boxes = vec![String::new()];
    for line in section {
        match line.strip_prefix("    ") {
            Some(line) => *boxes.last_mut().expect("one") += &format!("{line}\n"),
            None if boxes.last().is_some_and(|one| !one.is_empty()) => boxes.push(String::new()),
            None => {}
        }
    }
    boxes.retain(|one| !one.is_empty());
    boxes
}

/// Stops where a part of `page` has another number of boxes than `count` says of its heading, or where a box stands in a part
/// that is not named there. A test file says by this that it types in all of them: who adds one adds it there.
pub fn no_box_is_left_out(page: &str, count: &[(&str, usize)]) {
    let typed = |(heading, boxes): &(&str, usize)| {
        let found = boxes_of(page, heading);
        assert_eq!(found.len(), *boxes, "{heading}");
        found.iter().map(|one| one.lines().count()).sum::<usize>()
    };
    let typed: usize = count.iter().map(typed).sum();
    let all = page.lines().filter(|line| line.starts_with("    ")).count();
    assert_eq!(all, typed, "a box stands in another part");
}
