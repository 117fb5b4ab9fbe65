//! Slack, GitLab, Graylog and webhooks are told who is on call: by doubles whose every request is looked at. And one machine
//! that tells a real directory and all of them.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Output;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use harness::slapd::Slapd;
use harness::store::{HostileStore, Lie, NAME, StoreRequest};
use harness::suite::{HOUR, Suite, instant, now};
use harness::{Host, text, wait_until};
use serde_json::{Value, json};

mod gitlab;

const PORT: u16 = 9443;
const SECRET: &str = "xoxb-secret-of-this-test";

/// A machine with the suite, and a server on it that plays every service.
struct Site {
    suite: Suite,
    web: HostileStore,
}

impl Site {
    fn start() -> Self {
        let suite = Suite::start();
        let host = &suite.host;
        let web = HostileStore::start(host, PORT);
        host.write("/etc/authkeys/ca.pem", web.ca_pem(), 0o644);
        host.write("/etc/authkeys/secret", format!("{SECRET}\n"), 0o640);
        host.must("chgrp oncall-sink /etc/authkeys/secret");
        suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, 3 * HOUR)]);
        suite.sync();
        Self { suite, web }
    }

    fn url(path: &str) -> String {
        format!("https://{NAME}:{PORT}/fleet{path}")
    }

    fn configure(&self, kinds: &[(&str, String)]) {
        let sinks = kinds.iter().map(|(kind, settings)| {
            format!("[[sink]]\nname = '{kind}'\nschedules = ['rota/primary']\n[sink.{kind}]\n{settings}\n")
        });
        self.suite.host.write("/etc/authkeys/sinks.toml", sinks.collect::<String>(), 0o644);
    }

    fn answer(&self, path: &str, status: u16, json: &Value) {
        self.answer_with(path, status, json, vec![]);
    }

    fn answer_with(&self, path: &str, status: u16, json: &Value, more: Vec<(&'static str, String)>) {
        let mut headers = vec![("Content-Type", "application/json".to_string())];
        headers.extend(more);
        self.web.lie(path, Some(Lie::Answer(status, headers, json.to_string().into_bytes())));
    }

    fn run(&self, ahead: i64, words: &str) -> Output {
        let output = self.suite.run_ahead("oncall-sink", ahead, &format!("oncall-collector sink {words}"));
        assert!(!text(&output).contains(SECRET), "{}", text(&output));
        output
    }

    /// What it says, with this exit status.
    fn says(&self, ahead: i64, code: i32) -> String {
        let output = self.run(ahead, "");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        text(&output)
    }

    /// What was asked since the last look.
    fn asked(&self) -> Vec<String> {
        self.web.requests().iter().map(|one| format!("{} {}", one.method, one.path)).collect()
    }
}

fn body(request: &StoreRequest) -> Value {
    serde_json::from_slice(&request.body).expect("a body of JSON")
}

fn header<'r>(request: &'r StoreRequest, name: &str) -> &'r str {
    let line = request.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {:?}", request.headers))
}

const INFO: &str = "/api/conversations.info";
const SET: &str = "/api/conversations.setTopic";
const POST: &str = "/api/chat.postMessage";

fn slack() -> String {
    format!("channel = 'C0OPS'\ntoken_file = 'secret'\nca_file = 'ca.pem'\napi = '{}'", Site::url("/api"))
}

fn show_topic(site: &Site, topic: &str) {
    site.answer(INFO, 200, &json!({ "ok": true, "channel": { "id": "C0OPS", "topic": { "value": topic } } }));
    site.answer(SET, 200, &json!({ "ok": true }));
}

