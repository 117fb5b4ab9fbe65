//! Files, users and configurations that are not as installed.

use harness::suite::{CONFIG, Suite};
use harness::text;

use super::After::{Advice, Fix};
use super::{ask, case, each, suite, word};

#[test]
fn files_and_users_that_are_not_as_installed_are_named_with_the_command_that_mends_them() {
    each(&[
        // The helper cannot pass a directory that is root's alone.
        case("chmod 700 /etc/authkeys", "lock-out file-mode", "/etc/authkeys", Fix),
        case("chmod 600 /etc/authkeys/config.toml", "lock-out file-mode", "/etc/authkeys/config.toml", Fix),
        case(
            "chmod 664 /etc/authkeys/config.toml",
            "lock-out config",
            "/etc/authkeys/config.toml",
            Advice("config check", "true"),
        ),
        case("chmod 664 /etc/authkeys/config.toml", "lock-out file-mode", "/etc/authkeys/config.toml", Fix),
        case("chown alice /etc/authkeys/rota.toml", "warning file-mode", "/etc/authkeys/rota.toml", Fix),
        case("chgrp root /var/lib/authkeys/keys.db", "lock-out file-mode", "/var/lib/authkeys/keys.db", Fix),
        case(
            "chmod 664 /var/lib/oncall-cache/roster.db",
            "lock-out file-mode",
            "/var/lib/oncall-cache/roster.db",
            Fix,
        ),
        // As a backup that root restores leaves them.
        case(
            "chown root:root /var/lib/oncall-cache/*",
            "warning file-mode",
            "/var/lib/oncall-cache/roster.lock",
            Advice("chown oncall-cache", "true"),
        ),
        case(
            "chown root /var/lib/oncall-cache/roster.lock",
            "warning file-mode",
            "/var/lib/oncall-cache/roster.lock",
            Fix,
        ),
        case(
            "chown root /var/lib/oncall-cache/roster.db",
            "warning file-mode",
            "/var/lib/oncall-cache/roster.db",
            Fix,
        ),
        case(
            "chown root /var/lib/oncall-cache/history.jsonl",
            "warning file-mode",
            "/var/lib/oncall-cache/history.jsonl",
            Fix,
        ),
        case(
            "chown root /var/lib/oncall-cache/status.json",
            "warning file-mode",
            "/var/lib/oncall-cache/status.json",
            Fix,
        ),
        case(
            "chown root /var/lib/authkeys/keys.lock",
            "warning file-mode",
            "/var/lib/authkeys/keys.lock",
            Fix,
        ),
        case("chown root /var/lib/authkeys/keys.db", "warning file-mode", "/var/lib/authkeys/keys.db", Fix),
        case("chown root /var/lib/oncall-cache", "lock-out file-mode", "/var/lib/oncall-cache", Fix),
        case("chmod 777 /usr/bin/oncall-cache", "open file-mode", "/usr/bin/oncall-cache", Fix),
        case(
            "rm /usr/libexec/authkeys/pam-probe",
            "warning pam-probe",
            "/usr/libexec/authkeys/pam-probe",
            Advice("install the suite again", "cp /run/suite/build/pam-probe /usr/libexec/authkeys/"),
        ),
        case("chmod 775 /usr/libexec/authkeys", "warning pam-probe", "/usr/libexec/authkeys", Fix),
        case(
            "chmod 644 /usr/libexec/authkeys/pam-probe",
            "warning pam-probe",
            "/usr/libexec/authkeys/pam-probe",
            Fix,
        ),
        case(
            "rm /usr/share/authkeys/canary/sudo",
            "warning canary",
            "/usr/share/authkeys/canary/sudo",
            Advice(
                "install the suite again",
                "cp /run/suite/source/packaging/pam/canary/sudo /usr/share/authkeys/canary/",
            ),
        ),
        case(
            "rm /usr/share/authkeys/canary/other",
            "warning canary",
            "/usr/share/authkeys/canary/other",
            Advice(
                "install the suite again",
                "cp /run/suite/source/packaging/pam/canary/other /usr/share/authkeys/canary/",
            ),
        ),
        // It has every function that libpam looks for, and lets everybody in; the stacks with it are as they should be.
        case(
            "cd /usr/lib/*/security && mv pam_oncall.so pam_kept.so && cp pam_permit.so pam_oncall.so",
            "open canary",
            "/usr/share/authkeys/canary/sudo",
            Advice("find out who changed", "cd /usr/lib/*/security && mv pam_kept.so pam_oncall.so"),
        ),
        case("gpasswd -d oncall-cache authkeys", "warning membership", "/etc/group", Fix),
        case("gpasswd -d authkeys-sync authkeys", "warning membership", "/etc/group", Fix),
        case("usermod -a -G authkeys-sync dave", "warning membership", "/etc/group", Fix),
        case("groupadd docker && usermod -a -G docker dave", "warning root-group", "/etc/group", Fix),
        case(
            "usermod -a -G shadow,disk dave",
            "warning root-group",
            "/etc/group",
            Advice("gpasswd -d dave", "true"),
        ),
        case(
            "printf 'alice yesterday root\\n' >/etc/authkeys/revoked",
            "lock-out revoked",
            "/etc/authkeys/revoked#yesterday",
            Advice("fix the line", "rm /etc/authkeys/revoked"),
        ),
        case(
            "sed -i 's/^exempt_accounts/exemt_accounts/' /etc/authkeys/config.toml",
            "lock-out config",
            "/etc/authkeys/config.toml#exemt",
            Advice("config check", "true"),
        ),
        case(
            "sed -i 's/^account = \"root\"/account = \"rot\"/' /etc/authkeys/config.toml",
            "warning config-name",
            "/etc/authkeys/config.toml#account = \"rot\"",
            Advice("correct the name", "true"),
        ),
        case(
            "sed -i 's,rota/primary,rota/primry,' /etc/authkeys/config.toml",
            "warning config-name",
            "/etc/authkeys/config.toml#primry",
            Advice("correct the name", "true"),
        ),
        case("rm /var/lib/oncall-cache/roster.db", "lock-out roster", "/var/lib/oncall-cache/roster.db", Fix),
        case("rm /var/lib/authkeys/keys.db", "lock-out keys", "/var/lib/authkeys/keys.db", Fix),
        case(
            "sqlite3 /var/lib/authkeys/keys.db \"UPDATE public_key SET line = 'ssh-ed25519 AAAA' WHERE principal = 'dave'\"",
            "warning keys",
            "/var/lib/authkeys/keys.db",
            Fix,
        ),
        case(
            "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE schedule SET synced = synced - 90000'",
            "lock-out schedule",
            "/var/lib/oncall-cache/roster.db",
            Fix,
        ),
        case(
            "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE schedule SET synced = synced - 7200'",
            "warning schedule",
            "/var/lib/oncall-cache/roster.db",
            Fix,
        ),
        case(
            "rm /etc/cron.d/authkeys /usr/lib/systemd/system/*-sync.service",
            "warning timer",
            "/etc/cron.d/authkeys",
            Fix,
        ),
        // cron passes over each of these, and says nothing.
        case("chmod 666 /etc/cron.d/authkeys", "warning timer", "/etc/cron.d/authkeys", Fix),
        case("chown dave /etc/cron.d/authkeys", "warning timer", "/etc/cron.d/authkeys", Fix),
        case(
            "sed -i 's, oncall-cache /, oncallcache /,' /etc/cron.d/authkeys",
            "warning timer",
            "/etc/cron.d/authkeys",
            Fix,
        ),
        case(
            "sed -i 's,/usr/bin,/usr/local/bin,' /etc/cron.d/authkeys",
            "warning timer",
            "/etc/cron.d/authkeys",
            Fix,
        ),
        case(
            "mv /etc/cron.d/authkeys /etc/cron.d/authkeys.cron",
            "warning timer",
            "/etc/cron.d/authkeys.cron",
            Fix,
        ),
    ]);
}

