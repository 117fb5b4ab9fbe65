//! Programs of Debian 13. Directories through the table of changes of tests/directories.rs, and an sshd: they run on the
//! machine of the test out of a root of their own; what asks them is the suite outside. And certificates, on a host that is
//! Debian 13 as a whole.

use harness::suite::{HOUR, instant, now};
use harness::table::every_change_leaves_what_a_full_read_would;
use harness::{Booted, Debian, Network, Suite, page, samba, slapd, text, trixie};
use serde_json::Value;

use crate::penalties::{host_with, ssh};

#[test]
fn slapd_2_6() {
    let suite = Suite::start();
    let server = slapd::Played::start_newer(&suite.host);
    assert!(server.version().contains("slapd 2.6."), "{}", server.version());
    every_change_leaves_what_a_full_read_would(&suite, &server);
}

#[test]
fn samba_4_22() {
    let suite = Suite::start();
    let server = samba::Played::start_newer(&suite.host);
    assert!(server.version().contains("Version 4.22."), "{}", server.version());
    every_change_leaves_what_a_full_read_would(&suite, &server);
}

/// PAMServiceName is a setting since 9.8, also for some people alone: our lines in sshd's stack say nothing then.
#[test]
fn sshd_10_that_asks_pam_by_another_name_is_open_until_it_is_mended() {
    let suite = Suite::start();
    let host = &suite.host;
    trixie::put(host, "sshd10", &["openssh-server"]);
    host.must(&format!("mkdir -p {0}/etc/ssh && mount --rbind /etc/ssh {0}/etc/ssh", trixie::ROOT));
    let chrooted = format!("#!/bin/sh\nexec chroot {} /usr/sbin/sshd \"$@\"\n", trixie::ROOT);
    host.must("rm /usr/sbin/sshd");
    host.write("/usr/sbin/sshd", chrooted, 0o755);
    assert!(text(&host.sh("sshd -V")).contains("OpenSSH_10."));
    let found = || -> Vec<(String, String)> {
        let output = host.sh("oncall-cache doctor --json");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let findings = told["findings"].as_array().expect("a list").iter();
        let ours = findings.filter(|finding| finding["id"] == "sshd-pam");
        ours.map(|one| {
            ["severity", "fix"].map(|field| one[field].as_str().unwrap_or_default().to_string()).into()
        })
        .collect()
    };
    assert_eq!(found(), []);
    for change in [
        "sed -i '1i PAMServiceName other' /etc/ssh/sshd_config",
        "printf 'Match User root\n  PAMServiceName other\n' >>/etc/ssh/sshd_config",
        "printf 'Match User bob\n  PAMServiceName other\n' >>/etc/ssh/sshd_config",
        "printf 'Match Address 127.0.0.0/8\n  PAMServiceName other\n' >>/etc/ssh/sshd_config",
    ] {
        host.must(change);
        let plan = host.must("oncall-cache pam-lines sshd");
        assert!(
            plan.starts_with("sshd left sshd asks PAM as other (/etc/ssh/sshd_config:"),
            "{change}: {plan}"
        );
        let told = found();
        assert!(
            !told.is_empty() && told.iter().all(|(severity, _)| severity == "open"),
            "{change}: {told:?}"
        );
        while let Some((_, fix)) = found().first() {
            host.must(fix);
        }
        assert!(!host.must("oncall-cache pam-lines sshd").contains("left"), "{change}");
    }
}

const CERTIFICATES: &str = include_str!("../docs/certificates.md");

/// What opens `account` with the certificate of alice or bob, whose keys are in no directory.
fn enters(host: &Booted, name: &str, account: &str) -> (bool, String) {
    let output = ssh(host, "127.0.0.1", &format!("{name}-laptop"), account, "id -un");
    (output.stdout == format!("{account}\n").as_bytes(), text(&output))
}

/// The newest record of a session in root.
fn recorded(host: &Booted) -> Value {
    let line = host.must(
        "grep '\"phase\":\"session\"' /var/log/authkeys/decisions.jsonl | grep '\"account\":\"root\"' | tail -n 1",
    );
    serde_json::from_str(&line).expect("a record")
}

