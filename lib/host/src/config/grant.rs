//! `[grant]` and `[[policy.grant]]`: who may let people in who are not on call.
//!
//! Without a rule nothing of grants is looked at.

use policy::{GrantRule, HostSelector, Principal, Quorum, Span, is_site_name};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::Spanned;

use super::fleet::SharedFleet;
use super::values::{Duration, Problem, accounts, all_named, problem, unique};

/// `[grant]`, where some rule takes grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// The name that grants for this host have in `fleet`: the fleet's, or that of a site without one.
    pub site: String,
    /// Is it the fleet's?
    pub is_of_fleet: bool,
    /// How old this host's copy of the directory may be when a grant is accepted.
    pub copy_age: Span,
    /// Whose signatures count: beside the configuration, and root's.
    pub signers: PathBuf,
    /// The grants that root of this host has revoked: beside the configuration.
    pub revoked: PathBuf,
}

/// Where accepted grants are, one file each. They end with the boot, like everything below /run.
pub const ACCEPTED: &str = "/run/authkeys/grants";

/// Where an acceptor publishes the groups of those with a grant: fixed, for libnss_oncall.so.2 reads no configuration.
pub const GRANTED_GROUPS: &str = "/run/authkeys/granted/group";

/// How old this host's copy of the directory may be when a grant is accepted, and at the door, unless `copy_age` says.
pub const COPY_AGE: Span = Span::hours(30 * 24);
/// Where an acceptor keeps who has let themselves in, and who has reviewed that: also beyond a boot.
pub const BROKEN: &str = "/var/lib/oncall-grant-accept";

