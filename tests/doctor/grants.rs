//! A host that takes grants, or asks people on call why: who may sign, what is revoked, and the socket at which it is brought.

use harness::suite::{CONFIG, Suite, now};

use super::After::{Advice, Fix};
use super::{ask, case, each_on, keep, suite, word};

const SIGNERS: &str = "/etc/authkeys/grant-signers";

/// A rule by which bob lets himself in, and alice and carol review that.
const GLASS: &str = "[[policy.grant]]\nname = 'glass'\naccounts = ['root']\napprovers = ['carol', 'alice']\nquorum = 0\npeople = ['bob']\n\
                     max = '1h'\n";

/// The shipped set-up with rules for grants, and all that they need.
fn suite_with_grants() -> Suite {
    let suite = suite();
    let rule = "[grant]\nid = 'acme'\n[[policy.grant]]\nname = 'night'\naccounts = ['root']\napprovers = ['alice', 'carol']\nquorum = 2\n\
                max = '4h'\n";
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{rule}{GLASS}"), 0o644);
    // Each has what they need: alice and carol approve, carol reviews, and bob signs for himself.
    let line =
        |(name, signs): (&str, &str)| format!("{name} namespaces=\"{signs}\" {}\n", suite.public_key(name));
    let lines =
        [("alice", "grant@authkeys"), ("bob", "grant@authkeys"), ("carol", "grant@authkeys,review@authkeys")];
    suite.host.write(SIGNERS, lines.map(line).concat(), 0o644);
    suite.host.must("systemctl enable oncall-grant-accept.socket");
    keep(&suite);
    suite
}

const GRANTED: &str = "/run/authkeys/granted/group";

/// The same with a group of those with a grant, as an acceptor publishes it, and with a sudo that asks for it.
fn suite_with_group() -> Suite {
    let suite = suite_with_grants();
    let config = suite.host.read("/etc/authkeys/config.toml");
    let group = "[[nss.group]]\nname = 'granted'\ngid = 9101\ngrants = true\n";
    suite.host.write("/etc/authkeys/config.toml", format!("{config}{group}"), 0o644);
    suite.host.must("sh /run/suite/source/packaging/nss/enable.sh");
    let text = format!("oncall-groups 1 {} 1\ngranted:9101:{}:\n", now(), i64::MAX);
    suite.host.write(GRANTED, text, 0o644);
    suite.host.must(&format!("chown oncall-grant-accept: {GRANTED}"));
    suite.host.write("/etc/sudo.conf", "Set group_source dynamic\n", 0o644);
    suite.sync();
    keep(&suite);
    suite
}

#[test]
fn a_group_of_those_with_a_grant_needs_its_file_and_a_sudo_that_asks_for_it() {
    let (sudo, writer) = ("/etc/sudo.conf", "systemctl restart oncall-grant-accept.service");
    each_on(
        &suite_with_group(),
        &[
            case(
                "echo 'Set group_source static' >>/etc/sudo.conf",
                "warning group-source",
                "/etc/sudo.conf#static",
                Fix,
            ),
            case("printf '#Set group_source dynamic' >/etc/sudo.conf", "warning group-source", sudo, Fix),
            case("rm /etc/sudo.conf", "warning group-source", sudo, Fix),
            case("chmod 666 /etc/sudo.conf", "warning group-source", sudo, Fix),
            case("rm /run/authkeys/granted/group", "warning nss-file", GRANTED, Advice(writer, "true")),
            case("chmod 664 /run/authkeys/granted/group", "warning nss-file", GRANTED, Fix),
            case("echo >>/run/authkeys/granted/group", "warning nss-file", GRANTED, Advice(writer, "true")),
            case(
                "sed -i 's/^gid = 9101/gid = 9201/' /etc/authkeys/config.toml",
                "warning nss-file",
                GRANTED,
                Advice(writer, "true"),
            ),
            case(
                "sed -i 's/^granted:9101:[0-9]*:/granted:9101:1000:/' /run/authkeys/granted/group",
                "warning nss-file",
                GRANTED,
                Advice(writer, "true"),
            ),
            case(
                "rm /var/lib/oncall-cache/group; sed -i '/nss.group/,$d' /etc/authkeys/config.toml",
                "warning nss-file",
                GRANTED,
                Fix,
            ),
            case(
                "echo granted:x:4711: >>/etc/group",
                "warning nss-taken",
                "/etc/group#granted:",
                Advice("groupdel", "true"),
            ),
        ],
    );
}

#[test]
fn a_host_that_takes_grants_needs_signers_and_a_socket() {
    each_on(
        &suite_with_grants(),
        &[
            case(
                "rm /etc/authkeys/grant-signers",
                "warning grant-signers",
                SIGNERS,
                Advice("each approver", "true"),
            ),
            case("chmod 666 /etc/authkeys/grant-signers", "warning grant-signers", SIGNERS, Fix),
            case(
                "sed -i '/^carol/d' /etc/authkeys/grant-signers",
                "warning grant-signers",
                SIGNERS,
                Advice("each approver", "true"),
            ),
            case(
                "sed -i 's/,review@authkeys//' /etc/authkeys/grant-signers",
                "warning grant-signers",
                SIGNERS,
                Advice("grant@authkeys,review@authkeys", "true"),
            ),
            case(
                "sed -i '/^bob/d' /etc/authkeys/grant-signers",
                "warning grant-signers",
                SIGNERS,
                Advice("their own key", "true"),
            ),
            case(
                "echo 'eve ssh-ed25519 AAAA' >>/etc/authkeys/grant-signers",
                "warning grant-signers",
                "/etc/authkeys/grant-signers#eve ssh-",
                Advice("correct the line", "true"),
            ),
            case(
                "echo nonsense >/etc/authkeys/revoked-grants",
                "warning grant-revoked",
                "/etc/authkeys/revoked-grants",
                Advice("correct the line", "rm /etc/authkeys/revoked-grants"),
            ),
            case(
                "systemctl disable oncall-grant-accept.socket",
                "warning grant-socket",
                "/usr/lib/systemd/system/oncall-grant-accept.socket",
                Fix,
            ),
            case("gpasswd -d oncall-grant-accept authkeys", "warning membership", "/etc/group", Fix),
        ],
    );
}

/// No grants at all: what the socket is for is said, and nothing of signers.
#[test]
fn a_host_that_asks_people_on_call_why_needs_the_socket() {
    let suite = suite();
    let config =
        CONFIG.replace("schedules = [\"rota/primary\"]\n", "schedules = [\"rota/primary\"]\nclaim = true\n");
    assert_ne!(config, CONFIG);
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    suite.host.must("systemctl enable oncall-grant-accept.socket");
    keep(&suite);
    let unit = "/usr/lib/systemd/system/oncall-grant-accept.socket";
    let gone = "systemctl disable oncall-grant-accept.socket && mv /usr/lib/systemd/system/oncall-grant-accept.socket /root/";
    let back = "mv /root/oncall-grant-accept.socket /usr/lib/systemd/system/ && systemctl enable oncall-grant-accept.socket";
    each_on(
        &suite,
        &[
            case("systemctl disable oncall-grant-accept.socket", "warning grant-socket", unit, Fix),
            case(gone, "warning grant-socket", unit, Advice("install the package", back)),
        ],
    );
    suite.host.must("systemctl disable oncall-grant-accept.socket");
    let told = ask(&suite);
    let [finding] = &told.wrong()[..] else { panic!("one finding: {}", told.lines()) };
    assert!(word(finding, "why").contains("without one, and the record says `unclaimed`"), "{finding:#}");
}
