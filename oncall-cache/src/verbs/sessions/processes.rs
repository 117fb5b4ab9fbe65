//! The processes of this host, as /proc shows them to root.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use doctor::packages::LOCKS;
use nix::sys::stat::{major, minor};
use record::{Origin, Stat};

/// The most that is shown of a process's arguments, in bytes.
const LONGEST_ARGUMENTS: usize = 256;

/// Where logind keeps a file for each inhibitor (systemd, src/login/logind-inhibit.c).
const INHIBITORS: &str = "/run/systemd/inhibit";

/// One process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The process that began it, or took it over.
    pub parent: u32,
    /// Its process group.
    pub group: i32,
    /// When it began, in clock ticks since the boot.
    pub start: u64,
    /// By which rights it acts: its effective uid.
    pub uid: u32,
    /// Who has called it: its real uid. It is another one where the program's file has the set-user-ID bit.
    pub real_uid: u32,
    /// What the kernel calls the program, at most 15 bytes; any bytes.
    pub name: String,
    /// The file of the program, without its directory; empty where that is no text, or cannot be told.
    pub program: String,
    /// Whose it is by login uid, audit session and cgroup.
    pub origin: Origin,
    /// The terminal that it belongs to, as the kernel numbers it.
    pub terminal: Option<u32>,
    /// Does it ignore a hang-up, as nohup(1) has a program do?
    pub ignores_hangup: bool,
    /// In how many process namespaces it is, counted from the one that /proc shows: 1 is that one alone.
    pub depth: usize,
    /// The terminals that it holds open, whosever they are: a terminal multiplexer has those of its clients.
    pub open_terminals: Vec<u32>,
    /// What must not be broken off half-way: dpkg or rpm at work, or what keeps the host from being shut down.
    pub busy_with: Option<String>,
}

/// Programs that hold logins: (sd-pam) is systemd's too.
const LOGINS: [&str; 6] = ["sshd", "sshd-session", "sshd-auth", "login", "systemd", "systemd-executor"];

/// Programs that act for another account, by what they call.
const CALLERS: [&str; 8] = ["sudo", "sudo-rs", "su", "su-rs", "doas", "pkexec", "runuser", "run0"];

impl Process {
    /// Does it hold a login, and nothing else?
    pub fn is_login(&self) -> bool {
        LOGINS.contains(&self.program.as_str())
    }

    /// Does it act for another account, by what it calls, and end that when it is ended?
    pub fn is_caller(&self) -> bool {
        CALLERS.contains(&self.program.as_str())
    }

    /// Does it only hold what others log in to, or call?
    pub fn holds_logins(&self) -> bool {
        self.is_login() || self.is_caller()
    }

    /// Whose it is. A program with the set-user-ID bit, as ping or fusermount, is root and yet its caller's own; sudo and its
    /// like are for whom they act.
    pub fn acts_for(&self) -> u32 {
        if self.is_caller() { self.uid } else { self.real_uid }
    }
}

/// All processes by number. Left out are those that end or have ended, and the kernel's own threads.
pub fn all() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers =
        entries.filter_map(|entry| std::str::from_utf8(entry.file_name().as_bytes()).ok()?.parse().ok());
    numbers.filter_map(|pid| Some((pid, read(pid, Path::new(&format!("/proc/{pid}")))?))).collect()
}

/// The same, with what they hold open and are busy with.
pub fn all_with_what_they_hold() -> BTreeMap<u32, Process> {
    let mut all = all();
    for process in all.values_mut() {
        hold(process);
    }
    for (pid, who) in inhibitors() {
        if let Some(process) = all.get_mut(&pid) {
            process.busy_with.get_or_insert(who);
        }
    }
    all
}

