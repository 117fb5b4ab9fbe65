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

/// Writes the file `name`, whole or not at all, so that it lasts.
pub fn write_whole(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let new = directory.join(".new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| fs::rename(&new, directory.join(name)));
    let outcome = placed.and_then(|()| fs::File::open(directory)?.sync_all());
    if outcome.is_err() {
        let _ = fs::remove_file(&new);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use grant::{Grant, stored_name, write_stored};
    use policy::{Account, Window};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);
    const HOUR: u64 = 3600;

    fn up(seconds: u64) -> Uptime {
        Uptime::new(Some(7), Duration::from_secs(seconds))
    }

    /// A directory that nobody else can write, and what is kept there.
    fn hold() -> (tempfile::TempDir, Hold) {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let hold = Hold { directory: directory.path().to_path_buf(), since: up(0) };
        (directory, hold)
    }

    /// Root for an hour from [`NOW`], as it is kept when it was accepted so long after the boot: its file and its content.
    fn grant(number: u16, person: &str, accepted: u64) -> (String, Vec<u8>) {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let grant = Grant {
            id: GrantId::new(id),
            site: "acme".into(),
            hosts: vec!["db7".into()],
            account: Account::new("root").unwrap(),
            person: policy::Principal::new(person).unwrap(),
            key: None,
            window: Window::new(NOW, NOW.plus(Span::hours(1))).unwrap(),
            issued: NOW,
            reason: "disk full".into(),
        };
        let content = write_stored("night", NOW, &up(accepted), grant.write().unwrap().as_bytes());
        (stored_name(&grant), content)
    }

    fn keep(hold: &Hold, (name, content): &(String, Vec<u8>), at: u64) -> Result<(), String> {
        hold.keep(name, content, &up(at)).map_err(|error| error.to_string())
    }

    #[test]
    fn of_one_person_eight_are_in_force_and_those_that_are_over_take_no_place() {
        let (_directory, hold) = hold();
        for number in 0..8 {
            keep(&hold, &grant(number, "bob", 10), 10).unwrap();
        }
        let ninth = grant(8, "bob", 20);
        assert!(keep(&hold, &ninth, 20).unwrap_err().contains("for this person"));
        assert_eq!(
            (hold.all().len(), hold.get(stored_id(&ninth.0).unwrap())),
            (8, None),
            "nothing of it is kept"
        );
        keep(&hold, &grant(0, "bob", 20), 20).expect("in its own place");
        keep(&hold, &grant(9, "carol", 20), 20).expect("others have places of their own");
        // When the other seven are over, the one that was accepted anew goes on.
        keep(&hold, &ninth, 10 + HOUR).unwrap();
        assert_eq!(hold.all().len(), 10, "what is over stays for as long as its text could be brought again");
        keep(&hold, &grant(10, "bob", 20), 10 + 36 * HOUR).unwrap();
        assert_eq!(hold.all().len(), 4, "and no longer: 0, 8 and 9 were accepted later");
    }

    #[test]
    fn there_are_bounds_for_all_together() {
        let (_directory, hold) = hold();
        // Of people with few each; written as they are kept, which would look at all of them each time.
        let of = |number: u16, accepted| grant(number, &format!("p{}", number % 64), accepted);
        let fill = |from: u16, accepted| {
            for number in from..from + 256 {
                let (name, content) = of(number, accepted);
                fs::write(hold.directory.join(name), content).unwrap();
            }
        };
        let refused = "too many grants are in force on this host";
        fill(0, 10);
        assert_eq!(keep(&hold, &of(2000, 10), 10).unwrap_err(), refused);
        keep(&hold, &of(2000, 10 + HOUR), 10 + HOUR).expect("they are over");
        fs::remove_file(hold.directory.join(of(2000, 10).0)).unwrap();
        (1..4).for_each(|turn: u16| fill(turn * 256, 10 + HOUR * u64::from(turn)));
        assert_eq!(
            keep(&hold, &of(2000, 10), 10 + 5 * HOUR).unwrap_err(),
            refused,
            "with those that are over"
        );
        assert_eq!(hold.all().len(), 1024);
        keep(&hold, &of(2000, 10 + 37 * HOUR), 10 + 37 * HOUR).expect("the first ones went");
        assert_eq!(hold.all().len(), 1025 - 512);
    }

    #[test]
    fn what_is_no_grant_of_this_boot_is_none_and_goes() {
        let (directory, hold) = hold();
        let path = |name: &str| directory.path().join(name);
        let (good, half, foreign, writable, linked, earlier) = (
            grant(0, "bob", 10),
            grant(1, "bob", 10),
            grant(2, "bob", 10),
            grant(3, "bob", 10),
            grant(4, "bob", 10),
            grant(5, "bob", 10),
        );
        keep(&hold, &good, 10).unwrap();
        fs::write(path(&half.0), &half.1[..half.1.len() / 2]).unwrap();
        fs::write(path(&foreign.0), &foreign.1).unwrap();
        std::os::unix::fs::chown(path(&foreign.0), Some(12345), None).unwrap();
        fs::write(path(&writable.0), &writable.1).unwrap();
        fs::set_permissions(path(&writable.0), fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(path("elsewhere"), &linked.1).unwrap();
        symlink(path("elsewhere"), path(&linked.0)).unwrap();
        let other = Uptime::new(Some(8), Duration::from_secs(5));
        fs::write(path(&earlier.0), write_stored("night", NOW, &other, &earlier.1)).unwrap();
        for (name, _) in [&foreign, &writable, &linked] {
            assert_eq!(hold.get(stored_id(name).unwrap()), None, "{name}");
        }
        keep(&hold, &grant(6, "bob", 20), 20).unwrap();
        let left = hold.names().into_iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(left, [good.0, grant(6, "bob", 20).0].into());
        assert!(path("elsewhere").exists(), "what a link points to stays");
    }
}
