//! Ways to root that ask nobody, and accounts that open to nobody.

use harness::suite::CONFIG;
use harness::text;
use serde_json::Value;

use super::After::{Advice, Fix};
use super::{CONFIG_FILE, ask, case, each, put_back, suite, word};

#[test]
fn sudo_and_polkit_that_ask_nobody_and_people_whom_sudo_will_refuse_are_named() {
    each(&[
        // Measured: sudo gives root although PAM says no.
        case(
            "echo 'Defaults env_reset, !pam_acct_mgmt' >>/etc/sudoers",
            "open sudo-pam",
            "/etc/sudoers#pam_acct_mgmt",
            Fix,
        ),
        case(
            "echo 'Defaults:%sudo pam_service=other' >/etc/sudoers.d/zz && chmod 440 /etc/sudoers.d/zz",
            "open sudo-pam",
            "/etc/sudoers.d/zz#pam_service",
            Fix,
        ),
        case(
            "echo 'Defaults: %sudo , bob ! pam_acct_mgmt' >/etc/sudoers.d/zz && chmod 440 /etc/sudoers.d/zz",
            "open sudo-pam",
            "/etc/sudoers.d/zz#pam_acct_mgmt",
            Fix,
        ),
        // In a file that sudo finds by the name of the host.
        case(
            "echo 'Defaults !pam_acct_mgmt' >/etc/sudoers.$(hostname -s) && chmod 440 /etc/sudoers.$(hostname -s) && echo '@include /etc/sudoers.%h' >>/etc/sudoers",
            "open sudo-pam",
            "/etc/sudoers",
            Advice("the sources of `sudoers:`", "rm /etc/sudoers.$(hostname -s); sed -i '$d' /etc/sudoers"),
        ),
        // Measured: `sudo -A` gives root.
        case(
            "echo 'Defaults pam_askpass_service=other' >/etc/sudoers.d/zz && chmod 440 /etc/sudoers.d/zz",
            "open sudo-pam",
            "/etc/sudoers.d/zz#pam_askpass_service",
            Fix,
        ),
        // Measured: sudo refuses everybody.
        case("echo 'Defaults !pam_ruser' >>/etc/sudoers", "lock-out sudo-pam", "/etc/sudoers#pam_ruser", Fix),
        case(
            "useradd -r nagios && echo 'nagios ALL=(root) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/zz",
            "warning sudo-refused",
            "/etc/sudoers.d/zz#nagios",
            Advice("account = \"nagios\"", "userdel nagios; rm /etc/sudoers.d/zz"),
        ),
        case(
            "echo 'dave ALL=(ALL) ALL' >>/etc/sudoers.d/team",
            "warning sudo-refused",
            "/etc/sudoers.d/team#dave",
            Advice("eligible group", "true"),
        ),
        case(
            "groupadd admins && usermod -a -G admins dave && printf 'Cmnd_Alias ANY = ALL\\n%%admins ALL = (ALL) \\\\\\n  ANY\\n' >>/etc/sudoers.d/team",
            "warning sudo-group",
            "/etc/sudoers.d/team#%admins",
            Advice("\"admins\"", "true"),
        ),
        case(
            "echo 'ALL ALL=(ALL) ALL' >>/etc/sudoers.d/team",
            "warning sudo-everybody",
            "/etc/sudoers.d/team#ALL ALL=",
            Advice("name a group", "true"),
        ),
        // sudo skips files with a dot in their name, and says nothing.
        case(
            "cp /etc/sudoers.d/team /etc/sudoers.d/team.conf",
            "warning sudoers-skipped",
            "/etc/sudoers.d/team.conf",
            Advice("team-conf", "rm /etc/sudoers.d/team.conf"),
        ),
        // Measured: sudo reads a file of mode 0644, which visudo does not like, and none that all can write.
        case("chmod 644 /etc/sudoers.d/team", "warning sudoers", "/etc/sudoers.d/team", Fix),
        case("chmod 666 /etc/sudoers.d/team", "lock-out sudoers", "/etc/sudoers.d/team", Fix),
        case("chown dave /etc/sudoers.d/team", "lock-out sudoers", "/etc/sudoers.d/team", Fix),
        case(
            "chmod 644 /etc/sudoers.d/team; echo 'alice ALL=(ALL ALL' >>/etc/sudoers.d/team",
            "lock-out sudoers",
            "/etc/sudoers.d/team#(ALL ALL",
            Advice("visudo", "true"),
        ),
        case(
            "echo 'polkit.addRule(function(a, s) { return polkit.Result.YES; });' >/etc/polkit-1/rules.d/10-ops.rules",
            "open polkit-yes",
            "/etc/polkit-1/rules.d/10-ops.rules#YES",
            Advice("AUTH_ADMIN", "rm /etc/polkit-1/rules.d/10-ops.rules"),
        ),
        case(
            "printf 'polkit.addRule(function(a, s) {\\n  if (a.id == \"org.freedesktop.machine1.host-shell\") { return polkit.Result.YES; }\\n});\\n' >/etc/polkit-1/rules.d/10-ops.rules",
            "open polkit-yes",
            "/etc/polkit-1/rules.d/10-ops.rules#YES",
            Advice("AUTH_ADMIN", "sed -i s/YES/AUTH_ADMIN/ /etc/polkit-1/rules.d/10-ops.rules"),
        ),
        case(
            "printf 'polkit.addRule(function(a, s) {\\n  if (a.id == \"org.freedesktop.login1.reboot\") { return polkit.Result.YES; }\\n});\\n' >/etc/polkit-1/rules.d/10-ops.rules",
            "warning polkit-yes",
            "/etc/polkit-1/rules.d/10-ops.rules#YES",
            Advice("AUTH_ADMIN", "rm /etc/polkit-1/rules.d/10-ops.rules"),
        ),
        case(
            "mkdir -p /etc/polkit-1/localauthority/50-local.d && printf '[ops]\\nIdentity=unix-group:ops\\nAction=*\\nResultAny=yes\\n' >/etc/polkit-1/localauthority/50-local.d/ops.pkla",
            "open polkit-yes",
            "/etc/polkit-1/localauthority/50-local.d/ops.pkla#ResultAny",
            Advice("AUTH_ADMIN", "rm -r /etc/polkit-1/localauthority"),
        ),
    ]);
}

