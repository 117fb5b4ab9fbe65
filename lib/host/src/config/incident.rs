//! `incident = { … }` on a `[[policy.rule]]`: it admits during incidents alone.

use policy::{IncidentRule, LONGEST_LINGER, OnUnknown, Span};
use serde::Deserialize;
use toml::Spanned;

use super::values::{Duration, Problem, meant, problem};
use super::{Provider, Source};

/// The most services of one rule.
const MOST_SERVICES: usize = 20;

/// The most services of which a source is asked for the hosts of a fleet: what is kept of them has to fit into a file.
const MOST_OF_FLEET: usize = 200;

/// The longest time for which one reading of incidents counts, and longer than a site syncs apart.
const LONGEST_KNOWN: Span = Span::hours(24);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IncidentSection {
    source: Spanned<String>,
    services: Services,
    linger: Option<Spanned<Duration>>,
    max_open: Option<Spanned<Duration>>,
    known_for: Option<Spanned<Duration>>,
    on_unknown: Option<Spanned<String>>,
}

impl IncidentSection {
    /// `sources` are all that there are.
    pub(super) fn check<'a>(
        &self,
        mut sources: impl Iterator<Item = &'a Source> + Clone,
    ) -> Result<IncidentRule, Problem> {
        let name = self.source.get_ref();
        let known = sources.clone().map(|source| source.name.as_str());
        let Some(source) = sources.find(|source| source.name == *name) else {
            let meant = meant(name, known);
            return Err(problem(&self.source, format!("no [[oncall.source]] is named `{name}`{meant}")));
        };
        if !matches!(
            source.provider,
            Provider::PagerDuty(_) | Provider::Exec(_) | Provider::File(_) | Provider::Fleet(_)
        ) {
            let word = source.provider.kind().word;
            let text = format!(
                "source `{name}` is of provider `{word}`, which tells of no incidents; those of pagerduty, exec, file and fleet do"
            );
            return Err(problem(&self.source, text));
        }
        let most =
            |written: &Option<Spanned<Duration>>, key: &str, otherwise: Span, longest: Span| match written {
                Some(written) if written.get_ref().0 > longest => {
                    Err(problem(written, format!("`{key}` is at most {longest}")))
                }
                Some(written) => Ok(written.get_ref().0),
                None => Ok(otherwise),
            };
        Ok(IncidentRule {
            source: name.clone(),
            services: services(&self.services, "services", MOST_SERVICES)?,
            linger: most(&self.linger, "linger", Span::minutes(30), LONGEST_LINGER)?,
            max_open: most(&self.max_open, "max_open", Span::hours(24), Span::hours(24 * 365))?,
            known_for: most(&self.known_for, "known_for", Span::minutes(15), LONGEST_KNOWN)?,
            on_unknown: self.on_unknown.as_ref().map_or(Ok(OnUnknown::OnCall), on_unknown)?,
        })
    }
}

/// Ids of services, as they are written.
pub(super) type Services = Spanned<Vec<Spanned<String>>>;

/// `incident_services` of a source.
pub(super) fn of_fleet(written: &Services) -> Result<Vec<String>, Problem> {
    services(written, "incident_services", MOST_OF_FLEET)
}

fn services(list: &Services, key: &str, most: usize) -> Result<Vec<String>, Problem> {
    let written = list.get_ref();
    if written.is_empty() || written.len() > most {
        return Err(problem(list, format!("`{key}` are 1 to {most} ids of services")));
    }
    let mut services = Vec::with_capacity(written.len());
    for service in written {
        let id = service.get_ref();
        let is_word = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if id.is_empty() || id.len() > 64 || !is_word {
            let text = format!("`{id}` is not the id of a service; it has letters, digits, - and _ alone");
            return Err(problem(service, text));
        }
        if !services.contains(id) {
            services.push(id.clone());
        }
    }
    Ok(services)
}

