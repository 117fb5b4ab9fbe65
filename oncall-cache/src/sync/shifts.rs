//! A schedule's shifts, mapped to people of the directory.

use policy::{Principal, Schedule, Window};

/// One schedule on its way into the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleShifts {
    /// What the roster says of it.
    pub schedule: Schedule,
    /// Its shifts.
    pub shifts: Vec<MappedShift>,
}

/// A shift of a person of the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MappedShift {
    /// Whose it is.
    pub principal: Principal,
    /// Escalation level.
    pub level: u8,
    /// From when to when.
    pub window: Window,
}
