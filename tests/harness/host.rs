//! A private machine for one test: its own root over the real one, its own loopback, its own
//! processes.
//!
//! The root is an overlay of `/`, so sshd, sudo, slapd and libpam are the machine's own while
//! every write stays in memory. When the test ends, or dies, the machine's first process reads
//! the end of its input and exits, and the kernel ends everything else in it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use crate::Machine;
use crate::kept::kept;

/// Makes the machine of the project's source ($1) and build ($2), with the programs that are in $3 in place of the build's,
/// over the layer $4 if there is one, tells its caller that it is ready, and waits for the end of its input. The shell stays, as process 1, to reap what daemons
/// leave behind.
const BOOT: &str = concat!(
    "exec 7<\"$3\"\n",
    "source=$1 build=$2 layer=$4\n",
    include_str!("boot.sh"),
    "for program in /proc/self/fd/7/*; do mount --bind \"$program\" \"run/suite/build/${program##*/}\"; done\n",
    "exec 7<&-\n",
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
        Self::boot(Command::new("unshare"), "")
    }

    /// Starts a machine over `layer`, which is for others too and stays as it is.
    pub(crate) fn start_over(layer: &Layer) -> Self {
        let mut unshare = Command::new("nsenter");
        unshare.args(["-t", &layer.keeper.to_string(), "-m", "unshare"]);
        Self::boot(unshare, Layer::PLACE)
    }

    fn boot(mut unshare: Command, layer: &str) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "end-to-end tests need root: run `sudo make test`");
        let mut unshare = unshare
            .args([
                "--mount",
                "--net",
                "--pid",
                "--ipc",
                "--uts",
                // Its processes see no unit of the real machine above them.
                "--cgroup",
                "--fork",
                "--kill-child",
                "/bin/sh",
                "-c",
                BOOT,
                "boot",
            ])
            .args([source_directory(), build_directory(), stripped(), layer.into()])
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

    /// Saves what has been written on this machine, and its /run, to a new file, for a [`Layer`].
    pub(crate) fn save(&self, file: &Path) {
        let pid = self.machine.pid().to_string();
        let run = "-C root --exclude run/suite/source --exclude run/suite/build run";
        let output = Command::new("nsenter")
            .args(["-t", &pid, "-m", "--", "/bin/sh", "-c"])
            .arg(format!("cd /mnt && tar {XATTRS} -c upper* {run}"))
            .stdout(fs::File::create(file).expect("the target directory can be written"))
            .output()
            .expect("nsenter runs");
        assert!(output.status.success(), "{}", crate::text(&output));
    }
}

/// An overlay has its own marks in extended attributes.
const XATTRS: &str = "--xattrs --xattrs-include='*'";

/// What has been written on a machine, in memory, to start others over it. It ends with the test program, or before.
pub(crate) struct Layer {
    /// The process in whose mount namespace it is.
    keeper: u32,
    /// Whose input's end ends it.
    _shell: Child,
}

impl Layer {
    /// Where it is in its mount namespace.
    const PLACE: &str = "/mnt";

    /// Opens what [`Host::save`] wrote.
    pub(crate) fn open(file: &Path) -> Self {
        let place = Self::PLACE;
        let script = format!(
            "mount -t tmpfs -o mode=0755 tmpfs {place} && tar {XATTRS} -xC {place} <&7 && exec 7<&- && echo $$ && cat"
        );
        let mut shell = Command::new("unshare")
            .args(["--mount", "/bin/sh", "-c"])
            .arg(format!("exec 7<\"$0\"; {script}"))
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the shell reports");
        Self { keeper: line.trim().parse().expect("the layer is there"), _shell: shell }
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

/// The programs of the build without what only a debugger reads: each machine has copies of its own in memory, and making
/// them of the whole files was a third of all that tests did.
pub(crate) fn stripped() -> PathBuf {
    let is_program = |entry: &fs::DirEntry| {
        entry.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let entries = fs::read_dir(build_directory()).expect("cargo has built programs");
    let mut programs: Vec<PathBuf> = entries.flatten().filter(is_program).map(|entry| entry.path()).collect();
    programs.sort();
    kept("stripped", about(&programs), |new| {
        fs::create_dir(new).expect("the target directory can be written");
        for program in &programs {
            let to = new.join(program.file_name().expect("it has a name"));
            let output = Command::new("strip").arg("-o").arg(&to).arg(program).output().expect("binutils");
            assert!(output.status.success(), "{}: {}", program.display(), crate::text(&output));
        }
    })
}

/// What tells whether files are as they were: their lengths and times.
pub(crate) fn about(paths: &[PathBuf]) -> Vec<(PathBuf, Option<(u64, SystemTime)>)> {
    let one = |path: &PathBuf| {
        let about = fs::metadata(path).ok()?;
        Some((about.len(), about.modified().expect("files have times")))
    };
    paths.iter().map(|path| (path.clone(), one(path))).collect()
}

/// The project's root.
pub(crate) fn source_directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where cargo put the programs: the directory above the one that test programs are in.
pub(crate) fn build_directory() -> PathBuf {
    let own = std::env::current_exe().expect("a test program has a path");
    own.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_path_buf()
}
