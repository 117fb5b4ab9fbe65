//! Which process a record is of: what the kernel says of the one that PAM is asked in.
//!
//! Five small files, some microseconds each. What a kernel or a container does not show stays empty.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::Record;

/// Where these are among the words behind the name of a process in /proc/PID/stat: the first behind the name is field 3
/// (proc_pid_stat(5)).
const STATE: usize = 0;
const PARENT: usize = 4 - 3;
const GROUP: usize = 5 - 3;
const TERMINAL: usize = 7 - 3;
const START: usize = 22 - 3;

/// The kernel's unit of time in /proc, in milliseconds: USER_HZ, 100 a second on every machine that Linux is built for today.
const TICK: u64 = 10;

/// The most that is read of a file, in bytes: names of cgroups have no limit.
const LONGEST: u64 = 64 * 1024;

/// What the kernel writes where no login uid or audit session was set: (u32) -1.
const UNSET: u32 = u32::MAX;

/// Whose a process is, by what the kernel hands on to all that it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The login uid, if it has one.
    pub loginuid: Option<u32>,
    /// The session in the kernel's audit, if it has one.
    pub audit_session: Option<u32>,
    /// The cgroup that systemd goes by; empty where none is shown.
    pub cgroup: String,
}

impl Origin {
    /// That of the process with this directory in /proc.
    pub fn of(directory: &Path) -> Self {
        Self {
            loginuid: number(&directory.join("loginuid")),
            audit_session: number(&directory.join("sessionid")),
            cgroup: read(&directory.join("cgroup")).map(|text| cgroup(&text).to_string()).unwrap_or_default(),
        }
    }
}

/// What the kernel says of a process in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Has it ended, and only its parent does not know yet?
    pub has_ended: bool,
    /// The process that began it, or took it over.
    pub parent: u32,
    /// Its process group, by the number of its first process.
    pub group: i32,
    /// The terminal that it belongs to, as the kernel numbers it: the form of `new_encode_dev` (linux/kdev_t.h).
    pub terminal: Option<u32>,
    /// When it began, in clock ticks since the boot: with its number it means one process for ever.
    pub start: u64,
}

impl Stat {
    /// That of the process with this directory in /proc; nothing where it is gone.
    pub fn of(directory: &Path) -> Option<Self> {
        Self::read(&read_bytes(&directory.join("stat"))?)
    }

    /// The same of the text of `stat`.
    fn read(stat: &[u8]) -> Option<Self> {
        let words: Vec<&str> = behind_name(stat)?.split_ascii_whitespace().collect();
        let word = |place: usize| words.get(place).copied();
        // Written as a signed number.
        let terminal = word(TERMINAL)?.parse::<i32>().ok()?.cast_unsigned();
        Some(Self {
            has_ended: matches!(word(STATE)?, "Z" | "X"),
            parent: word(PARENT)?.parse().ok()?,
            group: word(GROUP)?.parse().ok()?,
            terminal: (terminal != 0).then_some(terminal),
            start: word(START)?.parse().ok()?,
        })
    }
}

/// How long so many ticks are: more than u32 has after 497 days.
fn ticks(count: u64) -> Option<Duration> {
    count.checked_mul(TICK).map(Duration::from_millis)
}

impl Record {
    /// The same as this process writes it now.
    #[must_use]
    pub fn by_this_process(self) -> Self {
        let own = Path::new("/proc/self");
        let Origin { loginuid, audit_session, cgroup } = Origin::of(own);
        let (pid, pid_start) = (Some(std::process::id()), start_of(own));
        Self { pid, pid_start, boot_id: boot_id(), loginuid, audit_session, cgroup, ..self }
    }

    /// Whose the process was that wrote this.
    pub fn origin(&self) -> Origin {
        let Self { loginuid, audit_session, cgroup, .. } = self;
        Origin { loginuid: *loginuid, audit_session: *audit_session, cgroup: cgroup.clone() }
    }

    /// Does the process that wrote this live? `false` only where that is certain.
    pub fn process_lives(&self) -> bool {
        if self.is_of_another_boot() {
            return false;
        }
        let Some(pid) = self.pid.and_then(|pid| i32::try_from(pid).ok()) else { return true };
        // Signal 0 is sent to nobody. A kernel that shows only a user's own processes in /proc answers it all the same.
        if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
            return false;
        }
        let starts = self.pid_start.zip(start_of(Path::new(&format!("/proc/{pid}"))));
        starts.is_none_or(|(then, now)| then == now)
    }

    /// How long after the boot the process began that wrote this, if it is certain that it is the same one and lives.
    pub fn began(&self) -> Option<Duration> {
        let boot = Some(&self.boot_id).filter(|boot| !boot.is_empty() && **boot == boot_id());
        let (pid, start, _) = (self.pid?, self.pid_start?, boot?);
        let is_same = start_of(Path::new(&format!("/proc/{pid}"))) == Some(start);
        ticks(start).filter(|_| is_same && self.process_lives())
    }

    fn is_of_another_boot(&self) -> bool {
        let now = boot_id();
        !now.is_empty() && !self.boot_id.is_empty() && now != self.boot_id
    }
}

/// The boot, as the kernel names it.
pub fn boot_id() -> String {
    read(Path::new("/proc/sys/kernel/random/boot_id"))
        .map(|text| text.trim_end().to_string())
        .unwrap_or_default()
}

fn read(path: &Path) -> Option<String> {
    String::from_utf8(read_bytes(path)?).ok()
}

