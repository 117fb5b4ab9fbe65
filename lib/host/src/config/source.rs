//! `[[oncall.source]]`: one source of shifts, checked by what [its kind](super::kinds) says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use policy::{AgeLimit, Principal, SourceAges, Span};
use serde::de::{DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use toml::{Spanned, Value};

use super::calendar::{Calendar, CalendarSection};
use super::directory::{Directory, system_authorities};
use super::fleet::SharedFleet;
use super::group::{GroupSection, LdapGroup};
use super::incident::{Services, of_fleet};
use super::kinds::{CALENDAR, FLEET, Form, Kind, kinds};
use super::oncall::{Access, Exec, Guards, OAuth, PagerDuty, Provider, Source};
use super::service::Service;
use super::values::{Duration, Percent, Problem, first_level, level, meant, named, problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceSection {
    pub(super) name: Spanned<String>,
    provider: Spanned<String>,
    api: Option<Spanned<String>>,
    region: Option<Spanned<String>>,
    token_file: Option<PathBuf>,
    oauth: Option<OAuthSection>,
    escalation_policies: Option<Vec<String>>,
    teams: Option<Vec<String>>,
    ca_file: Option<PathBuf>,
    timeout: Option<Spanned<Duration>>,
    unverified: Option<bool>,
    file: Option<PathBuf>,
    command: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    schedules: Vec<String>,
    #[serde(default = "first_level")]
    max_escalation_level: Spanned<u8>,
    late: Option<Spanned<String>>,
    incident_services: Option<Services>,
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

/// `[[oncall.source]]` as it is written: what all kinds of sources have or several share, and all else, for the kind to
/// judge.
pub(super) struct Written {
    pub(super) section: SourceSection,
    own: BTreeMap<Spanned<String>, Spanned<Value>>,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WrittenVisitor;
        impl<'de> Visitor<'de> for WrittenVisitor {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<Written, A::Error> {
                let mut own = BTreeMap::new();
                let section = SourceSection::deserialize(Sieve { inner, fields: &[], own: &mut own })?;
                Ok(Written { section, own })
            }
        }
        deserializer.deserialize_map(WrittenVisitor)
    }
}

/// Lets the fields of a struct through, with their places in the file, which `flatten` would lose; and keeps the others.
struct Sieve<'a, A> {
    inner: A,
    fields: &'static [&'static str],
    own: &'a mut BTreeMap<Spanned<String>, Spanned<Value>>,
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Sieve<'_, A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(Self { fields, ..self })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Sieve<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.inner.next_key::<Spanned<String>>()? {
            if self.fields.contains(&key.get_ref().as_str()) {
                return seed.deserialize(key.into_inner().into_deserializer()).map(Some);
            }
            self.own.insert(key, self.inner.next_value()?);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
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

pub(super) type WrittenAges<'a> = (&'a Spanned<Duration>, &'a Spanned<Duration>);

pub(super) fn age_limit(
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
    /// What every source may have; for complaints about others.
    const FIELDS: [&'static str; 14] = [
        "name",
        "provider",
        "schedules",
        "max_escalation_level",
        "late",
        "people",
        "allow_empty",
        "max_oncall",
        "max_change",
        "warn_age",
        "max_age",
        "schedule",
        "unverified",
        "timeout",
    ];

    /// Is `"*"` written, which is every schedule that the source lists?
    fn names_all(&self) -> bool {
        self.schedules == ["*"]
    }

    pub(super) fn check_ages(&self, all: WrittenAges<'_>, lookahead: Span) -> Result<SourceAges, Problem> {
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
    pub(super) fn asks_late(&self) -> Result<bool, Problem> {
        match self.late.as_ref().map(|late| (late, late.get_ref().as_str())) {
            // Whoever may edit a calendar puts themselves on call, and no service says who did.
            None => Ok(self.provider.get_ref() == CALENDAR.word),
            Some((_, "flag")) => Ok(false),
            Some((_, "claim")) => Ok(true),
            Some((late, word)) => Err(problem(late, format!("late = `{word}`; write \"flag\" or \"claim\""))),
        }
    }

    /// A setting that is written and that `kind` does not read.
    fn foreign_setting(&self, kind: &Kind) -> Option<&'static str> {
        let limits = |limit: fn(&ScheduleSection) -> bool| self.schedule.values().any(limit);
        let shared = [
            ("file", self.file.is_some()),
            ("command", self.command.is_some()),
            ("timeout", self.timeout.is_some()),
            ("token_file", self.token_file.is_some()),
            ("oauth", self.oauth.is_some()),
            ("api", self.api.is_some()),
            ("region", self.region.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("escalation_policies", self.escalation_policies.is_some()),
            ("teams", self.teams.is_some()),
            ("incident_services", self.incident_services.is_some()),
        ];
        // A fleet's collector has judged these, and shown whose is what.
        let judged = [
            ("allow_empty", self.allow_empty.is_some() || limits(|one| one.allow_empty.is_some())),
            ("max_change", self.max_change.is_some() || limits(|one| one.max_change.is_some())),
            ("people", !self.people.is_empty()),
        ];
        let of_fleet = judged.into_iter().filter(|_| *kind == FLEET);
        let unread = shared.into_iter().filter(|(key, _)| kind.setting(key).is_none()).chain(of_fleet);
        unread.into_iter().find(|(_, set)| *set).map(|(key, _)| key)
    }

    fn needs(&self, at: usize, key: &str) -> Problem {
        Problem { at, text: format!("source `{}` needs `{key}`", self.name.get_ref()) }
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
        let needs = |key: &str| self.needs(at, key);
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
        let is_all = self.schedules.is_empty() && policies.is_empty() && teams.is_empty();
        Ok(PagerDuty {
            api: origin(self.api.as_ref(), api)?,
            access,
            every: is_all || self.names_all(),
            escalation_policies: policies,
            teams,
            ca_file: beside(&self.ca_file.clone().unwrap_or_else(system_authorities)),
            incident_services: Vec::new(),
            timeout: self.check_timeout()?,
            proxy: None,
        })
    }
}

/// What of the configuration around it a source may depend on.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub fleet: Option<&'a SharedFleet>,
    pub directory: Option<&'a Directory>,
}

impl Written {
    pub(super) fn check(
        written: Spanned<Self>,
        beside: &impl Fn(&Path) -> PathBuf,
        around: Around<'_>,
        enforces: bool,
    ) -> Result<Source, Problem> {
        let at = written.span().start;
        let this = written.into_inner();
        let name = this.section.name.get_ref().clone();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(problem(&this.section.name, "a source's name has only letters, digits, - and _"));
        }
        let provider = this.check_provider(at, beside, around)?;
        let provider_at = this.section.provider.span().start;
        let usual = Guards { allow_empty: matches!(provider, Provider::Fleet(_)), ..Guards::default() };
        let section = this.section;
        let mut people = BTreeMap::new();
        for (user, principal) in &section.people {
            people.insert(user.clone(), named(principal, Principal::new)?);
        }
        let limits = (section.allow_empty, section.max_oncall.as_ref(), section.max_change);
        let mut source = Source {
            name,
            max_escalation_level: level(&section.max_escalation_level)?,
            people,
            guards: guards(limits, &usual)?,
            guards_of: BTreeMap::new(),
            schedules: if section.names_all() { Vec::new() } else { section.schedules },
            incident_services: section.incident_services.as_ref().map_or(Ok(Vec::new()), of_fleet)?,
            unverified: section.unverified.unwrap_or(false),
            provider,
        };
        if let Some(text) = source.unseen().filter(|_| enforces) {
            return Err(Problem { at: provider_at, text });
        }
        let mut texts = BTreeSet::new();
        if let Some(text) = source.wanted().find(|text| !texts.insert(text.as_str())) {
            let text = format!("source `{}` lists `{text}` twice: a rule could mean either", source.name);
            return Err(Problem { at, text });
        }
        let is_unknown = |text: &str| !texts.is_empty() && !texts.contains(text);
        if let Some(schedule) = section.schedule.keys().find(|schedule| is_unknown(schedule.get_ref())) {
            let text = format!("`schedules` of source `{}` has no `{}`", source.name, schedule.get_ref());
            return Err(problem(schedule, text));
        }
        for (schedule, section) in section.schedule {
            let written = (section.allow_empty, section.max_oncall.as_ref(), section.max_change);
            let guards = guards(written, &source.guards)?;
            source.guards_of.insert(schedule.into_inner(), guards);
        }
        Ok(source)
    }

    fn check_provider(
        &self,
        at: usize,
        beside: &impl Fn(&Path) -> PathBuf,
        Around { fleet, directory }: Around<'_>,
    ) -> Result<Provider, Problem> {
        let section = &self.section;
        let needs = |key: &str| section.needs(at, key);
        let word = section.provider.get_ref().as_str();
        let Some(kind) = kinds().find(|kind| kind.word == word) else {
            let known = || kinds().map(|kind| kind.word);
            let all = known().collect::<Vec<_>>().join(", ");
            let text =
                format!("there is no provider `{word}`{}; this release has {all}", meant(word, known()));
            return Err(problem(&section.provider, text));
        };
        if let Some(key) = section.foreign_setting(kind) {
            return Err(problem(&section.provider, format!("provider `{word}` has no setting `{key}`")));
        }
        self.check_own(kind)?;
        if !kind.lists && (section.schedules.is_empty() || section.names_all()) {
            return Err(needs("schedules"));
        }
        let file = || section.file.as_ref().map(|file| beside(file)).ok_or_else(|| needs("file"));
        match word {
            "rota" => Ok(Provider::Rota(file()?)),
            "file" => Ok(Provider::File(file()?)),
            "exec" => Ok(Provider::Exec(Exec {
                command: section.check_command(section.command.as_ref().ok_or_else(|| needs("command"))?)?,
                timeout: section.check_timeout()?,
            })),
            "fleet" => fleet.cloned().map(Provider::Fleet).ok_or_else(|| {
                problem(&section.provider, "provider `fleet` needs [fleet], with the store's `id` and `urls`")
            }),
            "icalendar" => self.check_calendar(at, beside).map(|one| Provider::Calendar(Box::new(one))),
            "ldap-group" => self.check_group(at, beside, directory).map(|one| Provider::Group(Box::new(one))),
            "pagerduty" => section.check_pagerduty(at, beside).map(Provider::PagerDuty),
            _ => self.check_service(kind, at, beside).map(|service| Provider::Service(Box::new(service))),
        }
    }

    /// A setting that only some kinds have, and where it is written.
    fn own(&self, name: &str) -> Option<&Spanned<Value>> {
        self.own.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    fn own_text(&self, name: &str) -> Result<Option<String>, Problem> {
        self.own(name).map(read).transpose()
    }

    fn own_file(&self, name: &str, beside: &impl Fn(&Path) -> PathBuf) -> Result<Option<PathBuf>, Problem> {
        Ok(self.own(name).map(read::<PathBuf>).transpose()?.map(|file| beside(&file)))
    }

    fn check_calendar(&self, at: usize, beside: &impl Fn(&Path) -> PathBuf) -> Result<Calendar, Problem> {
        let section = &self.section;
        let person = self.own_text("person")?.zip(self.own("person"));
        let written = CalendarSection {
            url_file: self.own_file("url_file", beside)?,
            file: section.file.as_ref().map(|file| beside(file)),
            time_zone: self.own_text("time_zone")?,
            person: person.map(|(text, at)| Spanned::new(at.span(), text)),
            ca_file: beside(&section.ca_file.clone().unwrap_or_else(system_authorities)),
            timeout: section.check_timeout()?,
        };
        written.check(at, section.schedules.len())
    }

    fn check_group(
        &self,
        at: usize,
        beside: &impl Fn(&Path) -> PathBuf,
        directory: Option<&Directory>,
    ) -> Result<LdapGroup, Problem> {
        let section = &self.section;
        let urls = self.own("urls");
        let urls = urls.map(|urls| Ok(Spanned::new(urls.span(), read(urls)?))).transpose()?;
        let group = self.own_text("group")?.filter(|group| !group.is_empty());
        let written = GroupSection {
            group: group.ok_or_else(|| section.needs(at, "group"))?,
            bind_dn: self.own_text("bind_dn")?,
            bind_password_file: self.own_file("bind_password_file", beside)?,
            urls,
            ca_file: section.ca_file.as_ref().map(|file| beside(file)),
            timeout: section.check_timeout()?,
        };
        written.check(at, section.schedules.len(), directory)
    }

    /// Are all settings that only some kinds have among those of this one?
    fn check_own(&self, kind: &Kind) -> Result<(), Problem> {
        let Some(key) = self.own.keys().find(|key| kind.setting(key.get_ref()).is_none()) else {
            return Ok(());
        };
        let name = key.get_ref();
        let known = || kinds().flat_map(Kind::settings).map(|setting| setting.name);
        if known().any(|known| known == name) {
            return Err(problem(key, format!("provider `{}` has no setting `{name}`", kind.word)));
        }
        let end = meant(name, known().chain(SourceSection::FIELDS));
        let end = if end.is_empty() { "; this release has no such setting here".to_string() } else { end };
        Err(problem(key, format!("unknown key `{name}`{end}")))
    }

    fn check_service(
        &self,
        kind: &'static Kind,
        at: usize,
        beside: &impl Fn(&Path) -> PathBuf,
    ) -> Result<Service, Problem> {
        let section = &self.section;
        let needs = |key: &str| section.needs(at, key);
        if kind.api.is_empty() && section.api.is_none() {
            return Err(needs("api"));
        }
        let (mut texts, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        let token = section.token_file.as_ref().map(|file| beside(file));
        secrets.extend(token.map(|file| ("token_file", file)));
        for setting in kind.settings() {
            let Some((_, value)) = self.own.iter().find(|(key, _)| key.get_ref() == setting.name) else {
                continue;
            };
            match setting.form {
                Form::Text | Form::Segment | Form::Word(_) => {
                    let text = read::<String>(value)?;
                    if let Some(expected) = unfit(setting.form, &text) {
                        return Err(problem(value, format!("{} = `{text}`; {expected}", setting.name)));
                    }
                    _ = texts.insert(setting.name, vec![text]);
                }
                Form::Texts => _ = texts.insert(setting.name, read(value)?),
                Form::Secret => _ = secrets.insert(setting.name, beside(&read::<PathBuf>(value)?)),
                Form::Common => {}
            }
        }
        let has = |name: &str| {
            secrets.contains_key(name) || texts.get(name).is_some_and(|texts: &Vec<String>| !texts.is_empty())
        };
        if let Some(missing) = kind.settings().find(|setting| setting.needed && !has(setting.name)) {
            return Err(needs(missing.name));
        }
        Ok(Service {
            kind,
            api: origin(section.api.as_ref(), kind.api)?,
            texts,
            secrets,
            ca_file: beside(&section.ca_file.clone().unwrap_or_else(system_authorities)),
            timeout: section.check_timeout()?,
            proxy: None,
        })
    }
}

/// What should be written in place of `text`, where that is not of this form.
fn unfit(form: Form, text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match form {
        Form::Segment if text.is_empty() || !text.bytes().all(plain) => {
            Some("it has letters, digits, - and _ alone".to_string())
        }
        Form::Word(words) if !words.contains(&text) => {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            Some(format!("write {}", words.join(" or ")))
        }
        _ => None,
    }
}

/// A value of a setting that only some kinds have.
fn read<T: DeserializeOwned>(value: &Spanned<Value>) -> Result<T, Problem> {
    let wrong = |error: toml::de::Error| problem(value, error.message().to_string());
    value.get_ref().clone().try_into().map_err(wrong)
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
