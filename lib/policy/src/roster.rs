//! The roster: who is on call, for which schedule, between which instants.
//!
//! This is the roster in memory, as a reader gets it from `store`. Each schedule carries its own
//! age and horizon, because each is fetched, refused and believed on its own.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Principal, Span, Timestamp, Window};

/// A schedule as rules and logs name it: the source's name in the configuration, and the
/// provider's id. Prints as `pd/PDB0001`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleRef {
    /// Name of the `[[oncall.source]]`.
    pub source: String,
    /// The provider's id, or in a rule the schedule's exact name.
    pub id: String,
}

impl fmt::Display for ScheduleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.id)
    }
}

/// What is known of one schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Source and provider's id.
    pub reference: ScheduleRef,
    /// The provider's name for people; may equal the id.
    pub name: String,
    /// The last sync that read it whole.
    pub synced: Timestamp,
    /// The end of what that sync asked for. After it nothing is known, not "nobody".
    pub horizon: Timestamp,
}

impl Schedule {
    /// The first instant at which this schedule is no longer believed.
    pub fn believed_until(&self, max_age: Span) -> Timestamp {
        self.synced.plus(max_age).min(self.horizon)
    }
}

/// One person, one schedule, one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// Index into [`Roster::schedules`].
    pub schedule: usize,
    /// Whose shift it is.
    pub principal: Principal,
    /// Escalation level; 1 is paged first.
    pub level: u8,
    /// From when to when.
    pub window: Window,
}

/// All shifts known to this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// When it was written: no reader believes it at an earlier instant (a clock went back).
    pub published: Timestamp,
    /// Every configured schedule.
    pub schedules: Vec<Schedule>,
    /// Every shift in those schedules.
    pub shifts: Vec<Shift>,
    /// Everyone known, and whether the directory lets them ever become root.
    pub eligible: BTreeMap<Principal, bool>,
}

impl Roster {
    /// The schedule that a rule names: by its id; or by its name, if no schedule of the source has that id and
    /// only one has that name. A name is what anybody who may edit the rota can choose.
    pub fn find(&self, wanted: &ScheduleRef) -> Option<usize> {
        let ours = |schedule: &Schedule| schedule.reference.source == wanted.source;
        let by_id = |schedule: &Schedule| schedule.reference.id == wanted.id && ours(schedule);
        if let Some(number) = self.schedules.iter().position(by_id) {
            return Some(number);
        }
        let by_name = |schedule: &Schedule| schedule.name == wanted.id && ours(schedule);
        let mut named = self.schedules.iter().enumerate().filter(|(_, schedule)| by_name(schedule));
        match (named.next(), named.next()) {
            (Some((number, _)), None) => Some(number),
            _ => None,
        }
    }

    /// Does the directory say that `principal` may ever become root?
    pub fn is_eligible(&self, principal: &Principal) -> bool {
        self.eligible.get(principal).copied().unwrap_or(false)
    }
}
