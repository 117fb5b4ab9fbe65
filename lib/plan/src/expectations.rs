//! A table of what a policy is expected to decide, and whether it does.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use host::toml_file::{self, line_at, nearest};
use host::{Config, FileError};
use policy::{
    Claims, Evidence, Host, Judge, Mode, Principal, Reason, Revoked, Roster, Rules, Timestamp, Window,
};
use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;
use toml::value::Datetime;

use crate::door::{By, Door, ROOT, Standing};
use crate::inventory::Inventory;
use crate::question::{Rota, stored};
use crate::rights::{during_incidents, read_in_time};
use crate::words::one_line;

/// What is expected, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectations(pub Vec<Expectation>);

/// One.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The line in the file at which it begins.
    pub line: usize,
    /// Who.
    pub person: Principal,
    /// The account that they enter.
    pub account: String,
    /// The PAM service.
    pub service: &'static str,
    /// The host's name.
    pub host: String,
    /// When.
    pub at: Timestamp,
    /// What is to come out.
    pub wanted: Wanted,
    /// Why, by its token.
    pub reason: Option<Reason>,
}

/// What may be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// They are let in.
    Admitted,
    /// They are not.
    Refused,
    /// Nothing is decided there.
    NotGuarded,
}

impl Wanted {
    const fn word(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::NotGuarded => "not guarded",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    expect: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    person: Spanned<String>,
    account: Option<String>,
    #[serde(default = "by_ssh")]
    service: Spanned<String>,
    host: String,
    at: Spanned<Datetime>,
    expect: Wanted,
    reason: Option<Spanned<String>>,
}

fn by_ssh() -> Spanned<String> {
    Spanned::new(0..0, "sshd".to_string())
}

impl Expectations {
    /// Reads `text` as the content of `path`; touches no file.
    ///
    /// # Errors
    /// What is wrong with it, with its line: an instant without a zone, a service or a reason that there is not.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FileError> {
        toml_file::checked(path, text, |file: File| {
            if file.expect.is_empty() {
                return Err((0, "nothing is expected; write an [[expect]] for each case".to_string()));
            }
            file.expect
                .into_iter()
                .map(|entry| entry.into_inner().read(text))
                .collect::<Result<_, _>>()
                .map(Self)
        })
    }

    /// From the first instant that is asked about to the last.
    pub fn window(&self) -> Option<Window> {
        let at = || self.0.iter().map(|one| one.at);
        Window::new(at().min()?, at().max()?.plus(policy::Span::seconds(1)))
    }
}

impl Entry {
    fn read(self, text: &[u8]) -> Result<Expectation, (usize, String)> {
        let Self { person, account, service, host, at, expect: wanted, reason } = self;
        let start = person.span().start;
        let principal = Principal::new(person.get_ref())
            .map_err(|error| (start, format!("`{}`: {error}", person.get_ref())))?;
        let name = service.get_ref();
        let known = Rules::SERVICES.into_iter().find(|known| known == name).ok_or_else(|| {
            let meant = nearest(name, Rules::SERVICES.into_iter());
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            (service.span().start, format!("there is no PAM service `{name}` that is decided for{meant}"))
        })?;
        let written = at.get_ref().to_string();
        let instant =
            Timestamp::read(&written).filter(|_| at.get_ref().offset.is_some()).ok_or_else(|| {
                let text = "is not an instant; write date, time and zone: 2026-11-20T18:00:00Z";
                (at.span().start, format!("`{written}` {text}"))
            })?;
        let token = |written: &Spanned<String>| {
            let found = Reason::ALL.iter().find(|reason| reason.token() == written.get_ref()).copied();
            let meant = nearest(written.get_ref(), Reason::ALL.iter().map(|reason| reason.token()));
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            found.ok_or_else(|| {
                (written.span().start, format!("there is no reason `{}`{meant}", written.get_ref()))
            })
        };
        Ok(Expectation {
            line: line_at(text, start),
            person: principal,
            account: account.unwrap_or_else(|| ROOT.to_string()),
            service: known,
            host,
            at: instant,
            wanted,
            reason: reason.as_ref().map(token).transpose()?,
        })
    }
}

