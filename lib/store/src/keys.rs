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

mod groups;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use policy::{Digest, Principal, Rules, Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use trust::Owner;

use crate::lookups::Known;
use crate::schema::{Form, Schema, one_more};
use crate::{KeyProblem, PublicKey, Rejected, StoreError, fingerprint};
pub use groups::{note_groups, noted_groups};
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

const TOO_MUCH: &str = "it is larger than any copy is";

/// The most owners of one key that are named.
const MOST_OWNERS: u32 = 8;

/// A person as the directory's copy keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
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

impl Person {
    /// The person as a reader sees them at `now`: without keys and not eligible once disabled or expired.
    pub fn at(mut self, now: Timestamp) -> Self {
        if self.disabled.is_none() && self.expires.is_some_and(|end| end <= now) {
            self.disabled = Some(EXPIRED.to_string());
        }
        if self.disabled.is_none() {
            self.disabled = self.begins.filter(|begin| *begin > now).map(not_before);
        }
        if self.disabled.is_some() {
            self.eligible = false;
            self.keys.clear();
            self.rejected.clear();
        }
        self
    }
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

impl Person {
    /// When [`Person::at`] says something else than at `now`, as far as that is known.
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
        Some(url) => crate::publish::replace(&note, 0o640, |temporary| {
            std::fs::write(temporary, format!("{url}\n")).map_err(|error| error.to_string())
        }),
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
    /// Opens the copy at `path`, made from the directory `scope`, if it may be believed at `now`: no older
    /// than `stale_for`, and by a clock that is not behind what was proven of the time.
    pub fn open(path: &Path, scope: &str, stale_for: Span, now: Timestamp) -> Result<Self, StoreError> {
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
        if age > stale_for {
            return Err(StoreError::Stale(path.into(), age, stale_for));
        }
        Ok(copy)
    }

    /// Opens the copy whatever its age and origin.
    fn open_any(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let connection = SCHEMA.open(path)?;
        let (scope, generation, synced) = connection
            .query_row("SELECT scope, generation, synced FROM meta", [], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?))
            })
            .map_err(|error| StoreError::corrupt(path, error))?;
        let synced = match read_stamp(&stamp_path(path))? {
            // The stamp is the later word, also where it is the earlier instant: a clock that was ahead when
            // the file was written is healed by the next good sync.
            Some(stamp) if stamp.generation == generation => stamp.synced,
            _ => Timestamp::from_unix(synced),
        };
        Ok(Self { path: path.to_path_buf(), connection, scope, synced, now })
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
    /// release took for keys; nothing of whoever is disabled.
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
                .ok_or("a value dropped for no known reason")?;
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
            _ => Err(self.corrupt("a fingerprint that is not its key's")),
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

    /// Whose key this is. Anybody may list a key in their own entry, so whoever cannot become root takes it from
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
                return Err(self.corrupt("a fingerprint that is not its key's"));
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
            Some(_) => Err(self.corrupt("a name that nobody has")),
        }
    }

    /// Everyone, in order of name; without what was dropped of their values.
    pub fn people(&self) -> Result<Vec<Person>, StoreError> {
        self.read_people().map_err(|error| self.corrupt(error))
    }

    fn read_people(&self) -> Result<Vec<Person>, Box<dyn std::error::Error>> {
        let (mut people, mut room) = (BTreeMap::new(), MOST_OF_ALL);
        let mut take = |bytes: usize| {
            room = room.checked_sub(bytes + ROW_BYTES).ok_or(TOO_MUCH)?;
            Ok::<(), &str>(())
        };
        let mut query =
            self.connection.prepare("SELECT principal, id, eligible, disabled, expires FROM person")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let principal = Principal::new(&row.get::<_, String>(0)?)?;
            let (disabled, begins) = standing(row.get(3)?);
            let person = Person {
                principal: principal.clone(),
                id: row.get(1)?,
                mails: Vec::new(),
                keys: Vec::new(),
                rejected: Vec::new(),
                eligible: flag(row.get(2)?)?,
                disabled,
                begins,
                expires: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_unix),
            };
            take(size_of::<Person>() + 2 * principal.as_str().len() + person.id.len())?;
            people.insert(principal.as_str().to_string(), person);
        }
        let mut query = self.connection.prepare("SELECT principal, address FROM mail")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let person = people.get_mut(&row.get::<_, String>(0)?).ok_or("a mail address of nobody")?;
            let mail: String = row.get(1)?;
            take(mail.len())?;
            person.mails.push(mail);
        }
        let mut query = self.connection.prepare("SELECT principal, line FROM public_key")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let person = people.get_mut(&row.get::<_, String>(0)?).ok_or("a key of nobody")?;
            let line: String = row.get(1)?;
            take(line.len())?;
            person.keys.extend(unless_weak(&line).map_err(|problem| problem.to_string())?);
        }
        Ok(people.into_values().map(|person| person.at(self.now)).collect())
    }
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
mod tests {
    use super::*;
    use policy::Proven;
    use sha2::Digest as _;
    use std::os::unix::fs::MetadataExt;

