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

mod everybody;
mod groups;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use policy::{Digest, Principal, Rules, Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use trust::Owner;

use crate::lookups::Known;
use crate::schema::{Form, Schema, one_more};
use crate::{KeyProblem, PublicKey, Rejected, StoreError, fingerprint};
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

/// The most that is read of one person's keys, in bytes; many more than are printed.
const MOST_OF_ONE: usize = 16 * 1024 * 1024;

/// The most that is read of everybody, in bytes; that is for the syncs, of which no login waits.
const MOST_OF_ALL: usize = 256 * 1024 * 1024;

/// What a row costs beside its texts, in bytes.
const ROW_BYTES: usize = 128;

/// The most people whose names are read alone.
const MOST_NAMES: usize = 400_000;

/// The most refused values that are told.
const MOST_REFUSED: usize = 20_000;

const TOO_MUCH: &str = "it is larger than a copy may be";

/// The most owners of one key that are named.
const MOST_OWNERS: u32 = 8;

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
fn standing(disabled: Option<String>) -> (Option<String>, Option<Timestamp>) {
    let begins = disabled.as_deref().and_then(|text| text.strip_prefix(NOT_BEFORE)?.parse().ok());
    if begins.is_some() { (None, begins.map(Timestamp::from_unix)) } else { (disabled, None) }
}

/// Is an account open at `now` that `disabled`, `begins` and `expires` are stored of?
fn is_open(disabled: Option<String>, expires: Option<i64>, now: Timestamp) -> bool {
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

/// Who has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOwner {
    /// Nobody in the directory.
    Nobody,
    /// This person.
    One(Principal),
    /// More than one person who may become root, or none who may: as good as nobody. Not all of them, if they
    /// are very many.
    Several(Vec<Principal>),
}

/// The copy, open for reading.
#[derive(Debug)]
pub struct KeyCopy {
    path: PathBuf,
    connection: Connection,
    scope: String,
    generation: String,
    synced: Timestamp,
    now: Timestamp,
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

impl KeyCopy {
    /// Opens the copy at `path`, made from the directory `scope`, if it may be trusted at `now`: no older
    /// than `max_age`, and by a clock that is not behind what was proven of the time.
    pub fn open(path: &Path, scope: &str, max_age: Span, now: Timestamp) -> Result<Self, StoreError> {
        let mut copy = Self::open_any(path, now)?;
        if copy.scope != scope {
            return Err(StoreError::OtherDirectory(path.into()));
        }
        let proven = clock::proven(path);
        let floor = clock::floor(copy.synced, proven.as_ref(), now);
        if now.plus(Rules::SKEW) < floor {
            return Err(StoreError::ClockBehind(path.into(), floor.since(now)));
        }
        if let Some(proven) = proven {
            copy.synced = clock::read_at(&proven, copy.synced, now);
        }
        let age = now.since(copy.synced);
        if age > max_age {
            return Err(StoreError::Stale(path.into(), age, max_age));
        }
        Ok(copy)
    }

    /// Opens the copy whatever its age and origin.
    fn open_any(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let copy = Self::open_alone(path, now)?;
        // The stamp is the later word, also where it is the earlier instant: a clock that was ahead when
        // the file was written is healed by the next good sync.
        let stamp = read_stamp(&stamp_path(path))?.filter(|stamp| stamp.generation == copy.generation);
        Ok(Self { synced: stamp.map_or(copy.synced, |stamp| stamp.synced), ..copy })
    }

