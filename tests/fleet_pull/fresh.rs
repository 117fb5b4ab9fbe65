//! Many hosts that are made at the same moment, from a store whose collector does nothing more.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use harness::fleet::Fleet;
use harness::nginx::Nginx;
use harness::size::sized;
use harness::suite::{HOUR, now};

use super::crowd::Crowd;
use super::puller::Store;

/// People beside the team, with a key each.
const PEOPLE: u32 = 1_000;

#[test]
fn a78_a_thousand_fresh_hosts_are_served_in_five_minutes() {
    let (count, real) = (sized(100, 1_000), sized(1, 4));
    let fleet = Fleet::start(real);
    let collector = &fleet.collector.host;
    let mut people = collector.read("/etc/authkeys/people.toml");
    for number in 0..PEOPLE {
        let key = made_keys::scattered(number);
        let _ = writeln!(people, "[[person]]\nusername = 'p{number:04}'\nkeys = ['{key}']");
    }
    collector.write("/etc/authkeys/people.toml", people, 0o644);
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    let head = collector.read(&format!("{}/head", Nginx::DIRECTORY));
    let sequence = head.lines().find_map(|line| line.strip_prefix("sequence: ")).expect("a sequence");

    let access = Nginx::HEADER.split(' ').nth(1).expect("a value");
    let store = Store::new(Nginx::NAME, 443, fleet.nginx.ca_pem(), &[("pd", "PDB0001")]);
    let crowd = Crowd::new(store.with_people().with_access(access), count);
    let begun = Instant::now();
    // The programs themselves are among them, with all that a first day has.
    let pulls = thread::scope(|scope| {
        let load = scope.spawn(|| crowd.at_once(collector, 0..count));
        fleet.pull();
        load.join().expect("the load ends")
    });
    let took = begun.elapsed();
    println!("{count} fresh hosts and {real} real ones, {PEOPLE} people: served in {took:?}");
    assert!(took < Duration::from_secs(5 * 60), "{took:?}");
    assert_eq!(pulls.len(), count);
    for pull in &pulls {
        let pulled = pull.outcome.as_ref().unwrap_or_else(|error| panic!("host {}: {error}", pull.host));
        assert!(pulled.is_new && pulled.sequence.to_string() == sequence, "{pulled:?}");
    }
    for host in &fleet.hosts {
        assert!(host.ssh("alice", "root", "true").status.success());
    }
}
