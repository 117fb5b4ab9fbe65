//! `[oncall]`: the sources of shifts, how far they are trusted, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use policy::{Ages, Principal, Rules, Span};
use serde::Deserialize;
use toml::Spanned;

use super::calendar::{Calendar, CalendarPlace};
use super::fleet::SharedFleet;
use super::group::LdapGroup;
use super::kinds::{self, Kind};
use super::service::Service;
use super::source::Around;
use super::source::{Written, age_limit};
use super::values::{Duration, Problem, problem, unique};

/// `[oncall]`.
#[derive(Debug, Clone)]
pub struct OnCall {
    /// How far ahead shifts are fetched.
    pub lookahead: Span,
    /// How old news may be, for each source and schedule that says so, and for all others.
    pub ages: Ages,
    /// The sources of whose late shifts a reason is asked.
    pub late_claims: BTreeSet<String>,
    /// `http://host:port` of the proxy through which providers are asked; none is guessed from the environment.
    pub proxy: Option<String>,
    /// Every source, in the file's order.
    pub sources: Vec<Source>,
}

impl OnCall {
    /// The services whose incidents this host reads, by source; each once: those that `rules` here wait for, and those of
    /// which a collector tells the hosts of its fleet.
    pub fn incident_services(&self, rules: &Rules) -> BTreeMap<String, Vec<String>> {
        let mut asked = rules.incident_services();
        for source in self.sources.iter().filter(|source| !source.incident_services.is_empty()) {
            let services = asked.entry(source.name.clone()).or_default();
            services.extend(source.incident_services.iter().cloned());
            services.sort();
            services.dedup();
        }
        asked
    }

    /// Does a rule here wait for incidents that a collector tells of?
    pub fn asks_fleet_for_incidents(&self, rules: &Rules) -> bool {
        let asked = self.incident_services(rules);
        let is_of_fleet = |source: &Source| matches!(source.provider, Provider::Fleet(_));
        self.sources.iter().any(|source| is_of_fleet(source) && asked.contains_key(&source.name))
    }

    /// Has each source tell of the incidents that this host reads.
    pub(super) fn ask_for_incidents(&mut self, rules: &Rules) {
        let mut asked = self.incident_services(rules);
        for source in &mut self.sources {
            if let Provider::PagerDuty(settings) = &mut source.provider {
                settings.incident_services = asked.remove(&source.name).unwrap_or_default();
            }
        }
    }
}

/// `[[oncall.source]]`.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name that rules use: `pd` in `pd/PDB0001`.
    pub name: String,
    /// Which service, and how it is reached.
    pub provider: Provider,
    /// Provider ids or exact names of the schedules wanted; every one must exist at each sync. Empty: all that
    /// the source tells of (not with PagerDuty).
    pub schedules: Vec<String>,
    /// The deepest escalation level that is stored.
    pub max_escalation_level: u8,
    /// Provider's user id to principal, for people whose mail address does not tell.
    pub people: BTreeMap<String, Principal>,
    /// What a schedule must not exceed to be taken over, where [`Source::guards_of`] has nothing else.
    pub guards: Guards,
    /// The same for single schedules, by the text that names them in `schedules`.
    pub guards_of: BTreeMap<String, Guards>,
    /// Ids of services whose incidents a collector reads for the hosts of its fleet, besides those that its own rules wait
    /// for.
    pub incident_services: Vec<String>,
    /// Was it said that this kind of source counts, although nobody has seen it read a real one?
    pub unverified: bool,
}

impl Source {
    /// The longest timeout of one source: all are asked at once, and a sync takes no longer.
    pub const LONGEST_TIMEOUT: Span = Span::seconds(60);

    /// Why nobody is let in by what this source says, where nobody has seen this release read the real service, and root has
    /// not said that it may.
    pub fn unseen(&self) -> Option<String> {
        let kind = self.provider.kind();
        (!kind.verified && !self.unverified).then(|| {
            format!(
                "this release was never tried on a real {}, so `mode = \"enforce\"` is refused; observe until `oncall-cache provider \
                 test {name}` shows what you expect, then set `unverified = true` in source `{name}`",
                kind.label,
                name = self.name
            )
        })
    }

    /// The texts that name what is wanted of the source; none, if all that it tells of is.
    pub fn wanted(&self) -> impl Iterator<Item = &String> {
        let (policies, teams) = match &self.provider {
            Provider::PagerDuty(settings) => {
                (settings.escalation_policies.as_slice(), settings.teams.as_slice())
            }
            _ => Default::default(),
        };
        self.schedules.iter().chain(policies).chain(teams)
    }

