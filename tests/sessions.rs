//! Which guarded sessions are open: a file each, as long as the process lives that holds it.

use std::process::Output;

use harness::records::{admitted, records, suite, word};
use harness::suite::{HOUR, Suite};
use harness::{text, wait_until};
use serde_json::Value;

const SESSIONS: &str = "/run/authkeys/sessions";

/// Run as root inside a session: each file, with what the process is that it names, whether that is above the session's
/// own shell, and when it began.
const SHOW: &str = r#"#!/bin/sh
cd /run/authkeys/sessions || exit 1
words() { sed 's/.*) //' /proc/$1/stat; }
for file in *; do
    pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/' $file) above=no one=$$
    while [ $one -gt 1 ]; do
        [ $one != $pid ] || above=yes
        one=$(words $one | cut -d ' ' -f 2)
    done
    echo "$file $(cat /proc/$pid/comm) $above $(words $pid | cut -d ' ' -f 20) $(stat -c %U:%G:%a $file)"
    cat $file
done
"#;

/// alice is on call; su asks for no password.
fn shown_suite() -> Suite {
    let suite = suite();
    suite.host.write("/usr/local/bin/show", SHOW, 0o755);
    suite.host.must("sed -i -e '1i auth sufficient pam_permit.so' /etc/pam.d/su");
    suite
}

fn files(suite: &Suite) -> Vec<String> {
    suite.host.must(&format!("ls -A {SESSIONS}")).lines().map(str::to_string).collect()
}

/// The one session that is shown: what is said of its process, and its file.
fn one(output: &Output) -> (Vec<String>, Value) {
    let shown = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
    // su says at a terminal until when the right lasts.
    let [.., process, file] = lines[..] else { panic!("one session: {}", text(output)) };
    // script(1) may show the end of its input first.
    let process = process.trim_start_matches(['^', '@', 'D', '\u{8}']);
    let file = serde_json::from_str(file).unwrap_or_else(|error| panic!("{error}: {file}"));
    (process.split(' ').map(str::to_string).collect(), file)
}

#[test]
fn a_session_by_any_door_has_a_file_with_the_process_that_holds_it() {
    let suite = shown_suite();
    let at_terminal =
        |command: &str| suite.run_as("alice", &format!("script -qec \"{command}\" /dev/null </dev/null"));
    let boot = suite.host.must("cat /proc/sys/kernel/random/boot_id");
    for (service, program, open) in [
        ("sshd", "sshd", &|| suite.ssh("alice", "root", "show") as _),
        ("sudo", "sudo", &|| suite.run_as("alice", "sudo -n show")),
        ("sudo", "sudo", &|| at_terminal("sudo -n show")),
        ("su", "su", &|| suite.run_as("alice", "su root -c show")),
        ("su", "su", &|| at_terminal("su root -c show")),
    ] as [(&str, &str, &dyn Fn() -> Output); 5]
    {
        let output = open();
        let (process, file) = one(&output);
        let [id, name, above, start, owner] = &process[..] else { panic!("{process:?}") };
        assert!(name.starts_with(program) && above == "yes" && owner == "root:root:600", "{process:?}");
        assert_eq!((word(&file, "id"), file["pid_start"].to_string()), (id.as_str(), start.clone()));
        assert_eq!((word(&file, "boot_id"), word(&file, "service")), (boot.trim(), service));
        assert_eq!((word(&file, "person"), word(&file, "account")), ("alice", "root"));
        assert_eq!((word(&file, "reason"), word(&file, "rule")), ("oncall", "everywhere"));
        assert_eq!((word(&file, "phase"), word(&file, "until")), ("session", word(&file, "end")));
        wait_until("the session is closed", || files(&suite).is_empty());
        // Its records say the same, with numbers.
        wait_until("that is recorded", || {
            records(&suite).last().is_some_and(|last| word(last, "phase") == "close")
        });
        let all = records(&suite);
        let of = |phase: &str| {
            let record = all.iter().rfind(|record| word(record, "phase") == phase);
            record.unwrap_or_else(|| panic!("{phase}: {all:#?}"))
        };
        let mut session = of("session").clone();
        session.as_object_mut().expect("an object").remove("seq");
        assert_eq!(session, file);
        for name in ["id", "pid", "pid_start", "boot_id"] {
            assert_eq!(of("close")[name], file[name], "{name}");
        }
    }
    assert_eq!(suite.host.must(&format!("stat -c %U:%G:%a {SESSIONS}")), "root:root:700\n");
    // Whom nothing guards has none, and is not looked at closer.
    assert!(suite.ssh("dave", "dave", "true").status.success());
    let all = records(&suite);
    let dave = all.last().expect("a record");
    assert!(word(dave, "person") == "dave" && dave.get("pid").is_some(), "{dave}");
    assert!(dave.get("pid_start").is_none() && dave.get("cgroup").is_none(), "{dave}");
    // Each record has its name: the host, the boot, the number.
    assert!(all.iter().all(|record| word(record, "boot_id") == boot.trim()), "{all:#?}");
    assert_eq!(files(&suite), [""; 0]);
}

