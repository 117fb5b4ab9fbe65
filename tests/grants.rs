//! Grants on a host: brought through the socket and through the door, on a real sshd, libpam and sudo; signed by ssh-keygen
//! alone. No network is there at all.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Output;

use harness::grants::{ACCEPTED, Grants, RULE, SOCKET, Text, said, sign_text, sudo};
use harness::suite::{CONFIG, HOUR, Suite, now};
use harness::{text, wait_until};

fn admitted(output: &Output) {
    assert!(output.status.success(), "was refused: {}", text(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{}", text(output));
}

fn refused(output: &Output) {
    assert!(!output.status.success(), "was let in: {}", text(output));
    assert!(!text(output).contains("\n0\n"), "ran its command: {}", text(output));
}

/// The one decision since the last look.
fn one_decision(suite: &Suite) -> String {
    let lines = suite.decisions();
    assert_eq!(lines.len(), 1, "one line for one decision: {lines:#?}");
    lines.into_iter().next().unwrap_or_default()
}

/// Two colleagues sign for bob, and somebody brings it.
fn let_in(host: &Grants, grant: &Text) -> String {
    let signed = grant.sign(&host.suite, &["alice", "carol"]);
    said(&host.bring(&signed), 0, "accepted: bob may enter ");
    signed
}

#[test]
fn a80_two_colleagues_let_bob_in_by_ssh_and_by_sudo_with_every_link_cut() {
    let host = Grants::start();
    let suite = &host.suite;
    refused(&sudo(suite, "bob"));
    refused(&suite.ssh("bob", "root", "id -u"));
    let grant = Text::new(&suite.public_key("bob"));
    // A colleague who may not sign, and one who may; one alone is not enough.
    said(&host.bring(&grant.sign(suite, &["alice", "dave"])), 1, "refused (signature)");
    said(&host.bring(&grant.sign(suite, &["alice"])), 1, "refused (quorum): signed by 1 of the 2 approvers");
    refused(&sudo(suite, "bob"));
    let _ = suite.log_lines();
    let_in(&host, &grant);
    let log = suite.lines_of("oncall-grant-accept");
    let line = format!(
        "person=bob decision=accepted reason=grant rule=night approvers=alice,carol grant={}",
        grant.id
    );
    assert!(log.iter().any(|logged| logged.starts_with(&line) && logged.contains(" by=dave")), "{log:#?}");
    admitted(&sudo(suite, "bob"));
    let line = one_decision(suite);
    let words =
        format!("person=bob decision=allow reason=grant rule=night grant={} approvers=alice,carol", grant.id);
    assert!(line.starts_with(&words), "{line}");
    admitted(&suite.ssh("bob", "root", "id -u"));
    assert!(one_decision(suite).starts_with(&words));
    // It is for root, not for bob's own account; and for bob, not for carol.
    refused(&suite.ssh("bob", "bob", "id -u"));
    refused(&sudo(suite, "carol"));
    refused(&suite.ssh("carol", "root", "id -u"));
    // Whoever is on call is admitted as before.
    let _ = suite.decisions();
    admitted(&sudo(suite, "alice"));
    assert!(one_decision(suite).contains("reason=oncall"));
    // All that a sync left is lost.
    suite.host.must("rm -r /var/lib/authkeys/* /var/lib/oncall-cache/* /etc/authkeys/people.toml");
    admitted(&sudo(suite, "bob"));
    admitted(&suite.ssh("bob", "root", "id -u"));
    refused(&sudo(suite, "alice"));
    let why = suite.host.must("oncall-cache why bob");
    for words in
        ["yes: alice and carol let bob in until ", "reason      grant", "for         INC-42 disk full"]
    {
        assert!(why.contains(words), "{why}");
    }
    let listed = suite.host.must("oncall-cache grant list");
    assert!(listed.starts_with("bob enters root until ") && listed.contains(&grant.id), "{listed}");
    said(&suite.run_as("dave", "oncall-cache grant list"), 2, "root may read them");
    // Without a copy of the directory nobody can say whose key is whose: nothing new is accepted.
    let other = Text::new(&suite.public_key("bob"));
    said(
        &host.bring(&other.sign(suite, &["alice", "carol"])),
        2,
        "cannot tell: no /var/lib/authkeys/keys.db",
    );
}

#[test]
fn a80_a_copy_that_is_older_than_copy_age_accepts_nothing() {
    let host = Grants::start();
    let suite = &host.suite;
    let rule = RULE.replace("id = 'acme'", "id = 'acme'\ncopy_age = '1s'");
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{rule}"), 0o644);
    let grant = Text::new("none");
    let signed = grant.sign(suite, &["alice", "carol"]);
    // One that would be refused anyway, until the copy is too old to say.
    let half = grant.sign(suite, &["alice"]);
    wait_until("the copy is too old", || text(&host.bring(&half)).contains("keys.db"));
    said(&host.bring(&signed), 2, "cannot tell: ");
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{RULE}"), 0o644);
    said(&host.bring(&signed), 0, "accepted: bob may enter root");
    admitted(&sudo(suite, "bob"));
    // For sudo alone: no key opens root.
    refused(&suite.ssh("bob", "root", "id -u"));
}

#[test]
fn a81_a_text_counts_once_for_one_host_one_person_and_one_time() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new(&suite.public_key("bob"));
    let signed = let_in(&host, &grant);
    let again = format!("in force until {}", harness::suite::instant(grant.end));
    said(&host.bring(&signed), 0, &again);
    // Another text of the same name.
    let other = Text { reason: "INC-43", ..grant.clone() };
    said(&host.bring(&other.sign(suite, &["alice", "carol"])), 1, "another grant has the same name");
    // What was accepted is forgotten, as at a boot: texts from before are refused, new ones count.
    suite.host.must(&format!("rm {ACCEPTED}/* {ACCEPTED}/.memory && pkill -KILL -x oncall-grant-ac"));
    refused(&sudo(suite, "bob"));
    let earlier = Text { issued: now() - HOUR, begin: now() - HOUR, ..Text::new("none") };
    let earlier = earlier.sign(suite, &["alice", "carol"]);
    wait_until("it answers again", || text(&host.bring(&earlier)).contains("refused (grant-expired)"));
    said(&host.bring(&earlier), 1, "this host remembers grants since ");
    said(&host.bring(&signed), 1, "refused (grant-expired)");
    refused(&sudo(suite, "bob"));
    let_in(&host, &Text { issued: now() + 60, ..Text::new("none") });
    admitted(&sudo(suite, "bob"));
}

#[test]
fn a59_what_does_not_fit_is_refused_and_the_reasons_are_told_apart() {
    let host = Grants::start();
    let suite = &host.suite;
    let (new, now) = (Text::new(&suite.public_key("bob")), now());
    let of = |change: &dyn Fn(&mut Text)| {
        let mut text = Text { ..Text::new(&new.key) };
        change(&mut text);
        text
    };
    let cases = [
        (of(&|it| (it.issued, it.begin, it.end) = (now - HOUR, now - HOUR, now - 1)), "grant-expired"),
        (
            of(&|it| (it.issued, it.begin, it.end) = (now - 25 * HOUR, now - 2 * HOUR, now + HOUR)),
            "grant-expired",
        ),
        (of(&|it| it.begin = now + HOUR / 2), "early"),
        (of(&|it| it.issued = now + HOUR), "early"),
        (of(&|it| it.hosts = "otherhost"), "host"),
        (of(&|it| it.site = "other"), "host"),
        (of(&|it| it.account = "daemon"), "account"),
        (of(&|it| it.end = it.begin + 13 * HOUR), "lifetime"),
        (of(&|it| it.end = it.begin + 4 * HOUR + 1), "lifetime"),
        (of(&|it| (it.begin, it.end) = (now + 25 * HOUR, now + 26 * HOUR)), "lifetime"),
        // The beneficiary is one of the approvers who signed; and the key is an approver's.
        (of(&|it| it.person = "carol"), "person"),
    ];
    for (grant, reason) in cases {
        let signed = grant.sign(suite, &["alice", "carol"]);
        said(&host.bring(&signed), 1, &format!("refused ({reason})"));
    }
    let own = Text { person: "carol", ..Text::new("none") };
    said(&host.bring(&own.sign(suite, &["alice", "carol"])), 1, "refused (self)");
    assert_eq!(suite.host.must(&format!("ls {ACCEPTED}")), "", "nothing is kept");
    refused(&sudo(suite, "bob"));
    refused(&sudo(suite, "carol"));
}

#[test]
fn a60_a_signature_counts_by_its_bytes_its_namespace_and_roots_list() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new("none");
    let signed = grant.sign(suite, &["alice", "carol"]);
    let changed = signed.replacen("disk full", "disk fulL", 1);
    said(&host.bring(&changed), 1, "refused (signature)");
    let elsewhere = sign_text(suite, &grant.text(), "file", &["alice", "carol"]);
    said(&host.bring(&elsewhere), 1, "refused (signature)");
    let signers = suite.host.read("/etc/authkeys/grant-signers");
    let without = |person: &str| -> String {
        signers.lines().filter(|line| !line.starts_with(person)).map(|line| format!("{line}\n")).collect()
    };
    suite.host.write("/etc/authkeys/grant-signers", without("carol"), 0o644);
    said(&host.bring(&signed), 1, "refused (signature)");
    suite.host.write("/etc/authkeys/grant-signers", &signers, 0o644);
    suite.host.must("oncall-cache revoke carol");
    said(&host.bring(&signed), 1, "refused (quorum)");
    suite.host.must("oncall-cache unrevoke carol");
    said(&host.bring(&signed), 0, "accepted");
    admitted(&sudo(suite, "bob"));
    // From then on too: who is out of the list, or revoked, has let nobody in at the next decision.
    suite.host.write("/etc/authkeys/grant-signers", without("carol"), 0o644);
    refused(&sudo(suite, "bob"));
    suite.host.write("/etc/authkeys/grant-signers", &signers, 0o666);
    refused(&sudo(suite, "bob"));
    suite.host.must("chmod 644 /etc/authkeys/grant-signers");
    admitted(&sudo(suite, "bob"));
    suite.host.must("oncall-cache revoke carol");
    refused(&sudo(suite, "bob"));
    suite.host.must("oncall-cache unrevoke carol && oncall-cache revoke bob");
    refused(&sudo(suite, "bob"));
    suite.host.must("oncall-cache unrevoke bob");
    admitted(&sudo(suite, "bob"));
}