#[test]
fn other_files_are_checked_before_they_are_installed() {
    let suite = suite();
    for (command, right, wrong, told) in [
        (
            "oncall-cache config check --as rota",
            "[[schedule]]\nid = 'p'\n",
            "[[schedule]]\nid = 'p'\n[[schedule.shift]]\nperson = 'a'\n",
            ":3: missing field `start`",
        ),
        (
            "oncall-cache config check --as revoked",
            "# nobody\nmallory 2026-11-20T09:00:00Z root why not\n",
            "# nobody\nmallory\n",
            ":2: not a revocation; write ",
        ),
        (
            "authkeys-sync --check-people",
            "[[person]]\nusername = 'alice'\n",
            "[[person]]\nusername = 'alice'\nmial = []\n",
            ":3: unknown key `mial`; did you mean `mail`?",
        ),
    ] {
        let check = |text: &str| {
            suite.host.write("/run/new", text, 0o600);
            suite.host.sh(&format!("{command} /run/new"))
        };
        let output = check(right);
        assert!(output.status.success() && text(&output).contains("/run/new: ok"), "{}", text(&output));
        let output = check(wrong);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(&format!("/run/new{told}")), "{}", text(&output));
    }
}

/// `config check FILE` for each of these configurations: its exit status, and what it complains of.
#[test]
fn config_check_names_what_stands_for_nothing_with_what_was_meant() {
    let suite = suite();
    let check = |config: &str| {
        suite.host.write("/etc/authkeys/new.toml", config, 0o644);
        let output = suite.host.sh("oncall-cache config check /etc/authkeys/new.toml");
        let said =
            String::from_utf8_lossy(&output.stderr).replace("oncall-cache: /etc/authkeys/new.toml:", "");
        (output.status.code(), said.trim_end().to_string())
    };
    assert_eq!(check(CONFIG), (Some(0), String::new()));
    let line =
        |config: &str, words: &str| 1 + config.lines().position(|line| line.contains(words)).expect(words);
    for (old, new, told) in [
        (
            "account = \"root\"",
            "account = \"rot\"",
            "[[policy.shared_account]] account: `rot` is no account of this host; did you mean `root`?",
        ),
        (
            "account = \"root\"",
            "account = \"quiteelse\"",
            "[[policy.shared_account]] account: `quiteelse` is no account of this host",
        ),
        (
            "account = \"root\"",
            "account = \"root\"\npeople = [\"alcie\"]",
            "[[policy.shared_account]] people: `alcie` is no person of the directory; did you mean `alice`?",
        ),
        (
            "account = \"root\"",
            "account = \"breakglass\"",
            "[[policy.shared_account]] account: `breakglass` is in policy.exempt_accounts: authkeys prints no keys for it, and nobody is refused",
        ),
        (
            "\"breakglass\"",
            "\"breakglas\"",
            "policy.exempt_accounts: `breakglas` is no account of this host; did you mean `breakglass`?",
        ),
        (
            "[policy]",
            "[policy]\nprivileged_groups = [\"wheel\", \"sduo\"]",
            "policy.privileged_groups: `sduo` is no group of this host; did you mean `sudo`?",
        ),
        (
            "[policy]",
            "[policy]\nguarded_accounts = [\"roott\"]",
            "policy.guarded_accounts: `roott` is no account of this host; did you mean `root`?",
        ),
        (
            "rota/primary",
            "rota/primry",
            "[[policy.rule]] schedules: `primry` is no schedule of source `rota`; did you mean `primary`?",
        ),
        (
            "file = \"rota.toml\"",
            "file = \"rota.toml\"\npeople = { alice = \"bobb\" }",
            "[oncall.source.people]: `bobb` is no person of the directory; did you mean `bob`?",
        ),
        (
            "file = \"people.toml\"",
            "file = \"poeple.toml\"",
            "[directory] file: there is no /etc/authkeys/poeple.toml",
        ),
        (
            "file = \"rota.toml\"",
            "file = \"/home/alice/rota.toml\"",
            "[[oncall.source]] file: the units of the syncs cannot see /home/alice/rota.toml; move it to /etc/authkeys, or run `authkeys-sync` and `oncall-cache sync` from cron",
        ),
        (
            "file = \"rota.toml\"",
            "file = \"../../home/alice/rota.toml\"",
            "[[oncall.source]] file: the units of the syncs cannot see /home/alice/rota.toml; move it to /etc/authkeys, or run `authkeys-sync` and `oncall-cache sync` from cron",
        ),
        (
            "file = \"people.toml\"",
            "file = \"../authkeys/./\"",
            "[directory] file: /etc/authkeys is a directory",
        ),
    ] {
        let config = CONFIG.replace(old, new);
        let at = line(&config, new.rsplit('\n').next().unwrap_or(new));
        assert_eq!(check(&config), (Some(0), format!("{at}: warning: {told}")), "{new}");
    }
    // What can never work is an error.
    for (old, new, told) in [
        ("rota/primary", "roda/primary", "no [[oncall.source]] is named `roda`; did you mean `rota`?"),
        (
            "file = \"rota.toml\"",
            "file = \"rota.toml\"\nschedules = [\"secondary\", \"primery\"]",
            "source `rota` does not list `primary` in its `schedules`; did you mean `primery`?",
        ),
        (
            "[policy]",
            "[[nss.group]]\nname = \"oncall\"\ngid = 9100\nrules = [\"everywere\"]\n[policy]",
            "no [[policy.rule]] is named `everywere`; did you mean `everywhere`?",
        ),
    ] {
        let (code, said) = check(&CONFIG.replace(old, new));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.ends_with(told), "{said}");
    }
    // Who may not read the copy of the directory hears nothing of people.
    let config = CONFIG.replace("account = \"root\"", "account = \"root\"\npeople = [\"alcie\"]");
    suite.host.write("/etc/authkeys/new.toml", config, 0o644);
    let output = suite.run_as("nobody", "oncall-cache config check /etc/authkeys/new.toml");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
}