#[test]
fn hosts_that_nobody_would_get_into_are_named() {
    each(&[
        // Nothing that is written down elsewhere speaks against these.
        case(
            "usermod -p '$6$none' root && sed -i '1i account requisite pam_deny.so' /etc/pam.d/login",
            "lock-out way-in",
            "/etc/pam.d/login",
            Advice("journalctl", "usermod -p '!' root && sed -i 1d /etc/pam.d/login"),
        ),
        case(
            "sed -i '1i account requisite pam_deny.so' /etc/pam.d/sudo",
            "lock-out way-in",
            "/etc/pam.d/sudo",
            Advice("journalctl", "sed -i 1d /etc/pam.d/sudo"),
        ),
        case(
            "rm ~breakglass/.ssh/authorized_keys",
            "lock-out no-way-in",
            "/etc/authkeys/config.toml",
            Advice("breakglass ALL=(ALL:ALL) NOPASSWD: ALL", "true"),
        ),
        case(
            "true",
            "warning exempt-account",
            "/home/breakglass/.ssh/authorized_keys",
            Advice("exempt_accounts", "cp /root/keys/carol.pub ~breakglass/.ssh/authorized_keys"),
        ),
        case("usermod -s /usr/sbin/nologin breakglass", "warning exempt-account", "/etc/passwd", Fix),
        case("chage -E 2020-01-01 breakglass", "warning exempt-account", "/etc/shadow", Fix),
        case("chmod 777 ~breakglass/.ssh", "warning exempt-account", "/home/breakglass/.ssh", Fix),
        case("gpasswd -d breakglass sudo", "warning exempt-account", "/etc/sudoers", Fix),
        case(
            "echo 'PubkeyAcceptedAlgorithms rsa-sha2-512' >/etc/ssh/sshd_config.d/05-x.conf",
            "warning exempt-account",
            "/home/breakglass/.ssh/authorized_keys",
            Advice("PubkeyAcceptedAlgorithms", "true"),
        ),
        case(
            "echo 'DenyGroups sudo' >/etc/ssh/sshd_config.d/05-x.conf",
            "warning exempt-account",
            "/etc/ssh/sshd_config.d/05-x.conf#DenyGroups",
            Advice("add breakglass", "true"),
        ),
        case(
            "echo 'AllowGroups root' >/etc/ssh/sshd_config.d/05-x.conf",
            "lock-out no-way-in",
            "/etc/authkeys/config.toml",
            Advice("breakglass ALL=(ALL:ALL) NOPASSWD: ALL", "true"),
        ),
        case(
            "true",
            "warning oncall-account",
            "/etc/ssh/sshd_config.d/05-x.conf#AllowGroups",
            Advice("add alice", "rm /etc/ssh/sshd_config.d/05-x.conf"),
        ),
        case(
            "printf 'breakglass 2026-11-20T09:00:00Z root\\n' >/etc/authkeys/revoked",
            "warning exempt-account",
            "/etc/authkeys/config.toml",
            Fix,
        ),
        case(
            "rm -f /etc/sudoers.d/breakglass /etc/authkeys/revoked && sed -i 's/\"breakglass\"/\"break-glass\"/' /etc/authkeys/config.toml",
            "lock-out no-way-in",
            "/etc/authkeys/config.toml",
            Advice("exempt_accounts", "true"),
        ),
        case(
            "sed -i 's/\"breakglass\"/\"breakglass\", \"root\"/' /etc/authkeys/config.toml",
            "open root-exempt",
            "/etc/authkeys/config.toml",
            Advice("remove root", "true"),
        ),
        case(
            "sed -i '/^.*policy.shared_account/,$d' /etc/authkeys/config.toml",
            "warning no-shared-root",
            "/etc/authkeys/config.toml",
            Advice("policy.shared_account", "true"),
        ),
        case(
            "sed -i 's/^schedules = .*/&\\nhosts = [\"db*\"]/' /etc/authkeys/config.toml",
            "lock-out no-rule",
            "/etc/authkeys/config.toml",
            Advice("hosts", "true"),
        ),
        case(
            "sed -i 's/^exempt_accounts/mode = \"observe\"\\n&/' /etc/authkeys/config.toml",
            "warning observe",
            "/etc/authkeys/config.toml",
            Advice("enforce", "true"),
        ),
        case(
            "printf '[policy.end]\\naction = \"kill\"\\n' >>/etc/authkeys/config.toml",
            "warning end-untried",
            "/etc/authkeys/config.toml",
            Advice("for two weeks", "true"),
        ),
        case(
            "sqlite3 /var/lib/oncall-cache/roster.db \"DELETE FROM shift WHERE principal = 'alice'\"",
            "warning nobody-on-call",
            "/etc/authkeys/config.toml",
            Advice("oncall-cache who", "true"),
        ),
    ]);
}