/// Has sudo hold a session for alice; the file of it.
fn hold(suite: &Suite) -> (String, Value) {
    let before = files(suite);
    suite
        .host
        .daemon(&["/usr/sbin/runuser", "-u", "alice", "--", "sudo", "-n", "sleep", "1000"], "/dev/null");
    let new = || files(suite).into_iter().find(|file| !file.starts_with('.') && !before.contains(file));
    wait_until("the session is open", || new().is_some());
    let name = new().expect("a file");
    let file = suite.host.read(&format!("{SESSIONS}/{name}"));
    (name, serde_json::from_str(&file).unwrap_or_else(|error| panic!("{error}: {file}")))
}

#[test]
fn a_session_whose_process_was_killed_is_removed_when_another_one_opens() {
    let suite = shown_suite();
    let (kept, _) = hold(&suite);
    let (_, killed) = hold(&suite);
    suite.host.must(&format!("kill -KILL {}", killed["pid"]));
    wait_until("it is gone", || !suite.host.sh(&format!("kill -0 {}", killed["pid"])).status.success());
    assert_eq!(files(&suite).len(), 2, "nobody was there to remove it");
    admitted(&suite.run_as("alice", "sudo -n id -u"));
    assert_eq!(files(&suite).concat(), kept);
    // The number of the process is another's by now.
    let line = suite.host.read(&format!("{SESSIONS}/{kept}"));
    let start =
        line.split_once("\"pid_start\":").and_then(|(_, rest)| rest.split_once(',')).expect("a start").0;
    let other = line.replace(&format!("\"pid_start\":{start},"), "\"pid_start\":1,");
    suite.host.write(&format!("{SESSIONS}/ffffffffffffffff"), other, 0o600);
    admitted(&suite.run_as("alice", "sudo -n id -u"));
    assert_eq!(files(&suite), [kept]);
}

#[test]
fn open_sessions_are_not_limited_and_what_is_said_of_them_is() {
    let suite = shown_suite();
    // More than are recorded in a minute.
    suite.run_as("alice", "for i in $(seq 65); do sudo -n true; done");
    let (_, file) = one(&suite.run_as("alice", "sudo -n show"));
    assert_eq!(word(&file, "person"), "alice");
    assert_eq!(files(&suite), [""; 0]);
    // Of those that cannot be written as many are in the log as decisions.
    let _ = suite.decisions();
    suite.host.must("chmod 777 /run/authkeys/sessions");
    suite.run_as("alice", "for i in $(seq 65); do sudo -n true; done");
    let lines = suite.decisions();
    let unlisted = lines.iter().filter(|line| line.contains(" unlisted=")).count();
    assert_eq!(unlisted * 2, lines.len(), "{lines:#?}");
}

#[test]
fn a_session_that_cannot_be_written_is_not_refused_and_is_in_the_log() {
    let suite = shown_suite();
    admitted(&suite.ssh("alice", "root", "id -u"));
    // sshd closes it after its client has gone.
    wait_until("the session is closed", || files(&suite).is_empty());
    let _ = suite.decisions();
    for (what, spoil, heal) in [
        ("for all to write", "chmod 777 /run/authkeys/sessions", "chmod 700 /run/authkeys/sessions"),
        (
            "a file",
            "rmdir /run/authkeys/sessions && touch /run/authkeys/sessions",
            "rm /run/authkeys/sessions",
        ),
    ] {
        suite.host.must(spoil);
        admitted(&suite.ssh("alice", "root", "id -u"));
        let lines = suite.decisions();
        let told = lines.iter().filter(|line| line.contains(" unlisted=")).count();
        assert_eq!(told, 1, "{what}: {lines:#?}");
        suite.host.must(heal);
    }
    // Made again where it is not there.
    let (process, _) = one(&suite.ssh("alice", "root", "show"));
    assert_eq!(process[4], "root:root:600");
}

/// What `oncall-cache sessions --json` says, with its exit status.
fn listed(suite: &Suite, options: &str) -> (Option<i32>, Value) {
    let output = suite.host.sh(&format!("oncall-cache sessions --json {options}"));
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    (output.status.code(), said)
}

