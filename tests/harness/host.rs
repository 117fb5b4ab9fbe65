//! A private machine for one test: its own root over the real one, its own loopback, its own
//! processes.
//!
//! The root is an overlay of `/`, so sshd, sudo, slapd and libpam are the machine's own while
//! every write stays in memory. When the test ends, or dies, the machine's first process reads
//! the end of its input and exits, and the kernel ends everything else in it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Machine;

/// Makes the machine of the project's source ($1) and build ($2), tells its caller that it is ready, and
/// waits for the end of its input. The shell stays, as process 1, to reap what daemons leave behind.
const BOOT: &str = concat!(
    "source=$1 build=$2\n",
    include_str!("boot.sh"),
    "ip link set lo up\n",
    "exec chroot . /bin/sh -c 'echo ready; cat >/dev/null; exit'\n",
);

/// One private machine.
pub struct Host {
    /// `unshare`, whose child is the machine's first process.
    unshare: Child,
    machine: Machine,
}

impl Host {
    /// Starts a machine. Needs root: says so otherwise, and the test fails.
    pub fn start() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "end-to-end tests need root: run `sudo make test`");
        let mut unshare = Command::new("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--ipc",
                "--uts",
                "--fork",
                "--kill-child",
                "/bin/sh",
                "-c",
                BOOT,
                "boot",
            ])
            .args([source_directory(), build_directory()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        let stdout = unshare.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the machine reports");
        assert_eq!(line, "ready\n", "the private machine did not start");
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let pid = fs::read_to_string(children).expect("unshare has a child").trim().parse().expect("a pid");
        Self { unshare, machine: Machine::of(pid) }
    }
}

impl Deref for Host {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.unshare.stdin.take());
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// The project's root.
fn source_directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where cargo put the programs: the directory above the one that test programs are in.
pub(crate) fn build_directory() -> PathBuf {
    let own = std::env::current_exe().expect("a test program has a path");
    own.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_path_buf()
}
