//! Who has let themselves in on this host, and who has reviewed that: files that outlive this program, and a boot.
//!
//! `ID.used` is what was accepted, as an accepted grant is kept; `ID.review` closes it. They are below /var. Where nothing can
//! be written there, on the night on which the disk is full, they are among the accepted grants, and are moved as soon as
//! there is room.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use grant::{AGAIN, Broken, GrantId, LARGEST_STORED, Stored, review_name, used_id, used_name};
use host::Config;
use policy::{Span, Timestamp, Uptime};
use trust::Owner;

use crate::hold::write_whole;

/// The most uses that are kept, those that are reviewed among them: of more the oldest are forgotten.
const MOST: usize = 64;

/// The uses of break-glass on this host.
#[derive(Debug)]
pub struct Uses([PathBuf; 2]);

impl Uses {
    /// Those of the host with this configuration.
    pub fn of(config: &Config) -> Self {
        Self([config.paths.broken.clone(), config.paths.grants.clone()])
    }

    /// The files of uses, with the names of the grants.
    fn files(&self) -> impl Iterator<Item = (GrantId, PathBuf)> {
        let entries = self.0.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
        entries.filter_map(|entry| {
            let entry = entry.ok()?;
            Some((used_id(entry.file_name().to_str()?)?, entry.path()))
        })
    }

    /// Is a review of it kept?
    fn is_reviewed(&self, id: GrantId) -> bool {
        self.0.iter().any(|directory| directory.join(review_name(id)).exists())
    }

    /// What is kept of the use of the grant `id`.
    pub fn get(&self, id: GrantId) -> Option<Vec<u8>> {
        let name = used_name(id);
        self.0.iter().find_map(|directory| {
            trust::read(&directory.join(&name), Owner::Service, LARGEST_STORED as u64).ok()
        })
    }

    /// Is a use of the grant `id` kept, readable or not?
    pub fn has(&self, id: GrantId) -> bool {
        self.files().any(|(used, _)| used == id)
    }

    /// Each use that nobody has reviewed, by clocks that show `now` and `uptime`. One that cannot be read is as old as its file.
    pub fn open(&self, now: Timestamp, uptime: &Uptime) -> Vec<Broken> {
        let open = self.files().filter(|(id, _)| !self.is_reviewed(*id));
        open.map(|(id, path)| {
            let kept = self.get(id).unwrap_or_default();
            let read = Stored::read(&kept).map(|stored| Broken::of(&stored, now, uptime));
            read.unwrap_or_else(|_| Broken { id, left: left_of_file(&path, now) })
        })
        .collect()
    }

    /// Keeps a use. A review by that name is of an earlier one, which is not there any more: it goes.
    ///
    /// # Errors
    /// It cannot be written anywhere, or a review cannot be removed.
    pub fn keep(&self, id: GrantId, content: &[u8]) -> io::Result<()> {
        self.forget_the_oldest();
        let reviews = self.0.iter().map(|directory| directory.join(review_name(id)));
        reviews.filter(|path| path.symlink_metadata().is_ok()).try_for_each(fs::remove_file)?;
        self.write(&used_name(id), content)
    }