/// Each of these is refused by the real sshd or sudo, and the command that is printed opens the account again.
#[test]
fn accounts_that_open_to_nobody_are_told_and_opened() {
    let suite = suite();
    let (passwd, shadow) = ("/etc/passwd", "/etc/shadow");
    for (breaks, found, file, account) in [
        ("chage -E 2020-01-01 root", "lock-out shared-account", shadow, "root"),
        ("chage -d 0 root", "lock-out shared-account", shadow, "root"),
        ("chage -d 2020-01-01 -M 90 root", "lock-out shared-account", shadow, "root"),
        ("usermod -s /usr/sbin/nologin root", "lock-out shared-account", passwd, "root"),
        ("chage -E 2020-01-01 alice", "warning oncall-account", shadow, "alice"),
        ("chage -d 0 alice", "warning oncall-account", shadow, "alice"),
        ("usermod -s /bin/zish alice", "warning oncall-account", passwd, "alice"),
        ("echo 'back soon' >/etc/nologin", "lock-out nologin", "/etc/nologin", "alice"),
        ("chmod u-s /usr/bin/sudo", "lock-out sudo-mode", "/usr/bin/sudo", "alice"),
        ("chown dave /usr/bin/sudo", "lock-out sudo-mode", "/usr/bin/sudo", "alice"),
    ] {
        let enters = || suite.ssh("alice", account, "sudo -n id -u");
        let before = enters();
        assert!(before.status.success(), "before {breaks}: {}", text(&before));
        suite.host.must(breaks);
        let refused = enters();
        assert!(!refused.status.success(), "{breaks}: {}", text(&refused));
        let told = ask(&suite);
        let is_it = |finding: &&Value| {
            format!("{} {}", word(finding, "severity"), word(finding, "id")) == found
                && word(finding, "file") == file
        };
        let finding = told.findings.iter().find(is_it);
        let finding = finding.unwrap_or_else(|| panic!("{breaks}: {}", told.lines()));
        assert_eq!(finding["is_command"], true, "{breaks}");
        suite.host.must(word(finding, "fix"));
        let after = ask(&suite);
        assert!(after.is_silent(), "{breaks}: {}", after.lines());
        let fixed = enters();
        assert!(fixed.status.success(), "after {}: {}", word(finding, "fix"), text(&fixed));
        put_back(&suite);
    }
}

/// What doctor says of an agent is written into config.toml word for word.
#[test]
fn an_agent_of_this_host_is_let_in_by_what_the_advice_says() {
    let suite = suite();
    suite.host.must(
        "useradd -m agent && echo 'agent ALL=(ALL) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/agent && chmod 440 /etc/sudoers.d/agent",
    );
    let told = ask(&suite);
    let finding = told.findings.iter().find(|finding| word(finding, "id") == "sudo-refused");
    let advice = word(finding.expect("it is told"), "fix").to_string();
    assert!(!suite.run_as("agent", "sudo -n id -u").status.success());
    let person = advice.find("; a person:").expect("the next kind of account");
    let lines: Vec<&str> = advice[..person].split('`').skip(1).step_by(2).collect();
    suite.host.write(CONFIG_FILE, format!("{CONFIG}\n{}\n", lines.join("\n")), 0o644);
    assert_eq!(suite.must_as("agent", "sudo -n id -u"), "0\n", "{lines:?}");
    let told = ask(&suite);
    assert!(told.is_silent(), "{}", told.lines());
    assert!(suite.host.must("oncall-cache config show").contains("account = \"agent\""));
}
