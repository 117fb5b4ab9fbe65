//! Servers that are read page by page, or whole, and copies that are made anew.

use harness::slapd::Slapd;
use harness::suite::{DAY, Suite, now};

use super::{COPY, MEMBERS, STAMP, Site, dn};

#[test]
fn a11_a_part_of_the_answer_prunes_nobody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.limit(Some(2));
    site.refused("authkeys-sync", "sizeLimitExceeded");
    site.slapd.limit(None);
    site.sync();
    for name in MEMBERS {
        site.modify(name, "replace: mail\nmail: new@example.com");
    }
    site.slapd.limit(Some(2));
    site.refused("authkeys-sync", "ldap-partial");
    assert_eq!(site.keys("dave"), site.line("dave", "dave"));
    site.slapd.limit(None);
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
}

#[test]
fn a_server_without_the_control_is_read_page_by_page() {
    let suite = Suite::start();
    let site = Site::with(&suite, Slapd::start(&suite.host));
    let key = suite.public_key("alice");
    let names: Vec<String> = (0..1200).map(|number| format!("p{number}")).collect();
    site.slapd.add_people(names.iter().map(|name| (name.as_str(), key.as_str())));
    assert_eq!(site.sync(), "1 204 changed, 0 removed, 1 204 people");
    assert_eq!(site.cookie(), None);
    let inode = site.inode();
    site.slapd.delete(&dn("p7"));
    let (said, pages) = site.sync_counted();
    assert_eq!(said, "0 changed, 1 removed, 1 203 people");
    assert_eq!(pages, [0, 500, 500, 203], "the refused refresh, and three pages");
    assert_ne!(site.inode(), inode);
    let inode = site.inode();
    assert_eq!(site.sync(), "0 changed, 0 removed, 1 203 people");
    assert_eq!(site.inode(), inode, "the same content leaves the file alone");
}

#[test]
fn a_refresh_that_ends_at_a_size_limit_is_asked_for_in_pages() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    // Two entries for one search, and as many as there are for one in pages.
    site.slapd.restart_with("", "sizelimit size.soft=2 size.hard=unlimited");
    assert_eq!(site.sync_counted(), ("4 changed, 0 removed, 4 people".to_string(), vec![2, 4]));
    assert_eq!(site.sync(), "0 changed, 0 removed, 4 people");
}

#[test]
fn a_server_that_hides_what_it_can_do_is_read_page_by_page() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.restart_with("", "access to dn.base=\"\" by * none\naccess to * by * read");
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
    site.modify("bob", "replace: mail\nmail: robert@example.com");
    assert_eq!(site.sync(), "1 changed, 0 removed, 4 people");
}

#[test]
fn everybody_is_fetched_again_once_a_day_and_under_another_name() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    let [full, view, rest @ ..] = site.note().expect("a note");
    let set_note = |full: &str, view: &str| {
        let [group, witnesses, cookie] = rest.clone();
        site.set_note(&[full.to_string(), view.to_string(), group, witnesses, cookie]);
    };
    let past = full.parse::<i64>().expect("seconds") - DAY;
    set_note(&past.to_string(), &view);
    assert_eq!(site.sync_counted().1, [4]);
    assert_eq!(site.sync_counted().1, [0]);
    set_note(&(now() + DAY).to_string(), &view);
    assert_eq!(site.sync_counted().1, [4], "a note from the future");
    set_note(&full, "another");
    assert_eq!(site.sync_counted().1, [4]);
}

#[test]
fn a_copy_that_is_damaged_is_replaced() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    // The head of the file is whole; what follows is not.
    suite.host.must(&format!("size=$(stat -c %s {COPY}) && dd if=/dev/zero of={COPY} bs=1 seek=8192 count=$((size-8192)) conv=notrunc status=none"));
    site.modify("bob", "replace: mail\nmail: other@example.com");
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
    // Its stamp is no part of it.
    suite.host.must(&format!("echo nonsense >{STAMP}"));
    assert_eq!(site.sync(), "0 changed, 0 removed, 4 people");
    // One row alone, and nothing changes in the directory.
    suite.host.must(&format!(
        "sqlite3 {COPY} \"UPDATE public_key SET line = 'ssh-ed25519 AAAA' WHERE principal = 'alice'\""
    ));
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
}

#[test]
fn a_damaged_copy_is_written_anew_under_the_same_limits() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let names: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
    let key = suite.public_key("dave");
    site.slapd.add_people(names.iter().map(|name| (name.as_str(), key.as_str())));
    site.slapd.set_eligible(&["alice", "bob"]);
    site.sync();
    let bad_key = "UPDATE public_key SET line = 'ssh-ed25519 AAAA' WHERE principal = 'p1'";
    // What the check of the copy does not look at turns up when it is compared.
    let bad_entry = "UPDATE entry SET digest = x'00'";
    let hidden = "to dn.regex=\"^uid=p[0-9]+,\" by * none";
    for damage in [bad_key, bad_entry] {
        suite.host.must(&format!("sqlite3 {COPY} \"{damage}\" && rm {STAMP}"));
        site.slapd.allow(hidden);
        site.refused("authkeys-sync", "20 of 24 people would be removed");
        site.slapd.restart_with("", "");
        site.slapd.set_eligible(&[]);
        site.refused("authkeys-sync", "2 of 2 people would no longer be eligible");
        assert_eq!(site.keys("alice"), site.line("alice", "alice"));
        site.slapd.set_eligible(&["alice", "bob"]);
        assert_eq!(site.sync(), "24 changed, 0 removed, 24 people");
        assert_eq!(site.sync(), "0 changed, 0 removed, 24 people");
        assert_eq!(site.keys("p1"), site.line("dave", "p1"));
    }
    // Nothing is written while the directory does not answer; with the administrator's word, whatever it says.
    suite.host.must(&format!("sqlite3 {COPY} \"{bad_key}\""));
    site.slapd.stop();
    site.refused("authkeys-sync", "it will be written anew");
    site.slapd.resume();
    site.slapd.allow(hidden);
    suite.must_as("authkeys-sync", "authkeys-sync --accept");
    assert_eq!(site.sync(), "0 changed, 0 removed, 4 people");
}
