//! Is dpkg or rpm at work on this host?

use std::fs::File;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// The files that each of them has open and locks while it works; apt has the first for the whole of an upgrade.
pub const LOCKS: [(&str, &str); 4] = [
    ("/var/lib/dpkg/lock-frontend", "dpkg"),
    ("/var/lib/dpkg/lock", "dpkg"),
    ("/var/lib/rpm/.rpm.lock", "rpm"),
    ("/usr/lib/sysimage/rpm/.rpm.lock", "rpm"),
];

/// Which of them, if one is.
pub fn at_work() -> Option<&'static str> {
    LOCKS.iter().find(|(lock, _)| is_locked(Path::new(lock))).map(|(_, name)| *name)
}

/// Does another process hold a lock by fcntl(2) on some of this file?
fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut lock = libc::flock {
        // Only one who may write the file can hold what conflicts with this.
        l_type: libc::F_RDLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).is_ok() && lock.l_type != libc::F_UNLCK as libc::c_short
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn another_process_that_holds_the_lock_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(!is_locked(&path), "there is none");
        std::fs::write(&path, "").unwrap();
        assert!(!is_locked(&path));
        let script = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()";
        let mut holder = Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
        assert!(is_locked(&path));
        holder.stdin.take().unwrap().flush().unwrap();
        holder.wait().unwrap();
        assert!(!is_locked(&path));
    }
}