    /// Moves below /var what could not be written there before.
    pub fn settle(&self) {
        let [lasting, passing] = &self.0;
        let names = fs::read_dir(passing)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter(|name| name.ends_with(".used") || name.ends_with(".review")).collect();
        // A use before its review.
        names.sort_by_key(|name| name.ends_with(".review"));
        for name in names {
            let path = passing.join(&name);
            let content = trust::read(&path, Owner::Service, LARGEST_STORED as u64).ok();
            if content.is_some_and(|content| write_whole(lasting, &name, &content).is_ok()) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Takes back what was kept of a use that came to nothing.
    pub fn take_back(&self, id: GrantId) {
        self.remove(id);
    }

    /// Closes a use by its review.
    ///
    /// # Errors
    /// It cannot be written anywhere.
    pub fn close(&self, id: GrantId, review: &[u8]) -> io::Result<()> {
        self.write(&review_name(id), review)
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let [lasting, passing] = &self.0;
        write_whole(lasting, name, content).or_else(|_| write_whole(passing, name, content))
    }

    fn forget_the_oldest(&self) {
        let mut files: Vec<(SystemTime, GrantId)> = self
            .files()
            .filter_map(|(id, path)| Some((fs::symlink_metadata(path).ok()?.modified().ok()?, id)))
            .collect();
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(MOST);
        files.iter().take(surplus).for_each(|(_, id)| self.remove(*id));
    }

    fn remove(&self, id: GrantId) {
        for path in self.0.iter().flat_map(|one| [one.join(used_name(id)), one.join(review_name(id))]) {
            let _ = fs::remove_file(path);
        }
    }
}

/// How long what is in the file at `path` is in the way, where only the file can tell.
fn left_of_file(path: &Path, now: Timestamp) -> Span {
    let written = fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok();
    let written =
        written.and_then(|written| i64::try_from(written.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok());
    let age = written.map_or(0, |written| now.unix().saturating_sub(written).max(0));
    Span::seconds(AGAIN.as_seconds().saturating_sub(age))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ID: &str = "f9a30c5f7e5b4b1e9d1f4c2a7d3e8b10";

    /// A directory below /var and one below /run, as they are called here.
    fn places() -> (tempfile::TempDir, Uses, GrantId) {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let places = ["lasting", "passing"].map(|name| directory.path().join(name));
        places.iter().for_each(|place| fs::create_dir(place).unwrap());
        (directory, Uses(places), ID.parse().unwrap())
    }

    fn open(uses: &Uses) -> Vec<Broken> {
        uses.open(host::clock::now(), &host::clock::uptime())
    }

    #[test]
    fn a_review_closes_the_use_that_it_is_of_and_no_later_one_of_that_name() {
        let (_directory, uses, id) = places();
        uses.keep(id, b"one").unwrap();
        uses.close(id, b"review").unwrap();
        assert!(open(&uses).is_empty() && uses.has(id));
        // As where the use was below /run at a reboot, and its review was not.
        fs::remove_file(uses.0[0].join(used_name(id))).unwrap();
        assert!(!uses.has(id));
        uses.keep(id, b"another").unwrap();
        assert_eq!(open(&uses).len(), 1);
    }

    #[test]
    fn what_could_not_be_written_below_var_is_moved_there() {
        let (_directory, uses, id) = places();
        let [lasting, passing] = &uses.0;
        // What is no directory cannot be written, whoever tries.
        fs::remove_dir(lasting).unwrap();
        fs::write(lasting, "").unwrap();
        uses.keep(id, b"one").unwrap();
        uses.settle();
        assert!(passing.join(used_name(id)).exists());
        fs::remove_file(lasting).unwrap();
        fs::create_dir(lasting).unwrap();
        uses.settle();
        assert_eq!(fs::read(lasting.join(used_name(id))).unwrap(), b"one");
        assert_eq!(fs::read_dir(passing).unwrap().count(), 0);
        assert_eq!(uses.get(id).unwrap(), b"one");
    }

    #[test]
    fn a_use_that_cannot_be_read_is_in_the_way_as_long_as_any() {
        let (_directory, uses, id) = places();
        uses.keep(id, b"one").unwrap();
        let path = uses.0[0].join(used_name(id));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(uses.get(id).is_none() && uses.has(id));
        assert!(open(&uses).iter().all(Broken::is_in_the_way) && open(&uses).len() == 1);
        let (now, uptime) = (host::clock::now(), host::clock::uptime());
        let later = |span| uses.open(now.plus(span), &uptime)[0].is_in_the_way();
        assert!(later(Span::hours(23)) && !later(Span::hours(25)));
    }
}