#[test]
fn a61_a_revoked_grant_counts_nowhere_any_more() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new(&suite.public_key("bob"));
    let signed = let_in(&host, &grant);
    admitted(&sudo(suite, "bob"));
    said(
        &suite.run_as("bob", &format!("oncall-cache grant revoke {}", grant.id)),
        2,
        "only root may revoke grants",
    );
    said(&suite.host.sh("oncall-cache grant revoke 12"), 64, "32 of the digits");
    let revoke = format!("oncall-cache grant revoke {} --reason 'laptop lost'", grant.id);
    assert!(suite.host.must(&revoke).contains("counts no more on this host"));
    refused(&sudo(suite, "bob"));
    refused(&suite.ssh("bob", "root", "id -u"));
    said(&host.bring(&signed), 1, "refused (revoked)");
    // After the memory and the copies were lost and made anew.
    suite.host.must(&format!("rm -f {ACCEPTED}/* /var/lib/authkeys/* && pkill -KILL -x oncall-grant-ac"));
    suite.sync();
    wait_until("it answers again", || text(&host.bring(&signed)).contains("refused (revoked)"));
    // A list that is not understood: no grant counts, and whoever is on call is admitted.
    let other = Text::new("none");
    let_in(&host, &other);
    admitted(&sudo(suite, "bob"));
    suite.host.must("echo nonsense >>/etc/authkeys/revoked-grants");
    refused(&sudo(suite, "bob"));
    admitted(&sudo(suite, "alice"));
    let third = Text::new("none").sign(suite, &["alice", "carol"]);
    said(&host.bring(&third), 2, "/etc/authkeys/revoked-grants:2: not a revoked grant");
}

