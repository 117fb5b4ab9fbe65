//! Incidents that a rule waits for (`incident = { … }`): people on call by it are admitted while one of these services is
//! open, and for a while after.
//!
//! It is a friction and no control: whoever may open an incident, or send an alert to the service, opens the door with it.
//! So an incident that somebody has opened by hand does not count for themselves, and one that stays open for too long
//! counts for nobody. It only ever takes away from what the rule without it would admit.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Principal, Rules, Span, Timestamp, Window, stretches};

/// What a rule asks of incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRule {
    /// Name of the `[[oncall.source]]` that tells of them.
    pub source: String,
    /// The provider's ids of services: an incident of any of them will do.
    pub services: Vec<String>,
    /// For how long people are admitted after it is closed.
    pub linger: Span,
    /// For how long one counts that nobody closes.
    pub max_open: Span,
    /// For how long it counts which incidents were open when they were last read.
    pub known_for: Span,
    /// What holds where that is not known.
    pub on_unknown: OnUnknown,
}

/// What a rule does where it is not known which incidents are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// To be on call is enough.
    OnCall,
    /// It admits nobody.
    Refuse,
}

impl OnUnknown {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::OnCall, Self::Refuse];

    /// The word of the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OnCall => "on-call",
            Self::Refuse => "refuse",
        }
    }
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Incident {
    /// The provider's id of the service.
    pub service: String,
    /// The provider's id of the incident.
    pub id: String,
    /// When it was opened, by the provider's clock.
    pub opened: Timestamp,
    /// When it was closed, or first found to be; `None`: it is open.
    pub closed: Option<Timestamp>,
    /// Who opened it by hand, where that is known and somebody in the directory.
    pub by: Option<Principal>,
}

/// What one source has told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceIncidents {
    /// When which services were last asked about.
    pub read: BTreeMap<String, Timestamp>,
    /// Those of these services that are open, or were until lately; in order, each once.
    pub incidents: Vec<Incident>,
}

/// What is known of incidents, by the names of sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incidents(pub BTreeMap<String, SourceIncidents>);

/// What a rule that asks for an incident finds at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentState {
    /// The rule asks for none.
    NotNeeded,
    /// This one counts.
    Open(Box<Incident>),
    /// It is not known which are open.
    Unknown,
    /// None counts.
    Missing,
}

impl IncidentState {
    /// The word for the record: the incident's id, or that it was not known; empty where there is nothing to say.
    pub fn word(&self) -> &str {
        match self {
            Self::Open(incident) => &incident.id,
            Self::Unknown => "unknown",
            Self::NotNeeded | Self::Missing => "",
        }
    }
}

/// How well a source tells of the incidents that rules of a host wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentFeed<'r> {
    /// Name of the source.
    pub source: &'r str,
    /// When all of the services were read, which is when the one was that was read first; `None`: one of them never.
    pub read: Option<Timestamp>,
    /// The first instant at which a rule does not know any more which are open; `None`: one does not know it now.
    pub known_until: Option<Timestamp>,
    /// What a rule does then: where rules differ, to refuse.
    pub on_unknown: OnUnknown,
}

impl IncidentFeed<'_> {
    /// Do all rules know at `at` which incidents of it are open?
    pub fn is_known(&self, at: Timestamp) -> bool {
        // One from the future tells nothing, as for a decision.
        self.read.is_some_and(|read| read.minus(Rules::SKEW) <= at)
            && self.known_until.is_some_and(|until| at < until)
    }
}

/// The longest time for which a closed incident is remembered; no rule lingers for longer.
pub const LONGEST_LINGER: Span = Span::hours(24);

/// The most incidents of one service that are kept: those opened last.
pub const MOST_INCIDENTS: usize = 100;

impl IncidentRule {
    /// When people are admitted by what is known: in order and apart. What `person` opened themselves is left out.
    pub fn open(&self, person: Option<&Principal>, known: &Incidents) -> Vec<Window> {
        let told = known.0.get(&self.source);
        let of_service = |service: &String| {
            let read = told.and_then(|told| told.read.get(service));
            let Some(known) = read.and_then(|read| self.known(*read)) else {
                return self.unknown(&[]);
            };
            let incidents = told.into_iter().flat_map(|told| &told.incidents);
            let of_others = incidents.filter(|one| one.service == *service && !one.is_by(person));
            let mut windows: Vec<Window> =
                of_others.filter_map(|one| self.counts(one)?.intersect(known)).collect();
            windows.extend(self.unknown(&[known]));
            windows
        };
        stretches(self.services.iter().flat_map(of_service))
    }

    /// What is found at `at`.
    pub fn state(&self, person: &Principal, known: &Incidents, at: Timestamp) -> IncidentState {
        let person = Some(person);
        if !self.open(person, known).iter().any(|window| window.contains(at)) {
            let is_known = self.is_known(known, at);
            return if is_known { IncidentState::Missing } else { IncidentState::Unknown };
        }
        let told = known.0.get(&self.source);
        let is_known = |service: &String| {
            let read = told.and_then(|told| told.read.get(service));
            read.and_then(|read| self.known(*read)).is_some_and(|window| window.contains(at))
        };
        let counting = told.into_iter().flat_map(|told| &told.incidents).filter(|one| {
            self.services.contains(&one.service)
                && is_known(&one.service)
                && !one.is_by(person)
                && self.counts(one).is_some_and(|window| window.contains(at))
        });
        let latest = counting.max_by_key(|one| one.opened).cloned().map(Box::new);
        latest.map_or(IncidentState::Unknown, IncidentState::Open)
    }

