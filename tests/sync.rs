//! From a real slapd and a PagerDuty double to a root login; and syncs that must change nothing.

use harness::pagerduty::{PagerDuty, Reply};
use harness::slapd::Slapd;
use harness::suite::{self, DAY, HOUR, Suite};
use harness::text;
use serde_json::{Value, json};

const TOKEN: &str = "u+secretTokenOfTheTest";

/// The configuration of a site with LDAP and PagerDuty.
fn config(url: &str) -> String {
    format!(
        r#"
[host]
name = "testhost"
{directory}deadline = "5s"
[[oncall.source]]
name = "pd"
provider = "pagerduty"
api = "{api}"
token_file = "pagerduty-token"
ca_file = "pagerduty-ca.pem"
schedules = ["PSPRIM1", "SRE secondary"]
max_level = 2
deadline = "5s"
[[policy.rule]]
name = "sre"
schedules = ["pd/PSPRIM1"]
[[policy.shared]]
account = "root"
"#,
        directory = Slapd::section(&[url]),
        api = PagerDuty::API,
    )
}

/// A machine whose people are in LDAP and whose rota is in PagerDuty.
struct Site<'a> {
    slapd: Slapd<'a>,
    pagerduty: PagerDuty,
}

impl<'a> Site<'a> {
    fn start(suite: &'a Suite) -> Self {
        let slapd = Slapd::start(&suite.host);
        // The directory's spelling differs from PagerDuty's in case alone.
        slapd.furnish(suite, |name| format!("{}@Example.com", name.to_uppercase()));
        let pagerduty = PagerDuty::start(&suite.host, TOKEN);
        pagerduty.set_schedules(vec![
            json!({"id": "PSPRIM1", "type": "schedule", "summary": "SRE primary", "name": "SRE primary", "time_zone": "Etc/UTC"}),
            json!({"id": "PSSECO1", "type": "schedule", "summary": "SRE secondary", "name": "SRE secondary", "time_zone": "Etc/UTC"}),
        ]);
        pagerduty.set_oncalls(story());
        pagerduty.set_page_cap(3);
        let host = &suite.host;
        host.write("/etc/authkeys/pagerduty-ca.pem", pagerduty.ca_pem(), 0o644);
        host.write("/etc/authkeys/pagerduty-token", format!("{TOKEN}\n"), 0o640);
        host.must("chgrp oncall-cache /etc/authkeys/pagerduty-token");
        host.write("/etc/authkeys/config.toml", config(Slapd::LDAP_URL), 0o644);
        Self { slapd, pagerduty }
    }
}

