//! `oncall-cache sync` and a PagerDuty double: every way to ask, and what may go wrong with the answer.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use harness::oncalls::{self, id_of, schedule, user};
use harness::pagerduty::{App, PagerDuty, Region, Reply};
use harness::proxy::Proxy;
use harness::suite::{DAY, HOUR, Suite, instant, now};
use harness::text;
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
        site.suite.host.write("/etc/authkeys/pagerduty-ca.pem", site.pagerduty.ca_pem(), 0o644);
        for (file, content) in [("pagerduty-token", KEY), ("client-secret", SECRET)] {
            site.suite.host.write(&format!("/etc/authkeys/{file}"), format!("{content}\n"), 0o640);
            site.suite.host.must(&format!("chgrp oncall-cache /etc/authkeys/{file}"));
        }
        site.source(&format!("{}\nschedules = ['PDB0001']\n{BY_KEY}", Self::at_example()));
        site
    }

    /// The hosts that no configuration has by default.
    fn at_example() -> String {
        format!("api = '{}'", PagerDuty::API)
    }

    /// Writes a configuration with these settings of the source, beside a deadline of five seconds.
    fn source(&self, settings: &str) {
        self.configure("", &format!("deadline = '5s'\n{settings}"));
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

    /// A sync that must fail within `limit` with all of `words`, and change nothing.
    fn fails_within(&self, limit: Duration, words: &[&str]) {
        let before = self.suite.host.read_bytes(ROSTER);
        let start = Instant::now();
        let output = self.suite.run_as("oncall-cache", "oncall-cache sync");
        let took = start.elapsed();
        assert_ne!(output.status.code(), Some(0), "{words:?}: {}", text(&output));
        for words in words {
            assert!(text(&output).contains(words), "expected {words:?} in {}", text(&output));
        }
        assert!(took < limit, "{words:?}: took {took:?}");
        self.keeps_secrets(&text(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        assert!(self.suite.host.read_bytes(ROSTER) == before, "{words:?}: the roster changed");
    }

    /// The deadline of the configuration is five seconds.
    fn fails(&self, words: &[&str]) {
        self.fails_within(Duration::from_secs(8), words);
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

#[test]
fn a23_a_service_that_fails_or_stalls_changes_nothing_and_ends_in_time() {
    let site = Site::start();
    site.sync();
    let _ = site.pagerduty.requests();
    site.pagerduty.script(vec![error(429).with_header("Retry-After", "3600")]);
    site.fails(&["source-error", "status 429", "try again in 1h"]);
    for status in [500, 503] {
        site.pagerduty.script(vec![error(status), error(status)]);
        site.fails(&["source-error", &format!("status {status}")]);
    }
    let closed = || Reply::Raw(vec![]);
    site.pagerduty.script(vec![closed(), closed()]);
    site.fails(&["source-error"]);
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"schedules\":";
    for started in [&b""[..], &head[..]] {
        site.pagerduty.script(vec![Reply::Stall(started.to_vec())]);
        site.fails(&["source-error", "no complete answer in time"]);
    }
    site.pagerduty.hang(true);
    site.fails(&["source-error", "no complete answer in time"]);
    site.pagerduty.hang(false);
    // A server that is too busy to accept: connecting takes for ever.
    let full = r#"use Socket; use Fcntl;
        my $at = sockaddr_in(8444, inet_aton("127.0.0.1"));
        socket(my $server, PF_INET, SOCK_STREAM, 0); bind($server, $at) or die; listen($server, 0) or die;
        my @clients = map { socket(my $client, PF_INET, SOCK_STREAM, 0); fcntl($client, F_SETFL, O_NONBLOCK);
            connect($client, $at); $client } 1..3;
        sleep 3600;"#;
    site.suite.host.daemon(&["perl", "-e", full], "/tmp/full.log");
    site.suite.host.wait_for_port(8444);
    site.source(&format!("api = 'https://127.0.0.1:8444'\nschedules = ['PDB0001']\n{BY_KEY}"));
    site.fails(&["source-error", "no complete answer in time"]);
}

#[test]
fn a23_what_passes_is_asked_once_more_and_no_more() {
    let site = Site::start();
    let reset = |seconds: &str| error(429).with_header("ratelimit-reset", seconds);
    for trouble in [error(500), error(503), reset("1"), Reply::Raw(vec![])] {
        site.pagerduty.script_at("/oncalls", vec![trouble]);
        site.sync();
        assert_eq!(site.asked(), ["/schedules", "/oncalls", "/oncalls"]);
    }
    // Whatever comes second stands.
    site.pagerduty.script_at("/oncalls", vec![error(503), reset("1"), reset("1")]);
    let start = Instant::now();
    site.fails_within(Duration::from_secs(5), &["status 429"]);
    assert!(start.elapsed() >= Duration::from_secs(1), "it waits before it asks again");
    assert_eq!(site.asked(), ["/schedules", "/oncalls", "/oncalls"]);
    // A wait that ends past the deadline is not begun; 401 and the like are final.
    for (reply, words) in
        [(reset("5"), "try again in 5s"), (error(401), "status 401"), (error(403), "status 403")]
    {
        site.pagerduty.script_at("/oncalls", vec![reply]);
        site.fails_within(Duration::from_secs(3), &[words]);
        assert_eq!(site.asked(), ["/schedules", "/oncalls"]);
    }
}

#[test]
fn a24_what_is_no_answer_is_a_source_error() {
    let site = Site::start();
    site.sync();
    let _ = site.asked();
    let json = |text: &str| answer("application/json", text.as_bytes());
    let page = r#"{"oncalls":[],"more":false}"#;
    for (reply, words) in [
        (json(&page[..page.len() - 5]), "cannot be read"),
        (json("[]"), "cannot be read"),
        (json("\"oncalls\""), "cannot be read"),
        (json(r#"{"more":false}"#), "missing field `oncalls`"),
        (json(r#"{"oncalls":null,"more":false}"#), "cannot be read"),
        (json(r#"{"oncalls":[]}"#), "missing field `more`"),
        (answer("text/html; charset=utf-8", b"<html>Log in</html>"), "answered text/html"),
        (answer("text/html", page.as_bytes()), "answered text/html"),
        (Reply::Answer { status: 200, headers: vec![], body: page.into() }, "no content type"),
        (Reply::Answer { status: 204, headers: vec![], body: vec![] }, "status 204"),
        (error(302).with_header("Location", "https://identity.pagerduty.example:8443/oncalls"), "a redirect"),
    ] {
        site.pagerduty.script_at("/oncalls", vec![reply]);
        site.fails_within(Duration::from_secs(5), &["source-error", words]);
        assert_eq!(site.asked(), ["/schedules", "/oncalls"], "{words}: nothing else is asked");
    }
    // Cut off on the wire, twice: it was asked once more.
    let cut = || {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";
        Reply::Raw(format!("{head}{page}").into_bytes())
    };
    site.pagerduty.script_at("/oncalls", vec![cut(), cut()]);
    site.fails(&["source-error"]);
}

#[test]
fn a25_a_list_without_end_and_a_page_without_end_are_given_up() {
    let site = Site::start();
    site.sync();
    // Some pages a second are all that a strange machine may manage in five.
    site.configure("", &format!("{}\nschedules = ['PDB0001']\n{BY_KEY}", Site::at_example()));
    let _ = site.asked();
    site.pagerduty.set_endless(true);
    site.pagerduty.set_page_cap(1);
    site.fails_within(Duration::from_secs(60), &["source-incomplete", "200 pages"]);
    assert_eq!(site.asked().len(), 200);
    site.pagerduty.set_endless(false);
    site.pagerduty.set_page_cap(100);
    site.pagerduty.script(vec![Reply::Flood(100_000_000)]);
    site.fails_within(Duration::from_secs(10), &["source-error", "larger than 4194304 bytes"]);
    assert_eq!(site.asked(), ["/schedules"]);
}

#[test]
fn a27_offsets_across_the_change_of_clocks_are_the_same_instants_everywhere() {
    let site = Site::start();
    // Winter to summer, and from the first to the second 02:30 of one night; each goes on until long after this.
    let written = [
        (
            "alice",
            "2026-03-01T09:00:00+01:00",
            "2090-07-01T09:00:00+02:00",
            1_772_352_000_i64,
            3_802_575_600_i64,
        ),
        (
            "bob",
            "2026-10-25T02:30:00+02:00",
            "2090-12-01T00:00:00-05:00",
            1_792_888_200_i64,
            3_815_787_600_i64,
        ),
        (
            "carol",
            "2026-10-25T02:30:00+01:00",
            "2090-12-01T05:45:00+05:45",
            1_792_891_800_i64,
            3_815_769_600_i64,
        ),
    ];
    let entries = written.map(|(name, start, end, ..)| {
        let mut entry = oncall(name, Some("PDB0001"), "PEP0001", 1, 0, 1);
        entry["start"] = json!(start);
        entry["end"] = json!(end);
        entry
    });
    site.pagerduty.set_oncalls(entries.to_vec());
    let expected = written.map(|(name, _, _, start, end)| format!("PDB0001 {name} 1 {start} {end}"));
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"] {
        site.suite.must_as("oncall-cache", &format!("TZ={zone} oncall-cache sync"));
        assert_eq!(site.roster(0), expected, "{zone}");
    }
}

#[test]
fn a33_one_of_three_schedules_deleted_leaves_it_alone_and_moves_the_others() {
    let site = Site::start();
    let three = ["PDB0001", "PWEB001", "PNET001"];
    let on = |names: [&str; 3]| -> Vec<Value> {
        let shift = |(name, id)| oncall(name, Some(id), "PEP0001", 1, -HOUR, HOUR);
        names.into_iter().zip(three).map(shift).collect()
    };
    site.pagerduty.set_schedules(three.map(|id| schedule(id, id)).to_vec());
    site.pagerduty.set_oncalls(on(["alice", "alice", "alice"]));
    site.source(&format!("{}\nschedules = {three:?}\n{BY_KEY}", Site::at_example()));
    site.sync();
    site.pagerduty.set_schedules(vec![schedule("PDB0001", "db"), schedule("PNET001", "net")]);
    site.pagerduty.set_oncalls(on(["bob", "bob", "carol"]));
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert_ne!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("source-incomplete"), "{}", text(&output));
    assert!(text(&output).contains("PagerDuty has no schedule `PWEB001`"), "{}", text(&output));
    assert_eq!(site.people(), ["PDB0001 bob 1", "PNET001 carol 1", "PWEB001 alice 1"]);
}

#[test]
fn a_key_that_systemd_passes_is_used_and_its_file_is_not_needed() {
    let site = Site::start();
    site.sync();
    let passed = "/run/credentials/oncall-cache-sync.service";
    site.suite.host.must(&format!(
        "mkdir -p {passed} && mv /etc/authkeys/pagerduty-token {passed}/ && chmod 400 {passed}/* && \
         chmod 500 {passed} && chown -R oncall-cache {passed}"
    ));
    site.fails(&["token_file: /etc/authkeys/pagerduty-token: no such file"]);
    site.suite.must_as("oncall-cache", &format!("CREDENTIALS_DIRECTORY={passed} oncall-cache sync"));
    assert_eq!(site.people(), ["PDB0001 alice 1"]);
    // Somebody else's directory is not systemd's.
    site.suite.host.must(&format!("cp -a {passed} /tmp/credentials"));
    let output =
        site.suite.run_as("oncall-cache", "CREDENTIALS_DIRECTORY=/tmp/credentials oncall-cache sync");
    assert!(text(&output).contains("/etc/authkeys/pagerduty-token: no such file"), "{}", text(&output));
}

#[test]
fn a34_a_key_that_others_can_read_is_refused_and_none_is_told() {
    let site = Site::start();
    site.sync();
    let _ = site.asked();
    site.suite.host.must("chmod 644 /etc/authkeys/pagerduty-token");
    site.fails(&["token_file", "everybody can read it; chmod o= it"]);
    assert_eq!(site.asked(), Vec::<String>::new(), "no packet before that");
    site.suite.host.must("chmod 640 /etc/authkeys/pagerduty-token");
    for status in [400, 401, 403, 404, 418, 429, 500] {
        // The service repeats what it was told, as some proxies do.
        let told = Reply::json(
            status,
            &json!({"error": {"message": format!("Token token={KEY}"), "errors": [KEY]}}),
        );
        site.pagerduty.script(vec![told.clone(), told]);
        site.fails(&[&format!("status {status}")]);
    }
    let told = format!(r#"{{"schedules": "Token token={KEY}", "more": false}}"#);
    site.pagerduty.script(vec![answer("application/json", told.as_bytes())]);
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert_ne!(output.status.code(), Some(0));
    site.register(&["oncalls.read", "users.read", "schedules.read"]);
    site.source(&by_app("schedules = ['PDB0001']"));
    site.suite.host.must("chmod 644 /etc/authkeys/client-secret");
    site.fails(&["client_secret_file", "everybody can read it; chmod o= it"]);
    site.suite.host.must("chmod 640 /etc/authkeys/client-secret");
    for body in [
        json!({"access_token": ["pdus+_told"], "token_type": "bearer", "expires_in": 1}),
        json!({"access_token": "pdus+_told", "token_type": "bearer", "expires_in": "pdus+_told"}),
        json!({"access_token": "pdus+_told\n", "token_type": "bearer", "expires_in": 1}),
        json!({"access_token": "pdus+_told", "token_type": "mac", "expires_in": 1}),
        json!({"error": SECRET}),
    ] {
        site.pagerduty.script_at("/oauth/token", vec![Reply::json(200, &body)]);
        site.fails(&["source-error", "/oauth/token"]);
    }
    for status in [400, 401, 403, 500] {
        let told = Reply::json(status, &json!({"error": "invalid_client", "error_description": SECRET}));
        site.pagerduty.script_at("/oauth/token", vec![told.clone(), told]);
        site.fails(&["source-error", &format!("status {status}")]);
    }
}

/// A source that asks as an app.
fn by_app(wanted: &str) -> String {
    format!("{}\n{wanted}\n{BY_APP}identity = '{}'", Site::at_example(), PagerDuty::IDENTITY)
}

#[test]
fn an_app_asks_for_a_token_once_and_keeps_it_from_everybody() {
    let site = Site::start();
    site.register(&["oncalls.read", "users.read", "schedules.read"]);
    site.source(&by_app("schedules = ['PDB0001']"));
    site.sync();
    assert_eq!(site.asked(), ["/oauth/token", "/schedules", "/oncalls"]);
    let kept = std::fs::metadata(site.suite.host.path(KEPT)).expect("the token is kept");
    let directory = std::fs::metadata(site.suite.host.path("/var/lib/oncall-cache")).expect("a directory");
    assert_eq!((kept.mode() & 0o7777, kept.uid()), (0o600, directory.uid()));
    assert_ne!(kept.uid(), 0);
    assert!(!site.suite.host.read(KEPT).contains(SECRET));
    site.sync();
    assert_eq!(site.asked(), ["/schedules", "/oncalls"], "the token is good for a day");

    // Not good any more: renewed once, and that one is kept.
    site.pagerduty.revoke_tokens();
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(output.status.success(), "{}", text(&output));
    let targets = |site: &Site| -> Vec<String> {
        let requests = site.pagerduty.requests().into_iter();
        requests.map(|request| request.target.split('?').next().unwrap_or("").to_string()).collect()
    };
    assert_eq!(targets(&site), ["/schedules", "/oauth/token", "/schedules", "/oncalls"]);
    site.sync();
    assert_eq!(site.asked(), ["/schedules", "/oncalls"]);

    // One that is refused although it is new is not renewed again.
    site.pagerduty.revoke_tokens();
    site.pagerduty.script_at("/schedules", vec![error(401), error(401), error(401)]);
    site.fails_within(Duration::from_secs(5), &["status 401", "check `region` and `subdomain`"]);
    assert_eq!(targets(&site), ["/schedules", "/oauth/token", "/schedules"]);
    site.pagerduty.script(vec![]);

    // A file that others could have read or written, or that is nonsense, is not used but replaced.
    for spoil in ["chmod 644", "chmod 666", "echo nonsense >", "cp -p", "rm -f"] {
        site.suite.host.must(&match spoil {
            "cp -p" => {
                format!("cp {KEPT} /tmp/kept && chmod 600 /tmp/kept && rm {KEPT} && ln -s /tmp/kept {KEPT}")
            }
            spoil => format!("{spoil} {KEPT}"),
        });
        site.sync();
        assert_eq!(site.asked(), ["/oauth/token", "/schedules", "/oncalls"], "{spoil}");
        let kept = std::fs::symlink_metadata(site.suite.host.path(KEPT)).expect("it is there again");
        assert!(kept.is_file() && kept.mode() & 0o7777 == 0o600, "{spoil}: {:o}", kept.mode());
    }
}

#[test]
fn a_token_is_asked_anew_when_it_ends_or_was_for_something_else() {
    let site = Site::start();
    let all = ["oncalls.read", "users.read", "schedules.read", "escalation_policies.read", "teams.read"];
    site.register(&all);
    site.pagerduty.set_policies(vec![policy("PEP0001", "SRE", &["PTEAM01"])]);
    site.pagerduty.set_teams(vec![json!({"id": "PTEAM01", "type": "team", "name": "sre", "summary": "sre"})]);
    let wanted = ["schedules = ['PDB0001']", "policies = ['SRE']", "teams = ['sre']"];
    for (wanted, lists) in wanted.into_iter().zip([&["/schedules"][..], &[], &["/teams"]]) {
        site.source(&by_app(wanted));
        site.sync();
        let asked = site.asked();
        assert_eq!(asked[0], "/oauth/token", "other scopes are another token: {asked:?}");
        assert!(lists.iter().all(|list| asked.contains(&list.to_string())), "{asked:?}");
        site.sync();
        assert_ne!(site.asked()[0], "/oauth/token");
    }
    // It ends in four minutes: too soon to begin with.
    let kept: Value = serde_json::from_str(&site.suite.host.read(KEPT)).expect("JSON");
    for (left, again) in [(240, true), (600, false)] {
        let mut kept = kept.clone();
        kept["expires"] = json!(now() + left);
        site.suite.host.must(&format!("cat >{KEPT} <<'E'\n{kept}\nE"));
        site.sync();
        assert_eq!(site.asked()[0] == "/oauth/token", again, "{left} s are left");
    }
    // A token of the service's own that ends at once is good for this sync and no other.
    let mut app = App {
        client_id: "app-1".to_string(),
        client_secret: SECRET.to_string(),
        subdomain: "acme".to_string(),
        scopes: all.map(str::to_string).to_vec(),
        lifetime: 100,
    };
    site.pagerduty.set_app(app.clone());
    site.suite.host.must(&format!("rm {KEPT}"));
    for _ in 0..2 {
        site.sync();
        assert_eq!(site.asked()[0], "/oauth/token");
    }
    app.client_secret = "another".to_string();
    site.pagerduty.set_app(app);
    site.fails(&["/oauth/token: status 401", "check `client_id`, what /etc/authkeys/client-secret holds"]);
}

#[test]
fn a_scope_that_is_missing_is_named() {
    let site = Site::start();
    site.sync();
    for (granted, missing) in [
        (&["oncalls.read", "users.read"][..], "did not grant schedules.read;"),
        (&["schedules.read"], "did not grant oncalls.read, users.read;"),
        (
            &["oncalls.write", "users.reader", "schedules"],
            "did not grant oncalls.read, users.read, schedules.read;",
        ),
    ] {
        site.register(granted);
        site.source(&by_app("schedules = ['PDB0001']"));
        site.fails(&["source-error", missing, "App Registration"]);
        assert!(site.suite.host.sh(&format!("test -e {KEPT}")).status.code() == Some(1));
    }
    site.register(&["oncalls.read", "users.read", "schedules.read"]);
    site.source(&by_app("policies = ['PEP0001']"));
    site.fails(&["did not grant escalation_policies.read;"]);
    site.source(&by_app("teams = ['PTEAM01']"));
    site.fails(&["did not grant escalation_policies.read, teams.read;"]);
    let other = by_app("schedules = ['PDB0001']").replace("'acme'", "'umbrella'");
    site.source(&other);
    site.fails(&["/oauth/token: status 400", "it asked for as_account-us.umbrella"]);
}

#[test]
fn each_region_has_a_host_of_its_own() {
    let site = Site::start();
    let hosts = |site: &Site| -> Vec<String> {
        let mut hosts: Vec<_> = site.pagerduty.requests().into_iter().map(|request| request.host).collect();
        hosts.dedup();
        hosts
    };
    site.source(&format!("schedules = ['PDB0001']\n{BY_KEY}"));
    site.sync();
    assert_eq!(hosts(&site), ["api.pagerduty.com"]);
    site.pagerduty.set_region(Region::Eu);
    site.fails_within(
        Duration::from_secs(5),
        &["https://api.pagerduty.com/schedules: status 401", "`region`"],
    );
    assert_eq!(hosts(&site), ["api.pagerduty.com"]);
    site.source(&format!("region = 'eu'\nschedules = ['PDB0001']\n{BY_KEY}"));
    site.sync();
    assert_eq!(hosts(&site), ["api.eu.pagerduty.com"]);
    site.register(&["oncalls.read", "users.read", "schedules.read"]);
    site.source(&format!("region = 'eu'\nschedules = ['PDB0001']\n{BY_APP}"));
    site.sync();
    assert_eq!(hosts(&site), ["identity.pagerduty.com", "api.eu.pagerduty.com"]);
}

#[test]
fn a_proxy_is_used_where_the_configuration_names_one_and_nowhere_else() {
    let site = Site::start();
    let proxy = Proxy::start(&site.suite.host);
    let environment = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .map(|name| format!("{name}={}", Proxy::URL))
        .join(" ");
    site.suite.must_as("oncall-cache", &format!("{environment} SSL_CERT_FILE=/nowhere oncall-cache sync"));
    assert_eq!(proxy.asked(), Vec::<String>::new());
    site.register(&["oncalls.read", "users.read", "schedules.read"]);
    let source = |rest: &str| format!("deadline = '5s'\nschedules = ['PDB0001']\n{rest}");
    // Only the proxy knows where the names lead.
    site.suite.host.must("grep -v pagerduty /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts");
    for (access, hosts) in [
        (BY_KEY, &["api.pagerduty.com:443"][..]),
        (BY_APP, &["identity.pagerduty.com:443", "api.pagerduty.com:443"]),
    ] {
        site.configure(&format!("proxy = '{}'", Proxy::URL), &source(access));
        site.suite.must_as("oncall-cache", "no_proxy='*' NO_PROXY='*' oncall-cache sync");
        let heads = proxy.asked();
        let mut asked: Vec<_> = heads.iter().filter_map(|head| head.split(' ').nth(1)).collect();
        asked.dedup();
        assert_eq!(asked, hosts, "{heads:#?}");
        let secrets = ["authorization", "pdus+", KEY, SECRET];
        let told = heads.concat().to_lowercase();
        assert!(!secrets.iter().any(|secret| told.contains(&secret.to_lowercase())), "{heads:#?}");
    }
    site.configure("", &source(BY_KEY));
    site.fails(&["api.pagerduty.com: no address found"]);
    site.configure("proxy = 'http://127.0.0.1:9'", &source(BY_KEY));
    site.fails(&["source-error", "https://api.pagerduty.com/schedules: through proxy http://127.0.0.1:9: "]);
}

#[test]
fn a_policy_and_a_team_are_schedules_of_their_own() {
    let site = Site::start();
    site.pagerduty.set_policies(vec![
        policy("PEP0001", "SRE", &["PTEAM01"]),
        policy("PEP0002", "DBA", &["PTEAM01", "PTEAM02"]),
        policy("PEP0003", "Management", &[]),
    ]);
    let team = |id: &str, name: &str| json!({"id": id, "type": "team", "summary": name, "name": name});
    site.pagerduty.set_teams(vec![
        team("PTEAM01", "Operations"),
        team("PTEAM02", "Data"),
        team("PTEAM03", "Nobody"),
    ]);
    site.pagerduty.set_oncalls(vec![
        oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR),
        oncall("bob", Some("PWEB001"), "PEP0001", 2, -HOUR, HOUR),
        permanent("dave", "PEP0001", 3),
        // The same shift through another policy, and at another level.
        oncall("alice", Some("PDB0001"), "PEP0002", 2, -HOUR, HOUR),
        permanent("carol", "PEP0002", 1),
        permanent("dave", "PEP0003", 1),
    ]);
    let people = |wanted: &str| {
        site.source(&format!("{}\n{wanted}\n{BY_KEY}", Site::at_example()));
        site.sync();
        assert!(!site.asked().contains(&"/users".to_string()));
        site.people()
    };
    assert_eq!(people("policies = ['SRE']"), ["SRE alice 1"]);
    assert_eq!(people("policies = ['PEP0002']"), ["PEP0002 carol 1"]);
    assert_eq!(people("policies = ['SRE']\nmax_level = 2"), ["SRE alice 1", "SRE bob 2"]);
    assert_eq!(people("policies = ['SRE']\nmax_level = 3").len(), 3, "dave is permanent on level 3");
    assert_eq!(people("teams = ['Operations']"), ["Operations alice 1", "Operations carol 1"]);
    assert_eq!(people("teams = ['PTEAM02']\nmax_level = 2"), ["PTEAM02 alice 2", "PTEAM02 carol 1"]);
    assert_eq!(
        people("schedules = ['db']\npolicies = ['DBA']\nteams = ['Data']"),
        ["DBA carol 1", "Data carol 1", "db alice 1"],
        "who is permanent is on no schedule"
    );
    // Permanent means that there is neither a start nor an end.
    let ends = format!("sqlite3 {ROSTER} 'SELECT count(*) FROM shift WHERE ends > {}'", now() + 365 * DAY);
    assert_eq!(site.suite.host.must(&ends), "2\n");
    for (wanted, words) in [
        ("policies = ['sre']", "PagerDuty has no escalation policy `sre`; check `policies`"),
        ("teams = ['Ops']", "PagerDuty has no team `Ops`; check `teams`"),
    ] {
        site.source(&format!("{}\n{wanted}\n{BY_KEY}", Site::at_example()));
        site.fails(&["source-incomplete", words]);
    }
}

#[test]
fn nobody_is_on_call_through_a_team_without_policies() {
    let site = Site::start();
    site.sync();
    site.pagerduty.set_policies(vec![policy("PEP0001", "SRE", &["PTEAM01"])]);
    site.pagerduty
        .set_teams(vec![json!({"id": "PTEAM03", "type": "team", "summary": "none", "name": "none"})]);
    site.source(&format!("{}\nteams = ['none']\n{BY_KEY}", Site::at_example()));
    let _ = site.asked();
    // Without ids the service would tell of everybody, and refuse here.
    site.fails_within(Duration::from_secs(5), &["source-empty"]);
    assert_eq!(site.asked(), ["/escalation_policies", "/teams"]);
}

#[test]
fn a_schedule_in_no_policy_is_asked_for_by_itself() {
    let site = Site::start();
    site.pagerduty.set_oncalls(vec![oncall("bob", Some("PWEB001"), "PEP0001", 2, -HOUR, HOUR)]);
    let shifts = [
        rendered("alice", -HOUR, HOUR),
        rendered("carol", HOUR, 2 * HOUR),
        rendered("bob", -3 * HOUR, -2 * HOUR),
    ];
    site.pagerduty.set_rendered("PDB0001", shifts.to_vec());
    site.pagerduty.set_rendered("PWEB001", vec![rendered("dave", -HOUR, HOUR)]);
    site.source(&format!(
        "{}\nschedules = ['PDB0001', 'web']\nallow_empty = true\nmax_oncall = 50\n{BY_KEY}",
        Site::at_example()
    ));
    site.sync();
    assert_eq!(site.people(), ["PDB0001 alice 1", "PDB0001 carol 1"], "the second level of `web` is a level");
    assert_eq!(
        site.asked(),
        ["/schedules", "/v3/schedules", "/oncalls", "/schedules/PDB0001", "/users/PUALICE", "/users/PUCAROL"]
    );
    // Somebody who is no user any more is skipped, and the others stay.
    site.pagerduty.set_users(vec![user("alice")]);
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(text(&output).contains("skipped pd/PUCAROL: has no mail address"), "{}", text(&output));
    assert_eq!(site.people(), ["PDB0001 alice 1"]);
    let _ = site.pagerduty.requests();
    // Many are looked up in the list of all.
    let names: Vec<String> = (0..30).map(|number| format!("user{number}")).collect();
    let mut users = vec![user("alice")];
    users.extend(names.iter().map(|name| user(name)));
    let mut shifts = vec![rendered("alice", -HOUR, HOUR)];
    shifts.extend(names.iter().map(|name| rendered(name, -HOUR, HOUR)));
    site.pagerduty.set_users(users);
    site.pagerduty.set_rendered("PDB0001", shifts);
    site.sync();
    assert_eq!(site.people(), ["PDB0001 alice 1"]);
    assert_eq!(site.asked(), ["/schedules", "/v3/schedules", "/oncalls", "/schedules/PDB0001", "/users"]);
    // Deleted after the list was read: that one is missing, not empty.
    site.source(&format!("{}\nschedules = ['PDB0001']\n{BY_KEY}", Site::at_example()));
    site.pagerduty.script_at("/schedules/PDB0001", vec![error(404)]);
    site.fails(&["source-incomplete", "/schedules/PDB0001: status 404"]);
}

#[test]
fn a_shift_based_schedule_is_found_and_read() {
    let site = Site::start();
    let assignment = |member: Value, start: i64, end: i64| {
        json!({"type": "computed_shift_assignment", "start_time": from_now(start), "end_time": from_now(end),
               "member": member, "source": {"type": "schedule_rotation", "rotation_id": "R1"}})
    };
    let member = |name: &str| json!({"type": "user_member", "user_id": id_of(name)});
    site.pagerduty.set_shift_based(vec![
        json!({"id": "PNEW001", "name": "new", "computed_shift_assignments": [
            assignment(member("alice"), -HOUR, HOUR),
            assignment(member("bob"), -HOUR, HOUR),
            assignment(json!({"type": "empty_member"}), HOUR, 2 * HOUR),
            assignment(member("carol"), -5 * HOUR, -4 * HOUR),
        ]}),
        json!({"id": "PNEW002", "name": "db", "computed_shift_assignments": []}),
    ]);
    for (wanted, expected) in [("new", 2), ("PNEW001", 2)] {
        site.source(&format!("{}\nschedules = ['{wanted}']\n{BY_KEY}", Site::at_example()));
        site.sync();
        assert_eq!(site.people().len(), expected);
        let asked = site.asked();
        assert_eq!(asked[..4], ["/schedules", "/v3/schedules", "/oncalls", "/v3/schedules/PNEW001"]);
    }
    assert_eq!(site.people(), ["PNEW001 alice 1", "PNEW001 bob 1"]);
    // In a policy, /oncalls tells of it as of any other.
    let mut entry = oncall("carol", Some("PNEW001"), "PEP0001", 1, -HOUR, HOUR);
    entry["schedule"]["type"] = json!("schedule_v3_reference");
    site.pagerduty.set_oncalls(vec![entry]);
    site.sync();
    assert_eq!(site.people(), ["PNEW001 carol 1"]);
    assert_eq!(site.asked(), ["/schedules", "/v3/schedules", "/oncalls"]);
    // Upgraded between two questions: the old address answers 400, the new one is asked.
    site.pagerduty.set_oncalls(vec![]);
    let old = json!({"schedules": [{"id": "PNEW001", "type": "schedule", "name": "new"}], "limit": 100,
                     "offset": 0, "more": false, "total": null});
    site.pagerduty.script_at("/schedules", vec![Reply::json(200, &old)]);
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(site.people(), ["PNEW001 alice 1", "PNEW001 bob 1"]);
    // An account without them has no such list.
    site.pagerduty.script_at("/v3/schedules", vec![error(404)]);
    site.source(&format!("{}\nschedules = ['PGONE01']\n{BY_KEY}", Site::at_example()));
    site.fails(&["source-incomplete", "PagerDuty has no schedule `PGONE01`"]);
}

#[test]
fn a_name_of_two_schedules_is_neither() {
    let site = Site::start();
    site.sync();
    site.pagerduty.set_schedules(vec![schedule("PDB0001", "db"), schedule("PDB0002", "db")]);
    site.source(&format!("{}\nschedules = ['db']\n{BY_KEY}", Site::at_example()));
    site.fails(&["source-incomplete", "`db` is the name of PDB0001 and of PDB0002; write the id"]);
    site.source(&format!("{}\nschedules = ['PDB0001']\n{BY_KEY}", Site::at_example()));
    site.sync();
}

#[test]
fn a_person_who_is_only_a_reference_is_looked_up() {
    let site = Site::start();
    let mut entry = oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
    entry["user"] = reference("alice");
    let mut deep = oncall("carol", Some("PDB0001"), "PEP0001", 2, -HOUR, HOUR);
    deep["user"] = reference("carol");
    site.pagerduty.set_oncalls(vec![entry, deep]);
    site.sync();
    assert_eq!(site.people(), ["PDB0001 alice 1"]);
    assert_eq!(
        site.asked(),
        ["/schedules", "/oncalls", "/users/PUALICE"],
        "nobody asks for those who do not count"
    );
    // Without the permission, everything has failed: half the people would be missing.
    site.pagerduty.script_at("/users/PUALICE", vec![error(403)]);
    site.fails(&["source-error", "/users/PUALICE: status 403", "users.read"]);
    // An answer about somebody else is none.
    let bob = json!({ "user": user("bob") });
    site.pagerduty.script_at("/users/PUALICE", vec![Reply::json(200, &bob)]);
    site.fails(&["source-incomplete", "asked for user PUALICE, the answer is about \"PUBOB\""]);
}

/// Values that a field of a page may have in place of its own, `None`: the field is not there.
fn wrong_values(right: &Value) -> Vec<Option<Value>> {
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0.5),
        json!(1_u64 << 40),
        json!("0"),
        json!([0]),
        json!({"0": 0}),
    ];
    let near = right.as_u64().map(|number| json!(number + 1));
    let flipped = right.as_bool().map(|flag| json!(!flag));
    let wrong = others.into_iter().chain(near).chain(flipped).filter(|value| value != right);
    std::iter::once(None).chain(wrong.map(Some)).collect()
}

#[test]
fn a_page_counts_only_as_the_one_that_was_asked_for() {
    let site = Site::start();
    site.sync();
    let shifts = vec![oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)];
    let right = json!({"oncalls": shifts, "limit": 100, "offset": 0, "more": false, "total": 1});
    for field in ["oncalls", "limit", "offset", "more", "total"] {
        for value in wrong_values(&right[field]) {
            // That is what it is where nobody asked for it.
            if field == "total" && value.as_ref().is_none_or(Value::is_null) {
                continue;
            }
            let mut page = right.clone();
            match &value {
                Some(value) => page[field] = value.clone(),
                None => drop(page.as_object_mut().expect("an object").remove(field)),
            }
            site.pagerduty.script_at("/oncalls", vec![Reply::json(200, &page)]);
            site.fails_within(Duration::from_secs(8), &["source-"]);
            assert_eq!(site.people(), ["PDB0001 alice 1"], "{page}");
        }
    }
    // Each list is read by the same rules, to its end or not at all.
    site.pagerduty.set_policies(vec![policy("PEP0001", "SRE", &["PTEAM01"])]);
    site.pagerduty.set_teams(vec![json!({"id": "PTEAM01", "type": "team", "name": "sre", "summary": "sre"})]);
    for (wanted, path, list) in [
        ("schedules = ['PDB0001']", "/schedules", "schedules"),
        ("schedules = ['PGONE01']", "/v3/schedules", "schedules"),
        ("policies = ['SRE']", "/escalation_policies", "escalation_policies"),
        ("teams = ['sre']", "/teams", "teams"),
        ("policies = ['SRE']", "/oncalls", "oncalls"),
    ] {
        site.source(&format!("{}\n{wanted}\n{BY_KEY}", Site::at_example()));
        let page = json!({list: [], "limit": 100, "offset": 100, "more": false, "total": null});
        site.pagerduty.script_at(path, vec![Reply::json(200, &page)]);
        site.fails(&[
            "source-incomplete",
            &format!("{path}: asked for offset 0, the answer is that of offset 100"),
        ]);
    }
}

#[test]
fn the_second_page_must_follow_the_first() {
    let site = Site::start();
    let many = |names: std::ops::Range<usize>| -> Vec<Value> {
        names
            .map(|n| oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR + i64::try_from(n).unwrap()))
            .collect()
    };
    site.pagerduty.set_oncalls(many(0..150));
    site.sync();
    assert_eq!(site.people().len(), 150);
    assert_eq!(site.asked(), ["/schedules", "/oncalls", "/oncalls"]);
    let page = |entries: Vec<Value>, offset: usize, more: bool, total: Value| {
        Reply::json(
            200,
            &json!({"oncalls": entries, "limit": 100, "offset": offset, "more": more, "total": total}),
        )
    };
    let first = || page(many(0..100), 0, true, json!(150));
    for (second, words) in [
        // What a cache in between may do: the first page once more, or a page of another question.
        (first(), "asked for offset 100, the answer is that of offset 0"),
        (
            page(many(0..50), 100, false, json!(151)),
            "a page says that there are 150 entries, another one 151",
        ),
        (
            page(many(0..49), 100, false, json!(150)),
            "there are 150 entries, 149 have come, and that is the end",
        ),
        (page(many(0..51), 100, false, json!(150)), "there are 150 entries, 151 have come"),
        (
            page(many(0..50), 100, true, json!(150)),
            "there are 150 entries, 150 have come, and more are to come",
        ),
        (page(many(0..101), 100, false, json!(null)), "101 entries on a page of at most 100"),
    ] {
        site.pagerduty.script_at("/oncalls", vec![first(), second]);
        site.fails(&["source-incomplete", words]);
    }
}

/// Every field of every answer is spoilt in oncall-cache/src/providers/pagerduty/fields.rs, by the same code without a network.
#[test]
fn a_row_of_a_schedule_that_was_not_asked_for_is_an_answer_to_another_question() {
    let site = Site::start();
    site.sync();
    for schedule in [Some("PWEB001"), None] {
        let row = oncall("carol", schedule, "PEP0001", 1, -HOUR, HOUR);
        let page = json!({"oncalls": [row], "more": false, "offset": 0, "limit": 100, "total": null});
        site.pagerduty.script_at("/oncalls", vec![Reply::json(200, &page)]);
        site.fails(&["source-incomplete", "asked for some schedule_ids[]"]);
    }
}

#[test]
fn a_user_id_with_two_addresses_or_names_is_nobody_but_by_the_table() {
    let site = Site::start();
    let on = |entries: &[Value]| site.pagerduty.set_oncalls(entries.to_vec());
    let bob = oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
    let row = |key: &str, value: &str, level: u64| {
        let mut row = oncall("alice", Some("PDB0001"), "PEP0001", level, -HOUR, HOUR);
        row["user"][key] = json!(value);
        row
    };
    let alice = || row("email", "alice@example.com", 1);
    for table in ["", "[oncall.source.people]\nPUALICE = 'alice'\n"] {
        site.source(&format!("{}\nschedules = ['PDB0001']\n{BY_KEY}\n{table}", Site::at_example()));
        for (other, what) in [
            (row("email", "carol@example.com", 1), "two mail addresses of this one user"),
            (row("email", "", 1), "two mail addresses of this one user"),
            (row("name", "Carol", 1), "two names of this one user"),
            // A row that does not count tells as well.
            (row("email", "carol@example.com", 5), "two mail addresses of this one user"),
        ] {
            for rows in [[alice(), other.clone()], [other.clone(), alice()]] {
                on(&[&rows[..], std::slice::from_ref(&bob)].concat());
                let said = site.sync();
                if !table.is_empty() {
                    // Who an id is does not depend then on what else is told of it.
                    assert!(!said.contains("skipped"), "{said}");
                    assert_eq!(site.people(), ["PDB0001 alice 1", "PDB0001 bob 1"], "{rows:?}");
                    continue;
                }
                assert!(said.contains(&format!("skipped pd/PUALICE: the source tells {what}")), "{said}");
                assert_eq!(site.people(), ["PDB0001 bob 1"], "{rows:?}");
            }
        }
        on(&[alice(), row("email", "Alice@Example.COM", 1), bob.clone()]);
        site.sync();
        assert_eq!(
            site.people(),
            ["PDB0001 alice 1", "PDB0001 bob 1"],
            "as addresses are compared, that is one"
        );
    }
}

#[test]
fn a_shift_without_an_end_is_unknown_and_one_without_length_is_left_out() {
    let site = Site::start();
    site.source(&format!("{}\nschedules = ['PDB0001', 'PWEB001']\n{BY_KEY}", Site::at_example()));
    site.sync();
    for key in ["end", "start"] {
        let mut open = oncall("carol", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
        open[key] = Value::Null;
        site.pagerduty.set_oncalls(vec![open, oncall("carol", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR)]);
        let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let words = "schedule pd/PDB0001: source-incomplete: a shift of user `PUCAROL` that";
        assert!(
            text(&output).contains(words) && text(&output).contains(&format!("has no {key}")),
            "{}",
            text(&output)
        );
        assert_eq!(site.people(), ["PDB0001 alice 1", "PWEB001 carol 1"], "the other schedule moves on");
    }
    // The same by itself.
    site.pagerduty.set_oncalls(vec![oncall("carol", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR)]);
    let mut open = rendered("carol", -HOUR, HOUR);
    open["end"] = Value::Null;
    site.pagerduty.set_rendered("PDB0001", vec![open]);
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(text(&output).contains("has no end"), "{}", text(&output));
    assert_eq!(site.people(), ["PDB0001 alice 1", "PWEB001 carol 1"]);
    let nothing = oncall("carol", Some("PDB0001"), "PEP0001", 1, 60, 60);
    let bob = oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
    site.pagerduty.set_oncalls(vec![nothing, bob, oncall("bob", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR)]);
    let said = site.sync();
    assert!(said.contains("source `pd`: a shift of user PUCAROL on PDB0001 starts and ends at "), "{said}");
    assert_eq!(site.people(), ["PDB0001 bob 1", "PWEB001 bob 1"]);
}

#[test]
fn instants_are_read_to_the_end_of_time_and_json_behind_a_byte_order_mark() {
    let site = Site::start();
    let last = 253_402_300_799_i64;
    for (end, expected) in [
        ("9999-12-31T23:59:59Z", last),
        ("9999-12-31T23:59:59.9999999999999999999999Z", last),
        ("9999-12-31T23:59:59-08:00", last),
        ("9999-12-31T00:00:00+00:00", last - 86_399),
        ("2090-07-01T09:00:00.123456789012345678901234567890+02:00", 3_802_575_600),
    ] {
        let mut entry = oncall("alice", Some("PDB0001"), "PEP0001", 1, 0, 1);
        (entry["start"], entry["end"]) = (json!("2026-03-01T09:00:00.1+01:00"), json!(end));
        site.pagerduty.set_oncalls(vec![entry]);
        site.sync();
        assert_eq!(site.roster(0), [format!("PDB0001 alice 1 1772352000 {expected}")], "{end}");
    }
    for wrong in [
        "2090-07-01T09:00:00+24:00",
        "2090-07-01T09:00:00+25:59",
        "2090-07-01T09:00:00",
        "9999-12-32T00:00:00Z",
    ] {
        let mut entry = oncall("alice", Some("PDB0001"), "PEP0001", 1, 0, 1);
        entry["end"] = json!(wrong);
        site.pagerduty.set_oncalls(vec![entry]);
        site.fails(&["source-error", wrong]);
    }
    let page = json!({"oncalls": [oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)],
                      "limit": 100, "offset": 0, "more": false, "total": null});
    let marked = format!("\u{feff}{page}");
    site.pagerduty.script_at("/oncalls", vec![answer("application/json", marked.as_bytes())]);
    site.sync();
    assert_eq!(site.people(), ["PDB0001 bob 1"]);
}

/// A configuration whose `settings` name schedules, and a rule that counts `schedules`.
fn with_rule(site: &Site, settings: &str, schedules: &str) {
    let rule =
        format!("[[policy.rule]]\nname='r'\nschedules=[{schedules}]\n[[policy.shared]]\naccount='root'");
    let at = Site::at_example();
    site.configure("", &format!("deadline = '5s'\n{at}\n{settings}\n{BY_KEY}\n{rule}"));
}

fn shift_based(id: &str, whose: &Value) -> Value {
    let shift = json!({"type": "computed_shift_assignment", "start_time": from_now(-HOUR), "end_time": from_now(HOUR),
        "member": whose, "source": {"type": "schedule_rotation", "rotation_id": "R1"}});
    json!({"id": id, "name": "new", "computed_shift_assignments": [shift]})
}

fn member(name: &str) -> Value {
    json!({"type": "user_member", "user_id": id_of(name)})
}

/// Exit status of a sync, and who of the team would be admitted to root after it.
fn admitted(site: &Site) -> (Option<i32>, Vec<&'static str>) {
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    let check =
        |name: &&str| site.suite.run_as("nobody", &format!("oncall-cache check {name}")).status.success();
    (output.status.code(), ["alice", "bob", "carol"].into_iter().filter(check).collect())
}

#[test]
fn a_schedule_that_is_given_anothers_id_as_its_name_does_not_stand_in_for_it() {
    let site = Site::start();
    // Of two kinds of schedules one is asked for only where the other does not show what is wanted.
    site.pagerduty.set_shift_based(vec![shift_based("PNEW001", &member("alice"))]);
    with_rule(&site, "schedules = ['PNEW001']", "'pd/PNEW001'");
    site.pagerduty.set_schedules(vec![schedule("PEVIL01", "PNEW001")]);
    site.pagerduty.set_oncalls(vec![oncall("carol", Some("PEVIL01"), "PEP0001", 1, -HOUR, HOUR)]);
    assert_eq!(admitted(&site), (Some(0), vec!["alice"]));
    // Also once it is gone: what the text meant, it goes on to mean, until somebody says otherwise.
    site.pagerduty.set_shift_based(vec![]);
    assert_eq!(admitted(&site), (Some(2), vec!["alice"]));
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(text(&output).contains("`PNEW001` was PNEW001 and would be PEVIL01 now"), "{}", text(&output));
    site.suite.must_as("oncall-cache", "oncall-cache sync --accept pd/PNEW001");
    assert_eq!(admitted(&site), (Some(0), vec!["carol"]));
}

#[test]
fn a_policy_that_is_not_there_fails_at_each_sync_whatever_a_schedule_is_named() {
    let site = Site::start();
    with_rule(&site, "schedules = ['PWEB001']\npolicies = ['PEP0009']", "'pd/PEP0009'");
    site.pagerduty.set_schedules(vec![schedule("PWEB001", "PEP0009")]);
    site.pagerduty.set_oncalls(vec![oncall("carol", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR)]);
    for _ in 0..2 {
        assert_eq!(admitted(&site), (Some(1), vec![]));
    }
}

#[test]
fn a_schedule_that_cannot_be_read_by_itself_keeps_none_of_the_others() {
    let site = Site::start();
    with_rule(&site, "schedules = ['PDB0001', 'PNEW001']", "'pd/PDB0001'");
    site.pagerduty.set_shift_based(vec![shift_based("PNEW001", &member("bob"))]);
    site.pagerduty.set_oncalls(vec![oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)]);
    assert_eq!(admitted(&site), (Some(0), vec!["alice"]));
    site.pagerduty.set_oncalls(vec![oncall("carol", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)]);
    site.pagerduty
        .set_shift_based(vec![shift_based("PNEW001", &json!({"type": "team_member", "team_id": "PT1"}))]);
    assert_eq!(admitted(&site), (Some(1), vec!["carol"]));
    site.pagerduty.set_shift_based(vec![shift_based("PNEW001", &member("bob"))]);
    site.pagerduty.set_oncalls(vec![oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)]);
    site.pagerduty.script_at("/v3/schedules/PNEW001", vec![error(500), error(500)]);
    assert_eq!(admitted(&site), (Some(1), vec!["bob"]));
}
