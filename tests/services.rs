//! `oncall-cache sync` and every on-call service that is asked over HTTPS but PagerDuty: doubles that check each request, and
//! LinkedIn's own server.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use harness::services::{KINDS, Kind, SECRET, Services};
use harness::store::{HostileStore, Lie};
use harness::suite::{HOUR, Suite, instant, now, seconds};
use harness::text;
use serde_json::Value;

const ROSTER: &str = "/var/lib/oncall-cache/roster.db";

const HEAD: &str =
    "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[policy]\nmode = 'observe'\n";

fn configure(suite: &Suite, sources: &str) {
    suite.host.write("/etc/authkeys/config.toml", format!("{HEAD}{sources}"), 0o644);
}

/// The rows of the roster: schedule, person, start and end, in seconds.
fn roster(suite: &Suite) -> Vec<String> {
    let query = "SELECT schedule.id, principal, level, starts, ends FROM shift
                 JOIN schedule ON schedule.number = shift.schedule ORDER BY 1, 4, 2";
    let rows = suite.host.must(&format!("sqlite3 -separator ' ' {ROSTER} '{query}'"));
    rows.lines().map(str::to_string).collect()
}

fn sync(suite: &Suite) -> (bool, String) {
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    let said = text(&output);
    assert!(!said.contains(SECRET), "{said}");
    (output.status.success(), said)
}

