//! A host of a fleet: Debian as it comes, booted by its own systemd, with an sshd and nobody on it.
//!
//! Its root is a layer over one that debootstrap made, so what it writes stays in memory, and its network is one
//! cable to a [`Network`]. When the test ends, or dies, the shell that keeps the host reads the end of its input:
//! the host, its mounts, its network and its cgroups go with it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Once;

use crate::kept::kept;
use crate::{Machine, Network, wait_until};

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debian {
    /// 12: OpenSSH 9.2, sudo 1.9.13, polkit 122.
    Bookworm,
    /// 13: OpenSSH 10.0, sudo 1.9.16, sudo-rs 0.2.5, polkit 126.
    Trixie,
}

impl Debian {
    /// All that hosts are tried with.
    pub const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// What its archive is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// The suite's units that ask others by themselves.
const ASK_OTHERS: [&str; 3] =
    ["authkeys-sync.service", "oncall-cache-sync.service", "oncall-cache-pull.service"];

const KEEPER: &str = include_str!("booted.sh");
const BASE: &str = include_str!("base.sh");

/// One host.
pub struct Booted {
    /// The shell of booted.sh.
    keeper: Child,
    /// What it says.
    said: BufReader<ChildStdout>,
    /// The namespaces that outlast a boot: the host's root as it is when nothing runs, and its network.
    shell: Machine,
    /// The host itself, while it runs.
    running: Option<Machine>,
    address: Ipv4Addr,
}

impl Booted {
    /// Boots a host of Debian 12 and plugs it into `network`. Needs root.
    pub fn start(network: &Network, name: &str) -> Self {
        Self::of(Debian::Bookworm, network, name)
    }

    /// Boots a host of `release` and plugs it into `network`. Its own sshd listens at [`Booted::address`]; what it has
    /// besides is in base.sh, and more comes by [`Booted::add`].
    pub fn of(release: Debian, network: &Network, name: &str) -> Self {
        let mut host = Self::off(release, network, name);
        host.boot();
        host
    }

    /// Installs a Debian package that base.sh has put by, with what it needs, without a network: `pkexec` (and polkit),
    /// `opendoas`, `dropbear-bin`, `systemd-container`, `nginx`, `tmux`, `screen`, and `sudo-rs` on Debian 13; there also `next-polkit` and
    /// `next-sudo-rs`, as the release after it has them.
    pub fn add(&self, package: &str) {
        self.must(&format!("apt-get -q install --no-install-recommends /opt/debs/{package}/*.deb"));
    }

