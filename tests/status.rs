//! What `oncall-cache status` says, to people, to programs and to Prometheus, in each state a host can be in.

use std::collections::{BTreeMap, BTreeSet};

use harness::suite::{DAY, HOUR, Suite};
use harness::text;
use serde_json::Value;

const OPERATIONS: &str = include_str!("../docs/operations.md");

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
    let row = OPERATIONS.lines().find(|line| line.starts_with("| `status` | `at`")).expect("a row");
    let written: BTreeSet<&str> = row.split('`').skip(3).step_by(2).collect();
    let fields = json.as_object().expect("an object").keys().map(String::as_str);
    assert_eq!(written, fields.filter(|field| *field != "version").collect(), "docs/operations.md");
    let primary = &json["schedules"][0];
    assert_eq!(primary["schedule"], "rota/primary");
    assert_eq!(primary["state"], "read");
    assert_eq!((&primary["believed"], &primary["counts_here"]), (&true.into(), &true.into()));
    assert_eq!(primary["on_call"][0]["person"], "alice");
    assert_eq!((&primary["warn_age_seconds"], &primary["max_age_seconds"]), (&3600.into(), &86_400.into()));
    assert_eq!((&json["last_sync"]["published"], &json["last_sync"]["unmapped"]), (&true.into(), &0.into()));
    let table = table(&suite);
    assert!(table.starts_with("well: every schedule is known and valid\n"), "{table}");
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
    assert_eq!(suite.run_as("nobody", "oncall-cache test-access alice").status.code(), Some(2));
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
    assert!(table.contains("dave will be on call for primary from "), "{table}");
    assert!(table.contains("1 of the providers' users match nobody in the directory"), "{table}");
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
    suite.host.must("rm -r /var/lib/oncall-cache/*");
    assert_eq!(run(2)["oncall_cache_roster_believed"], 0);
    suite.host.must("rm /etc/authkeys/config.toml");
    assert_eq!(run(2).into_iter().collect::<Vec<_>>(), [("oncall_cache_status".to_string(), 2)]);
}

/// The usual configuration, and a group of all who are on call.
fn with_group() -> String {
    format!("{}[[nss.group]]\nname = \"oncall\"\ngid = 9100\nrules = [\"*\"]\n", harness::suite::CONFIG)
}

#[test]
fn groups_that_could_not_be_written_are_told_until_they_are() {
    let suite = Suite::start();
    suite.host.write("/etc/authkeys/config.toml", with_group(), 0o644);
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    // A full disk, a file that cannot be changed: here a directory in the file's place.
    suite.host.must("install -d -o oncall-cache /var/lib/oncall-cache/group");
    suite.sync_keys();
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let (code, json) = status(&suite);
    assert_eq!((code, &json["health"]), (Some(1), &"failing".into()), "{json:#}");
    let problem = json["last_sync"]["groups_problem"].as_str().expect("a problem");
    assert!(problem.starts_with("the groups of [[nss.group]] stay as they were: "), "{problem}");
    assert!(table(&suite).contains(&format!("trouble     {problem}")), "{}", table(&suite));
    let metrics = suite.run_as("nobody", "oncall-cache status --prometheus");
    let metrics = samples(&String::from_utf8_lossy(&metrics.stdout));
    assert_eq!(metrics["oncall_cache_last_sync_groups_written"], 0);
    // Where the sources fail as well, both are told.
    suite.host.must("mv /etc/authkeys/rota.toml /root/rota.toml");
    assert_eq!(suite.run_as("oncall-cache", "oncall-cache sync").status.code(), Some(2));
    let table = table(&suite);
    assert!(table.contains("no schedule was read") && table.contains(problem), "{table}");
    suite.host.must("mv /root/rota.toml /etc/authkeys/rota.toml && rmdir /var/lib/oncall-cache/group");
    suite.sync();
    let (code, json) = status(&suite);
    assert_eq!((code, &json["last_sync"]["groups_problem"]), (Some(0), &Value::Null), "{json:#}");
}

