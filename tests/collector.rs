//! What a collector publishes to a directory, by the real programs: what moves, what stays, who publishes, and what
//! survives a kill at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use ::fleet::people::{Node, difference};
use ::fleet::{Digest, Head, LARGEST_INDEX, LARGEST_OBJECT, ObjectRef, RotaIndex, ScheduleShifts};
use harness::fleet::Fleet;
use harness::size::sized;
use harness::suite::{CONFIG, HOUR, Suite, TEAM, now};
use harness::{Moments, text};

const STORE: &str = "/srv/fleet";

/// A collector on a machine of its own.
struct Collector {
    suite: Suite,
}

/// The configuration of the second collector's syncs, which reads the same people.
fn second_config() -> String {
    CONFIG.replace("\"people.toml\"", "\"/etc/authkeys/people.toml\"")
}

/// What a store has, as a host reads it.
struct Published {
    head: Head,
    length: usize,
    objects: BTreeMap<Digest, Vec<u8>>,
}

impl Collector {
    /// A machine with alice on call, both copies made, and a collector that has published nothing.
    fn start() -> Self {
        let suite = Suite::start();
        suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, 3 * HOUR)]);
        let host = &suite.host;
        host.must(&format!("install -d -o oncall-collector -g oncall-collector -m 755 {STORE}"));
        let collector = Self { suite };
        collector.configure("/etc/authkeys", "one", "/var/lib/oncall-collector");
        collector.suite.sync();
        collector
    }

    /// Makes a key and a configuration in `directory`, for a collector that keeps its state in `state`.
    fn configure(&self, directory: &str, name: &str, state: &str) {
        let host = &self.suite.host;
        let toml = format!(
            "fleet = 'example'\nsigners = '/etc/authkeys/fleet-signers'\nstate = '{state}'\n[store]\ndirectory = '{STORE}'\n"
        );
        host.must(&format!(
            "install -d {directory} && install -d -m 750 -o oncall-collector -g oncall-collector {state}"
        ));
        host.write(&format!("{directory}/collector.toml"), toml, 0o644);
        host.must(&format!(
            "oncall-collector key new {directory}/fleet-key --name {name} >>/etc/authkeys/fleet-signers"
        ));
    }

    /// A second collector on the same machine, with the same copies; how it is called.
    fn second(&self) -> String {
        self.configure("/etc/authkeys/second", "two", "/var/lib/oncall-collector-2");
        let host = &self.suite.host;
        host.write("/etc/authkeys/second/config.toml", second_config(), 0o644);
        "--config /etc/authkeys/second/collector.toml".to_string()
    }

    fn try_at(&self, words: &str) -> Output {
        self.suite.run_as("oncall-collector", &format!("oncall-collector {words}"))
    }

    fn at(&self, words: &str) -> String {
        let output = self.try_at(words);
        assert!(output.status.success(), "{words}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn refused(&self, words: &str, code: i32) -> String {
        let output = self.try_at(words);
        assert_eq!(output.status.code(), Some(code), "{words}: {}", text(&output));
        text(&output)
    }

    fn store(&self) -> PathBuf {
        self.suite.host.path(STORE)
    }

    /// All that is published.
    fn published(&self) -> Published {
        Published::read(&self.store())
    }

    /// Each file of the store but the head, with what shows that it was written again.
    fn files(&self) -> BTreeSet<(PathBuf, u64, i64, i64)> {
        let list = |name: &str| fs::read_dir(self.store().join(name)).into_iter().flatten().flatten();
        let files = list("o").chain(list("h")).map(|entry| {
            let found = entry.metadata().expect("a file");
            (entry.path(), found.ino(), found.mtime(), found.mtime_nsec())
        });
        files.collect()
    }
}

