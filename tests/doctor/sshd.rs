//! sshd's configuration, as sshd itself reads it.

use super::After::{Advice, Fix};
use super::{ask, case, each, suite, word};

/// sshd is asked with everything that a Match can name. Which of these its release knows is sshd's own word.
#[test]
fn whatever_a_match_asks_for_sshd_is_looked_at() {
    let suite = suite();
    let mut known = 0;
    for criteria in [
        "All",
        "User root",
        "User *,!alice",
        "Group root",
        "Host localhost",
        "Host *.example.com,localhost",
        "Address 127.0.0.0/8",
        "Address 2001:db8::/32",
        "LocalAddress 127.0.0.1",
        "LocalPort 22",
        "LocalPort 2222",
        "RDomain *",
        "RDomain blue",
        "User root Group root Host * Address * LocalAddress * LocalPort 22 RDomain *",
        "Invalid-User",
        "Version OpenSSH_*",
        "Canonical",
        "Command true",
        "Sessiontype shell",
        "Nonsense x",
    ] {
        let file = "/etc/ssh/sshd_config.d/90-match.conf";
        suite.host.write(file, format!("Match {criteria}\n  MaxSessions 3\n"), 0o644);
        let starts = suite.host.sh("/usr/sbin/sshd -t").status.success();
        known += usize::from(starts);
        let told = ask(&suite);
        let has = |id: &str| told.findings.iter().any(|finding| word(finding, "id") == id);
        assert_eq!(has("sshd-config"), !starts, "{criteria}: {}", told.lines());
        assert!(!has("sshd-match") && told.is_silent() == starts, "{criteria}: {}", told.lines());
    }
    assert!(known >= 14, "{known}");
}

