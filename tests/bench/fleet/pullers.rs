//! A store under the pulls of many hosts: a collector that copies, signs and publishes, nginx in front of that, and a
//! load of hosts, on one machine. tests/fleet_pull/load.rs holds the load's requests against the real program's.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use harness::Host;
use harness::fleet::Fleet;
use harness::nginx::Nginx;
use harness::suite::{HOUR, TEAM, now};

use crate::machine::name;
use crate::samples::{median, quantile};
use crate::table::{Table, at_most, figure};

#[allow(dead_code, reason = "the test plays faster timers too")]
#[path = "../../fleet_pull/crowd.rs"]
mod crowd;
#[path = "../../fleet_pull/puller.rs"]
mod puller;
use crowd::{Crowd, Pace, Pull};
use puller::{Pulled, Store};

/// How many hosts are made at once.
const FRESH: usize = 1_000;

/// How many look again before anything is published.
const IDLE: usize = 500;

const PEOPLE: usize = 1_000;

/// A heartbeat of the collector, and the mean time between two pulls of a host.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// For how long hosts pull before an override is saved, and after that: longer than any timer delays.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(40);

/// So many hosts are to cost nginx one core.
const TARGET: usize = 20_000;

/// In how many seconds an override is to be on 99 of 100 hosts.
const SOON: f64 = 60.0;

/// From when on the load, behind its timers, says nothing of how soon a host has something.
const LATE: Duration = Duration::from_secs(5);
const LATE_LOAD: &str = "<= 60 s: this machine is too busy to tell, see the load";

pub fn measure(pullers: usize) {
    let site = Site::start(pullers);
    let mut table = Table::new(
        &format!("a store under the pulls of {pullers} hosts, {PEOPLE} people, one nginx worker, TLS 1.3"),
        &["", "median", "p99", "largest", "to reach"],
    );
    let one_host = site.calls_of_a_sync();
    fresh(&site, &mut table);
    idle(&site, &mut table);
    let calls = heartbeats(&site, &mut table);
    a_change(&site, &mut table);
    let ratio = calls as f64 / one_host as f64;
    let reach = at_most(ratio, 1.0, "of one host's");
    table.row(cells("provider calls of a sync, all hosts : none", &[ratio], reach));
    table.print();
}

/// The collector with its store, and the hosts.
struct Site {
    fleet: Fleet,
    crowd: Crowd,
    pullers: usize,
    /// nginx's only worker, as this machine numbers it.
    worker: String,
}

impl Site {
    fn start(pullers: usize) -> Self {
        let fleet = Fleet::start(0);
        let host = &fleet.collector.host;
        write_people(&fleet);
        fleet.on_call(&[("alice", now() - HOUR, now() + 8 * HOUR)]);
        fleet.collect();
        let secret = Nginx::HEADER.split(' ').nth(1).expect("a value");
        let store = Store::new(Nginx::NAME, 443, fleet.nginx.ca_pem(), &[("pd", "PDB0001")]);
        let crowd = Crowd::new(store.with_people().with_access(secret), pullers);
        let worker = host.must("pid=$(cat /run/nginx.pid); echo $(cat /proc/$pid/task/$pid/children)");
        let worker = worker.trim().to_string();
        assert!(worker.parse::<u32>().is_ok(), "one worker: {worker:?}");
        Self { fleet, crowd, pullers, worker }
    }

    fn host(&self) -> &Host {
        &self.fleet.collector.host
    }

    /// Processor time of nginx so far, in ms.
    fn nginx_cpu(&self) -> f64 {
        let line = self.host().read(&format!("/proc/{}/schedstat", self.worker));
        line.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds") / 1e6
    }

    /// What a run of the load costs nginx, in ms for each of its pulls; and its pulls.
    fn cost(&self, run: impl FnOnce() -> Vec<Pull>) -> (f64, Vec<Pull>) {
        let before = self.nginx_cpu();
        let pulls = run();
        ((self.nginx_cpu() - before) / pulls.len() as f64, pulls)
    }

    /// The collector's sync of shifts; how often that asks the provider.
    fn calls_of_a_sync(&self) -> usize {
        self.fleet.pagerduty.requests();
        self.fleet.collector.must_as("oncall-cache", "oncall-cache sync");
        self.fleet.publish();
        self.fleet.pagerduty.requests().len()
    }
}

/// The team, and others with two keys each.
fn write_people(fleet: &Fleet) {
    let host = &fleet.collector.host;
    let mut text = host.read("/etc/authkeys/people.toml");
    for number in TEAM.len()..PEOPLE {
        let key = |number: usize| made_keys::scattered(u32::try_from(number).expect("small"));
        let (name, keys) = (name(number), [key(number), key(PEOPLE + number)]);
        let _ = writeln!(
            text,
            "[[person]]\nusername = '{name}'\nmail = ['{name}@example.com']\nkeys = ['{}', '{}']",
            keys[0], keys[1]
        );
    }
    host.write("/etc/authkeys/people.toml", text, 0o644);
}

/// Hosts that have nothing yet, as many as pull at the same moment; then the others have the same.
fn fresh(site: &Site, table: &mut Table) {
    let count = FRESH.min(site.pullers);
    let begun = Instant::now();
    let (cost, pulls) = site.cost(|| site.crowd.at_once(site.host(), 0..count));
    let seconds = begun.elapsed().as_secs_f64();
    let all = outcomes(&pulls);
    table.row(cells(&format!("{count} fresh hosts at once, s"), &[seconds], String::new()));
    table.row(cells("  nginx, ms for each", &[cost], String::new()));
    table.row(spread("  KiB to each", all.iter().map(|pulled| kib(pulled.received)), String::new()));
    site.crowd.follow_the_first(count..site.pullers);
}

