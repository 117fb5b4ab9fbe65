//! Who has let themselves in on this host, and who has reviewed that: files that outlive this program, and a boot.
//!
//! `ID.used` is what was accepted, as an accepted grant is kept; `ID.review` closes it. They are below /var. Where nothing can
//! be written there, on the night on which the disk is full, they are among the accepted grants, and end with the boot.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use grant::{GrantId, LARGEST_STORED, review_name, used_id, used_name};
use host::Config;
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

    /// What is kept of each use that nobody has reviewed.
    pub fn open(&self) -> Vec<Vec<u8>> {
        let open = self.files().filter(|(id, _)| !self.is_reviewed(*id));
        open.filter_map(|(id, _)| self.get(id)).collect()
    }

    /// Keeps a use.
    ///
    /// # Errors
    /// It cannot be written anywhere.
    pub fn keep(&self, id: GrantId, content: &[u8]) -> io::Result<()> {
        self.forget_the_oldest();
        self.write(&used_name(id), content)
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
