//! Several servers: their order, and what one that is down costs.

use std::process::Output;

use harness::hostile::{Hostile, Play, ber};
use harness::slapd::Slapd;
use harness::suite::{DAY, HOUR, Suite};
use harness::text;

use super::{MEMORY, Site, key_of, stdout, timed};

#[test]
fn servers_are_asked_in_their_order_and_one_that_is_down_costs_its_share() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.hostile.play(Play::Silence);
    let refused = "ldaps://127.0.0.1:1";
    site.configure(&[refused, Slapd::LDAPS_URL], "");
    site.serves_alice();
    site.configure(&[Hostile::LDAPS_URL, refused, Slapd::LDAP_URL], "timeout = '6s'");
    timed(800, || site.serves_alice());
    site.configure(&["ldaps://no-such-name.invalid", Slapd::LDAPS_URL], "");
    site.serves_alice();
    assert_eq!(site.hostile.counted().0, 1);
    site.configure(&[Hostile::LDAPS_URL, refused], "timeout = '1s'");
    site.without_copy();
    let output = site.run("alice");
    let said = text(&output);
    assert!(said.contains("hostile.example.com") && said.contains("127.0.0.1"), "both are named: {said}");
    site.forget_outages();
    site.configure(&[refused, Slapd::LDAPS_URL], "");
    assert!(suite.sync_keys().contains("4 people"));
}

#[test]
fn with_the_directory_down_logins_go_by_the_fault_table() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    // No roster: an account that nothing guards.
    let login = || suite.ssh("dave", "dave", "echo in");
    let admitted = |output: &Output| output.status.success() && stdout(output) == "in\n";
    suite.sync_keys();
    site.slapd.stop();
    for (age, lets_in, what) in
        [(0, true, "fresh"), (HOUR, true, "stale"), (DAY + HOUR, false, "too old"), (-HOUR, false, "future")]
    {
        site.age_copy(age);
        let output = login();
        assert_eq!(admitted(&output), lets_in, "{what}: {}", text(&output));
    }
    site.without_copy();
    let output = login();
    assert!(!admitted(&output), "absent: {}", text(&output));
    site.slapd.resume();
    site.forget_outages();
    let output = login();
    assert!(admitted(&output), "absent, and the directory is back: {}", text(&output));
    // A key removed in the directory is refused after the next sync, also when the directory then goes down.
    suite.sync_keys();
    site.slapd.modify(&format!(
        "dn: uid=dave,{}\nchangetype: modify\nreplace: sshPublicKey\nsshPublicKey: {}\n",
        Slapd::BASE,
        suite.public_key("bob")
    ));
    suite.sync_keys();
    assert!(!admitted(&login()), "the old key");
    assert!(admitted(&suite.ssh("bob", "dave", "echo in")), "the new key");
    site.slapd.stop();
    site.age_memory(2 * HOUR);
    site.age_copy(HOUR);
    assert!(!admitted(&login()), "the old key, in an outage");
    assert!(admitted(&suite.ssh("bob", "dave", "echo in")), "the new key, in an outage");
}

#[test]
fn who_had_little_time_does_not_say_that_the_directory_is_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.configure(&[Hostile::LDAPS_URL], "source = 'live'\ntimeout = '8s'");
    site.hostile.play(Play::Silence);
    // Somebody else asks about alice, and takes long, from when this one waits: less than half of the time is left.
    let script = format!(
        "flock {MEMORY}/turn.alice sh -c 'touch /tmp/held; until pgrep -x authkeys; do sleep 0.01; done >/dev/null; sleep 5' &
         until [ -e /tmp/held ]; do sleep 0.05; done
         authkeys alice; echo $?; ls {MEMORY} | grep -c '^down'"
    );
    let output = timed(7_000, || suite.run_as("authkeys", &script));
    assert_eq!(stdout(&output), "2\n0\n", "{}", text(&output));
    assert_eq!(site.hostile.counted().0, 1, "it did ask");
    // With all of its time it may say so.
    let output = suite.run_as("authkeys", &format!("authkeys bob; ls {MEMORY} | grep '^down'"));
    assert_eq!(stdout(&output), "down\n", "{}", text(&output));
}

#[test]
fn a_server_without_time_is_asked_once_in_30_seconds() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for (code, everybodys) in [(3, false), (11, false), (51, true), (52, true)] {
        let play = Play::Answers(vec![vec![ber::bind_success()], vec![ber::done(code)]]);
        site.face(Hostile::LDAPS_URL, play);
        let _ = site.hostile.counted();
        for turn in 0..6 {
            let line = site.cannot_tell("alice", "ldap-partial");
            assert!(
                line.contains("ended\\x20early,\\x20after"),
                "{turn}: the mark says what was wrong: {line}"
            );
        }
        assert_eq!(site.hostile.counted().0, 1, "{code}");
        site.cannot_tell("bob", "ldap-partial");
        assert_eq!(site.hostile.counted().0, usize::from(!everybodys), "{code}");
    }
}

#[test]
fn a_server_that_is_down_costs_its_share_once_and_is_asked_last() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.configure(&[Hostile::LDAPS_URL, Slapd::LDAPS_URL], "timeout = '6s'");
    site.hostile.play(Play::Silence);
    timed(2_000, || site.serves_alice());
    for _ in 0..5 {
        site.serves_alice();
    }
    let dave = stdout(&site.run("dave"));
    assert_eq!(dave, format!("{} dave\n", key_of(&suite, "dave")));
    assert_eq!(site.hostile.counted().0, 1);
    // It is asked still if the others are down.
    site.slapd.stop();
    site.hostile.play(Play::Answers(vec![vec![ber::bind_success()], vec![ber::done(0)]]));
    assert!(site.knows_none_for("eve").contains("source=directory"));
}

#[test]
fn six_keys_at_a_black_hole_wait_one_deadline_in_all() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync_keys();
    site.age_copy(HOUR);
    site.configure(&[Hostile::LDAPS_URL], "timeout = '3s'");
    site.hostile.play(Play::Silence);
    let login = || {
        let others: String = (1..6).map(|n| format!("-i /tmp/wrong{n} ")).collect();
        suite.host.sh(&format!(
            "for n in 1 2 3 4 5; do [ -e /tmp/wrong$n ] || ssh-keygen -qt ed25519 -N '' -f /tmp/wrong$n; done; date +%s%N
             timeout 300 ssh -F none {others} -i /root/keys/dave -o IdentitiesOnly=yes -o BatchMode=yes \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p 2222 dave@127.0.0.1 'echo in'; date +%s%N"
        ))
    };
    let took = |output: &Output| {
        let said = stdout(output);
        let numbers: Vec<u128> = said.lines().filter_map(|line| line.parse().ok()).collect();
        assert!(said.contains("\nin\n"), "{}", text(output));
        (numbers[1] - numbers[0]) / 1_000_000
    };
    let _ = suite.lines_of("authkeys");
    let first = took(&login());
    let runs = suite.lines_of("authkeys");
    println!("six keys at a black hole: {first} ms, {} runs of authkeys, deadline 3000 ms", runs.len());
    assert!(runs.len() >= 6, "{runs:#?}");
    assert!(first >= 2_500, "{first} ms");
    let second = took(&login());
    println!("the next login: {second} ms");
    assert_eq!(site.hostile.counted().0, 1, "neither the other keys nor the next login wait again");
}
