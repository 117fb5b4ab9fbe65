//! Writing keys.db: whole, or by changing a few rows in a copy of it.
//!
//! Used by `authkeys-sync` alone. The published file is never changed in place: a change goes into a
//! copy that is renamed over it. Each entry of the directory stands in the file with a digest of what
//! is published of it, so that what changed is known without reading everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use policy::{Principal, Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, Statement, Transaction, params};
use sha2::{Digest, Sha256};
use trust::Owner;

use super::{OPEN, Person, SCHEMA, flag, read_stamp, stamp_path};
use crate::publish::replace;
use crate::{PublicKey, Rejected, StoreError};

/// Up to this many changes, or an eighth of all entries, a copy is changed; above, it is written anew.
const FEW: usize = 64;

/// The longest note for the next sync; a longer one is not kept.
const LONGEST_RESUME: usize = 4096;

/// One entry of the directory, and the person who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What stays the same when the entry is renamed.
    pub id: String,
    /// Where it stands in the directory.
    pub dn: String,
    /// The user names it claims, also if none of them is believed.
    pub names: Vec<String>,
    /// The person; `None` if it is nobody.
    pub person: Option<Person>,
    digest: [u8; 32],
    differs: bool,
}

impl Record {
    /// The entry `id` at `dn`, which claims `names` and is `person`.
    pub fn new(id: String, dn: String, names: Vec<String>, person: Option<Person>) -> Self {
        Self { id, dn, names, person, digest: [0; 32], differs: true }
    }

    /// Makes it ready to be compared and written.
    fn prepare(&mut self) {
        self.sort();
        self.digest = self.digest();
    }

    /// The claims that are stored as such: a person's own name says itself that it is claimed.
    fn stored_claims(&self) -> &[String] {
        if self.person.is_some() { &[] } else { &self.names }
    }

    /// In the order in which the copy is read back.
    fn sort(&mut self) {
        self.names.sort();
        self.names.dedup();
        if let Some(person) = &mut self.person {
            person.mails.sort();
            person.mails.dedup();
            person.keys.sort_by_cached_key(PublicKey::digest);
            person.keys.dedup();
            person.rejected.sort();
        }
    }

    /// A digest of all that is stored of it but whether it is eligible, which may change by itself.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut add = |text: &str| {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        add(&self.dn);
        add(&self.names.len().to_string());
        self.names.iter().for_each(|name| add(name));
        if let Some(person) = &self.person {
            add("person");
            add(person.principal.as_str());
            add(&person.stored_standing().unwrap_or_default());
            add(&person.expires.map_or(String::new(), |end| end.unix().to_string()));
            person.mails.iter().for_each(|mail| add(mail));
            add("keys");
            person.keys.iter().for_each(|key| add(&key.line()));
            add("rejected");
            for Rejected { number, problem } in &person.rejected {
                add(&format!("{number} {}", problem.token()));
            }
        }
        digest.finalize().into()
    }

    /// Is it a person who may ever become root?
    pub fn is_eligible(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.eligible)
    }

    /// Does it have keys that open something in `near`?
    fn has_keys(&self, near: Near) -> bool {
        self.person.as_ref().is_some_and(|person| {
            let is_over = person.expires.is_some_and(|end| end <= near.end);
            let begins = person.begins.is_some_and(|begin| begin > near.now);
            person.disabled.is_none() && !is_over && !begins && !person.keys.is_empty()
        })
    }
}

/// An account that ends within this time has as good as ended when a sync learns of it: whoever let all of them end by
/// a slip would find out when nobody gets in. One whose end was known before is no news.
const SOON: Span = Span::hours(7 * 24);

/// The time in which accounts count as open: from now on, for so long.
#[derive(Debug, Clone, Copy)]
struct Near {
    now: Timestamp,
    end: Timestamp,
}

impl Near {
    fn from(now: Timestamp) -> Self {
        Self { now, end: now.plus(SOON) }
    }
}

/// Whether a person is eligible, and what that depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Their entry.
    pub id: String,
    /// The person.
    pub principal: Principal,
    /// Where their entry stands in the directory.
    pub dn: String,
    /// May they ever become root?
    pub eligible: bool,
}

/// What a change does to people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    /// People who were not there before, or are different now.
    pub changed: usize,
    /// People who are gone.
    pub removed: usize,
    /// People who are gone, or had keys and have none now, or had no end and have one soon.
    pub lost: usize,
    /// People before.
    pub before: usize,
    /// People in all, afterwards.
    pub people: usize,
    /// People who may become root, and could not or were not there before.
    pub gained: usize,
    /// People who could become root, and may not any more or are gone.
    pub deprived: usize,
    /// People who could become root before.
    pub eligible_before: usize,
}

/// What there is to publish, against the copy that stands.
#[derive(Debug, Default)]
pub struct Change {
    /// Every record if `whole`, else those that differ.
    records: Vec<Record>,
    whole: bool,
    removed: Vec<String>,
    flags: Vec<Flag>,
    effect: Effect,
    /// Whoever loses their entry, and whether they were eligible by it.
    without: BTreeMap<String, bool>,
}

