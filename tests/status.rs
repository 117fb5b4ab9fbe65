//! What `oncall-cache status` says, to people, to programs and to Prometheus, in each state a host can be in.

use std::collections::{BTreeMap, BTreeSet};

use harness::suite::{DAY, HOUR, Suite};
use harness::text;
use serde_json::Value;

/// Exit status, and what `oncall-cache status --json` says to somebody without any right.
fn status(suite: &Suite) -> (Option<i32>, Value) {
    let output = suite.run_as("nobody", "oncall-cache status --json");
    let value = serde_json::from_slice(&output.stdout);
    (output.status.code(), value.unwrap_or_else(|error| panic!("{error}: {}", text(&output))))
}

/// The same for people.
fn table(suite: &Suite) -> String {
    String::from_utf8_lossy(&suite.run_as("nobody", "oncall-cache status").stdout).into_owned()
}

/// Makes the roster, and the report of the sync that wrote it, `seconds` older.
fn age(suite: &Suite, seconds: i64) {
    suite.host.must(&format!(
        "cd /var/lib/oncall-cache
         sqlite3 roster.db 'UPDATE meta SET published = published - {seconds}; UPDATE schedule SET synced = synced - {seconds}'
         attempted=$(sed -n 's/.*\"attempted\": \\([0-9]*\\),.*/\\1/p' status.json)
         sed -i \"s/\\\"attempted\\\": $attempted/\\\"attempted\\\": $((attempted - {seconds}))/\" status.json
         chown oncall-cache: status.json"
    ));
}

#[test]
fn a_host_that_knows_is_well() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    let (code, json) = status(&suite);
    assert_eq!((code, &json["version"], &json["health"]), (Some(0), &1.into(), &"well".into()), "{json:#}");
    let primary = &json["schedules"][0];
    assert_eq!(primary["schedule"], "rota/primary");
    assert_eq!(primary["state"], "read");
    assert_eq!((&primary["believed"], &primary["counts_here"]), (&true.into(), &true.into()));
    assert_eq!(primary["on_call"][0]["person"], "alice");
    assert_eq!((&primary["warn_age_seconds"], &primary["max_age_seconds"]), (&3600.into(), &86_400.into()));
    assert_eq!((&json["last_sync"]["published"], &json["last_sync"]["unmapped"]), (&true.into(), &0.into()));
    let table = table(&suite);
    assert!(table.starts_with("well: every schedule is known and believed\n"), "{table}");
    assert!(table.contains("\nprimary   read   "), "{table}");
    assert!(table.contains("  alice\n"), "{table}");
}

#[test]
fn a_source_that_fails_is_named_and_still_believed() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    age(&suite, 5);
    suite.host.must("rm /etc/authkeys/rota.toml");
    assert_eq!(suite.run_as("oncall-cache", "oncall-cache sync").status.code(), Some(2));
    let (code, json) = status(&suite);
    assert_eq!((code, &json["health"]), (Some(1), &"failing".into()), "{json:#}");
    let primary = &json["schedules"][0];
    assert_eq!((&primary["state"], &primary["reason"]), (&"kept".into(), &"source-error".into()), "{json:#}");
    assert!(primary["problem"].as_str().is_some_and(|text| text.contains("rota.toml: no such file")));
    assert_eq!(primary["on_call"][0]["person"], "alice");
    let table = table(&suite);
    assert!(table.contains("no schedule was read"), "{table}");
    assert!(
        table.contains("schedule rota/primary: source-error: /etc/authkeys/rota.toml: no such file"),
        "{table}"
    );
    let who = suite.must_as("nobody", "oncall-cache who");
    assert!(
        who.contains("schedule rota/primary: source-error: /etc/authkeys/rota.toml: no such file"),
        "{who}"
    );
    assert!(who.contains("  alice ") && who.ends_with("more: oncall-cache status\n"), "{who}");
    let who = suite.must_as("nobody", "oncall-cache who --json");
    assert!(who.contains("\"state\": \"kept\"") && who.contains("\"reason\": \"source-error\""), "{who}");
    // A sync that nobody starts any more is as bad as one that fails.
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    age(&suite, 2 * HOUR);
    let (code, json) = status(&suite);
    assert_eq!((code, &json["schedules"][0]["old"]), (Some(1), &true.into()), "{json:#}");
    assert_eq!(json["schedules"][0]["state"], "read");
    let who = suite.must_as("nobody", "oncall-cache who");
    assert!(who.contains("schedule rota/primary: read 2h ago, which is more than 1h\n"), "{who}");
}

