//! What is published next: what this host knows, and of the last publication what was read later than that.

use std::collections::BTreeMap;

use fleet::{
    Digest, FleetIncidents, FleetShift, Head, LARGEST_INCIDENTS, Part, ReadSchedule, ReadService, RotaIndex,
    ScheduleShifts, later, later_incidents,
};
use policy::revocations::Revocations;
use policy::{Roster, SourceIncidents, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::current::Signed;
use crate::objects::{Objects, ObjectsError};
use crate::orders::Orders;
use crate::own::{Own, Stamp};

/// What is published next.
#[derive(Debug)]
pub struct Draft {
    /// All of the head but its sequence and padding.
    pub head: Head,
    /// The revocations that it has.
    pub revoked: Revocations,
    /// How many schedules are in it.
    pub schedules: usize,
    /// What could not be used, a line each.
    pub problems: Vec<String>,
    /// What is left out by a rule of the form, a line each: it is for who cares for those people, and no failure.
    pub notes: Vec<String>,
    /// Its people, if they are this host's copy of the directory.
    pub built: Option<BuiltPeople>,
}

/// The people that were published before, and from which content of the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltPeople {
    /// The content.
    pub content: Stamp,
    /// The tree made of it.
    pub root: Part,
}

/// What a draft is made of.
pub struct Sources<'a> {
    /// What this host knows.
    pub own: &'a Own,
    /// The fleet's revocations.
    pub orders: &'a Orders,
    /// The last publication.
    pub last: Option<&'a Signed>,
    /// People that need not be built again.
    pub built: Option<BuiltPeople>,
}

impl Sources<'_> {
    /// Drafts the publication at `now` of the fleet `id`, valid for so long. Its objects are in `objects` then.
    ///
    /// # Errors
    /// What was published cannot be read now; or an object cannot be made.
    pub fn draft(
        &self,
        objects: &mut Objects<'_>,
        id: &str,
        valid: Span,
        now: Timestamp,
    ) -> Result<Draft, ObjectsError> {
        let last = self.last;
        let mut problems = self.own.problems.clone();
        let revoked = self.revocations(objects, &mut problems);
        let revoked_part = objects.part(revoked.to_string().as_bytes())?;
        let (index, rota_read) = self.rota(objects, last, now, &mut problems)?;
        let rota = rota_read.map(|_| objects.part(&index.to_bytes())).transpose()?;
        let incidents = self.incidents(objects, last, now, &mut problems)?;
        let mut notes = Vec::new();
        let people = self.people(objects, last, (&mut problems, &mut notes))?;
        let head = Head {
            fleet: id.to_string(),
            sequence: 0,
            issued: now,
            valid: now.plus(valid),
            scope: people.scope,
            rota_read,
            people_read: people.tree.map(|(read, _)| read),
            incidents_read: incidents.map(|(read, _)| read),
            revoked_read: now,
            rota,
            people: people.tree.map(|(_, root)| root),
            incidents: incidents.map(|(_, part)| part),
            revoked: revoked_part,
            pack: last.and_then(|last| last.head.pack),
            pad: 1,
        };
        let built = people.content.zip(head.people).map(|(content, root)| BuiltPeople { content, root });
        Ok(Draft { head, revoked, schedules: index.schedules().len(), problems, notes, built })
    }

    fn revocations(&self, objects: &mut Objects<'_>, problems: &mut Vec<String>) -> Revocations {
        match &self.orders.lost {
            Some(problem) => problems.push(problem.to_string()),
            None => objects.reuse(self.last.map(|last| last.head.revoked)),
        }
        self.orders.list.clone()
    }

    fn rota(
        &self,
        objects: &mut Objects<'_>,
        last: Option<&Signed>,
        now: Timestamp,
        problems: &mut Vec<String>,
    ) -> Result<(RotaIndex, Option<Timestamp>), ObjectsError> {
        let mut theirs = Vec::new();
        if let Some((last, rota)) = last.and_then(|last| Some((last, last.head.rota.as_ref()?)))
            && let Some(index) = or_none(objects.index(rota), problems)?
        {
            let read = last.head.rota_read.unwrap_or(Timestamp::MIN);
            theirs.extend(index.schedules().iter().map(|schedule| schedule.resolve(read)));
            objects.reuse([*rota]);
            objects.reuse(theirs.iter().map(|schedule| schedule.shifts));
        }
        let own = match &self.own.roster {
            Some(roster) => schedules(roster, &theirs, objects, problems)?,
            None => Vec::new(),
        };
        RotaIndex::new(later(own, theirs, now)).map_err(ObjectsError::Form)
    }

    /// What was read of incidents, and when; nothing where nobody asked for any.
    fn incidents(
        &self,
        objects: &mut Objects<'_>,
        last: Option<&Signed>,
        now: Timestamp,
        problems: &mut Vec<String>,
    ) -> Result<Option<(Timestamp, Part)>, ObjectsError> {
        let mut theirs = Vec::new();
        if let Some((part, read)) = last.and_then(|last| last.head.incidents.zip(last.head.incidents_read))
            && let Some(incidents) = or_none(objects.incidents(&part), problems)?
        {
            theirs.extend(incidents.services(read));
            objects.reuse([part]);
        }
        let own = self.own.roster.as_ref().map(services).unwrap_or_default();
        match FleetIncidents::new(later_incidents(own, theirs, now)) {
            Ok((_, None)) => Ok(None),
            Ok((incidents, Some(read))) => {
                let bytes = incidents.to_bytes();
                if u32::try_from(bytes.len()).is_ok_and(|size| size <= LARGEST_INCIDENTS) {
                    return Ok(Some((read, objects.part(&bytes)?)));
                }
                // No host would read it.
                problems
                    .push("incidents are not published: there are more than one object holds".to_string());
                Ok(None)
            }
            Err(error) => {
                problems.push(format!("incidents are not published: {error}"));
                Ok(None)
            }
        }
    }

    fn people(
        &self,
        objects: &mut Objects<'_>,
        last: Option<&Signed>,
        (problems, notes): (&mut Vec<String>, &mut Vec<String>),
    ) -> Result<ChosenPeople, ObjectsError> {
        let theirs = last.and_then(|last| Some((last.head.people_read?, last.head.people?)));
        let scope = last.map_or(self.own.scope, |last| last.head.scope);
        let kept = ChosenPeople { scope, tree: theirs, content: None };
        let Some(own) = &self.own.people else {
            // A collector without a directory: then nothing says which settings chose its people.
            let scope = if theirs.is_some() { scope } else { self.own.scope };
            return Ok(ChosenPeople { scope, ..kept });
        };
        // Also where other settings chose them: new settings take a sync, which is later.
        if theirs.is_some_and(|(read, _)| read > own.read) {
            return Ok(kept);
        }
        let chosen =
            |root| ChosenPeople { scope: self.own.scope, tree: Some((own.read, root)), content: own.content };
        let is_built = |built: &BuiltPeople| {
            Some(built.content) == own.content && theirs.map(|(_, root)| root) == Some(built.root)
        };
        if let Some(built) = self.built.filter(|built| scope == self.own.scope && is_built(built)) {
            return Ok(chosen(built.root));
        }
        if let Some((_, root)) = theirs {
            let parts = or_none(objects.tree(&root), problems)?;
            objects.reuse(parts.unwrap_or_default());
        }
        match own.everybody() {
            Ok(people) => objects.build(people, notes).map(chosen),
            Err(problem) => {
                problems.push(format!("people are not read: {problem}"));
                Ok(kept)
            }
        }
    }
}