#[test]
fn a82_people_are_counted_and_nobody_signs_for_themselves() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new("none");
    said(&host.bring(&grant.sign(suite, &["carol", "carol-2"])), 1, "refused (quorum): signed by 1 of the 2");
    said(&host.bring(&grant.sign(suite, &["bob", "carol"])), 1, "refused (self)");
    // By a key that bob lists in his own entry of the directory too.
    let people = suite.host.read("/etc/authkeys/people.toml");
    let carols = format!("'{}'", suite.public_key("carol"));
    let listing = |person: &str, key: &str| {
        let own = format!("keys = ['{}'", suite.public_key(person));
        people.replacen(&own, &format!("{own}, {key}"), 1)
    };
    suite.host.write("/etc/authkeys/people.toml", listing("bob", &carols), 0o644);
    suite.sync_keys();
    said(&host.bring(&grant.sign(suite, &["alice", "carol"])), 1, "refused (self)");
    // Somebody else who lists it changes nothing.
    suite.host.write("/etc/authkeys/people.toml", listing("dave", &carols), 0o644);
    suite.sync_keys();
    said(&host.bring(&grant.sign(suite, &["alice", "carol"])), 0, "accepted");
    admitted(&sudo(suite, "bob"));
}

/// What becomes of `sent` when somebody with this uid, who has no account, sends it.
fn sent_by(host: &Grants, uid: u32, sent: &str) -> Output {
    let path = format!("/tmp/sent-{uid}");
    host.suite.host.write(&path, sent, 0o644);
    host.suite
        .host
        .sh(&format!("setpriv --reuid={uid} --regid={uid} --clear-groups oncall-cache grant use <{path}"))
}

