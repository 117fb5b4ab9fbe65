//! The rota of a publication as sinks take it: with who is eligible, and what of it came late, both by what the fleet has
//! published. So whoever publishes next, on another disk, goes on with the same.
//!
//! When a shift came is not published: it is seen by comparing each publication with the one before it, as each host of the
//! fleet does. A collector that has not handed over the one before reads in the store's record of heads what was published
//! in the time that counts.

use std::collections::BTreeMap;
use std::path::Path;

use fleet::{FleetShift, Head, LARGEST_HEAD, LARGEST_OBJECT, ScheduleShifts};
use policy::{NOTICE, Principal, Roster, Schedule, ScheduleRef, Shift, Timestamp, late_shifts};
use signed::Signers;

use crate::current::{Signed, judge};
use crate::handed;
use crate::objects::{Objects, ObjectsError};
use crate::own::Own;
use crate::stores::{PAST, Store, past};

/// The most heads of the record that are read.
const MOST_HEADS: usize = 50;

/// What the rota is made of.
pub struct Telling<'a> {
    /// Where publications are.
    pub store: &'a dyn Store,
    /// Their objects.
    pub objects: &'a Objects<'a>,
    /// Which fleet they are of.
    pub fleet: &'a str,
    /// Whose signatures count.
    pub signers: &'a Signers,
    /// Where the last rota was handed over.
    pub directory: &'a Path,
    /// What this host knows by itself.
    pub own: &'a Own,
}

