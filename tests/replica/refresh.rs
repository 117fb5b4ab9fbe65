//! Sync after sync by RFC 4533: what changed comes, and a server's past is not trusted for ever.

use harness::slapd::Slapd;
use harness::suite::Suite;

use super::{COPY, STAMP, Site, dn};

#[test]
fn the_first_refresh_brings_everybody_and_nothing_changed_brings_nobody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    assert_eq!(site.sync_counted(), ("4 changed, 0 removed, 4 people".to_string(), vec![4]));
    assert_eq!(site.eligible(), "alice bob carol");
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
    let (inode, cookie, stamp) = (site.inode(), site.cookie(), suite.host.read(STAMP));
    assert!(cookie.as_ref().is_some_and(|cookie| cookie.contains("csn=")), "{cookie:?}");
    assert_eq!(site.sync_counted(), ("0 changed, 0 removed, 4 people".to_string(), vec![0]));
    assert_eq!((site.inode(), site.cookie()), (inode, cookie), "no cookie comes back: the old one stays");
    let generation = |stamp: &str| stamp.split(' ').next().map(str::to_string);
    assert_eq!(generation(&suite.host.read(STAMP)), generation(&stamp));
}

#[test]
fn a_changed_key_comes_alone_and_a_removed_one_opens_nothing_also_with_ldap_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.modify("bob", &format!("replace: sshPublicKey\nsshPublicKey: {}", suite.public_key("dave")));
    let before = site.cookie();
    assert_eq!(site.sync_counted(), ("1 changed, 0 removed, 4 people".to_string(), vec![1, 3]));
    assert_ne!(site.cookie(), before);
    assert_eq!(site.keys("bob"), site.line("dave", "bob"));
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));

    site.modify("bob", "delete: sshPublicKey");
    assert_eq!(site.sync(), "1 changed, 0 removed, 4 people");
    assert_eq!(site.answer("bob"), (Some(String::new()), "no-keys".to_string()));
    site.slapd.stop();
    site.refused("authkeys-sync", "ldap-unavailable");
    assert_eq!(site.keys("bob"), Some(String::new()));
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
}

#[test]
fn a16_a_deleted_person_has_no_keys_also_with_ldap_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.delete(&dn("alice"));
    site.modify("bob", "replace: mail\nmail: other@example.com");
    assert_eq!(site.sync_counted(), ("1 changed, 1 removed, 3 people".to_string(), vec![1, 2]));
    assert_eq!(site.answer("alice"), (Some(String::new()), "no-such-user".to_string()));
    site.slapd.stop();
    site.refused("authkeys-sync", "ldap-unavailable");
    assert_eq!(site.keys("alice"), Some(String::new()));
}

#[test]
fn a_renamed_person_is_known_by_the_new_name_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd
        .modify(&format!("dn: {}\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\n", dn("alice")));
    site.slapd.set_eligible(&["alicia", "bob"]);
    assert_eq!(site.sync(), "2 changed, 0 removed, 4 people", "the name, and carol's right");
    assert_eq!(site.keys("alice"), Some(String::new()));
    assert_eq!(site.keys("alicia"), site.line("alice", "alicia"));
    assert_eq!(site.eligible(), "alicia bob");
}

#[test]
fn an_entry_that_leaves_the_filter_is_gone_and_comes_back_with_it() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.modify("carol", "delete: sshPublicKey\n-\ndelete: objectClass\nobjectClass: ldapPublicKey");
    assert_eq!(site.sync(), "0 changed, 1 removed, 3 people");
    assert_eq!(site.keys("carol"), Some(String::new()));
    let key = suite.public_key("carol");
    site.modify(
        "carol",
        &format!("add: objectClass\nobjectClass: ldapPublicKey\n-\nadd: sshPublicKey\nsshPublicKey: {key}"),
    );
    assert_eq!(site.sync(), "1 changed, 0 removed, 4 people");
    assert_eq!(site.keys("carol"), site.line("carol", "carol"));
}

#[test]
fn a_provider_that_can_only_list_who_is_still_there_is_read_whole() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.delete(&dn("dave"));
    // The log of sessions, and with it who was deleted, is in slapd's memory.
    site.slapd.stop();
    site.slapd.resume();
    assert_eq!(site.sync_counted(), ("0 changed, 1 removed, 3 people".to_string(), vec![0, 3]));
    assert_eq!(site.keys("dave"), Some(String::new()));
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
    assert_eq!(site.sync(), "0 changed, 0 removed, 3 people");
}

#[test]
fn a_very_old_cookie_brings_everybody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.delete(&dn("dave"));
    site.slapd.stop();
    site.slapd.resume();
    site.set_cookie("rid=000,csn=20200101000000.000000Z#000000#000#000000");
    assert_eq!(site.sync_counted(), ("0 changed, 1 removed, 3 people".to_string(), vec![3, 3]));
    assert_eq!(site.keys("dave"), Some(String::new()));
    assert!(site.cookie().is_some_and(|cookie| !cookie.contains("csn=2020")));
}

