//! `oncall-notify`: what reaches whom, through kills, hanging channels and whatever stands in a record. Mail goes to a real
//! Postfix, syslog and GELF to a real rsyslog, and what speaks HTTP to a server that records every request.

use std::collections::{BTreeMap, BTreeSet};

use harness::notices::{Notices, SECRET};
use harness::size::sized;
use harness::store::{Lie, StoreRequest};
use harness::suite::now;
use harness::{text, wait_until};
use policy::{Mode, Timestamp, Verdict};
use record::{Effect, Phase, Record, Token};
use serde_json::Value;

/// A record of a session that opened, by its number.
fn opened(number: u64, person: &str, host: &str) -> Record {
    Record {
        seq: Some(number),
        boot_id: "7d0c2f11-0000-4000-8000-000000000001".into(),
        host: host.into(),
        id: format!("{number:016x}"),
        person: person.into(),
        account: "root".into(),
        service: "sshd".into(),
        rhost: "203.0.113.9".into(),
        fingerprint: "SHA256:abc".into(),
        phase: Some(Token::Known(Phase::Session)),
        verdict: Some(Token::Known(Verdict::Allow)),
        effect: Some(Token::Known(Effect::Pass)),
        mode: Some(Token::Known(Mode::Enforce)),
        ..Record::at(Timestamp::from_unix(now()))
    }
}

fn body(request: &StoreRequest) -> Value {
    serde_json::from_slice(&request.body).expect("a body of JSON")
}

fn header<'r>(request: &'r StoreRequest, name: &str) -> &'r str {
    let line = request.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {:?}", request.headers))
}

const SLACK: &str = "slack = { token_file = \"secret\", to = \"person\", ca_file = \"ca.pem\", api = ";

/// Slack as its pages describe it, with one person.
fn play_slack(site: &Notices) {
    site.answer("/api/users.lookupByEmail", 200, "{\"ok\":true,\"user\":{\"id\":\"U0ALICE\"}}");
    site.answer("/api/conversations.open", 200, "{\"ok\":true,\"channel\":{\"id\":\"D0ALICE\"}}");
    site.answer("/api/chat.postMessage", 200, "{\"ok\":true,\"ts\":\"1\"}");
}

fn slack(site: &Notices, rest: &str) -> String {
    format!("[[channel]]\nname = \"you\"\n{rest}{SLACK}\"{}\" }}\n", site.url("/api"))
}

#[test]
fn a92_the_person_is_told_once_and_then_by_a_digest() {
    let site = Notices::start();
    play_slack(&site);
    site.configure(&slack(&site, "window = \"2s\"\n"));
    site.begin();
    site.append(&opened(1, "alice", "db1").line());
    // By the mail address, in a conversation that is opened, with the token in the header alone.
    let mut asked: Vec<StoreRequest> = Vec::new();
    wait_until("alice is told", || {
        asked.extend(site.web.requests());
        asked.iter().any(|request| request.path.ends_with("/chat.postMessage"))
    });
    let paths: Vec<String> = asked.iter().map(|one| format!("{} {}", one.method, one.path)).collect();
    let expected = [
        "GET /fleet/api/users.lookupByEmail?email=alice%40example.com",
        "POST /fleet/api/conversations.open",
        "POST /fleet/api/chat.postMessage",
    ];
    assert_eq!(paths, expected);
    for request in &asked {
        assert_eq!(header(request, "authorization"), format!("Bearer {SECRET}"));
    }
    assert_eq!(body(&asked[1])["users"], "U0ALICE");
    let message = body(&asked[2]);
    assert_eq!(message["channel"], "D0ALICE");
    let told = message["text"].as_str().expect("a text");
    for part in [
        "Your name (alice) opened root on db1 by sshd.",
        "From: 203.0.113.9",
        "Key: SHA256:abc",
        "Sent by: 10.0.0.7",
        "Record: 0000000000000001",
        "If this was not you: sudo oncall-cache revoke alice --reason 'not me'",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("://"), "no link: {told}");

    // Five hundred hosts at once, while the program does not run: all are read before a window ends.
    site.kill();
    let many: String =
        (2..502).map(|number| opened(number, "alice", &format!("web{number}")).line()).collect();
    site.append(&many);
    site.begin();
    let (mut records, mut messages) = (0, 0);
    wait_until("all are told", || {
        for request in site.web.requests().iter().filter(|one| one.path.ends_with("/chat.postMessage")) {
            let told = body(request)["text"].as_str().expect("a text").to_string();
            messages += 1;
            let digest =
                told.split(": ").find_map(|part| part.split_once(" records told as one")?.0.parse().ok());
            records += digest.unwrap_or(1);
        }
        records >= 500
    });
    assert_eq!(records, 500);
    assert!(messages <= 2, "{messages} messages, after the one before");
}

