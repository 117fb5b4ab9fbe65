//! `fleet`: what a collector read, out of this host's mirror of what it published. No network.
//!
//! The mirror is verified again each time: the head by its signatures, each object by its digest. People are named by the
//! directory's names, since the collector mapped them; and each schedule is as old as the collector's reading of it,
//! however often this host reads the mirror.

use std::collections::BTreeMap;

use fleet::{
    FleetIncidents, IndexedSchedule, LARGEST_INCIDENTS, LARGEST_INDEX, LARGEST_SHIFTS, Origin, Part,
    ReadService, RotaIndex, ScheduleShifts,
};
use host::config;
use mirror::{Mirror, MirrorError, Trusted, open, read_mark, read_signers};
use policy::{Incident, Timestamp, Window};

use super::gather::{Bound, Description, Gather, Named, Row};
use super::pages::Whole;
use super::{Answer, Provider, ProviderError, ProviderIncident, Reading, User};

/// A source of a collector, as its fleet has it.
#[derive(Debug)]
pub struct Fleet<'a> {
    settings: &'a config::Fleet,
    /// What the collector calls the source, and this host too.
    name: &'a str,
    /// The ids of schedules, as the collector's configuration has them.
    schedules: &'a [String],
    max_escalation_level: u8,
    now: Timestamp,
}

impl<'a> Fleet<'a> {
    /// The schedules that `source` names of the fleet in `settings`.
    pub fn new(settings: &'a config::Fleet, source: &'a config::Source, now: Timestamp) -> Self {
        let (name, schedules) = (source.name.as_str(), source.schedules.as_slice());
        Self { settings, name, schedules, max_escalation_level: source.max_escalation_level, now }
    }

    fn read(&self, window: Window) -> Result<Answer, ProviderError> {
        let mirror = Mirror::at(&self.settings.mirror);
        let head = self.head(&mirror)?;
        let (Some(rota), Some(rota_read)) = (&head.rota, head.rota_read) else {
            return Err(ProviderError::incomplete(&format!(
                "fleet `{}` publishes no rota; see `oncall-collector status` on the collector",
                self.settings.id
            )));
        };
        let index = RotaIndex::parse(&content(&mirror, rota, LARGEST_INDEX)?)
            .map_err(|error| ProviderError::source(&format!("the fleet's index of schedules: {error}")))?;
        // A copy outlives the time that this host asks for: whatever is known counts until the collector's reading ends.
        let window = Window::new(window.start(), Timestamp::MAX).unwrap_or(window);
        let mut gather = Gather::new(window, self.max_escalation_level);
        for id in self.schedules {
            let Some(indexed) = index.find(self.name, id) else {
                gather.fail(id.clone(), self.unknown(id));
                continue;
            };
            match self.rows(&mirror, indexed) {
                Ok(rows) => {
                    let read = indexed.resolve(rota_read);
                    gather.date(read.id.clone(), Reading { at: read.read, horizon: read.horizon });
                    let name = read.name.to_string();
                    gather.take(Named { wanted: read.id, id: read.provider_id, name }, rows);
                }
                Err(error) => gather.fail(id.clone(), error),
            }
        }
        let mut answer = gather.finish();
        answer.clock = Some(head.issued);
        // What is wrong with incidents takes no shift away; where no rule waits for one they are not here.
        let services = self.services(&mirror, &head);
        answer.incidents_read = services.as_ref().ok().map(|services| {
            services.iter().map(|service| (service.id.clone(), service.read)).collect::<BTreeMap<_, _>>()
        });
        answer.incidents = Some(
            services.map(|services| services.into_iter().flat_map(|one| one.incidents).map(told).collect()),
        );
        Ok(answer)
    }

