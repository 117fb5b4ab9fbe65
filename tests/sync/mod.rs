//! From a real slapd and a PagerDuty double to a root login; and syncs that must change nothing.

mod keys_and_shifts;
mod programs;

use harness::pagerduty::PagerDuty;
use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::{suite, text};
use serde_json::{Value, json};

const TOKEN: &str = "u+secretTokenOfTheTest";

/// The configuration of a site with LDAP and PagerDuty.
fn config(url: &str) -> String {
    format!(
        r#"
[host]
name = "testhost"
{directory}timeout = "20s"
[[oncall.source]]
name = "pd"
provider = "pagerduty"
api = "{api}"
token_file = "pagerduty-token"
ca_file = "pagerduty-ca.pem"
schedules = ["PSPRIM1", "SRE secondary"]
max_escalation_level = 2
timeout = "20s"
[[policy.rule]]
name = "sre"
schedules = ["pd/PSPRIM1"]
[[policy.shared_account]]
account = "root"
"#,
        directory = Slapd::section(&[url]),
        api = PagerDuty::API,
    )
}

/// A machine whose people are in LDAP and whose rota is in PagerDuty.
struct Site<'a> {
    slapd: Slapd<'a>,
    pagerduty: PagerDuty,
}

impl<'a> Site<'a> {
    fn start(suite: &'a Suite) -> Self {
        let slapd = Slapd::start(&suite.host);
        // The directory's spelling differs from PagerDuty's in case alone.
        slapd.furnish(suite, |name| format!("{}@Example.com", name.to_uppercase()));
        let pagerduty = PagerDuty::start(&suite.host, TOKEN);
        pagerduty.set_schedules(vec![
            json!({"id": "PSPRIM1", "type": "schedule", "summary": "SRE primary", "name": "SRE primary", "time_zone": "Etc/UTC"}),
            json!({"id": "PSSECO1", "type": "schedule", "summary": "SRE secondary", "name": "SRE secondary", "time_zone": "Etc/UTC"}),
        ]);
        pagerduty.set_oncalls(story());
        pagerduty.set_page_cap(3);
        let host = &suite.host;
        pagerduty.install(host, TOKEN);
        host.write("/etc/authkeys/config.toml", config(Slapd::LDAP_URL), 0o644);
        Self { slapd, pagerduty }
    }
}

/// The fixtures' three pages, moved from the day they were written for to now.
fn story() -> Vec<Value> {
    let written: i64 = 1_795_176_000; // 2026-11-20T12:00:00Z
    let pages = ["1", "2", "3"].map(|page| {
        let path = format!(
            "{}/../lib/sources/src/fixtures/pagerduty/oncalls-72h-page-{page}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str::<Value>(&text).expect("a fixture is JSON")
    });
    let mut oncalls: Vec<Value> =
        pages.iter().flat_map(|page| page["oncalls"].as_array().expect("an array").clone()).collect();
    assert_eq!(oncalls.len(), 7);
    for oncall in &mut oncalls {
        for key in ["start", "end"] {
            if let Some(time) = oncall[key].as_str() {
                let moved = suite::seconds(time) - written + suite::now();
                oncall[key] = json!(suite::instant(moved));
            }
        }
    }
    oncalls
}

/// Every byte that the suite publishes, so that "nothing changed" can be said exactly.
fn published(suite: &Suite) -> Vec<(String, Vec<u8>)> {
    let read = |file: &str| std::fs::read(suite.host.path(&format!("/var/lib/{file}"))).unwrap_or_default();
    let keys = ["authkeys/keys.db", "authkeys/keys.stamp", "authkeys/keys.clock"];
    let roster = ["oncall-cache/roster.db", "oncall-cache/roster.clock"];
    keys.iter().chain(&roster).map(|file| (file.to_string(), read(file))).collect()
}

/// Runs a sync that must fail with `words`, exit 2, and change nothing.
fn fails(suite: &Suite, program: &str, words: &str) {
    let before = published(suite);
    let user = program.split(' ').next().unwrap_or(program);
    let output = suite.run_as(user, program);
    assert_eq!(output.status.code(), Some(2), "{program}: {}", text(&output));
    assert!(text(&output).contains(words), "expected {words:?} in {}", text(&output));
    assert!(
        !text(&output).contains(TOKEN) && !text(&output).contains(Slapd::BIND_PASSWORD),
        "{}",
        text(&output)
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{program} said something on stdout");
    assert!(published(suite) == before, "{program} failed and changed a published file");
    let left = suite.host.must("find /var/lib/authkeys /var/lib/oncall-cache -name '*.new'");
    assert_eq!(left, "", "{program} left a temporary file");
}