#[test]
fn a53_an_sshd_that_does_not_ask_is_named_by_the_line_that_wins() {
    each(&[
        case(
            "sed -i 's/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "open sshd-pam",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#UsePAM",
            Fix,
        ),
        case(
            "sed -i '1i UsePAM no' /etc/ssh/sshd_config",
            "open sshd-pam",
            "/etc/ssh/sshd_config#UsePAM no",
            Fix,
        ),
        // A second sshd, for another port, say.
        case(
            "sed 's/^Port .*//' /etc/ssh/sshd_config >/etc/ssh/other_config; sed -i '1i Port 2299\\nUsePAM no\\nPidFile /run/other.pid' /etc/ssh/other_config; /usr/sbin/sshd -f /etc/ssh/other_config",
            "open second-sshd",
            "/etc/ssh/other_config",
            Fix,
        ),
        // An option comes before every file, and its words have blanks in them.
        case(
            "/usr/sbin/sshd -f /etc/ssh/sshd_config -p 2298 -o PidFile=/run/other.pid -o 'AuthorizedKeysCommand /usr/bin/id %u' -o AuthorizedKeysCommandUser=nobody",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config",
            Advice("[[keys.chain]]", "kill $(cat /run/other.pid)"),
        ),
        // sshd takes the first command; the one of systemd-userdb, or of a cloud's package, sorts before ours.
        case(
            "echo 'AuthorizedKeysCommand /usr/bin/userdbctl ssh-authorized-keys %u' >/etc/ssh/sshd_config.d/05-userdb.conf",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config.d/05-userdb.conf#userdbctl",
            Fix,
        ),
        // Accounts have keys by it: it is kept, whichever of the two comes first.
        case(
            "echo 'AuthorizedKeysCommand /usr/bin/id %u' >/etc/ssh/sshd_config.d/05-other.conf",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config.d/05-other.conf#/usr/bin/id",
            Fix,
        ),
        case(
            "rm -f /etc/ssh/sshd_config.d/05-other.conf; echo 'AuthorizedKeysCommand /usr/bin/id %u' >/etc/ssh/sshd_config.d/20-other.conf",
            "warning sshd-command",
            "/etc/ssh/sshd_config.d/20-other.conf#/usr/bin/id",
            Fix,
        ),
        case(
            "echo 'AuthorizedKeysCommand /usr/bin/id %h' >/etc/ssh/sshd_config.d/20-other.conf",
            "warning sshd-command",
            "/etc/ssh/sshd_config.d/20-other.conf#/usr/bin/id",
            Advice("by hand", "rm /etc/ssh/sshd_config.d/20-other.conf"),
        ),
        case(
            "rm -f /etc/ssh/sshd_config.d/05-userdb.conf; rm /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config",
            Fix,
        ),
        // sshd starts with both or neither.
        case(
            "sed -i /CommandUser/d /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-config",
            "/etc/ssh/sshd_config",
            Advice("sshd -t", "true"),
        ),
        case(
            "sed -i 's/ %t %k//' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "warning sshd-command",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#AuthorizedKeysCommand /",
            Fix,
        ),
        case(
            "sed -i 's/CommandUser authkeys/CommandUser root/' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "warning sshd-command-user",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#CommandUser",
            Fix,
        ),
        case(
            "sed -i 's/CommandUser authkeys/CommandUser nobody/' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-command-user",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#CommandUser",
            Fix,
        ),
        case(
            "sed -i 's/CommandUser authkeys/CommandUser keys/' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-command-user",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#CommandUser",
            Fix,
        ),
        case("chmod g+w /usr/bin/authkeys", "lock-out sshd-command-path", "/usr/bin/authkeys", Fix),
        case("chmod 777 /usr/bin", "lock-out sshd-command-path", "/usr/bin", Fix),
        case("chmod 700 /usr/bin/authkeys", "lock-out sshd-command-path", "/usr/bin/authkeys", Fix),
        // Measured: it is run in place of a key's own command.
        case(
            "printf 'Match User root\n  ForceCommand /usr/local/bin/audit-shell\n' >>/etc/ssh/sshd_config",
            "warning sshd-forcecommand",
            "/etc/ssh/sshd_config#ForceCommand /usr",
            Advice("explain_refusals = false", "true"),
        ),
        case(
            "printf 'Match Address 10.0.0.0/8 User root\n  ForceCommand /usr/local/bin/audit-shell\n' >>/etc/ssh/sshd_config",
            "warning sshd-forcecommand",
            "/etc/ssh/sshd_config#ForceCommand /usr",
            Advice("explain_refusals = false", "true"),
        ),
        case(
            "printf 'PermitTunnel yes\\n' >/etc/ssh/sshd_config.d/05-tunnel.conf",
            "warning sshd-tunnel",
            "/etc/ssh/sshd_config.d/05-tunnel.conf#PermitTunnel yes",
            Fix,
        ),
        case(
            "echo PermitRootLogin no >>/etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-root",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#PermitRootLogin no",
            Fix,
        ),
        // Some connections are let in, which no question about one address shows.
        case(
            "printf 'PermitRootLogin no\\nMatch Address 10.0.0.0/8\\n  PermitRootLogin prohibit-password\\n' >/etc/ssh/sshd_config.d/05-root.conf",
            "note sshd-root",
            "/etc/ssh/sshd_config.d/05-root.conf#  PermitRootLogin",
            Advice("Address 10.0.0.0/8", "true"),
        ),
        case(
            "printf 'PermitRootLogin no\\nMatch User dave,!root\\n  PermitRootLogin prohibit-password\\n' >/etc/ssh/sshd_config.d/05-root.conf",
            "lock-out sshd-root",
            "/etc/ssh/sshd_config.d/05-root.conf#PermitRootLogin no",
            Fix,
        ),
        case(
            "rm /etc/ssh/sshd_config.d/05-root.conf; echo PermitRootLogin yes >>/etc/ssh/sshd_config.d/10-authkeys.conf",
            "warning sshd-root-password",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#PermitRootLogin yes",
            Fix,
        ),
        case(
            "sed -i '1i AllowGroups sudo users' /etc/ssh/sshd_config",
            "lock-out sshd-root",
            "/etc/ssh/sshd_config#AllowGroups",
            Advice("add root", "true"),
        ),
        case(
            "printf 'Match Address 10.0.0.0/8\\n  AuthorizedKeysCommand none\\n' >>/etc/ssh/sshd_config",
            "warning sshd-match",
            "/etc/ssh/sshd_config#  AuthorizedKeysCommand none",
            Fix,
        ),
        case(
            "printf 'Match User root\\n  AuthorizedKeysCommand none\\n' >/etc/ssh/sshd_config.d/05-userdb.conf",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config.d/05-userdb.conf#none",
            Advice("AuthorizedKeysCommand /usr/bin/authkeys", "rm /etc/ssh/sshd_config.d/05-userdb.conf"),
        ),
        case(
            "ssh-keygen -qt ed25519 -N '' -f /etc/ssh/ca && echo 'TrustedUserCAKeys /etc/ssh/ca.pub' >>/etc/ssh/sshd_config",
            "warning sshd-certificates",
            "/etc/ssh/sshd_config#TrustedUserCAKeys",
            Fix,
        ),
        case(
            "echo 'UsePam maybe' >>/etc/ssh/sshd_config",
            "lock-out sshd-config",
            "/etc/ssh/sshd_config#maybe",
            Advice("sshd -t", "true"),
        ),
        // sshd follows the link, and finds a directory that others can write.
        case(
            "mkdir -p /opt/authkeys/bin && cp /usr/bin/authkeys /opt/authkeys/bin && chgrp sudo /opt/authkeys && chmod g+w /opt/authkeys && ln -s /opt/authkeys/bin/authkeys /usr/local/bin/authkeys && \
             sed -i 's,/usr/bin/authkeys,/usr/local/bin/authkeys,' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-command-path",
            "/opt/authkeys",
            Fix,
        ),
        case("rm -rf /run/sshd", "warning sshd-config", "", Fix),
        case(
            "rm -rf /root/.ssh && mkdir -m 700 /root/.ssh && cp /root/keys/bob.pub /root/.ssh/authorized_keys",
            "warning local-keys",
            "/root/.ssh/authorized_keys#ssh-ed25519",
            Advice("AuthorizedKeysFile none", "rm -r /root/.ssh"),
        ),
    ]);
}

