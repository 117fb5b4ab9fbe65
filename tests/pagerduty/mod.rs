//! `oncall-cache sync` and a PagerDuty double: every way to ask, and what may go wrong with the answer.

mod access;
mod answers;
mod failures;
mod schedules;

use harness::oncalls::{id_of, schedule, user};
use harness::pagerduty::{App, PagerDuty, Reply};
use harness::suite::{HOUR, Suite, instant, now};
use harness::{oncalls, text};
use serde_json::{Value, json};

const KEY: &str = "u+secretKeyOfTheTest";
const SECRET: &str = "clientSecretOfTheTest";

/// Where a token is kept.
const KEPT: &str = "/var/lib/oncall-cache/oauth-pd.json";

const ROSTER: &str = "/var/lib/oncall-cache/roster.db";

/// The settings of a source that asks with the key.
const BY_KEY: &str = "token_file = 'pagerduty-token'";

/// How an app asks, as the rest of its source.
const BY_APP: &str =
    "[oncall.source.oauth]\nclient_id = 'app-1'\nclient_secret_file = 'client-secret'\nsubdomain = 'acme'\n";

/// A machine whose people are in a file and whose rota is in PagerDuty.
struct Site {
    suite: Suite,
    pagerduty: PagerDuty,
}

impl Site {
    /// Everything in its place, and alice on call on `PDB0001`.
    fn start() -> Self {
        let suite = Suite::start();
        suite.sync_keys();
        let pagerduty = PagerDuty::start(&suite.host, KEY);
        pagerduty.set_schedules(vec![schedule("PDB0001", "db"), schedule("PWEB001", "web")]);
        pagerduty.set_users(["alice", "bob", "carol", "dave"].map(user).to_vec());
        pagerduty.set_oncalls(vec![
            oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR),
            oncall("bob", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR),
        ]);
        let site = Self { suite, pagerduty };
        site.pagerduty.install(&site.suite.host, KEY);
        site.suite.host.write("/etc/authkeys/client-secret", format!("{SECRET}\n"), 0o640);
        site.suite.host.must("chgrp oncall-cache /etc/authkeys/client-secret");
        site.source(&format!("{}\nschedules = ['PDB0001']\n{BY_KEY}", Self::at_example()));
        site
    }

    /// The hosts that no configuration has by default.
    fn at_example() -> String {
        format!("api = '{}'", PagerDuty::API)
    }

    /// Writes a configuration with these settings of the source.
    fn source(&self, settings: &str) {
        self.configure("", &format!("timeout = '30s'\n{settings}"));
    }

    fn configure(&self, oncall: &str, source: &str) {
        let text = format!(
            "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[oncall]\n{oncall}\n\
             [[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\nca_file = 'pagerduty-ca.pem'\n{source}\n"
        );
        self.suite.host.write("/etc/authkeys/config.toml", text, 0o644);
    }

    /// Registers an app that may have `scopes`.
    fn register(&self, scopes: &[&str]) {
        self.pagerduty.set_app(App {
            client_id: "app-1".to_string(),
            client_secret: SECRET.to_string(),
            subdomain: "acme".to_string(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            lifetime: 86_400,
        });
    }

    /// A sync that must succeed, without a question that PagerDuty refused.
    fn sync(&self) -> String {
        let _ = self.pagerduty.requests();
        let output = self.suite.run_as("oncall-cache", "oncall-cache sync");
        assert!(output.status.success(), "{}\n{:#?}", text(&output), self.pagerduty.requests());
        self.keeps_secrets(&text(&output));
        text(&output)
    }

    /// The paths that were asked for since the last look, none of them in a way that was refused.
    fn asked(&self) -> Vec<String> {
        let requests = self.pagerduty.requests();
        assert!(requests.iter().all(|request| request.problem.is_none()), "{requests:#?}");
        requests
            .into_iter()
            .map(|request| request.target.split('?').next().unwrap_or("").to_string())
            .collect()
    }

    /// A sync that must fail with all of `words`, and change nothing.
    fn refuses(&self, words: &[&str]) {
        let before = self.suite.host.read_bytes(ROSTER);
        let output = self.suite.run_as("oncall-cache", "oncall-cache sync");
        assert_ne!(output.status.code(), Some(0), "{words:?}: {}", text(&output));
        for words in words {
            assert!(text(&output).contains(words), "expected {words:?} in {}", text(&output));
        }
        self.keeps_secrets(&text(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        assert!(self.suite.host.read_bytes(ROSTER) == before, "{words:?}: the roster changed");
    }

    /// As [`Site::refuses`]; from then on all is well.
    fn fails(&self, words: &[&str]) {
        self.refuses(words);
        self.pagerduty.script(vec![]);
        let _ = self.pagerduty.requests();
    }

    fn keeps_secrets(&self, said: &str) {
        let log = self.suite.lines_of("oncall-cache").concat();
        for secret in [KEY, SECRET, "secretKey", "pdus+"] {
            assert!(!said.contains(secret) && !log.contains(secret), "{secret} in {said}{log}");
        }
    }

    /// The rows of the roster: schedule, person, level, start and end; seconds from `at`.
    fn roster(&self, at: i64) -> Vec<String> {
        let query = format!(
            "SELECT schedule.id, principal, level, starts - {at}, ends - {at}
             FROM shift JOIN schedule ON schedule.number = shift.schedule ORDER BY 1, 2, 3, 4"
        );
        let rows = self.suite.host.must(&format!("sqlite3 -separator ' ' {ROSTER} '{query}'"));
        rows.lines().map(str::to_string).collect()
    }

    /// Who is on which schedule, at which level.
    fn people(&self) -> Vec<String> {
        self.roster(0).iter().map(|row| row.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect()
    }
}

fn policy(id: &str, name: &str, teams: &[&str]) -> Value {
    let teams: Vec<Value> = teams.iter().map(|id| json!({"id": id, "type": "team_reference"})).collect();
    json!({"id": id, "type": "escalation_policy", "summary": name, "name": name, "escalation_rules": [], "teams": teams})
}

fn reference(name: &str) -> Value {
    json!({"id": id_of(name), "type": "user_reference", "summary": name})
}

/// Seconds from now, as PagerDuty writes instants.
fn from_now(seconds: i64) -> Value {
    json!(instant(now() + seconds))
}

/// An entry of `/oncalls`; start and end in seconds from now.
fn oncall(name: &str, schedule: Option<&str>, policy: &str, level: u64, start: i64, end: i64) -> Value {
    let now = now();
    oncalls::oncall(name, schedule, policy, level, now + start, now + end)
}

/// Somebody named in a policy directly.
fn permanent(name: &str, policy: &str, level: u64) -> Value {
    let mut entry = oncall(name, None, policy, level, 0, 1);
    entry["start"] = Value::Null;
    entry["end"] = Value::Null;
    entry
}

/// An entry of a final schedule.
fn rendered(name: &str, start: i64, end: i64) -> Value {
    json!({"id": "F1", "start": from_now(start), "end": from_now(end), "user": user(name)})
}

fn error(status: u16) -> Reply {
    Reply::json(status, &json!({"error": {"message": "as the test asked", "code": 2000}}))
}

/// A whole answer with status 200.
fn answer(content_type: &str, body: &[u8]) -> Reply {
    let headers = vec![("Content-Type".to_string(), content_type.to_string())];
    Reply::Answer { status: 200, headers, body: body.to_vec() }
}
