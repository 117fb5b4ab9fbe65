//! Accounts that are not called as their people: a joined domain's, by `[names]`.

use harness::suite::{CONFIG, HOUR, Suite};
use harness::text;

const NAMES: &str = "[names]\nstrip = [\"@example.com\", \"EXAMPLE\\\\\"]\nfold_case = true\n";
const GROUP: &str = "[[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['everywhere']\n";

/// As sssd and winbind show a domain's accounts, but from /etc/passwd: name, number.
const ACCOUNTS: [(&str, u32); 5] = [
    ("alice@example.com", 70_001),
    ("EXAMPLE\\bob", 70_002),
    ("breakglass@example.com", 70_003),
    ("root@example.com", 70_004),
    ("Carol@Other.example", 70_005),
];

/// A machine where alice and carol are on call, and bob is not.
fn start() -> Suite {
    let suite = Suite::start();
    let (mut passwd, mut members) = (String::new(), Vec::new());
    for (name, uid) in ACCOUNTS {
        passwd += &format!("{name}:*:{uid}:{uid}::/home/{uid}:/bin/sh\n");
        members.push(name);
        suite.host.must(&format!("mkdir /home/{uid} && chown {uid}:{uid} /home/{uid}"));
    }
    let with = |file: &str, more: &str| suite.host.write(file, suite.host.read(file) + more, 0o644);
    with("/etc/passwd", &passwd);
    let groups = suite.host.read("/etc/group");
    let sudo = groups.lines().find(|line| line.starts_with("sudo:")).expect("a group sudo");
    suite.host.write("/etc/group", groups.replace(sudo, &format!("{sudo},{}", members.join(","))), 0o644);
    suite.host.must("sh /run/suite/source/packaging/nss/enable.sh");
    suite.write_rota(&[("alice", -HOUR, HOUR), ("carol", -HOUR, HOUR), ("breakglass", -HOUR, HOUR)]);
    suite
}

fn configure(suite: &Suite, names: &str) {
    suite.host.write("/etc/authkeys/config.toml", CONFIG.to_string() + names + GROUP, 0o644);
    suite.sync();
}

/// Does `sudo id -u` of an account that came in with a member's key say 0? `None`: it did not come in.
fn sudo(suite: &Suite, key: &str, account: &str) -> Option<bool> {
    let output = suite.ssh(key, account, "echo in; sudo -n id -u");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.starts_with("in\n").then(|| said == "in\n0\n")
}

#[test]
fn a_revocation_counts_for_every_spelling_of_an_account_also_of_one_that_is_exempt() {
    let suite = start();
    let passwd = suite.host.read("/etc/passwd");
    let more = "EXAMPLE\\breakglass:*:70006:70006::/:/bin/sh\n";
    suite.host.write("/etc/passwd", passwd + more, 0o644);
    configure(&suite, NAMES);
    // A member of no group that leads to root: it is not guarded, and whatever key or password the host has for it counts.
    let account = "EXAMPLE\\breakglass";
    let enters = || suite.host.sh(&format!("pamtester sshd '{account}' acct_mgmt")).status.success();
    assert!(enters());
    suite.host.must("oncall-cache revoke breakglass");
    assert!(!enters());
    suite.host.must("oncall-cache unrevoke breakglass");
    assert!(enters());
}