/// What the copy knows of one entry.
struct Known {
    principal: Option<String>,
    digest: [u8; 32],
    eligible: bool,
}

impl Known {
    fn is(&self, new: &Record) -> bool {
        self.digest == new.digest && self.eligible == new.is_eligible()
    }
}

impl Change {
    /// Everything, where no copy stands that this could be compared with.
    pub fn everything(mut records: Vec<Record>) -> Self {
        records.iter_mut().for_each(Record::prepare);
        let people = records.iter().filter(|new| new.person.is_some()).count();
        let gained = records.iter().filter(|new| new.is_eligible()).count();
        let effect = Effect { changed: people, people, gained, ..Effect::default() };
        Self { records, whole: true, effect, ..Self::default() }
    }

    /// What it does to people.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The entries that are in the copy and in the directory no more.
    pub fn removed(&self) -> &[String] {
        &self.removed
    }

    fn differing(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|new| new.differs)
    }

    fn size(&self) -> usize {
        self.differing().count() + self.removed.len() + self.flags.len()
    }

    /// Counts what a new record does, beside what was known of its entry.
    fn count(&mut self, new: &Record, known: Option<&Known>, loses_keys: bool) {
        let was = known.is_some_and(|known| known.principal.is_some());
        match (was, new.person.is_some()) {
            (_, true) => self.effect.changed += 1,
            (true, false) => self.effect.removed += 1,
            (false, false) => {}
        }
        if was && (new.person.is_none() || loses_keys) {
            self.effect.lost += 1;
        }
        match (known.is_some_and(|known| known.eligible), new.is_eligible()) {
            (false, true) => self.effect.gained += 1,
            (true, false) => self.effect.deprived += 1,
            _ => {}
        }
        self.effect.people += usize::from(new.person.is_some());
        self.effect.people = self.effect.people.saturating_sub(usize::from(was));
    }

    fn remove(&mut self, id: String, known: &Known) {
        if let Some(principal) = &known.principal {
            self.without.insert(principal.clone(), known.eligible);
            self.effect.removed += 1;
            self.effect.lost += 1;
            self.effect.deprived += usize::from(known.eligible);
            self.effect.people = self.effect.people.saturating_sub(1);
        }
        self.removed.push(id);
    }

    /// Counts nobody as gone who is there by another entry: a server that was set up anew has other ids for all.
    fn settle(&mut self, look: &mut Lookup<'_>) -> Result<(), StoreError> {
        let without = std::mem::take(&mut self.without);
        if without.is_empty() {
            return Ok(());
        }
        for new in &self.records {
            let Some(principal) = new.person.as_ref().map(|person| person.principal.as_str()) else {
                continue;
            };
            let Some(was_eligible) = without.get(principal) else { continue };
            self.effect.removed = self.effect.removed.saturating_sub(1);
            if new.has_keys(look.near) || !look.has_keys(principal)? {
                self.effect.lost = self.effect.lost.saturating_sub(1);
            }
            if *was_eligible && new.is_eligible() {
                self.effect.deprived = self.effect.deprived.saturating_sub(1);
                self.effect.gained = self.effect.gained.saturating_sub(1);
            }
        }
        Ok(())
    }
}

/// The copy that stands, as the next sync finds it: whatever its age.
#[derive(Debug)]
pub struct Base {
    path: PathBuf,
    connection: Connection,
    generation: String,
    people: usize,
    eligible: usize,
    resume: Option<Vec<u8>>,
    /// It has the form that is written: a few rows of it can be changed.
    stays: bool,
    /// When the change is made.
    now: Timestamp,
}

