//! A fleet's publications under way: replaced while hosts fetch them, made by two collectors, cut off at any moment by a
//! kill or a full disk. The programs and nginx are the real ones; many hosts are many configurations on one machine.

mod bucket;
mod orders;
mod second;

use std::collections::BTreeSet;
use std::process::Output;
use std::time::{Duration, Instant};

use harness::fleet::{Fleet, Follower};
use harness::nginx::Nginx;
use harness::size::sized;
use harness::suite::{DAY, HOUR, Suite, TEAM, instant, now};
use harness::{Host, Moments, text, wait_until, wait_within};
use serde_json::Value;

/// The collector: one source with two schedules, of which each publication here says the same.
const COLLECTOR: &str = r#"
[host]
name = "collector"
[directory]
file = "people.toml"
[[oncall.source]]
name = "rota"
provider = "rota"
file = "rota.toml"
[policy]
exempt_accounts = ["breakglass"]
[[policy.rule]]
name = "everywhere"
schedules = ["rota/one", "rota/other"]
"#;

/// One of many hosts on a machine, with copies of its own.
const HOST: &str = r#"
[host]
name = "NAME"
[fleet]
id = "example"
urls = ["URL"]
ca_file = "store-ca.pem"
header_file = "store-header"
[directory]
fleet = true
[[oncall.source]]
name = "rota"
provider = "fleet"
schedules = ["one", "other"]
[policy]
exempt_accounts = ["breakglass"]
[[policy.rule]]
name = "everywhere"
schedules = ["rota/one", "rota/other"]
[paths]
roster = "/var/lib/NAME-cache/roster.db"
keys = "/var/lib/NAME-keys/keys.db"
"#;

/// A fleet with one machine of hosts, whose collector has both schedules.
fn start() -> Fleet {
    let fleet = Fleet::start(1);
    fleet.collector.host.write("/etc/authkeys/config.toml", COLLECTOR, 0o644);
    write_rota(&fleet.collector, "/etc/authkeys/rota.toml", "alice");
    fleet
}

/// Writes a rota by which `person` is on call in both schedules, for a day.
fn write_rota(suite: &Suite, path: &str, person: &str) {
    let (start, end) = (instant(now() - HOUR), instant(now() + DAY));
    let schedule = |id: &str| {
        format!(
            "[[schedule]]\nid = '{id}'\nname = '{id}'\n[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}\n"
        )
    };
    suite.host.write(path, schedule("one") + &schedule("other"), 0o644);
}

/// Makes `person` the one on call, and publishes it.
fn publish(fleet: &Fleet, person: &str) {
    write_rota(&fleet.collector, "/etc/authkeys/rota.toml", person);
    fleet.collect();
}

/// A host among many on one machine.
struct One<'f> {
    machine: &'f Follower,
    name: String,
}

impl<'f> One<'f> {
    /// Makes it: nothing of the fleet is on it yet. `url` is its store's.
    fn new(machine: &'f Follower, name: &str, url: &str) -> Self {
        let config = HOST.replace("NAME", name).replace("URL", url);
        machine.host.write(&format!("/etc/authkeys/{name}.toml"), config, 0o644);
        let one = Self { machine, name: name.to_string() };
        one.forget();
        one
    }

    /// Forgets all that it was shown, as a host that is installed anew.
    fn forget(&self) {
        let name = &self.name;
        self.machine.host.must(&format!(
            "rm -rf /var/lib/{name}-cache /var/lib/{name}-keys
             install -d -o oncall-cache -g oncall-cache -m 755 /var/lib/{name}-cache
             install -d -o oncall-cache -g authkeys -m 750 /var/lib/{name}-cache/fleet
             install -d -o authkeys-sync -g authkeys -m 755 /var/lib/{name}-keys"
        ));
    }

    fn pull_command(&self) -> String {
        format!("oncall-cache --config /etc/authkeys/{}.toml pull --now", self.name)
    }

    fn try_pull(&self) -> Output {
        self.machine.run_as("oncall-cache", &self.pull_command())
    }

    /// Copies people as they are in the mirror, and pulls; both must succeed.
    fn pull(&self) {
        self.copy_people();
        self.machine.must_as("oncall-cache", &self.pull_command());
    }

