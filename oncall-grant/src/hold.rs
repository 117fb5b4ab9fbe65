//! The directory of accepted grants: a file each, and since when this host remembers them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use grant::{GrantId, LARGEST_STORED, Stored, stored_id};
use host::clock;
use policy::{Span, Timestamp, Uptime};
use trust::Owner;

/// The most grants that are kept at once.
const MOST: usize = 256;

/// The file with the instant since which this host remembers.
const MEMORY: &str = ".memory";

/// The grants that this host has accepted.
#[derive(Debug)]
pub struct Hold {
    directory: PathBuf,
    /// Since when it remembers.
    since: Uptime,
}

impl Hold {
    /// Opens the directory. Where nothing is remembered, or what another boot left, it remembers from now on.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let (path, uptime) = (directory.join(MEMORY), clock::uptime());
        let read = trust::read(&path, Owner::Service, 256).ok();
        let earlier = read.and_then(|text| Uptime::parse(std::str::from_utf8(&text).ok()?.trim()));
        let hold = |since| Self { directory: directory.to_path_buf(), since };
        if let Some(since) = earlier.filter(|since| uptime.after(since).is_some()) {
            return Ok(hold(since));
        }
        let hold = hold(uptime);
        hold.write(MEMORY, format!("{uptime}\n").as_bytes())?;
        Ok(hold)
    }

    /// Since when it remembers, by a clock that shows `now`; of the second in which that began, all.
    pub fn since(&self, now: Timestamp, uptime: &Uptime) -> Timestamp {
        let elapsed = uptime.after(&self.since).map_or(0, |elapsed| elapsed.as_secs() + 1);
        now.minus(Span::seconds(i64::try_from(elapsed).unwrap_or(0)))
    }

    /// The content of the file of the grant `id`, if one is kept.
    pub fn get(&self, id: GrantId) -> Option<Vec<u8>> {
        let name = self.names().into_iter().find(|name| stored_id(name) == Some(id))?;
        trust::read(&self.directory.join(name), Owner::Service, LARGEST_STORED as u64).ok()
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| stored_id(name).is_some()).collect()
    }

    /// Keeps a grant in the file `name`, whole or not at all; those that are over at `now` go.
    ///
    /// # Errors
    /// It cannot be written, or too many are kept.
    pub fn keep(&self, name: &str, content: &[u8], now: Timestamp) -> io::Result<()> {
        if self.sweep(now) >= MOST {
            return Err(io::Error::other("too many grants are in force on this host"));
        }
        self.write(name, content)
    }

    /// Removes what is over, and what is none; how many are left.
    fn sweep(&self, now: Timestamp) -> usize {
        let is_over = |name: &String| {
            let text = trust::read(&self.directory.join(name), Owner::Service, LARGEST_STORED as u64);
            let end = |text: Vec<u8>| Some(Stored::read(&text).ok()?.document.grant.window.end());
            text.ok().and_then(end).is_none_or(|end| end <= now)
        };
        let (over, left): (Vec<_>, Vec<_>) = self.names().into_iter().partition(is_over);
        for name in over {
            let _ = fs::remove_file(self.directory.join(name));
        }
        left.len()
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = self.directory.join(".new");
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
        let outcome = file.write_all(content).and_then(|()| fs::rename(&new, self.directory.join(name)));
        if outcome.is_err() {
            let _ = fs::remove_file(&new);
        }
        outcome
    }
}