impl Telling<'_> {
    /// The rota of `head`, which was published after `last`; what is not known of it is a line in `notes`.
    ///
    /// # Errors
    /// An object of it cannot be read.
    pub fn roster(
        &self,
        head: &Head,
        last: Option<&Signed>,
        notes: &mut Vec<String>,
    ) -> Result<Roster, ObjectsError> {
        let before = match last {
            Some(last) => self.before(last, head.issued, notes),
            None => self.own.roster.clone(),
        };
        let mut roster = self.shifts_of(head)?;
        roster.eligible = self.eligible(head)?;
        roster.late = late_shifts(before.as_ref(), &roster, head.issued);
        Ok(roster)
    }

    /// Everybody known, and whether they may ever become root: as published, unless that is this host's own copy, or nothing.
    fn eligible(&self, head: &Head) -> Result<BTreeMap<Principal, bool>, ObjectsError> {
        let is_own = self.own.people.as_ref().is_some_and(|own| Some(own.read) == head.people_read);
        match &head.people {
            Some(root) if !is_own => {
                let people = self.objects.people(root)?.into_iter();
                Ok(people.map(|person| (person.principal, person.eligible)).collect())
            }
            _ => Ok(self.own.roster.as_ref().map(|own| own.eligible.clone()).unwrap_or_default()),
        }
    }

    /// What was published before, with what of it was late then.
    fn before(&self, last: &Signed, at: Timestamp, notes: &mut Vec<String>) -> Option<Roster> {
        let handed = handed::last(self.directory, last.mark.sequence, at);
        handed.or_else(|| match self.replayed(last, at) {
            Ok(roster) => roster,
            Err(problem) => {
                notes.push(format!(
                    "which shifts the fleet learned late is told by this host alone, as what was published before cannot be read: {problem}"
                ));
                self.own.roster.clone()
            }
        })
    }

    /// The same, from the record: what is late for longer than this counts like all else.
    fn replayed(&self, last: &Signed, at: Timestamp) -> Result<Option<Roster>, ObjectsError> {
        let sequence = |name: &str| name.strip_prefix(PAST)?.parse::<u64>().ok();
        let names = self.store.list(PAST)?;
        let mut sequences: Vec<u64> = names.iter().filter_map(|entry| sequence(&entry.name)).collect();
        sequences.retain(|one| *one < last.mark.sequence);
        sequences.sort_unstable_by(|one, other| other.cmp(one));
        let mut heads = vec![last.head.clone()];
        for sequence in sequences.into_iter().take(MOST_HEADS) {
            let found = self.store.get(&past(sequence), 16 * LARGEST_HEAD as u64)?;
            // One whose key has ended says nothing any more.
            let head = found.and_then(|found| judge(&found.bytes, self.fleet, self.signers, at).ok());
            let Some(Signed { head, .. }) = head else { continue };
            let is_of_before = head.issued <= at.minus(NOTICE);
            heads.push(head);
            if is_of_before {
                break;
            }
        }
        let mut known: Option<Roster> = None;
        for head in heads.iter().rev() {
            let mut roster = self.shifts_of(head)?;
            roster.late = late_shifts(known.as_ref(), &roster, head.issued);
            known = Some(roster);
        }
        Ok(known)
    }

    /// The schedules and shifts that `head` names.
    fn shifts_of(&self, head: &Head) -> Result<Roster, ObjectsError> {
        let (mut schedules, mut shifts) = (Vec::new(), Vec::new());
        if let (Some(part), Some(read)) = (&head.rota, head.rota_read) {
            for (number, one) in self.objects.index(part)?.schedules().iter().enumerate() {
                let one = one.resolve(read);
                let bytes = self.objects.read(&one.shifts.object, LARGEST_OBJECT)?;
                let read = ScheduleShifts::parse(&bytes).map_err(ObjectsError::Form)?;
                shifts.extend(read.shifts().iter().map(|shift: &FleetShift| Shift {
                    schedule: number,
                    principal: shift.principal.clone(),
                    level: shift.level,
                    window: shift.window,
                }));
                schedules.push(Schedule {
                    reference: ScheduleRef { source: one.source, id: one.id },
                    provider_id: one.provider_id,
                    name: one.name,
                    // Another collector's clock may be ahead: what it read is no newer than what is published here.
                    synced: one.read.min(head.issued),
                    horizon: one.horizon,
                });
            }
        }
        let (late, incidents, eligible) = (Vec::new(), Default::default(), BTreeMap::new());
        let (published, floor, shifts) = (head.issued, head.issued, shifts.into());
        Ok(Roster { published, floor, schedules, shifts, late, incidents, eligible })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fleet::people::FleetPerson;
    use fleet::{Digest, Part};

    use super::*;
    use crate::own::Stamps;
    use crate::stores::{Access, Directory};

    #[test]
    fn who_is_eligible_is_as_published_also_where_this_disk_knows_better() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let [copies, store] = ["copies", "store"].map(|name| directory.path().join(name));
        std::fs::create_dir(&copies).unwrap();
        std::fs::create_dir(&store).unwrap();
        let copies = Directory::open(&copies, Access::Write).unwrap();
        let store = Directory::open(&store, Access::Write).unwrap();
        let none = BTreeSet::new();
        let mut objects = Objects::new(&copies, &store, &none);
        let name = |name: &str| Principal::new(name).unwrap();
        let person = |principal: Principal| FleetPerson {
            eligible: principal.as_str() != "bob",
            principal,
            disabled: None,
            begins: None,
            expires: None,
            keys: Vec::new(),
        };
        // More than one object holds.
        let mut people: Vec<_> = (0..300).map(|number| person(name(&format!("p{number}")))).collect();
        people.push(person(name("bob")));
        let root = objects.build(people, &mut Vec::new()).unwrap();
        let at = Timestamp::from_unix(1_795_000_000);
        let path = directory.path().join("config.toml");
        let syncs = host::Config::parse(&path, b"").unwrap();
        let own = Roster {
            published: at,
            floor: at,
            schedules: Vec::new(),
            shifts: Vec::new().into(),
            late: Vec::new(),
            incidents: Default::default(),
            eligible: [(name("bob"), true)].into(),
        };
        let own = Own {
            scope: Digest::of(b""),
            roster: Some(own),
            people: None,
            proven: Vec::new(),
            problems: Vec::new(),
            stamps: Stamps::now(&syncs),
        };
        let (signers, _) = Signers::parse(b"");
        let telling = Telling {
            store: &store,
            objects: &objects,
            fleet: "example",
            signers: &signers,
            directory: directory.path(),
            own: &own,
        };
        let head = |people: Option<Part>| Head {
            fleet: "example".to_string(),
            sequence: 1,
            issued: at,
            valid: at.plus(NOTICE),
            scope: Digest::of(b""),
            rota_read: None,
            incidents_read: None,
            people_read: people.map(|_| at),
            revoked_read: at,
            rota: None,
            people,
            incidents: None,
            revoked: root,
            pack: None,
            pad: 1,
        };
        let eligible = |people| telling.roster(&head(people), None, &mut Vec::new()).unwrap().eligible;
        let published = eligible(Some(root));
        assert_eq!(published.len(), 301);
        assert_eq!((published[&name("bob")], published[&name("p7")]), (false, true));
        // A fleet without people: each host has its own.
        assert_eq!(eligible(None), [(name("bob"), true)].into());
    }
}