#[test]
fn a101_a_topic_is_written_left_of_its_mark_and_on_change_alone() {
    let site = Site::start();
    site.configure(&[("slack_topic", slack())]);
    show_topic(&site, "old words | keep &amp; this | too");
    assert!(
        text(&site.run(0, "--dry-run"))
            .contains("would set the topic to: On call: alice | keep &amp; this | too")
    );
    assert_eq!(site.asked(), [format!("GET /fleet{INFO}?channel=C0OPS")]);
    site.says(0, 0);
    let requests = site.web.requests();
    let [info, set] = requests.as_slice() else { panic!("{requests:?}") };
    for (request, line) in
        [(info, ("GET", format!("/fleet{INFO}?channel=C0OPS"))), (set, ("POST", format!("/fleet{SET}")))]
    {
        assert_eq!((request.method.as_str(), &request.path), (line.0, &line.1));
        assert_eq!(header(request, "authorization"), format!("Bearer {SECRET}"));
    }
    assert_eq!(header(set, "content-type"), "application/json; charset=utf-8");
    let topic = "On call: alice | keep &amp; this | too";
    assert_eq!(body(set), json!({ "channel": "C0OPS", "topic": topic }));

    // Shown in Slack's own words for it, or as it was written: nothing is written again.
    for shown in ["On call: Alice Smith | keep &amp; this | too", "On call: Alice Smith | more", topic] {
        show_topic(&site, shown);
        assert!(site.says(0, 0).contains("nothing to do"));
        assert_eq!(site.asked().len(), 1, "{shown}");
    }
    // Somebody else's words are replaced, left of the mark.
    show_topic(&site, "bob has it | more");
    assert!(site.says(0, 0).contains("drift: somebody had changed it; topic set: On call: alice | more"));
    assert_eq!(site.asked().len(), 2);
    // A topic without the mark stays, right of it.
    // A mark inside a link is none.
    show_topic(&site, "On call: alice | see <https://wiki.example.com|the wiki> | more");
    assert!(site.says(0, 0).contains("nothing to do"));
    assert_eq!(site.asked().len(), 1);
    show_topic(&site, "see <https://wiki.example.com|the wiki>");
    let said = site.says(0, 0);
    assert!(said.contains("topic set: On call: alice | see <https://wiki.example.com|the wiki>"), "{said}");
    site.asked();
    show_topic(&site, "all about ops");
    assert!(site.says(2 * HOUR, 0).contains("topic set: On call: bob | all about ops"));
    // However soon after it was written: a topic without the mark, as in another channel, is not what was written.
    assert!(site.says(2 * HOUR, 0).contains("drift: somebody had changed it; topic set: On call: bob"));
    // So much that there is no room: said, and left alone.
    site.asked();
    show_topic(&site, &format!("x |{}", "é".repeat(245)));
    let said = site.says(0, 1);
    assert!(said.contains("245 characters right of `|`, which leaves no room"), "{said}");
    assert_eq!(site.asked().len(), 1);
    show_topic(&site, &format!("x |{}", "é".repeat(234)));
    site.says(0, 0);
    let set = site.web.requests().pop().expect("a request");
    let topic = body(&set)["topic"].as_str().expect("a topic").chars().count();
    assert_eq!(topic, 250);
}

#[test]
fn a101_slack_says_when_to_come_back_and_what_is_wrong_with_the_token() {
    let site = Site::start();
    site.configure(&[("slack_topic", slack())]);
    let again = vec![("Retry-After", "120".to_string())];
    site.answer_with(INFO, 429, &json!({ "ok": false, "error": "ratelimited" }), again);
    let said = site.says(0, 1);
    assert!(said.contains("Slack asks to be left alone; again in 2m"), "{said}");
    assert_eq!(site.asked().len(), 1);
    let said = site.says(0, 1);
    assert!(said.contains("it is left alone until"), "{said}");
    assert_eq!(site.asked(), [""; 0], "it is left alone");
    for (error, setting) in [
        ("token_revoked", "`token_file`"),
        ("not_in_channel", "`channel`"),
        ("missing_scope", "channels:write.topic"),
    ] {
        site.answer(INFO, 200, &json!({ "ok": false, "error": error }));
        let said = site.says(300, 1);
        assert!(said.contains(error) && said.contains(setting), "{said}");
    }
    show_topic(&site, "");
    site.says(300, 0);
    // It is in no file of ours but its own, and in no log.
    let found =
        site.suite.host.sh(&format!("grep -rl {SECRET} /var/lib /var/log /run/oncall-collector /etc"));
    assert_eq!(found.stdout, b"/etc/authkeys/secret\n");
    site.suite.host.must("rm /etc/authkeys/secret");
    let said = site.says(300, 1);
    assert!(said.contains("see `token_file`: /etc/authkeys/secret"), "{said}");
}

