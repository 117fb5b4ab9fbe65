//! Stacks that are right, and the same with one thing wrong.

use std::collections::BTreeMap;

use super::super::finding::Fix;
use super::stack::Reader;
use super::*;

const COMMON: &str = "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n";
const SSHD: &str = "account required pam_nologin.so\naccount required pam_oncall.so shared=session\n@include common-account\nsession requisite pam_oncall.so\nsession required pam_limits.so\n";
const SUDO: &str = "account required pam_oncall.so\n@include common-account\n";

fn files(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let usual = [
        ("sshd", SSHD),
        ("sudo", SUDO),
        ("su", SUDO),
        ("su-l", "account include su\n"),
        ("common-account", COMMON),
    ];
    let all = usual.iter().chain(changes);
    all.map(|(name, text)| (format!("/etc/pam.d/{name}"), text.to_string())).collect()
}

/// A host with these stacks, and with every module but `pam_absent.so`.
fn pam<'a>(read: Reader<'a>, services: &'a [String]) -> Pam<'a> {
    Pam {
        read,
        has: &|_| false,
        is_left_over: &|_| false,
        has_module: &|name| name != "pam_absent.so",
        services,
        config: "/etc/authkeys/config.toml",
        has_shared: true,
        robots: Vec::new(),
        is_ready: true,
        guarded: vec!["root"],
        with_password: Vec::new(),
        administrators: Vec::new(),
    }
}

fn told(changes: &[(&str, &str)], with_password: Vec<&str>) -> Vec<(String, String, String)> {
    let files = files(changes);
    let services = ["sshd", "sudo", "su", "su-l"].map(String::from);
    let read = |path: &str| files.get(path).cloned();
    let pam = Pam { with_password, ..pam(&read, &services) };
    let tell = |finding: Finding| {
        let (Fix::Command(fix) | Fix::Advice(fix)) = finding.fix;
        let place = finding.place.map(|place| place.to_string()).unwrap_or_default();
        (
            format!("{} {}", finding.severity, finding.id),
            place.replace("/etc/pam.d/", ""),
            fix.replace("sed -i --follow-symlinks ", "").replace("/etc/pam.d/", ""),
        )
    };
    check(&pam).into_iter().map(tell).collect()
}

fn one(name: &str, text: &str) -> (String, String, String) {
    let all = told(&[(name, text)], vec![]);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.into_iter().next().unwrap()
}

fn expected(id: &str, place: &str, fix: &str) -> (String, String, String) {
    (id.to_string(), place.to_string(), fix.to_string())
}

#[test]
fn stacks_that_are_right_are_passed_over() {
    assert_eq!(told(&[], vec!["root"]), []);
    // As RHEL writes it.
    let includes = "account required pam_oncall.so\naccount include system-auth\n";
    let auth = "account required pam_unix.so broken_shadow\naccount sufficient pam_localuser.so\naccount [default=bad success=ok user_unknown=ignore] pam_sss.so\naccount required pam_permit.so\n";
    assert_eq!(told(&[("sudo", includes), ("system-auth", auth)], vec![]), []);
}

#[test]
fn a53_soft_lines_are_named_and_made_hard() {
    for word in [
        "sufficient",
        "optional",
        "[default=ignore]",
        "[success=ok ignore=ignore perm_denied=ignore default=bad]",
    ] {
        let found = one("sudo", &format!("# x\naccount {word} pam_oncall.so\n@include common-account\n"));
        assert_eq!(
            found,
            expected("open pam-soft", "sudo:2", "-e '2,2c account required pam_oncall.so' sudo"),
            "{word}"
        );
    }
    let found = one("sshd", &SSHD.replace("session requisite", "session optional"));
    assert_eq!(found, expected("open pam-soft", "sshd:4", "-e '4,4c session requisite pam_oncall.so' sshd"));
}

