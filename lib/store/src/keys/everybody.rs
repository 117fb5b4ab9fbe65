//! Everybody in the copy at once, for a collector that publishes them to other hosts.

use policy::{Principal, Timestamp};

use super::copy::{KeyRow, MOST_OF_ONE, PersonRow, ROW_BYTES, TOO_MUCH, of};
use super::{KeyCopy, standing};
use crate::StoreError;
use crate::pages::Damaged;

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
    /// Gives everybody to `each`, one after the other in order of name, with nobody in memory but the one person.
    ///
    /// # Errors
    /// The copy cannot be read, or has more people, or more keys of one, than any.
    pub fn everybody(&self, each: impl FnMut(StoredPerson)) -> Result<(), StoreError> {
        self.read_everybody(each).map_err(|error| self.damaged(error))
    }

    fn read_everybody(&self, mut each: impl FnMut(StoredPerson)) -> Result<(), Damaged> {
        let (mut left, mut keys) = (MOST_PEOPLE, 0_u64);
        self.tables.rows("person", PersonRow::COLUMNS, |row| {
            left = left.checked_sub(1).ok_or(TOO_MUCH)?;
            let mut person = stored(&PersonRow(row))?;
            let mut room = MOST_OF_ONE;
            let name = PersonRow(row).name()?;
            self.tables.range("public_key", KeyRow::COLUMNS, of(name), |row| {
                let line = KeyRow(row).checked_line()?;
                room = room.checked_sub(line.len() + ROW_BYTES).ok_or(TOO_MUCH)?;
                person.keys.push(line.to_string());
                Ok(())
            })?;
            keys += person.keys.len() as u64;
            each(person);
            Ok(())
        })?;
        self.tables.rows("public_key", KeyRow::COLUMNS, |_| {
            keys = keys.checked_sub(1).ok_or("a key without a person")?;
            Ok(())
        })
    }
}

fn stored(row: &PersonRow<'_, '_>) -> Result<StoredPerson, Damaged> {
    let (disabled, begins) = standing(row.disabled()?);
    Ok(StoredPerson {
        principal: Principal::new(row.name()?)?,
        eligible: row.is_eligible()?,
        disabled: disabled.map(str::to_string),
        begins,
        expires: row.expires()?.map(Timestamp::from_unix),
        keys: Vec::new(),
    })
}
