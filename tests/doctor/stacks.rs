//! PAM's stacks: what lets somebody through or locks somebody out is named by its line.

use harness::suite::Suite;
use serde_json::Value;

use super::After::{Advice, Fix};
use super::{ask, case, each, suite, word};

#[test]
fn a53_stacks_that_let_through_or_lock_out_are_named_by_their_line() {
    each(&[
        case(
            "sed -i 's/^account required pam_oncall/account sufficient pam_oncall/' /etc/pam.d/sshd",
            "open pam-soft",
            "/etc/pam.d/sshd#account sufficient pam_oncall",
            Fix,
        ),
        // As several packages write their own modules: a denial becomes "ask the next one".
        case(
            "sed -i 's/^account required pam_oncall/account [success=ok default=ignore] pam_oncall/' /etc/pam.d/sudo",
            "open pam-soft",
            "/etc/pam.d/sudo#account [success",
            Fix,
        ),
        case(
            "sed -i 's/^account required pam_oncall/account optional pam_oncall/' /etc/pam.d/sudo-i",
            "open pam-soft",
            "/etc/pam.d/sudo-i#account optional pam_oncall",
            Fix,
        ),
        case(
            "sed -i 's/^session requisite pam_oncall/session optional pam_oncall/' /etc/pam.d/sshd",
            "open pam-soft",
            "/etc/pam.d/sshd#session optional pam_oncall",
            Fix,
        ),
        case("sed -i /pam_oncall/d /etc/pam.d/sudo", "open pam-missing", "/etc/pam.d/sudo", Fix),
        case("sed -i /pam_oncall/d /etc/pam.d/sshd", "open pam-missing", "/etc/pam.d/sshd", Fix),
        // `sudo -i` has a stack of its own, and without one it has that of every unknown service.
        case("rm /etc/pam.d/sudo-i", "open pam-missing", "/etc/pam.d/other", Fix),
        case(
            "sed -i '1i account sufficient pam_localuser.so' /etc/pam.d/sudo",
            "open pam-order",
            "/etc/pam.d/sudo#pam_localuser",
            Fix,
        ),
        case(
            "sed -i '/^account.*pam_oncall/i account [success=1 default=ignore] pam_succeed_if.so quiet user ingroup adm' /etc/pam.d/sudo",
            "open pam-order",
            "/etc/pam.d/sudo#pam_succeed_if",
            Fix,
        ),
        case(
            "sed -i -e /pam_oncall/d -e '/common-account/a account required pam_oncall.so' /etc/pam.d/sudo",
            "open pam-order",
            "/etc/pam.d/common-account#pam_unix",
            Fix,
        ),
        case(
            "sed -i '/common-account/d' /etc/pam.d/sudo",
            "lock-out pam-refuses",
            "/etc/pam.d/sudo#account required pam_oncall",
            Fix,
        ),
        case(
            "sed -i 's/^@include common-account/account required pam_permit.so/' /etc/pam.d/sudo",
            "open pam-unix",
            "/etc/pam.d/sudo#account required pam_oncall",
            Fix,
        ),
        case(
            "sed -i 's/^@include common-account/@include common-acount/' /etc/pam.d/sudo",
            "lock-out pam-include",
            "/etc/pam.d/sudo#common-acount",
            Advice("put common-acount back", "true"),
        ),
        // Measured: from a stack with CR LF libpam lets nobody in; "Module is unknown", or "Critical error" for an include.
        case("sed -i '/^[^#]/s/$/\\r/' /etc/pam.d/sshd", "lock-out pam-cr", "/etc/pam.d/sshd#@include", Fix),
        case(
            "sed -i '/pam_oncall/s/$/\\r/' /etc/pam.d/sudo",
            "lock-out pam-cr",
            "/etc/pam.d/sudo#pam_oncall",
            Fix,
        ),
        case(
            "sed -i 's/pam_unix.so *$/pam_unix.so\\r/' /etc/pam.d/common-account",
            "lock-out pam-cr",
            "/etc/pam.d/common-account#pam_unix",
            Fix,
        ),
        case(
            "sed -i 's/ shared=session//' /etc/pam.d/sshd",
            "lock-out pam-shared",
            "/etc/pam.d/sshd#account required pam_oncall",
            Fix,
        ),
        // A robot in a guarded account, and nobody else who would need the word.
        case(
            "sed -i '/^.*policy.shared_account/,$d' /etc/authkeys/config.toml && echo PermitRootLogin no >>/etc/ssh/sshd_config.d/10-authkeys.conf && \
             printf '[[policy.automation]]\\naccount = \"alice\"\\nkeys = [\"%s\"]\\nfrom = [\"127.0.0.1\"]\\nowner = \"ops\"\\nreason = \"deploy\"\\nuntil = 2099-01-01\\n' \"$(cat /root/keys/dave.pub)\" >>/etc/authkeys/config.toml && \
             sed -i 's/ shared=session//' /etc/pam.d/sshd",
            "lock-out pam-shared",
            "/etc/pam.d/sshd#account required pam_oncall",
            Fix,
        ),
        case(
            "sed -i '/^session requisite pam_oncall/d' /etc/pam.d/sshd",
            "open pam-session",
            "/etc/pam.d/sshd#account required pam_oncall",
            Fix,
        ),
        case(
            "sed -i 's/pam_oncall.so$/pam_oncall.so debug/' /etc/pam.d/sudo",
            "lock-out pam-word",
            "/etc/pam.d/sudo#account required pam_oncall.so debug",
            Fix,
        ),
        case(
            "sed -i 's,pam_oncall.so$,pam_oncall.so config=/etc/authkeys/strict.toml,' /etc/pam.d/sudo",
            "warning pam-config",
            "/etc/pam.d/sudo#account required pam_oncall.so config",
            Fix,
        ),
        // The package is gone, and its lines are not.
        case(
            "for m in /usr/lib/*/security/pam_oncall.so; do mv $m $m.off; done",
            "lock-out pam-module",
            "/etc/pam.d/sshd#account required pam_oncall",
            Advice(
                "install the suite again",
                "for m in /usr/lib/*/security/pam_oncall.so; do true; done; for m in /usr/lib/*/security/pam_oncall.so.off; do mv $m ${m%.off}; done",
            ),
        ),
        case(
            "for m in /usr/lib/*/security/pam_oncall.so; do cp $m /run/suite/module; printf '\\003\\000' | dd of=$m bs=1 seek=18 conv=notrunc 2>/dev/null; done",
            "lock-out pam-module",
            "/etc/pam.d/sshd#account required pam_oncall",
            Advice(
                "install the suite again",
                "for m in /usr/lib/*/security/pam_oncall.so; do cp /run/suite/module $m; done",
            ),
        ),
        // An upgrade that left a function out.
        case(
            "for m in /usr/lib/*/security/pam_oncall.so; do sed -i 's/pam_sm_open_session/pam_sm_open_sessiom/g' $m; done",
            "lock-out pam-module",
            "/etc/pam.d/sshd#account required pam_oncall",
            Advice(
                "install the suite again",
                "for m in /usr/lib/*/security/pam_oncall.so; do cp /run/suite/module $m; done",
            ),
        ),
        case(
            "sed -i 's/^@include common-auth/auth required pam_permit.so/' /etc/pam.d/su",
            "open pam-auth",
            "/etc/pam.d/su#pam_permit",
            Advice("replace it with pam_unix.so", "true"),
        ),
        case(
            "echo root:secret | chpasswd && sed -i /pam_oncall/d /etc/pam.d/su",
            "open pam-missing",
            "/etc/pam.d/su",
            Advice("account required pam_oncall.so", "true"),
        ),
        case(
            "sed -i -e /pam_oncall/d -e '1i auth sufficient pam_wheel.so trust' /etc/pam.d/su",
            "open pam-missing",
            "/etc/pam.d/su",
            Fix,
        ),
        case(
            "cp /etc/pam.d/other /etc/pam.d/cockpit",
            "warning pam-door",
            "/etc/pam.d/cockpit",
            Advice("pam_listfile", "rm /etc/pam.d/cockpit /etc/security/authkeys-not-here"),
        ),
        // The command keeps out everybody who is guarded, not only root, and names one who is new.
        case(
            "cp /etc/pam.d/other /etc/pam.d/cockpit && echo root >/etc/security/authkeys-not-here && \
             sed -i '1i account requisite pam_listfile.so onerr=fail item=user sense=deny file=/etc/security/authkeys-not-here' /etc/pam.d/cockpit",
            "warning pam-door",
            "/etc/pam.d/cockpit",
            Advice(" alice bob ", "rm /etc/pam.d/cockpit /etc/security/authkeys-not-here"),
        ),
        // A file that comes with login is a door where a program asks by it.
        case(
            "cp /etc/pam.d/other /etc/pam.d/remote && touch /usr/sbin/in.telnetd",
            "warning pam-door",
            "/etc/pam.d/remote",
            Advice("pam_listfile", "rm /usr/sbin/in.telnetd /etc/security/authkeys-not-here"),
        ),
        case(
            "cp /etc/pam.d/other /etc/pam.d/xrdp-sesman && echo root:secret | chpasswd",
            "open pam-door",
            "/etc/pam.d/xrdp-sesman",
            Advice("pam_listfile", "rm /etc/pam.d/xrdp-sesman /etc/security/authkeys-not-here"),
        ),
    ]);
}