#[test]
fn a_host_whose_last_source_is_gone_has_nobody_in_its_groups() {
    let suite = Suite::start();
    suite.host.write("/etc/authkeys/config.toml", with_group(), 0o644);
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    assert!(suite.host.read("/var/lib/oncall-cache/group").contains("alice@"));
    let (start, end) = ("[[oncall.source]]", "[policy]");
    let config = with_group();
    let (before, rest) = config.split_once(start).expect("a source");
    let (_, policy) = rest.split_once(end).expect("a policy");
    let (policy, _) = policy.split_once("[[policy.rule]]").expect("a rule");
    let group = config.split_once("[[nss.group]]").expect("a group").1;
    let without = format!("{before}{end}{policy}[[nss.group]]{group}");
    suite.host.write("/etc/authkeys/config.toml", without, 0o644);
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("config.toml has no [[oncall.source]]"), "{}", text(&output));
    let group = suite.host.read("/var/lib/oncall-cache/group");
    assert!(group.contains("\noncall:9100:") && !group.contains("alice"), "{group}");
    assert!(table(&suite).contains("config.toml has no [[oncall.source]]"), "{}", table(&suite));
    // Without the group as well, none is served.
    let bare = suite.host.read("/etc/authkeys/config.toml");
    let bare = bare.split_once("[[nss.group]]").expect("a group").0.to_string();
    suite.host.write("/etc/authkeys/config.toml", bare, 0o644);
    assert_eq!(suite.run_as("oncall-cache", "oncall-cache sync").status.code(), Some(2));
    assert_eq!(suite.host.read("/var/lib/oncall-cache/group").lines().count(), 1);
}

/// Exit status and the only line of `oncall-cache status --nagios`, as the user `nobody`: its text, and its numbers.
fn nagios(suite: &Suite) -> (Option<i32>, String, BTreeMap<String, String>) {
    let output = suite.run_as("nobody", "oncall-cache status --nagios");
    assert!(output.stderr.is_empty(), "a plugin speaks on standard output: {}", text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.strip_suffix('\n').expect("the line has an end");
    assert!(!line.contains('\n') && line.matches('|').count() <= 1, "{said}");
    let (told, numbers) = line.split_once(" | ").unwrap_or((line, ""));
    let state = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]
        .iter()
        .position(|state| told.starts_with(&format!("{state} - ")));
    assert_eq!(state.map(|state| state as i32), output.status.code(), "{said}");
    (output.status.code(), told.to_string(), performance_data(numbers))
}

/// `'label'=value[UOM];[warn];[crit];[min];[max]`, as the guidelines for plugins have it.
fn performance_data(mut text: &str) -> BTreeMap<String, String> {
    let mut numbers = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = match text.strip_prefix('\'') {
            Some(quoted) => quoted.split_once("'=").expect("a quoted label and its value"),
            None => text.split_once('=').expect("a label and its value"),
        };
        let (value, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let fields: Vec<&str> = value.split(';').collect();
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        assert!(
            fields.len() <= 5
                && is_number(fields[0].trim_end_matches('s'))
                && fields[1..].iter().all(|one| is_number(one)),
            "{value}"
        );
        assert!(numbers.insert(name.to_string(), value.to_string()).is_none(), "{name} is there twice");
        text = rest;
    }
    numbers
}

#[test]
fn a_monitoring_plugin_says_the_same_in_one_line() {
    let suite = Suite::start();
    let (code, told, _) = nagios(&suite);
    assert_eq!(code, Some(2), "no roster yet: {told}");
    assert!(told.contains("run `oncall-cache sync`"), "{told}");
    suite.write_rota(&[("alice", -HOUR, HOUR), ("dave", HOUR, DAY), ("zoe", 2 * DAY, 3 * DAY)]);
    suite.sync();
    let (code, told, numbers) = nagios(&suite);
    assert_eq!(
        (code, told.as_str()),
        (Some(0), "OK - well: every schedule is known and valid; on call: alice")
    );
    let shown = &numbers["age rota/primary"];
    assert!(shown.ends_with("s;3600;86400;0"), "{shown}");
    assert_eq!((numbers["unmapped"].as_str(), numbers["cannot_log_in"].as_str()), ("1;;;0", "2;;;0"));
    assert!(numbers.contains_key("believed_for") && numbers.contains_key("last_sync"), "{numbers:#?}");
    // Whatever somebody calls a schedule stays inside the text.
    let rota = suite.host.read("/etc/authkeys/rota.toml");
    let named = rota.replace("name = 'primary'", "name = \"a|b\\n'c'=1\"");
    suite.host.write("/etc/authkeys/rota.toml", named, 0o644);
    suite.sync();
    age_and_fail(&suite);
    let (code, told, _) = nagios(&suite);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.starts_with("WARNING - last sync: no schedule was read; schedule rota/primary: source-error: "),
        "{told}"
    );
    age(&suite, 25 * HOUR);
    let (code, told, numbers) = nagios(&suite);
    assert_eq!((code, numbers["believed_for"].as_str()), (Some(2), "0s;;;0"), "{told}");
    assert!(told.contains("not valid: read 1d 1h"), "{told}");
}