    const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    const BOB: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnFMGpZIBdoJ51sSTzbGF+TPdJsyKHXxmErQvWJy5o";
    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn person(name: &str, keys: &[&str]) -> Person {
        Person {
            principal: Principal::new(name).unwrap(),
            id: name.to_string(),
            mails: vec![format!("{name}@example.com")],
            keys: keys.iter().map(|key| PublicKey::parse(key.as_bytes()).unwrap()).collect(),
            rejected: Vec::new(),
            eligible: name == "alice",
            disabled: None,
            begins: None,
            expires: None,
        }
    }

    fn records(people: &[Person]) -> Vec<Record> {
        let record = |person: &Person| {
            let names = vec![person.principal.to_string()];
            Record::new(person.id.clone(), String::new(), names, Some(person.clone()))
        };
        people.iter().map(record).collect()
    }

    fn publish(path: &Path, people: &[Person], now: Timestamp) -> Result<Effect, StoreError> {
        let base = Base::open(path, "test").ok();
        let change = match &base {
            Some(base) => base.replaced_by(records(people))?,
            None => Change::everything(records(people)),
        };
        super::publish(path, "test", base.as_ref(), &change, None, now)?;
        Ok(change.effect())
    }

    fn open(path: &Path, now: Timestamp) -> Result<KeyCopy, StoreError> {
        KeyCopy::open(path, "test", Span::hours(24), now)
    }

