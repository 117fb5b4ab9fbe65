//! What of the copy is refused, for those who ask why somebody has no key.

use policy::{Digest, Principal};

use super::copy::{KeyRow, of};
use super::{KeyCopy, Refused, Which};
use crate::pages::{Damaged, Row};
use crate::{KeyProblem, PublicKey, StoreError};

/// The most refused values that are told.
const MOST_REFUSED: usize = 20_000;

impl KeyCopy {
    /// What is refused of `principal`: values in the directory's order, then what an earlier release took for keys; nothing
    /// if they are disabled.
    ///
    /// # Errors
    /// A row of theirs is damaged.
    pub fn refused_of(&self, principal: &Principal) -> Result<Vec<Refused>, StoreError> {
        self.read_refused_of(principal).map_err(|error| self.damaged(error))
    }

    /// What the last sync refused of everybody, as [`KeyCopy::refused_of`]. Their keys are not judged once more, which takes
    /// a processor 12 us for each (Ed25519): the first sync of a release reads everybody anew, and refuses by its own rules.
    ///
    /// # Errors
    /// A row is damaged, or a key has not the form of one.
    pub fn refused(&self) -> Result<Vec<Refused>, StoreError> {
        self.read_refused().map_err(|error| self.damaged(error))
    }

    fn read_refused_of(&self, principal: &Principal) -> Result<Vec<Refused>, Damaged> {
        let mut refused = Vec::new();
        if !self.is_open(principal.as_str())? {
            return Ok(refused);
        }
        let mut keep = |one| {
            if refused.len() < MOST_REFUSED {
                refused.push(one);
            }
        };
        self.tables.range("rejected", VALUE_COLUMNS, of(principal.as_str()), |row| {
            keep(refused_value(row)?);
            Ok(())
        })?;
        self.tables.range("public_key", KeyRow::COLUMNS, of(principal.as_str()), |row| {
            let row = KeyRow(row);
            if let Err(problem) = PublicKey::parse(row.line()?.as_bytes()) {
                if !problem.is_weakness() {
                    return Err(problem.to_string().into());
                }
                let digest: Digest = row.fingerprint()?.try_into()?;
                keep(Refused { principal: principal.clone(), which: Which::Key(digest), problem });
            }
            Ok(())
        })?;
        Ok(refused)
    }

    fn read_refused(&self) -> Result<Vec<Refused>, Damaged> {
        let mut refused = Vec::new();
        self.tables.rows("rejected", VALUE_COLUMNS, |row| {
            if refused.len() < MOST_REFUSED && self.is_open(row.text(0)?)? {
                refused.push(refused_value(row)?);
            }
            Ok(())
        })?;
        self.tables.rows("public_key", KeyRow::COLUMNS, |row| KeyRow(row).checked_line().map(drop))?;
        Ok(refused)
    }
}

/// Of a row of `rejected`: principal, number, problem.
const VALUE_COLUMNS: usize = 3;

fn refused_value(row: &Row<'_>) -> Result<Refused, Damaged> {
    let problem = KeyProblem::from_token(row.text(2)?).ok_or("a dropped value with an unknown reason")?;
    let which = Which::Value(u32::try_from(row.integer(1)?)?);
    Ok(Refused { principal: Principal::new(row.text(0)?)?, which, problem })
}
