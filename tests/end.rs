//! What the timer does about open sessions whose right has ended: it looks, remembers and records, and ends nothing.

use std::process::Output;

use harness::grants::{Grants, Text, said};
use harness::records::{AUDIT, records, suite, word};
use harness::suite::{HOUR, Suite};
use harness::{text, wait_until};
use serde_json::Value;

const SESSIONS: &str = "/run/authkeys/sessions";
const MEMORY: &str = "/var/log/authkeys/ending";

/// Has sudo hold a session for alice, at a terminal; its id.
fn hold(suite: &Suite) -> String {
    let command = ["script", "-qec", "runuser -u alice -- sudo -n sleep 1000", "/dev/null"];
    suite.host.daemon(&command, "/dev/null");
    let open = || {
        let names = suite.host.sh(&format!("ls {SESSIONS} 2>/dev/null")).stdout;
        String::from_utf8(names).expect("names").lines().next().map(str::to_string)
    };
    wait_until("the session is open", || open().is_some());
    open().expect("a session")
}

/// One run of the timer.
fn end(suite: &Suite) -> Output {
    suite.host.sh("oncall-cache end")
}

fn ends(suite: &Suite) {
    let output = end(suite);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
}

/// alice's shift is over, which was as long as was said when she came.
fn hand_over(suite: &Suite) {
    suite.write_rota(&[("bob", -HOUR, HOUR)]);
    suite.sync();
    for name in suite.host.must(&format!("ls {SESSIONS}")).lines() {
        let file = format!("{SESSIONS}/{name}");
        let mut opening: Value = serde_json::from_str(&suite.host.read(&file)).expect("JSON");
        for end in ["until", "end"] {
            opening[end] = opening["time"].clone();
        }
        suite.host.write(&file, format!("{opening}\n"), 0o600);
    }
}

/// As if a quarter of an hour had passed by both clocks since the runs so far.
fn let_time_pass(suite: &Suite) {
    let memory = suite.host.read(MEMORY);
    let earlier = |word: &str| -> Option<String> {
        let (name, moment) = word.split_once('=').filter(|(_, moment)| moment.contains('@'))?;
        let (at, uptime) = moment.split_once('@')?;
        let (boot, since) = uptime.split_once(':')?;
        let since: f64 = since.parse().expect("seconds");
        // No more than this machine runs.
        let passed = since.min(900.0).floor();
        let at = suite.host.must(&format!("date -u -d '{at} - {passed} seconds' +%Y-%m-%dT%H:%M:%SZ"));
        Some(format!("{name}={}@{boot}:{:.2}", at.trim(), since - passed))
    };
    let lines = memory.lines().map(|line| {
        let words: Vec<String> =
            line.split(' ').map(|word| earlier(word).unwrap_or_else(|| word.to_string())).collect();
        words.join(" ") + "\n"
    });
    suite.host.write(MEMORY, lines.collect::<String>(), 0o600);
}

/// What `sessions` shows of the one session.
fn shown(suite: &Suite) -> (Value, String) {
    let said = suite.host.sh("oncall-cache sessions --json").stdout;
    let said: Value = serde_json::from_slice(&said).expect("JSON");
    (said["sessions"][0]["end"].clone(), text(&suite.host.sh("oncall-cache sessions")))
}

fn told(suite: &Suite) -> Vec<Value> {
    records(suite).into_iter().filter(|record| word(record, "phase") == "would-end").collect()
}

