//! Why somebody on call becomes root, on a real sshd, libpam and sudo: asked for once a shift, and never in the way where it
//! cannot be kept.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Output;

use harness::grants::{ACCEPTED, Grants, RULE, SOCKET, Text, said, sudo};
use harness::suite::{CONFIG, DAY, HOUR, Suite, instant, now};
use harness::{text, wait_until};

const WORDS: &str = "say why first, once a shift: oncall-cache claim --reason \"INC-42\"";

/// The configuration of most tests, whose rule asks why; with `more` below it.
fn config(more: &str) -> String {
    let asks = "schedules = [\"rota/primary\"]\nclaim = true\n";
    format!("{}{more}", CONFIG.replace("schedules = [\"rota/primary\"]\n", asks))
}

/// alice is on call.
fn start(more: &str) -> Grants {
    let host = Grants::start();
    host.suite.host.write("/etc/authkeys/config.toml", config(more), 0o644);
    host
}

fn root_by_ssh(suite: &Suite, person: &str) -> Output {
    suite.ssh(person, "root", "id -u")
}

/// It opens, and the one decision says this.
fn admitted(suite: &Suite, enter: impl Fn() -> Output, words: &str) {
    let _ = suite.decisions();
    let output = enter();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "was refused: {}", text(&output));
    let lines = suite.decisions();
    assert!(lines.len() == 1 && lines.concat().contains(words), "expected {words:?}: {lines:#?}");
}

/// It does not, and the one decision has this reason.
fn refused(suite: &Suite, enter: impl Fn() -> Output, reason: &str) -> String {
    let _ = suite.decisions();
    let output = enter();
    assert!(!output.status.success(), "was let in: {}", text(&output));
    let lines = suite.decisions();
    let reason = format!("decision=refuse reason={reason} ");
    assert!(lines.len() == 1 && lines.concat().contains(&reason), "expected {reason:?}: {lines:#?}");
    text(&output)
}

fn claim(suite: &Suite, person: &str, reason: &str) -> Output {
    suite.run_as(person, &format!("oncall-cache claim --reason '{reason}'"))
}

#[test]
fn a87_somebody_on_call_says_why_once_a_shift() {
    let host = start(RULE);
    let suite = &host.suite;
    let told = refused(suite, || sudo(suite, "alice"), "claim-needed");
    assert!(told.contains(WORDS) && told.contains("ssh oncall-grant@testhost"), "{told}");
    let told = refused(suite, || root_by_ssh(suite, "alice"), "claim-needed");
    assert!(told.contains(WORDS), "{told}");
    let asked = suite.host.sh("oncall-cache test-access alice");
    said(&asked, 1, WORDS);
    // Her own account, which is guarded because it may use sudo, asks nothing: there she says it.
    said(&suite.ssh("alice", "alice", "id -un"), 0, "alice");
    let stated = suite.ssh("alice", "alice", "oncall-cache claim --reason 'INC-42 disk full'");
    said(&stated, 0, "kept for alice until the shift ends: INC-42 disk full");
    let words = "reason=oncall rule=everywhere ";
    admitted(suite, || sudo(suite, "alice"), words);
    admitted(suite, || sudo(suite, "alice"), " claim=stated why=INC-42\\x20disk\\x20full");
    admitted(suite, || root_by_ssh(suite, "alice"), " claim=stated why=INC-42\\x20disk\\x20full");
    let records = suite.host.read("/var/log/authkeys/decisions.jsonl");
    assert!(records.contains("\"claim\":\"stated\",\"why\":\"INC-42 disk full\""), "{records}");
    let report = text(&suite.host.sh("oncall-cache report --since 1d"));
    assert!(report.contains("because of INC-42 disk full"), "{report}");
    let why = suite.host.must("oncall-cache why alice");
    assert!(why.contains("INC-42 disk full"), "{why}");
    // Not for everybody to read.
    let why = suite.must_as("dave", "oncall-cache why alice");
    assert!(!why.contains("INC-42 disk full") && why.contains("asked for once a shift"), "{why}");

    // It lets in nobody who is not on call.
    said(&claim(suite, "bob", "INC-42"), 0, "kept for bob");
    refused(suite, || sudo(suite, "bob"), "not-oncall");
    // The next shift is another: it begins once a second has gone by since.
    let then = now();
    wait_until("a later second", || now() > then + 2);
    suite.write_rota(&[("alice", 0, DAY), ("bob", -HOUR, DAY)]);
    suite.sync();
    refused(suite, || sudo(suite, "alice"), "claim-needed");
    admitted(suite, || sudo(suite, "bob"), " claim=stated why=INC-42");
}