/// The one with this directory in /proc; nothing where it is gone or about to be.
///
/// One that ends gives its memory back first, and its program with that (`exit_mm` before `exit_notify`, kernel/exit.c). From
/// then on the kernel knows no file of it (`proc_exe_link`, fs/proc/base.c), though it is not dead yet: taken for a program
/// without a name, it would be no sshd any more.
fn read(pid: u32, directory: &Path) -> Option<Process> {
    let stat = Stat::of(directory).filter(|stat| !stat.has_ended)?;
    let status = fs::read(directory.join("status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let words = |name: &str| field(name).unwrap_or_default().split_ascii_whitespace();
    let file = match fs::read_link(directory.join("exe")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        file => file.ok(),
    };
    let program = file.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let ignored = words("SigIgn").next().and_then(|mask| u64::from_str_radix(mask, 16).ok());
    Some(Process {
        pid,
        parent: stat.parent,
        group: stat.group,
        start: stat.start,
        uid: words("Uid").nth(1)?.parse().ok()?,
        real_uid: words("Uid").next()?.parse().ok()?,
        name: field("Name").and_then(|name| name.strip_prefix('\t')).unwrap_or_default().to_string(),
        program: program.unwrap_or_default().trim_end_matches(" (deleted)").to_string(),
        origin: Origin::of(directory),
        terminal: stat.terminal,
        // SIGHUP is signal 1, and the lowest bit.
        ignores_hangup: ignored.is_some_and(|mask| mask & 1 == 1),
        depth: words("NSpid").count().max(1),
        open_terminals: Vec::new(),
        busy_with: None,
    })
}

/// Adds what it holds open.
fn hold(process: &mut Process) {
    let entries = fs::read_dir(format!("/proc/{}/fd", process.pid)).into_iter().flatten().flatten();
    for entry in entries {
        let Ok(file) = fs::read_link(entry.path()) else { continue };
        if file.starts_with("/dev") {
            let about = fs::metadata(entry.path()).ok().filter(|_| is_terminal(&file));
            process.open_terminals.extend(about.map(|about| terminal(about.rdev())));
        }
        let lock = LOCKS.iter().find(|(lock, _)| file == Path::new(lock));
        if let Some((_, who)) = lock {
            process.busy_with = Some((*who).to_string());
        }
    }
    process.open_terminals.sort_unstable();
    process.open_terminals.dedup();
}

fn is_terminal(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    file.starts_with("/dev/pts") && name != "ptmx" || name.len() > 3 && name.starts_with("tty")
}

/// The number of a device as /proc/PID/stat writes that of a terminal: `new_encode_dev` (linux/kdev_t.h).
pub fn terminal(device: u64) -> u32 {
    let (major, minor) = (major(device), minor(device));
    let number = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
    // Numbers of devices have 12 and 20 bits.
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Who keeps the host from being shut down, and not only for a moment; by number.
fn inhibitors() -> Vec<(u32, String)> {
    let entries = fs::read_dir(INHIBITORS).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().extension().is_none());
    files.filter_map(|entry| inhibitor(&fs::read_to_string(entry.path()).ok()?)).collect()
}

/// One by the text of its file.
fn inhibitor(text: &str) -> Option<(u32, String)> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value("MODE").filter(|mode| mode.starts_with("block"))?;
    let who = value("WHO").unwrap_or_default();
    Some((value("PID")?.parse().ok()?, format!("{who}, which blocks {}", value("WHAT").unwrap_or_default())))
}

/// With what arguments it was started; they may hold secrets, and are read for nobody but root who asks.
pub fn arguments(pid: u32) -> String {
    let mut words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.truncate(LONGEST_ARGUMENTS);
    let words: Vec<_> = words.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::makedev;

    #[test]
    fn a_terminal_has_one_number_however_it_is_told() {
        assert_eq!(terminal(makedev(136, 0)), 34_816);
        assert_eq!(terminal(makedev(136, 0x12345)), 0x1230_8845);
        assert_eq!(terminal(makedev(4, 1)), 0x401);
        for (file, is) in [
            ("/dev/pts/7", true),
            ("/dev/tty1", true),
            ("/dev/ttyS0", true),
            ("/dev/tty", false),
            ("/dev/pts/ptmx", false),
            ("/dev/null", false),
        ] {
            assert_eq!(is_terminal(Path::new(file)), is, "{file}");
        }
    }

    #[test]
    fn only_an_inhibitor_that_blocks_is_one() {
        let text = "# This is private data. Do not parse.\nWHAT=shutdown:sleep\nMODE=block\nUID=0\nPID=77\nWHO=backup\nWHY=x\n";
        let told = (77, "backup, which blocks shutdown:sleep".to_string());
        assert_eq!(inhibitor(text), Some(told.clone()));
        assert_eq!(inhibitor(&text.replace("=block", "=block-weak")), Some(told));
        assert_eq!(inhibitor(&text.replace("=block", "=delay")), None);
        assert_eq!(inhibitor(&text.replace("PID=77", "PID=")), None);
        assert_eq!(inhibitor(""), None);
    }

    #[test]
    fn one_that_ends_is_gone_from_when_it_has_no_program() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        for name in ["stat", "status", "loginuid", "sessionid", "cgroup"] {
            fs::copy(Path::new("/proc/self").join(name), file(name)).unwrap();
        }
        let own = std::process::id();
        assert_eq!(read(own, directory.path()), None);
        std::os::unix::fs::symlink("/usr/sbin/sshd (deleted)", file("exe")).unwrap();
        assert_eq!(read(own, directory.path()).unwrap().program, "sshd");
        // That it may not be known, as to all but root, says nothing of it.
        fs::remove_file(file("exe")).unwrap();
        fs::write(file("exe"), "no link").unwrap();
        assert_eq!(read(own, directory.path()).unwrap().program, "");
    }

    #[test]
    fn this_process_is_read_with_what_it_holds() {
        let own = std::process::id();
        let processes = all();
        let process = &processes[&own];
        assert!(process.start > 0 && process.parent > 0 && process.depth >= 1, "{process:?}");
        assert!(!process.program.is_empty() && !process.name.is_empty(), "{process:?}");
        assert!(!process.holds_logins());
        let lock = tempfile::tempfile().unwrap();
        let mut process = process.clone();
        hold(&mut process);
        assert_eq!(process.busy_with, None, "{lock:?}");
    }
}
