//! A server that refuses, fails, stalls, or sends what is no calendar: nothing changes, and the secret address is told to nobody.

use harness::store::{HostileStore, Lie};
use harness::suite::{DAY, HOUR, Suite, instant, now};
use harness::text;

use super::{ROSTER, Site};

/// What of the address nobody may read.
const SECRET: &str = "geheimeAdresse";

fn calendar() -> String {
    let time = |at: i64| instant(at).replace(['-', ':'], "");
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:{}\r\nDTEND:{}\r\nATTENDEE:mailto:alice@example.com\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        time(now() - HOUR),
        time(now() + DAY)
    )
}

/// The bytes of an answer that says it is longer than it is, or that goes on as it is told.
fn begun(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/calendar\r\nContent-Length: 100000\r\n\r\n{body}")
        .into_bytes()
}

#[test]
fn a102_whatever_a_calendars_server_answers_instead_changes_nothing_and_ends_in_time() {
    let suite = Suite::start();
    let site = Site::on(&suite);
    let server = HostileStore::start(&site.suite.host, 8443);
    let path = format!("/{SECRET}/rota.ics");
    let whole = calendar();
    server.set([(path.clone(), whole.clone().into_bytes())].into());
    site.suite.host.write("/etc/authkeys/calendar-ca.pem", server.ca_pem(), 0o644);
    site.address(&format!("{}{path}?token={SECRET}", server.url()), "");
    site.suite.host.must("oncall-cache config check /etc/authkeys/config.toml");
    site.suite.must_as("oncall-cache", "oncall-cache sync");
    let before = site.suite.host.read_bytes(ROSTER);
    let status = |status: u16| Lie::status(status);
    let body =
        |kind: &str, body: &str| Lie::Answer(200, vec![("Content-Type", kind.to_string())], body.into());
    let leads =
        Lie::Answer(302, vec![("Location", format!("https://other.example.com/{SECRET}"))], Vec::new());
    let busy = Lie::Answer(429, vec![("Retry-After", "3600".to_string())], Vec::new());
    let coded =
        Lie::Answer(200, vec![("Content-Encoding", "gzip".to_string())], b"\x1f\x8b\x08\x00\x00".to_vec());
    for (lie, words) in [
        (status(401), "status 401: the address in `url_file` may not be read"),
        (status(403), "status 403: the address in `url_file` may not be read"),
        (status(404), "status 404: there is no calendar"),
        (status(410), "status 410: there is no calendar"),
        (status(204), "status 204"),
        (leads, "status 302: a redirect, which is not followed"),
        (busy, "status 429: too many requests with this key; try again in 1h"),
        (status(500), "status 500: the service fails"),
        (status(503), "status 503: the service fails"),
        (body("text/calendar", ""), "line 1: not an iCalendar: it is empty"),
        (body("text/html", "<html>\n<body>Log in</body></html>"), "line 1: not an iCalendar"),
        (body("application/json", "{\"error\": true}"), "line 1: not an iCalendar"),
        (body("text/calendar", whole.split_once("END:VEVENT").expect("an event").0), "it is cut short"),
        (body("text/calendar", &whole.replace("ATTENDEE", "CONTACT")), "line 3: an event without ATTENDEE"),
        (coded, "line 1: not an iCalendar"),
        (Lie::Raw(begun(&whole)), "https://hostile-store.example.com:8443/: "),
        (Lie::Flood, "larger than 4194304 bytes"),
    ] {
        server.lie(&path, Some(lie));
        refuses(&site, words, &before);
    }
    // What is waited for in vain.
    site.source("url_file = 'calendar-url'\nca_file = 'calendar-ca.pem'\ntimeout = '5s'");
    for lie in [Lie::Drip(begun("BEGIN:VCALENDAR\r\n")), Lie::Drip(b"HTTP/1.1 200 OK\r\nX-Slow: ".to_vec())] {
        server.lie(&path, Some(lie));
        refuses(&site, "no complete answer in time", &before);
    }
    // All is well again; what a cache has had for an hour is as old as that.
    site.address(&format!("{}{path}?token={SECRET}", server.url()), "");
    server.lie(&path, Some(Lie::Answer(200, vec![("Age", "3000".to_string())], whole.into_bytes())));
    site.suite.must_as("oncall-cache", "oncall-cache sync");
    let query = format!("sqlite3 {ROSTER} 'SELECT synced FROM schedule'");
    let synced: i64 = site.suite.host.must(&query).trim().parse().expect("seconds");
    assert!((2_900..6_000).contains(&(now() - synced)), "{synced}");
    site.suite.host.write(
        "/etc/authkeys/calendar-url",
        "webcal://calendar.example.com/geheimeAdresse\n",
        0o640,
    );
    refuses(&site, "url_file` does not hold a usable address", &site.suite.host.read_bytes(ROSTER));
}

/// A sync fails with `words`, changes nothing, and keeps the secret.
fn refuses(site: &Site<'_>, words: &str, before: &[u8]) {
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    let (said, log) = (text(&output), site.suite.lines_of("oncall-cache").concat());
    assert!(
        !output.status.success() && said.contains("source-error: ") && said.contains(words),
        "expected {words:?} in {said}"
    );
    assert!(!said.contains(SECRET) && !log.contains(SECRET), "the secret in {said}{log}");
    let status = site.suite.host.read("/var/lib/oncall-cache/status.json");
    assert!(!status.contains(SECRET), "the secret in {status}");
    assert!(site.suite.host.read_bytes(ROSTER) == before, "{words:?}: the roster changed");
}
