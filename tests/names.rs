//! Strings that a rota tells, in everything that is printed and logged: none begins a line, moves a cursor or turns
//! letters round. The editors of a rota choose them, and a line of a log is what a program said.

use std::process::Output;

use harness::oncalls::{schedule, user};
use harness::pagerduty::{PagerDuty, Reply};
use harness::suite::{HOUR, Suite, instant, now};
use serde_json::{Value, json};

/// What stands behind each character that could begin a line.
const FORGED: &str = "FORGED sshd[1]: Accepted publickey for root";

/// Every character at which something that shows text may begin a line, move its cursor or turn: the controls of
/// Unicode's category Cc, its two separators, and its bidirectional marks (UAX #9, section 2).
fn controls() -> Vec<char> {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    let ranges = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'].into_iter().flatten();
    ('\0'..='\u{9f}').filter(|c| c.is_control()).chain(turns).chain(ranges).collect()
}

/// A name with all of them.
fn hostile(name: &str) -> String {
    controls().into_iter().fold(name.to_string(), |name, c| format!("{name}{c}{FORGED}"))
}

/// Nothing of it is in `said` but as a part of a line.
fn judge(what: &str, said: &str) {
    for line in said.split('\n') {
        assert!(!line.trim_start().starts_with("FORGED"), "{what}: a line of its own: {line:?}");
        let bad = line.chars().find(|c| controls().contains(c));
        assert_eq!(bad, None, "{what}: {line:?}");
    }
}

struct Site {
    suite: Suite,
    pagerduty: PagerDuty,
}

impl Site {
    fn start() -> Self {
        let suite = Suite::start();
        suite.sync_keys();
        let pagerduty = PagerDuty::start(&suite.host, "key");
        pagerduty.install(&suite.host, "key");
        let site = Self { suite, pagerduty };
        site.configure("");
        site
    }

    fn configure(&self, more: &str) {
        let api = PagerDuty::API;
        let text = format!(
            "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[oncall]\n\
             [[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\nca_file = 'pagerduty-ca.pem'\napi = '{api}'\n\
             token_file = 'pagerduty-token'\nschedules = ['PDB0001']\ntimeout = '20s'\n{more}\n\
             [policy]\n[[policy.rule]]\nname = 'r'\nschedules = ['pd/PDB0001']\n[[policy.shared_account]]\naccount = 'root'\n"
        );
        self.suite.host.write("/etc/authkeys/config.toml", text, 0o644);
    }

    /// What a verb says, and what is in the log after it.
    fn judge(&self, user: &str, command: &str) -> Output {
        let output = self.suite.run_as(user, command);
        for said in [&output.stdout, &output.stderr] {
            judge(command, &String::from_utf8(said.clone()).expect("UTF-8"));
        }
        self.suite.log_lines().iter().for_each(|line| judge(command, line));
        output
    }
}

/// An entry of `/oncalls` of somebody whose every text is hostile.
fn shift(name: &str, mail: &str) -> Value {
    let mut person = user(name);
    (person["name"], person["summary"]) = (json!(hostile("Alice")), json!(hostile("Alice")));
    person["email"] = json!(mail);
    let reference = json!({"id": "PDB0001", "type": "schedule_reference", "summary": hostile("db")});
    json!({
        "user": person,
        "schedule": reference,
        "escalation_policy": {"id": "PEP0001", "type": "escalation_policy_reference", "summary": hostile("SRE")},
        "escalation_level": 1,
        "start": instant(now() - HOUR),
        "end": instant(now() + HOUR),
    })
}

#[test]
fn no_name_begins_a_line_in_what_any_verb_says() {
    let site = Site::start();
    let name = hostile("db");
    site.pagerduty.set_schedules(vec![schedule("PDB0001", &name)]);
    site.pagerduty.set_oncalls(vec![
        shift("alice", "alice@example.com"),
        shift("nobody", &hostile("stranger@example.com")),
        shift("bob", "bob@example.com"),
        shift("bob", &hostile("carol@example.com")),
    ]);
    let said = site.judge("oncall-cache", "oncall-cache sync");
    assert!(said.status.success(), "{said:?}");
    assert!(
        String::from_utf8_lossy(&said.stderr).contains("FORGED"),
        "the address is in the log's line: {said:?}"
    );
    for verb in [
        "who",
        "test-access alice",
        "why alice",
        "status",
        "identities",
        "identities --problems",
        "report --since 1h",
        "doctor",
    ] {
        for form in ["", " --json"] {
            let said = site.judge("root", &format!("oncall-cache {verb}{form}"));
            if !form.is_empty() && !verb.contains("--problems") {
                serde_json::from_slice::<Value>(&said.stdout)
                    .unwrap_or_else(|error| panic!("{verb}: {error}"));
            }
        }
    }
    for command in [
        "oncall-cache who --at 2026-01-01T00:00:00Z",
        "oncall-cache why bob",
        "oncall-cache status --nagios",
        "oncall-cache status --prometheus",
        "oncall-cache report --since 1h --csv",
        "oncall-cache sync --dry-run",
        "oncall-cache explain",
        "oncall-cache config check /etc/authkeys/config.toml",
        "oncall-cache config show",
        "oncall-cache revoke carol --reason x",
        "oncall-cache unrevoke carol",
        "authkeys root",
        "authkeys --explain root",
    ] {
        site.judge("root", command);
    }
    let told = site.judge("root", "oncall-cache who");
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("FORGED"),
        "the schedule's name is told: {told:?}"
    );
}