#[test]
fn what_keeps_everybody_out_of_a_stack_is_named() {
    each(&[
        case(
            "sed -i '1i -account required pam_absent.so' /etc/pam.d/sudo",
            "lock-out pam-absent",
            "/etc/pam.d/sudo#pam_absent",
            Advice("install the package that has pam_absent.so", "true"),
        ),
        case(
            "sed -i '1i session requisite pam_absent.so' /etc/pam.d/sshd",
            "lock-out pam-absent",
            "/etc/pam.d/sshd#pam_absent",
            Advice("or remove the line", "true"),
        ),
        // Measured: `account include` of such a line refuses everybody, and in auth it refuses everybody who has to prove anything.
        case(
            "sed -i 's/^@include common-auth/@includes common-auth/' /etc/pam.d/sudo",
            "lock-out pam-line",
            "/etc/pam.d/sudo#@includes",
            Advice("`@include`", "true"),
        ),
        case(
            "printf '@account-lines\n' >/etc/pam.d/ours && sed -i '1i account include ours' /etc/pam.d/sudo",
            "lock-out pam-line",
            "/etc/pam.d/ours#@account-lines",
            Advice("remove the line", "rm /etc/pam.d/ours"),
        ),
        case(
            "sed -i '/^account required pam_oncall/a account [success=ok ignore=ignore user_unknown=9 default=bad] pam_localuser.so' /etc/pam.d/sudo",
            "lock-out pam-jump",
            "/etc/pam.d/sudo#pam_localuser",
            Advice("count the lines", "true"),
        ),
        // The word in an included file, and the line that it promises in sshd's own: one command brings both.
        case(
            "sed -e 's/ shared=session//' -e '/^session requisite pam_oncall/d' /etc/pam.d/sshd >/etc/pam.d/all && \
             printf '@include all\n' >/etc/pam.d/sshd",
            "lock-out pam-shared",
            "/etc/pam.d/all#account required pam_oncall",
            Fix,
        ),
        // Without an account line of its own it is `other` that decides.
        case(
            "printf 'auth required pam_unix.so\n' >/etc/pam.d/sudo",
            "open pam-missing",
            "/etc/pam.d/sudo",
            Fix,
        ),
        case(
            "printf 'account sufficient pam_localuser.so\n@include common-account\n' >/etc/pam.d/sudo",
            "open pam-missing",
            "/etc/pam.d/sudo",
            Fix,
        ),
    ]);
}

