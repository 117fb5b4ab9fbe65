//! Everybody of a large fleet: what a change costs a host, and that it comes to the same as a full copy.

use harness::fleet::{Fleet, Follower};
use harness::nginx::Request;

/// People beside the team.
const PEOPLE: u32 = 100_000;

/// What one changed key may cost a host, in bytes of objects.
const MOST_BYTES: u64 = 24 * 1024;

/// A people.toml with that many people behind the team's `text`. Each has one key: more do not fit in such a file. What two
/// cost, `make bench BENCH=fleet` says.
fn crowd(text: &str) -> String {
    let mut text = text.to_string();
    for number in 0..PEOPLE {
        let key = made_keys::scattered(number);
        text += &format!("[[person]]\nusername='p{number:06}'\nkeys=['{key}']\n");
    }
    text
}

/// Everybody in a host's copy.
fn everybody(host: &Follower) -> String {
    host.host.must("sqlite3 /var/lib/authkeys/keys.db .dump | grep -v 'INTO meta' | sort | sha256sum")
}

/// The objects that were fetched since the last look.
fn fetched(fleet: &Fleet) -> Vec<Request> {
    let requests = fleet.requests().into_iter();
    requests.filter(|request| request.path.contains("/o/") && request.status == 200).collect()
}

#[test]
fn a74_one_key_among_100_000_people_costs_a_host_one_bucket_and_the_pages_above_it() {
    let fleet = Fleet::start(2);
    let [kept, fresh] = fleet.hosts.as_slice() else { panic!("two hosts") };
    let people = crowd(&fleet.collector.host.read("/etc/authkeys/people.toml"));
    fleet.collector.host.write("/etc/authkeys/people.toml", &people, 0o644);
    fleet.collect();
    kept.pull();
    let first = fetched(&fleet);
    println!(
        "a first copy: {} objects, {} bytes",
        first.len(),
        first.iter().map(|one| one.body).sum::<u64>()
    );

    let (old, new) = (made_keys::scattered(50_000), made_keys::scattered(PEOPLE));
    let mut expected = everybody(kept);
    let mut change = |people: String| {
        fleet.collector.host.write("/etc/authkeys/people.toml", people, 0o644);
        fleet.collect();
        kept.pull();
        let objects = fetched(&fleet);
        let before = std::mem::replace(&mut expected, everybody(kept));
        assert_ne!(before, expected);
        (objects.len(), objects.iter().map(|one| one.body).sum::<u64>())
    };
    let here = || {
        kept.host.must("ls /var/lib/oncall-cache/fleet/o | wc -l").trim().parse::<usize>().expect("a count")
    };
    let before = here();
    let (objects, bytes) = change(people.replace(&old, &new));
    // The bucket is replaced; the pages before it stay, by which authkeys-sync finds that only this one is another.
    assert_eq!(here(), before + objects - 1);
    println!("one key of p050000: {objects} objects, {bytes} bytes");
    assert!((2..=3).contains(&objects) && bytes <= MOST_BYTES, "{objects} objects, {bytes} bytes");
    // One who leaves, as well.
    let start = people.find("[[person]]\nusername='p077777'").expect("they are there");
    let end = start + people[start..].find("[[person]]\nusername='p077778'").expect("they are there");
    let (objects, bytes) = change(people[..start].to_string() + &people[end..]);
    println!("p077777 has left, and p050000 has the old key: {objects} objects, {bytes} bytes");
    assert!((3..=5).contains(&objects) && bytes <= 2 * MOST_BYTES, "{objects} objects, {bytes} bytes");

    fresh.pull();
    assert_eq!(everybody(fresh), everybody(kept));
    let count =
        "sqlite3 /var/lib/authkeys/keys.db \"SELECT count(*) FROM person WHERE principal GLOB 'p[0-9]*'\"";
    assert_eq!(fresh.host.must(count).trim(), (PEOPLE - 1).to_string());
}