#[test]
fn a83_what_is_not_exactly_one_grant_is_refused_and_nothing_of_it_is_kept_or_logged() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new("none");
    let signed = grant.sign(suite, &["alice", "carol"]);
    let lines: Vec<&str> = signed.lines().collect();
    let swapped = {
        let mut lines = lines.clone();
        lines.swap(5, 6);
        lines.join("\n") + "\n"
    };
    let doubled = signed.replacen("account: root\n", "account: root\naccount: root\n", 1);
    let mut wrong = vec![
        String::new(),
        swapped,
        doubled,
        signed.replace('\n', "\r\n"),
        signed.replacen("person: bob", "person: bob ", 1),
        signed.replacen("person: bob", "person:\n bob", 1),
        format!("\u{feff}{signed}"),
        signed.replacen("bob", "b\u{43e}b", 1),
        signed.replacen("reason:", "colour: red\nreason:", 1),
        format!("{signed}{}", "x".repeat(200 * 1024)),
        format!("{signed}\n"),
        "\0".repeat(3000),
        format!("{signed}{signed}"),
    ];
    // One byte in each line changed.
    let mut at = 0;
    for line in &lines {
        let mut bytes = signed.clone().into_bytes();
        let place = at + line.len() / 2;
        bytes[place] = if bytes[place] == b'7' { b'8' } else { b'7' };
        wrong.push(String::from_utf8(bytes).expect("ASCII"));
        at += line.len() + 1;
    }
    let _ = suite.log_lines();
    for (uid, sent) in (30_000..).zip(&wrong) {
        said(&sent_by(&host, uid, sent), 1, "refused");
    }
    assert_eq!(suite.host.must(&format!("ls {ACCEPTED}")), "");
    let log = suite.lines_of("oncall-grant-accept");
    assert!(log.len() >= wrong.len() - 1, "{log:#?}");
    for line in &log {
        assert!(line.starts_with("person=") && line.contains(" decision=refused "), "{line}");
        assert!(line.is_ascii() && line.len() < 500, "{line}");
    }
    refused(&sudo(suite, "bob"));
    said(&host.bring(&signed), 0, "accepted");
    admitted(&sudo(suite, "bob"));
}

/// As it is once the clock was set back, in the file of a grant that was accepted earlier in this boot.
#[test]
fn a81_a_grant_that_is_over_by_the_time_since_the_boot_is_not_accepted_once_more() {
    let host = Grants::start();
    let suite = &host.suite;
    let uptime = std::fs::read_to_string("/proc/uptime").expect("Linux");
    let uptime = uptime.split('.').next().and_then(|seconds| seconds.parse::<i64>().ok()).expect("seconds");
    let mut grant = Text::new(&suite.public_key("bob"));
    grant.end = grant.begin + (uptime / 2).min(HOUR);
    let signed = let_in(&host, &grant);
    admitted(&sudo(suite, "bob"));
    // Accepted just now, and in the first second of this boot.
    suite.host.must(&format!("sed -i '1s/:[0-9.]*$/:1.00/' {ACCEPTED}/root@bob.*"));
    refused(&sudo(suite, "bob"));
    said(&host.bring(&signed), 1, "refused (grant-expired)");
    // Nor once others have come, and what is over was looked at.
    let_in(&host, &Text::new("none"));
    said(&host.bring(&signed), 1, "refused (grant-expired)");
}