    /// A host that is plugged in and not booted.
    pub fn off(release: Debian, network: &Network, name: &str) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "end-to-end tests need root: run `sudo make test-hosts`");
        make_room();
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "booted.sh", name])
            .arg(base(release))
            // What a terminal sends to the test is not for it: it has to clear away.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut said = BufReader::new(keeper.stdout.take().expect("stdout is a pipe"));
        expect(&mut said, "ready");
        let unshare = children(keeper.id()).first().copied().expect("unshare runs");
        let shell = Machine::of(children(unshare).first().copied().expect("unshare has a child"));
        let address = network.join(&shell);
        let host = Self { keeper, said, shell, running: None, address };
        host.knows(&[(Ipv4Addr::LOCALHOST, "localhost"), (address, name)]);
        host
    }

    /// Boots it, again if it ran before, and waits until systemd has started all there is, without a failure. It has a
    /// new boot id, and the real machine's clock since the boot.
    pub fn boot(&mut self) {
        self.boot_by("boot", &[]);
    }

    /// As [`Booted::boot`], of a host that reaches nobody: what asks others may have failed by then.
    pub fn boot_cut_off(&mut self) {
        self.boot_by("boot", &ASK_OTHERS);
    }

    /// As [`Booted::boot_cut_off`], with a clock since the boot that begins then, in a time
    /// namespace.
    pub fn boot_anew_cut_off(&mut self) {
        self.boot_by("boot-anew", &ASK_OTHERS);
    }

    fn boot_by(&mut self, order: &str, may_fail: &[&str]) {
        assert!(self.running.is_none(), "it runs already");
        self.order(order);
        let mut first = None;
        wait_until("the host has a first process", || {
            first = self.first_process();
            first.is_some()
        });
        self.running = first.map(Machine::of);
        wait_until("the host is up", || {
            let output = self.sh("systemctl is-system-running");
            let state = String::from_utf8_lossy(&output.stdout).trim().to_string();
            if state == "degraded" {
                let failed = self.must("systemctl --failed --plain --no-legend");
                let expected = |line: &str| may_fail.iter().any(|unit| line.starts_with(unit));
                let log = || self.must("journalctl -b -p err");
                assert!(failed.lines().all(expected), "{failed}{}", log());
            }
            ["running", "degraded"].contains(&state.as_str())
        });
    }

    /// Shuts it down, and waits until it is off.
    pub fn power_off(&mut self) {
        self.must("systemctl --no-block poweroff");
        self.running = None;
        self.order("wait");
        expect(&mut self.said, "off");
    }

    /// Where its network is plugged in.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where a path of its root is for the test itself, also while it is off.
    pub fn image(&self, inside: &str) -> PathBuf {
        self.shell.path(&format!("/mnt/root{inside}"))
    }

    /// Lets it know other machines by name.
    pub fn knows(&self, names: &[(Ipv4Addr, &str)]) {
        let lines: String = names.iter().map(|(address, name)| format!("{address} {name}\n")).collect();
        let file = self.image("/etc/hosts");
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, before + &lines).expect("its hosts file can be written");
    }

    fn order(&mut self, word: &str) {
        let stdin = self.keeper.stdin.as_mut().expect("stdin is a pipe");
        writeln!(stdin, "{word}").expect("the shell that keeps the host reads");
    }

    /// The child of nspawn that is number 1 in its own process namespace.
    fn first_process(&self) -> Option<u32> {
        let nspawn = children(self.shell.pid()).into_iter().find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "systemd-nspawn\n")
        })?;
        children(nspawn).into_iter().find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            numbers.split_whitespace().last() == Some("1")
        })
    }
}

impl Deref for Booted {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        self.running.as_ref().expect("the host is off")
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Where the kernel says how many inotify instances a user may have.
const INSTANCES: &str = "/proc/sys/fs/inotify/max_user_instances";

/// As many as root of a hundred hosts needs. One that is set up has twenty, before metrics and a fleet.
const ENOUGH_INSTANCES: u32 = 8192;

/// Lets root have more inotify instances on this machine, where it may not have enough, and leaves it so.
///
/// The kernel counts them for each user of the whole machine (inotify(7)), so root of one host shares them with root of all
/// others that run. systemd takes one for each file that a path unit watches, and a kernel as it comes allows 128. Where none
/// is left a unit does not start: `Failed to enter waiting state: Too many open files`. Keyrings, terminals, watches and
/// processes are counted like this too, and are far from their limits with as many hosts as tests boot.
fn make_room() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let limit = fs::read_to_string(INSTANCES).expect("this kernel has inotify");
        let limit: u32 = limit.trim().parse().expect("a number");
        if limit < ENOUGH_INSTANCES {
            fs::write(INSTANCES, ENOUGH_INSTANCES.to_string())
                .unwrap_or_else(|error| panic!("hosts share the {limit} of {INSTANCES}: {error}"));
        }
    });
}

fn expect(said: &mut impl BufRead, word: &str) {
    let mut line = String::new();
    said.read_line(&mut line).expect("the shell that keeps the host reports");
    assert_eq!(line.trim_end(), word, "the shell that keeps the host");
}

/// The processes that `pid` has started and that live.
fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The root below every host of `release`: made once, and again when base.sh changed.
fn base(release: Debian) -> PathBuf {
    kept(&format!("hosts/{}", release.name()), BASE, |new| {
        let mut sh = Command::new("/bin/sh");
        let output =
            sh.args(["-c", BASE, "base.sh"]).arg(new).arg(release.name()).output().expect("sh starts");
        assert!(output.status.success(), "{}: {}", release.name(), crate::text(&output));
    })
}
