//! Several sources: none takes another's name or harms its shifts.

use harness::suite::{DAY, HOUR, Suite, instant, now};
use harness::text;

use super::{THREE, checks, configure_sources, document, on_call, sync, three, write_rota};

#[test]
fn a_schedule_that_takes_anothers_name_or_place_is_not_taken_for_it() {
    let suite = Suite::start();
    three(&suite);
    // `two` is gone, and one that nobody asked for calls itself so.
    let rota = |suite: &Suite| {
        write_rota(
            suite,
            &[THREE[0], ("interns", &[("dave", -HOUR, HOUR), ("carol", -HOUR, HOUR)]), THREE[2]],
        );
        suite.host.must("sed -i \"s/id = 'interns'/id = 'interns'\\nname = 'two'/\" /etc/authkeys/rota.toml");
    };
    rota(&suite);
    let said = sync(&suite, "", 1);
    assert!(
        said.contains("schedule rota/two: guard-tripped: `two` was two and would now be interns"),
        "{said}"
    );
    assert_eq!(on_call(&suite)[1], ("rota/two".to_string(), vec!["bob".to_string()]));
    let said = sync(&suite, "--accept rota/nonsense", 64);
    assert!(
        said.contains(
            "there is no schedule `rota/nonsense` to accept; there are rota/one, rota/three, rota/two"
        ),
        "{said}"
    );
    sync(&suite, "--accept rota/two", 0);
    assert_eq!(on_call(&suite)[1].1, ["carol", "dave"]);
    sync(&suite, "", 0);
}

#[test]
fn what_a_source_without_a_list_tells_of_no_more_stays_until_it_is_too_old() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, DAY)]);
    suite.sync();
    suite.host.must("sed -i s/primary/primery/ /etc/authkeys/rota.toml");
    let said = sync(&suite, "", 1);
    assert!(said.contains("schedule rota/primary: source-incomplete: the source no longer has it"), "{said}");
    assert_eq!(checks(&suite, ["alice"]), [Some(0)]);
    // Emptied altogether, and somebody else leaves the eligible group meanwhile.
    suite.host.must("echo >/etc/authkeys/rota.toml");
    let people = suite.host.read("/etc/authkeys/people.toml");
    let without_bob = people.replace(
        "username = 'bob'\nmail = ['bob@example.com']\neligible = true",
        "username = 'bob'\nmail = ['bob@example.com']\neligible = false",
    );
    assert_ne!(people, without_bob);
    suite.host.write("/etc/authkeys/people.toml", without_bob, 0o644);
    suite.sync_keys();
    let said = sync(&suite, "", 2);
    assert!(said.contains("published again, with the people who are eligible now"), "{said}");
    assert_eq!(checks(&suite, ["alice", "bob"]), [Some(0), Some(1)]);
    // What was published again is written down: alice's shift stands, so nothing of hers is lost.
    let history = suite.host.read("/var/lib/oncall-cache/history.jsonl");
    assert!(!history.contains("lost"), "{history}");
}

#[test]
fn a_source_that_stalls_or_whose_clock_is_wrong_harms_no_other() {
    let suite = Suite::start();
    let file = |name: &str| format!("provider = 'file'\nfile = '/etc/authkeys/{name}.json'");
    // Neither is over before the other one has begun: one after the other, both would wait in vain.
    let meet = "#!/bin/sh\ntouch /tmp/began.$1; until [ -e /tmp/began.$2 ]; do sleep 0.05; done; touch /tmp/met.$1; sleep 60\n";
    suite.host.write("/etc/authkeys/meet", meet, 0o755);
    let slow = |own: &str, other: &str| {
        format!("provider = 'exec'\ncommand = ['/etc/authkeys/meet', '{own}', '{other}']\ntimeout = '8s'")
    };
    configure_sources(
        &suite,
        &[
            ("slow1", &slow("1", "2")),
            ("slow2", &slow("2", "1")),
            ("ahead", &file("ahead")),
            ("good", &file("good")),
        ],
        "'good/p', 'ahead/p'",
    );
    let hour_ahead = format!(r#""generated_at":"{}","#, instant(now() + HOUR));
    let right = format!(r#""generated_at":"{}","#, instant(now()));
    let bob = r#"{"id":"2","username":"bob"}"#;
    suite.host.write("/etc/authkeys/ahead.json", document("p", bob, &hour_ahead), 0o644);
    suite.host.write(
        "/etc/authkeys/good.json",
        document("p", r#"{"id":"1","username":"alice"}"#, &right),
        0o644,
    );
    suite.sync_keys();
    let said = sync(&suite, "", 1);
    for met in ["/tmp/met.1", "/tmp/met.2"] {
        assert!(suite.host.path(met).exists(), "one after the other: {met}");
    }
    assert!(
        said.contains("schedule ahead/p: source-error: its `generated_at` and this host's clock are"),
        "{said}"
    );
    assert_eq!(said.matches("not done after 8s").count(), 2, "{said}");
    assert_eq!(checks(&suite, ["alice"]), [Some(0)]);
}

#[test]
fn a_mail_address_that_changes_hands_takes_no_shift_along() {
    let suite = Suite::start();
    configure_sources(&suite, &[("it", "provider = 'file'\nfile = '/etc/authkeys/it.json'")], "'it/p'");
    let user = r#"{"id":"17","email":"alice@example.com"}"#;
    suite.host.write("/etc/authkeys/it.json", document("p", user, ""), 0o644);
    suite.sync();
    assert_eq!(checks(&suite, ["alice", "bob"]), [Some(0), Some(1)]);
    // alice is not eligible any more, and bob says that the address is his.
    let people = suite.host.read("/etc/authkeys/people.toml");
    let moved = people
        .replacen("eligible = true", "eligible = false", 1)
        .replace("['bob@example.com']", "['bob@example.com', 'Alice@Example.com']");
    suite.host.write("/etc/authkeys/people.toml", moved, 0o644);
    suite.sync_keys();
    for _ in 0..2 {
        let output = suite.run_as("oncall-cache", "oncall-cache sync");
        assert!(
            text(&output).contains("was alice and would now become bob (ambiguous-person)"),
            "{}",
            text(&output)
        );
        assert_eq!(checks(&suite, ["alice", "bob"]), [Some(1), Some(1)]);
    }
    sync(&suite, "--accept it/p", 0);
    assert_eq!(checks(&suite, ["bob"]), [Some(0)]);
}