impl Published {
    /// What is in this directory; everything that the head names must be there, and be what it is named.
    fn read(root: &Path) -> Self {
        let document = fs::read(root.join("head")).expect("a head");
        let end = document.windows(5).position(|bytes| bytes == b"-----").expect("a signature");
        let head = Head::parse(&document[..end]).expect("a head");
        let mut objects = BTreeMap::new();
        let mut read = |object: &ObjectRef, limit| {
            let stored =
                fs::read(root.join(format!("o/{}", object.digest))).expect("a named object is there");
            let bytes = mirror::extract(object, &stored, limit).expect("an object is what it is named");
            objects.insert(object.digest, bytes.clone());
            bytes
        };
        read(&head.revoked.object, LARGEST_OBJECT);
        if let Some(rota) = &head.rota {
            let index = RotaIndex::parse(&read(&rota.object, LARGEST_INDEX)).expect("an index");
            for schedule in index.schedules() {
                ScheduleShifts::parse(&read(&schedule.shifts.object, LARGEST_OBJECT)).expect("shifts");
            }
        }
        if let Some(people) = &head.people {
            let found = difference(people, None, |node: &Node| {
                Ok::<_, String>(Some(read(&node.part.object, LARGEST_OBJECT)))
            });
            for bucket in found.expect("a tree").buckets {
                bucket.bucket(&read(&bucket.part.object, LARGEST_OBJECT)).expect("a bucket");
            }
        }
        if let Some(pack) = &head.pack {
            read(pack, LARGEST_OBJECT);
        }
        Published { head, length: document.len(), objects }
    }
}

#[test]
fn a71_a_heartbeat_moves_the_head_alone() {
    let collector = Collector::start();
    let said = collector.at("publish");
    assert!(said.contains(": 1 schedule read ") && said.contains(" people read "), "{said}");
    let first = collector.published();
    let files = collector.files();
    let mut last = first.head.clone();
    let mut lengths = vec![first.length];
    for _ in 0..10 {
        collector.suite.sync();
        let said = collector.at("publish");
        assert!(said.contains("0 objects written; nothing new"), "{said}");
        let next = collector.published();
        assert!(next.head.sequence > last.sequence);
        assert_eq!(
            (next.head.rota, next.head.people, next.head.revoked),
            (last.rota, last.people, last.revoked)
        );
        assert!(!lengths.contains(&next.length), "nginx would show one ETag twice in a second");
        lengths.push(next.length);
        last = next.head;
    }
    assert_eq!(collector.files(), files);
    assert_eq!(collector.at("publish --quiet"), "");
    // The copy that the syncs make has mail addresses; what is published has none.
    let keys = collector.suite.host.read_bytes("/var/lib/authkeys/keys.db");
    assert!(keys.windows(14).any(|bytes| bytes == b"ce@example.com"));
    for (digest, bytes) in collector.published().objects {
        assert!(!bytes.contains(&b'@'), "{digest}");
    }
}

#[test]
fn what_changed_is_published_and_nothing_else() {
    let collector = Collector::start();
    collector.at("publish");
    let before = collector.published();
    collector.suite.write_rota(&[("bob", -HOUR, HOUR)]);
    collector.suite.sync();
    let said = collector.at("publish");
    // The index, and the shifts of the one schedule.
    assert!(said.contains("; 2 objects written"), "{said}");
    let after = collector.published();
    assert_eq!(after.head.people, before.head.people);
    collector.suite.write_people(&TEAM[1..]);
    collector.suite.sync_keys();
    let said = collector.at("publish");
    assert!(said.contains("; 2 objects written"), "{said}");
    assert_eq!(collector.published().head.rota, after.head.rota);
    let all: Vec<u8> = collector.published().objects.into_values().flatten().collect();
    assert!(!String::from_utf8_lossy(&all).contains("\"alice\""));
}

