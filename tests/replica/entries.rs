//! Whose entry it is, and whether the account behind it is open.

use std::net::TcpListener;

use harness::slapd::Slapd;
use harness::suite::{DAY, HOUR, Suite, now};
use harness::text;

use super::{Site, config, dn};

#[test]
fn a05_keys_that_are_weak_or_mislabelled_are_dropped_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.host.must("ssh-keygen -qt rsa -b 1024 -N '' -f /root/keys/weak");
    let (weak, good) = (suite.public_key("weak"), suite.public_key("alice"));
    let mislabelled = good.replace("ssh-ed25519 ", "ssh-rsa ");
    let certificate = good.replace("ssh-ed25519 ", "ssh-ed25519-cert-v01@openssh.com ");
    let dss = good.replace("ssh-ed25519 ", "ssh-dss ");
    site.slapd.add_person("erin", "", &[&weak, &mislabelled, &certificate, &dss, "ssh-new AAAA", &good]);
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    assert_eq!(text(&output).matches("key-rejected").count(), 5, "{}", text(&output));
    assert_eq!(site.keys("erin"), site.line("alice", "erin"));
}

#[test]
fn a08_a_name_in_another_spelling_is_nobodys() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.add_person("Erin", "", &[&suite.public_key("alice")]);
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
    assert_eq!(site.keys("erin"), Some(String::new()));
}

#[test]
fn a09_a_name_that_a_second_entry_claims_is_nobodys_until_that_one_goes() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    let claim = |uid: &str, cn: &str| {
        let base = Slapd::BASE;
        site.slapd.modify(&format!(
            "dn: cn={cn},{base}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\ncn: {cn}\nsn: x\nuid: {uid}\nsshPublicKey: {}\n",
            suite.public_key("dave")
        ));
    };
    claim("alice", "thief");
    let (said, counts) = site.sync_counted();
    assert_eq!(said, "0 changed, 1 removed, 3 people");
    assert_eq!(counts, [1, 4, 5], "the change cannot be judged by itself");
    assert_eq!(site.keys("alice"), Some(String::new()));
    // People whom it does not concern go on by changes alone.
    site.modify("bob", "replace: mail\nmail: other@example.com");
    assert_eq!(site.sync_counted(), ("1 changed, 0 removed, 3 people".to_string(), vec![1, 4]));
    site.slapd.delete(&format!("cn=thief,{}", Slapd::BASE));
    assert_eq!(site.sync(), "1 changed, 0 removed, 4 people");
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
    // A second value of the own entry claims as well.
    site.modify("dave", "add: uid\nuid: alice");
    assert_eq!(site.sync(), "0 changed, 2 removed, 2 people");
    site.modify("dave", "delete: uid\nuid: alice");
    assert_eq!(site.sync(), "2 changed, 0 removed, 4 people");
    assert_eq!(site.keys("dave"), site.line("dave", "dave"));
}

