//! A rule that waits for an incident, on a real sshd, libpam and sudo, with incidents that a PagerDuty double tells.

use std::process::Output;

use harness::grants::{said, sudo};
use harness::oncalls::{id_of, incident, oncall, opened_by, schedule, user};
use harness::pagerduty::{PagerDuty, Reply};
use harness::suite::{DAY, HOUR, Suite, instant, now};
use harness::{text, wait_until};
use serde_json::{Value, json};

const KEY: &str = "u+secretKeyOfTheTest";

/// What is known of incidents.
const KEPT: &str = "/var/lib/oncall-cache/roster.incidents";

/// The settings of most tests: an outage shuts the door, so that what is seen is never want of knowledge.
const STRICT: &str = "on_unknown = 'refuse', known_for = '1h'";

/// A machine whose rota and incidents are in PagerDuty; alice and bob are on call.
struct Site {
    suite: Suite,
    pagerduty: PagerDuty,
}

impl Site {
    fn start() -> Self {
        let suite = Suite::start();
        suite.sync_keys();
        let pagerduty = PagerDuty::start(&suite.host, KEY);
        pagerduty.install(&suite.host, KEY);
        pagerduty.set_schedules(vec![schedule("PDB0001", "db")]);
        pagerduty.set_users(["alice", "bob", "carol"].map(user).to_vec());
        let now = now();
        let shift = |name| oncall(name, Some("PDB0001"), "PEP0001", 1, now - HOUR, now + DAY);
        pagerduty.set_oncalls(vec![shift("alice"), shift("bob")]);
        let site = Self { suite, pagerduty };
        site.configure("service=db", STRICT);
        site
    }

    /// A host with this label, whose rule for databases has these settings more.
    fn configure(&self, label: &str, more: &str) {
        let text = format!(
            "[host]\nname = 'testhost'\nlabels = ['{label}']\n[directory]\nfile = 'people.toml'\n\
             [[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\nca_file = 'pagerduty-ca.pem'\napi = '{}'\n\
             timeout = '30s'\nschedules = ['PDB0001']\ntoken_file = 'pagerduty-token'\n\
             [[policy.rule]]\nname = 'db'\nhosts = ['label:service=db']\nschedules = ['pd/PDB0001']\n\
             incident = {{ source = 'pd', services = ['PSVC1', 'PSVC2'], {more} }}\n\
             [[policy.rule]]\nname = 'web'\nhosts = ['label:service=web']\nschedules = ['pd/PDB0001']\n\
             [[policy.shared_account]]\naccount = 'root'\n",
            PagerDuty::API
        );
        self.suite.host.write("/etc/authkeys/config.toml", text, 0o644);
    }

    /// A sync that must succeed, while PagerDuty tells these incidents; without a question that it refused.
    fn sync(&self, incidents: &[Value]) {
        self.pagerduty.set_incidents(incidents.to_vec());
        let output = self.suite.run_as("oncall-cache", "oncall-cache sync");
        let requests = self.pagerduty.requests();
        assert!(output.status.success(), "{}\n{requests:#?}", text(&output));
        assert!(requests.iter().all(|request| request.problem.is_none()), "{requests:#?}");
    }

    /// A sync that takes over shifts and no incidents, and says this.
    fn sync_without(&self, words: &str) {
        let before = self.suite.host.read(KEPT);
        let output = self.suite.run_as("oncall-cache", "oncall-cache sync");
        said(&output, 1, words);
        assert!(text(&output).contains("1 schedule"), "{}", text(&output));
        assert_eq!(self.suite.host.read(KEPT), before, "{words}");
        let status = self.suite.host.sh("oncall-cache status");
        said(&status, 1, words);
        self.pagerduty.script(vec![]);
    }

    /// When the incidents that are kept were read: the first reading, in seconds since the epoch.
    fn read(&self) -> i64 {
        let kept = self.suite.host.read(KEPT);
        let text = kept.lines().nth(1).and_then(|line| line.rsplit(' ').next()).expect("a reading");
        policy::Timestamp::parse(text).expect("an instant").unix()
    }

    /// What `status` says of how well they are known.
    fn feed(&self) -> Value {
        let output = self.suite.host.sh("oncall-cache status --json");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        told["incidents"][0].clone()
    }

    /// How severe the doctor finds it that they are not known.
    fn finding(&self) -> String {
        let output = self.suite.host.sh("oncall-cache doctor --json");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let found = told["findings"].as_array().expect("a list").iter().find(|one| one["id"] == "incidents");
        found.unwrap_or_else(|| panic!("{told:#}"))["severity"].as_str().expect("a word").to_string()
    }