/// An authority, and what may follow; `listed`: config.toml names it; `asked`: sshd trusts it, and asks `authkeys`.
macro_rules! authority {
    (listed $($rest:tt)*) => {
        concat!(
            authority!(),
            " && sed -i \"s,^exempt_accounts,certificate_authorities = ['$(cat /etc/ssh/ca.pub)']\\n&,\" /etc/authkeys/config.toml",
            authority!(@ $($rest)*)
        )
    };
    (unlisted $($rest:tt)*) => { concat!(authority!(), authority!(@ $($rest)*)) };
    (@ asked $($rest:tt)*) => {
        concat!(
            " && printf 'TrustedUserCAKeys /etc/ssh/ca.pub\\nAuthorizedPrincipalsCommand /usr/bin/authkeys --principals %%u %%t %%k\\nAuthorizedPrincipalsCommandUser authkeys\\n' >/etc/ssh/sshd_config.d/05-certificates.conf",
            authority!(@ $($rest)*)
        )
    };
    (@ $rest:literal) => { concat!(" && ", $rest) };
    (@) => { "" };
    () => { "rm -f /etc/ssh/ca && ssh-keygen -qt ed25519 -N '' -C ca -f /etc/ssh/ca" };
}

#[test]
fn a108_what_keeps_certificates_from_counting_or_lets_others_count_is_named() {
    each(&[
        case(
            authority!(listed "echo 'TrustedUserCAKeys /etc/ssh/ca.pub' >>/etc/ssh/sshd_config"),
            "warning sshd-certificates",
            "/etc/ssh/sshd_config#TrustedUserCAKeys",
            Fix,
        ),
        // Behind AuthorizedKeysCommand, sshd 9.2 passes over it.
        case(
            authority!(listed asked "mv /etc/ssh/sshd_config.d/05-certificates.conf /etc/ssh/sshd_config.d/20-certificates.conf"),
            "warning sshd-certificates",
            "/etc/ssh/sshd_config",
            Fix,
        ),
        case(
            authority!(listed asked "sed -i 's, --principals , ,' /etc/ssh/sshd_config.d/05-certificates.conf"),
            "lock-out sshd-principals",
            "/etc/ssh/sshd_config.d/05-certificates.conf#AuthorizedPrincipalsCommand /",
            Fix,
        ),
        case(
            authority!(listed asked "sed -i 's,User authkeys,User nobody,' /etc/ssh/sshd_config.d/05-certificates.conf"),
            "lock-out sshd-principals",
            "/etc/ssh/sshd_config.d/05-certificates.conf#nobody",
            Fix,
        ),
        case(
            authority!(unlisted asked),
            "warning sshd-authority",
            "/etc/ssh/ca.pub#ssh-ed25519",
            Advice("certificate_authorities", "rm /etc/ssh/sshd_config.d/05-certificates.conf"),
        ),
        case(authority!(listed asked ": >/etc/ssh/ca.pub"), "warning sshd-authority", "/etc/ssh/ca.pub", Fix),
        // Files that a case has made are not taken away behind it.
        case(
            "rm -f /etc/ssh/sshd_config.d/*-certificates.conf; echo 'RevokedKeys /etc/ssh/revoked-keys' >>/etc/ssh/sshd_config",
            "lock-out sshd-revoked-keys",
            "/etc/ssh/sshd_config#RevokedKeys",
            Fix,
        ),
    ]);
    let suite = suite();
    suite.host.must(authority!());
    let line = "{ printf 'cert-authority '; cat /etc/ssh/ca.pub; } >/root/.ssh/authorized_keys";
    suite.host.must(&format!("mkdir -pm 700 /root/.ssh && {line}"));
    let told = ask(&suite);
    let found = |id: &str| told.findings.iter().any(|finding| word(finding, "id") == id);
    assert!(found("local-keys") && found("local-authority"), "{}", told.lines());
    suite.host.must("sed -i 's/^cert-authority/&,principals=\"alice\"/' /root/.ssh/authorized_keys");
    let told = ask(&suite);
    assert!(
        !told.findings.iter().any(|finding| word(finding, "id") == "local-authority"),
        "{}",
        told.lines()
    );
}