#[test]
fn a108_sshd_10_lets_in_by_a_certificate_whoever_is_on_call_and_nobody_else() {
    let network = Network::start();
    let host = host_with(Debian::Trixie, &network, &["alice"]);
    assert!(text(&host.sh("ssh -V")).contains("OpenSSH_10."));
    // As docs/certificates.md sets it up.
    let [authority, sshd, config, ..] = &page::boxes_of(CERTIFICATES, "Set up")[..] else { panic!("three") };
    host.must("mkdir /root/desk && cd /root/desk && ssh-keygen -qt ed25519 -N '' -C '' -f /root/keys/alice-laptop && cp /root/keys/alice-laptop.pub alice.pub");
    host.must(&format!("set -e; cd /root/desk\n{authority}{sshd}"));
    host.must("mv /root/desk/alice-cert.pub /root/keys/alice-laptop-cert.pub");
    host.must("cd /root/keys && ssh-keygen -qt ed25519 -N '' -C '' -f bob-laptop && ssh-keygen -qs /root/desk/user-ca -I bob -z 2 -n bob -V +1h bob-laptop.pub");
    // sshd trusts it already, and config.toml does not name it yet.
    host.reload_sshd();
    let (is_in, said) = enters(&host, "alice", "root");
    assert!(!is_in && said.contains("Permission denied"), "{said}");
    let ca = host.read("/root/desk/user-ca.pub");
    let config = config.replace("ssh-ed25519 AAAA… user-ca", ca.trim());
    let before = host.read("/etc/authkeys/config.toml");
    host.write("/etc/authkeys/config.toml", before.replace("[policy]\n", &config), 0o644);

    let (is_in, said) = enters(&host, "alice", "root");
    assert!(is_in, "{said}");
    let record = recorded(&host);
    let print = host.must("ssh-keygen -lf /root/desk/user-ca.pub | cut -d' ' -f2");
    let expected: [Value; 5] =
        ["alice".into(), "oncall".into(), print.trim().into(), 1.into(), "alice INC-42".into()];
    let fields = ["person", "reason", "authority", "serial", "key_id"];
    assert_eq!(fields.map(|field| record[field].clone()), expected);
    let (is_in, said) = enters(&host, "bob", "root");
    assert!(!is_in && said.contains("bob is not (alice is, until "), "{said}");
    // Each in their own account: PAM decides about them there.
    assert!(
        enters(&host, "alice", "alice").0
            && !enters(&host, "alice", "bob").0
            && !enters(&host, "bob", "alice").0
    );
    let sudo = ssh(&host, "127.0.0.1", "bob-laptop", "bob", "true");
    assert!(
        !sudo.status.success() && text(&sudo).contains("bob is not (alice is, until "),
        "{}",
        text(&sudo)
    );

    // Handed over: the same certificates.
    let (start, end) = (instant(now() - HOUR), instant(now() + HOUR));
    let shift = format!(
        "[[schedule]]\nid = 'primary'\n[[schedule.shift]]\nperson = 'bob'\nstart = {start}\nend = {end}\n"
    );
    host.write("/etc/authkeys/rota.toml", shift, 0o644);
    host.must("systemctl start oncall-cache-sync.service");
    let (is_in, said) = enters(&host, "bob", "root");
    assert!(is_in, "{said}");
    let record = recorded(&host);
    assert!(record["person"] == "bob" && record["serial"] == 2, "{record}");
    let (is_in, said) = enters(&host, "alice", "root");
    assert!(!is_in && said.contains("alice is not (bob is, until "), "{said}");

    // Behind AuthorizedKeysCommand: does this sshd pass over AuthorizedPrincipalsCommand, as 9.2 does?
    let asked = "sshd -T | grep -ic '^authorizedprincipalscommand .*authkeys --principals'";
    assert_eq!(host.must(asked), "1\n");
    host.must("cd /etc/ssh/sshd_config.d && mv 05-certificates.conf 20-certificates.conf");
    println!("sshd 10, behind AuthorizedKeysCommand: {}", text(&host.sh(asked)));
}
