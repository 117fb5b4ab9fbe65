//! How a request is let in: keys, apps and their tokens, regions, a proxy.

use std::os::unix::fs::MetadataExt;

use harness::pagerduty::{App, PagerDuty, Region, Reply};
use harness::proxy::Proxy;
use harness::suite::now;
use harness::text;
use serde_json::{Value, json};

use super::{BY_APP, BY_KEY, KEPT, KEY, SECRET, Site, answer, error, policy};

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
    site.refuses(&["status 401", "check `region` and `subdomain`"]);
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
    let wanted = ["schedules = ['PDB0001']", "escalation_policies = ['SRE']", "teams = ['sre']"];
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
    site.source(&by_app("escalation_policies = ['PEP0001']"));
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
    site.refuses(&["https://api.pagerduty.com/schedules: status 401", "`region`"]);
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
    let source = |rest: &str| format!("schedules = ['PDB0001']\n{rest}");
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