#[test]
fn a91_what_would_be_ended_is_recorded_once_and_nothing_is() {
    let suite = suite();
    // Before the first session nothing is read at all.
    suite.host.must("mv /etc/authkeys/config.toml /etc/authkeys/aside");
    ends(&suite);
    suite.host.must("mv /etc/authkeys/aside /etc/authkeys/config.toml");
    let id = hold(&suite);
    ends(&suite);
    assert_eq!(shown(&suite).0["outcome"], "holds");
    assert_eq!(suite.host.must(&format!("stat -c %U:%a {MEMORY}")), "root:600\n");
    hand_over(&suite);
    ends(&suite);
    let (said, table) = shown(&suite);
    assert!(
        said["outcome"] == "waits" && table.contains("ended: not-oncall; would be ended at "),
        "{said} {table}"
    );
    assert_eq!(told(&suite), [Value::Null; 0]);
    let_time_pass(&suite);
    for _ in 0..2 {
        ends(&suite);
        let told = told(&suite);
        let [told] = &told[..] else { panic!("{told:#?}") };
        assert_eq!((word(told, "id"), word(told, "person"), word(told, "service")), (&*id, "alice", "sudo"));
        assert_eq!((word(told, "verdict"), word(told, "reason")), ("refuse", "not-oncall"));
        assert!(told["seq"].is_u64() && told.get("effect").is_none(), "{told}");
    }
    let line = suite.lines_of("oncall-cache").pop().expect("a line in the log");
    assert!(
        line.contains("person=alice decision=refuse reason=not-oncall phase=would-end service=sudo"),
        "{line}"
    );
    assert!(shown(&suite).1.contains("; would have been ended"), "{}", shown(&suite).1);
    // It is no login, and it is none that was closed.
    let report = suite.host.sh("oncall-cache report --json").stdout;
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert_eq!(report["logins"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert!(report["logins"][0]["closed"].is_null(), "{report:#}");
    let counted = &report["would_end"][0];
    assert!(
        counted["who"] == "alice" && counted["reason"] == "not-oncall" && counted["count"] == 1,
        "{report:#}"
    );
    // What is lost starts over.
    suite.host.must(&format!("rm {MEMORY}"));
    ends(&suite);
    assert_eq!((told(&suite).len(), shown(&suite).0["outcome"].as_str()), (1, Some("waits")));
    assert!(suite.host.sh("pgrep -fx 'sleep 1000'").status.success(), "it ends nothing");
}

#[test]
fn what_keeps_a_session_is_told_and_starts_it_over() {
    let suite = suite();
    let id = hold(&suite);
    hand_over(&suite);
    let file = format!("{SESSIONS}/{id}");
    let opening = suite.host.read(&file);
    let start =
        opening.split_once("\"pid_start\":").and_then(|(_, rest)| rest.split_once(',')).expect("a start").0;
    for (why, spoil, heal) in [
        (
            "process-unsure",
            format!("sed -i 's/\"pid_start\":{start},//' {file}"),
            opening_back(&suite, &file),
        ),
        (
            "paused",
            "oncall-cache pause --for 1h --reason test >/dev/null".to_string(),
            "oncall-cache pause --end >/dev/null".to_string(),
        ),
        (
            "cannot-tell",
            "mv /var/lib/oncall-cache/roster.db /var/lib/oncall-cache/aside".to_string(),
            "mv /var/lib/oncall-cache/aside /var/lib/oncall-cache/roster.db".to_string(),
        ),
    ] {
        ends(&suite);
        let_time_pass(&suite);
        suite.host.must(&spoil);
        ends(&suite);
        let (said, table) = shown(&suite);
        assert!(said["outcome"] == "listed" && said["why"] == why, "{why}: {said} {table}");
        suite.host.must(&heal);
        ends(&suite);
        assert_eq!(shown(&suite).0["outcome"], "waits", "{why}");
    }
    assert_eq!(told(&suite), [Value::Null; 0]);
    // The number of the process is another's by now: it is not a session.
    suite.host.must(&format!("sed -i 's/\"pid_start\":{start},/\"pid_start\":1,/' {file}"));
    let_time_pass(&suite);
    ends(&suite);
    assert_eq!(told(&suite), [Value::Null; 0]);
    assert_eq!(shown(&suite).0, Value::Null);
}

/// A command that puts back the file as it is now.
fn opening_back(suite: &Suite, file: &str) -> String {
    suite.host.must(&format!("cp -a {file} /run/opening"));
    format!("cp -a /run/opening {file}")
}

#[test]
fn on_a_host_that_observes_it_is_recorded_too() {
    let suite = suite();
    suite.host.must("sed -i 's/^\\[policy\\]/&\\nmode = \"observe\"/' /etc/authkeys/config.toml");
    hold(&suite);
    hand_over(&suite);
    ends(&suite);
    let_time_pass(&suite);
    ends(&suite);
    let told = told(&suite);
    assert!(told.len() == 1 && word(&told[0], "mode") == "observe", "{told:#?}");
}

#[test]
fn where_it_cannot_remember_it_does_nothing_and_says_so() {
    let suite = suite();
    hold(&suite);
    hand_over(&suite);
    ends(&suite);
    let_time_pass(&suite);
    let refused = |expected: &str| {
        let output = end(&suite);
        assert!(
            output.status.code() == Some(2) && text(&output).contains(expected),
            "{expected}: {}",
            text(&output)
        );
    };
    let user = suite.run_as("alice", "oncall-cache end");
    assert!(user.status.code() == Some(2) && text(&user).contains("only root"), "{}", text(&user));
    let busy = suite.host.sh("flock /var/log/authkeys/ending.lock oncall-cache end");
    assert!(busy.status.code() == Some(2) && text(&busy).contains("another one is at it"), "{}", text(&busy));
    suite.host.must("echo '[' >>/etc/authkeys/config.toml");
    refused("nothing was done: /etc/authkeys/config.toml");
    suite.host.must("sed -i '$d' /etc/authkeys/config.toml");
    // What others could have written says nothing.
    suite.host.must(&format!("chmod 666 {MEMORY} && mkdir /var/log/authkeys/ending.new"));
    refused("nothing was done: cannot write /var/log/authkeys/ending");
    assert_eq!(told(&suite), [Value::Null; 0]);
    suite.host.must("rmdir /var/log/authkeys/ending.new");
    ends(&suite);
    assert_eq!((told(&suite).len(), shown(&suite).0["outcome"].as_str()), (0, Some("waits")));
    // What cannot be recorded is recorded by the next run.
    let_time_pass(&suite);
    suite.host.must(&format!("chmod 666 {AUDIT}"));
    refused("is not root's alone");
    suite.host.must(&format!("chmod 640 {AUDIT}"));
    ends(&suite);
    assert_eq!(told(&suite).len(), 1);
}

/// Has `action` take effect, before anything that opens from now on.
fn act(suite: &Suite, action: &str) {
    suite.host.must(&format!("printf '[policy.end]\\naction = \"{action}\"\\n' >>/etc/authkeys/config.toml"));
    let changed: i64 =
        suite.host.must("stat -c %Z /etc/authkeys/config.toml").trim().parse().expect("seconds");
    wait_until("it is later than the change", || harness::suite::now() > changed);
}

/// Has sudo hold a session for alice at a terminal of hers, as what its screen shows; its id.
fn sit(suite: &Suite, screen: &str) -> String {
    sit_as(suite, "alice", screen)
}

/// The same for somebody.
fn sit_as(suite: &Suite, person: &str, screen: &str) -> String {
    sit_at(suite, person, "sudo -n sleep 1000", screen)
}

/// The same by this command, in which `sleep 1000` runs.
fn sit_at(suite: &Suite, person: &str, by: &str, screen: &str) -> String {
    let script = ["script", "-qfc", by, screen];
    let command = [["/usr/sbin/runuser", "-u", person, "--"].as_slice(), &script].concat();
    suite.host.daemon(&command, "/dev/null");
    let open =
        || suite.host.must(&format!("ls {SESSIONS} 2>/dev/null || :")).lines().next().map(str::to_string);
    wait_until("the session is open, and runs", || open().is_some() && !is_gone(suite));
    open().expect("a session")
}

fn is_gone(suite: &Suite) -> bool {
    !suite.host.sh("pgrep -fx 'sleep 1000'").status.success()
}

#[test]
fn a89_whoever_sits_there_is_warned_once_and_then_what_runs_there_is_ended() {
    let suite = suite();
    act(&suite, "kill");
    let id = sit(&suite, "/tmp/screen");
    ends(&suite);
    hand_over(&suite);
    let warned = || suite.host.read("/tmp/screen").matches("your shift is over (not-oncall); from ").count();
    for _ in 0..2 {
        ends(&suite);
        wait_until("the screen shows it", || warned() > 0);
        assert_eq!(warned(), 1, "{}", suite.host.read("/tmp/screen"));
        assert!(!is_gone(&suite) && shown(&suite).1.contains("; to be ended at "), "{}", shown(&suite).1);
    }
    let line = suite.lines_of("oncall-cache").pop().expect("a line in the log");
    assert!(line.contains("decision=warned reason=shift service=sudo account=root"), "{line}");
    assert!(line.contains(" terminals=1"), "{line}");
    let_time_pass(&suite);
    ends(&suite);
    assert!(is_gone(&suite), "{}", shown(&suite).1);
    let ended: Vec<Value> = records(&suite).into_iter().filter(|one| word(one, "ended") == "shift").collect();
    let [ended] = &ended[..] else { panic!("{ended:#?}") };
    assert_eq!((word(ended, "phase"), word(ended, "id")), ("close", id.as_str()));
    assert_eq!(told(&suite), [Value::Null; 0]);
    // Nothing is left to be looked at, or remembered.
    ends(&suite);
}

#[test]
fn a89_whoever_is_revoked_is_ended_at_once_and_whoever_was_there_before_is_not() {
    let suite = suite();
    let id = sit(&suite, "/tmp/screen");
    act(&suite, "kill");
    suite.host.must("oncall-cache revoke alice --reason left");
    ends(&suite);
    let (said, _) = shown(&suite);
    assert!(said["why"] == "opened-before" && !is_gone(&suite), "{said}");
    suite.host.must("pkill -x sleep; oncall-cache unrevoke alice");
    wait_until("it is over", || !suite.host.path(&format!("{SESSIONS}/{id}")).exists());
    sit(&suite, "/tmp/other");
    ends(&suite);
    assert!(!is_gone(&suite));
    suite.host.must("oncall-cache revoke alice --reason left");
    ends(&suite);
    assert!(is_gone(&suite), "{}", shown(&suite).1);
    assert!(records(&suite).iter().any(|one| word(one, "ended") == "revoked"));
    assert!(!suite.host.read("/tmp/other").contains("oncall-cache: "), "warned of nothing");
}

/// A program that is told twice, and ends by neither.
const WITHSTANDS: &str = "import signal; [signal.signal(one, print) for one in (signal.SIGHUP, signal.SIGTERM)]; \
    [signal.pause() for _ in iter(int, 1)]";

/// Each takes twelve seconds by itself, and after a minute a run ends no more.
#[test]
fn sessions_that_withstand_are_ended_all_in_one_run() {
    let suite = suite();
    act(&suite, "kill");
    let sessions = || suite.host.must(&format!("ls {SESSIONS} 2>/dev/null || :")).lines().count();
    let catching = "grep -l 'SigCgt:.*[4567cdef]...$' $(pgrep -x python3 | sed 's,.*,/proc/&/status,') </dev/null | wc -l";
    for many in 1..=8 {
        let command = format!("sudo -n python3 -c '{WITHSTANDS}'");
        let command = ["/usr/sbin/runuser", "-u", "alice", "--", "script", "-qfc", &command, "/dev/null"];
        suite.host.daemon(&command, "/dev/null");
        wait_until("it is open, and withstands", || {
            sessions() == many && suite.host.must(catching).trim() == many.to_string()
        });
    }
    suite.host.must("oncall-cache revoke alice --reason left");
    ends(&suite);
    assert!(!suite.host.sh("pgrep -x python3").status.success(), "{}", shown(&suite).1);
    let ended = records(&suite).into_iter().filter(|one| word(one, "ended") == "revoked");
    let ids: std::collections::BTreeSet<String> = ended.map(|one| word(&one, "id").to_string()).collect();
    assert_eq!(ids.len(), 8);
}

#[test]
fn a81_what_a_grant_opened_is_ended_when_the_grant_is_revoked() {
    let host = Grants::start();
    let suite = &host.suite;
    act(suite, "kill");
    let grant = Text::new("none");
    said(&host.bring(&grant.sign(suite, &["alice", "carol"])), 0, "accepted: bob may enter ");
    sit_as(suite, "bob", "/tmp/screen");
    ends(suite);
    assert_eq!(shown(suite).0["outcome"], "holds");
    suite.host.must(&format!("oncall-cache grant revoke {} --reason left", grant.id));
    ends(suite);
    assert!(!is_gone(suite), "he is warned first: {}", shown(suite).1);
    let_time_pass(suite);
    ends(suite);
    assert!(is_gone(suite), "{}", shown(suite).1);
    assert!(records(suite).iter().any(|one| word(one, "ended") == "grant" && word(one, "person") == "bob"));
}

/// A package whose installation takes a while.
const SLOW: &str = "Name: slow\nVersion: 1\nRelease: 1\nSummary: Slow\nLicense: none\nBuildArch: noarch\n\
    %description\nSlow.\n%pre\nsleep 1000 || :\n%files\n";

/// By rpm itself, whose lock is beside its database. Debian's has that in a home, so it is told where RHEL's is.
#[test]
fn a89_what_rpm_is_installing_is_not_broken_off() {
    let suite = suite();
    act(&suite, "kill");
    suite.host.write("/root/slow.spec", SLOW, 0o644);
    suite.host.must("rpmbuild --quiet -bb --define '_topdir /root/rpm' /root/slow.spec");
    let install = "sudo -n rpm -i --nodeps --dbpath /var/lib/rpm /root/rpm/RPMS/noarch/slow-1-1.noarch.rpm";
    let id = sit_at(&suite, "alice", install, "/tmp/screen");
    let output = suite.host.sh(&format!("oncall-cache sessions --json --end {id} --reason 'left open'"));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.code() == Some(1) && told["sessions"][0]["held_by"] == "rpm", "{told:#}");
    suite.host.must("oncall-cache revoke alice --reason left");
    ends(&suite);
    assert!(!is_gone(&suite), "by the timer: {}", shown(&suite).1);
    // Once it is done, the session ends by itself.
    suite.host.must("pkill -x sleep");
    wait_until("it is over", || !suite.host.path(&format!("{SESSIONS}/{id}")).exists());
    assert!(suite.host.must("rpm -q --dbpath /var/lib/rpm slow").contains("slow-1-1"));
}
