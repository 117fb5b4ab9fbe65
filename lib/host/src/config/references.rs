//! Names in a configuration that refer to something outside of it: accounts, groups, people, schedules, files.
//!
//! Whether they exist is no matter of the configuration's, and changes under it; so none of this makes a file wrong.
//! `config check` and the doctor look them up and say what is not there. Read apart from the checks that every login
//! makes: these need no lines.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::rules::People;
use crate::toml_file;

/// What a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An account of this host.
    Account,
    /// A group of /etc/group.
    Group,
    /// A person of the directory.
    Person,
    /// Somebody with a line in grant-signers, whose signature below a grant counts.
    Signer,
    /// Somebody with a line there by which they review.
    Reviewer,
    /// A schedule, as `source/text`.
    Schedule,
    /// A user of a source, as `source/id`.
    User,
    /// A file that a sync reads.
    File,
    /// One with a secret: systemd may pass another in its place.
    Secret,
    /// A place of a fleet's store.
    Store,
    /// A time zone of the tz database.
    Zone,
}

/// A name, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What it refers to.
    pub kind: Kind,
    /// The name.
    pub name: String,
    /// The setting, as people call it.
    pub setting: &'static str,
    /// Its line, from 1.
    pub line: usize,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    fleet: Option<Spanned<Fleet>>,
    directory: Directory,
    keys: Keys,
    oncall: OnCall,
    policy: Policy,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fleet {
    urls: Vec<Spanned<String>>,
    signers: Option<Spanned<String>>,
    ca_file: Option<Spanned<String>>,
    header_file: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Directory {
    file: Option<Spanned<String>>,
    ca_file: Option<Spanned<String>>,
    client_cert_file: Option<Spanned<String>>,
    client_key_file: Option<Spanned<String>>,
    bind_password_file: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Keys {
    rule: Vec<KeyRule>,
}

#[derive(Deserialize)]
struct KeyRule {
    #[serde(default)]
    accounts: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OnCall {
    source: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
    #[serde(default)]
    schedules: Vec<Spanned<String>>,
    #[serde(default)]
    people: BTreeMap<Spanned<String>, Spanned<String>>,
    file: Option<Spanned<String>>,
    ca_file: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    url_file: Option<Spanned<String>>,
    bind_password_file: Option<Spanned<String>>,
    time_zone: Option<Spanned<String>>,
    oauth: Option<OAuth>,
}

#[derive(Deserialize)]
struct OAuth {
    client_secret_file: Spanned<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Policy {
    guarded_accounts: Vec<Spanned<String>>,
    privileged_groups: Vec<Spanned<String>>,
    exempt_accounts: Vec<Spanned<String>>,
    rule: Vec<Rule>,
    shared_account: Vec<Shared>,
    automation: Vec<Automation>,
    grant: Vec<Grant>,
    rego: Vec<Rego>,
}

#[derive(Deserialize)]
struct Rego {
    file: Spanned<String>,
}

#[derive(Deserialize)]
struct Rule {
    schedules: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct Shared {
    account: Spanned<String>,
    people: Option<Spanned<People>>,
}

#[derive(Deserialize)]
struct Grant {
    accounts: Vec<Spanned<String>>,
    approvers: Vec<Spanned<String>>,
    quorum: Option<usize>,
    #[serde(default)]
    people: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct Automation {
    account: Spanned<String>,
}

/// The names in `text`, the content of a configuration, in the order of the file.
pub fn references(text: &[u8]) -> Vec<Reference> {
    // A file that says nothing is told by those who read it for what it says.
    let file: File = toml_file::parse(Path::new(""), text).unwrap_or_default();
    let mut found = Found { text, references: Vec::new() };
    let File { fleet, directory, keys, oncall, policy } = &file;
    fleet.iter().for_each(|fleet| found.fleet(fleet));
    found.all(Kind::File, "[directory] file", &directory.file);
    found.all(Kind::File, "[directory] ca_file", &directory.ca_file);
    found.all(Kind::File, "[directory] client_cert_file", &directory.client_cert_file);
    found.all(Kind::Secret, "[directory] client_key_file", &directory.client_key_file);
    found.all(Kind::Secret, "[directory] bind_password_file", &directory.bind_password_file);
    for rule in &keys.rule {
        found.all(
            Kind::Account,
            "[[keys.rule]] accounts",
            rule.accounts.iter().filter(|one| one.get_ref() != "*"),
        );
    }
    oncall.source.iter().for_each(|source| found.source(source));
    found.all(Kind::Account, "policy.guarded_accounts", &policy.guarded_accounts);
    found.all(Kind::Group, "policy.privileged_groups", &policy.privileged_groups);
    found.all(Kind::Account, "policy.exempt_accounts", &policy.exempt_accounts);
    for rule in &policy.rule {
        // `source/*` is whatever the source lists.
        let named = rule.schedules.iter().filter(|one| !one.get_ref().ends_with("/*"));
        found.all(Kind::Schedule, "[[policy.rule]] schedules", named);
    }
    for shared in &policy.shared_account {
        found.add(
            Kind::Account,
            "[[policy.shared_account]] account",
            shared.account.get_ref().clone(),
            &shared.account,
        );
        let Some(written) = &shared.people else { continue };
        let People::List(names) = written.get_ref() else { continue };
        for name in names {
            found.add(Kind::Person, "[[policy.shared_account]] people", name.clone(), written);
        }
    }
    found.all(
        Kind::Account,
        "[[policy.automation]] account",
        policy.automation.iter().map(|one| &one.account),
    );
    for rule in &policy.grant {
        found.all(Kind::Account, "[[policy.grant]] accounts", &rule.accounts);
        // Where people let themselves in, their own signature counts, and approvers review.
        let approve = if rule.quorum == Some(0) { Kind::Reviewer } else { Kind::Signer };
        for kind in [Kind::Person, approve] {
            found.all(kind, "[[policy.grant]] approvers", &rule.approvers);
        }
        for kind in [Kind::Person, Kind::Signer] {
            found.all(kind, "[[policy.grant]] people", &rule.people);
        }
    }
    found.all(Kind::File, "[[policy.rego]] file", policy.rego.iter().map(|one| &one.file));
    found.references.sort_by_key(|reference| reference.line);
    found.references
}

/// The setting of a fleet's signers, as people call it.
const SIGNERS: &str = "[fleet] signers";

struct Found<'a> {
    text: &'a [u8],
    references: Vec<Reference>,
}

impl Found<'_> {
    fn add<T>(&mut self, kind: Kind, setting: &'static str, name: String, written: &Spanned<T>) {
        let line = toml_file::line_at(self.text, written.span().start);
        self.references.push(Reference { kind, name, setting, line });
    }

    fn all<'a>(
        &mut self,
        kind: Kind,
        setting: &'static str,
        written: impl IntoIterator<Item = &'a Spanned<String>>,
    ) {
        written.into_iter().for_each(|one| self.add(kind, setting, one.get_ref().clone(), one));
    }

    /// What `[fleet]` names, and the file of signers that it has where it names none.
    fn fleet(&mut self, section: &Spanned<Fleet>) {
        let Fleet { urls, signers, ca_file, header_file } = section.get_ref();
        self.all(Kind::Store, "[fleet] urls", urls);
        match signers {
            Some(signers) => self.add(Kind::File, SIGNERS, signers.get_ref().clone(), signers),
            None => self.add(Kind::File, SIGNERS, super::fleet::SIGNERS.to_string(), section),
        }
        self.all(Kind::File, "[fleet] ca_file", ca_file);
        self.all(Kind::Secret, "[fleet] header_file", header_file);
    }

    /// What a source of shifts names.
    fn source(&mut self, source: &Source) {
        for wanted in &source.schedules {
            let name = format!("{}/{}", source.name, wanted.get_ref());
            self.add(Kind::Schedule, "[[oncall.source]] schedules", name, wanted);
        }
        for user in source.people.keys() {
            let name = format!("{}/{}", source.name, user.get_ref());
            self.add(Kind::User, "[oncall.source.people]", name, user);
        }
        self.all(Kind::Person, "[oncall.source.people]", source.people.values());
        self.all(Kind::File, "[[oncall.source]] file", &source.file);
        self.all(Kind::File, "[[oncall.source]] ca_file", &source.ca_file);
        self.all(Kind::Secret, "[[oncall.source]] token_file", &source.token_file);
        self.all(Kind::Secret, "[[oncall.source]] url_file", &source.url_file);
        self.all(Kind::Secret, "[[oncall.source]] bind_password_file", &source.bind_password_file);
        self.all(Kind::Zone, "[[oncall.source]] time_zone", &source.time_zone);
        let secret = source.oauth.as_ref().map(|oauth| &oauth.client_secret_file);
        self.all(Kind::Secret, "[oncall.source.oauth] client_secret_file", secret);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_with_their_lines() {
        let text = "[policy]\nexempt_accounts = ['a',\n 'b']\nprivileged_groups = ['sudo']\n[[policy.shared_account]]\naccount = 'root'\npeople = ['alice']\n\
                    [[policy.rule]]\nname = 'x'\nschedules = ['r/p', 'r/*']\n[[oncall.source]]\nname = 'r'\nschedules = ['p']\npeople = { X = 'bob' }\n\
                    [[keys.rule]]\naccounts = ['*', 'web']\n[[policy.automation]]\naccount = 'deploy'\n\
                    [[policy.grant]]\naccounts = ['root']\napprovers = ['carol']\npeople = ['dan']\nquorum = 0\n\
                    [[policy.grant]]\naccounts = []\napprovers = ['alice']\nquorum = 2\n\
                    [directory]\nfile = 'people.toml'\nbind_password_file = 'w'\n\
                    [fleet]\nurls = [\n'https://a',\n'https://b']\nheader_file = 'h'\n";
        let told = references(text.as_bytes());
        let told: Vec<String> = told
            .iter()
            .map(|one| format!("{} {:?} {} {}", one.line, one.kind, one.name, one.setting))
            .collect();
        assert_eq!(
            told,
            [
                "2 Account a policy.exempt_accounts",
                "3 Account b policy.exempt_accounts",
                "4 Group sudo policy.privileged_groups",
                "6 Account root [[policy.shared_account]] account",
                "7 Person alice [[policy.shared_account]] people",
                "10 Schedule r/p [[policy.rule]] schedules",
                "13 Schedule r/p [[oncall.source]] schedules",
                "14 User r/X [oncall.source.people]",
                "14 Person bob [oncall.source.people]",
                "16 Account web [[keys.rule]] accounts",
                "18 Account deploy [[policy.automation]] account",
                "20 Account root [[policy.grant]] accounts",
                "21 Person carol [[policy.grant]] approvers",
                "21 Reviewer carol [[policy.grant]] approvers",
                "22 Person dan [[policy.grant]] people",
                "22 Signer dan [[policy.grant]] people",
                "26 Person alice [[policy.grant]] approvers",
                "26 Signer alice [[policy.grant]] approvers",
                "29 File people.toml [directory] file",
                "30 Secret w [directory] bind_password_file",
                "31 File fleet-signers [fleet] signers",
                "33 Store https://a [fleet] urls",
                "34 Store https://b [fleet] urls",
                "35 Secret h [fleet] header_file",
            ]
        );
        assert_eq!(references(b"nonsense"), []);
    }

    #[test]
    fn the_shipped_example_is_read() {
        assert!(!references(include_bytes!("../../../../packaging/examples/config.toml")).is_empty());
    }
}