/// What was read of the last publication; none, with a line in `problems`, if that is lost for good.
///
/// # Errors
/// It may be there, and cannot be read now.
fn or_none<T>(read: Result<T, ObjectsError>, problems: &mut Vec<String>) -> Result<Option<T>, ObjectsError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(problem) if problem.may_pass() => Err(problem),
        Err(problem) => {
            problems.push(problem.to_string());
            Ok(None)
        }
    }
}

/// The people of a draft.
struct ChosenPeople {
    scope: Digest,
    tree: Option<(Timestamp, Part)>,
    content: Option<Stamp>,
}

/// The services whose incidents this host has read.
fn services(roster: &Roster) -> Vec<ReadService> {
    let of_source = |(source, told): (&String, &SourceIncidents)| {
        let service = |(id, read): (&String, &Timestamp)| ReadService {
            source: source.clone(),
            id: id.clone(),
            read: *read,
            incidents: told.incidents.iter().filter(|one| one.service == *id).cloned().collect(),
        };
        told.read.iter().map(service).collect::<Vec<_>>()
    };
    roster.incidents.0.iter().flat_map(of_source).collect()
}

/// The schedules of this host's roster, with their objects, but for those that were published as read later. One that cannot
/// be published is named in `problems`.
fn schedules(
    roster: &Roster,
    published: &[ReadSchedule],
    objects: &mut Objects<'_>,
    problems: &mut Vec<String>,
) -> Result<Vec<ReadSchedule>, ObjectsError> {
    let mut shifts: Vec<Vec<FleetShift>> = vec![Vec::new(); roster.schedules.len()];
    for shift in &roster.shifts {
        if let Some(own) = shifts.get_mut(shift.schedule) {
            own.push(FleetShift {
                principal: shift.principal.clone(),
                window: shift.window,
                level: shift.level,
            });
        }
    }
    let published: BTreeMap<(&str, &str), Timestamp> =
        published.iter().map(|one| ((&*one.source, &*one.id), one.read)).collect();
    let mut read = Vec::new();
    for (schedule, shifts) in roster.schedules.iter().zip(shifts) {
        let name = (&*schedule.reference.source, &*schedule.reference.id);
        if published.get(&name).is_some_and(|later| *later > schedule.synced) {
            continue;
        }
        let shifts = match ScheduleShifts::new(shifts) {
            Ok(shifts) => objects.part(&shifts.to_bytes())?,
            Err(error) => {
                problems.push(format!("{} is not published: {error}", schedule.reference));
                continue;
            }
        };
        read.push(ReadSchedule {
            source: schedule.reference.source.clone(),
            id: schedule.reference.id.clone(),
            provider_id: schedule.provider_id.clone(),
            name: schedule.name.clone(),
            read: schedule.synced,
            horizon: schedule.horizon,
            shifts,
        });
    }
    Ok(read)
}
