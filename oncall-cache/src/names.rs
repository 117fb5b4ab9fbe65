//! Names in the configuration that do not exist on this host: reported by `config check` and the doctor, with what was
//! probably meant.
//!
//! Nothing of it is an error: an account may be made later, on another host, or be known to a directory that is down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use host::config::references::{Kind, Reference, references};
use host::config::{Directory, KeysSource, Provider, Source};
use host::toml_file::nearest;
use host::{Config, accounts};
use policy::Timestamp;

use trust::Owner;

use crate::sync;
use sources::fetch;
use sources::rota::Rota;

/// Hears what is being waited for.
pub type Progress<'a> = &'a dyn Fn(fmt::Arguments<'_>);

/// A name that does not exist, or can have no effect.
#[derive(Debug, PartialEq, Eq)]
pub struct Remark {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: warning: {}", self.line, self.text)
    }
}

/// Looks up every name in `text`, which is that of `config`; `progress` hears which source is asked meanwhile.
pub fn remarks(config: &Config, text: &[u8], now: Timestamp, progress: Progress<'_>) -> Vec<Remark> {
    let known = Known::read(config, now, progress);
    let all = references(text);
    let remark = |one: &Reference| Some(Remark { line: one.line, text: known.trouble(config, one)? });
    all.iter().filter_map(remark).collect()
}

/// What there is on this host; `None` where that cannot be told.
struct Known {
    accounts: BTreeSet<String>,
    groups: BTreeSet<String>,
    people: Option<BTreeSet<String>>,
    /// Schedules of each source that can be looked at without asking anybody.
    schedules: Vec<(String, BTreeSet<String>)>,
    /// Users of each source, as the last sync met them; all of them, where a file tells.
    users: BTreeMap<String, Users>,
}

/// Users of a source.
struct Users {
    known: BTreeSet<String>,
    /// Are there no others?
    are_all: bool,
}

impl Users {
    fn of(config: &Config, source: &Source) -> Self {
        if let Provider::Rota(path) = &source.provider
            && let Some(known) = Rota::people(path)
        {
            return Self { known, are_all: true };
        }
        let met = store::roster::mappings(&config.paths.roster).unwrap_or_default();
        let ours = met.into_iter().filter(|mapping| mapping.source == source.name);
        Self { known: ours.map(|mapping| mapping.user).collect(), are_all: false }
    }

    /// Why `key` in the table of `source` names nobody, or looks as if it did.
    fn trouble(&self, source: &Source, key: &str) -> Option<String> {
        if self.known.contains(key) {
            return None;
        }
        let provider = source.provider.kind().label;
        let folded = key.to_ascii_lowercase();
        if let Some(meant) = self.known.iter().find(|known| known.to_ascii_lowercase() == folded) {
            return Some(format!(
                "not a user of source `{}`: ids are compared exactly; did you mean `{meant}`?",
                source.name
            ));
        }
        let is_plain = !key.is_empty() && key.chars().all(policy::is_printable);
        match &source.provider {
            _ if !is_plain => Some("not an id of a user: it is empty or cannot be printed".to_string()),
            Provider::PagerDuty(_) if key.contains('@') => Some(format!(
                "a mail address, not an id of {provider}, so it never matches; as root, `oncall-cache identities` lists ids"
            )),
            // They are capitals and digits in all that the API's documentation shows.
            Provider::PagerDuty(_)
                if !key.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) =>
            {
                Some(format!(
                    "not an id of {provider}, which has capitals and digits, so it never matches; as root, `oncall-cache identities` lists ids"
                ))
            }
            _ if self.are_all => {
                let meant = close(key, &self.known).map(|known| format!("; did you mean `{known}`?"));
                Some(format!("not a user of source `{}`{}", source.name, meant.unwrap_or_default()))
            }
            _ => close(key, &self.known).map(|known| {
                format!("not a user that source `{}` has sent; did you mean `{known}`?", source.name)
            }),
        }
    }
}

