//! The processes of this host, as /proc shows them to root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use record::Origin;

/// The most that is shown of a process's arguments, in bytes.
const LONGEST_ARGUMENTS: usize = 256;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The process that began it, or took it over.
    pub parent: u32,
    /// By which rights it acts: its effective uid.
    pub uid: u32,
    /// What the kernel calls the program, at most 15 bytes; any bytes.
    pub name: String,
    /// Whose it is by login uid, audit session and cgroup.
    pub origin: Origin,
    /// Is it a program that only holds what others log in to, or call?
    pub holds_logins: bool,
}

/// Programs that hold sessions and do nothing in them, by the names of their files.
const HOLDERS: [&str; 9] =
    ["sshd", "sshd-session", "sshd-auth", "login", "systemd", "systemd-executor", "sudo", "su", "doas"];

/// All processes by number; those that end while they are read are left out.
pub fn all() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers =
        entries.filter_map(|entry| std::str::from_utf8(entry.file_name().as_bytes()).ok()?.parse().ok());
    numbers.filter_map(|pid| Some((pid, read(pid)?))).collect()
}

/// Nothing, where it is gone.
fn read(pid: u32) -> Option<Process> {
    let directory = format!("/proc/{pid}");
    let status = fs::read(format!("{directory}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let word = |name: &str, number: usize| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().nth(number)?.parse().ok()
    };
    let program = fs::read_link(format!("{directory}/exe")).ok();
    let file = program.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let name = status.lines().find_map(|line| line.strip_prefix("Name:\t")).unwrap_or_default();
    Some(Process {
        pid,
        parent: word("PPid", 0)?,
        uid: word("Uid", 1)?,
        name: name.to_string(),
        origin: Origin::of(Path::new(&directory)),
        holds_logins: file.is_some_and(|file| HOLDERS.contains(&file.trim_end_matches(" (deleted)"))),
    })
}

/// With what arguments it was started; they may hold secrets, and are read for nobody but root who asks.
pub fn arguments(pid: u32) -> String {
    let mut words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.truncate(LONGEST_ARGUMENTS);
    let words: Vec<_> = words.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_string()
}
