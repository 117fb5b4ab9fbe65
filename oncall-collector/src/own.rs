//! What this host knows: the two copies that its syncs write. Read as they are; how old they are is for hosts to judge.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ::store::keys::KeyCopy;
use ::store::lookups::Known;
use ::store::roster;
use fleet::Digest;
use fleet::people::FleetPerson;
use policy::{Principal, Proven, Roster, Span, Timestamp, restore};
use serde::{Deserialize, Serialize};

/// The oldest copy of the directory that is read at all: a year.
const OLDEST: Span = Span::hours(366 * 24);

/// What this host knows, and what of it could not be read.
#[derive(Debug)]
pub struct Own {
    /// By which settings people are chosen.
    pub scope: Digest,
    /// Who is on call.
    pub roster: Option<Roster>,
    /// Who there is.
    pub people: Option<People>,
    /// What the syncs know of the time.
    pub proven: Vec<Proven>,
    /// A line for each copy that should be there and cannot be read.
    pub problems: Vec<String>,
    /// What the files were when they were read.
    pub stamps: Stamps,
}

/// The copy of the directory, open.
#[derive(Debug)]
pub struct People {
    copy: KeyCopy,
    /// The last sync that found it to be up to date.
    pub read: Timestamp,
    /// Which content it has: as long as this is the same, so are the people.
    pub content: Option<Stamp>,
}

/// Which file was at a path, each replacement being another one: device, inode, size, seconds and nanoseconds of its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp([i64; 5]);

/// The files that are published from, in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamps([Option<Stamp>; 4]);

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        let [device, inode, size] = [found.dev(), found.ino(), found.size()].map(u64::cast_signed);
        Some(Self([device, inode, size, found.mtime(), found.mtime_nsec()]))
    }
}

impl Stamps {
    /// The files now.
    pub fn now(config: &host::Config) -> Self {
        let keys = &config.paths.keys;
        let (stamp, roster) = (keys.with_extension("stamp"), &config.paths.roster);
        let incidents = roster.with_extension("incidents");
        Self([roster, &incidents, keys, &stamp].map(|path| Stamp::of(path)))
    }
}

impl Own {
    /// Reads both copies.
    pub fn read(config: &host::Config, now: Timestamp) -> Self {
        let stamps = Stamps::now(config);
        let (mut problems, mut proven) = (Vec::new(), Vec::new());
        let scope = config.directory.as_ref().map(|directory| config.copy_scope(directory));
        let mut roster = None;
        // Hosts may enforce what is published.
        let unseen = config.oncall.sources.iter().find_map(host::config::Source::unseen);
        problems.extend(unseen.iter().map(|why| format!("who is on call is not published: {why}")));
        if !config.oncall.sources.is_empty() && unseen.is_none() {
            match roster::read(&config.paths.roster, now) {
                // Each host asks files of its own: what this one leaves out may count there.
                Ok(read) => {
                    let left = roster::left_out(&config.paths.roster, &read);
                    roster = Some(Roster { shifts: restore(&read, &left), ..read });
                }
                Err(problem) => problems.push(format!("who is on call is not read: {problem}")),
            }
            proven.extend(clock::proven(&config.paths.roster));
        }
        let mut people = None;
        if let Some(scope) = &scope {
            match People::open(&config.paths.keys, scope, now) {
                Ok(open) => people = Some(open),
                Err(problem) => problems.push(format!("people are not read: {problem}")),
            }
            proven.extend(clock::proven(&config.paths.keys));
        }
        let scope = Digest::of(scope.unwrap_or_default().as_bytes());
        Self { scope, roster, people, proven, problems, stamps }
    }
}

impl People {
    fn open(path: &Path, scope: &str, now: Timestamp) -> Result<Self, ::store::StoreError> {
        let content = Stamp::of(path);
        let copy = KeyCopy::open(path, scope, OLDEST, now)?;
        // Replaced in between: which one is open is not known.
        let content = content.filter(|content| Stamp::of(path) == Some(*content));
        Ok(Self { read: copy.synced(), copy, content })
    }

    /// Is there such a person? What cannot be read is no reason to doubt it.
    pub fn knows(&self, person: &Principal) -> bool {
        !self.copy.known(person).is_ok_and(|known| matches!(known, Known::Absent))
    }

    /// Everybody, as a fleet knows them.
    ///
    /// # Errors
    /// The copy is damaged.
    pub fn everybody(&self) -> Result<Vec<FleetPerson>, ::store::StoreError> {
        let mut people = Vec::new();
        self.copy.everybody(|person| {
            people.push(FleetPerson {
                principal: person.principal,
                eligible: person.eligible,
                disabled: person.disabled,
                begins: person.begins,
                expires: person.expires,
                keys: person.keys,
            });
        })?;
        Ok(people)
    }
}
