//! The roster: who is on call, for which schedule, between which instants.
//!
//! This is the roster in memory, as a reader gets it from `store`. Each schedule carries its own
//! age and horizon, because each is fetched, refused and trusted on its own.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell};
use core::fmt;
use core::ops::Deref;

use crate::{Incidents, LateShift, OneLine, Principal, Rules, Span, Timestamp, Window};

/// A schedule as rules and logs name it: the source's name in the configuration, and the text that names the
/// schedule there. Prints as `pd/PDB0001`. No name that a provider tells is ever compared with it: whoever edits
/// the rota chooses those.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleRef {
    /// Name of the `[[oncall.source]]`.
    pub source: String,
    /// The text in `schedules`; the provider's id, where the source lists none.
    pub id: String,
}

impl fmt::Display for ScheduleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.id)
    }
}

/// Finds what names schedules among others. Rules, rosters and the configuration mostly have them in one order, so the
/// next is looked at first; only where that fails are they sorted.
#[derive(Debug)]
pub struct ScheduleIndex<'a> {
    names: Vec<&'a ScheduleRef>,
    next: Cell<usize>,
    sorted: OnceCell<BTreeMap<(&'a str, &'a str), usize>>,
}

impl<'a> ScheduleIndex<'a> {
    /// Where in `names` the schedule `id` of `source` is.
    pub fn find(&self, source: &str, id: &str) -> Option<usize> {
        let next = self.next.get();
        let found = match self.names.get(next) {
            Some(name) if name.source == source && name.id == id => Some(next),
            _ => self.sorted.get_or_init(|| self.sort()).get(&(source, id)).copied(),
        };
        self.next.set(found.map_or(next, |found| found + 1));
        found
    }

    fn sort(&self) -> BTreeMap<(&'a str, &'a str), usize> {
        let numbered = self.names.iter().enumerate();
        numbered.map(|(number, name)| ((&*name.source, &*name.id), number)).collect()
    }
}

impl<'a> FromIterator<&'a ScheduleRef> for ScheduleIndex<'a> {
    fn from_iter<T: IntoIterator<Item = &'a ScheduleRef>>(names: T) -> Self {
        Self { names: names.into_iter().collect(), next: Cell::new(0), sorted: OnceCell::new() }
    }
}

/// What is known of one schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// What names it in the configuration.
    pub reference: ScheduleRef,
    /// The provider's id of what that text was found to name.
    pub provider_id: String,
    /// The provider's name for people; may equal the id.
    pub name: OneLine,
    /// The last sync that read it whole.
    pub synced: Timestamp,
    /// The end of what that sync asked for. After it nothing is known, not "nobody".
    pub horizon: Timestamp,
}

impl Schedule {
    /// The first instant at which this schedule is no longer trusted.
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

/// Shifts in the order of their people, then of time; each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shifts(Vec<Shift>);

impl Shifts {
    /// The shifts of one person, in the order of time.
    pub fn of(&self, person: &Principal) -> &[Shift] {
        let start = self.0.partition_point(|shift| shift.principal < *person);
        let own = self.0.get(start..).unwrap_or_default();
        own.get(..own.partition_point(|shift| shift.principal == *person)).unwrap_or_default()
    }
}

impl From<Vec<Shift>> for Shifts {
    fn from(mut shifts: Vec<Shift>) -> Self {
        let order = |one: &Shift, other: &Shift| {
            let rest = |shift: &Shift| (shift.window, shift.schedule, shift.level);
            one.principal.cmp(&other.principal).then_with(|| rest(one).cmp(&rest(other)))
        };
        // What a copy keeps is in order already.
        if !shifts.is_sorted_by(|one, other| order(one, other).is_lt()) {
            shifts.sort_by(order);
            shifts.dedup();
        }
        Self(shifts)
    }
}

impl FromIterator<Shift> for Shifts {
    fn from_iter<T: IntoIterator<Item = Shift>>(shifts: T) -> Self {
        shifts.into_iter().collect::<Vec<_>>().into()
    }
}

impl Deref for Shifts {
    type Target = [Shift];

    fn deref(&self) -> &[Shift] {
        &self.0
    }
}

impl<'s> IntoIterator for &'s Shifts {
    type Item = &'s Shift;
    type IntoIter = core::slice::Iter<'s, Shift>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// All shifts known to this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// When it was written, by the clock of then.
    pub published: Timestamp,
    /// Before this, but for the tolerated skew, no reader trusts it: a clock went back.
    pub floor: Timestamp,
    /// Every configured schedule.
    pub schedules: Vec<Schedule>,
    /// Every shift in those schedules.
    pub shifts: Shifts,
    /// What of these shifts was not known here in time.
    pub late: Vec<LateShift>,
    /// What is known of incidents; kept beside it, and as old as it says itself.
    pub incidents: Incidents,
    /// Everyone known, and whether the directory lets them ever become root.
    pub eligible: BTreeMap<Principal, bool>,
}

impl Roster {
    /// Does a clock that shows `now` allow it to be trusted?
    pub fn clock_holds(&self, now: Timestamp) -> bool {
        self.floor <= now.plus(Rules::SKEW)
    }

    /// The schedule that a rule names.
    pub fn find(&self, wanted: &ScheduleRef) -> Option<usize> {
        self.schedules.iter().position(|schedule| schedule.reference == *wanted)
    }

    /// Where this shift is late at `at`: when it was found.
    pub fn late_at(&self, shift: &Shift, at: Timestamp) -> Option<Timestamp> {
        let parts = self.late_parts(shift).filter(|part| part.window.contains(at));
        parts.map(|part| part.seen).max()
    }

    /// The parts of this shift that are late.
    pub fn late_parts(&self, shift: &Shift) -> impl Iterator<Item = &LateShift> {
        let schedule = self.schedules.get(shift.schedule).map(|schedule| &schedule.reference);
        self.late.iter().filter(move |part| {
            Some(&part.schedule) == schedule && part.principal == shift.principal && part.level == shift.level
        })
    }

    /// Does the directory say that `principal` may ever become root?
    pub fn is_eligible(&self, principal: &Principal) -> bool {
        self.eligible.get(principal).copied().unwrap_or(false)
    }
}
