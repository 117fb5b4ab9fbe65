//! `[policy]`: who is guarded, and who admits whom.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use key::PublicKey;
use policy::{
    CertificateAuthority, End, HostSelector, Mode, Principal, Rule, Rules, ScheduleRef, Shared, Who,
};
use serde::Deserialize;
use toml::Spanned;

use super::Source;
use super::automation::{self, AutomationSection};
use super::end::EndSection;
use super::grant::{self, GrantSection};
use super::incident::IncidentSection;
use super::rego::{self, Rego, RegoSection};
use super::values::{Problem, account, accounts, first_level, level, meant, problem, services, unique};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PolicySection {
    mode: PolicyMode,
    guarded_accounts: Option<Vec<Spanned<String>>>,
    privileged_groups: Option<Vec<String>>,
    pam_services: Option<Spanned<Vec<Spanned<String>>>>,
    exempt_accounts: Vec<Spanned<String>>,
    exempt_ttys: Option<Vec<Spanned<String>>>,
    help: Option<Spanned<String>>,
    certificate_authorities: Vec<Spanned<String>>,
    rule: Vec<RuleSection>,
    shared_account: Vec<SharedSection>,
    automation: Vec<AutomationSection>,
    grant: Vec<GrantSection>,
    end: EndSection,
    rego: Vec<RegoSection>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum PolicyMode {
    #[default]
    Enforce,
    Observe,
}

impl From<PolicyMode> for Mode {
    fn from(written: PolicyMode) -> Self {
        match written {
            PolicyMode::Enforce => Self::Enforce,
            PolicyMode::Observe => Self::Observe,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSection {
    name: Spanned<String>,
    hosts: Option<Vec<String>>,
    schedules: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "first_level")]
    max_escalation_level: Spanned<u8>,
    #[serde(default)]
    claim: bool,
    incident: Option<IncidentSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedSection {
    account: Spanned<String>,
    people: Option<Spanned<People>>,
    #[serde(default = "explains")]
    explain_refusals: bool,
}

/// A refusal that explains itself is counted against nobody's address.
fn explains() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "people is \"on-call\" or a list of names")]
pub(super) enum People {
    Word(String),
    List(Vec<String>),
}

impl PolicySection {
    /// Does it enforce?
    pub(super) fn enforces(&self) -> bool {
        matches!(self.mode, PolicyMode::Enforce)
    }

    /// The sections about grants.
    pub(super) fn grants(&self) -> &[GrantSection] {
        &self.grant
    }

    /// What is done about a session whose right has ended.
    pub(super) fn end(&self) -> Result<End, Problem> {
        self.end.check()
    }

    /// The files that may take shifts away; relative names are those of files `beside` the configuration.
    pub(super) fn rego(&self, beside: &impl Fn(&Path) -> PathBuf) -> Result<Vec<Rego>, Problem> {
        rego::check(&self.rego, beside)
    }

    pub(super) fn check(self, sources: &[Source]) -> Result<Rules, Problem> {
        let sources: Vec<Known<'_>> = sources.iter().map(Known::new).collect();
        unique(self.rule.iter().map(|rule| &rule.name), "[[policy.rule]]")?;
        unique(self.shared_account.iter().map(|shared| &shared.account), "[[policy.shared_account]]")?;
        let compiled = Rules::compiled();
        Ok(Rules {
            late_claims: Default::default(),
            guarded_accounts: match &self.guarded_accounts {
                Some(written) => accounts(written)?,
                None => compiled.guarded_accounts,
            },
            privileged_groups: self.privileged_groups.unwrap_or(compiled.privileged_groups),
            pam_services: match &self.pam_services {
                Some(written) => services(written, "pam_services")?,
                None => compiled.pam_services,
            },
            exempt_accounts: accounts(&self.exempt_accounts)?,
            mode: self.mode.into(),
            exempt_ttys: match &self.exempt_ttys {
                Some(ttys) => ttys.iter().map(terminal).collect::<Result<_, _>>()?,
                None => compiled.exempt_ttys,
            },
            help: self.help.as_ref().map(help).transpose()?,
            certificate_authorities: authorities(&self.certificate_authorities)?,
            rules: self.rule.into_iter().map(|rule| rule.check(&sources)).collect::<Result<_, _>>()?,
            shared: self.shared_account.into_iter().map(SharedSection::check).collect::<Result<_, _>>()?,
            automation: automation::check(self.automation)?,
            grants: grant::rules(&self.grant)?,
            // Other sections say these.
            host: compiled.host,
            ages: compiled.ages,
            names: compiled.names,
        })
    }
}

/// A terminal as `login` names it, without /dev/.
fn terminal(written: &Spanned<String>) -> Result<String, Problem> {
    let name = written.get_ref();
    if name.is_empty() || name.starts_with('/') || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(problem(written, format!("`{name}` is not a terminal; write tty1, without /dev/")));
    }
    Ok(name.clone())
}

