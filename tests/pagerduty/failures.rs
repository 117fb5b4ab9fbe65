//! A service that fails, stalls, sends what is no answer, or knows of a schedule no more.

use std::time::{Duration, Instant};

use harness::oncalls::schedule;
use harness::pagerduty::Reply;
use harness::suite::HOUR;
use harness::text;
use serde_json::{Value, json};

use super::{BY_KEY, Site, answer, error, oncall};

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
    // What is waited for in vain.
    let in_five_seconds = |api: &str| {
        site.configure("", &format!("timeout = '5s'\n{api}\nschedules = ['PDB0001']\n{BY_KEY}"));
    };
    in_five_seconds(&Site::at_example());
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
    in_five_seconds("api = 'https://127.0.0.1:8444'");
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
    site.refuses(&["status 429"]);
    assert!(start.elapsed() >= Duration::from_secs(1), "it waits before it asks again");
    assert_eq!(site.asked(), ["/schedules", "/oncalls", "/oncalls"]);
    // A wait that ends past the deadline is not begun; 401 and the like are final.
    for (reply, words) in
        [(reset("40"), "try again in 40s"), (error(401), "status 401"), (error(403), "status 403")]
    {
        site.pagerduty.script_at("/oncalls", vec![reply]);
        site.refuses(&[words]);
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
        site.refuses(&["source-error", words]);
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
    // Two hundred pages may take a minute.
    site.configure("", &format!("{}\nschedules = ['PDB0001']\n{BY_KEY}", Site::at_example()));
    let _ = site.asked();
    site.pagerduty.set_endless(true);
    site.pagerduty.set_page_cap(1);
    site.refuses(&["source-incomplete", "200 pages"]);
    assert_eq!(site.asked().len(), 200);
    site.pagerduty.set_endless(false);
    site.pagerduty.set_page_cap(100);
    site.pagerduty.script(vec![Reply::Flood(100_000_000)]);
    site.refuses(&["source-error", "larger than 4194304 bytes"]);
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
