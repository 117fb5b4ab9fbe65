//! Hosts of a fleet, really booted: what systemd, sshd, PAM and apt make of the packages.

use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use harness::packages::{self, LISTED, LOGINS, added};
use harness::page;
use harness::pagerduty::Reply;
use harness::releases::{AFTER, FIRST_FORMS, NEXT, Release, THIS};
use harness::slapd::Slapd;
use harness::suite::{HOUR, instant, now};
use harness::{Booted, Debian, Network, Site, text, wait_until};
use serde_json::json;

/// Brings the packages of `releases` to /root/VERSION.
fn bring_packages(host: &Booted, releases: &[&Release]) {
    for release in releases {
        packages::bring_debs(host, release, &format!("/root/{}", release.version));
    }
}

/// Installs `release`, whatever was there; apt has no network.
fn install(host: &Booted, release: &Release) {
    host.must(&format!("apt-get install --allow-downgrades /root/{}/*.deb", release.version));
}

/// The forms of both databases, from this release's on: `PRAGMA user_version`, from the headers of the files.
fn forms(host: &Booted) -> [u32; 2] {
    let [roster, keys, _] = FIRST_FORMS;
    [("/var/lib/oncall-cache/roster.db", roster), ("/var/lib/authkeys/keys.db", keys)].map(|(file, first)| {
        let form = host.must(&format!("od -An -tu1 -j63 -N1 {file}"));
        form.trim().parse::<u32>().expect("a number") + 1 - first
    })
}

/// Makes of a host with the packages one that this site's team logs in to: observing first, then enforcing.
fn configure(site: &Site, slapd: &Slapd, host: &Booted) {
    site.write_inventory(slapd, &[("web1", host)], &packages::debs_inside(&THIS));
    // Refused where node_exporter reads nothing.
    let metrics = host.path("/var/lib/prometheus/node-exporter").exists();
    site.play_well(1, &json!({ "authkeys_metrics": metrics }));
    site.play_well(
        1,
        &json!({ "authkeys_metrics": metrics, "authkeys_mode": "enforce", "authkeys_trial": "30m" }),
    );
    site.play(&json!({ "authkeys_metrics": metrics, "authkeys_mode": "enforce" }), &[]).must_count(1, 0, 0);
}

/// Waits until this host says that it knows all it has to.
fn waits_until_well(host: &Booted) {
    wait_until("the copies are there and believed", || host.sh("oncall-cache status").status.success());
}

fn entered(output: &Output, said: &str) -> bool {
    let entered = output.status.success();
    assert_eq!(String::from_utf8_lossy(&output.stdout) == said, entered, "{}", text(output));
    entered
}

/// Does the key of `name` open root?
fn enters_root(site: &Site, host: &Booted, name: &str) -> bool {
    entered(&site.ssh(host, name, "root", "id -un"), "root\n")
}

/// Does `name` get into the account of their own?
fn enters(site: &Site, host: &Booted, name: &str) -> bool {
    entered(&site.ssh(host, name, name, "id -un"), &format!("{name}\n"))
}

/// May `name`, over ssh, sudo?
fn may_sudo(site: &Site, host: &Booted, name: &str) -> bool {
    entered(&site.ssh(host, name, name, "sudo -n id -un"), "root\n")
}

/// One property of a unit.
fn property(host: &Booted, unit: &str, name: &str) -> String {
    host.must(&format!("systemctl show --value --property={name} {unit}")).trim().to_string()
}

/// What a program has written to this boot's journal.
fn journal(host: &Booted, identifier: &str) -> String {
    host.must(&format!("journalctl --boot --quiet --output=cat --identifier={identifier}"))
}

/// Asks for a sync as somebody without any right, until the half minute between two is over.
fn refresh(host: &Booted) -> Output {
    let mut output = None;
    wait_until("another sync may begin", || {
        let answer = host.sh("runuser -u nobody -- oncall-cache refresh");
        let waits = text(&answer).contains("another may begin in ");
        output = Some(answer);
        !waits
    });
    output.expect("it was asked")
}