#[test]
fn a_person_with_more_keys_than_are_published_is_a_note_and_no_failure() {
    let collector = Collector::start();
    let people = collector.suite.host.read("/etc/authkeys/people.toml");
    let keys: Vec<String> = (0..70).map(made_keys::numbered).collect();
    let packrat = format!("[[person]]\nusername = 'packrat'\nkeys = {keys:?}\n");
    collector.suite.host.write("/etc/authkeys/people.toml", people + &packrat, 0o644);
    collector.suite.sync_keys();
    let output = collector.try_at("publish");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("1 people have keys that are not published, first packrat: more than 65"));
    let all: Vec<u8> = collector.published().objects.into_values().flatten().collect();
    assert!(String::from_utf8_lossy(&all).contains("packrat"));
}

#[test]
fn a73_killed_at_any_moment_the_store_has_a_head_whose_objects_exist() {
    let collector = Collector::start();
    collector.at("publish");
    let mut moments = Moments::of(sized(60, 200), 3, || drop(collector.at("revoke p0")));
    let mut sequence = collector.published().head.sequence;
    while let Some(after) = moments.next_kill() {
        // Something new each time, so that objects are written. No time at all would be no limit.
        let seconds = after.as_secs_f64().max(0.0005);
        let revoke = format!("timeout -s KILL {seconds:.4} oncall-collector revoke p{sequence}");
        collector.suite.run_as("oncall-collector", &revoke);
        let now = collector.published().head.sequence;
        assert!(now >= sequence);
        moments.struck(now > sequence);
        sequence = now;
    }
    // What was begun goes as what is old and not named does.
    let host = &collector.suite.host;
    host.must(&format!("find {STORE} -name '*.new' -exec touch -d '-9 days' {{}} +"));
    host.must("rm -f /var/lib/oncall-collector/memory.json");
    let said = collector.at("publish");
    let kept = collector.suite.host.read("/var/lib/oncall-collector/revocations");
    let count = kept.lines().count() - 1;
    assert!(count > 0 && said.contains(&format!(", {count} revocations;")), "{said}{kept}");
    assert!(collector.published().head.sequence > sequence);
    assert_eq!(host.must(&format!("find {STORE} -name '*.new'")), "");
}

#[test]
fn a_revocation_is_published_at_once_and_kept_where_it_cannot_be() {
    let collector = Collector::start();
    let said = collector.at("revoke alice --reason 'laptop lost' --for 2d");
    assert!(said.starts_with("person alice is revoked in the fleet example until 20"), "{said}");
    let list = |collector: &Collector| {
        let published = collector.published();
        String::from_utf8(published.objects[&published.head.revoked.object.digest].clone()).unwrap()
    };
    let text = list(&collector);
    assert!(
        text.starts_with("revocations 1\nperson alice ") && text.ends_with("oncall-collector laptop lost\n"),
        "{text}"
    );
    let key = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    collector.at(&format!("revoke {key}"));
    collector.at("revoke grant:f9a30c5f7e5b4b1e9d1f4c2a7d3e8b10");
    assert!(collector.refused("revoke grant:7f3a", 64).contains("32 digits"));
    assert_eq!(list(&collector).lines().count(), 4);
    collector.at("unrevoke alice");
    assert!(list(&collector).contains(" lifted "), "{}", list(&collector));
    collector.refused("unrevoke alice", 1);
    assert!(collector.refused("revoke root", 64).contains("root is an account"));
    collector.refused("revoke 'no body'", 64);

    // The store is away: it is written down, and the next publication has it.
    collector.suite.host.must(&format!("mv {STORE} {STORE}.away"));
    let said = collector.refused("revoke bob", 1);
    assert!(said.contains("person bob is revoked here, and NOT YET published"), "{said}");
    collector.suite.host.must(&format!("mv {STORE}.away {STORE}"));
    assert!(!list(&collector).contains("bob"));
    collector.at("publish");
    assert!(list(&collector).contains("person bob "));

    // A collector that lost its disk takes the fleet's word from the store.
    collector.suite.host.must("rm -r /var/lib/oncall-collector/*");
    collector.at("publish");
    assert_eq!(list(&collector).lines().count(), 5);
    let kept = collector.suite.host.read("/var/lib/oncall-collector/revocations");
    assert_eq!(kept, list(&collector));

    // Where the store has lost it too, nobody knows whom the next publication would let in.
    let published = collector.published().head;
    let lost = published.revoked.object.digest;
    collector.suite.host.must(&format!("rm -r /var/lib/oncall-collector/* {STORE}/o/{lost}"));
    let said = collector.refused("publish", 2);
    assert!(said.contains("publishing without them would lift them"), "{said}");
    assert!(
        collector
            .suite
            .host
            .read(&format!("{STORE}/head"))
            .contains(&format!("sequence: {}\n", published.sequence))
    );
    collector.suite.host.write("/var/lib/oncall-collector/revocations", &kept, 0o640);
    collector.suite.host.must("chown oncall-collector: /var/lib/oncall-collector/revocations");
    assert!(collector.refused("publish", 1).contains("it is made again"));
    assert_eq!(kept, list(&collector));
}