#[test]
fn lines_that_can_end_the_stack_before_ours_are_named() {
    let found = one(
        "sudo",
        "account sufficient pam_localuser.so\naccount required pam_oncall.so\n@include common-account\n",
    );
    assert_eq!(
        found,
        expected("open pam-order", "sudo:1", "-e '1i account required pam_oncall.so' -e '2,2d' sudo")
    );
    let found = one(
        "sudo",
        "account [success=1 default=ignore] pam_succeed_if.so user ingroup ops\naccount required pam_oncall.so\n@include common-account\n",
    );
    assert_eq!((found.0.as_str(), found.1.as_str()), ("open pam-order", "sudo:1"));
    // Debian's common-account ends the stack where a password has to be changed.
    let found = one("sudo", "@include common-account\naccount required pam_oncall.so\n");
    assert_eq!(
        found,
        expected(
            "open pam-order",
            "common-account:1",
            "-e '1i account required pam_oncall.so' -e '2,2d' sudo"
        )
    );
}

#[test]
fn a53_a_stack_without_pam_unix_is_named() {
    let found = one("sudo", "account required pam_oncall.so\n");
    assert_eq!(
        found,
        expected("lock-out pam-refuses", "sudo:1", "-e '1a account required pam_unix.so' sudo")
    );
    let found = one("sudo", "account required pam_oncall.so\naccount required pam_permit.so\n");
    assert_eq!(found, expected("open pam-unix", "sudo:1", "-e '1a account required pam_unix.so' sudo"));
    let found = one("sudo", "account required pam_oncall.so\naccount requird pam_unix.so\n");
    assert_eq!((found.0.as_str(), found.1.as_str()), ("lock-out pam-refuses", "sudo:1"));
    let found = one("sudo", "account required pam_oncall.so\naccount include gone\n");
    assert_eq!((found.0.as_str(), found.1.as_str()), ("lock-out pam-include", "sudo:2"));
}

#[test]
fn a_module_that_is_not_there_is_named_where_nobody_passes_without_it() {
    for (line, is_named) in [
        ("account required pam_absent.so", true),
        ("-account requisite pam_absent.so", true),
        ("account [default=bad success=ok user_unknown=ignore] pam_absent.so", true),
        ("account optional pam_absent.so", false),
        ("account sufficient pam_absent.so", false),
        ("account [default=bad success=ok module_unknown=ignore] pam_absent.so", false),
        ("password required pam_absent.so", false),
        ("-session required pam_absent.so", true),
        ("-session optional pam_absent.so", false),
        ("auth requisite pam_absent.so", true),
    ] {
        let text = format!("{SUDO}auth required pam_unix.so\nsession required pam_limits.so\n{line}\n");
        let found = told(&[("sudo", &text)], vec![]);
        let ids: Vec<&str> = found.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(ids, if is_named { vec!["lock-out pam-absent"] } else { vec![] }, "{line}");
    }
}

#[test]
fn a_jump_beyond_the_end_is_named() {
    let jump = "account [success=ok ignore=ignore user_unknown=4 default=bad] pam_sss.so\n";
    let found = one("sudo", &format!("account required pam_oncall.so\n{jump}@include common-account\n"));
    assert_eq!((found.0.as_str(), found.1.as_str()), ("lock-out pam-jump", "sudo:2"));
}

