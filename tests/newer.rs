//! Directories of Debian 13 through the table of changes of tests/directories.rs. They run on the machine of the test out
//! of a root of their own; what asks them is the suite outside.

use harness::Suite;
use harness::table::every_change_leaves_what_a_full_read_would;
use harness::{samba, slapd, trixie};
use serde_json::Value;

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
    assert!(harness::text(&host.sh("sshd -V")).contains("OpenSSH_10."));
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
