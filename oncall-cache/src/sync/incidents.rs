//! What a sync has heard of incidents: mapped, judged, and put together with what was known before.
//!
//! Each source is taken over whole or not at all. One that fails leaves what it told before as it is, which is known for as
//! long as each rule says.

use std::collections::{BTreeMap, BTreeSet};

use host::Config;
use host::config::Source;
use policy::{Incident, Incidents, Timestamp};
use sources::fetch::Fetched;
use sources::identity::{Mapped, People};
use sources::{Answer, ProviderError, ProviderIncident, believable};
use store::roster;

use super::outcome::without_addresses;

/// What is known of incidents after a sync.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeardIncidents {
    /// All of it.
    pub known: Incidents,
    /// Does that differ from what was known before?
    pub is_news: bool,
    /// Why some of it could not be read, a line for each source, for the log.
    pub problems: Vec<String>,
    /// What was left out.
    pub notes: Vec<String>,
}

impl HeardIncidents {
    /// What `fetched` tells of the services that rules of this host wait for.
    pub fn of(config: &Config, fetched: &[Fetched<'_>], people: &People<'_>, now: Timestamp) -> Self {
        let asked = config.oncall.incident_services(&config.rules);
        let before = roster::incidents(&config.paths.roster);
        let mut heard = Self { known: before.clone(), ..Self::default() };
        heard.known.keep(&asked);
        for Fetched { source, answer, .. } in fetched {
            let Some(services) = asked.get(&source.name) else { continue };
            let told = match answer {
                Ok(answer) => Told::of(answer, services, now),
                // It is told of its schedules already.
                Err(_) => Err(ProviderError::source("it could not be asked")),
            };
            heard.take(source, told, people, now);
        }
        heard.is_news = heard.known != before;
        heard
    }

    fn take(
        &mut self,
        source: &Source,
        told: Result<Told, ProviderError>,
        people: &People<'_>,
        now: Timestamp,
    ) {
        let name = &source.name;
        let believed = told.and_then(|told| believable(&told.incidents, now).map(|()| told));
        let outcome = believed.and_then(|Told { incidents, readings, unread }| {
            let incidents = mapped(source, &incidents, people);
            let tell = |(read, services): (Timestamp, Vec<String>)| {
                self.known.tell((name, &services), incidents.clone(), read, now)
            };
            let left_out: usize = readings.into_iter().map(tell).sum();
            if left_out > 0 {
                self.notes.push(format!(
                    "source `{name}`: {left_out} incidents are left out, because a service has too many; the open ones that came last are known"
                ));
            }
            unread.map_or(Ok(()), Err)
        });
        if let Err(error) = outcome {
            self.problems.push(format!(
                "incidents of source `{name}`: {error}; what was known of them stays until it is too old"
            ));
        }
    }

    /// Why it is not all as it should be, for everybody to read.
    pub fn public_problem(&self) -> Option<String> {
        let problems: Vec<String> = self.problems.iter().map(|text| without_addresses(text)).collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

/// What a source has told.
struct Told {
    incidents: Vec<ProviderIncident>,
    /// Which services it told of, by when they were read.
    readings: BTreeMap<Timestamp, Vec<String>>,
    /// That it told nothing of some of them.
    unread: Option<ProviderError>,
}

impl Told {
    /// What `answer` tells of `services`.
    fn of(answer: &Answer, services: &[String], now: Timestamp) -> Result<Self, ProviderError> {
        let incidents = answer.incidents.clone().unwrap_or_else(|| Err(untold()))?;
        let mut told = Self { incidents, readings: BTreeMap::new(), unread: None };
        for service in services {
            let read = match &answer.incidents_read {
                Some(read) => read.get(service).copied(),
                None => Some(answer.as_of.unwrap_or(now)),
            };
            match read {
                Some(read) => told.readings.entry(read).or_default().push(service.clone()),
                None => {
                    let text = format!(
                        "the fleet publishes none of service {service}; at the collector, add it to `incident_services`"
                    );
                    told.unread = Some(ProviderError::incomplete(&text));
                }
            }
        }
        Ok(told)
    }
}

fn untold() -> ProviderError {
    ProviderError::incomplete("it tells of no incidents, and a rule waits for some; see docs/providers.md")
}

/// With those who opened them as the directory has them; who is nobody there opened it for everybody.
fn mapped(source: &Source, told: &[ProviderIncident], people: &People<'_>) -> Vec<Incident> {
    let openers: BTreeSet<_> = told.iter().filter_map(|one| one.by.as_ref()).collect();
    let found: BTreeMap<_, _> = people.map(&openers, &source.people);
    let principal = |id: &String| match found.get(id) {
        Some(Ok(Mapped { principal, .. })) => Some(principal.clone()),
        _ => None,
    };
    let of_person = |ProviderIncident { service, id, opened, closed, by }: &ProviderIncident| Incident {
        service: service.clone(),
        id: id.clone(),
        opened: *opened,
        closed: *closed,
        by: by.as_ref().and_then(|user| principal(&user.id)),
    };
    told.iter().map(of_person).collect()
}
