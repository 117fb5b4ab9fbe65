//! keys.db: people, their mail addresses, their keys, and whether they may ever become root.
//!
//! `authkeys-sync` writes it, `authkeys` prints keys from it, `oncall-cache sync` maps provider
//! users through it, and `pam_oncall.so` asks it one question: whose key is this. keys.stamp beside
//! it says when it was last found to be up to date, so that the large file is written only when its
//! content changes; a stamp counts only for the content that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use policy::{Principal, Rules, Span, Timestamp};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use trust::Owner;

use crate::publish::replace;
use crate::schema::Schema;
use crate::{PublicKey, StoreError};

const SCHEMA: Schema = Schema {
    application: 0x414b_6b79, // "AKky"
    version: 1,
    statements: &[
        "CREATE TABLE meta (scope TEXT NOT NULL, generation TEXT NOT NULL, synced INTEGER NOT NULL)",
        "CREATE TABLE person (principal TEXT PRIMARY KEY NOT NULL, id TEXT NOT NULL, eligible INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE mail (principal TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (principal, address)) WITHOUT ROWID",
        "CREATE TABLE public_key (principal TEXT NOT NULL, fingerprint BLOB NOT NULL, line TEXT NOT NULL, PRIMARY KEY (principal, fingerprint)) WITHOUT ROWID",
        "CREATE INDEX public_key_owner ON public_key (fingerprint)",
    ],
};

/// The most keys of one person that are printed.
pub const MOST_KEYS: usize = 64;

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
    /// May they ever become root?
    pub eligible: bool,
}

/// Who has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOwner {
    /// Nobody in the directory.
    Nobody,
    /// This person.
    One(Principal),
    /// More than one person, which is as good as nobody.
    Several,
}

/// What a sync did to the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// People who were not there before, or are different now.
    pub changed: usize,
    /// People who are gone.
    pub removed: usize,
    /// People in all.
    pub people: usize,
}

/// The copy, open for reading.
#[derive(Debug)]
pub struct KeyCopy {
    path: PathBuf,
    connection: Connection,
    scope: String,
    generation: String,
    synced: Timestamp,
}

/// Where the stamp of the copy at `path` is.
fn stamp_path(path: &Path) -> PathBuf {
    path.with_extension("stamp")
}

impl KeyCopy {
    /// Opens the copy at `path`, made from the directory `scope`, if it may be believed at `now`: no older
    /// than `stale_for`, and not from the future.
    pub fn open(path: &Path, scope: &str, stale_for: Span, now: Timestamp) -> Result<Self, StoreError> {
        let copy = Self::open_any(path)?;
        if copy.scope != scope {
            return Err(StoreError::OtherDirectory(path.to_path_buf()));
        }
        if now.plus(Rules::SKEW) < copy.synced {
            return Err(StoreError::Future(path.to_path_buf(), copy.synced.since(now)));
        }
        let age = now.since(copy.synced);
        if age > stale_for {
            return Err(StoreError::Stale(path.to_path_buf(), age, stale_for));
        }
        Ok(copy)
    }