#[test]
fn what_is_open_is_listed_with_who_may_still_be_there_and_what_runs_there() {
    let suite = shown_suite();
    let nothing = suite.host.sh("oncall-cache sessions");
    assert_eq!(
        (nothing.status.code(), String::from_utf8_lossy(&nothing.stdout)),
        (Some(0), "no guarded session is open\n".into())
    );
    let (id, file) = hold(&suite);
    // One with a program that its parents have left behind.
    suite.host.daemon(
        &["/usr/sbin/runuser", "-u", "alice", "--", "sudo", "-n", "sh", "-c", "(sleep 1001 &) ; sleep 1002"],
        "/dev/null",
    );
    wait_until("it runs", || suite.host.sh("pgrep -fx 'sleep 1002'").status.success());
    let (status, said) = listed(&suite, "");
    assert_eq!(status, Some(0), "{said:#}");
    let sessions = said["sessions"].as_array().expect("a list");
    let mine =
        sessions.iter().find(|session| word(session, "id") == id).unwrap_or_else(|| panic!("{said:#}"));
    assert_eq!(
        (word(mine, "person"), word(mine, "account"), word(mine, "service")),
        ("alice", "root", "sudo")
    );
    assert_eq!(
        (word(mine, "opened_by"), word(mine, "now"), word(mine, "until")),
        ("oncall", "oncall", word(&file, "until"))
    );
    let names = |session: &Value| -> Vec<String> {
        let processes = session["processes"].as_array().expect("a list");
        processes.iter().map(|process| word(process, "name").to_string()).collect()
    };
    assert_eq!(names(mine), ["sudo", "sleep"]);
    assert!(!said.to_string().contains("1000"), "arguments may hold secrets: {said:#}");
    let (_, full) = listed(&suite, "--full");
    assert!(full.to_string().contains("sleep 1000"), "{full:#}");
    let table = text(&suite.host.sh("oncall-cache sessions"));
    assert!(table.contains(&id) && table.contains("oncall until ") && table.contains(" sleep"), "{table}");

    suite.write_rota(&[("bob", -HOUR, HOUR)]);
    suite.sync();
    let (status, said) = listed(&suite, "");
    assert_eq!(status, Some(1), "{said:#}");
    let ended = said["sessions"].as_array().expect("a list").iter().all(|session| {
        session["has_ended"] == true && word(session, "now") == "not-oncall" && session["until"].is_null()
    });
    assert!(ended, "{said:#}");
    let table = text(&suite.host.sh("oncall-cache sessions"));
    assert!(table.contains("ended: not-oncall"), "{table}");
    assert!(suite.host.sh(&format!("kill -0 {}", file["pid"])).status.success(), "it ends nothing");

    suite.host.must("rm /var/lib/oncall-cache/roster.db");
    let (status, said) = listed(&suite, "");
    assert!(status == Some(2) && said.to_string().contains("cache-missing"), "{said:#}");
    suite.host.write(&format!("{SESSIONS}/ffffffffffffffff"), "of a later release\n", 0o600);
    let output = suite.host.sh("oncall-cache sessions");
    assert!(
        text(&output).contains("/run/authkeys/sessions/ffffffffffffffff: not of this release"),
        "{}",
        text(&output)
    );
    let output = suite.run_as("alice", "oncall-cache sessions");
    assert!(output.status.code() == Some(2) && text(&output).contains("only root"), "{}", text(&output));
}

#[test]
fn a89_a_session_is_ended_by_hand_for_a_reason_that_is_written_down() {
    let suite = shown_suite();
    let (id, file) = hold(&suite);
    let lives = || suite.host.sh(&format!("kill -0 {}", file["pid"])).status.success();
    let end = |options: &str| suite.host.sh(&format!("oncall-cache sessions --end {options}"));
    let by_alice = format!("oncall-cache sessions --end {id} --all --reason mine");
    for (output, code, words) in [
        (end(&format!("{id} --all")), 64, "nothing was ended: say why"),
        (end(&format!("{id} --all --reason ' '")), 64, "nothing was ended: say why"),
        (end("0000000000000000 --reason mistyped"), 2, "no open session has the id 0000000000000000"),
        (suite.run_as("alice", &by_alice), 2, "only root"),
        (end(&format!("{id} --reason forgotten")), 1, "sudo: has no terminal"),
        (end(&format!("{id} --hangup --reason forgotten")), 1, "sudo: has no terminal"),
        (end(&format!("{id} --all --dry-run")), 0, "would end"),
        (suite.host.sh("oncall-cache sessions --person bob --reason his"), 0, "no guarded session of bob"),
        (suite.host.sh("oncall-cache sessions --reason alone"), 64, "--end ID, or --person NAME"),
    ] {
        assert!(
            output.status.code() == Some(code) && text(&output).contains(words),
            "{words}: {}",
            text(&output)
        );
        assert!(lives(), "{words}");
    }
    let _ = suite.lines_of("oncall-cache");
    let output = suite.host.sh("oncall-cache sessions --person alice --all --reason 'gone home'");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let told = text(&output);
    assert!(told.contains(&format!("{id}  alice, root by sudo since ")) && told.contains(" sleep"), "{told}");
    assert!(!lives() && files(&suite).is_empty(), "{told}");
    let all = records(&suite);
    let ends: Vec<&Value> = all.iter().filter(|record| word(record, "ended") == "root").collect();
    let [end] = &ends[..] else { panic!("one end: {all:#?}") };
    assert_eq!((word(end, "id"), word(end, "phase"), word(end, "why")), (id.as_str(), "close", "gone home"));
    assert_eq!((&end["pid"], word(end, "by").is_empty()), (&file["pid"], false), "{end}");
    let lines = suite.lines_of("oncall-cache").join("\n");
    assert!(
        lines.contains(&format!("person=alice decision=ended reason=root service=sudo account=root id={id}")),
        "{lines}"
    );
    // Whoever types it in the session itself would never read what came of it.
    let own = suite.ssh("alice", "root", "oncall-cache sessions --person alice --all --reason own");
    assert!(
        own.status.code() == Some(2) && text(&own).contains("you type this in that session"),
        "{}",
        text(&own)
    );
}
