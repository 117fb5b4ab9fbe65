//! Hosts that follow a fleet: what reaches them from the collector, and that they hold none of its secrets.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use harness::fleet::{Fleet, Follower, TOKEN};
use harness::slapd::Slapd;
use harness::suite::{HOUR, TEAM, instant, now, soon};
use harness::text;

/// Whose key opens root on this host, of those who may ever: by ssh, and by sudo in an account of their own.
fn roots(host: &Follower) -> [Vec<&'static str>; 2] {
    let by = |may: &dyn Fn(&str) -> bool| {
        TEAM.iter().filter(|member| member.eligible && may(member.name)).map(|member| member.name).collect()
    };
    [
        by(&|name| host.ssh(name, "root", "true").status.success()),
        by(&|name| host.run_as(name, "sudo -n true").status.success()),
    ]
}

/// Sees that exactly these people become root on each host.
fn must_be_roots(fleet: &Fleet, names: &[&'static str], when: &str) {
    for host in &fleet.hosts {
        assert_eq!(roots(host), [names, names], "{when}, on {}", host.address);
    }
}

/// Whether the key of `name` opens an account of their own.
fn enters(host: &Follower, name: &str) -> bool {
    host.ssh(name, name, "true").status.success()
}

/// Files of the host with one of the collector's secrets in them: those written since `start`, for the machine that it is
/// made over has others, and none that is still that machine's: others may write there meanwhile.
fn secrets_on(host: &Follower, start: i64) -> Vec<String> {
    let secrets = [TOKEN, Slapd::BIND_PASSWORD].map(|secret| format!("-e '{secret}' ")).concat();
    let found = host.host.must(&format!(
        "find /etc /var /root /home /tmp /opt /run -path /run/suite -prune -o -type f -newerct @{start} \
         -exec grep -aslF {secrets} {{}} + || true"
    ));
    let written =
        |path: &Path| std::fs::metadata(path).ok().map(|it| (it.ctime(), it.ctime_nsec(), it.len()));
    let is_of_host = |path: &&str| written(Path::new(path)) != written(&host.host.path(path));
    found.lines().filter(is_of_host).map(str::to_string).collect()
}

#[test]
fn a66_what_changes_at_the_collector_reaches_hosts_that_hold_no_secret() {
    let start = now();
    let fleet = Fleet::start(2);
    let slapd = fleet.directory();
    let collect_and_pull = || {
        fleet.collect();
        fleet.pull();
    };
    let begin = now();
    soon(15, |seconds| {
        let handover = now() + seconds;
        fleet.on_call(&[("alice", begin - HOUR, handover), ("bob", handover, handover + HOUR)]);
        collect_and_pull();
        must_be_roots(&fleet, &["alice"], "before the hand-over");
        handover
    });
    must_be_roots(&fleet, &["bob"], "after the hand-over, without a pull");

    fleet.on_call(&[("carol", begin - HOUR, begin + HOUR)]);
    collect_and_pull();
    must_be_roots(&fleet, &["carol"], "after an override");

    // Also while those who know are down: nothing is synced.
    fleet.at_collector("revoke carol --reason 'laptop lost'");
    fleet.pull();
    must_be_roots(&fleet, &[], "carol is revoked");
    assert!(!enters(&fleet.hosts[0], "carol") && enters(&fleet.hosts[0], "dave"));
    fleet.at_collector("unrevoke carol");
    fleet.pull();
    must_be_roots(&fleet, &["carol"], "carol is no longer revoked");

    slapd.modify(&format!(
        "dn: uid=carol,{}\nchangetype: modify\nreplace: sshPublicKey\nsshPublicKey: {}\n",
        Slapd::BASE,
        fleet.collector.public_key("dave")
    ));
    collect_and_pull();
    for host in &fleet.hosts {
        assert!(!enters(host, "carol"), "her key was removed");
    }
    slapd.delete(&format!("uid=dave,{}", Slapd::BASE));
    collect_and_pull();
    for host in &fleet.hosts {
        assert!(!enters(host, "dave"), "dave has left");
    }

    // The collector alone was seen where it asks, and each host where it publishes.
    let collector = IpAddr::V4(fleet.collector_at);
    assert_eq!(fleet.pagerduty.peers(), BTreeSet::from([collector]));
    let log = slapd.log();
    let from: BTreeSet<&str> = log
        .lines()
        .filter_map(|line| line.split_once("ACCEPT from IP=")?.1.split_once(':'))
        .map(|(from, _)| from)
        .collect();
    assert_eq!(
        from,
        BTreeSet::from([&*collector.to_string(), "127.0.0.1"]),
        "and this test's own ldapmodify"
    );
    let readers: BTreeSet<_> = fleet.requests().iter().map(|request| request.from).collect();
    assert_eq!(readers, fleet.hosts.iter().map(|host| host.address).collect());
    for host in &fleet.hosts {
        assert_eq!(secrets_on(host, start), [""; 0], "{}", host.address);
    }
    // So it would be found.
    fleet.hosts[0].host.write("/var/lib/oncall-cache/left", format!("x{TOKEN}"), 0o600);
    assert_eq!(secrets_on(&fleet.hosts[0], start), ["/var/lib/oncall-cache/left"]);
}

#[test]
fn a66_who_leaves_the_directory_is_refused_also_where_nobody_can_be_asked_before_hosts_pull() {
    let fleet = Fleet::start(2);
    let slapd = fleet.directory();
    let begin = now();
    fleet.on_call(&[("alice", begin - HOUR, begin + HOUR), ("carol", begin - HOUR, begin + HOUR)]);
    fleet.collect();
    fleet.pull();
    must_be_roots(&fleet, &["alice", "carol"], "both are on call");

    slapd.delete(&format!("uid=carol,{}", Slapd::BASE));
    fleet.collector.sync_keys();
    slapd.stop();
    fleet.pagerduty.hang(true);
    // As the units go on: both syncs fail from now on, and each publication has what the last good ones knew.
    let failed = fleet.collector.run_as("authkeys-sync", "authkeys-sync");
    assert!(!failed.status.success(), "{}", text(&failed));
    fleet.publish();
    must_be_roots(&fleet, &["alice", "carol"], "no host has pulled");
    fleet.pull();
    must_be_roots(&fleet, &["alice"], "carol has left");
    for host in &fleet.hosts {
        assert!(!enters(host, "carol") && enters(host, "dave"), "on {}", host.address);
    }
}

/// Signs what `change`, for sed, makes of the head's text with the collector's key, as whoever has that can.
fn sign_another(fleet: &Fleet, change: &str) -> String {
    fleet.collector.host.must(&format!(
        "install -m 600 /etc/authkeys/fleet-key /root/fleet-key && cd /root && \
         sed '/^-----BEGIN/,$d' {HEAD} | sed '{change}' >text && \
         ssh-keygen -q -Y sign -f fleet-key -n head@authkeys <text >signature 2>/dev/null && cat text signature"
    ))
}

/// Where the head is at the collector.
const HEAD: &str = "/srv/authkeys-fleet/head";

/// Every file that decides on this host, with what shows that it was written again.
fn decides(host: &Follower) -> String {
    host.host.must(
        "cd /var/lib && find oncall-cache/roster.db oncall-cache/roster.clock oncall-cache/revoked oncall-cache/fleet.mark \
         oncall-cache/fleet/head oncall-cache/fleet/o authkeys/keys.db authkeys/keys.mark -type f \
         -printf '%p %i %T@\\n' -exec sha256sum {} \\; | sort",
    )
}

#[test]
fn a67_cut_off_from_the_real_store_a_host_hands_over_and_ends_by_the_collectors_reading() {
    let fleet = Fleet::start(1);
    let host = &fleet.hosts[0];
    let begin = now();
    fleet.on_call(&[("alice", begin - HOUR, begin + 5 * HOUR), ("bob", begin + 5 * HOUR, begin + 60 * HOUR)]);
    fleet.collect();
    fleet.pull();
    let read = host.fleet_status()["head"]["rota_read"].as_i64().expect("an instant");
    let may = |name: &str, at: i64| {
        host.run_at("root", at, &format!("oncall-cache test-access {name}")).status.code()
    };
    fleet.stop_store();
    let said = host.try_pull();
    assert_eq!(said.status.code(), Some(2), "{}", text(&said));
    assert_eq!(host.fleet_status()["refused"]["reason"], "store-unreachable");
    for (name, at, expected) in [
        ("alice", begin + 5 * HOUR - 1, 0),
        ("bob", begin + 5 * HOUR - 1, 1),
        ("alice", begin + 5 * HOUR, 1),
        ("bob", begin + 5 * HOUR, 0),
        ("bob", read + 24 * HOUR - 1, 0),
        ("bob", read + 24 * HOUR, 2),
    ] {
        assert_eq!(may(name, at), Some(expected), "{name} {} s after the reading", at - read);
    }
    // Neither a pull that fails nor another sync from the mirror makes anything younger.
    for command in ["oncall-cache pull --now", "oncall-cache sync"] {
        host.run_ahead("oncall-cache", 23 * HOUR, command);
    }
    assert_eq!(may("bob", read + 24 * HOUR - 1), Some(0));
    assert_eq!(may("bob", read + 24 * HOUR), Some(2));
}

#[test]
fn a70_what_nginx_serves_in_place_of_an_object_changes_nothing() {
    let fleet = Fleet::start(1);
    let (host, store) = (&fleet.hosts[0], &fleet.collector.host);
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    fleet.pull();
    // The first pull after people came is the first that has all of them.
    assert!(host.try_pull().status.success());
    // Nothing new: nginx says so by 304, and nothing is written.
    fleet.requests();
    let before = decides(host);
    let said = text(&host.try_pull());
    assert!(said.contains("nothing new; 0 objects, 0 bytes in 1 request"), "{said}");
    let requests = fleet.requests();
    let [only] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((&*only.path, only.status, only.body), ("/fleet/head", 304, 0));
    assert_eq!(decides(host), before);

    let objects = || -> BTreeSet<String> {
        store.must("ls /srv/authkeys-fleet/o").lines().map(ToString::to_string).collect()
    };
    let known = objects();
    fleet.on_call(&[("bob", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    let next: Vec<String> = objects().difference(&known).cloned().collect();
    assert!(!next.is_empty());
    store.must("cp -a /srv/authkeys-fleet/o /srv/good");
    let config = "/etc/nginx/conf.d/fleet.conf";
    let example = store.read(config);
    let serve = |objects: &str| {
        let place = format!("{objects}location /fleet/ {{");
        store.write(config, example.replace("location /fleet/ {", &place), 0o644);
        fleet.stop_store();
        fleet.start_store();
    };
    for (spoil, word) in [
        ("printf x >>$o", "object-size"),
        ("truncate -s -1 $o", "object-size"),
        ("echo '<!DOCTYPE html>' >$o", "object-size"),
        ("s=$(stat -c %s $o); head -c $s /dev/zero >$o", "object-digest"),
        ("rm $o", "object-missing"),
    ] {
        for object in &next {
            store.must(&format!("o=/srv/authkeys-fleet/o/{object}; {spoil}"));
        }
        refuses(host, word, &before);
        store.must("rm -r /srv/authkeys-fleet/o && cp -a /srv/good /srv/authkeys-fleet/o");
    }
    for answer in [
        "return 302 http://elsewhere.example.com/;",
        "return 301 https://elsewhere.example.com/;",
        "return 200 '<html>';",
    ] {
        serve(&format!("location /fleet/o/ {{\n{answer}\n}}\n"));
        refuses(host, "object-", &before);
    }
    serve("");
    fleet.pull();
    must_be_roots(&fleet, &["bob"], "the store is right again");
}

/// A pull takes nothing over, for this reason, and all that decides stays.
fn refuses(host: &Follower, word: &str, before: &str) {
    let said = host.try_pull();
    assert_eq!(said.status.code(), Some(2), "{word}: {}", text(&said));
    assert!(text(&said).contains(word), "{word}: {}", text(&said));
    let reason = host.fleet_status()["refused"]["reason"].to_string();
    assert!(reason.contains(word), "{word}: {reason}");
    let kept: BTreeSet<String> = decides(host).lines().map(ToString::to_string).collect();
    let gone: Vec<&str> = before.lines().filter(|line| !kept.contains(*line)).collect();
    assert!(gone.is_empty(), "{word}: {gone:?}");
}

#[test]
fn a62_a_publication_that_does_not_count_changes_nothing() {
    let fleet = Fleet::start(1);
    let (host, store) = (&fleet.hosts[0], &fleet.collector.host);
    fleet.on_call(&[("alice", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    let older = store.read(HEAD);
    fleet.on_call(&[("bob", now() - HOUR, now() + HOUR)]);
    fleet.collect();
    fleet.pull();
    let good = store.read(HEAD);
    let hours_ago = |hours: i64| instant(now() - hours * HOUR);
    let later = "s/^sequence: .*/sequence: '$(($(date +%s%3N)))'/";
    let ended =
        format!("{later}; s/^issued: .*/issued: {}/; s/^valid: .*/valid: {}/", hours_ago(7), hours_ago(1));
    let state = || {
        host.host.must(
            "cd /var/lib && sha256sum oncall-cache/roster.db oncall-cache/revoked oncall-cache/fleet/head \
             oncall-cache/fleet.mark oncall-cache/fleet/o/* authkeys/keys.db authkeys/keys.mark",
        )
    };
    let before = state();
    for (round, (published, word)) in (1..).zip([
        (older, "head-replay"),
        (sign_another(&fleet, &ended), "head-expired"),
        (sign_another(&fleet, &format!("{later}; s/^fleet: .*/fleet: other/")), "head-fleet"),
        (good.replace("\nfleet: example\n", "\nfleet: exampl3\n"), "head-signature"),
        (good[..good.len() / 2].to_string(), "head-form"),
        (String::new(), "head-form"),
    ]) {
        store.write(HEAD, &published, 0o644);
        // nginx tells files apart by their seconds and their length.
        store.must(&format!("touch -d '{round} minutes' {HEAD}"));
        let said = host.try_pull();
        assert_eq!(said.status.code(), Some(2), "{word}: {}", text(&said));
        assert!(text(&said).contains(word), "{word}: {}", text(&said));
        assert_eq!(state(), before, "{word}");
    }
    store.write(HEAD, &good, 0o644);
    fleet.pull();
    must_be_roots(&fleet, &["bob"], "the store is right again");
}

#[test]
fn a77_a_signing_key_is_rolled_over_and_no_host_stops() {
    let fleet = Fleet::start(2);
    let (old, both) = (["fleet-key"], ["fleet-key", "fleet-key-2"]);
    let on_call = |name: &str| fleet.on_call(&[(name, now() - HOUR, now() + HOUR)]);
    on_call("alice");
    fleet.collect();
    fleet.pull();
    let first = fleet.collector.host.read("/etc/authkeys/fleet-signers");
    let second = fleet.new_key("fleet-key-2");

    // Both are trusted, both sign; one host did not read it before the store goes down.
    fleet.trust(&format!("{first}{second}"));
    fleet.sign_with(&both, "fleet-signers");
    on_call("bob");
    fleet.collect();
    fleet.hosts[0].pull();
    fleet.stop_store();
    fleet.trust(&second);
    for host in &fleet.hosts {
        let said = host.try_pull();
        assert_eq!(said.status.code(), Some(2), "{}", text(&said));
        // People are read from what is here: signed by a key that counts still, or by none, which changes nothing.
        host.run_as("authkeys-sync", "authkeys-sync");
    }
    assert_eq!(roots(&fleet.hosts[0]), [["bob"]; 2]);
    assert_eq!(
        roots(&fleet.hosts[1]),
        [["alice"]; 2],
        "what it has read counts for as long as it is not too old"
    );

    // The old key goes, and all hosts go on.
    fleet.start_store();
    fleet.pull();
    must_be_roots(&fleet, &["bob"], "what both have signed");
    fleet.sign_with(&["fleet-key-2"], "fleet-signers");
    on_call("carol");
    fleet.collect();
    fleet.pull();
    must_be_roots(&fleet, &["carol"], "what the new one alone has signed");

    // Whoever has the old one, and can write the store, is not heard any more.
    fleet.collector.host.write("/etc/authkeys/kept-signers", first, 0o644);
    fleet.sign_with(&old, "kept-signers");
    on_call("alice");
    fleet.collect();
    let state = "cd /var/lib && sha256sum oncall-cache/roster.db oncall-cache/fleet/head oncall-cache/revoked authkeys/keys.db";
    for host in &fleet.hosts {
        let before = host.host.must(state);
        let said = host.try_pull();
        assert_eq!(said.status.code(), Some(2));
        assert!(text(&said).contains("head-signature"), "{}", text(&said));
        assert_eq!(host.host.must(state), before);
    }
    must_be_roots(&fleet, &["carol"], "after the old key has signed");
}

/// Hosts take nothing over, and say why by these words; they decide by what they had.
fn all_refuse(fleet: &Fleet, before: &[String], why: &str, roots: &[&'static str]) {
    for (host, before) in fleet.hosts.iter().zip(before) {
        refuses(host, "head-signature", before);
        let said = host.fleet_status()["refused"]["text"].to_string();
        assert!(said.contains(why), "{why}: {said}");
        let status = text(&host.host.sh("oncall-cache status"));
        assert!(status.contains(why), "{why}: {status}");
    }
    must_be_roots(fleet, roots, why);
}

#[test]
fn a69_hosts_that_ask_for_two_signers_take_what_two_have_signed_and_nothing_less() {
    let fleet = Fleet::start(2);
    let collector = &fleet.collector.host;
    let on_call = |name: &str| fleet.on_call(&[(name, now() - HOUR, now() + HOUR)]);
    let listed = collector.read("/etc/authkeys/fleet-signers") + &fleet.new_key("second-key");
    fleet.trust(&listed);
    for host in &fleet.hosts {
        host.host.must("sed -i 's/^id = \"example\"/&\\nsignatures = 2/' /etc/authkeys/config.toml");
        assert!(host.host.must("oncall-cache config show").contains("signatures = 2"));
    }
    on_call("alice");
    fleet.collect();
    for host in &fleet.hosts {
        let said = text(&host.try_pull());
        assert!(said.contains("signed by 1 of the 2 signers that it takes"), "{said}");
        assert!(said.contains("(head-signature)"), "{said}");
        assert!(!host.host.path("/var/lib/oncall-cache/fleet/head").exists());
    }
    fleet.sign_with(&["fleet-key", "second-key"], "fleet-signers");
    fleet.publish();
    fleet.pull();
    must_be_roots(&fleet, &["alice"], "both have signed");
    let before: Vec<String> = fleet.hosts.iter().map(decides).collect();

    // Another collector, with either of the two keys, or with a key more that hosts do not know, or know by the same name.
    collector.must("install -d -o oncall-collector -g oncall-collector /var/lib/oncall-collector-2");
    let stranger = fleet.new_key("third-key");
    collector.write("/etc/authkeys/all-signers", listed.clone() + &stranger, 0o644);
    let again = fleet.new_key("again-key").replacen("again-key", "second-key", 1);
    fleet.trust(&(listed + &again));
    let few = "signed by 1 of the 2 signers that it takes";
    on_call("bob");
    fleet.collector.sync();
    for (keys, why) in [
        (&["fleet-key"][..], few),
        (&["second-key"], few),
        (&["second-key", "second-key"], few),
        (&["second-key", "again-key"], few),
        (&["fleet-key", "third-key"], "which no line of the signers lists"),
    ] {
        fleet.sign_with(keys, "all-signers");
        if keys.contains(&"again-key") {
            fleet.sign_with(keys, "fleet-signers");
        }
        let own = format!(
            "state = \"/var/lib/oncall-collector-2\"\n{}",
            collector.read("/etc/authkeys/collector.toml")
        );
        collector.write("/etc/authkeys/collector-2.toml", own, 0o644);
        fleet.at_collector("--config /etc/authkeys/collector-2.toml publish --now");
        all_refuse(&fleet, &before, why, &["alice"]);
    }

    fleet.sign_with(&["second-key", "fleet-key"], "fleet-signers");
    fleet.at_collector("publish --now");
    fleet.pull();
    must_be_roots(&fleet, &["bob"], "both have signed again");
    // What has come already is judged again by each sync.
    let host = &fleet.hosts[0];
    host.host.must("sed -i '/^second-key /d' /etc/authkeys/fleet-signers");
    for (user, command) in [("authkeys-sync", "authkeys-sync"), ("oncall-cache", "oncall-cache sync")] {
        let said = host.run_as(user, command);
        assert!(
            !said.status.success() && text(&said).contains("head-signature"),
            "{command}: {}",
            text(&said)
        );
    }
    assert_eq!(roots(host), [["bob"]; 2], "what it has counts for as long as it is not too old");
}