    /// As [`KeyCopy::open_any`], without its stamp.
    fn open_alone(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let connection = SCHEMA.open(path)?;
        let (scope, generation, synced) = connection
            .query_row("SELECT scope, generation, synced FROM meta", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .map_err(|error| StoreError::corrupt(path, error))?;
        let synced = Timestamp::from_unix(synced);
        Ok(Self { path: path.to_path_buf(), connection, scope, generation, synced, now })
    }

    /// The last sync that found the copy to be up to date.
    pub fn synced(&self) -> Timestamp {
        self.synced
    }

    fn corrupt(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::corrupt(&self.path, what)
    }

    /// What is known of `principal`. One query, because sshd waits for it twice or more at each login.
    pub fn known(&self, principal: &Principal) -> Result<Known, StoreError> {
        let mut query = self
            .connection
            .prepare(
                "SELECT disabled, expires, line FROM person LEFT JOIN public_key USING (principal)
                 WHERE person.principal = ?1",
            )
            .map_err(|error| self.corrupt(error))?;
        let rows = query
            .query_map([principal.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map_err(|error| self.corrupt(error))?;
        let (mut known, mut room) = (None, MOST_OF_ONE);
        for row in rows {
            let row: (Option<String>, Option<i64>, Option<String>) =
                row.map_err(|error| self.corrupt(error))?;
            let (disabled, expires, line) = row;
            if !is_open(disabled, expires, self.now) {
                return Ok(Known::Disabled);
            }
            let keys: &mut Vec<PublicKey> = known.get_or_insert_default();
            if let Some(line) = line {
                room = room.checked_sub(line.len() + ROW_BYTES).ok_or_else(|| self.corrupt(TOO_MUCH))?;
                keys.extend(unless_weak(&line).map_err(|problem| self.corrupt(problem))?);
            }
        }
        Ok(known.map_or(Known::Absent, Known::Keys))
    }

    /// The keys of `principal`; `None` if the directory has no such person.
    pub fn keys_of(&self, principal: &Principal) -> Result<Option<Vec<PublicKey>>, StoreError> {
        Ok(match self.known(principal)? {
            Known::Keys(keys) => Some(keys),
            Known::Disabled => Some(Vec::new()),
            Known::Absent => None,
        })
    }

    /// What is refused of `principal`, or of everybody: values in the directory's order, then what an earlier
    /// release took for keys; nothing of disabled people.
    pub fn refused(&self, principal: Option<&Principal>) -> Result<Vec<Refused>, StoreError> {
        self.read_refused(principal).map_err(|error| self.corrupt(error))
    }

    fn read_refused(
        &self,
        principal: Option<&Principal>,
    ) -> Result<Vec<Refused>, Box<dyn std::error::Error>> {
        let theirs =
            format!("JOIN person USING (principal) WHERE principal = coalesce(?1, principal) AND {OPEN}");
        let (of, now) = (principal.map(Principal::as_str), self.now.unix());
        let mut refused = Vec::new();
        let mut query = self.connection.prepare(&format!(
            "SELECT person.principal, number, problem FROM rejected {theirs} ORDER BY person.principal, number LIMIT {MOST_REFUSED}"
        ))?;
        let mut rows = query.query(params![of, now])?;
        while let Some(row) = rows.next()? {
            let principal = Principal::new(&row.get::<_, String>(0)?)?;
            let problem = KeyProblem::from_token(&row.get::<_, String>(2)?)
                .ok_or("a dropped value with an unknown reason")?;
            refused.push(Refused { principal, which: Which::Value(row.get(1)?), problem });
        }
        let mut query = self
            .connection
            .prepare(&format!("SELECT person.principal, line, fingerprint FROM public_key {theirs}"))?;
        let mut rows = query.query(params![of, now])?;
        while let Some(row) = rows.next()?.filter(|_| refused.len() < MOST_REFUSED) {
            let principal = Principal::new(&row.get::<_, String>(0)?)?;
            let which = Which::Key(row.get(2)?);
            match PublicKey::parse(row.get::<_, String>(1)?.as_bytes()) {
                Err(problem) if problem.is_weakness() => refused.push(Refused { principal, which, problem }),
                Err(problem) => return Err(problem.to_string().into()),
                Ok(_) => {}
            }
        }
        Ok(refused)
    }

    /// The key with this fingerprint that anybody has whose account is not disabled.
    pub fn key(&self, digest: &Digest) -> Result<Option<PublicKey>, StoreError> {
        let mut query = self
            .connection
            .prepare(&format!(
                "SELECT line FROM public_key JOIN person USING (principal)
                 WHERE fingerprint = ?1 AND {OPEN} LIMIT 1"
            ))
            .map_err(|error| self.corrupt(error))?;
        let line: Option<String> = query
            .query_row(params![digest, self.now.unix()], |row| row.get(0))
            .optional()
            .map_err(|error| self.corrupt(error))?;
        let Some(line) = line else { return Ok(None) };
        match unless_weak(&line) {
            Ok(None) => Ok(None),
            Ok(Some(key)) if key.sha256() == *digest => Ok(Some(key)),
            _ => Err(self.corrupt("a fingerprint that does not match its key")),
        }
    }

    /// May `principal` ever become root, by what the copy says now?
    pub fn is_eligible(&self, principal: &Principal) -> Result<bool, StoreError> {
        let eligible = self.connection.query_row(
            &format!("SELECT eligible FROM person WHERE principal = ?1 AND {OPEN}"),
            params![principal.as_str(), self.now.unix()],
            |row| row.get(0),
        );
        let eligible = eligible.optional().map_err(|error| self.corrupt(error))?;
        eligible.map_or(Ok(false), |value| flag(value).map_err(|error| self.corrupt(error)))
    }

    /// Whose key this is. Anybody may list a key in their own entry, so a person who cannot become root takes it from
    /// nobody who can: of several, the one who is eligible has it.
    pub fn owner_of(&self, key: &PublicKey) -> Result<KeyOwner, StoreError> {
        let owners = self.owners(key)?;
        let eligible: Vec<&Principal> =
            owners.iter().filter(|(_, eligible)| *eligible).map(|(owner, _)| owner).collect();
        Ok(match (eligible.as_slice(), owners.as_slice()) {
            (_, []) => KeyOwner::Nobody,
            (&[one], _) | (_, [(one, _)]) => KeyOwner::One(one.clone()),
            _ => KeyOwner::Several(owners.into_iter().map(|(owner, _)| owner).collect()),
        })
    }

    /// Those who have the key and are not disabled, and whether they are eligible; these first, and not all if
    /// they are very many.
    fn owners(&self, key: &PublicKey) -> Result<Vec<(Principal, bool)>, StoreError> {
        let mut query = self
            .connection
            .prepare(&format!(
                "SELECT person.principal, line, eligible FROM public_key JOIN person USING (principal)
                 WHERE fingerprint = ?1 AND {OPEN} ORDER BY eligible DESC, person.principal LIMIT ?3"
            ))
            .map_err(|error| self.corrupt(error))?;
        let rows = query
            .query_map(params![key.digest(), self.now.unix(), MOST_OWNERS], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?))
            })
            .map_err(|error| self.corrupt(error))?;
        rows.map(|row| {
            let (principal, line, eligible) = row.map_err(|error| self.corrupt(error))?;
            if line != key.line() {
                return Err(self.corrupt("a fingerprint that does not match its key"));
            }
            let principal = Principal::new(&principal).map_err(|error| self.corrupt(error))?;
            Ok((principal, flag(eligible).map_err(|error| self.corrupt(error))?))
        })
        .collect()
    }