    /// The guards of the schedule that `text` names.
    pub fn guards(&self, text: &str) -> &Guards {
        self.guards_of.get(text).unwrap_or(&self.guards)
    }
}

/// What makes a sync refuse a schedule's new shifts and keep the old ones, until somebody says `--accept`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    /// May it have no shift at all in the whole window?
    pub allow_empty: bool,
    /// The most people on call at one instant.
    pub max_oncall: usize,
    /// The share, in percent, of the time that is known already of which it may become somebody else's.
    /// 100 refuses nothing.
    pub max_change: u8,
}

impl Default for Guards {
    fn default() -> Self {
        Self { allow_empty: false, max_oncall: 20, max_change: 100 }
    }
}

/// The kind of a source.
#[derive(Debug, Clone)]
pub enum Provider {
    /// PagerDuty's REST API.
    PagerDuty(PagerDuty),
    /// A `rota.toml`.
    Rota(PathBuf),
    /// A command that prints our JSON.
    Exec(Exec),
    /// A file with our JSON.
    File(PathBuf),
    /// A calendar that people keep.
    Calendar(Box<Calendar>),
    /// The members of a group in the directory.
    Group(Box<LdapGroup>),
    /// What a collector publishes of the source that it calls by the same name.
    Fleet(SharedFleet),
    /// One of [`SERVICES`](super::kinds::SERVICES).
    Service(Box<Service>),
}

impl Provider {
    /// What it needs and can do.
    pub fn kind(&self) -> &'static Kind {
        match self {
            Self::PagerDuty(_) => &kinds::PAGERDUTY,
            Self::Rota(_) => &kinds::ROTA,
            Self::Exec(_) => &kinds::EXEC,
            Self::File(_) => &kinds::FILE,
            Self::Calendar(_) => &kinds::CALENDAR,
            Self::Group(_) => &kinds::GROUP,
            Self::Fleet(_) => &kinds::FLEET,
            Self::Service(service) => service.kind,
        }
    }

    /// The longest that it may take to answer; nothing where nobody is asked.
    pub fn timeout(&self) -> Option<Span> {
        match self {
            Self::PagerDuty(settings) => Some(settings.timeout),
            Self::Exec(settings) => Some(settings.timeout),
            Self::Service(settings) => Some(settings.timeout),
            Self::Calendar(settings) => Some(settings.timeout),
            Self::Group(settings) => Some(settings.ldap.timeout),
            Self::Rota(_) | Self::File(_) | Self::Fleet(_) => None,
        }
    }

    /// Its files with secrets.
    pub fn secrets(&self) -> Vec<&PathBuf> {
        match self {
            Self::PagerDuty(settings) => vec![match &settings.access {
                Access::Key(file) => file,
                Access::OAuth(app) => &app.client_secret_file,
            }],
            Self::Service(settings) => settings.secrets.values().collect(),
            Self::Calendar(settings) => match &settings.place {
                CalendarPlace::Address(file) => vec![file],
                CalendarPlace::File(_) => Vec::new(),
            },
            Self::Group(settings) => settings.ldap.bind_password_file.iter().collect(),
            Self::Rota(_) | Self::Exec(_) | Self::File(_) | Self::Fleet(_) => Vec::new(),
        }
    }

    /// The same, to put others in their place.
    pub(super) fn secrets_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::PagerDuty(settings) => vec![match &mut settings.access {
                Access::Key(file) => file,
                Access::OAuth(app) => &mut app.client_secret_file,
            }],
            Self::Service(settings) => settings.secrets.values_mut().collect(),
            Self::Calendar(settings) => match &mut settings.place {
                CalendarPlace::Address(file) => vec![file],
                CalendarPlace::File(_) => Vec::new(),
            },
            Self::Group(settings) => settings.ldap.bind_password_file.iter_mut().collect(),
            Self::Rota(_) | Self::Exec(_) | Self::File(_) | Self::Fleet(_) => Vec::new(),
        }
    }
}

/// How PagerDuty is reached.
#[derive(Debug, Clone)]
pub struct PagerDuty {
    /// `https://api.pagerduty.com`, or the EU host; never with a trailing slash.
    pub api: String,
    /// How it is known who asks.
    pub access: Access,
    /// Ids or exact names of escalation policies whose shifts are wanted, each as one schedule.
    pub escalation_policies: Vec<String>,
    /// Is every schedule wanted that there is?
    pub every: bool,
    /// Ids or exact names of teams; the shifts of all escalation policies of each, as one schedule.
    pub teams: Vec<String>,
    /// PEM file with the certificate authorities that may vouch for the API.
    pub ca_file: PathBuf,
    /// Ids of services whose incidents this host reads.
    pub incident_services: Vec<String>,
    /// Longest time that one sync of this source may take; at most [`Source::LONGEST_TIMEOUT`].
    pub timeout: Span,
    /// `http://host:port` of the proxy in between: that of `[oncall]`.
    pub proxy: Option<String>,
}