#[test]
fn a10_references_and_aliases_lead_nowhere() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let (give, take) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            suite.host.enter_network();
            let listener = TcpListener::bind("127.0.0.1:4444").expect("a port");
            listener.set_nonblocking(true).expect("a listener that does not wait");
            give.send(listener).expect("the test waits");
        });
    });
    let elsewhere = take.recv().expect("a listener");
    let base = Slapd::BASE;
    let key = suite.public_key("alice");
    site.slapd.modify_with(
        &["-M"],
        &format!("dn: ou=far,{base}\nchangetype: add\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: ldap://127.0.0.1:4444/{base}\n"),
    );
    site.slapd.modify(&format!(
        "dn: uid=eve,{base}\nchangetype: add\nobjectClass: alias\nobjectClass: extensibleObject\nobjectClass: ldapPublicKey\nuid: eve\naliasedObjectName: {}\nsshPublicKey: {key}\n",
        dn("alice")
    ));
    for expected in ["4 changed, 0 removed, 4 people", "0 changed, 0 removed, 4 people"] {
        let output = suite.run_as("authkeys-sync", "authkeys-sync");
        assert!(text(&output).contains(expected), "{}", text(&output));
        // It refers to it where it lists everybody; where nothing changed it says nothing.
        let told = text(&output).contains("refers to ldap://127.0.0.1:4444/");
        assert_eq!(told, expected.starts_with('4'), "{}", text(&output));
        // Live lookups are no answers meanwhile.
        let doctor = text(&suite.host.sh("oncall-cache doctor"));
        assert!(
            doctor.contains("referral") && doctor.contains("refers to ldap://127.0.0.1:4444/"),
            "{doctor}"
        );
    }
    suite.host.write("/etc/authkeys/config.toml", config("referrals = 'ignore'"), 0o644);
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    assert!(!text(&output).contains("refers to"), "{}", text(&output));
    let doctor = text(&suite.host.sh("oncall-cache doctor"));
    assert!(!doctor.contains("refers to"), "{doctor}");
    assert_eq!(site.keys("eve"), Some(String::new()));
    assert_eq!(elsewhere.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
    // A base that is a reference is no answer.
    let far = config("").replace(&format!("base = \"{base}\""), &format!("base = \"ou=far,{base}\""));
    suite.host.write("/etc/authkeys/config.toml", far, 0o644);
    site.refused("authkeys-sync", "references are not followed");
    assert!(elsewhere.accept().is_err());
}

#[test]
fn a15_disabled_accounts_are_known_and_have_no_keys_also_with_ldap_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let names = ["expired", "locked", "blocked", "control", "former"];
    let key = suite.public_key("alice");
    for name in names {
        site.slapd.add_person(name, "", &[&key]);
    }
    site.slapd.set_eligible(&["alice", "expired", "locked", "former"]);
    suite.host.write(
        "/etc/authkeys/config.toml",
        config("[directory.disabled]\nemployeeType = ['former', 'gone']"),
        0o644,
    );
    assert_eq!(site.sync(), "9 changed, 0 removed, 9 people");
    for name in names {
        assert_eq!(site.keys(name), site.line("alice", name), "{name}");
    }
    let today = now() / DAY;
    site.modify(
        "expired",
        &format!("add: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: {today}"),
    );
    site.slapd.modify_with(
        &["-e", "!relax"],
        &format!(
            "dn: {}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n",
            dn("locked")
        ),
    );
    site.modify(
        "blocked",
        "add: objectClass\nobjectClass: elsewhere\n-\nadd: nsAccountLock\nnsAccountLock: TRUE",
    );
    site.modify(
        "control",
        "add: objectClass\nobjectClass: elsewhere\n-\nadd: userAccountControl\nuserAccountControl: 514",
    );
    site.modify("former", "add: employeeType\nemployeeType: Former");
    // One whose account ends tomorrow is in until then.
    site.modify(
        "bob",
        &format!(
            "add: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: {}",
            today + 1
        ),
    );
    assert_eq!(site.sync_counted(), ("6 changed, 0 removed, 9 people".to_string(), vec![6, 3]));
    let all_closed = |when: &str| {
        for name in names {
            let closed = (Some(String::new()), "account-disabled".to_string());
            assert_eq!(site.answer(name), closed, "{name}, {when}");
        }
        assert_eq!(site.keys("bob"), site.line("bob", "bob"), "{when}");
    };
    all_closed("after the sync");
    // Not eligible in the roster, though members of the group.
    suite.host.write("/etc/authkeys/rota.toml", "[[schedule]]\nid = 'primary'\nname = 'primary'\n[[schedule.shift]]\nperson = 'expired'\nstart = 2026-01-01T00:00:00Z\nend = 2099-01-01T00:00:00Z\n", 0o644);
    let source = "[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n";
    let with_rota = suite.host.read("/etc/authkeys/config.toml") + source;
    suite.host.write("/etc/authkeys/config.toml", with_rota, 0o644);
    suite.must_as("oncall-cache", "oncall-cache sync");
    let query = "SELECT group_concat(principal || eligible, ' ') FROM (SELECT * FROM person ORDER BY 1)";
    let roster = suite.host.must(&format!("sqlite3 /var/lib/oncall-cache/roster.db \"{query}\""));
    assert_eq!(roster, "alice1 expired0\n");
    site.slapd.stop();
    site.refused("authkeys-sync", "ldap-unavailable");
    all_closed("with ldap down");
    site.slapd.resume();
    site.modify("former", "delete: employeeType");
    assert_eq!(site.sync(), "1 changed, 0 removed, 9 people");
    assert_eq!(site.keys("former"), site.line("alice", "former"));
}

