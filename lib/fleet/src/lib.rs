//! What a collector publishes and hosts read: a small signed head, and immutable objects that it names.
//!
//! `oncall-collector publish` writes them; `oncall-cache pull` and `authkeys-sync` read them. Here are their forms and
//! the rules of which head replaces which. Signatures are checked by `signed`, files are read by `mirror`.
//!
//! Two digests are easily mixed up. An object's *name* is the digest of the stored bytes, which are compressed; the
//! *content* digest is that of the bytes in it. As long as the content is the same, the object stays, whatever
//! release compressed it, and no host fetches it again.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod digest;
mod head;
mod incidents;
mod judge;
mod merge;
mod object;
mod pack;
pub mod people;
mod rota;

pub use digest::Digest;
pub use head::{Head, HeadError, LARGEST_HEAD};
pub use incidents::{FleetIncidents, LARGEST_INCIDENTS, ReadService};
pub use judge::{HeadRefusal, Known, Mark, Origin, Standing};
pub use merge::{later, later_incidents};
pub use object::{LARGEST_OBJECT, ObjectError, ObjectRef, Part};
pub use pack::{LARGEST_PACK, pack, packed_size, unpack};
pub use rota::{
    FleetShift, IndexedSchedule, LARGEST_INDEX, LARGEST_SHIFTS, ReadSchedule, RotaIndex, ScheduleShifts,
};
