//! Security keys that sign grants: somebody must have touched them, and where root asks for it, proven who they are. The key
//! is a library that the real ssh-keygen loads, and has in software what is in a device otherwise; what a host refuses is
//! otherwise signed as it should be, and ssh-keygen itself verifies it.

use harness::grants::{ACCEPTED, Grants, Text, said};
use harness::suite::Suite;

const LIBRARY: &str = "/usr/local/lib/security_key.so";
const SIGNERS: &str = "/etc/authkeys/grant-signers";

/// Flags of a signature (PROTOCOL.u2f): nothing; touched; it knew who; both.
const NEITHER: u8 = 0;
const TOUCHED: u8 = 1;
const VERIFIED: u8 = 4;
const BOTH: u8 = 5;

fn may_sudo(suite: &Suite) -> bool {
    suite.run_as("bob", "sudo -n id -u").status.success()
}

/// A host that lists a security key for carol, made by ssh-keygen.
fn start() -> Grants {
    let host = Grants::start();
    let suite = &host.suite;
    suite.host.must(&format!(
        "cc -Wall -Wextra -Werror -shared -fPIC -o {LIBRARY} /run/suite/source/tests/fixtures/security_key.c -lcrypto"
    ));
    suite.host.must(&format!(
        "SSH_SK_PROVIDER={LIBRARY} ssh-keygen -qt ed25519-sk -N '' -C carol -f /root/keys/sk </dev/null"
    ));
    list(suite, "");
    host
}

/// Puts the security key into root's list, with these words more among its options.
fn list(suite: &Suite, more: &str) {
    let others = suite.host.read(SIGNERS);
    let others: Vec<&str> = others.lines().filter(|line| !line.contains(" sk-ssh-")).collect();
    let line = format!("carol namespaces=\"grant@authkeys\"{more} {}", suite.public_key("sk"));
    suite.host.write(SIGNERS, format!("{}\n{line}\n", others.join("\n")), 0o644);
}

/// The armour of carol's security key, with these flags.
fn armour(suite: &Suite, grant: &Text, flags: u8) -> String {
    suite.host.write("/tmp/touched", grant.text(), 0o600);
    suite.host.must(&format!(
        "TOUCHED={flags} SSH_SK_PROVIDER={LIBRARY} ssh-keygen -qY sign -n grant@authkeys -f /root/keys/sk </tmp/touched 2>/dev/null"
    ))
}

/// Signed by alice's file, and by carol's security key with these flags.
fn signed(suite: &Suite, grant: &Text, flags: u8) -> String {
    grant.sign(suite, &["alice"]) + &armour(suite, grant, flags)
}

#[test]
fn a88_a_security_key_that_nobody_touched_lets_nobody_in() {
    let host = start();
    let suite = &host.suite;
    let grant = Text::new("none");
    for flags in [NEITHER, VERIFIED] {
        let armour = armour(suite, &grant, flags);
        // ssh-keygen looks at no flags: it is a signature.
        suite.host.write("/tmp/armour", &armour, 0o600);
        suite.host.must(&format!(
            "ssh-keygen -qY verify -n grant@authkeys -f {SIGNERS} -I carol -s /tmp/armour </tmp/touched"
        ));
        said(
            &host.bring(&(grant.sign(suite, &["alice"]) + &armour)),
            1,
            "refused (signature): the signatures are not enough: the security key of carol was not touched",
        );
    }
    assert_eq!(suite.host.must(&format!("ls {ACCEPTED}")), "", "nothing is kept");
    assert!(!may_sudo(suite));
    said(&host.bring(&signed(suite, &grant, TOUCHED)), 0, "accepted: bob");
    assert!(may_sudo(suite));
    // Each login looks at them again: whoever becomes the acceptor's user gains nothing by one.
    let path = format!("{ACCEPTED}/root@bob.{}", grant.id);
    let kept = suite.host.read(&path);
    let (first, _) = kept.split_once('\n').expect("a line, then the text");
    for (flags, opens) in [(NEITHER, false), (VERIFIED, false), (TOUCHED, true)] {
        let content = format!("{first}\n{}", signed(suite, &grant, flags));
        suite.host.write(&path, content, 0o640);
        suite.host.must(&format!("chown oncall-grant-accept:authkeys {path}"));
        assert_eq!(may_sudo(suite), opens, "flags {flags}");
    }
}

#[test]
fn a88_where_root_asks_for_it_the_security_key_must_know_who_touches_it() {
    let host = start();
    let suite = &host.suite;
    list(suite, ",verify-required");
    // The word is this suite's own: ssh-keygen knows it in authorized_keys alone.
    suite.host.write("/tmp/armour", armour(suite, &Text::new("none"), BOTH), 0o600);
    said(
        &suite.host.sh(&format!(
            "ssh-keygen -Y verify -n grant@authkeys -f {SIGNERS} -I carol -s /tmp/armour </tmp/touched"
        )),
        255,
        "unknown key option",
    );
    let grant = Text::new("none");
    said(
        &host.bring(&signed(suite, &grant, TOUCHED)),
        1,
        "refused (signature): the signatures are not enough: the security key of carol did not verify who touched it",
    );
    said(
        &host.bring(&signed(suite, &grant, VERIFIED)),
        1,
        "refused (signature): the signatures are not enough: the security key of carol was not touched",
    );
    assert!(!may_sudo(suite));
    said(&host.bring(&signed(suite, &grant, BOTH)), 0, "accepted: bob");
    assert!(may_sudo(suite));
    // Asked for afterwards, it counts at the next login.
    list(suite, "");
    let other = Text { person: "dave", ..Text::new("none") };
    said(&host.bring(&signed(suite, &other, TOUCHED)), 0, "accepted: dave");
    let dave = || suite.run_as("dave", "sudo -n id -u").status.success();
    assert!(dave());
    list(suite, ",verify-required");
    assert!(!dave() && may_sudo(suite));
}
