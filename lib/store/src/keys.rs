//! keys.db: people, their mail addresses, their keys, and whether they may ever become root.
//!
//! `authkeys-sync` writes it, `authkeys` prints keys from it, `oncall-cache sync` maps provider
//! users through it, and `pam_oncall.so` asks it one question: whose key is this. keys.stamp beside
//! it says when it was last found to be up to date, so that the large file is written only when its
//! content changes; a stamp counts only for the content that it names.
//!
//! Every key is parsed again when it is read: an earlier release may have taken for a key what this one refuses as
//! weak. Such a row is as if it were not there; one that has not the form of a key makes the copy corrupt.
//!
//! A disabled person is known and has no keys. One whose account begins or expires is stored with the instant:
//! readers judge it by their own clock, so that neither waits for a sync. The form has no column for the beginning: it
//! stands where a reason to be disabled does, which to a reader that knows no beginnings it is.

mod copy;
mod everybody;
mod groups;
mod refused;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};

use policy::{Digest, Principal, Timestamp};
use trust::{Directory, Owner};

use crate::schema::{Form, Schema, one_more};
use crate::{KeyProblem, PublicKey, Rejected, StoreError, fingerprint};
pub use copy::{KeyCopy, KeyOwner};
pub use everybody::StoredPerson;
pub use groups::{InnerGroups, note_groups, noted_groups};
pub use writer::{Base, Change, Effect, Flag, Lookup, Record, publish};

const SCHEMA: Schema = Schema {
    application: 0x414b_6b79, // "AKky"
    written: Form { version: 1, statements: &TABLES },
    also: None,
}
.with_next(Form { version: 2, statements: &NEXT_TABLES });

const NEXT_TABLES: [&str; 10] = one_more(TABLES);

const TABLES: [&str; 9] = [
    "CREATE TABLE meta (scope TEXT NOT NULL, generation TEXT NOT NULL, synced INTEGER NOT NULL, people INTEGER NOT NULL)",
    "CREATE TABLE person (principal TEXT PRIMARY KEY NOT NULL, id TEXT NOT NULL, eligible INTEGER NOT NULL, disabled TEXT, expires INTEGER) WITHOUT ROWID",
    "CREATE TABLE mail (principal TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (principal, address)) WITHOUT ROWID",
    "CREATE TABLE public_key (principal TEXT NOT NULL, fingerprint BLOB NOT NULL, line TEXT NOT NULL, PRIMARY KEY (principal, fingerprint)) WITHOUT ROWID",
    // Values that are no key, for those who ask why.
    "CREATE TABLE rejected (principal TEXT NOT NULL, number INTEGER NOT NULL, problem TEXT NOT NULL, PRIMARY KEY (principal, number)) WITHOUT ROWID",
    // For the next sync alone: every entry, and the names claimed by those that are nobody.
    "CREATE TABLE entry (id TEXT PRIMARY KEY NOT NULL, dn TEXT NOT NULL, principal TEXT, digest BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE claim (id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (id, name)) WITHOUT ROWID",
    "CREATE INDEX public_key_owner ON public_key (fingerprint)",
    "CREATE INDEX claim_name ON claim (name)",
];

/// The most keys of one person that are printed.
pub const MOST_KEYS: usize = 64;

/// A person as the directory's copy keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryPerson {
    /// Their name.
    pub principal: Principal,
    /// What stays the same when they are renamed.
    pub id: String,
    /// Their mail addresses, as written in the directory.
    pub mails: Vec<String>,
    /// Their keys.
    pub keys: Vec<PublicKey>,
    /// The first [`MOST_REJECTED`](crate::MOST_REJECTED) values of theirs that are no keys.
    pub rejected: Vec<Rejected>,
    /// May they ever become root?
    pub eligible: bool,
    /// Why the account is disabled, if it is.
    pub disabled: Option<String>,
    /// The instant before which the account may not be used.
    pub begins: Option<Timestamp>,
    /// The instant from which the account is expired.
    pub expires: Option<Timestamp>,
}

/// A person of the copy to whom users of other services are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Their name.
    pub principal: Principal,
    /// Their mail addresses, as written in the directory.
    pub mails: Vec<String>,
    /// May they ever become root?
    pub eligible: bool,
    /// Why the account is disabled, if it is.
    pub disabled: Option<String>,
}

/// Why an account is disabled whose time is over.
const EXPIRED: &str = "expired";

/// Why it is where its time has not come; seconds since the epoch follow. No name of an attribute has a blank.
const NOT_BEFORE: &str = "not before ";

/// Whose account is open at `?2`, in SQL.
const OPEN: &str =
    "(disabled IS NULL OR disabled GLOB 'not before *' AND CAST(substr(disabled, 12) AS INTEGER) <= ?2)
    AND (expires IS NULL OR expires > ?2)";

/// The reason for which an account is disabled at every instant, and the one before which it is.
fn standing(disabled: Option<&str>) -> (Option<&str>, Option<Timestamp>) {
    let begins = disabled.and_then(|text| text.strip_prefix(NOT_BEFORE)?.parse().ok());
    if begins.is_some() { (None, begins.map(Timestamp::from_unix)) } else { (disabled, None) }
}