/// dpkg keeps the configuration of a package that is removed and not purged. No program asks by it any more.
#[test]
fn what_is_left_of_a_removed_package_is_no_door() {
    let suite = suite();
    suite.host.must("cp /etc/pam.d/other /etc/pam.d/vsftpd");
    let is_told = || ask(&suite).findings.iter().any(|one| word(one, "what").starts_with("vsftpd: "));
    assert!(is_told());
    let left = "\nPackage: vsftpd\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 3\nMaintainer: x\nConffiles:\n /etc/pam.d/vsftpd 0123456789abcdef0123456789abcdef\nDescription: x\n";
    suite.host.must(&format!("printf '{left}' >>/var/lib/dpkg/status"));
    assert!(!is_told());
}

/// Where libpam does not mind a carriage return, nothing is told of it: alice gets in, and bob does not.
#[test]
fn carriage_returns_that_libpam_passes_over_are_passed_over() {
    let suite = suite();
    let sudo = suite.host.read("/etc/pam.d/sudo");
    for (line, is_minded) in [
        ("\r", false),
        ("# account required pam_unix.so\r", false),
        ("account required pam_unix.so broken_shadow\r", false),
        ("account required pam_unix.so # x\r", false),
        ("session optional pam_lastlog.so\r", false),
        ("account required pam_unix.so\r", true),
        ("@include common-account\r", true),
        ("account required pam_unix.so \\\r", false),
        ("account required \\\r\n  pam_unix.so\r", true),
    ] {
        suite.host.write("/etc/pam.d/sudo", format!("{sudo}\n{line}\n"), 0o644);
        assert_eq!((passes(&suite, "alice"), passes(&suite, "bob")), (!is_minded, false), "{line:?}");
        let told = ask(&suite);
        let is_told = told.findings.iter().any(|finding| word(finding, "id") == "pam-cr");
        assert_eq!(is_told, is_minded, "{line:?}: {}", told.lines());
    }
}

