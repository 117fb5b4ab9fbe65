//! A server that refuses, fails, stalls, or sends what is no calendar: nothing changes, and the secret address is told to nobody.

use harness::store::{HostileStore, Lie};
use harness::suite::{DAY, HOUR, Suite, instant, now};
use harness::{text, wait_until};

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
    site.suite.host.write(
        "/etc/authkeys/calendar-url",
        "webcal://calendar.example.com/geheimeAdresse\n",
        0o640,
    );
    refuses(&site, "url_file` does not hold a usable address", &site.suite.host.read_bytes(ROSTER));
}

#[test]
fn what_has_not_changed_is_not_sent_again_and_an_older_copy_does_not_count() {
    let suite = Suite::start();
    let site = Site::on(&suite);
    let server = HostileStore::start(&site.suite.host, 8443);
    let path = format!("/{SECRET}/rota.ics");
    let (alice, bob) = (calendar(), calendar().replace("alice", "bob"));
    server.set([(path.clone(), alice.clone().into_bytes())].into());
    site.suite.host.write("/etc/authkeys/calendar-ca.pem", server.ca_pem(), 0o644);
    site.address(&format!("{}{path}", server.url()), "");
    let sync = || text(&site.suite.run_as("oncall-cache", "oncall-cache sync"));
    let query = |what: &str| {
        let query = format!("sqlite3 {ROSTER} 'SELECT {what} FROM schedule, shift'");
        site.suite.host.must(&query).trim().to_string()
    };
    let (person, synced) = (|| query("principal"), || query("synced").parse::<i64>().expect("seconds"));
    let sent = |header: &str| {
        let requests = server.requests();
        let lines = requests.iter().flat_map(|request| &request.headers);
        lines.into_iter().any(|line| line.to_ascii_lowercase().starts_with(header))
    };
    sync();
    assert_eq!((person().as_str(), sent("if-none-match: \"")), ("alice", false));
    // The server says that it is the same, and what is known is as young as that.
    let before = synced();
    wait_until("a second has passed", || now() > before);
    sync();
    assert_eq!((person().as_str(), sent("if-none-match: \"")), ("alice", true));
    assert!(synced() > before);
    let kept = "/var/lib/oncall-cache/calendar-cal";
    let stat = site.suite.host.must(&format!("stat -c '%a %U' {kept}.json {kept}.ics"));
    assert_eq!(stat, "600 oncall-cache\n600 oncall-cache\n");
    assert!(!site.suite.host.must(&format!("cat {kept}.json")).contains(SECRET));

    // What a cache has had for long, whoever it names, does not take the place of what was read since.
    let known = synced();
    let aged = |body: &str| {
        let lie = Lie::Answer(200, vec![("Age", "3000".to_string())], body.as_bytes().to_vec());
        server.lie(&path, Some(lie));
    };
    aged(&bob);
    let said = sync();
    assert!(said.contains("an older copy of the calendar came"), "{said}");
    assert_eq!((person().as_str(), synced()), ("alice", known));
    // But not for long: then it is what there is.
    let forget = |what: &str| {
        site.suite.host.must(&format!("sed -i 's/\"{what}\":[0-9]*/\"{what}\":1/' {kept}.json"));
    };
    forget("seen");
    sync();
    assert_eq!(person(), "bob");
    assert!((2_900..6_000).contains(&(now() - synced())), "{}", synced());
    // What was changed before the copy that is kept may be what a deletion left, or a backup: it counts at once.
    let changed = |body: &str, hour: i64| {
        let at = jiff::Timestamp::from_second(now() + hour * HOUR).expect("an instant");
        let at = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        server.lie(&path, Some(Lie::Answer(200, vec![("Last-Modified", at)], body.as_bytes().to_vec())));
    };
    changed(&alice, -2);
    sync();
    changed(&bob, -3);
    let said = sync();
    assert!(person() == "bob" && !said.contains("an older copy"), "{said}");
    assert!(!sent("if-modified-since: "), "a date says nothing of a deletion");

    // A server that answers for ever that nothing has changed is not believed for ever, nor one that nobody asked.
    server.lie(&path, None);
    sync();
    assert_eq!(person(), "alice");
    let same = |tag: &str| Lie::Answer(304, vec![("ETag", tag.to_string())], Vec::new());
    let tag = site.suite.host.must(&format!("sed -n 's/.*\"etag\":\"\\(.*\\)\",\"at.*/\\1/p' {kept}.json"));
    let tag = tag.trim().replace('\\', "");
    server.lie(&path, Some(same(&tag)));
    let good = || site.suite.run_as("oncall-cache", "oncall-cache sync").status.success();
    assert!(good(), "{tag}");
    let before = site.suite.host.read_bytes(ROSTER);
    server.lie(&path, Some(same("\"another\"")));
    refuses(&site, "status 304: nothing has changed, it says, and that was not asked", &before);
    server.lie(&path, Some(same(&tag)));
    forget("whole");
    refuses(&site, "status 304: nothing has changed, it says, and that was not asked", &before);

    // Where nothing is kept, what a cache has had for so long is as old as that.
    site.suite.host.must(&format!("rm {kept}.json {kept}.ics"));
    aged(&alice);
    sync();
    assert_eq!(person(), "alice");
    assert!((2_900..6_000).contains(&(now() - synced())), "{}", synced());
    // A server whose clock is behind is a copy of then; it is told, and what it has counts all the same.
    server.lie(&path, None);
    server.set_clock(-40_000);
    site.suite.host.must(&format!("rm {kept}.json {kept}.ics"));
    let said = sync();
    assert!(said.contains("by a cache on the way or by the server's clock"), "{said}");
    assert!((39_900..43_000).contains(&(now() - synced())), "{}", synced());
    server.set([(path.clone(), bob.clone().into_bytes())].into());
    sync();
    assert_eq!(person(), "bob");
    server.set([(path.clone(), alice.clone().into_bytes())].into());
    sync();

    // What came is shown for a bug report, but for whose it is.
    let said = site.suite.host.must("oncall-cache provider test cal --record /tmp/replies");
    assert!(said.contains("requests: 1"), "{said}");
    let saved = site.suite.host.must("cat /tmp/replies/001.json /tmp/replies/001.ics");
    assert!(saved.contains("ATTENDEE:mailto:mail-") && saved.contains("DTSTART:20"), "{saved}");
    assert!(!saved.contains("alice") && !saved.contains(SECRET), "{saved}");
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
