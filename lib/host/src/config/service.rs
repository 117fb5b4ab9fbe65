//! How a service is reached that is asked over HTTPS: what [`services!`](crate::services) says that it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use policy::Span;

use super::kinds::Kind;

/// A service, and how it is reached.
#[derive(Debug, Clone)]
pub struct Service {
    /// Which one, and what it can do.
    pub kind: &'static Kind,
    /// `https://` and a host, perhaps with a path; never with a trailing slash.
    pub api: String,
    /// What is written in its own settings, by their names; one text where it is no list.
    pub texts: BTreeMap<&'static str, Vec<String>>,
    /// Its files with secrets, by the names of the settings.
    pub secrets: BTreeMap<&'static str, PathBuf>,
    /// PEM file with the certificate authorities that may vouch for the API.
    pub ca_file: PathBuf,
    /// Longest time that one sync of this source may take.
    pub timeout: Span,
    /// `http://host:port` of the proxy in between: that of `[oncall]`.
    pub proxy: Option<String>,
}

impl Service {
    /// What is written in a setting that is one text.
    pub fn text(&self, setting: &str) -> Option<&str> {
        self.texts(setting).first().map(String::as_str)
    }

    /// What is written in a setting that is a list.
    pub fn texts(&self, setting: &str) -> &[String] {
        self.texts.get(setting).map(Vec::as_slice).unwrap_or_default()
    }

    /// The file with the secret that a setting names.
    pub fn secret(&self, setting: &str) -> Option<&Path> {
        self.secrets.get(setting).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn what_has_a_form_is_checked_before_anybody_is_asked() {
        let parse = |lines: &str| {
            let text = format!(
                "[policy]\nmode = 'observe'\n[[oncall.source]]\nname = 's'\ntoken_file = 't'\n{lines}\n"
            );
            Config::parse(Path::new("/c.toml"), text.as_bytes()).map_err(|error| error.to_string())
        };
        let jsm = |id: &str| parse(&format!("provider = 'jsm'\naccount = 'a'\ncloud_id = '{id}'"));
        assert!(jsm("35273b54-3f06").is_ok());
        for id in ["", "a/b", "a b", "..", "a%2F"] {
            let error = jsm(id).expect_err(id);
            assert!(error.contains("8: cloud_id = `") && error.contains("letters, digits"), "{error}");
        }
        let grafana =
            |scheme: &str| parse(&format!("provider = 'grafana'\napi = 'https://h'\nscheme = '{scheme}'"));
        assert!(grafana("bearer").is_ok() && grafana("bare").is_ok());
        let error = grafana("Basic").unwrap_err();
        assert!(error.contains("8: scheme = `Basic`; write \"bearer\" or \"bare\""), "{error}");
    }
}