    fn admits(&self, person: &str, words: &str) {
        let _ = self.suite.decisions();
        let output = sudo(&self.suite, person);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "was refused: {}", text(&output));
        let lines = self.suite.decisions().concat();
        assert!(
            lines.contains("decision=allow reason=oncall rule=db ") && lines.contains(words),
            "{words}: {lines}"
        );
    }

    /// Refused by sudo for want of an incident; what it said.
    fn refuses(&self, person: &str) -> String {
        let _ = self.suite.decisions();
        let output = sudo(&self.suite, person);
        assert!(!output.status.success(), "{person} was let in: {}", text(&output));
        let lines = self.suite.decisions().concat();
        assert!(lines.contains("decision=refuse reason=no-incident rule=db "), "{person}: {lines}");
        text(&output)
    }

    fn root_by_ssh(&self, person: &str) -> Output {
        self.suite.ssh(person, "root", "id -u")
    }
}

/// The same, triggered by an alert of this suite.
fn of_ours(mut incident: Value) -> Value {
    incident["incident_key"] = json!("testhost:finding:1");
    incident["first_trigger_log_entry"]["channel"]["client"] = json!("oncall-notify");
    incident
}

fn with_status(status: &str, mut incident: Value) -> Value {
    incident["status"] = json!(status);
    incident
}

#[test]
fn a107_people_on_call_are_admitted_while_an_incident_is_open_and_a_while_after() {
    let site = Site::start();
    let suite = &site.suite;
    site.sync(&[]);
    let told = site.refuses("alice");
    for words in ["only during an incident of PSVC1, PSVC2", "oncall-cache refresh", "alice until "] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let output = site.root_by_ssh("alice");
    assert!(
        !output.status.success() && text(&output).contains("only during an incident of"),
        "{}",
        text(&output)
    );
    said(&suite.host.sh("oncall-cache test-access alice"), 1, "only during an incident of");
    let why = text(&suite.host.sh("oncall-cache why alice"));
    assert!(why.contains("reason      no-incident") && why.contains("incident    none that counts"), "{why}");
    // Nobody else is let in by one; what another service has, and what is resolved, is none.
    let elsewhere = incident("Q8", "PSVC9", -60);
    let over = with_status("resolved", incident("Q9", "PSVC1", -600));
    site.sync(&[elsewhere.clone(), over.clone()]);
    site.refuses("alice");

    let open = incident("Q1", "PSVC2", -60);
    site.sync(&[elsewhere, over, open.clone()]);
    site.admits("alice", " incident=Q1 ");
    site.admits("bob", " incident=Q1 ");
    assert_eq!(String::from_utf8_lossy(&site.root_by_ssh("alice").stdout), "0\n");
    let refused = sudo(suite, "carol");
    assert!(
        !refused.status.success() && text(&refused).contains("carol is not (alice is,"),
        "{}",
        text(&refused)
    );
    let records = suite.host.read("/var/log/authkeys/decisions.jsonl");
    assert!(records.contains("\"incident\":\"Q1\""), "{records}");
    let checked = suite.host.must("oncall-cache test-access alice --json");
    assert!(checked.contains("\"incident\": \"Q1\""), "{checked}");
    let kept = suite.host.read(KEPT);
    assert!(
        kept.starts_with("incidents 1\nread pd PSVC1 ") && kept.contains("\nincident pd PSVC2 Q1 "),
        "{kept}"
    );

    // Acknowledged and given to somebody else it is the same; merged into another one, that goes on.
    let mut given = with_status("acknowledged", open.clone());
    given["assignments"] =
        json!([{"at": instant(now()), "assignee": {"id": id_of("bob"), "type": "user_reference"}}]);
    site.sync(&[given]);
    site.admits("alice", " incident=Q1 ");
    let other = incident("Q2", "PSVC1", -30);
    site.sync(&[with_status("resolved", open.clone()), other.clone()]);
    site.admits("alice", " incident=Q2 ");

    // Resolved: half an hour more, and no session is ended for it.
    site.sync(&[with_status("resolved", other.clone())]);
    site.admits("alice", " incident=Q2 ");
    site.configure("service=db", &format!("{STRICT}, linger = '1s'"));
    wait_until("it is over", || !sudo(suite, "alice").status.success());
    site.refuses("alice");
    // Opened again.
    site.sync(&[other]);
    site.admits("alice", " incident=Q2 ");

    // On another host the other rule counts, and nobody asks for incidents.
    site.configure("service=web", STRICT);
    site.pagerduty.set_incidents(vec![]);
    said(&suite.run_as("oncall-cache", "oncall-cache sync"), 0, "1 schedule");
    let asked = site.pagerduty.requests();
    assert!(asked.iter().all(|request| !request.target.starts_with("/incidents")), "{asked:#?}");
    assert!(!suite.host.path(KEPT).exists());
    assert_eq!(String::from_utf8_lossy(&sudo(suite, "alice").stdout), "0\n");
}

