//! The one configuration model: `/etc/authkeys/config.toml`.
//!
//! Every program and the PAM module read this file and no other setting; environment variables
//! configure nothing. A key that this release does not know is an error with its line, because a
//! misspelt guard is a guard that is not there.

mod automation;
mod credentials;
mod directory;
mod key_rule;
mod keys;
mod ldap_url;
mod names;
mod nss;
mod oncall;
pub mod references;
mod rules;
mod show;
mod values;

use std::path::{Path, PathBuf};

use policy::{GroupRule, Rules, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use crate::toml_file::{self, FileError};
pub use directory::{
    Attributes, Bind, ClientFiles, Directory, Ldap, Lockout, Mark, Membership, Referrals, unfollowed_groups,
};
use directory::{DirectorySection, MAX_SHRINK};
pub use key_rule::{Allowance, KeyAccounts, KeyRule};
use keys::KeysSection;
pub use keys::{Chained, Keys, KeysMode, Piece};
pub use ldap_url::{HostGlob, LdapHost, LdapServer, LdapUrl};
use oncall::OnCallSection;
pub use oncall::{Access, Exec, Guards, OAuth, OnCall, PagerDuty, Provider, Source};
use rules::PolicySection;
pub use values::duration;
use values::{Percent, Problem};

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
    /// Where people and their keys come from.
    pub directory: Option<Directory>,
    /// The share of people, in percent, that one sync may take away without being told to.
    pub max_shrink: u8,
    /// How the copy of the directory is used.
    pub keys: Keys,
    /// Who is on call, and from where that is known.
    pub oncall: OnCall,
    /// What the decision is made by.
    pub rules: Rules,
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
    /// Who is shut out on this host, whatever all else says; beside the configuration, and root's.
    pub revoked: PathBuf,
    /// What the PAM module decided, a line of JSON for each decision.
    pub audit: PathBuf,
}

impl Config {
    /// What the key copy made from `directory` is tied to. In lookup mode it holds eligible people alone, and
    /// must not be taken for everybody when the mode changes.
    pub fn copy_scope(&self, directory: &Directory) -> String {
        match self.keys.mode {
            KeysMode::Replica => directory.scope(),
            KeysMode::Lookup => format!("{} eligible-only", directory.scope()),
        }
    }

    /// Where the revocations are that belong to the configuration at `path`, readable or not.
    pub fn revoked_beside(path: &Path) -> PathBuf {
        path.parent().unwrap_or(Path::new("/")).join("revoked")
    }

    /// Reads and checks `path`, which root alone may be able to write.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::parse(path, &toml_file::read(path)?)
    }

    /// Checks `text` as the content of `path`; touches no file.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FileError> {
        let file: File = toml_file::parse(path, text)?;
        file.check(path, text).map_err(|Problem { at, text: problem }| FileError::at(path, text, at, problem))
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
        let oncall = self.oncall.check(&beside, &roster)?;
        let mut rules = self.policy.check(&oncall.sources)?;
        rules.host =
            policy::Host { name: self.host.name.unwrap_or_else(host_name), labels: self.host.labels };
        rules.ages = oncall.ages.clone();
        rules.names = self.names.check()?;
        let fold_case = rules.names.fold_case;
        let shrink = self.directory.as_ref().and_then(|section| section.get_ref().max_shrink);
        Ok(Config {
            path: path.to_path_buf(),
            text: text.to_vec(),
            directory: self
                .directory
                .map(|section| DirectorySection::check(section, &beside, fold_case))
                .transpose()?,
            max_shrink: shrink.map_or(MAX_SHRINK, |Percent(share)| share),
            keys: self.keys.check(&rules.shared)?,
            oncall,
            groups: self.nss.check(&rules.rules)?,
            rules,
            paths: Paths {
                keys: beside(&self.paths.keys.unwrap_or_else(|| "/var/lib/authkeys/keys.db".into())),
                roster,
                lookups: beside(
                    &self.paths.lookups.unwrap_or_else(|| "/var/cache/authkeys/lookups.db".into()),
                ),
                revoked: Config::revoked_beside(path),
                audit: beside(&self.paths.audit.unwrap_or_else(|| DEFAULT_AUDIT.into())),
            },
        })
    }
}

