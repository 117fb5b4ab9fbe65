//! Keys from LDAP and shifts from PagerDuty: what meets, and what a failure of either leaves.

use harness::pagerduty::Reply;
use harness::slapd::Slapd;
use harness::suite::{DAY, HOUR, Suite};
use harness::text;
use serde_json::json;

use super::{Site, config, fails, story};

#[test]
fn keys_from_ldap_and_shifts_from_three_pages_meet_by_mail_address() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for url in [Slapd::LDAP_URL, Slapd::LDAPS_URL] {
        suite.host.write("/etc/authkeys/config.toml", config(url), 0o644);
        let said = suite.sync_keys();
        assert!(said.contains("4 people"), "{url}: {said}");
    }
    let said = suite.must_as("oncall-cache", "oncall-cache sync");
    assert!(said.starts_with("2 schedules, 6 shifts, alice until "), "{said}");
    assert!(said.ends_with(", next carol\n"), "carol has the override of tonight: {said}");
    let requests = site.pagerduty.requests();
    assert!(requests.iter().all(|request| request.problem.is_none()), "{requests:#?}");
    let pages = requests.iter().filter(|request| request.target.starts_with("/oncalls?")).count();
    assert_eq!(pages, 2, "the six entries of both schedules, three a page: {requests:#?}");

    let login = suite.ssh("alice", "root", "id -u");
    assert!(login.status.success(), "{}", text(&login));
    for (other, words) in
        [("bob", "bob is not ("), ("carol", "carol is not ("), ("dave", "Permission denied")]
    {
        let output = suite.ssh(other, "root", "id -u");
        assert!(!output.status.success() && text(&output).contains(words), "{other}: {}", text(&output));
    }
    // carol is on call too, on the second level, which the rule does not count.
    let why = suite.run_as("nobody", "oncall-cache test-access carol");
    assert_eq!(why.status.code(), Some(1), "{}", text(&why));
    let who = suite.must_as("nobody", "oncall-cache who");
    assert!(who.contains("SRE secondary  2      carol"), "{who}");
    assert!(who.contains("SRE primary    1      alice"), "{who}");

    let why = suite.must_as("nobody", "oncall-cache why alice");
    assert!(why.contains("\n  known as    PagerDuty user PUALICE of source pd, by mail address\n"), "{why}");
    assert!(!why.contains('@'), "{why}");
    let map = suite.host.must("oncall-cache identities");
    let alice = map.lines().find(|line| line.contains("PUALICE")).unwrap_or_else(|| panic!("{map}"));
    let cells: Vec<&str> = alice.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells[0..2], ["pd", "PUALICE"], "{map}");
    assert_eq!(cells[cells.len() - 6..], ["alice@example.com", "alice", "mail", "yes", "1", "-"], "{map}");

    // Gone from the directory, gone from the host: at the next sync, and for good.
    site.slapd.set_eligible(&["bob", "carol"]);
    suite.sync();
    let output = suite.ssh("alice", "root", "id -u");
    assert!(text(&output).contains("Permission denied"), "{}", text(&output));
    let check = suite.run_as("nobody", "oncall-cache test-access alice --json");
    assert_eq!(check.status.code(), Some(1));
    assert!(text(&check).contains(r#""reason": "not-eligible""#), "{}", text(&check));
}

#[test]
fn three_pages_of_one_filter_are_read_to_the_end() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync_keys();
    site.pagerduty.set_page_cap(2);
    let said = suite.must_as("oncall-cache", "oncall-cache sync");
    assert!(said.starts_with("2 schedules, 6 shifts"), "{said}");
    let requests = site.pagerduty.requests();
    let pages = requests.iter().filter(|request| request.target.starts_with("/oncalls?")).count();
    assert_eq!(pages, 3, "{requests:#?}");
}