#[test]
fn a_host_from_its_first_package_to_a_handover_without_a_network() {
    let site = Site::start();
    let slapd = site.directory();
    let start = now();
    site.on_call(&[("alice", start - HOUR, start + HOUR), ("bob", start + HOUR, start + 2 * HOUR)]);
    let mut host = site.host("web1");
    site.let_ansible_in(&host);
    bring_packages(&host, &[&THIS]);

    install(&host, &THIS);
    let units = "authkeys-sync.timer oncall-cache-sync.timer oncall-cache-heartbeat.timer oncall-cache-end.timer authkeys-changed.path \
                 oncall-cache-refresh.socket";
    host.must(&format!("systemctl is-active {units}"));
    assert_eq!(
        host.must("systemctl is-system-running"),
        "running\n",
        "without a configuration nothing fails"
    );
    // Installed, and nothing is decided.
    host.must("su - bob -c 'sudo -n true'");

    host.write("/etc/authkeys/on-failure", "#!/bin/sh\nlogger -t pager \"$1 $MONITOR_EXIT_STATUS\"\n", 0o755);
    host.must("mkdir -p /var/lib/prometheus/node-exporter");
    configure(&site, &slapd, &host);
    waits_until_well(&host);
    only_those_on_call_enter(&site, &host, "alice", "bob");
    units_are_held_to_what_they_have_to_do(&host);
    metrics_know_by_which_clock_a_pause_is_over(&host);
    changed_files_are_seen_by_themselves(&site, &host);
    let turns = somebody_without_rights_asks_for_the_news(&site, &host);
    a_handover_needs_no_network(&site, &mut host, &turns);
    a_provider_fails_and_heals(&site, &host, &turns);

    wait_until("the metrics are written by their timer", || {
        host.sh("grep -q '^oncall_cache_enforcing 1' /var/lib/prometheus/node-exporter/oncall-cache.prom")
            .status
            .success()
    });
    site.play_well(1, &json!({ "authkeys_mode": "enforce" }));
    assert_eq!(host.must("ls /var/lib/prometheus/node-exporter"), "", "metrics that nobody writes any more");
    who_was_root_is_told(&host);
    that_there_are_records_is_recorded(&host);
    what_changes_is_found_by_the_doctor(&host);
    let doctor = host.sh("oncall-cache doctor");
    assert_eq!(doctor.status.code(), Some(0), "{}", text(&doctor));
    assert_eq!(host.must("systemctl is-system-running"), "running\n");
}

/// By its timer, as far as its unit lets it: the file may have to be made, with the group of its directory.
fn that_there_are_records_is_recorded(host: &Booted) {
    let file = "/var/log/authkeys/decisions.jsonl";
    wait_until("the timer has run once", || {
        host.sh(&format!("grep -q '\"phase\":\"heartbeat\"' {file}")).status.success()
    });
    host.must(&format!("chgrp adm /var/log/authkeys && mv {file} {file}.1"));
    host.must("systemctl start oncall-cache-heartbeat && [ $(stat -c %G:%a /var/log/authkeys/decisions.jsonl) = adm:640 ]");
    let line = host.must("journalctl -q -o cat -n 1 -t oncall-cache -g ^heartbeat");
    // As logins see it, also in a container, which has its own.
    let boot = host.must("cat /proc/sys/kernel/random/boot_id");
    assert!(line.contains(&format!(" boot={} last=", boot.trim())) && !line.contains("unwritten="), "{line}");
    host.must(&format!("chgrp root /var/log/authkeys && cat {file}.1 {file} >{file}.2 && chmod 640 {file}.2 && mv {file}.2 {file} && rm {file}.1"));
}