/// The kernel's node name; DHCP may change it, so rules by host want `[host] name` said.
fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use policy::{Account, Principal, Span, Who};

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes())
            .map_err(|error| error.to_string())
    }

    fn complaint(text: &str) -> String {
        let error = parse(text).expect_err(text);
        error.strip_prefix("/etc/authkeys/config.toml:").unwrap_or(&error).to_string()
    }

    const SOURCE: &str =
        "[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\ntoken_file = 't'\nschedules = ['P1']\n";

    #[test]
    fn whatever_stands_in_the_file_is_a_configuration_or_a_line_that_is_wrong() {
        let example = include_str!("../../../packaging/examples/config.toml");
        let uncommented = uncommented(example);
        let samples: [&[u8]; 4] =
            [example.as_bytes(), uncommented.as_bytes(), CHAIN.as_bytes(), SOURCE.as_bytes()];
        let mut words = vec![
            "[[policy.automation]]\n",
            "until = 2027-06-30\n",
            "[",
            "]]",
            "'''",
            "\"\"\"",
            "=",
            "\\u0000",
        ];
        words.extend(["from = ['10.0.0.0/8']\n", "\\\"", "9223372036854775808", "'-1s'", "true", "0x", "\n"]);
        mutate::each(&samples, &words, 1_500, |text| match Config::parse(Path::new("/c"), text) {
            Ok(config) => {
                let automation = config.rules.automation.iter().flat_map(|one| &one.from);
                let rules = config.keys.rules.iter().flat_map(|rule| &rule.from);
                for pattern in automation.chain(rules) {
                    assert!(
                        pattern
                            .as_str()
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b".:-_*?/".contains(&b))
                    );
                }
                let remarks = config.remarks(Timestamp::MAX);
                assert!(remarks.iter().all(|remark| !remark.contains(char::is_control)), "{remarks:?}");
            }
            Err(error) => {
                let error = error.to_string();
                let line = error.strip_prefix("/c:").and_then(|rest| rest.split(':').next()?.parse().ok());
                let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
                assert!(line.is_some_and(|line: usize| (1..=lines).contains(&line)), "{error}");
                assert!(!error.contains('\n'), "{error}");
            }
        });
    }

    #[test]
    fn an_empty_file_guards_and_admits_nobody() {
        let config = parse("").unwrap();
        let compiled = Rules::compiled();
        assert_eq!(Rules { host: compiled.host.clone(), ..config.rules }, compiled);
        assert_eq!(config.paths.roster, Path::new("/var/lib/oncall-cache/roster.db"));
    }

    #[test]
    fn names_are_beside_the_file_and_defaults_are_filled_in() {
        let text = format!(
            "[directory]\nfile = 'people.toml'\n{SOURCE}[[policy.rule]]\nname = 'db'\nschedules = ['pd/P1']\n"
        );
        let config = parse(&text).unwrap();
        assert!(
            matches!(&config.directory, Some(Directory::File(path)) if path == Path::new("/etc/authkeys/people.toml"))
        );
        let source = &config.oncall.sources[0];
        assert!(
            matches!(&source.provider, Provider::PagerDuty(PagerDuty { access: Access::Key(file), .. }) if file == Path::new("/etc/authkeys/t"))
        );
        let rule = &config.rules.rules[0];
        assert_eq!((rule.max_level, rule.hosts.len(), source.max_level), (1, 1, 1));
    }

    #[test]
    fn an_app_keeps_its_token_beside_the_roster() {
        let text = "[oncall]\nproxy = 'http://proxy:3128'\n[[oncall.source]]\nname = 'eu'\nprovider = 'pagerduty'\n\
                    region = 'eu'\nteams = ['x']\n[oncall.source.oauth]\nclient_id = 'c'\nclient_secret_file = 's'\n\
                    subdomain = 'acme'\n[paths]\nroster = '/srv/roster.db'\n";
        let config = parse(text).unwrap();
        let Provider::PagerDuty(settings) = &config.oncall.sources[0].provider else { panic!("{config:?}") };
        let Access::OAuth(app) = &settings.access else { panic!("{settings:?}") };
        assert_eq!((&*settings.api, &*app.account), ("https://api.eu.pagerduty.com", "as_account-eu.acme"));
        assert_eq!(app.kept_in, Path::new("/srv/oauth-eu.json"));
        assert_eq!(settings.proxy.as_deref(), Some("http://proxy:3128"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, expected) in [
            ("[policy]\n\nacounts = []", "3: unknown key `acounts`; did you mean `accounts`?"),
            ("[polcy]", "1: unknown key `polcy`; did you mean `policy`?"),
            (
                "[policy]\nexempt_ttys = ['/dev/tty1']",
                "2: `/dev/tty1` is no terminal; write tty1, without /dev/",
            ),
            (
                "[policy]\nhelp = \"call\\nus\"",
                "2: `help` is 1 to 200 bytes of printable ASCII, such as a page's address",
            ),
            ("[policy]\nmode = 'off'", "2: unknown variant `off`, expected `enforce` or `observe`"),
            (
                "[policy]\nservices = ['sshd', 'cron']",
                "2: this release does not decide for service `cron`; it knows sshd, login, su, su-l, sudo, sudo-i, doas, polkit-1",
            ),
            (
                "[keys]\nstale_for = '1 day'",
                "2: `1 day` is not a duration; write a whole number and s, m, h or d: \"90s\", \"6h\"",
            ),
            ("[keys]\nfresh_for = '2h'\nstale_for = '1h'", "2: fresh_for (2h) is longer than stale_for (1h)"),
            ("[keys]\ndeadline = '11s'", "2: deadline (11s) is longer than 10s: a login waits for it"),
            ("[directory]\nurls = []\nbase = 'dc=x'", "2: `urls` names no server"),
            ("[keys]\nstale_for = 5", "2: invalid type: integer `5`, expected a string"),
            (
                "[oncall]\nmax_age = '4d'",
                "2: max_age (4d) is longer than lookahead (3d): past it nothing is known",
            ),
            (
                "[policy]\naccounts = ['Root']",
                "2: `Root`: byte 1 (0x52) does not fit [a-z_][a-z0-9_.-]{0,31}",
            ),
            ("[[policy.rule]]\nname = 'x'\nschedules = ['pd/P1']", "3: no [[oncall.source]] is named `pd`"),
            (
                "[directory]\nurls = ['http://x']\nbase = 'dc=x'",
                "2: `http://x` is no LDAP address; write ldaps://host or ldap://host, with :port if need be, ldapi://%2Fpath%2Fof%2Fsocket or srv://domain",
            ),
            (
                "[directory]\nbase = 'dc=x'",
                "1: [directory] needs `urls`; or `file = \"people.toml\"` for a directory in a file",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind_dn = 'cn=x'",
                "4: `bind_dn` without `bind_password_file`: servers take that for an anonymous bind",
            ),
            (
                "[directory]\nurls = ['ldaps://a', 'srv://b.c']\nbase = 'dc=x'",
                "2: `srv://b.c` needs `srv_hosts`, the servers that DNS may lead to: [\"ldap*.example.com\"]",
            ),
            (
                "[directory]\nurls = ['srv://b.c']\nbase = 'dc=x'\nsrv_hosts = ['a.b.c', '*']",
                "4: `*` is no name of hosts; a domain, and * or ? at most before its first dot",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nsrv_hosts = ['a.b.c']",
                "4: `srv_hosts` is about srv://domain, which `urls` does not have",
            ),
            (
                "[directory]\nurls = ['ldapi://%2Fa', 'ldaps://a']\nbase = 'dc=x'\nbind = 'external'",
                "4: `bind = \"external\"` needs something to show: `client_cert_file` and `client_key_file`",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind = 'gssapi'",
                "4: unknown variant `gssapi`, expected `simple` or `external`",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind = 'external'",
                "4: `bind = \"external\"` needs something to show: `client_cert_file` and `client_key_file`",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nbind_dn = 'cn=x'\nbind = 'external'",
                "5: `bind = \"external\"` goes without a name and password; take those out",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nclient_cert_file = 'c'",
                "4: `client_cert_file` without `client_key_file`: it proves nothing",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\nclient_key_file = 'k'",
                "4: `client_key_file` without `client_cert_file`: nothing says whose key it is",
            ),
            (
                "[directory]\nfile = 'p'\nmax_shrink = '20'",
                "3: `20` is not a share; write 0 to 100 and %: \"20%\"",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n[directory.attributes]\nuser = 'u)('",
                "5: `u)(` is no name of an attribute; letters, digits and -, a letter first",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n[directory.disabled]\ntitle = []",
                "5: `title` lists no value, so it disables nobody; \"*\" is any",
            ),
            (
                "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\neligible_group_by = 'uid'",
                "4: unknown variant `uid`, expected `member` or `memberOf`",
            ),
            ("a = ", "1: string values must be quoted, expected literal string"),
        ] {
            assert_eq!(complaint(text), expected, "{text}");
        }
        let rule =
            |schedule: &str| format!("{SOURCE}[[policy.rule]]\nname = 'x'\nschedules = ['{schedule}']");
        assert_eq!(
            complaint(&rule("pd/P2")),
            "8: source `pd` does not list `P2` in its `schedules`; did you mean `P1`?"
        );
        assert_eq!(complaint(&rule("P1")), "8: `P1` is no schedule; write source/schedule");
        let unlisted = "[[oncall.source]]\nname = 'r'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                        [[policy.rule]]\nname = 'x'\nschedules = ['r/*']";
        assert_eq!(
            complaint(unlisted),
            "7: source `r` lists no `schedules`, so `r/*` names none; list them there, or here one by one"
        );
    }

    #[test]
    fn a_star_stands_for_every_schedule_that_the_source_lists() {
        let source = SOURCE.replace("['P1']", "['P1', 'web']\npolicies = ['PEP1']\nteams = ['ops']");
        let named = |schedules: &str| {
            let text = format!("{source}[[policy.rule]]\nname = 'x'\nschedules = {schedules}");
            let config = Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes()).unwrap();
            config.rules.rules[0].schedules.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(named("['pd/*']"), ["pd/P1", "pd/web", "pd/PEP1", "pd/ops"]);
        assert_eq!(named("['pd/web', 'pd/*', 'pd/P1']"), ["pd/web", "pd/P1", "pd/PEP1", "pd/ops"]);
        assert_eq!(named("['pd/ops']"), ["pd/ops"]);
    }

    #[test]
    fn sections_that_hide_or_contradict_each_other_are_refused() {
        for (text, expected) in [
            (format!("{SOURCE}{SOURCE}"), "7: a second [[oncall.source]] for `pd`; make one of them"),
            (
                "[[policy.shared]]\naccount = 'root'\n[[policy.shared]]\naccount = 'root'".to_string(),
                "4: a second [[policy.shared]] for `root`; make one of them",
            ),
            (
                "[policy]\nservices = []".to_string(),
                "2: `services` is empty, so it is about nothing; leave it out for the usual ones",
            ),
            (
                "[directory]\nfile = 'people.toml'\nbind_dn = 'cn=x'".to_string(),
                "1: [directory] has `file` and settings of an LDAP server; say `urls`, or take those out",
            ),
            (format!("{SOURCE}file = 'x'"), "3: provider `pagerduty` has no setting `file`"),
            (format!("{SOURCE}deadline = '61s'"), "6: `deadline` of a source is at most 1m"),
            (
                format!(
                    "{SOURCE}[oncall.source.oauth]\nclient_id = 'x'\nclient_secret_file = 's'\nsubdomain = 'acme'"
                ),
                "3: both `token_file` and [oncall.source.oauth]; keep one of them",
            ),
            (
                format!("{SOURCE}[[policy.rule]]\nname = 'x'\nhosts = []\nschedules = ['pd/P1']"),
                "9: `hosts` is empty, so the rule covers no host; leave it out for all",
            ),
        ] {
            assert_eq!(complaint(&text), expected, "{text}");
        }
    }

    /// With what it shows as comments.
    fn uncommented(example: &str) -> String {
        let setting = |line: &&str| line.contains('=') || line.starts_with('[');
        let line = |line| str::strip_prefix(line, "# ").filter(setting).unwrap_or(line);
        example.replace("file = \"people.toml\"", "").lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_shipped_example_is_a_configuration() {
        let example = include_str!("../../../packaging/examples/config.toml");
        let config = parse(example).unwrap();
        assert_eq!(config.rules.shared[0].principals, Who::Everyone);
        // What it shows as comments holds as well.
        let other = uncommented(example);
        let config = parse(&other).unwrap();
        assert!(matches!(config.directory, Some(Directory::Ldap(_))));
        assert_eq!(config.oncall.sources.len(), 3);
        assert_eq!(config.keys.chain.len(), 2);
        assert_eq!(config.rules.automation[0].digests.len(), 2);
    }

    const CHAIN: &str =
        "[[keys.chain]]\nname = 'eic'\ncommand = ['/opt/eic', '%u', 'a%%b:%t %k/%f']\naccounts = ['ec2-*']\n";

    #[test]
    fn a_chained_command_is_read_into_pieces() {
        let chain = parse(CHAIN).unwrap().keys.chain;
        let text = |text: &str| Piece::Text(text.to_string());
        assert_eq!(
            chain[0].arguments,
            [
                vec![Piece::Account],
                vec![
                    text("a%b:"),
                    Piece::KeyType,
                    text(" "),
                    Piece::KeyBase64,
                    text("/"),
                    Piece::Fingerprint
                ],
            ]
        );
        assert_eq!(
            (chain[0].program.as_path(), chain[0].deadline),
            (Path::new("/opt/eic"), Span::seconds(2))
        );
        let covers = |name: &str| chain[0].covers(&Account::new(name).unwrap());
        assert!(covers("ec2-user") && !covers("ec2") && !covers("root") && !covers("xec2-user"));
        let empty = CHAIN.replace("'%u'", "''");
        assert_eq!(parse(&empty).unwrap().keys.chain[0].arguments[0], []);
    }

    #[test]
    fn mistakes_in_a_chain_are_named_with_their_line() {
        let with = |old: &str, new: &str| complaint(&CHAIN.replace(old, new));
        assert_eq!(with("/opt/eic", "eic"), "3: `eic` is no absolute path of a program");
        assert_eq!(with("/opt/eic", "/opt/%u"), "3: `/opt/%u` is no absolute path of a program");
        for (token, said) in [("%h", "%h"), ("x%", "%"), ("%%%U", "%U")] {
            let expected = format!("3: `{said}` stands for nothing here; %u, %t, %k, %f and %% do");
            assert_eq!(with("%u", token), expected);
        }
        assert_eq!(with("['ec2-*']", "[]"), "4: `accounts` names no account, so the command is never asked");
        assert_eq!(with("ec2-*", "EC2"), "4: `EC2` is no account; a name, with * and ? if need be");
        assert_eq!(with("'eic'", "'e c'"), "2: a name is made of 1 to 32 letters, digits, - and _");
        assert_eq!(complaint(&CHAIN.repeat(2)), "6: a second [[keys.chain]] named `eic`");
        assert_eq!(
            complaint(&format!("{CHAIN}deadline = '6s'")),
            "5: deadline (6s) is longer than 5s: a login waits for it"
        );
        assert_eq!(with("['/opt/eic', '%u', 'a%%b:%t %k/%f']", "[]"), "3: chain `eic` names no command");
        assert_eq!(complaint(&CHAIN.replace("accounts = ['ec2-*']\n", "")), "1: missing field `accounts`");
        assert_eq!(
            complaint(&format!("{CHAIN}account = 'x'")),
            "5: unknown key `account`; did you mean `accounts`?"
        );
        assert_eq!(with("'%u'", "\"\\u0000\""), "3: an argument cannot have a NUL in it");
    }

    #[test]
    fn a_shared_account_names_everyone_on_call_or_a_list() {
        let shared = |principals: &str| {
            let text = format!("[[policy.shared]]\naccount = 'root'\nprincipals = {principals}");
            parse(&text).map(|config| config.rules.shared[0].principals.clone())
        };
        assert_eq!(shared("'on-call'"), Ok(Who::Everyone));
        assert_eq!(shared("['alice']"), Ok(Who::Only(vec![Principal::new("alice").unwrap()])));
        for bad in ["'oncall'", "['Alice']", "7"] {
            assert!(shared(bad).is_err_and(|error| error.contains(":3: ")), "{bad}");
        }
    }

    #[test]
    fn several_servers_keep_their_order_and_an_unwritten_fresh_for_follows_stale_for() {
        let config =
            parse("[directory]\nurls = ['ldaps://b', 'ldap://a']\nbase = 'dc=x'\n[keys]\nstale_for = '1m'")
                .unwrap();
        let Some(Directory::Ldap(ldap)) = &config.directory else { panic!("LDAP it is") };
        let urls: Vec<_> = ldap.urls.iter().map(ToString::to_string).collect();
        assert_eq!(urls, ["ldaps://b:636", "ldap://a:389"]);
        assert_eq!(config.keys.fresh_for, Span::minutes(1));
    }

    #[test]
    fn a_copy_of_eligible_people_is_not_one_of_everybody() {
        let scope = |mode: &str| {
            let config =
                parse(&format!("[directory]\nfile = 'people.toml'\n[keys]\nmode = '{mode}'")).unwrap();
            config.copy_scope(config.directory.as_ref().unwrap())
        };
        assert_ne!(scope("replica"), scope("lookup"));
    }

    #[test]
    fn a_filter_is_one_and_a_base_is_somewhere() {
        let problem = |base: &str, filter: &str| {
            let text = format!("[directory]\nurls = ['ldaps://a']\nbase = '{base}'\nfilter = '{filter}'\n");
            parse(&text).err().map(|error| error.to_string()).unwrap_or_default()
        };
        for good in ["(a=b)", "(&(a=b)(|(c=d)(!(e=f))))", "(cn=a\\28b)"] {
            assert_eq!(problem("dc=x", good), "", "{good}");
        }
        for bad in ["(a=b)(c=d)", "(a=b", "((a=b)", "(a=b))", "()(", "(a=b))(c=d)"] {
            assert!(problem("dc=x", bad).contains(":4:"), "{bad}: {}", problem("dc=x", bad));
        }
        for bad in ["", " "] {
            assert!(problem(bad, "(a=b)").contains("`base` is empty"), "{bad:?}");
        }
    }

    #[test]
    fn what_a_copy_is_tied_to_names_everything_that_is_asked() {
        let ldap = "[directory]\nurls = ['ldaps://a']\nbase = 'dc=x'\n";
        let scope = |more: &str| {
            parse(&format!("{ldap}{more}")).unwrap().directory.map(|directory| directory.scope()).unwrap()
        };
        let plain = scope("");
        assert!(
            plain.ends_with("by=member user=uid keys=sshPublicKey mail=mail lockout=permanent"),
            "{plain}"
        );
        for more in [
            "filter = '(a=b)'",
            "eligible_group = 'cn=x'",
            "eligible_group_by = 'memberOf'",
            "nested_groups = true",
            "[directory.attributes]\nuser = 'sAMAccountName'",
            "[directory.attributes]\nkeys = 'altSecurityIdentities'",
            "[directory.disabled]\nemployeeType = ['former']",
            "lockout = 'any'",
        ] {
            assert_ne!(scope(more), plain, "{more}");
        }
        assert_eq!(scope("max_shrink = '5%'\ndeadline = '9s'\nfull_refresh = '1h'"), plain);
        assert_eq!(parse("").unwrap().max_shrink, 20);
        assert_eq!(parse(&format!("{ldap}max_shrink = '5%'")).unwrap().max_shrink, 5);
    }
}