/// Keys whose certificates count, each once. A certificate is none of them: an authority that another one vouches for would be
/// that one's to choose.
fn authorities(written: &[Spanned<String>]) -> Result<Vec<CertificateAuthority>, Problem> {
    let mut all: Vec<CertificateAuthority> = Vec::with_capacity(written.len());
    for text in written {
        let wrong = |why| {
            let text_of = format!("not the key of a certificate authority: {why}; write `ssh-ed25519 AAAA…`");
            problem(text, text_of)
        };
        let key = PublicKey::parse(text.get_ref().as_bytes()).map_err(wrong)?;
        let digest = key.sha256();
        if all.iter().any(|other| other.digest == digest) {
            return Err(problem(
                text,
                "`certificate_authorities` lists this key twice; leave one of them out",
            ));
        }
        all.push(CertificateAuthority { key: key.line(), digest });
    }
    Ok(all)
}

/// The end of each refusal: one line for any terminal.
fn help(written: &Spanned<String>) -> Result<String, Problem> {
    let text = written.get_ref();
    if text.is_empty() || text.len() > 200 || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(problem(
            written,
            "`help` is 1 to 200 bytes of printable ASCII, such as a page's address",
        ));
    }
    Ok(text.clone())
}

/// A source that rules may name schedules of.
struct Known<'a> {
    source: &'a Source,
    /// What it lists; where that is nothing, any name may be one of its schedules.
    names: HashSet<&'a str>,
}

impl<'a> Known<'a> {
    fn new(source: &'a Source) -> Self {
        Self { source, names: source.wanted().map(String::as_str).collect() }
    }
}

impl RuleSection {
    fn check(self, sources: &[Known<'_>]) -> Result<Rule, Problem> {
        if self.schedules.get_ref().is_empty() {
            return Err(problem(
                &self.schedules,
                format!("rule `{}` names no schedule, so it grants access to nobody", self.name.get_ref()),
            ));
        }
        let mut schedules = Vec::with_capacity(self.schedules.get_ref().len());
        for text in self.schedules.get_ref() {
            add_named(text, sources, &mut schedules)?;
        }
        if schedules.len() > 1 {
            keep_first(&mut schedules);
        }
        Ok(Rule {
            name: self.name.into_inner(),
            hosts: match self.hosts {
                Some(hosts) if hosts.is_empty() => {
                    return Err(problem(
                        &self.schedules,
                        "`hosts` is empty, so the rule covers no host; leave it out for all",
                    ));
                }
                Some(hosts) => hosts.iter().map(|text| HostSelector::parse(text)).collect(),
                None => vec![HostSelector::Name("*".to_string())],
            },
            schedules,
            max_escalation_level: level(&self.max_escalation_level)?,
            claim: self.claim,
            incident: self
                .incident
                .map(|incident| incident.check(sources.iter().map(|known| known.source)))
                .transpose()?,
        })
    }
}

/// Each once, in the order in which they are written.
fn keep_first(schedules: &mut Vec<ScheduleRef>) {
    let mut met = HashSet::with_capacity(schedules.len());
    let is_first: Vec<bool> = schedules.iter().map(|one| met.insert((&one.source, &one.id))).collect();
    let mut is_first = is_first.into_iter();
    schedules.retain(|_| is_first.next() == Some(true));
}

/// `source/schedule`, both known: a rule that names nothing would lock its people out. `source/*` is every schedule
/// that the configuration lists there; not whatever a rota may tell of one day, which its editors decide.
fn add_named(
    text: &Spanned<String>,
    sources: &[Known<'_>],
    schedules: &mut Vec<ScheduleRef>,
) -> Result<(), Problem> {
    let Some((source, id)) = text.get_ref().split_once('/') else {
        return Err(problem(text, format!("`{}` is not a schedule; write source/schedule", text.get_ref())));
    };
    let Some(known) = sources.iter().find(|known| known.source.name == source) else {
        let meant = meant(source, sources.iter().map(|known| known.source.name.as_str()));
        return Err(problem(text, format!("no [[oncall.source]] is named `{source}`{meant}")));
    };
    if id == "*" {
        let before = schedules.len();
        let all = known.source.wanted();
        schedules.extend(all.map(|id| ScheduleRef { source: source.to_string(), id: id.clone() }));
        let none = || {
            format!(
                "source `{source}` lists no `schedules`, so `{source}/*` names none; list them there, or here one by one"
            )
        };
        return if schedules.len() == before { Err(problem(text, none())) } else { Ok(()) };
    }
    if !known.names.is_empty() && !known.names.contains(id) {
        let meant = meant(id, known.source.wanted().map(String::as_str));
        let text_of = format!("source `{source}` does not list `{id}` in its `schedules`{meant}");
        return Err(problem(text, text_of));
    }
    schedules.push(ScheduleRef { source: source.to_string(), id: id.to_string() });
    Ok(())
}

impl SharedSection {
    fn check(self) -> Result<Shared, Problem> {
        let people = match &self.people {
            None => Who::Everyone,
            Some(written) => match written.get_ref() {
                People::Word(word) if word == "on-call" => Who::Everyone,
                People::Word(_) => {
                    return Err(problem(written, "people is \"on-call\" or a list of names"));
                }
                People::List(names) => Who::Only(
                    names
                        .iter()
                        .map(|name| {
                            Principal::new(name)
                                .map_err(|error| problem(written, format!("`{name}`: {error}")))
                        })
                        .collect::<Result<_, _>>()?,
                ),
            },
        };
        Ok(Shared { account: account(&self.account)?, people, explain_refusals: self.explain_refusals })
    }
}