/// The account through which anybody brings a grant from elsewhere; packages make it.
pub const GRANT_DOOR: &str = "oncall-grant";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GrantsSection {
    id: Option<Spanned<String>>,
    copy_age: Option<Spanned<Duration>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantSection {
    name: Spanned<String>,
    hosts: Option<Spanned<Vec<String>>>,
    accounts: Spanned<Vec<Spanned<String>>>,
    approvers: Spanned<Vec<Spanned<String>>>,
    quorum: Spanned<usize>,
    people: Option<Spanned<Vec<Spanned<String>>>>,
    always: Option<Spanned<bool>>,
    max: Spanned<Duration>,
}

/// The rules, each checked by itself and all by their names.
pub(super) fn rules(sections: &[GrantSection]) -> Result<Vec<GrantRule>, Problem> {
    unique(sections.iter().map(|section| &section.name), "[[policy.grant]]")?;
    sections.iter().map(GrantSection::check).collect()
}

impl GrantSection {
    fn check(&self) -> Result<GrantRule, Problem> {
        let name = self.name.get_ref();
        if !is_site_name(name) {
            return Err(problem(&self.name, "`name` is 1 to 64 letters, digits, `.`, `_` and `-`"));
        }
        let some = |list: &Spanned<Vec<Spanned<String>>>, what: &str| match list.get_ref().is_empty() {
            true => Err(problem(list, format!("`{what}` is empty, so the rule `{name}` lets nobody in"))),
            false => Ok(()),
        };
        some(&self.accounts, "accounts")?;
        some(&self.approvers, "approvers")?;
        let approvers = BTreeSet::from_iter(all_named(self.approvers.get_ref(), Principal::new)?);
        let quorum = self.quorum(approvers.len())?;
        Ok(GrantRule {
            name: name.clone(),
            hosts: self.hosts()?,
            accounts: accounts(self.accounts.get_ref())?.into_iter().collect(),
            people: self.people(quorum, &approvers)?,
            always: self.always.as_ref().is_some_and(|always| *always.get_ref()),
            max: self.max(quorum)?,
            quorum,
            approvers,
        })
    }

    fn hosts(&self) -> Result<Vec<HostSelector>, Problem> {
        match &self.hosts {
            None => Ok(vec![HostSelector::Name("*".to_string())]),
            Some(hosts) if hosts.get_ref().is_empty() => {
                Err(problem(hosts, "`hosts` is empty, so the rule covers no host; leave it out for all"))
            }
            Some(hosts) => Ok(hosts.get_ref().iter().map(|text| HostSelector::parse(text)).collect()),
        }
    }

    fn quorum(&self, approvers: usize) -> Result<Quorum, Problem> {
        let Some(quorum) = Quorum::new(*self.quorum.get_ref()) else {
            return Err(problem(&self.quorum, "`quorum` is 1 or 2, or 0 for break-glass"));
        };
        let people = quorum.approvers();
        if people > approvers {
            let text = format!("`quorum` is {people}, and there is no more than {approvers} approver");
            return Err(problem(&self.quorum, text));
        }
        Ok(quorum)
    }

    /// Who may let themselves in. Each of them has somebody who reviews that.
    fn people(
        &self,
        quorum: Quorum,
        approvers: &BTreeSet<Principal>,
    ) -> Result<BTreeSet<Principal>, Problem> {
        let is_broken = quorum == Quorum::BreakGlass;
        match (&self.people, &self.always) {
            (Some(people), _) if !is_broken => {
                return Err(problem(people, "`people` let themselves in, by a rule with `quorum = 0` alone"));
            }
            (_, Some(always)) if !is_broken => {
                return Err(problem(always, "`always` is for a rule with `quorum = 0`; leave it out"));
            }
            (None, _) if !is_broken => return Ok(BTreeSet::new()),
            _ => {}
        }
        let people = self.people.as_ref().filter(|people| !people.get_ref().is_empty());
        let Some(people) = people else {
            return Err(problem(
                &self.quorum,
                "with `quorum = 0` nobody signs for another; name in `people` who may let themselves in",
            ));
        };
        let named = BTreeSet::from_iter(all_named(people.get_ref(), Principal::new)?);
        match named.iter().find(|person| approvers.iter().all(|approver| approver == *person)) {
            Some(person) => {
                let text = format!(
                    "nobody could review what {person} does; name another approver in `approvers`, who reviews by this rule"
                );
                Err(problem(&self.approvers, text))
            }
            None => Ok(named),
        }
    }

    fn max(&self, quorum: Quorum) -> Result<Span, Problem> {
        let (max, ceiling) = (self.max.get_ref().0, GrantRule::ceiling(quorum));
        if max > ceiling {
            let of = if quorum == Quorum::BreakGlass { " with `quorum = 0`" } else { "" };
            return Err(problem(&self.max, format!("`max` is at most {ceiling}{of}")));
        }
        Ok(max)
    }
}

impl GrantsSection {
    /// What holds for the rules, where there are any.
    pub(super) fn check(
        section: Option<&Spanned<Self>>,
        sections: &[GrantSection],
        fleet: Option<&SharedFleet>,
        beside: &impl Fn(&Path) -> PathBuf,
    ) -> Result<Option<Grants>, Problem> {
        let own = section.and_then(|section| section.get_ref().id.as_ref());
        let site = match (fleet, own) {
            (Some(_), Some(id)) => {
                return Err(problem(id, "a host of a fleet goes by the fleet's `id`; leave this one out"));
            }
            (None, Some(id)) if !is_site_name(id.get_ref()) => {
                return Err(problem(id, "`id` is 1 to 64 letters, digits, `.`, `_` and `-`"));
            }
            (None, Some(id)) => Some(id.get_ref().clone()),
            (fleet, None) => fleet.map(|fleet| fleet.id.clone()),
        };
        let age = section.and_then(|section| section.get_ref().copy_age.as_ref());
        let copy_age = age.map_or(COPY_AGE, |written| written.get_ref().0);
        let Some(first) = sections.first() else { return Ok(None) };
        let Some(site) = site else {
            return Err(problem(&first.name, "grants name the site that they are for; set `id` in [grant]"));
        };
        let (signers, revoked) = (beside(Path::new(SIGNERS)), beside(Path::new(REVOKED)));
        Ok(Some(Grants { site, is_of_fleet: fleet.is_some(), copy_age, signers, revoked }))
    }
}

/// The file of those whose signatures count.
const SIGNERS: &str = "grant-signers";

/// The file of revoked grants.
const REVOKED: &str = "revoked-grants";