    #[test]
    fn what_was_published_is_read_back() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let people = [person("alice", &[ALICE, BOB]), person("bob", &[BOB]), person("zoe", &[])];
        let published = publish(&path, &people, NOW).unwrap();
        assert_eq!(published, Effect { changed: 3, people: 3, gained: 1, ..Effect::default() });
        let copy = open(&path, NOW).unwrap();
        assert_eq!(
            copy.people().unwrap().iter().map(|p| p.principal.as_str()).collect::<Vec<_>>(),
            ["alice", "bob", "zoe"]
        );
        let keys = |name| copy.keys_of(&Principal::new(name).unwrap()).unwrap().map(|keys| keys.len());
        assert_eq!([keys("alice"), keys("zoe"), keys("nobody")], [Some(2), Some(0), None]);
        let key = PublicKey::parse(ALICE.as_bytes()).unwrap();
        assert_eq!(copy.owner_of(&key).unwrap(), KeyOwner::One(Principal::new("alice").unwrap()));
        assert_eq!(copy.key(&key.sha256()).unwrap(), Some(key));
        assert_eq!(copy.key(&[0; 32]).unwrap(), None);
    }

    #[test]
    fn of_several_owners_the_one_who_is_eligible_has_the_key() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let owner = |people: &[(&str, bool, Option<&str>)]| {
            let people: Vec<Person> = people
                .iter()
                .map(|&(name, eligible, disabled)| Person {
                    eligible,
                    disabled: disabled.map(str::to_string),
                    ..person(name, &[ALICE])
                })
                .collect();
            publish(&path, &people, NOW).unwrap();
            open(&path, NOW).unwrap().owner_of(&PublicKey::parse(ALICE.as_bytes()).unwrap()).unwrap()
        };
        let name = |name: &str| Principal::new(name).unwrap();
        let mallory = ("mallory", false, None);
        assert_eq!(owner(&[mallory]), KeyOwner::One(name("mallory")));
        assert_eq!(owner(&[("zoe", true, None), mallory]), KeyOwner::One(name("zoe")));
        let crowd: Vec<String> = (0..50).map(|number| format!("a{number}")).collect();
        let mut many: Vec<_> = crowd.iter().map(|name| (name.as_str(), false, None)).collect();
        many.push(("zoe", true, None));
        assert_eq!(owner(&many), KeyOwner::One(name("zoe")), "whatever the number of the others");
        let both = KeyOwner::Several(vec![name("alice"), name("zoe")]);
        assert_eq!(owner(&[("alice", true, None), ("zoe", true, None)]), both);
        assert_eq!(owner(&[("alice", false, None), ("zoe", false, None)]), both);
        let all = KeyOwner::Several(vec![name("alice"), name("zoe"), name("mallory")]);
        assert_eq!(owner(&[("alice", true, None), ("zoe", true, None), mallory]), all);
        // Whoever is disabled is nobody any more.
        assert_eq!(owner(&[("alice", true, Some("left")), ("zoe", true, None)]), KeyOwner::One(name("zoe")));
    }

    #[test]
    fn what_was_dropped_is_told_and_belongs_to_the_content() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let rejected = |number| {
            vec![
                Rejected { number, problem: KeyProblem::WeakRsa },
                Rejected { number: 9, problem: KeyProblem::Malformed },
            ]
        };
        let alice = |number| Person { rejected: rejected(number), ..person("alice", &[ALICE]) };
        let told = || open(&path, NOW).unwrap().refused(Some(&Principal::new("alice").unwrap())).unwrap();
        let refused = |number| -> Vec<Refused> {
            let refused = |Rejected { number, problem }| Refused {
                principal: Principal::new("alice").unwrap(),
                which: Which::Value(number),
                problem,
            };
            rejected(number).into_iter().map(refused).collect()
        };
        publish(&path, &[alice(2)], NOW).unwrap();
        assert_eq!(told(), refused(2));
        assert_eq!(publish(&path, &[alice(2)], NOW).unwrap().changed, 0);
        assert_eq!(publish(&path, &[alice(3)], NOW).unwrap().changed, 1);
        assert_eq!(told(), refused(3));
        assert_eq!(open(&path, NOW).unwrap().refused(None).unwrap(), refused(3));
        publish(&path, &[Person { disabled: Some("locked".to_string()), ..alice(3) }], NOW).unwrap();
        assert_eq!(told(), []);
    }

    #[test]
    fn a_weak_key_in_the_copy_of_an_earlier_release_is_nobodys() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let alice = Principal::new("alice").unwrap();
        publish(&path, &[person("alice", &[ALICE]), person("bob", &[BOB])], NOW).unwrap();
        let add = |lines: &[String]| -> Vec<Digest> {
            let mut connection = Connection::open(&path).unwrap();
            let transaction = connection.transaction().unwrap();
            let add = |line: &String| -> Digest {
                let digest =
                    sha2::Sha256::digest(mutate::from_base64(line.split(' ').nth(1).unwrap())).into();
                let row = params!["alice", digest, line];
                transaction.execute("INSERT INTO public_key VALUES (?1, ?2, ?3)", row).unwrap();
                digest
            };
            let digests = lines.iter().map(add).collect();
            transaction.commit().unwrap();
            digests
        };
        let problem = |line: &String| PublicKey::parse(line.as_bytes()).unwrap_err();
        let lines: Vec<String> = made_keys::weak().into_iter().map(|weak| weak.line).collect();
        let lines: Vec<String> = lines.into_iter().filter(|line| problem(line).is_weakness()).collect();
        assert!(lines.len() > 100, "{}", lines.len());
        let weak: Vec<(Digest, KeyProblem)> =
            add(&lines).into_iter().zip(lines.iter().map(problem)).collect();
        let copy = open(&path, NOW).unwrap();
        let good = PublicKey::parse(ALICE.as_bytes()).unwrap();
        assert_eq!(copy.known(&alice).unwrap(), Known::Keys(vec![good.clone()]));
        let people = copy.people().unwrap();
        assert_eq!(people.iter().map(|person| person.keys.len()).collect::<Vec<_>>(), [1, 1]);
        let refused = copy.refused(Some(&alice)).unwrap();
        assert_eq!(copy.refused(None).unwrap(), refused);
        assert_eq!(refused.len(), weak.len());
        for (digest, problem) in weak {
            let (principal, which) = (alice.clone(), Which::Key(digest));
            assert!(refused.contains(&Refused { principal, which, problem }), "{which} {problem}");
            assert_eq!(copy.key(&digest).unwrap(), None, "{which}");
        }
        assert_eq!(copy.key(&good.sha256()).unwrap(), Some(good));
        // What has not the form of a key was never one.
        add(&["ssh-ed25519 AAAA".to_string()]);
        let copy = open(&path, NOW).unwrap();
        assert!(matches!(copy.known(&alice), Err(StoreError::Corrupt(..))));
        assert!(matches!(copy.refused(None), Err(StoreError::Corrupt(..))));
        assert!(copy.people().is_err());
    }

    #[test]
    fn a_reason_of_a_later_release_hides_no_answer() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
        let add = |number: u32, token: &str| {
            let row = params!["alice", number, token];
            Connection::open(&path)
                .unwrap()
                .execute("INSERT INTO rejected VALUES (?1, ?2, ?3)", row)
                .unwrap();
            open(&path, NOW).unwrap().refused(None)
        };
        assert_eq!(
            add(2, "blacklisted-key").unwrap().first().map(|one| one.problem),
            Some(KeyProblem::Other)
        );
        assert!(matches!(add(3, "no token\n"), Err(StoreError::Corrupt(..))));
    }

    #[test]
    fn the_same_people_again_move_the_stamp_and_not_the_file() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
        let before = std::fs::metadata(&path).unwrap().ino();
        let later = NOW.plus(Span::hours(30));
        assert!(matches!(open(&path, later), Err(StoreError::Stale(..))));
        let again = publish(&path, &[person("alice", &[ALICE])], later).unwrap();
        assert_eq!(again, Effect { before: 1, people: 1, eligible_before: 1, ..Effect::default() });
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
        assert_eq!(open(&path, later).unwrap().synced(), later);
        let removed = publish(&path, &[], later).unwrap();
        let gone = Effect { before: 1, removed: 1, lost: 1, ..Effect::default() };
        assert_eq!(removed, Effect { deprived: 1, eligible_before: 1, ..gone });
    }

    #[test]
    fn a_stamp_counts_only_for_the_content_it_names() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
        let later = NOW.plus(Span::hours(30));
        std::fs::write(stamp_path(&path), format!("0000 {}\n", later.unix())).unwrap();
        assert!(matches!(open(&path, later), Err(StoreError::Stale(..))));
    }

    #[test]
    fn what_is_proven_of_the_time_is_judged_before_what_the_copy_says() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
        let at = |seconds| NOW.plus(Span::seconds(seconds));
        let prove = |instant, copy| {
            let proven = Proven::seen(at(instant), None, clock::uptime(), at(copy));
            crate::prove(&path, 0o640, &proven).unwrap();
        };
        let age =
            |seconds| open(&path, at(seconds)).map(|copy| at(seconds).since(copy.synced()).as_seconds());
        let is_behind = |seconds| matches!(age(seconds), Err(StoreError::ClockBehind(..)));
        // The clock was set back by two days after it, when the copy was too old already.
        prove(2 * 86_400, 0);
        assert!(is_behind(60) && matches!(age(2 * 86_400), Err(StoreError::Stale(..))));
        // It was ahead by an hour when the copy was made.
        prove(-3600, 0);
        assert_eq!(age(-3000).unwrap(), 600);
        assert!(is_behind(-3730) && matches!(age(-3600 + 86_400 + 1), Ok(82_801)));
        // The sync of an earlier release leaves what is proven as it is.
        prove(-3600, -9000);
        assert!(is_behind(-3000) && age(0).unwrap() == 0);
    }

    #[test]
    fn age_future_and_origin_are_judged() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
        assert!(open(&path, NOW.plus(Span::hours(24))).is_ok());
        assert!(matches!(open(&path, NOW.plus(Span::seconds(86_401))), Err(StoreError::Stale(..))));
        assert!(open(&path, NOW.minus(Span::seconds(120))).is_ok());
        assert!(matches!(open(&path, NOW.minus(Span::seconds(121))), Err(StoreError::ClockBehind(..))));
        let other = KeyCopy::open(&path, "another", Span::hours(24), NOW);
        assert!(matches!(other, Err(StoreError::OtherDirectory(_))));
    }

    #[test]
    fn a15_whoever_is_disabled_or_expired_is_known_and_has_no_keys() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let locked = Person { disabled: Some("nsAccountLock".to_string()), ..person("alice", &[ALICE]) };
        let ending =
            Person { expires: Some(NOW.plus(Span::hours(1))), eligible: true, ..person("bob", &[BOB]) };
        publish(&path, &[locked, ending], NOW).unwrap();
        let seen = |name: &str, key: &str, now: Timestamp| {
            let (copy, name) = (open(&path, now).unwrap(), Principal::new(name).unwrap());
            let owner = copy.owner_of(&PublicKey::parse(key.as_bytes()).unwrap()).unwrap();
            let eligible =
                copy.people().unwrap().iter().any(|person| person.principal == name && person.eligible);
            let keys = copy.keys_of(&name).unwrap().unwrap().len();
            (keys, owner != KeyOwner::Nobody, eligible, copy.known(&name).unwrap() == Known::Disabled)
        };
        assert_eq!(seen("alice", ALICE, NOW), (0, false, false, true));
        assert_eq!(seen("bob", BOB, NOW.plus(Span::seconds(3599))), (1, true, true, false));
        assert_eq!(seen("bob", BOB, NOW.plus(Span::hours(1))), (0, false, false, true));
    }

    #[test]
    fn a15_an_account_has_keys_from_its_beginning_to_its_end_and_an_older_reader_sees_it_closed() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let alice = Person {
            begins: Some(NOW.plus(Span::hours(1))),
            expires: Some(NOW.plus(Span::hours(2))),
            rejected: vec![Rejected { number: 2, problem: KeyProblem::Malformed }],
            ..person("alice", &[ALICE])
        };
        publish(&path, std::slice::from_ref(&alice), NOW).unwrap();
        let key = PublicKey::parse(ALICE.as_bytes()).unwrap();
        for (seconds, open) in [(0, false), (3599, false), (3600, true), (7199, true), (7200, false)] {
            let now = NOW.plus(Span::seconds(seconds));
            let copy = open_at(&path, now);
            let name = Principal::new("alice").unwrap();
            assert_eq!(copy.known(&name).unwrap() == Known::Keys(vec![key.clone()]), open, "{seconds}");
            assert_eq!(copy.is_eligible(&name).unwrap(), open, "{seconds}");
            assert_eq!(copy.owner_of(&key).unwrap() != KeyOwner::Nobody, open, "{seconds}");
            assert_eq!(copy.key(&key.sha256()).unwrap().is_some(), open, "{seconds}");
            assert_eq!(copy.refused(Some(&name)).unwrap().len(), usize::from(open), "{seconds}");
            let people = copy.people().unwrap();
            assert_eq!((people[0].disabled.is_none(), people[0].eligible), (open, open), "{seconds}");
            assert_eq!(people[0].changes(now).is_some(), seconds < 7200 && people[0].disabled.is_none());
        }
        assert_eq!(alice.changes(NOW), alice.begins);
        let stored: String = Connection::open(&path)
            .unwrap()
            .query_row("SELECT disabled FROM person", [], |row| row.get(0))
            .unwrap();
        assert_eq!(stored, "not before 1795168800", "to a reader before this one, a reason");
        assert_eq!(publish(&path, &[alice], NOW).unwrap().changed, 0);
    }

    fn open_at(path: &Path, now: Timestamp) -> KeyCopy {
        open(path, now).unwrap()
    }

    #[test]
    fn a_failed_publication_leaves_the_old_copy() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, &[person("alice", &[ALICE])], NOW).unwrap();
        let before = std::fs::read(&path).unwrap();
        // The same name twice breaks the primary key half-way through the new file.
        let other = Person { id: "other".to_string(), ..person("alice", &[BOB]) };
        for twice in [person("alice", &[BOB]), other] {
            let people = [person("alice", &[ALICE]), twice];
            assert!(matches!(publish(&path, &people, NOW), Err(StoreError::Write(..))));
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "keys.db and keys.stamp");
    }
}