#[test]
fn a_missing_line_matters_by_what_can_be_entered_there() {
    let found =
        one("sudo", "auth required pam_unix.so\n@include common-account\nsession required pam_x.so\n");
    assert_eq!(
        found,
        expected(
            "open pam-missing",
            "sudo",
            "-e '2i account required pam_oncall.so' -e '3i session optional pam_oncall.so' sudo"
        )
    );
    // Before what ends the stack, and where no line of the stack speaks, silent.
    let found = one("sudo", "account sufficient pam_unix.so\nsession required pam_x.so\n");
    assert_eq!(
        found.2,
        "-e '1i account [success=ignore ignore=ignore default=die] pam_oncall.so' -e '2i session optional pam_oncall.so' sudo"
    );
    // `other` decides for a stack without such lines, and goes on doing so.
    let changes = [("sudo", "auth required pam_unix.so\n"), ("other", "@include common-account\n")];
    let found = told(&changes, vec![]);
    let [found] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(found.0, "open pam-missing");
    assert!(found.2.starts_with("-e '$a account required pam_oncall.so' -e '$a account include other"));
    let found = one(
        "sshd",
        &SSHD
            .replace("account required pam_oncall.so shared=session\n", "")
            .replace("session requisite pam_oncall.so\n", ""),
    );
    assert_eq!(
        found,
        expected(
            "open pam-missing",
            "sshd",
            "-e '2i account required pam_oncall.so shared=session' -e '3i session requisite pam_oncall.so' sshd"
        )
    );
    // su-l includes su: one line fixes both.
    let su = "@include common-account\n";
    assert_eq!(one("su", su).0, "note pam-missing");
    assert_eq!(told(&[("su", su)], vec!["root"])[0].0, "open pam-missing");
    let trusting = "auth sufficient pam_wheel.so trust\n@include common-account\n";
    assert_eq!(one("su", trusting).0, "open pam-missing");
    assert_eq!(told(&[("su", "account required pam_deny.so\n")], vec!["root"]), []);
}

#[test]
fn the_two_lines_of_sshd_belong_together() {
    let found = one("sshd", &SSHD.replace("session requisite pam_oncall.so\n", ""));
    assert_eq!(found, expected("open pam-session", "sshd:2", "-e '4i session requisite pam_oncall.so' sshd"));
    let found = one("sshd", &SSHD.replace(" shared=session", ""));
    assert_eq!(
        found,
        expected(
            "lock-out pam-shared",
            "sshd:2",
            "-e '2,2c account required pam_oncall.so shared=session' sshd"
        )
    );
    let found =
        one("sshd", &SSHD.replace(" shared=session", "").replace("session requisite pam_oncall.so\n", ""));
    assert_eq!(
        found.2,
        "-e '2,2c account required pam_oncall.so shared=session' -e '4i session requisite pam_oncall.so' sshd"
    );
}

#[test]
fn the_word_and_the_line_it_promises_come_together() {
    let all = "account required pam_oncall.so\n@include common-account\nsession required pam_limits.so\n";
    let found = told(&[("sshd", "@include all\n"), ("all", all)], vec![]);
    let [found] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(
        *found,
        expected(
            "lock-out pam-shared",
            "all:1",
            "-e '1i session requisite pam_oncall.so' sshd && sed -i --follow-symlinks -e '1,1c account required pam_oncall.so shared=session' all"
                .replace("sed -i --follow-symlinks ", "")
                .as_str()
        )
    );
}

#[test]
fn words_are_read() {
    let found = one("sudo", "account required pam_oncall.so debug shared=session\n@include common-account\n");
    assert_eq!(
        found,
        expected(
            "lock-out pam-word",
            "sudo:1",
            "-e '1,1c account required pam_oncall.so shared=session' sudo"
        )
    );
    let found = one("sudo", "account required pam_oncall.so config=/tmp/x\n@include common-account\n");
    assert_eq!(
        found,
        expected("warning pam-config", "sudo:1", "-e '1,1c account required pam_oncall.so' sudo")
    );
}

#[test]
fn a_stack_that_asks_for_no_proof_is_named() {
    let found = one("su", &format!("auth required pam_permit.so\n{SUDO}"));
    assert_eq!((found.0.as_str(), found.1.as_str()), ("open pam-auth", "su:1"));
    let debian = "auth sufficient pam_rootok.so\nauth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n";
    assert_eq!(told(&[("su", &format!("{debian}{SUDO}"))], vec![]), []);
}