#[test]
fn a15_a_lock_after_wrong_passwords_closes_an_account_only_where_any_lock_does() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let lock = |uid: &str, since: &str| {
        site.slapd.modify_with(
            &["-e", "!relax"],
            &format!(
                "dn: {}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: {since}\n",
                dn(uid)
            ),
        );
    };
    lock("alice", "20260101000000Z");
    lock("bob", "000001010000Z");
    let closed = (Some(String::new()), "account-disabled".to_string());
    let live = "[keys]\ncache_ttl = '1s'";
    for (disabling_locks, alice) in
        [("", site.line("alice", "alice")), ("disabling_locks = 'any'\n", Some(String::new()))]
    {
        suite.host.write("/etc/authkeys/config.toml", config(disabling_locks), 0o644);
        for source in ["live", "copy"] {
            assert_eq!(site.keys("alice"), alice, "{disabling_locks}, {source}");
            assert_eq!(site.answer("bob"), closed, "{disabling_locks}, {source}");
            site.sync();
        }
    }
    // The copy of one is not trusted for the other.
    suite.host.write("/etc/authkeys/config.toml", config("") + live, 0o644);
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
}

#[test]
fn a15_accounts_begin_and_expire_by_the_clock_and_wait_for_no_sync() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let set = |uid: &str, attribute: &str, at: i64| {
        let instant = suite.host.must(&format!("date -u -d @{at} +%Y%m%d%H%M%SZ"));
        let ldif =
            format!("dn: {}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {instant}", dn(uid));
        site.slapd.modify_with(&["-e", "!relax"], &ldif);
    };
    for uid in ["new", "late"] {
        site.slapd.add_person(uid, "", &[&suite.public_key("alice")]);
    }
    site.slapd.set_eligible(&["alice", "bob", "carol", "new", "late"]);
    // Nothing is old by then.
    let soon = now() + 280;
    set("alice", "pwdEndTime", soon);
    set("bob", "pwdEndTime", now() - 1);
    set("carol", "pwdEndTime", now() + HOUR);
    set("dave", "pwdStartTime", now() - HOUR);
    set("new", "pwdStartTime", soon);
    set("late", "pwdStartTime", now() + HOUR);
    for source in ["live", "copy"] {
        suite.host.write("/etc/authkeys/config.toml", config(&format!("[keys]\nsource = '{source}'")), 0o644);
        site.sync();
        assert_eq!(site.keys("alice"), site.line("alice", "alice"), "{source}");
        assert_eq!(site.keys("new"), Some(String::new()), "{source}");
        // Asked and remembered, or copied: nobody is asked any more.
        assert_eq!(site.keys("carol"), site.line("carol", "carol"), "{source}");
    }
    site.slapd.stop();
    let closed = (Some(String::new()), "account-disabled".to_string());
    let answer = |name: &str| site.with_reason(|| site.keys_at(soon, name));
    for source in ["live", "copy"] {
        suite.host.write("/etc/authkeys/config.toml", config(&format!("[keys]\nsource = '{source}'")), 0o644);
        assert_eq!(site.keys_at(soon - 1, "alice"), site.line("alice", "alice"), "{source}");
        assert_eq!(answer("alice"), closed, "{source}");
        assert_eq!(site.keys_at(soon, "carol"), site.line("carol", "carol"), "{source}");
    }
    for closed_uid in ["bob", "late"] {
        assert_eq!(answer(closed_uid), closed, "{closed_uid}");
    }
    assert_eq!(site.keys_at(soon, "dave"), site.line("dave", "dave"));
    assert_eq!(site.keys_at(soon - 1, "new"), Some(String::new()));
    assert_eq!(site.keys_at(soon, "new"), site.line("alice", "new"));
}
