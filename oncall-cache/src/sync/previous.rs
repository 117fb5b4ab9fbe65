//! What the sync before published.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use host::clock;
use policy::{LeftOut, Principal, Roster, ScheduleRef, Shift, Timestamp, restore};
use store::keys::Contact;
use store::roster::{self, Mapping};

use super::shifts::{MappedShift, ScheduleShifts};

/// The roster that stands, if one does.
pub struct Previous {
    roster: Option<Roster>,
    /// What of the rota is not in it.
    left: Vec<LeftOut>,
    /// The same as the rota has it, where it is other.
    whole: Option<Roster>,
    mappings: BTreeSet<Mapping>,
    is_clock_behind: bool,
}

impl Previous {
    /// Reads what was published before; a copy that is not trusted tells nothing.
    pub fn read(path: &Path, now: Timestamp) -> Self {
        let roster = roster::read(path, now).ok();
        let proven = roster
            .as_ref()
            .filter(|roster| !roster.clock_holds(now))
            .and_then(|roster| clock::proven(path).filter(|proven| proven.vouches_for(roster.published)));
        let mappings = roster::mappings(path).unwrap_or_default();
        let left = roster.as_ref().map(|roster| roster::left_out(path, roster)).unwrap_or_default();
        let whole = |roster: &Roster| Roster { shifts: restore(roster, &left), ..roster.clone() };
        let whole = roster.as_ref().filter(|_| !left.is_empty()).map(whole);
        Self { roster, left, whole, mappings, is_clock_behind: proven.is_some() }
    }

    /// Is this host's clock behind by what is proven? Then what seems to be from the future is not, and nothing is trusted
    /// by that clock, whatever stands.
    pub fn is_clock_behind(&self) -> bool {
        self.is_clock_behind
    }

    /// The schedule that the configuration calls `text`.
    pub fn find(&self, source: &str, text: &str) -> Option<ScheduleShifts> {
        let roster = self.whole()?;
        let wanted = ScheduleRef { source: source.to_string(), id: text.to_string() };
        self.numbered(roster.find(&wanted)?)
    }

    /// What stands of `source`.
    pub fn of_source(&self, source: &str) -> Vec<ScheduleShifts> {
        let schedules = self.whole().into_iter().flat_map(|roster| roster.schedules.iter().enumerate());
        let ours = schedules.filter(|(_, schedule)| schedule.reference.source == source);
        ours.filter_map(|(number, _)| self.numbered(number)).collect()
    }

    fn numbered(&self, number: usize) -> Option<ScheduleShifts> {
        let roster = self.whole()?;
        let mapped = |shift: &Shift| MappedShift {
            principal: shift.principal.clone(),
            level: shift.level,
            window: shift.window,
        };
        Some(ScheduleShifts {
            schedule: roster.schedules.get(number)?.clone(),
            shifts: roster.shifts.iter().filter(|shift| shift.schedule == number).map(mapped).collect(),
        })
    }

    /// The rota that stands with who may become root by now: that counts before a schedule can be read again. Not where
    /// this host's clock is behind the roster that stands: then its age cannot be told.
    pub fn again(&self, people: &[Contact], now: Timestamp) -> Option<Roster> {
        let old = self.whole().filter(|old| old.clock_holds(now))?;
        let published = old.schedules.iter().map(|schedule| schedule.synced).fold(now, Timestamp::max);
        let mut new = Roster { published, floor: published, ..old.clone() };
        new.eligible = eligibility(people, new.shifts.iter().map(|shift| &shift.principal));
        Some(new)
    }

    /// Is this other than what stands, whatever its date: who may become root, or what files leave of the rota?
    pub fn differs(&self, roster: &Roster, left: &[LeftOut]) -> bool {
        let same = |old: &Roster| old.eligible == roster.eligible && old.shifts == roster.shifts;
        self.left != left || !self.roster.as_ref().is_some_and(same)
    }

    /// What of the rota is not in what stands.
    pub fn left(&self) -> &[LeftOut] {
        &self.left
    }

    /// What stands, as the rota has it.
    pub fn whole(&self) -> Option<&Roster> {
        self.whole.as_ref().or(self.roster.as_ref())
    }

    /// The schedules that stand.
    pub fn schedules(&self) -> impl Iterator<Item = &ScheduleRef> {
        self.roster.iter().flat_map(|roster| roster.schedules.iter().map(|schedule| &schedule.reference))
    }

    /// What stands.
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    /// How its people were found.
    pub fn mappings(&self) -> &BTreeSet<Mapping> {
        &self.mappings
    }
}

/// Everyone who could ever be admitted stands in the roster, and everyone who has a shift: eligibility travels
/// with it.
pub fn eligibility<'p>(
    people: &[Contact],
    shifts: impl Iterator<Item = &'p Principal>,
) -> BTreeMap<Principal, bool> {
    let listed = people.iter().filter(|person| person.eligible);
    let mut eligible: BTreeMap<Principal, bool> =
        listed.map(|person| (person.principal.clone(), true)).collect();
    for principal in shifts {
        eligible.entry(principal.clone()).or_insert(false);
    }
    eligible
}
