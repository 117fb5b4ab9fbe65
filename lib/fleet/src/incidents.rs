//! Incidents as a fleet has them: one object with what was read of each service, for hosts whose rules wait for some.
//!
//! As with the rota, a sync at which nothing changed leaves it byte for byte: the head says when it was read, and the
//! object only where that was at another time.

use alloc::string::String;
use alloc::vec::Vec;

use policy::{Incident, MOST_INCIDENTS, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::object::{self, Form, ObjectError};

/// The largest object with incidents, decoded, in bytes.
pub const LARGEST_INCIDENTS: u32 = 4 * 1024 * 1024;

/// The most services that are published.
const MOST_SERVICES: usize = 10_000;

/// A service as a publisher or a host knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadService {
    /// The collector's name of the source.
    pub source: String,
    /// The provider's id.
    pub id: String,
    /// When it was last read.
    pub read: Timestamp,
    /// Its incidents that are open, or were until lately.
    pub incidents: Vec<Incident>,
}

/// The incidents of every service that is published, by source and id, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetIncidents {
    services: Vec<ServiceBody>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    form: Form,
    services: Vec<ServiceBody>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceBody {
    #[serde(with = "object::id")]
    source: String,
    #[serde(with = "object::id")]
    id: String,
    /// When it was read, where that is not the head's `incidents-read`.
    #[serde(with = "object::instant")]
    read: Option<Timestamp>,
    incidents: Vec<IncidentBody>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentBody {
    #[serde(with = "object::id")]
    id: String,
    #[serde(with = "opened")]
    opened: Timestamp,
    /// Null: it is open.
    #[serde(with = "object::instant")]
    closed: Option<Timestamp>,
    /// Who opened it by hand, where that is somebody in the directory.
    #[serde(with = "opener")]
    by: Option<Principal>,
}

impl FleetIncidents {
    /// Those of `services`, and the reading instant that the head is to have with it: the latest; none if there is no
    /// service.
    ///
    /// # Errors
    /// More services or incidents than fit, or two services of one name.
    pub fn new(mut services: Vec<ReadService>) -> Result<(Self, Option<Timestamp>), ObjectError> {
        services.sort_by(|one, other| (&one.source, &one.id).cmp(&(&other.source, &other.id)));
        let latest = services.iter().map(|service| service.read).max();
        let written = |ReadService { source, id, read, incidents }: ReadService| {
            let mut incidents: Vec<IncidentBody> = incidents.into_iter().map(IncidentBody::of).collect();
            incidents.sort_by(|one, other| one.id.cmp(&other.id));
            ServiceBody { source, id, read: Some(read).filter(|read| Some(*read) != latest), incidents }
        };
        Ok((Self::checked(services.into_iter().map(written).collect())?, latest))
    }

    fn checked(services: Vec<ServiceBody>) -> Result<Self, ObjectError> {
        if services.len() > MOST_SERVICES {
            return Err(ObjectError::Impossible("more services than are published"));
        }
        if !services.is_sorted_by(|one, other| (&one.source, &one.id) < (&other.source, &other.id)) {
            return Err(ObjectError::Impossible("services out of order, or one of them twice"));
        }
        let is_right = |service: &ServiceBody| {
            service.incidents.len() <= MOST_INCIDENTS
                && service.incidents.is_sorted_by(|one, other| one.id < other.id)
        };
        if services.iter().all(is_right) {
            Ok(Self { services })
        } else {
            Err(ObjectError::Impossible(
                "incidents out of order, one of them twice, or more than a service has",
            ))
        }
    }

    /// The services, by source and id, where the head says `incidents_read`.
    pub fn services(&self, incidents_read: Timestamp) -> impl Iterator<Item = ReadService> {
        self.services.iter().map(move |service| ReadService {
            source: service.source.clone(),
            id: service.id.clone(),
            read: service.read.unwrap_or(incidents_read).min(incidents_read),
            incidents: service.incidents.iter().map(|one| one.read(&service.id)).collect(),
        })
    }

    /// Reads such an object.
    ///
    /// # Errors
    /// It is of another form, or not as [`FleetIncidents::to_bytes`] writes it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let Body { form: Form, services } = object::read(bytes, LARGEST_INCIDENTS)?;
        Self::checked(services)
    }

    /// The same bytes for the same incidents.
    pub fn to_bytes(&self) -> Vec<u8> {
        object::write(&Body { form: Form, services: self.services.clone() })
    }
}

impl IncidentBody {
    fn of(Incident { service: _, id, opened, closed, by }: Incident) -> Self {
        Self { id, opened, closed, by }
    }

