//! The head that the store has now, as a publisher sees it: what it publishes next is built upon this.

use std::fmt;

use fleet::{Head, HeadError, HeadRefusal, LARGEST_HEAD, Mark, Origin};
use mirror::{FleetError, Trusted};
use policy::Timestamp;
use signed::{Purpose, Signers};

use crate::stores::{HEAD, Store, StoreError, Version};

/// What is at `head`.
#[derive(Debug)]
pub struct Current {
    /// By which it is swapped; none, if nothing is there.
    pub version: Option<Version>,
    /// What time it is by the store, if it says so.
    pub date: Option<Timestamp>,
    /// The head, if one is there that counts.
    pub head: Option<Signed>,
    /// Why what is there does not count. It is replaced, for no host takes it over.
    pub problem: Option<FleetError>,
}

/// A head that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub head: Head,
    /// Who signed it.
    pub names: Vec<String>,
    /// The bytes of its text.
    pub length: usize,
    /// It, as a mark.
    pub mark: Mark,
}

/// Why nothing is published upon it.
#[derive(Debug)]
pub enum CurrentError {
    /// It cannot be read.
    Store(StoreError),
    /// It is another fleet's: its name.
    OtherFleet(String),
}

impl fmt::Display for CurrentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::OtherFleet(name) => write!(
                f,
                "the store has a publication of the fleet `{name}`; see `fleet` and [store] in collector.toml"
            ),
        }
    }
}

impl std::error::Error for CurrentError {}

impl Current {
    /// Reads it, and judges it for the fleet `id` by `signers` as they are now: a key that has ended says nothing any
    /// more, whatever instant it writes.
    ///
    /// # Errors
    /// It cannot be read, or is another fleet's.
    pub fn read(
        store: &dyn Store,
        id: &str,
        signers: &Signers,
        now: Timestamp,
    ) -> Result<Self, CurrentError> {
        let found = match store.get(HEAD, 16 * LARGEST_HEAD as u64) {
            Ok(found) => found,
            // What is larger is no head, and is replaced as such.
            Err(StoreError::TooLarge(..)) => {
                let version = store.version(HEAD).map_err(CurrentError::Store)?;
                let problem = version.as_ref().map(|_| FleetError::Form(HeadError::TooLong));
                return Ok(Self { version, date: None, head: None, problem });
            }
            Err(error) => return Err(CurrentError::Store(error)),
        };
        let Some(found) = found else {
            return Ok(Self { version: None, date: None, head: None, problem: None });
        };
        let (version, date) = (Some(found.version), found.date);
        match judge(&found.bytes, id, signers, now) {
            Ok(head) => Ok(Self { version, date, head: Some(head), problem: None }),
            Err((FleetError::Refused(HeadRefusal::Fleet), name)) => Err(CurrentError::OtherFleet(name)),
            Err((problem, _)) => Ok(Self { version, date, head: None, problem: Some(problem) }),
        }
    }
}

/// The head in `document`; else why it does not count, and which fleet it says it is of.
pub fn judge(
    document: &[u8],
    id: &str,
    signers: &Signers,
    now: Timestamp,
) -> Result<Signed, (FleetError, String)> {
    let unsigned = |error| (FleetError::Signature(error), String::new());
    let (text, names) =
        signed::verify_document(signers, Purpose::Head, document, now, 1).map_err(unsigned)?;
    let head = Head::parse(text).map_err(|error| (FleetError::Form(error), String::new()))?;
    // Ended, it still says what was published last: so it is judged as a copy is.
    let trusted = Trusted { fleet: id, epoch: 0, signers, signatures: 1 };
    let opened = mirror::open(&trusted, document, None, Origin::Copy, now);
    let opened = opened.map_err(|problem| (problem, head.fleet.clone()))?;
    Ok(Signed { head: opened.head, names, length: text.len(), mark: opened.mark })
}