#[test]
fn a78_a_second_collector_takes_over_and_no_object_moves() {
    let collector = Collector::start();
    let second = collector.second();
    collector.at("publish");
    let (first, files) = (collector.published().head, collector.files());
    let said = collector.at(&format!("{second} publish"));
    assert!(said.starts_with("standing by: one published "), "{said}");
    assert_eq!(collector.published().head, first);
    let status = collector.at(&format!("{second} status"));
    assert!(status.contains("this host  does not publish: standing by: one published"), "{status}");

    // The first one is gone for longer than three intervals.
    let command = format!("oncall-collector {second} publish");
    let said = collector.suite.run_ahead("oncall-collector", 95, &command);
    assert!(text(&said).contains("took over from a collector that is late"), "{}", text(&said));
    let next = collector.published().head;
    assert!(next.sequence > first.sequence);
    assert_eq!((next.rota, next.people, next.revoked), (first.rota, first.people, first.revoked));
    assert_eq!(collector.files(), files);

    // It is back, and stands by; and is asked to publish.
    let said = collector.at("publish");
    assert!(said.starts_with("standing by: two published "), "{said}");
    collector.at("publish --now");
    let last = collector.published().head;
    assert!(last.sequence > next.sequence);
    assert_eq!(collector.files(), files);
}

#[test]
fn a78_hosts_go_on_without_a_collector_and_follow_the_second() {
    let fleet = Fleet::start(1);
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    let signer = fleet.new_key("second-key");
    let signers = fleet.collector.host.read("/etc/authkeys/fleet-signers") + &signer;
    fleet.trust(&signers);
    fleet.pull();
    let host = &fleet.hosts[0];
    let mirror = host.host.path("/var/lib/oncall-cache/fleet");
    let before = Published::read(&mirror);
    for (digest, bytes) in &before.objects {
        assert!(!bytes.contains(&b'@'), "{digest}");
    }
    let admitted = |name: &str| host.host.sh(&format!("oncall-cache test-access {name}")).status.code();
    assert_eq!((admitted("alice"), admitted("bob")), (Some(0), Some(1)));

    // The collector is gone for longer than three intervals. The second one has state and a key, and what its own syncs
    // know: here, the same copies.
    let collector = &fleet.collector.host;
    collector.must("install -d -o oncall-collector -g oncall-collector /var/lib/oncall-collector-2");
    let toml = collector.read("/etc/authkeys/collector.toml").replace("[\"fleet-key\"]", "[\"second-key\"]");
    let toml = format!("state = \"/var/lib/oncall-collector-2\"\n{toml}");
    collector.write("/etc/authkeys/collector-2.toml", toml, 0o644);
    fleet.requests();
    let publish = "oncall-collector --config /etc/authkeys/collector-2.toml publish";
    let said = fleet.collector.run_ahead("oncall-collector", 95, publish);
    assert!(text(&said).contains("took over from a collector that is late"), "{}", text(&said));
    fleet.pull();
    let after = Published::read(&mirror);
    assert!(after.head.sequence > before.head.sequence);
    assert_eq!(after.objects, before.objects);
    let asked: Vec<String> = fleet.requests().into_iter().map(|request| request.path).collect();
    assert!(!asked.is_empty() && asked.iter().all(|path| path.ends_with("/head")), "{asked:?}");
    assert_eq!((admitted("alice"), admitted("bob")), (Some(0), Some(1)));
}