#[test]
fn services_that_are_not_decided_for_are_doors() {
    let files = files(&[
        ("cockpit", COMMON),
        ("passwd", COMMON),
        ("other", "account required pam_deny.so\n"),
        ("xrdp-sesman", "account required pam_deny.so\n"),
    ]);
    let services = ["sshd".to_string()];
    let names = ["cockpit", "passwd", "other", "sshd", "xrdp-sesman"].map(String::from);
    let tell = |finding: &Finding| format!("{} {}", finding.severity, finding.what);
    let found = |with_password| -> Vec<String> {
        let read = |path: &str| files.get(path).cloned();
        let pam = Pam { with_password, ..pam(&read, &services) };
        doors(&pam, &names).iter().map(tell).collect()
    };
    assert_eq!(found(vec![]), ["warning cockpit: members of guarded groups get in, on call or not"]);
    assert_eq!(found(vec!["root"]), ["open cockpit: a password enters root, on call or not"]);
}

#[test]
fn members_that_no_file_lists_may_enter_by_a_door_with_a_list() {
    let line = "account requisite pam_listfile.so onerr=fail item=user sense=deny file=/etc/security/authkeys-not-here\n";
    let found = |stack: &str, nsswitch: &str| -> Vec<String> {
        let mut files = files(&[("cockpit", stack)]);
        files.insert("/etc/security/authkeys-not-here".to_string(), "root\n".to_string());
        files.insert("/etc/nsswitch.conf".to_string(), nsswitch.to_string());
        let services = ["sshd".to_string()];
        let read = |path: &str| files.get(path).cloned();
        let pam = pam(&read, &services);
        doors(&pam, &["cockpit".to_string()])
            .iter()
            .map(|finding| format!("{} {}", finding.severity, finding.what))
            .collect()
    };
    let listed = format!("{line}{COMMON}");
    for local in
        ["", "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd oncall # sss\nhosts: dns\n"]
    {
        assert_eq!(found(&listed, local), [""; 0]);
        assert_eq!(
            found(COMMON, local),
            ["warning cockpit: members of guarded groups get in, on call or not"]
        );
    }
    let sss = "passwd: sss files\ngroup: files [NOTFOUND=continue] sss ldap\n";
    let told =
        "members of guarded groups by ldap, sss in /etc/nsswitch.conf cannot be listed, and may get in";
    assert_eq!(
        found(&listed, sss),
        [format!("warning cockpit: keeps out the guarded accounts that are listed; {told}")]
    );
    let told = "members of guarded groups get in, on call or not; members by ldap, sss in /etc/nsswitch.conf cannot be listed";
    assert_eq!(found(COMMON, sss), [format!("warning cockpit: {told}")]);
    assert_eq!(found("account required pam_deny.so\n", sss), [""; 0]);
}

#[test]
fn a_module_that_cannot_be_loaded_locks_out_or_opens() {
    let files = files(&[]);
    let soft = super::tests::files(&[(
        "sudo",
        "account [module_unknown=ignore default=bad success=ok ignore=ignore] pam_oncall.so\n@include common-account\n",
    )]);
    let services = ["sudo".to_string()];
    let found = |files: &BTreeMap<String, String>, stat, is_our_kind| {
        let read = |path: &str| files.get(path).cloned();
        let pam = Pam { guarded: vec![], ..pam(&read, &services) };
        let state = Module { path: "/m".to_string(), stat, is_our_kind, lacks: vec![] };
        module(&pam, &state).map(|finding| (finding.severity, finding.place.unwrap().to_string()))
    };
    let stat = super::super::machine::Stat { uid: 0, gid: 0, mode: 0o644, is_directory: false };
    assert_eq!(found(&files, Some(stat), true), None);
    assert_eq!(found(&files, None, false), Some((Severity::LockOut, "/etc/pam.d/sudo:1".to_string())));
    assert_eq!(found(&files, Some(stat), false), Some((Severity::LockOut, "/etc/pam.d/sudo:1".to_string())));
    assert_eq!(found(&soft, None, false), Some((Severity::Open, "/etc/pam.d/sudo:1".to_string())));
    let writable = super::super::machine::Stat { mode: 0o666, ..stat };
    assert_eq!(found(&files, Some(writable), true), Some((Severity::Open, "/m".to_string())));
}