/// As far as its unit lets it look, and when something changes that it watches.
fn what_changes_is_found_by_the_doctor(host: &Booted) {
    let unit = "/run/systemd/system/authkeys-doctor.service.d/soon.conf";
    host.must(&format!("mkdir -p $(dirname {unit}) && rm -f /run/authkeys/way-in /var/log/authkeys/way-in"));
    host.write(unit, "[Service]\nExecStart=\nExecStart=/usr/bin/oncall-cache watch --again-after 1\n", 0o644);
    host.must("systemctl daemon-reload && systemctl start authkeys-doctor.service authkeys-doctor.path");
    let counting = || host.sh("grep ^oncall_cache_doctor_findings /run/authkeys/doctor.prom").stdout;
    assert_eq!(String::from_utf8_lossy(&counting()), "", "nothing is wrong yet");
    let kept = host.sh("test -s /run/authkeys/way-in && test -s /var/log/authkeys/way-in");
    assert!(kept.status.success(), "a way in was proven by its unit");
    host.must("umask 337 && echo 'Defaults !pam_acct_mgmt' >/etc/sudoers.d/quiet");
    let found = b"oncall_cache_doctor_findings{finding=\"sudo-pam\",severity=\"open\"} 1\n";
    wait_until("the doctor has found it", || counting() == found);
    host.must("rm /etc/sudoers.d/quiet");
    wait_until("the doctor has seen that it is mended", || counting().is_empty());
    host.must(&format!("systemctl stop authkeys-doctor.path && rm {unit} && systemctl daemon-reload"));
}

/// Sees that `on_call` becomes root and `other`, who is eligible too, does not; and that nobody else is in the way.
fn only_those_on_call_enter(site: &Site, host: &Booted, on_call: &str, other: &str) {
    assert!(enters_root(site, host, on_call) && may_sudo(site, host, on_call));
    assert!(
        !enters_root(site, host, other) && !enters(site, host, other),
        "guarded under their own name too"
    );
    assert!(
        enters(site, host, "dave") && !may_sudo(site, host, "dave"),
        "who cannot become root is not guarded"
    );
    assert!(!enters_root(site, host, "dave"));
    assert!(may_sudo(site, host, "breakglass"));
}

/// A program in place of each service's own says what the unit leaves it: without one as root everything, with it as
/// root next to nothing, and as the service's user what the service needs.
fn units_are_held_to_what_they_have_to_do(host: &Booted) {
    host.write("/usr/bin/probe", include_str!("fixtures/probe.sh"), 0o755);
    host.write("/tmp/mark", "", 0o644);
    let outside = host.must("probe");
    assert_eq!(outside.lines().count(), 22, "the probe tries all of it: {outside}");

    // Under a name of its own: nothing else starts it.
    let probe = |service: &str, prefix: &str, more: &str| {
        host.must(&format!(
            "{{ sed 's|^ExecStart=.*|ExecStart={prefix}/usr/bin/probe|; /^Condition/d' /usr/lib/systemd/system/{service}.service
                printf '[Service]\nType=oneshot\nRestart=no\nStandardOutput=truncate:/run/said\n{more}\n'; }} >/run/systemd/system/probe.service
             systemctl daemon-reload && systemctl start probe"
        ));
        host.read("/run/said")
    };
    let (all, here) = ("reached sshd\nreached the directory\n", "reached sshd\n");
    for (service, own, reached) in [
        ("authkeys-sync", "/var/lib/authkeys", all),
        ("oncall-cache-sync", "/var/lib/oncall-cache", all),
        ("oncall-cache-refresh", "/var/lib/oncall-cache", all),
        ("oncall-cache-pull", "/var/lib/oncall-cache", all),
        ("oncall-collector-publish", "/var/lib/oncall-collector", all),
        ("oncall-collector-hear", "/run/oncall-hear", here),
        ("oncall-collector-sink", "/var/lib/oncall-sink", all),
    ] {
        assert_eq!(
            probe(service, "!", ""),
            format!("saw other processes\n{reached}"),
            "{service}, even as root"
        );
        assert_eq!(probe(service, "", ""), format!("wrote {own}\n{reached}"), "{service}");
    }
    // It is root, without a capability. Each of the three walls that keep it from the network stands alone.
    let alone = "saw other processes\n";
    assert_eq!(probe("authkeys-metrics", "", ""), alone);
    let open = "PrivateNetwork=no\\nRestrictAddressFamilies=AF_INET";
    assert_eq!(probe("authkeys-metrics", "", open), alone, "IPAddressDeny is not enforced");
    let open = format!("{open}\\nIPAddressDeny=");
    assert_eq!(probe("authkeys-metrics", "", &open), format!("{alone}{all}"));
}