/// How PagerDuty knows who asks.
#[derive(Debug, Clone)]
pub enum Access {
    /// A file with an API key.
    Key(PathBuf),
    /// An app's client credentials.
    OAuth(Box<OAuth>),
}

/// An app registered at PagerDuty, of which a token is asked that may read and nothing else.
#[derive(Debug, Clone)]
pub struct OAuth {
    /// `https://identity.pagerduty.com`.
    pub identity: String,
    /// The app's client id.
    pub client_id: String,
    /// File with the app's client secret.
    pub client_secret_file: PathBuf,
    /// What the token is for: `as_account-us.SUBDOMAIN`.
    pub account: String,
    /// Where the token is kept while it is valid: beside the roster, for the sync alone to read.
    pub kept_in: PathBuf,
}

/// A command that prints shifts.
#[derive(Debug, Clone)]
pub struct Exec {
    /// The program, an absolute path, and its arguments.
    pub command: Vec<String>,
    /// Longest time that it may take.
    pub timeout: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OnCallSection {
    warn_age: Spanned<Duration>,
    max_age: Spanned<Duration>,
    lookahead: Duration,
    proxy: Option<Spanned<String>>,
    source: Vec<Spanned<Written>>,
}

impl Default for OnCallSection {
    fn default() -> Self {
        let unwritten = |span| Spanned::new(0..0, Duration(span));
        Self {
            warn_age: unwritten(Span::hours(1)),
            max_age: unwritten(Span::hours(24)),
            lookahead: Duration(Span::hours(72)),
            proxy: None,
            source: Vec::new(),
        }
    }
}

impl OnCallSection {
    /// The proxy as it is written.
    pub(super) fn proxy(&self) -> Option<&String> {
        self.proxy.as_ref().map(Spanned::get_ref)
    }

    /// `roster` is the file that all sources end in. Does the configuration enforce?
    pub(super) fn check(
        self,
        beside: &impl Fn(&Path) -> PathBuf,
        roster: &Path,
        around: Around<'_>,
        enforces: bool,
    ) -> Result<OnCall, Problem> {
        let lookahead = self.lookahead.0;
        let all = age_limit(&self.warn_age, &self.max_age, lookahead)?;
        unique(self.source.iter().map(|section| &section.get_ref().section.name), "[[oncall.source]]")?;
        let (mut ages, mut late_claims) = (Ages { all, sources: BTreeMap::new() }, BTreeSet::new());
        for section in &self.source {
            let name = section.get_ref().section.name.get_ref().clone();
            let limits = section.get_ref().section.check_ages((&self.warn_age, &self.max_age), lookahead)?;
            if section.get_ref().section.asks_late()? {
                late_claims.insert(name.clone());
            }
            ages.sources.insert(name, limits);
        }
        let proxy = self.proxy.map(check_proxy).transpose()?;
        let mut sources = self
            .source
            .into_iter()
            .map(|section| Written::check(section, beside, around, enforces))
            .collect::<Result<Vec<_>, _>>()?;
        for Source { name, provider, .. } in &mut sources {
            match provider {
                Provider::Service(settings) => settings.proxy.clone_from(&proxy),
                Provider::Calendar(settings) => {
                    settings.proxy.clone_from(&proxy);
                    settings.kept_in = roster.with_file_name(format!("calendar-{name}.json"));
                }
                _ => {}
            }
            let Provider::PagerDuty(settings) = provider else { continue };
            settings.proxy.clone_from(&proxy);
            if let Access::OAuth(app) = &mut settings.access {
                app.kept_in = roster.with_file_name(format!("oauth-{name}.json"));
            }
        }
        Ok(OnCall { lookahead, ages, late_claims, proxy, sources })
    }
}

fn check_proxy(written: Spanned<String>) -> Result<String, Problem> {
    let text = written.get_ref();
    let host = text.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.contains(['/', '@']));
    host.is_some().then(|| text.clone()).ok_or_else(|| {
        problem(
            &written,
            format!("`{text}` is not a proxy; write http://host:port, without a name or password"),
        )
    })
}
