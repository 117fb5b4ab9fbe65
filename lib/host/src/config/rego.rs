//! `[[policy.rego]]`: files that may take shifts away.

use std::path::{Path, PathBuf};

use policy::{Host, HostSelector};
use serde::Deserialize;
use toml::Spanned;

use super::values::{Problem, problem};

/// The most entries: each of them is asked about every shift.
const MOST: usize = 16;

/// A file that is asked about every shift, by the sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rego {
    /// The file, root's.
    pub file: PathBuf,
    /// `data.authkeys.NAME`: the rule of it that says whether a shift stays.
    pub query: String,
    /// The hosts that ask it.
    pub hosts: Vec<HostSelector>,
    /// What becomes of a shift for which it fails.
    pub on_error: OnError,
    /// SHA-256 of what is in the file, 64 small hexadecimal digits, where it is said: with anything else it is not taken.
    pub sha256: Option<String>,
}

/// What becomes of a shift for which a file fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// It stays.
    #[default]
    Keep,
    /// It is left out.
    Drop,
}

impl OnError {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
        }
    }
}

impl Rego {
    /// Is it asked on `host`?
    pub fn covers(&self, host: &Host) -> bool {
        self.hosts.iter().any(|selector| selector.covers(host))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegoSection {
    file: Spanned<PathBuf>,
    query: Spanned<String>,
    hosts: Option<Spanned<Vec<String>>>,
    on_error: Option<Spanned<String>>,
    sha256: Option<Spanned<String>>,
}

/// All of them.
pub(super) fn check(
    sections: &[RegoSection],
    beside: &impl Fn(&Path) -> PathBuf,
) -> Result<Vec<Rego>, Problem> {
    if let Some(surplus) = sections.get(MOST) {
        return Err(problem(&surplus.file, format!("more than {MOST} entries [[policy.rego]]")));
    }
    sections.iter().map(|section| section.check(beside)).collect()
}

impl RegoSection {
    fn check(&self, beside: &impl Fn(&Path) -> PathBuf) -> Result<Rego, Problem> {
        if self.file.get_ref().as_os_str().is_empty() {
            return Err(problem(&self.file, "`file` is empty; write the name of a file in Rego"));
        }
        let query = self.query.get_ref();
        if !is_query(query) {
            let text =
                format!("`{query}` is no query; write data.authkeys.NAME, NAME being a rule of the file");
            return Err(problem(&self.query, text));
        }
        let hosts = match &self.hosts {
            Some(hosts) if hosts.get_ref().is_empty() => {
                let text = "`hosts` is empty, so no host asks the file; leave it out for all";
                return Err(problem(hosts, text));
            }
            Some(hosts) => hosts.get_ref().iter().map(|text| HostSelector::parse(text)).collect(),
            None => vec![HostSelector::Name("*".to_string())],
        };
        let on_error = match &self.on_error {
            None => OnError::Keep,
            Some(word) => match word.get_ref().as_str() {
                "keep" => OnError::Keep,
                "drop" => OnError::Drop,
                other => {
                    let text = format!("`{other}` is no answer to a failure; write \"keep\" or \"drop\"");
                    return Err(problem(word, text));
                }
            },
        };
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(is_digit);
        if let Some(wrong) = self.sha256.as_ref().filter(|written| !is_digest(written.get_ref())) {
            let text = "`sha256` is what sha256sum prints of the file: 64 small hexadecimal digits";
            return Err(problem(wrong, text));
        }
        let sha256 = self.sha256.as_ref().map(|written| written.get_ref().clone());
        Ok(Rego { file: beside(self.file.get_ref()), query: query.clone(), hosts, on_error, sha256 })
    }
}

/// Is it a rule of the one package that there is?
fn is_query(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.strip_prefix("data.authkeys.").is_some_and(|name| {
        name.bytes().next().is_some_and(is_letter)
            && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn parse(text: &str) -> Result<Vec<Rego>, String> {
        let config = Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes());
        config.map(|config| config.rego).map_err(|error| error.to_string())
    }

    const ONE: &str = "[[policy.rego]]\nfile = 'db.rego'\nquery = 'data.authkeys.keep'\n";

    #[test]
    fn a_file_is_asked_on_its_hosts() {
        assert_eq!(parse(""), Ok(vec![]));
        let one = &parse(ONE).unwrap()[0];
        assert_eq!((one.file.as_path(), one.on_error), (Path::new("/etc/authkeys/db.rego"), OnError::Keep));
        let host = |name: &str, label: &str| Host { name: name.to_string(), labels: vec![label.to_string()] };
        assert!(one.covers(&host("web1", "")));
        let some = &parse(&format!("{ONE}hosts = ['db*', 'label:role=db']\non_error = 'drop'\n")).unwrap()[0];
        assert_eq!(some.on_error, OnError::Drop);
        assert!(some.covers(&host("db1", "")) && some.covers(&host("web1", "role=db")));
        assert!(!some.covers(&host("web1", "role=web")));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (old, new, expected) in [
            ("'db.rego'", "''", "2: `file` is empty"),
            ("'data.authkeys.keep'", "'keep'", "3: `keep` is no query; write data.authkeys.NAME"),
            ("'data.authkeys.keep'", "'data.authkeys.'", "3: `data.authkeys.` is no query"),
            ("'data.authkeys.keep'", "'data.authkeys.1a'", "3: `data.authkeys.1a` is no query"),
            ("query = 'data.authkeys.keep'\n", "", "1: missing field `query`"),
            ("query", "hosts = []\nquery", "3: `hosts` is empty"),
            ("query", "on_error = 'deny'\nquery", "3: `deny` is no answer"),
            ("query", "sha256 = 'AB'\nquery", "3: `sha256` is what sha256sum prints"),
            ("query", "ttl = '1h'\nquery", "3: unknown key `ttl`"),
        ] {
            let error = parse(&ONE.replace(old, new)).unwrap_err();
            assert!(error.starts_with(&format!("/etc/authkeys/config.toml:{expected}")), "{new}: {error}");
        }
        let error = parse(&ONE.repeat(17)).unwrap_err();
        assert!(error.starts_with("/etc/authkeys/config.toml:50: more than 16"), "{error}");
    }
}
