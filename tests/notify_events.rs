//! PagerDuty's Events API as `oncall-notify` speaks it, held against what its pages say: method, path, headers, each field
//! and its length. The same is asked of what a real Alertmanager sends, so that it is not stricter than the service.

use harness::notices::Notices;
use harness::store::StoreRequest;
use harness::suite::now;
use harness::wait_until;
use policy::Timestamp;
use record::{Effect, Phase, Record, Token};
use serde_json::{Map, Value};

/// As PagerDuty shows it for an integration: 32 letters and digits.
const KEY: &str = "0123456789abcdef0123456789abcdef";

const PATH: &str = "/v2/enqueue";

/// An event, if it is one by developer.pagerduty.com, "Send an Alert Event"; its action and key.
fn event(request: &StoreRequest) -> (String, String, Value) {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/fleet/v2/enqueue"));
    let header = |name: &str| {
        let of = |line: &String| {
            line.to_ascii_lowercase().strip_prefix(name)?.strip_prefix(": ").map(str::to_string)
        };
        request.headers.iter().find_map(of).unwrap_or_default()
    };
    assert!(header("content-type").starts_with("application/json"), "{:?}", request.headers);
    assert_eq!(header("authorization"), "", "the key is in the body");
    assert!(request.body.len() <= 512 * 1024, "an event has 512 KB at most");
    let body: Map<String, Value> = serde_json::from_slice(&request.body).expect("an object");
    only(
        &body,
        &["routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"],
    );
    assert_eq!(text(&body, "routing_key", 32), KEY);
    let (action, key) = (text(&body, "event_action", 11), text(&body, "dedup_key", 255));
    assert!(["trigger", "acknowledge", "resolve"].contains(&action.as_str()), "{action}");
    assert!(!key.is_empty());
    if action == "trigger" {
        let payload = body["payload"].as_object().expect("a payload");
        let known =
            ["summary", "timestamp", "severity", "source", "component", "group", "class", "custom_details"];
        only(payload, &known);
        assert!(!text(payload, "summary", 1024).is_empty() && !text(payload, "source", 255).is_empty());
        let severity = text(payload, "severity", 8);
        assert!(["critical", "error", "warning", "info"].contains(&severity.as_str()), "{severity}");
        if payload.contains_key("timestamp") {
            let at = text(payload, "timestamp", 40);
            assert!(at.parse::<jiff::Timestamp>().is_ok(), "{at}");
        }
        assert!(payload.get("custom_details").is_none_or(Value::is_object));
    }
    (action, key, body.get("payload").cloned().unwrap_or_default())
}

fn only(object: &Map<String, Value>, known: &[&str]) {
    let odd: Vec<&String> = object.keys().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(odd.is_empty(), "no field of an event: {odd:?}");
}

/// A text of so many letters at most.
fn text(object: &Map<String, Value>, name: &str, longest: usize) -> String {
    let text = object.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name}: {object:?}"));
    assert!(text.chars().count() <= longest, "{name} is longer than {longest}");
    text.to_string()
}

fn record(number: u64, phase: Phase, effect: Effect) -> String {
    let record = Record {
        seq: Some(number),
        boot_id: "7d0c2f11-0000-4000-8000-000000000001".into(),
        host: "db1".into(),
        id: "00000000000000aa".into(),
        person: "alice".into(),
        account: "root".into(),
        service: "sshd".into(),
        why: "w".repeat(250),
        phase: Some(Token::Known(phase)),
        effect: Some(Token::Known(effect)),
        reason: (phase != Phase::Close).then(|| Token::read("break-glass")),
        ..Record::at(Timestamp::from_unix(now()))
    };
    record.line()
}

fn site() -> Notices {
    let site = Notices::start();
    site.answer(PATH, 202, "{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"x\"}");
    site.host.write("/etc/authkeys/pagerduty-key", format!("{KEY}\n"), 0o640);
    site.host.must("chgrp oncall-notify /etc/authkeys/pagerduty-key");
    site
}

