//! docs/grants.md on a host: asked for, signed and brought as the page says, and what it opens and no longer opens.
//! (What it says for any machine is typed in by the tests of oncall-cache.)

use harness::grants::Grants;
use harness::page::boxes_of;
use harness::suite::Suite;
use harness::text;

const PAGE: &str = include_str!("../docs/grants.md");

/// Where all of them have what goes by chat.
const CHAT: &str = "/tmp/chat";

/// The same for the hosts of this test.
fn here(commands: &str) -> String {
    commands.replace("fleet: example", "fleet: acme").replace("hosts: db7", "hosts: testhost")
}

/// Types in as somebody, with their key where ssh looks for it.
fn type_in(suite: &Suite, who: &str, commands: &str) -> String {
    suite.must_as(who, &format!("set -e; export HOME=/home/{who}; cd {CHAT}\n{commands}"))
}

fn is_root(suite: &Suite) -> [bool; 2] {
    let by_sudo = suite.run_as("bob", "sudo -n id -u");
    [suite.ssh("bob", "root", "id -u"), by_sudo].map(|output| output.stdout == b"0\n")
}

#[test]
fn a80_the_page_asks_signs_and_brings_a_grant_and_ends_it() {
    let host = Grants::start();
    let suite = &host.suite;
    suite.host.must(&format!("mkdir {CHAT} && chmod 777 {CHAT}"));
    for name in ["alice", "bob", "carol"] {
        suite.host.must(&format!(
            "cd /home/{name} && mkdir .ssh && cp /root/keys/{name} .ssh/id_ed25519 && \
             cp /root/keys/{name}.pub .ssh/id_ed25519.pub && chown -R {name}: .ssh"
        ));
    }
    let [ask, sign, together, ..] = &boxes_of(PAGE, "With ssh-keygen alone")[..] else { panic!("three") };
    let [_, _, by_verb, _] = &boxes_of(PAGE, "With oncall-cache")[..] else { panic!("four") };
    type_in(suite, "bob", &here(ask));
    type_in(suite, "alice", sign);
    type_in(suite, "carol", &format!("{by_verb}sed -n '/BEGIN/,$p' by-alice > carol.sig"));
    type_in(suite, "bob", together);
    let id = suite.host.must(&format!("sed -n 's/^grant: //p' {CHAT}/text"));
    let id = id.trim();
    assert_eq!(is_root(suite), [false, false]);

    let [door, with_shell] = &boxes_of(PAGE, "On a host")[..] else { panic!("two") };
    let (command, answer) = door.split_once('\n').expect("a command and an answer");
    let options = "-F none -i /root/keys/dave -p 2222 -o IdentitiesOnly=yes -o BatchMode=yes \
                   -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";
    let command = command.strip_prefix("$ ").expect("a prompt");
    let command = command.replace("oncall-grant@db7", &format!("{options} oncall-grant@127.0.0.1"));
    let said = suite.host.must(&format!("cd {CHAT}; timeout 120 {command}"));
    // But for the time and the id it is what the page shows.
    let shape = |line: &str| {
        let (before, rest) = line.split_once(" until ").expect("until when");
        let (_, rest) = rest.split_once(' ').expect("by whom");
        let (by, _) = rest.split_once("grant ").expect("which");
        format!("{before} {by}")
    };
    assert_eq!(shape(&said), shape(answer));
    assert!(said.contains(id), "{said}");
    assert_eq!(is_root(suite), [true, true]);
    let again = type_in(suite, "dave", with_shell);
    assert!(again.contains("in force until "), "{again}");

    assert!(PAGE.contains("`oncall-cache grant list`") && PAGE.contains("`oncall-cache grant revoke ID`"));
    let listed = suite.host.must("oncall-cache grant list");
    assert!(listed.contains(id), "{listed}");
    suite.host.must(&format!("oncall-cache grant revoke {id}"));
    assert_eq!(is_root(suite), [false, false]);
    let after = suite.run_as("dave", &format!("cd {CHAT}; {with_shell}"));
    assert!(!after.status.success() && text(&after).contains("refused (revoked): "), "{}", text(&after));
}

#[test]
fn on_a_host_that_takes_grants_a_request_is_for_its_site() {
    let host = Grants::start();
    let request = "oncall-cache grant request --host testhost --key none --person bob --for 1h --reason x";
    let asked = host.suite.must_as("dave", request);
    assert!(asked.contains("\nfleet: acme\n"), "{asked}");
}
