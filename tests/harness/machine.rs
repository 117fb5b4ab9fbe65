//! A machine that a test reaches from outside: what is done on it and to its files, however it came to run.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Seconds, more than anything takes on a machine with much else to do: they end what would wait for ever, and decide
/// nothing.
const PATIENCE: u32 = 300;

/// sshd that restarts on SIGHUP removes the file with its number before, and writes it once it listens again (sshd.c, since
/// 9.2 at the latest): `systemctl reload` waits for neither.
pub(crate) const RELOAD_SSHD: &str = "pid=$(cat /run/sshd.pid) && rm /run/sshd.pid && kill -HUP $pid
until [ -s /run/sshd.pid ]; do sleep 0.05; done";

/// A machine that runs: the namespaces of its first process.
#[derive(Debug)]
pub struct Machine {
    /// The first process, as the real machine numbers it.
    pid: u32,
}

impl Machine {
    /// The machine whose first process is `pid`.
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Its first process, as the real machine numbers it.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A command that runs inside, as root, with a plain environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid.to_string()])
            .args(["-m", "-n", "-p", "-i", "-u", "-C", "-T", "-r", "-w", "--"])
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// Runs `script` with sh inside and waits for it, five minutes at most.
    pub fn sh(&self, script: &str) -> Output {
        self.sh_within(PATIENCE, script)
    }

    /// As [`Machine::sh`], for what takes long on a busy machine: so many seconds at most.
    pub fn sh_within(&self, seconds: u32, script: &str) -> Output {
        let limit = seconds.to_string();
        self.command("/usr/bin/timeout")
            .args([&limit, "/bin/sh", "-c", script])
            .output()
            .expect("nsenter runs")
    }

    /// As [`Machine::sh`], and the script must succeed; its standard output.
    pub fn must(&self, script: &str) -> String {
        self.must_within(PATIENCE, script)
    }

    /// As [`Machine::must`], in so many seconds.
    pub fn must_within(&self, seconds: u32, script: &str) -> String {
        let output = self.sh_within(seconds, script);
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

    /// Lets sshd read its configuration again, and waits until it listens again: it starts itself anew, and in between
    /// it accepts nothing.
    pub fn reload_sshd(&self) {
        self.must(RELOAD_SSHD);
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

/// Waits, five minutes at most, until `condition` holds.
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_within(PATIENCE.into(), what, condition);
}

/// Waits, so many seconds at most, until `condition` holds.
#[allow(clippy::disallowed_methods, reason = "polling another process is what a test is allowed to do")]
pub fn wait_within(seconds: u64, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(seconds), "waited {seconds} s in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
