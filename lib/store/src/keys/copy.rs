//! The copy, open for reading.
//!
//! sshd waits for the rows of one person twice or more at each login, and its PAM module for the owner of one key: both are
//! found by their key, and nothing else of the file is read. All of it is read without SQLite (see `pages`), so that none
//! of that runs in a login, on a file that a service wrote.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use policy::{Digest, Principal, Rules, Span, Timestamp};
use trust::Directory;

use super::{Contact, SCHEMA, closed, flag, is_open, read_stamp, stamp_path, standing, unless_weak};
use crate::lookups::Known;
use crate::pages::{Damaged, Row, Tables};
use crate::schema::judged;
use crate::{PublicKey, StoreError};

/// The most that is read of one person's keys, in bytes; many more than are printed.
pub(super) const MOST_OF_ONE: usize = 16 * 1024 * 1024;

/// The most that is read of everybody, in bytes; that is for the syncs, of which no login waits.
const MOST_OF_ALL: usize = 256 * 1024 * 1024;

/// What a row costs beside its texts, in bytes.
pub(super) const ROW_BYTES: usize = 128;

/// The most people whose names are read alone.
const MOST_NAMES: usize = 400_000;

pub(super) const TOO_MUCH: &str = "it is larger than a copy may be";

/// The most owners of one key that are named.
const MOST_OWNERS: usize = 8;

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

impl KeyOwner {
    /// The one of these who has it; each with whether they are eligible.
    fn among(people: Vec<(Principal, bool)>) -> Self {
        let eligible: Vec<&Principal> =
            people.iter().filter(|(_, eligible)| *eligible).map(|(person, _)| person).collect();
        match (eligible.as_slice(), people.as_slice()) {
            (_, []) => Self::Nobody,
            (&[one], _) | (_, [(one, _)]) => Self::One(one.clone()),
            _ => Self::Several(people.into_iter().take(MOST_OWNERS).map(|(person, _)| person).collect()),
        }
    }
}

/// The copy, open for reading.
#[derive(Debug)]
pub struct KeyCopy {
    path: PathBuf,
    /// Where it is, with what belongs to it.
    directory: Directory,
    pub(super) tables: Tables,
    scope: String,
    generation: String,
    synced: Timestamp,
    now: Timestamp,
}

/// A row of `person`: principal, id, eligible, disabled, expires.
pub(super) struct PersonRow<'r, 'p>(pub &'r Row<'p>);

impl<'p> PersonRow<'_, 'p> {
    pub const COLUMNS: usize = 5;

    pub fn name(&self) -> Result<&'p str, Damaged> {
        self.0.text(0)
    }

    pub fn is_eligible(&self) -> Result<bool, Damaged> {
        Ok(flag(self.0.integer(2)?)?)
    }

    pub fn disabled(&self) -> Result<Option<&'p str>, Damaged> {
        self.0.text_or_null(3)
    }

    pub fn expires(&self) -> Result<Option<i64>, Damaged> {
        self.0.integer_or_null(4)
    }

    fn is_open(&self, now: Timestamp) -> Result<bool, Damaged> {
        Ok(is_open(self.disabled()?, self.expires()?, now))
    }
}

/// A row of `public_key`: principal, fingerprint, line.
pub(super) struct KeyRow<'r, 'p>(pub &'r Row<'p>);

impl<'p> KeyRow<'_, 'p> {
    pub const COLUMNS: usize = 3;

    pub fn owner(&self) -> Result<&'p str, Damaged> {
        self.0.text(0)
    }

    pub fn fingerprint(&self) -> Result<&'p [u8], Damaged> {
        self.0.blob(1)
    }

    pub fn line(&self) -> Result<&'p str, Damaged> {
        self.0.text(2)
    }

    /// The line, which has the form of a key with this fingerprint.
    pub fn checked_line(&self) -> Result<&'p str, Damaged> {
        let line = self.line()?;
        let digest = key::digest_of(line).ok_or("a key in the wrong form")?;
        if self.fingerprint()? == digest { Ok(line) } else { Err(MISMATCH.into()) }
    }
}

