//! The suite installed on a private machine, as `packaging/install.sh` does it, with people and a rota.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::host::{Layer, about, build_directory, source_directory, stripped};
use crate::kept::kept;
use crate::{Host, wait_within};

/// A private machine with the suite on it and a real sshd.
///
/// Fields are dropped in their order: the log needs the machine's files.
pub struct Suite {
    log: Log,
    pub host: Host,
}

/// The port on which sshd listens inside.
const SSH_PORT: u16 = 2222;

/// Seconds.
pub const HOUR: i64 = 3_600;
/// Seconds.
pub const DAY: i64 = 24 * HOUR;

/// Seconds since the epoch, now.
#[allow(clippy::disallowed_methods, reason = "tests make shifts around the present")]
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs().cast_signed()
}

/// An instant as TOML and JSON write it.
pub fn instant(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).expect("an instant that can be written").to_string()
}

/// Seconds since the epoch of an instant as JSON writes it.
pub fn seconds(written: &str) -> i64 {
    written.parse::<jiff::Timestamp>().expect("an instant").as_second()
}

/// Lets something happen soon, and waits for it: `before` arranges it for so many seconds from now, sees what holds before
/// it, and returns its instant, which is what this returns. Where a busy machine was too slow to see that in time, it is
/// arranged anew with twice the time.
pub fn soon(seconds: i64, mut before: impl FnMut(i64) -> i64) -> i64 {
    for seconds in (0..6).map(|tries| seconds << tries) {
        let earliest = now() + seconds;
        match catch_unwind(AssertUnwindSafe(|| before(seconds))) {
            Ok(at) if now() < at => {
                wait_within(at.abs_diff(now()) + 60, "it is time", || now() >= at);
                return at;
            }
            Err(failure) if now() < earliest => resume_unwind(failure),
            _ => println!("{seconds} s were too few on this machine: once more, with twice as many"),
        }
    }
    panic!("this machine is too slow to see what holds before an instant");
}

/// A person of `people.toml`, with a key pair in /root/keys inside.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    pub name: &'static str,
    pub eligible: bool,
}

/// alice, bob and carol may become root; dave is an ordinary user.
pub const TEAM: [Member; 4] = [
    Member { name: "alice", eligible: true },
    Member { name: "bob", eligible: true },
    Member { name: "carol", eligible: true },
    Member { name: "dave", eligible: false },
];

/// The configuration that most tests use: people.toml and rota.toml.
pub const CONFIG: &str = r#"
[host]
name = "testhost"
[directory]
file = "people.toml"
[[oncall.source]]
name = "rota"
provider = "rota"
file = "rota.toml"
[policy]
exempt_accounts = ["breakglass"]
[[policy.rule]]
name = "everywhere"
schedules = ["rota/primary"]
[[policy.shared_account]]
account = "root"
"#;

impl Suite {
    /// Starts a machine with the suite on it, the team's accounts and keys, and PAM and sshd that ask it.
    pub fn start() -> Self {
        let host = Host::start_over(installed());
        let log = Log::open(&host);
        let suite = Self { log, host };
        suite.start_sshd();
        suite
    }

    /// Installs the suite, makes the team's accounts and keys, points PAM and sshd at it.
    fn set_up(&self) {
        let host = &self.host;
        host.must("sh /run/suite/source/packaging/install.sh /run/suite/build");
        host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
        host.must("mkdir -m 700 /root/keys");
        for member in TEAM {
            let name = member.name;
            host.must(&format!(
                "useradd -m -s /bin/sh {name} && ssh-keygen -qt ed25519 -N '' -C {name} -f /root/keys/{name}"
            ));
        }
        for name in ["alice", "bob", "carol"] {
            host.must(&format!("usermod -a -G sudo {name}"));
        }
        host.write(
            "/etc/sudoers.d/team",
            "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\ndave ALL=(ALL:ALL) NOPASSWD: ALL\n",
            0o440,
        );
        host.must("cp -r /etc/pam.d /run/suite/original");
        self.enable_pam();
        self.write_people(&TEAM);
        host.must("mkdir -p /run/sshd && ssh-keygen -A");
        host.must("cp /run/suite/source/packaging/sshd_config.d/10-authkeys.conf /etc/ssh/sshd_config.d/");
    }

