use std::path::Path;

use super::lines::{CONFIG, may_match};
use super::*;
use crate::accounts::Accounts;
use crate::finding::{Fix, Severity};
use crate::machine::Stat;

fn reader(path: &str) -> Option<String> {
    let text = match path {
        "/etc/ssh/sshd_config" => {
            "# x\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM no\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\nMatch all\nMaxSessions=4\n"
        }
        "/etc/ssh/sshd_config.d/05-other.conf" => {
            "AuthorizedKeysCommand \"/usr/bin/userdbctl ssh-authorized-keys %u\"\n"
        }
        "/etc/ssh/sshd_config.d/10-authkeys.conf" => {
            "AuthorizedKeysCommand /usr/bin/authkeys %u %t %k\nPermitRootLogin prohibit-password\n"
        }
        _ => return None,
    };
    Some(text.to_string())
}

fn read_lines() -> Vec<Line> {
    let names = |_: &str| ["05-other.conf", "10-authkeys.conf", "readme"].map(String::from).to_vec();
    lines(&Reader { text: &reader, names: &names })
}

#[test]
fn lines_are_read_in_sshds_order() {
    let told = |line: &Line| {
        format!(
            "{}:{} {} {} {:?}",
            line.file.replace("/etc/ssh/", ""),
            line.number,
            line.keyword,
            line.value,
            line.criteria
        )
    };
    assert_eq!(
        read_lines().iter().map(told).collect::<Vec<_>>(),
        [
            "sshd_config.d/05-other.conf:1 authorizedkeyscommand /usr/bin/userdbctl ssh-authorized-keys %u None",
            "sshd_config.d/10-authkeys.conf:1 authorizedkeyscommand /usr/bin/authkeys %u %t %k None",
            "sshd_config.d/10-authkeys.conf:2 permitrootlogin prohibit-password None",
            "sshd_config:3 usepam no None",
            "sshd_config:5 permitrootlogin yes Some(\"Address 10.0.0.0/8\")",
            "sshd_config:7 maxsessions 4 None",
        ]
    );
}

/// Without the command in 05-other.conf, unless it `has_other`.
fn found_where(has_other: bool, told: &str) -> Vec<Finding> {
    judged(&read_lines(), told, has_other)
}

/// What is found where sshd `told` this about root.
fn judged(lines: &[Line], told: &str, has_other: bool) -> Vec<Finding> {
    let accounts = Accounts::parse(
        "root:x:0:0::/root:/bin/sh\nauthkeys:x:990:990::/:/bin/false\n".to_string(),
        "root:x:0:\nauthkeys:x:990:\n".to_string(),
        "",
    );
    let stat = |path: &Path| {
        let is_there = has_other || !path.ends_with("userdbctl");
        is_there.then_some(Stat { uid: 0, gid: 0, mode: 0o755, is_directory: false })
    };
    let settings = [("root".to_string(), Settings::parse(told))];
    let rules = policy::Rules::compiled();
    let sshd = Sshd {
        settings: &settings,
        lines,
        accounts: &accounts,
        stat: &stat,
        real: &|path| path.to_path_buf(),
        config: "/c",
        shared: vec!["root"],
        rules: &rules,
        text: &|_| None,
        keys: None,
        chain: &[],
    };
    check(&sshd)
}

fn found(told: &str) -> Vec<String> {
    let tell = |finding: Finding| {
        assert!(finding.fix != Fix::Command(String::new()), "{finding:?}");
        format!(
            "{} {} {}",
            finding.severity,
            finding.id,
            finding.place.map(|place| place.to_string()).unwrap_or_default().replace("/etc/ssh/", "")
        )
    };
    found_where(false, told).into_iter().map(tell).collect()
}

const GOOD: &str = "usepam yes\nauthorizedkeyscommand /usr/bin/authkeys %u %t %k\nauthorizedkeyscommanduser authkeys\npermitrootlogin without-password\npubkeyauthentication yes\nmaxsessions 1\n";
const MATCH: &str = "warning sshd-match sshd_config:5";

