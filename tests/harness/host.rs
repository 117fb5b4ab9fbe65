//! A private machine for one test: its own root over the real one, its own loopback, its own
//! processes.
//!
//! The root is an overlay of `/`, so sshd, sudo, slapd and libpam are the machine's own while
//! every write stays in memory. When the test ends, or dies, the machine's first process reads
//! the end of its input and exits, and the kernel ends everything else in it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
    /// The first process, as the real machine numbers it.
    pid: u32,
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
        Self { unshare, pid }
    }

    /// A command that runs inside, as root, with a plain environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid.to_string(), "-m", "-n", "-p", "-i", "-u", "-r", "-w", "--", program])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// Runs `script` with sh inside and waits for it, a minute at most.
    pub fn sh(&self, script: &str) -> Output {
        self.command("/usr/bin/timeout").args(["60", "/bin/sh", "-c", script]).output().expect("nsenter runs")
    }

    /// As [`Host::sh`], and the script must succeed; its standard output.
    pub fn must(&self, script: &str) -> String {
        let output = self.sh(script);
        assert!(
            output.status.success(),
            "{script}\n{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a daemon inside, which ends with the machine; its output goes to `log` inside.
    pub fn daemon(&self, argv: &[&str], log: &str) {
        let status = self
            .command("/bin/sh")
            .args(["-c", r#"log=$1; shift; : >"$log"; "$@" >>"$log" 2>&1 &"#, "daemon", log])
            .args(argv)
            .status()
            .expect("nsenter runs");
        assert!(status.success(), "{argv:?}: {status}");
    }

    /// Waits until something accepts connections on 127.0.0.1:`port` inside.
    pub fn wait_for_port(&self, port: u16) {
        wait_until(&format!("port {port} answers"), || {
            // State 0A is LISTEN; ss would need its package.
            let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.pid)).unwrap_or_default();
            let wanted = format!(":{port:04X} 00000000:0000 0A");
            table.contains(&wanted)
        });
    }

    /// Where a path of the machine is for the test itself.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// Writes a file inside, with its directory; root's.
    pub fn write(&self, inside: &str, content: impl AsRef<[u8]>, mode: u32) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a file has a directory"))
            .expect("the directory can be made");
        let mut file = fs::File::create(&path).expect("the file can be made");
        file.write_all(content.as_ref()).expect("the file can be written");
        file.set_permissions(fs::Permissions::from_mode(mode)).expect("the mode can be set");
    }

    /// Reads a file inside.
    pub fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"))
    }

    /// Reads a file inside that is no text.
    pub fn read_bytes(&self, inside: &str) -> Vec<u8> {
        fs::read(self.path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"))
    }

    /// Copies a file of the real machine to `inside`.
    pub fn install(&self, from: &Path, inside: &str, mode: u32) {
        let content =
            fs::read(from).unwrap_or_else(|error| panic!("{}: {error}; run `make build`", from.display()));
        self.write(inside, content, mode);
    }

    /// Gives a file inside to a numeric owner and group.
    pub fn chown(&self, inside: &str, uid: u32, gid: u32) {
        chown(self.path(inside), Some(uid), Some(gid)).expect("root may change owners");
    }

    /// Moves the calling thread into the machine's network, where what it listens on is reachable.
    pub fn enter_network(&self) {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.pid)).expect("a network namespace");
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)
            .expect("root may enter a namespace");
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
fn build_directory() -> PathBuf {
    let own = std::env::current_exe().expect("a test program has a path");
    own.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_path_buf()
}

/// Waits, ten seconds at most, until `condition` holds.
#[allow(clippy::disallowed_methods, reason = "polling another process is what a test is allowed to do")]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited 10 s in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