    /// Is it known at `at` of each of its services which incidents are open?
    pub fn is_known(&self, known: &Incidents, at: Timestamp) -> bool {
        let told = known.0.get(&self.source);
        let read = |service: &String| told.and_then(|told| told.read.get(service));
        let is_known = |read: &Timestamp| self.known(*read).is_some_and(|window| window.contains(at));
        self.services.iter().all(|service| read(service).is_some_and(is_known))
    }

    /// From when to when a reading counts. One from the future tells nothing: a clock was or is wrong.
    fn known(&self, read: Timestamp) -> Option<Window> {
        Window::new(read.minus(Rules::SKEW), read.plus(self.known_for))
    }

    /// What is open for want of knowledge, outside `known`.
    fn unknown(&self, known: &[Window]) -> Vec<Window> {
        let always = Window::new(Timestamp::MIN, Timestamp::MAX);
        let always = always.filter(|_| self.on_unknown == OnUnknown::OnCall);
        always.map(|always| always.without(known)).unwrap_or_default()
    }

    /// From when to when an incident counts: one that was open for longer than `max_open` does not linger.
    fn counts(&self, incident: &Incident) -> Option<Window> {
        let last = incident.opened.plus(self.max_open);
        let end = match incident.closed.filter(|closed| *closed <= last) {
            Some(closed) => closed.plus(self.linger),
            None => last,
        };
        Window::new(incident.opened, end)
    }
}

impl Incident {
    /// Did this person open it?
    fn is_by(&self, person: Option<&Principal>) -> bool {
        person.is_some() && self.by.as_ref() == person
    }
}

impl Incidents {
    /// Has this person opened any?
    pub(crate) fn has_one_by(&self, person: &Principal) -> bool {
        self.0.values().flat_map(|told| &told.incidents).any(|one| one.by.as_ref() == Some(person))
    }

    /// What is known once `source` has told which incidents of `services` there are, as it was `read`; it is `now`. What is
    /// known of other services stays. One that was open and is not told of any more is closed from now on, and remembered for [`LONGEST_LINGER`]. How many are left
    /// out, because a service has more than [`MOST_INCIDENTS`].
    pub fn tell(
        &mut self,
        (source, services): (&str, &[String]),
        told: Vec<Incident>,
        read: Timestamp,
        now: Timestamp,
    ) -> usize {
        let SourceIncidents { read: mut readings, incidents: before } =
            self.0.remove(source).unwrap_or_default();
        let mut by_id: BTreeMap<(String, String), Incident> = BTreeMap::new();
        for incident in told.into_iter().filter(|one| services.contains(&one.service)) {
            // A provider's clock may be a little ahead.
            let opened = incident.opened.min(now);
            let incident = Incident { opened, ..incident };
            by_id.entry((incident.service.clone(), incident.id.clone())).or_insert(incident);
        }
        let (before, others): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|one| services.contains(&one.service));
        for incident in before {
            let (closed, opened) = (incident.closed.map_or(now, |closed| closed.min(now)), incident.opened);
            // It counts from when it was first said to be open: told of as newer each time, it would count for ever.
            by_id
                .entry((incident.service.clone(), incident.id.clone()))
                .and_modify(|still| still.opened = still.opened.min(opened))
                .or_insert(Incident { closed: Some(closed), ..incident });
        }
        let lasts = |one: &Incident| one.closed.is_none_or(|closed| now.since(closed) < LONGEST_LINGER);
        let mut incidents: Vec<Incident> = by_id.into_values().filter(lasts).collect();
        // Of those that are open the last count longest.
        let rank = |one: &Incident| (one.closed.is_some(), core::cmp::Reverse(one.opened));
        incidents.sort_by(|one, other| one.service.cmp(&other.service).then(rank(one).cmp(&rank(other))));
        let (all, mut met) = (incidents.len(), BTreeMap::<String, usize>::new());
        incidents.retain(|one| {
            let count = met.entry(one.service.clone()).or_default();
            *count += 1;
            *count <= MOST_INCIDENTS
        });
        let left_out = all - incidents.len();
        incidents.extend(others);
        incidents.sort();
        readings.extend(services.iter().map(|service| (service.clone(), read.min(now))));
        self.0.insert(source.into(), SourceIncidents { read: readings, incidents });
        left_out
    }

    /// How well is each source known that `rules` of this host wait for? In the order of their names.
    pub fn feeds<'r>(&self, rules: &'r Rules) -> Vec<IncidentFeed<'r>> {
        let mut feeds: BTreeMap<&'r str, IncidentFeed<'r>> = BTreeMap::new();
        for rule in rules.here().filter_map(|rule| rule.incident.as_ref()) {
            let told = self.0.get(&rule.source);
            let reading = |service: &String| told.and_then(|told| told.read.get(service)).copied();
            // What was never read is the oldest.
            let read = rule.services.iter().map(reading).min().flatten();
            let known_until = read.map(|read| read.plus(rule.known_for));
            let (source, on_unknown) = (rule.source.as_str(), rule.on_unknown);
            let feed = feeds.entry(source).or_insert(IncidentFeed { source, read, known_until, on_unknown });
            (feed.read, feed.known_until) = (feed.read.min(read), feed.known_until.min(known_until));
            if on_unknown == OnUnknown::Refuse {
                feed.on_unknown = on_unknown;
            }
        }
        feeds.into_values().collect()
    }

    /// Forgets what these sources are not asked for.
    pub fn keep(&mut self, asked: &BTreeMap<String, Vec<String>>) {
        self.0.retain(|source, told| {
            let services: BTreeSet<&String> = asked.get(source).into_iter().flatten().collect();
            told.read.retain(|service, _| services.contains(service));
            told.incidents.retain(|one| services.contains(&one.service));
            !told.read.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