/// As every login does, the unit sees which boot this is: a wall clock that was set back makes no pause longer. It
/// sees the kernel's own name for the boot, in a /proc of its own, where a container has another.
fn metrics_know_by_which_clock_a_pause_is_over(host: &Booted) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a name");
    let boot = boot.trim();
    let uptime: i64 = host.must("cut -d. -f1 /proc/uptime").trim().parse().expect("seconds");
    let (from, until) = (instant(now() - 60), instant(now() + 240));
    for (ago, enforcing) in [(60, 0), (300, 1)] {
        let line = format!("pause {from} {until} {boot}:{} root\n", uptime - ago);
        host.write("/etc/authkeys/switch", &line, 0o644);
        wait_until("the metrics tell", || {
            host.must("systemctl reset-failed authkeys-metrics; systemctl start authkeys-metrics");
            let told = format!(
                "grep -qx 'oncall_cache_enforcing {enforcing}' /var/lib/prometheus/node-exporter/oncall-cache.prom"
            );
            host.sh(&told).status.success()
        });
    }
    host.must("rm /etc/authkeys/switch");
}

fn changed_files_are_seen_by_themselves(site: &Site, host: &Booted) {
    site.write_rota(host, Some("carol"));
    wait_until("the rota is read", || host.sh("oncall-cache test-access carol").status.success());
    assert!(enters_root(site, host, "carol") && enters_root(site, host, "alice"));
    site.write_rota(host, None);
    wait_until("the rota is read again", || !host.sh("oncall-cache test-access carol").status.success());
    assert!(!enters_root(site, host, "carol"));
    // Not read on this host, and watched all the same.
    let before = property(host, "authkeys-sync", "InvocationID");
    host.write("/etc/authkeys/people.toml", "", 0o644);
    wait_until("the people are copied", || property(host, "authkeys-sync", "InvocationID") != before);
}

/// Shifts of a minute for three hours: however long a busy machine takes to boot, hand-overs are to come.
struct Turns {
    /// When the first one begins.
    begin: i64,
}

impl Turns {
    const LENGTH: i64 = 60;
    const PEOPLE: [&str; 2] = ["alice", "bob"];

    fn shifts(&self) -> Vec<(&'static str, i64, i64)> {
        let start = |turn| self.begin + turn * Self::LENGTH;
        (0..180)
            .zip(Self::PEOPLE.into_iter().cycle())
            .map(|(turn, name)| (name, start(turn), start(turn + 1)))
            .collect()
    }

    /// Whose turn it is now, who has the next one, and the number of this one.
    fn now(&self) -> (&'static str, &'static str, i64) {
        let number = (now() - self.begin) / Self::LENGTH;
        let [first, second] = Self::PEOPLE;
        if number % 2 == 0 { (first, second, number) } else { (second, first, number) }
    }

    /// Asks with who is on call and who is not, again if the turn ends meanwhile; what was answered, and in which turn.
    fn ask<T>(&self, ask: impl Fn(&str, &str) -> T) -> (T, i64) {
        loop {
            let (on_call, other, number) = self.now();
            let answer = ask(on_call, other);
            if self.now().2 == number {
                return (answer, number);
            }
        }
    }
}

