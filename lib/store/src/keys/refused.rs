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
        let refused = self.refused_values(Some(principal)).and_then(|mut refused| {
            refused.extend(self.weak_keys(principal)?);
            Ok(refused)
        });
        refused.map_err(|error| self.damaged(error))
    }

    /// What the last sync refused of everybody, as [`KeyCopy::refused_of`]. Their keys are not judged once more, which takes
    /// a processor 12 us for each (Ed25519): the first sync of a release reads everybody anew, and refuses by its own rules.
    ///
    /// # Errors
    /// A row is damaged, or a key has not the form of one.
    pub fn refused(&self) -> Result<Vec<Refused>, StoreError> {
        let refused = self.refused_values(None).and_then(|refused| {
            self.tables.rows("public_key", KeyRow::COLUMNS, |row| KeyRow(row).checked_line().map(drop))?;
            Ok(refused)
        });
        refused.map_err(|error| self.damaged(error))
    }

    fn refused_values(&self, principal: Option<&Principal>) -> Result<Vec<Refused>, Damaged> {
        let mut refused = Vec::new();
        // principal, number, problem
        let each = |row: &Row<'_>| {
            let name = row.text(0)?;
            if refused.len() < MOST_REFUSED && self.is_open(name)? {
                let problem = KeyProblem::from_token(row.text(2)?);
                let problem = problem.ok_or("a dropped value with an unknown reason")?;
                let which = Which::Value(u32::try_from(row.integer(1)?)?);
                refused.push(Refused { principal: Principal::new(name)?, which, problem });
            }
            Ok(())
        };
        match principal {
            Some(principal) => self.tables.range("rejected", 3, of(principal.as_str()), each)?,
            None => self.tables.rows("rejected", 3, each)?,
        }
        Ok(refused)
    }

    fn weak_keys(&self, principal: &Principal) -> Result<Vec<Refused>, Damaged> {
        let mut weak = Vec::new();
        self.tables.range("public_key", KeyRow::COLUMNS, of(principal.as_str()), |row| {
            let row = KeyRow(row);
            if let Err(problem) = PublicKey::parse(row.line()?.as_bytes())
                && weak.len() < MOST_REFUSED
                && self.is_open(row.owner()?)?
            {
                if !problem.is_weakness() {
                    return Err(problem.to_string().into());
                }
                let digest: Digest = row.fingerprint()?.try_into()?;
                weak.push(Refused { principal: principal.clone(), which: Which::Key(digest), problem });
            }
            Ok(())
        })?;
        Ok(weak)
    }
}
