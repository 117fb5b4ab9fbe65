//! docs/fleet.md, typed in as it is printed: tried on one machine, and what is done when a key, a collector or a store
//! changes or is lost.

use std::process::Command;

use harness::bucket::Bucket;
use harness::fleet::{Fleet, Follower};
use harness::page::{UNITS, boxes};
use harness::suite::{HOUR, Suite, TEAM, now};
use harness::{Host, text, wait_until};

const SIGNERS: &str = "/etc/authkeys/fleet-signers";
const CONFIG: &str = "/etc/authkeys/collector.toml";
const STORE: &str = "/srv/authkeys-fleet";

/// Types in a box; what was printed.
fn type_in(host: &Host, commands: &str) -> String {
    host.must(&format!("set -e\n{commands}"))
}

/// Makes the host that a fleet comes with a collector, as the page says it, with this store or the page's own; and copies the
/// list of signers to all hosts. Its two syncs must have run.
fn set_up(fleet: &Fleet, store: Option<&str>) {
    let host = &fleet.collector.host;
    host.write("/usr/local/sbin/systemctl", UNITS, 0o755);
    host.must(&format!("rm {SIGNERS} {CONFIG} /etc/authkeys/fleet-key* && rmdir {STORE}"));
    let [make, config, start] = &boxes("The collector")[..] else { panic!("three boxes") };
    let (package, make) = make.split_once('\n').expect("more than one line");
    assert_eq!(package, "apt-get install ./oncall-collector_*.deb", "it is installed");
    type_in(host, make);
    // A collector is late sooner than after one and a half minutes.
    let faster = config.replace("# heartbeat = \"30s\"", "heartbeat = \"5s\"");
    assert_ne!(faster, *config);
    let (before, _) = faster.split_once("[store]").expect("a store");
    let config = store.map_or(faster.clone(), |store| before.to_string() + store);
    host.write(CONFIG, config, 0o644);
    let said = type_in(host, start);
    assert!(said.contains("this host  publishes"), "{said}");
    fleet.trust(&host.read(SIGNERS));
}

/// Who are listed as signers, in their order.
fn signers(host: &Host) -> Vec<String> {
    let name = |line: &str| line.split(' ').next().expect("a name").to_string();
    host.read(SIGNERS).lines().map(name).collect()
}

/// What private machines are called: as the real one.
fn own_name(host: &Host) -> String {
    host.must("uname -n").trim().to_string()
}

/// The value of a line of the head, where this machine has a store.
fn in_head(host: &Host, name: &str) -> String {
    let head = host.read(&format!("{STORE}/head"));
    let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {head}")).to_string()
}

fn on_call(fleet: &Fleet, names: &[&str]) {
    let shift = |name: &&'static str| (*name, now() - HOUR, now() + HOUR);
    let all = TEAM.map(|member| member.name);
    let shifts: Vec<_> = all.iter().filter(|name| names.contains(name)).map(shift).collect();
    fleet.on_call(&shifts);
}

/// Whose key opens root here.
fn roots(host: &Follower) -> Vec<&'static str> {
    let opens = |name: &&str| host.ssh(name, "root", "true").status.success();
    ["alice", "bob", "carol"].into_iter().filter(opens).collect()
}

/// A pull takes nothing over, and says this; `status` as well.
fn refuses(host: &Follower, word: &str) {
    let said = host.try_pull();
    assert_eq!(said.status.code(), Some(2), "{}", text(&said));
    assert!(text(&said).contains(word), "{}", text(&said));
    let status = text(&host.host.sh("oncall-cache status"));
    assert!(status.contains(word), "{word}: {status}");
}

#[test]
fn what_the_page_says_to_type_on_one_machine_shows_who_is_on_call_and_is_removed() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let [type_this, remove] = &boxes("Try it on one machine")[..] else { panic!("two boxes") };
    let said = suite.host.must(&format!("set -e\n{type_this}"));
    assert!(said.contains("\nprimary   1      alice    "), "{said}");
    // What this host synced is later than what the collector read; that is no failure.
    let status = suite.host.must("oncall-cache --config /etc/authkeys/try.toml status");
    assert!(status.starts_with("well: "), "{status}");

    // Root reads a key that the unit's user cannot: status says what publishing will.
    suite.host.must("chmod 600 /etc/authkeys/fleet-key");
    let status = suite.host.sh("oncall-collector status");
    assert!(text(&status).contains("Permission denied (os error 13); the unit's user reads it: chown root:"));
    assert_eq!(status.status.code(), Some(1), "{}", text(&status));
    suite.host.must("chmod 640 /etc/authkeys/fleet-key && chown -R root:root /srv/authkeys-fleet");
    for verb in ["status", "publish"] {
        let said = text(&suite.host.sh(&format!("oncall-collector {verb}")));
        let what = "oncall-collector, as which this runs, cannot write there; chown -R oncall-collector it";
        assert!(said.contains(what), "{verb}: {said}");
    }
    let said = text(&suite.host.sh("oncall-collector revoke alcie"));
    assert!(said.contains("the directory has no person alcie; is the name right?"), "{said}");

    // Also with both copies in one directory.
    for mark in ["/run/fleet-try/fleet.mark", "/run/fleet-try/keys.mark"] {
        assert!(suite.host.path(mark).exists(), "each of the two has a mark: {mark}");
    }
    suite.host.must(remove);
    for left in ["/etc/authkeys/fleet-key", "/var/lib/oncall-collector/mark", "/run/fleet-try"] {
        assert!(!suite.host.path(left).exists(), "{left}");
    }
}