    fn head(&self, mirror: &Mirror) -> Result<fleet::Head, ProviderError> {
        let settings = self.settings;
        let failed = |problem: &dyn std::fmt::Display| {
            ProviderError::source(&format!("this host's copy of fleet `{}`: {problem}", settings.id))
        };
        let document = match mirror.head_document() {
            Err(MirrorError::Missing(_)) => {
                return Err(ProviderError::source(&format!(
                    "nothing was read of fleet `{}` yet; as root, run `oncall-cache pull`",
                    settings.id
                )));
            }
            outcome => outcome.map_err(|error| failed(&error))?,
        };
        let (signers, _) = read_signers(&settings.signers).map_err(|refusal| failed(&refusal))?;
        let mark = read_mark(&settings.mark).map_err(|error| failed(&error))?;
        let trusted = Trusted {
            fleet: &settings.id,
            epoch: settings.epoch,
            signers: &signers,
            signatures: settings.signatures,
        };
        let opened = open(&trusted, &document, mark.as_ref(), Origin::Copy, self.now)
            .map_err(|error| failed(&format_args!("{error} ({})", error.word())))?;
        Ok(opened.head)
    }

    fn rows(&self, mirror: &Mirror, indexed: &IndexedSchedule) -> Result<Whole<Row>, ProviderError> {
        let bytes = content(mirror, &indexed.shifts, LARGEST_SHIFTS)?;
        let shifts = ScheduleShifts::parse(&bytes).map_err(|error| {
            ProviderError::source(&format!("the fleet's shifts of {}/{}: {error}", self.name, indexed.id))
        })?;
        let bound = |at, open| if at == open { Bound::Never } else { Bound::At(at) };
        let row = |shift: &fleet::FleetShift| Row {
            person: named(shift.principal.as_str()),
            level: shift.level.into(),
            start: bound(shift.window.start(), Timestamp::MIN),
            end: bound(shift.window.end(), Timestamp::MAX),
        };
        Ok(Whole::at_once(shifts.shifts().iter().map(row).collect()))
    }

    /// What was read of the services of this source.
    fn services(&self, mirror: &Mirror, head: &fleet::Head) -> Result<Vec<ReadService>, ProviderError> {
        let (Some(part), Some(read)) = (&head.incidents, head.incidents_read) else {
            return Err(ProviderError::incomplete(&format!(
                "fleet `{}` publishes no incidents; at the collector, write `incident_services` in source `{}`",
                self.settings.id, self.name
            )));
        };
        let incidents = FleetIncidents::parse(&content(mirror, part, LARGEST_INCIDENTS)?)
            .map_err(|error| ProviderError::source(&format!("the fleet's incidents: {error}")))?;
        Ok(incidents.services(read).filter(|service| service.source == self.name).collect())
    }

    fn unknown(&self, id: &str) -> ProviderError {
        ProviderError::incomplete(&format!(
            "fleet `{}` has no schedule `{id}` of a source `{}`; check `schedules`, and [[oncall.source]] at the collector",
            self.settings.id, self.name
        ))
    }
}

/// A person by the directory's name, which is all that a fleet tells.
fn named(name: &str) -> Description {
    let principal = Some(name.to_string());
    let user = User { id: name.to_string(), mail: None, principal, label: None, disputed: None };
    Description { user, whole: true }
}

/// An incident as the collector knew it.
fn told(Incident { service, id, opened, closed, by }: Incident) -> ProviderIncident {
    let by = by.map(|person| named(person.as_str()).user);
    ProviderIncident { service, id, opened, closed, by }
}

/// What a part of the publication says.
fn content(mirror: &Mirror, part: &Part, limit: u32) -> Result<Vec<u8>, ProviderError> {
    let bytes = mirror.object(&part.object, limit).map_err(|error| {
        ProviderError::source(&format!("{error} ({}); run `oncall-cache pull`", error.word()))
    })?;
    part.check(&bytes)
        .map_err(|error| ProviderError::source(&format!("object {}: {error}", part.object.digest)))?;
    Ok(bytes)
}

impl Provider for Fleet<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        self.read(window)
    }
}
