//! An S3 bucket as the store: `oncall-collector` publishes there, and hosts read it as its policy lets everybody. The server
//! is moto, behind a check of each signature and of the policy (harness/s3.py).

use harness::bucket::Bucket;
use harness::fleet::{Fleet, Follower};
use harness::page::boxes;
use harness::suite::{HOUR, now};
use harness::text;
use serde_json::Value;

#[test]
fn a_collector_publishes_to_a_bucket_and_a_second_one_takes_its_turn() {
    let fleet = Fleet::start(0);
    let host = &fleet.collector.host;
    let bucket = fleet.use_bucket();
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    let status = || -> Value { serde_json::from_str(&fleet.at_collector("status --json")).expect("JSON") };
    let first = status();
    fleet.on_call(&[("bob", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    assert_ne!(first, status());
    // Each request was signed as Amazon's library signs it, and the scratch name is gone.
    let log = bucket.log();
    assert!(!log.contains("refused:"), "{log}");
    assert!(
        log.contains("PUT /example-authkeys/fleet/head?") && log.contains("PUT /example-authkeys/fleet/o/")
    );
    assert!(log.contains("DELETE /example-authkeys/fleet/probe/"), "{log}");

    // Another collector on the same bucket sees that the first one is at work.
    let other = fleet.new_key("other-key");
    let signers = host.read("/etc/authkeys/fleet-signers");
    host.write("/etc/authkeys/fleet-signers", format!("{signers}{other}"), 0o644);
    host.must("sed -i 's/\"fleet-key\"/\"other-key\"/' /etc/authkeys/collector.toml");
    assert!(fleet.publish().contains("standing by: fleet-key"));
    assert!(!fleet.at_collector("publish --now").contains("standing by"));

    // The credentials are taken away.
    host.must("echo 'AKIDEXAMPLE:another' >/etc/authkeys/s3-credentials");
    let refused = fleet.collector.run_as("oncall-collector", "oncall-collector publish");
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused);
    assert!(said.contains("/fleet/head: answered 403; check credentials_file"), "{said}");
    assert!(!said.contains("X-Amz") && !said.contains("another"), "{said}");
}

/// The bucket's policy, as docs/fleet.md has it.
fn policy() -> String {
    let boxes = boxes("The store: S3");
    let policies: Vec<&String> = boxes.iter().filter(|one| one.starts_with('{')).collect();
    let [policy] = policies[..] else { panic!("{boxes:#?}") };
    policy.clone()
}

/// A pull takes nothing over: the bucket shows this host nothing.
fn sees_nothing(host: &Follower) {
    let said = host.try_pull();
    assert_eq!(said.status.code(), Some(2), "{}", text(&said));
    let what = format!("{}: status 403; check `header_file` in [fleet], or the bucket's policy", Bucket::URL);
    assert!(text(&said).contains(&what), "{}", text(&said));
    assert_eq!(host.fleet_status()["refused"]["reason"], "store-unreachable");
}

fn opens_root(host: &Follower) -> Vec<&'static str> {
    ["alice", "bob"].into_iter().filter(|name| host.ssh(name, "root", "true").status.success()).collect()
}

#[test]
fn a66_a_host_reads_a_bucket_as_everybody_may_by_its_policy() {
    let fleet = Fleet::start(1);
    let (host, bucket) = (&fleet.hosts[0], fleet.use_bucket());
    host.read_bucket(&bucket);
    bucket.set_policy(&policy());
    // Nothing is published: nobody may know whether something is there.
    sees_nothing(host);
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    fleet.pull();
    assert_eq!(opens_root(host), ["alice"]);

    let own = format!("{} ", host.address);
    let requests = |log: &str| -> Vec<String> {
        log.lines().filter_map(|line| line.strip_prefix(&own)).map(ToString::to_string).collect()
    };
    let before = requests(&bucket.log()).len();
    let since = || requests(&bucket.log()).split_off(before);
    let said = text(&host.try_pull());
    assert!(said.contains("nothing new; 0 objects, 0 bytes in 1 request"), "{said}");
    assert_eq!(since(), ["GET /example-authkeys/fleet/head 304"]);

    fleet.on_call(&[("bob", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    let said = host.pull();
    assert!(said.contains("taken over; 2 objects"), "{said}");
    assert_eq!(opens_root(host), ["bob"]);
    let asked = since();
    assert_eq!(asked[1], "GET /example-authkeys/fleet/head 200");
    let is_object =
        |line: &&String| line.starts_with("GET /example-authkeys/fleet/o/") && line.ends_with(" 200");
    assert_eq!(asked[2..].iter().filter(is_object).count(), 2, "{asked:#?}");
    assert!(
        !asked.concat().contains('?'),
        "nothing is signed, and nothing is asked for beside the object: {asked:#?}"
    );

    // What the policy does not give.
    for (from, to) in
        [("192.0.2.0/24", "198.51.100.0/24"), ("/fleet/*", "/other/*"), ("s3:GetObject", "s3:ListBucket")]
    {
        let other = policy().replace(from, to);
        assert_ne!(other, policy(), "{from}");
        bucket.set_policy(&other);
        sees_nothing(host);
    }
    assert_eq!(opens_root(host), ["bob"]);
    bucket.set_policy(&policy());
    fleet.pull();
}