#[test]
fn a77_the_page_rolls_the_signing_key_over_and_no_host_stops() {
    let fleet = Fleet::start(2);
    let collector = &fleet.collector.host;
    on_call(&fleet, &["alice"]);
    fleet.collector.sync();
    set_up(&fleet, None);
    let name = own_name(collector);
    assert_eq!(signers(collector), [&*name, "spare"]);
    fleet.pull();
    let [good, late] = &fleet.hosts[..] else { panic!("two hosts") };
    assert_eq!([roots(good), roots(late)], [["alice"]; 2]);
    let change = |names: &[&str]| {
        on_call(&fleet, names);
        fleet.collect();
    };
    let signatures = || collector.read(&format!("{STORE}/head")).matches("BEGIN SSH SIGNATURE").count();

    let [new, both, alone, last] = &boxes("Change the signing key")[..] else { panic!("four boxes") };
    type_in(collector, new);
    assert_eq!(signers(collector), [&*name, "spare", &format!("{name}-2")]);
    // One host misses it.
    let listed = collector.read(SIGNERS);
    good.host.write(SIGNERS, &listed, 0o644);
    type_in(collector, both);
    change(&["bob"]);
    assert_eq!(signatures(), 2);
    fleet.pull();
    assert_eq!([roots(good), roots(late)], [["bob"]; 2]);

    let said = type_in(collector, alone);
    assert!(said.contains("this host  publishes"), "{said}");
    change(&["carol"]);
    assert_eq!(signatures(), 1);
    good.pull();
    refuses(late, "head-signature");
    assert_eq!((roots(good), roots(late)), (vec!["carol"], vec!["bob"]), "it goes on with what it has");
    late.host.write(SIGNERS, &listed, 0o644);
    late.pull();
    assert_eq!(roots(late), ["carol"]);

    // Also while the store is down.
    let kept = "/root/kept-key";
    collector.must(&format!("install -m 600 /etc/authkeys/fleet-key {kept}"));
    fleet.stop_store();
    type_in(collector, last);
    assert!(!collector.path("/etc/authkeys/fleet-key").exists());
    assert_eq!(signers(collector), ["spare", &format!("{name}-2")]);
    fleet.trust(&collector.read(SIGNERS));
    for host in &fleet.hosts {
        refuses(host, "store-unreachable");
        host.sync_keys();
        assert_eq!(roots(host), ["carol"]);
    }
    fleet.start_store();
    change(&["alice"]);
    fleet.pull();
    assert_eq!([roots(good), roots(late)], [["alice"]; 2]);

    // Whoever has kept the old one is not heard.
    collector.must(&format!("install -m 640 -g oncall-collector {kept} /etc/authkeys/kept-key"));
    collector.write("/etc/authkeys/kept-signers", listed, 0o644);
    fleet.sign_with(&["kept-key"], "kept-signers");
    on_call(&fleet, &["bob"]);
    fleet.collector.sync();
    fleet.at_collector("publish --now");
    for host in &fleet.hosts {
        refuses(host, "head-signature");
        assert_eq!(roots(host), ["alice"]);
    }
}

