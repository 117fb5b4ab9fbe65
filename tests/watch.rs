//! The doctor by timer: what two looks agree on is told once, and that it is mended once.

use std::collections::BTreeSet;

use harness::suite::Suite;
use harness::wait_until;

/// What is broken, and what the doctor calls it.
const BREAKAGES: [(&str, &str); 8] = [
    ("mkdir -p /root/.ssh && cp /root/keys/bob.pub /root/.ssh/authorized_keys", "local-keys"),
    (
        "sed -i 's/^account required pam_oncall.so/account sufficient pam_oncall.so/' /etc/pam.d/sudo",
        "pam-soft",
    ),
    (
        "echo 'UsePAM no' | cat - /etc/ssh/sshd_config >/run/conf && cp /run/conf /etc/ssh/sshd_config",
        "sshd-pam",
    ),
    ("echo 'Defaults !pam_acct_mgmt' >/etc/sudoers.d/quiet && chmod 440 /etc/sudoers.d/quiet", "sudo-pam"),
    (
        "useradd nagios && echo 'nagios ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/nagios && chmod 440 /etc/sudoers.d/nagios",
        "sudo-refused",
    ),
    ("groupadd -f docker && gpasswd -a dave docker", "root-group"),
    ("mv /etc/cron.d/authkeys /run/cron && systemctl disable oncall-cache-sync.timer", "timer"),
    ("chmod o+w /var/lib/oncall-cache/roster.db", "file-mode"),
];

const MENDED: &str = "rm -r /root/.ssh/authorized_keys /etc/sudoers.d/quiet /etc/sudoers.d/nagios
    sed -i 's/^account sufficient pam_oncall.so/account required pam_oncall.so/' /etc/pam.d/sudo
    sed -i 1d /etc/ssh/sshd_config; userdel nagios; gpasswd -d dave docker
    mv /run/cron /etc/cron.d/authkeys; systemctl enable oncall-cache-sync.timer; chmod o-w /var/lib/oncall-cache/roster.db";

/// What counts, by the metrics.
fn counting(suite: &Suite) -> BTreeSet<String> {
    let metrics = suite.host.read("/run/authkeys/doctor.prom");
    let findings =
        metrics.lines().filter_map(|line| line.strip_prefix("oncall_cache_doctor_findings{finding=\""));
    findings.map(|rest| rest.split('"').next().expect("a token").to_string()).collect()
}

/// What the log has of the doctor since the last look: what was found, and what is mended.
fn told(suite: &Suite) -> (Vec<String>, Vec<String>) {
    let lines = suite.lines_of("oncall-cache");
    let of = |what: &str| lines.iter().filter(|line| line.starts_with(what)).cloned().collect();
    (of("doctor found id="), of("doctor mended id="))
}

#[test]
fn a97_each_breakage_of_a_running_host_is_told_once_and_once_when_it_is_mended() {
    let suite = crate::doctor::suite();
    let watch = || suite.host.must("oncall-cache watch --again-after 1");
    watch();
    let before = counting(&suite);
    assert_eq!(before, BTreeSet::new(), "on a host that is as it should be");
    // The last hides some of the others: without a roster less can be told.
    let (last, first) = BREAKAGES.split_last().expect("some");
    for breakages in [first, &[*last]] {
        breakages.iter().for_each(|(command, _)| drop(suite.host.must(command)));
        watch();
        let (lines, _) = told(&suite);
        for (_, id) in breakages {
            assert!(counting(&suite).contains(*id), "{id} does not count: {lines:#?}");
            let of = lines.iter().filter(|line| line.starts_with(&format!("doctor found id={id} ")));
            assert_eq!(of.count(), 1, "{id}: {lines:#?}");
        }
        watch();
        assert_eq!(told(&suite).0, [""; 0], "told once");
    }
    suite.host.must(MENDED);
    watch();
    assert_eq!(counting(&suite), BTreeSet::new());
    assert_eq!(told(&suite).0, [""; 0]);
    // Nobody but root reads what it found.
    assert_eq!(
        suite.host.must("stat -c %a:%U /run/authkeys/doctor /run/authkeys/doctor.prom"),
        "600:root\n644:root\n"
    );
    assert!(!suite.run_as("alice", "oncall-cache watch").status.success());
}

#[test]
fn a97_what_an_upgrade_is_at_is_not_told_before_it_ends() {
    let suite = crate::doctor::suite();
    suite.host.write(
        "/run/upgrade.py",
        "import fcntl, sys\nf = open('/var/lib/dpkg/lock-frontend', 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\nopen('/run/held', 'w')\nsys.stdin.read()\n",
        0o644,
    );
    suite
        .host
        .daemon(&["sh", "-c", "mkfifo /run/go && python3 /run/upgrade.py </run/go"], "/run/upgrade.log");
    wait_until("the upgrade waits", || suite.host.path("/run/go").exists());
    suite.host.daemon(
        &["sh", "-c", "exec 3>/run/go && while [ ! -e /run/end ]; do sleep 0.2; done"],
        "/run/go.log",
    );
    wait_until("it holds its lock", || suite.host.path("/run/held").exists());
    suite.host.must(BREAKAGES[1].0);
    suite
        .host
        .daemon(&["sh", "-c", "oncall-cache watch --again-after 1; echo $? >/run/watched"], "/run/watch.log");
    let looks = || suite.host.sh("stat -c %Z /run/authkeys/doctor.prom").stdout;
    wait_until("it looks", || !looks().is_empty());
    for _ in 0..3 {
        let last = looks();
        wait_until("it looks again", || looks() != last);
    }
    assert_eq!((counting(&suite), told(&suite)), (BTreeSet::new(), (vec![], vec![])));
    suite.host.must("touch /run/end");
    wait_until("it has ended", || suite.host.path("/run/watched").exists());
    assert_eq!(suite.host.read("/run/watched"), "0\n");
    assert!(counting(&suite).contains("pam-soft"));
}