#[test]
fn a82_a_key_that_the_directory_does_not_have_for_them_is_nobodys() {
    let host = Grants::start();
    let suite = &host.suite;
    suite.host.must("ssh-keygen -qt ed25519 -N '' -C fresh -f /root/keys/fresh");
    let fresh = Text::new(&suite.public_key("fresh"));
    said(
        &host.bring(&fresh.sign(suite, &["alice", "carol"])),
        1,
        "refused (person): the directory does not have the key",
    );
    let ghost = Text { person: "ghost", ..Text::new("none") };
    said(
        &host.bring(&ghost.sign(suite, &["alice", "carol"])),
        1,
        "refused (person): the directory has nobody of the name ghost",
    );
    // Eight for one person, and no more.
    for _ in 0..8 {
        let_in(&host, &Text::new("none"));
    }
    let more = Text::new("none").sign(suite, &["alice", "carol"]);
    said(&host.bring(&more), 2, "too many grants for this person");
    said(
        &host.bring(&Text { person: "dave", ..Text::new("none") }.sign(suite, &["alice", "carol"])),
        0,
        "accepted: dave",
    );
}

#[test]
fn a85_the_door_takes_a_text_and_does_nothing_else() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new(&suite.public_key("bob"));
    let signed = grant.sign(suite, &["alice", "carol"]);
    suite.host.write("/tmp/text", &signed, 0o644);
    let through = |key: &str, options: &str, command: &str| {
        suite.host.sh(&format!(
            "timeout 120 ssh -F none -i /root/keys/{key} -p 2222 -o IdentitiesOnly=yes -o BatchMode=yes \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null {options} oncall-grant@127.0.0.1 {command} </tmp/text"
        ))
    };
    suite.host.must("ssh-keygen -qt ed25519 -N '' -f /root/keys/stranger");
    said(&through("stranger", "", ""), 255, "Permission denied");
    // dave carries it, who is no approver; whatever he asks for, it is taken for a text.
    let _ = suite.log_lines();
    let output = through("dave", "", "id");
    said(&output, 0, "accepted: bob may enter root");
    assert!(!text(&output).contains("uid="), "{}", text(&output));
    let log = suite.log_lines().join("\n");
    assert!(log.contains(" by=dave"), "{log}");
    admitted(&sudo(suite, "bob"));
    refused(&sudo(suite, "dave"));
    refused(&suite.ssh("dave", "root", "id -u"));
    said(&through("carol-2", "", ""), 0, "in force until");
    // No terminal, no subsystem, no forwarding.
    let output = through("dave", "-tt", "");
    assert!(text(&output).contains("PTY allocation request failed"), "{}", text(&output));
    let output = through("dave", "-s", "sftp");
    assert!(text(&output).contains("in force until"), "{}", text(&output));
    let forward = suite.host.sh(
        "timeout 120 ssh -F none -i /root/keys/dave -p 2222 -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -W 127.0.0.1:2222 oncall-grant@127.0.0.1 </dev/null",
    );
    assert!(!forward.status.success() && text(&forward).contains("prohibited"), "{}", text(&forward));
    // Of others the name of the account counts, whoever they say they are.
    let _ = suite.log_lines();
    let path = "/tmp/text";
    said(&suite.run_as("dave", &format!("oncall-cache grant use --by alice <{path}")), 0, "in force until");
    let log = suite.lines_of("oncall-grant-accept").join("\n");
    assert!(log.contains(" by=dave") && !log.contains(" by=alice"), "{log}");
    // Revoked, somebody has no way in here either. And explain takes no text.
    suite.host.must("oncall-cache revoke dave");
    said(&through("dave", "", ""), 255, "Permission denied");
    let explained = suite.host.sh(&format!("oncall-cache explain <{path}"));
    assert!(!text(&explained).contains("in force"), "{}", text(&explained));
    // Where no rule takes grants, the door is shut.
    suite.host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    said(&through("carol", "", ""), 255, "Permission denied");
}

#[test]
fn a86_one_user_takes_nothing_from_others() {
    let host = Grants::start();
    let suite = &host.suite;
    // As one user: silent clients, and wrong texts as fast as they can be sent; and its programs are killed.
    suite.host.write(
        "/tmp/flood",
        "while :; do for n in 1 2 3 4 5 6 7 8; do echo wrong | oncall-cache grant use & done; wait; done\n",
        0o755,
    );
    suite.host.daemon(&["/usr/sbin/runuser", "-u", "dave", "--", "/bin/sh", "/tmp/flood"], "/dev/null");
    let silent: Vec<UnixStream> =
        (0..20).filter_map(|_| UnixStream::connect(suite.host.path(SOCKET)).ok()).collect();
    // Root's own are full of silent ones for two seconds at most; carol's come through at once.
    for _ in 0..5 {
        let grant = Text::new("none").sign(suite, &["alice", "carol"]);
        said(&host.bring_as("carol", &grant), 0, "accepted");
        suite.host.must("pkill -KILL -x oncall-grant-ac");
        let again = Text { person: "dave", ..Text::new("none") }.sign(suite, &["alice", "carol"]);
        wait_until("it is there again", || host.bring_as("root", &again).status.success());
    }
    drop(silent);
    let log = suite.lines_of("oncall-grant-accept");
    assert!(log.iter().any(|line| line.contains(" by=dave ") || line.ends_with(" by=dave")), "{log:#?}");
}