    fn copy_people(&self) {
        self.machine
            .must_as("authkeys-sync", &format!("authkeys-sync --config /etc/authkeys/{}.toml", self.name));
    }

    /// A whole first day: the roster wants to know who is eligible, and people come with the mirror.
    fn settle(&self) {
        let _ = self.try_pull();
        self.pull();
        self.pull();
    }

    fn who_command(&self) -> String {
        format!("oncall-cache --config /etc/authkeys/{}.toml who --json", self.name)
    }

    /// Who is on call on it.
    fn on_call(&self) -> BTreeSet<String> {
        let said = self.machine.host.sh(&self.who_command());
        people(
            &serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&said))),
        )
    }
}

/// Who is on call by an answer of `who --json`, in whichever schedule.
fn people(who: &Value) -> BTreeSet<String> {
    let rows = who["schedules"].as_array().unwrap_or_else(|| panic!("{who}"));
    let people = rows.iter().flat_map(|row| row["now"].as_array().expect("a list"));
    people.map(|stretch| stretch["person"].as_str().expect("a name").to_string()).collect()
}

fn only(person: &str) -> BTreeSet<String> {
    BTreeSet::from([person.to_string()])
}

/// The value of a line of the head in the store.
fn in_head(fleet: &Fleet, name: &str) -> String {
    let head = fleet.collector.host.read(&format!("{}/head", Nginx::DIRECTORY));
    let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {head}")).to_string()
}

#[test]
fn a71_ten_syncs_with_nothing_new_move_head_alone() {
    let fleet = Fleet::start(1);
    fleet.on_call(&[("alice", now() - HOUR, now() + DAY)]);
    fleet.collect();
    fleet.pull();
    let objects =
        || fleet.collector.host.must(&format!("ls -l --time-style=full-iso {}/o", Nginx::DIRECTORY));
    let parts = || ["rota", "people", "revoked"].map(|name| in_head(&fleet, name));
    let mirrored = || fleet.hosts[0].host.must("ls -l --time-style=full-iso /var/lib/oncall-cache/fleet/o");
    let (before, said, kept) = (objects(), parts(), mirrored());
    let mut sequence = in_head(&fleet, "sequence");
    fleet.requests();
    for _ in 0..10 {
        fleet.collect();
        fleet.pull();
        let next = in_head(&fleet, "sequence");
        assert!(next > sequence, "{next} after {sequence}");
        sequence = next;
    }
    assert_eq!((objects(), parts(), mirrored()), (before, said, kept));
    let requests = fleet.requests();
    assert_eq!(requests.len(), 10, "{requests:?}");
    for request in requests {
        assert_eq!((&*request.path, request.status), ("/fleet/head", 200));
        assert!(request.bytes <= 2048, "{request:?}");
    }
}