#[test]
fn an_older_copy_never_replaces_a_newer_one() {
    let collector = Collector::start();
    let second = collector.second();
    let host = &collector.suite.host;
    // The second one's copies are of now, and are never made again.
    host.must(
        "cp -a /var/lib/authkeys /var/lib/authkeys-2 && cp -a /var/lib/oncall-cache /var/lib/oncall-cache-2",
    );
    let paths =
        "[paths]\nkeys = '/var/lib/authkeys-2/keys.db'\nroster = '/var/lib/oncall-cache-2/roster.db'\n";
    host.write("/etc/authkeys/second/config.toml", second_config() + paths, 0o644);
    harness::wait_until("the next second", || {
        let read = |path: &str| host.must(&format!("stat -c %Y {path}"));
        host.must("touch /tmp/now");
        read("/tmp/now") != read("/var/lib/oncall-cache/roster.db")
    });
    collector.suite.write_people(&TEAM[1..]);
    collector.suite.write_rota(&[("bob", -HOUR, HOUR)]);
    collector.suite.sync();
    collector.at("publish");
    let newer = collector.published().head;
    collector.at(&format!("{second} publish --now"));
    let after = collector.published().head;
    assert!(after.sequence > newer.sequence);
    assert_eq!((after.rota, after.rota_read), (newer.rota, newer.rota_read));
    assert_eq!((after.people, after.people_read), (newer.people, newer.people_read));
}

#[test]
fn what_the_store_has_lost_is_written_again() {
    let collector = Collector::start();
    collector.at("publish");
    let before = collector.published().head;
    let people = before.people.expect("people").object.digest;
    let host = &collector.suite.host;
    host.must(&format!("rm {STORE}/o/{people}; echo x >{STORE}/o/{}", before.revoked.object.digest));
    // The next sweep is in an hour, or where it is not known when the last one was; the copies here are whole.
    host.must("rm /var/lib/oncall-collector/memory.json");
    collector.at("publish");
    assert_eq!(collector.published().head.people, before.people);
    // And where they are gone too, it is all built again.
    host.must(&format!("rm /var/lib/oncall-collector/memory.json /var/lib/oncall-collector/o/* {STORE}/o/*"));
    let said = collector.refused("publish", 1);
    assert!(said.contains("which its head names; it is made again"), "{said}");
    collector.published();
    collector.at("publish");
}

#[test]
fn what_is_old_and_not_named_goes_and_what_is_named_stays() {
    let collector = Collector::start();
    collector.at("publish");
    let host = &collector.suite.host;
    let old = collector.files();
    collector.suite.write_rota(&[("bob", -HOUR, HOUR)]);
    collector.suite.sync();
    host.must(&format!("touch -d '-8 days -2 hours' {STORE}/o/* {STORE}/h/* && echo x >{STORE}/o/young"));
    host.must("rm /var/lib/oncall-collector/memory.json");
    collector.at("publish");
    let now = collector.published();
    let names = |files: &BTreeSet<(PathBuf, u64, i64, i64)>| -> BTreeSet<String> {
        let names = files.iter().filter_map(|(path, ..)| path.file_name()?.to_str().map(str::to_string));
        names.filter(|name| name.len() == 64).collect()
    };
    let named: BTreeSet<String> = now.objects.keys().map(ToString::to_string).collect();
    assert_eq!(names(&collector.files()), named);
    assert_ne!(names(&old), named);
    // The one head in the record is the last one; what is young stays, whatever it is.
    assert_eq!(host.must(&format!("ls {STORE}/h")).trim(), now.head.sequence.to_string());
    assert_eq!(host.must(&format!("find {STORE}/o -mmin -5 | wc -l")).trim(), (named.len() + 2).to_string());
}

