//! Writing keys.db: whole, or by changing a few rows in a copy of it.
//!
//! Used by `authkeys-sync` alone. The published file is never changed in place: a change goes into a
//! copy that is renamed over it. Each entry of the directory is in the file with a digest of what
//! is published of it, so that what changed is known without reading everybody.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use policy::{Principal, Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, Statement, params};
use sha2::{Digest, Sha256};

use super::{DirectoryPerson, KeyCopy, OPEN, SCHEMA, flag, read_stamp, stamp_path};
use crate::schema::judged;
use crate::{PublicKey, Rejected, StoreError};
pub use file::publish;

/// One entry of the directory, and the person who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What stays the same when the entry is renamed.
    pub id: String,
    /// Where it is in the directory.
    pub dn: String,
    /// The user names it claims, also if none of them is trusted.
    pub names: Vec<String>,
    /// The person; `None` if it is nobody.
    pub person: Option<DirectoryPerson>,
    digest: [u8; 32],
    differs: bool,
}

impl Record {
    /// The entry `id` at `dn`, which claims `names` and is `person`.
    pub fn new(id: String, dn: String, names: Vec<String>, person: Option<DirectoryPerson>) -> Self {
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

/// An account that ends within this time counts as ended when a sync learns of it: a person who let all of them end by
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
    /// Where their entry is in the directory.
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

/// What there is to publish, against the published copy.
#[derive(Debug, Default)]
pub struct Change {
    /// Every record if `whole`, else those that differ.
    records: Vec<Record>,
    whole: bool,
    removed: Vec<String>,
    flags: Vec<Flag>,
    effect: Effect,
    /// People who lose their entry, and whether they were eligible by it.
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
    /// Everything, where there is no copy to compare with.
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

/// The published copy, as the next sync finds it: whatever its age.
#[derive(Debug)]
pub struct Base {
    path: PathBuf,
    connection: Connection,
    generation: String,
    synced: Timestamp,
    people: usize,
    eligible: usize,
    resume: Option<Vec<u8>>,
    /// It has the form that is written: a few rows of it can be changed.
    stays: bool,
    /// Its rows may be missing or wrong.
    damaged: bool,
    /// When the change is made.
    now: Timestamp,
}

impl Base {
    /// Opens the copy at `path` if it was made from the directory `scope`. One that says how many people it has, and does
    /// not show who of them is eligible, is damaged.
    pub fn open(path: &Path, scope: &str) -> Result<Self, StoreError> {
        let corrupt = |error| StoreError::corrupt(path, error);
        let (connection, form) = SCHEMA.open_form(path)?;
        let stays = form.version == SCHEMA.written.version;
        let (of, generation, people, synced) = connection
            .query_row("SELECT scope, generation, people, synced FROM meta", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, row.get(3)?))
            })
            .map_err(corrupt)?;
        if of != scope {
            return Err(StoreError::OtherDirectory(path.into()));
        }
        let eligible = connection
            .query_row("SELECT count(*) FROM person WHERE eligible", [], |row| row.get::<_, i64>(0));
        let is_damaged = eligible.is_err();
        // A stamp that cannot be read costs a full refresh and nothing else.
        let stamp =
            judged(path).and_then(|directory| read_stamp(&directory, &stamp_path(path))).ok().flatten();
        let stamp = stamp.filter(|stamp| stamp.generation == generation);
        let synced = stamp.as_ref().map_or(Timestamp::from_unix(synced), |stamp| stamp.synced);
        // Of the form before nothing is kept: everybody is fetched once more, and written in the new one.
        let resume = stamp.filter(|_| stays).and_then(|stamp| stamp.resume);
        let base = Self {
            path: path.to_path_buf(),
            connection,
            generation,
            synced,
            people: usize::try_from(people).unwrap_or(0),
            eligible: usize::try_from(eligible.unwrap_or(0)).unwrap_or(0),
            resume: resume.and_then(|digits| file::from_hex(&digits)),
            stays,
            damaged: false,
            now: Timestamp::MIN,
        };
        Ok(if is_damaged { base.damaged() } else { base })
    }

    /// The same as one whose rows are not to be relied on: everybody is fetched, and it is written anew. What it knows
    /// of people before still limits what may be taken away.
    #[must_use]
    pub fn damaged(self) -> Self {
        Self { damaged: true, stays: false, resume: None, ..self }
    }

    /// Are its rows not to be relied on?
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Can all of it be read by those who read it at logins? What has not changed is never written anew: a damaged row
    /// would stay. Its stamp does not matter.
    pub fn check(&self) -> Result<(), StoreError> {
        KeyCopy::open_alone(&self.path, self.now)?.check()
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

    /// When people were read whom it has, by the last sync that found it to be up to date.
    pub fn synced(&self) -> Timestamp {
        self.synced
    }

    /// The entries with ids from `first` to `last`, by id, and where they are.
    pub fn entries(&self, first: &str, last: &str) -> Result<BTreeMap<String, String>, StoreError> {
        let sql = "SELECT id, dn FROM entry WHERE id BETWEEN ?1 AND ?2";
        let read = || -> rusqlite::Result<BTreeMap<String, String>> {
            let place = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            self.connection.prepare(sql)?.query_map([first, last], place)?.collect()
        };
        read().map_err(|error| self.corrupt(error))
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

    /// Where the entries of eligible people are; nowhere, if it is damaged.
    pub fn eligible_dns(&self) -> Result<Vec<String>, StoreError> {
        if self.damaged {
            return Ok(Vec::new());
        }
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
        let compared = self.compare(&mut records, &mut change);
        change.records = records;
        let compared = compared.and_then(|()| change.settle(&mut self.lookup()?));
        if self.damaged {
            return Ok(self.rewritten(change, compared.is_ok()));
        }
        compared.map(|()| change)
    }

    /// The change of a damaged copy, which is written anew. Where all rows could be `compared` they say who is lost, but
    /// some may be missing; the number of people before and after shows the fewest who are.
    fn rewritten(&self, change: Change, compared: bool) -> Change {
        let known = if compared { change.effect } else { self.unchanged() };
        let anew = Change::everything(change.records);
        let Effect { people, gained: eligible, .. } = anew.effect;
        let fewer = self.people.saturating_sub(people);
        let effect = Effect {
            removed: known.removed.max(fewer),
            lost: known.lost.max(fewer),
            gained: known.gained.max(eligible.saturating_sub(self.eligible)),
            deprived: known.deprived.max(self.eligible.saturating_sub(eligible)),
            before: self.people,
            eligible_before: self.eligible,
            ..anew.effect
        };
        Change { effect, ..anew }
    }

    /// Marks those of `records` that differ from the copy, and counts what they and those who are gone do.
    fn compare(&self, records: &mut [Record], change: &mut Change) -> Result<(), StoreError> {
        let mut look = self.lookup()?;
        // Both are in the order of their ids, so that the copy need not be held in memory.
        let corrupt = |error| self.corrupt(error);
        let mut query =
            self.connection.prepare(&format!("{} ORDER BY entry.id", Self::KNOWN)).map_err(corrupt)?;
        let mut rows = query.query_map([], read_known).map_err(corrupt)?.map(|row| row.map_err(corrupt));
        let mut next = rows.next().transpose()?;
        for new in records {
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
        Ok(())
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

    /// In the order of their ids, each of which may be there once.
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

#[cfg(test)]
mod tests;
