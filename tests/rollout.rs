//! Ending sessions, rolled out by the Ansible role on booted hosts on which somebody has been root for a while.

use harness::records::word;
use harness::releases::THIS;
use harness::suite::{DAY, HOUR, instant, now};
use harness::{Booted, Site, packages, text, wait_until, wait_within};
use serde_json::{Value, json};

use crate::ending::{Terminal, ended, ids, runs, sessions};

const NAMES: [&str; 2] = ["db1", "db2"];

/// Variables of the role: what becomes of sessions whose right has ended.
fn with_action(action: &str) -> Value {
    let end = format!("{{'action': '{action}', 'warn': '1m', 'grace': '1m'}}");
    let config = format!("{{{{ config | combine({{'policy': {{'end': {end}}}}}, recursive=true) }}}}");
    json!({ "authkeys_mode": "enforce", "authkeys_config": config })
}

/// What systemd says of the unit that watches what the syncs read.
fn watch(host: &Booted, property: &str) -> String {
    host.must(&format!("systemctl show --value --property {property} authkeys-changed.path"))
        .trim()
        .to_string()
}

/// A drop-in by which that unit does not start, for the reason that it has where root has no inotify instances left: the kernel
/// has no watch for it. That of the whole machine other tests would miss.
const UNWATCHED: &str = "/etc/systemd/system/authkeys-changed.path.d/loop.conf";

fn let_nothing_be_watched(host: &Booted) {
    host.must(&format!("ln -s loop /run/loop && mkdir $(dirname {UNWATCHED})"));
    host.write(UNWATCHED, "[Path]\nPathChanged=/run/loop/file\n", 0o644);
}

/// alice's shell by sudo, with a `sleep` of this length, and her connection to root, with one that is longer by one.
fn open<'h>(host: &'h Booted, length: u32) -> [Terminal<'h>; 2] {
    let mut own = Terminal::open(host, "alice", "alice");
    own.types("sudo -n -i");
    own.run("SLEEP", length);
    let mut root = Terminal::open(host, "alice", "root");
    root.run("SLEEP", length + 1);
    [own, root]
}

#[test]
fn a90_kill_that_ansible_rolls_out_ends_no_shell_that_was_open_before() {
    let site = Site::start();
    let slapd = site.directory();
    let hosts = NAMES.map(|name| site.host(name));
    for host in &hosts {
        site.let_ansible_in(host);
        host.must("mkdir -m 700 /root/keys");
        host.write("/root/keys/alice", site.network.read("/root/keys/alice"), 0o600);
    }
    let named: Vec<_> = NAMES.into_iter().zip(&hosts).collect();
    site.write_inventory(&slapd, &named, &packages::debs_inside(&THIS));
    site.on_call(&[("alice", now() - HOUR, now() + DAY)]);
    let spared = &hosts[1];
    let_nothing_be_watched(spared);
    let run = site.play_well(2, &with_action("list"));
    assert_eq!(run.count("rescued"), 1, "{}", run.gist());
    assert!(run.said.contains("has no inotify instances left"), "{}", run.said);
    assert_eq!([watch(&hosts[0], "Result"), watch(spared, "Result")], ["success", "resources"]);
    assert_eq!(watch(spared, "UnitFileState"), "enabled", "the next boot starts it");
    let doctors = hosts.each_ref().map(|host| text(&host.sh("oncall-cache doctor --json")));
    let is_told = |doctor: &String| doctor.contains("authkeys-changed.path is failed");
    assert_eq!(doctors.each_ref().map(is_told), [false, true], "{doctors:#?}");

    let _old = hosts.each_ref().map(|host| open(host, 7701));
    let before = hosts.each_ref().map(|host| ids(host, "alice"));
    assert!(before.iter().all(|ids| ids.len() == 2), "{before:?}");
    spared.must(&format!("rm {UNWATCHED} && systemctl daemon-reload"));
    let run = site.play_well(2, &with_action("kill"));
    assert_eq!(
        (run.count("rescued"), watch(spared, "ActiveState").as_str()),
        (0, "active"),
        "{}",
        run.gist()
    );
    let since = now();
    wait_until("what is opened from now on is under that", || now() > since + 1);
    let _new = hosts.each_ref().map(|host| open(host, 7711));

    // The strongest that there is: no warning, no grace.
    let mut revoked = with_action("kill");
    revoked["authkeys_files"] =
        json!([{ "name": "revoked", "content": format!("alice {} root left\n", instant(now())) }]);
    site.play_well(2, &revoked);
    for (host, before) in hosts.iter().zip(&before) {
        wait_within(900, "what was opened since is ended", || !runs(host, 7711) && !runs(host, 7712));
        wait_until("that is recorded", || ended(host, "alice", "revoked").len() == 2);
        assert!(runs(host, 7701) && runs(host, 7702), "what was there before");
        let (_, said) = sessions(host, "");
        let left = said["sessions"].as_array().expect("a list").iter();
        let left: Vec<_> = left.filter(|one| before.iter().any(|id| *id == word(one, "id"))).collect();
        assert!(left.len() == 2 && left.iter().all(|one| one["end"]["why"] == "opened-before"), "{said:#}");
        for record in ended(host, "alice", "revoked") {
            assert!(!before.iter().any(|id| *id == word(&record, "id")), "{record}");
        }
        let warned = host.must("journalctl -q -o cat -t oncall-cache -g decision=warned || :");
        assert!(!before.iter().any(|id| warned.contains(id.as_str())), "{warned}");
        // By hand they end.
        let (_, said) = sessions(host, "--person alice --reason 'left open'");
        assert!(!runs(host, 7701) && !runs(host, 7702), "{said:#}");
    }
}
