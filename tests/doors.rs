//! Every way to root that a host may have, on each release of Debian: who is off call does not get in, who is on call
//! does, by the programs themselves. Where nothing of ours can stand, doctor names the door, and what it says to type
//! closes it.

use std::process::Output;

use harness::releases::THIS;
use harness::suite::{CONFIG, HOUR, instant, now};
use harness::{Booted, Debian, Site, packages, text, wait_until};
use serde_json::Value;

/// alice and olga are on call, bob and oscar are not; all four are eligible. alice and bob may sudo, olga and oscar are
/// in a group that no list of ours knows, and log in by the keys that the site has for two others.
const PEOPLE: [(&str, &str, &str); 4] =
    [("alice", "sudo", "alice"), ("bob", "sudo", "bob"), ("olga", "ops", "carol"), ("oscar", "ops", "dave")];

/// Who is an administrator by polkit's rules: the group that no list of ours knows, too.
const ADMINISTRATORS: &str =
    "polkit.addAdminRule(function() { return ['unix-group:sudo', 'unix-group:ops']; });\n";

/// A host with the packages on it, those people, a configuration that enforces, and everything that pam-oncall-enable
/// puts in.
fn host(site: &Site, release: Debian) -> Booted {
    let host = Booted::of(release, &site.network, release.name());
    for package in ["pkexec", "opendoas", "systemd-container"] {
        host.add(package);
    }
    packages::bring_debs(&host, &THIS, "/root/debs");
    host.must("apt-get -q install /root/debs/*.deb");
    host.write("/usr/local/bin/type.py", include_str!("fixtures/type.py"), 0o644);
    host.must("groupadd ops; echo root:secret-root | chpasswd");
    let mut people = String::new();
    for (name, group, key) in PEOPLE {
        host.must(&format!(
            "useradd -m -s /bin/bash -G {group} {name}; echo {name}:secret-{name} | chpasswd"
        ));
        let key = site.public_key(key);
        people += &format!(
            "[[person]]\nusername = '{name}'\nmail = ['{name}@example.com']\neligible = true\nkeys = ['{key}']\n"
        );
    }
    host.must("useradd -m -s /bin/bash breakglass");
    host.write("/etc/sudoers.d/team", "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440);
    host.write("/etc/doas.conf", "permit nopass :sudo\npermit :ops\n", 0o600);
    host.write("/etc/authkeys/people.toml", people, 0o644);
    host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    let (start, end) = (instant(now() - HOUR), instant(now() + 2 * HOUR));
    let shift = |name| format!("[[schedule.shift]]\nperson = '{name}'\nstart = {start}\nend = {end}\n");
    let rota = format!("[[schedule]]\nid = 'primary'\n{}{}", shift("alice"), shift("olga"));
    host.write("/etc/authkeys/rota.toml", rota, 0o644);
    host.must("systemctl start authkeys-sync oncall-cache-sync");
    host.must("cp /usr/share/authkeys/10-authkeys.conf /etc/ssh/sshd_config.d/");
    host.reload_sshd();
    let said = host.must("pam-oncall-enable 2>&1");
    for service in ["sshd", "sudo", "sudo-i", "su", "login", "doas", "polkit-1"] {
        assert!(said.contains(&format!("/etc/pam.d/{service}: pam_oncall.so added\n")), "{service}: {said}");
    }
    assert!(said.contains("Now in effect"), "{said}");
    host
}

/// `name` runs `command` on a terminal, where they type their password, or `password`.
fn types(host: &Booted, name: &str, password: Option<&str>, command: &str) -> Output {
    let password = password.map_or_else(|| format!("secret-{name}"), String::from);
    host.sh(&format!(
        "cd /; runuser -u {name} -- python3 /usr/local/bin/type.py {name} {password} '' {command}"
    ))
}

fn is_root(output: &Output) -> bool {
    let said = text(output);
    let is_root = said.lines().any(|line| line.trim_start_matches('\0').trim() == "root");
    assert!(output.status.success() || !is_root, "{said}");
    is_root
}

/// Sees that `on_call` becomes root by `command`, which says so, and `off_call` does not.
fn admits(host: &Booted, (on_call, off_call): (&str, &str), password: Option<&str>, command: &str) {
    let output = types(host, on_call, password, command);
    assert!(is_root(&output), "{on_call}, who is on call: {command}: {}", text(&output));
    let output = types(host, off_call, password, command);
    assert!(!is_root(&output), "{off_call}, who is off call: {command}: {}", text(&output));
}

const SUDOERS: (&str, &str) = ("alice", "bob");
const OTHERS: (&str, &str) = ("olga", "oscar");

/// What doctor finds under this id: the command or advice that goes with it.
fn found(host: &Booted, id: &str) -> Vec<(String, String)> {
    let output = host.sh("oncall-cache doctor --json");
    let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = all["findings"].as_array().expect("a list").iter();
    let one = |finding: &Value| {
        let told = |field: &str| finding[field].as_str().unwrap_or_default().to_string();
        (format!("{} {}", told("severity"), told("what")), told("fix"))
    };
    findings.filter(|finding| finding["id"] == id).map(one).collect()
}

#[test]
fn doors_of_debian_12() {
    let site = Site::start();
    let host = host(&site, Debian::Bookworm);
    every_door(&site, &host);
}

#[test]
fn doors_of_debian_13() {
    let site = Site::start();
    let host = host(&site, Debian::Trixie);
    every_door(&site, &host);
    polkit_of_the_next_release(&site, &host);
    sudo_rs_without_sudo(&host);
    sudo_rs_of_the_next_release(&host);
}

fn every_door(site: &Site, host: &Booted) {
    let enters = |key| is_root(&site.ssh(host, key, "root", "id -un"));
    assert!(enters("alice") && !enters("bob"), "ssh");
    admits(host, SUDOERS, None, "sudo id -un");
    admits(host, SUDOERS, None, "sudo -i id -un");
    admits(host, SUDOERS, Some("secret-root"), "su -c \"id -un\"");
    admits(host, SUDOERS, Some("secret-root"), "su - -c \"id -un\"");
    admits(host, SUDOERS, None, "doas id -un");
    admits(host, OTHERS, None, "doas id -un");
    polkit(site, host);
    login_on_another_terminal(host);
    what_the_configuration_leaves_out_is_named(host);
    a_second_ssh_server_is_named(site, host);
    root_needs_nobody(host);
    a_program_that_is_gone_is_no_door(host);
}

/// The ways by which polkit lets an administrator do what root does.
const POLKIT: [&str; 5] = [
    "with-agent pkexec --disable-internal-agent touch /run/entered",
    "run0 touch /run/entered",
    "systemctl start enter",
    "systemd-run -t touch /run/entered",
    "machinectl shell .host /usr/bin/touch /run/entered",
];

/// Runs a command with polkit's agent for terminals beside it, registered for this shell: pkexec asks about its parent.
/// systemd's programs start one themselves; pkexec has one inside, which polkit 122 does not believe over ssh ("No
/// session for cookie").
const WITH_AGENT: &str = "#!/bin/sh
ready=$(mktemp -u) && mkfifo $ready
pkttyagent --process $$ --notify-fd 3 3>$ready &
cat $ready
\"$@\"
";

/// polkit asks a person in a session of theirs, on their terminal.
fn polkit(site: &Site, host: &Booted) {
    host.write("/etc/polkit-1/rules.d/40-ops.rules", ADMINISTRATORS, 0o644);
    host.write(
        "/etc/systemd/system/enter.service",
        "[Service]\nType=oneshot\nExecStart=touch /run/entered\n",
        0o644,
    );
    host.write("/usr/local/bin/with-agent", WITH_AGENT, 0o755);
    host.must("systemctl daemon-reload; systemctl restart polkit");
    let is_here = |command: &&&str| !command.starts_with("run0") || host.path("/usr/bin/run0").exists();
    for command in POLKIT.iter().filter(is_here) {
        for (name, key, is_on_call) in [("oscar", "dave", false), ("olga", "carol", true)] {
            host.must("rm -f /run/entered");
            let before = records(host, "polkit-1", name).len();
            let typed = format!("python3 /usr/local/bin/type.py {name} secret-{name} '' {command}");
            let said = text(&site.ssh(host, key, name, &typed));
            let enters = host.path("/run/entered").exists();
            assert_eq!(enters, is_on_call, "{name}: {command}: {said}");
            let words = format!("polkit on testhost is for people on call: {name} is not");
            assert_eq!(said.contains(&words), !is_on_call, "{name}: {command}: {said}");
            let records = records(host, "polkit-1", name);
            assert_eq!(records.len(), before + 1, "{name}: {command}: {records:#?}");
            let verdict = if is_on_call { "allow" } else { "refuse" };
            assert_eq!(records[before]["verdict"], verdict, "{name}: {command}");
        }
    }
}

/// polkit 128's helper asks PAM in a unit that may write nowhere: our package says where it may. Where that is
/// missing, doctor names it, and what could not be written down is read from the log.
fn polkit_of_the_next_release(site: &Site, host: &Booted) {
    host.add("next-polkit");
    assert_eq!(found(host, "audit"), []);
    polkit(site, host);

    let drop_in = "/usr/lib/systemd/system/polkit-agent-helper@.service.d/10-authkeys.conf";
    host.must(&format!("mv {drop_in} /root/ && systemctl daemon-reload"));
    let before = records(host, "polkit-1", "olga").len();
    let enter = || {
        let command = "python3 /usr/local/bin/type.py olga secret-olga '' systemctl start enter";
        text(&site.ssh(host, "carol", "olga", command))
    };
    let said = enter();
    assert!(said.contains("AUTHENTICATION COMPLETE"), "{said}");
    assert_eq!(records(host, "polkit-1", "olga").len(), before, "it is as doctor says");
    let report = text(&host.sh("oncall-cache report --since 1h"));
    assert!(report.contains("in the log only: olga by polkit-1, allow, 1 times"), "{report}");
    let told = found(host, "audit");
    assert!(told.len() == 1 && told[0].0.starts_with("warning polkit's helper may not write"), "{told:?}");
    host.must(&told[0].1);
    assert_eq!(found(host, "audit"), []);
    let said = enter();
    assert_eq!(records(host, "polkit-1", "olga").len(), before + 1, "{said}");
}

/// The decisions about `name` by `service` that were written down.
fn records(host: &Booted, service: &str, name: &str) -> Vec<Value> {
    let file = host.read("/var/log/authkeys/decisions.jsonl");
    let records = file.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    records.filter(|one| one["service"] == service && one["person"] == name).collect()
}

/// Guarded accounts at `login`, as somebody with a modem or a hypervisor's console reaches it.
fn login_on_another_terminal(host: &Booted) {
    let login = |name: &str| {
        let typed = "id -un; exit";
        host.sh(&format!("python3 /usr/local/bin/type.py {name} secret-{name} '{typed}' login {name}"))
    };
    let entered = |output: &Output, name: &str| text(output).lines().any(|line| line.trim() == name);
    let (alice, root) = (login("alice"), login("root"));
    assert!(entered(&alice, "alice"), "{}", text(&alice));
    assert!(!entered(&root, "root"), "nobody is root there: {}", text(&root));
    let bob = login("bob");
    assert!(!entered(&bob, "bob"), "{}", text(&bob));
}

/// Root is root already, and so are users whom systemd starts for it.
fn root_needs_nobody(host: &Booted) {
    for command in ["su - -c \"id -un\"", "sudo id -un", "machinectl shell .host /usr/bin/id -un"] {
        let output = host.sh(&format!("python3 /usr/local/bin/type.py root '' '' {command}"));
        assert!(is_root(&output), "{command}: {}", text(&output));
    }
    host.must("runuser -u bob -- true");
    host.must("echo '* * * * * root true' >/etc/cron.d/untouched; rm /etc/cron.d/untouched");
}

/// dropbear reads root's own keys and asks nobody: what doctor says to type closes that.
fn a_second_ssh_server_is_named(site: &Site, host: &Booted) {
    host.add("dropbear-bin");
    assert!(found(host, "second-sshd")[0].0.starts_with("note "), "it does not run yet");
    let unit =
        "[Service]\nExecStart=/usr/sbin/dropbear -F -E -R -p 2200\n[Install]\nWantedBy=multi-user.target\n";
    host.write("/etc/systemd/system/dropbear.service", unit, 0o644);
    host.must("mkdir -p /etc/dropbear /root/.ssh && systemctl enable --now dropbear");
    host.write("/root/.ssh/authorized_keys", site.public_key("bob") + "\n", 0o600);
    host.wait_for_port(2200);
    let enters = || is_root(&site.ssh_to(host, 2200, "bob", "root", "id -un"));
    assert!(enters(), "it is as open as doctor says");
    let told = found(host, "second-sshd");
    assert!(told[0].0.starts_with("open "), "{told:?}");
    host.must(&told[0].1);
    assert!(!enters());
    assert!(found(host, "second-sshd")[0].0.starts_with("note "));
    host.must("rm /root/.ssh/authorized_keys");
}

/// dpkg keeps the stack of a program that is removed.
fn a_program_that_is_gone_is_no_door(host: &Booted) {
    host.must("pam-oncall-enable --undo doas");
    let is_told = || found(host, "pam-missing").iter().any(|(what, _)| what.contains("doas"));
    assert!(is_told());
    host.must("apt-get -q remove opendoas && test -e /etc/pam.d/doas && test -e /etc/doas.conf");
    assert!(!is_told());
}

/// A list of services from before a door was known.
fn what_the_configuration_leaves_out_is_named(host: &Booted) {
    let services =
        "pam_services = [\"sshd\", \"login\", \"su\", \"su-l\", \"sudo\", \"sudo-i\", \"polkit-1\"]";
    host.write(
        "/etc/authkeys/config.toml",
        CONFIG.replace("[policy]\n", &format!("[policy]\n{services}\n")),
        0o644,
    );
    assert!(is_root(&types(host, "bob", None, "doas id -un")), "it is as open as doctor says");
    let said = text(&host.sh("pam-oncall-enable"));
    assert!(said.contains("doas") && said.contains("policy.pam_services"), "{said}");
    let told = found(host, "pam-service");
    assert!(told.len() == 1 && told[0].0.starts_with("open doas "), "{told:?}");
    let setting =
        told[0].1.split("[policy]: ").nth(1).and_then(|rest| rest.split(';').next()).expect("a setting");
    host.write(
        "/etc/authkeys/config.toml",
        CONFIG.replace("[policy]\n", &format!("[policy]\n{setting}\n")),
        0o644,
    );
    assert_eq!(found(host, "pam-service"), []);
    assert!(!is_root(&types(host, "bob", None, "doas id -un")));
    host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
}

/// It brings no stack, so that `other` decided: doctor names it, and both doctor's command and pam-oncall-enable write one.
fn sudo_rs_without_sudo(host: &Booted) {
    host.must("SUDO_FORCE_REMOVE=yes apt-get -q purge sudo");
    host.add("sudo-rs");
    host.must("test ! -e /etc/pam.d/sudo");
    host.write(
        "/etc/sudoers-rs",
        "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) NOPASSWD: ALL\nwalter ALL=(ALL) ALL\n",
        0o440,
    );
    let command = "sudo-rs id -un";
    assert!(is_root(&types(host, "bob", None, command)), "it is as open as doctor says");
    let told = found(host, "pam-missing");
    assert!(told.iter().all(|(what, _)| what.starts_with("open sudo")), "{told:?}");
    assert!(
        found(host, "sudo-refused").iter().any(|(what, _)| what.contains("walter")),
        "it reads sudoers-rs"
    );
    for (_, fix) in &told {
        host.must(fix);
    }
    assert_eq!(found(host, "pam-missing"), []);
    admits(host, SUDOERS, None, command);

    host.must("rm /etc/pam.d/sudo /etc/pam.d/sudo-i");
    let said = host.must("pam-oncall-enable 2>&1");
    assert!(said.contains("/etc/pam.d/sudo: written"), "{said}");
    for words in ["", "-i ", "-u root "] {
        admits(host, SUDOERS, None, &format!("sudo-rs {words}id -un"));
    }
    // What it lists gives nobody anything.
    wait_until("it lists", || host.sh("runuser -u bob -- sudo-rs -l").status.success());
    assert_eq!(found(host, "pam-missing"), []);
    host.must("pam-oncall-enable --undo");
    host.must("test ! -e /etc/pam.d/sudo && test ! -e /etc/pam.d/sudo-i");
}

/// 0.2.15 asks by `sudo-i` for -i, asks PAM before it lists and validates, and has a su that is setuid.
fn sudo_rs_of_the_next_release(host: &Booted) {
    host.add("next-sudo-rs");
    let said = host.must("pam-oncall-enable 2>&1");
    for service in ["sudo", "sudo-i"] {
        assert!(said.contains(&format!("/etc/pam.d/{service}: written")), "{said}");
    }
    for words in ["", "-i ", "-u root "] {
        admits(host, SUDOERS, None, &format!("sudo-rs {words}id -un"));
    }
    assert!(!records(host, "sudo-i", "alice").is_empty() && !records(host, "sudo-i", "bob").is_empty());
    for command in ["sudo-rs -l", "sudo-rs -v"] {
        let (alice, bob) = (types(host, "alice", None, command), types(host, "bob", None, command));
        assert!(alice.status.success() && !bob.status.success(), "{command}: {}{}", text(&alice), text(&bob));
    }
    admits(host, SUDOERS, Some("secret-root"), "su-rs -c \"id -un\"");
    admits(host, SUDOERS, Some("secret-root"), "su-rs - -c \"id -un\"");
    assert_eq!(found(host, "pam-missing"), []);
}