#[test]
fn a87_who_has_no_shell_there_says_it_through_the_door() {
    // No rule takes grants.
    let host = start("");
    let suite = &host.suite;
    let door = |key: &str, line: &str| {
        suite.host.sh(&format!(
            "echo '{line}' | timeout 120 ssh -F none -i /root/keys/{key} -p 2222 -o IdentitiesOnly=yes -o BatchMode=yes \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null oncall-grant@127.0.0.1"
        ))
    };
    suite.host.must("ssh-keygen -qt ed25519 -N '' -f /root/keys/stranger");
    said(&door("stranger", "claim: INC-42"), 255, "Permission denied");
    said(&door("alice", "claim: INC \"42\""), 1, "refused: a reason is 1 to 120 letters");
    // Whoever brings it says it for themselves alone.
    said(&door("bob", "claim: INC-42"), 0, "kept for bob");
    refused(suite, || root_by_ssh(suite, "alice"), "claim-needed");
    said(&door("alice", "claim: INC-42"), 0, "kept for alice until the shift ends: INC-42");
    admitted(suite, || root_by_ssh(suite, "alice"), " claim=stated why=INC-42");
    // Of others the account counts, whoever they say they are; root is nobody in particular.
    let ask = |sent: &[u8]| {
        let mut stream = UnixStream::connect(suite.host.path(SOCKET)).expect("somebody listens");
        let _ = stream.write_all(sent).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("an answer");
        told
    };
    assert!(ask(b"claim 1 by alice\nx\n").starts_with("1 refused: state it as yourself"));
    assert_eq!(ask(b"claims 1\n"), "0 yes\n");
    said(&claim(suite, "alice", "a'\"'\"'b"), 64, "--reason: 1 to 120 letters");
    // Where no rule asks, there is nothing to say, and the door is shut.
    suite.host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    said(&claim(suite, "alice", "INC-42"), 1, "no [[policy.rule]] asks for a reason on this host (testhost)");
    said(&door("alice", "claim: INC-42"), 255, "Permission denied");
}

#[test]
fn a87_what_cannot_be_kept_or_known_stands_between_nobody_and_the_host() {
    let host = start("");
    let suite = &host.suite;
    let open = || {
        admitted(suite, || sudo(suite, "alice"), " claim=unclaimed");
        admitted(suite, || root_by_ssh(suite, "alice"), " claim=unclaimed");
        refused(suite, || sudo(suite, "bob"), "not-oncall");
    };
    let shut = || wait_until("it is asked for again", || !sudo(suite, "alice").status.success());
    refused(suite, || sudo(suite, "alice"), "claim-needed");
    // Somebody who listens and does not answer.
    suite.host.must("pkill -STOP -x oncall-grant-ac");
    open();
    suite.host.must("pkill -CONT -x oncall-grant-ac");
    shut();
    // Nobody who listens.
    suite.host.must(&format!("mv {SOCKET} {SOCKET}.away"));
    open();
    said(&claim(suite, "alice", "INC-42"), 2, "is oncall-grant-accept.socket enabled");
    suite.host.must(&format!("mv {SOCKET}.away {SOCKET}"));
    shut();
    // Nothing can be written.
    suite.host.must(&format!("chmod 2550 {ACCEPTED}"));
    open();
    said(&claim(suite, "alice", "INC-42"), 2, "nobody is refused for want of a reason");
    suite.host.must(&format!("chmod 2750 {ACCEPTED}"));
    shut();
    // A full disk.
    suite.host.must(&format!(
        "mount -t tmpfs -o size=64k,mode=2750,uid=$(id -u oncall-grant-accept),gid=$(getent group authkeys | cut -d: -f3) \
         none {ACCEPTED} && ! dd if=/dev/zero of={ACCEPTED}/.fill bs=4k 2>/dev/null"
    ));
    open();
    said(&claim(suite, "alice", "INC-42"), 2, "No space left on device");
    suite.host.must(&format!("umount {ACCEPTED}"));
    shut();
    // Who is on call was read too long ago.
    let old = "[oncall]\nwarn_age = '1s'\n";
    suite.host.write("/etc/authkeys/config.toml", config(old), 0o644);
    wait_until("the rota is old", || sudo(suite, "alice").status.success());
    open();
    suite.host.write("/etc/authkeys/config.toml", config(""), 0o644);
    shut();
    let records = suite.host.read("/var/log/authkeys/decisions.jsonl");
    assert!(records.contains("\"claim\":\"unclaimed\""), "{records}");
}

