//! The one configuration model: `/etc/authkeys/config.toml`.
//!
//! Every program and the PAM module read this file and no other setting; environment variables
//! configure nothing. A key that this release does not know is an error with its line, because a
//! misspelt guard is a guard that is not there.

mod automation;
mod calendar;
mod credentials;
mod directory;
mod end;
mod fleet;
mod grant;
mod group;
mod incident;
mod key_rule;
mod keys;
pub mod kinds;
mod ldap_url;
mod names;
mod nss;
mod oncall;
pub mod references;
mod rego;
mod rules;
mod service;
mod show;
mod source;
mod values;

use std::path::{Path, PathBuf};

use policy::{End, GroupRule, Rules, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use crate::toml_file::{self, FileError};
pub use calendar::{Calendar, CalendarPerson, CalendarPlace, SummaryPattern};
pub use directory::{
    Attributes, Bind, ClientFiles, Directory, DisablingLocks, Ldap, Mark, Membership, Referrals,
    empty_groups, unfollowed_groups,
};
use directory::{DirectorySection, MAX_REMOVED};
use fleet::FleetSection;
pub use fleet::{Fleet, FleetUrl, SharedFleet};
use grant::GrantsSection;
pub use grant::{ACCEPTED as ACCEPTED_GRANTS, COPY_AGE, GRANT_DOOR, GRANTED_GROUPS, Grants};
pub use group::LdapGroup;
pub use key_rule::{Allowance, KeyAccounts, KeyRule};
use keys::KeysSection;
pub use keys::{Chained, Keys, KeysSource, Piece};
pub use ldap_url::{HostGlob, LdapHost, LdapServer, LdapUrl, LdapUrlError};
use oncall::OnCallSection;
pub use oncall::{Access, Exec, Guards, OAuth, OnCall, PagerDuty, Provider, Source};
pub use rego::{OnError, Rego};
use rules::PolicySection;
pub use service::Service;
use source::Around;
use values::Problem;
pub use values::{DurationError, duration};

/// Where every program looks unless it is told `--config FILE` (the PAM module: `config=FILE`).
pub const DEFAULT_PATH: &str = "/etc/authkeys/config.toml";

/// Where the PAM module writes what it decided, also without a readable configuration.
pub const DEFAULT_AUDIT: &str = "/var/log/authkeys/decisions.jsonl";

/// What the administrator wrote, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from; relative names in it are beside it.
    pub path: PathBuf,
    /// Its bytes, as they were read.
    pub text: Vec<u8>,
    /// Where what a collector publishes is read.
    pub fleet: Option<SharedFleet>,
    /// Where people and their keys come from.
    pub directory: Option<Directory>,
    /// The share of people, in percent, that one sync may take away without being told to.
    pub max_removed: u8,
    /// How the copy of the directory is used.
    pub keys: Keys,
    /// Who is on call, and from where that is known.
    pub oncall: OnCall,
    /// What the decision is made by.
    pub rules: Rules,
    /// Where grants are, and for which site; nothing where no rule takes any.
    pub grants: Option<Grants>,
    /// What is done about a session whose right has ended.
    pub end: End,
    /// Files that may take shifts away, all that there are: some are for other hosts.
    pub rego: Vec<Rego>,
    /// Groups whose members are on call.
    pub groups: Vec<GroupRule>,
    /// Where databases are.
    pub paths: Paths,
}

/// `[paths]`.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The key copy; its stamp is beside it.
    pub keys: PathBuf,
    /// The roster.
    pub roster: PathBuf,
    /// What `authkeys` remembers of its questions; its locks and marks are beside it.
    pub lookups: PathBuf,
    /// Who is blocked on this host, whatever all else says; beside the configuration, and root's.
    pub revoked: PathBuf,
    /// What the PAM module decided, a line of JSON for each decision.
    pub audit: PathBuf,
    /// Accepted grants, a file each; no setting.
    pub grants: PathBuf,
    /// Who has let themselves in, and who has reviewed that; no setting.
    pub broken: PathBuf,
}

impl Config {
    /// What the key copy made from `directory` is tied to. With `source = "live"` it holds eligible people
    /// alone, and must not be taken for everybody when that changes.
    pub fn copy_scope(&self, directory: &Directory) -> String {
        match self.keys.source {
            KeysSource::Copy => directory.scope(),
            KeysSource::Live => format!("{} eligible-only", directory.scope()),
        }
    }