const MISMATCH: &str = "a fingerprint that does not match its key";

/// Where a row is whose first column is a name, to those of `principal`.
pub(super) fn of(principal: &str) -> impl Fn(&Row<'_>) -> Result<Ordering, Damaged> {
    move |row| Ok(row.text(0)?.cmp(principal))
}

impl KeyCopy {
    /// Opens the copy at `path`, made from the directory `scope`, if it may be trusted at `now`: no older
    /// than `max_age`, and by a clock that is not behind what was proven of the time.
    pub fn open(path: &Path, scope: &str, max_age: Span, now: Timestamp) -> Result<Self, StoreError> {
        let mut copy = Self::open_any(path, now)?;
        if copy.scope != scope {
            return Err(StoreError::OtherDirectory(path.into()));
        }
        let proven = clock::proven_in(&copy.directory, path);
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

    /// As [`KeyCopy::open`], whatever its age, and by whatever clock: what such a copy says against somebody may count where
    /// nothing does that it says for anybody.
    ///
    /// # Errors
    /// There is none of this directory that can be read.
    pub fn of_any_age(path: &Path, scope: &str, now: Timestamp) -> Result<Self, StoreError> {
        let copy = Self::open_any(path, now)?;
        if copy.scope == scope { Ok(copy) } else { Err(StoreError::OtherDirectory(path.into())) }
    }

    /// Opens the copy whatever its age and origin.
    fn open_any(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let copy = Self::open_alone(path, now)?;
        // The stamp is the later word, also where it is the earlier instant: a clock that was ahead when
        // the file was written is healed by the next good sync.
        let stamp = read_stamp(&copy.directory, &stamp_path(path))?;
        let stamp = stamp.filter(|stamp| stamp.generation == copy.generation);
        Ok(Self { synced: stamp.map_or(copy.synced, |stamp| stamp.synced), ..copy })
    }

    /// As [`KeyCopy::open_any`], without its stamp.
    pub(super) fn open_alone(path: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let directory = judged(path)?;
        let tables = SCHEMA.open_tables(&directory, path)?;
        let mut meta = None;
        // scope, generation, synced, people
        let read = tables.rows("meta", 4, |row| {
            meta = Some((row.text(0)?.to_string(), row.text(1)?.to_string(), row.integer(2)?));
            Ok(())
        });
        read.map_err(|error| StoreError::reading(path, error))?;
        let meta = meta.ok_or_else(|| StoreError::corrupt(path, "it does not say what it is a copy of"));
        let (scope, generation, synced) = meta?;
        let synced = Timestamp::from_unix(synced);
        Ok(Self { path: path.to_path_buf(), directory, tables, scope, generation, synced, now })
    }

    /// The last sync that found the copy to be up to date.
    pub fn synced(&self) -> Timestamp {
        self.synced
    }

    pub(super) fn damaged(&self, error: Damaged) -> StoreError {
        StoreError::reading(&self.path, error)
    }

    /// What `take` reads of the row of `principal`; none, if there is no such person.
    fn person<T>(
        &self,
        principal: &str,
        take: impl Fn(PersonRow<'_, '_>) -> Result<T, Damaged>,
    ) -> Result<Option<T>, Damaged> {
        let mut taken = None;
        self.tables.range("person", PersonRow::COLUMNS, of(principal), |row| {
            taken = Some(take(PersonRow(row))?);
            Ok(())
        })?;
        Ok(taken)
    }

    /// Has `principal` an account that is open now? A name that nobody has, has none.
    pub(super) fn is_open(&self, principal: &str) -> Result<bool, Damaged> {
        self.person(principal, |row| row.is_open(self.now)).map(Option::unwrap_or_default)
    }

    /// What is known of `principal`.
    pub fn known(&self, principal: &Principal) -> Result<Known, StoreError> {
        self.read_known(principal.as_str()).map_err(|error| self.damaged(error))
    }

    fn read_known(&self, principal: &str) -> Result<Known, Damaged> {
        match self.person(principal, |row| row.is_open(self.now))? {
            None => return Ok(Known::Absent),
            Some(false) => return Ok(Known::Disabled),
            Some(true) => {}
        }
        let (mut keys, mut room) = (Vec::new(), MOST_OF_ONE);
        self.tables.range("public_key", KeyRow::COLUMNS, of(principal), |row| {
            let line = KeyRow(row).line()?;
            room = room.checked_sub(line.len() + ROW_BYTES).ok_or(TOO_MUCH)?;
            keys.extend(unless_weak(line).map_err(|problem| problem.to_string())?);
            Ok(())
        })?;
        Ok(Known::Keys(keys))
    }

    /// The keys of `principal`; `None` if the directory has no such person.
    pub fn keys_of(&self, principal: &Principal) -> Result<Option<Vec<PublicKey>>, StoreError> {
        Ok(match self.known(principal)? {
            Known::Keys(keys) => Some(keys),
            Known::Disabled => Some(Vec::new()),
            Known::Absent => None,
        })
    }

    /// Gives to `each` whoever has a key with this fingerprint and an account that is open, in order of name, and
    /// whether they are eligible.
    fn holders(
        &self,
        digest: &Digest,
        mut each: impl FnMut(&str, bool) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let place = |row: &Row<'_>| Ok(row.blob(0)?.cmp(digest));
        self.tables.range("public_key_owner", 2, place, |row| {
            let owner = row.text(1)?;
            match self.person(owner, |row| Ok((row.is_open(self.now)?, row.is_eligible()?)))? {
                Some((true, eligible)) => each(owner, eligible),
                _ => Ok(()),
            }
        })
    }

    /// The key of `owner` that has this fingerprint.
    fn line(&self, owner: &str, digest: &Digest) -> Result<String, Damaged> {
        let mut line = None;
        let place = |row: &Row<'_>| {
            let row = KeyRow(row);
            Ok(row.owner()?.cmp(owner).then(row.fingerprint()?.cmp(digest)))
        };
        self.tables.range("public_key", KeyRow::COLUMNS, place, |row| {
            line = Some(KeyRow(row).line()?.to_string());
            Ok(())
        })?;
        line.ok_or_else(|| "an owner of a key that is not there".into())
    }