#[test]
fn a92_a_run_that_is_killed_anywhere_loses_nothing_and_doubles_only_what_was_being_sent() {
    let site = Notices::start();
    site.answer("/hook", 200, "{}");
    site.configure(&site.webhook());
    let (kills, each) = (sized(8, 200), 5);
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let take = |told: &mut BTreeMap<String, usize>| {
        for request in site.web.requests() {
            assert_eq!(header(&request, "x-authkeys-notice"), body(&request)["notice"]);
            let id = body(&request)["record"]["id"].as_str().expect("an id").to_string();
            *told.entry(id).or_default() += 1;
        }
    };
    for kill in 0..kills {
        site.begin();
        let lines: Vec<String> =
            (0..each).map(|number| opened(kill * each + number + 1, "alice", "db1").line()).collect();
        site.append(&lines.concat());
        // Somewhere between the first and the last of them, or before, or after.
        let until = told.values().sum::<usize>() + usize::try_from(kill % (each + 1)).expect("few");
        wait_until("some were told", || {
            take(&mut told);
            told.values().sum::<usize>() >= until.min(usize::try_from((kill + 1) * each).expect("few"))
        });
        site.kill();
    }
    site.begin();
    let all = usize::try_from(kills * each).expect("few");
    wait_until("every record was told", || {
        take(&mut told);
        told.len() == all
    });
    let expected: BTreeSet<String> = (1..=kills * each).map(|number| format!("{number:016x}")).collect();
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let doubled = told.values().sum::<usize>() - all;
    assert!(doubled <= usize::try_from(kills).expect("few"), "one for each kill at most: {doubled}");
}