/// Hosts that find the head that they have.
fn idle(site: &Site, table: &mut Table) {
    let count = IDLE.min(site.pullers);
    let (cost, pulls) = site.cost(|| site.crowd.at_once(site.host(), 0..count));
    let all = outcomes(&pulls);
    assert!(all.iter().all(|pulled| !pulled.is_new));
    bytes("nothing new (304)", &all, Some(3.0), table);
    table.row(cells("  nginx, ms for each", &[cost], String::new()));
}

/// What the fleet does all day: a heartbeat, which is a new head for each host. The provider's calls.
fn heartbeats(site: &Site, table: &mut Table) -> usize {
    let calls = site.calls_of_a_sync();
    let until = Instant::now() + HEARTBEAT;
    let (cost, pulls) = site.cost(|| site.crowd.run(site.host(), Pace::TIMER, until));
    let cores = cost / 1e3 * site.pullers as f64 / HEARTBEAT.as_secs_f64();
    let calls = calls + site.fleet.pagerduty.requests().len();
    let all = outcomes(&pulls);
    bytes("a head with later instants", &all, None, table);
    table.row(cells("  nginx, ms for each", &[cost], String::new()));
    let limit = site.pullers as f64 / TARGET as f64;
    let reach = format!("{} (1 for {TARGET} hosts)", at_most(cores, limit, "cores"));
    table.row(cells("  nginx, cores for all at 30 s", &[cores], reach));
    calls
}

/// An override, from the moment at which it is saved at the provider.
fn a_change(site: &Site, table: &mut Table) {
    let (crowd, host) = (&site.crowd, site.host());
    let (saved, published, pulls) = thread::scope(|scope| {
        let until = Instant::now() + BEFORE + AFTER;
        let load = scope.spawn(move || crowd.run(host, Pace::TIMER, until));
        #[allow(clippy::disallowed_methods, reason = "the load is what is waited for")]
        thread::sleep(BEFORE);
        let saved = Instant::now();
        site.fleet.on_call(&[("bob", now() - 60, now() + HOUR)]);
        site.calls_of_a_sync();
        (saved, saved.elapsed(), load.join().expect("the load ends"))
    });
    let newest = outcomes(&pulls).iter().map(|pulled| pulled.sequence).max().unwrap_or_default();
    let mut arrived = vec![f64::INFINITY; site.pullers];
    for pull in &pulls {
        let Ok(pulled) = &pull.outcome else { continue };
        if pulled.sequence == newest && pull.began > saved {
            let after = pull.ended.duration_since(saved).as_secs_f64();
            arrived[pull.host] = arrived[pull.host].min(after);
        }
    }
    let (p99, last) = (quantile(arrived.clone(), 0.99), quantile(arrived.clone(), 1.0));
    let is_late = quantile(lateness(&pulls), 0.99) > LATE.as_secs_f64() * 1e3;
    // What is in time in spite of a late load is in time.
    let reach = if is_late && p99 > SOON { LATE_LOAD.to_string() } else { at_most(p99, SOON, "s") };
    table.row(row("override saved -> a host has it, s", median(arrived), p99, last, reach));
    table.row(cells("  of it sync and publication, s", &[published.as_secs_f64()], String::new()));
    let with_it = outcomes(&pulls).into_iter().filter(|pulled| pulled.requests > 1);
    let kib = with_it.map(|pulled| kib(pulled.received + pulled.sent));
    table.row(spread("  KiB on the wire of the pull with it", kib, String::new()));
    the_load(&pulls, table);
}

/// How many ms after its timer each pull began.
fn lateness(pulls: &[Pull]) -> impl Iterator<Item = f64> {
    pulls.iter().map(|pull| pull.began.duration_since(pull.due).as_secs_f64() * 1e3)
}

/// How late the load itself was: a figure above is the store's only as far as this one is small.
fn the_load(pulls: &[Pull], table: &mut Table) {
    table.row(spread("the load: ms behind its timers", lateness(pulls), String::new()));
    let took = pulls.iter().map(|pull| pull.ended.duration_since(pull.began).as_secs_f64() * 1e3);
    table.row(spread("  ms of a pull", took, String::new()));
}

/// What all pulls came to; none may have failed.
fn outcomes(pulls: &[Pull]) -> Vec<Pulled> {
    pulls.iter().map(|pull| *pull.outcome.as_ref().expect("the store answers")).collect()
}

fn bytes(what: &str, all: &[Pulled], limit: Option<f64>, table: &mut Table) {
    let sizes: Vec<f64> = all.iter().map(|pulled| kib(pulled.sent + pulled.received)).collect();
    let reach = limit.map(|limit| at_most(median(sizes.clone()), limit, "KiB")).unwrap_or_default();
    table.row(spread(&format!("{what}, KiB on the wire"), sizes, reach));
}

fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

fn spread(what: &str, values: impl IntoIterator<Item = f64>, reach: String) -> Vec<String> {
    let values: Vec<f64> = values.into_iter().collect();
    let (middle, p99) = (median(values.clone()), quantile(values.clone(), 0.99));
    row(what, middle, p99, quantile(values, 1.0), reach)
}

fn row(what: &str, middle: f64, p99: f64, largest: f64, reach: String) -> Vec<String> {
    vec![what.to_string(), figure(middle), figure(p99), figure(largest), reach]
}

fn cells(what: &str, values: &[f64], reach: String) -> Vec<String> {
    let value = values.first().map(|value| figure(*value)).unwrap_or_default();
    vec![what.to_string(), value, String::new(), String::new(), reach]
}