/// The news is that alice and bob take turns.
fn somebody_without_rights_asks_for_the_news(site: &Site, host: &Booted) -> Turns {
    let turns = Turns { begin: now() };
    site.on_call(&turns.shifts());
    let output = refresh(host);
    assert!(output.status.success(), "{}", text(&output));
    let told = |on_call: &str, other: &str| {
        let answer = text(&host.sh(&format!("oncall-cache test-access {other}")));
        (answer.contains(&format!("{other} is not ({on_call} is, until ")), answer)
    };
    let ((is_told, answer), _) = turns.ask(told);
    assert!(is_told, "who is off call is told who is on call: {answer}");
    turns
}

/// The host boots with nothing but what it has, and at its second the right of one is the other's.
fn a_handover_needs_no_network(site: &Site, host: &mut Booted, turns: &Turns) {
    site.network.cut(host.address());
    host.power_off();
    host.boot_cut_off();
    let mut first = None;
    wait_until("a turn has begun after one", || {
        // No more than 60 records of a person in a minute are kept, and all are looked for below.
        let next = now() + 4;
        wait_until("some seconds have passed", || now() >= next);
        let enter = |on_call: &str, other: &str| [on_call, other].map(|name| enters_root(site, host, name));
        let (entered, number) = turns.ask(enter);
        assert_eq!(entered, [true, false], "in turn {number}, of who is on call and who is not");
        number > *first.get_or_insert(number)
    });
    wait_until("the receiver of failures is notified", || {
        let told = journal(host, "pager");
        told.contains("authkeys-sync ") && told.contains("oncall-cache-sync ")
    });
    site.network.heal();
}

fn a_provider_fails_and_heals(site: &Site, host: &Booted, turns: &Turns) {
    let refused = || Reply::json(500, &json!({"error": {"message": "as the test asked", "code": 2000}}));
    site.pagerduty.script((0..50).map(|_| refused()).collect());
    let output = refresh(host);
    assert!(!output.status.success() && text(&output).contains("status 500"), "{}", text(&output));
    let (enters, _) = turns.ask(|on_call, _| enters_root(site, host, on_call));
    assert!(enters, "what was known still counts");
    assert_eq!(host.sh("oncall-cache status").status.code(), Some(1));
    site.pagerduty.script(vec![]);
    let output = refresh(host);
    assert!(output.status.success(), "{}", text(&output));
    host.must("oncall-cache status");
    host.must("systemctl reset-failed");
}

/// In the journal, in rsyslog's file and in the report, by their own names.
fn who_was_root_is_told(host: &Booted) {
    let lines = journal(host, "pam_oncall");
    assert!(
        lines
            .lines()
            .any(|line| line.starts_with("person=bob decision=allow ") && line.contains(" account=root ")),
        "{lines}"
    );
    assert!(host.read("/var/log/auth.log").contains("person=alice decision=allow "));
    let output = host.sh("oncall-cache report --json");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let gaps = report["gaps"].as_array().expect("a list");
    // Ansible calls sudo for each task, which may be more than is kept of anybody's.
    let is_known = |gap: &str| {
        gap.starts_with("the oldest record is from ")
            || gap.starts_with("the oldest change of the rota is from ")
            || gap.contains(" records of ansible were dropped")
    };
    assert!(gaps.iter().all(|gap| gap.as_str().is_some_and(is_known)), "{gaps:?}");
    let entries = report["logins"].as_array().expect("a list");
    let was_root = |name: &str, service: &str, class: &str| {
        entries.iter().any(|login| {
            login["person"] == name
                && login["account"] == "root"
                && login["service"] == service
                && login["class"] == class
        })
    };
    assert!(was_root("alice", "sshd", "oncall") && was_root("alice", "sudo", "oncall"), "{report:#}");
    assert!(was_root("bob", "sshd", "oncall") && was_root("carol", "sshd", "oncall"), "{report:#}");
    assert!(was_root("breakglass", "sudo", "exempt"), "{report:#}");
    assert!(report["refused"].as_array().is_some_and(|list| list.iter().any(|login| login["who"] == "bob")));
}

