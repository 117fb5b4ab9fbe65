//! Two collectors on one bucket: neither holds a lock there, so one may be stopped at any moment of its publication while
//! the other goes on. The server is moto behind a check of each signature.

use super::second::Second;
use super::*;

/// What is published: its sequence, and when each schedule was read.
fn published(fleet: &Fleet) -> (u64, Vec<String>) {
    let said = fleet.collector.run_as("oncall-collector", "oncall-collector status --json");
    let status: Value =
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&said)));
    let head = &status["head"];
    let schedules = head["schedules"].as_array().unwrap_or_else(|| panic!("{status}"));
    let read = schedules.iter().map(|one| one["read"].as_str().expect("an instant").to_string());
    (head["sequence"].as_u64().expect("a number"), read.collect())
}

/// Starts a publication of the first collector and stops it so long after it has become that program; was it at work
/// still? In a session of its own: a stopped process whose group loses its parent is sent SIGHUP.
fn stop(host: &Host, after: Duration) -> bool {
    let state = host.must(&format!(
        "setsid setpriv --reuid=oncall-collector --regid=oncall-collector --init-groups \
            oncall-collector publish --now >/run/first.log 2>&1 </dev/null & pid=$!; echo $pid >/run/first.pid
         # What would become the program, and is stopped before, may hold what we read to its end.
         until case $(cat /proc/$pid/comm 2>/dev/null) in oncall-c* | '') ;; *) false ;; esac; do :; done
         sleep {:.3}; kill -STOP $pid 2>/dev/null
         # A signal that was sent takes effect a moment later.
         state() {{ sed -n 's/^State:[[:space:]]*//p' /proc/$pid/status 2>/dev/null; }}
         while now=$(state); do case $now in T* | Z* | '') break ;; esac; sleep 0.01; done; echo $now",
        after.as_secs_f64()
    ));
    state.starts_with('T')
}

/// Lets it go on, to its end.
fn go_on(host: &Host) {
    host.must("pid=$(cat /run/first.pid); kill -CONT $pid 2>/dev/null; while kill -0 $pid 2>/dev/null; do sleep 0.02; done");
}

#[test]
fn a72_on_a_bucket_a_collector_that_was_stopped_overwrites_nothing() {
    let fleet = start();
    let _bucket = fleet.use_bucket();
    let second = Second::start(&fleet, 60);
    let host = &fleet.collector.host;
    fleet.collect();
    let start = Instant::now();
    fleet.publish();
    let mut took = start.elapsed();
    let (mut stopped, mut tries) = (0, 0);
    let stops = sized(8, 40);
    while stopped < stops {
        tries += 1;
        assert!(tries < 5 * stops, "stopped {stopped} times of {stops}");
        fleet.collector.sync();
        if !stop(host, took * (stopped + 1) / (stops + 1)) {
            took = took.mul_f64(0.8);
            continue;
        }
        stopped += 1;
        let (before, _) = published(&fleet);
        second.sync("bob");
        second.publish("--now");
        let (between, read) = published(&fleet);
        assert!(between > before, "{stopped}: {between} after {before}");
        go_on(host);
        let (after, still) = published(&fleet);
        assert!(after >= between, "{stopped}: {after} after {between}");
        // The second's reading is the later one, by its clock too.
        assert_eq!(still, read, "{stopped}: {}", host.read("/run/first.log"));
    }
}