/// The fixtures' three pages, moved from the day they were written for to now.
fn story() -> Vec<Value> {
    let written: i64 = 1_795_176_000; // 2026-11-20T12:00:00Z
    let pages = ["1", "2", "3"].map(|page| {
        let path = format!(
            "{}/../oncall-cache/src/providers/fixtures/pagerduty/oncalls-72h-page-{page}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str::<Value>(&text).expect("a fixture is JSON")
    });
    let mut oncalls: Vec<Value> =
        pages.iter().flat_map(|page| page["oncalls"].as_array().expect("an array").clone()).collect();
    assert_eq!(oncalls.len(), 7);
    for oncall in &mut oncalls {
        for key in ["start", "end"] {
            if let Some(time) = oncall[key].as_str() {
                let moved = suite::seconds(time) - written + suite::now();
                oncall[key] = json!(suite::instant(moved));
            }
        }
    }
    oncalls
}

/// Every byte that the suite publishes, so that "nothing changed" can be said exactly.
fn published(suite: &Suite) -> Vec<(String, Vec<u8>)> {
    let read = |file: &str| std::fs::read(suite.host.path(&format!("/var/lib/{file}"))).unwrap_or_default();
    let keys = ["authkeys/keys.db", "authkeys/keys.stamp", "authkeys/keys.clock"];
    let roster = ["oncall-cache/roster.db", "oncall-cache/roster.clock"];
    keys.iter().chain(&roster).map(|file| (file.to_string(), read(file))).collect()
}

/// Runs a sync that must fail with `words`, exit 2, and change nothing.
fn fails(suite: &Suite, program: &str, words: &str) {
    let before = published(suite);
    let user = program.split(' ').next().unwrap_or(program);
    let output = suite.run_as(user, program);
    assert_eq!(output.status.code(), Some(2), "{program}: {}", text(&output));
    assert!(text(&output).contains(words), "expected {words:?} in {}", text(&output));
    assert!(
        !text(&output).contains(TOKEN) && !text(&output).contains(Slapd::BIND_PASSWORD),
        "{}",
        text(&output)
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{program} said something on stdout");
    assert!(published(suite) == before, "{program} failed and changed a published file");
    let left = suite.host.must("find /var/lib/authkeys /var/lib/oncall-cache -name '*.new'");
    assert_eq!(left, "", "{program} left a temporary file");
}

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
    let why = suite.run_as("nobody", "oncall-cache check carol");
    assert_eq!(why.status.code(), Some(1), "{}", text(&why));
    let who = suite.must_as("nobody", "oncall-cache who");
    assert!(who.contains("SRE secondary  2      carol"), "{who}");
    assert!(who.contains("SRE primary    1      alice"), "{who}");

    let why = suite.must_as("nobody", "oncall-cache why alice");
    assert!(why.contains("\n  known as    PagerDuty user PUALICE of source pd, by mail address\n"), "{why}");
    assert!(!why.contains('@'), "{why}");
    let map = suite.host.must("oncall-cache map");
    let alice = map.lines().find(|line| line.contains("PUALICE")).unwrap_or_else(|| panic!("{map}"));
    let cells: Vec<&str> = alice.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells[0..2], ["pd", "PUALICE"], "{map}");
    assert_eq!(cells[cells.len() - 6..], ["alice@example.com", "alice", "mail", "yes", "1", "-"], "{map}");

    // Gone from the directory, gone from the host: at the next sync, and for good.
    site.slapd.set_eligible(&["bob", "carol"]);
    suite.sync();
    let output = suite.ssh("alice", "root", "id -u");
    assert!(text(&output).contains("Permission denied"), "{}", text(&output));
    let check = suite.run_as("nobody", "oncall-cache check alice --json");
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
        "no people to map to, nothing published: no /var/lib/authkeys/keys.db; run `authkeys-sync`",
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
        "no people to map to, nothing published: /var/lib/authkeys/keys.db is 1d 1h old",
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
    assert!(text(&suite.run_as("nobody", "oncall-cache check alice --json")).contains("\"not-eligible\""));
    assert!(!suite.run_as("alice", "sudo -n true").status.success());
    assert!(suite.run_as("bob", "sudo -n true").status.success(), "the others keep what they have");
}

#[test]
fn a_rota_of_strangers_is_not_published() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    suite.write_rota(&[("zoe", -HOUR, HOUR)]);
    fails(
        &suite,
        "oncall-cache sync",
        "source-empty: none of the people on call is anybody in the directory",
    );
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
    assert!(text(&ahead).contains("behind what /var/lib/authkeys/keys.db tells"), "{}", text(&ahead));
    assert_eq!(suite.run_as("nobody", "oncall-cache check alice").status.code(), Some(2));
    suite.sync();
    assert!(suite.run_as("nobody", "oncall-cache check alice").status.success());
    assert!(suite.ssh("alice", "root", "true").status.success());
}