#[test]
fn a_sync_of_shifts_that_fails_changes_nothing() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync();
    let page = |more: bool| {
        Reply::json(200, &json!({"oncalls": [], "limit": 100, "offset": 0, "more": more, "total": null}))
    };
    let schedules = || {
        Reply::json(
            200,
            &json!({"schedules": [{"id": "PSPRIM1", "name": "SRE primary"}, {"id": "PSSECO1", "name": "SRE secondary"}],
                    "limit": 100, "offset": 0, "more": false}),
        )
    };
    let none = || Reply::json(200, &json!({"schedules": [], "limit": 100, "offset": 0, "more": false}));
    let error =
        |status, message: &str| Reply::json(status, &json!({"error": {"message": message, "code": 2000}}));
    // Half-way: the schedules and a first page are fine, what follows is not.
    let oncall = story().first().cloned().expect("an entry");
    let first = Reply::json(
        200,
        &json!({"oncalls": [oncall], "limit": 100, "offset": 0, "more": true, "total": null}),
    );
    for (replies, words) in [
        (vec![error(401, "Unauthorized")], "check that /etc/authkeys/pagerduty-token holds a valid API key"),
        (vec![error(429, "Rate Limit Exceeded").with_header("ratelimit-reset", "20")], "20s"),
        // Each is asked once more.
        (vec![error(500, "oops"), error(500, "oops")], "source-error"),
        (vec![schedules(), none(), first, error(503, "busy"), error(503, "busy")], "source-error"),
        (vec![schedules(), none(), page(false)], "source-empty"),
        (
            vec![schedules(), none(), Reply::json(200, &json!({"oncalls": "none", "more": false}))],
            "source-error",
        ),
    ] {
        site.pagerduty.script(replies);
        fails(&suite, "oncall-cache sync", words);
        site.pagerduty.script(vec![]);
        let _ = site.pagerduty.requests();
    }
    site.pagerduty.set_clock_offset(-600);
    fails(&suite, "oncall-cache sync", "clock-skew");
    site.pagerduty.set_clock_offset(0);
    suite.host.must("chmod 644 /etc/authkeys/pagerduty-token");
    fails(&suite, "oncall-cache sync", "everybody can read it; chmod o= it");
    suite.host.must("chmod 640 /etc/authkeys/pagerduty-token");
    site.pagerduty.hang(true);
    fails(&suite, "oncall-cache sync", "source-error");
    site.pagerduty.hang(false);
    suite.must_as("oncall-cache", "oncall-cache sync");
}

#[test]
fn a_sync_of_keys_that_fails_changes_nothing() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync();
    site.slapd.limit(Some(2));
    fails(&suite, "authkeys-sync", "ldap-partial");
    site.slapd.limit(None);
    suite.host.write("/etc/authkeys/bind-password", "wrong\n", 0o640);
    suite.host.must("chgrp authkeys-sync /etc/authkeys/bind-password");
    fails(&suite, "authkeys-sync", "invalidCredentials");
    suite.host.must("chmod 644 /etc/authkeys/bind-password");
    fails(&suite, "authkeys-sync", "file-untrusted");
    suite.host.write("/etc/authkeys/bind-password", Slapd::BIND_PASSWORD, 0o640);
    suite.host.must("chgrp authkeys-sync /etc/authkeys/bind-password");
    suite.host.write("/etc/authkeys/ldap-ca.pem", site.pagerduty.ca_pem(), 0o644);
    fails(&suite, "authkeys-sync", "ca_file");
    suite.host.write("/etc/authkeys/ldap-ca.pem", site.slapd.ca_pem(), 0o644);
    suite.host.write("/etc/authkeys/config.toml", config("ldaps://localhost:6360"), 0o644);
    fails(&suite, "authkeys-sync", "ldap-unavailable");
    suite.host.write("/etc/authkeys/config.toml", config(Slapd::LDAP_URL), 0o644);
    site.slapd.stop();
    fails(&suite, "authkeys-sync", "ldap-unavailable");
    site.slapd.resume();
    site.slapd.delete(Slapd::GROUP_DN);
    fails(&suite, "authkeys-sync", "ldap-partial");
}