    fn read(&self, service: &str) -> Incident {
        let Self { id, opened, closed, by } = self.clone();
        Incident { service: service.into(), id, opened, closed, by }
    }
}

/// An instant that is always there.
mod opened {
    use super::{Timestamp, object};
    use serde::{Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        object::instant::serialize(&Some(*at), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        object::instant::deserialize(deserializer)?.ok_or_else(|| D::Error::custom("opened at no instant"))
    }
}

/// A person, or null.
mod opener {
    use super::{Principal, String};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(by: &Option<Principal>, serializer: S) -> Result<S::Ok, S::Error> {
        by.as_ref().map(Principal::as_str).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D>(deserializer: D) -> Result<Option<Principal>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let name = Option::<String>::deserialize(deserializer)?;
        name.map(|name| Principal::new(&name).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_165_200 + seconds)
    }

    fn incident(service: &str, id: &str, closed: Option<i64>, by: Option<&str>) -> Incident {
        let by = by.map(|name| Principal::new(name).unwrap());
        let (service, id) = (service.to_string(), id.to_string());
        Incident { service, id, opened: at(-60), closed: closed.map(at), by }
    }

    fn service(id: &str, read: i64, incidents: Vec<Incident>) -> ReadService {
        ReadService { source: "pd".into(), id: id.into(), read: at(read), incidents }
    }

    fn services() -> Vec<ReadService> {
        let open =
            vec![incident("PSVC1", "Q1", None, Some("alice")), incident("PSVC1", "Q2", Some(-5), None)];
        vec![service("PSVC1", 0, open), service("PSVC2", -300, vec![])]
    }

    #[test]
    fn a107_what_a_fleet_is_told_of_incidents_comes_back_with_the_instants_of_their_reading() {
        let (written, latest) = FleetIncidents::new(services().into_iter().rev().collect()).unwrap();
        assert_eq!(latest, Some(at(0)));
        let back = FleetIncidents::parse(&written.to_bytes()).unwrap();
        assert_eq!(back.services(at(0)).collect::<Vec<_>>(), services());
        // All read again, it is the same object.
        let read_at = |read: i64| {
            let services = services().into_iter().map(|one| ReadService { read: at(read), ..one });
            FleetIncidents::new(services.collect()).unwrap().0.to_bytes()
        };
        assert_eq!(read_at(300), read_at(0));
        // No service is as young as a head that is older than what it says.
        assert!(back.services(at(-400)).all(|one| one.read == at(-400)));
        assert_eq!(FleetIncidents::new(Vec::new()).unwrap().1, None);
    }

    #[test]
    fn a107_what_no_collector_writes_is_not_read() {
        let (written, _) = FleetIncidents::new(services()).unwrap();
        let good = String::from_utf8(written.to_bytes()).unwrap();
        for (from, to) in [
            ("\"form\":1", "\"form\":2"),
            ("PSVC2", "PSVC1"),
            ("PSVC2", "PSVC0"),
            ("\"Q2\"", "\"Q1\""),
            ("\"Q2\"", "\"\""),
            ("\"alice\"", "\"Alice!\""),
            ("\"opened\":\"2026-11-20T08:59:00Z\"", "\"opened\":null"),
            ("\"opened\"", "\"begun\""),
            ("\"services\"", "\"more\":1,\"services\""),
        ] {
            let wrong = good.replace(from, to);
            assert_ne!(wrong, good, "{from}");
            assert!(FleetIncidents::parse(wrong.as_bytes()).is_err(), "{from} {to}");
        }
        let many = (0..=MOST_INCIDENTS).map(|number| incident("PSVC1", &format!("Q{number:03}"), None, None));
        assert!(FleetIncidents::new(vec![service("PSVC1", 0, many.collect())]).is_err());
        assert!(FleetIncidents::new(vec![service("A", 0, vec![]), service("A", 5, vec![])]).is_err());
        assert!(FleetIncidents::parse(&vec![b' '; LARGEST_INCIDENTS as usize + 1]).is_err());
    }

    #[test]
    fn mistaken_bytes_are_refused_or_read() {
        let bytes = FleetIncidents::new(services()).unwrap().0.to_bytes();
        mutate::each(&[&bytes], &["\"read\":null", "Q1", "{\"form\":1}"], 4000, |bytes| {
            if let Ok(read) = FleetIncidents::parse(bytes) {
                assert_eq!(FleetIncidents::parse(&read.to_bytes()), Ok(read));
            }
        });
    }
}