    /// Opens the copy whatever its age and origin: for the sync that replaces it.
    fn open_any(path: &Path) -> Result<Self, StoreError> {
        let connection = SCHEMA.open(path)?;
        let (scope, generation, synced) = connection
            .query_row("SELECT scope, generation, synced FROM meta", [], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?))
            })
            .map_err(|error| StoreError::corrupt(path, error))?;
        let synced = match read_stamp(&stamp_path(path))? {
            Some((of, at)) if of == generation => at.max(Timestamp::from_unix(synced)),
            _ => Timestamp::from_unix(synced),
        };
        Ok(Self { path: path.to_path_buf(), connection, scope, generation, synced })
    }

    /// The last sync that found the copy to be up to date.
    pub fn synced(&self) -> Timestamp {
        self.synced
    }

    fn corrupt(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::corrupt(&self.path, what)
    }

    /// The keys of `principal`; `None` if the directory has no such person.
    pub fn keys_of(&self, principal: &Principal) -> Result<Option<Vec<PublicKey>>, StoreError> {
        let mut known = self
            .connection
            .prepare("SELECT 1 FROM person WHERE principal = ?1")
            .map_err(|error| self.corrupt(error))?;
        if !known.exists(params![principal.as_str()]).map_err(|error| self.corrupt(error))? {
            return Ok(None);
        }
        let mut query = self
            .connection
            .prepare("SELECT line FROM public_key WHERE principal = ?1")
            .map_err(|error| self.corrupt(error))?;
        let lines = query
            .query_map(params![principal.as_str()], |row| row.get::<_, String>(0))
            .map_err(|error| self.corrupt(error))?;
        lines
            .map(|line| {
                let line = line.map_err(|error| self.corrupt(error))?;
                PublicKey::parse(line.as_bytes()).map_err(|problem| self.corrupt(problem))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }

    /// Whose key this is.
    pub fn owner_of(&self, key: &PublicKey) -> Result<KeyOwner, StoreError> {
        let mut query = self
            .connection
            .prepare("SELECT principal, line FROM public_key WHERE fingerprint = ?1 LIMIT 2")
            .map_err(|error| self.corrupt(error))?;
        let rows = query
            .query_map(params![key.digest()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
            .map_err(|error| self.corrupt(error))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.corrupt(error))?;
        match rows.as_slice() {
            [] => Ok(KeyOwner::Nobody),
            [(principal, line)] if *line == key.line() => {
                Principal::new(principal).map(KeyOwner::One).map_err(|error| self.corrupt(error))
            }
            [_] => Err(self.corrupt("a fingerprint that is not its key's")),
            _ => Ok(KeyOwner::Several),
        }
    }

    /// Everyone, in order of name.
    pub fn people(&self) -> Result<Vec<Person>, StoreError> {
        self.read_people().map_err(|error| self.corrupt(error))
    }

    fn read_people(&self) -> Result<Vec<Person>, Box<dyn std::error::Error>> {
        let mut people = BTreeMap::new();
        let mut query = self.connection.prepare("SELECT principal, id, eligible FROM person")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let principal = Principal::new(&row.get::<_, String>(0)?)?;
            let person = Person {
                principal: principal.clone(),
                id: row.get(1)?,
                mails: Vec::new(),
                keys: Vec::new(),
                eligible: flag(row.get(2)?)?,
            };
            people.insert(principal.as_str().to_string(), person);
        }
        let mut query = self.connection.prepare("SELECT principal, address FROM mail")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let person = people.get_mut(&row.get::<_, String>(0)?).ok_or("a mail address of nobody")?;
            person.mails.push(row.get(1)?);
        }
        let mut query = self.connection.prepare("SELECT principal, line FROM public_key")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let person = people.get_mut(&row.get::<_, String>(0)?).ok_or("a key of nobody")?;
            let line: String = row.get(1)?;
            person.keys.push(PublicKey::parse(line.as_bytes()).map_err(|problem| problem.to_string())?);
        }
        Ok(people.into_values().collect())
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

/// Makes `people` the content of the copy at `path`. Where they are what the copy holds already, only its
/// stamp is written anew.
pub fn publish(path: &Path, scope: &str, people: &[Person], now: Timestamp) -> Result<Published, StoreError> {
    let mut people = people.to_vec();
    people.sort_by(|left, right| left.principal.as_str().cmp(right.principal.as_str()));
    for person in &mut people {
        person.mails.sort();
        person.mails.dedup();
        person.keys.sort_by_key(PublicKey::digest);
        person.keys.dedup();
    }
    let generation = generation(scope, &people);
    let old = KeyCopy::open_any(path).and_then(|copy| Ok((copy.people()?, copy.generation)));
    let published = match &old {
        Ok((before, _)) => difference(before, &people),
        Err(_) => Published { changed: people.len(), removed: 0, people: people.len() },
    };
    if !old.is_ok_and(|(_, before)| before == generation) {
        replace(path, 0o640, |temporary| {
            write(temporary, scope, &generation, &people, now).map_err(|error| error.to_string())
        })?;
    }
    replace(&stamp_path(path), 0o640, |temporary| {
        std::fs::write(temporary, format!("{generation} {}\n", now.unix())).map_err(|error| error.to_string())
    })?;
    Ok(published)
}

fn difference(before: &[Person], after: &[Person]) -> Published {
    let old: BTreeMap<_, _> = before.iter().map(|person| (person.principal.as_str(), person)).collect();
    let kept: BTreeSet<_> = after.iter().map(|person| person.principal.as_str()).collect();
    Published {
        changed: after.iter().filter(|person| old.get(person.principal.as_str()) != Some(person)).count(),
        removed: old.keys().filter(|name| !kept.contains(*name)).count(),
        people: after.len(),
    }
}

/// A digest of all that readers see: equal for equal content, whenever it was fetched.
fn generation(scope: &str, people: &[Person]) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    };
    add(scope);
    for person in people {
        add(person.principal.as_str());
        add(&person.id);
        add(if person.eligible { "eligible" } else { "" });
        person.mails.iter().for_each(|mail| add(mail));
        add("keys");
        person.keys.iter().for_each(|key| add(&key.line()));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(
    path: &Path,
    scope: &str,
    generation: &str,
    people: &[Person],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut connection = SCHEMA.create(path)?;
    let transaction = connection.transaction()?;
    transaction.execute("INSERT INTO meta VALUES (?1, ?2, ?3)", params![scope, generation, now.unix()])?;
    {
        let mut person_row = transaction.prepare("INSERT INTO person VALUES (?1, ?2, ?3)")?;
        let mut mail_row = transaction.prepare("INSERT INTO mail VALUES (?1, ?2)")?;
        let mut key_row = transaction.prepare("INSERT INTO public_key VALUES (?1, ?2, ?3)")?;
        for person in people {
            let principal = person.principal.as_str();
            person_row.execute(params![principal, person.id, i64::from(person.eligible)])?;
            for mail in &person.mails {
                mail_row.execute(params![principal, mail])?;
            }
            for key in &person.keys {
                key_row.execute(params![principal, key.digest(), key.line()])?;
            }
        }
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// `GENERATION SECONDS`; `None` if there is no stamp.
fn read_stamp(path: &Path) -> Result<Option<(String, Timestamp)>, StoreError> {
    let content = match trust::read(path, Owner::Service, 256) {
        Ok(content) => content,
        Err(refusal) if refusal.is_missing() => return Ok(None),
        Err(refusal) => return Err(StoreError::Untrusted(refusal)),
    };
    let parsed = std::str::from_utf8(&content).ok().and_then(|text| {
        let (generation, seconds) = text.strip_suffix('\n')?.split_once(' ')?;
        Some((generation.to_string(), Timestamp::from_unix(seconds.parse().ok()?)))
    });
    parsed.map(Some).ok_or_else(|| StoreError::corrupt(path, "not a stamp"))
}

#[cfg(test)]
mod tests {
    use super::*;
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
            eligible: name == "alice",
        }
    }

    fn open(path: &Path, now: Timestamp) -> Result<KeyCopy, StoreError> {
        KeyCopy::open(path, "test", Span::hours(24), now)
    }

    #[test]
    fn what_was_published_is_read_back() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let people = [person("alice", &[ALICE, BOB]), person("bob", &[BOB]), person("zoe", &[])];
        assert_eq!(
            publish(&path, "test", &people, NOW).unwrap(),
            Published { changed: 3, removed: 0, people: 3 }
        );
        let copy = open(&path, NOW).unwrap();
        assert_eq!(
            copy.people().unwrap().iter().map(|p| p.principal.as_str()).collect::<Vec<_>>(),
            ["alice", "bob", "zoe"]
        );
        let keys = |name| copy.keys_of(&Principal::new(name).unwrap()).unwrap().map(|keys| keys.len());
        assert_eq!([keys("alice"), keys("zoe"), keys("nobody")], [Some(2), Some(0), None]);
        let owner = |key: &str| copy.owner_of(&PublicKey::parse(key.as_bytes()).unwrap()).unwrap();
        assert_eq!(owner(ALICE), KeyOwner::One(Principal::new("alice").unwrap()));
        assert_eq!(owner(BOB), KeyOwner::Several);
    }

    #[test]
    fn the_same_people_again_move_the_stamp_and_not_the_file() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, "test", &[person("alice", &[ALICE])], NOW).unwrap();
        let before = std::fs::metadata(&path).unwrap().ino();
        let later = NOW.plus(Span::hours(30));
        assert!(matches!(open(&path, later), Err(StoreError::Stale(..))));
        let again = publish(&path, "test", &[person("alice", &[ALICE])], later).unwrap();
        assert_eq!(again, Published { changed: 0, removed: 0, people: 1 });
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
        assert_eq!(open(&path, later).unwrap().synced(), later);
        let removed = publish(&path, "test", &[], later).unwrap();
        assert_eq!(removed, Published { changed: 0, removed: 1, people: 0 });
    }

    #[test]
    fn a_stamp_counts_only_for_the_content_it_names() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, "test", &[person("alice", &[ALICE])], NOW).unwrap();
        let later = NOW.plus(Span::hours(30));
        std::fs::write(stamp_path(&path), format!("0000 {}\n", later.unix())).unwrap();
        assert!(matches!(open(&path, later), Err(StoreError::Stale(..))));
    }

    #[test]
    fn age_future_and_origin_are_judged() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, "test", &[person("alice", &[ALICE])], NOW).unwrap();
        assert!(open(&path, NOW.plus(Span::hours(24))).is_ok());
        assert!(matches!(open(&path, NOW.plus(Span::seconds(86_401))), Err(StoreError::Stale(..))));
        assert!(open(&path, NOW.minus(Span::seconds(120))).is_ok());
        assert!(matches!(open(&path, NOW.minus(Span::seconds(121))), Err(StoreError::Future(..))));
        let other = KeyCopy::open(&path, "another", Span::hours(24), NOW);
        assert!(matches!(other, Err(StoreError::OtherDirectory(_))));
    }

    #[test]
    fn a_failed_publication_leaves_the_old_copy() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        publish(&path, "test", &[person("alice", &[ALICE])], NOW).unwrap();
        let before = std::fs::read(&path).unwrap();
        // The same name twice breaks the primary key half-way through the new file.
        let twice = [person("alice", &[ALICE]), person("alice", &[BOB])];
        assert!(matches!(publish(&path, "test", &twice, NOW), Err(StoreError::Write(..))));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "keys.db and keys.stamp");
    }
}