#[test]
fn a87_programs_exempt_accounts_and_grants_are_not_asked() {
    let host = Grants::start();
    let suite = &host.suite;
    suite.host.must("ssh-keygen -qt ed25519 -N '' -f /root/keys/robot");
    let robot = format!(
        "[[policy.automation]]\naccount = 'root'\nkeys = ['{}']\nfrom = ['127.0.0.1']\nowner = 'ci'\nreason = 'backup'\nuntil = {}\n",
        suite.public_key("robot"),
        instant(now() + DAY)
    );
    suite.host.write("/etc/authkeys/config.toml", config(&(RULE.to_string() + &robot)), 0o644);
    suite.host.must("useradd -m -s /bin/sh -G sudo breakglass");
    admitted(suite, || root_by_ssh(suite, "robot"), "reason=automation");
    admitted(suite, || sudo(suite, "breakglass"), "reason=exempt");
    let grant = Text::new(&suite.public_key("bob")).sign(suite, &["alice", "carol"]);
    said(&host.bring(&grant), 0, "accepted: bob");
    admitted(suite, || sudo(suite, "bob"), "reason=grant");
    admitted(suite, || root_by_ssh(suite, "bob"), "reason=grant");
    refused(suite, || sudo(suite, "alice"), "claim-needed");
    // A host that observes refuses nobody, and says who would be.
    let observes = config("").replace("[policy]\n", "[policy]\nmode = 'observe'\n");
    suite.host.write("/etc/authkeys/config.toml", observes, 0o644);
    admitted(suite, || sudo(suite, "alice"), "decision=refuse reason=claim-needed");
}

#[test]
fn a98b_a_shift_that_somebody_gave_themselves_just_now_is_told_and_may_need_a_reason() {
    let host = Grants::start();
    let suite = &host.suite;
    let configure = |late: &str| {
        let source = "[[oncall.source]]\n";
        assert!(CONFIG.contains(source));
        let config = CONFIG.replace(source, &format!("{source}{late}"));
        suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    };
    // What the first sync finds is not late, though it began a moment ago; nor is what comes in half an hour.
    suite.write_rota(&[("alice", -60, DAY)]);
    suite.sync();
    suite.write_rota(&[("alice", -60, DAY), ("carol", HOUR / 2, DAY)]);
    suite.sync();
    assert!(!suite.host.path("/var/lib/oncall-cache/roster.late").exists());
    admitted(suite, || sudo(suite, "alice"), "reason=oncall");
    let records = suite.host.read("/var/log/authkeys/decisions.jsonl");
    assert!(!records.contains("\"late\":"), "{records}");

    suite.write_rota(&[("alice", -60, DAY), ("carol", HOUR / 2, DAY), ("bob", -120, DAY)]);
    let before = now();
    suite.sync();
    suite.sync();
    let _ = suite.decisions();
    said(&sudo(suite, "bob"), 0, "0");
    let line = suite.decisions().concat();
    let seen = line.split(" late=").nth(1).and_then(|rest| rest.split_ascii_whitespace().next());
    let seen = seen.unwrap_or_else(|| panic!("bob's shift is not late: {line}")).to_string();
    assert!((instant(before)..=instant(now())).contains(&seen), "found at {seen}");
    let records = suite.host.read("/var/log/authkeys/decisions.jsonl");
    assert!(records.contains(&format!("\"late\":\"{seen}\"")), "{records}");
    let report = text(&suite.host.sh("oncall-cache report --since 1d"));
    assert!(report.contains(&format!(", late: first seen {seen}")), "{report}");
    assert!(suite.host.must("oncall-cache why bob").contains("this host first saw the shift"));
    assert!(!suite.host.must("oncall-cache why alice").contains("first saw"));
    let checked = suite.host.must("oncall-cache test-access bob --json");
    assert!(checked.contains(&format!("\"late\": \"{seen}\"")), "{checked}");
    admitted(suite, || root_by_ssh(suite, "bob"), &format!(" late={seen}"));

    configure("late = 'claim'\n");
    let told = refused(suite, || sudo(suite, "bob"), "claim-needed");
    assert!(told.contains(WORDS), "{told}");
    admitted(suite, || sudo(suite, "alice"), "reason=oncall");
    said(&claim(suite, "bob", "INC-42"), 0, "kept for bob");
    admitted(suite, || sudo(suite, "bob"), " claim=stated why=INC-42");

    // It goes with the shift.
    suite.write_rota(&[("alice", -60, DAY)]);
    suite.sync();
    assert!(!suite.host.path("/var/lib/oncall-cache/roster.late").exists());
    configure("late = 'never'\n");
    said(
        &suite.host.sh("oncall-cache config check /etc/authkeys/config.toml"),
        2,
        "write \"flag\" or \"claim\"",
    );
}
