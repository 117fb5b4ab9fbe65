//! What of the copy is refused, for those who ask why somebody has no key.

use policy::{Digest, Principal};

use super::copy::{KeyRow, of};
use super::{KeyCopy, Refused, Which};
use crate::pages::{Damaged, Row};
use crate::{KeyProblem, PublicKey, StoreError};

/// The most refused values that are told.
const MOST_REFUSED: usize = 20_000;

impl KeyCopy {
    /// What is refused of `principal`, or of everybody: values in the directory's order, then what an earlier
    /// release took for keys; nothing of disabled people.
    pub fn refused(&self, principal: Option<&Principal>) -> Result<Vec<Refused>, StoreError> {
        self.read_refused(principal).map_err(|error| self.damaged(error))
    }

    fn read_refused(&self, principal: Option<&Principal>) -> Result<Vec<Refused>, Damaged> {
        let mut refused = Vec::new();
        // principal, number, problem
        self.rows_of("rejected", 3, principal, |row| {
            let name = row.text(0)?;
            if refused.len() < MOST_REFUSED && self.is_open(name)? {
                let problem = KeyProblem::from_token(row.text(2)?);
                let problem = problem.ok_or("a dropped value with an unknown reason")?;
                let which = Which::Value(u32::try_from(row.integer(1)?)?);
                refused.push(Refused { principal: Principal::new(name)?, which, problem });
            }
            Ok(())
        })?;
        self.rows_of("public_key", KeyRow::COLUMNS, principal, |row| {
            let row = KeyRow(row);
            if let Err(problem) = PublicKey::parse(row.line()?.as_bytes())
                && refused.len() < MOST_REFUSED
                && self.is_open(row.owner()?)?
            {
                if !problem.is_weakness() {
                    return Err(problem.to_string().into());
                }
                let digest: Digest = row.fingerprint()?.try_into()?;
                let principal = Principal::new(row.owner()?)?;
                refused.push(Refused { principal, which: Which::Key(digest), problem });
            }
            Ok(())
        })?;
        Ok(refused)
    }

    /// Gives to `each` the rows of a table whose key begins with a name: of `principal`, or of everybody.
    fn rows_of(
        &self,
        table: &str,
        columns: usize,
        principal: Option<&Principal>,
        each: impl FnMut(&Row<'_>) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        match principal {
            Some(principal) => self.tables.range(table, columns, of(principal.as_str()), each),
            None => self.tables.rows(table, columns, each),
        }
    }
}