#[test]
fn a_cookie_that_is_garbage_replaces_everybody_and_is_forgotten() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.delete(&dn("dave"));
    site.set_cookie("garbage");
    assert_eq!(site.sync_counted(), ("0 changed, 1 removed, 3 people".to_string(), vec![3]));
    assert_eq!(site.keys("dave"), Some(String::new()));
    assert_eq!(site.cookie(), None, "the empty cookie is not kept");
    assert_eq!(site.sync_counted(), ("0 changed, 0 removed, 3 people".to_string(), vec![3]));
    assert!(site.cookie().is_some());
}

#[test]
fn a_provider_restored_from_a_backup_is_believed_in_the_same_run() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.stop();
    site.slapd.back_up();
    site.slapd.resume();
    site.modify("bob", "delete: sshPublicKey");
    site.slapd.delete(&dn("dave"));
    assert_eq!(site.sync(), "3 changed, 0 removed, 3 people");
    site.slapd.stop();
    site.slapd.restore();
    site.slapd.resume();
    site.slapd.log();
    assert_eq!(site.sync(), "2 changed, 0 removed, 4 people", "bob has his key again, and dave is back");
    assert!(site.slapd.log().contains("err=53"), "slapd refused the newer cookie");
    assert_eq!(site.keys("bob"), site.line("bob", "bob"));
    assert_eq!(site.sync_counted(), ("0 changed, 0 removed, 4 people".to_string(), vec![0]));
}

/// What a restore may undo: the last change to anybody in the copy, in LDIF.
const UNDONE: [(&str, &str); 6] = [
    (
        "added",
        "dn: uid=erin,BASE\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\nuid: erin\ncn: erin\nsn: erin\nsshPublicKey: KEY\n",
    ),
    ("key changed", "dn: uid=bob,BASE\nchangetype: modify\nreplace: sshPublicKey\nsshPublicKey: KEY\n"),
    ("renamed", "dn: uid=bob,BASE\nchangetype: modrdn\nnewrdn: uid=robert\ndeleteoldrdn: 1\n"),
    ("deleted", "dn: uid=bob,BASE\nchangetype: delete\n"),
    (
        "out of the filter",
        "dn: uid=bob,BASE\nchangetype: modify\ndelete: sshPublicKey\n-\ndelete: objectClass\nobjectClass: ldapPublicKey\n",
    ),
    (
        "changed, and changed anew",
        "dn: uid=bob,BASE\nchangetype: modify\nreplace: sshPublicKey\nsshPublicKey: KEY\n\ndn: uid=alice,BASE\nchangetype: modify\nreplace: mail\nmail: a@example.com\n",
    ),
];

#[test]
fn what_a_restore_undid_is_not_kept_when_the_server_was_changed_since() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let dump = || suite.host.must(&format!("sqlite3 {COPY} .dump | grep -v 'INTO meta'"));
    let key = suite.public_key("dave");
    site.sync();
    site.slapd.dump();
    for (what, change) in UNDONE {
        site.slapd.modify(&change.replace("BASE", Slapd::BASE).replace("KEY", &key));
        let undone = site.sync();
        assert!(!undone.starts_with("0 changed, 0 removed"), "{what}: {undone}");
        // With a restart slapd forgets its log of sessions; of what follows it has one again.
        site.slapd.load();
        site.modify("alice", "replace: mail\nmail: alice@example.com");
        assert_eq!(site.sync_counted().1.len(), 3, "{what}: the change, who shows the past, and everybody");
        let (kept, keys) = (dump(), site.keys("bob"));
        assert_eq!(keys, site.line("bob", "bob"), "{what}");
        suite.host.must(&format!("rm {COPY} {STAMP}"));
        site.sync();
        assert_eq!(kept, dump(), "{what}: a full read comes to another copy");
    }
}

#[test]
fn what_shows_a_servers_past_is_asked_for_where_something_happened() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    assert_eq!(site.sync_counted().1, [0], "nothing happened");
    site.slapd.modify(&format!(
        "dn: {}\nchangetype: modify\nreplace: description\ndescription: x\n",
        Slapd::SUFFIX
    ));
    assert_eq!(site.sync_counted().1, [0, 4], "something, elsewhere");
    assert_eq!(site.sync_counted().1, [0]);
    site.modify("bob", "replace: mail\nmail: other@example.com");
    site.slapd.delete(&dn("dave"));
    assert_eq!(site.sync_counted(), ("1 changed, 1 removed, 3 people".to_string(), vec![1, 2]));
    // Who went and comes back is somebody else to slapd.
    site.slapd.add_person("dave", "", &[&suite.public_key("dave")]);
    assert_eq!(site.sync_counted(), ("1 changed, 0 removed, 4 people".to_string(), vec![1, 3]));
    let carol = "dn: BASE\nchangetype: modify\ndelete: objectClass\nobjectClass: ldapPublicKey\n-\ndelete: sshPublicKey\n";
    site.slapd.modify(&carol.replace("BASE", &dn("carol")));
    assert_eq!(site.sync_counted().1, [0, 3]);
    let key = suite.public_key("carol");
    site.modify(
        "carol",
        &format!("add: objectClass\nobjectClass: ldapPublicKey\n-\nadd: sshPublicKey\nsshPublicKey: {key}"),
    );
    assert_eq!(site.sync_counted().1, [1, 3], "she went, and is told to be back");
    assert_eq!(site.sync_counted().1, [0]);
}