    /// Puts the stack lines where they belong, as an administrator does.
    pub fn enable_pam(&self) {
        self.host.must("sh /run/suite/source/packaging/pam/enable.sh");
    }

    fn start_sshd(&self) {
        self.host.daemon(
            &["/usr/sbin/sshd", "-D", "-e", "-p", &SSH_PORT.to_string(), "-o", "ListenAddress=127.0.0.1"],
            "/var/log/sshd.log",
        );
        self.host.wait_for_port(SSH_PORT);
    }

    /// Writes people.toml with everyone's real key.
    pub fn write_people(&self, team: &[Member]) {
        let mut text = String::new();
        for Member { name, eligible } in team {
            let key = self.public_key(name);
            let _ = writeln!(
                text,
                "[[person]]\nusername = '{name}'\nmail = ['{name}@example.com']\neligible = {eligible}\nkeys = ['{key}']"
            );
        }
        self.host.write("/etc/authkeys/people.toml", text, 0o644);
    }

    /// The public key of a member, as `ssh-keygen` wrote it.
    pub fn public_key(&self, name: &str) -> String {
        self.host.read(&format!("/root/keys/{name}.pub")).trim().to_string()
    }

    /// Writes rota.toml: one schedule, `primary`; shifts as person, start, end in seconds from now, which is
    /// returned.
    pub fn write_rota(&self, shifts: &[(&str, i64, i64)]) -> i64 {
        let now = now();
        let mut text = "[[schedule]]\nid = 'primary'\nname = 'primary'\n".to_string();
        for (person, start, end) in shifts {
            let (start, end) = (instant(now + start), instant(now + end));
            let _ = writeln!(text, "[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}");
        }
        self.host.write("/etc/authkeys/rota.toml", text, 0o644);
        now
    }

    /// Runs both syncs as the users that run them, and they must succeed; what they printed.
    pub fn sync(&self) -> String {
        self.sync_keys() + &self.must_as("oncall-cache", "oncall-cache sync")
    }

    /// Runs authkeys-sync, and it must succeed.
    pub fn sync_keys(&self) -> String {
        self.must_as("authkeys-sync", "authkeys-sync")
    }

    /// Runs a shell command as `user`.
    pub fn run_as(&self, user: &str, command: &str) -> Output {
        self.host
            .command("/usr/sbin/runuser")
            .args(["-u", user, "--", "/bin/sh", "-c", command])
            .output()
            .expect("nsenter runs")
    }

    /// As [`Suite::run_as`], by a clock that is so many seconds ahead; the clock that counts from the boot is right. Not
    /// for programs that are set-uid, which preload nothing.
    pub fn run_ahead(&self, user: &str, seconds: i64, command: &str) -> Output {
        let preload = "LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1)";
        self.run_as(
            user,
            &format!("export FAKETIME={seconds:+} FAKETIME_DONT_FAKE_MONOTONIC=1 {preload}; {command}"),
        )
    }

    /// As [`Suite::run_as`], by a clock that stands at `at`, in seconds since the epoch: however long a busy machine takes
    /// to start a program, it runs at that second. Otherwise as [`Suite::run_ahead`].
    pub fn run_at(&self, user: &str, at: i64, command: &str) -> Output {
        let preload = "LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1)";
        let clock = format!("FAKETIME={at} FAKETIME_FMT=%s FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1");
        self.run_as(user, &format!("export {clock} {preload}; {command}"))
    }