/// Takes GELF by TCP, as Graylog does: what came, up to a zero byte each.
fn graylog(host: &Host) -> Arc<Mutex<Vec<Value>>> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let taking = taken.clone();
    let serve = || {
        host.enter_network();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 12201)).expect("the port is free");
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut bytes = Vec::new();
                let _ = client.read_to_end(&mut bytes);
                for message in bytes.split(|byte| *byte == 0).filter(|message| !message.is_empty()) {
                    taking.lock().expect("a list").push(serde_json::from_slice(message).expect("JSON"));
                }
            }
        });
    };
    thread::scope(|scope| scope.spawn(serve).join().expect("it starts"));
    taken
}

#[test]
fn a101_messages_logs_and_webhooks_are_told_of_changes_alone() {
    let site = Site::start();
    let taken = graylog(&site.suite.host);
    let hook = format!("url = '{}'\nsecret_file = 'secret'\nca_file = 'ca.pem'", Site::url("/hook"));
    site.configure(&[
        ("slack_message", slack()),
        ("gelf", "server = '127.0.0.1:12201'\ntransport = 'tcp'".into()),
        ("webhook", hook),
    ]);
    site.answer(POST, 200, &json!({ "ok": true }));
    site.answer("/hook", 500, &json!({}));
    // The first run sees who is there, and tells nobody.
    for _ in 0..2 {
        site.says(0, 0);
        assert_eq!(site.asked(), [""; 0]);
    }
    // One that fails stops no other, and gets its turn again.
    // Where it cannot be noted down that they were told, nobody is: each run would tell them again.
    site.suite.host.must("chmod u-w /var/lib/oncall-sink");
    for _ in 0..2 {
        site.says(2 * HOUR, 1);
        assert_eq!(site.asked(), [""; 0]);
    }
    site.suite.host.must("chmod u+w /var/lib/oncall-sink");
    let said = site.says(2 * HOUR, 1);
    assert!(said.contains("webhook: the receiver answers status 500"), "{said}");
    // All are told at once.
    let mut first = site.web.requests();
    first.sort_by_key(|request| request.path.ends_with("/hook"));
    let [message, failed] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!(body(message)["text"], "On call: bob (before: alice)");
    assert_eq!(body(message)["channel"], "C0OPS");
    site.answer("/hook", 200, &json!({}));
    site.says(2 * HOUR, 0);
    let second = site.web.requests();
    let [told] = second.as_slice() else { panic!("{second:?}") };
    assert_eq!((told.method.as_str(), told.path.as_str()), ("POST", "/fleet/hook"));
    assert_eq!((&body(told)["on_call"], &body(told)["before"]), (&json!(["bob"]), &json!(["alice"])));
    assert_eq!(header(told, "x-authkeys-notice"), header(failed, "x-authkeys-notice"), "the same one again");
    site.suite.host.write("/run/body", &told.body, 0o600);
    let hmac = site.suite.host.must(&format!("openssl dgst -sha256 -hmac {SECRET} -r /run/body"));
    assert_eq!(
        header(told, "x-authkeys-signature"),
        format!("v1={}", hmac.split(' ').next().expect("a digest"))
    );
    site.says(2 * HOUR, 0);
    assert_eq!(site.asked(), [""; 0]);
    wait_until("it came", || !taken.lock().expect("a list").is_empty());
    let taken = taken.lock().expect("a list").clone();
    assert_eq!(taken.len(), 1);
    for (name, value) in [
        ("version", "1.1"),
        ("_on_call", "bob"),
        ("_before", "alice"),
        ("short_message", "on call: bob (before: alice)"),
    ] {
        assert_eq!(taken[0][name], value, "{name}");
    }
}