#[test]
fn a98_one_alert_is_triggered_acknowledged_and_resolved_by_one_key() {
    let site = site();
    let channel = |more: &str| {
        format!(
            "routing_key_file = \"pagerduty-key\", ca_file = \"ca.pem\", api = \"{}\"{more} }}\n",
            site.url("")
        )
    };
    let usual = format!("[[channel]]\nname = \"usual\"\npagerduty = {{ {}", channel(""));
    let own = "[[channel]]\nname = \"own\"\nfilter = \"event in ['refused', 'opened', 'closed']\"\npagerduty = { \
               severity = \"warning\", dedup = \"person\", \
               action = \"{'refused': 'trigger', 'opened': 'acknowledge', 'closed': 'resolve'}[event]\", ";
    site.configure(&(usual + own + &channel("")));
    site.begin();
    let mut events: Vec<(String, String, Value)> = Vec::new();
    let mut told = |line: String, count: usize| {
        site.append(&line);
        let before = events.len();
        wait_until("both channels are told", || {
            events.extend(site.web.requests().iter().map(event));
            events.len() >= before + count
        });
        let mut new: Vec<_> = events[before..].to_vec();
        new.sort_by(|left, right| left.1.cmp(&right.1));
        new
    };
    let (usual, own) = ("db1 00000000000000aa", "alice");
    let shown = |events: &[(String, String, Value)]| -> Vec<String> {
        events.iter().map(|(action, key, _)| format!("{action} {key}")).collect()
    };
    let first = told(record(1, Phase::Account, Effect::Refuse), 2);
    assert_eq!(shown(&first), [format!("trigger {own}"), format!("trigger {usual}")]);
    assert_eq!((&first[0].2["severity"], &first[1].2["severity"]), (&"warning".into(), &"critical".into()));
    assert_eq!(first[1].2["custom_details"]["record"]["person"], "alice");
    let second = told(record(2, Phase::Session, Effect::Pass), 2);
    assert_eq!(shown(&second), [format!("acknowledge {own}"), format!("trigger {usual}")]);
    // Whoever let themselves in has an alert that somebody resolves.
    let third = told(record(3, Phase::Close, Effect::Pass), 1);
    assert_eq!(shown(&third), [format!("resolve {own}")]);

    // A service that is busy gets it again, and so does one that refuses it, as for a wrong key: no alert is thrown away.
    site.answer(PATH, 429, "{}");
    site.append(&record(4, Phase::Session, Effect::Pass));
    wait_until("it is told to wait", || site.log().matches("answers status 429").count() >= 2);
    site.answer(PATH, 400, "{}");
    wait_until("both are kept", || {
        site.log().matches("waits, and others do not wait for it: the service refuses it").count() >= 2
    });
    site.answer(PATH, 202, "{}");
    wait_until("both are told", || site.log().matches("delivers again").count() >= 2);
    let _ = site.web.requests();
    let last = told(record(5, Phase::Close, Effect::Pass), 1);
    assert_eq!(shown(&last), [format!("resolve {own}")]);
    assert!(!site.log().contains("is not delivered"), "{}", site.log());
    assert!(!site.log().contains(KEY), "{}", site.log());
}

#[test]
fn a98_what_a_real_alertmanager_sends_is_an_event_by_the_same_rules() {
    let site = site();
    let config = format!(
        "route: {{receiver: pd, group_wait: 0s, group_interval: 1s, repeat_interval: 1h, group_by: [alertname]}}\n\
         receivers:\n- name: pd\n  pagerduty_configs:\n  - routing_key: {KEY}\n    url: {}\n    send_resolved: true\n    \
         http_config: {{tls_config: {{ca_file: /etc/authkeys/ca.pem}}}}\n",
        site.url(PATH)
    );
    site.host.write("/etc/alertmanager.yml", config, 0o644);
    site.host.daemon(
        &[
            "prometheus-alertmanager",
            "--config.file=/etc/alertmanager.yml",
            "--storage.path=/tmp/alertmanager",
            "--web.listen-address=127.0.0.1:9093",
            "--cluster.listen-address=",
        ],
        "/var/log/alertmanager.log",
    );
    site.host.wait_for_port(9093);
    let alert = |end: &str| {
        let at = site.host.must(&format!("date -u -d '{end}' +%Y-%m-%dT%H:%M:%SZ"));
        site.host.must(&format!(
            "HOME=/root amtool --alertmanager.url=http://127.0.0.1:9093 alert add notify_test host=db1 --end={}",
            at.trim()
        ));
    };
    alert("+1 hour");
    let triggered = event(&site.wait_for(PATH, 1)[0]);
    assert_eq!(triggered.0, "trigger");
    alert("-1 second");
    let resolved = event(&site.wait_for(PATH, 1)[0]);
    assert_eq!((resolved.0.as_str(), resolved.1), ("resolve", triggered.1));
}
