//! Active Directory, as Samba plays it: who is copied, who may become root, and who is locked or expired.

use harness::samba::Samba;
use harness::suite::Suite;
use harness::text;

/// A machine with a domain of the team, and the configuration that names it.
fn configure(suite: &Suite, more: &str) {
    let directory = Samba::section();
    suite.host.write(
        "/etc/authkeys/config.toml",
        format!("{directory}{more}\n[host]\nname = 'testhost'\n[[policy.shared]]\naccount = 'root'\n"),
        0o644,
    );
}

fn sync(suite: &Suite) -> String {
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_domain_is_copied() {
    let suite = Suite::start();
    let samba = Samba::start(&suite.host);
    samba.furnish(&suite, |name| format!("{name}@example.com"));
    configure(&suite, "");
    let told = sync(&suite);
    assert!(told.starts_with("4 changed, 0 removed, 4 people, 3 newly eligible"), "{told}");
}