#[test]
fn a101_one_that_does_not_answer_lets_no_other_wait() {
    let site = Site::start();
    // A proxy that says nothing until the other one is told.
    let (is_told, told) = mpsc::channel::<()>();
    let host = &site.suite.host;
    let serve = move || {
        host.enter_network();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 3128)).expect("the port is free");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _ = told.recv();
                drop(client);
            }
        });
    };
    thread::scope(|scope| scope.spawn(serve).join().expect("it starts"));
    let hook = format!("url = '{}'\nsecret_file = 'secret'\nca_file = 'ca.pem'", Site::url("/hook"));
    site.configure(&[("slack_message", slack() + "\nproxy = 'http://127.0.0.1:3128'"), ("webhook", hook)]);
    site.answer("/hook", 200, &json!({}));
    site.says(0, 0);
    let web = &site.web;
    let said = thread::scope(|scope| {
        scope.spawn(move || {
            wait_until("the other one is told", || !web.requests().is_empty());
            is_told.send(()).expect("the proxy listens");
        });
        site.says(2 * HOUR, 1)
    });
    assert!(said.contains("webhook: told: on call: bob (before: alice)"), "{said}");
    // It was let go, and did not wait for its own end.
    assert!(said.contains("slack_message: ") && !said.contains("no complete answer in time"), "{said}");
}

const MEMBERS: &str = "/api/v4/groups/ops%2Fapprovers/members";

fn gitlab() -> String {
    let url = Site::url("");
    format!(
        "url = '{url}'\ngroup = 'ops/approvers'\ntoken_file = 'secret'\nca_file = 'ca.pem'\nusers = {{ alice = 'alice.smith' }}"
    )
}

/// A GitLab with alice, bob and carol, who is blocked.
fn play_gitlab(site: &Site, members: &[Value]) {
    let user = |id: u64, name: &str, state: &str| json!({ "id": id, "username": name, "state": state });
    let users =
        json!([user(1, "alice.smith", "active"), user(2, "bob", "active"), user(3, "carol", "blocked")]);
    site.answer("/api/v4/users", 200, &users);
    site.answer(MEMBERS, 200, &json!(members));
    for id in 1..9 {
        site.web.lie(&format!("{MEMBERS}/{id}"), Some(Lie::status(204)));
    }
}

fn member(id: u64, level: u32, more: (&str, Value)) -> Value {
    let mut member =
        json!({ "id": id, "username": format!("u{id}"), "state": "active", "access_level": level });
    if !more.0.is_empty() {
        member[more.0] = more.1;
    }
    member
}

