//! How well this host knows who is on call: status.json, which each sync writes, what follows from it and from the
//! roster, and which mode holds.
//!
//! `status`, `who` and the doctor say the same of the same files because they ask here.

#![forbid(unsafe_code)]

mod fleet;
mod grants;
mod health;
mod inner_groups;
pub mod mode;
mod sync_status;

pub use fleet::{FleetStatus, HeadStatus, RefusedHead};
pub use grants::{Standing, standing, unshown};
pub use health::{FAILING, Health, Known, NOT_BELIEVED, OnCall, Row, Status, unknown_incidents};
pub use inner_groups::InnerGroups;
pub use sync_status::{
    ScheduleState, ScheduleStatus, SyncStatus, SyncStatusError, UpcomingRefusal, path, policy_digest,
};