/// The kernel says that its files are empty. Room for all of one spares asking for it in ever larger pieces.
fn read_bytes(path: &Path) -> Option<Vec<u8>> {
    let mut content = Vec::with_capacity(1024);
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut content).ok()?;
    Some(content)
}

fn number(path: &Path) -> Option<u32> {
    read(path)?.trim_end().parse().ok().filter(|number| *number != UNSET)
}

/// When the process with this directory in /proc began.
fn start_of(directory: &Path) -> Option<u64> {
    start(&read_bytes(&directory.join("stat"))?)
}

/// The same of the text of `stat`.
fn start(stat: &[u8]) -> Option<u64> {
    behind_name(stat)?.split_ascii_whitespace().nth(START)?.parse().ok()
}

/// What is behind the name of the program, which is anybody's choice: any bytes, blanks and brackets too.
fn behind_name(stat: &[u8]) -> Option<&str> {
    let behind = stat.iter().rposition(|&byte| byte == b')')? + 1;
    std::str::from_utf8(stat.get(behind..)?).ok()
}

/// The cgroup that systemd goes by: its own hierarchy of version 1, where there is one, or version 2 (cgroups(7)).
fn cgroup(text: &str) -> &str {
    let of = |hierarchy: &str| {
        text.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(hierarchy)?.strip_prefix(':'))
    };
    of("name=systemd").or_else(|| of("")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Timestamp;

    #[test]
    fn a_process_is_known_by_its_number_and_its_start() {
        let own = Record::at(Timestamp::from_unix(0)).by_this_process();
        assert!(own.pid == Some(std::process::id()) && own.pid_start.is_some() && own.boot_id.len() == 36);
        assert!(own.process_lives());
        let with = |change: &dyn Fn(&mut Record)| {
            let mut other = own.clone();
            change(&mut other);
            other.process_lives()
        };
        assert!(
            !with(&|other| other.pid_start = own.pid_start.map(|start| start + 1)),
            "another process by now"
        );
        assert!(!with(&|other| other.pid = Some(0x3FFF_FFFF)), "beyond what a kernel gives");
        assert!(!with(&|other| other.boot_id = "0".repeat(36)), "another boot");
        assert!(with(&|other| other.pid_start = None) && with(&|other| other.boot_id.clear()), "not certain");
        assert!(with(&|other| other.pid = None), "not certain either");
        let began = |change: &dyn Fn(&mut Record)| {
            let mut other = own.clone();
            change(&mut other);
            other.began()
        };
        let ticks = own.pid_start.unwrap();
        assert_eq!(began(&|_| {}), Some(Duration::from_millis(10 * ticks)));
        assert_eq!(began(&|other| other.pid_start = None), None, "only what is certain");
        assert_eq!(began(&|other| other.boot_id.clear()), None);
        assert_eq!(began(&|other| other.pid = Some(0x3FFF_FFFF)), None);
        assert_eq!(began(&|other| other.pid_start = Some(ticks + 1)), None);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(!with(&|other| other.pid = Some(pid)), "gone");
    }

    #[test]
    fn the_name_of_a_program_does_not_move_its_start() {
        let rest = "S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8812 9 10";
        for name in ["sudo", ") S 1 1 1", "a b (c", ""] {
            assert_eq!(start(format!("7 ({name}) {rest}\n").as_bytes()), Some(8812), "{name}");
        }
        assert_eq!(start(&[b"7 (\xff\xfe) ", rest.as_bytes()].concat()), Some(8812));
        for bad in ["", "7 (sudo)", "7 (sudo) S 1 2", "8812"] {
            assert_eq!(start(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_host_that_runs_for_years_tells_when_a_process_began() {
        assert_eq!(ticks(100), Some(Duration::from_secs(1)));
        assert_eq!(ticks(86_400 * 100 * 1_000), Some(Duration::from_secs(86_400 * 1_000)));
        assert_eq!(ticks(u64::MAX), None);
    }

    #[test]
    fn a_line_of_the_kernel_tells_parent_terminal_and_start() {
        let read = |text: &str| Stat::read(text.as_bytes());
        let line = "7 (a) b) S 3 7 7 34816 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8812 9";
        let stat = Stat { has_ended: false, parent: 3, group: 7, terminal: Some(34_816), start: 8812 };
        assert_eq!(read(line), Some(stat));
        let without = line.replace(" 34816 ", " 0 ");
        assert_eq!(read(&without), Some(Stat { terminal: None, ..stat }));
        assert_eq!(read(&line.replace(" S ", " Z ")), Some(Stat { has_ended: true, ..stat }));
        // The number of a terminal may be above what a signed number holds.
        let high = read(&line.replace(" 34816 ", " -2147448831 ")).unwrap();
        assert_eq!(high.terminal, Some(0x8000_8801));
        assert_eq!(read("7 (sudo) S 1 2"), None);
        assert!(Stat::of(Path::new("/proc/self")).is_some_and(|stat| stat.start > 0));
    }

    #[test]
    fn the_cgroup_is_the_one_that_systemd_made() {
        for (text, path) in [
            (
                "0::/user.slice/user-1000.slice/session-3.scope\n",
                "/user.slice/user-1000.slice/session-3.scope",
            ),
            ("12:pids:/x\n1:name=systemd:/user.slice/a:b\n0::/\n", "/user.slice/a:b"),
            ("4:cpu,cpuacct:/x\n", ""),
            ("", ""),
        ] {
            assert_eq!(cgroup(text), path, "{text}");
        }
    }
}
