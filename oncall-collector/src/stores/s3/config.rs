//! `[store.s3]` of collector.toml.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Debian's bundle of authorities; other systems name theirs in `ca_file`.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A bucket, and the names below which it is published there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// `https://HOST[:PORT]`.
    pub endpoint: String,
    /// The region that signatures name.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What all names begin with: empty, or ends with a slash.
    pub prefix: String,
    /// Who writes: one line `ACCESS_KEY_ID:SECRET_ACCESS_KEY`.
    pub credentials_file: PathBuf,
    /// The authorities that may vouch for the endpoint.
    pub ca_file: PathBuf,
}

/// The section as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Section {
    endpoint: String,
    region: String,
    bucket: String,
    #[serde(default)]
    prefix: String,
    credentials_file: PathBuf,
    ca_file: Option<PathBuf>,
}

impl fmt::Display for S3Config {
    /// The address below which its names are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.endpoint, self.bucket, self.prefix)
    }
}

impl S3Section {
    /// What it means; names of files are made whole by `beside`.
    ///
    /// # Errors
    /// Text that says what does not hold.
    pub fn check(&self, beside: impl Fn(&Path) -> PathBuf) -> Result<S3Config, String> {
        let is_all = |text: &str, more: &[u8]| {
            text.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte))
        };
        let endpoint = self.endpoint.trim_end_matches('/');
        let host = endpoint.strip_prefix("https://").unwrap_or_default();
        if host.is_empty() || !is_all(host, b".-:[]") {
            return Err(format!("`endpoint` is not https:// and a host: `{}`", self.endpoint));
        }
        if self.region.is_empty() || !is_all(&self.region, b"-") {
            return Err(format!("`region` is not one as eu-central-1: `{}`", self.region));
        }
        // Amazon's rules for names of buckets; they keep slashes out as well.
        if !(3..=63).contains(&self.bucket.len()) || !is_all(&self.bucket, b".-") {
            return Err(format!("`bucket` is no name of a bucket: `{}`", self.bucket));
        }
        let steps: Vec<&str> = self.prefix.split('/').collect();
        let is_step = |step: &&str| !matches!(*step, "" | "." | "..") && is_all(step, b"._-");
        if !self.prefix.is_empty() && !steps.iter().all(is_step) {
            return Err(format!(
                "`prefix` is not names with slashes between, in small letters: `{}`",
                self.prefix
            ));
        }
        Ok(S3Config {
            endpoint: endpoint.to_string(),
            region: self.region.clone(),
            bucket: self.bucket.clone(),
            prefix: if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) },
            credentials_file: beside(&self.credentials_file),
            ca_file: beside(self.ca_file.as_deref().unwrap_or(Path::new(AUTHORITIES))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<S3Config, String> {
        let section: S3Section = toml::from_str(text).map_err(|error| error.message().to_string())?;
        section.check(|file| Path::new("/etc/authkeys").join(file))
    }

    const GOOD: &str = "endpoint = 'https://s3.eu-central-1.amazonaws.com'\nregion = 'eu-central-1'\n\
                        bucket = 'authkeys-fleet'\ncredentials_file = 's3'\n";

    #[test]
    fn a_bucket_is_named_by_what_goes_into_an_address_as_it_is() {
        let config = check(GOOD).unwrap();
        assert_eq!(config.to_string(), "https://s3.eu-central-1.amazonaws.com/authkeys-fleet/");
        assert_eq!(config.credentials_file, Path::new("/etc/authkeys/s3"));
        let below = check(&format!("{GOOD}prefix = 'prod/one'\nca_file = 'ca'\n")).unwrap();
        assert!(below.to_string().ends_with("/authkeys-fleet/prod/one/"), "{below}");
        assert_eq!(below.ca_file, Path::new("/etc/authkeys/ca"));
        for (from, to, problem) in [
            ("https://s3", "http://s3", "`endpoint`"),
            ("amazonaws.com", "amazonaws.com/path", "`endpoint`"),
            ("https://s3", "https://user@s3", "`endpoint`"),
            ("'eu-central-1'", "'EU'", "`region`"),
            ("authkeys-fleet", "a/b", "`bucket`"),
            ("authkeys-fleet", "ab", "`bucket`"),
            ("bucket =", "prefix = '/x'\nbucket =", "`prefix`"),
            ("bucket =", "prefix = 'x/../y'\nbucket =", "`prefix`"),
            ("bucket =", "prefix = 'x/'\nbucket =", "`prefix`"),
            ("credentials_file", "secret", "unknown field"),
        ] {
            let found = check(&GOOD.replace(from, to)).unwrap_err();
            assert!(found.contains(problem), "{to}: {found}");
        }
    }
}