#[test]
fn a71_a_head_that_is_replaced_while_hosts_fetch_shows_no_mixture() {
    // Whole, fifty hosts for a minute, with twenty publications a second as far as processors allow: for as many.
    let (count, least, time) = sized((12, 20, MINUTE / 3), (50, 20 * 60, MINUTE));
    let fleet = start();
    let (collector, machine) = (&fleet.collector, &fleet.hosts[0]);
    for person in ["alice", "bob"] {
        write_rota(collector, &format!("/run/rota.{person}"), person);
    }
    fleet.collect();
    let hosts: Vec<One> =
        (0..count).map(|number| One::new(machine, &format!("h{number}"), Nginx::URL)).collect();
    hosts.iter().for_each(One::settle);

    // The rota changes as often as a sync reads it; two more loops publish as often as they can.
    let sync = "while [ ! -e /run/stop ]; do
        for person in alice bob; do
            cp /run/rota.$person /etc/authkeys/rota.toml
            setpriv --reuid=oncall-cache --regid=oncall-cache --init-groups oncall-cache sync >/dev/null || echo failed
        done
    done; echo done";
    let publish = "while [ ! -e /run/stop ]; do
        setpriv --reuid=oncall-collector --regid=oncall-collector --init-groups oncall-collector publish && echo published
    done; echo done";
    let publishers = ["/run/publish.1.log", "/run/publish.2.log"];
    for (script, log) in [(sync, "/run/sync.log"), (publish, publishers[0]), (publish, publishers[1])] {
        collector.host.daemon(&["/bin/sh", "-c", script], log);
    }
    for host in &hosts {
        let (pull, who, name) = (host.pull_command(), host.who_command(), &host.name);
        let script = format!(
            "while [ ! -e /run/stop ]; do
                setpriv --reuid=oncall-cache --regid=oncall-cache --init-groups \
                    {pull} >/run/{name}.pull 2>&1 && echo whole >>/run/{name}.whole
                {who} >>/run/{name}.seen
            done; echo done >>/run/{name}.whole"
        );
        machine.host.daemon(&["/bin/sh", "-c", &script], "/dev/null");
    }
    let start = Instant::now();
    let of_host = |host: &One, what: &str| {
        let path = machine.host.path(&format!("/run/{}.{what}", host.name));
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let published = || {
        publishers.iter().map(|log| collector.host.read(log).matches("published\n").count()).sum::<usize>()
    };
    let have_seen = |person: &str| hosts.iter().any(|host| of_host(host, "seen").contains(person));
    // On a busy machine fifty hosts leave two publications a second.
    let limit = sized(900, 7_200);
    wait_within(limit, "time has passed, enough was published, and each host has pulled some times", || {
        start.elapsed() > time
            && published() > least
            && hosts.iter().all(|host| of_host(host, "whole").lines().count() >= 3)
            && have_seen("alice")
            && have_seen("bob")
    });
    let (published, seconds) = (published(), start.elapsed().as_secs_f64());
    println!(
        "{count} hosts, {published} publications in {seconds:.1} s: {:.1} a second",
        published as f64 / seconds
    );
    [collector, &**machine].iter().for_each(|suite| suite.host.write("/run/stop", "", 0o644));
    // Whoever is at work still would publish an older rota after what comes below.
    for log in ["/run/sync.log", publishers[0], publishers[1]] {
        wait_until("the collector has stopped", || collector.host.read(log).ends_with("done\n"));
    }
    let mut shown = BTreeSet::new();
    for host in &hosts {
        wait_until("a host has stopped", || of_host(host, "whole").ends_with("done\n"));
        let seen = of_host(host, "seen");
        for who in serde_json::Deserializer::from_str(&seen).into_iter::<Value>() {
            let people = people(&who.expect("JSON"));
            assert_eq!(people.len(), 1, "{}: a mixture of two publications", host.name);
            shown.extend(people);
        }
    }
    assert_eq!(shown.len(), 2, "hosts have seen both: {shown:?}");
    // Nobody is left behind.
    self::publish(&fleet, "carol");
    for host in &hosts {
        host.pull();
        assert_eq!(host.on_call(), only("carol"), "{}", host.name);
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// So many kills strike before what counts is done, and so many after it, at least.
const LEAST: u32 = 3;

/// Runs a command as `user`, and kills it so long afterwards.
fn kill_after(suite: &Suite, user: &str, command: &str, after: Duration) {
    let (seconds, user) = (after.as_secs_f64(), format!("--reuid={user} --regid={user} --init-groups"));
    // No time at all would be no limit.
    suite.host.sh(&format!("timeout -s KILL {:.4} setpriv {user} {command}", seconds.max(0.0005)));
}

#[test]
fn a73_a_publish_that_is_killed_leaves_a_head_whose_objects_exist() {
    let fleet = start();
    let collector = &fleet.collector;
    fleet.collect();
    let (host, fresh) =
        (One::new(&fleet.hosts[0], "h", Nginx::URL), One::new(&fleet.hosts[0], "fresh", Nginx::URL));
    host.settle();
    write_rota(collector, "/etc/authkeys/rota.toml", "carol");
    collector.sync();
    let mut moments = Moments::of(sized(40, 200), LEAST, || drop(fleet.publish()));
    let (mut known, mut kills) = ("carol", 0);
    while let Some(after) = moments.next_kill() {
        let person = if known == "alice" { "bob" } else { "alice" };
        write_rota(collector, "/etc/authkeys/rota.toml", person);
        collector.sync();
        kill_after(collector, "oncall-collector", "oncall-collector publish", after);
        host.pull();
        let shown = host.on_call();
        assert!(
            shown == only(known) || shown == only(person),
            "{known} became {person} and shown is {shown:?}"
        );
        moments.struck(shown == only(person));
        known = if shown == only(person) { person } else { known };
        kills += 1;
        if kills % 8 == 0 {
            fresh.forget();
            fresh.settle();
            assert_eq!(fresh.on_call(), only(known));
        }
    }
    publish(&fleet, "alice");
    host.pull();
    assert_eq!(host.on_call(), only("alice"));
}

#[test]
fn a73_a_pull_that_is_killed_leaves_the_old_state_or_the_new() {
    let fleet = start();
    fleet.collect();
    let host = One::new(&fleet.hosts[0], "h", Nginx::URL);
    host.settle();
    publish(&fleet, "bob");
    let mut moments = Moments::of(sized(40, 200), LEAST, || drop(host.try_pull()));
    host.pull();
    let mut known = "bob";
    while let Some(after) = moments.next_kill() {
        let person = if known == "bob" { "alice" } else { "bob" };
        publish(&fleet, person);
        kill_after(host.machine, "oncall-cache", &host.pull_command(), after);
        let shown = host.on_call();
        assert!(
            shown == only(known) || shown == only(person),
            "{known} became {person} and shown is {shown:?}"
        );
        moments.struck(shown == only(person));
        host.pull();
        assert_eq!(host.on_call(), only(person));
        known = person;
    }
}

/// Puts a file system of so many KiB at `directory` of a machine, with what was there.
fn make_small(suite: &Suite, directory: &str, kibibytes: u32) {
    suite.host.must(&format!(
        "cp -a {directory} /run/kept && mount -t tmpfs -o size={kibibytes}k tmpfs {directory} &&
         cp -a /run/kept/. {directory}/ && chown --reference=/run/kept {directory} &&
         chmod --reference=/run/kept {directory} && rm -r /run/kept"
    ));
}

/// Fills it but for so many KiB.
fn fill(suite: &Suite, directory: &str, free: u32) {
    suite.host.must(&format!(
        "head -c {free}k /dev/zero >{directory}/.free; cat /dev/zero >{directory}/.full 2>/dev/null; rm {directory}/.free"
    ));
}

fn empty(suite: &Suite, directory: &str) {
    suite.host.must(&format!("rm -f {directory}/.full {directory}/.free"));
}

#[test]
fn a73_a_full_disk_at_the_collector_leaves_what_is_published() {
    let fleet = start();
    let collector = &fleet.collector;
    fleet.collect();
    let host = One::new(&fleet.hosts[0], "h", Nginx::URL);
    host.settle();
    let mut failed = 0;
    for directory in [Nginx::DIRECTORY, "/var/lib/oncall-collector"] {
        make_small(collector, directory, 1024);
        for free in [0, 4, 8, 12, 16, 24] {
            let person = if free % 8 == 0 { "alice" } else { "bob" };
            write_rota(collector, "/etc/authkeys/rota.toml", person);
            collector.sync();
            fill(collector, directory, free);
            let before = host.on_call();
            let said = collector.run_as("oncall-collector", "oncall-collector publish");
            failed += u32::from(!said.status.success());
            host.pull();
            let shown = host.on_call();
            assert!(shown == before || shown == only(person), "{directory}, {free}: {shown:?}");
            assert!(said.status.success() || text(&said).contains("No space left"), "{}", text(&said));
            empty(collector, directory);
            fleet.publish();
            host.pull();
            assert_eq!(host.on_call(), only(person));
        }
    }
    assert!(failed >= 4, "{failed} publications did not fit");
}

#[test]
fn a73_a_full_disk_on_a_host_leaves_what_it_has() {
    let fleet = start();
    fleet.collect();
    let host = One::new(&fleet.hosts[0], "h", Nginx::URL);
    host.settle();
    let directory = "/var/lib/h-cache";
    make_small(host.machine, directory, 1024);
    let mut failed = 0;
    for free in [0, 4, 8, 12, 16, 24, 32, 48] {
        let person = if free % 8 == 0 { "bob" } else { "alice" };
        publish(&fleet, person);
        let before = host.on_call();
        fill(host.machine, directory, free);
        let said = host.try_pull();
        failed += u32::from(!said.status.success());
        let shown = host.on_call();
        assert!(shown == before || shown == only(person), "{free}: {shown:?} after {}", text(&said));
        empty(host.machine, directory);
        host.pull();
        assert_eq!(host.on_call(), only(person), "{free}");
    }
    assert!(failed >= 3, "{failed} pulls did not fit");
}
