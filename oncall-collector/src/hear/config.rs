//! `[hear]` of collector.toml.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where it listens unless the file says otherwise.
const LISTEN: &str = "127.0.0.1:9461";

/// The most secrets: the one in use and its successor, for two subscriptions.
const MOST_SECRETS: usize = 4;

/// Where webhooks come in, and what signs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HearConfig {
    /// The address; the site's proxy passes on to it what comes from outside.
    pub listen: SocketAddr,
    /// A file for each secret that may have signed a webhook.
    pub secret_files: Vec<PathBuf>,
}

/// The section as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HearSection {
    listen: Option<String>,
    secret_files: Vec<PathBuf>,
}

impl HearSection {
    /// What it means; names of files are made whole by `beside`.
    ///
    /// # Errors
    /// Text that says what does not hold.
    pub fn check(&self, beside: impl Fn(&Path) -> PathBuf) -> Result<HearConfig, String> {
        let listen = self.listen.as_deref().unwrap_or(LISTEN);
        let address: SocketAddr = listen
            .parse()
            .map_err(|_| format!("`listen` is no address and port: `{listen}`; write \"{LISTEN}\""))?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "`listen` = {listen} is not the loopback; let the site's proxy pass webhooks on"
            ));
        }
        if !(1..=MOST_SECRETS).contains(&self.secret_files.len()) {
            return Err(format!(
                "`secret_files` names one to {MOST_SECRETS} files, a webhook's secret in each"
            ));
        }
        Ok(HearConfig {
            listen: address,
            secret_files: self.secret_files.iter().map(|file| beside(file)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<HearConfig, String> {
        let section: HearSection = toml::from_str(text).map_err(|error| error.message().to_string())?;
        section.check(|file| Path::new("/etc/authkeys").join(file))
    }

    #[test]
    fn it_listens_on_the_loopback_and_has_a_secret() {
        let config = check("secret_files = ['webhook-secret', '/srv/next']").unwrap();
        assert_eq!(config.listen, "127.0.0.1:9461".parse().unwrap());
        assert_eq!(config.secret_files, [Path::new("/etc/authkeys/webhook-secret"), Path::new("/srv/next")]);
        assert_eq!(
            check("listen = '[::1]:80'\nsecret_files = ['a']").unwrap().listen,
            "[::1]:80".parse().unwrap()
        );
        for (text, problem) in [
            ("listen = '0.0.0.0:9461'\nsecret_files = ['a']", "not the loopback"),
            ("listen = '9461'\nsecret_files = ['a']", "no address and port"),
            ("secret_files = []", "one to 4 files"),
            ("secret_files = ['a', 'b', 'c', 'd', 'e']", "one to 4 files"),
            ("listen = '127.0.0.1:1'", "missing field"),
            ("secret_files = ['a']\nsecret = 'b'", "unknown field"),
        ] {
            let found = check(text).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