impl Base {
    /// Opens the copy at `path` if it was made from the directory `scope`.
    pub fn open(path: &Path, scope: &str) -> Result<Self, StoreError> {
        let corrupt = |error| StoreError::corrupt(path, error);
        let (connection, form) = SCHEMA.open_form(path)?;
        let stays = form.version == SCHEMA.written.version;
        let (of, generation, people) = connection
            .query_row("SELECT scope, generation, people FROM meta", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
            })
            .map_err(corrupt)?;
        if of != scope {
            return Err(StoreError::OtherDirectory(path.into()));
        }
        let eligible = connection
            .query_row("SELECT count(*) FROM person WHERE eligible", [], |row| row.get::<_, i64>(0))
            .map_err(corrupt)?;
        // A stamp that cannot be read costs a full refresh and nothing else.
        let stamp = read_stamp(&stamp_path(path)).ok().flatten();
        // Of the form before nothing is kept: everybody is fetched once more, and written in the new one.
        let resume =
            stamp.filter(|stamp| stays && stamp.generation == generation).and_then(|stamp| stamp.resume);
        Ok(Self {
            path: path.to_path_buf(),
            connection,
            generation,
            people: usize::try_from(people).unwrap_or(0),
            eligible: usize::try_from(eligible).unwrap_or(0),
            resume: resume.and_then(|digits| from_hex(&digits)),
            stays,
            now: Timestamp::MIN,
        })
    }

    /// For a change that is made at `now`: what it takes away depends on who has an account then.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// What the last sync left for this one.
    pub fn resume(&self) -> Option<&[u8]> {
        self.resume.as_deref()
    }

    /// How many people are in it.
    pub fn people(&self) -> usize {
        self.people
    }

    /// For questions about single entries, which are many.
    pub fn lookup(&self) -> Result<Lookup<'_>, StoreError> {
        Lookup::new(self).map_err(|error| self.corrupt(error))
    }

    /// Everybody, and whether they are eligible.
    pub fn flags(&self) -> Result<Vec<Flag>, StoreError> {
        let mut query = self
            .connection
            .prepare("SELECT principal, dn, eligible, entry.id FROM entry JOIN person USING (principal)")
            .map_err(|error| self.corrupt(error))?;
        let mut rows = query.query([]).map_err(|error| self.corrupt(error))?;
        let mut flags = Vec::with_capacity(self.people);
        while let Some(row) = rows.next().map_err(|error| self.corrupt(error))? {
            let read = || -> Result<Flag, Box<dyn std::error::Error>> {
                let principal = Principal::new(&row.get::<_, String>(0)?)?;
                Ok(Flag { id: row.get(3)?, principal, dn: row.get(1)?, eligible: flag(row.get(2)?)? })
            };
            flags.push(read().map_err(|error| self.corrupt(error))?);
        }
        Ok(flags)
    }

    /// Where the entries of eligible people stand.
    pub fn eligible_dns(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT dn FROM entry JOIN person USING (principal) WHERE eligible";
        let read = || -> rusqlite::Result<Vec<String>> {
            self.connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(|error| self.corrupt(error))
    }

    /// The change that changes nothing.
    pub fn kept(&self) -> Change {
        Change { effect: self.unchanged(), ..Change::default() }
    }

    /// What becomes of the copy if `records` are everything there is.
    pub fn replaced_by(&self, mut records: Vec<Record>) -> Result<Change, StoreError> {
        self.put_in_order(&mut records)?;
        let mut change = Change { whole: true, ..self.kept() };
        let mut look = self.lookup()?;
        // Both are in the order of their ids, so that the copy need not be held in memory.
        let corrupt = |error| self.corrupt(error);
        let mut query =
            self.connection.prepare(&format!("{} ORDER BY entry.id", Self::KNOWN)).map_err(corrupt)?;
        let mut rows = query.query_map([], read_known).map_err(corrupt)?.map(|row| row.map_err(corrupt));
        let mut next = rows.next().transpose()?;
        for new in &mut records {
            new.prepare();
            while let Some((id, gone)) = next.take_if(|(id, _)| *id < new.id) {
                change.remove(id, &gone);
                next = rows.next().transpose()?;
            }
            let old = next.take_if(|(id, _)| *id == new.id);
            if old.is_some() {
                next = rows.next().transpose()?;
            }
            let old = old.map(|(_, known)| known);
            new.differs = !old.as_ref().is_some_and(|old| old.is(new));
            if new.differs {
                change.count(new, old.as_ref(), look.loses_keys(new, old.as_ref())?);
            }
        }
        while let Some((id, gone)) = next {
            change.remove(id, &gone);
            next = rows.next().transpose()?;
        }
        change.records = records;
        change.settle(&mut look)?;
        Ok(change)
    }

    /// What becomes of the copy if `records` are new or different, the entries `removed` are gone, and
    /// `flags` say who became eligible, or is no longer; everything else stays.
    pub fn changed_by(
        &self,
        mut records: Vec<Record>,
        removed: &BTreeSet<String>,
        flags: Vec<Flag>,
    ) -> Result<Change, StoreError> {
        self.put_in_order(&mut records)?;
        let mut change = self.kept();
        let mut look = self.lookup()?;
        for mut new in records {
            new.prepare();
            let old = look.known(&new.id)?;
            if !old.as_ref().is_some_and(|old| old.is(&new)) {
                change.count(&new, old.as_ref(), look.loses_keys(&new, old.as_ref())?);
                change.records.push(new);
            }
        }
        for id in removed {
            if let Some(old) = look.known(id)? {
                change.remove(id.clone(), &old);
            }
        }
        change.settle(&mut look)?;
        change.effect.changed += flags.len();
        let gained = flags.iter().filter(|flag| flag.eligible).count();
        change.effect.gained += gained;
        change.effect.deprived += flags.len() - gained;
        change.flags = flags;
        Ok(change)
    }

    /// In the order of their ids, each of which may stand there once.
    fn put_in_order(&self, records: &mut [Record]) -> Result<(), StoreError> {
        records.sort_unstable_by(|left, right| left.id.cmp(&right.id));
        let once = records.is_sorted_by(|left, right| left.id < right.id);
        if once { Ok(()) } else { Err(StoreError::write(&self.path, "two records of one entry")) }
    }

    fn unchanged(&self) -> Effect {
        let eligible_before = self.eligible;
        Effect { before: self.people, people: self.people, eligible_before, ..Effect::default() }
    }

    const KNOWN: &str = "SELECT entry.id, entry.principal, digest, coalesce(eligible, 0)
        FROM entry LEFT JOIN person USING (principal)";

    fn corrupt(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::corrupt(&self.path, what)
    }
}

