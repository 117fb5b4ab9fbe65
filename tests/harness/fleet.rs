//! A fleet on private machines of one network: a collector, which alone asks PagerDuty and a directory; nginx in front
//! of what it publishes; and hosts that read that.
//!
//! Nothing runs by itself: a test says when the collector collects and when a host pulls.

use std::net::Ipv4Addr;
use std::ops::Deref;
use std::process::Output;
use std::thread;

use serde_json::Value;

use crate::bucket::Bucket;
use crate::nginx::{self, Nginx};
use crate::oncalls::{oncall, schedule, user};
use crate::pagerduty::{self, PagerDuty};
use crate::slapd::Slapd;
use crate::suite::{Suite, TEAM};
use crate::{Host, Network, text};

/// What the fleet is called.
pub const NAME: &str = "example";

/// The token that the provider knows.
pub const TOKEN: &str = "u+tokenOfTheCollector";

/// The collector's config.toml behind where its people are. It is a host like any other, with rules of its own.
const COLLECTOR: &str = r#"
[host]
name = "collector"
[[oncall.source]]
name = "pd"
provider = "pagerduty"
api = "API"
ca_file = "pagerduty-ca.pem"
token_file = "pagerduty-token"
schedules = ["PDB0001"]
allow_empty = true
timeout = "20s"
[policy]
exempt_accounts = ["breakglass"]
[[policy.rule]]
name = "everywhere"
schedules = ["pd/PDB0001"]
"#;

/// What it publishes, and where.
const PUBLISHES: &str = r#"fleet = "example"
signing_keys = ["fleet-key"]
signers = "fleet-signers"
[store]
directory = "DIRECTORY"
"#;

/// config.toml of a host that reads it.
const FOLLOWER: &str = r#"
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
name = "pd"
provider = "fleet"
schedules = ["PDB0001"]
[policy]
exempt_accounts = ["breakglass"]
[[policy.rule]]
name = "everywhere"
schedules = ["pd/PDB0001"]
[[policy.shared_account]]
account = "root"
"#;

/// All of it. Fields are dropped in their order.
pub struct Fleet {
    pub hosts: Vec<Follower>,
    pub nginx: Nginx,
    pub collector: Suite,
    pub pagerduty: PagerDuty,
    _provider: Host,
    directory: Host,
    pub network: Network,
    pub collector_at: Ipv4Addr,
    provider_at: Ipv4Addr,
    directory_at: Ipv4Addr,
}

/// A host that reads what the collector publishes, with the team's accounts and keys.
pub struct Follower {
    suite: Suite,
    pub address: Ipv4Addr,
}

impl Deref for Follower {
    type Target = Suite;

    fn deref(&self) -> &Suite {
        &self.suite
    }
}

impl Fleet {
    /// Starts it with this many hosts, the team in the collector's people.toml, and nobody on call. Nothing is
    /// published yet.
    pub fn start(count: usize) -> Self {
        let network = Network::start();
        let (provider, directory) = (Host::start(), Host::start());
        let [provider_at, directory_at] = [&provider, &directory].map(|machine| network.join(machine));
        let pagerduty = PagerDuty::start(&provider, TOKEN);
        pagerduty.set_schedules(vec![schedule("PDB0001", "db")]);
        pagerduty.set_users(TEAM.map(|member| user(member.name)).to_vec());
        let mut suites: Vec<Suite> = thread::scope(|scope| {
            let starting: Vec<_> = (0..=count).map(|_| scope.spawn(Suite::start)).collect();
            starting.into_iter().map(|suite| suite.join().expect("a suite starts")).collect()
        });
        let followers = suites.split_off(1);
        let collector = suites.pop().expect("one was started for it");
        let collector_at = network.join(&collector.host);
        let nginx = Nginx::start(&collector.host);
        let mut fleet = Self {
            hosts: Vec::new(),
            nginx,
            collector,
            pagerduty,
            _provider: provider,
            directory,
            network,
            collector_at,
            provider_at,
            directory_at,
        };
        fleet.make_collector();
        let signer = fleet.new_key("fleet-key");
        fleet.collector.host.write("/etc/authkeys/fleet-signers", &signer, 0o644);
        for (number, suite) in followers.into_iter().enumerate() {
            let host = fleet.make_follower(suite, &format!("host{}", number + 1));
            fleet.hosts.push(host);
        }
        fleet
    }

    fn make_collector(&self) {
        self.let_sync(&self.collector.host);
        self.sign_with(&["fleet-key"], "fleet-signers");
        let make = format!("install -d -o oncall-collector -g oncall-collector {}", Nginx::DIRECTORY);
        self.collector.host.must(&make);
    }