#[test]
fn a_sync_that_root_runs_by_hand_is_the_services() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.host.must("authkeys-sync && oncall-cache sync");
    let owners = suite.host.must("cd /var/lib && stat -c '%n %U:%G %a' authkeys/* oncall-cache/*");
    assert_eq!(
        owners,
        "authkeys/keys.clock authkeys-sync:authkeys 640\nauthkeys/keys.db authkeys-sync:authkeys 640\nauthkeys/keys.lock authkeys-sync:authkeys-sync 600\n\
         authkeys/keys.stamp authkeys-sync:authkeys 640\noncall-cache/group oncall-cache:oncall-cache 644\n\
         oncall-cache/group.clock oncall-cache:oncall-cache 644\n\
         oncall-cache/history.jsonl oncall-cache:oncall-cache 640\n\
         oncall-cache/roster.clock oncall-cache:oncall-cache 644\noncall-cache/roster.db oncall-cache:oncall-cache 644\noncall-cache/roster.lock oncall-cache:oncall-cache 600\n\
         oncall-cache/status.json oncall-cache:oncall-cache 644\n"
    );
    suite.sync();
    // Whoever owns the directory cannot make root write elsewhere.
    for (directory, lock, program) in
        [("oncall-cache", "roster.lock", "oncall-cache sync"), ("authkeys", "keys.lock", "authkeys-sync")]
    {
        suite.host.must(&format!("cd /var/lib/{directory} && rm {lock} && ln -s /etc/made-by-root {lock}"));
        let output = suite.host.sh(program);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(suite.host.sh("test -e /etc/made-by-root").status.code() == Some(1));
    }
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
            .contains("skipped rota/mallory@example.com: nobody in the directory has mallory@example.com"),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains("skipped rota/zoe: nobody in the directory is called zoe"),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains("1 schedule, 1 shift, nobody on call here now, next alice"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_people_file_that_is_the_same_to_the_byte_is_not_read_again_and_every_other_one_is() {
    let suite = Suite::start();
    let host = &suite.host;
    let state = |name: &str| format!("/var/lib/authkeys/{name}");
    let stamp = || {
        let text = host.read(&state("keys.stamp"));
        text.trim().split(' ').map(str::to_string).collect::<Vec<_>>()
    };
    let says = |effect: &str| {
        let said = suite.sync_keys();
        assert!(said.starts_with(effect), "expected {effect}: {said}");
    };
    says("4 changed, 0 removed, 4 people, 3 newly eligible, ");
    let first = stamp();
    assert_eq!(first.len(), 3, "a note of the file: {first:?}");
    says("0 changed, 0 removed, 4 people, ");
    assert_eq!(stamp()[2], first[2], "the note says still when the file was read");

    // Another content of the same size and time.
    let people = host.read("/etc/authkeys/people.toml");
    host.must("cp -p /etc/authkeys/people.toml /root/people.toml");
    let other = people.replace("dave@example.com", "dave@example.net");
    host.write("/etc/authkeys/people.toml", &other, 0o644);
    host.must("touch -r /root/people.toml /etc/authkeys/people.toml");
    says("1 changed, 0 removed, 4 people, ");
    says("0 changed");
    // A copy from elsewhere, and its stamp with it or not.
    let (new, new_stamp) = (host.read_bytes(&state("keys.db")), host.read(&state("keys.stamp")));
    host.must("cp -p /root/people.toml /etc/authkeys/people.toml");
    says("1 changed, 0 removed, 4 people, ");
    std::fs::write(host.path(&state("keys.db")), &new).expect("root can write");
    says("1 changed, 0 removed, 4 people, ");
    std::fs::write(host.path(&state("keys.db")), &new).expect("root can write");
    std::fs::write(host.path(&state("keys.stamp")), new_stamp).expect("root can write");
    says("1 changed, 0 removed, 4 people, ");
    let mail = "sqlite3 /var/lib/authkeys/keys.db \"SELECT address FROM mail WHERE principal = 'dave'\"";
    assert_eq!(host.must(mail), "dave@example.com\n");
    host.must("rm /var/lib/authkeys/keys.db");
    says("4 changed, 0 removed, 4 people, ");

    // The same bytes under another name, and for another kind of copy.
    let config = host.read("/etc/authkeys/config.toml");
    host.must("cp /etc/authkeys/people.toml /etc/authkeys/people2.toml");
    host.write("/etc/authkeys/config.toml", config.replace("people.toml", "people2.toml"), 0o644);
    says("4 changed, 0 removed, 4 people, ");
    host.write("/etc/authkeys/config.toml", format!("{config}[keys]\nmode = 'lookup'\n"), 0o644);
    says("3 changed, 0 removed, 3 people, ");
    host.write("/etc/authkeys/config.toml", &config, 0o644);
    says("4 changed, 0 removed, 4 people, ");

    // What was dropped is said each time; a file that others can write is not even hashed.
    host.write("/etc/authkeys/people.toml", people.replacen("keys = [", "keys = ['none', ", 1), 0o644);
    for _ in 0..2 {
        let output = suite.run_as("authkeys-sync", "authkeys-sync");
        assert!(text(&output).contains("dropped alice: key 1: "), "{}", text(&output));
    }
    assert_eq!(stamp().len(), 2);
    host.write("/etc/authkeys/people.toml", &people, 0o644);
    says("1 changed");
    host.must("chmod o+w /etc/authkeys/people.toml");
    fails(&suite, "authkeys-sync", "others can write it");
}

#[test]
fn mistakes_in_the_configuration_are_named_with_file_and_line() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let good = suite.host.read("/etc/authkeys/config.toml");
    let bad = good.replace("exempt_accounts", "exempt_acounts");
    suite.host.write("/etc/authkeys/config.toml", &bad, 0o644);
    let words = "/etc/authkeys/config.toml:11: unknown key `exempt_acounts`; did you mean `exempt_accounts`?";
    fails(&suite, "authkeys-sync", words);
    fails(&suite, "oncall-cache sync", words);
    for (user, command) in [
        ("authkeys", "authkeys alice"),
        ("nobody", "oncall-cache check alice"),
        ("nobody", "oncall-cache who"),
        ("nobody", "oncall-cache config check /etc/authkeys/config.toml"),
    ] {
        let output = suite.run_as(user, command);
        assert_eq!(output.status.code(), Some(2), "{command}: {}", text(&output));
        assert!(text(&output).contains(words), "{command}: {}", text(&output));
    }
    suite.host.write("/etc/authkeys/config.toml", &good, 0o664);
    fails(
        &suite,
        "oncall-cache sync",
        "/etc/authkeys/config.toml: refused, others can write it; chmod go-w it",
    );
    suite.host.must("rm /etc/authkeys/config.toml");
    fails(&suite, "authkeys-sync", "/etc/authkeys/config.toml: no such file");
    suite.host.write("/etc/authkeys/config.toml", &good, 0o644);
    suite.host.write("/etc/authkeys/people.toml", "[[person]]\nprincipal = 'alice'\nkey = 'x'\n", 0o644);
    fails(&suite, "authkeys-sync", "/etc/authkeys/people.toml:3: unknown key `key`; did you mean `keys`?");
}