#[test]
fn a107_what_she_opened_herself_what_we_triggered_and_what_is_old_does_not_count() {
    let site = Site::start();
    let fresh = || incident("Q1", "PSVC1", -60);
    site.sync(&[of_ours(fresh())]);
    site.refuses("alice");
    site.sync(&[opened_by("alice", fresh())]);
    let told = site.refuses("alice");
    assert!(told.contains("your own do not"), "{told}");
    // It counts for others, and so does one that another opened.
    site.admits("bob", " incident=Q1 ");
    site.sync(&[opened_by("alice", fresh()), opened_by("carol", incident("Q2", "PSVC1", -30))]);
    site.admits("alice", " incident=Q2 ");
    let kept = site.suite.host.read(KEPT);
    assert!(kept.contains(" - alice\n") && kept.contains(" - carol\n"), "{kept}");

    // PagerDuty's own default would not even show this one.
    site.sync(&[incident("Q3", "PSVC1", -31 * DAY)]);
    site.configure("service=db", &format!("{STRICT}, linger = '1s'"));
    wait_until("the others are over", || !sudo(&site.suite, "alice").status.success());
    site.refuses("alice");
    site.configure("service=db", &format!("{STRICT}, linger = '1s', max_open = '40d'"));
    site.admits("alice", " incident=Q3 ");
    // Thousands of them.
    let many: Vec<Value> =
        (0..1_250).map(|number| incident(&format!("QM{number}"), "PSVC1", -60 - number)).collect();
    site.sync(&many);
    site.admits("alice", " incident=QM0 ");
    assert!(site.suite.host.read(KEPT).lines().count() <= 1 + 2 + 100, "bounded");
}

#[test]
fn a107_where_the_provider_does_not_say_the_rule_does_what_it_is_told() {
    let site = Site::start();
    let suite = &site.suite;
    let fails =
        |status: u16| Reply::json(status, &json!({"error": {"message": "as the test asked", "code": 2000}}));
    site.sync(&[incident("Q1", "PSVC1", -60)]);
    site.admits("alice", " incident=Q1 ");

    // What was known stays, byte for byte, whatever comes, and shifts are read all the same.
    for (reply, words) in [
        (fails(403), "it needs oncalls.read, users.read, schedules.read, incidents.read"),
        (fails(500), "incidents of source `pd`: source-error: "),
        (
            Reply::json(
                200,
                &json!({"incidents": [], "limit": 100, "offset": 0, "more": true, "total": null}),
            ),
            "an empty page",
        ),
        (
            Reply::json(
                200,
                &json!({"incidents": [incident("Q7", "PSVC1", HOUR)], "limit": 100, "offset": 0, "more": false, "total": null}),
            ),
            "which has not come",
        ),
        (
            Reply::json(
                200,
                &json!({"incidents": [incident("Q7", "PSVC9", -HOUR)], "limit": 100, "offset": 0, "more": false, "total": null}),
            ),
            "which was not asked for",
        ),
    ] {
        let replies = if words.contains("source-error") { vec![reply.clone(), reply] } else { vec![reply] };
        site.pagerduty.script_at("/incidents", replies);
        site.sync_without(words);
    }
    site.admits("alice", " incident=Q1 ");
    // It is told since when, and for how long that counts still.
    let metrics = text(&suite.host.sh("oncall-cache status --prometheus"));
    let read = site.read();
    let metric = format!("oncall_cache_incidents_read_timestamp_seconds{{source=\"pd\"}} {read}\n");
    let until =
        format!("oncall_cache_incidents_known_until_timestamp_seconds{{source=\"pd\"}} {}\n", read + HOUR);
    for metric in ["oncall_cache_last_sync_incidents_read 0\n", &metric, &until] {
        assert!(metrics.contains(metric), "{metric}: {metrics}");
    }
    let told = site.feed();
    assert_eq!((&told["known"], &told["read"]), (&json!(true), &json!(instant(read))), "{told}");

    // Nothing is left of the service: until it is too old, what was known holds.
    site.pagerduty.hang(true);
    site.configure("service=db", "on_unknown = 'refuse', known_for = '1s'");
    wait_until("it is too old", || !sudo(suite, "alice").status.success());
    let told = site.refuses("alice");
    assert!(told.contains("which are open is not known here"), "{told}");
    let told = site.feed();
    assert_eq!((&told["known"], &told["on_unknown"]), (&json!(false), &json!("refuse")), "{told}");
    said(&suite.host.sh("oncall-cache status"), 1, "so a rule that waits for one refuses people on call");
    assert_eq!(site.finding(), "lock-out");
    let why = text(&suite.host.sh("oncall-cache why alice"));
    assert!(why.contains("incident    it is not known which are open"), "{why}");
    site.configure("service=db", "known_for = '1s'");
    site.admits("alice", " incident=unknown ");
    assert_eq!(site.finding(), "warning");
    assert!(!sudo(suite, "carol").status.success(), "to be on call is asked of everybody");
    // A file that others could have written, or that is cut, says nothing.
    site.configure("service=db", STRICT);
    site.admits("alice", " incident=Q1 ");
    suite.host.must(&format!("chmod o+w {KEPT}"));
    site.refuses("alice");
    suite.host.must(&format!("chmod o-w {KEPT} && truncate -s -3 {KEPT}"));
    site.refuses("alice");
    site.pagerduty.hang(false);
    site.sync(&[incident("Q1", "PSVC1", -60)]);
    site.admits("alice", " incident=Q1 ");
}

