//! `oncall-cache pull` on a real nginx and on stores that lie: what is taken over, what is refused, and that whatever is
//! refused leaves this host's state as it is, byte for byte.

mod clocks;
mod crowd;
mod cut;
mod first;
mod fresh;
mod heads;
mod load;
mod objects;
mod publication;
mod puller;

use std::collections::BTreeMap;
use std::process::Output;

use harness::store::HostileStore;
use harness::suite::Suite;
use harness::text;
use publication::{FLEET, Objects, Publication, Signer};

const PORT: u16 = 9443;

/// What decides on this host, and where that comes from.
const STATE: [&str; 4] = [
    "/var/lib/oncall-cache/roster.db",
    "/var/lib/oncall-cache/revoked",
    "/var/lib/oncall-cache/fleet/head",
    "/var/lib/oncall-cache/fleet.mark",
];

const CONFIG: &str = r#"
[host]
name = "testhost"
[fleet]
id = "example"
urls = [URLS]
ca_file = "store-ca.pem"
MORE
[directory]
file = "people.toml"
[[oncall.source]]
name = "pd"
provider = "fleet"
schedules = ["P1"]
[policy]
exempt_accounts = ["breakglass"]
[[policy.rule]]
name = "everywhere"
schedules = ["pd/P1"]
[[policy.shared_account]]
account = "root"
"#;

/// A host of a fleet, whose people are in a file, and a store beside it on the same machine.
struct Site {
    suite: Suite,
    store: HostileStore,
    signer: Signer,
}

impl Site {
    /// Nothing is published or pulled yet.
    fn start() -> Self {
        let suite = Suite::start();
        suite.sync_keys();
        let store = HostileStore::start(&suite.host, PORT);
        suite.host.write("/etc/authkeys/store-ca.pem", store.ca_pem(), 0o644);
        let signer = Signer::new("collector", 1);
        let site = Self { suite, store, signer };
        site.trust(&site.signer.line(""));
        site.configure(&[&site.store.url()], "");
        site
    }

    fn configure(&self, urls: &[&str], more: &str) {
        let urls: Vec<String> = urls.iter().map(|url| format!("{url:?}")).collect();
        let config = CONFIG.replace("URLS", &urls.join(", ")).replace("MORE", more);
        self.suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    }

    /// Who may sign: the whole file.
    fn trust(&self, signers: &str) {
        self.suite.host.write("/etc/authkeys/fleet-signers", signers, 0o644);
    }

    /// The store has this from now on.
    fn publish(&self, publication: &Publication) -> Objects {
        let objects = publication.signed(&[&self.signer]);
        self.store.set(objects.clone());
        objects
    }

    fn try_pull(&self) -> Output {
        self.suite.run_as("oncall-cache", "oncall-cache pull --now")
    }

    /// Pulls, and it must come through; what was printed.
    fn pull(&self) -> String {
        self.suite.must_as("oncall-cache", "oncall-cache pull --now")
    }

    /// All that decides here, by file.
    fn state(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let read = |file| (file, std::fs::read(self.suite.host.path(file)).unwrap_or_default());
        STATE.into_iter().map(read).collect()
    }

    /// A pull takes nothing over, for this rule; whatever decides here stays.
    fn refuses(&self, rule: &str) {
        let before = self.state();
        let output = self.try_pull();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{rule}: {said}");
        assert!(said.contains(rule), "{rule}: {said}");
        assert_eq!(self.state(), before, "{rule}: {said}");
        let status = self.fleet_status();
        assert_eq!(status["refused"]["reason"], rule, "{status}");
        assert!(status["refused"]["since"].is_i64(), "{status}");
    }

    fn fleet_status(&self) -> serde_json::Value {
        serde_json::from_str(&self.suite.host.read("/var/lib/oncall-cache/fleet.json")).expect("JSON")
    }

    /// May they become root now, by a clock that is so many seconds ahead? `None`: it cannot be told.
    fn may(&self, person: &str, ahead: i64) -> Option<bool> {
        self.may_at(person, harness::suite::now() + ahead)
    }

    /// The same at one second, since the epoch.
    fn may_at(&self, person: &str, at: i64) -> Option<bool> {
        let output = self.suite.run_at("root", at, &format!("oncall-cache test-access {person}"));
        match output.status.code() {
            Some(0) => Some(true),
            Some(1) => Some(false),
            Some(2) => None,
            _ => panic!("{}", text(&output)),
        }
    }
}

#[test]
fn a_first_pull_brings_what_this_host_needs_and_nothing_else() {
    let site = Site::start();
    let objects = site.publish(&Publication { revoked: vec!["carol"], ..Publication::new() });
    let said = site.pull();
    assert!(said.contains("taken over; 3 objects"), "{said}");
    assert!(said.contains("alice until"), "{said}");
    assert_eq!([site.may("alice", 0), site.may("bob", 0)], [Some(true), Some(false)]);
    let asked: Vec<String> = site.store.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked.len(), 4, "the head, the index, one schedule of two, the revocations: {asked:?}");
    let has = site.suite.host.must("ls /var/lib/oncall-cache/fleet/o");
    assert_eq!((has.lines().count(), objects.len()), (3, 5));
    let revoked = site.suite.host.read("/var/lib/oncall-cache/revoked");
    assert!(
        revoked.starts_with("revocations 1 20") && revoked.contains("\nperson carol 1 revoked "),
        "{revoked}"
    );
    for (file, mode) in [("fleet", "750"), ("fleet/head", "640"), ("fleet/o", "750"), ("revoked", "644")] {
        let stat = site.suite.host.must(&format!("stat -c '%a %U:%G' /var/lib/oncall-cache/{file}"));
        assert!(stat.starts_with(&format!("{mode} oncall-cache:")), "{file}: {stat}");
    }
    assert_eq!(site.fleet_status()["id"], FLEET);
    // Once more: a condition is sent, and nothing comes.
    let before = site.state();
    let said = site.pull();
    assert!(said.contains("nothing new; 0 objects, 0 bytes in 1 request"), "{said}");
    assert_eq!(site.state()["/var/lib/oncall-cache/fleet/head"], before["/var/lib/oncall-cache/fleet/head"]);
    let asked = site.store.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].headers.iter().any(|line| line.starts_with("if-none-match: \"")), "{asked:?}");
}

