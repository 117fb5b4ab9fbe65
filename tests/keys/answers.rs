//! Which answers of a directory are accepted whole, and which not at all.

use harness::hostile::{Hostile, Number, Play, ber};
use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::text;

use super::{MEMORY, Site, config, key_of, stdout};

#[test]
fn a08_a09_another_spelling_and_a_second_entry_are_ambiguous() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = suite.public_key("bob");
    // slapd compares uid without case: it finds this entry for eve.
    site.slapd.add_person("Eve", "", &[&key]);
    site.cannot_tell("eve", "ldap-ambiguous");
    let twin = |name: &str| {
        format!(
            "dn: cn={name},{}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\ncn: {name}\nsn: x\nuid: alice\nsshPublicKey: {key}\n",
            Slapd::BASE
        )
    };
    suite.sync_keys();
    site.slapd.modify(&twin("twin"));
    // What the directory said before does not hide what it says now.
    site.age_copy(400);
    site.cannot_tell("alice", "ldap-ambiguous");
    site.without_copy();
    let line = site.cannot_tell("alice", "ldap-ambiguous");
    assert!(line.contains("2\\x20entries"), "{line}");
    site.slapd.delete(&format!("cn=twin,{}", Slapd::BASE));
    site.serves_alice();
    site.slapd.modify(&format!("dn: uid=alice,{}\nchangetype: modify\nadd: uid\nuid: bob\n", Slapd::BASE));
    site.cannot_tell("alice", "ldap-ambiguous");
}

#[test]
fn a10_referrals_references_and_aliases_lead_nowhere() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let elsewhere = "ldap://127.0.0.1:7636/dc=example,dc=com";
    site.slapd.modify(&format!(
        "dn: ou=elsewhere,{base}\nchangetype: add\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\nref: {elsewhere}\n
dn: uid=ghost,{base}\nchangetype: add\nobjectClass: alias\nobjectClass: extensibleObject\nuid: ghost\naliasedObjectName: uid=alice,{base}\n",
        base = Slapd::BASE
    ));
    site.hostile.play(Play::Plain(Vec::new()));
    // Somebody of that name may be there as well, and it may be there that a name is.
    for name in ["alice", "ghost"] {
        let line = site.cannot_tell(name, "ldap-partial");
        assert!(line.contains("refers\\x20to"), "{line}");
    }
    let ignoring = |urls: &[&str]| config(urls, "").replace("[keys]", "referrals = 'ignore'\n[keys]");
    suite.host.write("/etc/authkeys/config.toml", ignoring(&[Slapd::LDAPS_URL]), 0o644);
    site.forget_outages();
    site.serves_alice();
    assert!(site.knows_none_for("ghost").contains("reason=no-such-user"));
    assert_eq!(site.hostile.counted(), (0, 0));
    let key = key_of(&suite, "alice");
    let person = ber::person("alice", &[key.as_bytes()]);
    for end in [vec![person.clone(), ber::referral(elsewhere)], vec![ber::referral(elsewhere)]] {
        site.without_copy();
        site.face(Hostile::LDAPS_URL, Play::Answers(vec![vec![ber::bind_success()], end]));
        site.cannot_tell("alice", "ldap-partial");
        assert_eq!(site.hostile.counted(), (1, 2), "one connection, bind and search");
    }
    let turns =
        |url| vec![vec![ber::bind_success()], vec![ber::reference(url), person.clone(), ber::done(0)]];
    site.without_copy();
    site.face(Hostile::LDAPS_URL, Play::Answers(turns(elsewhere)));
    site.cannot_tell("alice", "ldap-partial");
    site.forget_outages();
    suite.host.write("/etc/authkeys/config.toml", ignoring(&[Hostile::LDAPS_URL]), 0o644);
    site.serves_alice();
    assert_eq!(site.hostile.counted().0, 2);
    // Active Directory's own, where no people are.
    site.without_copy();
    let zones = "ldap://ForestDnsZones.example.com/DC=ForestDnsZones,DC=example,DC=com";
    site.face(Hostile::LDAPS_URL, Play::Answers(turns(zones)));
    site.serves_alice();
}

#[test]
fn an_entry_that_is_not_below_the_base_is_not_a_persons() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = key_of(&suite, "bob");
    for dn in [
        "uid=alice,ou=robots,dc=example,dc=com",
        "uid=alice,ou=otherpeople,dc=example,dc=com",
        "uid=alice\\,ou=people\\,dc=example\\,dc=com",
        "uid=alice,ou=people,dc=example,dc=com,dc=org",
        "alice",
    ] {
        let entry = ber::entry(dn, &[("uid", &[b"alice"]), ("sshPublicKey", &[key.as_bytes()])]);
        site.without_copy();
        site.face(
            Hostile::LDAPS_URL,
            Play::Answers(vec![vec![ber::bind_success()], vec![entry, ber::done(0)]]),
        );
        site.cannot_tell("alice", "ldap-ambiguous");
    }
}

