//! Two collectors with one store: whichever publishes, hosts only go on.

use super::*;

/// A second collector on the first one's machine, with copies, a key and a clock of its own.
pub struct Second<'f> {
    fleet: &'f Fleet,
    ahead: i64,
}

impl<'f> Second<'f> {
    /// Where its configuration is.
    pub const ETC: &'static str = "/etc/authkeys2";

    pub fn start(fleet: &'f Fleet, ahead: i64) -> Self {
        let (host, etc) = (&fleet.collector.host, Self::ETC);
        let signers = host.read("/etc/authkeys/fleet-signers") + &fleet.new_key("second-key");
        fleet.trust(&signers);
        let paths =
            "[paths]\nroster = '/var/lib/second-cache/roster.db'\nkeys = '/var/lib/second-keys/keys.db'\n";
        host.must(&format!(
            "cp -a /etc/authkeys {etc}
             install -d -o oncall-cache -g oncall-cache -m 755 /var/lib/second-cache
             install -d -o authkeys-sync -g authkeys -m 755 /var/lib/second-keys
             install -d -o oncall-collector -g oncall-collector -m 750 /var/lib/second-collector"
        ));
        host.write(&format!("{etc}/config.toml"), COLLECTOR.to_string() + paths, 0o644);
        let first = host.read("/etc/authkeys/collector.toml");
        assert!(first.contains("\"fleet-key\""), "{first}");
        let own = first.replace("\"fleet-key\"", "\"second-key\"");
        // Before every table: whatever the store is. However slow this machine is, the first one is not late.
        let own = format!("state = '/var/lib/second-collector'\nheartbeat = '30m'\n{own}");
        host.write(&format!("{etc}/collector.toml"), own, 0o644);
        Self { fleet, ahead }
    }

    pub fn run(&self, user: &str, program: &str, words: &str) -> Output {
        let name = if program == "oncall-collector" { "collector.toml" } else { "config.toml" };
        let command = format!("{program} --config {}/{name} {words}", Self::ETC);
        self.fleet.collector.run_ahead(user, self.ahead, &command)
    }

    pub fn must(&self, user: &str, program: &str, words: &str) -> String {
        let said = self.run(user, program, words);
        assert!(said.status.success(), "{program} {words}: {}", text(&said));
        text(&said)
    }

    /// Reads `person` as the one on call, and everybody.
    pub fn sync(&self, person: &str) {
        write_rota(&self.fleet.collector, &format!("{}/rota.toml", Self::ETC), person);
        self.must("authkeys-sync", "authkeys-sync", "");
        self.must("oncall-cache", "oncall-cache", "sync");
    }

    pub fn publish(&self, words: &str) -> String {
        self.must("oncall-collector", "oncall-collector", &format!("publish {words}"))
    }
}

#[test]
fn a72_a_collector_without_its_sources_brings_nothing_back() {
    let fleet = start();
    let second = Second::start(&fleet, 60);
    let host = One::new(&fleet.hosts[0], "h", Nginx::URL);
    fleet.collect();
    host.settle();
    assert_eq!(host.on_call(), only("alice"));

    // The first is at work: the second stands by.
    second.sync("bob");
    assert!(second.publish("").contains("standing by"));
    host.pull();
    assert_eq!(host.on_call(), only("alice"));

    // The first loses its sources, and the second publishes a hand-over and that carol is gone.
    let collector = &fleet.collector;
    collector.host.must("rm /etc/authkeys/rota.toml /etc/authkeys/people.toml");
    let without: Vec<_> = TEAM.iter().filter(|member| member.name != "carol").copied().collect();
    collector.write_people(&without);
    collector.host.must(&format!("mv /etc/authkeys/people.toml {}/people.toml", Second::ETC));
    second.sync("bob");
    second.publish("--now");
    let (people, rota) = (in_head(&fleet, "people"), in_head(&fleet, "rota"));
    host.pull();
    assert_eq!(host.on_call(), only("bob"));

    // Both publish in turn, each time asked to.
    let mut sequence = in_head(&fleet, "sequence").parse::<u64>().expect("a number");
    for round in 0..6 {
        if round % 2 == 0 {
            fleet.at_collector("publish --now");
        } else {
            second.publish("--now");
        }
        let next = in_head(&fleet, "sequence").parse().expect("a number");
        assert!(next > sequence, "{next} after {sequence}");
        sequence = next;
        assert_eq!(
            (in_head(&fleet, "people"), in_head(&fleet, "rota")),
            (people.clone(), rota.clone()),
            "{round}"
        );
        host.pull();
        assert_eq!(host.on_call(), only("bob"));
    }
}