#[test]
fn a107_incidents_of_a_file_are_read_and_wrong_settings_are_refused() {
    let suite = Suite::start();
    suite.sync_keys();
    let write = |incidents: &Value| {
        let now = now();
        let shift = json!({"user": {"id": "1", "username": "alice"}, "start": instant(now - HOUR), "end": instant(now + DAY)});
        let text = json!({"version": 1, "generated_at": instant(now), "schedules": [{"id": "primary", "shifts": [shift]}], "incidents": incidents});
        suite.host.write("/etc/authkeys/site.json", text.to_string(), 0o644);
    };
    let configure = |incident: &str| {
        let text = format!(
            "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[[oncall.source]]\nname = 'site'\nprovider = 'file'\n\
             file = 'site.json'\n[[policy.rule]]\nname = 'db'\nschedules = ['site/primary']\nincident = {{ {incident} }}\n"
        );
        suite.host.write("/etc/authkeys/config.toml", text, 0o644);
    };
    configure("source = 'site', services = ['web'], on_unknown = 'refuse'");
    let open = json!({"service": "web", "id": "4711", "opened": instant(now() - 60), "closed": null});
    for (incidents, expected) in [
        (json!([]), None),
        (json!([open]), Some("4711")),
        (json!([{"service": "db", "id": "1", "opened": instant(now() - 60), "closed": null}]), Some("4711")),
    ] {
        write(&incidents);
        suite.sync();
        let output = sudo(&suite, "alice");
        let lines = suite.decisions().concat();
        assert_eq!(output.status.success(), expected.is_some(), "{incidents}: {lines}");
        assert!(
            expected.is_none_or(|id| lines.contains(&format!(" incident={id} "))),
            "{incidents}: {lines}"
        );
    }
    let before = suite.host.read(KEPT);
    for (incidents, words) in [
        (
            json!([{"service": "web", "id": "5", "opened": instant(now() - 60), "closed": instant(now() - 90)}]),
            "before it was opened",
        ),
        (
            json!([{"service": "web", "id": "5", "opened": instant(now() + HOUR), "closed": null}]),
            "which has not come",
        ),
        (json!([{"service": "web", "id": "5", "opened": "nine", "closed": null}]), "is not a valid time"),
        (json!(null), "it tells of no incidents, and a rule waits for some"),
    ] {
        write(&incidents);
        said(&suite.run_as("oncall-cache", "oncall-cache sync"), 1, words);
        assert_eq!(suite.host.read(KEPT), before, "{words}");
    }
    for (incident, words) in [
        ("source = 'site', services = []", "1 to 20 ids of services"),
        ("source = 'sit', services = ['web']", "did you mean `site`?"),
        ("source = 'site', services = ['web'], on_unknown = 'yes'", "write \"on-call\" or \"refuse\""),
    ] {
        configure(incident);
        said(&suite.host.sh("oncall-cache config check /etc/authkeys/config.toml"), 2, words);
    }
}

#[test]
fn a107_a_channel_of_ours_is_refused_that_would_open_the_door_of_a_rule() {
    let site = Site::start();
    let host = &site.suite.host;
    host.must("install -m 600 /dev/null /etc/authkeys/routing-key");
    host.must("printf %032d 0 > /etc/authkeys/routing-key");
    let check = |service: &str| {
        let channel = format!("pagerduty = {{ routing_key_file = 'routing-key', service = '{service}' }}");
        let text =
            format!("files = ['/var/log/authkeys/decisions.jsonl']\n[[channel]]\nname = 'page'\n{channel}\n");
        host.write("/etc/authkeys/notify.toml", text, 0o644);
        host.sh("touch /var/log/authkeys/decisions.jsonl; oncall-notify config check")
    };
    said(&check("PSVC9"), 0, "page");
    said(
        &check("PSVC2"),
        2,
        "channel page: its alerts are of service PSVC2, for whose incidents [[policy.rule]] `db` waits",
    );
}