#[test]
fn members_of_a_gitlab_group_come_and_go_and_those_of_others_stay() {
    let site = Site::start();
    site.configure(&[("gitlab_group", gitlab())]);
    let none = || ("", Value::Null);
    let others = vec![
        member(7, 50, none()),
        member(8, 30, none()),
        member(6, 30, ("group_saml_identity", Value::Null)),
    ];
    play_gitlab(&site, &others);
    assert!(text(&site.run(0, "--dry-run")).contains("would add alice.smith"));
    let read = [
        format!("GET /fleet{MEMBERS}?per_page=100&page=1"),
        "GET /fleet/api/v4/users?username=alice.smith".to_string(),
    ];
    let above = |id: u64| format!("GET /fleet{MEMBERS}/all/{id}?");
    assert_eq!(site.asked(), [&read[..], &[above(1)]].concat());
    site.says(0, 0);
    let requests = site.web.requests();
    let add = &requests[3];
    assert_eq!((add.method.as_str(), &add.path), ("POST", &format!("/fleet{MEMBERS}")));
    assert_eq!(body(add), json!({ "user_id": 1, "access_level": 30 }));
    assert!(requests.iter().all(|one| header(one, "private-token") == SECRET));

    let with = |more: &[Value]| [others.clone(), more.to_vec()].concat();
    play_gitlab(&site, &with(&[member(1, 30, none())]));
    assert!(site.says(0, 0).contains("nothing to do"));
    assert_eq!(site.asked(), read, "a second run writes nothing");
    let said = site.says(2 * HOUR, 0);
    assert!(said.contains("added bob") && said.contains("removed u1"), "{said}");
    let asked = site.asked();
    assert_eq!(
        asked[2..],
        [
            above(2),
            format!("POST /fleet{MEMBERS}"),
            format!("DELETE /fleet{MEMBERS}/1?skip_subresources=true")
        ]
    );

    // Whom others made a maintainer, or sync from elsewhere, is theirs.
    for theirs in [
        member(2, 40, none()),
        member(2, 30, ("group_saml_identity", json!({ "extern_uid": "x" }))),
        member(2, 30, ("override", json!(false))),
    ] {
        site.suite.host.must("cp -p /var/lib/oncall-sink/gitlab_group.json /run/kept");
        play_gitlab(&site, &with(&[theirs.clone(), member(1, 30, none())]));
        site.says(0, 0);
        assert!(site.asked().iter().all(|line| line.starts_with("GET ")), "{theirs}");
        site.suite.host.must("cp -p /run/kept /var/lib/oncall-sink/gitlab_group.json");
    }
    // A token that GitLab does not accept, and nobody whom it knows: nothing is changed.
    site.answer(MEMBERS, 401, &json!({ "message": "401 Unauthorized" }));
    assert!(site.says(0, 1).contains("GitLab does not accept the token (status 401); see `token_file`"));
    site.suite.write_rota(&[("carol", -HOUR, HOUR)]);
    site.suite.sync();
    play_gitlab(&site, &with(&[member(2, 30, none())]));
    site.asked();
    assert!(site.says(0, 1).contains("none of the people on call is a user at GitLab"));
    assert!(site.asked().iter().all(|line| line.starts_with("GET ")));
}

#[test]
fn whom_gitlab_does_not_take_stops_nothing_else() {
    let site = Site::start();
    site.configure(&[("gitlab_group", gitlab())]);
    let none = || ("", Value::Null);
    play_gitlab(&site, &[member(7, 50, none())]);
    site.says(0, 0);
    // bob, who comes after alice, maintains a group above this one: no rule that asks this group asks him.
    play_gitlab(&site, &[member(7, 50, none()), member(1, 30, none())]);
    site.answer(&format!("{MEMBERS}/all/2"), 200, &member(2, 40, none()));
    site.asked();
    let said = site.says(2 * HOUR, 1);
    assert!(said.contains("the group stays as it is: bob is a member by another group, with more"), "{said}");
    assert!(!said.contains("removed u1"), "{said}");
    assert!(site.asked().iter().all(|line| line.starts_with("GET ")));
    // With as much, they are added; a group that takes neither stays as it is, and one that takes one has that.
    let both = [("alice", -HOUR, HOUR), ("bob", -HOUR, HOUR)];
    site.suite.write_rota(&both);
    site.suite.sync();
    site.answer(&format!("{MEMBERS}/all/2"), 200, &member(2, 30, none()));
    site.answer(&format!("POST {MEMBERS}"), 400, &json!({ "message": "no" }));
    play_gitlab(&site, &[member(7, 50, none())]);
    let said = site.says(0, 1);
    assert!(
        said.contains("the group stays as it is: bob is on call, and GitLab does not add them (status 400)"),
        "{said}"
    );
    play_gitlab(&site, &[member(7, 50, none()), member(1, 30, none())]);
    site.asked();
    let said = site.says(0, 0);
    assert!(said.contains("bob is on call, and GitLab does not add them"), "{said}");
    assert_eq!(site.asked().iter().filter(|line| line.starts_with("POST ")).count(), 1);
    // It was nobody of ours who was not added.
    play_gitlab(&site, &[member(7, 50, none()), member(1, 30, none()), member(2, 30, none())]);
    site.suite.write_rota(&[("alice", -HOUR, HOUR)]);
    site.suite.sync();
    site.asked();
    site.says(0, 0);
    assert!(!site.asked().iter().any(|line| line.starts_with("DELETE ")));
    // Nobody is taken for one of several where GitLab itself does not answer.
    site.suite.write_rota(&both);
    site.suite.sync();
    play_gitlab(&site, &[member(7, 50, none())]);
    site.answer(&format!("POST {MEMBERS}"), 403, &json!({ "message": "403 Forbidden" }));
    assert!(site.says(0, 1).contains("GitLab does not accept the token (status 403)"));
}

