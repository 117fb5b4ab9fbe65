//! Making a change to the file: a few rows of a copy of it, or all of them anew.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use policy::Timestamp;
use rusqlite::{Transaction, params};
use sha2::{Digest, Sha256};
use trust::Owner;

use super::{Base, Change, Record};
use crate::keys::{DirectoryPerson, SCHEMA, stamp_path};
use crate::publish::replace;
use crate::{Rejected, StoreError};

/// Up to this many changes, or an eighth of all entries, a copy is changed; above, it is written anew.
const FEW: usize = 64;

/// The longest note for the next sync; a longer one is not kept.
const LONGEST_RESUME: usize = 4096;

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
            replace(path, 0o640, |temporary| write(temporary, scope, &generation, change, now))?;
            generation
        }
    };
    let resume = resume.filter(|bytes| bytes.len() <= LONGEST_RESUME);
    let stamp = match resume {
        Some(bytes) => format!("{generation} {} {}\n", now.unix(), to_hex(bytes)),
        None => format!("{generation} {}\n", now.unix()),
    };
    replace(&stamp_path(path), 0o640, |temporary| std::fs::write(temporary, stamp))
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
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut from = trust::open(&self.path, Owner::Service)?;
        io::copy(&mut from, &mut OpenOptions::new().write(true).open(temporary)?)?;
        Ok(self.patch_rows(temporary, generation, change, now)?)
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
    let mut people: Vec<&DirectoryPerson> = records.iter().filter_map(|new| new.person.as_ref()).collect();
    people.sort_unstable_by(|left, right| left.principal.cmp(&right.principal));
    insert_people(transaction, &people)
}

fn insert_people(transaction: &Transaction<'_>, people: &[&DirectoryPerson]) -> rusqlite::Result<()> {
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

pub(super) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_read_back() {
        assert_eq!(from_hex(&to_hex(b"\x00\xffa")).unwrap(), b"\x00\xffa");
        assert_eq!(from_hex("zz"), None);
    }
}