    /// As [`Suite::run_as`], and it must succeed; its standard output.
    pub fn must_as(&self, user: &str, command: &str) -> String {
        let output = self.run_as(user, command);
        assert!(output.status.success(), "{command} as {user}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `ssh ACCOUNT@host COMMAND` with a member's key and no other.
    pub fn ssh(&self, key: &str, account: &str, command: &str) -> Output {
        self.ssh_with(key, &[], account, command)
    }

    /// As [`Suite::ssh`], with more options for ssh.
    pub fn ssh_with(&self, key: &str, options: &[&str], account: &str, command: &str) -> Output {
        self.ssh_command(key, options, account, command).output().expect("nsenter runs")
    }

    /// As [`Suite::ssh_with`], to be started: what it runs waits for what the test does meanwhile.
    pub fn ssh_command(&self, key: &str, options: &[&str], account: &str, command: &str) -> Command {
        let identity = format!("/root/keys/{key}");
        let port = SSH_PORT.to_string();
        let mut ssh = self.host.command("/usr/bin/timeout");
        ssh.args(["300", "ssh", "-F", "none", "-i", &identity, "-p", &port])
            .args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=INFO"])
            .args(options)
            .args([&format!("{account}@127.0.0.1"), command]);
        ssh
    }

    /// The decisions of `pam_oncall` since the last look at the log, without priority and process id.
    pub fn decisions(&self) -> Vec<String> {
        self.lines_of("pam_oncall")
    }

    /// All that was logged since the last look.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.take()
    }

    /// The lines of one program since the last look at the log, without priority and process id.
    pub fn lines_of(&self, ident: &str) -> Vec<String> {
        // Behind the priority, or behind the time that libc puts there.
        let starts = [format!(">{ident}["), format!(" {ident}[")];
        self.log
            .take()
            .into_iter()
            .filter(|line| starts.iter().any(|start| line.contains(start)))
            .filter_map(|line| line.split_once("]: ").map(|(_, text)| text.to_string()))
            .collect()
    }
}

/// A machine's layer with all that [`Suite::start`] promises but sshd. It is made once for all tests: with some hundred
/// programs it costs more than most of them.
fn installed() -> &'static Layer {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    LAYER.get_or_init(|| Layer::open(&made().join("layer")))
}

/// The directory with that layer's file.
fn made() -> PathBuf {
    let mut files = vec![stripped()];
    for directory in
        [source_directory().join("packaging"), build_directory().join("share"), "/etc/pam.d".into()]
    {
        add_files(&directory, &mut files);
    }
    // What it changes copies of: on a machine with other accounts or packages it is another.
    for path in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/ssh/sshd_config", "/var/lib/dpkg/status"] {
        files.push(path.into());
    }
    files.sort();
    kept("suite", (about(&files), CONFIG), |new| {
        let suite = {
            let host = Host::start();
            Suite { log: Log::open(&host), host }
        };
        suite.set_up();
        std::fs::create_dir(new).expect("the target directory can be written");
        suite.host.save(&new.join("layer"));
    })
}

/// Every file below `directory`, and each directory.
fn add_files(directory: &Path, files: &mut Vec<PathBuf>) {
    files.push(directory.to_path_buf());
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => add_files(&entry.path(), files),
            false => files.push(entry.path()),
        }
    }
}

/// The machine's /dev/log. Somebody has to read it all the time: syslog(3), which useradd and sshd call,
/// waits for ever when ten datagrams are in the queue.
struct Log {
    path: PathBuf,
    lines: Receiver<String>,
}

/// Says "up to here", and at the end "no more".
const MARK: &str = "mark";
const END: &str = "end";

impl Log {
    fn open(host: &Host) -> Self {
        let path = host.path("/dev/log");
        let socket = UnixDatagram::bind(&path).expect("/dev/log can be made");
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("root may");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length) = socket.recv(&mut buffer) {
                let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if line == END || sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { path, lines }
    }

    fn send(&self, text: &str) {
        let socket = UnixDatagram::unbound().expect("a socket");
        let _ = socket.send_to(text.as_bytes(), &self.path);
    }

    /// Everything that was sent since the last call, a line each.
    fn take(&self) -> Vec<String> {
        self.send(MARK);
        let patience = Duration::from_secs(300);
        std::iter::repeat_with(|| self.lines.recv_timeout(patience).expect("whoever reads /dev/log goes on"))
            .take_while(|line| line != MARK)
            .collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.send(END);
    }
}

/// All that a command said, for a failed assertion.
pub fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