/// Shifts before, now and later, one of which goes on past all that is asked for.
fn shifts(at: i64) -> [(&'static str, i64, i64); 3] {
    [
        ("alice", at - 2 * HOUR, at + HOUR),
        ("bob", at + HOUR, at + 20 * HOUR),
        ("carol", at + 20 * HOUR, at + 200 * HOUR),
    ]
}

#[test]
fn a102_each_service_is_asked_as_it_documents_and_no_failure_changes_anything() {
    let suite = Suite::start();
    suite.sync_keys();
    let services = Services::start(&suite.host);
    let at = now();
    for kind in KINDS {
        configure(&suite, &Services::source(kind, "s", "20s"));
        services.set(&shifts(at), "ok");
        let (good, said) = sync(&suite);
        assert!(good, "{}: {said}{}", kind.word, services.refused());
        assert_eq!(services.refused(), "", "{}", kind.word);
        let rows = roster(&suite);
        let row = |n: usize| rows[n].strip_prefix(kind.schedule).unwrap().trim().to_string();
        assert_eq!(rows.len(), 3, "{}: {rows:?}", kind.word);
        assert_eq!(row(0), format!("alice 1 {} {}", at - 2 * HOUR, at + HOUR));
        assert_eq!(row(1), format!("bob 1 {} {}", at + HOUR, at + 20 * HOUR));
        assert!(row(2).starts_with(&format!("carol 1 {} ", at + 20 * HOUR)), "{rows:?}");
        for (outcome, words) in [
            ("401", "does not know who asks"),
            ("403", "may not read this"),
            ("404", "not found"),
            ("429", "try again in 1h"),
            ("500", "the service fails"),
            ("truncated", "cannot be read"),
            ("html", "answered text/html instead of JSON"),
            ("endless", "more than 200 pages"),
            ("drip", "no complete answer in time"),
            ("empty", "nobody"),
        ] {
            if outcome == "endless" && !kind.has_pages {
                continue;
            }
            let timeout = if outcome == "drip" { "3s" } else { "60s" };
            configure(&suite, &Services::source(kind, "s", timeout));
            services.set(&shifts(at), outcome);
            let (good, said) = sync(&suite);
            assert!(!good && said.contains(words), "{} {outcome}: {said}", kind.word);
            let before = roster(&suite);
            assert_eq!(before, rows, "{} {outcome}", kind.word);
        }
    }
}

#[test]
fn a102_what_nobody_has_seen_does_not_enforce_unless_somebody_says_so() {
    let suite = Suite::start();
    let check = |sources: &str| {
        let config = format!("[directory]\nfile = 'people.toml'\n[policy]\nmode = 'enforce'\n{sources}");
        suite.host.write("/etc/authkeys/draft.toml", config, 0o644);
        suite.host.write("/etc/authkeys/services-token", "x\n", 0o600);
        let output = suite.host.sh("oncall-cache config check /etc/authkeys/draft.toml");
        (output.status.code(), text(&output))
    };
    for kind in KINDS {
        let source = Services::source(kind, "s", "20s");
        let (code, said) = check(&source);
        let is_refused = said.contains("was never tried on a real");
        assert_eq!(is_refused, kind.word != "linkedin-oncall", "{}: {code:?} {said}", kind.word);
        let agreed = source.replace("provider =", "unverified = true\nprovider =");
        assert!(!check(&agreed).1.contains("was never tried"), "{}", kind.word);
        // Nor by the command, where the configuration observes.
        let draft = suite.host.read("/etc/authkeys/draft.toml").replace("unverified = true\n", "");
        suite.host.write("/etc/authkeys/draft.toml", draft.replace("'enforce'", "'observe'"), 0o644);
        let output = suite.host.sh("oncall-cache enforce --config /etc/authkeys/draft.toml");
        let said = text(&output);
        assert!(!output.status.success(), "{}: {said}", kind.word);
        assert_eq!(said.contains("was never tried on a real"), is_refused, "{}: {said}", kind.word);
    }
}

/// The story, told by LinkedIn's own server with its own check of signatures.
#[test]
fn a102_linkedins_own_server_tells_the_story() {
    let suite = Suite::start();
    suite.sync_keys();
    let services = Services::start(&suite.host);
    services.start_oncall();
    let story: Value = serde_json::from_str(include_str!("fixtures/scenario.json")).expect("JSON");
    let later = now() - seconds(story["fetched_at"].as_str().expect("an instant"));
    let time = |value: &Value| seconds(value.as_str().expect("an instant")) + later;
    for (list, role) in [("primary", 1), ("secondary", 2), ("primary", 5)] {
        for shift in story[list].as_array().expect("shifts") {
            let (start, end) = (time(&shift["start"]), time(&shift["end"]));
            services.sql(&format!(
                "INSERT INTO event (team_id, role_id, user_id, start, end)
                 SELECT 1, {role}, id, {start}, {end} FROM user WHERE name = '{}'",
                shift["user"].as_str().expect("a name")
            ));
        }
    }
    let source = Services::source(KINDS[0], "li", "20s").replace(Services::API, Services::ONCALL);
    configure(&suite, &source);
    let (good, said) = sync(&suite);
    assert!(good, "{said}");
    for expected in story["expect_primary_at"].as_array().expect("instants") {
        let at = time(&expected["at"]);
        // An hour of the past is asked for, and no more.
        if at < now() - HOUR {
            continue;
        }
        let query = format!(
            "SELECT principal FROM shift WHERE level = 1 AND starts <= {at} AND ends > {at} ORDER BY 1"
        );
        let rows = suite.host.must(&format!("sqlite3 {ROSTER} '{query}'"));
        let users: Vec<&str> =
            expected["users"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
        assert_eq!(rows.lines().collect::<Vec<_>>(), users, "{}", instant(at));
    }

    // Deactivated, she is on the rota there and nowhere here.
    services.sql("UPDATE user SET active = 0 WHERE name = 'alice'");
    let (_, said) = sync(&suite);
    assert!(said.contains("user alice on my team is not active there any more"), "{said}");
    assert!(!roster(&suite).iter().any(|row| row.contains(" alice ")));

    // A team and a role that it does not have, which it answers with empty lists; and a key that it does not know.
    for (from, to, words) in [
        ("'my team'", "'my teem'", "LinkedIn Oncall has no schedule `my teem`"),
        ("'secondary'", "'secundary'", "LinkedIn Oncall has no role `secundary`"),
        ("'cache'", "'cash'", "status 401"),
    ] {
        configure(&suite, &source.replace(from, to));
        let (good, said) = sync(&suite);
        assert!(!good && said.contains(words), "{said}");
    }
}

#[test]
fn twenty_sources_of_different_kinds_of_which_one_hangs_take_no_longer_than_that_one() {
    let suite = Suite::start();
    suite.sync_keys();
    let services = Services::start(&suite.host);
    services.set(&shifts(now()), "ok");
    let rota = "[[schedule]]\nid = 'r'\n[[schedule.shift]]\nperson = 'dave'\nstart = 2020-01-01T00:00:00Z\nend = 2090-01-01T00:00:00Z\n";
    suite.host.write("/etc/authkeys/rota.toml", rota, 0o644);
    // Nobody answers, not even TLS.
    suite.host.daemon(&["python3", "-c", "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 8460)); s.listen(9); time.sleep(9999)"], "/run/hang.log");
    suite.host.wait_for_port(8460);
    let of = |n: usize, kind: &Kind| match n {
        19 => Services::source(*kind, "s19", "5s").replace(":8450", ":8460"),
        n if n % 6 == 5 => {
            format!("[[oncall.source]]\nname = 's{n}'\nprovider = 'rota'\nfile = 'rota.toml'\n")
        }
        n => Services::source(*kind, &format!("s{n}"), "60s"),
    };
    let sources: String = (0..20).map(|n| of(n, &KINDS[n % 5])).collect();
    configure(&suite, &sources);
    let started = Instant::now();
    let (good, said) = sync(&suite);
    // It ended, and not by any test's limit: what hangs was given up by its own.
    assert!(!good && said.contains("no complete answer in time"), "{:?}: {said}", started.elapsed());
    let query = "SELECT DISTINCT source FROM schedule ORDER BY 1";
    let known = suite.host.must(&format!("sqlite3 {ROSTER} '{query}'"));
    let stamps =
        suite.host.must(&format!("sqlite3 {ROSTER} 'SELECT count(synced) FROM schedule WHERE synced > 0'"));
    assert_eq!((known.lines().count(), stamps.trim()), (19, "19"), "{known}");
    assert!(!known.contains("s19"), "{known}");
}

#[test]
fn a_service_whose_clock_is_wrong_costs_its_own_schedules_alone() {
    let suite = Suite::start();
    suite.sync_keys();
    let services = Services::start(&suite.host);
    let at = now();
    let rota = |person: &str| {
        let text = format!(
            "[[schedule]]\nid = 'r'\n[[schedule.shift]]\nperson = '{person}'\nstart = 2020-01-01T00:00:00Z\nend = 2090-01-01T00:00:00Z\n"
        );
        suite.host.write("/etc/authkeys/rota.toml", text, 0o644);
    };
    let source = Services::source(KINDS[2], "s", "20s");
    configure(
        &suite,
        &format!("{source}[[oncall.source]]\nname = 'r'\nprovider = 'rota'\nfile = 'rota.toml'\n"),
    );
    services.set(&shifts(at), "ok");
    rota("dave");
    assert!(sync(&suite).0);
    let before = roster(&suite);
    assert_eq!(before.len(), 4, "{before:?}");
    services.set(&[("mallory", at - HOUR, at + HOUR)], "offset -600");
    rota("carol");
    let (good, said) = sync(&suite);
    assert!(!good && said.contains("apart (clock-skew); set the clock that is wrong"), "{said}");
    let after = roster(&suite);
    assert_eq!(after[..3], before[..3], "what it told stays as it was");
    assert!(after[3].starts_with("r carol "), "{after:?}");
    // Two minutes are borne.
    services.set(&shifts(at), "offset -60");
    assert!(sync(&suite).0);
}

/// The scripts for services of which no replies were recorded, on replies as the services document them.
#[test]
fn a102_the_examples_for_exec_tell_the_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let story: Value = serde_json::from_str(include_str!("fixtures/scenario.json")).expect("JSON");
    for name in ["rootly", "splunk-oncall", "better-stack"] {
        let reply = File::open(root.join(format!("tests/fixtures/exec/{name}.json"))).expect("a fixture");
        let mut script = Command::new("python3");
        let script = script.arg(root.join(format!("packaging/examples/{name}"))).arg("-").stdin(reply);
        let output = script.output().expect("python3 runs");
        assert!(output.status.success(), "{name}: {}", text(&output));
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(document["version"], 1);
        for expected in story["expect_primary_at"].as_array().expect("instants") {
            let at = expected["at"].as_str().expect("an instant");
            let first = |shift: &&Value| shift["level"].as_u64().unwrap_or(1) == 1;
            let current = |shift: &&Value| {
                shift["start"].as_str().is_some_and(|start| start <= at)
                    && shift["end"].as_str().is_some_and(|end| at < end)
            };
            let shifts = document["schedules"][0]["shifts"].as_array().expect("shifts").iter();
            let users: BTreeSet<&str> = shifts
                .filter(first)
                .filter(current)
                .filter_map(|shift| shift["user"]["email"].as_str()?.strip_suffix("@example.com"))
                .collect();
            let wanted: BTreeSet<&str> =
                expected["users"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
            assert_eq!(users, wanted, "{name} at {at}");
        }
    }
}

#[test]
fn a_source_is_asked_once_and_its_replies_are_saved_without_names() {
    let suite = Suite::start();
    suite.sync_keys();
    let services = Services::start(&suite.host);
    let at = now();
    services.set(&shifts(at), "ok");
    configure(&suite, &Services::source(KINDS[0], "li", "20s"));
    let output = suite.host.sh("oncall-cache provider test li --record /tmp/replies");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}{}", services.refused());
    for words in [
        "source li: LinkedIn Oncall\n",
        "requests: 4; headroom: not told",
        "schedule my team (my team): 3 shifts; now alice (level 1); next hand-over ",
        "to bob (level 1)",
        "4 replies saved",
        "alice@example.com",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!suite.host.sh(&format!("test -e {ROSTER}")).status.success(), "it publishes nothing");
    let saved = suite.host.must("cat /tmp/replies/*.json");
    for hidden in ["alice", "bob", "my team", "my+team", "my%20team", SECRET] {
        assert!(!saved.contains(hidden), "{hidden}: {saved}");
    }
    let events: Value = serde_json::from_str(&suite.host.read("/tmp/replies/003.json")).expect("JSON");
    assert_eq!(events["body"][0]["start"], at - 2 * HOUR);
    let users: Value = serde_json::from_str(&suite.host.read("/tmp/replies/004.json")).expect("JSON");
    assert_eq!(events["body"][0]["user"], users["body"][0]["name"], "the same person by the same name");

    // What does not come, and what is not there.
    services.set(&shifts(at), "403");
    let output = suite.host.sh("oncall-cache provider test li");
    assert_eq!((output.status.code(), text(&output).contains("may not read this")), (Some(2), true));
    let output = suite.host.sh("oncall-cache provider test il");
    assert_eq!((output.status.code(), text(&output).contains("there are: li")), (Some(2), true));
    let listed = suite.host.must("oncall-cache provider list");
    for kind in KINDS {
        assert!(listed.contains(kind.word), "{listed}");
    }
}

/// How many shifts there are, and when the next hand-over is, by what `provider test` says.
fn shape(said: &str) -> (String, String) {
    let between = |start: &str, end: &str| {
        let rest = said.split_once(start).unwrap_or_else(|| panic!("{start}: {said}")).1;
        rest.split_once(end).unwrap_or_else(|| panic!("{end}: {said}")).0.to_string()
    };
    (between("): ", " shifts; now "), between("next hand-over ", " to "))
}

#[test]
fn what_was_saved_of_replies_comes_to_the_same_when_it_is_played_again() {
    let suite = Suite::start();
    suite.sync_keys();
    let services = Services::start(&suite.host);
    let store = HostileStore::start(&suite.host, 8543);
    suite.host.write("/etc/authkeys/store-ca.pem", store.ca_pem(), 0o644);
    services.set(&shifts(now()), "ok");
    let mut played = Vec::new();
    for kind in KINDS {
        let source = Services::source(kind, "s", "20s");
        configure(&suite, &source);
        suite.host.must("rm -rf /tmp/replies");
        let said = suite.host.must("oncall-cache provider test s --record /tmp/replies");
        let files = suite.host.must("ls /tmp/replies/*.json");
        let replies: Vec<Value> =
            files.lines().map(|file| serde_json::from_str(&suite.host.read(file)).expect("JSON")).collect();
        let path = |reply: &Value| {
            let request = reply["request"].as_str().expect("a request");
            request.split([' ', '?']).nth(1).expect("a path").to_string()
        };
        let paths: BTreeSet<String> = replies.iter().map(path).collect();
        if paths.len() < replies.len() {
            // Pages of one list, which the store does not tell apart.
            continue;
        }
        for reply in &replies {
            let json = vec![("Content-Type", "application/json".to_string())];
            let body = reply["body"].to_string().into_bytes();
            store.lie(&path(reply), Some(Lie::Answer(200, json, body)));
        }
        // What was a name has another one, so that each schedule that there is is asked for.
        let again = source.replace(Services::API, &store.url()).replace("services-ca.pem", "store-ca.pem");
        let is_listed = |line: &&str| kind.word == "goalert" || !line.starts_with("schedules = ");
        configure(
            &suite,
            &again.lines().filter(is_listed).fold(String::new(), |all, line| all + line + "\n"),
        );
        // It ends with status 1 where the directory knows none of these people.
        let replayed = text(&suite.host.sh("oncall-cache provider test s"));
        assert_eq!(shape(&replayed), shape(&said), "{}: {replayed}", kind.word);
        played.push(kind.word);
    }
    assert!(played.len() >= 2 && played.contains(&"linkedin-oncall"), "{played:?}");
}