#[test]
fn a53_what_holds_is_judged_and_the_line_named() {
    assert_eq!(found(GOOD), [MATCH]);
    for (right, wrong, expected) in [
        ("usepam yes", "usepam no", "open sshd-pam sshd_config:3"),
        (
            "/usr/bin/authkeys %u %t %k",
            "/usr/bin/userdbctl ssh-authorized-keys %u",
            "lock-out sshd-command sshd_config.d/05-other.conf:1",
        ),
        ("/usr/bin/authkeys %u %t %k", "none", "lock-out sshd-command sshd_config"),
        ("/usr/bin/authkeys %u %t %k", "/usr/bin/authkeys %u", "warning sshd-command sshd_config"),
        ("commanduser authkeys", "commanduser nobody", "lock-out sshd-command-user sshd_config"),
        ("commanduser authkeys", "commanduser root", "warning sshd-command-user sshd_config"),
        ("without-password", "no", "note sshd-root sshd_config:5"),
        ("without-password", "yes\npasswordauthentication yes", "warning sshd-root-password sshd_config:5"),
        ("pubkeyauthentication yes", "pubkeyauthentication no", "lock-out sshd-root sshd_config"),
        ("usepam yes", "usepam yes\nallowusers ali*@10.0.0.1", "lock-out sshd-root sshd_config"),
        ("usepam yes", "usepam yes\ndenygroups r?ot", "lock-out sshd-root sshd_config"),
        ("usepam yes", "usepam yes\ntrustedusercakeys /ca", "warning sshd-certificates sshd_config"),
        ("usepam yes", "usepam yes\nrevokedkeys /gone/userdbctl", "lock-out sshd-revoked-keys sshd_config"),
        ("maxsessions 1", "maxsessions 4", "note sshd-sessions sshd_config:7"),
        (
            "usepam yes",
            "usepam yes\npersourcepenalties crash:90 authfail:5 noauth:1",
            "note sshd-penalties sshd_config",
        ),
        ("usepam yes", "usepam yes\npermittunnel yes", "warning sshd-tunnel sshd_config"),
        ("usepam yes", "usepam yes\npamservicename other", "open sshd-pam sshd_config"),
    ] {
        let all = found(&GOOD.replace(right, wrong));
        assert!(all.contains(&expected.to_string()) && all.len() == 2, "{wrong}: {all:?}");
    }
}

#[test]
fn a_match_that_makes_sshd_ask_pam_by_another_name_is_open() {
    let text =
        "UsePAM yes\nMatch User bob,carol\n  PAMServiceName other\nMatch User dave\n  PAMServiceName sshd\n";
    let reader = |path: &str| (path == CONFIG).then(|| text.to_string());
    let lines = lines(&Reader { text: &reader, names: &|_| Vec::new() });
    assert_eq!(asks_as_another(&lines).map(|line| line.number), Some(3));
    assert_eq!(asks_as_another(&read_lines()), None);
    let found = judged(&lines, &format!("{GOOD}pamservicename sshd\n"), true);
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((found.severity, found.id), (Severity::Open, "sshd-pam"));
    let Fix::Command(fix) = &found.fix else { panic!("{found:?}") };
    assert!(fix.starts_with("sed -i --follow-symlinks -e '3d' "), "{fix}");
}

#[test]
fn no_mend_takes_the_keys_of_another_command_away() {
    let other = GOOD.replace("/usr/bin/authkeys %u %t %k", "/usr/bin/userdbctl ssh-authorized-keys %u");
    for (told, severity) in [(GOOD.to_string(), "warning"), (other, "lock-out")] {
        let findings = found_where(true, &told);
        let found = findings.iter().find(|finding| finding.id == "sshd-command").expect("it is told");
        let Fix::Command(fix) = &found.fix else { panic!("{:?}", found.fix) };
        assert_eq!(found.severity.to_string(), severity);
        assert!(fix.starts_with("printf '%s\\n' '' '[[keys.chain]]' "), "{fix}");
    }
}

#[test]
fn penalties_that_cost_nobody_behind_a_bastion_are_not_told() {
    for quiet in ["no", "crash:90 authfail:0", "authfail:5\npersourcepenaltyexemptlist 192.0.2.1"] {
        assert_eq!(found(&format!("{GOOD}persourcepenalties {quiet}\n")), [MATCH], "{quiet}");
    }
}

#[test]
fn a_match_block_by_place_may_be_for_root_unless_it_names_others() {
    let told = |criteria| may_match(criteria, "root");
    assert!(["Address 10.0.0.0/8", "user=r* Host *.example.com", "LocalPort 22"].into_iter().all(told));
    assert!(!["User root,!r* Address *", "User alice Address *", "Group sudo"].into_iter().any(told));
}

#[test]
fn a_key_is_accepted_by_the_algorithms_of_its_type() {
    let settings = Settings::parse("pubkeyacceptedalgorithms ssh-rsa-cert-v01@openssh.com,rsa-sha2-512\n");
    let told = |line| settings.accepts(line);
    assert_eq!(["from=\"a b\" ssh-rsa AAAA", "ssh-new AAAA"].map(told), [true, true]);
    assert_eq!(["ssh-ed25519 AAAA x", "ecdsa-sha2-nistp256 AAAA"].map(told), [false, false]);
    assert!(Settings::default().accepts("ssh-ed25519 AAAA"));
}

#[test]
fn files_of_keys_are_found_by_their_pattern() {
    let settings = Settings::parse("authorizedkeysfile .ssh/a /k/%u %h/b none");
    assert_eq!(settings.key_files("root", "/root"), ["/root/.ssh/a", "/k/root", "/root/b"]);
}