#[test]
fn without_people_nothing_is_published() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    fails(
        &suite,
        "oncall-cache sync",
        "the copy of the directory cannot be used, nothing published: no /var/lib/authkeys/keys.db; run `authkeys-sync`",
    );
    suite.sync();
    suite.host.must(
        "generation=$(cut -d' ' -f1 /var/lib/authkeys/keys.stamp)
         sqlite3 /var/lib/authkeys/keys.db 'UPDATE meta SET synced = synced - 90000'
         echo $generation $(($(date +%s) - 90000)) >/var/lib/authkeys/keys.stamp",
    );
    fails(
        &suite,
        "oncall-cache sync",
        "the copy of the directory cannot be used, nothing published: /var/lib/authkeys/keys.db is 1d 1h old",
    );
    suite.write_people(&[]);
    fails(&suite, "authkeys-sync", "source-empty");
}

#[test]
fn who_is_no_longer_eligible_loses_it_also_while_the_rota_cannot_be_read() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", -HOUR, HOUR)]);
    suite.sync();
    let people =
        suite.host.read("/etc/authkeys/people.toml").replacen("eligible = true", "eligible = false", 1);
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    suite.host.must("rm /etc/authkeys/rota.toml");
    suite.sync_keys();
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&suite.run_as("nobody", "oncall-cache test-access alice --json")).contains("\"not-eligible\"")
    );
    assert!(!suite.run_as("alice", "sudo -n true").status.success());
    assert!(suite.run_as("bob", "sudo -n true").status.success(), "the others keep what they have");
}

#[test]
fn a_rota_of_strangers_is_not_published() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    suite.write_rota(&[("zoe", -HOUR, HOUR)]);
    fails(&suite, "oncall-cache sync", "source-empty: none of the people on call is in the directory");
}

#[test]
fn a_directory_entry_named_like_an_exempt_account_opens_nothing() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.host.must("useradd -m -s /bin/sh breakglass");
    let people = suite.host.read("/etc/authkeys/people.toml").replace("'dave'", "'breakglass'");
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    suite.sync();
    let output = suite.ssh("dave", "breakglass", "id -u");
    assert!(text(&output).contains("Permission denied"), "{}", text(&output));
    assert_eq!(suite.must_as("authkeys", "authkeys breakglass"), "");
}

#[test]
fn a42_a_clock_that_was_ahead_is_healed_by_the_next_good_sync() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    // As if both files had been written by a clock that was a day ahead.
    suite.host.must(
        "sqlite3 /var/lib/authkeys/keys.db 'UPDATE meta SET synced = synced + 86400'
         sed -i -E 's/^([^ ]+) [0-9]+/\\1 9999999999/' /var/lib/authkeys/keys.stamp
         sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE meta SET published = published + 86400'",
    );
    let ahead = suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(
        text(&ahead).contains("behind the time that /var/lib/authkeys/keys.db proves"),
        "{}",
        text(&ahead)
    );
    assert_eq!(suite.run_as("nobody", "oncall-cache test-access alice").status.code(), Some(2));
    suite.sync();
    assert!(suite.run_as("nobody", "oncall-cache test-access alice").status.success());
    assert!(suite.ssh("alice", "root", "true").status.success());
}

#[test]
fn people_whom_the_directory_does_not_know_are_skipped_and_named() {
    let suite = Suite::start();
    suite.write_rota(&[
        ("mallory@example.com", -HOUR, HOUR),
        ("alice@example.com", HOUR, DAY),
        ("zoe", HOUR, DAY),
    ]);
    // dave, who is not eligible, says that her address is his.
    let people =
        suite.host.read("/etc/authkeys/people.toml").replace("dave@example.com", "Alice@example.com");
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    suite.sync_keys();
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output)
            .contains("skipped rota/mallory@example.com: no directory entry has mallory@example.com"),
        "{}",
        text(&output)
    );
    assert!(text(&output).contains("skipped rota/zoe: the directory has no user zoe"), "{}", text(&output));
    assert!(
        text(&output).contains("1 schedule, 1 shift, nobody on call here now, next alice"),
        "{}",
        text(&output)
    );
}