/// What became of an expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not: what is decided, and why.
    Fails(String),
    /// It cannot be judged.
    CannotTell(String),
}

/// What files of the site's leave of a rota on a host.
///
/// # Errors
/// It cannot be told: why.
pub type Narrow<'n> = dyn Fn(&Host, &Roster) -> Result<Roster, String> + 'n;

/// An expectation, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<'a> {
    /// It.
    pub expectation: &'a Expectation,
    /// What became of it.
    pub outcome: Outcome,
    /// Does the policy only observe? Then PAM lets in whoever is decided to be refused.
    pub observes: bool,
}

impl Expectations {
    /// Judges each by `config`, on the hosts of `inventory` and by `rota`, which hosts are taken to read in time.
    /// Files of the site's leave on a host what `narrow` says.
    pub fn judge(
        &self,
        config: &Config,
        inventory: &Inventory,
        rota: &Rota,
        narrow: Option<&Narrow<'_>>,
    ) -> Vec<Judged<'_>> {
        let Some(window) = self.window() else { return Vec::new() };
        let known = known_people(config, rota);
        let in_time = stored(&read_in_time(&rota.roster, window), config);
        let observes = config.rules.mode == Mode::Observe;
        let judged = self.0.iter().map(|expectation| {
            let own = inventory.find(&expectation.host).zip(narrow);
            let own = own.map(|(host, narrow)| narrow(host, &in_time)).transpose();
            let outcome = match own {
                Ok(own) => {
                    let in_time = own.as_ref().unwrap_or(&in_time);
                    judge(expectation, config, inventory, (rota, in_time), &known)
                }
                Err(why) => Outcome::CannotTell(why),
            };
            Judged { expectation, outcome, observes }
        });
        judged.collect()
    }
}

/// Everybody whom the rota or the configuration names.
fn known_people(config: &Config, rota: &Rota) -> BTreeSet<String> {
    let rules = &config.rules;
    let mut known: BTreeSet<String> = rota.roster.eligible.keys().map(ToString::to_string).collect();
    known.extend(rota.roster.shifts.iter().map(|shift| shift.principal.to_string()));
    known.extend(rules.exempt_accounts.iter().map(ToString::to_string));
    known.extend(rules.guarded_accounts.iter().map(ToString::to_string));
    known.extend(rules.automation.iter().map(|entry| entry.account.to_string()));
    for grant in &rules.grants {
        known.extend(grant.approvers.iter().chain(&grant.people).map(ToString::to_string));
    }
    for shared in &rules.shared {
        if let policy::Who::Only(people) = &shared.people {
            known.extend(people.iter().map(ToString::to_string));
        }
    }
    known
}