/// Neither the directory nor the provider answers.
fn cut(site: &Site) {
    site.network.cut(site.directory_at);
    site.network.cut(site.pagerduty_at);
}

/// How many logins there are at least while packages change, and how many changes.
const LOGINS_MEANWHILE: usize = 200;
const CHANGES: usize = 3;

#[test]
fn packages_change_and_go_while_people_log_in() {
    let site = Site::start();
    let slapd = site.directory();
    let start = now();
    site.on_call(&[("alice", start - HOUR, start + 6 * HOUR)]);
    let host = site.host("web1");
    site.let_ansible_in(&host);
    bring_packages(&host, &[&THIS, &NEXT, &AFTER]);
    let (files, logins) = (host.must(LISTED), host.must(LOGINS));
    install(&host, &THIS);
    configure(&site, &slapd, &host);
    waits_until_well(&host);

    logins_while_packages_change(&site, &host, [&NEXT, &THIS]);
    cut(&site);
    // What is there has a form that one of the two does not write, and no sync comes to write it anew.
    assert_eq!(forms(&host), [THIS.writes; 2]);
    logins_while_packages_change(&site, &host, [&AFTER, &NEXT]);
    only_those_on_call_enter(&site, &host, "alice", "bob");
    site.network.heal();
    install(&host, &AFTER);
    wait_until("the new form is written", || forms(&host) == [AFTER.writes; 2]);
    cut(&site);
    install(&host, &NEXT);
    only_those_on_call_enter(&site, &host, "alice", "bob");
    site.network.heal();
    // `systemctl start` joins a run already under way, which may be of the release just replaced, or fail because it began
    // without a network.
    wait_until("the older form is written again", || {
        host.sh("systemctl start authkeys-sync oncall-cache-sync");
        forms(&host) == [NEXT.writes; 2]
    });
    install(&host, &THIS);
    only_those_on_call_enter(&site, &host, "alice", "bob");
    host.must("rm /etc/ssh/sshd_config.d/10-authkeys.conf && systemctl reload ssh");
    // Units that have failed are forgotten with the package.
    host.must("echo nonsense >>/etc/authkeys/config.toml; ! systemctl start authkeys-sync");
    assert_eq!(host.must("systemctl is-system-running || true"), "degraded\n");
    host.must("apt-get remove authkeys libpam-oncall libnss-oncall oncall-collector oncall-notify");
    assert!(may_sudo(&site, &host, "breakglass"));
    host.must("apt-get purge authkeys libpam-oncall libnss-oncall oncall-collector oncall-notify");
    assert!(may_sudo(&site, &host, "breakglass"));
    host.must("su - bob -c 'sudo -n true'");
    assert_eq!(added(&logins, &host.must(LOGINS)), [""; 0]);
    assert_eq!(added(&files, &host.must(LISTED)), [""; 0]);
    let users = host.must("sed -nE 's/^((authkeys|oncall)[^:]*):.*/\\1/p' /etc/passwd | LC_ALL=C sort");
    let all = "authkeys\nauthkeys-sync\noncall-cache\noncall-collector\noncall-grant\noncall-grant-accept\noncall-hear\noncall-notify\noncall-sink\n";
    assert_eq!(users, all, "as Debian's packages do");
    assert_eq!(host.must("systemctl is-system-running"), "running\n");
}

