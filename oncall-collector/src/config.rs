//! `/etc/authkeys/collector.toml`: which fleet, who signs, where it is published. Read by this program alone.
//!
//! As config.toml: root's file, a key that is not known is an error with its line. What is copied, and from where, is in
//! config.toml beside it, which the two syncs read.

use std::fmt;
use std::path::{Path, PathBuf};

use host::{FileError, toml_file};
use policy::Span;
use serde::Deserialize;
use toml::Spanned;

use crate::hear::{HearConfig, HearSection};
use crate::stores::{S3Config, S3Section};

/// The most keys that sign one head: a document has no more signatures.
const MOST_KEYS: usize = 4;

/// The longest that a head may be valid: a host that was shown an old one takes it over until then.
const LONGEST_VALID: Span = Span::hours(7 * 24);

/// How much longer objects are kept than heads are valid: a host may be fetching them.
const FETCHING: Span = Span::hours(1);

/// What the administrator wrote, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from; relative names in it are beside it.
    pub path: PathBuf,
    /// The fleet's name, which each head has in it.
    pub fleet: String,
    /// The private keys that sign, at least one. By the first one a collector knows its own heads.
    pub signing_keys: Vec<PathBuf>,
    /// The list of those whose signatures count, as hosts have it.
    pub signers: PathBuf,
    /// For how long a host may take a head over.
    pub valid: Span,
    /// For how long an object stays after the last head that names it.
    pub keep: Span,
    /// How often a head is published if nothing changes.
    pub heartbeat: Span,
    /// Where it is published.
    pub store: StoreConfig,
    /// How webhooks are taken.
    pub hear: Option<HearConfig>,
    /// Where this collector keeps what it must not forget.
    pub state: PathBuf,
    /// Where it hands its sinks what is published, while it is the one who publishes.
    pub turn: PathBuf,
}

/// Where it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// A directory that a web server serves, or hosts mount.
    Directory(PathBuf),
    /// A bucket.
    S3(S3Config),
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => directory.display().fmt(f),
            Self::S3(bucket) => bucket.fmt(f),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    fleet: Spanned<String>,
    signing_keys: Option<Spanned<Vec<PathBuf>>>,
    signers: Option<PathBuf>,
    valid: Option<Spanned<String>>,
    keep: Option<Spanned<String>>,
    heartbeat: Option<Spanned<String>>,
    store: Spanned<StoreSection>,
    hear: Option<Spanned<HearSection>>,
    state: Option<PathBuf>,
    turn: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreSection {
    directory: Option<PathBuf>,
    s3: Option<S3Section>,
}

/// A complaint: where, in bytes, and what.
type Problem = (usize, String);

impl Config {
    /// Reads and checks `path`, which root alone may be able to write.
    ///
    /// # Errors
    /// It cannot be read, or a line of it does not hold.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::parse(path, &toml_file::read(path)?)
    }

    /// Checks `text` as the content of `path`; touches no file.
    ///
    /// # Errors
    /// The line that does not hold.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, FileError> {
        toml_file::checked(path, text, |file: File| file.check(path))
    }

    /// The configuration of the syncs on this host, and of what they write.
    pub fn syncs(&self) -> PathBuf {
        beside(&self.path, Path::new("config.toml"))
    }

    /// After how long without a publication another collector takes over.
    pub fn patience(&self) -> Span {
        Span::seconds(3 * self.heartbeat.as_seconds())
    }
}

/// Where the list of signers is unless the configuration `path` names another one.
pub fn signers_beside(path: &Path) -> PathBuf {
    beside(path, Path::new("fleet-signers"))
}

fn beside(path: &Path, name: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).join(name)
}

