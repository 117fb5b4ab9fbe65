//! A line on the terminal of somebody whose right ends.
//!
//! Whoever sits there may have gone, and the terminal may be another one's by now; or it is stopped, and takes nothing. So
//! it is opened without waiting, and looked at again once it is open.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use policy::OneLine;
use record::Stat;

use crate::verbs::sessions::processes::{Process, terminal};

/// Writes `line` on the terminal of `process`, whose owner is one of `owners`, and no other.
///
/// # Errors
/// Text that says why nothing was written.
pub fn tell(process: &Process, owners: &[u32], line: &str) -> Result<(), String> {
    let number = process.terminal.ok_or("it has no terminal")?;
    let path = descriptor_of(process, number).ok_or("it has closed its terminal")?;
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    // Through /proc, where a link leads to what the process has open, whatever that is called, and wherever it is mounted.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut file = OpenOptions::new().write(true).custom_flags(flags.bits()).open(&path).map_err(told)?;
    if !is_terminal_of(&file, number, owners) || !is_there_still(process) {
        return Err(format!("{}: it is another one's by now", path.display()));
    }
    // Whatever fills the screen, the line stands by itself.
    let text = format!("\r\n{}\r\n", OneLine::new(line));
    file.write_all(text.as_bytes()).map_err(told)
}

fn is_terminal_of(file: &File, number: u32, owners: &[u32]) -> bool {
    file.metadata().is_ok_and(|about| is_terminal(&about, number) && owners.contains(&about.uid()))
}

/// Does this process live, and with that terminal?
fn is_there_still(process: &Process) -> bool {
    let now = Stat::of(Path::new(&format!("/proc/{}", process.pid)));
    now.is_some_and(|now| now.start == process.start && now.terminal == process.terminal)
}

/// One of its descriptors that is this terminal.
fn descriptor_of(process: &Process, number: u32) -> Option<PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", process.pid)).ok()?.flatten();
    let is_it = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|about| is_terminal(&about, number));
    entries.map(|entry| entry.path()).find(is_it)
}

fn is_terminal(about: &Metadata, number: u32) -> bool {
    about.file_type().is_char_device() && terminal(about.rdev()) == number
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::makedev;

    #[test]
    fn a_terminal_is_numbered_as_the_kernel_numbers_it() {
        for (number, device) in
            [(34_816, (136, 0)), (34_816 + 7, (136, 7)), (0x1230_8845, (136, 74_565)), (0x440, (4, 64))]
        {
            assert_eq!(terminal(makedev(device.0, device.1)), number, "{number:#x}");
        }
    }

    #[test]
    fn nothing_is_written_where_the_terminal_is_not_theirs_any_more() {
        let process = Process { pid: std::process::id(), terminal: None, ..Process::default() };
        assert_eq!(tell(&process, &[0], "x").unwrap_err(), "it has no terminal");
        // /dev/tty0 or none: it is no terminal of this process.
        let other = Process { terminal: Some(0x400), ..process };
        assert!(tell(&other, &[0], "x").is_err());
        let file = File::open("/dev/null").unwrap();
        assert!(!is_terminal_of(&file, 34_816, &[0]));
    }
}