#[test]
fn members_whom_another_collector_or_deputize_added_go_where_it_is_named() {
    let site = Site::start();
    let by = |id: u64, level: u32, name: &str| {
        member(id, level, ("created_by", json!({ "id": 90, "username": name })))
    };
    let members = [
        member(7, 50, ("", Value::Null)),
        by(1, 30, "oncall-bot"),
        by(4, 30, "OnCall-Bot"),
        by(5, 40, "oncall-bot"),
        by(6, 20, "oncall-bot"),
        by(8, 30, "erin"),
        member(3, 30, ("created_by", Value::Null)),
    ];
    play_gitlab(&site, &members);
    site.configure(&[("gitlab_group", gitlab())]);
    let said = text(&site.run(0, "--dry-run"));
    assert!(
        said.contains(
            "u8, whom erin added, stay; if erin adds people for a rota alone, put it into `added_by`"
        ),
        "{said}"
    );
    assert!(said.contains("u1, whom oncall-bot added, stay") && said.contains("nothing to do"), "{said}");
    site.configure(&[("gitlab_group", gitlab() + "\nadded_by = ['oncall-bot']")]);
    site.asked();
    let said = site.says(0, 0);
    assert!(said.contains("removed u4") && !said.contains("removed u1"), "{said}");
    let deleted =
        |site: &Site| site.asked().into_iter().filter(|line| line.starts_with("DELETE ")).collect::<Vec<_>>();
    assert_eq!(deleted(&site), [format!("DELETE /fleet{MEMBERS}/4?skip_subresources=true")]);
    // Who was there before this collector had the turn goes when the shift ends.
    play_gitlab(&site, &[members[0].clone(), members[1].clone(), members[5].clone()]);
    let said = site.says(2 * HOUR, 0);
    assert!(said.contains("added bob") && said.contains("removed u1"), "{said}");
    assert_eq!(deleted(&site), [format!("DELETE /fleet{MEMBERS}/1?skip_subresources=true")]);
}