impl File {
    fn check(self, path: &Path) -> Result<Config, Problem> {
        let beside = |name: &Path| beside(path, name);
        let fleet = self.fleet.get_ref().clone();
        if !policy::is_site_name(&fleet) {
            let text = format!("`{fleet}` is no name of a fleet; write up to 64 letters, digits, . _ and -");
            return Err((self.fleet.span().start, text));
        }
        let heartbeat = length(self.heartbeat.as_ref(), "30s", [Span::seconds(5), Span::hours(1)])?;
        let longest_beat = Span::seconds(10 * heartbeat.as_seconds());
        let valid = length(self.valid.as_ref(), "6h", [longest_beat, LONGEST_VALID])?;
        let shortest_keep = Span::seconds(valid.as_seconds() + FETCHING.as_seconds());
        let keep = length(self.keep.as_ref(), "7d", [shortest_keep, Span::hours(400 * 24)])?;
        let hear = (self.hear.as_ref())
            .map(|hear| hear.get_ref().check(beside).map_err(|text| (hear.span().start, text)))
            .transpose()?;
        let (at, state) = (
            self.store.span().start,
            beside(&self.state.unwrap_or_else(|| "/var/lib/oncall-collector".into())),
        );
        let store = self.store.get_ref().check(beside).map_err(|text| (at, text))?;
        if store == StoreConfig::Directory(state.clone()) {
            let text = "the store is this collector's own `state`, which hosts must not read; make it another directory";
            return Err((at, text.to_string()));
        }
        Ok(Config {
            path: path.to_path_buf(),
            fleet,
            signing_keys: signing_keys(self.signing_keys)?.iter().map(|name| beside(name)).collect(),
            signers: self.signers.as_deref().map_or_else(|| signers_beside(path), beside),
            valid,
            keep,
            heartbeat,
            store,
            hear,
            state,
            turn: beside(&self.turn.unwrap_or_else(|| "/run/oncall-collector".into())),
        })
    }
}

impl StoreSection {
    fn check(&self, beside: impl Fn(&Path) -> PathBuf) -> Result<StoreConfig, String> {
        match (&self.directory, &self.s3) {
            (Some(directory), None) => Ok(StoreConfig::Directory(beside(directory))),
            (None, Some(bucket)) => bucket.check(beside).map(StoreConfig::S3),
            (Some(_), Some(_)) => Err("[store] names a directory and a bucket; write one of them".into()),
            (None, None) => {
                Err("[store] says nowhere to publish; write `directory = \"/srv/authkeys-fleet\"`".into())
            }
        }
    }
}

fn signing_keys(written: Option<Spanned<Vec<PathBuf>>>) -> Result<Vec<PathBuf>, Problem> {
    let Some(written) = written else { return Ok(vec!["fleet-key".into()]) };
    let at = written.span().start;
    match written.into_inner() {
        keys if keys.is_empty() => Err((at, "`signing_keys` is empty; hosts take no head unsigned".into())),
        keys if keys.len() > MOST_KEYS => {
            Err((at, format!("`signing_keys` has more than {MOST_KEYS} files")))
        }
        keys => Ok(keys),
    }
}

