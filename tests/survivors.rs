//! What a session leaves running, by each `action` of `[policy.end]`: on booted hosts, with the programs that people use.
//!
//! Every program is a `sleep` of its own length, by which it is found again.

use std::thread;

use harness::{Booted, Debian, Network, wait_until};

use crate::ending::{Others, Terminal, host, pids, runs};

const ACTIONS: [&str; 3] = ["list", "hangup", "kill"];

/// What alice leaves, by the number that is added to the length; and which actions end it.
const LEFT: [(u32, &str, &[&str]); 15] = [
    (0, "what she runs as herself", &[]),
    (1, "tmux in a shell by sudo", &["kill"]),
    (2, "screen in a shell by sudo", &["kill"]),
    (3, "nohup in a shell by sudo", &[]),
    (4, "a daemon of a shell by sudo", &[]),
    (5, "a scope of a shell by sudo", &[]),
    (6, "what is stopped in a shell by sudo", &["kill"]),
    (7, "a process namespace of a shell by sudo", &[]),
    (8, "a shell by sudo", &["kill"]),
    (9, "a shell by su -", &["kill"]),
    (10, "a shell by doas", &["kill"]),
    (11, "a shell by sudo of www-data", &["kill"]),
    (12, "what is stopped in a shell by su -", &["kill"]),
    (13, "a connection to root", &["hangup", "kill"]),
    (14, "a container of a shell by sudo", &[]),
];

/// A container of this host's own files.
const CONTAINER: &str = "systemd-nspawn --quiet --link-journal=no --register=no --keep-unit --as-pid2 --read-only --directory=/srv/own";

/// Opens all of it, each shell in a login of its own.
fn leave(host: &Booted, base: u32) -> Vec<Terminal<'_>> {
    let mut sudo = Terminal::open(host, "alice", "alice");
    sudo.run("SLEEP &", base);
    sudo.types("sudo -n -i");
    sudo.run("tmux new -d 'SLEEP'", base + 1);
    sudo.run("screen -d -m SLEEP", base + 2);
    sudo.run("nohup SLEEP >/dev/null 2>&1 &", base + 3);
    sudo.run("setsid nohup SLEEP </dev/null >/dev/null 2>&1 &", base + 4);
    sudo.run("nohup systemd-run --quiet --scope SLEEP >/dev/null 2>&1 &", base + 5);
    sudo.run("SLEEP &", base + 6);
    sudo.run("unshare --pid --fork --mount-proc SLEEP &", base + 7);
    sudo.run(&format!("nohup {CONTAINER} SLEEP </dev/null >/dev/null 2>&1 &"), base + 14);
    sudo.run("SLEEP", base + 8);
    let [mut su, mut doas, mut www] = [(); 3].map(|()| Terminal::open(host, "alice", "alice"));
    su.types("su -");
    su.run("SLEEP &", base + 12);
    su.run("SLEEP", base + 9);
    doas.types("doas -s");
    doas.run("SLEEP", base + 10);
    www.types("sudo -n -u www-data -s");
    www.run("SLEEP", base + 11);
    let mut root = Terminal::open(host, "alice", "root");
    root.run("SLEEP", base + 13);
    for pid in [6, 12].into_iter().flat_map(|more| pids(host, base + more)) {
        host.must(&format!("kill -STOP {pid}"));
    }
    vec![sudo, su, doas, www, root]
}

/// Has this action hold for what is opened from now on.
fn act(host: &Booted, config: &str, action: &str) {
    host.write("/etc/authkeys/config.toml", format!("{config}[policy.end]\naction = '{action}'\n"), 0o644);
    let changed = host.must("stat -c %Z /etc/authkeys/config.toml");
    wait_until("it is later than the change", || host.must("date +%s") > changed);
}

#[test]
fn a89_of_fifteen_kinds_that_are_left_open_what_stays_is_what_the_setting_says() {
    let network = Network::start();
    let try_all = |release: Debian| {
        let host = host(release, &network);
        host.add("screen");
        host.add("opendoas");
        host.add("systemd-container");
        host.must("mkdir /srv/own && mount --bind / /srv/own");
        host.write("/etc/doas.conf", "permit nopass :sudo as root\n", 0o440);
        // As pam_wheel(8) has it for those who need no password.
        let trust = "auth sufficient pam_wheel.so trust group=sudo";
        host.must(&format!("sed -i '/pam_rootok/a {trust}' /etc/pam.d/su && pam-oncall-enable"));
        let others = Others::come(&host);
        let config = host.read("/etc/authkeys/config.toml");
        for (action, base) in ACTIONS.into_iter().zip([7800, 7820, 7840]) {
            act(&host, &config, action);
            let terminals = leave(&host, base);
            host.must("oncall-cache revoke alice --reason 'key lost'");
            host.must("systemctl start oncall-cache-end.service");
            let ends = |(more, _, by): &(u32, &str, &[&str])| (base + more, by.contains(&action));
            wait_until("all is ended that is to be", || {
                LEFT.iter().map(ends).all(|(length, ends)| !ends || !runs(&host, length))
            });
            for row in &LEFT {
                let (length, ends) = ends(row);
                assert_eq!(runs(&host, length), !ends, "{action}: {} ({length})", row.1);
            }
            others.are_there(&host);
            host.must("oncall-cache unrevoke alice");
            for pid in LEFT.iter().flat_map(|(more, ..)| pids(&host, base + more)) {
                host.must(&format!("kill -KILL {pid} || :"));
            }
            drop(terminals);
        }
    };
    thread::scope(|scope| {
        for release in Debian::ALL {
            scope.spawn(move || try_all(release));
        }
    });
}