#[test]
fn the_configuration_as_it_holds_is_a_configuration() {
    let suite = Suite::start();
    let shown = suite.must_as("nobody", "oncall-cache config show");
    assert!(shown.contains("\nfile = \"/etc/authkeys/people.toml\"\n"), "{shown}");
    assert!(shown.contains("\nmax_age = \"1d\"\n"), "defaults are filled in: {shown}");
    suite.host.write("/etc/authkeys/shown.toml", &shown, 0o644);
    suite.must_as("nobody", "oncall-cache config check /etc/authkeys/shown.toml");
    let again = suite.must_as("nobody", "oncall-cache --config /etc/authkeys/shown.toml config show");
    assert_eq!(again.lines().skip(1).collect::<Vec<_>>(), shown.lines().skip(1).collect::<Vec<_>>());
    let json = suite.must_as("nobody", "oncall-cache config show --json");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["config"]["policy"]["rule"][0]["name"], "everywhere");
}

#[test]
fn a01_hostile_names_are_refused_before_anything_is_read() {
    let suite = Suite::start();
    // No database: a name that is judged first, by what [names] says, is still the reason.
    suite.host.must("rm -r /var/lib/authkeys");
    let long = "x".repeat(33);
    let endless = "x".repeat(100_000);
    for name in ["*", "a)(uid=*", "\\2a", "", "-x", "Alice", "al\u{ee}ce", "a\nb", &long, &endless] {
        let output = suite.host.command("/usr/bin/authkeys").arg(name).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{name:.20?}: {}", text(&output));
        assert!(output.stdout.is_empty());
        let lines = suite.lines_of("authkeys");
        assert_eq!(lines.len(), 1, "{name:.20?}: {lines:#?}");
        assert!(lines[0].contains("decision=unknown reason=bad-user"), "{lines:#?}");
        let check = suite
            .host
            .command("/usr/bin/oncall-cache")
            .args(["check", "--", name])
            .output()
            .expect("it runs");
        assert_eq!(check.status.code(), Some(2), "{name:.20?}: {}", text(&check));
    }
}

