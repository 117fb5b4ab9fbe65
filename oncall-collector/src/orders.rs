//! The fleet's revocations between this collector and the store: of what either knows, neither may lose the other's.
//!
//! The list that a head names is everybody's, but a head can be lost, or shown again by who has the store, and an order that is
//! given while the store is away is known to one collector alone. So a collector that stands by keeps what it sees
//! published, and one that knows more than hosts are told publishes, whoever's turn it is.

use policy::revocations::{Revocations, RevocationsError};
use policy::{Span, Timestamp};

use crate::current::Signed;
use crate::objects::{Objects, ObjectsError};

/// How long a revocation stays in the list after its end: the clock of a host may be behind.
const ENDED: Span = Span::hours(24);

/// The largest list of revocations in a store, in bytes.
const LARGEST: u32 = 4 * 1024 * 1024;

/// What this collector and the last publication know together.
#[derive(Debug)]
pub struct Orders {
    /// About each subject the last order.
    pub list: Revocations,
    /// Does this collector know an order that the publication does not have?
    pub is_ahead: bool,
    /// Why what was published cannot be read, and will not be later: then the list is this collector's alone.
    pub lost: Option<ObjectsError>,
}

impl Orders {
    /// Of what this collector has on its `own`, and what `last` has, at `now`.
    ///
    /// # Errors
    /// What was published cannot be read now; or they are too many.
    pub fn gather(
        own: Revocations,
        last: Option<&Signed>,
        objects: &Objects<'_>,
        now: Timestamp,
    ) -> Result<Self, ObjectsError> {
        let mut orders = Self { list: own, is_ahead: false, lost: None };
        match last.map(|last| published(objects, last)).transpose() {
            Ok(None) => {}
            Ok(Some(theirs)) => {
                orders.is_ahead = orders.list.is_ahead_of(&theirs, now);
                orders.list.merge(&theirs).map_err(ObjectsError::Revocations)?;
            }
            Err(problem) if problem.may_pass() => return Err(problem),
            Err(problem) => orders.lost = Some(problem),
        }
        orders.list.drop_ended(now.minus(ENDED));
        Ok(orders)
    }
}

/// The revocations that a head has.
///
/// # Errors
/// They cannot be read.
pub fn published(objects: &Objects<'_>, last: &Signed) -> Result<Revocations, ObjectsError> {
    let text = objects.read(&last.head.revoked.object, LARGEST)?;
    let unusable = ObjectsError::Revocations;
    let text = std::str::from_utf8(&text).map_err(|_| unusable(RevocationsError::Form))?;
    Ok(Revocations::parse(text).map_err(unusable)?.read_at(None))
}
