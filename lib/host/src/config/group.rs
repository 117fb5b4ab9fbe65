//! `provider = "ldap-group"`: a group in the directory, whose members are on call now.

use std::path::PathBuf;

use policy::Span;
use toml::Spanned;

use super::directory::{Bind, Directory, Ldap};
use super::ldap_url::LdapUrl;
use super::values::{Problem, problem};

/// How a group is read.
#[derive(Debug, Clone)]
pub struct LdapGroup {
    /// `[directory]`, as this source reaches it: its `eligible_group` is the group whose members are on call.
    pub ldap: Ldap,
}

impl LdapGroup {
    /// DN of the group.
    pub fn dn(&self) -> &str {
        self.ldap.eligible_group.as_deref().unwrap_or_default()
    }
}

/// What of a `[[oncall.source]]` is about a group.
pub(super) struct GroupSection {
    pub group: String,
    pub bind_dn: Option<String>,
    pub bind_password_file: Option<PathBuf>,
    pub urls: Option<Spanned<Vec<String>>>,
    pub ca_file: Option<PathBuf>,
    pub timeout: Span,
}

impl GroupSection {
    /// Of the source at `at`, which names so many `schedules`.
    pub fn check(
        self,
        at: usize,
        schedules: usize,
        directory: Option<&Directory>,
    ) -> Result<LdapGroup, Problem> {
        let wrong = |text: &str| Problem { at, text: text.to_string() };
        let Some(Directory::Ldap(ldap)) = directory else {
            return Err(wrong(
                "provider `ldap-group` needs `urls` in [directory]: its people are those of the group",
            ));
        };
        if schedules > 1 {
            return Err(wrong(
                "a group is one schedule, for which `schedules` has one name; write a source for each group",
            ));
        }
        if self.bind_dn.is_some() != self.bind_password_file.is_some() {
            return Err(wrong("`bind_dn` and `bind_password_file` are written together, or neither"));
        }
        let mut ldap = (**ldap).clone();
        if let Some(urls) = &self.urls {
            let read = urls
                .get_ref()
                .iter()
                .map(|url| LdapUrl::parse(url).map_err(|error| problem(urls, error.to_string())));
            ldap.urls = read.collect::<Result<_, _>>()?;
            if ldap.urls.is_empty() {
                return Err(problem(urls, "`urls` names no server"));
            }
        }
        // What authkeys-sync binds by is not for this user to read.
        (ldap.bind, ldap.client) = (Bind::Simple, None);
        (ldap.bind_dn, ldap.bind_password_file) = (self.bind_dn, self.bind_password_file);
        ldap.ca_file = self.ca_file.unwrap_or(ldap.ca_file);
        (ldap.eligible_group, ldap.timeout) = (Some(self.group), self.timeout);
        Ok(LdapGroup { ldap })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, Provider};

    fn parse(directory: &str, settings: &str) -> Result<Config, String> {
        let text = format!(
            "[directory]\n{directory}\n[[oncall.source]]\nname = 'g'\nprovider = 'ldap-group'\n{settings}\n"
        );
        Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes())
            .map_err(|error| error.to_string())
    }

    const LDAP: &str = "urls = ['ldaps://a']\nbase = 'dc=x'\nbind_dn = 'cn=sync'\nbind_password_file = 'p'\neligible_group = 'cn=sre,dc=x'\nca_file = 'ca'";
    const GROUP: &str = "group = 'cn=oncall,dc=x'";

    #[test]
    fn a_group_is_in_the_directory_and_is_reached_by_what_the_source_says() {
        let read = |settings: &str| {
            let config = parse(LDAP, &format!("{GROUP}\n{settings}")).unwrap();
            let provider = config.oncall.sources.into_iter().next().map(|source| source.provider);
            match provider {
                Some(Provider::Group(group)) => *group,
                other => panic!("{other:?}"),
            }
        };
        let group = read("");
        assert_eq!((group.dn(), group.ldap.bind_dn.as_deref()), ("cn=oncall,dc=x", None));
        assert_eq!(group.ldap.ca_file, Path::new("/etc/authkeys/ca"));
        assert!(group.ldap.bind_password_file.is_none());
        let group = read(
            "bind_dn = 'cn=r'\nbind_password_file = 'q'\nurls = ['ldaps://b', 'ldaps://c']\nca_file = 'd'",
        );
        assert_eq!((group.ldap.urls.len(), group.ldap.bind_dn.as_deref()), (2, Some("cn=r")));
        assert_eq!(group.ldap.bind_password_file.as_deref(), Some(Path::new("/etc/authkeys/q")));
        assert_eq!(group.ldap.ca_file, Path::new("/etc/authkeys/d"));
    }

    #[test]
    fn mistakes_are_named() {
        for (directory, settings, words) in [
            ("file = 'people.toml'", GROUP.to_string(), "needs `urls` in [directory]"),
            (LDAP, String::new(), "source `g` needs `group`"),
            (LDAP, "group = ''".to_string(), "source `g` needs `group`"),
            (
                LDAP,
                format!("{GROUP}\nbind_dn = 'cn=r'"),
                "`bind_dn` and `bind_password_file` are written together",
            ),
            (LDAP, format!("{GROUP}\nurls = []"), "`urls` names no server"),
            (LDAP, format!("{GROUP}\nurls = ['http://a']"), "`http://a` is not an LDAP address"),
            (LDAP, format!("{GROUP}\nschedules = ['a', 'b']"), "a group is one schedule"),
            (LDAP, format!("{GROUP}\ntoken_file = 't'"), "provider `ldap-group` has no setting `token_file`"),
        ] {
            let error = parse(directory, &settings).expect_err(&settings);
            assert!(error.contains(words), "{settings}: {error}");
        }
    }
}