#[test]
fn authkeys_prints_whole_answers_or_none() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let run = |arguments: &[&str]| {
        suite
            .host
            .command("/usr/sbin/runuser")
            .args(["-u", "authkeys", "--", "authkeys"])
            .args(arguments)
            .output()
            .expect("it runs")
    };
    let key = |name: &str| {
        suite.public_key(name).rsplit_once(' ').map(|(key, _)| key.to_string()).unwrap_or_default()
    };
    let stdout = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let alice = run(&["alice"]);
    assert_eq!((alice.status.code(), stdout(&alice)), (Some(0), format!("{} alice\n", key("alice"))));
    let root = run(&["root"]);
    // The keys of those off call lead to one command.
    let forced = |line: &&str| line.starts_with("restrict,command=\"/usr/bin/oncall-cache explain\" ");
    let told = stdout(&root);
    let open: Vec<&str> = told.lines().filter(|line| !forced(line)).collect();
    assert_eq!((root.status.code(), open), (Some(0), vec![format!("{} alice", key("alice")).as_str()]));
    let nobody = run(&["nobody"]);
    assert_eq!((nobody.status.code(), stdout(&nobody)), (Some(0), String::new()));
    let (kind, blob) = (key("alice"), key("bob"));
    let (kind, alices, bobs) = (
        kind.split(' ').next().unwrap_or(""),
        kind.split(' ').nth(1).unwrap_or(""),
        blob.split(' ').nth(1).unwrap_or(""),
    );
    assert_eq!(stdout(&run(&["alice", kind, alices])), format!("{kind} {alices} alice\n"));
    assert_eq!(stdout(&run(&["alice", kind, bobs])), "");
    for usage in
        [&[][..], &["alice", kind][..], &["alice", kind, "!!"][..], &["alice", kind, alices, "x"][..]]
    {
        let output = run(usage);
        assert_eq!((output.status.code(), stdout(&output)), (Some(64), String::new()), "{usage:?}");
        assert!(!output.stderr.is_empty());
    }
    // A reader that goes away early is no failure.
    let gone = suite
        .host
        .sh("runuser -u authkeys -- sh -c 'authkeys alice; echo $? >/tmp/status' | true; cat /tmp/status");
    assert_eq!(stdout(&gone), "0\n", "{}", text(&gone));
    // The roster gone, root's keys are not known: not the same as none.
    suite.host.must("rm /var/lib/oncall-cache/roster.db");
    let unknown = run(&["root"]);
    assert_eq!((unknown.status.code(), stdout(&unknown)), (Some(2), String::new()));
    assert!(suite.lines_of("authkeys").last().is_some_and(|line| line.contains("reason=cache-missing")));
}

#[test]
fn a_sync_that_waited_in_vain_for_another_one_says_so_and_changes_nothing() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let state = "stat -c '%n %Y %i' /var/lib/authkeys/keys.db /var/lib/oncall-cache/*.db /var/lib/oncall-cache/status.json";
    let before = suite.host.must(state);
    // Both at once: each waits for half a minute.
    suite.host.must(
        "try() { { runuser -u $1 -- flock -n /var/lib/$2.lock $1 $3; echo code $?; } >/run/$1 2>&1; }
         try authkeys-sync authkeys/keys & try oncall-cache oncall-cache/roster sync & wait",
    );
    for (program, lock) in [
        ("authkeys-sync", "/var/lib/authkeys/keys.lock"),
        ("oncall-cache", "/var/lib/oncall-cache/roster.lock"),
    ] {
        let said = suite.host.read(&format!("/run/{program}"));
        let end = format!(
            "{program}: another sync is at work (it holds {lock}), nothing was done; wait for its end, or run this again then\ncode 2\n"
        );
        assert!(said.ends_with(&end), "{said}");
    }
    assert_eq!(suite.host.must(state), before);
    // As root leaves it who brings a backup back.
    for (program, lock) in [
        ("authkeys-sync", "/var/lib/authkeys/keys.lock"),
        ("oncall-cache sync", "/var/lib/oncall-cache/roster.lock"),
    ] {
        suite.host.must(&format!("chown root:root {lock}"));
        let output = suite.host.sh(program);
        let mend = format!("chown --reference={} {lock}", lock.rsplit_once('/').expect("a path").0);
        assert!(text(&output).contains(&format!("owner's: sudo {mend}\n")), "{}", text(&output));
        suite.host.must(&format!("{mend} && {program}"));
    }
}
