//! What is known of people while the directory is away, and for how long.

use harness::slapd::Slapd;
use harness::suite::{HOUR, Suite, now};
use harness::{text, wait_until};

use super::{MEMORY, Site, key_of, stdout};

#[test]
fn a16_who_is_gone_stays_gone_when_the_directory_goes_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for source in ["copy", "live"] {
        site.configure(&[Slapd::LDAPS_URL], &format!("source = '{source}'\ncache_ttl = '1s'"));
        suite.sync_keys();
        assert!(site.serves_alice().contains("reason=keys "));
        site.slapd.delete(&format!("uid=alice,{}", Slapd::BASE));
        suite.sync_keys();
        site.age_copy(10);
        if source == "live" {
            site.age_memory(10);
        }
        assert!(site.knows_none_for("alice").contains("reason=no-such-user"), "{source}");
        site.slapd.stop();
        site.age_copy(10);
        if source == "live" {
            site.age_memory(10);
        }
        let line = site.knows_none_for("alice");
        assert!(
            line.contains("reason=no-such-user") && line.contains("directory=ldap-unavailable"),
            "{line}"
        );
        let login = suite.ssh("alice", "alice", "true");
        assert!(!login.status.success(), "{}", text(&login));
        site.slapd.resume();
        site.forget_outages();
        site.without_copy();
        site.slapd.add_person("alice", "alice@example.com", &[&suite.public_key("alice")]);
    }
}

/// How a key of dave's stops being one, as LDIF, and the reason in the log.
fn ends() -> [(&'static str, String, &'static str); 4] {
    let modify =
        |name: &str, what: &str| format!("dn: uid={name},{}\nchangetype: modify\n{what}\n", Slapd::BASE);
    let shadow = "add: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: 1";
    [
        ("disabled", modify("dave", shadow), "decision=known reason=account-disabled "),
        ("without keys", modify("dave", "delete: sshPublicKey"), "decision=known reason=no-keys "),
        ("ambiguous", modify("bob", "add: uid\nuid: dave"), "decision=unknown reason=ldap-ambiguous "),
        (
            "gone",
            format!("dn: uid=dave,{}\nchangetype: delete\n", Slapd::BASE),
            "decision=known reason=no-such-user ",
        ),
    ]
}

#[test]
fn a16_the_last_word_of_the_directory_outlives_it_whatever_an_older_copy_says() {
    for source in ["copy", "live"] {
        for (what, ldif, reason) in ends() {
            let suite = Suite::start();
            let site = Site::start(&suite);
            site.configure(&[Slapd::LDAPS_URL], &format!("source = '{source}'\ncache_ttl = '2s'"));
            suite.sync_keys();
            let login = || suite.ssh("dave", "dave", "echo in").status.success();
            assert!(source == "copy" || login(), "{source}, {what}: before");
            site.slapd.modify(&ldif);
            if source == "live" {
                site.age_memory(HOUR)
            } else {
                site.age_copy(HOUR)
            }
            let said = |when: &str| {
                let _ = suite.lines_of("authkeys");
                let output = site.run("dave");
                let line = site.one_line();
                assert!(
                    stdout(&output).is_empty() && line.contains(reason),
                    "{source}, {what}, {when}: {line}"
                );
                line
            };
            said("live");
            site.slapd.stop();
            if source == "live" {
                site.age_memory(10);
            }
            for when in ["down", "found down a moment ago"] {
                let line = said(when);
                assert!(!line.contains("source=directory"), "{source}, {what}, {when}: {line}");
                assert!(!login(), "{source}, {what}, {when}");
            }
            // A sync that is later than the answer is the last word again.
            site.slapd.resume();
            if source == "copy" && what == "without keys" {
                site.slapd.modify(&format!(
                    "dn: uid=dave,{}\nchangetype: modify\nadd: sshPublicKey\nsshPublicKey: {}\n",
                    Slapd::BASE,
                    suite.public_key("dave")
                ));
                site.age_memory(60);
                suite.sync_keys();
                site.slapd.stop();
                site.age_copy(30);
                assert!(login(), "the copy is the newer word");
            }
        }
    }
}

#[test]
fn a_live_answer_counts_from_when_it_was_asked_and_never_covers_a_later_sync() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let (own, other) = (key_of(&suite, "alice"), made_keys::numbered(1));
    for source in ["live", "copy"] {
        site.configure(&[Slapd::LDAPS_URL], &format!("source = '{source}'\ntimeout = '10s'"));
        site.without_copy();
        // It takes connections, and does not answer.
        suite.host.must("pkill -STOP -x slapd");
        let before = now();
        suite.host.must(
            "rm -f /tmp/answer /tmp/answered
             (runuser -u authkeys -- authkeys alice; touch /tmp/answered) </dev/null >/tmp/answer 2>&1 &",
        );
        wait_until("the directory is asked", || suite.host.sh("pgrep -x authkeys-sync").status.success());
        let begun = now();
        wait_until("two seconds", || now() > begun + 2);
        suite.host.must("pkill -CONT -x slapd");
        wait_until("an answer", || suite.host.path("/tmp/answered").exists());
        assert_eq!(suite.host.read("/tmp/answer"), format!("{own} alice\n"), "{source}");
        let asked = suite.host.must(&format!("sqlite3 {MEMORY}/lookups.db 'SELECT asked FROM answer'"));
        let asked: i64 = asked.trim().parse().expect("a number");
        // It was answered later.
        assert!((before..=begun + 2).contains(&asked), "{source}: {before}, {begun}, {asked}");
        if source == "live" {
            continue;
        }
        // A sync that was asked for in the meantime, whatever it says, is later; one of the same second as well.
        site.give_alice(&[other.as_bytes()]);
        suite.sync_keys();
        site.slapd.stop();
        for (after, keys) in [(1, 2), (0, 2), (-1, 1)] {
            // By then the copy is no fresh one.
            site.age_both(600, 600 - after);
            let output = site.run("alice");
            assert_eq!(stdout(&output).lines().count(), keys, "{after}: {}", site.why(&output));
        }
    }
}

