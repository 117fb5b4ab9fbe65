//! How the people of the roster were found, as the last sync wrote it down, for those who ask why.

use std::collections::{BTreeMap, BTreeSet};

use host::Config;
use host::config::Source;
use policy::Principal;
use store::roster::{self, Mapping};

/// How the people of the roster were found, for those who ask why.
#[derive(Debug, Clone, Default)]
pub struct Mappings {
    /// What the roster says.
    pub found: BTreeSet<Mapping>,
    /// What people call the provider of each source.
    pub providers: BTreeMap<String, &'static str>,
}

impl Mappings {
    /// Reads what the last sync found out about a person. A roster that cannot be read tells nothing.
    pub fn read(config: &Config, person: &Principal) -> Self {
        let sources = &config.oncall.sources;
        let names = sources.iter().map(|source| source.name.as_str());
        let named = |source: &Source| (source.name.clone(), source.provider.kind().label);
        Self {
            found: roster::mappings_of(&config.paths.roster, person, names).unwrap_or_default(),
            providers: sources.iter().map(named).collect(),
        }
    }

    /// `PagerDuty user PUALICE of source pd, by mail address`, for each source that knows `principal`.
    pub fn of(&self, principal: &Principal) -> Vec<String> {
        let ours = self.found.iter().filter(|mapping| mapping.principal == *principal);
        ours.map(|mapping| self.line(mapping)).collect()
    }

    fn line(&self, Mapping { source, user, ground, .. }: &Mapping) -> String {
        let provider = self.providers.get(source).copied().unwrap_or("a provider's");
        let user = if user.is_empty() { "user".to_string() } else { format!("user {user}") };
        let by = match ground.as_str() {
            "table" => "by [oncall.source.people]",
            "mail" => "by mail address",
            _ => "by user name",
        };
        format!("{provider} {user} of source {source}, {by}")
    }
}
