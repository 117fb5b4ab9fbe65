//! A host that takes grants: who may sign, what is revoked, and the socket at which they are brought.

use harness::suite::{CONFIG, Suite};

use super::After::{Advice, Fix};
use super::{case, each_on, keep, suite};

const SIGNERS: &str = "/etc/authkeys/grant-signers";

/// The shipped set-up with a rule for grants, and all that it needs.
fn suite_with_grants() -> Suite {
    let suite = suite();
    let rule = "[grant]\nid = 'acme'\n[[policy.grant]]\nname = 'night'\naccounts = ['root']\napprovers = ['alice', 'carol']\nquorum = 2\n\
                max = '4h'\n";
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{rule}"), 0o644);
    let line = |name: &str| format!("{name} namespaces=\"grant@authkeys\" {}\n", suite.public_key(name));
    suite.host.write(SIGNERS, ["alice", "carol"].map(line).concat(), 0o644);
    suite.host.must("systemctl enable oncall-grant-accept.socket");
    keep(&suite);
    suite
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