/// What `[fleet]` names: a store where hosts would ask for something else, signers and a header that a sync cannot read.
#[test]
fn config_check_names_what_of_a_fleet_cannot_be_read() {
    let suite = Suite::start();
    let check = |fleet: &str| {
        let config = format!("[fleet]\nid = 'example'\n{fleet}{CONFIG}");
        suite.host.write("/etc/authkeys/new.toml", config, 0o644);
        let output = suite.host.sh("oncall-cache config check /etc/authkeys/new.toml");
        assert!(output.status.success(), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines =
            said.lines().filter_map(|line| line.strip_prefix("oncall-cache: /etc/authkeys/new.toml:"));
        lines.filter(|line| line.contains("[fleet]")).map(str::to_string).collect::<Vec<_>>()
    };
    let is_right = "urls = ['https://store.example.com/fleet']\n";
    let header = "header_file = 'header'\n";
    assert_eq!(check(is_right), ["1: warning: [fleet] signers: there is no /etc/authkeys/fleet-signers"]);
    assert_eq!(
        check("urls = ['https://a/head', 'file:///srv/fleet']\nsigners = 'gone'\nheader_file = 'header'\n"),
        [
            "3: warning: [fleet] urls: https://a/head ends in /head, which hosts add by themselves; leave that out",
            "4: warning: [fleet] signers: there is no /etc/authkeys/gone",
            "5: warning: [fleet] header_file: there is no /etc/authkeys/header, unless systemd passes it to the unit (LoadCredential=)",
        ]
    );
    suite.host.must(
        "cd /etc/authkeys && install -m 600 /dev/null fleet-signers && install -m 640 /dev/null header",
    );
    let (signers, secret) = (
        "1: warning: [fleet] signers: /etc/authkeys/fleet-signers is root:root 0600, in place of root:root 0644; authkeys-sync, \
         oncall-cache cannot read it",
        "4: warning: [fleet] header_file: /etc/authkeys/header is root:root 0640, in place of root:oncall-cache 0640; oncall-cache \
         cannot read it",
    );
    assert_eq!(check(&format!("{is_right}{header}")), [signers, secret]);
    suite.host.must("cd /etc/authkeys && chmod 644 fleet-signers && chgrp oncall-cache header");
    assert_eq!(check(&format!("{is_right}{header}")), [""; 0]);
    // Beside a draft nobody has to read it yet.
    suite.host.must("mkdir /srv/draft && chown dave /srv/draft && cd /srv/draft && touch fleet-signers header rota.toml people.toml");
    suite.host.write(
        "/srv/draft/new.toml",
        format!("[fleet]\nid = 'example'\n{is_right}{header}{CONFIG}"),
        0o644,
    );
    let output = suite.host.sh("chown dave /srv/draft/* && oncall-cache config check /srv/draft/new.toml");
    assert!(output.status.success() && !text(&output).contains("[fleet]"), "{}", text(&output));
}

#[test]
fn an_audit_file_that_cannot_be_written_or_that_all_can_read_is_told() {
    let file = "/var/log/authkeys/decisions.jsonl";
    each(&[
        case("rm -r /var/log/authkeys", "warning audit", "/var/log/authkeys", Fix),
        case("chown dave /var/log/authkeys", "warning audit", "/var/log/authkeys", Fix),
        case("chmod 770 /var/log/authkeys", "warning audit", "/var/log/authkeys", Fix),
        case("chmod 755 /var/log/authkeys", "note audit", "/var/log/authkeys", Fix),
        case("rmdir /var/log/authkeys && touch /var/log/authkeys", "warning audit", "/var/log/authkeys", Fix),
        case(
            "touch /var/log/authkeys/decisions.jsonl && chmod 644 /var/log/authkeys/decisions.jsonl",
            "warning audit",
            file,
            Fix,
        ),
        case(
            "install -o dave -m 640 /dev/null /var/log/authkeys/decisions.jsonl",
            "warning audit",
            file,
            Fix,
        ),
        case("install -m 660 /dev/null /var/log/authkeys/decisions.jsonl", "warning audit", file, Fix),
        case("ln -s /etc/passwd /var/log/authkeys/decisions.jsonl", "warning audit", file, Fix),
        case(
            "install -m 640 /dev/null /root/x && ln /root/x /var/log/authkeys/decisions.jsonl || touch /var/log/authkeys/decisions.jsonl && ln /var/log/authkeys/decisions.jsonl /var/log/authkeys/x",
            "warning audit",
            file,
            Fix,
        ),
        case(
            "mount -t tmpfs -o mode=750 tmpfs /var/log/authkeys && mount -o remount,ro /var/log/authkeys",
            "warning audit",
            "/var/log/authkeys",
            Advice("read-only", "umount /var/log/authkeys"),
        ),
        case(
            "mount -t tmpfs -o mode=750 tmpfs /var/log/authkeys && install -m 640 /dev/null /var/log/authkeys/decisions.jsonl && mount -o remount,ro /var/log/authkeys",
            "warning audit",
            file,
            Advice("read-only", "umount /var/log/authkeys"),
        ),
        // Wherever [paths] says it is.
        case(
            "printf '[paths]\\naudit = \"/var/log/oncall/who.jsonl\"\\n' >>/etc/authkeys/config.toml",
            "warning audit",
            "/var/log/oncall",
            Fix,
        ),
        case(
            "rm -r /var/log/oncall; printf '[paths]\\naudit = \"/tmp/audit/who.jsonl\"\\n' >>/etc/authkeys/config.toml",
            "warning audit",
            "/tmp",
            Advice("in [paths] of config.toml", "true"),
        ),
        // A configuration that cannot be read names no other place.
        case(
            "echo nonsense >/etc/authkeys/config.toml; rm -r /var/log/authkeys",
            "warning audit",
            "/var/log/authkeys",
            Advice("install -d -m 750", "true"),
        ),
    ]);
}

#[test]
fn a_secret_that_others_can_read_and_one_that_the_sync_cannot() {
    let suite = suite();
    let config = CONFIG.replace(
        "file = \"people.toml\"",
        "urls = [\"ldaps://ldap.example.com\"]\nbase = \"dc=example,dc=com\"\nbind_dn = \"cn=a,dc=example,dc=com\"\nbind_password_file = \"bind-password\"",
    );
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    suite.host.write("/etc/authkeys/bind-password", "secret\n", 0o644);
    for breaks in ["chgrp authkeys-sync", "chmod 640"] {
        suite.host.must(&format!(
            "chown root:root /etc/authkeys/bind-password && {breaks} /etc/authkeys/bind-password"
        ));
        let told = ask(&suite);
        let secret =
            told.findings.iter().find(|finding| word(finding, "file") == "/etc/authkeys/bind-password");
        let secret = secret.unwrap_or_else(|| panic!("{}", told.lines()));
        assert!(!told.lines().contains("secret\n"), "{}", told.lines());
        suite.host.must(word(secret, "fix"));
        let after = ask(&suite);
        assert!(!after.lines().contains("bind-password"), "{}", after.lines());
        suite.host.must("chmod 644 /etc/authkeys/bind-password");
    }
}

#[test]
fn what_goes_wrong_seldom_is_named_too() {
    let config = "/etc/authkeys/config.toml";
    let roster = "/var/lib/oncall-cache/roster.db";
    each(&[
        case(
            "sed -i \"s/'bob'/'dave'/\" /etc/authkeys/rota.toml && runuser -u oncall-cache -- oncall-cache sync",
            "warning ahead",
            "",
            Advice("fix it in the directory or the rota", "true"),
        ),
        case(
            "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE meta SET published = published + 9000'",
            "lock-out clock",
            roster,
            Advice("set the clock", "true"),
        ),
        case(
            "printf '[[policy.automation]]\\naccount = \"dave\"\\nservices = [\"sudo\"]\\nowner = \"ops\"\\nreason = \"x\"\\nuntil = 2001-01-01\\n' >>/etc/authkeys/config.toml",
            "note config-remark",
            config,
            Advice("remove it", "true"),
        ),
        case(
            "sed -i 's/^exempt_accounts/privileged_groups = []\\n&/' /etc/authkeys/config.toml",
            "note groups",
            config,
            Advice("nothing, if that is intended", "true"),
        ),
        case(
            "ssh-keygen -qt rsa -b 1024 -N '' -f /root/keys/short && \
             printf \"[[person]]\\nusername = 'erin'\\nkeys = ['%s']\\n\" \"$(cat /root/keys/short.pub)\" >>/etc/authkeys/people.toml && \
             runuser -u authkeys-sync -- authkeys-sync",
            "note refused-key",
            "/var/lib/authkeys/keys.db",
            Advice("authkeys --explain", "true"),
        ),
        case(
            "true",
            "note sshd-key-files",
            "/etc/ssh/sshd_config",
            Advice("AuthorizedKeysFile none", "true"),
        ),
        case("true", "note sshd-sessions", "/etc/ssh/sshd_config", Advice("MaxSessions 1", "true")),
        case(
            "useradd -o -u 0 -g 0 -M -d /root toor",
            "note uid-0",
            "/etc/passwd",
            Advice("delete it", "true"),
        ),
        case("userdel oncall-cache", "lock-out user", "/etc/passwd", Advice("useradd --system", "true")),
        // As it is advised, sudo admits the agent.
        case(
            "useradd -m agent && install -m 440 /dev/null /etc/sudoers.d/agent && echo 'agent ALL=(ALL) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/agent",
            "warning sudo-refused",
            "/etc/sudoers.d/agent#agent",
            Advice("`services = [\"sudo\"]`", "rm /etc/sudoers.d/agent"),
        ),
    ]);
}
