//! The group of those with a grant, as sudo sees it through glibc: in a session that was open before, until the end of the
//! grant, and while its file cannot be written. It lets nobody in by itself.

use harness::grants::{GLASS, Grants, Text, said};
use harness::session::{SUDO, Session};
use harness::suite::{HOUR, now, soon};
use harness::{text, wait_until};

const FILE: &str = "/run/authkeys/granted/group";

/// One group of each kind.
const GROUPS: &str = "[[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['everywhere']\n\
    [[nss.group]]\nname = 'oncall-granted'\ngid = 9101\ngrants = true\n";

/// A host on which sudoers name these groups and nobody else; alice is on call.
fn start(rules: &str) -> Grants {
    let host = Grants::start_with(&format!("{rules}{GROUPS}"));
    let suite = &host.suite;
    suite.host.must("for name in alice bob carol; do gpasswd -d $name sudo; done; rm /etc/sudoers.d/team");
    suite.host.write("/etc/sudoers.d/oncall", "%oncall, %oncall-granted ALL=(ALL) NOPASSWD: ALL\n", 0o440);
    suite.host.must("sh /run/suite/source/packaging/nss/enable.sh");
    suite.host.write("/etc/sudo.conf", "Set group_source dynamic\n", 0o644);
    host
}

/// A session of bob's.
fn session(host: &Grants) -> Session {
    Session::open(&mut host.suite.ssh_command("bob", &[], "bob", SUDO))
}

/// Who is in the group now.
fn members(host: &Grants) -> String {
    let line = text(&host.suite.run_as("nobody", "getent group oncall-granted"));
    line.rsplit_once("\noncall-granted:*:9101:")
        .map_or(line.clone(), |(_, members)| members.trim().to_string())
}

/// Two colleagues sign, and somebody brings it.
fn let_in(host: &Grants, grant: &Text) -> String {
    let signed = grant.sign(&host.suite, &["alice", "carol"]);
    said(&host.bring(&signed), 0, "accepted: ");
    signed
}

#[test]
fn a80_in_a_session_of_before_sudo_goes_by_the_group_from_the_answer_to_the_end_of_the_grant() {
    let host = start("");
    let suite = &host.suite;
    let mut session = session(&host);
    assert_eq!((session.sudo(), members(&host)), ("refused".to_string(), String::new()));
    assert_eq!(suite.host.must(&format!("stat -c '%U %a' {FILE}")), "oncall-grant-accept 644\n");
    // For an account that is not root's: none of this group.
    let_in(&host, &Text { account: "bob", ..Text::new("none") });
    assert_eq!((session.sudo(), members(&host)), ("refused".to_string(), String::new()));

    let grant = Text::new(&suite.public_key("bob"));
    let signed = let_in(&host, &grant);
    assert_eq!((session.sudo(), members(&host)), ("0".to_string(), "bob".to_string()));
    assert!(suite.host.must("id -G bob").trim().ends_with(" 9101"));
    // Whoever is on call needs none, and a group of grants changes nothing of theirs.
    assert_eq!(text(&suite.run_as("alice", "sudo -n id -u")).lines().nth(1), Some("0"));
    // Where sudo goes by the groups of the session, there is no such group in it.
    suite.host.write("/etc/sudo.conf", "Set group_source static\n", 0o644);
    assert_eq!(session.sudo(), "refused");
    suite.host.write("/etc/sudo.conf", "Set group_source dynamic\n", 0o644);

    // A grant that is revoked: PAM refuses at once, and the next text that is brought takes him out.
    suite.host.must(&format!("oncall-cache grant revoke {}", grant.id));
    assert_eq!((session.sudo(), members(&host)), ("refused".to_string(), "bob".to_string()));
    said(&host.bring(&signed), 1, "refused (revoked)");
    assert_eq!(members(&host), "");

    soon(10, |seconds| {
        let end = now() + seconds;
        let_in(&host, &Text { end, ..Text::new("none") });
        assert_eq!((session.sudo(), members(&host)), ("0".to_string(), "bob".to_string()));
        end
    });
    assert_eq!((session.sudo(), members(&host)), ("refused".to_string(), String::new()));
    assert!(suite.host.read(FILE).contains("bob@"), "nobody had to write");
}