#[test]
fn a_clock_that_is_off_publishes_nothing() {
    let collector = Collector::start();
    collector.at("publish");
    let before = collector.published().head;
    for seconds in [200, -200] {
        let said = collector.suite.run_ahead("oncall-collector", seconds, "oncall-collector publish");
        assert_eq!(said.status.code(), Some(2), "{}", text(&said));
        assert!(text(&said).contains("clock"), "{}", text(&said));
    }
    assert_eq!(collector.published().head, before);
}

/// What would make publishing fail, status says beforehand, in each of its forms.
fn does_not_publish(collector: &Collector, why: &str) {
    let said = collector.refused("status", 2);
    let line = said.lines().find_map(|line| line.strip_prefix("this host  does not publish: "));
    assert!(line.is_some_and(|line| line.contains(why)), "{said}");
    let json = collector.try_at("status --json").stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["publishes"], false, "{json}");
    let metrics = collector.refused("status --prometheus", 2);
    assert!(metrics.contains("\noncall_collector_publishes 0\n"), "{metrics}");
}

#[test]
fn a_head_that_no_host_takes_over_is_replaced_and_another_fleets_is_not() {
    let collector = Collector::start();
    assert!(collector.refused("status", 2).contains("nothing is published yet"));
    collector.at("publish");
    let status = collector.at("status");
    assert!(status.contains("this host  publishes"), "{status}");
    let metrics = collector.at("status --prometheus");
    assert!(metrics.contains("\noncall_collector_publishes 1\n"), "{metrics}");
    let host = &collector.suite.host;
    host.must(&format!("sed -i 's/^sequence: 1/sequence: 2/' {STORE}/head"));
    assert!(collector.refused("status", 2).contains("no host takes over what is published"));
    let output = collector.try_at("publish");
    assert!(text(&output).contains("what the store has is replaced"), "{}", text(&output));
    // Nor do hosts take one that is larger than any, also where it is more than a collector reads.
    for bytes in [5_000, 70_000] {
        host.must(&format!("head -c {bytes} /dev/zero >{STORE}/head"));
        assert!(collector.refused("status", 2).contains("no host takes over what is published"));
        let output = collector.try_at("publish");
        let said = text(&output);
        assert!(
            output.status.success() && said.contains("what the store has is replaced"),
            "{bytes}: {said}"
        );
        collector.published();
    }
    let json: serde_json::Value = serde_json::from_str(&collector.at("status --json")).unwrap();
    assert_eq!((&json["health"], &json["publishes"]), (&"well".into(), &true.into()));

    host.must("sed -i s/example/another/ /etc/authkeys/collector.toml");
    let before = fs::read(collector.store().join("head")).unwrap();
    let said = collector.refused("publish", 2);
    assert!(said.contains("a publication of the fleet `example`"), "{said}");
    assert_eq!(fs::read(collector.store().join("head")).unwrap(), before);
    does_not_publish(&collector, "a publication of the fleet `example`");

    // A key that no host would trust publishes nothing.
    host.must("sed -i s/another/example/ /etc/authkeys/collector.toml && cd /etc/authkeys && cp fleet-signers /root/signers && : >fleet-signers");
    assert!(collector.refused("publish", 2).contains("no host would take over what this collector signs"));
    assert_eq!(fs::read(collector.store().join("head")).unwrap(), before);

    // Nor does one without a list of revocations, upon a head that says nothing to it.
    host.must(
        "cp /root/signers /etc/authkeys/fleet-signers && mv /var/lib/oncall-collector/revocations /root/",
    );
    host.must(&format!("sed -i 's/^sequence: 1/sequence: 2/' {STORE}/head"));
    assert!(collector.refused("publish", 2).contains("has no list of revocations"));
    does_not_publish(&collector, "has no list of revocations");
    host.must(&format!("mv {STORE} /srv/away"));
    does_not_publish(&collector, "no such directory");
}
