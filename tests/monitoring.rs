//! Alert rules and the dashboard: Prometheus reads them, and every metric and label in them is one that a host really
//! writes.

use std::collections::{BTreeMap, BTreeSet};

use harness::Host;
use harness::suite::{CONFIG, HOUR, Suite};
use harness::text;
use serde_json::Value;

const RULES: &str = include_str!("../packaging/monitoring/authkeys.rules.yml");
const DASHBOARD: &str = include_str!("../packaging/monitoring/authkeys.dashboard.json");
const OPERATIONS: &str = include_str!("../docs/operations.md");

/// One alert: its name, expression and annotations.
#[derive(Debug)]
struct Alert<'a> {
    name: &'a str,
    expression: &'a str,
    summary: &'a str,
    runbook: &'a str,
}

fn alerts() -> Vec<Alert<'static>> {
    let after = |text: &'static str, word: &str| {
        let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no {word} in {text}"));
        rest.lines().next().expect("a line").trim()
    };
    RULES
        .split("- alert: ")
        .skip(1)
        .map(|text| Alert {
            name: text.lines().next().expect("a line"),
            expression: after(text, "expr: "),
            summary: after(text, "summary: "),
            runbook: after(text, "runbook: "),
        })
        .collect()
}

/// The names of metrics in an expression, node_exporter's among them.
fn metrics(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("oncall_cache_") || word.starts_with("node_")).collect()
}

/// What a host writes of which there is something to tell, each metric with the names of its labels.
fn written(suite: &Suite) -> BTreeMap<String, BTreeSet<String>> {
    let text = suite.host.read("/run/metrics/oncall-cache.prom");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, labels) = match line.split_once('{') {
            Some((name, rest)) => (
                name,
                rest.split("\",")
                    .filter_map(|label| label.split_once('='))
                    .map(|(label, _)| label.to_string())
                    .collect(),
            ),
            None => (line.split(' ').next().expect("a name"), BTreeSet::new()),
        };
        (name.to_string(), labels)
    };
    samples.map(sample).collect()
}

/// What a pull leaves that has refused a head.
const PULLED: &str = r#"{"version":1,"id":"example","checked":1,"url":"file:///srv/fleet","head":{"sequence":1,"issued":1,
    "valid":2,"rota_read":1,"people_read":1,"revoked_read":1},"refused":{"reason":"head-replay","since":1,"text":"x",
    "url":"file:///srv/fleet"}}"#;

/// A host with something of everything: a source that fails, a rule that waits for incidents, a shift whose person will not be admitted, a program, a
/// fleet whose head is refused.
fn suite() -> Suite {
    let suite = Suite::start();
    let key = suite.public_key("bob");
    let program = format!(
        "[[policy.automation]]\naccount = 'deploy'\nkeys = ['{key}']\nfrom = ['10.0.0.0/8']\nservices = ['sshd']\nowner = 'platform'\nreason = 'x'\nuntil = 2099-01-01\n"
    );
    let gone =
        "[[oncall.source]]\nname = 'gone'\nprovider = 'rota'\nfile = 'gone.toml'\nschedules = ['gone']\n";
    let incidents = "[[oncall.source]]\nname = 'site'\nprovider = 'file'\nfile = 'site.json'\n\
         [[policy.rule]]\nname = 'site'\nschedules = ['rota/primary']\nincident = { source = 'site', services = ['web'] }\n";
    let fleet = "[fleet]\nid = 'example'\nurls = ['file:///srv/fleet']\n";
    suite.host.write(
        "/etc/authkeys/config.toml",
        format!("{CONFIG}{gone}{incidents}{program}{fleet}"),
        0o644,
    );
    suite.host.write("/var/lib/oncall-cache/fleet.json", PULLED, 0o644);
    // Somebody asks for a signature, and there is none.
    suite.host.write("/etc/authkeys/policy-signers", "", 0o644);
    suite.write_rota(&[("alice", -HOUR, HOUR), ("dave", HOUR, 2 * HOUR)]);
    suite.sync_keys();
    suite.run_as("oncall-cache", "oncall-cache sync");
    suite.must_as("alice", "sudo -n true");
    suite.host.sh("/usr/libexec/authkeys/self-test");
    suite.host.must("oncall-cache watch --again-after 1");
    suite.host.must("mkdir /run/metrics && /usr/libexec/authkeys/write-metrics /run/metrics");
    suite
}

#[test]
fn whatever_rules_and_dashboard_look_at_is_written_by_a_host() {
    let written = written(&suite());
    for alert in alerts() {
        let used = metrics(alert.expression);
        assert!(!used.is_empty(), "{alert:?}");
        // node_exporter tells how old the file is, and has no label that is looked at.
        let ours: Vec<&&str> = used.iter().filter(|name| **name != "node_textfile_mtime_seconds").collect();
        for name in &ours {
            assert!(written.contains_key(**name), "{}: nobody writes {name}: {written:#?}", alert.name);
        }
        for label in
            alert.summary.split("$labels.").skip(1).map(|rest| rest.split(' ').next().expect("a word"))
        {
            let told = ours.iter().any(|name| written[**name].contains(label));
            assert!(told || label == "instance", "{}: no label {label}", alert.name);
        }
    }
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let targets = dashboard["panels"].as_array().expect("panels").iter().flat_map(|panel| {
        panel["targets"]
            .as_array()
            .expect("targets")
            .iter()
            .map(|target| target["expr"].as_str().expect("an expression"))
    });
    for expression in targets {
        for name in metrics(expression) {
            assert!(written.contains_key(name), "nobody writes {name}: {expression}");
        }
    }
}

