//! docs/grants.md on a host: asked for, signed and brought as the page says, and what it opens and no longer opens.
//! (What it says for any machine is typed in by the tests of oncall-cache.)

use harness::grants::{CHAT, GLASS, Grants, RULE, Text, said};
use harness::page::boxes_of;
use harness::session::{SUDO, Session};
use harness::suite::{CONFIG, DAY, HOUR, Suite};
use harness::text;

const PAGE: &str = include_str!("../docs/grants.md");

/// How many boxes each part of the page has. All of them are typed in here or by oncall-cache's tests, but for what others say
/// in a chat: who adds one adds it there.
#[test]
fn no_box_is_left_out() {
    let count = [
        ("With ssh-keygen alone", 5),
        ("With oncall-cache", 4),
        ("On a host", 2),
        ("For sudo, a group", 3),
        ("A reason, once a shift", 2),
        ("In a chat", 1),
        ("By a bot", 2),
        ("When nobody can sign", 2),
    ];
    harness::page::no_box_is_left_out(PAGE, &count);
}

fn is_root(suite: &Suite) -> [bool; 2] {
    let by_sudo = suite.run_as("bob", "sudo -n id -u");
    [suite.ssh("bob", "root", "id -u"), by_sudo].map(|output| output.stdout == b"0\n")
}

#[test]
fn a80_the_page_asks_signs_and_brings_a_grant_and_ends_it() {
    let host = Grants::start();
    let suite = &host.suite;
    host.give_out_keys();
    let [ask, sign, together, ..] = &boxes_of(PAGE, "With ssh-keygen alone")[..] else { panic!("three") };
    let [_, _, by_verb, _] = &boxes_of(PAGE, "With oncall-cache")[..] else { panic!("four") };
    host.type_in("bob", ask);
    host.type_in("alice", sign);
    host.type_in("carol", &format!("{by_verb}sed -n '/BEGIN/,$p' by-alice > carol.sig"));
    host.type_in("bob", together);
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
    let again = host.type_in("dave", with_shell);
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
fn a84_the_page_lets_somebody_in_whom_nobody_can_let_in_and_has_that_reviewed() {
    let host = Grants::start_with(GLASS);
    let suite = &host.suite;
    host.give_out_keys();
    host.lose_everything();
    let [break_it, review] = &boxes_of(PAGE, "When nobody can sign")[..] else { panic!("two") };
    assert_eq!(is_root(suite), [false, false]);
    let said = host.type_in("bob", break_it);
    assert!(said.contains("accepted: break-glass: bob may enter root on this host until "), "{said}");
    assert_eq!(is_root(suite), [true, true]);
    let listed = suite.host.must("oncall-cache grant list");
    assert!(listed.contains("not reviewed: bob "), "{listed}");

    // When it is known again who is on call, who fetches the text and reviews it.
    host.find_everything();
    let id = suite.host.must(&format!("sed -n 's/^grant: //p' {CHAT}/text"));
    let (command, answer) = review.trim_end().rsplit_once('\n').expect("a command and an answer");
    let (_, shown) = answer.split_once("(grant ").expect("which");
    let shown = shown.split(')').next().expect("a name");
    let command = command.strip_prefix("$ ").expect("a prompt").replace(shown, id.trim());
    let told = host.type_in("alice", &command);
    assert_eq!(told.trim_end(), answer.replace(shown, id.trim()));
    assert!(!suite.host.must("oncall-cache grant list").contains("not reviewed"));
}

#[test]
fn on_a_host_that_takes_grants_a_request_is_for_its_site() {
    let host = Grants::start();
    let request = "oncall-cache grant request --host testhost --key none --person bob --for 1h --reason x";
    let asked = host.suite.must_as("dave", request);
    assert!(asked.contains("\nfleet: acme\n"), "{asked}");
}

#[test]
fn a80_the_page_has_sudo_go_by_a_group_of_those_with_a_grant() {
    let host = Grants::start();
    let suite = &host.suite;
    suite.host.must("for name in alice bob carol; do gpasswd -d $name sudo; done; rm /etc/sudoers.d/team");
    let mut session = Session::open(&mut suite.ssh_command("bob", &[], "bob", SUDO));
    let [group, sudoers, commands] = &boxes_of(PAGE, "For sudo, a group")[..] else { panic!("three") };
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{RULE}{group}"), 0o644);
    // Nobody is there to type a password.
    let sudoers = sudoers.replace(" ALL  ", " NOPASSWD: ALL  ");
    assert!(sudoers.contains("NOPASSWD"), "{sudoers}");
    suite.host.write("/etc/sudoers.d/oncall", sudoers, 0o440);
    suite
        .host
        .must("install -m 755 /run/suite/source/packaging/nss/enable.sh /usr/local/sbin/nss-oncall-enable");
    suite.host.must(&format!("set -e; {commands}"));
    assert_eq!(session.sudo(), "refused");
    let signed = Text::new("none").sign(suite, &["alice", "carol"]);
    said(&host.bring(&signed), 0, "accepted: bob may enter root");
    assert_eq!(session.sudo(), "0", "in a session of before");
}

#[test]
fn a87_the_page_has_people_on_call_say_why() {
    let host = Grants::start();
    let suite = &host.suite;
    host.give_out_keys();
    let asks =
        CONFIG.replace("schedules = [\"rota/primary\"]\n", "schedules = [\"rota/primary\"]\nclaim = true\n");
    suite.host.write("/etc/authkeys/config.toml", asks, 0o644);
    suite.write_rota(&[("alice", -HOUR, DAY), ("bob", -HOUR, DAY)]);
    suite.sync();
    let [on_the_host, by_the_door] = &boxes_of(PAGE, "A reason, once a shift")[..] else { panic!("two") };
    for (who, commands) in [("alice", on_the_host), ("bob", by_the_door)] {
        let asked = text(&suite.run_as(who, "sudo -n id -u"));
        assert!(asked.contains("say why first"), "{asked}");
        let told = host.type_in(who, commands);
        assert!(told.contains(&format!("kept for {who} until the shift ends: INC-42 disk full")), "{told}");
        assert_eq!(suite.must_as(who, "sudo -n id -u"), "0\n");
    }
}