#[test]
fn a78_the_page_adds_a_second_collector_that_takes_over() {
    let fleet = Fleet::start(1);
    let bucket = fleet.use_bucket();
    let [policy] = &boxes("The store: S3")[1..] else { panic!("a second box") };
    bucket.set_policy(policy);
    let (first, host) = (&fleet.collector, &fleet.hosts[0]);
    host.read_bucket(&bucket);
    on_call(&fleet, &["alice"]);
    first.sync();
    set_up(&fleet, Some(Bucket::STORE));
    fleet.pull();
    assert_eq!(roots(host), ["alice"]);

    // Copied as root copies files.
    let second = fleet.another_collector();
    second.host.write("/usr/local/sbin/systemctl", UNITS, 0o755);
    bucket.let_publish(&second.host);
    second.host.must("cd /etc/authkeys && chown root:root s3-credentials && chmod 600 s3-credentials");
    [CONFIG, SIGNERS].iter().for_each(|file| second.host.write(file, first.host.read(file), 0o644));
    second.sync();
    let [key, start] = &boxes("A second collector")[..] else { panic!("two boxes") };
    type_in(&second.host, key);
    let name = own_name(&first.host);
    // Both machines have one name, as two that were made from one image.
    assert_eq!(signers(&second.host), [&*name, "spare", &format!("{name}-2")]);
    fleet.trust(&second.host.read(SIGNERS));
    fleet.publish();
    let said = type_in(&second.host, start);
    assert!(said.contains(&format!("this host  does not publish: standing by: {name} published ")), "{said}");

    // The first one is gone; the second one's timer finds it late.
    on_call(&fleet, &["bob"]);
    second.sync();
    let mut said = String::new();
    wait_until("the second one takes over", || {
        said = second.must_as("oncall-collector", "oncall-collector publish");
        !said.contains("standing by")
    });
    assert!(said.contains("took over from a collector that is late"), "{said}");
    fleet.pull();
    assert_eq!(roots(host), ["bob"]);
    let said = fleet.publish();
    assert!(said.contains(&format!("standing by: {name}-2 published ")), "it is back: {said}");
}

/// Copies a store from one machine to another, as a program that keeps no owners.
fn copy_store(from: &Host, to: &Host) {
    let mut copy = Command::new("cp");
    let status = copy.args(["-r", "-T"]).args([from.path(STORE), to.path(STORE)]).status();
    assert!(status.expect("cp runs").success());
}

#[test]
fn a78_the_page_makes_another_collector_of_a_lost_one() {
    let fleet = Fleet::start(1);
    let (lost, host) = (&fleet.collector.host, &fleet.hosts[0]);
    on_call(&fleet, &["alice", "bob"]);
    fleet.collector.sync();
    set_up(&fleet, None);
    fleet.at_collector("revoke bob --reason 'laptop lost'");
    fleet.pull();
    assert_eq!(roots(host), ["alice"]);
    let sequence = in_head(lost, "sequence");
    fleet.requests();

    // It is a web server from now on, and another host takes its place, with the key that was in the safe.
    let next = fleet.another_collector();
    next.host.write("/usr/local/sbin/systemctl", UNITS, 0o755);
    next.host.write("/root/fleet-key-spare", lost.read("/root/fleet-key-spare"), 0o600);
    next.host.write(SIGNERS, host.host.read(SIGNERS), 0o644);
    next.host.write(CONFIG, lost.read(CONFIG), 0o644);
    copy_store(lost, &next.host);
    next.sync();
    let issued = in_head(lost, "issued");
    wait_until("the last publication is late", || {
        next.host
            .must(&format!("echo $(($(date +%s) - $(date -d {issued} +%s)))"))
            .trim()
            .parse::<u32>()
            .expect("seconds")
            > 15
    });
    let [take_over] = &boxes("A lost collector")[..] else { panic!("one box") };
    let said = type_in(&next.host, take_over);
    assert!(said.contains("this host  publishes"), "{said}");
    assert!(!next.host.path("/root/fleet-key-spare").exists());
    assert!(in_head(&next.host, "sequence") > sequence);
    copy_store(&next.host, lost);
    fleet.pull();
    assert_eq!(roots(host), ["alice"], "and bob is revoked still");
    let requests = fleet.requests();
    assert!(!requests.is_empty() && requests.iter().all(|one| one.path.ends_with("/head")), "{requests:?}");

    on_call(&fleet, &["bob", "carol"]);
    next.sync();
    next.must_as("oncall-collector", "oncall-collector publish");
    copy_store(&next.host, lost);
    fleet.pull();
    assert_eq!(roots(host), ["carol"]);
}

#[test]
fn a78_the_page_fills_a_new_store_when_one_is_lost() {
    let fleet = Fleet::start(1);
    let (collector, host) = (&fleet.collector.host, &fleet.hosts[0]);
    on_call(&fleet, &["alice", "bob"]);
    fleet.collector.sync();
    set_up(&fleet, None);
    fleet.at_collector("revoke bob --reason 'laptop lost'");
    fleet.pull();
    assert_eq!(roots(host), ["alice"]);

    let sequence = in_head(collector, "sequence");
    collector.must(&format!("rm -r {STORE}"));
    refuses(host, "store-unreachable");
    assert_eq!(roots(host), ["alice"]);
    let [fill] = &boxes("A lost store")[..] else { panic!("one box") };
    let said = type_in(collector, fill);
    assert!(said.contains("this host  publishes"), "{said}");
    assert!(in_head(collector, "sequence") > sequence);
    fleet.pull();
    assert_eq!(roots(host), ["alice"], "and bob is revoked still");
    on_call(&fleet, &["carol"]);
    fleet.collect();
    fleet.pull();
    assert_eq!(roots(host), ["carol"]);
}
