//! docs/certificates.md, typed in on a host: an authority, a login by its certificate, what the doctor says of a file in the
//! wrong place, and the ways to take a certificate away.

use harness::fleet::Fleet;
use harness::page::{boxes_of, systemctl};
use harness::suite::{HOUR, Suite, now};
use harness::text;

const PAGE: &str = include_str!("../docs/certificates.md");

/// Where the authority is.
const DESK: &str = "/root/desk";

/// How many boxes each part of the page has. All of them are typed in here.
#[test]
fn no_box_is_left_out() {
    let count = [("Set up", 5), ("Log in", 2), ("Whose a certificate is", 1), ("Revoke", 2)];
    harness::page::no_box_is_left_out(PAGE, &count);
}

/// Types in the commands of a box; each says what the box shows, where `…` is anything, and ends well, unless what it shows
/// is that ssh was refused.
fn type_in(suite: &Suite, shown: &str) {
    for each in shown.split("$ ").filter(|each| !each.is_empty()) {
        let (command, answer) = each.split_once('\n').expect("a command, and what it says");
        let (status, said) = said_to(suite, command);
        assert!(is_as_shown(&said, answer), "{command}\n{said}\nand not\n{answer}");
        let expected = if answer.contains(DENIED) { SSH_FAILED } else { 0 };
        assert_eq!(status, Some(expected), "{command}\n{said}");
    }
}

/// What ssh says of a refusal, and its exit status then (ssh(1)).
const DENIED: &str = ": Permission denied (";
const SSH_FAILED: i32 = 255;

/// What a command says to whoever types it, alice at her own machine or root, with its exit status.
fn said_to(suite: &Suite, command: &str) -> (Option<i32>, String) {
    let ssh = "ssh -F none -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
               -o LogLevel=ERROR";
    let (user, typed) = match command.strip_prefix("ssh root@db7") {
        Some(rest) => ("alice", format!("timeout 300 {ssh} root@127.0.0.1{rest}")),
        None => ("root", format!("cd {DESK} && {command}")),
    };
    let output = suite.run_as(user, &format!("exec 2>&1; export HOME=~{user}; {typed}"));
    (output.status.code(), String::from_utf8_lossy(&output.stdout).replace("127.0.0.1", "db7"))
}

/// Is it that, where `…` is anything within a line?
fn is_as_shown(said: &str, shown: &str) -> bool {
    let (said, shown): (Vec<&str>, Vec<&str>) = (said.lines().collect(), shown.lines().collect());
    let fits = |(said, shown): (&&str, &&str)| {
        let mut parts = shown.split('…');
        let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else { return false };
        for part in parts {
            match rest.split_once(part).filter(|_| !part.is_empty()) {
                Some((_, after)) => rest = after,
                None => return part.is_empty(),
            }
        }
        rest.is_empty()
    };
    said.len() == shown.len() && said.iter().zip(&shown).all(fits)
}

/// alice has a key that no directory has; its public half is on the desk of whoever signs.
fn give_a_key(suite: &Suite) {
    suite.must_as(
        "alice",
        "mkdir -m 700 /home/alice/.ssh && ssh-keygen -qt ed25519 -N '' -C '' -f /home/alice/.ssh/id_ed25519",
    );
    suite.host.must(&format!("mkdir -p {DESK} && cp /home/alice/.ssh/id_ed25519.pub {DESK}/alice.pub"));
}

/// Sets the host up as the page does: authority, sshd, config.toml.
fn set_up(suite: &Suite) {
    give_a_key(suite);
    let [authority, sshd, config, ..] = &boxes_of(PAGE, "Set up")[..] else { panic!("three") };
    suite.host.must(&format!("set -e; cd {DESK}\n{authority}{sshd}"));
    let ca = suite.host.read(&format!("{DESK}/user-ca.pub"));
    assert_eq!(config.matches("ssh-ed25519 AAAA… user-ca").count(), 1, "{config}");
    let config = config.replace("ssh-ed25519 AAAA… user-ca", ca.trim());
    let before = suite.host.read("/etc/authkeys/config.toml");
    assert!(before.contains("[policy]\n"), "{before}");
    suite.host.write("/etc/authkeys/config.toml", before.replace("[policy]\n", &config), 0o644);
    // As ssh finds it.
    let beside = "/home/alice/.ssh/id_ed25519-cert.pub";
    assert!(PAGE.contains("`~/.ssh/id_ed25519-cert.pub`"));
    suite.host.must(&format!("cp {DESK}/alice-cert.pub {beside} && chown alice: {beside}"));
}

#[test]
fn a108_the_page_makes_an_authority_that_lets_alice_in_and_takes_it_away() {
    let suite = crate::doctor::suite();
    suite.host.write("/usr/local/sbin/systemctl", systemctl(), 0o755);
    set_up(&suite);
    let [_, _, _, asked, misplaced] = &boxes_of(PAGE, "Set up")[..] else { panic!("five") };
    type_in(&suite, asked);
    type_in(&suite, misplaced);
    // The command that it printed.
    let mends = misplaced.lines().find_map(|line| line.trim_start().strip_prefix("# ")).expect("a command");
    suite.host.must(mends);
    assert_eq!(suite.host.must("oncall-cache doctor | head -n 1"), "nothing is wrong\n");
    suite.host.must("cd /etc/ssh/sshd_config.d && mv 20-certificates.conf 05-certificates.conf");
    suite.host.reload_sshd();

    let [enters, recorded] = &boxes_of(PAGE, "Log in")[..] else { panic!("two") };
    type_in(&suite, enters);
    type_in(&suite, recorded);
    let [whose] = &boxes_of(PAGE, "Whose a certificate is")[..] else { panic!("one") };
    let said = suite.host.must(&format!("cd {DESK}; {whose}"));
    assert_eq!(said, "alice\n");
    let [revoked, _] = &boxes_of(PAGE, "Revoke")[..] else { panic!("two") };
    type_in(&suite, revoked);
}

#[test]
fn a108_the_page_ends_all_certificates_of_an_authority_in_a_fleet() {
    let fleet = Fleet::start(1);
    let begin = now();
    fleet.on_call(&[("alice", begin - HOUR, begin + HOUR)]);
    fleet.collect();
    fleet.pull();
    let [host] = fleet.hosts.as_slice() else { panic!("one host") };
    set_up(host);
    host.host.reload_sshd();
    let [enters, _] = &boxes_of(PAGE, "Log in")[..] else { panic!("two") };
    type_in(host, enters);
    let collector = &fleet.collector.host;
    let ca = host.host.read(&format!("{DESK}/user-ca.pub"));
    collector.write("/root/user-ca.pub", ca, 0o644);
    let [_, revoke] = &boxes_of(PAGE, "Revoke")[..] else { panic!("two") };
    collector.must(&format!("cd /root; {revoke}"));
    host.pull();
    let command = enters.lines().next().and_then(|line| line.strip_prefix("$ ")).expect("a command");
    let (status, said) = said_to(host, command);
    assert!(status == Some(SSH_FAILED) && said.contains(DENIED), "{status:?} {said}");
    let output = host.ssh("alice", "root", "true");
    assert!(output.status.success(), "her own key goes on: {}", text(&output));
}