/// In turn the second release is installed and the first again; of those who log in meanwhile nobody is refused who may,
/// and nobody admitted who may not.
fn logins_while_packages_change(site: &Site, host: &Booted, releases: [&Release; 2]) {
    let (logins, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let log_in = || {
            while !done.load(Ordering::Relaxed) {
                let number = logins.fetch_add(1, Ordering::Relaxed);
                let output = if number % 2 == 0 {
                    site.ssh(host, "alice", "root", "id -un")
                } else {
                    site.ssh(host, "alice", "alice", "sudo -n id -un")
                };
                assert!(entered(&output, "root\n"), "login {number}: {}", text(&output));
            }
        };
        let mut people: Vec<_> = (0..3).map(|_| scope.spawn(log_in)).collect();
        people.push(scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(!enters(site, host, "bob") && !enters_root(site, host, "bob"));
            }
        }));
        let mut changes = 0;
        while changes < CHANGES || logins.load(Ordering::Relaxed) < LOGINS_MEANWHILE {
            // One of them has seen what must not be.
            if people.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            install(host, releases[changes % 2]);
            changes += 1;
        }
        done.store(true, Ordering::Relaxed);
        for person in people {
            person.join().expect("everybody has entered who may, and nobody else");
        }
    });
}

#[test]
fn a_host_from_an_image_without_copies_has_them_in_seconds_and_keeps_them_fresh() {
    let site = Site::start();
    let slapd = site.directory();
    let start = now();
    site.on_call(&[("alice", start - HOUR, start + HOUR)]);
    let mut host = site.host("web1");
    site.let_ansible_in(&host);
    bring_packages(&host, &[&THIS]);
    install(&host, &THIS);
    configure(&site, &slapd, &host);
    waits_until_well(&host);
    host.power_off();
    for directory in ["/var/lib/authkeys", "/var/lib/oncall-cache", "/var/cache/authkeys"] {
        for entry in std::fs::read_dir(host.image(directory)).expect("it can be read").flatten() {
            let path = entry.path();
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            removed.expect("root may");
        }
    }
    host.boot();
    waits_until_well(&host);
    let (first, second) = ("authkeys-sync", "oncall-cache-sync");
    let told =
        host.must(&format!("journalctl --boot --quiet --output=cat --unit={first} --unit={second} _PID=1"));
    let line = |word: &str, unit: &str| {
        told.lines().position(|line| line.starts_with(&format!("{word} {unit}.service")))
    };
    let (ended, began) = (line("Finished", first), line("Starting", second));
    assert!(ended.is_some() && ended < began, "people first: {told}");
    only_those_on_call_enter(&site, &host, "alice", "bob");

    // The next beat is the timer's own; in two minutes.
    let beat = || property(&host, "authkeys-sync.timer", "LastTriggerUSecMonotonic");
    let (before, copied) = (beat(), property(&host, first, "InvocationID"));
    wait_until("the timer has started it again", || beat() != before);
    wait_until("people are copied again", || property(&host, first, "InvocationID") != copied);
    waits_until_well(&host);
}

/// Types docs/install.md in on a host of `release` with that release's own sudoers.
fn follow_the_page_on(release: Debian) {
    let network = Network::start();
    let host = Booted::of(release, &network, "web1");
    page::add_administrators(&host, "sudo");
    bring_packages(&host, &[&THIS]);
    page::follow(&host, "debian", &format!("/root/{}", THIS.version));
    assert_eq!(host.must("systemctl is-system-running"), "running\n");
}

#[test]
fn what_the_page_says_to_type_does_what_it_says() {
    follow_the_page_on(Debian::Bookworm);
}

#[test]
fn what_the_page_says_to_type_does_what_it_says_on_the_next_release_of_debian() {
    follow_the_page_on(Debian::Trixie);
}

#[test]
fn the_quick_start_of_the_readme_runs_as_it_is_printed() {
    let network = Network::start();
    let host = Booted::start(&network, "web1");
    page::add_administrators(&host, "sudo");
    bring_packages(&host, &[&THIS]);
    page::quick_start(&host, &format!("/root/{}", THIS.version));
    assert_eq!(host.must("systemctl is-system-running"), "running\n");
}