fn meant(name: &str, among: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = among.collect();
    let meant = nearest(name, names.iter().map(String::as_str));
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

fn judge(
    expectation: &Expectation,
    config: &Config,
    inventory: &Inventory,
    (rota, in_time): (&Rota, &Roster),
    known: &BTreeSet<String>,
) -> Outcome {
    let Expectation { person, host, at, .. } = expectation;
    if !known.contains(person.as_str()) {
        let meant = meant(person.as_str(), known.iter().cloned());
        return Outcome::CannotTell(format!(
            "neither the rota nor the configuration knows `{person}`{meant}"
        ));
    }
    let Some(found) = inventory.find(host) else {
        let meant = meant(host, inventory.hosts().iter().map(|host| host.name.clone()));
        return Outcome::CannotTell(format!("the inventory has no host `{host}`{meant}"));
    };
    let rules = Rules { host: found.clone(), ..during_incidents(&config.rules) };
    let door = Door { account: expectation.account.clone(), service: expectation.service };
    if !door.is_decided(&rules) {
        // No rota is asked there, and everybody is let in as far as PAM is concerned.
        let reason = match rules.covers_service(door.service) {
            true => Reason::NotGuarded,
            false => Reason::OutOfScope,
        };
        return expectation.compare(Some(Standing::Open(reason)));
    }
    if let Some(untold) = untold(&rules, rota, *at) {
        return Outcome::CannotTell(untold);
    }
    let nobody = Revoked::nobody();
    let evidence =
        Evidence { roster: Ok(in_time), revoked: Ok(&nobody), grants: &[], claims: Claims::NotAsked };
    let judge = Judge::new(&evidence, &rules);
    expectation.compare(door.standing(&judge, &rules, person, *at))
}

/// Why the rota does not tell who is on call here at `at`, if so.
fn untold(rules: &Rules, rota: &Rota, at: Timestamp) -> Option<String> {
    rules.schedules().into_iter().find_map(|wanted| {
        let Some(known) = rota.roster.find(wanted).and_then(|place| rota.roster.schedules.get(place)) else {
            return Some(format!("the rota has no schedule {wanted}"));
        };
        let (synced, horizon) = (known.synced, known.horizon);
        (at < synced.minus(Rules::SKEW) || at >= horizon)
            .then(|| format!("the rota tells of {wanted} only what is between {synced} and {horizon}"))
    })
}

impl Expectation {
    fn compare(&self, standing: Option<Standing>) -> Outcome {
        let (decided, reason, why) = match standing {
            Some(Standing::In(By::Rule(rule))) => {
                (Wanted::Admitted, Reason::OnCall, format!("by the rule `{rule}`"))
            }
            Some(Standing::In(By::Exempt)) => (Wanted::Admitted, Reason::Exempt, String::new()),
            Some(Standing::In(By::Program(number, _))) => {
                (Wanted::Admitted, Reason::Automation, format!("entry {number}"))
            }
            Some(Standing::Out(reason)) => (Wanted::Refused, reason, String::new()),
            Some(Standing::Open(reason)) => (Wanted::NotGuarded, reason, String::new()),
            Some(Standing::Unknown(reason)) => return Outcome::CannotTell(format!("cannot tell ({reason})")),
            // Somebody else's account, or one whose door does not tell people apart.
            None => (Wanted::Refused, Reason::UnknownPerson, "it is no door of theirs".to_string()),
        };
        let is_reason = self.reason.is_none_or(|wanted| wanted == reason);
        if decided == self.wanted && is_reason {
            return Outcome::Holds;
        }
        let why = if why.is_empty() { reason.to_string() } else { format!("{reason}, {why}") };
        Outcome::Fails(format!("is {} ({why})", decided.word()))
    }
}

impl fmt::Display for Judged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expectation { line, person, account, service, host, at, wanted, reason } = self.expectation;
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        let (word, said) = match &self.outcome {
            Outcome::Holds if self.observes && *wanted == Wanted::Refused => {
                ("ok", ": decided and logged, and PAM lets them in: `mode` is \"observe\"".to_string())
            }
            Outcome::Holds => ("ok", String::new()),
            Outcome::Fails(what) => ("FAILED", format!(": {what}")),
            Outcome::CannotTell(why) => ("cannot tell", format!(": {why}")),
        };
        let wanted = wanted.word();
        f.write_str(&one_line(&format!(
            "line {line}: {word}: {person} enters {account} by {service} on {host} at {at}, expected {wanted}{reason}{said}"
        )))
    }
}

impl Judged<'_> {
    /// The same for programs.
    pub fn json(&self) -> Value {
        let Expectation { line, person, account, service, host, at, wanted, reason } = self.expectation;
        let (outcome, said) = match &self.outcome {
            Outcome::Holds => ("ok", None),
            Outcome::Fails(what) => ("failed", Some(what)),
            Outcome::CannotTell(why) => ("cannot-tell", Some(why)),
        };
        json!({
            "line": line,
            "person": person.as_str(),
            "account": account,
            "service": service,
            "host": host,
            "at": at.to_string(),
            "expected": wanted.word(),
            "reason": reason.map(|reason| reason.token()),
            "outcome": outcome,
            "said": said,
        })
    }
}