impl Known {
    fn read(config: &Config, now: Timestamp, progress: Progress<'_>) -> Self {
        let copies_all = matches!(config.directory, Some(Directory::File(_)))
            || matches!(config.keys.source, KeysSource::Copy);
        let people = sync::read_names(config, now).filter(|_| copies_all);
        Self {
            accounts: names_in("/etc/passwd"),
            groups: host::accounts::groups(&fs::read("/etc/group").unwrap_or_default())
                .map(|group| String::from_utf8_lossy(group.name).into_owned())
                .collect(),
            people: people.map(|names| names.into_iter().collect()),
            schedules: (config.oncall.sources.iter())
                .filter_map(|source| Some((source.name.clone(), schedules(config, source, now, progress)?)))
                .collect(),
            users: (config.oncall.sources.iter())
                .map(|source| (source.name.clone(), Users::of(config, source)))
                .collect(),
        }
    }

    fn trouble(&self, config: &Config, one: &Reference) -> Option<String> {
        let Reference { kind, name, setting, .. } = one;
        let is_exempt = || config.rules.exempts(name);
        match kind {
            Kind::Account if *setting == "[[policy.shared_account]] account" && is_exempt() => Some(format!(
                "{setting}: `{name}` is in policy.exempt_accounts: authkeys prints no keys for it, and nobody is refused"
            )),
            // Other services that know accounts, such as sssd, are asked as well.
            Kind::Account if accounts::facts(name, &[]).uid.is_some() => None,
            Kind::Account => Some(told(setting, "account of this host", name, &self.accounts)),
            // `sudo` or `wheel` is missing on every host: only what looks like a slip is told.
            Kind::Group if self.groups.contains(name) => None,
            Kind::Group => {
                close(name, &self.groups).map(|_| told(setting, "group of this host", name, &self.groups))
            }
            Kind::Person => {
                let people = self.people.as_ref().filter(|people| !people.contains(name))?;
                Some(told(setting, "person of the directory", name, people))
            }
            // By grant-signers, which `approvers` reads.
            Kind::Signer | Kind::Reviewer => None,
            Kind::Schedule => {
                let (source, id) = name.split_once('/')?;
                let (_, known) = self.schedules.iter().find(|(name, _)| name == source)?;
                let what = format!("schedule of source `{source}`");
                (!known.contains(id)).then(|| told(setting, &what, id, known))
            }
            Kind::User => {
                let (source, key) = name.split_once('/')?;
                let source = config.oncall.sources.iter().find(|known| known.name == source)?;
                let trouble = self.users.get(&source.name)?.trouble(source, key)?;
                Some(format!("{setting}: `{key}` is {trouble}"))
            }
            Kind::Zone => sources::zones::trouble(name).map(|trouble| format!("{setting}: {trouble}")),
            Kind::Store => store_trouble(name).map(|trouble| format!("{setting}: {trouble}")),
            Kind::File | Kind::Secret => {
                let trouble = file_trouble(&config.path, name, *kind == Kind::Secret)?;
                Some(format!("{setting}: {trouble}"))
            }
        }
    }
}

/// Files that `config`, of the text `text`, names and that those who have to cannot read: by owner and mode, where it is in
/// its place and no draft; and secrets that are not there. The doctor looks at these by itself.
pub fn unreadable(config: &Config, text: &[u8]) -> Vec<Remark> {
    let is_in_place = trust::open(&config.path, Owner::Root).is_ok();
    let judged = if is_in_place { doctor::unreadable(config) } else { BTreeMap::new() };
    let beside = config.path.parent().unwrap_or(Path::new("/"));
    let trouble = |one: &Reference| {
        let path = beside.join(&one.name);
        let can_be_there = Path::new(&one.name).is_absolute() || config.path.is_file();
        let is_missing = can_be_there && path.try_exists().is_ok_and(|is_there| !is_there);
        match one.kind {
            Kind::Secret if is_missing => Some(format!(
                "there is no {}, unless systemd passes it to the unit (LoadCredential=)",
                path.display()
            )),
            Kind::File | Kind::Secret => {
                judged.get(&path).map(|what| format!("{} is {what}", path.display()))
            }
            _ => None,
        }
    };
    let remark = |one: &Reference| {
        Some(Remark { line: one.line, text: format!("{}: {}", one.setting, trouble(one)?) })
    };
    references(text).iter().filter_map(remark).collect()
}

