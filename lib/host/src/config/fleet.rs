//! `[fleet]`: where what a collector publishes is read, and whose signature it needs.
//!
//! With it, a source with `provider = "fleet"` and `[directory] fleet = true` read this host's mirror of the store, and
//! the fleet's revocations count beside root's. Without it nothing of a fleet is looked at.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::Span;
use serde::Deserialize;
use toml::Spanned;

use super::directory::system_authorities;
use super::values::{Duration, Problem, problem};

/// What every part of the configuration that reads a fleet has of it.
pub type SharedFleet = Arc<Fleet>;

/// `[fleet]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The fleet's name: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub id: String,
    /// Where the store is, in the order in which it is asked: 1 to 8.
    pub urls: Vec<FleetUrl>,
    /// The file of those whose signatures count.
    pub signers: PathBuf,
    /// How many different signers must have signed: 1 to 4.
    pub signatures: usize,
    /// How old the newest head may be before people are warned.
    pub freshness: Span,
    /// Which count of publications this is: a head that is older than one of an earlier epoch may follow it.
    pub epoch: u64,
    /// PEM file with the certificate authorities that may vouch for the store.
    pub ca_file: PathBuf,
    /// File with a header, `Name: value`, that the store wants to see; a secret.
    pub header_file: Option<PathBuf>,
    /// `http://host:port` of the proxy in between: that of `[oncall]`.
    pub proxy: Option<String>,
    /// The age of the fleet's revocations from which on guarded logins are refused; `None`: none.
    pub revoked_age: Option<Span>,
    /// The directory of this host's mirror of the store: beside the roster.
    pub mirror: PathBuf,
    /// Which publication was taken over last. Beside the mirror: who clears that must not open this host to older ones.
    pub mark: PathBuf,
    /// This host's copy of the fleet's revocations: beside the roster.
    pub revoked: PathBuf,
}

impl Fleet {
    /// Has this host taken nothing of it over yet?
    pub fn is_unread(&self) -> bool {
        self.mark.try_exists().is_ok_and(|is_there| !is_there)
    }
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetUrl {
    /// `https://host/prefix`, without a slash at the end.
    Https(String),
    /// `file:///directory`: one of this host.
    Directory(PathBuf),
}

impl FleetUrl {
    /// The longest, in bytes.
    const LONGEST: usize = 1024;

    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > Self::LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a url has at most 1024 bytes, of visible ASCII");
        }
        if let Some(path) = text.strip_prefix("file://") {
            let plain = path.starts_with('/') && !path.contains(['%', '?', '#']);
            let path = Path::new(path);
            let up = path.components().any(|part| matches!(part, std::path::Component::ParentDir));
            let is_directory = plain && !up && path != Path::new("/");
            return is_directory
                .then(|| Self::Directory(path.to_path_buf()))
                .ok_or("a directory of this host is file:///path, without `%`, `..`, `?` and `#`");
        }
        let Some(rest) = text.strip_prefix("https://") else {
            return Err("a store is https://host/prefix, or file:///path for a directory of this host");
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() || rest.ends_with('/') || rest.contains(['@', '?', '#', '\\', '"']) {
            return Err("a store is https://host/prefix without a name, a query and a slash at the end");
        }
        Ok(Self::Https(text.to_string()))
    }
}