#[test]
fn what_is_not_believed_is_exit_status_2() {
    let suite = Suite::start();
    let (code, json) = status(&suite);
    assert_eq!((code, &json["health"]), (Some(2), &"not-believed".into()), "{json:#}");
    assert_eq!(json["schedules"][0]["state"], "absent", "the rule's schedule is shown: {json:#}");
    suite.write_rota(&[("alice", -HOUR, 2 * DAY)]);
    suite.sync();
    age(&suite, 25 * HOUR);
    let (code, json) = status(&suite);
    assert_eq!((code, &json["schedules"][0]["believed"]), (Some(2), &false.into()), "{json:#}");
    assert!(table(&suite).contains("cannot tell"));
    assert_eq!(suite.run_as("nobody", "oncall-cache check alice").status.code(), Some(2));
    suite.sync();
    assert_eq!(status(&suite).0, Some(0));
    suite.host.must("cp /var/lib/oncall-cache/roster.db /root/; echo x >/var/lib/oncall-cache/roster.db");
    let (code, json) = status(&suite);
    assert_eq!(code, Some(2));
    assert!(json["roster_problem"].as_str().is_some_and(|text| text.contains("roster.db is damaged")));
    suite.sync();
    // A rule names a schedule that no sync has read yet.
    let config = suite.host.read("/etc/authkeys/config.toml");
    let more = config.replace("[\"rota/primary\"]", "[\"rota/primary\", \"rota/second\"]");
    suite.host.write("/etc/authkeys/config.toml", more, 0o644);
    let (code, json) = status(&suite);
    assert_eq!((code, &json["schedules"][1]["schedule"]), (Some(2), &"rota/second".into()), "{json:#}");
    suite.host.write("/etc/authkeys/config.toml", "nonsense", 0o644);
    let (code, json) = status(&suite);
    assert_eq!((code, &json["health"]), (Some(2), &"not-believed".into()), "{json:#}");
}

#[test]
fn a_clock_that_is_behind_is_exit_status_2() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    age(&suite, -DAY);
    let (code, json) = status(&suite);
    assert_eq!((code, &json["clock_holds"]), (Some(2), &false.into()), "{json:#}");
    assert!(json["message"].as_str().is_some_and(|text| text.contains("clock-rollback")), "{json:#}");
    assert!(json["last_sync"].is_null(), "a report from a time that has not come tells nothing: {json:#}");
    suite.sync();
    assert_eq!(status(&suite).0, Some(0));
}

#[test]
fn a_report_that_is_wrong_cannot_make_it_lie() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync_keys();
    suite.host.must("mv /etc/authkeys/rota.toml /root/rota.toml");
    suite.run_as("oncall-cache", "oncall-cache sync");
    let failed = suite.host.read("/var/lib/oncall-cache/status.json");
    suite.host.must("mv /root/rota.toml /etc/authkeys/rota.toml");
    suite.must_as("oncall-cache", "oncall-cache sync");
    let good = suite.host.read("/var/lib/oncall-cache/status.json");
    let replace = |text: &str| {
        suite.host.write("/var/lib/oncall-cache/status.json", text, 0o644);
        suite.host.must("chown oncall-cache: /var/lib/oncall-cache/status.json");
    };
    // Without its first digit it is some decades older.
    let older = failed.replacen("\"attempted\": 1", "\"attempted\": ", 1);
    for wrong in [older.as_str(), "", "{}", "[1", &good.replace("\"version\": 1", "\"version\": 9")] {
        replace(wrong);
        let (code, json) = status(&suite);
        assert_eq!((code, &json["health"]), (Some(0), &"well".into()), "{wrong}: {json:#}");
        assert!(json["last_sync"].is_null(), "{wrong}: {json:#}");
        assert_eq!(json["schedules"][0]["state"], "read", "{wrong}: {json:#}");
    }
    suite.host.must("rm /var/lib/oncall-cache/status.json");
    assert_eq!(status(&suite).0, Some(0));
    // A report that says all is well makes nothing younger.
    replace(&good);
    suite.host.must(&format!(
        "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE schedule SET synced = synced - {}'",
        25 * HOUR
    ));
    assert_eq!(status(&suite).0, Some(2));
}

