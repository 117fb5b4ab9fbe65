//! The directory of accepted grants: a file each, and since when this host remembers them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use grant::stored_person;
use grant::{GrantId, LARGEST_CLAIM, LARGEST_STORED, OLDEST, Stored, is_claim_name, read_claim, stored_id};
use host::clock;
use policy::{GrantRule, Span, Timestamp, Uptime};
use trust::Owner;

/// The most grants that are in force at once.
const MOST: usize = 256;

/// The most of them for one person.
const MOST_OF_ONE: usize = 8;

/// The most that are kept, with those that are over.
const MOST_KEPT: usize = 1024;

/// The most reasons that are kept, one for each person.
const MOST_CLAIMS: usize = 1024;

/// The file with the instant since which this host remembers.
const MEMORY: &str = ".memory";

/// The grants that this host has accepted.
#[derive(Debug)]
pub struct Hold {
    directory: PathBuf,
    /// Since when it remembers.
    since: Uptime,
}

/// What a file is, by the time since this boot.
enum State {
    /// A grant that is in force, or will be.
    InForce,
    /// One that is over, whose text could be brought again.
    Over,
    /// Nothing that is needed.
    Gone,
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

    /// The contents of all files of grants, with those that are over.
    pub fn all(&self) -> Vec<Vec<u8>> {
        let read = |name| trust::read(&self.directory.join(name), Owner::Service, LARGEST_STORED as u64).ok();
        self.names().into_iter().filter_map(read).collect()
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| stored_id(name).is_some()).collect()
    }

    /// Keeps a grant in the file `name`, whole or not at all. One that is over stays for as long as its text could be
    /// brought again: by the time since the boot it shows that it is, whatever the clock is set to.
    ///
    /// # Errors
    /// It cannot be written, or too many are kept.
    pub fn keep(&self, name: &str, content: &[u8], uptime: &Uptime) -> io::Result<()> {
        let (mut in_force, mut own, mut kept) = (0, 0, 0);
        for other in self.names().iter().filter(|other| *other != name) {
            let is_own = stored_person(other) == stored_person(name);
            match self.state(other, uptime) {
                State::InForce => (in_force, own) = (in_force + 1, own + usize::from(is_own)),
                State::Over => kept += 1,
                State::Gone => _ = fs::remove_file(self.directory.join(other)),
            }
        }
        if own >= MOST_OF_ONE {
            return Err(io::Error::other("too many grants for this person are in force on this host"));
        }
        if in_force >= MOST || in_force + kept >= MOST_KEPT {
            return Err(io::Error::other("too many grants are in force on this host"));
        }
        self.write(name, content)
    }

    /// Keeps a reason in the file `name`, in place of the one before. The oldest goes for one that is too many: people on
    /// call are few.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_claim(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let entries = fs::read_dir(&self.directory)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let others: Vec<String> = names.filter(|other| is_claim_name(other) && other != name).collect();
        if others.len() >= MOST_CLAIMS {
            let stated = |other: &String| {
                let text =
                    trust::read(&self.directory.join(other), Owner::Service, LARGEST_CLAIM as u64).ok()?;
                Some(read_claim(&text)?.0.since_boot())
            };
            if let Some(oldest) = others.iter().min_by_key(|other| stated(other)) {
                fs::remove_file(self.directory.join(oldest))?;
            }
        }
        self.write(name, content)
    }

    /// Can anything be kept now? What is written is what is there.
    ///
    /// # Errors
    /// It cannot; why.
    pub fn can_keep(&self) -> io::Result<()> {
        self.write(MEMORY, format!("{}\n", self.since).as_bytes())
    }

    fn state(&self, name: &str, uptime: &Uptime) -> State {
        let text = trust::read(&self.directory.join(name), Owner::Service, LARGEST_STORED as u64);
        let Ok(text) = text else { return State::Gone };
        let Ok(stored) = Stored::read(&text) else { return State::Gone };
        match stored.age(uptime) {
            Ok(age) if stored.at.plus(age) < stored.document.grant.window.end() => State::InForce,
            Ok(age) if age.as_seconds() < OLDEST.as_seconds() + GrantRule::LONGEST.as_seconds() => {
                State::Over
            }
            _ => State::Gone,
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        write_whole(&self.directory, name, content)
    }
}

/// Writes the file `name`, whole or not at all.
pub fn write_whole(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let new = directory.join(".new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    let outcome = written.and_then(|()| fs::rename(&new, directory.join(name)));
    if outcome.is_err() {
        let _ = fs::remove_file(&new);
    }
    outcome
}