#[test]
fn an_attribute_that_comes_twice_is_taken_together() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let (dn, key) = ("uid=alice,ou=people,dc=example,dc=com", key_of(&suite, "alice"));
    let keys: (&str, &[&[u8]]) = ("sshPublicKey", &[key.as_bytes()]);
    let play = |attributes: &[(&str, &[&[u8]])]| {
        let entry = ber::entry(dn, attributes);
        site.without_copy();
        site.face(
            Hostile::LDAPS_URL,
            Play::Answers(vec![vec![ber::bind_success()], vec![entry, ber::done(0)]]),
        );
    };
    for lock in ["nsAccountLock", "NSACCOUNTLOCK"] {
        play(&[("uid", &[b"alice"]), keys, ("nsAccountLock", &[b"TRUE"]), (lock, &[b"FALSE"])]);
        assert!(site.knows_none_for("alice").contains("reason=account-disabled"), "{lock}");
    }
    play(&[("uid", &[b"bob"]), keys, ("UID", &[b"alice"])]);
    site.cannot_tell("alice", "ldap-ambiguous");
    let other = key_of(&suite, "bob");
    play(&[("uid", &[b"alice"]), keys, ("sshPublicKey", &[other.as_bytes()])]);
    assert_eq!(stdout(&site.run("alice")).lines().count(), 2, "both keys");
}

#[test]
fn what_nobody_asked_for_makes_an_answer_none_and_nothing_is_remembered() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = key_of(&suite, "alice");
    let person = || (Number::Asked, ber::person("alice", &[key.as_bytes()]));
    let done = || (Number::Asked, ber::done(0));
    let strange = || ber::person("alice", &[key_of(&suite, "bob").as_bytes()]);
    for (what, answer) in [
        ("an entry after the result", vec![person(), done(), (Number::Asked, strange())]),
        ("a second result", vec![person(), done(), done()]),
        ("an entry under another number", vec![(Number::Other, strange()), person(), done()]),
        ("a result under another number", vec![(Number::Other, ber::done(0)), person(), done()]),
        ("one after the result", vec![person(), done(), (Number::Other, strange())]),
        ("somebody's absence, and then more", vec![done(), person()]),
    ] {
        site.without_copy();
        let turns = vec![vec![(Number::Asked, ber::bind_success())], answer];
        site.face(Hostile::LDAPS_URL, Play::Numbered(turns));
        site.cannot_tell("alice", "ldap-unavailable");
        let kept =
            suite.host.must(&format!("sqlite3 {MEMORY}/lookups.db 'SELECT count(*) FROM answer' || echo 0"));
        assert_eq!(kept, "0\n", "{what}");
    }
    // The same conversation without it.
    site.face(
        Hostile::LDAPS_URL,
        Play::Numbered(vec![vec![(Number::Asked, ber::bind_success())], vec![person(), done()]]),
    );
    site.serves_alice();
}

#[test]
fn a11_entries_that_end_in_an_error_are_not_believed() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let stranger = made_keys::numbered(1);
    let turns = |code| {
        let person = ber::person("alice", &[stranger.as_bytes()]);
        Play::Answers(vec![vec![ber::bind_success()], vec![person, ber::done(code)]])
    };
    for code in [4, 3, 51] {
        site.without_copy();
        site.face(Hostile::LDAPS_URL, turns(code));
        site.cannot_tell("alice", "ldap-partial");
        site.configure(&[Slapd::LDAPS_URL], "");
        suite.sync_keys();
        site.age_copy(400);
        site.face(Hostile::LDAPS_URL, turns(code));
        let line = site.serves_alice();
        assert!(line.contains("reason=keys-stale") && line.contains("directory=ldap-partial"), "{line}");
    }
}

#[test]
fn a_server_that_repeats_the_password_does_not_bring_it_into_the_log() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    // Also where it would be cut, or stands among bytes that are replaced.
    for repeated in [
        Slapd::BIND_PASSWORD.to_string(),
        format!("{}{}", "x".repeat(190), Slapd::BIND_PASSWORD),
        format!("\u{e9}\n{}\0", Slapd::BIND_PASSWORD),
    ] {
        for (turns, reason) in [
            (vec![vec![ber::refused(true, 49, &repeated)]], "ldap-unavailable"),
            (vec![vec![ber::bind_success()], vec![ber::refused(false, 51, &repeated)]], "ldap-partial"),
        ] {
            site.face(Hostile::LDAPS_URL, Play::Answers(turns.clone()));
            let start = &Slapd::BIND_PASSWORD[..6];
            let live = site.cannot_tell("alice", reason);
            let sync = suite.run_as("authkeys-sync", "authkeys-sync");
            for said in [live, text(&site.run("alice")), text(&sync)] {
                assert!(!said.contains(start), "{reason}: {said}");
            }
            let kept = suite.host.must(&format!("grep -rc '{start}' {MEMORY} | grep -v ':0$' || true"));
            assert_eq!(kept, "");
        }
    }
}

#[test]
fn a11_a_part_of_a_persons_values_is_no_answer() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = key_of(&suite, "alice");
    for name in ["sshPublicKey;range=0-1499", "uid;range=0-1", "nsAccountLock;range=0-0"] {
        let person = ber::person_with("alice", name, &[key.as_bytes()]);
        let turns = vec![vec![ber::bind_success()], vec![person, ber::done(0)]];
        site.face(Hostile::LDAPS_URL, Play::Answers(turns));
        assert!(site.cannot_tell("alice", "ldap-partial").contains("range"), "{name}");
    }
}

#[test]
fn a09_the_copy_and_a_live_question_have_one_rule_for_a_second_claim() {
    for claim in ["uid: DAVE", "uid;lang-en: dave"] {
        let suite = Suite::start();
        let site = Site::start(&suite);
        let plain = if claim.starts_with("uid;") { "uid: twin\n" } else { "" };
        site.slapd.modify(&format!(
            "dn: cn=twin,{}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\ncn: twin\nsn: x\n{plain}{claim}\n",
            Slapd::BASE
        ));
        site.cannot_tell("dave", "ldap-ambiguous");
        suite.sync_keys();
        assert!(site.knows_none_for("dave").contains("reason=no-such-user"), "{claim}");
    }
}
