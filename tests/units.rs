//! What systemd is given: units that it reads without a complaint, and a sandbox round each program.

use harness::suite::{HOUR, Suite};
use harness::text;

/// What is packaged for systemd, as the machine sees it.
const UNITS: &str = "/run/suite/source/packaging/systemd";

/// The unit of a site's own hook is not listed: what that may do is the site's to say.
const PROGRAMS: [&str; 12] = [
    "authkeys-sync",
    "oncall-cache-sync",
    "oncall-cache-pull",
    "oncall-cache-refresh",
    "authkeys-metrics",
    "oncall-cache-heartbeat",
    "oncall-cache-end",
    "oncall-collector-publish",
    "oncall-collector-hear",
    "oncall-collector-sink",
    "oncall-notify",
    "oncall-grant-accept",
];

#[test]
fn systemd_reads_every_unit_without_a_complaint() {
    let suite = Suite::start();
    suite.host.must(&format!("cp {UNITS}/* /etc/systemd/system"));
    suite
        .host
        .must("install -D /run/suite/source/packaging/write-metrics /usr/libexec/authkeys/write-metrics");
    // A site's own; without it, its unit is skipped.
    suite.host.write("/etc/authkeys/on-failure", "#!/bin/sh\n", 0o755);
    // What is added to a unit of polkit's, as if that were here.
    let polkit = "/etc/systemd/system/polkit-agent-helper@.service";
    suite.host.write(polkit, "[Service]\nProtectSystem=strict\nExecStart=/bin/true\n", 0o644);
    suite.host.must(&format!("install -Dm644 {UNITS}/polkit-agent-helper.conf {polkit}.d/authkeys.conf"));
    let output = suite.host.sh(&format!(
        "cd {UNITS} && systemd-analyze verify --man=no $(ls *.* | grep -v 'conf$' | sed s/@/@x/) polkit-agent-helper@x.service"
    ));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
}

#[test]
fn what_the_programs_may_do_is_little() {
    let suite = Suite::start();
    for unit in PROGRAMS {
        // It writes on people's terminals and ends their processes.
        let most = if unit == "oncall-cache-end" { 20 } else { 15 };
        let judge =
            format!("systemd-analyze security --offline=true --threshold={most} {UNITS}/{unit}.service");
        suite.host.must(&judge);
    }
    // It reads what root alone may read, and asks PAM, whose modules do what they do.
    suite.host.must(&format!(
        "systemd-analyze security --offline=true --threshold=27 {UNITS}/authkeys-doctor.service"
    ));
}

/// A container of systemd-nspawn has a boot id of its own, mounted over the kernel's. Where systemd gives a unit another /proc
/// it has to be mounted there, too: logins and units mean the same boot. (A unit that sees processes alone sees no boot.)
#[test]
fn each_unit_sees_the_boot_that_logins_see() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/systemd");
    let mut confined = 0;
    for entry in std::fs::read_dir(directory).expect("the units") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let has = |line: &str| text.lines().any(|one| one == line);
        if has("ProtectKernelTunables=yes") && !has("ProcSubset=pid") {
            confined += 1;
            assert!(has("BindReadOnlyPaths=-/proc/sys/kernel/random"), "{}", path.display());
        }
    }
    assert!(confined >= 11, "{confined}");
}

/// Runs of oncall-cache-end.timer are 81 s apart at most: by that, `lib/policy` shows that what may end does so within three
/// minutes of its instant.
#[test]
fn open_sessions_are_looked_at_often_enough() {
    let timer = include_str!("../packaging/systemd/oncall-cache-end.timer");
    let seconds = |key: &str| -> u32 {
        let value = timer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = value.unwrap_or_else(|| panic!("{key} is not set"));
        let minutes = value.strip_suffix("min").map(|minutes| minutes.parse::<u32>().expect("minutes") * 60);
        minutes.unwrap_or_else(|| value.strip_suffix('s').expect("s").parse().expect("seconds"))
    };
    assert_eq!(seconds("OnUnitActiveSec") + seconds("AccuracySec") + seconds("RandomizedDelaySec"), 81);
}

#[test]
fn what_packages_enable_the_first_installation_without_one_enables_too() {
    let suite = Suite::start();
    let enabled = || {
        let units = "authkeys-sync.timer oncall-cache-sync.timer oncall-cache-heartbeat.timer oncall-cache-end.timer authkeys-changed.path oncall-cache-refresh.socket \
                     authkeys-metrics.timer oncall-cache-pull.timer authkeys-fleet.path oncall-cache-people.path";
        let output = suite.host.sh(&format!("systemctl is-enabled {units}"));
        String::from_utf8(output.stdout).expect("words")
    };
    assert_eq!(
        enabled(),
        "enabled\nenabled\nenabled\nenabled\nenabled\nenabled\ndisabled\ndisabled\ndisabled\ndisabled\n"
    );
    suite.host.must("systemctl disable oncall-cache-refresh.socket");
    suite.host.must("sh /run/suite/source/packaging/install.sh /run/suite/build");
    assert_eq!(
        enabled(),
        "enabled\nenabled\nenabled\nenabled\nenabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\n",
        "as it was left"
    );
}

#[test]
fn metrics_are_written_whole_whatever_they_tell() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    suite.host.must("mkdir /run/metrics");
    let write =
        "sh /run/suite/source/packaging/write-metrics /nonexistent /run/metrics && ls -A /run/metrics";
    assert_eq!(suite.host.must(write), "oncall-cache.prom\n");
    assert!(suite.host.read("/run/metrics/oncall-cache.prom").contains("\noncall_cache_status 0\n"));
    suite.host.must("rm /var/lib/oncall-cache/roster.db");
    assert_eq!(suite.host.must(write), "oncall-cache.prom\n");
    assert!(suite.host.read("/run/metrics/oncall-cache.prom").contains("\noncall_cache_status 2\n"));
    // Where it cannot run at all, what stands stays, and ages.
    suite.host.must("chmod a-x /usr/bin/oncall-cache");
    assert!(!suite.host.sh(write).status.success());
    assert!(suite.host.read("/run/metrics/oncall-cache.prom").contains("oncall_cache_status 2"));
}