#[test]
fn a_host_whose_clock_is_behind_the_collectors_takes_over_each_change_at_once() {
    let fleet = start();
    let ahead = Second::start(&fleet, 60);
    let host = One::new(&fleet.hosts[0], "h", Nginx::URL);
    fleet.collect();
    host.settle();
    for person in ["alice", "bob", "carol"] {
        ahead.sync(person);
        // Then the same, read again: the host only notes when.
        for _ in 0..2 {
            ahead.publish("--now");
            host.pull();
            assert_eq!(host.on_call(), only(person));
            ahead.must("oncall-cache", "oncall-cache", "sync");
        }
    }
}

#[test]
fn a72_two_collectors_at_once_only_go_on() {
    let fleet = start();
    let second = Second::start(&fleet, 60);
    let host = One::new(&fleet.hosts[0], "h", Nginx::URL);
    fleet.collect();
    host.settle();
    let collector = &fleet.collector;
    let sequence = || in_head(&fleet, "sequence").parse::<u64>().expect("a number");
    let user = "setpriv --reuid=oncall-collector --regid=oncall-collector --init-groups";
    let first = format!(
        "while [ ! -e /run/stop ]; do
            runuser -u oncall-cache -- oncall-cache sync >/dev/null
            {user} oncall-collector publish --now & echo $! >/run/first.pid; wait $!
        done; echo done"
    );
    // Stopped at one moment and another, for as long as the other needs to try.
    let stop = "while [ ! -e /run/stop ]; do
        sleep 0.$((RANDOM % 10)); pid=$(cat /run/first.pid)
        kill -STOP $pid; sleep 0.7; kill -CONT $pid
    done";
    collector.host.daemon(&["/bin/sh", "-c", &first], "/run/first.log");
    collector.host.daemon(&["/bin/bash", "-c", stop], "/run/stop.log");
    let (start, mut last, mut own) = (Instant::now(), sequence(), 0);
    let others = || collector.host.read("/run/first.log").matches("published ").count();
    // Whole, as often as their timers let them in an hour.
    let (least, time) = sized((3, MINUTE / 3), (120, MINUTE));
    while start.elapsed() < time || own < least || others() < least {
        assert!(start.elapsed() < sized(10, 60) * MINUTE, "{own} and {} publications", others());
        second.sync(["alice", "bob"][own % 2]);
        // It may find that the other has the store for too long.
        own +=
            usize::from(second.run("oncall-collector", "oncall-collector", "publish --now").status.success());
        let next = sequence();
        assert!(next >= last, "{next} after {last}");
        last = next;
        // A host goes on with each: no fork, no replay, no object missing.
        host.pull();
        assert_eq!(host.on_call().len(), 1);
    }
    collector.host.write("/run/stop", "", 0o644);
    wait_until("the first has ended", || collector.host.read("/run/first.log").ends_with("done\n"));
    // What is read from now on is what hosts get: by the clock that is ahead, nothing is later than its own reading.
    second.sync("carol");
    second.publish("--now");
    fleet.at_collector("publish --now");
    host.pull();
    assert_eq!(host.on_call(), only("carol"));
}