/// Why a url of a store is hardly meant: hosts ask for `/head` and `/o/…` below it.
fn store_trouble(url: &str) -> Option<String> {
    let end = ["/head", "/o"].into_iter().find(|end| url.ends_with(end))?;
    Some(format!("{url} ends in {end}, which hosts add by themselves; leave that out"))
}

/// What the units of the syncs do not see: ProtectHome= and PrivateTmp= of systemd.exec(5).
const UNSEEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Why a sync will not find a file. What comes from standard input is beside nothing.
fn file_trouble(config: &Path, name: &str, is_secret: bool) -> Option<String> {
    let is_absolute = Path::new(name).is_absolute();
    let directory = std::path::absolute(config.parent()?).ok()?;
    let path = normalised(&directory.join(name));
    // A draft is looked at wherever it is, with what it names beside it.
    let is_unseen =
        |unseen: &&str| path.starts_with(unseen) && (is_absolute || !directory.starts_with(unseen));
    if UNSEEN.iter().any(is_unseen) {
        return Some(format!(
            "the units of the syncs cannot see {}; move it to /etc/authkeys, or run `authkeys-sync` and `oncall-cache sync` from cron",
            path.display()
        ));
    }
    if is_secret || !(is_absolute || config.is_file()) {
        return None;
    }
    match fs::metadata(&path) {
        Ok(file) => file.is_dir().then(|| format!("{} is a directory", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("there is no {}", path.display()))
        }
        Err(_) => None,
    }
}

/// An absolute path without `.` and `..`.
fn normalised(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

fn told(setting: &str, what: &str, name: &str, known: &BTreeSet<String>) -> String {
    let meant = close(name, known).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
    format!("{setting}: `{name}` is no {what}{meant}")
}

fn close<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    nearest(name, known.iter().map(String::as_str))
}

/// The first fields of passwd(5) or group(5).
fn names_in(table: &str) -> BTreeSet<String> {
    let text = fs::read(table).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_string())).collect()
}

/// What may name a schedule of a source that is a file: its id; and its name, where the source lists schedules.
fn schedules(
    config: &Config,
    source: &Source,
    now: Timestamp,
    progress: Progress<'_>,
) -> Option<BTreeSet<String>> {
    let one = match source.provider {
        Provider::Calendar(_) => Some(sources::calendar::SCHEDULE),
        Provider::Group(_) => Some(sources::group::SCHEDULE),
        _ => None,
    };
    if let Some(name) = one {
        // It is one schedule, whatever is in it.
        let own = source.schedules.first().map_or(name, String::as_str);
        return Some(BTreeSet::from([own.to_string()]));
    }
    if !matches!(source.provider, Provider::Rota(_) | Provider::File(_)) {
        return None;
    }
    let all = [Source { schedules: Vec::new(), ..source.clone() }];
    let fetched = fetch::all(&all, sync::window(config, now).ok()?, now, progress).into_iter().next()?;
    let answer = fetched.answer.ok()?;
    let by_name = !source.schedules.is_empty();
    Some(
        (answer.schedules().iter())
            .flat_map(|one| [Some(one.id.clone()), by_name.then(|| one.name.to_string())])
            .flatten()
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_ends_where_hosts_go_on() {
        for (url, end) in [("https://h/fleet/head", "/head"), ("file:///srv/fleet/o", "/o")] {
            assert!(store_trouble(url).unwrap().contains(&format!("ends in {end},")), "{url}");
        }
        for url in ["https://h/fleet", "https://h/overhead", "https://h/head/fleet", "https://hello"] {
            assert_eq!(store_trouble(url), None, "{url}");
        }
    }

    #[test]
    fn a_file_is_judged_by_where_its_name_leads() {
        let config = Path::new("/etc/authkeys/config.toml");
        let unseen = |config, name| file_trouble(config, name, true).is_some();
        assert!(unseen(config, "../../home/alice/people.toml") && unseen(config, "/srv/../root/token"));
        assert!(!unseen(config, "people.toml") && !unseen(config, "/homes/people.toml"));
        let draft = Path::new("/root/draft/config.toml");
        assert!(!unseen(draft, "people.toml") && !unseen(draft, "../people.toml"), "beside a draft");
        assert!(unseen(draft, "/root/draft/people.toml"));
        assert_eq!(normalised(Path::new("/../a/./b/../c")), Path::new("/a/c"));
    }
}
