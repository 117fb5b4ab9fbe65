//! docs/notify.md, typed in as it is printed.

use harness::notices::{Notices, SECRET};
use harness::page::boxes_of;

const CONFIG: &str = "/etc/authkeys/notify.toml";

fn boxes(heading: &str) -> Vec<String> {
    boxes_of(include_str!("../docs/notify.md"), heading)
}

/// `config check`, as the page types it.
fn check(site: &Notices) {
    let commands = &boxes("Try it")[0];
    let command = commands.lines().find(|line| line.ends_with("config check")).expect("the command");
    site.host.must(command);
}

#[test]
fn what_the_page_says_to_type_sets_it_up_and_tells_a_channel() {
    let site = Notices::start();
    site.answer("/api/chat.postMessage", 200, "{\"ok\":true}");
    let host = &site.host;
    host.must("mkdir -p /var/log/authkeys /srv/records && groupadd -f oncall-notify");
    host.must("touch /var/log/authkeys/decisions.jsonl");
    host.write("/etc/authkeys/slack-token", format!("{SECRET}\n"), 0o600);
    let [config] = &boxes("Ten lines")[..] else { panic!("one box") };
    host.write(CONFIG, config, 0o644);
    let [install, group] = &boxes("Where it runs")[..] else { panic!("two boxes") };
    let (package, rest) = install.split_once('\n').expect("more than one line");
    // The test `packages` installs it; here is its user.
    assert_eq!(package, "apt-get install ./oncall-notify_*.deb");
    let (rest, start) = rest.trim_end().rsplit_once('\n').expect("more than one line");
    assert_eq!(start, "systemctl enable --now oncall-notify");
    host.must(&format!("set -e\n{rest}"));
    host.must(group);
    check(&site);

    // Slack is this machine's own.
    let slack = format!("api = \"{}\", ca_file = \"ca.pem\" }}", site.url("/api"));
    let own = config.replace(" }\n", &format!(", {slack}\n")).replace("/srv/records", "/var/log/authkeys");
    host.write(CONFIG, own, 0o644);
    let [commands] = &boxes("Try it")[..] else { panic!("one box") };
    let said = host.must(&format!("set -e\n{commands}"));
    assert!(said.contains("channel ops: delivered notice "), "{said}");
    assert!(said.contains("nothing would be told"), "{said}");
    let asked = site.wait_for("/api/chat.postMessage", 1);
    assert!(String::from_utf8_lossy(&asked[0].body).contains("this is a test, nobody logged in"));
}

#[test]
fn every_channel_and_filter_that_the_page_shows_is_right() {
    let site = Notices::start();
    for name in ["slack-token", "mail-password", "webhook-secret", "pagerduty-key"] {
        site.host.must(&format!("cp -a /etc/authkeys/secret /etc/authkeys/{name}"));
    }
    site.host.must("printf '%032d\\n' 7 >/etc/authkeys/pagerduty-key");
    let [kinds] = &boxes("Channels")[..] else { panic!("one box") };
    let channels = kinds.lines().enumerate();
    let channels: String =
        channels.map(|(number, kind)| format!("[[channel]]\nname = \"c{number}\"\n{kind}\n")).collect();
    assert_eq!(kinds.lines().count(), 7);
    let [filter] = &boxes("Filters and templates")[..] else { panic!("one box") };
    site.configure(&(channels + filter));
    check(&site);
    let night = |host: &str| {
        let record = format!(
            "{{\"version\":1,\"time\":\"2026-11-30T03:02:11Z\",\"host\":\"{host}\",\"id\":\"00000000000000aa\",\
             \"phase\":\"session\",\"effect\":\"pass\",\"person\":\"alice\",\"account\":\"root\",\"reason\":\"oncall\"}}\n"
        );
        site.append(&record);
    };
    night("db1");
    night("test7");
    let said = site.host.must("runuser -u oncall-notify -- oncall-notify run --dry-run");
    assert_eq!(said.matches("night: ").count(), 1, "{said}");
    assert!(said.contains("night: alice is root on db1 (oncall), 00000000000000aa"), "{said}");
}