#[test]
fn every_metric_that_a_host_writes_has_its_meaning_in_the_handbook() {
    let section = OPERATIONS.split("\n### Metrics\n").nth(1).and_then(|rest| rest.split("\n### ").next());
    let section = section.expect("Metrics");
    for name in written(&suite()).keys() {
        let name = name.trim_start_matches("oncall_cache_");
        assert!(section.contains(&format!("`{name}`")), "no {name}");
    }
}

#[test]
fn prometheus_reads_the_rules_and_they_fire_when_they_should() {
    let host = Host::start();
    host.write("/run/rules/authkeys.rules.yml", RULES, 0o644);
    host.write("/run/rules/test.yml", include_str!("fixtures/rules.test.yml"), 0o644);
    host.must("cd /run/rules && promtool check rules authkeys.rules.yml && promtool test rules test.yml");
}

#[test]
fn every_alert_has_a_heading_that_says_what_to_do_and_every_heading_an_alert() {
    let section =
        OPERATIONS.split("\n## Alerts\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("Alerts");
    let headings: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let alerts = alerts();
    assert_eq!(headings, alerts.iter().map(|alert| alert.name).collect::<Vec<_>>());
    for alert in alerts {
        assert_eq!(alert.runbook, format!("\"operations.md#{}\"", alert.name.to_lowercase()));
    }
}

#[test]
fn a_self_test_is_silent_or_says_what_is_wrong_here_in_the_log_and_to_prometheus() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    suite.host.must(
        "mkdir /run/metrics && useradd -m -s /bin/sh -G sudo breakglass && mkdir -m 700 ~breakglass/.ssh && \
         cp /root/keys/carol.pub ~breakglass/.ssh/authorized_keys && chown -R breakglass ~breakglass/.ssh",
    );
    let test = || {
        let output = suite.host.sh("/usr/libexec/authkeys/self-test");
        suite.host.must("/usr/libexec/authkeys/write-metrics /run/metrics");
        let failed =
            suite.host.must("sed -n 's/^oncall_cache_self_test_failed //p' /run/metrics/oncall-cache.prom");
        assert_eq!(failed, if output.status.success() { "0\n" } else { "1\n" }, "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let log = suite.lines_of("authkeys-self-test");
        assert!(
            log.iter().all(|line| said.contains(line)) && log.is_empty() == said.is_empty(),
            "{log:?}\n{said}"
        );
        said
    };
    assert_eq!(test(), "");

    let module = "/usr/lib/x86_64-linux-gnu/security/pam_oncall.so";
    suite.host.must(&format!("mv {module} {module}.old && echo >{module}"));
    let said = test();
    assert!(said.contains("LOGINS DO NOT WORK AS THEY SHOULD"), "{said}");
    for service in ["sudo", "sshd", "su"] {
        assert!(said.contains(&format!("PAM, {service}: root is not admitted: ")), "{said}");
    }
    // What else lies among the stacks hides nothing.
    suite.host.must("mkdir /etc/pam.d/old && ln -s nowhere /etc/pam.d/link");
    assert!(test().contains("PAM, sudo: root is not admitted: "));
    suite.host.must(&format!("mv {module}.old {module}"));
    assert_eq!(test(), "");

    // The policy admits her, and another module does not: nothing that we could be told fixes that.
    suite.host.must("chage -E 2020-01-01 alice");
    let said = test();
    assert!(said.contains("PAM, sudo: alice is on call and not admitted: "), "{said}");
    assert!(!said.contains("Until it is fixed"), "{said}");
    suite.host.must("chage -E -1 alice");
    assert_eq!(test(), "");

    // A line before ours that lets everybody in.
    suite.host.must("sed -i '1i account sufficient pam_permit.so' /etc/pam.d/sudo");
    let said = test();
    for person in ["nobody", "bob"] {
        assert!(said.contains(&format!("PAM, sudo: {person} is not refused: 0 ")), "{said}");
    }
    // Who observes refuses nobody, and doctor still says that the line would not count.
    suite.host.must("sed -i 's/^\\[policy\\]/&\\nmode = \"observe\"/' /etc/authkeys/config.toml");
    assert!(!test().contains("nobody is not refused"));
    suite.host.must("sed -i /pam_permit/d /etc/pam.d/sudo");
    assert_eq!(test(), "");

    // Nothing is configured, or the module stands nowhere: none of its business.
    suite.host.must("sh /run/suite/source/packaging/pam/enable.sh --undo && rm /run/authkeys/self-test /run/authkeys/way-in");
    assert_eq!(
        suite.host.must("/usr/libexec/authkeys/self-test; ls /run/authkeys"),
        "audit\ngranted\ngrants\nsessions\n"
    );
}