    /// The key with this fingerprint that anybody has whose account is not disabled.
    pub fn key(&self, digest: &Digest) -> Result<Option<PublicKey>, StoreError> {
        self.read_key(digest).map_err(|error| self.damaged(error))
    }

    fn read_key(&self, digest: &Digest) -> Result<Option<PublicKey>, Damaged> {
        let mut first = None;
        self.holders(digest, |owner, _| {
            first.get_or_insert_with(|| owner.to_string());
            Ok(())
        })?;
        let Some(owner) = first else { return Ok(None) };
        match unless_weak(&self.line(&owner, digest)?) {
            Ok(None) => Ok(None),
            Ok(Some(key)) if key.sha256() == *digest => Ok(Some(key)),
            _ => Err(MISMATCH.into()),
        }
    }

    /// May `principal` ever become root, by what the copy says now?
    pub fn is_eligible(&self, principal: &Principal) -> Result<bool, StoreError> {
        let eligible =
            self.person(principal.as_str(), |row| Ok(row.is_eligible()? && row.is_open(self.now)?));
        eligible.map(Option::unwrap_or_default).map_err(|error| self.damaged(error))
    }

    /// Whose key this is. Anybody may list a key in their own entry, so a person who cannot become root takes it from
    /// nobody who can: of several, the one who is eligible has it.
    pub fn owner_of(&self, key: &PublicKey) -> Result<KeyOwner, StoreError> {
        self.owners(key).map(KeyOwner::among).map_err(|error| self.damaged(error))
    }

    /// Whose something is that names these `people`, as a certificate does: by the same rule as a key. Who is not in the
    /// directory, or is disabled there, is nobody.
    pub fn one_of(&self, people: &[Principal]) -> Result<KeyOwner, StoreError> {
        let open = |row: PersonRow<'_, '_>| Ok((row.is_open(self.now)?, row.is_eligible()?));
        let mut known = Vec::new();
        for person in people {
            let found = self.person(person.as_str(), open).map_err(|error| self.damaged(error))?;
            known.extend(
                found.filter(|(is_open, _)| *is_open).map(|(_, eligible)| (person.clone(), eligible)),
            );
        }
        Ok(KeyOwner::among(known))
    }