/// Is an account open at `now` that `disabled`, `begins` and `expires` are stored of?
fn is_open(disabled: Option<&str>, expires: Option<i64>, now: Timestamp) -> bool {
    let (disabled, begins) = standing(disabled);
    let has_begun = begins.is_none_or(|begin| begin <= now);
    disabled.is_none() && has_begun && expires.is_none_or(|end| Timestamp::from_unix(end) > now)
}

impl DirectoryPerson {
    /// The person as a reader sees them at `now`: without keys and not eligible once disabled or expired.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.disabled = closed(self.disabled, self.begins, self.expires, now);
        if self.disabled.is_some() {
            self.eligible = false;
            self.keys.clear();
            self.rejected.clear();
        }
        self
    }
}

/// Why an account is closed at `now` that `disabled`, `begins` and `expires` are known of.
fn closed(
    disabled: Option<String>,
    begins: Option<Timestamp>,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Option<String> {
    let over = || expires.filter(|end| *end <= now).map(|_| EXPIRED.to_string());
    disabled.or_else(over).or_else(|| begins.filter(|begin| *begin > now).map(not_before))
}

/// Something of a person that might be a key and is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The person.
    pub principal: Principal,
    /// What it is.
    pub which: Which,
    /// Why.
    pub problem: KeyProblem,
}

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Which of the person's values, as in [`Rejected`].
    Value(u32),
    /// What an earlier release took for a key with this fingerprint.
    Key(Digest),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(number) => write!(f, "value {number}"),
            Self::Key(digest) => write!(f, "key {}", fingerprint(*digest)),
        }
    }
}

/// The key that `line` of a copy or a memory is; none if it is weak.
pub(crate) fn unless_weak(line: &str) -> Result<Option<PublicKey>, KeyProblem> {
    match PublicKey::parse(line.as_bytes()) {
        Ok(key) => Ok(Some(key)),
        Err(problem) if problem.is_weakness() => Ok(None),
        Err(problem) => Err(problem),
    }
}

fn not_before(begin: Timestamp) -> String {
    format!("{NOT_BEFORE}{}", begin.unix())
}

impl DirectoryPerson {
    /// When [`DirectoryPerson::at`] says something else than at `now`, as far as that is known.
    pub fn changes(&self, now: Timestamp) -> Option<Timestamp> {
        let instants = [self.begins, self.expires].into_iter().flatten();
        instants.filter(|instant| self.disabled.is_none() && *instant > now).min()
    }

    /// Why the account is disabled, as it is stored.
    fn stored_standing(&self) -> Option<String> {
        self.disabled.clone().or_else(|| self.begins.map(not_before))
    }
}

/// Where the stamp of the copy at `path` is.
fn stamp_path(path: &Path) -> PathBuf {
    path.with_extension("stamp")
}

/// The longest address of another server that is kept, in bytes.
const LONGEST_ELSEWHERE: u64 = 1024;

/// Keeps beside the copy at `path` that its directory refers to `elsewhere` for some of its people; `None`: it does not.
pub fn note_elsewhere(path: &Path, elsewhere: Option<&str>) -> Result<(), StoreError> {
    let note = path.with_extension("elsewhere");
    match elsewhere {
        Some(url) => {
            Ok(publish::replace(&note, 0o640, |temporary| std::fs::write(temporary, format!("{url}\n")))?)
        }
        None => match std::fs::remove_file(&note) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::write(&note, error))
            }
            _ => Ok(()),
        },
    }
}

/// Where the directory of the copy at `path` said at the last sync that more people are.
pub fn elsewhere(path: &Path) -> Option<String> {
    let text = trust::read(&path.with_extension("elsewhere"), Owner::Service, LONGEST_ELSEWHERE).ok()?;
    Some(String::from_utf8_lossy(&text).trim_end().to_string())
}

/// A column that says yes or no holds 0 or 1.
pub(crate) fn flag(value: i64) -> Result<bool, &'static str> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err("a flag that is neither 0 nor 1"),
    }
}

/// What keys.stamp says.
struct Stamp {
    /// The content that it counts for.
    generation: String,
    /// The last sync that found that content to be up to date.
    synced: Timestamp,
    /// Where the next sync may go on, in hexadecimal digits.
    resume: Option<String>,
}

/// The most bytes of a stamp: servers with many masters have long cookies.
const LARGEST_STAMP: u64 = 16 * 1024;

/// `GENERATION SECONDS [RESUME]`; `None` if there is no stamp.
fn read_stamp(directory: &Directory, path: &Path) -> Result<Option<Stamp>, StoreError> {
    let content = match directory.read(path, Owner::Service, LARGEST_STAMP) {
        Ok(content) => content,
        Err(refusal) if refusal.is_missing() => return Ok(None),
        Err(refusal) => return Err(StoreError::Untrusted(refusal)),
    };
    let parsed = std::str::from_utf8(&content).ok().and_then(|text| {
        let mut words = text.strip_suffix('\n')?.split(' ');
        let generation = words.next()?.to_string();
        let synced = Timestamp::from_unix(words.next()?.parse().ok()?);
        let resume = words.next().map(str::to_string);
        words.next().is_none().then_some(Stamp { generation, synced, resume })
    });
    parsed.map(Some).ok_or_else(|| StoreError::corrupt(path, "not a stamp"))
}

#[cfg(test)]
mod tests;