#[test]
fn the_group_follows_revocations_a_restart_and_the_configuration_and_lets_nobody_in() {
    let host = start("");
    let suite = &host.suite;
    let grant = Text::new("none");
    let signed = let_in(&host, &grant);
    // Started anew it knows who has one.
    suite.host.must(&format!("rm {FILE} && pkill -KILL -x oncall-grant-ac"));
    wait_until("the group is there again", || members(&host) == "bob");
    suite.host.must("oncall-cache revoke bob");
    said(&host.bring(&signed), 1, "refused (revoked)");
    assert_eq!(members(&host), "");
    suite.host.must("oncall-cache unrevoke bob");
    said(&host.bring(&signed), 0, "in force until");
    assert_eq!(members(&host), "bob");
    // Nobody can tell who is revoked: nobody can tell who is in it. The other group is as it was.
    suite.host.must("echo mallory >/etc/authkeys/revoked");
    said(&host.bring(&signed), 2, "cannot tell: ");
    assert!(members(&host).contains("exit status: 2"), "{}", members(&host));
    let on_call = suite.must_as("nobody", "getent group oncall");
    assert_eq!(on_call.trim(), "oncall:*:9100:alice");
    suite.host.must("rm /etc/authkeys/revoked");
    said(&host.bring(&signed), 0, "in force until");
    assert_eq!(members(&host), "bob");
    // Who becomes the acceptor's user can write what he likes: the group lets nobody in, and there is no other by that.
    let end = now() + HOUR;
    let forged = format!(
        "oncall-groups 1 {} 5\noncall:9200:{end}:carol@0..{end}\nx:9100:{end}:carol@0..{end}\nsudo:9300:{end}:carol@0..{end}\n\
         games-too:1000:{end}:carol@0..{end}\noncall-granted:9101:{end}:carol@0..{end}\n",
        now()
    );
    suite.host.write(FILE, forged, 0o644);
    suite.host.must(&format!("chown oncall-grant-accept: {FILE}"));
    assert_eq!(members(&host), "carol");
    assert!(!suite.run_as("carol", "sudo -n id -u").status.success(), "the group is there, and no grant");
    let groups = suite.host.must("id -G carol");
    let groups: Vec<&str> = groups.trim().split(' ').collect();
    assert!(groups.contains(&"9101"), "{groups:?}");
    assert!(!["9100", "9200", "9300", "1000"].iter().any(|gid| groups[1..].contains(gid)), "{groups:?}");
    assert_eq!(suite.must_as("nobody", "getent group oncall 9100"), format!("{on_call}{on_call}"));
    let listed = suite.must_as("nobody", "getent group");
    assert!(
        !["\nx:*:", ":9200:", ":9300:", "games-too:"].iter().any(|forged| listed.contains(forged)),
        "{listed}"
    );
    // Without such a group in the configuration there is no file.
    let config = suite.host.read("/etc/authkeys/config.toml");
    suite.host.write("/etc/authkeys/config.toml", config.replace("grants = true", "rules = ['*']"), 0o644);
    said(&host.bring(&signed), 0, "in force until");
    assert!(!suite.host.path(FILE).exists());
}

#[test]
fn a80_where_the_group_cannot_be_written_the_grant_counts_all_the_same() {
    let host = start("");
    let suite = &host.suite;
    let mut session = session(&host);
    suite.host.write("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n", 0o440);
    suite.host.must(
        "mount -t tmpfs -o size=64k,mode=755,uid=$(id -u oncall-grant-accept),gid=$(id -g oncall-grant-accept) \
         none /run/authkeys/granted && ! dd if=/dev/zero of=/run/authkeys/granted/fill bs=4k 2>/dev/null",
    );
    assert_eq!(session.sudo(), "refused");
    let signed = let_in(&host, &Text::new("none"));
    assert_eq!(session.sudo(), "0");
    // And where there is no such directory.
    suite.host.must("umount /run/authkeys/granted && mv /run/authkeys/granted /run/authkeys/away");
    let_in(&host, &Text::new("none"));
    assert_eq!(session.sudo(), "0");
    assert_eq!(suite.must_as("nobody", "getent group oncall").trim(), "oncall:*:9100:alice");
    suite.host.must("rm /etc/sudoers.d/bob");
    assert_eq!(session.sudo(), "refused");
    // Once there is room, the next text that is brought is enough.
    suite.host.must("mv /run/authkeys/away /run/authkeys/granted");
    said(&host.bring(&signed), 0, "in force until");
    assert_eq!((session.sudo(), members(&host)), ("0".to_string(), "bob".to_string()));
}

#[test]
fn a84_whoever_lets_themselves_in_is_in_the_group_also_while_nobody_is_known_to_be_on_call() {
    let host = start(GLASS);
    let suite = &host.suite;
    let mut session = session(&host);
    // The sync has nothing to read, and still says that there is such a group.
    suite.host.must("rm -r /var/lib/oncall-cache/* /etc/authkeys/rota.toml");
    let failed = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(failed.status.code(), Some(2), "{}", text(&failed));
    let grant = Text::new("none");
    said(&host.bring(&grant.sign(suite, &["bob"])), 0, "accepted: break-glass: bob may enter root");
    assert_eq!((session.sudo(), members(&host)), ("0".to_string(), "bob".to_string()));
}