#[test]
fn who_cannot_log_in_soon_is_shown() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("dave", HOUR, DAY), ("mallory@example.com", DAY, 2 * DAY)]);
    suite.sync();
    let (code, json) = status(&suite);
    assert_eq!(code, Some(0), "people who cannot log in are no fault of the sync: {json:#}");
    assert_eq!(json["last_sync"]["unmapped"], 1);
    assert_eq!(json["last_sync"]["ahead"][0]["who"], "dave");
    let table = table(&suite);
    assert!(table.contains("next on-caller cannot log in: dave, primary from "), "{table}");
    assert!(table.contains("1 of the sources' users are nobody here"), "{table}");
    assert!(!table.contains('@') && !json.to_string().contains('@'), "no mail address: {table}");
}

/// The samples of a text in the exposition format, and a complaint about whatever is not in it.
fn samples(exposition: &str) -> BTreeMap<String, i64> {
    assert!(exposition.ends_with('\n'), "the last line has an end");
    let (mut samples, mut done, mut current) = (BTreeMap::new(), BTreeSet::new(), String::new());
    for line in exposition.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(done.insert(name.to_string()), "{name} is in two places");
            assert!(!help.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            current = name.to_string();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest, format!("{current} gauge"), "TYPE follows HELP");
            assert!(
                !["_total", "_count", "_sum", "_bucket", "_gauge"].iter().any(|end| current.ends_with(end))
            );
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let labels = series.strip_prefix(&current).unwrap_or_else(|| panic!("{line} below {current}"));
            let quoted = labels.replace("\\\\", "").replace("\\\"", "").matches('"').count();
            assert!(labels.is_empty() || labels.starts_with('{') && labels.ends_with('}') && quoted % 2 == 0);
            let value = value.parse().unwrap_or_else(|_| panic!("{line} has no whole number"));
            assert!(samples.insert(series.to_string(), value).is_none(), "{series} is there twice");
        }
    }
    samples
}

#[test]
fn prometheus_reads_the_same() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("zoe", HOUR, DAY), ("zoe", 2 * DAY, 2 * DAY + HOUR)]);
    let rota = suite.host.read("/etc/authkeys/rota.toml");
    suite.host.write("/etc/authkeys/rota.toml", rota.replace("name = 'primary'", r#"name = 'a"b\c'"#), 0o644);
    suite.sync();
    let run = |code| {
        let output = suite.run_as("nobody", "oncall-cache status --prometheus");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        samples(&String::from_utf8_lossy(&output.stdout))
    };
    let well = run(0);
    let labels = r#"{schedule="rota/primary",name="a\"b\\c"}"#;
    assert_eq!(well["oncall_cache_status"], 0);
    assert_eq!(well[&format!("oncall_cache_schedule_believed{labels}")], 1);
    assert_eq!(well[&format!("oncall_cache_schedule_on_call_people{labels}")], 1);
    let synced = well[&format!("oncall_cache_schedule_synced_timestamp_seconds{labels}")];
    assert_eq!(synced, well["oncall_cache_last_sync_timestamp_seconds"]);
    assert_eq!(
        well[&format!("oncall_cache_schedule_believed_until_timestamp_seconds{labels}")],
        synced + DAY
    );
    assert_eq!(well["oncall_cache_unmapped_people"], 1);
    assert!(
        well.contains_key(r#"oncall_cache_cannot_log_in_timestamp_seconds{who="zoe",name="a\"b\\c"}"#),
        "{well:#?}"
    );
    age(&suite, 25 * HOUR);
    let old = run(2);
    assert!(!old.contains_key(&format!("oncall_cache_schedule_on_call_people{labels}")), "nobody can tell");
    assert_eq!((old["oncall_cache_status"], old[&format!("oncall_cache_schedule_believed{labels}")]), (2, 0));
    suite.host.must("rm /var/lib/oncall-cache/*");
    assert_eq!(run(2)["oncall_cache_roster_believed"], 0);
    suite.host.must("rm /etc/authkeys/config.toml");
    assert_eq!(run(2).into_iter().collect::<Vec<_>>(), [("oncall_cache_status".to_string(), 2)]);
}