/// Questions about single entries of the copy.
pub struct Lookup<'a> {
    base: &'a Base,
    names: Statement<'a>,
    claimants: Statement<'a>,
    known: Statement<'a>,
    keys: Statement<'a>,
    near: Near,
}

impl<'a> Lookup<'a> {
    fn new(base: &'a Base) -> rusqlite::Result<Self> {
        let prepare = |query: &str| base.connection.prepare(query);
        Ok(Self {
            base,
            names: prepare(
                "SELECT name FROM claim WHERE id = ?1
                 UNION ALL SELECT principal FROM entry WHERE id = ?1 AND principal IS NOT NULL",
            )?,
            claimants: prepare(
                "SELECT id FROM claim WHERE name = ?1 UNION ALL SELECT id FROM person WHERE principal = ?1",
            )?,
            known: prepare(&format!("{} WHERE entry.id = ?1", Base::KNOWN))?,
            keys: prepare(&format!(
                "SELECT 1 FROM public_key JOIN person USING (principal) WHERE principal = ?1 AND {OPEN} AND (expires IS NULL OR expires > ?3)"
            ))?,
            near: Near::from(base.now),
        })
    }

    /// The names that the entry `id` claims; none if it is not known.
    pub fn names_of(&mut self, id: &str) -> Result<Vec<String>, StoreError> {
        column(&mut self.names, id).map_err(|error| self.base.corrupt(error))
    }

    /// The entries that claim `name`.
    pub fn claimants(&mut self, name: &str) -> Result<Vec<String>, StoreError> {
        column(&mut self.claimants, name).map_err(|error| self.base.corrupt(error))
    }

    fn known(&mut self, id: &str) -> Result<Option<Known>, StoreError> {
        let found = self.known.query_row([id], read_known).optional();
        Ok(found.map_err(|error| self.base.corrupt(error))?.map(|(_, known)| known))
    }

    /// Had the person keys before, and has none now? Asked only where it matters, which is nearly never.
    fn loses_keys(&mut self, new: &Record, old: Option<&Known>) -> Result<bool, StoreError> {
        let principal = old.and_then(|old| old.principal.as_deref());
        principal.filter(|_| !new.has_keys(self.near)).map_or(Ok(false), |principal| self.has_keys(principal))
    }

    /// Does the copy hold a key of this person that opens something?
    fn has_keys(&mut self, principal: &str) -> Result<bool, StoreError> {
        let Near { now, end } = self.near;
        self.keys.exists(params![principal, now.unix(), end.unix()]).map_err(|error| self.base.corrupt(error))
    }
}

fn column(query: &mut Statement<'_>, of: &str) -> rusqlite::Result<Vec<String>> {
    query.query_map([of], |row| row.get(0))?.collect()
}

fn read_known(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, Known)> {
    let eligible = row.get::<_, i64>(3)? != 0;
    Ok((row.get(0)?, Known { principal: row.get(1)?, digest: row.get(2)?, eligible }))
}

/// Makes `change` to the copy at `path`, and notes `resume` for the next sync. `base` is the copy that the
/// change was made against. Where nothing changes only the stamp is written anew.
pub fn publish(
    path: &Path,
    scope: &str,
    base: Option<&Base>,
    change: &Change,
    resume: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let size = change.size();
    let generation = match base {
        Some(base) if base.stays && size == 0 => base.generation.clone(),
        Some(base) if base.stays && (!change.whole || size <= FEW.max(base.people / 8)) => {
            let generation = generation(&base.generation, change);
            replace(path, 0o640, |temporary| base.patch(temporary, &generation, change, now))?;
            generation
        }
        _ => {
            let generation = generation(scope, change);
            replace(path, 0o640, |temporary| {
                write(temporary, scope, &generation, change, now).map_err(|error| error.to_string())
            })?;
            generation
        }
    };
    let resume = resume.filter(|bytes| bytes.len() <= LONGEST_RESUME);
    let stamp = match resume {
        Some(bytes) => format!("{generation} {} {}\n", now.unix(), to_hex(bytes)),
        None => format!("{generation} {}\n", now.unix()),
    };
    replace(&stamp_path(path), 0o640, |temporary| {
        std::fs::write(temporary, stamp).map_err(|error| error.to_string())
    })
}

/// A name for the content that `change` makes of what `before` names; for a whole one, what it is tied to.
fn generation(before: &str, change: &Change) -> String {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    add(if change.whole { b"whole" } else { b"part" });
    add(before.as_bytes());
    for record in &change.records {
        add(record.id.as_bytes());
        add(&record.digest);
        add(&[u8::from(record.is_eligible())]);
    }
    add(b"removed");
    change.removed.iter().for_each(|id| add(id.as_bytes()));
    add(b"flags");
    for flag in &change.flags {
        add(flag.principal.as_str().as_bytes());
        add(&[u8::from(flag.eligible)]);
    }
    to_hex(&digest.finalize())
}