fn on_unknown(written: &Spanned<String>) -> Result<OnUnknown, Problem> {
    let word = written.get_ref();
    OnUnknown::ALL
        .into_iter()
        .find(|one| one.word() == word)
        .ok_or_else(|| problem(written, format!("on_unknown = `{word}`; write \"on-call\" or \"refuse\"")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Config;

    /// What a rule's `incident` is read as, on a host with these labels.
    fn read(incident: &str, labels: &str) -> Result<Config, String> {
        let text = format!(
            "[host]\nname = 'db1'\nlabels = [{labels}]\n[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\n\
             token_file = 'token'\nschedules = ['PDB1']\n[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'x'\n\
             [[policy.rule]]\nname = 'db'\nhosts = ['label:service=db']\nschedules = ['pd/PDB1']\nincident = {{ {incident} }}\n"
        );
        Config::parse(Path::new("/c.toml"), text.as_bytes()).map_err(|error| error.to_string())
    }

    const WRITTEN: &str = "source = 'pd', services = ['PSVC1', 'PSVC2', 'PSVC1']";

    #[test]
    fn a107_a_rule_that_waits_for_an_incident_has_usual_times() {
        let config = read(WRITTEN, "'service=db'").unwrap();
        let expected = IncidentRule {
            source: "pd".into(),
            services: vec!["PSVC1".into(), "PSVC2".into()],
            linger: Span::minutes(30),
            max_open: Span::hours(24),
            known_for: Span::minutes(15),
            on_unknown: OnUnknown::OnCall,
        };
        assert_eq!(config.rules.rules[0].incident, Some(expected));
        let Provider::PagerDuty(settings) = &config.oncall.sources[0].provider else { panic!() };
        assert_eq!(settings.incident_services, ["PSVC1", "PSVC2"]);
        // Where no such rule covers the host, nobody is asked.
        let config = read(WRITTEN, "").unwrap();
        let Provider::PagerDuty(settings) = &config.oncall.sources[0].provider else { panic!() };
        assert!(settings.incident_services.is_empty() && !config.rules.asks_incidents());
    }

    #[test]
    fn a107_a_source_is_asked_for_a_fleet_too_where_that_is_written() {
        let read = |source: &str| {
            let text = format!(
                "[host]\nname = 'collector'\n[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\ntoken_file = 'token'\n\
                 schedules = ['PDB1']\n{source}\n[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'x'\n\
                 [[policy.rule]]\nname = 'db'\nschedules = ['pd/PDB1']\nincident = {{ source = 'pd', services = ['P3', 'P1'] }}\n"
            );
            Config::parse(Path::new("/c.toml"), text.as_bytes()).map_err(|error| error.to_string())
        };
        let config = read("incident_services = ['P2', 'P1', 'P2']").unwrap();
        assert_eq!(config.oncall.sources[0].incident_services, ["P2", "P1"]);
        assert_eq!(config.oncall.incident_services(&config.rules)["pd"], ["P1", "P2", "P3"]);
        let Provider::PagerDuty(settings) = &config.oncall.sources[0].provider else { panic!() };
        assert_eq!(settings.incident_services, ["P1", "P2", "P3"]);
        assert!(!config.oncall.asks_fleet_for_incidents(&config.rules));
        for (source, words) in [
            ("incident_services = []", "`incident_services` are 1 to 200 ids"),
            ("incident_services = ['web shop']", "`web shop` is not the id of a service"),
            (
                "[[oncall.source]]\nname = 'x'\nprovider = 'rota'\nfile = 'x'\nincident_services = ['P1']",
                "provider `rota` has no setting `incident_services`",
            ),
        ] {
            let error = read(source).unwrap_err();
            assert!(error.contains(words), "{source}: {error}");
        }
    }

    #[test]
    fn a107_what_would_never_let_anybody_in_is_refused_with_its_line() {
        for (incident, words) in [
            ("source = 'pdd', services = ['P1']", "no [[oncall.source]] is named `pdd`; did you mean `pd`?"),
            ("source = 'rota', services = ['P1']", "provider `rota`, which tells of no incidents"),
            ("source = 'pd', services = []", "are 1 to 20 ids"),
            ("source = 'pd', services = ['web shop']", "`web shop` is not the id of a service"),
            ("source = 'pd'", "services"),
            ("source = 'pd', services = ['P1'], linger = '25h'", "`linger` is at most 1d"),
            ("source = 'pd', services = ['P1'], linger = '0s'", "duration"),
            ("source = 'pd', services = ['P1'], known_for = '2d'", "`known_for` is at most 1d"),
            ("source = 'pd', services = ['P1'], on_unknown = 'allow'", "write \"on-call\" or \"refuse\""),
            ("source = 'pd', services = ['P1'], urgency = 'high'", "urgency"),
        ] {
            let error = read(incident, "").unwrap_err();
            assert!(error.contains(words), "{incident}: {error}");
        }
    }
}
