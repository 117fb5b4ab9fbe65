//! `[policy]`: who is guarded, and who admits whom.

use policy::{Account, HostSelector, Mode, Principal, Rule, Rules, ScheduleRef, Shared, Who};
use serde::Deserialize;
use toml::Spanned;

use super::Source;
use super::automation::{self, AutomationSection};
use super::values::{Problem, all_named, first_level, level, meant, named, problem, unique};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PolicySection {
    mode: PolicyMode,
    accounts: Vec<Spanned<String>>,
    groups: Vec<String>,
    services: Spanned<Vec<Spanned<String>>>,
    exempt_accounts: Vec<Spanned<String>>,
    exempt_ttys: Vec<Spanned<String>>,
    help: Option<Spanned<String>>,
    rule: Vec<RuleSection>,
    shared: Vec<SharedSection>,
    automation: Vec<AutomationSection>,
}

impl Default for PolicySection {
    fn default() -> Self {
        let compiled = Rules::compiled();
        let unwritten = |text: &str| Spanned::new(0..0, text.to_string());
        Self {
            mode: PolicyMode::Enforce,
            exempt_ttys: compiled.exempt_ttys.iter().map(|tty| unwritten(tty)).collect(),
            help: None,
            accounts: compiled.accounts.iter().map(|account| unwritten(account.as_str())).collect(),
            services: Spanned::new(
                0..0,
                compiled.services.iter().map(|service| unwritten(service)).collect(),
            ),
            groups: compiled.groups,
            exempt_accounts: Vec::new(),
            rule: Vec::new(),
            shared: Vec::new(),
            automation: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PolicyMode {
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
    max_level: Spanned<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedSection {
    account: Spanned<String>,
    principals: Option<Spanned<Principals>>,
    #[serde(default = "explains")]
    explain: bool,
}

/// A refusal that explains itself is counted against nobody's address.
fn explains() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "principals is \"on-call\" or a list of names")]
pub(super) enum Principals {
    Word(String),
    List(Vec<String>),
}

impl PolicySection {
    pub(super) fn check(self, sources: &[Source]) -> Result<Rules, Problem> {
        unique(self.rule.iter().map(|rule| &rule.name), "[[policy.rule]]")?;
        unique(self.shared.iter().map(|shared| &shared.account), "[[policy.shared]]")?;
        Ok(Rules {
            accounts: all_named(&self.accounts, Account::new)?,
            groups: self.groups,
            services: services(&self.services)?,
            exempt_accounts: all_named(&self.exempt_accounts, Account::new)?,
            mode: self.mode.into(),
            exempt_ttys: self.exempt_ttys.iter().map(terminal).collect::<Result<_, _>>()?,
            help: self.help.as_ref().map(help).transpose()?,
            rules: self.rule.into_iter().map(|rule| rule.check(sources)).collect::<Result<_, _>>()?,
            shared: self.shared.into_iter().map(SharedSection::check).collect::<Result<_, _>>()?,
            automation: automation::check(self.automation)?,
            ..Rules::compiled()
        })
    }
}

/// Those of the services that this release decides for; at least one.
pub(super) fn services(written: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Problem> {
    if written.get_ref().is_empty() {
        let text = "`services` is empty, so it is about nothing; leave it out for the usual ones";
        return Err(problem(written, text));
    }
    let known = |service: &Spanned<String>| match Rules::SERVICES.contains(&service.get_ref().as_str()) {
        true => Ok(service.get_ref().clone()),
        false => Err(problem(
            service,
            format!(
                "this release does not decide for service `{}`; it knows {}",
                service.get_ref(),
                Rules::SERVICES.join(", ")
            ),
        )),
    };
    written.get_ref().iter().map(known).collect()
}

/// A terminal as `login` names it, without /dev/.
fn terminal(written: &Spanned<String>) -> Result<String, Problem> {
    let name = written.get_ref();
    if name.is_empty() || name.starts_with('/') || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(problem(written, format!("`{name}` is no terminal; write tty1, without /dev/")));
    }
    Ok(name.clone())
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

impl RuleSection {
    fn check(self, sources: &[Source]) -> Result<Rule, Problem> {
        if self.schedules.get_ref().is_empty() {
            return Err(problem(
                &self.schedules,
                format!("rule `{}` names no schedule, so it admits nobody", self.name.get_ref()),
            ));
        }
        let mut schedules: Vec<ScheduleRef> = Vec::new();
        for text in self.schedules.get_ref() {
            for one in named_by(text, sources)? {
                if !schedules.contains(&one) {
                    schedules.push(one);
                }
            }
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
            max_level: level(&self.max_level)?,
        })
    }
}

/// `source/schedule`, both known: a rule that names nothing would lock its people out. `source/*` is every schedule
/// that the configuration lists there; not whatever a rota may tell of one day, which its editors decide.
fn named_by(text: &Spanned<String>, sources: &[Source]) -> Result<Vec<ScheduleRef>, Problem> {
    let Some((source, id)) = text.get_ref().split_once('/') else {
        return Err(problem(text, format!("`{}` is no schedule; write source/schedule", text.get_ref())));
    };
    let Some(known) = sources.iter().find(|known| known.name == source) else {
        let meant = meant(source, sources.iter().map(|known| known.name.as_str()));
        return Err(problem(text, format!("no [[oncall.source]] is named `{source}`{meant}")));
    };
    if id == "*" {
        let all: Vec<ScheduleRef> =
            known.wanted().map(|id| ScheduleRef { source: source.to_string(), id: id.clone() }).collect();
        let none = || {
            format!(
                "source `{source}` lists no `schedules`, so `{source}/*` names none; list them there, or here one by one"
            )
        };
        return if all.is_empty() { Err(problem(text, none())) } else { Ok(all) };
    }
    if !known.names(id) {
        let meant = meant(id, known.wanted().map(String::as_str));
        let text_of = format!("source `{source}` does not list `{id}` in its `schedules`{meant}");
        return Err(problem(text, text_of));
    }
    Ok(vec![ScheduleRef { source: source.to_string(), id: id.to_string() }])
}

impl SharedSection {
    fn check(self) -> Result<Shared, Problem> {
        let principals = match &self.principals {
            None => Who::Everyone,
            Some(written) => match written.get_ref() {
                Principals::Word(word) if word == "on-call" => Who::Everyone,
                Principals::Word(_) => {
                    return Err(problem(written, "principals is \"on-call\" or a list of names"));
                }
                Principals::List(names) => Who::Only(
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
        Ok(Shared { account: named(&self.account, Account::new)?, principals, explain: self.explain })
    }
}