    /// A host like the collector before it is one: its two syncs know what the collector's know, and it does not publish.
    pub fn another_collector(&self) -> Suite {
        let suite = Suite::start();
        self.network.join(&suite.host);
        self.let_sync(&suite.host);
        self.share_keys(&suite.host);
        suite.host.write(
            "/etc/authkeys/people.toml",
            self.collector.host.read("/etc/authkeys/people.toml"),
            0o644,
        );
        suite
    }

    /// What the syncs of a collector have.
    fn let_sync(&self, host: &Host) {
        know(host, self.provider_at, pagerduty::NAMES[0]);
        know(host, self.directory_at, "ldap.example.com");
        let config = COLLECTOR.replace("API", PagerDuty::API);
        let people = "[directory]\nfile = \"people.toml\"\n";
        host.write("/etc/authkeys/config.toml", people.to_string() + &config, 0o644);
        self.pagerduty.install(host, TOKEN);
    }

    fn make_follower(&self, suite: Suite, name: &str) -> Follower {
        let host = &suite.host;
        let address = self.network.join(host);
        know(host, self.collector_at, Nginx::NAME);
        let config = FOLLOWER.replace("NAME", name).replace("URL", Nginx::URL);
        host.write("/etc/authkeys/config.toml", config, 0o644);
        host.write("/etc/authkeys/store-ca.pem", self.nginx.ca_pem(), 0o644);
        host.write("/etc/authkeys/store-header", format!("{}\n", Nginx::HEADER), 0o640);
        host.must("chgrp oncall-cache /etc/authkeys/store-header && rm /etc/authkeys/people.toml");
        host.write(
            "/etc/authkeys/fleet-signers",
            self.collector.host.read("/etc/authkeys/fleet-signers"),
            0o644,
        );
        self.share_keys(host);
        Follower { suite, address }
    }

    /// One team: the collector's keys.
    fn share_keys(&self, host: &Host) {
        for entry in std::fs::read_dir(self.collector.host.path("/root/keys")).expect("keys").flatten() {
            let file = entry.file_name().into_string().expect("a plain name");
            let mode = if file.ends_with(".pub") { 0o644 } else { 0o600 };
            host.install(&entry.path(), &format!("/root/keys/{file}"), mode);
        }
    }

    /// Publishes to a bucket from now on.
    pub fn use_bucket(&self) -> Bucket {
        let bucket = Bucket::start(&self.network);
        let host = &self.collector.host;
        bucket.let_publish(host);
        let config = host.read("/etc/authkeys/collector.toml");
        let (before, _) = config.split_once("[store]").expect("a store");
        host.write("/etc/authkeys/collector.toml", format!("{before}{}", Bucket::STORE), 0o644);
        bucket
    }

    /// Which keys sign from now on: names of files in /etc/authkeys of the collector; and which list it takes itself.
    pub fn sign_with(&self, keys: &[&str], signers: &str) {
        let publishes = PUBLISHES.replace("DIRECTORY", Nginx::DIRECTORY);
        let publishes = publishes
            .replace("[\"fleet-key\"]", &format!("{keys:?}"))
            .replace("signers = \"fleet-signers\"", &format!("signers = {signers:?}"));
        self.collector.host.write("/etc/authkeys/collector.toml", publishes, 0o644);
    }

    /// Makes a key in /etc/authkeys of the collector, as an operator does with ssh-keygen; its line for fleet-signers,
    /// where the signer has this name too.
    pub fn new_key(&self, name: &str) -> String {
        let host = &self.collector.host;
        let file = format!("/etc/authkeys/{name}");
        host.must(&format!(
            "ssh-keygen -qt ed25519 -N '' -C {name} -f {file} && chown root:oncall-collector {file} && chmod 640 {file}"
        ));
        format!("{name} namespaces=\"head@authkeys\" {}", host.read(&format!("{file}.pub")))
    }

    /// Who is trusted as a signer, at the collector and on each host: the whole file.
    pub fn trust(&self, signers: &str) {
        let hosts = self.hosts.iter().map(|host| &host.host).chain([&self.collector.host]);
        hosts.for_each(|host| host.write("/etc/authkeys/fleet-signers", signers, 0o644));
    }