/// A length of time from `least` to `most`.
fn length(
    written: Option<&Spanned<String>>,
    default: &str,
    [least, most]: [Span; 2],
) -> Result<Span, Problem> {
    let at = written.map_or(0, |written| written.span().start);
    let text = written.map_or(default, |written| written.get_ref());
    let length = host::config::duration(text).map_err(|problem| (at, problem.to_string()))?;
    if length < least || length > most {
        return Err((at, format!("{length} is out of range here; it must be {least} to {most}")));
    }
    Ok(length)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LEAST: &str = "fleet = 'example'\n[store]\ndirectory = '/srv/fleet'\n";

    /// The settings of a section, which its reader lists when it complains of one that it does not know.
    pub(crate) fn settings<Section: serde::de::DeserializeOwned>() -> BTreeSet<String> {
        let complaint = toml::from_str::<Section>("nothing_of_ours = 1").err().expect("a complaint");
        let (_, known) = complaint.message().split_once("expected").expect("what is known");
        known.split('`').skip(1).step_by(2).map(str::to_string).collect()
    }

    /// Sees that the table of each section in docs/configuration.md has a row for each of its settings and no other, and
    /// that the example has them.
    pub(crate) fn are_told<const SECTIONS: usize>(
        example: &str,
        sections: [(&str, BTreeSet<String>); SECTIONS],
    ) {
        let page = include_str!("../../docs/configuration.md");
        for (head, known) in sections {
            let table = page.split_once(&format!("\n| {head} | default | meaning |\n")).expect(head).1;
            let table = table.split_once("\n\n").map_or(table, |(table, _)| table);
            let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
            assert_eq!(rows.map(str::to_string).collect::<BTreeSet<_>>(), known, "{head}");
            for name in known {
                assert!(example.contains(&name), "the example has no {name}");
            }
        }
    }

    #[test]
    fn each_setting_has_a_row_in_the_page_and_is_in_the_example() {
        let sections = [
            ("collector.toml", settings::<File>()),
            ("`[store]` of collector.toml", settings::<StoreSection>()),
            ("`[store.s3]` of collector.toml", settings::<S3Section>()),
            ("`[hear]` of collector.toml", settings::<HearSection>()),
        ];
        are_told(include_str!("../../packaging/examples/collector.toml"), sections);
    }

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/authkeys/collector.toml"), text.as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn little_needs_to_be_written() {
        let config = parse(LEAST).unwrap();
        assert_eq!((config.valid, config.heartbeat), (Span::hours(6), Span::seconds(30)));
        assert_eq!(config.signing_keys, [Path::new("/etc/authkeys/fleet-key")]);
        assert_eq!(config.signers, Path::new("/etc/authkeys/fleet-signers"));
        assert_eq!(config.store, StoreConfig::Directory("/srv/fleet".into()));
        assert_eq!(config.syncs(), Path::new("/etc/authkeys/config.toml"));
        assert_eq!(config.patience(), Span::seconds(90));
    }

    #[test]
    fn what_does_not_hold_is_an_error_with_its_line() {
        let with = |line: &str| format!("fleet = 'example'\n{line}\n[store]\ndirectory = '/srv/fleet'\n");
        for (text, wrong) in [
            (with("valld = '1h'"), ":2: unknown key `valld`; did you mean `valid`?"),
            (with("valid = '1m'"), ":2: 1m is out of range here; it must be 5m to 7d"),
            (with("valid = '1m'\nheartbeat = '5s'"), ""),
            (with("keep = '6h'"), ":2: 6h is out of range here; it must be 7h to 400d"),
            (
                with("heartbeat = '1'"),
                ":2: `1` is not a duration; write a whole number and s, m, h or d: \"90s\", \"6h\"",
            ),
            (
                with("[hear]\nlisten = '0.0.0.0:1'\nsecret_files = ['a']"),
                ":2: `listen` = 0.0.0.0:1 is not the loopback; let the site's proxy pass webhooks on",
            ),
            (
                LEAST.replace("/srv/fleet", "/var/lib/oncall-collector"),
                ":2: the store is this collector's own `state`, which hosts must not read; make it another directory",
            ),
            (with("signing_keys = []"), ":2: `signing_keys` is empty; hosts take no head unsigned"),
            (with("signing_keys = ['a', 'b', 'c', 'd', 'e']"), ":2: `signing_keys` has more than 4 files"),
            (
                LEAST.replace("'example'", "'An example'"),
                ":1: `An example` is no name of a fleet; write up to 64 letters, digits, . _ and -",
            ),
            (
                LEAST.replace("directory", "direktory"),
                ":3: unknown key `direktory`; did you mean `directory`?",
            ),
            (
                LEAST.replace("directory = '/srv/fleet'", ""),
                ":2: [store] says nowhere to publish; write `directory = \"/srv/authkeys-fleet\"`",
            ),
        ] {
            match parse(&text) {
                Ok(_) => assert_eq!(wrong, "", "{text}"),
                Err(problem) => assert_eq!(problem, format!("/etc/authkeys/collector.toml{wrong}"), "{text}"),
            }
        }
    }
}
