//! `[oncall]`: the sources of shifts, how far they are trusted, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use policy::{AgeLimit, Ages, Principal, SourceAges, Span};
use serde::Deserialize;
use toml::Spanned;

use super::directory::system_authorities;
use super::fleet::SharedFleet;
use super::values::{Duration, Percent, Problem, first_level, level, named, problem, unique};

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
}

impl Source {
    /// The longest timeout of one source: all are asked at once, and a sync takes no longer.
    pub const LONGEST_TIMEOUT: Span = Span::seconds(60);

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
    /// What a collector publishes of the source that it calls by the same name.
    Fleet(SharedFleet),
}

impl Provider {
    /// The word in `provider`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::PagerDuty(_) => "pagerduty",
            Self::Rota(_) => "rota",
            Self::Exec(_) => "exec",
            Self::File(_) => "file",
            Self::Fleet(_) => "fleet",
        }
    }

    /// What people call it.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::PagerDuty(_) => "PagerDuty",
            Self::Rota(_) => "rota.toml",
            Self::Exec(_) => "exec",
            Self::File(_) => "file",
            Self::Fleet(_) => "fleet",
        }
    }

    /// Is somebody asked, a service or a command, by each sync? The others are files of this host.
    pub const fn is_asked(&self) -> bool {
        match self {
            Self::PagerDuty(_) | Self::Exec(_) => true,
            Self::Rota(_) | Self::File(_) | Self::Fleet(_) => false,
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
    /// Ids or exact names of teams; the shifts of all escalation policies of each, as one schedule.
    pub teams: Vec<String>,
    /// PEM file with the certificate authorities that may vouch for the API.
    pub ca_file: PathBuf,
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
    source: Vec<Spanned<SourceSection>>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceSection {
    name: Spanned<String>,
    provider: Spanned<String>,
    api: Option<Spanned<String>>,
    region: Option<Spanned<String>>,
    token_file: Option<PathBuf>,
    oauth: Option<OAuthSection>,
    escalation_policies: Option<Vec<String>>,
    teams: Option<Vec<String>>,
    ca_file: Option<PathBuf>,
    timeout: Option<Spanned<Duration>>,
    file: Option<PathBuf>,
    command: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    schedules: Vec<String>,
    #[serde(default = "first_level")]
    max_escalation_level: Spanned<u8>,
    late: Option<Spanned<String>>,
    #[serde(default)]
    people: BTreeMap<String, Spanned<String>>,
    // `flatten` would lose the line of a mistake.
    allow_empty: Option<bool>,
    max_oncall: Option<Spanned<usize>>,
    max_change: Option<Percent>,
    warn_age: Option<Spanned<Duration>>,
    max_age: Option<Spanned<Duration>>,
    #[serde(default)]
    schedule: BTreeMap<Spanned<String>, ScheduleSection>,
}

/// `[oncall.source.schedule.ID]`: what holds for one schedule in place of what holds for its source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleSection {
    allow_empty: Option<bool>,
    max_oncall: Option<Spanned<usize>>,
    max_change: Option<Percent>,
    warn_age: Option<Spanned<Duration>>,
    max_age: Option<Spanned<Duration>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OAuthSection {
    client_id: String,
    client_secret_file: PathBuf,
    subdomain: Spanned<String>,
    identity: Option<Spanned<String>>,
}

impl OnCallSection {
    /// The proxy as it is written.
    pub(super) fn proxy(&self) -> Option<&String> {
        self.proxy.as_ref().map(Spanned::get_ref)
    }

    /// `roster` is the file that all sources end in.
    pub(super) fn check(
        self,
        beside: &impl Fn(&Path) -> PathBuf,
        roster: &Path,
        fleet: Option<&SharedFleet>,
    ) -> Result<OnCall, Problem> {
        let lookahead = self.lookahead.0;
        let all = age_limit(&self.warn_age, &self.max_age, lookahead)?;
        unique(self.source.iter().map(|section| &section.get_ref().name), "[[oncall.source]]")?;
        let (mut ages, mut late_claims) = (Ages { all, sources: BTreeMap::new() }, BTreeSet::new());
        for section in &self.source {
            let name = section.get_ref().name.get_ref().clone();
            let limits = section.get_ref().check_ages((&self.warn_age, &self.max_age), lookahead)?;
            if section.get_ref().asks_late()? {
                late_claims.insert(name.clone());
            }
            ages.sources.insert(name, limits);
        }
        let proxy = self.proxy.map(check_proxy).transpose()?;
        let mut sources = self
            .source
            .into_iter()
            .map(|section| SourceSection::check(section, beside, fleet))
            .collect::<Result<Vec<_>, _>>()?;
        for Source { name, provider, .. } in &mut sources {
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

type WrittenAges<'a> = (&'a Spanned<Duration>, &'a Spanned<Duration>);

fn age_limit(
    warn: &Spanned<Duration>,
    max: &Spanned<Duration>,
    lookahead: Span,
) -> Result<AgeLimit, Problem> {
    let (warn_age, max_age) = (warn.get_ref().0, max.get_ref().0);
    if max_age > lookahead {
        return Err(problem(
            max,
            format!(
                "max_age ({max_age}) is longer than lookahead ({lookahead}); nothing is known beyond that"
            ),
        ));
    }
    // Unwritten, it follows a shorter `max_age`.
    Ok(AgeLimit { warn_age: warn_age.min(max_age), max_age })
}

impl SourceSection {
    fn check_ages(&self, all: WrittenAges<'_>, lookahead: Span) -> Result<SourceAges, Problem> {
        let (warn, max) = (self.warn_age.as_ref().unwrap_or(all.0), self.max_age.as_ref().unwrap_or(all.1));
        let mut ages = SourceAges { all: age_limit(warn, max, lookahead)?, schedules: BTreeMap::new() };
        for (schedule, section) in &self.schedule {
            let warn = section.warn_age.as_ref().unwrap_or(warn);
            let max = section.max_age.as_ref().unwrap_or(max);
            ages.schedules.insert(schedule.get_ref().clone(), age_limit(warn, max, lookahead)?);
        }
        Ok(ages)
    }

    /// Is a reason asked of people whose shift was not known here in time?
    fn asks_late(&self) -> Result<bool, Problem> {
        match self.late.as_ref().map(|late| (late, late.get_ref().as_str())) {
            None | Some((_, "flag")) => Ok(false),
            Some((_, "claim")) => Ok(true),
            Some((late, word)) => Err(problem(late, format!("late = `{word}`; write \"flag\" or \"claim\""))),
        }
    }

    fn check(
        section: Spanned<Self>,
        beside: &impl Fn(&Path) -> PathBuf,
        fleet: Option<&SharedFleet>,
    ) -> Result<Source, Problem> {
        let at = section.span();
        let this = section.into_inner();
        let name = this.name.get_ref();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(problem(&this.name, "a source's name has only letters, digits, - and _"));
        }
        let provider = this.check_provider(at.start, beside, fleet)?;
        let usual = Guards { allow_empty: matches!(provider, Provider::Fleet(_)), ..Guards::default() };
        let mut people = BTreeMap::new();
        for (user, principal) in &this.people {
            people.insert(user.clone(), named(principal, Principal::new)?);
        }
        let written = (this.allow_empty, this.max_oncall.as_ref(), this.max_change);
        let mut source = Source {
            name: name.clone(),
            provider,
            max_escalation_level: level(&this.max_escalation_level)?,
            people,
            guards: guards(written, &usual)?,
            guards_of: BTreeMap::new(),
            schedules: this.schedules,
        };
        let mut texts = BTreeSet::new();
        if let Some(text) = source.wanted().find(|text| !texts.insert(text.as_str())) {
            let text = format!("source `{}` lists `{text}` twice: a rule could mean either", source.name);
            return Err(Problem { at: at.start, text });
        }
        let is_unknown = |text: &str| !texts.is_empty() && !texts.contains(text);
        if let Some(schedule) = this.schedule.keys().find(|schedule| is_unknown(schedule.get_ref())) {
            let text = format!("`schedules` of source `{}` has no `{}`", source.name, schedule.get_ref());
            return Err(problem(schedule, text));
        }
        for (schedule, section) in this.schedule {
            let written = (section.allow_empty, section.max_oncall.as_ref(), section.max_change);
            let guards = guards(written, &source.guards)?;
            source.guards_of.insert(schedule.into_inner(), guards);
        }
        Ok(source)
    }

    /// A setting of another provider's that would be read by nobody.
    fn foreign_setting(&self) -> Option<&'static str> {
        let ours = self.provider.get_ref().as_str();
        let own: &[&str] = &["pagerduty", "rota", "exec", "file"];
        let limits = |limit: fn(&ScheduleSection) -> bool| self.schedule.values().any(limit);
        let written: [(&str, bool, &[&str]); 13] = [
            ("file", self.file.is_some(), &["rota", "file"]),
            ("command", self.command.is_some(), &["exec"]),
            ("timeout", self.timeout.is_some(), &["pagerduty", "exec"]),
            ("token_file", self.token_file.is_some(), &["pagerduty"]),
            ("oauth", self.oauth.is_some(), &["pagerduty"]),
            ("api", self.api.is_some(), &["pagerduty"]),
            ("region", self.region.is_some(), &["pagerduty"]),
            ("ca_file", self.ca_file.is_some(), &["pagerduty"]),
            ("escalation_policies", self.escalation_policies.is_some(), &["pagerduty"]),
            ("teams", self.teams.is_some(), &["pagerduty"]),
            // A fleet's collector has judged these, and shown whose is what.
            ("allow_empty", self.allow_empty.is_some() || limits(|one| one.allow_empty.is_some()), own),
            ("max_change", self.max_change.is_some() || limits(|one| one.max_change.is_some()), own),
            ("people", !self.people.is_empty(), own),
        ];
        written.into_iter().find(|(_, set, read_by)| *set && !read_by.contains(&ours)).map(|(key, _, _)| key)
    }

    fn check_provider(
        &self,
        at: usize,
        beside: &impl Fn(&Path) -> PathBuf,
        fleet: Option<&SharedFleet>,
    ) -> Result<Provider, Problem> {
        let needs =
            |key: &str| Problem { at, text: format!("source `{}` needs `{key}`", self.name.get_ref()) };
        let provider = self.provider.get_ref();
        if !["pagerduty", "rota", "exec", "file", "fleet"].contains(&provider.as_str()) {
            let text = format!(
                "there is no provider `{provider}`; this release has pagerduty, rota, exec, file and fleet"
            );
            return Err(problem(&self.provider, text));
        }
        if let Some(key) = self.foreign_setting() {
            return Err(problem(&self.provider, format!("provider `{provider}` has no setting `{key}`")));
        }
        let file = || self.file.as_ref().map(|file| beside(file)).ok_or_else(|| needs("file"));
        match provider.as_str() {
            "rota" => Ok(Provider::Rota(file()?)),
            "file" => Ok(Provider::File(file()?)),
            "exec" => Ok(Provider::Exec(Exec {
                command: self.check_command(self.command.as_ref().ok_or_else(|| needs("command"))?)?,
                timeout: self.check_timeout()?,
            })),
            "fleet" if self.schedules.is_empty() => Err(needs("schedules")),
            "fleet" => fleet.cloned().map(Provider::Fleet).ok_or_else(|| {
                problem(&self.provider, "provider `fleet` needs [fleet], with the store's `id` and `urls`")
            }),
            _ => self.check_pagerduty(at, beside).map(Provider::PagerDuty),
        }
    }

    fn check_timeout(&self) -> Result<Span, Problem> {
        let longest = Source::LONGEST_TIMEOUT;
        match &self.timeout {
            Some(written) if written.get_ref().0 > longest => {
                Err(problem(written, format!("`timeout` of a source is at most {longest}")))
            }
            Some(written) => Ok(written.get_ref().0),
            None => Ok(longest),
        }
    }

    fn check_command(&self, command: &Spanned<Vec<String>>) -> Result<Vec<String>, Problem> {
        let absolute = command.get_ref().first().is_some_and(|program| program.starts_with('/'));
        if !absolute || command.get_ref().iter().any(|word| word.contains('\0')) {
            return Err(problem(command, "`command` is the absolute path of a program and its arguments"));
        }
        Ok(command.get_ref().clone())
    }

    fn check_pagerduty(&self, at: usize, beside: &impl Fn(&Path) -> PathBuf) -> Result<PagerDuty, Problem> {
        let needs =
            |key: &str| Problem { at, text: format!("source `{}` needs `{key}`", self.name.get_ref()) };
        let region = self.region.as_ref().map_or("us", |region| region.get_ref().as_str());
        let api = match (region, &self.region) {
            ("us", _) => "https://api.pagerduty.com",
            ("eu", _) => "https://api.eu.pagerduty.com",
            (_, Some(written)) => return Err(problem(written, "`region` is \"us\" or \"eu\"")),
            (_, None) => return Err(needs("region")),
        };
        let access = match (&self.token_file, &self.oauth) {
            (Some(file), None) => Access::Key(beside(file)),
            (None, Some(app)) => Access::OAuth(Box::new(app.check(region, beside)?)),
            (None, None) => return Err(needs("token_file")),
            (Some(_), Some(_)) => {
                let text = "both `token_file` and [oncall.source.oauth]; keep one of them";
                return Err(problem(&self.provider, text));
            }
        };
        let (policies, teams) =
            (self.escalation_policies.clone().unwrap_or_default(), self.teams.clone().unwrap_or_default());
        if self.schedules.is_empty() && policies.is_empty() && teams.is_empty() {
            return Err(needs("schedules"));
        }
        Ok(PagerDuty {
            api: origin(self.api.as_ref(), api)?,
            access,
            escalation_policies: policies,
            teams,
            ca_file: beside(&self.ca_file.clone().unwrap_or_else(system_authorities)),
            timeout: self.check_timeout()?,
            proxy: None,
        })
    }
}

impl OAuthSection {
    fn check(&self, region: &str, beside: &impl Fn(&Path) -> PathBuf) -> Result<OAuth, Problem> {
        let subdomain = self.subdomain.get_ref();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if subdomain.is_empty() || !subdomain.bytes().all(fits) {
            return Err(problem(&self.subdomain, "`subdomain` is the part before .pagerduty.com"));
        }
        Ok(OAuth {
            identity: origin(self.identity.as_ref(), "https://identity.pagerduty.com")?,
            client_id: self.client_id.clone(),
            client_secret_file: beside(&self.client_secret_file),
            account: format!("as_account-{region}.{subdomain}"),
            kept_in: PathBuf::new(),
        })
    }
}

type WrittenGuards<'a> = (Option<bool>, Option<&'a Spanned<usize>>, Option<Percent>);

fn guards((empty, most, change): WrittenGuards<'_>, otherwise: &Guards) -> Result<Guards, Problem> {
    if let Some(most) = most.filter(|most| *most.get_ref() == 0) {
        return Err(problem(most, "`max_oncall` is 0, so nobody could ever be on call"));
    }
    Ok(Guards {
        allow_empty: empty.unwrap_or(otherwise.allow_empty),
        max_oncall: most.map_or(otherwise.max_oncall, |most| *most.get_ref()),
        max_change: change.map_or(otherwise.max_change, |Percent(share)| share),
    })
}

/// Scheme, host and port, and nothing behind them.
fn origin(written: Option<&Spanned<String>>, otherwise: &str) -> Result<String, Problem> {
    match written {
        None => Ok(otherwise.to_string()),
        Some(url) if !url.get_ref().starts_with("https://") || url.get_ref().ends_with('/') => {
            Err(problem(url, "an API is https:// and a host, without a slash at the end"))
        }
        Some(url) => Ok(url.get_ref().clone()),
    }
}