impl Base {
    /// Makes of `temporary` a copy of the copy with `change` in it.
    fn patch(
        &self,
        temporary: &Path,
        generation: &str,
        change: &Change,
        now: Timestamp,
    ) -> Result<(), String> {
        let copy = || -> io::Result<()> {
            let mut from = trust::open(&self.path, Owner::Service).map_err(io::Error::other)?;
            io::copy(&mut from, &mut OpenOptions::new().write(true).open(temporary)?).map(drop)
        };
        copy().map_err(|error| error.to_string())?;
        self.patch_rows(temporary, generation, change, now).map_err(|error| error.to_string())
    }

    fn patch_rows(
        &self,
        temporary: &Path,
        generation: &str,
        change: &Change,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let mut connection = SCHEMA.reopen(temporary)?;
        let transaction = connection.transaction()?;
        let differing_ids = change.differing().map(|new| &new.id);
        remove(&transaction, differing_ids.chain(&change.removed))?;
        let mut differing: Vec<&Record> = change.differing().collect();
        insert(&transaction, &mut differing)?;
        let mut set = transaction.prepare("UPDATE person SET eligible = ?2 WHERE principal = ?1")?;
        for flag in &change.flags {
            set.execute(params![flag.principal.as_str(), i64::from(flag.eligible)])?;
        }
        let people = i64::try_from(change.effect.people).unwrap_or(i64::MAX);
        // The copy must still be the one that the change was made against.
        let updated = transaction.execute(
            "UPDATE meta SET generation = ?1, synced = ?2, people = ?3 WHERE generation = ?4",
            params![generation, now.unix(), people, self.generation],
        )?;
        if updated != 1 {
            return Err(rusqlite::Error::StatementChangedRows(updated));
        }
        drop(set);
        transaction.commit()?;
        connection.close().map_err(|(_, error)| error)
    }
}

fn write(
    path: &Path,
    scope: &str,
    generation: &str,
    change: &Change,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut connection = SCHEMA.create(path)?;
    let transaction = connection.transaction()?;
    let people = i64::try_from(change.effect.people).unwrap_or(i64::MAX);
    transaction.execute(
        "INSERT INTO meta (scope, generation, synced, people) VALUES (?1, ?2, ?3, ?4)",
        params![scope, generation, now.unix(), people],
    )?;
    insert(&transaction, &mut change.records.iter().collect::<Vec<_>>())?;
    SCHEMA.index(&transaction)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// Takes out all rows of the entries `ids`.
fn remove<'a>(transaction: &Transaction<'_>, ids: impl Iterator<Item = &'a String>) -> rusqlite::Result<()> {
    let prepare = |statement| transaction.prepare(statement);
    let mut statements = [
        prepare("DELETE FROM mail WHERE principal = (SELECT principal FROM entry WHERE id = ?1)")?,
        prepare("DELETE FROM public_key WHERE principal = (SELECT principal FROM entry WHERE id = ?1)")?,
        prepare("DELETE FROM rejected WHERE principal = (SELECT principal FROM entry WHERE id = ?1)")?,
        prepare("DELETE FROM person WHERE principal = (SELECT principal FROM entry WHERE id = ?1)")?,
        prepare("DELETE FROM claim WHERE id = ?1")?,
        prepare("DELETE FROM entry WHERE id = ?1")?,
    ];
    for id in ids {
        for statement in &mut statements {
            statement.execute([id])?;
        }
    }
    Ok(())
}

/// Puts in all rows of `records`; each table in its own order, which is the fastest.
fn insert(transaction: &Transaction<'_>, records: &mut [&Record]) -> rusqlite::Result<()> {
    records.sort_unstable_by(|left, right| left.id.cmp(&right.id));
    let mut entry_row = transaction.prepare("INSERT INTO entry VALUES (?1, ?2, ?3, ?4)")?;
    let mut claim_row = transaction.prepare("INSERT INTO claim VALUES (?1, ?2)")?;
    for record in records.iter() {
        let principal = record.person.as_ref().map(|person| person.principal.as_str());
        entry_row.execute(params![record.id, record.dn, principal, record.digest])?;
        for name in record.stored_claims() {
            claim_row.execute(params![record.id, name])?;
        }
    }
    let mut people: Vec<&Person> = records.iter().filter_map(|new| new.person.as_ref()).collect();
    people.sort_unstable_by(|left, right| left.principal.cmp(&right.principal));
    insert_people(transaction, &people)
}