#[test]
fn one_machine_tells_a_directory_a_topic_an_approvers_group_and_a_log() {
    const GROUP: &str = "cn=oncall,ou=groups,dc=example,dc=com";
    let site = Site::start();
    let host = &site.suite.host;
    let taken = graylog(host);
    let slapd = Slapd::start(host);
    slapd.furnish(&site.suite, |name| format!("{name}@example.com"));
    slapd.modify(&format!(
        "dn: {GROUP}\nchangetype: add\nobjectClass: groupOfNames\nmember: cn=robot,dc=example,dc=com\n"
    ));
    let (dn, password) = Slapd::WRITER;
    host.write("/etc/authkeys/sink-password", format!("{password}\n"), 0o640);
    host.must("chgrp oncall-sink /etc/authkeys/sink-password");
    let rules = "[host]\nname = 'testhost'\n[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                 [policy]\n[[policy.rule]]\nname = 'everywhere'\nschedules = ['rota/primary']\n";
    host.write("/etc/authkeys/config.toml", Slapd::section(&[Slapd::LDAPS_URL]) + rules, 0o644);
    // carol, who is no user at GitLab, is on call with alice; bob replaces both for a while, and has the next shift.
    let shift = |kind: &str, person: &str, from: i64, to: i64| {
        let (from, to) = (instant(now() + from), instant(now() + to));
        format!("[[schedule.{kind}]]\nperson = '{person}'\nstart = {from}\nend = {to}\n")
    };
    let rota = [
        "[[schedule]]\nid = 'primary'\nname = 'primary'\n".to_string(),
        shift("shift", "alice", -HOUR, 4 * HOUR),
        shift("shift", "carol", -HOUR, 4 * HOUR),
        shift("shift", "bob", 4 * HOUR, 9 * HOUR),
        shift("override", "bob", HOUR, 2 * HOUR),
    ];
    host.write("/etc/authkeys/rota.toml", rota.concat(), 0o644);
    site.suite.sync();
    site.configure(&[
        ("gelf", "server = '127.0.0.1:12201'\ntransport = 'tcp'".into()),
        ("slack_topic", slack()),
        ("gitlab_group", gitlab()),
        ("ldap_group", format!("group = '{GROUP}'\nbind_dn = '{dn}'\nbind_password_file = 'sink-password'")),
    ]);
    let (mut topic, mut members) = ("| runbooks".to_string(), vec![member(7, 50, ("", Value::Null))]);
    let mut told = 0;
    for (ahead, people, ids) in [
        (0, &["alice", "carol"][..], &[1][..]),
        (90 * 60, &["bob"], &[2]),
        (3 * HOUR, &["alice", "carol"], &[1]),
        (5 * HOUR, &["bob"], &[2]),
    ] {
        for is_again in [false, true] {
            show_topic(&site, &topic);
            play_gitlab(&site, &members);
            slapd.log();
            site.asked();
            let said = site.says(ahead, 0);
            let writes: Vec<String> =
                site.asked().into_iter().filter(|line| !line.starts_with("GET ")).collect();
            let changes = slapd.log().matches(&format!("MOD dn=\"{GROUP}\"")).count();
            if is_again {
                assert_eq!((writes, changes), (vec![], 0), "{said}");
                continue;
            }
            // One request that sets the topic; one more, and from then on one less, of members; one change of the group.
            assert_eq!(writes.iter().filter(|line| line.ends_with("setTopic")).count(), 1, "{said}");
            assert_eq!(writes.len(), if ahead == 0 { 2 } else { 3 }, "{writes:?}");
            assert_eq!(changes, 1, "{said}");
            topic = format!("On call: {} | runbooks", people.join(", "));
            members.truncate(1);
            members.extend(ids.iter().map(|id| member(*id, 30, ("", Value::Null))));
            told += usize::from(ahead > 0);
            wait_until("the log has it", || taken.lock().expect("a list").len() >= told);
        }
        assert_eq!(taken.lock().expect("a list").len(), told);
        let mut found = slapd.values(GROUP, "member");
        found.retain(|dn| dn.starts_with("uid="));
        found.sort();
        let expected: Vec<String> = people.iter().map(|name| format!("uid={name},{}", Slapd::BASE)).collect();
        assert_eq!(found, expected);
    }
    // One that fails stops no other.
    site.answer(INFO, 200, &json!({ "ok": false, "error": "token_revoked" }));
    play_gitlab(&site, &members);
    let said = site.says(0, 1);
    assert!(
        said.contains("slack_topic: Slack says token_revoked") && said.contains("ldap_group: added"),
        "{said}"
    );
    assert_eq!(slapd.values(GROUP, "member").len(), 3);
}