    /// Everybody who has the key and is not disabled, who may become root first; not all if they are very many.
    pub fn people_with(&self, key: &PublicKey) -> Result<Vec<Principal>, StoreError> {
        let owners = self.owners(key).map_err(|error| self.damaged(error))?;
        Ok(owners.into_iter().map(|(person, _)| person).collect())
    }

    /// Those who have the key and are not disabled, and whether they are eligible; these first, and not all if
    /// they are very many.
    pub(super) fn owners(&self, key: &PublicKey) -> Result<Vec<(Principal, bool)>, Damaged> {
        let (digest, mut owners, mut others) = (key.sha256(), Vec::new(), Vec::new());
        self.holders(&digest, |owner, eligible| {
            let few = if eligible { &mut owners } else { &mut others };
            if few.len() < MOST_OWNERS {
                few.push((Principal::new(owner)?, eligible));
            }
            Ok(())
        })?;
        owners.append(&mut others);
        owners.truncate(MOST_OWNERS);
        for (owner, _) in &owners {
            if self.line(owner.as_str(), &digest)? != key.line() {
                return Err(MISMATCH.into());
            }
        }
        Ok(owners)
    }

    /// The names of everyone.
    pub fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut names = BTreeSet::new();
        let read = self.tables.rows("person", PersonRow::COLUMNS, |row| {
            let name = PersonRow(row).name()?;
            Principal::check(name)?;
            names.insert(name.to_string());
            if names.len() < MOST_NAMES { Ok(()) } else { Err(TOO_MUCH.into()) }
        });
        read.map(|()| names).map_err(|error| self.damaged(error))
    }

    /// Everyone as those who map users to people need them, in order of name. Their keys are not looked at: to judge
    /// all of them takes most of a sync.
    pub fn contacts(&self) -> Result<Vec<Contact>, StoreError> {
        self.read_contacts().map_err(|error| self.damaged(error))
    }

    /// Can all of it be read by readers of a part? A damaged row shuts its owner out.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.contacts()?;
        let keys =
            self.tables.rows("public_key", KeyRow::COLUMNS, |row| KeyRow(row).checked_line().map(drop));
        keys.map_err(|error| self.damaged(error))
    }

    fn read_contacts(&self) -> Result<Vec<Contact>, Damaged> {
        let (mut people, mut room) = (Vec::new(), MOST_OF_ALL);
        let mut take = |bytes: usize| {
            room = room.checked_sub(bytes + ROW_BYTES).ok_or(TOO_MUCH)?;
            Ok::<(), &str>(())
        };
        self.tables.rows("person", PersonRow::COLUMNS, |row| {
            let row = PersonRow(row);
            let principal = Principal::new(row.name()?)?;
            take(size_of::<Contact>() + principal.as_str().len())?;
            let (disabled, begins) = standing(row.disabled()?);
            let expires = row.expires()?.map(Timestamp::from_unix);
            let disabled = closed(disabled.map(str::to_string), begins, expires, self.now);
            let eligible = row.is_eligible()? && disabled.is_none();
            people.push(Contact { principal, mails: Vec::new(), eligible, disabled });
            Ok(())
        })?;
        // Both in one order: of each address the owner is the next person who is not before it.
        let mut left = people.as_mut_slice().iter_mut().peekable();
        self.tables.rows("mail", 2, |row| {
            let (owner, mail) = (row.text(0)?, row.text(1)?);
            take(mail.len())?;
            while left.next_if(|person: &&mut Contact| person.principal.as_str() < owner).is_some() {}
            let owner = left.peek_mut().filter(|person| person.principal.as_str() == owner);
            let mails = &mut owner.ok_or("a mail address without a person")?.mails;
            // Nearly everybody has one.
            mails.reserve_exact(1);
            mails.push(mail.to_string());
            Ok(())
        })?;
        Ok(people)
    }
}