#[test]
fn who_becomes_the_acceptors_user_lets_nobody_in() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new(&suite.public_key("bob"));
    let_in(&host, &grant);
    let kept = suite.host.must(&format!("cat {ACCEPTED}/root@bob.{}", grant.id));
    let (first, document) = kept.split_once('\n').expect("a line, then the text");
    let keep = |name: &str, content: String| {
        suite.host.must(&format!("rm -f {ACCEPTED}/*"));
        let path = format!("{ACCEPTED}/{name}.{}", grant.id);
        suite.host.write(&path, content, 0o640);
        suite.host.must(&format!("chown oncall-grant-accept:authkeys {path}"));
    };
    keep("root@bob", kept.clone());
    admitted(&sudo(suite, "bob"));
    // Fewer signatures, another text, another rule, a longer window, another person, no signature at all.
    let one = grant.sign(suite, &["carol"]);
    for (name, content) in [
        ("root@bob", format!("{first}\n{one}")),
        ("root@bob", format!("{first}\n{}", grant.text())),
        ("root@bob", kept.replacen("person: bob", "person: dave", 1)),
        ("root@bob", kept.replacen(" night ", " day ", 1)),
        ("root@carol", kept.clone()),
        ("root@dave", kept.replacen("person: bob", "person: dave", 1)),
        ("root@bob", format!("{first}\n{}", document.replacen("disk", "disc", 1))),
        ("root@bob", document.to_string()),
        ("root@bob", String::new()),
    ] {
        keep(name, content.clone());
        for person in ["carol", "dave"] {
            refused(&sudo(suite, person));
        }
        if name == "root@bob" {
            refused(&sudo(suite, "bob"));
        }
    }
    // The window that was signed, whatever is said of the acceptance.
    let over = Text { begin: now() - HOUR, issued: now() - HOUR, end: now() - 1, ..grant.clone() };
    keep("root@bob", format!("{first}\n{}", over.sign(suite, &["alice", "carol"])));
    refused(&sudo(suite, "bob"));
    admitted(&sudo(suite, "alice"));
    // Others who can write there are not believed either.
    keep("root@bob", kept.clone());
    suite.host.must(&format!("chmod 666 {ACCEPTED}/root@bob.*"));
    refused(&sudo(suite, "bob"));
    suite.host.must(&format!("chmod 640 {ACCEPTED}/root@bob.* && chmod 2777 {ACCEPTED}"));
    refused(&sudo(suite, "bob"));
}

#[test]
fn what_is_sent_to_the_socket_is_bounded() {
    let host = Grants::start();
    let ask = |sent: &[u8]| {
        let mut stream = UnixStream::connect(host.suite.host.path(SOCKET)).expect("somebody listens");
        let _ = stream.write_all(sent).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("an answer");
        told
    };
    assert!(ask(b"form: 1\n").starts_with("2 not a request"));
    assert!(ask(&[b'x'; 8300]).starts_with("2 "));
    // Silent, and half of one: the end comes by itself.
    let mut half = UnixStream::connect(host.suite.host.path(SOCKET)).expect("somebody listens");
    half.write_all(b"use 1\nform: 1\n").expect("it is taken");
    let mut told = String::new();
    half.read_to_string(&mut told).expect("an answer");
    assert!(told.starts_with("2 nothing whole came within two seconds"), "{told}");
}

#[test]
fn without_a_rule_nothing_of_grants_is_read() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new(&suite.public_key("bob"));
    let signed = let_in(&host, &grant);
    admitted(&sudo(suite, "bob"));
    suite.host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    refused(&sudo(suite, "bob"));
    refused(&suite.ssh("bob", "root", "id -u"));
    said(&host.bring(&signed), 1, "no [[policy.grant]] covers this host (testhost)");
    let elsewhere = RULE.replace("accounts =", "hosts = ['web*']\naccounts =");
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{elsewhere}"), 0o644);
    refused(&sudo(suite, "bob"));
    said(&host.bring(&signed), 1, "no [[policy.grant]] covers this host (testhost)");
}