#[test]
fn a_domains_account_is_the_persons_whom_names_say_and_nobodys_else() {
    let suite = start();
    let [alice, bob, breakglass, root, carol] = ACCOUNTS.map(|(name, _)| name);
    configure(&suite, "");
    assert_eq!(sudo(&suite, "alice", alice), None, "without [names] it is nobody's");
    let why = text(&suite.run_as("authkeys", &format!("authkeys '{alice}'")));
    assert!(why.contains("exit status: 2") && why.contains("0x40"), "{why}");

    configure(&suite, NAMES);
    // sshd's user name, PAM's for ssh, sudo's caller.
    assert_eq!(sudo(&suite, "alice", alice), Some(true));
    assert_eq!(sudo(&suite, "bob", bob), None, "not on call");
    let refused = text(&suite.ssh("bob", bob, "true"));
    assert!(refused.contains("bob is not (alice is"), "by the person's name: {refused}");
    assert_eq!(sudo(&suite, "carol", alice), None, "another's key");
    assert_eq!(sudo(&suite, "carol", carol), None, "another domain's");
    // What the configuration gives a meaning is nobody's by another spelling.
    for account in [breakglass, root] {
        for key in ["alice", "carol"] {
            assert_eq!(sudo(&suite, key, account), None, "{account}");
        }
        let printed = suite.run_as("authkeys", &format!("authkeys '{account}'"));
        assert!(!printed.status.success() && printed.stdout.is_empty(), "{}", text(&printed));
        let asked = format!("pamtester -I 'ruser={account}' sudo '{account}' acct_mgmt");
        assert!(!suite.host.sh(&asked).status.success(), "{account}");
    }
    assert_eq!(sudo(&suite, "alice", "alice"), Some(true), "plain names stay what they are");

    // NSS, and people who ask.
    let groups = |account: &str| suite.host.must(&format!("id -Gn '{account}' 2>/dev/null || true"));
    assert!(groups(alice).contains("oncall") && !groups(bob).contains("oncall"));
    assert!(!groups(carol).contains("oncall") && !groups(root).contains("oncall"));
    let check =
        |name: &str| suite.run_as("nobody", &format!("oncall-cache test-access '{name}'")).status.code();
    assert_eq!([alice, bob, "ALICE@EXAMPLE.COM", carol].map(check), [Some(0), Some(1), Some(0), Some(2)]);
    suite.host.must(&format!("oncall-cache revoke '{alice}' --reason gone"));
    assert_eq!(sudo(&suite, "alice", alice), None);
    suite.host.must("oncall-cache unrevoke alice");

    let doctor = text(&suite.host.sh("oncall-cache doctor"));
    assert!(doctor.contains("alice@example.com (uid 70001)"), "{doctor}");
    for nobody in [breakglass, root, carol] {
        assert!(
            doctor.contains(&format!("{nobody}, a member of sudo, cannot be a person's name")),
            "{nobody}: {doctor}"
        );
    }
    assert!(!doctor.contains("EXAMPLE\\bob, a member of") && !doctor.contains("all root's"), "{doctor}");
}

/// Makes the machine's name services find accounts by capital letters too.
fn fold_names(suite: &Suite) {
    suite.host.must(
        "d=$(dirname \"$(ls /lib/*/libc.so.6 | head -n 1)\") && \
         gcc -shared -fPIC -O2 -o \"$d/libnss_fold.so.2\" /run/suite/source/tests/fixtures/fold.c && \
         sed -i -E 's/^(passwd|shadow):.*/\\1: files fold/' /etc/nsswitch.conf",
    );
    assert_eq!(suite.host.must("getent passwd BOB | cut -d: -f1"), "bob\n");
}

#[test]
fn an_account_is_judged_by_what_the_host_calls_it_however_it_is_typed() {
    let suite = Suite::start();
    fold_names(&suite);
    suite.host.must(
        "useradd -m -s /bin/sh -G sudo erin && mkdir -m 700 ~erin/.ssh && \
        cp /root/keys/carol.pub ~erin/.ssh/authorized_keys && chown -R erin ~erin/.ssh",
    );
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    for (key, typed, said) in
        [("bob", "BOB", "bob is not (alice is"), ("carol", "Erin", "does not list erin as eligible")]
    {
        let _ = suite.decisions();
        let output = suite.ssh(key, typed, "echo in");
        assert!(!output.status.success() && text(&output).contains(said), "{typed}: {}", text(&output));
        let decisions = suite.decisions();
        assert!(decisions.iter().all(|line| line.contains("decision=refuse")), "{decisions:?}");
    }
    assert!(
        suite.ssh("alice", "Alice", "echo in").status.success(),
        "who is on call gets in by any spelling"
    );
    suite.host.must("oncall-cache revoke dave --reason gone");
    let output = suite.ssh("dave", "DAVE", "echo in");
    assert!(!output.status.success(), "a revocation is of the account: {}", text(&output));
}