/// A sync that finds no rota, five seconds after the last good one.
fn age_and_fail(suite: &Suite) {
    age(suite, 5);
    suite.host.must("mv /etc/authkeys/rota.toml /root/rota.toml");
    assert_eq!(suite.run_as("oncall-cache", "oncall-cache sync").status.code(), Some(2));
}

#[test]
fn a_plugin_that_may_not_look_does_not_know_and_a_broken_host_is_critical() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    suite.host.must("oncall-cache pause --for 1h --reason 'a | b'");
    let (code, told, _) = nagios(&suite);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.starts_with("WARNING - failing: enforcing is PAUSED until "), "{told}");
    suite.host.must("oncall-cache pause --end && chmod 700 /etc/authkeys");
    let (code, told, _) = nagios(&suite);
    assert_eq!(code, Some(3), "{told}");
    suite.host.must("chmod 755 /etc/authkeys && chmod 700 /var/lib/oncall-cache");
    let (code, told, _) = nagios(&suite);
    assert_eq!(code, Some(3), "{told}");
    suite.host.must("chmod 755 /var/lib/oncall-cache && echo nonsense >/etc/authkeys/config.toml");
    let (code, told, _) = nagios(&suite);
    assert_eq!(code, Some(2), "guarded logins are refused: {told}");
    let output = suite.host.sh("oncall-cache status --nagios --json 2>/dev/null");
    assert_eq!(
        (output.status.code(), output.stdout.starts_with(b"UNKNOWN - ")),
        (Some(3), true),
        "{}",
        text(&output)
    );
}

/// A disk that fails is not a file that is damaged; and whatever a file is called, a hint names who writes it.
#[test]
fn a_roster_that_cannot_be_read_is_not_called_damaged_and_hints_name_its_writer() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    let roster = "/var/lib/oncall-cache/duty.sqlite";
    suite.host.must(&format!("printf '[paths]\\nroster = \"{roster}\"\\n' >>/etc/authkeys/config.toml"));
    suite.sync_keys();
    let says = |command: &str, words: &[&str]| {
        let output = suite.run_as("nobody", command);
        assert_eq!(output.status.code(), Some(2), "{command}: {}", text(&output));
        assert!(
            words.iter().all(|words| text(&output).contains(words)),
            "{words:?} of {command}: {}",
            text(&output)
        );
    };
    says("oncall-cache who", &[&format!("no {roster}; run `oncall-cache sync`")]);
    suite.must_as("oncall-cache", "oncall-cache sync");
    suite.host.must(&format!("cp -p {roster} /root/good; truncate -s 4096 {roster}"));
    says(
        "oncall-cache test-access alice",
        &["cache-corrupt", "is damaged, or another program's; run `oncall-cache sync`"],
    );
    suite.host.must(&format!("cat /root/good >{roster}"));
    let failing = format!("strace -o /dev/null -P {roster} -e inject=pread64:error=EIO oncall-cache");
    says(
        &format!("{failing} test-access alice"),
        &[
            "cache-unreadable",
            &format!(
                "{roster} cannot be read, though its contents may be intact; check the disk: Input/output error"
            ),
        ],
    );
    says(&format!("{failing} who"), &["cannot be read"]);
    assert!(suite.run_as("nobody", "oncall-cache test-access alice").status.success(), "it was as it should");
}

#[test]
fn how_long_a_login_waits_for_a_directory_that_does_not_answer_is_told() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    assert!(status(&suite).1["outage_wait_seconds"].is_null() && !table(&suite).contains("a login waits"));
    let server = "urls = ['ldaps://ldap.example.com']\nbase = 'dc=example,dc=com'\n[keys]\ntimeout = '4s'";
    let config = harness::suite::CONFIG.replace("file = \"people.toml\"", server);
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    assert_eq!(status(&suite).1["outage_wait_seconds"], 8);
    assert!(table(&suite).contains("a login waits up to 8 seconds: twice `timeout`"), "{}", table(&suite));
}