    /// The command that comes before every sync, on a host that copies from a fleet and has taken nothing over yet.
    pub fn first_step(&self) -> Option<&'static str> {
        let is_of_fleet = |source: &Source| matches!(source.provider, Provider::Fleet(_));
        let copies = matches!(self.directory, Some(Directory::Fleet(_)))
            || self.oncall.sources.iter().any(is_of_fleet);
        let fleet = self.fleet.as_ref().filter(|fleet| copies && fleet.is_unread());
        fleet.map(|_| "oncall-cache pull")
    }

    /// Where `oncall-cache end` keeps what it has seen: beside the record of decisions.
    pub fn ending(&self) -> PathBuf {
        self.paths.audit.with_file_name("ending")
    }

    /// Where the revocations are that belong to the configuration at `path`, readable or not.
    pub fn revoked_beside(path: &Path) -> PathBuf {
        crate::revoked::FILE.beside(path)
    }

    /// Reads and checks `path`, which root alone may be able to write.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::parse(path, &toml_file::read(path)?)
    }

    /// Checks `text` as the content of `path`; touches no file.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FileError> {
        toml_file::checked(path, text, |file: File| {
            file.check(path, text).map_err(|Problem { at, text }| (at, text))
        })
    }

    /// What is no mistake and has no effect at `now`: a line each.
    pub fn remarks(&self, now: Timestamp) -> Vec<String> {
        let mut remarks = automation::remarks(&self.rules, now);
        remarks.extend(names::remarks(&self.rules.names));
        remarks
    }
}

// The file as it is written. Each section checks itself into the model above.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    host: HostSection,
    fleet: Option<Spanned<FleetSection>>,
    grant: Option<Spanned<GrantsSection>>,
    directory: Option<Spanned<DirectorySection>>,
    #[serde(default)]
    keys: KeysSection,
    #[serde(default)]
    oncall: OnCallSection,
    #[serde(default)]
    policy: PolicySection,
    #[serde(default)]
    names: names::NamesSection,
    #[serde(default)]
    nss: nss::NssSection,
    #[serde(default)]
    paths: PathsSection,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct HostSection {
    name: Option<String>,
    labels: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PathsSection {
    keys: Option<PathBuf>,
    roster: Option<PathBuf>,
    lookups: Option<PathBuf>,
    audit: Option<PathBuf>,
}

impl File {
    fn check(self, path: &Path, text: &[u8]) -> Result<Config, Problem> {
        let beside = |name: &Path| path.parent().unwrap_or(Path::new("/")).join(name);
        let roster = beside(&self.paths.roster.unwrap_or_else(|| "/var/lib/oncall-cache/roster.db".into()));
        let proxy = self.oncall.proxy();
        let fleet = self.fleet.map(|section| FleetSection::check(section, &beside, (path, &roster), proxy));
        let fleet = fleet.transpose()?;
        let names = self.names.check()?;
        let shrink = self.directory.as_ref().and_then(|section| section.get_ref().max_removed.as_ref());
        let max_removed = shrink.map_or(MAX_REMOVED, |share| share.get_ref().0);
        let directory = self
            .directory
            .map(|section| DirectorySection::check(section, &beside, names.fold_case, fleet.as_ref()));
        let directory = directory.transpose();
        // What is wrong with a source is told first.
        let known = directory.as_ref().ok().and_then(Option::as_ref);
        let around = Around { fleet: fleet.as_ref(), directory: known };
        let mut oncall = self.oncall.check(&beside, &roster, around, self.policy.enforces())?;
        let grants =
            GrantsSection::check(self.grant.as_ref(), self.policy.grants(), fleet.as_ref(), &beside)?;
        let end = self.policy.end()?;
        let rego = self.policy.rego(&beside)?;
        let mut rules = self.policy.check(&oncall.sources)?;
        rules.host =
            policy::Host { name: self.host.name.unwrap_or_else(host_name), labels: self.host.labels };
        rules.ages = oncall.ages.clone();
        rules.late_claims = oncall.late_claims.clone();
        oncall.ask_for_incidents(&rules);
        rules.names = names;
        let directory = directory?;
        Ok(Config {
            path: path.to_path_buf(),
            text: text.to_vec(),
            fleet,
            max_removed,
            keys: self.keys.check(&rules.shared, directory.as_ref())?,
            directory,
            oncall,
            grants,
            end,
            rego,
            groups: self.nss.check(&rules)?,
            rules,
            paths: Paths {
                keys: beside(&self.paths.keys.unwrap_or_else(|| "/var/lib/authkeys/keys.db".into())),
                roster,
                lookups: beside(
                    &self.paths.lookups.unwrap_or_else(|| "/var/cache/authkeys/lookups.db".into()),
                ),
                revoked: Config::revoked_beside(path),
                audit: beside(&self.paths.audit.unwrap_or_else(|| DEFAULT_AUDIT.into())),
                grants: grant::ACCEPTED.into(),
                broken: grant::BROKEN.into(),
            },
        })
    }
}

/// The kernel's node name; DHCP may change it, so rules by host want `[host] name` said.
pub fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
