//! Everybody in the copy at once, for a collector that publishes them to other hosts.

use std::error::Error;

use policy::{Principal, Timestamp};
use rusqlite::Row;

use super::{KeyCopy, MOST_OF_ONE, ROW_BYTES, TOO_MUCH, flag, standing, text};
use crate::StoreError;

/// The most people that are read.
const MOST_PEOPLE: usize = 1 << 20;

/// A person as the copy keeps them, at no instant: whoever reads it judges the beginning and the end by the own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPerson {
    /// Their name.
    pub principal: Principal,
    /// May they ever become root?
    pub eligible: bool,
    /// Why the account is disabled, if it is.
    pub disabled: Option<String>,
    /// The instant before which the account may not be used.
    pub begins: Option<Timestamp>,
    /// The instant from which the account is expired.
    pub expires: Option<Timestamp>,
    /// Their keys, each `TYPE BASE64`, in order of their fingerprints. They have the form of keys; what they are worth is
    /// judged where they are read.
    pub keys: Vec<String>,
}

impl KeyCopy {
    /// Gives everybody to `each`, one after the other in order of name: two passes side by side, with nobody in memory but
    /// the one person.
    ///
    /// # Errors
    /// The copy cannot be read, or has more people, or more keys of one, than any.
    pub fn everybody(&self, each: impl FnMut(StoredPerson)) -> Result<(), StoreError> {
        self.read_everybody(each).map_err(|error| self.corrupt(error))
    }

    fn read_everybody(&self, mut each: impl FnMut(StoredPerson)) -> Result<(), Box<dyn Error>> {
        let mut query = self
            .connection
            .prepare("SELECT principal, eligible, disabled, expires FROM person ORDER BY principal")?;
        let mut keys = self
            .connection
            .prepare("SELECT principal, line, fingerprint FROM public_key ORDER BY principal, fingerprint")?;
        let (mut people, mut keys) = (query.query([])?, keys.query([])?);
        let (mut key, mut left) = (keys.next()?, MOST_PEOPLE);
        while let Some(row) = people.next()? {
            left = left.checked_sub(1).ok_or(TOO_MUCH)?;
            let mut person = stored(row)?;
            let mut room = MOST_OF_ONE;
            while let Some(row) = key {
                if text(row, 0)? != person.principal.as_str() {
                    break;
                }
                let line = key_line(row)?;
                room = room.checked_sub(line.len() + ROW_BYTES).ok_or(TOO_MUCH)?;
                person.keys.push(line.to_string());
                key = keys.next()?;
            }
            each(person);
        }
        if key.is_some() { Err("a key without a person".into()) } else { Ok(()) }
    }
}

fn stored(row: &Row<'_>) -> Result<StoredPerson, Box<dyn Error>> {
    let (disabled, begins) = standing(row.get(2)?);
    Ok(StoredPerson {
        principal: Principal::new(text(row, 0)?)?,
        eligible: flag(row.get(1)?)?,
        disabled,
        begins,
        expires: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_unix),
        keys: Vec::new(),
    })
}

fn key_line<'r>(row: &'r Row<'_>) -> Result<&'r str, Box<dyn Error>> {
    let line = text(row, 1)?;
    let digest = key::digest_of(line).ok_or("a key in the wrong form")?;
    if row.get_ref(2)?.as_blob()? == digest {
        Ok(line)
    } else {
        Err("a fingerprint that does not match its key".into())
    }
}
