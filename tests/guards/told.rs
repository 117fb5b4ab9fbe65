//! What a sync records and warns of, and who may read it.

use harness::suite::{DAY, HOUR, Suite};
use harness::text;
use serde_json::Value;

use super::{THREE, configure, configure_sources, document, report, sync, three, write_rota};

#[test]
fn each_change_of_who_could_become_root_is_a_line_of_history() {
    let suite = Suite::start();
    three(&suite);
    let history = || -> Vec<Value> {
        let text = suite.host.read("/var/lib/oncall-cache/history.jsonl");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let brief = |record: &Value| {
        format!("{} {} {}", record["change"], record["person"], record["eligible"]).replace('"', "")
    };
    let first: Vec<String> = history().iter().map(brief).collect();
    assert_eq!(first, ["gained alice true", "gained bob true", "gained carol true"]);
    sync(&suite, "", 0);
    assert_eq!(history().len(), 3, "the same again is no change");
    write_rota(&suite, &[THREE[0], THREE[1], ("three", &[("dave", -HOUR, HOUR)])]);
    let _ = sync(&suite, "", 0);
    let records = history();
    // Written anew at another second, every shift is another one; what counts is who comes and goes.
    let gone = records.iter().skip(3).filter(|one| one["person"] == "carol").map(brief).collect::<Vec<_>>();
    let came = records.iter().skip(3).filter(|one| one["person"] == "dave").map(brief).collect::<Vec<_>>();
    assert_eq!((gone, came), (vec!["lost carol true".to_string()], vec!["gained dave false".to_string()]));
    let last = records.last().expect("a record");
    let digest = suite.host.must("sha256sum /etc/authkeys/config.toml");
    assert_eq!(last["policy"].as_str(), digest.split(' ').next());
    assert_eq!((last["host"].as_str(), last["version"].as_u64()), (Some("testhost"), Some(1)));
    // Another policy is a change of its own.
    suite.host.must("echo '# reviewed' >>/etc/authkeys/config.toml");
    sync(&suite, "", 0);
    assert_eq!(history().last().map(|one| one["change"].clone()), Some("policy".into()), "{}", suite.host.must("cat /var/lib/oncall-cache/history.jsonl /var/lib/oncall-cache/status.json; sha256sum /etc/authkeys/config.toml"));
    let mode = suite.host.must("stat -c '%U %a' /var/lib/oncall-cache/history.jsonl");
    assert_eq!(mode, "oncall-cache 640\n");
    // A link in its place leads nobody astray, and no hand-over waits for a record.
    suite.host.must(
        "ln -sf /etc/shadow /var/lib/oncall-cache/history.jsonl; chown -h oncall-cache: /var/lib/oncall-cache/history.jsonl",
    );
    write_rota(&suite, &[THREE[0], THREE[1], ("three", &[("bob", -HOUR, HOUR)])]);
    let output = suite.host.sh("oncall-cache sync");
    assert!(text(&output).contains("the history of who could become root has a gap"), "{}", text(&output));
    assert_eq!(suite.run_as("nobody", "oncall-cache test-access bob").status.code(), Some(0));
}

#[test]
fn who_will_not_be_admitted_is_told_three_days_ahead() {
    let suite = Suite::start();
    configure(&suite, "");
    write_rota(
        &suite,
        &[
            ("one", &[("alice", -HOUR, HOUR), ("priya@example.com", HOUR, 2 * HOUR)]),
            ("two", &[("bob", -HOUR, HOUR), ("dave", 5 * HOUR, 6 * HOUR), ("dave", DAY, DAY + HOUR)]),
            ("three", &[("carol", 3 * DAY - 2 * HOUR, 3 * DAY - HOUR)]),
        ],
    );
    let people = suite.host.read("/etc/authkeys/people.toml");
    let carols = suite.public_key("carol");
    suite.host.write("/etc/authkeys/people.toml", people.replace(&carols, "ssh-ed25519 AAAA"), 0o644);
    suite.sync_keys();
    let said = sync(&suite, "", 0);
    for line in [
        "priya will be on call for one from ",
        "no directory entry has the mail address; add it there",
        "dave will be on call for two from ",
        "dave is not in the eligible group",
        "carol will be on call for three from ",
        "carol has no usable key in the directory",
    ] {
        assert!(said.contains(line), "{line:?} is not in {said}");
    }
    assert_eq!(
        said.matches("dave will be on call").count(),
        1,
        "the first of several shifts is told: {said}"
    );
    let report = report(&suite);
    assert_eq!(report["ahead"].as_array().map(Vec::len), Some(3), "{report}");
    assert!(!report.to_string().contains('@'), "a mail address where anybody reads it: {report}");
    assert_eq!(report["unmapped"], 1, "{report}");
}

#[test]
fn what_anybody_may_read_has_no_address_and_no_words_of_other_programs() {
    let suite = Suite::start();
    let command = "/etc/authkeys/rota-command";
    let id = "x'; touch /run/pwned; echo '";
    configure_sources(
        &suite,
        &[
            ("exec", &format!("provider = 'exec'\ncommand = ['{command}']")),
            ("file", "provider = 'file'\nfile = '/etc/authkeys/file.json'"),
        ],
        "'exec/p'",
    );
    suite.host.write(
        command,
        "#!/bin/sh\necho 'https://x:hunter2@rota/ for bob@example.com' >&2\nexit 22\n",
        0o755,
    );
    suite.host.write(
        "/etc/authkeys/file.json",
        document(id, r#"{"id":"carol@example.com","email":"nobody@example.com"}"#, ""),
        0o644,
    );
    suite.sync_keys();
    let said = sync(&suite, "", 2);
    assert!(said.contains("hunter2"), "the log has it: {said}");
    let status = report(&suite).to_string()
        + &suite.run_as("nobody", "oncall-cache status").stdout.escape_ascii().to_string();
    for word in ["hunter2", "@example.com", "bob"] {
        assert!(!status.contains(word), "{word} is in {status}");
    }
    // What is to be pasted into a root shell is one word of it.
    let advice = said.lines().find(|line| line.contains("--accept")).expect("advice");
    let command = advice.split("sudo ").nth(1).expect("a command");
    suite.host.sh(command);
    assert!(!suite.host.path("/run/pwned").exists(), "{command}");
}

#[test]
fn status_knows_of_a_list_of_the_revoked_that_shuts_everybody_out() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    suite.host.write("/etc/authkeys/revoked", "junk\n", 0o644);
    let output = suite.run_as("nobody", "oncall-cache status");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("the list of revoked people cannot be read"), "{}", text(&output));
    let metrics = suite.run_as("nobody", "oncall-cache status --prometheus");
    assert!(text(&metrics).contains("oncall_cache_revocations_readable 0"), "{}", text(&metrics));
}

#[test]
fn the_history_comes_before_the_roster_and_a_policy_is_missed_by_no_failure() {
    let suite = Suite::start();
    three(&suite);
    let lines = || suite.host.read("/var/lib/oncall-cache/history.jsonl").lines().count();
    let before = (lines(), suite.host.read_bytes("/var/lib/oncall-cache/roster.db"));
    write_rota(&suite, &[THREE[0], THREE[1], ("three", &[("alice", -HOUR, HOUR)])]);
    suite.host.must("mkdir /var/lib/oncall-cache/roster.new");
    sync(&suite, "", 2);
    assert!(lines() > before.0, "the roster would have been published without a record");
    assert!(suite.host.read_bytes("/var/lib/oncall-cache/roster.db") == before.1);
    suite.host.must("rmdir /var/lib/oncall-cache/roster.new; echo '# reviewed' >>/etc/authkeys/config.toml; mv /etc/authkeys/rota.toml /run/");
    sync(&suite, "", 2);
    suite.host.must("mv /run/rota.toml /etc/authkeys/");
    sync(&suite, "", 0);
    assert!(suite.host.read("/var/lib/oncall-cache/history.jsonl").contains(r#""change":"policy""#));
}