    /// The names of everyone.
    pub fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        let read = || -> rusqlite::Result<BTreeSet<String>> {
            let mut query = self.connection.prepare("SELECT principal FROM person LIMIT ?1")?;
            query.query_map([MOST_NAMES as i64], |row| row.get(0))?.collect()
        };
        let names = read().map_err(|error| self.corrupt(error))?;
        match names.iter().find(|name| Principal::check(name).is_err()) {
            None if names.len() < MOST_NAMES => Ok(names),
            None => Err(self.corrupt(TOO_MUCH)),
            Some(_) => Err(self.corrupt("a key of a person who is not in it")),
        }
    }

    /// Everyone as those who map users to people need them, in order of name. Their keys are not looked at: to judge
    /// all of them takes most of a sync.
    pub fn contacts(&self) -> Result<Vec<Contact>, StoreError> {
        self.read_contacts().map_err(|error| self.corrupt(error))
    }

    /// Can all of it be read by readers of a part? A damaged row shuts its owner out.
    fn check(&self) -> Result<(), StoreError> {
        self.contacts()?;
        self.check_keys().map_err(|error| self.corrupt(error))
    }

    fn check_keys(&self) -> Result<(), Box<dyn std::error::Error>> {
        let mut query = self.connection.prepare("SELECT line, fingerprint FROM public_key")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let digest = key::digest_of(text(row, 0)?).ok_or("a key in the wrong form")?;
            if row.get_ref(1)?.as_blob()? != digest {
                return Err("a fingerprint that does not match its key".into());
            }
        }
        Ok(())
    }

    fn read_contacts(&self) -> Result<Vec<Contact>, Box<dyn std::error::Error>> {
        let (mut people, mut room) = (Vec::new(), MOST_OF_ALL);
        let mut take = |bytes: usize| {
            room = room.checked_sub(bytes + ROW_BYTES).ok_or(TOO_MUCH)?;
            Ok::<(), &str>(())
        };
        let mut query = self
            .connection
            .prepare("SELECT principal, eligible, disabled, expires FROM person ORDER BY principal")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let principal = Principal::new(text(row, 0)?)?;
            take(size_of::<Contact>() + principal.as_str().len())?;
            let (disabled, begins) = standing(row.get(2)?);
            let expires = row.get::<_, Option<i64>>(3)?.map(Timestamp::from_unix);
            let disabled = closed(disabled, begins, expires, self.now);
            let eligible = flag(row.get(1)?)? && disabled.is_none();
            people.push(Contact { principal, mails: Vec::new(), eligible, disabled });
        }
        // Both in one order: of each address the owner is the next person who is not before it.
        let mut query = self.connection.prepare("SELECT principal, address FROM mail ORDER BY principal")?;
        let mut rows = query.query([])?;
        let mut left = people.as_mut_slice().iter_mut().peekable();
        while let Some(row) = rows.next()? {
            let (owner, mail) = (text(row, 0)?, text(row, 1)?);
            take(mail.len())?;
            while left.next_if(|person| person.principal.as_str() < owner).is_some() {}
            let owner = left.peek_mut().filter(|person| person.principal.as_str() == owner);
            let mails = &mut owner.ok_or("a mail address without a person")?.mails;
            // Nearly everybody has one.
            mails.reserve_exact(1);
            mails.push(mail.to_string());
        }
        Ok(people)
    }
}

/// A column of text, where it lies.
fn text<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> Result<&'r str, Box<dyn std::error::Error>> {
    Ok(row.get_ref(column)?.as_str()?)
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
fn read_stamp(path: &Path) -> Result<Option<Stamp>, StoreError> {
    let content = match trust::read(path, Owner::Service, LARGEST_STAMP) {
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