fn insert_people(transaction: &Transaction<'_>, people: &[&Person]) -> rusqlite::Result<()> {
    let mut person_row = transaction.prepare("INSERT INTO person VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut mail_row = transaction.prepare("INSERT INTO mail VALUES (?1, ?2)")?;
    let mut key_row = transaction.prepare("INSERT INTO public_key VALUES (?1, ?2, ?3)")?;
    let mut rejected_row = transaction.prepare("INSERT INTO rejected VALUES (?1, ?2, ?3)")?;
    for person in people {
        let principal = person.principal.as_str();
        let expires = person.expires.map(Timestamp::unix);
        person_row.execute(params![
            principal,
            person.id,
            i64::from(person.eligible),
            person.stored_standing(),
            expires
        ])?;
        for mail in &person.mails {
            mail_row.execute(params![principal, mail])?;
        }
        // Who is disabled has no keys (P15).
        for key in person.keys.iter().filter(|_| person.disabled.is_none()) {
            key_row.execute(params![principal, key.digest(), key.line()])?;
        }
        for Rejected { number, problem } in person.rejected.iter().filter(|_| person.disabled.is_none()) {
            rejected_row.execute(params![principal, number, problem.token()])?;
        }
    }
    Ok(())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyCopy;
    use policy::Span;
    use std::os::unix::fs::MetadataExt;

    const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    const BOB: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnFMGpZIBdoJ51sSTzbGF+TPdJsyKHXxmErQvWJy5o";
    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn record(id: &str, name: &str, keys: &[&str]) -> Record {
        let person = Person {
            principal: Principal::new(name).unwrap(),
            id: id.to_string(),
            mails: vec![format!("{name}@example.com")],
            keys: keys.iter().map(|key| PublicKey::parse(key.as_bytes()).unwrap()).collect(),
            rejected: Vec::new(),
            eligible: name == "alice",
            disabled: None,
            begins: None,
            expires: None,
        };
        Record::new(id.to_string(), format!("uid={name},dc=x"), vec![name.to_string()], Some(person))
    }

    /// A copy in a directory of its own.
    struct Scratch {
        directory: tempfile::TempDir,
    }

    impl Scratch {
        fn with(records: Vec<Record>) -> Self {
            let scratch = Self { directory: crate::scratch() };
            publish(&scratch.path(), "test", None, &Change::everything(records), Some(b"first"), NOW)
                .unwrap();
            scratch
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("keys.db")
        }

        fn base(&self) -> Base {
            Base::open(&self.path(), "test").unwrap()
        }

        fn apply(&self, change: &Change) {
            publish(&self.path(), "test", Some(&self.base()), change, Some(b"next"), NOW).unwrap();
        }

        fn people(&self) -> Vec<(String, usize, bool)> {
            let copy = KeyCopy::open(&self.path(), "test", Span::hours(24), NOW).unwrap();
            let people = copy.people().unwrap().into_iter();
            people.map(|p| (p.principal.to_string(), p.keys.len(), p.eligible)).collect()
        }
    }

    fn effect(changed: usize, removed: usize, lost: usize, before: usize, people: usize) -> Effect {
        Effect { changed, removed, lost, before, people, ..Effect::default() }
    }

    #[test]
    fn an_end_that_is_news_and_near_is_a_loss_and_one_that_was_known_is_none() {
        let with = |begins: Option<i64>, expires: Option<i64>| {
            let mut record = record("1", "alice", &[ALICE]);
            if let Some(person) = &mut record.person {
                person.begins = begins.map(|hours| NOW.plus(Span::hours(hours)));
                person.expires = expires.map(|hours| NOW.plus(Span::hours(hours)));
                person.mails = vec![format!("{begins:?}{expires:?}@x")];
            }
            record
        };
        let lost = |before: Record, after: Record, now: Timestamp| {
            let scratch = Scratch::with(vec![before]);
            let change = scratch.base().at(now).replaced_by(vec![after.clone()]).unwrap();
            let part = scratch.base().at(now).changed_by(vec![after], &BTreeSet::new(), vec![]).unwrap();
            assert_eq!(change.effect().lost, part.effect().lost);
            change.effect().lost
        };
        let week = 7 * 24;
        let open = || with(None, None);
        for (after, expected) in [
            (with(None, Some(-1000)), 1),
            (with(None, Some(0)), 1),
            (with(None, Some(week)), 1),
            (with(None, Some(week + 1)), 0),
            (with(Some(1), None), 1),
            (with(Some(-1), None), 0),
        ] {
            assert_eq!(lost(open(), after.clone(), NOW), expected, "{after:?}");
            // Known before: what comes to pass then is no news, whatever else changed.
            let mut other = after.clone();
            other.person.as_mut().unwrap().mails.clear();
            assert_eq!(lost(after.clone(), other, NOW), 0, "{after:?}");
        }
        // An end far off that has come near since, and one that was put off.
        let later = NOW.plus(Span::hours(1000));
        assert_eq!(lost(with(None, Some(1001)), with(Some(-1), Some(1001)), later), 0);
        assert_eq!(lost(with(None, Some(1)), with(None, Some(1001)), NOW), 0);
        assert_eq!(lost(with(None, Some(1001)), with(None, Some(1)), NOW), 1);
    }

    /// What a change does, but for who may become root.
    fn counted(change: &Change) -> Effect {
        Effect { gained: 0, deprived: 0, eligible_before: 0, ..change.effect() }
    }

    #[test]
    fn whoever_is_there_by_another_entry_is_not_gone() {
        let scratch = Scratch::with(vec![
            record("1", "alice", &[ALICE]),
            record("2", "bob", &[ALICE]),
            record("3", "zoe", &[]),
        ]);
        let base = scratch.base();
        let after =
            || vec![record("11", "alice", &[ALICE]), record("12", "bob", &[]), record("13", "zoe", &[])];
        let gone = ["1", "2", "3"].map(str::to_string).into();
        for change in [base.replaced_by(after()).unwrap(), base.changed_by(after(), &gone, vec![]).unwrap()] {
            assert_eq!(counted(&change), effect(3, 0, 1, 3, 3), "bob has no key any more");
            let Effect { gained, deprived, .. } = change.effect();
            assert_eq!((gained, deprived), (0, 0));
        }
    }

    #[test]
    fn who_may_become_root_is_counted_whole_and_in_parts() {
        let eligible = |id: &str, name: &str, eligible: bool| {
            let mut record = record(id, name, &[]);
            record.person.as_mut().unwrap().eligible = eligible;
            record
        };
        let everybody = [("1", "alice", true), ("2", "bob", true), ("3", "zoe", false)];
        let made = |team: &[(&str, &str, bool)]| -> Vec<Record> {
            team.iter().map(|(id, name, flag)| eligible(id, name, *flag)).collect()
        };
        let counts = |change: &Change| {
            let Effect { gained, deprived, eligible_before, .. } = change.effect();
            (gained, deprived, eligible_before)
        };
        let first = Change::everything(made(&everybody));
        assert_eq!(counts(&first), (2, 0, 0));
        let scratch = Scratch::with(made(&everybody));
        let base = scratch.base();
        let whole = base.replaced_by(made(&[("1", "alice", false), ("3", "zoe", true)])).unwrap();
        assert_eq!(counts(&whole), (1, 2, 2));
        let gone = ["2".to_string()].into();
        let part =
            base.changed_by(made(&[("1", "alice", false), ("4", "eve", true)]), &gone, vec![]).unwrap();
        assert_eq!(counts(&part), (1, 2, 2));
        let flags = base.flags().unwrap().into_iter();
        let turned = flags.map(|flag| Flag { eligible: !flag.eligible, ..flag }).collect();
        let flagged = base.changed_by(vec![], &[].into(), turned).unwrap();
        assert_eq!(counts(&flagged), (1, 2, 2));
    }

    fn team() -> Vec<Record> {
        vec![record("1", "alice", &[ALICE]), record("2", "bob", &[BOB]), record("3", "zoe", &[])]
    }

    #[test]
    fn a_part_and_the_whole_come_to_the_same() {
        let after = || vec![record("1", "alice", &[ALICE, BOB]), record("3", "zoe", &[])];
        let part = Scratch::with(team());
        let removed = BTreeSet::from(["2".to_string(), "unknown".to_string()]);
        let change = part.base().changed_by(after(), &removed, vec![]).unwrap();
        assert_eq!(counted(&change), effect(1, 1, 1, 3, 2));
        part.apply(&change);
        let whole = Scratch::with(team());
        let change = whole.base().replaced_by(after()).unwrap();
        assert_eq!(counted(&change), effect(1, 1, 1, 3, 2));
        whole.apply(&change);
        let anew = Scratch::with(after());
        assert_eq!(part.people(), [("alice".to_string(), 2, true), ("zoe".to_string(), 0, false)]);
        assert_eq!(part.people(), whole.people());
        assert_eq!(part.people(), anew.people());
        for scratch in [&part, &whole, &anew] {
            let base = scratch.base();
            let dns = |flags: Vec<Flag>| flags.into_iter().map(|flag| flag.id).collect::<Vec<_>>();
            assert_eq!(
                (base.people(), dns(base.flags().unwrap())),
                (2, vec!["1".to_string(), "3".to_string()])
            );
            assert!(base.lookup().unwrap().claimants("bob").unwrap().is_empty());
            let again = base.replaced_by(after()).unwrap();
            assert_eq!((again.size(), counted(&again)), (0, effect(0, 0, 0, 2, 2)));
        }
    }

    #[test]
    fn the_same_content_leaves_the_file_alone() {
        let scratch = Scratch::with(team());
        let inode = || std::fs::metadata(scratch.path()).unwrap().ino();
        let (before, generation) = (inode(), scratch.base().generation);
        let mut turned = team();
        turned.reverse();
        scratch.apply(&scratch.base().replaced_by(turned).unwrap());
        scratch.apply(&scratch.base().changed_by(team(), &BTreeSet::new(), vec![]).unwrap());
        assert_eq!((inode(), scratch.base().generation), (before, generation));
        assert_eq!(scratch.base().resume(), Some(&b"next"[..]));
    }

    #[test]
    fn two_people_may_exchange_their_names() {
        let scratch = Scratch::with(team());
        let turned = vec![record("1", "bob", &[ALICE]), record("2", "alice", &[BOB])];
        let change = scratch.base().changed_by(turned, &BTreeSet::new(), vec![]).unwrap();
        assert_eq!(counted(&change), effect(2, 0, 0, 3, 3));
        scratch.apply(&change);
        let copy = KeyCopy::open(&scratch.path(), "test", Span::hours(24), NOW).unwrap();
        let keys = copy.keys_of(&Principal::new("alice").unwrap()).unwrap().unwrap();
        assert_eq!(keys.iter().map(PublicKey::line).collect::<Vec<_>>(), [BOB]);
    }

    #[test]
    fn eligibility_changes_alone() {
        let scratch = Scratch::with(team());
        let mut flags = scratch.base().flags().unwrap();
        assert_eq!(flags[0].dn, "uid=alice,dc=x");
        flags.retain(|flag| flag.principal.as_str() == "bob");
        flags[0].eligible = true;
        let change = scratch.base().changed_by(vec![], &BTreeSet::new(), flags).unwrap();
        assert_eq!(counted(&change), effect(1, 0, 0, 3, 3));
        scratch.apply(&change);
        assert_eq!(scratch.people()[1], ("bob".to_string(), 1, true));
        // A full refresh that says the same finds nothing to do.
        let mut same = team();
        same[1].person.as_mut().unwrap().eligible = true;
        assert_eq!(scratch.base().replaced_by(same).unwrap().size(), 0);
    }

    #[test]
    fn who_loses_every_key_is_lost_and_who_never_had_one_is_not() {
        let scratch = Scratch::with(team());
        let without = vec![record("1", "alice", &[]), record("3", "zoe2", &[])];
        let change = scratch.base().changed_by(without, &BTreeSet::new(), vec![]).unwrap();
        assert_eq!(counted(&change), effect(2, 0, 1, 3, 3));
        let mut disabled = record("2", "bob", &[BOB]);
        disabled.person.as_mut().unwrap().disabled = Some("nsAccountLock".to_string());
        let change = scratch.base().changed_by(vec![disabled], &BTreeSet::new(), vec![]).unwrap();
        assert_eq!(counted(&change), effect(1, 0, 1, 3, 3));
    }

    #[test]
    fn nobody_stands_in_the_copy_with_what_they_claim() {
        let mut twice = [record("1", "alice", &[ALICE]), record("2", "alice", &[BOB])];
        twice.iter_mut().for_each(|record| record.person = None);
        let scratch = Scratch::with([twice.to_vec(), vec![record("3", "zoe", &[])]].concat());
        assert_eq!(scratch.people().len(), 1);
        let base = scratch.base();
        assert_eq!(base.lookup().unwrap().claimants("alice").unwrap(), ["1", "2"]);
        assert_eq!(base.lookup().unwrap().names_of("2").unwrap(), ["alice"]);
        let change = base.replaced_by(vec![record("2", "alice", &[BOB]), record("3", "zoe", &[])]).unwrap();
        assert_eq!(counted(&change), effect(1, 0, 0, 1, 2));
        scratch.apply(&change);
        assert_eq!(scratch.people()[0], ("alice".to_string(), 1, true));
    }

    #[test]
    fn a_note_counts_only_for_the_content_it_was_left_for() {
        let scratch = Scratch::with(team());
        assert_eq!(scratch.base().resume(), Some(&b"first"[..]));
        let stamp = stamp_path(&scratch.path());
        let old = std::fs::read(&stamp).unwrap();
        scratch
            .apply(&scratch.base().changed_by(vec![], &BTreeSet::from(["1".to_string()]), vec![]).unwrap());
        assert_eq!(scratch.base().resume(), Some(&b"next"[..]));
        std::fs::write(&stamp, old).unwrap();
        assert_eq!(scratch.base().resume(), None);
        std::fs::write(&stamp, "nonsense").unwrap();
        assert_eq!(scratch.base().resume(), None);
        assert!(matches!(Base::open(&scratch.path(), "other"), Err(StoreError::OtherDirectory(_))));
    }

    #[test]
    fn a_copy_that_is_not_the_one_compared_with_is_not_changed() {
        let scratch = Scratch::with(team());
        let (base, before) = (scratch.base(), scratch.people());
        scratch.apply(&base.changed_by(vec![record("2", "bob", &[])], &BTreeSet::new(), vec![]).unwrap());
        let late = base.changed_by(vec![record("1", "alice", &[])], &BTreeSet::new(), vec![]).unwrap();
        let refused = publish(&scratch.path(), "test", Some(&base), &late, None, NOW);
        assert!(matches!(refused, Err(StoreError::Write(..))));
        assert_ne!(scratch.people(), before);
        assert_eq!(scratch.people()[0], ("alice".to_string(), 1, true));
    }

    #[test]
    fn many_changes_write_the_file_anew() {
        let many = |key: &str| (0..200).map(|n| record(&n.to_string(), &format!("p{n}"), &[key])).collect();
        let scratch = Scratch::with(many(ALICE));
        scratch.apply(&scratch.base().replaced_by(many(BOB)).unwrap());
        assert_eq!(scratch.people().len(), 200);
        assert_eq!(scratch.base().replaced_by(many(BOB)).unwrap().size(), 0);
    }

    #[test]
    fn hexadecimal_digits_are_read_back() {
        assert_eq!(from_hex(&to_hex(b"\x00\xffa")).unwrap(), b"\x00\xffa");
        assert_eq!(from_hex("zz"), None);
    }
}
