//! The load that `make bench BENCH=fleet` puts on a store is what real hosts put on it: byte for byte the same requests.

use std::time::{Duration, Instant};

use harness::store::{NAME, StoreRequest};

use super::crowd::{Crowd, Pace};
use super::publication::Publication;
use super::puller::Store;
use super::{PORT, Site};

const ACCESS: &str = "6bYbZr8iUw";

/// A host that has people and revocations of the fleet too, and shows a header.
fn site() -> Site {
    let site = Site::start();
    let host = &site.suite.host;
    host.write("/etc/authkeys/store-header", format!("Fleet-Access: {ACCESS}\n"), 0o640);
    host.must("chgrp oncall-cache /etc/authkeys/store-header && rm -f /var/lib/authkeys/*");
    site.configure(&[&site.store.url()], "header_file = \"store-header\"");
    let config = host.read("/etc/authkeys/config.toml").replace("file = \"people.toml\"", "fleet = true");
    host.write("/etc/authkeys/config.toml", config, 0o644);
    site
}

fn store(site: &Site) -> Store {
    Store::new(NAME, PORT, site.store.ca_pem(), &[("pd", "P1")]).with_people().with_access(ACCESS)
}

/// Many people, so that a first pull takes a pack, and a later one single buckets.
fn publication() -> Publication {
    Publication { has_pack: true, ..Publication::new() }.crowd(5_000)
}

/// What the real program asks for.
fn real(site: &Site) -> Vec<StoreRequest> {
    // The first pull brings the people, and fails because there are none yet.
    site.try_pull();
    site.suite.sync_keys();
    site.store.requests()
}

#[test]
fn a_host_of_the_load_asks_as_the_real_program_does() {
    let site = site();
    let host = Crowd::new(store(&site), 1);
    let same = |what: &str, least: usize| {
        let real = real(&site);
        assert!(real.len() >= least, "{what}: {real:#?}");
        let pull = host.at_once(&site.suite.host, 0..1).remove(0);
        let pulled = pull.outcome.expect(what);
        assert_eq!(site.store.requests(), real, "{what}");
        assert_eq!(pulled.requests, real.len(), "{what}");
        pulled
    };
    let first = publication();
    site.publish(&first);
    assert!(same("a first pull", 6).is_new);
    assert!(!same("nothing new", 1).is_new);
    let again = first.heartbeat(1);
    site.publish(&again);
    assert_eq!(same("read again", 1).requests, 1);
    let mut changed = again.later(1);
    changed.has_pack = false;
    changed.people[77].keys = vec![format!("ssh-ed25519 {:068}", 9)];
    changed.revoked.push("carol");
    site.publish(&changed);
    assert_eq!(same("a shift, a key and a revocation", 6).sequence, changed.sequence);
    // What is not had any more is not taken for had.
    changed = changed.later(1).on_call(&[("bob", -60, 3600)]);
    site.publish(&changed);
    same("an override", 3);
    assert!(!same("nothing new again", 1).is_new);
}

#[test]
fn many_hosts_ask_each_for_itself_and_for_nothing_else() {
    const HOSTS: usize = 20;
    let site = site();
    site.publish(&publication());
    let expected = [real(&site), real(&site)];
    let crowd = Crowd::new(store(&site), 2 * HOSTS);
    let pace = Pace { every: Duration::from_millis(200), spread: Duration::from_millis(200) };
    let mut pulls = crowd.at_once(&site.suite.host, 0..HOSTS);
    crowd.follow_the_first(HOSTS..2 * HOSTS);
    pulls.extend(crowd.run(&site.suite.host, pace, Instant::now() + Duration::from_secs(1)));
    assert!(pulls.iter().all(|pull| pull.due <= pull.began && pull.began < pull.ended));
    let asked = site.store.requests();
    let mut given = pulls.iter().filter(|pull| pull.host >= HOSTS);
    assert!(given.all(|pull| pull.outcome.as_ref().expect("the store answers").requests == 1));
    for number in 0..HOSTS {
        let own: Vec<_> = pulls.iter().filter(|pull| pull.host == number).collect();
        let outcome = |at: usize| *own[at].outcome.as_ref().expect("the store answers");
        let counts: Vec<usize> = (0..own.len()).map(|at| outcome(at).requests).collect();
        assert!(counts.len() > 1 && counts[0] == expected[0].len(), "{counts:?}");
        assert!(counts[1..].iter().all(|count| *count == 1), "{counts:?}");
        assert!(outcome(1).sent > 0 && outcome(1).received < outcome(0).received);
    }
    let [fresh, idle] = &expected;
    let foreign = asked.iter().find(|request| !fresh.contains(request) && !idle.contains(request));
    assert_eq!(foreign, None, "{expected:#?}");
    for request in fresh {
        let times = asked.iter().filter(|asked| *asked == request).count();
        assert_eq!(times, HOSTS, "{request:?}");
    }
    assert_eq!(asked.len(), HOSTS * fresh.len() + pulls.len() - HOSTS);
}

#[test]
fn a_host_of_the_load_pulls_as_often_as_the_timer_says() {
    let timer = include_str!("../../packaging/systemd/oncall-cache-pull.timer");
    let Pace { every, spread } = Pace::TIMER;
    for line in
        [format!("OnUnitActiveSec={}s", every.as_secs()), format!("RandomizedDelaySec={}s", spread.as_secs())]
    {
        assert!(timer.lines().any(|found| found == line), "{line}");
    }
}