#[test]
fn a_directory_of_this_machine_is_a_store_too() {
    let site = Site::start();
    site.configure(&["file:///srv/fleet"], "");
    let write = |publication: &Publication| {
        for (path, bytes) in publication.signed(&[&site.signer]) {
            site.suite.host.write(&format!("/srv/fleet{path}"), bytes, 0o644);
        }
    };
    let first = Publication::new();
    write(&first);
    assert!(site.pull().contains("taken over; 3 objects"));
    assert!(site.pull().contains("nothing new; 0 objects"));
    write(&first.later(1).on_call(&[("bob", -60, 3600)]));
    let said = site.pull();
    assert!(said.contains("taken over; 2 objects"), "{said}");
    assert_eq!([site.may("alice", 0), site.may("bob", 0)], [Some(false), Some(true)]);
    assert_eq!(
        site.suite.host.must("ls /var/lib/oncall-cache/fleet/o").lines().count(),
        3,
        "the old ones are swept"
    );
}

#[test]
fn a_host_without_a_rota_looks_through_its_people_once_in_five_minutes() {
    let site = Site::start();
    let config = format!(
        "[host]\nname = 'testhost'\n[fleet]\nid = 'example'\nurls = ['{}']\nca_file = 'store-ca.pem'\n[directory]\nfleet = true\n",
        site.store.url()
    );
    site.suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    site.suite.host.must("rm -f /var/lib/authkeys/*");
    let first = Publication::new().crowd(500);
    site.publish(&first);
    site.pull();
    site.suite.sync_keys();
    site.pull();
    // What a walk would find and fetch again.
    site.suite.host.must("cd /var/lib/oncall-cache/fleet/o && rm $(ls -S | sed -n 2p)");
    let said = site.pull();
    assert!(said.contains("nothing new; 0 objects"), "{said}");
    site.publish(&first.heartbeat(1));
    let said = site.pull();
    assert!(said.contains("taken over; 0 objects"), "{said}");
    let output = site.suite.run_ahead("oncall-cache", 400, "oncall-cache pull --now");
    assert!(text(&output).contains("nothing new; 1 object,"), "{}", text(&output));
}

#[test]
fn a_fresh_host_takes_people_in_one_pack_and_later_only_what_changed() {
    let site = Site::start();
    let config =
        site.suite.host.read("/etc/authkeys/config.toml").replace("file = \"people.toml\"", "fleet = true");
    site.suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    site.suite.host.must("rm -f /var/lib/authkeys/*");
    let first = Publication { has_pack: true, ..Publication::new() }.crowd(5_000);
    let objects = site.publish(&first);
    let said = text(&site.try_pull());
    assert!(said.contains("taken over") && said.contains("authkeys-sync takes people over next"), "{said}");
    let asked = site.store.requests().len();
    assert!(objects.len() > 60 && asked < 20, "{asked} requests for {} objects", objects.len());
    site.suite.sync_keys();
    site.pull();
    let _ = site.store.requests();
    // One key is another one.
    let mut next = first.later(1);
    next.people[77].keys = vec![format!("ssh-ed25519 {:068}", 9)];
    next.has_pack = false;
    site.publish(&next);
    let said = site.pull();
    assert!(said.contains("taken over; 4 objects"), "index and schedule, a page and a bucket: {said}");
    // Without a pack a fresh host asks for each.
    site.suite.host.must("rm -rf /var/lib/oncall-cache/fleet/o/*");
    site.publish(&next.later(1));
    let said = site.pull();
    let count = next.objects().1.len() - 1;
    assert!(
        said.contains(&format!("taken over; {count} objects")),
        "all but the schedule of others, {count}: {said}"
    );
}

#[test]
fn people_that_a_disk_has_damaged_are_fetched_again_where_nobody_can_take_them_over() {
    let site = Site::start();
    let config =
        site.suite.host.read("/etc/authkeys/config.toml").replace("file = \"people.toml\"", "fleet = true");
    site.suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    site.suite.host.must("rm -f /var/lib/authkeys/*");
    site.publish(&Publication::new().crowd(500));
    let _ = site.try_pull();
    site.suite.sync_keys();
    site.pull();
    // Each keeps its size, and nothing is left of what was in it.
    let damage = "cd /var/lib/oncall-cache/fleet/o && for name in *; do size=$(stat -c %s $name) && \
                  head -c $size /dev/zero > $name; done && rm ../synced";
    site.suite.host.must(damage);
    // What a pull reads itself it fetches again at once; buckets are not read as long as the copy is young.
    site.pull();
    site.suite.host.must("rm -f /var/lib/oncall-cache/fleet/synced && mv /var/lib/authkeys/keys.db /root");
    let failed = site.suite.run_as("authkeys-sync", "authkeys-sync");
    assert!(text(&failed).contains("object-digest"), "{}", text(&failed));
    site.suite.host.must("mv /root/keys.db /var/lib/authkeys");
    site.suite.host.must("touch -d '11 minutes ago' /var/lib/authkeys/keys.stamp");
    let said = site.pull();
    assert!(said.contains("nothing new") && !said.contains(" 0 objects"), "{said}");
    site.suite.host.must("rm /var/lib/authkeys/keys.db");
    site.suite.sync_keys();
}