#[test]
fn a17_an_old_copy_is_served_a_day_and_one_from_the_future_never() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for source in ["copy", "live"] {
        site.configure(&[Slapd::LDAPS_URL], &format!("source = '{source}'"));
        suite.sync_keys();
        site.serves_alice();
        let age = |seconds| if source == "copy" { site.age_copy(seconds) } else { site.age_memory(seconds) };
        site.slapd.stop();
        age(23 * HOUR);
        let line = site.serves_alice();
        assert!(line.contains("reason=keys-stale keys=1 owners=alice age=828"), "{source}: {line}");
        age(25 * HOUR);
        site.cannot_tell("alice", "cache-stale");
        age(-HOUR);
        if source == "copy" {
            site.cannot_tell("alice", "clock-rollback");
        } else {
            // The clock was ahead when it was asked: by what is proven it is right now, and how long ago that was is told
            // by the one that nobody sets.
            assert!(site.serves_alice().contains("reason=keys "));
            let proven = suite.host.read("/var/lib/authkeys/keys.clock");
            suite.host.must("rm /var/lib/authkeys/keys.clock");
            site.cannot_tell("alice", "clock-rollback");
            suite.host.write("/var/lib/authkeys/keys.clock", proven, 0o640);
            suite.host.must("chown authkeys-sync:authkeys /var/lib/authkeys/keys.clock");
        }
        age(-100);
        assert!(site.serves_alice().contains("reason=keys "), "within the skew");
        age(25 * HOUR);
        site.slapd.resume();
        site.forget_outages();
        assert!(site.serves_alice().contains("source=directory"), "{source}");
        age(-HOUR);
        // What was asked for by a clock that was ahead is as young as it is.
        assert_eq!(site.serves_alice().contains("source=directory"), source == "copy", "{source}");
    }
}

/// What an answer has taken away does not come back with the power; every other one costs sshd no wait for a disk.
#[test]
fn an_answer_that_takes_something_back_is_on_the_disk_before_it_counts() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let change = |change: &str| {
        site.slapd.modify(&format!("dn: uid=alice,{}\nchangetype: modify\n{change}\n", Slapd::BASE));
    };
    let key = |name: &str| suite.public_key(name);
    // How often a run of `authkeys alice` waits for the disk, and how many keys it prints.
    let waits = || {
        let authkeys = "setpriv --reuid authkeys --regid authkeys --init-groups /usr/bin/authkeys alice";
        let traced = suite.host.traced("fsync,fdatasync,sync_file_range,syncfs,sync", authkeys);
        let output = &traced.output;
        assert!(output.status.success(), "{}", text(output));
        let syncs = traced.calls().filter(|call| call.contains("sync(") && call.ends_with("= 0")).count();
        (syncs > 0, stdout(output).lines().count())
    };
    for source in ["live", "copy"] {
        site.configure(&[Slapd::LDAPS_URL], &format!("source = '{source}'\ncache_ttl = '1s'"));
        change(&format!(
            "replace: sshPublicKey\nsshPublicKey: {}\nsshPublicKey: {}",
            key("alice"),
            key("bob")
        ));
        site.without_copy();
        suite.sync_keys();
        site.age_copy(400);
        // The memory is made, which is a file like others.
        site.run("bob");
        site.age_memory(2);
        assert_eq!(waits(), (false, 2), "{source}: nothing was remembered, or the copy says the same");
        site.age_memory(2);
        assert_eq!(waits(), (false, 2), "{source}: the same again");
        change(&format!("delete: sshPublicKey\nsshPublicKey: {}", key("bob")));
        site.age_memory(2);
        assert_eq!(waits(), (true, 1), "{source}: a key less");
        change("replace: sshPublicKey");
        site.age_memory(2);
        assert_eq!(waits(), (true, 0), "{source}: none left");
        site.age_memory(2);
        // Of a copy that says otherwise the directory's word is kept each time.
        assert_eq!(waits(), (source == "copy", 0), "{source}: none as before");
    }
    // What the copy says is taken back by the first answer.
    suite.sync_keys();
    change(&format!("replace: sshPublicKey\nsshPublicKey: {}", key("alice")));
    site.without_copy();
    suite.sync_keys();
    site.age_copy(400);
    site.run("bob");
    change("replace: sshPublicKey");
    assert_eq!(waits(), (true, 0), "the copy says otherwise");
}