#[test]
fn a92_a_channel_that_hangs_holds_up_no_other_and_is_told_afterwards() {
    let site = Notices::start();
    play_slack(&site);
    site.answer("/hook", 200, "{}");
    // An answer that never ends.
    site.web.lie("/api/users.lookupByEmail", Some(Lie::Drip(b"HTTP/1.1 200 OK\r\nX-Slow: ".to_vec())));
    site.configure(&(slack(&site, "") + &site.webhook()));
    site.begin();
    let records: String =
        (1..=20).map(|number| opened(number, &format!("p{number}"), "db1").line()).collect();
    site.append(&records);
    assert_eq!(site.wait_for("/hook", 20).len(), 20, "while Slack says nothing");
    site.web.lie("/api/users.lookupByEmail", None);
    play_slack(&site);
    let mut told = BTreeSet::new();
    wait_until("everybody is told", || {
        for request in site.web.requests().iter().filter(|one| one.path.ends_with("/chat.postMessage")) {
            let message = body(request)["text"].as_str().expect("a text").to_string();
            assert!(told.insert(message.clone()), "once: {message}");
        }
        told.len() == 20
    });
    let log = site.log();
    assert!(log.contains("channel you: ") && log.contains("channel you: delivers again"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

/// What somebody could bring into a record: breaks of lines, markup and mentions, letters that turn others round, terminal
/// controls, a template, quotes of every format that a channel has.
const EVIL: &str = "x\r\n\u{2028}Subject: y\0<!channel> <@U1> @here *b* `c` <https://evil.example|d> \u{202e}\u{1b}]0;e\u{7} {{ secret }} \\\"]} 0 <1>";

#[test]
fn a93_whatever_stands_in_a_record_is_one_inert_message_in_every_channel() {
    let site = Notices::start();
    play_slack(&site);
    site.answer("/hook", 200, "{}");
    site.answer("/v2/enqueue", 202, "{}");
    site.start_rsyslog();
    site.start_postfix(&["ops"]);
    site.host.must(
        "cp -a /etc/authkeys/secret /etc/authkeys/pagerduty-key && printf '%032d\\n' 7 >/etc/authkeys/pagerduty-key",
    );
    let pagerduty = format!(
        "[[channel]]\nname = \"pd\"\nfilter = \"true\"\n\
         pagerduty = {{ routing_key_file = \"pagerduty-key\", ca_file = \"ca.pem\", api = \"{}\" }}\n",
        site.url("")
    );
    let others = "[[channel]]\nname = \"tcp\"\nsyslog = { server = \"logs.example.com\", transport = \"tcp\" }\n\
                  [[channel]]\nname = \"tls\"\n\
                  syslog = { server = \"logs.example.com\", transport = \"tls\", ca_file = \"ca.pem\" }\n\
                  [[channel]]\nname = \"gelf\"\ngelf = { server = \"logs.example.com\", transport = \"tcp\" }\n\
                  [[channel]]\nname = \"gelf-udp\"\ngelf = { server = \"logs.example.com\", transport = \"udp\" }\n\
                  [[channel]]\nname = \"mail\"\n\
                  mail = { from = \"oncall@example.com\", to = [\"ops@example.com\"], server = \"mail.example.com:25\", ca_file = \"ca.pem\" }\n";
    let team = slack(&site, "").replace("to = \"person\"", "to = \"C0TEAM\"").replace("\"you\"", "\"team\"");
    site.configure(&(site.webhook() + &team + &pagerduty + others));
    site.begin();
    // As another program could write a record again: 64 KiB each, and nothing of it escaped but what JSON needs.
    let long = format!("{EVIL}{}", "\u{202e}z".repeat(16 * 1024));
    let place = |name: &str| format!("PLACE-OF-{name}");
    let record = Record {
        why: place("why"),
        rhost: place("rhost"),
        tty: place("tty"),
        ..opened(1, &place("person"), "db1")
    };
    let quoted = serde_json::to_string(&long).expect("text");
    let whole = |line: String, name: &str| line.replace(&format!("\"{}\"", place(name)), &quoted);
    site.append(&["why", "rhost", "tty", "person"].into_iter().fold(record.line(), whole));

    let mut asked: Vec<StoreRequest> = Vec::new();
    wait_until("whoever speaks HTTP is told", || {
        asked.extend(site.web.requests());
        ["/hook", "/api/chat.postMessage", "/v2/enqueue"]
            .iter()
            .all(|path| asked.iter().any(|request| request.path == format!("/fleet{path}")))
    });
    assert_eq!(asked.len(), 3, "one message each");
    let of = |path: &str| body(asked.iter().find(|one| one.path == format!("/fleet{path}")).expect("asked"));
    let is_inert = |text: &str| text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    let slack = of("/api/chat.postMessage");
    let told = slack["text"].as_str().expect("a text");
    assert!(is_inert(told) && !told.contains('<') && !told.contains('>'), "{told}");
    assert!(told.contains("&lt;!channel&gt;") && told.contains("{{ secret }}"), "{told}");
    assert_eq!(
        (&slack["mrkdwn"], &slack["parse"], &slack["link_names"]),
        (&false.into(), &"none".into(), &false.into())
    );
    let alert = of("/v2/enqueue");
    let summary = alert["payload"]["summary"].as_str().expect("a summary");
    assert!(is_inert(summary) && summary.len() <= 1024, "{summary}");
    let hook = of("/hook");
    for (name, value) in hook["record"].as_object().expect("values") {
        let value = value.as_str().expect("a text");
        assert!(is_inert(value) && value.len() <= 260, "{name}: {value}");
    }

    for file in ["/srv/taken/tcp", "/srv/taken/tls"] {
        let taken = site.wait_for_file(file, "\n", 1);
        assert_eq!(taken.lines().count(), 1, "{taken}");
        assert!(is_inert(taken.trim_end()), "{taken}");
        // RFC 5424, as rsyslog has parsed it: authpriv.notice, and the values where they belong.
        assert!(taken.starts_with("85 1 db1 oncall-notify [authkeys@32473 "), "{taken}");
        assert!(taken.contains("\\\\u{d}\\\\u{a}") && taken.contains("\\]}"), "{taken}");
        assert!(taken.contains(" sender=\"10.0.0.7\""), "{taken}");
    }
    for file in ["/srv/taken/gelf", "/srv/taken/gelf-udp"] {
        let taken = site.wait_for_file(file, "\n", 1);
        assert_eq!(taken.lines().count(), 1, "{taken}");
        let gelf: Value = serde_json::from_str(&taken).unwrap_or_else(|error| panic!("{error}: {taken}"));
        assert_eq!((gelf["version"].as_str(), gelf["host"].as_str()), (Some("1.1"), Some("db1")));
        assert!(gelf.get("_id").is_none() && gelf["_record"] == "0000000000000001", "{taken}");
        assert!(is_inert(gelf["short_message"].as_str().expect("a text")), "{taken}");
    }
    let mail = site.wait_for_file("/var/mail/ops", "0000000000000001", 1);
    assert_eq!(mail.matches("\nSubject: ").count(), 1, "{mail}");
    assert_eq!(mail.matches("\nMessage-ID: ").count(), 1, "{mail}");
    assert!(mail.contains("\nTo: ops@example.com") && mail.contains(" with ESMTPS id "), "{mail}");
    assert!(!site.log().contains(SECRET), "{}", site.log());
}

#[test]
fn mail_goes_by_tls_to_whom_an_authority_vouches_for_and_to_nobody_else() {
    let site = Notices::start();
    site.start_postfix(&["alice"]);
    let mail = |rest: &str| {
        format!(
            "[[channel]]\nname = \"mail\"\nmail = {{ from = \"oncall@example.com\", to = \"person\", {rest} }}\n"
        )
    };
    let test = || site.host.sh("runuser -u oncall-notify -- oncall-notify test mail --person alice");
    let count =
        || site.host.read("/var/mail/alice").matches("\nSubject: alice: opened nobody on test").count();
    let (starttls, wrapped) =
        ("server = \"mail.example.com:25\"", "server = \"mail.example.com\", tls = \"tls\"");
    for (sent, way) in [starttls, wrapped].into_iter().enumerate() {
        site.configure(&mail(&format!("{way}, ca_file = \"ca.pem\"")));
        let said = test();
        assert!(said.status.success(), "{}", text(&said));
        wait_until("the mail is there", || count() == sent + 1);
        // The system's own authorities do not know this server.
        site.configure(&mail(way));
        let said = test();
        assert!(said.status.code() == Some(1) && text(&said).contains("not delivered"), "{}", text(&said));
    }
    site.configure(&mail("sendmail = \"/usr/sbin/sendmail\""));
    let said = test();
    assert!(said.status.success(), "{}", text(&said));
    wait_until("the mail is there", || count() == 3);
    // What one mailbox is told, no other waits for.
    site.configure(&mail("server = \"mail.example.com:25\", ca_file = \"ca.pem\""));
    site.begin();
    site.append(
        &[opened(1, "nobody-here", "db1"), opened(2, "alice", "db2")].map(|record| record.line()).concat(),
    );
    wait_until("alice is told", || site.host.read("/var/mail/alice").contains("opened root on db2"));
    let log = site.log();
    assert!(log.contains("is not delivered: the mail server: ") && !log.contains("tried again"), "{log}");
}

#[test]
fn syslog_by_tls_goes_to_whom_an_authority_vouches_for_and_waits_for_who_is_away() {
    let site = Notices::start();
    let syslog = |name: &str, port: u16, ca: &str| {
        format!(
            "[[channel]]\nname = \"{name}\"\nsyslog = {{ server = \"logs.example.com:{port}\", transport = \"tls\"{ca} }}\n"
        )
    };
    // rsyslog by each of its libraries: by GnuTLS it closes without TLS's own goodbye.
    let ca = ", ca_file = \"ca.pem\"";
    site.configure(&(syslog("siem", 6514, ca) + &syslog("gnutls", 6515, ca)));
    site.begin();
    // Nobody is there yet.
    site.append(&(1..=3).map(|number| opened(number, "alice", "db1").line()).collect::<String>());
    wait_until("it says that nobody is there", || {
        ["siem: logs.example.com port 6514", "gnutls: logs.example.com port 6515"]
            .iter()
            .all(|told| site.log().contains(&format!("channel {told}")))
    });
    site.start_rsyslog();
    for file in ["/srv/taken/tls", "/srv/taken/gtls"] {
        let taken = site.wait_for_file(file, "\n", 3);
        let ids: Vec<&str> =
            taken.split(" id=\"").skip(1).map(|rest| rest.split('"').next().expect("an id")).collect();
        assert_eq!(ids, [1, 2, 3].map(|number: u64| format!("{number:016x}")), "{file}, in order: {taken}");
    }
    wait_until("both are well", || site.log().matches(": delivers again").count() == 2);
    site.kill();
    site.configure(&syslog("siem", 6514, ""));
    let said = site.host.sh("runuser -u oncall-notify -- oncall-notify test siem");
    assert!(said.status.code() == Some(1) && text(&said).contains("not delivered"), "{}", text(&said));
}

#[test]
fn what_is_wrong_is_refused_before_it_runs_and_a_dry_run_changes_nothing() {
    let site = Notices::start();
    site.answer("/hook", 200, "{}");
    let run = |command: &str| site.host.sh(&format!("runuser -u oncall-notify -- oncall-notify {command}"));
    site.configure(&site.webhook());
    for (name, command, problem) in [
        ("a secret that others can read", "chmod 644 /etc/authkeys/secret", "secret"),
        ("no secret", "mv /etc/authkeys/secret /etc/authkeys/elsewhere", "secret"),
        ("a file that others can write", "chmod 666 /etc/authkeys/notify.toml", "notify.toml"),
        ("an unknown key", "echo 'wher = 1' >>/etc/authkeys/notify.toml", "unknown key `wher`"),
    ] {
        site.host.must(&format!("cp -a /etc/authkeys /etc/kept && {command}"));
        let said = run("config check");
        assert!(said.status.code() == Some(2) && text(&said).contains(problem), "{name}: {}", text(&said));
        assert!(!text(&said).contains(SECRET), "{name}");
        site.host.must("rm -r /etc/authkeys && mv /etc/kept /etc/authkeys");
    }
    assert_eq!(run("test hok").status.code(), Some(64), "no such channel");
    site.append(&opened(1, "alice", "db1").line());
    let said = run("run --dry-run");
    assert!(text(&said).contains("hook: alice: root on db1 by sshd"), "{}", text(&said));
    assert!(text(&said).contains("1 message would be told, nothing was sent"), "{}", text(&said));
    assert_eq!(site.web.requests(), []);
    assert_eq!(site.host.must("ls /var/lib/oncall-notify"), "", "nothing is remembered");
    site.begin();
    // A second one would tell everything twice.
    let said = run("run");
    assert!(said.status.code() == Some(2) && text(&said).contains("nothing was done"), "{}", text(&said));
    site.append("no record\n");
    site.append(&opened(2, "alice", "db1").line());
    let asked = site.wait_for("/hook", 1);
    assert_eq!(body(&asked[0])["record"]["number"], "2", "the first run begins at the end of what is there");
    assert_eq!(site.log().matches("has lines that are no records").count(), 1, "{}", site.log());
}