impl fmt::Display for FleetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(url) => f.write_str(url),
            Self::Directory(path) => write!(f, "file://{}", path.display()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FleetSection {
    id: Spanned<String>,
    urls: Spanned<Vec<Spanned<String>>>,
    signers: Option<PathBuf>,
    signatures: Option<Spanned<usize>>,
    freshness: Option<Spanned<Duration>>,
    #[serde(default)]
    epoch: u64,
    ca_file: Option<PathBuf>,
    header_file: Option<PathBuf>,
    revoked_age: Option<Spanned<Duration>>,
}

/// The file of signers, where the configuration names none.
pub(super) const SIGNERS: &str = "fleet-signers";

/// The most urls: each that fails costs time.
const MOST_URLS: usize = 8;

/// The most signatures under a head.
const MOST_SIGNATURES: usize = 4;

/// The shortest and the longest `freshness`: pulls are half a minute apart, and a store that answers nothing for an hour
/// is worth a warning whatever is configured.
const FRESHNESS: (Span, Span) = (Span::seconds(30), Span::hours(1));

impl FleetSection {
    /// `path` is the configuration's; `roster` the file beside which the mirror is.
    pub(super) fn check(
        section: Spanned<Self>,
        beside: &impl Fn(&Path) -> PathBuf,
        (path, roster): (&Path, &Path),
        proxy: Option<&String>,
    ) -> Result<SharedFleet, Problem> {
        let revoked = roster.with_file_name("revoked");
        if revoked == crate::revoked::FILE.beside(path) {
            let text = "the fleet's revocations would be kept in the file of root's; set `roster` in [paths] to another directory";
            return Err(problem(&section, text));
        }
        let this = section.into_inner();
        let id = this.id.get_ref();
        if !policy::is_site_name(id) {
            return Err(problem(&this.id, "`id` is 1 to 64 letters, digits, `.`, `_` and `-`"));
        }
        let freshness = this.freshness()?;
        Ok(Arc::new(Fleet {
            id: id.clone(),
            urls: this.urls()?,
            signatures: this.signatures()?,
            freshness,
            revoked_age: this.revoked_age(freshness)?,
            signers: beside(this.signers.as_deref().unwrap_or(Path::new(SIGNERS))),
            epoch: this.epoch,
            ca_file: beside(&this.ca_file.unwrap_or_else(system_authorities)),
            header_file: this.header_file.as_deref().map(beside),
            proxy: proxy.cloned(),
            mirror: roster.with_file_name("fleet"),
            mark: roster.with_file_name("fleet.mark"),
            revoked,
        }))
    }

    fn urls(&self) -> Result<Vec<FleetUrl>, Problem> {
        if !(1..=MOST_URLS).contains(&self.urls.get_ref().len()) {
            return Err(problem(&self.urls, format!("`urls` names 1 to {MOST_URLS} places of one store")));
        }
        let parse = |url: &Spanned<String>| {
            FleetUrl::parse(url.get_ref()).map_err(|why| problem(url, format!("`{}`: {why}", url.get_ref())))
        };
        self.urls.get_ref().iter().map(parse).collect()
    }

    fn signatures(&self) -> Result<usize, Problem> {
        match &self.signatures {
            Some(written) if !(1..=MOST_SIGNATURES).contains(written.get_ref()) => {
                Err(problem(written, format!("`signatures` is 1 to {MOST_SIGNATURES}")))
            }
            written => Ok(written.as_ref().map_or(1, |written| *written.get_ref())),
        }
    }

    fn freshness(&self) -> Result<Span, Problem> {
        let Some(written) = &self.freshness else { return Ok(Span::seconds(60)) };
        let (freshness, (least, most)) = (written.get_ref().0, FRESHNESS);
        if freshness < least || freshness > most {
            return Err(problem(written, format!("`freshness` is {least} to {most}")));
        }
        Ok(freshness)
    }

    fn revoked_age(&self, freshness: Span) -> Result<Option<Span>, Problem> {
        let Some(written) = &self.revoked_age else { return Ok(None) };
        let least = Span::seconds(2 * freshness.as_seconds());
        if written.get_ref().0 < least {
            let text = format!(
                "`revoked_age` is at least twice `freshness` ({least}), or one late pull refuses everybody"
            );
            return Err(problem(written, text));
        }
        Ok(Some(written.get_ref().0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::config::{Directory, KeysSource, Provider};

    const FLEET: &str = "[fleet]\nid = 'example'\nurls = ['https://store.example.com/authkeys']\n";
    const SOURCE: &str = "[[oncall.source]]\nname = 'pd'\nprovider = 'fleet'\nschedules = ['PDB0001']\n";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn two_lines_are_a_fleet() {
        let config = parse(&format!("{FLEET}{SOURCE}[directory]\nfleet = true\n")).unwrap();
        let fleet = config.fleet.as_deref().unwrap();
        assert_eq!((fleet.signatures, fleet.freshness, fleet.epoch), (1, Span::seconds(60), 0));
        assert_eq!(fleet.signers, Path::new("/etc/authkeys/fleet-signers"));
        assert_eq!(fleet.mirror, Path::new("/var/lib/oncall-cache/fleet"));
        assert_eq!(fleet.mark, Path::new("/var/lib/oncall-cache/fleet.mark"));
        assert_eq!(fleet.revoked, Path::new("/var/lib/oncall-cache/revoked"));
        assert_eq!((fleet.revoked_age, &fleet.header_file, &fleet.proxy), (None, &None, &None));
        assert!(matches!(&config.oncall.sources[0].provider, Provider::Fleet(same) if **same == *fleet));
        assert!(matches!(&config.directory, Some(Directory::Fleet(same)) if **same == *fleet));
        // Nobody is asked at a login, so what is copied counts as long as it may.
        assert_eq!((config.keys.source, config.keys.cache_ttl), (KeysSource::Copy, config.keys.max_age));
        assert!(config.oncall.sources[0].guards.allow_empty);
        assert!(parse("").unwrap().fleet.is_none());
        assert!(parse(&format!("{FLEET}[directory]\nfleet = false\nfile = 'people.toml'\n")).is_ok());
    }

    #[test]
    fn a_fleets_store_is_a_web_server_or_a_directory() {
        let url = |text: &str| FleetUrl::parse(text).map(|url| url.to_string());
        for good in ["https://h", "https://h:8443/a/b", "https://[::1]:1/x", "file:///srv/fleet"] {
            assert_eq!(url(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "http://h",
            "https://",
            "https:///x",
            "https://h/",
            "https://u@h",
            "https://h?x",
            "https://h/#x",
            "https://h /",
            "https://h\u{e9}",
            "file://srv",
            "file:///",
            "file:///a/../b",
            "file:///a%20b",
            "file:relative",
            "ftp://h",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
        assert!(url(&format!("https://{}", "h".repeat(1024))).is_err());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let all = format!("{FLEET}{SOURCE}[directory]\nfleet = true\n");
        for (old, new, expected) in [
            ("'example'", "'an example'", "2: `id` is 1 to 64 letters"),
            ("'example'", "''", "2: `id` is 1 to 64 letters"),
            ("['https:", "['http:", "3: `http://store.example.com/authkeys`: a store is https://host/prefix"),
            ("['https://store.example.com/authkeys']", "[]", "3: `urls` names 1 to 8 places of one store"),
            ("id =", "signatures = 0\nid =", "2: `signatures` is 1 to 4"),
            ("id =", "signatures = 5\nid =", "2: `signatures` is 1 to 4"),
            ("id =", "freshness = '5s'\nid =", "2: `freshness` is 30s to 1h"),
            ("id =", "freshness = '2h'\nid =", "2: `freshness` is 30s to 1h"),
            ("id =", "revoked_age = '90s'\nid =", "2: `revoked_age` is at least twice `freshness` (2m)"),
            ("id =", "epoch = -1\nid =", "2: "),
            ("id =", "token_file = 't'\nid =", "2: unknown key `token_file`"),
            (FLEET, "", "3: provider `fleet` needs [fleet]"),
            ("provider", "token_file = 't'\nprovider", "7: provider `fleet` has no setting `token_file`"),
            ("provider", "file = 't'\nprovider", "7: provider `fleet` has no setting `file`"),
            ("provider", "allow_empty = false\nprovider", "7: provider `fleet` has no setting `allow_empty`"),
            ("provider", "max_change = '9%'\nprovider", "7: provider `fleet` has no setting `max_change`"),
            ("provider", "people = { X = 'bob' }\nprovider", "7: provider `fleet` has no setting `people`"),
            ("schedules = ['PDB0001']", "", "4: source `pd` needs `schedules`"),
            ("schedules = ['PDB0001']", "schedules = []", "4: source `pd` needs `schedules`"),
            (
                "[directory]",
                "[paths]\nroster = 'roster.db'\n[directory]",
                "1: the fleet's revocations would be kept",
            ),
            (
                "[directory]",
                "[keys]\nsource = 'live'\n[directory]",
                "9: `source = \"live\"` asks a directory at each login",
            ),
            ("[directory]", "[keys]\ncache_ttl = '5m'\n[directory]", "9: `cache_ttl` only applies where"),
        ] {
            assert!(all.contains(old), "{old}");
            let error = parse(&all.replacen(old, new, 1)).unwrap_err();
            assert!(error.starts_with(&format!("/etc/authkeys/config.toml:{expected}")), "{new}: {error}");
        }
        let error = parse("[directory]\nfleet = true\n").unwrap_err();
        assert!(error.contains(":2: `fleet = true` needs [fleet]"), "{error}");
    }

    #[test]
    fn a_directory_of_the_fleet_has_no_setting_but_that() {
        for (setting, line) in [
            ("file = 'people.toml'", 6),
            ("urls = ['ldaps://a']", 6),
            ("srv_hosts = ['a']", 6),
            ("base = 'dc=x'", 6),
            ("bind = 'simple'", 6),
            ("bind_dn = 'cn=x'", 6),
            ("bind_password_file = 'p'", 6),
            ("client_cert_file = 'c'", 6),
            ("client_key_file = 'k'", 6),
            ("ca_file = 'c'", 6),
            ("filter = '(a=b)'", 6),
            ("eligible_group = 'cn=g'", 6),
            ("eligible_group_by = 'member'", 6),
            ("nested_groups = false", 6),
            ("referrals = 'refuse'", 6),
            ("disabling_locks = 'any'", 6),
            ("timeout = '5s'", 6),
            ("full_refresh = '5h'", 6),
            ("max_removed = '9%'", 6),
            ("[directory.attributes]\nuser = 'x'", 6),
            ("[directory.disabled]\ntitle = ['x']", 7),
        ] {
            let error = parse(&format!("{FLEET}[directory]\nfleet = true\n{setting}\n")).unwrap_err();
            let name = setting.trim_start_matches("[directory.").split([' ', ']']).next().unwrap();
            let expected = format!("config.toml:{line}: `{name}` beside `fleet = true`");
            assert!(error.contains(&expected), "{setting}: {error}");
        }
    }
}