/// Who passes sudo's account stack by libpam itself: alice, who is on call, and bob, who is not.
fn passes(suite: &Suite, person: &str) -> bool {
    suite.host.sh(&format!("pamtester -I ruser={person} sudo {person} acct_mgmt")).status.success()
}

#[test]
fn what_is_said_of_a_stack_is_what_libpam_does() {
    let suite = suite();
    let common = "@include common-account\n";
    let ours = "account required pam_oncall.so\n";
    suite.host.write(
        "/etc/pam.d/inner",
        "account sufficient pam_debug.so acct=success\naccount required pam_deny.so\n",
        0o644,
    );
    for (stack, open, locked) in [
        (format!("{ours}{common}"), false, false),
        (format!("account requisite pam_oncall.so\n{common}"), false, false),
        (format!("account [success=ok ignore=ignore default=die] pam_oncall.so\n{common}"), false, false),
        (format!("-account required pam_oncall.so\n{common}"), false, false),
        (format!("account sufficient pam_oncall.so\n{common}"), true, false),
        (format!("account optional pam_oncall.so\n{common}"), true, false),
        (format!("account [default=ignore] pam_oncall.so\n{common}"), true, false),
        (format!("account [success=ok] pam_oncall.so\n{common}"), false, false),
        (format!("account requird pam_oncall.so\n{common}"), false, true),
        (format!("{ours}account requird pam_unix.so\n"), false, true),
        (format!("{ours}account required pam_deny.so\n"), false, true),
        (format!("{ours}account include gone\n"), false, true),
        (format!("account sufficient pam_debug.so acct=success\n{ours}{common}"), true, false),
        (
            format!("account [success=1 default=ignore] pam_debug.so acct=success\n{ours}{common}"),
            true,
            false,
        ),
        (
            format!("account [success=9 default=ignore] pam_debug.so acct=success\n{ours}{common}"),
            false,
            true,
        ),
        (format!("{ours}account [default=reset] pam_debug.so acct=success\n{common}"), true, false),
        (format!("account substack inner\n{ours}{common}"), false, false),
        (format!("account include inner\n{ours}{common}"), true, false),
        (format!("{ours}account substack inner\n{common}"), false, false),
        (format!("account substack common-account\n{ours}"), false, false),
        (format!("{ours}account \\\n  required pam_unix.so # {common}"), false, false),
        (format!("{ours}@include common-account\r\n"), false, true),
        (format!("account required pam_oncall.so\r\n{common}"), false, true),
        (format!("{ours}account required pam_unix.so\r\n"), false, true),
        (format!("{ours}account required\u{a0}pam_unix.so\n{common}"), false, true),
        (format!("# of another system\r\n{ours}{common}"), false, false),
    ] {
        suite.host.write("/etc/pam.d/sudo", &stack, 0o644);
        let told = ask(&suite);
        let of_stack = |severity: &str| {
            let is_it = |finding: &&Value| {
                word(finding, "severity") == severity
                    && word(finding, "what").starts_with("sudo:")
                    && !["pam-unix", "pam-missing"].contains(&word(finding, "id"))
            };
            told.findings.iter().any(|finding| is_it(&finding))
        };
        assert_eq!((passes(&suite, "bob"), !passes(&suite, "alice")), (open, locked), "libpam:\n{stack}");
        // A stack may let in, or refuse, by other answers than those that it gave here: then doctor says more.
        assert!(!open || of_stack("open"), "{stack}\n{}", told.lines());
        assert!(!locked || of_stack("lock-out") || of_stack("open"), "{stack}\n{}", told.lines());
        if !open && !locked {
            let soft = stack.contains("[success=ok] pam_oncall");
            assert_eq!(of_stack("open") || of_stack("lock-out"), soft, "{stack}\n{}", told.lines());
        }
    }
}