#[test]
fn no_name_begins_a_line_for_whoever_logs_in_or_in_the_log_of_it() {
    let site = Site::start();
    site.pagerduty.set_schedules(vec![schedule("PDB0001", &hostile("db"))]);
    site.pagerduty.set_oncalls(vec![shift("alice", "alice@example.com")]);
    site.judge("oncall-cache", "oncall-cache sync");
    for key in ["alice", "carol"] {
        let output = site.suite.ssh_with(key, &["-tt"], "root", "true");
        // A terminal's own line breaks.
        judge(key, &String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"));
        judge(key, &String::from_utf8_lossy(&output.stderr).replace("\r\n", "\n"));
    }
    let log = site.suite.log_lines();
    assert!(log.iter().any(|line| line.contains("person=alice decision=allow")), "{log:#?}");
    log.iter().for_each(|line| judge("the log", line));
    judge("decisions.jsonl", &site.suite.host.read("/var/log/authkeys/decisions.jsonl"));
}

/// Whatever is wrong with an answer is told with what was wrong.
#[test]
fn no_answer_that_is_refused_begins_a_line() {
    let site = Site::start();
    site.pagerduty.set_schedules(vec![schedule("PDB0001", "db")]);
    site.pagerduty.set_oncalls(vec![shift("alice", "alice@example.com")]);
    site.judge("oncall-cache", "oncall-cache sync");
    let entry = shift("alice", "alice@example.com");
    for pointer in [
        "/user/id",
        "/user/type",
        "/user/email",
        "/user/name",
        "/user/deleted_at",
        "/schedule/id",
        "/escalation_policy/id",
        "/escalation_level",
        "/start",
        "/end",
        "/user",
        "/schedule",
    ] {
        let mut spoilt = entry.clone();
        *spoilt.pointer_mut(pointer).unwrap_or(&mut Value::Null) = json!(hostile("x"));
        let page = json!({"oncalls": [spoilt], "limit": 100, "offset": 0, "more": false, "total": null});
        site.pagerduty.script_at("/oncalls", vec![Reply::json(200, &page)]);
        site.judge("oncall-cache", "oncall-cache sync");
        site.judge("nobody", "oncall-cache status");
    }
    for body in [
        json!(hostile("x")),
        json!({"oncalls": [], hostile("limit"): 100}),
        json!({"oncalls": hostile("x"), "limit": hostile("x"), "offset": hostile("x"), "more": hostile("x")}),
        json!({"error": {"message": hostile("x"), "code": 2000, "errors": [hostile("x")]}}),
    ] {
        for status in [200, 400, 403] {
            site.pagerduty.script_at("/oncalls", vec![Reply::json(status, &body)]);
            let said = site.judge("oncall-cache", "oncall-cache sync");
            assert!(!said.status.success(), "{body}");
            site.judge("nobody", "oncall-cache status --json");
        }
    }
    // A kind of member that this release does not know, named as nobody names one.
    site.pagerduty.set_oncalls(vec![]);
    site.pagerduty.set_schedules(vec![]);
    let member = json!({"type": hostile("team_member")});
    let assignment =
        json!({"start_time": instant(now() - HOUR), "end_time": instant(now() + HOUR), "member": member});
    site.pagerduty.set_shift_based(vec![
        json!({"id": "PDB0001", "name": hostile("db"), "computed_shift_assignments": [assignment]}),
    ]);
    let said = site.judge("oncall-cache", "oncall-cache sync");
    assert!(String::from_utf8_lossy(&said.stderr).contains("unknown variant"), "{said:?}");
    site.judge("nobody", "oncall-cache status");
}

/// A site's own command: what it prints, and what it complains of.
#[test]
fn no_command_begins_a_line() {
    let site = Site::start();
    let document = |id: &str, name: &str, error: Option<&str>| {
        let person = json!({"id": "1", "email": "alice@example.com", "name": name});
        let shifts = json!([{"user": person, "start": instant(now() - HOUR), "end": instant(now() + HOUR)}]);
        let mut schedule = json!({"id": id, "name": name});
        match error {
            Some(error) => schedule["error"] = json!(error),
            None => schedule["shifts"] = shifts,
        }
        json!({"version": 1, "schedules": [schedule]}).to_string()
    };
    let x = hostile("x");
    let source = "[[oncall.source]]\nname = 'site'\nprovider = 'exec'\ncommand = ['/usr/bin/rota']\n";
    site.configure(source);
    for (printed, complaint, exit) in [
        (document("p", &x, None), "", 0),
        (document(&x, "p", None), "", 0),
        (document("p", "p", Some(&x)), "", 0),
        (x.clone(), x.as_str(), 0),
        (json!({"version": x, "schedules": []}).to_string(), "", 0),
        (json!({"version": 1, "schedules": [], x.as_str(): 1}).to_string(), "", 0),
        (json!({"version": 1, "schedules": [], "generated_at": x}).to_string(), "", 0),
        (String::new(), x.as_str(), 3),
    ] {
        site.suite.host.write("/usr/share/printed", &printed, 0o644);
        site.suite.host.write("/usr/share/complaint", complaint, 0o644);
        let script =
            format!("#!/bin/sh\ncat /usr/share/printed; cat /usr/share/complaint >&2; exit {exit}\n");
        site.suite.host.write("/usr/bin/rota", script, 0o755);
        site.judge("oncall-cache", "oncall-cache sync");
        for verb in ["who", "status", "status --nagios", "status --json", "identities"] {
            site.judge("root", &format!("oncall-cache {verb}"));
        }
    }
}