    /// Starts a directory with the team in it, on a machine of its own, from which the collector has its people from now
    /// on.
    pub fn directory(&self) -> Slapd<'_> {
        let slapd = Slapd::start_with_changes(&self.directory);
        slapd.restart_with(&format!("ldaps://{}:6360/", self.directory_at), "");
        slapd.furnish(&self.collector, |name| format!("{name}@example.com"));
        let host = &self.collector.host;
        let config = COLLECTOR.replace("API", PagerDuty::API);
        host.write("/etc/authkeys/config.toml", Slapd::section(&[Slapd::LDAPS_URL]) + &config, 0o644);
        host.must("rm /etc/authkeys/people.toml");
        slapd
    }

    /// Who is on call at PagerDuty from now on: person, start and end in seconds since the epoch.
    pub fn on_call(&self, shifts: &[(&str, i64, i64)]) {
        let entry =
            |(name, start, end): &(&str, i64, i64)| oncall(name, Some("PDB0001"), "PEP0001", 1, *start, *end);
        self.pagerduty.set_oncalls(shifts.iter().map(entry).collect());
    }

    /// Has the collector read the incidents of these services for the hosts, as TOML writes them; none, of no service.
    pub fn ask_for_incidents(&self, services: &str) {
        let host = &self.collector.host;
        let config = host.read("/etc/authkeys/config.toml");
        let lines = config.lines().filter(|line| !line.starts_with("incident_services = "));
        let line = |line: &str| match line {
            "provider = \"pagerduty\"" if !services.is_empty() => {
                format!("{line}\nincident_services = [{services}]\n")
            }
            line => format!("{line}\n"),
        };
        host.write("/etc/authkeys/config.toml", lines.map(line).collect::<String>(), 0o644);
    }

    /// Runs the collector's two syncs and publishes what they know; what was printed.
    pub fn collect(&self) -> String {
        self.collector.sync() + &self.publish()
    }

    /// Publishes what the last syncs knew; what was printed.
    pub fn publish(&self) -> String {
        self.at_collector("publish")
    }

    /// `oncall-collector WORDS` as the user that does it; it must succeed.
    pub fn at_collector(&self, words: &str) -> String {
        self.collector.must_as("oncall-collector", &format!("oncall-collector {words}"))
    }

    /// Lets each host pull; each must succeed.
    pub fn pull(&self) {
        for host in &self.hosts {
            host.pull();
        }
    }

    /// Lets nothing pass between a host and the others any more; [`Network::heal`] ends it.
    pub fn cut(&self, host: &Follower) {
        self.network.cut(host.address);
    }

    /// Ends the web server in front of the store.
    pub fn stop_store(&self) {
        self.nginx.stop(&self.collector.host);
    }

    /// Starts it again.
    pub fn start_store(&self) {
        self.nginx.resume(&self.collector.host);
    }

    /// What the store was asked since the last look.
    pub fn requests(&self) -> Vec<nginx::Request> {
        self.nginx.requests(&self.collector.host)
    }
}

impl Follower {
    /// As systemd does on a host: `oncall-cache pull`, authkeys-sync once there is a new head, and a sync once people
    /// changed. All of it must succeed; what the pull printed.
    pub fn pull(&self) -> String {
        let has_people = self.host.path("/var/lib/authkeys/keys.db").exists();
        let said = self.try_pull();
        // The first one has brought the people, and knows none yet.
        assert!(said.status.success() || !has_people, "{}", text(&said));
        self.sync_keys();
        self.must_as("oncall-cache", "oncall-cache sync");
        text(&said)
    }

    /// Reads a bucket from now on, as anybody.
    pub fn read_bucket(&self, bucket: &Bucket) {
        bucket.let_read(&self.host);
        let config = self.host.read("/etc/authkeys/config.toml");
        let config = config.replace(Nginx::URL, Bucket::URL).replace("store-ca.pem", "s3-ca.pem");
        let config = config.replace("header_file = \"store-header\"\n", "");
        self.host.write("/etc/authkeys/config.toml", config, 0o644);
    }

    /// Has its rule wait for an incident of PSVC1 or PSVC2, with these settings more.
    pub fn wait_for_incidents(&self, more: &str) {
        let config = self.host.read("/etc/authkeys/config.toml");
        let lines = config.lines().filter(|line| !line.starts_with("incident = "));
        let line = |line: &str| match line {
            "name = \"everywhere\"" => {
                format!("{line}\nincident = {{ source = 'pd', services = ['PSVC1', 'PSVC2'], {more} }}\n")
            }
            line => format!("{line}\n"),
        };
        self.host.write("/etc/authkeys/config.toml", lines.map(line).collect::<String>(), 0o644);
    }

    /// What the last pull reported.
    pub fn fleet_status(&self) -> Value {
        serde_json::from_str(&self.host.read("/var/lib/oncall-cache/fleet.json")).expect("JSON")
    }

    /// `oncall-cache pull` alone, whatever failed before and comes of it.
    pub fn try_pull(&self) -> Output {
        self.run_as("oncall-cache", "oncall-cache pull --now")
    }
}

/// Lets a machine know another by name.
fn know(host: &Host, address: Ipv4Addr, name: &str) {
    host.must(&format!("echo {address} {name} >>/etc/hosts"));
}
